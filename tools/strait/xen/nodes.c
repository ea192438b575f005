/* SPDX-License-Identifier: MIT */
/*
 * nodes.c - what dom0 writes into xenstore for services and guests (docs/XEN.md).
 *
 * Each group of nodes is written in one transaction: who watches sees all or nothing.
 */
#include "tools/strait/xen/deploy.h"
#include "tools/strait/xen/xs.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define TRIES 20

/* A group of nodes below one folder, for one reader. */
struct nodes {
	unsigned reader;
	int err;
};

static void put(struct nodes *n, const char *value, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static void put(struct nodes *n, const char *value, const char *fmt, ...)
{
	char path[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(path, sizeof(path), fmt, ap);
	va_end(ap);
	if (!n->err)
		n->err = xst_put(path, value, n->reader);
}

static void put_number(struct nodes *n, uint64_t v, const char *folder, const char *name)
{
	char text[24];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)v);
	put(n, text, "%s/%s", folder, name);
}

static void put_text(struct nodes *n, const char *value, const char *folder, const char *name)
{
	if (value)
		put(n, value, "%s/%s", folder, name);
}

/* Do @fill in a transaction, again when another one came between. */
static int transact(struct nodes *n, void (*fill)(struct nodes *n, const void *arg),
                    const void *arg)
{
	for (int i = 0; i < TRIES; i++) {
		n->err = xst_begin();
		if (n->err)
			return n->err;
		fill(n, arg);
		if (n->err) {
			xst_abort();
			return n->err;
		}
		n->err = xst_commit();
		if (n->err != -EAGAIN)
			return n->err;
	}
	return -EAGAIN;
}

/* The folder of a service: what dom0 says (below strait) or what it says (data). */
static char *service_path(unsigned domid, const char *name, const char *rest)
{
	return xprintf("/local/domain/%u/strait/%s%s", domid, name, rest);
}

static char *data_path(unsigned domid, const char *name, const char *rest)
{
	return xprintf("/local/domain/%u/data/strait/%s%s", domid, name, rest);
}

static int random_hex(char *to, size_t n)
{
	uint8_t bytes[32];

	if (getrandom(bytes, n, 0) != (ssize_t)n)
		return -1;
	for (size_t i = 0; i < n; i++)
		sprintf(to + 2 * i, "%02x", bytes[i]);
	return 0;
}

/* --- a service -------------------------------------------------------------- */

struct of_service {
	const struct desc_service *s;
	const struct member *m;
	const char *instance;
};

static void put_mount(struct nodes *n, const struct mount_opt *m, const char *at)
{
	put(n, NULL, "%s", at);
	put_text(n, m->guest, at, "guest");
	put_text(n, m->source ? "dir" : "mem", at, "kind");
	if (m->vdev)
		put(n, xprintf("/dev/%s", m->vdev), "%s/source", at);
	else
		put_text(n, m->source, at, "source");
	if (m->disk)
		put_text(n, m->fstype, at, "fstype");
	if (m->size)
		put_number(n, m->size, at, "size");
	put_number(n, m->read_only, at, "ro");
	put_number(n, m->exclusive || !m->source, at, "exclusive");
	put_number(n, m->setid, at, "setid");
}

static void put_file_config(struct nodes *n, const struct desc_service *s, const char *c)
{
	unsigned k = 0;
	bool root = false;

	if (s->squash_given && s->o.no_squash)
		put_text(n, "none", c, "squash");
	else if (s->squash_given)
		put_text(n, xprintf("%u:%u", s->o.squash_uid, s->o.squash_gid), c, "squash");
	put(n, NULL, "%s/mounts", c);
	for (unsigned i = 0; i < s->o.n_mounts; i++)
		root |= !s->o.mounts[i].guest[1];
	if (!root) { /* as hosted: what is not mounted elsewhere is memory */
		const struct mount_opt mem = { .guest = xprintf("/") };

		put_mount(n, &mem, xprintf("%s/mounts/%u", c, k++));
	}
	for (unsigned i = 0; i < s->o.n_mounts; i++)
		put_mount(n, &s->o.mounts[i], xprintf("%s/mounts/%u", c, k++));
}

