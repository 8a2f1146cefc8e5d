/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * UNIX sockets: connected pairs whose both ends are in the tree, with what was not read yet; listening and unconnected sockets. Who is connected to whom the kernel says
 * by sock_diag(7) (UNIX_DIAG_PEER, Linux 3.3). A pair is created as a socketpair: whichever end is opened first keeps the other for its description.
 */
#include <engine/plugin.h>

#include <fcntl.h>
#include <inttypes.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/sockios.h>
#include <linux/unix_diag.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "unix.pb-c.h"

#define VALUE_MAX 32

static const int options[] = { SO_SNDBUF, SO_RCVBUF, SO_PASSCRED, SO_RCVLOWAT, SO_RCVTIMEO, SO_SNDTIMEO, SO_LINGER, SO_TIMESTAMP, SO_PEEK_OFF, SO_PRIORITY,
			       76 /* SO_PASSPIDFD, Linux 6.5 */ };

struct seen {
	struct seen *next;
	uint64_t inode, peer;
	bool rehearsal;
	char object[64];
};

struct state {
	struct seen *list;
};

struct diag {
	uint64_t peer;
	uint32_t backlog, waiting;
	bool has_peer;
};

static void read_attributes(const struct nlmsghdr *h, struct diag *ret)
{
	const struct unix_diag_msg *m = NLMSG_DATA(h);
	int left = (int)(h->nlmsg_len - NLMSG_LENGTH(sizeof(*m)));

	for (const struct rtattr *a = (const struct rtattr *)(const void *)(m + 1); RTA_OK(a, left); a = RTA_NEXT(a, left)) {
		if (a->rta_type == UNIX_DIAG_PEER) {
			uint32_t peer;

			memcpy(&peer, RTA_DATA(a), sizeof(peer));
			ret->peer = peer;
			ret->has_peer = peer != 0;
		} else if (a->rta_type == UNIX_DIAG_RQLEN) {
			struct unix_diag_rqlen q;

			memcpy(&q, RTA_DATA(a), sizeof(q));
			ret->waiting = q.udiag_rqueue;
			ret->backlog = q.udiag_wqueue;
		}
	}
}

static int ask_kernel(uint64_t inode, struct diag *ret, struct eng_err *err)
{
	struct {
		struct nlmsghdr h;
		struct unix_diag_req r;
	} req = { .h = { .nlmsg_len = sizeof(req), .nlmsg_type = SOCK_DIAG_BY_FAMILY, .nlmsg_flags = NLM_F_REQUEST },
		  .r = { .sdiag_family = AF_UNIX, .udiag_states = ~0u, .udiag_ino = (uint32_t)inode, .udiag_show = UDIAG_SHOW_PEER | UDIAG_SHOW_RQLEN,
			 .udiag_cookie = { ~0u, ~0u } } };
	_cleanup_close_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	char buf[4096] __attribute__((aligned(8)));
	const struct nlmsghdr *h = (const struct nlmsghdr *)(const void *)buf;
	ssize_t n;

	*ret = (struct diag){ 0 };
	if (fd < 0 || send(fd, &req, sizeof(req), 0) < 0 || (n = recv(fd, buf, sizeof(buf), 0)) < 0)
		return eng_fail(err, errno, "cannot ask about UNIX socket %" PRIu64, inode);
	if (!NLMSG_OK(h, (size_t)n) || h->nlmsg_type != SOCK_DIAG_BY_FAMILY)
		return eng_fail(err, ENOENT, "the kernel does not tell about UNIX socket %" PRIu64, inode);
	read_attributes(h, ret);
	return 0;
}

static int unix_claim(const struct eng_ctx *ctx, const struct eng_file *file, struct eng_err *err)
{
	return file->sock_family == AF_UNIX;
}

