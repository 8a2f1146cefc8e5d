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
#include <sys/uio.h>
#include <xxhash.h>

#include "core/io.h"

/* linux/fs.h since 6.7 */
struct page_region {
	uint64_t start, end, categories;
};
struct pm_scan_arg {
	uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages, category_inverted, category_mask, category_anyof_mask, return_mask;
};
#define PAGEMAP_SCAN _IOWR('f', 16, struct pm_scan_arg)
enum { PAGE_FILE = 1 << 2, PAGE_PRESENT = 1 << 3, PAGE_SWAPPED = 1 << 4, PAGE_PFNZERO = 1 << 5 };

/* Flags of smaps that mmap() at restore brings back, or that describe nothing to keep. */
static const char *const kept_flags[] = { "rd", "wr", "ex", "sh", "mr", "mw", "me", "ms", "gd", "nr", "ac", "sd", "de", "dw", "dc" };

static bool special(const char *name)
{
	return !strcmp(name, "[vdso]") || !strncmp(name, "[vvar", 5) || !strcmp(name, "[vsyscall]");
}

static void check_flags(struct eng_dump *d, const char *object, char *flags)
{
	char why[64], *save = NULL;

	for (char *f = strtok_r(flags, " \n", &save); f; f = strtok_r(NULL, " \n", &save)) {
		bool known = false;

		for (size_t i = 0; i < ENG_ARRAY_SIZE(kept_flags) && !known; i++)
			known = strcmp(f, kept_flags[i]) == 0;
		(void)snprintf(why, sizeof(why), "has the state \"%.8s\" (VmFlags), and no plugin keeps it", f);
		if (!known)
			eng_block(d->run, object, why, NULL);
	}
}

static int add_vma(struct eng_dump *d, const char *header, const char *vmflags, struct eng_err *err)
{
	uint64_t start, end, pgoff, ino;
	char perms[8], range[64], object[96], flags[128], *name;
	unsigned major_nr, minor_nr;
	int used = 0;
	Engine__Vma *v;

	if (sscanf(header, "%" SCNx64 "-%" SCNx64 " %7s %" SCNx64 " %x:%x %" SCNu64 " %n", &start, &end, perms, &pgoff, &major_nr, &minor_nr, &ino, &used) < 7)
		return eng_fail(err, EBADMSG, "cannot understand smaps of %d", d->task.pid);
	name = eng_strdup(d->run, header + used);
	name[strcspn(name, "\n")] = '\0';
	if (!strcmp(name, "[vdso]"))
		d->vdso = start;
	if (!strncmp(name, "[vvar", 5) && (!d->vvar || start < d->vvar))
		d->vvar = start;
	if (special(name))
		return 0;
	(void)snprintf(range, sizeof(range), "%" PRIx64 "-%" PRIx64, start, end);
	(void)snprintf(object, sizeof(object), "process %d mapping %s", d->task.pid, range);
	(void)snprintf(flags, sizeof(flags), "%.*s", (int)strcspn(vmflags, "\n"), vmflags);
	if (d->n_vmas == d->cap_vmas) {
		size_t cap = d->cap_vmas ? d->cap_vmas * 2 : 128;
		Engine__Vma *p = realloc(d->vmas, cap * sizeof(*p));

		if (!p)
			return eng_fail(err, ENOMEM, "cannot list mappings");
		d->vmas = p;
		d->cap_vmas = cap;
	}
	v = &d->vmas[d->n_vmas++];
	engine__vma__init(v);
	v->start = start;
	v->end = end;
	v->prot = (perms[0] == 'r' ? PROT_READ : 0u) | (perms[1] == 'w' ? PROT_WRITE : 0u) | (perms[2] == 'x' ? PROT_EXEC : 0u);
	v->flags = perms[3] == 's' ? MAP_SHARED : MAP_PRIVATE;
	v->name = name;
	v->kind = ENGINE__VMA__KIND__ANON;
	if (strstr(flags, "nr"))
		v->flags |= MAP_NORESERVE;
	if (strstr(flags, "gd"))
		v->flags |= MAP_GROWSDOWN;
	v->vmflags = eng_strdup(d->run, flags);
	check_flags(d, object, flags);
	if (ino == 0)
		return 0;
	v->kind = ENGINE__VMA__KIND__FILE;
	v->has_file = v->has_pgoff = true;
	v->pgoff = pgoff;
	return eng_dump_mapped_file(d, range, name, (v->flags & MAP_SHARED) && strstr(vmflags, "mw"), &v->file, err);
}

