/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Loading plugins, and the services that they call. */
#include "core/run.h"
#include "core/option.h"

#include <dirent.h>
#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

uint64_t eng_now_us(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static void *grow(void *list, size_t count, size_t size)
{
	void *p = (count & (count - 1)) ? list : realloc(list, (count ? count * 2 : 1) * size);

	if (!p)
		abort(); /* small lists: without memory for them nothing can be reported either; the target is let go by the kernel */
	return p;
}

void eng_run_own(struct eng_run *run, void *p)
{
	run->allocs = grow(run->allocs, run->n_allocs, sizeof(*run->allocs));
	run->allocs[run->n_allocs++] = p;
}

void *eng_alloc(struct eng_run *run, size_t size)
{
	void *p = calloc(1, size ? size : 1);

	if (!p)
		abort();
	eng_run_own(run, p);
	return p;
}

char *eng_strdup(struct eng_run *run, const char *text)
{
	return strcpy(eng_alloc(run, strlen(text) + 1), text);
}

static void note(struct eng_run *run, struct eng_note **list, size_t *count, const char *object, const char *text, const char *hint)
{
	*list = grow(*list, *count, sizeof(**list));
	(*list)[(*count)++] = (struct eng_note){ eng_strdup(run, object), eng_strdup(run, text), hint ? eng_strdup(run, hint) : NULL };
}

void eng_block(struct eng_run *run, const char *object, const char *why, const char *remedy)
{
	note(run, &run->blockers, &run->n_blockers, object, why, remedy);
}

void eng_lose(struct eng_run *run, const char *object, const char *what)
{
	note(run, &run->losses, &run->n_losses, object, what, NULL);
}

const char *eng_text_field(const char *text, const char *key)
{
	size_t n = strlen(key);

	for (const char *p = text; p; p = strchr(p, '\n') ? strchr(p, '\n') + 1 : NULL)
		if (strncmp(p, key, n) == 0 && p[n] == ':')
			return p + n + 1 + strspn(p + n + 1, " \t");
	return NULL;
}

void eng_stash_put(struct eng_run *run, const char *kind, uint64_t key, int fd)
{
	run->stash = grow(run->stash, run->n_stash, sizeof(*run->stash));
	run->stash[run->n_stash++] = (struct eng_stashed){ kind, key, fd };
}

int eng_stash_take(struct eng_run *run, const char *kind, uint64_t key)
{
	for (size_t i = 0; i < run->n_stash; i++)
		if (run->stash[i].fd >= 0 && run->stash[i].key == key && strcmp(run->stash[i].kind, kind) == 0)
			return TAKE_FD(run->stash[i].fd);
	return -ENOENT;
}

static int load_one(struct eng_run *run, const char *dir, const char *file, struct eng_err *err)
{
	char path[4096];
	struct eng_run_plugin *l;
	const struct eng_plugin *const *entry;
	void *handle;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, file);
	handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (!handle)
		return eng_fail(err, 0, "cannot load plugin: %s", dlerror());
	entry = dlsym(handle, "eng_plugin_entry");
	if (!entry || !*entry || (*entry)->abi != ENG_PLUGIN_ABI || (*entry)->size < offsetof(struct eng_plugin, provides)) {
		int r = entry && *entry && (*entry)->abi != ENG_PLUGIN_ABI ?
				eng_fail(err, ENOEXEC, "plugin %s has interface %u, this engine has %u", path, (*entry)->abi, ENG_PLUGIN_ABI) :
				eng_fail(err, ENOEXEC, "%s is not a plugin of this engine", path);

		(void)dlclose(handle);
		return r;
	}
	run->plugins = grow(run->plugins, run->n_plugins, sizeof(*run->plugins));
	l = &run->plugins[run->n_plugins++];
	*l = (struct eng_run_plugin){ .handle = handle };
	memcpy(&l->desc, *entry, (*entry)->size < sizeof(l->desc) ? (*entry)->size : sizeof(l->desc));
	if (eng_options_check(l->desc.options, l->desc.conf_size, err) < 0)
		return eng_wrap(err, -EINVAL, "plugin %s", path);
	if (l->desc.map_kinds)
		return eng_fail(err, ENOTSUP, "plugin %s uses hooks that this version does not call", path);
	return 0;
}

/* When every plugin has its final place in memory: contexts, and the flat list of task kinds. */
static void flatten(struct eng_run *run)
{
	for (size_t i = 0; i < run->n_plugins; i++) {
		struct eng_run_plugin *l = &run->plugins[i];

		void *conf = eng_alloc(run, l->desc.conf_size);

		eng_options_defaults(l->desc.options, conf);
		l->ctx = (struct eng_ctx){ .run = run, .state = eng_alloc(run, l->desc.state_size), .conf = conf };
		for (const struct eng_task_kind *const *k = l->desc.task_kinds; k && *k; k++) {
			run->task_kinds = grow(run->task_kinds, run->n_task_kinds, sizeof(*run->task_kinds));
			run->task_kinds[run->n_task_kinds++] = (struct eng_run_task_kind){ l, *k };
		}
	}
}

