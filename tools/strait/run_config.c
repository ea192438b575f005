/* SPDX-License-Identifier: MIT */
/*
 * run_config.c - `strait run --config FILE`: the guests of a description, hosted.
 *
 * Guests that share a service are one instance: the first brings fsd and netd up,
 * the others join it, each in a process of its own, as with --join.  A pipe keeps the
 * instance's services until the last of them has ended.  One guest alone has the
 * terminal, as with `strait run PROG`; what several write gets their name before each
 * line.
 *
 *      strait run --config --+-- run_guest() of "web"  (instance: fsd, netd)
 *                            +-- run_guest() of "db"   (joined to it)
 *
 * All children ask for SIGKILL at our death.
 */
#include "tools/strait/desc.h"
#include "tools/strait/strait.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define LINE_MAX_LEN 8192

/* One of a guest's two output streams, cut into lines. */
struct stream {
	int from, to; /* from: -1 at end of file */
	size_t len;
	char line[LINE_MAX_LEN];
};

struct member {
	const struct desc_guest *g;
	struct instance *in;
	bool leader;
	pid_t pid;    /* 0: not started, or ended */
	int status;   /* exit status, -1: not known */
	struct stream out[2];
};

struct instance {
	const struct desc_service *uses[DESC_KINDS];
	struct member *leader;
	unsigned joined; /* that have not ended */
	int hold;        /* our end of its pipe */
};

struct config {
	struct desc *d;
	struct member m[DESC_GUESTS_MAX];
	struct instance in[DESC_GUESTS_MAX];
	unsigned n_in;
	int signals;
	sigset_t before;
};

/* --- who belongs together --------------------------------------------------- */

static struct instance *instance_of(struct config *c, const struct desc_guest *g)
{
	struct instance *found = NULL;

	for (unsigned i = 0; i < c->n_in; i++) {
		struct instance *in = &c->in[i];

		for (unsigned k = 0; k < DESC_KINDS; k++) {
			if (!g->uses[k] || in->uses[k] != g->uses[k] || found == in)
				continue;
			if (found)
				desc_die(c->d, g->line,
				         "service: hosted, %s cannot share services with %s and %s at once",
				         g->name, found->leader->g->name, in->leader->g->name);
			found = in;
		}
	}
	if (!found) {
		found = &c->in[c->n_in++];
		*found = (struct instance){ .hold = -1 };
	}
	for (unsigned k = 0; k < DESC_KINDS; k++) {
		if (found->uses[k] && g->uses[k] && found->uses[k] != g->uses[k])
			desc_die(c->d, g->line,
			         "service: hosted, guests that share %s must share %s too",
			         desc_kind_name[!k], desc_kind_name[k]);
		if (g->uses[k])
			found->uses[k] = g->uses[k];
	}
	return found;
}

static void group(struct config *c)
{
	for (unsigned i = 0; i < c->d->n_guests; i++) {
		struct member *m = &c->m[i];

		*m = (struct member){ .g = &c->d->guests[i], .status = -1 };
		m->in = instance_of(c, m->g);
		m->leader = !m->in->leader;
		if (m->leader)
			m->in->leader = m;
	}
}

/* An instance has one --hang for both services: the shorter. */
static void impatient(struct run_opts *o, const struct desc_service *s)
{
	if (!s || !s->o.hang_given)
		return;
	if (!o->hang_given || !o->hang_s || (s->o.hang_s && s->o.hang_s < o->hang_s))
		o->hang_s = s->o.hang_s;
	o->hang_given = true;
}

/* What `strait run` would have been told. */
static struct run_opts options_of(const struct member *m)
{
	struct run_opts o = m->g->o;
	const struct desc_service *file = m->in->uses[DESC_FILE], *net = m->in->uses[DESC_NET];

	o.program = m->g->elf;
	if (!m->leader) {
		o.join = m->in->leader->g->o.name;
		o.recover_given = false; /* the leader's counts */
		o.net = NET_LWIP; /* the answer says which */
		opts_finish(&o);
		return o;
	}
	if (file) {
		memcpy(o.mounts, file->o.mounts, sizeof(o.mounts));
		o.n_mounts = file->o.n_mounts;
		o.no_squash = file->o.no_squash;
		o.squash_given = file->o.squash_given;
		o.squash_uid = file->o.squash_uid;
		o.squash_gid = file->o.squash_gid;
		o.log_level = file->o.log_level;
	}
	o.net = net ? net->o.net : NET_NONE;
	if (net) {
		memcpy(o.ports, net->o.ports, sizeof(o.ports));
		o.n_ports = net->o.n_ports;
		if (net->o.log_level > o.log_level)
			o.log_level = net->o.log_level;
	}
	for (int k = 0; k < DESC_KINDS; k++)
		impatient(&o, m->in->uses[k]);
	opts_finish(&o);
	return o;
}

