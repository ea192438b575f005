/* SPDX-License-Identifier: MIT */
/*
 * move_tcp.c - a connection of lwIP as a message and back (see move.h).
 *
 * Field by field, never as it lies in memory: the two netds may be different
 * builds.  Not moved, because they say something about this process or follow from
 * the rest: last_timer (tcp_alloc() sets it), snd_buf (what the segments leave of
 * TCP_SND_BUF), snd_queuelen (pbufs, counted anew), unsent_oversize (a rebuilt
 * segment has no room at its end), callbacks.
 *
 * Where the data of a segment lies: it is the last `len` bytes of the chain while
 * the segment waits to be sent or acknowledged (payload at the TCP header before the
 * first sending, at the link header after it), and the first `len` bytes of one
 * received out of order, whose header is in host order.
 */
#include "services/netd/move.h"

#include "lwip/prot/tcp.h"
#include "services/netd/demux.h"
#include "services/netd/lwip_priv.h"

#include <errno.h>
#include <stdlib.h>

#define TICK_MS (2u * TCP_TMR_INTERVAL)
#define PERSIST_MAX 7u /* entries of lwIP's table of back-offs */
#define SEGS_MAX 65000u
#define BIT(ID, lwip) {NETSTATE__TCP_FLAG__TCPF_##ID, lwip}

static const struct {
	uint32_t bit;
	tcpflags_t lwip;
} g_flags[] = {
	BIT(ACK_DELAY, TF_ACK_DELAY), BIT(ACK_NOW, TF_ACK_NOW), BIT(INFR, TF_INFR),
	BIT(CLOSEPEND, TF_CLOSEPEND), BIT(RXCLOSED, TF_RXCLOSED), BIT(FIN, TF_FIN),
	BIT(NODELAY, TF_NODELAY), BIT(NAGLEMEMERR, TF_NAGLEMEMERR),
	BIT(WND_SCALE, TF_WND_SCALE), BIT(TIMESTAMP, TF_TIMESTAMP), BIT(RTO, TF_RTO),
	BIT(SACK, TF_SACK),
};
#define N_FLAGS (sizeof(g_flags) / sizeof(g_flags[0]))

static const uint8_t g_states[] = {
	[NETSTATE__TCP_STATE__TCP_SYN_SENT] = SYN_SENT,
	[NETSTATE__TCP_STATE__TCP_SYN_RCVD] = SYN_RCVD,
	[NETSTATE__TCP_STATE__TCP_ESTABLISHED] = ESTABLISHED,
	[NETSTATE__TCP_STATE__TCP_FIN_WAIT_1] = FIN_WAIT_1,
	[NETSTATE__TCP_STATE__TCP_FIN_WAIT_2] = FIN_WAIT_2,
	[NETSTATE__TCP_STATE__TCP_CLOSE_WAIT] = CLOSE_WAIT,
	[NETSTATE__TCP_STATE__TCP_CLOSING] = CLOSING,
	[NETSTATE__TCP_STATE__TCP_LAST_ACK] = LAST_ACK,
};
#define N_STATES (sizeof(g_states) / sizeof(g_states[0]))

static const struct {
	uint32_t bit;
	uint8_t lwip;
} g_seg_opts[] = {
	{NETSTATE__SEG_OPT__SEG_OPT_MSS, TF_SEG_OPTS_MSS},
	{NETSTATE__SEG_OPT__SEG_OPT_TS, TF_SEG_OPTS_TS},
	{NETSTATE__SEG_OPT__SEG_OPT_WND_SCALE, TF_SEG_OPTS_WND_SCALE},
	{NETSTATE__SEG_OPT__SEG_OPT_SACK_PERM, TF_SEG_OPTS_SACK_PERM},
};

/* ---- writing ---- */

