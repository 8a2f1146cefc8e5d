/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Option tables: values from text, and the four ways in which a table is shown. */
#include "core/option.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>

static const struct {
	char letter;
	unsigned shift;
} units[] = { { 'T', 40 }, { 'G', 30 }, { 'M', 20 }, { 'K', 10 } };

static size_t field_size(const struct eng_option *o)
{
	switch (o->type) {
	case ENG_OPTION_BOOL: return sizeof(bool);
	case ENG_OPTION_UINT:
	case ENG_OPTION_SIZE: return sizeof(uint64_t);
	case ENG_OPTION_STRING: return sizeof(const char *);
	case ENG_OPTION_ENUM: return sizeof(unsigned);
	}
	return 0;
}

static void *field(const struct eng_option *o, void *conf)
{
	return (char *)conf + o->offset;
}

static void format_size(uint64_t value, char *buf, size_t size)
{
	for (size_t i = 0; i < ENG_ARRAY_SIZE(units); i++)
		if (value && !(value & ((UINT64_C(1) << units[i].shift) - 1))) {
			(void)snprintf(buf, size, "%" PRIu64 "%c", value >> units[i].shift, units[i].letter);
			return;
		}
	(void)snprintf(buf, size, "%" PRIu64, value);
}

/* Decimal digits only, with one unit letter where allowed: strtoull would accept signs, blanks and wrap-around. */
static int parse_number(const char *text, bool with_unit, uint64_t *ret)
{
	uint64_t value = 0;
	const char *p = text;

	for (; isdigit((unsigned char)*p); p++)
		if (__builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, (uint64_t)(*p - '0'), &value))
			return -ERANGE;
	if (p == text)
		return -EINVAL;
	if (with_unit && *p) {
		for (size_t i = 0; i < ENG_ARRAY_SIZE(units); i++)
			if (toupper((unsigned char)*p) == units[i].letter) {
				if (value > UINT64_MAX >> units[i].shift)
					return -ERANGE;
				value <<= units[i].shift;
				p++;
				break;
			}
	}
	if (*p)
		return -EINVAL;
	*ret = value;
	return 0;
}

static int set_bool(const struct eng_option *o, const char *text, void *conf, struct eng_err *err)
{
	static const char *const words[] = { "no", "yes", "false", "true", "0", "1" };

	for (size_t i = 0; i < ENG_ARRAY_SIZE(words); i++)
		if (strcmp(text, words[i]) == 0) {
			*(bool *)field(o, conf) = i & 1;
			return 0;
		}
	return eng_fail(err, 0, "%s: \"%.80s\" is neither yes nor no", o->key, text);
}

static int set_number(const struct eng_option *o, const char *text, void *conf, struct eng_err *err)
{
	char domain[128];
	uint64_t value;
	int r = parse_number(text, o->type == ENG_OPTION_SIZE, &value);

	if (r == -EINVAL)
		return eng_fail(err, 0, "%s: \"%.80s\" is not a %s", o->key, text, o->type == ENG_OPTION_SIZE ? "size (4096, 64K, 1M, 2G)" : "number");
	if (r < 0 || value < o->min || (o->max && value > o->max)) {
		eng_option_domain(o, domain, sizeof(domain));
		return eng_fail(err, 0, "%s: %.80s is out of range (%s)", o->key, text, domain);
	}
	*(uint64_t *)field(o, conf) = value;
	return 0;
}

static int set_enum(const struct eng_option *o, const char *text, void *conf, struct eng_err *err)
{
	char domain[256];

	for (unsigned i = 0; o->choices[i]; i++)
		if (strcmp(text, o->choices[i]) == 0) {
			*(unsigned *)field(o, conf) = i;
			return 0;
		}
	eng_option_domain(o, domain, sizeof(domain));
	return eng_fail(err, 0, "%s: \"%.80s\" is not %s", o->key, text, domain);
}

int eng_option_set(const struct eng_option *o, const char *text, void *conf, struct eng_err *err)
{
	switch (o->type) {
	case ENG_OPTION_BOOL: return set_bool(o, text, conf, err);
	case ENG_OPTION_UINT:
	case ENG_OPTION_SIZE: return set_number(o, text, conf, err);
	case ENG_OPTION_ENUM: return set_enum(o, text, conf, err);
	case ENG_OPTION_STRING:
		*(const char **)field(o, conf) = text;
		return 0;
	}
	return eng_fail(err, 0, "%s: option type %d is not known", o->key, (int)o->type);
}

static bool well_formed(const char *key)
{
	size_t n = strspn(key, "abcdefghijklmnopqrstuvwxyz0123456789-");

	return n > 0 && n <= 40 && !key[n] && key[0] != '-';
}

static int check_one(const struct eng_option *o, size_t conf_size, struct eng_err *err)
{
	size_t size = field_size(o);
	uint64_t scratch = 0; /* as large as the largest field */
	struct eng_option probe = *o;
	int r;

	if (!well_formed(o->key))
		return eng_fail(err, 0, "option key \"%.60s\" is not of lower-case letters, digits and '-'", o->key);
	if (!size)
		return eng_fail(err, 0, "option %s: type %d is not known", o->key, (int)o->type);
	if (o->offset > conf_size || size > conf_size - o->offset || o->offset % size)
		return eng_fail(err, 0, "option %s: field lies outside the %zu bytes of conf_size", o->key, conf_size);
	if (!o->value || !o->help)
		return eng_fail(err, 0, "option %s: has no %s", o->key, o->value ? "help" : "default");
	if (o->type == ENG_OPTION_ENUM && !o->choices)
		return eng_fail(err, 0, "option %s: has no choices", o->key);
	probe.offset = 0;
	r = eng_option_set(&probe, o->value, &scratch, err);
	return r < 0 ? eng_wrap(err, r, "default of an option") : 0;
}

