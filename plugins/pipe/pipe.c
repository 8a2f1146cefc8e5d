/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Pipes. Unread data is copied with tee(2), which does not consume it. Each end is an open file description of its own; whichever is opened first
 * creates the pipe and keeps the other end for its description.
 */
#include <engine/plugin.h>

#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "pipe.pb-c.h"

struct seen {
	struct seen *next;
	ino_t inode;
	dev_t dev;
	bool rehearsal, reads, writes, other_open;
	char object[64];
};

struct state {
	struct seen *list;
};

/* The end is remembered, and whether anybody holds the other one: a pipe whose other end is closed says so to poll(2). Others reach a FIFO by its name. */
static void remember(const struct eng_ctx *ctx, const struct eng_file *file)
{
	struct state *state = ctx->state;
	struct seen *s = eng_alloc(ctx->run, sizeof(*s));
	struct pollfd p = { .fd = file->fd, .events = POLLIN };
	unsigned mode = file->flags & O_ACCMODE;

	(void)poll(&p, 1, 0);
	*s = (struct seen){ .next = state->list, .inode = file->st.st_ino, .dev = file->st.st_dev, .rehearsal = ctx->rehearsal, .reads = mode != O_WRONLY,
			    .writes = mode != O_RDONLY, .other_open = file->link[0] != '/' && !(p.revents & (POLLHUP | POLLERR)) };
	(void)snprintf(s->object, sizeof(s->object), "process %d fd %d", file->task ? eng_task_pid(file->task) : 0, file->nr);
	state->list = s;
}

static int pipe_collected(const struct eng_ctx *ctx, struct eng_err *err)
{
	const struct state *state = ctx->state;

	for (const struct seen *s = state->list; s; s = s->next) {
		bool found = !s->other_open || (s->reads && s->writes) || s->rehearsal != ctx->rehearsal;

		for (const struct seen *o = state->list; o && !found; o = o->next)
			found = o->rehearsal == ctx->rehearsal && o->inode == s->inode && o->dev == s->dev && (s->reads ? o->writes : o->reads);
		if (found)
			continue;
		if (!ctx->rehearsal)
			return eng_fail(err, ENOTSUP, "%s: the other end of the pipe is outside the tree", s->object);
		eng_block(ctx->run, s->object, "is a pipe whose other end is outside the tree", "redirect it to a file, or dump the tree that has both ends");
	}
	return 0;
}

static int pipe_claim(const struct eng_ctx *ctx, const struct eng_file *file, struct eng_err *err)
{
	return S_ISFIFO(file->st.st_mode) && strncmp(file->link, "pipe:[", 6) == 0 && (file->flags & O_ACCMODE) != O_RDWR && !(file->flags & O_DIRECT);
}

static int copy_queue(const struct eng_ctx *ctx, int fd, long size, size_t queued, Pipe__Pipe *rec, struct eng_err *err)
{
	int p[2];
	ssize_t n;
	size_t got = 0;
	int r = 0;

	if (pipe2(p, O_CLOEXEC | O_NONBLOCK) < 0)
		return eng_fail(err, errno, "cannot create a pipe");
	if (fcntl(p[1], F_SETPIPE_SZ, size) < 0)
		r = eng_fail(err, errno, "cannot size a pipe to %ld", size);
	n = r == 0 ? tee(fd, p[1], queued, SPLICE_F_NONBLOCK) : 0;
	if (r == 0 && (n < 0 || (size_t)n != queued))
		r = eng_fail(err, n < 0 ? errno : EIO, "cannot copy %zu queued bytes", queued);
	rec->queued.data = eng_alloc(ctx->run, queued);
	while (r == 0 && got < queued) {
		n = read(p[0], rec->queued.data + got, queued - got);
		if (n <= 0)
			r = eng_fail(err, n < 0 ? errno : EIO, "cannot read queued bytes");
		else
			got += (size_t)n;
	}
	rec->has_queued = true;
	rec->queued.len = queued;
	(void)close(p[0]);
	(void)close(p[1]);
	return r;
}

/* Several descriptions may read one FIFO: the first that was seen carries what is queued. */
static bool first_reader(const struct eng_ctx *ctx)
{
	const struct seen *self = ((const struct state *)ctx->state)->list;

	for (const struct seen *o = self->next; o; o = o->next)
		if (o->rehearsal == self->rehearsal && o->inode == self->inode && o->dev == self->dev && o->reads)
			return false;
	return true;
}

static int pipe_dump(const struct eng_ctx *ctx, const struct eng_file *file, ProtobufCMessage *record, struct eng_err *err)
{
	Pipe__Pipe *rec = (Pipe__Pipe *)record;
	long size = fcntl(file->fd, F_GETPIPE_SZ);
	int queued = 0;

	remember(ctx, file);
	if (size < 0 || ioctl(file->fd, FIONREAD, &queued) < 0)
		return eng_fail(err, errno, "cannot read the state of %s", file->link);
	rec->pipe = file->st.st_ino;
	rec->size = (uint64_t)size;
	if ((file->flags & O_ACCMODE) != O_WRONLY && queued > 0 && !ctx->rehearsal && first_reader(ctx))
		return copy_queue(ctx, file->fd, size, (size_t)queued, rec, err);
	return 0;
}

