/* SPDX-License-Identifier: MIT */
/*
 * fsd - the storage service.  One loop serves all guests; what would wait for a
 * disk is the workers'.  Started by a supervisor, which configures it over a
 * socket (proto/control.proto).
 */
#define _GNU_SOURCE
#include "services/fsd/fsd.h"

#include "rpc/slice.h"
#include "services/fsd/cred.h"
#include "services/fsd/filekeeper.h"
#include "services/fsd/kept.h"
#include "services/fsd/lock.h"
#include "services/fsd/notify.h"
#include "services/fsd/pool.h"
#include "services/fsd/serve.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#ifndef STRAIT_VERSION
#define STRAIT_VERSION "0.1.0"
#endif

#define BEAT_MS 500    /* guests must see a heartbeat once a second */
#define HOST_LOCK_MS 5 /* how often a lock held on the host is tried again */

/* Sanitizers need system calls that the filter forbids. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) ||                   \
        defined(STRAIT_NO_SANDBOX)
#define SANDBOX false
#else
#define SANDBOX true
#endif

static void usage(FILE *to)
{
	fprintf(to,
	        "usage: fsd --control-fd N [--log LEVEL]\n"
	        "\n"
	        "The storage service of strait: serves files to guests over vchan "
	        "rings.\n"
	        "It is started by `strait run`, which tells it what to serve over the\n"
	        "socket N.\n"
	        "\n"
	        "  --control-fd N   socket to the supervisor (SOCK_SEQPACKET)\n"
	        "  --log LEVEL      error, warn, info, debug (or 0 to 3); default "
	        "warn\n"
	        "  --no-seccomp     without landlock and system call filter, for "
	        "debugging\n"
	        "  --help, --version\n");
}

static int parse_level(const char *s)
{
	static const char *const names[] = {"error", "warn", "info", "debug"};

	for (int i = 0; i < 4; i++)
		if (strcmp(s, names[i]) == 0 || (s[0] == '0' + i && s[1] == 0))
			return i;
	return -1;
}

static int parse_fd(const char *s)
{
	char *end;
	const long v = strtol(s, &end, 10);
	struct stat st;

	if (*s == 0 || *end || v < 0 || v > 1 << 20 || fstat((int)v, &st) < 0 ||
	    !S_ISSOCK(st.st_mode))
		return -1;
	return (int)v;
}

static void parse_args(int argc, char **argv, struct fsd *f)
{
	static const struct option options[] = {
	        {"control-fd", required_argument, NULL, 'c'},
	        {"log", required_argument, NULL, 'l'},
	        {"no-seccomp", no_argument, NULL, 's'},
	        {"help", no_argument, NULL, 'h'},
	        {"version", no_argument, NULL, 'v'},
	        {NULL, 0, NULL, 0},
	};
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'c':
			f->control = parse_fd(optarg);
			if (f->control < 0) {
				fprintf(stderr,
				        "fsd: --control-fd %s is not a socket\n",
				        optarg);
				exit(125);
			}
			break;
		case 'l':
			g_log_level = parse_level(optarg);
			if (g_log_level < 0) {
				fprintf(stderr,
				        "fsd: --log %s: use error, warn, info or "
				        "debug\n",
				        optarg);
				exit(125);
			}
			break;
		case 's':
			f->sandbox = false;
			break;
		case 'h':
			usage(stdout);
			exit(0);
		case 'v':
			printf("fsd (strait) %s, protocol %u to %u\n", STRAIT_VERSION,
			       RPC_VERSION_MIN, RPC_VERSION_MAX);
			exit(0);
		default:
			fprintf(stderr, "fsd: try fsd --help\n");
			exit(125);
		}
	}
	if (optind < argc || f->control < 0) {
		fprintf(stderr, "fsd: %s; try fsd --help\n",
		        f->control < 0 ? "--control-fd is missing"
		                       : "too many arguments");
		exit(125);
	}
}

static int init(struct fsd *f)
{
	struct epoll_event control = {.events = EPOLLIN, .data.ptr = f};
	struct epoll_event wake = {.events = EPOLLIN, .data.ptr = &f->wake};

	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	signal(SIGINT, SIG_IGN);  /* Ctrl-C is the supervisor's business */
	signal(SIGTTOU, SIG_IGN); /* a message to a terminal must not stop us */
	umask(0);
	slice_short();
	f->epoll = epoll_create1(EPOLL_CLOEXEC);
	f->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (f->epoll < 0 || f->wake < 0 ||
	    epoll_ctl(f->epoll, EPOLL_CTL_ADD, f->control, &control) < 0 ||
	    epoll_ctl(f->epoll, EPOLL_CTL_ADD, f->wake, &wake) < 0 ||
	    tick_open(&f->tick, f->epoll) < 0) {
		fprintf(stderr, "fsd: cannot start: %s\n", strerror(errno));
		return -1;
	}
	notify_init(f->epoll);
	return 0;
}

