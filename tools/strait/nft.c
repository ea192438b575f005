/* SPDX-License-Identifier: MIT */
/*
 * nft.c - masquerading, in nf_tables' own words.
 *
 * One table a protocol, with one chain and one rule:
 *
 *      chain out { type nat hook postrouting priority 100;
 *                  ip saddr SRC/PREFIX masquerade }
 *
 * made with the flag "owner": the kernel removes the table when the socket that
 * made it is closed, so it cannot outlive its process.  (Kernel 5.12.)
 */
#include "tools/strait/nl.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CHAIN "out"
#define NAT_PRIORITY 100

#ifndef NFT_TABLE_F_OWNER
#define NFT_TABLE_F_OWNER 0x2
#endif

/* Messages of one transaction, sent together. */
struct batch {
	uint32_t len, n;
	bool full;
	_Alignas(8) uint8_t buf[8192];
};

static void batch_add(struct batch *b, struct nl_req *r)
{
	struct nlmsghdr *h = (struct nlmsghdr *)(void *)r->buf;

	if (r->full || sizeof(b->buf) - b->len < r->len) {
		b->full = true;
		return;
	}
	h->nlmsg_len = r->len;
	h->nlmsg_seq = b->n++;
	memcpy(b->buf + b->len, r->buf, r->len);
	b->len += r->len;
}

static void begin(struct nl_req *r, uint16_t type, uint16_t flags, uint8_t family)
{
	struct nfgenmsg g = { .nfgen_family = family, .version = NFNETLINK_V0 };

	nl_begin(r, (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | type), flags, &g, sizeof(g));
}

static void add_mark(struct batch *b, uint16_t type)
{
	struct nl_req r;
	struct nfgenmsg g = { .res_id = htons(NFNL_SUBSYS_NFTABLES) };

	nl_begin(&r, type, 0, &g, sizeof(g));
	batch_add(b, &r);
}

static void attr_be32(struct nl_req *r, uint16_t type, uint32_t v)
{
	nl_attr_u32(r, type, htonl(v));
}

static void add_table(struct batch *b, uint8_t family, const char *name)
{
	struct nl_req r;

	begin(&r, NFT_MSG_NEWTABLE, NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK, family);
	nl_attr_str(&r, NFTA_TABLE_NAME, name);
	attr_be32(&r, NFTA_TABLE_FLAGS, NFT_TABLE_F_OWNER);
	batch_add(b, &r);
}

static void add_chain(struct batch *b, uint8_t family, const char *name)
{
	struct nl_req r;
	uint32_t hook;

	begin(&r, NFT_MSG_NEWCHAIN, NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK, family);
	nl_attr_str(&r, NFTA_CHAIN_TABLE, name);
	nl_attr_str(&r, NFTA_CHAIN_NAME, CHAIN);
	nl_attr_str(&r, NFTA_CHAIN_TYPE, "nat");
	hook = nl_nest(&r, NFTA_CHAIN_HOOK);
	attr_be32(&r, NFTA_HOOK_HOOKNUM, NF_INET_POST_ROUTING);
	attr_be32(&r, NFTA_HOOK_PRIORITY, NAT_PRIORITY);
	nl_nest_end(&r, hook);
	batch_add(b, &r);
}

/* An expression of a rule: begin; its data follows; end. */
static uint32_t expr(struct nl_req *r, const char *name, uint32_t *data)
{
	uint32_t at = nl_nest(r, NFTA_LIST_ELEM);

	nl_attr_str(r, NFTA_EXPR_NAME, name);
	*data = nl_nest(r, NFTA_EXPR_DATA);
	return at;
}

static void expr_end(struct nl_req *r, uint32_t at, uint32_t data)
{
	nl_nest_end(r, data);
	nl_nest_end(r, at);
}

static void attr_value(struct nl_req *r, uint16_t type, const void *p, uint32_t n)
{
	uint32_t at = nl_nest(r, type);

	nl_attr(r, NFTA_DATA_VALUE, p, n);
	nl_nest_end(r, at);
}

