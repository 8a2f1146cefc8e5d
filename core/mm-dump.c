/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Address space: mappings from smaps (for the two-letter flags), pages by the page map. Which pages to save is decided by the page map, never by
 * the protection: private pages that are present or swapped and do not come from the file (PAGEMAP_SCAN, Linux 6.7).
 */
#include "core/dump.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "core/io.h"

/* linux/fs.h since 6.7 */
struct page_region {
	uint64_t start, end, categories;
};
struct pm_scan_arg {
	uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages, category_inverted, category_mask, category_anyof_mask, return_mask;
};
#define PAGEMAP_SCAN _IOWR('f', 16, struct pm_scan_arg)
enum { PAGE_FILE = 1 << 2, PAGE_PRESENT = 1 << 3, PAGE_SWAPPED = 1 << 4, PAGE_PFNZERO = 1 << 5, PAGE_GUARD = 1 << 8 };

/* Flags of smaps that restore brings back, or that describe nothing to keep. */
static const char *const kept_flags[] = { "rd", "wr", "ex", "sh", "mr", "mw", "me", "ms", "gd", "nr", "ac", "sd", "de", "dw", "lo", "lf", "dc", "dd",
					  "sr", "rr", "hg", "nh", "mg", "wf", "gu" };

static bool special(const char *name)
{
	return !strcmp(name, "[vdso]") || !strncmp(name, "[vvar", 5) || !strcmp(name, "[vsyscall]");
}

static void check_flags(struct eng_dump *d, const char *object, const char *vmflags)
{
	char why[160], flags[160], *save = NULL;

	(void)snprintf(flags, sizeof(flags), "%s", vmflags);
	for (char *f = strtok_r(flags, " \n", &save); f; f = strtok_r(NULL, " \n", &save)) {
		bool known = false;

		for (size_t i = 0; i < ENG_ARRAY_SIZE(kept_flags) && !known; i++)
			known = strcmp(f, kept_flags[i]) == 0;
		(void)snprintf(why, sizeof(why), "has the state \"%.8s\" (VmFlags), and no loaded plugin keeps it", f);
		if (!known)
			eng_block(d->run, object, why, NULL);
	}
}

static Engine__Vma *new_vma(struct eng_dump_task *t)
{
	if (t->n_vmas == t->cap_vmas) {
		size_t cap = t->cap_vmas ? t->cap_vmas * 2 : 128;
		Engine__Vma *p = realloc(t->vmas, cap * sizeof(*p));

		if (!p)
			return NULL;
		t->vmas = p;
		t->cap_vmas = cap;
	}
	engine__vma__init(&t->vmas[t->n_vmas]);
	return &t->vmas[t->n_vmas++];
}

