/* SPDX-License-Identifier: MIT */
/*
 * demux.c - see demux.h.
 *
 * Invariants, between two calls into lwIP:
 * 1. tcp_active_pcbs is empty; every active pcb has an entry in g_table.
 * 2. tcp_tw_pcbs holds only pcbs whose last ACK could not be sent.
 * 3. An entry is on the timer list exactly if demux_needs_timer() held when lwIP
 *    or netd last worked on its pcb.
 * 4. g_timer_ctr equals lwIP's tcp_timer_ctr: nobody else runs its timers.
 */
#include "services/netd/demux.h"

#include "lwip/ip.h"
#include "lwip/prot/tcp.h"
#include "services/netd/clock.h"
#include "services/netd/link.h"
#include "services/netd/tw.h"

#include <stdlib.h>

#define BUCKETS 32768u
#define FAST_MS TCP_TMR_INTERVAL
#define TICK_MS (2u * TCP_TMR_INTERVAL)
#define SYN_RTO_MAX (64000 / (int)TICK_MS)

void __real_tcp_input(struct pbuf *p, struct netif *inp);
void __wrap_tcp_input(struct pbuf *p, struct netif *inp);

static struct demux_ent *g_table[BUCKETS];
static struct demux_ent *g_timers, *g_keepalive;
static const struct demux_ops *g_ops;
static unsigned g_count;
static uint8_t g_timer_ctr;
static uint64_t g_next_fast = UINT64_MAX, g_next_ka = UINT64_MAX;
static uint64_t g_fast_run;

/* A doubly linked list with the links named by prefix. */
#define LIST_ADD(head, e, pre) \
	do { \
		(e)->pre##_next = *(head); \
		(e)->pre##_prev = (head); \
		if (*(head)) \
			(*(head))->pre##_prev = &(e)->pre##_next; \
		*(head) = (e); \
	} while (0)
