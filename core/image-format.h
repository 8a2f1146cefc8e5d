/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef CORE_IMAGE_FORMAT_H
#define CORE_IMAGE_FORMAT_H
/* On-disk layout, little-endian; docs/IMAGE-FORMAT.md is the description. */
#include <assert.h>
#include <stdint.h>

#define ENG_FRAME_MAGIC 0x31434552u    /* "REC1" */
#define ENG_MANIFEST_MAGIC 0x31474e45u /* "ENG1" */
#define ENG_IMAGE_FORMAT 1u
#define ENG_KIND_MAX 64u
#define ENG_RECORD_MAX (1u << 30)
#define ENG_MANIFEST_MAX (16u << 20)

struct eng_frame {
	uint32_t magic;
	uint16_t kind_len;
	uint16_t zero1;
	uint32_t payload_len;
	uint32_t zero2;
	uint64_t id;
	uint64_t checksum; /* XXH3-64 of header (this field zero), kind, payload */
};
static_assert(sizeof(struct eng_frame) == 32, "frame header");

struct eng_manifest_head {
	uint32_t magic;
	uint32_t format;
	uint64_t len;
	uint8_t sum[16]; /* XXH3-128 of the payload, canonical */
};
static_assert(sizeof(struct eng_manifest_head) == 32, "manifest header");

#endif
