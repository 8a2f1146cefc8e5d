/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Walks a message by its descriptor. Every field, whatever its label, is first turned into a count and a pointer to elements of one size; what
 * follows (JSON, text, validation) sees only elements.
 */
#include "core/reflect.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/include/engine/util.h"

#define TEXT_BYTES_MAX 64 /* text output shows the beginning of long byte strings; JSON has them whole */

/* ------------------------------------------------------------------------------------------------ strings */

/* Length of the UTF-8 sequence at s, 0 if it is none (overlong forms, surrogates and values past U+10FFFF are none). */
static size_t utf8_sequence(const uint8_t *s)
{
	size_t n = s[0] < 0x80 ? 1 : s[0] >= 0xc2 && s[0] < 0xe0 ? 2 : (s[0] & 0xf0) == 0xe0 ? 3 : s[0] >= 0xf0 && s[0] < 0xf5 ? 4 : 0;

	for (size_t i = 1; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) || (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	return n;
}

static bool valid_utf8(const char *s)
{
	while (*s) {
		size_t n = utf8_sequence((const uint8_t *)s);

		if (n == 0)
			return false;
		s += n;
	}
	return true;
}

json_t *eng_reflect_string(const char *s)
{
	_cleanup_free_ char *escaped = NULL;
	char *p;

	s = s ?: "";
	if (valid_utf8(s))
		return json_string(s);
	p = escaped = malloc(strlen(s) * 4 + 1);
	if (!escaped)
		return NULL;
	while (*s) {
		size_t n = utf8_sequence((const uint8_t *)s);

		if (n == 0 || *s == '\\') {
			p += n == 0 ? sprintf(p, "\\x%02x", (uint8_t)*s) : sprintf(p, "\\\\");
			s++;
			continue;
		}
		p = mempcpy(p, s, n);
		s += n;
	}
	*p = '\0';
	return json_string(escaped);
}

void eng_reflect_escape(const char *s, FILE *out)
{
	for (s = s ?: ""; *s;) {
		size_t n = utf8_sequence((const uint8_t *)s);
		uint8_t c = (uint8_t)*s;

		/* U+0080..U+009F are control characters, too: terminals act on them. */
		if (n == 0 || c < 0x20 || c == 0x7f || (n == 2 && c == 0xc2 && (uint8_t)s[1] < 0xa0)) {
			for (size_t i = 0; i < (n ? n : 1); i++)
				(void)fprintf(out, "\\x%02x", (uint8_t)s[i]);
		} else if (c == '\\' || c == '"') {
			(void)fprintf(out, "\\%c", c);
		} else {
			(void)fwrite(s, 1, n, out);
		}
		s += n ? n : 1;
	}
}

/* ------------------------------------------------------------------------------------------------ fields as elements */

static size_t element_size(ProtobufCType type)
{
	switch (type) {
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_SFIXED64:
	case PROTOBUF_C_TYPE_FIXED64:
	case PROTOBUF_C_TYPE_DOUBLE: return 8;
	case PROTOBUF_C_TYPE_BOOL: return sizeof(protobuf_c_boolean);
	case PROTOBUF_C_TYPE_STRING:
	case PROTOBUF_C_TYPE_MESSAGE: return sizeof(void *);
	case PROTOBUF_C_TYPE_BYTES: return sizeof(ProtobufCBinaryData);
	default: return 4;
	}
}

static bool is_pointer(const ProtobufCFieldDescriptor *f)
{
	return f->type == PROTOBUF_C_TYPE_STRING || f->type == PROTOBUF_C_TYPE_MESSAGE;
}

/* Elements of a field that are set: their number, and where the first one is (NULL with a number > 0: a broken message). */
static size_t elements(const ProtobufCMessage *msg, const ProtobufCFieldDescriptor *f, const uint8_t **ret)
{
	const uint8_t *base = (const uint8_t *)msg, *at = base + f->offset;
	uint32_t which;
	size_t n;

	*ret = at;
	if (f->label == PROTOBUF_C_LABEL_REPEATED) {
		memcpy(&n, base + f->quantifier_offset, sizeof(n));
		memcpy(ret, at, sizeof(*ret));
		return n;
	}
	if (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) {
		memcpy(&which, base + f->quantifier_offset, sizeof(which));
		return which == f->id;
	}
	if (f->label == PROTOBUF_C_LABEL_REQUIRED)
		return 1;
	if (is_pointer(f)) {
		const void *p = *(const void *const *)at;

		return p && p != f->default_value;
	}
	if (f->label == PROTOBUF_C_LABEL_OPTIONAL) {
		protobuf_c_boolean has;

		memcpy(&has, base + f->quantifier_offset, sizeof(has));
		return has != 0;
	}
	return 1; /* proto3 without presence: always shown */
}

static const char *enum_name(const ProtobufCFieldDescriptor *f, int value)
{
	const ProtobufCEnumValue *v = protobuf_c_enum_descriptor_get_value(f->descriptor, value);

	return v ? v->name : NULL;
}

/* ------------------------------------------------------------------------------------------------ JSON */

static json_t *message_json(const ProtobufCMessage *msg, int depth);

static json_t *bytes_json(const uint8_t *data, size_t len)
{
	static const char digit[] = "0123456789abcdef";
	_cleanup_free_ char *hex = len < SIZE_MAX / 2 - 1 ? malloc(len * 2 + 1) : NULL;

	if (!hex)
		return NULL;
	for (size_t i = 0; i < len; i++) {
		hex[2 * i] = digit[data[i] >> 4];
		hex[2 * i + 1] = digit[data[i] & 15];
	}
	return json_stringn_nocheck(hex, len * 2);
}

static json_t *unsigned_json(uint64_t v)
{
	char text[24];

	if (v <= INT64_MAX)
		return json_integer((json_int_t)v);
	(void)snprintf(text, sizeof(text), "%" PRIu64, v);
	return json_string(text);
}

static json_t *real_json(double v)
{
	char text[32];

	if (v - v == 0)
		return json_real(v);
	(void)snprintf(text, sizeof(text), "%g", v); /* JSON has no infinities */
	return json_string(text);
}

static json_t *element_json(const ProtobufCFieldDescriptor *f, const void *p, int depth)
{
	const ProtobufCBinaryData *bytes = p;
	const char *name;

	switch (f->type) {
	case PROTOBUF_C_TYPE_INT32:
	case PROTOBUF_C_TYPE_SINT32:
	case PROTOBUF_C_TYPE_SFIXED32: return json_integer(*(const int32_t *)p);
	case PROTOBUF_C_TYPE_UINT32:
	case PROTOBUF_C_TYPE_FIXED32: return json_integer(*(const uint32_t *)p);
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_SFIXED64: return json_integer(*(const int64_t *)p);
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_FIXED64: return unsigned_json(*(const uint64_t *)p);
	case PROTOBUF_C_TYPE_FLOAT: return real_json((double)*(const float *)p);
	case PROTOBUF_C_TYPE_DOUBLE: return real_json(*(const double *)p);
	case PROTOBUF_C_TYPE_BOOL: return json_boolean(*(const protobuf_c_boolean *)p);
	case PROTOBUF_C_TYPE_ENUM:
		name = enum_name(f, *(const int *)p);
		return name ? json_string(name) : json_integer(*(const int *)p);
	case PROTOBUF_C_TYPE_STRING: return eng_reflect_string(*(char *const *)p);
	case PROTOBUF_C_TYPE_BYTES: return bytes_json(bytes->data, bytes->data ? bytes->len : 0);
	case PROTOBUF_C_TYPE_MESSAGE: return message_json(*(const ProtobufCMessage *const *)p, depth + 1);
	}
	return json_null();
}

static json_t *field_json(const ProtobufCFieldDescriptor *f, const uint8_t *p, size_t n, int depth)
{
	json_t *list;

	if (f->label != PROTOBUF_C_LABEL_REPEATED)
		return element_json(f, p, depth);
	list = json_array();
	for (size_t i = 0; list && p && i < n; i++) {
		if (json_array_append_new(list, element_json(f, p + i * element_size(f->type), depth)) == 0)
			continue;
		json_decref(list);
		list = NULL;
	}
	return list;
}

static json_t *message_json(const ProtobufCMessage *msg, int depth)
{
	json_t *o;

	if (!msg)
		return json_null();
	if (depth > ENG_REFLECT_DEPTH)
		return json_string("(nested too deeply)");
	o = json_object();
	for (unsigned i = 0; o && i < msg->descriptor->n_fields; i++) {
		const ProtobufCFieldDescriptor *f = &msg->descriptor->fields[i];
		const uint8_t *p;
		size_t n = elements(msg, f, &p);

		if (n > 0 && json_object_set_new(o, f->name, field_json(f, p, n, depth)) < 0) {
			json_decref(o);
			return NULL;
		}
	}
	if (o && msg->n_unknown_fields > 0)
		(void)json_object_set_new(o, "$unknown_fields", json_integer(msg->n_unknown_fields));
	return o;
}

json_t *eng_reflect_json(const ProtobufCMessage *msg)
{
	return message_json(msg, 0);
}

/* ------------------------------------------------------------------------------------------------ text */

static void message_text(const ProtobufCMessage *msg, FILE *out, int indent, int depth);

static void bytes_text(const ProtobufCBinaryData *b, FILE *out)
{
	for (size_t i = 0; b->data && i < b->len && i < TEXT_BYTES_MAX; i++)
		(void)fprintf(out, "%02x", b->data[i]);
	if (b->len > TEXT_BYTES_MAX)
		(void)fprintf(out, "... (%zu bytes)", b->len);
}

static void scalar_text(const ProtobufCFieldDescriptor *f, const void *p, FILE *out)
{
	const char *name;

	switch (f->type) {
	case PROTOBUF_C_TYPE_INT32:
	case PROTOBUF_C_TYPE_SINT32:
	case PROTOBUF_C_TYPE_SFIXED32: (void)fprintf(out, "%" PRId32, *(const int32_t *)p); break;
	case PROTOBUF_C_TYPE_UINT32:
	case PROTOBUF_C_TYPE_FIXED32: (void)fprintf(out, "%" PRIu32, *(const uint32_t *)p); break;
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_SFIXED64: (void)fprintf(out, "%" PRId64, *(const int64_t *)p); break;
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_FIXED64: (void)fprintf(out, "%" PRIu64, *(const uint64_t *)p); break;
	case PROTOBUF_C_TYPE_FLOAT: (void)fprintf(out, "%g", (double)*(const float *)p); break;
	case PROTOBUF_C_TYPE_DOUBLE: (void)fprintf(out, "%g", *(const double *)p); break;
	case PROTOBUF_C_TYPE_BOOL: (void)fputs(*(const protobuf_c_boolean *)p ? "true" : "false", out); break;
	case PROTOBUF_C_TYPE_ENUM:
		name = enum_name(f, *(const int *)p);
		if (name)
			(void)fputs(name, out);
		else
			(void)fprintf(out, "%d", *(const int *)p);
		break;
	case PROTOBUF_C_TYPE_STRING:
		(void)fputc('"', out);
		eng_reflect_escape(*(char *const *)p, out);
		(void)fputc('"', out);
		break;
	case PROTOBUF_C_TYPE_BYTES: bytes_text(p, out); break;
	case PROTOBUF_C_TYPE_MESSAGE: break;
	}
}

static void field_text(const ProtobufCFieldDescriptor *f, const uint8_t *p, size_t n, FILE *out, int indent, int depth)
{
	size_t size = element_size(f->type);

	if (f->type == PROTOBUF_C_TYPE_MESSAGE) {
		for (size_t i = 0; p && i < n; i++) {
			(void)fprintf(out, "%*s%s {\n", indent * 2, "", f->name);
			message_text(*(const ProtobufCMessage *const *)(const void *)(p + i * size), out, indent + 1, depth + 1);
			(void)fprintf(out, "%*s}\n", indent * 2, "");
		}
		return;
	}
	(void)fprintf(out, "%*s%s:", indent * 2, "", f->name);
	for (size_t i = 0; p && i < n; i++) {
		(void)fputc(' ', out);
		scalar_text(f, p + i * size, out);
	}
	(void)fputc('\n', out);
}

static void message_text(const ProtobufCMessage *msg, FILE *out, int indent, int depth)
{
	if (!msg || depth > ENG_REFLECT_DEPTH) {
		(void)fprintf(out, "%*s(%s)\n", indent * 2, "", msg ? "nested too deeply" : "missing");
		return;
	}
	for (unsigned i = 0; i < msg->descriptor->n_fields; i++) {
		const uint8_t *p;
		size_t n = elements(msg, &msg->descriptor->fields[i], &p);

		if (n > 0)
			field_text(&msg->descriptor->fields[i], p, n, out, indent, depth);
	}
	if (msg->n_unknown_fields > 0)
		(void)fprintf(out, "%*s(%u fields that this version does not know)\n", indent * 2, "", msg->n_unknown_fields);
}

int eng_reflect_text(const ProtobufCMessage *msg, FILE *out, int indent)
{
	message_text(msg, out, indent, 0);
	return ferror(out) ? -EIO : 0;
}

/* ------------------------------------------------------------------------------------------------ validation */

static int validate_message(const ProtobufCMessage *msg, int depth, struct eng_err *err);

static int validate_element(const ProtobufCMessage *msg, const ProtobufCFieldDescriptor *f, const void *p, int depth, struct eng_err *err)
{
	const ProtobufCBinaryData *bytes = p;
	const ProtobufCMessage *sub;
	int r;

	if (is_pointer(f) && !*(const void *const *)p)
		return eng_fail(err, 0, "%s: field %s is missing", msg->descriptor->name, f->name);
	if (f->type == PROTOBUF_C_TYPE_BYTES && bytes->len > 0 && !bytes->data)
		return eng_fail(err, 0, "%s: field %s has a length but no bytes", msg->descriptor->name, f->name);
	if (f->type == PROTOBUF_C_TYPE_ENUM && !enum_name(f, *(const int *)p))
		return eng_fail(err, 0, "%s: field %s has the unknown value %d", msg->descriptor->name, f->name, *(const int *)p);
	if (f->type != PROTOBUF_C_TYPE_MESSAGE)
		return 0;
	sub = *(const ProtobufCMessage *const *)p;
	if (sub->descriptor != f->descriptor)
		return eng_fail(err, 0, "%s: field %s is not a %s", msg->descriptor->name, f->name,
				((const ProtobufCMessageDescriptor *)f->descriptor)->name);
	r = validate_message(sub, depth + 1, err);
	return r < 0 ? eng_wrap(err, r, "%s.%s", msg->descriptor->short_name, f->name) : 0;
}

static int validate_message(const ProtobufCMessage *msg, int depth, struct eng_err *err)
{
	if (!msg->descriptor || msg->descriptor->magic != PROTOBUF_C__MESSAGE_DESCRIPTOR_MAGIC)
		return eng_fail(err, 0, "not an initialised message");
	if (depth > ENG_REFLECT_DEPTH)
		return eng_fail(err, 0, "%s: messages nested too deeply", msg->descriptor->name);
	for (unsigned i = 0; i < msg->descriptor->n_fields; i++) {
		const ProtobufCFieldDescriptor *f = &msg->descriptor->fields[i];
		const uint8_t *p;
		size_t n = elements(msg, f, &p);

		if (n > 0 && !p)
			return eng_fail(err, 0, "%s: field %s has a count but no elements", msg->descriptor->name, f->name);
		for (size_t k = 0; k < n; k++) {
			int r = validate_element(msg, f, p + k * element_size(f->type), depth, err);

			if (r < 0)
				return r;
		}
	}
	return 0;
}

int eng_reflect_validate(const ProtobufCMessage *msg, struct eng_err *err)
{
	return msg ? validate_message(msg, 0, err) : eng_fail(err, 0, "there is no message");
}