static void say_ready(struct fsd *f)
{
	Control__Control c = CONTROL__CONTROL__INIT;
	Control__Ready ready = CONTROL__READY__INIT;

	ready.version = RPC_VERSION_MAX;
	ready.prepares = 1;
	c.body_case = CONTROL__CONTROL__BODY_READY;
	c.ready = &ready;
	if (control_send(f->control, &c, NULL, 0) < 0)
		f->stop = true;
}

static void reply(struct fsd *f, const Control__Control *c)
{
	if (control_send(f->control, c, NULL, 0) < 0)
		f->stop = true;
}

static void say_pong(struct fsd *f, uint64_t nonce)
{
	Control__Control c = CONTROL__CONTROL__INIT;
	Control__Pong pong = CONTROL__PONG__INIT;

	pong.nonce = nonce;
	c.body_case = CONTROL__CONTROL__BODY_PONG;
	c.pong = &pong;
	reply(f, &c);
}

static void say_status(struct fsd *f)
{
	Control__Control c = CONTROL__CONTROL__INIT;
	Control__StatusReply s = CONTROL__STATUS_REPLY__INIT;

	guests_count(f, &s.sessions, &s.in_flight, &s.files);
	c.body_case = CONTROL__CONTROL__BODY_STATUS_REPLY;
	c.status_reply = &s;
	reply(f, &c);
}

/* Files need no hand-over: guests reopen them.  Who asks for one is told so. */
static void refuse_move(struct fsd *f, Control__Control__BodyCase asked)
{
	static char why[] = "fsd: hands nothing over; it is restarted";
	const ProtobufCBinaryData text = {.len = sizeof why - 1, .data = (uint8_t *)why};
	Control__Control c = CONTROL__CONTROL__INIT;
	Control__Exported out = CONTROL__EXPORTED__INIT;
	Control__Imported in = CONTROL__IMPORTED__INIT;

	out.failed = in.failed = text;
	if (asked == CONTROL__CONTROL__BODY_EXPORT) {
		c.body_case = CONTROL__CONTROL__BODY_EXPORTED;
		c.exported = &out;
	} else {
		c.body_case = CONTROL__CONTROL__BODY_IMPORTED;
		c.imported = &in;
	}
	reply(f, &c);
}

/* Guests that are prepared: its disks are another's as yet. */
static bool before_configure(const Control__Control *c)
{
	return c->body_case == CONTROL__CONTROL__BODY_CONFIGURE ||
	       c->body_case == CONTROL__CONTROL__BODY_SHUTDOWN ||
	       c->body_case == CONTROL__CONTROL__BODY_PING ||
	       c->body_case == CONTROL__CONTROL__BODY_GUEST_GONE ||
	       (c->body_case == CONTROL__CONTROL__BODY_GUEST_ADD && c->guest_add->prepare);
}

static int handle_control(struct fsd *f, const Control__Control *c, int *fds, int n_fds)
{
	if (!f->configured && !before_configure(c)) {
		control_fail(f->control, 0,
		             "fsd: was not configured before its first guest");
		return -EINVAL;
	}
	switch (c->body_case) {
	case CONTROL__CONTROL__BODY_CONFIGURE:
		if (configure(f, c->configure, fds, n_fds) < 0)
			return -EINVAL;
		say_ready(f);
		break;
	case CONTROL__CONTROL__BODY_KEPT:
		if (f->recovering) /* else nobody will ask for them */
			kept_take(fds, n_fds, c->kept->hold, c->kept->n_hold);
		break;
	case CONTROL__CONTROL__BODY_GUEST_ADD:
		guest_add(f, c->guest_add, fds, n_fds);
		break;
	case CONTROL__CONTROL__BODY_GUEST_GONE:
		guest_gone(f, c->guest_gone->domid);
		break;
	case CONTROL__CONTROL__BODY_SHUTDOWN:
		f->stop = true;
		f->linger = c->shutdown->linger != 0;
		break;
	case CONTROL__CONTROL__BODY_PING:
		say_pong(f, c->ping->nonce);
		break;
	case CONTROL__CONTROL__BODY_STATUS:
		say_status(f);
		break;
	case CONTROL__CONTROL__BODY_EXPORT:
	case CONTROL__CONTROL__BODY_IMPORT:
		refuse_move(f, c->body_case);
		break;
	default:
		log_write(1, "the supervisor sent a message that is not for a service");
	}
	return 0;
}

