/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Looking into an image. Each view builds one JSON document from the records; text output prints that document, so both say the same. What
 * verify adds to the checksums is the sense of it: that every reference leads somewhere and every range lies inside what it belongs to.
 */
#include "core/inspect.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "core/image.h"
#include "core/include/engine/util.h"
#include "core/reflect.h"

#define EXTENT 24u        /* bytes of a page extent and of a blob extent */
#define PROBLEMS_MAX 1000 /* what verify lists; more are counted */

struct view {
	struct eng_image *img;
	const ProtobufCMessageDescriptor *(*lookup)(void *data, const char *kind);
	void *data;
	uint64_t page_size;
	FILE *out;
};

static const struct {
	const char *kind;
	const ProtobufCMessageDescriptor *desc;
} core_kinds[] = {
	{ "core/task", &engine__task__descriptor },     { "core/thread", &engine__thread__descriptor }, { "core/signals", &engine__signals__descriptor },
	{ "core/mm", &engine__mm__descriptor },         { "core/fds", &engine__fd_table__descriptor },  { "core/file", &engine__file__descriptor },
	{ "core/blob", &engine__blob__descriptor },
};

static const ProtobufCMessageDescriptor *descriptor_of(const struct view *v, const char *kind)
{
	for (size_t i = 0; i < ENG_ARRAY_SIZE(core_kinds); i++)
		if (strcmp(core_kinds[i].kind, kind) == 0)
			return core_kinds[i].desc;
	return v->lookup ? v->lookup(v->data, kind) : NULL;
}

static uint64_t le64(const uint8_t *p)
{
	uint64_t x;

	memcpy(&x, p, sizeof(x));
	return le64toh(x);
}

static uint32_t le32(const uint8_t *p)
{
	uint32_t x;

	memcpy(&x, p, sizeof(x));
	return le32toh(x);
}

/* The next record of a kind from *pos on: 1 and the decoded message, 0 after the last, <0 on error. */
static int next_record(const struct view *v, const char *kind, size_t *pos, uint64_t *ret_id, const ProtobufCMessage **ret, struct eng_err *err)
{
	const uint8_t *payload;
	const char *k;
	size_t len;

	while (*pos < eng_image_count(v->img)) {
		eng_image_at(v->img, (*pos)++, &k, ret_id, &payload, &len);
		if (strcmp(k, kind) == 0) {
			int r = eng_image_get(v->img, kind, *ret_id, descriptor_of(v, kind), ret, err);

			return r < 0 ? r : 1;
		}
	}
	return 0;
}

/* Every record of a kind makes one element of the list. */
static int each(struct view *v, const char *kind, json_t *(*fn)(struct view *v, uint64_t id, const ProtobufCMessage *msg), json_t **ret, struct eng_err *err)
{
	json_t *list = json_array();
	const ProtobufCMessage *msg;
	size_t pos = 0;
	uint64_t id;
	int r;

	while ((r = next_record(v, kind, &pos, &id, &msg, err)) > 0)
		if (json_array_append_new(list, fn(v, id, msg)) < 0) {
			r = eng_fail(err, ENOMEM, "cannot list records");
			break;
		}
	if (r < 0) {
		json_decref(list);
		return r;
	}
	*ret = list;
	return 0;
}

/* Numbers beyond 2^63-1 become strings, as reflection does it; in text they look the same. */
static json_t *number(uint64_t n)
{
	char text[24];

	if (n <= INT64_MAX)
		return json_integer((json_int_t)n);
	(void)snprintf(text, sizeof(text), "%" PRIu64, n);
	return json_string(text);
}

static json_t *hex(uint64_t n)
{
	char text[24];

	(void)snprintf(text, sizeof(text), "%" PRIx64, n);
	return json_string(text);
}

/* ------------------------------------------------------------------------------------------------ text of a document */

static void print_json(FILE *out, const json_t *doc)
{
	(void)json_dumpf(doc, out, JSON_INDENT(2) | JSON_ENSURE_ASCII);
	(void)fputc('\n', out);
}

static void print_value(FILE *out, const json_t *value)
{
	char *text;

	if (json_is_string(value)) {
		eng_reflect_escape(json_string_value(value), out);
	} else {
		text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | JSON_ENSURE_ASCII);
		(void)fputs(text ?: "?", out);
		free(text);
	}
}

/* Pairs of a field's name and the text before its value, ended by NULL; a field that is absent or false is left out, of a true one only the text stays. */
static void print_fields(FILE *out, const json_t *o, ...)
{
	const char *name, *before;
	va_list ap;

	va_start(ap, o);
	while ((name = va_arg(ap, const char *)) && (before = va_arg(ap, const char *))) {
		const json_t *value = json_object_get(o, name);

		if (!value || json_is_false(value))
			continue;
		(void)fputs(before, out);
		if (!json_is_true(value))
			print_value(out, value);
	}
	va_end(ap);
}

