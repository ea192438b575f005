/* SPDX-License-Identifier: MIT */
#include "services/agent/config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define DOMID_MAX 32751
#define NOBODY 65534u
#define MEM_DEFAULT (64ull << 20)

/* Where a value is read, for its sentence.  The first wrong node stays in @why. */
struct reader {
	struct store *s;
	const char *dir;
	char *why;
	int err;
	const struct store_get *read; /* already, or NULL */
	const char *const *names;     /* ... all that are asked for */
};

static int wrong(struct reader *r, const char *name, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static int wrong(struct reader *r, const char *name, const char *fmt, ...)
{
	char text[CONFIG_WHY / 2];
	va_list ap;

	if (r->err)
		return r->err;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	/* What a node holds may be anything; what goes to a console may not. */
	for (char *p = text; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 127)
			*p = '?';
	(void)snprintf(r->why, CONFIG_WHY, "xenstore node %s/%s %s", r->dir, name, text);
	r->err = -EINVAL;
	return r->err;
}

static int value_read(const struct reader *r, const char *name, char *to, uint32_t size)
{
	const struct store_get *g = r->read;
	const char *const *n = r->names;

	while (strcmp(*n, name) != 0)
		n++, g++;
	if (g->result >= (int)size)
		return -EMSGSIZE;
	if (g->result >= 0)
		memcpy(to, g->value, (size_t)g->result + 1);
	return g->result;
}

/* 1: there; 0: there is no such node, or something was wrong before. */
static int get(struct reader *r, const char *name, char *to, uint32_t size)
{
	char path[STORE_PATH_MAX];
	int n;

	if (r->err)
		return 0;
	if (snprintf(path, sizeof(path), "%s/%s", r->dir, name) >= (int)sizeof(path))
		return wrong(r, name, "has too long a name"), 0;
	n = r->read ? value_read(r, name, to, size) : store_read(r->s, path, to, size);
	if (n >= 0)
		return 1;
	to[0] = 0;
	if (n == -ENOENT)
		return 0;
	if (n == -EMSGSIZE)
		wrong(r, name, "is longer than %u bytes", size - 1);
	else if (n == -EINVAL)
		wrong(r, name, "holds a NUL byte");
	else
		wrong(r, name, "cannot be read: %s", strerror(-n));
	return 0;
}

static bool digit(char c)
{
	return c >= '0' && c <= '9';
}

static uint64_t get_number(struct reader *r, const char *name, uint64_t missing, uint64_t most)
{
	char text[32], *end;
	unsigned long long v;

	if (!get(r, name, text, sizeof(text)))
		return missing;
	errno = 0;
	v = strtoull(text, &end, 10);
	if (!digit(text[0]) || *end || errno || v > most) {
		wrong(r, name, "is \"%s\", not a number up to %llu", text,
		      (unsigned long long)most);
		return missing;
	}
	return v;
}

static bool get_flag(struct reader *r, const char *name, bool missing)
{
	return get_number(r, name, missing, 1) != 0;
}

/* ---- file ---- */

static void read_squash(struct reader *r, struct config *c)
{
	unsigned long uid, gid;
	char text[32], *end;

	c->squash = true;
	c->squash_uid = c->squash_gid = NOBODY;
	if (!get(r, "squash", text, sizeof(text)))
		return;
	if (strcmp(text, "none") == 0) {
		c->squash = false;
		return;
	}
	uid = strtoul(text, &end, 10);
	gid = *end == ':' && digit(end[1]) ? strtoul(end + 1, &end, 10) : uid;
	if (!digit(text[0]) || *end || uid >= UINT_MAX || gid >= UINT_MAX)
		wrong(r, "squash", "is \"%s\", not UID:GID or none", text);
	c->squash_uid = (uint32_t)uid;
	c->squash_gid = (uint32_t)gid;
}

static bool plain_word(const char *s)
{
	return *s && strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789") == strlen(s);
}

static void read_mount(struct reader *r, struct config_mount *m)
{
	char kind[16];
	bool device;

	*m = (struct config_mount){.memory = false};
	if (!get(r, "guest", m->guest, sizeof(m->guest)) || m->guest[0] != '/')
		wrong(r, "guest", "is not the absolute path of a mount point");
	get(r, "kind", kind, sizeof(kind));
	m->memory = strcmp(kind, "mem") == 0;
	if (!m->memory && strcmp(kind, "dir") != 0)
		wrong(r, "kind", "is \"%s\", not dir or mem", kind);
	if (!m->memory && (!get(r, "source", m->source, sizeof(m->source)) ||
	                   m->source[0] != '/'))
		wrong(r, "source", "is not an absolute path");
	if (!get(r, "fstype", m->fstype, sizeof(m->fstype)))
		strcpy(m->fstype, "ext4");
	if (!plain_word(m->fstype))
		wrong(r, "fstype", "is \"%s\", not a file system's name", m->fstype);
	device = strncmp(m->source, "/dev/", 5) == 0;
	m->read_only = get_flag(r, "ro", false);
	m->exclusive = get_flag(r, "exclusive", m->memory || device);
	m->setid = get_flag(r, "setid", false);
	m->size = get_number(r, "size", MEM_DEFAULT, 1ull << 40);
}

static void read_mounts(struct store *s, const char *dir, struct config *c, struct reader *up)
{
	char path[STORE_PATH_MAX], **names;
	struct reader r = {.s = s, .dir = path, .why = up->why};
	int n;

	snprintf(path, sizeof(path), "%s/mounts", dir);
	n = store_list(s, path, &names);
	if (n < 0) {
		wrong(up, "mounts", "cannot be listed: %s", strerror(-n));
		return;
	}
	for (int i = 0; i < n && !up->err; i++) {
		if (c->n_mounts == CONFIG_MOUNTS_MAX) {
			wrong(up, "mounts", "has more than %d children", CONFIG_MOUNTS_MAX);
			break;
		}
		snprintf(path, sizeof(path), "%s/mounts/%.32s", dir, names[i]);
		read_mount(&r, &c->mounts[c->n_mounts++]);
		up->err = r.err;
	}
	store_list_free(names);
	if (!up->err && c->n_mounts == 0)
		wrong(up, "mounts", "is empty: nothing to serve");
}

/* ---- net ---- */

static bool parse_addr(const char *text, struct config_addr *a)
{
	if (inet_pton(AF_INET, text, a->addr) == 1)
		a->len = 4;
	else if (inet_pton(AF_INET6, text, a->addr) == 1)
		a->len = 16;
	else
		a->len = 0;
	return a->len > 0;
}

/* @len: 4 or 16. With a prefix, "/24" must follow. */
static void get_addr(struct reader *r, const char *name, struct config_addr *a, uint8_t len,
                     bool prefix)
{
	char text[64], *slash, *end = NULL;
	unsigned long bits = 0;

	*a = (struct config_addr){.len = 0};
	if (!get(r, name, text, sizeof(text)) || !text[0])
		return;
	slash = strchr(text, '/');
	if (slash && prefix) {
		*slash = 0;
		bits = strtoul(slash + 1, &end, 10);
	}
	if (!parse_addr(text, a) || a->len != len ||
	    (prefix && (!slash || !digit(slash[1]) || *end || bits > len * 8u)))
		wrong(r, name, "is \"%s\", not an IPv%d address%s", text, len == 4 ? 4 : 6,
		      prefix ? " with its prefix length, as in ADDRESS/24" : "");
	a->prefix = (uint32_t)bits;
}

static void read_dns(struct reader *r, struct config *c)
{
	char text[256], *save = NULL;

	if (!get(r, "dns", text, sizeof(text)))
		return;
	for (char *w = strtok_r(text, " \t", &save); w; w = strtok_r(NULL, " \t", &save)) {
		if (c->n_dns == CONFIG_DNS_MAX) {
			wrong(r, "dns", "names more than %d servers", CONFIG_DNS_MAX);
			return;
		}
		if (!parse_addr(w, &c->dns[c->n_dns++])) {
			wrong(r, "dns", "holds \"%s\", not an address", w);
			return;
		}
	}
}

static void read_net(struct reader *r, struct config *c)
{
	if (!get(r, "stack", c->stack, sizeof(c->stack)))
		strcpy(c->stack, "lwip");
	if (strcmp(c->stack, "lwip") != 0 && strcmp(c->stack, "host") != 0)
		wrong(r, "stack", "is \"%s\", not lwip or host", c->stack);
	if (!get(r, "interface", c->interface, sizeof(c->interface)))
		strcpy(c->interface, "eth0");
	if (!c->interface[0] || strchr(c->interface, '/'))
		wrong(r, "interface", "is \"%s\", not an interface's name", c->interface);
	c->mtu = (uint32_t)get_number(r, "mtu", 0, 65521);
	if (c->mtu && c->mtu < 576)
		wrong(r, "mtu", "is %u; 576 at least", c->mtu);
	c->port_min = (uint32_t)get_number(r, "port-min", 0, 65535);
	get_addr(r, "ip4", &c->ip4, 4, true);
	get_addr(r, "gateway4", &c->gateway4, 4, false);
	get_addr(r, "ip6", &c->ip6, 16, true);
	get_addr(r, "gateway6", &c->gateway6, 16, false);
	read_dns(r, c);
}

static bool from_hex(const char *text, uint8_t *to, size_t n)
{
	if (strlen(text) != 2 * n ||
	    strspn(text, "0123456789abcdefABCDEF") != strlen(text))
		return false;
	for (size_t i = 0; i < n; i++) {
		const char digits[3] = {text[2 * i], text[2 * i + 1], 0};

		to[i] = (uint8_t)strtoul(digits, NULL, 16);
	}
	return true;
}

/* The same for all instances of a deployment's service, whatever domain they are in. */
static void read_instance(struct reader *r, struct config *c)
{
	char text[2 * sizeof(c->instance) + 2];

	c->has_instance = get(r, "instance", text, sizeof(text));
	if (c->has_instance && !from_hex(text, c->instance, sizeof(c->instance)))
		wrong(r, "instance", "is not 32 hexadecimal digits");
}

int config_read(struct store *s, const char *base, struct config *c, char why[CONFIG_WHY])
{
	char dir[CONFIG_TEXT], kind[16];
	struct reader r = {.s = s, .dir = dir, .why = why};

	memset(c, 0, sizeof(*c));
	snprintf(dir, sizeof(dir), "%s/config", base);
	if (!get(&r, "kind", kind, sizeof(kind))) {
		c->standby = get(&r, "standby", kind, sizeof(kind));
		if (!c->standby)
			return r.err ? r.err : -EAGAIN;
	}
	if (strcmp(kind, "file") != 0 && strcmp(kind, "net") != 0)
		return wrong(&r, "kind", "is \"%s\", not file or net", kind);
	c->kind = strcmp(kind, "file") == 0 ? KIND_FILE : KIND_NET;
	c->epoch = (uint32_t)get_number(&r, "epoch", 1, UINT_MAX);
	read_instance(&r, c);
	c->log = (uint32_t)get_number(&r, "log", 1, 3);
	c->hang = (uint32_t)get_number(&r, "hang", CONFIG_HANG, 86400);
	const uint64_t trace = get_number(&r, "trace", 0, 2);

	c->trace = trace > 0;
	c->trace_payload = trace == 2;
	c->trace_size = get_number(&r, "trace-size", CONFIG_TRACE_SIZE, 1ull << 32);
	if (c->kind == KIND_FILE) {
		read_squash(&r, c);
		read_mounts(s, dir, c, &r);
	} else {
		read_net(&r, c);
	}
	return r.err;
}

/* ---- guests ---- */

int config_domid(const char *text)
{
	char *end;
	const unsigned long v = strtoul(text, &end, 10);

	return !digit(text[0]) || *end || strlen(text) > 5 || v > DOMID_MAX
	               ? -EINVAL
	               : (int)v;
}

bool config_valid_name(const char *text)
{
	return *text && strlen(text) <= 32 &&
	       strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") ==
	               strlen(text);
}

static void get_client_id(struct reader *r, uint8_t id[RPC_CLIENT_ID_LEN])
{
	char text[2 * RPC_CLIENT_ID_LEN + 2];

	get(r, "client-id", text, sizeof(text));
	if (!from_hex(text, id, RPC_CLIENT_ID_LEN))
		wrong(r, "client-id", "is not 32 hexadecimal digits");
}

static void get_groups(struct reader *r, struct config_guest *g)
{
	char text[1024], *save = NULL;

	if (!get(r, "groups", text, sizeof(text)))
		return;
	for (char *w = strtok_r(text, ", ", &save); w; w = strtok_r(NULL, ", ", &save)) {
		char *end;
		const unsigned long v = strtoul(w, &end, 10);

		if (!digit(*w) || *end || v >= UINT_MAX || g->n_groups == RPC_GROUPS_MAX) {
			wrong(r, "groups", "is not a list of at most %u group numbers",
			      RPC_GROUPS_MAX);
			return;
		}
		g->groups[g->n_groups++] = (uint32_t)v;
	}
}

int config_read_guest(struct store *s, const char *base, uint32_t domid,
                      struct config_guest *g, char why[CONFIG_WHY])
{
	static const char *const names[] = {"uuid", "client-id", "uid", "gid", "groups"};
	enum { N = sizeof(names) / sizeof(names[0]) };
	struct store_get gets[N];
	char dir[CONFIG_TEXT];
	struct reader r = {.s = s, .dir = dir, .why = why, .read = gets, .names = names};

	memset(g, 0, sizeof(*g));
	g->domid = domid;
	snprintf(dir, sizeof(dir), "%s/guests/%u", base, domid);
	for (unsigned i = 0; i < N; i++)
		snprintf(gets[i].path, sizeof(gets[i].path), "%.140s/%s", dir, names[i]);
	(void)store_get_all(s, gets, N); /* each says how it went */
	if (!get(&r, "uuid", g->uuid, sizeof(g->uuid)))
		return r.err ? r.err : -EAGAIN;
	get_client_id(&r, g->client_id);
	g->uid = (uint32_t)get_number(&r, "uid", 0, UINT_MAX - 1);
	g->gid = (uint32_t)get_number(&r, "gid", g->uid, UINT_MAX - 1);
	get_groups(&r, g);
	return r.err;
}
