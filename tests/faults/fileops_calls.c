/* SPDX-License-Identifier: MIT */
/*
 * The calls that a sequence is made of.  Each function draws its arguments, says
 * them, makes the call and says what it gave.
 *
 * Left out on purpose, since docs/LIMITATIONS.md and docs/FSD.md say that they
 * differ: O_TMPFILE, O_DIRECT, devices, FIFOs, collapsing and inserting ranges; and
 * SEEK_DATA and SEEK_HOLE, whose answers change as the kernel writes pages out.
 */
#include "tests/faults/fileops.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/xattr.h>
#include <unistd.h>

#define COUNT(a)  (sizeof(a) / sizeof((a)[0]))
#define FILE_MOST (1u << 20) /* offsets go so far */

/* ---- arguments ---- */

static const char *const g_files[] = {"f0", "f1", "f2", "f3", "d0/f0", "d0/f1",
                                      "d1/f0", "d1/d2/f0", "d0/../f0", "./d1/./f1"};
static const char *const g_dirs[] = {"d0", "d1", "d1/d2", "d0/d3", "d4", "d1/d2/d5"};
static const char *const g_links[] = {"l0", "l1", "d0/l2", "d1/l3"};

static const char *any_name(struct worker *w)
{
	const uint32_t k = rnd(w, 20);

	if (k < 11)
		return g_files[rnd(w, COUNT(g_files))];
	if (k < 15)
		return g_dirs[rnd(w, COUNT(g_dirs))];
	if (k < 18)
		return g_links[rnd(w, COUNT(g_links))];
	return k == 18 ? "none/f" : "";
}

/* A name that a kind of call mostly wants, sometimes another. */
static const char *name_of(struct worker *w, const char *const *list, size_t n)
{
	return rnd(w, 8) ? list[rnd(w, (uint32_t)n)] : any_name(w);
}
#define FILE_NAME(w) name_of(w, g_files, COUNT(g_files))
#define DIR_NAME(w)  name_of(w, g_dirs, COUNT(g_dirs))

/* Where a name counts from: mostly the worker's folder, else a slot, open or not. */
static int any_base(struct worker *w, char text[16])
{
	const uint32_t k = rnd(w, 5 * SLOTS);

	if (k >= SLOTS) {
		strcpy(text, ".");
		return w->base;
	}
	snprintf(text, 16, "#%u", k);
	return w->slot[k].fd;
}

static struct slot *any_slot(struct worker *w, unsigned *k)
{
	/* few of them, so that most are open */
	*k = rnd(w, 3) ? rnd(w, 4) : rnd(w, SLOTS);
	return &w->slot[*k];
}

static void path_of(const struct worker *w, const char *name, char path[128])
{
	snprintf(path, 128, "%s%s", *name ? w->prefix : "", name);
}

static size_t any_len(struct worker *w)
{
	switch (rnd(w, 10)) {
	case 0:
		return rnd(w, 2);
	case 1:
	case 2:
		return 4096 + rnd(w, 3) - 1;
	case 3:
		return 65536 + rnd(w, 200) - 100;
	case 4:
		return 1 + rnd(w, 300000);
	default:
		return 1 + rnd(w, 2000);
	}
}

static off_t any_offset(struct worker *w)
{
	switch (rnd(w, 6)) {
	case 0:
		return 0;
	case 1:
		return (off_t)rnd(w, FILE_MOST);
	case 2:
		return (off_t)rnd(w, 32) * 4096;
	default:
		return (off_t)rnd(w, 10000);
	}
}

/* ---- opening and descriptors ---- */

static void keep(struct worker *w, unsigned k, int fd)
{
	struct slot *s = &w->slot[k];
	struct stat st;

	if (fd < 0)
		return; /* what was there goes on */
	if (s->fd >= 0)
		close(s->fd);
	s->fd = fd;
	if (fstat(fd, &st) == 0) {
		s->dev = st.st_dev;
		s->ino = st.st_ino;
	}
}

