/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef CORE_RESTORE_H
#define CORE_RESTORE_H
/*
 * State of one restore, shared by its parts: the whole and the commit (restore.c), reading and planning (restore-load.c), files (restore-files.c), the
 * mailbox (restore-box.c), address spaces (restore-mm.c), state of processes and threads (restore-task.c).
 *
 * Stages, each a batch for every process (or thread):
 *	1 memory   wipe or inherit, map, read pages from the image; then create the children, each of which goes on by itself
 *	2 groups   leaders of process groups make them; zombies end
 *	3 state    join the group; files, protections, handlers; create the threads, which go on by themselves; what plugins keep
 *	4 final    what must come when all threads have their credentials
 * Then every thread is stopped, the mailbox is unmapped, registers are loaded, and all are let go.
 */
#include "core/batch.h"
#include "core/pages.h"
#include "core/run.h"

#define ENG_BOX_STACK 8192u

struct eng_cell { /* in the mailbox, one for each thread */
	struct batch_slot slot;
	struct {
		uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size, cgroup;
	} clone; /* struct clone_args, Linux 5.7 */
	int32_t set_tid, pad;
	uint8_t stack[ENG_BOX_STACK] __attribute__((aligned(16)));
};

struct eng_restore_thread {
	const Engine__Thread *rec;
	struct eng_cell *cell;
	struct eng_batch batch;
};

struct eng_restore_task {
	struct eng_task task; /* .threads: tids; handles are open once the process exists */
	const Engine__Task *rec;
	const Engine__Mm *mm;
	const Engine__FdTable *fds;
	const Engine__Signals *signals;
	struct eng_restore_thread *threads; /* zombies have one */
	size_t n_threads;
	struct eng_restore_task *parent;
	bool zombie, setsid, early; /* early: created before the parent's setsid */
	bool seized;
	pid_t group; /* of a new process at this place in the plan */
	uint32_t *prot; /* of each mapping after stage 1 */
};

struct eng_restore {
	struct eng_run *run;
	struct eng_image *img;
	struct eng_restore_task *tasks; /* parents first */
	size_t n_tasks, n_threads;
	uint8_t *base; /* of the mailbox */
	size_t size;
	struct eng_arena arena;
	int first_fd; /* files are kept here from this number on, out of the way of the saved numbers */
	int *file_fd; /* by id; -EBADF: not open (yet) */
	uint64_t n_files;
	int *shmem_fd;
	uint64_t n_shmems;
	int data_fd;
	uint64_t old_nofile[2]; /* limit of the engine, which the new processes get back */
	bool detach, committed;
};

/* restore-load.c */
int eng_restore_load(struct eng_restore *r, struct eng_err *err);
void eng_restore_unload(struct eng_restore *r);
int eng_restore_get(struct eng_restore *r, const char *kind, uint64_t id, const ProtobufCMessageDescriptor *desc, const void *ret, struct eng_err *err);
/* restore-files.c */
int eng_restore_check_files(struct eng_restore *r, struct eng_err *err);
int eng_restore_open_files(struct eng_restore *r, struct eng_err *err);
int eng_restore_open_late(struct eng_restore *r, struct eng_err *err);
void eng_restore_close_files(struct eng_restore *r);
int eng_restore_fd(const struct eng_restore *r, uint64_t id);
int eng_restore_keep_fd(struct eng_restore *r, int fd, struct eng_err *err); /* takes fd */
int eng_restore_place_files(struct eng_restore *r, struct eng_restore_task *t, struct eng_batch *b, struct eng_err *err);
/* restore-box.c */
int eng_box_map(struct eng_restore *r, struct eng_err *err);
int eng_box_cells(struct eng_restore *r, struct eng_err *err);
struct eng_robust_node *eng_box_owner(const struct eng_restore *r);
/* Put the thread's batch where it can be run (wake: and let it run). The batch is then finished. */
int eng_box_arm(struct eng_restore *r, struct eng_restore_thread *t, bool wake, struct eng_err *err);
int eng_box_wait(struct eng_restore *r, struct eng_restore_task *task, struct eng_restore_thread *t, const char *what, struct eng_err *err);
/* restore-mm.c: batches of stage 1, and the part of stage 3 that gives mappings their final state. */
int eng_restore_memory(struct eng_restore *r, struct eng_restore_task *t, struct eng_err *err);
int eng_restore_seal_memory(struct eng_restore *r, struct eng_restore_task *t, struct eng_batch *b, struct eng_err *err);
/* restore-task.c */
int eng_restore_groups(struct eng_restore *r, struct eng_err *err);
int eng_restore_state(struct eng_restore *r, struct eng_err *err);
int eng_restore_final(struct eng_restore *r, struct eng_err *err);
int eng_restore_finish(struct eng_restore *r, struct eng_err *err); /* every thread stopped */
int eng_restore_check_kinds(struct eng_restore *r, struct eng_err *err);

#endif