static void put_net_config(struct nodes *n, const struct desc_service *s, const char *c)
{
	char dns[256] = "";

	put_text(n, s->o.net == NET_HOST ? "host" : "lwip", c, "stack");
	put_text(n, s->interface, c, "interface");
	if (s->mtu)
		put_number(n, s->mtu, c, "mtu");
	put_text(n, s->ip4, c, "ip4");
	put_text(n, s->gateway4, c, "gateway4");
	put_text(n, s->ip6, c, "ip6");
	put_text(n, s->gateway6, c, "gateway6");
	for (unsigned i = 0; i < s->n_dns; i++)
		snprintf(dns + strlen(dns), sizeof(dns) - strlen(dns), "%s%s", i ? " " : "",
		         s->dns[i]);
	if (*dns)
		put_text(n, dns, c, "dns");
	if (s->port_min)
		put_number(n, s->port_min, c, "port-min");
}

static void fill_service(struct nodes *n, const void *arg)
{
	const struct of_service *of = arg;
	const struct desc_service *s = of->s;
	const char *at = service_path(of->m->domid, s->name, "");
	const char *c = xprintf("%s/config", at);

	put(n, NULL, "/local/domain/%u/strait", of->m->domid);
	put(n, NULL, "%s", at);
	put(n, NULL, "%s/guests", at);
	put(n, NULL, "%s", c);
	put_number(n, DEPLOY_EPOCH, c, "epoch");
	put_text(n, of->instance, c, "instance");
	put_number(n, s->o.log_level, c, "log");
	put_number(n, s->trace, c, "trace");
	if (s->trace_size)
		put_number(n, s->trace_size, c, "trace-size");
	if (s->o.hang_given)
		put_number(n, s->o.hang_s, c, "hang");
	if (s->paused_s)
		put_number(n, s->paused_s, c, "paused");
	if (s->kind == DESC_FILE)
		put_file_config(n, s, c);
	else
		put_net_config(n, s, c);
	put_text(n, desc_kind_name[s->kind], c, "kind");
}

int nodes_service(const struct desc_service *s, const struct member *m)
{
	struct nodes n = { .reader = m->domid };
	char instance[33];
	const struct of_service of = { s, m, instance };

	if (random_hex(instance, 16))
		return -EIO;
	/* What an instance of the same name left behind in dom0. */
	if (!m->domid) {
		(void)xst_rm(service_path(0, s->name, ""));
		(void)xst_rm(data_path(0, s->name, ""));
	}
	return transact(&n, fill_service, &of);
}

/* --- a guest ---------------------------------------------------------------- */

struct of_guest {
	const struct desc_guest *g;
	const struct member *m;
	const char *client_id, *cmdline, *entropy;
	enum desc_kind kind;
};

static void fill_guest(struct nodes *n, const void *arg)
{
	const struct of_guest *of = arg;
	const char *at = xprintf("/local/domain/%u/strait", of->m->domid);

	put(n, NULL, "%s", at);
	put_text(n, "1", at, "version");
	put_text(n, of->client_id, at, "client-id");
	put_text(n, of->cmdline, at, "cmdline");
	put_text(n, of->entropy, at, "entropy");
	for (int k = 0; k < DESC_KINDS; k++) {
		const char *c = xprintf("%s/%s", at, desc_kind_name[k]);

		if (!*of->m->uses[k])
			continue;
		put(n, NULL, "%s", c);
		put_number(n, of->m->uses_domid[k], c, "backend-id");
		put(n, data_path(of->m->uses_domid[k], of->m->uses[k],
		                 xprintf("/%u", of->m->domid)), "%s/path", c);
		put_number(n, DEPLOY_EPOCH, c, "epoch");
	}
}

/* At the service: this domain may connect.  The uuid comes last: it completes it. */
static void fill_announcement(struct nodes *n, const void *arg)
{
	const struct of_guest *of = arg;
	const struct desc_guest *g = of->g;
	const char *at = service_path(of->m->uses_domid[of->kind], of->m->uses[of->kind],
	                              xprintf("/guests/%u", of->m->domid));
	char groups[DESC_GROUPS_MAX * 12] = "";

	/* Goes with the domain: so a service in a domain of its own sees that it died. */
	put(n, "1", "/local/domain/%u/strait/%s/alive", of->m->domid, desc_kind_name[of->kind]);
	put(n, NULL, "%s", at);
	put_text(n, of->client_id, at, "client-id");
	put_number(n, g->o.uid, at, "uid");
	put_number(n, g->o.gid, at, "gid");
	for (unsigned i = 0; i < g->n_groups; i++)
		snprintf(groups + strlen(groups), sizeof(groups) - strlen(groups), "%s%u",
		         i ? "," : "", g->groups[i]);
	if (*groups)
		put_text(n, groups, at, "groups");
	put_text(n, of->m->uuid, at, "uuid");
}

