// SPDX-License-Identifier: LGPL-2.1-or-later
/* The smallest subject: what remains is the fixed cost of a dump and of a restore. */
#include "subject.h"

int main(void)
{
	subject_init();
	subject_serve(0, NULL, NULL);
}
