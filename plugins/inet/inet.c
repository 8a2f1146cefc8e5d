/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * IPv4 and IPv6 sockets that hold no connection: TCP that listens or is closed, and UDP with an empty queue. Options are a table; what differs from a new socket
 * is recorded. Everything else is a named blocker.
 */
#include <engine/plugin.h>

#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "inet.pb-c.h"

#define VALUE_MAX 64

/* before_bind: they decide whether and where bind succeeds. */
static const struct option {
	int level, name;
	bool before_bind, doubled; /* doubled: the kernel returns twice what was set (socket(7)) */
} options[] = {
	{ SOL_SOCKET, SO_REUSEADDR, .before_bind = true }, { SOL_SOCKET, SO_REUSEPORT, .before_bind = true }, { SOL_IPV6, IPV6_V6ONLY, .before_bind = true },
	{ SOL_IP, IP_FREEBIND, .before_bind = true }, { SOL_IP, IP_TRANSPARENT, .before_bind = true }, { SOL_SOCKET, SO_BINDTODEVICE, .before_bind = true },
	{ SOL_SOCKET, SO_SNDBUF, .doubled = true }, { SOL_SOCKET, SO_RCVBUF, .doubled = true }, { SOL_SOCKET, SO_KEEPALIVE }, { SOL_SOCKET, SO_BROADCAST },
	{ SOL_SOCKET, SO_LINGER }, { SOL_SOCKET, SO_OOBINLINE }, { SOL_SOCKET, SO_PRIORITY }, { SOL_SOCKET, SO_MARK }, { SOL_SOCKET, SO_RCVLOWAT },
	{ SOL_SOCKET, SO_RCVTIMEO }, { SOL_SOCKET, SO_SNDTIMEO }, { SOL_SOCKET, SO_DONTROUTE }, { SOL_SOCKET, SO_TIMESTAMP }, { SOL_SOCKET, SO_INCOMING_CPU },
	{ SOL_IP, IP_TOS }, { SOL_IP, IP_TTL }, { SOL_IP, IP_PKTINFO }, { SOL_IP, IP_MTU_DISCOVER }, { SOL_IP, IP_RECVERR }, { SOL_IP, IP_RECVTTL },
	{ SOL_IP, IP_RECVTOS }, { SOL_IP, IP_BIND_ADDRESS_NO_PORT }, { SOL_IPV6, IPV6_RECVPKTINFO }, { SOL_IPV6, IPV6_UNICAST_HOPS }, { SOL_IPV6, IPV6_TCLASS },
	{ SOL_IPV6, IPV6_RECVERR }, { SOL_IPV6, IPV6_MTU_DISCOVER }, { SOL_TCP, TCP_NODELAY }, { SOL_TCP, TCP_CORK }, { SOL_TCP, TCP_KEEPIDLE },
	{ SOL_TCP, TCP_KEEPINTVL }, { SOL_TCP, TCP_KEEPCNT }, { SOL_TCP, TCP_DEFER_ACCEPT }, { SOL_TCP, TCP_USER_TIMEOUT }, { SOL_TCP, TCP_SYNCNT },
	{ SOL_TCP, TCP_LINGER2 }, { SOL_TCP, TCP_WINDOW_CLAMP }, { SOL_TCP, TCP_CONGESTION }, { SOL_TCP, TCP_FASTOPEN }, { SOL_TCP, TCP_NOTSENT_LOWAT },
	{ SOL_TCP, TCP_SAVE_SYN }, { SOL_TCP, TCP_MAXSEG },
};

static int inet_claim(const struct eng_ctx *ctx, const struct eng_file *file, struct eng_err *err)
{
	return (file->sock_family == AF_INET || file->sock_family == AF_INET6) && (file->sock_proto == IPPROTO_TCP || file->sock_proto == IPPROTO_UDP);
}

