/* SPDX-License-Identifier: MIT */
/*
 * fuzz_xen_xsring - a xenstored that does anything with the ring it shares.
 *
 * The input is a list of the daemon's acts: two bytes of what and how much, then bytes
 * for the answer ring or a new index.
 */
#include "platform/xen/xsring.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct xenstore_domain_interface g_shared;

static void act(const uint8_t *data, size_t n, uint8_t what)
{
	uint32_t v = 0;

	memcpy(&v, data, n < 4 ? n : 4);
	switch (what % 8) {
	case 0:
		g_shared.rsp_prod = v;
		break;
	case 1:
		g_shared.req_cons = v;
		break;
	case 2:
		g_shared.req_cons = g_shared.req_prod;
		break;
	case 3: /* indices of ours, which nobody is to read back */
		g_shared.rsp_cons = g_shared.req_prod = v;
		break;
	default:
		for (size_t i = 0; i < n; i++)
			g_shared.rsp[MASK_XENSTORE_IDX(g_shared.rsp_prod + i)] =
			        (char)data[i];
		g_shared.rsp_prod += (uint32_t)n;
	}
}

static void use(struct xsring *r)
{
	const char *token;

	if (r->in.len > XENSTORE_PAYLOAD_MAX || r->body[r->in.len])
		abort();
	if (xsring_result(r, XS_READ) > XENSTORE_PAYLOAD_MAX)
		abort();
	token = xsring_token(r);
	if (token && strlen(token) >= r->in.len)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t out[1500];
	struct xsring *r = malloc(sizeof(*r)); /* fenced by the sanitizer */
	bool notify = false;

	if (!r)
		return 0;
	memset(&g_shared, 0, sizeof(g_shared));
	xsring_init(r, &g_shared);
	while (size >= 2) {
		size_t n = data[1];

		n = n > size - 2 ? size - 2 : n;
		act(data + 2, n, data[0]);
		data += 2 + n;
		size -= 2 + n;
		if (!r->out_len) {
			r->out = out;
			r->out_len = sizeof(out);
		}
		(void)xsring_send(r);
		for (int i = 0; i < 100 && xsring_recv(r, &notify); i++)
			use(r);
	}
	free(r);
	return 0;
}