static void do_open(struct worker *w)
{
	static const int flags[] = {O_CREAT, O_CREAT, O_CREAT | O_EXCL, O_TRUNC, O_APPEND,
	                            O_APPEND, O_NOFOLLOW, O_DIRECTORY, O_SYNC, O_DSYNC,
	                            O_NONBLOCK, O_CLOEXEC, O_PATH, O_NOATIME};
	static const int modes[] = {0644, 0600, 0666, 0755, 0444, 0};
	int f = (int)rnd(w, 3), fd, base;
	char at[16];
	unsigned k;

	if (rnd(w, 3))
		f = O_RDWR;
	if (rnd(w, 2))
		f |= O_CREAT;
	for (uint32_t n = rnd(w, 4); n > 0; n--)
		f |= flags[rnd(w, COUNT(flags))];
	if (f & O_DIRECTORY) /* together: another answer by each kernel */
		f &= ~(O_CREAT | O_EXCL);
	if ((f & O_EXCL) && !(f & O_CREAT))
		f &= ~O_EXCL;
	const char *name = f & O_DIRECTORY ? DIR_NAME(w) : FILE_NAME(w);
	const int mode = modes[rnd(w, rnd(w, 4) ? 3 : COUNT(modes))];

	base = any_base(w, at);
	any_slot(w, &k);
	say(w, "open(%s, \"%s\", %#o, %#o) #%u", at, name, (unsigned)f, (unsigned)mode, k);
	fd = openat(base, name, f, mode);
	result(w, fd < 0 ? fd : 0);
	keep(w, k, fd);
}

static void do_open_dir(struct worker *w)
{
	const char *name = DIR_NAME(w);
	unsigned k;
	int fd;

	any_slot(w, &k);
	say(w, "opendir(\"%s\") #%u", name, k);
	fd = openat(w->base, name, O_RDONLY | O_DIRECTORY);
	result(w, fd < 0 ? fd : 0);
	keep(w, k, fd);
}

static void do_close(struct worker *w)
{
	unsigned k;
	struct slot *s = any_slot(w, &k);

	say(w, "close(#%u)", k);
	result(w, close(s->fd));
	*s = (struct slot){.fd = -1};
}

static void do_dup(struct worker *w)
{
	unsigned k, to;
	const struct slot *s = any_slot(w, &k);
	int fd;

	any_slot(w, &to);
	say(w, "dup(#%u) #%u", k, to);
	fd = rnd(w, 2) ? dup(s->fd) : fcntl(s->fd, F_DUPFD_CLOEXEC, 20);
	result(w, fd < 0 ? fd : 0);
	keep(w, to, fd);
}

static void do_flags(struct worker *w)
{
	unsigned k;
	const struct slot *s = any_slot(w, &k);

	if (rnd(w, 3) == 0) {
		const int f = rnd(w, 2) ? O_APPEND : 0;

		say(w, "fcntl(#%u, F_SETFL, %#o)", k, (unsigned)f);
		result(w, fcntl(s->fd, F_SETFL, f));
	} else {
		say(w, "fcntl(#%u, F_GETFL)", k);
		result(w, fcntl(s->fd, F_GETFL));
	}
}

/* ---- data ---- */

static void do_write(struct worker *w)
{
	unsigned k;
	const struct slot *s = any_slot(w, &k);
	const size_t len = any_len(w);

	fill(w, len);
	say(w, "write(#%u, %zu)", k, len);
	result(w, write(s->fd, w->buf, len));
}

static void do_writev(struct worker *w)
{
	struct iovec v[5];
	const int n = 1 + (int)rnd(w, 5);
	size_t at = 0;
	unsigned k;
	const struct slot *s = any_slot(w, &k);

	for (int i = 0; i < n; i++) {
		v[i].iov_base = w->buf + at;
		v[i].iov_len = rnd(w, 9000);
		at += v[i].iov_len;
	}
	fill(w, at);
	say(w, "writev(#%u, %d, %zu)", k, n, at);
	result(w, writev(s->fd, v, n));
}

static void do_pwrite(struct worker *w)
{
	unsigned k;
	const struct slot *s = any_slot(w, &k);
	const size_t len = any_len(w);
	const off_t off = any_offset(w);

	fill(w, len);
	say(w, "pwrite(#%u, %zu, %lld)", k, len, (long long)off);
	result(w, pwrite(s->fd, w->buf, len, off));
}

