/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef CORE_REFLECT_H
#define CORE_REFLECT_H
/*
 * JSON, text and validation of any protobuf message by its generated descriptor: no kind of record has a formatter of its own.
 *
 * Only fields that are set appear. Enums are named (a value without a name stays a number), bytes are lower-case hexadecimal, unsigned numbers
 * beyond 2^63-1 become decimal strings in JSON. Strings come from images, which are hostile, and from paths, which need not be UTF-8: what is
 * not valid UTF-8 is written with \xNN (and \\ for the backslash); text output escapes control characters as well.
 */
#include <stdio.h>

#include <jansson.h>
#include <protobuf-c/protobuf-c.h>

#include "core/include/engine/err.h"

#define ENG_REFLECT_DEPTH 32 /* messages nested deeper are not followed */

/* A new object, or NULL when memory is short. */
json_t *eng_reflect_json(const ProtobufCMessage *msg);
/* One field a line, nested messages in braces; indent counts levels of two spaces. 0, or -EIO if out failed. */
int eng_reflect_text(const ProtobufCMessage *msg, FILE *out, int indent);
/* Required pointers are there, arrays and bytes have memory behind their counts, enum values are known, nesting is bounded. */
int eng_reflect_validate(const ProtobufCMessage *msg, struct eng_err *err);

/* The same rules for a single string: a new JSON string; text safe for a terminal. NULL counts as "". */
json_t *eng_reflect_string(const char *s);
void eng_reflect_escape(const char *s, FILE *out);

#endif
