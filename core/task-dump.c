/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A process and its threads: what stands in the way; what only a thread itself can read (one batch a thread, for the core and all plugins together); records. State that
 * no loaded plugin keeps is a blocker where it is not what a new process has.
 */
#include "core/dump.h"

#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "core/io.h"

static void block_task(struct eng_dump *d, const struct eng_dump_task *t, const char *why, const char *remedy)
{
	char object[32];

	(void)snprintf(object, sizeof(object), "process %d", t->task.pid);
	eng_block(d->run, object, why, remedy);
}

static void line_of(const char *text, const char *key, char *out, size_t size)
{
	const char *p = eng_text_field(text, key);

	(void)snprintf(out, size, "%.*s", p ? (int)strcspn(p, "\n") : 0, p ? p : "");
}

/* ------------------------------------------------------------------------------------------------ state that nobody claims */

static const struct {
	const char *field, *capability;
} status_fields[] = {
	{ "Uid", "task/creds" }, { "Gid", "task/creds" }, { "Groups", "task/creds" }, { "CapInh", "task/creds" }, { "CapPrm", "task/creds" },
	{ "CapEff", "task/creds" }, { "CapBnd", "task/creds" }, { "CapAmb", "task/creds" }, { "NoNewPrivs", "task/creds" }, { "Seccomp", "task/seccomp" },
	{ "Cpus_allowed", "task/sched" }, { "Mems_allowed", "cpuset" }, { "THP_enabled", "task/prctl" },
};

static const struct {
	const char *name, *capability;
} proc_files[] = {
	{ "limits", "task/rlimits" }, { "oom_score_adj", "task/procattr" }, { "coredump_filter", "task/procattr" }, { "timerslack_ns", "task/sched" },
};

static int check_thread_status(struct eng_dump *d, struct eng_dump_task *t, const char *name, const char *own, struct eng_err *err)
{
	_cleanup_free_ char *status = NULL;
	char a[4096], b[4096], why[160];
	int r = eng_read_file_at(t->task.procfd, name, &status, NULL);

	if (r < 0)
		return d->frozen ? eng_fail(err, -r, "cannot read /proc/%d/%s", t->task.pid, name) : 0;
	for (size_t i = 0; i < ENG_ARRAY_SIZE(status_fields); i++) {
		line_of(status, status_fields[i].field, a, sizeof(a));
		line_of(own, status_fields[i].field, b, sizeof(b));
		if (eng_run_keeps(d->run, status_fields[i].capability) || strcmp(a, b) == 0)
			continue;
		(void)snprintf(why, sizeof(why), "has another %s than the engine (%s), and no loaded plugin keeps it", status_fields[i].field, name);
		block_task(d, t, why, "load the plugin that keeps it");
	}
	line_of(status, "SigPnd", a, sizeof(a));
	line_of(status, "ShdPnd", b, sizeof(b));
	if (d->frozen && !eng_run_keeps(d->run, "task/sigqueue") && (strtoull(a, NULL, 16) || strtoull(b, NULL, 16)))
		block_task(d, t, "has a pending signal, and no loaded plugin keeps it", "try again");
	return 0;
}

static int check_status(struct eng_dump *d, struct eng_dump_task *t, struct eng_err *err)
{
	_cleanup_free_ char *own = NULL;
	char name[48];
	bool each = !eng_run_keeps(d->run, "task/creds") || !eng_run_keeps(d->run, "task/sched");
	int r = eng_read_file_at(AT_FDCWD, "/proc/self/status", &own, NULL);

	if (r < 0)
		return eng_fail(err, -r, "cannot read /proc/self/status");
	r = check_thread_status(d, t, "status", own, err);
	for (size_t i = 1; r == 0 && each && i < t->task.n_threads; i++) {
		(void)snprintf(name, sizeof(name), "task/%d/status", t->task.threads[i].tid);
		r = check_thread_status(d, t, name, own, err);
	}
	return r;
}

