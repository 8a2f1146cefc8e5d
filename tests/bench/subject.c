// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The part of a benchmark subject that talks to the benchmark; see subject.h. It sits in sigwaitinfo() between questions, so that
 * an idle subject is idle and its signal mask has to survive the restore for it to answer at all.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "subject.h"

#define PAGE ((size_t)4096)

void subject_die(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(1);
}

unsigned long subject_arg(int argc, char **argv, int n, unsigned long fallback)
{
	return n < argc ? strtoul(argv[n], NULL, 0) : fallback;
}

static void block_question(sigset_t *ret_set)
{
	sigemptyset(ret_set);
	sigaddset(ret_set, SIGUSR1);
	if (sigprocmask(SIG_BLOCK, ret_set, NULL) < 0)
		subject_die("sigprocmask");
}

void subject_init(void)
{
	sigset_t set;

	block_question(&set);
}

static void answer(unsigned int slot, unsigned long count, const char *reason)
{
	char line[SUBJECT_LINE + 1];

	if (reason)
		(void)snprintf(line, sizeof(line), "%lu bad: %s", count, reason);
	else
		(void)snprintf(line, sizeof(line), "%lu ok", count);
	for (size_t n = strlen(line); n < SUBJECT_LINE; n++)
		line[n] = ' ';
	line[SUBJECT_LINE - 1] = '\n';
	if (pwrite(SUBJECT_FD, line, SUBJECT_LINE, (off_t)slot * SUBJECT_LINE) != SUBJECT_LINE)
		subject_die("answer");
}

void subject_serve(unsigned int slot, subject_check_fn check, void *data)
{
	unsigned long count = 0;
	sigset_t set;

	block_question(&set);
	answer(slot, count, NULL);
	for (;;) {
		if (sigwaitinfo(&set, NULL) != SIGUSR1)
			continue;                       /* EINTR: a stop and continue ends the wait early */
		count++;
		answer(slot, count, check ? check(data) : NULL);
	}
}

static uint64_t next_word(uint64_t x)
{
	return x * 6364136223846793005u + 1442695040888963407u;
}

static uint64_t page_start(uint64_t seed, size_t page)
{
	return next_word(seed << 40 ^ (uint64_t)page ^ 0x9e3779b97f4a7c15u);
}

void subject_fill(void *mem, size_t size, uint64_t seed)
{
	uint64_t *word = mem;

	for (size_t page = 0; page < size / PAGE; page++) {
		uint64_t x = page_start(seed, page);

		for (size_t n = 0; n < PAGE / sizeof(*word); n++, x = next_word(x))
			*word++ = x;
	}
}

int subject_filled(const void *mem, size_t size, uint64_t seed)
{
	const uint64_t *word = mem;

	for (size_t page = 0; page < size / PAGE; page++) {
		uint64_t x = page_start(seed, page);

		for (size_t n = 0; n < PAGE / sizeof(*word); n++, x = next_word(x))
			if (*word++ != x)
				return 0;
	}
	return 1;
}
