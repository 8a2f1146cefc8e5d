/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Restore: an empty process starts in the interpreter and is turned into the saved tree by batches; see restore.h. Until the commit point the new processes
 * die with the engine: first by the robust futex that their interpreters watch, then by PTRACE_O_EXITKILL.
 */
#include "core/restore.h"

#include <fcntl.h>
#include <inttypes.h>
#include <linux/futex.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <xxhash.h>

#include "parasite/blob.h"

static const struct blob_head *head(void)
{
	return (const struct blob_head *)(const void *)eng_blob;
}

/* ------------------------------------------------------------------------------------------------ stage 1 */

static void clone_op(struct eng_restore *r, struct eng_restore_task *child)
{
	struct eng_batch *b = &child->parent->threads[0].batch;

	(void)eng_op(b, "create a process", 0, SYS_clone3, (uint64_t)(uintptr_t)&child->threads[0].cell->clone, 88, 0, 0, 0,
		     (uint64_t)(uintptr_t)&child->threads[0].cell->slot);
	eng_batch_last(b)->flags |= BATCH_CLONE;
}

static int stage_memory(struct eng_restore *r, struct eng_err *err)
{
	int x = 0;

	for (size_t i = 0; x == 0 && i < r->n_tasks; i++)
		x = eng_restore_memory(r, &r->tasks[i], err);
	for (size_t i = 1; x == 0 && i < r->n_tasks; i++)
		if (r->tasks[i].early)
			clone_op(r, &r->tasks[i]);
	for (size_t i = 0; x == 0 && i < r->n_tasks; i++)
		if (r->tasks[i].setsid)
			(void)eng_op(&r->tasks[i].threads[0].batch, "start a session", 0, SYS_setsid, 0);
	for (size_t i = 1; x == 0 && i < r->n_tasks; i++)
		if (!r->tasks[i].early)
			clone_op(r, &r->tasks[i]);
	for (size_t i = 0; x == 0 && i < r->n_tasks; i++)
		x = eng_box_arm(r, &r->tasks[i].threads[0], false, err);
	return x;
}

static int start_root(struct eng_restore *r, struct eng_err *err)
{
	int64_t (*start)(void *, uint64_t, void *) = (int64_t (*)(void *, uint64_t, void *))(uintptr_t)(r->base + head()->clone);
	struct eng_cell *c = r->tasks[0].threads[0].cell;
	int64_t pid;
	pid_t middle = 0;
	int status = 0;

	if (r->detach) {
		middle = fork();
		if (middle < 0)
			return eng_fail(err, errno, "cannot create a process");
		if (middle == 0) {
			pid = start(&c->clone, 88, &c->slot);
			_exit(pid < 0 ? (int)-pid : 0);
		}
		while (waitpid(middle, &status, 0) < 0 && errno == EINTR)
			;
		pid = WIFEXITED(status) ? -WEXITSTATUS(status) : -ECHILD;
	} else {
		pid = start(&c->clone, 88, &c->slot);
	}
	if (pid < 0)
		return eng_fail(err, (int)-pid, "cannot create process %d (clone3 with set_tid)", r->tasks[0].rec->pid);
	return 0;
}

/* While the new processes read their pages: is what they read what was written? */
static int verify_data(struct eng_restore *r, struct eng_err *err)
{
	uint64_t size = eng_image_data_size(r->img);
	const uint8_t *data;
	int x = 0;

	if (size == 0)
		return 0;
	data = mmap(NULL, size, PROT_READ, MAP_SHARED | MAP_POPULATE, r->data_fd, 0);
	if (data == MAP_FAILED)
		return eng_fail(err, errno, "cannot map the image's data");
	for (uint64_t i = 0; x == 0 && i * ENG_CHUNK < size; i++) {
		uint64_t off = i * ENG_CHUNK;
		XXH128_canonical_t sum;

		XXH128_canonicalFromHash(&sum, XXH3_128bits(data + off, size - off < ENG_CHUNK ? size - off : ENG_CHUNK));
		if (memcmp(sum.digest, eng_image_chunk_sum(r->img, i), 16) != 0)
			x = eng_fail(err, EBADMSG, "data is damaged (checksum) at offset %" PRIu64, off);
	}
	(void)munmap((void *)(uintptr_t)data, size);
	return x;
}

