/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef CORE_DUMP_H
#define CORE_DUMP_H
/* State of one dump, shared by its parts: process (dump.c), files (files-dump.c), address space (mm-dump.c). */
#include "core/run.h"

struct eng_dump_thread {
	struct {
		uint64_t sp;
		int32_t flags, pad;
		uint64_t size;
	} altstack; /* the kernel's stack_t */
	uint64_t tid_address;
	char comm[16];
};

struct eng_dump_file {
	uint64_t id;
	int fd;
	dev_t dev;
	ino_t ino;
	bool mapped, writable;
};

struct eng_dump {
	struct eng_run *run;
	struct eng_task task;
	struct eng_image_writer *image;
	bool frozen; /* false: rehearsal, nothing is recorded */
	uint64_t stat[64]; /* fields of /proc/PID/stat, numbered as in proc(5) */
	char state;
	struct eng_dump_thread *threads;
	uint8_t actions[64 * 32];
	uint64_t brk;
	struct eng_dump_file *files;
	size_t n_files, cap_files;
	Engine__Vma *vmas;
	size_t n_vmas, cap_vmas;
	uint64_t vdso, vvar;
	uint64_t data_size, pages;
};

/* Claims and (when frozen) records every fd. */
int eng_dump_files(struct eng_dump *d, struct eng_err *err);
/* The same for the file behind a mapping; *ret_id numbers it. */
int eng_dump_mapped_file(struct eng_dump *d, const char *range, const char *name, bool writable, uint64_t *ret_id, struct eng_err *err);
/* Reads the mappings, finds blockers. */
int eng_dump_maps(struct eng_dump *d, struct eng_err *err);
/* Writes pages and the core/mm record. */
int eng_dump_memory(struct eng_dump *d, struct eng_err *err);
void eng_dump_deinit(struct eng_dump *d);

#endif
