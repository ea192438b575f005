/* SPDX-License-Identifier: MIT */
/*
 * fmap.h - the memory of one file that has shared mappings.
 *
 *     fsd's file  <->  shm (what the program stores to, through its mappings,
 *                           and what libos sees through `view`)
 *                      shadow (what fsd has, as far as we know; only if the file
 *                           is mapped from a description open for writing)
 *
 * A page where view and shadow differ is dirty.  Parts (FMAP_PART bytes) are
 * filled when first mapped.
 *
 * Layer:     libos; private to filemap.c and fmap.c.
 * Ownership: reader and writer are references on descriptions.
 * Locking:   every function under filemap.c's lock.
 * Memory:    from the platform.
 * Errors:    0 or a negative errno.
 */
#ifndef LIBOS_FMAP_H
#define LIBOS_FMAP_H

#include "libos/file.h"

#define FMAP_PART 65536u

struct fmap {
	uint32_t n_views;
	int shm;
	uint64_t size; /* of the file, in bytes, as last heard */
	uint64_t room; /* of shm, view and shadow: size in whole pages, at least one */
	uint8_t *view;
	uint8_t *shadow; /* NULL without writer */
	uint8_t *filled; /* one byte a part */
	size_t n_filled; /* parts that `filled` has room for */
	struct ofd *reader;
	struct ofd *writer; /* or NULL */
	uint32_t lost_seen; /* of the file's node */
};

/* For the file of @f, which is open for reading. */
long fmap_new(struct file *f, struct fmap **out) __attribute__((warn_unused_result));
/* Free it; what is dirty must have been flushed. */
void fmap_free(struct fmap *m);

/* @f is being mapped: hear of the file's size, and of a way to write. */
long fmap_use(struct fmap *m, struct file *f) __attribute__((warn_unused_result));
/* Have [off, off + len), as far as the file goes, in memory. */
long fmap_fill(struct fmap *m, uint64_t off, uint64_t len);
/* Take what fsd has now for the parts in memory of [off, off + len). */
long fmap_refetch(struct fmap *m, uint64_t off, uint64_t len);
/* Write what is dirty in [off, off + len) to fsd. */
long fmap_flush(struct fmap *m, uint64_t off, uint64_t len);
/* The file has @size now; what lies behind is gone. */
long fmap_resize(struct fmap *m, uint64_t size);
/* Ask fsd for the size. */
long fmap_refresh_size(struct fmap *m);

#endif /* LIBOS_FMAP_H */
