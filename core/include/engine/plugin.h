/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef ENGINE_PLUGIN_H
#define ENGINE_PLUGIN_H
/*
 * The plugin interface: everything a plugin may use, and everything it can provide.
 *
 * A plugin is one shared object that exports one `const struct eng_plugin` (ENG_PLUGIN_EXPORT). It describes the kinds of kernel
 * object it keeps; the core walks tasks, fds and mappings and calls the kind that claims each. All callbacks run in the engine's
 * own process, on the thread that traces the target, one at a time. What only the target itself can do (a system call in its
 * context) is appended to a batch: an array of system calls that a tiny interpreter executes inside the task.
 *
 * Lifecycle of a dump:
 *	init → plan → [targets run] claim + dump of every object as a rehearsal (eng_ctx.rehearsal), result thrown away
 *	     → freeze: pause → tasks stopped → per task: query (append to batch) → batch runs in the task → collect
 *	     → per fd: fd_seen, claim, dump → memory → records written → resume → deinit
 * and of a restore:
 *	init → check (every record, before anything is created) → open (all) → connect (all) → fill (all) → tasks created
 *	     → late open → per task: restore (append to batch, by section) → batches run → finish → resume → deinit
 *
 * Errors: return a negative value from eng_fail(). A dump that fails leaves the target running as it was; a restore that fails
 * kills what it made. Side effects outside the tasks are registered with eng_undo() before they are made.
 */

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include <protobuf-c/protobuf-c.h>

#include <engine/err.h>
#include <engine/util.h>

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default)

#define ENG_PLUGIN_ABI 1u

struct eng_run;    /* one dump, restore or check */
struct eng_task;   /* a process */
struct eng_thread; /* one of its threads */
struct eng_batch;  /* system calls to be made by one thread */

/* What every callback receives: the plugin's own state and configuration in this run. */
struct eng_ctx {
	struct eng_run *run;
	void *state;      /* .state_size bytes, zeroed at the start of the run, freed at its end */
	const void *conf; /* .conf_size bytes, filled from .options */
	bool rehearsal;   /* dump only: targets are running, results are thrown away, only blockers count */
};

/* ------------------------------------------------------------------------------------------------ options */

/* Types of an option are spelled by the parser that fills the field. */
enum eng_option_type {
	ENG_OPTION_BOOL,   /* bool: yes/no/true/false/1/0 */
	ENG_OPTION_UINT,   /* uint64_t: decimal, min..max */
	ENG_OPTION_SIZE,   /* uint64_t bytes: 4096, 64K, 1M, 2G; min..max */
	ENG_OPTION_STRING, /* const char *, owned by the configuration */
	ENG_OPTION_ENUM,   /* unsigned: index into .choices */
};

