/* SPDX-License-Identifier: MIT */
/*
 * local.c - calls on libos's own names: what local.h promises to the file client.
 */
#include "libos/local.h"

#include "libos/console.h"
#include "libos/identity.h"
#include "libos/localtab.h"
#include "libos/process.h"
#include "libos/shm.h"
#include "libos/shmnode.h"
#include "libos/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#define DEV_DEV 5u
#define PROC_DEV 21u
#define MAGIC_TMPFS 0x01021994
#define MAGIC_PROC 0x9fa0
#define MAGIC_PIPE 0x50495045
#define MAGIC_SOCK 0x534f434b
#define MAGIC_ANON 0x09041934

static bool ours(const char *path)
{
	return (strncmp(path, "/dev", 4) == 0 && (path[4] == '\0' || path[4] == '/')) ||
	       (strncmp(path, "/proc", 5) == 0 && (path[5] == '\0' || path[5] == '/'));
}

static bool in_dev(const char *path)
{
	return path[1] == 'd';
}

const char *local_root_name(unsigned i)
{
	static const char *const names[] = {"dev", "proc"};

	return i < 2 ? names[i] : NULL;
}

/* ---- links ---- */

/* The program's file as the guest was told it, made absolute. */
static long exe_path(char *to, size_t size)
{
	const char *arg = g_config.argc > 0 ? g_config.argv[0] : "";
	struct text t = {.at = to, .cap = size};

	if (arg[0] != '/') {
		text_put(&t, g_config.cwd);
		if (t.len > 1)
			text_put(&t, "/");
		if (arg[0] == '.' && arg[1] == '/')
			arg += 2;
	}
	text_put(&t, arg);
	return (long)t.len;
}

/* Where a link that is a row leads: length of the text in @to. */
static long link_target(const struct local_node *n, char *to, size_t size)
{
	struct text t = {.at = to, .cap = size};
	const char *last;

	if (n->row->type == L_LINK) {
		text_put(&t, n->row->target);
		return (long)t.len;
	}
	last = strrchr(n->row->path, '/') + 1;
	if (strcmp(last, "cwd") == 0)
		return file_cwd_path(to, size);
	if (strcmp(last, "exe") == 0)
		return exe_path(to, size);
	if (strcmp(last, "root") == 0)
		text_put(&t, "/");
	else
		text_fmt(&t, "/proc/%u/task/%u", PROCESS_PID, self()->tid);
	return (long)t.len;
}

enum local_kind local_lookup(const char *path, struct local_look *l)
{
	struct local_node n;
	long r;

	if (!ours(path))
		return LOCAL_NONE;
	if (local_resolve(path, &n) < 0 || !n.row || n.row->type < L_LINK)
		return LOCAL_NODE;
	l->rest = (size_t)(n.rest - path);
	if (n.row->type == L_FD) {
		l->fd = n.fd;
		return LOCAL_FD;
	}
	r = link_target(&n, l->target, sizeof(l->target) - 1);
	if (r < 0)
		return LOCAL_NODE;
	l->target[r] = '\0';
	return LOCAL_LINK;
}

long local_fd_name(struct ofd *o, char *to, size_t size)
{
	static const char *const anon[] = {
	        [OFD_EVENTFD] = "anon_inode:[eventfd]",
	        [OFD_TIMERFD] = "anon_inode:[timerfd]",
	        [OFD_SIGNALFD] = "anon_inode:[signalfd]",
	        [OFD_EPOLL] = "anon_inode:[eventpoll]",
	        [OFD_INOTIFY] = "anon_inode:inotify",
	        [OFD_MQ] = "/mqueue",
	};
	struct text t = {.at = to, .cap = size};
	struct kstat st;

	switch (o->ops->kind) {
	case OFD_FILE:
		return file_ofd_path(o, to, size);
	case OFD_SHM:
		return shm_fd_name(o, to, size);
	case OFD_CONSOLE:
		text_put(&t, console_name(o));
		return (long)t.len;
	case OFD_DEV:
		return dev_name(o, to, size);
	case OFD_PROC:
		return o->ops->getdents || !o->ops->read ? local_dir_name(o, to, size)
		                                         : proc_name(o, to, size);
	case OFD_SOCKET:
	case OFD_UNIX:
	case OFD_NETLINK:
		text_fmt(&t, "socket:[%lu]", sock_of(o)->ino);
		return (long)t.len;
	case OFD_PIPE:
		(void)o->ops->stat(o, &st); /* cannot fail for a pipe */
		text_fmt(&t, "pipe:[%lu]", st.st_ino);
		return (long)t.len;
	default:
		text_put(&t, anon[o->ops->kind]);
		return (long)t.len;
	}
}

