/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Address spaces. The root's is wiped; a child starts with its parent's as it was after stage 1 and keeps the mappings that both have, so that pages
 * they shared before are shared again. Private mappings are made writable at first, because the process itself reads its pages from the image; what
 * mprotect, madvise and mlock have to say comes in stage 3, when all children have been created.
 */
#include "core/restore.h"

#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/rseq.h>
#include <sys/syscall.h>

#define TASK_TOP UINT64_C(0x7ffffffff000)
#define READ_MAX UINT64_C(0x40000000)

static struct eng_extent extent_at(const Engine__Mm *mm, size_t i)
{
	struct eng_extent x;

	memcpy(&x, mm->extents.data + i * sizeof(x), sizeof(x));
	return x;
}

static size_t extent_count(const Engine__Mm *mm)
{
	return mm->extents.len / sizeof(struct eng_extent);
}

static void unmap(struct eng_batch *b, uint64_t start, uint64_t end)
{
	if (start < end)
		(void)eng_op(b, "unmap", 0, SYS_munmap, start, end - start);
}

static int map_vma(struct eng_restore *r, struct eng_batch *b, const Engine__Vma *v, uint32_t prot, struct eng_err *err)
{
	unsigned flags = v->flags & (MAP_SHARED | MAP_PRIVATE | MAP_NORESERVE | MAP_GROWSDOWN);
	int fd = -1, op;

	if (v->kind == ENGINE__VMA__KIND__FILE)
		fd = eng_restore_fd(r, v->file);
	else if (v->kind == ENGINE__VMA__KIND__SHMEM)
		fd = v->file >= 1 && v->file <= r->n_shmems ? r->shmem_fd[v->file] : -1;
	else
		flags |= MAP_ANONYMOUS;
	if (v->kind != ENGINE__VMA__KIND__ANON && fd < 0)
		return eng_fail(err, EBADMSG, "the file of mapping %#" PRIx64 " (%s) is not in the image", v->start, v->name ?: "");
	op = eng_op(b, "map memory", ENG_OP_EXPECT, SYS_mmap, v->start, v->end - v->start, prot, flags | MAP_FIXED_NOREPLACE, (uint64_t)(int64_t)fd,
		    v->kind == ENGINE__VMA__KIND__ANON ? 0 : v->pgoff);
	eng_op_expect(b, op, (int64_t)v->start);
	if (v->kind == ENGINE__VMA__KIND__ANON && strstr(v->vmflags, "hg"))
		(void)eng_op(b, "ask for huge pages", ENG_OP_IGNORE, SYS_madvise, v->start, v->end - v->start, MADV_HUGEPAGE);
	if (v->kind == ENGINE__VMA__KIND__ANON && strstr(v->vmflags, "nh"))
		(void)eng_op(b, "refuse huge pages", ENG_OP_IGNORE, SYS_madvise, v->start, v->end - v->start, MADV_NOHUGEPAGE);
	return 0;
}

/* Pages that the parent has and the child had not: they are dropped from the copy. Both lists ascend. */
static void drop_pages(struct eng_batch *b, const Engine__Mm *parent, const Engine__Mm *mm, uint64_t start, uint64_t end, size_t *pi, size_t *ci)
{
	uint64_t at = start;

	while (*pi < extent_count(parent) && extent_at(parent, *pi).addr + extent_at(parent, *pi).pages * UINT64_C(4096) <= start)
		(*pi)++;
	for (size_t p = *pi; p < extent_count(parent) && extent_at(parent, p).addr < end; p++) {
		struct eng_extent x = extent_at(parent, p);
		uint64_t x_end = x.addr + x.pages * UINT64_C(4096);

		at = x.addr;
		while (at < x_end) {
			struct eng_extent c = { .addr = UINT64_MAX };
			uint64_t stop;

			while (*ci < extent_count(mm) && extent_at(mm, *ci).addr + extent_at(mm, *ci).pages * UINT64_C(4096) <= at)
				(*ci)++;
			if (*ci < extent_count(mm))
				c = extent_at(mm, *ci);
			stop = c.addr < x_end ? c.addr : x_end;
			if (at < stop)
				(void)eng_op(b, "drop pages", 0, SYS_madvise, at, stop - at, MADV_DONTNEED);
			at = c.addr < x_end ? c.addr + c.pages * UINT64_C(4096) : x_end;
		}
	}
}

