/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Image reader and writer: round trip, and every truncation and every single-bit flip of every file is refused. Checksums keep out accidents only, so forged
 * images with right checksums come after that. Inspection and verification look into the same images.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <xxhash.h>

#include "core/image-format.h"
#include "core/image.h"
#include "core/inspect.h"
#include "core/include/engine/util.h"
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
	static const char *const names[] = { "records", "sums", "data", "manifest", "manifest.tmp", "stranger", "image/records", "image/sums", "image/data", "image/manifest" };
	char p[128];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		path_of(p, sizeof(p), names[i]);
		(void)unlink(p);
	}
	path_of(p, sizeof(p), "image");
	(void)rmdir(p);
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

/* ------------------------------------------------------------------------------------------------ forged images */

/* Everything a forger may choose; checksums are always right. */
struct forged {
	uint8_t records[4096];
	size_t len;
	Engine__ImageFile file[4], *list[4];
	Engine__Manifest m;
	uint32_t format;
	uint64_t extra_len; /* what the header says too much */
	uint8_t sum[2][16], uuid[16];
};

static void put_file(const char *name, const void *data, size_t size)
{
	char p[128];
	int fd;

	path_of(p, sizeof(p), name);
	(void)unlink(p);
	fd = open(p, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(eng_write_full(fd, data, size), 0);
	(void)close(fd);
}

static void canonical(const void *data, size_t size, uint8_t out[16])
{
	XXH128_canonical_t c;

	XXH128_canonicalFromHash(&c, XXH3_128bits(data, size));
	memcpy(out, c.digest, 16);
}

static void forge_init(struct forged *f)
{
	static const char *const names[] = { "records", "sums", "data", "more" };

	memset(f, 0, sizeof(*f));
	f->format = ENG_IMAGE_FORMAT;
	engine__manifest__init(&f->m);
	f->m.format = 1;
	f->m.arch = f->m.engine_version = f->m.kernel = (char *)"x";
	f->m.page_size = 4096;
	f->m.uuid = (ProtobufCBinaryData){ .len = 16, .data = f->uuid };
	f->m.n_files = 3;
	f->m.files = f->list;
	canonical("", 0, f->sum[1]);
	for (int i = 0; i < 4; i++) {
		f->list[i] = &f->file[i];
		engine__image_file__init(&f->file[i]);
		f->file[i].name = (char *)names[i];
		f->file[i].checksum = (ProtobufCBinaryData){ .len = 16, .data = f->sum[i > 0] };
	}
}

/* A frame with a right checksum over whatever its header says it covers. */
static void forge_frame(struct forged *f, struct eng_frame head, const void *kind, size_t kind_len, const void *payload, size_t len)
{
	uint8_t *p = f->records + f->len;
	size_t total = sizeof(head) + kind_len + len;

	assert_true(f->len + total + 8 <= sizeof(f->records));
	memcpy(p, &head, sizeof(head));
	memcpy(p + sizeof(head), kind, kind_len);
	memcpy(p + sizeof(head) + kind_len, payload, len);
	head.checksum = XXH3_64bits(p, total);
	memcpy(p, &head, sizeof(head));
	f->len += (total + 7) & ~(size_t)7;
	f->file[0].size = f->len;
}

static void forge_record(struct forged *f, const char *kind, uint64_t id, const void *payload, size_t len)
{
	struct eng_frame head = { .magic = ENG_FRAME_MAGIC, .kind_len = (uint16_t)strlen(kind), .payload_len = (uint32_t)len, .id = id };

	forge_frame(f, head, kind, strlen(kind), payload, len);
}

static int forge_open(struct forged *f)
{
	uint8_t buf[4096];
	struct eng_manifest_head head = { .magic = ENG_MANIFEST_MAGIC, .format = f->format };
	struct eng_err err = ENG_ERR_INIT;
	struct eng_image *img = NULL;
	const ProtobufCMessage *msg;
	FILE *null = fopen("/dev/null", "we");
	int r;

	put_file("records", f->records, f->len);
	put_file("sums", "", 0);
	put_file("data", "", 0);
	canonical(f->records, f->len, f->sum[0]);
	head.len = engine__manifest__get_packed_size(&f->m) + f->extra_len;
	assert_true(sizeof(head) + head.len - f->extra_len <= sizeof(buf));
	(void)engine__manifest__pack(&f->m, buf + sizeof(head));
	canonical(buf + sizeof(head), head.len - f->extra_len, head.sum);
	memcpy(buf, &head, sizeof(head));
	put_file("manifest", buf, sizeof(head) + head.len - f->extra_len);
	r = eng_image_open(dir, &img, &err);
	if (r < 0)
		assert_true(err.msg[0]);
	else
		(void)eng_image_get(img, "core/task", 1, &engine__task__descriptor, &msg, &err);
	eng_image_close(img);
	for (int json = 0; json < 2; json++) { /* whatever it is, looking at it is harmless */
		static const char *const what[] = { NULL, "tasks", "files", "maps", "memory", "records", "core/task" };

		for (size_t i = 0; i < 7; i++)
			(void)eng_inspect(dir, what[i], json, NULL, NULL, null, &err);
		(void)eng_verify(dir, json, null, &err);
	}
	(void)fclose(null);
	return r;
}

static void test_hostile_manifest(void **state)
{
	static const uint64_t sizes[] = { 1, 8, UINT32_MAX, INT64_MAX, UINT64_MAX };
	struct forged f;
	char p[128];

	forge_init(&f);
	assert_int_equal(forge_open(&f), 0); /* the forger's tools work */
	for (int i = 0; i < 3; i++) {
		static const char *const names[] = { "../records", "/etc/passwd", "", "records/", "." };

		for (size_t k = 0; k < 5; k++) {
			forge_init(&f);
			f.file[i].name = (char *)names[k];
			assert_int_equal(forge_open(&f), -EBADMSG);
		}
		for (size_t k = 0; k < 5; k++) {
			forge_init(&f);
			f.file[i].size = sizes[k];
			assert_int_equal(forge_open(&f), -EBADMSG);
		}
		forge_init(&f); /* twice */
		f.m.n_files = 4;
		f.file[3].name = f.file[i].name;
		assert_int_equal(forge_open(&f), -EBADMSG);
		forge_init(&f);
		f.file[i].checksum.len = 15;
		assert_int_equal(forge_open(&f), -EBADMSG);
	}
	for (size_t n = 0; n < 3; n++) {
		forge_init(&f);
		f.m.n_files = n;
		assert_int_equal(forge_open(&f), -EBADMSG);
	}
	for (size_t k = 0; k < 5; k++) {
		forge_init(&f);
		f.extra_len = sizes[k];
		assert_int_equal(forge_open(&f), -EBADMSG);
	}
	forge_init(&f);
	put_file("manifest", "", 0);
	assert_int_equal(whole(), -EBADMSG);
	for (int i = 0; i < 3; i++) { /* a file that is not there */
		forge_init(&f);
		assert_int_equal(forge_open(&f), 0);
		path_of(p, sizeof(p), f.file[i].name);
		assert_int_equal(unlink(p), 0);
		assert_int_equal(whole(), -ENOENT);
	}
}

static void test_newer_format(void **state)
{
	struct eng_err err = ENG_ERR_INIT;
	struct eng_image *img;
	struct forged f;

	forge_init(&f);
	f.format = ENG_IMAGE_FORMAT + 1;
	assert_int_equal(forge_open(&f), -EPROTONOSUPPORT);
	assert_true(eng_image_open(dir, &img, &err) < 0);
	assert_non_null(strstr(err.msg, "newer engine"));
	forge_init(&f);
	f.format = 0;
	assert_int_equal(forge_open(&f), -EBADMSG);
	forge_init(&f);
	f.m.format = 2;
	assert_true(forge_open(&f) < 0);
}

static void test_hostile_frames(void **state)
{
	const struct eng_frame good = { .magic = ENG_FRAME_MAGIC, .kind_len = 4, .payload_len = 4, .id = 1 };
	struct eng_frame bad[9];
	char kind[ENG_KIND_MAX + 1];
	struct forged f;

	for (size_t i = 0; i < 9; i++)
		bad[i] = good;
	bad[0].magic++;
	bad[1].zero1 = 1;
	bad[2].zero2 = 1;
	bad[3].kind_len = 0;
	bad[4].kind_len = UINT16_MAX;
	bad[5].payload_len = UINT32_MAX;
	bad[6].payload_len = ENG_RECORD_MAX;
	bad[7].payload_len = 13; /* into what is not there */
	bad[8].kind_len = ENG_KIND_MAX + 1;
	forge_init(&f);
	forge_frame(&f, good, "kind", 4, "load", 4);
	assert_int_equal(forge_open(&f), 0);
	for (size_t i = 0; i < 9; i++) {
		forge_init(&f);
		forge_frame(&f, bad[i], "kind", 4, "load", 4);
		assert_int_equal(forge_open(&f), -EBADMSG);
	}
	forge_init(&f);
	forge_frame(&f, good, "k\0nd", 4, "load", 4);
	assert_int_equal(forge_open(&f), -EBADMSG);
	forge_init(&f); /* twice */
	forge_record(&f, "kind", 1, "a", 1);
	forge_record(&f, "kind", 2, "a", 1);
	forge_record(&f, "kind", 1, "b", 1);
	assert_int_equal(forge_open(&f), -EBADMSG);
	forge_init(&f); /* padding: 32 + 4 + 1 bytes, 3 behind them */
	forge_record(&f, "kind", 1, "a", 1);
	f.records[38] = 1;
	assert_int_equal(forge_open(&f), -EBADMSG);
	forge_init(&f);
	memset(kind, 'k', ENG_KIND_MAX);
	kind[ENG_KIND_MAX] = '\0';
	forge_record(&f, kind, UINT64_MAX, "", 0);
	assert_int_equal(forge_open(&f), 0);
}

/* Bytes that are no message, behind right checksums: every prefix of a message, lengths that lie, an element count out of thin air. */
static void test_hostile_messages(void **state)
{
	static const uint8_t lies[][8] = { { 0x3a, 0xff, 0xff, 0xff, 0xff, 0x0f }, { 0x3a, 0x05, 0xff, 0xff, 0xff, 0xff, 0xff }, { 0x62, 0xff, 0xff, 0xff, 0x7f, 1 },
					   { 0x07, 1, 2, 3 }, { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff }, { 0x0b, 0x0b, 0x0b, 0x0b } };
	Engine__Task t = ENGINE__TASK__INIT;
	uint8_t wire[128];
	struct forged f;
	size_t n;

	t.pid = t.ppid = t.pgid = t.sid = 1;
	t.comm = (char *)"\033[2J\xff";
	n = engine__task__pack(&t, wire);
	for (size_t i = 0; i <= n; i++) {
		forge_init(&f);
		forge_record(&f, "core/task", 1, wire, i);
		assert_int_equal(forge_open(&f), 0);
	}
	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++)
		for (size_t k = 0; k < 2; k++) {
			forge_init(&f);
			forge_record(&f, k ? "core/mm" : "core/task", 1, lies[i], sizeof(lies[i]));
			assert_int_equal(forge_open(&f), 0);
		}
}

