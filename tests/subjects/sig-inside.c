/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A dump in the middle of nested signal handlers: frames, masks and the interrupted system calls below must unwind. */
#include "subject.h"

static volatile int depth, unwound;
static int fds[2];

static void on_inner(int sig, siginfo_t *si, void *ctx)
{
	depth++;
	subject_wait();
	unwound++;
}

static void on_outer(int sig, siginfo_t *si, void *ctx)
{
	sigset_t now;

	depth++;
	(void)raise(SIGUSR2);
	CHECK_SYS(sigprocmask(SIG_SETMASK, NULL, &now));
	CHECK(sigismember(&now, SIGUSR1) && sigismember(&now, SIGHUP) && !sigismember(&now, SIGUSR2), "mask in the outer handler");
	unwound++;
	CHECK(write(fds[1], "x", 1) == 1, "write: %s", strerror(errno));
}

int main(int argc, char **argv)
{
	struct sigaction sa = { .sa_sigaction = on_outer, .sa_flags = SA_SIGINFO | SA_RESTART };
	sigset_t now;
	pid_t self, kid;
	char c = 0;

	subject_init(argc, argv);
	self = getpid();
	MUST_SYS(pipe2(fds, O_CLOEXEC));
	sigaddset(&sa.sa_mask, SIGHUP);
	MUST_SYS(sigaction(SIGUSR1, &sa, NULL));
	sa.sa_sigaction = on_inner;
	MUST_SYS(sigaction(SIGUSR2, &sa, NULL));
	kid = (pid_t)MUST_SYS(fork());
	if (!kid) {
		await_sleeping(self);
		(void)kill(self, SIGUSR1);
		_exit(0);
	}
	CHECK(read(fds[0], &c, 1) == 1 && c == 'x', "restarted read: %s", strerror(errno));
	CHECK_EQ("handlers entered", depth, 2);
	CHECK_EQ("handlers left", unwound, 2);
	CHECK_SYS(sigprocmask(SIG_SETMASK, NULL, &now));
	CHECK(!sigismember(&now, SIGUSR1) && !sigismember(&now, SIGUSR2) && !sigismember(&now, SIGHUP), "mask after the handlers");
	check_child("sender", kid);
	return subject_done();
}
