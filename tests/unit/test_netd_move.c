/* SPDX-License-Identifier: MIT */
/*
 * One netd after another serves the same guest and the same connections.
 *
 * First the cases of test_netd_net, while a new netd takes over many times a second,
 * whatever the connections are doing: over a TAP with many segments in a frame, over
 * one that loses, delays and reorders (segments are then held out of order, and
 * retransmissions are under way), over loop-back.  Then each state of TCP that lasts
 * only a moment, on a link that is slow enough to meet it; what goes wrong while
 * swapping; what a broken or hostile state does to its reader.  The peer is the
 * kernel: it counts the resets that it gets.
 */
#include "netd_move.h"
#include "platform/platform.h"

#define KERNEL NG_GUEST_IP, NG_KERNEL_IP, NG_GUEST_IP6, NG_KERNEL_IP6

static const struct setting g_settings[] = {
	{"segments", "lwip", "tap", 1500, true, true, false, false, KERNEL},
	{"plain", "lwip", "tap", 1500, false, true, false, false, KERNEL},
	{"bad-link", "lwip", "test:tap,delay=1,jitter=2,drop=10,dup=10,reorder=20,seed=7", 1500,
         false, true, true, false, KERNEL},
	{"loop", "lwip", "loop", 1500, false, false, false, false, "127.0.0.1", "127.0.0.1",
         "::1", "::1"},
	{"host", "host", "", 1500, false, true, false, false, "127.0.0.1", "127.0.0.1", "::1",
         "::1"},
};
static const struct setting g_slow = {"states", "lwip", "test:tap,delay=120", 1500, false, true,
                                      true, false, KERNEL};
static const struct setting g_fault = {"faults", "lwip", "tap", 1500, true, true, false, false,
                                       KERNEL};

/* ---- helpers ---- */

/* A number of /proc/net/snmp or netstat, of this namespace. */
static long counter(const char *file, const char *group, const char *name)
{
	char names[4096], values[4096];
	FILE *f = fopen(file, "r");
	long v = -1;

	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	while (v < 0 && fgets(names, sizeof(names), f) && fgets(values, sizeof(values), f)) {
		char *n1 = NULL, *v1 = NULL, *n = strtok_r(names, " \n", &n1);
		const char *w = strtok_r(values, " \n", &v1);

		if (strcmp(n, group) != 0)
			continue;
		for (; n && w; n = strtok_r(NULL, " \n", &n1), w = strtok_r(NULL, " \n", &v1)) {
			if (strcmp(n, name) == 0)
				v = atol(w);
		}
	}
	fclose(f);
	CU_ASSERT_FATAL(v >= 0);
	return v;
}

/* A link that doubles segments makes the kernel reset what is closed already. */
static long resets(void)
{
	return counter("/proc/net/snmp", "Tcp:", "EstabResets") +
	       (g_set->lossy ? 0 : counter("/proc/net/snmp", "Tcp:", "OutRsts"));
}

/* ---- many, with much in their queues ---- */

static void *sink(void *arg)
{
	struct peer *p = arg;
	static _Thread_local uint8_t b[1 << 16];
	ssize_t n;

	while (!p->go)
		usleep(1000);
	p->ok = true;
	while ((n = recv(p->fd, b, sizeof(b), 0)) > 0) {
		p->ok &= same(b, p->done, (uint64_t)n);
		p->done += (uint64_t)n;
	}
	close(p->fd);
	return NULL;
}

#define MANY 40

