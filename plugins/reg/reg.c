/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Files that a path leads to: opened again at restore, after comparing type, size and time with those at the dump.
 *
 * A file that was deleted while open has no path. Its content is kept in the image, once however many descriptions and mappings it has: at restore it is
 * created under its old name (or another, if that is taken), deleted at once, and opened again through /proc for each of them. A file that has lost this
 * name but has another is searched for below the directory where it was.
 *
 * Files of /proc/PID are opened when that process exists again; of a process that is gone, a short-lived process stands in.
 */
#include <engine/plugin.h>

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <sys/wait.h>

#include "reg.pb-c.h"

#define PROC_MAGIC 0x9fa0
#define HUGETLBFS_MAGIC 0x958458f6
#define TMPFILE_BIT (020000000u & ~(unsigned)O_DIRECTORY)
#define SECOND INT64_C(1000000000)

static const char gone[] = " (deleted)";

struct conf {
	uint64_t search;
};

struct object {
	struct object *next;
	dev_t dev; /* dump */
	ino_t ino;
	uint64_t id;
	uint64_t first; /* restore: the description that created it */
};

struct found {
	struct found *next;
	dev_t dev;
	ino_t ino;
	char *path; /* NULL: searched for in vain */
};

struct state {
	struct object *list;
	struct found *found;
	uint64_t last_id;
	dev_t shm_dev;
};

enum where {
	HERE,     /* the path leads to it */
	DELETED,  /* it has no name */
	ELSEWHERE, /* it has names, and this is none of them */
	HIDDEN,   /* its name leads to another file */
};

/* ------------------------------------------------------------------------------------------------ looking at a file */

/* Character devices of major 1 without state of their own. */
static bool stateless_device(const struct stat *st)
{
	unsigned minor_nr = minor(st->st_rdev);

	return S_ISCHR(st->st_mode) && major(st->st_rdev) == 1 && (minor_nr == 3 || minor_nr == 5 || minor_nr == 7 || minor_nr == 8 || minor_nr == 9);
}

/* The kernel's own mount of tmpfs has no paths: memfds, shared memory. */
static bool kernel_memory(const struct eng_ctx *ctx, const struct eng_file *file)
{
	struct state *state = ctx->state;
	_cleanup_close_ int fd = state->shm_dev ? -EBADF : memfd_create("probe", MFD_CLOEXEC);
	struct statfs fs;
	struct stat st;

	if (fd >= 0 && fstat(fd, &st) == 0)
		state->shm_dev = st.st_dev;
	if (file->st.st_dev == state->shm_dev)
		return true;
	return fstatfs(file->fd, &fs) == 0 && fs.f_type == HUGETLBFS_MAGIC &&
	       (strncmp(file->link, "/memfd:", 7) == 0 || strncmp(file->link, "/anon_hugepage", 14) == 0 || strncmp(file->link, "/SYSV", 5) == 0);
}

static bool on_proc(const struct eng_file *file)
{
	struct statfs fs;

	return fstatfs(file->fd, &fs) == 0 && fs.f_type == PROC_MAGIC;
}

static bool same_file(const char *path, const struct stat *st)
{
	struct stat now;

	return lstat(path, &now) == 0 && now.st_ino == st->st_ino && now.st_dev == st->st_dev;
}

/* The text of the link: of a mapping, /proc/PID/maps has it with some characters escaped. */
static char *link_of(const struct eng_ctx *ctx, const struct eng_file *file)
{
	char name[40], *text = eng_alloc(ctx->run, PATH_MAX + sizeof(gone));
	ssize_t n;

	(void)snprintf(name, sizeof(name), "/proc/self/fd/%d", file->fd);
	n = readlink(name, text, PATH_MAX + sizeof(gone) - 1);
	if (n > 0)
		text[n] = '\0';
	return n > 0 ? text : strcpy(text, "");
}

