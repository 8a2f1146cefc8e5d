/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A shared mapping of a file that is deleted and open nowhere: its content lives in the mapping alone. Two processes share it. */
#include "subject.h"

int main(int argc, char **argv)
{
	char *p, *w;
	pid_t kid;
	int fd;

	subject_init(argc, argv);
	fd = (int)MUST_SYS(open("doomed", O_RDWR | O_CREAT | O_CLOEXEC, 0600));
	MUST_SYS(ftruncate(fd, 8 * PAGE));
	p = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	w = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 4 * PAGE);
	MUST(p != MAP_FAILED && w != MAP_FAILED);
	close(fd);
	pattern_fill(p, 4 * PAGE, 1);
	pattern_fill(p + 4 * PAGE, 3 * PAGE, 2);
	strcpy(w, "private copy");
	MUST_SYS(unlink("doomed"));
	kid = (pid_t)MUST_SYS(fork());
	if (!kid) {
		await_go();
		await_file("parent.wrote");
		CHECK_STR("child's view", p + PAGE, "hello");
		_exit(0);
	}
	subject_wait();
	pattern_check("first half", p, 4 * PAGE, 1);
	pattern_check("second half", p + 4 * PAGE, 3 * PAGE, 2);
	check_zero("last page", p + 7 * PAGE, PAGE);
	CHECK_STR("private page", w, "private copy");
	strcpy(p + 6 * PAGE, "seen through the other");
	CHECK_STR("private mapping of the same file", w + 2 * PAGE, "seen through the other");
	strcpy(p + PAGE, "hello");
	mark("parent.wrote");
	check_child("child", kid);
	CHECK(access("doomed", F_OK) < 0, "the deleted file is back");
	return subject_done();
}
