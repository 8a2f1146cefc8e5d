/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Pipes: full, resized, in packet mode, half closed on either side, shared with a child, and with flags of each end. */
#include <sys/ioctl.h>

#include "subject.h"

int main(int argc, char **argv)
{
	static char buf[256 * KiB], now[256 * KiB];
	int full[2], big[2], pkt[2], noread[2], nowrite[2], shared[2], empty[2], n = 0;
	pid_t kid;

	subject_init(argc, argv);
	pattern_fill(buf, sizeof(buf), 1);
	(void)signal(SIGPIPE, SIG_IGN);
	MUST_SYS(pipe2(full, O_CLOEXEC | O_NONBLOCK));
	MUST(write(full[1], buf, sizeof(buf)) == 64 * (ssize_t)KiB);
	MUST_SYS(pipe2(big, O_CLOEXEC));
	MUST_SYS(fcntl(big[1], F_SETPIPE_SZ, 256 * KiB));
	MUST(write(big[1], buf, 200 * KiB) == 200 * (ssize_t)KiB);
	MUST(read(big[0], now, 1000) == 1000); /* The queue no longer starts at a page. */
	MUST_SYS(pipe2(pkt, O_CLOEXEC | O_DIRECT));
	MUST(write(pkt[1], "one", 3) == 3 && write(pkt[1], "second", 6) == 6 && write(pkt[1], buf, PAGE) == PAGE);
	MUST_SYS(pipe2(noread, O_CLOEXEC));
	close(noread[0]);
	MUST_SYS(pipe2(nowrite, O_CLOEXEC));
	MUST(write(nowrite[1], "rest", 4) == 4);
	close(nowrite[1]);
	MUST_SYS(pipe2(shared, 0));
	MUST_SYS(pipe2(empty, O_CLOEXEC));
	MUST_SYS(fcntl(empty[0], F_SETFL, O_NONBLOCK)); /* One end only. */
	kid = (pid_t)MUST_SYS(fork());
	if (!kid) {
		close(full[0]);
		close(full[1]);
		close(shared[0]);
		mark("kid");
		await_go();
		CHECK(write(shared[1], "from child", 10) == 10, "write: %s", strerror(errno));
		_exit(0);
	}
	close(shared[1]);
	await_file("kid");
	subject_wait();
	check_child("child", kid);
	CHECK(read(shared[0], now, 100) == 10 && !memcmp(now, "from child", 10), "shared pipe: %s", strerror(errno));
	CHECK_EQ("end of the shared pipe", read(shared[0], now, 100), 0);
	CHECK_EQ("size of the full pipe", fcntl(full[0], F_GETPIPE_SZ), 64 * KiB);
	CHECK(write(full[1], "x", 1) < 0 && errno == EAGAIN, "the full pipe takes more");
	CHECK_EQ("queued", read(full[0], now, sizeof(now)), 64 * KiB);
	CHECK(!memcmp(now, buf, 64 * KiB), "content of the full pipe");
	CHECK_EQ("size of the resized pipe", fcntl(big[0], F_GETPIPE_SZ), 256 * KiB);
	CHECK_SYS(ioctl(big[0], FIONREAD, &n));
	CHECK_EQ("bytes in the resized pipe", n, 200 * KiB - 1000);
	CHECK_EQ("bytes read", read(big[0], now, sizeof(now)), 200 * KiB - 1000);
	CHECK(!memcmp(now, buf + 1000, 200 * KiB - 1000), "content of the resized pipe");
	CHECK_EQ("packet mode", fcntl(pkt[1], F_GETFL) & O_DIRECT, O_DIRECT);
	CHECK_EQ("first packet", read(pkt[0], now, sizeof(now)), 3);
	CHECK_EQ("second packet, cut short", read(pkt[0], now, 2), 2);
	CHECK_EQ("third packet", read(pkt[0], now, sizeof(now)), PAGE);
	CHECK(!memcmp(now, buf, PAGE), "content of the third packet");
	CHECK(write(noread[1], "x", 1) < 0 && errno == EPIPE, "a pipe without readers takes data");
	CHECK_EQ("rest", read(nowrite[0], now, 100), 4);
	CHECK_EQ("end", read(nowrite[0], now, 100), 0);
	CHECK(read(empty[0], now, 1) < 0 && errno == EAGAIN, "empty pipe: %s", strerror(errno));
	CHECK_EQ("flags of the other end", fcntl(empty[1], F_GETFL) & O_NONBLOCK, 0);
	return subject_done();
}
