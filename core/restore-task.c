/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* State of processes and threads: stages 2 to 4. */
#include "core/restore.h"

#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

/* ------------------------------------------------------------------------------------------------ groups, and those that have ended */

static void end_zombie(struct eng_restore_task *t)
{
	struct eng_batch *b = &t->threads[0].batch;
	int code = t->rec->exit_code, sig = code & 0x7f;
	struct eng_buf mask = eng_batch_alloc(b, 8, 8), limit = eng_batch_alloc(b, 16, 8);

	(void)eng_op(b, "set the name", 0, SYS_prctl, PR_SET_NAME, eng_batch_copy(b, t->rec->comm ?: "", strlen(t->rec->comm ?: "") + 1).addr);
	if (sig) { /* without the core file: it was written the first time */
		(void)eng_op(b, "limit core files", 0, SYS_prlimit64, 0, 4 /* RLIMIT_CORE */, limit.addr, 0);
		(void)eng_op(b, "send the last signal", 0, SYS_kill, (uint64_t)t->rec->pid, (uint64_t)sig);
		(void)eng_op(b, "unblock signals", ENG_OP_IGNORE, SYS_rt_sigprocmask, SIG_SETMASK, mask.addr, 0, 8);
	}
	(void)eng_op(b, "end", 0, SYS_exit_group, (uint64_t)(code >> 8) & 0xff);
}

static int wait_end(const struct eng_restore_task *t, struct eng_err *err)
{
	struct pollfd p = { .fd = t->task.pidfd, .events = POLLIN };

	if (poll(&p, 1, 10000) <= 0)
		return eng_fail(err, ETIMEDOUT, "process %d (a zombie) does not end", t->rec->pid);
	return 0;
}

int eng_restore_groups(struct eng_restore *r, struct eng_err *err)
{
	int x = 0;

	for (size_t i = 0; x == 0 && i < r->n_tasks; i++) {
		struct eng_restore_task *t = &r->tasks[i];

		if (t->rec->pgid == t->rec->pid && !t->setsid)
			(void)eng_op(&t->threads[0].batch, "make a process group", 0, SYS_setpgid, 0, 0);
		if (t->threads[0].batch.n)
			x = eng_box_arm(r, &t->threads[0], true, err);
	}
	for (size_t i = 0; x == 0 && i < r->n_tasks; i++)
		x = eng_box_wait(r, &r->tasks[i], &r->tasks[i].threads[0], "process groups", err);
	for (size_t i = 0; x == 0 && i < r->n_tasks; i++) {
		struct eng_restore_task *t = &r->tasks[i];

		if (!t->zombie)
			continue;
		if (t->rec->pgid != t->rec->pid && t->rec->pgid != t->group && !t->rec->pgid_outside)
			(void)eng_op(&t->threads[0].batch, "join its process group", 0, SYS_setpgid, 0, (uint64_t)t->rec->pgid);
		end_zombie(t);
		x = eng_box_arm(r, &t->threads[0], true, err);
		if (x == 0)
			x = wait_end(t, err);
	}
	return x;
}

/* ------------------------------------------------------------------------------------------------ plugins */

static int kinds_of(struct eng_restore *r, struct eng_restore_task *t, size_t i, enum eng_section from, enum eng_section to, struct eng_err *err)
{
	struct eng_thread *thread = &t->task.threads[i];

	for (enum eng_section s = from; s <= to; s++)
		for (size_t k = 0; k < r->run->n_task_kinds; k++) {
			const struct eng_task_kind *kind = r->run->task_kinds[k].kind;
			const ProtobufCMessage *rec;
			int x;

			if (kind->section != s || !kind->restore || (kind->scope == ENG_SCOPE_PROCESS && i > 0))
				continue;
			x = eng_image_get(r->img, kind->name, (uint64_t)thread->tid, kind->record, &rec, err);
			if (x == 0)
				x = kind->restore(&r->run->task_kinds[k].owner->ctx, thread, rec, &t->threads[i].batch, err);
			if (x < 0)
				return eng_wrap(err, x, "thread %d: %s", thread->tid, kind->name);
		}
	return 0;
}

static int call_kinds(struct eng_restore *r, bool check, struct eng_err *err)
{
	for (size_t i = 0; i < r->n_tasks; i++)
		for (size_t n = 0; !r->tasks[i].zombie && n < r->tasks[i].n_threads; n++)
			for (size_t k = 0; k < r->run->n_task_kinds; k++) {
				const struct eng_task_kind *kind = r->run->task_kinds[k].kind;
				struct eng_ctx *ctx = &r->run->task_kinds[k].owner->ctx;
				struct eng_thread *thread = &r->tasks[i].task.threads[n];
				const ProtobufCMessage *rec;
				int x;

				if (!(check ? kind->check != NULL : kind->finish != NULL) || (kind->scope == ENG_SCOPE_PROCESS && n > 0))
					continue;
				x = eng_image_get(r->img, kind->name, (uint64_t)thread->tid, kind->record, &rec, err);
				if (x == 0)
					x = check ? kind->check(ctx, thread->tid, rec, err) : kind->finish(ctx, thread, rec, err);
				if (x < 0)
					return eng_wrap(err, x, "thread %d: %s", thread->tid, kind->name);
			}
	return 0;
}

