/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* memfds: name, size, offset, content with holes, seals, sharing between processes, a mapping whose fd is closed. */
#include "subject.h"

int main(int argc, char **argv)
{
	static char buf[4 * PAGE], now[4 * PAGE];
	int plain, sealed, rdonly, gone;
	char *p, *q, link[256], name[64];
	pid_t kid;
	ssize_t n;

	subject_init(argc, argv);
	pattern_fill(buf, sizeof(buf), 1);
	plain = (int)MUST_SYS(memfd_create("plain memory", MFD_CLOEXEC));
	MUST_SYS(ftruncate(plain, 16 * MiB));
	MUST(pwrite(plain, buf, sizeof(buf), 8 * MiB) == (ssize_t)sizeof(buf));
	MUST_SYS(lseek(plain, 12345, SEEK_SET));
	p = mmap(NULL, MiB, PROT_READ | PROT_WRITE, MAP_SHARED, plain, 8 * MiB);
	sealed = (int)MUST_SYS(memfd_create("sealed", MFD_CLOEXEC | MFD_ALLOW_SEALING));
	MUST(write(sealed, buf, sizeof(buf)) == (ssize_t)sizeof(buf));
	MUST_SYS(fcntl(sealed, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL));
	(void)snprintf(name, sizeof(name), "/proc/self/fd/%d", sealed);
	rdonly = (int)MUST_SYS(open(name, O_RDONLY)); /* Another description of the same file. */
	gone = (int)MUST_SYS(memfd_create("gone", 0));
	MUST(write(gone, buf, PAGE) == PAGE);
	q = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, gone, 0);
	MUST(p != MAP_FAILED && q != MAP_FAILED);
	close(gone);
	kid = (pid_t)MUST_SYS(fork());
	if (!kid) {
		await_go();
		await_file("parent.wrote");
		CHECK_STR("child's view", p + PAGE, "written by the parent");
		CHECK_STR("child's view", q, "gone as well");
		_exit(0);
	}
	subject_wait();
	CHECK_EQ("offset", lseek(plain, 0, SEEK_CUR), 12345);
	CHECK_EQ("size", lseek(plain, 0, SEEK_END), 16 * MiB);
	CHECK(pread(plain, now, sizeof(now), 8 * MiB) == (ssize_t)sizeof(now) && !memcmp(buf, now, sizeof(now)), "content");
	CHECK_EQ("first data", lseek(plain, 0, SEEK_DATA), 8 * MiB);
	(void)snprintf(name, sizeof(name), "/proc/self/fd/%d", plain);
	n = readlink(name, link, sizeof(link) - 1);
	link[n > 0 ? n : 0] = 0;
	CHECK_STR("name", link, "/memfd:plain memory (deleted)");
	CHECK_EQ("seals", fcntl(sealed, F_GET_SEALS), F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL);
	CHECK(write(sealed, "x", 1) < 0 && errno == EPERM, "a sealed memfd could be written");
	CHECK_EQ("seals of the one that takes none", fcntl(plain, F_GET_SEALS), F_SEAL_SEAL);
	CHECK_EQ("access mode", fcntl(rdonly, F_GETFL) & O_ACCMODE, O_RDONLY);
	CHECK(pread(rdonly, now, PAGE, PAGE) == PAGE && !memcmp(buf + PAGE, now, PAGE), "content of the read-only description");
	CHECK(!memcmp(q, buf, PAGE), "mapping of the closed memfd");
	strcpy(p + PAGE, "written by the parent");
	CHECK(pread(plain, now, PAGE, 8 * MiB + PAGE) == PAGE && !strcmp(now, "written by the parent"), "mapping and file are two things");
	strcpy(q, "gone as well");
	mark("parent.wrote");
	check_child("child", kid);
	return subject_done();
}
