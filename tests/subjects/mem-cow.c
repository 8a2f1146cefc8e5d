/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copy on write between a parent with 64 MiB and four children that changed one MiB each: contents differ where they did, all else is still shared. */
#include "subject.h"

#define LEN (64 * MiB)

static void check_shared(const char *who)
{
	char v[64];
	long priv;

	CHECK(proc_field("/proc/self/smaps_rollup", "Private_Dirty", v, sizeof(v)), "smaps_rollup: %s", strerror(errno));
	priv = strtol(v, NULL, 10);
	CHECK(priv < 8 * 1024, "%s: %ld KiB are private: sharing is lost", who, priv);
}

int main(int argc, char **argv)
{
	pid_t kid[4];
	char *p, name[16];

	subject_init(argc, argv);
	p = map_anon(LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	pattern_fill(p, LEN, 1);
	for (size_t i = 0; i < 4; i++) {
		kid[i] = (pid_t)MUST_SYS(fork());
		(void)snprintf(name, sizeof(name), "kid%zu", i);
		if (!kid[i]) {
			pattern_fill(p + (i + 1) * 10 * MiB, MiB, 50 + i);
			mark(name);
			await_go();
			check_shared(name);
			(void)snprintf(name + 4, sizeof(name) - 4, ".seen");
			mark(name);
			await_file("all"); /* nobody ends, or writes, while another counts what is shared */
			name[4] = '\0';
			pattern_check("child, own part", p + (i + 1) * 10 * MiB, MiB, 50 + i);
			pattern_check("child, shared part", p, 10 * MiB, 1);
			strcpy(p + 5 * MiB, name); /* And copying on write still works. */
			_exit(0);
		}
		await_file(name);
	}
	subject_wait();
	for (int i = 0; i < 4; i++) {
		(void)snprintf(name, sizeof(name), "kid%d.seen", i);
		await_file(name);
	}
	check_shared("parent");
	mark("all");
	pattern_check("parent", p, LEN, 1);
	for (int i = 0; i < 4; i++)
		check_child("child", kid[i]);
	pattern_check("parent, after the children wrote", p, LEN, 1);
	return subject_done();
}
