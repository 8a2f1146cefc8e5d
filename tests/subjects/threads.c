/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Threads: names, ids, thread-local storage, the address that is cleared at exit (pthread_join), robust mutexes, and the rseq area. */
#include <pthread.h>
#include <sched.h>
#include <sys/rseq.h>

#include "subject.h"

#define N 8
static __thread uint64_t local[4] = { 1, 2, 3, 4 };
static pthread_mutex_t robust[N], plain = PTHREAD_MUTEX_INITIALIZER;
static pthread_barrier_t barrier;
static volatile int go;

static bool rseq_works(void)
{
	volatile struct rseq *r = (struct rseq *)((char *)__builtin_thread_pointer() + __rseq_offset);
	cpu_set_t old, one;

	if (!__rseq_size)
		return true;
	if (sched_getaffinity(0, sizeof(old), &old) < 0)
		return false;
	for (int cpu = 0; cpu < 64; cpu++) {
		if (!CPU_ISSET(cpu, &old))
			continue;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		if (sched_setaffinity(0, sizeof(one), &one) < 0 || (int)r->cpu_id != cpu)
			return false;
	}
	return sched_setaffinity(0, sizeof(old), &old) == 0;
}

static void *run(void *arg)
{
	uintptr_t i = (uintptr_t)arg;
	pid_t tid = gettid_();
	char name[16], got[16] = "";

	(void)snprintf(name, sizeof(name), "worker \"%lu\"\n", (unsigned long)i);
	(void)prctl(PR_SET_NAME, name);
	local[0] = pattern_word(9, i);
	local[3] = (uint64_t)tid;
	pthread_mutex_lock(&robust[i]);
	pthread_barrier_wait(&barrier);
	while (!go)
		sleep_ms(5);
	CHECK_EQ("tid", gettid_(), tid);
	CHECK_EQ("thread-local word", local[0], pattern_word(9, i));
	CHECK_EQ("thread-local tid", local[3], tid);
	CHECK_EQ("initialised thread-local word", local[1], 2);
	(void)prctl(PR_GET_NAME, got);
	CHECK_STR("name", got, name);
	CHECK(rseq_works(), "thread %d: the rseq area does not follow the processor", (int)i);
	pthread_mutex_lock(&plain);
	pthread_mutex_unlock(&plain);
	return (void *)(i * 3); /* The robust mutex stays locked. */
}

int main(int argc, char **argv)
{
	pthread_mutexattr_t a;
	pthread_t t[N], late;
	void *ret = NULL;

	subject_init(argc, argv);
	pthread_mutexattr_init(&a);
	pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST);
	pthread_barrier_init(&barrier, NULL, N + 1);
	for (uintptr_t i = 0; i < N; i++) {
		MUST(!pthread_mutex_init(&robust[i], &a));
		MUST(!pthread_create(&t[i], NULL, run, (void *)i));
	}
	pthread_barrier_wait(&barrier);
	local[2] = 77;
	MUST(rseq_works());
	pthread_mutex_lock(&plain);
	subject_wait();
	CHECK_EQ("thread-local word of the main thread", local[2], 77);
	CHECK(rseq_works(), "main thread: the rseq area does not follow the processor");
	go = 1;
	sleep_ms(20);
	pthread_mutex_unlock(&plain);
	for (uintptr_t i = 0; i < N; i++) {
		pthread_join(t[i], &ret);
		CHECK_EQ("value of pthread_join", (uintptr_t)ret, i * 3);
		CHECK_EQ("lock of a dead owner", pthread_mutex_lock(&robust[i]), EOWNERDEAD);
	}
	pthread_barrier_init(&barrier, NULL, 2);
	MUST(!pthread_mutex_init(&robust[0], &a));
	MUST(!pthread_create(&late, NULL, run, NULL));
	pthread_barrier_wait(&barrier);
	pthread_join(late, &ret);
	return subject_done();
}