static void save_options(const struct eng_ctx *ctx, int fd, int fresh, Inet__Socket *rec)
{
	rec->options = eng_alloc(ctx->run, ENG_ARRAY_SIZE(options) * sizeof(*rec->options));
	for (size_t i = 0; i < ENG_ARRAY_SIZE(options); i++) {
		uint8_t a[VALUE_MAX] = { 0 }, b[VALUE_MAX] = { 0 };
		socklen_t a_len = sizeof(a), b_len = sizeof(b);
		Inet__Option *o;

		if (getsockopt(fd, options[i].level, options[i].name, a, &a_len) < 0)
			continue;
		if (getsockopt(fresh, options[i].level, options[i].name, b, &b_len) == 0 && a_len == b_len && memcmp(a, b, a_len) == 0)
			continue;
		o = eng_alloc(ctx->run, sizeof(*o));
		inet__option__init(o);
		o->level = (uint32_t)options[i].level;
		o->name = (uint32_t)options[i].name;
		o->value = (ProtobufCBinaryData){ .len = a_len, .data = eng_alloc(ctx->run, a_len) };
		memcpy(o->value.data, a, a_len);
		rec->options[rec->n_options++] = o;
	}
}

static ProtobufCBinaryData address(const struct eng_ctx *ctx, const struct sockaddr_storage *ss, socklen_t len)
{
	uint8_t *data = eng_alloc(ctx->run, len);

	memcpy(data, ss, len);
	return (ProtobufCBinaryData){ .len = len, .data = data };
}

static const char *const states[] = { "?", "established", "SYN_SENT", "SYN_RECV", "FIN_WAIT1", "FIN_WAIT2", "TIME_WAIT", "closed", "CLOSE_WAIT", "LAST_ACK",
				      "listening", "closing" };

static int look_at_tcp(const struct eng_ctx *ctx, const struct eng_file *file, const char *object, Inet__Socket *rec, struct eng_err *err)
{
	struct tcp_info info;
	socklen_t len = sizeof(info);

	if (getsockopt(file->fd, SOL_TCP, TCP_INFO, &info, &len) < 0)
		return eng_fail(err, errno, "cannot read the state of a TCP socket");
	if (info.tcpi_state == TCP_LISTEN) {
		rec->has_backlog = true;
		rec->backlog = info.tcpi_sacked; /* of a listening socket: the length of its queue; unacked: how many wait in it (tcp_diag) */
		if (info.tcpi_unacked)
			eng_block(ctx->run, object, eng_printf(ctx->run, "is a listening TCP socket with %u connections that were not accepted yet", info.tcpi_unacked),
				  "try again when they are accepted");
	} else if (info.tcpi_state != TCP_CLOSE) {
		eng_block(ctx->run, object, eng_printf(ctx->run, "is an established TCP connection (%s), which this version does not keep",
						       info.tcpi_state < ENG_ARRAY_SIZE(states) ? states[info.tcpi_state] : "?"), "close the connection first");
	}
	return 0;
}

static bool bound(const struct sockaddr_storage *ss)
{
	return ss->ss_family == AF_INET ? ((const struct sockaddr_in *)ss)->sin_port != 0 || ((const struct sockaddr_in *)ss)->sin_addr.s_addr != 0 :
					  ((const struct sockaddr_in6 *)ss)->sin6_port != 0 ||
						  !IN6_IS_ADDR_UNSPECIFIED(&((const struct sockaddr_in6 *)ss)->sin6_addr);
}

static int inet_dump(const struct eng_ctx *ctx, const struct eng_file *file, ProtobufCMessage *record, struct eng_err *err)
{
	Inet__Socket *rec = (Inet__Socket *)record;
	_cleanup_close_ int fresh = socket(file->sock_family, file->sock_type | SOCK_CLOEXEC, file->sock_proto);
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	char object[80];
	int queued = 0, r = 0;

	(void)snprintf(object, sizeof(object), "process %d fd %d", file->task ? eng_task_pid(file->task) : 0, file->nr);
	if (fresh < 0 || getsockname(file->fd, (struct sockaddr *)&ss, &len) < 0)
		return eng_fail(err, errno, "cannot look at a socket");
	rec->family = (uint32_t)file->sock_family;
	rec->type = (uint32_t)file->sock_type;
	rec->protocol = (uint32_t)file->sock_proto;
	rec->has_local = bound(&ss);
	if (rec->has_local)
		rec->local = address(ctx, &ss, len);
	if (file->sock_proto == IPPROTO_TCP) {
		r = look_at_tcp(ctx, file, object, rec, err);
	} else {
		len = sizeof(ss);
		rec->has_peer = getpeername(file->fd, (struct sockaddr *)&ss, &len) == 0;
		if (rec->has_peer)
			rec->peer = address(ctx, &ss, len);
		if (ioctl(file->fd, SIOCINQ, &queued) == 0 && queued > 0)
			eng_block(ctx->run, object, "is a UDP socket with datagrams that were not read yet", "try again");
	}
	save_options(ctx, file->fd, fresh, rec);
	return r;
}