static void save_options(const struct eng_ctx *ctx, int fd, int fresh, Unixsock__Socket *rec)
{
	rec->options = eng_alloc(ctx->run, ENG_ARRAY_SIZE(options) * sizeof(*rec->options));
	for (size_t i = 0; i < ENG_ARRAY_SIZE(options); i++) {
		uint8_t a[VALUE_MAX] = { 0 }, b[VALUE_MAX] = { 0 };
		socklen_t a_len = sizeof(a), b_len = sizeof(b);
		Unixsock__Option *o;

		if (getsockopt(fd, SOL_SOCKET, options[i], a, &a_len) < 0 ||
		    (getsockopt(fresh, SOL_SOCKET, options[i], b, &b_len) == 0 && a_len == b_len && memcmp(a, b, a_len) == 0))
			continue;
		o = eng_alloc(ctx->run, sizeof(*o));
		unixsock__option__init(o);
		o->name = (uint32_t)options[i];
		o->value = (ProtobufCBinaryData){ .len = a_len, .data = eng_alloc(ctx->run, a_len) };
		memcpy(o->value.data, a, a_len);
		rec->options[rec->n_options++] = o;
	}
}

/* What waits is read without taking it. Streams are one run of bytes; of datagrams only a single one can be looked at without touching the socket. */
static int save_queue(const struct eng_ctx *ctx, const struct eng_file *file, const char *object, Unixsock__Socket *rec, struct eng_err *err)
{
	char control[512];
	struct iovec iov;
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
	int queued = 0;
	ssize_t n;

	if (ioctl(file->fd, SIOCINQ, &queued) < 0)
		return eng_fail(err, errno, "cannot read the queue of a socket");
	if (queued == 0)
		return 0;
	if (file->sock_type != SOCK_STREAM) {
		eng_block(ctx->run, object, "is a UNIX datagram socket with messages that were not read yet", "try again");
		return 0;
	}
	iov = (struct iovec){ eng_alloc(ctx->run, (size_t)queued), (size_t)queued };
	n = recvmsg(file->fd, &msg, MSG_PEEK | MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	for (struct cmsghdr *c = n < 0 ? NULL : CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
		size_t fds = c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS ? (c->cmsg_len - CMSG_LEN(0)) / sizeof(int) : 0;

		for (size_t i = 0; i < fds; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
			(void)close(fd);
		}
		if (fds)
			eng_block(ctx->run, object, "has files in flight that were not received yet", "try again");
		if (fds)
			return 0;
	}
	if (n != queued && !ctx->rehearsal)
		return eng_fail(err, n < 0 ? errno : EIO, "cannot look at %d queued bytes", queued);
	rec->has_queue = true;
	rec->queue = (ProtobufCBinaryData){ .len = n < 0 ? 0 : (size_t)n, .data = iov.iov_base };
	return 0;
}

/* Reading or writing was given up on this end or the other; POLLHUP: on both. */
static bool is_shut(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLRDHUP };

	return poll(&p, 1, 0) > 0 && (p.revents & (POLLRDHUP | POLLHUP));
}

static void remember(const struct eng_ctx *ctx, const Unixsock__Socket *rec, const char *object)
{
	struct state *state = ctx->state;
	struct seen *s = eng_alloc(ctx->run, sizeof(*s));

	*s = (struct seen){ .next = state->list, .inode = rec->inode, .peer = rec->has_peer ? rec->peer : 0, .rehearsal = ctx->rehearsal };
	(void)snprintf(s->object, sizeof(s->object), "%s", object);
	state->list = s;
}

/* The file of a bound socket. A relative path is taken from where the process is now: if it is not there, nobody knows. */
static bool find_file(const struct eng_ctx *ctx, const struct eng_file *file, const struct sockaddr_un *addr, const char *object, Unixsock__Socket *rec,
		      struct stat *ret)
{
	char cwd[4096];
	ssize_t n;
	_cleanup_close_ int dir = -EBADF;

