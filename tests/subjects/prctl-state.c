/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What prctl sets and reads: each value differs from its default. A value that the kernel does not let us set is not tested. */
#include "subject.h"

#ifndef PR_GET_MDWE
#define PR_SET_MDWE 65
#define PR_GET_MDWE 66
#endif
#ifndef PR_SET_MEMORY_MERGE
#define PR_SET_MEMORY_MERGE 67
#define PR_GET_MEMORY_MERGE 68
#endif

static struct value {
	const char *name;
	int set, get;
	unsigned long arg;
	bool by_pointer, skipped;
	int want;
} values[] = {
	{ "pdeathsig", PR_SET_PDEATHSIG, PR_GET_PDEATHSIG, SIGUSR2, true },
	{ "dumpable", PR_SET_DUMPABLE, PR_GET_DUMPABLE, 0, false },
	{ "child subreaper", PR_SET_CHILD_SUBREAPER, PR_GET_CHILD_SUBREAPER, 1, true },
	{ "THP disable", PR_SET_THP_DISABLE, PR_GET_THP_DISABLE, 1, false },
	{ "keepcaps", PR_SET_KEEPCAPS, PR_GET_KEEPCAPS, 1, false },
	{ "io flusher", PR_SET_IO_FLUSHER, PR_GET_IO_FLUSHER, 1, false },
	{ "mdwe", PR_SET_MDWE, PR_GET_MDWE, 1, false },
	{ "memory merge", PR_SET_MEMORY_MERGE, PR_GET_MEMORY_MERGE, 1, false },
	{ "tsc", PR_SET_TSC, PR_GET_TSC, PR_TSC_SIGSEGV, true },
	{ "mce kill", PR_MCE_KILL, PR_MCE_KILL_GET, PR_MCE_KILL_SET, false },
	{ "timer slack", PR_SET_TIMERSLACK, PR_GET_TIMERSLACK, 123456, false },
};

static int get(const struct value *v)
{
	int out = 0;
	int r = prctl(v->get, v->by_pointer ? (unsigned long)&out : 0, 0, 0, 0);

	return r < 0 || !v->by_pointer ? r : out;
}

int main(int argc, char **argv)
{
	const char *const name = "odd (name) \n";
	char got[16];

	subject_init(argc, argv);
	for (size_t i = 0; i < COUNT(values); i++) {
		struct value *v = &values[i];

		v->skipped = prctl(v->set, v->arg, v->set == PR_MCE_KILL ? (unsigned long)PR_MCE_KILL_EARLY : 0, 0, 0) < 0;
		v->want = get(v);
	}
	MUST_SYS(prctl(PR_SET_NAME, name));
	subject_wait();
	for (size_t i = 0; i < COUNT(values); i++)
		if (!values[i].skipped)
			CHECK_EQ(values[i].name, get(&values[i]), values[i].want);
	CHECK_SYS(prctl(PR_GET_NAME, got));
	CHECK_STR("name", got, name);
	return subject_done();
}
