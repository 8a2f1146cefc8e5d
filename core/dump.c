/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Dump of a tree. First everything is looked at while it runs (the rehearsal): all blockers are listed and nothing is frozen if there is one. Then
 * it is frozen, looked at again, and each process runs its batches. The manifest is written last; only then is the tree killed.
 */
#include "core/dump.h"

#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <time.h>
#include <xxhash.h>

#include "core/io.h"
#include "core/vdso.h"

static int put_uses(struct eng_dump *d, Engine__Manifest *m, struct eng_err *err)
{
	struct eng_run *run = d->run;

	m->plugins = eng_alloc(run, run->n_plugins * sizeof(*m->plugins));
	for (size_t i = 0; i < run->n_plugins; i++) {
		const struct eng_plugin *p = &run->plugins[i].desc;
		Engine__PluginUse *use = eng_alloc(run, sizeof(*use));
		size_t n = 0;

		engine__plugin_use__init(use);
		use->name = (char *)p->name;
		use->version = (char *)(p->version ?: "0");
		for (const struct eng_file_kind *const *k = p->file_kinds; k && *k; k++)
			n++;
		for (const struct eng_task_kind *const *k = p->task_kinds; k && *k; k++)
			n++;
		use->kinds = eng_alloc(run, n * sizeof(*use->kinds));
		for (const struct eng_file_kind *const *k = p->file_kinds; k && *k; k++)
			use->kinds[use->n_kinds++] = (char *)(*k)->name;
		for (const struct eng_task_kind *const *k = p->task_kinds; k && *k; k++)
			use->kinds[use->n_kinds++] = (char *)(*k)->name;
		m->plugins[m->n_plugins++] = use;
	}
	return 0;
}

static void put_losses(struct eng_dump *d, Engine__Manifest *m)
{
	struct eng_run *run = d->run;

	m->losses = eng_alloc(run, run->n_losses * sizeof(*m->losses));
	for (size_t i = 0; i < run->n_losses; i++) {
		Engine__Loss *loss = eng_alloc(run, sizeof(*loss));

		engine__loss__init(loss);
		loss->object = run->losses[i].object;
		loss->what = run->losses[i].text;
		m->losses[m->n_losses++] = loss;
	}
}

static int put_manifest(struct eng_dump *d, struct eng_err *err)
{
	Engine__Manifest m = ENGINE__MANIFEST__INIT;
	struct utsname uts;
	struct timespec now;
	char id[33];
	uint8_t uuid[16];
	int r;

	if (syscall(SYS_getrandom, uuid, sizeof(uuid), 0) != sizeof(uuid))
		return eng_fail(err, errno, "cannot write manifest");
	(void)uname(&uts);
	(void)clock_gettime(CLOCK_REALTIME, &now);
	r = eng_vdso_id(id, err);
	if (r == 0)
		r = put_uses(d, &m, err);
	if (r < 0)
		return r;
	put_losses(d, &m);
	m.format = 1;
	m.arch = (char *)"x86_64";
	m.engine_version = (char *)ENGINE_VERSION;
	m.uuid = (ProtobufCBinaryData){ .len = 16, .data = uuid };
	m.created_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
	m.kernel = uts.release;
	m.page_size = 4096;
	m.root_pid = d->tasks[0]->task.pid;
	m.has_pages = m.has_tasks = m.has_threads = m.has_left_running = true;
	m.pages = d->pages;
	m.tasks = (uint32_t)d->n_tasks;
	m.threads = (uint32_t)d->threads;
	m.left_running = d->opts->leave_running;
	m.vdso_id = id;
	m.hostname = uts.nodename;
	return eng_image_commit(&d->image, &m, d->data_size, err);
}

static bool has_ended(const struct eng_dump_task *t)
{
	struct pollfd p = { .fd = t->task.pidfd, .events = POLLIN };

	return poll(&p, 1, 0) > 0;
}

static int look(struct eng_dump *d, struct eng_err *err)
{
	struct eng_run *run = d->run;
	int r = 0;

	run->n_blockers = 0;
	eng_dump_forget_files(d);
	d->n_shmems = 0;
	for (size_t i = 0; r == 0 && i < d->n_tasks; i++) {
		struct eng_dump_task *t = d->tasks[i];

		if (t->zombie)
			continue;
		r = eng_dump_check_task(d, t, err);
		if (r == 0)
			r = eng_dump_files(d, t, err);
		if (r == 0)
			r = eng_dump_maps(d, t, err);
		if (r < 0 && !d->frozen && t->parent && has_ended(t)) {
			eng_err_clear(err); /* it ended while it was looked at */
			r = 0;
		}
	}
	for (size_t i = 0; r == 0 && !d->frozen && i < run->n_plugins; i++) {
		run->plugins[i].ctx.rehearsal = true;
		if (run->plugins[i].desc.collected)
			r = run->plugins[i].desc.collected(&run->plugins[i].ctx, err);
	}
	if (r == 0 && run->n_blockers) {
		r = eng_fail(err, ENOTSUP, "%s %s%s", run->blockers[0].object, run->blockers[0].text, run->n_blockers > 1 ? " (and more: see the list)" : "");
		if (run->blockers[0].hint)
			eng_hint(err, "%s", run->blockers[0].hint);
	}
	return r;
}

static int broadcast_pause(struct eng_run *run, struct eng_err *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < run->n_plugins; i++)
		if (run->plugins[i].desc.pause)
			r = run->plugins[i].desc.pause(&run->plugins[i].ctx, err);
	return r;
}

