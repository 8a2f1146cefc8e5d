/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef CORE_LOADER_INTERNAL_H
#define CORE_LOADER_INTERNAL_H
/* Parts of the loader: loader.c (select, open, flatten), loader-check.c (is a plugin sound?), loader-order.c (capabilities). */
#include "core/loader.h"

/* Required members, by the names that the author of the plugin wrote. */
int eng_loaded_check(const struct eng_loaded *l, const char *name, struct eng_err *err);

/* Sort by capabilities. order[i]: index of the plugin that comes i-th. The input is sorted by name.
 * *ret_missing: the capability that is needed and not provided, where that is the failure. */
int eng_loaded_order(const struct eng_loaded *l, size_t n, size_t *order, const char **ret_missing, struct eng_err *err);

/* In .provides, or the name of a kind. */
bool eng_loaded_provides(const struct eng_loaded *l, const char *capability);

#endif
