/* SPDX-License-Identifier: MIT */
/*
 * run_life.c - a service that ended is started again, and its guests get new rings.
 * The states are drawn in run.h.
 *
 * 1. The old instance is reaped before the next one starts: nothing of it can touch a
 *    file, the link or a ring any more.  A hung one is killed for that.
 * 2. A ring is never used by two instances: each guest gets a fresh one, as soon as
 *    the new instance has said that it serves it.
 * 3. A row of short lives (each ended within LIFE_SHORT_MS of being ready) counts as
 *    one absence, with longer and longer pauses: what a guest sends again and again
 *    may be what ends the service.
 */
#include "platform/linux/boot.h"
#include "rpc/limits.h"
#include "tools/strait/run.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define AGAIN_MS 10000      /* a new instance must be ready */
#define FAILURES_MAX 5u     /* instances in a row that never were */
#define BACKOFF_MS 10u      /* doubled each time ... */
#define NOT_READY_MS 200u   /* ... from here on where one failed to start: it may be
                               being exchanged on the disk */
#define BACKOFF_MAX_MS 1000u
#define LIFE_SHORT_MS 250u
#define PING_MS 1000u

bool service_is_up(const struct service *s)
{
	/* Else it is about to be found that it has ended. */
	return s->life == LIFE_UP && s->cur.sock >= 0 && !s->cur.ended;
}

bool services_ending(const struct run *r)
{
	return r->phase >= RUN_RELEASING || (r->result >= 0 && r->hold < 0);
}

static bool own_guest(const struct run *r, const struct service *s)
{
	return r->guest && r->phase == RUN_RUNNING && s->added && !s->leaving && !s->cut_off;
}

uint32_t service_expects(const struct run *r, const struct service *s,
                         uint32_t domids[GUESTS_MAX])
{
	uint32_t n = 0;

	if (s->last_epoch <= 1)
		return 0;
	if (own_guest(r, s))
		domids[n++] = GUEST_DOMID;
	return n + joins_running(r, s, domids + n);
}

/* --- rings ------------------------------------------------------------------- */

int renew_send(struct run *r, int sock, const struct service *s, const int *fds)
{
	struct boot_renew m = {
		.magic = BOOT_RENEW_MAGIC, .version = BOOT_VERSION,
		.id = (uint32_t)(s - r->service), .epoch = s->cur.epoch, .order = RPC_RING_ORDER,
		.verdict = fds ? BOOT_RENEW_HERE : BOOT_RENEW_NEVER,
	};
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(2 * sizeof(int))];
	} ctl = { 0 };
	struct iovec io = { &m, sizeof(m) };
	struct msghdr h = { .msg_iov = &io, .msg_iovlen = 1 };

	if (fds) {
		h.msg_control = ctl.buf;
		h.msg_controllen = sizeof(ctl.buf);
		struct cmsghdr *c = CMSG_FIRSTHDR(&h);

		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(2 * sizeof(int));
		memcpy(CMSG_DATA(c), fds, 2 * sizeof(int));
	}
	/* Who does not read what it was sent before must not stop the others. */
	return sendmsg(sock, &h, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}

static void own_renew(struct run *r, struct service *s, const int *fds)
{
	/* One that has ended, or takes nothing, needs no ring. */
	if (r->guest_sock >= 0)
		(void)renew_send(r, r->guest_sock, s, fds);
}

void service_cut(struct run *r, struct service *s)
{
	/* The guest has it mapped; without, it is gone anyway. */
	if (own_guest(r, s) && s->ring_fd >= 0)
		(void)hosted_ring_mark_dead(s->ring_fd, r->doorbell_fd);
	joins_cut(r, s);
}

static int own_readd(struct run *r, struct service *s)
{
	struct guest_desc d = {
		.domid = GUEST_DOMID, .uid = r->o.uid, .gid = r->o.gid, .name = r->o.name,
		.client_id = r->client_id, .doorbell_fd = r->doorbell_fd,
	};
	int err = channel_make(&s->ring_fd, &s->event_fd);

	d.ring_fd = s->ring_fd;
	d.event_fd = s->event_fd;
	if (!err)
		err = service_guest_add(s, &d);
	s->owed = !err;
	s->released = false;
	return err;
}

