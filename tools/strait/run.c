/* SPDX-License-Identifier: MIT */
/*
 * run.c - `strait run`: bring a guest and its services up, wait, take all down.
 *
 * Everything that can be refused is refused before the first process starts.
 * Then network, services and guest are started side by side; the guest waits at
 * its gate until both services have said that they are ready, so a wrong service
 * is noticed before the program did anything.
 *
 * Nothing is left behind, also when this process is killed: children ask for
 * SIGKILL at the parent's death, each is the first of its process namespace (fsd the
 * second: run_kept.c), and
 * mounts, links, tables and the guest's name live only as long as descriptors
 * and processes.
 */
#include "tools/strait/run.h"

#include "tools/strait/child.h"
#include "tools/strait/userns.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define START_MS 10000  /* services must be ready */
#define RELEASE_MS 8000 /* queued data must be out: netd lingers */
#define STOP_MS 3000    /* everything must have ended */
#define SLEPT_MS 500    /* so much too late: it was us who slept */

uint64_t run_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

void run_watch(struct run *r, int fd, uint32_t what)
{
	struct epoll_event e = { .events = EPOLLIN, .data.u32 = what };

	if (epoll_ctl(r->epoll, EPOLL_CTL_ADD, fd, &e))
		run_fail(r, "cannot wait for events: %s", strerror(errno));
}

static void enter(struct run *r, enum run_phase phase, uint64_t ms)
{
	r->phase = phase;
	r->deadline = ms ? run_now() + ms : 0;
}

void run_fail(struct run *r, const char *fmt, ...)
{
	va_list ap;

	if (fmt && r->phase < RUN_STOPPING) {
		char text[1024];

		va_start(ap, fmt);
		vsnprintf(text, sizeof(text), fmt, ap);
		va_end(ap);
		say("%s", text);
	}
	if (r->result < 0)
		r->result = EXIT_STRAIT;
	guest_kill(r);
}

/* --- the phases ------------------------------------------------------------ */

static bool is_ready(const struct service *s)
{
	return s->cur.ready;
}

static bool is_released(const struct service *s)
{
	return s->released;
}

static bool all_ended(const struct run *r)
{
	for (int i = 0; i < N_SERVICES; i++)
		if (r->service[i].cur.pid || r->service[i].next.pid)
			return false;
	return !r->keeper && !r->guest && !r->swap.old;
}

static void begin_release(struct run *r)
{
	if (r->o.join) {
		joined_leave(r);
	} else {
		swap_failed(r, "the guest has ended");
		joins_end(r);
		services_release(r);
	}
	enter(r, RUN_RELEASING, RELEASE_MS);
}

static bool late(const struct run *r)
{
	return r->deadline && run_now() >= r->deadline;
}

static void begin_stop(struct run *r)
{
	services_shutdown(r);
	if (r->keeper_sock >= 0) { /* end of file: finish what is under way */
		close(r->keeper_sock);
		r->keeper_sock = -1;
	}
	if (r->keeper && r->result == EXIT_STRAIT)
		(void)kill(r->keeper, SIGKILL);
	enter(r, RUN_STOPPING, STOP_MS);
}

static void kill_all(struct run *r)
{
	for (int i = 0; i < N_SERVICES; i++) {
		instance_kill(&r->service[i].cur);
		instance_kill(&r->service[i].next);
	}
	if (r->swap.old)
		(void)kill(r->swap.old, SIGKILL);
	if (r->keeper)
		(void)kill(r->keeper, SIGKILL);
	guest_kill(r);
	r->deadline = 0;
}

/* Go on to the next phase when this one is done.  True: all is over. */
static bool advance(struct run *r)
{
	if (r->phase == RUN_STARTING) {
		if (r->result < 0 && services_all(r, is_ready)) {
			guest_go(r);
			enter(r, RUN_RUNNING, 0);
			joins_resume(r);
		} else if (r->result < 0 && late(r) && r->o.join) {
			run_fail(r, "--join %s: it does not answer; is it stopped?", r->o.join);
		} else if (r->result < 0 && late(r)) {
			for (int i = 0; i < N_SERVICES; i++)
				if (r->service[i].used && !r->service[i].cur.ready)
					run_fail(r, "%s (%s) does not say that it is ready; check %s",
					         r->service[i].name, r->service[i].cur.path,
					         r->service[i].env);
		}
		if (r->result >= 0 && !r->guest)
			begin_release(r);
	}
	if (r->phase == RUN_RUNNING && !r->guest) {
		if (r->hold < 0)
			begin_release(r);
		else
			services_release(r); /* what our own guest had, now */
	}
	if (r->phase == RUN_RELEASING && (services_all(r, is_released) || late(r))) {
		if (!services_all(r, is_released))
			say(r->o.join ? "note: a service did not let go of %s in time"
			              : "note: a service did not let go of %s in time; it is ended now",
			    r->o.name);
		begin_stop(r);
	}
	if (r->phase == RUN_STOPPING && late(r))
		kill_all(r);
	return r->phase == RUN_STOPPING && all_ended(r);
}

