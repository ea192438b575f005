/* SPDX-License-Identifier: MIT */
/*
 * host.c - the stack "host": the service domain's own kernel sockets.
 *
 * Nonblocking sockets, edge-triggered epoll.  Received data stays in the kernel
 * until it can be pushed, so the kernel's window follows the guest's.  Posted
 * bytes count as acknowledged when the kernel has taken them.
 */
#include "services/netd/host.h"

#include "services/netd/clock.h"
#include "services/netd/info.h"
#include "services/netd/stack.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define LINGER_POLL_MS 10u

static int g_epoll = -1;
struct hsock *g_hsocks;
static uint8_t g_buf[RPC_PAYLOAD_MAX];

/* Once more for one that is watched: what is ready is told again. */
static int watch_again(struct hsock *h)
{
	struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
	                         .data.ptr = h};

	if (epoll_ctl(g_epoll, h->watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, h->fd, &ev) < 0)
		return -errno;
	h->watched = true;
	return 0;
}

static int watch_fd(struct hsock *h)
{
	return h->watched ? 0 : watch_again(h);
}

void host_add(struct hsock *h, int fd)
{
	h->fd = fd;
	h->next = g_hsocks;
	h->prev = &g_hsocks;
	if (g_hsocks)
		g_hsocks->prev = &h->next;
	g_hsocks = h;
}

static void tx_drop(struct hsock *h)
{
	while (h->tx) {
		struct host_chunk *c = h->tx;

		h->tx = c->next;
		free(c);
	}
	h->tx_tail = NULL;
}

static int so_error(const struct hsock *h)
{
	int err = 0;
	socklen_t len = sizeof(err);

	if (getsockopt(h->fd, SOL_SOCKET, SO_ERROR, &err, &len) < 0)
		return errno;
	return err;
}

static void hsock_free(struct hsock *h)
{
	tx_drop(h);
	free(h->stash);
	if (h->prev) {
		*h->prev = h->next;
		if (h->next)
			h->next->prev = h->prev;
		close(h->fd);
	}
	sock_free(&h->s);
}

static void names_of(struct hsock *h)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);

	if (getsockname(h->fd, (struct sockaddr *)&ss, &len) == 0)
		host_from_kernel(&ss, &h->s.local);
	len = sizeof(ss);
	if (getpeername(h->fd, (struct sockaddr *)&ss, &len) == 0)
		host_from_kernel(&ss, &h->s.peer);
}

static int op_open(struct sock *s)
{
	struct hsock *h = hsock_of(s);
	const int fd = socket(s->domain, s->type | SOCK_NONBLOCK | SOCK_CLOEXEC,
	                      s->proto == IPPROTO_TCP || s->proto == IPPROTO_UDP ? 0 : s->proto);

	if (fd < 0)
		return -errno;
	host_add(h, fd);
	if (s->type == SOCK_STREAM)
		return 0;
	host_dgram_setup(h);
	return watch_fd(h);
}

/* An instance that dies leaves its connections to the kernel, which ends them, and
 * their port stays taken for a minute.  A listener can have it again while both say
 * SO_REUSEADDR; what the guest said of that is in the table. */
static void let_reuse(int fd)
{
	const int on = 1;

	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)); /* bind() tells */
}

static int op_bind(struct sock *s, const struct naddr *a)
{
	struct hsock *h = hsock_of(s);
	struct sockaddr_storage ss;
	const socklen_t len = host_to_kernel(s, a, &ss);

	if (s->again && s->type == SOCK_STREAM)
		let_reuse(h->fd);
	if (bind(h->fd, (struct sockaddr *)&ss, len) < 0)
		return -errno;
	s->bound = true;
	h->port_asked = a->port != 0;
	names_of(h);
	return 0;
}

static int op_listen(struct sock *s)
{
	struct hsock *h = hsock_of(s);

	if (listen(h->fd, (int)s->backlog) < 0)
		return -errno;
	s->bound = true;
	names_of(h);
	return watch_fd(h);
}

