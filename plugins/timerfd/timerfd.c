/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * timerfd(2). A relative timer keeps the time that was left; so does an absolute one of a clock that means nothing after a reboot. An absolute
 * timer of the wall clock keeps its moment, and expires at once if that has passed.
 */
#include <engine/plugin.h>

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/timerfd.h>
#include <time.h>

#include "timerfd.pb-c.h"

#ifndef TFD_IOC_SET_TICKS
#define TFD_IOC_SET_TICKS _IOW('T', 0, uint64_t)
#endif
#define SECOND UINT64_C(1000000000)

static bool wall_clock(uint32_t clock)
{
	return clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_ALARM;
}

/* "(seconds, nanoseconds)" */
static bool parse_time(const char *text, uint64_t *ret_ns)
{
	unsigned long long s, ns;

	if (!text || sscanf(text, "(%llu, %llu)", &s, &ns) != 2)
		return false;
	*ret_ns = s * SECOND + ns;
	return true;
}

static int timerfd_dump(const struct eng_ctx *ctx, const struct eng_file *file, ProtobufCMessage *record, struct eng_err *err)
{
	Timerfd__Timerfd *rec = (Timerfd__Timerfd *)record;
	const char *clock, *ticks, *flags;
	struct itimerspec spec;
	struct timespec now;
	char path[40], info[1024];
	_cleanup_close_ int fd = -EBADF;
	ssize_t n;

	/* The kernel counts the expirations of a periodic timer only when asked: after this call fdinfo has them all, and the timer runs on as it would. */
	if (timerfd_gettime(file->fd, &spec) < 0)
		return eng_fail(err, errno, "cannot ask the timer");
	(void)snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", file->fd);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, info, sizeof(info) - 1);
	if (n < 0)
		return eng_fail(err, errno, "cannot read %s", path);
	info[n] = '\0';
	clock = eng_text_field(info, "clockid");
	ticks = eng_text_field(info, "ticks");
	flags = eng_text_field(info, "settime flags");
	if (!clock || !ticks || !flags || !parse_time(eng_text_field(info, "it_value"), &rec->value_ns) ||
	    !parse_time(eng_text_field(info, "it_interval"), &rec->interval_ns))
		return eng_fail(err, ENOTSUP, "fdinfo does not describe the timer");
	rec->clock = (uint32_t)strtoul(clock, NULL, 10);
	rec->ticks = strtoull(ticks, NULL, 10);
	rec->flags = (uint32_t)strtoul(flags, NULL, 8);
	if (rec->value_ns == 0 && rec->interval_ns && rec->ticks)
		rec->value_ns = rec->interval_ns; /* it expired between the two calls and shows no time left; it has not been disarmed */
	if (rec->value_ns && (rec->flags & TFD_TIMER_ABSTIME) && wall_clock(rec->clock)) {
		if (clock_gettime((clockid_t)rec->clock, &now) < 0)
			return eng_fail(err, errno, "cannot read clock %u", rec->clock);
		rec->has_expires_ns = true;
		rec->expires_ns = now.tv_sec * (int64_t)SECOND + now.tv_nsec + (int64_t)rec->value_ns;
	}
	return 0;
}

/* What timerfd_settime() takes: for an absolute timer, a moment of its clock. */
static int first_expiry(const Timerfd__Timerfd *rec, uint64_t *ret_ns, struct eng_err *err)
{
	struct timespec now;

	*ret_ns = rec->value_ns;
	if (!rec->value_ns || !(rec->flags & TFD_TIMER_ABSTIME))
		return 0;
	if (rec->has_expires_ns && wall_clock(rec->clock)) {
		*ret_ns = rec->expires_ns > 0 ? (uint64_t)rec->expires_ns : 1;
		return 0;
	}
	if (clock_gettime((clockid_t)rec->clock, &now) < 0)
		return eng_fail(err, errno, "cannot read clock %u", rec->clock);
	*ret_ns += (uint64_t)now.tv_sec * SECOND + (uint64_t)now.tv_nsec;
	return 0;
}

static int timerfd_open(const struct eng_ctx *ctx, const struct eng_file_info *info, const ProtobufCMessage *record, int *ret_fd, struct eng_err *err)
{
	const Timerfd__Timerfd *rec = (const Timerfd__Timerfd *)record;
	_cleanup_close_ int fd = timerfd_create((clockid_t)rec->clock, TFD_CLOEXEC | TFD_NONBLOCK);
	struct itimerspec spec;
	uint64_t first;
	int r;

	if (fd < 0)
		return eng_fail(err, errno, "cannot create a timerfd of clock %u", rec->clock);
	r = first_expiry(rec, &first, err);
	if (r < 0)
		return r;
	spec = (struct itimerspec){ { (time_t)(rec->interval_ns / SECOND), (long)(rec->interval_ns % SECOND) }, { (time_t)(first / SECOND), (long)(first % SECOND) } };
	if (timerfd_settime(fd, (int)rec->flags, &spec, NULL) < 0)
		return eng_fail(err, errno, "cannot set the timer");
	if (rec->ticks && ioctl(fd, TFD_IOC_SET_TICKS, &rec->ticks) < 0)
		return eng_fail(err, errno, "cannot set %" PRIu64 " unread expirations", rec->ticks);
	*ret_fd = TAKE_FD(fd);
	return 0;
}

static const struct eng_file_kind timerfd_kind = {
	.size = sizeof(timerfd_kind), .name = "fd/timerfd", .anon_inode = "[timerfd]", .record = &timerfd__timerfd__descriptor,
	.dump = timerfd_dump, .open = timerfd_open,
};

static const struct eng_plugin timerfd_plugin = {
	ENG_PLUGIN_HEAD, .name = "timerfd", .version = "1", .summary = "timerfds: clock, time left or moment, interval, unread expirations",
	.not_kept = "a cancellation by clock change that nobody has read", .file_kinds = ENG_LIST(&timerfd_kind),
};
ENG_PLUGIN_EXPORT(timerfd_plugin);