/* --- events ---------------------------------------------------------------- */

/* What it said before it went is still to be read. */
static void hear_out(struct run *r, struct service *s, struct instance *i)
{
	struct pollfd p = { .events = POLLIN };

	while ((p.fd = i->sock) >= 0 && poll(&p, 1, 0) > 0)
		service_readable(r, s, i);
}

static void child_ended(struct run *r, pid_t pid, int status)
{
	if (pid == r->guest) {
		r->guest = 0;
		r->result = guest_status(r, status);
		return;
	}
	if (pid == r->keeper) {
		r->keeper = 0;
		if (r->phase < RUN_RELEASING && r->result < 0) {
			if (WIFSIGNALED(status))
				say("the guest's network ended (signal %d)", WTERMSIG(status));
			run_fail(r, NULL); /* else it said why itself */
		}
		return;
	}
	for (int i = 0; i < N_SERVICES; i++) {
		struct service *s = &r->service[i];

		if (pid == s->next.pid)
			hear_out(r, s, &s->next);
		else if (pid == s->cur.pid && s->cur.init)
			hear_out(r, s, &s->cur);
		if ((pid == s->next.pid && !kept_whole(r, s, &s->next, &status)) ||
		    (pid == s->cur.pid && !kept_whole(r, s, &s->cur, &status)))
			return;
	}
	if (swap_child_ended(r, pid, status))
		return;
	for (int i = 0; i < N_SERVICES; i++)
		if (pid == r->service[i].cur.pid) {
			hear_out(r, &r->service[i], &r->service[i].cur);
			service_died(r, &r->service[i], status);
		}
}

static void reap(struct run *r)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		child_ended(r, pid, status);
}

static void on_signals(struct run *r)
{
	struct signalfd_siginfo si;

	while (read(r->signals, &si, sizeof(si)) == (ssize_t)sizeof(si)) {
		if (si.ssi_signo == SIGCHLD)
			reap(r);
		else
			guest_signal(r, &si);
	}
}

static void on_guest(struct run *r)
{
	char buf[256];
	ssize_t n = recv(r->guest_sock, buf, sizeof(buf), MSG_DONTWAIT);

	/* Nothing is asked of us yet; the socket is there for new rings. */
	if (n > 0 || (n < 0 && errno == EAGAIN))
		return;
	close(r->guest_sock);
	r->guest_sock = -1;
}

/* A packet of the netkeeper, maybe with the TAP and what belongs to it. */
static int keeper_recv(int sock, struct keeper_msg *m, int fds[KEEPER_TAP_FDS])
{
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(KEEPER_TAP_FDS * sizeof(int))];
	} ctl;
	struct iovec io = { m, sizeof(*m) };
	struct msghdr h = { .msg_iov = &io, .msg_iovlen = 1,
		            .msg_control = ctl.buf, .msg_controllen = sizeof(ctl.buf) };
	ssize_t n = recvmsg(sock, &h, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&h) : NULL;

	for (int i = 0; i < KEEPER_TAP_FDS; i++)
		fds[i] = -1;
	if (c && c->cmsg_type == SCM_RIGHTS)
		memcpy(fds, CMSG_DATA(c), c->cmsg_len - CMSG_LEN(0));
	return n == (ssize_t)sizeof(*m) ? 1 : n < 0 && errno == EAGAIN ? 0 : -1;
}