static void check_proc_files(struct eng_dump *d, struct eng_dump_task *t)
{
	char path[48], why[160];

	for (size_t i = 0; i < ENG_ARRAY_SIZE(proc_files); i++) {
		_cleanup_free_ char *a = NULL, *b = NULL;

		if (eng_run_keeps(d->run, proc_files[i].capability))
			continue;
		(void)snprintf(path, sizeof(path), "/proc/self/%s", proc_files[i].name);
		if (eng_read_file_at(t->task.procfd, proc_files[i].name, &a, NULL) < 0 || eng_read_file_at(AT_FDCWD, path, &b, NULL) < 0)
			continue;
		(void)snprintf(why, sizeof(why), "has other %s than the engine, and no loaded plugin keeps them", proc_files[i].name);
		if (strcmp(a, b) != 0)
			block_task(d, t, why, NULL);
	}
}

static void check_namespaces(struct eng_dump *d, struct eng_dump_task *t)
{
	static const char *const ns[] = { "mnt", "net", "pid", "user", "uts", "ipc", "time", "cgroup" };
	char name[32], why[80];
	struct stat a, b;

	for (size_t i = 0; i < ENG_ARRAY_SIZE(ns); i++) {
		(void)snprintf(name, sizeof(name), "/proc/self/ns/%s", ns[i]);
		if (fstatat(t->task.procfd, name + strlen("/proc/self/"), &a, 0) < 0 || stat(name, &b) < 0 || a.st_ino == b.st_ino)
			continue;
		(void)snprintf(why, sizeof(why), "lives in another %s namespace, and no loaded plugin keeps it", ns[i]);
		block_task(d, t, why, "run the engine inside that namespace (nsenter)");
	}
	if (fstatat(t->task.procfd, "root", &a, 0) == 0 && stat("/proc/self/root", &b) == 0 && (a.st_dev != b.st_dev || a.st_ino != b.st_ino))
		block_task(d, t, "has another root directory, and no loaded plugin keeps it", NULL);
}

/* Tables that processes share with each other (CLONE_VM and the like); linux/kcmp.h. */
static void check_sharing(struct eng_dump *d, struct eng_dump_task *t)
{
	static const struct {
		int type;
		const char *what;
	} kinds[] = { { 1, "its memory" }, { 2, "its fd table" }, { 3, "its root, cwd and umask" }, { 4, "its signal handlers" } };
	char why[120];

	for (size_t i = 0; i < d->n_tasks && d->tasks[i] != t; i++)
		for (size_t k = 0; k < ENG_ARRAY_SIZE(kinds) && !d->tasks[i]->zombie; k++) {
			if (d->tasks[i] != t->parent && d->tasks[i]->parent != t->parent && kinds[k].type != 1)
				continue; /* such tables come from one clone: parent or sibling have them too */
			if (syscall(SYS_kcmp, t->task.pid, d->tasks[i]->task.pid, kinds[k].type, 0, 0) != 0)
				continue;
			d->vforks += kinds[k].type == 1 && d->tasks[i] == t->parent;
			(void)snprintf(why, sizeof(why), "shares %s with process %d: not kept by this version", kinds[k].what, d->tasks[i]->task.pid);
			block_task(d, t, why, "if it is a child between vfork and exec, try again");
		}
}

/* A policy of its own for one mapping (mbind(2)) shows in numa_maps. */
static void check_policies(struct eng_dump *d, struct eng_dump_task *t)
{
	_cleanup_free_ char *text = NULL;

	if (eng_run_keeps(d->run, "task/mempolicy") || eng_read_file_at(t->task.procfd, "numa_maps", &text, NULL) < 0)
		return;
	for (const char *p = text; *p; p = strchr(p, '\n') ? strchr(p, '\n') + 1 : "") {
		const char *policy = strchr(p, ' ');

		if (!policy || strncmp(policy, " default", 8) == 0)
			continue;
		block_task(d, t, "has a memory policy (mbind or set_mempolicy), and no loaded plugin keeps it", NULL);
		return;
	}
}

static const struct eng_dump_task *task_of(const struct eng_dump *d, pid_t pid)
{
	for (size_t i = 0; i < d->n_tasks; i++)
		if (d->tasks[i]->task.pid == pid)
			return d->tasks[i];
	return NULL;
}

