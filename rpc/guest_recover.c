/* SPDX-License-Identifier: MIT */
/*
 * A session that outlives the service's instance.
 *
 *   UP ──the service left──> AWAY ──its next instance is there──> RESTORE
 *   RESTORE: hello; the client opens again what was open; posts nobody read
 *   RESEND:  calls that the old instance had begun (its journal tells) are sent again
 *            by the threads that wait for them; when all are answered, Recovered
 *   UP:      everybody goes on; calls not begun are sent, as new ones are
 *
 * The recovery thread does all but the resending.  The old instance is dead (the
 * platform says so) before the first step, so what it left in the old ring is final:
 * replies, which are taken; the journal's entries of calls in flight, which go to the
 * new page; posts it did not read, which are sent again.  A call keeps its slot and
 * number for its whole life.
 *
 * Every step may find that the new instance left, too (state AWAY again): then the
 * recovery thread's own call ends with -EIO and it begins anew.  Posts that it had not
 * read, or that had not been sent to it yet, are kept for the one after.
 */
#include "rpc/guest_priv.h"

#include "session.pb-c.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#define METHOD_RECOVERED 4u
#define NEXT_NS 50000000ull
#define RESEND_NS 5000000000ull /* a thread that does not get to it sends later */

static const char *name_of(const struct rpc_chan *ch)
{
	return ch == &g_file_chan ? "fsd" : "netd";
}

static bool away(const struct rpc_chan *ch)
{
	return atomic_load(&ch->state) == CHAN_AWAY;
}

/* ---- what the old ring leaves ---- */

struct kept {
	struct journal_entry journal[RPC_SLOTS_MAX];
	uint32_t n_posts; /* bytes */
	uint32_t resent;  /* of them, in the ring of the instance that is there now */
	uint8_t posts[];  /* whole frames */
};

static void left_get(const struct rpc_chan *ch, uint32_t at, void *to, uint32_t n)
{
	const uint32_t from = at & (ch->size - 1);
	const uint32_t first = n < ch->size - from ? n : ch->size - from;

	memcpy(to, ch->left + from, first);
	if (first < n)
		memcpy((uint8_t *)to + first, ch->left, n - first);
}

/* Posts that the instance before did not read, to @to, at most @max bytes.  It could
 * write to our ring: each header is checked as if it were its. */
static uint32_t unread_posts(const struct rpc_chan *ch, uint8_t *to, uint32_t max)
{
	const uint32_t cons = atomic_load(&ch->ctl->left_cons);
	const uint32_t used = ch->tx_prod - cons;
	struct frame f;
	uint32_t off = 0, n = 0;

	while (used <= ch->size && used - off >= FRAME_HDR_LEN) {
		left_get(ch, cons + off, &f, FRAME_HDR_LEN);
		if (frame_check(&f, FRAME_AT_SERVICE) || frame_ring_len(f.len) > used - off)
			break;
		if (f.kind == FRAME_POST && FRAME_SERVICE(f.method) == ch->ops->service_id) {
			if (frame_ring_len(f.len) > max - n)
				break;
			memcpy(to + n, &f, FRAME_HDR_LEN);
			left_get(ch, cons + off + FRAME_HDR_LEN, to + n + FRAME_HDR_LEN,
			         f.len - FRAME_HDR_LEN);
			n += frame_ring_len(f.len);
		}
		off += frame_ring_len(f.len);
	}
	return n;
}

/* What is unread is the end of what was sent: it comes before what was not. */
static void keep_posts(const struct rpc_chan *ch, struct kept *k)
{
	const uint32_t rest = k->n_posts - k->resent;
	const uint32_t n = unread_posts(ch, k->posts, k->resent);

	memmove(k->posts + n, k->posts + k->resent, rest);
	k->n_posts = n + rest;
	k->resent = 0;
}

static struct journal_entry *journal_of(struct rpc_chan *ch)
{
	return (struct journal_entry *)(void *)((uint8_t *)ch->ctl + JOURNAL_OFFSET);
}

/* tx is held: no call gets into either ring now.  Which ones were in flight, and what
 * the old instance noted of them. */
static void mark_calls(struct rpc_chan *ch, struct kept *k)
{
	const struct journal_entry *from = k->journal;
	struct journal_entry *to = journal_of(ch);
	uint32_t n = 0;

	lock_take(&ch->slots_lock);
	for (unsigned i = 0; i < ch->n_slots; i++) {
		struct rpc_call *call = ch->calls[i];

		if (!call || i == ch->own_slot)
			continue;
		call->counted = from[i].seq == ch->seq[i] &&
		                atomic_load(&from[i].mark) != JOURNAL_NONE;
		atomic_store(&call->again, call->counted ? CALL_BEGUN : CALL_LATER);
		n += call->counted;
		if (call->counted)
			memcpy(&to[i], &from[i], sizeof(to[i]));
	}
	atomic_store(&ch->resend, n);
	lock_drop(&ch->slots_lock);
}

/* Swap the memory; under the lead and tx. */
static int renew_locked(struct rpc_chan *ch, struct kept *k)
{
	uint32_t from = CHAN_AWAY;
	int r;

	/* That alone: who just sent may look at the rest, and asks for no lock. */
	memcpy(k->journal, journal_of(ch), sizeof(k->journal));
	keep_posts(ch, k);
	r = plat_channel_renew(ch->id);
	if (r < 0)
		return r;
	mark_calls(ch, k);
	ch->tx_prod = atomic_load(&ch->ctl->left_prod);
	ch->rx_cons = atomic_load(&ch->ctl->right_cons);
	ch->tx_post_seq = 0;
	ch->rx_event_seq = 0;
	atomic_store(&ch->credit_due, 0);
	atomic_store(&ch->ctl->cli_live, 1);
	return atomic_compare_exchange_strong(&ch->state, &from, CHAN_RESTORE) ? 0 : -ESHUTDOWN;
}

