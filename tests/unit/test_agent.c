/* SPDX-License-Identifier: MIT */
/* The agent without Xen: its client of xenstore, its configuration, its guests. */
#include "services/agent/agent.h"
#include "services/agent/swap.h"
#include "tests/unit/fake_store.h"
#include "tests/unit/suite.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <xen/io/xs_wire.h>

#define BASE "/local/domain/3/strait/file"
#define DATA "/local/domain/3/data/strait/file"
#define ID "00112233445566778899aabbccddeeff"

static struct agent g_agent;
static char g_calls[512]; /* what the service was told */
static char g_said[1024];
static int g_service_err;

/* ---- what main.c and service.c do in the agent ---- */

void say(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(g_said, sizeof(g_said), fmt, ap);
	va_end(ap);
}

int service_add(struct agent *a, const struct config_guest *g)
{
	(void)a;
	snprintf(g_calls + strlen(g_calls), 64, "add %u; ", g->domid);
	return g_service_err;
}

int service_prepare(struct agent *a, int sock, const struct config_guest *g)
{
	(void)a;
	snprintf(g_calls + strlen(g_calls), 64, "prepare %u at %d; ", g->domid, sock);
	return g_service_err;
}

int service_gone(struct agent *a, uint32_t domid)
{
	(void)a;
	snprintf(g_calls + strlen(g_calls), 64, "gone %u; ", domid);
	return 0;
}

/* ---- a service's life ---- */

static uint64_t g_now;

uint64_t now_ms(void)
{
	return g_now;
}

int service_ping(struct agent *a, uint64_t nonce)
{
	(void)a;
	snprintf(g_calls + strlen(g_calls), 64, "ping %u; ", (unsigned)nonce);
	return 0;
}

int service_ask_status(struct agent *a)
{
	(void)a;
	strcat(g_calls, "status; ");
	return g_service_err;
}

int service_start(struct agent *a)
{
	(void)a;
	strcat(g_calls, "start; ");
	return 0;
}

void service_stop(struct agent *a)
{
	(void)a;
	strcat(g_calls, "stop; ");
}

void service_lost(struct agent *a)
{
	a->service.pid = 0;
}

bool service_ended(struct agent *a)
{
	a->service.pid = 0;
	return true;
}

bool swap_took_end(struct agent *a, int status)
{
	(void)a;
	(void)status;
	return false;
}

void agent_state(struct agent *a, const char *text)
{
	(void)a;
	(void)text;
}

void agent_fail(struct agent *a, const char *fmt, ...)
{
	(void)fmt;
	a->failed = true;
}

static bool told(const char *what)
{
	const bool same = strcmp(g_calls, what) == 0;

	if (!same)
		fprintf(stderr, "told \"%s\", not \"%s\"\n", g_calls, what);
	g_calls[0] = 0;
	return same;
}

static void start(void)
{
	g_agent = (struct agent){.domid = 3, .base = BASE, .data = DATA, .name = "file"};
	g_agent.service.ready = true;
	store_init(&g_agent.store, fake_store_start());
	g_calls[0] = g_said[0] = 0;
	g_service_err = 0;
}

static void stop(void)
{
	guests_end(&g_agent);
	store_close(&g_agent.store);
	fake_store_stop();
}

/* ---- the client ---- */

static void nodes_are_read_and_written(void)
{
	struct store *s = &g_agent.store;
	char text[16], **names;

	start();
	fake_store_set("/local/a", "one");
	fake_store_set("/local/b/c", "two");
	CU_ASSERT_EQUAL(store_read(s, "/local/a", text, sizeof(text)), 3);
	CU_ASSERT_STRING_EQUAL(text, "one");
	CU_ASSERT_EQUAL(store_read(s, "/local/none", text, sizeof(text)), -ENOENT);
	CU_ASSERT_EQUAL(store_write(s, "/local/d", "three"), 0);
	CU_ASSERT_STRING_EQUAL(fake_store_get("/local/d"), "three");
	CU_ASSERT_EQUAL(store_share(s, "/local/d", 3, 9), 0);
	CU_ASSERT_STRING_EQUAL(fake_store_perms("/local/d"), "n3 r9");
	CU_ASSERT_EQUAL(store_list(s, "/local", &names), 3);
	CU_ASSERT_PTR_NULL(names[3]);
	store_list_free(names);
	CU_ASSERT_EQUAL(store_rm(s, "/local/b"), 0);
	CU_ASSERT_FALSE(fake_store_has("/local/b"));
	CU_ASSERT_EQUAL(store_watch(s, "@releaseDomain", "t"), 0);
	CU_ASSERT_EQUAL(fake_store_watches(), 1);
	CU_ASSERT_EQUAL(store_domain_lives(s, 9), 0);
	fake_store_domain(9, true);
	CU_ASSERT_EQUAL(store_domain_lives(s, 9), 1);
	stop();
}

