/* SPDX-License-Identifier: MIT */
/*
 * identity.h - users and groups of the guest's threads.
 *
 * As in Linux each thread has its own, inherited at its start (musl repeats set*id
 * on every thread).  The sets of ids in use are slots of one table; a thread's
 * `cred` is its slot, and the number by which fsd knows it (SetCred).  The ids are
 * claims of the guest: fsd maps and checks them by the export's policy.
 *
 * Layer:     libos.
 * Ownership: cred_current() lends the calling thread's slot: unchanging until the
 *            thread itself changes its ids.
 * Locking:   one leaf lock.
 * Memory:    static, RPC_CREDS_MAX slots; setgroups takes RPC_GROUPS_MAX at most.
 * Errors:    0 or a negative errno; -EAGAIN when all slots are in use.
 */
#ifndef LIBOS_IDENTITY_H
#define LIBOS_IDENTITY_H

#include "libos/thread.h"
#include "rpc/limits.h"

#include <stdbool.h>
#include <stdint.h>

struct cred {
	uint32_t index;
	uint32_t version; /* of what the slot holds: a service that was told another
	                   * version under this index must be told again; never 0 */
	uint32_t uid, euid, suid, fsuid;
	uint32_t gid, egid, sgid, fsgid;
	uint32_t n_groups;
	uint32_t groups[RPC_GROUPS_MAX];
};

const struct cred *cred_current(void);
/* A copy of slot @index; false: no thread has it. */
bool cred_slot(uint32_t index, struct cred *out);
/* Effective user 0: may do what the superuser may in the guest. */
bool cred_privileged(void);
/* fsgid or a supplementary group. */
bool cred_in_group(uint32_t gid);

void identity_init(void); /* slot 0 from g_config; before the first thread */
void identity_thread_init(struct thread *t, const struct thread *parent);
void identity_thread_exit(struct thread *t);

#endif /* LIBOS_IDENTITY_H */
