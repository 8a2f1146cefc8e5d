/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* All sixteen resource limits, each lowered to a value of its own. */
#include "subject.h"

#define N 16

int main(int argc, char **argv)
{
	struct rlimit want[N], got;

	subject_init(argc, argv);
	for (int i = 0; i < N; i++) {
		struct rlimit *l = &want[i];

		MUST_SYS(getrlimit(i, l));
		if (l->rlim_max == RLIM_INFINITY || l->rlim_max > 1 * GiB)
			l->rlim_max = i == RLIMIT_AS || i == RLIMIT_DATA || i == RLIMIT_FSIZE || i == RLIMIT_RTTIME ? 900 * GiB + (rlim_t)i * PAGE : 1 * GiB + (rlim_t)i * PAGE;
		else if (l->rlim_max > 100)
			l->rlim_max -= (rlim_t)i;
		l->rlim_cur = l->rlim_max > 100 ? l->rlim_max - l->rlim_max / 4 : l->rlim_max;
		MUST_SYS(setrlimit(i, l));
	}
	subject_wait();
	for (int i = 0; i < N; i++) {
		CHECK_SYS(getrlimit(i, &got));
		CHECK(got.rlim_cur == want[i].rlim_cur && got.rlim_max == want[i].rlim_max, "limit %d: %llu/%llu, expected %llu/%llu", i,
		      (unsigned long long)got.rlim_cur, (unsigned long long)got.rlim_max, (unsigned long long)want[i].rlim_cur,
		      (unsigned long long)want[i].rlim_max);
	}
	return subject_done();
}
