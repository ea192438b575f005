/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "services/fsd/again.h"

#include "services/fsd/instance.h"

#include <errno.h>
#include <string.h>

struct again again_get(const struct task *t, enum again_kind kind)
{
	struct again a = {.mark = JOURNAL_NONE};

	if (!rpc_req_replay(t->req) || !rpc_journal_get(t->req, &a.e) ||
	    a.e.kind != (uint32_t)kind)
		return a;
	a.mark = atomic_load_explicit(&a.e.mark, memory_order_relaxed);
	return a;
}

/* Signed, as an open file without a name has nothing else to tell whose it is. */
uint64_t again_tag(const struct task *t, const struct object *o)
{
	struct {
		uint8_t client[RPC_CLIENT_ID_LEN];
		uint64_t ino, born;
	} text = {.ino = o->ino, .born = o->born};

	memcpy(text.client, t->session->client_id, sizeof text.client);
	return o->ino << 24 |
	       siphash(&serve_instance()->journal, &text, sizeof text) >> 40;
}

int again_make(struct task *t, const struct node *dir, const char *name,
               int (*make)(struct task *t, const struct node *dir, const char *name,
                           const void *arg),
               const void *arg)
{
	const struct again a = again_get(t, AGAIN_MAKE);
	struct object is, was;
	struct name_lock l;
	int r;

	names_lock(&l, dir->mount, name, NULL);
	r = names_look(dir, name, &is);
	if (r < 0) { /* who may not look may not make: the kernel says why */
		r = make(t, dir, name, arg);
		names_unlock(&l);
		return r;
	}
	names_was(dir, name, &is, &was);
	if (a.mark == JOURNAL_INTENT && was.there) {
		rpc_journal_done(t->req, 0, 0);
	} else if (is.there) {
		r = -EEXIST;
	} else {
		rpc_journal_intent(t->req, AGAIN_MAKE, 0, 0, 0);
		names_touch(dir, name, &is);
		r = make(t, dir, name, arg);
		rpc_journal_done(t->req, -r, 0);
	}
	names_unlock(&l);
	return r;
}

bool again_was_changed(const struct task *t, enum again_kind kind,
                       const struct node *dir, const char *name,
                       const struct object *is)
{
	const struct again a = again_get(t, kind);
	const struct object then = {true, a.e.a, a.e.b};
	struct object was;

	if (a.mark != JOURNAL_INTENT)
		return false;
	names_was(dir, name, is, &was);
	if (names_same(&was, &then))
		return false;
	rpc_journal_done(t->req, 0, 0);
	return true;
}
