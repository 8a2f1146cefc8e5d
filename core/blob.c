/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Bulk data of a dump: one stream of chunks, each checksummed and written when it is full; and contents of files in it (blobs). */
#include "core/dump.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "core/io.h"

int eng_dump_data_flush(struct eng_dump *d, struct eng_err *err)
{
	XXH128_canonical_t sum;
	int r;

	if (d->used == 0)
		return 0;
	XXH128_canonicalFromHash(&sum, XXH3_128bits(d->chunk, d->used));
	r = eng_image_data_sum(d->image, d->data_size / ENG_CHUNK, sum.digest, err);
	if (r < 0)
		return r;
	r = eng_pwrite_full(eng_image_data_fd(d->image), d->chunk, d->used, (off_t)d->data_size);
	if (r < 0)
		return eng_fail(err, -r, "cannot write to the image");
	d->data_size += d->used;
	d->used = 0;
	return 0;
}

int eng_dump_data_room(struct eng_dump *d, uint8_t **ret, size_t *ret_room, struct eng_err *err)
{
	int r = d->used == ENG_CHUNK ? eng_dump_data_flush(d, err) : 0;

	if (r < 0)
		return r;
	if (!d->chunk)
		d->chunk = malloc(ENG_CHUNK);
	if (!d->chunk)
		return eng_fail(err, ENOMEM, "cannot gather data");
	*ret = d->chunk + d->used;
	*ret_room = ENG_CHUNK - d->used;
	return 0;
}

uint64_t eng_dump_data_used(struct eng_dump *d, size_t size)
{
	uint64_t off = d->data_size + d->used;

	d->used += size;
	return off;
}

struct blob_extent {
	uint64_t off, data, bytes;
};

struct blob_list {
	struct blob_extent *list;
	size_t n, cap;
};

static int add_extent(struct blob_list *l, uint64_t off, uint64_t data, uint64_t bytes, struct eng_err *err)
{
	struct blob_extent *last = l->n ? &l->list[l->n - 1] : NULL;

	if (last && last->off + last->bytes == off && last->data + last->bytes == data) {
		last->bytes += bytes;
		return 0;
	}
	if (l->n == l->cap) {
		size_t cap = l->cap ? l->cap * 2 : 16;
		struct blob_extent *p = realloc(l->list, cap * sizeof(*p));

		if (!p)
			return eng_fail(err, ENOMEM, "cannot list data");
		l->list = p;
		l->cap = cap;
	}
	l->list[l->n++] = (struct blob_extent){ off, data, bytes };
	return 0;
}

static int save_range(struct eng_dump *d, int fd, uint64_t off, uint64_t end, struct blob_list *l, struct eng_err *err)
{
	while (off < end) {
		uint8_t *p;
		size_t room;
		int r = eng_dump_data_room(d, &p, &room, err);

		if (r < 0)
			return r;
		if (room > end - off)
			room = (size_t)(end - off);
		r = eng_pread_full(fd, p, room, (off_t)off);
		if (r < 0)
			return eng_fail(err, -r, "cannot read content at offset %" PRIu64, off);
		r = add_extent(l, off, eng_dump_data_used(d, room), room, err);
		if (r < 0)
			return r;
		off += room;
	}
	return 0;
}

int eng_blob_save(struct eng_run *run, int fd, uint64_t size, uint64_t *ret_blob, struct eng_err *err)
{
	struct eng_dump *d = run->dump;
	_cleanup_free_ struct blob_extent *owned = NULL;
	struct blob_list l = { 0 };
	Engine__Blob rec = ENGINE__BLOB__INIT;
	off_t old = lseek(fd, 0, SEEK_CUR), data = 0, hole;
	int r = 0;

	*ret_blob = 0;
	if (!d || !d->frozen)
		return 0;
	while (r == 0 && (uint64_t)data < size) {
		data = lseek(fd, data, SEEK_DATA);
		if (data < 0 && errno == ENXIO)
			break;
		hole = data < 0 ? -1 : lseek(fd, data, SEEK_HOLE);
		if (data < 0 || hole < 0) {
			data = data < 0 ? 0 : data;
			hole = (off_t)size; /* not seekable for data: all of it is */
		}
		r = save_range(d, fd, (uint64_t)data, (uint64_t)hole < size ? (uint64_t)hole : size, &l, err);
		data = hole;
	}
	(void)lseek(fd, old, SEEK_SET);
	owned = l.list;
	if (r < 0)
		return r;
	rec.size = size;
	rec.has_extents = true;
	rec.extents = (ProtobufCBinaryData){ .len = l.n * sizeof(*l.list), .data = (uint8_t *)l.list };
	*ret_blob = ++d->n_blobs;
	return eng_image_put(d->image, "core/blob", *ret_blob, &rec.base, err);
}

static int load_range(struct eng_image *img, int fd, const struct blob_extent *x, uint8_t *buf, struct eng_err *err)
{
	for (uint64_t done = 0; done < x->bytes;) {
		size_t n = x->bytes - done < ENG_CHUNK ? (size_t)(x->bytes - done) : ENG_CHUNK;
		int r = eng_pread_full(eng_image_read_fd(img), buf, n, (off_t)(x->data + done));

		if (r == 0)
			r = eng_pwrite_full(fd, buf, n, (off_t)(x->off + done));
		if (r < 0)
			return eng_fail(err, -r, "cannot write content at offset %" PRIu64, x->off + done);
		done += n;
	}
	return 0;
}

int eng_blob_load(struct eng_run *run, uint64_t blob, int fd, struct eng_err *err)
{
	_cleanup_free_ uint8_t *buf = malloc(ENG_CHUNK);
	const Engine__Blob *rec;
	uint64_t data = eng_image_data_size(run->image);
	int r = eng_image_get(run->image, "core/blob", blob, &engine__blob__descriptor, (const ProtobufCMessage **)&rec, err);

	if (r != 0 || !buf)
		return r < 0 ? r : eng_fail(err, r ? EBADMSG : ENOMEM, "cannot load blob %" PRIu64, blob);
	if (ftruncate(fd, (off_t)rec->size) < 0)
		return eng_fail(err, errno, "cannot set the size %" PRIu64, rec->size);
	for (size_t i = 0; i + sizeof(struct blob_extent) <= rec->extents.len; i += sizeof(struct blob_extent)) {
		struct blob_extent x;

		memcpy(&x, rec->extents.data + i, sizeof(x));
		if (x.off > rec->size || x.bytes > rec->size - x.off || x.data > data || x.bytes > data - x.data)
			return eng_fail(err, EBADMSG, "blob %" PRIu64 " lies outside the data", blob);
		r = load_range(run->image, fd, &x, buf, err);
		if (r < 0)
			return r;
	}
	return 0;
}
