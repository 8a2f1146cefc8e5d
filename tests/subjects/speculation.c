/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Speculation controls of a thread, where the kernel offers them per task. */
#include "subject.h"

int main(int argc, char **argv)
{
	int want[3], changed = 0;

	subject_init(argc, argv);
	for (int i = 0; i < 3; i++) {
		if (prctl(PR_SET_SPECULATION_CTRL, i, PR_SPEC_DISABLE, 0, 0) == 0)
			changed++;
		want[i] = prctl(PR_GET_SPECULATION_CTRL, i, 0, 0, 0);
	}
	if (!changed)
		subject_skip("no speculation control per task here");
	subject_wait();
	for (int i = 0; i < 3; i++)
		CHECK_EQ("speculation control", prctl(PR_GET_SPECULATION_CTRL, i, 0, 0, 0), want[i]);
	return subject_done();
}
