/* SPDX-License-Identifier: MIT */
/* See netd_net.h. */
#include "netd_net.h"

const struct setting *g_set;
uint64_t g_bulk;

/* Byte i of every stream: a table of prime length, so that a run of bytes lost,
 * doubled or moved shows. */
#define PERIOD 1000003u
static uint8_t g_pattern[PERIOD];

void pattern_init(void)
{
	uint64_t x = 88172645463325252ull;

	for (uint32_t i = 0; i < PERIOD; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		g_pattern[i] = (uint8_t)(x >> 32);
	}
}

static uint64_t run_at(uint64_t at, uint64_t n)
{
	const uint64_t left = PERIOD - at % PERIOD;

	return n < left ? n : left;
}

void fill(uint8_t *to, uint64_t at, uint64_t n)
{
	while (n > 0) {
		const uint64_t k = run_at(at, n);

		memcpy(to, g_pattern + at % PERIOD, k);
		to += k;
		at += k;
		n -= k;
	}
}

bool same(const uint8_t *b, uint64_t at, uint64_t n)
{
	while (n > 0) {
		const uint64_t k = run_at(at, n);

		if (memcmp(b, g_pattern + at % PERIOD, k) != 0)
			return false;
		b += k;
		at += k;
		n -= k;
	}
	return true;
}

double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* ---- the kernel's side: a thread with blocking sockets ---- */

socklen_t sa_make(const char *ip, uint16_t port, struct sockaddr_storage *ss)
{
	struct sockaddr_in *a = (void *)ss;
	struct sockaddr_in6 *a6 = (void *)ss;

	memset(ss, 0, sizeof(*ss));
	if (inet_pton(AF_INET, ip, &a->sin_addr) == 1) {
		a->sin_family = AF_INET;
		a->sin_port = htons(port);
		return sizeof(*a);
	}
	(void)inet_pton(AF_INET6, ip, &a6->sin6_addr);
	a6->sin6_family = AF_INET6;
	a6->sin6_port = htons(port);
	return sizeof(*a6);
}

int kernel_connect(const char *ip, uint16_t port)
{
	struct sockaddr_storage ss;
	const socklen_t len = sa_make(ip, port, &ss);
	const int fd = socket(ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const struct timeval tv = {30, 0};

	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
	if (connect(fd, (struct sockaddr *)&ss, len) < 0) {
		const int e = errno;

		close(fd);
		return -e;
	}
	return fd;
}

int kernel_listen(const char *ip, uint16_t *port)
{
	struct sockaddr_storage ss;
	socklen_t len = sa_make(ip, 0, &ss);
	const int fd = socket(ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (bind(fd, (struct sockaddr *)&ss, len) < 0 || listen(fd, 64) < 0)
		return -1;
	(void)getsockname(fd, (struct sockaddr *)&ss, &len);
	*port = ntohs(((struct sockaddr_in *)(void *)&ss)->sin_port);
	return fd;
}

bool kernel_write(int fd, const void *b, size_t n)
{
	size_t done = 0;

	while (done < n) {
		const ssize_t w = send(fd, (const char *)b + done, n - done, MSG_NOSIGNAL);

		if (w <= 0)
			return false;
		done += (size_t)w;
	}
	return true;
}

bool kernel_read(int fd, void *b, size_t n)
{
	size_t done = 0;

	while (done < n) {
		const ssize_t r = recv(fd, (char *)b + done, n - done, 0);

		if (r <= 0)
			return false;
		done += (size_t)r;
	}
	return true;
}

void peer_start(struct peer *p, void *(*fn)(void *))
{
	CU_ASSERT_FATAL(pthread_create(&p->thread, NULL, fn, p) == 0);
}

struct joiner {
	pthread_t thread;
};

static bool joined(void *arg)
{
	struct joiner *j = arg;

	return pthread_tryjoin_np(j->thread, NULL) == 0;
}

/* Join while events are served. */
void peer_join(struct peer *p)
{
	struct joiner j = {p->thread};

	CU_ASSERT_FATAL(ng_until(joined, &j, 90000));
}

int server(int domain, const char *ip, uint16_t *port, unsigned backlog)
{
	const int l = ng_socket(domain, SOCK_STREAM, 0);

	CU_ASSERT_FATAL(l > 0);
	CU_ASSERT_EQUAL(ng_setint(l, SOL_SOCKET, SO_REUSEADDR, 1), 0);
	CU_ASSERT_EQUAL_FATAL(ng_bind(l, ip, *port), 0);
	CU_ASSERT_EQUAL_FATAL(ng_listen(l, backlog, backlog), 0);
	*port = g_ng[l].local_port;
	CU_ASSERT_NOT_EQUAL(*port, 0);
	return l;
}
