/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What exec left: exe link, arguments, environment, auxiliary vector; then a rewritten title, as servers do. */
#include <elf.h>
#include <sys/auxv.h>

#include "subject.h"

static ssize_t slurp(const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = read(fd, buf, size);

	close(fd);
	return n;
}

int main(int argc, char **argv)
{
	static char exe[1024], env[65536], auxv[4096], cmd[4096], buf[65536];
	ssize_t n_exe, n_env, n_auxv, n_cmd;
	uint64_t rnd[2];

	subject_init(argc, argv);
	memcpy(rnd, (void *)getauxval(AT_RANDOM), sizeof(rnd));
	memset(argv[0], 0, strlen(argv[0]));
	memcpy(argv[0], "title: x", 8);
	n_exe = MUST_SYS(readlink("/proc/self/exe", exe, sizeof(exe)));
	n_env = slurp("/proc/self/environ", env, sizeof(env));
	n_auxv = slurp("/proc/self/auxv", auxv, sizeof(auxv));
	n_cmd = slurp("/proc/self/cmdline", cmd, sizeof(cmd));
	MUST(n_env > 0 && n_auxv > 0 && n_cmd > 8);
	subject_wait();
	CHECK_EQ("exe length", readlink("/proc/self/exe", buf, sizeof(buf)), n_exe);
	CHECK(!memcmp(buf, exe, (size_t)n_exe), "exe link is %s, expected %s", buf, exe);
	CHECK_EQ("environ length", slurp("/proc/self/environ", buf, sizeof(buf)), n_env);
	CHECK(!memcmp(buf, env, (size_t)n_env), "environ changed");
	CHECK_EQ("auxv length", slurp("/proc/self/auxv", buf, sizeof(buf)), n_auxv);
	CHECK(!memcmp(buf, auxv, (size_t)n_auxv), "auxv changed");
	CHECK_EQ("cmdline length", slurp("/proc/self/cmdline", buf, sizeof(buf)), n_cmd);
	CHECK(!memcmp(buf, cmd, (size_t)n_cmd), "cmdline changed");
	CHECK(!memcmp(rnd, (void *)getauxval(AT_RANDOM), sizeof(rnd)), "AT_RANDOM bytes changed");
	argv[0][7] = 'y';
	CHECK(slurp("/proc/self/cmdline", buf, sizeof(buf)) > 8 && !memcmp(buf, "title: y", 8), "the title cannot be rewritten any more: %.20s", buf);
	return subject_done();
}
