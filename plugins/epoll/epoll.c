/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * epoll instances. An item is known to the kernel by the file and the number it was registered under, so items are added by the process itself when its
 * files are in place. A number may meanwhile be closed or another file's while a duplicate keeps the item alive: kcmp(2) with KCMP_EPOLL_TFD (Linux 4.13)
 * finds the duplicate, and at restore the number is lent to it for a moment.
 */
#include <engine/plugin.h>

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/kcmp.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>

#include "epoll.pb-c.h"

static bool is_target(pid_t pid, int epfd, unsigned tfd, unsigned toff, int nr)
{
	struct kcmp_epoll_slot slot = { .efd = (uint32_t)epfd, .tfd = tfd, .toff = toff };

	return syscall(SYS_kcmp, pid, pid, KCMP_EPOLL_TFD, nr, &slot) == 0;
}

/* The number that the file of an item has now, or -1. */
static int find_now(const struct eng_file *file, unsigned tfd, unsigned toff)
{
	int fd, found = -1;
	struct dirent *ent;
	DIR *dir;

	if (is_target(eng_task_pid(file->task), file->nr, tfd, toff, (int)tfd))
		return (int)tfd;
	fd = openat(eng_task_procfd(file->task), "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	dir = fd < 0 ? NULL : fdopendir(fd);
	while (dir && found < 0 && (ent = readdir(dir)))
		if (ent->d_name[0] != '.' && is_target(eng_task_pid(file->task), file->nr, tfd, toff, atoi(ent->d_name)))
			found = atoi(ent->d_name);
	if (dir)
		(void)closedir(dir);
	return found;
}

static int add_item(const struct eng_ctx *ctx, const struct eng_file *file, Epoll__Epoll *rec, unsigned tfd, unsigned events, uint64_t data)
{
	Epoll__Item *item = eng_alloc(ctx->run, sizeof(*item)), **list = eng_alloc(ctx->run, (rec->n_items + 1) * sizeof(*list));
	unsigned toff = 0;
	int now;

	for (size_t i = 0; i < rec->n_items; i++)
		toff += rec->items[i]->fd == tfd;
	now = find_now(file, tfd, toff);
	if (now < 0)
		return -1;
	epoll__item__init(item);
	item->fd = tfd;
	item->events = events;
	item->data = data;
	item->has_moved = now != (int)tfd;
	item->moved = (uint32_t)now;
	if (rec->n_items)
		memcpy(list, rec->items, rec->n_items * sizeof(*list));
	rec->items = list;
	rec->items[rec->n_items++] = item;
	return 0;
}

static int epoll_dump(const struct eng_ctx *ctx, const struct eng_file *file, ProtobufCMessage *record, struct eng_err *err)
{
	Epoll__Epoll *rec = (Epoll__Epoll *)record;
	char object[64];

	(void)snprintf(object, sizeof(object), "process %d fd %d (epoll)", file->task ? eng_task_pid(file->task) : 0, file->nr);
	if (!file->task) {
		eng_block(ctx->run, object, "is in flight between processes", NULL);
		return 0;
	}
	for (const char *p = file->fdinfo; p; p = strchr(p, '\n') ? strchr(p, '\n') + 1 : NULL) {
		unsigned tfd, events;
		uint64_t data;

		if (sscanf(p, "tfd: %u events: %x data: %" SCNx64, &tfd, &events, &data) != 3)
			continue;
		if ((events & EPOLLONESHOT) && !(events & ~(EPOLLONESHOT | EPOLLET | EPOLLWAKEUP | EPOLLEXCLUSIVE)))
			eng_lose(ctx->run, object, eng_printf(ctx->run, "the one-shot item of fd %u had fired; it will report an error or hang-up once more", tfd));
		if (add_item(ctx, file, rec, tfd, events, data) < 0)
			eng_block(ctx->run, object, eng_printf(ctx->run, "watches a file that was fd %u and that the process itself has closed", tfd), NULL);
	}
	return 0;
}

static int epoll_open(const struct eng_ctx *ctx, const struct eng_file_info *info, const ProtobufCMessage *record, int *ret_fd, struct eng_err *err)
{
	*ret_fd = epoll_create1(EPOLL_CLOEXEC);
	return *ret_fd < 0 ? eng_fail(err, errno, "cannot create epoll instance") : 0;
}

static void add(struct eng_batch *b, int nr, const Epoll__Item *item)
{
	struct epoll_event ev = { .events = item->events, .data.u64 = item->data };

	(void)eng_op(b, "watch a file", 0, SYS_epoll_ctl, (uint64_t)nr, EPOLL_CTL_ADD, item->fd, eng_batch_copy(b, &ev, sizeof(ev)).addr);
}

static int epoll_place(const struct eng_ctx *ctx, const struct eng_file_info *info, const ProtobufCMessage *record, struct eng_task *task, int nr,
		       struct eng_batch *b, struct eng_err *err)
{
	const Epoll__Epoll *rec = (const Epoll__Epoll *)record;

	if (info->pid != eng_task_pid(task) || info->nr != nr)
		return 0; /* others share the description: once is enough */
	for (size_t i = 0; i < rec->n_items; i++) {
		const Epoll__Item *item = rec->items[i];
		int flags, aside, op;

		if (!item->has_moved) {
			add(b, nr, item);
			continue;
		}
		/* Whatever has the number now is set aside with its close-on-exec flag, and put back. */
		flags = eng_op(b, "read a file's flag", ENG_OP_IGNORE, SYS_fcntl, item->fd, F_GETFD);
		aside = eng_op(b, "set a file aside", ENG_OP_IGNORE, SYS_fcntl, item->fd, F_DUPFD_CLOEXEC, 0);
		(void)eng_op(b, "lend a number", 0, SYS_dup3, item->moved, item->fd, O_CLOEXEC);
		add(b, nr, item);
		(void)eng_op(b, "take a number back", 0, SYS_close, item->fd);
		op = eng_op(b, "put a file back", ENG_OP_IGNORE, SYS_dup3, 0, item->fd, O_CLOEXEC);
		eng_op_use_result(b, op, 0, aside);
		op = eng_op(b, "set a file's flag", ENG_OP_IGNORE, SYS_fcntl, item->fd, F_SETFD, 0);
		eng_op_use_result(b, op, 2, flags);
		op = eng_op(b, "close a file", ENG_OP_IGNORE, SYS_close, 0);
		eng_op_use_result(b, op, 0, aside);
	}
	return 0;
}

static const struct eng_file_kind epoll_kind = {
	.size = sizeof(epoll_kind), .name = "fd/epoll", .anon_inode = "[eventpoll]", .record = &epoll__epoll__descriptor,
	.dump = epoll_dump, .open = epoll_open, .place = epoll_place,
};

static const struct eng_plugin epoll_plugin = {
	ENG_PLUGIN_HEAD, .name = "epoll", .version = "1", .summary = "epoll instances with their items, also of files that changed their number",
	.not_kept = "items whose file the process has closed, that a one-shot item has fired, busy-poll parameters", .file_kinds = ENG_LIST(&epoll_kind),
};
ENG_PLUGIN_EXPORT(epoll_plugin);