static void much_that_is_queued_moves(void)
{
	static uint8_t piece[16384];
	static struct peer p[MANY];
	uint64_t sent[MANY] = {0}, all = 0, last = 1;
	int c[MANY];

	for (int i = 0; i < MANY; i++) {
		memset(&p[i], 0, sizeof(p[i]));
		c[i] = pair(&p[i].fd, true);
		peer_start(&p[i], sink);
	}
	while (all != last) { /* each peer stands still: netd keeps what it cannot send */
		last = all;
		for (int i = 0; i < MANY; i++) {
			const uint64_t room = g_ng[c[i]].tx_limit - sent[i];
			const uint64_t n = room < sizeof(piece) ? room : sizeof(piece);

			fill(piece, sent[i], n);
			CU_ASSERT_EQUAL(ng_send(c[i], piece, n, false), (int64_t)n);
			sent[i] += n;
			all += n;
		}
		ng_sleep(1);
	}
	swap();
	printf("[%.1f MB, %u connections: ready after %.1f ms, guest back after %.1f] ",
	       (double)g_ng_swaps.bytes / 1e6, g_ng_swaps.connections,
	       (double)g_ng_swaps.sealed_us / 1e3, (double)g_ng_swaps.back_us / 1e3);
	CU_ASSERT_TRUE(g_ng_swaps.bytes > 10u << 20);
	for (int i = 0; i < MANY; i++)
		p[i].go = true;
	ng_swap_every(50);
	for (int i = 0; i < MANY; i++)
		CU_ASSERT_EQUAL(ng_shutdown(c[i], SHUT_WR), 0);
	for (int i = 0; i < MANY; i++) {
		peer_join(&p[i]);
		CU_ASSERT_TRUE(p[i].ok && p[i].done == sent[i]);
	}
	ng_swap_every(0);
	for (int i = 0; i < MANY; i++)
		(void)ng_close(c[i], false);
}

static void little_that_is_queued_moves_fast(void)
{
	int fd, c = pair(&fd, true);
	uint64_t best = UINT64_MAX;

	for (int i = 0; i < 5; i++) {
		swap();
		say(c, fd, "quick");
		best = g_ng_swaps.back_us < best ? g_ng_swaps.back_us : best;
	}
	printf("[ready after %.1f ms, guest back after %.1f] ",
	       (double)g_ng_swaps.sealed_us / 1e3, (double)best / 1e3);
	CU_ASSERT_TRUE(best < 100000); /* generous: the machine may be busy */
	(void)ng_close(c, false);
	close(fd);
}

/* More records than go into two system calls. */
#define CROWD 1300

static void a_crowd_of_sockets_moves(void)
{
	static int u[CROWD];

	for (int i = 0; i < CROWD; i++) {
		u[i] = ng_socket(AF_INET, SOCK_DGRAM, 0);
		CU_ASSERT_FATAL(u[i] > 0);
		CU_ASSERT_EQUAL(ng_setint(u[i], IPPROTO_IP, IP_TTL, 1 + i % 255), 0);
	}
	swap();
	for (int i = 0; i < CROWD; i++) {
		CU_ASSERT_EQUAL(ng_getint(u[i], IPPROTO_IP, IP_TTL), 1 + i % 255);
		(void)ng_close(u[i], false);
	}
}

/* Both sides close many at once, and TIME_WAIT moves, twice. */
static void a_crowd_of_idle_connections_moves(void)
{
	uint16_t port = 0;
	const int l = server(AF_INET, "0.0.0.0", &port, 512);
	static int fd[300], c[300];

	for (int i = 0; i < 300; i++) {
		fd[i] = kernel_connect(g_set->guest, port);
		c[i] = ng_accept(l, NG_WAIT_MS);
		CU_ASSERT_FATAL(fd[i] >= 0 && c[i] > 0);
	}
	swap();
	CU_ASSERT_TRUE(g_ng_swaps.connections >= 300);
	for (int i = 0; i < 300; i++)
		say(c[i], fd[i], "one of many");
	for (int i = 0; i < 300; i++)
		(void)ng_close(c[i], false);
	ng_sleep(100);
	for (int i = 0; i < 300; i++)
		close(fd[i]);
	ng_sleep(100);
	swap();
	swap();
	(void)ng_close(l, false);
}

/* ---- faults ---- */

