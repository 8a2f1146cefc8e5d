/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Files: each open file description once, claimed by one kind. Identity by kcmp(2) among those with the same inode. */
#include "core/dump.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/kcmp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "core/io.h"

void eng_dump_forget_files(struct eng_dump *d)
{
	for (size_t i = 0; i < d->n_files; i++)
		eng_closep(&d->files[i].fd);
	d->n_files = 0;
	free(d->files);
	d->files = NULL;
	d->cap_files = 0;
	free(d->order);
	d->order = NULL;
	d->n_order = d->cap_order = 0;
}

static struct eng_dump_file *add_file(struct eng_dump *d, struct eng_err *err)
{
	if (d->n_files == d->cap_files) {
		size_t cap = d->cap_files ? d->cap_files * 2 : 64;
		struct eng_dump_file *p = realloc(d->files, cap * sizeof(*p));

		if (!p) {
			(void)eng_fail(err, ENOMEM, "cannot list files");
			return NULL;
		}
		d->files = p;
		d->cap_files = cap;
	}
	d->files[d->n_files] = (struct eng_dump_file){ .id = d->n_files + 1, .fd = -EBADF };
	return &d->files[d->n_files++];
}

/* Ask the kinds, and record what the one that claims says. An object that none claims is a blocker. */
static int claim_and_put(struct eng_dump *d, struct eng_file *file, const char *object, struct eng_err *err)
{
	struct eng_run_plugin *owner;
	const struct eng_file_kind *kind;
	_cleanup_free_ ProtobufCMessage *msg = NULL;
	Engine__File rec = ENGINE__FILE__INIT;
	char text[4300];
	int r = eng_run_claim(d->run, file, &owner, &kind, err);

	if (r < 0)
		return eng_wrap(err, r, "%s", object);
	if (r == 0) {
		(void)snprintf(text, sizeof(text), "%s (%s)", object, file->link);
		eng_block(d->run, text, "is of a kind that no loaded plugin keeps", "close it, or add the plugin for it");
		return 0;
	}
	msg = malloc(kind->record->sizeof_message);
	if (!msg)
		return eng_fail(err, ENOMEM, "cannot record %s", object);
	protobuf_c_message_init(kind->record, msg);
	owner->ctx.rehearsal = !d->frozen;
	r = kind->dump(&owner->ctx, file, msg, err);
	if (r < 0)
		return eng_wrap(err, r, "%s", object);
	if (!d->frozen)
		return 0;
	rec.kind = (char *)kind->name;
	rec.flags = file->flags;
	rec.pos = file->pos;
	rec.has_nr = rec.has_mapped_only = rec.has_pid = true;
	rec.pid = file->task ? file->task->pid : 0;
	rec.nr = file->nr;
	rec.mapped_only = file->mapped_only;
	if (!file->mapped_only && !(file->flags & O_PATH)) {
		struct f_owner_ex async = { 0 };
		int sig = fcntl(file->fd, F_GETSIG);

		if (fcntl(file->fd, F_GETOWN_EX, &async) == 0 && async.pid != 0) {
			rec.has_owner_type = rec.has_owner_pid = true;
			rec.owner_type = (int32_t)async.type;
			rec.owner_pid = async.pid;
		}
		rec.has_owner_signal = sig > 0;
		rec.owner_signal = sig;
	}
	r = eng_image_put(d->image, "core/file", file->id, &rec.base, err);
	return r < 0 ? r : eng_image_put(d->image, kind->name, file->id, msg, err);
}

/* A total order: by inode, then as kcmp(2) orders descriptions (it tells smaller from greater, without telling addresses). */
static int order_of(const struct eng_dump_file *a, const struct stat *st, int fd)
{
	long r;

	if (a->dev != st->st_dev)
		return a->dev < st->st_dev ? -1 : 1;
	if (a->ino != st->st_ino)
		return a->ino < st->st_ino ? -1 : 1;
	r = syscall(SYS_kcmp, getpid(), getpid(), KCMP_FILE, a->fd, fd);
	return r == 0 ? 0 : r == 1 ? -1 : 1;
}

/* The known file of the same description, or NULL; *ret_at: where it would be in the order. */
static struct eng_dump_file *find_file(struct eng_dump *d, const struct stat *st, int fd, size_t *ret_at)
{
	size_t lo = 0, hi = d->n_order;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		int r = order_of(&d->files[d->order[mid]], st, fd);

		if (r == 0)
			return &d->files[d->order[mid]];
		if (r < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	*ret_at = lo;
	return NULL;
}

static int insert_order(struct eng_dump *d, size_t at, size_t index, struct eng_err *err)
{
	if (d->n_order == d->cap_order) {
		size_t cap = d->cap_order ? d->cap_order * 2 : 64, *p = realloc(d->order, cap * sizeof(*p));

		if (!p)
			return eng_fail(err, ENOMEM, "cannot list files");
		d->order = p;
		d->cap_order = cap;
	}
	memmove(d->order + at + 1, d->order + at, (d->n_order - at) * sizeof(*d->order));
	d->order[at] = index;
	d->n_order++;
	return 0;
}

static int seen(struct eng_dump *d, struct eng_dump_task *t, struct eng_file *file, const char *object, struct eng_err *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && t && i < d->run->n_plugins; i++) {
		struct eng_run_plugin *p = &d->run->plugins[i];

		p->ctx.rehearsal = !d->frozen;
		if (p->desc.fd_seen)
			r = p->desc.fd_seen(&p->ctx, &t->task, file->nr, file, err);
	}
	return r < 0 ? eng_wrap(err, r, "%s", object) : 0;
}