static void values_that_do_not_fit_are_refused(void)
{
	struct store *s = &g_agent.store;
	char text[8], large[5000];

	start();
	fake_store_set("/local/long", "12345678");
	CU_ASSERT_EQUAL(store_read(s, "/local/long", text, sizeof(text)), -EMSGSIZE);
	fake_store_set_bytes("/local/nul", "a\0b", 3);
	CU_ASSERT_EQUAL(store_read(s, "/local/nul", text, sizeof(text)), -EINVAL);
	memset(large, 'x', sizeof(large));
	large[sizeof(large) - 1] = 0;
	CU_ASSERT_EQUAL(store_write(s, "/local/large", large), -E2BIG);
	CU_ASSERT_EQUAL(store_read(s, "/local/long", large, sizeof(large)), 8);
	stop();
}

static void an_event_between_request_and_answer_is_kept(void)
{
	struct store *s = &g_agent.store;
	struct store_event *e;
	char text[16];
	int err;

	start();
	fake_store_set("/local/a", "one");
	fake_store_event_first("/local/watched", "tok");
	CU_ASSERT_EQUAL(store_read(s, "/local/a", text, sizeof(text)), 3);
	e = store_event(s, &err);
	CU_ASSERT_PTR_NOT_NULL_FATAL(e);
	CU_ASSERT_STRING_EQUAL(e->path, "/local/watched");
	CU_ASSERT_STRING_EQUAL(e->token, "tok");
	free(e);
	CU_ASSERT_PTR_NULL(store_event(s, &err));
	CU_ASSERT_EQUAL(err, 0);
	fake_store_event("/local/x", "two");
	struct pollfd p = {.fd = s->fd, .events = POLLIN};

	CU_ASSERT_EQUAL(poll(&p, 1, 5000), 1);
	e = store_event(s, &err);
	CU_ASSERT_PTR_NOT_NULL_FATAL(e);
	CU_ASSERT_STRING_EQUAL(e->token, "two");
	free(e);
	stop();
}

static void after(const void *answer, size_t len, int want)
{
	char text[16];

	start();
	fake_store_set("/local/a", "one");
	fake_store_answer_raw(answer, len);
	CU_ASSERT_EQUAL(store_read(&g_agent.store, "/local/a", text, sizeof(text)), want);
	/* out of step: nothing is read from it again */
	CU_ASSERT_EQUAL(g_agent.store.fd, -1);
	CU_ASSERT_EQUAL(store_read(&g_agent.store, "/local/a", text, sizeof(text)), -EPIPE);
	stop();
}

static void an_answer_that_makes_no_sense_ends_the_connection(void)
{
	struct xsd_sockmsg h = {.type = XS_READ, .req_id = 1, .len = 5000};

	after(&h, sizeof(h), -EIO); /* longer than can be */
	h.len = 0;
	h.req_id = 77;
	after(&h, sizeof(h), -EIO); /* to another request */
}

static void an_unknown_error_is_an_error(void)
{
	const struct {
		struct xsd_sockmsg h;
		char text[8];
	} m = {{.type = XS_ERROR, .req_id = 1, .len = 8}, "EWEIRD"};
	char text[16];

	start();
	fake_store_answer_raw(&m, sizeof(m));
	CU_ASSERT_EQUAL(store_read(&g_agent.store, "/local/a", text, sizeof(text)), -EIO);
	stop();
}

static void a_xenstored_that_goes_is_noticed(void)
{
	char text[16];
	int err;

	start();
	fake_store_stop();
	CU_ASSERT_EQUAL(store_read(&g_agent.store, "/local/a", text, sizeof(text)) < 0, 1);
	CU_ASSERT_PTR_NULL(store_event(&g_agent.store, &err));
	CU_ASSERT(err < 0);
	store_close(&g_agent.store);
}

/* ---- configuration ---- */

static void file_config(void)
{
	fake_store_set(BASE "/config/mounts/0/guest", "/");
	fake_store_set(BASE "/config/mounts/0/kind", "mem");
	fake_store_set(BASE "/config/kind", "file");
}

