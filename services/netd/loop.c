/* SPDX-License-Identifier: MIT */
/*
 * loop.c - see loop.h.
 *
 * A turn: wait; take frames from the link and a bounded number from each guest;
 * run timers; let written data leave; push what arrived; wake guests that sleep.
 * A guest that sends without end gets FRAMES_A_TURN frames of each turn, so it
 * cannot shut the others or the network out.
 *
 * A guest's life: added, serving, then closed: it left, broke a rule, or the
 * platform said that it is gone.  What it had published before is served; its
 * sockets are then closed as Linux closes those of a process that ends.
 */
#include "services/netd/loop_priv.h"

#include "rpc/control.h"
#include "rpc/server_early.h"
#include "rpc/slice.h"
#include "rpc/tick.h"
#include "services/netd/clock.h"
#include "services/netd/stack.h"
#include "vchan/vchan.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define FRAMES_A_TURN 64
#define GONE_FRAMES (1 << 20) /* more than a ring can hold */
#define FLUSH_TURNS 16        /* of loop-back packets before guests are served again */
#define BEAT_MS 500           /* guests must see a heartbeat once a second */
#define EVENTS 64
#define LEND_NS 100000        /* longer: others want the CPU */
#define LEND_LOST_MAX 12      /* 4096 turns */

struct loop g_loop;

static const char g_left[] = "the guest left";

/* ---- supervisor ---- */

void loop_say(Control__Control *c)
{
	if (control_send(g_loop.control, c, NULL, 0) < 0)
		g_loop.stop = true;
}

static void say_ready(void)
{
	Control__Control c = CONTROL__CONTROL__INIT;
	Control__Ready r = CONTROL__READY__INIT;

	r.version = RPC_VERSION_MAX;
	r.prepares = 1;
	c.body_case = CONTROL__CONTROL__BODY_READY;
	c.ready = &r;
	loop_say(&c);
}

/* @end: the channel, when the guest is ready; NULL: all it had is released. */
static void say_guest(uint32_t domid, const struct vchan_end *end)
{
	Control__Control c = CONTROL__CONTROL__INIT;
	Control__GuestReady up = CONTROL__GUEST_READY__INIT;
	Control__Released gone = CONTROL__RELEASED__INIT;

	up.domid = gone.domid = domid;
	if (end)
		vchan_address(end, &up.ring_ref, &up.event_channel);
	c.body_case = end ? CONTROL__CONTROL__BODY_GUEST_READY
	                  : CONTROL__CONTROL__BODY_RELEASED;
	if (end)
		c.guest_ready = &up;
	else
		c.released = &gone;
	loop_say(&c);
}

int loop_take_fd(int *fds, int n_fds, uint32_t i)
{
	int fd = -1;

	if (i < (uint32_t)n_fds) {
		fd = fds[i];
		fds[i] = -1;
	}
	return fd;
}

/* ---- guests ---- */

static void on_broken(struct rpc_conn *conn, const char *why)
{
	struct guest *g = rpc_conn_ctx(conn);

	if (strcmp(why, g_left) == 0)
		g->broken = true;
	else
		guest_break(g, why);
}

/* Told once: a guest may say it as often as it likes. */
static void is_back(struct guest *g)
{
	Control__Control c = CONTROL__CONTROL__INIT;
	Control__GuestBack back = CONTROL__GUEST_BACK__INIT;

	back_is(g->domid);
	if (g->back || g_loop.ops.epoch < 2)
		return;
	g->back = true;
	back.domid = g->domid;
	c.body_case = CONTROL__CONTROL__BODY_GUEST_BACK;
	c.guest_back = &back;
	loop_say(&c);
}

static bool is_moved(struct rpc_conn *conn, void *ctx)
{
	(void)conn;
	return ((const struct guest *)ctx)->moved;
}

/* A guest whose first hello the instance before did not answer has nothing to bring. */
static void on_hello(struct rpc_conn *conn, void *ctx)
{
	if (!rpc_conn_resumed(conn))
		is_back(ctx);
}

static void on_recovered(struct rpc_conn *conn, void *ctx)
{
	(void)conn;
	is_back(ctx);
}

static struct guest *guest_find(uint32_t domid)
{
	struct guest *g = g_loop.guests;

	while (g && g->domid != domid)
		g = g->next;
	return g;
}

