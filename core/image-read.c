/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reading an image: nothing in it is believed before its checksum, bounds and uniqueness were checked. */
#include "core/image.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <xxhash.h>

#include "core/image-format.h"
#include "core/include/engine/util.h"
#include "core/io.h"

struct record {
	char kind[ENG_KIND_MAX + 1];
	uint64_t id;
	const uint8_t *payload;
	uint32_t len;
	ProtobufCMessage *msg;
	uint32_t next; /* index + 1 in the same bucket */
};

struct eng_image {
	int dir_fd, data_fd;
	Engine__Manifest *manifest;
	char *records_map, *sums_map;
	size_t records_size, sums_size;
	uint64_t data_size;
	struct record *rec;
	size_t count, cap;
	uint32_t *bucket;
	size_t buckets;
};

static bool sum_matches(const void *data, size_t size, const uint8_t *want)
{
	XXH128_canonical_t c;

	XXH128_canonicalFromHash(&c, XXH3_128bits(data, size));
	return memcmp(c.digest, want, 16) == 0;
}

static int read_manifest(struct eng_image *img, const char *dir, struct eng_err *err)
{
	struct eng_manifest_head head;
	_cleanup_free_ char *buf = NULL;
	size_t size;
	int r = eng_read_file_at(img->dir_fd, "manifest", &buf, &size);

	if (r == -ENOENT) {
		r = eng_fail(err, ENOENT, "%s is not an image: it has no manifest", dir);
		eng_hint(err, "a dump writes the manifest last; without one it did not finish");
		return r;
	}
	if (r < 0)
		return eng_fail(err, -r, "cannot read %s/manifest", dir);
	if (size < sizeof(head))
		return eng_fail(err, EBADMSG, "%s/manifest is truncated (%zu bytes)", dir, size);
	memcpy(&head, buf, sizeof(head));
	if (head.magic != ENG_MANIFEST_MAGIC)
		return eng_fail(err, EBADMSG, "%s/manifest is not a manifest (wrong magic)", dir);
	if (head.format > ENG_IMAGE_FORMAT)
		return eng_fail(err, EPROTONOSUPPORT, "%s was written by a newer engine (format %u, this one reads %u)", dir, head.format, ENG_IMAGE_FORMAT);
	if (head.format != ENG_IMAGE_FORMAT || head.len > ENG_MANIFEST_MAX || head.len != size - sizeof(head))
		return eng_fail(err, EBADMSG, "%s/manifest has a wrong format or length", dir);
	if (!sum_matches(buf + sizeof(head), head.len, head.sum))
		return eng_fail(err, EBADMSG, "%s/manifest is damaged (checksum)", dir);
	img->manifest = engine__manifest__unpack(NULL, head.len, (const uint8_t *)buf + sizeof(head));
	if (!img->manifest || img->manifest->format != ENG_IMAGE_FORMAT)
		return eng_fail(err, EBADMSG, "%s/manifest cannot be decoded", dir);
	return 0;
}

static const Engine__ImageFile *listed_file(const struct eng_image *img, const char *name)
{
	const Engine__ImageFile *found = NULL;

	for (size_t i = 0; i < img->manifest->n_files; i++) {
		const Engine__ImageFile *f = img->manifest->files[i];

		if (strcmp(f->name, name) == 0 && f->checksum.len == 16) {
			if (found)
				return NULL;
			found = f;
		}
	}
	return found;
}

/* Map one listed file and compare size and checksum. A private mapping of a file that shrinks later would fault: it is read instead. */
static int load_file(struct eng_image *img, const char *dir, const char *name, char **ret, size_t *ret_size, struct eng_err *err)
{
	const Engine__ImageFile *f = listed_file(img, name);
	int r;

	if (!f)
		return eng_fail(err, EBADMSG, "%s/manifest does not list %s properly", dir, name);
	r = eng_read_file_at(img->dir_fd, name, ret, ret_size);
	if (r < 0)
		return eng_fail(err, -r, "cannot read %s/%s", dir, name);
	if (*ret_size != f->size)
		return eng_fail(err, EBADMSG, "%s/%s has %zu bytes instead of %" PRIu64, dir, name, *ret_size, f->size);
	if (!sum_matches(*ret, *ret_size, f->checksum.data))
		return eng_fail(err, EBADMSG, "%s/%s is damaged (checksum)", dir, name);
	return 0;
}

static size_t bucket_of(const struct eng_image *img, const char *kind, uint64_t id)
{
	return (XXH3_64bits_withSeed(kind, strlen(kind), id)) % img->buckets;
}

