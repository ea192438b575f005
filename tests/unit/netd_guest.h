/* SPDX-License-Identifier: MIT */
/*
 * netd_guest.h - a netd of its own and a guest that speaks to it, for tests.
 *
 * Makes a network namespace with a TAP, starts netd as a process, and gives
 * blocking sockets on top of service Net, with the errno and the offsets that
 * crossed open to look at.  One guest a process, one thread.
 */
#ifndef TESTS_UNIT_NETD_GUEST_H
#define TESTS_UNIT_NETD_GUEST_H

#include "net.pb-c.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define NG_GUEST_IP "10.77.0.2"
#define NG_KERNEL_IP "10.77.0.1"
#define NG_GUEST_IP6 "fd77::2"
#define NG_KERNEL_IP6 "fd77::1"
#define NG_DEVICE "tap0" /* the kernel's side */
#define NG_WINDOW (256u * 1024)
#define NG_WAIT_MS 10000
#define NG_SOCKS 70000

struct ng_dgram {
	struct ng_dgram *next;
	uint32_t len;
	uint8_t ip[16], ip_len, lip[16], lip_len;
	uint16_t port;
	uint32_t ttl;
	uint8_t data[];
};

struct ng_sock {
	bool used;
	uint32_t handle;
	/* stream */
	uint8_t *rx;                 /* ring of window bytes */
	uint64_t window, rx_got, rx_read, rx_limit;
	bool hold;                   /* do not raise rx_limit on reading */
	uint64_t tx_sent, tx_limit, acked;
	bool eof, connected, fatal;
	int err, connect_err;
	uint16_t local_port, peer_port;
	uint8_t peer_ip[16], peer_len, local_ip[16], local_len;
	/* listener */
	uint32_t next_id;
	int accepted[4096];
	unsigned n_accepted, n_taken;
	/* datagrams */
	struct ng_dgram *dq, **dq_end;
	unsigned n_space, n_data;    /* events seen */
};
extern struct ng_sock *g_ng;
extern bool g_ng_lost;

/* Make the namespace (root, or a user namespace): 0, or -1: not possible here. */
int ng_namespace(unsigned mtu, bool vnet_hdr);
/* Instead of ng_namespace(): the link was made elsewhere. */
void ng_link_is(int fd, unsigned vnet_hdr, unsigned mtu, const uint8_t mac[6]);
void ng_command(const char *cmd); /* ip CMD */
/* Start netd with @stack and @link and attach; 0 or -1. */
int ng_start(const char *stack, const char *link);
pid_t ng_pid(void);
/* Another netd takes over all, as the supervisor of a planned swap does it.  @how says
 * what goes wrong on the way.  0: done, or, with something wrong, undone; -1: not as it
 * should be, said on stderr. */
enum ng_swap {
	SWAP_WELL, SWAP_NEW_DIES, SWAP_TRUNCATED, SWAP_NEWER, SWAP_GARBLED,
	SWAP_NO_SPACE, /* for the state, where the old one writes it */
	SWAP_GUEST_LEFT /* the new netd is given another guest, not us: we are lost */
};
int ng_swap(enum ng_swap how);
struct ng_swaps { /* what the last one was like, and all together */
	unsigned n, connections, max_connections;
	uint64_t bytes, max_bytes, sealed_us, max_sealed_us, back_us, max_back_us;
};
extern struct ng_swaps g_ng_swaps;
/* Swap, with a state that @change has changed in place. */
int ng_swap_changed(void (*change)(uint8_t *state, size_t len));
/* CPU time that netd has used, ms. */
unsigned ng_cpu_ms(void);
/* From now on ng_until() swaps whenever so many ms have passed; 0: no more. */
void ng_swap_every(unsigned ms);
/* What the old netd would hand over, then serves on: the caller's to free. */
uint8_t *ng_state(size_t *len);
/* Does a new netd take @state?  1 yes, 0 no, -1 it died. */
int ng_state_taken(const uint8_t *state, size_t len);
/* Tell netd that the guest is gone; wait for Released: 0 or -1. */
int ng_gone(void);
void ng_stop(void);

/* Serve events until *flag is set, or a number reached, or ms passed. */
bool ng_until(bool (*done)(void *arg), void *arg, unsigned ms);
void ng_sleep(unsigned ms);

/* All return >= 0 or negative errno. */
int ng_socket(int domain, int type, int proto);
int ng_bind(int s, const char *ip, uint16_t port); /* then g_ng[s].local_port */
int ng_listen(int s, unsigned backlog, unsigned n_ids);
int ng_accept(int s, unsigned ms);
int ng_connect_start(int s, const char *ip, uint16_t port);
int ng_connect(int s, const char *ip, uint16_t port);
int64_t ng_send(int s, const void *data, uint64_t len, bool more);
/* Up to @len bytes; 0 at the end. */
int64_t ng_recv(int s, void *to, uint64_t len);
int64_t ng_recv_all(int s, void *to, uint64_t len);
int ng_shutdown(int s, int how);
int ng_close(int s, bool abort);
int ng_close_linger(int s, unsigned ms);
int ng_setopt(int s, int level, int name, const void *val, uint32_t len);
int ng_setint(int s, int level, int name, int val);
int ng_getopt(int s, int level, int name, void *val, uint32_t *len);
int ng_getint(int s, int level, int name); /* value, or negative errno */
int ng_sendto(int s, const char *ip, uint16_t port, const void *data, uint32_t len);
struct ng_dgram *ng_recvfrom(int s, unsigned ms);
int ng_raise(int s, uint64_t rx_limit);
/* Raw posts, for a guest that breaks rules. */
int ng_post_data(int s, uint64_t offset, const void *data, uint32_t len);

/* Shared by netd_guest.c (process, events) and netd_guest_calls.c. */
void ng_take_addr(const Net__Addr *a, uint8_t ip[16], uint8_t *len, uint16_t *port);
void ng_sock_init(uint32_t handle, bool stream);

#endif /* TESTS_UNIT_NETD_GUEST_H */
