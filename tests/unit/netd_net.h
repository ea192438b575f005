/* SPDX-License-Identifier: MIT */
/*
 * netd_net.h - what the files of test_netd_net share: the kernel's side of a test,
 * the pattern that every stream carries, and the cases themselves.
 *
 * A struct peer is a thread with blocking kernel sockets; the test's own thread is
 * the guest and serves events while it waits.
 */
#ifndef TESTS_UNIT_NETD_NET_H
#define TESTS_UNIT_NETD_NET_H

#include "netd_guest.h"

#include <CUnit/Basic.h>
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/ip_icmp.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct setting {
	const char *name, *stack, *link;
	unsigned mtu;
	bool vnet;
	bool kernel;              /* the kernel is the peer (not over loop) */
	bool lossy;
	bool brief;               /* only what the link matters for */
	const char *guest, *peer; /* addresses */
	const char *guest6, *peer6;
};

extern const struct setting *g_set;
extern uint64_t g_bulk;

struct peer {
	pthread_t thread;
	int fd;               /* connection */
	int listener;
	uint16_t port;
	const char *ip;
	uint64_t n;           /* bytes asked for; then done */
	_Atomic uint64_t done;
	bool ok;
	int err;
	bool half, rst;
	_Atomic bool go;
};

/* ---- netd_net_util.c ---- */
void pattern_init(void);
void fill(uint8_t *to, uint64_t at, uint64_t n);
bool same(const uint8_t *b, uint64_t at, uint64_t n);
double seconds(void);
socklen_t sa_make(const char *ip, uint16_t port, struct sockaddr_storage *ss);
int kernel_connect(const char *ip, uint16_t port);
int kernel_listen(const char *ip, uint16_t *port);
bool kernel_write(int fd, const void *b, size_t n);
bool kernel_read(int fd, void *b, size_t n);
void peer_start(struct peer *p, void *(*fn)(void *));
void peer_join(struct peer *p);
int server(int domain, const char *ip, uint16_t *port, unsigned backlog);

/* ---- netd_net_stream.c ---- */
void a_kernel_client_is_echoed(void);
void ipv6_is_echoed(void);
void a_dual_stack_listener_takes_ipv4(void);
void bulk_in_arrives_whole(void);
void bulk_out_arrives_whole(void);
void a_half_closed_connection_still_sends(void);
void after_shut_rd_data_is_forgotten(void);
void after_shut_rd_a_full_window_opens(void);
void a_reset_is_econnreset(void);
void an_abortive_close_resets_the_peer(void);
void the_window_follows_a_guest_that_does_not_read(void);
void a_window_raised_by_less_than_a_segment_is_used(void);
void a_peer_with_a_zero_window_is_waited_for(void);
void a_lingering_close_waits_for_the_last_byte(void);
void corked_bytes_leave_together_or_after_a_moment(void);
void ids_granted_late_release_queued_connections(void);
void short_connections_do_not_get_slower(void);
void connecting_to_a_closed_port_is_refused(void);
bool has_error(void *arg);
void *count_reader(void *arg);
void *short_clients(void *arg);

/* ---- netd_net_more.c ---- */
void datagrams_come_back(void);
void the_guest_answers_pings(void);
uint16_t icmp_sum(const uint8_t *b, size_t n);
void half_open_peers_do_not_shut_others_out(void);
void a_vanished_peer_times_out(void);
void a_post_at_a_wrong_offset_breaks_the_channel(void);
void a_guest_reaches_itself(void);
void bind_follows_linux(void);
void a_listener_restarts_past_time_wait(void);
void options_answer_as_linux(void);
void udp_within_the_guest_and_its_rules(void);
void a_refused_datagram_is_reported_when_connected(void);
void ping_sockets_hear_echoes(void);
void a_guest_that_dies_leaves_as_linux_does(void);

/* ---- netd_net_veth.c: netd on an interface in another namespace ---- */
int veth_namespace(unsigned mtu, bool offload); /* 0, or -1: not possible here */
void veth_end(void);
void joined_frames_pass_both_ways(void);
void frames_are_plain_when_the_peer_offloads_nothing(void);
void joined_datagrams_arrive_one_by_one(void);
void the_kernel_behind_the_interface_answers_nothing(void);
void frames_of_a_vlan_are_not_ours(void);
void an_interface_that_was_down_serves_again(void);

#endif /* TESTS_UNIT_NETD_NET_H */
