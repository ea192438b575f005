/* SPDX-License-Identifier: MIT */
/*
 * bench_rpc - what a call over a channel costs, beside a pipe's round trip.
 *
 *     bench_rpc [ROUNDS [CPU]]
 *
 * Two processes over the hosted vchan with the real frame layer on both sides:
 * the null call, at depth 1 and 32, and reads of 4 and 64 KiB, with both processes
 * on one CPU and unpinned.  Each round is cut into slices of about a millisecond
 * that alternate with a pipe's round trip in the same placement; one line a
 * measure: NAME ns pipe_ns ratio low high (medians of the slices, and the ratio's
 * quartiles).
 */
#include "bench/stat.h"
#include "fake_guest.h"
#include "file.pb-c.h"
#include "rpc/guest.h"
#include "rpc/server.h"
#include "vchan/hosted.h"
#include "vchan/vchan.h"

#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROUNDS_MAX 101
#define SLICES 12 /* a round: short, so that few are hit by a neighbour */
#define DEPTH 32

static const uint8_t g_id[16] = "bench";
static uint8_t g_buf[65536];

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	if (cpu >= 0) {
		CPU_SET(cpu, &set);
	} else {
		for (int i = 0; i < 64; i++)
			CPU_SET(i, &set);
	}
	sched_setaffinity(0, sizeof(set), &set);
}

/* ---- the service ---- */

static void srv_read(File__File_Service *s, const File__ReadReq *q, File__Empty_Closure cl,
                     void *data)
{
	struct iovec io[2];
	size_t done = 0;

	(void)s;
	(void)cl;
	if (q->count == 0) {
		rpc_reply(data, 0, NULL, NULL, 0);
		return;
	}
	const int n = rpc_reply_room(data, q->count, io);
	for (int i = 0; i < n; i++) {
		memcpy(io[i].iov_base, g_buf + done, io[i].iov_len);
		done += io[i].iov_len;
	}
	rpc_reply_commit(data, n < 0 ? 5 : 0, q->count);
}

static void on_broken(struct rpc_conn *c, const char *why)
{
	(void)c;
	(void)why; /* the guest left: this placement is measured */
	_exit(0);
}

static void serve(int domid)
{
	static File__File_Service svc;
	static struct rpc_server_ops ops = {.service_id = RPC_SERVICE_FILE,
	                                    .on_broken = on_broken,
	                                    .n_slots = 64};
	struct epoll_event ev = {.events = EPOLLIN | EPOLLET};
	const int ep = epoll_create1(EPOLL_CLOEXEC);
	struct rpc_conn *c;

	file__file__init(&svc, NULL);
	svc.read = srv_read;
	ops.service = &svc.base;
	c = rpc_conn_new(vchan_server_open(domid, "/bench", 18), &ops, g_id, 1, NULL);
	epoll_ctl(ep, EPOLL_CTL_ADD, rpc_conn_fd(c), &ev);
	for (;;) {
		while (rpc_conn_pump(c, 64) > 0 && !rpc_conn_idle(c))
			;
		if (rpc_conn_spin(c))
			continue;
		epoll_wait(ep, &ev, 1, -1); /* a heartbeat comes by a timer: rpc/tick.h */
		rpc_conn_beat(c);
	}
}

/* As a guest whose helper thread runs; here nobody nudges. */
bool rpc_watched(void)
{
	return true;
}

static const struct rpc_chan_ops g_ops = {.service_id = RPC_SERVICE_FILE,
                                          .service = &file__file__descriptor};

static pid_t start_service(int cpu)
{
	static int domid, bell = -1;
	struct fake_channel fc;
	pid_t pid;

	if (bell < 0)
		bell = hosted_doorbell_create();

	if (bell < 0 || fake_channel_make(&fc, 18, bell) < 0)
		return -1;
	domid++;
	pin(cpu);
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (hosted_vchan_register(domid, "/bench", fc.ring_fd, fc.event_fd, bell) < 0)
			_exit(1);
		serve(domid);
	}
	memcpy(g_config.client_id, g_id, 16);
	fake_channel_use(&fc, &g_config.file, 0);
	return rpc_attach(&g_file_chan, &g_config.file, &g_ops) < 0 ? -1 : pid;
}

/* ---- what is measured: ns an operation ---- */

static int sink(void *arg, void *ring, size_t n)
{
	uint8_t **p = arg;

	memcpy(*p, ring, n);
	*p += n;
	return 0;
}

