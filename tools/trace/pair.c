/* SPDX-License-Identifier: MIT */
/*
 * A slot goes EMPTY -> CALLED -> ANSWERED -> CALLED ...; it keeps copies of the call
 * and the reply, because the packets they came in are gone when it settles.
 */
#include "tools/trace/pair.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>

#define HELLO FRAME_METHOD(RPC_SERVICE_SESSION, 0)
#define DONE FRAME_METHOD(RPC_SERVICE_SESSION, 3)

struct copy {
	struct record r;
	uint8_t *bytes;
	size_t room;
};

struct slot {
	enum { EMPTY, CALLED, ANSWERED } state;
	struct copy call, reply;
	ProtobufCMessage *args;
	char *about[N_ABOUT];
	uint64_t wake; /* PAIR_UNKNOWN until the next call tells */
};

struct waiting {
	uint64_t ticket, since;
	uint16_t method;
	char *about;
};

struct session {
	struct pair_session pub; /* first: the tree compares by it */
	struct session *next;
	struct paths paths;
	struct waiting *waiting;
	unsigned n_waiting, room_waiting;
	struct slot slots[RPC_SLOTS_MAX];
};

/* ---- sessions ---- */

static int compare(const void *a, const void *b)
{
	const struct pair_session *x = a, *y = b;

	if (x->domid != y->domid)
		return x->domid < y->domid ? -1 : 1;
	return (int)x->service - (int)y->service;
}

static struct session *session_of(struct pair *p, const struct record *r)
{
	const struct pair_session key = {.domid = r->pre.domid,
	                                 .service = r->pre.service};
	struct session *s = p->last;
	struct session *const *at;

	if (s && compare(&key, s) == 0)
		return s;
	at = tfind(&key, &p->sessions, compare);
	if (at)
		return p->last = *at;
	s = calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	s->pub = key;
	if (!tsearch(s, &p->sessions, compare)) {
		free(s);
		return NULL;
	}
	s->pub.index = p->n_sessions++;
	if (p->newest)
		((struct session *)p->newest)->next = s;
	else
		p->first = s;
	return p->newest = p->last = s;
}

/* ---- slots ---- */

static bool copy_record(struct copy *c, const struct record *r)
{
	const uint32_t payload =
	        r->payload_cap < PAIR_PAYLOAD_KEPT ? r->payload_cap : PAIR_PAYLOAD_KEPT;
	const size_t need = (size_t)r->hdr.msg_len + payload;

	if (need > c->room) {
		uint8_t *b = realloc(c->bytes, need);

		if (!b)
			return false;
		c->bytes = b;
		c->room = need;
	}
	c->r = *r;
	if (need > 0) {
		memcpy(c->bytes, r->msg, r->hdr.msg_len);
		memcpy(c->bytes + r->hdr.msg_len, r->payload, payload);
	}
	c->r.msg = c->bytes;
	c->r.payload = c->bytes ? c->bytes + r->hdr.msg_len : NULL;
	c->r.payload_cap = payload;
	return true;
}

static uint64_t span(uint64_t from, uint64_t to)
{
	return from && from != PAIR_UNKNOWN && to >= from && to != PAIR_UNKNOWN
	               ? to - from
	               : PAIR_UNKNOWN;
}

static struct pair_call view(const struct session *s, const struct slot *sl)
{
	struct pair_call c = {
	        .session = &s->pub,
	        .call = &sl->call.r,
	        .reply = sl->state == ANSWERED ? &sl->reply.r : NULL,
	        .args = sl->args,
	        .queue = span(sl->call.r.hdr.stamp, sl->call.r.pre.mono),
	        .service = PAIR_UNKNOWN,
	        .wake = PAIR_UNKNOWN,
	        .total = PAIR_UNKNOWN,
	};

