/* SPDX-License-Identifier: MIT */
/*
 * Anything a service may write into its ring, read by the guest's side, with
 * calls waiting for answers and events decoded as the net client would.
 */
#include "fake_guest.h"
#include "frames.h"
#include "net.pb-c.h"
#include "rpc/guest.h"
#include "rpc/guest_priv.h"
#include "session.pb-c.h"
#include "vchan/hosted.h"
#include "vchan/wire.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static uint32_t g_event_seq;

static uint32_t next_seq(const struct frame *f)
{
	return f->kind == FRAME_EVENT ? ++g_event_seq : g_net_chan.seq[f->slot];
}

static void on_event(struct rpc_event *ev)
{
	const ProtobufCServiceDescriptor *d = &net__net__descriptor;
	_Alignas(16) uint8_t mem[1024];
	uint8_t buf[512];
	struct arena a;

	arena_init(&a, mem, sizeof(mem));
	if (ev->index < d->n_methods)
		(void)protobuf_c_message_unpack(d->methods[ev->index].input, &a.pb,
		                                ev->msg_len, ev->msg);
	rpc_event_take(ev, buf, 300);
	rpc_event_take(ev, buf, 512);
}

static void on_done(uint64_t ticket, int err)
{
	(void)ticket;
	if (err > 0 || err < -4095)
		abort();
}

static int sink(void *arg, void *ring, size_t n)
{
	uint32_t *left = arg;

	if (n > *left)
		abort(); /* more than was asked for */
	*left -= (uint32_t)n;
	for (size_t i = 0; i < n; i++)
		if (((volatile uint8_t *)ring)[i] == 0xff && n == 12345)
			abort();
	return n == 77 ? -14 : 0;
}

static void ring_write(struct fake_channel *fc, const uint8_t *p, uint32_t n)
{
	struct vchan_wire *w = fake_page(fc);
	const uint32_t size = 1u << fc->order, prod = atomic_load(&w->right_prod);
	uint8_t *ring = (uint8_t *)fc->map + 4096 + size;

	for (uint32_t i = 0; i < n; i++)
		ring[(prod + i) & (size - 1)] = p[i];
	atomic_store(&w->right_prod, prod + n);
}

static uint32_t put_hello(uint8_t *out)
{
	Session__HelloRep h = SESSION__HELLO_REP__INIT;
	struct frame f = {.kind = FRAME_REPLY, .seq = 1};

	h.version = RPC_VERSION_MAX;
	h.n_slots = 64;
	h.epoch = 1;
	f.msg_len = (uint16_t)session__hello_rep__pack(&h, out + FRAME_HDR_LEN);
	f.len = FRAME_HDR_LEN + f.msg_len;
	memcpy(out, &f, sizeof(f));
	return frame_ring_len(f.len);
}

static const struct rpc_chan_ops g_ops = {.service_id = RPC_SERVICE_NET,
                                          .service = &net__net__descriptor,
                                          .on_event = on_event,
                                          .on_done = on_done};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t frame[FRAME_LEN_MAX + 8];
	static int bell = -1;
	static struct rpc_call calls[8];
	static uint32_t left[8];
	struct input in = {data, size};
	struct fake_channel fc;
	uint32_t n;

	if (bell < 0)
		bell = hosted_doorbell_create();
	if (fake_channel_make(&fc, 17, bell) < 0)
		abort();
	fake_channel_use(&fc, &g_config.net, 1);
	g_event_seq = 0;
	ring_write(&fc, frame, put_hello(frame)); /* the answer lies ready */
	if (rpc_attach(&g_net_chan, &g_config.net, &g_ops) < 0)
		abort();
	for (unsigned i = 0; i < 8; i++) { /* as if eight threads waited */
		rpc_call_init(&calls[i]);
		left[i] = calls[i].sink_cap = i * 1000;
		calls[i].sink = sink;
		calls[i].sink_arg = &left[i];
		calls[i].waiter = rpc_current();
		g_net_chan.calls[i + 4] = &calls[i];
		g_net_chan.seq[i + 4] = 1;
	}
	while ((n = input_frame(&in, frame, next_seq)) > 0) {
		ring_write(&fc, frame, n);
		rpc_guest_poll();
		/* a service that reads */
		atomic_store(&((struct vchan_wire *)fc.map)->left_cons,
		             atomic_load(&((struct vchan_wire *)fc.map)->left_prod));
	}
	for (unsigned i = 0; i < 8; i++)
		if (calls[i].err > 0 || calls[i].err < -4095)
			abort();
	memset(g_net_chan.calls, 0, sizeof(g_net_chan.calls));
	rpc_detach(&g_net_chan);
	munmap(fc.map, hosted_ring_size(17));
	close(fc.ring_fd);
	close(fc.event_fd);
	return 0;
}
