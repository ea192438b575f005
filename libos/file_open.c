/* SPDX-License-Identifier: MIT */
/*
 * file_open.c - open and its relatives.
 */
#include "libos/file.h"
#include "libos/filemap.h"
#include "libos/path.h"
#include "libos/shm.h"
#include "libos/syscall.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>

#define K_LARGEFILE 0100000u
#define K_DIRECT 040000u /* accepted: every transfer goes to fsd anyway */
#define K_TMPFILE 020000000u
#define K_NOATIME 01000000u
#define K_PATH 010000000u
#define K_OPEN_FLAGS                                                                   \
	(ABI_ACCMODE | O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_APPEND | O_NONBLOCK | \
	 04010000u /* O_SYNC */ | FASYNC_FLAG | K_DIRECT | K_LARGEFILE | O_DIRECTORY | \
	 O_NOFOLLOW | K_NOATIME | O_CLOEXEC | K_PATH | K_TMPFILE)
#define FASYNC_FLAG 020000u
#define RESOLVE_KNOWN                                                                  \
	(ABI_RESOLVE_NO_XDEV | ABI_RESOLVE_NO_MAGICLINKS | ABI_RESOLVE_NO_SYMLINKS |   \
	 ABI_RESOLVE_BENEATH | ABI_RESOLVE_IN_ROOT | ABI_RESOLVE_CACHED)
#define RESOLVE_SCOPED (ABI_RESOLVE_BENEATH | ABI_RESOLVE_IN_ROOT)
#define HOW_MAX 4096u /* a page, as Linux */

static _Atomic uint32_t g_umask = 022;
static _Atomic uint64_t g_root_dev, g_root_ino;

uint32_t file_umask(void)
{
	return atomic_load_explicit(&g_umask, memory_order_relaxed);
}

SYSCALL(umask, uint32_t mask)
{
	return (long)atomic_exchange_explicit(&g_umask, mask & 0777,
	                                      memory_order_relaxed);
}

/* The flags that the description keeps (F_GETFL). */
static uint32_t kept_flags(uint32_t flags)
{
	if (flags & K_PATH)
		return flags & (K_PATH | O_DIRECTORY | O_NOFOLLOW);
	return (flags &
	        ~(uint32_t)(O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_CLOEXEC)) |
	       K_LARGEFILE;
}

/* Fill @f from fsd's answer. */
static void take_answer(struct file *f, const File__OpenRep *rep, uint32_t flags)
{
	const File__Attr *a = rep->attr;

	f->mode = a->mode;
	f->dev = a->dev;
	f->ino = a->ino;
	f->mount_flags = rep->mount_flags;
	if (rep->file_id.len <= FILE_ID_MAX && rep->token.len <= FILE_TOKEN_LEN) {
		f->id_len = (uint8_t)rep->file_id.len;
		if (f->id_len)
			memcpy(f->id, rep->file_id.data, f->id_len);
		f->token_len = (uint8_t)rep->token.len;
		if (f->token_len)
			memcpy(f->token, rep->token.data, f->token_len);
	}
	f->root = S_ISDIR(f->mode) && f->dev == g_root_dev && f->ino == g_root_ino;
	if (flags & K_PATH)
		f->ofd.ops = &g_file_path_ops;
	else if (S_ISDIR(f->mode))
		f->ofd.ops = &g_file_dir_ops;
	else
		f->ofd.ops = &g_file_ops;
	if ((S_ISREG(f->mode) || S_ISDIR(f->mode)) && !(flags & K_PATH))
		f->node = file_node_get(f->dev, f->ino, true);
	if (f->node)
		f->lost_seen = f->node->lost;
}

