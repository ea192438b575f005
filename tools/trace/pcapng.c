/* SPDX-License-Identifier: MIT */
/*
 * A pcapng block is type, total length, body, total length again.  A block whose
 * lengths make no sense ends the reading, since nothing tells where the next one
 * begins; a block that only lies about its inside costs that packet alone.
 */
#include "tools/trace/pcapng.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_SHB 0x0a0d0d0au
#define BLOCK_IDB 1u
#define BLOCK_EPB 6u
#define MAGIC 0x1a2b3c4du
#define MAGIC_SWAPPED 0x4d3c2b1au
#define OPT_END 0u
#define OPT_IF_TSRESOL 9u
#define OPT_IF_TSOFFSET 14u
#define MIN_LEN 12u   /* type, length, length */
#define EPB_FIXED 20u /* interface, time, lengths */

static uint16_t get16(const uint8_t *b)
{
	uint16_t v;

	memcpy(&v, b, sizeof(v));
	return v;
}

static uint32_t get32(const uint8_t *b)
{
	uint32_t v;

	memcpy(&v, b, sizeof(v));
	return v;
}

void pcapng_init(struct pcapng *p, FILE *in)
{
	*p = (struct pcapng){.in = in};
}

void pcapng_fini(struct pcapng *p)
{
	free(p->buf);
	free(p->ifs);
}

static int fail(struct pcapng *p, int answer, const char *fmt, ...)
        __attribute__((format(printf, 3, 4)));

static int fail(struct pcapng *p, int answer, const char *fmt, ...)
{
	va_list ap;
	int n = snprintf(p->error, sizeof(p->error),
	                 "block %llu at offset %llu: ", (unsigned long long)p->block,
	                 (unsigned long long)p->offset);

	va_start(ap, fmt);
	(void)vsnprintf(p->error + n, sizeof(p->error) - (size_t)n, fmt, ap);
	va_end(ap);
	return answer;
}

/* Fill @want bytes at @at of the buffer; returns how many there were. */
static size_t fill(struct pcapng *p, size_t at, size_t want)
{
	if (at + want > p->room) {
		size_t room = p->room ? p->room : 4096;
		uint8_t *b;

		while (room < at + want)
			room *= 2;
		b = realloc(p->buf, room);
		if (!b)
			return 0;
		p->buf = b;
		p->room = room;
	}
	return fread(p->buf + at, 1, want, p->in);
}

static int not_pcapng(struct pcapng *p)
{
	return fail(p, PCAPNG_STOP, "this is not a pcapng file");
}

/* The byte order of a section is known only from the word behind its length. */
static int check_order(struct pcapng *p, size_t have)
{
	if (have < 12 ||
	    (get32(p->buf + 8) != MAGIC && get32(p->buf + 8) != MAGIC_SWAPPED))
		return p->block == 1 ? not_pcapng(p)
		                     : fail(p, PCAPNG_STOP,
		                            "a section header without its magic");
	if (get32(p->buf + 8) == MAGIC_SWAPPED)
		return fail(
		        p, PCAPNG_STOP,
		        "the section is big-endian; traces are little-endian, read it "
		        "where it was made or convert it with Wireshark");
	return 0;
}

/* Read one whole block into the buffer: its total length, 0 at the end, or STOP. */
static int64_t read_block(struct pcapng *p)
{
	size_t have;
	uint32_t len;

	p->offset = p->next;
	have = fill(p, 0, MIN_LEN);
	if (have == 0 && !ferror(p->in) && p->block > 0)
		return 0;
	p->block++;
	if (have == 0 && !ferror(p->in))
		return fail(p, PCAPNG_STOP, "the file is empty");
	if (ferror(p->in))
		return fail(p, PCAPNG_STOP, "cannot be read: %m");
	if (p->block == 1 && (have < 4 || get32(p->buf) != BLOCK_SHB))
		return not_pcapng(p);
	if (have < MIN_LEN)
		return fail(p, PCAPNG_STOP, "the file ends %zu bytes into a block",
		            have);
	if (get32(p->buf) == BLOCK_SHB && check_order(p, have) < 0)
		return PCAPNG_STOP;
	len = get32(p->buf + 4);
	if (len < MIN_LEN || len % 4 != 0 || len > PCAPNG_BLOCK_MAX)
		return fail(p, PCAPNG_STOP, "a block cannot be %u bytes long", len);
	have += fill(p, MIN_LEN, len - MIN_LEN);
	if (have < len)
		return fail(p, PCAPNG_STOP,
		            "the file ends %zu bytes into a block of %u", have, len);
	if (get32(p->buf + len - 4) != len)
		return fail(p, PCAPNG_STOP,
		            "the block's two lengths differ (%u and %u)", len,
		            get32(p->buf + len - 4));
	p->next = p->offset + len;
	return len;
}