/* Sessions and groups that the plan of a restore can make: see plan() in restore-load.c. */
static void check_place(struct eng_dump *d, struct eng_dump_task *t)
{
	const struct eng_dump_task *root = d->tasks[0], *p = t->parent;
	pid_t sid = (pid_t)t->stat[6], pgid = (pid_t)t->stat[5];
	char why[120];
	bool ok = sid == t->task.pid || !p || sid == (pid_t)p->stat[6];

	if (!ok && (pid_t)p->stat[6] == p->task.pid)
		ok = p->parent ? sid == (pid_t)p->parent->stat[6] : sid == (pid_t)root->stat[6];
	(void)snprintf(why, sizeof(why), "belongs to session %d, whose leader has ended or is no ancestor: not kept by this version", sid);
	if (!ok)
		block_task(d, t, why, NULL);
	(void)snprintf(why, sizeof(why), "belongs to process group %d, whose leader has ended: not kept by this version", pgid);
	if (!task_of(d, pgid) && pgid != (pid_t)root->stat[5])
		block_task(d, t, why, NULL);
}

int eng_dump_check_task(struct eng_dump *d, struct eng_dump_task *t, struct eng_err *err)
{
	_cleanup_free_ char *timers = NULL;
	char link[64];
	int r;

	if (readlinkat(t->task.procfd, "exe", link, sizeof(link)) < 0) {
		if (!d->frozen && errno == ENOENT && t->parent)
			return 0;
		return eng_fail(err, ENOTSUP, "process %d has no program: it is a kernel thread or is ending", t->task.pid);
	}
	if (!d->frozen && t->state == 't')
		block_task(d, t, "is being traced", "detach the debugger or strace first");
	r = check_status(d, t, err);
	if (r < 0)
		return r;
	check_proc_files(d, t);
	check_namespaces(d, t);
	check_sharing(d, t);
	check_place(d, t);
	if (!d->frozen)
		check_policies(d, t);
	if (!eng_run_keeps(d->run, "task/ptimers") && eng_read_file_at(t->task.procfd, "timers", &timers, NULL) == 0 && timers[0])
		block_task(d, t, "has POSIX timers, and no loaded plugin keeps them", NULL);
	if (!eng_run_keeps(d->run, "task/sched") && (t->stat[41] != 0 || t->stat[19] != 0))
		block_task(d, t, "has a nice value or scheduling policy of its own, and no loaded plugin keeps it", NULL);
	if (!d->frozen)
		for (size_t i = 0; r == 0 && i < d->run->n_task_kinds; i++) {
			const struct eng_run_task_kind *k = &d->run->task_kinds[i];
			struct eng_thread leader = { .tid = t->task.pid, .task = &t->task };

			k->owner->ctx.rehearsal = true;
			if (k->kind->rehearse)
				r = k->kind->rehearse(&k->owner->ctx, &leader, err);
		}
	return r < 0 ? eng_wrap(err, r, "process %d", t->task.pid) : 0;
}

/* ------------------------------------------------------------------------------------------------ what only the thread can read */

struct inside {
	struct eng_dump *d;
	struct eng_dump_task *t;
	struct eng_thread *thread;
	struct eng_dump_thread *out;
	struct eng_batch batch;
	struct eng_buf basics, actions;
	int brk, personality, first_itimer;
	void **scratch;
};

static void ask_core(struct inside *in)
{
	struct eng_batch *b = &in->batch;

	in->basics = eng_batch_alloc(b, 256, 16);
	(void)eng_op(b, "read the alternate stack", 0, SYS_sigaltstack, 0, in->basics.addr);
	(void)eng_op(b, "read the tid address", 0, SYS_prctl, 40 /* PR_GET_TID_ADDRESS */, in->basics.addr + 32);
	(void)eng_op(b, "read the name", 0, SYS_prctl, 16 /* PR_GET_NAME */, in->basics.addr + 48);
	(void)eng_op(b, "read the memory policy", ENG_OP_IGNORE, SYS_get_mempolicy, in->basics.addr + 192, 0, 0, 0, 0);
	if (!eng_thread_is_leader(in->thread))
		return;
	in->actions = eng_batch_alloc(b, sizeof(in->t->actions), 16);
	for (int sig = 1; sig <= 64; sig++)
		if (sig != SIGKILL && sig != SIGSTOP)
			(void)eng_op(b, "read a signal handler", 0, SYS_rt_sigaction, (uint64_t)sig, 0, in->actions.addr + (uint64_t)(sig - 1) * 32, 8);
	in->brk = eng_op(b, "read brk", 0, SYS_brk, 0);
	in->personality = eng_op(b, "read the personality", 0, SYS_personality, 0xffffffff);
	for (uint64_t i = 0; i < 3; i++)
		(void)eng_op(b, "read an interval timer", 0, SYS_getitimer, i, in->basics.addr + 64 + i * 32);
}

