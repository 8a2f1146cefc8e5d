/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* epoll items whose number was closed while a duplicate lives on, or was reused for another file: the item belongs to the file, not to the number. */
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "subject.h"

int main(int argc, char **argv)
{
	struct epoll_event ev = { EPOLLIN, { .u64 = 11 } }, got[4];
	int ep, fd, kept, other;
	uint64_t one = 1;

	subject_init(argc, argv);
	ep = (int)MUST_SYS(epoll_create1(EPOLL_CLOEXEC));
	fd = (int)MUST_SYS(eventfd(0, EFD_NONBLOCK));
	MUST_SYS(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev));
	kept = (int)MUST_SYS(fcntl(fd, F_DUPFD, 50));
	close(fd);
	other = (int)MUST_SYS(eventfd(0, EFD_NONBLOCK)); /* Takes the old number. */
	MUST(other == fd);
	ev.data.u64 = 22;
	MUST_SYS(epoll_ctl(ep, EPOLL_CTL_ADD, other, &ev));
	subject_wait();
	CHECK_EQ("events before", epoll_wait(ep, got, 4, 0), 0);
	CHECK(write(kept, &one, 8) == 8, "write: %s", strerror(errno));
	CHECK(epoll_wait(ep, got, 4, 0) == 1 && got[0].data.u64 == 11, "the item of the closed number");
	CHECK(write(other, &one, 8) == 8, "write: %s", strerror(errno));
	CHECK_EQ("events after", epoll_wait(ep, got, 4, 0), 2);
	return subject_done();
}
