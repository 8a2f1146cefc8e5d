/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef CORE_ROBUST_H
#define CORE_ROBUST_H
/*
 * "The engine is gone" without an fd in the task: a word in memory shared with the task is held as a robust futex of this thread
 * (set_robust_list(2)). When the thread dies, by whatever cause, the kernel sets FUTEX_OWNER_DIED there and wakes the waiter, at the same time as ptrace lets go.
 */
#include <stdint.h>

#include "core/include/engine/err.h"

/* Lies at the start of shared memory. */
struct eng_robust_node {
	struct eng_robust_node *next;
	uint32_t word;
	uint32_t reserved;
};

/* One per tracing thread. The C library's own list is put back by deinit: no robust pthread mutex may be used meanwhile. */
struct eng_robust {
	struct {
		struct eng_robust_node *next;
		long offset;
		struct eng_robust_node *pending;
	} head;
	void *old_head;
	unsigned long old_len;
	unsigned count;
};

#define ENG_ROBUST_MAX 1024 /* the kernel walks 2048 entries at most */

int eng_robust_init(struct eng_robust *r, struct eng_err *err);
void eng_robust_deinit(struct eng_robust *r);
int eng_robust_hold(struct eng_robust *r, struct eng_robust_node *node, struct eng_err *err);
void eng_robust_release(struct eng_robust *r, struct eng_robust_node *node);

#endif
