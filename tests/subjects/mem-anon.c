/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Private anonymous memory: writable, read-only, executable, and out of reach, with content in all of it, holes, and single pages. */
#include "subject.h"

int main(int argc, char **argv)
{
	char *rw, *ro, *none, *sparse, *rx;

	subject_init(argc, argv);
	rw = map_anon(8 * MiB, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	ro = map_anon(1 * MiB, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	none = map_anon(1 * MiB, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	sparse = map_anon(64 * MiB, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	rx = map_anon(PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	pattern_fill(rw, 8 * MiB, 1);
	pattern_fill(ro, 1 * MiB, 2);
	pattern_fill(none, 1 * MiB, 3);
	for (size_t i = 0; i < 64; i++)
		pattern_fill(sparse + i * MiB + (i % 7) * PAGE, PAGE, 100 + i);
	pattern_fill(rx, PAGE, 4);
	memset(rw + 1 * MiB, 0, 1 * MiB); /* Written with zeros: it may come back as pages never touched. */
	MUST_SYS(mprotect(ro, 1 * MiB, PROT_READ));
	MUST_SYS(mprotect(none, 1 * MiB, PROT_NONE));
	MUST_SYS(mprotect(rx, PAGE, PROT_READ | PROT_EXEC));
	subject_wait();
	pattern_check("read-write", rw, 1 * MiB, 1);
	check_zero("zeroed", rw + 1 * MiB, 1 * MiB);
	pattern_check("read-only", ro, 1 * MiB, 2);
	pattern_check("executable", rx, PAGE, 4);
	MUST_SYS(mprotect(none, 1 * MiB, PROT_READ));
	pattern_check("was PROT_NONE", none, 1 * MiB, 3);
	for (size_t i = 0; i < 64; i++) {
		char *page = sparse + i * MiB + (i % 7) * PAGE;

		if (!pattern_check("sparse", page, PAGE, 100 + i))
			break;
		check_zero("hole", page + PAGE, PAGE);
	}
	for (size_t i = 2; i < 8; i++) {
		const uint64_t *w = (uint64_t *)(rw + i * MiB);

		CHECK(w[0] == pattern_word(1, i * MiB / 8) && w[MiB / 8 - 1] == pattern_word(1, (i + 1) * MiB / 8 - 1), "read-write, MiB %zu", i);
	}
	rw[0] = 1;
	rw[8 * MiB - 1] = 1;
	return subject_done();
}
