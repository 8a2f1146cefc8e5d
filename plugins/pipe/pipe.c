/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Pipes. Unread data is copied with tee(2), which does not consume it. Each end is an open file description of its own; whichever is opened first
 * creates the pipe and keeps the other end for its description.
 */
#include <engine/plugin.h>

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "pipe.pb-c.h"

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

static int pipe_dump(const struct eng_ctx *ctx, const struct eng_file *file, ProtobufCMessage *record, struct eng_err *err)
{
	Pipe__Pipe *rec = (Pipe__Pipe *)record;
	long size = fcntl(file->fd, F_GETPIPE_SZ);
	int queued = 0;

	if (size < 0 || ioctl(file->fd, FIONREAD, &queued) < 0)
		return eng_fail(err, errno, "cannot read the state of %s", file->link);
	rec->pipe = file->st.st_ino;
	rec->size = (uint64_t)size;
	if ((file->flags & O_ACCMODE) == O_RDONLY && queued > 0 && !ctx->rehearsal)
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
	_cleanup_close_ int w = -EBADF;

	if (!rec->has_queued || rec->queued.len == 0)
		return 0;
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

static const struct eng_plugin pipe_plugin = {
	ENG_PLUGIN_HEAD, .name = "pipe", .version = "1", .summary = "pipes with queued data and size",
	.not_kept = "packet mode, FIFOs, pipes whose other end is outside the process", .file_kinds = ENG_LIST(&pipe_kind),
};
ENG_PLUGIN_EXPORT(pipe_plugin);
