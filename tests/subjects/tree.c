/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A tree four levels deep of forty processes, each with memory of its own inherited from and changed since its parent. */
#include "subject.h"

static uint64_t *mem;

static void grow(int depth, uint64_t id)
{
	pid_t kid[3];

	mem[depth * 512] = id;
	for (int i = 0; depth < 3 && i < 3; i++) {
		kid[i] = (pid_t)MUST_SYS(fork());
		if (!kid[i]) {
			grow(depth + 1, id * 4 + (uint64_t)i + 1);
			_exit(0);
		}
	}
	{
		char name[32];

		(void)snprintf(name, sizeof(name), "node.%llu", (unsigned long long)id);
		for (int i = 0; depth < 3 && i < 3; i++) {
			char sub[32];

			(void)snprintf(sub, sizeof(sub), "node.%llu", (unsigned long long)(id * 4 + (uint64_t)i + 1));
			await_file(sub);
		}
		mark(name);
	}
	if (depth == 0)
		subject_ready();
	await_go();
	for (int d = depth, k = 0; d >= 0; d--, k += 2)
		CHECK_EQ("id at a level", mem[d * 512], id >> k);
	check_zero("levels below", mem + (depth + 1) * 512, (size_t)(3 - depth) * PAGE);
	for (int i = 0; depth < 3 && i < 3; i++)
		check_child("node", kid[i]);
}

int main(int argc, char **argv)
{
	subject_init(argc, argv);
	mem = map_anon(4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	grow(0, 1);
	return subject_done();
}
