/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A file of /proc/PID whose process is dead and gone: reading it says so, before and after. */
#include "subject.h"

int main(int argc, char **argv)
{
	char path[64], buf[64];
	int fd, dir;
	pid_t kid;

	subject_init(argc, argv);
	kid = (pid_t)MUST_SYS(fork());
	if (!kid) {
		await_file("opened");
		_exit(0);
	}
	(void)snprintf(path, sizeof(path), "/proc/%d/status", kid);
	fd = (int)MUST_SYS(open(path, O_RDONLY | O_CLOEXEC));
	(void)snprintf(path, sizeof(path), "/proc/%d", kid);
	dir = (int)MUST_SYS(open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	mark("opened");
	MUST(waitpid(kid, NULL, 0) == kid);
	MUST(read(fd, buf, sizeof(buf)) < 0 && errno == ESRCH);
	subject_wait();
	CHECK(read(fd, buf, sizeof(buf)) < 0 && errno == ESRCH, "reading gives %s", strerror(errno));
	CHECK(openat(dir, "status", O_RDONLY | O_CLOEXEC) < 0, "the dead process has a status");
	CHECK_EQ("flags", fcntl(fd, F_GETFD), FD_CLOEXEC);
	return subject_done();
}
