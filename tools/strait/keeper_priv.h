/* SPDX-License-Identifier: MIT */
/*
 * keeper_priv.h - between the netkeeper (on the machine's side) and its process
 * inside the guest's network namespace.
 *
 * Layer: tools.
 */
#ifndef TOOLS_STRAIT_KEEPER_PRIV_H
#define TOOLS_STRAIT_KEEPER_PRIV_H

#include "tools/strait/netns.h"

#include <stddef.h>
#include <stdint.h>

#define VETH_INSIDE "out0"

enum {
	WORD_MADE = 1, /* inside: the namespace, two sockets for names */
	WORD_WANTED,   /* inside: the guest sends something out */
	WORD_VETH,     /* netkeeper: a veth pair is there */
	WORD_NONE,     /* netkeeper: there will be no way out (text: why) */
	WORD_SETTLED,  /* inside: the way out works, or never will */
};

struct keeper_word_msg {
	uint32_t word;
	char text[200];
};

#define KEEPER_FDS_MAX 8

/* Send one packet with at most KEEPER_FDS_MAX descriptors (borrowed).  0 or -1 with
 * errno. */
int keeper_send(int sock, const void *msg, size_t len, const int *fds, int n_fds);

/* The body of the process inside; @netkeeper is a socket to it. */
int inside_main(const struct keeper *k, int netkeeper);

#endif /* TOOLS_STRAIT_KEEPER_PRIV_H */
