/* SPDX-License-Identifier: MIT */
#include "tests/unit/trace_synth.h"

#include "file.pb-c.h"
#include "net.pb-c.h"
#include "rpc/server.h"
#include "rpc/trace.h"
#include "session.pb-c.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define US 1000ull
#define BYTES(text)                                                                    \
	{                                                                              \
		sizeof(text) - 1, (uint8_t *)(uintptr_t)(text)                         \
	}

void synth_begin(int fd, bool with_payload)
{
	static const uint32_t shb[] = {0x0a0d0d0a, 28,         0x1a2b3c4d, 1,
	                               UINT32_MAX, UINT32_MAX, 28};
	/* if_tsresol 9: nanoseconds */
	static const uint32_t idb[] = {1, 32, TRACE_LINKTYPE, 0, 1u << 16 | 9, 9,
	                               0, 32};

	if (write(fd, shb, sizeof(shb)) != sizeof(shb) ||
	    write(fd, idb, sizeof(idb)) != sizeof(idb) ||
	    write(fd, idb, sizeof(idb)) != sizeof(idb)) {
		perror("trace_synth: write");
		abort();
	}
	rpc_trace_start(fd, with_payload, 0);
}

void synth_put(uint32_t domid, uint8_t service, uint64_t mono, struct frame f,
               const ProtobufCMessage *m, const void *payload, size_t n)
{
	uint8_t msg[RPC_MSG_MAX];
	const bool to_guest = f.kind == FRAME_REPLY || f.kind == FRAME_EVENT;
	const struct trace_where w = {to_guest, service, domid, mono};
	const struct iovec io = {(void *)(uintptr_t)payload, n};

	f.msg_len = m ? (uint16_t)protobuf_c_message_get_packed_size(m) : 0;
	if (f.msg_len > sizeof(msg))
		abort();
	if (m)
		protobuf_c_message_pack(m, msg);
	f.payload_len = (uint32_t)n;
	f.len = FRAME_HDR_LEN + f.msg_len + f.payload_len;
	trace_frame(&w, &f, msg, &io, 1);
}

/* ---- the story: guest 1, one slot a step ---- */

static uint64_t g_now;
static uint32_t g_seq[2][4], g_posts[2], g_events[2];
static uint64_t g_taken[2][4]; /* when the guest took the slot's last reply */

/* A call enqueued now, dequeued 1 us later; the clock stands there then. */
static void call(uint8_t service, unsigned slot, uint16_t method,
                 const ProtobufCMessage *m, const char *payload)
{
	const struct frame f = {.kind = FRAME_CALL,
	                        .method = method,
	                        .slot = (uint16_t)slot,
	                        .seq = ++g_seq[service - 1][slot],
	                        .stamp = g_now,
	                        .wake = g_taken[service - 1][slot]};

	g_now += US;
	synth_put(1, service, g_now, f, m, payload, payload ? strlen(payload) : 0);
}

/* Its reply, put @us later and taken 2 us after that. */
static void reply(uint8_t service, unsigned slot, uint16_t method, unsigned us,
                  uint32_t err, const ProtobufCMessage *m, const char *payload)
{
	const struct frame f = {.kind = FRAME_REPLY,
	                        .method = method,
	                        .slot = (uint16_t)slot,
	                        .seq = g_seq[service - 1][slot],
	                        .err = err,
	                        .stamp = g_now + us * US};

	g_now += us * US;
	synth_put(1, service, g_now, f, m, payload, payload ? strlen(payload) : 0);
	g_taken[service - 1][slot] = g_now + 2 * US;
	g_now += 3 * US;
}

static void post(uint8_t service, uint16_t method, const ProtobufCMessage *m,
                 const char *payload)
{
	const struct frame f = {.kind = FRAME_POST,
	                        .method = method,
	                        .seq = ++g_posts[service - 1],
	                        .stamp = g_now};

	g_now += US;
	synth_put(1, service, g_now, f, m, payload, payload ? strlen(payload) : 0);
}