static void swaps_that_fail_are_undone(void)
{
	static const enum ng_swap how[] = {SWAP_NO_SPACE, SWAP_NEW_DIES, SWAP_TRUNCATED,
	                                   SWAP_NEWER, SWAP_GARBLED};
	const long before = resets();
	int fd, c = pair(&fd, false);

	for (size_t i = 0; i < sizeof(how) / sizeof(how[0]); i++) {
		CU_ASSERT_EQUAL(ng_swap(how[i]), 0);
		say(c, fd, "still here");
	}
	swap();
	say(c, fd, "and over there");
	CU_ASSERT_EQUAL(resets(), before);
	(void)ng_close(c, false);
	close(fd);
}

static uint8_t *insert(uint8_t *b, size_t *len, size_t at, const void *what, size_t n)
{
	uint8_t *to = malloc(*len + n);

	memcpy(to, b, at);
	memcpy(to + at, what, n);
	memcpy(to + at + n, b + at, *len - at);
	free(b);
	*len += n;
	return to;
}

/* A newer netd of the same major version: a field that we do not know, a kind of
 * record that we do not know. */
static void a_newer_writer_is_understood(void)
{
	static const uint8_t field[] = {0xc2, 0x3e, 3, 'n', 'e', 'w'}; /* 1000: bytes */
	static const uint8_t record[16 + 3 + 5] = {99, [4] = 3, [8] = 5};
	int fd, c = pair(&fd, false);
	uint32_t msg_len;
	size_t len;
	uint8_t *b = ng_state(&len);

	CU_ASSERT_PTR_NOT_NULL_FATAL(b);
	memcpy(&msg_len, b + 4, 4);
	b = insert(b, &len, 16 + msg_len, record, sizeof(record));
	b = insert(b, &len, 16 + msg_len, field, sizeof(field));
	msg_len += sizeof(field);
	memcpy(b + 4, &msg_len, 4);
	CU_ASSERT_EQUAL(ng_state_taken(b, len), 1);
	free(b);
	(void)ng_close(c, false);
	close(fd);
}

/* The connection is there, but accept() is to hear of it only with data. */
static void a_deferred_accept_moves(void)
{
	uint16_t port = 0;
	const int l = server(AF_INET, "0.0.0.0", &port, 8);
	int fd, c;
	char b[8];

	CU_ASSERT_EQUAL(ng_setint(l, IPPROTO_TCP, TCP_DEFER_ACCEPT, 10), 0);
	fd = kernel_connect(g_set->guest, port);
	CU_ASSERT_EQUAL(ng_accept(l, 100), -EAGAIN);
	swap();
	CU_ASSERT_EQUAL(ng_accept(l, 100), -EAGAIN);
	CU_ASSERT_TRUE(kernel_write(fd, "now", 3));
	c = ng_accept(l, NG_WAIT_MS);
	CU_ASSERT_FATAL(c > 0);
	CU_ASSERT_EQUAL(ng_recv_all(c, b, 3), 3);
	(void)ng_close(c, false);
	(void)ng_close(l, false);
	close(fd);
}

/* Where, in @state, the header and 32 bytes of the message of the first record of each
 * kind lie: @at gets the places, their number is the result.  Hundreds of TIME_WAITs, and
 * what was sent, are data: a wrong bit there is another fact, no fault. */
static size_t first_records(const uint8_t *state, size_t len, size_t *at)
{
	bool seen[256] = {false};
	size_t n = 0;

	for (size_t i = 0; i + 16 <= len;) {
		uint64_t payload;
		uint32_t msg;

		memcpy(&msg, state + i + 4, 4);
		memcpy(&payload, state + i + 8, 8);
		for (size_t k = 0; k < 16 && !seen[state[i]]; k++)
			at[n++] = i + k;
		for (size_t k = 0; k < 32 && k < msg && !seen[state[i]]; k++)
			at[n++] = i + 16 + (msg < 32 ? k : k * msg / 32);
		seen[state[i]] = true;
		i += 16 + msg + payload;
	}
	return n;
}

