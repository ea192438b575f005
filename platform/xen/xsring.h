/* SPDX-License-Identifier: MIT */
/*
 * xsring.h - messages over the ring that a domain shares with xenstored.
 *
 * Moves bytes, cuts them into messages, checks lengths and indices; knows nothing of
 * waiting.  A broken rule of the other side breaks the ring for good.
 *
 * Layer:   platform/xen; calls nothing of Xen, so that it runs in tests.
 * Locking: the caller's (IF=0).
 */
#ifndef PLATFORM_XEN_XSRING_H
#define PLATFORM_XEN_XSRING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <xen/io/xs_wire.h>

struct xsring {
	struct xenstore_domain_interface *shared;
	uint32_t req_prod, rsp_cons; /* ours; the shared words are only written */
	const uint8_t *out;          /* messages to send, the caller's memory */
	uint32_t out_len;
	struct xsd_sockmsg in; /* the message that arrives */
	uint32_t in_got;       /* bytes of it, header and body */
	char body[XENSTORE_PAYLOAD_MAX + 1];
	bool broken;
};

void xsring_init(struct xsring *r, struct xenstore_domain_interface *shared);
/* Move what fits of `out`.  True: bytes went, xenstored wants an event. */
bool xsring_send(struct xsring *r);
/* Move what came.  True: a message is complete in `in` and `body` (NUL added), until
 * the next call.  *@notify is set when xenstored waits for room. */
bool xsring_recv(struct xsring *r, bool *notify);
/* Put a message together at @to: @n parts, joined.  Its size, or 0: too long. */
struct xspart {
	const char *s;
	size_t len;
};
size_t xsring_pack(uint8_t *to, size_t size, uint32_t type, uint32_t id,
                   const struct xspart *parts, unsigned n);
/* The length of a complete reply's body to a request of @type, or -errno: what
 * XS_ERROR names, -EIO for what is no answer to it. */
int xsring_result(const struct xsring *r, uint32_t type);
/* The token of a complete XS_WATCH_EVENT, or NULL: malformed. */
const char *xsring_token(const struct xsring *r);

#endif /* PLATFORM_XEN_XSRING_H */
