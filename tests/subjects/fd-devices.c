/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Memory devices. */
#include <sys/sysmacros.h>

#include "subject.h"

int main(int argc, char **argv)
{
	static const struct {
		const char *path;
		int flags;
		unsigned minor;
	} devs[] = { { "/dev/null", O_RDWR, 3 }, { "/dev/null", O_WRONLY | O_APPEND, 3 }, { "/dev/zero", O_RDONLY, 5 }, { "/dev/full", O_RDWR | O_NONBLOCK, 7 },
		     { "/dev/random", O_RDONLY, 8 }, { "/dev/urandom", O_RDONLY, 9 } };
	int fd[COUNT(devs)], want[COUNT(devs)];
	uint64_t w = 1;
	struct stat st;

	subject_init(argc, argv);
	for (size_t i = 0; i < COUNT(devs); i++) {
		fd[i] = (int)MUST_SYS(open(devs[i].path, devs[i].flags | O_CLOEXEC));
		want[i] = (int)MUST_SYS(fcntl(fd[i], F_GETFL));
	}
	subject_wait();
	for (size_t i = 0; i < COUNT(devs); i++) {
		CHECK(!fstat(fd[i], &st) && st.st_rdev == makedev(1, devs[i].minor), "%s is device %lx", devs[i].path, (long)st.st_rdev);
		CHECK_EQ(devs[i].path, fcntl(fd[i], F_GETFL), want[i]);
	}
	CHECK_EQ("write to null", write(fd[0], "x", 1), 1);
	CHECK(read(fd[2], &w, 8) == 8 && w == 0, "read of zero");
	CHECK(write(fd[3], "x", 1) < 0 && errno == ENOSPC, "write to full");
	CHECK(read(fd[5], &w, 8) == 8, "read of urandom");
	return subject_done();
}
