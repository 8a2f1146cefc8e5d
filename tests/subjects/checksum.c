/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * e2e: modes all load faults
 * e2e: ignore SigBlk
 * Threads that compute without a system call, half in integer and half in floating-point registers. Each block of work has a known result, so
 * a register disturbed at any instant, by a dump that fails just as by one that succeeds, is seen at the end of the block.
 */
#include <pthread.h>

#include "subject.h"

#define ROUNDS 200000
static volatile int stop;
static struct worker {
	pthread_t thread;
	uint64_t want, blocks;
	double fwant;
} workers[3];

__attribute__((noinline)) static uint64_t block(uint64_t seed, double *ret_f)
{
	uint64_t a = seed, b = ~seed, c = seed * 3, d = seed ^ 0x5555, e = seed + 7;
	double x = 1.0, y = 2.0, z = 3.0 + (double)seed, w = 0.5;

	for (int i = 0; i < ROUNDS; i++) {
		a = (a << 7 | a >> 57) + b;
		b = b * 6364136223846793005ULL + c;
		c ^= d + (b >> 11);
		d += e ^ a;
		e = (e << 3 | e >> 61) ^ c;
		x = x * 0.999999 + w;
		y = y * 1.0000001 - x * 1e-9;
		z = z * 0.5 + y;
		w = w * 0.99 + 0.01 * (double)(i & 3);
	}
	*ret_f = x + y + z + w;
	return a ^ b ^ c ^ d ^ e;
}

static void *work(void *arg)
{
	struct worker *w = arg;
	uint64_t seed = (uint64_t)(w - workers) + 1;

	while (!stop) {
		double f;
		uint64_t got = block(seed, &f);

		w->blocks++;
		if (got != w->want || f != w->fwant) {
			subject_fail("thread %d, block %llu: expected %llx %a, got %llx %a", (int)seed, (unsigned long long)w->blocks,
			             (unsigned long long)w->want, w->fwant, (unsigned long long)got, f);
			break;
		}
	}
	return NULL;
}

int main(int argc, char **argv)
{
	subject_init(argc, argv);
	for (size_t i = 0; i < COUNT(workers); i++)
		workers[i].want = block(i + 1, &workers[i].fwant);
	for (size_t i = 0; i < COUNT(workers); i++)
		MUST(!pthread_create(&workers[i].thread, NULL, work, &workers[i]));
	subject_wait();
	sleep_ms(20);
	stop = 1;
	for (size_t i = 0; i < COUNT(workers); i++) {
		pthread_join(workers[i].thread, NULL);
		CHECK(workers[i].blocks > 0, "thread %zu did no work", i);
	}
	return subject_done();
}
