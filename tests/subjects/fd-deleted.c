/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * e2e: ignore 10
 * The name of that one is another file's meanwhile: after a restore the kernel shows another text for it.
 */
/* Deleted files: a sparse one of 64 MiB, one open twice, one still linked under another name, a deleted directory, a deleted FIFO, one opened read-only. */
#include "subject.h"

int main(int argc, char **argv)
{
	static char buf[PAGE], now[PAGE];
	int sparse, one, two, linked, dir, ro, fifo, alias;
	struct stat st, st2;

	subject_init(argc, argv);
	pattern_fill(buf, sizeof(buf), 1);
	sparse = (int)MUST_SYS(open("sparse", O_RDWR | O_CREAT | O_CLOEXEC, 0640));
	MUST_SYS(ftruncate(sparse, 64 * MiB));
	for (off_t at = 0; at < (off_t)(64 * MiB); at += 16 * (off_t)MiB)
		MUST(pwrite(sparse, buf, PAGE, at + 3 * (off_t)PAGE) == PAGE);
	MUST_SYS(lseek(sparse, 4242, SEEK_SET));
	MUST_SYS(unlink("sparse"));

	one = (int)MUST_SYS(open("twice", O_RDWR | O_CREAT | O_CLOEXEC, 0600));
	two = (int)MUST_SYS(open("twice", O_RDWR | O_APPEND | O_CLOEXEC));
	MUST(write(one, "twice", 5) == 5);
	MUST_SYS(unlink("twice"));

	linked = (int)MUST_SYS(open("name", O_RDWR | O_CREAT | O_CLOEXEC, 0600));
	MUST(write(linked, "linked", 6) == 6);
	MUST_SYS(mkdir("sub", 0777));
	MUST_SYS(link("name", "sub/other name"));
	MUST_SYS(unlink("name"));

	MUST_SYS(mkdir("gone", 0711));
	dir = (int)MUST_SYS(open("gone", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	MUST_SYS(rmdir("gone"));

	put_file("readonly", 0, "read me");
	ro = (int)MUST_SYS(open("readonly", O_RDONLY | O_CLOEXEC));
	MUST_SYS(unlink("readonly"));

	MUST_SYS(mkfifo("fifo", 0600));
	fifo = (int)MUST_SYS(open("fifo", O_RDWR | O_CLOEXEC));
	MUST(write(fifo, "queued", 6) == 6);
	MUST_SYS(unlink("fifo"));

	put_file("reused", 0, "old");
	alias = (int)MUST_SYS(open("reused", O_RDONLY | O_CLOEXEC));
	MUST_SYS(unlink("reused"));
	put_file("reused", 0, "new file of the same name");
	subject_wait();

	CHECK_EQ("offset", lseek(sparse, 0, SEEK_CUR), 4242);
	CHECK(!fstat(sparse, &st) && st.st_size == 64 * (off_t)MiB && (st.st_mode & 07777) == 0640, "size %ld mode %o", (long)st.st_size, st.st_mode);
	CHECK(st.st_blocks * 512 < (off_t)MiB, "the holes are filled: %ld KiB", (long)st.st_blocks / 2);
	for (off_t at = 0; at < (off_t)(64 * MiB); at += 16 * (off_t)MiB)
		CHECK(pread(sparse, now, PAGE, at + 3 * (off_t)PAGE) == PAGE && !memcmp(now, buf, PAGE), "content at %ld MiB", (long)(at >> 20));
	CHECK_EQ("links", st.st_nlink, 0);

	CHECK(!fstat(one, &st) && !fstat(two, &st2) && st.st_ino == st2.st_ino && st.st_dev == st2.st_dev, "two opens of one deleted file became two files");
	CHECK(write(two, "+", 1) == 1 && pread(one, now, 10, 0) == 6 && !memcmp(now, "twice+", 6), "content of the file that is open twice");

	CHECK(!fstat(linked, &st) && !stat("sub/other name", &st2) && st.st_ino == st2.st_ino, "no longer the file of the other name");
	CHECK_EQ("links", st.st_nlink, 1);
	CHECK(write(linked, "!", 1) == 1 && st2.st_size == 6, "size %ld", (long)st2.st_size);
	CHECK(access("name", F_OK) < 0, "the removed name is back");

	CHECK(!fstat(dir, &st) && S_ISDIR(st.st_mode) && (st.st_mode & 07777) == 0711, "deleted directory: mode %o", st.st_mode);
	CHECK(openat(dir, "x", O_CREAT | O_WRONLY | O_CLOEXEC, 0600) < 0 && errno == ENOENT, "the deleted directory takes files");
	CHECK(read(ro, now, 100) == 7 && !memcmp(now, "read me", 7), "read-only: %s", strerror(errno));
	CHECK_EQ("access mode", fcntl(ro, F_GETFL) & O_ACCMODE, O_RDONLY);
	CHECK(!fstat(fifo, &st) && S_ISFIFO(st.st_mode), "fifo: mode %o", st.st_mode);
	CHECK(read(fifo, now, 100) == 6 && !memcmp(now, "queued", 6), "deleted fifo: %s", strerror(errno));
	CHECK(read(alias, now, 100) == 3 && !memcmp(now, "old", 3), "the deleted file was taken for the new one of its name");
	return subject_done();
}
