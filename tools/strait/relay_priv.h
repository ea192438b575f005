/* SPDX-License-Identifier: MIT */
/*
 * relay_priv.h - what relay.c and relay_udp.c share.
 *
 * Layer: tools.
 */
#ifndef TOOLS_STRAIT_RELAY_PRIV_H
#define TOOLS_STRAIT_RELAY_PRIV_H

#include "tools/strait/relay.h"

#include <stddef.h>
#include <stdint.h>

#define RELAY_RULES_MAX 68
#define RELAY_PIPES 64
#define RELAY_PEERS 4096      /* hash chains are of peers[] */
#define RELAY_PEERS_MAX 2048
#define RELAY_SWEEP_MS 1000
#define RELAY_IDLE_MS 60000
#define RELAY_EDGES (EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET)

enum relay_kind { RELAY_LISTENER, RELAY_CONN, RELAY_DATAGRAMS, RELAY_PEER };

/* First in everything that epoll names. */
struct relay_handle {
	enum relay_kind kind;
};

struct relay_rule {
	struct relay_handle handle;
	int fd; /* -1: no longer */
	bool udp;
	struct sockaddr_storage to;
	socklen_t to_len;
};

struct relay_dir { /* dir[i]: from fd[i] to fd[!i] */
	int pipe[2];
	size_t held;
	bool eof, done;
};

struct relay_conn {
	struct relay_handle handle;
	int fd[2]; /* client, target */
	bool connecting, closed;
	struct relay_dir dir[2];
	struct relay_conn *next_dead;
};

struct relay_peer {
	struct relay_handle handle;
	struct relay_rule *rule;
	struct relay_peer *next; /* of its chain */
	int fd;                  /* connected to the target */
	uint64_t used;           /* monotonic ms */
	struct sockaddr_storage from;
	socklen_t from_len;
};

struct relay {
	int epoll;
	bool starved; /* listeners are out of the set: no descriptors */
	unsigned n_rules, n_conns, n_pipes, n_peers;
	uint64_t swept;
	struct relay_conn *dead;
	struct relay_rule rules[RELAY_RULES_MAX];
	int pipes[RELAY_PIPES][2];
	struct relay_peer *peers[RELAY_PEERS];
};

int relay_watch(struct relay *r, int fd, uint32_t events, struct relay_handle *h);
void relay_udp_request(struct relay *r, struct relay_rule *rule);
void relay_udp_reply(struct relay_peer *p);
void relay_udp_sweep(struct relay *r);

#endif /* TOOLS_STRAIT_RELAY_PRIV_H */
