/* SPDX-License-Identifier: MIT */
/*
 * run_kept.c - files that guests had open when an fsd ended, from its filekeeper to the
 * next one.
 *
 *      fsd ends -> its filekeeper is asked, sends, ends -> the init is killed -> all of the
 *      namespace has ended: locks and sockets are free -> the next instance
 *
 * 1. The namespace's first process outlives fsd for that; nothing else of it does.
 * 2. Both are the service's side: they are heard for KEPT_MS, what they send is only
 *    passed on, and only references are taken.
 * 3. What was taken is dropped when the next instance has its first guest: then it has
 *    read what it was sent, and its own filekeeper has it.  If it ends before that, what
 *    is here is still all there is.
 */
#include "tools/strait/run.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define KEPT_MS 1000
#define SPARE_FDS 256u /* of our own */

void kept_drop(struct service *s)
{
	for (unsigned i = 0; i < s->kept.n; i++)
		close(s->kept.fds[i]);
	free(s->kept.fds);
	free(s->kept.holds);
	s->kept = (struct kept){ .fds = NULL };
}

/* As many as we may have.  Returns how many that is. */
static unsigned raise_files(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files))
		return 0;
	if (files.rlim_cur < files.rlim_max) {
		files.rlim_cur = files.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &files); /* then fewer */
		(void)getrlimit(RLIMIT_NOFILE, &files);
	}
	return files.rlim_cur > SPARE_FDS ? (unsigned)(files.rlim_cur - SPARE_FDS) : 0;
}

static bool grow(struct kept *k)
{
	const unsigned room = k->room ? 2 * k->room : CONTROL_FDS_MAX;
	int *fds = realloc(k->fds, room * sizeof(*fds));
	uint64_t *holds;

	if (!fds)
		return false;
	k->fds = fds;
	holds = realloc(k->holds, room * sizeof(*holds));
	if (!holds)
		return false;
	k->holds = holds;
	k->room = room;
	return true;
}

static void keep(struct kept *k, int fd, uint64_t hold, unsigned max)
{
	const int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || !(flags & O_PATH) || k->n >= max || (k->n == k->room && !grow(k))) {
		close(fd);
		k->lost++;
		return;
	}
	k->fds[k->n] = fd;
	k->holds[k->n++] = hold;
}

/* One packet.  False: the last one, or none will come. */
static bool take(struct kept *k, int sock, unsigned max)
{
	int fds[CONTROL_FDS_MAX], n_fds = 0;
	Control__Control *c;
	int err = control_recv(sock, MSG_DONTWAIT, &c, fds, &n_fds);
	bool more;

	if (err) {
		k->lost += err != -EAGAIN && err != -EPIPE && err != -ECONNRESET;
		return err == -EAGAIN;
	}
	const bool is = c->body_case == CONTROL__CONTROL__BODY_KEPT;

	for (int i = 0; i < n_fds; i++)
		keep(k, fds[i], is && (size_t)i < c->kept->n_hold ? c->kept->hold[i] : 0, max);
	if (is)
		k->lost += c->kept->lost;
	more = is && c->kept->more;
	control__control__free_unpacked(c, NULL);
	return more;
}

static void say_lost(const struct service *s)
{
	say("%s: not all files that were open could be kept: those that are renamed or removed meanwhile may be lost",
	    s->name);
}

static void collect(struct service *s, int sock)
{
	const uint64_t end = run_now() + KEPT_MS;
	struct pollfd p = { .fd = sock, .events = POLLIN };
	const unsigned max = raise_files();
	bool more = send(sock, "k", 1, MSG_NOSIGNAL | MSG_DONTWAIT) == 1;

	kept_drop(s);
	while (more) {
		const uint64_t now = run_now();

		if (now >= end || poll(&p, 1, (int)(end - now)) <= 0) {
			s->kept.lost++;
			break;
		}
		more = take(&s->kept, sock, max);
	}
	if (s->kept.lost)
		say_lost(s);
}

void instance_kill(const struct instance *i)
{
	if (i->pid)
		(void)kill(i->init ? i->init : i->pid, SIGKILL);
}

bool kept_whole(struct run *r, struct service *s, struct instance *i, int *status)
{
	if (!i->init) {
		if (i->ended)
			*status = i->status;
		return true;
	}
	if (i == &s->cur && i->served && i->keep >= 0 && r->o.recover_s && r->phase == RUN_RUNNING &&
	    !services_ending(r))
		collect(s, i->keep);
	i->status = *status;
	i->ended = true;
	if (i->keep >= 0)
		close(i->keep);
	i->keep = -1;
	i->pid = i->init;
	i->init = 0;
	(void)kill(i->pid, SIGKILL);
	return false;
}

void kept_end(struct service *s)
{
	kept_drop(s);
	if (s->cur.init && s->cur.keep >= 0) {
		close(s->cur.keep); /* it ends beside fsd */
		s->cur.keep = -1;
	}
}

int kept_send(struct service *s)
{
	Control__Control c = CONTROL__CONTROL__INIT;
	const struct kept *k = &s->kept;
	int err = 0;

	c.body_case = CONTROL__CONTROL__BODY_KEPT;
	for (unsigned at = 0; at < k->n && !err;) {
		const unsigned n = k->n - at < CONTROL_FDS_MAX ? k->n - at : CONTROL_FDS_MAX;
		Control__Kept m = CONTROL__KEPT__INIT;

		m.hold = k->holds + at;
		m.n_hold = n;
		m.more = at + n < k->n;
		c.kept = &m;
		err = control_send(s->cur.sock, &c, k->fds + at, (int)n);
		at += n;
	}
	if (err != -ETOOMANYREFS)
		return err;
	say_lost(s); /* the kernel has a limit for what is under way */
	return 0;
}
