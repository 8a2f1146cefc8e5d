/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Errors: prefixes, hints, and texts longer than the buffer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "core/include/engine/err.h"

static void test_fail_and_wrap(void **state)
{
	struct eng_err err = ENG_ERR_INIT;

	assert_int_equal(eng_fail(&err, ENOENT, "cannot open %s", "x"), -ENOENT);
	assert_int_equal(err.code, ENOENT);
	assert_string_equal(err.msg, "cannot open x: No such file or directory");
	assert_int_equal(eng_wrap(&err, -ENOENT, "fd %d", 3), -ENOENT);
	assert_int_equal(eng_wrap(&err, -77, "task %d", 12), -77); /* r passes through unchanged */
	assert_string_equal(err.msg, "task 12: fd 3: cannot open x: No such file or directory");
	assert_int_equal(err.code, ENOENT);
	assert_int_equal(eng_fail(&err, 0, "plain"), -EINVAL);
	assert_string_equal(err.msg, "plain");
	assert_int_equal(eng_fail(&err, 99999, "odd"), -99999);
	assert_string_equal(err.msg, "odd: unknown error");
}

static void test_nobody_listens(void **state)
{
	assert_int_equal(eng_fail(NULL, EIO, "x"), -EIO);
	assert_int_equal(eng_fail(NULL, 0, "x"), -EINVAL);
	assert_int_equal(eng_wrap(NULL, -5, "x"), -5);
	eng_hint(NULL, "x");
	eng_err_clear(NULL);
}

static void test_hint(void **state)
{
	struct eng_err err = ENG_ERR_INIT;

	(void)eng_fail(&err, EBUSY, "x");
	eng_hint(&err, "first");
	eng_hint(&err, "second");
	assert_string_equal(err.hint, "first");
	(void)eng_wrap(&err, -EBUSY, "y");
	assert_string_equal(err.hint, "first");
	(void)eng_fail(&err, EBUSY, "another failure"); /* the hint belonged to the one before */
	assert_string_equal(err.hint, "");
	eng_hint(&err, "%0500d", 1);
	assert_int_equal(strlen(err.hint), sizeof(err.hint) - 1);
	eng_err_clear(&err);
	assert_int_equal(err.code, 0);
	assert_string_equal(err.msg, "");
	assert_string_equal(err.hint, "");
}

/* The front survives: that is where the names are. Every length around the edge, so that an off-by-one shows under the sanitizer. */
static void test_truncation(void **state)
{
	struct eng_err err = ENG_ERR_INIT;

	for (int n = (int)sizeof(err.msg) - 40; n < (int)sizeof(err.msg) + 40; n++) {
		assert_int_equal(eng_fail(&err, EIO, "front %0*d", n, 1), -EIO);
		assert_true(strncmp(err.msg, "front 0", 7) == 0);
		assert_in_range(strlen(err.msg), (size_t)n < sizeof(err.msg) - 6 ? (size_t)n + 6 : sizeof(err.msg) - 1, sizeof(err.msg) - 1);
		assert_int_equal(eng_wrap(&err, -1, "outer"), -1);
		assert_true(strncmp(err.msg, "outer: front 0", 14) == 0);
	}
}

/* An argument may be the text that is replaced. */
static void test_own_text_as_argument(void **state)
{
	struct eng_err err = ENG_ERR_INIT;

	(void)eng_fail(&err, 0, "inner");
	(void)eng_fail(&err, EIO, "again, %s", err.msg);
	assert_string_equal(err.msg, "again, inner: Input/output error");
	(void)eng_wrap(&err, -1, "<%s>", err.msg);
	assert_string_equal(err.msg, "<again, inner: Input/output error>: again, inner: Input/output error");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fail_and_wrap), cmocka_unit_test(test_nobody_listens), cmocka_unit_test(test_hint),
		cmocka_unit_test(test_truncation), cmocka_unit_test(test_own_text_as_argument),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
