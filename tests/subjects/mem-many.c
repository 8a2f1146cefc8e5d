/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Two thousand mappings of changing protection, every third one with content. */
#include "subject.h"

#define N 2000UL

int main(int argc, char **argv)
{
	char *p;

	subject_init(argc, argv);
	p = map_anon(3 * N * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	for (size_t i = 0; i < N; i++) {
		char *q = p + 3 * i * PAGE;

		if (i % 3 == 0)
			pattern_fill(q, PAGE, i);
		if (i % 2)
			MUST_SYS(mprotect(q, 3 * PAGE, PROT_READ));
		if (i % 7 == 6)
			MUST_SYS(munmap(q + 2 * PAGE, PAGE));
	}
	subject_wait();
	for (size_t i = 0; i < N; i++) {
		char *q = p + 3 * i * PAGE;

		if (i % 3 == 0 && !pattern_check("page with content", q, PAGE, i))
			break;
		if (i % 3)
			check_zero("page without", q, PAGE);
		if (i % 2 == 0)
			*q = 1;
		if (i % 7 == 6)
			CHECK(msync(q + 2 * PAGE, PAGE, MS_ASYNC) < 0, "the hole at %zu is filled", i);
	}
	return subject_done();
}
