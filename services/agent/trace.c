/* SPDX-License-Identifier: MIT */
/*
 * trace.c - a service's trace, kept in memory and fetched by dom0.
 *
 * The service appends to a file on a tmpfs of its own; when that is full the trace ends,
 * not the service.  dom0 fetches it over a vchan at <data>/trace (trace_fetch.c).  Of the
 * bytes that dom0 writes, 'c' is answered by this kernel's CLOCK_MONOTONIC, 8 bytes; 't'
 * by the clock_ahead that the service was given, 8 bytes, and the file as it is then.
 * Then the agent hangs up; the channel is made anew for the next one.
 */
#include "services/agent/agent.h"
#include "tools/strait/strait.h"
#include "vchan/vchan.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define RING_ORDER 16

int trace_create(struct agent *a, char why[CONFIG_WHY])
{
	char text[64];
	const int fs = (int)syscall(SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC);
	int mnt = -1, fd;

	snprintf(text, sizeof(text), "%llu", (unsigned long long)a->config.trace_size);
	if (fs < 0 || syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, "size", text, 0) ||
	    syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) ||
	    (mnt = (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC,
	                        MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC)) < 0) {
		snprintf(why, CONFIG_WHY, "cannot make memory for the trace: %s", strerror(errno));
		if (fs >= 0)
			close(fs);
		return -errno;
	}
	close(fs);
	snprintf(text, sizeof(text), "/proc/self/fd/%d/trace", mnt);
	fd = tracefile_create(text);
	a->trace.fd = open(text, O_RDONLY | O_CLOEXEC);
	close(mnt);
	if (a->trace.fd < 0) {
		snprintf(why, CONFIG_WHY, "cannot read the trace: %s", strerror(errno));
		close(fd);
		return -errno;
	}
	return fd;
}

static int put_node(struct agent *a, const char *name, uint32_t value)
{
	char path[AGENT_PATH + 32], text[16];
	int r;

	snprintf(path, sizeof(path), "%s/trace/%s", a->data, name);
	snprintf(text, sizeof(text), "%u", value);
	r = store_write(&a->store, path, text);
	return r < 0 || a->domid == 0 ? r : store_share(&a->store, path, a->domid, 0);
}

void trace_offer(struct agent *a)
{
	const int none[3] = {-1, -1, -1};
	struct trace *t = &a->trace;
	uint32_t ref, port;
	int r;

	if (t->fd < 0 || t->end)
		return;
	t->sending = false;
	r = vchan_offer(0, "trace", none);
	if (r == 0) {
		t->end = vchan_server_open(0, "trace", RING_ORDER);
		r = t->end ? 0 : -errno;
	}
	if (r == 0) {
		vchan_address(t->end, &ref, &port);
		r = put_node(a, "event-channel", port);
		if (r == 0)
			r = put_node(a, "ring-ref", ref);
		vchan_arm(t->end);
	}
	if (r < 0)
		say("the trace cannot be fetched: %s", strerror(-r));
}

int trace_fd(const struct agent *a)
{
	return a->trace.end ? vchan_fd(a->trace.end) : -1;
}

/* Copy as much as fits.  False: the file ended, or could not be read. */
static bool send_some(struct trace *t)
{
	uint8_t buf[16384];

	for (;;) {
		const int64_t room = vchan_room(t->end);
		uint64_t want = t->size - t->sent;
		ssize_t n;

		if (room < 0)
			return false;
		if (want > sizeof(buf))
			want = sizeof(buf);
		if (want > (uint64_t)room)
			want = (uint64_t)room;
		if (want == 0)
			break;
		n = pread(t->fd, buf, want, (off_t)t->sent);
		if (n <= 0)
			return false;
		vchan_put(t->end, 0, buf, (uint32_t)n);
		vchan_publish(t->end, (uint32_t)n);
		t->sent += (uint64_t)n;
	}
	vchan_notify(t->end);
	/* Until the other side has read the last byte. */
	return t->sent < t->size || vchan_room(t->end) < 1 << RING_ORDER;
}

static void put_number(struct trace *t, int64_t v)
{
	if (vchan_room(t->end) < (int64_t)sizeof(v))
		return; /* it does not read what it asked for */
	vchan_put(t->end, 0, &v, sizeof(v));
	vchan_publish(t->end, sizeof(v));
	vchan_notify(t->end);
}

static void take_requests(struct trace *t)
{
	struct timespec now;
	struct stat st;
	char what;

	while (!t->sending && vchan_readable(t->end) > 0) {
		vchan_peek(t->end, 0, &what, 1);
		vchan_consume(t->end, 1);
		if (what == 'c') {
			clock_gettime(CLOCK_MONOTONIC, &now);
			put_number(t, (int64_t)now.tv_sec * 1000000000 + now.tv_nsec);
		} else if (what == 't' && fstat(t->fd, &st) == 0) {
			put_number(t, t->clock_ahead);
			t->sending = true;
			t->sent = 0;
			t->size = (uint64_t)st.st_size;
		}
	}
	vchan_arm(t->end);
}

void trace_event(struct agent *a)
{
	struct trace *t = &a->trace;
	bool more = true;

	if (!t->end)
		return;
	vchan_ack(t->end);
	do /* armed before the last look: nothing comes unseen */
		take_requests(t);
	while (!t->sending && vchan_readable(t->end) > 0);
	if (t->sending)
		more = send_some(t);
	if (more && vchan_readable(t->end) >= 0 && vchan_peer_open(t->end))
		return;
	vchan_hang_up(t->end);
	vchan_close(t->end);
	t->end = NULL;
	trace_offer(a);
}

void trace_close(struct agent *a)
{
	if (a->trace.end)
		vchan_close(a->trace.end);
	if (a->trace.fd >= 0)
		close(a->trace.fd);
	a->trace = (struct trace){.fd = -1};
}