static void add_rule(struct batch *b, uint8_t family, const char *name, const uint8_t *src,
                     uint32_t len, unsigned prefix)
{
	struct nl_req r;
	uint32_t at, data, list;
	uint8_t mask[16] = { 0 }, net[16], zero[16] = { 0 };

	for (unsigned i = 0; i < len; i++) {
		unsigned bits = prefix > 8 * i ? prefix - 8 * i : 0;

		mask[i] = (uint8_t)(bits >= 8 ? 0xff : 0xff00u >> bits);
		net[i] = src[i] & mask[i];
	}
	begin(&r, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND | NLM_F_ACK, family);
	nl_attr_str(&r, NFTA_RULE_TABLE, name);
	nl_attr_str(&r, NFTA_RULE_CHAIN, CHAIN);
	list = nl_nest(&r, NFTA_RULE_EXPRESSIONS);
	at = expr(&r, "payload", &data); /* the source address ... */
	attr_be32(&r, NFTA_PAYLOAD_DREG, NFT_REG_1);
	attr_be32(&r, NFTA_PAYLOAD_BASE, NFT_PAYLOAD_NETWORK_HEADER);
	attr_be32(&r, NFTA_PAYLOAD_OFFSET, family == NFPROTO_IPV4 ? 12 : 8);
	attr_be32(&r, NFTA_PAYLOAD_LEN, len);
	expr_end(&r, at, data);
	at = expr(&r, "bitwise", &data); /* ... of our network ... */
	attr_be32(&r, NFTA_BITWISE_SREG, NFT_REG_1);
	attr_be32(&r, NFTA_BITWISE_DREG, NFT_REG_1);
	attr_be32(&r, NFTA_BITWISE_LEN, len);
	attr_value(&r, NFTA_BITWISE_MASK, mask, len);
	attr_value(&r, NFTA_BITWISE_XOR, zero, len);
	expr_end(&r, at, data);
	at = expr(&r, "cmp", &data);
	attr_be32(&r, NFTA_CMP_SREG, NFT_REG_1);
	attr_be32(&r, NFTA_CMP_OP, NFT_CMP_EQ);
	attr_value(&r, NFTA_CMP_DATA, net, len);
	expr_end(&r, at, data);
	at = expr(&r, "masq", &data); /* ... becomes the outgoing link's */
	expr_end(&r, at, data);
	nl_nest_end(&r, list);
	batch_add(b, &r);
}

static int batch_send(int sock, struct batch *b)
{
	_Alignas(8) uint8_t answer[8192];
	int acks = (int)b->n - 2; /* the marks get none */

	if (b->full)
		return -EMSGSIZE;
	if (send(sock, b->buf, b->len, 0) < 0)
		return -errno;
	while (acks > 0) {
		ssize_t n = recv(sock, answer, sizeof(answer), 0);
		struct nlmsghdr *h = (struct nlmsghdr *)(void *)answer;

		if (n < 0)
			return -errno;
		for (size_t left = (size_t)n; NLMSG_OK(h, left); h = NLMSG_NEXT(h, left)) {
			int err = h->nlmsg_type == NLMSG_ERROR
			                  ? ((struct nlmsgerr *)NLMSG_DATA(h))->error
			                  : 0;

			if (err)
				return err;
			acks--;
		}
	}
	return 0;
}

int nft_masquerade(const char *name, struct in_addr src4, unsigned prefix4,
                   const struct in6_addr *src6, unsigned prefix6)
{
	struct batch b = { .len = 0 };
	int sock = nl_open(NETLINK_NETFILTER), err;

	if (sock < 0)
		return sock;
	add_mark(&b, NFNL_MSG_BATCH_BEGIN);
	add_table(&b, NFPROTO_IPV4, name);
	add_chain(&b, NFPROTO_IPV4, name);
	add_rule(&b, NFPROTO_IPV4, name, (const uint8_t *)&src4, 4, prefix4);
	if (src6) {
		add_table(&b, NFPROTO_IPV6, name);
		add_chain(&b, NFPROTO_IPV6, name);
		add_rule(&b, NFPROTO_IPV6, name, src6->s6_addr, 16, prefix6);
	}
	add_mark(&b, NFNL_MSG_BATCH_END);
	err = batch_send(sock, &b);
	if (err) {
		close(sock);
		return err;
	}
	return sock;
}