static int take_core(struct inside *in, struct eng_err *err)
{
	const uint8_t *mem = in->basics.ptr;

	memcpy(&in->out->altstack, mem, sizeof(in->out->altstack));
	memcpy(&in->out->tid_address, mem + 32, sizeof(in->out->tid_address));
	memcpy(in->out->comm, mem + 48, 16);
	in->out->comm[15] = '\0';
	if (mem[192] && !eng_run_keeps(in->d->run, "task/mempolicy"))
		return eng_fail(err, ENOTSUP, "has a memory policy (set_mempolicy), and no loaded plugin keeps it");
	if (!eng_thread_is_leader(in->thread))
		return 0;
	memcpy(in->t->actions, in->actions.ptr, sizeof(in->t->actions));
	in->t->brk = (uint64_t)eng_batch_result(&in->batch, in->brk);
	if (!eng_run_keeps(in->d->run, "task/personality") && !eng_run_keeps(in->d->run, "task/prctl") && eng_batch_result(&in->batch, in->personality) != 0)
		return eng_fail(err, ENOTSUP, "process %d has a personality of its own, and no loaded plugin keeps it", in->t->task.pid);
	for (size_t i = 64; i < 160 && !eng_run_keeps(in->d->run, "task/itimers"); i++)
		if (mem[i])
			return eng_fail(err, ENOTSUP, "process %d has an interval timer running, and no loaded plugin keeps it", in->t->task.pid);
	return 0;
}

static bool applies(const struct eng_task_kind *kind, const struct eng_thread *thread)
{
	return kind->scope == ENG_SCOPE_THREAD || eng_thread_is_leader(thread);
}

static int ask_kinds(struct inside *in, struct eng_err *err)
{
	struct eng_run *run = in->d->run;
	int r = 0;

	for (size_t i = 0; r == 0 && i < run->n_task_kinds; i++) {
		const struct eng_task_kind *kind = run->task_kinds[i].kind;
		struct eng_ctx *ctx = &run->task_kinds[i].owner->ctx;

		if (!applies(kind, in->thread))
			continue;
		ctx->rehearsal = false;
		in->scratch[i] = eng_alloc(run, kind->scratch_size);
		if (kind->query)
			r = eng_wrap(err, kind->query(ctx, in->thread, in->scratch[i], &in->batch, err), "%s", kind->name);
	}
	return r;
}

static int take_kinds(struct inside *in, struct eng_err *err)
{
	struct eng_run *run = in->d->run;
	int r = 0;

	for (size_t i = 0; r >= 0 && i < run->n_task_kinds; i++) {
		const struct eng_task_kind *kind = run->task_kinds[i].kind;
		_cleanup_free_ ProtobufCMessage *msg = NULL;

		if (!applies(kind, in->thread) || !kind->collect)
			continue;
		msg = malloc(kind->record->sizeof_message);
		if (!msg)
			return eng_fail(err, ENOMEM, "cannot record %s", kind->name);
		protobuf_c_message_init(kind->record, msg);
		r = kind->collect(&run->task_kinds[i].owner->ctx, in->thread, in->scratch[i], &in->batch, msg, err);
		if (r < 0)
			return eng_wrap(err, r, "%s", kind->name);
		if (r == 0)
			r = eng_image_put(in->d->image, kind->name, (uint64_t)in->thread->tid, msg, err);
	}
	return r < 0 ? r : 0;
}

static int read_thread(struct inside *in, struct eng_err *err)
{
	int failed, r;

	ask_core(in);
	r = ask_kinds(in, err);
	if (r == 0)
		r = eng_batch_check(&in->batch, err);
	if (r == 0)
		r = eng_task_run(&in->t->task, in->thread, in->batch.ops, in->batch.n, &failed, err);
	if (r == 0 && failed >= 0)
		r = eng_batch_fail(&in->batch, in->batch.ops, (size_t)failed, err);
	if (r == 0)
		r = take_core(in, err);
	if (r == 0)
		r = take_kinds(in, err);
	return r < 0 ? eng_wrap(err, r, "thread %d", in->thread->tid) : 0;
}