static int op_connect(struct sock *s, const struct naddr *a)
{
	struct hsock *h = hsock_of(s);
	struct sockaddr_storage ss;
	const socklen_t len = host_to_kernel(s, a, &ss);
	int r = connect(h->fd, (struct sockaddr *)&ss, len) < 0 ? -errno : 0;

	if (r == -ECONNABORTED) /* of an attempt that failed; the guest was told */
		r = connect(h->fd, (struct sockaddr *)&ss, len) < 0 ? -errno : 0;
	if (r < 0 && r != -EINPROGRESS)
		return r;
	s->bound = true;
	s->peer = *a;
	names_of(h);
	if (s->type == SOCK_DGRAM) {
		s->connected = true;
		return 0;
	}
	s->connecting = true;
	s->gone = false;
	r = watch_fd(h);
	return r < 0 ? r : -EINPROGRESS; /* EPOLLOUT tells, also when it is done */
}

/* A stream: the kernel has reset the connection, or stopped listening. */
static int stream_reset(struct hsock *h)
{
	tx_drop(h);
	h->fin_wanted = h->readable = false;
	if (h->watched) /* else it tells of what is over */
		(void)epoll_ctl(g_epoll, EPOLL_CTL_DEL, h->fd, NULL);
	h->watched = false;
	(void)so_error(h); /* the guest knows */
	sock_reset(&h->s);
	h->s.bound = h->port_asked;
	names_of(h);
	return 0;
}

static int op_disconnect(struct sock *s)
{
	struct hsock *h = hsock_of(s);
	const struct sockaddr none = {.sa_family = AF_UNSPEC};

	if (connect(h->fd, &none, sizeof(none)) < 0)
		return -errno;
	if (s->type == SOCK_STREAM)
		return stream_reset(h);
	s->connected = false;
	memset(&s->peer, 0, sizeof(s->peer));
	names_of(h);
	return 0;
}

/* ---- sending ---- */

static uint32_t send_some(struct hsock *h, const uint8_t *data, uint32_t len, bool more)
{
	uint32_t done = 0;

	while (done < len) {
		const ssize_t n = send(h->fd, data + done, len - done,
		                       MSG_NOSIGNAL | (more ? MSG_MORE : 0));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != EAGAIN) /* the receive side tells why */
			sock_error(&h->s, errno, errno != ENOBUFS && errno != ENOMEM);
		if (n <= 0)
			break;
		done += (uint32_t)n;
	}
	if (done)
		sock_acked(&h->s, done);
	return done;
}

static void fin(struct hsock *h)
{
	h->fin_wanted = false;
	(void)shutdown(h->fd, SHUT_WR); /* ENOTCONN: the peer was faster */
}

/* False: @h was an orphan, done and freed. */
static bool drain(struct hsock *h)
{
	while (h->tx && !h->s.gone) {
		struct host_chunk *c = h->tx;
		const uint32_t n = send_some(h, c->data + c->off, c->len - c->off, c->next != NULL);

		if (n == 0)
			break;
		c->off += n;
		if (c->off < c->len)
			continue;
		h->tx = c->next;
		if (!h->tx)
			h->tx_tail = NULL;
		free(c);
	}
	if ((!h->tx || h->s.gone) && h->fin_wanted)
		fin(h);
	if (h->orphan && (!h->tx || h->s.gone) && !h->s.linger) {
		hsock_free(h);
		return false;
	}
	return true;
}

int host_tx_append(struct hsock *h, const void *data, uint32_t len)
{
	struct host_chunk *c = malloc(sizeof(*c) + len);

	if (!c)
		return -ENOMEM;
	*c = (struct host_chunk){.len = len};
	memcpy(c->data, data, len);
	if (h->tx)
		h->tx_tail->next = c;
	else
		h->tx = c;
	h->tx_tail = c;
	return 0;
}

static void op_send(struct sock *s, const void *data, uint32_t len, bool more)
{
	struct hsock *h = hsock_of(s);
	const uint32_t n = h->tx ? 0 : send_some(h, data, len, more);

	if (n == len || s->gone)
		return;
	if (host_tx_append(h, (const uint8_t *)data + n, len - n) < 0)
		sock_error(s, ENOMEM, true);
}

/* ---- receiving ---- */

static uint32_t op_rx_peek(struct sock *s, uint32_t max, struct iovec *io, int *n_io)
{
	struct hsock *h = hsock_of(s);
	ssize_t n;

	if (s->eof || s->gone || !s->connected)
		return 0;
	do {
		n = recv(h->fd, g_buf, max < sizeof(g_buf) ? max : sizeof(g_buf), 0);
	} while (n < 0 && errno == EINTR);
	if (n == 0) {
		s->eof = true;
		s->pend |= PEND_EOF;
	} else if (n < 0 && errno != EAGAIN) {
		sock_error(s, errno, true);
	}
	if (n <= 0)
		return 0;
	s->rx_got += (uint64_t)n;
	io[0] = (struct iovec){g_buf, (size_t)n};
	*n_io = 1;
	return (uint32_t)n;
}