/* Shared anonymous memory: content once for all who map it. */
static int shmem(struct eng_dump *d, struct eng_dump_task *t, const char *range, uint64_t *ret_id, struct eng_err *err)
{
	_cleanup_close_ int fd = -EBADF;
	Engine__Shmem rec = ENGINE__SHMEM__INIT;
	struct eng_dump_shmem *p;
	char path[64];
	struct stat st;
	int r;

	(void)snprintf(path, sizeof(path), "map_files/%s", range);
	fd = openat(t->task.procfd, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return (errno == ENOENT || errno == ESRCH) && !d->frozen ? 0 : eng_fail(err, errno, "cannot open shared memory %s of process %d", range, t->task.pid);
	for (size_t i = 0; i < d->n_shmems; i++)
		if (d->shmems[i].dev == st.st_dev && d->shmems[i].ino == st.st_ino) {
			*ret_id = d->shmems[i].id;
			return 0;
		}
	p = realloc(d->shmems, (d->n_shmems + 1) * sizeof(*p));
	if (!p)
		return eng_fail(err, ENOMEM, "cannot list shared memory");
	d->shmems = p;
	*ret_id = d->n_shmems + 1;
	p[d->n_shmems++] = (struct eng_dump_shmem){ st.st_dev, st.st_ino, *ret_id };
	if (!d->frozen)
		return 0;
	rec.size = (uint64_t)st.st_size;
	r = eng_blob_save(d->run, fd, rec.size, &rec.blob, err);
	return r < 0 ? r : eng_image_put(d->image, "core/shmem", *ret_id, &rec.base, err);
}

/* One entry of smaps: the line of maps, and what was found below it. */
struct entry {
	uint64_t start, end, pgoff, ino;
	char perms[8], flags[160];
	const char *name;
	bool huge, pkey;
};

static int add_vma(struct eng_dump *d, struct eng_dump_task *t, const struct entry *e, struct eng_err *err)
{
	char range[40], object[80];
	Engine__Vma *v;

	if (!strcmp(e->name, "[vdso]"))
		t->vdso = e->start;
	if (!strncmp(e->name, "[vvar", 5) && (!t->vvar || e->start < t->vvar))
		t->vvar = e->start;
	if (special(e->name))
		return 0;
	(void)snprintf(range, sizeof(range), "%" PRIx64 "-%" PRIx64, e->start, e->end);
	(void)snprintf(object, sizeof(object), "process %d mapping %s", t->task.pid, range);
	v = new_vma(t);
	if (!v)
		return eng_fail(err, ENOMEM, "cannot list mappings");
	v->start = e->start;
	v->end = e->end;
	v->prot = (e->perms[0] == 'r' ? PROT_READ : 0u) | (e->perms[1] == 'w' ? PROT_WRITE : 0u) | (e->perms[2] == 'x' ? PROT_EXEC : 0u);
	v->flags = e->perms[3] == 's' ? MAP_SHARED : MAP_PRIVATE;
	v->name = (char *)e->name;
	v->kind = ENGINE__VMA__KIND__ANON;
	if (strstr(e->flags, "nr"))
		v->flags |= MAP_NORESERVE;
	if (strstr(e->flags, "gd"))
		v->flags |= MAP_GROWSDOWN;
	v->vmflags = eng_strdup(d->run, e->flags);
	v->has_huge = v->huge = e->huge;
	check_flags(d, object, e->flags);
	if (e->pkey)
		eng_block(d->run, object, "has a protection key, which this version does not keep", NULL);
	if (e->ino == 0)
		return 0;
	v->has_file = v->has_pgoff = true;
	v->pgoff = e->pgoff;
	if ((v->flags & MAP_SHARED) && strcmp(e->name, "/dev/zero (deleted)") == 0) {
		v->kind = ENGINE__VMA__KIND__SHMEM;
		return shmem(d, t, range, &v->file, err);
	}
	v->kind = ENGINE__VMA__KIND__FILE;
	return eng_dump_mapped_file(d, t, range, e->name, (v->flags & MAP_SHARED) && strstr(e->flags, "mw"), &v->file, err);
}

static int parse_header(struct eng_dump *d, struct eng_dump_task *t, const char *line, struct entry *e, struct eng_err *err)
{
	unsigned major_nr, minor_nr;
	int used = 0;
	char *name, text[160]; /* sscanf measures all that it is given: not the whole file */

	*e = (struct entry){ 0 };
	(void)snprintf(text, sizeof(text), "%.*s", (int)strcspn(line, "\n"), line);
	if (sscanf(text, "%" SCNx64 "-%" SCNx64 " %7s %" SCNx64 " %x:%x %" SCNu64 "%n", &e->start, &e->end, e->perms, &e->pgoff, &major_nr, &minor_nr, &e->ino,
		   &used) < 7 || !used)
		return eng_fail(err, EBADMSG, "cannot understand smaps of %d", t->task.pid);
	used += (int)strspn(line + used, " ");
	name = eng_alloc(d->run, strcspn(line + used, "\n") + 1);
	memcpy(name, line + used, strcspn(line + used, "\n"));
	e->name = name;
	return 0;
}

int eng_dump_maps(struct eng_dump *d, struct eng_dump_task *t, struct eng_err *err)
{
	_cleanup_free_ char *text = NULL;
	struct entry e = { 0 };
	int r = eng_read_file_at(t->task.procfd, "smaps", &text, NULL);

	if (r < 0)
		return eng_fail(err, -r, "cannot read smaps of %d", t->task.pid);
	t->n_vmas = 0;
	t->vdso = t->vvar = 0;
	for (const char *line = text; *line && r == 0; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : "") {
		if (strchr("0123456789abcdef", *line)) {
			r = parse_header(d, t, line, &e, err);
		} else if (strncmp(line, "AnonHugePages:", 14) == 0) {
			e.huge = strtoull(line + 14, NULL, 10) > 0;
		} else if (strncmp(line, "ProtectionKey:", 14) == 0) {
			e.pkey = strtoull(line + 14, NULL, 10) > 0;
		} else if (e.name && strncmp(line, "VmFlags:", 8) == 0) {
			(void)snprintf(e.flags, sizeof(e.flags), "%.*s", (int)strcspn(line + 9, "\n"), line + 9);
			r = add_vma(d, t, &e, err);
		}
	}
	return r;
}

/* ------------------------------------------------------------------------------------------------ pages */

struct pager {
	struct eng_dump *d;
	struct eng_dump_task *t;
	uint8_t *pages; /* two windows, for comparing */
	int pagemap, parent_pagemap; /* the parent's, where the mapping is the one that fork copied; else -1 */
};

#define PM_PFN ((UINT64_C(1) << 55) - 1)
#define PM_EXCLUSIVE (UINT64_C(1) << 56)
#define PM_PRESENT (UINT64_C(1) << 63)
#define WINDOW 64 /* pages compared at a time */

/*
 * Read memory of a frozen task. process_vm_readv(2) is fast, but it pins pages, and since Linux 5.19 pinning a page that is shared copy-on-write gives
 * the task a page of its own: a dump would double the memory of a fork tree. So it is used only where every page belongs to this task alone (bit
 * 56 of the page map); /proc/PID/mem, which does not pin, reads the others, and those without read permission.
 */
static int read_memory(const struct eng_dump_task *t, int pagemap, void *buf, uint64_t start, size_t size, struct eng_err *err)
{
	struct iovec to = { buf, size }, from = { (void *)(uintptr_t)start, size };
	uint64_t entry[WINDOW];
	bool alone = size <= sizeof(entry) / 8 * 4096 && eng_pread_full(pagemap, entry, size / 4096 * 8, (off_t)(start / 4096 * 8)) == 0;
	int r;

	for (size_t i = 0; alone && i < size / 4096; i++)
		alone = (entry[i] & PM_EXCLUSIVE) || !(entry[i] & PM_PRESENT);
	if (alone && process_vm_readv(t->task.pid, &to, 1, &from, 1, 0) == (ssize_t)size)
		return 0;
	r = eng_pread_full(t->task.memfd, buf, size, (off_t)start);
	return r < 0 ? eng_fail(err, -r, "cannot read memory of %d at %#" PRIx64, t->task.pid, start) : 0;
}

static int save_range(struct pager *p, uint64_t start, uint64_t end, struct eng_err *err)
{
	while (start < end) {
		uint8_t *buf;
		size_t room, size;
		int r = eng_dump_data_room(p->d, &buf, &room, err);

		if (r < 0)
			return r;
		size = end - start < room ? (size_t)(end - start) : room;
		size &= ~(size_t)4095;
		if (size == 0) { /* content of a file ended inside this page of the stream */
			memset(buf, 0, room);
			(void)eng_dump_data_used(p->d, room);
			continue;
		}
		r = read_memory(p->t, p->pagemap, buf, start, size, err);
		if (r < 0)
			return r;
		if (eng_extents_add(&p->t->extents, start, eng_dump_data_used(p->d, size), size / 4096, 0) < 0)
			return eng_fail(err, ENOMEM, "cannot list pages");
		p->d->pages += size / 4096;
		start += size;
	}
	return 0;
}

/*
 * Which pages of a window are the parent's. Both present and neither mapped by one process alone (bit 56): then the same frame is the same page; without
 * CAP_SYS_ADMIN in the first user namespace the kernel hides frames (proc_pid_pagemap(5)), and equal content decides, which is as good for the program.
 */
static int find_inherited(struct pager *p, uint64_t start, size_t n, bool same[WINDOW], struct eng_err *err)
{
	uint64_t own[WINDOW], parent[WINDOW];
	bool compare = false;
	int r = eng_pread_full(p->pagemap, own, n * 8, (off_t)(start / 4096 * 8));

	if (r == 0)
		r = eng_pread_full(p->parent_pagemap, parent, n * 8, (off_t)(start / 4096 * 8));
	if (r < 0)
		return eng_fail(err, -r, "cannot read the page map of %d", p->t->task.pid);
	for (size_t i = 0; i < n; i++) {
		same[i] = (own[i] & parent[i] & PM_PRESENT) && !((own[i] | parent[i]) & PM_EXCLUSIVE);
		if (same[i] && (own[i] & PM_PFN))
			same[i] = (own[i] & PM_PFN) == (parent[i] & PM_PFN);
		else
			compare |= same[i];
	}
	if (!compare)
		return 0;
	if (!p->pages)
		p->pages = malloc(2 * WINDOW * 4096);
	if (!p->pages)
		return eng_fail(err, ENOMEM, "cannot compare pages");
	r = read_memory(p->t, p->pagemap, p->pages, start, n * 4096, err);
	if (r == 0)
		r = read_memory(p->t->parent, p->parent_pagemap, p->pages + WINDOW * 4096, start, n * 4096, err);
	for (size_t i = 0; r == 0 && i < n; i++)
		same[i] = same[i] && ((own[i] & PM_PFN) || memcmp(p->pages + i * 4096, p->pages + (WINDOW + i) * 4096, 4096) == 0);
	return r;
}

static int save_unless_inherited(struct pager *p, uint64_t start, uint64_t end, struct eng_err *err)
{
	bool same[WINDOW];

	while (start < end) {
		size_t n = (end - start) / 4096 < WINDOW ? (size_t)((end - start) / 4096) : WINDOW, to;
		int r = find_inherited(p, start, n, same, err);

		for (size_t i = 0; r == 0 && i < n; i = to) {
			for (to = i + 1; to < n && same[to] == same[i]; to++)
				;
			if (!same[i])
				r = save_range(p, start + i * 4096, start + to * 4096, err);
			else if (eng_extents_add(&p->t->extents, start + i * 4096, 0, to - i, ENG_EXTENT_INHERITED) < 0)
				r = eng_fail(err, ENOMEM, "cannot list pages");
		}
		if (r < 0)
			return r;
		start += n * 4096;
	}
	return 0;
}

static int add_guard(struct eng_run *run, Engine__Vma *v, uint64_t start, uint64_t end)
{
	uint64_t pair[2] = { start, end };
	uint8_t *list = eng_alloc(run, v->guards.len + sizeof(pair));

	if (v->guards.len)
		memcpy(list, v->guards.data, v->guards.len);
	memcpy(list + v->guards.len, pair, sizeof(pair));
	v->has_guards = true;
	v->guards = (ProtobufCBinaryData){ .len = v->guards.len + sizeof(pair), .data = list };
	return 0;
}

/* Guard regions (MADV_GUARD_INSTALL, Linux 6.13) are a category of their own since 6.15; before, they look like swapped pages that cannot be read. */
static int scan_vma(struct pager *p, Engine__Vma *v, struct eng_err *err)
{
	struct page_region region[256];
	uint64_t pos = v->start, guard = PAGE_GUARD;

	while (pos < v->end) {
		struct pm_scan_arg arg = { .size = sizeof(arg), .start = pos, .end = v->end, .vec = (uint64_t)(uintptr_t)region, .vec_len = 256,
					   .category_inverted = PAGE_FILE | PAGE_PFNZERO, .category_mask = PAGE_FILE | PAGE_PFNZERO,
					   .category_anyof_mask = PAGE_PRESENT | PAGE_SWAPPED | guard, .return_mask = PAGE_PRESENT | guard };
		int n = ioctl(p->pagemap, PAGEMAP_SCAN, &arg);

		if (n < 0 && errno == EINVAL && guard) {
			guard = 0;
			continue;
		}
		if (n < 0)
			return eng_fail(err, errno, "cannot scan pages (PAGEMAP_SCAN, Linux 6.7)");
		for (int i = 0; i < n; i++) {
			int r = (region[i].categories & guard) ? add_guard(p->d->run, v, region[i].start, region[i].end) :
				p->parent_pagemap >= 0	       ? save_unless_inherited(p, region[i].start, region[i].end, err) :
								 save_range(p, region[i].start, region[i].end, err);

			if (r < 0)
				return r;
		}
		pos = arg.walk_end;
	}
	return 0;
}

static int put_mm(struct eng_dump *d, struct eng_dump_task *t, struct eng_err *err)
{
	_cleanup_free_ char *auxv = NULL;
	_cleanup_free_ Engine__Vma **ptrs = calloc(t->n_vmas + 1, sizeof(*ptrs));
	Engine__Mm mm = ENGINE__MM__INIT;
	size_t auxv_len;
	int r = eng_read_file_at(t->task.procfd, "auxv", &auxv, &auxv_len);

	if (r < 0 || !ptrs)
		return eng_fail(err, r < 0 ? -r : ENOMEM, "cannot read auxv of %d", t->task.pid);
	for (size_t i = 0; i < t->n_vmas; i++)
		ptrs[i] = &t->vmas[i];
	mm.n_vmas = t->n_vmas;
	mm.vmas = ptrs;
	mm.start_code = t->stat[26];
	mm.end_code = t->stat[27];
	mm.start_stack = t->stat[28];
	mm.start_data = t->stat[45];
	mm.end_data = t->stat[46];
	mm.start_brk = t->stat[47];
	mm.brk = t->brk;
	mm.arg_start = t->stat[48];
	mm.arg_end = t->stat[49];
	mm.env_start = t->stat[50];
	mm.env_end = t->stat[51];
	mm.auxv = (ProtobufCBinaryData){ .len = auxv_len, .data = (uint8_t *)auxv };
	mm.has_vdso = t->vdso != 0;
	mm.vdso = t->vdso;
	mm.has_vvar = t->vvar != 0;
	mm.vvar = t->vvar;
	mm.has_lock_future = mm.lock_future = t->lock_future;
	mm.has_extents = true;
	mm.extents = (ProtobufCBinaryData){ .len = t->extents.n * sizeof(*t->extents.list), .data = (uint8_t *)t->extents.list };
	return eng_image_put(d->image, "core/mm", (uint64_t)t->task.pid, &mm.base, err);
}

/* The parent's mapping that fork would have given the child as this one, or NULL. */
static const Engine__Vma *of_parent(const struct eng_dump_task *t, const Engine__Vma *v)
{
	const struct eng_dump_task *p = t->parent;
	size_t lo = 0, hi = p && !p->zombie ? p->n_vmas : 0;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (p->vmas[mid].start < v->start)
			lo = mid + 1;
		else
			hi = mid;
	}
	return p && !p->zombie && lo < p->n_vmas && eng_vma_inherited(&p->vmas[lo], v) ? &p->vmas[lo] : NULL;
}

int eng_dump_memory(struct eng_dump *d, struct eng_dump_task *t, struct eng_err *err)
{
	_cleanup_close_ int pagemap = openat(t->task.procfd, "pagemap", O_RDONLY | O_CLOEXEC), parent = -EBADF;
	struct pager p = { .d = d, .t = t, .pagemap = pagemap };
	int r = 0;

	if (t->parent && !t->parent->zombie)
		parent = openat(t->parent->task.procfd, "pagemap", O_RDONLY | O_CLOEXEC);
	if (pagemap < 0)
		r = eng_fail(err, errno, "cannot read the page map of %d", t->task.pid);
	for (size_t i = 0; r == 0 && i < t->n_vmas; i++) {
		if (t->vmas[i].flags & MAP_SHARED)
			continue;
		t->extents.barrier = t->extents.n;
		p.parent_pagemap = parent >= 0 && of_parent(t, &t->vmas[i]) ? parent : -1;
		r = scan_vma(&p, &t->vmas[i], err);
	}
	free(p.pages);
	return r < 0 ? r : put_mm(d, t, err);
}
