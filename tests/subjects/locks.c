/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* File locks: POSIX (of parent and child), open-file-description, flock, leases; each is found by a second look from outside. */
#include <sys/file.h>

#include "subject.h"

static void posix_lock(int fd, int cmd, short type, off_t start, off_t len)
{
	struct flock l = { .l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = len };

	MUST_SYS(fcntl(fd, cmd, &l));
}

/* Asks as a stranger, by an open-file-description lock of a new opening. */
static void check_lock(const char *file, off_t start, off_t len, short type, off_t want_start, off_t want_len, pid_t want_pid)
{
	struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = start, .l_len = len };
	int fd = open(file, O_RDWR | O_CLOEXEC);

	CHECK_SYS(fcntl(fd, F_OFD_GETLK, &l));
	CHECK(l.l_type == type, "%s at %ld: lock type %d, expected %d", file, (long)start, l.l_type, type);
	if (type != F_UNLCK && l.l_type == type)
		CHECK(l.l_start == want_start && l.l_len == want_len && l.l_pid == want_pid, "%s: range %ld+%ld of %d, expected %ld+%ld of %d", file, (long)l.l_start,
		      (long)l.l_len, l.l_pid, (long)want_start, (long)want_len, want_pid);
	/* Not closed: closing any descriptor of a file would drop the POSIX locks of this process. */
}

int main(int argc, char **argv)
{
	int posix, ofd, fl, fl2, lease, fd;
	sigset_t set;
	pid_t kid;

	subject_init(argc, argv);
	posix = (int)MUST_SYS(open("posix", O_RDWR | O_CREAT | O_CLOEXEC, 0666));
	posix_lock(posix, F_SETLK, F_WRLCK, 10, 20);
	posix_lock(posix, F_SETLK, F_RDLCK, 100, 0);
	kid = (pid_t)MUST_SYS(fork());
	if (!kid) {
		posix_lock(posix, F_SETLK, F_WRLCK, 50, 5);
		mark("kid");
		await_go();
		await_file("checked");
		_exit(0);
	}
	await_file("kid");
	ofd = (int)MUST_SYS(open("ofd", O_RDWR | O_CREAT | O_CLOEXEC, 0666));
	posix_lock(ofd, F_OFD_SETLK, F_WRLCK, 7, 8);
	posix_lock(ofd, F_OFD_SETLK, F_RDLCK, 1000, 1);
	fl = (int)MUST_SYS(open("flock", O_RDWR | O_CREAT | O_CLOEXEC, 0666));
	MUST_SYS(flock(fl, LOCK_SH));
	fl2 = (int)MUST_SYS(open("flock2", O_RDWR | O_CREAT | O_CLOEXEC, 0666));
	MUST_SYS(flock(fl2, LOCK_EX));
	put_file("lease", 0, "x");
	lease = (int)MUST_SYS(open("lease", O_RDONLY | O_CLOEXEC));
	sigemptyset(&set);
	sigaddset(&set, SIGIO);
	MUST_SYS(sigprocmask(SIG_BLOCK, &set, NULL));
	MUST_SYS(fcntl(lease, F_SETLEASE, F_RDLCK));
	subject_wait();
	check_lock("posix", 0, 40, F_WRLCK, 10, 20, getpid());
	check_lock("posix", 48, 10, F_WRLCK, 50, 5, kid);
	check_lock("posix", 200, 1, F_RDLCK, 100, 0, getpid());
	check_lock("posix", 60, 10, F_UNLCK, 0, 0, 0);
	check_lock("ofd", 0, 100, F_WRLCK, 7, 8, -1);
	check_lock("ofd", 900, 1000, F_RDLCK, 1000, 1, -1);
	fd = open("flock", O_RDWR | O_CLOEXEC);
	CHECK(flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK, "the shared flock is lost");
	CHECK(flock(fd, LOCK_SH | LOCK_NB) == 0, "the shared flock became exclusive");
	close(fd);
	fd = open("flock2", O_RDWR | O_CLOEXEC);
	CHECK(flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK, "the exclusive flock is lost");
	CHECK_SYS(flock(fl2, LOCK_UN));
	CHECK(flock(fd, LOCK_SH | LOCK_NB) == 0, "the flock does not belong to its description");
	CHECK_EQ("lease", fcntl(lease, F_GETLEASE), F_RDLCK);
	CHECK(open("lease", O_WRONLY | O_NONBLOCK | O_CLOEXEC) < 0 && errno == EWOULDBLOCK, "the lease does not hold up a writer");
	{
		const struct timespec soon = { 1, 0 };

		CHECK(sigtimedwait(&set, NULL, &soon) == SIGIO, "breaking the lease sends no signal");
	}
	mark("checked");
	check_child("child", kid);
	posix_lock(ofd, F_OFD_SETLK, F_UNLCK, 0, 0);
	check_lock("ofd", 0, 0, F_UNLCK, 0, 0, 0);
	return subject_done();
}