static void read_pages(struct eng_restore *r, struct eng_batch *b, const Engine__Mm *mm, uint64_t start, uint64_t end, size_t *ci)
{
	while (*ci < extent_count(mm) && extent_at(mm, *ci).addr < start)
		(*ci)++;
	for (; *ci < extent_count(mm) && extent_at(mm, *ci).addr < end; (*ci)++) {
		struct eng_extent x = extent_at(mm, *ci);
		uint64_t left = x.pages * UINT64_C(4096);

		while (!x.flags && left) {
			uint64_t n = left < READ_MAX ? left : READ_MAX;
			int op = eng_op(b, "read pages", ENG_OP_EXPECT, SYS_pread64, (uint64_t)r->data_fd, x.addr, n, x.off);

			eng_op_expect(b, op, (int64_t)n);
			x.addr += n;
			x.off += n;
			left -= n;
		}
	}
}

static bool has_data(const Engine__Mm *mm, uint64_t start, uint64_t end, size_t from)
{
	for (size_t i = from; i < extent_count(mm) && extent_at(mm, i).addr < end; i++)
		if (extent_at(mm, i).addr >= start && !extent_at(mm, i).flags)
			return true;
	return false;
}

/* The root starts as a copy of the engine. */
static void wipe(struct eng_restore *r, struct eng_batch *b, const Engine__Mm *mm)
{
	uint64_t box = (uint64_t)(uintptr_t)r->base;

	if (__rseq_size)
		(void)eng_op(b, "unregister rseq", 0, SYS_rseq, (uint64_t)(uintptr_t)__builtin_thread_pointer() + (uint64_t)__rseq_offset, 32, 1, 0x53053053);
	unmap(b, 0, box);
	unmap(b, box + r->size, TASK_TOP);
	if (mm->has_vvar)
		(void)eng_op(b, "map the vDSO", 0, SYS_arch_prctl, 0x2003 /* ARCH_MAP_VDSO_64, Linux 4.9 */, mm->vvar);
}

/* A child: mappings of the parent that it has not are unmapped. keep[i]: mapping i is inherited from the parent's keep[i] - 1. */
static void inherit(struct eng_batch *b, const struct eng_restore_task *t, size_t *keep)
{
	const Engine__Mm *p = t->parent->mm, *mm = t->mm;
	size_t k = 0;

	for (size_t i = 0; i < p->n_vmas; i++) {
		while (k < mm->n_vmas && mm->vmas[k]->start < p->vmas[i]->start)
			k++;
		if (k < mm->n_vmas && eng_vma_inherited(p->vmas[i], mm->vmas[k]))
			keep[k] = i + 1;
		else
			unmap(b, p->vmas[i]->start, p->vmas[i]->end);
	}
	if (p->has_vvar && (!mm->has_vvar || mm->vvar != p->vvar)) {
		unmap(b, p->vvar, p->vdso + 0x2000);
		if (mm->has_vvar)
			(void)eng_op(b, "map the vDSO", 0, SYS_arch_prctl, 0x2003, mm->vvar);
	} else if (!p->has_vvar && mm->has_vvar) {
		(void)eng_op(b, "map the vDSO", 0, SYS_arch_prctl, 0x2003, mm->vvar);
	}
}

