/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A shared file mapping in two processes: writes meet each other and the file, at an offset and with different protections. */
#include "subject.h"

#define LEN (16 * PAGE)

int main(int argc, char **argv)
{
	static char buf[LEN];
	volatile char *p, *ro;
	pid_t kid;
	int fd;
	char c;

	subject_init(argc, argv);
	fd = (int)MUST_SYS(open("shared", O_RDWR | O_CREAT | O_CLOEXEC, 0644));
	pattern_fill(buf, LEN, 1);
	MUST(write(fd, buf, LEN) == (ssize_t)LEN);
	p = mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ro = mmap(NULL, 2 * PAGE, PROT_READ, MAP_SHARED, fd, 3 * PAGE);
	MUST(p != MAP_FAILED && ro != MAP_FAILED);
	close(fd);
	p[5] = 'A';
	kid = (pid_t)MUST_SYS(fork());
	if (!kid) {
		mark("child");
		await_go();
		await_file("parent.wrote");
		CHECK(p[3 * PAGE] == 'P' && ro[0] == 'P', "the child does not see the parent's write");
		p[4 * PAGE] = 'C';
		_exit(0);
	}
	await_file("child");
	subject_wait();
	CHECK(p[5] == 'A', "content written before");
	p[3 * PAGE] = 'P';
	mark("parent.wrote");
	check_child("child", kid);
	CHECK(p[4 * PAGE] == 'C' && ro[PAGE] == 'C', "the parent does not see the child's write");
	fd = open("shared", O_RDONLY | O_CLOEXEC);
	CHECK(pread(fd, &c, 1, 4 * PAGE) == 1 && c == 'C', "the file does not see the write");
	CHECK(pread(fd, &c, 1, 5) == 1 && c == 'A', "the file lost the first write");
	return subject_done();
}
