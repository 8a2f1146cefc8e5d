/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Shared anonymous memory between three processes, one of which sees only a part of it; much of it was never touched. */
#include "subject.h"

#define LEN (64 * MiB)

int main(int argc, char **argv)
{
	char *p, *other;
	pid_t kid[2];

	subject_init(argc, argv);
	p = map_anon(LEN, PROT_READ | PROT_WRITE, MAP_SHARED);
	other = map_anon(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED);
	pattern_fill(p, 2 * MiB, 1);
	pattern_fill(p + 32 * MiB, MiB, 2);
	strcpy(other, "other");
	for (int i = 0; i < 2; i++) {
		kid[i] = (pid_t)MUST_SYS(fork());
		if (!kid[i]) {
			if (i) { /* Keeps the middle alone, at another address. */
				MUST_SYS(munmap(p, 32 * MiB));
				MUST_SYS(munmap(p + 33 * MiB, LEN - 33 * MiB));
				MUST(mremap(p + 32 * MiB, MiB, MiB, MREMAP_MAYMOVE | MREMAP_FIXED, p) == p);
			}
			mark(i ? "k1" : "k0");
			await_go();
			await_file(i ? "parent.wrote1" : "parent.wrote0");
			CHECK(!memcmp(i ? p + PAGE : p + 32 * MiB + PAGE, "from parent", 11), "child %d does not see the parent's write", i);
			strcpy((i ? p : p + 32 * MiB) + 2 * PAGE, i ? "from child 1" : "from child 0");
			_exit(0);
		}
		await_file(i ? "k1" : "k0");
	}
	subject_wait();
	pattern_check("first part", p, 2 * MiB, 1);
	pattern_check("middle", p + 32 * MiB, MiB, 2);
	check_zero("untouched", p + 50 * MiB, MiB);
	CHECK_STR("second object", other, "other");
	strcpy(p + 32 * MiB + PAGE, "from parent");
	mark("parent.wrote0");
	check_child("child 0", kid[0]);
	CHECK_STR("middle", p + 32 * MiB + 2 * PAGE, "from child 0");
	mark("parent.wrote1");
	check_child("child 1", kid[1]);
	CHECK_STR("middle", p + 32 * MiB + 2 * PAGE, "from child 1");
	return subject_done();
}
