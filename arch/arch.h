/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef ARCH_ARCH_H
#define ARCH_ARCH_H
/* What each port provides: general registers through PTRACE_GETREGSET(NT_PRSTATUS), calls into the blob, and the way back. */
#include <elf.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/user.h>

#include "core/include/engine/err.h"

struct arch_regs {
	struct user_regs_struct user;
};

int arch_get_regs(pid_t tid, struct arch_regs *ret, struct eng_err *err);
int arch_set_regs(pid_t tid, const struct arch_regs *regs, struct eng_err *err);
/* Registers for a system call instruction at ip; everything else as in `base`. */
void arch_syscall_regs(struct arch_regs *regs, const struct arch_regs *base, uint64_t ip, long nr, const uint64_t arg[6]);
/* Registers for entering the interpreter at ip with its slot on the given stack. */
void arch_entry_regs(struct arch_regs *regs, const struct arch_regs *base, uint64_t ip, uint64_t slot, uint64_t stack);
uint64_t arch_ip(const struct arch_regs *regs);
int64_t arch_syscall_result(const struct arch_regs *regs);
/* Fill the data at `leave` of a copy of the blob: where the task goes on without us. If the task was in a system call that is to be
 * restarted, that is the instruction before, with what restarts it. */
void arch_fill_leave(void *leave, const struct arch_regs *regs, uint64_t sigmask, uint64_t map, uint64_t map_len);
/* Registers at the blob's `undo`: not run, only stood at, with every signal blocked. */
void arch_undo_regs(struct arch_regs *regs, const struct arch_regs *base, uint64_t ip, uint64_t map);
/* If the registers show an interrupted system call: make them restart it from the beginning with its arguments. Returns whether. */
bool arch_rewind_syscall(struct arch_regs *regs);
/* The same for calls that return EINTR although no handler ran, merely because the task was stopped. */
bool arch_rewind_eintr(struct arch_regs *regs);

#endif