/* Whatever byte is wrong: taken or refused, but alive. */
static void no_broken_state_kills_its_reader(void)
{
	int fd, c = pair(&fd, false), u = ng_socket(AF_INET, SOCK_DGRAM, 0);
	uint16_t port = 0;
	const int l = server(AF_INET, "0.0.0.0", &port, 8);
	unsigned refused = 0, n = 0;
	size_t len, n_at, *at;
	uint8_t *b, *copy;

	CU_ASSERT_EQUAL(ng_bind(u, "0.0.0.0", 0), 0);
	ng_command("link set " NG_DEVICE " down");
	CU_ASSERT_EQUAL(ng_send(c, "unacknowledged", 14, false), 14);
	ng_sleep(100);
	b = ng_state(&len);
	ng_command("link set " NG_DEVICE " up");
	CU_ASSERT_PTR_NOT_NULL_FATAL(b);
	copy = malloc(len);
	CU_ASSERT_EQUAL(ng_state_taken(b, len), 1);
	CU_ASSERT_EQUAL(ng_state_taken(b, len - 1), 0);
	at = calloc(len, sizeof(*at));
	n_at = first_records(b, len, at);
	CU_ASSERT_TRUE(n_at > 60);
	for (size_t i = 0; i < n_at; i += 1 + n_at / 60, n++) {
		memcpy(copy, b, len);
		copy[at[i]] ^= (uint8_t)(1u << (at[i] % 8));
		const int r = ng_state_taken(copy, len);

		CU_ASSERT_TRUE(r >= 0);
		refused += r == 0;
	}
	printf("[%u of %u refused] ", refused, n);
	CU_ASSERT_TRUE(refused > n / 4);
	free(at);
	free(copy);
	free(b);
	(void)ng_close(c, false);
	(void)ng_close(l, false);
	close(fd);
}

/* It died while netd was swapped, so the new netd never gets it: what it had is closed
 * as at its end.  The last case, since the guest is us. */
static void a_guest_that_left_meanwhile_is_closed(void)
{
	int fd, c = pair(&fd, false);
	char b[8];

	CU_ASSERT_EQUAL(ng_send(c, "bye", 3, false), 3);
	CU_ASSERT_EQUAL(ng_swap(SWAP_GUEST_LEFT), 0);
	CU_ASSERT_TRUE(kernel_read(fd, b, 3));
	CU_ASSERT_EQUAL(recv(fd, b, sizeof(b), 0), 0); /* within 30 s */
	close(fd);
}

/* ---- running ---- */

static const char *g_case; /* NULL: all */