/* ------------------------------------------------------------------------------------------------ inspect and verify */

static void forge_message(struct forged *f, const char *kind, uint64_t id, const ProtobufCMessage *msg)
{
	uint8_t wire[2048];

	assert_true(protobuf_c_message_get_packed_size(msg) <= sizeof(wire));
	forge_record(f, kind, id, wire, protobuf_c_message_pack(msg, wire));
}

/* A whole small image; `flaw` numbers what is wrong with it, 0: nothing. */
static void forge_image(struct forged *f, int flaw)
{
	Engine__Task t = ENGINE__TASK__INIT;
	Engine__Thread th = ENGINE__THREAD__INIT;
	Engine__Mm mm = ENGINE__MM__INIT;
	Engine__Vma vma[2] = { ENGINE__VMA__INIT, ENGINE__VMA__INIT }, *vmas[] = { &vma[0], &vma[1] };
	Engine__Fd fd[2] = { ENGINE__FD__INIT, ENGINE__FD__INIT }, *fds[] = { &fd[0], &fd[1] };
	Engine__FdTable table = ENGINE__FD_TABLE__INIT;
	Engine__File file = ENGINE__FILE__INIT;
	Engine__Blob blob = ENGINE__BLOB__INIT;
	int32_t tids[] = { flaw == 1 ? 9 : 7, 8 };
	uint64_t extent[3] = { 0x1000, 0, 1 };

	forge_init(f);
	f->m.root_pid = flaw == 2 ? 6 : 7;
	t.pid = flaw == 3 ? 6 : 7;
	t.tids = tids;
	t.n_tids = flaw == 4 ? 2 : flaw == 5 ? 0 : 1;
	t.has_mm = t.has_files = true;
	t.mm = flaw == 6 ? 1 : 7;
	t.files = flaw == 7 ? 1 : 7;
	t.has_sighand = flaw == 8;
	forge_message(f, "core/task", 7, &t.base);
	th.tid = flaw == 9 ? 8 : 7;
	forge_message(f, "core/thread", 7, &th.base);
	vma[0].start = 0x1000;
	vma[0].end = flaw == 10 ? 0x1000 : flaw == 11 ? 0x2001 : flaw == 12 ? 0x3000 : 0x2000;
	vma[1].start = 0x2000;
	vma[1].end = 0x4000;
	vma[1].kind = flaw == 24 ? (Engine__Vma__Kind)77 : flaw == 13 ? ENGINE__VMA__KIND__PLUGIN : ENGINE__VMA__KIND__FILE;
	vma[1].has_file = flaw != 14;
	vma[1].file = flaw == 15 ? 2 : 1;
	mm.vmas = vmas;
	mm.n_vmas = 2;
	mm.has_exe = flaw == 16;
	mm.exe = 5;
	mm.has_extents = flaw >= 17 && flaw <= 19; /* data is empty: any extent is outside; 18: outside a mapping; 19: half an extent */
	mm.extents = (ProtobufCBinaryData){ .len = flaw == 19 ? 12 : 24, .data = (uint8_t *)extent };
	extent[0] = flaw == 18 ? 0x9000 : 0x1000;
	forge_message(f, "core/mm", 7, &mm.base);
	fd[0].file = flaw == 20 ? 2 : 1;
	fd[1].file = 1;
	fd[1].nr = flaw == 21 ? 0 : 1;
	table.fds = fds;
	table.n_fds = 2;
	forge_message(f, "core/fds", 7, &table.base);
	file.kind = (char *)(flaw == 22 ? "fd/none" : "fd/some");
	forge_message(f, "core/file", 1, &file.base);
	forge_record(f, "fd/some", 1, "", 0);
	blob.size = 100;
	blob.has_extents = flaw == 23;
	blob.extents = (ProtobufCBinaryData){ .len = 24, .data = (uint8_t *)extent };
	forge_message(f, "core/blob", 1, &blob.base);
}
#define FLAWS 24

