/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Loading plugins: order, old and new interfaces, and one message for each mistake. Plugins: fake-plugins/. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/loader.h"

static char dir[64];

static int setup(void **state)
{
	(void)strcpy(dir, "/tmp/engine-loader-XXXXXX");
	assert_non_null(mkdtemp(dir));
	(void)setenv("ENGINE_CONF_DIR", dir, 1);
	(void)setenv("ENGINE_PLUGIN_DIR", FAKE_PLUGIN_DIR, 1);
	return 0;
}

static int teardown(void **state)
{
	char cmd[128];

	(void)snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	return system(cmd);
}

static struct eng_config *config(const char *plugins, const char *ini)
{
	struct eng_err err = ENG_ERR_INIT;
	struct eng_config *cfg = NULL;
	char path[128], set[256];
	const char *list = set;
	FILE *f;

	if (ini) {
		(void)snprintf(path, sizeof(path), "%s/engine.ini", dir);
		f = fopen(path, "we");
		assert_non_null(f);
		assert_true(fputs(ini, f) >= 0);
		assert_int_equal(fclose(f), 0);
	}
	(void)snprintf(set, sizeof(set), "engine.plugins=%s", plugins);
	if (eng_config_load(&(struct eng_config_args){ .sets = &list, .n_sets = 1 }, &cfg, &err) < 0)
		fail_msg("%s", err.msg);
	return cfg;
}

static void expect_order(const char *plugins, const char *want)
{
	struct eng_config *cfg = config(plugins, NULL);
	struct eng_err err = ENG_ERR_INIT;
	struct eng_plugins *p = NULL;
	char have[256] = "";

	if (eng_plugins_load(cfg, NULL, &p, &err) < 0)
		fail_msg("%s", err.msg);
	for (size_t i = 0; i < p->count; i++) {
		(void)strcat(have, i ? " " : "");
		(void)strcat(have, p->plugins[i].desc.name);
	}
	assert_string_equal(have, want);
	assert_null(eng_plugins_unload(p));
	(void)eng_config_free(cfg);
}

static void expect_error(const char *plugins, const char *ini, const char *part, const char *hint)
{
	struct eng_config *cfg = config(plugins, ini);
	struct eng_err err = ENG_ERR_INIT;
	struct eng_plugins *p = (void *)1;

	assert_true(eng_plugins_load(cfg, NULL, &p, &err) < 0);
	assert_ptr_equal(p, (void *)1);
	if (!strstr(err.msg, part))
		fail_msg("\"%s\" does not contain \"%s\"", err.msg, part);
	if (hint && !strstr(err.hint, hint))
		fail_msg("hint \"%s\" does not contain \"%s\"", err.hint, hint);
	(void)eng_config_free(cfg);
}

static void test_order(void **state)
{
	expect_order("plain, aafter", "aafter plain");
	expect_order("aafter, first, needy, plain", "first aafter needy plain");
	expect_order("plain, first, -first", "plain");
	expect_order("plain, -options", "plain");
	expect_order("", "");
}

static void test_edits(void **state)
{
	const char *edits[] = { "first,-plain", "aafter" }, *set = "engine.plugins=plain";
	struct eng_err err = ENG_ERR_INIT;
	struct eng_config *cfg = NULL;
	struct eng_plugins *p = NULL;

	assert_int_equal(eng_config_load(&(struct eng_config_args){ .sets = &set, .n_sets = 1, .plugins = edits, .n_plugins = 2 }, &cfg, &err), 0);
	assert_int_equal(eng_plugins_load(cfg, NULL, &p, &err), 0);
	assert_int_equal(p->count, 2);
	assert_string_equal(p->plugins[0].desc.name, "first");
	assert_string_equal(p->plugins[1].desc.name, "aafter");
	(void)eng_plugins_unload(p);
	(void)eng_config_free(cfg);
}

static void test_lookup(void **state)
{
	struct eng_config *cfg = config("plain, options, first", NULL);
	struct eng_err err = ENG_ERR_INIT;
	const struct eng_loaded *owner = NULL;
	struct eng_plugins *p = NULL;

	assert_int_equal(eng_plugins_load(cfg, NULL, &p, &err), 0);
	assert_int_equal(p->n_file_kinds, 3);
	assert_string_equal(p->file_kinds[0].kind->name, "fd/first"); /* priority 5 */
	assert_int_equal(p->n_map_kinds + p->n_task_kinds, 0);
	assert_non_null(eng_plugins_record(p, "fd/options", &owner));
	assert_string_equal(owner->desc.name, "options");
	assert_null(eng_plugins_record(p, "fd/none", NULL));
	assert_non_null(eng_plugins_find(p, "plain"));
	assert_null(eng_plugins_find(p, "none"));
	(void)eng_plugins_unload(p);
	(void)eng_config_free(cfg);
}

