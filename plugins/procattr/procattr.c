/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* oom_score_adj and coredump_filter: set by the engine through /proc/PID when the process is complete. Only what differs is written. */
#include <engine/plugin.h>

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "procattr.pb-c.h"

static int procattr_collect(const struct eng_ctx *ctx, struct eng_thread *t, void *scratch, const struct eng_batch *b, ProtobufCMessage *record,
			    struct eng_err *err)
{
	Procattr__Procattr *rec = (Procattr__Procattr *)record;
	char *adj, *filter;
	int r = eng_task_read(eng_thread_task(t), "oom_score_adj", &adj, NULL, err);

	if (r == 0)
		r = eng_task_read(eng_thread_task(t), "coredump_filter", &filter, NULL, err);
	if (r < 0)
		return r;
	rec->oom_score_adj = atoi(adj);
	rec->coredump_filter = (uint32_t)strtoul(filter, NULL, 16);
	return 0;
}

static int put(struct eng_thread *t, const char *name, const char *text, struct eng_err *err)
{
	_cleanup_close_ int fd = openat(eng_task_procfd(eng_thread_task(t)), name, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		return eng_fail(err, errno, "cannot write %s to /proc/%d/%s", text, eng_task_pid(eng_thread_task(t)), name);
	return 0;
}

static int procattr_finish(const struct eng_ctx *ctx, struct eng_thread *t, const ProtobufCMessage *record, struct eng_err *err)
{
	const Procattr__Procattr *rec = (const Procattr__Procattr *)record;
	char text[32], object[48], *adj, *filter;
	int r = eng_task_read(eng_thread_task(t), "oom_score_adj", &adj, NULL, err);

	if (r == 0)
		r = eng_task_read(eng_thread_task(t), "coredump_filter", &filter, NULL, err);
	if (r < 0)
		return r;
	(void)snprintf(text, sizeof(text), "%d", rec->oom_score_adj);
	if (atoi(adj) != rec->oom_score_adj && put(t, "oom_score_adj", text, err) < 0) {
		if (err->code != EACCES)
			return -err->code;
		eng_err_clear(err);
		(void)snprintf(object, sizeof(object), "process %d oom_score_adj", eng_thread_tid(t));
		eng_lose(ctx->run, object, eng_printf(ctx->run, "%d cannot be set without CAP_SYS_RESOURCE: it stays %d", rec->oom_score_adj, atoi(adj)));
	}
	(void)snprintf(text, sizeof(text), "0x%x", rec->coredump_filter);
	if (strtoul(filter, NULL, 16) != rec->coredump_filter)
		return put(t, "coredump_filter", text, err);
	return 0;
}

static const struct eng_task_kind procattr_kind = {
	.size = sizeof(procattr_kind), .name = "task/procattr", .scope = ENG_SCOPE_PROCESS, .section = ENG_SECT_FINAL,
	.record = &procattr__procattr__descriptor, .collect = procattr_collect, .finish = procattr_finish,
};

static const struct eng_plugin procattr_plugin = {
	ENG_PLUGIN_HEAD, .name = "procattr", .version = "1", .summary = "oom_score_adj, coredump_filter",
	.not_kept = "loginuid, autogroup nice value; an oom_score_adj below the engine's without CAP_SYS_RESOURCE", .task_kinds = ENG_LIST(&procattr_kind),
};
ENG_PLUGIN_EXPORT(procattr_plugin);
