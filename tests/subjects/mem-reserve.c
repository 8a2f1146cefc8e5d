/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Eight TiB of address space reserved, as language runtimes do, with islands of memory in use. */
#include "subject.h"

#define LEN (8192 * GiB)

int main(int argc, char **argv)
{
	static const size_t at[] = { 0, 1 * GiB + 5 * PAGE, 4096 * GiB, 8192 * GiB - MiB };
	char *p;

	subject_init(argc, argv);
	p = mmap(NULL, LEN, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		subject_skip("8 TiB of address space are not to be had");
	for (size_t i = 0; i < COUNT(at); i++) {
		MUST_SYS(mprotect(p + at[i], MiB, PROT_READ | PROT_WRITE));
		pattern_fill(p + at[i], MiB, i);
	}
	MUST_SYS(mprotect(p + at[2], MiB, PROT_NONE));
	subject_wait();
	MUST_SYS(mprotect(p + at[2], MiB, PROT_READ | PROT_WRITE));
	for (size_t i = 0; i < COUNT(at); i++)
		pattern_check("island", p + at[i], MiB, i);
	CHECK(has_vmflag(p + 2 * GiB, "nr"), "the reserve lost NORESERVE");
	MUST_SYS(mprotect(p + 5000 * GiB, MiB, PROT_READ | PROT_WRITE));
	check_zero("new island", p + 5000 * GiB, MiB);
	return subject_done();
}
