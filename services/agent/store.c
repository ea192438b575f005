/* SPDX-License-Identifier: MIT */
/*
 * store.c - xenstore's wire protocol: a header of four words, then strings.
 *
 * xenstored is trusted (it is the toolstack's), but a length that makes no sense ends
 * the connection all the same, rather than this process.
 */
#include "services/agent/store.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>
#include <xen/io/xs_wire.h>

#define ANSWER_MS 30000

struct answer {
	uint32_t type, len;
	char text[XENSTORE_PAYLOAD_MAX + 1];
};

void store_init(struct store *s, int fd)
{
	*s = (struct store){.fd = fd};
	s->events_end = &s->events;
}

static int open_socket(const char *path)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", path);
	if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0) {
		const int e = -errno;

		close(fd);
		return e;
	}
	return fd;
}

int store_open(struct store *s)
{
	static const char *const devices[] = {"/dev/xen/xenbus", "/proc/xen/xenbus"};
	int fd = open_socket("/run/xenstored/socket"), r = fd;

	const char *device = NULL;

	for (size_t i = 0; fd < 0 && i < 2; i++) {
		device = devices[i];
		fd = open(device, O_RDWR | O_CLOEXEC);
		if (fd < 0 && (r == -ENOENT || errno != ENOENT))
			r = -errno;
	}
	if (fd < 0)
		return r;
	store_init(s, fd);
	s->waits = r < 0;
	s->device = r < 0 ? device : NULL;
	return 0;
}

void store_close(struct store *s)
{
	while (s->events) {
		struct store_event *e = s->events;

		s->events = e->next;
		free(e);
	}
	s->events_end = &s->events;
	for (unsigned i = 0; i < s->n_lanes; i++)
		store_close(&s->lanes[i]);
	free(s->lanes);
	s->lanes = NULL;
	s->n_lanes = 0;
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
}

static int read_all(int fd, void *to, size_t n)
{
	for (size_t got = 0; got < n;) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		ssize_t r;

		if (poll(&p, 1, ANSWER_MS) == 0)
			return -ETIMEDOUT;
		r = read(fd, (char *)to + got, n - got);
		if (r == 0)
			return -EPIPE;
		if (r < 0 && errno != EINTR && errno != EAGAIN)
			return -errno;
		got += r > 0 ? (size_t)r : 0;
	}
	return 0;
}

static void keep_event(struct store *s, const struct answer *a)
{
	const char *token = memchr(a->text, 0, a->len);
	struct store_event *e = calloc(1, sizeof(*e));

	if (!e || !token || ++token >= a->text + a->len ||
	    strlen(a->text) >= sizeof(e->path) || strlen(token) >= sizeof(e->token)) {
		free(e); /* not a path that we watch */
		return;
	}
	strcpy(e->path, a->text);
	strcpy(e->token, token);
	*s->events_end = e;
	s->events_end = &e->next;
}

/* One message: 1 an answer to @id, 0 an event (kept), or negative. */
static int take_message(struct store *s, uint32_t id, struct answer *a)
{
	struct xsd_sockmsg h;
	int r = read_all(s->fd, &h, sizeof(h));

	if (r < 0)
		return r;
	if (h.len > XENSTORE_PAYLOAD_MAX)
		return -EIO;
	r = read_all(s->fd, a->text, h.len);
	if (r < 0)
		return r;
	a->text[h.len] = 0;
	a->type = h.type;
	a->len = h.len;
	if (h.type == XS_WATCH_EVENT) {
		keep_event(s, a);
		return 0;
	}
	return h.req_id == id ? 1 : -EIO;
}

static int error_of(const struct answer *a)
{
	for (size_t i = 0; i < sizeof(xsd_errors) / sizeof(xsd_errors[0]); i++)
		if (strcmp(xsd_errors[i].errstring, a->text) == 0)
			return -xsd_errors[i].errnum;
	return -EIO;
}

static int send_all(int fd, const void *data, size_t n)
{
	for (size_t sent = 0; sent < n;) {
		const ssize_t r = write(fd, (const char *)data + sent, n - sent);

		if (r < 0 && errno != EINTR)
			return -errno;
		sent += r > 0 ? (size_t)r : 0;
	}
	return 0;
}

/* Out of step: never to be trusted again. */
static int broken(struct store *s, int r)
{
	close(s->fd);
	s->fd = -1;
	return r;
}

static int send_request(struct store *s, uint32_t type, const void *data, size_t n)
{
	struct {
		struct xsd_sockmsg h;
		char body[XENSTORE_PAYLOAD_MAX];
	} m = {.h = {.type = type, .req_id = ++s->last_id}};
	int r;

	if (s->fd < 0)
		return -EPIPE;
	if (n > sizeof(m.body))
		return -E2BIG;
	m.h.len = (uint32_t)n;
	memcpy(m.body, data, n);
	r = send_all(s->fd, &m, sizeof(m.h) + n);
	return r < 0 ? broken(s, r) : 0;
}

