/* SPDX-License-Identifier: MIT */
/*
 * xenstore.c - the client of xenstored: requests, answers, watches.
 *
 * A request is a set of messages with numbers of their own; their answers may come in
 * any order, between events of watches.  Whoever waits reads the ring for all: answers
 * go to the set that waits (one at a time: g_lock), events to their watches.
 *
 *   1. The ring and the set that waits are touched with IF=0 only; so a guest that dies
 *      in the midst of a request can finish it and make its own.
 *   2. Who waits reads g_events, then the ring, then sleeps on g_events.
 *   3. Before threads run, and in a dying guest, waiting is polling.
 */
#include "platform/xen/xenstore.h"

#include "platform/lock.h"
#include "platform/xen/evtchn.h"
#include "platform/xen/keeper.h"
#include "platform/xen/public.h"
#include "platform/xen/xen.h"
#include "platform/xen/xsring.h"

#include <errno.h>
#include <string.h>

#define N_WATCHES 12u
#define OUT_SIZE 2048u
#define LIMIT_NS UINT64_C(60000000000) /* xenstored answers within that, or never */
#define DYING_NS UINT64_C(2000000000)
#define LOOK_NS UINT64_C(100000000)
#define UNANSWERED 0x40000000 /* more than a value can be long */

/* Answers wanted: numbers base to base + n - 1, of type @type. */
struct want {
	uint32_t base, type;
	unsigned n, left;
	struct xenstore_node *nodes;
};

static struct xsring g_ring; /* IF=0, as g_want */
static struct want *g_want;
static uint32_t g_next_id = 1;
static unsigned g_port;
static _Atomic uint32_t g_events; /* counts what xenstored said */
static struct lock g_lock = LOCK_INIT;
static uint8_t g_out[OUT_SIZE]; /* under g_lock */
static bool g_said_broken;

static struct watch {
	const char *path;
	void (*fn)(const char *path, void *arg);
	void *arg;
	bool fired; /* IF=0 */
} g_watches[N_WATCHES];
static unsigned g_n_watches;

/* ---- what comes; IF=0 ---- */

static void on_event(unsigned port, void *arg)
{
	(void)port;
	(void)arg;
	g_events++;
	(void)futex_wake_locked(&g_events, 1);
	keeper_wake();
}

static void take_event(void)
{
	const char *token = xsring_token(&g_ring);
	const unsigned i = token && token[0] ? (unsigned)(token[0] - 'a') : N_WATCHES;

	if (i >= g_n_watches || token[1])
		return; /* not ours: nothing depends on it */
	g_watches[i].fired = true;
	keeper_wake();
}

static void take_reply(void)
{
	const uint32_t i = g_want ? g_ring.in.req_id - g_want->base : 0;
	struct xenstore_node *node;

	if (!g_want || i >= g_want->n || g_want->nodes[i].result != UNANSWERED)
		return; /* of a request that was given up */
	node = &g_want->nodes[i];
	g_want->left--;
	node->result = xsring_result(&g_ring, g_want->type);
	if (!node->to || node->result < 0)
		return;
	if ((size_t)node->result >= node->size)
		node->result = -E2BIG;
	else
		memcpy(node->to, g_ring.body, (size_t)node->result + 1);
}

static void say_broken(void)
{
	static const char text[] = "strait: xenstore: the ring is broken: an index or "
	                           "a length is out of range\n";

	if (!g_said_broken)
		plat_log(text, sizeof(text) - 1);
	g_said_broken = true;
}

/* Move what can be moved.  -EIO: the ring is broken. */
static int step(void)
{
	const uint64_t flags = irq_off();
	bool notify = xsring_send(&g_ring), broken;

	while (xsring_recv(&g_ring, &notify)) {
		if (g_ring.in.type == XS_WATCH_EVENT)
			take_event();
		else
			take_reply();
	}
	if (notify)
		evtchn_send(g_port);
	broken = g_ring.broken;
	irq_restore(flags);
	if (broken)
		say_broken();
	return broken ? -EIO : 0;
}

/* ---- requests ---- */