int eng_options_check(const struct eng_option *table, size_t conf_size, struct eng_err *err)
{
	for (const struct eng_option *o = table; o && o->key; o++) {
		int r = check_one(o, conf_size, err);

		if (r < 0)
			return r;
		if (eng_option_find(table, o->key) != o)
			return eng_fail(err, 0, "option %s: stands in the table twice", o->key);
	}
	return 0;
}

void eng_options_defaults(const struct eng_option *table, void *conf)
{
	for (const struct eng_option *o = table; o && o->key; o++)
		(void)eng_option_set(o, o->value, conf, NULL);
}

const struct eng_option *eng_option_find(const struct eng_option *table, const char *key)
{
	for (const struct eng_option *o = table; o && o->key; o++)
		if (strcmp(o->key, key) == 0)
			return o;
	return NULL;
}

void eng_option_format(const struct eng_option *o, const void *conf, char *buf, size_t size)
{
	const void *p = (const char *)conf + o->offset;

	switch (o->type) {
	case ENG_OPTION_BOOL: (void)snprintf(buf, size, "%s", *(const bool *)p ? "yes" : "no"); return;
	case ENG_OPTION_UINT: (void)snprintf(buf, size, "%" PRIu64, *(const uint64_t *)p); return;
	case ENG_OPTION_SIZE: format_size(*(const uint64_t *)p, buf, size); return;
	case ENG_OPTION_STRING: (void)snprintf(buf, size, "%s", *(const char *const *)p ?: ""); return;
	case ENG_OPTION_ENUM: (void)snprintf(buf, size, "%s", o->choices[*(const unsigned *)p]); return;
	}
}

void eng_option_domain(const struct eng_option *o, char *buf, size_t size)
{
	char min[32], max[32];
	size_t n;

	switch (o->type) {
	case ENG_OPTION_BOOL: (void)snprintf(buf, size, "yes or no"); return;
	case ENG_OPTION_STRING: (void)snprintf(buf, size, "text"); return;
	case ENG_OPTION_UINT:
	case ENG_OPTION_SIZE:
		if (o->type == ENG_OPTION_SIZE) {
			format_size(o->min, min, sizeof(min));
			format_size(o->max, max, sizeof(max));
		} else {
			(void)snprintf(min, sizeof(min), "%" PRIu64, o->min);
			(void)snprintf(max, sizeof(max), "%" PRIu64, o->max);
		}
		if (o->max)
			(void)snprintf(buf, size, "%s to %s", min, max);
		else
			(void)snprintf(buf, size, "at least %s", min);
		return;
	case ENG_OPTION_ENUM:
		n = (size_t)snprintf(buf, size, "one of");
		for (unsigned i = 0; o->choices[i] && n < size; i++)
			n += (size_t)snprintf(buf + n, size - n, "%s %s", i ? "," : "", o->choices[i]);
		return;
	}
}

void eng_options_keys(const struct eng_option *table, char *buf, size_t size)
{
	size_t n = 0;

	buf[0] = '\0';
	for (const struct eng_option *o = table; o && o->key && n < size; o++)
		n += (size_t)snprintf(buf + n, size - n, "%s%s", n ? ", " : "", o->key);
}

void eng_options_help(const struct eng_option *table, FILE *out)
{
	char domain[256];

	for (const struct eng_option *o = table; o && o->key; o++) {
		eng_option_domain(o, domain, sizeof(domain));
		(void)fprintf(out, "  %-22s %s (%s; default: %s)\n", o->key, o->help, domain, o->value[0] ? o->value : "empty");
	}
}

void eng_options_sample(const struct eng_option *table, FILE *out)
{
	char domain[256];

	for (const struct eng_option *o = table; o && o->key; o++) {
		eng_option_domain(o, domain, sizeof(domain));
		(void)fprintf(out, "\n; %s (%s)\n;%s =%s%s\n", o->help, domain, o->key, o->value[0] ? " " : "", o->value);
	}
}

void eng_man_text(const char *text, FILE *out)
{
	if (*text == '.' || *text == '\'')
		(void)fputs("\\&", out);
	for (; *text; text++)
		if (*text == '\\')
			(void)fputs("\\e", out);
		else if (*text == '-')
			(void)fputs("\\-", out);
		else
			(void)fputc(*text, out);
}

void eng_options_man(const struct eng_option *table, FILE *out)
{
	char domain[256];

	for (const struct eng_option *o = table; o && o->key; o++) {
		(void)fputs(".TP\n.B ", out);
		eng_man_text(o->key, out);
		(void)fputc('\n', out);
		eng_man_text(o->help, out);
		(void)fputs(".\n", out);
		eng_option_domain(o, domain, sizeof(domain));
		eng_man_text(domain, out);
		(void)fputs("; default: ", out);
		eng_man_text(o->value[0] ? o->value : "empty", out);
		(void)fputs(".\n", out);
	}
}
