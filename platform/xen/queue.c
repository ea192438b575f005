/* SPDX-License-Identifier: MIT */
/* queue.c - the order of the run queue, and the heap of deadlines. */
#include "platform/xen/queue.h"

/* From the end: a thread that used its slice belongs there, and queues are short. */
void runq_add(struct link *q, struct runq_node *n)
{
	struct link *at = q;

	while (at->prev != q &&
	       ((struct runq_node *)(void *)at->prev)->vtime > n->vtime)
		at = at->prev;
	list_add_before(at, &n->link);
}

/* One heap of two; either may be NULL. */
static struct heap_node *meld(struct heap_node *a, struct heap_node *b)
{
	struct heap_node *t;

	if (!a)
		return b;
	if (!b)
		return a;
	if (b->at < a->at) {
		t = a;
		a = b;
		b = t;
	}
	b->prev = a;
	b->next = a->child;
	if (b->next)
		b->next->prev = b;
	a->child = b;
	return a;
}

/* The children of a node that goes, as one heap: in pairs, then from the last. */
static struct heap_node *meld_children(struct heap_node *first)
{
	struct heap_node *pairs = NULL, *all = NULL, *next;

	while (first) {
		struct heap_node *a = first, *b = a->next;

		next = b ? b->next : NULL;
		a->next = a->prev = NULL;
		if (b)
			b->next = b->prev = NULL;
		a = meld(a, b);
		a->next = pairs;
		pairs = a;
		first = next;
	}
	for (; pairs; pairs = next) {
		next = pairs->next;
		pairs->next = NULL;
		all = meld(all, pairs);
	}
	return all;
}

void heap_add(struct heap *h, struct heap_node *n)
{
	n->child = n->next = n->prev = NULL;
	n->in = true;
	h->top = meld(h->top, n);
}

void heap_remove(struct heap *h, struct heap_node *n)
{
	struct heap_node *rest;

	if (!n->in)
		return;
	rest = meld_children(n->child);
	if (n == h->top) {
		h->top = rest;
	} else {
		if (n->prev->child == n)
			n->prev->child = n->next;
		else
			n->prev->next = n->next;
		if (n->next)
			n->next->prev = n->prev;
		h->top = meld(h->top, rest);
	}
	n->child = n->next = n->prev = NULL;
	n->in = false;
}