static void test_verify(void **state)
{
	struct eng_err err = ENG_ERR_INIT;
	struct forged f;

	for (int flaw = 0; flaw <= FLAWS; flaw++) {
		_cleanup_(eng_freep) char *text = NULL;
		size_t size;
		FILE *out = open_memstream(&text, &size);
		int r;

		forge_image(&f, flaw);
		assert_int_equal(forge_open(&f), 0);
		r = eng_verify(dir, false, out, &err);
		(void)fclose(out);
		if (r != (flaw ? -EBADMSG : 0))
			fail_msg("flaw %d: verify returned %d: %s", flaw, r, text);
		assert_true(size > 0);
	}
}

static char *inspect(const char *what, bool json, int want)
{
	struct eng_err err = ENG_ERR_INIT;
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	assert_int_equal(eng_inspect(dir, what, json, NULL, NULL, out, &err), want);
	(void)fclose(out);
	return text;
}

static void test_inspect(void **state)
{
	static const struct { const char *what, *text; } views[] = {
		{ NULL, "core/task: 1 records" }, { "tasks", "7 " },  { "files", "fd/some" }, { "maps", "2000-4000 ---s FILE file 1" },
		{ "memory", "address space of 7" }, { "records", "core/mm 7" }, { "core/thread", "tid: 7" }, { "fd/some", "no loaded plugin" },
	};
	struct forged f;
	json_t *doc;
	char *text;

	forge_image(&f, 0);
	assert_int_equal(forge_open(&f), 0);
	for (size_t i = 0; i < sizeof(views) / sizeof(views[0]); i++) {
		text = inspect(views[i].what, false, 0);
		assert_non_null(strstr(text, views[i].text));
		free(text);
		text = inspect(views[i].what, true, 0);
		doc = json_loads(text, 0, NULL);
		assert_non_null(doc);
		json_decref(doc);
		free(text);
	}
	free(inspect("core/none", false, -ENOENT));
}

