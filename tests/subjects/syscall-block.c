/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* System calls that wait without a limit, each in a thread of its own: all must still be waiting after restore, none may report EINTR, and each must see what it waited for. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/poll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "subject.h"

static int pipes[6][2], listener, ufd, lock_fd, full[2];
static volatile uint32_t futex_word;

static long do_read(void)
{
	char c = 0;

	return read(pipes[0][0], &c, 1) == 1 && c == 'r' ? 0 : -1;
}

static long do_poll(void)
{
	struct pollfd p = { pipes[1][0], POLLIN, 0 };

	return poll(&p, 1, -1) == 1 && p.revents == POLLIN ? 0 : -1;
}

static long do_ppoll(void)
{
	struct pollfd p = { pipes[2][0], POLLIN, 0 };
	sigset_t mask;

	sigfillset(&mask);
	sigdelset(&mask, SIGCONT);
	return ppoll(&p, 1, NULL, &mask) == 1 && p.revents == POLLIN ? 0 : -1;
}

static long do_select(void)
{
	fd_set s;

	FD_ZERO(&s);
	FD_SET(pipes[3][0], &s);
	return select(pipes[3][0] + 1, &s, NULL, NULL, NULL) == 1 && FD_ISSET(pipes[3][0], &s) ? 0 : -1;
}

static long do_epoll(void)
{
	struct epoll_event ev = { EPOLLIN, { .u64 = 0x1122334455667788ULL } }, got = { 0, { .u64 = 0 } };
	int fd = epoll_create1(EPOLL_CLOEXEC);
	long r;

	if (epoll_ctl(fd, EPOLL_CTL_ADD, pipes[4][0], &ev) < 0)
		return -1;
	r = epoll_wait(fd, &got, 1, -1) == 1 && got.data.u64 == ev.data.u64 ? 0 : -1;
	close(fd);
	return r;
}

static long do_futex(void)
{
	while (futex_word == 0)
		if (syscall(SYS_futex, &futex_word, 0, 0, NULL, NULL, 0) < 0)
			return -1;
	return 0;
}

static long do_accept(void)
{
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

	close(fd);
	return fd < 0 ? -1 : 0;
}

static long do_recv(void)
{
	char c[4];

	return recv(ufd, c, 4, MSG_WAITALL) == 4 && !memcmp(c, "dgrm", 4) ? 0 : -1;
}

static long do_sigwaitinfo(void)
{
	sigset_t set;
	siginfo_t si;

	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + 3);
	return sigwaitinfo(&set, &si) == SIGRTMIN + 3 && si.si_value.sival_int == 4711 ? 0 : -1;
}

static long do_lock(void)
{
	struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 10 };

	return fcntl(lock_fd, F_OFD_SETLKW, &l);
}

static long do_write(void)
{
	return write(full[1], "w", 1) == 1 ? 0 : -1;
}

static struct waiter {
	const char *name;
	long (*call)(void);
	pthread_t thread;
	volatile pid_t tid;
	volatile bool done;
} waiters[] = {
	{ "read", do_read },     { "poll", do_poll }, { "ppoll", do_ppoll },   { "select", do_select },           { "epoll_wait", do_epoll }, { "futex", do_futex },
	{ "accept", do_accept }, { "recv", do_recv }, { "write", do_write }, { "sigwaitinfo", do_sigwaitinfo }, { "lock", do_lock },
};

static void *run(void *arg)
{
	struct waiter *w = arg;

	w->tid = gettid_();
	if (w->call())
		subject_fail("%s: %s", w->name, strerror(errno));
	w->done = true;
	return NULL;
}

int main(int argc, char **argv)
{
	struct sockaddr_un sun = { AF_UNIX, "block.sock" };
	struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 10 };
	int sv[2], holder, fd;
	char drain[4096];
	sigset_t set;

	subject_init(argc, argv);
	for (int i = 0; i < 6; i++)
		MUST_SYS(pipe2(pipes[i], O_CLOEXEC));
	MUST_SYS(pipe2(full, O_CLOEXEC));
	MUST_SYS(fcntl(full[1], F_SETPIPE_SZ, 4096));
	memset(drain, 'f', sizeof(drain));
	MUST(write(full[1], drain, 4096) == 4096);
	listener = (int)MUST_SYS(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
	MUST_SYS(bind(listener, (struct sockaddr *)&sun, sizeof(sun)));
	MUST_SYS(listen(listener, 5));
	MUST_SYS(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv));
	ufd = sv[0];
	holder = (int)MUST_SYS(open("locked", O_RDWR | O_CREAT | O_CLOEXEC, 0666));
	MUST_SYS(fcntl(holder, F_OFD_SETLK, &l));
	lock_fd = (int)MUST_SYS(open("locked", O_RDWR | O_CLOEXEC));
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + 3);
	MUST_SYS(sigprocmask(SIG_BLOCK, &set, NULL));
	for (size_t i = 0; i < COUNT(waiters); i++)
		MUST(!pthread_create(&waiters[i].thread, NULL, run, &waiters[i]));
	for (size_t i = 0; i < COUNT(waiters); i++) {
		while (!waiters[i].tid)
			sleep_ms(1);
		await_sleeping(waiters[i].tid);
	}
	subject_wait();
	for (size_t i = 0; i < COUNT(waiters); i++)
		CHECK(!waiters[i].done, "%s returned before its event", waiters[i].name);
	for (int i = 0; i < 5; i++)
		CHECK(write(pipes[i][1], "r", 1) == 1, "pipe %d: %s", i, strerror(errno));
	futex_word = 1;
	(void)syscall(SYS_futex, &futex_word, 1, 1, NULL, NULL, 0);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CHECK_SYS(connect(fd, (struct sockaddr *)&sun, sizeof(sun)));
	CHECK(write(sv[1], "dg", 2) == 2 && write(sv[1], "rm", 2) == 2, "socket: %s", strerror(errno));
	CHECK_SYS(sigqueue(getpid(), SIGRTMIN + 3, (union sigval){ .sival_int = 4711 }));
	close(holder);
	CHECK(read(full[0], drain, 4096) == 4096, "full pipe: %s", strerror(errno));
	for (size_t i = 0; i < COUNT(waiters); i++)
		pthread_join(waiters[i].thread, NULL);
	return subject_done();
}