static double run_null(int n)
{
	const uint64_t t0 = bench_ns();

	for (int i = 0; i < n; i++)
		if (rpc_ping(&g_file_chan) < 0)
			_exit(1);
	return (double)(bench_ns() - t0) / n;
}

static double run_read(int n, uint32_t len)
{
	static uint8_t buf[65536];
	const uint64_t t0 = bench_ns();

	for (int i = 0; i < n; i++) {
		struct rpc_call call;
		File__ReadReq q = FILE__READ_REQ__INIT;
		uint8_t *p = buf;

		rpc_call_init(&call);
		call.sink = sink;
		call.sink_arg = &p;
		call.sink_cap = len;
		q.handle = 12345;
		q.offset = (uint64_t)i << 12;
		q.count = len;
		file__file__read(rpc_service(&g_file_chan), &q,
		                 (File__Empty_Closure)rpc_reply_taken, &call);
		if (call.err)
			_exit(1);
	}
	return (double)(bench_ns() - t0) / n;
}

static double run_deep(int n)
{
	static struct rpc_call calls[DEPTH];
	File__ReadReq q = FILE__READ_REQ__INIT;
	const uint64_t t0 = bench_ns();

	for (int i = 0; i < n; i += DEPTH) {
		for (int k = 0; k < DEPTH; k++) {
			rpc_call_init(&calls[k]);
			if (rpc_call_start(&g_file_chan, 3, &q.base, &calls[k]) < 0)
				_exit(1);
		}
		for (int k = 0; k < DEPTH; k++)
			rpc_call_finish(&g_file_chan, 3, &calls[k]);
	}
	return (double)(bench_ns() - t0) / n;
}

/* ---- a pipe's round trip, in the same placement ---- */

static int g_to_peer[2], g_from_peer[2];

static pid_t start_peer(int cpu)
{
	char c = 0;
	pid_t pid;

	if (pipe(g_to_peer) < 0 || pipe(g_from_peer) < 0)
		return -1;
	pin(cpu);
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(g_to_peer[1]);
		while (read(g_to_peer[0], &c, 1) == 1)
			(void)!write(g_from_peer[1], &c, 1);
		_exit(0);
	}
	return pid;
}

static double run_pipe(int n)
{
	const uint64_t t0 = bench_ns();
	char c = 0;

	for (int i = 0; i < n; i++)
		if (write(g_to_peer[1], &c, 1) != 1 || read(g_from_peer[0], &c, 1) != 1)
			_exit(1);
	return (double)(bench_ns() - t0) / n;
}

static void stop_child(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static double measure(int what)
{
	switch (what) {
	case 0:
		return run_null(400);
	case 1:
		return run_deep(1600);
	case 2:
		return run_read(300, 4096);
	default:
		return run_read(100, 65536);
	}
}

static void report(const char *name, const char *place, double *ours, double *pipes, int n)
{
	static double ratio[ROUNDS_MAX * SLICES];

	for (int i = 0; i < n; i++)
		ratio[i] = ours[i] / pipes[i];
	const double mid = bench_median(ratio, n); /* sorts */

	printf("rpc_%s_%s %.0f %.0f %.3f %.3f %.3f\n", name, place, bench_median(ours, n),
	       bench_median(pipes, n), mid, ratio[n / 4], ratio[n * 3 / 4]);
}

static void bench(const char *place, int cpu, int rounds)
{
	static const char *const names[] = {"null", "null_depth32", "read_4k", "read_64k"};
	static double v[4][ROUNDS_MAX * SLICES], p[4][ROUNDS_MAX * SLICES];
	const pid_t peer = start_peer(cpu), pid = start_service(cpu);
	const int n = rounds * SLICES;

	if (pid < 0 || peer < 0) {
		fprintf(stderr, "bench_rpc: no service\n");
		exit(1);
	}
	for (int r = 0; r < n; r++) {
		for (int i = 0; i < 4; i++) {
			p[i][r] = run_pipe(400);
			v[i][r] = measure(i);
		}
	}
	for (int i = 0; i < 4; i++)
		report(names[i], place, v[i], p[i], n);
	fflush(stdout);
	rpc_detach(&g_file_chan);
	stop_child(pid);
	stop_child(peer);
}

int main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : 15;
	const int cpu = argc > 2 ? atoi(argv[2]) : 0;

	if (rounds < 1 || rounds > ROUNDS_MAX || cpu < 0) {
		fprintf(stderr, "usage: bench_rpc [ROUNDS [CPU]]   (1 to %d)\n", ROUNDS_MAX);
		return 2;
	}
	bench("onecpu", cpu, rounds);
	bench("unpinned", -1, rounds);
	return 0;
}
