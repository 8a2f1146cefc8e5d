/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Interval timers: real time that keeps ticking, and virtual and profiling time with hours to go. */
#include <sys/time.h>

#include "subject.h"

static volatile int ticks;

static void on_alarm(int sig)
{
	ticks++;
}

static void check_timer(const char *name, int which, const struct itimerval *want)
{
	struct itimerval got;

	CHECK_SYS(getitimer(which, &got));
	CHECK_EQ(name, got.it_interval.tv_sec, want->it_interval.tv_sec);
	CHECK_EQ(name, got.it_interval.tv_usec, want->it_interval.tv_usec);
	CHECK(got.it_value.tv_sec <= want->it_value.tv_sec && got.it_value.tv_sec > want->it_value.tv_sec - 100, "%s: %ld s left, expected just under %ld", name,
	      (long)got.it_value.tv_sec, (long)want->it_value.tv_sec);
}

int main(int argc, char **argv)
{
	const struct sigaction sa = { .sa_handler = on_alarm, .sa_flags = SA_RESTART };
	const struct itimerval real = { { 0, 20000 }, { 0, 20000 } }, virt = { { 7, 8 }, { 7200, 500 } }, prof = { { 0, 0 }, { 3600, 0 } };
	int before;

	subject_init(argc, argv);
	MUST_SYS(sigaction(SIGALRM, &sa, NULL));
	MUST_SYS(setitimer(ITIMER_REAL, &real, NULL));
	MUST_SYS(setitimer(ITIMER_VIRTUAL, &virt, NULL));
	MUST_SYS(setitimer(ITIMER_PROF, &prof, NULL));
	subject_wait();
	check_timer("virtual", ITIMER_VIRTUAL, &virt);
	check_timer("prof", ITIMER_PROF, &prof);
	before = ticks;
	sleep_ms(200);
	CHECK(ticks - before >= 3, "only %d ticks in 200 ms", ticks - before);
	return subject_done();
}
