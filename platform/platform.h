/* SPDX-License-Identifier: MIT */
/*
 * platform.h - all that a port must provide to libos.
 *
 * A platform is what is under the guest: `linux` (hosted: the guest is a Linux
 * process) or `xen` (a PVH domain).  libos calls these functions; the platform
 * calls the libos_* functions at the end of this file.
 *
 * Layer:   platform.  Includes nothing of libos, rpc or vchan.
 * Signals: every function may be called with program signals pending; none runs
 *          a program's handler.
 * Errors:  0 or a value >= 0 on success, a negative errno on failure.
 */
#ifndef PLATFORM_PLATFORM_H
#define PLATFORM_PLATFORM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PLAT_NO_DEADLINE UINT64_MAX

/* ---- the guest's configuration, filled before libos_main() ---- */

#define PLAT_CHANNELS_MAX 2
struct plat_channel {
	void *ctl;          /* struct vchan_interface, 4096 bytes; NULL: no such service */
	void *left, *right; /* ring memory; we write left, read right */
	unsigned order;     /* of each ring: taken from the configuration, never re-read */
	unsigned id;        /* for plat_channel_notify() */
	uint32_t epoch;
};

struct plat_config {
	int argc;
	char **argv, **envp; /* on the main stack */
	const char *cwd;     /* absolute guest path */
	const char *hostname;
	uint32_t uid, gid, n_groups;
	const uint32_t *groups;
	uint64_t memory;     /* bytes the program may map, 0: no limit of ours */
	unsigned n_cpus;
	uint8_t client_id[16];
	struct plat_channel file, net;
	_Atomic uint32_t *doorbell; /* the word that services count up */
	_Atomic uint32_t *strace;   /* not 0: print a line per call */
	_Atomic uint32_t *log;      /* BOOT_LOG_* */
	bool stamps;                /* ask for frame stamps (tracing) */
	uint64_t recover_ns;        /* how long a service may stay away; 0: not at all */
};
extern struct plat_config g_config;

/* ---- futex on guest memory ---- */

/* Sleep while *@word == @val, until woken, or @deadline (CLOCK_MONOTONIC ns).
 * Returns 0 (woken, maybe spuriously), -EAGAIN (*word differs), -ETIMEDOUT, or
 * -EINTR when plat_thread_kick() hit this thread, also just before it slept. */
int plat_futex_wait(_Atomic uint32_t *word, uint32_t val, uint64_t deadline);
int plat_futex_wake(_Atomic uint32_t *word, int n);

/* ---- the doorbell: one word for all channels and console input ---- */

/* Ring our own doorbell: end other threads' sleep on it. */
void plat_doorbell_ring(void);
/* Wake the service behind a channel (its notify bit was set). */
void plat_channel_notify(unsigned id);

/* Wait until the service behind a channel is there again, as a new instance; the old
 * one then touches nothing any more.  0 and its *@epoch; -ETIMEDOUT; -EPIPE: it will
 * not come.  Blocks the calling thread. */
int plat_channel_reopen(unsigned id, uint64_t deadline, uint32_t *epoch);
/* After that: put the new channel's memory at the addresses of the old one's, which
 * goes.  Nobody may use the old one meanwhile.  0 or a negative errno. */
int plat_channel_renew(unsigned id);

/* The sleep of thread_park(): while *@word == @val and (@door not NULL) the doorbell
 * still counts *@door.  A kick ends it with -EINTR; with @kicked (the thread's own
 * flag, see libos_host_signal()) also one that came before, as soon as the flag is
 * set.  Returns 0, -EAGAIN, -ETIMEDOUT, -EINTR. */
int plat_park(_Atomic uint32_t *word, uint32_t val, const uint32_t *door, uint64_t deadline,
              const _Atomic uint32_t *kicked);
/* How services are to end that sleep: somebody sleeps on the doorbell, or nobody. */
void plat_doorbell_sleeping(bool yes);
/* The sleep of the pump while nobody else reads the rings: until a service has
 * something, *@word != @val, or @deadline. */
int plat_pump_wait(_Atomic uint32_t *word, uint32_t val, uint32_t door, uint64_t deadline);

/* ---- threads ---- */

