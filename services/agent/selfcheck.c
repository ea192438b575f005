/* SPDX-License-Identifier: MIT */
/*
 * selfcheck.c - can this domain serve files?  Tried before anyone waits for it.
 *
 * The disk is another domain's until that one has ended, and then guests wait.  So all
 * that is done with it is done before on a small ext4 in memory: it is mounted, another
 * fsd serves it with the rights and filters of the real one and ends, and the device is
 * free again.  What fails here costs nobody anything, and what is run here for the first
 * time need not be then.
 */
#include "rpc/control.h"
#include "services/agent/agent.h"
#include "services/agent/swap_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define STEP_MS 10000u
#define SCRATCH "/dev/ram0"
#define MODULE "brd"
#define MODULE_PARAMS "rd_nr=1 rd_size=16384" /* KiB; of the file system: mkimage */
#define BLOCKS "/usr/lib/strait/ext4.blocks"
#define BLOCK 4096

/* What of a file system is not zero. */
struct block {
	uint64_t at; /* bytes from its begin */
	uint8_t bytes[BLOCK];
};

struct check {
	struct agent it; /* as ours, but for the service and its disks */
	bool disk;
	char *why;
};

__attribute__((format(printf, 3, 4)))
static int fails(const struct check *c, int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(c->why, CONFIG_WHY, fmt, ap);
	va_end(ap);
	return err;
}

/* ---- the disk ---- */

static int copy_blocks(int from, int to)
{
	struct block b;
	ssize_t n;

	while ((n = read(from, &b, sizeof(b))) == (ssize_t)sizeof(b))
		if (pwrite(to, b.bytes, BLOCK, (off_t)b.at) != BLOCK)
			return -EIO;
	return n == 0 ? 0 : -EIO;
}

static int make_disk(const struct check *c)
{
	int from, to, r = init_load_module(MODULE ".ko", MODULE_PARAMS);

	if (r == 0)
		r = wait_for_path(SCRATCH, STEP_MS);
	from = open(BLOCKS, O_RDONLY | O_CLOEXEC);
	to = open(SCRATCH, O_WRONLY | O_CLOEXEC);
	if (r == 0)
		r = from < 0 || to < 0 ? -errno : copy_blocks(from, to);
	if (from >= 0)
		close(from);
	if (to >= 0)
		close(to);
	return r < 0 ? fails(c, r, "no disk in memory to try it on: %s", strerror(-r)) : 0;
}

/* One mount, at "/", where it needs nothing of another: as the first disk that the one in
 * memory is like, or a tmpfs. */
static void replace_mounts(struct check *c)
{
	struct config *to = &c->it.config;
	struct config_mount m = {.memory = true, .size = 1 << 20};

	for (unsigned i = 0; i < to->n_mounts && !c->disk; i++) {
		if (to->mounts[i].memory || strcmp(to->mounts[i].fstype, "ext4") != 0)
			continue;
		c->disk = true;
		m = to->mounts[i];
		snprintf(m.source, sizeof(m.source), "%s", SCRATCH);
	}
	snprintf(m.guest, sizeof(m.guest), "/");
	to->mounts[0] = m;
	to->n_mounts = 1;
}

