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
	.long undo - blob
	.long tramp - blob
	.long unmap - blob
	.long entry - blob
	.long parasite_clone - blob
	.long d_ip - blob
	.long blob_end - blob
	.long 0

tramp:
	syscall                         /* mmap of the mailbox, driven by the engine */
	mov	%rax, %rdi
undo:
	mov	d_len(%rip), %rsi
	mov	$11, %eax
unmap:
	syscall                         /* munmap of the mailbox */
	mov	d_sp(%rip), %rsp
	mov	$2, %edi                /* rt_sigprocmask(SIG_SETMASK, &d_mask, NULL, 8) */
	lea	d_mask(%rip), %rsi
	mov	$0, %edx
	mov	$8, %r10d
	mov	$14, %eax
	syscall
	mov	d_ax(%rip), %rax
	mov	d_cx(%rip), %rcx
	mov	d_dx(%rip), %rdx
	mov	d_si(%rip), %rsi
	mov	d_di(%rip), %rdi
	mov	d_8(%rip), %r8
	mov	d_9(%rip), %r9
	mov	d_10(%rip), %r10
	mov	d_11(%rip), %r11
	jmp	*d_ip(%rip)

entry:
	call	interp                  /* comes back only when the engine is gone; flags: from here on, then untouched */
	pushq	d_flags(%rip)
	popfq
	mov	d_map(%rip), %rdi
	jmp	undo

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

	.balign 8
d_ip:	.quad 0
d_sp:	.quad 0
d_mask:	.quad 0
d_map:	.quad 0
d_len:	.quad 0
d_flags:.quad 0
d_ax:	.quad 0
d_cx:	.quad 0
d_dx:	.quad 0
d_si:	.quad 0
d_di:	.quad 0
d_8:	.quad 0
d_9:	.quad 0
d_10:	.quad 0
d_11:	.quad 0
	.section .note.GNU-stack, "", @progbits
