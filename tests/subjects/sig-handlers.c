/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* All 64 signal actions: handler, flags, mask and restorer, as the kernel holds them. */
#include "subject.h"

struct kernel_action {
	uintptr_t handler;
	unsigned long flags;
	uintptr_t restorer;
	uint64_t mask;
};

static volatile int hits;

static void on_signal(int sig)
{
	hits++;
}

static void on_info(int sig, siginfo_t *si, void *ctx)
{
	hits += si->si_signo == sig ? 10 : 1000;
}

static long action(int sig, const struct kernel_action *new, struct kernel_action *old)
{
	return syscall(SYS_rt_sigaction, sig, new, old, sizeof(uint64_t));
}

int main(int argc, char **argv)
{
	struct kernel_action want[65], got, sample;
	const struct sigaction sa = { .sa_handler = on_signal };
	sigset_t mask, now;

	subject_init(argc, argv);
	MUST_SYS(sigaction(SIGUSR1, &sa, NULL));
	MUST_SYS(action(SIGUSR1, NULL, &sample));
	for (int i = 1; i <= 64; i++) {
		if (i != SIGKILL && i != SIGSTOP) {
			struct kernel_action a = sample;

			a.mask = pattern_word(5, (size_t)i) & ~(1ULL << (SIGKILL - 1) | 1ULL << (SIGSTOP - 1));
			if (i % 5 == 1)
				a = (struct kernel_action){ .handler = (uintptr_t)SIG_IGN };
			else if (i % 5 == 2 && i != SIGUSR2)
				a = (struct kernel_action){ .handler = (uintptr_t)SIG_DFL };
			else if (i % 5 == 3)
				a = (struct kernel_action){ (uintptr_t)on_info, a.flags | SA_SIGINFO | SA_RESTART, a.restorer, a.mask };
			else if (i % 5 == 4)
				a.flags |= SA_NODEFER | SA_ONSTACK | (i == SIGUSR2 ? 0 : SA_RESETHAND);
			if (i == SIGCHLD)
				a.flags |= SA_NOCLDSTOP | SA_NOCLDWAIT;
			MUST_SYS(action(i, &a, NULL));
		}
		MUST_SYS(action(i, NULL, &want[i]));
	}
	sigfillset(&mask);
	sigdelset(&mask, SIGUSR2);
	sigdelset(&mask, SIGRTMIN + 5);
	MUST_SYS(sigprocmask(SIG_SETMASK, &mask, NULL));
	MUST_SYS(sigprocmask(SIG_SETMASK, NULL, &mask));
	subject_wait();
	for (int i = 1; i <= 64; i++) {
		CHECK_SYS(action(i, NULL, &got));
		CHECK(got.handler == want[i].handler, "signal %d: handler %lx, expected %lx", i, (long)got.handler, (long)want[i].handler);
		CHECK(got.flags == want[i].flags, "signal %d: flags %lx, expected %lx", i, got.flags, want[i].flags);
		CHECK(got.restorer == want[i].restorer, "signal %d: restorer %lx, expected %lx", i, (long)got.restorer, (long)want[i].restorer);
		CHECK(got.mask == want[i].mask, "signal %d: mask %llx, expected %llx", i, (unsigned long long)got.mask, (unsigned long long)want[i].mask);
	}
	CHECK_SYS(sigprocmask(SIG_SETMASK, NULL, &now));
	CHECK(!memcmp(&mask, &now, 8), "the blocked mask changed");
	hits = 0;
	(void)raise(SIGUSR2); /* 12: a plain handler. */
	CHECK(hits > 0, "the handler of SIGUSR2 did not run");
	return subject_done();
}
