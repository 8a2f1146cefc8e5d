/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Many kinds of state at once, for the fault tests: threads that compute, a thread in a system call, a child, pipes with data, pending signals,
 * timers, shared and private memory, locks. Whatever a failed dump disturbs is seen.
 */
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/time.h>

#include "subject.h"

#define ROUNDS 50000
static volatile int stop;
static int wake[2];
static uint64_t want;

__attribute__((noinline)) static uint64_t block(uint64_t seed)
{
	uint64_t a = seed, b = ~seed, c = seed * 3;
	double x = 1.0;

	for (int i = 0; i < ROUNDS; i++) {
		a = (a << 7 | a >> 57) + b;
		b = b * 6364136223846793005ULL + c;
		c ^= a + (b >> 11);
		x = x * 0.999999 + 0.5;
	}
	return a ^ b ^ c ^ (uint64_t)x;
}

static void *compute(void *arg)
{
	while (!stop)
		if (block(7) != want) {
			subject_fail("a computing thread was disturbed");
			break;
		}
	return NULL;
}

static void *wait_pipe(void *arg)
{
	char c = 0;

	CHECK(read(wake[0], &c, 1) == 1 && c == 'w', "blocked read: %s", strerror(errno));
	return NULL;
}

int main(int argc, char **argv)
{
	const struct itimerval virt = { { 7, 8 }, { 7200, 500 } };
	const struct timespec none = { 0, 0 };
	struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 1, .l_len = 2 };
	struct epoll_event item = { EPOLLIN, { .u64 = 0xabcdef0123456789ULL } }, got;
	int data[2], ev, ep, file;
	char *priv, *shared, buf[64];
	struct itimerval now;
	pthread_t t[3];
	sigset_t set;
	siginfo_t si;
	uint64_t v;
	pid_t kid;

	subject_init(argc, argv);
	want = block(7);
	MUST_SYS(pipe2(wake, O_CLOEXEC));
	MUST_SYS(pipe2(data, O_CLOEXEC));
	MUST(write(data[1], "payload", 7) == 7);
	ev = (int)MUST_SYS(eventfd(42, EFD_CLOEXEC | EFD_NONBLOCK));
	ep = (int)MUST_SYS(epoll_create1(EPOLL_CLOEXEC));
	MUST_SYS(epoll_ctl(ep, EPOLL_CTL_ADD, ev, &item));
	file = (int)MUST_SYS(open("file", O_RDWR | O_CREAT | O_CLOEXEC, 0644));
	MUST(write(file, "0123456789", 10) == 10);
	MUST_SYS(fcntl(file, F_SETLK, &l));
	priv = map_anon(4 * MiB, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	shared = map_anon(MiB, PROT_READ | PROT_WRITE, MAP_SHARED);
	pattern_fill(priv, 4 * MiB, 1);
	pattern_fill(shared, MiB, 2);
	MUST_SYS(setitimer(ITIMER_VIRTUAL, &virt, NULL));
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + 1);
	sigaddset(&set, SIGUSR1);
	MUST_SYS(sigprocmask(SIG_BLOCK, &set, NULL));
	for (int i = 0; i < 3; i++)
		MUST_SYS(sigqueue(getpid(), SIGRTMIN + 1, (union sigval){ .sival_int = i }));
	kid = (pid_t)MUST_SYS(fork());
	if (!kid) {
		pattern_fill(priv, MiB, 3);
		mark("kid");
		await_go();
		await_file("parent.wrote");
		pattern_check("child, private", priv, MiB, 3);
		CHECK_STR("child, shared", shared, "hello");
		CHECK(read(data[0], buf, sizeof(buf)) == 7, "child, pipe: %s", strerror(errno));
		_exit(0);
	}
	await_file("kid");
	for (int i = 0; i < 2; i++)
		MUST(!pthread_create(&t[i], NULL, compute, NULL));
	MUST(!pthread_create(&t[2], NULL, wait_pipe, NULL));
	subject_wait();
	pattern_check("private", priv, 4 * MiB, 1);
	pattern_check("shared", shared, MiB, 2);
	strcpy(shared, "hello");
	mark("parent.wrote");
	check_child("child", kid);
	CHECK(epoll_wait(ep, &got, 1, 0) == 1 && got.data.u64 == item.data.u64, "epoll");
	CHECK(read(ev, &v, 8) == 8 && v == 42, "eventfd: %llu", (unsigned long long)v);
	for (int i = 0; i < 3; i++)
		CHECK(sigtimedwait(&set, &si, &none) == SIGRTMIN + 1 && si.si_value.sival_int == i, "pending signal %d: value %d", i, si.si_value.sival_int);
	CHECK(sigtimedwait(&set, &si, &none) < 0, "a signal too many: %d", si.si_signo);
	CHECK_SYS(getitimer(ITIMER_VIRTUAL, &now));
	CHECK_EQ("interval of the timer", now.it_interval.tv_sec, 7);
	CHECK_EQ("offset", lseek(file, 0, SEEK_CUR), 10);
	CHECK(write(wake[1], "w", 1) == 1, "write: %s", strerror(errno));
	stop = 1;
	for (int i = 0; i < 3; i++)
		pthread_join(t[i], NULL);
	return subject_done();
}
