/*
 * A plugin as a vendor would write it: its own kind of file, built with nothing but the installed header, library and pkg-config file. It keeps inotify instances; a
 * watch is found again by looking for its inode in the working directory of the process, which is enough for its test.
 */
#include <engine/plugin.h>

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>

#include "inotify.pb-c.h"

#ifndef INOTIFY_IOC_SETNEXTWD /* linux/inotify.h, which cannot be included with sys/inotify.h */
#define INOTIFY_IOC_SETNEXTWD _IOW('I', 0, int32_t)
#endif

/* The path of an inode that is the working directory or lies in it, or NULL. */
static char *find_path(const struct eng_ctx *ctx, struct eng_task *task, uint64_t ino)
{
	char cwd[4000], path[4400];
	ssize_t n = readlinkat(eng_task_procfd(task), "cwd", cwd, sizeof(cwd) - 1);
	struct dirent *ent;
	char *found = NULL;
	struct stat st;
	DIR *dir;

	if (n < 0)
		return NULL;
	cwd[n] = '\0';
	if (stat(cwd, &st) == 0 && st.st_ino == ino)
		return eng_strdup(ctx->run, cwd);
	dir = opendir(cwd);
	while (dir && !found && (ent = readdir(dir))) {
		(void)snprintf(path, sizeof(path), "%s/%s", cwd, ent->d_name);
		if (ent->d_ino == ino)
			found = eng_strdup(ctx->run, path);
	}
	if (dir)
		(void)closedir(dir);
	return found;
}

static int inotify_dump(const struct eng_ctx *ctx, const struct eng_file *file, ProtobufCMessage *record, struct eng_err *err)
{
	Inotify__Inotify *rec = (Inotify__Inotify *)record;
	int pending = 0;

	if (ioctl(file->fd, FIONREAD, &pending) == 0 && pending)
		eng_block(ctx->run, file->link, "has events that were not read yet", "try again");
	rec->watches = eng_alloc(ctx->run, strlen(file->fdinfo) * sizeof(*rec->watches));
	for (const char *p = strstr(file->fdinfo, "inotify wd:"); p && file->task; p = strstr(p + 1, "inotify wd:")) {
		Inotify__Watch *w = eng_alloc(ctx->run, sizeof(*w));
		uint64_t ino;

		inotify__watch__init(w);
		if (sscanf(p, "inotify wd:%x ino:%" SCNx64 " sdev:%*x mask:%x", &w->wd, &ino, &w->mask) != 3)
			return eng_fail(err, EBADMSG, "cannot understand fdinfo");
		w->path = find_path(ctx, file->task, ino);
		if (w->path)
			rec->watches[rec->n_watches++] = w;
		else
			eng_block(ctx->run, file->link, "watches a file whose path is not known", NULL);
	}
	return 0;
}

static int inotify_open(const struct eng_ctx *ctx, const struct eng_file_info *info, const ProtobufCMessage *record, int *ret_fd, struct eng_err *err)
{
	const Inotify__Inotify *rec = (const Inotify__Inotify *)record;
	_cleanup_close_ int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);

	if (fd < 0)
		return eng_fail(err, errno, "cannot create an inotify instance");
	for (size_t i = rec->n_watches; i-- > 0;) { /* fdinfo lists the newest first */
		int next = (int)rec->watches[i]->wd;

		(void)ioctl(fd, INOTIFY_IOC_SETNEXTWD, next); /* Linux 4.19 */
		if (inotify_add_watch(fd, rec->watches[i]->path, rec->watches[i]->mask) != next)
			return eng_fail(err, errno, "cannot watch %s as number %d", rec->watches[i]->path, next);
	}
	*ret_fd = TAKE_FD(fd);
	return 0;
}

static const struct eng_file_kind inotify_kind = {
	.size = sizeof(inotify_kind), .name = "fd/inotify", .anon_inode = "inotify", .record = &inotify__inotify__descriptor,
	.dump = inotify_dump, .open = inotify_open,
};

static const struct eng_plugin inotify_plugin = {
	ENG_PLUGIN_HEAD, .name = "inotify", .version = "1", .summary = "inotify instances", .file_kinds = ENG_LIST(&inotify_kind),
};
ENG_PLUGIN_EXPORT(inotify_plugin);
