/* SPDX-License-Identifier: MIT */
/*
 * filemap.h - files of fsd in program memory.
 *
 * MAP_PRIVATE copies the file's bytes when it is made.  MAP_SHARED gives all
 * mappings of one file in this guest the same memory, filled from fsd when a
 * part is first mapped; read() and write() of this guest agree with it.  What
 * the program stores there goes to fsd at msync, fsync, munmap and exit: a
 * shadow copy tells which pages changed, so another guest's pages stay as they
 * are.  Changes that other guests make to a part already mapped here show after
 * msync(MS_INVALIDATE).  A page past the end of a private mapping reads as
 * zeros instead of raising SIGBUS.
 *
 * Layer:     libos.
 * Ownership: each shared mapping holds a reference on its description.
 * Locking:   one sleeping lock for all of it, held across RPCs: called with no
 *            other lock held but position locks.  A file that is not mapped
 *            costs its reads and writes one atomic load.
 * Memory:    the memory of a file and its shadow come from the platform; the
 *            records of mappings from a pool.
 * Errors:    0 or a value >= 0 on success, a negative errno on failure.
 */
#ifndef LIBOS_FILEMAP_H
#define LIBOS_FILEMAP_H

#include "libos/file.h"

/* ops->mmap of regular files. */
long filemap_mmap(struct ofd *o, void *addr, size_t len, int prot, int flags,
                  uint64_t off);

/* ---- for mm.c, before the platform changes the range ---- */

/* The range is about to be unmapped or replaced: what changed is written back. */
void filemap_unmap(void *addr, size_t len);
/* May the range be given PROT_WRITE?  -EACCES over a shared mapping of a file
 * that is open read-only. */
int filemap_may_write(void *addr, size_t len);
/* mremap of a range that lies in a shared file mapping: true, with the call's
 * result in *@out; false: not ours. */
bool filemap_mremap(void *addr, size_t old_len, size_t new_len, int flags, void *to,
                    long *out);
/* remap_file_pages: the range, all in shared mappings of one file, now shows it from
 * @off on; -EINVAL where it is not that. */
long filemap_remap(void *addr, size_t len, int prot, uint64_t off);
/* The file part of msync over the range; MS_* flags. */
long filemap_msync(void *addr, size_t len, int flags);

/* ---- for the rest of the file client ---- */

/* Bytes [off, off + len) are about to be read from, or changed at, fsd. */
long filemap_before_io(struct file *f, uint64_t off, uint64_t len);
/* They were changed at fsd by a call of this guest. */
void filemap_after_write(struct file *f, uint64_t off, uint64_t len);
/* The file @dev, @ino now has @size (it may not be mapped, or not be open). */
void filemap_resized(uint64_t dev, uint64_t ino, uint64_t size);
/* Write back one file, or all (NULL). */
long filemap_flush(struct file *f);

#endif /* LIBOS_FILEMAP_H */
