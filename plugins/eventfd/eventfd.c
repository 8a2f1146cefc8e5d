/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* eventfd(2): the counter and the semaphore mode stand in fdinfo (eventfd-semaphore: since Linux 6.5). */
#include <engine/plugin.h>

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/eventfd.h>

#include "eventfd.pb-c.h"

static int eventfd_dump(const struct eng_ctx *ctx, const struct eng_file *file, ProtobufCMessage *record, struct eng_err *err)
{
	Eventfd__Eventfd *rec = (Eventfd__Eventfd *)record;
	const char *count = eng_text_field(file->fdinfo, "eventfd-count"), *semaphore = eng_text_field(file->fdinfo, "eventfd-semaphore");

	if (!count)
		return eng_fail(err, ENOTSUP, "no eventfd-count in fdinfo");
	if (!semaphore)
		return eng_fail(err, ENOTSUP, "this kernel does not tell the mode of an eventfd (Linux 6.5 does)");
	rec->count = strtoull(count, NULL, 16);
	rec->semaphore = atoi(semaphore) != 0;
	return 0;
}

static int eventfd_open(const struct eng_ctx *ctx, const struct eng_file_info *info, const ProtobufCMessage *record, int *ret_fd, struct eng_err *err)
{
	const Eventfd__Eventfd *rec = (const Eventfd__Eventfd *)record;
	_cleanup_close_ int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK | (rec->semaphore ? EFD_SEMAPHORE : 0));

	if (fd < 0)
		return eng_fail(err, errno, "cannot create eventfd");
	if (rec->count && write(fd, &rec->count, sizeof(rec->count)) != sizeof(rec->count))
		return eng_fail(err, errno, "cannot set counter to %" PRIu64, rec->count);
	*ret_fd = TAKE_FD(fd);
	return 0;
}

static const struct eng_file_kind eventfd_kind = {
	.size = sizeof(eventfd_kind), .name = "fd/eventfd", .anon_inode = "[eventfd]", .record = &eventfd__eventfd__descriptor,
	.dump = eventfd_dump, .open = eventfd_open,
};

static const struct eng_plugin eventfd_plugin = {
	ENG_PLUGIN_HEAD, .name = "eventfd", .version = "1", .summary = "eventfd counters, semaphore mode, 64-bit counts", .file_kinds = ENG_LIST(&eventfd_kind),
};
ENG_PLUGIN_EXPORT(eventfd_plugin);
