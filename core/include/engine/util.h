/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef ENGINE_UTIL_H
#define ENGINE_UTIL_H
/* Small header-only helpers that plugins and the core share: cleanup attributes, fd ownership. */

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(fn) __attribute__((cleanup(fn)))
#define ENG_ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

static inline void eng_closep(int *fd)
{
	if (*fd >= 0) {
		int saved = errno;

		(void)close(*fd);
		errno = saved;
	}
	*fd = -EBADF;
}

static inline void eng_freep(void *p)
{
	free(*(void **)p);
}

/* Hand a resource over: evaluates to the value and leaves the variable empty, so that its cleanup does nothing. */
static inline int eng_take_fd(int *fd)
{
	int r = *fd;

	*fd = -EBADF;
	return r;
}
#define TAKE_FD(fd) eng_take_fd(&(fd))
#define TAKE_PTR(p) ({ __typeof__(p) _taken = (p); (p) = NULL; _taken; })

#define _cleanup_close_ _cleanup_(eng_closep)
#define _cleanup_free_ _cleanup_(eng_freep)

#endif
