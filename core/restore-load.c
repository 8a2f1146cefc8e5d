/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reading what is to be restored, checking it (every byte may be hostile), and the order in which processes are created. */
#include "core/restore.h"

#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>

#include "core/io.h"
#include "core/vdso.h"

#define TASK_TOP UINT64_C(0x7ffffffff000)

int eng_restore_get(struct eng_restore *r, const char *kind, uint64_t id, const ProtobufCMessageDescriptor *desc, const void *ret, struct eng_err *err)
{
	const ProtobufCMessage *msg;
	int x = eng_image_get(r->img, kind, id, desc, &msg, err);

	if (x > 0)
		return eng_fail(err, EBADMSG, "the image has no record %s %" PRIu64, kind, id);
	if (x == 0)
		*(const ProtobufCMessage **)(uintptr_t)ret = msg;
	return x;
}

static int check_extents(const struct eng_restore *r, const struct eng_restore_task *t, struct eng_err *err)
{
	const Engine__Mm *mm = t->mm;
	uint64_t data = eng_image_data_size(r->img), last = 0;
	size_t v = 0;

	for (size_t i = 0; i + sizeof(struct eng_extent) <= mm->extents.len; i += sizeof(struct eng_extent)) {
		struct eng_extent x;
		uint64_t size;

		memcpy(&x, mm->extents.data + i, sizeof(x));
		size = x.pages * UINT64_C(4096);
		while (v < mm->n_vmas && mm->vmas[v]->end <= x.addr)
			v++;
		if (v == mm->n_vmas || (x.addr & 4095) || x.addr < last || x.addr < mm->vmas[v]->start || size == 0 || size > mm->vmas[v]->end - x.addr ||
		    (mm->vmas[v]->flags & MAP_SHARED) || (x.flags & ~ENG_EXTENT_INHERITED) ||
		    (!x.flags && (x.off > data || size > data - x.off)) || (x.flags && !t->parent))
			return eng_fail(err, EBADMSG, "process %d: page extent at %#" PRIx64 " is impossible", t->rec->pid, x.addr);
		last = x.addr + size;
	}
	return 0;
}

static int check_mm(const struct eng_restore_task *t, struct eng_err *err)
{
	const Engine__Mm *mm = t->mm;
	uint64_t last = 4096;

	for (size_t i = 0; i < mm->n_vmas; i++) {
		const Engine__Vma *v = mm->vmas[i];

		if (v->start < last || v->end <= v->start || v->end > TASK_TOP || ((v->start | v->end | v->pgoff) & 4095) || !v->vmflags ||
		    (v->kind != ENGINE__VMA__KIND__ANON && v->kind != ENGINE__VMA__KIND__FILE && v->kind != ENGINE__VMA__KIND__SHMEM))
			return eng_fail(err, EBADMSG, "process %d: mapping %zu of the image is impossible", t->rec->pid, i);
		last = v->end;
	}
	if (mm->has_vvar != mm->has_vdso || (mm->has_vvar && (mm->vvar > mm->vdso || mm->vdso - mm->vvar > 0x10000)))
		return eng_fail(err, EBADMSG, "process %d: the place of the vDSO is impossible", t->rec->pid);
	return 0;
}

static int free_pid(pid_t pid, struct eng_err *err)
{
	int r;

	if (pid > 1 && kill(pid, 0) < 0 && errno == ESRCH)
		return 0;
	if (pid <= 1)
		return eng_fail(err, EBADMSG, "pid %d is impossible", pid);
	r = eng_fail(err, EEXIST, "pid %d is in use", pid);
	eng_hint(err, "the process may still live, or another has its number; end it, or restore in a pid namespace of its own");
	return r;
}

static int load_threads(struct eng_restore *r, struct eng_restore_task *t, struct eng_err *err)
{
	int x = 0;

	t->task.threads = calloc(t->n_threads, sizeof(*t->task.threads));
	if (!t->task.threads)
		return eng_fail(err, ENOMEM, "cannot list threads");
	t->task.n_threads = t->n_threads;
	for (size_t i = 0; x == 0 && i < t->n_threads; i++) {
		pid_t tid = t->zombie ? t->rec->pid : t->rec->tids[i];
		struct eng_restore_thread *th = &t->threads[i];

		t->task.threads[i] = (struct eng_thread){ .tid = tid, .task = &t->task };
		x = free_pid(tid, err);
		if (x == 0 && !t->zombie)
			x = eng_restore_get(r, "core/thread", (uint64_t)tid, &engine__thread__descriptor, &th->rec, err);
		if (x == 0 && !t->zombie && (th->rec->n_regsets != 2 || th->rec->regsets[0]->data.len != sizeof(struct user_regs_struct) ||
					     th->rec->regsets[1]->data.len < 576 || th->rec->tid != tid))
			x = eng_fail(err, EBADMSG, "the record of thread %d is impossible", tid);
	}
	return x;
}

