/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* e2e: maybe */
/*
 * Sessions and process groups whose leaders live, have died and were collected, or are zombies. The root is a subreaper: orphans come to it.
 *   root ── a (own session) ── a1 (group of a), a2 (own group)
 *        ├─ b (own group in the root's session) ── b1 (group of b)
 *        ├─ c1, left by c: a session leader that died and was collected
 *        └─ d1, left by d: a group leader that died; d2 joined that group from another branch
 */
#include "subject.h"

#define NODES 16
static struct node {
	volatile pid_t pid, pgid, sid;
	volatile int set;
} * node; /* Shared with all. */

static void settle(int i)
{
	node[i].pid = getpid();
	node[i].pgid = getpgid(0);
	node[i].sid = getsid(0);
	node[i].set = 1;
}

static void live(int i)
{
	settle(i);
	await_go();
	CHECK(getpid() == node[i].pid && getpgid(0) == node[i].pgid && getsid(0) == node[i].sid, "node %d: pid %d pgid %d sid %d, expected %d %d %d", i, getpid(),
	      getpgid(0), getsid(0), node[i].pid, node[i].pgid, node[i].sid);
}

static void await_node(int i)
{
	while (!node[i].set)
		sleep_ms(1);
}

static void leaf(int i, bool own_group)
{
	pid_t p = (pid_t)MUST_SYS(fork());

	if (!p) {
		if (own_group)
			(void)setpgid(0, 0);
		live(i);
		_exit(0);
	}
	await_node(i);
}

int main(int argc, char **argv)
{
	int left = 0, st;
	pid_t p, dead_group;

	subject_init(argc, argv);
	node = map_anon(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED);
	MUST_SYS(prctl(PR_SET_CHILD_SUBREAPER, 1));
	if (!MUST_SYS(fork())) { /* a */
		MUST_SYS(setsid());
		leaf(1, false);
		leaf(2, true);
		live(0);
		while (wait(NULL) > 0)
			;
		_exit(0);
	}
	await_node(0);
	if (!MUST_SYS(fork())) { /* b */
		MUST_SYS(setpgid(0, 0));
		leaf(4, false);
		live(3);
		while (wait(NULL) > 0)
			;
		_exit(0);
	}
	await_node(3);
	p = (pid_t)MUST_SYS(fork());
	if (!p) { /* c */
		MUST_SYS(setsid());
		leaf(5, false);
		leaf(6, true);
		_exit(0);
	}
	MUST(waitpid(p, &st, 0) == p);
	dead_group = (pid_t)MUST_SYS(fork());
	if (!dead_group) { /* d */
		MUST_SYS(setpgid(0, 0));
		leaf(7, false);
		mark("d");
		await_file("d2");
		_exit(0);
	}
	await_file("d");
	if (!MUST_SYS(fork())) { /* d2 */
		MUST_SYS(setpgid(0, dead_group));
		live(8);
		_exit(0);
	}
	await_node(8);
	mark("d2");
	MUST(waitpid(dead_group, &st, 0) == dead_group);
	p = (pid_t)MUST_SYS(fork());
	if (!p) { /* e: a session leader that stays a zombie */
		MUST_SYS(setsid());
		leaf(9, false);
		_exit(33);
	}
	await_node(9);
	while (task_state(p) != 'Z')
		sleep_ms(1);
	subject_wait();
	CHECK(waitpid(p, &st, 0) == p && WEXITSTATUS(st) == 33, "zombie leader: status %x", st);
	while (wait(&st) > 0 || errno == EINTR) {
		CHECK(st == 0, "a node ended with status %x", st);
		left++;
	}
	CHECK_EQ("children collected", left, 7);
	return subject_done();
}