/* A name may itself end in " (deleted)": what the path leads to decides. *path loses the mark of the kernel. */
static enum where locate(char *path, const struct stat *st)
{
	size_t len = strlen(path);

	if (same_file(path, st))
		return HERE;
	if (len < sizeof(gone) || strcmp(path + len - (sizeof(gone) - 1), gone) != 0)
		return HIDDEN;
	path[len - (sizeof(gone) - 1)] = '\0';
	return st->st_nlink == 0 || S_ISDIR(st->st_mode) ? DELETED : ELSEWHERE;
}

static const char *object_of(const struct eng_ctx *ctx, const struct eng_file *file, const char *path)
{
	if (!file->task)
		return eng_printf(ctx->run, "file in flight (%s)", path);
	if (file->mapped_only)
		return eng_printf(ctx->run, "process %d mapping (%s)", eng_task_pid(file->task), path);
	return eng_printf(ctx->run, "process %d fd %d (%s)", eng_task_pid(file->task), file->nr, path);
}

static int reg_claim(const struct eng_ctx *ctx, const struct eng_file *file, struct eng_err *err)
{
	mode_t mode = file->st.st_mode;

	if (file->link[0] != '/' || on_proc(file) || kernel_memory(ctx, file))
		return 0;
	return S_ISREG(mode) || S_ISDIR(mode) || stateless_device(&file->st) || (file->flags & O_PATH);
}

/* ------------------------------------------------------------------------------------------------ dump */

struct search {
	const struct eng_ctx *ctx;
	const struct stat *st;
	uint64_t left; /* entries that may still be looked at */
	char path[PATH_MAX];
};

/* Breadth would find more with few steps, depth needs no queue; directories of other file systems are left alone. */
static bool search_below(struct search *s, size_t len, unsigned depth)
{
	DIR *dir = depth < 32 ? opendir(s->path) : NULL;
	bool found = false;
	struct dirent *ent;
	struct stat st;

	while (dir && !found && s->left && (ent = readdir(dir))) {
		int n = snprintf(s->path + len, sizeof(s->path) - len, "/%s", ent->d_name);

		s->left--;
		if (n < 0 || (size_t)n >= sizeof(s->path) - len || strcmp(ent->d_name, ".") == 0 || strcmp(ent->d_name, "..") == 0)
			continue;
		if (ent->d_type == DT_DIR || ent->d_type == DT_UNKNOWN || ent->d_ino == s->st->st_ino) {
			if (lstat(s->path, &st) < 0 || st.st_dev != s->st->st_dev)
				continue;
			found = st.st_ino == s->st->st_ino || (S_ISDIR(st.st_mode) && search_below(s, len + (size_t)n, depth + 1));
		}
	}
	if (dir)
		(void)closedir(dir);
	return found;
}

/* The nearest directory above path that exists. */
static void parent_of(char *path)
{
	char *slash;
	struct stat st;

	while ((slash = strrchr(path, '/'))) {
		slash[slash == path] = '\0';
		if (slash == path || (stat(path, &st) == 0 && S_ISDIR(st.st_mode)))
			return;
	}
}

/* Another name of a file that has lost this one, or NULL. */
static const char *other_name(const struct eng_ctx *ctx, const char *path, const struct stat *st)
{
	struct state *state = ctx->state;
	const struct conf *conf = ctx->conf; /* absent where nothing reads configuration yet */
	struct search *s;
	struct found *f;

	for (f = state->found; f; f = f->next)
		if (f->dev == st->st_dev && f->ino == st->st_ino && (!f->path || same_file(f->path, st)))
			return f->path;
	s = eng_alloc(ctx->run, sizeof(*s));
	*s = (struct search){ .ctx = ctx, .st = st, .left = conf ? conf->search : 20000 };
	(void)snprintf(s->path, sizeof(s->path), "%s", path);
	parent_of(s->path);
	f = eng_alloc(ctx->run, sizeof(*f));
	*f = (struct found){ .next = state->found, .dev = st->st_dev, .ino = st->st_ino };
	f->path = search_below(s, strcmp(s->path, "/") == 0 ? 0 : strlen(s->path), 0) ? s->path : NULL;
	state->found = f;
	return f->path;
}

