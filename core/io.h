/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef CORE_IO_H
#define CORE_IO_H
/* Reads and writes that are complete or fail: short transfers and EINTR are handled here, once. */
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

int eng_write_full(int fd, const void *data, size_t size);              /* 0 or -errno */
int eng_pwrite_full(int fd, const void *data, size_t size, off_t off);  /* 0 or -errno */
int eng_pread_full(int fd, void *data, size_t size, off_t off);         /* 0 or -errno; -ENODATA at end of file */
/* Whole file relative to dirfd, NUL-terminated, into malloc'ed memory. 0 or -errno. */
int eng_read_file_at(int dirfd, const char *name, char **ret, size_t *ret_size);

#endif
