/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* FIFOs: data queued, both ends in one process or in two, a reader without a writer, a descriptor for both directions. */
#include <sys/poll.h>

#include "subject.h"

int main(int argc, char **argv)
{
	int r, w, both, lone;
	struct pollfd p;
	char buf[64];
	pid_t kid;

	subject_init(argc, argv);
	MUST_SYS(mkfifo("a", 0600));
	MUST_SYS(mkfifo("b", 0600));
	MUST_SYS(mkfifo("c", 0600));
	r = (int)MUST_SYS(open("a", O_RDONLY | O_NONBLOCK | O_CLOEXEC));
	kid = (pid_t)MUST_SYS(fork());
	if (!kid) {
		close(r);
		w = (int)MUST_SYS(open("a", O_WRONLY | O_CLOEXEC));
		MUST(write(w, "early ", 6) == 6);
		mark("kid");
		await_go();
		CHECK(write(w, "late", 4) == 4, "write: %s", strerror(errno));
		_exit(0);
	}
	both = (int)MUST_SYS(open("b", O_RDWR | O_CLOEXEC));
	MUST(write(both, "queue", 5) == 5);
	lone = (int)MUST_SYS(open("c", O_RDONLY | O_NONBLOCK | O_CLOEXEC));
	await_file("kid");
	subject_wait();
	check_child("child", kid);
	memset(buf, 0, sizeof(buf));
	CHECK_EQ("bytes", read(r, buf, sizeof(buf)), 10);
	CHECK_STR("data", buf, "early late");
	CHECK_EQ("end of file", read(r, buf, sizeof(buf)), 0);
	CHECK_EQ("flags", fcntl(r, F_GETFL) & (O_ACCMODE | O_NONBLOCK), O_RDONLY | O_NONBLOCK);
	CHECK(write(both, "+", 1) == 1 && read(both, buf, sizeof(buf)) == 6 && !memcmp(buf, "queue+", 6), "both directions");
	CHECK_EQ("access mode", fcntl(both, F_GETFL) & O_ACCMODE, O_RDWR);
	CHECK_EQ("reader without a writer", read(lone, buf, 1), 0);
	w = open("c", O_WRONLY | O_NONBLOCK | O_CLOEXEC);
	CHECK(w >= 0 && write(w, "z", 1) == 1, "a new writer: %s", strerror(errno));
	p = (struct pollfd){ lone, POLLIN, 0 };
	CHECK_EQ("poll", poll(&p, 1, 1000), 1);
	return subject_done();
}