static long send_open(struct file *f, const struct fpath *p, uint32_t flags,
                      uint32_t mode, uint32_t resolve)
{
	File__OpenReq req = FILE__OPEN_REQ__INIT;
	const File__OpenRep *rep;
	struct file_watch watch;
	struct rpc_call call;
	int r = file_cred(&req.cred);

	if (r < 0)
		return r;
	f->ids = file_ids_get();
	if (!f->ids)
		return -ENFILE;
	rpc_call_init(&call);
	file_watch(&call, &watch);
	req.at = p->base;
	req.path = file_bytes(p->text, p->len);
	req.flags = flags & ~(uint32_t)(O_CLOEXEC | O_NONBLOCK | O_NOCTTY | K_DIRECT);
	f->open_flags = req.flags;
	req.handle = f->handle;
	req.resolve = resolve;
	if (flags & (O_CREAT | (K_TMPFILE & ~(uint32_t)O_DIRECTORY)))
		req.mode = mode & 07777 & ~file_umask();
	FILE_CALL(open, OpenRep, &req, &call);
	r = call.err;
	rep = (const File__OpenRep *)call.reply;
	if (r == 0 && !rep->attr)
		r = -EIO;
	if (r == 0) {
		take_answer(f, rep, flags);
		(void)path_text(p, f->path, sizeof(f->path)); /* "" if it does not fit */
		atomic_store_explicit(&f->known, true, memory_order_release);
	}
	file_settled(&watch);
	return r;
}

long file_open_at(const struct fpath *p, uint32_t flags, uint32_t mode,
                  uint32_t resolve, struct ofd **out)
{
	struct file *f;
	bool special;
	long r;

	f = file_new();
	if (!f)
		return -ENFILE;
	r = send_open(f, p, flags, mode, resolve);
	if (r < 0) {
		file_drop(f);
		return r;
	}
	ofd_init(&f->ofd, f->ofd.ops, kept_flags(flags));
	special = !(flags & K_PATH) && !S_ISREG(f->mode) && !S_ISDIR(f->mode);
	if (!(flags & K_PATH) && !special && !f->node) {
		ofd_put(&f->ofd);
		return -ENFILE;
	}
	if (special) {
		uint64_t dev = f->dev, ino = f->ino;
		bool fifo = S_ISFIFO(f->mode);

		ofd_put(&f->ofd);
		return fifo ? fifo_open(dev, ino, (int)flags, out) : -ENXIO;
	}
	if (flags & O_TRUNC)
		filemap_resized(f->dev, f->ino, 0);
	*out = &f->ofd;
	return 0;
}

void file_know_root(void)
{
	struct kstat st;
	struct fpath p;

	if (path_get_text(&p, "/", 0) < 0)
		return;
	if (file_stat_path(&p, 0, &st) == 0) {
		g_root_dev = st.st_dev;
		g_root_ino = st.st_ino;
	}
	path_put(&p);
}

/* ---- the calls ---- */

/* Open again what @o is, which fsd does not know: /proc/self/fd/N of a pipe. */
static long reopen_local(struct fpath *p, uint32_t flags, uint32_t mode,
                         struct ofd **out)
{
	char name[512];
	long n;

	if (p->ofd->ops->kind == OFD_SHM)
		return shm_reopen(p->ofd, (int)flags, out);
	n = local_fd_name(p->ofd, name, sizeof(name) - 1);
	if (n > 0 && name[0] == '/') {
		name[n] = '\0';
		return local_open(name, (int)flags, mode, out);
	}
	/* Anonymous: Linux gives a pipe a new description; here it is shared. */
	if (!(flags & K_PATH) && p->ofd->ops->kind != OFD_PIPE &&
	    p->ofd->ops->kind != OFD_CONSOLE)
		return -ENXIO;
	*out = ofd_ref(p->ofd);
	return 0;
}

static long open_local(struct fpath *p, uint32_t flags, uint32_t mode, struct ofd **out)
{
	if (p->link && (flags & O_NOFOLLOW) && !(flags & K_PATH))
		return -ELOOP;
	if (p->slash && (flags & O_CREAT))
		return -EISDIR;
	if (flags & O_CREAT)
		mode = mode & 07777 & ~file_umask();
	return local_open(p->text, (int)flags, mode, out);
}

