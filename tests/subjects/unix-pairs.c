/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* e2e: maybe */
/* Socket pairs of all three types: queued data both ways with its boundaries, half shut, peer closed with data left, shared with a child. */
#include <sys/socket.h>

#include "subject.h"

static const int types[3] = { SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET };

int main(int argc, char **argv)
{
	static char buf[128 * KiB], now[128 * KiB];
	int sv[3][2], half[2], lone[2], shared[2], sz = 0;
	socklen_t sl = sizeof(sz);
	pid_t kid;

	subject_init(argc, argv);
	(void)signal(SIGPIPE, SIG_IGN);
	pattern_fill(buf, sizeof(buf), 1);
	for (int i = 0; i < 3; i++) {
		MUST_SYS(socketpair(AF_UNIX, types[i] | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, sv[i]));
		MUST(send(sv[i][0], "one", 3, 0) == 3 && send(sv[i][0], "second", 6, 0) == 6);
		MUST(send(sv[i][0], buf, 20000, 0) == 20000);
		MUST(send(sv[i][1], "back", 4, 0) == 4);
	}
	MUST_SYS(socketpair(AF_UNIX, SOCK_STREAM, 0, half));
	MUST(send(half[0], "last words", 10, 0) == 10);
	MUST_SYS(shutdown(half[0], SHUT_WR));
	MUST_SYS(socketpair(AF_UNIX, SOCK_STREAM, 0, lone));
	MUST(send(lone[0], "orphan", 6, 0) == 6);
	close(lone[0]);
	MUST_SYS(socketpair(AF_UNIX, SOCK_STREAM, 0, shared));
	sz = 150000;
	MUST_SYS(setsockopt(shared[0], SOL_SOCKET, SO_SNDBUF, &sz, sizeof(sz)));
	sz = 1;
	MUST_SYS(setsockopt(shared[1], SOL_SOCKET, SO_PASSCRED, &sz, sizeof(sz)));
	kid = (pid_t)MUST_SYS(fork());
	if (!kid) {
		close(shared[0]);
		close(half[0]);
		mark("kid");
		await_go();
		CHECK(recv(shared[1], now, 5, MSG_WAITALL) == 5 && !memcmp(now, "hello", 5), "child: %s", strerror(errno));
		CHECK(send(shared[1], "there", 5, 0) == 5, "child: %s", strerror(errno));
		_exit(0);
	}
	close(shared[1]);
	await_file("kid");
	subject_wait();
	CHECK(send(shared[0], "hello", 5, 0) == 5, "parent: %s", strerror(errno));
	CHECK(recv(shared[0], now, 5, MSG_WAITALL) == 5 && !memcmp(now, "there", 5), "parent: %s", strerror(errno));
	check_child("child", kid);
	CHECK_EQ("closed by the child", recv(shared[0], now, 5, 0), 0);
	CHECK_SYS(getsockopt(shared[0], SOL_SOCKET, SO_SNDBUF, &sz, &sl));
	CHECK_EQ("send buffer", sz, 300000);
	CHECK(recv(sv[0][1], now, sizeof(now), 0) == 20009 && !memcmp(now, "onesecond", 9) && !memcmp(now + 9, buf, 20000), "stream data");
	for (int i = 1; i < 3; i++) {
		CHECK(recv(sv[i][1], now, sizeof(now), 0) == 3 && !memcmp(now, "one", 3), "type %d, first message", types[i]);
		CHECK(recv(sv[i][1], now, sizeof(now), 0) == 6 && !memcmp(now, "second", 6), "type %d, second message", types[i]);
		CHECK(recv(sv[i][1], now, sizeof(now), 0) == 20000 && !memcmp(now, buf, 20000), "type %d, third message", types[i]);
	}
	for (int i = 0; i < 3; i++) {
		CHECK(recv(sv[i][0], now, sizeof(now), 0) == 4 && !memcmp(now, "back", 4), "type %d, other direction", types[i]);
		CHECK(recv(sv[i][0], now, sizeof(now), 0) < 0 && errno == EAGAIN, "type %d: more than was sent", types[i]);
		CHECK(send(sv[i][0], "new", 3, 0) == 3 && recv(sv[i][1], now, 10, 0) == 3, "type %d: new data: %s", types[i], strerror(errno));
		sl = sizeof(sz);
		CHECK_SYS(getsockopt(sv[i][0], SOL_SOCKET, SO_TYPE, &sz, &sl));
		CHECK_EQ("type", sz, types[i]);
	}
	CHECK(recv(half[1], now, 100, 0) == 10 && recv(half[1], now, 100, 0) == 0, "half shut: no end after the data");
	CHECK(send(half[0], "x", 1, 0) < 0 && errno == EPIPE, "half shut: the shut side can send");
	CHECK(send(half[1], "y", 1, 0) == 1 && recv(half[0], now, 1, 0) == 1, "half shut: the open direction: %s", strerror(errno));
	CHECK(recv(lone[1], now, 100, 0) == 6 && !memcmp(now, "orphan", 6) && recv(lone[1], now, 100, 0) == 0, "data of a closed peer");
	CHECK(send(lone[1], "x", 1, 0) < 0 && errno == EPIPE, "sending to a closed peer");
	return subject_done();
}
