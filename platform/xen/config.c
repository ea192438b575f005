/* SPDX-License-Identifier: MIT */
/*
 * config.c - the command line and xenstore's nodes become g_config.
 *
 * Nodes are asked for together: a round trip to xenstored is most of a guest's start,
 * and each answer a wake-up.  So a guest that nobody prepared, which has no `strait`, is
 * not asked for what would be in it.  A node that is missing means "no such thing"
 * where that makes sense; one that is malformed ends the guest with a sentence that
 * names it.
 */
#include "platform/xen/config.h"

#include "platform/xen/cmdline.h"
#include "platform/xen/console.h"
#include "platform/xen/xen.h"
#include "platform/xen/xenstore.h"

#include <errno.h>
#include <string.h>

#define CMDLINE_TEXT_MAX 4096u
#define FIRST_RESERVED_DOMID 0x7ff0u
#define VERSION "1"
#define ENTROPY_MAX 64u

enum {
	N_STRAIT,
	N_NAME,
	N_INSIDE, /* from here on in `strait` */
	N_VERSION = N_INSIDE,
	N_CLIENT_ID,
	N_CMDLINE,
	N_FILE,
	N_NET = N_FILE + 3,
	N_ENTROPY = N_NET + 3,
	N_NODES
};

struct service_node g_services[N_SERVICES] = {{.name = "file"}, {.name = "net"}};
uint32_t g_shutdown_timeout;

static struct cmdline g_cmdline;
static char g_text[CMDLINE_TEXT_MAX + 1];
static char g_name[CMDLINE_HOSTNAME_MAX + 1];
static char g_empty[1];
static char g_entropy[2 * ENTROPY_MAX + 1];
static _Atomic uint32_t g_doorbell_word, g_strace_word, g_log_word;

/* Short values, one row a node. */
static char g_values[N_NODES][40];
static struct xenstore_node g_nodes[N_NODES] = {
        [N_STRAIT] = {"strait", g_values[N_STRAIT], 40, 0},
        [N_NAME] = {"name", g_name, sizeof(g_name), 0},
        [N_VERSION] = {"strait/version", g_values[N_VERSION], 40, 0},
        [N_CLIENT_ID] = {"strait/client-id", g_values[N_CLIENT_ID], 40, 0},
        [N_CMDLINE] = {"strait/cmdline", g_text, sizeof(g_text), 0},
        [N_FILE] = {"strait/file/backend-id", g_values[N_FILE], 40, 0},
        {"strait/file/path", g_services[0].path, SERVICE_PATH_MAX, 0},
        {"strait/file/epoch", g_values[N_FILE + 2], 40, 0},
        [N_NET] = {"strait/net/backend-id", g_values[N_NET], 40, 0},
        {"strait/net/path", g_services[1].path, SERVICE_PATH_MAX, 0},
        {"strait/net/epoch", g_values[N_NET + 2], 40, 0},
        [N_ENTROPY] = {"strait/entropy", g_entropy, sizeof(g_entropy), 0},
};

_Noreturn void config_die(const char *a, const char *b, const char *c)
{
	const char *parts[3] = {a, b, c};
	char text[240];
	size_t n = 0;

	for (unsigned i = 0; i < 3; i++)
		for (const char *p = parts[i]; p && *p && n + 1 < sizeof(text); p++)
			text[n++] = *p >= ' ' && *p < 127 ? *p : '?';
	text[n] = '\0';
	boot_die(text);
}

static _Noreturn void bad_node(unsigned i, const char *what)
{
	config_die("xenstore: ", g_nodes[i].path, what);
}

/* Is the node there?  Anything but "yes" and "no such node" ends the guest. */
static bool have(unsigned i)
{
	switch (g_nodes[i].result) {
	case -ENOENT:
	case -ENODEV:
		return false;
	case -E2BIG:
		bad_node(i, " is too long");
	case -EACCES:
		bad_node(i, " may not be read by this domain");
	case -ETIMEDOUT:
		config_die("xenstore: xenstored does not answer", NULL, NULL);
	default:
		if (g_nodes[i].result < 0)
			bad_node(i, " cannot be read");
		if (strlen(g_nodes[i].to) != (size_t)g_nodes[i].result)
			bad_node(i, " is malformed: it holds a NUL");
		return true;
	}
}

