/* SPDX-License-Identifier: MIT */
/*
 * frame.h - the unit that crosses a channel: header, message, payload.
 *
 * A frame on the ring is this header (48 bytes, little-endian), a packed
 * protobuf message of msg_len bytes, payload_len raw bytes, and zero to seven
 * bytes of padding so that the next header begins at a multiple of 8.  `len`
 * counts header, message and payload, not the padding.
 *
 * Layer:   rpc.  Includes rpc/limits.h only.
 * Memory:  a header is copied out of the ring once and checked by
 *          frame_check() before any field is used; payload is moved once.
 */
#ifndef RPC_FRAME_H
#define RPC_FRAME_H

#include "rpc/limits.h"

#include <stddef.h>
#include <stdint.h>

enum frame_kind {
	FRAME_CALL = 1,   /* guest to service; answered by one REPLY in the same slot */
	FRAME_REPLY = 2,  /* service to guest */
	FRAME_POST = 3,   /* guest to service; no slot, no reply */
	FRAME_EVENT = 4,  /* service to guest; spends event credit */
	FRAME_CREDIT = 5, /* guest to service; only returns event credit */
};

#define FRAME_F_MORE 0x01u   /* more fragments of the same call follow */
#define FRAME_F_QUEUED 0x02u /* REPLY: will complete by event Done */
#define FRAME_F_REPLAY 0x04u /* CALL: was in flight when the instance before ended */
#define FRAME_F_KNOWN (FRAME_F_MORE | FRAME_F_QUEUED | FRAME_F_REPLAY)

struct frame {
	uint32_t len;         /* header + message + payload, in bytes */
	uint8_t kind;         /* enum frame_kind */
	uint8_t flags;        /* FRAME_F_* */
	uint16_t method;      /* service << 8 | index in the service block */
	uint16_t slot;        /* CALL, REPLY: < n_slots; else 0 */
	uint16_t msg_len;     /* <= RPC_MSG_MAX (REPLY, EVENT: RPC_REPLY_MSG_MAX) */
	uint32_t seq;         /* CALL: the slot's last + 1, from 1; REPLY: of its call;
	                         POST, EVENT: counts frames of the kind, from 1 */
	uint32_t err;         /* REPLY: 0 or a Linux errno; else 0 */
	uint32_t payload_len; /* <= RPC_PAYLOAD_MAX */
	uint32_t credit;      /* guest to service: event bytes read since the last frame */
	uint32_t reserved;    /* 0 */
	uint64_t stamp;       /* sender's CLOCK_MONOTONIC ns at enqueue; 0 without STAMPS */
	uint64_t wake;        /* CALL: when the slot's reply before was taken; 0 unknown */
};

#define FRAME_HDR_LEN 48u
#define FRAME_LEN_MAX (FRAME_HDR_LEN + RPC_MSG_MAX + RPC_PAYLOAD_MAX)

_Static_assert(sizeof(struct frame) == FRAME_HDR_LEN, "frame header size");
_Static_assert(offsetof(struct frame, seq) == 12, "frame layout");
_Static_assert(offsetof(struct frame, stamp) == 32, "frame layout");

#define FRAME_METHOD(service, index) ((uint16_t)((service) << 8 | (index)))
#define FRAME_SERVICE(method) ((method) >> 8)
#define FRAME_INDEX(method) ((method)&0xffu)

/* Bytes that a frame of @len takes on the ring. */
static inline uint32_t frame_ring_len(uint32_t len)
{
	return (len + 7u) & ~7u;
}

/* Which side received the frame that frame_check() looks at. */
enum frame_side { FRAME_AT_SERVICE, FRAME_AT_GUEST };

/* Check a header copied from the ring: exact lengths, kinds that may travel this
 * way, known flags, zero reserved fields.  Does not look at slot and seq, which
 * need the session.  Returns NULL, or a constant text that names the field. */
const char *frame_check(const struct frame *f, enum frame_side side);

/* An errno as it crosses: anything a peer sends above 4095 becomes EIO. */
static inline int frame_errno(uint32_t err)
{
	return err > 4095u ? 5 /* EIO */ : (int)err;
}

#endif /* RPC_FRAME_H */