static struct record *find(const struct eng_image *img, const char *kind, uint64_t id)
{
	if (!img->buckets)
		return NULL;
	for (uint32_t i = img->bucket[bucket_of(img, kind, id)]; i; i = img->rec[i - 1].next)
		if (img->rec[i - 1].id == id && strcmp(img->rec[i - 1].kind, kind) == 0)
			return &img->rec[i - 1];
	return NULL;
}

/* One frame at *off: bounds first, then the checksum, then the padding. */
static int parse_frame(struct eng_image *img, size_t *off, struct record *ret, struct eng_err *err)
{
	const uint8_t *p = (const uint8_t *)img->records_map + *off;
	size_t left = img->records_size - *off, total, padded;
	struct eng_frame head, zeroed;
	_cleanup_free_ uint8_t *copy = NULL;

	if (left < sizeof(head))
		return eng_fail(err, EBADMSG, "records: truncated frame at offset %zu", *off);
	memcpy(&head, p, sizeof(head));
	if (head.magic != ENG_FRAME_MAGIC || head.zero1 || head.zero2 || head.kind_len == 0 || head.kind_len > ENG_KIND_MAX ||
	    head.payload_len > ENG_RECORD_MAX)
		return eng_fail(err, EBADMSG, "records: bad frame at offset %zu", *off);
	total = sizeof(head) + head.kind_len + head.payload_len;
	padded = (total + 7) & ~(size_t)7;
	if (padded > left)
		return eng_fail(err, EBADMSG, "records: frame at offset %zu goes past the end", *off);
	zeroed = head;
	zeroed.checksum = 0;
	copy = malloc(total);
	if (!copy)
		return eng_fail(err, ENOMEM, "cannot check records");
	memcpy(copy, &zeroed, sizeof(zeroed));
	memcpy(copy + sizeof(zeroed), p + sizeof(head), total - sizeof(head));
	if (XXH3_64bits(copy, total) != head.checksum)
		return eng_fail(err, EBADMSG, "records: damaged frame at offset %zu (checksum)", *off);
	for (size_t i = total; i < padded; i++)
		if (p[i])
			return eng_fail(err, EBADMSG, "records: padding not zero at offset %zu", *off + i);
	if (memchr(p + sizeof(head), 0, head.kind_len))
		return eng_fail(err, EBADMSG, "records: bad kind name at offset %zu", *off);
	*ret = (struct record){ .id = head.id, .payload = p + sizeof(head) + head.kind_len, .len = head.payload_len };
	memcpy(ret->kind, p + sizeof(head), head.kind_len);
	*off += padded;
	return 0;
}

static int index_records(struct eng_image *img, struct eng_err *err)
{
	size_t off = 0;

	while (off < img->records_size) {
		if (img->count == img->cap) {
			size_t cap = img->cap ? img->cap * 2 : 256;
			struct record *p = realloc(img->rec, cap * sizeof(*p));

			if (!p)
				return eng_fail(err, ENOMEM, "cannot index records");
			img->rec = p;
			img->cap = cap;
		}
		if (parse_frame(img, &off, &img->rec[img->count], err) < 0)
			return -EBADMSG;
		img->count++;
	}
	if (img->count > UINT32_MAX / 4)
		return eng_fail(err, EBADMSG, "too many records");
	img->buckets = img->count * 2 + 1;
	img->bucket = calloc(img->buckets, sizeof(*img->bucket));
	if (!img->bucket)
		return eng_fail(err, ENOMEM, "cannot index records");
	for (size_t i = 0; i < img->count; i++) {
		size_t b = bucket_of(img, img->rec[i].kind, img->rec[i].id);

		if (find(img, img->rec[i].kind, img->rec[i].id))
			return eng_fail(err, EBADMSG, "records: %s %" PRIu64 " stands twice", img->rec[i].kind, img->rec[i].id);
		img->rec[i].next = img->bucket[b];
		img->bucket[b] = (uint32_t)i + 1;
	}
	return 0;
}

static int open_data(struct eng_image *img, const char *dir, struct eng_err *err)
{
	const Engine__ImageFile *f = listed_file(img, "data");
	struct stat st;

	if (!f)
		return eng_fail(err, EBADMSG, "%s/manifest does not list data properly", dir);
	img->data_fd = openat(img->dir_fd, "data", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (img->data_fd < 0 || fstat(img->data_fd, &st) < 0)
		return eng_fail(err, errno, "cannot open %s/data", dir);
	if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != f->size)
		return eng_fail(err, EBADMSG, "%s/data has %lld bytes instead of %" PRIu64, dir, (long long)st.st_size, f->size);
	img->data_size = f->size;
	if (img->sums_size / 16 != (img->data_size + ENG_CHUNK - 1) / ENG_CHUNK || img->sums_size % 16)
		return eng_fail(err, EBADMSG, "%s/sums does not fit %s/data", dir, dir);
	return 0;
}

