/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who shares an open file description: dup within a process, fork, and a second open of the same file, which shares nothing. Close-on-exec flags, high numbers. */
#include "subject.h"

int main(int argc, char **argv)
{
	int a, b, c, hi;
	pid_t kid;

	subject_init(argc, argv);
	a = (int)MUST_SYS(open("file", O_RDWR | O_CREAT | O_CLOEXEC, 0644));
	MUST_SYS(ftruncate(a, 100000));
	b = (int)MUST_SYS(dup(a));
	hi = (int)MUST_SYS(fcntl(a, F_DUPFD_CLOEXEC, 900));
	c = (int)MUST_SYS(open("file", O_RDWR));
	MUST_SYS(lseek(a, 1000, SEEK_SET));
	MUST_SYS(lseek(c, 77, SEEK_SET));
	kid = (pid_t)MUST_SYS(fork());
	if (!kid) {
		close(b);
		mark("kid");
		await_go();
		CHECK_EQ("offset in the child", lseek(a, 0, SEEK_CUR), 1000);
		CHECK_SYS(lseek(a, 2000, SEEK_SET));
		CHECK_SYS(lseek(c, 5, SEEK_CUR));
		CHECK(fcntl(b, F_GETFD) < 0, "an fd closed in the child is back");
		_exit(0);
	}
	await_file("kid");
	subject_wait();
	check_child("child", kid);
	CHECK_EQ("offset set by the child", lseek(a, 0, SEEK_CUR), 2000);
	CHECK_EQ("offset through dup", lseek(b, 0, SEEK_CUR), 2000);
	CHECK_EQ("offset through the high number", lseek(hi, 0, SEEK_CUR), 2000);
	CHECK_EQ("offset of the other open", lseek(c, 0, SEEK_CUR), 82);
	CHECK_EQ("flags of a", fcntl(a, F_GETFD), FD_CLOEXEC);
	CHECK_EQ("flags of b", fcntl(b, F_GETFD), 0);
	CHECK_EQ("flags of the high number", fcntl(hi, F_GETFD), FD_CLOEXEC);
	CHECK_EQ("flags of c", fcntl(c, F_GETFD), 0);
	CHECK_EQ("next free number", open("/dev/null", O_RDONLY | O_CLOEXEC), c + 1);
	return subject_done();
}