static void test_older(void **state)
{
	struct eng_config *cfg = config("older, oldkind", NULL);
	struct eng_err err = ENG_ERR_INIT;
	struct eng_plugins *p = NULL;

	if (eng_plugins_load(cfg, NULL, &p, &err) < 0)
		fail_msg("%s", err.msg);
	assert_null(eng_plugins_find(p, "older")->desc.init);
	assert_non_null(eng_plugins_find(p, "older")->desc.file_kinds);
	for (size_t i = 0; i < p->n_file_kinds; i++)
		if (strcmp(p->file_kinds[i].kind->name, "fd/oldkind") == 0) {
			assert_non_null(p->file_kinds[i].kind->open);
			assert_null(p->file_kinds[i].kind->connect);
			assert_null(p->file_kinds[i].kind->fill);
		}
	(void)eng_plugins_unload(p);
	(void)eng_config_free(cfg);
}

static void test_refused(void **state)
{
	expect_error("newer", NULL, "was built for plugin interface 7, this engine has 1", "update the engine");
	expect_error("noopen", NULL, "kind fd/noopen has no .open", NULL);
	expect_error("misnamed", NULL, "the file is named misnamed but .name is \"other\"", NULL);
	expect_error("badkind", NULL, "\"nameless\" is not a kind name", NULL);
	expect_error("plain, twin", NULL, "kind fd/plain is in plugin plain and in plugin twin", NULL);
	expect_error("needy", NULL, "plugin needy needs \"cap\", which no selected plugin provides", "add --plugin first");
	expect_error("cyclea, cycleb, plain", NULL, "in a cycle: cyclea waits for \"b\" of cycleb waits for \"a\" of cyclea", NULL);
	expect_error("plain, absent", NULL, "there is no plugin \"absent\" in " FAKE_PLUGIN_DIR, "plugins there: aafter");
	expect_error("plain, -absent", NULL, "cannot leave out plugin \"absent\"", NULL);
	expect_error("../plain", NULL, "is not a plugin name", NULL);
	expect_error("all", NULL, "plugin badkind", NULL);
}

static void test_keys(void **state)
{
	expect_error("options", "[plugin options]\n\nbogus = 1\n", "engine.ini:3: unknown key \"bogus\" in section [plugin options]", "on, count, bytes");
	expect_error("options", "[plugin options]\ncount = 11\n", "engine.ini:2: count: 11 is out of range (1 to 10)", NULL);
	/* not selected, but installed */
	expect_error("plain", "[plugin options]\nmode = odd\n", "engine.ini:2: mode: \"odd\" is not one of slow, fast", NULL);
	expect_error("plain", "[plugin first]\nx = 1\n", "engine.ini:2: unknown key \"x\" in section [plugin first]", "no keys");
}

static void test_conf(void **state)
{
	static const char *const image[] = { "text=image", "mode=fast" };
	const struct eng_plugin_want want[] = { { .name = "plain", .version = "1" }, { .name = "options", .version = "1", .conf = image, .n_conf = 2 } };
	struct eng_config *cfg = config("all", "[plugin options]\ncount = 7\ntext = file\n[plugin absent]\nx = 1\n");
	struct eng_err err = ENG_ERR_INIT;
	struct eng_plugins *p = NULL;
	char **text;
	size_t n;

	if (eng_plugins_load_named(cfg, want, 2, NULL, &p, &err) < 0)
		fail_msg("%s", err.msg);
	assert_int_equal(p->count, 2);
	assert_int_equal(eng_loaded_conf_text(eng_plugins_find(p, "options"), &text, &n, &err), 0);
	assert_int_equal(n, 3);
	assert_string_equal(text[0], "count=7");
	assert_string_equal(text[1], "text=image");
	assert_string_equal(text[2], "mode=fast");
	assert_null(text[3]);
	free(text);
	(void)eng_plugins_unload(p);
	(void)eng_config_free(cfg);
}

static void test_image_needs(void **state)
{
	const struct eng_plugin_want absent = { .name = "absent", .version = "9" }, hostile = { .name = "../../tmp/x", .version = "1" },
				     twice[] = { { .name = "plain", .version = "1" }, { .name = "plain", .version = "1" } };
	struct eng_config *cfg = config("all", NULL);
	struct eng_err err = ENG_ERR_INIT;
	struct eng_plugins *p = NULL;

	assert_true(eng_plugins_load_named(cfg, &absent, 1, NULL, &p, &err) < 0);
	assert_non_null(strstr(err.msg, "image needs plugin absent (version 9), which is not in " FAKE_PLUGIN_DIR));
	assert_true(err.hint[0]);
	assert_true(eng_plugins_load_named(cfg, &hostile, 1, NULL, &p, &err) < 0);
	assert_non_null(strstr(err.msg, "is not a plugin name"));
	assert_true(eng_plugins_load_named(cfg, twice, 2, NULL, &p, &err) < 0);
	assert_non_null(strstr(err.msg, "listed twice"));
	assert_null(p);
	(void)eng_config_free(cfg);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_order, setup, teardown),
		cmocka_unit_test_setup_teardown(test_edits, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lookup, setup, teardown),
		cmocka_unit_test_setup_teardown(test_older, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_keys, setup, teardown),
		cmocka_unit_test_setup_teardown(test_conf, setup, teardown),
		cmocka_unit_test_setup_teardown(test_image_needs, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
