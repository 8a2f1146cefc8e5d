/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One small plugin in many shapes, each a FAKE_… of the meson.build beside it: sound ones, and one for each mistake. */
#include <engine/plugin.h>

static const ProtobufCMessageDescriptor record = { .magic = PROTOBUF_C__MESSAGE_DESCRIPTOR_MAGIC, .name = "fake" };

static int dump(const struct eng_ctx *ctx, const struct eng_file *file, ProtobufCMessage *rec, struct eng_err *err)
{
	return 0;
}

#ifndef FAKE_NO_OPEN
static int open_file(const struct eng_ctx *ctx, const struct eng_file_info *info, const ProtobufCMessage *rec, int *ret_fd, struct eng_err *err)
{
	return eng_fail(err, 0, "fake");
}
#endif

#ifndef FAKE_KIND
#define FAKE_KIND "fd/" FAKE_NAME
#endif
#ifndef FAKE_PRIORITY
#define FAKE_PRIORITY 0
#endif

static const struct eng_file_kind kind = {
#ifdef FAKE_OLD_KIND
	.size = offsetof(struct eng_file_kind, connect), /* an older header ended here */
	.connect = (void *)1, .fill = (void *)1,         /* must not be seen */
#else
	.size = sizeof(kind),
#endif
	.name = FAKE_KIND, .priority = FAKE_PRIORITY, .anon_inode = "[fake]", .record = &record, .dump = dump,
#ifndef FAKE_NO_OPEN
	.open = open_file,
#endif
};

#ifdef FAKE_OPTIONS
struct conf {
	uint64_t count, bytes;
	const char *text;
	unsigned mode;
	bool on;
};

static const char *const modes[] = { "slow", "fast", NULL };
static const struct eng_option options[] = {
	ENG_OPTION("on", ENG_OPTION_BOOL, struct conf, on, "no", "Do it"),
	ENG_OPTION("count", ENG_OPTION_UINT, struct conf, count, "5", "How often", .min = 1, .max = 10),
	ENG_OPTION("bytes", ENG_OPTION_SIZE, struct conf, bytes, "64K", "How much", .max = 1 << 20),
	ENG_OPTION("text", ENG_OPTION_STRING, struct conf, text, "none", "What to say"),
	ENG_OPTION("mode", ENG_OPTION_ENUM, struct conf, mode, "slow", "How", .choices = modes),
	{ 0 },
};
#endif

static const struct eng_plugin plugin = {
#ifdef FAKE_ABI
	.abi = FAKE_ABI, .size = sizeof(struct eng_plugin),
#elif defined(FAKE_OLD)
	.abi = 1, .size = offsetof(struct eng_plugin, init), /* what follows must read as absent */
	.init = (void *)1,
#else
	ENG_PLUGIN_HEAD,
#endif
	.name = FAKE_NAME, .version = "1", .summary = "nothing",
#ifdef FAKE_PROVIDES
	.provides = ENG_NAMES(FAKE_PROVIDES),
#endif
#ifdef FAKE_AFTER
	.after = ENG_NAMES(FAKE_AFTER),
#endif
#ifdef FAKE_NEEDS
	.needs = ENG_NAMES(FAKE_NEEDS),
#endif
#ifdef FAKE_OPTIONS
	.conf_size = sizeof(struct conf), .options = options,
#endif
	.file_kinds = ENG_LIST(&kind),
};
ENG_PLUGIN_EXPORT(plugin);