static int set_options(int fd, const Inet__Socket *rec, bool before_bind, struct eng_err *err)
{
	for (size_t i = 0; i < rec->n_options; i++) {
		const Inet__Option *o = rec->options[i];
		const struct option *known = NULL;
		uint8_t value[VALUE_MAX];
		socklen_t len = (socklen_t)o->value.len;
		int name = (int)o->name, n;

		for (size_t k = 0; k < ENG_ARRAY_SIZE(options); k++)
			if (options[k].level == (int)o->level && options[k].name == name)
				known = &options[k];
		if (!known || len > sizeof(value))
			return eng_fail(err, EBADMSG, "socket option %u/%u is not one that is kept", o->level, o->name);
		if (known->before_bind != before_bind)
			continue;
		memcpy(value, o->value.data, len);
		if (known->doubled && len == sizeof(n)) {
			memcpy(&n, value, sizeof(n));
			n /= 2;
			memcpy(value, &n, sizeof(n));
			name = name == SO_SNDBUF ? SO_SNDBUFFORCE : SO_RCVBUFFORCE;
		}
		if (setsockopt(fd, (int)o->level, name, value, len) < 0 && !(known->doubled && setsockopt(fd, (int)o->level, (int)o->name, value, len) == 0))
			return eng_fail(err, errno, "cannot set socket option %u/%u", o->level, o->name);
	}
	return 0;
}

static int inet_open(const struct eng_ctx *ctx, const struct eng_file_info *info, const ProtobufCMessage *record, int *ret_fd, struct eng_err *err)
{
	const Inet__Socket *rec = (const Inet__Socket *)record;
	_cleanup_close_ int fd = socket((int)rec->family, (int)rec->type | SOCK_CLOEXEC, (int)rec->protocol);
	int r = fd < 0 ? eng_fail(err, errno, "cannot create a socket") : set_options(fd, rec, true, err);

	if (r == 0 && rec->has_local && bind(fd, (const struct sockaddr *)rec->local.data, (socklen_t)rec->local.len) < 0) {
		r = eng_fail(err, errno, "cannot bind a socket to its address");
		eng_hint(err, "the address must exist here and its port be free");
	}
	if (r == 0)
		r = set_options(fd, rec, false, err);
	if (r == 0 && rec->has_peer && connect(fd, (const struct sockaddr *)rec->peer.data, (socklen_t)rec->peer.len) < 0)
		r = eng_fail(err, errno, "cannot connect a UDP socket");
	if (r < 0)
		return r;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

/* Last: from now on connections arrive. */
static int inet_fill(const struct eng_ctx *ctx, const struct eng_file_info *info, const ProtobufCMessage *record, int fd, struct eng_err *err)
{
	const Inet__Socket *rec = (const Inet__Socket *)record;

	return rec->has_backlog && listen(fd, (int)rec->backlog) < 0 ? eng_fail(err, errno, "cannot listen") : 0;
}

static const struct eng_file_kind inet_kind = {
	.size = sizeof(inet_kind), .name = "fd/inet", .record = &inet__socket__descriptor, .claim = inet_claim, .dump = inet_dump, .open = inet_open, .fill = inet_fill,
};

static const struct eng_plugin inet_plugin = {
	ENG_PLUGIN_HEAD, .name = "inet", .version = "1", .summary = "listening and closed TCP sockets, UDP sockets, with their options",
	.not_kept = "established connections, connections waiting to be accepted, queued datagrams, multicast memberships, socket filters (not looked at)",
	.file_kinds = ENG_LIST(&inet_kind),
};
ENG_PLUGIN_EXPORT(inet_plugin);
