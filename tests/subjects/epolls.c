/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* epoll: level, edge and one-shot items, 64-bit data, nesting, one file twice, items ready. A spent one-shot item is armed again before the dump: that it is
 * spent cannot be set by epoll_ctl(2), and is reported as lost. */
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "subject.h"

static void add(int ep, int fd, uint32_t events, uint64_t data)
{
	struct epoll_event ev = { events, { .u64 = data } };

	MUST_SYS(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev));
}

static int take(int ep, uint64_t data)
{
	struct epoll_event ev[16];
	int n = epoll_wait(ep, ev, 16, 0);

	for (int i = 0; i < n; i++)
		if (ev[i].data.u64 == data)
			return (int)ev[i].events;
	return 0;
}

int main(int argc, char **argv)
{
	struct epoll_event mod = { EPOLLIN | EPOLLONESHOT, { .u64 = 0xfeed000000000002ULL } };
	int ep, nested, level, edge, shot, dupd, copy;
	uint64_t one = 1;

	subject_init(argc, argv);
	ep = (int)MUST_SYS(epoll_create1(EPOLL_CLOEXEC));
	nested = (int)MUST_SYS(epoll_create1(0));
	level = (int)MUST_SYS(eventfd(1, EFD_NONBLOCK));
	edge = (int)MUST_SYS(eventfd(0, EFD_NONBLOCK));
	shot = (int)MUST_SYS(eventfd(1, EFD_NONBLOCK));
	dupd = (int)MUST_SYS(eventfd(0, EFD_NONBLOCK));
	add(nested, level, EPOLLIN, 0xfeed000000000000ULL);
	add(ep, edge, EPOLLIN | EPOLLET, 0xfeed000000000001ULL);
	add(ep, shot, EPOLLIN | EPOLLONESHOT, 0xfeed000000000002ULL);
	add(ep, nested, EPOLLIN, 0xfeed000000000003ULL);
	add(ep, dupd, EPOLLIN | EPOLLRDHUP | EPOLLPRI, 0xfeed000000000004ULL);
	copy = (int)MUST_SYS(dup(dupd));
	add(ep, copy, EPOLLIN, 0xfeed000000000005ULL); /* The same file twice, by another number. */
	MUST(take(ep, 0xfeed000000000002ULL) == EPOLLIN); /* Spent until armed again. */
	MUST_SYS(epoll_ctl(ep, EPOLL_CTL_MOD, shot, &mod));
	subject_wait();
	CHECK_EQ("one-shot item armed again", take(ep, 0xfeed000000000002ULL), EPOLLIN);
	CHECK_EQ("nested epoll", take(ep, 0xfeed000000000003ULL), EPOLLIN);
	CHECK_EQ("item inside", take(nested, 0xfeed000000000000ULL), EPOLLIN);
	CHECK_EQ("edge item before its event", take(ep, 0xfeed000000000001ULL), 0);
	CHECK(write(edge, &one, 8) == 8, "write: %s", strerror(errno));
	CHECK_EQ("edge item", take(ep, 0xfeed000000000001ULL), EPOLLIN);
	CHECK_EQ("edge item, second look", take(ep, 0xfeed000000000001ULL), 0);
	CHECK(write(copy, &one, 8) == 8, "write: %s", strerror(errno));
	CHECK_EQ("item of the original", take(ep, 0xfeed000000000004ULL), EPOLLIN);
	CHECK_EQ("item of the duplicate", take(ep, 0xfeed000000000005ULL), EPOLLIN);
	CHECK_SYS(epoll_ctl(ep, EPOLL_CTL_DEL, copy, NULL));
	CHECK_EQ("item removed", take(ep, 0xfeed000000000005ULL), 0);
	return subject_done();
}
