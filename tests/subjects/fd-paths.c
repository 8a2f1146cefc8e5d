/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Directories (with a read position), O_PATH handles of files, directories and symbolic links, and file names with odd characters. */
#include <dirent.h>

#include "subject.h"

static void check_link(int fd, const char *want)
{
	char name[64], got[1024];
	ssize_t n;

	(void)snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	n = readlink(name, got, sizeof(got) - 1);
	got[n > 0 ? n : 0] = 0;
	CHECK_STR("link", got, in_dir(want));
}

int main(int argc, char **argv)
{
	int d, pf, pd, pl, odd;
	char seen[64][16], buf[64];
	struct dirent *e;
	struct stat st;
	DIR *dir;
	int n = 0, total = 0;

	subject_init(argc, argv);
	MUST_SYS(mkdir("dir", 0755));
	for (int i = 0; i < 40; i++) {
		(void)snprintf(buf, sizeof(buf), "dir/entry%02d", i);
		mark(buf);
	}
	put_file("odd \n\\name (deleted)", 0, "odd");
	MUST_SYS(symlink("nowhere", "link"));
	d = (int)MUST_SYS(open("dir", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	pf = (int)MUST_SYS(open("dir/entry00", O_PATH | O_CLOEXEC));
	pd = (int)MUST_SYS(open("dir", O_PATH | O_DIRECTORY));
	pl = (int)MUST_SYS(open("link", O_PATH | O_NOFOLLOW));
	odd = (int)MUST_SYS(open("odd \n\\name (deleted)", O_RDONLY));
	MUST((dir = fdopendir(d)));
	{ /* Raw reads: a buffer of the C library would hide the position. */
		char raw[512];
		long got = MUST_SYS(syscall(SYS_getdents64, d, raw, sizeof(raw)));

		for (long o = 0; o < got; n++) {
			(void)snprintf(seen[n], sizeof(seen[n]), "%s", raw + o + 19);
			o += *(uint16_t *)(raw + o + 16);
		}
	}
	subject_wait();
	while ((e = readdir(dir))) {
		for (int i = 0; i < n; i++)
			CHECK(strcmp(seen[i], e->d_name), "entry %s is read twice", e->d_name);
		total++;
	}
	CHECK_EQ("entries", total + n, 42);
	CHECK_EQ("flags of the O_PATH file", fcntl(pf, F_GETFL) & O_PATH, O_PATH);
	CHECK(read(pf, buf, 1) < 0 && errno == EBADF, "an O_PATH handle can be read");
	check_link(pf, "dir/entry00");
	CHECK_SYS(fstatat(pd, "entry01", &st, 0));
	CHECK(!fstat(pl, &st) && S_ISLNK(st.st_mode), "the handle of the link is of mode %o", st.st_mode);
	CHECK_EQ("readlinkat", readlinkat(pl, "", buf, sizeof(buf)), 7);
	CHECK(read(odd, buf, 3) == 3 && !memcmp(buf, "odd", 3), "odd name: %s", strerror(errno));
	check_link(odd, "odd \n\\name (deleted)");
	CHECK_EQ("O_PATH flag of the link", fcntl(pl, F_GETFL) & O_PATH, O_PATH);
	return subject_done();
}