/* Everybody has what is needed to go on. */
static void settle(struct run *r, struct service *s)
{
	if (s->life != LIFE_AGAIN || s->owed || joins_owed(r, s))
		return;
	say("%s is back after %llu ms (epoch %u)", s->name,
	    (unsigned long long)(run_now() - s->lost_at), s->cur.epoch);
	swap_settled(r, s);
	s->life = LIFE_UP;
	s->up_at = run_now();
	s->lost_at = s->due = 0;
	s->restarts++;
	joins_resume(r);
}

void service_readd(struct run *r, struct service *s)
{
	/* An instance that cannot be told is about to be reaped, or hangs. */
	if (kept_send(s) || (own_guest(r, s) && own_readd(r, s)) || joins_readd(r, s)) {
		(void)kill(s->cur.pid, SIGKILL);
		return;
	}
	settle(r, s);
}

void service_has_guest(struct run *r, struct service *s, uint32_t domid)
{
	s->cur.served = true;
	kept_drop(s);
	if (domid != GUEST_DOMID) {
		joins_ready(r, s, domid);
	} else if (s->owed) { /* else it has its ring since its start */
		s->owed = false;
		own_renew(r, s, (const int[]){ s->ring_fd, s->event_fd });
	}
	settle(r, s);
}

/* --- the end of an instance -------------------------------------------------- */

static void give_up(struct run *r, struct service *s, const char *why)
{
	say("%s does not come back (%s); what is asked of it fails from now on", s->name, why);
	if (r->swap.s == s)
		swap_failed(r, "it does not come back (%s)", why);
	s->life = LIFE_GONE;
	s->due = s->lost_at = 0;
	s->released = true;
	s->owed = false;
	kept_drop(s);
	instance_kill(&s->cur);
	if (own_guest(r, s))
		own_renew(r, s, NULL);
	joins_give_up(r, s);
}

static bool too_late(const struct run *r, const struct service *s)
{
	const uint64_t since = s->row_at ? s->row_at : s->lost_at;

	return since && run_now() >= since + (uint64_t)r->o.recover_s * 1000;
}

/* Another instance, after a pause that grows with every attempt of a row. */
static void try_later(struct run *r, struct service *s)
{
	const unsigned n = s->failures + s->short_lives;
	const uint64_t first = s->failures ? NOT_READY_MS : BACKOFF_MS;
	uint64_t pause = n ? first << (n < 8 ? n - 1 : 7) : 0;

	if (s->failures >= FAILURES_MAX) {
		give_up(r, s, "it failed five times to start");
		return;
	}
	if (pause > BACKOFF_MAX_MS)
		pause = BACKOFF_MAX_MS;
	s->life = LIFE_DOWN;
	s->due = run_now() + pause;
}

