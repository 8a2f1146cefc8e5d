/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Files that a path leads to: opened again at restore, after comparing type, size and time with those at the dump. */
#include <engine/plugin.h>

#include <fcntl.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "reg.pb-c.h"

/* Character devices of major 1 without state of their own. */
static bool stateless_device(const struct stat *st)
{
	unsigned minor_nr = minor(st->st_rdev);

	return S_ISCHR(st->st_mode) && major(st->st_rdev) == 1 && (minor_nr == 3 || minor_nr == 5 || minor_nr == 7 || minor_nr == 8 || minor_nr == 9);
}

static int reg_claim(const struct eng_ctx *ctx, const struct eng_file *file, struct eng_err *err)
{
	struct stat st;

	if (!S_ISREG(file->st.st_mode) && !S_ISDIR(file->st.st_mode) && !stateless_device(&file->st))
		return 0;
	if ((file->flags & O_PATH) || strncmp(file->link, "/proc/", 6) == 0 || file->link[0] != '/')
		return 0;
	/* The path must lead to this very file: deleted, replaced and hidden files are another kind's. */
	return stat(file->link, &st) == 0 && st.st_ino == file->st.st_ino && st.st_dev == file->st.st_dev;
}

static int reg_dump(const struct eng_ctx *ctx, const struct eng_file *file, ProtobufCMessage *record, struct eng_err *err)
{
	Reg__Reg *rec = (Reg__Reg *)record;

	rec->path = eng_strdup(ctx->run, file->link);
	rec->mode = file->st.st_mode;
	rec->size = (uint64_t)file->st.st_size;
	rec->mtime_ns = file->st.st_mtim.tv_sec * INT64_C(1000000000) + file->st.st_mtim.tv_nsec;
	rec->has_rdev = S_ISCHR(file->st.st_mode);
	rec->rdev = file->st.st_rdev;
	rec->has_writable = true;
	rec->writable = (file->flags & O_ACCMODE) != O_RDONLY;
	return 0;
}

static int reg_open(const struct eng_ctx *ctx, const struct eng_file_info *info, const ProtobufCMessage *record, int *ret_fd, struct eng_err *err)
{
	const Reg__Reg *rec = (const Reg__Reg *)record;
	_cleanup_close_ int fd = open(rec->path, (int)(info->flags & (O_ACCMODE | O_APPEND | O_NONBLOCK | O_DIRECTORY | O_NOATIME | O_DIRECT | O_SYNC | O_DSYNC)) |
							O_CLOEXEC | O_NOCTTY);
	struct stat st;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return eng_fail(err, errno, "cannot open %s", rec->path);
	if ((st.st_mode & S_IFMT) != (rec->mode & S_IFMT) || (S_ISCHR(st.st_mode) && st.st_rdev != rec->rdev))
		return eng_fail(err, EBADMSG, "%s is another kind of file than at the dump", rec->path);
	if (S_ISREG(st.st_mode) && !rec->writable &&
	    ((uint64_t)st.st_size != rec->size || st.st_mtim.tv_sec * INT64_C(1000000000) + st.st_mtim.tv_nsec != rec->mtime_ns)) {
		r = eng_fail(err, EBADMSG, "%s was changed since the dump", rec->path);
		eng_hint(err, "put back the file as it was");
		return r;
	}
	*ret_fd = TAKE_FD(fd);
	return 0;
}

static const struct eng_file_kind reg_kind = {
	.size = sizeof(reg_kind), .name = "fd/reg", .record = &reg__reg__descriptor, .seekable = true, .flags_set_by_open = true,
	.claim = reg_claim, .dump = reg_dump, .open = reg_open,
};

static const struct eng_plugin reg_plugin = {
	ENG_PLUGIN_HEAD, .name = "reg", .version = "1",
	.summary = "regular files, directories, /dev/null and the like, by path, with position and flags",
	.not_kept = "deleted files, locks, O_PATH", .file_kinds = ENG_LIST(&reg_kind),
};
ENG_PLUGIN_EXPORT(reg_plugin);
