/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The command line. */
#include "core/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/io.h"
#include "core/run.h"

static const char usage[] =
	"engine [--json] [--strict] VERB …\n"
	"  dump -t PID -D DIR [--leave-running|--leave-stopped]\n"
	"                                         save a process and its children into DIR; they are killed when the image is complete\n"
	"  restore -D DIR [--detach] [--pidfile FILE]\n"
	"                                         bring them back; without --detach wait for the root and exit with its status\n"
	"  check -D DIR                           list what stands in the way of restoring DIR\n"
	"  check -t PID                           list everything that stands in the way of dumping PID; nothing is frozen\n"
	"  verify DIR                             verify every byte of an image\n"
	"  plugins                                list the kinds of file that are kept\n";

struct args {
	const char *verb, *dir, *operand;
	pid_t pid;
	bool json, strict, leave_running, leave_stopped, detach;
	const char *pidfile;
};

static int parse(int argc, char **argv, struct args *a)
{
	static const struct option options[] = {
		{ "tree", required_argument, NULL, 't' }, { "dir", required_argument, NULL, 'D' }, { "json", no_argument, NULL, 'j' },
		{ "strict", no_argument, NULL, 's' }, { "leave-running", no_argument, NULL, 'R' }, { "leave-stopped", no_argument, NULL, 'S' },
		{ "detach", no_argument, NULL, 'd' }, { "pidfile", required_argument, NULL, 'p' }, { "help", no_argument, NULL, 'h' }, { 0 },
	};
	char *end;
	long pid;
	int c;

	while ((c = getopt_long(argc, argv, "t:D:h", options, NULL)) != -1) {
		switch (c) {
		case 't':
			pid = strtol(optarg, &end, 10);
			if (pid <= 0 || pid > INT32_MAX || *end) {
				(void)fprintf(stderr, "engine: \"%s\" is not a pid\n", optarg);
				return 2;
			}
			a->pid = (pid_t)pid;
			break;
		case 'D': a->dir = optarg; break;
		case 'j': a->json = true; break;
		case 's': a->strict = true; break;
		case 'R': a->leave_running = true; break;
		case 'S': a->leave_stopped = true; break;
		case 'd': a->detach = true; break;
		case 'p': a->pidfile = optarg; break;
		case 'h': (void)fputs(usage, stdout); return -1;
		default: return 2;
		}
	}
	a->verb = optind < argc ? argv[optind] : NULL;
	a->operand = optind + 1 < argc ? argv[optind + 1] : NULL;
	if (!a->verb || optind + 2 < argc) {
		(void)fputs(usage, stderr);
		return 2;
	}
	return 0;
}

static json_t *notes(const struct eng_note *list, size_t n)
{
	json_t *array = json_array();

	for (size_t i = 0; i < n; i++)
		(void)json_array_append_new(array, json_pack("{s:s,s:s,s:s?}", "object", list[i].object, "text", list[i].text, "hint", list[i].hint));
	return array;
}

static void print_result(const struct args *a, const struct eng_run *run, const struct eng_result *res, int r, const struct eng_err *err)
{
	if (a->json) {
		json_t *o = json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:o,s:o}", "frozen_us", (json_int_t)res->frozen_us, "total_us", (json_int_t)res->total_us,
				      "tasks", (json_int_t)res->tasks, "threads", (json_int_t)res->threads, "pages_written", (json_int_t)res->pages_written,
				      "bytes_written", (json_int_t)res->bytes_written, "blockers", notes(run->blockers, run->n_blockers), "losses",
				      notes(run->losses, run->n_losses));
		if (r < 0)
			(void)json_object_set_new(o, "error", json_pack("{s:i,s:s,s:s}", "code", err->code, "message", err->msg, "hint", err->hint));
		(void)json_dumpf(o, stdout, JSON_INDENT(2));
		(void)fputc('\n', stdout);
		json_decref(o);
		return;
	}
	for (size_t i = 0; i < run->n_blockers; i++)
		(void)printf("blocker: %s %s%s%s\n", run->blockers[i].object, run->blockers[i].text, run->blockers[i].hint ? " — " : "",
			     run->blockers[i].hint ?: "");
	for (size_t i = 0; i < run->n_losses; i++)
		(void)printf("not kept: %s: %s\n", run->losses[i].object, run->losses[i].text);
	if (r == 0 && strcmp(a->verb, "dump") == 0)
		(void)printf("dumped process %d: %llu processes, %llu threads, %llu pages, frozen %llu us, total %llu us\n", res->root_pid,
			     (unsigned long long)res->tasks, (unsigned long long)res->threads, (unsigned long long)res->pages_written, (unsigned long long)res->frozen_us, (unsigned long long)res->total_us);
	if (r == 0 && strcmp(a->verb, "restore") == 0)
		(void)printf("restored process %d: %llu processes, %llu threads, total %llu us\n", res->root_pid, (unsigned long long)res->tasks,
			     (unsigned long long)res->threads, (unsigned long long)res->total_us);
	if (r == 0 && strcmp(a->verb, "check") == 0)
		(void)printf(a->pid ? "process %d can be dumped\n" : "process %d can be restored\n", res->root_pid);
	(void)fflush(stdout);
}

