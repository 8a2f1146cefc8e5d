/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* e2e: maybe */
/* A parent that waits in vfork for a child that shares its memory: it must go on waiting until the child exits. */
#include <sched.h>

#include "subject.h"

static volatile int done;
static char stack[256 * 1024] __attribute__((aligned(16)));

static int child(void *arg)
{
	subject_wait();
	CHECK(task_state(subject_pid) != 'R', "the parent runs before its vfork child has ended");
	done = 1;
	_exit(9);
}

int main(int argc, char **argv)
{
	int st = 0;
	pid_t pid;

	subject_init(argc, argv);
	pid = clone(child, stack + sizeof(stack), CLONE_VM | CLONE_VFORK | SIGCHLD, NULL);
	CHECK(pid > 0, "vfork: %s", strerror(errno));
	CHECK_EQ("done by the child before the parent went on", done, 1);
	CHECK(waitpid(pid, &st, 0) == pid && WEXITSTATUS(st) == 9, "status %x", st);
	return subject_done();
}
