/* SPDX-License-Identifier: MIT */
/*
 * run_guest.c - the guest process: its shared memory, its start, its signals.
 */
#include "platform/linux/boot.h"
#include "rpc/limits.h"
#include "tools/strait/child.h"
#include "tools/strait/run.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOBODY 65534u
#define IMPATIENT_MS 2000

enum { FD_BOOT = CHILD_FIRST_FD, FD_DOORBELL, FD_CONTROL, FD_FILE_RING, FD_FILE_EVENT,
       FD_NET_RING, FD_NET_EVENT };

int channel_make(int *ring_fd, int *event_fd)
{
	int ring = hosted_ring_create(RPC_RING_ORDER);
	int event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	if (ring < 0 || event < 0) {
		int err = ring < 0 ? ring : -errno;

		if (ring >= 0)
			close(ring);
		if (event >= 0)
			close(event);
		return err;
	}
	if (*ring_fd >= 0)
		close(*ring_fd);
	if (*event_fd >= 0)
		close(*event_fd);
	*ring_fd = ring;
	*event_fd = event;
	return 0;
}

int guest_map_doorbell(struct run *r)
{
	void *p = mmap(NULL, DOORBELL_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
	               r->doorbell_fd, 0);

	if (p == MAP_FAILED)
		return -errno;
	r->doorbell = p;
	atomic_store(&r->doorbell->strace, r->o.strace);
	atomic_store(&r->doorbell->log, r->o.log);
	return 0;
}

void guest_prepare(struct run *r)
{
	if (getrandom(r->client_id, sizeof(r->client_id), 0) != sizeof(r->client_id))
		die(EXIT_STRAIT, "no random numbers: %s", strerror(errno));
	r->doorbell_fd = hosted_doorbell_create();
	if (r->doorbell_fd < 0)
		die(EXIT_STRAIT, "cannot make the doorbell: %s", strerror(-r->doorbell_fd));
	int err = guest_map_doorbell(r);

	if (err)
		die(EXIT_STRAIT, "cannot map the doorbell: %s", strerror(-err));
	for (int i = 0; i < N_SERVICES; i++) {
		struct service *s = &r->service[i];

		err = s->used ? channel_make(&s->ring_fd, &s->event_fd) : 0;
		if (err)
			run_fail(r, "cannot make the channel to %s: %s", s->name, strerror(-err));
	}
}

static void fill_channel(struct boot_channel *c, const struct service *s, int ring, int event)
{
	*c = (struct boot_channel){
		.ring_fd = s->used ? ring : -1,
		.event_fd = s->used ? event : -1,
		.order = s->used ? RPC_RING_ORDER : 0,
		.epoch = s->used ? s->cur.epoch : 0,
	};
}

/* How many processors the guest will have: child.c takes the first of ours. */
static uint32_t usable_cpus(uint32_t limit)
{
	cpu_set_t have;
	uint32_t n = sched_getaffinity(0, sizeof(have), &have) ? 1 : (uint32_t)CPU_COUNT(&have);

	return limit && limit < n ? limit : n;
}

/* The sealed boot block, opened for reading only. */
static int boot_create(struct run *r)
{
	static struct boot_block b;
	int fd = memfd_create("strait-boot", MFD_CLOEXEC | MFD_ALLOW_SEALING | 0x8u);

	if (fd < 0 && errno == EINVAL) /* 0x8: MFD_NOEXEC_SEAL, kernel 6.3 */
		fd = memfd_create("strait-boot", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -errno;
	b.magic = BOOT_MAGIC;
	b.version = BOOT_VERSION;
	b.size = sizeof(b);
	b.flags = r->stamps ? BOOT_F_STAMPS : 0;
	if (getenv("STRAIT_NO_SECCOMP"))
		b.flags |= BOOT_F_NO_SECCOMP;
	b.uid = r->o.uid;
	b.gid = r->o.gid;
	b.memory = r->o.memory;
	b.recover_ns = (uint64_t)r->o.recover_s * 1000000000u;
	b.n_cpus = usable_cpus(r->o.cpus);
	b.doorbell_fd = FD_DOORBELL;
	b.control_fd = FD_CONTROL;
	memcpy(b.client_id, r->client_id, sizeof(b.client_id));
	fill_channel(&b.file, &r->service[SERVICE_FSD], FD_FILE_RING, FD_FILE_EVENT);
	fill_channel(&b.net, &r->service[SERVICE_NETD], FD_NET_RING, FD_NET_EVENT);
	snprintf(b.cwd, sizeof(b.cwd), "%s", r->o.cwd);
	snprintf(b.hostname, sizeof(b.hostname), "%s", r->o.hostname);
	if (write(fd, &b, sizeof(b)) != (ssize_t)sizeof(b) ||
	    fcntl(fd, F_ADD_SEALS,
	          F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL)) {
		int e = errno;

		close(fd);
		return -e;
	}
	return fd;
}

static char **guest_env(const struct run *r)
{
	char **env = xalloc((r->o.n_env + 2) * sizeof(*env));

	memcpy(env, r->o.env, r->o.n_env * sizeof(*env));
	env[r->o.n_env] = xprintf(BOOT_ENV "=%d", FD_BOOT);
	return env;
}

/* As root the guest's process is nobody; it needs no file but its own ELF. */
static int guest_binary(struct run *r)
{
	if (r->o.rootless || r->prog_open_to_others)
		return r->prog_fd;
	return prog_copy(r->prog_fd);
}

void guest_start(struct run *r)
{
	const struct service *f = &r->service[SERVICE_FSD], *n = &r->service[SERVICE_NETD];
	int pair[2], gate[2];
	int boot = boot_create(r);
	int bin = guest_binary(r);

	if (boot < 0 || bin < 0 || pipe2(gate, O_CLOEXEC) ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair)) {
		run_fail(r, "cannot start %s: %s", r->o.argv[0],
		         strerror(boot < 0 ? -boot : bin < 0 ? -bin : errno));
		return;
	}
	struct child_spec spec = {
		.what = r->o.argv[0],
		.namespaces = CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS |
		              CLONE_NEWNET,
		.root = ROOT_EMPTY,
		.group = r->in_foreground ? GROUP_SAME : GROUP_OWN,
		.hostname = r->o.hostname,
		.set_ids = !r->o.rootless,
		.uid = NOBODY,
		.gid = NOBODY,
		.cpus = r->o.cpus,
		.fds = { boot, r->doorbell_fd, pair[1], f->ring_fd, f->event_fd, n->ring_fd,
			 n->event_fd },
		.n_fds = n->used ? 7 : 5,
		.gate = gate[0],
		.exec_fd = bin,
		.argv = r->o.argv,
		.envp = guest_env(r),
	};
	r->guest = child_start(&spec);
	close(boot);
	close(gate[0]);
	close(pair[1]);
	r->gate = gate[1];
	r->guest_sock = pair[0];
	if (r->guest < 0) {
		int e = -r->guest;

		r->guest = 0;
		run_fail(r, "cannot start %s: %s", r->o.argv[0], strerror(e));
		return;
	}
	run_watch(r, r->guest_sock, SRC_GUEST);
}

