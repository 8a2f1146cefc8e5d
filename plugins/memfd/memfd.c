/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * memfd_create(2). The memory is an object of its own, which several descriptions and mappings may share: whichever is opened first creates it, the
 * others open it again through /proc. Seals come last; those that forbid writable mappings to come must wait until the mappings exist.
 */
#include <engine/plugin.h>

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/vfs.h>

#include "memfd.pb-c.h"

#define HUGETLBFS_MAGIC 0x958458f6
#ifndef MFD_EXEC
#define MFD_EXEC 0x10u
#endif
#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x10
#endif

static const char prefix[] = "/memfd:", suffix[] = " (deleted)";

struct object {
	struct object *next;
	dev_t dev; /* dump */
	ino_t ino;
	uint64_t id;
	uint64_t first; /* restore: the description that created it */
	uint32_t late_seals;
};

struct state {
	struct object *list;
	uint64_t last_id;
	dev_t shm_dev; /* where memfds of small pages live: the kernel's own mount of tmpfs */
};

static int reopen(int fd, int flags)
{
	char path[40];

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, flags | O_CLOEXEC);
}

static dev_t shm_device(struct state *state)
{
	struct stat st;
	_cleanup_close_ int fd = state->shm_dev ? -EBADF : memfd_create("probe", MFD_CLOEXEC);

	if (fd >= 0 && fstat(fd, &st) == 0)
		state->shm_dev = st.st_dev;
	return state->shm_dev;
}

static int huge_page_size(int fd, uint64_t *ret)
{
	struct statfs fs;

	if (fstatfs(fd, &fs) < 0)
		return -errno;
	*ret = fs.f_type == HUGETLBFS_MAGIC ? (uint64_t)fs.f_bsize : 0;
	return 0;
}

static int memfd_claim(const struct eng_ctx *ctx, const struct eng_file *file, struct eng_err *err)
{
	uint64_t huge = 0;

	if (!S_ISREG(file->st.st_mode) || (file->flags & O_PATH) || strncmp(file->link, prefix, sizeof(prefix) - 1) != 0)
		return 0;
	return file->st.st_dev == shm_device(ctx->state) || (huge_page_size(file->fd, &huge) == 0 && huge);
}

static int save_object(const struct eng_ctx *ctx, const struct eng_file *file, uint64_t id, struct eng_err *err)
{
	Memfd__Object rec = MEMFD__OBJECT__INIT;
	_cleanup_close_ int fd = reopen(file->fd, O_RDONLY | O_NOATIME);
	char *name = eng_strdup(ctx->run, file->link + sizeof(prefix) - 1);
	size_t len = strlen(name);
	int seals, r;

	if (fd < 0)
		return eng_fail(err, errno, "cannot open %s for reading", file->link);
	if (len >= sizeof(suffix) - 1 && strcmp(name + len - (sizeof(suffix) - 1), suffix) == 0)
		name[len - (sizeof(suffix) - 1)] = '\0';
	seals = fcntl(fd, F_GET_SEALS);
	r = huge_page_size(fd, &rec.huge_page);
	if (seals < 0 || r < 0)
		return eng_fail(err, seals < 0 ? errno : -r, "cannot look at %s", file->link);
	rec.name = name;
	rec.size = (uint64_t)file->st.st_size;
	rec.mode = file->st.st_mode & 07777;
	rec.uid = file->st.st_uid;
	rec.gid = file->st.st_gid;
	rec.seals = (uint32_t)seals;
	rec.has_huge_page = rec.huge_page != 0;
	r = eng_blob_save(ctx->run, fd, rec.size, &rec.blob, err);
	return r < 0 ? r : eng_record(ctx, "memfd/object", id, &rec.base, err);
}

