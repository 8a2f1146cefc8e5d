/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef CORE_CLI_H
#define CORE_CLI_H
/* The whole command. Returns the exit status: 0 done, 1 failed, 2 usage. */
__attribute__((visibility("default"))) int eng_cli_main(int argc, char **argv);
#endif
