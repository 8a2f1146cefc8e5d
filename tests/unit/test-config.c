/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Option values, layers of files, and errors that name file and line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/config.h"
#include "core/option.h"

struct conf {
	uint64_t count, any, bytes;
	const char *text;
	unsigned mode;
	bool on;
};

static const char *const modes[] = { "slow", "fast", NULL };
static const struct eng_option options[] = {
	ENG_OPTION("on", ENG_OPTION_BOOL, struct conf, on, "no", "Do it"),
	ENG_OPTION("count", ENG_OPTION_UINT, struct conf, count, "5", "How often", .min = 2, .max = 10),
	ENG_OPTION("any", ENG_OPTION_UINT, struct conf, any, "0", "Any number"),
	ENG_OPTION("bytes", ENG_OPTION_SIZE, struct conf, bytes, "64K", "How much", .min = 4096, .max = 1 << 30),
	ENG_OPTION("text", ENG_OPTION_STRING, struct conf, text, "none", "What to say"),
	ENG_OPTION("mode", ENG_OPTION_ENUM, struct conf, mode, "slow", "How", .choices = modes),
	{ 0 },
};

static char dir[64];

static int setup(void **state)
{
	char path[128];

	(void)strcpy(dir, "/tmp/engine-config-XXXXXX");
	assert_non_null(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/profiles", dir);
	assert_int_equal(mkdir(path, 0700), 0);
	(void)setenv("ENGINE_CONF_DIR", dir, 1);
	(void)unsetenv("ENGINE_PLUGIN_DIR");
	return 0;
}

static int teardown(void **state)
{
	char cmd[128];

	(void)snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	return system(cmd);
}

static const char *put(const char *name, const char *text)
{
	static char path[256];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "we");
	assert_non_null(f);
	assert_int_equal(fputs(text, f) >= 0, 1);
	assert_int_equal(fclose(f), 0);
	return path;
}

static struct eng_config *load(const struct eng_config_args *args)
{
	struct eng_err err = ENG_ERR_INIT;
	struct eng_config *cfg = NULL;

	if (eng_config_load(args, &cfg, &err) < 0)
		fail_msg("%s", err.msg);
	return cfg;
}

static void expect_error(const struct eng_config_args *args, const char *part)
{
	struct eng_err err = ENG_ERR_INIT;
	struct eng_config *cfg = (void *)1;

	assert_true(eng_config_load(args, &cfg, &err) < 0);
	assert_ptr_equal(cfg, (void *)1);
	if (!strstr(err.msg, part))
		fail_msg("\"%s\" does not contain \"%s\"", err.msg, part);
}

static void test_option_values(void **state)
{
	static const struct {
		const char *key, *text, *shown; /* shown NULL: refused */
	} cases[] = {
		{ "on", "yes", "yes" }, { "on", "true", "yes" }, { "on", "1", "yes" }, { "on", "no", "no" }, { "on", "false", "no" }, { "on", "0", "no" },
		{ "on", "", NULL }, { "on", "maybe", NULL }, { "on", "Yes", NULL },
		{ "count", "2", "2" }, { "count", "10", "10" }, { "count", "1", NULL }, { "count", "11", NULL }, { "count", "", NULL }, { "count", "-3", NULL },
		{ "count", "+3", NULL }, { "count", " 3", NULL }, { "count", "3x", NULL }, { "count", "3K", NULL }, { "count", "0x3", NULL },
		{ "any", "18446744073709551615", "18446744073709551615" }, { "any", "18446744073709551616", NULL },
		{ "any", "99999999999999999999999", NULL },
		{ "bytes", "4096", "4K" }, { "bytes", "64k", "64K" }, { "bytes", "1M", "1M" }, { "bytes", "1G", "1G" }, { "bytes", "5000", "5000" },
		{ "bytes", "2G", NULL }, { "bytes", "1K", NULL }, { "bytes", "1KB", NULL }, { "bytes", "K", NULL }, { "bytes", "16777216T", NULL },
		{ "text", "", "" }, { "text", "a b=c", "a b=c" }, { "mode", "fast", "fast" }, { "mode", "faster", NULL }, { "mode", "", NULL },
	};
	struct eng_err err = ENG_ERR_INIT;
	struct conf conf = { 0 };
	char shown[64];

	assert_int_equal(eng_options_check(options, sizeof(conf), &err), 0);
	eng_options_defaults(options, &conf);
	assert_int_equal(conf.count, 5);
	assert_int_equal(conf.bytes, 65536);
	assert_string_equal(conf.text, "none");
	for (size_t i = 0; i < ENG_ARRAY_SIZE(cases); i++) {
		const struct eng_option *o = eng_option_find(options, cases[i].key);
		int r = eng_option_set(o, cases[i].text, &conf, &err);

		if ((r == 0) != (cases[i].shown != NULL))
			fail_msg("%s = %s: %d", cases[i].key, cases[i].text, r);
		eng_option_format(o, &conf, shown, sizeof(shown));
		if (r == 0)
			assert_string_equal(shown, cases[i].shown);
		else
			assert_non_null(strstr(err.msg, cases[i].key));
	}
}

