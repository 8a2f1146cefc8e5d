/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The vDSO: its calls give the same time as the kernel's, which never runs backwards; a thread calls it all the time. */
#include <pthread.h>
#include <sched.h>
#include <sys/auxv.h>
#include <sys/time.h>

#include "subject.h"

static volatile int go;

static int64_t ns(const struct timespec *t)
{
	return t->tv_sec * 1000000000LL + t->tv_nsec;
}

static void *run(void *arg)
{
	struct timespec a = { 0, 0 }, b;

	while (!go) {
		clock_gettime(CLOCK_MONOTONIC, &b);
		if (ns(&b) < ns(&a)) {
			subject_fail("monotonic time ran backwards by %lld ns", (long long)(ns(&a) - ns(&b)));
			break;
		}
		a = b;
	}
	return NULL;
}

int main(int argc, char **argv)
{
	static const clockid_t clocks[] = { CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME, CLOCK_TAI, CLOCK_MONOTONIC_COARSE };
	const char *base = (const char *)getauxval(AT_SYSINFO_EHDR);
	struct timespec before, lib, after;
	struct timeval tv;
	pthread_t t;
	unsigned cpu;

	subject_init(argc, argv);
	MUST(!pthread_create(&t, NULL, run, NULL));
	sleep_ms(10);
	subject_wait();
	CHECK(!base || !memcmp(base, "\177ELF", 4), "no vDSO where the auxiliary vector says");
	for (size_t i = 0; i < COUNT(clocks); i++) {
		(void)syscall(SYS_clock_gettime, clocks[i], &before);
		clock_gettime(clocks[i], &lib);
		(void)syscall(SYS_clock_gettime, clocks[i], &after);
		CHECK(ns(&before) <= ns(&lib) && ns(&lib) <= ns(&after), "clock %d: vDSO %lld, kernel %lld to %lld", clocks[i], (long long)ns(&lib), (long long)ns(&before),
		      (long long)ns(&after));
	}
	CHECK(!gettimeofday(&tv, NULL) && tv.tv_sec > 1000000000, "gettimeofday: %ld", (long)tv.tv_sec);
	CHECK(!getcpu(&cpu, NULL) && cpu < 4096, "getcpu: %u", cpu);
	go = 1;
	pthread_join(t, NULL);
	return subject_done();
}