#define ADD(s, f)                                  \
	do {                                       \
		if (!g_case || !strcmp(g_case, #f)) \
			CU_add_test(s, #f, f);     \
	} while (0)

static long g_before;

static void no_connection_was_reset(void)
{
	CU_ASSERT_EQUAL(resets(), g_before);
	printf("[%u swaps, at most %u connections and %.1f MB, guest back after %.1f ms at most] ",
	       g_ng_swaps.n, g_ng_swaps.max_connections, (double)g_ng_swaps.max_bytes / 1e6,
	       (double)g_ng_swaps.max_back_us / 1e3);
	CU_ASSERT_TRUE(g_ng_swaps.n >= 5);
}

static void remember_resets(void)
{
	g_before = resets();
}

static void add_moving(CU_pSuite s)
{
	if (g_set->kernel) {
		ADD(s, remember_resets);
		ADD(s, a_kernel_client_is_echoed);
		ADD(s, ipv6_is_echoed);
		ADD(s, bulk_in_arrives_whole);
		ADD(s, bulk_out_arrives_whole);
		ADD(s, a_half_closed_connection_still_sends);
		ADD(s, the_window_follows_a_guest_that_does_not_read);
		ADD(s, a_peer_with_a_zero_window_is_waited_for);
		ADD(s, corked_bytes_leave_together_or_after_a_moment);
		ADD(s, ids_granted_late_release_queued_connections);
		ADD(s, no_connection_was_reset);
		ADD(s, after_shut_rd_data_is_forgotten);
		ADD(s, a_reset_is_econnreset);
		ADD(s, an_abortive_close_resets_the_peer);
		if (!g_set->lossy)
			ADD(s, datagrams_come_back);
	}
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
}

static void add_states(CU_pSuite s)
{
	ADD(s, a_syn_in_flight_moves);
	ADD(s, a_syn_that_nobody_heard_is_sent_again);
	ADD(s, a_half_open_connection_moves);
	ADD(s, fin_wait_moves);
	ADD(s, close_wait_and_last_ack_move);
	ADD(s, both_close_at_once_and_move);
	ADD(s, time_wait_moves);
	ADD(s, a_lingering_close_goes_on);
}

static void add_faults(CU_pSuite s)
{
	ADD(s, swaps_that_fail_are_undone);
	ADD(s, a_newer_writer_is_understood);
	ADD(s, a_deferred_accept_moves);
	ADD(s, a_crowd_of_sockets_moves);
	ADD(s, a_crowd_of_idle_connections_moves);
	ADD(s, closed_windows_move);
	ADD(s, a_guest_that_does_not_read_moves);
	ADD(s, datagrams_and_groups_move);
	ADD(s, options_and_names_move);
	ADD(s, little_that_is_queued_moves_fast);
	ADD(s, much_that_is_queued_moves);
	ADD(s, keepalive_finds_a_dead_peer_after_moves);
	ADD(s, no_broken_state_kills_its_reader);
	ADD(s, ends_that_disagree_do_not_spin);
	ADD(s, a_guest_that_left_meanwhile_is_closed);
}

static int run_setting(const struct setting *set, void (*add)(CU_pSuite), unsigned every_ms)
{
	CU_pSuite s;
	int failed;

	g_set = set;
	g_bulk = set->lossy ? 2u << 20 : 64u << 20;
	if (ng_namespace(set->mtu, set->vnet) < 0)
		return 77;
	g_config.recover_ns = 20000000000ull; /* a service that leaves comes back */
	if (ng_start(set->stack, set->link) != 0) {
		fprintf(stderr, "netd does not start\n");
		return 1;
	}
	CU_initialize_registry();
	s = CU_add_suite(set->name, NULL, NULL);
	add(s);
	ng_swap_every(every_ms);
	CU_basic_set_mode(CU_BRM_VERBOSE);
	CU_basic_run_tests();
	failed = CU_get_number_of_failures() > 0;
	CU_cleanup_registry();
	ng_swap_every(0);
	ng_stop();
	fflush(stdout);
	return failed;
}

static int run_forked(const struct setting *set, void (*add)(CU_pSuite), unsigned every_ms)
{
	const pid_t pid = fork();
	int status = 0;

	if (pid == 0)
		_exit(run_setting(set, add, every_ms));
	(void)waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

int main(int argc, char **argv)
{
	const char *only = argc > 1 ? argv[1] : NULL;
	int worst = 0;

	g_case = argc > 2 ? argv[2] : NULL; /* test_netd_move SETTING CASE */
	signal(SIGPIPE, SIG_IGN);
	setvbuf(stdout, NULL, _IOLBF, 0);
	pattern_init();
	for (size_t i = 0; i < sizeof(g_settings) / sizeof(g_settings[0]) + 2; i++) {
		const size_t n = sizeof(g_settings) / sizeof(g_settings[0]);
		const struct setting *set = i < n ? &g_settings[i] : i == n ? &g_slow : &g_fault;
		int r;

		if (only && strcmp(only, set->name) != 0)
			continue;
		r = run_forked(set, i < n ? add_moving : i == n ? add_states : add_faults,
		               i < n ? 40 : 0);
		if (r == 77) {
			printf("skipped: no network namespace here\n");
			return 77;
		}
		worst |= r;
	}
	return worst;
}