/* To the request @id, of that type. */
static int take_answer(struct store *s, uint32_t id, uint32_t type, struct answer *a)
{
	int r = s->fd < 0 ? -EPIPE : 0;

	while (r == 0)
		r = take_message(s, id, a);
	if (r < 0)
		return s->fd < 0 ? r : broken(s, r);
	if (a->type == XS_ERROR)
		return error_of(a);
	return a->type == type ? 0 : -EIO;
}

static int request(struct store *s, uint32_t type, const void *data, size_t n,
                   struct answer *a)
{
	const int r = send_request(s, type, data, n);

	return r < 0 ? r : take_answer(s, s->last_id, type, a);
}

static int request_path(struct store *s, uint32_t type, const char *path, struct answer *a)
{
	return request(s, type, path, strlen(path) + 1, a);
}

static int value_of(const struct answer *a, char *to, size_t size)
{
	if (a->len >= size)
		return -EMSGSIZE;
	if (memchr(a->text, 0, a->len))
		return -EINVAL;
	memcpy(to, a->text, a->len + 1);
	return (int)a->len;
}

int store_read(struct store *s, const char *path, char *to, uint32_t size)
{
	struct answer a;
	const int r = request_path(s, XS_READ, path, &a);

	return r < 0 ? r : value_of(&a, to, size);
}

int store_list(struct store *s, const char *path, char ***names)
{
	struct answer a;
	const int r = request_path(s, XS_DIRECTORY, path, &a);
	char **list;
	int n = 0;

	if (r < 0)
		return r;
	for (uint32_t i = 0; i < a.len; i++)
		n += a.text[i] == 0;
	list = calloc((size_t)n + 1, sizeof(*list));
	if (!list)
		return -ENOMEM;
	n = 0;
	for (const char *p = a.text; p < a.text + a.len; p += strlen(p) + 1) {
		list[n] = strdup(p);
		if (!list[n++]) {
			store_list_free(list);
			return -ENOMEM;
		}
	}
	*names = list;
	return n;
}

void store_list_free(char **names)
{
	for (char **p = names; *p; p++)
		free(*p);
	free(names);
}

int store_write(struct store *s, const char *path, const char *value)
{
	const size_t k = strlen(path) + 1, n = strlen(value);
	char buf[XENSTORE_PAYLOAD_MAX];
	struct answer a;

	if (k + n > sizeof(buf))
		return -E2BIG;
	memcpy(buf, path, k);
	memcpy(buf + k, value, n);
	return request(s, XS_WRITE, buf, k + n, &a);
}

/* A node's permissions as a message's body; its length, or -E2BIG. */
static int pack_perms(char *buf, size_t size, const char *path, unsigned owner, unsigned reader)
{
	const int n = snprintf(buf, size, "%s%cn%u%cr%u", path, 0, owner, 0, reader);

	return n < 0 || (size_t)n >= size ? -E2BIG : n + 1;
}

/* ---- many requests at once ---- */

/* Linux's xenbus device takes a request's bytes from the only buffer of its descriptor when
 * the ring is written: a second one would be sent in the place of the first.  So each of a
 * few more descriptors has one request under way; the kernel sends them in their order. */
static void open_lanes(struct store *s)
{
	if (!s->lanes)
		s->lanes = calloc(STORE_LANES, sizeof(*s->lanes));
	while (s->lanes && s->device && s->n_lanes < STORE_LANES) {
		const int fd = open(s->device, O_RDWR | O_CLOEXEC);

		if (fd < 0)
			break; /* with fewer, then */
		store_init(&s->lanes[s->n_lanes++], fd);
	}
}

struct batch {
	/* Of the request @i: make it; or take what came of it. */
	int (*send)(struct store *via, const struct batch *b, unsigned i);
	uint32_t (*type)(const struct batch *b, unsigned i);
	void (*take)(const struct batch *b, unsigned i, const struct answer *a, int r);
	unsigned n, owner;
	const struct store_put *puts;
	struct store_get *gets;
	uint8_t of[2 * STORE_PUTS_MAX]; /* which put */
	bool perms[2 * STORE_PUTS_MAX];
};

/* @n of them, @each on a connection of its own; else all on that one.  The first that
 * failed. */
static int run_some(struct store *on, bool each, const struct batch *b, unsigned at, unsigned n)
{
	struct answer a;
	uint32_t id = on->last_id + 1;
	int first = 0, r = 0;

	for (unsigned i = 0; i < n && r == 0; i++)
		r = b->send(each ? &on[i] : on, b, at + i);
	if (r < 0)
		return each || on->fd < 0 ? r : broken(on, r);
	for (unsigned i = 0; i < n; i++) {
		struct store *via = each ? &on[i] : on;

		r = take_answer(via, each ? via->last_id : id++, b->type(b, at + i), &a);
		if (b->take)
			b->take(b, at + i, &a, r);
		if (r < 0 && first == 0)
			first = r;
	}
	return first;
}

