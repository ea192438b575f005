/* SPDX-License-Identifier: MIT */
/*
 * identity.c - get*id, set*id, groups.
 *
 * A slot never changes while a thread refers to it: a change takes the slot of an
 * equal set, or a free one, and moves the thread there.
 */
#include "libos/identity.h"

#include "libos/lock.h"
#include "libos/syscall.h"
#include "libos/user.h"

#include <errno.h>

#define KEEP UINT32_MAX

static struct cred g_creds[RPC_CREDS_MAX];
static uint32_t g_refs[RPC_CREDS_MAX]; /* threads; under g_cred_lock */
static struct lock g_cred_lock = LOCK_INIT;

const struct cred *cred_current(void)
{
	return &g_creds[self()->cred];
}

bool cred_privileged(void)
{
	return cred_current()->euid == 0;
}

bool cred_in_group(uint32_t gid)
{
	const struct cred *c = cred_current();

	if (c->fsgid == gid)
		return true;
	for (uint32_t i = 0; i < c->n_groups; i++) {
		if (c->groups[i] == gid)
			return true;
	}
	return false;
}

void identity_init(void)
{
	struct cred *c = &g_creds[0];

	c->uid = c->euid = c->suid = c->fsuid = g_config.uid;
	c->gid = c->egid = c->sgid = c->fsgid = g_config.gid;
	c->n_groups = g_config.n_groups;
	if (c->n_groups > RPC_GROUPS_MAX)
		c->n_groups = RPC_GROUPS_MAX;
	for (uint32_t i = 0; i < c->n_groups; i++)
		c->groups[i] = g_config.groups[i];
	c->version = 1;
	g_refs[0] = 1; /* the session's own: never free */
}

static void publish(struct thread *t, uint32_t index)
{
	t->cred = index;
	t->fsuid = g_creds[index].fsuid;
	t->fsgid = g_creds[index].fsgid;
}

void identity_thread_init(struct thread *t, const struct thread *parent)
{
	uint32_t index = parent ? parent->cred : 0;

	lock_take(&g_cred_lock);
	g_refs[index]++;
	lock_drop(&g_cred_lock);
	publish(t, index);
}

void identity_thread_exit(struct thread *t)
{
	lock_take(&g_cred_lock);
	g_refs[t->cred]--;
	lock_drop(&g_cred_lock);
}

static bool same_ids(const struct cred *a, const struct cred *b)
{
	if (a->uid != b->uid || a->euid != b->euid || a->suid != b->suid ||
	    a->fsuid != b->fsuid || a->gid != b->gid || a->egid != b->egid ||
	    a->sgid != b->sgid || a->fsgid != b->fsgid || a->n_groups != b->n_groups)
		return false;
	for (uint32_t i = 0; i < a->n_groups; i++) {
		if (a->groups[i] != b->groups[i])
			return false;
	}
	return true;
}

/* The slot to hold @want: an equal one in use, else a free one; -1: none. */
static int find_slot_locked(const struct cred *want)
{
	int room = -1;

	for (int i = 0; i < (int)RPC_CREDS_MAX; i++) {
		if (g_refs[i] != 0 && same_ids(&g_creds[i], want))
			return i;
		if (g_refs[i] == 0 && room < 0)
			room = i;
	}
	return room;
}

bool cred_slot(uint32_t index, struct cred *out)
{
	bool used;

	lock_take(&g_cred_lock);
	used = g_refs[index] != 0;
	if (used)
		*out = g_creds[index];
	lock_drop(&g_cred_lock);
	return used;
}

/* Make @want the calling thread's ids. */
static long commit(const struct cred *want)
{
	struct thread *t = self();
	int slot;

	if (same_ids(cred_current(), want))
		return 0;
	lock_take(&g_cred_lock);
	g_refs[t->cred]--; /* may be the only user: then its own slot is free */
	slot = find_slot_locked(want);
	if (slot < 0) {
		g_refs[t->cred]++;
		lock_drop(&g_cred_lock);
		return -EAGAIN;
	}
	if (g_refs[slot] == 0) {
		uint32_t version = g_creds[slot].version + 1;

		g_creds[slot] = *want;
		g_creds[slot].index = (uint32_t)slot;
		g_creds[slot].version = version ? version : 1;
	}
	g_refs[slot]++;
	lock_drop(&g_cred_lock);
	publish(t, (uint32_t)slot);
	return 0;
}

SYSCALL(getuid, void)
{
	return cred_current()->uid;
}

SYSCALL(geteuid, void)
{
	return cred_current()->euid;
}

SYSCALL(getgid, void)
{
	return cred_current()->gid;
}

SYSCALL(getegid, void)
{
	return cred_current()->egid;
}

static long put_three(void *const user[3], const uint32_t id[3])
{
	for (int i = 0; i < 3; i++) {
		if (user_copy_out(user[i], &id[i], sizeof(id[i])) != 0)
			return -EFAULT;
	}
	return 0;
}

SYSCALL(getresuid, void *r, void *e, void *s)
{
	const struct cred *c = cred_current();

	return put_three((void *[3]){r, e, s}, (uint32_t[3]){c->uid, c->euid, c->suid});
}

SYSCALL(getresgid, void *r, void *e, void *s)
{
	const struct cred *c = cred_current();

	return put_three((void *[3]){r, e, s}, (uint32_t[3]){c->gid, c->egid, c->sgid});
}

static bool one_of_uids(const struct cred *c, uint32_t id)
{
	return id == c->uid || id == c->euid || id == c->suid;
}

static bool one_of_gids(const struct cred *c, uint32_t id)
{
	return id == c->gid || id == c->egid || id == c->sgid;
}

