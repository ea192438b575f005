/* SPDX-License-Identifier: MIT */
#include "tests/unit/supervisor.h"

#include "tests/testlib/testlib.h"
#include "vchan/hosted.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define RING_ORDER 18u

extern struct doorbell *g_doorbell;

static pid_t g_pid;
static int g_sock, g_event;

/* Send @c and wait for an answer of kind @want. */
static bool ask(const Control__Control *c, const int *fds, int n_fds, int want)
{
	struct pollfd p = {.fd = g_sock, .events = POLLIN};
	int got[CONTROL_FDS_MAX], n;
	Control__Control *rep;
	bool ok;

	if (control_send(g_sock, c, fds, n_fds) != 0 || poll(&p, 1, 20000) <= 0 ||
	    control_recv(g_sock, 0, &rep, got, &n) < 0)
		return false;
	ok = (int)rep->body_case == want;
	control__control__free_unpacked(rep, NULL);
	return ok;
}

bool supervisor_start(const char *exe, const char *name, Control__Configure *conf,
                      const int *fds, int n_fds)
{
	Control__Control c = CONTROL__CONTROL__INIT;
	int sv[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv) != 0)
		return false;
	g_sock = sv[0];
	g_pid = fork();
	if (g_pid == 0) {
		char n[16];

		snprintf(n, sizeof(n), "%d", dup(sv[1])); /* without CLOEXEC */
		execl(exe, name, "--control-fd", n, (char *)NULL);
		_exit(99);
	}
	close(sv[1]);
	conf->epoch = 1;
	c.body_case = CONTROL__CONTROL__BODY_CONFIGURE;
	c.configure = conf;
	return ask(&c, fds, n_fds, CONTROL__CONTROL__BODY_READY);
}

static bool add_guest(const int fds[3], const uint8_t id[16])
{
	Control__Control c = CONTROL__CONTROL__INIT;
	Control__GuestAdd g = CONTROL__GUEST_ADD__INIT;

	g.domid = 7;
	g.name = bytes("g", 1);
	g.xs_path = bytes("/t", 2);
	g.ring_fd = 0;
	g.event_fd = 1;
	g.doorbell_fd = 2;
	g.client_id = bytes(id, 16);
	c.body_case = CONTROL__CONTROL__BODY_GUEST_ADD;
	c.guest_add = &g;
	return ask(&c, fds, 3, CONTROL__CONTROL__BODY_GUEST_READY);
}

static void ring_event(void *arg)
{
	const uint64_t one = 1;

	(void)arg;
	(void)!write(g_event, &one, sizeof(one));
}

bool supervisor_guest(struct plat_config *config, struct plat_channel *channel)
{
	int fds[3];
	uint8_t *map;

	fds[0] = hosted_ring_create(RING_ORDER);
	fds[1] = g_event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	fds[2] = hosted_doorbell_create();
	if (!add_guest(fds, config->client_id))
		return false;
	map = mmap(NULL, hosted_ring_size(RING_ORDER), PROT_READ | PROT_WRITE,
	           MAP_SHARED, fds[0], 0);
	g_doorbell = mmap(NULL, DOORBELL_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
	                  fds[2], 0);
	if (map == MAP_FAILED || g_doorbell == MAP_FAILED)
		return false;
	config->doorbell = &g_doorbell->word;
	*channel = (struct plat_channel){.ctl = map,
	                                 .left = map + 4096,
	                                 .right = map + 4096 + (1u << RING_ORDER),
	                                 .order = RING_ORDER,
	                                 .id = 0,
	                                 .epoch = 1};
	testlib_on_notify(0, ring_event, NULL);
	testlib_start(config);
	return true;
}

int supervisor_stop(void)
{
	int status;

	close(g_sock); /* the service goes with its supervisor */
	waitpid(g_pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}
