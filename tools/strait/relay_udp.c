/* SPDX-License-Identifier: MIT */
/*
 * relay_udp.c - datagrams, each peer by a socket of its own.
 *
 * The target answers to that socket's port, so answers find their peer.  Peers are
 * forgotten after a minute without traffic; when there are too many, new ones
 * are dropped (as a full socket would).
 */
#include "tools/strait/relay_priv.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#define BATCH 32
#define DATAGRAM_MAX 65536

static uint8_t g_datagram[DATAGRAM_MAX];

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static unsigned chain_of(const struct relay_rule *rule, const struct sockaddr_storage *a)
{
	const struct sockaddr_in *in = (const struct sockaddr_in *)a;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)a;
	uint32_t h = (uint32_t)rule->fd * 2654435761u;

	if (a->ss_family == AF_INET) {
		h ^= in->sin_addr.s_addr ^ (uint32_t)in->sin_port << 16;
	} else {
		for (int i = 0; i < 4; i++)
			h = (h ^ in6->sin6_addr.s6_addr32[i]) * 2654435761u;
		h ^= in6->sin6_port;
	}
	return (h * 2654435761u) >> 20 & (RELAY_PEERS - 1);
}

static struct relay_peer *peer_find(struct relay *r, struct relay_rule *rule,
                                    const struct sockaddr_storage *from, socklen_t len)
{
	struct relay_peer *p = r->peers[chain_of(rule, from)];

	while (p && (p->rule != rule || p->from_len != len || memcmp(&p->from, from, len)))
		p = p->next;
	return p;
}

static struct relay_peer *peer_new(struct relay *r, struct relay_rule *rule,
                                   const struct sockaddr_storage *from, socklen_t len)
{
	struct relay_peer **chain = &r->peers[chain_of(rule, from)];
	struct relay_peer *p;

	if (r->n_peers >= RELAY_PEERS_MAX)
		return NULL;
	p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	p->handle.kind = RELAY_PEER;
	p->rule = rule;
	p->from = *from;
	p->from_len = len;
	p->fd = socket(rule->to.ss_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (p->fd < 0 || connect(p->fd, (struct sockaddr *)&rule->to, rule->to_len) ||
	    relay_watch(r, p->fd, EPOLLIN, &p->handle)) {
		if (p->fd >= 0)
			close(p->fd);
		free(p);
		return NULL;
	}
	p->next = *chain;
	*chain = p;
	r->n_peers++;
	return p;
}

void relay_udp_request(struct relay *r, struct relay_rule *rule)
{
	for (int i = 0; i < BATCH && rule->fd >= 0; i++) {
		struct sockaddr_storage from;
		socklen_t len = sizeof(from);

		memset(&from, 0, sizeof(from));
		ssize_t n = recvfrom(rule->fd, g_datagram, sizeof(g_datagram), 0,
		                     (struct sockaddr *)&from, &len);

		if (n < 0)
			return;
		struct relay_peer *p = peer_find(r, rule, &from, len);

		if (!p)
			p = peer_new(r, rule, &from, len);
		if (!p)
			continue; /* dropped, as datagrams may be */
		p->used = now_ms();
		(void)!send(p->fd, g_datagram, (size_t)n, 0);
	}
}

void relay_udp_reply(struct relay_peer *p)
{
	for (int i = 0; i < BATCH; i++) {
		ssize_t n = recv(p->fd, g_datagram, sizeof(g_datagram), 0);

		if (n < 0)
			return; /* nothing more, or the target refused: nobody to tell */
		p->used = now_ms();
		if (p->rule->fd >= 0)
			(void)!sendto(p->rule->fd, g_datagram, (size_t)n, 0,
			              (struct sockaddr *)&p->from, p->from_len);
	}
}

void relay_udp_sweep(struct relay *r)
{
	uint64_t now = now_ms();

	if (now - r->swept < RELAY_SWEEP_MS)
		return;
	r->swept = now;
	for (unsigned i = 0; i < RELAY_PEERS; i++) {
		struct relay_peer **at = &r->peers[i];

		while (*at) {
			struct relay_peer *p = *at;

			if (now - p->used < RELAY_IDLE_MS) {
				at = &p->next;
				continue;
			}
			*at = p->next;
			close(p->fd);
			free(p);
			r->n_peers--;
		}
	}
}
