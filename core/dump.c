/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Dump of a process. First everything is looked at while it runs (the rehearsal): all blockers are listed and nothing is frozen if there
 * is one. Then it is frozen, looked at again, and its batch is run. What this version cannot restore is a blocker where it is not in its usual
 * state: nothing is lost silently.
 */
#include "core/run.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/kcmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <time.h>

#include "core/dump.h"
#include "core/io.h"

static int add_block(struct eng_dump *d, const char *why, const char *remedy)
{
	char object[32];

	(void)snprintf(object, sizeof(object), "process %d", d->task.pid);
	eng_block(d->run, object, why, remedy);
	return 0;
}

static int read_proc(struct eng_dump *d, const char *name, char **ret, struct eng_err *err)
{
	int r = eng_read_file_at(d->task.procfd, name, ret, NULL);

	return r < 0 ? eng_fail(err, -r, "cannot read /proc/%d/%s", d->task.pid, name) : 0;
}

static void line_of(const char *text, const char *key, char *out, size_t size)
{
	const char *p = eng_text_field(text, key);

	(void)snprintf(out, size, "%.*s", p ? (int)strcspn(p, "\n") : 0, p ? p : "");
}

/* State that this version restores only as the engine itself has it. */
static int check_same_as_engine(struct eng_dump *d, const char *status, struct eng_err *err)
{
	static const char *const same[] = { "Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp",
					    "Cpus_allowed", "Mems_allowed" };
	static const char *const empty[] = { "SigPnd", "ShdPnd" };
	_cleanup_free_ char *own = NULL;
	char a[4096], b[4096], why[128];
	int r = eng_read_file_at(AT_FDCWD, "/proc/self/status", &own, NULL);

	if (r < 0)
		return eng_fail(err, -r, "cannot read /proc/self/status");
	for (size_t i = 0; i < ENG_ARRAY_SIZE(same); i++) {
		line_of(status, same[i], a, sizeof(a));
		line_of(own, same[i], b, sizeof(b));
		(void)snprintf(why, sizeof(why), "%s differs from the engine's, and no plugin keeps it", same[i]);
		if (strcmp(a, b) != 0)
			add_block(d, why, NULL);
	}
	for (size_t i = 0; i < ENG_ARRAY_SIZE(empty); i++) {
		line_of(status, empty[i], a, sizeof(a));
		if (!d->frozen && strtoull(a, NULL, 16) != 0)
			continue; /* it may be delivered before the freeze */
		if (strtoull(a, NULL, 16) != 0)
			add_block(d, "a signal is pending, and no plugin keeps it", "try again");
	}
	return 0;
}

static int check_namespaces(struct eng_dump *d)
{
	static const char *const ns[] = { "mnt", "net", "pid", "user", "uts", "ipc", "time", "cgroup" };
	char name[32], why[64];
	struct stat a, b;

	for (size_t i = 0; i < ENG_ARRAY_SIZE(ns); i++) {
		(void)snprintf(name, sizeof(name), "/proc/self/ns/%s", ns[i]);
		if (fstatat(d->task.procfd, name + strlen("/proc/self/"), &a, 0) < 0 || stat(name, &b) < 0)
			continue;
		(void)snprintf(why, sizeof(why), "lives in another %s namespace, and no plugin keeps it", ns[i]);
		if (a.st_ino != b.st_ino)
			add_block(d, why, "run the engine inside that namespace (nsenter)");
	}
	return 0;
}

