/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Memory that differs from what lies behind it: pages dropped again, remapped pages, a private mapping of /dev/zero, a file mapping over the heap. */
#include "subject.h"

int main(int argc, char **argv)
{
	char *p, *q, *z;
	int fd;

	subject_init(argc, argv);
	p = map_anon(16 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	pattern_fill(p, 16 * PAGE, 1);
	MUST_SYS(madvise(p + 4 * PAGE, 4 * PAGE, MADV_DONTNEED));
	q = map_anon(32 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	MUST(mremap(p + 8 * PAGE, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, q + 16 * PAGE) == q + 16 * PAGE);
	fd = (int)MUST_SYS(open("/dev/zero", O_RDWR | O_CLOEXEC));
	z = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	MUST(z != MAP_FAILED);
	close(fd);
	pattern_fill(z, PAGE, 7);
	subject_wait();
	pattern_check("start", p, 4 * PAGE, 1);
	check_zero("dropped", p + 4 * PAGE, 4 * PAGE);
	CHECK(*(uint64_t *)(q + 16 * PAGE) == pattern_word(1, 8 * PAGE / 8), "moved pages");
	CHECK(*(uint64_t *)(p + 12 * PAGE) == pattern_word(1, 12 * PAGE / 8), "pages behind the hole");
	CHECK(msync(p + 8 * PAGE, PAGE, MS_ASYNC) < 0, "the hole is filled");
	pattern_check("/dev/zero", z, PAGE, 7);
	check_zero("/dev/zero", z + PAGE, 3 * PAGE);
	return subject_done();
}
