/* SPDX-License-Identifier: MIT */
#include "tests/unit/fake_store.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <xen/io/xs_wire.h>

struct node {
	struct node *next;
	char path[256], perms[64];
	size_t len;
	char value[4097];
};

static pthread_mutex_t g_lock = PTHREAD_MUTEX_INITIALIZER;
static struct node *g_nodes;
static bool g_lives[64];
static unsigned g_watches;
static bool g_private;
static uint8_t g_raw[8192];
static size_t g_raw_len;
static bool g_raw_set;
static char g_event[512];
static size_t g_event_len;
static pthread_t g_thread;
static int g_fd = -1;

static struct node *find_locked(const char *path)
{
	struct node *n = g_nodes;

	while (n && strcmp(n->path, path) != 0)
		n = n->next;
	return n;
}

void fake_store_set_bytes(const char *path, const void *value, size_t len)
{
	struct node *n;

	pthread_mutex_lock(&g_lock);
	n = find_locked(path);
	if (!n) {
		n = calloc(1, sizeof(*n));
		snprintf(n->path, sizeof(n->path), "%s", path);
		n->next = g_nodes;
		g_nodes = n;
	}
	memcpy(n->value, value, len);
	n->value[len] = 0;
	n->len = len;
	pthread_mutex_unlock(&g_lock);
}

void fake_store_set(const char *path, const char *value)
{
	fake_store_set_bytes(path, value, strlen(value));
}

static bool below(const char *path, const char *top)
{
	const size_t n = strlen(top);

	return strncmp(path, top, n) == 0 && (path[n] == 0 || path[n] == '/');
}

void fake_store_rm(const char *path)
{
	pthread_mutex_lock(&g_lock);
	for (struct node **p = &g_nodes; *p;) {
		struct node *n = *p;

		if (!below(n->path, path)) {
			p = &n->next;
			continue;
		}
		*p = n->next;
		free(n);
	}
	pthread_mutex_unlock(&g_lock);
}

const char *fake_store_get(const char *path)
{
	static char copy[4097];
	const struct node *n;

	pthread_mutex_lock(&g_lock);
	n = find_locked(path);
	snprintf(copy, sizeof(copy), "%s", n ? n->value : "");
	pthread_mutex_unlock(&g_lock);
	return copy;
}

bool fake_store_has(const char *path)
{
	bool any = false;

	pthread_mutex_lock(&g_lock);
	for (const struct node *n = g_nodes; n; n = n->next)
		any |= below(n->path, path);
	pthread_mutex_unlock(&g_lock);
	return any;
}

const char *fake_store_perms(const char *path)
{
	static char copy[64];
	const struct node *n;

	pthread_mutex_lock(&g_lock);
	n = find_locked(path);
	snprintf(copy, sizeof(copy), "%s", n ? n->perms : "");
	pthread_mutex_unlock(&g_lock);
	return copy;
}

void fake_store_domain(unsigned domid, bool lives)
{
	pthread_mutex_lock(&g_lock);
	g_lives[domid] = lives;
	pthread_mutex_unlock(&g_lock);
}

void fake_store_private(bool on)
{
	pthread_mutex_lock(&g_lock);
	g_private = on;
	pthread_mutex_unlock(&g_lock);
}

unsigned fake_store_watches(void)
{
	return __atomic_load_n(&g_watches, __ATOMIC_SEQ_CST);
}

/* ---- the wire ---- */

static void put(uint32_t type, uint32_t id, const void *data, size_t len)
{
	const struct xsd_sockmsg h = {.type = type, .req_id = id, .len = (uint32_t)len};

	(void)!send(g_fd, &h, sizeof(h), MSG_NOSIGNAL);
	if (len)
		(void)!send(g_fd, data, len, MSG_NOSIGNAL);
}

static void put_error(uint32_t id, const char *name)
{
	put(XS_ERROR, id, name, strlen(name) + 1);
}

void fake_store_answer_raw(const void *bytes, size_t len)
{
	pthread_mutex_lock(&g_lock);
	memcpy(g_raw, bytes, len);
	g_raw_len = len;
	g_raw_set = true;
	pthread_mutex_unlock(&g_lock);
}

void fake_store_event_first(const char *path, const char *token)
{
	pthread_mutex_lock(&g_lock);
	g_event_len = (size_t)snprintf(g_event, sizeof(g_event), "%s%c%s", path, 0, token) + 1;
	pthread_mutex_unlock(&g_lock);
}

