/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Pending signals with their siginfo, of the process and of each thread (PTRACE_PEEKSIGINFO, Linux 3.10). In the new process every signal is blocked, so what
 * each thread sends to itself stays pending until its own mask is loaded.
 */
#include <engine/plugin.h>

#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>

#include "sigqueue.pb-c.h"

#define AT_ONCE 32
#define QUEUE_MAX 65536u

/* A timer queues one signal at most; a second comes from an earlier restore, whose timer has fired again meanwhile. */
static bool of_known_timer(const Sigqueue__Queue *rec, const siginfo_t *info)
{
	for (size_t i = 0; info->si_code == SI_TIMER && i < rec->n_siginfo; i++) {
		siginfo_t other;

		memcpy(&other, rec->siginfo[i].data, sizeof(other));
		if (other.si_code == SI_TIMER && other.si_timerid == info->si_timerid)
			return true;
	}
	return false;
}

static int peek(const struct eng_ctx *ctx, pid_t tid, unsigned flags, Sigqueue__Queue *rec, struct eng_err *err)
{
	siginfo_t info[AT_ONCE];
	uint64_t off = 0;
	long n;

	do {
		struct __ptrace_peeksiginfo_args args = { .off = off, .flags = flags, .nr = AT_ONCE };
		ProtobufCBinaryData *list;

		n = ptrace(PTRACE_PEEKSIGINFO, tid, &args, info);
		if (n < 0)
			return eng_fail(err, errno, "cannot read the pending signals of %d", tid);
		if (n == 0 || rec->n_siginfo > QUEUE_MAX)
			break;
		list = eng_alloc(ctx->run, (rec->n_siginfo + (size_t)n) * sizeof(*list));
		if (rec->n_siginfo)
			memcpy(list, rec->siginfo, rec->n_siginfo * sizeof(*list));
		rec->siginfo = list;
		for (long i = 0; i < n; i++) {
			uint8_t *copy;

			off++;
			if (of_known_timer(rec, &info[i]))
				continue;
			copy = eng_alloc(ctx->run, sizeof(info[0]));
			memcpy(copy, &info[i], sizeof(info[0]));
			list[rec->n_siginfo++] = (ProtobufCBinaryData){ .len = sizeof(info[0]), .data = copy };
		}
	} while (n > 0);
	return rec->n_siginfo ? 0 : 1;
}

static int thread_collect(const struct eng_ctx *ctx, struct eng_thread *t, void *scratch, const struct eng_batch *b, ProtobufCMessage *record, struct eng_err *err)
{
	return peek(ctx, eng_thread_tid(t), 0, (Sigqueue__Queue *)record, err);
}

static int process_collect(const struct eng_ctx *ctx, struct eng_thread *t, void *scratch, const struct eng_batch *b, ProtobufCMessage *record, struct eng_err *err)
{
	return peek(ctx, eng_thread_tid(t), PTRACE_PEEKSIGINFO_SHARED, (Sigqueue__Queue *)record, err);
}

static int send_all(struct eng_thread *t, const Sigqueue__Queue *rec, bool shared, struct eng_batch *b, struct eng_err *err)
{
	uint64_t pid = (uint64_t)eng_task_pid(eng_thread_task(t)), tid = (uint64_t)eng_thread_tid(t);

	for (size_t i = 0; i < rec->n_siginfo; i++) {
		siginfo_t info;
		uint64_t addr;

		if (rec->siginfo[i].len != sizeof(info) || i > QUEUE_MAX)
			return eng_fail(err, EBADMSG, "the record of pending signals is impossible");
		memcpy(&info, rec->siginfo[i].data, sizeof(info));
		if (info.si_signo < 1 || info.si_signo > 64 || info.si_signo == SIGKILL || info.si_signo == SIGSTOP)
			return eng_fail(err, EBADMSG, "pending signal %d is impossible", info.si_signo);
		addr = eng_batch_copy(b, &info, sizeof(info)).addr;
		if (shared)
			(void)eng_op(b, "queue a signal", 0, SYS_rt_sigqueueinfo, pid, (uint64_t)info.si_signo, addr);
		else
			(void)eng_op(b, "queue a signal to a thread", 0, SYS_rt_tgsigqueueinfo, pid, tid, (uint64_t)info.si_signo, addr);
	}
	return 0;
}

static int thread_restore(const struct eng_ctx *ctx, struct eng_thread *t, const ProtobufCMessage *record, struct eng_batch *b, struct eng_err *err)
{
	return send_all(t, (const Sigqueue__Queue *)record, false, b, err);
}

static int process_restore(const struct eng_ctx *ctx, struct eng_thread *t, const ProtobufCMessage *record, struct eng_batch *b, struct eng_err *err)
{
	return send_all(t, (const Sigqueue__Queue *)record, true, b, err);
}

static const struct eng_task_kind thread_kind = {
	.size = sizeof(thread_kind), .name = "task/sigqueue-thread", .scope = ENG_SCOPE_THREAD, .section = ENG_SECT_FINAL,
	.record = &sigqueue__queue__descriptor, .collect = thread_collect, .restore = thread_restore,
};

static const struct eng_task_kind process_kind = {
	.size = sizeof(process_kind), .name = "task/sigqueue", .scope = ENG_SCOPE_PROCESS, .section = ENG_SECT_FINAL, .record = &sigqueue__queue__descriptor,
	.collect = process_collect, .restore = process_restore,
};

static const struct eng_plugin sigqueue_plugin = {
	ENG_PLUGIN_HEAD, .name = "sigqueue", .version = "1", .summary = "pending signals of processes and threads, with siginfo",
	.task_kinds = ENG_LIST(&thread_kind, &process_kind),
};
ENG_PLUGIN_EXPORT(sigqueue_plugin);
