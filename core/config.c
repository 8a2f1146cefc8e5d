/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Layers of settings, see config.h. */
#include "core/config.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "core/config-ini.h"
#include "core/option.h"

#define VALUE_MAX 4095 /* as in files; whoever prints a value relies on it */

static const char *const file_checks[] = { "none", "size", "mtime", "content", NULL };

const struct eng_option eng_core_options[] = {
	ENG_OPTION("plugins", ENG_OPTION_STRING, struct eng_core_conf, plugins, "all",
		   "Plugins to load: names separated by commas; all stands for every plugin in plugin-dir, -NAME leaves one out"),
	ENG_OPTION("plugin-dir", ENG_OPTION_STRING, struct eng_core_conf, plugin_dir, "",
		   "Directory that plugins are loaded from; empty: the environment variable ENGINE_PLUGIN_DIR, or the built-in directory"),
	ENG_OPTION("strict", ENG_OPTION_BOOL, struct eng_core_conf, strict, "no", "Fail where something would be let go of, instead of reporting it"),
	ENG_OPTION("image-fsync", ENG_OPTION_BOOL, struct eng_core_conf, image_fsync, "yes",
		   "Wait until the image is on disk before the dump counts as done; without it an image may be lost when the machine crashes"),
	ENG_OPTION("workers", ENG_OPTION_UINT, struct eng_core_conf, workers, "0", "Threads that copy memory; 0: one for each processor", .max = 256),
	ENG_OPTION("freeze-timeout-ms", ENG_OPTION_UINT, struct eng_core_conf, freeze_timeout_ms, "10000",
		   "Give up, and let the tasks run on, when they cannot all be stopped in this time", .min = 1, .max = 3600000),
	ENG_OPTION("file-check", ENG_OPTION_ENUM, struct eng_core_conf, file_check, "mtime",
		   "What files outside the image must have kept to be restored: each check includes the ones before it", .choices = file_checks),
	ENG_OPTION("log-level", ENG_OPTION_UINT, struct eng_core_conf, log_level, "1",
		   "0: errors, 1: warnings, 2: phases, 3: objects, 4: operations; each -v adds one", .max = 4),
	{ 0 },
};

bool eng_plugin_name_valid(const char *name)
{
	size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-");

	return n > 0 && n <= 32 && !name[n] && name[0] != '-';
}

int eng_config_word(const char **list, char *buf, size_t size)
{
	const char *p = *list + strspn(*list, ", \t");
	size_t n = strcspn(p, ", \t");

	*list = p + n;
	if (!n)
		return 0;
	if (n >= size)
		return -E2BIG;
	memcpy(buf, p, n);
	buf[n] = '\0';
	return 1;
}

static void *grow(void *list, size_t count, size_t size)
{
	return count & (count - 1) ? list : realloc(list, (count ? 2 * count : 1) * size);
}

/* A copy that lives as long as cfg; NULL without memory. */
static const char *keep(struct eng_config *cfg, const char *text)
{
	char **list = grow(cfg->strings, cfg->n_strings, sizeof(*list));
	char *copy;

	if (!list)
		return NULL;
	cfg->strings = list;
	copy = strdup(text);
	if (copy)
		list[cfg->n_strings++] = copy;
	return copy;
}

static int add_setting(struct eng_config *cfg, const struct eng_setting *s, struct eng_err *err)
{
	struct eng_setting *list, copy = *s;

	if (strlen(s->value) > VALUE_MAX)
		return eng_fail(err, 0, "%s: value of \"%.60s\" is longer than %d bytes", s->origin, s->key, VALUE_MAX);
	for (size_t i = 0; i < cfg->n_settings; i++) {
		const struct eng_setting *o = &cfg->settings[i];

		if (o->source == s->source && !o->plugin == !s->plugin && (!o->plugin || strcmp(o->plugin, s->plugin) == 0) && strcmp(o->key, s->key) == 0)
			return eng_fail(err, 0, "%s: key \"%s\" was given before, at %s", s->origin, s->key, o->origin);
	}
	list = grow(cfg->settings, cfg->n_settings, sizeof(*list));
	if (!list)
		return eng_fail(err, ENOMEM, "cannot keep settings");
	cfg->settings = list;
	copy.plugin = s->plugin ? keep(cfg, s->plugin) : NULL;
	copy.key = keep(cfg, s->key);
	copy.value = keep(cfg, s->value);
	copy.origin = keep(cfg, s->origin);
	if (!copy.key || !copy.value || !copy.origin || (s->plugin && !copy.plugin))
		return eng_fail(err, ENOMEM, "cannot keep settings");
	list[cfg->n_settings++] = copy;
	return 0;
}

