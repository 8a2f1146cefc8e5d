/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef PARASITE_SYSCALL_H
#define PARASITE_SYSCALL_H
/* System calls of the freestanding interpreter on x86-64. */
#include <stdint.h>

#define PARASITE_NR_futex 202
#define PARASITE_NR_exit_group 231

/* clone3(2) with a stack: the child goes on as interpreter of the slot. Returns the child's pid or -errno. In parasite-head.S. */
extern int64_t parasite_clone(void *clone_args, uint64_t size, void *slot) __attribute__((visibility("hidden")));

static inline int64_t parasite_syscall(int64_t nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f)
{
	register uint64_t r10 __asm__("r10") = d;
	register uint64_t r8 __asm__("r8") = e;
	register uint64_t r9 __asm__("r9") = f;
	int64_t ret;

	__asm__ volatile("syscall" : "=a"(ret) : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9) : "rcx", "r11", "memory");
	return ret;
}
#endif