/* A process exists when the batch of its parent is through: only then is its pid its own. */
static int open_handles(struct eng_restore_task *t, struct eng_err *err)
{
	char path[32];

	t->task.pidfd = (int)syscall(SYS_pidfd_open, t->rec->pid, 0);
	if (t->task.pidfd < 0)
		return eng_fail(err, errno, "cannot open a pidfd of the new process %d", t->rec->pid);
	(void)snprintf(path, sizeof(path), "/proc/%d", t->rec->pid);
	t->task.procfd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return t->task.procfd < 0 ? eng_fail(err, errno, "cannot open %s", path) : 0;
}

static int wait_memory(struct eng_restore *r, struct eng_err *err)
{
	int x = 0;

	for (size_t i = 0; x == 0 && i < r->n_tasks; i++) {
		if (i > 0)
			x = open_handles(&r->tasks[i], err);
		if (x == 0)
			x = eng_box_wait(r, &r->tasks[i], &r->tasks[i].threads[0], "memory", err);
	}
	return x;
}

/* ------------------------------------------------------------------------------------------------ the end: registers */

static int stop_thread(pid_t tid, struct eng_err *err)
{
	int status;

	if (ptrace(PTRACE_SEIZE, tid, NULL, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL) < 0 || ptrace(PTRACE_INTERRUPT, tid, NULL, NULL) < 0)
		return eng_fail(err, errno, "cannot trace the new thread %d", tid);
	if (waitpid(tid, &status, __WALL) < 0 || !WIFSTOPPED(status))
		return eng_fail(err, ECHILD, "the new thread %d died", tid);
	return 0;
}

static int load_regs(const Engine__Thread *t, struct eng_err *err)
{
	struct arch_regs regs;
	struct iovec iov = { t->regsets[1]->data.data, t->regsets[1]->data.len };

	memcpy(&regs.user, t->regsets[0]->data.data, sizeof(regs.user));
	(void)arch_rewind_syscall(&regs);
	if (arch_set_regs(t->tid, &regs, err) < 0)
		return -EIO;
	if (ptrace(PTRACE_SETREGSET, t->tid, NT_X86_XSTATE, &iov) < 0)
		return eng_fail(err, errno, "cannot load the extended registers of %d", t->tid);
	if (ptrace(PTRACE_SETSIGMASK, t->tid, 8, &t->sigmask) < 0)
		return eng_fail(err, errno, "cannot set the signal mask of %d", t->tid);
	return 0;
}

/* The leader unmaps the mailbox; at the exit stop of that call its code is gone and its registers are replaced. */
static int unmap_box(struct eng_restore *r, pid_t pid, struct eng_err *err)
{
	const uint64_t arg[6] = { (uint64_t)(uintptr_t)r->base, r->size, 0, 0, 0, 0 };
	struct arch_regs base, regs;
	int x = arch_get_regs(pid, &base, err), status;

	if (x < 0)
		return x;
	arch_syscall_regs(&regs, &base, (uint64_t)(uintptr_t)r->base + head()->tramp, SYS_munmap, arg);
	x = arch_set_regs(pid, &regs, err);
	for (int i = 0; x == 0 && i < 2; i++)
		if (ptrace(PTRACE_SYSCALL, pid, NULL, NULL) < 0 || waitpid(pid, &status, __WALL) < 0 || !WIFSTOPPED(status) ||
		    WSTOPSIG(status) != (SIGTRAP | 0x80))
			x = eng_fail(err, ECHILD, "process %d did not unmap the mailbox", pid);
	if (x == 0)
		x = arch_get_regs(pid, &regs, err);
	if (x == 0 && arch_syscall_result(&regs) != 0)
		x = eng_fail(err, (int)-arch_syscall_result(&regs), "process %d cannot unmap the mailbox", pid);
	return x;
}

