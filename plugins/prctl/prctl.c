/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What prctl(2) can get and set, by a table. Only values that differ from a new process's are recorded. Each comes in the final section, so that nothing of the
 * restore runs under them.
 */
#include <engine/plugin.h>

#include <linux/prctl.h>
#include <string.h>
#include <sys/syscall.h>

#include "prctl.pb-c.h"

struct attribute {
	uint32_t get, set;
	uint64_t get_arg;  /* second argument of get */
	bool by_pointer;   /* get stores an int through its second argument */
	bool thread;
	uint64_t usual;
};

static const struct attribute table[] = {
	{ .get = PR_GET_CHILD_SUBREAPER, .set = PR_SET_CHILD_SUBREAPER, .by_pointer = true },
	{ .get = PR_GET_THP_DISABLE, .set = PR_SET_THP_DISABLE },
	{ .get = 68 /* PR_GET_MEMORY_MERGE, Linux 6.4 */, .set = 67 },
	{ .get = 66 /* PR_GET_MDWE, Linux 6.3 */, .set = 65 },
	{ .get = 58 /* PR_GET_IO_FLUSHER, Linux 5.6 */, .set = 57, .thread = true },
	{ .get = PR_MCE_KILL_GET, .set = PR_MCE_KILL, .thread = true, .usual = PR_MCE_KILL_DEFAULT },
	{ .get = PR_GET_TSC, .set = PR_SET_TSC, .by_pointer = true, .thread = true, .usual = PR_TSC_ENABLE },
	{ .get = PR_GET_TIMERSLACK, .set = PR_SET_TIMERSLACK, .thread = true, .usual = 50000 },
};

struct asked {
	struct eng_buf values;
	int op[ENG_ARRAY_SIZE(table)];
	int personality;
};

static int ask(struct asked *a, bool thread, struct eng_batch *b)
{
	a->values = eng_batch_alloc(b, sizeof(uint64_t) * ENG_ARRAY_SIZE(table), 8);
	for (size_t i = 0; i < ENG_ARRAY_SIZE(table); i++)
		if (table[i].thread == thread)
			a->op[i] = eng_op(b, "read a process attribute", ENG_OP_IGNORE, SYS_prctl, table[i].get,
					  table[i].by_pointer ? a->values.addr + i * 8 : table[i].get_arg, 0, 0, 0);
	if (!thread)
		a->personality = eng_op(b, "read the personality", 0, SYS_personality, 0xffffffff);
	return 0;
}

static int take(const struct eng_ctx *ctx, const struct asked *a, bool thread, const struct eng_batch *b, Prctl__Attributes *rec)
{
	const uint64_t *values = a->values.ptr;

	rec->option = eng_alloc(ctx->run, sizeof(uint32_t) * ENG_ARRAY_SIZE(table));
	rec->value = eng_alloc(ctx->run, sizeof(uint64_t) * ENG_ARRAY_SIZE(table));
	for (size_t i = 0; i < ENG_ARRAY_SIZE(table); i++) {
		int64_t result = table[i].thread == thread ? eng_batch_result(b, a->op[i]) : -1;
		uint64_t value = table[i].by_pointer ? (values[i] & 0xffffffff) : (uint64_t)result;

		if (result < 0 || value == table[i].usual)
			continue;
		rec->option[rec->n_option++] = table[i].set;
		rec->value[rec->n_value++] = value;
	}
	if (!thread && eng_batch_result(b, a->personality) != 0) {
		rec->has_personality = true;
		rec->personality = (uint32_t)eng_batch_result(b, a->personality);
	}
	return rec->n_option || rec->has_personality ? 0 : 1;
}

static int restore(const Prctl__Attributes *rec, struct eng_batch *b, struct eng_err *err)
{
	if (rec->n_option != rec->n_value || rec->n_option > ENG_ARRAY_SIZE(table))
		return eng_fail(err, EBADMSG, "the record of process attributes is impossible");
	for (size_t i = 0; i < rec->n_option; i++) {
		bool known = false;

		for (size_t k = 0; k < ENG_ARRAY_SIZE(table); k++)
			known |= table[k].set == rec->option[i];
		if (!known)
			return eng_fail(err, EBADMSG, "process attribute %u is unknown", rec->option[i]);
		if (rec->option[i] == PR_MCE_KILL)
			(void)eng_op(b, "set a process attribute", 0, SYS_prctl, PR_MCE_KILL, PR_MCE_KILL_SET, rec->value[i], 0, 0);
		else
			(void)eng_op(b, "set a process attribute", 0, SYS_prctl, rec->option[i], rec->value[i], 0, 0, 0);
	}
	if (rec->has_personality)
		(void)eng_op(b, "set the personality", 0, SYS_personality, rec->personality);
	return 0;
}

static int process_query(const struct eng_ctx *ctx, struct eng_thread *t, void *scratch, struct eng_batch *b, struct eng_err *err)
{
	return ask(scratch, false, b);
}

static int thread_query(const struct eng_ctx *ctx, struct eng_thread *t, void *scratch, struct eng_batch *b, struct eng_err *err)
{
	return ask(scratch, true, b);
}

static int process_collect(const struct eng_ctx *ctx, struct eng_thread *t, void *scratch, const struct eng_batch *b, ProtobufCMessage *record, struct eng_err *err)
{
	return take(ctx, scratch, false, b, (Prctl__Attributes *)record);
}

static int thread_collect(const struct eng_ctx *ctx, struct eng_thread *t, void *scratch, const struct eng_batch *b, ProtobufCMessage *record, struct eng_err *err)
{
	return take(ctx, scratch, true, b, (Prctl__Attributes *)record);
}

static int any_restore(const struct eng_ctx *ctx, struct eng_thread *t, const ProtobufCMessage *record, struct eng_batch *b, struct eng_err *err)
{
	return restore((const Prctl__Attributes *)record, b, err);
}

static const struct eng_task_kind process_kind = {
	.size = sizeof(process_kind), .name = "task/prctl", .scope = ENG_SCOPE_PROCESS, .section = ENG_SECT_FINAL, .record = &prctl__attributes__descriptor,
	.scratch_size = sizeof(struct asked), .query = process_query, .collect = process_collect, .restore = any_restore,
};

static const struct eng_task_kind thread_kind = {
	.size = sizeof(thread_kind), .name = "task/prctl-thread", .scope = ENG_SCOPE_THREAD, .section = ENG_SECT_FINAL, .record = &prctl__attributes__descriptor,
	.scratch_size = sizeof(struct asked), .query = thread_query, .collect = thread_collect, .restore = any_restore,
};

static const struct eng_plugin prctl_plugin = {
	ENG_PLUGIN_HEAD, .name = "prctl", .version = "1",
	.summary = "child subreaper, THP disable, memory merge, I/O flusher, machine-check policy, TSC mode, timer slack, personality",
	.not_kept = "speculation control, membarrier registrations, CPUID faulting", .task_kinds = ENG_LIST(&process_kind, &thread_kind),
};
ENG_PLUGIN_EXPORT(prctl_plugin);
