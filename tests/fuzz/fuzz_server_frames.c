/* SPDX-License-Identifier: MIT */
/*
 * Anything a guest may write into its ring, read by the service's side.  The
 * methods answer at once, keep, or queue; the point is the frame layer: nothing
 * may crash, leak a request, or stall.
 */
#include "fake_guest.h"
#include "file.pb-c.h"
#include "frames.h"
#include "rpc/server.h"
#include "session.pb-c.h"
#include "vchan/hosted.h"
#include "vchan/vchan.h"
#include "vchan/wire.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static const uint8_t g_id[16] = "fuzz";
static uint32_t g_slot_seq[RPC_SLOTS_MAX], g_post_seq;
static struct rpc_req *g_kept[RPC_SLOTS_MAX];
static unsigned n_kept;

static uint32_t next_seq(const struct frame *f)
{
	if (f->kind == FRAME_CALL)
		return ++g_slot_seq[f->slot];
	return f->kind == FRAME_POST ? ++g_post_seq : 0;
}

static void on_broken(struct rpc_conn *c, const char *why)
{
	(void)c;
	(void)why;
}

static int on_cancel(struct rpc_conn *c, uint64_t ticket, uint32_t *err)
{
	(void)c;
	*err = 0;
	return (int)(ticket & 1);
}

/* Every method of the service: by turns answer, keep, queue, lend room. */
static void any(ProtobufCService *s, unsigned index, const ProtobufCMessage *in,
                ProtobufCClosure closure, void *data)
{
	struct rpc_req *req = data;
	struct iovec io[2];

	(void)s;
	(void)in;
	(void)closure;
	switch (index % 4) {
	case 0:
		rpc_reply(req, (int)index, NULL, NULL, 0);
		break;
	case 1:
		if (req->hdr.kind == FRAME_CALL && n_kept < RPC_SLOTS_MAX)
			g_kept[n_kept++] = req;
		else
			rpc_reply(req, 0, NULL, NULL, 0);
		break;
	case 2:
		rpc_reply_queued(req, NULL);
		break;
	default:
		if (req->hdr.kind == FRAME_CALL && rpc_reply_room(req, 100, io) > 0)
			rpc_reply_commit(req, 0, 50);
		else
			rpc_reply(req, 0, NULL, NULL, 0);
	}
}

static uint32_t put_hello(uint8_t *out)
{
	Session__HelloReq h = SESSION__HELLO_REQ__INIT;
	struct frame f = {.kind = FRAME_CALL, .seq = ++g_slot_seq[0]};

	h.version_min = RPC_VERSION_MIN;
	h.version_max = RPC_VERSION_MAX;
	h.client_id = (ProtobufCBinaryData){16, (uint8_t *)(uintptr_t)g_id};
	h.service = RPC_SERVICE_FILE;
	h.event_credit = 16384;
	f.msg_len = (uint16_t)session__hello_req__pack(&h, out + FRAME_HDR_LEN);
	f.len = FRAME_HDR_LEN + f.msg_len;
	memcpy(out, &f, sizeof(f));
	return frame_ring_len(f.len);
}

static void ring_write(struct fake_channel *fc, const uint8_t *p, uint32_t n)
{
	struct vchan_wire *w = fake_page(fc);
	uint8_t *ring = (uint8_t *)fc->map + 4096;
	const uint32_t size = 1u << fc->order, prod = atomic_load(&w->left_prod);

	for (uint32_t i = 0; i < n; i++)
		ring[(prod + i) & (size - 1)] = p[i];
	atomic_store(&w->left_prod, prod + n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t frame[FRAME_LEN_MAX + 8];
	static int bell = -1;
	File__File_Service svc = {.base = {&file__file__descriptor, any, NULL}};
	struct rpc_server_ops ops = {.service = &svc.base,
	                             .service_id = RPC_SERVICE_FILE,
	                             .on_cancel = on_cancel,
	                             .on_broken = on_broken,
	                             .n_slots = 64};
	struct input in = {data, size};
	struct fake_channel fc;
	struct rpc_conn *c;
	uint32_t n;

	/* a handler pointer for each method, so that none is refused as missing */
	memset(&svc.base + 1, 0x55, sizeof(svc) - sizeof(svc.base));
	memset(g_slot_seq, 0, sizeof(g_slot_seq));
	g_post_seq = n_kept = 0;
	if (bell < 0)
		bell = hosted_doorbell_create();
	if (fake_channel_make(&fc, 17, bell) < 0 ||
	    hosted_vchan_register(1, "/f", dup(fc.ring_fd), dup(fc.event_fd), dup(bell)) < 0)
		abort();
	c = rpc_conn_new(vchan_server_open(1, "/f", 17), &ops, g_id, 1, NULL);
	if (!c)
		abort();
	if (size && !(data[size - 1] & 1))
		ring_write(&fc, frame, put_hello(frame));
	while (!rpc_conn_broken(c) && (n = input_frame(&in, frame, next_seq)) > 0) {
		ring_write(&fc, frame, n);
		rpc_conn_pump(c, 4);
		/* a guest that reads: its ring empties */
		atomic_store(&((struct vchan_wire *)fc.map)->right_cons,
		             atomic_load(&((struct vchan_wire *)fc.map)->right_prod));
		if (n_kept > 40)
			while (n_kept)
				rpc_reply(g_kept[--n_kept], 5, NULL, NULL, 0);
	}
	rpc_conn_pump(c, 1000);
	while (n_kept)
		rpc_reply(g_kept[--n_kept], 0, NULL, NULL, 0);
	if (rpc_conn_busy(c) != 0)
		abort();
	rpc_conn_free(c);
	munmap(fc.map, hosted_ring_size(17));
	close(fc.ring_fd);
	close(fc.event_fd);
	return 0;
}
