// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * subject-threads N idle|compute: N threads beside the main one. Idle threads sleep on a condition variable; on a question each is
 * woken once and counts itself. Computing threads never sleep nor enter the kernel by themselves; on a question each must be seen to
 * go on counting.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "subject.h"

struct threads {
	pthread_mutex_t lock;
	pthread_cond_t ask, told;
	unsigned long generation, answered;
	unsigned int n;
	atomic_ulong *steps;            /* one per computing thread, NULL for idle ones */
	unsigned long *seen;
};

struct thread {
	struct threads *all;
	unsigned int index;
};

static void *idle(void *data)
{
	struct threads *t = ((struct thread *)data)->all;
	unsigned long mine = 0;

	pthread_mutex_lock(&t->lock);
	t->answered++;
	pthread_cond_signal(&t->told);
	for (;;) {
		while (t->generation == mine)
			pthread_cond_wait(&t->ask, &t->lock);
		mine = t->generation;
		if (++t->answered == t->n)
			pthread_cond_signal(&t->told);
	}
	return NULL;
}

static void *compute(void *data)
{
	const struct thread *self = data;
	atomic_ulong *steps = &self->all->steps[self->index];
	double x = self->index + 1;

	for (;;) {
		for (int n = 0; n < 1000; n++)
			x = x * 1.0000001 + 1e-9;
		if (x > 1e300)
			x = 1;
		atomic_fetch_add_explicit(steps, 1, memory_order_relaxed);
	}
	return NULL;
}

static const char *check_idle(void *data)
{
	struct threads *t = data;
	struct timespec until;
	int r = 0;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 20;
	pthread_mutex_lock(&t->lock);
	t->answered = 0;
	t->generation++;
	pthread_cond_broadcast(&t->ask);
	while (t->answered < t->n && r == 0)
		r = pthread_cond_timedwait(&t->told, &t->lock, &until);
	pthread_mutex_unlock(&t->lock);
	return r ? "a thread does not wake" : NULL;
}

static const char *check_compute(void *data)
{
	const struct timespec nap = {.tv_nsec = 20000000};
	struct threads *t = data;

	for (unsigned int n = 0; n < t->n; n++)
		t->seen[n] = atomic_load(&t->steps[n]);
	for (int tries = 0; tries < 1000; tries++) {
		unsigned int moved = 0;

		for (unsigned int n = 0; n < t->n; n++)
			moved += atomic_load(&t->steps[n]) != t->seen[n];
		if (moved == t->n)
			return NULL;
		nanosleep(&nap, NULL);
	}
	return "a thread does not compute";
}

int main(int argc, char **argv)
{
	int computing = argc > 2 && strcmp(argv[2], "compute") == 0;
	struct threads t = {
		.lock = PTHREAD_MUTEX_INITIALIZER, .ask = PTHREAD_COND_INITIALIZER, .told = PTHREAD_COND_INITIALIZER,
		.n = (unsigned int)subject_arg(argc, argv, 1, 1000),
	};
	struct thread *each = calloc(t.n, sizeof(*each));
	pthread_attr_t attr;

	t.seen = calloc(t.n, sizeof(*t.seen));
	t.steps = computing ? calloc(t.n, sizeof(*t.steps)) : NULL;
	if (!each || !t.seen || (computing && !t.steps))
		subject_die("calloc");
	subject_init();
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 64 << 10);
	for (unsigned int n = 0; n < t.n; n++) {
		pthread_t id;

		each[n] = (struct thread){.all = &t, .index = n};
		if (pthread_create(&id, &attr, computing ? compute : idle, &each[n]) != 0)
			subject_die("pthread_create");
	}
	if (!computing) {
		pthread_mutex_lock(&t.lock);
		while (t.answered < t.n)
			pthread_cond_wait(&t.told, &t.lock);
		pthread_mutex_unlock(&t.lock);
	}
	subject_serve(0, computing ? check_compute : check_idle, &t);
}
