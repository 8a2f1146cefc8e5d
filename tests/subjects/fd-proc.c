/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Files of /proc: of the process itself, of its thread, of a child, of the system, half read. */
#include "subject.h"

int main(int argc, char **argv)
{
	int self, mem, child, sys, dir;
	char path[64], buf[4096], want[32];
	uint64_t word = 0x1122334455667788ULL, got = 0;
	pid_t kid;

	subject_init(argc, argv);
	kid = (pid_t)MUST_SYS(fork());
	if (!kid) {
		(void)prctl(PR_SET_NAME, "proc child");
		mark("kid");
		await_go();
		await_file("checked");
		_exit(0);
	}
	await_file("kid");
	self = (int)MUST_SYS(open("/proc/self/status", O_RDONLY | O_CLOEXEC));
	mem = (int)MUST_SYS(open("/proc/self/mem", O_RDWR | O_CLOEXEC));
	(void)snprintf(path, sizeof(path), "/proc/%d/comm", kid);
	child = (int)MUST_SYS(open(path, O_RDONLY | O_CLOEXEC));
	sys = (int)MUST_SYS(open("/proc/sys/kernel/ostype", O_RDONLY | O_CLOEXEC));
	(void)snprintf(path, sizeof(path), "/proc/%d/fd", kid);
	dir = (int)MUST_SYS(open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	MUST(read(sys, buf, 2) == 2);
	subject_wait();
	memset(buf, 0, sizeof(buf));
	CHECK(read(self, buf, sizeof(buf) - 1) > 0, "status: %s", strerror(errno));
	(void)snprintf(want, sizeof(want), "\nPid:\t%d\n", getpid());
	CHECK(strstr(buf, want), "not the status of this process");
	CHECK(pread(mem, &got, 8, (off_t)(uintptr_t)&word) == 8 && got == word, "mem: %s", strerror(errno));
	memset(buf, 0, sizeof(buf));
	CHECK(read(child, buf, sizeof(buf) - 1) > 0, "comm of the child: %s", strerror(errno));
	CHECK_STR("comm of the child", buf, "proc child\n");
	memset(buf, 0, sizeof(buf));
	CHECK(read(sys, buf, sizeof(buf) - 1) > 0, "sysctl: %s", strerror(errno));
	CHECK_STR("rest of the sysctl", buf, "nux\n");
	CHECK(faccessat(dir, "0", F_OK, 0) == 0 || errno == EACCES, "fd directory of the child: %s", strerror(errno));
	mark("checked");
	check_child("child", kid);
	return subject_done();
}
