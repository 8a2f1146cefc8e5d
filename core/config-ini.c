/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reading an INI file. libinih calls back per line and reports only the line number of the first syntax error; it cuts lines at 199
 * bytes and joins indented lines to the value above. The reader below counts lines and refuses long ones and NUL bytes; the handler
 * holds each key back until the next one starts, so that continued values are delivered whole.
 */
#include "core/config-ini.h"

#include <ini.h>
#include <stdio.h>
#include <string.h>

#include "core/include/engine/util.h"

#define NAME_MAX_INI 64

struct reader {
	FILE *file;
	const char *path;
	eng_ini_fn fn;
	void *data;
	struct eng_err *err;
	int line, err_line, r;
	bool indented;
	bool pending;
	int pending_line;
	char section[NAME_MAX_INI], key[NAME_MAX_INI];
	char value[4096];
};

static void fail(struct reader *rd, int line, const char *what)
{
	if (rd->r < 0)
		return;
	rd->r = eng_fail(rd->err, 0, "%s:%d: %s", rd->path, line, what);
	rd->err_line = line;
}

static char *read_line(char *buf, int size, void *stream)
{
	struct reader *rd = stream;
	int n = 0, c;

	if (rd->r < 0)
		return NULL;
	rd->line++;
	while ((c = getc(rd->file)) != EOF && c != '\n') {
		if (c == '\0') {
			fail(rd, rd->line, "NUL byte: this is not a text file");
			return NULL;
		}
		if (n >= size - 2) {
			fail(rd, rd->line, "line is too long; a value can go on in indented lines");
			return NULL;
		}
		buf[n++] = (char)c;
	}
	if (c == EOF && n == 0)
		return NULL;
	buf[n] = '\0';
	rd->indented = buf[0] == ' ' || buf[0] == '\t';
	return buf;
}

static void flush(struct reader *rd)
{
	char where[4200];

	if (!rd->pending || rd->r < 0)
		return;
	rd->pending = false;
	(void)snprintf(where, sizeof(where), "%s:%d", rd->path, rd->pending_line);
	rd->r = rd->fn(rd->data, rd->section, rd->key, rd->value, where, rd->err);
	if (rd->r < 0)
		rd->err_line = rd->pending_line;
}

static int on_key(void *user, const char *section, const char *name, const char *value)
{
	struct reader *rd = user;
	size_t len, add = strlen(value);

	if (rd->r < 0)
		return 0;
	if (rd->indented && rd->pending && strcmp(rd->key, name) == 0 && strcmp(rd->section, section) == 0) {
		len = strlen(rd->value);
		if (strchr(value, '='))
			fail(rd, rd->line, "an indented line continues the value above; remove the indentation if it is a key of its own");
		else if (len + add + 2 > sizeof(rd->value))
			fail(rd, rd->line, "value is too long");
		else
			(void)snprintf(rd->value + len, sizeof(rd->value) - len, " %s", value);
		return rd->r >= 0;
	}
	flush(rd);
	if (rd->r < 0)
		return 0;
	if (strlen(section) >= sizeof(rd->section) || strlen(name) >= sizeof(rd->key) || add >= sizeof(rd->value)) {
		fail(rd, rd->line, "name is too long");
		return 0;
	}
	(void)strcpy(rd->section, section);
	(void)strcpy(rd->key, name);
	(void)strcpy(rd->value, value);
	rd->pending = true;
	rd->pending_line = rd->line;
	return 1;
}

int eng_ini_read(const char *path, eng_ini_fn fn, void *data, struct eng_err *err)
{
	struct reader rd = { .path = path, .fn = fn, .data = data, .err = err };
	int syntax;

	rd.file = fopen(path, "re");
	if (!rd.file && errno == ENOENT)
		return 1;
	if (!rd.file)
		return eng_fail(err, errno, "cannot open %s", path);
	syntax = ini_parse_stream(read_line, &rd, on_key, &rd);
	if (rd.r >= 0 && ferror(rd.file))
		rd.r = eng_fail(err, EIO, "cannot read %s", path);
	(void)fclose(rd.file);
	if (syntax <= 0 || rd.pending_line < syntax)
		flush(&rd);
	if (syntax > 0 && (rd.r >= 0 || syntax < rd.err_line)) {
		rd.r = 0;
		fail(&rd, syntax, "neither [section] nor key = value");
	}
	return rd.r < 0 ? rd.r : 0;
}
