/* SPDX-License-Identifier: MIT */
/*
 * trace_fetch.c - in dom0: a service's trace, from its agent to a file.
 *
 * A service domain does not know Xen's time, which guests stamp their frames with; dom0
 * does (clock.c).  So dom0 asks for the domain's clock some times: it was read between
 * question and answer, and the shortest exchange tells best.  The difference is added
 * to the second time of each packet (struct trace_prefix, mono) as it passes, and its
 * timestamp becomes that time by dom0's calendar: a domain's own may be seconds off, if
 * its kernel missed ticks while it started.  What comes is checked: the domain may lie,
 * but only about its own trace.
 */
#include "rpc/trace.h"
#include "services/agent/agent.h"
#include "tools/strait/strait.h"
#include "vchan/vchan.h"

#include <errno.h>
#include <libxenvchan.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ROUNDS 20
#define BLOCK_PACKET 6u
#define BLOCK_MAX (1u << 20)
#define TIME_AT 12u   /* of an Enhanced Packet Block: its timestamp, upper half first */
#define PACKET_AT 28u /* ... and where the packet begins */

/* How a domain's times become common ones, in ns. */
struct align {
	bool on;
	int64_t ahead;  /* its CLOCK_MONOTONIC to Xen's time */
	int64_t wall;   /* Xen's time to dom0's calendar */
	int64_t within; /* how right that is */
};

static int64_t clock_ns(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static int read_number(struct store *s, unsigned domid, const char *name, const char *node,
                       uint32_t *v)
{
	char path[AGENT_PATH + 64], text[16];
	int r;

	snprintf(path, sizeof(path), "/local/domain/%u/data/strait/%s/trace/%s", domid, name, node);
	r = store_read(s, path, text, sizeof(text));
	if (r < 0)
		say("%s of domain %u records no trace (xenstore node %s: %s)", name, domid, path,
		    strerror(-r));
	else
		*v = (uint32_t)strtoul(text, NULL, 10);
	return r;
}

static int ask(struct libxenvchan *c, char what, int64_t *answer)
{
	return libxenvchan_send(c, &what, 1) == 1 &&
	                       libxenvchan_recv(c, answer, sizeof(*answer)) == sizeof(*answer)
	               ? 0
	               : -EIO;
}

static int compare_clocks(struct libxenvchan *c, struct align *al)
{
	int64_t ours, theirs;

	if (clock_ahead(&ours) < 0)
		return -EPERM;
	al->wall = clock_ns(CLOCK_REALTIME) - clock_ns(CLOCK_MONOTONIC) - ours;
	al->within = INT64_MAX;
	for (int i = 0; i < ROUNDS; i++) {
		const int64_t before = clock_ns(CLOCK_MONOTONIC);

		if (ask(c, 'c', &theirs) < 0)
			return -EIO;
		const int64_t half = (clock_ns(CLOCK_MONOTONIC) - before) / 2;

		if (half < al->within) {
			al->within = half;
			al->ahead = ours + before + half - theirs;
		}
	}
	return 0;
}

static void align_packet(uint8_t *block, const struct align *al)
{
	uint8_t *mono_at = block + PACKET_AT + offsetof(struct trace_prefix, mono);
	uint64_t mono, ts;
	uint32_t half[2];

	memcpy(&mono, mono_at, sizeof(mono));
	mono += (uint64_t)al->ahead;
	memcpy(mono_at, &mono, sizeof(mono));
	ts = mono + (uint64_t)al->wall;
	half[0] = (uint32_t)(ts >> 32);
	half[1] = (uint32_t)ts;
	memcpy(block + TIME_AT, half, sizeof(half));
}

/* One block of the file. 1: passed on; 0: the end; negative: not a trace. */
static int pass_block(struct libxenvchan *c, const struct align *al)
{
	static uint8_t block[BLOCK_MAX];
	uint32_t head[2];

	if (libxenvchan_recv(c, head, sizeof(head)) != sizeof(head))
		return 0;
	if (head[1] < 12 || head[1] > BLOCK_MAX || head[1] % 4)
		return -EBADMSG;
	memcpy(block, head, sizeof(head));
	/* A file that ran full ends anywhere: what is cut is left out. */
	for (uint32_t got = sizeof(head); got < head[1];) {
		const int n = libxenvchan_read(c, block + got, head[1] - got);

		if (n <= 0)
			return 0;
		got += (uint32_t)n;
	}
	if (al->on && head[0] == BLOCK_PACKET &&
	    head[1] >= PACKET_AT + sizeof(struct trace_prefix) + 4)
		align_packet(block, al);
	return fwrite(block, 1, head[1], stdout) == head[1] ? 1 : -errno;
}

static int fetch(struct libxenvchan *c, const char *name)
{
	struct align al = {.on = false};
	int64_t known;
	int r = compare_clocks(c, &al);

	if (r == -EPERM)
		say("times in the trace of %s are its own domain's, not Xen's", name);
	if (r == -EIO || ask(c, 't', &known) < 0) {
		say("cannot ask %s for its trace", name);
		return EXIT_STRAIT;
	}
	al.on = r == 0 && known == 0; /* else they are Xen's already */
	if (al.on)
		say("clocks of %s and dom0 compared: right within %lld us", name,
		    (long long)al.within / 1000);
	while ((r = pass_block(c, &al)) > 0)
		;
	if (r == 0 && fflush(stdout) != 0)
		r = -errno;
	if (r < 0)
		say("cannot write the trace of %s: %s", name, strerror(-r));
	return r < 0 ? EXIT_STRAIT : 0;
}

int trace_fetch(struct store *s, unsigned domid, const char *name)
{
	struct libxenvchan *c;
	uint32_t ref, port;
	int r;

	if (read_number(s, domid, name, "ring-ref", &ref) < 0 ||
	    read_number(s, domid, name, "event-channel", &port) < 0)
		return EXIT_STRAIT;
	c = vchan_client_open((int)domid, ref, port);
	if (!c) {
		say("cannot connect to the trace of %s: %s", name, strerror(errno));
		return EXIT_STRAIT;
	}
	c->blocking = -1; /* a signed bit */
	r = fetch(c, name);
	libxenvchan_close(c);
	return r;
}
