/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * e2e: maybe
 * UNIX sockets with names: listeners by path and by abstract name, accepted connections, datagram sockets connected to each other, credentials.
 */
#include <sys/socket.h>
#include <sys/un.h>

#include "subject.h"

static struct sockaddr_un addr_of(const char *path, socklen_t *ret_len)
{
	struct sockaddr_un a = { AF_UNIX, "" };
	bool abstract = path[0] == '@';

	(void)snprintf(a.sun_path + abstract, sizeof(a.sun_path) - 1, "%s", path + abstract);
	*ret_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path) + !abstract);
	return a;
}

static int bound(int type, const char *path)
{
	int fd = (int)MUST_SYS(socket(AF_UNIX, type | SOCK_CLOEXEC, 0));
	socklen_t len;
	struct sockaddr_un a = addr_of(path, &len);

	MUST_SYS(bind(fd, (struct sockaddr *)&a, len));
	return fd;
}

static int link_to(int fd, const char *path)
{
	socklen_t len;
	struct sockaddr_un a = addr_of(path, &len);

	return connect(fd, (struct sockaddr *)&a, len);
}

int main(int argc, char **argv)
{
	int l, la, c, s, d1, d2, n;
	struct sockaddr_un a;
	socklen_t len = sizeof(a);
	struct ucred cred;
	char name[64], buf[16];

	subject_init(argc, argv);
	(void)snprintf(name, sizeof(name), "@e2e-%d", getpid());
	l = bound(SOCK_STREAM, "listen.sock");
	MUST_SYS(listen(l, 7));
	la = bound(SOCK_SEQPACKET, name);
	MUST_SYS(listen(la, 3));
	c = (int)MUST_SYS(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
	MUST_SYS(link_to(c, "listen.sock"));
	s = (int)MUST_SYS(accept4(l, NULL, NULL, SOCK_CLOEXEC));
	MUST(send(c, "hi", 2, 0) == 2);
	d1 = bound(SOCK_DGRAM, "d1.sock");
	d2 = bound(SOCK_DGRAM, "d2.sock");
	MUST_SYS(link_to(d1, "d2.sock"));
	MUST(send(d1, "gram", 4, 0) == 4);
	subject_wait();
	CHECK(recv(s, buf, sizeof(buf), 0) == 2, "accepted connection: %s", strerror(errno));
	CHECK(send(s, "yo", 2, 0) == 2 && recv(c, buf, sizeof(buf), 0) == 2, "back: %s", strerror(errno));
	memset(&a, 0, sizeof(a));
	CHECK_SYS(getsockname(s, (struct sockaddr *)&a, &len));
	CHECK_STR("name of the accepted socket", a.sun_path, "listen.sock");
	len = sizeof(cred);
	CHECK_SYS(getsockopt(s, SOL_SOCKET, SO_PEERCRED, &cred, &len));
	CHECK_EQ("pid of the peer", cred.pid, getpid());
	memset(&a, 0, sizeof(a));
	len = sizeof(a);
	CHECK(recvfrom(d2, buf, sizeof(buf), 0, (struct sockaddr *)&a, &len) == 4, "datagram: %s", strerror(errno));
	CHECK_STR("sender of the datagram", a.sun_path, "d1.sock");
	CHECK(send(d1, "more", 4, 0) == 4 && recv(d2, buf, sizeof(buf), 0) == 4, "new datagram: %s", strerror(errno));
	n = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CHECK(link_to(n, "listen.sock") == 0 && accept(l, NULL, NULL) >= 0, "new connection: %s", strerror(errno));
	n = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	CHECK(link_to(n, name) == 0 && accept(la, NULL, NULL) >= 0, "new connection by abstract name: %s", strerror(errno));
	return subject_done();
}
