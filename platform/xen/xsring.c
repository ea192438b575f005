/* SPDX-License-Identifier: MIT */
/*
 * xsring.c - see xsring.h.
 *
 * Free-running indices; each side writes its own two.  What the other side writes is
 * read once and must lie within a ring's size of ours.
 */
#include "platform/xen/xsring.h"

#include <errno.h>

#define HEAD ((uint32_t)sizeof(struct xsd_sockmsg))

static void copy(void *to, const void *from, size_t n)
{
	__builtin_memcpy(to, from, n);
}

void xsring_init(struct xsring *r, struct xenstore_domain_interface *shared)
{
	r->shared = shared;
	r->req_prod = __atomic_load_n(&shared->req_prod, __ATOMIC_RELAXED);
	r->rsp_cons = __atomic_load_n(&shared->rsp_cons, __ATOMIC_RELAXED);
	r->out_len = 0;
	r->in_got = 0;
	r->broken = false;
}

bool xsring_send(struct xsring *r)
{
	struct xenstore_domain_interface *s = r->shared;
	bool sent = false;

	while (r->out_len && !r->broken) {
		const uint32_t cons = __atomic_load_n(&s->req_cons, __ATOMIC_ACQUIRE);
		const uint32_t used = r->req_prod - cons;
		const uint32_t at = MASK_XENSTORE_IDX(r->req_prod);
		uint32_t n = XENSTORE_RING_SIZE - at;

		if (used > XENSTORE_RING_SIZE) {
			r->broken = true;
			break;
		}
		if (n > XENSTORE_RING_SIZE - used)
			n = XENSTORE_RING_SIZE - used;
		if (n > r->out_len)
			n = r->out_len;
		if (n == 0)
			break;
		copy(s->req + at, r->out, n);
		r->out += n;
		r->out_len -= n;
		r->req_prod += n;
		__atomic_store_n(&s->req_prod, r->req_prod, __ATOMIC_SEQ_CST);
		sent = true;
	}
	return sent;
}

/* Where the next byte of the message goes, and how many there are to come. */
static uint32_t wanted(struct xsring *r, uint8_t **to)
{
	if (r->in_got < HEAD) {
		*to = (uint8_t *)&r->in + r->in_got;
		return HEAD - r->in_got;
	}
	*to = (uint8_t *)r->body + (r->in_got - HEAD);
	return HEAD + r->in.len - r->in_got;
}

static bool complete(struct xsring *r)
{
	if (r->in_got < HEAD)
		return false;
	if (r->in.len > XENSTORE_PAYLOAD_MAX) {
		r->broken = true;
		return false;
	}
	if (r->in_got < HEAD + r->in.len)
		return false;
	r->body[r->in.len] = '\0';
	return true;
}

/* Take what is there of the message: false when there is nothing. */
static bool take(struct xsring *r, bool *notify)
{
	struct xenstore_domain_interface *s = r->shared;
	const uint32_t prod = __atomic_load_n(&s->rsp_prod, __ATOMIC_ACQUIRE);
	const uint32_t ready = prod - r->rsp_cons;
	const uint32_t old = r->rsp_cons;
	uint8_t *to;
	uint32_t n = wanted(r, &to);

	if (ready > XENSTORE_RING_SIZE)
		r->broken = true;
	if (ready == 0 || r->broken)
		return false;
	if (n > ready)
		n = ready;
	for (uint32_t i = 0; i < n; i++)
		to[i] = (uint8_t)s->rsp[MASK_XENSTORE_IDX(old + i)];
	r->in_got += n;
	r->rsp_cons += n;
	__atomic_store_n(&s->rsp_cons, r->rsp_cons, __ATOMIC_SEQ_CST);
	/* Full before we took: xenstored may wait, whenever it became so. */
	if (__atomic_load_n(&s->rsp_prod, __ATOMIC_SEQ_CST) - old >= XENSTORE_RING_SIZE)
		*notify = true;
	return true;
}

bool xsring_recv(struct xsring *r, bool *notify)
{
	if (r->broken)
		return false;
	if (complete(r))
		r->in_got = 0; /* the one that was given before */
	while (!complete(r))
		if (r->broken || !take(r, notify))
			return false;
	return true;
}

size_t xsring_pack(uint8_t *to, size_t size, uint32_t type, uint32_t id,
                   const struct xspart *parts, unsigned n)
{
	struct xsd_sockmsg m = {.type = type, .req_id = id};
	size_t len = 0;

	for (unsigned i = 0; i < n; i++)
		len += parts[i].len;
	if (len > XENSTORE_PAYLOAD_MAX || HEAD + len > size)
		return 0;
	m.len = (uint32_t)len;
	copy(to, &m, HEAD);
	to += HEAD;
	for (unsigned i = 0; i < n; i++) {
		copy(to, parts[i].s, parts[i].len);
		to += parts[i].len;
	}
	return HEAD + len;
}

static const struct {
	const char *name;
	int err;
} g_errors[] = {
        {"EINVAL", EINVAL}, {"EACCES", EACCES},   {"EEXIST", EEXIST},
        {"EISDIR", EISDIR}, {"ENOENT", ENOENT},   {"ENOMEM", ENOMEM},
        {"ENOSPC", ENOSPC}, {"EIO", EIO},         {"ENOTEMPTY", ENOTEMPTY},
        {"ENOSYS", ENOSYS}, {"EROFS", EROFS},     {"EBUSY", EBUSY},
        {"EAGAIN", EAGAIN}, {"EISCONN", EISCONN}, {"E2BIG", E2BIG},
        {"EPERM", EPERM},
};

static bool equal(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	return *a == *b;
}

int xsring_result(const struct xsring *r, uint32_t type)
{
	if (r->in.type == type)
		return (int)r->in.len;
	if (r->in.type != XS_ERROR)
		return -EIO;
	for (size_t i = 0; i < sizeof(g_errors) / sizeof(g_errors[0]); i++)
		if (equal(r->body, g_errors[i].name))
			return -g_errors[i].err;
	return -EIO;
}

const char *xsring_token(const struct xsring *r)
{
	uint32_t i = 0;

	/* path NUL token NUL */
	while (i < r->in.len && r->body[i])
		i++;
	return i + 1 < r->in.len && r->body[r->in.len - 1] == '\0' ? r->body + i + 1
	                                                           : NULL;
}
