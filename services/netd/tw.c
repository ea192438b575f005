/* SPDX-License-Identifier: MIT */
/*
 * tw.c - see tw.h.
 *
 * Records lie in one growing array, reached by a hash table and by a list in
 * order of expiry (all live equally long, so appending keeps the order).
 *
 * A segment for a record is answered as RFC 793, 1337 and 6191 ask: RST is
 * ignored, FIN restarts the time, data and stray SYNs get an ACK that lwIP
 * builds from a template pcb, and a new SYN whose timestamp or sequence number
 * is beyond the old connection's takes over the tuple at once.
 */
#include "services/netd/tw.h"

#include "lwip/inet_chksum.h"
#include "lwip/ip.h"
#include "lwip/prot/tcp.h"
#include "services/netd/clock.h"
#include "services/netd/hooks.h"

#include <stdlib.h>
#include <sys/random.h>

#define TW_BUCKETS 32768u

static struct siphash_key g_hash_key, g_isn_key;
static struct tw *g_tw;
static uint32_t g_tw_cap, g_tw_free, g_tw_first, g_tw_last, g_tw_n;
static uint32_t g_tw_table[TW_BUCKETS];
static uint32_t g_on_port[65536], g_hard_on_port[65536];
static uint32_t g_min_iss;
static bool g_have_min_iss;

static void random_fill(void *to, size_t n)
{
	if (getrandom(to, n, 0) != (ssize_t)n)
		abort(); /* the kernel's pool is up before any service starts */
}

uint32_t netd_rand32(void)
{
	static uint64_t counter;

	counter++;
	return (uint32_t)siphash(&g_isn_key, &counter, sizeof(counter));
}

u32_t netd_isn(const ip_addr_t *lip, u16_t lport, const ip_addr_t *rip, u16_t rport)
{
	struct tuple t;
	uint32_t isn;

	tuple_make(&t, lip, lport, rip, rport);
	isn = (uint32_t)siphash(&g_isn_key, &t, sizeof(t)) + (uint32_t)(clock_ns() >> 6);
	if (g_have_min_iss && TCP_SEQ_LT(isn, g_min_iss))
		isn = g_min_iss;
	return isn;
}

static void ip_to_16(uint8_t out[16], const ip_addr_t *ip)
{
	if (IP_IS_V6(ip)) {
		memcpy(out, ip_2_ip6(ip)->addr, 16);
		return;
	}
	memset(out, 0, 10);
	out[10] = out[11] = 0xff;
	memcpy(out + 12, &ip_2_ip4(ip)->addr, 4);
}

static void ip_from_16(ip_addr_t *ip, const uint8_t in[16])
{
	static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

	memset(ip, 0, sizeof(*ip));
	if (memcmp(in, mapped, 12) == 0) {
		memcpy(&ip_2_ip4(ip)->addr, in + 12, 4);
		IP_SET_TYPE(ip, IPADDR_TYPE_V4);
	} else {
		memcpy(ip_2_ip6(ip)->addr, in, 16);
		IP_SET_TYPE(ip, IPADDR_TYPE_V6);
	}
}

void tuple_make(struct tuple *t, const ip_addr_t *lip, uint16_t lport, const ip_addr_t *rip,
                uint16_t rport)
{
	ip_to_16(t->rip, rip);
	ip_to_16(t->lip, lip);
	t->rport = rport;
	t->lport = lport;
	t->zero = 0;
}

uint64_t tuple_hash(const struct tuple *t)
{
	return siphash(&g_hash_key, t, sizeof(*t));
}

void tw_init(void)
{
	random_fill(&g_hash_key, sizeof(g_hash_key));
	random_fill(&g_isn_key, sizeof(g_isn_key));
}

/* The link that points at the record of @t, or at the end of its chain. */
static uint32_t *tw_slot(const struct tuple *t)
{
	uint32_t *s = &g_tw_table[tuple_hash(t) & (TW_BUCKETS - 1)];

	while (*s && memcmp(&g_tw[*s - 1].t, t, sizeof(*t)) != 0)
		s = &g_tw[*s - 1].hash_next;
	return s;
}

static void tw_unlink(uint32_t i)
{
	struct tw *w = &g_tw[i - 1];

	if (w->prev)
		g_tw[w->prev - 1].next = w->next;
	else
		g_tw_first = w->next;
	if (w->next)
		g_tw[w->next - 1].prev = w->prev;
	else
		g_tw_last = w->prev;
}

