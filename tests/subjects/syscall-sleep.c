/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sleeping system calls: none may return early, none may report an interruption. A relative sleep may last longer, never shorter. */
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/poll.h>
#include <sys/select.h>

#include "subject.h"

static struct timespec deadline;

static int do_nanosleep(void)
{
	const struct timespec t = { 1, 0 };

	return nanosleep(&t, NULL);
}

static int do_clock_nanosleep(void)
{
	const struct timespec t = { 1, 0 };

	errno = clock_nanosleep(CLOCK_MONOTONIC, 0, &t, NULL);
	return errno ? -1 : 0;
}

static int do_clock_nanosleep_abs(void)
{
	errno = clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &deadline, NULL);
	return errno ? -1 : 0;
}

static int do_poll(void)
{
	return poll(NULL, 0, 1000);
}

static int do_ppoll(void)
{
	const struct timespec t = { 1, 0 };

	return ppoll(NULL, 0, &t, NULL);
}

static int do_select(void)
{
	struct timeval t = { 1, 0 };

	return select(0, NULL, NULL, NULL, &t);
}

static int do_pselect(void)
{
	const struct timespec t = { 1, 0 };

	return pselect(0, NULL, NULL, NULL, &t, NULL);
}

static int do_futex(void)
{
	const struct timespec t = { 1, 0 };
	int word = 0;
	long r = syscall(SYS_futex, &word, 0 /* FUTEX_WAIT */, 0, &t, NULL, 0);

	return r < 0 && errno == ETIMEDOUT ? 0 : -1;
}

static int do_futex_abs(void)
{
	int word = 0;
	long r = syscall(SYS_futex, &word, 9 /* FUTEX_WAIT_BITSET */, 0, &deadline, NULL, -1);

	return r < 0 && errno == ETIMEDOUT ? 0 : -1;
}

static int do_epoll(void)
{
	struct epoll_event ev;
	int fd = epoll_create1(EPOLL_CLOEXEC);
	int r = epoll_wait(fd, &ev, 1, 1000);

	close(fd);
	return r;
}

static int do_sigtimedwait(void)
{
	const struct timespec t = { 1, 0 };
	sigset_t set;
	int r;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	r = sigtimedwait(&set, NULL, &t);
	return r < 0 && errno == EAGAIN ? 0 : -1;
}

static struct sleeper {
	const char *name;
	int (*call)(void);
	pthread_t thread;
	volatile pid_t tid;
} sleepers[] = {
	{ "nanosleep", do_nanosleep },
	{ "clock_nanosleep", do_clock_nanosleep },
	{ "clock_nanosleep, absolute", do_clock_nanosleep_abs },
	{ "poll", do_poll },
	{ "ppoll", do_ppoll },
	{ "select", do_select },
	{ "pselect", do_pselect },
	{ "futex", do_futex },
	{ "futex, absolute", do_futex_abs },
	{ "epoll_wait", do_epoll },
	{ "sigtimedwait", do_sigtimedwait },
};

static void *run(void *arg)
{
	struct sleeper *s = arg;
	int64_t t0 = clock_ms(CLOCK_MONOTONIC);

	s->tid = gettid_();
	if (s->call())
		subject_fail("%s: %s", s->name, strerror(errno));
	CHECK(clock_ms(CLOCK_MONOTONIC) - t0 >= 980, "%s returned after %lld ms instead of 1000", s->name, (long long)(clock_ms(CLOCK_MONOTONIC) - t0));
	return NULL;
}

int main(int argc, char **argv)
{
	sigset_t set;

	subject_init(argc, argv);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	MUST_SYS(sigprocmask(SIG_BLOCK, &set, NULL));
	clock_gettime(CLOCK_MONOTONIC, &deadline);
	deadline.tv_sec += 1;
	for (size_t i = 0; i < COUNT(sleepers); i++)
		MUST(!pthread_create(&sleepers[i].thread, NULL, run, &sleepers[i]));
	for (size_t i = 0; i < COUNT(sleepers); i++) {
		while (!sleepers[i].tid)
			sleep_ms(1);
		await_sleeping(sleepers[i].tid);
	}
	subject_wait();
	for (size_t i = 0; i < COUNT(sleepers); i++)
		pthread_join(sleepers[i].thread, NULL);
	return subject_done();
}
