/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Pipes. Unread data is copied with tee(2), which does not consume it. Each end is an open file description of its own; whichever is opened first
 * creates the pipe and keeps the other end for its description. Packets (O_DIRECT) keep their boundaries.
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

struct made {
	struct made *next;
	uint64_t pipe, first; /* first: the description that created it */
	const char *path;
};

struct state {
	struct seen *list; /* dump */
	struct made *made; /* restore */
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
	return S_ISFIFO(file->st.st_mode) && strncmp(file->link, "pipe:[", 6) == 0;
}

/* A second pipe with the same content, which may be read. */
static int duplicate_queue(int fd, long size, size_t queued, int ret_pipe[2], struct eng_err *err)
{
	ssize_t n;
	int r = 0;

	if (pipe2(ret_pipe, O_CLOEXEC | O_NONBLOCK) < 0)
		return eng_fail(err, errno, "cannot create a pipe");
	if (fcntl(ret_pipe[1], F_SETPIPE_SZ, size) < 0)
		r = eng_fail(err, errno, "cannot size a pipe to %ld", size);
	n = r == 0 ? tee(fd, ret_pipe[1], queued, SPLICE_F_NONBLOCK) : 0;
	if (r == 0 && (n < 0 || (size_t)n != queued))
		r = eng_fail(err, n < 0 ? errno : EIO, "cannot copy %zu queued bytes", queued);
	(void)close(ret_pipe[1]);
	if (r < 0)
		(void)close(ret_pipe[0]);
	return r;
}

/* Of a packet, what a read leaves over is thrown away: one byte less is asked for. */
static int last_is_packet(int fd, long size, size_t queued, size_t last, uint8_t *scratch, struct eng_err *err)
{
	size_t got = 0;
	int p[2], r = duplicate_queue(fd, size, queued, p, err);
	ssize_t n = 0;

	if (r < 0)
		return r;
	while (got < queued - last && (n = read(p[0], scratch, queued - last - got)) > 0)
		got += (size_t)n;
	if (n >= 0)
		n = read(p[0], scratch, last - 1);
	r = n == (ssize_t)last - 1 && read(p[0], scratch, 1) <= 0;
	(void)close(p[0]);
	return r;
}

/* A read ends where a packet ends: a queue that is read in one go is a stream, or a single packet. */
static int copy_queue(const struct eng_ctx *ctx, int fd, long size, size_t queued, Pipe__Pipe *rec, struct eng_err *err)
{
	size_t got = 0, cap = (size_t)size / 4096 + 1;
	ssize_t n = 0;
	int p[2], r = duplicate_queue(fd, size, queued, p, err);

	if (r < 0)
		return r;
	rec->queued.data = eng_alloc(ctx->run, queued);
	rec->packets = eng_alloc(ctx->run, cap * sizeof(*rec->packets));
	while (got < queued && rec->n_packets < cap && (n = read(p[0], rec->queued.data + got, queued - got)) > 0) {
		rec->packets[rec->n_packets++] = (uint32_t)n;
		got += (size_t)n;
	}
	(void)close(p[0]);
	if (got < queued)
		return eng_fail(err, n < 0 ? errno : EIO, "cannot read queued bytes");
	rec->has_queued = true;
	rec->queued.len = queued;
	n = rec->packets[rec->n_packets - 1];
	if (n > 4096 || (n == 1 && rec->n_packets == 1)) {
		rec->n_packets--; /* too long for a packet, or no difference */
	} else if (n > 1) {
		r = last_is_packet(fd, size, queued, (size_t)n, eng_alloc(ctx->run, queued), err);
		rec->n_packets -= r == 0;
	}
	return r < 0 ? r : 0;
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

static int reopen(int fd, int flags)
{
	char path[40];

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, flags | O_NONBLOCK | O_CLOEXEC);
}

static struct made *find_made(const struct eng_ctx *ctx, const Pipe__Pipe *rec)
{
	struct made *m = ((const struct state *)ctx->state)->made;

	while (m && (m->pipe != rec->pipe || strcmp(m->path, rec->path ?: "") != 0))
		m = m->next;
	return m;
}

static void add_made(const struct eng_ctx *ctx, const Pipe__Pipe *rec, uint64_t first)
{
	struct state *state = ctx->state;
	struct made *m = eng_alloc(ctx->run, sizeof(*m));

	*m = (struct made){ .next = state->made, .pipe = rec->pipe, .path = rec->path ?: "", .first = first };
	state->made = m;
}

static int set_size(int fd, const Pipe__Pipe *rec, struct eng_err *err)
{
	if (fcntl(fd, F_GETPIPE_SZ) != (int)rec->size && fcntl(fd, F_SETPIPE_SZ, (int)rec->size) < 0)
		return eng_fail(err, errno, "cannot size pipe to %" PRIu64, rec->size);
	return 0;
}