int eng_image_open(const char *dir, struct eng_image **ret, struct eng_err *err)
{
	struct eng_image *img = calloc(1, sizeof(*img));
	int r;

	if (!img)
		return eng_fail(err, ENOMEM, "cannot open image");
	img->data_fd = -EBADF;
	img->dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (img->dir_fd < 0) {
		r = eng_fail(err, errno, "cannot open image directory %s", dir);
		goto fail;
	}
	r = read_manifest(img, dir, err);
	if (r == 0)
		r = load_file(img, dir, "records", &img->records_map, &img->records_size, err);
	if (r == 0)
		r = load_file(img, dir, "sums", &img->sums_map, &img->sums_size, err);
	if (r == 0)
		r = open_data(img, dir, err);
	if (r == 0)
		r = index_records(img, err);
	if (r < 0)
		goto fail;
	*ret = img;
	return 0;
fail:
	eng_image_close(img);
	return r;
}

struct eng_image *eng_image_close(struct eng_image *img)
{
	if (!img)
		return NULL;
	for (size_t i = 0; i < img->count; i++)
		if (img->rec[i].msg)
			protobuf_c_message_free_unpacked(img->rec[i].msg, NULL);
	if (img->manifest)
		engine__manifest__free_unpacked(img->manifest, NULL);
	free(img->rec);
	free(img->bucket);
	free(img->records_map);
	free(img->sums_map);
	eng_closep(&img->dir_fd);
	eng_closep(&img->data_fd);
	free(img);
	return NULL;
}

const Engine__Manifest *eng_image_manifest(const struct eng_image *img) { return img->manifest; }
int eng_image_dir_fd(const struct eng_image *img) { return img->dir_fd; }
int eng_image_read_fd(const struct eng_image *img) { return img->data_fd; }
uint64_t eng_image_data_size(const struct eng_image *img) { return img->data_size; }
size_t eng_image_count(const struct eng_image *img) { return img->count; }

const uint8_t *eng_image_chunk_sum(const struct eng_image *img, uint64_t index)
{
	return index < img->sums_size / 16 ? (const uint8_t *)img->sums_map + index * 16 : NULL;
}

void eng_image_at(const struct eng_image *img, size_t i, const char **ret_kind, uint64_t *ret_id, const uint8_t **ret_payload, size_t *ret_len)
{
	*ret_kind = img->rec[i].kind;
	*ret_id = img->rec[i].id;
	*ret_payload = img->rec[i].payload;
	*ret_len = img->rec[i].len;
}

int eng_image_get(struct eng_image *img, const char *kind, uint64_t id, const ProtobufCMessageDescriptor *desc, const ProtobufCMessage **ret,
		  struct eng_err *err)
{
	struct record *rec = find(img, kind, id);

	if (!rec)
		return 1;
	if (!rec->msg)
		rec->msg = protobuf_c_message_unpack(desc, NULL, rec->len, rec->payload);
	if (!rec->msg || rec->msg->descriptor != desc || !protobuf_c_message_check(rec->msg))
		return eng_fail(err, EBADMSG, "record %s %" PRIu64 " cannot be decoded", kind, id);
	*ret = rec->msg;
	return 0;
}

int eng_image_verify_data(struct eng_image *img, struct eng_err *err)
{
	_cleanup_free_ uint8_t *buf = malloc(ENG_CHUNK);

	if (!buf)
		return eng_fail(err, ENOMEM, "cannot verify data");
	for (uint64_t off = 0; off < img->data_size; off += ENG_CHUNK) {
		size_t n = img->data_size - off < ENG_CHUNK ? (size_t)(img->data_size - off) : ENG_CHUNK;
		int r = eng_pread_full(img->data_fd, buf, n, (off_t)off);

		if (r < 0)
			return eng_fail(err, -r, "cannot read data at offset %" PRIu64, off);
		if (!sum_matches(buf, n, eng_image_chunk_sum(img, off / ENG_CHUNK)))
			return eng_fail(err, EBADMSG, "data is damaged (checksum) between offsets %" PRIu64 " and %" PRIu64, off, off + n);
	}
	return 0;
}