int eng_restore_memory(struct eng_restore *r, struct eng_restore_task *t, struct eng_err *err)
{
	struct eng_batch *b = &t->threads[0].batch;
	const Engine__Mm *mm = t->mm;
	_cleanup_free_ size_t *keep = NULL;
	size_t pi = 0, drop_ci = 0, ci = 0;
	int x = 0;

	if (t->zombie)
		return 0;
	keep = calloc(mm->n_vmas + 1, sizeof(*keep));
	t->prot = calloc(mm->n_vmas + 1, sizeof(*t->prot));
	if (!keep || !t->prot)
		return eng_fail(err, ENOMEM, "cannot list mappings");
	if (t->parent)
		inherit(b, t, keep);
	else
		wipe(r, b, mm);
	for (size_t i = 0; x == 0 && i < mm->n_vmas; i++) {
		const Engine__Vma *v = mm->vmas[i];
		bool data;

		while (ci < extent_count(mm) && extent_at(mm, ci).addr < v->start)
			ci++;
		data = has_data(mm, v->start, v->end, ci);
		t->prot[i] = v->prot | (data ? PROT_WRITE : 0u);
		if (data)
			t->prot[i] &= ~(unsigned)PROT_EXEC; /* never writable and executable at once, which a security policy may refuse */
		if (!keep[i]) {
			x = map_vma(r, b, v, t->prot[i], err);
		} else {
			uint32_t now = t->parent->prot[keep[i] - 1];

			if (data && !(now & PROT_WRITE))
				(void)eng_op(b, "make pages writable", 0, SYS_mprotect, v->start, v->end - v->start, t->prot[i]);
			else
				t->prot[i] = now;
			if (!(v->flags & MAP_SHARED))
				drop_pages(b, t->parent->mm, mm, v->start, v->end, &pi, &drop_ci);
		}
		if (data)
			read_pages(r, b, mm, v->start, v->end, &ci);
	}
	return x;
}

static const struct {
	const char *flag;
	int advice;
} advices[] = { { "dc", MADV_DONTFORK }, { "dd", MADV_DONTDUMP }, { "sr", MADV_SEQUENTIAL }, { "rr", MADV_RANDOM }, { "mg", MADV_MERGEABLE }, { "wf", MADV_WIPEONFORK } };

static void name_vma(struct eng_batch *b, const Engine__Vma *v)
{
	const char *name = v->name ?: "", *colon = strchr(name, ':');
	size_t len = strlen(name);
	char text[96];

	if ((strncmp(name, "[anon:", 6) != 0 && strncmp(name, "[anon_shmem:", 12) != 0) || !colon || len > sizeof(text) || name[len - 1] != ']')
		return;
	memcpy(text, colon + 1, len);
	text[strlen(text) - 1] = '\0';
	(void)eng_op(b, "name a mapping", ENG_OP_IGNORE, SYS_prctl, 0x53564d41 /* PR_SET_VMA, Linux 5.17 */, 0, v->start, v->end - v->start,
		     eng_batch_copy(b, text, strlen(text) + 1).addr);
}

int eng_restore_seal_memory(struct eng_restore *r, struct eng_restore_task *t, struct eng_batch *b, struct eng_err *err)
{
	bool onfault = false;

	for (size_t i = 0; i < t->mm->n_vmas; i++) {
		const Engine__Vma *v = t->mm->vmas[i];
		uint64_t len = v->end - v->start;

		if (v->huge && !strstr(v->vmflags, "hg") && v->kind == ENGINE__VMA__KIND__ANON)
			(void)eng_op(b, "collapse huge pages", ENG_OP_IGNORE, SYS_madvise, v->start, len, 25 /* MADV_COLLAPSE, Linux 6.1 */);
		for (size_t k = 0; k + 16 <= v->guards.len; k += 16) {
			uint64_t pair[2];

			memcpy(pair, v->guards.data + k, sizeof(pair));
			if (pair[0] < v->start || pair[1] > v->end || pair[1] <= pair[0])
				return eng_fail(err, EBADMSG, "guard region %#" PRIx64 " lies outside its mapping", pair[0]);
			(void)eng_op(b, "install guard pages", 0, SYS_madvise, pair[0], pair[1] - pair[0], 102 /* MADV_GUARD_INSTALL, Linux 6.13 */);
		}
		if (t->prot[i] != v->prot)
			(void)eng_op(b, "protect memory", 0, SYS_mprotect, v->start, len, v->prot);
		for (size_t k = 0; k < ENG_ARRAY_SIZE(advices); k++)
			if (strstr(v->vmflags, advices[k].flag))
				(void)eng_op(b, "give advice about memory", 0, SYS_madvise, v->start, len, (uint64_t)advices[k].advice);
		if (strstr(v->vmflags, "lo"))
			(void)eng_op(b, "lock memory", 0, SYS_mlock2, v->start, len, strstr(v->vmflags, "lf") ? 1 : 0);
		name_vma(b, v);
		onfault |= strstr(v->vmflags, "lf") != NULL;
	}
	if (t->mm->lock_future)
		(void)eng_op(b, "lock future memory", 0, SYS_mlockall, MCL_FUTURE | (onfault ? MCL_ONFAULT : 0));
	return 0;
}