static int each_thread(struct eng_restore *r, int (*fn)(struct eng_restore *r, struct eng_restore_task *t, size_t i, struct eng_err *err), struct eng_err *err)
{
	int x = 0;

	for (size_t i = r->n_tasks; x == 0 && i-- > 0;) /* children first: a parent that runs may look for them */
		for (size_t k = r->tasks[i].n_threads; x == 0 && !r->tasks[i].zombie && k-- > 0;)
			x = fn(r, &r->tasks[i], k, err);
	return x;
}

static int do_stop(struct eng_restore *r, struct eng_restore_task *t, size_t i, struct eng_err *err)
{
	t->seized = true;
	return stop_thread(t->task.threads[i].tid, err);
}

static int do_unmap(struct eng_restore *r, struct eng_restore_task *t, size_t i, struct eng_err *err)
{
	return i == 0 ? unmap_box(r, t->rec->pid, err) : 0;
}

static int do_load(struct eng_restore *r, struct eng_restore_task *t, size_t i, struct eng_err *err)
{
	return load_regs(t->threads[i].rec, err);
}

static int do_release(struct eng_restore *r, struct eng_restore_task *t, size_t i, struct eng_err *err)
{
	return ptrace(PTRACE_SETOPTIONS, t->task.threads[i].tid, NULL, 0) < 0 ? eng_fail(err, errno, "cannot release thread %d", t->task.threads[i].tid) : 0;
}

/* The signal it was stopped by, where that stops again: its default action is in force and its group is not orphaned; else SIGSTOP. */
static int stop_signal(const struct eng_restore_task *t)
{
	int sig = t->rec->stop_signal;
	uint64_t handler = 1;

	if (sig == SIGTSTP || sig == SIGTTIN || sig == SIGTTOU)
		memcpy(&handler, t->signals->actions.data + (sig - 1) * 32, 8);
	return handler == 0 && t->parent && t->parent->rec->sid == t->rec->sid && t->parent->rec->pgid != t->rec->pgid ? sig : SIGSTOP;
}

static int do_detach(struct eng_restore *r, struct eng_restore_task *t, size_t i, struct eng_err *err)
{
	if (i + 1 == t->n_threads && t->rec->state == ENGINE__TASK__STATE__STOPPED)
		(void)syscall(SYS_pidfd_send_signal, t->task.pidfd, stop_signal(t), NULL, 0);
	(void)ptrace(PTRACE_DETACH, t->task.threads[i].tid, NULL, NULL);
	return 0;
}

static int restored(struct eng_run *run, struct eng_err *err)
{
	int x = 0;

	for (size_t i = 0; x == 0 && i < run->n_plugins; i++)
		if (run->plugins[i].desc.restored)
			x = run->plugins[i].desc.restored(&run->plugins[i].ctx, err);
	return x;
}

static int let_go(struct eng_restore *r, struct eng_err *err)
{
	int x = each_thread(r, do_stop, err);

	if (x == 0)
		x = each_thread(r, do_unmap, err);
	if (x == 0)
		x = each_thread(r, do_load, err);
	if (x == 0)
		x = eng_restore_finish(r, err);
	if (x == 0)
		x = restored(r->run, err);
	if (x == 0)
		x = each_thread(r, do_release, err);
	if (x < 0)
		return x;
	r->committed = true; /* whatever happens now: they run */
	return each_thread(r, do_detach, err);
}

/* ------------------------------------------------------------------------------------------------ the whole */