static void on_keeper(struct run *r)
{
	struct keeper_msg m;
	int fds[KEEPER_TAP_FDS], got = keeper_recv(r->keeper_sock, &m, fds);

	if (got < 0) { /* it ended: SIGCHLD says how */
		close(r->keeper_sock);
		r->keeper_sock = -1;
		return;
	}
	if (!got)
		return;
	if (m.word == KEEPER_TAP && fds[0] >= 0 && !r->tap_ready) {
		r->tap_ready = true;
		r->tap_fd = fds[0]; /* kept: a later netd needs it, too */
		backend_keep(r, fds[1], fds[2]);
		r->tap = m;
		service_configure(r, &r->service[SERVICE_NETD]);
		return;
	} else if (m.word == KEEPER_NO_OUT && r->result < 0) {
		say("warning: no way out for %s: %s", r->o.name, m.text);
	}
	for (int i = 0; i < KEEPER_TAP_FDS; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

static void on_service(struct run *r, struct service *s, bool next)
{
	struct instance *i = next ? &s->next : &s->cur;

	if (i->sock >= 0)
		service_readable(r, s, i);
}

/* Whoever started us has no more guests for our services. */
static void on_hold(struct run *r)
{
	char c;

	if (read(r->hold, &c, 1) > 0)
		return;
	close(r->hold); /* and with it, out of the epoll set */
	r->hold = -1;
}

static int timeout_ms(struct run *r)
{
	uint64_t now = run_now(), at = r->deadline, due = services_due(r);

	if (r->kill_at && (!at || r->kill_at < at))
		at = r->kill_at;
	if (due && (!at || due < at))
		at = due;
	r->wake_at = at > now ? at : now;
	return !at ? -1 : at <= now ? 0 : (int)(at - now);
}

/* Stopped (Ctrl-Z, a suspended machine), we hear no service; that is not its fault. */
static void look_at_clock(struct run *r)
{
	const uint64_t now = run_now();

	if (now > r->wake_at + SLEPT_MS)
		services_slept(r);
	r->wake_at = now;
}

static void loop(struct run *r)
{
	struct epoll_event e[8];

	while (!advance(r)) {
		int n = epoll_wait(r->epoll, e, 8, timeout_ms(r));

		look_at_clock(r);
		if (r->kill_at && run_now() >= r->kill_at) {
			r->kill_at = 0;
			guest_kill(r);
		}
		for (int i = 0; i < n; i++) {
			switch (e[i].data.u32) {
			case SRC_SIGNAL:
				on_signals(r);
				break;
			case SRC_FSD:
			case SRC_NETD:
				on_service(r, &r->service[e[i].data.u32 - SRC_FSD], false);
				break;
			case SRC_FSD_NEXT:
			case SRC_NETD_NEXT:
				on_service(r, &r->service[e[i].data.u32 - SRC_FSD_NEXT], true);
				break;
			case SRC_GUEST:
				if (r->guest_sock >= 0)
					on_guest(r);
				break;
			case SRC_KEEPER:
				if (r->keeper_sock >= 0)
					on_keeper(r);
				break;
			case SRC_NAME:
				names_asked(r);
				break;
			case SRC_HOLD:
				if (r->hold >= 0)
					on_hold(r);
				break;
			case SRC_JOINED:
				if (r->joined_sock >= 0)
					joined_readable(r);
				break;
			default:
				joins_readable(r, e[i].data.u32 - SRC_JOIN);
				break;
			}
		}
		look_at_clock(r);
		services_tick(r);
	}
}

/* --- start ----------------------------------------------------------------- */

static void open_stdio(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR);
	} while (fd >= 0 && fd < 3);
	if (fd > 2)
		close(fd);
}

static void take_signals(struct run *r)
{
	static const int list[] = { SIGCHLD, SIGINT,  SIGTERM,  SIGHUP,  SIGQUIT, SIGUSR1,
		                    SIGUSR2, SIGALRM, SIGWINCH, SIGTSTP, SIGCONT };
	sigset_t set;

	sigemptyset(&set);
	signal(SIGCHLD, SIG_DFL);
	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
		struct sigaction old;

		/* What nohup or a shell's "&" made us ignore stays ignored. */
		if (sigaction(list[i], NULL, &old) || old.sa_handler != SIG_IGN)
			sigaddset(&set, list[i]);
	}
	signal(SIGPIPE, SIG_IGN);
	sigprocmask(SIG_BLOCK, &set, NULL);
	r->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	r->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (r->signals < 0 || r->epoll < 0)
		die(EXIT_STRAIT, "cannot wait for events: %s", strerror(errno));
	run_watch(r, r->signals, SRC_SIGNAL);
	r->in_foreground = isatty(0) && tcgetpgrp(0) == getpgrp();
}