/* The kernel's build_open_flags(), for what openat lets pass silently too. */
static long fix_flags(uint32_t *flags)
{
	uint32_t f = *flags;

	if (f & 04000000u) /* __O_SYNC means O_DSYNC too */
		f |= 010000u;
	if (f & (K_TMPFILE & ~(uint32_t)O_DIRECTORY)) {
		if (!(f & O_DIRECTORY) || (f & O_CREAT))
			return -EINVAL;
		if ((f & ABI_ACCMODE) == O_RDONLY)
			return -EINVAL;
	}
	if (f & K_PATH)
		f &= K_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	*flags = f;
	return 0;
}

static long do_open(int dirfd, const char *user_path, uint32_t flags, uint32_t mode,
                    uint32_t resolve)
{
	struct ofd *o = NULL;
	unsigned pflags = 0;
	struct fpath p;
	long r;

	r = fix_flags(&flags);
	if (r < 0)
		return r;
	if ((flags & O_NOFOLLOW) || (flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL))
		pflags |= PATH_NOFOLLOW;
	if (resolve & (ABI_RESOLVE_NO_MAGICLINKS | ABI_RESOLVE_NO_SYMLINKS))
		pflags |= PATH_NO_MAGIC;
	if (resolve & RESOLVE_SCOPED)
		pflags |= PATH_SCOPED;
	r = path_get(&p, dirfd, user_path, pflags);
	if (r < 0)
		return r;
	do {
		if (!fd_room()) /* before anything is made or truncated */
			r = -EMFILE;
		else if (p.where == PATH_FSD)
			r = file_open_at(&p, flags, mode, resolve, &o);
		else if (p.where == PATH_LOCAL)
			r = open_local(&p, flags, mode, &o);
		else
			r = reopen_local(&p, flags, mode, &o);
	} while (path_again(&p, pflags, &r));
	path_put(&p);
	if (r < 0)
		return r;
	r = fd_install(o, 0, (flags & O_CLOEXEC) != 0);
	if (r < 0)
		ofd_put(o);
	return r;
}

SYSCALL(open, const char *user_path, uint32_t flags, uint32_t mode)
{
	return do_open(AT_FDCWD, user_path, flags & K_OPEN_FLAGS, mode, 0);
}

SYSCALL(openat, int dirfd, const char *user_path, uint32_t flags, uint32_t mode)
{
	return do_open(dirfd, user_path, flags & K_OPEN_FLAGS, mode, 0);
}

SYSCALL(creat, const char *user_path, uint32_t mode)
{
	return do_open(AT_FDCWD, user_path, O_CREAT | O_WRONLY | O_TRUNC, mode, 0);
}

/* struct open_how may grow: what is beyond the part known here must be zero. */
static long get_how(struct kopen_how *how, const char *user_how, size_t size)
{
	if (size < sizeof(*how))
		return -EINVAL;
	if (size > HOW_MAX)
		return -E2BIG;
	if (user_copy_in(how, user_how, sizeof(*how)))
		return -EFAULT;
	for (size_t at = sizeof(*how); at < size; at++) {
		char c;

		if (user_copy_in(&c, user_how + at, 1))
			return -EFAULT;
		if (c)
			return -E2BIG;
	}
	return 0;
}

SYSCALL(openat2, int dirfd, const char *user_path, const char *user_how, size_t size)
{
	struct kopen_how how;
	long r = get_how(&how, user_how, size);

	if (r < 0)
		return r;
	if ((how.flags & ~(uint64_t)K_OPEN_FLAGS) ||
	    (how.resolve & ~(uint64_t)RESOLVE_KNOWN))
		return -EINVAL;
	if ((how.resolve & RESOLVE_SCOPED) == RESOLVE_SCOPED)
		return -EINVAL;
	if (how.flags & (O_CREAT | (K_TMPFILE & ~(uint32_t)O_DIRECTORY))) {
		if (how.mode & ~07777ull)
			return -EINVAL;
	} else if (how.mode) {
		return -EINVAL;
	}
	if ((how.flags & K_PATH) &&
	    (how.flags & ~(uint64_t)(K_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)))
		return -EINVAL;
	if (how.resolve & ABI_RESOLVE_CACHED)
		return -EAGAIN; /* nothing is cached in the guest */
	return do_open(dirfd, user_path, (uint32_t)how.flags, (uint32_t)how.mode,
	               (uint32_t)how.resolve);
}
