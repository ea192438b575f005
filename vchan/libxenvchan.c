/* SPDX-License-Identifier: MIT */
/*
 * libxenvchan.c - the hosted stand-in for libxenvchan.so.
 *
 * The same symbols, struct and ring as Xen's library; grants are replaced by a
 * sealed memfd and event channels by an eventfd (guest to service) and the
 * guest's doorbell page (service to guest).  On Xen the real library is linked
 * instead of this file.
 *
 * Differences, both on purpose: an index out of range makes the channel closed
 * (libxenvchan_is_open() == 0) instead of hanging it, and the client end, which
 * only tests use, has no descriptor to select on (fd -1): it waits on a futex.
 */
#include "vchan/hosted.h"
#include "vchan/hosted_priv.h"

#include <errno.h>
#include <libxenvchan.h>
#include <linux/futex.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Our content of the opaque event channel handle. */
struct xenevtchn_handle {
	int event_fd;
	struct doorbell *bell;
	size_t map_size;
	bool server;
};

static void futex_wake(_Atomic uint32_t *word)
{
	syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

/* Who sleeps decides whom to wake: nobody is woken while somebody polls. */
static void ring_doorbell(struct doorbell *b)
{
	atomic_fetch_add(&b->word, 1);
	switch (atomic_load(&b->sleeping)) {
	case DOORBELL_LEADER:
		futex_wake(&b->word);
		break;
	case DOORBELL_NOBODY:
		atomic_fetch_add(&b->pump, 1);
		futex_wake(&b->pump);
		break;
	default:
		break;
	}
}

int xenevtchn_notify(xenevtchn_handle *xce, evtchn_port_t port)
{
	const uint64_t one = 1;

	(void)port;
	if (xce->server)
		ring_doorbell(xce->bell);
	else if (write(xce->event_fd, &one, sizeof(one)) != (ssize_t)sizeof(one))
		return -1;
	return 0;
}

int xenevtchn_fd(xenevtchn_handle *xce)
{
	return xce->server ? xce->event_fd : -1;
}

static void entry_free(struct hosted_entry *e)
{
	close(e->ring_fd);
	close(e->doorbell_fd);
	free(e->path);
	free(e);
}

static struct libxenvchan *map_entry(struct hosted_entry *e, bool server)
{
	const size_t size = hosted_ring_size(e->order);
	struct libxenvchan *ctrl = calloc(1, sizeof(*ctrl));
	struct xenevtchn_handle *ev = calloc(1, sizeof(*ev));
	uint8_t *map, *bell;

	if (!ctrl || !ev)
		goto fail;
	map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
	           e->ring_fd, 0);
	if (map == MAP_FAILED)
		goto fail;
	bell = mmap(NULL, DOORBELL_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
	            e->doorbell_fd, 0);
	if (bell == MAP_FAILED) {
		munmap(map, size);
		goto fail;
	}
	*ev = (struct xenevtchn_handle){e->event_fd, (void *)bell, size, server};
	ctrl->ring = (void *)map;
	ctrl->event = ev;
	ctrl->is_server = server ? -1 : 0; /* a signed bit */
	ctrl->xs_path = e->path;
	e->path = NULL;
	/* left is client write, server read */
	struct libxenvchan_ring left = {&ctrl->ring->left, map + 4096, (int)e->order};
	struct libxenvchan_ring right = {&ctrl->ring->right,
	                                 map + 4096 + ((size_t)1 << e->order),
	                                 (int)e->order};
	ctrl->read = server ? left : right;
	ctrl->write = server ? right : left;
	entry_free(e);
	return ctrl;
fail:
	free(ctrl);
	free(ev);
	close(e->event_fd);
	entry_free(e);
	errno = ENOMEM;
	return NULL;
}

struct libxenvchan *libxenvchan_server_init(struct xentoollog_logger *logger, int domain,
                                            const char *xs_path, size_t read_min,
                                            size_t write_min)
{
	struct hosted_entry *e = hosted_take(false, domain, xs_path);
	struct libxenvchan *ctrl;

	(void)logger;
	if (!e) {
		errno = ENOENT;
		return NULL;
	}
	if (read_min > (size_t)1 << e->order || write_min > (size_t)1 << e->order) {
		close(e->event_fd);
		entry_free(e);
		errno = EINVAL;
		return NULL;
	}
	ctrl = map_entry(e, true);
	if (ctrl)
		ctrl->ring->srv_live = 1;
	return ctrl;
}