static bool room_for_interface(struct pcapng *p)
{
	struct pcapng_interface *ifs;
	const uint32_t room = p->room_ifs ? p->room_ifs * 2 : 8;

	if (p->n_ifs < p->room_ifs)
		return true;
	ifs = p->n_ifs < PCAPNG_INTERFACES_MAX ? realloc(p->ifs, room * sizeof(*ifs))
	                                       : NULL;
	if (!ifs)
		return false;
	p->ifs = ifs;
	p->room_ifs = room;
	return true;
}

static void read_options(struct pcapng_interface *i, const uint8_t *b, size_t n)
{
	while (n >= 4) {
		const uint16_t code = get16(b), len = get16(b + 2);
		const size_t whole = 4u + ((len + 3u) & ~3u);

		if (code == OPT_END || whole > n)
			return;
		if (code == OPT_IF_TSRESOL && len == 1)
			i->tsresol = b[4];
		else if (code == OPT_IF_TSOFFSET && len == 8)
			memcpy(&i->tsoffset, b + 4, 8);
		b += whole;
		n -= whole;
	}
}

static int read_interface(struct pcapng *p, uint32_t len)
{
	struct pcapng_interface i = {.tsresol = 6};

	if (len < MIN_LEN + 8)
		return fail(p, PCAPNG_STOP, "an interface block of %u bytes", len);
	if (!room_for_interface(p))
		return fail(p, PCAPNG_STOP, "too many interfaces");
	i.linktype = get16(p->buf + 8);
	read_options(&i, p->buf + 16, len - MIN_LEN - 8);
	p->ifs[p->n_ifs++] = i;
	return 0;
}

static uint64_t to_ns(uint64_t t, const struct pcapng_interface *i)
{
	const uint64_t off = (uint64_t)i->tsoffset * 1000000000u;
	unsigned exp = i->tsresol & 0x7fu;

	if (i->tsresol & 0x80u) {
		const unsigned __int128 ns = (unsigned __int128)t * 1000000000u;

		return (uint64_t)(ns >> exp) + off;
	}
	for (; exp < 9; exp++)
		t *= 10;
	for (; exp > 9 && t; exp--)
		t /= 10;
	return t + off;
}

static int read_packet(struct pcapng *p, uint32_t len, struct pcapng_packet *out)
{
	const uint8_t *b = p->buf + 8;
	const struct pcapng_interface *i;

	if (len < MIN_LEN + EPB_FIXED)
		return fail(p, PCAPNG_BAD, "a packet block of %u bytes", len);
	if (get32(b) >= p->n_ifs)
		return fail(p, PCAPNG_BAD, "interface %u was not announced", get32(b));
	i = &p->ifs[get32(b)];
	*out = (struct pcapng_packet){
	        .data = b + EPB_FIXED,
	        .cap_len = get32(b + 12),
	        .orig_len = get32(b + 16),
	        .linktype = i->linktype,
	        .ts = to_ns((uint64_t)get32(b + 4) << 32 | get32(b + 8), i),
	        .block = p->block,
	        .offset = p->offset,
	};
	if (out->cap_len > len - MIN_LEN - EPB_FIXED)
		return fail(p, PCAPNG_BAD, "%u bytes of packet in a block of %u",
		            out->cap_len, len);
	return PCAPNG_PACKET;
}

int pcapng_next(struct pcapng *p, struct pcapng_packet *out)
{
	for (;;) {
		const int64_t len = read_block(p);
		int r = 0;

		if (len <= 0)
			return (int)len;
		switch (get32(p->buf)) {
		case BLOCK_SHB:
			p->n_ifs = 0;
			break;
		case BLOCK_IDB:
			r = read_interface(p, (uint32_t)len);
			break;
		case BLOCK_EPB:
			return read_packet(p, (uint32_t)len, out);
		default:
			break;
		}
		if (r < 0)
			return r;
	}
}