static void a_configuration_has_defaults(void)
{
	struct config c;
	char why[CONFIG_WHY];

	start();
	CU_ASSERT_EQUAL(config_read(&g_agent.store, BASE, &c, why), -EAGAIN);
	file_config();
	fake_store_set(BASE "/config/mounts/1/guest", "/data");
	fake_store_set(BASE "/config/mounts/1/kind", "dir");
	fake_store_set(BASE "/config/mounts/1/source", "/dev/xvda");
	CU_ASSERT_EQUAL_FATAL(config_read(&g_agent.store, BASE, &c, why), 0);
	CU_ASSERT_EQUAL(c.kind, KIND_FILE);
	CU_ASSERT_EQUAL(c.epoch, 1);
	CU_ASSERT_EQUAL(c.n_mounts, 2);
	CU_ASSERT(c.squash && c.squash_uid == 65534);
	for (unsigned i = 0; i < 2; i++) {
		CU_ASSERT(c.mounts[i].exclusive);
		CU_ASSERT_FALSE(c.mounts[i].read_only);
		if (!c.mounts[i].memory)
			CU_ASSERT_STRING_EQUAL(c.mounts[i].fstype, "ext4");
	}
	fake_store_set(BASE "/config/squash", "none");
	CU_ASSERT_EQUAL(config_read(&g_agent.store, BASE, &c, why), 0);
	CU_ASSERT_FALSE(c.squash);
	fake_store_set(BASE "/config/squash", "7:8");
	CU_ASSERT_EQUAL(config_read(&g_agent.store, BASE, &c, why), 0);
	CU_ASSERT(c.squash && c.squash_uid == 7 && c.squash_gid == 8);
	stop();
}

static void a_net_configuration_is_read(void)
{
	struct config c;
	char why[CONFIG_WHY];

	start();
	fake_store_set(BASE "/config/kind", "net");
	fake_store_set(BASE "/config/ip4", "10.0.0.2/24");
	fake_store_set(BASE "/config/ip6", "fd00::2/64");
	fake_store_set(BASE "/config/gateway4", "10.0.0.1");
	fake_store_set(BASE "/config/dns", "10.0.0.1 fd00::1");
	CU_ASSERT_EQUAL_FATAL(config_read(&g_agent.store, BASE, &c, why), 0);
	CU_ASSERT_STRING_EQUAL(c.stack, "lwip");
	CU_ASSERT_STRING_EQUAL(c.interface, "eth0");
	CU_ASSERT(c.ip4.len == 4 && c.ip4.prefix == 24 && c.ip4.addr[0] == 10);
	CU_ASSERT(c.ip6.len == 16 && c.ip6.prefix == 64);
	CU_ASSERT(c.gateway4.len == 4 && c.gateway6.len == 0);
	CU_ASSERT(c.n_dns == 2 && c.dns[1].len == 16);
	stop();
}

/* One wrong node: an error, and a sentence that names it. */
static void wrong(const char *node, const void *value, size_t len)
{
	struct config c;
	char why[CONFIG_WHY] = "", path[256];

	snprintf(path, sizeof(path), BASE "/config/%s", node);
	fake_store_set_bytes(path, value, len);
	CU_ASSERT(config_read(&g_agent.store, BASE, &c, why) < 0);
	if (!strstr(why, node) || strpbrk(why, "\n\033"))
		fprintf(stderr, "%s: says \"%s\"\n", node, why);
	CU_ASSERT_PTR_NOT_NULL(strstr(why, node));
	CU_ASSERT_PTR_NULL(strpbrk(why, "\n\033"));
	fake_store_rm(path);
}

static void a_wrong_node_is_named(void)
{
	static const char *const pairs[][2] = {
		{"hang", "-1"}, {"hang", "86401"},
		{"epoch", ""}, {"epoch", "-1"}, {"epoch", "4294967296"}, {"log", "9"},
		{"log", "1 "}, {"trace", "yes"}, {"squash", "root"}, {"squash", "1:"},
		{"squash", "1:2:3"}, {"squash", "4294967295"}, {"mounts/1/guest", "data"},
		{"mounts/0/size", "x"}, {"mounts/0/size", "99999999999999999999"},
		{"mounts/0/ro", "2"}, {"mounts/0/fstype", "../x"}, {"epoch", "\033[2J\n"},
	};
	static const char *const net[][2] = {
		{"ip4", "10.0.0.2"}, {"ip4", "10.0.0.2/33"}, {"ip4", "fd00::1/64"}, {"ip4", "/"},
		{"ip6", "::/129"}, {"gateway4", "10.0.0.1/24"}, {"dns", "a b"},
		{"dns", "1.1.1.1 1.1.1.1 1.1.1.1 1.1.1.1 1.1.1.1"}, {"stack", "linux"},
		{"interface", "../x"}, {"mtu", "100"}, {"port-min", "65536"},
	};
	char longer[300];

	start();
	file_config();
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
		wrong(pairs[i][0], pairs[i][1], strlen(pairs[i][1]));
	wrong("epoch", "1\0", 2);
	memset(longer, '/', sizeof(longer));
	wrong("mounts/0/guest", longer, sizeof(longer));
	fake_store_set(BASE "/config/mounts/0/guest", "/");
	wrong("mounts/0/kind", "disk", 4);
	wrong("kind", "disk", 4);
	fake_store_set(BASE "/config/kind", "net");
	for (size_t i = 0; i < sizeof(net) / sizeof(net[0]); i++)
		wrong(net[i][0], net[i][1], strlen(net[i][1]));
	stop();
}

