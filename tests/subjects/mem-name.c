/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Names of anonymous mappings. */
#include "subject.h"

#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#define PR_SET_VMA_ANON_NAME 0
#endif

static bool named(const char *name)
{
	FILE *f = fopen("/proc/self/maps", "re");
	char line[1024];
	bool found = false;

	while (f && fgets(line, sizeof(line), f))
		found |= strstr(line, name) != NULL;
	if (f)
		(void)fclose(f);
	return found;
}

int main(int argc, char **argv)
{
	char *p, *s;

	subject_init(argc, argv);
	p = map_anon(4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	s = map_anon(4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED);
	if (prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, p, 2 * PAGE, "my heap") < 0)
		subject_skip("the kernel does not keep names");
	MUST_SYS(prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, s, 4 * PAGE, "my shared"));
	subject_wait();
	CHECK(named("[anon:my heap]"), "the private name is lost");
	CHECK(named("[anon_shmem:my shared]"), "the shared name is lost");
	return subject_done();
}
