/* SPDX-License-Identifier: MIT */
/*
 * relay.h - carry connections and datagrams from listening sockets to a target.
 *
 * The listening sockets may belong to another network namespace than the process:
 * connections go out of the process's own.  So one relay serves published ports
 * (machine to guest) and another names (guest to machine).
 *
 * TCP: both directions are spliced, half-close and reset are passed on.  UDP: each
 * peer gets a socket of its own, forgotten when idle.
 *
 * Layer:     tools.
 * Ownership: relay_add() takes the socket, also on failure.
 * Locking:   one thread.
 */
#ifndef TOOLS_STRAIT_RELAY_H
#define TOOLS_STRAIT_RELAY_H

#include <stdbool.h>
#include <sys/socket.h>

struct relay;

struct relay *relay_new(void); /* NULL: errno */
/* Carry what comes to @fd (listening, or a bound datagram socket) to @to. */
int relay_add(struct relay *r, int fd, bool udp, const struct sockaddr *to, socklen_t len)
	__attribute__((warn_unused_result));
int relay_fd(const struct relay *r);      /* readable: call relay_step() */
int relay_timeout(const struct relay *r); /* ms until relay_step() is due; -1: never */
void relay_step(struct relay *r);
void relay_stop_listening(struct relay *r);
unsigned relay_open(const struct relay *r); /* TCP connections under way */

#endif /* TOOLS_STRAIT_RELAY_H */
