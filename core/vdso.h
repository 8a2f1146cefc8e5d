/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef CORE_VDSO_H
#define CORE_VDSO_H
#include "core/include/engine/err.h"
/* 32 hex digits that identify the text of this kernel's vDSO: the checksum of what getauxval(AT_SYSINFO_EHDR) points to. ret: 33 bytes. */
int eng_vdso_id(char *ret, struct eng_err *err);
#endif