int nodes_guest(const struct desc_guest *g, const struct member *m, const char *cmdline)
{
	struct nodes n = { .reader = m->domid };
	char id[33], entropy[65];

	if (random_hex(id, 16) || random_hex(entropy, 32))
		return -EIO;
	struct of_guest of = {
		.g = g, .m = m, .client_id = id, .cmdline = cmdline, .entropy = entropy
	};
	int err = transact(&n, fill_guest, &of);

	for (int k = 0; k < DESC_KINDS && !err; k++) {
		if (!*m->uses[k])
			continue;
		of.kind = (enum desc_kind)k;
		n.reader = m->uses_domid[k];
		err = transact(&n, fill_announcement, &of);
	}
	return err;
}

void nodes_guest_gone(const struct member *m)
{
	for (int k = 0; k < DESC_KINDS; k++)
		if (*m->uses[k])
			(void)xst_rm(service_path(m->uses_domid[k], m->uses[k],
			                          xprintf("/guests/%u", m->domid)));
}

static void rm_if_empty(const char *path)
{
	char **names = xst_list(path);

	if (names && !names[0])
		(void)xst_rm(path);
	free(names);
}

void nodes_strays_gone(const struct member *m)
{
	if (xst_exists(service_path(m->domid, m->name, "/config/epoch")))
		return;
	(void)xst_rm(service_path(m->domid, m->name, ""));
	rm_if_empty(xprintf("/local/domain/%u/strait", m->domid));
	rm_if_empty(xprintf("/local/domain/%u", m->domid));
}

void nodes_service_gone(const struct member *m)
{
	if (m->domid || m->role != MEMBER_DOM0)
		return; /* its domain's nodes go with the domain */
	(void)xst_rm(service_path(0, m->name, ""));
	(void)xst_rm(data_path(0, m->name, ""));
	rm_if_empty("/local/domain/0/strait");
	rm_if_empty("/local/domain/0/data/strait");
}

char *nodes_service_state(const struct member *m)
{
	return xst_read(data_path(m->domid, m->name, "/state"));
}

char *nodes_guest_at_service(const struct member *m, enum desc_kind kind)
{
	return xst_read(data_path(m->uses_domid[kind], m->uses[kind],
	                          xprintf("/guests/%u/state", m->domid)));
}

char *nodes_guest_state(const struct member *m)
{
	return xst_read(xprintf("/local/domain/%u/data/strait/state", m->domid));
}

int nodes_restart(const struct member *m)
{
	char id[17];

	if (random_hex(id, 8))
		return -EIO;
	return xst_put(service_path(m->domid, m->name, "/restart"), id, m->domid);
}

int nodes_ask(const struct member *m, const char *what, const char *id)
{
	int err = xst_begin();

	/* Not below a domain that has just gone: nobody would remove it. */
	if (!err && !xst_exists(service_path(m->domid, m->name, "/config")))
		err = -ENOENT;
	if (!err)
		err = xst_put(service_path(m->domid, m->name, xprintf("/%s", what)), id, m->domid);
	if (!err)
		return xst_commit();
	xst_abort();
	return err;
}

bool nodes_ask_load(const struct member *m, char id[17])
{
	return !random_hex(id, 8) && !nodes_ask(m, "ps", id);
}

bool nodes_load(const struct member *m, const char *id, struct service_load *l)
{
	char *text = xst_read(data_path(m->domid, m->name, "/ps"));
	char of[24];
	bool there = text &&
	             sscanf(text, "%23s %u %u %u %u %u", of, &l->epoch, &l->up_s, &l->sessions,
	                    &l->in_flight, &l->objects) == 6 &&
	             !strcmp(of, id);

	free(text);
	return there;
}

unsigned nodes_epoch(const struct member *m)
{
	char *text = xst_read(data_path(m->domid, m->name, "/epoch"));
	unsigned epoch = text ? (unsigned)strtoul(text, NULL, 10) : 0;

	free(text);
	return epoch;
}
