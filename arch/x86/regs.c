/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* x86-64: general registers and the data of the trampoline (order as in parasite-head.S). */
#include <errno.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "arch/arch.h"

/* Kernel-internal results of interrupted system calls, visible to tracers (include/linux/errno.h). */
enum { ERESTARTSYS = 512, ERESTARTNOINTR = 513, ERESTARTNOHAND = 514, ERESTART_RESTARTBLOCK = 516 };

struct leave {
	uint64_t ip, sp, mask, map, len, flags, ax, cx, dx, si, di, r8, r9, r10, r11;
};

int arch_get_regs(pid_t tid, struct arch_regs *ret, struct eng_err *err)
{
	struct iovec iov = { &ret->user, sizeof(ret->user) };

	if (ptrace(PTRACE_GETREGSET, tid, NT_PRSTATUS, &iov) < 0)
		return eng_fail(err, errno, "cannot read registers of %d", tid);
	if (iov.iov_len != sizeof(ret->user))
		return eng_fail(err, ENOTSUP, "thread %d is not a 64-bit x86 thread", tid);
	return 0;
}

int arch_set_regs(pid_t tid, const struct arch_regs *regs, struct eng_err *err)
{
	struct iovec iov = { (void *)(uintptr_t)&regs->user, sizeof(regs->user) };

	if (ptrace(PTRACE_SETREGSET, tid, NT_PRSTATUS, &iov) < 0)
		return eng_fail(err, errno, "cannot set registers of %d", tid);
	return 0;
}

void arch_syscall_regs(struct arch_regs *regs, const struct arch_regs *base, uint64_t ip, long nr, const uint64_t arg[6])
{
	*regs = *base;
	regs->user.rip = ip;
	regs->user.rax = (unsigned long)nr;
	regs->user.orig_rax = (unsigned long)-1;
	regs->user.rdi = arg[0];
	regs->user.rsi = arg[1];
	regs->user.rdx = arg[2];
	regs->user.r10 = arg[3];
	regs->user.r8 = arg[4];
	regs->user.r9 = arg[5];
}

void arch_entry_regs(struct arch_regs *regs, const struct arch_regs *base, uint64_t ip, uint64_t slot, uint64_t stack)
{
	*regs = *base;
	regs->user.rip = ip;
	regs->user.rdi = slot;
	regs->user.rsp = stack & ~UINT64_C(15);
	regs->user.orig_rax = (unsigned long)-1;
	regs->user.eflags = 0x202;
}

uint64_t arch_ip(const struct arch_regs *regs)
{
	return regs->user.rip;
}

int64_t arch_syscall_result(const struct arch_regs *regs)
{
	return (int64_t)regs->user.rax;
}

static bool interrupted(const struct arch_regs *regs)
{
	int64_t r = -(int64_t)regs->user.rax;

	return (int64_t)regs->user.orig_rax >= 0 &&
	       (r == ERESTARTSYS || r == ERESTARTNOINTR || r == ERESTARTNOHAND || r == ERESTART_RESTARTBLOCK);
}

bool arch_rewind_syscall(struct arch_regs *regs)
{
	if (!interrupted(regs))
		return false;
	regs->user.rax = regs->user.orig_rax;
	regs->user.rip -= 2;
	regs->user.orig_rax = (unsigned long)-1;
	return true;
}

/* Calls that the kernel never restarts after a stop (signal(7), "Interruption of system calls by stop signals"), although nothing has happened yet. */
bool arch_rewind_eintr(struct arch_regs *regs)
{
	static const long calls[] = { SYS_epoll_wait, SYS_epoll_pwait, SYS_epoll_pwait2, SYS_semop, SYS_semtimedop, SYS_io_getevents, SYS_io_pgetevents,
				      SYS_rt_sigtimedwait, SYS_read, SYS_recvfrom, SYS_recvmsg, SYS_accept, SYS_accept4 };

	for (size_t i = 0; (int64_t)regs->user.rax == -EINTR && i < sizeof(calls) / sizeof(calls[0]); i++)
		if ((long)regs->user.orig_rax == calls[i]) {
			regs->user.rax = regs->user.orig_rax;
			regs->user.rip -= 2;
			regs->user.orig_rax = (unsigned long)-1;
			return true;
		}
	return false;
}

void arch_fill_leave(void *leave, const struct arch_regs *regs, uint64_t sigmask, uint64_t map, uint64_t map_len)
{
	const struct user_regs_struct *u = &regs->user;
	struct leave l = { u->rip, u->rsp, sigmask, map, map_len, u->eflags, u->rax, u->rcx, u->rdx, u->rsi, u->rdi, u->r8, u->r9, u->r10, u->r11 };

	if (interrupted(regs)) {
		/* With its restart block untouched the kernel can resume the wait itself, for the time that is left. */
		l.ax = -(int64_t)u->rax == ERESTART_RESTARTBLOCK ? SYS_restart_syscall : u->orig_rax;
		l.ip = u->rip - 2;
	}
	memcpy(leave, &l, sizeof(l));
}

void arch_undo_regs(struct arch_regs *regs, const struct arch_regs *base, uint64_t ip, uint64_t map)
{
	*regs = *base;
	regs->user.rip = ip;
	regs->user.rdi = map;
	regs->user.orig_rax = (unsigned long)-1;
}