static void too_many_or_no_mounts_are_refused(void)
{
	struct config c;
	char why[CONFIG_WHY], path[256];

	start();
	fake_store_set(BASE "/config/kind", "file");
	CU_ASSERT(config_read(&g_agent.store, BASE, &c, why) < 0);
	for (int i = 0; i <= CONFIG_MOUNTS_MAX; i++) {
		snprintf(path, sizeof(path), BASE "/config/mounts/%d/guest", i);
		fake_store_set(path, "/");
		snprintf(path, sizeof(path), BASE "/config/mounts/%d/kind", i);
		fake_store_set(path, "mem");
	}
	CU_ASSERT(config_read(&g_agent.store, BASE, &c, why) < 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(why, "more than"));
	stop();
}

static void names_and_numbers_are_checked(void)
{
	CU_ASSERT(config_valid_name("file") && config_valid_name("a-B_9"));
	CU_ASSERT_FALSE(config_valid_name(""));
	CU_ASSERT_FALSE(config_valid_name("a/b"));
	CU_ASSERT_FALSE(config_valid_name("123456789012345678901234567890123"));
	CU_ASSERT_EQUAL(config_domid("0"), 0);
	CU_ASSERT_EQUAL(config_domid("32751"), 32751);
	CU_ASSERT_EQUAL(config_domid("32752"), -EINVAL);
	CU_ASSERT_EQUAL(config_domid("-1"), -EINVAL);
	CU_ASSERT_EQUAL(config_domid("7x"), -EINVAL);
	CU_ASSERT_EQUAL(config_domid(""), -EINVAL);
}

/* ---- guests ---- */

static void announce(unsigned domid, const char *uuid)
{
	char path[128];

	snprintf(path, sizeof(path), BASE "/guests/%u/client-id", domid);
	fake_store_set(path, ID);
	snprintf(path, sizeof(path), BASE "/guests/%u/uuid", domid);
	fake_store_set(path, uuid);
	fake_store_domain(domid, true);
}

static void an_announced_guest_gets_its_nodes(void)
{
	start();
	guests_look(&g_agent); /* no node at all: nobody */
	CU_ASSERT(told(""));
	announce(5, "u5");
	guests_look(&g_agent);
	CU_ASSERT(told("add 5; "));
	CU_ASSERT_EQUAL(memcmp(g_agent.guests->c.client_id, "\x00\x11\x22\x33", 4), 0);
	guests_look(&g_agent);
	CU_ASSERT(told(""));
	guests_ready(&g_agent, 5, 812, 33);
	CU_ASSERT_STRING_EQUAL(fake_store_get(DATA "/5/ring-ref"), "812");
	CU_ASSERT_STRING_EQUAL(fake_store_get(DATA "/5/event-channel"), "33");
	CU_ASSERT_STRING_EQUAL(fake_store_perms(DATA "/5/ring-ref"), "n3 r5");
	CU_ASSERT_STRING_EQUAL(fake_store_perms(DATA "/5/event-channel"), "n3 r5");
	CU_ASSERT_STRING_EQUAL(fake_store_get(DATA "/guests/5/state"), "ready");
	guests_ready(&g_agent, 9, 1, 1); /* nobody */
	CU_ASSERT_FALSE(fake_store_has(DATA "/9"));
	stop();
}

static void a_node_in_the_making_is_waited_for(void)
{
	start();
	fake_store_set(BASE "/guests/5/client-id", ID);
	fake_store_domain(5, true);
	guests_look(&g_agent);
	CU_ASSERT(told(""));
	CU_ASSERT_STRING_EQUAL(g_said, "");
	fake_store_set(BASE "/guests/5/uuid", "u");
	guests_look(&g_agent);
	CU_ASSERT(told("add 5; "));
	stop();
}

static void ready(unsigned domid)
{
	announce(domid, "u");
	guests_look(&g_agent);
	guests_ready(&g_agent, domid, 8, 9);
	g_calls[0] = 0;
}

