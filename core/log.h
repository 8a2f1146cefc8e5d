/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef CORE_LOG_H
#define CORE_LOG_H
/*
 * The log: lines with a time and a topic (the part of the core, or the plugin), for people who look for a fault.
 *
 * It is passed by parameter and there is no global one. Nothing is formatted while the level is off. Each line is one write(2),
 * so that lines of forked workers do not mix. Results and errors of the command are not log lines: the command line prints them.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/include/engine/err.h"

enum {
	ENG_LOG_ERROR = 0,
	ENG_LOG_WARN = 1, /* default */
	ENG_LOG_INFO = 2, /* phases */
	ENG_LOG_DEBUG = 3, /* objects */
	ENG_LOG_TRACE = 4, /* operations */
};

struct eng_log {
	int level;
	int fd;            /* -EBADF: lines are dropped */
	bool owned;        /* fd is closed by eng_log_close */
	uint64_t start_us; /* CLOCK_MONOTONIC; times of lines are relative to it */
};

#define ENG_LOG_INIT { .fd = -EBADF }

/* path NULL: standard error. A file is appended to, 0600 when it is created. */
int eng_log_open(struct eng_log *log, int level, const char *path, struct eng_err *err);
void eng_log_close(struct eng_log *log);

static inline bool eng_log_on(const struct eng_log *log, int level)
{
	return log && level <= log->level;
}

/* errno is kept. Control characters are written as '?': names come from targets. */
void eng_log_write(const struct eng_log *log, int level, const char *topic, const char *fmt, ...) __attribute__((format(printf, 4, 5)));
void eng_log_vwrite(const struct eng_log *log, int level, const char *topic, const char *fmt, va_list ap) __attribute__((format(printf, 4, 0)));

#define eng_log(log, lvl, topic, ...) \
	do { \
		const struct eng_log *_log = (log); \
		if (eng_log_on(_log, (lvl))) \
			eng_log_write(_log, (lvl), (topic), __VA_ARGS__); \
	} while (0)

#endif