static void addr_fill(const ip_addr_t *ip, uint16_t port, Netstate__Addr *m)
{
	union {
		const void *from;
		uint8_t *to;
	} u = {.from = IP_IS_V6(ip) ? (const void *)ip_2_ip6(ip)->addr
	                            : (const void *)&ip_2_ip4(ip)->addr};

	netstate__addr__init(m);
	m->ip = (ProtobufCBinaryData){IP_IS_V6(ip) ? 16 : 4, u.to};
	m->port = port;
	if (IP_IS_V6(ip) && ip6_addr_has_scope(ip_2_ip6(ip), IP6_UNKNOWN))
		m->scope = ip6_addr_zone(ip_2_ip6(ip));
}

static const struct tcp_seg *queue_of(const struct tcp_pcb *pcb, int queue)
{
	return queue == NETSTATE__SEG_QUEUE__SEG_UNACKED  ? pcb->unacked
	       : queue == NETSTATE__SEG_QUEUE__SEG_UNSENT ? pcb->unsent
	                                                  : pcb->ooseq;
}

static uint32_t seg_kind(const struct tcp_seg *seg, int queue)
{
	uint32_t kind = (uint32_t)queue | (uint32_t)TCPH_FLAGS(seg->tcphdr) << 16;

	for (size_t i = 0; i < sizeof(g_seg_opts) / sizeof(g_seg_opts[0]); i++) {
		if (seg->flags & g_seg_opts[i].lwip)
			kind |= g_seg_opts[i].bit << 8;
	}
	return kind;
}

static int room_grow(struct tcp_room *room, size_t n)
{
	uint32_t *more;

	if (n <= room->cap)
		return 0;
	n = n * 2;
	more = malloc(3 * n * sizeof(*more));
	if (!more)
		return -ENOMEM;
	free(room->seq);
	room->seq = more;
	room->len = more + n;
	room->kind = more + 2 * n;
	room->cap = n;
	return 0;
}

void tcp_room_free(struct tcp_room *room)
{
	free(room->seq);
	memset(room, 0, sizeof(*room));
}

static int segs_fill(const struct tcp_pcb *pcb, Netstate__Tcp *m, struct tcp_room *room,
                     uint64_t *bytes)
{
	size_t n = 0;

	for (int q = 0; q < 3; q++) {
		for (const struct tcp_seg *s = queue_of(pcb, q); s; s = s->next)
			n++;
	}
	if (room_grow(room, n) < 0)
		return -ENOMEM;
	m->seg_seq = room->seq;
	m->seg_len = room->len;
	m->seg_kind = room->kind;
	m->n_seg_seq = m->n_seg_len = m->n_seg_kind = n;
	n = 0;
	*bytes = 0;
	for (int q = 0; q < 3; q++) {
		for (const struct tcp_seg *s = queue_of(pcb, q); s; s = s->next, n++) {
			room->seq[n] = q == NETSTATE__SEG_QUEUE__SEG_OOSEQ
			                       ? s->tcphdr->seqno
			                       : lwip_ntohl(s->tcphdr->seqno);
			room->len[n] = s->len;
			room->kind[n] = seg_kind(s, q);
			*bytes += s->len;
		}
	}
	return 0;
}

static void numbers_fill(const struct tcp_pcb *pcb, Netstate__Tcp *m, struct tcp_room *room)
{
	m->rcv_nxt = pcb->rcv_nxt;
	m->rcv_wnd = pcb->rcv_wnd;
	m->rcv_ann_wnd = pcb->rcv_ann_wnd;
	m->rcv_ann_edge = pcb->rcv_ann_right_edge;
	m->sacks = room->sacks;
	for (int i = 0; i < LWIP_TCP_MAX_SACK_NUM && i < 4; i++) {
		if (!LWIP_TCP_SACK_VALID(pcb, i))
			break;
		m->sacks[m->n_sacks++] = pcb->rcv_sacks[i].left;
		m->sacks[m->n_sacks++] = pcb->rcv_sacks[i].right;
	}
	m->lastack = pcb->lastack;
	m->cwnd = pcb->cwnd;
	m->ssthresh = pcb->ssthresh;
	m->rto_end = pcb->rto_end;
	m->snd_nxt = pcb->snd_nxt;
	m->snd_wl1 = pcb->snd_wl1;
	m->snd_wl2 = pcb->snd_wl2;
	m->snd_lbb = pcb->snd_lbb;
	m->snd_wnd = pcb->snd_wnd;
	m->snd_wnd_max = pcb->snd_wnd_max;
	m->bytes_acked = pcb->bytes_acked;
	m->dupacks = pcb->dupacks;
	m->ts_lastacksent = pcb->ts_lastacksent;
	m->ts_recent = pcb->ts_recent;
	m->snd_scale = pcb->snd_scale;
	m->rcv_scale = pcb->rcv_scale;
	m->mss = pcb->mss;
	m->ttl = pcb->ttl;
	m->tos = pcb->tos;
}