static int save_deleted(const struct eng_ctx *ctx, const struct eng_file *file, const char *path, uint64_t id, struct eng_err *err)
{
	Reg__Deleted rec = REG__DELETED__INIT;
	char name[40];
	int r = 0;

	rec.directory = eng_strdup(ctx->run, path);
	parent_of(rec.directory);
	rec.name = eng_strdup(ctx->run, strrchr(path, '/') + 1);
	rec.mode = file->st.st_mode;
	rec.uid = file->st.st_uid;
	rec.gid = file->st.st_gid;
	rec.atime_ns = file->st.st_atim.tv_sec * SECOND + file->st.st_atim.tv_nsec;
	rec.mtime_ns = file->st.st_mtim.tv_sec * SECOND + file->st.st_mtim.tv_nsec;
	if (S_ISREG(rec.mode)) {
		_cleanup_close_ int fd = -EBADF;

		(void)snprintf(name, sizeof(name), "/proc/self/fd/%d", file->fd);
		fd = open(name, O_RDONLY | O_CLOEXEC | O_NOATIME | O_NONBLOCK);
		if (fd < 0 && errno == EPERM)
			fd = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
		if (fd < 0)
			return eng_fail(err, errno, "cannot open deleted %s for reading", path);
		rec.has_blob = true;
		r = eng_blob_save(ctx->run, fd, (uint64_t)file->st.st_size, &rec.blob, err);
	}
	return r < 0 ? r : eng_record(ctx, "reg/deleted", id, &rec.base, err);
}

static int dump_deleted(const struct eng_ctx *ctx, const struct eng_file *file, const char *path, Reg__Reg *rec, struct eng_err *err)
{
	struct state *state = ctx->state;
	struct object *o;

	if (!S_ISREG(file->st.st_mode) && !S_ISDIR(file->st.st_mode))
		eng_block(ctx->run, object_of(ctx, file, path), "is open for its path only, and is deleted", "close it");
	rec->has_deleted = true;
	if (ctx->rehearsal)
		return 0;
	for (o = state->list; o; o = o->next)
		if (o->dev == file->st.st_dev && o->ino == file->st.st_ino) {
			rec->deleted = o->id;
			return 0;
		}
	o = eng_alloc(ctx->run, sizeof(*o));
	*o = (struct object){ .next = state->list, .dev = file->st.st_dev, .ino = file->st.st_ino, .id = ++state->last_id };
	state->list = o;
	rec->deleted = o->id;
	return save_deleted(ctx, file, path, o->id, err);
}

static void describe(const struct eng_file *file, Reg__Reg *rec)
{
	rec->mode = file->st.st_mode;
	rec->size = (uint64_t)file->st.st_size;
	rec->mtime_ns = file->st.st_mtim.tv_sec * SECOND + file->st.st_mtim.tv_nsec;
	rec->has_rdev = S_ISCHR(file->st.st_mode) || S_ISBLK(file->st.st_mode);
	rec->rdev = file->st.st_rdev;
	rec->has_writable = true;
	rec->writable = (file->flags & O_ACCMODE) != O_RDONLY;
}

static int reg_dump(const struct eng_ctx *ctx, const struct eng_file *file, ProtobufCMessage *record, struct eng_err *err)
{
	Reg__Reg *rec = (Reg__Reg *)record;
	char *path = link_of(ctx, file);
	const char *other;

	rec->path = path;
	describe(file, rec);
	switch (locate(path, &file->st)) {
	case HERE:
		break;
	case DELETED:
		return dump_deleted(ctx, file, path, rec, err);
	case ELSEWHERE:
		other = other_name(ctx, path, &file->st);
		if (other)
			rec->other = eng_strdup(ctx->run, other);
		else
			eng_block(ctx->run, object_of(ctx, file, path), eng_printf(ctx->run, "was removed under this name, but has %lu more that were not found", (unsigned long)file->st.st_nlink),
				  "link it into its old directory again, close it, or raise option `search` of plugin reg");
		break;
	case HIDDEN:
		eng_block(ctx->run, object_of(ctx, file, path), "cannot be reached by its path: another file or mount is there", "close it, or unmount what hides it");
		break;
	}
	return 0;
}

