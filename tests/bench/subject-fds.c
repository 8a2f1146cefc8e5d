// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * subject-fds DIR: 900 open descriptors: 300 regular files in DIR at distinct offsets, 100 pipes with a byte inside, 200 eventfds with
 * distinct counters, 20 epolls that each watch one eventfd, 180 times /dev/null. A question checks each by what only it can hold.
 */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "subject.h"

enum {
	FILES = 300,
	PIPES = 100,
	EVENTS = 200,
	EPOLLS = 20,
	NULLS = 180,
};

struct fds {
	int file[FILES], pipe[PIPES][2], event[EVENTS], epoll[EPOLLS], null[NULLS];
};

static void open_all(struct fds *f, const char *dir)
{
	char path[PATH_MAX];

	for (int n = 0; n < FILES; n++) {
		(void)snprintf(path, sizeof(path), "%s/file-%d", dir, n);
		f->file[n] = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		if (f->file[n] < 0 || ftruncate(f->file[n], 4096) < 0 || lseek(f->file[n], n + 1, SEEK_SET) != n + 1)
			subject_die(path);
	}
	for (int n = 0; n < PIPES; n++)
		if (pipe2(f->pipe[n], O_CLOEXEC | O_NONBLOCK) < 0 || write(f->pipe[n][1], &(char){(char)n}, 1) != 1)
			subject_die("pipe");
	for (int n = 0; n < EVENTS; n++) {
		f->event[n] = eventfd((unsigned int)n + 1, EFD_CLOEXEC | EFD_NONBLOCK);
		if (f->event[n] < 0)
			subject_die("eventfd");
	}
	for (int n = 0; n < EPOLLS; n++) {
		struct epoll_event ev = {.events = EPOLLIN, .data.u32 = (uint32_t)n};

		f->epoll[n] = epoll_create1(EPOLL_CLOEXEC);
		if (f->epoll[n] < 0 || epoll_ctl(f->epoll[n], EPOLL_CTL_ADD, f->event[n], &ev) < 0)
			subject_die("epoll");
	}
	for (int n = 0; n < NULLS; n++) {
		f->null[n] = open("/dev/null", O_RDWR | O_CLOEXEC);
		if (f->null[n] < 0)
			subject_die("/dev/null");
	}
}

/* Takes what is inside out and puts it back, so that the next question finds the same. */
static const char *check(void *data)
{
	const struct fds *f = data;
	struct epoll_event ev;
	struct stat st;
	uint64_t count;
	char c;

	for (int n = 0; n < FILES; n++)
		if (lseek(f->file[n], 0, SEEK_CUR) != n + 1)
			return "a file's offset differs";
	for (int n = 0; n < PIPES; n++)
		if (read(f->pipe[n][0], &c, 1) != 1 || c != (char)n || write(f->pipe[n][1], &c, 1) != 1)
			return "a pipe differs";
	for (int n = 0; n < EVENTS; n++)
		if (read(f->event[n], &count, sizeof(count)) < 0 || count != (uint64_t)n + 1 ||
		    write(f->event[n], &count, sizeof(count)) < 0)
			return "an eventfd differs";
	for (int n = 0; n < EPOLLS; n++)
		if (epoll_wait(f->epoll[n], &ev, 1, 0) != 1 || ev.data.u32 != (uint32_t)n)
			return "an epoll differs";
	for (int n = 0; n < NULLS; n++)
		if (fstat(f->null[n], &st) < 0 || !S_ISCHR(st.st_mode) || st.st_rdev != makedev(1, 3))
			return "a /dev/null differs";
	return NULL;
}

int main(int argc, char **argv)
{
	struct rlimit limit;
	struct fds f;

	subject_init();
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		subject_die("getrlimit");
	if (limit.rlim_cur < 1024) {
		limit.rlim_cur = 1024;
		if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
			subject_die("setrlimit");
	}
	open_all(&f, argc > 1 ? argv[1] : ".");
	if (check(&f))
		subject_die(check(&f));
	subject_serve(0, check, &f);
}
