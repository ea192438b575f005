/* SPDX-License-Identifier: MIT */
#include "rpc/frame.h"

static const char *check_kind(const struct frame *f, enum frame_side side)
{
	switch (f->kind) {
	case FRAME_CALL:
	case FRAME_POST:
	case FRAME_CREDIT:
		if (side != FRAME_AT_SERVICE)
			return "kind: only a guest sends it";
		break;
	case FRAME_REPLY:
	case FRAME_EVENT:
		if (side != FRAME_AT_GUEST)
			return "kind: only a service sends it";
		break;
	default:
		return "kind: unknown";
	}
	return NULL;
}

const char *frame_check(const struct frame *f, enum frame_side side)
{
	const char *bad = check_kind(f, side);

	if (bad)
		return bad;
	if (f->flags & ~FRAME_F_KNOWN)
		return "flags: unknown bit";
	if ((f->flags & FRAME_F_REPLAY) && f->kind != FRAME_CALL)
		return "flags: only a call is sent again";
	if (f->reserved != 0)
		return "reserved: not zero";
	if (f->msg_len > (side == FRAME_AT_GUEST ? RPC_REPLY_MSG_MAX : RPC_MSG_MAX))
		return "msg_len: too long";
	if (f->payload_len > RPC_PAYLOAD_MAX)
		return "payload_len: too long";
	if (f->len != FRAME_HDR_LEN + f->msg_len + f->payload_len)
		return "len: not header + message + payload";
	if (f->kind == FRAME_CREDIT && f->len != FRAME_HDR_LEN)
		return "len: a credit frame is a header only";
	if (f->slot != 0 && f->kind != FRAME_CALL && f->kind != FRAME_REPLY)
		return "slot: not zero";
	if (f->err != 0 && f->kind != FRAME_REPLY)
		return "err: not zero";
	if (side == FRAME_AT_GUEST && f->credit != 0)
		return "credit: only a guest returns it";
	return NULL;
}