/* ------------------------------------------------------------------------------------------------ summary */

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Number and bytes of each kind, by name. */
static json_t *count_kinds(const struct view *v)
{
	size_t n = eng_image_count(v->img), len, total = 0, count = 0;
	_cleanup_free_ const char **names = calloc(n + 1, sizeof(*names));
	json_t *bytes = json_object(), *list = json_array();
	const uint8_t *payload;
	uint64_t id;

	for (size_t i = 0; names && i < n; i++) {
		eng_image_at(v->img, i, &names[i], &id, &payload, &len);
		total = len + (size_t)json_integer_value(json_object_get(bytes, names[i]));
		(void)json_object_set_new_nocheck(bytes, names[i], json_integer((json_int_t)total));
	}
	if (names)
		qsort(names, n, sizeof(*names), compare_names);
	for (size_t i = 0; names && i < n; i++) {
		count++;
		if (i + 1 < n && strcmp(names[i], names[i + 1]) == 0)
			continue;
		(void)json_array_append_new(list, json_pack("{s:o,s:I,s:O}", "kind", eng_reflect_string(names[i]), "records", (json_int_t)count, "bytes",
							    json_object_get(bytes, names[i])));
		count = 0;
	}
	json_decref(bytes);
	return list;
}

static int build_summary(struct view *v, json_t **ret, struct eng_err *err)
{
	json_t *o = json_pack("{s:o,s:o,s:o,s:o}", "manifest", eng_reflect_json(&eng_image_manifest(v->img)->base), "records",
			      json_integer((json_int_t)eng_image_count(v->img)), "data_bytes", number(eng_image_data_size(v->img)), "kinds", count_kinds(v));

	if (!o)
		return eng_fail(err, ENOMEM, "cannot summarise the image");
	*ret = o;
	return 0;
}

static void print_summary(struct view *v, const json_t *doc)
{
	const json_t *kind;
	size_t i;

	(void)fputs("manifest {\n", v->out);
	(void)eng_reflect_text(&eng_image_manifest(v->img)->base, v->out, 1);
	(void)fprintf(v->out, "}\nrecords: %zu\ndata: %" PRIu64 " bytes\n", eng_image_count(v->img), eng_image_data_size(v->img));
	json_array_foreach(json_object_get(doc, "kinds"), i, kind) {
		print_fields(v->out, kind, "kind", "  ", "records", ": ", "bytes", " records, ", NULL);
		(void)fputs(" bytes\n", v->out);
	}
}

/* ------------------------------------------------------------------------------------------------ tasks */

struct node {
	const Engine__Task *task;
	bool seen;
};

static int compare_nodes(const void *a, const void *b)
{
	const Engine__Task *x = ((const struct node *)a)->task, *y = ((const struct node *)b)->task;

	return x->ppid != y->ppid ? (x->ppid < y->ppid ? -1 : 1) : (x->pid > y->pid) - (x->pid < y->pid);
}