SYSCALL(setuid, long uid_arg)
{
	uint32_t uid = (uint32_t)uid_arg;
	struct cred c = *cred_current();

	if (uid == KEEP)
		return -EINVAL;
	if (c.euid == 0)
		c.uid = c.suid = uid;
	else if (uid != c.uid && uid != c.suid)
		return -EPERM;
	c.euid = c.fsuid = uid;
	return commit(&c);
}

SYSCALL(setgid, long gid_arg)
{
	uint32_t gid = (uint32_t)gid_arg;
	struct cred c = *cred_current();

	if (gid == KEEP)
		return -EINVAL;
	if (c.euid == 0)
		c.gid = c.sgid = gid;
	else if (gid != c.gid && gid != c.sgid)
		return -EPERM;
	c.egid = c.fsgid = gid;
	return commit(&c);
}

SYSCALL(setreuid, long ruid_arg, long euid_arg)
{
	uint32_t ruid = (uint32_t)ruid_arg, euid = (uint32_t)euid_arg;
	const struct cred *old = cred_current();
	struct cred c = *old;
	bool may = old->euid == 0;

	if (ruid != KEEP) {
		if (!may && ruid != old->uid && ruid != old->euid)
			return -EPERM;
		c.uid = ruid;
	}
	if (euid != KEEP) {
		if (!may && !one_of_uids(old, euid))
			return -EPERM;
		c.euid = euid;
	}
	if (ruid != KEEP || (euid != KEEP && euid != old->uid))
		c.suid = c.euid;
	c.fsuid = c.euid;
	return commit(&c);
}

SYSCALL(setregid, long rgid_arg, long egid_arg)
{
	uint32_t rgid = (uint32_t)rgid_arg, egid = (uint32_t)egid_arg;
	const struct cred *old = cred_current();
	struct cred c = *old;
	bool may = old->euid == 0;

	if (rgid != KEEP) {
		if (!may && rgid != old->gid && rgid != old->egid)
			return -EPERM;
		c.gid = rgid;
	}
	if (egid != KEEP) {
		if (!may && !one_of_gids(old, egid))
			return -EPERM;
		c.egid = egid;
	}
	if (rgid != KEEP || (egid != KEEP && egid != old->gid))
		c.sgid = c.egid;
	c.fsgid = c.egid;
	return commit(&c);
}

SYSCALL(setresuid, long ruid_arg, long euid_arg, long suid_arg)
{
	uint32_t id[3] = {(uint32_t)ruid_arg, (uint32_t)euid_arg, (uint32_t)suid_arg};
	struct cred c = *cred_current();

	for (int i = 0; i < 3; i++) {
		if (id[i] != KEEP && c.euid != 0 && !one_of_uids(&c, id[i]))
			return -EPERM;
	}
	c.uid = id[0] != KEEP ? id[0] : c.uid;
	c.euid = id[1] != KEEP ? id[1] : c.euid;
	c.suid = id[2] != KEEP ? id[2] : c.suid;
	c.fsuid = c.euid;
	return commit(&c);
}

SYSCALL(setresgid, long rgid_arg, long egid_arg, long sgid_arg)
{
	uint32_t id[3] = {(uint32_t)rgid_arg, (uint32_t)egid_arg, (uint32_t)sgid_arg};
	struct cred c = *cred_current();

	for (int i = 0; i < 3; i++) {
		if (id[i] != KEEP && c.euid != 0 && !one_of_gids(&c, id[i]))
			return -EPERM;
	}
	c.gid = id[0] != KEEP ? id[0] : c.gid;
	c.egid = id[1] != KEEP ? id[1] : c.egid;
	c.sgid = id[2] != KEEP ? id[2] : c.sgid;
	c.fsgid = c.egid;
	return commit(&c);
}

/* setfs*id return the old id whether they did it or not. */
SYSCALL(setfsuid, long uid_arg)
{
	uint32_t uid = (uint32_t)uid_arg;
	struct cred c = *cred_current();
	uint32_t old = c.fsuid;

	if (uid == KEEP || (c.euid != 0 && uid != old && !one_of_uids(&c, uid)))
		return old;
	c.fsuid = uid;
	(void)commit(&c); /* no way to tell; a caller looks by setting -1 */
	return old;
}

SYSCALL(setfsgid, long gid_arg)
{
	uint32_t gid = (uint32_t)gid_arg;
	struct cred c = *cred_current();
	uint32_t old = c.fsgid;

	if (gid == KEEP || (c.euid != 0 && gid != old && !one_of_gids(&c, gid)))
		return old;
	c.fsgid = gid;
	(void)commit(&c);
	return old;
}

SYSCALL(getgroups, long size_arg, void *user_list)
{
	const struct cred *c = cred_current();
	int size = (int)size_arg;

	if (size < 0)
		return -EINVAL;
	if (size == 0)
		return c->n_groups;
	if (c->n_groups > (uint32_t)size)
		return -EINVAL;
	if (user_copy_out(user_list, c->groups, c->n_groups * sizeof(c->groups[0])) !=
	    0)
		return -EFAULT;
	return c->n_groups;
}

SYSCALL(setgroups, long size_arg, const void *user_list)
{
	struct cred c = *cred_current();
	uint32_t size = (uint32_t)size_arg;

	if (c.euid != 0)
		return -EPERM;
	if (size > RPC_GROUPS_MAX)
		return -EINVAL;
	if (user_copy_in(c.groups, user_list, size * sizeof(c.groups[0])) != 0)
		return -EFAULT;
	c.n_groups = size;
	/* Linux keeps them sorted, and getgroups shows it. */
	for (uint32_t i = 1; i < size; i++) {
		uint32_t g = c.groups[i], j = i;

		for (; j > 0 && c.groups[j - 1] > g; j--)
			c.groups[j] = c.groups[j - 1];
		c.groups[j] = g;
	}
	return commit(&c);
}