static int read_control(struct fsd *f)
{
	Control__Control *c;
	int fds[CONTROL_FDS_MAX], n_fds = 0;
	int r = control_recv(f->control, MSG_DONTWAIT, &c, fds, &n_fds);

	if (r == -EAGAIN)
		return 0;
	if (r < 0) {
		f->alone = r == -EPIPE;
		if (f->alone)
			log_write(2, "the supervisor is gone");
		else
			log_write(0, "supervisor: %s", strerror(-r));
		f->stop = true;
		return r == -EPIPE ? 0 : r;
	}
	r = handle_control(f, c, fds, n_fds);
	for (int i = 0; i < n_fds; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	control__control__free_unpacked(c, NULL);
	return r;
}

static int wait_ms(struct fsd *f)
{
	struct timespec now;

	if (lock_poll_host())
		return HOST_LOCK_MS;
	if (f->guests && f->tick.at_ms == UINT64_MAX) {
		clock_gettime(CLOCK_MONOTONIC, &now);
		serve_tick((uint64_t)now.tv_sec);
		tick_need(&f->tick, (uint64_t)now.tv_sec * 1000 +
		                            (uint64_t)now.tv_nsec / 1000000 + BEAT_MS);
	}
	return -1;
}

static int wait_events(struct fsd *f, int timeout)
{
	struct epoll_event ev[16];
	const int n = epoll_wait(f->epoll, ev, 16, timeout);
	uint64_t count;
	int r = 0;

	for (int i = 0; i < n; i++) {
		if (ev[i].data.ptr == f)
			r = read_control(f);
		else if (ev[i].data.ptr == &f->tick)
			tick_fired(&f->tick);
		else if (ev[i].data.ptr == &f->wake)
			(void)!read(f->wake, &count,
			            sizeof count); /* just the wake-up */
		else
			guest_event(f, ev[i].data.ptr);
	}
	return r;
}

static int loop(struct fsd *f)
{
	unsigned turns = 0;
	int r = 0;

	while (!f->stop && r == 0) {
		bool more = guests_serve(f) || guests_spin(f);

		if (guests_recover(f))
			more = true; /* what was held is in the rings */
		serve_resume();
		guests_reap(f);
		if (!more) {
			guests_beat(f);
			r = wait_events(f, wait_ms(f));
			guests_beat(f);
		} else if (++turns % 64 ==
		           0) { /* a busy guest must not shut the others out */
			guests_beat(f);
			r = wait_events(f, 0);
		}
	}
	return r;
}

/* All is closed but the supervisor's socket; then wait until that is, and end.  Workers,
 * which have nothing to do, and what is mapped go with us. */
static void linger(struct fsd *f)
{
	const unsigned control = (unsigned)f->control;
	Control__Control c = CONTROL__CONTROL__INIT, *more;
	Control__Stopped stopped = CONTROL__STOPPED__INIT;
	int fds[CONTROL_FDS_MAX], n_fds;

	mounts_leave(&f->mounts);
	if ((control > 3 && close_range(3, control - 1, 0)) || close_range(control + 1, ~0u, 0))
		return;
	c.body_case = CONTROL__CONTROL__BODY_STOPPED;
	c.stopped = &stopped;
	if (control_send(f->control, &c, NULL, 0) < 0)
		return;
	while (control_recv(f->control, 0, &more, fds, &n_fds) == 0)
		control__control__free_unpacked(more, NULL);
	_exit(0);
}

/* What was taken is answered; what is in the rings, and what guests have open, is the
 * next instance's, if there may be one. */
static void finish(struct fsd *f)
{
	if (f->alone)
		guests_close_all(f);
	/* Locks that are asked for too early are not answered here at all. */
	for (int i = 0; i < (f->recovering ? 500 : 5000); i++) {
		guests_reap(f); /* also of a worker that has answered and is about to end */
		if (!guests_busy(f) && !(f->alone && f->guests))
			break;
		serve_resume();
		guests_beat(f);
		usleep(1000);
	}
	if (guests_busy(f)) /* a disk that does not answer: leave it to the kernel */
		_exit(1);
	if (f->guests && f->linger)
		linger(f);
	pool_stop();
	if (f->guests) {
		mounts_leave(&f->mounts);
		exit(0); /* releasing what they have would tell others that they left */
	}
	(void)cred_use(NULL); /* not as the last caller: the orphans' folder is ours */
	mounts_fini(&f->mounts);
	free(f->away);
}

int main(int argc, char **argv)
{
	struct fsd f = {.control = -1, .sandbox = SANDBOX};
	int r;

	parse_args(argc, argv, &f);
	filekeeper_start(argc, argv, f.sandbox);
	if (init(&f) < 0)
		return 125;
	r = loop(&f);
	finish(&f);
	return r < 0 ? 125 : 0;
}
