/* SPDX-License-Identifier: MIT */
/*
 * queue.h - the queues of the scheduler, as data structures alone: lists, the run
 * queue's order, and the heap of deadlines.
 *
 * Layer:     platform/xen.  Knows nothing of threads; runs on the host in tests.
 * Ownership: nodes are part of the caller's structures; nothing is allocated.
 * Locking:   the caller's (IF=0).
 */
#ifndef PLATFORM_XEN_QUEUE_H
#define PLATFORM_XEN_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONTAINER_OF(node, type, member)                                               \
	((type *)(void *)((char *)(node)-offsetof(type, member)))

/* ---- lists: circular, the head is a link, too ---- */

struct link {
	struct link *prev, *next; /* next NULL: in no list */
};

static inline void list_init(struct link *head)
{
	head->prev = head->next = head;
}

static inline bool list_empty(const struct link *head)
{
	return head->next == head;
}

static inline bool list_linked(const struct link *l)
{
	return l->next != NULL;
}

static inline void list_add_before(struct link *at, struct link *l)
{
	l->prev = at->prev;
	l->next = at;
	at->prev->next = l;
	at->prev = l;
}

static inline void list_remove(struct link *l)
{
	l->prev->next = l->next;
	l->next->prev = l->prev;
	l->prev = l->next = NULL;
}

/* ---- the run queue: least virtual time first, then first come first served ---- */

struct runq_node {
	struct link link; /* first */
	uint64_t vtime;   /* CPU time had, as it counts for fairness */
};

static inline struct runq_node *runq_first(struct link *q)
{
	return list_empty(q) ? NULL : (struct runq_node *)(void *)q->next;
}

static inline struct runq_node *runq_last(struct link *q)
{
	return list_empty(q) ? NULL : (struct runq_node *)(void *)q->prev;
}

void runq_add(struct link *q, struct runq_node *n);

/* ---- deadlines: a pairing heap, the earliest on top ---- */

struct heap_node {
	uint64_t at;
	struct heap_node *child; /* the first one */
	struct heap_node *next;  /* sibling */
	struct heap_node *prev;  /* sibling, or the parent of a first child */
	bool in;
};

struct heap {
	struct heap_node *top;
};

void heap_add(struct heap *h, struct heap_node *n);
void heap_remove(struct heap *h, struct heap_node *n);

#endif /* PLATFORM_XEN_QUEUE_H */
