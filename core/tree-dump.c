/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The tree: every descendant of the root, by /proc/PID/task/TID/children (Linux 3.5). A frozen process creates no children, so once a pass over frozen
 * processes finds nothing new the tree is complete; orphans that move to a reaper inside the tree are found by the next pass.
 */
#include "core/dump.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "core/io.h"

static void free_task(struct eng_dump_task *t)
{
	eng_task_thaw(&t->task);
	eng_task_close(&t->task);
	free(t->threads);
	free(t->vmas);
	free(t->extents.list);
	free(t);
}

void eng_dump_forget_tree(struct eng_dump *d)
{
	for (size_t i = d->n_tasks; i-- > 0;) /* children first: a parent that runs may wait for them */
		free_task(d->tasks[i]);
	free(d->tasks);
	d->tasks = NULL;
	d->n_tasks = 0;
	d->run->n_tasks = 0;
}

/* Counting starts behind the last ')': the name may contain anything. */
int eng_dump_read_stat(struct eng_dump_task *t, struct eng_err *err)
{
	_cleanup_free_ char *text = NULL;
	char *open, *p;
	int r = eng_read_file_at(t->task.procfd, "stat", &text, NULL);

	if (r < 0)
		return r == -ENOENT || r == -ESRCH ? ENG_TASK_GONE : eng_fail(err, -r, "cannot read /proc/%d/stat", t->task.pid);
	open = strchr(text, '(');
	p = strrchr(text, ')');
	if (!open || !p || strlen(p) < 4)
		return eng_fail(err, EBADMSG, "cannot understand /proc/%d/stat", t->task.pid);
	(void)snprintf(t->comm, sizeof(t->comm), "%.*s", (int)(p - open - 1), open + 1);
	t->state = p[2];
	for (int field = 2; p && field < 53; field++) {
		p = strchr(p, ' ');
		if (!p)
			break;
		p++;
		t->stat[field + 1] = strtoull(p, NULL, 10);
	}
	return 0;
}

static bool known(const struct eng_dump *d, pid_t pid)
{
	for (size_t i = 0; i < d->n_tasks; i++)
		if (d->tasks[i]->task.pid == pid)
			return true;
	return false;
}

static int open_dead(struct eng_dump_task *t, struct eng_err *err)
{
	char path[32];

	(void)snprintf(path, sizeof(path), "/proc/%d", t->task.pid);
	t->task.procfd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (t->task.procfd < 0)
		return ENG_TASK_GONE;
	return eng_dump_read_stat(t, err);
}

/* An exec between opening and stopping gave the process another address space: the handle of its memory is opened again. */
static int freeze(struct eng_dump_task *t, struct eng_err *err)
{
	int r = eng_task_freeze(&t->task, 2000, err);

	if (r != 0)
		return r;
	eng_closep(&t->task.memfd);
	t->task.memfd = openat(t->task.procfd, "mem", O_RDWR | O_CLOEXEC);
	return t->task.memfd < 0 ? eng_fail(err, errno, "cannot open memory of %d", t->task.pid) : 0;
}

static int open_task(struct eng_dump *d, struct eng_dump_task *t, pid_t pid, struct eng_err *err)
{
	int r;

	t->task = (struct eng_task){ .pid = pid, .pidfd = -EBADF, .procfd = -EBADF, .memfd = -EBADF };
	r = open_dead(t, err);
	if (r == 0 && t->state == 'Z') {
		t->zombie = true;
		t->task.run = d->run;
		return 0;
	}
	eng_closep(&t->task.procfd);
	if (r == 0)
		r = eng_task_open(pid, &t->task, err);
	if (r == 0)
		t->task.run = d->run;
	if (r == 0 && d->frozen)
		r = freeze(t, err);
	if (r == 0)
		r = eng_dump_read_stat(t, err);
	return r;
}

/* ENG_TASK_GONE: it ended meanwhile. */
static int add_task(struct eng_dump *d, pid_t pid, struct eng_dump_task *parent, struct eng_err *err)
{
	struct eng_dump_task **p = realloc(d->tasks, (d->n_tasks + 1) * sizeof(*p)), *t;
	int r;

	if (!p)
		return eng_fail(err, ENOMEM, "cannot list processes");
	d->tasks = p;
	t = calloc(1, sizeof(*t));
	if (!t)
		return eng_fail(err, ENOMEM, "cannot list processes");
	t->parent = parent;
	r = open_task(d, t, pid, err);
	if (r < 0 && parent && (err->code == ESRCH || err->code == ECHILD)) {
		eng_err_clear(err); /* it died while it was being stopped; the next pass finds a zombie or nothing */
		r = ENG_TASK_GONE;
	}
	if (r != 0) {
		free_task(t);
		return r;
	}
	d->tasks[d->n_tasks++] = t;
	return 0;
}

static int add_children(struct eng_dump *d, struct eng_dump_task *t, const char *tid, size_t *found, struct eng_err *err)
{
	_cleanup_free_ char *text = NULL;
	char name[300], *save = NULL;
	int r = 0;

	(void)snprintf(name, sizeof(name), "task/%s/children", tid);
	if (eng_read_file_at(t->task.procfd, name, &text, NULL) < 0)
		return 0;
	for (char *w = strtok_r(text, " \n", &save); w && r >= 0; w = strtok_r(NULL, " \n", &save)) {
		pid_t pid = (pid_t)atoi(w);

		if (pid <= 0 || known(d, pid))
			continue;
		r = add_task(d, pid, t, err);
		if (r != ENG_TASK_GONE)
			(*found)++;
	}
	return r < 0 ? r : 0;
}

static int scan_task(struct eng_dump *d, struct eng_dump_task *t, size_t *found, struct eng_err *err)
{
	int fd = openat(t->task.procfd, "task", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *ent;

	if (!dir) {
		eng_closep(&fd);
		return 0; /* gone: the rehearsal sees running processes */
	}
	while (r == 0 && (ent = readdir(dir)))
		if (ent->d_name[0] != '.')
			r = add_children(d, t, ent->d_name, found, err);
	(void)closedir(dir);
	return r;
}

int eng_dump_tree(struct eng_dump *d, pid_t root, struct eng_err *err)
{
	size_t found;
	int r;

	eng_dump_forget_tree(d);
	r = add_task(d, root, NULL, err);
	if (r == ENG_TASK_GONE)
		return eng_fail(err, ESRCH, "process %d", root);
	do {
		found = 0;
		for (size_t i = 0; r == 0 && i < d->n_tasks; i++)
			r = scan_task(d, d->tasks[i], &found, err);
	} while (r == 0 && found);
	if (r < 0)
		return r;
	free(d->run->tasks);
	d->run->tasks = calloc(d->n_tasks, sizeof(*d->run->tasks));
	if (!d->run->tasks)
		return eng_fail(err, ENOMEM, "cannot list processes");
	for (size_t i = 0; i < d->n_tasks; i++)
		if (!d->tasks[i]->zombie)
			d->run->tasks[d->run->n_tasks++] = &d->tasks[i]->task;
	return 0;
}