struct libxenvchan *libxenvchan_client_init(struct xentoollog_logger *logger, int domain,
                                            const char *xs_path)
{
	struct hosted_entry *e = hosted_take(true, domain, xs_path);
	struct libxenvchan *ctrl;

	(void)logger;
	if (!e) {
		errno = ENOENT;
		return NULL;
	}
	ctrl = map_entry(e, false);
	if (ctrl) {
		ctrl->ring->cli_live = 1;
		ctrl->ring->srv_notify = VCHAN_NOTIFY_WRITE;
		xenevtchn_notify(ctrl->event, 0);
	}
	return ctrl;
}

void libxenvchan_close(struct libxenvchan *ctrl)
{
	if (!ctrl)
		return;
	if (ctrl->is_server)
		ctrl->ring->srv_live = 0;
	else
		ctrl->ring->cli_live = 0;
	xenevtchn_notify(ctrl->event, 0);
	munmap(ctrl->ring, ctrl->event->map_size);
	munmap(ctrl->event->bell, DOORBELL_SIZE);
	close(ctrl->event->event_fd);
	free(ctrl->event);
	free(ctrl->xs_path);
	free(ctrl);
}

int libxenvchan_is_open(struct libxenvchan *ctrl)
{
	const uint32_t size = 1u << ctrl->read.order;

	if (ctrl->read.shr->prod - ctrl->read.shr->cons > size ||
	    ctrl->write.shr->prod - ctrl->write.shr->cons > size)
		return 0;
	if (ctrl->is_server)
		return ctrl->server_persist ? 1 : ctrl->ring->cli_live;
	return ctrl->ring->srv_live;
}

static void request_notify(struct libxenvchan *ctrl, uint8_t bit)
{
	uint8_t *notify = ctrl->is_server ? &ctrl->ring->cli_notify
	                                  : &ctrl->ring->srv_notify;

	__atomic_or_fetch(notify, bit, __ATOMIC_SEQ_CST);
}

static void send_notify(struct libxenvchan *ctrl, uint8_t bit)
{
	uint8_t *notify = ctrl->is_server ? &ctrl->ring->srv_notify
	                                  : &ctrl->ring->cli_notify;

	if (__atomic_fetch_and(notify, (uint8_t)~bit, __ATOMIC_SEQ_CST) & bit)
		xenevtchn_notify(ctrl->event, ctrl->event_port);
}

static uint32_t ready_now(const struct libxenvchan *ctrl)
{
	const uint32_t n = __atomic_load_n(&ctrl->read.shr->prod, __ATOMIC_ACQUIRE) -
	                   ctrl->read.shr->cons;

	return n > 1u << ctrl->read.order ? 0 : n;
}

static uint32_t space_now(const struct libxenvchan *ctrl)
{
	const uint32_t used = ctrl->write.shr->prod -
	                      __atomic_load_n(&ctrl->write.shr->cons, __ATOMIC_ACQUIRE);

	return used > 1u << ctrl->write.order ? 0 : (1u << ctrl->write.order) - used;
}

int libxenvchan_data_ready(struct libxenvchan *ctrl)
{
	request_notify(ctrl, VCHAN_NOTIFY_WRITE);
	return (int)ready_now(ctrl);
}

int libxenvchan_buffer_space(struct libxenvchan *ctrl)
{
	request_notify(ctrl, VCHAN_NOTIFY_READ);
	return (int)space_now(ctrl);
}

int libxenvchan_wait(struct libxenvchan *ctrl)
{
	struct xenevtchn_handle *ev = ctrl->event;

	if (ctrl->is_server) {
		struct pollfd p = {.fd = ev->event_fd, .events = POLLIN};
		uint64_t n;

		if (poll(&p, 1, -1) < 0)
			return -1;
		(void)!read(ev->event_fd, &n, sizeof(n)); /* non-blocking: only clears */
		return 0;
	}
	atomic_store(&ev->bell->sleeping, DOORBELL_LEADER);
	const uint32_t seen = atomic_load(&ev->bell->word);
	if (!ready_now(ctrl) && libxenvchan_is_open(ctrl)) {
		/* bounded: a wake-up may be for the other direction */
		const struct timespec ts = {0, 20000000};
		syscall(SYS_futex, &ev->bell->word, FUTEX_WAIT, seen, &ts, NULL, 0);
	}
	atomic_store(&ev->bell->sleeping, DOORBELL_AWAKE);
	return 0;
}