/* Parents that are their own children: everything is printed, once. */
static void test_inspect_loop(void **state)
{
	static const int32_t pairs[][2] = { { 1, 2 }, { 2, 3 }, { 3, 1 }, { 4, 4 }, { 5, 1 }, { 7, -1 } };
	Engine__Task t = ENGINE__TASK__INIT;
	struct forged f;
	json_t *doc;
	char *text;

	forge_init(&f);
	for (size_t i = 0; i < 6; i++) {
		t.pid = pairs[i][0];
		t.ppid = pairs[i][1];
		forge_message(&f, "core/task", (uint64_t)t.pid, &t.base);
	}
	assert_int_equal(forge_open(&f), 0);
	text = inspect("tasks", true, 0);
	doc = json_loads(text, 0, NULL);
	assert_int_equal(json_array_size(doc), 6);
	assert_int_equal(json_integer_value(json_object_get(json_array_get(doc, 0), "pid")), 7);
	json_decref(doc);
	free(text);
}

/* Two address spaces, the second page of one stored where the first of the other is. */
static void test_inspect_sharing(void **state)
{
	uint64_t extent[2][3] = { { 0x1000, 0, 2 }, { 0x1000, 4096, 2 } };
	struct eng_err err = ENG_ERR_INIT;
	struct eng_image_writer *w;
	Engine__Manifest m = ENGINE__MANIFEST__INIT;
	Engine__Mm mm = ENGINE__MM__INIT;
	Engine__Vma vma = ENGINE__VMA__INIT, *vmas[] = { &vma };
	char other[128], *text, pages[3 * 4096] = { 0 };
	uint8_t sum[16], uuid[16] = { 0 };
	size_t size;
	json_t *doc;
	FILE *out = open_memstream(&text, &size);

	path_of(other, sizeof(other), "image");
	assert_int_equal(eng_image_create(other, &w, &err), 0);
	vma.start = 0x1000;
	vma.end = 0x3000;
	mm.vmas = vmas;
	mm.n_vmas = 1;
	mm.has_extents = true;
	for (uint64_t i = 0; i < 2; i++) {
		mm.extents = (ProtobufCBinaryData){ .len = 24, .data = (uint8_t *)extent[i] };
		assert_int_equal(eng_image_put(w, "core/mm", i, &mm.base, &err), 0);
	}
	assert_int_equal(eng_pwrite_full(eng_image_data_fd(w), pages, sizeof(pages), 0), 0);
	canonical(pages, sizeof(pages), sum);
	assert_int_equal(eng_image_data_sum(w, 0, sum, &err), 0);
	m.arch = m.engine_version = m.kernel = (char *)"x";
	m.format = 1;
	m.page_size = 4096;
	m.uuid = (ProtobufCBinaryData){ .len = 16, .data = uuid };
	assert_int_equal(eng_image_commit(&w, &m, sizeof(pages), &err), 0);
	assert_int_equal(eng_inspect(other, "memory", true, NULL, NULL, out, &err), 0);
	(void)fclose(out);
	doc = json_loads(text, 0, NULL);
	assert_int_equal(json_integer_value(json_object_get(doc, "pages")), 4);
	assert_int_equal(json_integer_value(json_object_get(doc, "used_bytes")), 3 * 4096);
	assert_int_equal(json_integer_value(json_object_get(doc, "shared_bytes")), 4096);
	json_decref(doc);
	free(text);
	assert_int_equal(eng_verify(other, false, stdout, &err), -EBADMSG); /* it has no root task */
}

