/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The mailbox of a restore: shared memory at one address that is free in every saved process and here, so that it is inherited by fork and
 * every pointer in it is the same on all sides. It begins with the interpreter, then the robust futex, then cells and operations.
 */
#include "core/restore.h"

#include <inttypes.h>
#include <linux/futex.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>

#include "parasite/blob.h"

#define TASK_TOP UINT64_C(0x7ffffffff000)
#define MARGIN UINT64_C(0x200000) /* stacks above may grow a little */

struct range {
	uint64_t start, end;
};

static int by_start(const void *a, const void *b)
{
	const struct range *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

static size_t room_needed(const struct eng_restore *r)
{
	size_t ops = 4096, n = 1u << 20;

	for (size_t i = 0; i < r->n_tasks; i++) {
		const struct eng_restore_task *t = &r->tasks[i];

		ops += 1024 + t->n_threads * 512;
		if (t->mm)
			ops += t->mm->n_vmas * 6 + t->mm->extents.len / sizeof(struct eng_extent) * 3;
		if (t->fds)
			ops += t->fds->n_fds * 6;
		n += t->n_threads * (sizeof(struct eng_cell) + 16384) + 65536;
	}
	return (n + ops * sizeof(struct batch_op) + 4095) & ~(size_t)4095;
}

static struct range *used_ranges(const struct eng_restore *r, size_t *ret_n)
{
	size_t n = 0, k = 0;
	struct range *list;

	for (size_t i = 0; i < r->n_tasks; i++)
		n += r->tasks[i].mm ? r->tasks[i].mm->n_vmas + 1 : 0;
	list = calloc(n + 1, sizeof(*list));
	for (size_t i = 0; list && i < r->n_tasks; i++) {
		const Engine__Mm *mm = r->tasks[i].mm;

		for (size_t v = 0; mm && v < mm->n_vmas; v++)
			list[k++] = (struct range){ mm->vmas[v]->start, mm->vmas[v]->end };
		if (mm && mm->has_vvar)
			list[k++] = (struct range){ mm->vvar, mm->vdso + 0x10000 };
	}
	if (list)
		qsort(list, k, sizeof(*list), by_start);
	*ret_n = k;
	return list;
}

/* A range that is free in the saved processes; whether it is free here the kernel says. */
int eng_box_map(struct eng_restore *r, struct eng_err *err)
{
	size_t n;
	_cleanup_free_ struct range *used = used_ranges(r, &n);
	uint64_t last = UINT64_C(0x10000);

	if (!used)
		return eng_fail(err, ENOMEM, "cannot list mappings");
	r->size = room_needed(r);
	for (size_t i = 0; i <= n && !r->base; i++) {
		uint64_t end = i < n ? used[i].start : TASK_TOP, need = r->size + 2 * MARGIN;

		for (uint64_t at = end; end > last && at - last >= need && !r->base;) {
			uint64_t addr = (last + (at - last - r->size) / 2) & ~UINT64_C(4095);
			void *p = mmap((void *)(uintptr_t)addr, r->size, PROT_READ | PROT_WRITE | PROT_EXEC,
				       MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);

			if (p != MAP_FAILED)
				r->base = p;
			at = last + (at - last) / 2;
		}
		if (i < n && used[i].end > last)
			last = used[i].end;
	}
	if (!r->base)
		return eng_fail(err, ENOMEM, "no room for the mailbox (%zu bytes) in the address spaces of the image", r->size);
	memcpy(r->base, eng_blob, eng_blob_size);
	r->arena = (struct eng_arena){ .base = r->base, .addr = (uint64_t)(uintptr_t)r->base, .size = r->size, .used = 8192 };
	return 0;
}

struct eng_robust_node *eng_box_owner(const struct eng_restore *r)
{
	return (struct eng_robust_node *)(void *)(r->base + 4096);
}

int eng_box_cells(struct eng_restore *r, struct eng_err *err)
{
	const uint64_t thread_flags = 0x10000 | 0x100 | 0x200 | 0x400 | 0x800 | 0x40000; /* THREAD VM FS FILES SIGHAND SYSVSEM */

	for (size_t i = 0; i < r->n_tasks; i++) {
		struct eng_restore_task *t = &r->tasks[i];

		for (size_t k = 0; k < t->n_threads; k++) {
			struct eng_cell *c = eng_arena_alloc(&r->arena, sizeof(*c), 64).ptr;

			if (r->arena.overflow)
				return eng_fail(err, E2BIG, "the mailbox is full");
			t->threads[k].cell = c;
			t->threads[k].batch.arena = &r->arena;
			c->set_tid = t->task.threads[k].tid;
			c->clone.flags = k ? thread_flags : 0;
			c->clone.exit_signal = k ? 0 : (i && t->rec->has_exit_signal ? (uint64_t)t->rec->exit_signal & 0xff : SIGCHLD);
			c->clone.stack = (uint64_t)(uintptr_t)c->stack;
			c->clone.stack_size = ENG_BOX_STACK;
			c->clone.set_tid = (uint64_t)(uintptr_t)&c->set_tid;
			c->clone.set_tid_size = 1;
			c->slot.owner = (uint64_t)(uintptr_t)&eng_box_owner(r)->word;
			c->slot.mode = BATCH_DIE;
		}
	}
	return 0;
}

int eng_box_arm(struct eng_restore *r, struct eng_restore_thread *t, bool wake, struct eng_err *err)
{
	struct batch_slot *s = &t->cell->slot;
	struct eng_buf ops = eng_arena_alloc(&r->arena, (t->batch.n + 1) * sizeof(struct batch_op), 16);
	int x = eng_batch_check(&t->batch, err);

	if (x < 0)
		return x;
	if (t->batch.n)
		memcpy(ops.ptr, t->batch.ops, t->batch.n * sizeof(struct batch_op));
	s->ops = ops.addr;
	s->count = (uint32_t)t->batch.n;
	__atomic_store_n(&s->go, s->go + 1, __ATOMIC_RELEASE);
	if (wake)
		(void)syscall(SYS_futex, &s->go, FUTEX_WAKE, 1, NULL, NULL, 0);
	return 0;
}

static bool ended(const struct eng_restore_task *task)
{
	struct pollfd p = { .fd = task->task.pidfd, .events = POLLIN };

	return task->task.pidfd >= 0 && poll(&p, 1, 0) > 0;
}

int eng_box_wait(struct eng_restore *r, struct eng_restore_task *task, struct eng_restore_thread *t, const char *what, struct eng_err *err)
{
	struct batch_slot *s = &t->cell->slot;
	int x = 0;

	for (;;) {
		struct timespec ts = { 0, 20000000 };
		uint32_t done = __atomic_load_n(&s->done, __ATOMIC_ACQUIRE);

		if (done == s->go)
			break;
		(void)syscall(SYS_futex, &s->done, FUTEX_WAIT, done, &ts, NULL, 0);
		if (__atomic_load_n(&s->done, __ATOMIC_ACQUIRE) != s->go && ended(task))
			return eng_fail(err, ECHILD, "process %d: ended during its restore (%s)", task->rec->pid, what);
	}
	if (s->failed && s->failed <= s->count)
		x = eng_wrap(err, eng_batch_fail(&t->batch, (const struct batch_op *)(uintptr_t)s->ops, s->failed - 1, err), "process %d: %s", task->rec->pid, what);
	if (x == 0 && t->batch.n)
		memcpy(t->batch.ops, (const void *)(uintptr_t)s->ops, t->batch.n * sizeof(struct batch_op));
	t->batch.n = 0;
	return x;
}