static int pipe_open(const struct eng_ctx *ctx, const struct eng_file_info *info, const ProtobufCMessage *record, int *ret_fd, struct eng_err *err)
{
	const Pipe__Pipe *rec = (const Pipe__Pipe *)record;
	bool writer = (info->flags & O_ACCMODE) == O_WRONLY;
	int p[2], fd = eng_stash_take(ctx->run, writer ? "pipe/w" : "pipe/r", rec->pipe);

	if (fd < 0) {
		if (pipe2(p, O_CLOEXEC | O_NONBLOCK) < 0)
			return eng_fail(err, errno, "cannot create pipe");
		eng_stash_put(ctx->run, writer ? "pipe/r" : "pipe/w", rec->pipe, p[writer ? 0 : 1]);
		fd = p[writer ? 1 : 0];
		if (fcntl(fd, F_GETPIPE_SZ) != (int)rec->size && fcntl(fd, F_SETPIPE_SZ, (int)rec->size) < 0) {
			int e = errno;

			(void)close(fd);
			return eng_fail(err, e, "cannot size pipe to %" PRIu64, rec->size);
		}
	}
	*ret_fd = fd;
	return 0;
}

/* The data goes in through the writing end: that of the other description, or the one nobody took. */
static int pipe_fill(const struct eng_ctx *ctx, const struct eng_file_info *info, const ProtobufCMessage *record, int fd, struct eng_err *err)
{
	const Pipe__Pipe *rec = (const Pipe__Pipe *)record;
	char path[32];
	int queued = 0;
	_cleanup_close_ int w = -EBADF;

	if (!rec->has_queued || rec->queued.len == 0)
		return 0;
	if (rec->path && ioctl(fd, FIONREAD, &queued) == 0 && queued > 0)
		return 0; /* others kept the FIFO alive, and what is in it */
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	w = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
	if (w < 0)
		return eng_fail(err, errno, "cannot open the writing end");
	if (write(w, rec->queued.data, rec->queued.len) != (ssize_t)rec->queued.len)
		return eng_fail(err, EIO, "cannot put back %zu queued bytes", rec->queued.len);
	return 0;
}

static const struct eng_file_kind pipe_kind = {
	.size = sizeof(pipe_kind), .name = "fd/pipe", .record = &pipe__pipe__descriptor,
	.claim = pipe_claim, .dump = pipe_dump, .open = pipe_open, .fill = pipe_fill,
};

/* FIFOs: as pipes, but each description is opened by name. O_RDWR never waits; the mode it must have comes by opening it again. */
static int fifo_claim(const struct eng_ctx *ctx, const struct eng_file *file, struct eng_err *err)
{
	return S_ISFIFO(file->st.st_mode) && file->link[0] == '/' && !(file->flags & (O_DIRECT | O_PATH));
}

static int fifo_dump(const struct eng_ctx *ctx, const struct eng_file *file, ProtobufCMessage *record, struct eng_err *err)
{
	Pipe__Pipe *rec = (Pipe__Pipe *)record;
	struct stat st;

	rec->path = eng_strdup(ctx->run, file->link);
	if (stat(file->link, &st) < 0 || st.st_ino != file->st.st_ino || st.st_dev != file->st.st_dev)
		eng_block(ctx->run, file->link, "is a FIFO that its name does not lead to any more", NULL);
	return pipe_dump(ctx, file, record, err);
}

static int fifo_open(const struct eng_ctx *ctx, const struct eng_file_info *info, const ProtobufCMessage *record, int *ret_fd, struct eng_err *err)
{
	const Pipe__Pipe *rec = (const Pipe__Pipe *)record;
	_cleanup_close_ int both = rec->path ? open(rec->path, O_RDWR | O_NONBLOCK | O_CLOEXEC) : -EBADF;
	struct stat st;
	int fd;

	if (both < 0 || fstat(both, &st) < 0)
		return eng_fail(err, errno, "cannot open FIFO %s", rec->path ?: "");
	if (!S_ISFIFO(st.st_mode))
		return eng_fail(err, EBADMSG, "%s is not a FIFO any more", rec->path);
	fd = open(rec->path, (int)(info->flags & O_ACCMODE) | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return eng_fail(err, errno, "cannot open FIFO %s", rec->path);
	if (fcntl(fd, F_GETPIPE_SZ) != (int)rec->size)
		(void)fcntl(fd, F_SETPIPE_SZ, (int)rec->size);
	eng_stash_put(ctx->run, "fifo", info->id, TAKE_FD(both)); /* until all ends are open: it must not be empty of readers or writers in between */
	*ret_fd = fd;
	return 0;
}

static const struct eng_file_kind fifo_kind = {
	.size = sizeof(fifo_kind), .name = "fd/fifo", .record = &pipe__pipe__descriptor,
	.claim = fifo_claim, .dump = fifo_dump, .open = fifo_open, .fill = pipe_fill,
};

static const struct eng_plugin pipe_plugin = {
	ENG_PLUGIN_HEAD, .name = "pipe", .version = "1", .summary = "pipes and FIFOs with queued data and size",
	.not_kept = "packet mode, pipes whose other end is outside the tree", .state_size = sizeof(struct state), .file_kinds = ENG_LIST(&pipe_kind, &fifo_kind), .collected = pipe_collected,
};
ENG_PLUGIN_EXPORT(pipe_plugin);