static void tw_append(uint32_t i)
{
	struct tw *w = &g_tw[i - 1];

	w->prev = g_tw_last;
	w->next = 0;
	if (g_tw_last)
		g_tw[g_tw_last - 1].next = i;
	else
		g_tw_first = i;
	g_tw_last = i;
}

static void tw_del(uint32_t *slot)
{
	uint32_t i = *slot;
	struct tw *w = &g_tw[i - 1];

	*slot = w->hash_next;
	tw_unlink(i);
	g_on_port[w->t.lport]--;
	if (!(w->flags & TW_F_REUSE))
		g_hard_on_port[w->t.lport]--;
	w->hash_next = g_tw_free;
	g_tw_free = i;
	g_tw_n--;
}

/* An unused index + 1; 0 without memory. */
static uint32_t tw_alloc(void)
{
	uint32_t i;

	if (g_tw_n >= TW_MAX)
		tw_del(tw_slot(&g_tw[g_tw_first - 1].t));
	if (!g_tw_free) {
		uint32_t cap = g_tw_cap ? g_tw_cap * 2 : 1024;
		struct tw *bigger = realloc(g_tw, cap * sizeof(*bigger));

		if (!bigger)
			return 0;
		g_tw = bigger;
		for (i = cap; i > g_tw_cap; i--) {
			g_tw[i - 1].hash_next = g_tw_free;
			g_tw_free = i;
		}
		g_tw_cap = cap;
	}
	i = g_tw_free;
	g_tw_free = g_tw[i - 1].hash_next;
	return i;
}

/* Takes a copy of @w. */
static int tw_put(const struct tw *w)
{
	uint32_t *slot = tw_slot(&w->t), i;

	if (*slot)
		tw_del(slot);
	i = tw_alloc();
	if (!i)
		return -1;
	g_tw[i - 1] = *w;
	slot = &g_tw_table[tuple_hash(&w->t) & (TW_BUCKETS - 1)];
	g_tw[i - 1].hash_next = *slot;
	*slot = i;
	tw_append(i);
	g_tw_n++;
	g_on_port[w->t.lport]++;
	if (!(w->flags & TW_F_REUSE))
		g_hard_on_port[w->t.lport]++;
	return 0;
}

void tw_add(const struct tcp_pcb *pcb, bool reuse, uint64_t now_ms)
{
	struct tw w;

	memset(&w, 0, sizeof(w));
	tuple_make(&w.t, &pcb->local_ip, pcb->local_port, &pcb->remote_ip, pcb->remote_port);
	w.snd_nxt = pcb->snd_nxt;
	w.rcv_nxt = pcb->rcv_nxt;
	w.ts_recent = pcb->ts_recent;
	w.wnd = pcb->rcv_ann_wnd;
	w.expires = now_ms + TW_MS;
	w.flags = (uint8_t)((pcb->flags & TF_TIMESTAMP ? TW_F_TS : 0) |
	                    (reuse ? TW_F_REUSE : 0));
	w.ttl = pcb->ttl;
	w.tos = pcb->tos;
	w.rcv_scale = pcb->rcv_scale;
	(void)tw_put(&w); /* without memory the tuple is free at once */
}

int tw_restore(const struct tw *w)
{
	struct tw copy = *w;

	if (g_tw_last && copy.expires < g_tw[g_tw_last - 1].expires)
		copy.expires = g_tw[g_tw_last - 1].expires; /* the list is in order */
	return tw_put(&copy);
}

const struct tw *tw_next(const struct tw *w)
{
	const uint32_t i = w ? w->next : g_tw_first;

	return i ? &g_tw[i - 1] : NULL;
}

void tw_isn_key(uint8_t key[16], bool set)
{
	if (set)
		memcpy(&g_isn_key, key, 16);
	else
		memcpy(key, &g_isn_key, 16);
}

bool tw_has(const struct tuple *t)
{
	return *tw_slot(t) != 0;
}

/* lwIP builds and sends the ACK, from a pcb that exists for this call only. */
static void tw_ack(const struct tw *w)
{
	struct tcp_pcb pcb;

	memset(&pcb, 0, sizeof(pcb));
	ip_from_16(&pcb.local_ip, w->t.lip);
	ip_from_16(&pcb.remote_ip, w->t.rip);
	pcb.local_port = w->t.lport;
	pcb.remote_port = w->t.rport;
	pcb.state = TIME_WAIT;
	pcb.snd_nxt = w->snd_nxt;
	pcb.rcv_nxt = w->rcv_nxt;
	pcb.rcv_ann_wnd = pcb.rcv_wnd = w->wnd;
	pcb.rcv_scale = w->rcv_scale;
	pcb.flags = (tcpflags_t)((w->flags & TW_F_TS ? TF_TIMESTAMP : 0) | TF_WND_SCALE);
	pcb.ts_recent = w->ts_recent;
	pcb.ttl = w->ttl;
	pcb.tos = w->tos;
	(void)tcp_send_empty_ack(&pcb); /* lost: the peer repeats */
}

