/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Listening TCP sockets, IPv4 and IPv6, with options; a client connects after the restore. An unbound and a bound but idle socket beside them. */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "subject.h"

union addr {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

static const struct opt {
	const char *name;
	int level, opt, value, want;
} opts[] = {
	{ "reuseaddr", SOL_SOCKET, SO_REUSEADDR, 1, 1 },
	{ "reuseport", SOL_SOCKET, SO_REUSEPORT, 1, 1 },
	{ "keepalive", SOL_SOCKET, SO_KEEPALIVE, 1, 1 },
	{ "priority", SOL_SOCKET, SO_PRIORITY, 5, 5 },
	{ "rcvbuf", SOL_SOCKET, SO_RCVBUF, 50000, 100000 },
	{ "sndbuf", SOL_SOCKET, SO_SNDBUF, 60000, 120000 },
	{ "rcvlowat", SOL_SOCKET, SO_RCVLOWAT, 3, 3 },
	{ "nodelay", IPPROTO_TCP, TCP_NODELAY, 1, 1 },
	{ "keepidle", IPPROTO_TCP, TCP_KEEPIDLE, 77, 77 },
	{ "keepintvl", IPPROTO_TCP, TCP_KEEPINTVL, 7, 7 },
	{ "keepcnt", IPPROTO_TCP, TCP_KEEPCNT, 4, 4 },
	{ "user timeout", IPPROTO_TCP, TCP_USER_TIMEOUT, 12345, 12345 },
};

static int make(int family, union addr *a, socklen_t *len)
{
	int fd = (int)MUST_SYS(socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0)), one = 1;

	for (size_t i = 0; i < COUNT(opts); i++)
		MUST_SYS(setsockopt(fd, opts[i].level, opts[i].opt, &opts[i].value, sizeof(int)));
	memset(a, 0, sizeof(*a));
	a->sa.sa_family = (sa_family_t)family;
	if (family == AF_INET6) {
		MUST_SYS(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)));
		a->in6.sin6_addr = in6addr_loopback;
		*len = sizeof(a->in6);
	} else {
		a->in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		*len = sizeof(a->in);
	}
	MUST_SYS(bind(fd, &a->sa, *len));
	MUST_SYS(getsockname(fd, &a->sa, len));
	return fd;
}

static void check_options(const char *what, int fd)
{
	for (size_t i = 0; i < COUNT(opts); i++) {
		int v = -1;
		socklen_t n = sizeof(v);

		CHECK_SYS(getsockopt(fd, opts[i].level, opts[i].opt, &v, &n));
		CHECK(v == opts[i].want, "%s, %s: expected %d, got %d", what, opts[i].name, opts[i].want, v);
	}
}

static void serve(const char *what, int l, const union addr *a, socklen_t len)
{
	int c = socket(a->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0), s;
	char buf[8];

	CHECK(connect(c, &a->sa, len) == 0, "%s: connect: %s", what, strerror(errno));
	s = accept4(l, NULL, NULL, SOCK_CLOEXEC);
	CHECK(s >= 0, "%s: accept: %s", what, strerror(errno));
	CHECK(send(c, "hello", 5, 0) == 5 && recv(s, buf, 5, MSG_WAITALL) == 5 && !memcmp(buf, "hello", 5), "%s: data: %s", what, strerror(errno));
	close(c);
	close(s);
}

int main(int argc, char **argv)
{
	union addr a4, a6, idle, now;
	socklen_t l4, l6, li, ln = sizeof(now);
	int s4, s6, bound, raw, v = 0;

	subject_init(argc, argv);
	s4 = make(AF_INET, &a4, &l4);
	MUST_SYS(listen(s4, 17));
	s6 = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (s6 >= 0 && !access("/proc/net/if_inet6", R_OK)) {
		close(s6);
		s6 = make(AF_INET6, &a6, &l6);
		MUST_SYS(listen(s6, 5));
	}
	bound = make(AF_INET, &idle, &li);
	raw = (int)MUST_SYS(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
	subject_wait();
	check_options("v4", s4);
	serve("v4", s4, &a4, l4);
	if (s6 >= 0) {
		check_options("v6", s6);
		serve("v6", s6, &a6, l6);
	}
	check_options("bound", bound);
	CHECK_SYS(getsockname(bound, &now.sa, &ln));
	CHECK_EQ("port of the bound socket", ntohs(now.in.sin_port), ntohs(idle.in.sin_port));
	ln = sizeof(v);
	CHECK_SYS(getsockopt(bound, SOL_SOCKET, SO_ACCEPTCONN, &v, &ln));
	CHECK_EQ("bound, not listening", v, 0);
	CHECK_EQ("flags of the unbound socket", fcntl(raw, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	CHECK(connect(raw, &a4.sa, l4) == 0 || errno == EINPROGRESS, "unbound: %s", strerror(errno));
	return subject_done();
}
