/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A subreaper: it has orphans, and it gets those that are orphaned after the restore too. */
#include "subject.h"

int main(int argc, char **argv)
{
	pid_t middle, early, late;
	int st, on = 0;
	char buf[32] = "";

	subject_init(argc, argv);
	MUST_SYS(prctl(PR_SET_CHILD_SUBREAPER, 1));
	for (int when = 0; when < 2; when++) {
		middle = (pid_t)MUST_SYS(fork());
		if (!middle) {
			pid_t leaf = (pid_t)MUST_SYS(fork());

			if (!leaf) {
				await_go();
				if (when)
					await_file("orphaned");
				CHECK_EQ("parent of the orphan", getppid(), subject_pid);
				_exit(40 + when);
			}
			(void)snprintf(buf, sizeof(buf), "%d", leaf);
			put_file(in_dir(when ? "late" : "early"), O_TRUNC, buf);
			if (when)
				await_go();
			_exit(0);
		}
		await_file(when ? "late" : "early");
		if (!when)
			MUST(waitpid(middle, &st, 0) == middle);
	}
	{
		int fd = open(in_dir("early"), O_RDONLY | O_CLOEXEC);

		MUST(read(fd, buf, sizeof(buf) - 1) > 0);
		early = (pid_t)strtol(buf, NULL, 10);
		close(fd);
		fd = open(in_dir("late"), O_RDONLY | O_CLOEXEC);
		memset(buf, 0, sizeof(buf));
		MUST(read(fd, buf, sizeof(buf) - 1) > 0);
		late = (pid_t)strtol(buf, NULL, 10);
		close(fd);
	}
	subject_wait();
	CHECK_SYS(prctl(PR_GET_CHILD_SUBREAPER, &on));
	CHECK_EQ("subreaper", on, 1);
	check_child("middle", middle);
	mark("orphaned");
	CHECK(waitpid(early, &st, 0) == early && WEXITSTATUS(st) == 40, "early orphan: %x", st);
	CHECK(waitpid(late, &st, 0) == late && WEXITSTATUS(st) == 41, "late orphan: %x", st);
	return subject_done();
}