	memcpy(c.about, sl->about, sizeof(c.about));
	if (!c.reply)
		return c;
	c.service = span(sl->call.r.pre.mono, sl->reply.r.pre.mono);
	c.wake = span(sl->reply.r.pre.mono, sl->wake);
	if (c.service != PAIR_UNKNOWN)
		c.total = c.service + (c.queue == PAIR_UNKNOWN ? 0 : c.queue) +
		          (c.wake == PAIR_UNKNOWN ? 0 : c.wake);
	return c;
}

static void settle(struct pair *p, struct session *s, struct slot *sl)
{
	struct pair_call c;

	if (sl->state == EMPTY)
		return;
	c = view(s, sl);
	if (sl->state == CALLED) {
		s->pub.in_flight--;
		if (p->ops->answered)
			p->ops->answered(p->ctx, &c);
	}
	if (p->ops->settled)
		p->ops->settled(p->ctx, &c);
	if (sl->args)
		protobuf_c_message_free_unpacked(sl->args, NULL);
	sl->args = NULL;
	paths_free(sl->about);
	sl->state = EMPTY;
}

/* ---- queued calls ---- */

static void wait_forget(struct session *s, unsigned i)
{
	free(s->waiting[i].about);
	memmove(&s->waiting[i], &s->waiting[i + 1],
	        (s->n_waiting - i - 1) * sizeof(s->waiting[0]));
	s->n_waiting--;
}

static void wait_add(struct session *s, const struct slot *sl)
{
	struct waiting *w;

	if (s->n_waiting == PAIR_WAITING_MAX)
		wait_forget(s, 0);
	if (s->n_waiting == s->room_waiting) {
		const unsigned room = s->room_waiting ? s->room_waiting * 2 : 16;

		w = realloc(s->waiting, room * sizeof(*w));
		if (!w)
			return; /* its Done will be an event like others */
		s->waiting = w;
		s->room_waiting = room;
	}
	s->waiting[s->n_waiting++] = (struct waiting){
	        .ticket = message_get_u64(sl->args, "ticket"),
	        .since = sl->call.r.pre.mono,
	        .method = sl->call.r.hdr.method,
	        .about = sl->about[0] ? strdup(sl->about[0]) : NULL,
	};
}

static void wait_done(struct pair *p, struct session *s, struct pair_lone *l)
{
	const uint64_t ticket = message_get_u64(l->args, "ticket");
	unsigned i = 0;

	while (i < s->n_waiting && s->waiting[i].ticket != ticket)
		i++;
	if (i < s->n_waiting) {
		l->done = true;
		l->done_method = s->waiting[i].method;
		l->done_about = s->waiting[i].about;
		l->done_waited = span(s->waiting[i].since, l->r->pre.mono);
	}
	if (p->ops->lone)
		p->ops->lone(p->ctx, l);
	if (l->done)
		wait_forget(s, i);
}

/* ---- frames ---- */

static void session_reset(struct pair *p, struct session *s)
{
	for (unsigned i = 0; i < RPC_SLOTS_MAX; i++)
		settle(p, s, &s->slots[i]);
	while (s->n_waiting)
		wait_forget(s, s->n_waiting - 1);
}

static const char *feed_call(struct pair *p, struct session *s, const struct record *r)
{
	struct slot *sl = &s->slots[r->hdr.slot];

	if (r->hdr.method == HELLO)
		session_reset(p, s);
	/* The slot's reply before this call, if none is missing between them. */
	if (sl->state == ANSWERED && r->hdr.wake &&
	    r->hdr.seq == sl->call.r.hdr.seq + 1)
		sl->wake = r->hdr.wake;
	settle(p, s, sl);
	if (!copy_record(&sl->call, r))
		return "out of memory";
	sl->state = CALLED;
	sl->wake = PAIR_UNKNOWN;
	sl->args = record_decode(r);
	paths_resolve(&s->paths, r->hdr.method, sl->args, sl->about);
	paths_learn_call(&s->paths, r, sl->args, sl->about);
	if (++s->pub.in_flight > s->pub.most_in_flight)
		s->pub.most_in_flight = s->pub.in_flight;
	return sl->args || !method_find(r->hdr.method) ? NULL
	                                               : "the message does not decode";
}