static struct vchan_end *channel_open(const Control__GuestAdd *m, int *fds, int n_fds)
{
	const int fd[3] = {loop_take_fd(fds, n_fds, m->ring_fd), loop_take_fd(fds, n_fds, m->event_fd),
	                   loop_take_fd(fds, n_fds, m->doorbell_fd)};
	char path[256];
	int r;

	(void)snprintf(path, sizeof(path), "%.*s", (int)(m->xs_path.len < 255 ? m->xs_path.len : 255),
	               (const char *)m->xs_path.data);
	r = vchan_offer((int)m->domid, path, fd);
	if (r < 0) {
		errno = -r;
		return NULL;
	}
	return vchan_server_open((int)m->domid, path, RPC_RING_ORDER);
}

/* Takes @end. */
static struct guest *guest_open(const Control__GuestAdd *m, struct vchan_end *end)
{
	struct epoll_event ev = {.events = EPOLLIN | EPOLLET};
	char name[64];
	struct guest *g;

	(void)snprintf(name, sizeof(name), "%.*s", (int)(m->name.len < 63 ? m->name.len : 63),
	               (const char *)m->name.data);
	g = move_guest(m->client_id.data);
	if (!g)
		g = guest_new(NULL, m->domid, name);
	if (!g) {
		vchan_close(end);
		return NULL;
	}
	g->domid = m->domid;
	memcpy(g->client_id, m->client_id.data, sizeof(g->client_id));
	g->conn = rpc_conn_new(end, &g_loop.ops, m->client_id.data, m->domid, g);
	if (!g->conn) {
		vchan_close(end);
		guest_free(g);
		return NULL;
	}
	ev.data.ptr = g;
	if (epoll_ctl(g_loop.epoll, EPOLL_CTL_ADD, rpc_conn_fd(g->conn), &ev) < 0) {
		rpc_conn_free(g->conn);
		guest_free(g);
		return NULL;
	}
	g->runnable = true;
	return g;
}

static void no_channel(uint32_t domid)
{
	control_fail(g_loop.control, domid, "netd: cannot open the channel of guest %u: %s", domid,
	             strerror(errno));
}

/* Another instance serves it; its channel to us is made meanwhile. */
static void guest_prepare(const Control__GuestAdd *m, int *fds, int n_fds)
{
	struct vchan_end *end = channel_open(m, fds, n_fds);
	const int r = end ? early_put(m->domid, m->client_id.data, end) : -errno;

	if (r == 0) {
		say_guest(m->domid, end);
		return;
	}
	errno = -r;
	no_channel(m->domid);
}

static void guest_add(const Control__GuestAdd *m, int *fds, int n_fds)
{
	struct vchan_end *end;
	struct guest *g = NULL;

	if (guest_find(m->domid) || m->client_id.len != RPC_CLIENT_ID_LEN) {
		control_fail(g_loop.control, m->domid,
		             "netd: guest %u %s", m->domid,
		             guest_find(m->domid) ? "is here already" : "has no valid client id");
		return;
	}
	if (m->prepare) {
		guest_prepare(m, fds, n_fds);
		return;
	}
	if (!move_go()) {
		control_fail(g_loop.control, m->domid,
		             "netd: guest %u comes while nobody may be served", m->domid);
		return;
	}
	end = early_take(m->domid, m->client_id.data);
	if (!end)
		end = channel_open(m, fds, n_fds);
	if (end)
		g = guest_open(m, end);
	if (!g) {
		no_channel(m->domid);
		return;
	}
	g->next = g_loop.guests;
	g_loop.guests = g;
	back_begins();
	say_guest(m->domid, end);
}

static void guest_drop(struct guest *g)
{
	struct guest **p = &g_loop.guests;
	struct rpc_conn *conn = g->conn;
	/* At our own end guests do not leave: we do. */
	const bool says = !g_loop.stop || g->leaving;
	const uint32_t domid = g->domid;

	while (*p != g)
		p = &(*p)->next;
	*p = g->next;
	linger_drop(conn);
	back_is(domid);
	if (g_loop.woken == g)
		g_loop.woken = NULL;
	guest_free(g);
	(void)epoll_ctl(g_loop.epoll, EPOLL_CTL_DEL, rpc_conn_fd(conn), NULL);
	rpc_conn_free(conn);
	if (says)
		say_guest(domid, NULL);
}

