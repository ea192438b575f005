/* SPDX-License-Identifier: MIT */
/*
 * ports.c - see ports.h.
 *
 * Linux (inet_csk_bind_conflict, udp_lib_lport_inuse): two sockets whose
 * addresses overlap may share a port if both have SO_REUSEPORT, or if both have
 * SO_REUSEADDR and (TCP) the one that is there does not listen.  TIME_WAIT counts as a socket.
 */
#include "services/netd/ports.h"

#include "services/netd/tw.h"

#include <errno.h>
#include <netinet/in.h>
#include <stddef.h>

#define BUCKETS 4096u

static struct portbind *g_ports[BUCKETS];

static struct portbind **bucket(uint8_t proto, uint16_t port)
{
	return &g_ports[(port ^ (unsigned)proto * 257u) & (BUCKETS - 1)];
}

static bool overlap(const struct portbind *a, const struct portbind *b)
{
	const struct portbind *six = a->addr.len == 16 ? a : b;

	if (a->addr.len == b->addr.len)
		return naddr_any(&a->addr) || naddr_any(&b->addr) ||
		       naddr_same_ip(&a->addr, &b->addr);
	return naddr_any(&six->addr) && !six->v6only;
}

/* Does @other keep @b from a port? */
static bool conflict(const struct portbind *b, const struct portbind *other)
{
	if (b == other || b->proto != other->proto || !overlap(b, other))
		return false;
	if (b->reuseport && other->reuseport)
		return false;
	return !(b->reuse && other->reuse && !other->listening);
}

int ports_check(const struct portbind *b, uint16_t port)
{
	if (b->proto == IPPROTO_TCP && tw_on_port(port, b->reuse) > 0 && !b->listening)
		return -EADDRINUSE;
	for (const struct portbind *o = *bucket(b->proto, port); o; o = o->next) {
		if (o->addr.port == port && conflict(b, o))
			return -EADDRINUSE;
	}
	return 0;
}

void ports_add(struct portbind *b)
{
	struct portbind **head = bucket(b->proto, b->addr.port);

	b->next = *head;
	b->prev = head;
	if (*head)
		(*head)->prev = &b->next;
	*head = b;
}

void ports_del(struct portbind *b)
{
	if (!b->prev)
		return;
	*b->prev = b->next;
	if (b->next)
		b->next->prev = b->prev;
	b->prev = NULL;
}

#define N_EPHEMERAL (PORT_EPHEMERAL_MAX - PORT_EPHEMERAL_MIN + 1)

static uint32_t g_at = UINT32_MAX;

uint32_t ports_at(const uint32_t *set)
{
	if (set)
		g_at = *set % N_EPHEMERAL;
	else if (g_at == UINT32_MAX)
		g_at = netd_rand32() % N_EPHEMERAL;
	return g_at;
}

uint16_t ports_candidate(void)
{
	g_at = (ports_at(NULL) + 7919u) % N_EPHEMERAL; /* prime to it: visits every port */
	return (uint16_t)(PORT_EPHEMERAL_MIN + g_at);
}

int ports_pick(const struct portbind *b, uint16_t *port)
{
	for (unsigned i = 0; i <= PORT_EPHEMERAL_MAX - PORT_EPHEMERAL_MIN; i++) {
		const uint16_t p = ports_candidate();

		if (ports_check(b, p) == 0) {
			*port = p;
			return 0;
		}
	}
	return -EADDRINUSE;
}

bool ports_shareable(uint8_t proto, uint16_t port)
{
	for (const struct portbind *o = *bucket(proto, port); o; o = o->next) {
		if (o->proto == proto && o->addr.port == port && !o->by_connect)
			return false;
	}
	return true;
}

struct portbind *ports_on(uint8_t proto, uint16_t port)
{
	return *bucket(proto, port);
}