static void keeper_start(struct run *r)
{
	static struct keeper k;
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		die(EXIT_STRAIT, "cannot make a socket: %s", strerror(errno));
	k = (struct keeper){ .opts = &r->o, .plan = &r->net, .sock = pair[1] };
	struct child_spec spec = {
		.what = "the guest's network",
		.namespaces = CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS,
		.root = ROOT_EMPTY,
		.group = GROUP_SESSION,
		.null_stdio = true,
		.gate = -1,
		.exec_fd = -1,
		.fn = keeper_main,
		.arg = &k,
	};
	/* Its end of our socket must not stay open in it. */
	r->keeper_sock = pair[0];
	r->keeper = child_start(&spec);
	close(pair[1]);
	if (r->keeper < 0) {
		int e = -r->keeper;

		r->keeper = 0;
		run_fail(r, "cannot start the guest's network: %s", strerror(e));
		return;
	}
	for (unsigned i = 0; i < r->o.n_ports; i++) { /* the netkeeper's now */
		close(r->o.ports[i].fd);
		r->o.ports[i].fd = -1;
	}
	run_watch(r, r->keeper_sock, SRC_KEEPER);
}

static void take_name(struct run *r)
{
	r->name_sock = names_bind(r->o.name);
	if (r->name_sock == -EADDRINUSE)
		die(EXIT_STRAIT,
		    "--name %s: a guest of that name runs; `strait stop %s` ends it, "
		    "or choose another name",
		    r->o.name, r->o.name);
	if (r->name_sock < 0)
		die(EXIT_STRAIT, "--name %s: cannot be taken: %s", r->o.name,
		    strerror(-r->name_sock));
	run_watch(r, r->name_sock, SRC_NAME);
}

/* Whom the guest's root is on files: behind sudo who called it, else nobody. */
static uint32_t squash_id(const char *sudo)
{
	const char *v = getenv(sudo);
	char *end;
	unsigned long id = v ? strtoul(v, &end, 10) : 65534u;

	return v && (end == v || *end || id >= UINT32_MAX) ? 65534u : (uint32_t)id;
}

static void choose_squash(struct run_opts *o)
{
	o->squash = !o->rootless && !o->no_squash;
	if (!o->squash || o->squash_given)
		return;
	o->squash_uid = squash_id("SUDO_UID");
	o->squash_gid = squash_id("SUDO_GID");
}

static void prepare(struct run *r)
{
	r->result = -1;
	r->guest_sock = r->gate = r->keeper_sock = r->trace_fd = r->joined_sock = -1;
	r->tap_fd = r->swap.asker = -1;
	r->last_domid = GUEST_DOMID;
	r->started = run_now();
	r->prog_fd = prog_open(r->o.program ? r->o.program : r->o.argv[0],
	                       &r->prog_open_to_others);
	if (r->o.join)
		joined_connect(r);
	else
		services_find(r);
	take_signals(r);
	take_name(r);
	ports_bind(&r->o);
	if (r->o.trace)
		r->trace_fd = tracefile_create(r->o.trace);
	r->stamps = r->trace_fd >= 0;
	r->o.rootless = userns_enter();
	choose_squash(&r->o);
	if (r->o.net == NET_LWIP && !r->o.join)
		net_plan_choose(&r->net, r->o.name);
}

static struct run *g_run;

/* Something could not be made when others had been started. */
static void end_children(void)
{
	kill_all(g_run);
	while (waitpid(-1, NULL, 0) > 0)
		;
}

/* Others may join from now on, and wait until we are up. */
static void tell_named(int fd)
{
	if (fd < 0)
		return;
	(void)!write(fd, "n", 1); /* nobody is left to tell when it fails */
	close(fd);
}

int run_guest(const struct run_opts *o, int named, int hold)
{
	static struct run r;

	r.o = *o;
	r.hold = hold;
	prepare(&r);
	tell_named(named);
	if (hold >= 0)
		run_watch(&r, hold, SRC_HOLD);
	enter(&r, RUN_STARTING, START_MS);
	if (r.o.join) {
		joined_ask(&r);
		loop(&r);
		return r.result;
	}
	g_run = &r;
	g_at_die = end_children;
	/* The slowest first: the others come up beside it. */
	if (r.o.net == NET_LWIP)
		keeper_start(&r);
	services_start(&r);
	guest_prepare(&r);
	mounts_make(&r.o, &r.net);
	if (r.result < 0)
		guest_start(&r);
	if (r.result < 0) {
		service_configure(&r, &r.service[SERVICE_FSD]);
		if (r.o.net == NET_HOST)
			service_configure(&r, &r.service[SERVICE_NETD]);
	}
	loop(&r);
	return r.result;
}

int run_main(int argc, char **argv)
{
	struct run_opts o;

	open_stdio();
	opts_parse_run(argc, argv, &o);
	return o.config ? run_config(o.config) : run_guest(&o, -1, -1);
}