/* Dead: what it had published is all that comes. */
void loop_guest_gone(uint32_t domid)
{
	struct guest *g = guest_find(domid);

	early_drop(domid);
	if (move_guest_gone(domid))
		return;
	if (!g) {
		back_is(domid);
		say_guest(domid, NULL);
		return;
	}
	if (!g->broken)
		(void)rpc_conn_pump(g->conn, GONE_FRAMES);
	g->broken = g->leaving = true;
}

void loop_drop_broken(void)
{
	struct guest *g = g_loop.guests, *next;

	for (; g; g = next) {
		next = g->next;
		if (g->broken)
			guest_drop(g);
	}
}

/* ---- control messages ---- */

static bool is(const ProtobufCBinaryData *d, const char *word)
{
	return d->len == strlen(word) && memcmp(d->data, word, d->len) == 0;
}

int loop_watch_link(void)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.ptr = &g_loop.link_more};

	if (g_loop.link_fd >= 0 &&
	    epoll_ctl(g_loop.epoll, EPOLL_CTL_ADD, g_loop.link_fd, &ev) < 0) {
		control_fail(g_loop.control, 0, "netd: cannot watch the link: %s",
		             strerror(errno));
		return -errno;
	}
	return 0;
}

static int start_stack(const Control__Configure *c, int *fds, int n_fds)
{
	const Control__NetConfig *cfg = c->net;
	const bool takeover = c->takeover != 0;
	const bool host = is(&cfg->stack, "host"), lwip = is(&cfg->stack, "lwip");
	char why[256] = "";
	int fd = -1;

	if (!host && !lwip) {
		control_fail(g_loop.control, 0, "netd: stack '%.*s' is not known; lwip or host",
		             (int)(cfg->stack.len < 100 ? cfg->stack.len : 100),
		             (const char *)cfg->stack.data);
		return -EINVAL;
	}
	g_loop.stack = host ? &g_stack_host : &g_stack_lwip;
	if (takeover)
		move_expect(g_loop.stack);
	if (lwip && cfg->link.len > 0 && !is(&cfg->link, "loop"))
		fd = loop_take_fd(fds, n_fds, cfg->link_fd);
	if (g_loop.stack->start(cfg, fd, why) < 0) {
		control_fail(g_loop.control, 0, "%s", why);
		return -EINVAL;
	}
	g_loop.stack->watch(g_loop.epoll);
	g_loop.link_fd = fd;
	serve_config(g_loop.stack->ops, cfg->port_min);
	if (takeover)
		move_expect_warm();
	if (back_expect(c) < 0) {
		control_fail(g_loop.control, 0, "netd: no memory for the guests that come back");
		return -ENOMEM;
	}
	return takeover || back_waits() ? 0 : loop_watch_link();
}

static int configure(const Control__Configure *c, int *fds, int n_fds)
{
	int r;

	if (g_loop.configured || !c->net) {
		control_fail(g_loop.control, 0, "netd: %s",
		             c->net ? "is configured already" : "configuration without a network");
		return -EINVAL;
	}
	if (c->trace)
		rpc_trace_start(loop_take_fd(fds, n_fds, c->trace_fd), c->trace_payload != 0,
		                c->clock_ahead);
	r = start_stack(c, fds, n_fds);
	if (r < 0)
		return r;
	g_loop.ops = (struct rpc_server_ops){.service = serve_service(),
	                                     .service_id = RPC_SERVICE_NET,
	                                     .on_hello = on_hello,
	                                     .on_recovered = on_recovered,
	                                     .on_broken = on_broken,
	                                     .moved = is_moved,
	                                     .n_slots = RPC_SLOTS_MAX,
	                                     .post_room = SNDBUF_DEFAULT,
	                                     .epoch = c->epoch};
	if (g_loop.sandboxed) {
		r = sandbox_enter(g_loop.stack == &g_stack_host);
		if (r < 0) {
			control_fail(g_loop.control, 0, "netd: cannot lock itself in: %s",
			             strerror(-r));
			return r;
		}
	}
	g_loop.configured = true;
	say_ready();
	return 0;
}

static void say_pong(uint64_t nonce)
{
	Control__Control c = CONTROL__CONTROL__INIT;
	Control__Pong pong = CONTROL__PONG__INIT;

	pong.nonce = nonce;
	c.body_case = CONTROL__CONTROL__BODY_PONG;
	c.pong = &pong;
	loop_say(&c);
}

