/* SPDX-License-Identifier: MIT */
/*
 * netd_move.h - what the files of test_netd_move share.
 */
#ifndef TESTS_UNIT_NETD_MOVE_H
#define TESTS_UNIT_NETD_MOVE_H

#include "netd_net.h"

/* ---- netd_move_states.c ---- */
void swap(void); /* ends the test if it fails: it said why */
/* A connection between guest (the result) and kernel (*@fd); @from_guest says who
 * asks. */
int pair(int *fd, bool from_guest);
int tcp_state(int s);
void say(int c, int fd, const char *text); /* there and back */
void a_syn_in_flight_moves(void);
void a_syn_that_nobody_heard_is_sent_again(void);
void a_half_open_connection_moves(void);
void fin_wait_moves(void);
void close_wait_and_last_ack_move(void);
void both_close_at_once_and_move(void);
void time_wait_moves(void);
void a_lingering_close_goes_on(void);
void closed_windows_move(void);
void a_guest_that_does_not_read_moves(void);
void keepalive_finds_a_dead_peer_after_moves(void);
void datagrams_and_groups_move(void);
void options_and_names_move(void);

/* ---- netd_move_spin.c ---- */
void ends_that_disagree_do_not_spin(void);

#endif /* TESTS_UNIT_NETD_MOVE_H */
