/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/batch.h"

#include <inttypes.h>
#include <string.h>

static_assert(ENG_OP_IGNORE == BATCH_IGNORE && ENG_OP_EXPECT == BATCH_EXPECT, "public flags are the interpreter's");

struct eng_buf eng_arena_alloc(struct eng_arena *a, size_t size, size_t align)
{
	size_t at = (a->used + align - 1) & ~(align - 1);

	if (size > a->size || at > a->size - size) {
		a->overflow = true;
		at = 0; /* never run: eng_batch_check refuses; the caller may write here, so it must be memory */
		if (size > a->size)
			abort();
	} else {
		a->used = at + size;
	}
	memset(a->base + at, 0, size);
	return (struct eng_buf){ .ptr = a->base + at, .addr = a->addr + at };
}

int eng_op_args(struct eng_batch *b, const char *label, unsigned flags, long nr, const uint64_t arg[6])
{
	if (b->n == b->cap) {
		size_t cap = b->cap ? b->cap * 2 : 64;
		struct batch_op *ops = realloc(b->ops, cap * sizeof(*ops));
		const char **labels;

		if (ops)
			b->ops = ops;
		labels = ops ? realloc(b->labels, cap * sizeof(*labels)) : NULL;
		if (!labels) {
			b->nomem = true;
			return 0;
		}
		b->labels = labels;
		b->cap = cap;
	}
	b->ops[b->n] = (struct batch_op){ .flags = flags, .nr = nr };
	memcpy(b->ops[b->n].arg, arg, sizeof(b->ops[b->n].arg));
	b->labels[b->n] = label;
	return (int)b->n++;
}

void eng_op_use_result(struct eng_batch *b, int op, unsigned argno, int source)
{
	if (b->nomem || argno > 5 || source < 0 || source >= op)
		return;
	b->ops[op].flags |= BATCH_USE(argno);
	b->ops[op].arg[argno] = (uint64_t)source;
}

void eng_op_expect(struct eng_batch *b, int op, int64_t value)
{
	if (!b->nomem)
		b->ops[op].expect = value;
}

struct batch_op *eng_batch_last(struct eng_batch *b)
{
	return &b->ops[b->n - 1];
}

struct eng_buf eng_batch_alloc(struct eng_batch *b, size_t size, size_t align)
{
	return eng_arena_alloc(b->arena, size, align);
}

struct eng_buf eng_batch_copy(struct eng_batch *b, const void *data, size_t size)
{
	struct eng_buf buf = eng_arena_alloc(b->arena, size ? size : 1, 16);

	if (size)
		memcpy(buf.ptr, data, size);
	return buf;
}

int64_t eng_batch_result(const struct eng_batch *b, int op)
{
	return op >= 0 && (size_t)op < b->n ? b->ops[op].result : -EINVAL;
}

int eng_batch_check(const struct eng_batch *b, struct eng_err *err)
{
	if (b->nomem || b->arena->overflow)
		return eng_fail(err, b->nomem ? ENOMEM : E2BIG, "cannot put the batch together");
	return 0;
}

int eng_batch_fail(const struct eng_batch *b, const struct batch_op *ops, size_t index, struct eng_err *err)
{
	const struct batch_op *o = &ops[index];

	return eng_fail(err, o->result < 0 ? (int)-o->result : EPROTO, "cannot %s (system call %" PRId64 "(%#" PRIx64 ", %#" PRIx64 ", %#" PRIx64 "))",
			index < b->n && b->labels[index] ? b->labels[index] : "go on", o->nr, o->arg[0], o->arg[1], o->arg[2]);
}

void eng_batch_deinit(struct eng_batch *b)
{
	free(b->ops);
	free(b->labels);
	*b = (struct eng_batch){ 0 };
}
