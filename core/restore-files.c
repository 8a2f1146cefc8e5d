/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Files: the engine creates each open file description once, in passes (open, connect, fill), at high fd numbers that every new process inherits; each
 * process puts them at its own numbers and closes the rest. Those that need living processes come late, by pidfd_getfd(2).
 */
#include "core/restore.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

struct each {
	struct eng_run_plugin *owner;
	const struct eng_file_kind *kind;
	const Engine__File *file;
	const ProtobufCMessage *record;
	struct eng_file_info info;
};

int eng_restore_keep_fd(struct eng_restore *r, int fd, struct eng_err *err)
{
	int high = fcntl(fd, F_DUPFD_CLOEXEC, r->first_fd);

	if (high < 0)
		high = eng_fail(err, errno, "cannot keep an fd above %d", r->first_fd);
	(void)close(fd);
	return high;
}

int eng_restore_fd(const struct eng_restore *r, uint64_t id)
{
	return id >= 1 && id <= r->n_files ? r->file_fd[id] : -EBADF;
}

int eng_file_fd(struct eng_run *run, uint64_t id)
{
	int fd = run->restore ? eng_restore_fd(run->restore, id) : -EBADF;

	return fd < 0 ? -ENOENT : fd;
}

static int get_each(struct eng_restore *r, uint64_t id, struct each *e, struct eng_err *err)
{
	int x = eng_restore_get(r, "core/file", id, &engine__file__descriptor, &e->file, err);

	if (x < 0)
		return x;
	e->kind = eng_run_file_kind(r->run, e->file->kind, &e->owner);
	if (!e->kind) {
		x = eng_fail(err, ENOTSUP, "the image needs a plugin for %s, which is not loaded", e->file->kind);
		eng_hint(err, "load the plugin (the manifest names it: engine inspect)");
		return x;
	}
	x = eng_restore_get(r, e->file->kind, id, e->kind->record, &e->record, err);
	e->info = (struct eng_file_info){ .id = id, .kind = e->file->kind, .flags = e->file->flags, .pos = e->file->pos, .mapped_only = e->file->mapped_only,
					  .pid = e->file->pid, .nr = e->file->nr };
	return x;
}

static int wrap(const struct each *e, int x, struct eng_err *err)
{
	return x < 0 ? eng_wrap(err, x, "process %d fd %d", e->info.pid, e->info.nr) : x;
}

int eng_restore_check_files(struct eng_restore *r, struct eng_err *err)
{
	size_t count = eng_image_count(r->img);
	int x = 0;

	for (size_t i = 0; i < count; i++) {
		const char *kind;
		const uint8_t *payload;
		uint64_t id;
		size_t len;

		eng_image_at(r->img, i, &kind, &id, &payload, &len);
		if (strcmp(kind, "core/file") == 0 && id > r->n_files)
			r->n_files = id;
		if (strcmp(kind, "core/shmem") == 0 && id > r->n_shmems)
			r->n_shmems = id;
	}
	if (r->n_files > count || r->n_shmems > count)
		return eng_fail(err, EBADMSG, "files of the image are not numbered from 1");
	r->file_fd = eng_alloc(r->run, (r->n_files + 1) * sizeof(int));
	r->shmem_fd = eng_alloc(r->run, (r->n_shmems + 1) * sizeof(int));
	memset(r->file_fd, 0xff, (r->n_files + 1) * sizeof(int));
	memset(r->shmem_fd, 0xff, (r->n_shmems + 1) * sizeof(int));
	for (uint64_t id = 1; x == 0 && id <= r->n_files; id++) {
		struct each e;

		x = get_each(r, id, &e, err);
		if (x == 0 && e.kind->check)
			x = wrap(&e, e.kind->check(&e.owner->ctx, &e.info, e.record, err), err);
	}
	for (size_t i = 0; x == 0 && i < r->n_tasks; i++)
		for (size_t k = 0; r->tasks[i].fds && k < r->tasks[i].fds->n_fds; k++) {
			uint32_t nr = r->tasks[i].fds->fds[k]->nr;

			if (nr > 1000000 || (k && nr <= r->tasks[i].fds->fds[k - 1]->nr))
				return eng_fail(err, EBADMSG, "process %d: fd number %u is impossible", r->tasks[i].rec->pid, nr);
			if ((int)nr >= r->first_fd)
				r->first_fd = (int)nr + 1;
		}
	return x;
}

