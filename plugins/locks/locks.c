/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Locks and leases, from the "lock:" lines of fdinfo (Linux 4.1), set again by the process itself when its files are in place. */
#include <engine/plugin.h>

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/syscall.h>

#include "locks.pb-c.h"

struct held {
	struct held *next;
	pid_t pid;
	Locks__Lock lock;
};

struct state {
	struct held *list;
};

static int add_lock(const struct eng_ctx *ctx, struct eng_task *task, int nr, const char *line)
{
	struct state *state = ctx->state;
	struct held *h;
	char type[16], mode[16], access[16], end[32];
	uint64_t start;
	int pid;
	unsigned major_nr, minor_nr;
	uint64_t ino;

	if (sscanf(line, "lock:\t%*d: %15s %15s %15s %d %x:%x:%" SCNu64 " %" SCNu64 " %31s", type, mode, access, &pid, &major_nr, &minor_nr, &ino, &start, end) != 9)
		return -1;
	h = eng_alloc(ctx->run, sizeof(*h));
	locks__lock__init(&h->lock);
	h->pid = eng_task_pid(task);
	h->lock.fd = (uint32_t)nr;
	h->lock.write = strcmp(access, "WRITE") == 0;
	h->lock.start = start;
	h->lock.length = strcmp(end, "EOF") == 0 ? 0 : strtoull(end, NULL, 10) - start + 1;
	if (strcmp(type, "POSIX") == 0)
		h->lock.type = LOCKS__LOCK__TYPE__POSIX;
	else if (strcmp(type, "OFDLCK") == 0)
		h->lock.type = LOCKS__LOCK__TYPE__OFD;
	else if (strcmp(type, "FLOCK") == 0)
		h->lock.type = LOCKS__LOCK__TYPE__FLOCK;
	else if (strcmp(type, "LEASE") == 0 && strcmp(mode, "ACTIVE") == 0)
		h->lock.type = LOCKS__LOCK__TYPE__LEASE;
	else
		return -1;
	h->next = state->list;
	state->list = h;
	return 0;
}

static int locks_fd_seen(const struct eng_ctx *ctx, struct eng_task *task, int nr, const struct eng_file *file, struct eng_err *err)
{
	char object[48];

	for (const char *p = strstr(file->fdinfo, "lock:\t"); p; p = strstr(p + 1, "lock:\t")) {
		(void)snprintf(object, sizeof(object), "process %d fd %d", eng_task_pid(task), nr);
		if (add_lock(ctx, task, nr, p) < 0)
			eng_block(ctx->run, object, eng_printf(ctx->run, "holds a lock of an unknown kind (%.*s)", (int)strcspn(p, "\n"), p), NULL);
	}
	if (ctx->rehearsal)
		((struct state *)ctx->state)->list = NULL;
	return 0;
}

static int locks_collect(const struct eng_ctx *ctx, struct eng_thread *t, void *scratch, const struct eng_batch *b, ProtobufCMessage *record, struct eng_err *err)
{
	Locks__Locks *rec = (Locks__Locks *)record;
	const struct state *state = ctx->state;
	size_t n = 0;

	for (const struct held *h = state->list; h; h = h->next)
		n += h->pid == eng_thread_tid(t);
	rec->locks = eng_alloc(ctx->run, n * sizeof(*rec->locks));
	for (struct held *h = state->list; h; h = h->next)
		if (h->pid == eng_thread_tid(t))
			rec->locks[rec->n_locks++] = &h->lock;
	return n ? 0 : 1;
}

static int locks_restore(const struct eng_ctx *ctx, struct eng_thread *t, const ProtobufCMessage *record, struct eng_batch *b, struct eng_err *err)
{
	const Locks__Locks *rec = (const Locks__Locks *)record;

	for (size_t i = 0; i < rec->n_locks; i++) {
		const Locks__Lock *l = rec->locks[i];
		struct flock fl = { .l_type = l->write ? F_WRLCK : F_RDLCK, .l_whence = SEEK_SET, .l_start = (off_t)l->start, .l_len = (off_t)l->length };

		switch (l->type) {
		case LOCKS__LOCK__TYPE__POSIX:
			(void)eng_op(b, "lock a file", 0, SYS_fcntl, l->fd, F_SETLK, eng_batch_copy(b, &fl, sizeof(fl)).addr);
			break;
		case LOCKS__LOCK__TYPE__OFD:
			(void)eng_op(b, "lock a file", 0, SYS_fcntl, l->fd, F_OFD_SETLK, eng_batch_copy(b, &fl, sizeof(fl)).addr);
			break;
		case LOCKS__LOCK__TYPE__FLOCK:
			(void)eng_op(b, "lock a file", 0, SYS_flock, l->fd, (uint64_t)((l->write ? LOCK_EX : LOCK_SH) | LOCK_NB));
			break;
		case LOCKS__LOCK__TYPE__LEASE:
			(void)eng_op(b, "take a lease", 0, SYS_fcntl, l->fd, F_SETLEASE, (uint64_t)(l->write ? F_WRLCK : F_RDLCK));
			break;
		default:
			return eng_fail(err, EBADMSG, "lock type %d is unknown", (int)l->type);
		}
	}
	return 0;
}

static const struct eng_task_kind locks_kind = {
	.size = sizeof(locks_kind), .name = "task/locks", .scope = ENG_SCOPE_PROCESS, .section = ENG_SECT_FILES, .record = &locks__locks__descriptor,
	.collect = locks_collect, .restore = locks_restore,
};

static const struct eng_plugin locks_plugin = {
	ENG_PLUGIN_HEAD, .name = "locks", .version = "1", .summary = "POSIX, OFD and flock locks, leases", .provides = ENG_NAMES("lock"),
	.not_kept = "leases that are being broken", .state_size = sizeof(struct state), .task_kinds = ENG_LIST(&locks_kind), .fd_seen = locks_fd_seen,
};
ENG_PLUGIN_EXPORT(locks_plugin);