static int renew(struct rpc_chan *ch, struct kept *k)
{
	int r;

	rpc_lead_take();
	chan_drain(ch);
	lock_take(&ch->tx);
	r = away(ch) ? renew_locked(ch, k) : -ESHUTDOWN;
	lock_drop(&ch->tx);
	rpc_lead_drop();
	return r;
}

/* ---- the steps ---- */

static int take_bytes(void *arg, void *ring, size_t n)
{
	const uint8_t **at = arg;

	if (!ring) {
		*at -= n;
		return 0;
	}
	memcpy(ring, *at, n);
	*at += n;
	return 0;
}

static int resend_posts(struct rpc_chan *ch, struct kept *k)
{
	while (k->resent < k->n_posts) {
		const uint8_t *p = k->posts + k->resent, *payload;
		struct frame f;

		memcpy(&f, p, FRAME_HDR_LEN);
		payload = p + FRAME_HDR_LEN + f.msg_len;
		struct tx_frame t = {.hdr = {.kind = FRAME_POST, .method = f.method},
		                     .packed = p + FRAME_HDR_LEN,
		                     .n_packed = f.msg_len,
		                     .source = take_bytes,
		                     .source_arg = &payload,
		                     .source_len = f.payload_len};

		const int r = tx_send(ch, &t);

		if (r < 0)
			return r;
		k->resent += frame_ring_len(f.len);
	}
	return 0;
}

/* Let the waiting threads send again what was begun, and wait for the answers: others'
 * new calls must find it done. */
static int resend_calls(struct rpc_chan *ch)
{
	const uint64_t end = plat_mono_ns() + RESEND_NS;
	uint32_t from = CHAN_RESTORE;

	if (!atomic_compare_exchange_strong(&ch->state, &from, CHAN_RESEND))
		return -EIO;
	calls_wake(ch);
	while (atomic_load(&ch->resend) && atomic_load(&ch->state) == CHAN_RESEND &&
	       plat_mono_ns() < end)
		rpc_wait(plat_mono_ns() + 100000000u);
	return atomic_load(&ch->state) == CHAN_RESEND ? 0 : -EIO;
}

static int say_recovered(struct rpc_chan *ch)
{
	struct rpc_call call;
	Session__Empty req = SESSION__EMPTY__INIT;

	rpc_call_init(&call);
	return session_call(ch, METHOD_RECOVERED, &req.base, &call);
}

/* 0: up.  Else the step that failed is in *why. */
static int restore(struct rpc_chan *ch, struct kept *k, const char **why)
{
	struct rpc_restore what;
	uint32_t from = CHAN_RESEND;
	int r;

	*why = "the next instance refused hello";
	r = say_hello(ch, &what);
	if (r < 0)
		return r;
	*why = "what was open could not be opened again";
	r = ch->ops->on_restore(&what);
	if (r < 0)
		return r;
	*why = "the session could not be resumed";
	r = resend_posts(ch, k);
	if (r == 0)
		r = resend_calls(ch);
	if (r == 0)
		r = say_recovered(ch);
	if (r == 0 && !atomic_compare_exchange_strong(&ch->state, &from, CHAN_UP))
		r = -EIO;
	return r;
}

/* Until up, or with *why to be lost. */
static int recover(struct rpc_chan *ch, struct kept *k, const char **why)
{
	const uint64_t deadline = plat_mono_ns() + g_config.recover_ns;
	uint32_t epoch;
	int r;

	k->n_posts = k->resent = ch->size; /* at first, all that can be in the ring */
	for (;;) {
		r = plat_channel_reopen(ch->id, deadline, &epoch);
		*why = r == -ETIMEDOUT ? "the service did not come back in time"
		                       : "the service will not come back";
		if (r < 0)
			return r;
		r = renew(ch, k);
		if (r == -ESHUTDOWN)
			return r;
		*why = "the next instance's channel cannot be used";
		if (r < 0 && plat_mono_ns() >= deadline)
			return r;
		if (r < 0) { /* that one is gone already, or memory is short */
			rpc_wait(plat_mono_ns() + NEXT_NS);
			continue;
		}
		r = restore(ch, k, why);
		if (r == 0 || !away(ch))
			return r;
	}
}

int rpc_recover_prepare(struct rpc_chan *ch)
{
	const size_t size = sizeof(struct kept) + ch->size;
	const long at = ch->kept ? 0
	                         : plat_mmap(NULL, size, PROT_READ | PROT_WRITE,
	                                     MAP_PRIVATE | MAP_ANONYMOUS);

	if (at > 0)
		ch->kept = (struct kept *)at;
	return at < 0 ? (int)at : 0;
}

void rpc_recover(struct rpc_chan *ch)
{
	const char *why = "no memory to take the session over";
	int r;

	if (!away(ch))
		return;
	ch->restorer = rpc_current();
	r = rpc_recover_prepare(ch);
	if (r == 0)
		r = recover(ch, ch->kept, &why);
	ch->restorer = NULL;
	if (r < 0) {
		if (r != -ESHUTDOWN)
			chan_lose(ch, why);
		return;
	}
	rpc_note(name_of(ch), "the service is back");
	slots_wake(ch);
	calls_wake(ch); /* those that came meanwhile */
}
