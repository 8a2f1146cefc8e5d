/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Writing an image. Records stay in memory until commit; `data` is written as the dump goes. The manifest is renamed into place last: a directory
 * without one is not an image, so a dump that is killed at any instant leaves nothing that could be mistaken for one.
 */
#include "core/image.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <xxhash.h>

#include "core/image-format.h"
#include "core/include/engine/util.h"
#include "core/io.h"

struct eng_image_writer {
	char *path;
	int dir_fd, data_fd;
	bool made_dir;
	uint8_t *records;
	size_t len, cap;
	uint8_t *sums;
	uint64_t chunks;
};

static const char *const own_files[] = { "records", "sums", "data", "manifest.tmp" };

static bool is_own_file(const char *name)
{
	for (size_t i = 0; i < ENG_ARRAY_SIZE(own_files); i++)
		if (!strcmp(name, own_files[i]))
			return true;
	return false;
}

/* A directory may be used if it is empty or holds only what a killed dump left behind. */
static int check_directory(int dir_fd, const char *dir, struct eng_err *err)
{
	int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirent *ent;
	DIR *d;
	int r = 0;

	d = fd < 0 ? NULL : fdopendir(fd);
	if (!d) {
		r = eng_fail(err, errno, "cannot read image directory %s", dir);
		if (fd >= 0)
			(void)close(fd);
		return r;
	}
	while (r == 0 && (ent = readdir(d))) {
		if (!strcmp(ent->d_name, ".") || !strcmp(ent->d_name, "..") || is_own_file(ent->d_name))
			continue;
		if (!strcmp(ent->d_name, "manifest")) {
			r = eng_fail(err, EEXIST, "%s already holds an image", dir);
			eng_hint(err, "give another directory, or remove this image first");
		} else {
			r = eng_fail(err, ENOTEMPTY, "image directory %s holds other files (%s)", dir, ent->d_name);
			eng_hint(err, "give an empty or new directory");
		}
	}
	(void)closedir(d);
	for (size_t i = 0; r == 0 && i < ENG_ARRAY_SIZE(own_files); i++)
		if (unlinkat(dir_fd, own_files[i], 0) < 0 && errno != ENOENT)
			r = eng_fail(err, errno, "cannot remove %s/%s of an unfinished dump", dir, own_files[i]);
	return r;
}

static int create_file(const struct eng_image_writer *w, const char *name, int *ret, struct eng_err *err)
{
	int fd = openat(w->dir_fd, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0)
		return eng_fail(err, errno, "cannot create %s/%s", w->path, name);
	*ret = fd;
	return 0;
}

int eng_image_create(const char *dir, struct eng_image_writer **ret, struct eng_err *err)
{
	struct eng_image_writer *w = calloc(1, sizeof(*w));
	int r;

	if (!w)
		return eng_fail(err, ENOMEM, "cannot create image");
	w->dir_fd = w->data_fd = -EBADF;
	w->path = strdup(dir);
	if (!w->path) {
		free(w);
		return eng_fail(err, ENOMEM, "cannot create image");
	}
	if (mkdir(dir, 0700) == 0)
		w->made_dir = true;
	else if (errno != EEXIST) {
		r = eng_fail(err, errno, "cannot create image directory %s", dir);
		goto fail;
	}
	w->dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (w->dir_fd < 0) {
		r = eng_fail(err, errno, "cannot open image directory %s", dir);
		goto fail;
	}
	if (!w->made_dir) {
		r = check_directory(w->dir_fd, dir, err);
		if (r < 0) { /* nothing here is ours to remove */
			eng_closep(&w->dir_fd);
			goto fail;
		}
	}
	r = create_file(w, "data", &w->data_fd, err);
	if (r < 0)
		goto fail;
	*ret = w;
	return 0;
fail:
	eng_image_abort(w);
	return r;
}

static int reserve(struct eng_image_writer *w, size_t more, struct eng_err *err)
{
	size_t cap = w->cap ? w->cap : 65536;
	uint8_t *p;

	while (cap - w->len < more)
		cap *= 2;
	if (cap == w->cap)
		return 0;
	p = realloc(w->records, cap);
	if (!p)
		return eng_fail(err, ENOMEM, "cannot keep records");
	w->records = p;
	w->cap = cap;
	return 0;
}

int eng_image_put(struct eng_image_writer *w, const char *kind, uint64_t id, const ProtobufCMessage *msg, struct eng_err *err)
{
	size_t kind_len = strlen(kind), payload = protobuf_c_message_get_packed_size(msg);
	size_t total = sizeof(struct eng_frame) + kind_len + payload, padded = (total + 7) & ~(size_t)7;
	struct eng_frame head = { .magic = ENG_FRAME_MAGIC, .kind_len = (uint16_t)kind_len, .payload_len = (uint32_t)payload, .id = id };
	uint8_t *p;
	int r;

	if (kind_len == 0 || kind_len > ENG_KIND_MAX || payload > ENG_RECORD_MAX)
		return eng_fail(err, E2BIG, "record %s %llu of %zu bytes", kind, (unsigned long long)id, payload);
	r = reserve(w, padded, err);
	if (r < 0)
		return r;
	p = w->records + w->len;
	memset(p, 0, padded);
	memcpy(p + sizeof(head), kind, kind_len);
	(void)protobuf_c_message_pack(msg, p + sizeof(head) + kind_len);
	memcpy(p, &head, sizeof(head));
	head.checksum = XXH3_64bits(p, total);
	memcpy(p, &head, sizeof(head));
	w->len += padded;
	return 0;
}

