/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Guard pages inside a mapping: they fault, their neighbours do not, and removing them gives memory back. */
#include <setjmp.h>

#include "subject.h"

#define GUARD_INSTALL 102
#define GUARD_REMOVE 103
static sigjmp_buf out;

static void on_segv(int sig)
{
	siglongjmp(out, 1);
}

static bool faults(volatile char *p)
{
	if (sigsetjmp(out, 1))
		return true;
	(void)*p;
	return false;
}

int main(int argc, char **argv)
{
	const struct sigaction sa = { .sa_handler = on_segv };
	char *p;

	subject_init(argc, argv);
	p = map_anon(64 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	pattern_fill(p, 64 * PAGE, 1);
	if (madvise(p, PAGE, GUARD_INSTALL) < 0)
		subject_skip("the kernel has no guard pages");
	MUST_SYS(madvise(p + 10 * PAGE, 4 * PAGE, GUARD_INSTALL));
	MUST_SYS(madvise(p + 63 * PAGE, PAGE, GUARD_INSTALL));
	MUST_SYS(sigaction(SIGSEGV, &sa, NULL));
	MUST(faults(p + 10 * PAGE) && !faults(p + 9 * PAGE));
	subject_wait();
	for (size_t i = 0; i < 64; i++) {
		bool guard = i == 0 || (i >= 10 && i < 14) || i == 63;

		CHECK(faults(p + i * PAGE) == guard, "page %zu %s", i, guard ? "does not fault" : "faults");
		if (!guard)
			CHECK(*(uint64_t *)(p + i * PAGE) == pattern_word(1, i * PAGE / 8), "content of page %zu", i);
	}
	CHECK_SYS(madvise(p + 10 * PAGE, 4 * PAGE, GUARD_REMOVE));
	CHECK(!faults(p + 10 * PAGE), "a removed guard faults");
	check_zero("removed guard", p + 10 * PAGE, 4 * PAGE);
	return subject_done();
}
