/* SPDX-License-Identifier: MIT */
/*
 * start.c - from the host's exec to libos_main().
 *
 * Runs on the host's own stack, alone: reads the boot block, maps the channels and
 * the doorbell, then moves to libos's first stack and locks the door (seccomp).
 */
#include "platform/fpstate.h"
#include "platform/linux/host.h"

#include <elf.h>
#include <sys/mman.h>
#include <sys/syscall.h>

struct boot_block g_boot;
struct doorbell *g_doorbell;
bool g_has_fsgsbase;

static _Atomic uint32_t g_channel_fd[PLAT_CHANNELS_MAX] = {~0u, ~0u};
/* Where the guest's own rings are when nobody gave a doorbell. */
static _Alignas(64) struct doorbell g_own_doorbell;

size_t host_strlen(const char *s)
{
	size_t n = 0;

	while (s[n])
		n++;
	return n;
}

void plat_log(const char *line, size_t len)
{
	(void)HOST3(SYS_write, 2, line, len);
}

static void say(const char *a, const char *b)
{
	char buf[512];
	size_t n = 0;

	for (; *a && n < sizeof(buf) - 1; a++)
		buf[n++] = *a;
	for (; *b && n < sizeof(buf) - 1; b++)
		buf[n++] = *b;
	buf[n++] = '\n';
	plat_log(buf, n);
}

_Noreturn void host_die(const char *what)
{
	say("strait: guest start: ", what);
	for (;;)
		(void)HOST1(SYS_exit_group, 125);
}

static bool parse_fd(const char *s, int *fd)
{
	int v = 0;

	if (!*s)
		return false;
	for (; *s; s++) {
		if (*s < '0' || *s > '9' || v > 1000000)
			return false;
		v = v * 10 + (*s - '0');
	}
	*fd = v;
	return true;
}

/* Take STRAIT_BOOT out of the environment; its value or NULL. */
static const char *take_boot_var(char **envp)
{
	const char *found = NULL;
	const char name[] = BOOT_ENV "=";
	char **to = envp;

	for (char **from = envp; *from; from++) {
		size_t i = 0;

		while (name[i] && (*from)[i] == name[i])
			i++;
		if (!name[i])
			found = *from + i;
		else
			*to++ = *from;
	}
	*to = NULL;
	return found;
}

static void read_boot(const char *value)
{
	int fd;
	long n;

	if (!parse_fd(value, &fd))
		host_die("bad " BOOT_ENV);
	n = HOST4(SYS_pread64, fd, &g_boot, sizeof(g_boot), 0);
	if (n != (long)sizeof(g_boot) || g_boot.magic != BOOT_MAGIC)
		host_die("the boot block is not Strait's");
	if (g_boot.version != BOOT_VERSION || g_boot.size != sizeof(g_boot))
		host_die("the supervisor is of another version: rebuild the program "
		         "with its strait-cc");
	if (g_boot.n_groups > BOOT_GROUPS_MAX)
		host_die("too many groups in the boot block");
	g_boot.cwd[sizeof(g_boot.cwd) - 1] = '\0';
	g_boot.hostname[sizeof(g_boot.hostname) - 1] = '\0';
	(void)HOST1(SYS_close, fd);
}

