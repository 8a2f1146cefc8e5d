/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Credentials, which are a thread's own: ids, groups, the five capability sets, securebits, no_new_privs. Each thread sets its own by raw system calls; while
 * SECBIT_NO_SETUID_FIXUP is on, changing ids leaves capabilities alone, so that the order is free of surprises. Changing credentials clears the parent-death signal and
 * dumpability: those come in the final section, when all threads have theirs.
 */
#include <engine/plugin.h>

#include <inttypes.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "creds.pb-c.h"

struct asked {
	struct eng_buf pdeath;
	int securebits, dumpable, pdeath_op;
};

static int creds_query(const struct eng_ctx *ctx, struct eng_thread *t, void *scratch, struct eng_batch *b, struct eng_err *err)
{
	struct asked *a = scratch;

	a->pdeath = eng_batch_alloc(b, 8, 8);
	a->securebits = eng_op(b, "read securebits", 0, SYS_prctl, PR_GET_SECUREBITS);
	a->dumpable = eng_op(b, "read dumpability", 0, SYS_prctl, PR_GET_DUMPABLE);
	a->pdeath_op = eng_op(b, "read the parent-death signal", 0, SYS_prctl, PR_GET_PDEATHSIG, a->pdeath.addr);
	return 0;
}

static size_t numbers(const char *p, uint32_t *out, size_t max)
{
	size_t n = 0;

	while (p && n < max) {
		char *end;

		p += strspn(p, " \t");
		if (*p < '0' || *p > '9')
			break;
		out[n++] = (uint32_t)strtoul(p, &end, 10);
		p = end;
	}
	return n;
}

static uint64_t hex(const char *status, const char *key)
{
	const char *p = eng_text_field(status, key);

	return p ? strtoull(p, NULL, 16) : 0;
}

static int creds_collect(const struct eng_ctx *ctx, struct eng_thread *t, void *scratch, const struct eng_batch *b, ProtobufCMessage *record, struct eng_err *err)
{
	Creds__Creds *rec = (Creds__Creds *)record;
	const struct asked *a = scratch;
	char name[48], *status;
	const char *nnp;
	size_t len, max;
	int r;

	(void)snprintf(name, sizeof(name), "task/%d/status", eng_thread_tid(t));
	r = eng_task_read(eng_thread_task(t), name, &status, &len, err);
	if (r < 0)
		return r;
	max = len / 2;
	rec->uids = eng_alloc(ctx->run, 4 * sizeof(uint32_t));
	rec->gids = eng_alloc(ctx->run, 4 * sizeof(uint32_t));
	rec->groups = eng_alloc(ctx->run, max * sizeof(uint32_t));
	rec->n_uids = numbers(eng_text_field(status, "Uid"), rec->uids, 4);
	rec->n_gids = numbers(eng_text_field(status, "Gid"), rec->gids, 4);
	rec->n_groups = numbers(eng_text_field(status, "Groups"), rec->groups, max);
	rec->inheritable = hex(status, "CapInh");
	rec->permitted = hex(status, "CapPrm");
	rec->effective = hex(status, "CapEff");
	rec->bounding = hex(status, "CapBnd");
	rec->ambient = hex(status, "CapAmb");
	nnp = eng_text_field(status, "NoNewPrivs");
	rec->no_new_privs = nnp && *nnp == '1';
	rec->securebits = (uint32_t)eng_batch_result(b, a->securebits);
	rec->dumpable = (uint32_t)eng_batch_result(b, a->dumpable);
	rec->pdeath_signal = *(const uint32_t *)a->pdeath.ptr;
	return rec->n_uids == 4 && rec->n_gids == 4 ? 0 : eng_fail(err, EBADMSG, "cannot understand /proc/%d/%s", eng_task_pid(eng_thread_task(t)), name);
}

static int creds_check(const struct eng_ctx *ctx, pid_t tid, const ProtobufCMessage *record, struct eng_err *err)
{
	const Creds__Creds *rec = (const Creds__Creds *)record;
	struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct data[2];
	uint64_t missing, own;
	char object[32];

	if (rec->n_uids != 4 || rec->n_gids != 4 || rec->n_groups > 65536)
		return eng_fail(err, EBADMSG, "the record of its credentials is impossible");
	if (syscall(SYS_capget, &head, data) < 0)
		return eng_fail(err, errno, "cannot read the engine's capabilities");
	own = data[0].permitted | (uint64_t)data[1].permitted << 32;
	missing = (rec->permitted | rec->inheritable) & ~own;
	(void)snprintf(object, sizeof(object), "thread %d", tid);
	if (missing)
		eng_block(ctx->run, object, eng_printf(ctx->run, "has capabilities that the engine lacks (mask %#" PRIx64 ")", missing), "run the engine with them");
	return 0;
}

