/* SPDX-License-Identifier: MIT */
/* fuzz_xen_ldisc - any keys, settings and reads on the terminal of the PV console. */
#include "platform/xen/ldisc.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void echo(char c)
{
	(void)c;
}

static void sent(int sig)
{
	if (sig != 2 && sig != 3)
		abort();
}

static void check(const struct ldisc *l)
{
	const uint32_t used = l->tail - l->head, ready = l->ready - l->head;

	if (used > LDISC_SIZE || ready > used || ldisc_count(l) > ready)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ldisc *l = malloc(sizeof(*l));
	struct ldisc_termios t;
	char to[64];

	if (!l)
		return 0;
	ldisc_init(l, echo, sent);
	for (size_t i = 0; i < size; i++) {
		const uint8_t c = data[i];

		if (c == 0xfe && size - i > sizeof(t)) { /* settings follow */
			memcpy(&t, data + i + 1, sizeof(t));
			ldisc_set(l, &t, data[i + sizeof(t)] & 1);
			i += sizeof(t);
		} else if (c == 0xfd) {
			const size_t n = i + 1 < size ? data[i + 1] % sizeof(to) : 0;
			const long r = ldisc_read(l, to, n);

			if (r > (long)n)
				abort();
		} else if (!ldisc_full(l)) {
			ldisc_input(l, c);
		}
		check(l);
	}
	free(l);
	return 0;
}