static void timers_fill(const struct tcp_pcb *pcb, Netstate__Tcp *m)
{
	m->rtime = pcb->rtime;
	m->sa = pcb->sa;
	m->sv = pcb->sv;
	m->rto = pcb->rto;
	m->nrtx = pcb->nrtx;
	m->rtt_age = pcb->rttest ? tcp_ticks - pcb->rttest + 1 : 0;
	m->rtseq = pcb->rtseq;
	m->idle = tcp_ticks - pcb->tmr;
	m->keep_idle = pcb->keep_idle;
	m->keep_intvl = pcb->keep_intvl;
	m->keep_cnt = pcb->keep_cnt;
	m->keep_cnt_sent = pcb->keep_cnt_sent;
	m->persist_cnt = pcb->persist_cnt;
	m->persist_backoff = pcb->persist_backoff;
	m->persist_probe = pcb->persist_probe;
}

int move_tcp_fill(const struct tcp_pcb *pcb, bool reuse, Netstate__Tcp *m,
                  struct tcp_room *room, uint64_t *bytes)
{
	netstate__tcp__init(m);
	addr_fill(&pcb->local_ip, pcb->local_port, &room->local);
	addr_fill(&pcb->remote_ip, pcb->remote_port, &room->remote);
	m->local = &room->local;
	m->remote = &room->remote;
	for (uint32_t i = 1; i < N_STATES; i++) {
		if (g_states[i] == (uint8_t)pcb->state)
			m->state = i;
	}
	for (size_t i = 0; i < N_FLAGS; i++) {
		if (pcb->flags & g_flags[i].lwip)
			m->flags |= g_flags[i].bit;
	}
	if (ip_get_option(pcb, SOF_KEEPALIVE))
		m->flags |= NETSTATE__TCP_FLAG__TCPF_KEEPALIVE;
	if (reuse)
		m->flags |= NETSTATE__TCP_FLAG__TCPF_REUSE;
	numbers_fill(pcb, m, room);
	timers_fill(pcb, m);
	return segs_fill(pcb, m, room, bytes);
}

void move_tcp_payload(struct move_out *o, const struct tcp_pcb *pcb)
{
	for (int q = 0; q < 3; q++) {
		for (const struct tcp_seg *s = queue_of(pcb, q); s; s = s->next) {
			uint32_t skip = q == NETSTATE__SEG_QUEUE__SEG_OOSEQ
			                        ? 0
			                        : (uint32_t)s->p->tot_len - s->len;
			uint32_t left = s->len;

			for (const struct pbuf *p = s->p; p && left > 0; p = p->next) {
				uint32_t n;

				if (skip >= p->len) {
					skip -= p->len;
					continue;
				}
				n = LWIP_MIN(p->len - skip, left);
				move_payload(o, (const uint8_t *)p->payload + skip, n);
				left -= n;
				skip = 0;
			}
		}
	}
}

/* ---- reading ---- */

void move_tcp_free(struct tcp_pcb *pcb)
{
	tcp_pcb_purge(pcb); /* its queues */
	tcp_free(pcb);
}

static struct tcp_seg *seg_alloc(struct pbuf *p, uint32_t len, uint8_t opts)
{
	struct tcp_seg *seg = memp_malloc(MEMP_TCP_SEG);

	if (!seg) {
		pbuf_free(p);
		return NULL;
	}
	memset(seg, 0, sizeof(*seg));
	seg->p = p;
	seg->len = (u16_t)len;
	seg->flags = opts;
	seg->tcphdr = p->payload;
	memset(seg->tcphdr, 0, TCP_HLEN);
	return seg;
}

