/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef PARASITE_BLOB_H
#define PARASITE_BLOB_H
#include <stddef.h>
#include <stdint.h>
/* The linked interpreter, position-independent, beginning with struct blob_head. */
extern const uint8_t eng_blob[];
extern const size_t eng_blob_size;
#endif
