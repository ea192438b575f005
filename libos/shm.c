/* SPDX-License-Identifier: MIT */
/*
 * shm.c - memory files: memfd_create() and the names of /dev/shm.
 *
 * A node's contents are a shareable object of the platform, so that a mapping of the
 * program and read() and write() see the same pages; libos keeps a mapping of its own
 * (`view`), made when first needed and made larger by doubling.
 *
 * Locking: g_shm_lock guards names, reference counts and attributes; node->lock size,
 * contents, view and seals.  g_shm_lock first.
 */
#include "libos/shm.h"

#include "libos/abi.h"
#include "libos/identity.h"
#include "libos/io.h"
#include "libos/limits.h"
#include "libos/pool.h"
#include "libos/shmnode.h"
#include "libos/syscall.h"
#include "libos/vma.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define SHM_FILES_MAX 65536u
#define VIEW_MIN 65536u
#define SHM_DEV 22u
#define PAGE 4096u
#define F_SEAL_FUTURE_WRITE_BIT 0x10u
#define SEALS_ALL                                                                      \
	(F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE |                    \
	 F_SEAL_FUTURE_WRITE_BIT)
#define FALLOC_ZERO_RANGE 0x10

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8u
#define MFD_EXEC 16u
#endif

static struct pool g_shm_nodes = POOL_INIT(struct shm_node, SHM_FILES_MAX);
static struct pool g_shm_files = POOL_INIT(struct shm_file, SHM_FILES_MAX);
struct lock g_shm_lock = LOCK_INIT;
static _Atomic uint64_t g_shm_ino = 2;

static struct shm_node *node_of(struct ofd *o)
{
	return ((struct shm_file *)o)->node;
}

static void now(int64_t t[2])
{
	uint64_t ns = plat_real_ns();

	t[0] = (int64_t)(ns / 1000000000u);
	t[1] = (int64_t)(ns % 1000000000u);
}

/* ---- nodes ---- */

struct shm_node *shm_node_new(uint32_t mode)
{
	struct shm_node *n = pool_get(&g_shm_nodes);
	const struct cred *c = cred_current();

	if (!n)
		return NULL;
	n->shm = plat_shm_create(0);
	if (n->shm < 0) {
		pool_put(&g_shm_nodes, n);
		return NULL;
	}
	n->refs = 1;
	n->mode = mode & 07777;
	n->uid = c->fsuid;
	n->gid = c->fsgid;
	n->ino = atomic_fetch_add_explicit(&g_shm_ino, 1, memory_order_relaxed);
	now(n->mtime);
	memcpy(n->ctime, n->mtime, sizeof(n->ctime));
	memcpy(n->atime, n->mtime, sizeof(n->atime));
	return n;
}

void shm_node_put(struct shm_node *n)
{
	bool last;

	lock_take(&g_shm_lock);
	last = --n->refs == 0;
	lock_drop(&g_shm_lock);
	if (!last)
		return;
	if (n->view)
		(void)plat_munmap(n->view, n->view_len); /* our own mapping */
	plat_shm_free(n->shm); /* the program's mappings keep the pages */
	pool_put(&g_shm_nodes, n);
}

/* Make the first @need bytes reachable. */
static int view_locked(struct shm_node *n, uint64_t need)
{
	uint64_t len = n->view_len ? n->view_len : VIEW_MIN;
	long r;

	if (n->view && need <= n->view_len)
		return 0;
	while (len < need)
		len *= 2;
	r = plat_shm_map(n->shm, 0, NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED);
	if (r < 0 && r > -4096)
		return -ENOMEM;
	if (n->view)
		(void)plat_munmap(n->view, n->view_len); /* our own mapping */
	n->view = (uint8_t *)r;
	n->view_len = len;
	return 0;
}

long shm_resize_locked(struct shm_node *n, uint64_t size)
{
	long r;

	if ((size > n->size && (n->seals & F_SEAL_GROW)) ||
	    (size < n->size && (n->seals & F_SEAL_SHRINK)))
		return -EPERM;
	if (size > INT64_MAX)
		return -EFBIG;
	r = plat_shm_resize(n->shm, size);
	if (r == 0) {
		n->size = size;
		now(n->mtime);
	}
	return r;
}

