/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Dead children that nobody has waited for: exit codes, deaths by signal, a user id of its own, and one without an exit signal. */
#include <sched.h>

#include "subject.h"

static int leave(void *arg)
{
	_exit(66);
}

int main(int argc, char **argv)
{
	static char stack[64 * 1024] __attribute__((aligned(16)));
	pid_t kid[5];
	siginfo_t si;
	int st;

	subject_init(argc, argv);
	for (int i = 0; i < 4; i++) {
		kid[i] = (pid_t)MUST_SYS(fork());
		if (!kid[i]) {
			if (i == 0)
				_exit(7);
			if (i == 1)
				for (;;)
					sleep_ms(1000);
			if (i == 2) {
				const struct rlimit none = { 0, 0 };

				(void)setrlimit(RLIMIT_CORE, &none);
				(void)signal(SIGSEGV, SIG_DFL);
				(void)raise(SIGSEGV);
			}
			(void)prctl(PR_SET_NAME, "late zombie");
			(void)setpgid(0, 0);
			_exit(255);
		}
	}
	MUST_SYS(kill(kid[1], SIGKILL));
	kid[4] = (pid_t)MUST_SYS(clone(leave, stack + sizeof(stack), 0, NULL));
	for (int i = 0; i < 5; i++)
		while (task_state(kid[i]) != 'Z')
			sleep_ms(1);
	subject_wait();
	CHECK(waitpid(kid[0], &st, 0) == kid[0] && WIFEXITED(st) && WEXITSTATUS(st) == 7, "exit 7: %x", st);
	CHECK(waitpid(kid[1], &st, 0) == kid[1] && WIFSIGNALED(st) && WTERMSIG(st) == SIGKILL, "SIGKILL: %x", st);
	memset(&si, 0, sizeof(si));
	CHECK(!waitid(P_PID, (id_t)kid[2], &si, WEXITED) && si.si_status == SIGSEGV && si.si_code == CLD_KILLED, "SIGSEGV: status %d code %d", si.si_status,
	      si.si_code);
	CHECK(waitpid(-kid[3], &st, 0) == kid[3] && WIFEXITED(st) && WEXITSTATUS(st) == 255, "exit 255 in its own group: %x", st);
	CHECK(waitpid(kid[4], &st, 0) < 0 && errno == ECHILD, "a child without an exit signal was collected by a plain wait");
	CHECK(waitpid(kid[4], &st, __WCLONE) == kid[4] && WEXITSTATUS(st) == 66, "child without exit signal: %x", st);
	return subject_done();
}