	if (addr->sun_path[0] == '/')
		return lstat(addr->sun_path, ret) == 0 && S_ISSOCK(ret->st_mode);
	n = file->task ? readlinkat(eng_task_procfd(file->task), "cwd", cwd, sizeof(cwd) - 1) : -1;
	if (n > 0) {
		cwd[n] = '\0';
		dir = open(cwd, O_PATH | O_DIRECTORY | O_CLOEXEC);
		rec->directory = eng_strdup(ctx->run, cwd);
	}
	if (dir >= 0 && fstatat(dir, addr->sun_path, ret, AT_SYMLINK_NOFOLLOW) == 0 && S_ISSOCK(ret->st_mode))
		return true;
	eng_block(ctx->run, object, "is bound to a relative path that does not lead to it from the process's working directory", NULL);
	return false;
}

static int unix_dump(const struct eng_ctx *ctx, const struct eng_file *file, ProtobufCMessage *record, struct eng_err *err)
{
	Unixsock__Socket *rec = (Unixsock__Socket *)record;
	_cleanup_close_ int fresh = socket(AF_UNIX, file->sock_type | SOCK_CLOEXEC, 0);
	struct sockaddr_un addr;
	socklen_t len = sizeof(addr);
	struct diag diag;
	struct stat st;
	char object[64];
	int listening = 0, r = ask_kernel(file->st.st_ino, &diag, err);

	if (r < 0)
		return r;
	(void)snprintf(object, sizeof(object), "process %d fd %d", file->task ? eng_task_pid(file->task) : 0, file->nr);
	if (fresh < 0 || getsockname(file->fd, (struct sockaddr *)&addr, &len) < 0)
		return eng_fail(err, errno, "cannot look at a socket");
	rec->type = (uint32_t)file->sock_type;
	rec->inode = file->st.st_ino;
	rec->has_peer = diag.has_peer;
	rec->peer = diag.peer;
	rec->has_address = len > offsetof(struct sockaddr_un, sun_path);
	if (rec->has_address) {
		rec->address = (ProtobufCBinaryData){ .len = len, .data = eng_alloc(ctx->run, len) };
		memcpy(rec->address.data, &addr, len);
		if (addr.sun_path[0] && find_file(ctx, file, &addr, object, rec, &st)) {
			rec->has_mode = rec->has_uid = rec->has_gid = true;
			rec->mode = st.st_mode & 07777;
			rec->uid = st.st_uid;
			rec->gid = st.st_gid;
		}
	}
	len = sizeof(listening);
	(void)getsockopt(file->fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len);
	if (listening) {
		rec->has_backlog = true;
		rec->backlog = diag.backlog;
		if (diag.waiting)
			eng_block(ctx->run, object, "has connections that were not accepted yet", "try again");
	} else {
		if (!diag.has_peer && getpeername(file->fd, (struct sockaddr *)&addr, &(socklen_t){ sizeof(addr) }) == 0)
			rec->has_peer_closed = rec->peer_closed = is_shut(file->fd);
		if (!diag.has_peer && !rec->has_peer_closed && getpeername(file->fd, (struct sockaddr *)&addr, &(socklen_t){ sizeof(addr) }) == 0)
			eng_block(ctx->run, object, "is a UNIX socket that waits to be accepted", "try again");
		r = save_queue(ctx, file, object, rec, err);
	}
	if (diag.has_peer && is_shut(file->fd))
		eng_block(ctx->run, object, "is a UNIX socket that was shut down in one direction, which this version does not keep", NULL);
	save_options(ctx, file->fd, fresh, rec);
	remember(ctx, rec, object);
	return r;
}

/* Both ends of each pair must be in the tree. */
static int unix_collected(const struct eng_ctx *ctx, struct eng_err *err)
{
	const struct state *state = ctx->state;

	for (const struct seen *s = state->list; s; s = s->next) {
		bool found = s->peer == 0 || s->rehearsal != ctx->rehearsal;

		for (const struct seen *o = state->list; o && !found; o = o->next)
			found = o->rehearsal == ctx->rehearsal && o->inode == s->peer;
		if (found)
			continue;
		if (!ctx->rehearsal)
			return eng_fail(err, ENOTSUP, "%s: the other end of the UNIX socket is outside the tree", s->object);
		eng_block(ctx->run, s->object, "is a UNIX socket whose other end is outside the tree", "close it, or dump the tree that has both");
	}
	return 0;
}

