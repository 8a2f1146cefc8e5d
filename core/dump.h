/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef CORE_DUMP_H
#define CORE_DUMP_H
/*
 * State of one dump, shared by its parts: the whole (dump.c), tree (tree-dump.c), process and threads (task-dump.c), files (files-dump.c), address
 * spaces (mm-dump.c), bulk data (blob.c).
 */
#include "core/batch.h"
#include "core/pages.h"
#include "core/run.h"

/* What a thread says about itself. */
struct eng_dump_thread {
	struct {
		uint64_t sp;
		int32_t flags, pad;
		uint64_t size;
	} altstack; /* the kernel's stack_t */
	uint64_t tid_address;
	char comm[16];
};

struct eng_dump_task {
	struct eng_task task; /* zombies: only pid, procfd */
	struct eng_dump_task *parent; /* in the tree; NULL: root */
	bool zombie;
	char state;
	uint64_t stat[64]; /* fields of /proc/PID/stat, numbered as in proc(5) */
	char comm[16];
	struct eng_dump_thread *threads;
	uint8_t actions[64 * 32];
	uint64_t brk;
	bool lock_future;
	Engine__Vma *vmas;
	size_t n_vmas, cap_vmas;
	uint64_t vdso, vvar;
	struct eng_extents extents;
};

struct eng_dump_file {
	uint64_t id;
	int fd;
	dev_t dev;
	ino_t ino;
	bool mapped, writable;
};

struct eng_dump_shmem {
	dev_t dev;
	ino_t ino;
	uint64_t id;
};

struct eng_dump {
	struct eng_run *run;
	const struct eng_dump_opts *opts;
	struct eng_image_writer *image;
	bool frozen; /* false: rehearsal, nothing is recorded */
	struct eng_dump_task **tasks; /* parents first */
	size_t n_tasks;
	struct eng_dump_file *files;
	size_t n_files, cap_files;
	size_t *order; /* indices of the files that are not merely mapped, sorted by inode and the kernel's order of descriptions */
	size_t n_order, cap_order;
	struct eng_dump_shmem *shmems;
	size_t n_shmems;
	/* Bulk data goes through one chunk, in order. */
	uint8_t *chunk;
	size_t used;
	uint64_t data_size; /* of what was flushed */
	uint64_t n_blobs, pages, threads;
	unsigned vforks; /* processes found between vfork and exec, or threads that did not stop: worth another try */
	uint8_t vdso_sum[16];
};

/* tree-dump.c: find (and when `frozen`, freeze) every process of the tree. */
int eng_dump_tree(struct eng_dump *d, pid_t root, struct eng_err *err);
void eng_dump_forget_tree(struct eng_dump *d);
int eng_dump_read_stat(struct eng_dump_task *t, struct eng_err *err);
/* task-dump.c: blockers; then what only the task can read, and its records. */
int eng_dump_check_task(struct eng_dump *d, struct eng_dump_task *t, struct eng_err *err);
int eng_dump_task(struct eng_dump *d, struct eng_dump_task *t, struct eng_err *err);
/* files-dump.c: claims and (when frozen) records every fd. */
int eng_dump_files(struct eng_dump *d, struct eng_dump_task *t, struct eng_err *err);
void eng_dump_forget_files(struct eng_dump *d);
/* The same for the file behind a mapping; *ret_id numbers it. */
int eng_dump_mapped_file(struct eng_dump *d, struct eng_dump_task *t, const char *range, const char *name, bool writable, uint64_t *ret_id,
			 struct eng_err *err);
/* mm-dump.c: the mappings and their blockers; then pages and the core/mm record. */
int eng_dump_maps(struct eng_dump *d, struct eng_dump_task *t, struct eng_err *err);
int eng_dump_memory(struct eng_dump *d, struct eng_dump_task *t, struct eng_err *err);
/* blob.c: `size` bytes of room in the current chunk (at most *ret_room are there); commit what was filled. */
int eng_dump_data_room(struct eng_dump *d, uint8_t **ret, size_t *ret_room, struct eng_err *err);
uint64_t eng_dump_data_used(struct eng_dump *d, size_t size); /* returns its offset */
int eng_dump_data_flush(struct eng_dump *d, struct eng_err *err);

#endif
