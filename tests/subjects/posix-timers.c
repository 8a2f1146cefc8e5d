/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* POSIX timers: sparse ids, clocks, signals and their values, a thread as the target, absolute and periodic ones, overruns. */
#include <pthread.h>

#include "subject.h"

static struct sample {
	clockid_t clock;
	int notify, sig, value, flags;
	struct itimerspec spec;
	int id;
} timers[] = {
	{ CLOCK_MONOTONIC, SIGEV_SIGNAL, 0, 0x1234, 0, { { 77, 5 }, { 5000, 9 } } },
	{ CLOCK_REALTIME, SIGEV_SIGNAL, 1, -7, 0, { { 0, 0 }, { 6000, 0 } } },
	{ CLOCK_BOOTTIME, SIGEV_NONE, 0, 0, 0, { { 1, 0 }, { 7000, 0 } } },
	{ CLOCK_MONOTONIC, SIGEV_THREAD_ID, 2, 99, 0, { { 0, 30000000 }, { 0, 30000000 } } },
	{ CLOCK_PROCESS_CPUTIME_ID, SIGEV_SIGNAL, 3, 1, 0, { { 0, 0 }, { 4000, 0 } } },
	{ CLOCK_MONOTONIC, SIGEV_SIGNAL, 4, 5, 0, { { 0, 0 }, { 0, 0 } } }, /* Disarmed. */
	{ CLOCK_MONOTONIC, SIGEV_SIGNAL, 5, 42, 0, { { 0, 1000000 }, { 0, 1000000 } } }, /* Overruns: its signal is blocked. */
};
static volatile pid_t tid;
static volatile int ticks, wrong, go;

static void on_tick(int sig, siginfo_t *si, void *ctx)
{
	if (gettid_() != tid || si->si_value.sival_int != 99 || si->si_code != SI_TIMER)
		wrong++;
	ticks++;
}

static void *run(void *arg)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + 2);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	tid = gettid_();
	while (!go)
		sleep_ms(5);
	return NULL;
}

static int create(struct sample *s)
{
	struct sigevent ev = { .sigev_notify = s->notify, .sigev_signo = SIGRTMIN + s->sig, .sigev_value.sival_int = s->value };
	int id = -1;

	ev._sigev_un._tid = tid;
	MUST_SYS(syscall(SYS_timer_create, s->clock, &ev, &id));
	return id;
}

int main(int argc, char **argv)
{
	struct sigaction sa = { .sa_sigaction = on_tick, .sa_flags = SA_SIGINFO | SA_RESTART };
	struct sample filler = { CLOCK_MONOTONIC, SIGEV_NONE, 0, 0 };
	const struct timespec soon = { 1, 0 };
	long expirations = 0;
	siginfo_t si;
	sigset_t set;
	pthread_t t;
	int n;

	subject_init(argc, argv);
	sigemptyset(&set);
	for (int i = 0; i < 6; i++)
		sigaddset(&set, SIGRTMIN + i);
	MUST_SYS(sigprocmask(SIG_BLOCK, &set, NULL));
	MUST_SYS(sigaction(SIGRTMIN + 2, &sa, NULL));
	MUST(!pthread_create(&t, NULL, run, NULL));
	while (!tid)
		sleep_ms(1);
	for (size_t i = 0; i < COUNT(timers); i++) {
		int gap[8];

		timers[i].id = create(&timers[i]);
		for (int k = 0; k < 8; k++) /* Ids are given out in turn: leave holes. */
			gap[k] = create(&filler);
		for (int k = 0; k < 8; k++)
			MUST_SYS(syscall(SYS_timer_delete, gap[k]));
		MUST_SYS(syscall(SYS_timer_settime, timers[i].id, 0, &timers[i].spec, NULL));
	}
	sleep_ms(20);
	subject_wait();
	for (size_t i = 0; i < COUNT(timers); i++) {
		const struct sample *s = &timers[i];
		struct itimerspec got;

		if (syscall(SYS_timer_gettime, s->id, &got) < 0) {
			subject_fail("timer %d (%zu) is gone: %s", s->id, i, strerror(errno));
			continue;
		}
		CHECK_EQ("interval, seconds", got.it_interval.tv_sec, s->spec.it_interval.tv_sec);
		CHECK_EQ("interval, nanoseconds", got.it_interval.tv_nsec, s->spec.it_interval.tv_nsec);
		if (s->spec.it_value.tv_sec)
			CHECK(got.it_value.tv_sec <= s->spec.it_value.tv_sec && got.it_value.tv_sec > s->spec.it_value.tv_sec - 200,
			      "timer %zu: %ld s left of %ld", i, (long)got.it_value.tv_sec, (long)s->spec.it_value.tv_sec);
		else if (!s->spec.it_value.tv_nsec)
			CHECK(!got.it_value.tv_sec && !got.it_value.tv_nsec, "timer %zu is armed", i);
	}
	n = ticks;
	sleep_ms(250);
	CHECK(ticks - n >= 3, "only %d ticks for the thread in 250 ms", ticks - n);
	CHECK_EQ("ticks with a wrong value, code or thread", wrong, 0);
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + 5);
	for (int i = 0; i < 3; i++) {
		if (sigtimedwait(&set, &si, &soon) < 0) {
			subject_fail("signal %d of the overrun timer: %s", i, strerror(errno));
			break;
		}
		CHECK_EQ("value", si.si_value.sival_int, 42);
		CHECK_EQ("code", si.si_code, SI_TIMER);
		CHECK_EQ("timer id", si.si_timerid, timers[6].id);
		expirations += 1 + si.si_overrun;
		sleep_ms(20);
	}
	CHECK(expirations > 20, "only %ld expirations of a 1 ms timer", expirations);
	go = 1;
	pthread_join(t, NULL);
	n = create(&filler);
	for (size_t i = 0; i < COUNT(timers); i++)
		CHECK(n != timers[i].id, "a new timer got an id in use");
	return subject_done();
}
