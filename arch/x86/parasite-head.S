/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * First part of the blob on x86-64: the trampoline. Every instruction sequence falls through into the task's old state.
 *
 * Only mov, lea and syscall are used on the way back, none of which changes flags; the nine registers that calls may clobber are loaded
 * relative to the instruction pointer, the others were never touched. The stack of the task is never written. The signal mask is put back by a call
 * whose argument stands here too, when the stack pointer is the task's again: a signal that arrives then finds the task as it was.
 */
	.section .head, "ax"
	.globl blob
blob:
	.long undo0 - blob
	.long tramp0 - blob
	.long unmap0 - blob
	.long entry0 - blob
	.long parasite_clone - blob
	.long d_ip0 - blob
	.long blob_end - blob
	.long tramp1 - tramp0

	.macro WAYBACK n
	.balign 8
tramp\n:
	syscall                         /* mmap of the mailbox, driven by the engine */
	mov	%rax, %rdi
undo\n:
	mov	d_len\n(%rip), %rsi
	mov	$11, %eax
unmap\n:
	syscall                         /* munmap of the mailbox */
	mov	d_sp\n(%rip), %rsp
	mov	$2, %edi                /* rt_sigprocmask(SIG_SETMASK, &d_mask, NULL, 8) */
	lea	d_mask\n(%rip), %rsi
	mov	$0, %edx
	mov	$8, %r10d
	mov	$14, %eax
	syscall
	mov	d_ax\n(%rip), %rax
	mov	d_cx\n(%rip), %rcx
	mov	d_dx\n(%rip), %rdx
	mov	d_si\n(%rip), %rsi
	mov	d_di\n(%rip), %rdi
	mov	d_8\n(%rip), %r8
	mov	d_9\n(%rip), %r9
	mov	d_10\n(%rip), %r10
	mov	d_11\n(%rip), %r11
	jmp	*d_ip\n(%rip)

entry\n:
	call	interp                  /* comes back only when the engine is gone; flags: from here on, then untouched */
	pushq	d_flags\n(%rip)
	popfq
	mov	d_map\n(%rip), %rdi
	jmp	undo\n

	.balign 8
d_ip\n: .quad 0
d_sp\n: .quad 0
d_mask\n: .quad 0
d_map\n: .quad 0
d_len\n: .quad 0
d_flags\n: .quad 0
d_ax\n: .quad 0
d_cx\n: .quad 0
d_dx\n: .quad 0
d_si\n: .quad 0
d_di\n: .quad 0
d_8\n: .quad 0
d_9\n: .quad 0
d_10\n: .quad 0
d_11\n: .quad 0
	.endm

	WAYBACK 0
	WAYBACK 1

	.globl parasite_clone
	.hidden parasite_clone
parasite_clone:
	mov	%rdx, %r8               /* survives the system call in both processes */
	mov	$435, %eax
	syscall
	test	%rax, %rax
	jz	1f
	ret
1:	mov	%r8, %rdi
	xor	%ebp, %ebp
	call	interp
	ud2

	.section .note.GNU-stack, "", @progbits
