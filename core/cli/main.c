/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/cli.h"

int main(int argc, char **argv)
{
	return eng_cli_main(argc, argv);
}
