/* SPDX-License-Identifier: MIT */
/*
 * Frames become pcapng Enhanced Packet Blocks in a buffer; the buffer goes out
 * with one write() to a file opened O_APPEND, so blocks of two services never
 * mix.  A failing write (disk full) ends the trace with one message, not the
 * service.
 */
#include "rpc/trace_write.h"

#include "rpc/server.h"
#include "rpc/trace.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BUF_SIZE (256u * 1024u)
#define FLUSH_AT (BUF_SIZE / 2u)

bool g_trace_on;
static struct {
	pthread_mutex_t lock;
	int fd;
	bool payload;
	uint64_t real_minus_mono; /* constant: one clock for the whole file */
	uint64_t ahead;           /* constant: the guests' clock minus ours */
	size_t used;              /* under lock */
	uint8_t buf[BUF_SIZE];    /* under lock */
} g_trace = {.lock = PTHREAD_MUTEX_INITIALIZER, .fd = -1};

struct epb {
	uint32_t type, total_len, interface, ts_high, ts_low, cap_len, orig_len;
};

static uint64_t clock_ns(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

void rpc_trace_start(int fd, bool with_payload, int64_t clock_ahead)
{
	g_trace.fd = fd;
	g_trace.payload = with_payload;
	g_trace.real_minus_mono = clock_ns(CLOCK_REALTIME) - clock_ns(CLOCK_MONOTONIC);
	g_trace.ahead = (uint64_t)clock_ahead;
	g_trace_on = true;
}

static void flush_locked(void)
{
	size_t done = 0;

	while (done < g_trace.used) {
		const ssize_t n = write(g_trace.fd, g_trace.buf + done, g_trace.used - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			fprintf(stderr, "strait: trace stopped: %m\n"); /* any thread of a service */
			g_trace_on = false;
			break;
		}
		done += (size_t)n;
	}
	g_trace.used = 0;
}

void trace_flush(void)
{
	pthread_mutex_lock(&g_trace.lock);
	flush_locked();
	pthread_mutex_unlock(&g_trace.lock);
}

static void append_locked(const void *p, size_t n)
{
	memcpy(g_trace.buf + g_trace.used, p, n);
	g_trace.used += n;
}

void trace_frame(const struct trace_where *w, const struct frame *hdr, const void *msg,
                 const struct iovec *payload, int n_payload)
{
	const uint32_t payload_cap = g_trace.payload ? hdr->payload_len : 0;
	const uint32_t fixed = (uint32_t)sizeof(struct trace_prefix) + FRAME_HDR_LEN;
	const uint32_t cap = fixed + hdr->msg_len + payload_cap;
	const uint32_t pad = (4 - cap % 4) % 4;
	const uint64_t ts = w->mono + g_trace.real_minus_mono;
	const uint32_t total = (uint32_t)sizeof(struct epb) + cap + pad + 4;
	const struct epb e = {6, total, w->service - 1u, (uint32_t)(ts >> 32), (uint32_t)ts,
	                      cap, fixed + hdr->msg_len + hdr->payload_len};
	const struct trace_prefix pre = {TRACE_VERSION, w->direction, w->service, 0,
	                                 w->domid, w->mono + g_trace.ahead};
	uint32_t left = payload_cap;

	pthread_mutex_lock(&g_trace.lock);
	if (g_trace.used + total > BUF_SIZE)
		flush_locked();
	append_locked(&e, sizeof(e));
	append_locked(&pre, sizeof(pre));
	append_locked(hdr, sizeof(*hdr));
	append_locked(msg, hdr->msg_len);
	for (int i = 0; i < n_payload && left; i++) {
		const uint32_t n = payload[i].iov_len < left ? (uint32_t)payload[i].iov_len
		                                             : left;
		append_locked(payload[i].iov_base, n);
		left -= n;
	}
	append_locked("\0\0\0", pad);
	append_locked(&total, 4);
	if (g_trace.used > FLUSH_AT)
		flush_locked();
	pthread_mutex_unlock(&g_trace.lock);
}