/* ---- reading and writing ---- */

static long read_at(struct shm_node *n, struct uio *u, uint64_t off)
{
	size_t left = uio_left(u);
	long r = 0;

	lock_take(&n->lock);
	if (off < n->size && left > 0) {
		if (left > n->size - off)
			left = n->size - off;
		r = view_locked(n, off + left);
		if (r == 0) {
			r = (long)uio_out(u, n->view + off, left);
			r = r > 0 ? r : -EFAULT;
		}
	}
	lock_drop(&n->lock);
	return r;
}

static long write_at(struct shm_node *n, struct uio *u, uint64_t *off, bool append)
{
	size_t left = uio_left(u);
	long r = 0;

	if (left == 0)
		return 0;
	lock_take(&n->lock);
	if (append)
		*off = n->size;
	left = *off > INT64_MAX ? 0 : limits_file_room(*off, left);
	if (left == 0)
		r = -EFBIG;
	else if (n->seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE_BIT))
		r = -EPERM;
	else if (*off + left > n->size)
		r = shm_resize_locked(n, *off + left);
	if (r == 0)
		r = view_locked(n, *off + left);
	if (r == 0) {
		r = (long)uio_in(u, n->view + *off, left);
		r = r > 0 ? r : -EFAULT;
		now(n->mtime);
	}
	lock_drop(&n->lock);
	return r;
}

static long op_read(struct ofd *o, struct uio *u, const uint64_t *pos)
{
	long r;

	if (pos)
		return read_at(node_of(o), u, *pos);
	r = ofd_pos_lock(o);
	if (r < 0)
		return r;
	r = read_at(node_of(o), u, o->pos);
	if (r > 0)
		o->pos += (uint64_t)r;
	ofd_pos_unlock(o);
	return r;
}

static long op_write(struct ofd *o, struct uio *u, const uint64_t *pos)
{
	bool append = (o->flags & O_APPEND) || u->append;
	uint64_t off;
	long r;

	if (pos) {
		off = *pos;
		return write_at(node_of(o), u, &off, append);
	}
	r = ofd_pos_lock(o);
	if (r < 0)
		return r;
	off = o->pos;
	r = write_at(node_of(o), u, &off, append);
	if (r > 0)
		o->pos = off + (uint64_t)r;
	ofd_pos_unlock(o);
	return r;
}

static long seek_target(struct ofd *o, int64_t off, int whence)
{
	int64_t size = (int64_t)node_of(o)->size, at;

	switch (whence) {
	case 0: /* SEEK_SET */
		at = off;
		break;
	case 1: /* SEEK_CUR */
		if (__builtin_add_overflow((int64_t)o->pos, off, &at))
			return -EOVERFLOW;
		break;
	case 2: /* SEEK_END */
		if (__builtin_add_overflow(size, off, &at))
			return -EOVERFLOW;
		break;
	case 3: /* SEEK_DATA: all of it is */
		if (off < 0 || off >= size)
			return -ENXIO;
		at = off;
		break;
	default: /* SEEK_HOLE: at the end */
		if (off < 0 || off >= size)
			return -ENXIO;
		at = size;
	}
	return at < 0 ? -EINVAL : at;
}

static long op_seek(struct ofd *o, int64_t off, int whence)
{
	long r = ofd_pos_lock(o);

	if (r < 0)
		return r;
	r = seek_target(o, off, whence);
	if (r >= 0)
		o->pos = (uint64_t)r;
	ofd_pos_unlock(o);
	return r;
}

static long op_truncate(struct ofd *o, uint64_t size)
{
	struct shm_node *n = node_of(o);
	long r;

	if (size > n->size && limits_file_room(size - 1, 1) == 0)
		return -EFBIG;
	lock_take(&n->lock);
	r = shm_resize_locked(n, size);
	lock_drop(&n->lock);
	return r;
}

static long op_sync(struct ofd *o, int datasync)
{
	(void)o;
	(void)datasync;
	return 0; /* memory is where it lives */
}