/* One configuration key of a section `[plugin NAME]`. A table ends with an entry whose key is NULL. */
struct eng_option {
	const char *key;
	enum eng_option_type type;
	size_t offset;              /* into the conf struct */
	const char *value;          /* default, as it would be written in the file */
	const char *help;           /* one line */
	uint64_t min, max;          /* UINT and SIZE; max 0: no limit */
	const char *const *choices; /* ENUM: NULL-terminated */
};
#define ENG_OPTION(k, t, conf, field, def, text, ...) \
	{ .key = (k), .type = (t), .offset = offsetof(conf, field), .value = (def), .help = (text), ##__VA_ARGS__ }

/* ------------------------------------------------------------------------------------------------ batches */

/* A piece of memory that both the engine and the task can reach. */
struct eng_buf {
	void *ptr;     /* in the engine; zeroed */
	uint64_t addr; /* the same bytes as the task addresses them */
};

#define ENG_OP_IGNORE (1u << 0) /* go on when the call fails; the result says what happened */
#define ENG_OP_EXPECT (1u << 1) /* the result must equal the expected value given with eng_op_expect() */

/*
 * Append one system call. label: static text used in errors ("cannot LABEL"), e.g. "set signal handler".
 * Arguments are converted to uint64_t. Returns the index of the operation. Lack of memory is remembered in the batch and
 * reported when it is run, so callers need not check.
 */
int eng_op_args(struct eng_batch *b, const char *label, unsigned flags, long nr, const uint64_t arg[6]);
#define eng_op(b, label, flags, nr, ...) \
	eng_op_args((b), (label), (flags), (nr), (const uint64_t[6]){ __VA_ARGS__ })
#define ENG_ADDR(x) ((uint64_t)(uintptr_t)(x))

/* Argument `argno` of operation `op` becomes the result of the earlier operation `source` of the same batch. */
void eng_op_use_result(struct eng_batch *b, int op, unsigned argno, int source);

/* With ENG_OP_EXPECT: the result that operation `op` must have. */
void eng_op_expect(struct eng_batch *b, int op, int64_t value);

/* Memory for arguments and results of this batch; lives as long as the batch. align: a power of two up to 4096. */
struct eng_buf eng_batch_alloc(struct eng_batch *b, size_t size, size_t align);

/* Same, filled with a copy of data. */
struct eng_buf eng_batch_copy(struct eng_batch *b, const void *data, size_t size);

/* After the batch ran: what the kernel returned for operation `op` (negative errno on failure). */
int64_t eng_batch_result(const struct eng_batch *b, int op);

/* ------------------------------------------------------------------------------------------------ tasks */

pid_t eng_task_pid(const struct eng_task *task);         /* as the engine sees it */
int eng_task_procfd(const struct eng_task *task);        /* dump: O_DIRECTORY fd of /proc/PID; restore: -EBADF until tasks exist */
int eng_task_pidfd(const struct eng_task *task);         /* pidfd, or -EBADF */
struct eng_thread *eng_task_leader(struct eng_task *task);
pid_t eng_thread_tid(const struct eng_thread *thread);
struct eng_task *eng_thread_task(const struct eng_thread *thread);
bool eng_thread_is_leader(const struct eng_thread *thread);

/* The task of this run with that pid, or NULL. */
struct eng_task *eng_run_task(struct eng_run *run, pid_t pid);
/* Calls fn for each live task in tree order (parents first); stops at the first nonzero return and returns it. */
int eng_run_each_task(struct eng_run *run, int (*fn)(struct eng_task *task, void *data), void *data);

/* Read a whole small file under /proc/PID of the task into a NUL-terminated buffer that lives as long as the run.
 * name: relative to /proc/PID, e.g. "status" or "task/12/comm". Returns 0 or a negative errno. */
int eng_task_read(struct eng_task *task, const char *name, char **ret_text, size_t *ret_len, struct eng_err *err);

/* The value of a "Key:\tvalue" line in such a text: pointer into text at the value, or NULL. key without the colon. */
const char *eng_text_field(const char *text, const char *key);

/* ------------------------------------------------------------------------------------------------ services */

/* Memory that lives as long as the run; zeroed; never NULL (the run is aborted cleanly when memory is short at the next step). */
void *eng_alloc(struct eng_run *run, size_t size);
char *eng_strdup(struct eng_run *run, const char *text);
char *eng_printf(struct eng_run *run, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Debug log of this plugin (topic = plugin name); arguments are not evaluated into text unless the level is on. */
void eng_debug(const struct eng_ctx *ctx, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Dump, check: this object cannot be kept. Collected, so that all blockers are listed at once; the dump is refused before
 * anything is frozen. object: "pid 12 fd 3 (socket:[77])", why: "established TCP connection", remedy: what to do, or NULL. */
void eng_block(struct eng_run *run, const char *object, const char *why, const char *remedy);

/* Dump, restore: something is let go of, by policy. It becomes a line of the fidelity report; an error with --strict. */
void eng_lose(struct eng_run *run, const char *object, const char *what);

/* Dump: write one more record of this kind. kind: a record kind named in .records of the plugin. id: the plugin's numbering. */
int eng_record(const struct eng_ctx *ctx, const char *kind, uint64_t id, const ProtobufCMessage *msg, struct eng_err *err);

/* Restore: the decoded record, valid for the run; NULL if the image has none. */
const ProtobufCMessage *eng_find_record(struct eng_run *run, const char *kind, uint64_t id);

/* Dump: store `size` bytes of the file `fd` from offset 0 as bulk data, holes kept (SEEK_DATA); *ret_blob names it in records.
 * The fd's position is not touched. Restore: write it into `fd` at offset 0 and set the size. */
int eng_blob_save(struct eng_run *run, int fd, uint64_t size, uint64_t *ret_blob, struct eng_err *err);
int eng_blob_load(struct eng_run *run, uint64_t blob, int fd, struct eng_err *err);

/* Restore: keep an fd under a key until another object asks for it (the other end of a pipe or socketpair). eng_stash_put takes
 * the fd. eng_stash_take returns it, or -ENOENT. What nobody took is closed before tasks run. */
void eng_stash_put(struct eng_run *run, const char *kind, uint64_t key, int fd);
int eng_stash_take(struct eng_run *run, const char *kind, uint64_t key);

/* Register the undo of a side effect before making it: fn(data) runs, in reverse order, when the run fails. */
void eng_undo(struct eng_run *run, void (*fn)(void *data), void *data);

/* Dump: the id under which the open file description behind fd `nr` of `task` is (or will be) recorded; claims and dumps it if
 * that has not happened. Restore: the engine's fd of that description (not to be closed), or -ENOENT. */
int eng_file_of(struct eng_run *run, struct eng_task *task, int nr, uint64_t *ret_id, struct eng_err *err);
/* Dump: the same for an fd that the engine itself holds (received from a queue, say); the fd is duplicated, not taken. */
int eng_file_adopt(struct eng_run *run, int fd, uint64_t *ret_id, struct eng_err *err);
int eng_file_fd(struct eng_run *run, uint64_t id);

/* ------------------------------------------------------------------------------------------------ files */

/* Dump: one open file description of the target. */
struct eng_file {
	uint64_t id;
	int fd;              /* the engine's duplicate (pidfd_getfd(2)): shares the description with the target, so change nothing */
	struct stat st;
	const char *link;    /* text of the /proc/PID/fd link: "/tmp/x (deleted)", "pipe:[12]", "anon_inode:[eventfd]" */
	const char *fdinfo;  /* whole text of /proc/PID/fdinfo/N */
	unsigned flags;      /* from fdinfo: access mode and status flags, O_CLOEXEC removed */
	uint64_t pos;
	int mnt_id;
	struct eng_task *task; /* where it was first seen; NULL for adopted ones */
	int nr;                /* its number there; -1 for a file that is only mapped */
	int sock_family, sock_type, sock_proto; /* sockets; else -1 */
	bool mapped_only;    /* no fd: the file behind a mapping, opened through map_files */
};

/* Restore: what the core keeps about each. */
struct eng_file_info {
	uint64_t id;
	const char *kind;
	unsigned flags;
	uint64_t pos;
	bool mapped_only;
	pid_t pid; /* first owner and number there, for messages */
	int nr;
};

/*
 * A kind of file. claim decides by looking at the file (return 1 to claim, 0 not, <0 error); .anon_inode and .sock_family are shortcuts: where
 * set (and claim is NULL) they decide alone. Exactly one kind may claim; two claims at the same .priority are an error.
 */
struct eng_file_kind {
	size_t size;                                /* sizeof(struct eng_file_kind) */
	const char *name;                           /* "fd/eventfd"; also the record kind in the image */
	int priority;                               /* higher wins; 0 is usual */
	const char *anon_inode;                     /* "[eventfd]" */
	int sock_family;                            /* AF_…; 0: not a socket */
	const ProtobufCMessageDescriptor *record;
	bool seekable;                              /* the core restores the position with lseek */
	bool flags_set_by_open;                     /* the core does not F_SETFL after open */
	bool late;                                  /* open only after the tasks exist (needs their pids) */

	int (*claim)(const struct eng_ctx *ctx, const struct eng_file *file, struct eng_err *err);
	/* Fill *record (already initialised). Strings and arrays from eng_alloc()/eng_strdup() or static. */
	int (*dump)(const struct eng_ctx *ctx, const struct eng_file *file, ProtobufCMessage *record, struct eng_err *err);
	/* Restore, before anything exists: report what would fail, with eng_block(). Optional. */
	int (*check)(const struct eng_ctx *ctx, const struct eng_file_info *info, const ProtobufCMessage *record, struct eng_err *err);
	/* Create the object. *ret_fd: a close-on-exec fd that the core owns from then on. */
	int (*open)(const struct eng_ctx *ctx, const struct eng_file_info *info, const ProtobufCMessage *record, int *ret_fd, struct eng_err *err);
	/* Link it to others (all are open now). Optional. */
	int (*connect)(const struct eng_ctx *ctx, const struct eng_file_info *info, const ProtobufCMessage *record, int fd, struct eng_err *err);
	/* Put queued data in. Optional. */
	int (*fill)(const struct eng_ctx *ctx, const struct eng_file_info *info, const ProtobufCMessage *record, int fd, struct eng_err *err);
	/* Append operations after fd `nr` was placed in `task` (e.g. controlling terminal). Optional. */
	int (*place)(const struct eng_ctx *ctx, const struct eng_file_info *info, const ProtobufCMessage *record,
		     struct eng_task *task, int nr, struct eng_batch *b, struct eng_err *err);
};

/* ------------------------------------------------------------------------------------------------ mappings */

/* One line of /proc/PID/maps with what smaps adds. */
struct eng_vma {
	uint64_t start, end, pgoff; /* pgoff in bytes */
	unsigned prot;              /* PROT_* */
	bool shared;
	dev_t dev;
	ino_t ino;
	const char *name;    /* path, "[heap]", "" … */
	const char *vmflags; /* two-letter flags of smaps, "rd wr mr mw me ac " */
};

/* A kind of mapping that is neither private anonymous memory nor a mapping of a file that some file kind keeps. Asked first. */
struct eng_map_kind {
	size_t size;
	const char *name; /* "map/aio" */
	int priority;
	const ProtobufCMessageDescriptor *record;
	int (*claim)(const struct eng_ctx *ctx, struct eng_task *task, const struct eng_vma *vma, struct eng_err *err);
	int (*dump)(const struct eng_ctx *ctx, struct eng_task *task, const struct eng_vma *vma, ProtobufCMessage *record, struct eng_err *err);
	/* Append the operations that create the mapping at exactly vma->start. */
	int (*restore)(const struct eng_ctx *ctx, struct eng_task *task, const struct eng_vma *vma, const ProtobufCMessage *record,
		       struct eng_batch *b, struct eng_err *err);
};

/* ------------------------------------------------------------------------------------------------ task state */

enum eng_scope { ENG_SCOPE_PROCESS, ENG_SCOPE_THREAD };

/* When, within the restore batch of a thread, a kind's operations run. */
enum eng_section {
	ENG_SECT_MEMORY,  /* address space is complete */
	ENG_SECT_FILES,   /* after fds are in place */
	ENG_SECT_FS,      /* cwd, root, umask */
	ENG_SECT_SIGNALS,
	ENG_SECT_TIMERS,
	ENG_SECT_SCHED,
	ENG_SECT_CREDS,   /* from here on privileges may be gone */
	ENG_SECT_SECCOMP,
	ENG_SECT_FINAL,
	_ENG_SECT_MAX,
};

/* State of a process or of each thread: one record a process or thread, id = pid or tid. */
struct eng_task_kind {
	size_t size;
	const char *name; /* "task/creds" */
	enum eng_scope scope;
	enum eng_section section;
	const ProtobufCMessageDescriptor *record;
	size_t scratch_size; /* zeroed memory handed to query and collect of the same thread */

	/* Dump. query appends system calls that the thread makes for us; optional. collect reads results, /proc, ptrace, and fills
	 * the record; it returns 1 if the state is a new process's and needs no record. In a rehearsal only rehearse runs, if given, to find
	 * blockers in a running task (its thread is not stopped). */
	int (*query)(const struct eng_ctx *ctx, struct eng_thread *t, void *scratch, struct eng_batch *b, struct eng_err *err);
	int (*collect)(const struct eng_ctx *ctx, struct eng_thread *t, void *scratch, const struct eng_batch *b, ProtobufCMessage *record,
		       struct eng_err *err);
	int (*rehearse)(const struct eng_ctx *ctx, struct eng_thread *t, struct eng_err *err);

	/* Restore. check: before anything exists. restore: append operations. finish: in the engine, with the thread stopped under ptrace just before
	 * it is let go. All optional. */
	int (*check)(const struct eng_ctx *ctx, pid_t tid, const ProtobufCMessage *record, struct eng_err *err);
	int (*restore)(const struct eng_ctx *ctx, struct eng_thread *t, const ProtobufCMessage *record, struct eng_batch *b, struct eng_err *err);
	int (*finish)(const struct eng_ctx *ctx, struct eng_thread *t, const ProtobufCMessage *record, struct eng_err *err);
};

/* A further record kind written with eng_record(). */
struct eng_record_kind {
	const char *name;
	const ProtobufCMessageDescriptor *record;
};

/* ------------------------------------------------------------------------------------------------ the plugin */

struct eng_plugin {
	uint32_t abi;  /* ENG_PLUGIN_ABI */
	uint32_t size; /* sizeof(struct eng_plugin): the loader zero-fills what an older plugin does not have */
	const char *name, *version;
	const char *summary;            /* one line: what is kept */
	const char *not_kept;           /* one line: what is not, for `engine plugins` and the README; may be NULL */
	const char *const *provides;    /* capability names, NULL-terminated */
	const char *const *after;       /* capabilities whose providers come first where loaded */
	const char *const *needs;       /* capabilities that must be provided */
	size_t state_size;
	size_t conf_size;
	const struct eng_option *options;

	const struct eng_file_kind *const *file_kinds; /* NULL-terminated lists */
	const struct eng_map_kind *const *map_kinds;
	const struct eng_task_kind *const *task_kinds;
	const struct eng_record_kind *records; /* ends with name NULL */

	int (*init)(const struct eng_ctx *ctx, struct eng_err *err);
	void (*deinit)(const struct eng_ctx *ctx);
	/* Dump, broadcast: every (task, fd number, description), after the description was claimed. */
	int (*fd_seen)(const struct eng_ctx *ctx, struct eng_task *task, int nr, const struct eng_file *file, struct eng_err *err);
	/* Broadcasts around the freeze: pause before, resume after (also on failure; must be idempotent). */
	int (*pause)(const struct eng_ctx *ctx, struct eng_err *err);
	void (*resume)(const struct eng_ctx *ctx);
	/* Dump: everything was collected; last chance to write records (tables shared by tasks) and to fail. In a rehearsal: everything was seen. */
	int (*collected)(const struct eng_ctx *ctx, struct eng_err *err);
	/* Restore: all tasks exist and are complete, just before they are let go. */
	int (*restored)(const struct eng_ctx *ctx, struct eng_err *err);
};

#define ENG_PLUGIN_HEAD .abi = ENG_PLUGIN_ABI, .size = sizeof(struct eng_plugin)
#define ENG_LIST(...) (const void *)(const void *const[]){ __VA_ARGS__, NULL }
#define ENG_NAMES(...) (const char *const[]){ __VA_ARGS__, NULL }
#define ENG_PLUGIN_EXPORT(p) \
	__attribute__((visibility("default"))) extern const struct eng_plugin *const eng_plugin_entry; \
	const struct eng_plugin *const eng_plugin_entry = &(p)

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif
#endif
