/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Alternate signal stacks, one per thread; one thread is inside a handler on its alternate stack all the time. */
#include <pthread.h>

#include "subject.h"

#define N 4
static struct area {
	char *mem;
	volatile uintptr_t seen;
	volatile bool inside;
} areas[N];
static __thread struct area *mine;
static volatile int go;

static void on_usr1(int sig)
{
	char here;

	mine->seen = (uintptr_t)&here;
	if (mine == &areas[1])
		while (!go) {
			mine->inside = true;
			sleep_ms(2);
		}
}

static void check_stack(const struct area *a, const char *what)
{
	CHECK(a->seen >= (uintptr_t)a->mem && a->seen < (uintptr_t)a->mem + 64 * KiB, "%s: handler ran at %lx, not in %p", what, (long)a->seen, (void *)a->mem);
}

static void *run(void *arg)
{
	struct area *a = arg;
	stack_t ss = { .ss_sp = a->mem, .ss_size = 64 * KiB, .ss_flags = a == &areas[2] ? (int)(1u << 31) /* SS_AUTODISARM */ : 0 }, got;

	mine = a;
	MUST_SYS(sigaltstack(&ss, NULL));
	if (a == &areas[1])
		(void)raise(SIGUSR1);
	while (!go)
		sleep_ms(5);
	CHECK_SYS(sigaltstack(NULL, &got));
	CHECK(got.ss_sp == ss.ss_sp && got.ss_size == ss.ss_size, "stack %ld: %p+%zu", (long)(a - areas), got.ss_sp, got.ss_size);
	CHECK_EQ("flags", got.ss_flags, ss.ss_flags);
	if (a == &areas[1])
		check_stack(a, "before");
	a->seen = 0;
	(void)raise(SIGUSR1);
	check_stack(a, "after");
	return NULL;
}

int main(int argc, char **argv)
{
	const struct sigaction sa = { .sa_handler = on_usr1, .sa_flags = SA_ONSTACK };
	pthread_t t[N];

	subject_init(argc, argv);
	MUST_SYS(sigaction(SIGUSR1, &sa, NULL));
	for (int i = 0; i < N; i++) {
		areas[i].mem = map_anon(64 * KiB, PROT_READ | PROT_WRITE, MAP_PRIVATE);
		MUST(!pthread_create(&t[i], NULL, run, &areas[i]));
	}
	while (!areas[1].inside)
		sleep_ms(1);
	subject_wait();
	go = 1;
	for (int i = 0; i < N; i++)
		pthread_join(t[i], NULL);
	return subject_done();
}