void guest_go(struct run *r)
{
	ssize_t n = write(r->gate, "g", 1);

	(void)n; /* when it is gone already, SIGCHLD says so */
	close(r->gate);
	r->gate = -1;
}

void guest_kill(struct run *r)
{
	if (r->guest)
		(void)kill(r->guest, SIGKILL);
}

/* Has the guest a handler for @sig?  As the first process of its namespace it
 * would not even notice another. */
static bool guest_catches(const struct run *r, int sig)
{
	char path[64], line[256];
	unsigned long long caught = 0;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)r->guest);
	FILE *f = fopen(path, "re");

	if (!f)
		return false;
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "SigCgt: %llx", &caught) == 1)
			break;
	fclose(f);
	return caught >> (sig - 1) & 1;
}

static bool ends_by_default(int sig)
{
	return sig != SIGWINCH && sig != SIGCONT && sig != SIGTSTP;
}

/* Ctrl-Z: the guest's process stops, then we do, as the shell expects. */
static void stop_together(struct run *r)
{
	if (r->guest)
		(void)kill(r->guest, SIGSTOP);
	raise(SIGSTOP);
	if (r->guest)
		(void)kill(r->guest, SIGCONT);
}

void guest_signal(struct run *r, const struct signalfd_siginfo *si)
{
	int sig = (int)si->ssi_signo;
	uint64_t now = run_now();

	if (sig == SIGTSTP) {
		stop_together(r);
		return;
	}
	if (r->phase == RUN_STARTING && ends_by_default(sig)) {
		r->result = 128 + sig;
		run_fail(r, NULL);
		return;
	}
	if (!r->guest || r->phase != RUN_RUNNING)
		return;
	if (sig == SIGINT || sig == SIGTERM) {
		if (r->impatient[0] && now - r->impatient[0] < IMPATIENT_MS) {
			say("%s: killed, after three requests to end", r->o.name);
			guest_kill(r);
			return;
		}
		r->impatient[0] = r->impatient[1];
		r->impatient[1] = now;
	}
	if (si->ssi_code == SI_KERNEL && r->in_foreground)
		return; /* a key of the terminal: the guest has it already */
	if (ends_by_default(sig) && !guest_catches(r, sig)) {
		r->result = 128 + sig;
		guest_kill(r);
		return;
	}
	(void)kill(r->guest, sig);
}

int guest_status(const struct run *r, int status)
{
	uint32_t ended = atomic_load(&r->doorbell->ended);
	uint32_t how = atomic_load(&r->doorbell->status);

	if (r->result >= 0)
		return r->result;
	if (ended == 1)
		return (int)(how & 0xff);
	if (ended == 2 && how > 0 && how < 128)
		return 128 + (int)how;
	if (WIFSIGNALED(status)) {
		if (WTERMSIG(status) != SIGKILL)
			say("%s: its process was ended by signal %d (%s)", r->o.argv[0],
			    WTERMSIG(status), strsignal(WTERMSIG(status)));
		return 128 + WTERMSIG(status);
	}
	return WEXITSTATUS(status);
}
