/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef CORE_CONFIG_H
#define CORE_CONFIG_H
/*
 * The configuration of one run of the engine: an ordered list of settings, each with the place it came from.
 *
 * Layers, later ones win: CONFDIR/engine.ini (may be missing), CONFDIR/profiles/PROFILE.ini, the file of --config, then --set and
 * --strict in the order given. CONFDIR is $ENGINE_CONF_DIR or built in. Keys of [engine] are checked here; keys of [plugin NAME]
 * by the loader, which knows their tables. All strings live as long as the configuration, which is not changed after loading.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "core/include/engine/plugin.h"

/* What a file that a task has mapped or opened is compared by before restore. */
enum eng_file_check { ENG_FILE_CHECK_NONE, ENG_FILE_CHECK_SIZE, ENG_FILE_CHECK_MTIME, ENG_FILE_CHECK_CONTENT };

/* Section [engine]. */
struct eng_core_conf {
	const char *plugins;    /* names, "all", "-name"; use the loader's result, not this */
	const char *plugin_dir; /* "" : see eng_config.plugin_dir */
	bool strict;
	bool image_fsync;
	uint64_t workers; /* 0: one per processor */
	uint64_t freeze_timeout_ms;
	unsigned file_check; /* enum eng_file_check */
	uint64_t log_level;
};
extern const struct eng_option eng_core_options[];

enum eng_layer { ENG_LAYER_FILE, ENG_LAYER_COMMAND };

struct eng_setting {
	const char *plugin; /* NULL: section [engine] */
	const char *key, *value;
	const char *origin; /* "/etc/engine/engine.ini:12", "--set" */
	enum eng_layer layer;
	unsigned source; /* number of the file or argument */
};

struct eng_config {
	struct eng_core_conf core;
	const char *conf_dir, *plugin_dir, *profile; /* resolved; profile may be NULL */
	struct eng_setting *settings;
	size_t n_settings;
	const char **edits; /* of --plugin: "a", "-b" */
	size_t n_edits;
	char **strings; /* owns every text above */
	size_t n_strings;
	unsigned n_sources;
};

struct eng_config_args {
	const char *profile, *file;     /* NULL: none */
	const char *const *sets;        /* "section.key=value"; section: engine or a plugin's name */
	const char *const *plugins;     /* "a,b,-c" */
	size_t n_sets, n_plugins;
	bool strict;
};

int eng_config_load(const struct eng_config_args *args, struct eng_config **ret, struct eng_err *err);
struct eng_config *eng_config_free(struct eng_config *cfg); /* accepts NULL, returns NULL */

/* Letters, digits, '_' and '-', at most 32: safe as a file name. */
bool eng_plugin_name_valid(const char *name);

/* Fill a plugin's conf: defaults, settings of files, `image` ("key=value", as the dump used; may be NULL), settings of the command line.
 * The table has been checked; conf is zeroed. Strings of `image` must live as long as conf. */
int eng_config_fill(const struct eng_config *cfg, const char *plugin, const struct eng_option *table, const char *const *image, size_t n_image,
		    void *conf, struct eng_err *err);

/* Where the value in force comes from: an origin, or "default". plugin NULL: [engine]. */
const char *eng_config_origin(const struct eng_config *cfg, const char *plugin, const char *key);

/* The commented sample of engine.ini, without the sections of plugins. */
void eng_config_sample(FILE *out);

/* One step through a list of words separated by commas or blanks: copies the next into buf. 1: a word, 0: the end, <0: word too long. */
int eng_config_word(const char **list, char *buf, size_t size);

#endif
