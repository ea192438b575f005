/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "services/fsd/session.h"

#include "services/fsd/kept.h"
#include "services/fsd/lock.h"
#include "services/fsd/notify.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct session *session_new(struct rpc_conn *conn, uint32_t domid, uint32_t uid,
                            uint32_t gid, const uint32_t *groups, unsigned n_groups,
                            unsigned max_handles)
{
	static unsigned number = 2; /* 1 is nobody's, 2 is how a session sees itself */
	struct session *s = calloc(1, sizeof *s);

	if (!s)
		return NULL;
	s->conn = conn;
	s->domid = domid;
	s->number = ++number;
	s->max_handles = max_handles;
	s->uid = uid;
	s->gid = gid;
	s->n_groups = n_groups < RPC_GROUPS_MAX ? n_groups : RPC_GROUPS_MAX;
	if (s->n_groups)
		memcpy(s->groups, groups, s->n_groups * sizeof s->groups[0]);
	pool_queue_init(&s->queue);
	s->creds[0] = cred_new(uid, gid, s->groups, s->n_groups);
	if (!s->creds[0]) {
		free(s);
		return NULL;
	}
	return s;
}

void session_free(struct session *s)
{
	s->dead = true;
	lock_release_session(s);
	notify_end(s);
	for (unsigned i = 0; i < SESSION_BUCKETS; i++)
		while (s->handles[i])
			handle_drop(s, s->handles[i]);
	for (unsigned i = 0; i < RPC_CREDS_MAX; i++)
		cred_put(s->creds[i]);
	free(s);
}

/* A guest that did not begin as root has the ids it began with and no others. */
static bool may_have_gid(const struct session *s, uint32_t gid)
{
	if (gid == s->gid)
		return true;
	for (unsigned i = 0; i < s->n_groups; i++)
		if (s->groups[i] == gid)
			return true;
	return false;
}

static bool may_have(const struct session *s, uint32_t uid, uint32_t gid,
                     const uint32_t *groups, size_t n)
{
	if (s->uid == 0)
		return true;
	if (uid != s->uid || !may_have_gid(s, gid))
		return false;
	for (size_t i = 0; i < n; i++)
		if (!may_have_gid(s, groups[i]))
			return false;
	return true;
}

int session_set_cred(struct session *s, uint32_t id, uint32_t uid, uint32_t gid,
                     const uint32_t *groups, size_t n)
{
	struct cred *c;

	if (id >= RPC_CREDS_MAX || n > RPC_GROUPS_MAX || uid == UINT32_MAX ||
	    gid == UINT32_MAX)
		return -EINVAL;
	if (!may_have(s, uid, gid, groups, n))
		return -EPERM;
	c = cred_new(uid, gid, groups, (unsigned)n);
	if (!c)
		return -ENOMEM;
	cred_put(s->creds[id]);
	s->creds[id] = c;
	return 0;
}

struct cred *session_cred(struct session *s, uint32_t id)
{
	return id < RPC_CREDS_MAX ? s->creds[id] : NULL;
}

static struct handle **bucket(struct session *s, uint32_t id)
{
	return &s->handles[(id ^ id >> 12) % SESSION_BUCKETS];
}

struct handle *handle_ref(struct handle *h)
{
	atomic_fetch_add_explicit(&h->refs, 1, memory_order_relaxed);
	return h;
}

struct handle *handle_find(struct session *s, uint32_t id)
{
	struct handle *h = *bucket(s, id);

	while (h && h->id != id)
		h = h->next;
	return h ? handle_ref(h) : NULL;
}

int handle_new(struct session *s, uint32_t id, struct handle **out)
{
	struct handle *h = handle_find(s, id);

	if (h) {
		bool failed;

		pthread_mutex_lock(&h->lock);
		failed = h->state == HANDLE_FAILED && !h->waiters;
		pthread_mutex_unlock(&h->lock);
		if (failed)
			handle_drop(s, h);
		handle_put(h);
		if (!failed)
			return -EINVAL;
	}
	if (id == 0)
		return -EINVAL;
	if (s->n_handles >= s->max_handles)
		return -ENFILE;
	h = calloc(1, sizeof *h);
	if (!h)
		return -ENOMEM;
	h->id = id;
	h->session = s;
	atomic_init(&h->refs, 2);
	pthread_mutex_init(&h->lock, NULL);
	pthread_mutex_init(&h->dir, NULL);
	h->place.node = NODE_NONE;
	h->next = *bucket(s, id);
	*bucket(s, id) = h;
	s->n_handles++;
	*out = h;
	return 0;
}

void handle_put(struct handle *h)
{
	if (atomic_fetch_sub_explicit(&h->refs, 1, memory_order_acq_rel) != 1)
		return;
	kept_hold_end(h->hold);
	node_put(&h->place.node);
	if (h->inode) {
		pthread_mutex_lock(&h->inode->append);
		if (h->inode->reserved_by == h)
			h->inode->reserved_by = NULL;
		pthread_mutex_unlock(&h->inode->append);
	}
	inode_put(h->inode);
	cred_put(h->cred);
	pthread_mutex_destroy(&h->lock);
	pthread_mutex_destroy(&h->dir);
	free(h);
}

void handle_drop(struct session *s, struct handle *h)
{
	struct handle **p = bucket(s, h->id);

	while (*p && *p != h)
		p = &(*p)->next;
	if (!*p)
		return;
	*p = h->next;
	s->n_handles--;
	lock_release_handle(h);
	handle_put(h);
}
