/* SPDX-License-Identifier: MIT */
/*
 * random.c - getrandom(2), from the platform's generator: always ready.
 */
#include "libos/syscall.h"
#include "libos/thread.h"
#include "libos/user.h"

#include <errno.h>
#include <limits.h>
#include <sys/random.h>

#define INSECURE 4u /* GRND_INSECURE */
#define BLOCK 256u

SYSCALL(getrandom, void *user_buf, size_t len, unsigned long flags_arg)
{
	uint32_t flags = (uint32_t)flags_arg;
	uint8_t block[BLOCK];
	size_t done = 0;

	if (flags & ~(GRND_NONBLOCK | GRND_RANDOM | INSECURE))
		return -EINVAL;
	if ((flags & (GRND_RANDOM | INSECURE)) == (GRND_RANDOM | INSECURE))
		return -EINVAL;
	if (len > INT_MAX)
		len = INT_MAX;
	while (done < len) {
		size_t n = len - done < BLOCK ? len - done : BLOCK;

		plat_random(block, n);
		if (user_copy_out((uint8_t *)user_buf + done, block, n) != 0)
			return done > 0 ? (long)done : -EFAULT;
		done += n;
		/* a large request may be cut short, between blocks */
		if ((done & 0xffff) == 0 && done < len && thread_interrupted())
			break;
	}
	return (long)done;
}
