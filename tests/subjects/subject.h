/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What every subject shares. A subject sets up one kind of kernel object, says that it is ready, waits to be told to go on, and then checks
 * that the object is still what it was. In between, the driver dumps and restores it as often as it likes.
 *
 * `subject DIR` works inside DIR by four files: it creates `ready` (or `skip`, holding a reason, and exits 77), waits for `go`, appends every
 * failed check to `failures`, and writes `result`: "ok" or "fail: what". Waiting is a polling sleep: it needs no object of its own, so a
 * subject holds nothing that it does not test. Failures go through a file opened for each one: children and threads use the same calls.
 */
#ifndef SUBJECT_H
#define SUBJECT_H

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define KiB 1024UL
#define MiB (1024UL * KiB)
#define GiB (1024UL * MiB)
#define PAGE 4096UL
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static char subject_dir[512];
static pid_t subject_pid;

/* A path inside the subject's directory, in a per-thread buffer. Names stay valid for eight calls. */
static inline const char *in_dir(const char *name)
{
	static __thread char buf[8][640];
	static __thread unsigned turn;
	char *p = buf[turn++ % 8];

	(void)snprintf(p, sizeof(buf[0]), "%s/%s", subject_dir, name);
	return p;
}

static inline void put_file(const char *path, int flags, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0666);

	if (fd < 0)
		_exit(3);
	if (write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		_exit(3);
	close(fd);
}

static inline void sleep_ms(long ms)
{
	struct timespec t = { ms / 1000, ms % 1000 * 1000000L };

	while (nanosleep(&t, &t) < 0 && errno == EINTR)
		;
}

static inline int64_t clock_ms(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

__attribute__((format(printf, 1, 2))) static inline void subject_fail(const char *fmt, ...)
{
	char line[1024];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line) - 2, fmt, ap);
	va_end(ap);
	if (n < 0 || n > (int)sizeof(line) - 2)
		n = sizeof(line) - 3;
	line[n] = '\n';
	line[n + 1] = 0;
	put_file(in_dir("failures"), O_APPEND, line);
}

__attribute__((format(printf, 1, 2), noreturn)) static inline void subject_skip(const char *fmt, ...)
{
	char line[512];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	put_file(in_dir("skip"), O_TRUNC, line);
	_exit(77);
}

#define CHECK(cond, ...)                                                                                                                                       \
	do {                                                                                                                                                   \
		if (!(cond))                                                                                                                                   \
			subject_fail(__VA_ARGS__);                                                                                                             \
	} while (0)

#define CHECK_EQ(what, got, want)                                                                                                                              \
	do {                                                                                                                                                   \
		long long got_ = (long long)(got), want_ = (long long)(want);                                                                                  \
		if (got_ != want_)                                                                                                                             \
			subject_fail("%s: expected %lld (0x%llx), got %lld (0x%llx)", what, want_, want_, got_, got_);                                         \
	} while (0)

#define CHECK_STR(what, got, want)                                                                                                                             \
	do {                                                                                                                                                   \
		const char *got_ = (got), *want_ = (want);                                                                                                     \
		if (strcmp(got_, want_))                                                                                                                       \
			subject_fail("%s: expected \"%s\", got \"%s\"", what, want_, got_);                                                                    \
	} while (0)