/* --- lines ------------------------------------------------------------------ */

static void put(int fd, const char *p, size_t n)
{
	while (n) {
		ssize_t w = write(fd, p, n);

		if (w < 0 && errno == EINTR)
			continue;
		if (w <= 0)
			return; /* nobody reads us: the guests go on */
		p += w;
		n -= (size_t)w;
	}
}

static void put_line(const struct member *m, struct stream *s, size_t n)
{
	char text[LINE_MAX_LEN + NAME_LEN_MAX + 8];
	int head = snprintf(text, sizeof(text), "%s | ", m->g->name);

	memcpy(text + head, s->line, n);
	if (!n || s->line[n - 1] != '\n')
		text[(size_t)head + n++] = '\n';
	put(s->to, text, (size_t)head + n);
}

/* Pass on the whole lines of @s; at its end, or when one is too long, what there is. */
static void pass_lines(const struct member *m, struct stream *s)
{
	ssize_t n = read(s->from, s->line + s->len, sizeof(s->line) - s->len);
	char *nl;

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n > 0)
		s->len += (size_t)n;
	while ((nl = memchr(s->line, '\n', s->len)) != NULL) {
		size_t len = (size_t)(nl - s->line) + 1;

		put_line(m, s, len);
		s->len -= len;
		memmove(s->line, s->line + len, s->len);
	}
	if (s->len && (n <= 0 || s->len == sizeof(s->line))) {
		put_line(m, s, s->len);
		s->len = 0;
	}
	if (n <= 0) {
		close(s->from);
		s->from = -1;
	}
}

/* --- processes -------------------------------------------------------------- */

static void __attribute__((noreturn)) child(struct config *c, struct member *m, int pipes[2][2],
                                            int named, int hold, pid_t parent)
{
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	if (prctl(PR_SET_PDEATHSIG, SIGKILL) || getppid() != parent || null < 0 ||
	    dup2(null, 0) < 0 || dup2(pipes[0][1], 1) < 0 || dup2(pipes[1][1], 2) < 0)
		die(EXIT_STRAIT, "%s: cannot be started: %s", m->g->o.name, strerror(errno));
	/* Ends of pipes that others wait to be closed. */
	for (unsigned i = 0; i < c->n_in; i++)
		if (c->in[i].hold >= 0)
			close(c->in[i].hold);
	sigprocmask(SIG_SETMASK, &c->before, NULL);
	const struct run_opts o = options_of(m);

	_exit(run_guest(&o, named, hold));
}

static bool pipe_or_die(int p[2])
{
	if (pipe2(p, O_CLOEXEC))
		die(EXIT_STRAIT, "cannot make a pipe: %s", strerror(errno));
	return true;
}

/* Start @m.  Of a leader: wait until others can join it; false: it ended instead. */
static bool start(struct config *c, struct member *m)
{
	int pipes[2][2], named[2] = { -1, -1 }, hold[2] = { -1, -1 };
	pid_t self = getpid();
	bool shared = false;
	char byte;

	for (unsigned i = 0; i < c->d->n_guests; i++)
		shared |= m->leader && &c->m[i] != m && c->m[i].in == m->in;
	for (int i = 0; i < 2; i++) {
		pipe_or_die(pipes[i]);
		m->out[i] = (struct stream){ .from = pipes[i][0], .to = 1 + i };
	}
	if (shared) {
		pipe_or_die(named);
		pipe_or_die(hold);
	}
	fflush(stdout);
	m->pid = fork();
	if (!m->pid) {
		if (shared) {
			close(named[0]);
			close(hold[1]);
		}
		child(c, m, pipes, named[1], hold[0], self);
	}
	if (m->pid < 0)
		die(EXIT_STRAIT, "%s: cannot be started: %s", m->g->o.name, strerror(errno));
	close(pipes[0][1]);
	close(pipes[1][1]);
	if (!m->leader)
		m->in->joined++;
	if (!shared)
		return true;
	close(named[1]);
	close(hold[0]);
	m->in->hold = hold[1];
	bool up = read(named[0], &byte, 1) == 1;

	close(named[0]);
	return up;
}