static bool channel_is(unsigned domid, const char *ref, const char *port, const char *epoch)
{
	const char *const names[3] = {"ring-ref", "event-channel", "epoch"};
	const char *const values[3] = {ref, port, epoch};
	char path[128];

	for (int i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), DATA "/%u/%s", domid, names[i]);
		if (!fake_store_has(path) || strcmp(fake_store_get(path), values[i]) != 0)
			return false;
	}
	return true;
}

/* A domain that stands by: the nodes are there before anybody is served. */
static void a_next_domain_has_its_channels_ready(void)
{
	start();
	announce(5, "u5");
	announce(6, "u6");
	g_agent.config.epoch = 1001;
	g_agent.swap.state = SWAP_STANDBY;
	prepare_guests(&g_agent, 7);
	CU_ASSERT(strstr(g_calls, "prepare 5 at 7; ") && strstr(g_calls, "prepare 6 at 7; "));
	g_calls[0] = 0;
	CU_ASSERT_FALSE(prepare_done(&g_agent));
	CU_ASSERT(prepare_made(&g_agent, 5, 812, 33));
	CU_ASSERT_FALSE(prepare_made(&g_agent, 5, 1, 1)); /* once */
	CU_ASSERT_FALSE(prepare_made(&g_agent, 9, 1, 1)); /* nobody */
	CU_ASSERT(prepare_failed(&g_agent, 6));
	CU_ASSERT_FALSE(prepare_failed(&g_agent, 6));
	CU_ASSERT(prepare_done(&g_agent));
	CU_ASSERT(channel_is(5, "812", "33", "1001"));
	CU_ASSERT_STRING_EQUAL(fake_store_perms(DATA "/5/epoch"), "n3 r5");
	CU_ASSERT_FALSE(fake_store_has(DATA "/guests/5/state"));
	CU_ASSERT_PTR_NULL(g_agent.guests);
	g_agent.swap.state = SWAP_TAKEN;
	prepare_serve(&g_agent);
	CU_ASSERT(told("add 5; "));
	CU_ASSERT_STRING_EQUAL(fake_store_get(DATA "/guests/5/state"), "ready");
	guests_ready(&g_agent, 5, 1, 1); /* said again by the service: known */
	CU_ASSERT(channel_is(5, "812", "33", "1001"));
	g_agent.swap.state = SWAP_NONE;
	guests_look(&g_agent); /* who could not be prepared is a new guest */
	CU_ASSERT(told("add 6; "));
	stop();
}

/* Another process of this domain: the nodes change at the switch, and are never away. */
static void a_next_process_takes_the_nodes_over(void)
{
	start();
	ready(5);
	ready(6);
	g_agent.config.epoch = 3;
	g_agent.swap.state = SWAP_CHECK;
	prepare_guests(&g_agent, 7);
	g_calls[0] = 0;
	CU_ASSERT(prepare_made(&g_agent, 5, 20, 21));
	CU_ASSERT(prepare_failed(&g_agent, 6));
	CU_ASSERT_STRING_EQUAL(fake_store_get(DATA "/5/ring-ref"), "8");
	g_agent.config.epoch = 4;
	g_agent.swap.state = SWAP_SETTLE;
	guests_change_over(&g_agent);
	CU_ASSERT_STRING_EQUAL(fake_store_get(DATA "/5/ring-ref"), "8");
	CU_ASSERT_FALSE(fake_store_has(DATA "/6"));
	prepare_serve(&g_agent);
	CU_ASSERT(told("add 5; "));
	CU_ASSERT(channel_is(5, "20", "21", "4"));
	CU_ASSERT_STRING_EQUAL(fake_store_perms(DATA "/5/ring-ref"), "n3 r5");
	g_agent.swap.state = SWAP_NONE;
	guests_look(&g_agent);
	CU_ASSERT(told("add 6; "));
	stop();
}

/* Each way: with pipelined requests, and where each waits for its answer. */
static void many_nodes_are_written_at_once(void)
{
	struct store_put puts[3] = {{DATA "/a", "1", 5}, {DATA "/b", "2", STORE_NOBODY},
	                            {DATA "/c", "3", 6}};

	for (int waits = 0; waits < 2; waits++) {
		start();
		g_agent.store.waits = waits;
		CU_ASSERT_EQUAL(store_put_all(&g_agent.store, 3, puts, 3), 0);
		CU_ASSERT_STRING_EQUAL(fake_store_get(DATA "/a"), "1");
		CU_ASSERT_STRING_EQUAL(fake_store_get(DATA "/b"), "2");
		CU_ASSERT_STRING_EQUAL(fake_store_perms(DATA "/c"), "n3 r6");
		CU_ASSERT_EQUAL(store_put_all(&g_agent.store, 3, puts, STORE_PUTS_MAX + 1), -E2BIG);
		CU_ASSERT_EQUAL(store_write(&g_agent.store, DATA "/d", "4"), 0); /* in step */
		stop();
	}
}

