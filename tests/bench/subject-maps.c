// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * subject-maps N: N one-page mappings side by side, every second one read-only, so that the kernel cannot merge any two. All pages
 * are touched. A question checks the bytes and that /proc/self/maps still shows N mappings there.
 */
#include <stdio.h>
#include <sys/mman.h>

#include "subject.h"

#define PAGE ((size_t)4096)

struct maps {
	char *mem;
	size_t n;
};

static size_t count_maps(const struct maps *m)
{
	unsigned long from, to, low = (unsigned long)m->mem, high = low + m->n * PAGE;
	FILE *f = fopen("/proc/self/maps", "re");
	char line[512];
	size_t n = 0;

	if (!f)
		return 0;
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "%lx-%lx", &from, &to) == 2)
			n += from >= low && to <= high && to - from == PAGE;
	(void)fclose(f);
	return n;
}

static const char *check(void *data)
{
	const struct maps *m = data;

	if (count_maps(m) != m->n)
		return "mappings differ";
	return subject_filled(m->mem, m->n * PAGE, 2) ? NULL : "memory differs";
}

int main(int argc, char **argv)
{
	struct maps m = {.n = subject_arg(argc, argv, 1, 10000)};

	subject_init();
	m.mem = mmap(NULL, (m.n + 2) * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (m.mem == MAP_FAILED)
		subject_die("mmap");
	m.mem += PAGE;                  /* an unreadable page on both sides keeps the neighbours from merging */
	if (mprotect(m.mem, m.n * PAGE, PROT_READ | PROT_WRITE) < 0)
		subject_die("mprotect");
	subject_fill(m.mem, m.n * PAGE, 2);
	for (size_t n = 1; n < m.n; n += 2)
		if (mprotect(m.mem + n * PAGE, PAGE, PROT_READ) < 0)
			subject_die("mprotect");
	if (check(&m))
		subject_die(check(&m));
	subject_serve(0, check, &m);
}