static int run(struct store *s, const struct batch *b)
{
	int first = 0;

	if (!s->waits)
		return run_some(s, false, b, 0, b->n);
	open_lanes(s);
	for (unsigned at = 0, k; at < b->n; at += k) {
		const unsigned room = s->n_lanes ? s->n_lanes : 1;

		k = b->n - at < room ? b->n - at : room;
		const int r = s->n_lanes ? run_some(s->lanes, true, b, at, k)
		                         : run_some(s, false, b, at, k);

		if (r < 0 && first == 0)
			first = r;
	}
	return first;
}

static int send_put(struct store *via, const struct batch *b, unsigned i)
{
	const struct store_put *p = &b->puts[b->of[i]];
	const size_t k = strlen(p->path) + 1, n = strlen(p->value);
	char buf[sizeof(p->path) + sizeof(p->value) + 32];
	int r;

	if (b->perms[i]) {
		r = pack_perms(buf, sizeof(buf), p->path, b->owner, (unsigned)p->reader);
		return r < 0 ? r : send_request(via, XS_SET_PERMS, buf, (size_t)r);
	}
	memcpy(buf, p->path, k);
	memcpy(buf + k, p->value, n);
	return send_request(via, n ? XS_WRITE : XS_RM, buf, k + n);
}

static uint32_t type_of_put(const struct batch *b, unsigned i)
{
	return b->perms[i] ? XS_SET_PERMS : b->puts[b->of[i]].value[0] ? XS_WRITE : XS_RM;
}

int store_put_all(struct store *s, unsigned owner, const struct store_put *puts, unsigned n)
{
	struct batch b = {.send = send_put, .type = type_of_put, .owner = owner, .puts = puts};

	if (n > STORE_PUTS_MAX)
		return -E2BIG;
	for (unsigned i = 0; i < n; i++)
		for (int perms = 0; perms <= (puts[i].reader >= 0); perms++) {
			b.of[b.n] = (uint8_t)i;
			b.perms[b.n++] = perms;
		}
	return run(s, &b);
}

static int send_get(struct store *via, const struct batch *b, unsigned i)
{
	return send_request(via, XS_READ, b->gets[i].path, strlen(b->gets[i].path) + 1);
}

static uint32_t type_of_get(const struct batch *b, unsigned i)
{
	(void)b;
	(void)i;
	return XS_READ;
}

static void take_get(const struct batch *b, unsigned i, const struct answer *a, int r)
{
	struct store_get *g = &b->gets[i];

	g->result = r < 0 ? r : value_of(a, g->value, sizeof(g->value));
}

int store_get_all(struct store *s, struct store_get *gets, unsigned n)
{
	const struct batch b = {
		.send = send_get, .type = type_of_get, .take = take_get, .n = n, .gets = gets};

	for (unsigned i = 0; i < n; i++)
		gets[i].result = -EIO;
	(void)run(s, &b); /* each has its result */
	return s->fd < 0 ? -EPIPE : 0;
}

int store_rm(struct store *s, const char *path)
{
	struct answer a;

	return request_path(s, XS_RM, path, &a);
}

int store_share(struct store *s, const char *path, unsigned owner, unsigned reader)
{
	char buf[STORE_PATH_MAX + 32];
	const int n = pack_perms(buf, sizeof(buf), path, owner, reader);
	struct answer a;

	return n < 0 ? n : request(s, XS_SET_PERMS, buf, (size_t)n, &a);
}

int store_watch(struct store *s, const char *path, const char *token)
{
	char buf[STORE_PATH_MAX + 64];
	const int n = snprintf(buf, sizeof(buf), "%s%c%s", path, 0, token);
	struct answer a;

	if (n < 0 || (size_t)n >= sizeof(buf))
		return -E2BIG;
	return request(s, XS_WATCH, buf, (size_t)n + 1, &a);
}

int store_domain_lives(struct store *s, unsigned domid)
{
	struct answer a;
	char text[16];
	int r;

	snprintf(text, sizeof(text), "%u", domid);
	r = s->blind ? -EACCES : request_path(s, XS_IS_DOMAIN_INTRODUCED, text, &a);
	s->blind |= r == -EACCES; /* dom0 alone may ask that */
	if (r < 0)
		return r;
	if (strcmp(a.text, "T") == 0)
		return 1;
	return strcmp(a.text, "F") == 0 ? 0 : -EIO;
}

struct store_event *store_event(struct store *s, int *err)
{
	struct store_event *e;
	struct pollfd p = {.fd = s->fd, .events = POLLIN};

	*err = s->fd < 0 ? -EPIPE : 0;
	while (!s->events && *err == 0 && poll(&p, 1, 0) > 0) {
		struct answer a;
		const int r = take_message(s, 0, &a);

		if (r != 0) { /* nothing was asked */
			*err = r < 0 ? r : -EIO;
			close(s->fd);
			s->fd = -1;
		}
	}
	e = s->events;
	if (e) {
		s->events = e->next;
		if (!s->events)
			s->events_end = &s->events;
	}
	return e;
}