/* As a guest's file is written and synced, and found again after fsd's end. */
static int use_file(int dir)
{
	static const char text[] = "a line\n";
	union {
		struct file_handle h;
		char room[sizeof(struct file_handle) + MAX_HANDLE_SZ];
	} id = {.h.handle_bytes = MAX_HANDLE_SZ};
	const int fd = openat(dir, "file", O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	int mount_id, again = -1, r = 0;

	if (fd < 0 || write(fd, text, sizeof(text) - 1) != (ssize_t)sizeof(text) - 1 || fsync(fd) ||
	    name_to_handle_at(fd, "", &id.h, &mount_id, AT_EMPTY_PATH))
		r = -errno;
	if (r == 0)
		again = open_by_handle_at(dir, &id.h, O_RDONLY | O_CLOEXEC);
	if (r == 0 && (again < 0 || unlinkat(dir, "file", 0)))
		r = -errno;
	if (again >= 0)
		close(again);
	if (fd >= 0)
		close(fd);
	return r;
}

static int use_disk(const struct check *c)
{
	for (unsigned i = 0; i < c->it.service.n_mounts; i++) {
		const struct config_mount *m = &c->it.config.mounts[i];

		if (m->memory || m->read_only)
			continue;
		const int dir = openat(c->it.service.mount_fds[i], ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		const int r = dir < 0 ? -errno : use_file(dir);

		if (dir >= 0)
			close(dir);
		if (r < 0)
			return fails(c, r, "a file on a disk in memory: %s", strerror(-r));
	}
	return 0;
}

/* ---- its fsd ---- */

/* 1: it is @what; 0: something else; negative: it cannot serve, and says why. */
static int heard(const struct check *c, const Control__Control *m, Control__Control__BodyCase what)
{
	const ProtobufCBinaryData *text;

	if (m->body_case != CONTROL__CONTROL__BODY_FAILED)
		return m->body_case == what;
	text = &m->failed->text;
	return fails(c, -EIO, "%.*s", (int)(text->len < 300 ? text->len : 300), (const char *)text->data);
}

static int await(const struct check *c, Control__Control__BodyCase what)
{
	const uint64_t until = now_ms() + STEP_MS;
	int r = 0;

	for (uint64_t now = now_ms(); r == 0 && now < until; now = now_ms()) {
		struct pollfd p = {c->it.service.sock, POLLIN, 0};
		int fds[CONTROL_FDS_MAX], n_fds = 0;
		Control__Control *m;

		if (poll(&p, 1, (int)(until - now)) <= 0)
			continue;
		r = control_recv(p.fd, MSG_DONTWAIT, &m, fds, &n_fds);
		if (r == -EAGAIN)
			r = 0;
		else if (r < 0)
			return fails(c, r, "its fsd ended, or does not speak strait's protocol");
		else {
			r = heard(c, m, what);
			control__control__free_unpacked(m, NULL);
		}
		for (int i = 0; i < n_fds; i++)
			close(fds[i]);
	}
	return r < 0 ? r : r ? 0 : fails(c, -ETIMEDOUT, "its fsd does not answer");
}

/* False: it had to be killed. */
static bool reaped(pid_t pid)
{
	const uint64_t until = now_ms() + STEP_MS;
	const struct timespec nap = {0, 1000000};
	int status;

	while (waitpid(pid, &status, WNOHANG) == 0) {
		if (now_ms() > until) {
			(void)kill(pid, SIGKILL);
			(void)waitpid(pid, &status, 0);
			return false;
		}
		nanosleep(&nap, NULL);
	}
	return true;
}

static int serve(struct check *c)
{
	struct agent *it = &c->it;
	int r = service_start(it);

	if (r < 0)
		return fails(c, r, "%s", it->swap.why);
	r = await(c, CONTROL__CONTROL__BODY_READY);
	if (r == 0)
		r = swap_send(it->service.sock, CONTROL__CONTROL__BODY_PING, -1);
	if (r == 0)
		r = await(c, CONTROL__CONTROL__BODY_PONG);
	return r == 0 ? use_disk(c) : r;
}

static int end(struct check *c, int r)
{
	struct service *s = &c->it.service;

	service_stop(&c->it);
	if (s->pid && !reaped(s->pid) && r == 0)
		r = fails(c, -ETIMEDOUT, "its fsd does not end");
	if (!service_ended(&c->it) && r == 0)
		r = fails(c, -EIO, "a disk in memory was not written out");
	for (unsigned i = 0; i < CONFIG_MOUNTS_MAX; i++)
		if (s->mems_ahead[i])
			close(s->mems_ahead[i]);
	if (!mounts_released(&c->it.config) && r == 0)
		r = fails(c, -EBUSY, "a disk in memory was not let go");
	return r;
}

int selfcheck_files(const struct agent *a, char why[CONFIG_WHY])
{
	struct check *c = malloc(sizeof(*c));
	int r = 0;

	snprintf(why, CONFIG_WHY, "out of memory");
	if (!c)
		return -ENOMEM;
	c->it = *a;
	c->disk = false;
	c->why = why;
	c->it.service = (struct service){.sock = -1, .link_fd = -1};
	c->it.trace = (struct trace){.fd = -1};
	c->it.swap = (struct swap){.next = {.sock = -1, .trace.fd = -1}, .trying = true};
	c->it.config.trace = false;
	replace_mounts(c);
	if (c->disk)
		r = make_disk(c);
	if (r == 0)
		r = end(c, serve(c));
	if (c->disk)
		init_unload_module(MODULE);
	free(c);
	return r;
}
