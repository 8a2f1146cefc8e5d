/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A timer of the C library that starts a thread at each expiration: its helper thread and its kernel timer must find each other again. */
#include "subject.h"

static volatile int ticks, wrong;

static void on_tick(union sigval v)
{
	if (v.sival_int != 321)
		wrong++;
	__atomic_fetch_add(&ticks, 1, __ATOMIC_SEQ_CST);
}

int main(int argc, char **argv)
{
	struct sigevent ev = { .sigev_notify = SIGEV_THREAD, .sigev_value.sival_int = 321 };
	/* The first expiration comes after the dump is long over: a timer thread may be dumped at any instant, but ids would differ. */
	const struct itimerspec spec = { { 0, 0 }, { 3600, 0 } }, fast = { { 0, 20000000 }, { 0, 20000000 } };
	timer_t id;

	subject_init(argc, argv);
	ev._sigev_un._sigev_thread._function = on_tick;
	MUST_SYS(timer_create(CLOCK_MONOTONIC, &ev, &id));
	MUST_SYS(timer_settime(id, 0, &spec, NULL));
	subject_wait();
	CHECK_SYS(timer_settime(id, 0, &fast, NULL));
	sleep_ms(300);
	CHECK(ticks >= 3, "only %d ticks in 300 ms", ticks);
	CHECK_EQ("ticks with a wrong value", wrong, 0);
	CHECK_SYS(timer_delete(id));
	return subject_done();
}