static void op_rx_take(struct sock *s, uint32_t n)
{
	(void)s; /* left the kernel when it was looked at */
	(void)n;
}

static void op_rx_window(struct sock *s)
{
	(void)s; /* push_guest() reads on */
}

/* ---- accepting ---- */

static void op_accept_more(struct sock *l)
{
	struct hsock *h = hsock_of(l);

	while (h->readable && l->n_queue < 64) {
		const int fd = accept4(h->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		struct sock *s;

		if (fd < 0) {
			h->readable = errno != EAGAIN;
			if (errno == ECONNABORTED || errno == EINTR)
				continue;
			return;
		}
		s = sock_new(l->ops, l->domain, SOCK_STREAM, IPPROTO_TCP);
		if (!s) {
			close(fd);
			return;
		}
		host_add(hsock_of(s), fd);
		let_reuse(fd);
		s->opt = l->opt;
		s->rx_limit = s->rx_limit_told = l->accept_limit;
		s->bound = true;
		names_of(hsock_of(s));
		sock_queue_accept(l, s);
		s->pend |= PEND_DATA;
		if (watch_fd(hsock_of(s)) < 0)
			sock_error(s, ENOMEM, true);
	}
}

/* ---- the end ---- */

static int op_shutdown(struct sock *s, int how)
{
	struct hsock *h = hsock_of(s);

	if (s->type == SOCK_DGRAM || s->listening)
		return shutdown(h->fd, how) < 0 ? -errno : 0;
	if (how != SHUT_WR)
		s->rx_shut = true;
	if (how == SHUT_RD || s->tx_shut)
		return 0;
	s->tx_shut = true;
	h->fin_wanted = true;
	(void)drain(h); /* not an orphan: it stays */
	return 0;
}

static void op_close(struct sock *s, bool abort)
{
	struct hsock *h = hsock_of(s);
	const struct linger now = {1, 0}, none = {0, 0};

	if (s->type == SOCK_STREAM && s->connected)
		(void)setsockopt(h->fd, SOL_SOCKET, SO_LINGER, abort ? &now : &none, sizeof(now));
	if (abort || !s->connected || s->gone || s->type != SOCK_STREAM) {
		hsock_free(h);
		return;
	}
	if (!h->tx && !s->linger) {
		hsock_free(h);
		return;
	}
	h->orphan = true;
	h->fin_wanted = s->linger != NULL;
	(void)drain(h);
}

/* ---- options ---- */

static int op_opt_set(struct sock *s, int level, int name, const void *val, uint32_t len)
{
	const bool group = (level == IPPROTO_IP && (name == IP_ADD_MEMBERSHIP ||
	                                            name == IP_DROP_MEMBERSHIP)) ||
	                   (level == IPPROTO_IPV6 && (name == IPV6_JOIN_GROUP ||
	                                              name == IPV6_LEAVE_GROUP));

	if (group || (level == SOL_SOCKET && name == SO_LINGER))
		return 0; /* by the table: host_group(); op_close() */
	return setsockopt(hsock_of(s)->fd, level, name, val, len) < 0 ? -errno : 0;
}

static int op_opt_get(struct sock *s, int level, int name, void *val, uint32_t *len)
{
	socklen_t n = *len;

	if (level == SOL_SOCKET && (name == SO_LINGER || name == SO_ERROR || name == SO_REUSEADDR))
		return -ENOPROTOOPT;
	if (level != SOL_SOCKET && level != IPPROTO_TCP && level != IPPROTO_IP &&
	    level != IPPROTO_IPV6)
		return -ENOPROTOOPT;
	if (getsockopt(hsock_of(s)->fd, level, name, val, &n) < 0)
		return -errno;
	*len = n;
	return 0;
}

static int op_changed(struct sock *s, int level, int name)
{
	(void)s;
	(void)level;
	(void)name;
	return 0;
}

static const struct stack_ops g_ops = {
	.name = "host",
	.kernel_opts = true,
	.sock_size = sizeof(struct hsock),
	.open = op_open,
	.bind = op_bind,
	.listen = op_listen,
	.connect = op_connect,
	.disconnect = op_disconnect,
	.send = op_send,
	.send_dgram = host_dgram_send,
	.rx_peek = op_rx_peek,
	.rx_take = op_rx_take,
	.dgram_peek = host_dgram_peek,
	.dgram_take = host_dgram_take,
	.rx_window = op_rx_window,
	.shutdown = op_shutdown,
	.close = op_close,
	.opt_changed = op_changed,
	.opt_set = op_opt_set,
	.opt_get = op_opt_get,
	.group = host_group,
	.info = host_info,
	.accept_more = op_accept_more,
};

/* ---- the loop's side ---- */

static int start(const Control__NetConfig *cfg, int fd, char why[256])
{
	(void)fd;
	if (info_keep(cfg) == 0 && host_info_start() == 0)
		return 0;
	(void)snprintf(why, 256, "netd: cannot list the interfaces of this domain");
	return -EIO;
}

static void watch(int epoll_fd)
{
	g_epoll = epoll_fd;
}

static void connect_event(struct hsock *h, uint32_t events)
{
	const int err = so_error(h);

	if (err == 0 && !(events & EPOLLOUT))
		return;
	if (err == 0)
		names_of(h);
	sock_connected(&h->s, err);
	if (err == 0)
		sock_ready(&h->s, PEND_DATA);
}

static bool input(void *tag, uint32_t events)
{
	struct hsock *h = g_hsocks;

	while (h && h != tag) /* an event may have outlived its socket */
		h = h->next;
	if (!h)
		return false;
	if (h->s.listening) {
		h->readable = true;
		sock_ready(&h->s, PEND_IDS);
		return false;
	}
	if (h->s.connecting) {
		connect_event(h, events);
		return false;
	}
	if ((events & EPOLLOUT) && !drain(h))
		return false;
	if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP))
		sock_ready(&h->s, PEND_DATA);
	if (events & EPOLLERR) {
		const int err = so_error(h);

		if (err)
			sock_error(&h->s, err, h->s.type == SOCK_STREAM);
	}
	return false;
}

