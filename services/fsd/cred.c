/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "services/fsd/cred.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct cred_policy g_policy;
/* What the thread acts as; it holds a reference.  NULL: the service itself. */
static _Thread_local struct cred *t_cred;
/* A guest's root is root: as the mount said that was entered last. */
static _Thread_local bool t_keep_root;

void cred_policy_set(const struct cred_policy *p)
{
	g_policy = *p;
}

static bool squashed(bool keep_root)
{
	return g_policy.squash && !(keep_root && g_policy.can_set);
}

uid_t cred_map_uid(uint32_t uid, bool keep_root)
{
	return uid == 0 && squashed(keep_root) ? g_policy.squash_uid : uid;
}

gid_t cred_map_gid(uint32_t gid, bool keep_root)
{
	return gid == 0 && squashed(keep_root) ? g_policy.squash_gid : gid;
}

uid_t cred_owner(const struct cred *c, bool keep_root)
{
	return g_policy.can_set ? cred_map_uid(c->uid, keep_root) : geteuid();
}

struct cred *cred_new(uint32_t uid, uint32_t gid, const uint32_t *groups, unsigned n)
{
	struct cred *c = malloc(sizeof *c + n * sizeof c->groups[0]);

	if (!c)
		return NULL;
	atomic_init(&c->refs, 1);
	c->uid = uid;
	c->gid = gid;
	c->n_groups = n;
	c->mapped = uid == 0 || gid == 0;
	for (unsigned i = 0; i < n; i++) {
		c->groups[i] = groups[i];
		c->mapped |= groups[i] == 0;
	}
	return c;
}

struct cred *cred_real(const struct cred *c, uint32_t uid, uint32_t gid)
{
	return cred_new(uid, gid, c->groups, c->n_groups);
}

struct cred *cred_get(struct cred *c)
{
	if (c)
		atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
	return c;
}

void cred_put(struct cred *c)
{
	if (c && atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) == 1)
		free(c);
}

/* Raw calls: glibc's setgroups() would change every thread. */
static int set_groups(const gid_t *groups, size_t n)
{
	static const gid_t none[1];

	return syscall(SYS_setgroups, n, n ? groups : none) < 0 ? -EPERM : 0;
}

static int set_ids(uid_t uid, gid_t gid)
{
	syscall(SYS_setfsgid, gid);
	syscall(SYS_setfsuid, uid);
	/* They report no error: -1 changes nothing and tells the present id. */
	if ((gid_t)syscall(SYS_setfsgid, (gid_t)-1) != gid ||
	    (uid_t)syscall(SYS_setfsuid, (uid_t)-1) != uid)
		return -EPERM;
	return 0;
}

static int act_as(const struct cred *c, bool keep_root)
{
	gid_t groups[RPC_GROUPS_MAX];
	int r;

	if (!c) {
		r = set_groups(NULL, 0);
		return r < 0 ? r : set_ids(geteuid(), getegid());
	}
	for (unsigned i = 0; i < c->n_groups; i++)
		groups[i] = cred_map_gid(c->groups[i], keep_root);
	r = set_groups(groups, c->n_groups);
	return r < 0 ? r
	             : set_ids(cred_map_uid(c->uid, keep_root),
	                       cred_map_gid(c->gid, keep_root));
}

static bool same(const struct cred *a, const struct cred *b)
{
	if (a == b)
		return true;
	return a && b && a->uid == b->uid && a->gid == b->gid &&
	       a->n_groups == b->n_groups &&
	       memcmp(a->groups, b->groups, a->n_groups * sizeof a->groups[0]) == 0;
}

int cred_use(struct cred *c)
{
	int r;

	if (!g_policy.can_set || same(c, t_cred))
		return 0;
	r = act_as(c, t_keep_root);
	if (r < 0) {
		/* Half changed: back to ourselves; the caller must not go on. */
		c = NULL;
		(void)act_as(c, false);
	}
	cred_put(t_cred);
	t_cred = cred_get(c);
	return r;
}

static void cred_switch(bool keep_root)
{
	t_keep_root = keep_root;
	if (t_cred && t_cred->mapped && g_policy.can_set && g_policy.squash &&
	    act_as(t_cred, keep_root) < 0)
		abort(); /* half changed: going on would give a guest others' rights */
}

void cred_enter(bool keep_root)
{
	if (keep_root != t_keep_root)
		cred_switch(keep_root);
}

bool cred_is_root(bool keep_root)
{
	return g_policy.can_set && t_cred && t_cred->uid == 0 && !squashed(keep_root);
}

struct cred *cred_save(void)
{
	return cred_get(t_cred);
}

void cred_restore(struct cred *was)
{
	if (cred_use(was) < 0)
		abort(); /* going on as ourselves would give a guest our rights */
	cred_put(was);
}

void cred_thread_fini(void)
{
	cred_put(t_cred);
	t_cred = NULL;
}
