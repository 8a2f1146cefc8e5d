/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Is a plugin complete? Checked when it is loaded, so that a missing callback is a message that names it and not a crash in the
 * middle of a dump. Structs of older plugins may be shorter than ours: HAS() says whether a member is there and set.
 */
#include "core/loader-internal.h"
#include "core/option.h"

#include <string.h>

#define HAS(s, member) (offsetof(__typeof__(*(s)), member) + sizeof((s)->member) <= (s)->size && (s)->member)
#define REQUIRE(s, member) \
	do { \
		if (!HAS(s, member)) \
			return eng_fail(err, 0, "kind %s has no ." #member, (s)->name); \
	} while (0)

/* The head of every kind: .size up to .name, and a name of the form "fd/eventfd". */
static int check_name(const char *what, size_t index, size_t size, size_t min, const char *name, struct eng_err *err)
{
	const char *slash;

	if (size < min)
		return eng_fail(err, 0, "%s[%zu]: .size is %zu, too small", what, index, size);
	if (!name)
		return eng_fail(err, 0, "%s[%zu] has no .name", what, index);
	slash = strchr(name, '/');
	if (!slash || slash == name || !slash[1] || strlen(name) > 63 || strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-/") != strlen(name))
		return eng_fail(err, 0, "%s[%zu]: \"%.80s\" is not a kind name (as in \"fd/eventfd\")", what, index, name);
	if (strncmp(name, "core/", 5) == 0)
		return eng_fail(err, 0, "%s[%zu]: the name %s belongs to the core", what, index, name);
	return 0;
}

static int check_file(const struct eng_file_kind *k, size_t i, struct eng_err *err)
{
	int r = check_name("file_kinds", i, k->size, offsetof(struct eng_file_kind, record) + sizeof(k->record), k->name, err);

	if (r < 0)
		return r;
	REQUIRE(k, record);
	REQUIRE(k, dump);
	REQUIRE(k, open);
	if (!HAS(k, claim) && !k->anon_inode && !k->sock_family)
		return eng_fail(err, 0, "kind %s has no .claim, .anon_inode or .sock_family: it could never be chosen", k->name);
	return 0;
}

static int check_map(const struct eng_map_kind *k, size_t i, struct eng_err *err)
{
	int r = check_name("map_kinds", i, k->size, offsetof(struct eng_map_kind, record) + sizeof(k->record), k->name, err);

	if (r < 0)
		return r;
	REQUIRE(k, record);
	REQUIRE(k, claim);
	REQUIRE(k, dump);
	REQUIRE(k, restore);
	return 0;
}

static int check_task(const struct eng_task_kind *k, size_t i, struct eng_err *err)
{
	int r = check_name("task_kinds", i, k->size, offsetof(struct eng_task_kind, record) + sizeof(k->record), k->name, err);

	if (r < 0)
		return r;
	if ((unsigned)k->scope > ENG_SCOPE_THREAD)
		return eng_fail(err, 0, "kind %s: .scope %d is not known", k->name, (int)k->scope);
	if ((unsigned)k->section >= _ENG_SECT_MAX)
		return eng_fail(err, 0, "kind %s: .section %d is not known", k->name, (int)k->section);
	REQUIRE(k, record);
	REQUIRE(k, collect);
	return 0;
}

static int check_kinds(const struct eng_plugin *p, struct eng_err *err)
{
	int r = 0;

	for (size_t i = 0; p->file_kinds && p->file_kinds[i] && r == 0; i++)
		r = check_file(p->file_kinds[i], i, err);
	for (size_t i = 0; p->map_kinds && p->map_kinds[i] && r == 0; i++)
		r = check_map(p->map_kinds[i], i, err);
	for (size_t i = 0; p->task_kinds && p->task_kinds[i] && r == 0; i++)
		r = check_task(p->task_kinds[i], i, err);
	for (size_t i = 0; p->records && p->records[i].name && r == 0; i++) {
		r = check_name("records", i, 1, 0, p->records[i].name, err);
		if (r == 0 && !p->records[i].record)
			r = eng_fail(err, 0, "record kind %s has no .record", p->records[i].name);
	}
	return r;
}

int eng_loaded_check(const struct eng_loaded *l, const char *name, struct eng_err *err)
{
	const struct eng_plugin *p = &l->desc;
	int r;

	if (!p->name || strcmp(p->name, name) != 0)
		return eng_fail(err, 0, "the file is named %s but .name is \"%.60s\"", name, p->name ?: "");
	if (!p->version || !p->version[0])
		return eng_fail(err, 0, "has no .version");
	if (!p->summary)
		return eng_fail(err, 0, "has no .summary");
	if (p->options && !p->conf_size)
		return eng_fail(err, 0, "has .options but no .conf_size");
	r = eng_options_check(p->options, p->conf_size, err);
	return r < 0 ? r : check_kinds(p, err);
}
