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

struct eng_run {
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

struct eng_dump_opts {
	pid_t pid;
	const char *dir;
	bool leave_running, strict, check_only;
};
int eng_dump(struct eng_run *run, const struct eng_dump_opts *opts, struct eng_result *ret, struct eng_err *err);
uint64_t eng_now_us(void);

#endif