static int set_options(int fd, const Unixsock__Socket *rec, struct eng_err *err)
{
	for (size_t i = 0; i < rec->n_options; i++) {
		const Unixsock__Option *o = rec->options[i];
		bool known = false;
		uint8_t value[VALUE_MAX];
		int name = (int)o->name, n;

		for (size_t k = 0; k < ENG_ARRAY_SIZE(options); k++)
			known |= options[k] == name;
		if (!known || o->value.len > sizeof(value))
			return eng_fail(err, EBADMSG, "socket option %d is not one that is kept", name);
		memcpy(value, o->value.data, o->value.len);
		if ((name == SO_SNDBUF || name == SO_RCVBUF) && o->value.len == sizeof(n)) {
			memcpy(&n, value, sizeof(n));
			n /= 2; /* the kernel returns twice what was set (socket(7)) */
			memcpy(value, &n, sizeof(n));
			if (setsockopt(fd, SOL_SOCKET, name == SO_SNDBUF ? SO_SNDBUFFORCE : SO_RCVBUFFORCE, value, sizeof(n)) == 0)
				continue;
		}
		if (setsockopt(fd, SOL_SOCKET, name, value, (socklen_t)o->value.len) < 0)
			return eng_fail(err, errno, "cannot set socket option %d", name);
	}
	return 0;
}

static int bind_here(int fd, const Unixsock__Socket *rec, struct eng_err *err)
{
	struct sockaddr_un addr = { 0 };
	struct stat st;

	if (rec->address.len > sizeof(addr) || rec->address.len < offsetof(struct sockaddr_un, sun_path) + 1)
		return eng_fail(err, EBADMSG, "the address of a socket is impossible");
	memcpy(&addr, rec->address.data, rec->address.len);
	if (addr.sun_path[0] && rec->has_mode && lstat(addr.sun_path, &st) == 0 && S_ISSOCK(st.st_mode))
		(void)unlink(addr.sun_path); /* what the killed process left there */
	if (bind(fd, (struct sockaddr *)&addr, (socklen_t)rec->address.len) < 0)
		return eng_fail(err, errno, "cannot bind a UNIX socket to \"%s%s\"", addr.sun_path[0] ? "" : "@", addr.sun_path[0] ? addr.sun_path : addr.sun_path + 1);
	if (addr.sun_path[0] && rec->has_mode && (chmod(addr.sun_path, rec->mode) < 0 || chown(addr.sun_path, rec->uid, rec->gid) < 0))
		return eng_fail(err, errno, "cannot set the owner of %s", addr.sun_path);
	if (addr.sun_path[0] && !rec->has_mode)
		(void)unlink(addr.sun_path); /* its name was gone at the dump */
	return 0;
}

/* A relative path is bound from its directory: the engine goes there for a moment. */
static int bind_again(int fd, const Unixsock__Socket *rec, struct eng_err *err)
{
	_cleanup_close_ int here = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int r;

	if (rec->directory && (here < 0 || chdir(rec->directory) < 0))
		return eng_fail(err, errno, "cannot go to %s", rec->directory);
	r = bind_here(fd, rec, err);
	if (rec->directory && fchdir(here) < 0)
		return r < 0 ? r : eng_fail(err, errno, "cannot go back to the engine's directory");
	return r;
}

/* The end that is left of a pair, with what the other had sent before it was closed. */
static int open_alone(const Unixsock__Socket *rec, struct eng_err *err)
{
	int p[2], r = 0;

	if (socketpair(AF_UNIX, (int)rec->type | SOCK_CLOEXEC, 0, p) < 0)
		return eng_fail(err, errno, "cannot create a socket pair");
	if (rec->has_queue && send(p[1], rec->queue.data, rec->queue.len, MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)rec->queue.len)
		r = eng_fail(err, EIO, "cannot put back %zu queued bytes", rec->queue.len);
	(void)close(p[1]);
	if (r < 0)
		(void)close(p[0]);
	return r < 0 ? r : p[0];
}

