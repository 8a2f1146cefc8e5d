/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* User and group ids, all different and none of them root, with supplementary groups. */
#include <grp.h>
#include <sys/fsuid.h>

#include "subject.h"

static void check_all(void)
{
	gid_t g[8];
	uid_t r, e, s;

	CHECK_SYS(getresuid(&r, &e, &s));
	CHECK_EQ("uid", r, 1001);
	CHECK_EQ("euid", e, 1002);
	CHECK_EQ("suid", s, 1003);
	CHECK_SYS(getresgid(&r, &e, &s));
	CHECK_EQ("gid", r, 2001);
	CHECK_EQ("egid", e, 2002);
	CHECK_EQ("sgid", s, 2003);
	CHECK_EQ("fsuid", setfsuid((uid_t)-1), 1003);
	CHECK_EQ("fsgid", setfsgid((gid_t)-1), 2001);
	CHECK_EQ("groups", getgroups(8, g), 3);
	CHECK(g[0] == 5 && g[1] == 3000 && g[2] == 70000, "groups %u %u %u", g[0], g[1], g[2]);
}

int main(int argc, char **argv)
{
	const gid_t groups[] = { 5, 3000, 70000 };

	subject_init(argc, argv);
	if (setgroups(3, groups) < 0)
		subject_skip("not root");
	MUST_SYS(setresgid(2001, 2002, 2003));
	MUST_SYS(setresuid(1001, 1002, 1003));
	(void)setfsgid(2001);
	(void)setfsuid(1003);
	check_all();
	subject_wait();
	check_all();
	CHECK(setuid(0) < 0 && errno == EPERM, "could become root");
	return subject_done();
}