static const char *how(int status, char out[32])
{
	snprintf(out, 32, "%s %d", WIFSIGNALED(status) ? "signal" : "exit status",
	         WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	return out;
}

/* What was swapped in is no good: the binary before it is used again. */
static void fall_back(struct service *s)
{
	if (!s->before)
		return;
	if (strcmp(s->before, s->cur.path))
		say("%s: %s takes the place of %s again", s->name, s->before, s->cur.path);
	free(s->cur.path);
	s->cur.path = s->before;
	s->cur.kernel = s->before_kernel;
	s->before = NULL;
}

/* It served, and ended. */
static void lost(struct run *r, struct service *s, int status)
{
	const uint64_t now = run_now();
	const bool was_short = s->life == LIFE_AGAIN || now - s->up_at < LIFE_SHORT_MS;
	char text[32];

	if (s->hung)
		say("%s did not answer for %u s and was killed; it is started again", s->name,
		    r->o.hang_s);
	else
		say("%s ended (%s); it is started again", s->name, how(status, text));
	if (was_short) {
		fall_back(s);
	} else {
		s->short_lives = 0;
		free(s->before); /* the one that is there has lived */
		s->before = NULL;
	}
	if (!s->short_lives)
		s->row_at = now;
	if (was_short)
		s->short_lives++;
	s->failures = 0;
	if (!s->lost_at)
		s->lost_at = now;
	service_cut(r, s);
	try_later(r, s);
}

static void start_failed(struct run *r, struct service *s, const char *why)
{
	say("%s (%s) did not start: %s", s->name, s->cur.path, why);
	s->failures++;
	fall_back(s);
	try_later(r, s);
}

static void died_for_good(struct run *r, struct service *s, bool was_ready, int status)
{
	char text[32];

	how(status, text);
	if (!was_ready)
		run_fail(r, "%s (%s) ended before it was ready (%s); is it strait's %s? check %s",
		         s->name, s->cur.path, text, s->name, s->env);
	else
		run_fail(r, "%s ended while the guest ran (%s); the guest cannot go on", s->name,
		         text);
	if (r->hold >= 0) { /* it is no use to others any more */
		close(r->hold);
		r->hold = -1;
	}
}

void service_died(struct run *r, struct service *s, int status)
{
	const bool was_ready = s->cur.ready;
	char text[32];

	s->cur.pid = 0;
	s->cur.ready = false;
	s->ping_sent = s->ping_due = 0;
	s->slow = false;
	s->status_owed = s->owed = false;
	instance_hang_up(&s->cur);
	if (s->leaving || services_ending(r))
		s->released = true;
	joins_died(r, s);
	if (services_ending(r) || s->life == LIFE_GONE || swap_drained(r, s))
		return;
	if (r->swap.s == s)
		swap_failed(r, "it ended meanwhile (%s) and is started again", how(status, text));
	if (r->phase == RUN_STARTING || !r->o.recover_s) {
		s->released = true;
		died_for_good(r, s, was_ready, status);
	} else if (was_ready) {
		lost(r, s, status);
	} else {
		start_failed(r, s, how(status, text));
	}
	s->hung = false;
}

/* --- a new instance ----------------------------------------------------------- */

static void start_again(struct run *r, struct service *s)
{
	int err = instance_start(r, s, &s->cur);

	if (!err) {
		s->life = LIFE_AGAIN;
		s->due = run_now() + AGAIN_MS;
		err = instance_configure(r, s, &s->cur, false);
		if (err)
			(void)kill(s->cur.pid, SIGKILL); /* SIGCHLD has the rest */
	} else {
		start_failed(r, s, strerror(-err));
	}
}

static void wrong_version(struct run *r, struct service *s, struct instance *i, uint32_t version)
{
	char text[512];

	snprintf(text, sizeof(text), "%s (%s) speaks protocol version %u, this strait %u to %u; "
	         "use the %s built with it", s->name, i->path, version, RPC_VERSION_MIN,
	         RPC_VERSION_MAX, s->name);
	if (i == &s->next)
		swap_failed(r, "%s", text);
	else if (s->life == LIFE_STARTING)
		run_fail(r, "%s", text);
	else
		(void)kill(i->pid, SIGKILL);
}

void service_ready(struct run *r, struct service *s, struct instance *i, uint32_t version)
{
	if (i->ready)
		return;
	if (version < RPC_VERSION_MIN || version > RPC_VERSION_MAX) {
		wrong_version(r, s, i, version);
		return;
	}
	i->ready = true;
	if (i == &s->next)
		return; /* it has been asked for more */
	s->failures = 0;
	if (s->life == LIFE_STARTING) {
		s->life = LIFE_UP;
		s->up_at = run_now();
	} else if (s->life == LIFE_AGAIN) {
		service_readd(r, s);
	}
}

void service_failed(struct run *r, struct service *s, struct instance *i,
                    const ProtobufCBinaryData *why)
{
	if (i == &s->next)
		swap_failed(r, "the new one refuses: %.*s", (int)(why->len < 400 ? why->len : 400),
		            (const char *)why->data);
	else if (s->life == LIFE_STARTING || !r->o.recover_s)
		run_fail(r, NULL);
	else if (i->pid)
		(void)kill(i->pid, SIGKILL);
}

void service_talks_nonsense(struct run *r, struct service *s, struct instance *i)
{
	if (i == &s->next)
		swap_failed(r, "%s does not speak strait's protocol", i->path);
	else if (s->life == LIFE_STARTING || !r->o.recover_s)
		run_fail(r, "%s (%s) does not speak strait's protocol; check %s", s->name, i->path,
		         s->env);
	if (i->pid)
		(void)kill(i->pid, SIGKILL);
}

void service_refuses_guest(struct run *r, struct service *s, uint32_t domid)
{
	if (domid != GUEST_DOMID)
		joins_failed(r, s, domid);
	else if (s->life == LIFE_AGAIN)
		(void)kill(s->cur.pid, SIGKILL);
	else
		run_fail(r, NULL);
	settle(r, s);
}

/* An instance that lives on closed the channel of a guest that runs: that one broke a
 * rule, or hung up.  It gets no other ring, from this instance or a later one. */
void service_released(struct run *r, struct service *s, const struct instance *i, uint32_t domid)
{
	const bool moves = r->swap.s == s && r->swap.step >= SWAP_MOVE;
	const bool lives = i == &s->cur && s->life == LIFE_UP && !moves;

	if (domid != GUEST_DOMID) {
		joins_released(r, s, domid, lives);
		return;
	}
	if (lives && own_guest(r, s)) {
		own_renew(r, s, NULL);
		s->cut_off = true;
	}
	s->released = true;
}

/* --- time --------------------------------------------------------------------- */

void service_answers(struct run *r, struct service *s, struct instance *i)
{
	if (i == &s->next) {
		swap_answers(r);
		return;
	}
	s->ping_sent = 0;
	s->slow = false;
}

static bool watched(const struct run *r, const struct service *s)
{
	/* Who hands over, or ends as it was told, has other deadlines. */
	const bool busy = r->swap.s == s && r->swap.step >= SWAP_MOVE;

	return s->life == LIFE_UP && r->o.hang_s && r->o.recover_s && s->cur.pid &&
	       s->cur.sock >= 0 && !services_ending(r) && !s->hung && !busy;
}

/* Its loop is in the kernel and cannot be interrupted: a disk that is slow, not a service
 * that hangs.  Nor would it end before the disk answers. */
static bool waits_for_disk(const struct instance *i)
{
	char path[48], text[128], *p;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)i->pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[n > 0 ? n : 0] = 0;
	p = strrchr(text, ')'); /* what is before is its name */
	return p && !strncmp(p, ") D ", 4);
}