static int apply(const struct eng_setting *s, const char *section, const struct eng_option *table, void *conf, struct eng_err *err)
{
	const struct eng_option *o = eng_option_find(table, s->key);
	char keys[280];
	int r;

	if (!o) {
		eng_options_keys(table, keys, sizeof(keys));
		r = eng_fail(err, 0, "%s: unknown key \"%s\" in section [%s]", s->origin, s->key, section);
		if (keys[0])
			eng_hint(err, "its keys are: %.250s", keys);
		else
			eng_hint(err, "it has no keys");
		return r;
	}
	r = eng_option_set(o, s->value, conf, err);
	return r < 0 ? eng_wrap(err, r, "%s", s->origin) : 0;
}

static int apply_core(struct eng_config *cfg, struct eng_setting *s, struct eng_err *err)
{
	size_t n = cfg->n_settings;
	int r = add_setting(cfg, s, err);

	/* the copy in the list, not *s: a STRING field will point to its value */
	return r < 0 ? r : apply(&cfg->settings[n], "engine", eng_core_options, &cfg->core, err);
}

static int on_key(void *data, const char *section, const char *key, const char *value, const char *where, struct eng_err *err)
{
	struct eng_config *cfg = data;
	struct eng_setting s = { .key = key, .value = value, .origin = where, .layer = ENG_LAYER_FILE, .source = cfg->n_sources };
	int r;

	if (strcmp(section, "engine") == 0)
		return apply_core(cfg, &s, err);
	if (strncmp(section, "plugin", 6) == 0 && (section[6] == ' ' || section[6] == '\t')) {
		s.plugin = section + 6 + strspn(section + 6, " \t");
		if (!eng_plugin_name_valid(s.plugin))
			return eng_fail(err, 0, "%s: \"%s\" is not a plugin name", where, s.plugin);
		return add_setting(cfg, &s, err);
	}
	if (!section[0])
		return eng_fail(err, 0, "%s: key \"%s\" stands before any section", where, key);
	r = eng_fail(err, 0, "%s: unknown section [%s]", where, section);
	eng_hint(err, "sections are [engine] and [plugin NAME]");
	return r;
}

/* 0, 1: no such file. */
static int add_file(struct eng_config *cfg, const char *path, struct eng_err *err)
{
	cfg->n_sources++;
	return eng_ini_read(path, on_key, cfg, err);
}

static int join(struct eng_config *cfg, const char *dir, const char *name, const char *suffix, const char **ret, struct eng_err *err)
{
	_cleanup_free_ char *path = NULL;

	if (asprintf(&path, "%s/%s%s", dir, name, suffix) < 0) {
		path = NULL;
		return eng_fail(err, ENOMEM, "cannot name %s/%s", dir, name);
	}
	*ret = keep(cfg, path);
	return *ret ? 0 : eng_fail(err, ENOMEM, "cannot name %s/%s", dir, name);
}

