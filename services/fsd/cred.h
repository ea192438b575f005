/* SPDX-License-Identifier: MIT */
/*
 * cred.h - whose permissions a request has.
 *
 * The kernel checks: the thread that executes a request takes the guest's file
 * system ids (setfsuid, setfsgid, setgroups: of the calling thread alone).  With
 * ids other than 0 the kernel also takes away the file capabilities.  A service
 * that may not change ids does everything as itself.
 *
 * What a guest's 0 stands for depends on the mount: on one that only guests see
 * it is root (mount.keep_root), elsewhere the policy's other id.  So a credential
 * keeps the guest's ids, and a back end says before each operation that the kernel
 * checks which kind of mount it is on (cred_enter).
 *
 * Layer:     services/fsd.
 * Ownership: a struct cred is counted and constant; each holder has a reference.
 * Locking:   thread-safe.
 */
#ifndef FSD_CRED_H
#define FSD_CRED_H

#include "rpc/limits.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct cred {
	_Atomic unsigned refs;
	uint32_t uid, gid; /* as the guest names them */
	unsigned n_groups;
	bool mapped; /* there is a 0 among them: a mount may map it */
	uint32_t groups[];
};

struct cred_policy {
	bool can_set;
	bool squash;
	uid_t squash_uid;
	gid_t squash_gid;
};

void cred_policy_set(const struct cred_policy *p);
/* The id of the service domain that stands for the guest's. */
uid_t cred_map_uid(uint32_t uid, bool keep_root);
gid_t cred_map_gid(uint32_t gid, bool keep_root);
/* The owner of what @c makes on such a mount. */
uid_t cred_owner(const struct cred *c, bool keep_root);

/* A new credential with one reference; @n <= RPC_GROUPS_MAX.  NULL: no memory. */
struct cred *cred_new(uint32_t uid, uint32_t gid, const uint32_t *groups, unsigned n);
/* @c with other ids and the same groups. */
struct cred *cred_real(const struct cred *c, uint32_t uid, uint32_t gid);
struct cred *cred_get(struct cred *c);
void cred_put(struct cred *c);

/* Make the calling thread act as @c (NULL: as the service itself).  0, or -EPERM
 * when the kernel refuses the ids; the thread then acts as nobody of use. */
int cred_use(struct cred *c) __attribute__((warn_unused_result));
/* What comes next is on a mount with this policy.  No error: ids that could be
 * taken once are taken again, or the process ends. */
void cred_enter(bool keep_root);
/* The thread acts for a guest's root, which is root on such a mount. */
bool cred_is_root(bool keep_root);
/* What the thread acts as now, to be given back to cred_restore(): for a piece of
 * the service's own work in the middle of a guest's. */
struct cred *cred_save(void);
void cred_restore(struct cred *was);
/* Before a thread ends. */
void cred_thread_fini(void);

#endif /* FSD_CRED_H */