static void event(uint8_t service, uint16_t method, const ProtobufCMessage *m,
                  const char *payload)
{
	const struct frame f = {.kind = FRAME_EVENT,
	                        .method = method,
	                        .seq = ++g_events[service - 1],
	                        .stamp = g_now};

	g_now += US;
	synth_put(1, service, g_now, f, m, payload, payload ? strlen(payload) : 0);
}

static void hello(uint8_t service)
{
	Session__HelloReq q = SESSION__HELLO_REQ__INIT;
	Session__HelloRep r = SESSION__HELLO_REP__INIT;

	q.version_min = q.version_max = 1;
	q.features = RPC_FEATURE_STAMPS;
	q.client_id = (ProtobufCBinaryData)BYTES("0123456789abcdef");
	q.n_slots = 4;
	q.service = service;
	r.version = 1;
	r.features = RPC_FEATURE_STAMPS;
	r.n_slots = 4;
	r.epoch = 1;
	call(service, 0, FRAME_METHOD(0, 0), &q.base, NULL);
	reply(service, 0, FRAME_METHOD(0, 0), 5, 0, &r.base, NULL);
}

static void story_open(uint32_t handle, const char *path, uint32_t flags, uint32_t err)
{
	File__OpenReq q = FILE__OPEN_REQ__INIT;
	File__OpenRep r = FILE__OPEN_REP__INIT;
	File__Attr a = FILE__ATTR__INIT;

	q.path = (ProtobufCBinaryData){strlen(path), (uint8_t *)(uintptr_t)path};
	q.flags = flags;
	q.handle = handle;
	a.mode = S_IFREG | 0644;
	a.size = 5;
	a.ino = 77;
	a.mtime = 1700000000;
	r.attr = &a;
	call(1, 1, FRAME_METHOD(1, 1), &q.base, NULL);
	reply(1, 1, FRAME_METHOD(1, 1), 20, err, err ? NULL : &r.base, NULL);
}

static void story_files(void)
{
	File__SetCredReq cred = FILE__SET_CRED_REQ__INIT;
	File__ReadReq rd = FILE__READ_REQ__INIT;
	File__WriteReq wr = FILE__WRITE_REQ__INIT;
	File__WriteRep wrote = FILE__WRITE_REP__INIT;
	File__HandleReq rel = FILE__HANDLE_REQ__INIT;
	File__PathReq un = FILE__PATH_REQ__INIT;
	uint32_t groups[] = {4, 24};

	cred.cred = 1;
	cred.uid = 1000;
	cred.n_groups = 2;
	cred.groups = groups;
	call(1, 0, FRAME_METHOD(1, 0), &cred.base, NULL);
	reply(1, 0, FRAME_METHOD(1, 0), 2, 0, NULL, NULL);
	story_open(3, "/etc/motd", O_RDONLY, 0);
	story_open(4, "/no\nsuch", O_RDWR | O_CREAT | O_EXCL, ENOENT);
	rd.handle = 3;
	rd.count = 4096;
	call(1, 1, FRAME_METHOD(1, 3), &rd.base, NULL);
	reply(1, 1, FRAME_METHOD(1, 3), 10, 0, NULL, "hello");
	wr.handle = 3;
	wr.append = 1;
	call(1, 1, FRAME_METHOD(1, 4), &wr.base, "more");
	wrote.count = 4;
	wrote.offset = 5;
	reply(1, 1, FRAME_METHOD(1, 4), 30, 0, &wrote.base, NULL);
	rel.handle = 3;
	post(1, FRAME_METHOD(1, 2), &rel.base, NULL);
	un.path = (ProtobufCBinaryData)BYTES("/tmp/dir");
	un.flags = AT_REMOVEDIR;
	call(1, 0, FRAME_METHOD(1, 14), &un.base, NULL);
	reply(1, 0, FRAME_METHOD(1, 14), 15, ENOTEMPTY, NULL, NULL);
}