static void set_caps(struct eng_batch *b, const char *label, uint64_t permitted, uint64_t effective, uint64_t inheritable)
{
	struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct data[2] = { { (uint32_t)effective, (uint32_t)permitted, (uint32_t)inheritable },
						  { (uint32_t)(effective >> 32), (uint32_t)(permitted >> 32), (uint32_t)(inheritable >> 32) } };

	(void)eng_op(b, label, 0, SYS_capset, eng_batch_copy(b, &head, sizeof(head)).addr, eng_batch_copy(b, data, sizeof(data)).addr);
}

static int creds_restore(const struct eng_ctx *ctx, struct eng_thread *t, const ProtobufCMessage *record, struct eng_batch *b, struct eng_err *err)
{
	const Creds__Creds *rec = (const Creds__Creds *)record;
	const uint32_t *u = rec->uids, *g = rec->gids;
	int op;

	for (uint64_t cap = 0; cap < 64; cap++)
		if (!(rec->bounding >> cap & 1) && prctl(PR_CAPBSET_READ, cap) == 1)
			(void)eng_op(b, "drop a capability from the bounding set", 0, SYS_prctl, PR_CAPBSET_DROP, cap);
	(void)eng_op(b, "set groups", 0, SYS_setgroups, rec->n_groups, eng_batch_copy(b, rec->groups, rec->n_groups * sizeof(uint32_t)).addr);
	(void)eng_op(b, "keep capabilities for a moment", 0, SYS_prctl, PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP);
	(void)eng_op(b, "set group ids", 0, SYS_setresgid, g[0], g[1], g[2]);
	(void)eng_op(b, "set the file system's group id", 0, SYS_setfsgid, g[3]);
	(void)eng_op(b, "set user ids", 0, SYS_setresuid, u[0], u[1], u[2]);
	op = eng_op(b, "set the file system's user id", 0, SYS_setfsuid, u[3]);
	(void)op;
	set_caps(b, "set inheritable capabilities", rec->permitted | 1u << CAP_SETPCAP, 1u << CAP_SETPCAP, rec->inheritable);
	(void)eng_op(b, "clear ambient capabilities", 0, SYS_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL);
	for (uint64_t cap = 0; cap < 64; cap++)
		if (rec->ambient >> cap & 1)
			(void)eng_op(b, "raise an ambient capability", 0, SYS_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap);
	(void)eng_op(b, "set securebits", 0, SYS_prctl, PR_SET_SECUREBITS, rec->securebits);
	set_caps(b, "set capabilities", rec->permitted, rec->effective, rec->inheritable);
	if (rec->no_new_privs)
		(void)eng_op(b, "set no_new_privs", 0, SYS_prctl, PR_SET_NO_NEW_PRIVS, 1);
	return 0;
}

static const struct eng_task_kind creds_kind = {
	.size = sizeof(creds_kind), .name = "task/creds", .scope = ENG_SCOPE_THREAD, .section = ENG_SECT_CREDS, .record = &creds__creds__descriptor,
	.scratch_size = sizeof(struct asked), .query = creds_query, .collect = creds_collect, .check = creds_check, .restore = creds_restore,
};

/* The part that changing credentials resets. It reads the same state again: a kind has one section. */
static int after_restore(const struct eng_ctx *ctx, struct eng_thread *t, const ProtobufCMessage *record, struct eng_batch *b, struct eng_err *err)
{
	const Creds__Creds *rec = (const Creds__Creds *)record;

	if (rec->pdeath_signal)
		(void)eng_op(b, "set the parent-death signal", 0, SYS_prctl, PR_SET_PDEATHSIG, rec->pdeath_signal);
	if (eng_thread_is_leader(t) && rec->dumpable <= 1)
		(void)eng_op(b, "set dumpability", 0, SYS_prctl, PR_SET_DUMPABLE, rec->dumpable);
	else if (eng_thread_is_leader(t))
		eng_lose(ctx->run, "dumpability", "was \"root only\" (2), which only the kernel can set");
	return 0;
}

static const struct eng_task_kind after_kind = {
	.size = sizeof(after_kind), .name = "task/creds-after", .scope = ENG_SCOPE_THREAD, .section = ENG_SECT_FINAL, .record = &creds__creds__descriptor,
	.scratch_size = sizeof(struct asked), .query = creds_query, .collect = creds_collect, .restore = after_restore,
};

static const struct eng_plugin creds_plugin = {
	ENG_PLUGIN_HEAD, .name = "creds", .version = "1",
	.summary = "user and group ids, groups, capability sets, securebits, no_new_privs, parent-death signal, dumpability; per thread",
	.not_kept = "capabilities that the engine itself lacks; user namespaces; keyrings", .task_kinds = ENG_LIST(&creds_kind, &after_kind),
};
ENG_PLUGIN_EXPORT(creds_plugin);