static long zero_locked(struct shm_node *n, uint64_t off, uint64_t len)
{
	long r;

	if (n->seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE_BIT))
		return -EPERM;
	if (off >= n->size)
		return 0;
	if (len > n->size - off)
		len = n->size - off;
	r = view_locked(n, off + len);
	if (r == 0)
		memset(n->view + off, 0, len);
	return r;
}

static long op_fallocate(struct ofd *o, int mode, uint64_t off, uint64_t len)
{
	struct shm_node *n = node_of(o);
	long r = 0;

	if (mode & FALLOC_ZERO_RANGE)
		return -EOPNOTSUPP; /* as Linux's tmpfs */
	lock_take(&n->lock);
	if (mode & FALLOC_FL_PUNCH_HOLE)
		r = zero_locked(n, off, len);
	if (r == 0 && !(mode & FALLOC_FL_KEEP_SIZE) && off + len > n->size)
		r = shm_resize_locked(n, off + len);
	lock_drop(&n->lock);
	return r;
}

static long op_ioctl(struct ofd *o, unsigned long req, void *user_arg)
{
	struct shm_node *n = node_of(o);
	int64_t left;
	int answer;

	if (req == ABI_FIGETBSZ) {
		answer = (int)PAGE;
	} else if (req == FIONREAD) {
		lock_take(&n->lock);
		left = (int64_t)(n->size - o->pos);
		lock_drop(&n->lock);
		answer = (int)left; /* behind the end it is negative, as in Linux */
	} else {
		return -ENOTTY;
	}
	return user_copy_out(user_arg, &answer, sizeof(answer));
}

static uint32_t op_poll(struct ofd *o)
{
	(void)o;
	return EPOLLIN | EPOLLOUT;
}

void shm_node_stat(struct shm_node *n, struct kstat *st)
{
	lock_take(&g_shm_lock);
	lock_take(&n->lock);
	*st = (struct kstat){.st_dev = SHM_DEV,
	                     .st_ino = n->ino,
	                     .st_nlink = n->nlink,
	                     .st_mode = S_IFREG | n->mode,
	                     .st_uid = n->uid,
	                     .st_gid = n->gid,
	                     .st_size = (int64_t)n->size,
	                     .st_blksize = PAGE,
	                     .st_blocks = (int64_t)((n->size + PAGE - 1) / PAGE * 8),
	                     .st_atime_sec = n->atime[0],
	                     .st_atime_nsec = n->atime[1],
	                     .st_mtime_sec = n->mtime[0],
	                     .st_mtime_nsec = n->mtime[1],
	                     .st_ctime_sec = n->ctime[0],
	                     .st_ctime_nsec = n->ctime[1]};
	lock_drop(&n->lock);
	lock_drop(&g_shm_lock);
}

static long op_stat(struct ofd *o, struct kstat *st)
{
	shm_node_stat(node_of(o), st);
	return 0;
}

/* ---- mapping and seals ---- */

static void note_writable_locked(struct shm_node *n, uint64_t addr, uint64_t len)
{
	if (n->n_maps < SHM_MAPS_NOTED)
		n->maps[n->n_maps] = (struct shm_map){addr, len};
	n->n_maps++;
}

static long op_mmap(struct ofd *o, void *addr, size_t len, int prot, int flags,
                    uint64_t off)
{
	struct shm_node *n = node_of(o);
	bool shared = (flags & MAP_TYPE) != MAP_PRIVATE;
	bool writes = shared && (prot & PROT_WRITE);
	long r = 0;

	if ((o->flags & ABI_ACCMODE) == O_WRONLY ||
	    (writes && (o->flags & ABI_ACCMODE) != O_RDWR))
		return -EACCES;
	lock_take(&n->lock);
	if (writes && (n->seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE_BIT)))
		r = -EPERM;
	if (r == 0)
		r = plat_shm_map(n->shm, off, addr, len, prot, flags);
	if (writes && !(r < 0 && r > -4096))
		note_writable_locked(n, (uint64_t)r, len);
	lock_drop(&n->lock);
	return r;
}

/* Is a shared writable mapping left?  The notes say where some were made; a later
 * mapping of another file at the same place counts as one. */