static int load_task(struct eng_restore *r, struct eng_restore_task *t, struct eng_err *err)
{
	uint64_t id = (uint64_t)t->rec->pid;
	int x = 0;

	t->task = (struct eng_task){ .pid = t->rec->pid, .run = r->run, .pidfd = -EBADF, .procfd = -EBADF, .memfd = -EBADF };
	t->zombie = t->rec->state == ENGINE__TASK__STATE__ZOMBIE;
	t->n_threads = t->zombie ? 1 : t->rec->n_tids;
	if (t->n_threads == 0 || t->n_threads > 100000 || (!t->zombie && t->rec->tids[0] != t->rec->pid))
		return eng_fail(err, EBADMSG, "the record of process %d is impossible", t->rec->pid);
	t->threads = calloc(t->n_threads, sizeof(*t->threads));
	if (!t->threads)
		return eng_fail(err, ENOMEM, "cannot list threads");
	if (!t->zombie)
		x = eng_restore_get(r, "core/mm", id, &engine__mm__descriptor, &t->mm, err);
	if (x == 0 && !t->zombie)
		x = eng_restore_get(r, "core/fds", id, &engine__fd_table__descriptor, &t->fds, err);
	if (x == 0 && !t->zombie)
		x = eng_restore_get(r, "core/signals", id, &engine__signals__descriptor, &t->signals, err);
	if (x == 0 && !t->zombie && (t->signals->actions.len != 64 * 32 || !t->rec->exe || !t->rec->cwd))
		x = eng_fail(err, EBADMSG, "the record of process %d is impossible", t->rec->pid);
	if (x == 0 && !t->zombie)
		x = check_mm(t, err);
	return x < 0 ? x : load_threads(r, t, err);
}

static struct eng_restore_task *find(struct eng_restore *r, pid_t pid, size_t before)
{
	for (size_t i = 0; i < before; i++)
		if (r->tasks[i].rec->pid == pid)
			return &r->tasks[i];
	return NULL;
}

/* Which process creates which, and in what session and group a new one finds itself. */
static int plan(struct eng_restore *r, size_t i, struct eng_err *err)
{
	struct eng_restore_task *t = &r->tasks[i], *p;
	const Engine__Task *rec = t->rec;

	t->setsid = rec->sid == rec->pid;
	if (i == 0) {
		if (t->zombie)
			return eng_fail(err, EBADMSG, "the root process %d has ended", rec->pid);
		t->group = getpgrp();
		return 0;
	}
	p = t->parent = find(r, rec->ppid, i);
	if (!p || p->zombie || find(r, rec->pid, i))
		return eng_fail(err, EBADMSG, "process %d has no place in the tree", rec->pid);
	t->early = !t->setsid && p->setsid && rec->sid != p->rec->sid;
	if (!t->setsid && !(rec->sid == p->rec->sid || (t->early && p->parent && rec->sid == p->parent->rec->sid) || (t->early && rec->sid_outside)))
		return eng_fail(err, ENOTSUP, "process %d belongs to session %d, whose leader has ended: this version cannot restore that", rec->pid, rec->sid);
	t->group = p->setsid && !t->early ? p->rec->pid : p->group;
	return 0;
}

int eng_restore_load(struct eng_restore *r, struct eng_err *err)
{
	const Engine__Manifest *m = eng_image_manifest(r->img);
	size_t count = eng_image_count(r->img), n = 0;
	char id[33];
	int x = eng_vdso_id(id, err);

	if (x < 0)
		return x;
	if (strcmp(m->arch, "x86_64") != 0)
		return eng_fail(err, ENOEXEC, "the image is of architecture %s, this engine restores x86_64", m->arch);
	if (m->vdso_id && strcmp(m->vdso_id, id) != 0) {
		x = eng_fail(err, ENOTSUP, "the image was made on a kernel with another vDSO (%s)", m->kernel);
		eng_hint(err, "restore on a host that runs the same kernel build");
		return x;
	}
	r->tasks = calloc(count + 1, sizeof(*r->tasks));
	if (!r->tasks)
		return eng_fail(err, ENOMEM, "cannot list processes");
	for (size_t i = 0; x == 0 && i < count; i++) {
		const char *kind;
		const uint8_t *payload;
		uint64_t rec_id;
		size_t len;

		eng_image_at(r->img, i, &kind, &rec_id, &payload, &len);
		if (strcmp(kind, "core/task") != 0)
			continue;
		x = eng_restore_get(r, kind, rec_id, &engine__task__descriptor, &r->tasks[n].rec, err);
		if (x == 0 && (uint64_t)r->tasks[n].rec->pid != rec_id)
			x = eng_fail(err, EBADMSG, "the record of process %" PRIu64 " is impossible", rec_id);
		if (x == 0) {
			r->n_tasks = n + 1;
			x = load_task(r, &r->tasks[n], err);
		}
		if (x == 0)
			x = plan(r, n, err);
		if (x == 0 && !r->tasks[n].zombie)
			x = check_extents(r, &r->tasks[n], err);
		if (x == 0)
			r->n_threads += r->tasks[n++].n_threads;
	}
	if (x == 0 && (n == 0 || r->tasks[0].rec->pid != m->root_pid))
		x = eng_fail(err, EBADMSG, "the image has no process %d", m->root_pid);
	return x;
}

void eng_restore_unload(struct eng_restore *r)
{
	for (size_t i = 0; i < r->n_tasks; i++) {
		for (size_t k = 0; r->tasks[i].threads && k < r->tasks[i].n_threads; k++)
			eng_batch_deinit(&r->tasks[i].threads[k].batch);
		free(r->tasks[i].threads);
		free(r->tasks[i].prot);
		if (r->tasks[i].task.pid)
			eng_task_close(&r->tasks[i].task);
	}
	free(r->tasks);
}
