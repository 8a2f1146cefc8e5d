/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A private file mapping, some pages of which were written: the rest follows the file, the file never sees the writes. */
#include "subject.h"

#define LEN (64 * PAGE)

int main(int argc, char **argv)
{
	static char buf[LEN];
	char *p, *tail;
	int fd;

	subject_init(argc, argv);
	fd = (int)MUST_SYS(open("data", O_RDWR | O_CREAT | O_CLOEXEC, 0644));
	pattern_fill(buf, LEN, 1);
	MUST(write(fd, buf, LEN) == (ssize_t)LEN);
	p = mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	tail = mmap(NULL, 4 * PAGE, PROT_READ, MAP_PRIVATE, fd, LEN - 2 * PAGE); /* The last two pages lie behind the end of the file. */
	MUST(p != MAP_FAILED && tail != MAP_FAILED);
	close(fd);
	for (int i = 0; i < 64; i += 5)
		pattern_fill(p + (size_t)i * PAGE, PAGE, 1000 + (uint64_t)i);
	MUST_SYS(mprotect(p + 10 * PAGE, 5 * PAGE, PROT_READ));
	subject_wait();
	for (int i = 0; i < 64; i++) {
		if (i % 5 == 0)
			pattern_check("written page", p + (size_t)i * PAGE, PAGE, 1000 + (uint64_t)i);
		else
			CHECK(!memcmp(p + (size_t)i * PAGE, buf + (size_t)i * PAGE, PAGE), "page %d differs from the file", i);
	}
	CHECK(!memcmp(tail, buf + LEN - 2 * PAGE, 2 * PAGE), "tail mapping");
	p[PAGE] ^= 1;
	fd = open("data", O_RDWR | O_CLOEXEC);
	{
		static char now[LEN];

		CHECK(pread(fd, now, LEN, 0) == (ssize_t)LEN && !memcmp(now, buf, LEN), "the file itself was changed");
	}
	CHECK(pwrite(fd, "news", 4, 2 * PAGE) == 4, "pwrite: %s", strerror(errno));
	CHECK(!memcmp(p + 2 * PAGE, "news", 4), "an untouched page no longer follows the file");
	return subject_done();
}
