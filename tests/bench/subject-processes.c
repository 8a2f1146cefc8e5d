// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * subject-processes N [MIB]: N children of one parent. With MIB the parent first fills that much memory, and each child then writes
 * its own sixteenth of it: all the rest stays shared copy-on-write, which a checkpoint can keep or lose.
 */
#include <sys/mman.h>
#include <unistd.h>

#include "subject.h"

struct share {
	char *mem;
	size_t size, part;
	unsigned int child;             /* 1.., 0 for the parent */
};

static const char *check(void *data)
{
	const struct share *s = data;

	for (unsigned int n = 0; n < 16; n++) {
		uint64_t seed = s->child == n + 1 ? 100 + s->child : 3 + n;

		if (!subject_filled(s->mem + n * s->part, s->part, seed))
			return "memory differs";
	}
	return NULL;
}

int main(int argc, char **argv)
{
	unsigned int children = (unsigned int)subject_arg(argc, argv, 1, 100);
	struct share s = {.size = subject_arg(argc, argv, 2, 0) << 20};

	subject_init();
	s.part = s.size / 16;
	if (s.size) {
		s.mem = mmap(NULL, s.size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (s.mem == MAP_FAILED)
			subject_die("mmap");
		(void)madvise(s.mem, s.size, MADV_NOHUGEPAGE);
		for (unsigned int n = 0; n < 16; n++)
			subject_fill(s.mem + n * s.part, s.part, 3 + n);
	}
	for (unsigned int n = 1; n <= children; n++) {
		pid_t pid = fork();

		if (pid < 0)
			subject_die("fork");
		if (pid == 0) {
			s.child = n;
			if (s.size && n <= 16)
				subject_fill(s.mem + (n - 1) * s.part, s.part, 100 + n);
			subject_serve(n, s.size ? check : NULL, &s);
		}
	}
	subject_serve(0, s.size ? check : NULL, &s);
}