static void broadcast_resume(struct eng_run *run)
{
	for (size_t i = run->n_plugins; i-- > 0;)
		if (run->plugins[i].desc.resume)
			run->plugins[i].desc.resume(&run->plugins[i].ctx);
}

static int dump_frozen(struct eng_dump *d, struct eng_err *err)
{
	struct eng_run *run = d->run;
	int r = look(d, err);

	for (size_t i = 0; r == 0 && i < d->n_tasks; i++)
		r = eng_dump_task(d, d->tasks[i], err);
	for (size_t i = 0; r == 0 && i < d->n_tasks; i++)
		if (!d->tasks[i]->zombie)
			r = eng_dump_memory(d, d->tasks[i], err);
	for (size_t i = 0; r == 0 && i < run->n_plugins; i++) {
		run->plugins[i].ctx.rehearsal = false;
		if (run->plugins[i].desc.collected)
			r = run->plugins[i].desc.collected(&run->plugins[i].ctx, err);
	}
	return r == 0 ? eng_dump_data_flush(d, err) : r;
}

/* A process that is killed while its parent runs might be replaced by it: parents first. */
static int signal_tree(struct eng_dump *d, int sig, struct eng_err *err)
{
	int r = 0;

	for (size_t i = 0; i < d->n_tasks; i++)
		if (!d->tasks[i]->zombie && syscall(SYS_pidfd_send_signal, d->tasks[i]->task.pidfd, sig, NULL, 0) < 0 && errno != ESRCH)
			r = eng_fail(err, errno, "the image is complete, but process %d cannot be sent signal %d", d->tasks[i]->task.pid, sig);
	return r;
}

static int refuse_self(const struct eng_dump *d, struct eng_err *err)
{
	for (size_t i = 0; i < d->n_tasks; i++)
		if (d->tasks[i]->task.pid == getpid()) {
			int r = eng_fail(err, EINVAL, "the engine itself (process %d) is part of the tree", getpid());

			eng_hint(err, "run the engine from outside the tree that it dumps");
			return r;
		}
	return 0;
}

static int dump_tree(struct eng_dump *d, struct eng_result *ret, struct eng_err *err)
{
	uint64_t frozen = eng_now_us();
	int r = broadcast_pause(d->run, err);

	d->run->n_losses = 0;
	d->frozen = true;
	if (r == 0)
		r = eng_dump_tree(d, d->opts->pid, err);
	if (r == 0)
		r = dump_frozen(d, err);
	for (size_t i = 0; i < d->n_tasks; i++)
		d->threads += d->tasks[i]->task.n_threads;
	if (r == 0 && !eng_run_keeps(d->run, "task/prctl"))
		eng_lose(d->run, "prctl state", "not looked at: the plugin that keeps it is not loaded");
	if (r == 0 && d->opts->strict && d->run->n_losses)
		r = eng_fail(err, ENOTSUP, "--strict: %s: %s", d->run->losses[0].object, d->run->losses[0].text);
	if (r == 0)
		r = put_manifest(d, err);
	if (r == 0 && !d->opts->leave_running)
		r = signal_tree(d, d->opts->leave_stopped ? SIGSTOP : SIGKILL, err);
	for (size_t i = 0; r == 0 && !d->opts->leave_running && !d->opts->leave_stopped && i < d->n_tasks; i++)
		eng_task_reap(&d->tasks[i]->task);
	ret->tasks = d->n_tasks;
	ret->threads = d->threads;
	eng_dump_forget_tree(d);
	ret->frozen_us = eng_now_us() - frozen;
	broadcast_resume(d->run);
	return r;
}

static int rehearse(struct eng_dump *d, struct eng_result *ret, struct eng_err *err)
{
	int r;

	d->frozen = false;
	d->vforks = 0;
	r = eng_dump_tree(d, d->opts->pid, err);
	if (r == 0)
		r = refuse_self(d, err);
	if (r == 0)
		r = look(d, err);
	ret->tasks = d->n_tasks;
	eng_dump_forget_tree(d);
	return r;
}

static int dump_for_good(struct eng_dump *d, struct eng_result *ret, struct eng_err *err)
{
	int r = eng_image_create(d->opts->dir, &d->image, err);

	d->run->writer = d->image;
	d->data_size = d->used = d->n_blobs = d->pages = d->threads = 0;
	if (r == 0)
		r = dump_tree(d, ret, err);
	if (r < 0 && err->code == ETIMEDOUT)
		d->vforks++; /* a thread between vfork and the child's exec cannot be stopped: the next try finds it elsewhere */
	d->run->writer = NULL;
	d->image = eng_image_abort(d->image);
	return r;
}

#define VFORK_TRIES 100

int eng_dump(struct eng_run *run, const struct eng_dump_opts *opts, struct eng_result *ret, struct eng_err *err)
{
	struct eng_dump d = { .run = run, .opts = opts };
	uint64_t start = eng_now_us();
	int r;

	*ret = (struct eng_result){ .root_pid = opts->pid };
	run->dump = &d;
	for (int tries = 0;; tries++) {
		r = rehearse(&d, ret, err);
		if (r == 0 && !opts->check_only)
			r = dump_for_good(&d, ret, err);
		if (r == 0 || !d.vforks || tries == VFORK_TRIES)
			break;
		eng_err_clear(err);
		(void)nanosleep(&(struct timespec){ 0, 20000000 }, NULL);
	}
	if (r < 0)
		eng_run_undo(run);
	run->dump = NULL;
	eng_dump_forget_files(&d);
	free(d.shmems);
	free(d.chunk);
	ret->pages_written = d.pages;
	ret->bytes_written = d.data_size;
	ret->total_us = eng_now_us() - start;
	return r;
}