static int reg_pause(const struct eng_ctx *ctx, struct eng_err *err)
{
	((struct state *)ctx->state)->list = NULL;
	return 0;
}

/* ------------------------------------------------------------------------------------------------ restore */

static int open_flags(const struct eng_file_info *info, const Reg__Reg *rec)
{
	unsigned flags = info->flags;

	if (flags & O_PATH)
		return (int)(flags & (O_PATH | O_NOFOLLOW | O_DIRECTORY)) | O_CLOEXEC;
	if ((flags & TMPFILE_BIT) && !S_ISDIR(rec->mode))
		flags &= ~(unsigned)O_DIRECTORY; /* it was opened with O_TMPFILE, which has that bit too */
	return (int)(flags & (O_ACCMODE | O_APPEND | O_NONBLOCK | O_DIRECTORY | O_NOATIME | O_DIRECT | O_SYNC | O_DSYNC | O_NOFOLLOW)) | O_CLOEXEC | O_NOCTTY;
}

static int reopen(int fd, int flags)
{
	char path[40];

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, (flags & ~O_NOFOLLOW) | O_CLOEXEC);
}

struct undo {
	char *path;
	bool directory, armed;
};

static void undo_create(void *data)
{
	const struct undo *u = data;

	if (u->armed)
		(void)(u->directory ? rmdir(u->path) : unlink(u->path));
}

