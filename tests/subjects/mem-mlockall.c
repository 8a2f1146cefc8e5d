/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mlockall: what is there is locked, and so is what is mapped later. */
#include "subject.h"

int main(int argc, char **argv)
{
	char *p, *q;

	subject_init(argc, argv);
	p = map_anon(16 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	pattern_fill(p, 16 * PAGE, 1);
	if (mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) < 0)
		subject_skip("not permitted to lock memory");
	subject_wait();
	pattern_check("memory", p, 16 * PAGE, 1);
	CHECK(has_vmflag(p, "lo"), "no longer locked");
	q = map_anon(2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	CHECK(has_vmflag(q, "lo"), "MCL_FUTURE is lost");
	CHECK_SYS(munlockall());
	CHECK(!has_vmflag(p, "lo"), "munlockall has no effect");
	return subject_done();
}
