/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Attributes of a process that live in /proc or in calls of their own: oom_score_adj, coredump_filter, personality, umask. */
#include <sys/personality.h>

#include "subject.h"

static void get(const char *path, char out[64])
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = read(fd, out, 63);

	out[n > 0 ? n : 0] = 0;
	out[strcspn(out, "\n")] = 0;
	close(fd);
}

int main(int argc, char **argv)
{
	char v[64];

	subject_init(argc, argv);
	put_file("/proc/self/oom_score_adj", 0, "321");
	put_file("/proc/self/coredump_filter", 0, "0x4d");
	MUST_SYS(personality(ADDR_NO_RANDOMIZE | UNAME26 | STICKY_TIMEOUTS));
	(void)umask(0137);
	subject_wait();
	get("/proc/self/oom_score_adj", v);
	CHECK_STR("oom_score_adj", v, "321");
	get("/proc/self/coredump_filter", v);
	CHECK_STR("coredump_filter", v, "0000004d");
	CHECK_EQ("personality", personality(0xffffffff), ADDR_NO_RANDOMIZE | UNAME26 | STICKY_TIMEOUTS);
	CHECK_EQ("umask", umask(0), 0137);
	return subject_done();
}
