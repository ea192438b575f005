/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "services/fsd/fsd.h"
#include "services/fsd/kept.h"
#include "services/fsd/pool.h"
#include "services/fsd/serve.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define FDS_OF_OUR_OWN 256u

static char *text(const ProtobufCBinaryData *b)
{
	if (b->len && memchr(b->data, 0, b->len))
		return NULL;
	return b->len ? strndup((const char *)b->data, b->len) : strdup("");
}

static int by_length(const void *a, const void *b)
{
	const Control__Mount *const *x = a, *const *y = b;

	return ((*x)->guest_path.len > (*y)->guest_path.len) -
	       ((*x)->guest_path.len < (*y)->guest_path.len);
}

static int add_mount(struct fsd *f, const Control__Mount *m, int *fds, int n_fds)
{
	struct mount_spec spec = {.fd = -1};
	char *path = text(&m->guest_path), *kind = text(&m->kind),
	     *source = text(&m->source);
	char *why = NULL;
	int r = -EINVAL;

	if (m->fd < (uint32_t)n_fds) {
		spec.fd = fds[m->fd];
		fds[m->fd] = -1;
	}
	if (path && kind && source) {
		spec.path = path;
		spec.kind = kind;
		spec.source = source;
		spec.read_only = m->read_only;
		spec.exclusive = m->exclusive;
		spec.allow_setid = m->allow_setid;
		spec.keep_root = m->keep_root;
		r = mounts_add(&f->mounts, &spec, &f->inst, &why);
	}
	if (r < 0)
		control_fail(f->control, 0, "fsd: %s",
		             why ? why : "a mount has no valid path");
	else
		log_write(2, "%s is %s %s%s", path, kind, source,
		          m->read_only ? ", read-only" : "");
	free(why);
	free(path);
	free(kind);
	free(source);
	return r;
}

static int add_mounts(struct fsd *f, const Control__FileConfig *c, int *fds, int n_fds)
{
	Control__Mount **sorted;
	int r = 0;

	if (c->n_mounts == 0) {
		control_fail(f->control, 0, "fsd: nothing is mounted at /");
		return -EINVAL;
	}
	sorted = calloc(c->n_mounts, sizeof *sorted);
	if (!sorted)
		return -ENOMEM;
	memcpy(sorted, c->mounts, c->n_mounts * sizeof *sorted);
	qsort(sorted, c->n_mounts, sizeof *sorted, by_length);
	for (size_t i = 0; i < c->n_mounts && r == 0; i++)
		r = add_mount(f, sorted[i], fds, n_fds);
	free(sorted);
	for (size_t i = 0; i < c->n_own && r == 0; i++) {
		r = mounts_own(&f->mounts, (const char *)c->own[i].data, c->own[i].len);
		if (r < 0)
			control_fail(f->control, 0, "fsd: an own name is no name");
	}
	return r;
}

/* Every handle is a descriptor: as many as the kernel lets us have. */
static unsigned raise_files(uint32_t epoch)
{
	struct rlimit rl;

	if (getrlimit(RLIMIT_NOFILE, &rl) < 0)
		return 256;
	rl.rlim_cur = rl.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &rl); /* then the soft limit counts */
	(void)getrlimit(RLIMIT_NOFILE, &rl);
	kept_begin(epoch, rl.rlim_cur > FDS_OF_OUR_OWN
	                          ? (unsigned)((rl.rlim_cur - FDS_OF_OUR_OWN) / 4)
	                          : 0);
	if (rl.rlim_cur <= 2 * FDS_OF_OUR_OWN)
		return (unsigned)rl.rlim_cur / 2;
	/* A guest never has all of them; what was open before has the other quarter. */
	const rlim_t most = (rl.rlim_cur - FDS_OF_OUR_OWN) / 4 * 3;

	return most < RPC_HANDLES_MAX ? (unsigned)most : RPC_HANDLES_MAX;
}

/* Data that was not synced is in the kernel's cache, which this process's death
 * does not touch: the verifier changes with the kernel's boot. */
static uint64_t boot_verifier(void)
{
	uint64_t h = 0xcbf29ce484222325ull;
	char id[64];
	const int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	const ssize_t n = fd < 0 ? -1 : read(fd, id, sizeof id);

	if (fd >= 0)
		close(fd);
	if (n <= 0) /* not to be told: then no promise over a restart */
		return (uint64_t)getpid() << 32 ^ (uint64_t)time(NULL);
	for (ssize_t i = 0; i < n; i++)
		h = (h ^ (uint8_t)id[i]) * 0x100000001b3ull;
	return h;
}

