/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Handles of tasks; stopping and letting go of their threads (ptrace(2): PTRACE_SEIZE, Linux 3.4; pidfd_open(2), Linux 5.3). */
#include "core/task.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "core/include/engine/util.h"
#include "core/io.h"

int eng_task_open(pid_t pid, struct eng_task *ret, struct eng_err *err)
{
	struct eng_task t = { .pid = pid, .pidfd = -EBADF, .procfd = -EBADF, .memfd = -EBADF };
	char path[32];
	int r = 0;

	t.pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (t.pidfd < 0 && errno == ESRCH)
		return ENG_TASK_GONE;
	if (t.pidfd < 0 && errno == EINVAL)
		return eng_fail(err, 0, "%d is not a process (it may be a thread's id)", pid);
	if (t.pidfd < 0)
		return eng_fail(err, errno, "cannot open a pidfd of %d", pid);
	(void)snprintf(path, sizeof(path), "/proc/%d", pid);
	t.procfd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (t.procfd < 0)
		r = errno == ENOENT ? ENG_TASK_GONE : eng_fail(err, errno, "cannot open %s", path);
	/* The pid may have been given to another process in between: the pidfd's process must still be alive now that /proc/PID is open. */
	if (r == 0 && syscall(SYS_pidfd_send_signal, t.pidfd, 0, NULL, 0) < 0)
		r = errno == ESRCH ? ENG_TASK_GONE : eng_fail(err, errno, "cannot signal %d", pid);
	if (r == 0) {
		t.memfd = openat(t.procfd, "mem", O_RDWR | O_CLOEXEC);
		if (t.memfd < 0)
			r = eng_fail(err, errno, "cannot open memory of %d", pid);
	}
	if (r != 0) {
		eng_task_close(&t);
		return r;
	}
	*ret = t;
	return 0;
}

void eng_task_close(struct eng_task *task)
{
	eng_closep(&task->memfd);
	eng_closep(&task->procfd);
	eng_closep(&task->pidfd);
	free(task->threads);
	task->threads = NULL;
	task->n_threads = task->cap_threads = 0;
}

static struct eng_thread *find_thread(struct eng_task *task, pid_t tid)
{
	for (size_t i = 0; i < task->n_threads; i++)
		if (task->threads[i].tid == tid)
			return &task->threads[i];
	return NULL;
}

static int tracer_of(const struct eng_task *task, pid_t tid)
{
	_cleanup_free_ char *text = NULL;
	char name[48];
	const char *p;

	(void)snprintf(name, sizeof(name), "task/%d/status", tid);
	if (eng_read_file_at(task->procfd, name, &text, NULL) < 0)
		return 0;
	p = strstr(text, "\nTracerPid:");
	return p ? atoi(p + 11) : 0;
}

/* Seize one thread and ask it to stop. Returns 1 if it was added, 0 if it is gone. */
static int seize(struct eng_task *task, pid_t tid, struct eng_err *err)
{
	if (task->n_threads == task->cap_threads) {
		size_t cap = task->cap_threads ? task->cap_threads * 2 : 16;
		struct eng_thread *p = realloc(task->threads, cap * sizeof(*p));

		if (!p)
			return eng_fail(err, ENOMEM, "cannot list threads");
		task->threads = p;
		task->cap_threads = cap;
	}
	if (ptrace(PTRACE_SEIZE, tid, NULL, PTRACE_O_TRACESYSGOOD) < 0) {
		int e = errno, tracer = e == EPERM ? tracer_of(task, tid) : 0;
		int r;

		if (e == ESRCH)
			return 0;
		if (tracer) {
			r = eng_fail(err, EBUSY, "thread %d of process %d is traced by process %d", tid, task->pid, tracer);
			eng_hint(err, "detach the debugger or strace first");
			return r;
		}
		return eng_fail(err, e, "cannot trace thread %d of process %d", tid, task->pid);
	}
	task->threads[task->n_threads++] = (struct eng_thread){ .tid = tid, .task = task, .seized = true };
	if (ptrace(PTRACE_INTERRUPT, tid, NULL, NULL) < 0 && errno != ESRCH)
		return eng_fail(err, errno, "cannot interrupt thread %d", tid);
	return 1;
}

static uint64_t now_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* Wait for the stop of one thread. A signal that arrives first is handed to it: its handler then starts before the stop. */
static int wait_stop(struct eng_task *task, struct eng_thread *t, uint64_t deadline, struct eng_err *err)
{
	for (;;) {
		int status;
		pid_t r = waitpid(t->tid, &status, __WALL | WNOHANG);

		if (r == 0) {
			struct timespec ts = { 0, 50000 };

			if (now_ms() > deadline) {
				int e = eng_fail(err, ETIMEDOUT, "thread %d of process %d does not stop", t->tid, task->pid);

				eng_hint(err, "it may wait in vfork or sleep uninterruptibly: see /proc/%d/task/%d/wchan", task->pid, t->tid);
				return e;
			}
			(void)nanosleep(&ts, NULL);
			continue;
		}
		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0 || !WIFSTOPPED(status)) {
			t->seized = false;
			return ENG_TASK_GONE;
		}
		if (status >> 16 == PTRACE_EVENT_STOP) {
			t->stopped = true;
			t->stop_signal = WSTOPSIG(status) == SIGTRAP ? 0 : WSTOPSIG(status);
			return 0;
		}
		if (ptrace(PTRACE_CONT, t->tid, NULL, (void *)(long)WSTOPSIG(status)) < 0 && errno != ESRCH)
			return eng_fail(err, errno, "cannot pass signal %d to thread %d", WSTOPSIG(status), t->tid);
	}
}