#define LIST_DEL(e, pre) \
	do { \
		if ((e)->pre##_prev) { \
			*(e)->pre##_prev = (e)->pre##_next; \
			if ((e)->pre##_next) \
				(e)->pre##_next->pre##_prev = (e)->pre##_prev; \
			(e)->pre##_prev = NULL; \
		} \
	} while (0)

static void ext_destroyed(u8_t id, void *data);
static err_t ext_passive_open(u8_t id, struct tcp_pcb_listen *lpcb, struct tcp_pcb *cpcb);

static const struct tcp_ext_arg_callbacks g_ext = {ext_destroyed, ext_passive_open};

static uint64_t next_grid(uint64_t now_ms)
{
	return (now_ms / FAST_MS + 1) * FAST_MS;
}

static bool demux_needs_timer(const struct tcp_pcb *p)
{
	if (p->unacked || p->unsent || p->ooseq || p->refused_data || p->persist_backoff ||
	    (p->flags & (TF_ACK_DELAY | TF_ACK_NOW | TF_CLOSEPEND | TF_NAGLEMEMERR)))
		return true;
	if (p->state == ESTABLISHED || p->state == CLOSE_WAIT)
		return false;
	if (p->state == FIN_WAIT_2)
		return (p->flags & TF_RXCLOSED) != 0;
	return true;
}

/* The ms at which an idle pcb with SO_KEEPALIVE wants lwIP's slow timer. */
static uint64_t ka_due(const struct tcp_pcb *p, uint64_t now_ms)
{
	uint32_t limit = (p->keep_idle + p->keep_cnt_sent * p->keep_intvl) / TICK_MS;
	uint32_t idle = tcp_ticks - p->tmr;

	return idle > limit ? now_ms : now_ms + (uint64_t)(limit - idle + 1) * TICK_MS;
}

static struct demux_ent *entry_new(struct tcp_pcb *pcb)
{
	struct demux_ent *e = calloc(1, sizeof(*e));
	struct tuple t;

	if (!e)
		return NULL;
	e->pcb = pcb;
	tuple_make(&t, &pcb->local_ip, pcb->local_port, &pcb->remote_ip, pcb->remote_port);
	e->hash = tuple_hash(&t);
	LIST_ADD(&g_table[e->hash & (BUCKETS - 1)], e, hash);
	g_count++;
	tcp_ext_arg_set_callbacks(pcb, 0, &g_ext);
	tcp_ext_arg_set(pcb, 0, e);
	return e;
}

static void ext_destroyed(u8_t id, void *data)
{
	struct demux_ent *e = data;

	(void)id;
	if (!e)
		return;
	LIST_DEL(e, hash);
	LIST_DEL(e, timer);
	LIST_DEL(e, ka);
	LIST_DEL(e, half);
	g_count--;
	if (e->owner)
		g_ops->on_gone(e->owner, e->half);
	free(e);
}

static err_t ext_passive_open(u8_t id, struct tcp_pcb_listen *lpcb, struct tcp_pcb *cpcb)
{
	struct demux_ent *e = entry_new(cpcb);

	(void)id;
	if (!e)
		return ERR_MEM;
	e->half = true;
	return g_ops->on_syn(lpcb->callback_arg, e) == 0 ? ERR_OK : ERR_ABRT;
}

void demux_listener(struct tcp_pcb *listener)
{
	tcp_ext_arg_set_callbacks(listener, 0, &g_ext);
	tcp_ext_arg_set(listener, 0, NULL);
}

struct demux_ent *demux_entry(struct tcp_pcb *pcb)
{
	return tcp_ext_arg_get(pcb, 0);
}

void demux_half_add(struct demux_ent *e, struct demux_ent **head)
{
	LIST_ADD(head, e, half);
}

void demux_half_del(struct demux_ent *e)
{
	LIST_DEL(e, half);
}

static void timer_set(struct demux_ent *e, bool on)
{
	if (on && !e->timer_prev) {
		e->pcb->last_timer = g_timer_ctr;
		LIST_ADD(&g_timers, e, timer);
		if (g_next_fast == UINT64_MAX)
			g_next_fast = next_grid(clock_ms());
	} else if (!on && e->timer_prev) {
		LIST_DEL(e, timer);
	}
}

static void ka_set(struct demux_ent *e, bool on)
{
	uint64_t now_ms, due;

	if (!on) {
		LIST_DEL(e, ka);
		return;
	}
	if (e->ka_prev)
		return;
	LIST_ADD(&g_keepalive, e, ka);
	now_ms = clock_ms();
	due = ka_due(e->pcb, now_ms);
	if (due < g_next_ka)
		g_next_ka = due;
}

void demux_touch(struct tcp_pcb *pcb)
{
	struct demux_ent *e = demux_entry(pcb);
	bool on = demux_needs_timer(pcb);

	if (!e)
		return;
	timer_set(e, on);
	ka_set(e, ip_get_option(pcb, SOF_KEEPALIVE) &&
	                  (pcb->state == ESTABLISHED || pcb->state == CLOSE_WAIT));
}

/* TIME_WAIT pcbs become records.  One whose last ACK is still owed stays. */
static void take_time_wait(void)
{
	struct tcp_pcb *p = tcp_tw_pcbs, *next, *keep = NULL;

	for (; p; p = next) {
		struct demux_ent *e = demux_entry(p);

		next = p->next;
		if (p->flags & (TF_ACK_NOW | TF_ACK_DELAY)) {
			p->next = keep;
			keep = p;
			continue;
		}
		p->next = NULL;
		tw_add(p, e && e->reuse, clock_ms());
		tcp_free(p);
	}
	tcp_tw_pcbs = keep;
	if (keep && g_next_fast == UINT64_MAX)
		g_next_fast = next_grid(clock_ms());
}

void demux_adopt(void)
{
	struct tcp_pcb *p = tcp_active_pcbs, *next;

	tcp_active_pcbs = NULL;
	for (; p; p = next) {
		struct demux_ent *e = demux_entry(p);

		next = p->next;
		p->next = NULL;
		if (!e)
			e = entry_new(p);
		if (!e) {
			tcp_abort(p);
			continue;
		}
		demux_touch(p);
		if (e->owner && !e->half)
			g_ops->on_after(e->owner);
	}
	if (tcp_tw_pcbs)
		take_time_wait();
}

static struct demux_ent *find(const struct tuple *t, const ip_addr_t *lip,
                              const ip_addr_t *rip)
{
	uint64_t h = tuple_hash(t);
	struct demux_ent *e = g_table[h & (BUCKETS - 1)];

	for (; e; e = e->hash_next) {
		const struct tcp_pcb *p = e->pcb;

		if (e->hash == h && p->remote_port == t->rport && p->local_port == t->lport &&
		    ip_addr_cmp_zoneless(&p->remote_ip, rip) &&
		    ip_addr_cmp_zoneless(&p->local_ip, lip))
			return e;
	}
	return NULL;
}

bool demux_used(const ip_addr_t *lip, uint16_t lport, const ip_addr_t *rip, uint16_t rport)
{
	struct tuple t;

	tuple_make(&t, lip, lport, rip, rport);
	return find(&t, lip, rip) || tw_has(&t);
}

unsigned demux_count(void)
{
	return g_count;
}

/* lwIP answers a segment that is not in the window, also one without data, so that the
 * other end learns where the window is.  If that end does the same the two never stop:
 * over the loop-back at once, with a state that another netd made up (move.h).
 *
 * True: @p is such a one, and the last was answered a moment ago.  *@at_edge: it has no
 * data and lies at the window's right edge, where nothing is wrong with it. */
static bool is_stray(struct demux_ent *e, const struct pbuf *p, bool *at_edge)
{
	const struct tcp_hdr *th = p->payload;
	const uint32_t off = lwip_ntohl(th->seqno) - e->pcb->rcv_nxt;
	uint64_t now;

	*at_edge = false;
	if (e->pcb->state < ESTABLISHED || p->tot_len != TCPH_HDRLEN_BYTES(th) ||
	    (TCPH_FLAGS(th) & (TCP_SYN | TCP_FIN | TCP_RST)) || off < e->pcb->rcv_wnd)
		return false;
	*at_edge = off == e->pcb->rcv_wnd;
	if (*at_edge)
		return false;
	now = clock_ms();
	if (now - e->stray_ms < STRAY_MS)
		return true;
	e->stray_ms = now;
	return false;
}

static void conn_input(struct demux_ent *e, struct pbuf *p, struct netif *inp)
{
	const bool many = (p->flags & LINK_PBUF_SEGMENTS) != 0;
	bool at_edge;

	if (is_stray(e, p, &at_edge)) {
		pbuf_free(p);
		return;
	}
	e->pcb->rcv_wnd += at_edge;
	e->pcb->next = NULL;
	tcp_active_pcbs = e->pcb;
	__real_tcp_input(p, inp);
	if (at_edge && tcp_active_pcbs)
		tcp_active_pcbs->rcv_wnd--;
	/* lwIP counts one segment and would wait for a second to acknowledge
	 * it.  conn_after() has it sent at the end of the turn. */
	if (many && tcp_active_pcbs && (tcp_active_pcbs->flags & TF_ACK_DELAY))
		tcp_ack(tcp_active_pcbs);
	demux_adopt();
}

void __wrap_tcp_input(struct pbuf *p, struct netif *inp)
{
	const struct tcp_hdr *th = p->payload;
	struct demux_ent *e;
	struct tuple t;
	enum tw_verdict v;

	if (p->len < TCP_HLEN) {
		__real_tcp_input(p, inp);
		return;
	}
	tuple_make(&t, ip_current_dest_addr(), lwip_ntohs(th->dest), ip_current_src_addr(),
	           lwip_ntohs(th->src));
	e = find(&t, ip_current_dest_addr(), ip_current_src_addr());
	if (e) {
		conn_input(e, p, inp);
		return;
	}
	v = tw_input(p, inp, &t, clock_ms());
	if (v == TW_DONE) {
		pbuf_free(p);
		return;
	}
	__real_tcp_input(p, inp);
	tw_input_end();
	demux_adopt();
}

void demux_chain_all(void)
{
	for (unsigned i = 0; i < BUCKETS; i++) {
		for (struct demux_ent *e = g_table[i]; e; e = e->hash_next) {
			e->pcb->next = tcp_active_pcbs;
			tcp_active_pcbs = e->pcb;
		}
	}
}

struct demux_ent *demux_restore(struct tcp_pcb *pcb)
{
	struct demux_ent *e = entry_new(pcb);

	if (e)
		demux_touch(pcb);
	return e;
}

void demux_init(const struct demux_ops *ops)
{
	struct tcp_pcb *p;

	g_ops = ops;
	tw_init();
	(void)tcp_ext_arg_alloc_id(); /* the first is 0 */
	p = tcp_new();
	if (!p)
		abort(); /* at start-up, before any guest */
	g_timer_ctr = p->last_timer;
	tcp_abort(p);
	tcp_ticks = (u32_t)(clock_ms() / TICK_MS);
}

void demux_clock(uint64_t now_ms)
{
	tcp_ticks = (u32_t)(now_ms / TICK_MS);
}

uint64_t demux_deadline(void)
{
	uint64_t d = tw_deadline();

	if (g_next_fast < d)
		d = g_next_fast;
	return g_next_ka < d ? g_next_ka : d;
}

static void chain_timers(void)
{
	for (struct demux_ent *e = g_timers; e; e = e->timer_next) {
		e->pcb->last_timer = g_timer_ctr;
		e->pcb->next = tcp_active_pcbs;
		tcp_active_pcbs = e->pcb;
	}
}

/* Idle connections whose keepalive is due join the timer list for a turn. */
static void chain_keepalive(uint64_t now_ms)
{
	uint64_t next = UINT64_MAX;

	for (struct demux_ent *e = g_keepalive; e; e = e->ka_next) {
		uint64_t due = ka_due(e->pcb, now_ms);

		if (due <= now_ms && !e->timer_prev)
			timer_set(e, true);
		if (due <= now_ms)
			due = now_ms + TICK_MS;
		if (due < next)
			next = due;
	}
	g_next_ka = next;
}

static void slow_timer(uint64_t now_ms)
{
	if (now_ms >= g_next_ka)
		chain_keepalive(now_ms);
	chain_timers();
	tcp_ticks = (u32_t)(now_ms / TICK_MS) - 1; /* lwIP adds one */
	g_timer_ctr++;
	tcp_slowtmr();
	for (struct tcp_pcb *p = tcp_active_pcbs; p; p = p->next) {
		if (p->state == SYN_SENT) { /* lwIP does not back off here */
			int rto = (LWIP_TCP_RTO_TIME / (int)TICK_MS) << LWIP_MIN(p->nrtx, 7);

			p->rto = (s16_t)LWIP_MIN(rto, SYN_RTO_MAX);
		}
	}
	demux_adopt();
}

void demux_run(uint64_t now_ms)
{
	bool slow = now_ms >= g_next_ka;

	tw_expire(now_ms);
	if (now_ms >= g_next_fast) {
		chain_timers();
		g_timer_ctr++;
		tcp_fasttmr();
		demux_adopt();
		slow |= (++g_fast_run & 1) != 0;
		g_next_fast = g_timers || tcp_tw_pcbs ? next_grid(now_ms) : UINT64_MAX;
	}
	if (slow) {
		slow_timer(now_ms);
		if (!g_timers && !tcp_tw_pcbs)
			g_next_fast = UINT64_MAX;
	}
}
