/* SPDX-License-Identifier: MIT */
/*
 * file_cred.c - whose rights count at fsd: what it was told, and what each open file
 * was opened with.
 *
 * A thread's credentials are a slot of identity.h, whose number is also their name at
 * fsd.  Slots are used again for other ids, while a file stays open with those that
 * opened it: these are kept, each set once, until the last such file goes.
 *
 * A later instance is told every slot in use, whether the earlier one knew it or not:
 * a SetCred that was answered a moment ago may not be noted here yet.
 */
#include "libos/file.h"
#include "libos/identity.h"
#include "libos/lock.h"
#include "libos/pool.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

struct file_ids {
	struct file_ids *next; /* g_ids.list; all of it under g_ids.lock */
	uint32_t refs;
	uint32_t uid, gid, n_groups;
	uint32_t groups[RPC_GROUPS_MAX];
};

static struct pool g_ids_pool = POOL_INIT(struct file_ids, 65536);

static struct {
	struct lock lock;
	struct file_ids *list;
	/* What a slot held when a file was last opened with it: a reference each. */
	struct file_ids *of_slot[RPC_CREDS_MAX];
	uint32_t version[RPC_CREDS_MAX];
} g_ids;

/* What the instance that is being told knows; recovery's thread alone. */
static struct file_ids *g_restored[RPC_CREDS_MAX];

/* ---- sets of ids ---- */

static bool same_ids(const struct file_ids *ids, const struct cred *c)
{
	return ids->uid == c->fsuid && ids->gid == c->fsgid &&
	       ids->n_groups == c->n_groups &&
	       memcmp(ids->groups, c->groups, c->n_groups * sizeof(c->groups[0])) == 0;
}

static void drop_locked(struct file_ids *ids)
{
	struct file_ids **at = &g_ids.list;

	if (!ids || --ids->refs)
		return;
	while (*at != ids)
		at = &(*at)->next;
	*at = ids->next;
	pool_put(&g_ids_pool, ids);
}

static struct file_ids *find_locked(const struct cred *c)
{
	struct file_ids *ids;

	for (ids = g_ids.list; ids; ids = ids->next) {
		if (same_ids(ids, c))
			return ids;
	}
	ids = pool_get(&g_ids_pool);
	if (!ids)
		return NULL;
	ids->uid = c->fsuid;
	ids->gid = c->fsgid;
	ids->n_groups = c->n_groups;
	memcpy(ids->groups, c->groups, c->n_groups * sizeof(c->groups[0]));
	ids->next = g_ids.list;
	g_ids.list = ids;
	return ids;
}

static struct file_ids *get_locked(const struct cred *c)
{
	struct file_ids *ids = g_ids.of_slot[c->index];

	if (!ids || g_ids.version[c->index] != c->version) {
		ids = find_locked(c);
		if (!ids)
			return NULL;
		ids->refs++; /* of_slot's */
		drop_locked(g_ids.of_slot[c->index]);
		g_ids.of_slot[c->index] = ids;
		g_ids.version[c->index] = c->version;
	}
	ids->refs++;
	return ids;
}

static struct file_ids *get(const struct cred *c)
{
	struct file_ids *ids;

	lock_take(&g_ids.lock);
	ids = get_locked(c);
	lock_drop(&g_ids.lock);
	return ids;
}

struct file_ids *file_ids_get(void)
{
	return get(cred_current());
}

void file_ids_ref(struct file_ids *ids)
{
	lock_take(&g_ids.lock);
	ids->refs++;
	lock_drop(&g_ids.lock);
}

void file_ids_put(struct file_ids *ids)
{
	lock_take(&g_ids.lock);
	drop_locked(ids);
	lock_drop(&g_ids.lock);
}

/* ---- telling fsd ---- */

static int tell(uint32_t index, uint32_t uid, uint32_t gid, uint32_t n_groups,
                const uint32_t *groups)
{
	File__SetCredReq req = FILE__SET_CRED_REQ__INIT;
	struct rpc_call call;

	rpc_call_init(&call);
	req.cred = index;
	req.uid = uid;
	req.gid = gid;
	req.n_groups = n_groups;
	req.groups = (uint32_t *)(uintptr_t)groups;
	FILE_CALL(set_cred, Empty, &req, &call);
	return call.err;
}

int file_cred(uint32_t *cred)
{
	static _Atomic uint32_t told[RPC_CREDS_MAX]; /* version + 1; 0: nothing */
	const struct cred *c = cred_current();
	int r;

	*cred = c->index;
	if (atomic_load_explicit(&told[c->index], memory_order_acquire) ==
	    c->version + 1)
		return 0;
	/* Slot 0 is what the session began with. */
	if (c->index != 0 || atomic_load(&told[0]) != 0 || c->version > 1) {
		r = tell(c->index, c->fsuid, c->fsgid, c->n_groups, c->groups);
		if (r < 0)
			return r;
	}
	atomic_store_explicit(&told[c->index], c->version + 1, memory_order_release);
	return 0;
}

/* ---- a later instance ---- */

int file_cred_restore(void)
{
	struct cred c;
	int r;

	for (uint32_t i = 0; i < RPC_CREDS_MAX; i++) {
		if (!cred_slot(i, &c))
			continue;
		/* Slot 0 is what the session begins with, here too. */
		r = i == 0 ? 0 : tell(i, c.fsuid, c.fsgid, c.n_groups, c.groups);
		if (r < 0)
			return r;
		g_restored[i] = get(&c);
	}
	return 0;
}

/* Any slot will do for ids that no thread has any more: it is given back at once. */
#define BORROWED (RPC_CREDS_MAX - 1)

int file_cred_borrow(const struct file_ids *ids, uint32_t *cred)
{
	for (uint32_t i = 0; i < RPC_CREDS_MAX; i++) {
		if (g_restored[i] == ids) {
			*cred = i;
			return 0;
		}
	}
	*cred = BORROWED;
	return tell(BORROWED, ids->uid, ids->gid, ids->n_groups, ids->groups);
}

int file_cred_return(uint32_t cred, const struct file_ids *ids)
{
	const struct file_ids *was = g_restored[cred];

	if (cred != BORROWED || was == ids || !was)
		return 0;
	return tell(cred, was->uid, was->gid, was->n_groups, was->groups);
}

void file_cred_restored(void)
{
	lock_take(&g_ids.lock);
	for (uint32_t i = 0; i < RPC_CREDS_MAX; i++) {
		drop_locked(g_restored[i]);
		g_restored[i] = NULL;
	}
	lock_drop(&g_ids.lock);
}