int eng_restore_check_kinds(struct eng_restore *r, struct eng_err *err)
{
	return call_kinds(r, true, err);
}

int eng_restore_finish(struct eng_restore *r, struct eng_err *err)
{
	return call_kinds(r, false, err);
}

/* ------------------------------------------------------------------------------------------------ stage 3 */

/* PR_SET_MM_MAP (Linux 3.18): all fields at once; exe_fd is the task's number of the program's file. */
static int set_mm(struct eng_restore *r, struct eng_restore_task *t, struct eng_batch *b, int exe_fd, struct eng_err *err)
{
	const Engine__Mm *mm = t->mm;
	struct {
		uint64_t start_code, end_code, start_data, end_data, start_brk, brk, start_stack, arg_start, arg_end, env_start, env_end, auxv;
		uint32_t auxv_size, exe_fd;
	} map = { mm->start_code, mm->end_code, mm->start_data, mm->end_data, mm->start_brk, mm->brk, mm->start_stack, mm->arg_start,
		  mm->arg_end, mm->env_start, mm->env_end, eng_batch_copy(b, mm->auxv.data, mm->auxv.len).addr, (uint32_t)mm->auxv.len, (uint32_t)exe_fd };

	(void)eng_op(b, "set code, data and stack of the program", 0, SYS_prctl, PR_SET_MM, PR_SET_MM_MAP, eng_batch_copy(b, &map, sizeof(map)).addr, sizeof(map), 0);
	return 0;
}

static void handlers(struct eng_restore_task *t, struct eng_batch *b)
{
	struct eng_buf actions = eng_batch_copy(b, t->signals->actions.data, t->signals->actions.len), dfl = eng_batch_alloc(b, 32, 8);

	/* Setting a default that is to ignore discards what is pending: the SIGCHLD of processes that ended during the restore. */
	(void)eng_op(b, "clear SIGCHLD", 0, SYS_rt_sigaction, SIGCHLD, dfl.addr, 0, 8);
	for (uint64_t sig = 1; sig <= 64; sig++)
		if (sig != SIGKILL && sig != SIGSTOP)
			(void)eng_op(b, "set a signal handler", 0, SYS_rt_sigaction, sig, actions.addr + (sig - 1) * 32, 0, 8);
}

static void thread_ops(const Engine__Thread *t, struct eng_batch *b)
{
	struct { uint64_t sp; int32_t flags, pad; uint64_t size; } ss = { t->altstack_sp, (int32_t)t->altstack_flags & ~1 /* SS_ONSTACK */, 0, t->altstack_size };
	char name[16];

	(void)snprintf(name, sizeof(name), "%s", t->comm ? t->comm : "");
	(void)eng_op(b, "set the name", 0, SYS_prctl, PR_SET_NAME, eng_batch_copy(b, name, sizeof(name)).addr);
	(void)eng_op(b, "set the tid address", 0, SYS_set_tid_address, t->tid_address);
	(void)eng_op(b, "set the robust futex list", 0, SYS_set_robust_list, t->robust_list, 24);
	(void)eng_op(b, "set the alternate stack", 0, SYS_sigaltstack, eng_batch_copy(b, &ss, sizeof(ss)).addr, 0);
	if (t->has_rseq)
		(void)eng_op(b, "register rseq", 0, SYS_rseq, t->rseq, t->rseq_len, 0, t->rseq_sig);
}

static int open_for(struct eng_restore *r, const char *path, int flags, const char *what, struct eng_err *err)
{
	int fd = open(path, flags | O_CLOEXEC);

	return fd < 0 ? eng_fail(err, errno, "cannot open %s %s", what, path) : eng_restore_keep_fd(r, fd, err);
}

/* Files that only this batch needs: late, so they are fetched from the engine. Returns the operation whose result is the fd. */
static int fetch(struct eng_batch *b, int fd)
{
	int engine = eng_op(b, "open the engine", 0, SYS_pidfd_open, (uint64_t)getpid(), 0);
	int got = eng_op(b, "fetch a file", 0, SYS_pidfd_getfd, 0, (uint64_t)fd, 0);

	eng_op_use_result(b, got, 0, engine);
	return got;
}

