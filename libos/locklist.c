/* SPDX-License-Identifier: MIT */
/* locklist.c - see locklist.h. */
#include "libos/locklist.h"

#include "libos/pool.h"

#include <errno.h>
#include <fcntl.h>

static struct pool g_ranges = POOL_INIT(struct lock_range, LOCKLIST_MAX);

int locklist_spares(struct lock_spares *s)
{
	s->at[0] = pool_get(&g_ranges);
	s->at[1] = s->at[0] ? pool_get(&g_ranges) : NULL;
	if (s->at[1])
		return 0;
	locklist_unspare(s);
	return -ENOLCK;
}

void locklist_unspare(struct lock_spares *s)
{
	for (int i = 0; i < 2; i++) {
		if (s->at[i])
			pool_put(&g_ranges, s->at[i]);
		s->at[i] = NULL;
	}
}

/* One range is cut in two at most, one is added: never more than were taken. */
static struct lock_range *take_spare(struct lock_spares *s)
{
	struct lock_range *r = s->at[0] ? s->at[0] : s->at[1];

	if (r == s->at[0])
		s->at[0] = NULL;
	else
		s->at[1] = NULL;
	return r;
}

/* Take [start, end] out of @r, which overlaps it.  False: nothing of @r is left. */
static bool cut(struct lock_range *r, uint64_t start, uint64_t end, struct lock_spares *s)
{
	if (r->start < start && r->end > end) {
		struct lock_range *tail = take_spare(s);

		*tail = *r;
		tail->start = end + 1;
		r->next = tail;
		r->end = start - 1;
	} else if (r->start < start) {
		r->end = start - 1;
	} else if (r->end > end) {
		r->start = end + 1;
	} else {
		return false;
	}
	return true;
}

static void insert(struct lock_range **list, const struct lock_range *want,
                   struct lock_spares *s)
{
	struct lock_range **at = list, *r = take_spare(s);

	while (*at && (*at)->start < want->start)
		at = &(*at)->next;
	*r = *want;
	r->next = *at;
	*at = r;
}

static void join_neighbours(struct lock_range *r)
{
	while (r && r->next) {
		struct lock_range *n = r->next;

		if (n->type != r->type || n->handle != r->handle || n->start != r->end + 1) {
			r = n;
			continue;
		}
		r->end = n->end;
		r->next = n->next;
		pool_put(&g_ranges, n);
	}
}

void locklist_set(struct lock_range **list, const struct lock_range *want,
                  struct lock_spares *s)
{
	struct lock_range **at = list;

	while (*at) {
		struct lock_range *r = *at;

		if (r->start > want->end || r->end < want->start ||
		    cut(r, want->start, want->end, s)) {
			at = &r->next;
			continue;
		}
		*at = r->next;
		pool_put(&g_ranges, r);
	}
	if (want->type != F_UNLCK)
		insert(list, want, s);
	join_neighbours(*list);
}

void locklist_clear(struct lock_range **list)
{
	while (*list) {
		struct lock_range *r = *list;

		*list = r->next;
		pool_put(&g_ranges, r);
	}
}