/* Whether new mappings are locked is nowhere to be read, but the mailbox is one: it is counted as locked memory or it is not. */
static uint64_t locked_kib(const struct eng_dump_task *t)
{
	_cleanup_free_ char *status = NULL;
	const char *p;

	if (eng_read_file_at(t->task.procfd, "status", &status, NULL) < 0)
		return 0;
	p = eng_text_field(status, "VmLck");
	return p ? strtoull(p, NULL, 10) : 0;
}

/* All entering is done here, and the task is left again whatever happens. */
static int read_inside(struct eng_dump *d, struct eng_dump_task *t, struct eng_err *err)
{
	_cleanup_free_ void **scratch = calloc(d->run->n_task_kinds + 1, sizeof(*scratch));
	struct eng_arena arena = { 0 };
	uint64_t locked;
	int r, left;

	if (!scratch)
		return eng_fail(err, ENOMEM, "cannot enter process %d", t->task.pid);
	locked = locked_kib(t);
	r = eng_task_enter(&t->task, err);
	if (r < 0)
		return r;
	t->lock_future = locked_kib(t) > locked;
	arena.base = eng_task_data(&t->task, &arena.size, &arena.addr);
	for (size_t i = 0; r == 0 && i < t->task.n_threads; i++) {
		struct inside in = { .d = d, .t = t, .thread = &t->task.threads[i], .out = &t->threads[i], .batch = { .arena = &arena }, .scratch = scratch };

		arena.used = 0;
		r = read_thread(&in, err);
		eng_batch_deinit(&in.batch);
	}
	left = eng_task_leave(&t->task, r == 0 ? err : NULL);
	return r < 0 ? r : left;
}

/* ------------------------------------------------------------------------------------------------ records */

static int put_thread(struct eng_dump *d, struct eng_dump_task *task, size_t i, uint8_t *xstate, size_t size, struct eng_err *err)
{
	struct eng_thread *t = &task->task.threads[i];
	struct eng_dump_thread *x = &task->threads[i];
	struct { uint64_t addr; uint32_t size, sig, flags, pad; } rseq = { 0 };
	struct iovec iov = { xstate, size };
	Engine__Thread rec = ENGINE__THREAD__INIT;
	Engine__Regset sets[2] = { ENGINE__REGSET__INIT, ENGINE__REGSET__INIT }, *list[2] = { &sets[0], &sets[1] };
	uint64_t robust = 0;
	size_t len;

	if (ptrace(PTRACE_GETREGSET, t->tid, NT_X86_XSTATE, &iov) < 0)
		return eng_fail(err, errno, "cannot read the extended registers of %d", t->tid);
	if (ptrace(0x420f /* PTRACE_GET_RSEQ_CONFIGURATION, Linux 5.13 */, t->tid, sizeof(rseq), &rseq) < 0)
		return eng_fail(err, errno, "cannot read the rseq registration of %d", t->tid);
	if (syscall(SYS_get_robust_list, t->tid, &robust, &len) < 0)
		return eng_fail(err, errno, "cannot read the robust futex list of %d", t->tid);
	sets[0].type = NT_PRSTATUS;
	sets[0].data = (ProtobufCBinaryData){ .len = sizeof(t->regs.user), .data = (uint8_t *)&t->regs.user };
	sets[1].type = NT_X86_XSTATE;
	sets[1].data = (ProtobufCBinaryData){ .len = iov.iov_len, .data = xstate };
	rec.tid = t->tid;
	rec.n_regsets = 2;
	rec.regsets = list;
	rec.sigmask = t->sigmask;
	rec.comm = x->comm;
	rec.has_altstack_sp = rec.has_altstack_size = rec.has_altstack_flags = true;
	rec.altstack_sp = x->altstack.sp;
	rec.altstack_size = x->altstack.size;
	rec.altstack_flags = (uint32_t)x->altstack.flags;
	rec.has_tid_address = rec.has_robust_list = true;
	rec.tid_address = x->tid_address;
	rec.robust_list = robust;
	rec.has_rseq = rec.has_rseq_len = rec.has_rseq_sig = rseq.addr != 0;
	rec.rseq = rseq.addr;
	rec.rseq_len = rseq.size;
	rec.rseq_sig = rseq.sig;
	return eng_image_put(d->image, "core/thread", (uint64_t)t->tid, &rec.base, err);
}