static void test_unsound_tables(void **state)
{
	static const struct eng_option bad[][3] = {
		{ { .key = "Upper", .type = ENG_OPTION_BOOL, .value = "no", .help = "h" } },
		{ { .key = "out", .type = ENG_OPTION_UINT, .offset = 8, .value = "0", .help = "h" } },
		{ { .key = "default", .type = ENG_OPTION_UINT, .value = "x", .help = "h" } },
		{ { .key = "range", .type = ENG_OPTION_UINT, .value = "3", .max = 2, .help = "h" } },
		{ { .key = "none", .type = ENG_OPTION_ENUM, .value = "x", .help = "h" } },
		{ { .key = "nodefault", .type = ENG_OPTION_STRING, .help = "h" } },
		{ { .key = "type", .type = (enum eng_option_type)77, .value = "x", .help = "h" } },
		{ { .key = "twice", .type = ENG_OPTION_BOOL, .value = "no", .help = "h" }, { .key = "twice", .type = ENG_OPTION_BOOL, .value = "no", .help = "h" } },
	};
	struct eng_err err = ENG_ERR_INIT;

	for (size_t i = 0; i < ENG_ARRAY_SIZE(bad); i++) {
		assert_true(eng_options_check(bad[i], 8, &err) < 0);
		assert_non_null(strstr(err.msg, bad[i][0].key));
	}
	assert_int_equal(eng_options_check(NULL, 0, &err), 0);
	assert_int_equal(eng_options_check(eng_core_options, sizeof(struct eng_core_conf), &err), 0);
}

static void test_built_in_defaults(void **state)
{
	struct eng_config *cfg = load(&(struct eng_config_args){ 0 });

	assert_string_equal(cfg->core.plugins, "all");
	assert_true(cfg->core.image_fsync);
	assert_int_equal(cfg->core.file_check, ENG_FILE_CHECK_MTIME);
	assert_string_equal(eng_config_origin(cfg, NULL, "strict"), "default");
	assert_null(eng_config_free(cfg));
	assert_null(eng_config_free(NULL));
}

static void test_layers(void **state)
{
	static const char *const sets[] = { "engine.workers=4", "tcp.established=cmd" };
	char file[256], origin[300];
	struct eng_config *cfg;

	(void)put("engine.ini", "; comment\n[engine]\nworkers = 1\nstrict = yes ; inline\nfile-check = size\nfreeze-timeout-ms = 11\n[plugin tcp]\nestablished = main\n");
	(void)put("profiles/p.ini", "[engine]\nplugins = a,\n  b, -c\n  d\nworkers = 2\nfile-check = none\n");
	(void)strcpy(file, put("extra.ini", "[engine]\nworkers=3\nimage-fsync=no\n"));
	cfg = load(&(struct eng_config_args){ .profile = "p", .file = file, .sets = sets, .n_sets = 2 });
	assert_int_equal(cfg->core.workers, 4);
	assert_true(cfg->core.strict);
	assert_false(cfg->core.image_fsync);
	assert_int_equal(cfg->core.file_check, ENG_FILE_CHECK_NONE);
	assert_int_equal(cfg->core.freeze_timeout_ms, 11);
	assert_string_equal(cfg->core.plugins, "a, b, -c d");
	assert_string_equal(eng_config_origin(cfg, NULL, "workers"), "--set");
	(void)snprintf(origin, sizeof(origin), "%s/profiles/p.ini:2", dir);
	assert_string_equal(eng_config_origin(cfg, NULL, "plugins"), origin);
	(void)snprintf(origin, sizeof(origin), "%s:3", file);
	assert_string_equal(eng_config_origin(cfg, NULL, "image-fsync"), origin);
	assert_string_equal(eng_config_origin(cfg, "tcp", "established"), "--set");
	(void)eng_config_free(cfg);
}

static void test_plugin_conf_precedence(void **state)
{
	static const char *const sets[] = { "x.count=9" }, *const image[] = { "count=8", "mode=fast" }, *const bad[] = { "gone=1" };
	struct eng_err err = ENG_ERR_INIT;
	struct eng_config *cfg;
	struct conf conf = { 0 };

	(void)put("engine.ini", "[plugin x]\ncount = 7\nmode = slow\ntext = file\n");
	cfg = load(&(struct eng_config_args){ .sets = sets, .n_sets = 1 });
	assert_int_equal(eng_config_fill(cfg, "x", options, image, 2, &conf, &err), 0);
	assert_int_equal(conf.count, 9);
	assert_int_equal(conf.mode, 1);
	assert_string_equal(conf.text, "file");
	assert_int_equal(conf.bytes, 65536);
	assert_true(eng_config_fill(cfg, "x", options, bad, 1, &conf, &err) < 0);
	assert_non_null(strstr(err.msg, "gone"));
	(void)eng_config_free(cfg);
}

