/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef PARASITE_BATCH_H
#define PARASITE_BATCH_H
/*
 * What the engine and the interpreter inside a task share: fixed-width members, no pointers. Addresses are the task's.
 *
 * A batch is an array of operations; each is one system call. An argument is a literal or the result of an earlier operation.
 */
#include <assert.h>
#include <stdint.h>

#define BATCH_IGNORE (1u << 0)           /* a failure does not stop the batch */
#define BATCH_EXPECT (1u << 1)           /* the result must equal .expect */
#define BATCH_CLONE (1u << 2)            /* the call may return twice: the child goes on in the slot that arg[5] names */
#define BATCH_USE(argno) (1u << (8 + (argno))) /* arg[argno] is the index of the operation whose result is meant */

#define BATCH_OWNER_DIED 0x40000000u /* FUTEX_OWNER_DIED, set by the kernel when the engine's tracing thread is gone */
#define BATCH_WAITERS 0x80000000u    /* FUTEX_WAITERS */

struct batch_op {
	uint32_t flags;
	uint32_t label; /* the engine's: what the operation is for */
	int64_t nr;
	uint64_t arg[6];
	int64_t result;
	int64_t expect;
};
static_assert(sizeof(struct batch_op) == 80, "layout shared with tasks");

enum batch_mode {
	BATCH_RETURN = 0, /* dump: without the engine, return to where the task was */
	BATCH_DIE = 1,    /* restore: without the engine, exit */
};

struct batch_slot {
	uint32_t go;     /* generation the engine wants run */
	uint32_t done;   /* generation that was run */
	uint32_t count;  /* operations */
	uint32_t failed; /* 0, or 1 + index of the operation that stopped the batch */
	uint64_t ops;    /* address of struct batch_op[count] */
	uint64_t owner;  /* address of the engine's robust futex word */
	uint32_t mode;   /* enum batch_mode */
	uint32_t reserved;
};
static_assert(sizeof(struct batch_slot) == 40, "layout shared with tasks");

/* Offsets that stand at the start of the blob. */
struct blob_head {
	uint32_t undo;   /* first argument register: mailbox; unmaps it (length: leave data) and goes back to the task */
	uint32_t tramp;  /* `syscall`, then unmap what it returned and go back to the task */
	uint32_t unmap;  /* `syscall` of munmap, then back to the task */
	uint32_t entry;  /* interpreter, first argument: slot */
	uint32_t clone;  /* creates a process: arguments clone_args, size, slot of the child */
	uint32_t leave;  /* struct of saved registers, arch-specific */
	uint32_t size;   /* of all of it */
	uint32_t stride; /* undo, tramp, unmap, entry and leave stand twice, this far apart */
};

#endif
