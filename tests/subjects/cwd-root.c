/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* e2e: maybe */
/* Current directory and root directory, of a process that changed its root and of one that sits in a directory of its own. */
#include "subject.h"

int main(int argc, char **argv)
{
	char buf[1024], want[1024];
	pid_t kid;

	subject_init(argc, argv);
	if (geteuid())
		subject_skip("not root");
	MUST_SYS(mkdir("jail", 0777));
	MUST_SYS(mkdir("jail/inner dir", 0777));
	MUST_SYS(mkdir("place", 0777));
	kid = (pid_t)MUST_SYS(fork());
	if (!kid) { /* Inside, the subject's directory is the root: the files of the protocol are seen under /. */
		MUST_SYS(chroot(subject_dir));
		MUST_SYS(chdir("/jail/inner dir"));
		subject_dir[0] = 0;
		mark("jailed");
		await_go();
		CHECK(getcwd(buf, sizeof(buf)), "getcwd: %s", strerror(errno));
		CHECK_STR("directory in the changed root", buf, "/jail/inner dir");
		CHECK(access("/etc/passwd", F_OK) < 0, "the root is not changed");
		CHECK(access("/jail", F_OK) == 0, "the root is elsewhere");
		_exit(0);
	}
	await_file("jailed");
	MUST_SYS(chdir("place"));
	MUST(getcwd(want, sizeof(want)));
	subject_wait();
	CHECK(getcwd(buf, sizeof(buf)), "getcwd: %s", strerror(errno));
	CHECK_STR("directory", buf, want);
	CHECK(access("/etc/passwd", F_OK) == 0, "the root is changed");
	check_child("jailed child", kid);
	return subject_done();
}
