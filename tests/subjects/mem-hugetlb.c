/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Huge pages by name: a private mapping, a shared one and a memfd. Only where the system has free ones. */
#include "subject.h"

#define LEN (2 * MiB)

int main(int argc, char **argv)
{
	char v[64], *p, *s, *m;
	int fd;

	subject_init(argc, argv);
	if (!proc_field("/proc/meminfo", "HugePages_Free", v, sizeof(v)) || strtol(v, NULL, 10) < 4)
		subject_skip("no free huge pages");
	p = map_anon(LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_HUGETLB);
	s = map_anon(LEN, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_HUGETLB);
	fd = (int)MUST_SYS(memfd_create("huge", MFD_HUGETLB));
	MUST_SYS(ftruncate(fd, LEN));
	m = mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	MUST(m != MAP_FAILED);
	pattern_fill(p, LEN, 1);
	pattern_fill(s, LEN, 2);
	pattern_fill(m, LEN, 3);
	subject_wait();
	pattern_check("private", p, LEN, 1);
	pattern_check("shared", s, LEN, 2);
	pattern_check("memfd", m, LEN, 3);
	CHECK_EQ("page size", smaps_kb(p, "KernelPageSize"), 2048);
	CHECK_EQ("page size", smaps_kb(s, "KernelPageSize"), 2048);
	CHECK_EQ("page size", smaps_kb(m, "KernelPageSize"), 2048);
	return subject_done();
}
