/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef CORE_TASK_H
#define CORE_TASK_H
/*
 * Tasks and threads as handles. A task is identified by a pidfd and a directory fd of /proc/PID, both opened before it is trusted; a pid is
 * never used again on its own. States of a thread: running → stopped (PTRACE_SEIZE + PTRACE_INTERRUPT) → entered (in the interpreter) → stopped →
 * running. The calling thread is the tracer and must stay the same (ptrace(2)).
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "arch/arch.h"
#include "core/include/engine/err.h"
#include "parasite/batch.h"

struct eng_run;
struct eng_task;

struct eng_thread {
	pid_t tid;
	struct eng_task *task;
	bool seized, stopped;
	int stop_signal; /* group stop it was in, or 0 */
	uint64_t sigmask;
	struct arch_regs regs; /* as it was stopped */
};

struct eng_task {
	pid_t pid;
	struct eng_run *run; /* owner of what eng_task_read() returns; may be NULL */
	int pidfd, procfd, memfd; /* memfd: /proc/PID/mem */
	struct eng_thread *threads; /* leader first */
	size_t n_threads, cap_threads;
	/* Where injected code goes: zero padding behind the vDSO's text. */
	uint64_t room;
	bool room_dirty;
	uint8_t *copies; /* what stands there: the blob with its two ways back */
	unsigned copy;   /* the one of `charge` */
	struct eng_thread *charge; /* the thread that unmaps the mailbox if the engine dies now */
	/* Mailbox: shared anonymous memory of the task, also mapped here. */
	struct eng_mailbox *box;
	uint64_t box_addr;
};

#define ENG_MAILBOX_SIZE (1024u * 1024u)
#define ENG_OPS_MAX 4096u /* operations in one batch of a dump */
#define ENG_TASK_GONE 1 /* outcome: the process does not exist any more */

/* Open handles. Returns ENG_TASK_GONE if there is no such process. */
int eng_task_open(pid_t pid, struct eng_task *ret, struct eng_err *err);
void eng_task_close(struct eng_task *task);

/* Stop every thread; rescans until no new one appears. On failure everything is let go again. timeout_ms bounds the whole. */
int eng_task_freeze(struct eng_task *task, unsigned timeout_ms, struct eng_err *err);
/* Detach every thread: it goes on exactly where it was. Idempotent. */
void eng_task_thaw(struct eng_task *task);

/* After SIGKILL: wait until every thread has ended, so that the tracer holds nothing back. */
void eng_task_reap(struct eng_task *task);

/* Let one stopped thread run for a moment and stop it again (it was still leaving the code of an engine that was killed). */
int eng_thread_restop(struct eng_task *task, struct eng_thread *thread, struct eng_err *err);

/* Map the mailbox into the (frozen) task and here. After it the task must be left with eng_task_leave. Crash-safe at every instant. */
int eng_task_enter(struct eng_task *task, struct eng_err *err);
/* Run operations in one thread of an entered task. ops are copied in; results copied back. data: arguments' memory, at mailbox address
 * eng_task_data(). *ret_failed: index of the operation that failed, or -1. */
int eng_task_run(struct eng_task *task, struct eng_thread *thread, struct batch_op *ops, size_t count, int *ret_failed, struct eng_err *err);
/* Memory for arguments and results: *ret_addr is what the task calls it. */
void *eng_task_data(struct eng_task *task, size_t *ret_size, uint64_t *ret_addr);
/* Unmap the mailbox and put the registers back; zeroes the padding. */
int eng_task_leave(struct eng_task *task, struct eng_err *err);

#endif