bool eng_run_keeps(const struct eng_run *run, const char *capability)
{
	for (size_t i = 0; i < run->n_plugins; i++) {
		for (const char *const *p = run->plugins[i].desc.provides; p && *p; p++)
			if (strcmp(*p, capability) == 0)
				return true;
		for (const struct eng_task_kind *const *k = run->plugins[i].desc.task_kinds; k && *k; k++)
			if (strcmp((*k)->name, capability) == 0)
				return true;
	}
	return false;
}

const ProtobufCMessageDescriptor *eng_run_descriptor(const struct eng_run *run, const char *kind)
{
	for (size_t i = 0; i < run->n_plugins; i++) {
		const struct eng_plugin *d = &run->plugins[i].desc;

		for (const struct eng_file_kind *const *k = d->file_kinds; k && *k; k++)
			if (strcmp((*k)->name, kind) == 0)
				return (*k)->record;
		for (const struct eng_task_kind *const *k = d->task_kinds; k && *k; k++)
			if (strcmp((*k)->name, kind) == 0)
				return (*k)->record;
		for (const struct eng_record_kind *k = d->records; k && k->name; k++)
			if (strcmp(k->name, kind) == 0)
				return k->record;
	}
	return NULL;
}

int eng_run_init(struct eng_run *run, const char *dir, struct eng_err *err)
{
	struct dirent *ent;
	DIR *d;
	int r = 0;

	*run = (struct eng_run){ 0 };
	if (!dir)
		dir = getenv("ENGINE_PLUGIN_DIR") ?: ENGINE_PLUGIN_DIR;
	d = opendir(dir);
	if (!d) {
		r = eng_fail(err, errno, "cannot read plugin directory %s", dir);
		eng_hint(err, "install the plugins, or set ENGINE_PLUGIN_DIR");
		return r;
	}
	while (r == 0 && (ent = readdir(d))) {
		size_t n = strlen(ent->d_name);

		if (n > 3 && strcmp(ent->d_name + n - 3, ".so") == 0)
			r = load_one(run, dir, ent->d_name, err);
	}
	(void)closedir(d);
	if (r == 0)
		flatten(run);
	for (size_t i = 0; r == 0 && i < run->n_plugins; i++)
		if (run->plugins[i].desc.init)
			r = run->plugins[i].desc.init(&run->plugins[i].ctx, err);
	if (r < 0)
		eng_run_deinit(run);
	return r;
}

void eng_run_deinit(struct eng_run *run)
{
	for (size_t i = run->n_plugins; i-- > 0;)
		if (run->plugins[i].desc.deinit && run->plugins[i].ctx.run)
			run->plugins[i].desc.deinit(&run->plugins[i].ctx);
	for (size_t i = 0; i < run->n_stash; i++)
		eng_closep(&run->stash[i].fd);
	for (size_t i = 0; i < run->n_allocs; i++)
		free(run->allocs[i]);
	for (size_t i = 0; i < run->n_plugins; i++)
		(void)dlclose(run->plugins[i].handle);
	free(run->plugins);
	free(run->blockers);
	free(run->losses);
	free(run->stash);
	free(run->allocs);
	free(run->task_kinds);
	free(run->tasks);
	*run = (struct eng_run){ 0 };
}

const struct eng_file_kind *eng_run_file_kind(struct eng_run *run, const char *name, struct eng_run_plugin **ret_owner)
{
	for (size_t i = 0; i < run->n_plugins; i++)
		for (const struct eng_file_kind *const *k = run->plugins[i].desc.file_kinds; k && *k; k++)
			if (strcmp((*k)->name, name) == 0) {
				*ret_owner = &run->plugins[i];
				return *k;
			}
	return NULL;
}

static int asks(struct eng_run_plugin *l, const struct eng_file_kind *k, const struct eng_file *file, struct eng_err *err)
{
	if (k->claim)
		return k->claim(&l->ctx, file, err);
	return k->anon_inode && strncmp(file->link, "anon_inode:", 11) == 0 && strcmp(file->link + 11, k->anon_inode) == 0;
}

int eng_run_claim(struct eng_run *run, const struct eng_file *file, struct eng_run_plugin **ret_owner, const struct eng_file_kind **ret, struct eng_err *err)
{
	const struct eng_file_kind *best = NULL;

	for (size_t i = 0; i < run->n_plugins; i++)
		for (const struct eng_file_kind *const *k = run->plugins[i].desc.file_kinds; k && *k; k++) {
			int r = asks(&run->plugins[i], *k, file, err);

			if (r < 0)
				return r;
			if (r == 0 || (best && best->priority > (*k)->priority))
				continue;
			if (best && best->priority == (*k)->priority)
				return eng_fail(err, EINVAL, "%s is claimed by both %s and %s", file->link, best->name, (*k)->name);
			best = *k;
			*ret_owner = &run->plugins[i];
		}
	*ret = best;
	return best != NULL;
}