static void do_read(struct worker *w)
{
	unsigned k;
	const struct slot *s = any_slot(w, &k);
	const size_t len = any_len(w);

	say(w, "read(#%u, %zu)", k, len);
	result_data(w, read(s->fd, w->buf, len), w->buf);
}

static void do_pread(struct worker *w)
{
	unsigned k;
	const struct slot *s = any_slot(w, &k);
	const size_t len = any_len(w);
	const off_t off = any_offset(w);

	say(w, "pread(#%u, %zu, %lld)", k, len, (long long)off);
	result_data(w, pread(s->fd, w->buf, len, off), w->buf);
}

static void do_readv(struct worker *w)
{
	struct iovec v[3];
	const off_t off = any_offset(w);
	const bool at = rnd(w, 2) != 0;
	unsigned k;
	const struct slot *s = any_slot(w, &k);

	for (size_t i = 0; i < COUNT(v); i++)
		v[i] = (struct iovec){w->buf + i * 5000, 5000};
	say(w, "%s(#%u, %lld)", at ? "preadv" : "readv", k, at ? (long long)off : 0);
	result_data(w, at ? preadv(s->fd, v, COUNT(v), off) : readv(s->fd, v, COUNT(v)), w->buf);
}

static void do_seek(struct worker *w)
{
	static const int whences[] = {SEEK_SET, SEEK_SET, SEEK_CUR, SEEK_END};
	unsigned k;
	const struct slot *s = any_slot(w, &k);
	const int whence = whences[rnd(w, COUNT(whences))];
	const off_t off = whence == SEEK_CUR ? (off_t)rnd(w, 2000) - 1000
	                  : whence == SEEK_END ? -(off_t)rnd(w, 2000)
	                                       : any_offset(w);
	struct stat st;

	/* where a folder's end is, is the file system's own matter */
	if (whence != SEEK_SET && fstat(s->fd, &st) == 0 && S_ISDIR(st.st_mode))
		return;
	say(w, "lseek(#%u, %lld, %d)", k, (long long)off, whence);
	result(w, lseek(s->fd, off, whence));
}

static void do_truncate(struct worker *w)
{
	const off_t len = rnd(w, 12) ? any_offset(w) : -1;
	const char *name = FILE_NAME(w);
	char path[128];
	unsigned k;
	const struct slot *s = any_slot(w, &k);

	if (rnd(w, 2)) {
		say(w, "ftruncate(#%u, %lld)", k, (long long)len);
		result(w, ftruncate(s->fd, len));
		return;
	}
	path_of(w, name, path);
	say(w, "truncate(\"%s\", %lld)", name, (long long)len);
	result(w, truncate(path, len));
}

static void do_fallocate(struct worker *w)
{
	static const int modes[] = {0, FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
	                            FALLOC_FL_ZERO_RANGE, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE,
	                            FALLOC_FL_PUNCH_HOLE};
	const int mode = modes[rnd(w, COUNT(modes))];
	const off_t off = any_offset(w);
	const off_t len = (off_t)any_len(w);
	unsigned k;
	const struct slot *s = any_slot(w, &k);

	say(w, "fallocate(#%u, %#x, %lld, %lld)", k, (unsigned)mode, (long long)off, (long long)len);
	result(w, fallocate(s->fd, mode, off, len));
}

static void do_copy_range(struct worker *w)
{
	off_t in = any_offset(w), out = any_offset(w);
	const size_t len = any_len(w);
	const bool own_in = rnd(w, 2), own_out = rnd(w, 2);
	unsigned a, b;
	const struct slot *from = any_slot(w, &a), *to = any_slot(w, &b);
	long r;

	say(w, "copy_file_range(#%u, %lld, #%u, %lld, %zu)", a, own_in ? (long long)in : -1, b,
	    own_out ? (long long)out : -1, len);
	r = syscall(SYS_copy_file_range, from->fd, own_in ? &in : NULL, to->fd, own_out ? &out : NULL,
	            len, 0);
	result(w, r);
}