long local_readlink(const char *path, char *to, size_t size)
{
	struct local_node n;
	struct ofd *o;
	long r = local_resolve(path, &n);

	if (r < 0)
		return r;
	if (!n.row || n.row->type < L_LINK || *n.rest)
		return n.rest && *n.rest ? -ENOENT : -EINVAL;
	if (strcmp(n.row->path, "/proc/self") == 0) {
		to[0] = '0' + PROCESS_PID; /* relative, as Linux's */
		return 1;
	}
	if (n.row->type != L_FD)
		return link_target(&n, to, size);
	if (n.row->path[0]) { /* /dev/stdin */
		struct text t = {.at = to, .cap = size};

		text_fmt(&t, "/proc/self/fd/%d", n.fd);
		return (long)t.len;
	}
	o = ofd_get(n.fd);
	if (!o)
		return -ENOENT;
	r = local_fd_name(o, to, size);
	ofd_put(o);
	return r;
}

/* ---- looking ---- */

static void stat_row(const struct local_node *n, struct kstat *st)
{
	const struct local_row *row = n->row;
	uint64_t boot = (plat_real_ns() - plat_boot_ns()) / 1000000000u;
	bool dir = local_is_dir(row->type), dev = row->path[0] && in_dev(row->path);
	uint32_t type = dir                   ? S_IFDIR
	                : row->type == L_CHAR ? S_IFCHR
	                : row->type == L_TEXT ? S_IFREG
	                                      : S_IFLNK;

	*st = (struct kstat){.st_dev = dev ? DEV_DEV : PROC_DEV,
	                     .st_ino = (uint64_t)(row - g_local_rows) + 1 +
	                               ((uint64_t)n->tid << 8),
	                     .st_nlink = dir ? 2 : 1,
	                     .st_mode = type | row->mode,
	                     .st_blksize = dev ? 4096 : 1024,
	                     .st_atime_sec = (int64_t)boot,
	                     .st_mtime_sec = (int64_t)boot,
	                     .st_ctime_sec = (int64_t)boot};
	if (row->type == L_CHAR)
		st->st_rdev = (uint64_t)row->major << 8 | row->minor;
	if (row->type == L_FD && !row->path[0]) {
		st->st_ino = 0x100000u + (uint64_t)n->fd;
		st->st_size = 64;
	}
	if (!dev) {
		st->st_uid = cred_current()->uid;
		st->st_gid = cred_current()->gid;
	}
}

long local_stat(const char *path, struct kstat *st)
{
	struct local_node n;
	long r = local_resolve(path, &n);

	if (r < 0)
		return r;
	if (!n.row)
		return shm_stat_name(n.name, st);
	if (n.row->type >= L_LINK && *n.rest)
		return -ENOENT; /* the caller follows links on the way */
	if (n.row->type == L_FD && fd_get_cloexec(n.fd) < 0 && !n.row->path[0])
		return -ENOENT;
	stat_row(&n, st);
	return 0;
}

long local_access(const char *path, int mode)
{
	const struct cred *c = cred_current();
	struct kstat st;
	uint32_t bits;
	long r = local_stat(path, &st);

	if (r < 0 || mode == F_OK)
		return r;
	bits = st.st_mode;
	if ((mode & W_OK) && !in_dev(path) && !(bits & 0222))
		return -EACCES; /* not even for the superuser */
	if (c->uid == 0)
		return (mode & X_OK) && !S_ISDIR(bits) && !(bits & 0111) ? -EACCES : 0;
	if (c->uid == st.st_uid)
		bits >>= 6;
	else if (c->gid == st.st_gid || cred_in_group(st.st_gid))
		bits >>= 3;
	return ((uint32_t)mode & ~bits & 7u) ? -EACCES : 0;
}

