/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Transparent huge pages: what was made of huge pages is so again. */
#include "subject.h"

#define LEN (16 * MiB)

int main(int argc, char **argv)
{
	long want, got;
	char *p;

	subject_init(argc, argv);
	p = map_anon(LEN + 2 * MiB, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	p = (char *)(((uintptr_t)p + 2 * MiB - 1) & ~(2 * MiB - 1));
	if (madvise(p, LEN, MADV_HUGEPAGE) < 0)
		subject_skip("no transparent huge pages");
	pattern_fill(p, LEN, 1);
	want = smaps_kb(p, "AnonHugePages");
	if (want <= 0)
		subject_skip("the kernel gave no huge page");
	subject_wait();
	got = smaps_kb(p, "AnonHugePages");
	CHECK(got >= want, "%ld KiB in huge pages instead of %ld", got, want);
	pattern_check("content", p, LEN, 1);
	return subject_done();
}
