/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/pages.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

int eng_extents_add(struct eng_extents *x, uint64_t addr, uint64_t off, uint64_t pages, uint32_t flags)
{
	struct eng_extent *last = x->n > x->barrier ? &x->list[x->n - 1] : NULL;

	if (last && last->flags == flags && last->addr + last->pages * UINT64_C(4096) == addr &&
	    (flags || last->off + last->pages * UINT64_C(4096) == off) && last->pages + pages < UINT32_MAX) {
		last->pages += (uint32_t)pages;
		return 0;
	}
	if (x->n == x->cap) {
		size_t cap = x->cap ? x->cap * 2 : 128;
		struct eng_extent *p = realloc(x->list, cap * sizeof(*p));

		if (!p)
			return -ENOMEM;
		x->list = p;
		x->cap = cap;
	}
	x->list[x->n++] = (struct eng_extent){ addr, off, (uint32_t)pages, flags };
	return 0;
}

static bool kept_from_child(const Engine__Vma *v)
{
	return v->vmflags && (strstr(v->vmflags, "dc") || strstr(v->vmflags, "wf"));
}

bool eng_vma_inherited(const Engine__Vma *p, const Engine__Vma *c)
{
	return p->start == c->start && p->end == c->end && p->flags == c->flags && p->kind == c->kind && p->file == c->file && p->pgoff == c->pgoff &&
	       !kept_from_child(p) && !kept_from_child(c);
}