static void statfs_fill(struct statfs *sf, unsigned long type)
{
	memset(sf, 0, sizeof(*sf));
	*(long *)(void *)&sf->f_type = (long)type; /* its type differs among libcs */
	sf->f_bsize = 4096;
	sf->f_frsize = 4096;
	sf->f_namelen = ABI_NAME_MAX;
	if (type == MAGIC_TMPFS) {
		uint64_t total = plat_memory_total(), used = plat_memory_used();

		sf->f_blocks = total / 4096;
		sf->f_bfree = total > used ? (total - used) / 4096 : 0;
		sf->f_bavail = sf->f_bfree;
	}
}

long local_statfs(const char *path, struct statfs *sf)
{
	struct kstat st;
	long r = local_stat(path, &st);

	if (r == 0)
		statfs_fill(sf, in_dev(path) ? MAGIC_TMPFS : MAGIC_PROC);
	return r;
}

long local_fstatfs(struct ofd *o, struct statfs *sf)
{
	char name[LOCAL_PATH_MAX];
	long n;

	switch (o->ops->kind) {
	case OFD_PIPE:
		statfs_fill(sf, MAGIC_PIPE);
		break;
	case OFD_SOCKET:
	case OFD_UNIX:
	case OFD_NETLINK:
		statfs_fill(sf, MAGIC_SOCK);
		break;
	case OFD_SHM:
	case OFD_DEV:
	case OFD_CONSOLE:
		statfs_fill(sf, MAGIC_TMPFS);
		break;
	case OFD_PROC:
		n = local_fd_name(o, name, sizeof(name));
		statfs_fill(sf, n > 4 && in_dev(name) ? MAGIC_TMPFS : MAGIC_PROC);
		break;
	default:
		statfs_fill(sf, MAGIC_ANON);
	}
	return 0;
}

/* ---- opening ---- */

static long open_row(const struct local_node *n, const char *path, int flags,
                     struct ofd **out)
{
	enum local_type type = n->row->type;

	if ((flags & O_DIRECTORY) && !local_is_dir(type))
		return -ENOTDIR;
	if (flags & O_PATH)
		return local_dir_open(path, (uint32_t)(flags & (O_PATH | O_DIRECTORY)),
		                      out);
	if ((flags & O_CREAT) && (flags & O_EXCL))
		return -EEXIST;
	if (local_is_dir(type)) {
		if ((flags & ABI_ACCMODE) != O_RDONLY || (flags & O_CREAT))
			return -EISDIR;
		return local_dir_open(
		        path, (uint32_t)(flags & (O_DIRECTORY | O_NONBLOCK)), out);
	}
	switch (type) {
	case L_CHAR:
		if (n->row->major == 5)
			return n->row->minor == 0 &&
			                       !console_is_tty(PLAT_CONSOLE_OUT) &&
			                       !console_is_tty(PLAT_CONSOLE_IN)
			               ? -ENXIO
			               : console_open(n->row->minor == 0
			                                      ? PLAT_CONSOLE_OUT
			                                      : PLAT_CONSOLE_ERR,
			                              flags, out);
		return dev_open(n->row, flags, out);
	case L_TEXT:
		return proc_open(n, path, flags, out);
	default:
		return -ELOOP; /* a link, with O_NOFOLLOW */
	}
}

long local_open(const char *path, int flags, uint32_t mode, struct ofd **out)
{
	struct local_node n;
	long r = local_resolve(path, &n);

	if (r == -ENOENT && (flags & O_CREAT))
		return in_dev(path) ? -EACCES : -ENOENT;
	if (r < 0)
		return r;
	if (!n.row)
		return shm_open_name(n.name, flags, mode, out);
	if (n.row->type >= L_LINK && *n.rest)
		return -ENOENT;
	return open_row(&n, path, flags, out);
}

/* ---- changing names: /dev/shm alone ---- */

