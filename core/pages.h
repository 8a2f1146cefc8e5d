/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef CORE_PAGES_H
#define CORE_PAGES_H
/* Lists of page extents, and when a mapping of a child is the one it was forked with: dump and restore must agree on both. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core.pb-c.h"

#define ENG_EXTENT_INHERITED 1u /* the parent's page */

struct eng_extent {
	uint64_t addr, off;
	uint32_t pages, flags;
};
static_assert(sizeof(struct eng_extent) == 24, "layout in the image");

struct eng_extents {
	struct eng_extent *list;
	size_t n, cap;
	size_t barrier; /* extents before this one are not lengthened: a new mapping begins */
};

/* Append, or lengthen the last one where it continues. 0 or -ENOMEM. */
int eng_extents_add(struct eng_extents *x, uint64_t addr, uint64_t off, uint64_t pages, uint32_t flags);
/* Whether a child that fork gave the parent's mapping `p` still has it as its mapping `c`. */
bool eng_vma_inherited(const Engine__Vma *p, const Engine__Vma *c);

#endif
