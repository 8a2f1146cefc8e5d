/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef ENGINE_ERR_H
#define ENGINE_ERR_H
/*
 * Errors: a fixed-size text owned by the caller, so that raising one cannot fail.
 *
 * Where a failure is detected it is written once, with names and numbers (eng_fail); whoever knows an identity prepends it
 * (eng_wrap); only the top prints. Functions return 0 for success, a negative errno for failure (callers forward it and do not
 * interpret it), and a value > 0 only for an outcome documented at that function.
 */

#pragma GCC visibility push(default)

struct eng_err {
	int code;        /* errno of the first failure, 0 while there is none */
	char msg[1000];  /* "task 12: fd 3: cannot read counter: Input/output error" */
	char hint[280];  /* what to do about it, or empty */
};

#define ENG_ERR_INIT { 0 }

/* Record a failure. errnum > 0 appends ": strerror(errnum)"; 0 appends nothing. Returns -errnum, or -EINVAL for 0. err may be NULL. */
int eng_fail(struct eng_err *err, int errnum, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Prepend "text: " to a recorded failure and return r unchanged. */
int eng_wrap(struct eng_err *err, int r, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Say what the user can do about the recorded failure; the first hint wins. */
void eng_hint(struct eng_err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Forget what was recorded. */
void eng_err_clear(struct eng_err *err);

#pragma GCC visibility pop

#endif