/* A leader that is not in the tree either lives outside (and the root inherited it), or it has ended. */
static bool leader_outside(const struct eng_dump *d, pid_t leader, unsigned field)
{
	const struct eng_dump_task *root = d->tasks[0];

	for (size_t i = 0; i < d->n_tasks; i++)
		if (d->tasks[i]->task.pid == leader)
			return false;
	return (pid_t)root->stat[field] == leader;
}

static void fill_ids(struct eng_dump *d, struct eng_dump_task *t, Engine__Task *rec)
{
	rec->pid = t->task.pid;
	rec->ppid = (int32_t)t->stat[4];
	rec->pgid = (int32_t)t->stat[5];
	rec->sid = (int32_t)t->stat[6];
	rec->comm = t->comm;
	rec->has_sid_outside = rec->has_pgid_outside = rec->has_exit_signal = true;
	rec->sid_outside = leader_outside(d, rec->sid, 6);
	rec->pgid_outside = leader_outside(d, rec->pgid, 5);
	rec->exit_signal = (int32_t)t->stat[38];
	if (rec->sid_outside && !t->parent)
		eng_lose(d->run, "session", "its leader is outside: restored in the session of the restoring command");
}

static int put_zombie(struct eng_dump *d, struct eng_dump_task *t, struct eng_err *err)
{
	Engine__Task rec = ENGINE__TASK__INIT;

	fill_ids(d, t, &rec);
	rec.state = ENGINE__TASK__STATE__ZOMBIE;
	rec.has_exit_code = true;
	rec.exit_code = (int32_t)t->stat[52];
	return eng_image_put(d->image, "core/task", (uint64_t)rec.pid, &rec.base, err);
}

static int put_task(struct eng_dump *d, struct eng_dump_task *t, struct eng_err *err)
{
	_cleanup_free_ char *status = NULL;
	_cleanup_free_ int32_t *tids = calloc(t->task.n_threads, sizeof(*tids));
	_cleanup_free_ uint8_t *xstate = malloc(65536);
	Engine__Task rec = ENGINE__TASK__INIT;
	Engine__Signals sig = ENGINE__SIGNALS__INIT;
	char exe[4096] = "", cwd[4096] = "", mask[32];
	int r = eng_read_file_at(t->task.procfd, "status", &status, NULL);

	if (r < 0 || !tids || !xstate)
		return eng_fail(err, r < 0 ? -r : ENOMEM, "cannot read the status of %d", t->task.pid);
	if (readlinkat(t->task.procfd, "exe", exe, sizeof(exe) - 1) < 0 || readlinkat(t->task.procfd, "cwd", cwd, sizeof(cwd) - 1) < 0)
		return eng_fail(err, errno, "cannot read exe and cwd of %d", t->task.pid);
	fill_ids(d, t, &rec);
	for (size_t i = 0; i < t->task.n_threads; i++) {
		tids[i] = t->task.threads[i].tid;
		if (t->task.threads[i].stop_signal) {
			rec.state = ENGINE__TASK__STATE__STOPPED;
			rec.has_stop_signal = true;
			rec.stop_signal = t->task.threads[i].stop_signal;
		}
	}
	line_of(status, "Umask", mask, sizeof(mask));
	rec.n_tids = t->task.n_threads;
	rec.tids = tids;
	rec.exe = exe;
	rec.cwd = cwd;
	rec.has_umask = true;
	rec.umask = (uint32_t)strtoul(mask, NULL, 8);
	sig.actions = (ProtobufCBinaryData){ .len = sizeof(t->actions), .data = t->actions };
	r = eng_image_put(d->image, "core/task", (uint64_t)rec.pid, &rec.base, err);
	if (r == 0)
		r = eng_image_put(d->image, "core/signals", (uint64_t)rec.pid, &sig.base, err);
	for (size_t i = 0; r == 0 && i < t->task.n_threads; i++)
		r = put_thread(d, t, i, xstate, 65536, err);
	return r;
}

int eng_dump_task(struct eng_dump *d, struct eng_dump_task *t, struct eng_err *err)
{
	int r;

	if (t->zombie)
		return put_zombie(d, t, err);
	t->threads = calloc(t->task.n_threads, sizeof(*t->threads));
	if (!t->threads)
		return eng_fail(err, ENOMEM, "cannot list threads");
	r = read_inside(d, t, err);
	if (r == 0)
		r = put_task(d, t, err);
	return r < 0 ? eng_wrap(err, r, "process %d", t->task.pid) : 0;
}