static void does_not_answer(struct run *r, struct service *s, uint64_t now)
{
	if (!waits_for_disk(&s->cur)) {
		s->hung = true;
		(void)kill(s->cur.pid, SIGKILL);
		return;
	}
	if (!s->slow)
		say("%s did not answer for %u s: it waits for a disk, and so do its guests",
		    s->name, r->o.hang_s);
	s->slow = true;
	s->ping_sent = now; /* its answer may still come */
}

static void watch(struct run *r, struct service *s, uint64_t now)
{
	if (s->ping_sent && now >= s->ping_sent + (uint64_t)r->o.hang_s * 1000) {
		does_not_answer(r, s, now);
	} else if (now >= s->ping_due) {
		s->ping_due = now + PING_MS;
		/* One at a time.  No room for it is no answer either. */
		if (!s->ping_sent) {
			int err = instance_ping(&s->cur);

			s->ping_sent = !err || err == -EAGAIN ? now : 0;
		}
	}
}

void services_slept(struct run *r)
{
	for (int i = 0; i < N_SERVICES; i++)
		if (r->service[i].ping_sent)
			r->service[i].ping_sent = run_now();
}

void services_tick(struct run *r)
{
	const uint64_t now = run_now();

	for (int i = 0; i < N_SERVICES; i++) {
		struct service *s = &r->service[i];

		if (!s->used || services_ending(r))
			continue;
		if ((s->life == LIFE_DOWN || s->life == LIFE_AGAIN) && too_late(r, s))
			give_up(r, s, "it was away longer than --recover allows");
		else if (s->life == LIFE_DOWN && !s->cur.pid && now >= s->due)
			start_again(r, s);
		else if (s->life == LIFE_AGAIN && s->cur.pid && now >= s->due)
			(void)kill(s->cur.pid, SIGKILL);
		else if (watched(r, s))
			watch(r, s, now);
	}
	swap_tick(r);
}

uint64_t services_due(const struct run *r)
{
	uint64_t due = 0;

	for (int i = 0; i < N_SERVICES && !services_ending(r); i++) {
		const struct service *s = &r->service[i];
		uint64_t at = s->life == LIFE_DOWN || s->life == LIFE_AGAIN ? s->due : 0;

		if (s->life == LIFE_DOWN && s->cur.pid) /* it is killed: what counts is --recover */
			at = s->lost_at + (uint64_t)r->o.recover_s * 1000;
		if (watched(r, s))
			at = s->ping_due;
		if (at && (!due || at < due))
			due = at;
	}
	const uint64_t at = swap_due(r);

	return at && (!due || at < due) ? at : due;
}
