/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* signalfds: mask, pending signals with values, and one inside an epoll. */
#include <sys/epoll.h>
#include <sys/signalfd.h>

#include "subject.h"

int main(int argc, char **argv)
{
	struct epoll_event ev = { EPOLLIN, { .u64 = 5 } }, got;
	struct signalfd_siginfo si;
	int fd, rt, ep;
	sigset_t set, all;

	subject_init(argc, argv);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGHUP);
	fd = (int)MUST_SYS(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + 1);
	rt = (int)MUST_SYS(signalfd(-1, &set, SFD_NONBLOCK));
	sigfillset(&all);
	MUST_SYS(sigprocmask(SIG_BLOCK, &all, NULL));
	ep = (int)MUST_SYS(epoll_create1(EPOLL_CLOEXEC));
	MUST_SYS(epoll_ctl(ep, EPOLL_CTL_ADD, rt, &ev));
	MUST_SYS(kill(getpid(), SIGHUP));
	MUST_SYS(sigqueue(getpid(), SIGRTMIN + 1, (union sigval){ .sival_int = 99 }));
	subject_wait();
	CHECK(read(fd, &si, sizeof(si)) == sizeof(si) && si.ssi_signo == SIGHUP && si.ssi_pid == (uint32_t)getpid(), "SIGHUP: signal %u from %u", si.ssi_signo, si.ssi_pid);
	CHECK(read(fd, &si, sizeof(si)) < 0 && errno == EAGAIN, "a second signal: %u", si.ssi_signo);
	CHECK(epoll_wait(ep, &got, 1, 0) == 1 && got.data.u64 == 5, "the epoll does not see the pending signal");
	CHECK(read(rt, &si, sizeof(si)) == sizeof(si) && si.ssi_signo == (uint32_t)SIGRTMIN + 1 && si.ssi_int == 99, "realtime: signal %u value %d", si.ssi_signo, si.ssi_int);
	CHECK_SYS(kill(getpid(), SIGUSR1));
	CHECK_SYS(kill(getpid(), SIGUSR2));
	CHECK(read(fd, &si, sizeof(si)) == sizeof(si) && si.ssi_signo == SIGUSR1, "SIGUSR1: %u", si.ssi_signo);
	CHECK(read(fd, &si, sizeof(si)) < 0, "the mask grew: %u", si.ssi_signo);
	return subject_done();
}
