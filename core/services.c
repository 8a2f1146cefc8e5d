/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Services for plugins that only look something up; see engine/plugin.h. */
#include "core/run.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/io.h"

pid_t eng_task_pid(const struct eng_task *task)
{
	return task->pid;
}

int eng_task_procfd(const struct eng_task *task)
{
	return task->procfd;
}

int eng_task_pidfd(const struct eng_task *task)
{
	return task->pidfd;
}

struct eng_thread *eng_task_leader(struct eng_task *task)
{
	return &task->threads[0];
}

pid_t eng_thread_tid(const struct eng_thread *thread)
{
	return thread->tid;
}

struct eng_task *eng_thread_task(const struct eng_thread *thread)
{
	return thread->task;
}

bool eng_thread_is_leader(const struct eng_thread *thread)
{
	return thread->tid == thread->task->pid;
}

int eng_task_read(struct eng_task *task, const char *name, char **ret_text, size_t *ret_len, struct eng_err *err)
{
	char *text;
	int r = eng_read_file_at(task->procfd, name, &text, ret_len);

	if (r < 0)
		return eng_fail(err, -r, "cannot read /proc/%d/%s", task->pid, name);
	eng_run_own(task->run, text);
	*ret_text = text;
	return 0;
}

int eng_run_each_task(struct eng_run *run, int (*fn)(struct eng_task *task, void *data), void *data)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < run->n_tasks; i++)
		r = fn(run->tasks[i], data);
	return r;
}

struct eng_task *eng_run_task(struct eng_run *run, pid_t pid)
{
	for (size_t i = 0; i < run->n_tasks; i++)
		if (run->tasks[i]->pid == pid)
			return run->tasks[i];
	return NULL;
}

char *eng_printf(struct eng_run *run, const char *fmt, ...)
{
	va_list ap;
	char *text;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (n < 0)
		return eng_strdup(run, "");
	eng_run_own(run, text);
	return text;
}

void eng_debug(const struct eng_ctx *ctx, const char *fmt, ...)
{
	va_list ap;

	if (!ctx->run->debug)
		return;
	va_start(ap, fmt);
	(void)vfprintf(stderr, fmt, ap);
	va_end(ap);
	(void)fputc('\n', stderr);
}

void eng_undo(struct eng_run *run, void (*fn)(void *data), void *data)
{
	struct eng_undo_step *step = eng_alloc(run, sizeof(*step));

	*step = (struct eng_undo_step){ .next = run->undo, .fn = fn, .data = data };
	run->undo = step;
}

void eng_run_undo(struct eng_run *run)
{
	while (run->undo) {
		struct eng_undo_step *step = run->undo;

		run->undo = step->next;
		step->fn(step->data);
	}
}

int eng_record(const struct eng_ctx *ctx, const char *kind, uint64_t id, const ProtobufCMessage *msg, struct eng_err *err)
{
	return ctx->rehearsal || !ctx->run->writer ? 0 : eng_image_put(ctx->run->writer, kind, id, msg, err);
}

const ProtobufCMessage *eng_find_record(struct eng_run *run, const char *kind, uint64_t id)
{
	const ProtobufCMessageDescriptor *desc = eng_run_descriptor(run, kind);
	const ProtobufCMessage *msg = NULL;

	return desc && run->image && eng_image_get(run->image, kind, id, desc, &msg, NULL) == 0 ? msg : NULL;
}
