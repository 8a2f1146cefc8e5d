/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Notes of a run, see report.h. */
#include "core/report.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* Room for one more element, zeroed; NULL (and counted) without memory. */
static void *more(struct eng_report *report, void *list, size_t *count, size_t size)
{
	char *p = *(void **)list;

	if (!(*count & (*count - 1))) {
		p = realloc(p, (*count ? 2 * *count : 1) * size);
		if (!p) {
			report->dropped++;
			return NULL;
		}
		*(void **)list = p;
	}
	p += *count * size;
	memset(p, 0, size);
	(*count)++;
	return p;
}

static char *copy(struct eng_report *report, const char *text)
{
	char *p = strdup(text ?: "");

	if (!p)
		report->dropped++;
	return p;
}

static bool same(const char *a, const char *b)
{
	return a && strcmp(a, b ?: "") == 0;
}

void eng_report_block(struct eng_report *report, const char *object, const char *why, const char *remedy)
{
	struct eng_blocker *b;

	for (size_t i = 0; report && i < report->n_blockers; i++)
		if (same(report->blockers[i].object, object) && same(report->blockers[i].why, why))
			return;
	b = report ? more(report, &report->blockers, &report->n_blockers, sizeof(*b)) : NULL;
	if (b)
		*b = (struct eng_blocker){ copy(report, object), copy(report, why), remedy ? copy(report, remedy) : NULL };
}

void eng_report_lose(struct eng_report *report, const char *object, const char *what)
{
	struct eng_loss *l;

	for (size_t i = 0; report && i < report->n_losses; i++)
		if (same(report->losses[i].object, object) && same(report->losses[i].what, what))
			return;
	l = report ? more(report, &report->losses, &report->n_losses, sizeof(*l)) : NULL;
	if (l)
		*l = (struct eng_loss){ copy(report, object), copy(report, what) };
}

void eng_report_fact(struct eng_report *report, const char *name, bool ok, const char *text)
{
	struct eng_fact *f = report ? more(report, &report->facts, &report->n_facts, sizeof(*f)) : NULL;

	if (f)
		*f = (struct eng_fact){ copy(report, name), copy(report, text), ok };
}

void eng_report_phase(struct eng_report *report, const char *name, uint64_t us)
{
	struct eng_phase *p;

	for (size_t i = 0; report && i < report->n_phases; i++)
		if (same(report->phases[i].name, name)) {
			report->phases[i].us += us;
			return;
		}
	p = report ? more(report, &report->phases, &report->n_phases, sizeof(*p)) : NULL;
	if (p)
		*p = (struct eng_phase){ copy(report, name), us };
}

void eng_report_deinit(struct eng_report *report)
{
	for (size_t i = 0; i < report->n_blockers; i++) {
		free(report->blockers[i].object);
		free(report->blockers[i].why);
		free(report->blockers[i].remedy);
	}
	for (size_t i = 0; i < report->n_losses; i++) {
		free(report->losses[i].object);
		free(report->losses[i].what);
	}
	for (size_t i = 0; i < report->n_facts; i++) {
		free(report->facts[i].name);
		free(report->facts[i].text);
	}
	for (size_t i = 0; i < report->n_phases; i++)
		free(report->phases[i].name);
	free(report->blockers);
	free(report->losses);
	free(report->facts);
	free(report->phases);
	*report = (struct eng_report)ENG_REPORT_INIT;
}

/* ---- text */

void eng_print_safe(const char *text, FILE *out)
{
	for (; text && *text; text++)
		(void)fputc((unsigned char)*text < 0x20 || *text == 0x7f ? '?' : *text, out);
}

static void line(FILE *out, const char *head, const char *object, const char *text, const char *remedy)
{
	(void)fputs(head, out);
	eng_print_safe(object, out);
	(void)fputs(": ", out);
	eng_print_safe(text, out);
	if (remedy) {
		(void)fputs("\n  hint: ", out);
		eng_print_safe(remedy, out);
	}
	(void)fputc('\n', out);
}

static void print_dropped(const struct eng_report *report, FILE *out)
{
	if (report->dropped)
		(void)fprintf(out, "%zu notes were lost for lack of memory\n", report->dropped);
}

void eng_report_print_blockers(const struct eng_report *report, FILE *out)
{
	for (size_t i = 0; i < report->n_blockers; i++)
		line(out, "blocker: ", report->blockers[i].object, report->blockers[i].why, report->blockers[i].remedy);
	print_dropped(report, out);
}

void eng_report_print_losses(const struct eng_report *report, FILE *out)
{
	for (size_t i = 0; i < report->n_losses; i++)
		line(out, "not kept: ", report->losses[i].object, report->losses[i].what, NULL);
	print_dropped(report, out);
}

void eng_report_print_facts(const struct eng_report *report, FILE *out)
{
	for (size_t i = 0; i < report->n_facts; i++)
		line(out, report->facts[i].ok ? "ok      " : "MISSING ", report->facts[i].name, report->facts[i].text, NULL);
}

void eng_report_print_phases(const struct eng_report *report, FILE *out)
{
	for (size_t i = 0; i < report->n_phases; i++)
		(void)fprintf(out, "  %-20s %10" PRIu64 " us\n", report->phases[i].name ?: "", report->phases[i].us);
}

/* ---- JSON */

json_t *eng_json_text(const char *text)
{
	json_t *j = json_string(text ?: ""); /* NULL if it is not UTF-8 */
	size_t n = 0;
	char *buf;

	if (j)
		return j;
	buf = malloc(4 * strlen(text) + 1);
	if (!buf)
		return NULL;
	for (; *text; text++)
		n += (size_t)sprintf(buf + n, (unsigned char)*text < 0x80 ? "%c" : "\\x%02x", (unsigned char)*text);
	buf[n] = '\0';
	j = json_string(buf);
	free(buf);
	return j;
}

json_t *eng_report_json_blockers(const struct eng_report *report)
{
	json_t *list = json_array();

	for (size_t i = 0; i < report->n_blockers; i++) {
		const struct eng_blocker *b = &report->blockers[i];
		json_t *o = json_pack("{s:o,s:o}", "object", eng_json_text(b->object), "why", eng_json_text(b->why));

		(void)json_object_set_new(o, "remedy", b->remedy ? eng_json_text(b->remedy) : json_null());
		(void)json_array_append_new(list, o);
	}
	return list;
}

json_t *eng_report_json_losses(const struct eng_report *report)
{
	json_t *list = json_array();

	for (size_t i = 0; i < report->n_losses; i++)
		(void)json_array_append_new(list, json_pack("{s:o,s:o}", "object", eng_json_text(report->losses[i].object), "what",
							    eng_json_text(report->losses[i].what)));
	return list;
}

json_t *eng_report_json_facts(const struct eng_report *report)
{
	json_t *list = json_array();

	for (size_t i = 0; i < report->n_facts; i++)
		(void)json_array_append_new(list, json_pack("{s:o,s:b,s:o}", "name", eng_json_text(report->facts[i].name), "ok",
							    report->facts[i].ok, "text", eng_json_text(report->facts[i].text)));
	return list;
}

json_t *eng_report_json_phases(const struct eng_report *report)
{
	json_t *object = json_object();

	for (size_t i = 0; i < report->n_phases; i++)
		(void)json_object_set_new(object, report->phases[i].name ?: "", json_integer((json_int_t)report->phases[i].us));
	return object;
}