static void do_sendfile(struct worker *w)
{
	off_t in = any_offset(w);
	const size_t len = any_len(w) + 1; /* of nothing: another answer by each kernel */
	unsigned a, b;
	const struct slot *from = any_slot(w, &a), *to = any_slot(w, &b);

	if (from->ino == to->ino)
		return; /* how much of itself it sees, depends on the size of a piece */
	say(w, "sendfile(#%u, #%u, %lld, %zu)", b, a, (long long)in, len);
	result(w, sendfile(to->fd, from->fd, &in, len));
}

static void do_sync(struct worker *w)
{
	unsigned k;
	const struct slot *s = any_slot(w, &k);
	const bool data = rnd(w, 2);

	say(w, "%s(#%u)", data ? "fdatasync" : "fsync", k);
	result(w, data ? fdatasync(s->fd) : fsync(s->fd));
}

/* A shared mapping: its bytes are the file's, both ways. */
static void do_mmap(struct worker *w)
{
	unsigned k;
	const struct slot *s = any_slot(w, &k);
	const bool change = rnd(w, 2);
	struct stat st;
	size_t len;
	char *p;

	if (fstat(s->fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size == 0)
		return;
	len = st.st_size > 65536 ? 65536 : (size_t)st.st_size;
	say(w, "mmap(#%u, %zu, %s)", k, len, change ? "write" : "read");
	p = mmap(NULL, len, change ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, s->fd, 0);
	if (p == MAP_FAILED) {
		result(w, -1);
		return;
	}
	if (change) {
		const size_t at = rnd(w, (uint32_t)len);
		const size_t n = len - at < 300 ? len - at : 300;

		fill(w, n);
		memcpy(p + at, w->buf, n);
		if (msync(p, len, MS_SYNC) < 0)
			result(w, -1);
	}
	result_data(w, (long)len, p);
	munmap(p, len);
}

/* ---- names ---- */

static void do_mkdir(struct worker *w)
{
	const char *name = DIR_NAME(w);
	char at[16];
	const int base = any_base(w, at);

	say(w, "mkdir(%s, \"%s\")", at, name);
	result(w, mkdirat(base, name, rnd(w, 6) ? 0755 : 0500));
}

static void do_mksock(struct worker *w)
{
	const char *name = FILE_NAME(w);

	if (geteuid() != 0)
		return; /* an open that is refused: for its kind or for its mode? */
	say(w, "mknod(\"%s\", socket)", name);
	result(w, mknodat(w->base, name, S_IFSOCK | 0600, 0));
}

static void do_unlink(struct worker *w)
{
	const bool dir = rnd(w, 4) == 0;
	const char *name = dir ? DIR_NAME(w) : FILE_NAME(w);
	char at[16];
	const int base = any_base(w, at);

	say(w, "%s(%s, \"%s\")", dir ? "rmdir" : "unlink", at, name);
	result(w, unlinkat(base, name, dir ? AT_REMOVEDIR : 0));
}

static void do_rename(struct worker *w)
{
	static const unsigned flags[] = {0, 0, 0, RENAME_NOREPLACE, RENAME_EXCHANGE,
	                                 RENAME_NOREPLACE | RENAME_EXCHANGE};
	const unsigned f = flags[rnd(w, COUNT(flags))];
	const bool dirs = rnd(w, 4) == 0;
	const char *from = dirs ? DIR_NAME(w) : FILE_NAME(w);
	const char *to = dirs ? DIR_NAME(w) : FILE_NAME(w);

	if (!*to)
		to = "none/f"; /* as with two wrong bases */
	if (geteuid() != 0 && strrchr(to, '/'))
		to = strrchr(to, '/') + 1; /* nor two parents that refuse */
	char at[16];
	const int base = any_base(w, at); /* of both: two wrong ones are told in any order */

	say(w, "rename(%s, \"%s\", \"%s\", %u)", at, from, to, f);
	result(w, syscall(SYS_renameat2, base, from, base, to, f));
}

static void do_link(struct worker *w)
{
	const char *from = FILE_NAME(w), *to = FILE_NAME(w);
	const int f = rnd(w, 2) ? AT_SYMLINK_FOLLOW : 0;

	if (!*to)
		to = "none/f";
	say(w, "link(\"%s\", \"%s\", %#x)", from, to, (unsigned)f);
	result(w, linkat(w->base, from, w->base, to, f));
}

static void do_symlink(struct worker *w)
{
	static const char *const targets[] = {"f0", "f1", "../f2", "d0", "../d1", "l0", "l1",
	                                      "none", "/nowhere/at/all", "d1/d2", "."};
	const char *to = targets[rnd(w, COUNT(targets))];
	const char *name = name_of(w, g_links, COUNT(g_links));

	say(w, "symlink(\"%s\", \"%s\")", to, name);
	result(w, symlinkat(to, w->base, name));
}

static void do_readlink(struct worker *w)
{
	const char *name = name_of(w, g_links, COUNT(g_links));
	const size_t room = rnd(w, 3) ? 4096 : 3;

	say(w, "readlink(\"%s\", %zu)", name, room);
	result_data(w, readlinkat(w->base, name, w->buf, room), w->buf);
}

/* ---- attributes ---- */

static void say_stat(struct worker *w, long r, const struct stat *st)
{
	if (r < 0) {
		result(w, r);
		return;
	}
	fprintf(w->out, " = %06o %u:%u links %lu", st->st_mode, st->st_uid, st->st_gid,
	        (unsigned long)st->st_nlink);
	if (!S_ISDIR(st->st_mode))
		fprintf(w->out, " size %lld", (long long)st->st_size);
	putc('\n', w->out);
}

static void do_stat(struct worker *w)
{
	const char *name = any_name(w);
	const int f = rnd(w, 2) ? AT_SYMLINK_NOFOLLOW : 0;
	struct stat st = {0};
	char at[16];
	const int base = any_base(w, at);

	say(w, "stat(%s, \"%s\", %#x)", at, name, (unsigned)f);
	say_stat(w, fstatat(base, name, &st, f), &st);
}

static void do_fstat(struct worker *w)
{
	struct stat st = {0};
	unsigned k;
	const struct slot *s = any_slot(w, &k);
	long r;

	say(w, "fstat(#%u)", k);
	r = fstat(s->fd, &st);
	if (r == 0 && (st.st_dev != s->dev || st.st_ino != s->ino))
		fprintf(w->out, " ANOTHER FILE");
	say_stat(w, r, &st);
}

static void do_access(struct worker *w)
{
	const char *name = any_name(w);
	const int how = (int)rnd(w, 8);

	say(w, "access(\"%s\", %d)", name, how);
	result(w, faccessat(w->base, name, how, 0));
}

static void do_chmod(struct worker *w)
{
	static const mode_t modes[] = {0644, 0600, 0755, 0700, 0444, 0, 01777, 0200};
	const mode_t mode = modes[rnd(w, COUNT(modes))];
	const char *name = any_name(w);
	unsigned k;
	const struct slot *s = any_slot(w, &k);

	if (rnd(w, 2)) {
		say(w, "fchmod(#%u, %#o)", k, mode);
		result(w, fchmod(s->fd, mode));
		return;
	}
	say(w, "chmod(\"%s\", %#o)", name, mode);
	result(w, fchmodat(w->base, name, mode, 0));
}

static void do_times(struct worker *w)
{
	const struct timespec t[2] = {{(time_t)rnd(w, 2000000000), rnd(w, 1000000000)},
	                              {(time_t)rnd(w, 2000000000), rnd(w, 1000000000)}};
	const char *name = any_name(w);
	const int f = rnd(w, 2) ? AT_SYMLINK_NOFOLLOW : 0;
	struct stat st = {0};
	long r;

	say(w, "utimensat(\"%s\", %#x)", name, (unsigned)f);
	r = utimensat(w->base, name, t, f);
	if (r == 0 && fstatat(w->base, name, &st, f) == 0)
		fprintf(w->out, " %lld.%09ld %lld.%09ld", (long long)st.st_atim.tv_sec,
		        st.st_atim.tv_nsec, (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
	result(w, r);
}

/* It does not keep its attributes over its service's death: docs/RECOVERY.md. */
static bool removed_folder(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISDIR(st.st_mode) && st.st_nlink == 0;
}

static void do_xattr(struct worker *w)
{
	static const char *const names[] = {"user.a", "user.b", "user.c", "user."};
	static const int flags[] = {0, 0, XATTR_CREATE, XATTR_REPLACE};
	const char *name = names[rnd(w, COUNT(names))], *file = FILE_NAME(w);
	const int f = flags[rnd(w, COUNT(flags))];
	const size_t len = rnd(w, 300);
	bool by_fd = rnd(w, 2);
	char path[128];
	unsigned k;
	const int fd = any_slot(w, &k)->fd;
	long r;

	by_fd = by_fd && !(w->recovers && removed_folder(fd));
	path_of(w, file, path);
	if (by_fd)
		snprintf(path, sizeof(path), "#%u", k);
	fill(w, len);
	switch (rnd(w, 4)) {
	case 0:
	case 1:
		say(w, "setxattr(%s, %s, %zu, %d)", by_fd ? path : file, name, len, f);
		result(w, by_fd ? fsetxattr(fd, name, w->buf, len, f) : setxattr(path, name, w->buf, len, f));
		break;
	case 2:
		say(w, "getxattr(%s, %s)", by_fd ? path : file, name);
		r = by_fd ? fgetxattr(fd, name, w->buf, len) : getxattr(path, name, w->buf, len);
		if (len)
			result_data(w, r, w->buf);
		else
			result(w, r); /* its size alone */
		break;
	default:
		say(w, "removexattr(%s, %s)", by_fd ? path : file, name);
		result(w, by_fd ? fremovexattr(fd, name) : removexattr(path, name));
	}
}

/* ---- folders ---- */

struct names {
	unsigned n;
	uint64_t sum; /* of the names' hashes: their order is the file system's own */
};

/* Read on in @fd with a buffer of @room, @calls times or to the end. */
static long list_some(int fd, size_t room, unsigned calls, struct names *to, off_t *next)
{
	char buf[4096];
	long n = 0;

	while (calls-- > 0 && (n = syscall(SYS_getdents64, fd, buf, room)) > 0)
		for (long at = 0; at < n;) {
			const struct dirent *d = (const struct dirent *)(const void *)(buf + at);

			/* types may be unknown to a file system, but not here and there */
			to->sum += hash_bytes(hash_bytes(HASH_START, &d->d_type, 1), d->d_name,
			                      strlen(d->d_name));
			to->n++;
			*next = d->d_off;
			at += d->d_reclen;
		}
	return n;
}

/* All of it in small pieces; then some, back to a name seen, and the rest. */
static void do_list(struct worker *w)
{
	const size_t room = 64 + rnd(w, 200);
	const unsigned some = rnd(w, 4);
	struct names all = {0, 0}, twice = {0, 0};
	off_t next = 0;
	unsigned k;
	const struct slot *s = any_slot(w, &k);
	const int fd = rnd(w, 3) ? w->base : s->fd;
	long r;

	say(w, "getdents(%s%u, %zu)", fd == w->base ? "." : "#", k, room);
	(void)lseek(fd, 0, SEEK_SET);
	r = list_some(fd, room, 10000, &all, &next);
	if (r == 0) {
		next = 0;
		(void)lseek(fd, 0, SEEK_SET);
		(void)list_some(fd, room, some, &twice, &next);
		(void)lseek(fd, next, SEEK_SET);
		r = list_some(fd, room, 10000, &twice, &next);
	}
	(void)lseek(fd, 0, SEEK_SET); /* where the end is, is the file system's own matter */
	fprintf(w->out, " %u %016llx%s", all.n, (unsigned long long)all.sum,
	        r < 0 || (all.n == twice.n && all.sum == twice.sum) ? "" : " NOT THE SAME TWICE");
	result(w, r);
}

static void do_chdir(struct worker *w)
{
	const char *name = DIR_NAME(w);
	struct stat st = {0};
	char *cwd;
	long r;

	if (!w->alone)
		return;
	say(w, "chdir(\"%s\")", name);
	r = chdir(name);
	if (r == 0) {
		cwd = getcwd(w->buf, 4096);
		fprintf(w->out, " %s", cwd ? strrchr(cwd, '/') : strerror(errno));
		(void)stat("f0", &st);
		fprintf(w->out, " %lld", (long long)st.st_size);
		(void)!fchdir(w->base);
	}
	result(w, r);
}

/* ---- locks ---- */

static void do_lock(struct worker *w)
{
	static const short types[] = {F_RDLCK, F_WRLCK, F_UNLCK};
	static const int cmds[] = {F_SETLK, F_OFD_SETLK, F_OFD_SETLK, F_OFD_GETLK, F_GETLK};
	const int cmd = cmds[rnd(w, COUNT(cmds))];
	struct flock fl = {.l_type = types[rnd(w, COUNT(types))], .l_whence = SEEK_SET,
	                   .l_start = (off_t)rnd(w, 100), .l_len = (off_t)rnd(w, 100)};
	unsigned k;
	const struct slot *s = any_slot(w, &k);
	long r;

	if ((cmd == F_OFD_GETLK || cmd == F_GETLK) && fl.l_type == F_UNLCK)
		fl.l_type = F_WRLCK;
	say(w, "fcntl(#%u, lock %d, %d, %lld, %lld)", k, cmd, fl.l_type, (long long)fl.l_start,
	    (long long)fl.l_len);
	r = fcntl(s->fd, cmd, &fl);
	if (r == 0 && (cmd == F_OFD_GETLK || cmd == F_GETLK)) {
		fprintf(w->out, " %s", fl.l_type == F_UNLCK ? "free" : "locked");
		/* which one, if several are in the way, may change when they are made again */
		if (fl.l_type != F_UNLCK && !w->recovers)
			fprintf(w->out, " %d %lld %lld", fl.l_type, (long long)fl.l_start,
			        (long long)fl.l_len);
	}
	result(w, r);
}

static void do_flock(struct worker *w)
{
	static const int ops[] = {LOCK_SH, LOCK_EX, LOCK_UN};
	const int op = ops[rnd(w, COUNT(ops))] | LOCK_NB;
	unsigned k;
	const struct slot *s = any_slot(w, &k);

	say(w, "flock(#%u, %d)", k, op);
	result(w, flock(s->fd, op));
}

/* ---- steps ---- */

static const struct {
	void (*fn)(struct worker *);
	unsigned weight;
} g_calls[] = {
	{do_open, 18}, {do_open_dir, 3}, {do_close, 3}, {do_dup, 3}, {do_flags, 2},
	{do_write, 12}, {do_writev, 3}, {do_pwrite, 6}, {do_read, 5}, {do_pread, 5},
	{do_readv, 2}, {do_seek, 5}, {do_truncate, 4}, {do_fallocate, 4}, {do_copy_range, 3},
	{do_sendfile, 2}, {do_sync, 1}, {do_mmap, 2}, {do_mkdir, 5}, {do_mksock, 1},
	{do_unlink, 7}, {do_rename, 8}, {do_link, 5}, {do_symlink, 4}, {do_readlink, 2},
	{do_stat, 4}, {do_fstat, 5}, {do_access, 2}, {do_chmod, 3}, {do_times, 2},
	{do_xattr, 5}, {do_list, 4}, {do_chdir, 2}, {do_lock, 6}, {do_flock, 3},
};

void steps_prepare(struct worker *w)
{
	/* "d4" is left to be made */
	for (size_t i = 0; i < 4; i++)
		(void)mkdirat(w->base, g_dirs[i], 0755);
	for (unsigned k = 0; k < SLOTS - 2; k++)
		keep(w, k, openat(w->base, g_files[k], O_CREAT | O_RDWR, 0644));
	keep(w, SLOTS - 2, openat(w->base, "d1", O_RDONLY | O_DIRECTORY));
	keep(w, SLOTS - 1, openat(w->base, "d0", O_RDONLY | O_DIRECTORY));
}

void step_run(struct worker *w)
{
	uint32_t total = 0, k;

	for (size_t i = 0; i < COUNT(g_calls); i++)
		total += g_calls[i].weight;
	k = rnd(w, total);
	for (size_t i = 0; i < COUNT(g_calls); i++) {
		if (k < g_calls[i].weight) {
			g_calls[i].fn(w);
			return;
		}
		k -= g_calls[i].weight;
	}
}