/* As tcp_create_segment() makes it. */
static struct tcp_seg *seg_to_send(const struct tcp_pcb *pcb, uint32_t seq, uint32_t len,
                                   uint8_t opts, uint8_t flags, const uint8_t *data)
{
	const unsigned opt_len = (unsigned)(LWIP_TCP_OPT_LENGTH(opts));
	struct pbuf *p = pbuf_alloc(PBUF_TRANSPORT, (u16_t)(opt_len + len), PBUF_RAM);
	struct tcp_seg *seg;

	if (!p)
		return NULL;
	memcpy((uint8_t *)p->payload + opt_len, data, len);
	(void)pbuf_add_header(p, TCP_HLEN); /* PBUF_TRANSPORT left room */
	seg = seg_alloc(p, len, opts);
	if (!seg)
		return NULL;
	seg->tcphdr->src = lwip_htons(pcb->local_port);
	seg->tcphdr->dest = lwip_htons(pcb->remote_port);
	seg->tcphdr->seqno = lwip_htonl(seq);
	TCPH_HDRLEN_FLAGS_SET(seg->tcphdr, (u16_t)(5 + opt_len / 4), flags);
	return seg;
}

/* As tcp_receive() keeps it: the header hidden before the data, in host order. */
static struct tcp_seg *seg_received(const struct tcp_pcb *pcb, uint32_t seq, uint32_t len,
                                    uint8_t flags, const uint8_t *data)
{
	struct pbuf *p = pbuf_alloc(PBUF_RAW, (u16_t)(TCP_HLEN + len), PBUF_RAM);
	struct tcp_seg *seg = p ? seg_alloc(p, len, 0) : NULL;

	if (!seg)
		return NULL;
	(void)pbuf_remove_header(p, TCP_HLEN); /* it is there */
	memcpy(p->payload, data, len);
	seg->tcphdr->src = pcb->remote_port;
	seg->tcphdr->dest = pcb->local_port;
	seg->tcphdr->seqno = seq;
	TCPH_HDRLEN_FLAGS_SET(seg->tcphdr, 5, flags);
	return seg;
}

static uint8_t seg_opts(uint32_t kind)
{
	uint8_t opts = 0;

	for (size_t i = 0; i < sizeof(g_seg_opts) / sizeof(g_seg_opts[0]); i++) {
		if (kind >> 8 & g_seg_opts[i].bit)
			opts |= g_seg_opts[i].lwip;
	}
	return opts;
}

/* One segment behind @prev of the same queue.  lwIP relies on order: a segment
 * received may neither overlap another nor lie outside of the window. */
static bool seg_sound(const struct tcp_pcb *pcb, uint32_t queue, uint32_t seq, uint32_t len,
                      uint32_t flags, bool first, uint32_t end)
{
	if (queue > NETSTATE__SEG_QUEUE__SEG_OOSEQ || len > TCP_MSS ||
	    len + ((flags & (TCP_SYN | TCP_FIN)) != 0) == 0 || (flags & TCP_RST))
		return false;
	if (!first && TCP_SEQ_LT(seq, end))
		return false;
	if (queue == NETSTATE__SEG_QUEUE__SEG_OOSEQ)
		return TCP_SEQ_GT(seq, pcb->rcv_nxt) && seq + len - pcb->rcv_nxt <= TCP_WND &&
		       !(flags & TCP_SYN);
	return pcb->snd_lbb - seq <= TCP_SND_BUF + 2u * TCP_MSS &&
	       TCP_SEQ_LEQ(seq + len, pcb->snd_lbb);
}

