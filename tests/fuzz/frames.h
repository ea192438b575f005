/* SPDX-License-Identifier: MIT */
/*
 * frames.h - how both frame fuzzers turn their input into ring bytes.
 *
 * The input is records.  The first byte of each says how much of the frame is put
 * right before it is written, so that the fuzzer reaches both the header checks
 * and what is behind them:
 *     0..63     raw: the next 48 bytes are the header as they are
 *     64..255   shaped: kind, method, slot, lengths from the input, but exact
 *               lengths and the next sequence number
 * then message and payload follow.
 */
#ifndef TESTS_FUZZ_FRAMES_H
#define TESTS_FUZZ_FRAMES_H

#include "rpc/frame.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct input {
	const uint8_t *p;
	size_t left;
};

static inline size_t input_take(struct input *in, void *to, size_t n)
{
	const size_t k = n < in->left ? n : in->left;

	memset(to, 0, n);
	memcpy(to, in->p, k);
	in->p += k;
	in->left -= k;
	return k;
}

struct shape {
	uint8_t kind, service, index, slot;
	uint16_t msg_len, payload_len;
	uint32_t err;
};

/* Build the next frame in @out (FRAME_LEN_MAX bytes); its bytes on the ring, 0 at
 * the end.  @seq gives the right sequence number of a shaped frame. */
static inline uint32_t input_frame(struct input *in, uint8_t *out,
                                   uint32_t (*seq)(const struct frame *))
{
	struct frame f;
	struct shape s;
	uint8_t how;

	if (in->left == 0)
		return 0;
	input_take(in, &how, 1);
	if (how < 64) {
		input_take(in, &f, sizeof(f));
		const uint32_t body = f.len > FRAME_HDR_LEN && f.len <= FRAME_LEN_MAX
		                              ? f.len - FRAME_HDR_LEN
		                              : 0;
		memcpy(out, &f, sizeof(f));
		input_take(in, out + sizeof(f), body);
		return frame_ring_len(FRAME_HDR_LEN + body);
	}
	input_take(in, &s, sizeof(s));
	f = (struct frame){.kind = s.kind % 6,
	                   .flags = how & 3,
	                   .method = FRAME_METHOD(s.service % 3, s.index),
	                   .slot = s.slot % 64,
	                   .msg_len = s.msg_len % (RPC_MSG_MAX + 1),
	                   .payload_len = s.payload_len,
	                   .err = s.err};
	if (f.kind != FRAME_CALL && f.kind != FRAME_REPLY)
		f.slot = 0;
	if (f.kind != FRAME_REPLY)
		f.err = 0;
	if (f.kind == FRAME_CREDIT)
		f.msg_len = 0, f.payload_len = 0;
	f.len = FRAME_HDR_LEN + f.msg_len + f.payload_len;
	f.seq = seq(&f);
	memcpy(out, &f, sizeof(f));
	input_take(in, out + sizeof(f), f.msg_len + f.payload_len);
	return frame_ring_len(f.len);
}

#endif /* TESTS_FUZZ_FRAMES_H */
