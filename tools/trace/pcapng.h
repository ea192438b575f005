/* SPDX-License-Identifier: MIT */
/*
 * pcapng.h - packets out of a pcapng file, one by one.
 *
 * Knows section headers, interfaces and enhanced packets; steps over every other
 * kind of block.  The file is not trusted: each length is checked before use, and
 * what is wrong is told with its block number and offset.
 *
 * Layer:     tools.
 * Ownership: the stream is borrowed; a packet's data lives until the next call.
 * Memory:    one buffer that grows to the longest block, at most PCAPNG_BLOCK_MAX.
 */
#ifndef TOOLS_TRACE_PCAPNG_H
#define TOOLS_TRACE_PCAPNG_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define PCAPNG_BLOCK_MAX (16u << 20)
#define PCAPNG_INTERFACES_MAX 65536u

struct pcapng_interface {
	uint16_t linktype;
	uint8_t tsresol;  /* if_tsresol as in the file */
	int64_t tsoffset; /* seconds */
};

struct pcapng {
	FILE *in;
	uint64_t block;  /* number of the block last read, from 1 */
	uint64_t offset; /* where it begins */
	uint64_t next;   /* where the next one begins */
	uint8_t *buf;
	size_t room;
	struct pcapng_interface *ifs;
	uint32_t n_ifs; /* of this section */
	uint32_t room_ifs;
	char error[256]; /* after PCAPNG_BAD and PCAPNG_STOP: what and where */
};

struct pcapng_packet {
	const uint8_t *data;
	uint32_t cap_len;  /* bytes here */
	uint32_t orig_len; /* bytes there were */
	uint16_t linktype;
	uint64_t ts; /* ns since 1970 */
	uint64_t block, offset;
};

enum {
	PCAPNG_END = 0, /* the file ends after a whole block */
	PCAPNG_PACKET = 1,
	PCAPNG_BAD = -1,  /* this packet is broken; the next may be read */
	PCAPNG_STOP = -2, /* nothing more can be read */
};

void pcapng_init(struct pcapng *p, FILE *in);
void pcapng_fini(struct pcapng *p);

/* The next packet, or one of the answers above. */
int pcapng_next(struct pcapng *p, struct pcapng_packet *out)
        __attribute__((warn_unused_result));

#endif /* TOOLS_TRACE_PCAPNG_H */