static void say_status(void)
{
	Control__Control c = CONTROL__CONTROL__INIT;
	Control__StatusReply s = CONTROL__STATUS_REPLY__INIT;

	for (const struct guest *g = g_loop.guests; g; g = g->next) {
		s.sessions += !g->broken;
		s.in_flight += rpc_conn_busy(g->conn);
		s.connections += g->n_socks;
	}
	c.body_case = CONTROL__CONTROL__BODY_STATUS_REPLY;
	c.status_reply = &s;
	loop_say(&c);
}

static void control_handle(const Control__Control *c, int *fds, int n_fds)
{
	switch (c->body_case) {
	case CONTROL__CONTROL__BODY_CONFIGURE:
		if (configure(c->configure, fds, n_fds) < 0) {
			g_loop.stop = true;
			g_loop.status = 1;
		}
		break;
	case CONTROL__CONTROL__BODY_GUEST_ADD:
		if (g_loop.configured)
			guest_add(c->guest_add, fds, n_fds);
		else
			control_fail(g_loop.control, c->guest_add->domid,
			             "netd: was not configured before its first guest");
		break;
	case CONTROL__CONTROL__BODY_GUEST_GONE:
		loop_guest_gone(c->guest_gone->domid);
		break;
	case CONTROL__CONTROL__BODY_SHUTDOWN:
		g_loop.stop = true;
		break;
	case CONTROL__CONTROL__BODY_PING:
		say_pong(c->ping->nonce);
		break;
	case CONTROL__CONTROL__BODY_STATUS:
		say_status();
		break;
	case CONTROL__CONTROL__BODY_EXPORT:
		if (c->export->drop)
			move_do_drop();
		else
			move_do_export(loop_take_fd(fds, n_fds, c->export->fd));
		break;
	case CONTROL__CONTROL__BODY_IMPORT:
		move_do_import(loop_take_fd(fds, n_fds, c->import->fd));
		break;
	case CONTROL__CONTROL__BODY_RESUME:
		move_resume();
		break;
	default:
		control_fail(g_loop.control, 0, "netd: a control message is not known here");
	}
}

static void control_read(void)
{
	Control__Control *c;
	int fds[CONTROL_FDS_MAX], n_fds = 0;
	const int r = control_recv(g_loop.control, MSG_DONTWAIT, &c, fds, &n_fds);

	if (r == -EAGAIN)
		return;
	if (r < 0) { /* -EPIPE: the supervisor ended, and netd with it */
		g_loop.stop = true;
		g_loop.status = r == -EPIPE ? 0 : 1;
		return;
	}
	control_handle(c, fds, n_fds);
	for (int i = 0; i < n_fds; i++) {
		if (fds[i] >= 0)
			close(fds[i]);
	}
	control__control__free_unpacked(c, NULL);
}

/* ---- a turn ---- */

static bool serve_guests(void)
{
	bool more = false;

	for (struct guest *g = g_loop.guests; g; g = g->next) {
		if (!g->runnable || g->broken)
			continue;
		g->runnable = rpc_conn_pump(g->conn, FRAMES_A_TURN) > 0 &&
		              !rpc_conn_idle(g->conn);
		more |= g->runnable;
	}
	return more;
}

static bool flush_stack(void)
{
	int i = 0;

	while (i < FLUSH_TURNS && g_loop.stack->flush())
		i++;
	return i == FLUSH_TURNS;
}

void loop_push_all(void)
{
	for (struct guest *g = g_loop.guests; g; g = g->next) {
		if (g->broken || !g->ready)
			continue;
		push_guest(g);
		if (rpc_conn_flush(g->conn))
			g_loop.woken = g;
	}
}

static int wait_ms(bool busy, uint64_t now_ms)
{
	uint64_t d = linger_deadline(), s;

	if (busy || !g_loop.configured)
		return busy ? 0 : -1;
	s = g_loop.stack->deadline();
	if (s < d)
		d = s;
	s = move_deadline();
	if (s < d)
		d = s;
	s = back_deadline();
	if (s < d)
		d = s;
	if (loop_still())
		d = UINT64_MAX;
	if (g_loop.guests && now_ms + BEAT_MS < d) /* at each sleep; the first one is set */
		d = now_ms + BEAT_MS;
	if (d <= now_ms)
		return 0;
	tick_need(&g_loop.tick, d);
	return -1;
}

