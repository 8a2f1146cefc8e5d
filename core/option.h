/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef CORE_OPTION_H
#define CORE_OPTION_H
/*
 * Option tables (struct eng_option in engine/plugin.h): one line per key gives parser, range, default, help, sample file and man page.
 * Tables are arrays that end with an entry whose key is NULL; a NULL table is an empty one.
 */
#include <stdio.h>

#include "core/include/engine/plugin.h"

/* A table is sound: fields lie inside the conf struct, keys are unique and well formed, defaults are valid values. */
int eng_options_check(const struct eng_option *table, size_t conf_size, struct eng_err *err);

/* Set every field to its default. The table has been checked. */
void eng_options_defaults(const struct eng_option *table, void *conf);

const struct eng_option *eng_option_find(const struct eng_option *table, const char *key);

/* Parse text into the option's field. A STRING field points to text afterwards: text must live as long as conf. */
int eng_option_set(const struct eng_option *option, const char *text, void *conf, struct eng_err *err);

/* The field's value as it would be written in a file. */
void eng_option_format(const struct eng_option *option, const void *conf, char *buf, size_t size);

/* What a value looks like: "yes or no", "1 to 65535", "size, 4K to 1G", "one of: a, b". */
void eng_option_domain(const struct eng_option *option, char *buf, size_t size);

/* The keys of a table, for hints: "a, b, c". */
void eng_options_keys(const struct eng_option *table, char *buf, size_t size);

/* The table as lines of help, as commented lines of a configuration file, as a man(7) list. */
void eng_options_help(const struct eng_option *table, FILE *out);
void eng_options_sample(const struct eng_option *table, FILE *out);
void eng_options_man(const struct eng_option *table, FILE *out);

/* Text for man(7): backslashes, minus signs and leading dots are protected. */
void eng_man_text(const char *text, FILE *out);

#endif