static void story_lock(void)
{
	File__LockReq q = FILE__LOCK_REQ__INIT;
	File__LockRep r = FILE__LOCK_REP__INIT;
	Session__DoneEvt done = SESSION__DONE_EVT__INIT;
	struct frame f = {.kind = FRAME_REPLY,
	                  .flags = FRAME_F_QUEUED,
	                  .method = FRAME_METHOD(1, 22),
	                  .slot = 2};

	story_open(5, "/var/db", O_RDWR, 0);
	q.handle = 5;
	q.type = F_WRLCK;
	q.wait = 1;
	q.ticket = 99;
	call(1, 2, FRAME_METHOD(1, 22), &q.base, NULL);
	r.queued = 1;
	f.seq = g_seq[0][2];
	g_now += US;
	synth_put(1, 1, g_now, f, &r.base, NULL, 0);
	g_now += 1000 * US;
	done.ticket = 99;
	event(1, FRAME_METHOD(0, 3), &done.base, NULL);
}

static void story_net(void)
{
	uint8_t ip[] = {10, 0, 2, 15}, peer_ip[] = {10, 0, 2, 2};
	Net__SocketReq so = NET__SOCKET_REQ__INIT;
	Net__OptReq opt = NET__OPT_REQ__INIT;
	Net__BindReq bi = NET__BIND_REQ__INIT;
	Net__AddrRep ar = NET__ADDR_REP__INIT;
	Net__Addr local = NET__ADDR__INIT, peer = NET__ADDR__INIT;
	Net__AcceptedEvt ac = NET__ACCEPTED_EVT__INIT;
	Net__DataMsg d = NET__DATA_MSG__INIT;
	Net__ErrorEvt er = NET__ERROR_EVT__INIT;

	so.handle = opt.handle = bi.handle = 1;
	so.domain = 2;
	so.type = 1;
	call(2, 1, FRAME_METHOD(2, 0), &so.base, NULL);
	reply(2, 1, FRAME_METHOD(2, 0), 4, 0, NULL, NULL);
	opt.level = 1;
	opt.name = 2;
	call(2, 1, FRAME_METHOD(2, 6), &opt.base, NULL);
	reply(2, 1, FRAME_METHOD(2, 6), 4, 0, NULL, NULL);
	local.ip = (ProtobufCBinaryData){4, ip};
	local.port = 80;
	bi.addr = ar.local = &local;
	call(2, 1, FRAME_METHOD(2, 1), &bi.base, NULL);
	reply(2, 1, FRAME_METHOD(2, 1), 4, 0, &ar.base, NULL);
	peer.ip = (ProtobufCBinaryData){4, peer_ip};
	peer.port = 40000;
	ac.listener = 1;
	ac.handle = d.handle = er.handle = 65536;
	ac.peer = &peer;
	ac.local = &local;
	event(2, FRAME_METHOD(2, 14), &ac.base, NULL);
	event(2, FRAME_METHOD(2, 9), &d.base, "GET / HTTP/1.1\r\n\r\n");
	post(2, FRAME_METHOD(2, 9), &d.base, "HTTP/1.1 200 OK\r\n\r\n");
	er.err = ECONNRESET;
	er.fatal = 1;
	event(2, FRAME_METHOD(2, 17), &er.base, NULL);
}

void synth_story(int fd, bool with_payload)
{
	g_now = 5000000;
	memset(g_seq, 0, sizeof(g_seq));
	memset(g_taken, 0, sizeof(g_taken));
	memset(g_posts, 0, sizeof(g_posts));
	memset(g_events, 0, sizeof(g_events));
	synth_begin(fd, with_payload);
	hello(1);
	hello(2);
	story_files();
	story_lock();
	story_net();
	trace_flush();
}