static void test_many_records(void **state)
{
	struct eng_err err = ENG_ERR_INIT;
	struct eng_image_writer *w;
	struct eng_image *img;
	Engine__Manifest m = ENGINE__MANIFEST__INIT;
	Engine__Task t = ENGINE__TASK__INIT;
	const ProtobufCMessage *msg;
	struct timespec a, b;
	uint8_t uuid[16] = { 0 };
	char other[128];

	path_of(other, sizeof(other), "image");
	assert_int_equal(eng_image_create(other, &w, &err), 0);
	for (int i = 0; i < 20000; i++) {
		t.pid = i;
		assert_int_equal(eng_image_put(w, "core/task", (uint64_t)i, &t.base, &err), 0);
	}
	m.arch = m.engine_version = m.kernel = (char *)"x";
	m.format = 1;
	m.uuid = (ProtobufCBinaryData){ .len = 16, .data = uuid };
	assert_int_equal(eng_image_commit(&w, &m, 0, &err), 0);
	(void)clock_gettime(CLOCK_MONOTONIC, &a);
	assert_int_equal(eng_image_open(other, &img, &err), 0);
	(void)clock_gettime(CLOCK_MONOTONIC, &b);
	print_message("opening 20000 records: %.2f ms\n", (double)(b.tv_sec - a.tv_sec) * 1e3 + (double)(b.tv_nsec - a.tv_nsec) / 1e6);
	assert_int_equal(eng_image_count(img), 20000);
	for (uint64_t i = 0; i < 20000; i++)
		assert_int_equal(eng_image_get(img, "core/task", i, &engine__task__descriptor, &msg, &err), 0);
	eng_image_close(img);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_round_trip, setup, teardown),
		cmocka_unit_test_setup_teardown(test_damage, setup, teardown),
		cmocka_unit_test_setup_teardown(test_directory, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hostile_manifest, setup, teardown),
		cmocka_unit_test_setup_teardown(test_newer_format, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hostile_frames, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hostile_messages, setup, teardown),
		cmocka_unit_test_setup_teardown(test_verify, setup, teardown),
		cmocka_unit_test_setup_teardown(test_inspect, setup, teardown),
		cmocka_unit_test_setup_teardown(test_inspect_loop, setup, teardown),
		cmocka_unit_test_setup_teardown(test_inspect_sharing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many_records, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