static void a_destroyed_guest_is_released(void)
{
	start();
	ready(5);
	fake_store_domain(5, false); /* and its node still stands */
	guests_look(&g_agent);
	CU_ASSERT(told("gone 5; "));
	CU_ASSERT_FALSE(fake_store_has(DATA "/5"));
	guests_look(&g_agent);
	CU_ASSERT(told(""));
	guests_released(&g_agent, 5);
	CU_ASSERT_FALSE(fake_store_has(DATA "/guests/5"));
	guests_look(&g_agent); /* a dead domain's node is nobody */
	CU_ASSERT(told(""));
	fake_store_rm(BASE "/guests/5");
	guests_look(&g_agent);
	CU_ASSERT(told(""));
	CU_ASSERT_PTR_NULL(g_agent.guests);
	stop();
}

static void outside_of_dom0_a_node_shows_who_lives(void)
{
	start();
	fake_store_private(true);
	ready(5);
	guests_look(&g_agent); /* dom0 shows nothing: nobody is judged by that */
	CU_ASSERT(told(""));
	fake_store_set("/local/domain/5/strait/file/alive", "1");
	guests_look(&g_agent);
	CU_ASSERT(told(""));
	fake_store_rm("/local/domain/5"); /* with its domain */
	guests_look(&g_agent);
	CU_ASSERT(told("gone 5; "));
	guests_released(&g_agent, 5);
	guests_look(&g_agent);
	CU_ASSERT(told("")); /* not taken for a new one */
	announce(5, "other");
	guests_look(&g_agent);
	CU_ASSERT(told("add 5; "));
	stop();
}

static void a_guest_whose_node_goes_is_released(void)
{
	start();
	ready(5);
	fake_store_rm(BASE "/guests/5");
	guests_look(&g_agent);
	CU_ASSERT(told("gone 5; "));
	guests_released(&g_agent, 5);
	CU_ASSERT_PTR_NULL(g_agent.guests);
	stop();
}

static void a_number_used_again_is_another_guest(void)
{
	start();
	ready(5);
	announce(5, "other");
	guests_look(&g_agent);
	CU_ASSERT(told("gone 5; "));
	guests_released(&g_agent, 5);
	CU_ASSERT(told("add 5; "));
	stop();
}

static void a_guest_that_left_is_not_taken_again(void)
{
	start();
	ready(5);
	guests_released(&g_agent, 5); /* it closed its channel */
	CU_ASSERT_FALSE(fake_store_has(DATA "/5"));
	guests_look(&g_agent);
	CU_ASSERT(told(""));
	fake_store_domain(5, false);
	guests_look(&g_agent);
	CU_ASSERT(told("")); /* nothing to tell */
	fake_store_rm(BASE "/guests/5");
	guests_look(&g_agent);
	CU_ASSERT(told(""));
	CU_ASSERT_PTR_NULL(g_agent.guests);
	stop();
}

static void a_wrong_node_of_a_guest_refuses_that_guest(void)
{
	start();
	announce(5, "u");
	announce(6, "u");
	fake_store_set(BASE "/guests/5/client-id", "short");
	fake_store_set(BASE "/guests/nonsense/uuid", "u");
	guests_look(&g_agent);
	CU_ASSERT(told("add 6; "));
	CU_ASSERT_PTR_NOT_NULL(strstr(fake_store_get(DATA "/guests/5/state"), "failed: "));
	CU_ASSERT_PTR_NOT_NULL(strstr(fake_store_get(DATA "/guests/5/state"), "client-id"));
	fake_store_set(BASE "/guests/5/client-id", ID); /* corrected */
	guests_look(&g_agent);
	CU_ASSERT(told("add 5; "));
	stop();
}

static void a_guest_that_the_service_refuses_stays_refused(void)
{
	start();
	announce(5, "u");
	guests_look(&g_agent);
	guests_failed(&g_agent, 5, "fsd: out of grants");
	CU_ASSERT_STRING_EQUAL(fake_store_get(DATA "/guests/5/state"), "failed: fsd: out of grants");
	CU_ASSERT(told("add 5; "));
	guests_look(&g_agent);
	CU_ASSERT(told(""));
	fake_store_rm(BASE "/guests/5");
	guests_look(&g_agent);
	CU_ASSERT(told(""));
	CU_ASSERT_PTR_NULL(g_agent.guests);
	stop();
}

