/* SPDX-License-Identifier: MIT */
/* The agent without Xen: its client of xenstore, its configuration, its guests. */
#include "tests/unit/agent_stand.h"

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
		TEST(a_destroyed_guest_is_released),
		TEST(outside_of_dom0_a_node_shows_who_lives),
		TEST(a_guest_whose_node_goes_is_released),
		TEST(a_number_used_again_is_another_guest),
		TEST(a_guest_that_left_is_not_taken_again),
		TEST(a_wrong_node_of_a_guest_refuses_that_guest),
		TEST(a_guest_that_the_service_refuses_stays_refused),
		TEST(nobody_is_added_to_a_service_that_is_not_ready),
		TEST(credentials_are_read),
		CU_TEST_INFO_NULL,
	};

	(void)signal(SIGPIPE, SIG_IGN); /* as main.c does */
	return suite_run("agent", NULL, NULL, tests);
}