static void signal_all(const struct config *c, int sig)
{
	for (unsigned i = 0; i < c->d->n_guests; i++)
		if (c->m[i].pid)
			(void)kill(c->m[i].pid, sig);
}

static void let_go(struct instance *in)
{
	if (in->hold >= 0 && !in->joined) {
		close(in->hold);
		in->hold = -1;
	}
}

static void reap(struct config *c)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		for (unsigned i = 0; i < c->d->n_guests; i++) {
			struct member *m = &c->m[i];

			if (m->pid != pid)
				continue;
			m->pid = 0;
			m->status = WIFEXITED(status) ? WEXITSTATUS(status)
			                              : 128 + WTERMSIG(status);
			if (!m->leader) {
				m->in->joined--;
				let_go(m->in);
			}
		}
	}
}

static void on_signals(struct config *c)
{
	struct signalfd_siginfo si;

	while (read(c->signals, &si, sizeof(si)) == (ssize_t)sizeof(si)) {
		if (si.ssi_signo == SIGCHLD)
			reap(c);
		else if (si.ssi_code != SI_KERNEL) /* a key reached the children too */
			signal_all(c, (int)si.ssi_signo);
	}
}

static void take_signals(struct config *c)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGQUIT);
	signal(SIGCHLD, SIG_DFL);
	signal(SIGPIPE, SIG_IGN);
	sigprocmask(SIG_BLOCK, &set, &c->before);
	c->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (c->signals < 0)
		die(EXIT_STRAIT, "cannot wait for events: %s", strerror(errno));
}

/* Wait for something; false: all have ended and all is written. */
static bool wait_some(struct config *c)
{
	struct pollfd p[1 + 2 * DESC_GUESTS_MAX];
	struct { struct member *m; struct stream *s; } who[1 + 2 * DESC_GUESTS_MAX];
	nfds_t n = 0;
	bool alive = false;

	p[n++] = (struct pollfd){ .fd = c->signals, .events = POLLIN };
	for (unsigned i = 0; i < c->d->n_guests; i++) {
		alive |= c->m[i].pid != 0;
		for (int k = 0; k < 2; k++) {
			struct stream *s = &c->m[i].out[k];

			if (s->from < 0)
				continue;
			who[n].m = &c->m[i];
			who[n].s = s;
			p[n++] = (struct pollfd){ .fd = s->from, .events = POLLIN };
		}
	}
	if (!alive && n == 1)
		return false;
	if (poll(p, n, -1) < 0)
		return errno == EINTR;
	if (p[0].revents)
		on_signals(c);
	for (nfds_t i = 1; i < n; i++)
		if (p[i].revents)
			pass_lines(who[i].m, who[i].s);
	return true;
}

/* The first status of the description's order that is not 0. */
static int result(const struct config *c)
{
	for (unsigned i = 0; i < c->d->n_guests; i++)
		if (c->m[i].status > 0)
			return c->m[i].status;
	return 0;
}

int run_config(const char *file)
{
	static struct config c;

	c.d = desc_read(file);
	if (!c.d->n_guests)
		desc_die(c.d, 0, "guests: none is described; there is nothing to run");
	group(&c);
	for (unsigned i = 0; i < c.d->n_guests; i++) {
		bool others;

		close(prog_open(c.d->guests[i].elf, &others));
	}
	if (c.d->n_guests == 1) {
		const struct run_opts o = options_of(&c.m[0]);

		return run_guest(&o, -1, -1);
	}
	for (unsigned i = 0; i < c.d->n_guests; i++)
		for (int k = 0; k < 2; k++)
			c.m[i].out[k].from = -1;
	take_signals(&c);
	for (unsigned i = 0; i < c.d->n_guests; i++) {
		if (start(&c, &c.m[i]))
			continue;
		signal_all(&c, SIGTERM); /* it says why it could not; the others are useless */
		break;
	}
	for (unsigned i = 0; i < c.n_in; i++)
		let_go(&c.in[i]);
	while (wait_some(&c))
		;
	return result(&c);
}