static int raise_limit(struct eng_restore *r, struct eng_err *err)
{
	struct rlimit lim;
	rlim_t want = (rlim_t)r->first_fd + r->n_files + r->n_shmems + 256;

	if (getrlimit(RLIMIT_NOFILE, &lim) < 0)
		return eng_fail(err, errno, "cannot read the limit of open files");
	r->old_nofile[0] = lim.rlim_cur;
	r->old_nofile[1] = lim.rlim_max;
	if (lim.rlim_cur >= want)
		return 0;
	lim.rlim_cur = lim.rlim_max < want ? lim.rlim_max : want;
	return setrlimit(RLIMIT_NOFILE, &lim) < 0 ? eng_fail(err, errno, "cannot raise the limit of open files") : 0;
}

static int open_shmem(struct eng_restore *r, uint64_t id, struct eng_err *err)
{
	const Engine__Shmem *rec = NULL;
	char path[80];
	void *p;
	int x = eng_restore_get(r, "core/shmem", id, &engine__shmem__descriptor, &rec, err), fd;

	if (x < 0)
		return x;
	p = mmap(NULL, rec->size ? rec->size : 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		return eng_fail(err, errno, "cannot create %" PRIu64 " bytes of shared memory", rec->size);
	(void)snprintf(path, sizeof(path), "/proc/self/map_files/%" PRIxPTR "-%" PRIxPTR, (uintptr_t)p, (uintptr_t)p + (((size_t)rec->size + 4095) & ~(size_t)4095));
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		x = eng_fail(err, errno, "cannot open shared memory %s", path);
	(void)munmap(p, rec->size ? rec->size : 4096);
	if (x == 0)
		x = r->shmem_fd[id] = eng_restore_keep_fd(r, fd, err);
	return x < 0 ? x : eng_blob_load(r->run, rec->blob, r->shmem_fd[id], err);
}

static int set_owner(int fd, const struct each *e, struct eng_err *err)
{
	struct f_owner_ex owner = { e->file->owner_type, e->file->owner_pid };

	if (e->file->has_owner_signal && fcntl(fd, F_SETSIG, e->file->owner_signal) < 0)
		return eng_fail(err, errno, "cannot set its signal");
	if (e->file->has_owner_pid && fcntl(fd, F_SETOWN_EX, &owner) < 0)
		return eng_fail(err, errno, "cannot set its owner %d", owner.pid);
	return 0;
}

static int finish_file(int fd, const struct each *e, struct eng_err *err)
{
	if (e->kind->seekable && e->info.pos && !e->info.mapped_only && lseek(fd, (off_t)e->info.pos, SEEK_SET) < 0)
		return eng_fail(err, errno, "cannot set its position");
	if (!e->kind->flags_set_by_open && !e->info.mapped_only && !(e->info.flags & O_PATH) && fcntl(fd, F_SETFL, (int)(e->info.flags & ~(unsigned)O_ASYNC)) < 0)
		return eng_fail(err, errno, "cannot set its flags");
	return 0;
}

enum pass { OPEN, CONNECT, FILL };

static int one_pass(struct eng_restore *r, enum pass pass, bool late, struct eng_err *err)
{
	int x = 0;

	for (uint64_t id = 1; x == 0 && id <= r->n_files; id++) {
		struct each e;
		int fd = -EBADF;

		x = get_each(r, id, &e, err);
		if (x < 0 || e.kind->late != late)
			continue;
		switch (pass) {
		case OPEN:
			x = e.kind->open(&e.owner->ctx, &e.info, e.record, &fd, err);
			if (x == 0)
				x = r->file_fd[id] = eng_restore_keep_fd(r, fd, err);
			x = x > 0 ? 0 : x;
			break;
		case CONNECT:
			if (e.kind->connect)
				x = e.kind->connect(&e.owner->ctx, &e.info, e.record, r->file_fd[id], err);
			break;
		case FILL:
			if (e.kind->fill)
				x = e.kind->fill(&e.owner->ctx, &e.info, e.record, r->file_fd[id], err);
			if (x == 0)
				x = finish_file(r->file_fd[id], &e, err);
			break;
		}
		x = wrap(&e, x, err);
	}
	return x;
}

int eng_restore_open_files(struct eng_restore *r, struct eng_err *err)
{
	int x = raise_limit(r, err);

	for (uint64_t id = 1; x == 0 && id <= r->n_shmems; id++) {
		x = open_shmem(r, id, err);
		x = x > 0 ? 0 : x;
	}
	for (enum pass pass = OPEN; x == 0 && pass <= FILL; pass++)
		x = one_pass(r, pass, false, err);
	if (x == 0) {
		x = r->data_fd = eng_restore_keep_fd(r, fcntl(eng_image_read_fd(r->img), F_DUPFD_CLOEXEC, 3), err);
		x = x > 0 ? 0 : x;
	}
	return x;
}

int eng_restore_open_late(struct eng_restore *r, struct eng_err *err)
{
	int x = 0;

	for (enum pass pass = OPEN; x == 0 && pass <= FILL; pass++)
		x = one_pass(r, pass, true, err);
	for (uint64_t id = 1; x == 0 && id <= r->n_files; id++) { /* owners are processes: now they exist */
		struct each e;

		x = get_each(r, id, &e, err);
		if (x == 0 && (e.file->has_owner_pid || e.file->has_owner_signal))
			x = wrap(&e, set_owner(r->file_fd[id], &e, err), err);
	}
	return x;
}

void eng_restore_close_files(struct eng_restore *r)
{
	for (uint64_t id = 1; r->file_fd && id <= r->n_files; id++)
		eng_closep(&r->file_fd[id]);
	for (uint64_t id = 1; r->shmem_fd && id <= r->n_shmems; id++)
		eng_closep(&r->shmem_fd[id]);
	eng_closep(&r->data_fd);
	if (r->old_nofile[1])
		(void)setrlimit(RLIMIT_NOFILE, &(struct rlimit){ r->old_nofile[0], r->old_nofile[1] });
}

static void place_late(struct eng_restore *r, struct eng_batch *b, int fd, const Engine__Fd *f)
{
	int engine = eng_op(b, "open the engine", 0, SYS_pidfd_open, (uint64_t)getpid(), 0);
	int got = eng_op(b, "fetch a file", 0, SYS_pidfd_getfd, 0, (uint64_t)fd, 0), op;

	eng_op_use_result(b, got, 0, engine);
	op = eng_op(b, "place a file", 0, SYS_dup3, 0, f->nr, f->cloexec ? O_CLOEXEC : 0);
	eng_op_use_result(b, op, 0, got);
	for (int i = 0; i < 2; i++) {
		op = eng_op(b, "close a file", 0, SYS_close, 0);
		eng_op_use_result(b, op, 0, i ? got : engine);
	}
}

/* fds are in ascending order; what lies between is closed when nothing of it is needed any more. */
int eng_restore_place_files(struct eng_restore *r, struct eng_restore_task *t, struct eng_batch *b, struct eng_err *err)
{
	uint32_t next = 0;
	struct each e;
	int x = 0;

	for (size_t i = 0; i < t->fds->n_fds; i++) {
		const Engine__Fd *f = t->fds->fds[i];
		int fd = eng_restore_fd(r, f->file);

		if (fd < 0)
			return eng_fail(err, EBADMSG, "fd %u is of file %" PRIu64 ", which is not in the image", f->nr, f->file);
		x = get_each(r, f->file, &e, err);
		if (x < 0)
			return x;
		if (f->nr > next)
			(void)eng_op(b, "close files", 0, SYS_close_range, next, f->nr - 1, 0);
		next = f->nr + 1;
		if (!e.kind->late)
			(void)eng_op(b, "place a file", 0, SYS_dup3, (uint64_t)fd, f->nr, f->cloexec ? O_CLOEXEC : 0);
	}
	for (size_t i = 0; x == 0 && i < t->fds->n_fds; i++) {
		x = get_each(r, t->fds->fds[i]->file, &e, err);
		if (x == 0 && e.kind->late)
			place_late(r, b, eng_restore_fd(r, t->fds->fds[i]->file), t->fds->fds[i]);
	}
	for (size_t i = 0; x == 0 && i < t->fds->n_fds; i++) {
		x = get_each(r, t->fds->fds[i]->file, &e, err);
		/* The number that turns it on is the one that its signals will tell. */
		if (x == 0 && (e.info.flags & O_ASYNC) && e.info.pid == t->rec->pid && e.info.nr == (int)t->fds->fds[i]->nr)
			(void)eng_op(b, "turn signal-driven I/O on", 0, SYS_fcntl, t->fds->fds[i]->nr, F_SETFL, e.info.flags);
		if (x == 0 && e.kind->place)
			x = wrap(&e, e.kind->place(&e.owner->ctx, &e.info, e.record, &t->task, (int)t->fds->fds[i]->nr, b, err), err);
	}
	return x;
}
