/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* e2e: maybe */
/* Processes that share what processes normally own: the table of files, directory and umask, memory, signal handlers. */
#include <sched.h>

#include "subject.h"

static char stacks[4][128 * 1024] __attribute__((aligned(16)));
static volatile int by_child;

static void handler(int sig)
{
}

static int share_files(void *arg)
{
	mark("files");
	await_go();
	if (dup2(0, 77) != 77)
		_exit(1);
	mark("files.done");
	_exit(0);
}

static int share_fs(void *arg)
{
	mark("fs");
	await_go();
	if (chdir("/tmp") < 0)
		_exit(1);
	(void)umask(0123);
	mark("fs.done");
	_exit(0);
}

static int share_vm(void *arg)
{
	mark("vm");
	await_go();
	by_child = 4242;
	mark("vm.done");
	_exit(0);
}

static int share_sighand(void *arg)
{
	const struct sigaction sa = { .sa_handler = handler };

	mark("sighand");
	await_go();
	if (sigaction(SIGUSR2, &sa, NULL) < 0)
		_exit(1);
	mark("sighand.done");
	_exit(0);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name, *done;
		int (*fn)(void *);
		int flags;
	} kids[4] = { { "files", "files.done", share_files, CLONE_FILES },
		      { "fs", "fs.done", share_fs, CLONE_FS },
		      { "vm", "vm.done", share_vm, CLONE_VM },
		      { "sighand", "sighand.done", share_sighand, CLONE_VM | CLONE_SIGHAND } };
	struct sigaction old;
	char cwd[512] = "";
	pid_t pid[4];

	subject_init(argc, argv);
	for (int i = 0; i < 4; i++) {
		pid[i] = (pid_t)MUST_SYS(clone(kids[i].fn, stacks[i] + sizeof(stacks[i]), kids[i].flags | SIGCHLD, NULL));
		await_file(kids[i].name);
	}
	subject_wait();
	for (int i = 0; i < 4; i++)
		check_child(kids[i].name, pid[i]);
	CHECK(fcntl(77, F_GETFD) >= 0, "CLONE_FILES: the child's fd is not seen");
	CHECK(getcwd(cwd, sizeof(cwd)) && !strcmp(cwd, "/tmp"), "CLONE_FS: directory %s", cwd);
	CHECK_EQ("CLONE_FS: umask", umask(0), 0123);
	CHECK_EQ("CLONE_VM", by_child, 4242);
	CHECK_SYS(sigaction(SIGUSR2, NULL, &old));
	CHECK(old.sa_handler == handler, "CLONE_SIGHAND: the child's handler is not seen");
	return subject_done();
}