/* First of the nodes, sorted by parent, whose parent is ppid or greater. */
static size_t first_child(const struct node *nodes, size_t n, int64_t ppid)
{
	size_t lo = 0, hi = n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (nodes[mid].task->ppid < ppid)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static int add_task(json_t *list, const Engine__Task *task, size_t depth)
{
	json_t *o = eng_reflect_json(&task->base);

	if (o)
		(void)json_object_set_new(o, "depth", json_integer((json_int_t)depth));
	return json_array_append_new(list, o);
}

/* Depth first with a stack of our own: the depth of the tree is the image's word, and so are its loops. */
static int add_subtree(json_t *list, struct node *nodes, size_t n, size_t root, size_t *stack, size_t *depth)
{
	size_t top = 0;

	stack[top] = root;
	depth[top++] = 0;
	nodes[root].seen = true;
	while (top > 0) {
		size_t at = stack[--top], d = depth[top], first = first_child(nodes, n, nodes[at].task->pid);
		size_t end = first_child(nodes, n, (int64_t)nodes[at].task->pid + 1);

		if (add_task(list, nodes[at].task, d) < 0)
			return -ENOMEM;
		for (size_t i = end; i-- > first;) {
			if (nodes[i].seen)
				continue;
			nodes[i].seen = true;
			stack[top] = i;
			depth[top++] = d + 1;
		}
	}
	return 0;
}

static bool has_parent(const struct view *v, const Engine__Task *t)
{
	const ProtobufCMessage *msg;

	return eng_image_get(v->img, "core/task", (uint64_t)t->ppid, &engine__task__descriptor, &msg, NULL) == 0;
}

static int build_tasks(struct view *v, json_t **ret, struct eng_err *err)
{
	size_t total = eng_image_count(v->img), pos = 0, n = 0;
	_cleanup_free_ struct node *nodes = calloc(total + 1, sizeof(*nodes));
	_cleanup_free_ size_t *stack = calloc(total + 1, sizeof(*stack)), *depth = calloc(total + 1, sizeof(*depth));
	const ProtobufCMessage *msg;
	json_t *list;
	uint64_t id;
	int r;

	if (!nodes || !stack || !depth)
		return eng_fail(err, ENOMEM, "cannot list tasks");
	while ((r = next_record(v, "core/task", &pos, &id, &msg, err)) > 0)
		nodes[n++].task = (const Engine__Task *)msg;
	if (r < 0)
		return r;
	qsort(nodes, n, sizeof(*nodes), compare_nodes);
	list = json_array();
	/* Roots first; whatever is left afterwards hangs in a loop and is shown all the same. */
	for (int loops = 0; loops < 2 && r == 0; loops++)
		for (size_t i = 0; i < n && r == 0; i++)
			if (!nodes[i].seen && (loops || !has_parent(v, nodes[i].task)))
				r = add_subtree(list, nodes, n, i, stack, depth);
	if (r < 0) {
		json_decref(list);
		return eng_fail(err, ENOMEM, "cannot list tasks");
	}
	*ret = list;
	return 0;
}

static void print_tasks(struct view *v, const json_t *doc)
{
	const json_t *t;
	size_t i;

	json_array_foreach(doc, i, t) {
		json_int_t depth = json_integer_value(json_object_get(t, "depth"));

		(void)fprintf(v->out, "%*s", (int)(depth < 40 ? depth : 40) * 2, "");
		print_fields(v->out, t, "pid", "", "comm", " ", "state", " ", "exit_code", " exit ", NULL);
		if (json_array_size(json_object_get(t, "tids")) > 1)
			(void)fprintf(v->out, " %zu threads", json_array_size(json_object_get(t, "tids")));
		print_fields(v->out, t, "pgid", " pgid ", "sid", " sid ", "exe", " ", NULL);
		(void)fputc('\n', v->out);
	}
}

/* ------------------------------------------------------------------------------------------------ files */

/* What stands behind an fd, as the kind's own record says it; the bytes' number where the plugin is not loaded. */
static json_t *what_of(struct view *v, const char *kind, uint64_t id)
{
	const ProtobufCMessageDescriptor *desc = descriptor_of(v, kind);
	const ProtobufCMessage *msg;

	if (!desc || eng_image_get(v->img, kind, id, desc, &msg, NULL) != 0)
		return NULL;
	return eng_reflect_json(msg);
}

static json_t *fd_json(struct view *v, const Engine__Fd *fd)
{
	json_t *o = json_pack("{s:I,s:o,s:b}", "nr", (json_int_t)fd->nr, "file", number(fd->file), "cloexec", fd->has_cloexec && fd->cloexec), *what;
	const ProtobufCMessage *msg;
	const Engine__File *file;
	char flags[16];

	if (!o || eng_image_get(v->img, "core/file", fd->file, &engine__file__descriptor, &msg, NULL) != 0)
		return o;
	file = (const Engine__File *)msg;
	(void)snprintf(flags, sizeof(flags), "0%o", file->flags);
	(void)json_object_set_new(o, "kind", eng_reflect_string(file->kind));
	(void)json_object_set_new(o, "flags", json_string(flags));
	(void)json_object_set_new(o, "pos", number(file->pos));
	what = what_of(v, file->kind, fd->file);
	if (what)
		(void)json_object_set_new(o, "what", what);
	return o;
}

static json_t *table_json(struct view *v, uint64_t id, const ProtobufCMessage *msg)
{
	const Engine__FdTable *t = (const Engine__FdTable *)msg;
	json_t *list = json_array();

	for (size_t i = 0; i < t->n_fds; i++)
		(void)json_array_append_new(list, fd_json(v, t->fds[i]));
	return json_pack("{s:o,s:o}", "id", number(id), "fds", list);
}

static int build_files(struct view *v, json_t **ret, struct eng_err *err)
{
	return each(v, "core/fds", table_json, ret, err);
}

static void print_files(struct view *v, const json_t *doc)
{
	const json_t *table, *fd;
	size_t i, k;

	json_array_foreach(doc, i, table) {
		print_fields(v->out, table, "id", "fds of ", NULL);
		(void)fputc('\n', v->out);
		json_array_foreach(json_object_get(table, "fds"), k, fd) {
			print_fields(v->out, fd, "nr", "  ", "kind", " ", "file", " file ", "flags", " flags ", "pos", " pos ",
				     "cloexec", " cloexec", "what", " ", NULL);
			(void)fputc('\n', v->out);
		}
	}
}

/* ------------------------------------------------------------------------------------------------ mappings and memory */

/* Pages of the mapping that are stored; extents ascend, so *pos only moves forward. */
static uint64_t stored_pages(const struct view *v, const Engine__Mm *mm, const Engine__Vma *vma, size_t *pos)
{
	uint64_t pages = 0;

	for (; *pos + EXTENT <= mm->extents.len; *pos += EXTENT) {
		const uint8_t *e = mm->extents.data + *pos;
		uint64_t addr = le64(e);

		if (addr >= vma->end)
			break;
		if (addr >= vma->start)
			pages += le32(e + 16);
	}
	return pages;
}

static json_t *vma_json(const struct view *v, const Engine__Mm *mm, const Engine__Vma *vma, size_t *pos)
{
	const ProtobufCEnumValue *kind = protobuf_c_enum_descriptor_get_value(&engine__vma__kind__descriptor, (int)vma->kind);
	char prot[5] = { vma->prot & PROT_READ ? 'r' : '-', vma->prot & PROT_WRITE ? 'w' : '-', vma->prot & PROT_EXEC ? 'x' : '-',
			 (vma->flags & MAP_TYPE) == MAP_PRIVATE ? 'p' : 's', 0 };
	json_t *o = json_pack("{s:o,s:o,s:s,s:s,s:o}", "start", hex(vma->start), "end", hex(vma->end), "prot", prot, "kind", kind ? kind->name : "?",
			      "pages_stored", number(stored_pages(v, mm, vma, pos)));

	if (o && vma->has_file)
		(void)json_object_set_new(o, "file", number(vma->file));
	if (o && vma->has_pgoff)
		(void)json_object_set_new(o, "pgoff", hex(vma->pgoff));
	if (o && vma->plugin_kind)
		(void)json_object_set_new(o, "plugin_kind", eng_reflect_string(vma->plugin_kind));
	if (o && vma->name && vma->name[0])
		(void)json_object_set_new(o, "name", eng_reflect_string(vma->name));
	return o;
}

static json_t *mm_json(struct view *v, uint64_t id, const ProtobufCMessage *msg)
{
	const Engine__Mm *mm = (const Engine__Mm *)msg;
	json_t *list = json_array();
	size_t pos = 0;

	for (size_t i = 0; i < mm->n_vmas; i++)
		(void)json_array_append_new(list, vma_json(v, mm, mm->vmas[i], &pos));
	return json_pack("{s:o,s:o}", "id", number(id), "maps", list);
}

static int build_maps(struct view *v, json_t **ret, struct eng_err *err)
{
	return each(v, "core/mm", mm_json, ret, err);
}

static void print_vma(FILE *out, const json_t *m)
{
	print_fields(out, m, "start", "  ", "end", "-", "prot", " ", "kind", " ", "plugin_kind", " ", "file", " file ", "pgoff", " offset ",
		     "pages_stored", " pages ", "name", " ", NULL);
	(void)fputc('\n', out);
}

static void print_mms(FILE *out, const json_t *mms, bool only_stored)
{
	const json_t *mm, *m;
	size_t i, k;

	json_array_foreach(mms, i, mm) {
		print_fields(out, mm, "id", "address space of ", NULL);
		(void)fputc('\n', out);
		json_array_foreach(json_object_get(mm, "maps"), k, m)
			if (!only_stored || json_integer_value(json_object_get(m, "pages_stored")) > 0)
				print_vma(out, m);
	}
}

static void print_maps(struct view *v, const json_t *doc)
{
	print_mms(v->out, doc, false);
}

/* A boundary of a stored range in `data`: there address space `mm` begins (or ends) to use it. */
struct edge {
	uint64_t at;
	uint32_t mm;
	int32_t step;
};

struct sharing {
	struct edge *edges;
	size_t n, cap;
	uint32_t *active, mms; /* how many ranges of each address space are open; how many address spaces there are */
	uint64_t shared, used; /* bytes of `data` used by two or more, by any */
};

static int compare_edges(const void *a, const void *b)
{
	const struct edge *x = a, *y = b;

	return (x->at > y->at) - (x->at < y->at);
}

static int add_edges(struct sharing *s, const struct view *v, const Engine__Mm *mm)
{
	for (size_t pos = 0; pos + EXTENT <= mm->extents.len; pos += EXTENT) {
		uint64_t off = le64(mm->extents.data + pos + 8), size = le32(mm->extents.data + pos + 16) * v->page_size;

		if (off > eng_image_data_size(v->img) || size > eng_image_data_size(v->img) - off)
			continue; /* verify complains about it */
		if (s->n + 2 > s->cap) {
			size_t cap = s->cap ? s->cap * 2 : 1024;
			struct edge *p = reallocarray(s->edges, cap, sizeof(*p));

			if (!p)
				return -ENOMEM;
			s->edges = p;
			s->cap = cap;
		}
		s->edges[s->n++] = (struct edge){ off, s->mms, 1 };
		s->edges[s->n++] = (struct edge){ off + size, s->mms, -1 };
	}
	s->mms++;
	return 0;
}

/* One sweep over the sorted edges. Several edges of one place are applied before anything is counted, so their order does not matter. */
static int sweep(struct sharing *s)
{
	uint64_t last = 0;
	size_t owners = 0;

	s->active = calloc((size_t)s->mms + 1, sizeof(*s->active));
	if (!s->active)
		return -ENOMEM;
	if (s->n > 0)
		qsort(s->edges, s->n, sizeof(*s->edges), compare_edges);
	for (size_t i = 0; i < s->n; i++) {
		const struct edge *e = &s->edges[i];
		uint32_t before = s->active[e->mm];

		s->used += owners > 0 ? e->at - last : 0;
		s->shared += owners > 1 ? e->at - last : 0;
		last = e->at;
		s->active[e->mm] += (uint32_t)e->step; /* may wrap while the edges of one place are applied, and is right after them */
		owners += (before == 0) - (s->active[e->mm] == 0);
	}
	return 0;
}

static int build_memory(struct view *v, json_t **ret, struct eng_err *err)
{
	struct sharing s = { 0 };
	const ProtobufCMessage *msg;
	json_t *mms = NULL;
	uint64_t id, pages = 0;
	size_t pos = 0;
	int r;

	while ((r = next_record(v, "core/mm", &pos, &id, &msg, err)) > 0) {
		r = add_edges(&s, v, (const Engine__Mm *)msg);
		if (r < 0)
			break;
	}
	if (r == 0)
		r = sweep(&s);
	if (r == -ENOMEM)
		r = eng_fail(err, ENOMEM, "cannot list memory");
	if (r == 0)
		r = each(v, "core/mm", mm_json, &mms, err);
	if (r == 0) {
		for (size_t i = 0; i < s.n; i++)
			pages += s.edges[i].step < 0 ? s.edges[i].at : -s.edges[i].at;
		*ret = json_pack("{s:o,s:o,s:o,s:o,s:o}", "pages", number(pages / v->page_size), "data_bytes", number(eng_image_data_size(v->img)),
				 "used_bytes", number(s.used), "shared_bytes", number(s.shared), "mms", mms);
		r = *ret ? 0 : eng_fail(err, ENOMEM, "cannot list memory");
	}
	free(s.edges);
	free(s.active);
	return r;
}

static void print_memory(struct view *v, const json_t *doc)
{
	print_fields(v->out, doc, "pages", "pages in mappings: ", "data_bytes", "\ndata: ", "used_bytes", " bytes, used by mappings: ",
		     "shared_bytes", ", by several address spaces: ", NULL);
	(void)fputc('\n', v->out);
	print_mms(v->out, json_object_get(doc, "mms"), true);
}

/* ------------------------------------------------------------------------------------------------ records */

static int one_record(struct view *v, size_t index, bool json, json_t *list)
{
	const ProtobufCMessage *msg = NULL;
	const ProtobufCMessageDescriptor *desc;
	struct eng_err bad = ENG_ERR_INIT;
	const uint8_t *payload;
	const char *kind;
	uint64_t id;
	size_t len;
	json_t *o;

	eng_image_at(v->img, index, &kind, &id, &payload, &len);
	desc = descriptor_of(v, kind);
	if (desc)
		(void)eng_image_get(v->img, kind, id, desc, &msg, &bad); /* a bad record is shown as such, and the rest as well */
	else
		(void)eng_fail(&bad, 0, "no loaded plugin knows this kind");
	if (!json) {
		eng_reflect_escape(kind, v->out);
		(void)fprintf(v->out, " %" PRIu64 " (%zu bytes)%s\n", id, len, msg ? " {" : "");
		if (msg)
			(void)eng_reflect_text(msg, v->out, 1);
		(void)fprintf(v->out, msg ? "}\n" : "  %s\n", bad.msg);
		return 0;
	}
	o = json_pack("{s:o,s:o,s:I}", "kind", eng_reflect_string(kind), "id", number(id), "bytes", (json_int_t)len);
	if (o)
		(void)json_object_set_new(o, msg ? "record" : "error", msg ? eng_reflect_json(msg) : eng_reflect_string(bad.msg));
	return json_array_append_new(list, o);
}

/* what: "records" or a kind. Text is printed as it comes: an image may have a great many. */
static int show_records(struct view *v, const char *what, bool json, struct eng_err *err)
{
	bool all = strcmp(what, "records") == 0;
	json_t *list = json_array();
	const uint8_t *payload;
	size_t len, found = 0;
	const char *kind;
	uint64_t id;
	int r = 0;

	for (size_t i = 0; r == 0 && i < eng_image_count(v->img); i++) {
		eng_image_at(v->img, i, &kind, &id, &payload, &len);
		if (!all && strcmp(kind, what) != 0)
			continue;
		found++;
		if (one_record(v, i, json, list) < 0)
			r = eng_fail(err, ENOMEM, "cannot list records");
	}
	if (r == 0 && !all && found == 0) {
		r = eng_fail(err, ENOENT, "the image has no record of the kind \"%s\"", what);
		eng_hint(err, "give tasks, files, maps, memory, records, or a kind that the summary lists");
	}
	if (r == 0 && json)
		print_json(v->out, list);
	json_decref(list);
	return r;
}

/* ------------------------------------------------------------------------------------------------ the command */

static const struct {
	const char *name;
	int (*build)(struct view *v, json_t **ret, struct eng_err *err);
	void (*print)(struct view *v, const json_t *doc);
} views[] = {
	{ "", build_summary, print_summary },   { "tasks", build_tasks, print_tasks },    { "files", build_files, print_files },
	{ "maps", build_maps, print_maps },     { "memory", build_memory, print_memory },
};

static int show(struct view *v, const char *what, bool json, struct eng_err *err)
{
	json_t *doc = NULL;
	size_t i = 0;
	int r;

	while (i < ENG_ARRAY_SIZE(views) && strcmp(views[i].name, what) != 0)
		i++;
	if (i == ENG_ARRAY_SIZE(views))
		return show_records(v, what, json, err);
	r = views[i].build(v, &doc, err);
	if (r == 0 && json)
		print_json(v->out, doc);
	else if (r == 0)
		views[i].print(v, doc);
	json_decref(doc);
	return r;
}

static int flush(FILE *out, int r, struct eng_err *err)
{
	if ((fflush(out) != 0 || ferror(out)) && r == 0)
		r = eng_fail(err, EIO, "cannot print");
	return r;
}

int eng_inspect(const char *dir, const char *what, bool json, const ProtobufCMessageDescriptor *(*lookup)(void *data, const char *kind), void *data,
		FILE *out, struct eng_err *err)
{
	struct view v = { .lookup = lookup, .data = data, .out = out };
	int r = eng_image_open(dir, &v.img, err);

	if (r < 0)
		return r;
	v.page_size = eng_image_manifest(v.img)->page_size ?: 4096;
	r = show(&v, what ?: "", json, err);
	eng_image_close(v.img);
	return flush(out, r, err);
}

/* ------------------------------------------------------------------------------------------------ verify */

struct key {
	const char *kind;
	uint64_t id;
};

struct check {
	struct view v;
	struct key *keys; /* sorted: what exists, whether or not its plugin is loaded */
	size_t n_keys;
	json_t *problems;
	size_t n_problems;
};

static int compare_keys(const void *a, const void *b)
{
	const struct key *x = a, *y = b;
	int r = strcmp(x->kind, y->kind);

	return r != 0 ? r : (x->id > y->id) - (x->id < y->id);
}

static bool exists(const struct check *c, const char *kind, uint64_t id)
{
	const struct key key = { kind, id };

	return bsearch(&key, c->keys, c->n_keys, sizeof(key), compare_keys) != NULL;
}

__attribute__((format(printf, 4, 5))) static void problem(struct check *c, const char *kind, uint64_t id, const char *fmt, ...)
{
	char text[600], what[400];
	va_list ap;

	if (c->n_problems++ >= PROBLEMS_MAX)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	(void)snprintf(text, sizeof(text), "%.64s %" PRIu64 ": %s", kind, id, what);
	(void)json_array_append_new(c->problems, eng_reflect_string(text));
}

static void check_task(struct check *c, uint64_t id, const ProtobufCMessage *msg)
{
	const Engine__Task *t = (const Engine__Task *)msg;
	bool alive = t->state != ENGINE__TASK__STATE__ZOMBIE;

	if ((uint64_t)t->pid != id)
		problem(c, "core/task", id, "says that its pid is %d", t->pid);
	/* Without a reference the object is the task's own; a zombie has none. */
	if ((t->has_mm || alive) && !exists(c, "core/mm", t->has_mm ? t->mm : id))
		problem(c, "core/task", id, "there is no core/mm %" PRIu64, t->has_mm ? t->mm : id);
	if (t->has_files && !exists(c, "core/fds", t->files))
		problem(c, "core/task", id, "there is no core/fds %" PRIu64, t->files);
	if (t->has_sighand && !exists(c, "core/signals", t->sighand))
		problem(c, "core/task", id, "there is no core/signals %" PRIu64, t->sighand);
	if (alive && (t->n_tids == 0 || t->tids[0] != t->pid))
		problem(c, "core/task", id, "its leader is not its first thread");
	for (size_t i = 0; alive && i < t->n_tids; i++)
		if (!exists(c, "core/thread", (uint64_t)t->tids[i]))
			problem(c, "core/task", id, "there is no core/thread %d", t->tids[i]);
}

static void check_thread(struct check *c, uint64_t id, const ProtobufCMessage *msg)
{
	const Engine__Thread *t = (const Engine__Thread *)msg;

	if ((uint64_t)t->tid != id)
		problem(c, "core/thread", id, "says that its tid is %d", t->tid);
}

static void check_signals(struct check *c, uint64_t id, const ProtobufCMessage *msg)
{
	const Engine__Signals *s = (const Engine__Signals *)msg;

	if (s->actions.len != 64 * 32)
		problem(c, "core/signals", id, "holds %zu bytes instead of 64 actions", s->actions.len);
}

static int compare_numbers(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static void check_table(struct check *c, uint64_t id, const ProtobufCMessage *msg)
{
	const Engine__FdTable *t = (const Engine__FdTable *)msg;
	_cleanup_free_ uint32_t *numbers = calloc(t->n_fds + 1, sizeof(*numbers));

	for (size_t i = 0; i < t->n_fds; i++) {
		if (!exists(c, "core/file", t->fds[i]->file))
			problem(c, "core/fds", id, "fd %u: there is no core/file %" PRIu64, t->fds[i]->nr, t->fds[i]->file);
		if (numbers)
			numbers[i] = t->fds[i]->nr;
	}
	if (!numbers) {
		problem(c, "core/fds", id, "no memory to check its numbers");
		return;
	}
	qsort(numbers, t->n_fds, sizeof(*numbers), compare_numbers);
	for (size_t i = 1; i < t->n_fds; i++)
		if (numbers[i] == numbers[i - 1])
			problem(c, "core/fds", id, "fd %u stands twice", numbers[i]);
}

static void check_file(struct check *c, uint64_t id, const ProtobufCMessage *msg)
{
	const Engine__File *f = (const Engine__File *)msg;

	if (!exists(c, f->kind, id))
		problem(c, "core/file", id, "there is no record %.64s %" PRIu64, f->kind, id);
}

static void check_vma(struct check *c, uint64_t id, const Engine__Vma *v, uint64_t floor)
{
	uint64_t page = c->v.page_size, last = v->start;

	if (v->start >= v->end || v->start % page || v->end % page)
		problem(c, "core/mm", id, "mapping %" PRIx64 "-%" PRIx64 " is no range of pages", v->start, v->end);
	if (v->start < floor)
		problem(c, "core/mm", id, "mapping %" PRIx64 "-%" PRIx64 " is out of order or overlaps", v->start, v->end);
	if (v->kind == ENGINE__VMA__KIND__FILE && !v->has_file)
		problem(c, "core/mm", id, "mapping %" PRIx64 " is of a file and names none", v->start);
	if (v->has_file && !exists(c, "core/file", v->file))
		problem(c, "core/mm", id, "mapping %" PRIx64 ": there is no core/file %" PRIu64, v->start, v->file);
	if (v->kind == ENGINE__VMA__KIND__PLUGIN && (!v->plugin_kind || !v->has_record || !exists(c, v->plugin_kind, v->record)))
		problem(c, "core/mm", id, "mapping %" PRIx64 ": there is no record %.64s %" PRIu64, v->start, v->plugin_kind ?: "(no kind)", v->record);
	if (!v->has_guards)
		return;
	if (v->guards.len % 16)
		problem(c, "core/mm", id, "mapping %" PRIx64 ": guard regions of %zu bytes", v->start, v->guards.len);
	for (size_t i = 0; i + 16 <= v->guards.len; i += 16) {
		uint64_t start = le64(v->guards.data + i), end = le64(v->guards.data + i + 8);

		if (start < last || start >= end || end > v->end || start % page || end % page)
			problem(c, "core/mm", id, "mapping %" PRIx64 ": guard region %" PRIx64 "-%" PRIx64 " does not fit", v->start, start, end);
		last = end;
	}
}

/* Extents ascend, each inside one mapping and inside `data`. Mappings ascend as well, so one pass is enough. */
static void check_extents(struct check *c, uint64_t id, const Engine__Mm *mm)
{
	uint64_t data = eng_image_data_size(c->v.img), page = c->v.page_size, floor = 0;
	size_t k = 0;

	if (mm->extents.len % EXTENT)
		problem(c, "core/mm", id, "page extents of %zu bytes", mm->extents.len);
	for (size_t i = 0; i + EXTENT <= mm->extents.len; i += EXTENT) {
		const uint8_t *e = mm->extents.data + i;
		uint64_t addr = le64(e), off = le64(e + 8), size = le32(e + 16) * page;

		while (k < mm->n_vmas && mm->vmas[k]->end <= addr)
			k++;
		if (addr < floor || addr % page || size == 0)
			problem(c, "core/mm", id, "extent %zu at %" PRIx64 " is empty, out of order or overlaps", i / EXTENT, addr);
		else if (k == mm->n_vmas || addr < mm->vmas[k]->start || size > mm->vmas[k]->end - addr)
			problem(c, "core/mm", id, "extent %zu at %" PRIx64 " is not inside a mapping", i / EXTENT, addr);
		if (off > data || size > data - off || off % page)
			problem(c, "core/mm", id, "extent %zu at %" PRIx64 ": offset %" PRIu64 " is not inside data", i / EXTENT, addr, off);
		floor = size > UINT64_MAX - addr ? UINT64_MAX : addr + size;
	}
}

static void check_mm(struct check *c, uint64_t id, const ProtobufCMessage *msg)
{
	const Engine__Mm *mm = (const Engine__Mm *)msg;
	uint64_t floor = 0;

	if (mm->has_exe && !exists(c, "core/file", mm->exe))
		problem(c, "core/mm", id, "there is no core/file %" PRIu64 " (its program)", mm->exe);
	if (mm->auxv.len % 16)
		problem(c, "core/mm", id, "an auxiliary vector of %zu bytes", mm->auxv.len);
	for (size_t i = 0; i < mm->n_vmas; i++) {
		check_vma(c, id, mm->vmas[i], floor);
		floor = mm->vmas[i]->end;
	}
	check_extents(c, id, mm);
}

static void check_blob(struct check *c, uint64_t id, const ProtobufCMessage *msg)
{
	const Engine__Blob *b = (const Engine__Blob *)msg;
	uint64_t data = eng_image_data_size(c->v.img), floor = 0;

	if (b->extents.len % EXTENT)
		problem(c, "core/blob", id, "extents of %zu bytes", b->extents.len);
	for (size_t i = 0; i + EXTENT <= b->extents.len; i += EXTENT) {
		const uint8_t *e = b->extents.data + i;
		uint64_t at = le64(e), off = le64(e + 8), size = le64(e + 16);

		if (size == 0 || at < floor || at > b->size || size > b->size - at)
			problem(c, "core/blob", id, "extent %zu at %" PRIu64 " is empty, out of order or past the end", i / EXTENT, at);
		if (off > data || size > data - off)
			problem(c, "core/blob", id, "extent %zu: offset %" PRIu64 " is not inside data", i / EXTENT, off);
		floor = size > UINT64_MAX - at ? UINT64_MAX : at + size;
	}
}

static const struct {
	const char *kind;
	void (*fn)(struct check *c, uint64_t id, const ProtobufCMessage *msg);
} checks[] = {
	{ "core/task", check_task }, { "core/thread", check_thread }, { "core/signals", check_signals }, { "core/fds", check_table },
	{ "core/file", check_file }, { "core/mm", check_mm },         { "core/blob", check_blob },
};

static void check_record(struct check *c, const struct key *key)
{
	const ProtobufCMessageDescriptor *desc = descriptor_of(&c->v, key->kind);
	struct eng_err bad = ENG_ERR_INIT;
	const ProtobufCMessage *msg;
	int r;

	if (!desc) {
		if (strncmp(key->kind, "core/", 5) == 0)
			problem(c, key->kind, key->id, "this version does not know the kind");
		return;
	}
	r = eng_image_get(c->v.img, key->kind, key->id, desc, &msg, &bad);
	if (r == 0)
		r = eng_reflect_validate(msg, &bad);
	if (r != 0) {
		problem(c, key->kind, key->id, "%.380s", bad.msg);
		return;
	}
	for (size_t i = 0; i < ENG_ARRAY_SIZE(checks); i++)
		if (strcmp(checks[i].kind, key->kind) == 0)
			checks[i].fn(c, key->id, msg);
}

static int check_all(struct check *c, struct eng_err *err)
{
	const Engine__Manifest *m = eng_image_manifest(c->v.img);
	struct eng_err bad = ENG_ERR_INIT;
	const uint8_t *payload;
	size_t len;

	c->n_keys = eng_image_count(c->v.img);
	c->keys = calloc(c->n_keys + 1, sizeof(*c->keys));
	c->problems = json_array();
	if (!c->keys || !c->problems)
		return eng_fail(err, ENOMEM, "cannot verify the image");
	for (size_t i = 0; i < c->n_keys; i++)
		eng_image_at(c->v.img, i, &c->keys[i].kind, &c->keys[i].id, &payload, &len);
	qsort(c->keys, c->n_keys, sizeof(*c->keys), compare_keys);

	if (eng_image_verify_data(c->v.img, &bad) < 0)
		problem(c, "data", 0, "%.380s", bad.msg);
	if (m->page_size < 4096 || m->page_size > 65536 || (m->page_size & (m->page_size - 1)))
		problem(c, "manifest", 0, "a page size of %u", m->page_size);
	else
		c->v.page_size = m->page_size;
	if (!exists(c, "core/task", (uint64_t)m->root_pid))
		problem(c, "manifest", 0, "there is no core/task %d (the root)", m->root_pid);
	for (size_t i = 0; i < c->n_keys; i++)
		check_record(c, &c->keys[i]);
	return 0;
}

static void print_result(const struct check *c, const char *dir, bool json, FILE *out)
{
	const json_t *text;
	json_t *o;
	size_t i;

	if (json) {
		o = json_pack("{s:b,s:I,s:o,s:I,s:O}", "ok", c->n_problems == 0, "records", (json_int_t)c->n_keys, "data_bytes",
			      number(eng_image_data_size(c->v.img)), "n_problems", (json_int_t)c->n_problems, "problems", c->problems);
		print_json(out, o);
		json_decref(o);
		return;
	}
	json_array_foreach(c->problems, i, text) {
		eng_reflect_escape(json_string_value(text), out);
		(void)fputc('\n', out);
	}
	if (c->n_problems > PROBLEMS_MAX)
		(void)fprintf(out, "and %zu more\n", c->n_problems - PROBLEMS_MAX);
	if (c->n_problems == 0)
		(void)fprintf(out, "%s: whole (%zu records, %" PRIu64 " bytes of data)\n", dir, c->n_keys, eng_image_data_size(c->v.img));
}

int eng_verify(const char *dir, bool json, FILE *out, struct eng_err *err)
{
	struct check c = { .v = { .page_size = 4096, .out = out } };
	int r = eng_image_open(dir, &c.v.img, err);

	if (r < 0)
		return r;
	r = check_all(&c, err);
	if (r == 0) {
		print_result(&c, dir, json, out);
		if (c.n_problems > 0)
			r = eng_fail(err, EBADMSG, "%s: %zu problems found", dir, c.n_problems);
	}
	json_decref(c.problems);
	free(c.keys);
	eng_image_close(c.v.img);
	return flush(out, r, err);
}