static int memfd_dump(const struct eng_ctx *ctx, const struct eng_file *file, ProtobufCMessage *record, struct eng_err *err)
{
	Memfd__Memfd *rec = (Memfd__Memfd *)record;
	struct state *state = ctx->state;
	struct object *o;

	if (ctx->rehearsal)
		return 0;
	for (o = state->list; o; o = o->next)
		if (o->dev == file->st.st_dev && o->ino == file->st.st_ino) {
			rec->object = o->id;
			return 0;
		}
	o = eng_alloc(ctx->run, sizeof(*o));
	*o = (struct object){ .next = state->list, .dev = file->st.st_dev, .ino = file->st.st_ino, .id = ++state->last_id };
	state->list = o;
	rec->object = o->id;
	return save_object(ctx, file, o->id, err);
}

/* A dump may be tried again: nothing of the try before is in the new image. */
static int memfd_pause(const struct eng_ctx *ctx, struct eng_err *err)
{
	((struct state *)ctx->state)->list = NULL;
	return 0;
}

/* Files of huge pages cannot be written to, only mapped. Pages that are all holes are left out. */
static int load_huge(const struct eng_ctx *ctx, const Memfd__Object *rec, int fd, struct eng_err *err)
{
	_cleanup_close_ int plain = memfd_create("content", MFD_CLOEXEC);
	off_t data = 0, hole;
	uint8_t *p;
	int r = plain < 0 ? eng_fail(err, errno, "cannot create a memfd") : eng_blob_load(ctx->run, rec->blob, plain, err);

	if (r < 0)
		return r;
	if (ftruncate(fd, (off_t)rec->size) < 0)
		return eng_fail(err, errno, "cannot set the size %" PRIu64, rec->size);
	while (r == 0 && (uint64_t)data < rec->size && (data = lseek(plain, data, SEEK_DATA)) >= 0) {
		off_t start = data / (off_t)rec->huge_page * (off_t)rec->huge_page;

		hole = lseek(plain, data, SEEK_HOLE);
		if (hole < 0)
			return eng_fail(err, errno, "cannot read content");
		p = mmap(NULL, (size_t)(hole - start + (off_t)rec->huge_page - 1) / rec->huge_page * rec->huge_page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, start);
		if (p == MAP_FAILED)
			return eng_fail(err, errno, "cannot map huge pages for content");
		for (off_t at = data; r == 0 && at < hole;) {
			ssize_t n = pread(plain, p + (at - start), (size_t)(hole - at), at);

			if (n <= 0)
				r = eng_fail(err, n < 0 ? errno : EIO, "cannot copy content into huge pages");
			at += n;
		}
		(void)munmap(p, (size_t)(hole - start + (off_t)rec->huge_page - 1) / rec->huge_page * rec->huge_page);
		data = hole;
	}
	return r;
}

static int create(const struct eng_ctx *ctx, const Memfd__Object *rec, int *ret_fd, struct eng_err *err)
{
	unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
	_cleanup_close_ int fd = -EBADF;
	int r;

	if (rec->has_huge_page) {
		if (rec->huge_page < 4096 || (rec->huge_page & (rec->huge_page - 1)))
			return eng_fail(err, EBADMSG, "page size %" PRIu64 " is impossible", rec->huge_page);
		flags |= MFD_HUGETLB | (unsigned)__builtin_ctzll(rec->huge_page) << 26;
	}
	fd = memfd_create(rec->name, flags | MFD_EXEC);
	if (fd < 0 && errno == EINVAL)
		fd = memfd_create(rec->name, flags); /* before Linux 6.3 */
	if (fd < 0)
		return eng_fail(err, errno, "cannot create memfd \"%s\"", rec->name);
	r = rec->has_huge_page ? load_huge(ctx, rec, fd, err) : eng_blob_load(ctx->run, rec->blob, fd, err);
	if (r < 0)
		return eng_wrap(err, r, "memfd \"%s\"", rec->name);
	if (fchown(fd, rec->uid, rec->gid) < 0 || fchmod(fd, rec->mode & 07777) < 0)
		return eng_fail(err, errno, "cannot set the owner of memfd \"%s\"", rec->name);
	*ret_fd = TAKE_FD(fd);
	return 0;
}