/* Under its own name, so that the link in /proc says the same; under another if that is taken. */
static int create_at(const Reg__Deleted *rec, struct undo *u, struct eng_err *err)
{
	int fd = -1;

	for (unsigned i = 0; i < 100; i++) {
		if (i)
			(void)snprintf(u->path, PATH_MAX, "%s/.%s.%d-%u", rec->directory, "engine", getpid(), i);
		if (u->directory)
			fd = mkdir(u->path, 0700) < 0 ? -1 : open(u->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		else
			fd = open(u->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (fd >= 0 || errno != EEXIST)
			break;
	}
	return fd < 0 ? eng_fail(err, errno, "cannot create deleted file %s/%s again", rec->directory, rec->name) : fd;
}

static int create(const struct eng_ctx *ctx, const Reg__Deleted *rec, int *ret_fd, struct eng_err *err)
{
	const struct timespec times[2] = { { rec->atime_ns / SECOND, rec->atime_ns % SECOND }, { rec->mtime_ns / SECOND, rec->mtime_ns % SECOND } };
	struct undo *u = eng_alloc(ctx->run, sizeof(*u));
	_cleanup_close_ int fd = -EBADF;
	int r = 0;

	if ((!S_ISREG(rec->mode) && !S_ISDIR(rec->mode)) || strchr(rec->name, '/') || !rec->name[0] || strlen(rec->directory) + strlen(rec->name) + 2 > PATH_MAX)
		return eng_fail(err, EBADMSG, "the record of deleted file %s is impossible", rec->name);
	*u = (struct undo){ .path = eng_alloc(ctx->run, PATH_MAX), .directory = S_ISDIR(rec->mode), .armed = true };
	(void)snprintf(u->path, PATH_MAX, "%s/%s", strcmp(rec->directory, "/") == 0 ? "" : rec->directory, rec->name);
	fd = create_at(rec, u, err);
	if (fd < 0)
		return fd;
	eng_undo(ctx->run, undo_create, u);
	if ((u->directory ? rmdir(u->path) : unlink(u->path)) < 0)
		return eng_fail(err, errno, "cannot delete %s", u->path);
	u->armed = false;
	if (rec->has_blob)
		r = eng_blob_load(ctx->run, rec->blob, fd, err);
	if (r < 0)
		return eng_wrap(err, r, "deleted file %s", rec->name);
	if (fchown(fd, rec->uid, rec->gid) < 0 || fchmod(fd, rec->mode & 07777) < 0 || futimens(fd, times) < 0)
		return eng_fail(err, errno, "cannot set owner, permissions and times of deleted file %s", rec->name);
	*ret_fd = TAKE_FD(fd);
	return 0;
}

static int open_deleted(const struct eng_ctx *ctx, const struct eng_file_info *info, const Reg__Reg *rec, int *ret_fd, struct eng_err *err)
{
	const Reg__Deleted *del = (const Reg__Deleted *)eng_find_record(ctx->run, "reg/deleted", rec->deleted);
	struct state *state = ctx->state;
	struct object *o = state->list;
	_cleanup_close_ int base = -EBADF;
	int r;

	if (!del)
		return eng_fail(err, EBADMSG, "the image has no reg/deleted %" PRIu64, rec->deleted);
	while (o && o->id != rec->deleted)
		o = o->next;
	if (!o) {
		r = create(ctx, del, &base, err);
		if (r < 0)
			return r;
		o = eng_alloc(ctx->run, sizeof(*o));
		*o = (struct object){ .next = state->list, .id = rec->deleted, .first = info->id };
		state->list = o;
	}
	*ret_fd = reopen(base >= 0 ? base : eng_file_fd(ctx->run, o->first), open_flags(info, rec));
	return *ret_fd < 0 ? eng_fail(err, errno, "cannot open deleted file %s", del->name) : 0;
}

/* Through the name that was removed, so that the link in /proc says the same: it is there for a moment. */
static int open_linked(const struct eng_ctx *ctx, const struct eng_file_info *info, const Reg__Reg *rec)
{
	struct undo *u = eng_alloc(ctx->run, sizeof(*u));
	int fd, e;

	*u = (struct undo){ .path = rec->path };
	eng_undo(ctx->run, undo_create, u);
	u->armed = link(rec->other, rec->path) == 0;
	fd = open(u->armed ? rec->path : rec->other, open_flags(info, rec));
	e = errno;
	if (u->armed && unlink(rec->path) == 0)
		u->armed = false;
	errno = e;
	return fd;
}

static int reg_open(const struct eng_ctx *ctx, const struct eng_file_info *info, const ProtobufCMessage *record, int *ret_fd, struct eng_err *err)
{
	const Reg__Reg *rec = (const Reg__Reg *)record;
	_cleanup_close_ int fd = -EBADF;
	struct stat st;
	int r;

	if (rec->has_deleted)
		return open_deleted(ctx, info, rec, ret_fd, err);
	fd = rec->other ? open_linked(ctx, info, rec) : open(rec->path, open_flags(info, rec));
	if (fd < 0 || fstat(fd, &st) < 0)
		return eng_fail(err, errno, "cannot open %s", rec->path);
	if ((st.st_mode & S_IFMT) != (rec->mode & S_IFMT) || (rec->has_rdev && st.st_rdev != rec->rdev))
		return eng_fail(err, EBADMSG, "%s is another kind of file than at the dump", rec->path);
	if (S_ISREG(st.st_mode) && !rec->writable && !rec->unchecked && !(info->flags & O_PATH) &&
	    ((uint64_t)st.st_size != rec->size || st.st_mtim.tv_sec * SECOND + st.st_mtim.tv_nsec != rec->mtime_ns)) {
		r = eng_fail(err, EBADMSG, "%s was changed since the dump", rec->path);
		eng_hint(err, "put back the file as it was");
		return r;
	}
	*ret_fd = TAKE_FD(fd);
	return 0;
}

/* ------------------------------------------------------------------------------------------------ /proc */

/* "/proc/PID" or "/proc/PID/rest": the process, or 0. */
static pid_t pid_of(const char *path, const char **ret_rest)
{
	char *end;
	long pid = strncmp(path, "/proc/", 6) == 0 ? strtol(path + 6, &end, 10) : 0;

	if (pid <= 0 || (*end != '/' && *end != '\0'))
		return 0;
	*ret_rest = *end ? end + 1 : end;
	return (pid_t)pid;
}

static bool alive(pid_t pid)
{
	char path[32];

	(void)snprintf(path, sizeof(path), "/proc/%d", pid);
	return access(path, F_OK) == 0;
}

enum proc_file { NO_PROC, SYSTEM, LIVE, DEAD };

/* Its own process is gone: the path leads nowhere, and the kernel says so in some links, not in all. */
static enum proc_file proc_file(const struct eng_file *file, char *path, pid_t *ret_pid, const char **ret_rest)
{
	enum where where;

	if (path[0] != '/' || !on_proc(file))
		return NO_PROC;
	where = locate(path, &file->st);
	*ret_pid = pid_of(path, ret_rest);
	if (*ret_pid == 0)
		return where == HERE ? SYSTEM : NO_PROC;
	if (where == HERE)
		return LIVE;
	return alive(*ret_pid) && same_file(path, &file->st) ? LIVE : DEAD;
}

static int claims(const struct eng_ctx *ctx, const struct eng_file *file, enum proc_file want)
{
	const char *rest;
	pid_t pid;

	return file->link[0] == '/' && proc_file(file, link_of(ctx, file), &pid, &rest) == want;
}

static int system_claim(const struct eng_ctx *ctx, const struct eng_file *file, struct eng_err *err)
{
	return claims(ctx, file, SYSTEM);
}

static int live_claim(const struct eng_ctx *ctx, const struct eng_file *file, struct eng_err *err)
{
	return claims(ctx, file, LIVE);
}

static int dead_claim(const struct eng_ctx *ctx, const struct eng_file *file, struct eng_err *err)
{
	return claims(ctx, file, DEAD);
}

/* The process that a thread is of: its files may be named by any of its threads. */
static pid_t process_of(const struct eng_ctx *ctx, pid_t tid)
{
	char path[40], text[2048];
	_cleanup_close_ int fd = -EBADF;
	const char *tgid;
	ssize_t n;

	(void)snprintf(path, sizeof(path), "/proc/%d/status", tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	text[n > 0 ? n : 0] = '\0';
	tgid = eng_text_field(text, "Tgid");
	return tgid ? (pid_t)atoi(tgid) : 0;
}

static int proc_dump(const struct eng_ctx *ctx, const struct eng_file *file, ProtobufCMessage *record, struct eng_err *err)
{
	Reg__Reg *rec = (Reg__Reg *)record;
	char *path = link_of(ctx, file);
	const char *rest, *sub;
	pid_t pid;
	enum proc_file what = proc_file(file, path, &pid, &rest);

	rec->path = path;
	describe(file, rec);
	rec->has_unchecked = rec->unchecked = true;
	if (what == LIVE && !eng_run_task(ctx->run, process_of(ctx, pid)))
		eng_block(ctx->run, object_of(ctx, file, path), eng_printf(ctx->run, "is a file of process %d, which is outside the tree", pid), "close it, or dump the tree that has both");
	if (what != DEAD)
		return 0;
	rec->has_dead_pid = true;
	rec->dead_pid = pid;
	rec->path = eng_strdup(ctx->run, rest);
	sub = strncmp(rest, "task/", 5) == 0 ? rest + 5 : "";
	if (*sub && atoi(sub) != pid)
		eng_block(ctx->run, object_of(ctx, file, path), "is a file of a thread that is gone", "close it");
	return 0;
}

/* A process that does nothing, with that number if it can be had. */
static pid_t stand_in(pid_t pid)
{
	struct clone_args args = { .set_tid = (uintptr_t)&pid, .set_tid_size = 1 };
	pid_t child = (pid_t)syscall(SYS_clone3, &args, sizeof(args));

	if (child < 0) {
		args.set_tid = args.set_tid_size = 0;
		child = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
	}
	if (child == 0)
		for (;;)
			(void)syscall(SYS_pause);
	return child;
}

static int dead_open(const struct eng_ctx *ctx, const struct eng_file_info *info, const ProtobufCMessage *record, int *ret_fd, struct eng_err *err)
{
	const Reg__Reg *rec = (const Reg__Reg *)record;
	pid_t child = stand_in(rec->dead_pid);
	const char *rest = rec->path;
	char path[PATH_MAX];
	int fd, e;

	if (child < 0)
		return eng_fail(err, errno, "cannot create a process in the place of %d", rec->dead_pid);
	if (strncmp(rest, "task/", 5) == 0) { /* its only thread: the number may differ */
		const char *slash = strchr(rest + 5, '/');

		(void)snprintf(path, sizeof(path), "/proc/%d/task/%d%s", child, child, slash ?: "");
	} else {
		(void)snprintf(path, sizeof(path), "/proc/%d/%s", child, rest);
	}
	fd = open(path, open_flags(info, rec));
	e = errno;
	(void)kill(child, SIGKILL);
	while (waitpid(child, NULL, __WALL) < 0 && errno == EINTR)
		;
	if (fd < 0)
		return eng_fail(err, e, "cannot open %s in the place of process %d", rest, rec->dead_pid);
	*ret_fd = fd;
	return 0;
}

/* ------------------------------------------------------------------------------------------------ */

static const struct eng_file_kind reg_kind = {
	.size = sizeof(reg_kind), .name = "fd/reg", .record = &reg__reg__descriptor, .seekable = true, .flags_set_by_open = true,
	.claim = reg_claim, .dump = reg_dump, .open = reg_open,
};

static const struct eng_file_kind system_kind = {
	.size = sizeof(system_kind), .name = "fd/procsys", .record = &reg__reg__descriptor, .seekable = true, .flags_set_by_open = true,
	.claim = system_claim, .dump = proc_dump, .open = reg_open,
};

static const struct eng_file_kind live_kind = {
	.size = sizeof(live_kind), .name = "fd/proc", .record = &reg__reg__descriptor, .seekable = true, .flags_set_by_open = true, .late = true,
	.claim = live_claim, .dump = proc_dump, .open = reg_open,
};

static const struct eng_file_kind dead_kind = {
	.size = sizeof(dead_kind), .name = "fd/proc-dead", .record = &reg__reg__descriptor, .flags_set_by_open = true,
	.claim = dead_claim, .dump = proc_dump, .open = dead_open,
};

static const struct eng_record_kind reg_records[] = { { "reg/deleted", &reg__deleted__descriptor }, { 0 } };

static const struct eng_option reg_options[] = {
	ENG_OPTION("search", ENG_OPTION_UINT, struct conf, search, "20000", "Directory entries to look at for another name of a file that lost its own; 0: refuse"),
	{ 0 },
};

static const struct eng_plugin reg_plugin = {
	ENG_PLUGIN_HEAD, .name = "reg", .version = "1",
	.summary = "regular files, directories, symbolic links, /dev/null and the like, by path, with position and flags; deleted files with content; files of /proc",
	.not_kept = "extended attributes of deleted files; deleted devices, sockets and links",
	.state_size = sizeof(struct state), .conf_size = sizeof(struct conf), .options = reg_options,
	.file_kinds = ENG_LIST(&reg_kind, &system_kind, &live_kind, &dead_kind), .records = reg_records, .pause = reg_pause,
};
ENG_PLUGIN_EXPORT(reg_plugin);
