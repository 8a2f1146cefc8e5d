/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The interpreter: runs batches of system calls inside another process. Freestanding, position-independent, no data, no libc.
 *
 * It may lose the engine at any instant. The engine holds a robust futex (futex(2), get_robust_list(2)) in the shared mailbox: the kernel
 * sets FUTEX_OWNER_DIED in it and wakes the waiter when the engine's tracing thread dies, however it dies. No fd is needed in the task.
 */
#include "parasite/batch.h"
#include "parasite-syscall.h"

#define FUTEX_WAIT 0
#define FUTEX_WAKE 1

static void run(struct batch_slot *s)
{
	struct batch_op *op = (struct batch_op *)(uintptr_t)s->ops;

	for (uint32_t i = 0; i < s->count; i++, op++) {
		uint64_t a[6];

		for (unsigned k = 0; k < 6; k++) {
			a[k] = op->arg[k];
			if (op->flags & BATCH_USE(k))
				a[k] = (uint64_t)((struct batch_op *)(uintptr_t)s->ops)[a[k]].result;
		}
		if (op->flags & BATCH_CLONE)
			op->result = parasite_clone((void *)(uintptr_t)a[0], a[1], (void *)(uintptr_t)a[5]);
		else
			op->result = parasite_syscall(op->nr, a[0], a[1], a[2], a[3], a[4], a[5]);
		if (op->flags & BATCH_IGNORE)
			continue;
		if ((op->flags & BATCH_EXPECT) ? op->result != op->expect : (uint64_t)op->result >= (uint64_t)-4095) {
			s->failed = i + 1;
			return;
		}
	}
	s->failed = 0;
}

void interp(struct batch_slot *s);

/* Returns only in mode BATCH_RETURN, when the engine is gone. */
__attribute__((used)) void interp(struct batch_slot *s)
{
	for (;;) {
		uint32_t go = __atomic_load_n(&s->go, __ATOMIC_ACQUIRE);
		uint32_t *owner = (uint32_t *)(uintptr_t)s->owner;
		uint32_t value;

		if (go != s->done) {
			run(s);
			__atomic_store_n(&s->done, go, __ATOMIC_RELEASE);
			(void)parasite_syscall(PARASITE_NR_futex, (uint64_t)(uintptr_t)&s->done, FUTEX_WAKE, 1, 0, 0, 0);
			continue;
		}
		value = __atomic_load_n(owner, __ATOMIC_ACQUIRE);
		if (value & BATCH_OWNER_DIED) {
			if (s->mode == BATCH_RETURN)
				return;
			(void)parasite_syscall(PARASITE_NR_exit_group, 1, 0, 0, 0, 0, 0);
		}
		if (s->mode == BATCH_RETURN) {
			/* No timeout: a timed wait would overwrite the restart block of the call the task was stopped in. */
			(void)parasite_syscall(PARASITE_NR_futex, (uint64_t)(uintptr_t)owner, FUTEX_WAIT, value, 0, 0, 0);
		} else {
			struct {
				int64_t sec, nsec;
			} timeout = { 0, 50 * 1000 * 1000 };

			(void)parasite_syscall(PARASITE_NR_futex, (uint64_t)(uintptr_t)&s->go, FUTEX_WAIT, go, (uint64_t)(uintptr_t)&timeout, 0, 0);
		}
	}
}