/* Each end as pipe(2) made it is for one description; more of them, and those for both directions, are opened through /proc. */
static int pipe_open(const struct eng_ctx *ctx, const struct eng_file_info *info, const ProtobufCMessage *record, int *ret_fd, struct eng_err *err)
{
	static const char *const stash[2] = { "pipe/r", "pipe/w" };
	const Pipe__Pipe *rec = (const Pipe__Pipe *)record;
	const struct made *made = find_made(ctx, rec);
	int mode = (int)(info->flags & O_ACCMODE), p[2], fd = -1, r;

	if (!made) {
		if (pipe2(p, O_CLOEXEC | O_NONBLOCK) < 0)
			return eng_fail(err, errno, "cannot create pipe");
		for (int i = 0; i < 2; i++)
			eng_stash_put(ctx->run, stash[i], rec->pipe, p[i]);
		r = set_size(p[0], rec, err);
		if (r < 0)
			return r;
		add_made(ctx, rec, info->id);
	}
	if (mode != O_RDWR)
		fd = eng_stash_take(ctx->run, stash[mode == O_WRONLY], rec->pipe);
	if (fd < 0)
		fd = reopen(made ? eng_file_fd(ctx->run, made->first) : p[0], mode);
	if (fd < 0)
		return eng_fail(err, errno, "cannot open the pipe again");
	*ret_fd = fd;
	return 0;
}

static int put(int w, const uint8_t *data, size_t len, bool packet, struct eng_err *err)
{
	ssize_t n;

	if (fcntl(w, F_SETFL, O_NONBLOCK | (packet ? O_DIRECT : 0)) < 0)
		return eng_fail(err, errno, "cannot set packet mode");
	n = write(w, data, len);
	return n == (ssize_t)len ? 0 : eng_fail(err, n < 0 ? errno : EIO, "cannot put back %zu queued bytes", len);
}

/* The data goes in through a writing end of its own. */
static int pipe_fill(const struct eng_ctx *ctx, const struct eng_file_info *info, const ProtobufCMessage *record, int fd, struct eng_err *err)
{
	const Pipe__Pipe *rec = (const Pipe__Pipe *)record;
	size_t done = 0;
	int queued = 0, r = 0;
	_cleanup_close_ int w = -EBADF;

	if (!rec->has_queued || rec->queued.len == 0)
		return 0;
	if (rec->path && ioctl(fd, FIONREAD, &queued) == 0 && queued > 0)
		return 0; /* others kept the FIFO alive, and what is in it */
	w = reopen(fd, O_WRONLY);
	if (w < 0)
		return eng_fail(err, errno, "cannot open the writing end");
	for (size_t i = 0; r == 0 && i < rec->n_packets; i++) {
		if (rec->packets[i] == 0 || rec->packets[i] > rec->queued.len - done)
			return eng_fail(err, EBADMSG, "the packets of a pipe are impossible");
		r = put(w, rec->queued.data + done, rec->packets[i], true, err);
		done += rec->packets[i];
	}
	return r == 0 && done < rec->queued.len ? put(w, rec->queued.data + done, rec->queued.len - done, false, err) : r;
}

static const struct eng_file_kind pipe_kind = {
	.size = sizeof(pipe_kind), .name = "fd/pipe", .record = &pipe__pipe__descriptor,
	.claim = pipe_claim, .dump = pipe_dump, .open = pipe_open, .fill = pipe_fill,
};

/* FIFOs: as pipes, but each description is opened by name; of a deleted one, only the first. */
static int fifo_claim(const struct eng_ctx *ctx, const struct eng_file *file, struct eng_err *err)
{
	return S_ISFIFO(file->st.st_mode) && file->link[0] == '/' && !(file->flags & O_PATH);
}

static int fifo_dump(const struct eng_ctx *ctx, const struct eng_file *file, ProtobufCMessage *record, struct eng_err *err)
{
	static const char gone[] = " (deleted)";
	Pipe__Pipe *rec = (Pipe__Pipe *)record;
	struct pollfd p = { .fd = file->fd, .events = POLLIN };
	size_t len = strlen(file->link);
	struct stat st;

	rec->path = eng_strdup(ctx->run, file->link);
	rec->has_hung_up = rec->hung_up = (file->flags & O_ACCMODE) == O_RDONLY && poll(&p, 1, 0) > 0 && (p.revents & POLLHUP);
	if (stat(file->link, &st) == 0 && st.st_ino == file->st.st_ino && st.st_dev == file->st.st_dev)
		return pipe_dump(ctx, file, record, err);
	if (file->st.st_nlink == 0 && len > sizeof(gone) && strcmp(file->link + len - (sizeof(gone) - 1), gone) == 0) {
		rec->path[len - (sizeof(gone) - 1)] = '\0';
		rec->has_mode = rec->has_uid = rec->has_gid = true;
		rec->mode = file->st.st_mode & 07777;
		rec->uid = file->st.st_uid;
		rec->gid = file->st.st_gid;
	} else {
		eng_block(ctx->run, file->link, "is a FIFO that its name does not lead to any more", "give it its name again, or close it");
	}
	return pipe_dump(ctx, file, record, err);
}

