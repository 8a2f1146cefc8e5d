/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Job control: children stopped by different signals, one of whose stops the parent has yet to collect; they continue when told. */
#include "subject.h"

static const int sigs[3] = { SIGSTOP, SIGTSTP, SIGTTIN };

int main(int argc, char **argv)
{
	pid_t kid[3];
	int st;

	subject_init(argc, argv);
	for (int i = 0; i < 3; i++) {
		kid[i] = (pid_t)MUST_SYS(fork());
		if (!kid[i]) {
			(void)setpgid(0, 0); /* A group with a parent outside it: not orphaned, so terminal stops work. */
			(void)raise(sigs[i]);
			CHECK_EQ("pgid", getpgid(0), getpid());
			_exit(20 + i);
		}
		while (task_state(kid[i]) != 'T')
			sleep_ms(1);
	}
	for (int i = 0; i < 2; i++) {
		MUST(waitpid(kid[i], &st, WUNTRACED) == kid[i]);
		MUST(WIFSTOPPED(st) && WSTOPSIG(st) == sigs[i]);
	}
	subject_wait();
	for (int i = 0; i < 3; i++)
		CHECK(task_state(kid[i]) == 'T', "child %d is in state %c", i, task_state(kid[i]));
	CHECK(waitpid(kid[2], &st, WUNTRACED | WNOHANG) == kid[2] && WIFSTOPPED(st) && WSTOPSIG(st) == SIGTTIN, "the stop of child 2 is lost: %x", st);
	for (int i = 0; i < 3; i++) {
		while (waitpid(kid[i], &st, WUNTRACED | WNOHANG) > 0)
			;
		CHECK_SYS(kill(kid[i], SIGCONT));
		CHECK(waitpid(kid[i], &st, 0) == kid[i] && WIFEXITED(st) && WEXITSTATUS(st) == 20 + i, "child %d ended with %x", i, st);
	}
	return subject_done();
}
