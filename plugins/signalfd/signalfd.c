/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* signalfd(2): only the set of signals. What is pending belongs to the tasks. */
#include <engine/plugin.h>

#include <fcntl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>

#include "signalfd.pb-c.h"

static int signalfd_dump(const struct eng_ctx *ctx, const struct eng_file *file, ProtobufCMessage *record, struct eng_err *err)
{
	Signalfd__Signalfd *rec = (Signalfd__Signalfd *)record;
	const char *mask = eng_text_field(file->fdinfo, "sigmask");

	if (!mask)
		return eng_fail(err, ENOTSUP, "no sigmask in fdinfo");
	rec->mask = strtoull(mask, NULL, 16);
	return 0;
}

static int signalfd_open(const struct eng_ctx *ctx, const struct eng_file_info *info, const ProtobufCMessage *record, int *ret_fd, struct eng_err *err)
{
	const Signalfd__Signalfd *rec = (const Signalfd__Signalfd *)record;
	uint64_t mask = rec->mask;
	int fd = (int)syscall(SYS_signalfd4, -1, &mask, sizeof(mask), SFD_CLOEXEC | SFD_NONBLOCK);

	if (fd < 0)
		return eng_fail(err, errno, "cannot create signalfd");
	*ret_fd = fd;
	return 0;
}

static const struct eng_file_kind signalfd_kind = {
	.size = sizeof(signalfd_kind), .name = "fd/signalfd", .anon_inode = "[signalfd]", .record = &signalfd__signalfd__descriptor,
	.dump = signalfd_dump, .open = signalfd_open,
};

static const struct eng_plugin signalfd_plugin = {
	ENG_PLUGIN_HEAD, .name = "signalfd", .version = "1", .summary = "signalfds: their set of signals", .file_kinds = ENG_LIST(&signalfd_kind),
};
ENG_PLUGIN_EXPORT(signalfd_plugin);