void fake_store_event(const char *path, const char *token)
{
	char text[512];
	const int n = snprintf(text, sizeof(text), "%s%c%s", path, 0, token);

	pthread_mutex_lock(&g_lock);
	put(XS_WATCH_EVENT, 0, text, (size_t)n + 1);
	pthread_mutex_unlock(&g_lock);
}

static void list_locked(uint32_t id, const char *path)
{
	char out[4096];
	const size_t k = strlen(path);
	size_t n = 0;
	bool any = false;

	for (const struct node *node = g_nodes; node; node = node->next) {
		const char *name = node->path + k + 1;
		const size_t len = strcspn(name, "/");
		bool seen = false;

		if (!below(node->path, path))
			continue;
		any = true;
		if (strlen(node->path) <= k + 1)
			continue;
		for (size_t i = 0; i < n; i += strlen(out + i) + 1)
			seen |= strlen(out + i) == len && memcmp(out + i, name, len) == 0;
		if (seen)
			continue;
		memcpy(out + n, name, len);
		out[n + len] = 0;
		n += len + 1;
	}
	if (any)
		put(XS_DIRECTORY, id, out, n);
	else
		put_error(id, "ENOENT");
}

static void answer_locked(const struct xsd_sockmsg *h, char *body)
{
	struct node *n = find_locked(body);
	const char *rest = body + strlen(body) + 1; /* behind the path */

	switch (h->type) {
	case XS_READ:
		if (n)
			put(XS_READ, h->req_id, n->value, n->len);
		else
			put_error(h->req_id, "ENOENT");
		break;
	case XS_DIRECTORY:
		list_locked(h->req_id, body);
		break;
	case XS_IS_DOMAIN_INTRODUCED:
		if (g_private) {
			put_error(h->req_id, "EACCES");
			break;
		}
		put(h->type, h->req_id, g_lives[atoi(body) % 64] ? "T" : "F", 2);
		break;
	case XS_SET_PERMS:
		if (!n) {
			put_error(h->req_id, "ENOENT");
			break;
		}
		snprintf(n->perms, sizeof(n->perms), "%.20s %.20s", rest,
		         rest + strlen(rest) + 1);
		put(h->type, h->req_id, "OK", 3);
		break;
	case XS_WATCH:
		g_watches++;
		put(h->type, h->req_id, "OK", 3);
		break;
	default:
		put_error(h->req_id, "ENOSYS");
	}
}

/* These take the lock themselves. */
static bool change(const struct xsd_sockmsg *h, char *body)
{
	const size_t k = strlen(body) + 1;

	if (h->type == XS_WRITE)
		fake_store_set_bytes(body, body + k, h->len - k);
	else if (h->type == XS_RM)
		fake_store_rm(body);
	else
		return false;
	put(h->type, h->req_id, "OK", 3);
	return true;
}

static void serve_one(const struct xsd_sockmsg *h, char *body)
{
	bool raw;

	pthread_mutex_lock(&g_lock);
	if (g_event_len)
		put(XS_WATCH_EVENT, 0, g_event, g_event_len);
	g_event_len = 0;
	raw = g_raw_set;
	if (raw)
		(void)!send(g_fd, g_raw, g_raw_len, MSG_NOSIGNAL);
	g_raw_set = false;
	pthread_mutex_unlock(&g_lock);
	if (raw || change(h, body))
		return;
	pthread_mutex_lock(&g_lock);
	answer_locked(h, body);
	pthread_mutex_unlock(&g_lock);
}

static void *serve(void *arg)
{
	struct xsd_sockmsg h;
	char body[XENSTORE_PAYLOAD_MAX + 1];

	while (recv(g_fd, &h, sizeof(h), MSG_WAITALL) == (ssize_t)sizeof(h) &&
	       h.len <= XENSTORE_PAYLOAD_MAX &&
	       (!h.len || recv(g_fd, body, h.len, MSG_WAITALL) == (ssize_t)h.len)) {
		body[h.len] = 0;
		serve_one(&h, body);
	}
	return arg;
}

int fake_store_start(void)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	g_fd = pair[0];
	pthread_create(&g_thread, NULL, serve, NULL);
	return pair[1];
}

void fake_store_stop(void)
{
	shutdown(g_fd, SHUT_RDWR);
	pthread_join(g_thread, NULL);
	close(g_fd);
	g_fd = -1;
	fake_store_rm("/local");
	fake_store_rm("domid");
	memset(g_lives, 0, sizeof(g_lives));
	g_raw_set = g_private = false;
	g_event_len = 0;
	g_watches = 0;
}
