/* SPDX-License-Identifier: MIT */
/*
 * netd_channel.h - the events' half of a channel, for netd's fuzzers: what is pushed
 * must be readable and spends the credit.  Included once a program.
 */
#ifndef TESTS_FUZZ_NETD_CHANNEL_H
#define TESTS_FUZZ_NETD_CHANNEL_H

#include "services/netd/netd.h"

#include <stdlib.h>

static uint32_t g_credit;

uint32_t rpc_event_credit(const struct rpc_conn *c)
{
	(void)c;
	return g_credit;
}

int rpc_event(struct rpc_conn *c, unsigned index, const ProtobufCMessage *msg,
              const struct iovec *payload, int n_payload)
{
	size_t cost = FRAME_HDR_LEN + protobuf_c_message_get_packed_size(msg);
	static volatile uint8_t sum;

	(void)c;
	if (index < EV_DATA || index > EV_ERROR)
		abort();
	for (int i = 0; i < n_payload; i++) {
		const uint8_t *b = payload[i].iov_base;

		cost += payload[i].iov_len;
		for (size_t k = 0; k < payload[i].iov_len; k++)
			sum = (uint8_t)(sum + b[k]); /* readable to the last byte */
	}
	if (cost > g_credit)
		return -11; /* EAGAIN */
	g_credit -= (uint32_t)cost;
	return 0;
}

#endif /* TESTS_FUZZ_NETD_CHANNEL_H */
