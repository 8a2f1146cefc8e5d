/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef CORE_BATCH_H
#define CORE_BATCH_H
/* Batches as they are put together: operations and labels in the engine, arguments in memory that the task can reach. */
#include "core/include/engine/plugin.h"
#include "parasite/batch.h"

/* Shared memory that is handed out front to back. */
struct eng_arena {
	uint8_t *base;
	uint64_t addr; /* of base, in the task */
	size_t size, used;
	bool overflow;
};

/* Zeroed memory, or base with .overflow set when there is no more. */
struct eng_buf eng_arena_alloc(struct eng_arena *arena, size_t size, size_t align);

struct eng_batch {
	struct batch_op *ops;
	const char **labels;
	size_t n, cap;
	struct eng_arena *arena;
	bool nomem;
};

/* The operation last appended. */
struct batch_op *eng_batch_last(struct eng_batch *b);
/* What was remembered while it was put together: 0 or an error. */
int eng_batch_check(const struct eng_batch *b, struct eng_err *err);
/* Text of the failure of operation `index`, whose result is in ops. */
int eng_batch_fail(const struct eng_batch *b, const struct batch_op *ops, size_t index, struct eng_err *err);
void eng_batch_deinit(struct eng_batch *b);

#endif