/* Can what guests will ask for be had?  Tried with both meanings of their root. */
static int probe_ids(void)
{
	struct cred *root = cred_new(0, 0, NULL, 0);
	int r = root ? cred_use(root) : -ENOMEM;

	if (r == 0)
		cred_enter(true);
	if (r == 0)
		cred_enter(false);
	if (r == 0)
		r = cred_use(NULL);
	cred_put(root);
	return r;
}

static int set_policy(struct fsd *f, const Control__FileConfig *c)
{
	const struct cred_policy p = {
	        .can_set = c->can_setcred,
	        .squash = c->squash || !c->can_setcred,
	        .squash_uid = c->can_setcred ? c->squash_uid : geteuid(),
	        .squash_gid = c->can_setcred ? c->squash_gid : getegid()};
	int r;

	cred_policy_set(&p);
	if (!c->can_setcred)
		return 0;
	r = probe_ids();
	if (r < 0)
		control_fail(
		        f->control, 0,
		        "fsd: may not take the guests' file system ids (%s); it needs "
		        "CAP_SETUID and CAP_SETGID, or a set-up without ids",
		        strerror(-r));
	return r;
}

static void wake_loop(void);
static struct fsd *g_fsd; /* for wake_loop() only */

static void wake_loop(void)
{
	const uint64_t one = 1;

	(void)!write(g_fsd->wake, &one, sizeof one); /* full: it is awake */
}

static int start_trace(struct fsd *f, const Control__Configure *c, int *fds, int n_fds)
{
	if (!c->trace)
		return 0;
	if (c->trace_fd >= (uint32_t)n_fds || fds[c->trace_fd] < 0) {
		control_fail(f->control, 0, "fsd: the trace file was not handed over");
		return -EBADF;
	}
	rpc_trace_start(fds[c->trace_fd], c->trace_payload, c->clock_ahead);
	fds[c->trace_fd] = -1;
	return 0;
}

static int enter_sandbox(struct fsd *f, unsigned workers)
{
	int r = sandbox_caps();

	if (r < 0)
		control_fail(f->control, 0, "fsd: cannot give up capabilities: %s",
		             strerror(-r));
	if (r == 0 && f->sandbox) {
		r = sandbox_landlock(f);
		if (r < 0)
			control_fail(f->control, 0,
			             "fsd: cannot set its landlock rules: %s",
			             strerror(-r));
	}
	if (r == 0) {
		r = pool_start(workers);
		if (r < 0)
			control_fail(f->control, 0, "fsd: cannot start its workers: %s",
			             strerror(-r));
	}
	if (r == 0 && f->sandbox) {
		r = sandbox_seccomp(f->recovering);
		if (r < 0)
			control_fail(f->control, 0,
			             "fsd: cannot set its system call filter: %s",
			             strerror(-r));
	}
	return r;
}

int configure(struct fsd *f, const Control__Configure *c, int *fds, int n_fds)
{
	int r;

	if (f->configured || !c->file) {
		control_fail(f->control, 0, "fsd: %s",
		             c->file ? "was configured before"
		                     : "the configuration has no file part");
		return -EINVAL;
	}
	g_fsd = f;
	r = instance_init(&f->inst, c->epoch ? c->epoch : 1, c->instance.data,
	                  c->instance.len);
	if (r < 0) {
		control_fail(f->control, 0, "fsd: no random numbers: %s", strerror(-r));
		return r;
	}
	if ((int)c->log_level > g_log_level)
		g_log_level = c->log_level > 3 ? 3 : (int)c->log_level;
	f->max_handles = raise_files(f->inst.epoch);
	r = be_dir_setup();
	if (r < 0) {
		control_fail(f->control, 0, "fsd: needs /proc/self/fd: %s",
		             strerror(-r));
		return r;
	}
	mounts_init(&f->mounts);
	r = add_mounts(f, c->file, fds, n_fds);
	if (r == 0)
		r = start_trace(f, c, fds, n_fds);
	if (r == 0)
		r = set_policy(f, c->file);
	if (r < 0)
		return r;
	serve_init(&f->mounts, &f->inst,
	           c->write_verifier ? c->write_verifier : boot_verifier(), wake_loop);
	r = guests_init(f, c->expected, c->n_expected);
	if (r == 0)
		r = enter_sandbox(f, c->file->workers);
	f->configured = r == 0;
	return r;
}
