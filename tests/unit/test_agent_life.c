/* SPDX-License-Identifier: MIT */
/* The agent without Xen: a service's instances, one after the other and side by side. */
#include "tests/unit/agent_stand.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- a swap: channels ahead ---- */

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
	CU_ASSERT_EQUAL(prepare_serve(&g_agent), 1);
	CU_ASSERT(told("add 5; "));
	CU_ASSERT_FALSE(fake_store_has(DATA "/guests/5/state"));
	prepare_say(&g_agent);
	CU_ASSERT_STRING_EQUAL(fake_store_get(DATA "/guests/5/state"), "ready");
	CU_ASSERT_FATAL(g_agent.guests != NULL);
	CU_ASSERT_FALSE(g_agent.guests->back);
	guests_back(&g_agent, 9); /* nobody */
	guests_back(&g_agent, 5);
	CU_ASSERT(g_agent.guests->back);
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
	CU_ASSERT_EQUAL(prepare_serve(&g_agent), 1);
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
		TEST(a_next_domain_has_its_channels_ready),
		TEST(a_next_process_takes_the_nodes_over),
		TEST(many_nodes_are_written_at_once),
		TEST(a_service_that_does_not_answer_is_killed),
		TEST(time_that_we_did_not_have_is_no_silence),
		TEST(nobody_is_judged_with_hang_0),
		TEST(the_watcher_is_answered),
		TEST(what_the_service_has_to_do_is_told),
		TEST(what_was_swapped_in_and_does_not_live_gives_way),
		CU_TEST_INFO_NULL,
	};

	(void)signal(SIGPIPE, SIG_IGN); /* as main.c does */
	return suite_run("agent_life", NULL, NULL, tests);
}
