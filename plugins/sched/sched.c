/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Scheduling of each thread: policy with all its parameters (sched_setattr(2), Linux 3.14), affinity, I/O priority. The engine reads and sets it from outside. */
#include <engine/plugin.h>

#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

#include "sched.pb-c.h"

struct attr { /* struct sched_attr, version 1 (Linux 5.3) */
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
	uint32_t util_min, util_max;
};

#define MASK 128u /* bytes: 1024 processors */
#define FLAGS_SETTABLE 7u /* RESET_ON_FORK, RECLAIM, DL_OVERRUN */
#define KEEP_UTIL 0x60u /* SCHED_FLAG_UTIL_CLAMP */

static int read_attr(pid_t tid, struct attr *a, struct eng_err *err)
{
	*a = (struct attr){ .size = sizeof(*a) };
	return syscall(SYS_sched_getattr, tid, a, sizeof(*a), 0) < 0 ? eng_fail(err, errno, "cannot read the scheduling of %d", tid) : 0;
}

static int sched_collect(const struct eng_ctx *ctx, struct eng_thread *t, void *scratch, const struct eng_batch *b, ProtobufCMessage *record, struct eng_err *err)
{
	Sched__Sched *rec = (Sched__Sched *)record;
	pid_t tid = eng_thread_tid(t);
	struct attr a;
	uint8_t *mask = eng_alloc(ctx->run, MASK);
	long n, ioprio;
	int r = read_attr(tid, &a, err);

	if (r < 0)
		return r;
	n = syscall(SYS_sched_getaffinity, tid, MASK, mask);
	ioprio = syscall(SYS_ioprio_get, 1 /* IOPRIO_WHO_PROCESS */, tid);
	if (n < 0 || ioprio < 0)
		return eng_fail(err, errno, "cannot read the affinity or I/O priority of %d", tid);
	rec->policy = a.policy;
	rec->flags = a.flags;
	rec->nice = a.nice;
	rec->priority = a.priority;
	rec->runtime = a.runtime;
	rec->deadline = a.deadline;
	rec->period = a.period;
	rec->util_min = a.util_min;
	rec->util_max = a.util_max;
	rec->affinity = (ProtobufCBinaryData){ .len = (size_t)n, .data = mask };
	rec->ioprio = (uint32_t)ioprio;
	return 0;
}

static int sched_check(const struct eng_ctx *ctx, pid_t tid, const ProtobufCMessage *record, struct eng_err *err)
{
	const Sched__Sched *rec = (const Sched__Sched *)record;
	long cpus = sysconf(_SC_NPROCESSORS_CONF);
	char object[32];

	if (rec->affinity.len == 0 || rec->affinity.len > MASK)
		return eng_fail(err, EBADMSG, "the record of its scheduling is impossible");
	(void)snprintf(object, sizeof(object), "thread %d", tid);
	for (size_t i = 0; i < rec->affinity.len * 8; i++)
		if ((rec->affinity.data[i / 8] >> i % 8 & 1) && (long)i < cpus)
			return 0;
	eng_block(ctx->run, object, "may run only on processors that this machine has not", "restore on a machine with as many processors");
	return 0;
}

static int set_attr(pid_t tid, const Sched__Sched *rec, struct eng_err *err)
{
	struct attr now, want = { .size = sizeof(want), .policy = rec->policy, .flags = rec->flags & FLAGS_SETTABLE, .nice = rec->nice, .priority = rec->priority,
				  .runtime = rec->runtime, .deadline = rec->deadline, .period = rec->period };
	int r = read_attr(tid, &now, err);

	if (r < 0)
		return r;
	if (now.util_min != rec->util_min || now.util_max != rec->util_max) {
		want.flags |= KEEP_UTIL;
		want.util_min = rec->util_min;
		want.util_max = rec->util_max;
	} else if (now.policy == rec->policy && now.flags == rec->flags && now.nice == rec->nice && now.priority == rec->priority &&
		   now.runtime == rec->runtime && now.deadline == rec->deadline && now.period == rec->period) {
		return 0;
	}
	return syscall(SYS_sched_setattr, tid, &want, 0) < 0 ? eng_fail(err, errno, "cannot set policy %u of thread %d", rec->policy, tid) : 0;
}

/* Affinity before the policy: a deadline thread's cannot be changed. */
static int sched_finish(const struct eng_ctx *ctx, struct eng_thread *t, const ProtobufCMessage *record, struct eng_err *err)
{
	const Sched__Sched *rec = (const Sched__Sched *)record;
	pid_t tid = eng_thread_tid(t);
	uint8_t mask[MASK] = { 0 };
	long n = syscall(SYS_sched_getaffinity, tid, MASK, mask);

	if (n < 0)
		return eng_fail(err, errno, "cannot read the affinity of %d", tid);
	if (((size_t)n != rec->affinity.len || memcmp(mask, rec->affinity.data, (size_t)n) != 0) &&
	    syscall(SYS_sched_setaffinity, tid, rec->affinity.len, rec->affinity.data) < 0)
		return eng_fail(err, errno, "cannot set the affinity of thread %d", tid);
	if (syscall(SYS_ioprio_get, 1, tid) != (long)rec->ioprio && syscall(SYS_ioprio_set, 1, tid, rec->ioprio) < 0)
		return eng_fail(err, errno, "cannot set the I/O priority of thread %d", tid);
	return set_attr(tid, rec, err);
}

static const struct eng_task_kind sched_kind = {
	.size = sizeof(sched_kind), .name = "task/sched", .scope = ENG_SCOPE_THREAD, .section = ENG_SECT_FINAL, .record = &sched__sched__descriptor,
	.collect = sched_collect, .check = sched_check, .finish = sched_finish,
};

static const struct eng_plugin sched_plugin = {
	ENG_PLUGIN_HEAD, .name = "sched", .version = "1",
	.summary = "policy, priority, nice value, deadline parameters, utilisation clamps, reset-on-fork, affinity, I/O priority; per thread",
	.not_kept = "core-scheduling cookies, autogroups", .task_kinds = ENG_LIST(&sched_kind),
};
ENG_PLUGIN_EXPORT(sched_plugin);
