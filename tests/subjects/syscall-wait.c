/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* wait4, waitid and a wait for a group, each blocked in a thread, while the children live on; the exit codes must arrive. */
#include <pthread.h>

#include "subject.h"

static pid_t kids[3];
static volatile pid_t tids[3];

static pid_t start(int code)
{
	pid_t pid = (pid_t)MUST_SYS(fork());

	if (!pid) {
		if (code == 13)
			(void)setpgid(0, 0);
		await_go();
		_exit(code);
	}
	return pid;
}

static void *do_wait4(void *arg)
{
	struct rusage ru;
	int st = 0;
	pid_t r;

	tids[0] = gettid_();
	r = wait4(kids[0], &st, 0, &ru);
	CHECK(r == kids[0] && WEXITSTATUS(st) == 11, "wait4: %d, status %x, %s", r, st, strerror(errno));
	return NULL;
}

static void *do_waitid(void *arg)
{
	siginfo_t si = { 0 };

	tids[1] = gettid_();
	CHECK(!waitid(P_PID, (id_t)kids[1], &si, WEXITED) && si.si_pid == kids[1] && si.si_status == 12, "waitid: %d, status %d, %s", si.si_pid,
	      si.si_status, strerror(errno));
	return NULL;
}

static void *do_waitpgid(void *arg)
{
	int st = 0;
	pid_t r;

	tids[2] = gettid_();
	r = waitpid(-kids[2], &st, 0);
	CHECK(r == kids[2] && WEXITSTATUS(st) == 13, "waitpid of a group: %d, status %x, %s", r, st, strerror(errno));
	return NULL;
}

int main(int argc, char **argv)
{
	void *(*const calls[3])(void *) = { do_wait4, do_waitid, do_waitpgid };
	pthread_t t[3];

	subject_init(argc, argv);
	for (int i = 0; i < 3; i++)
		kids[i] = start(11 + i);
	while (getpgid(kids[2]) != kids[2])
		sleep_ms(1);
	for (int i = 0; i < 3; i++) {
		MUST(!pthread_create(&t[i], NULL, calls[i], NULL));
		while (!tids[i])
			sleep_ms(1);
		await_sleeping(tids[i]);
	}
	subject_wait();
	for (int i = 0; i < 3; i++)
		pthread_join(t[i], NULL);
	return subject_done();
}
