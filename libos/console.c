/* SPDX-License-Identifier: MIT */
/*
 * console.c - the three streams that the platform gives.
 *
 * Input is asked for without waiting; a reader that finds none arms the platform,
 * looks again, and parks.  The platform then rings the doorbell, and the thread that
 * wakes by it calls console_fired().  Output waits in the platform.
 *
 * A stream that is no terminal looks like a pipe: what it really is stays the
 * platform's.  So terminal requests answer ENOTTY and lseek ESPIPE there.
 */
#include "libos/console.h"

#include "libos/abi.h"
#include "libos/io.h"
#include "libos/pool.h"
#include "libos/process.h"
#include "libos/signal.h"
#include "libos/syscall.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <termios.h>

#define CONSOLES_MAX 256u
#define SMALL 512u
#define TTY_RDEV 0x8800u /* 136:0, a pts */
#define CONSOLE_DEV 24u

#ifndef TCGETS
#define TCGETS 0x5401
#define TCSETS 0x5402
#define TCSETSW 0x5403
#define TCSETSF 0x5404
#endif

struct console {
	struct ofd ofd;                /* first */
	struct console *next, **pprev; /* under g_console_lock */
	int out;                       /* stream of writes: constant */
};

static struct pool g_consoles = POOL_INIT(struct console, CONSOLES_MAX);
static struct lock g_console_lock = LOCK_INIT;
static struct console *g_list;

static struct console *console_of(const struct ofd *o)
{
	return (struct console *)(uintptr_t)o;
}

/* The stream whose nature a description shows. */
static int stream_of(const struct ofd *o)
{
	return (o->flags & ABI_ACCMODE) == O_RDONLY ? PLAT_CONSOLE_IN
	                                            : console_of(o)->out;
}

bool console_is_tty(int stream)
{
	struct ktermios t;

	return plat_console_ioctl(stream, TCGETS, &t) == 0;
}

void console_fired(void)
{
	lock_take(&g_console_lock);
	for (struct console *c = g_list; c; c = c->next)
		waitq_wake(&c->ofd.wait, EPOLLIN | EPOLLHUP);
	lock_drop(&g_console_lock);
}

/* ---- reading and writing ---- */

/* What can be said of input now; when nothing can, a ring is ordered. */
static uint32_t input_poll(void)
{
	uint32_t ev =
	        plat_console_poll(PLAT_CONSOLE_IN) & (EPOLLIN | EPOLLHUP | EPOLLERR);

	if (ev)
		return ev;
	plat_console_arm();
	return plat_console_poll(PLAT_CONSOLE_IN) & (EPOLLIN | EPOLLHUP | EPOLLERR);
}

static long input_ready(void *arg)
{
	(void)arg;
	return input_poll() != 0;
}

static long read_into(struct uio *u, void *buf, size_t n)
{
	long r = plat_console_read(buf, n);

	if (r <= 0)
		return r;
	return uio_out(u, buf, (size_t)r) == (size_t)r ? r : -EFAULT;
}

static long read_now(struct uio *u)
{
	uint8_t small[SMALL], *big;
	long r;

	if (uio_left(u) <= SMALL)
		return read_into(u, small, uio_left(u));
	big = bounce_get();
	if (!big)
		return read_into(u, small, sizeof(small));
	r = read_into(u, big, uio_left(u) < BOUNCE_SIZE ? uio_left(u) : BOUNCE_SIZE);
	bounce_put(big);
	return r;
}

static long op_read(struct ofd *o, struct uio *u, const uint64_t *pos)
{
	(void)pos;
	if (uio_left(u) == 0)
		return 0;
	for (;;) {
		long r = read_now(u);

		if (r == -EINTR && !thread_interrupted())
			continue;
		if (r == -EINTR)
			return -ERESTARTSYS;
		if (r != -EAGAIN || ofd_nonblock(o))
			return r;
		r = wait_until(&o->wait, EPOLLIN, input_ready, NULL, PLAT_NO_DEADLINE,
		               PARK_INTR | PARK_RINGS);
		if (r < 0)
			return r;
	}
}

/* All of @n bytes unless an error or a signal ends it. */
static long write_all(int stream, const uint8_t *from, size_t n)
{
	size_t done = 0;

	while (done < n) {
		long r = plat_console_write(stream, from + done, n - done);

		if (r == -EINTR && !thread_interrupted())
			continue;
		if (r == -EINTR)
			r = -ERESTARTSYS;
		if (r < 0)
			return done > 0 ? (long)done : r;
		done += (size_t)r;
	}
	return (long)done;
}

static long write_from(int stream, struct uio *u, uint8_t *buf, size_t cap)
{
	size_t done = 0;

	while (uio_left(u) > 0) {
		size_t want = uio_left(u) < cap ? uio_left(u) : cap;
		size_t got = uio_in(u, buf, want);
		long r = got > 0 ? write_all(stream, buf, got) : -EFAULT;

		if (r < 0)
			return done > 0 ? (long)done : r;
		done += (size_t)r;
		if ((size_t)r < want)
			break;
	}
	return (long)done;
}

static long op_write(struct ofd *o, struct uio *u, const uint64_t *pos)
{
	int stream = console_of(o)->out;
	uint8_t small[SMALL], *big = NULL;
	long r;

	(void)pos;
	if (ofd_nonblock(o) && !(plat_console_poll(stream) & (EPOLLOUT | EPOLLERR)))
		return -EAGAIN;
	if (uio_left(u) > SMALL)
		big = bounce_get();
	r = big ? write_from(stream, u, big, BOUNCE_SIZE)
	        : write_from(stream, u, small, sizeof(small));
	if (big)
		bounce_put(big);
	if (r == -EPIPE)
		signal_send_self(SIGPIPE);
	return r;
}

