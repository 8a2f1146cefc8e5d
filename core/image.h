/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef CORE_IMAGE_H
#define CORE_IMAGE_H
/*
 * The image: a directory with three files.
 *   records   framed, checksummed protobuf records (kind, id) of the core and of every plugin
 *   data      page contents and bulk data, in chunks of ENG_CHUNK bytes whose 128-bit checksums stand in the manifest's table file `sums`
 *   manifest  written last and renamed into place; a directory without one is not an image
 * Every byte is hostile on the way in.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <protobuf-c/protobuf-c.h>

#include "core/include/engine/err.h"
#include "core.pb-c.h"

#define ENG_CHUNK (256u * 1024u) /* unit of checksumming of `data`; the last chunk may be short */

struct eng_image_writer;
struct eng_image;

/* Create the image directory DIR (0700; parents must exist; it may exist if it is empty or holds only leftovers of a failed dump made by us)
 * and its files (0600, O_EXCL). Refuses a directory that holds a manifest. */
int eng_image_create(const char *dir, struct eng_image_writer **ret, struct eng_err *err);
/* Append one record (kept in memory until commit). */
int eng_image_put(struct eng_image_writer *w, const char *kind, uint64_t id, const ProtobufCMessage *msg, struct eng_err *err);
/* The `data` file, for pwrite at offsets; size is set with eng_image_data_size. */
int eng_image_data_fd(const struct eng_image_writer *w);
/* Set the checksum of chunk `index` (XXH3-128, canonical form). Not thread safe. */
int eng_image_data_sum(struct eng_image_writer *w, uint64_t index, const uint8_t sum[16], struct eng_err *err);
/* Write records and sums, then the manifest (its files[] list is filled in here); rename it into place. On success *w is freed and set to NULL. */
int eng_image_commit(struct eng_image_writer **w, Engine__Manifest *manifest, uint64_t data_size, struct eng_err *err);
/* Total bytes of records so far. */
uint64_t eng_image_record_bytes(const struct eng_image_writer *w);
/* Remove every file that was created (and the directory, if we made it), free. Accepts NULL; returns NULL. */
struct eng_image_writer *eng_image_abort(struct eng_image_writer *w);

/* Open an image: manifest, then records and sums are verified against it and indexed (mmap). `data` is checked for its size only. */
int eng_image_open(const char *dir, struct eng_image **ret, struct eng_err *err);
struct eng_image *eng_image_close(struct eng_image *img); /* accepts NULL, returns NULL */
const Engine__Manifest *eng_image_manifest(const struct eng_image *img);
int eng_image_dir_fd(const struct eng_image *img);
/* Read-only fd of `data`, its size, and the stored checksum of a chunk. */
int eng_image_read_fd(const struct eng_image *img);
uint64_t eng_image_data_size(const struct eng_image *img);
const uint8_t *eng_image_chunk_sum(const struct eng_image *img, uint64_t index); /* 16 bytes, NULL past the end */
/* Decode a record. Returns 0, 1 if there is none, <0 on malformed. The message stays valid (and is owned by img) until close; a second call returns the same. */
int eng_image_get(struct eng_image *img, const char *kind, uint64_t id, const ProtobufCMessageDescriptor *desc,
		  const ProtobufCMessage **ret, struct eng_err *err);
/* Records in file order, for loops: index 0..count-1. */
size_t eng_image_count(const struct eng_image *img);
void eng_image_at(const struct eng_image *img, size_t index, const char **ret_kind, uint64_t *ret_id, const uint8_t **ret_payload, size_t *ret_len);
/* Verify all of `data` against the sums. */
int eng_image_verify_data(struct eng_image *img, struct eng_err *err);

#endif
