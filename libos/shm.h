/* SPDX-License-Identifier: MIT */
/*
 * shm.h - memory files: memfd_create() and /dev/shm.
 *
 * Layer:     libos.
 * Ownership: as local.h, which calls these for paths below /dev/shm; @name is one
 *            component.
 * Locking:   thread-safe; call without locks.
 * Memory:    contents are platform objects (plat_shm_*); the rest pools.
 * Errors:    0 or a value >= 0 on success, a negative errno on failure.
 */
#ifndef LIBOS_SHM_H
#define LIBOS_SHM_H

#include "libos/abi.h"
#include "libos/ofd.h"

long shm_add_seals(struct ofd *o, unsigned seals);
long shm_get_seals(struct ofd *o);

long shm_open_name(const char *name, int flags, uint32_t mode, struct ofd **out);
/* Another description of what @o is open on, named or not: /proc/self/fd/N. */
long shm_reopen(struct ofd *o, int flags, struct ofd **out);
long shm_stat_name(const char *name, struct kstat *st);
long shm_unlink_name(const char *name);
long shm_link_name(const char *from, const char *to);
long shm_rename_name(const char *from, const char *to, unsigned flags);
long shm_truncate_name(const char *name, uint64_t size);
long shm_chmod_name(const char *name, uint32_t mode);
long shm_chown_name(const char *name, uint32_t uid, uint32_t gid);
long shm_utimens_name(const char *name, const struct timespec times[2]);
/* The first name whose cookie is at least *@cookie, which becomes its own; @to has
 * room for ABI_NAME_MAX + 1 bytes.  False: no more. */
bool shm_next_name(uint64_t *cookie, char *to, uint64_t *ino);

long shm_chmod(struct ofd *o, uint32_t mode);
long shm_chown(struct ofd *o, uint32_t uid, uint32_t gid);
long shm_utimens(struct ofd *o, const struct timespec times[2]);
long shm_fd_name(struct ofd *o, char *to, size_t size);

#endif /* LIBOS_SHM_H */
