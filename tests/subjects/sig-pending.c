/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Signals that wait: for the process and for a thread, with their values, senders and, for realtime signals, their order. */
#include <pthread.h>

#include "subject.h"

static volatile pid_t tid;
static volatile int go;
static sigset_t all;

static void take(const char *what, int sig, int code, int value, pid_t sender)
{
	const struct timespec none = { 0, 0 };
	sigset_t one;
	siginfo_t si;
	int got;

	sigemptyset(&one);
	sigaddset(&one, sig);
	got = (int)syscall(SYS_rt_sigtimedwait, &one, &si, &none, 8); /* The C library would turn SI_TKILL into SI_USER. */
	if (got != sig) {
		subject_fail("%s: signal %d is not pending: %s", what, sig, strerror(errno));
		return;
	}
	CHECK_EQ(what, si.si_code, code);
	CHECK_EQ(what, si.si_pid, sender);
	CHECK_EQ(what, si.si_uid, getuid());
	if (code == SI_QUEUE)
		CHECK_EQ(what, si.si_value.sival_int, value);
}

static void check_empty(const char *what)
{
	const struct timespec none = { 0, 0 };
	siginfo_t si;

	CHECK(sigtimedwait(&all, &si, &none) < 0, "%s: signal %d too many", what, si.si_signo);
}

static void *run(void *arg)
{
	tid = gettid_();
	while (!go)
		sleep_ms(5);
	take("thread, SIGUSR1", SIGUSR1, SI_TKILL, 0, getpid());
	take("thread, queued", SIGRTMIN + 2, SI_QUEUE, 91, getpid());
	take("thread, queued", SIGRTMIN + 2, SI_QUEUE, 92, getpid());
	return NULL;
}

int main(int argc, char **argv)
{
	siginfo_t si;
	pthread_t t;

	subject_init(argc, argv);
	sigfillset(&all);
	MUST_SYS(sigprocmask(SIG_SETMASK, &all, NULL));
	MUST(!pthread_create(&t, NULL, run, NULL));
	while (!tid)
		sleep_ms(1);
	MUST_SYS(kill(getpid(), SIGUSR2));
	MUST_SYS(kill(getpid(), SIGUSR2)); /* A standard signal waits once. */
	MUST_SYS(kill(getpid(), SIGTERM));
	for (int i = 0; i < 5; i++)
		MUST_SYS(sigqueue(getpid(), SIGRTMIN + 1, (union sigval){ .sival_int = 1000 + i }));
	MUST_SYS(sigqueue(getpid(), SIGRTMAX, (union sigval){ .sival_int = -5 }));
	MUST_SYS(sigqueue(getpid(), SIGWINCH, (union sigval){ .sival_int = 17 }));
	MUST_SYS(syscall(SYS_tgkill, getpid(), tid, SIGUSR1));
	for (int i = 0; i < 2; i++) {
		memset(&si, 0, sizeof(si));
		si.si_signo = SIGRTMIN + 2;
		si.si_code = SI_QUEUE;
		si.si_pid = getpid();
		si.si_uid = getuid();
		si.si_value.sival_int = 91 + i;
		MUST_SYS(syscall(SYS_rt_tgsigqueueinfo, getpid(), tid, SIGRTMIN + 2, &si));
	}
	MUST_SYS(syscall(SYS_tgkill, getpid(), getpid(), SIGHUP));
	subject_wait();
	take("process, SIGUSR2", SIGUSR2, SI_USER, 0, getpid());
	take("process, SIGTERM", SIGTERM, SI_USER, 0, getpid());
	for (int i = 0; i < 5; i++)
		take("process, realtime in order", SIGRTMIN + 1, SI_QUEUE, 1000 + i, getpid());
	take("process, last realtime", SIGRTMAX, SI_QUEUE, -5, getpid());
	take("process, SIGWINCH", SIGWINCH, SI_QUEUE, 17, getpid());
	take("main thread, SIGHUP", SIGHUP, SI_TKILL, 0, getpid());
	go = 1;
	pthread_join(t, NULL);
	check_empty("process");
	return subject_done();
}