/* `fd` is ours and is taken. file: task, nr, fdinfo are filled. */
static int identify(struct eng_dump *d, struct eng_dump_task *t, struct eng_file *file, int fd_taken, const char *object, struct eng_err *err)
{
	_cleanup_close_ int fd = fd_taken;
	const char *flags = eng_text_field(file->fdinfo, "flags"), *pos = eng_text_field(file->fdinfo, "pos"), *mnt = eng_text_field(file->fdinfo, "mnt_id");
	struct eng_dump_file *known;
	char name[32], link[4200];
	size_t at = 0;
	ssize_t n;
	int r;

	if (fstat(fd, &file->st) < 0)
		return eng_fail(err, errno, "%s", object);
	file->flags = flags ? (unsigned)strtoul(flags, NULL, 8) & ~(unsigned)O_CLOEXEC : 0;
	file->pos = pos ? strtoull(pos, NULL, 10) : 0;
	file->mnt_id = mnt ? atoi(mnt) : -1;
	file->fd = fd;
	(void)snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	n = readlink(name, link, sizeof(link) - 1);
	if (n < 0)
		return eng_fail(err, errno, "%s: cannot read its link", object);
	link[n] = '\0';
	file->link = link;
	known = find_file(d, &file->st, fd, &at);
	if (known) {
		file->id = known->id;
		return seen(d, t, file, object, err);
	}
	if (S_ISSOCK(file->st.st_mode)) {
		socklen_t len = sizeof(int);

		(void)getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &file->sock_family, &len);
		(void)getsockopt(fd, SOL_SOCKET, SO_TYPE, &file->sock_type, &len);
		(void)getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &file->sock_proto, &len);
	}
	if (eng_text_field(file->fdinfo, "lock") && !eng_run_keeps(d->run, "lock"))
		eng_block(d->run, object, "holds a file lock, and no loaded plugin keeps it", NULL);
	known = add_file(d, err);
	if (!known)
		return -ENOMEM;
	known->dev = file->st.st_dev;
	known->ino = file->st.st_ino;
	known->fd = TAKE_FD(fd);
	file->id = known->id;
	r = insert_order(d, at, d->n_files - 1, err);
	if (r < 0)
		return r;
	r = claim_and_put(d, file, object, err);
	return r < 0 ? r : seen(d, t, file, object, err);
}

/* One fd of the target: *ret_id is the number of its description. */
static int dump_fd(struct eng_dump *d, struct eng_dump_task *t, int nr, uint64_t *ret_id, bool *ret_cloexec, struct eng_err *err)
{
	_cleanup_free_ char *fdinfo = NULL;
	_cleanup_close_ int fd = (int)syscall(SYS_pidfd_getfd, t->task.pidfd, nr, 0);
	struct eng_file file = { .nr = nr, .task = &t->task, .sock_family = -1, .sock_type = -1, .sock_proto = -1 };
	char name[32], object[64];
	const char *flags;
	int r;

	if (fd < 0 && (errno == EBADF || errno == ESRCH) && !d->frozen)
		return ENG_TASK_GONE;
	if (fd < 0)
		return eng_fail(err, errno, "cannot get fd %d of process %d", nr, t->task.pid);
	(void)snprintf(name, sizeof(name), "fdinfo/%d", nr);
	r = eng_read_file_at(t->task.procfd, name, &fdinfo, NULL);
	if (r < 0)
		return d->frozen ? eng_fail(err, -r, "cannot read fdinfo/%d", nr) : ENG_TASK_GONE;
	flags = eng_text_field(fdinfo, "flags");
	*ret_cloexec = flags && strtoul(flags, NULL, 8) & O_CLOEXEC;
	file.fdinfo = fdinfo;
	(void)snprintf(object, sizeof(object), "process %d fd %d", t->task.pid, nr);
	r = identify(d, t, &file, TAKE_FD(fd), object, err);
	*ret_id = file.id;
	return r;
}

int eng_file_of(struct eng_run *run, struct eng_task *task, int nr, uint64_t *ret_id, struct eng_err *err)
{
	struct eng_dump *d = run->dump;
	bool cloexec;
	int r = -1;

	for (size_t i = 0; d && i < d->n_tasks; i++)
		if (&d->tasks[i]->task == task) {
			r = dump_fd(d, d->tasks[i], nr, ret_id, &cloexec, err);
			return r == ENG_TASK_GONE ? eng_fail(err, EBADF, "fd %d of process %d", nr, task->pid) : r;
		}
	return eng_fail(err, ESRCH, "fd %d", nr);
}

