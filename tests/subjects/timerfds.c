/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* timerfds: clocks, relative and absolute, single and periodic, disarmed, and with expirations nobody has read. */
#include <sys/poll.h>
#include <sys/timerfd.h>

#include "subject.h"

static struct sample {
	const char *name;
	clockid_t clock;
	int flags;
	struct itimerspec spec;
	int fd;
} samples[] = {
	{ "monotonic, an hour", CLOCK_MONOTONIC, 0, { { 0, 0 }, { 3600, 0 } } },
	{ "realtime, periodic", CLOCK_REALTIME, 0, { { 100, 7 }, { 5000, 0 } } },
	{ "boottime", CLOCK_BOOTTIME, 0, { { 1, 0 }, { 4000, 1 } } },
	{ "disarmed", CLOCK_MONOTONIC, 0, { { 0, 0 }, { 0, 0 } } },
	{ "absolute", CLOCK_REALTIME, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, { { 0, 0 }, { 7000, 0 } } },
};

int main(int argc, char **argv)
{
	const struct itimerspec fast = { { 0, 10000000 }, { 0, 10000000 } }, once = { { 0, 0 }, { 0, 1000000 } };
	int ticking, expired;
	struct pollfd p;
	uint64_t n = 0;

	subject_init(argc, argv);
	for (size_t i = 0; i < COUNT(samples); i++) {
		struct sample *s = &samples[i];
		struct itimerspec spec = s->spec;
		struct timespec now;

		s->fd = (int)MUST_SYS(timerfd_create(s->clock, TFD_CLOEXEC | TFD_NONBLOCK));
		clock_gettime(s->clock, &now);
		if (s->flags)
			spec.it_value.tv_sec += now.tv_sec;
		MUST_SYS(timerfd_settime(s->fd, s->flags, &spec, NULL));
	}
	ticking = (int)MUST_SYS(timerfd_create(CLOCK_MONOTONIC, 0));
	MUST_SYS(timerfd_settime(ticking, 0, &fast, NULL));
	expired = (int)MUST_SYS(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK));
	MUST_SYS(timerfd_settime(expired, 0, &once, NULL));
	sleep_ms(60);
	subject_wait();
	for (size_t i = 0; i < COUNT(samples); i++) {
		const struct sample *s = &samples[i];
		struct itimerspec got;

		CHECK_SYS(timerfd_gettime(s->fd, &got));
		CHECK(got.it_interval.tv_sec == s->spec.it_interval.tv_sec && got.it_interval.tv_nsec == s->spec.it_interval.tv_nsec, "%s: interval %ld.%09ld", s->name,
		      (long)got.it_interval.tv_sec, got.it_interval.tv_nsec);
		CHECK(got.it_value.tv_sec <= s->spec.it_value.tv_sec && got.it_value.tv_sec + 100 >= s->spec.it_value.tv_sec, "%s: %ld s left of %ld", s->name,
		      (long)got.it_value.tv_sec, (long)s->spec.it_value.tv_sec);
		CHECK(read(s->fd, &n, 8) < 0 && errno == EAGAIN, "%s has expired", s->name);
		CHECK_EQ("flags", fcntl(s->fd, F_GETFD), FD_CLOEXEC);
	}
	CHECK(read(expired, &n, 8) == 8 && n == 1, "unread expiration: %llu, %s", (unsigned long long)n, strerror(errno));
	CHECK(read(expired, &n, 8) < 0 && errno == EAGAIN, "expired twice");
	CHECK(read(ticking, &n, 8) == 8 && n >= 5, "unread expirations of the periodic one: %llu", (unsigned long long)n);
	p = (struct pollfd){ ticking, POLLIN, 0 };
	CHECK_EQ("next tick", poll(&p, 1, 1000), 1);
	return subject_done();
}
