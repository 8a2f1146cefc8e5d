/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Locked memory: by mlock, by mlock2 on fault, and by mmap. */
#include "subject.h"

static void check_flags(const void *p, const char *what, const char *want)
{
	char v[256];

	if (smaps_line(p, "VmFlags", v, sizeof(v)))
		CHECK_STR(what, v, want);
}

int main(int argc, char **argv)
{
	char *a, *b, *c, *d, flags[4][256];

	subject_init(argc, argv);
	a = map_anon(64 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	b = map_anon(64 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	c = map_anon(64 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_LOCKED);
	d = map_anon(64 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED);
	pattern_fill(a, 64 * PAGE, 1);
	pattern_fill(b, 4 * PAGE, 2);
	pattern_fill(d, 64 * PAGE, 3);
	MUST_SYS(mlock(a + PAGE, 32 * PAGE));
	MUST_SYS(mlock2(b, 64 * PAGE, MLOCK_ONFAULT));
	MUST_SYS(mlock(d, 64 * PAGE));
	MUST(has_vmflag(a + PAGE, "lo") && has_vmflag(b, "lo"));
	MUST(smaps_line(a + PAGE, "VmFlags", flags[0], 256) && smaps_line(b, "VmFlags", flags[1], 256) && smaps_line(c, "VmFlags", flags[2], 256) &&
	     smaps_line(d, "VmFlags", flags[3], 256));
	subject_wait();
	check_flags(a + PAGE, "mlock", flags[0]);
	check_flags(b, "mlock2 on fault", flags[1]);
	check_flags(c, "MAP_LOCKED", flags[2]);
	check_flags(d, "mlock of shared memory", flags[3]);
	CHECK(!has_vmflag(a, "lo") && !has_vmflag(a + 40 * PAGE, "lo"), "too much is locked");
	CHECK_EQ("resident part of MAP_LOCKED", smaps_kb(c, "Rss"), 256);
	CHECK(smaps_kb(b, "Rss") <= 64, "%ld KiB of the on-fault mapping are resident", smaps_kb(b, "Rss"));
	pattern_check("mlock", a, 64 * PAGE, 1);
	pattern_check("mlock2", b, 4 * PAGE, 2);
	pattern_check("shared", d, 64 * PAGE, 3);
	return subject_done();
}
