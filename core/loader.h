/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef CORE_LOADER_H
#define CORE_LOADER_H
/*
 * Loaded plugins: found, checked, configured and ordered before anything else happens.
 *
 * Order: the provider of a capability comes before those that name it in .after or .needs; otherwise by name. A capability is a name
 * in .provides or the name of a file, map or task kind. Unloading is in reverse. Kinds of all plugins are flattened into arrays.
 *
 * An older plugin has smaller structs. The plugin's own is copied and zero-filled in eng_loaded.desc; so are its kinds, but only as
 * seen through the flattened arrays: nobody else may follow desc.file_kinds, .map_kinds and .task_kinds.
 */
#include "core/config.h"
#include "core/include/engine/plugin.h"
#include "core/log.h"

struct eng_loaded {
	struct eng_plugin desc;
	void *handle;     /* of dlopen */
	void *conf;       /* desc.conf_size bytes, filled; NULL if the size is 0 */
	const char *path; /* of the shared object */
};

struct eng_file_entry {
	const struct eng_loaded *owner;
	const struct eng_file_kind *kind;
};
struct eng_map_entry {
	const struct eng_loaded *owner;
	const struct eng_map_kind *kind;
};
struct eng_task_entry {
	const struct eng_loaded *owner;
	const struct eng_task_kind *kind;
};
struct eng_record_entry {
	const char *kind;
	const ProtobufCMessageDescriptor *desc;
	const struct eng_loaded *owner;
};

struct eng_plugins {
	size_t count;
	struct eng_loaded *plugins; /* in order */

	struct eng_file_entry *file_kinds; /* highest priority first, then in order */
	struct eng_map_entry *map_kinds;   /* the same */
	struct eng_task_entry *task_kinds; /* by section, then in order */
	struct eng_record_entry *records;  /* every kind of record, sorted by name */
	size_t n_file_kinds, n_map_kinds, n_task_kinds, n_records;

	void **copies; /* zero-filled kinds of older plugins */
	size_t n_copies;
};

/* A plugin that an image was written with. */
struct eng_plugin_want {
	const char *name, *version;
	const char *const *conf; /* "key=value" as in force at the dump; strings must outlive the loaded plugins */
	size_t n_conf;
};

/* Load what the configuration selects. cfg must outlive the result. */
int eng_plugins_load(const struct eng_config *cfg, struct eng_log *log, struct eng_plugins **ret, struct eng_err *err);

/* Load exactly the plugins of an image, whatever the configuration selects. Names are checked: they are hostile input. */
int eng_plugins_load_named(const struct eng_config *cfg, const struct eng_plugin_want *want, size_t n_want, struct eng_log *log,
			   struct eng_plugins **ret, struct eng_err *err);

/* Unload in reverse order. Accepts NULL, returns NULL. */
struct eng_plugins *eng_plugins_unload(struct eng_plugins *p);

/* The message type of a record kind, or NULL. ret_owner may be NULL. */
const ProtobufCMessageDescriptor *eng_plugins_record(const struct eng_plugins *p, const char *kind, const struct eng_loaded **ret_owner);

/* The loaded plugin of that name, or NULL. */
const struct eng_loaded *eng_plugins_find(const struct eng_plugins *p, const char *name);

/* "key=value" of every option whose value is not the default, for the manifest. *ret: NULL-terminated; free with one free(). */
int eng_loaded_conf_text(const struct eng_loaded *l, char ***ret, size_t *ret_n, struct eng_err *err);

/* ---- one at a time, for listings; nothing is configured */

/* dlopen and check. 0, 1: there is no such plugin in the directory, <0. */
int eng_loaded_open(const char *dir, const char *name, struct eng_loaded *ret, struct eng_err *err);
void eng_loaded_close(struct eng_loaded *l);

/* Names of the plugins in a directory, sorted; free each and the list. */
int eng_plugin_dir_list(const char *dir, char ***ret, size_t *ret_n, struct eng_err *err);

#endif
