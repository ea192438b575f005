/* SPDX-License-Identifier: MIT */
/*
 * xs.h - xenstore, through libxenstore, loaded when it is needed.
 *
 * Layer:     tools.
 * Ownership: what is returned is malloc'd, for the caller.
 * Locking:   one thread; one connection a process (xst_open() in each).
 * Errors:    0 or a negative errno; xst_why() has a sentence for those that are limits.
 */
#ifndef TOOLS_STRAIT_XEN_XS_H
#define TOOLS_STRAIT_XEN_XS_H

#include <stdbool.h>
#include <stdint.h>

#define XST_RELEASE "@releaseDomain"
#define XST_VALUE_MAX 3800 /* bytes; a packet has 4096, its path in it */

/* Says and exits 125 when there is no library or no xenstored. */
void xst_open(void);
char *xst_read(const char *path); /* NULL: not there, or not readable */
bool xst_exists(const char *path);
/* Write @value (NULL: make a directory) at @path; dom0 owns it, domain @reader may
 * read it (0: nobody else). */
int xst_put(const char *path, const char *value, unsigned reader)
	__attribute__((warn_unused_result));
/* Of a node that is there: who may read it stays as it is. */
int xst_set(const char *path, const char *value);
/* @path is there for both, and for nobody else. */
int xst_put_for_two(const char *path, const char *value, unsigned a, unsigned b);
int xst_rm(const char *path); /* with all below; 0 also when it was not there */
/* Names below @path, NULL-terminated; NULL: none. */
char **xst_list(const char *path);
/* All puts and rms between these take effect at once.  xst_commit() answers -EAGAIN when
 * it must be done again. */
int xst_begin(void) __attribute__((warn_unused_result));
int xst_commit(void) __attribute__((warn_unused_result));
void xst_abort(void);
/* What follows is outside of the transaction that is open, until it is taken up again.  One
 * may wait so; another one may be begun and ended meanwhile. */
void xst_set_aside(void);
void xst_take_up(void);
/* Let the domains @ids see @releaseDomain, and those of @gone no more.  Xen up to 4.17
 * does not tell who else may: then it is dom0 and these alone. */
struct xst_domids {
	unsigned n, id[128];
};
int xst_release_readers(const struct xst_domids *ids, const struct xst_domids *gone)
	__attribute__((warn_unused_result));
int xst_watch(const char *path) __attribute__((warn_unused_result));
/* Wait until something watched has changed, at most @ms; all changes are taken.
 * 1, 0 (too late) or negative errno.  *released: XST_RELEASE was among them. */
int xst_wait(int ms, bool *released);
/* What @err means, with the name of the limit where it is one. */
const char *xst_why(int err);

#endif /* TOOLS_STRAIT_XEN_XS_H */
