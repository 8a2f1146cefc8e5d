/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* e2e: modes all stopped foreground */
/* Who a process is: pid, parent, group, session, thread id, of a parent and of its child. */
#include "subject.h"

static void check_ids(const char *who, const pid_t want[5])
{
	char what[64];
	const pid_t got[5] = { getpid(), getppid(), getpgid(0), getsid(0), gettid_() };
	static const char *const name[5] = { "pid", "ppid", "pgid", "sid", "tid" };

	for (int i = 0; i < 5; i++) {
		(void)snprintf(what, sizeof(what), "%s %s", who, name[i]);
		CHECK_EQ(what, got[i], want[i]);
	}
}

int main(int argc, char **argv)
{
	pid_t child;

	subject_init(argc, argv);
	const pid_t self[5] = { getpid(), getppid(), getpgid(0), getsid(0), gettid_() };

	child = (pid_t)MUST_SYS(fork());
	if (!child) {
		const pid_t mine[5] = { getpid(), self[0], self[2], self[3], getpid() };

		mark("child");
		await_go();
		check_ids("child", mine);
		_exit(0);
	}
	await_file("child");
	subject_wait();
	/* The parent of the root is whoever restored it. */
	const pid_t want[5] = { self[0], getppid(), self[2], self[3], self[4] };

	check_ids("parent", want);
	check_child("child", child);
	return subject_done();
}
