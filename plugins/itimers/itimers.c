/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Interval timers (setitimer(2)): they go on with the time that was left. */
#include <engine/plugin.h>

#include <sys/syscall.h>
#include <sys/time.h>

#include "itimers.pb-c.h"

static int itimers_query(const struct eng_ctx *ctx, struct eng_thread *t, void *scratch, struct eng_batch *b, struct eng_err *err)
{
	struct eng_buf *buf = scratch;

	*buf = eng_batch_alloc(b, 3 * sizeof(struct itimerval), 8);
	for (uint64_t i = 0; i < 3; i++)
		(void)eng_op(b, "read an interval timer", 0, SYS_getitimer, i, buf->addr + i * sizeof(struct itimerval));
	return 0;
}

static int itimers_collect(const struct eng_ctx *ctx, struct eng_thread *t, void *scratch, const struct eng_batch *b, ProtobufCMessage *record,
			   struct eng_err *err)
{
	Itimers__Itimers *rec = (Itimers__Itimers *)record;
	const struct itimerval *v = ((struct eng_buf *)scratch)->ptr;
	bool any = false;

	rec->n_value_us = rec->n_interval_us = 3;
	rec->value_us = eng_alloc(ctx->run, 24);
	rec->interval_us = eng_alloc(ctx->run, 24);
	for (unsigned i = 0; i < 3; i++) {
		rec->value_us[i] = (uint64_t)v[i].it_value.tv_sec * 1000000 + (uint64_t)v[i].it_value.tv_usec;
		rec->interval_us[i] = (uint64_t)v[i].it_interval.tv_sec * 1000000 + (uint64_t)v[i].it_interval.tv_usec;
		if (rec->value_us[i] == 0 && rec->interval_us[i])
			rec->value_us[i] = rec->interval_us[i]; /* it has just expired; the kernel starts it again when the signal is taken */
		any |= rec->value_us[i] || rec->interval_us[i];
	}
	return any ? 0 : 1;
}

static int itimers_restore(const struct eng_ctx *ctx, struct eng_thread *t, const ProtobufCMessage *record, struct eng_batch *b, struct eng_err *err)
{
	const Itimers__Itimers *rec = (const Itimers__Itimers *)record;

	if (rec->n_value_us != 3 || rec->n_interval_us != 3)
		return eng_fail(err, EBADMSG, "the record of its interval timers is impossible");
	for (unsigned i = 0; i < 3; i++) {
		struct itimerval v = { { (time_t)(rec->interval_us[i] / 1000000), (suseconds_t)(rec->interval_us[i] % 1000000) },
				       { (time_t)(rec->value_us[i] / 1000000), (suseconds_t)(rec->value_us[i] % 1000000) } };

		if (rec->value_us[i] || rec->interval_us[i])
			(void)eng_op(b, "set an interval timer", 0, SYS_setitimer, i, eng_batch_copy(b, &v, sizeof(v)).addr, 0);
	}
	return 0;
}

static const struct eng_task_kind itimers_kind = {
	.size = sizeof(itimers_kind), .name = "task/itimers", .scope = ENG_SCOPE_PROCESS, .section = ENG_SECT_FINAL, .record = &itimers__itimers__descriptor,
	.scratch_size = sizeof(struct eng_buf), .query = itimers_query, .collect = itimers_collect, .restore = itimers_restore,
};

static const struct eng_plugin itimers_plugin = {
	ENG_PLUGIN_HEAD, .name = "itimers", .version = "1", .summary = "interval timers with the time that was left", .task_kinds = ENG_LIST(&itimers_kind),
};
ENG_PLUGIN_EXPORT(itimers_plugin);
