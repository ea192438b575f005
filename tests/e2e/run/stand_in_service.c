/* SPDX-License-Identifier: MIT */
/*
 * stand_in_service.c - a service that speaks control.proto and serves nothing.
 *
 * For tests of the supervisor.  STAND_IN_* chooses what it does wrong:
 * VERSION speaks another protocol version, SILENT never says that it is ready,
 * GARBAGE sends what is no message, DIES ends when the guest was added, CLINGS
 * never releases its guest and ignores Shutdown, NOEXPORT and NOIMPORT refuse a
 * hand-over, DIES_IMPORTING ends in the midst of it.
 */
#include "rpc/control.h"
#include "rpc/limits.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void send_case(int sock, Control__Control__BodyCase body, uint32_t value)
{
	Control__Control c = CONTROL__CONTROL__INIT;
	Control__Ready ready = CONTROL__READY__INIT;
	Control__GuestReady up = CONTROL__GUEST_READY__INIT;
	Control__Released gone = CONTROL__RELEASED__INIT;
	Control__Pong pong = CONTROL__PONG__INIT;

	c.body_case = body;
	if (body == CONTROL__CONTROL__BODY_READY) {
		ready.version = value;
		c.ready = &ready;
	} else if (body == CONTROL__CONTROL__BODY_GUEST_READY) {
		up.domid = value;
		c.guest_ready = &up;
	} else if (body == CONTROL__CONTROL__BODY_PONG) {
		pong.nonce = value;
		c.pong = &pong;
	} else {
		gone.domid = value;
		c.released = &gone;
	}
	if (control_send(sock, &c, NULL, 0))
		exit(1);
}

static void send_moved(int sock, bool in, uint32_t connections, char *why)
{
	Control__Control c = CONTROL__CONTROL__INIT;
	Control__Exported exported = CONTROL__EXPORTED__INIT;
	Control__Imported imported = CONTROL__IMPORTED__INIT;

	exported.connections = imported.connections = connections;
	exported.failed.data = imported.failed.data = (uint8_t *)why;
	exported.failed.len = imported.failed.len = strlen(why);
	exported.bytes = connections;
	c.body_case = in ? CONTROL__CONTROL__BODY_IMPORTED : CONTROL__CONTROL__BODY_EXPORTED;
	if (in)
		c.imported = &imported;
	else
		c.exported = &exported;
	if (control_send(sock, &c, NULL, 0))
		exit(1);
}

/* The state is a byte a connection, of which there are three. */
static void on_export(int sock, int fd, bool drop)
{
#ifdef STAND_IN_NOEXPORT
	(void)fd;
	(void)drop;
	send_moved(sock, false, 0, "not today");
#else
	send_moved(sock, false, 3, drop || write(fd, "abc", 3) == 3 ? "" : "cannot write");
#endif
}

static void on_import(int sock, int fd)
{
	char buf[16];
	ssize_t n;
	uint32_t sum = 0;

#ifdef STAND_IN_DIES_IMPORTING
	_exit(7);
#endif
	while ((n = read(fd, buf, sizeof(buf))) > 0)
		sum += (uint32_t)n;
#ifdef STAND_IN_NOIMPORT
	(void)sum;
	send_moved(sock, true, 0, "no room");
#else
	send_moved(sock, true, sum, "");
#endif
}

static void on_configure(int sock)
{
#if defined(STAND_IN_SILENT)
	(void)sock;
#elif defined(STAND_IN_GARBAGE)
	if (send(sock, "\xff\xff\xff\xff", 4, 0) != 4)
		exit(1);
#elif defined(STAND_IN_VERSION)
	send_case(sock, CONTROL__CONTROL__BODY_READY, RPC_VERSION_MAX + 41);
#else
	send_case(sock, CONTROL__CONTROL__BODY_READY, RPC_VERSION_MAX);
#endif
}

static void on_message(int sock, const Control__Control *c, int *fds)
{
	switch (c->body_case) {
	case CONTROL__CONTROL__BODY_CONFIGURE:
		on_configure(sock);
		break;
	case CONTROL__CONTROL__BODY_GUEST_ADD:
#ifdef STAND_IN_DIES
		usleep(200000);
		_exit(9);
#endif
		send_case(sock, CONTROL__CONTROL__BODY_GUEST_READY, c->guest_add->domid);
		break;
	case CONTROL__CONTROL__BODY_GUEST_GONE:
#ifndef STAND_IN_CLINGS
		send_case(sock, CONTROL__CONTROL__BODY_RELEASED, c->guest_gone->domid);
#endif
		break;
	case CONTROL__CONTROL__BODY_EXPORT:
		on_export(sock, fds[0], c->export->drop != 0);
		break;
	case CONTROL__CONTROL__BODY_IMPORT:
		on_import(sock, fds[0]);
		break;
	case CONTROL__CONTROL__BODY_PING:
		send_case(sock, CONTROL__CONTROL__BODY_PONG, (uint32_t)c->ping->nonce);
		break;
	case CONTROL__CONTROL__BODY_SHUTDOWN:
#ifndef STAND_IN_CLINGS
		exit(0);
#endif
		break;
	default:
		break;
	}
}

int main(int argc, char **argv)
{
	if (argc != 3 || strcmp(argv[1], "--control-fd"))
		return 2;
	int sock = atoi(argv[2]);

	for (;;) {
		Control__Control *c;
		int fds[CONTROL_FDS_MAX], n;

		if (control_recv(sock, 0, &c, fds, &n))
			return 1;
		on_message(sock, c, fds);
		control__control__free_unpacked(c, NULL);
		for (int i = 0; i < n; i++)
			close(fds[i]);
	}
}
