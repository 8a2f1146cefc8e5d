/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Log lines: "[   0.001234] debug tcp: text". Formatted on the stack and written at once. */
#include "core/log.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "core/include/engine/util.h"
#include "core/io.h"

static const char *const level_names[] = { "error", "warn", "info", "debug", "trace" };

static uint64_t now_us(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

int eng_log_open(struct eng_log *log, int level, const char *path, struct eng_err *err)
{
	int fd = STDERR_FILENO;

	if (path) {
		fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0600);
		if (fd < 0)
			return eng_fail(err, errno, "cannot open log file %s", path);
	}
	*log = (struct eng_log){ .level = level, .fd = fd, .owned = path != NULL, .start_us = now_us() };
	return 0;
}

void eng_log_close(struct eng_log *log)
{
	if (log->owned)
		eng_closep(&log->fd);
	*log = (struct eng_log)ENG_LOG_INIT;
}

void eng_log_vwrite(const struct eng_log *log, int level, const char *topic, const char *fmt, va_list ap)
{
	char line[1200];
	uint64_t us = now_us() - log->start_us;
	int saved = errno, head, n;
	size_t len;

	if (log->fd < 0)
		return;
	if (level < 0 || (size_t)level >= ENG_ARRAY_SIZE(level_names))
		level = ENG_LOG_TRACE;
	head = snprintf(line, sizeof(line), "[%4llu.%06llu] %-5s %.40s: ", (unsigned long long)(us / 1000000), (unsigned long long)(us % 1000000),
			level_names[level], topic);
	errno = saved; /* for %m */
	n = vsnprintf(line + head, sizeof(line) - (size_t)head, fmt, ap);
	len = (size_t)head + (n < 0 ? 0 : (size_t)n);
	if (len > sizeof(line) - 2)
		len = sizeof(line) - 2;
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
			line[i] = '?';
	line[len] = '\n';
	(void)eng_write_full(log->fd, line, len + 1);
	errno = saved;
}

void eng_log_write(const struct eng_log *log, int level, const char *topic, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	eng_log_vwrite(log, level, topic, fmt, ap);
	va_end(ap);
}
