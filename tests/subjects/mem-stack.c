/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Memory that grows by itself: the main stack goes on growing, a MAP_GROWSDOWN mapping too; stack content is kept. */
#include "subject.h"

__attribute__((noinline)) static uint64_t dive(int depth)
{
	volatile uint64_t frame[512];

	frame[0] = (uint64_t)depth;
	return depth ? dive(depth - 1) + frame[0] : 0;
}

int main(int argc, char **argv)
{
	uint64_t words[4096];
	char *g;

	subject_init(argc, argv);
	pattern_fill(words, sizeof(words), 1);
	MUST(dive(20) == 210);
	g = map_anon(1 * MiB, PROT_NONE, MAP_PRIVATE | MAP_NORESERVE); /* Room for growth is found by taking it first. */
	MUST_SYS(munmap(g, 1 * MiB));
	MUST(mmap(g + MiB - 2 * PAGE, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_FIXED, -1, 0) != MAP_FAILED);
	pattern_fill(g + MiB - 3 * PAGE, 3 * PAGE, 2);
	subject_wait();
	pattern_check("stack", words, sizeof(words), 1);
	pattern_check("growing mapping", g + MiB - 3 * PAGE, 3 * PAGE, 2);
	CHECK(has_vmflag(g + MiB - PAGE, "gd"), "the mapping lost its flag");
	for (size_t i = 4; i < 20; i++)
		((volatile char *)g)[MiB - i * PAGE] = 1;
	CHECK_EQ("deep recursion", dive(1500), 1500 * 1501 / 2);
	return subject_done();
}
