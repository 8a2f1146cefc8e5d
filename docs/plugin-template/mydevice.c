/*
 * A plugin that keeps open files of one character device. Copy it, rename it (the name of the plugin is the name of the shared object)
 * and replace the parts marked HERE.
 *
 * At the dump `claim` says which files are ours and `dump` fills the record; at the restore `open` makes the file again from it. Position and
 * status flags are restored by the core. <engine/plugin.h> says when each callback runs and what else there is.
 */
#include <engine/plugin.h>

#include <fcntl.h>
#include <sys/sysmacros.h>

#include "mydevice.pb-c.h"

#define MYDEVICE_MAJOR 1 /* HERE: the device number; 1:7 is /dev/full */
#define MYDEVICE_MINOR 7

struct mydevice_conf {
	const char *path;
};

static int mydevice_claim(const struct eng_ctx *ctx, const struct eng_file *file, struct eng_err *err)
{
	return S_ISCHR(file->st.st_mode) && file->st.st_rdev == makedev(MYDEVICE_MAJOR, MYDEVICE_MINOR);
}

static int mydevice_dump(const struct eng_ctx *ctx, const struct eng_file *file, ProtobufCMessage *record, struct eng_err *err)
{
	Mydevice__MyDevice *rec = (Mydevice__MyDevice *)record;

	/* HERE: ask the device, through file->fd, for what must be kept. Only read: the target shares this file. */
	rec->channel = 0;
	return 0;
}

static int mydevice_open(const struct eng_ctx *ctx, const struct eng_file_info *info, const ProtobufCMessage *record, int *ret_fd, struct eng_err *err)
{
	const Mydevice__MyDevice *rec = (const Mydevice__MyDevice *)record;
	const struct mydevice_conf *conf = ctx->conf;
	_cleanup_close_ int fd = open(conf->path, (int)(info->flags & O_ACCMODE) | O_CLOEXEC | O_NOCTTY);

	if (fd < 0)
		return eng_fail(err, errno, "cannot open %s", conf->path);
	/* HERE: bring the device into the state of the record. The record comes from a file that anybody may have written: check it. */
	if (rec->channel != 0)
		return eng_fail(err, ENODEV, "%s has no channel %u", conf->path, rec->channel);
	*ret_fd = TAKE_FD(fd);
	return 0;
}

static const struct eng_file_kind mydevice_kind = {
	.size = sizeof(mydevice_kind), .name = "fd/mydevice", .record = &mydevice__my_device__descriptor,
	.claim = mydevice_claim, .dump = mydevice_dump, .open = mydevice_open,
};

/* Keys of section [plugin mydevice]. */
static const struct eng_option mydevice_options[] = {
	ENG_OPTION("path", ENG_OPTION_STRING, struct mydevice_conf, path, "/dev/full", "Where the device is on the host of the restore"),
	{ 0 },
};

static const struct eng_plugin mydevice_plugin = {
	ENG_PLUGIN_HEAD, .name = "mydevice", .version = "1", .summary = "open files of my device", .not_kept = "commands in flight",
	.conf_size = sizeof(struct mydevice_conf), .options = mydevice_options, .file_kinds = ENG_LIST(&mydevice_kind),
};
ENG_PLUGIN_EXPORT(mydevice_plugin);