/* Per-thread data that libos owns; the platform only keeps the pointer (GS). */
struct thread;

/* Start a host thread that runs @fn(@arg) on @stack (a libos-owned stack top).
 * *@gone is set to 0 and woken (plat_futex) when the thread no longer uses any
 * of its memory.  @th becomes its self().  -EAGAIN at a limit. */
int plat_thread_create(struct thread *th, void *stack, void (*fn)(void *), void *arg,
                       _Atomic uint32_t *gone, uint32_t *host_id);
_Noreturn void plat_thread_exit(void);
/* The calling thread's host_id, for the first one. */
uint32_t plat_thread_self(void);
/* Interrupt a thread: out of plat_park()/console I/O
 * with -EINTR, or, when it computes program code, into libos_interrupt(). */
void plat_thread_kick(uint32_t host_id);
void plat_yield(void);
/* Let whoever else waits for this CPU, a service it may be, have it for once: for how
 * long, in ns.  0: not done, as a thread of this guest waits for the CPU, or the host
 * cannot say whom it lets run.  Any thread; not in a signal handler of the host. */
uint64_t plat_lend(void);
unsigned plat_cpu(void);
int plat_set_affinity(uint32_t host_id, uint64_t mask);

/* Thread pointer registers. */
void plat_set_fs(uint64_t base);
uint64_t plat_get_fs(void);

/* ---- program contexts (x86-64 Linux ucontext layout) ---- */

struct ucontext_x86; /* platform/context.h */
/* Load a full context (registers, FP/SIMD state) and continue there; never
 * returns.  @uc must stay valid until then (on libos's stack, say); fpstate may
 * point to program memory: it is copied first and checked.  NULL fpstate: the FP
 * state stays as it is.  Implemented with the edge, entry_x86_64.S. */
_Noreturn void plat_resume(struct ucontext_x86 *uc);
/* Bytes of the FP/SIMD image of this CPU, as the fpstate of a signal frame. */
size_t plat_fpstate_size(void);
/* Store the current FP/SIMD state as such an image (64-aligned). */
void plat_fpstate_save(void *fp);
/* Make an image from program memory safe to load, in place.  Returns the feature
 * mask for XRSTOR, or 0: only its FXSAVE part is valid. */
uint64_t plat_fpstate_check(void *fp);

/* ---- memory ---- */

/* As mmap(2)/munmap(2)/... on anonymous memory.  @flags: Linux MAP_* of
 * MAP_PRIVATE|SHARED|ANONYMOUS|FIXED|FIXED_NOREPLACE|NORESERVE|GROWSDOWN|STACK|POPULATE. */
long plat_mmap(void *addr, size_t len, int prot, int flags);
long plat_munmap(void *addr, size_t len);
long plat_mprotect(void *addr, size_t len, int prot);
long plat_mremap(void *addr, size_t old_len, size_t new_len, int flags, void *to);
long plat_madvise(void *addr, size_t len, int advice);
long plat_mincore(void *addr, size_t len, unsigned char *vec);

/* Shareable anonymous objects (memfd, /dev/shm, shared file mappings). */
int plat_shm_create(size_t size);              /* -> object id or -errno */
int plat_shm_resize(int shm, size_t size);
long plat_shm_map(int shm, uint64_t off, void *addr, size_t len, int prot, int flags);
void plat_shm_free(int shm);

/* A memory barrier on every CPU that runs a thread of the guest: 0 or -errno. */
int plat_membarrier(void);

/* ---- copies that survive bad pointers: see libos/user.h ---- */

/* Copy @n bytes; either side may be program memory.  Returns bytes NOT copied. */
size_t plat_copy(void *to, const void *from, size_t n);
/* Atomic load/compare-exchange on program memory: 0 or -EFAULT. */
int plat_load_u32(uint32_t *out, const void *from);
int plat_cmpxchg_u32(void *at, uint32_t *expected, uint32_t desired, bool *done);

/* ---- time ---- */