static int scan_threads(struct eng_task *task, size_t *ret_new, struct eng_err *err)
{
	int fd = openat(task->procfd, "task", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	struct dirent *ent;
	DIR *d = fd < 0 ? NULL : fdopendir(fd);

	*ret_new = 0;
	if (!d) {
		r = eng_fail(err, errno, "cannot list threads of %d", task->pid);
		if (fd >= 0)
			(void)close(fd);
		return r;
	}
	while (r >= 0 && (ent = readdir(d))) {
		pid_t tid = (pid_t)atoi(ent->d_name);

		if (tid <= 0 || find_thread(task, tid))
			continue;
		r = seize(task, tid, err);
		if (r > 0)
			(*ret_new)++;
	}
	(void)closedir(d);
	return r < 0 ? r : 0;
}

/* Whether a signal waits that would be handled next: then an EINTR is the program's. */
static bool signal_waits(const struct eng_thread *t)
{
	_cleanup_free_ char *text = NULL;
	uint64_t pending = 0;
	char name[48];

	(void)snprintf(name, sizeof(name), "task/%d/status", t->tid);
	if (eng_read_file_at(t->task->procfd, name, &text, NULL) < 0)
		return true;
	for (const char *const *key = (const char *const[]){ "\nSigPnd:", "\nShdPnd:", NULL }; *key; key++) {
		const char *p = strstr(text, *key);

		pending |= p ? strtoull(p + strlen(*key), NULL, 16) : 0;
	}
	return pending & ~t->sigmask;
}

static int read_stopped(struct eng_thread *t, struct eng_err *err)
{
	int r = arch_get_regs(t->tid, &t->regs, err);
	struct arch_regs again = t->regs;

	if (r == 0 && ptrace(PTRACE_GETSIGMASK, t->tid, sizeof(t->sigmask), &t->sigmask) < 0)
		r = eng_fail(err, errno, "cannot read the signal mask of %d", t->tid);
	if (r == 0 && arch_rewind_eintr(&again) && !signal_waits(t)) {
		t->regs = again;
		r = arch_set_regs(t->tid, &again, err);
	}
	return r;
}

int eng_thread_restop(struct eng_task *task, struct eng_thread *t, struct eng_err *err)
{
	struct timespec ts = { 0, 200000 };
	int r;

	if (ptrace(PTRACE_CONT, t->tid, NULL, NULL) < 0)
		return eng_fail(err, errno, "cannot continue thread %d", t->tid);
	t->stopped = false;
	(void)nanosleep(&ts, NULL);
	if (ptrace(PTRACE_INTERRUPT, t->tid, NULL, NULL) < 0)
		return eng_fail(err, errno, "cannot interrupt thread %d", t->tid);
	r = wait_stop(task, t, now_ms() + 2000, err);
	if (r == ENG_TASK_GONE)
		return eng_fail(err, ESRCH, "thread %d ended while it was being frozen", t->tid);
	return r < 0 ? r : read_stopped(t, err);
}

int eng_task_freeze(struct eng_task *task, unsigned timeout_ms, struct eng_err *err)
{
	uint64_t deadline = now_ms() + timeout_ms;
	size_t found, stopped = 0;
	int r;

	do { /* a thread that was not stopped yet can still create others */
		r = scan_threads(task, &found, err);
		while (r >= 0 && stopped < task->n_threads) {
			r = wait_stop(task, &task->threads[stopped], deadline, err);
			if (r == ENG_TASK_GONE)
				task->threads[stopped] = task->threads[--task->n_threads];
			else if (r == 0)
				stopped++;
		}
	} while (r >= 0 && found > 0);

	for (size_t i = 0; r >= 0 && i < task->n_threads; i++) {
		if (task->threads[i].tid == task->pid && i > 0) {
			struct eng_thread leader = task->threads[i];

			task->threads[i] = task->threads[0];
			task->threads[0] = leader;
		}
	}
	for (size_t i = 0; r >= 0 && i < task->n_threads; i++)
		r = read_stopped(&task->threads[i], err);
	if (r >= 0 && (task->n_threads == 0 || task->threads[0].tid != task->pid))
		r = eng_fail(err, ESRCH, "process %d has no living leader thread", task->pid);
	if (r < 0)
		eng_task_thaw(task);
	return r < 0 ? r : 0;
}

/* A thread that has not reached its stop cannot be detached from (ESRCH) until it does. */
static void detach(struct eng_thread *t)
{
	for (int i = 0; i < 20000 && ptrace(PTRACE_DETACH, t->tid, NULL, NULL) < 0; i++) {
		struct timespec ts = { 0, 100000 };
		int status, sig = 0;

		if (waitpid(t->tid, &status, __WALL | WNOHANG) > 0) {
			if (!WIFSTOPPED(status))
				return;
			if (status >> 16 != PTRACE_EVENT_STOP)
				sig = WSTOPSIG(status);
			if (ptrace(PTRACE_DETACH, t->tid, NULL, (void *)(long)sig) == 0)
				return;
		}
		(void)nanosleep(&ts, NULL);
	}
}

void eng_task_thaw(struct eng_task *task)
{
	for (size_t i = 0; i < task->n_threads; i++) {
		if (task->threads[i].seized)
			detach(&task->threads[i]);
		task->threads[i].seized = task->threads[i].stopped = false;
	}
	task->n_threads = 0;
}

void eng_task_reap(struct eng_task *task)
{
	for (size_t i = task->n_threads; i-- > 0;) { /* the leader last: its end is told when the others are gone */
		int status;

		while (task->threads[i].seized) {
			if (waitpid(task->threads[i].tid, &status, __WALL) < 0 ? errno != EINTR : !WIFSTOPPED(status))
				break;
		}
		task->threads[i].seized = false;
	}
}