int eng_image_data_fd(const struct eng_image_writer *w)
{
	return w->data_fd;
}

uint64_t eng_image_record_bytes(const struct eng_image_writer *w)
{
	return w->len;
}

int eng_image_data_sum(struct eng_image_writer *w, uint64_t index, const uint8_t sum[16], struct eng_err *err)
{
	if (index >= w->chunks) {
		uint64_t n = (index + 256) & ~UINT64_C(255);
		uint8_t *p = realloc(w->sums, n * 16);

		if (!p)
			return eng_fail(err, ENOMEM, "cannot keep checksums");
		memset(p + w->chunks * 16, 0, (n - w->chunks) * 16);
		w->sums = p;
		w->chunks = n;
	}
	memcpy(w->sums + index * 16, sum, 16);
	return 0;
}

static void canonical_sum(const void *data, size_t size, uint8_t out[16])
{
	XXH128_canonical_t c;

	XXH128_canonicalFromHash(&c, XXH3_128bits(data, size));
	memcpy(out, c.digest, 16);
}

static int write_file(const struct eng_image_writer *w, const char *name, const void *a, size_t alen, const void *b, size_t blen, struct eng_err *err)
{
	_cleanup_close_ int fd = -EBADF;
	int r = create_file(w, name, &fd, err);

	if (r < 0)
		return r;
	r = eng_write_full(fd, a, alen);
	if (r == 0 && blen)
		r = eng_write_full(fd, b, blen);
	if (r < 0)
		return eng_fail(err, -r, "cannot write %s/%s", w->path, name);
	return 0;
}

static int write_manifest(const struct eng_image_writer *w, const Engine__Manifest *m, struct eng_err *err)
{
	size_t size = engine__manifest__get_packed_size(m);
	_cleanup_free_ uint8_t *buf = malloc(size ? size : 1);
	struct eng_manifest_head head = { .magic = ENG_MANIFEST_MAGIC, .format = ENG_IMAGE_FORMAT, .len = size };
	int r;

	if (!buf || size > ENG_MANIFEST_MAX)
		return eng_fail(err, ENOMEM, "cannot write manifest");
	(void)engine__manifest__pack(m, buf);
	canonical_sum(buf, size, head.sum);
	r = write_file(w, "manifest.tmp", &head, sizeof(head), buf, size, err);
	if (r == 0 && renameat(w->dir_fd, "manifest.tmp", w->dir_fd, "manifest") < 0)
		r = eng_fail(err, errno, "cannot put %s/manifest in place", w->path);
	return r;
}

static void writer_free(struct eng_image_writer *w)
{
	eng_closep(&w->data_fd);
	eng_closep(&w->dir_fd);
	free(w->path);
	free(w->records);
	free(w->sums);
	free(w);
}

int eng_image_commit(struct eng_image_writer **pw, Engine__Manifest *manifest, uint64_t data_size, struct eng_err *err)
{
	struct eng_image_writer *w = *pw;
	uint64_t chunks = (data_size + ENG_CHUNK - 1) / ENG_CHUNK;
	uint8_t sums[3][16];
	Engine__ImageFile files[3];
	Engine__ImageFile *list[3];
	const struct { const char *name; uint64_t size; const void *data; } what[3] = {
		{ "records", w->len, w->records }, { "sums", chunks * 16, w->sums }, { "data", data_size, NULL },
	};
	int r;

	if (chunks > w->chunks)
		return eng_fail(err, 0, "%s: %llu chunks of data, checksums for %llu", w->path, (unsigned long long)chunks, (unsigned long long)w->chunks);
	if (ftruncate(w->data_fd, (off_t)data_size) < 0)
		return eng_fail(err, errno, "cannot size %s/data", w->path);
	for (int i = 0; i < 3; i++) {
		engine__image_file__init(&files[i]);
		if (what[i].data || what[i].size == 0 || i < 2) {
			r = i < 2 ? write_file(w, what[i].name, what[i].data, what[i].size, NULL, 0, err) : 0;
			if (r < 0)
				return r;
		}
		if (i < 2)
			canonical_sum(what[i].data, what[i].size, sums[i]);
		files[i].name = (char *)what[i].name;
		files[i].size = what[i].size;
		files[i].checksum = (ProtobufCBinaryData){ .len = 16, .data = i < 2 ? sums[i] : sums[1] };
		list[i] = &files[i];
	}
	manifest->n_files = 3;
	manifest->files = list;
	r = write_manifest(w, manifest, err);
	manifest->n_files = 0;
	manifest->files = NULL;
	if (r < 0)
		return r;
	writer_free(w);
	*pw = NULL;
	return 0;
}

struct eng_image_writer *eng_image_abort(struct eng_image_writer *w)
{
	if (!w)
		return NULL;
	if (w->dir_fd >= 0)
		for (size_t i = 0; i < ENG_ARRAY_SIZE(own_files); i++)
			(void)unlinkat(w->dir_fd, own_files[i], 0);
	if (w->made_dir)
		(void)rmdir(w->path);
	writer_free(w);
	return NULL;
}
