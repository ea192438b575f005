/* SPDX-License-Identifier: MIT */
/*
 * xen_link.c - a channel on Xen: the real libxenvchan, without xenstore.
 *
 * libxenvchan writes two nodes for the guest, the ring's grant reference and the
 * event channel's port.  A service has no xenstore: whoever holds the store of dom0
 * holds the machine.  So the functions of libxenstore that libxenvchan calls are
 * defined here, in the program itself, where the dynamic linker finds them first:
 * they note the two numbers, which go to the supervisor (GuestReady), and it writes
 * the nodes and their permissions.  For a client's end they give two such numbers out.
 * Nothing else calls them.
 *
 * What is left to set a channel up with: /dev/xen/gntalloc (pages of our own,
 * granted) and /dev/xen/evtchn (ports of our own), by the ioctls listed below.
 */
#include "vchan/link.h"
#include "vchan/vchan.h"

#include <errno.h>
#include <fcntl.h>
#include <libxenvchan.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/types.h>
#include <unistd.h>
#include <xen/sys/evtchn.h>
#include <xen/sys/gntalloc.h>
#include <xenstore.h>

#define EXPORTED __attribute__((visibility("default")))

const char *const g_vchan_devices[] = {"/dev/xen/gntalloc", "/dev/xen/evtchn", NULL};
const unsigned long g_vchan_ioctls[] = {
	IOCTL_GNTALLOC_ALLOC_GREF,
	IOCTL_GNTALLOC_DEALLOC_GREF,
	IOCTL_GNTALLOC_SET_UNMAP_NOTIFY,
	IOCTL_EVTCHN_BIND_UNBOUND_PORT,
	IOCTL_EVTCHN_NOTIFY,
	0,
};

/* ---- libxenstore, as far as libxenvchan asks for it ---- */

struct xs_handle {
	struct link_address at;
};

static bool ends_with(const char *path, const char *end)
{
	const size_t n = strlen(path), k = strlen(end);

	return n >= k && strcmp(path + n - k, end) == 0;
}

static struct xs_handle g_store; /* the loop's thread; one channel at a time */

EXPORTED struct xs_handle *xs_open(unsigned long flags)
{
	(void)flags;
	return &g_store;
}

EXPORTED void xs_close(struct xs_handle *h)
{
	(void)h;
}

/* A server asks for "domid", to be the owner of nodes that the supervisor makes; a
 * client for the server's numbers. */
EXPORTED void *xs_read(struct xs_handle *h, xs_transaction_t t, const char *path,
                       unsigned int *len)
{
	char text[16] = "0";

	(void)t;
	if (ends_with(path, "/ring-ref")) {
		snprintf(text, sizeof(text), "%u", h->at.ring_ref);
	} else if (ends_with(path, "/event-channel")) {
		snprintf(text, sizeof(text), "%u", h->at.port);
	} else if (strcmp(path, "domid") != 0) {
		errno = ENOENT;
		return NULL;
	}
	if (len)
		*len = (unsigned int)strlen(text);
	return strdup(text);
}

EXPORTED xs_transaction_t xs_transaction_start(struct xs_handle *h)
{
	(void)h;
	return 1;
}

EXPORTED bool xs_transaction_end(struct xs_handle *h, xs_transaction_t t, bool abort_it)
{
	(void)h;
	(void)t;
	(void)abort_it;
	return true;
}

EXPORTED bool xs_write(struct xs_handle *h, xs_transaction_t t, const char *path,
                       const void *data, unsigned int len)
{
	char text[16];
	uint32_t v;

	(void)t;
	if (len >= sizeof(text)) {
		errno = EINVAL;
		return false;
	}
	memcpy(text, data, len);
	text[len] = 0;
	v = (uint32_t)strtoul(text, NULL, 10);
	if (ends_with(path, "/ring-ref")) {
		h->at.ring_ref = v;
	} else if (ends_with(path, "/event-channel")) {
		h->at.port = v;
	} else {
		errno = EACCES;
		return false;
	}
	return true;
}

/* The supervisor gives them: readable by the guest alone. */
EXPORTED bool xs_set_permissions(struct xs_handle *h, xs_transaction_t t, const char *path,
                                 struct xs_permissions *perms, unsigned int n)
{
	(void)h;
	(void)t;
	(void)path;
	(void)perms;
	(void)n;
	return true;
}

/* At libxenvchan_close(); the supervisor removes them when we say "released". */
EXPORTED bool xs_rm(struct xs_handle *h, xs_transaction_t t, const char *path)
{
	(void)h;
	(void)t;
	(void)path;
	return true;
}

/* ---- the channel ---- */

int vchan_offer(int domid, const char *xs_path, const int fds[3])
{
	(void)domid;
	(void)xs_path;
	if (fds[0] < 0 && fds[1] < 0 && fds[2] < 0)
		return 0;
	for (int i = 0; i < 3; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	return -EINVAL; /* a hosted supervisor: not ours to understand */
}

struct libxenvchan *vchan_link_open(int domid, const char *xs_path, unsigned order,
                                    struct link_address *at)
{
	struct libxenvchan *ctrl;
	int fd;

	g_store.at = (struct link_address){0, 0};
	ctrl = libxenvchan_server_init(NULL, domid, xs_path, (size_t)1 << order,
	                               (size_t)1 << order);
	if (!ctrl)
		return NULL;
	fd = libxenvchan_fd_for_select(ctrl);
	if (fd < 0 || fcntl(fd, F_SETFL, O_NONBLOCK) < 0 || !g_store.at.ring_ref ||
	    !g_store.at.port) {
		libxenvchan_close(ctrl);
		errno = EIO;
		return NULL;
	}
	*at = g_store.at;
	return ctrl;
}

struct libxenvchan *vchan_client_open(int domid, uint32_t ring_ref, uint32_t port)
{
	g_store.at = (struct link_address){ring_ref, port};
	return libxenvchan_client_init(NULL, domid, "server");
}

/* A port that fired stays masked until it is read and written back.  Ours is the
 * only one of this descriptor; -1: it had not fired. */
void vchan_link_ack(struct libxenvchan *ctrl)
{
	const xenevtchn_port_or_error_t port = xenevtchn_pending(ctrl->event);

	if (port >= 0)
		(void)xenevtchn_unmask(ctrl->event, (evtchn_port_t)port);
}