static int segs_make(struct move_in *in, const Netstate__Tcp *m, struct tcp_pcb *pcb)
{
	struct tcp_seg **tail[3] = {&pcb->unacked, &pcb->unsent, &pcb->ooseq};
	uint32_t end[3] = {0}, queued = 0, pbufs = 0;

	if (m->n_seg_seq > SEGS_MAX || m->n_seg_len != m->n_seg_seq ||
	    m->n_seg_kind != m->n_seg_seq)
		return move_refuse(in, "a connection's segments are malformed");
	for (size_t i = 0; i < m->n_seg_seq; i++) {
		const uint32_t kind = m->seg_kind[i], q = kind & 0xff, len = m->seg_len[i];
		const uint32_t seq = m->seg_seq[i], flags = kind >> 16 & TCP_FLAGS;
		const uint8_t *data;
		struct tcp_seg *seg;

		if (!seg_sound(pcb, q, seq, len, flags, q > 2 || tail[q] == &pcb->unacked ||
		               tail[q] == &pcb->unsent || tail[q] == &pcb->ooseq,
		               q > 2 ? 0 : end[q]))
			return move_refuse(in, "a segment lies where none can be");
		data = move_take(in, len);
		if (!data)
			return move_refuse(in, "a segment's data is missing");
		seg = q == NETSTATE__SEG_QUEUE__SEG_OOSEQ
		              ? seg_received(pcb, seq, len, (uint8_t)flags, data)
		              : seg_to_send(pcb, seq, len, seg_opts(kind), (uint8_t)flags, data);
		if (!seg)
			return move_refuse(in, "no memory for a segment");
		*tail[q] = seg;
		tail[q] = &seg->next;
		end[q] = seq + TCP_TCPLEN(seg);
		if (q != NETSTATE__SEG_QUEUE__SEG_OOSEQ) {
			queued += len;
			pbufs += pbuf_clen(seg->p);
		}
	}
	pcb->snd_buf = queued < TCP_SND_BUF ? TCP_SND_BUF - queued : 0;
	pcb->snd_queuelen = (u16_t)pbufs; /* <= SEGS_MAX: one each */
	return 0;
}

static const char *numbers_take(const Netstate__Tcp *m, struct tcp_pcb *pcb)
{
	pcb->rcv_nxt = m->rcv_nxt;
	pcb->rcv_wnd = LWIP_MIN(m->rcv_wnd, TCP_WND_MAX(pcb));
	pcb->rcv_ann_wnd = LWIP_MIN(m->rcv_ann_wnd, TCP_WND_MAX(pcb));
	pcb->rcv_ann_right_edge = m->rcv_ann_edge;
	for (size_t i = 0; i + 1 < m->n_sacks && i / 2 < LWIP_TCP_MAX_SACK_NUM; i += 2) {
		pcb->rcv_sacks[i / 2].left = m->sacks[i];
		pcb->rcv_sacks[i / 2].right = m->sacks[i + 1];
	}
	pcb->lastack = m->lastack;
	pcb->cwnd = m->cwnd;
	pcb->ssthresh = m->ssthresh;
	pcb->rto_end = m->rto_end;
	pcb->snd_nxt = m->snd_nxt;
	pcb->snd_wl1 = m->snd_wl1;
	pcb->snd_wl2 = m->snd_wl2;
	pcb->snd_lbb = m->snd_lbb;
	pcb->snd_wnd = m->snd_wnd;
	pcb->snd_wnd_max = m->snd_wnd_max;
	pcb->bytes_acked = m->bytes_acked;
	pcb->dupacks = (u8_t)LWIP_MIN(m->dupacks, 255);
	pcb->ts_lastacksent = m->ts_lastacksent;
	pcb->ts_recent = m->ts_recent;
	pcb->snd_scale = (u8_t)m->snd_scale;
	pcb->rcv_scale = (u8_t)m->rcv_scale;
	pcb->mss = (u16_t)m->mss;
	pcb->ttl = (u8_t)m->ttl;
	pcb->tos = (u8_t)m->tos;
	if (m->mss == 0 || m->mss > TCP_MSS)
		return "segment size";
	if (m->snd_scale > 14 || m->rcv_scale > 14)
		return "window scale";
	if (m->snd_nxt - m->lastack > TCP_SND_BUF + 2u * TCP_MSS ||
	    m->snd_lbb + 1 - m->lastack > TCP_SND_BUF + 2u * TCP_MSS) /* a FIN is not always in it */
		return "sequence number";
	return m->ttl > 255 || m->tos > 255 ? "TTL or TOS" : NULL;
}