int eng_dump_maps(struct eng_dump *d, struct eng_err *err)
{
	_cleanup_free_ char *text = NULL;
	const char *header = NULL;
	int r = eng_read_file_at(d->task.procfd, "smaps", &text, NULL);

	if (r < 0)
		return eng_fail(err, -r, "cannot read smaps of %d", d->task.pid);
	d->n_vmas = 0;
	d->vdso = d->vvar = 0;
	for (const char *line = text; *line && r == 0; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : "") {
		if (strchr("0123456789abcdef", *line))
			header = line;
		else if (header && strncmp(line, "VmFlags:", 8) == 0)
			r = add_vma(d, header, line + 8 + strspn(line + 8, " "), err);
	}
	return r;
}

/* Pages are gathered into chunks; each chunk is read from the task, checksummed and written at once, so that it stays in the cache. */
struct pager {
	struct eng_dump *d;
	uint8_t *chunk;
	size_t used;
	uint8_t *extents; /* 24 bytes each */
	size_t n, cap;
};

static int flush_chunk(struct pager *p, struct eng_err *err)
{
	struct eng_dump *d = p->d;
	XXH128_canonical_t sum;
	int r;

	if (p->used == 0)
		return 0;
	XXH128_canonicalFromHash(&sum, XXH3_128bits(p->chunk, p->used));
	r = eng_image_data_sum(d->image, d->data_size / ENG_CHUNK, sum.digest, err);
	if (r < 0)
		return r;
	r = eng_pwrite_full(eng_image_data_fd(d->image), p->chunk, p->used, (off_t)d->data_size);
	if (r < 0)
		return eng_fail(err, -r, "cannot write pages to the image");
	d->data_size += p->used;
	p->used = 0;
	return 0;
}

static int add_extent(struct pager *p, uint64_t addr, uint32_t pages, struct eng_err *err)
{
	uint64_t off = p->d->data_size + p->used;
	uint32_t tail[2] = { pages, 0 };

	if (p->n == p->cap) {
		size_t cap = p->cap ? p->cap * 2 : 256;
		uint8_t *q = realloc(p->extents, cap * 24);

		if (!q)
			return eng_fail(err, ENOMEM, "cannot list pages");
		p->extents = q;
		p->cap = cap;
	}
	memcpy(p->extents + p->n * 24, &addr, 8);
	memcpy(p->extents + p->n * 24 + 8, &off, 8);
	memcpy(p->extents + p->n * 24 + 16, tail, 8);
	p->n++;
	return 0;
}

static int save_range(struct pager *p, uint64_t start, uint64_t end, struct eng_err *err)
{
	while (start < end) {
		size_t room = ENG_CHUNK - p->used, size = end - start < room ? (size_t)(end - start) : room;
		struct iovec to = { p->chunk + p->used, size }, from = { (void *)(uintptr_t)start, size };
		int r = add_extent(p, start, (uint32_t)(size / 4096), err);

		if (r < 0)
			return r;
		/* Pages without read permission are refused by process_vm_readv; /proc/PID/mem reads them. */
		if (process_vm_readv(p->d->task.pid, &to, 1, &from, 1, 0) != (ssize_t)size) {
			r = eng_pread_full(p->d->task.memfd, to.iov_base, size, (off_t)start);
			if (r < 0)
				return eng_fail(err, -r, "cannot read memory of %d at %#" PRIx64, p->d->task.pid, start);
		}
		p->used += size;
		p->d->pages += size / 4096;
		start += size;
		if (p->used == ENG_CHUNK && (r = flush_chunk(p, err)) < 0)
			return r;
	}
	return 0;
}

