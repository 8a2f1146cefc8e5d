/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Order by capabilities: a topological sort that takes, of all plugins whose predecessors are placed, the first by name. With at most
 * some hundred plugins the quadratic matrix of "must come before" is the simplest thing that also gives good messages for cycles.
 */
#include "core/loader-internal.h"

#include <string.h>

bool eng_loaded_provides(const struct eng_loaded *l, const char *capability)
{
	const struct eng_plugin *p = &l->desc;

	for (size_t i = 0; p->provides && p->provides[i]; i++)
		if (strcmp(p->provides[i], capability) == 0)
			return true;
	for (size_t i = 0; p->file_kinds && p->file_kinds[i]; i++)
		if (strcmp(p->file_kinds[i]->name, capability) == 0)
			return true;
	for (size_t i = 0; p->map_kinds && p->map_kinds[i]; i++)
		if (strcmp(p->map_kinds[i]->name, capability) == 0)
			return true;
	for (size_t i = 0; p->task_kinds && p->task_kinds[i]; i++)
		if (strcmp(p->task_kinds[i]->name, capability) == 0)
			return true;
	return false;
}

/* edge[a * n + b]: the capability for which a waits for b, or NULL. */
static size_t add_edges(const struct eng_loaded *l, size_t n, size_t a, const char *capability, const char **edge)
{
	size_t providers = 0;

	for (size_t b = 0; b < n; b++) {
		if (!eng_loaded_provides(&l[b], capability))
			continue;
		providers++;
		if (a != b)
			edge[a * n + b] = capability;
	}
	return providers;
}

/* None of the plugins left can be placed: each waits for another one, so walking along edges must come back to one already seen. */
static int report_cycle(const struct eng_loaded *l, size_t n, const bool *placed, const char *const *edge, struct eng_err *err)
{
	_cleanup_free_ size_t *path = calloc(n + 1, sizeof(*path));
	char text[600];
	size_t len = 0, used, start = 0, a = 0;

	if (!path)
		return eng_fail(err, ENOMEM, "cannot order plugins");
	while (placed[a])
		a++;
	for (;;) {
		size_t b = 0;

		for (start = 0; start < len && path[start] != a; start++)
			;
		path[len++] = a;
		if (start < len - 1)
			break;
		while (placed[b] || !edge[a * n + b])
			b++;
		a = b;
	}
	used = (size_t)snprintf(text, sizeof(text), "%s", l[path[start]].desc.name);
	for (size_t i = start; i + 1 < len && used < sizeof(text); i++)
		used += (size_t)snprintf(text + used, sizeof(text) - used, " waits for \"%s\" of %s", edge[path[i] * n + path[i + 1]],
					 l[path[i + 1]].desc.name);
	return eng_fail(err, 0, "plugins depend on each other in a cycle: %s", text);
}

static bool is_ready(size_t n, size_t a, const bool *placed, const char *const *edge)
{
	if (placed[a])
		return false;
	for (size_t b = 0; b < n; b++)
		if (edge[a * n + b] && !placed[b])
			return false;
	return true;
}

int eng_loaded_order(const struct eng_loaded *l, size_t n, size_t *order, const char **ret_missing, struct eng_err *err)
{
	_cleanup_free_ const char **edge = calloc(n ? n * n : 1, sizeof(*edge));
	_cleanup_free_ bool *placed = calloc(n ? n : 1, sizeof(*placed));

	if (!edge || !placed)
		return eng_fail(err, ENOMEM, "cannot order plugins");
	for (size_t a = 0; a < n; a++) {
		for (const char *const *c = l[a].desc.after; c && *c; c++)
			(void)add_edges(l, n, a, *c, edge);
		for (const char *const *c = l[a].desc.needs; c && *c; c++)
			if (!add_edges(l, n, a, *c, edge)) {
				*ret_missing = *c;
				return eng_fail(err, 0, "plugin %s needs \"%s\", which no selected plugin provides", l[a].desc.name, *c);
			}
	}
	for (size_t done = 0; done < n; done++) {
		size_t a = 0;

		while (a < n && !is_ready(n, a, placed, edge))
			a++;
		if (a == n)
			return report_cycle(l, n, placed, edge, err);
		placed[a] = true;
		order[done] = a;
	}
	return 0;
}
