/* SPDX-License-Identifier: MIT */
#include "tests/unit/supervisor.h"

#include "tests/testlib/testlib.h"
#include "vchan/hosted.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define RING_ORDER 18u

extern struct doorbell *g_doorbell;

static pid_t g_pid;
static int g_sock;
static _Atomic int g_event;

/* For another instance of the service. */
static struct {
	const char *exe, *name;
	Control__Configure *conf;
	int fds[CONTROL_FDS_MAX], n_fds;
	uint8_t client[16];
	int ring, doorbell;
	void *map;
} g_kept;

/* The next instance's channel, until the guest takes it. */
static struct {
	pthread_mutex_t lock;
	pthread_cond_t there;
	uint32_t epoch; /* 0: none */
	int ring, event;
} g_next = {.lock = PTHREAD_MUTEX_INITIALIZER, .there = PTHREAD_COND_INITIALIZER};

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

static bool start_service(void)
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
		execl(g_kept.exe, g_kept.name, "--control-fd", n, (char *)NULL);
		_exit(99);
	}
	close(sv[1]);
	c.body_case = CONTROL__CONTROL__BODY_CONFIGURE;
	c.configure = g_kept.conf;
	return ask(&c, g_kept.fds, g_kept.n_fds, CONTROL__CONTROL__BODY_READY);
}

bool supervisor_start(const char *exe, const char *name, Control__Configure *conf,
                      const int *fds, int n_fds)
{
	g_kept.exe = exe;
	g_kept.name = name;
	g_kept.conf = conf;
	for (int i = 0; i < n_fds; i++)
		g_kept.fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 0);
	g_kept.n_fds = n_fds;
	conf->epoch = 1;
	return start_service();
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

/* ---- another instance ---- */

static int reopen(unsigned id, uint64_t deadline, uint32_t *epoch)
{
	int r = -ETIMEDOUT;

	(void)id;
	pthread_mutex_lock(&g_next.lock);
	while (!g_next.epoch && plat_mono_ns() < deadline) {
		struct timespec until;

		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_sec++;
		pthread_cond_timedwait(&g_next.there, &g_next.lock, &until);
	}
	if (g_next.epoch) {
		*epoch = g_next.epoch;
		r = 0;
	}
	pthread_mutex_unlock(&g_next.lock);
	return r;
}

static int renew(unsigned id)
{
	int r = -EPIPE;

	(void)id;
	pthread_mutex_lock(&g_next.lock);
	if (g_next.epoch) {
		g_next.epoch = 0;
		close(g_event);
		g_event = g_next.event;
		r = mmap(g_kept.map, hosted_ring_size(RING_ORDER), PROT_READ | PROT_WRITE,
		         MAP_SHARED | MAP_FIXED, g_next.ring, 0) == MAP_FAILED
		            ? -ENOMEM
		            : 0;
		close(g_next.ring);
	}
	pthread_mutex_unlock(&g_next.lock);
	return r;
}

bool supervisor_restart(void)
{
	static uint32_t own = 7;
	int fds[3] = {hosted_ring_create(RING_ORDER), -1, g_kept.doorbell}, status;

	if (kill(g_pid, SIGKILL) != 0 || waitpid(g_pid, &status, 0) != g_pid)
		return false;
	close(g_sock);
	hosted_ring_mark_dead(g_kept.ring, g_kept.doorbell);
	close(g_kept.ring);
	g_kept.conf->epoch++;
	g_kept.conf->expected = &own;
	g_kept.conf->n_expected = 1;
	fds[1] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (fds[0] < 0 || fds[1] < 0 || !start_service() || !add_guest(fds, g_kept.client))
		return false;
	g_kept.ring = fds[0];
	pthread_mutex_lock(&g_next.lock);
	if (g_next.epoch) { /* nobody took it */
		close(g_next.event);
		close(g_next.ring);
	}
	g_next.epoch = g_kept.conf->epoch;
	g_next.ring = fcntl(fds[0], F_DUPFD_CLOEXEC, 0);
	g_next.event = fds[1];
	pthread_cond_signal(&g_next.there);
	pthread_mutex_unlock(&g_next.lock);
	return true;
}

bool supervisor_guest(struct plat_config *config, struct plat_channel *channel)
{
	int fds[3];
	uint8_t *map;

	fds[0] = hosted_ring_create(RING_ORDER);
	fds[1] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	g_event = fds[1];
	fds[2] = hosted_doorbell_create();
	g_kept.ring = fds[0];
	g_kept.doorbell = fds[2];
	memcpy(g_kept.client, config->client_id, sizeof(g_kept.client));
	if (!add_guest(fds, config->client_id))
		return false;
	map = mmap(NULL, hosted_ring_size(RING_ORDER), PROT_READ | PROT_WRITE,
	           MAP_SHARED, fds[0], 0);
	g_doorbell = mmap(NULL, DOORBELL_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
	                  fds[2], 0);
	if (map == MAP_FAILED || g_doorbell == MAP_FAILED)
		return false;
	g_kept.map = map;
	config->doorbell = &g_doorbell->word;
	*channel = (struct plat_channel){.ctl = map,
	                                 .left = map + 4096,
	                                 .right = map + 4096 + (1u << RING_ORDER),
	                                 .order = RING_ORDER,
	                                 .id = 0,
	                                 .epoch = 1};
	testlib_on_notify(0, ring_event, NULL);
	testlib_on_renew(reopen, renew);
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

int supervisor_suite(const char *name, CU_TestInfo *tests, bool (*start)(void),
                     const char **exe, int argc, char **argv)
{
	if (argc < 2)
		return 2;
	*exe = argv[1];
	if (!start()) {
		fprintf(stderr, "cannot start %s\n", *exe);
		return 1;
	}
	return suite_run(name, NULL, NULL, tests);
}