static int memfd_open(const struct eng_ctx *ctx, const struct eng_file_info *info, const ProtobufCMessage *record, int *ret_fd, struct eng_err *err)
{
	const Memfd__Memfd *rec = (const Memfd__Memfd *)record;
	const Memfd__Object *obj = (const Memfd__Object *)eng_find_record(ctx->run, "memfd/object", rec->object);
	struct state *state = ctx->state;
	struct object *o;
	_cleanup_close_ int base = -EBADF;
	int r, from;

	if (!obj)
		return eng_fail(err, EBADMSG, "the image has no memfd/object %" PRIu64, rec->object);
	for (o = state->list; o && o->id != rec->object;)
		o = o->next;
	if (!o) {
		r = create(ctx, obj, &base, err);
		if (r < 0)
			return r;
		o = eng_alloc(ctx->run, sizeof(*o));
		*o = (struct object){ .next = state->list, .id = rec->object, .first = info->id };
		state->list = o;
	}
	from = base >= 0 ? base : eng_file_fd(ctx->run, o->first);
	*ret_fd = reopen(from, (int)(info->flags & (O_ACCMODE | O_APPEND | O_NOATIME)));
	return *ret_fd < 0 ? eng_fail(err, errno, "cannot open memfd \"%s\"", obj->name) : 0;
}

static int add_seals(const struct eng_ctx *ctx, const struct object *o, uint32_t seals, struct eng_err *err)
{
	_cleanup_close_ int fd = reopen(eng_file_fd(ctx->run, o->first), O_RDWR);

	if (fd < 0 || fcntl(fd, F_ADD_SEALS, seals) < 0)
		return eng_fail(err, errno, "cannot seal a memfd with %#x", seals);
	return 0;
}

static int memfd_fill(const struct eng_ctx *ctx, const struct eng_file_info *info, const ProtobufCMessage *record, int fd, struct eng_err *err)
{
	const Memfd__Object *obj = (const Memfd__Object *)eng_find_record(ctx->run, "memfd/object", ((const Memfd__Memfd *)record)->object);
	struct object *o = ((struct state *)ctx->state)->list;

	while (o && o->first != info->id)
		o = o->next;
	if (!o || !obj || !obj->seals)
		return 0;
	if (obj->seals & F_SEAL_FUTURE_WRITE) {
		o->late_seals = obj->seals;
		return 0;
	}
	return add_seals(ctx, o, obj->seals, err);
}

static int memfd_restored(const struct eng_ctx *ctx, struct eng_err *err)
{
	int r = 0;

	for (struct object *o = ((struct state *)ctx->state)->list; r == 0 && o; o = o->next)
		if (o->late_seals)
			r = add_seals(ctx, o, o->late_seals, err);
	return r;
}

static const struct eng_file_kind memfd_kind = {
	.size = sizeof(memfd_kind), .name = "fd/memfd", .record = &memfd__memfd__descriptor, .priority = 10, .seekable = true,
	.claim = memfd_claim, .dump = memfd_dump, .open = memfd_open, .fill = memfd_fill,
};

static const struct eng_record_kind memfd_records[] = { { "memfd/object", &memfd__object__descriptor }, { 0 } };

static const struct eng_plugin memfd_plugin = {
	ENG_PLUGIN_HEAD, .name = "memfd", .version = "1", .summary = "memfds: name, content with holes, seals, huge pages, sharing between descriptions and mappings",
	.not_kept = "times, extended attributes", .state_size = sizeof(struct state), .file_kinds = ENG_LIST(&memfd_kind), .records = memfd_records,
	.pause = memfd_pause, .restored = memfd_restored,
};
ENG_PLUGIN_EXPORT(memfd_plugin);