static int check_children(struct eng_dump *d)
{
	int fd = openat(d->task.procfd, "task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *ent;

	while (dir && (ent = readdir(dir))) {
		_cleanup_free_ char *text = NULL;
		char name[300], why[400];

		(void)snprintf(name, sizeof(name), "task/%s/children", ent->d_name);
		if (ent->d_name[0] == '.' || eng_read_file_at(d->task.procfd, name, &text, NULL) < 0 || !text[0])
			continue;
		(void)snprintf(why, sizeof(why), "has child processes (%.200s): this version keeps single processes", text);
		add_block(d, why, NULL);
	}
	if (dir)
		(void)closedir(dir);
	return 0;
}

/* Fields of /proc/PID/stat by number, as proc(5) counts them; the name may contain anything, so counting starts behind its last ')'. */
static int read_stat(struct eng_dump *d, struct eng_err *err)
{
	_cleanup_free_ char *text = NULL;
	char *p;
	int r = read_proc(d, "stat", &text, err);

	if (r < 0)
		return r;
	p = strrchr(text, ')');
	for (int field = 2; p && field < 53; field++) {
		p = strchr(p, ' ');
		if (!p)
			break;
		p++;
		d->stat[field + 1] = strtoull(p, NULL, 10);
	}
	d->state = strrchr(text, ')')[2];
	return 0;
}

static int check_process(struct eng_dump *d, struct eng_err *err)
{
	_cleanup_free_ char *status = NULL, *timers = NULL, *limits = NULL, *own_limits = NULL;
	char link[64];
	int r = read_proc(d, "status", &status, err);

	if (r == 0)
		r = read_stat(d, err);
	if (r < 0)
		return r;
	if (readlinkat(d->task.procfd, "exe", link, sizeof(link)) < 0)
		return eng_fail(err, ENOTSUP, "process %d has no program: it is a kernel thread or a zombie", d->task.pid);
	if (!d->frozen && (d->state == 'T' || d->state == 't'))
		add_block(d, "is stopped or traced, and no plugin keeps that", "continue it first");
	r = check_same_as_engine(d, status, err);
	if (r < 0)
		return r;
	check_namespaces(d);
	check_children(d);
	if (eng_read_file_at(d->task.procfd, "timers", &timers, NULL) == 0 && timers[0])
		add_block(d, "has POSIX timers, and no plugin keeps them", NULL);
	if (d->stat[41] != 0 || d->stat[19] != (uint64_t)0)
		add_block(d, "has a nice value or scheduling policy of its own, and no plugin keeps it", NULL);
	if (eng_read_file_at(d->task.procfd, "limits", &limits, NULL) == 0 && eng_read_file_at(AT_FDCWD, "/proc/self/limits", &own_limits, NULL) == 0 &&
	    strcmp(limits, own_limits) != 0)
		add_block(d, "resource limits differ from the engine's, and no plugin keeps them", "run the engine under the same limits");
	return 0;
}

/* ------------------------------------------------------------------------------------------------ what only the task can read */

static int run_batch(struct eng_dump *d, struct eng_thread *t, struct batch_op *ops, size_t count, struct eng_err *err)
{
	int failed, r = eng_task_run(&d->task, t, ops, count, &failed, err);

	if (r == 0 && failed >= 0)
		r = eng_fail(err, (int)-ops[failed].result, "thread %d: system call %" PRId64, t->tid, ops[failed].nr);
	return r;
}

static int read_signals(struct eng_dump *d, uint64_t addr, struct eng_err *err)
{
	struct batch_op ops[64] = { 0 };
	size_t n = 0;

	for (int sig = 1; sig <= 64; sig++)
		if (sig != SIGKILL && sig != SIGSTOP)
			ops[n++] = (struct batch_op){ .nr = SYS_rt_sigaction, .arg = { (uint64_t)sig, 0, addr + (uint64_t)(sig - 1) * 32, 8 } };
	return run_batch(d, &d->task.threads[0], ops, n, err);
}

static int read_thread(struct eng_dump *d, struct eng_thread *t, struct eng_dump_thread *out, uint8_t *mem, uint64_t addr, struct eng_err *err)
{
	struct batch_op ops[] = {
		{ .nr = SYS_sigaltstack, .arg = { 0, addr } },
		{ .nr = SYS_prctl, .arg = { 40 /* PR_GET_TID_ADDRESS */, addr + 32 } },
		{ .nr = SYS_prctl, .arg = { 16 /* PR_GET_NAME */, addr + 48 } },
	};
	int r = run_batch(d, t, ops, ENG_ARRAY_SIZE(ops), err);

	if (r < 0)
		return r;
	memcpy(&out->altstack, mem, sizeof(out->altstack));
	memcpy(&out->tid_address, mem + 32, sizeof(out->tid_address));
	memcpy(out->comm, mem + 48, 16);
	out->comm[15] = '\0';
	return 0;
}

static int read_itimers(struct eng_dump *d, uint8_t *mem, uint64_t addr, struct eng_err *err)
{
	struct batch_op ops[5] = { 0 };
	int r;

	for (uint64_t i = 0; i < 3; i++)
		ops[i] = (struct batch_op){ .nr = SYS_getitimer, .arg = { i, addr + i * 32 } };
	ops[3] = (struct batch_op){ .nr = SYS_brk };
	ops[4] = (struct batch_op){ .nr = SYS_personality, .arg = { 0xffffffff } };
	r = run_batch(d, &d->task.threads[0], ops, 5, err);
	for (size_t i = 0; r == 0 && i < 96; i++)
		if (mem[i])
			return eng_fail(err, ENOTSUP, "process %d has an interval timer running, and no plugin keeps it", d->task.pid);
	d->brk = (uint64_t)ops[3].result;
	if (r == 0 && ops[4].result != 0)
		return eng_fail(err, ENOTSUP, "process %d has personality %#" PRIx64 ", and no plugin keeps it", d->task.pid, (uint64_t)ops[4].result);
	return r;
}

/* All entering is done here, and the task is left again whatever happens. */
static int read_inside(struct eng_dump *d, struct eng_err *err)
{
	uint64_t addr;
	size_t size;
	uint8_t *mem;
	int r = eng_task_enter(&d->task, err), left;

	if (r < 0)
		return r;
	mem = eng_task_data(&d->task, &size, &addr);
	r = read_itimers(d, mem, addr, err);
	if (r == 0)
		r = read_signals(d, addr + 4096, err);
	if (r == 0)
		memcpy(d->actions, mem + 4096, sizeof(d->actions));
	for (size_t i = 0; r == 0 && i < d->task.n_threads; i++)
		r = read_thread(d, &d->task.threads[i], &d->threads[i], mem, addr, err);
	left = eng_task_leave(&d->task, r == 0 ? err : NULL);
	return r < 0 ? r : left;
}

static int put_thread(struct eng_dump *d, size_t i, struct eng_err *err)
{
	struct eng_thread *t = &d->task.threads[i];
	struct eng_dump_thread *x = &d->threads[i];
	struct { uint64_t addr; uint32_t size, sig, flags, pad; } rseq = { 0 };
	_cleanup_free_ uint8_t *xstate = malloc(65536);
	struct iovec iov = { xstate, 65536 };
	Engine__Thread rec = ENGINE__THREAD__INIT;
	Engine__Regset sets[2] = { ENGINE__REGSET__INIT, ENGINE__REGSET__INIT }, *list[2] = { &sets[0], &sets[1] };
	uint64_t robust = 0;
	size_t len;

	if (!xstate)
		return eng_fail(err, ENOMEM, "cannot read registers");
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
	rec.altstack_flags = x->altstack.flags;
	rec.has_tid_address = rec.has_robust_list = true;
	rec.tid_address = x->tid_address;
	rec.robust_list = robust;
	rec.has_rseq = rec.has_rseq_len = rec.has_rseq_sig = rseq.addr != 0;
	rec.rseq = rseq.addr;
	rec.rseq_len = rseq.size;
	rec.rseq_sig = rseq.sig;
	return eng_image_put(d->image, "core/thread", (uint64_t)t->tid, &rec.base, err);
}

static int put_task(struct eng_dump *d, struct eng_err *err)
{
	_cleanup_free_ char *status = NULL;
	_cleanup_free_ int32_t *tids = calloc(d->task.n_threads, sizeof(*tids));
	Engine__Task rec = ENGINE__TASK__INIT;
	Engine__Signals sig = ENGINE__SIGNALS__INIT;
	char exe[4096] = "", cwd[4096] = "", mask[32];
	int r = read_proc(d, "status", &status, err);

	if (r < 0 || !tids)
		return r < 0 ? r : eng_fail(err, ENOMEM, "cannot list threads");
	if (readlinkat(d->task.procfd, "exe", exe, sizeof(exe) - 1) < 0 || readlinkat(d->task.procfd, "cwd", cwd, sizeof(cwd) - 1) < 0)
		return eng_fail(err, errno, "cannot read exe and cwd of %d", d->task.pid);
	for (size_t i = 0; i < d->task.n_threads; i++)
		tids[i] = d->task.threads[i].tid;
	line_of(status, "Umask", mask, sizeof(mask));
	rec.pid = d->task.pid;
	rec.ppid = (int32_t)d->stat[4];
	rec.pgid = (int32_t)d->stat[5];
	rec.sid = (int32_t)d->stat[6];
	rec.state = ENGINE__TASK__STATE__RUNNING;
	rec.n_tids = d->task.n_threads;
	rec.tids = tids;
	rec.exe = exe;
	rec.cwd = cwd;
	rec.has_umask = true;
	rec.umask = (uint32_t)strtoul(mask, NULL, 8);
	rec.has_sid_outside = true;
	rec.sid_outside = rec.sid != rec.pid;
	sig.actions = (ProtobufCBinaryData){ .len = sizeof(d->actions), .data = d->actions };
	r = eng_image_put(d->image, "core/task", (uint64_t)rec.pid, &rec.base, err);
	if (r == 0)
		r = eng_image_put(d->image, "core/signals", (uint64_t)rec.pid, &sig.base, err);
	for (size_t i = 0; r == 0 && i < d->task.n_threads; i++)
		r = put_thread(d, i, err);
	if (rec.sid_outside)
		eng_lose(d->run, "session", "its leader is outside: restored in the session of the restoring command");
	return r;
}

/* ------------------------------------------------------------------------------------------------ the whole */

static int put_manifest(struct eng_dump *d, struct eng_err *err)
{
	Engine__Manifest m = ENGINE__MANIFEST__INIT;
	struct utsname uts;
	struct timespec now;
	uint8_t uuid[16];
	_cleanup_free_ Engine__Loss *loss = calloc(d->run->n_losses + 1, sizeof(*loss));
	_cleanup_free_ Engine__Loss **list = calloc(d->run->n_losses + 1, sizeof(*list));

	if (!loss || !list || syscall(SYS_getrandom, uuid, sizeof(uuid), 0) != sizeof(uuid))
		return eng_fail(err, ENOMEM, "cannot write manifest");
	(void)uname(&uts);
	(void)clock_gettime(CLOCK_REALTIME, &now);
	for (size_t i = 0; i < d->run->n_losses; i++) {
		engine__loss__init(&loss[i]);
		loss[i].object = d->run->losses[i].object;
		loss[i].what = d->run->losses[i].text;
		list[i] = &loss[i];
	}
	m.format = 1;
	m.arch = (char *)"x86_64";
	m.engine_version = (char *)ENGINE_VERSION;
	m.uuid = (ProtobufCBinaryData){ .len = 16, .data = uuid };
	m.created_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
	m.kernel = uts.release;
	m.page_size = 4096;
	m.root_pid = d->task.pid;
	m.n_losses = d->run->n_losses;
	m.losses = list;
	m.has_pages = true;
	m.pages = d->pages;
	return eng_image_commit(&d->image, &m, d->data_size, err);
}

static int look(struct eng_dump *d, struct eng_err *err)
{
	int r;

	d->run->n_blockers = 0;
	r = check_process(d, err);
	if (r == 0)
		r = eng_dump_files(d, err);
	if (r == 0)
		r = eng_dump_maps(d, err);
	if (r == 0 && d->run->n_blockers) {
		r = eng_fail(err, ENOTSUP, "%s %s%s", d->run->blockers[0].object, d->run->blockers[0].text,
			     d->run->n_blockers > 1 ? " (and more: see the list)" : "");
		if (d->run->blockers[0].hint)
			eng_hint(err, "%s", d->run->blockers[0].hint);
	}
	return r;
}

static int dump_frozen(struct eng_dump *d, struct eng_err *err)
{
	int r;

	d->frozen = true;
	d->threads = calloc(d->task.n_threads, sizeof(*d->threads));
	if (!d->threads)
		return eng_fail(err, ENOMEM, "cannot list threads");
	for (size_t i = 0; i < d->task.n_threads; i++)
		if (d->task.threads[i].stop_signal)
			return eng_fail(err, ENOTSUP, "process %d is stopped by a signal, and no plugin keeps that", d->task.pid);
	r = look(d, err);
	if (r == 0)
		r = read_inside(d, err);
	if (r == 0)
		r = put_task(d, err);
	if (r == 0)
		r = eng_dump_memory(d, err);
	return r;
}

static int refuse_self(pid_t pid, struct eng_err *err)
{
	if (pid == getpid() || pid == getppid()) {
		int r = eng_fail(err, EINVAL, "process %d is the engine itself or its parent", pid);

		eng_hint(err, "run the engine from outside the tree that it dumps");
		return r;
	}
	return 0;
}

int eng_dump(struct eng_run *run, const struct eng_dump_opts *opts, struct eng_result *ret, struct eng_err *err)
{
	struct eng_dump d = { .run = run };
	uint64_t start = eng_now_us(), frozen = 0;
	int r = refuse_self(opts->pid, err);

	*ret = (struct eng_result){ 0 };
	if (r == 0)
		r = eng_task_open(opts->pid, &d.task, err);
	if (r == ENG_TASK_GONE)
		return eng_fail(err, ESRCH, "process %d", opts->pid);
	if (r < 0)
		return r;
	r = look(&d, err);
	if (r == 0 && !opts->check_only)
		r = eng_image_create(opts->dir, &d.image, err);
	if (r == 0 && !opts->check_only) {
		frozen = eng_now_us();
		r = eng_task_freeze(&d.task, 5000, err);
		if (r == 0)
			r = dump_frozen(&d, err);
		ret->threads = d.task.n_threads;
		if (r == 0 && opts->strict && run->n_losses)
			r = eng_fail(err, ENOTSUP, "--strict: %s: %s", run->losses[0].object, run->losses[0].text);
		if (r == 0)
			r = put_manifest(&d, err);
		if (r == 0 && !opts->leave_running && syscall(SYS_pidfd_send_signal, d.task.pidfd, SIGKILL, NULL, 0) < 0)
			r = eng_fail(err, errno, "the image is complete, but process %d cannot be killed", opts->pid);
		eng_task_thaw(&d.task);
		ret->frozen_us = eng_now_us() - frozen;
	}
	d.image = eng_image_abort(d.image);
	eng_dump_deinit(&d);
	eng_task_close(&d.task);
	ret->tasks = 1;
	ret->root_pid = opts->pid;
	ret->pages_written = d.pages;
	ret->bytes_written = d.data_size;
	ret->total_us = eng_now_us() - start;
	return r;
}