static const char *feed_reply(struct pair *p, struct session *s, const struct record *r)
{
	struct slot *sl = &s->slots[r->hdr.slot];
	const struct pair_lone lone = {
	        .session = &s->pub, .r = r, .queue = PAIR_UNKNOWN};
	ProtobufCMessage *m;
	struct pair_call c;

	if (sl->state != CALLED || sl->call.r.hdr.seq != r->hdr.seq ||
	    sl->call.r.hdr.method != r->hdr.method) {
		if (p->ops->lone)
			p->ops->lone(p->ctx, &lone);
		return NULL;
	}
	if (!copy_record(&sl->reply, r))
		return "out of memory";
	sl->state = ANSWERED;
	s->pub.in_flight--;
	m = record_decode(r);
	paths_learn_reply(&s->paths, r, sl->args, m);
	if (m)
		protobuf_c_message_free_unpacked(m, NULL);
	if (r->hdr.flags & FRAME_F_QUEUED)
		wait_add(s, sl);
	c = view(s, sl);
	if (p->ops->answered)
		p->ops->answered(p->ctx, &c);
	return m || !method_find(r->hdr.method) ? NULL : "the message does not decode";
}

static const char *feed_lone(struct pair *p, struct session *s, const struct record *r)
{
	ProtobufCMessage *m = record_decode(r);
	struct pair_lone l = {
	        .session = &s->pub, .r = r, .args = m, .queue = PAIR_UNKNOWN};
	char *about[N_ABOUT] = {0};

	/* An accepted connection is about itself, once its addresses are known. */
	if (r->hdr.kind == FRAME_EVENT)
		paths_learn_call(&s->paths, r, m, about);
	paths_resolve(&s->paths, r->hdr.method, m, about);
	memcpy(l.about, about, sizeof(l.about));
	if (r->hdr.kind == FRAME_POST)
		l.queue = span(r->hdr.stamp, r->pre.mono);
	if (r->hdr.method == DONE && r->hdr.kind == FRAME_EVENT)
		wait_done(p, s, &l);
	else if (p->ops->lone)
		p->ops->lone(p->ctx, &l);
	if (r->hdr.kind == FRAME_POST)
		paths_learn_call(&s->paths, r, m, about);
	paths_free(about);
	if (m)
		protobuf_c_message_free_unpacked(m, NULL);
	return m || !method_find(r->hdr.method) ? NULL : "the message does not decode";
}

void pair_init(struct pair *p, const struct pair_ops *ops, void *ctx)
{
	*p = (struct pair){.ops = ops, .ctx = ctx};
}

const char *pair_feed(struct pair *p, const struct record *r)
{
	struct session *s;

	if (r->hdr.slot >= RPC_SLOTS_MAX)
		return "slot: out of range";
	if (r->hdr.kind == FRAME_CREDIT)
		return NULL; /* carries nothing but credit */
	s = session_of(p, r);
	if (!s)
		return "out of memory";
	switch (r->hdr.kind) {
	case FRAME_CALL:
		return feed_call(p, s, r);
	case FRAME_REPLY:
		return feed_reply(p, s, r);
	default:
		return feed_lone(p, s, r);
	}
}

void pair_end(struct pair *p)
{
	for (struct session *s = p->first; s; s = s->next)
		session_reset(p, s);
}

void pair_fini(struct pair *p)
{
	struct session *s = p->first, *next;

	for (; s; s = next) {
		next = s->next;
		for (unsigned i = 0; i < RPC_SLOTS_MAX; i++) {
			struct slot *sl = &s->slots[i];

			if (sl->args)
				protobuf_c_message_free_unpacked(sl->args, NULL);
			paths_free(sl->about);
			free(sl->call.bytes);
			free(sl->reply.bytes);
		}
		while (s->n_waiting)
			wait_forget(s, s->n_waiting - 1);
		free(s->waiting);
		paths_fini(&s->paths);
		tdelete(s, &p->sessions, compare);
		free(s);
	}
}