static bool can_sleep(void)
{
	const uint64_t flags = irq_off();

	irq_restore(flags);
	return (flags & RFLAGS_IF) && g_cpu.now;
}

static void rest(uint32_t seen)
{
	if (!can_sleep())
		evtchn_poll(g_port, LOOK_NS);
	else
		(void)plat_futex_wait(&g_events, seen, plat_mono_ns() + LOOK_NS * 10);
}

/* Until all is sent and, if @w, answered. */
static int finish(const struct want *w, uint64_t limit)
{
	const uint64_t end = evtchn_time() + limit;

	for (;;) {
		const uint32_t seen = g_events;
		const int r = step();

		if (r < 0)
			return r;
		if (!__atomic_load_n(&g_ring.out_len, __ATOMIC_RELAXED) &&
		    (!w || !__atomic_load_n(&w->left, __ATOMIC_RELAXED)))
			return 0;
		if (evtchn_time() > end)
			return -ETIMEDOUT;
		rest(seen);
	}
}

/* Send @len bytes of messages and wait for their answers. */
static int ask(struct want *w, const uint8_t *messages, size_t len, uint64_t limit)
{
	uint64_t flags;
	int r;

	for (unsigned i = 0; i < w->n; i++)
		w->nodes[i].result = UNANSWERED;
	w->left = w->n;
	flags = irq_off();
	g_ring.out = messages;
	g_ring.out_len = (uint32_t)len;
	g_want = w;
	irq_restore(flags);
	r = finish(w, limit);
	flags = irq_off();
	g_want = NULL;
	irq_restore(flags);
	for (unsigned i = 0; i < w->n; i++)
		if (w->nodes[i].result == UNANSWERED)
			w->nodes[i].result = r < 0 ? r : -EIO;
	return r;
}

static void give_up_all(struct xenstore_node *nodes, unsigned n, int err)
{
	for (unsigned i = 0; i < n; i++)
		nodes[i].result = err;
}

void xenstore_read_all(struct xenstore_node *nodes, unsigned n)
{
	struct want w = {.type = XS_READ, .n = n, .nodes = nodes};
	size_t len = 0;

	if (!g_port) {
		give_up_all(nodes, n, -ENODEV);
		return;
	}
	lock_take(&g_lock);
	w.base = g_next_id;
	g_next_id += n;
	for (unsigned i = 0; i < n; i++) {
		const struct xspart part = {nodes[i].path, strlen(nodes[i].path) + 1};
		const size_t k = xsring_pack(g_out + len, sizeof(g_out) - len, XS_READ,
		                             w.base + i, &part, 1);

		if (!k) {
			lock_drop(&g_lock);
			give_up_all(nodes, n, -E2BIG);
			return;
		}
		len += k;
	}
	(void)ask(&w, g_out, len, LIMIT_NS); /* each node has its result */
	lock_drop(&g_lock);
}

int xenstore_read(const char *path, char *to, size_t size)
{
	struct xenstore_node node = {path, to, size, 0};

	xenstore_read_all(&node, 1);
	return node.result;
}

/* One message of @n parts, whose answer says yes or no. */
static int order(uint32_t type, const struct xspart *parts, unsigned n)
{
	struct xenstore_node node = {.to = NULL};
	struct want w = {.type = type, .n = 1, .nodes = &node};
	size_t len;

	if (!g_port)
		return -ENODEV;
	lock_take(&g_lock);
	w.base = g_next_id++;
	len = xsring_pack(g_out, sizeof(g_out), type, w.base, parts, n);
	if (len)
		(void)ask(&w, g_out, len, LIMIT_NS);
	else
		node.result = -E2BIG;
	lock_drop(&g_lock);
	return node.result < 0 ? node.result : 0;
}

int xenstore_write(const char *path, const char *value)
{
	const struct xspart parts[2] = {{path, strlen(path) + 1},
	                                {value, strlen(value)}};

	return order(XS_WRITE, parts, 2);
}

int xenstore_rm(const char *path)
{
	const struct xspart part = {path, strlen(path) + 1};

	return order(XS_RM, &part, 1);
}

