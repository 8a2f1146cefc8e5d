/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Selecting, opening and flattening plugins; see loader.h. The directory is read only where the selection asks for all. */
#include "core/loader-internal.h"

#include <dirent.h>
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "core/option.h"

/* ---- the directory */

static int is_plugin(const struct dirent *e)
{
	size_t n = strlen(e->d_name);

	return n > 3 && e->d_name[0] != '.' && strcmp(e->d_name + n - 3, ".so") == 0;
}

static int compare_entries(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

int eng_plugin_dir_list(const char *dir, char ***ret, size_t *ret_n, struct eng_err *err)
{
	struct dirent **list = NULL;
	int n = scandir(dir, &list, is_plugin, compare_entries), r = 0;
	char **names;

	if (n < 0) {
		r = eng_fail(err, errno, "cannot read plugin directory %s", dir);
		eng_hint(err, "install the plugins, or say where they are with ENGINE_PLUGIN_DIR or --set engine.plugin-dir=DIR");
		return r;
	}
	names = calloc((size_t)n + 1, sizeof(*names));
	for (int i = 0; i < n; i++) {
		size_t len = strlen(list[i]->d_name) - 3;

		if (names)
			names[i] = strndup(list[i]->d_name, len);
		if (r == 0 && (!names || !names[i]))
			r = eng_fail(err, ENOMEM, "cannot list plugins");
		free(list[i]);
	}
	free(list);
	if (r < 0 || !names) {
		for (int i = 0; names && i < n; i++)
			free(names[i]);
		free(names);
		return r < 0 ? r : eng_fail(err, ENOMEM, "cannot list plugins");
	}
	*ret = names;
	*ret_n = (size_t)n;
	return 0;
}

static void free_names(char **names, size_t n)
{
	for (size_t i = 0; names && i < n; i++)
		free(names[i]);
	free(names);
}

static void hint_available(const char *dir, struct eng_err *err)
{
	char text[256] = "";
	char **names;
	size_t n, used = 0;

	if (eng_plugin_dir_list(dir, &names, &n, NULL) < 0) {
		eng_hint(err, "say where plugins are with ENGINE_PLUGIN_DIR or --set engine.plugin-dir=DIR");
		return;
	}
	for (size_t i = 0; i < n && used < sizeof(text); i++)
		used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s", i ? ", " : "", names[i]);
	free_names(names, n);
	eng_hint(err, "plugins there: %s", text[0] ? text : "none");
}

/* ---- one plugin */

static int copy_desc(struct eng_loaded *l, struct eng_err *err)
{
	const struct eng_plugin *const *entry = dlsym(l->handle, "eng_plugin_entry");
	const struct eng_plugin *p = entry ? *entry : NULL;
	int r;

	if (!p)
		return eng_fail(err, 0, "exports no eng_plugin_entry: not a plugin of engine");
	if (p->abi > ENG_PLUGIN_ABI) {
		r = eng_fail(err, 0, "was built for plugin interface %u, this engine has %u", p->abi, ENG_PLUGIN_ABI);
		eng_hint(err, "update the engine, or use an older version of the plugin");
		return r;
	}
	if (p->abi == 0)
		return eng_fail(err, 0, "has interface number 0: .abi and .size come from ENG_PLUGIN_HEAD");
	if (p->size < offsetof(struct eng_plugin, provides))
		return eng_fail(err, 0, "descriptor of %u bytes is too small", p->size);
	memcpy(&l->desc, p, p->size < sizeof(l->desc) ? p->size : sizeof(l->desc));
	return 0;
}

int eng_loaded_open(const char *dir, const char *name, struct eng_loaded *ret, struct eng_err *err)
{
	struct eng_loaded l = { 0 };
	char *path;
	int r;

	if (!eng_plugin_name_valid(name))
		return eng_fail(err, 0, "\"%.60s\" is not a plugin name", name);
	if (asprintf(&path, "%s/%s.so", dir, name) < 0)
		return eng_fail(err, ENOMEM, "plugin %s", name);
	l.path = path;
	l.handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (!l.handle) {
		r = access(path, F_OK) < 0 && errno == ENOENT ? 1 : eng_fail(err, 0, "cannot load plugin %s: %s", name, dlerror());
		eng_loaded_close(&l);
		return r;
	}
	r = copy_desc(&l, err);
	if (r == 0)
		r = eng_loaded_check(&l, name, err);
	if (r < 0) {
		r = eng_wrap(err, r, "plugin %s (%s)", name, path);
		eng_loaded_close(&l);
		return r;
	}
	*ret = l;
	return 0;
}

void eng_loaded_close(struct eng_loaded *l)
{
	if (l->handle)
		(void)dlclose(l->handle);
	free(l->conf);
	free((char *)l->path);
	*l = (struct eng_loaded){ 0 };
}

static int configure(const struct eng_config *cfg, struct eng_loaded *l, const struct eng_plugin_want *want, struct eng_err *err)
{
	int r;

	if (l->desc.conf_size) {
		l->conf = calloc(1, l->desc.conf_size);
		if (!l->conf)
			return eng_fail(err, ENOMEM, "cannot allocate %zu bytes of configuration", l->desc.conf_size);
	}
	r = eng_config_fill(cfg, l->desc.name, l->desc.options, want->conf, want->n_conf, l->conf, err);
	return r;
}

int eng_loaded_conf_text(const struct eng_loaded *l, char ***ret, size_t *ret_n, struct eng_err *err)
{
	size_t n = 0, size = 0;
	char value[4200], **list, *text;

	for (const struct eng_option *o = l->desc.options; o && o->key; o++) {
		eng_option_format(o, l->conf, value, sizeof(value));
		n++;
		size += strlen(o->key) + strlen(value) + 2;
	}
	list = malloc((n + 1) * sizeof(*list) + size); /* the texts follow the list */
	if (!list)
		return eng_fail(err, ENOMEM, "plugin %s: cannot describe its settings", l->desc.name);
	text = (char *)(list + n + 1);
	n = 0;
	for (const struct eng_option *o = l->desc.options; o && o->key; o++) {
		eng_option_format(o, l->conf, value, sizeof(value));
		if (strcmp(value, o->value) == 0)
			continue;
		list[n++] = text;
		text += sprintf(text, "%s=%s", o->key, value) + 1;
	}
	list[n] = NULL;
	*ret = list;
	*ret_n = n;
	return 0;
}

/* ---- kinds of all plugins, flattened */

static void *copy_kind(struct eng_plugins *p, const void *kind, size_t have, size_t want)
{
	void *copy;

	if (have >= want)
		return (void *)kind;
	copy = calloc(1, want);
	if (!copy)
		return NULL;
	memcpy(copy, kind, have);
	p->copies[p->n_copies++] = copy;
	return copy;
}

static bool add_record(struct eng_plugins *p, const char *kind, const ProtobufCMessageDescriptor *desc, const struct eng_loaded *owner)
{
	p->records[p->n_records++] = (struct eng_record_entry){ kind, desc, owner };
	return true;
}

static bool flatten_one(struct eng_plugins *p, const struct eng_loaded *l)
{
	for (const struct eng_file_kind *const *k = l->desc.file_kinds; k && *k; k++) {
		struct eng_file_entry e = { l, copy_kind(p, *k, (*k)->size, sizeof(**k)) };

		if (!e.kind)
			return false;
		p->file_kinds[p->n_file_kinds++] = e;
		(void)add_record(p, e.kind->name, e.kind->record, l);
	}
	for (const struct eng_map_kind *const *k = l->desc.map_kinds; k && *k; k++) {
		struct eng_map_entry e = { l, copy_kind(p, *k, (*k)->size, sizeof(**k)) };

		if (!e.kind)
			return false;
		p->map_kinds[p->n_map_kinds++] = e;
		(void)add_record(p, e.kind->name, e.kind->record, l);
	}
	for (const struct eng_task_kind *const *k = l->desc.task_kinds; k && *k; k++) {
		struct eng_task_entry e = { l, copy_kind(p, *k, (*k)->size, sizeof(**k)) };

		if (!e.kind)
			return false;
		p->task_kinds[p->n_task_kinds++] = e;
		(void)add_record(p, e.kind->name, e.kind->record, l);
	}
	for (const struct eng_record_kind *k = l->desc.records; k && k->name; k++)
		(void)add_record(p, k->name, k->record, l);
	return true;
}

/* qsort is not stable: ties are decided by the place of the owner, then by the address of the kind within the plugin's lists. */
static int by_owner(const struct eng_loaded *a, const struct eng_loaded *b)
{
	return (a > b) - (a < b);
}

static int compare_files(const void *a, const void *b)
{
	const struct eng_file_entry *x = a, *y = b;

	return x->kind->priority != y->kind->priority ? (x->kind->priority < y->kind->priority ? 1 : -1) :
							by_owner(x->owner, y->owner) ?: strcmp(x->kind->name, y->kind->name);
}

static int compare_maps(const void *a, const void *b)
{
	const struct eng_map_entry *x = a, *y = b;

	return x->kind->priority != y->kind->priority ? (x->kind->priority < y->kind->priority ? 1 : -1) :
							by_owner(x->owner, y->owner) ?: strcmp(x->kind->name, y->kind->name);
}

static int compare_tasks(const void *a, const void *b)
{
	const struct eng_task_entry *x = a, *y = b;

	return x->kind->section != y->kind->section ? (x->kind->section < y->kind->section ? -1 : 1) :
						      by_owner(x->owner, y->owner) ?: strcmp(x->kind->name, y->kind->name);
}

static int compare_records(const void *a, const void *b)
{
	return strcmp(((const struct eng_record_entry *)a)->kind, ((const struct eng_record_entry *)b)->kind);
}

static size_t count_kinds(const struct eng_plugin *d, size_t *files, size_t *maps, size_t *tasks)
{
	size_t f = 0, m = 0, t = 0, r = 0;

	while (d->file_kinds && d->file_kinds[f])
		f++;
	while (d->map_kinds && d->map_kinds[m])
		m++;
	while (d->task_kinds && d->task_kinds[t])
		t++;
	while (d->records && d->records[r].name)
		r++;
	*files += f;
	*maps += m;
	*tasks += t;
	return f + m + t + r;
}

static int flatten(struct eng_plugins *p, struct eng_err *err)
{
	size_t files = 0, maps = 0, tasks = 0, records = 0;

	for (size_t i = 0; i < p->count; i++)
		records += count_kinds(&p->plugins[i].desc, &files, &maps, &tasks);
	p->file_kinds = calloc(files + 1, sizeof(*p->file_kinds));
	p->map_kinds = calloc(maps + 1, sizeof(*p->map_kinds));
	p->task_kinds = calloc(tasks + 1, sizeof(*p->task_kinds));
	p->records = calloc(records + 1, sizeof(*p->records));
	p->copies = calloc(files + maps + tasks + 1, sizeof(*p->copies));
	if (!p->file_kinds || !p->map_kinds || !p->task_kinds || !p->records || !p->copies)
		return eng_fail(err, ENOMEM, "cannot list the kinds of plugins");
	for (size_t i = 0; i < p->count; i++)
		if (!flatten_one(p, &p->plugins[i]))
			return eng_fail(err, ENOMEM, "cannot list the kinds of plugins");
	qsort(p->file_kinds, p->n_file_kinds, sizeof(*p->file_kinds), compare_files);
	qsort(p->map_kinds, p->n_map_kinds, sizeof(*p->map_kinds), compare_maps);
	qsort(p->task_kinds, p->n_task_kinds, sizeof(*p->task_kinds), compare_tasks);
	qsort(p->records, p->n_records, sizeof(*p->records), compare_records);
	for (size_t i = 1; i < p->n_records; i++) {
		const struct eng_record_entry *a = &p->records[i - 1], *b = &p->records[i];

		if (strcmp(a->kind, b->kind) == 0)
			return a->owner == b->owner ? eng_fail(err, 0, "plugin %s has kind %s twice", a->owner->desc.name, a->kind) :
						      eng_fail(err, 0, "kind %s is in plugin %s and in plugin %s", a->kind,
							       a->owner < b->owner ? a->owner->desc.name : b->owner->desc.name,
							       a->owner < b->owner ? b->owner->desc.name : a->owner->desc.name);
	}
	return 0;
}

/* ---- the set */

struct eng_plugins *eng_plugins_unload(struct eng_plugins *p)
{
	if (!p)
		return NULL;
	for (size_t i = 0; i < p->n_copies; i++)
		free(p->copies[i]);
	for (size_t i = p->count; i > 0; i--)
		eng_loaded_close(&p->plugins[i - 1]);
	free(p->copies);
	free(p->file_kinds);
	free(p->map_kinds);
	free(p->task_kinds);
	free(p->records);
	free(p->plugins);
	free(p);
	return NULL;
}

/* Slow path of an error: which plugin that is installed and not selected would provide it? */
static void hint_provider(const char *dir, const char *capability, struct eng_err *err)
{
	char **names = NULL;
	size_t n = 0;

	if (eng_plugin_dir_list(dir, &names, &n, NULL) < 0)
		return;
	for (size_t i = 0; i < n; i++) {
		struct eng_loaded l;

		if (!eng_plugin_name_valid(names[i]) || eng_loaded_open(dir, names[i], &l, NULL) != 0)
			continue;
		if (eng_loaded_provides(&l, capability))
			eng_hint(err, "plugin %s provides it: add --plugin %s", names[i], names[i]);
		eng_loaded_close(&l);
	}
	free_names(names, n);
	eng_hint(err, "no plugin in %.200s provides it", dir);
}

static int sort(struct eng_plugins *p, const char *dir, struct eng_err *err)
{
	_cleanup_free_ size_t *order = calloc(p->count + 1, sizeof(*order));
	struct eng_loaded *sorted = calloc(p->count + 1, sizeof(*sorted));
	const char *missing = NULL;
	int r = order && sorted ? eng_loaded_order(p->plugins, p->count, order, &missing, err) : eng_fail(err, ENOMEM, "cannot order plugins");

	if (missing)
		hint_provider(dir, missing, err);
	if (r < 0) {
		free(sorted);
		return r;
	}
	for (size_t i = 0; i < p->count; i++)
		sorted[i] = p->plugins[order[i]];
	free(p->plugins);
	p->plugins = sorted;
	return 0;
}

/* Sections of plugins that are not loaded: their keys are checked all the same where the plugin is installed. */
static int check_other_sections(const struct eng_config *cfg, const struct eng_plugins *p, struct eng_err *err)
{
	for (size_t i = 0; i < cfg->n_settings; i++) {
		const char *name = cfg->settings[i].plugin;
		struct eng_plugin_want want = { .name = name };
		struct eng_loaded l;
		bool seen = !name || eng_plugins_find(p, name);
		int r;

		for (size_t k = 0; k < i && !seen; k++)
			seen = cfg->settings[k].plugin && strcmp(cfg->settings[k].plugin, name) == 0;
		if (seen)
			continue;
		r = eng_loaded_open(cfg->plugin_dir, name, &l, err);
		if (r == 1)
			continue;
		if (r < 0)
			return eng_wrap(err, r, "%s", cfg->settings[i].origin);
		r = configure(cfg, &l, &want, err);
		eng_loaded_close(&l);
		if (r < 0)
			return r;
	}
	return 0;
}

static int fail_missing(const struct eng_config *cfg, const struct eng_plugin_want *want, struct eng_err *err)
{
	int r;

	if (!want->version) {
		r = eng_fail(err, 0, "there is no plugin \"%s\" in %s", want->name, cfg->plugin_dir);
		hint_available(cfg->plugin_dir, err);
		return r;
	}
	r = eng_fail(err, 0, "image needs plugin %s (version %.40s), which is not in %s", want->name, want->version, cfg->plugin_dir);
	eng_hint(err, "install it, or say where it is with ENGINE_PLUGIN_DIR or --set engine.plugin-dir=DIR");
	return r;
}

/* `want` is sorted by name. */
static int load_all(const struct eng_config *cfg, const struct eng_plugin_want *want, size_t n, struct eng_log *log, struct eng_plugins *p,
		    struct eng_err *err)
{
	int r;

	p->plugins = calloc(n + 1, sizeof(*p->plugins));
	if (!p->plugins)
		return eng_fail(err, ENOMEM, "cannot load plugins");
	for (size_t i = 0; i < n; i++) {
		struct eng_loaded *l = &p->plugins[i];

		r = eng_loaded_open(cfg->plugin_dir, want[i].name, l, err);
		if (r == 1)
			r = fail_missing(cfg, &want[i], err);
		if (r < 0)
			return r;
		p->count++;
		r = configure(cfg, l, &want[i], err);
		if (r < 0)
			return want[i].version ? eng_wrap(err, r, "plugin %s", want[i].name) : r;
		if (want[i].version && strcmp(want[i].version, l->desc.version) != 0)
			eng_log(log, ENG_LOG_INFO, "loader", "plugin %s: the image was written by version %.40s, this is %s", want[i].name,
				want[i].version, l->desc.version);
	}
	r = check_other_sections(cfg, p, err);
	if (r == 0)
		r = sort(p, cfg->plugin_dir, err);
	if (r == 0)
		r = flatten(p, err);
	for (size_t i = 0; i < p->count && r == 0; i++)
		eng_log(log, ENG_LOG_DEBUG, "loader", "%zu: %s %s (%s)", i, p->plugins[i].desc.name, p->plugins[i].desc.version, p->plugins[i].path);
	return r;
}

static int compare_wants(const void *a, const void *b)
{
	return strcmp(((const struct eng_plugin_want *)a)->name, ((const struct eng_plugin_want *)b)->name);
}

int eng_plugins_load_named(const struct eng_config *cfg, const struct eng_plugin_want *want, size_t n_want, struct eng_log *log,
			   struct eng_plugins **ret, struct eng_err *err)
{
	_cleanup_free_ struct eng_plugin_want *sorted = calloc(n_want + 1, sizeof(*sorted));
	struct eng_plugins *p = calloc(1, sizeof(*p));
	int r = sorted && p ? 0 : eng_fail(err, ENOMEM, "cannot load plugins");

	if (r == 0 && n_want) {
		memcpy(sorted, want, n_want * sizeof(*sorted));
		qsort(sorted, n_want, sizeof(*sorted), compare_wants);
	}
	for (size_t i = 1; i < n_want && r == 0; i++)
		if (strcmp(sorted[i - 1].name, sorted[i].name) == 0)
			r = eng_fail(err, 0, "plugin \"%.60s\" is listed twice", sorted[i].name);
	if (r == 0)
		r = load_all(cfg, sorted, n_want, log, p, err);
	if (r < 0) {
		(void)eng_plugins_unload(p);
		return r;
	}
	*ret = p;
	return 0;
}

const struct eng_loaded *eng_plugins_find(const struct eng_plugins *p, const char *name)
{
	for (size_t i = 0; i < p->count; i++)
		if (strcmp(p->plugins[i].desc.name, name) == 0)
			return &p->plugins[i];
	return NULL;
}

const ProtobufCMessageDescriptor *eng_plugins_record(const struct eng_plugins *p, const char *kind, const struct eng_loaded **ret_owner)
{
	const struct eng_record_entry key = { .kind = kind }, *e;

	e = p->n_records ? bsearch(&key, p->records, p->n_records, sizeof(*p->records), compare_records) : NULL;
	if (!e)
		return NULL;
	if (ret_owner)
		*ret_owner = e->owner;
	return e->desc;
}