static int verify(const struct args *a, struct eng_err *err)
{
	struct eng_image *img;
	int r = eng_image_open(a->operand, &img, err);

	if (r < 0)
		return r;
	r = eng_image_verify_data(img, err);
	if (r == 0 && a->json)
		(void)printf("{\"records\": %zu, \"data_bytes\": %llu}\n", eng_image_count(img), (unsigned long long)eng_image_data_size(img));
	else if (r == 0)
		(void)printf("%s: whole (%zu records, %llu bytes of data)\n", a->operand, eng_image_count(img), (unsigned long long)eng_image_data_size(img));
	eng_image_close(img);
	return r;
}

static int need(const struct args *a, bool pid, bool dir, struct eng_err *err)
{
	if (pid && !a->pid)
		return eng_fail(err, 0, "%s needs -t PID", a->verb);
	if (dir && !a->dir)
		return eng_fail(err, 0, "%s needs -D DIR", a->verb);
	return 0;
}

static int write_pidfile(const char *path, pid_t pid, struct eng_err *err)
{
	char text[16];
	int n = snprintf(text, sizeof(text), "%d\n", pid), fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	int r = fd < 0 ? -errno : eng_write_full(fd, text, (size_t)n);

	if (fd >= 0)
		(void)close(fd);
	return r < 0 ? eng_fail(err, -r, "the tree runs, but its pid %d cannot be written to %s", pid, path) : 0;
}

/* Stand in for the tree's parent: pass its end on as our own. */
static int wait_root(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return 0;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static int restore(const struct args *a, struct eng_run *run, int *ret_status, struct eng_err *err)
{
	struct eng_restore_opts opts = { .dir = a->dir, .detach = a->detach, .check_only = strcmp(a->verb, "check") == 0 };
	struct eng_result res = { 0 };
	int r = eng_restore(run, &opts, &res, err);

	print_result(a, run, &res, r, err);
	if (r == 0 && a->pidfile && !opts.check_only)
		r = write_pidfile(a->pidfile, res.root_pid, err);
	if (r == 0 && !a->detach && !opts.check_only)
		*ret_status = wait_root(res.root_pid);
	return r;
}

static int with_plugins(const struct args *a, int *ret_status, struct eng_err *err)
{
	struct eng_dump_opts opts = { .pid = a->pid, .dir = a->dir, .leave_running = a->leave_running,
				      .leave_stopped = a->leave_stopped, .strict = a->strict,
				      .check_only = strcmp(a->verb, "check") == 0 };
	struct eng_result res = { 0 };
	struct eng_run run;
	int r = eng_run_init(&run, NULL, err);

	if (r < 0)
		return r;
	if (strcmp(a->verb, "plugins") == 0) {
		for (size_t i = 0; i < run.n_plugins; i++)
			(void)printf("%-10s %s%s%s\n", run.plugins[i].desc.name, run.plugins[i].desc.summary,
				     run.plugins[i].desc.not_kept ? "; not: " : "", run.plugins[i].desc.not_kept ?: "");
	} else if (strcmp(a->verb, "restore") == 0 || !a->pid) {
		r = restore(a, &run, ret_status, err);
	} else {
		r = eng_dump(&run, &opts, &res, err);
		print_result(a, &run, &res, r, err);
	}
	eng_run_deinit(&run);
	return r;
}

int eng_cli_main(int argc, char **argv)
{
	struct eng_err err = ENG_ERR_INIT;
	struct args a = { 0 };
	int status = 0, r = parse(argc, argv, &a);

	if (r != 0)
		return r < 0 ? 0 : r;
	if (strcmp(a.verb, "dump") == 0)
		r = need(&a, true, true, &err);
	else if (strcmp(a.verb, "restore") == 0)
		r = need(&a, false, true, &err);
	else if (strcmp(a.verb, "check") == 0)
		r = a.pid || a.dir ? 0 : eng_fail(&err, 0, "check needs -t PID or -D DIR");
	else if (strcmp(a.verb, "verify") == 0)
		r = a.operand ? 0 : eng_fail(&err, 0, "verify needs DIR");
	else if (strcmp(a.verb, "plugins") != 0)
		r = eng_fail(&err, 0, "there is no verb \"%s\" (engine --help lists them)", a.verb);
	if (r < 0) {
		(void)fprintf(stderr, "engine: %s\n", err.msg);
		return 2;
	}
	r = strcmp(a.verb, "verify") == 0 ? verify(&a, &err) : with_plugins(&a, &status, &err);
	if (r < 0) {
		(void)fprintf(stderr, "engine: %s\n", err.msg);
		if (err.hint[0])
			(void)fprintf(stderr, "  hint: %s\n", err.hint);
		return 1;
	}
	return status;
}
