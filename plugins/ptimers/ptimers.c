/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * POSIX timers. Which there are says /proc/PID/timers (Linux 3.10); time left and overruns the process itself reads. A timer gets its number back by
 * PR_TIMER_CREATE_RESTORE_IDS (Linux 6.15). They go on with the time that was left.
 */
#include <engine/plugin.h>

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>

#include "ptimers.pb-c.h"

#define TIMERS_MAX 512u
#define SECOND UINT64_C(1000000000)
#define RESTORE_IDS 77 /* PR_TIMER_CREATE_RESTORE_IDS */

struct timer {
	unsigned id, notify, signal, tid;
	int clock, gettime, overrun;
	uint64_t value;
	struct eng_buf left;
};

struct asked {
	struct timer timer[TIMERS_MAX];
	size_t n;
};

static unsigned notify_of(const char *text)
{
	return strncmp(text, "signal", 6) == 0 ? SIGEV_SIGNAL : strncmp(text, "none", 4) == 0 ? SIGEV_NONE : SIGEV_THREAD;
}

static int parse(const char *text, struct asked *a, struct eng_err *err)
{
	struct timer *t = NULL;

	for (const char *p = text; *p; p = strchr(p, '\n') ? strchr(p, '\n') + 1 : "") {
		unsigned id;
		char how[32];

		if (sscanf(p, "ID: %u", &id) == 1) {
			if (a->n == TIMERS_MAX)
				return eng_fail(err, E2BIG, "more than %u POSIX timers", TIMERS_MAX);
			t = &a->timer[a->n++];
			*t = (struct timer){ .id = id };
		} else if (t && sscanf(p, "signal: %u/%" SCNx64, &t->signal, &t->value) >= 1) {
		} else if (t && sscanf(p, "notify: %31[^/]/%*3s.%u", how, &t->tid) >= 1) {
			const char *dot = strchr(p, '.');

			t->notify = notify_of(how);
			t->tid = dot ? (unsigned)atoi(dot + 1) : 0;
			if (strncmp(strchr(p, '/') ? strchr(p, '/') : "", "/tid.", 5) == 0)
				t->notify = SIGEV_THREAD_ID;
		} else if (t) {
			(void)sscanf(p, "ClockID: %d", &t->clock);
		}
	}
	return 0;
}

static int ptimers_query(const struct eng_ctx *ctx, struct eng_thread *t, void *scratch, struct eng_batch *b, struct eng_err *err)
{
	struct asked *a = scratch;
	char *text;
	int r = eng_task_read(eng_thread_task(t), "timers", &text, NULL, err);

	if (r == 0)
		r = parse(text, a, err);
	for (size_t i = 0; r == 0 && i < a->n; i++) {
		struct timer *x = &a->timer[i];

		x->left = eng_batch_alloc(b, sizeof(struct itimerspec), 8);
		x->gettime = eng_op(b, "read a POSIX timer", 0, SYS_timer_gettime, x->id, x->left.addr);
		x->overrun = eng_op(b, "read overruns of a POSIX timer", 0, SYS_timer_getoverrun, x->id);
	}
	return r;
}

static uint64_t ns_of(const struct timespec *t)
{
	return (uint64_t)t->tv_sec * SECOND + (uint64_t)t->tv_nsec;
}

static int ptimers_collect(const struct eng_ctx *ctx, struct eng_thread *t, void *scratch, const struct eng_batch *b, ProtobufCMessage *record,
			   struct eng_err *err)
{
	Ptimers__Timers *rec = (Ptimers__Timers *)record;
	const struct asked *a = scratch;
	char object[64];

	rec->timers = eng_alloc(ctx->run, (a->n + 1) * sizeof(*rec->timers));
	for (size_t i = 0; i < a->n; i++) {
		const struct timer *x = &a->timer[i];
		const struct itimerspec *left = x->left.ptr;
		Ptimers__Timer *out = eng_alloc(ctx->run, sizeof(*out));

		ptimers__timer__init(out);
		out->id = x->id;
		out->clock = x->clock;
		out->notify = x->notify;
		out->signal = x->signal;
		out->value = x->value;
		out->has_tid = x->notify == SIGEV_THREAD_ID;
		out->tid = x->tid;
		out->value_ns = ns_of(&left->it_value);
		out->interval_ns = ns_of(&left->it_interval);
		out->overrun = (uint32_t)eng_batch_result(b, x->overrun);
		rec->timers[rec->n_timers++] = out;
		if (out->overrun) {
			(void)snprintf(object, sizeof(object), "process %d POSIX timer %u", eng_thread_tid(t), x->id);
			eng_lose(ctx->run, object, eng_printf(ctx->run, "its last count of overruns (%u) cannot be set again", out->overrun));
		}
	}
	return a->n ? 0 : 1;
}

static int ptimers_restore(const struct eng_ctx *ctx, struct eng_thread *t, const ProtobufCMessage *record, struct eng_batch *b, struct eng_err *err)
{
	const Ptimers__Timers *rec = (const Ptimers__Timers *)record;

	(void)eng_op(b, "ask for timer numbers (Linux 6.15)", 0, SYS_prctl, RESTORE_IDS, 1, 0, 0, 0);
	for (size_t i = rec->n_timers; i-- > 0;) { /* the kernel lists the newest first */
		const Ptimers__Timer *x = rec->timers[i];
		struct {
			uint64_t value;
			int32_t signo, notify, tid, pad[11];
		} event = { x->value, (int32_t)x->signal, (int32_t)x->notify, (int32_t)x->tid, { 0 } }; /* struct sigevent */
		int32_t id = (int32_t)x->id;
		struct itimerspec left = { { (time_t)(x->interval_ns / SECOND), (long)(x->interval_ns % SECOND) },
					   { (time_t)(x->value_ns / SECOND), (long)(x->value_ns % SECOND) } };

		if (x->notify != SIGEV_SIGNAL && x->notify != SIGEV_NONE && x->notify != SIGEV_THREAD_ID)
			return eng_fail(err, EBADMSG, "timer %u is notified in an unknown way", x->id);
		(void)eng_op(b, "create a POSIX timer", 0, SYS_timer_create, (uint64_t)(int64_t)x->clock, eng_batch_copy(b, &event, sizeof(event)).addr,
			     eng_batch_copy(b, &id, sizeof(id)).addr);
		if (x->value_ns)
			(void)eng_op(b, "arm a POSIX timer", 0, SYS_timer_settime, x->id, 0, eng_batch_copy(b, &left, sizeof(left)).addr, 0);
	}
	(void)eng_op(b, "stop asking for timer numbers", 0, SYS_prctl, RESTORE_IDS, 0, 0, 0, 0);
	return 0;
}

static const struct eng_task_kind ptimers_kind = {
	.size = sizeof(ptimers_kind), .name = "task/ptimers", .scope = ENG_SCOPE_PROCESS, .section = ENG_SECT_FINAL, .record = &ptimers__timers__descriptor,
	.scratch_size = sizeof(struct asked), .query = ptimers_query, .collect = ptimers_collect, .restore = ptimers_restore,
};

static const struct eng_plugin ptimers_plugin = {
	ENG_PLUGIN_HEAD, .name = "ptimers", .version = "1", .summary = "POSIX timers with their numbers and the time that was left",
	.not_kept = "overrun counts; timers at all before Linux 6.15", .task_kinds = ENG_LIST(&ptimers_kind),
};
ENG_PLUGIN_EXPORT(ptimers_plugin);
