/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Errors with identities prepended on the way up; see engine/err.h. Truncation keeps the front: that is where the names are. */
#include "core/include/engine/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int eng_fail(struct eng_err *err, int errnum, const char *fmt, ...)
{
	va_list ap;
	int n;

	if (!err)
		return errnum > 0 ? -errnum : -22;

	va_start(ap, fmt);
	n = vsnprintf(err->msg, sizeof(err->msg), fmt, ap);
	va_end(ap);
	err->hint[0] = '\0';
	err->code = errnum > 0 ? errnum : 22;
	if (errnum > 0 && n >= 0 && (size_t)n < sizeof(err->msg))
		(void)snprintf(err->msg + n, sizeof(err->msg) - (size_t)n, ": %s", strerrordesc_np(errnum) ?: "unknown error");
	return -err->code;
}

int eng_wrap(struct eng_err *err, int r, const char *fmt, ...)
{
	char old[sizeof(err->msg)];
	va_list ap;
	int n;

	if (!err)
		return r;
	memcpy(old, err->msg, sizeof(old));
	va_start(ap, fmt);
	n = vsnprintf(err->msg, sizeof(err->msg), fmt, ap);
	va_end(ap);
	if (n >= 0 && (size_t)n < sizeof(err->msg))
		(void)snprintf(err->msg + n, sizeof(err->msg) - (size_t)n, ": %s", old);
	return r;
}

void eng_hint(struct eng_err *err, const char *fmt, ...)
{
	va_list ap;

	if (!err || err->hint[0])
		return;
	va_start(ap, fmt);
	(void)vsnprintf(err->hint, sizeof(err->hint), fmt, ap);
	va_end(ap);
}

void eng_err_clear(struct eng_err *err)
{
	if (err)
		*err = (struct eng_err)ENG_ERR_INIT;
}
