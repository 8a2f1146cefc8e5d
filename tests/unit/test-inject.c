/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Freezing and injection against live children: a computing thread whose registers carry a checksum, and a sleeper. Their results must be right
 * after 200 rounds of freeze, enter, batch, leave, and after the tracer was killed at random instants of such a round.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/io.h"
#include "core/task.h"

struct shared {
	volatile uint64_t rounds, bad, woken;
	volatile int stop, ready;
};

static struct shared *sh;

/* A value carried through registers and the red zone over many iterations; any disturbance changes it. */
static __attribute__((noinline)) uint64_t mix(uint64_t x)
{
	for (int i = 0; i < 100000; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
	}
	return x;
}

static void *sleeper(void *arg)
{
	while (!sh->stop) {
		struct timespec ts = { 0, 3000000 };

		if (nanosleep(&ts, NULL) < 0)
			sh->bad++; /* EINTR that no handler caused */
		sh->woken++;
	}
	return NULL;
}

static void computing_child(void)
{
	pthread_t t;
	uint64_t want = mix(42);
	sigset_t mask, now;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)sigemptyset(&mask);
	(void)sigaddset(&mask, SIGUSR2);
	(void)sigprocmask(SIG_SETMASK, &mask, NULL);
	if (pthread_create(&t, NULL, sleeper, NULL))
		_exit(9);
	sh->ready = 1;
	while (!sh->stop) {
		if (mix(42) != want)
			sh->bad++;
		(void)sigprocmask(SIG_SETMASK, NULL, &now);
		if (memcmp(&now, &mask, 8) != 0)
			sh->bad++;
		sh->rounds++;
	}
	(void)pthread_join(t, NULL);
	_exit(0);
}

static pid_t start_child(void)
{
	pid_t pid;

	memset(sh, 0, sizeof(*sh));
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		computing_child();
	/* Both threads must have gone round: a thread that starts still maps memory (its malloc arena, a sanitizer's stacks). */
	while (!sh->ready || sh->woken < 2 || sh->rounds < 2)
		(void)usleep(1000);
	return pid;
}

static void stop_child(pid_t pid)
{
	uint64_t rounds = sh->rounds, woken = sh->woken;
	int status;

	for (int i = 0; i < 5000 && (sh->rounds < rounds + 3 || sh->woken < woken + 3); i++)
		(void)usleep(1000);
	assert_true(sh->rounds >= rounds + 3); /* both still run */
	assert_true(sh->woken >= woken + 3);
	sh->stop = 1;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(sh->bad, 0);
}

static char *maps_of(pid_t pid)
{
	char path[32], *text;

	(void)snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	assert_int_equal(eng_read_file_at(AT_FDCWD, path, &text, NULL), 0);
	return text;
}

static int one_round(pid_t pid)
{
	struct eng_err err = ENG_ERR_INIT;
	struct eng_task task;
	int r = eng_task_open(pid, &task, &err), failed = 0;

	if (r == 0)
		r = eng_task_freeze(&task, 2000, &err);
	if (r == 0)
		r = eng_task_enter(&task, &err);
	if (r == 0) {
		for (size_t i = 0; r == 0 && i < task.n_threads; i++) {
			struct batch_op ops[4] = {
				{ .nr = SYS_gettid },
				{ .nr = SYS_getpid },
				{ .nr = SYS_getpgid, .arg = { 1 }, .flags = BATCH_USE(0) },
				{ .nr = SYS_close, .arg = { 100000 } }, /* fails: must be named */
			};

			r = eng_task_run(&task, &task.threads[i], ops, 4, &failed, &err);
			if (r == 0 && (ops[0].result != task.threads[i].tid || ops[1].result != pid || ops[2].result != getpgid(pid) || failed != 3 ||
				       ops[3].result != -EBADF))
				r = eng_fail(&err, EIO, "wrong result");
		}
		if (eng_task_leave(&task, &err) < 0)
			r = -EIO;
	}
	if (r < 0)
		(void)fprintf(stderr, "%s\n", err.msg);
	eng_task_thaw(&task);
	eng_task_close(&task);
	return r;
}

static void test_rounds(void **state)
{
	pid_t pid = start_child();
	char *before = maps_of(pid), *after;

	for (int i = 0; i < 200; i++)
		assert_int_equal(one_round(pid), 0);
	after = maps_of(pid);
	assert_string_equal(before, after);
	free(before);
	free(after);
	stop_child(pid);
}

/* The tracer is killed at a random instant of its rounds; ptrace lets go, and the child must run on as it was, with the same maps. */
static void test_killed(void **state)
{
	pid_t pid = start_child();
	char *before = maps_of(pid);
	int kills = getenv("ENGINE_TEST_FULL") ? 500 : 100;

	for (int i = 0; i < kills; i++) {
		pid_t tracer = fork();
		int status;

		assert_true(tracer >= 0);
		if (tracer == 0) {
			for (;;)
				if (one_round(pid) < 0)
					_exit(1);
		}
		(void)usleep((useconds_t)(1000 + random() % 6000));
		assert_int_equal(kill(tracer, SIGKILL), 0);
		assert_int_equal(waitpid(tracer, &status, 0), tracer);
		assert_true(WIFSIGNALED(status)); /* it did not fail by itself */
		for (int k = 0; k < 200; k++) { /* the interpreter leaves as soon as it is scheduled */
			char *after = maps_of(pid);
			int same = strcmp(before, after) == 0;

			if (k == 199)
				(void)fprintf(stderr, "before:\n%s\nafter:\n%s\n", before, after);
			free(after);
			if (same)
				break;
			assert_true(k < 199);
			(void)usleep(5000);
		}
	}
	free(before);
	stop_child(pid);
}

static void test_refusals(void **state)
{
	struct eng_err err = ENG_ERR_INIT;
	struct eng_task task;
	pid_t pid = start_child(), tracer;
	int fds[2], status;
	char c;

	assert_int_equal(eng_task_open(0x3ffffff, &task, &err), ENG_TASK_GONE);
	assert_int_equal(pipe(fds), 0);
	tracer = fork();
	if (tracer == 0) {
		if (ptrace(PTRACE_SEIZE, pid, NULL, NULL) < 0 || write(fds[1], "x", 1) != 1)
			_exit(1);
		(void)pause();
	}
	assert_int_equal(read(fds[0], &c, 1), 1);
	assert_int_equal(eng_task_open(pid, &task, &err), 0);
	assert_int_equal(eng_task_freeze(&task, 500, &err), -EBUSY);
	assert_non_null(strstr(err.msg, "traced by process"));
	eng_task_close(&task);
	(void)kill(tracer, SIGKILL);
	(void)waitpid(tracer, &status, 0);
	(void)close(fds[0]);
	(void)close(fds[1]);
	stop_child(pid);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rounds),
		cmocka_unit_test(test_killed),
		cmocka_unit_test(test_refusals),
	};

	sh = mmap(NULL, sizeof(*sh), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	(void)alarm(300);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