static uint32_t op_poll(struct ofd *o)
{
	uint32_t ev = 0;

	if ((o->flags & ABI_ACCMODE) != O_WRONLY)
		ev |= input_poll();
	if ((o->flags & ABI_ACCMODE) != O_RDONLY)
		ev |= plat_console_poll(console_of(o)->out) &
		      (EPOLLOUT | EPOLLERR | EPOLLHUP);
	return ev;
}

/* ---- terminal requests ---- */

struct tty_req {
	unsigned req;
	uint16_t in, out; /* bytes copied from and to the program */
};

static const struct tty_req g_tty_reqs[] = {
        {TCGETS, 0, sizeof(struct ktermios)},
        {TCSETS, sizeof(struct ktermios), 0},
        {TCSETSW, sizeof(struct ktermios), 0},
        {TCSETSF, sizeof(struct ktermios), 0},
        {TIOCGWINSZ, 0, sizeof(struct winsize)},
        {TIOCSWINSZ, sizeof(struct winsize), 0},
        {FIONREAD, 0, sizeof(int)},
        {TIOCOUTQ, 0, sizeof(int)},
};

/* The process group and session are the process's own; it is in the foreground. */
static long job_request(unsigned req, void *user_arg)
{
	int id = (int)PROCESS_PID;

	switch (req) {
	case TIOCGPGRP:
	case TIOCGSID:
		return user_copy_out(user_arg, &id, sizeof(id));
	case TIOCSPGRP:
		if (user_copy_in(&id, user_arg, sizeof(id)) != 0)
			return -EFAULT;
		return id == (int)PROCESS_PID ? 0 : -EPERM;
	case TIOCSCTTY:
		return 0; /* it is */
	default:
		return -ENOTTY;
	}
}

static long op_ioctl(struct ofd *o, unsigned long req_arg, void *user_arg)
{
	int stream = stream_of(o);
	unsigned req = (unsigned)req_arg;
	_Alignas(8) uint8_t buf[64];
	long r;

	for (size_t i = 0; i < sizeof(g_tty_reqs) / sizeof(g_tty_reqs[0]); i++) {
		const struct tty_req *t = &g_tty_reqs[i];

		if (t->req != req)
			continue;
		if (t->in && user_copy_in(buf, user_arg, t->in) != 0)
			return -EFAULT;
		r = plat_console_ioctl(stream, req, buf);
		if (r == 0 && t->out && user_copy_out(user_arg, buf, t->out) != 0)
			return -EFAULT;
		return r;
	}
	if (!console_is_tty(stream))
		return -ENOTTY;
	switch (req) {
	case TCSBRK:
	case TCXONC:
	case TCFLSH:
		return plat_console_ioctl(stream, req, user_arg); /* by value */
	default:
		return job_request(req, user_arg);
	}
}

static long op_stat(struct ofd *o, struct kstat *st)
{
	bool tty = console_is_tty(stream_of(o));

	*st = (struct kstat){.st_dev = CONSOLE_DEV,
	                     .st_ino = 3 + (uint64_t)stream_of(o),
	                     .st_nlink = 1,
	                     .st_mode = tty ? S_IFCHR | 0620 : S_IFIFO | 0600,
	                     .st_uid = g_config.uid,
	                     .st_gid = g_config.gid,
	                     .st_rdev = tty ? TTY_RDEV : 0,
	                     .st_blksize = tty ? 1024 : 4096};
	return 0;
}

static void op_release(struct ofd *o)
{
	struct console *c = console_of(o);

	lock_take(&g_console_lock);
	*c->pprev = c->next;
	if (c->next)
		c->next->pprev = c->pprev;
	lock_drop(&g_console_lock);
	pool_put(&g_consoles, c);
}

static const struct ofd_ops g_console_ops = {
        .kind = OFD_CONSOLE,
        .read = op_read,
        .write = op_write,
        .poll = op_poll,
        .ioctl = op_ioctl,
        .stat = op_stat,
        .release = op_release,
        .pollable = true,
        .rings = true, /* the doorbell tells */
};

/* ---- making them ---- */

long console_open(int stream, int flags, struct ofd **out)
{
	struct console *c = pool_get(&g_consoles);

	if (!c)
		return -ENFILE;
	c->out = stream;
	ofd_init(&c->ofd, &g_console_ops,
	         (uint32_t)flags & (ABI_ACCMODE | O_NONBLOCK | O_APPEND));
	lock_take(&g_console_lock);
	c->next = g_list;
	c->pprev = &g_list;
	if (c->next)
		c->next->pprev = &c->next;
	g_list = c;
	lock_drop(&g_console_lock);
	*out = &c->ofd;
	return 0;
}

const char *console_name(const struct ofd *o)
{
	return console_is_tty(stream_of(o)) ? "/dev/tty" : "pipe:[console]";
}

void console_init(void)
{
	for (int stream = PLAT_CONSOLE_IN; stream <= PLAT_CONSOLE_ERR; stream++) {
		int flags = stream == PLAT_CONSOLE_IN ? O_RDONLY : O_WRONLY;
		struct ofd *o;

		/* A terminal is open both ways, as a login leaves it. */
		if (console_is_tty(stream))
			flags = O_RDWR;
		if (console_open(stream == PLAT_CONSOLE_IN ? PLAT_CONSOLE_OUT : stream,
		                 flags, &o) == 0 &&
		    fd_install(o, stream, false) != stream)
			ofd_put(o);
	}
}