struct undo {
	char path[4096];
	bool armed;
};

static void undo_create(void *data)
{
	const struct undo *u = data;

	if (u->armed)
		(void)unlink(u->path);
}

/* Under its own name, or another if that is taken; deleted again at once. Returns an fd for both directions. */
static int create_deleted(const struct eng_ctx *ctx, const Pipe__Pipe *rec, struct eng_err *err)
{
	struct undo *u = eng_alloc(ctx->run, sizeof(*u));
	const char *slash = strrchr(rec->path, '/');
	_cleanup_close_ int fd = -EBADF;

	if (!slash || strlen(rec->path) + 32 > sizeof(u->path))
		return eng_fail(err, EBADMSG, "the path of a FIFO is impossible");
	eng_undo(ctx->run, undo_create, u);
	(void)snprintf(u->path, sizeof(u->path), "%s", rec->path);
	if (mkfifo(u->path, 0600) < 0) {
		(void)snprintf(u->path, sizeof(u->path), "%.*s/.engine.%d-%" PRIu64, (int)(slash - rec->path), rec->path, getpid(), rec->pipe);
		if (errno != EEXIST || mkfifo(u->path, 0600) < 0)
			return eng_fail(err, errno, "cannot create FIFO %s again", rec->path);
	}
	u->armed = true;
	fd = open(u->path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (unlink(u->path) == 0)
		u->armed = false;
	if (fd < 0 || fchown(fd, rec->uid, rec->gid) < 0 || fchmod(fd, rec->mode & 07777) < 0)
		return eng_fail(err, errno, "cannot open FIFO %s again", rec->path);
	return TAKE_FD(fd);
}

static int open_deleted(const struct eng_ctx *ctx, const struct eng_file_info *info, const Pipe__Pipe *rec, struct eng_err *err)
{
	const struct made *made = find_made(ctx, rec);
	int both = made ? eng_file_fd(ctx->run, made->first) : create_deleted(ctx, rec, err), fd;

	if (both < 0)
		return made ? eng_fail(err, EBADMSG, "FIFO %s is not open", rec->path) : both;
	fd = reopen(both, (int)(info->flags & O_ACCMODE));
	if (!made) {
		add_made(ctx, rec, info->id);
		eng_stash_put(ctx->run, "fifo", info->id, both);
	}
	return fd < 0 ? eng_fail(err, errno, "cannot open FIFO %s", rec->path) : fd;
}

/*
 * A writer can be opened only while there is a reader, so one for both directions is opened first and stays until all ends are open. A reader that nobody
 * has written to since it was opened shows no end of file to poll(2): it must not meet that helper.
 */
static int open_named(const struct eng_ctx *ctx, const struct eng_file_info *info, const Pipe__Pipe *rec, struct eng_err *err)
{
	int mode = (int)(info->flags & O_ACCMODE), both, fd;
	struct stat st;

	if (stat(rec->path, &st) < 0)
		return eng_fail(err, errno, "cannot open FIFO %s", rec->path);
	if (!S_ISFIFO(st.st_mode))
		return eng_fail(err, EBADMSG, "%s is not a FIFO any more", rec->path);
	if (mode == O_WRONLY || rec->hung_up) {
		both = open(rec->path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
		if (both < 0)
			return eng_fail(err, errno, "cannot open FIFO %s", rec->path);
		eng_stash_put(ctx->run, "fifo", info->id, both);
	}
	fd = open(rec->path, mode | O_NONBLOCK | O_CLOEXEC);
	return fd < 0 ? eng_fail(err, errno, "cannot open FIFO %s", rec->path) : fd;
}

static int fifo_open(const struct eng_ctx *ctx, const struct eng_file_info *info, const ProtobufCMessage *record, int *ret_fd, struct eng_err *err)
{
	const Pipe__Pipe *rec = (const Pipe__Pipe *)record;
	_cleanup_close_ int fd = -EBADF;
	int r;

	if (!rec->path)
		return eng_fail(err, EBADMSG, "a FIFO has no path");
	fd = rec->has_mode ? open_deleted(ctx, info, rec, err) : open_named(ctx, info, rec, err);
	if (fd < 0)
		return fd;
	r = set_size(fd, rec, err);
	if (r < 0)
		return r;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

static const struct eng_file_kind fifo_kind = {
	.size = sizeof(fifo_kind), .name = "fd/fifo", .record = &pipe__pipe__descriptor,
	.claim = fifo_claim, .dump = fifo_dump, .open = fifo_open, .fill = pipe_fill,
};

static const struct eng_plugin pipe_plugin = {
	ENG_PLUGIN_HEAD, .name = "pipe", .version = "1", .summary = "pipes and FIFOs, also deleted ones, with queued data, packets and size",
	.not_kept = "pipes whose other end is outside the tree", .state_size = sizeof(struct state), .file_kinds = ENG_LIST(&pipe_kind, &fifo_kind), .collected = pipe_collected,
};
ENG_PLUGIN_EXPORT(pipe_plugin);
