/* SPDX-License-Identifier: MIT */
/*
 * loop_move.c - handing all connections to another netd (move.h), as the supervisor
 * says.
 *
 * The old one, on Export: the link is watched no more, what guests had published is
 * served, nothing is pushed to them; then all is written, and it stands still.
 * Frames of the network wait in the device meanwhile, those of guests in their
 * rings: neither is lost whoever goes on.  Resume: it goes on itself.  Shutdown: it
 * ends without a word to any peer.
 *
 * The new one has started its stack, but watches no link.  Import: it reads and
 * builds all, sends nothing, stands still.  The first GuestAdd makes all of it its
 * own: link and timers, at once for all, so that peers need not wait for guests; each
 * guest finds its sockets when its own channel comes.
 *
 * Where nothing can be handed over (a restart; a next one with another stack), the old
 * one resets its connections before it ends: no peer waits for what will not come, and
 * none takes half a stream for a whole one.
 */
#include "rpc/control.h"
#include "services/netd/clock.h"
#include "services/netd/loop_priv.h"
#include "services/netd/move.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#define SEAL_FRAMES 8192      /* of one guest; more stay in its ring, as good */
#define WARM_BYTES (16u << 20)
#define COME_MS 5000u         /* the supervisor gives us all guests in a row */

static struct move_out g_out; /* large */
static uint64_t g_come_until; /* ms */

static ProtobufCBinaryData text_of(char *s)
{
	return (ProtobufCBinaryData){strlen(s), (uint8_t *)s};
}

/* ---- the old one ---- */

static void exported(const char *failed)
{
	Control__Control c = CONTROL__CONTROL__INIT;
	Control__Exported m = CONTROL__EXPORTED__INIT;
	char text[256];

	(void)snprintf(text, sizeof(text), "%s%s", failed ? "netd: " : "", failed ? failed : "");
	m.failed = text_of(text);
	m.connections = failed ? 0 : g_out.n_conns;
	m.bytes = failed ? 0 : g_out.bytes;
	m.sockets = failed ? 0 : g_out.n_socks;
	c.body_case = CONTROL__CONTROL__BODY_EXPORTED;
	c.exported = &m;
	loop_say(&c);
}

static void serve_published(void)
{
	for (struct guest *g = g_loop.guests; g; g = g->next) {
		if (!g->broken)
			(void)rpc_conn_pump(g->conn, SEAL_FRAMES);
	}
	loop_drop_broken();
}

static void seal(void)
{
	if (g_loop.link_fd >= 0)
		(void)epoll_ctl(g_loop.epoll, EPOLL_CTL_DEL, g_loop.link_fd, NULL);
	g_loop.stack->seal();
	g_loop.state = LOOP_SEALED;
}

void move_do_export(int fd)
{
	int r;

	if (fd < 0 || !g_loop.configured || g_loop.state != LOOP_SERVING) {
		exported("not in a state to hand connections over");
	} else if (!g_loop.stack->export) {
		exported("the connections of this stack cannot be handed over");
	} else {
		serve_published();
		seal();
		r = move_export(&g_out, fd, g_loop.stack, g_loop.guests);
		if (r < 0)
			move_resume();
		exported(r < 0 ? strerror(-r) : NULL);
	}
	if (fd >= 0)
		close(fd);
}

/* What a guest has, closed: connections by RST. */
static void drop_sock(struct sock *s)
{
	const bool conn = s->type == SOCK_STREAM && s->connected && !s->gone;

	g_out.n_conns += s->n_queue + conn;
	g_out.n_socks += !conn;
	sock_close(s, s->type == SOCK_STREAM);
}

static void drop_all(struct guest *g)
{
	for (uint32_t i = 0; i < g->n_buckets; i++) {
		while (g->table[i])
			drop_sock(g->table[i]);
	}
}

void move_do_drop(void)
{
	memset(&g_out, 0, sizeof(g_out));
	if (!g_loop.configured || g_loop.state != LOOP_SERVING) {
		exported("not in a state to end connections");
		return;
	}
	serve_published();
	loop_push_all();
	for (struct guest *g = g_loop.guests; g; g = g->next)
		drop_all(g);
	g_out.n_conns += g_loop.stack->reset_orphans();
	seal(); /* and with it, what was reset leaves */
	exported(NULL);
}