int eng_file_adopt(struct eng_run *run, int nr, uint64_t *ret_id, struct eng_err *err)
{
	struct eng_file file = { .nr = -1, .sock_family = -1, .sock_type = -1, .sock_proto = -1 };
	_cleanup_free_ char *fdinfo = NULL;
	_cleanup_close_ int fd = fcntl(nr, F_DUPFD_CLOEXEC, 0);
	char name[40], object[64];
	int r;

	(void)snprintf(name, sizeof(name), "/proc/self/fdinfo/%d", nr);
	r = eng_read_file_at(AT_FDCWD, name, &fdinfo, NULL);
	if (fd < 0 || r < 0)
		return eng_fail(err, fd < 0 ? errno : -r, "cannot look at a file in flight");
	file.fdinfo = fdinfo;
	(void)snprintf(object, sizeof(object), "file in flight");
	r = identify(run->dump, NULL, &file, TAKE_FD(fd), object, err);
	*ret_id = file.id;
	return r;
}

static int by_number(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

static int list_fds(struct eng_dump_task *d, int **ret, size_t *ret_n, struct eng_err *err)
{
	int fd = openat(d->task.procfd, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *ent;
	_cleanup_free_ int *list = NULL;
	size_t n = 0;

	if (!dir)
		return eng_fail(err, errno, "cannot list fds of %d", d->task.pid);
	while ((ent = readdir(dir))) {
		int *p;

		if (ent->d_name[0] == '.')
			continue;
		p = (n & (n - 1)) ? list : realloc(list, (n ? n * 2 : 1) * sizeof(*list));
		if (!p) {
			(void)closedir(dir);
			return eng_fail(err, ENOMEM, "cannot list fds");
		}
		list = p;
		list[n++] = atoi(ent->d_name);
	}
	(void)closedir(dir);
	if (n)
		qsort(list, n, sizeof(*list), by_number);
	*ret = TAKE_PTR(list);
	*ret_n = n;
	return 0;
}

int eng_dump_files(struct eng_dump *d, struct eng_dump_task *t, struct eng_err *err)
{
	_cleanup_free_ int *list = NULL;
	_cleanup_free_ Engine__Fd *fds = NULL;
	_cleanup_free_ Engine__Fd **ptrs = NULL;
	Engine__FdTable table = ENGINE__FD_TABLE__INIT;
	size_t n = 0;
	int r;

	r = list_fds(t, &list, &n, err);
	if (r < 0)
		return r;
	fds = calloc(n + 1, sizeof(*fds));
	ptrs = calloc(n + 1, sizeof(*ptrs));
	if (!fds || !ptrs)
		return eng_fail(err, ENOMEM, "cannot list fds");
	for (size_t i = 0; i < n; i++) {
		Engine__Fd *f = &fds[table.n_fds];
		bool cloexec = false;

		engine__fd__init(f);
		r = dump_fd(d, t, list[i], &f->file, &cloexec, err);
		if (r < 0)
			return r;
		if (r == ENG_TASK_GONE)
			continue;
		f->nr = (uint32_t)list[i];
		f->has_cloexec = true;
		f->cloexec = cloexec;
		ptrs[table.n_fds++] = f;
	}
	table.fds = ptrs;
	return d->frozen ? eng_image_put(d->image, "core/fds", (uint64_t)t->task.pid, &table.base, err) : 0;
}

int eng_dump_mapped_file(struct eng_dump *d, struct eng_dump_task *t, const char *range, const char *name, bool writable, uint64_t *ret_id, struct eng_err *err)
{
	struct eng_file file = { .nr = -1, .task = &t->task, .mapped_only = true, .fdinfo = "", .link = name,
				 .flags = writable ? O_RDWR : O_RDONLY, .sock_family = -1, .sock_type = -1, .sock_proto = -1 };
	struct eng_dump_file *known;
	char path[64], object[96];
	_cleanup_close_ int fd = -EBADF;

	(void)snprintf(path, sizeof(path), "map_files/%s", range);
	(void)snprintf(object, sizeof(object), "process %d mapping %s", t->task.pid, range);
	fd = openat(t->task.procfd, path, O_PATH | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &file.st) < 0)
		return (errno == ENOENT || errno == ESRCH) && !d->frozen ? 0 : eng_fail(err, errno, "cannot open the file of %s", object);
	for (size_t i = 0; i < d->n_files; i++)
		if (d->files[i].mapped && d->files[i].writable == writable && d->files[i].ino == file.st.st_ino && d->files[i].dev == file.st.st_dev) {
			*ret_id = d->files[i].id;
			return 0;
		}
	known = add_file(d, err);
	if (!known)
		return -ENOMEM;
	known->dev = file.st.st_dev;
	known->ino = file.st.st_ino;
	known->mapped = true;
	known->writable = writable;
	file.fd = known->fd = TAKE_FD(fd);
	file.id = *ret_id = known->id;
	return claim_and_put(d, &file, object, err);
}
