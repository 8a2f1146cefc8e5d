/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef CORE_REPORT_H
#define CORE_REPORT_H
/*
 * What a run found, for people (text) and programs (JSON): blockers (cannot be kept), losses (let go of, by policy), facts (of the
 * kernel or an image) and phases (where time went). Nothing is printed while a run is on. A note given twice is kept once: a dump
 * meets each object in its rehearsal and again when it is frozen.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct json_t;

struct eng_blocker {
	char *object, *why, *remedy; /* remedy may be NULL */
};
struct eng_loss {
	char *object, *what;
};
struct eng_fact {
	char *name, *text;
	bool ok;
};
struct eng_phase {
	char *name;
	uint64_t us;
};

struct eng_report {
	struct eng_blocker *blockers;
	struct eng_loss *losses;
	struct eng_fact *facts;
	struct eng_phase *phases;
	size_t n_blockers, n_losses, n_facts, n_phases;
	size_t dropped; /* notes lost for lack of memory: a run must not count as faithful then */
};

#define ENG_REPORT_INIT { 0 }

void eng_report_deinit(struct eng_report *report);

/* Texts are copied. report may be NULL. */
void eng_report_block(struct eng_report *report, const char *object, const char *why, const char *remedy);
void eng_report_lose(struct eng_report *report, const char *object, const char *what);
void eng_report_fact(struct eng_report *report, const char *name, bool ok, const char *text);
/* Times of the same phase add up. */
void eng_report_phase(struct eng_report *report, const char *name, uint64_t us);

/* One line a note; control characters in names of the target are shown as "?". */
void eng_report_print_blockers(const struct eng_report *report, FILE *out);
void eng_report_print_losses(const struct eng_report *report, FILE *out);
void eng_report_print_facts(const struct eng_report *report, FILE *out);
void eng_report_print_phases(const struct eng_report *report, FILE *out);

/* Text with its control characters shown as "?". */
void eng_print_safe(const char *text, FILE *out);

/* New references; NULL without memory. */
struct json_t *eng_report_json_blockers(const struct eng_report *report);
struct json_t *eng_report_json_losses(const struct eng_report *report);
struct json_t *eng_report_json_facts(const struct eng_report *report);
struct json_t *eng_report_json_phases(const struct eng_report *report);

/* A JSON string of any bytes: what is not UTF-8 is written as \xNN. */
struct json_t *eng_json_text(const char *text);

#endif
