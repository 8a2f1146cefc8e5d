/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * e2e: refuse (fd 77|77.*(TCP|tcp)|(TCP|tcp).*\b77\b)
 * An established TCP connection, which is not in scope: the dump must name the descriptor and leave the connection alone.
 */
#include <netinet/in.h>
#include <sys/socket.h>

#include "subject.h"

int main(int argc, char **argv)
{
	struct sockaddr_in a = { AF_INET, 0, { htonl(INADDR_LOOPBACK) } };
	socklen_t len = sizeof(a);
	int l, c, s;
	char buf[8];

	subject_init(argc, argv);
	l = (int)MUST_SYS(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
	MUST_SYS(bind(l, (struct sockaddr *)&a, len));
	MUST_SYS(listen(l, 1));
	MUST_SYS(getsockname(l, (struct sockaddr *)&a, &len));
	c = (int)MUST_SYS(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
	MUST_SYS(connect(c, (struct sockaddr *)&a, len));
	s = (int)MUST_SYS(accept4(l, NULL, NULL, SOCK_CLOEXEC));
	MUST(dup2(s, 77) == 77);
	close(s);
	MUST(send(c, "abc", 3, 0) == 3);
	subject_wait();
	CHECK(recv(77, buf, 3, MSG_WAITALL) == 3 && send(77, "back", 4, 0) == 4 && recv(c, buf, 4, MSG_WAITALL) == 4, "the connection: %s", strerror(errno));
	return subject_done();
}
