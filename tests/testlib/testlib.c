/* SPDX-License-Identifier: MIT */
/*
 * testlib.c - what stands in for the edge and the start when libos is a library of
 * a glibc program.  See testlib.h.
 */
#include "tests/testlib/testlib.h"

#include "libos/console.h"
#include "libos/dispatch.h"
#include "libos/entry.h"
#include "libos/exit.h"
#include "libos/file.h"
#include "libos/lock.h"
#include "libos/mm.h"
#include "libos/net.h"
#include "libos/process.h"
#include "libos/syscall.h"
#include "libos/time.h"
#include "platform/fpstate.h"
#include "platform/linux/host.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

__thread struct thread *g_self;
struct boot_block g_boot;
static struct doorbell g_bell;
struct doorbell *g_doorbell = &g_bell;
bool g_has_fsgsbase;

static struct {
	void (*fn)(void *arg);
	void *arg;
} g_notify[PLAT_CHANNELS_MAX];
static struct {
	int (*reopen)(unsigned id, uint64_t deadline, uint32_t *epoch);
	int (*renew)(unsigned id);
} g_renewal;

/* ---- the platform's missing parts ---- */

void plat_log(const char *line, size_t len)
{
	(void)!write(2, line, len);
}

int plat_channel_reopen(unsigned id, uint64_t deadline, uint32_t *epoch)
{
	return g_renewal.reopen ? g_renewal.reopen(id, deadline, epoch) : -32 /* EPIPE */;
}

int plat_channel_renew(unsigned id)
{
	return g_renewal.renew ? g_renewal.renew(id) : -32;
}

void testlib_on_renew(int (*reopen)(unsigned id, uint64_t deadline, uint32_t *epoch),
                      int (*renew)(unsigned id))
{
	g_renewal.reopen = reopen;
	g_renewal.renew = renew;
}

void plat_channel_notify(unsigned id)
{
	if (id < PLAT_CHANNELS_MAX && g_notify[id].fn)
		g_notify[id].fn(g_notify[id].arg);
}

void testlib_on_notify(unsigned id, void (*fn)(void *arg), void *arg)
{
	g_notify[id].fn = fn;
	g_notify[id].arg = arg;
}

_Noreturn void guest_exit(int code, int sig)
{
	plat_exit(code, sig);
}

int guest_exit_signal(void)
{
	return 0;
}

/* ---- the edge's ---- */

long strait_syscall(long n, long a, long b, long c, long d, long e, long f)
{
	struct thread *t = self();
	long r;

	t->in_libos = 1;
	r = syscall_dispatch(n, a, b, c, d, e, f);
	t->in_libos = 0;
	if (t->work) {
		/* No handler can run here: what is pending stays so. */
		t->work = 0;
		t->kicked = 0;
	}
	return r == -ERESTARTSYS ? -4 /* EINTR */ : r;
}

_Noreturn static void impossible(const char *what)
{
	fprintf(stderr, "testlib: %s needs a guest\n", what);
	abort();
}

_Noreturn void plat_resume(struct ucontext_x86 *uc)
{
	(void)uc;
	impossible("plat_resume");
}

void entry_context(const struct entry_regs *r, long result, bool restart,
                   struct ucontext_x86 *uc)
{
	(void)r;
	(void)result;
	(void)restart;
	(void)uc;
	impossible("entry_context");
}

const _Atomic uint32_t *libos_kick_flag(void)
{
	return &self()->kicked;
}

bool libos_host_signal(struct ucontext_x86 *uc)
{
	struct thread *t = self();

	(void)uc;
	if (t) {
		t->kicked = 1;
		t->work = 1;
	}
	return true;
}

bool libos_at_fault(const struct ucontext_x86 *uc)
{
	(void)uc;
	return true;
}

void libos_host_signal_done(void)
{
}

void libos_raw_syscall(struct ucontext_x86 *uc)
{
	(void)uc;
	impossible("a raw system call");
}

/* ---- threads ---- */

struct start {
	void *(*fn)(void *);
	void *arg;
	struct thread *th;
};

static void *thread_main(void *p)
{
	struct start s = *(struct start *)p;
	void *r;

	free(p);
	g_self = s.th;
	s.th->host_id = plat_thread_self();
	s.th->in_libos = 0;
	r = s.fn(s.arg);
	thread_release(s.th);
	g_self = NULL;
	return r;
}

int testlib_thread(pthread_t *t, void *(*fn)(void *), void *arg)
{
	struct start *s = malloc(sizeof(*s));
	int r;

	if (!s)
		return 12; /* ENOMEM */
	*s = (struct start){fn, arg, thread_adopt(self())};
	if (!s->th) {
		free(s);
		return 11; /* EAGAIN */
	}
	r = pthread_create(t, NULL, thread_main, s);
	if (r != 0) {
		thread_release(s->th);
		free(s);
	}
	return r;
}

void testlib_start(const struct plat_config *config)
{
	void *stack;

	if (config)
		g_config = *config;
	if (!g_config.cwd)
		g_config.cwd = "/";
	if (!g_config.hostname)
		g_config.hostname = "testlib";
	if (!g_config.n_cpus)
		g_config.n_cpus = 2;
	if (!g_config.doorbell)
		g_config.doorbell = &g_bell.word;
	if (!g_config.strace)
		g_config.strace = &g_bell.strace;
	if (!g_config.log)
		g_config.log = &g_bell.log;
	g_self = libos_first_thread(&stack);
	g_self->host_id = plat_thread_self();
	fpstate_init(fpstate_xsave_on());
	host_signals_init();
	dispatch_init();
	time_init();
	process_init();
	signal_init();
	console_init();
	if (g_config.file.ctl && file_init() != 0)
		impossible("file_init");
	net_init();
	g_self->in_libos = 0;
}
