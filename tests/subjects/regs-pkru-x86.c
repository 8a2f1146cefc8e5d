/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Memory protection keys: the rights register, the keys a process owns, and the key of a mapping. */
#include <setjmp.h>

#include "subject.h"

static sigjmp_buf out;
static volatile int fault_key;

static void on_segv(int sig, siginfo_t *si, void *ctx)
{
	fault_key = (int)si->si_pkey;
	siglongjmp(out, 1);
}

int main(int argc, char **argv)
{
	const struct sigaction sa = { .sa_sigaction = on_segv, .sa_flags = SA_SIGINFO };
	int key, rights;
	char *p;

	subject_init(argc, argv);
	key = pkey_alloc(0, 0);
	if (key < 0)
		subject_skip("no memory protection keys here");
	p = map_anon(PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	pattern_fill(p, PAGE, 1);
	MUST_SYS(pkey_mprotect(p, PAGE, PROT_READ | PROT_WRITE, key));
	MUST_SYS(pkey_set(key, PKEY_DISABLE_ACCESS));
	MUST_SYS(sigaction(SIGSEGV, &sa, NULL));
	subject_wait();
	rights = pkey_get(key);
	CHECK_EQ("rights", rights, PKEY_DISABLE_ACCESS);
	if (!sigsetjmp(out, 1)) {
		(void)*(volatile char *)p;
		subject_fail("reading through the key did not fault");
	} else {
		CHECK_EQ("key of the fault", fault_key, key);
	}
	(void)pkey_set(key, 0);
	pattern_check("memory behind the key", p, PAGE, 1);
	CHECK_SYS(pkey_free(key));
	return subject_done();
}
