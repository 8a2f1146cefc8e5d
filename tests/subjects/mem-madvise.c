/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Advice that stays with a mapping: seen in VmFlags, and for fork in what a child gets. */
#include "subject.h"

static struct advice {
	const char *name;
	int advice, extra;
	char *mem, want[256];
	bool skipped;
} advices[] = {
	{ "normal", MADV_NORMAL, -1 },
	{ "dontfork", MADV_DONTFORK, -1 },
	{ "dontdump", MADV_DONTDUMP, -1 },
	{ "wipeonfork", MADV_WIPEONFORK, -1 },
	{ "mergeable", MADV_MERGEABLE, -1 },
	{ "hugepage", MADV_HUGEPAGE, -1 },
	{ "nohugepage", MADV_NOHUGEPAGE, -1 },
	{ "sequential", MADV_SEQUENTIAL, -1 },
	{ "random", MADV_RANDOM, -1 },
	{ "dontdump and random", MADV_DONTDUMP, MADV_RANDOM },
	{ "dontfork, then wipeonfork", MADV_DONTFORK, MADV_WIPEONFORK },
};

int main(int argc, char **argv)
{
	char now[256];
	pid_t kid;

	subject_init(argc, argv);
	for (size_t i = 0; i < COUNT(advices); i++) {
		struct advice *a = &advices[i];

		a->mem = map_anon(4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE);
		pattern_fill(a->mem, 4 * PAGE, i);
		a->skipped = madvise(a->mem + PAGE, 2 * PAGE, a->advice) < 0;
		if (a->extra >= 0)
			MUST_SYS(madvise(a->mem + PAGE, 2 * PAGE, a->extra));
	}
	for (size_t i = 0; i < COUNT(advices); i++)
		MUST(smaps_line(advices[i].mem + PAGE, "VmFlags", advices[i].want, sizeof(now)));
	subject_wait();
	for (size_t i = 0; i < COUNT(advices); i++) {
		struct advice *a = &advices[i];

		CHECK(smaps_line(a->mem + PAGE, "VmFlags", now, sizeof(now)), "%s: the mapping is gone", a->name);
		CHECK_STR(a->name, now, a->want);
		pattern_check(a->name, a->mem, 4 * PAGE, i);
	}
	kid = fork();
	if (!kid) {
		check_zero("wipeonfork in the child", advices[3].mem + PAGE, 2 * PAGE);
		CHECK(msync(advices[1].mem + PAGE, PAGE, MS_ASYNC) < 0 && errno == ENOMEM, "the child got a dontfork mapping");
		pattern_check("normal in the child", advices[0].mem, 4 * PAGE, 0);
		_exit(0);
	}
	check_child("child", kid);
	return subject_done();
}
