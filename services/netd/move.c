/* SPDX-License-Identifier: MIT */
/*
 * move.c - the frame of a move: head, guests, end (see move.h).
 */
#include "services/netd/move.h"

#include "services/netd/stack.h"

#include <errno.h>
#include <stdlib.h>

#define GUESTS_MAX 4096u

/* ---- writing ---- */

static void guest_put(struct move_out *o, struct guest *g)
{
	Netstate__Guest m = NETSTATE__GUEST__INIT;

	g->move_index = ++o->n_guests;
	m.index = g->move_index;
	m.client_id = (ProtobufCBinaryData){sizeof(g->client_id), g->client_id};
	m.domid = g->domid;
	m.name = (ProtobufCBinaryData){strlen(g->name), (uint8_t *)g->name};
	move_put(o, NETSTATE__KIND__KIND_GUEST, &m.base, 0);
}

static void end_put(struct move_out *o)
{
	Netstate__End m = NETSTATE__END__INIT;

	m.guests = o->n_guests;
	m.socks = o->n_socks;
	m.halves = o->n_halves;
	m.time_waits = o->n_tw;
	m.connections = o->n_conns;
	move_put(o, NETSTATE__KIND__KIND_END, &m.base, 0);
}

int move_export(struct move_out *o, int fd, const struct stack *stack, struct guest *guests)
{
	Netstate__Head h = NETSTATE__HEAD__INIT;
	int r = move_out_open(o, fd);

	if (r < 0)
		return r;
	h.major = NETSTATE__VERSION__VERSION_MAJOR;
	stack->head(&h);
	move_put(o, NETSTATE__KIND__KIND_HEAD, &h.base, 0);
	for (struct guest *g = guests; g; g = g->next)
		guest_put(o, g);
	stack->export(o);
	end_put(o);
	r = move_flush(o);
	move_out_close(o);
	return r;
}

/* ---- reading ---- */

static int head_check(struct move_in *in)
{
	const Netstate__Head *h;
	const int kind = move_next(in);

	if (kind < 0)
		return kind;
	h = kind == NETSTATE__KIND__KIND_HEAD ? move_unpack(in, &netstate__head__descriptor)
	                                      : NULL;
	if (!h)
		return move_refuse(in, "what came is not the state of a netd");
	if (h->major != NETSTATE__VERSION__VERSION_MAJOR)
		return move_refuse(in, "it is of format %u, and this netd reads format %u", h->major,
		                   NETSTATE__VERSION__VERSION_MAJOR);
	return 0;
}

static struct guest *guest_make(const Netstate__Guest *m)
{
	char name[64];
	struct guest *g;

	(void)snprintf(name, sizeof(name), "%.*s", (int)(m->name.len < 63 ? m->name.len : 63),
	               (const char *)m->name.data);
	g = guest_new(NULL, m->domid, name);
	if (!g)
		return NULL;
	memcpy(g->client_id, m->client_id.data, sizeof(g->client_id));
	g->moved = true;
	return g;
}

static int guest_import(struct move_in *in, struct guest **list)
{
	const Netstate__Guest *m = move_unpack(in, &netstate__guest__descriptor);
	struct guest *g;

	if (!m || m->client_id.len != RPC_CLIENT_ID_LEN || m->index != in->n_guests + 1 ||
	    m->index > GUESTS_MAX)
		return move_refuse(in, "a guest is malformed");
	for (g = *list; g; g = g->next) {
		if (memcmp(g->client_id, m->client_id.data, sizeof(g->client_id)) == 0)
			return move_refuse(in, "a guest is there twice");
	}
	if (in->n_guests == in->guests_cap) {
		const uint32_t cap = in->guests_cap ? 2 * in->guests_cap : 16;
		struct guest **more = realloc(in->guests, cap * sizeof(*more));

		if (!more)
			return move_refuse(in, "no memory for a guest");
		in->guests = more;
		in->guests_cap = cap;
	}
	g = guest_make(m);
	if (!g)
		return move_refuse(in, "no memory for a guest");
	in->guests[in->n_guests++] = g;
	g->next = *list;
	*list = g;
	return 0;
}

static int end_check(struct move_in *in)
{
	const Netstate__End *m = move_unpack(in, &netstate__end__descriptor);

	if (!m || m->guests != in->n_guests || m->socks != in->n_socks ||
	    m->halves != in->n_halves || m->time_waits != in->n_tw ||
	    m->connections != in->n_conns)
		return move_refuse(in, "it is not complete");
	return 0;
}

int move_import(struct move_in *in, int fd, const struct stack *stack, struct guest **guests)
{
	int r = fd >= 0 ? move_in_open(in, fd) : 0; /* -1: the caller has filled it */

	if (r < 0)
		return r;
	*guests = NULL;
	r = head_check(in);
	if (r == 0)
		r = stack->import(in);
	while (r == 0) {
		r = move_next(in);
		if (r == NETSTATE__KIND__KIND_END)
			return end_check(in);
		if (r == NETSTATE__KIND__KIND_HEAD)
			return move_refuse(in, "it begins twice");
		if (r < 0)
			return r;
		r = r == NETSTATE__KIND__KIND_GUEST ? guest_import(in, guests)
		                                     : stack->import(in);
	}
	return r;
}