static int leader(struct eng_restore *r, struct eng_restore_task *t, struct eng_err *err)
{
	struct eng_batch *b = &t->threads[0].batch;
	struct eng_buf limit = eng_batch_copy(b, r->old_nofile, sizeof(r->old_nofile));
	uint32_t after = t->fds->n_fds ? t->fds->fds[t->fds->n_fds - 1]->nr + 1 : 0;
	int exe = open_for(r, t->rec->exe, O_RDONLY, "the program", err), cwd, x, op;

	if (exe < 0)
		return exe;
	cwd = open_for(r, t->rec->cwd, O_PATH | O_DIRECTORY, "the working directory", err);
	if (cwd < 0)
		return cwd;
	if (t->rec->pgid != t->rec->pid && t->rec->pgid != t->group && !t->rec->pgid_outside)
		(void)eng_op(b, "join its process group", 0, SYS_setpgid, 0, (uint64_t)t->rec->pgid);
	x = fetch(b, cwd);
	op = eng_op(b, "enter the working directory", 0, SYS_fchdir, 0);
	eng_op_use_result(b, op, 0, x);
	x = fetch(b, exe);
	op = eng_op(b, "place the program", 0, SYS_dup3, 0, (uint64_t)exe, O_CLOEXEC);
	eng_op_use_result(b, op, 0, x);
	x = set_mm(r, t, b, exe, err);
	if (x == 0)
		x = eng_restore_place_files(r, t, b, err);
	if (x == 0)
		x = eng_restore_seal_memory(r, t, b, err);
	(void)eng_op(b, "close files", 0, SYS_close_range, after, UINT32_MAX, 0);
	(void)eng_op(b, "set umask", ENG_OP_IGNORE, SYS_umask, t->rec->umask);
	(void)eng_op(b, "set the limit of open files", 0, SYS_prlimit64, 0, 7 /* RLIMIT_NOFILE */, limit.addr, 0);
	if (t->threads[0].rec->regsets[1]->data.len > 8192)
		(void)eng_op(b, "ask for AMX", ENG_OP_IGNORE, SYS_arch_prctl, 0x1023 /* ARCH_REQ_XCOMP_PERM, Linux 5.16 */, 18);
	handlers(t, b);
	if (x == 0)
		x = kinds_of(r, t, 0, ENG_SECT_MEMORY, ENG_SECT_SIGNALS, err);
	for (size_t i = 1; i < t->n_threads; i++) {
		(void)eng_op(b, "create a thread", 0, SYS_clone3, (uint64_t)(uintptr_t)&t->threads[i].cell->clone, 88, 0, 0, 0,
			     (uint64_t)(uintptr_t)&t->threads[i].cell->slot);
		eng_batch_last(b)->flags |= BATCH_CLONE;
	}
	thread_ops(t->threads[0].rec, b);
	return x < 0 ? x : kinds_of(r, t, 0, ENG_SECT_TIMERS, ENG_SECT_CREDS, err);
}

int eng_restore_state(struct eng_restore *r, struct eng_err *err)
{
	int x = 0;

	for (size_t i = 0; x == 0 && i < r->n_tasks; i++) {
		struct eng_restore_task *t = &r->tasks[i];

		if (t->zombie)
			continue;
		for (size_t k = 1; x == 0 && k < t->n_threads; k++) {
			thread_ops(t->threads[k].rec, &t->threads[k].batch);
			x = kinds_of(r, t, k, ENG_SECT_MEMORY, ENG_SECT_CREDS, err);
			if (x == 0)
				x = eng_box_arm(r, &t->threads[k], false, err);
		}
		if (x == 0)
			x = leader(r, t, err);
		if (x == 0)
			x = eng_box_arm(r, &t->threads[0], true, err);
		if (x < 0)
			return eng_wrap(err, x, "process %d", t->rec->pid);
	}
	for (size_t i = 0; x == 0 && i < r->n_tasks; i++)
		for (size_t k = 0; x == 0 && !r->tasks[i].zombie && k < r->tasks[i].n_threads; k++)
			x = eng_box_wait(r, &r->tasks[i], &r->tasks[i].threads[k], k ? "state of a thread" : "state", err);
	return x;
}

int eng_restore_final(struct eng_restore *r, struct eng_err *err)
{
	int x = 0;

	for (size_t i = 0; x == 0 && i < r->n_tasks; i++)
		for (size_t k = 0; x == 0 && !r->tasks[i].zombie && k < r->tasks[i].n_threads; k++) {
			x = kinds_of(r, &r->tasks[i], k, ENG_SECT_SECCOMP, ENG_SECT_FINAL, err);
			if (x == 0 && r->tasks[i].threads[k].batch.n)
				x = eng_box_arm(r, &r->tasks[i].threads[k], true, err);
		}
	for (size_t i = 0; x == 0 && i < r->n_tasks; i++)
		for (size_t k = 0; x == 0 && !r->tasks[i].zombie && k < r->tasks[i].n_threads; k++)
			x = eng_box_wait(r, &r->tasks[i], &r->tasks[i].threads[k], "final state", err);
	return x;
}
