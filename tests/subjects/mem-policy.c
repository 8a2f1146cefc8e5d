/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* e2e: maybe */
/* Memory policy of threads and of mappings. */
#include <linux/mempolicy.h>
#include <pthread.h>

#include "subject.h"

static volatile int set, go;

static void check_policy(const char *what, const void *addr, int mode, unsigned long mask)
{
	unsigned long nodes[16] = { 0 };
	int got = -1;

	CHECK_SYS(syscall(SYS_get_mempolicy, &got, nodes, sizeof(nodes) * 8, addr, addr ? MPOL_F_ADDR : 0));
	CHECK(got == mode && nodes[0] == mask, "%s: mode %x nodes %lx, expected %x %lx", what, got, nodes[0], mode, mask);
}

static void *run(void *arg)
{
	unsigned long node0 = 1;

	MUST_SYS(syscall(SYS_set_mempolicy, MPOL_INTERLEAVE, &node0, 64));
	set = 1;
	while (!go)
		sleep_ms(5);
	check_policy("thread", NULL, MPOL_INTERLEAVE, 1);
	return NULL;
}

int main(int argc, char **argv)
{
	unsigned long node0 = 1;
	char *bound, *preferred;
	pthread_t t;

	subject_init(argc, argv);
	if (syscall(SYS_set_mempolicy, MPOL_BIND | MPOL_F_STATIC_NODES, &node0, 64) < 0)
		subject_skip("no memory policies: %s", strerror(errno));
	bound = map_anon(16 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	preferred = map_anon(16 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED);
	MUST_SYS(syscall(SYS_mbind, bound + 2 * PAGE, 4 * PAGE, MPOL_INTERLEAVE, &node0, 64, 0));
	MUST_SYS(syscall(SYS_mbind, preferred, 4 * PAGE, MPOL_PREFERRED, &node0, 64, 0));
	pattern_fill(bound, 16 * PAGE, 1);
	MUST(!pthread_create(&t, NULL, run, NULL));
	while (!set)
		sleep_ms(1);
	subject_wait();
	check_policy("main thread", NULL, MPOL_BIND | MPOL_F_STATIC_NODES, 1);
	check_policy("mapping", bound + 2 * PAGE, MPOL_INTERLEAVE, 1);
	check_policy("shared mapping", preferred, MPOL_PREFERRED, 1);
	check_policy("mapping without one", bound, MPOL_DEFAULT, 0);
	pattern_check("content", bound, 16 * PAGE, 1);
	go = 1;
	pthread_join(t, NULL);
	return subject_done();
}