static void *map_fd(int fd, size_t size)
{
	long p = HOST6(SYS_mmap, 0, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (p < 0 && p > -4096)
		host_die("cannot map a channel");
	return (void *)p;
}

static void map_channel(struct plat_channel *to, const struct boot_channel *from, unsigned id)
{
	char *p;

	if (from->ring_fd < 0)
		return;
	if (from->order < 12 || from->order > 24)
		host_die("bad ring order");
	p = map_fd(from->ring_fd, hosted_ring_size(from->order));
	(void)HOST1(SYS_close, from->ring_fd);
	to->ctl = p;
	to->left = p + 4096;
	to->right = p + 4096 + ((size_t)1 << from->order);
	to->order = from->order;
	to->epoch = from->epoch;
	to->id = id;
	g_channel_fd[id] = (uint32_t)from->event_fd;
}

static void configure(int argc, char **argv, char **envp)
{
	g_doorbell = &g_own_doorbell;
	if (g_boot.doorbell_fd >= 0) {
		g_doorbell = map_fd(g_boot.doorbell_fd, DOORBELL_SIZE);
		(void)HOST1(SYS_close, g_boot.doorbell_fd);
	}
	g_config.argc = argc;
	g_config.argv = argv;
	g_config.envp = envp;
	g_config.cwd = g_boot.cwd[0] ? g_boot.cwd : "/";
	g_config.hostname = g_boot.hostname[0] ? g_boot.hostname : "strait";
	g_config.uid = g_boot.uid;
	g_config.gid = g_boot.gid;
	g_config.n_groups = g_boot.n_groups;
	g_config.groups = g_boot.groups;
	g_config.memory = g_boot.memory;
	g_config.n_cpus = g_boot.n_cpus ? g_boot.n_cpus : 1;
	__builtin_memcpy(g_config.client_id, g_boot.client_id, 16);
	map_channel(&g_config.file, &g_boot.file, 0);
	map_channel(&g_config.net, &g_boot.net, 1);
	g_config.doorbell = &g_doorbell->word;
	g_config.strace = &g_doorbell->strace;
	g_config.log = &g_doorbell->log;
	g_config.recover_ns = g_boot.control_fd >= 0 ? g_boot.recover_ns : 0;
	g_config.stamps = (g_boot.flags & BOOT_F_STAMPS) != 0;
}

void plat_channel_notify(unsigned id)
{
	const uint32_t fd = id < PLAT_CHANNELS_MAX ? g_channel_fd[id] : ~0u;
	uint64_t one = 1;

	if (fd != ~0u)
		(void)HOST3(SYS_write, fd, &one, sizeof(one));
}

/* Another thread may be about to write to the old one: the number stays the same. */
void host_channel_event(unsigned id, int fd)
{
	const uint32_t old = g_channel_fd[id];

	if (old == ~0u) {
		g_channel_fd[id] = (uint32_t)fd;
		return;
	}
	(void)HOST3(SYS_dup3, fd, old, 02000000 /* O_CLOEXEC */);
	(void)HOST1(SYS_close, fd);
}

/* On libos's first stack. */
static void on_libos_stack(void *sp)
{
	struct thread *th;
	size_t size;
	void *stack;

	th = libos_first_thread(&stack);
	host_set_gs(th);
	stack = libos_signal_stack(th, &size);
	host_altstack(stack, size);
	host_signals_init();
	if (!(g_boot.flags & BOOT_F_NO_SECCOMP) && host_seccomp_install() < 0)
		host_die("the kernel refuses a seccomp filter");
	libos_main(sp);
}

_Noreturn void host_start(uint64_t *sp);

_Noreturn void host_start(uint64_t *sp)
{
	int argc = (int)sp[0];
	char **argv = (char **)(sp + 1);
	char **envp = argv + argc + 1;
	const char *boot, *name = argc > 0 ? argv[0] : "program";
	const void *vdso = NULL;
	Elf64_auxv_t *auxv;
	void *stack;
	char **end = envp;

	while (*end)
		end++;
	auxv = (Elf64_auxv_t *)(void *)(end + 1);
	boot = take_boot_var(envp);
	if (!boot) {
		say(name, ": this program was built with strait-cc; start it with: "
		          "strait run PROGRAM [ARGUMENTS]");
		for (;;)
			(void)HOST1(SYS_exit_group, 127);
	}
	for (; auxv->a_type != AT_NULL; auxv++) {
		if (auxv->a_type == AT_SYSINFO_EHDR)
			vdso = (const void *)auxv->a_un.a_val;
		if (auxv->a_type == AT_HWCAP2)
			g_has_fsgsbase = (auxv->a_un.a_val & 2) != 0;
	}
	read_boot(boot);
	fpstate_init(fpstate_xsave_on());
	host_time_init(vdso);
	configure(argc, argv, envp);
	/* The environment's end moved: libos_main finds the vectors by g_config and
	 * the auxiliary vector by the host's stack. */
	(void)libos_first_thread(&stack);
	host_run_on(stack, on_libos_stack, sp);
}