static int link_none(void)
{
	return -1;
}

static bool flush(void)
{
	return false;
}

static bool lingering(void)
{
	for (const struct hsock *h = g_hsocks; h; h = h->next) {
		if (h->orphan && h->s.linger)
			return true;
	}
	return false;
}

static uint64_t deadline(void)
{
	return linger_deadline() != UINT64_MAX && lingering() ? clock_ms() + LINGER_POLL_MS
	                                                      : UINT64_MAX;
}

/* SO_LINGER: the kernel does not tell when the last byte is acknowledged. */
static void run(uint64_t now_ms)
{
	struct hsock *h = g_hsocks, *next;

	(void)now_ms;
	if (linger_deadline() == UINT64_MAX)
		return;
	for (; h; h = next) {
		int left = 0;

		next = h->next;
		if (!h->orphan || h->tx)
			continue;
		if (h->s.linger && !h->s.gone && ioctl(h->fd, SIOCOUTQ, &left) == 0 && left > 0)
			continue;
		hsock_free(h); /* answers the close call */
	}
}

static void seal(void)
{
}

static uint32_t reset_orphans(void)
{
	const struct linger now = {1, 0};
	struct hsock *h = g_hsocks, *next;
	uint32_t n = 0;

	for (; h; h = next) {
		next = h->next;
		if (!h->orphan)
			continue;
		n++;
		(void)setsockopt(h->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
		hsock_free(h);
	}
	return n;
}

/* What happened while nobody looked is told now. */
static void go(void)
{
	for (struct hsock *h = g_hsocks; h; h = h->next) {
		const bool idle = h->s.type == SOCK_STREAM && !h->s.listening &&
		                  !h->s.connected && !h->s.connecting;

		if (!idle && watch_again(h) < 0)
			sock_error(&h->s, ENOMEM, true);
	}
}

const struct stack g_stack_host = {
	.ops = &g_ops,
	.start = start,
	.watch = watch,
	.input = input,
	.fd = link_none,
	.flush = flush,
	.deadline = deadline,
	.run = run,
	.seal = seal,
	.head = host_head,
	.export = host_export,
	.import = host_import,
	.go = go,
	.resume = go,
	.reset_orphans = reset_orphans,
};
