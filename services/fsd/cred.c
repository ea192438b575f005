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

void cred_policy_set(const struct cred_policy *p)
{
	g_policy = *p;
}

uid_t cred_map_uid(uint32_t uid)
{
	return uid == 0 && g_policy.squash ? g_policy.squash_uid : uid;
}

gid_t cred_map_gid(uint32_t gid)
{
	return gid == 0 && g_policy.squash ? g_policy.squash_gid : gid;
}

struct cred *cred_new(uint32_t uid, uint32_t gid, const uint32_t *groups, unsigned n)
{
	struct cred *c = malloc(sizeof *c + n * sizeof c->groups[0]);

	if (!c)
		return NULL;
	atomic_init(&c->refs, 1);
	c->uid = cred_map_uid(uid);
	c->gid = cred_map_gid(gid);
	c->n_groups = n;
	for (unsigned i = 0; i < n; i++)
		c->groups[i] = cred_map_gid(groups[i]);
	return c;
}

struct cred *cred_real(const struct cred *c, uint32_t uid, uint32_t gid)
{
	struct cred *r = cred_new(uid, gid, NULL, 0);
	struct cred *grown;

	if (!r || c->n_groups == 0)
		return r;
	grown = realloc(r, sizeof *r + c->n_groups * sizeof r->groups[0]);
	if (!grown) {
		free(r);
		return NULL;
	}
	memcpy(grown->groups, c->groups, c->n_groups * sizeof c->groups[0]);
	grown->n_groups = c->n_groups;
	return grown;
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
static int set_groups(const struct cred *c)
{
	static const gid_t none[1];

	return syscall(SYS_setgroups, c ? (size_t)c->n_groups : 0,
	               c ? c->groups : none) < 0
	               ? -EPERM
	               : 0;
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
	r = set_groups(c);
	if (r == 0)
		r = set_ids(c ? c->uid : geteuid(), c ? c->gid : getegid());
	if (r < 0) {
		/* Half changed: back to ourselves; the caller must not go on. */
		c = NULL;
		(void)set_groups(c);
		(void)set_ids(geteuid(), getegid());
	}
	cred_put(t_cred);
	t_cred = cred_get(c);
	return r;
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