/* Near each other: poll for a bounded while before sleeping. */
static bool spin_guests(void)
{
	for (struct guest *g = g_loop.guests; g; g = g->next) {
		if (!g->broken && rpc_conn_spin(g->conn)) {
			g->runnable = true;
			return true;
		}
	}
	return false;
}

/* A guest that was woken on this CPU runs before anything else happens, and often has an
 * answer: let it, and nobody has to wake us for that answer.  Where it does not pay
 * (the guest has another CPU, or says nothing) or others take the CPU meanwhile, it is
 * left for twice as many turns each time. */
static bool lend_cpu(void)
{
	struct guest *g = g_loop.woken;
	uint64_t from;
	bool won;

	if (!g || g->broken)
		return false;
	if (g_loop.lend_skip > 0) {
		g_loop.lend_skip--;
		return false;
	}
	from = clock_ns();
	won = rpc_conn_lend(g->conn);
	g->runnable |= won;
	if (won && clock_ns() - from < LEND_NS) {
		g_loop.lend_lost = 0;
	} else {
		if (g_loop.lend_lost < LEND_LOST_MAX)
			g_loop.lend_lost++;
		g_loop.lend_skip = 1u << g_loop.lend_lost;
	}
	return won;
}

static void beat(void)
{
	for (struct guest *g = g_loop.guests; g; g = g->next) {
		if (!g->broken)
			rpc_conn_beat(g->conn);
	}
}

static void take_event(const struct epoll_event *ev)
{
	if (ev->data.ptr == &g_loop.control) {
		control_read();
		return;
	}
	if (ev->data.ptr == &g_loop.tick) {
		tick_fired(&g_loop.tick);
		return;
	}
	if (ev->data.ptr == &g_loop.link_more) {
		g_loop.link_more = true;
		return;
	}
	for (struct guest *g = g_loop.guests; g; g = g->next) {
		if (ev->data.ptr == g) {
			rpc_conn_ack(g->conn);
			g->runnable = true;
			return;
		}
	}
	if (g_loop.stack && !loop_still()) /* else it is told again */
		(void)g_loop.stack->input(ev->data.ptr, ev->events);
}

/* SEALED or HELD: only the supervisor is heard. */
static bool work(void)
{
	bool busy;

	g_loop.woken = NULL;
	if (g_loop.link_more)
		g_loop.link_more = g_loop.stack->input(NULL, EPOLLIN);
	g_loop.stack->run(clock_ms());
	linger_run(clock_ms());
	move_run(clock_ms());
	back_run(clock_ms());
	busy = serve_guests();
	busy |= flush_stack();
	loop_push_all();
	loop_drop_broken();
	return busy || g_loop.link_more;
}

static void turn(void)
{
	struct epoll_event ev[EVENTS];
	const bool serving = g_loop.configured && !loop_still();
	const bool busy = serving && (work() || spin_guests() || (lend_cpu() && work()));
	int n;

	beat();
	n = epoll_wait(g_loop.epoll, ev, EVENTS, wait_ms(busy, clock_ms()));
	for (int i = 0; i < n; i++)
		take_event(&ev[i]);
}

int loop_run(int control_fd, bool sandboxed)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.ptr = &g_loop.control};

	g_loop.control = control_fd;
	g_loop.link_fd = -1;
	g_loop.sandboxed = sandboxed;
	slice_short();
	g_loop.epoll = epoll_create1(EPOLL_CLOEXEC);
	if (g_loop.epoll < 0 || epoll_ctl(g_loop.epoll, EPOLL_CTL_ADD, control_fd, &ev) < 0 ||
	    tick_open(&g_loop.tick, g_loop.epoll) < 0) {
		fprintf(stderr, "netd: cannot watch the control socket: %s\n", strerror(errno));
		return 125;
	}
	while (!g_loop.stop)
		turn();
	if (move_ended())
		return g_loop.status;
	for (struct guest *g = g_loop.guests; g; g = g->next)
		g->broken = true;
	loop_drop_broken();
	if (g_loop.configured)
		(void)flush_stack(); /* the last FIN or RST of each connection */
	return g_loop.status;
}
