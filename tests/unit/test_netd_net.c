/* SPDX-License-Identifier: MIT */
/*
 * netd as a process, a guest on its channel, and the kernel's own stack as the
 * peer, in a network namespace that the test makes.  The same cases run over a
 * TAP with offload and large frames, over one of MTU 1500 with many segments in a
 * frame, over a plain TAP of MTU 1500, over an interface of its own whose other end
 * offloads or does not, over a link that loses, delays, doubles and
 * reorders segments and frames of many, over loop-back alone, and with the host
 * stack.
 */
#include "netd_net.h"

#define KERNEL NG_GUEST_IP, NG_KERNEL_IP, NG_GUEST_IP6, NG_KERNEL_IP6
#define BAD "delay=1,jitter=2,drop=10,dup=10,reorder=20,seed="

static const struct setting g_settings[] = {
	/* mtu, vnet, kernel, lossy, brief, addresses */
	{"offload", "lwip", "tap", 65000, true, true, false, false, KERNEL},
	{"segments", "lwip", "tap", 1500, true, true, false, false, KERNEL},
	{"plain", "lwip", "tap", 1500, false, true, false, false, KERNEL},
	{"afpacket", "lwip", "afpacket", 1500, true, true, false, false, KERNEL},
	{"afpacket-plain", "lwip", "afpacket", 1500, false, true, false, true, KERNEL},
	{"bad-link", "lwip", "test:tap," BAD "7", 1500, false, true, true, false, KERNEL},
	{"bad-link-segments", "lwip", "test:tap," BAD "9", 1500, true, true, true, false, KERNEL},
	{"loop", "lwip", "loop", 1500, false, false, false, false, "127.0.0.1", "127.0.0.1",
         "::1", "::1"},
	{"host", "host", "", 1500, false, true, false, false, "127.0.0.1", "127.0.0.1", "::1",
         "::1"},
};

/* ---- running ---- */

#define ADD(s, f) CU_add_test(s, #f, f)

static void add_kernel(CU_pSuite s)
{
	ADD(s, a_kernel_client_is_echoed);
	ADD(s, ipv6_is_echoed);
	ADD(s, a_dual_stack_listener_takes_ipv4);
	ADD(s, bulk_in_arrives_whole);
	ADD(s, bulk_out_arrives_whole);
	ADD(s, a_half_closed_connection_still_sends);
	ADD(s, after_shut_rd_data_is_forgotten);
	ADD(s, after_shut_rd_a_full_window_opens);
	ADD(s, a_reset_is_econnreset);
	ADD(s, an_abortive_close_resets_the_peer);
	ADD(s, the_window_follows_a_guest_that_does_not_read);
	ADD(s, a_window_raised_by_less_than_a_segment_is_used);
	ADD(s, a_peer_with_a_zero_window_is_waited_for);
	ADD(s, a_lingering_close_waits_for_the_last_byte);
	ADD(s, corked_bytes_leave_together_or_after_a_moment);
	ADD(s, ids_granted_late_release_queued_connections);
	ADD(s, short_connections_do_not_get_slower);
	if (!g_set->lossy) {
		ADD(s, datagrams_come_back);
		ADD(s, the_guest_answers_pings);
		ADD(s, half_open_peers_do_not_shut_others_out);
		ADD(s, a_vanished_peer_times_out);
	}
}

static void add_veth(CU_pSuite s)
{
	ADD(s, the_kernel_behind_the_interface_answers_nothing);
	ADD(s, frames_of_a_vlan_are_not_ours);
	if (g_set->vnet) {
		ADD(s, joined_frames_pass_both_ways);
		ADD(s, joined_datagrams_arrive_one_by_one);
		return;
	}
	ADD(s, frames_are_plain_when_the_peer_offloads_nothing);
	ADD(s, a_kernel_client_is_echoed);
	ADD(s, ipv6_is_echoed);
	ADD(s, datagrams_come_back);
	ADD(s, the_guest_answers_pings);
	ADD(s, an_interface_that_was_down_serves_again);
}

static int make_link(const struct setting *set, bool veth)
{
	return veth ? veth_namespace(set->mtu, set->vnet) : ng_namespace(set->mtu, set->vnet);
}

static void add_all(CU_pSuite s, bool veth)
{
	if (veth)
		add_veth(s);
	if (g_set->brief)
		return;
	if (g_set->kernel)
		add_kernel(s);
	if (!g_set->lossy) {
		ADD(s, a_guest_reaches_itself);
		ADD(s, bind_follows_linux);
		ADD(s, a_listener_restarts_past_time_wait);
		ADD(s, options_answer_as_linux);
		ADD(s, udp_within_the_guest_and_its_rules);
		ADD(s, connecting_to_a_closed_port_is_refused);
		ADD(s, a_refused_datagram_is_reported_when_connected);
		ADD(s, ping_sockets_hear_echoes);
	}
	if (g_set->kernel && !g_set->lossy)
		ADD(s, a_guest_that_dies_leaves_as_linux_does);
}

static int run_setting(const struct setting *set, bool break_it)
{
	const bool veth = strcmp(set->link, "afpacket") == 0;
	CU_pSuite s;
	int failed;

	g_set = set;
	g_bulk = set->lossy ? 2u << 20 : 64u << 20;
	if (make_link(set, veth) < 0)
		return 77;
	if (ng_start(set->stack, set->link) != 0) {
		fprintf(stderr, "netd does not start\n");
		return 1;
	}
	CU_initialize_registry();
	s = CU_add_suite(set->name, NULL, NULL);
	if (break_it)
		ADD(s, a_post_at_a_wrong_offset_breaks_the_channel);
	else
		add_all(s, veth);
	CU_basic_set_mode(CU_BRM_VERBOSE);
	CU_basic_run_tests();
	failed = CU_get_number_of_failures() > 0;
	CU_cleanup_registry();
	ng_stop();
	if (veth)
		veth_end();
	fflush(stdout);
	return failed;
}

static int run_forked(const struct setting *set, bool break_it)
{
	const pid_t pid = fork();
	int status = 0;

	if (pid == 0)
		_exit(run_setting(set, break_it));
	(void)waitpid(pid, &status, 0);
	if (WIFSIGNALED(status)) {
		printf("setting %s: signal %d\n", set->name, WTERMSIG(status));
		return 1;
	}
	return WEXITSTATUS(status);
}

int main(int argc, char **argv)
{
	int failed = 0;

	(void)signal(SIGPIPE, SIG_IGN);
	pattern_init();
	for (size_t i = 0; i < sizeof(g_settings) / sizeof(g_settings[0]); i++) {
		const struct setting *set = &g_settings[i];
		int r;

		if (argc > 1 && strcmp(argv[1], set->name) != 0)
			continue;
		r = run_forked(set, false);
		if (r == 77) {
			printf("skipped: no network namespace with a TAP can be made here\n");
			return 77;
		}
		failed |= r;
		if (strcmp(set->name, "plain") == 0)
			failed |= run_forked(set, true);
	}
	return failed;
}
