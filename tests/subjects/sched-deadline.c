/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A thread under the deadline policy: runtime, deadline and period. */
#include <pthread.h>

#include "subject.h"

struct attr {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
};

static volatile int set, go;

static void *run(void *arg)
{
	struct attr a = { .size = sizeof(a), .policy = 6, .runtime = 2000000, .deadline = 60000000, .period = 100000000 }, got = { 0 };

	if (syscall(SYS_sched_setattr, 0, &a, 0) < 0)
		subject_skip("deadline scheduling is not permitted: %s", strerror(errno));
	set = 1;
	while (!go)
		sleep_ms(5);
	CHECK_SYS(syscall(SYS_sched_getattr, 0, &got, sizeof(got), 0));
	CHECK_EQ("policy", got.policy, 6);
	CHECK_EQ("runtime", got.runtime, a.runtime);
	CHECK_EQ("deadline", got.deadline, a.deadline);
	CHECK_EQ("period", got.period, a.period);
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t t;

	subject_init(argc, argv);
	MUST(!pthread_create(&t, NULL, run, NULL));
	while (!set)
		sleep_ms(1);
	subject_wait();
	go = 1;
	pthread_join(t, NULL);
	return subject_done();
}
