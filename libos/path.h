/* SPDX-License-Identifier: MIT */
/*
 * path.h - where a path given to a call leads: into fsd, or to libos itself.
 *
 *     struct fpath p;
 *     long r = path_get(&p, dirfd, user_path, PATH_NOFOLLOW);
 *     if (r < 0) return r;
 *     do {
 *             ... p.where says what p.text and p.base mean; ask, and set r ...
 *     } while (path_again(&p, PATH_NOFOLLOW, &r));
 *     path_put(&p);
 *
 * Names below /dev and /proc are libos's own (local.h).  The first test is on the
 * path made absolute and normal as text; where only fsd's walk comes there (by a
 * symbolic link that it keeps, or by ".."), fsd answers EREMOTE and path_again()
 * goes on with what is left.  A path of two does not (link, rename: EXDEV).
 *
 * Layer:     libos.
 * Ownership: a struct fpath holds a reference on the directory that it starts
 *            from, until path_put().
 * Locking:   thread-safe; the current directory's lock is a leaf.
 * Memory:    the struct is the storage (about 8 KiB, on the caller's stack).
 * Errors:    0 or a negative errno.
 */
#ifndef LIBOS_PATH_H
#define LIBOS_PATH_H

#include "libos/abi.h"
#include "libos/local.h"
#include "libos/ofd.h"

#include <stdbool.h>
#include <stdint.h>

#define PATH_NOFOLLOW 1u /* a last component that is a link is meant itself */
#define PATH_EMPTY 2u    /* AT_EMPTY_PATH: "" names the directory descriptor */
#define PATH_NO_MAGIC 4u /* RESOLVE_NO_MAGICLINKS: -ELOOP */
#define PATH_SCOPED 8u   /* RESOLVE_BENEATH, IN_ROOT: stays below a directory of fsd */

enum path_where {
	PATH_FSD,   /* fsd resolves p->text from handle p->base; "" is base itself */
	PATH_OFD,   /* means p->ofd, which is not of kind OFD_FILE */
	PATH_LOCAL, /* local_*(p->text): absolute and normal */
};

struct fpath {
	enum path_where where;
	uint32_t base; /* PATH_FSD: 0 is the guest's root */
	const char *text;
	uint32_t len;
	bool slash;   /* PATH_LOCAL: the path ended in a slash (a directory is meant) */
	bool at_cwd;  /* p->ofd is the current directory */
	uint8_t hops; /* how often fsd sent us on */
	bool link;    /* PATH_LOCAL: a link or /proc/self/fd/N not to be followed */
	struct ofd *ofd;         /* reference, or NULL */
	char norm[ABI_PATH_MAX]; /* normal form, when it had to be made */
	char buf[ABI_PATH_MAX];  /* as the program gave it */
};

/* Take @user_path relative to @dirfd (AT_FDCWD or a descriptor). */
long path_get(struct fpath *p, int dirfd, const char *user_path, unsigned flags)
        __attribute__((warn_unused_result));
/* The same for a path of libos's own. */
long path_get_text(struct fpath *p, const char *text, unsigned flags)
        __attribute__((warn_unused_result));
/* What descriptor @fd refers to, as an empty path does. */
long path_get_fd(struct fpath *p, int fd) __attribute__((warn_unused_result));
/* fsd answered *@r for @p.  True: not its path, @p now says whose; ask again.
 * @flags as in path_get(). */
bool path_again(struct fpath *p, unsigned flags, long *r)
        __attribute__((warn_unused_result));
void path_put(struct fpath *p);

/* Put the normal form of @dir + "/" + @path into @out (room for ABI_PATH_MAX): one
 * leading slash, no "." and "..", no empty component, no slash at the end.
 * @dir is absolute and normal; not looked at if @path is absolute.  Length, or
 * -ENAMETOOLONG. */
long path_normalize(char *out, const char *dir, const char *path);

/* What the path says as an absolute, normal one, for PATH_FSD: length, or 0 if it
 * can not be told or does not fit. */
size_t path_text(const struct fpath *p, char *to, size_t size);

/* Set the current directory at start: @text is absolute; falls back to "/". */
int path_init(const char *text);

#endif /* LIBOS_PATH_H */