/* 1: @path is a name in /dev/shm (*@name); else the error of a change elsewhere. */
static long shm_name_of(const char *path, const char **name)
{
	struct local_node n;
	long r = local_resolve(path, &n);

	if (r == 0 && !n.row) {
		*name = n.name;
		return 1;
	}
	return r < 0 ? r : -EPERM;
}

long local_unlink(const char *path)
{
	struct local_node n;
	const char *name;
	long r = shm_name_of(path, &name);

	if (r == 1)
		return shm_unlink_name(name);
	if (r == -EPERM && local_resolve(path, &n) == 0 && local_is_dir(n.row->type))
		return -EISDIR;
	return r;
}

long local_rmdir(const char *path)
{
	struct local_node n;
	struct kstat st;
	long r = local_resolve(path, &n);

	if (r < 0)
		return r;
	if (!n.row)
		return shm_stat_name(n.name, &st) < 0 ? -ENOENT : -ENOTDIR;
	return local_is_dir(n.row->type) ? -EBUSY : -ENOTDIR;
}

/* Making something that is neither a file nor a link to one. */
static long make_other(const char *path)
{
	struct kstat st;

	if (local_stat(path, &st) == 0)
		return -EEXIST;
	return in_dev(path) ? -EPERM : -ENOENT;
}

long local_mkdir(const char *path, uint32_t mode)
{
	(void)mode;
	return make_other(path);
}

long local_mknod(const char *path, uint32_t mode)
{
	const char *name;
	struct ofd *o;
	long r;

	if ((S_ISREG(mode) || (mode & S_IFMT) == 0) && shm_name_of(path, &name) == 1) {
		r = shm_open_name(name, O_CREAT | O_EXCL | O_PATH, mode, &o);
		if (r == 0)
			ofd_put(o);
		return r;
	}
	return make_other(path);
}

long local_symlink(const char *target, const char *path)
{
	(void)target;
	return make_other(path);
}

long local_link(const char *from, const char *to)
{
	const char *a, *b;

	if (!ours(from) || !ours(to) || shm_name_of(from, &a) != 1)
		return -EXDEV;
	if (shm_name_of(to, &b) != 1)
		return make_other(to);
	return shm_link_name(a, b);
}

long local_rename(const char *from, const char *to, unsigned flags)
{
	const char *a, *b;
	long r;

	if (!ours(from) || !ours(to))
		return -EXDEV;
	r = shm_name_of(from, &a);
	if (r == 1)
		r = shm_name_of(to, &b);
	return r == 1 ? shm_rename_name(a, b, flags) : r;
}

long local_truncate(const char *path, uint64_t size)
{
	const char *name;
	long r = shm_name_of(path, &name);

	return r == 1 ? shm_truncate_name(name, size) : r == -EPERM ? -EINVAL : r;
}

long local_chmod(const char *path, uint32_t mode)
{
	const char *name;
	long r = shm_name_of(path, &name);

	return r == 1 ? shm_chmod_name(name, mode) : r;
}

long local_chown(const char *path, uint32_t uid, uint32_t gid)
{
	const char *name;
	long r = shm_name_of(path, &name);

	return r == 1 ? shm_chown_name(name, uid, gid) : r;
}

long local_utimens(const char *path, const struct timespec times[2])
{
	const char *name;
	long r = shm_name_of(path, &name);

	return r == 1 ? shm_utimens_name(name, times) : r;
}

/* ---- by description ---- */

/* Names that exist keep their attributes; anonymous objects have none to keep. */
static long keeps(const struct ofd *o)
{
	return o->ops->kind == OFD_PROC || o->ops->kind == OFD_DEV ? -EPERM : 0;
}

long local_fchmod(struct ofd *o, uint32_t mode)
{
	return shm_file_of(o) ? shm_chmod(o, mode) : keeps(o);
}

long local_fchown(struct ofd *o, uint32_t uid, uint32_t gid)
{
	return shm_file_of(o) ? shm_chown(o, uid, gid) : keeps(o);
}

long local_futimens(struct ofd *o, const struct timespec times[2])
{
	return shm_file_of(o) ? shm_utimens(o, times) : keeps(o);
}
