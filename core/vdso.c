/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/vdso.h"

#include <elf.h>
#include <errno.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <xxhash.h>

/* The image in memory is as long as its last loaded segment; our own copy was never written to. */
int eng_vdso_id(char *ret, struct eng_err *err)
{
	const uint8_t *base = (const uint8_t *)getauxval(AT_SYSINFO_EHDR);
	const Elf64_Ehdr *eh = (const Elf64_Ehdr *)(const void *)base;
	const Elf64_Phdr *ph;
	uint64_t size = 0;
	XXH128_hash_t h;

	if (!base)
		return eng_fail(err, ENOTSUP, "this kernel gives no vDSO");
	ph = (const Elf64_Phdr *)(const void *)(base + eh->e_phoff);
	for (unsigned i = 0; i < eh->e_phnum; i++)
		if (ph[i].p_type == PT_LOAD && ph[i].p_offset + ph[i].p_filesz > size)
			size = ph[i].p_offset + ph[i].p_filesz;
	h = XXH3_128bits(base, size);
	(void)snprintf(ret, 33, "%016" PRIx64 "%016" PRIx64, h.high64, h.low64);
	return 0;
}