int xenstore_write_dying(const char *path, const char *value)
{
	static uint8_t out[512];
	const struct xspart parts[2] = {{path, strlen(path) + 1},
	                                {value, strlen(value)}};
	struct xenstore_node node = {.to = NULL};
	struct want w = {.type = XS_WRITE, .n = 1, .nodes = &node};
	const uint64_t flags = irq_off();
	size_t len;

	node.result = -ENODEV;
	if (g_port) {
		/* The message under way goes whole; its sender never runs again. */
		g_want = NULL;
		node.result = finish(NULL, DYING_NS);
	}
	if (node.result == 0) {
		w.base = g_next_id++;
		len = xsring_pack(out, sizeof(out), XS_WRITE, w.base, parts, 2);
		if (len)
			(void)ask(&w, out, len, DYING_NS);
		else
			node.result = -E2BIG;
	}
	irq_restore(flags);
	return node.result < 0 ? node.result : 0;
}

unsigned xenstore_domid(void)
{
	static unsigned id;
	char text[12];

	if (!id && xenstore_read("domid", text, sizeof(text)) > 0)
		for (const char *p = text; *p >= '0' && *p <= '9'; p++)
			id = id * 10 + (unsigned)(*p - '0');
	return id;
}

/* ---- watches ---- */

/* The keeper's thread alone changes the table. */
static int order_watch(uint32_t type, unsigned i)
{
	const char token[2] = {(char)('a' + i), '\0'};
	const char *path = g_watches[i].path;
	const struct xspart parts[2] = {{path, strlen(path) + 1},
	                                {token, sizeof(token)}};

	return order(type, parts, 2);
}

int xenstore_watch(const char *path, void (*fn)(const char *path, void *arg), void *arg)
{
	unsigned i = 0;
	int r;

	while (i < g_n_watches && g_watches[i].path)
		i++;
	if (i == N_WATCHES)
		return -ENOSPC;
	/* In the table first: the first event may come before the answer. */
	g_watches[i] = (struct watch){path, fn, arg, false};
	if (i == g_n_watches)
		g_n_watches++;
	r = order_watch(XS_WATCH, i);
	if (r < 0)
		g_watches[i].path = NULL;
	return r;
}

void xenstore_unwatch(const char *path)
{
	for (unsigned i = 0; i < g_n_watches; i++) {
		if (g_watches[i].path != path)
			continue;
		(void)order_watch(XS_UNWATCH, i); /* gone with its domain: as well */
		g_watches[i].path = NULL;
	}
}

void xenstore_keep(void)
{
	if (!g_port)
		return;
	/* Who holds the lock reads for us. */
	if (lock_try(&g_lock)) {
		(void)step(); /* a broken ring was said */
		lock_drop(&g_lock);
	}
	for (unsigned i = 0; i < g_n_watches; i++) {
		struct watch *w = &g_watches[i];

		if (__atomic_exchange_n(&w->fired, false, __ATOMIC_SEQ_CST) && w->path)
			w->fn(w->path, w->arg);
	}
}

/* ---- start ---- */

void xenstore_pause(unsigned long ns)
{
	evtchn_poll(g_port, ns);
	(void)step(); /* a broken ring shows in the next request */
}

bool xenstore_present(void)
{
	return g_port != 0;
}

void xenstore_init(void)
{
	const uint64_t pfn = hyper_param(HVM_PARAM_STORE_PFN);
	const uint64_t port = hyper_param(HVM_PARAM_STORE_EVTCHN);
	struct xenstore_domain_interface *shared;

	if (pfn == 0 || pfn == ~UINT64_C(0) || port == 0 || port > UINT32_MAX)
		return; /* a domain without xenstore: no services */
	shared = vm_window_map(pfn << PAGE_SHIFT, 1);
	if (!shared)
		boot_die("no memory to map the ring of xenstore");
	xsring_init(&g_ring, shared);
	if (evtchn_handle((unsigned)port, on_event, NULL) == 0)
		g_port = (unsigned)port;
}
