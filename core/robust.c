/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/robust.h"

#include <errno.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "parasite/batch.h"

int eng_robust_init(struct eng_robust *r, struct eng_err *err)
{
	*r = (struct eng_robust){ 0 };
	if (syscall(SYS_get_robust_list, 0, &r->old_head, &r->old_len) < 0)
		return eng_fail(err, errno, "cannot read the robust futex list");
	r->head.next = (struct eng_robust_node *)&r->head;
	r->head.offset = offsetof(struct eng_robust_node, word);
	if (syscall(SYS_set_robust_list, &r->head, sizeof(r->head)) < 0)
		return eng_fail(err, errno, "cannot set the robust futex list");
	return 0;
}

void eng_robust_deinit(struct eng_robust *r)
{
	(void)syscall(SYS_set_robust_list, r->old_head, r->old_len);
}

int eng_robust_hold(struct eng_robust *r, struct eng_robust_node *node, struct eng_err *err)
{
	if (r->count >= ENG_ROBUST_MAX)
		return eng_fail(err, E2BIG, "more than %d processes entered at once", ENG_ROBUST_MAX);
	node->word = (uint32_t)syscall(SYS_gettid) | BATCH_WAITERS;
	node->next = r->head.next;
	__atomic_store_n(&r->head.next, node, __ATOMIC_RELEASE);
	r->count++;
	return 0;
}

void eng_robust_release(struct eng_robust *r, struct eng_robust_node *node)
{
	struct eng_robust_node *p = (struct eng_robust_node *)&r->head;

	/* head and node both begin with their next pointer */
	while (p->next != node && p->next != (struct eng_robust_node *)&r->head)
		p = p->next;
	if (p->next != node)
		return;
	__atomic_store_n(&p->next, node->next, __ATOMIC_RELEASE);
	r->count--;
}
