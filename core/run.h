/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef CORE_RUN_H
#define CORE_RUN_H
/* One dump, restore or check: loaded plugins, what was found to stand in the way or to be let go of, memory that lives as long as the run. */
#include "core/image.h"
#include "core/include/engine/plugin.h"
#include "core/robust.h"
#include "core/task.h"

struct eng_run_plugin {
	struct eng_plugin desc; /* copied and zero-filled */
	void *handle;
	struct eng_ctx ctx;
};

struct eng_note {
	char *object, *text, *hint;
};

struct eng_stashed {
	const char *kind;
	uint64_t key;
	int fd;
};

struct eng_run_task_kind {
	struct eng_run_plugin *owner;
	const struct eng_task_kind *kind;
};

struct eng_undo_step {
	struct eng_undo_step *next;
	void (*fn)(void *data);
	void *data;
};

struct eng_dump;
struct eng_restore;

struct eng_run {
	struct eng_run_task_kind *task_kinds;
	size_t n_task_kinds;
	struct eng_task **tasks; /* live ones, parents first */
	size_t n_tasks;
	struct eng_image_writer *writer; /* dump */
	struct eng_image *image;         /* restore */
	struct eng_dump *dump;
	struct eng_restore *restore;
	struct eng_undo_step *undo;
	bool debug;
	struct eng_run_plugin *plugins;
	size_t n_plugins;
	struct eng_note *blockers, *losses;
	size_t n_blockers, n_losses;
	struct eng_stashed *stash;
	size_t n_stash;
	void **allocs;
	size_t n_allocs;
};

struct eng_result {
	uint64_t frozen_us, total_us, tasks, threads, pages_written, bytes_written;
	pid_t root_pid;
};

/* Loads the plugins of a directory; NULL: $ENGINE_PLUGIN_DIR or the built-in one. */
int eng_run_init(struct eng_run *run, const char *plugin_dir, struct eng_err *err);
void eng_run_deinit(struct eng_run *run);
const struct eng_file_kind *eng_run_file_kind(struct eng_run *run, const char *name, struct eng_run_plugin **ret_owner);
/* 1: claimed, 0: by nobody. Two claims at the same priority are an error. */
int eng_run_claim(struct eng_run *run, const struct eng_file *file, struct eng_run_plugin **ret_owner, const struct eng_file_kind **ret, struct eng_err *err);

/* Hand malloc'ed memory to the run. */
void eng_run_own(struct eng_run *run, void *p);
/* Whether a kind or capability of that name is loaded. */
bool eng_run_keeps(const struct eng_run *run, const char *capability);
const ProtobufCMessageDescriptor *eng_run_descriptor(const struct eng_run *run, const char *kind);
/* Run the undo list, newest first. */
void eng_run_undo(struct eng_run *run);

struct eng_dump_opts {
	pid_t pid;
	const char *dir;
	bool leave_running, leave_stopped, strict, check_only;
};
int eng_dump(struct eng_run *run, const struct eng_dump_opts *opts, struct eng_result *ret, struct eng_err *err);

struct eng_restore_opts {
	const char *dir;
	bool check_only;
	bool detach; /* the root becomes an orphan at once, not when the caller ends: that would be its parent's death */
};
/* Restores; the root is then a child of the caller (or of the reaper, .detach) and runs. */
int eng_restore(struct eng_run *run, const struct eng_restore_opts *opts, struct eng_result *ret, struct eng_err *err);
uint64_t eng_now_us(void);

#endif
