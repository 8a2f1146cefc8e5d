/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Flags and owner of open files: append, non-blocking, async, direct, noatime; signal and owner (process, group, thread) of F_SETOWN. */
#include <sys/socket.h>

#include "subject.h"

static volatile int seen_fd, seen_band;

static void on_io(int sig, siginfo_t *si, void *ctx)
{
	seen_fd = si->si_fd;
	seen_band = (int)si->si_band;
}

int main(int argc, char **argv)
{
	static const int modes[] = { O_RDONLY, O_WRONLY, O_RDWR, O_WRONLY | O_APPEND, O_RDONLY | O_NONBLOCK, O_RDWR | O_NOATIME, O_RDWR | O_SYNC, O_RDWR | O_DSYNC };
	const struct sigaction sa = { .sa_sigaction = on_io, .sa_flags = SA_SIGINFO | SA_RESTART };
	int fd[COUNT(modes)], want[COUNT(modes)], p[2], sv[2];
	struct f_owner_ex own;

	subject_init(argc, argv);
	put_file("file", 0, "0123456789");
	for (size_t i = 0; i < COUNT(modes); i++) {
		fd[i] = (int)MUST_SYS(open("file", modes[i] | O_CLOEXEC));
		want[i] = (int)MUST_SYS(fcntl(fd[i], F_GETFL));
	}
	MUST_SYS(sigaction(SIGRTMIN + 4, &sa, NULL));
	MUST_SYS(pipe2(p, O_CLOEXEC));
	MUST_SYS(fcntl(p[0], F_SETOWN, getpid()));
	MUST_SYS(fcntl(p[0], F_SETSIG, SIGRTMIN + 4));
	MUST_SYS(fcntl(p[0], F_SETFL, O_ASYNC | O_NONBLOCK));
	MUST_SYS(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv));
	MUST_SYS(fcntl(sv[0], F_SETOWN, -getpgid(0)));
	own.type = F_OWNER_TID;
	own.pid = getpid();
	MUST_SYS(fcntl(sv[1], F_SETOWN_EX, &own));
	subject_wait();
	for (size_t i = 0; i < COUNT(modes); i++)
		CHECK_EQ("file flags", fcntl(fd[i], F_GETFL), want[i]);
	CHECK(write(fd[3], "A", 1) == 1 && lseek(fd[3], 0, SEEK_CUR) == 11, "append: at %ld", (long)lseek(fd[3], 0, SEEK_CUR));
	CHECK_EQ("owner", fcntl(p[0], F_GETOWN), getpid());
	CHECK_EQ("signal", fcntl(p[0], F_GETSIG), SIGRTMIN + 4);
	CHECK_EQ("flags of the pipe", fcntl(p[0], F_GETFL) & (O_ASYNC | O_NONBLOCK), O_ASYNC | O_NONBLOCK);
	CHECK(write(p[1], "x", 1) == 1, "write: %s", strerror(errno));
	sleep_ms(5);
	CHECK_EQ("fd of the signal", seen_fd, p[0]);
	CHECK_SYS(fcntl(sv[0], F_GETOWN_EX, &own));
	CHECK(own.type == F_OWNER_PGRP && own.pid == getpgid(0), "group owner: type %d pid %d", own.type, own.pid);
	CHECK_SYS(fcntl(sv[1], F_GETOWN_EX, &own));
	CHECK(own.type == F_OWNER_TID && own.pid == getpid(), "thread owner: type %d pid %d", own.type, own.pid);
	return subject_done();
}
