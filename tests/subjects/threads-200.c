/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Two hundred threads that wait for one condition, each with memory and a number of its own. */
#include <pthread.h>

#include "subject.h"

#define N 200
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static int waiting, go;
static __thread uint64_t id;

static void *run(void *arg)
{
	uint64_t onstack[64];
	pid_t tid = gettid_();

	id = (uintptr_t)arg;
	pattern_fill(onstack, sizeof(onstack), id);
	pthread_mutex_lock(&lock);
	waiting++;
	while (!go)
		pthread_cond_wait(&cond, &lock);
	pthread_mutex_unlock(&lock);
	CHECK_EQ("tid", gettid_(), tid);
	CHECK_EQ("thread-local id", id, (uintptr_t)arg);
	pattern_check("stack", onstack, sizeof(onstack), id);
	return (void *)(uintptr_t)tid;
}

int main(int argc, char **argv)
{
	pthread_t t[N];
	pthread_attr_t a;
	uintptr_t last = 0;

	subject_init(argc, argv);
	pthread_attr_init(&a);
	for (uintptr_t i = 0; i < N; i++) {
		pthread_attr_setstacksize(&a, (64 + 4 * i) * KiB);
		MUST(!pthread_create(&t[i], &a, run, (void *)(i + 1)));
	}
	for (bool all = false; !all; sleep_ms(1)) {
		pthread_mutex_lock(&lock);
		all = waiting == N;
		pthread_mutex_unlock(&lock);
	}
	subject_wait();
	pthread_mutex_lock(&lock);
	go = 1;
	pthread_cond_broadcast(&cond);
	pthread_mutex_unlock(&lock);
	for (int i = 0; i < N; i++) {
		void *ret;

		pthread_join(t[i], &ret);
		CHECK((uintptr_t)ret != last, "two threads returned one tid");
		last = (uintptr_t)ret;
	}
	return subject_done();
}
