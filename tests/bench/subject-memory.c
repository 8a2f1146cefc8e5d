// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * subject-memory MIB [huge]: one process with MIB mebibytes of private memory, every page touched and unlike any other. With "huge"
 * the range is 2 MiB aligned and asks for huge pages before it is touched; without, it refuses them, whatever the machine's default.
 */
#include <string.h>
#include <sys/mman.h>

#include "subject.h"

#define HUGE_SIZE ((size_t)2 << 20)

struct memory {
	char *mem;
	size_t size;
};

static const char *check(void *data)
{
	const struct memory *m = data;

	return subject_filled(m->mem, m->size, 1) ? NULL : "memory differs";
}

int main(int argc, char **argv)
{
	struct memory m = {.size = subject_arg(argc, argv, 1, 1024) << 20};
	int huge = argc > 2 && strcmp(argv[2], "huge") == 0;
	char *raw;

	subject_init();
	raw = mmap(NULL, m.size + HUGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (raw == MAP_FAILED)
		subject_die("mmap");
	m.mem = raw + (-(uintptr_t)raw & (HUGE_SIZE - 1));
	if (m.mem > raw && munmap(raw, (size_t)(m.mem - raw)) < 0)
		subject_die("munmap");
	if (munmap(m.mem + m.size, (size_t)(raw + HUGE_SIZE - m.mem)) < 0)
		subject_die("munmap");
	(void)madvise(m.mem, m.size, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);     /* fails without THP: nothing to choose then */
	subject_fill(m.mem, m.size, 1);
	subject_serve(0, check, &m);
}
