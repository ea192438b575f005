/* SPDX-License-Identifier: MIT */
/*
 * run_name.c - what others ask a running instance by its name: strait ps, stop,
 * strace, and a guest that wants to join.
 */
#include "tools/strait/run.h"

#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#define STOP_KILL_MS 10000
#define ASK_MAX 4400  /* a path, and more */
#define STATUS_MS 100 /* a service that does not answer is shown without */

/* Ask the services how much they have to do, and wait for that a moment. */
static void ask_status(struct run *r)
{
	const uint64_t end = run_now() + STATUS_MS;

	for (int i = 0; i < N_SERVICES; i++) {
		struct service *s = &r->service[i];

		if (!r->o.join && s->used)
			service_ask_status(s);
		while (s->status_owed && s->cur.sock >= 0 && run_now() < end) {
			struct pollfd p = { .fd = s->cur.sock, .events = POLLIN };

			if (poll(&p, 1, (int)(end - run_now())) > 0)
				service_readable(r, s, &s->cur);
		}
	}
}

static const char *life_word(const struct service *s)
{
	static const char *const words[] = { "starting", "up", "down", "starting again", "gone" };

	if (s->life == LIFE_UP && s->cur.ended)
		return words[LIFE_DOWN]; /* what is left of it ends, too */
	return s->life == LIFE_UP && s->next.pid ? "up, its next is starting" : words[s->life];
}

static void service_line(const struct run *r, const struct service *s, char *out, size_t size)
{
	const bool lives = s->cur.pid && !s->cur.ended; /* else it is its namespace that is left */
	const uint64_t up = lives ? (run_now() - s->cur.started) / 1000 : 0;
	const bool other = s->cur.kernel && r->o.net == NET_LWIP; /* than the guest's line says */
	char work[96] = "", pid[16] = "-"; /* never 0: `kill 0` is not meant */

	if (lives)
		snprintf(pid, sizeof(pid), "%d", (int)s->cur.pid);
	if (s->cur.ready && !s->status_owed)
		snprintf(work, sizeof(work), ", %u sessions, %u calls in flight, %u %s",
		         s->sessions, s->in_flight, s->objects,
		         s == &r->service[SERVICE_FSD] ? "files" : "sockets");
	snprintf(out, size, "\n  %-22s %8s %3llu:%02llu:%02llu epoch %u, %s, %u restarts%s",
	         other ? "netd (host)" : s->name, pid, (unsigned long long)up / 3600, (unsigned long long)up / 60 % 60,
	         (unsigned long long)up % 60, s->cur.epoch,
	         life_word(s), s->restarts, work);
}

static void answer_ps(struct run *r, char *out, size_t size)
{
	static const char *const nets[] = { "lwip", "host", "none" };
	char ports[512] = "";
	size_t n = 0;

	for (unsigned i = 0; i < r->o.n_ports && n < sizeof(ports); i++)
		n += (size_t)snprintf(ports + n, sizeof(ports) - n, "%s%s", i ? "," : "",
		                      r->o.ports[i].text);
	uint64_t up = (run_now() - r->started) / 1000;

	snprintf(out, size, "%-24s %8d %3llu:%02llu:%02llu %-5s %-16s %-24s %s", r->o.name,
	         (int)getpid(), (unsigned long long)up / 3600,
	         (unsigned long long)up / 60 % 60, (unsigned long long)up % 60,
	         nets[r->o.net], r->o.join ? r->o.join : "-", n ? ports : "-", r->o.argv[0]);
	if (r->o.join)
		return;
	ask_status(r);
	for (int i = 0; i < N_SERVICES; i++) {
		const size_t used = strlen(out);

		if (r->service[i].used)
			service_line(r, &r->service[i], out + used, size - used);
	}
}

/* One question, one answer; the asker has sent it with connect, or loses. */
void names_asked(struct run *r)
{
	struct timeval wait = { .tv_sec = 1 };
	char ask[ASK_MAX], reply[2048] = "what?";
	int c = accept4(r->name_sock, NULL, NULL, SOCK_CLOEXEC);

	if (c < 0)
		return;
	(void)setsockopt(c, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	ssize_t n = names_peer_allowed(c) ? recv(c, ask, sizeof(ask) - 1, 0) : 0;

	if (n > 0) {
		ask[n] = 0;
		if (!strcmp(ask, JOIN_WORD)) {
			joins_take(r, c, ask, (size_t)n);
			return;
		}
		if (!strncmp(ask, "restart ", 8) || !strncmp(ask, "swap ", 5)) {
			swap_asked(r, c, ask);
			return;
		}
		if (!strcmp(ask, "ps")) {
			answer_ps(r, reply, sizeof(reply));
		} else if (!strncmp(ask, "strace ", 7)) {
			r->o.strace = !strcmp(ask + 7, "on");
			if (r->doorbell)
				atomic_store(&r->doorbell->strace, r->o.strace);
			snprintf(reply, sizeof(reply), "ok");
		} else if (!strcmp(ask, "stop")) {
			struct signalfd_siginfo si = { .ssi_signo = SIGTERM, .ssi_code = SI_USER };

			guest_signal(r, &si);
			r->kill_at = run_now() + STOP_KILL_MS;
			snprintf(reply, sizeof(reply), "ok");
		}
		(void)!send(c, reply, strlen(reply), MSG_NOSIGNAL);
	}
	close(c);
}

