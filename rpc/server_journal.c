/* SPDX-License-Identifier: MIT */
/*
 * The journal's writing half.  The page is shared with the guest, which may write
 * anything: what is read back is copied once and used for that guest's call alone.
 *
 * Killed between two stores the entry is what the stores before made it: fields are
 * written while the mark says that they do not count, and done leaves those of the
 * intent alone.
 */
#include "rpc/fault.h"
#include "rpc/server_priv.h"

#include <stdatomic.h>

static struct journal_entry *entry_of(const struct rpc_req *req)
{
	struct rpc_conn *c = req->conn;

	return c->journal && req->hdr.kind == FRAME_CALL ? &c->journal[req->hdr.slot] : NULL;
}

bool rpc_conn_resumed(const struct rpc_conn *c)
{
	return c->resumed;
}

bool rpc_req_replay(const struct rpc_req *req)
{
	return (req->hdr.flags & FRAME_F_REPLAY) != 0;
}

bool journal_begun(const struct rpc_conn *c, const struct frame *f)
{
	return c->journal && (f->flags & FRAME_F_REPLAY) && f->slot < c->n_slots &&
	       c->journal[f->slot].seq == f->seq &&
	       atomic_load(&c->journal[f->slot].mark) != JOURNAL_NONE;
}

static void mark(struct journal_entry *e, enum journal_mark m)
{
	atomic_store_explicit(&e->mark, m, memory_order_release);
	atomic_signal_fence(memory_order_seq_cst);
}

void rpc_journal_intent(const struct rpc_req *req, uint32_t kind, uint64_t a, uint64_t b,
                        uint64_t c)
{
	struct journal_entry *e = entry_of(req);

	if (!e)
		return;
	mark(e, JOURNAL_NONE);
	e->seq = req->hdr.seq;
	e->kind = kind;
	e->err = 0;
	e->a = a;
	e->b = b;
	e->c = c;
	e->d = 0;
	mark(e, JOURNAL_INTENT);
	rpc_fault(FAULT_INTENT, req->conn);
}

void rpc_journal_done(const struct rpc_req *req, int err, uint64_t d)
{
	struct journal_entry *e = entry_of(req);

	if (!e || e->seq != req->hdr.seq)
		return;
	rpc_fault(FAULT_DONE, req->conn);
	e->err = (uint32_t)err;
	e->d = d;
	mark(e, JOURNAL_DONE);
}

bool rpc_journal_get(const struct rpc_req *req, struct journal_entry *out)
{
	const struct journal_entry *e = entry_of(req);

	if (!e || !rpc_req_replay(req))
		return false;
	out->mark = atomic_load_explicit(&e->mark, memory_order_acquire);
	out->seq = e->seq;
	out->kind = e->kind;
	out->err = (uint32_t)frame_errno(e->err);
	out->a = e->a;
	out->b = e->b;
	out->c = e->c;
	out->d = e->d;
	return (out->mark == JOURNAL_INTENT || out->mark == JOURNAL_DONE) &&
	       out->seq == req->hdr.seq;
}
