/* SPDX-License-Identifier: MIT */
/*
 * main.c - from the platform to the program's first instruction, and the end.
 *
 * Order of initialisation: what needs nothing first (process, signals, console),
 * then the services (a hello to each), then the program's stack.
 */
#include "libos/console.h"
#include "libos/dispatch.h"
#include "libos/entry.h"
#include "libos/exit.h"
#include "libos/file.h"
#include "libos/lock.h"
#include "libos/mm.h"
#include "libos/net.h"
#include "libos/process.h"
#include "libos/pump.h"
#include "libos/thread.h"
#include "libos/time.h"
#include "rpc/guest.h"

#include <elf.h>
#include <errno.h>

/* musl's, or the program's own with -nostartfiles. */
extern const char _start[];
extern const char __ehdr_start[] __attribute__((weak));

static struct lock g_exit_lock = LOCK_INIT;
static _Atomic int g_exit_signal;

static void leave_services(void)
{
	if (g_config.file.ctl)
		rpc_detach(&g_file_chan);
	if (g_config.net.ctl)
		rpc_detach(&g_net_chan);
}

_Noreturn void guest_exit(int code, int sig)
{
	/* Never dropped: one thread ends the guest, the others stay here. */
	lock_take(&g_exit_lock);
	g_exit_signal = sig;
	/* Stores to shared mappings of files outlive a signal, too. */
	file_exit();
	if (sig == 0)
		leave_services();
	plat_exit(code, sig);
}

int guest_exit_signal(void)
{
	return g_exit_signal;
}

/* ---- the program's stack ---- */

struct build {
	char *strings; /* grows down */
	uint64_t *vec; /* grows up */
};

static uint64_t push_string(struct build *b, const char *s)
{
	const size_t n = __builtin_strlen(s) + 1;

	b->strings -= n;
	__builtin_memcpy(b->strings, s, n);
	return (uintptr_t)b->strings;
}

static size_t count(char *const *v, size_t *bytes)
{
	size_t n = 0;

	for (; v[n]; n++)
		*bytes += __builtin_strlen(v[n]) + 1;
	return n;
}

static void aux(struct build *b, uint64_t type, uint64_t value)
{
	*b->vec++ = type;
	*b->vec++ = value;
}

static uint64_t host_aux(const Elf64_auxv_t *av, uint64_t type)
{
	for (; av->a_type != AT_NULL; av++)
		if (av->a_type == type)
			return av->a_un.a_val;
	return 0;
}

/* Enough for musl's start and getauxval(). */
static void push_auxv(struct build *b, const Elf64_auxv_t *host, uint64_t name, uint64_t random)
{
	const Elf64_Ehdr *eh = (const Elf64_Ehdr *)(const void *)__ehdr_start;

	if (eh) {
		aux(b, AT_PHDR, (uintptr_t)eh + eh->e_phoff);
		aux(b, AT_PHENT, eh->e_phentsize);
		aux(b, AT_PHNUM, eh->e_phnum);
		aux(b, AT_ENTRY, (uintptr_t)_start);
	}
	aux(b, AT_PAGESZ, 4096);
	aux(b, AT_HWCAP, host_aux(host, AT_HWCAP));
	aux(b, AT_CLKTCK, 100);
	aux(b, AT_FLAGS, 0);
	aux(b, AT_UID, g_config.uid);
	aux(b, AT_EUID, g_config.uid);
	aux(b, AT_GID, g_config.gid);
	aux(b, AT_EGID, g_config.gid);
	aux(b, AT_SECURE, 0);
	aux(b, AT_RANDOM, random);
	aux(b, AT_EXECFN, name);
	/* A frame, and room for a handler. */
	aux(b, 51 /* AT_MINSIGSTKSZ */, plat_fpstate_size() + 1024);
	aux(b, AT_NULL, 0);
}

#define N_AUX 18

static void *build_stack(const Elf64_auxv_t *host)
{
	static const char platform[] = "x86_64";
	size_t bytes = sizeof(platform) + 16 + 64, argc, envc, words;
	struct build b;
	uint64_t random, name, *sp;
	char *top;

	argc = count(g_config.argv, &bytes);
	envc = count(g_config.envp, &bytes);
	words = 1 + argc + 1 + envc + 1 + 2 * (N_AUX + 2);
	top = mm_main_stack(bytes + words * 8 + 4096);
	if (!top)
		return NULL;
	b.strings = top;
	b.strings -= 16;
	plat_random(b.strings, 16);
	random = (uintptr_t)b.strings;
	/* The vectors, below all strings; argc must be 16-aligned. */
	sp = (uint64_t *)(((uintptr_t)top - bytes - words * 8) & ~(uintptr_t)15);
	b.vec = sp;
	*b.vec++ = argc;
	for (size_t i = 0; i < argc; i++)
		*b.vec++ = push_string(&b, g_config.argv[i]);
	name = argc ? sp[1] : push_string(&b, "program");
	*b.vec++ = 0;
	for (size_t i = 0; i < envc; i++)
		*b.vec++ = push_string(&b, g_config.envp[i]);
	*b.vec++ = 0;
	push_auxv(&b, host, name, random);
	return sp;
}

/* The auxiliary vector stands behind the environment as the platform left it; the
 * platform may have taken a variable out, so look for its end by the pointers. */
static const Elf64_auxv_t *find_auxv(const uint64_t *sp)
{
	const uint64_t *p = sp + 1 + sp[0] + 1;

	while (*p)
		p++;
	p++;
	while (*p == 0) /* a removed variable leaves one more null */
		p++;
	return (const Elf64_auxv_t *)(const void *)p;
}

static void start_services(void)
{
	if (file_init() != 0)
		plat_exit(125, 0);
	net_init(); /* without netd socket() says so */
	/* A service that leaves is to be noticed also while no thread waits for it. */
	if (g_config.recover_ns && (g_config.file.ctl || g_config.net.ctl))
		(void)pump_start();
	if (g_config.recover_ns)
		recover_init();
}

_Noreturn void libos_main(void *host_sp)
{
	struct ucontext_x86 uc = {.regs = {.cs = 0x33, .ss = 0x2b}};
	struct thread *t = self();
	void *sp;

	t->host_id = plat_thread_self();
	dispatch_init();
	time_init();
	mm_init();
	process_init();
	signal_init();
	console_init();
	start_services();
	sp = build_stack(find_auxv(host_sp));
	if (!sp)
		plat_exit(125, 0);
	t->in_libos = 1;
	uc.regs.rip = (uintptr_t)_start;
	uc.regs.rsp = (uintptr_t)sp;
	plat_resume(&uc);
}
