/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Resource limits: read and set by the process itself, because prlimit(2) on another user's process needs CAP_SYS_RESOURCE. */
#include <engine/plugin.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "rlimits.pb-c.h"

#define LIMITS 16u

static int rlimits_query(const struct eng_ctx *ctx, struct eng_thread *t, void *scratch, struct eng_batch *b, struct eng_err *err)
{
	struct eng_buf *buf = scratch;

	*buf = eng_batch_alloc(b, LIMITS * 16, 8);
	for (uint64_t i = 0; i < LIMITS; i++)
		(void)eng_op(b, "read a limit", 0, SYS_prlimit64, 0, i, 0, buf->addr + i * 16);
	return 0;
}

static int rlimits_collect(const struct eng_ctx *ctx, struct eng_thread *t, void *scratch, const struct eng_batch *b, ProtobufCMessage *record,
			   struct eng_err *err)
{
	Rlimits__Rlimits *rec = (Rlimits__Rlimits *)record;
	const uint64_t *v = ((struct eng_buf *)scratch)->ptr;

	rec->n_soft = rec->n_hard = LIMITS;
	rec->soft = eng_alloc(ctx->run, LIMITS * 8);
	rec->hard = eng_alloc(ctx->run, LIMITS * 8);
	for (unsigned i = 0; i < LIMITS; i++) {
		rec->soft[i] = v[2 * i];
		rec->hard[i] = v[2 * i + 1];
	}
	return 0;
}

static int rlimits_check(const struct eng_ctx *ctx, pid_t tid, const ProtobufCMessage *record, struct eng_err *err)
{
	const Rlimits__Rlimits *rec = (const Rlimits__Rlimits *)record;
	char object[48];

	if (rec->n_soft != LIMITS || rec->n_hard != LIMITS)
		return eng_fail(err, EBADMSG, "the record of its limits is impossible");
	for (unsigned i = 0; i < LIMITS; i++) {
		struct rlimit lim;

		if (getrlimit((__rlimit_resource_t)i, &lim) < 0 || rec->hard[i] <= lim.rlim_max)
			continue;
		(void)snprintf(object, sizeof(object), "process %d limit %u", tid, i);
		eng_lose(ctx->run, object, "its hard limit is above the engine's: it becomes the engine's");
	}
	return 0;
}

static int rlimits_restore(const struct eng_ctx *ctx, struct eng_thread *t, const ProtobufCMessage *record, struct eng_batch *b, struct eng_err *err)
{
	const Rlimits__Rlimits *rec = (const Rlimits__Rlimits *)record;

	for (unsigned i = 0; i < LIMITS; i++) {
		uint64_t want[2] = { rec->soft[i], rec->hard[i] };
		struct rlimit lim;

		if (getrlimit((__rlimit_resource_t)i, &lim) < 0)
			return eng_fail(err, errno, "cannot read limit %u", i);
		if (want[1] > lim.rlim_max)
			want[1] = lim.rlim_max;
		if (want[0] > want[1])
			want[0] = want[1];
		if (i == RLIMIT_NOFILE || want[0] != lim.rlim_cur || want[1] != lim.rlim_max)
			(void)eng_op(b, "set a limit", 0, SYS_prlimit64, 0, i, eng_batch_copy(b, want, sizeof(want)).addr, 0);
	}
	return 0;
}

static const struct eng_task_kind rlimits_kind = {
	.size = sizeof(rlimits_kind), .name = "task/rlimits", .scope = ENG_SCOPE_PROCESS, .section = ENG_SECT_FINAL, .record = &rlimits__rlimits__descriptor,
	.scratch_size = sizeof(struct eng_buf), .query = rlimits_query, .collect = rlimits_collect, .check = rlimits_check, .restore = rlimits_restore,
};

static const struct eng_plugin rlimits_plugin = {
	ENG_PLUGIN_HEAD, .name = "rlimits", .version = "1", .summary = "the 16 resource limits of a process",
	.not_kept = "hard limits above the engine's", .task_kinds = ENG_LIST(&rlimits_kind),
};
ENG_PLUGIN_EXPORT(rlimits_plugin);
