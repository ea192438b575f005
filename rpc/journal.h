/* SPDX-License-Identifier: MIT */
/*
 * journal.h - what a service notes of a call that must not be done twice.
 *
 * One entry a slot, in the channel's control page: memory of the guest's, so it
 * survives the service's end at any instruction.  The service writes INTENT (how
 * to tell later whether it was done) before the change and DONE (the answer) after
 * it, the mark last.  When another instance takes over, the guest carries the
 * entries of its calls in flight to the new page; there they are the guest's
 * claim, good for its own call alone.
 *
 * Layer:  rpc.  Freestanding.
 * Memory: at JOURNAL_OFFSET of the control page, behind libxenvchan's grants (so
 *         only rings of JOURNAL_ORDER_MAX at most have one), before Strait's area.
 */
#ifndef RPC_JOURNAL_H
#define RPC_JOURNAL_H

#include "rpc/limits.h"
#include "vchan/vchan.h"

#include <stdint.h>

enum journal_mark { JOURNAL_NONE, JOURNAL_INTENT, JOURNAL_DONE };

struct journal_entry {
	_Atomic uint32_t mark; /* enum journal_mark; written last */
	uint32_t seq;          /* of the call */
	uint32_t kind;         /* the service's own */
	uint32_t err;          /* DONE: 0 or errno */
	uint64_t a, b, c, d;   /* the service's own */
};

#define JOURNAL_OFFSET 768u
#define JOURNAL_ORDER_MAX 18u

_Static_assert(sizeof(struct journal_entry) == 48, "journal layout");
_Static_assert(JOURNAL_OFFSET + RPC_SLOTS_MAX * sizeof(struct journal_entry) <=
                       VCHAN_STRAIT_OFFSET,
               "journal and Strait's area");
_Static_assert(24u + 4u * (2u << (JOURNAL_ORDER_MAX - 12u)) <= JOURNAL_OFFSET,
               "journal and libxenvchan's grants");

#endif /* RPC_JOURNAL_H */