static int build(struct eng_restore *r, struct eng_err *err)
{
	int x = eng_box_cells(r, err);

	if (x == 0)
		x = stage_memory(r, err);
	if (x == 0)
		x = start_root(r, err);
	if (x == 0)
		x = open_handles(&r->tasks[0], err);
	if (x == 0)
		x = verify_data(r, err);
	if (x == 0)
		x = wait_memory(r, err);
	if (x == 0)
		x = eng_restore_groups(r, err);
	if (x == 0)
		x = eng_restore_open_late(r, err);
	if (x == 0)
		x = eng_restore_state(r, err);
	if (x == 0)
		x = eng_restore_final(r, err);
	return x < 0 ? x : let_go(r, err);
}

/* Everything that was created ends: those whose handle we have at once, the others when their interpreter sees that there is no owner. */
static void destroy(struct eng_restore *r)
{
	int status;

	__atomic_or_fetch(&eng_box_owner(r)->word, BATCH_OWNER_DIED, __ATOMIC_RELEASE);
	for (size_t i = r->n_tasks; i-- > 0;)
		if (r->tasks[i].task.pidfd >= 0)
			(void)syscall(SYS_pidfd_send_signal, r->tasks[i].task.pidfd, SIGKILL, NULL, 0);
	for (size_t i = r->n_tasks; i-- > 0;) {
		struct pollfd p = { .fd = r->tasks[i].task.pidfd, .events = POLLIN };

		if (p.fd >= 0)
			(void)poll(&p, 1, 5000);
	}
	if (r->tasks[0].task.pidfd >= 0)
		while (waitpid(r->tasks[0].rec->pid, &status, __WALL) < 0 && errno == EINTR)
			;
}

static int with_owner(struct eng_restore *r, struct eng_err *err)
{
	struct eng_robust robust;
	int x = eng_robust_init(&robust, err);

	if (x < 0)
		return x;
	x = eng_robust_hold(&robust, eng_box_owner(r), err);
	if (x == 0)
		x = build(r, err);
	if (x < 0 && !r->committed)
		destroy(r);
	eng_robust_release(&robust, eng_box_owner(r));
	eng_robust_deinit(&robust);
	return x;
}

static int preflight(struct eng_restore *r, struct eng_err *err)
{
	struct eng_run *run = r->run;
	int x = eng_restore_load(r, err);

	if (x == 0)
		x = eng_restore_check_files(r, err);
	if (x == 0)
		x = eng_restore_check_kinds(r, err);
	if (x == 0 && run->n_blockers) {
		x = eng_fail(err, ENOTSUP, "%s %s", run->blockers[0].object, run->blockers[0].text);
		if (run->blockers[0].hint)
			eng_hint(err, "%s", run->blockers[0].hint);
	}
	return x;
}

int eng_restore(struct eng_run *run, const struct eng_restore_opts *opts, struct eng_result *ret, struct eng_err *err)
{
	struct eng_restore r = { .run = run, .first_fd = 64, .data_fd = -EBADF, .detach = opts->detach };
	uint64_t start = eng_now_us();
	sigset_t all, old;
	int x;

	*ret = (struct eng_result){ 0 };
	(void)sigfillset(&all);
	(void)sigprocmask(SIG_SETMASK, &all, &old); /* the new processes start with every signal blocked */
	x = eng_image_open(opts->dir, &r.img, err);
	run->image = r.img;
	run->restore = &r;
	if (x == 0)
		x = preflight(&r, err);
	if (x == 0 && !opts->check_only) {
		x = eng_restore_open_files(&r, err);
		if (x == 0)
			x = eng_box_map(&r, err);
		if (x == 0)
			x = with_owner(&r, err);
	}
	if (x < 0)
		eng_run_undo(run);
	if (r.base)
		(void)munmap(r.base, r.size);
	ret->root_pid = r.n_tasks && r.tasks[0].rec ? r.tasks[0].rec->pid : 0;
	ret->tasks = r.n_tasks;
	ret->threads = r.n_threads;
	eng_restore_close_files(&r);
	eng_restore_unload(&r);
	run->restore = NULL;
	run->image = NULL;
	eng_image_close(r.img);
	(void)sigprocmask(SIG_SETMASK, &old, NULL);
	ret->total_us = eng_now_us() - start;
	return x;
}
