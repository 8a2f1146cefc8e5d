/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Scheduling of threads: policy, priority, nice, reset-on-fork, affinity, I/O priority and timer slack, all different. */
#include <pthread.h>
#include <sched.h>

#include "subject.h"

struct attr {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
	uint32_t util_min, util_max;
};

static struct plan {
	const char *name;
	int policy, priority, nice, reset, cpu, ioprio;
	unsigned long slack;
	struct attr want;
	bool skipped;
} plans[] = {
	{ "other, nice 5", SCHED_OTHER, 0, 5, 0, 0, 2 << 13 | 6, 70001 },  { "other, nice -7", SCHED_OTHER, 0, -7, 0, 1, 3 << 13, 50000 },
	{ "batch", SCHED_BATCH, 0, 3, 0, 1, 2 << 13 | 1, 1000000 },        { "idle", SCHED_IDLE, 0, 0, 0, 0, 0, 1 },
	{ "fifo", SCHED_FIFO, 7, 0, 0, 0, 1 << 13 | 3, 60000 },            { "rr, reset on fork", SCHED_RR, 3, 0, SCHED_RESET_ON_FORK, 1, 0, 50000 },
	{ "batch, reset on fork", SCHED_BATCH, 0, 9, SCHED_RESET_ON_FORK, 0, 0, 2000 },
};
static volatile int set, go;
static long cpus;

static void *run(void *arg)
{
	struct plan *p = arg;
	struct sched_param sp = { .sched_priority = p->priority };
	struct attr got = { 0 };
	cpu_set_t mask, now;

	CPU_ZERO(&mask);
	CPU_SET((size_t)(p->cpu % cpus), &mask);
	MUST_SYS(syscall(SYS_sched_setaffinity, 0, sizeof(mask), &mask));
	MUST_SYS(setpriority(PRIO_PROCESS, 0, p->nice));
	p->skipped = syscall(SYS_sched_setscheduler, 0, p->policy | (p->reset ? SCHED_RESET_ON_FORK : 0), &sp) < 0;
	MUST_SYS(syscall(SYS_ioprio_set, 1, 0, p->ioprio));
	MUST_SYS(prctl(PR_SET_TIMERSLACK, p->slack));
	MUST_SYS(syscall(SYS_sched_getattr, 0, &p->want, sizeof(p->want), 0));
	__atomic_fetch_add(&set, 1, __ATOMIC_SEQ_CST);
	while (!go)
		sleep_ms(5);
	CHECK_SYS(syscall(SYS_sched_getattr, 0, &got, sizeof(got), 0));
	CHECK(got.policy == p->want.policy && got.nice == p->want.nice && got.priority == p->want.priority && got.flags == p->want.flags,
	      "%s: policy %u nice %d priority %u flags %llx, expected %u %d %u %llx", p->name, got.policy, got.nice, got.priority, (unsigned long long)got.flags,
	      p->want.policy, p->want.nice, p->want.priority, (unsigned long long)p->want.flags);
	CPU_ZERO(&now);
	CHECK_SYS(syscall(SYS_sched_getaffinity, 0, sizeof(now), &now));
	CHECK(CPU_EQUAL(&mask, &now), "%s: affinity changed", p->name);
	CHECK_EQ(p->name, syscall(SYS_ioprio_get, 1, 0), p->ioprio ? p->ioprio : syscall(SYS_ioprio_get, 1, 0));
	CHECK_EQ(p->name, prctl(PR_GET_TIMERSLACK), p->policy == SCHED_FIFO || p->policy == SCHED_RR ? prctl(PR_GET_TIMERSLACK) : (int)p->slack);
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t t[COUNT(plans)];

	subject_init(argc, argv);
	cpus = sysconf(_SC_NPROCESSORS_ONLN);
	for (size_t i = 0; i < COUNT(plans); i++)
		MUST(!pthread_create(&t[i], NULL, run, &plans[i]));
	while (set < (int)COUNT(plans))
		sleep_ms(1);
	subject_wait();
	go = 1;
	for (size_t i = 0; i < COUNT(plans); i++)
		pthread_join(t[i], NULL);
	return subject_done();
}