static int scan_vma(struct pager *p, int pagemap, const Engine__Vma *v, struct eng_err *err)
{
	struct page_region region[256];
	uint64_t pos = v->start;

	while (pos < v->end) {
		struct pm_scan_arg arg = { .size = sizeof(arg), .start = pos, .end = v->end, .vec = (uint64_t)(uintptr_t)region, .vec_len = 256,
					   .category_inverted = PAGE_FILE | PAGE_PFNZERO, .category_mask = PAGE_FILE | PAGE_PFNZERO,
					   .category_anyof_mask = PAGE_PRESENT | PAGE_SWAPPED, .return_mask = PAGE_PRESENT };
		int n = ioctl(pagemap, PAGEMAP_SCAN, &arg);

		if (n < 0)
			return eng_fail(err, errno, "cannot scan pages (PAGEMAP_SCAN, Linux 6.7)");
		for (int i = 0; i < n; i++) {
			int r = save_range(p, region[i].start, region[i].end, err);

			if (r < 0)
				return r;
		}
		pos = arg.walk_end;
	}
	return 0;
}

static int put_mm(struct pager *p, struct eng_err *err)
{
	struct eng_dump *d = p->d;
	_cleanup_free_ char *auxv = NULL;
	_cleanup_free_ Engine__Vma **ptrs = calloc(d->n_vmas + 1, sizeof(*ptrs));
	Engine__Mm mm = ENGINE__MM__INIT;
	size_t auxv_len;
	int r = eng_read_file_at(d->task.procfd, "auxv", &auxv, &auxv_len);

	if (r < 0 || !ptrs)
		return eng_fail(err, r < 0 ? -r : ENOMEM, "cannot read auxv of %d", d->task.pid);
	for (size_t i = 0; i < d->n_vmas; i++)
		ptrs[i] = &d->vmas[i];
	mm.n_vmas = d->n_vmas;
	mm.vmas = ptrs;
	mm.start_code = d->stat[26];
	mm.end_code = d->stat[27];
	mm.start_stack = d->stat[28];
	mm.start_data = d->stat[45];
	mm.end_data = d->stat[46];
	mm.start_brk = d->stat[47];
	mm.brk = d->brk;
	mm.arg_start = d->stat[48];
	mm.arg_end = d->stat[49];
	mm.env_start = d->stat[50];
	mm.env_end = d->stat[51];
	mm.auxv = (ProtobufCBinaryData){ .len = auxv_len, .data = (uint8_t *)auxv };
	mm.has_vdso = d->vdso != 0;
	mm.vdso = d->vdso;
	mm.has_vvar = d->vvar != 0;
	mm.vvar = d->vvar;
	mm.has_extents = true;
	mm.extents = (ProtobufCBinaryData){ .len = p->n * 24, .data = p->extents };
	return eng_image_put(d->image, "core/mm", (uint64_t)d->task.pid, &mm.base, err);
}

int eng_dump_memory(struct eng_dump *d, struct eng_err *err)
{
	struct pager p = { .d = d };
	_cleanup_close_ int pagemap = openat(d->task.procfd, "pagemap", O_RDONLY | O_CLOEXEC);
	int r = 0;

	p.chunk = malloc(ENG_CHUNK);
	if (pagemap < 0 || !p.chunk)
		r = eng_fail(err, pagemap < 0 ? errno : ENOMEM, "cannot read the page map of %d", d->task.pid);
	for (size_t i = 0; r == 0 && i < d->n_vmas; i++)
		if (!(d->vmas[i].flags & MAP_SHARED))
			r = scan_vma(&p, pagemap, &d->vmas[i], err);
	if (r == 0)
		r = flush_chunk(&p, err);
	if (r == 0)
		r = put_mm(&p, err);
	free(p.chunk);
	free(p.extents);
	return r;
}