static void nobody_is_added_to_a_service_that_is_not_ready(void)
{
	start();
	announce(5, "u");
	g_agent.service.ready = false;
	guests_look(&g_agent);
	CU_ASSERT(told(""));
	stop();
}

static void credentials_are_read(void)
{
	struct config_guest g;
	char why[CONFIG_WHY];

	start();
	announce(5, "u");
	fake_store_set(BASE "/guests/5/uid", "1000");
	fake_store_set(BASE "/guests/5/groups", "4,24 27");
	CU_ASSERT_EQUAL(config_read_guest(&g_agent.store, BASE, 5, &g, why), 0);
	CU_ASSERT(g.uid == 1000 && g.gid == 1000 && g.n_groups == 3 && g.groups[2] == 27);
	fake_store_set(BASE "/guests/5/groups", "4,x");
	CU_ASSERT(config_read_guest(&g_agent.store, BASE, 5, &g, why) < 0);
	fake_store_rm(BASE "/guests/5/groups");
	fake_store_set(BASE "/guests/5/uid", "4294967295");
	CU_ASSERT(config_read_guest(&g_agent.store, BASE, 5, &g, why) < 0);
	stop();
}

/* A process that stands for the service; is it killed? */
static void start_service(void)
{
	start();
	g_now = 1000000;
	g_agent.config.hang = 15;
	g_agent.service.ping_ms = g_now;
	g_agent.service.pid = fork();
	if (g_agent.service.pid == 0) {
		pause();
		_exit(0);
	}
}