/* As if nothing had been asked. */
void move_resume(void)
{
	struct guest *g = g_loop.guests, *next;

	if (g_loop.state != LOOP_SEALED)
		return;
	g_loop.state = LOOP_SERVING;
	if (!back_waits() && loop_watch_link() < 0)
		g_loop.stop = true;
	if (g_loop.stack->resume)
		g_loop.stack->resume();
	for (; g; g = next) {
		next = g->next;
		g->runnable = true;
		if (g->gone_later)
			loop_guest_gone(g->domid);
	}
}

/* ---- the new one ---- */

void move_expect(const struct stack *stack)
{
	g_loop.state = LOOP_HELD;
	if (stack->take_over)
		stack->take_over();
}

/* Memory that the state will need is touched now, not while everybody waits. */
void move_expect_warm(void)
{
	uint8_t *p = malloc(WARM_BYTES);

	if (p)
		memset(p, 1, WARM_BYTES);
	__asm__ volatile("" : : "r"(p) : "memory"); /* not optimised away */
	free(p);
}

static void imported(const struct move_in *in, const char *failed)
{
	Control__Control c = CONTROL__CONTROL__INIT;
	Control__Imported m = CONTROL__IMPORTED__INIT;
	char text[320];

	(void)snprintf(text, sizeof(text), "%s%s", failed ? "netd: the state is refused: " : "",
	               failed ? failed : "");
	m.failed = text_of(text);
	m.connections = in && !failed ? in->n_conns : 0;
	c.body_case = CONTROL__CONTROL__BODY_IMPORTED;
	c.imported = &m;
	loop_say(&c);
}

void move_do_import(int fd)
{
	struct move_in in;
	int r;

	memset(&in, 0, sizeof(in));
	in.fd = -1;
	if (fd < 0 || g_loop.state != LOOP_HELD || g_loop.imported) {
		imported(NULL, "none is expected");
	} else if (!g_loop.stack->import) {
		g_loop.state = LOOP_REFUSED;
		imported(NULL, "this stack cannot take connections over");
	} else {
		r = move_import(&in, fd, g_loop.stack, &g_loop.imported);
		if (r < 0)
			g_loop.state = LOOP_REFUSED;
		imported(&in, r == 0 ? NULL : in.why[0] ? in.why : strerror(-r));
	}
	move_in_close(&in);
	if (fd >= 0)
		close(fd);
}

bool move_go(void)
{
	if (g_loop.state == LOOP_SERVING)
		return true;
	if (g_loop.state != LOOP_HELD)
		return false;
	g_loop.state = LOOP_SERVING;
	if (loop_watch_link() < 0)
		return false;
	if (g_loop.stack->go)
		g_loop.stack->go();
	g_come_until = clock_ms() + COME_MS;
	return true;
}

uint64_t move_deadline(void)
{
	return g_loop.imported ? g_come_until : UINT64_MAX;
}

/* Guests that are not given to us have left while we were swapped: nobody says so. */
void move_run(uint64_t now_ms)
{
	while (g_loop.imported && now_ms >= g_come_until) {
		struct guest *g = g_loop.imported;

		g_loop.imported = g->next;
		guest_free(g);
	}
}

struct guest *move_guest(const uint8_t *client_id)
{
	struct guest **p = &g_loop.imported, *g;

	while (*p && memcmp((*p)->client_id, client_id, RPC_CLIENT_ID_LEN) != 0)
		p = &(*p)->next;
	g = *p;
	if (g)
		*p = g->next;
	return g;
}

bool move_guest_gone(uint32_t domid)
{
	struct guest **p = &g_loop.imported, *g;

	if (g_loop.state == LOOP_SEALED) {
		for (g = g_loop.guests; g; g = g->next)
			g->gone_later |= g->domid == domid;
		return true; /* said when we go on; else the next one says it */
	}
	while (*p && (*p)->domid != domid)
		p = &(*p)->next;
	g = *p;
	if (!g)
		return false;
	*p = g->next;
	guest_free(g);
	return false; /* and Released is said as for any other */
}

bool move_ended(void)
{
	if (g_loop.state == LOOP_SERVING)
		return false;
	/* Guests are told at once; the calls they wait in are the next one's. */
	for (struct guest *g = g_loop.guests; g; g = g->next)
		rpc_conn_free(g->conn);
	return true;
}