/* Ticks of the other netd in ours. */
static s16_t ticks(const struct move_in *in, int32_t v)
{
	const int64_t ours = v < 0 ? v : (int64_t)v * in->tick_ms / TICK_MS;

	return (s16_t)LWIP_MIN(ours, 0x7fff);
}

static const char *timers_take(const struct move_in *in, const Netstate__Tcp *m,
                               struct tcp_pcb *pcb)
{
	if (m->rtime < -1 || m->sa < -0x8000 || m->sa > 0x7fff || m->sv < -0x8000 ||
	    m->sv > 0x7fff || m->rto < 0 || m->idle > 1u << 30 || m->rtt_age > 1u << 30)
		return "timer";
	if (m->persist_backoff > PERSIST_MAX || m->persist_cnt > 255 || m->persist_probe > 255 ||
	    m->nrtx > 255 || m->keep_cnt_sent > 255)
		return "counter";
	pcb->rtime = ticks(in, m->rtime);
	pcb->sa = ticks(in, m->sa);
	pcb->sv = ticks(in, m->sv);
	pcb->rto = ticks(in, m->rto);
	pcb->nrtx = (u8_t)m->nrtx;
	if (m->rtt_age) {
		pcb->rttest = tcp_ticks - (m->rtt_age - 1) * in->tick_ms / TICK_MS;
		pcb->rttest += pcb->rttest == 0; /* 0: nothing is timed */
	}
	pcb->rtseq = m->rtseq;
	pcb->tmr = tcp_ticks - (u32_t)((uint64_t)m->idle * in->tick_ms / TICK_MS);
	pcb->keep_idle = m->keep_idle;
	pcb->keep_intvl = m->keep_intvl;
	pcb->keep_cnt = m->keep_cnt;
	pcb->keep_cnt_sent = (u8_t)m->keep_cnt_sent;
	pcb->persist_cnt = (u8_t)m->persist_cnt;
	pcb->persist_backoff = (u8_t)m->persist_backoff;
	pcb->persist_probe = (u8_t)m->persist_probe;
	return NULL;
}

static const char *ends_take(const Netstate__Tcp *m, struct tcp_pcb *pcb)
{
	struct naddr local, remote;

	if (!move_naddr(m->local, &local) || !move_naddr(m->remote, &remote) ||
	    local.len == 0 || local.len != remote.len || local.port == 0 || remote.port == 0 ||
	    naddr_any(&local) || naddr_any(&remote) || naddr_multicast(&remote))
		return "address";
	naddr_to_lwip(&local, &pcb->local_ip);
	naddr_to_lwip(&remote, &pcb->remote_ip);
	pcb->local_port = local.port;
	pcb->remote_port = remote.port;
	if (demux_used(&pcb->local_ip, local.port, &pcb->remote_ip, remote.port))
		return "there are two with the same ends";
	return NULL;
}

struct tcp_pcb *move_tcp_make(struct move_in *in, const Netstate__Tcp *m)
{
	struct tcp_pcb *pcb = tcp_alloc(TCP_PRIO_NORMAL);
	const char *bad;

	if (!pcb) {
		(void)move_refuse(in, "no memory for a connection");
		return NULL;
	}
	bad = m->state > 0 && m->state < N_STATES ? ends_take(m, pcb) : "state";
	for (size_t i = 0; i < N_FLAGS; i++) {
		if (m->flags & g_flags[i].bit)
			pcb->flags |= g_flags[i].lwip;
	}
	if (m->flags & NETSTATE__TCP_FLAG__TCPF_KEEPALIVE)
		ip_set_option(pcb, SOF_KEEPALIVE);
	if (!bad)
		bad = numbers_take(m, pcb);
	if (!bad)
		bad = timers_take(in, m, pcb);
	if (bad) {
		tcp_free(pcb);
		(void)move_refuse(in, "a connection: %s", bad);
		return NULL;
	}
	pcb->state = (enum tcp_state)g_states[m->state];
	if (segs_make(in, m, pcb) < 0) {
		move_tcp_free(pcb);
		return NULL;
	}
	return pcb;
}
