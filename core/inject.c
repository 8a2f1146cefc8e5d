/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Running code in a frozen task so that the engine's sudden death at any instant leaves the task as it was.
 *
 * The blob is written into the zero padding behind the vDSO's text, together with the registers and the signal mask to go back to. From
 * the moment the thread's registers point there, every path falls through into its old state: first registers, then signals are blocked;
 * on the way back first the mask, then the registers. The mailbox is shared anonymous memory that the task maps by an injected mmap; the engine reaches
 * it through /proc/PID/map_files, so that no fd is ever created in the task.
 */
#include "core/task.h"

#include <fcntl.h>
#include <inttypes.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "core/include/engine/util.h"
#include "core/io.h"
#include "core/robust.h"
#include "parasite/blob.h"

#define STACK_SIZE 8192u

struct eng_mailbox {
	struct eng_robust_node owner;
	struct batch_slot slot;
	uint8_t stack[STACK_SIZE] __attribute__((aligned(16)));
	struct batch_op ops[ENG_OPS_MAX];
	uint8_t data[] __attribute__((aligned(64)));
};
static_assert(sizeof(struct eng_mailbox) + 65536 <= ENG_MAILBOX_SIZE, "room for arguments");

static const struct blob_head *head(void)
{
	return (const struct blob_head *)(const void *)eng_blob;
}

static int poke(const struct eng_task *task, uint64_t addr, const void *data, size_t size, struct eng_err *err)
{
	int r = eng_pwrite_full(task->memfd, data, size, (off_t)addr);

	return r < 0 ? eng_fail(err, -r, "cannot write memory of %d at %#" PRIx64, task->pid, addr) : 0;
}

/* The vDSO's last page ends in zeros in which no program code runs. */
static int find_room(struct eng_task *task, struct eng_err *err)
{
	_cleanup_free_ char *maps = NULL;
	uint8_t page[4096];
	uint64_t start = 0, end = 0;
	size_t used = sizeof(page);
	char *line;
	int r = eng_read_file_at(task->procfd, "maps", &maps, NULL);

	if (r < 0)
		return eng_fail(err, -r, "cannot read maps of %d", task->pid);
	line = strstr(maps, "[vdso]");
	while (line && line > maps && line[-1] != '\n')
		line--;
	if (!line || sscanf(line, "%" SCNx64 "-%" SCNx64, &start, &end) != 2)
		return eng_fail(err, ENOTSUP, "process %d has no vDSO: no room for the trampoline", task->pid);
	r = eng_pread_full(task->memfd, page, sizeof(page), (off_t)(end - sizeof(page)));
	if (r < 0)
		return eng_fail(err, -r, "cannot read the vDSO of %d", task->pid);
	while (used > 0 && page[used - 1] == 0)
		used--;
	/* A dump that was killed may have left its blob there, ending in a register's value; it is recognised by its head and overwritten. */
	for (size_t i = 0; i + sizeof(struct blob_head) <= used; i += 16)
		if (memcmp(page + i, eng_blob, sizeof(struct blob_head)) == 0 && used <= i + eng_blob_size) {
			task->room = end - sizeof(page) + i;
			return i + eng_blob_size <= sizeof(page) ? 0 : eng_fail(err, ENOTSUP, "no room in the vDSO of %d", task->pid);
		}
	used = (used + 16 + 15) & ~(size_t)15;
	if (used + eng_blob_size > sizeof(page))
		return eng_fail(err, ENOTSUP, "the padding of the vDSO of %d has %zu bytes, %zu are needed", task->pid, sizeof(page) - used, eng_blob_size);
	task->room = end - sizeof(page) + used;
	return 0;
}

