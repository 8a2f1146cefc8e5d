/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef CORE_INSPECT_H
#define CORE_INSPECT_H
/*
 * Looking into an image without restoring it. Both print to `out` as text or as one JSON document; the image is opened (and so verified, apart from
 * `data`) first. Nothing printed can carry terminal escapes out of an image.
 */
#include <stdbool.h>
#include <stdio.h>

#include <protobuf-c/protobuf-c.h>

#include "core/include/engine/err.h"

/*
 * what: NULL     summary: manifest, counts, sizes
 *       tasks    the process tree
 *       files    fd tables with what stands behind each number
 *       maps     mappings of each address space
 *       memory   stored pages of each mapping, and what address spaces share
 *       records  every record
 *       KIND     every record of that kind
 * lookup: descriptor of a plugin's kind, NULL if it is not loaded (its records are then shown as bytes); the core's kinds are known. May be NULL.
 */
int eng_inspect(const char *dir, const char *what, bool json, const ProtobufCMessageDescriptor *(*lookup)(void *data, const char *kind), void *data,
		FILE *out, struct eng_err *err);

/* Verify every byte and every reference between the core's records; all problems are printed, and then there is one error. */
int eng_verify(const char *dir, bool json, FILE *out, struct eng_err *err);

#endif
