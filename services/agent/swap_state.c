/* SPDX-License-Identifier: MIT */
/*
 * swap_state.c - a netd's state on its way from one domain to the next (swap.h).
 *
 * The agents copy: netd has no means to reach another domain.  Meanwhile nobody is
 * served anyway, so they do nothing else, as long as it goes on.
 */
#include "services/agent/agent.h"
#include "vchan/vchan.h"

#include <errno.h>
#include <libxenvchan.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#define PUMP_MS 10000u /* without a byte */
#define ROOM_MS 1     /* the reader does not say when it has made room */

static int left(uint64_t until)
{
	const uint64_t now = now_ms();

	return now < until ? (int)(until - now) : 0;
}

static int put_all(struct vchan_end *v, const uint8_t *p, size_t n, uint64_t until)
{
	while (n > 0) {
		const int64_t room = vchan_room(v);
		const uint32_t k = room < (int64_t)n ? (uint32_t)(room > 0 ? room : 0) : (uint32_t)n;

		if (room < 0 || !vchan_peer_open(v))
			return -EPIPE;
		if (k == 0) {
			if (!left(until))
				return -ETIMEDOUT;
			(void)poll(NULL, 0, ROOM_MS);
			continue;
		}
		vchan_put(v, 0, p, k);
		vchan_publish(v, k);
		vchan_notify(v);
		p += k;
		n -= k;
	}
	return 0;
}

int swap_pump_out(struct vchan_end *v, int sock)
{
	uint8_t buf[16384];

	for (;;) {
		const uint64_t until = now_ms() + PUMP_MS;
		struct pollfd p = {.fd = sock, .events = POLLIN};
		ssize_t n;
		int r = poll(&p, 1, left(until));

		if (r == 0)
			return -ETIMEDOUT;
		n = r < 0 ? -1 : read(sock, buf, sizeof(buf));
		if (n == 0)
			return 0;
		if (n < 0 && errno != EINTR && errno != EAGAIN)
			return -errno;
		r = n > 0 ? put_all(v, buf, (size_t)n, until) : 0;
		if (r < 0)
			return r;
	}
}

int swap_pump_wait(struct libxenvchan *c)
{
	const uint64_t until = now_ms() + PUMP_MS;

	c->blocking = 0;
	while (libxenvchan_data_ready(c) <= 0) {
		struct pollfd p = {.fd = libxenvchan_fd_for_select(c), .events = POLLIN};

		if (libxenvchan_is_open(c) != 1)
			return -EPIPE;
		if (poll(&p, 1, left(until)) == 0)
			return -ETIMEDOUT;
		if (p.revents && libxenvchan_wait(c) < 0)
			return -EIO;
	}
	return 0;
}

/* 1: the reader wants no more. */
static int give_all(int sock, const uint8_t *p, size_t n, uint64_t until)
{
	while (n > 0) {
		struct pollfd out = {.fd = sock, .events = POLLOUT};
		ssize_t k;

		if (poll(&out, 1, left(until)) == 0)
			return -ETIMEDOUT;
		k = send(sock, p, n, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (k < 0 && errno == EPIPE)
			return 1;
		if (k < 0 && errno != EAGAIN && errno != EINTR)
			return -errno;
		p += k > 0 ? k : 0;
		n -= k > 0 ? (size_t)k : 0;
	}
	return 0;
}

int swap_pump_in(struct libxenvchan *c, int sock)
{
	uint64_t until = now_ms() + PUMP_MS;
	uint8_t buf[16384];

	c->blocking = 0;
	for (;;) {
		struct pollfd p[2] = {{.fd = sock}, {.fd = libxenvchan_fd_for_select(c), .events = POLLIN}};
		const int n = libxenvchan_read(c, buf, sizeof(buf));

		if (n > 0) {
			const int r = give_all(sock, buf, (size_t)n, until);

			if (r != 0)
				return r < 0 ? r : 0;
			until = now_ms() + PUMP_MS;
			continue;
		}
		if (n < 0 || libxenvchan_is_open(c) != 1)
			return -EPIPE;
		if (poll(p, 2, left(until)) == 0)
			return -ETIMEDOUT;
		if (p[0].revents & (POLLHUP | POLLERR))
			return 0; /* it has read what it wanted, and says how it went */
		if (p[1].revents && libxenvchan_wait(c) < 0)
			return -EIO;
	}
}