/* A check of a system call: the value must not be negative. */
#define CHECK_SYS(call)                                                                                                                                        \
	do {                                                                                                                                                   \
		if ((long)(call) < 0)                                                                                                                          \
			subject_fail("%s: %s", #call, strerror(errno));                                                                                        \
	} while (0)

__attribute__((noreturn)) static inline void subject_setup_failed(const char *what, int line)
{
	char text[512];

	(void)snprintf(text, sizeof(text), "fail: set-up, line %d: %s: %s\n", line, what, strerror(errno));
	put_file(in_dir("result"), O_TRUNC, text);
	_exit(2);
}

/* Set-up must succeed: its failure is no verdict on the engine and ends the subject at once. */
#define MUST(cond)                                                                                                                                             \
	do {                                                                                                                                                   \
		if (!(cond))                                                                                                                                   \
			subject_setup_failed(#cond, __LINE__);                                                                                                 \
	} while (0)
#define MUST_SYS(call)                                                                                                                                         \
	({                                                                                                                                                     \
		long rc_ = (long)(call);                                                                                                                       \
		if (rc_ < 0)                                                                                                                                   \
			subject_setup_failed(#call, __LINE__);                                                                                                 \
		rc_;                                                                                                                                           \
	})

static inline void subject_init(int argc, char **argv)
{
	if (argc < 2 || !realpath(argv[1], subject_dir) || chdir(subject_dir) < 0) {
		(void)fprintf(stderr, "usage: %s DIR\n", argv[0]);
		_exit(2);
	}
	subject_pid = getpid();
	(void)umask(0);
}

/* Waits until a file exists in the subject's directory; a subject that nobody wakes goes away by itself. */
static inline void await_file(const char *name)
{
	for (int i = 0; access(in_dir(name), F_OK) < 0; i++) {
		if (i > 60000)
			_exit(4);
		sleep_ms(i < 100 ? 2 : 10);
	}
}

static inline void await_go(void)
{
	await_file("go");
}

static inline void mark(const char *name)
{
	put_file(in_dir(name), O_TRUNC, "");
}

static inline void subject_ready(void)
{
	put_file(in_dir("ready.tmp"), O_TRUNC, "ready\n");
	MUST_SYS(rename(in_dir("ready.tmp"), in_dir("ready")));
}

static inline void subject_wait(void)
{
	subject_ready();
	await_go();
}

/* The last call of the main process: turns the failures into the result. */
static inline int subject_done(void)
{
	char text[4096] = "fail: ";
	int fd = open(in_dir("failures"), O_RDONLY | O_CLOEXEC);
	ssize_t n = 0;

	if (fd >= 0)
		n = read(fd, text + 6, sizeof(text) - 7);
	if (fd >= 0)
		close(fd);
	put_file(in_dir("result.tmp"), O_TRUNC, n > 0 ? text : "ok\n");
	(void)rename(in_dir("result.tmp"), in_dir("result"));
	return n > 0;
}

/* A child that must have exited with 0. */
static inline void check_child(const char *what, pid_t pid)
{
	int st = 0;
	pid_t got;

	while ((got = waitpid(pid, &st, 0)) < 0 && errno == EINTR)
		;
	if (got != pid)
		subject_fail("%s: waitpid(%d): %s", what, pid, strerror(errno));
	else if (!WIFEXITED(st) || WEXITSTATUS(st))
		subject_fail("%s: child %d ended with status 0x%x", what, pid, st);
}

/* Test patterns: no two words of one seed are alike, so that a page at the wrong place is noticed too. */
static inline uint64_t pattern_word(uint64_t seed, size_t i)
{
	uint64_t x = (seed + 1) * 0x9e3779b97f4a7c15ULL + i * 0xd1342543de82ef95ULL;

	x ^= x >> 29;
	x *= 0xbf58476d1ce4e5b9ULL;
	return x ^ x >> 32;
}

static inline void pattern_fill(void *buf, size_t len, uint64_t seed)
{
	uint64_t *w = buf;

	for (size_t i = 0; i < len / 8; i++)
		w[i] = pattern_word(seed, i);
}

static inline bool pattern_check(const char *what, const void *buf, size_t len, uint64_t seed)
{
	const uint64_t *w = buf;

	for (size_t i = 0; i < len / 8; i++)
		if (w[i] != pattern_word(seed, i)) {
			subject_fail("%s: at offset 0x%zx: expected %llx, got %llx", what, i * 8, (unsigned long long)pattern_word(seed, i),
			             (unsigned long long)w[i]);
			return false;
		}
	return true;
}

static inline void check_zero(const char *what, const void *buf, size_t len)
{
	const uint64_t *w = buf;

	for (size_t i = 0; i < len / 8; i++)
		if (w[i]) {
			subject_fail("%s: at offset 0x%zx: expected 0, got %llx", what, i * 8, (unsigned long long)w[i]);
			return;
		}
}

static inline void *map_anon(size_t len, int prot, int flags)
{
	void *p = mmap(NULL, len, prot, MAP_ANONYMOUS | flags, -1, 0);

	MUST(p != MAP_FAILED);
	return p;
}

/* One value line of /proc/self/smaps for the mapping that holds addr: VmFlags without those that come and go by themselves. */
static inline bool smaps_line(const void *addr, const char *key, char *out, size_t size)
{
	FILE *f = fopen("/proc/self/smaps", "re");
	char line[1024];
	bool inside = false, found = false;
	unsigned long lo, hi;

	if (!f)
		return false;
	while (!found && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx ", &lo, &hi) == 2) {
			inside = (uintptr_t)addr >= lo && (uintptr_t)addr < hi;
		} else if (inside && !strncmp(line, key, strlen(key)) && line[strlen(key)] == ':') {
			line[strcspn(line, "\n")] = 0;
			(void)snprintf(out, size, "%s", line + strlen(key) + 1 + strspn(line + strlen(key) + 1, " "));
			found = true;
		}
	}
	(void)fclose(f);
	return found;
}

static inline long smaps_kb(const void *addr, const char *key)
{
	char v[128];

	return smaps_line(addr, key, v, sizeof(v)) ? strtol(v, NULL, 10) : -1;
}

static inline bool has_vmflag(const void *addr, const char *flag)
{
	char v[256], pad[8];

	if (!smaps_line(addr, "VmFlags", v, sizeof(v) - 1))
		return false;
	(void)snprintf(pad, sizeof(pad), "%s", flag);
	return strstr(v, pad) != NULL;
}

/* The value of a line "Key:\tvalue" of a file such as /proc/PID/status or fdinfo. */
static inline bool proc_field(const char *path, const char *key, char *out, size_t size)
{
	FILE *f = fopen(path, "re");
	char line[2048];
	bool found = false;
	size_t n = strlen(key);

	out[0] = 0;
	if (!f)
		return false;
	while (!found && fgets(line, sizeof(line), f))
		if (!strncmp(line, key, n) && line[n] == ':') {
			char *v = line + n + 1 + strspn(line + n + 1, " \t");

			v[strcspn(v, "\n")] = 0;
			(void)snprintf(out, size, "%s", v);
			found = true;
		}
	(void)fclose(f);
	return found;
}

static inline char task_state(pid_t pid)
{
	char path[64], v[64];

	(void)snprintf(path, sizeof(path), "/proc/%d/status", pid);
	return proc_field(path, "State", v, sizeof(v)) ? v[0] : 0;
}

/* Waits until a thread sleeps (state S), so that it is inside its system call; ten seconds at most. */
static inline void await_sleeping(pid_t tid)
{
	for (int i = 0; i < 5000 && task_state(tid) != 'S'; i++)
		sleep_ms(2);
	sleep_ms(5);
}

static inline pid_t gettid_(void)
{
	return (pid_t)syscall(SYS_gettid);
}

#endif