static void test_file_errors(void **state)
{
	static const struct {
		const char *text, *part;
	} cases[] = {
		{ "[engine]\n\nbogus = 1\n", "engine.ini:3: unknown key \"bogus\" in section [engine]" },
		{ "[engine]\nworkers = 1\n[motor]\nx = 1\n", "engine.ini:4: unknown section [motor]" },
		{ "workers = 1\n", "engine.ini:1: key \"workers\" stands before any section" },
		{ "[engine]\nworkers = 257\n", "engine.ini:2: workers: 257 is out of range (0 to 256)" },
		{ "[engine]\nfile-check = all\n", "engine.ini:2: file-check: \"all\" is not one of none, size, mtime, content" },
		{ "[engine]\nworkers\n", "engine.ini:2: neither [section] nor key = value" },
		{ "[engine\nworkers = 1\n", "engine.ini:1: neither" },
		{ "[engine]\nworkers = 1\nbroken\nbogus = 2\n", "engine.ini:3: neither" },
		{ "[engine]\nbogus = 1\nbroken\n", "engine.ini:2: unknown key" },
		{ "[engine]\nworkers = 1\n strict = yes\n", "engine.ini:3: an indented line continues" },
		{ "[engine]\nworkers = 1\nstrict = no\nworkers = 2\n", "engine.ini:4: key \"workers\" was given before" },
		{ "[plugin ../x]\na = 1\n", "engine.ini:2: \"../x\" is not a plugin name" },
		{ "[plugin ]\na = 1\n", "engine.ini:2: \"\" is not a plugin name" },
	};
	char text[600];

	for (size_t i = 0; i < ENG_ARRAY_SIZE(cases); i++) {
		(void)put("engine.ini", cases[i].text);
		expect_error(&(struct eng_config_args){ 0 }, cases[i].part);
	}
	(void)snprintf(text, sizeof(text), "[engine]\nplugins = %0300d\n", 0);
	(void)put("engine.ini", text);
	expect_error(&(struct eng_config_args){ 0 }, "engine.ini:2: line is too long");
}

static void test_argument_errors(void **state)
{
	static const struct {
		const char *set, *part;
	} cases[] = {
		{ "workers=1", "expected SECTION.KEY=VALUE" }, { "engine.workers", "expected SECTION.KEY=VALUE" },
		{ "engine.=1", "expected SECTION.KEY=VALUE" }, { ".x=1", "expected SECTION.KEY=VALUE" }, { "engine.nope=1", "--set: unknown key \"nope\"" },
		{ "engine.workers=x", "--set: workers: \"x\" is not a number" }, { "a/b.x=1", "neither engine nor a plugin name" },
	};
	const char *bad_plugin = "a,../b";

	for (size_t i = 0; i < ENG_ARRAY_SIZE(cases); i++)
		expect_error(&(struct eng_config_args){ .sets = &cases[i].set, .n_sets = 1 }, cases[i].part);
	expect_error(&(struct eng_config_args){ .plugins = &bad_plugin, .n_plugins = 1 }, "\"../b\" is not a plugin name");
	expect_error(&(struct eng_config_args){ .profile = "absent" }, "there is no profile \"absent\"");
	expect_error(&(struct eng_config_args){ .profile = "../engine" }, "is not a profile name");
	expect_error(&(struct eng_config_args){ .file = "/nonexistent.ini" }, "cannot open /nonexistent.ini");
}

static void test_installed_files(void **state)
{
	static const char *const profiles[] = { "default", "runc", "crun", "podman", "lxc", "minimal" };
	const char *src = ENGINE_SOURCE_DIR;
	char path[512], *text = NULL, have[16384];
	size_t size, n;
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/conf", src);
	(void)setenv("ENGINE_CONF_DIR", path, 1);
	for (size_t i = 0; i < ENG_ARRAY_SIZE(profiles); i++)
		(void)eng_config_free(load(&(struct eng_config_args){ .profile = profiles[i] }));

	/* conf/engine.ini is what the tables print */
	f = open_memstream(&text, &size);
	eng_config_sample(f);
	assert_int_equal(fclose(f), 0);
	(void)snprintf(path, sizeof(path), "%s/conf/engine.ini", src);
	f = fopen(path, "re");
	assert_non_null(f);
	n = fread(have, 1, sizeof(have) - 1, f);
	have[n] = '\0';
	(void)fclose(f);
	assert_string_equal(have, text);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_option_values),
		cmocka_unit_test(test_unsound_tables),
		cmocka_unit_test_setup_teardown(test_built_in_defaults, setup, teardown),
		cmocka_unit_test_setup_teardown(test_layers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_plugin_conf_precedence, setup, teardown),
		cmocka_unit_test_setup_teardown(test_file_errors, setup, teardown),
		cmocka_unit_test_setup_teardown(test_argument_errors, setup, teardown),
		cmocka_unit_test(test_installed_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
