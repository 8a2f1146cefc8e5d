/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Credentials belong to threads: each of three has its own ids, groups and capabilities, set behind the C library's back. */
#include <linux/capability.h>
#include <pthread.h>

#include "subject.h"

static volatile int set, go;

static void *run(void *arg)
{
	unsigned n = (unsigned)(uintptr_t)arg, r, e, s;
	const gid_t groups[] = { 100 + n, 200 + n };
	struct __user_cap_header_struct h = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct caps[2] = { { 0 } }, got[2];
	gid_t g[8];

	caps[0].permitted = 1u << CAP_CHOWN | 1u << (CAP_KILL + n) | 1u << CAP_SETUID;
	caps[0].effective = 1u << CAP_CHOWN;
	MUST_SYS(syscall(SYS_setgroups, 2, groups));
	MUST_SYS(syscall(SYS_setresgid, 3000 + n, 3100 + n, 3200 + n));
	MUST_SYS(prctl(PR_SET_KEEPCAPS, 1));
	MUST_SYS(syscall(SYS_setresuid, 0, 4100 + n, 4200 + n));
	MUST_SYS(syscall(SYS_capset, &h, caps));
	MUST_SYS(syscall(SYS_capget, &h, caps));
	__atomic_fetch_add(&set, 1, __ATOMIC_SEQ_CST);
	while (!go)
		sleep_ms(5);
	(void)syscall(SYS_getresuid, &r, &e, &s);
	CHECK(r == 0 && e == 4100 + n && s == 4200 + n, "thread %u: uids %u %u %u", n, r, e, s);
	(void)syscall(SYS_getresgid, &r, &e, &s);
	CHECK(r == 3000 + n && e == 3100 + n && s == 3200 + n, "thread %u: gids %u %u %u", n, r, e, s);
	CHECK_EQ("groups", syscall(SYS_getgroups, 8, g), 2);
	CHECK(g[0] == 100 + n && g[1] == 200 + n, "thread %u: groups %u %u", n, g[0], g[1]);
	CHECK_SYS(syscall(SYS_capget, &h, got));
	CHECK(!memcmp(caps, got, sizeof(got)), "thread %u: capabilities e %x p %x, expected e %x p %x", n, got[0].effective, got[0].permitted, caps[0].effective,
	      caps[0].permitted);
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t t[3];

	subject_init(argc, argv);
	if (geteuid())
		subject_skip("not root");
	for (uintptr_t i = 0; i < COUNT(t); i++)
		MUST(!pthread_create(&t[i], NULL, run, (void *)(i + 1)));
	while (set < (int)COUNT(t))
		sleep_ms(1);
	subject_wait();
	CHECK_EQ("uid of the main thread", geteuid(), 0);
	go = 1;
	for (size_t i = 0; i < COUNT(t); i++)
		pthread_join(t[i], NULL);
	return subject_done();
}
