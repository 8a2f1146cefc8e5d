/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What every benchmark subject shares: the way it says that it is ready, and the way it proves later that it is still itself.
 *
 * A subject is started with an empty file as descriptor 3. Each of its processes owns one line of SUBJECT_LINE bytes in it, and
 * counts, in its own memory, how often it was asked. SIGUSR1 asks: the process checks everything it holds and writes "COUNT ok" or
 * "COUNT bad: reason". A count that goes on after a restore is a count that was restored.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum {
	SUBJECT_FD = 3,
	SUBJECT_LINE = 64,
};

/* Returns NULL when the subject holds what it should, else a reason that fits on the line. */
typedef const char *(*subject_check_fn)(void *data);

/* Call before creating any thread or process, so that all of them have SIGUSR1 blocked. */
void subject_init(void);

/* Writes "0 ok" to the slot's line and answers SIGUSR1 for ever. `check` may be NULL. */
_Noreturn void subject_serve(unsigned int slot, subject_check_fn check, void *data);

/* Ends a subject that cannot be set up; the benchmark shows the message. */
_Noreturn void subject_die(const char *what);

unsigned long subject_arg(int argc, char **argv, int n, unsigned long fallback);

/* Fills [mem, mem + size) so that no two pages of any seed are alike, or checks that it still holds that. */
void subject_fill(void *mem, size_t size, uint64_t seed);
int subject_filled(const void *mem, size_t size, uint64_t seed);
