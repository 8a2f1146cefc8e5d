/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* General registers, the direction flag and the fs and gs bases of threads that never leave user space. */
#include <asm/prctl.h>
#include <pthread.h>

#include "subject.h"

/* Loads 14 registers from in, sets the direction flag, spins until *stop, stores what the registers hold then. */
void spin_gp(const uint64_t in[14], uint64_t out[15], volatile int *stop);
__asm__(".text\n.globl spin_gp\n.type spin_gp,@function\nspin_gp:\n"
        "	push %rbx\n	push %rbp\n	push %r12\n	push %r13\n	push %r14\n	push %r15\n	push %rsi\n"
        "	mov 0(%rdi), %rax\n	mov 8(%rdi), %rbx\n	mov 16(%rdi), %rcx\n	mov 24(%rdi), %rbp\n	mov 32(%rdi), %rsi\n"
        "	mov 40(%rdi), %r8\n	mov 48(%rdi), %r9\n	mov 56(%rdi), %r10\n	mov 64(%rdi), %r11\n	mov 72(%rdi), %r12\n"
        "	mov 80(%rdi), %r13\n	mov 88(%rdi), %r14\n	mov 96(%rdi), %r15\n	mov 104(%rdi), %rdi\n"
        "	std\n"
        "1:	cmpl $0, (%rdx)\n	je 1b\n"
        "	pushfq\n	cld\n	push %rax\n	mov 16(%rsp), %rax\n"
        "	mov %rbx, 8(%rax)\n	mov %rcx, 16(%rax)\n	mov %rbp, 24(%rax)\n	mov %rsi, 32(%rax)\n	mov %r8, 40(%rax)\n"
        "	mov %r9, 48(%rax)\n	mov %r10, 56(%rax)\n	mov %r11, 64(%rax)\n	mov %r12, 72(%rax)\n	mov %r13, 80(%rax)\n"
        "	mov %r14, 88(%rax)\n	mov %r15, 96(%rax)\n	mov %rdi, 104(%rax)\n"
        "	pop %rcx\n	mov %rcx, 0(%rax)\n	pop %rcx\n	mov %rcx, 112(%rax)\n"
        "	pop %rsi\n	pop %r15\n	pop %r14\n	pop %r13\n	pop %r12\n	pop %rbp\n	pop %rbx\n	ret\n"
        ".size spin_gp,.-spin_gp\n.section .note.GNU-stack,\"\",@progbits\n.text\n");

static volatile int stop;

static void *spinner(void *arg)
{
	uint64_t in[14], out[15], base, gs = 0x7f0012345000ULL + (uintptr_t)arg * PAGE, fs;

	pattern_fill(in, sizeof(in), 100 + (uintptr_t)arg);
	(void)syscall(SYS_arch_prctl, ARCH_GET_FS, &fs);
	(void)syscall(SYS_arch_prctl, ARCH_SET_GS, gs);
	spin_gp(in, out, &stop);
	for (int i = 0; i < 14; i++)
		CHECK(in[i] == out[i], "thread %d register %d: expected %llx, got %llx", (int)(uintptr_t)arg, i, (unsigned long long)in[i],
		      (unsigned long long)out[i]);
	CHECK(out[14] & 0x400, "thread %d: the direction flag is lost", (int)(uintptr_t)arg);
	(void)syscall(SYS_arch_prctl, ARCH_GET_FS, &base);
	CHECK_EQ("fs base", base, fs);
	(void)syscall(SYS_arch_prctl, ARCH_GET_GS, &base);
	CHECK_EQ("gs base", base, gs);
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t t[3];

	subject_init(argc, argv);
	for (uintptr_t i = 0; i < COUNT(t); i++)
		MUST(!pthread_create(&t[i], NULL, spinner, (void *)i));
	sleep_ms(30);
	subject_wait();
	stop = 1;
	for (size_t i = 0; i < COUNT(t); i++)
		pthread_join(t[i], NULL);
	return subject_done();
}