static bool is_killed(int flags)
{
	int status;

	return waitpid(g_agent.service.pid, &status, flags) == g_agent.service.pid &&
	       WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

static void stop_service(bool killed)
{
	if (!killed) {
		CU_ASSERT_FALSE(is_killed(WNOHANG));
		(void)kill(g_agent.service.pid, SIGKILL);
	}
	(void)waitpid(g_agent.service.pid, NULL, 0);
	stop();
}

static void step_ms(unsigned ms)
{
	g_now += ms;
	CU_ASSERT(life_step(&g_agent) <= 5000);
}

static void a_service_that_does_not_answer_is_killed(void)
{
	start_service();
	step_ms(100);
	CU_ASSERT(told(""));
	for (unsigned i = 1; i < 4; i++) {
		step_ms(5000);
		CU_ASSERT_EQUAL(g_agent.service.ping, i);
		life_pong(&g_agent, i);
	}
	CU_ASSERT(told("ping 1; ping 2; ping 3; "));
	step_ms(5000); /* asked, and no answer from now on */
	step_ms(5000);
	step_ms(5000);
	CU_ASSERT_PTR_NULL(strstr(g_said, "is killed"));
	step_ms(5000);
	CU_ASSERT_STRING_EQUAL(g_said, "fsd does not answer for 15 s and is killed");
	CU_ASSERT(is_killed(0));
	stop_service(true);
}

/* The whole domain was paused: neither had the CPU. */
static void time_that_we_did_not_have_is_no_silence(void)
{
	start_service();
	step_ms(5000);
	step_ms(3600000);
	life_pong(&g_agent, 1);
	step_ms(5000);
	CU_ASSERT(told("ping 1; ping 2; "));
	stop_service(false);
}

static void nobody_is_judged_with_hang_0(void)
{
	start_service();
	g_agent.config.hang = 0;
	CU_ASSERT_EQUAL(life_step(&g_agent), -1);
	step_ms(3600000);
	CU_ASSERT(told(""));
	stop_service(false);
}

static void the_watcher_is_answered(void)
{
	start();
	CU_ASSERT_FALSE(life_answers(&g_agent, "strait"));
	CU_ASSERT_FALSE(life_answers(&g_agent, "strait/file/guests/5/uuid"));
	CU_ASSERT_FALSE(life_answers(&g_agent, "strait/net/ping"));
	CU_ASSERT_FALSE(fake_store_has(DATA "/pong"));
	fake_store_set(BASE "/ping", "17");
	CU_ASSERT_TRUE(life_answers(&g_agent, "strait/file/ping"));
	CU_ASSERT_STRING_EQUAL(fake_store_get(DATA "/pong"), "17");
	fake_store_rm(BASE "/ping"); /* it may go with its folder */
	CU_ASSERT_TRUE(life_answers(&g_agent, "strait/file/ping"));
	stop();
}

/* The question's id comes back with the numbers; without a service there is no answer. */
static void what_the_service_has_to_do_is_told(void)
{
	start();
	g_now = 100000;
	g_agent.service.up_ms = 38000;
	g_agent.config.epoch = 7;
	CU_ASSERT_FALSE(status_asked(&g_agent, "strait/file/ping"));
	fake_store_set(BASE "/ps", "abc");
	CU_ASSERT_TRUE(status_asked(&g_agent, "strait/file/ps"));
	CU_ASSERT(told("status; "));
	CU_ASSERT_FALSE(fake_store_has(DATA "/ps"));
	status_answered(&g_agent, 2, 1, 5);
	CU_ASSERT_STRING_EQUAL(fake_store_get(DATA "/ps"), "abc 7 62 2 1 5");

	fake_store_rm(DATA "/ps");
	status_answered(&g_agent, 2, 1, 5); /* nobody asked */
	CU_ASSERT_FALSE(fake_store_has(DATA "/ps"));
	g_agent.service.ready = false;
	CU_ASSERT_TRUE(status_asked(&g_agent, "strait/file/ps"));
	CU_ASSERT(told(""));
	status_answered(&g_agent, 2, 1, 5);
	CU_ASSERT_FALSE(fake_store_has(DATA "/ps"));
	stop();
}

/* A service swapped in at 1000 s, which ends @ms later, @ready or not; what is started
 * next is then @program. */
static bool next_after(const char *before, const char *new, unsigned ms, bool ready,
                       const char *program)
{
	struct service *s = &g_agent.service;

	start();
	s->lives = 2;
	s->ready = ready;
	s->on_trial = true;
	s->pid = 1;
	snprintf(s->program, sizeof(s->program), "%s", new);
	snprintf(s->before, sizeof(s->before), "%s", before);
	s->up_ms = 1000000;
	g_now = s->up_ms + ms;
	service_died(&g_agent, 9 << 8);
	const bool same = strcmp(s->program, program) == 0 && !s->on_trial && !g_agent.failed;

	(void)life_step(&g_agent);
	const bool again = told("start; ");

	stop();
	return same && again;
}

static void what_was_swapped_in_and_does_not_live_gives_way(void)
{
	CU_ASSERT(next_after("/old/fsd", "/new/fsd", 300, true, "/old/fsd"));
	CU_ASSERT_STRING_EQUAL(g_said, "fsd ended unasked (exit status 9); epoch 1 follows");
	CU_ASSERT(next_after("", "/new/fsd", 9999, true, ""));
	CU_ASSERT(next_after("/old/fsd", "", 0, false, "/old/fsd"));
	CU_ASSERT(next_after("/old/fsd", "/new/fsd", 10000, true, "/new/fsd")); /* it has lived */
}

int main(void)
{
	static CU_TestInfo tests[] = {
		TEST(nodes_are_read_and_written),
		TEST(values_that_do_not_fit_are_refused),
		TEST(an_event_between_request_and_answer_is_kept),
		TEST(an_answer_that_makes_no_sense_ends_the_connection),
		TEST(an_unknown_error_is_an_error),
		TEST(a_xenstored_that_goes_is_noticed),
		TEST(a_configuration_has_defaults),
		TEST(a_net_configuration_is_read),
		TEST(a_wrong_node_is_named),
		TEST(too_many_or_no_mounts_are_refused),
		TEST(names_and_numbers_are_checked),
		TEST(an_announced_guest_gets_its_nodes),
		TEST(a_node_in_the_making_is_waited_for),
		TEST(a_next_domain_has_its_channels_ready),
		TEST(a_next_process_takes_the_nodes_over),
		TEST(many_nodes_are_written_at_once),
		TEST(a_destroyed_guest_is_released),
		TEST(outside_of_dom0_a_node_shows_who_lives),
		TEST(a_guest_whose_node_goes_is_released),
		TEST(a_number_used_again_is_another_guest),
		TEST(a_guest_that_left_is_not_taken_again),
		TEST(a_wrong_node_of_a_guest_refuses_that_guest),
		TEST(a_guest_that_the_service_refuses_stays_refused),
		TEST(nobody_is_added_to_a_service_that_is_not_ready),
		TEST(credentials_are_read),
		TEST(a_service_that_does_not_answer_is_killed),
		TEST(time_that_we_did_not_have_is_no_silence),
		TEST(nobody_is_judged_with_hang_0),
		TEST(the_watcher_is_answered),
		TEST(what_the_service_has_to_do_is_told),
		TEST(what_was_swapped_in_and_does_not_live_gives_way),
		CU_TEST_INFO_NULL,
	};

	(void)signal(SIGPIPE, SIG_IGN); /* as main.c does */
	return suite_run("agent", NULL, NULL, tests);
}
