/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The heap: content, where it ends, and that it grows and shrinks from there. */
#include <malloc.h>

#include "subject.h"

int main(int argc, char **argv)
{
	char *base, *end, *m[64];

	subject_init(argc, argv);
	MUST(mallopt(M_MMAP_THRESHOLD, 1 << 30));
	for (size_t i = 0; i < COUNT(m); i++) {
		m[i] = malloc(1000 * (i + 1));
		MUST(m[i]);
		pattern_fill(m[i], 1000 * (i + 1), i);
	}
	base = sbrk(0);
	MUST(sbrk(10 * PAGE) == base);
	pattern_fill(base, 10 * PAGE, 99);
	end = sbrk(0);
	subject_wait();
	CHECK(sbrk(0) == end, "the break is at %p instead of %p", sbrk(0), (void *)end);
	pattern_check("above the old break", base, 10 * PAGE, 99);
	for (size_t i = 0; i < COUNT(m); i++)
		pattern_check("malloc", m[i], 1000 * (i + 1) / 8 * 8, i);
	CHECK(sbrk(16 * PAGE) == end, "sbrk: %s", strerror(errno));
	pattern_fill(end, 16 * PAGE, 5);
	pattern_check("grown heap", end, 16 * PAGE, 5);
	CHECK(sbrk(-20 * (long)PAGE) == end + 16 * PAGE, "sbrk, shrinking: %s", strerror(errno));
	CHECK(sbrk(0) == end - 4 * PAGE, "the break after shrinking");
	return subject_done();
}