static int compare_names(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int is_ini(const struct dirent *e)
{
	size_t n = strlen(e->d_name);

	return n > 4 && strcmp(e->d_name + n - 4, ".ini") == 0;
}

static void hint_profiles(const char *dir, struct eng_err *err)
{
	struct dirent **list = NULL;
	char names[256] = "";
	int n = scandir(dir, &list, is_ini, compare_names);
	size_t used = 0;

	for (int i = 0; i < n; i++) {
		if (used < sizeof(names))
			used += (size_t)snprintf(names + used, sizeof(names) - used, "%s%.*s", used ? ", " : "", (int)strlen(list[i]->d_name) - 4,
						 list[i]->d_name);
		free(list[i]);
	}
	free(list);
	if (names[0])
		eng_hint(err, "profiles are: %s", names);
	else
		eng_hint(err, "there are no profiles in %.200s", dir);
}

static int add_profile(struct eng_config *cfg, const char *name, struct eng_err *err)
{
	const char *dir, *path;
	int r;

	if (!eng_plugin_name_valid(name))
		return eng_fail(err, 0, "\"%.60s\" is not a profile name", name);
	cfg->profile = keep(cfg, name);
	r = join(cfg, cfg->conf_dir, "profiles", "", &dir, err);
	if (r == 0)
		r = join(cfg, dir, name, ".ini", &path, err);
	if (r < 0)
		return r;
	r = add_file(cfg, path, err);
	if (r <= 0)
		return r;
	r = eng_fail(err, 0, "there is no profile \"%s\" (%s)", name, path);
	hint_profiles(dir, err);
	return r;
}

/* "section.key=value" */
static int add_set(struct eng_config *cfg, const char *text, struct eng_err *err)
{
	_cleanup_free_ char *copy = strdup(text);
	struct eng_setting s = { .origin = "--set", .layer = ENG_LAYER_COMMAND, .source = ++cfg->n_sources };
	char *dot, *equal;
	const char *section;

	if (!copy)
		return eng_fail(err, ENOMEM, "cannot keep settings");
	equal = strchr(copy, '=');
	if (equal)
		*equal = '\0';
	dot = strchr(copy, '.');
	if (!equal || !dot || dot == copy || !dot[1])
		return eng_fail(err, 0, "--set %.200s: expected SECTION.KEY=VALUE", text);
	*dot = '\0';
	s.key = dot + 1;
	s.value = equal + 1;
	section = copy;
	if (strcmp(section, "engine") == 0)
		return apply_core(cfg, &s, err);
	if (strncmp(section, "plugin ", 7) == 0)
		section += 7;
	if (!eng_plugin_name_valid(section))
		return eng_fail(err, 0, "--set %.200s: \"%.60s\" is neither engine nor a plugin name", text, section);
	s.plugin = section;
	return add_setting(cfg, &s, err);
}

static int add_edits(struct eng_config *cfg, const char *list, struct eng_err *err)
{
	char word[40];
	const char **edits, *rest = list;
	int r;

	while ((r = eng_config_word(&rest, word, sizeof(word))) > 0) {
		if (strcmp(word, "all") != 0 && !eng_plugin_name_valid(word + (word[0] == '-')))
			return eng_fail(err, 0, "--plugin %.200s: \"%s\" is not a plugin name", list, word);
		edits = grow(cfg->edits, cfg->n_edits, sizeof(*edits));
		if (!edits)
			return eng_fail(err, ENOMEM, "cannot keep settings");
		cfg->edits = edits;
		edits[cfg->n_edits] = keep(cfg, word);
		if (!edits[cfg->n_edits])
			return eng_fail(err, ENOMEM, "cannot keep settings");
		cfg->n_edits++;
	}
	return r < 0 ? eng_fail(err, 0, "--plugin %.200s: name is too long", list) : 0;
}

static int add_command(struct eng_config *cfg, const struct eng_config_args *args, struct eng_err *err)
{
	struct eng_setting strict = { .key = "strict", .value = "yes", .origin = "--strict", .layer = ENG_LAYER_COMMAND };
	int r = 0;

	for (size_t i = 0; i < args->n_sets && r == 0; i++)
		r = add_set(cfg, args->sets[i], err);
	for (size_t i = 0; i < args->n_plugins && r == 0; i++)
		r = add_edits(cfg, args->plugins[i], err);
	strict.source = ++cfg->n_sources;
	if (r == 0 && args->strict)
		r = apply_core(cfg, &strict, err);
	return r;
}

static int load(struct eng_config *cfg, const struct eng_config_args *args, struct eng_err *err)
{
	const char *env = secure_getenv("ENGINE_CONF_DIR"), *path;
	int r;

	eng_options_defaults(eng_core_options, &cfg->core);
	cfg->conf_dir = keep(cfg, env && env[0] ? env : ENGINE_CONF_DIR);
	if (!cfg->conf_dir)
		return eng_fail(err, ENOMEM, "cannot keep settings");
	r = join(cfg, cfg->conf_dir, "engine.ini", "", &path, err);
	if (r == 0)
		r = add_file(cfg, path, err);
	if (r >= 0 && args->profile)
		r = add_profile(cfg, args->profile, err);
	if (r >= 0 && args->file) {
		r = add_file(cfg, args->file, err);
		if (r > 0)
			r = eng_fail(err, ENOENT, "cannot open %s", args->file);
	}
	if (r >= 0)
		r = add_command(cfg, args, err);
	if (r < 0)
		return r;
	env = secure_getenv("ENGINE_PLUGIN_DIR");
	cfg->plugin_dir = cfg->core.plugin_dir[0] ? cfg->core.plugin_dir : keep(cfg, env && env[0] ? env : ENGINE_PLUGIN_DIR);
	return cfg->plugin_dir ? 0 : eng_fail(err, ENOMEM, "cannot keep settings");
}

int eng_config_load(const struct eng_config_args *args, struct eng_config **ret, struct eng_err *err)
{
	struct eng_config *cfg = calloc(1, sizeof(*cfg));
	int r;

	if (!cfg)
		return eng_fail(err, ENOMEM, "cannot keep settings");
	r = load(cfg, args, err);
	if (r < 0) {
		(void)eng_config_free(cfg);
		return r;
	}
	*ret = cfg;
	return 0;
}

struct eng_config *eng_config_free(struct eng_config *cfg)
{
	if (!cfg)
		return NULL;
	for (size_t i = 0; i < cfg->n_strings; i++)
		free(cfg->strings[i]);
	free(cfg->strings);
	free(cfg->settings);
	free(cfg->edits);
	free(cfg);
	return NULL;
}

static int fill_layer(const struct eng_config *cfg, enum eng_layer layer, const char *plugin, const struct eng_option *table, void *conf,
		      struct eng_err *err)
{
	char section[64];
	int r;

	(void)snprintf(section, sizeof(section), "plugin %s", plugin);
	for (size_t i = 0; i < cfg->n_settings; i++) {
		const struct eng_setting *s = &cfg->settings[i];

		if (s->layer != layer || !s->plugin || strcmp(s->plugin, plugin) != 0)
			continue;
		r = apply(s, section, table, conf, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int fill_image(const char *text, const struct eng_option *table, void *conf, struct eng_err *err)
{
	const char *equal = strchr(text, '=');
	char key[64];
	const struct eng_option *o;
	int r;

	if (!equal || (size_t)(equal - text) >= sizeof(key))
		return eng_fail(err, 0, "image: setting \"%.60s\" is malformed", text);
	(void)snprintf(key, sizeof(key), "%.*s", (int)(equal - text), text);
	o = eng_option_find(table, key);
	if (!o)
		return eng_fail(err, 0, "image: this version of the plugin does not know the setting \"%s\" that the dump used", key);
	r = eng_option_set(o, equal + 1, conf, err);
	return r < 0 ? eng_wrap(err, r, "image") : 0;
}

int eng_config_fill(const struct eng_config *cfg, const char *plugin, const struct eng_option *table, const char *const *image, size_t n_image,
		    void *conf, struct eng_err *err)
{
	int r;

	eng_options_defaults(table, conf);
	r = fill_layer(cfg, ENG_LAYER_FILE, plugin, table, conf, err);
	for (size_t i = 0; i < n_image && r == 0; i++)
		r = fill_image(image[i], table, conf, err);
	return r < 0 ? r : fill_layer(cfg, ENG_LAYER_COMMAND, plugin, table, conf, err);
}

const char *eng_config_origin(const struct eng_config *cfg, const char *plugin, const char *key)
{
	for (size_t i = cfg->n_settings; i > 0; i--) {
		const struct eng_setting *s = &cfg->settings[i - 1];

		if (!s->plugin == !plugin && (!plugin || strcmp(s->plugin, plugin) == 0) && strcmp(s->key, key) == 0)
			return s->origin;
	}
	return "default";
}

void eng_config_sample(FILE *out)
{
	(void)fputs("; Configuration of engine. Every line below shows a default: remove the ; in front of a key to change it.\n"
		    ";\n"
		    "; Later ones win: this file, profiles/NAME.ini with --profile NAME, the file of --config, --set SECTION.KEY=VALUE.\n"
		    "; Keys of a plugin stand in a section [plugin NAME]; `engine plugins NAME` lists them, `engine config --sample` all of them.\n"
		    "; A long value can go on in indented lines. Unknown sections and keys are errors.\n"
		    "\n[engine]\n",
		    out);
	eng_options_sample(eng_core_options, out);
}