static bool mapped_writable_locked(struct shm_node *n)
{
	bool mapped = n->n_maps > SHM_MAPS_NOTED;

	vma_lock();
	for (unsigned i = 0; i < n->n_maps && i < SHM_MAPS_NOTED && !mapped; i++) {
		uint64_t end = n->maps[i].addr + n->maps[i].len;
		const struct vma *v = vma_next(n->maps[i].addr);

		for (; v && v->start < end && !mapped; v = vma_next(v->end))
			mapped = (v->flags & (VMA_SHARED | VMA_FILE)) ==
			         (VMA_SHARED | VMA_FILE);
	}
	vma_unlock();
	return mapped;
}

static const struct ofd_ops g_shm_ops;

long shm_add_seals(struct ofd *o, unsigned seals)
{
	struct shm_node *n;
	long r = 0;

	if (o->ops != &g_shm_ops)
		return -EINVAL;
	if ((o->flags & ABI_ACCMODE) == O_RDONLY)
		return -EPERM;
	if (seals & ~(unsigned)SEALS_ALL)
		return -EINVAL;
	n = node_of(o);
	lock_take(&n->lock);
	if (n->seals & F_SEAL_SEAL)
		r = -EPERM;
	else if ((seals & ~n->seals & F_SEAL_WRITE) && mapped_writable_locked(n))
		r = -EBUSY;
	else
		n->seals |= seals;
	lock_drop(&n->lock);
	return r;
}

long shm_get_seals(struct ofd *o)
{
	return o->ops == &g_shm_ops ? (long)node_of(o)->seals : -EINVAL;
}

/* ---- descriptions ---- */

static void op_release(struct ofd *o)
{
	struct shm_node *n = node_of(o);

	shm_flock_close((struct shm_file *)o);
	pool_put(&g_shm_files, o);
	shm_node_put(n);
}

static const struct ofd_ops g_shm_ops = {
        .kind = OFD_SHM,
        .read = op_read,
        .write = op_write,
        .poll = op_poll,
        .seek = op_seek,
        .flock = shm_flock,
        .stat = op_stat,
        .truncate = op_truncate,
        .sync = op_sync,
        .fallocate = op_fallocate,
        .ioctl = op_ioctl,
        .mmap = op_mmap,
        .release = op_release,
};

struct shm_file *shm_file_of(struct ofd *o)
{
	return o->ops == &g_shm_ops ? (struct shm_file *)o : NULL;
}

long shm_file_new(struct shm_node *n, uint32_t flags, struct ofd **out)
{
	struct shm_file *f = pool_get(&g_shm_files);

	if (!f)
		return -ENFILE;
	f->node = n;
	ofd_init(&f->ofd, &g_shm_ops, flags);
	*out = &f->ofd;
	return 0;
}

static long memfd_make(const char *name, unsigned flags, struct ofd **out)
{
	struct shm_node *n = shm_node_new(flags & MFD_NOEXEC_SEAL ? 0666 : 0777);
	long r;

	if (!n)
		return -ENOMEM;
	n->memfd = true;
	n->seals = flags & (MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL) ? 0 : F_SEAL_SEAL;
	r = shm_file_new(n, O_RDWR, out);
	if (r < 0) {
		shm_node_put(n);
		return r;
	}
	memcpy(((struct shm_file *)*out)->name, name, strlen(name) + 1);
	return 0;
}

SYSCALL(memfd_create, const char *user_name, long flags_arg)
{
	unsigned flags = (unsigned)flags_arg;
	char name[SHM_MEMFD_NAME];
	struct ofd *o;
	long r;

	if (flags &
	    ~(unsigned)(MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL | MFD_EXEC))
		return -EINVAL; /* MFD_HUGETLB too */
	if ((flags & MFD_NOEXEC_SEAL) && (flags & MFD_EXEC))
		return -EINVAL;
	r = user_copy_str(name, user_name, sizeof(name));
	if (r < 0)
		return r == -ENAMETOOLONG ? -EINVAL : r;
	r = memfd_make(name, flags, &o);
	if (r < 0)
		return r;
	r = fd_install(o, 0, (flags & MFD_CLOEXEC) != 0);
	if (r < 0)
		ofd_put(o);
	return r;
}
