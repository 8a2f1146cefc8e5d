/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which plugins: the list of [engine] plugins in force, then the additions and removals of --plugin, then loading what results. */
#include "core/loader-internal.h"

#include <stdlib.h>
#include <string.h>

struct selection {
	char **names;
	size_t n;
};

static void free_selection(struct selection *s)
{
	for (size_t i = 0; i < s->n; i++)
		free(s->names[i]);
	free(s->names);
}

static size_t find(const struct selection *s, const char *name)
{
	size_t i = 0;

	while (i < s->n && strcmp(s->names[i], name) != 0)
		i++;
	return i;
}

static int add(struct selection *s, const char *name, struct eng_err *err)
{
	char **names;

	if (find(s, name) < s->n)
		return 0;
	names = realloc(s->names, (s->n + 1) * sizeof(*names));
	if (!names)
		return eng_fail(err, ENOMEM, "cannot select plugins");
	s->names = names;
	names[s->n] = strdup(name);
	if (!names[s->n])
		return eng_fail(err, ENOMEM, "cannot select plugins");
	s->n++;
	return 0;
}

static int add_every(struct selection *s, const char *dir, struct eng_err *err)
{
	char **names;
	size_t n;
	int r = eng_plugin_dir_list(dir, &names, &n, err);

	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++) {
		if (r == 0)
			r = add(s, names[i], err);
		free(names[i]);
	}
	free(names);
	return r;
}

/* Removing what was not selected is fine where such a plugin exists; a name that nothing has is a mistake. */
static int drop(struct selection *s, const char *dir, const char *name, struct eng_err *err)
{
	_cleanup_free_ char *path = NULL;
	size_t i = find(s, name);

	if (i < s->n) {
		free(s->names[i]);
		memmove(s->names + i, s->names + i + 1, (s->n - i - 1) * sizeof(*s->names));
		s->n--;
		return 0;
	}
	if (asprintf(&path, "%s/%s.so", dir, name) < 0) {
		path = NULL;
		return eng_fail(err, ENOMEM, "cannot select plugins");
	}
	return access(path, F_OK) == 0 ? 0 : eng_fail(err, 0, "cannot leave out plugin \"%s\": it is not in %s", name, dir);
}

static int edit(struct selection *s, const char *dir, const char *word, struct eng_err *err)
{
	if (strcmp(word, "all") == 0)
		return add_every(s, dir, err);
	if (!eng_plugin_name_valid(word + (word[0] == '-')))
		return eng_fail(err, 0, "\"%s\" is not a plugin name", word);
	return word[0] == '-' ? drop(s, dir, word + 1, err) : add(s, word, err);
}

static int select_plugins(const struct eng_config *cfg, struct selection *s, struct eng_err *err)
{
	const char *list = cfg->core.plugins;
	char word[40];
	int r;

	while ((r = eng_config_word(&list, word, sizeof(word))) > 0) {
		r = edit(s, cfg->plugin_dir, word, err);
		if (r < 0)
			return eng_wrap(err, r, "%s: plugins", eng_config_origin(cfg, NULL, "plugins"));
	}
	if (r < 0)
		return eng_fail(err, 0, "%s: plugins: name is too long", eng_config_origin(cfg, NULL, "plugins"));
	for (size_t i = 0; i < cfg->n_edits; i++) {
		r = edit(s, cfg->plugin_dir, cfg->edits[i], err);
		if (r < 0)
			return eng_wrap(err, r, "--plugin");
	}
	return 0;
}

int eng_plugins_load(const struct eng_config *cfg, struct eng_log *log, struct eng_plugins **ret, struct eng_err *err)
{
	_cleanup_(free_selection) struct selection s = { 0 };
	_cleanup_free_ struct eng_plugin_want *want = NULL;
	int r = select_plugins(cfg, &s, err);

	if (r < 0)
		return r;
	want = calloc(s.n + 1, sizeof(*want));
	if (!want)
		return eng_fail(err, ENOMEM, "cannot select plugins");
	for (size_t i = 0; i < s.n; i++)
		want[i].name = s.names[i];
	return eng_plugins_load_named(cfg, want, s.n, log, ret, err);
}
