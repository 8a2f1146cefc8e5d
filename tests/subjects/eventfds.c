/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* eventfds: zero, large counts, semaphore mode, shared with a child. */
#include <sys/eventfd.h>

#include "subject.h"

int main(int argc, char **argv)
{
	int zero, huge, full, sem, shared;
	uint64_t v;
	pid_t kid;

	subject_init(argc, argv);
	zero = (int)MUST_SYS(eventfd(0, EFD_NONBLOCK));
	huge = (int)MUST_SYS(eventfd(7, EFD_CLOEXEC));
	v = 0x1234567890abcdefULL;
	MUST(write(huge, &v, 8) == 8);
	full = (int)MUST_SYS(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
	v = UINT64_MAX - 1;
	MUST(write(full, &v, 8) == 8);
	sem = (int)MUST_SYS(eventfd(3, EFD_SEMAPHORE | EFD_NONBLOCK));
	shared = (int)MUST_SYS(eventfd(0, 0));
	kid = (pid_t)MUST_SYS(fork());
	if (!kid) {
		await_go();
		v = 5;
		CHECK(write(shared, &v, 8) == 8, "write: %s", strerror(errno));
		_exit(0);
	}
	subject_wait();
	CHECK(read(zero, &v, 8) < 0 && errno == EAGAIN, "zero: %s", strerror(errno));
	CHECK(read(huge, &v, 8) == 8 && v == 0x1234567890abcdefULL + 7, "huge: %llx", (unsigned long long)v);
	v = 1;
	CHECK(write(full, &v, 8) < 0 && errno == EAGAIN, "full takes more");
	CHECK(read(full, &v, 8) == 8 && v == UINT64_MAX - 1, "full: %llx", (unsigned long long)v);
	for (int i = 0; i < 3; i++)
		CHECK(read(sem, &v, 8) == 8 && v == 1, "semaphore, read %d: %llu", i, (unsigned long long)v);
	CHECK(read(sem, &v, 8) < 0 && errno == EAGAIN, "semaphore: a fourth read");
	CHECK(read(shared, &v, 8) == 8 && v == 5, "shared: %llu", (unsigned long long)v);
	check_child("child", kid);
	CHECK_EQ("flags", fcntl(huge, F_GETFD), FD_CLOEXEC);
	CHECK_EQ("flags", fcntl(zero, F_GETFD), 0);
	return subject_done();
}
