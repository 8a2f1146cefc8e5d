/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Image reader and writer: round trip, and every truncation and every single-bit flip of every file is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "core/image.h"
#include "core/io.h"

static char dir[64];

static void path_of(char *out, size_t n, const char *name)
{
	(void)snprintf(out, n, "%s/%s", dir, name);
}

static void make_image(void)
{
	struct eng_err err = ENG_ERR_INIT;
	struct eng_image_writer *w;
	Engine__Manifest m = ENGINE__MANIFEST__INIT;
	Engine__Task t = ENGINE__TASK__INIT;
	uint8_t uuid[16] = { 1 };
	XXH128_canonical_t sum;

	assert_int_equal(eng_image_create(dir, &w, &err), 0);
	for (int i = 1; i <= 3; i++) {
		t.pid = i;
		assert_int_equal(eng_image_put(w, "core/task", (uint64_t)i, &t.base, &err), 0);
	}
	assert_int_equal(pwrite(eng_image_data_fd(w), "0123456789", 10, 0), 10);
	XXH128_canonicalFromHash(&sum, XXH3_128bits("0123456789", 10));
	assert_int_equal(eng_image_data_sum(w, 0, sum.digest, &err), 0);
	m.format = 1;
	m.arch = (char *)"x86_64";
	m.engine_version = (char *)"test";
	m.uuid = (ProtobufCBinaryData){ .len = 16, .data = uuid };
	m.kernel = (char *)"k";
	assert_int_equal(eng_image_commit(&w, &m, 10, &err), 0);
	assert_null(w);
}

static int setup(void **state)
{
	(void)strcpy(dir, "/tmp/engine-image-XXXXXX");
	assert_non_null(mkdtemp(dir));
	make_image();
	return 0;
}

static int teardown(void **state)
{
	static const char *const names[] = { "records", "sums", "data", "manifest", "manifest.tmp", "stranger" };
	char p[128];

	for (size_t i = 0; i < 6; i++) {
		path_of(p, sizeof(p), names[i]);
		(void)unlink(p);
	}
	(void)rmdir(dir);
	return 0;
}

/* The whole image is good: opened, every record decoded, data verified. */
static int whole(void)
{
	struct eng_err err = ENG_ERR_INIT;
	struct eng_image *img;
	const ProtobufCMessage *msg;
	int r = eng_image_open(dir, &img, &err);

	if (r < 0) {
		assert_true(err.msg[0]);
		return r;
	}
	for (uint64_t i = 1; r == 0 && i <= 3; i++)
		r = eng_image_get(img, "core/task", i, &engine__task__descriptor, &msg, &err);
	if (r == 0)
		r = eng_image_verify_data(img, &err);
	eng_image_close(img);
	return r;
}

static void test_round_trip(void **state)
{
	struct eng_err err = ENG_ERR_INIT;
	struct eng_image *img;
	const ProtobufCMessage *msg;
	struct stat st;
	char p[128];

	assert_int_equal(eng_image_open(dir, &img, &err), 0);
	assert_int_equal(eng_image_count(img), 3);
	assert_int_equal(eng_image_get(img, "core/task", 2, &engine__task__descriptor, &msg, &err), 0);
	assert_int_equal(((const Engine__Task *)msg)->pid, 2);
	assert_int_equal(eng_image_get(img, "core/task", 9, &engine__task__descriptor, &msg, &err), 1);
	eng_image_close(img);
	path_of(p, sizeof(p), "records");
	assert_int_equal(stat(p, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
}

static void test_damage(void **state)
{
	static const char *const names[] = { "records", "sums", "data", "manifest" };

	for (size_t i = 0; i < 4; i++) {
		char p[128], *good;
		size_t size;
		int fd;

		path_of(p, sizeof(p), names[i]);
		assert_int_equal(eng_read_file_at(AT_FDCWD, p, &good, &size), 0);
		fd = open(p, O_RDWR | O_CLOEXEC);
		assert_true(fd >= 0);
		for (size_t bit = 0; bit < size * 8; bit++) {
			uint8_t b = (uint8_t)((uint8_t)good[bit / 8] ^ (1u << (bit % 8)));

			assert_int_equal(pwrite(fd, &b, 1, (off_t)(bit / 8)), 1);
			assert_true(whole() < 0);
			assert_int_equal(pwrite(fd, &good[bit / 8], 1, (off_t)(bit / 8)), 1);
		}
		for (size_t n = 0; n < size; n++) {
			assert_int_equal(ftruncate(fd, (off_t)n), 0);
			assert_true(whole() < 0);
		}
		assert_int_equal(pwrite(fd, good, size, 0), (ssize_t)size);
		assert_int_equal(whole(), 0);
		(void)close(fd);
		free(good);
	}
}

static void test_directory(void **state)
{
	struct eng_err err = ENG_ERR_INIT;
	struct eng_image_writer *w = NULL;
	char p[128];

	assert_int_equal(eng_image_create(dir, &w, &err), -EEXIST); /* an image is never overwritten */
	assert_true(err.hint[0]);
	assert_int_equal(whole(), 0);
	path_of(p, sizeof(p), "manifest");
	assert_int_equal(unlink(p), 0);
	assert_int_equal(whole(), -ENOENT); /* without a manifest it is not an image */
	path_of(p, sizeof(p), "stranger");
	assert_int_equal(close(open(p, O_CREAT | O_WRONLY, 0600)), 0);
	assert_int_equal(eng_image_create(dir, &w, &err), -ENOTEMPTY);
	assert_int_equal(unlink(p), 0);
	assert_int_equal(eng_image_create(dir, &w, &err), 0); /* leftovers of a killed dump are reused */
	assert_null(eng_image_abort(w));
	path_of(p, sizeof(p), "data");
	assert_int_equal(access(p, F_OK), -1);
}

static void test_errors(void **state)
{
	struct eng_err err = ENG_ERR_INIT;

	assert_int_equal(eng_fail(&err, ENOENT, "cannot open %s", "x"), -ENOENT);
	assert_int_equal(eng_wrap(&err, -ENOENT, "task %d", 7), -ENOENT);
	assert_string_equal(err.msg, "task 7: cannot open x: No such file or directory");
	eng_hint(&err, "first");
	eng_hint(&err, "second");
	assert_string_equal(err.hint, "first");
	assert_int_equal(eng_fail(&err, 0, "%01500d", 1), -EINVAL); /* longer than the buffer */
	assert_int_equal(strlen(err.msg), sizeof(err.msg) - 1);
	assert_int_equal(eng_wrap(&err, -1, "%01500d", 1), -1);
	assert_int_equal(eng_fail(NULL, EIO, "nobody listens"), -EIO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_round_trip, setup, teardown),
		cmocka_unit_test_setup_teardown(test_damage, setup, teardown),
		cmocka_unit_test_setup_teardown(test_directory, setup, teardown),
		cmocka_unit_test(test_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
