/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef CORE_CONFIG_INI_H
#define CORE_CONFIG_INI_H
/* INI files for config.c: libinih does the syntax, this adds line numbers and refuses what it would silently cut or join. */
#include "core/include/engine/err.h"

/* Called for each key. where: "PATH:LINE". A value that goes on in indented lines arrives once, joined by blanks. */
typedef int (*eng_ini_fn)(void *data, const char *section, const char *key, const char *value, const char *where, struct eng_err *err);

/* 0, 1: there is no such file, <0. */
int eng_ini_read(const char *path, eng_ini_fn fn, void *data, struct eng_err *err);

#endif