static int wait_for(pid_t tid, int want, struct eng_err *err)
{
	for (;;) {
		int status;

		if (waitpid(tid, &status, __WALL) < 0) {
			if (errno == EINTR)
				continue;
			return eng_fail(err, errno, "cannot wait for thread %d", tid);
		}
		if (!WIFSTOPPED(status))
			return eng_fail(err, ESRCH, "thread %d died while frozen", tid);
		if ((want == PTRACE_EVENT_STOP && status >> 16 == PTRACE_EVENT_STOP) || (want == 0 && WSTOPSIG(status) == (SIGTRAP | 0x80)))
			return 0;
		/* A stop for another reason (group stop, a signal that is never blocked): it is on record with the kernel; go on to ours. */
		if (ptrace(want == 0 ? PTRACE_SYSCALL : PTRACE_CONT, tid, NULL, NULL) < 0)
			return eng_fail(err, errno, "cannot continue thread %d", tid);
	}
}

static int block_signals(const struct eng_thread *t, struct eng_err *err)
{
	uint64_t all = ~UINT64_C(0);

	if (ptrace(PTRACE_SETSIGMASK, t->tid, sizeof(all), &all) < 0)
		return eng_fail(err, errno, "cannot block signals of thread %d", t->tid);
	return 0;
}

/* Make the thread execute the system call instruction at ip; it is left at the exit stop. */
static int drive_syscall(struct eng_task *task, struct eng_thread *t, uint64_t ip, long nr, const uint64_t arg[6], int64_t *ret, struct eng_err *err)
{
	struct arch_regs regs;
	int r;

	arch_syscall_regs(&regs, &t->regs, ip, nr, arg);
	r = arch_set_regs(t->tid, &regs, err);
	if (r == 0)
		r = block_signals(t, err);
	for (int i = 0; r == 0 && i < 2; i++) {
		if (ptrace(PTRACE_SYSCALL, t->tid, NULL, NULL) < 0)
			return eng_fail(err, errno, "cannot run thread %d", t->tid);
		r = wait_for(t->tid, 0, err);
	}
	if (r == 0)
		r = arch_get_regs(t->tid, &regs, err);
	if (r == 0)
		*ret = arch_syscall_result(&regs);
	return r;
}

/* First the mask, then the registers: at every instant the thread either falls through or is where it was. */
static int put_back(struct eng_thread *t, struct eng_err *err)
{
	if (ptrace(PTRACE_SETSIGMASK, t->tid, sizeof(t->sigmask), &t->sigmask) < 0)
		return eng_fail(err, errno, "cannot put back the signal mask of %d", t->tid);
	return arch_set_regs(t->tid, &t->regs, err);
}

/* Address of a part of the way back that the thread in charge uses. */
static uint64_t at(const struct eng_task *task, uint32_t part)
{
	return task->room + task->copy * head()->stride + part;
}

static void fill_copy(struct eng_task *task, unsigned copy, const struct eng_thread *t, uint64_t len)
{
	arch_fill_leave(task->copies + head()->leave + copy * head()->stride, &t->regs, t->sigmask, task->box_addr, len);
}

static int write_copies(struct eng_task *task, struct eng_err *err)
{
	task->room_dirty = true;
	return poke(task, task->room, task->copies, eng_blob_size, err);
}

static void clean_room(struct eng_task *task)
{
	static const uint8_t zeros[4096];

	if (task->room_dirty && eng_pwrite_full(task->memfd, zeros, eng_blob_size, (off_t)task->room) == 0)
		task->room_dirty = false;
	free(task->copies);
	task->copies = NULL;
	task->charge = NULL;
	task->copy = 0;
}

/* Stand at `undo` of the current copy. */
static int stand_by(struct eng_task *task, struct eng_thread *t, struct eng_err *err)
{
	struct arch_regs regs;
	int r;

	arch_undo_regs(&regs, &t->regs, at(task, head()->undo), task->box_addr);
	r = arch_set_regs(t->tid, &regs, err);
	return r < 0 ? r : block_signals(t, err);
}