static void ring_copy_in(struct libxenvchan *ctrl, const uint8_t *data, uint32_t n)
{
	const uint32_t size = 1u << ctrl->write.order;
	const uint32_t prod = ctrl->write.shr->prod, off = prod & (size - 1);
	const uint32_t first = n < size - off ? n : size - off;

	memcpy((uint8_t *)ctrl->write.buffer + off, data, first);
	memcpy(ctrl->write.buffer, data + first, n - first);
	__atomic_store_n(&ctrl->write.shr->prod, prod + n, __ATOMIC_RELEASE);
	send_notify(ctrl, VCHAN_NOTIFY_WRITE);
}

static void ring_copy_out(struct libxenvchan *ctrl, uint8_t *data, uint32_t n)
{
	const uint32_t size = 1u << ctrl->read.order;
	const uint32_t cons = ctrl->read.shr->cons, off = cons & (size - 1);
	const uint32_t first = n < size - off ? n : size - off;

	memcpy(data, (uint8_t *)ctrl->read.buffer + off, first);
	memcpy(data + first, ctrl->read.buffer, n - first);
	__atomic_store_n(&ctrl->read.shr->cons, cons + n, __ATOMIC_RELEASE);
	send_notify(ctrl, VCHAN_NOTIFY_READ);
}

/* Wait until @have(ctrl) >= @want; 0, or -1 when closed, or the count so far. */
static int wait_for(struct libxenvchan *ctrl, uint8_t bit,
                    uint32_t (*have)(const struct libxenvchan *), uint32_t want)
{
	while (have(ctrl) < want) {
		request_notify(ctrl, bit);
		if (have(ctrl) >= want)
			break;
		if (!libxenvchan_is_open(ctrl))
			return -1;
		if (!ctrl->blocking)
			return 0;
		if (libxenvchan_wait(ctrl) < 0)
			return -1;
	}
	return 1;
}

int libxenvchan_send(struct libxenvchan *ctrl, const void *data, size_t size)
{
	if (size > (size_t)1 << ctrl->write.order)
		return -1;
	const int r = wait_for(ctrl, VCHAN_NOTIFY_READ, space_now, (uint32_t)size);
	if (r <= 0)
		return r;
	ring_copy_in(ctrl, data, (uint32_t)size);
	return (int)size;
}

int libxenvchan_recv(struct libxenvchan *ctrl, void *data, size_t size)
{
	if (size > (size_t)1 << ctrl->read.order)
		return -1;
	const int r = wait_for(ctrl, VCHAN_NOTIFY_WRITE, ready_now, (uint32_t)size);
	if (r <= 0)
		return r;
	ring_copy_out(ctrl, data, (uint32_t)size);
	return (int)size;
}

int libxenvchan_write(struct libxenvchan *ctrl, const void *data, size_t size)
{
	size_t done = 0;

	if (!libxenvchan_is_open(ctrl))
		return -1;
	while (done < size) {
		const int r = wait_for(ctrl, VCHAN_NOTIFY_READ, space_now, 1);
		if (r <= 0)
			return done ? (int)done : r;
		uint32_t n = space_now(ctrl);
		if (n > size - done)
			n = (uint32_t)(size - done);
		ring_copy_in(ctrl, (const uint8_t *)data + done, n);
		done += n;
		if (!ctrl->blocking)
			break;
	}
	return (int)done;
}

int libxenvchan_read(struct libxenvchan *ctrl, void *data, size_t size)
{
	const int r = wait_for(ctrl, VCHAN_NOTIFY_WRITE, ready_now, 1);
	uint32_t n;

	if (r <= 0)
		return r;
	n = ready_now(ctrl);
	if (n > size)
		n = (uint32_t)size;
	ring_copy_out(ctrl, data, n);
	return (int)n;
}

int libxenvchan_fd_for_select(struct libxenvchan *ctrl)
{
	return xenevtchn_fd(ctrl->event);
}