static uint32_t number_node(unsigned i, uint64_t max)
{
	uint64_t v;

	if (!have(i))
		bad_node(i, " is missing");
	if (!cmdline_number(g_nodes[i].to, max, &v))
		bad_node(i, " is malformed: not a number in range");
	return (uint32_t)v;
}

static void read_service(struct service_node *s, unsigned first)
{
	s->present = have(first) || have(first + 1) || have(first + 2);
	if (!s->present)
		return;
	s->domid = number_node(first, FIRST_RESERVED_DOMID - 1);
	if (!have(first + 1))
		bad_node(first + 1, " is missing");
	if (s->path[0] != '/')
		bad_node(first + 1, " is malformed: not an absolute path");
	s->epoch = number_node(first + 2, UINT32_MAX);
}

static void ask(void)
{
	int r;

	xenstore_read_all(g_nodes, N_INSIDE);
	r = g_nodes[N_STRAIT].result;
	if (r >= 0 || r == -E2BIG || r == -EACCES) { /* it is there */
		xenstore_read_all(g_nodes + N_INSIDE, N_NODES - N_INSIDE);
		return;
	}
	for (unsigned i = N_INSIDE; i < N_NODES; i++)
		g_nodes[i].result = r;
}

static void read_nodes(void)
{
	bool services;

	ask();
	for (unsigned i = 0; i < N_SERVICES; i++)
		read_service(&g_services[i], N_FILE + 3 * i);
	services = g_services[0].present || g_services[1].present;
	if (!have(N_VERSION)) {
		if (services)
			bad_node(N_VERSION, " is missing");
	} else if (strcmp(g_nodes[N_VERSION].to, VERSION) != 0) {
		bad_node(N_VERSION,
		         " names a version that this program does not speak");
	}
	if (have(N_CLIENT_ID)) {
		if (!cmdline_hex(g_nodes[N_CLIENT_ID].to, g_config.client_id, 16))
			bad_node(N_CLIENT_ID, " is malformed: not 32 hex digits");
	} else if (services) {
		bad_node(N_CLIENT_ID, " is missing");
	} else {
		plat_random(g_config.client_id, sizeof(g_config.client_id));
	}
	if (g_nodes[N_NAME].result < 0) /* a long name, or none: not ours to judge */
		g_name[0] = '\0';
}

size_t config_entropy(uint8_t *to, size_t size)
{
	const size_t n = have(N_ENTROPY) ? strlen(g_entropy) / 2 : 0;

	if (n == 0 || n > size)
		return 0;
	if (strlen(g_entropy) != 2 * n || !cmdline_hex(g_entropy, to, n))
		bad_node(N_ENTROPY, " is malformed: not an even number of hex digits");
	memset(g_entropy, 0, sizeof(g_entropy));
	g_nodes[N_ENTROPY].result = -ENOENT;
	return n;
}

static void read_cmdline(void)
{
	const char *why;

	if (!have(N_CMDLINE)) {
		const char *from = boot_cmdline();
		const size_t n = strlen(from);

		if (n > CMDLINE_TEXT_MAX)
			config_die("command line: too long", NULL, NULL);
		memcpy(g_text, from, n + 1);
	}
	why = cmdline_parse(g_text, &g_cmdline);
	if (why)
		config_die(why, NULL, NULL);
}

void config_init(void)
{
	struct cmdline *c = &g_cmdline;

	read_nodes();
	read_cmdline();
	if (!c->argv[0])
		c->argv[0] = g_name[0] ? g_name : g_empty;
	g_config.argc = c->argc;
	g_config.argv = c->argv;
	g_config.envp = c->envp;
	g_config.cwd = c->cwd ? c->cwd : "/";
	g_config.hostname = c->hostname ? c->hostname : g_name[0] ? g_name : "strait";
	g_config.uid = c->uid;
	g_config.gid = c->gid;
	g_config.n_groups = c->n_groups;
	g_config.groups = c->groups;
	g_config.memory = c->memory;
	g_config.n_cpus = 1;
	g_config.stamps = c->stamps;
	g_config.doorbell = &g_doorbell_word;
	g_config.strace = &g_strace_word;
	g_config.log = &g_log_word;
	g_strace_word = c->strace;
	g_log_word = c->log;
	if (c->raw_console)
		console_set_raw();
	g_shutdown_timeout = c->timeout;
	g_config.recover_ns = (uint64_t)c->recover * 1000000000u;
}
