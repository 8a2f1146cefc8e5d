/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* e2e: maybe */
/* vfork as programs call it: the child borrows the parent's stack, at a depth of its own. */
#include "subject.h"

#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
static volatile int done;

int main(int argc, char **argv)
{
	int st = 0;
	pid_t pid;

	subject_init(argc, argv);
	pid = vfork();
	if (!pid) {
		subject_wait();
		done = 1;
		_exit(9);
	}
	CHECK(pid > 0, "vfork: %s", strerror(errno));
	CHECK_EQ("done by the child before the parent went on", done, 1);
	CHECK(waitpid(pid, &st, 0) == pid && WEXITSTATUS(st) == 9, "status %x", st);
	return subject_done();
}
