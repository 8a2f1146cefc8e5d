/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A real-time interval timer with an hour to go: the time left is kept, and it is not armed anew. */
#include <sys/time.h>

#include "subject.h"

int main(int argc, char **argv)
{
	const struct itimerval real = { { 11, 13 }, { 3600, 0 } };
	struct itimerval got;

	subject_init(argc, argv);
	MUST_SYS(setitimer(ITIMER_REAL, &real, NULL));
	sleep_ms(60);
	subject_wait();
	CHECK_SYS(getitimer(ITIMER_REAL, &got));
	CHECK_EQ("interval, seconds", got.it_interval.tv_sec, 11);
	CHECK_EQ("interval, microseconds", got.it_interval.tv_usec, 13);
	CHECK(got.it_value.tv_sec < 3600 && got.it_value.tv_sec > 3400, "%ld s left, expected just under 3600", (long)got.it_value.tv_sec);
	CHECK(got.it_value.tv_sec < 3599 || got.it_value.tv_usec <= 940000, "armed anew: %ld.%06ld s left", (long)got.it_value.tv_sec, (long)got.it_value.tv_usec);
	return subject_done();
}