static int unix_open(const struct eng_ctx *ctx, const struct eng_file_info *info, const ProtobufCMessage *record, int *ret_fd, struct eng_err *err)
{
	const Unixsock__Socket *rec = (const Unixsock__Socket *)record;
	int p[2], fd = rec->has_peer ? eng_stash_take(ctx->run, "unix", rec->inode) : socket(AF_UNIX, (int)rec->type | SOCK_CLOEXEC, 0), r;

	if (rec->peer_closed) {
		eng_closep(&fd);
		fd = open_alone(rec, err);
		if (fd < 0)
			return fd;
	}
	if (fd < 0 && rec->has_peer) {
		if (socketpair(AF_UNIX, (int)rec->type | SOCK_CLOEXEC, 0, p) < 0)
			return eng_fail(err, errno, "cannot create a socket pair");
		eng_stash_put(ctx->run, "unix", rec->peer, p[1]);
		fd = p[0];
	}
	if (fd < 0)
		return eng_fail(err, errno, "cannot create a UNIX socket");
	r = set_options(fd, rec, err);
	if (r == 0 && rec->has_address)
		r = bind_again(fd, rec, err);
	if (r == 0 && rec->has_backlog && listen(fd, (int)rec->backlog) < 0)
		r = eng_fail(err, errno, "cannot listen");
	if (r < 0) {
		(void)close(fd);
		return r;
	}
	*ret_fd = fd;
	return 0;
}

/* What this end had not read yet is written by the other end; eng_find_record has its number only by inode, so a duplicate of it is kept by it. */
static int unix_connect(const struct eng_ctx *ctx, const struct eng_file_info *info, const ProtobufCMessage *record, int fd, struct eng_err *err)
{
	const Unixsock__Socket *rec = (const Unixsock__Socket *)record;

	if (rec->has_peer)
		eng_stash_put(ctx->run, "unix/writer", rec->peer, fcntl(fd, F_DUPFD_CLOEXEC, 3));
	return 0;
}

static int unix_fill(const struct eng_ctx *ctx, const struct eng_file_info *info, const ProtobufCMessage *record, int fd, struct eng_err *err)
{
	const Unixsock__Socket *rec = (const Unixsock__Socket *)record;
	_cleanup_close_ int writer = rec->has_peer ? eng_stash_take(ctx->run, "unix/writer", rec->inode) : -EBADF;

	for (size_t done = 0; rec->has_queue && !rec->peer_closed && done < rec->queue.len;) {
		ssize_t n = writer < 0 ? -1 : send(writer, rec->queue.data + done, rec->queue.len - done, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0)
			return eng_fail(err, writer < 0 ? EBADMSG : errno, "cannot put back %zu queued bytes", rec->queue.len - done);
		done += (size_t)n;
	}
	return 0;
}

static const struct eng_file_kind unix_kind = {
	.size = sizeof(unix_kind), .name = "fd/unix", .record = &unixsock__socket__descriptor, .claim = unix_claim, .dump = unix_dump, .open = unix_open,
	.connect = unix_connect, .fill = unix_fill,
};

static const struct eng_plugin unix_plugin = {
	ENG_PLUGIN_HEAD, .name = "unix", .version = "1", .summary = "UNIX sockets: pairs inside the tree with queued bytes, listening and unconnected ones, options",
	.not_kept = "queued datagrams, files in flight, one end outside the tree, connections waiting to be accepted, shutdown states",
	.state_size = sizeof(struct state), .file_kinds = ENG_LIST(&unix_kind), .collected = unix_collected,
};
ENG_PLUGIN_EXPORT(unix_plugin);
