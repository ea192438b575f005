/* SPDX-License-Identifier: MIT */
/*
 * lwip_rx.c - what lwIP received, until it is pushed to the guest, and the window.
 *
 * The window opens only as the guest raises rx_limit.  Its right edge is max(what the
 * peer was promised, rx_limit), and never moves left.
 */
#include "services/netd/lwip_priv.h"

/* ---- the window ---- */

/* At the handshake's end: the window that the guest granted, but no less than the
 * 64 KiB that the SYN has promised. */
void rx_first_window(struct lsock *l)
{
	struct tcp_pcb *pcb = l->pcb;
	const uint32_t max = TCP_WND_MAX(pcb);
	uint64_t want = l->s.rx_limit - l->s.rx_got;

	if (want < 0xffff)
		want = 0xffff;
	if (want > max)
		want = max;
	l->window = (uint32_t)want;
	pcb->rcv_wnd = pcb->rcv_ann_wnd = l->window;
	/* lwIP counts its whole window here; a SYN cannot say more than 64 KiB. */
	pcb->rcv_ann_right_edge = pcb->rcv_nxt + 0xffff;
}

/* Tell the peer where the window ends, if a quarter came free, or if it may stand still.
 * Also after input: lwIP, too, sets what the next ACK says, and keeps back a window that
 * is smaller than a segment; a guest that has read all raises its limit for no less than
 * a quarter, so with segments that large (a TAP's) both would wait for ever. */
void rx_announce(struct lsock *l)
{
	struct tcp_pcb *pcb = l->pcb;
	const uint32_t news = pcb->rcv_nxt + pcb->rcv_wnd - pcb->rcv_ann_right_edge;
	const int32_t left = (int32_t)(pcb->rcv_ann_right_edge - pcb->rcv_nxt);
	const uint32_t quarter = l->window / 4;

	if (news == 0 || (news < quarter && left >= (int32_t)quarter))
		return;
	pcb->rcv_ann_wnd = pcb->rcv_wnd;
	tcp_ack_now(pcb);
	tx_dirty(l);
}

void tcp_rx_window(struct lsock *l)
{
	struct tcp_pcb *pcb = l->pcb;
	uint64_t edge;
	uint32_t grow, max;

	if (!pcb || l->s.eof || l->s.connecting)
		return;
	edge = l->s.rx_got + pcb->rcv_wnd;
	if (l->s.rx_limit <= edge)
		return;
	max = TCP_WND_MAX(pcb);
	grow = max - pcb->rcv_wnd;
	if (l->s.rx_limit - edge < grow)
		grow = (uint32_t)(l->s.rx_limit - edge);
	pcb->rcv_wnd += grow;
	if (pcb->rcv_wnd > l->window) /* the guest's window has grown */
		l->window = pcb->rcv_wnd;
	rx_announce(l);
}

/* ---- data ---- */

uint32_t tcp_rx_peek(struct sock *s, uint32_t max, struct iovec *io, int *n_io)
{
	struct lsock *l = lsock_of(s);
	uint32_t got = 0, off = l->rx_off;

	*n_io = 0;
	for (struct pbuf *p = l->rx; p && got < max && *n_io < RX_IOV_MAX; p = p->next) {
		uint32_t n = p->len - off;

		if (n > max - got)
			n = max - got;
		io[*n_io] = (struct iovec){(uint8_t *)p->payload + off, n};
		if (n > 0)
			(*n_io)++;
		got += n;
		off = 0;
	}
	return got;
}

void tcp_rx_take(struct sock *s, uint32_t n)
{
	struct lsock *l = lsock_of(s);

	l->rx_off += n;
	while (l->rx && l->rx_off >= l->rx->len) {
		struct pbuf *p = l->rx;

		l->rx_off -= p->len;
		l->rx = p->next;
		p->next = NULL;
		pbuf_free(p);
	}
	if (!l->rx)
		l->rx_tail = NULL;
}

void tcp_rx_free(struct lsock *l)
{
	while (l->rx) {
		struct pbuf *p = l->rx;

		l->rx = p->next;
		p->next = NULL;
		pbuf_free(p);
	}
	l->rx_tail = NULL;
}
