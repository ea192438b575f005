/* SPDX-License-Identifier: MIT */
#include "tools/trace/scan.h"

#include <string.h>

static void note_bad(struct scan *s, const char *where)
{
	if (s->bad++ == 0)
		(void)snprintf(s->first_bad, sizeof(s->first_bad), "%s", where);
}

static void take(struct scan *s, struct pair *p, const struct pcapng_packet *pkt)
{
	struct record r;
	const char *why;
	char where[256];

	if (pkt->linktype != TRACE_LINKTYPE) {
		s->others++;
		return;
	}
	why = record_parse(&r, pkt);
	if (!why) {
		/* two services write by turns: the file is only nearly in order */
		if (!s->frames || r.ts < s->first)
			s->first = r.ts;
		if (r.ts > s->last)
			s->last = r.ts;
		s->frames++;
		why = pair_feed(p, &r);
	}
	if (why) {
		(void)snprintf(where, sizeof(where), "block %llu at offset %llu: %s",
		               (unsigned long long)pkt->block,
		               (unsigned long long)pkt->offset, why);
		note_bad(s, where);
	}
}

bool scan_file(FILE *in, struct pair *p, struct scan *s)
{
	struct pcapng file;
	struct pcapng_packet pkt;
	int r;
	bool any;

	*s = (struct scan){0};
	pcapng_init(&file, in);
	while ((r = pcapng_next(&file, &pkt)) != PCAPNG_END && r != PCAPNG_STOP) {
		if (r == PCAPNG_PACKET)
			take(s, p, &pkt);
		else
			note_bad(s, file.error);
	}
	s->stopped = r == PCAPNG_STOP;
	memcpy(s->stop, file.error, sizeof(s->stop));
	any = !s->stopped || file.next > 0;
	pcapng_fini(&file);
	pair_end(p);
	return any;
}