/* Pass the charge of the mailbox to another thread. */
static int take_charge(struct eng_task *task, struct eng_thread *t, struct eng_err *err)
{
	struct eng_thread *old = task->charge;
	unsigned old_copy = task->copy;
	int r;

	if (old == t)
		return 0;
	fill_copy(task, !old_copy, t, 0);
	r = write_copies(task, err);
	task->copy = !old_copy;
	if (r == 0)
		r = stand_by(task, t, err);
	if (r == 0) {
		fill_copy(task, !old_copy, t, ENG_MAILBOX_SIZE);
		fill_copy(task, old_copy, old, 0);
		r = write_copies(task, err);
	}
	if (r < 0) {
		task->copy = old_copy;
		(void)put_back(t, NULL);
		return r;
	}
	task->charge = t;
	return put_back(old, err);
}

static int map_mailbox(struct eng_task *task, struct eng_err *err)
{
	char name[64];
	_cleanup_close_ int fd = -EBADF;

	(void)snprintf(name, sizeof(name), "map_files/%" PRIx64 "-%" PRIx64, task->box_addr, task->box_addr + ENG_MAILBOX_SIZE);
	fd = openat(task->procfd, name, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return eng_fail(err, errno, "cannot open the mailbox of %d (%s)", task->pid, name);
	task->box = mmap(NULL, ENG_MAILBOX_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (task->box == MAP_FAILED) {
		task->box = NULL;
		return eng_fail(err, errno, "cannot map the mailbox of %d", task->pid);
	}
	return 0;
}

/* After a killed engine its threads run out of the blob by themselves; what they still need must not be overwritten. */
static int wait_room_empty(struct eng_task *task, struct eng_err *err)
{
	for (size_t i = 0; i < task->n_threads; i++) {
		struct eng_thread *t = &task->threads[i];

		for (int tries = 0; arch_ip(&t->regs) - task->room < eng_blob_size; tries++) {
			int r = tries < 5000 ? eng_thread_restop(task, t, err) :
					       eng_fail(err, EBUSY, "thread %d is still in the code of an interrupted dump", t->tid);

			if (r < 0)
				return r;
		}
	}
	return 0;
}

int eng_task_enter(struct eng_task *task, struct eng_err *err)
{
	struct eng_thread *t = &task->threads[0];
	const uint64_t arg[6] = { 0, ENG_MAILBOX_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, (uint64_t)-1, 0 };
	int64_t addr = 0;
	int r = find_room(task, err);

	if (r == 0)
		r = wait_room_empty(task, err);
	if (r < 0)
		return r;
	task->copies = malloc(eng_blob_size);
	if (!task->copies)
		return eng_fail(err, ENOMEM, "cannot enter %d", task->pid);
	memcpy(task->copies, eng_blob, eng_blob_size);
	task->charge = t;
	task->copy = 0;
	task->box_addr = 0;
	fill_copy(task, 0, t, ENG_MAILBOX_SIZE);
	r = write_copies(task, err);
	if (r == 0)
		r = drive_syscall(task, t, at(task, head()->tramp), SYS_mmap, arg, &addr, err);
	if (r == 0 && (uint64_t)addr >= (uint64_t)-4095)
		r = eng_fail(err, (int)-addr, "process %d cannot map the mailbox", task->pid);
	if (r < 0) {
		(void)put_back(t, NULL);
		clean_room(task);
		return r;
	}
	/* Still at the exit stop: what follows there unmaps the result. Only now does the copy know the address. */
	task->box_addr = (uint64_t)addr;
	fill_copy(task, 0, t, ENG_MAILBOX_SIZE);
	r = write_copies(task, err);
	if (r == 0)
		r = stand_by(task, t, err);
	if (r == 0)
		r = map_mailbox(task, err);
	if (r < 0)
		(void)eng_task_leave(task, NULL);
	return r;
}

void *eng_task_data(struct eng_task *task, size_t *ret_size, uint64_t *ret_addr)
{
	*ret_size = ENG_MAILBOX_SIZE - sizeof(struct eng_mailbox);
	*ret_addr = task->box_addr + sizeof(struct eng_mailbox);
	return task->box->data;
}

/* The thread runs the batch and then waits; it is stopped there. */
static int run_in_thread(struct eng_task *task, struct eng_thread *t, struct eng_err *err)
{
	struct eng_mailbox *box = task->box;
	struct arch_regs regs;
	int r = take_charge(task, t, err);

	if (r < 0)
		return r;
	arch_entry_regs(&regs, &t->regs, at(task, head()->entry), task->box_addr + offsetof(struct eng_mailbox, slot),
			task->box_addr + offsetof(struct eng_mailbox, stack) + STACK_SIZE);
	r = arch_set_regs(t->tid, &regs, err);
	if (r == 0 && ptrace(PTRACE_CONT, t->tid, NULL, NULL) < 0)
		r = eng_fail(err, errno, "cannot run thread %d", t->tid);
	if (r < 0)
		return r;
	for (;;) { /* the task may die of SIGKILL meanwhile: look at it between waits */
		struct timespec ts = { 0, 20000000 };
		uint32_t done = __atomic_load_n(&box->slot.done, __ATOMIC_ACQUIRE);
		siginfo_t info = { 0 };

		if (done == box->slot.go)
			break;
		(void)syscall(SYS_futex, &box->slot.done, FUTEX_WAIT, done, &ts, NULL, 0);
		if (waitid(P_PID, (id_t)t->tid, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) == 0 && info.si_pid == t->tid)
			return eng_fail(err, ESRCH, "thread %d died while frozen", t->tid);
	}
	if (ptrace(PTRACE_INTERRUPT, t->tid, NULL, NULL) < 0)
		return eng_fail(err, errno, "cannot interrupt thread %d", t->tid);
	r = wait_for(t->tid, PTRACE_EVENT_STOP, err);
	return r < 0 ? r : stand_by(task, t, err);
}

int eng_task_run(struct eng_task *task, struct eng_thread *t, struct batch_op *ops, size_t count, int *ret_failed, struct eng_err *err)
{
	struct eng_mailbox *box = task->box;
	struct eng_robust robust;
	int r;

	if (count > ENG_OPS_MAX)
		return eng_fail(err, E2BIG, "batch of %zu operations", count);
	memcpy(box->ops, ops, count * sizeof(*ops));
	box->slot = (struct batch_slot){ .go = 1, .count = (uint32_t)count, .ops = task->box_addr + offsetof(struct eng_mailbox, ops),
					 .owner = task->box_addr + offsetof(struct eng_mailbox, owner.word), .mode = BATCH_RETURN };
	r = eng_robust_init(&robust, err);
	if (r < 0)
		return r;
	r = eng_robust_hold(&robust, &box->owner, err);
	if (r == 0)
		r = run_in_thread(task, t, err);
	eng_robust_release(&robust, &box->owner);
	eng_robust_deinit(&robust);
	if (r < 0)
		return r;
	memcpy(ops, box->ops, count * sizeof(*ops));
	*ret_failed = (int)box->slot.failed - 1;
	return 0;
}

int eng_task_leave(struct eng_task *task, struct eng_err *err)
{
	struct eng_thread *t = task->charge;
	const uint64_t arg[6] = { task->box_addr, ENG_MAILBOX_SIZE, 0, 0, 0, 0 };
	int64_t result = 0;
	int r, back;

	if (task->box)
		(void)munmap(task->box, ENG_MAILBOX_SIZE);
	task->box = NULL;
	r = drive_syscall(task, t, at(task, head()->unmap), SYS_munmap, arg, &result, err);
	if (r == 0 && result < 0)
		r = eng_fail(err, (int)-result, "process %d cannot unmap the mailbox", task->pid);
	back = put_back(t, r == 0 ? err : NULL);
	if (back == 0)
		clean_room(task);
	return r < 0 ? r : back;
}
