/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Errors with identities prepended on the way up; see engine/err.h. Truncation keeps the front: that is where the names are. */
#include "core/include/engine/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Text is formatted beside its destination: an argument may be the message that is about to be replaced. */
__attribute__((format(printf, 3, 0))) static size_t format(char *out, size_t size, const char *fmt, va_list ap)
{
	int n = vsnprintf(out, size, fmt, ap);

	if (n < 0) {
		out[0] = '\0';
		return 0;
	}
	return (size_t)n < size ? (size_t)n : size - 1;
}

static void append(char *out, size_t size, size_t used, const char *tail)
{
	size_t n = strnlen(tail, size - 1 - used);

	memcpy(out + used, tail, n);
	out[used + n] = '\0';
}

int eng_fail(struct eng_err *err, int errnum, const char *fmt, ...)
{
	char text[sizeof(err->msg)];
	va_list ap;
	size_t n;

	if (!err)
		return errnum > 0 ? -errnum : -EINVAL;

	va_start(ap, fmt);
	n = format(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (errnum > 0) {
		append(text, sizeof(text), n, ": ");
		append(text, sizeof(text), strlen(text), strerrordesc_np(errnum) ?: "unknown error");
	}
	memcpy(err->msg, text, sizeof(text));
	err->hint[0] = '\0';
	err->code = errnum > 0 ? errnum : EINVAL;
	return -err->code;
}

int eng_wrap(struct eng_err *err, int r, const char *fmt, ...)
{
	char text[sizeof(err->msg)];
	va_list ap;
	size_t n;

	if (!err)
		return r;
	va_start(ap, fmt);
	n = format(text, sizeof(text), fmt, ap);
	va_end(ap);
	append(text, sizeof(text), n, ": ");
	append(text, sizeof(text), strlen(text), err->msg);
	memcpy(err->msg, text, sizeof(text));
	return r;
}

void eng_hint(struct eng_err *err, const char *fmt, ...)
{
	char text[sizeof(err->hint)];
	va_list ap;

	if (!err || err->hint[0])
		return;
	va_start(ap, fmt);
	(void)format(text, sizeof(text), fmt, ap);
	va_end(ap);
	memcpy(err->hint, text, sizeof(text));
}

void eng_err_clear(struct eng_err *err)
{
	if (err)
		*err = (struct eng_err)ENG_ERR_INIT;
}