void tw_probe(const struct tuple *t)
{
	/* Outside of the peer's window, whatever that is, but for once in 2^13. */
	const struct tw w = {.t = *t, .snd_nxt = netd_rand32(), .rcv_nxt = netd_rand32(),
	                     .ttl = TCP_TTL};

	tw_ack(&w);
}

/* The timestamp option's value among @n bytes of options. */
static bool option_timestamp(const uint8_t *o, unsigned n, uint32_t *value)
{
	while (n > 0 && o[0] != 0) {
		if (o[0] == 1) {
			o++;
			n--;
			continue;
		}
		if (n < 2 || o[1] < 2 || o[1] > n)
			return false;
		if (o[0] == 8 && o[1] == 10) {
			*value = (uint32_t)o[2] << 24 | (uint32_t)o[3] << 16 |
			         (uint32_t)o[4] << 8 | o[5];
			return true;
		}
		n -= o[1];
		o += o[1];
	}
	return false;
}

/* RFC 6191: may this SYN begin a new connection on the record's tuple? */
static bool tw_syn_is_new(const struct tw *w, const struct tcp_hdr *th, unsigned hdr_len,
                          uint32_t seq)
{
	uint32_t ts;

	if (!(w->flags & TW_F_TS) ||
	    !option_timestamp((const uint8_t *)(th + 1), hdr_len - TCP_HLEN, &ts))
		return TCP_SEQ_GT(seq, w->rcv_nxt);
	return TCP_SEQ_GT(ts, w->ts_recent) ||
	       (ts == w->ts_recent && TCP_SEQ_GT(seq, w->rcv_nxt));
}

enum tw_verdict tw_input(struct pbuf *p, struct netif *inp, const struct tuple *t,
                         uint64_t now_ms)
{
	const struct tcp_hdr *th = p->payload;
	unsigned flags = TCPH_FLAGS(th), hdr_len = TCPH_HDRLEN_BYTES(th);
	uint32_t *slot = tw_slot(t), seq = lwip_ntohl(th->seqno), i = *slot, len;
	struct tw *w;

	if (!i)
		return TW_NONE;
	w = &g_tw[i - 1];
	if (hdr_len < TCP_HLEN || hdr_len > p->len || (flags & TCP_RST))
		return TW_DONE;
	if ((inp->chksum_flags & NETIF_CHECKSUM_CHECK_TCP) &&
	    ip_chksum_pseudo(p, IP_PROTO_TCP, p->tot_len, ip_current_src_addr(),
	                     ip_current_dest_addr()) != 0)
		return TW_DONE;
	if ((flags & (TCP_SYN | TCP_ACK)) == TCP_SYN && tw_syn_is_new(w, th, hdr_len, seq)) {
		g_min_iss = w->snd_nxt + 2 * 65535;
		g_have_min_iss = true;
		tw_del(slot);
		return TW_TAKEN;
	}
	if (flags & TCP_FIN) {
		w->expires = now_ms + TW_MS;
		tw_unlink(i);
		tw_append(i);
	}
	len = p->tot_len - hdr_len + ((flags & (TCP_SYN | TCP_FIN)) ? 1 : 0);
	if (len == 0 && (seq == w->rcv_nxt || now_ms - w->stray_ms < STRAY_MS))
		return TW_DONE;
	if (len == 0)
		w->stray_ms = now_ms;
	tw_ack(w);
	return TW_DONE;
}

void tw_input_end(void)
{
	g_have_min_iss = false;
}

void tw_expire(uint64_t now_ms)
{
	while (g_tw_first && g_tw[g_tw_first - 1].expires <= now_ms)
		tw_del(tw_slot(&g_tw[g_tw_first - 1].t));
}

uint64_t tw_deadline(void)
{
	/* A second's grain: nobody waits for the end of TIME_WAIT. */
	return g_tw_first ? g_tw[g_tw_first - 1].expires + 1000 : UINT64_MAX;
}

unsigned tw_count(void)
{
	return g_tw_n;
}

unsigned tw_on_port(uint16_t lport, bool hard_only)
{
	return hard_only ? g_hard_on_port[lport] : g_on_port[lport];
}
