/* SPDX-License-Identifier: MIT */
/* fixup.c - the ranges of copy_x86_64.S that may fault. */
#include "platform/fixup.h"

extern const char plat_copy_small[], plat_copy_small_end[], plat_copy_rep[],
        plat_copy_rep_end[], plat_word_begin[], plat_word_end[];

/* A fault at [begin, end) continues at end. */
static const struct {
	const char *begin, *end;
} g_fixups[] = {
        {plat_copy_small, plat_copy_small_end},
        {plat_copy_rep, plat_copy_rep_end},
        {plat_word_begin, plat_word_end},
};

bool fixup_apply(uint64_t *rip)
{
	for (unsigned i = 0; i < sizeof(g_fixups) / sizeof(g_fixups[0]); i++)
		if (*rip >= (uintptr_t)g_fixups[i].begin &&
		    *rip < (uintptr_t)g_fixups[i].end) {
			*rip = (uintptr_t)g_fixups[i].end;
			return true;
		}
	return false;
}