uint64_t plat_mono_ns(void);      /* CLOCK_MONOTONIC: fast, no host call */
/* CLOCK_REALTIME (0) or CLOCK_MONOTONIC (1) as a struct timespec. */
void plat_clock(int clock, int64_t sec_nsec[2]);
/* The same for program code, on its own stack, interruptible anywhere; may refuse
 * (not 0: the caller uses plat_clock() instead).  libos calls plat_clock() here where
 * the platform has set nothing better before libos_main(). */
extern int (*g_plat_clock_direct)(int clock, int64_t sec_nsec[2]);
uint64_t plat_real_ns(void);      /* CLOCK_REALTIME: fast */
uint64_t plat_boot_ns(void);      /* CLOCK_BOOTTIME */
uint64_t plat_thread_cpu_ns(uint32_t host_id);
uint64_t plat_process_cpu_ns(void);

/* ---- the rest ---- */

void plat_random(void *to, size_t n);

#define PLAT_CONSOLE_IN 0
#define PLAT_CONSOLE_OUT 1
#define PLAT_CONSOLE_ERR 2
/* Read/write the console streams.  Read: does not wait (-EAGAIN).  Write: waits
 * until at least one byte is taken; -EINTR on a kick; -EPIPE. */
long plat_console_read(void *to, size_t n);
long plat_console_write(int stream, const void *from, size_t n);
/* POLLIN|POLLOUT|POLLHUP bits of a stream now. */
unsigned plat_console_poll(int stream);
/* Ring the doorbell once when stream 0 becomes readable. */
void plat_console_arm(void);
/* True once after such a ring: whoever woke by the doorbell asks. */
bool plat_console_fired(void);
/* Terminal control: TCGETS, TCSETS*, TIOCGWINSZ..., -ENOTTY. */
long plat_console_ioctl(int stream, unsigned long req, void *arg);

uint64_t plat_memory_total(void);
uint64_t plat_memory_used(void);

/* End the guest.  @sig: 0, or the signal that killed it. */
_Noreturn void plat_exit(int code, int sig);

/* A line to stderr for libos's own messages; async-signal-safe. */
void plat_log(const char *line, size_t len);

/* ---- what the platform calls ---- */

/* First C function on libos's stack: g_config is filled.  @sp: the program's
 * initial stack (argc, argv, envp, auxv), already in Linux form. */
_Noreturn void libos_main(void *sp);

/* A synchronous fault of program code (@sig SIGSEGV, SIGBUS, SIGFPE, SIGILL,
 * SIGTRAP): @uc, @info in Linux layout, modifiable.  When it returns, the
 * platform resumes @uc. */
struct siginfo_x86;
void libos_fault(int sig, struct siginfo_x86 *info, struct ucontext_x86 *uc);
/* The thread was kicked, or an outside signal came, while it ran program code. */
void libos_interrupt(struct ucontext_x86 *uc);
/* An outside signal (Ctrl-C, TERM) for the whole guest; async-signal-safe. */
void libos_outside_signal(int sig);
/* A raw `syscall` instruction outside the platform: @uc stands behind it, rax is the
 * number.  Makes @uc one that enters libos for the call; the platform resumes it. */
void libos_raw_syscall(struct ucontext_x86 *uc);
/* A kick or an outside signal interrupted this thread at @uc.  True: inside libos,
 * which is told (its flag is set); false: program code, @uc corrected to a point
 * where the program can be interrupted: call libos_interrupt() or libos_fault(),
 * then libos_host_signal_done(). */
bool libos_host_signal(struct ucontext_x86 *uc);
void libos_host_signal_done(void);
/* The calling thread's flag of a kick, for interruptible host calls. */
const _Atomic uint32_t *libos_kick_flag(void);
/* True while @uc (a fault) lies in libos itself: our bug. */
bool libos_at_fault(const struct ucontext_x86 *uc);
/* For a report of a crash: a line of text for each thread with its last call, at most
 * @size bytes.  Takes no lock; what it reads may be broken.  Returns the length. */
size_t libos_last_calls(char *to, size_t size);
/* The first thread, and the top of its libos stack. */
struct thread *libos_first_thread(void **stack_top);
/* @th's stack for the host's signal handlers: HOST stack of @size bytes. */
void *libos_signal_stack(struct thread *th, size_t *size);

#endif /* PLATFORM_PLATFORM_H */
