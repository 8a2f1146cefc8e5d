/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* e2e: maybe */
/* Descriptors in flight inside UNIX sockets: a file whose offset is shared with one still open, a pipe end that exists only in the queue, a socket in itself. */
#include <sys/socket.h>

#include "subject.h"

static void send_fds(int sock, char tag, int n, const int *fds)
{
	_Alignas(struct cmsghdr) char ctl[CMSG_SPACE(4 * sizeof(int))] = "";
	struct iovec iov = { &tag, 1 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = ctl, .msg_controllen = CMSG_SPACE((size_t)n * sizeof(int)) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN((size_t)n * sizeof(int));
	memcpy(CMSG_DATA(c), fds, (size_t)n * sizeof(int));
	MUST(sendmsg(sock, &m, 0) == 1);
}

static int recv_fds(int sock, char tag, int *fds)
{
	_Alignas(struct cmsghdr) char ctl[CMSG_SPACE(4 * sizeof(int))] = "";
	char got = 0;
	struct iovec iov = { &got, 1 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = ctl, .msg_controllen = sizeof(ctl) };
	struct cmsghdr *c;
	int n = 0;

	CHECK(recvmsg(sock, &m, MSG_CMSG_CLOEXEC | MSG_DONTWAIT) == 1 && got == tag, "message %c: got '%c', %s", tag, got, strerror(errno));
	for (c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c))
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
			n = (int)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
			memcpy(fds, CMSG_DATA(c), (size_t)n * sizeof(int));
		}
	return n;
}

int main(int argc, char **argv)
{
	int sv[2], dg[2], p[2], file, fds[4], inner[2];
	char buf[16];

	subject_init(argc, argv);
	MUST_SYS(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv));
	MUST_SYS(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, dg));
	MUST_SYS(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, inner));
	file = (int)MUST_SYS(open("file", O_RDWR | O_CREAT | O_CLOEXEC, 0644));
	MUST_SYS(lseek(file, 500, SEEK_SET));
	MUST_SYS(pipe2(p, O_CLOEXEC));
	MUST(write(p[1], "in flight", 9) == 9);
	send_fds(sv[0], 'a', 2, (int[]){ file, p[0] });
	close(p[0]);
	MUST(send(inner[0], "deep", 4, 0) == 4);
	send_fds(sv[0], 'b', 1, (int[]){ inner[1] });
	close(inner[1]);
	send_fds(dg[0], 'c', 3, (int[]){ dg[1], sv[1], p[1] });
	close(p[1]);
	subject_wait();
	CHECK_EQ("descriptors in the first message", recv_fds(sv[1], 'a', fds), 2);
	CHECK_SYS(lseek(file, 600, SEEK_SET));
	CHECK_EQ("offset through the one in flight", lseek(fds[0], 0, SEEK_CUR), 600);
	CHECK(read(fds[1], buf, sizeof(buf)) == 9 && !memcmp(buf, "in flight", 9), "pipe in flight: %s", strerror(errno));
	CHECK_EQ("descriptors in the second message", recv_fds(sv[1], 'b', fds), 1);
	CHECK(recv(fds[0], buf, sizeof(buf), 0) == 4 && !memcmp(buf, "deep", 4), "socket in flight: %s", strerror(errno));
	CHECK_EQ("descriptors in the datagram", recv_fds(dg[1], 'c', fds), 3);
	CHECK(send(dg[0], "z", 1, 0) == 1 && recv(fds[0], buf, 1, 0) == 1, "socket that carried itself: %s", strerror(errno));
	CHECK(write(fds[2], "w", 1) == 1 || errno == EPIPE, "pipe end: %s", strerror(errno));
	return subject_done();
}
