/* SPDX-License-Identifier: MIT */
/* user.c - copies to and from program memory. */
#include "libos/user.h"

#include <errno.h>
#include <stdint.h>

#define PAGE 4096u
/* Above any program address: a copy that would wrap around is refused here. */
#define USER_END UINT64_C(0x7ffffffff000)

static uint8_t g_zeros[PAGE]; /* never written; not const, or the file would hold it */

static bool user_range(const void *p, size_t n)
{
	return (uintptr_t)p <= USER_END && n <= USER_END - (uintptr_t)p;
}

int user_copy_in(void *to, const void *user_from, size_t n)
{
	if (!user_range(user_from, n) || plat_copy(to, user_from, n) != 0)
		return -EFAULT;
	return 0;
}

int user_copy_out(void *user_to, const void *from, size_t n)
{
	if (!user_range(user_to, n) || plat_copy(user_to, from, n) != 0)
		return -EFAULT;
	return 0;
}

long user_copy_str(char *to, const char *user_from, size_t cap)
{
	size_t n = 0;

	while (n < cap) {
		/* Up to the end of the source's page: what follows may not be there. */
		size_t part = PAGE - ((uintptr_t)(user_from + n) & (PAGE - 1));

		if (part > 64)
			part = 64;
		if (part > cap - n)
			part = cap - n;
		if (user_copy_in(to + n, user_from + n, part) != 0)
			return -EFAULT;
		for (size_t i = 0; i < part; i++)
			if (!to[n + i])
				return (long)(n + i);
		n += part;
	}
	return -ENAMETOOLONG;
}

/* ---- scattered buffers ---- */

void uio_init(struct uio *u, void *buf, size_t len)
{
	u->one.iov_base = buf;
	u->one.iov_len = len;
	u->iov = &u->one;
	u->n = 1;
	u->skip = 0;
	u->len = len;
	u->done = 0;
	u->append = false;
}

int uio_import(struct uio *u, const struct iovec *user_iov, long n, struct iovec *store,
               unsigned cap)
{
	size_t total = 0;

	if (n < 0 || n > USER_IOV_MAX || n > (long)cap)
		return -EINVAL;
	if (n && user_copy_in(store, user_iov, (size_t)n * sizeof(*store)) != 0)
		return -EFAULT;
	for (long i = 0; i < n; i++) {
		if (store[i].iov_len > (size_t)INT64_MAX - total)
			return -EINVAL;
		total += store[i].iov_len;
		if (!user_range(store[i].iov_base, store[i].iov_len))
			return -EFAULT;
	}
	u->iov = store;
	u->n = (unsigned)n;
	u->skip = 0;
	u->len = total;
	u->done = 0;
	u->append = false;
	return 0;
}

size_t uio_left(const struct uio *u)
{
	return u->len - u->done;
}

enum uio_way { UIO_OUT, UIO_IN, UIO_ZERO };

size_t uio_front(struct uio *u, void **at)
{
	while (u->n && u->iov->iov_len == u->skip) {
		u->iov++;
		u->n--;
		u->skip = 0;
	}
	if (!u->n)
		return 0;
	*at = (char *)u->iov->iov_base + u->skip;
	return u->iov->iov_len - u->skip;
}

void uio_skip(struct uio *u, size_t n)
{
	void *at;

	while (n > 0) {
		size_t part = uio_front(u, &at);

		if (part == 0)
			return;
		if (part > n)
			part = n;
		u->skip += part;
		u->done += part;
		n -= part;
	}
}

void uio_back(struct uio *u, size_t n)
{
	if (n > u->done)
		n = u->done;
	u->done -= n;
	while (n > u->skip) {
		n -= u->skip;
		u->iov--;
		u->n++;
		u->skip = u->iov->iov_len;
	}
	u->skip -= n;
}

static size_t uio_move(struct uio *u, char *buf, size_t n, enum uio_way way)
{
	size_t moved = 0;

	while (moved < n) {
		void *at;
		size_t part = uio_front(u, &at), failed;

		if (part == 0)
			break;
		if (part > n - moved)
			part = n - moved;
		if (way == UIO_ZERO && part > PAGE)
			part = PAGE;
		if (!user_range(at, part))
			break;
		if (way == UIO_IN)
			failed = plat_copy(buf + moved, at, part);
		else
			failed = plat_copy(at,
			                   way == UIO_OUT ? (const void *)(buf + moved) : g_zeros,
			                   part);
		part -= failed;
		u->skip += part;
		moved += part;
		if (failed)
			break;
	}
	u->done += moved;
	return moved;
}

size_t uio_out(struct uio *u, const void *buf, size_t n)
{
	return uio_move(u, (char *)(uintptr_t)buf, n, UIO_OUT);
}

size_t uio_in(struct uio *u, void *buf, size_t n)
{
	return uio_move(u, buf, n, UIO_IN);
}

size_t uio_out_zero(struct uio *u, size_t n)
{
	return uio_move(u, NULL, n, UIO_ZERO);
}
