/* SPDX-License-Identifier: MIT */
/*
 * xen.h - what the files of platform/xen share.
 *
 * A guest is a PVH domain with one vCPU and no kernel: program, libos and platform
 * run in ring 0, in one address space.  The platform is a small kernel under the
 * functions of platform.h: threads, page tables, event channels, grants.
 *
 * Interrupts: "IF=0" below means that the caller has interrupts off (irq_off()).
 * State of the platform is guarded by that alone: one vCPU.  What would be a CPU's
 * stands in struct cpu, so that more vCPUs can come.  Program code and libos run
 * with IF=1 and are preempted anywhere; code of platform/xen that touches shared
 * state runs with IF=0, is short, and touches no memory that is not yet there but
 * the words it was given (a fault on those is taken in place).
 *
 * Every vector has an IST stack (program code has a red zone).  trap.S saves a
 * struct trap_frame there; trap() handles it and returns the frame to go on with,
 * the same one or another thread's.
 *
 * Layer:  platform/xen only; compiled with -mgeneral-regs-only.
 * Errors: 0 or a value >= 0, or a negative Linux errno (XEN_E* of hypercalls are
 *         the same numbers).
 */
#ifndef PLATFORM_XEN_XEN_H
#define PLATFORM_XEN_XEN_H

#include "platform/context.h"
#include "platform/platform.h"
#include "platform/xen/queue.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAGE_SIZE 4096ul
#define PAGE_SHIFT 12
#define FRAME_NONE UINT64_MAX

/* Virtual addresses.  Below 2^47: the program's, as on Linux.  Above:
 * all RAM, mapped once (read and write, never executable), and pages that are not
 * RAM (shared info, grants, rings). */
#ifdef STRAIT_TESTLIB /* the RAM of a unit test */
extern char g_test_ram[];
#define DIRECT_BASE ((uintptr_t)g_test_ram)
#else
#define DIRECT_BASE 0xffff800000000000ul
#endif
#define WINDOW_BASE 0xffffc00000000000ul

struct trap_frame { /* as trap.S pushes it */
	uint64_t r15, r14, r13, r12, r11, r10, r9, r8;
	uint64_t rbp, rdi, rsi, rdx, rcx, rbx, rax;
	uint64_t vector, err; /* err: the exception's code, else 0 */
	uint64_t rip, cs, rflags, rsp, ss;
};
#define RFLAGS_IF 0x200u

enum {
	VEC_PAGE_FAULT = 14,
	VEC_UPCALL = 0x40, /* event channels */
	VEC_SWITCH = 0x41, /* `int`: sched_switch() */
	VEC_RETURN = 0x42, /* `int`: end of an upcall into libos, rdi = ucontext */
	VEC_RAW = 0x43,    /* not in the IDT: a raw `syscall` instruction (LSTAR) */
};

#ifdef STRAIT_TESTLIB /* on the host there are none */
static inline uint64_t irq_off(void)
{
	return 0;
}

static inline void irq_restore(uint64_t flags)
{
	(void)flags;
}
#else
static inline uint64_t irq_off(void)
{
	uint64_t flags;

	__asm__ volatile("pushfq; popq %0; cli" : "=r"(flags) : : "memory");
	return flags;
}

static inline void irq_restore(uint64_t flags)
{
	if (flags & RFLAGS_IF)
		__asm__ volatile("sti" : : : "memory");
}
#endif

/* ---- start.S, boot.c: from Xen's entry to libos_main() ---- */

extern const void *g_start_info; /* struct hvm_start_info, mapped */
/* The command line that Xen gave, in the direct map; "" when there is none. */
const char *boot_cmdline(void);
/* "strait: guest start: WHAT" on the console and to Xen's log; exit status 125. */
_Noreturn void boot_die(const char *what);
_Noreturn void cpu_stop(void);
/* CPUID leaf 1: eax, ebx, ecx, edx.  Asked once: under Xen CPUID leaves the guest. */
const uint32_t *cpu_features(void);

/* ---- pages.c: physical memory ---- */

void pages_init(void);               /* from the memory map of the start info */
/* A zeroed 4 KiB frame: its physical address, or FRAME_NONE.  IF=0. */
uint64_t page_alloc(void);
void page_free(uint64_t phys);
static inline void *page_virt(uint64_t phys)
{
	return (void *)(DIRECT_BASE + phys);
}
uint64_t pages_total(void), pages_free_count(void);
/* A guest frame number range of @n pages that holds no RAM, for grants and the
 * shared info page; never given twice until freed. */
uint64_t gfn_alloc(unsigned n);
void gfn_free(uint64_t gfn, unsigned n);

/* ---- vm.c, shm.c: page tables and ranges (plat_mmap() and its family) ---- */

void vm_init(void);                  /* W^X over the program's own segments; CR0.WP, NXE */
/* Map @n frames that are not the program's at WINDOW_BASE; read and write, no
 * exec.  NULL: out of memory. */
void *vm_window_map(uint64_t phys, unsigned n);
void vm_window_unmap(void *at, unsigned n);
/* A fresh page that Xen fills with code: mapped to be executed, never written. */
void *vm_code_page(uint64_t *phys);
/* A page fault at @addr with error code @err: 0 solved (a page was made), else the
 * signal and code of it in *sig and *code. IF=0. */
int vm_fault(uint64_t addr, uint64_t err, int *sig, int *code);
/* Make [at, at + n) present for writing without a fault.  0 or -EFAULT. IF=0. */
int vm_touch(void *at, size_t n);
/* The frame behind a mapped address, or FRAME_NONE. */
uint64_t vm_phys(const void *at);

/* ---- trap.S, trap.c ---- */

void trap_init(void);                /* GDT, TSS, IDT, LSTAR; IF stays 0 */
struct trap_frame *trap(struct trap_frame *f);
/* Continue from @f (any memory that is mapped), for good. */
_Noreturn void trap_return(struct trap_frame *f);
/* Registers, stack, last calls; then plat_exit() as crashed. */
_Noreturn void crash(const char *what, const struct trap_frame *f);

/* ---- sched.c, futex.c: threads ---- */

#define XTHREAD_FP_SIZE 2752u        /* x87 to AVX-512; checked against CPUID */

/* A thread on a futex word (futex.c). */
struct futex_sleep {
	struct link link; /* first; in the order of arrival */
	const _Atomic uint32_t *word;
	struct xthread *thread;
};

/* What a C function may expect to find again behind a call. */
struct fp_control {
	uint8_t x87[28]; /* FNSTENV */
	uint32_t mxcsr;
};

struct xthread {
	struct trap_frame frame;         /* while it does not run */
	struct thread *libos;            /* GS base; NULL: a thread of the platform's own */
	uint64_t fs;                     /* while its registers are not loaded */
	uint32_t id;                     /* host_id: > 0, not reused at once */
	uint8_t state;                   /* sched.c's */
	bool in_upcall;                  /* libos_fault() or libos_interrupt() run */
	_Atomic bool kicked;             /* plat_thread_kick(), not yet delivered */
	bool fp_full;                    /* fp holds all, else control */
	struct fp_control control;
	uint8_t *fp;                     /* 64-aligned, XTHREAD_FP_SIZE */
	/* sched.c, futex.c */
	struct runq_node run;
	struct heap_node timer;          /* the end of its sleep */
	struct futex_sleep sleep[2];     /* what it sleeps on */
	int wait_result;
	uint64_t cpu_ns;                 /* until it was last given the CPU */
	/* thread.c */
	struct xthread *same_hash;       /* threads by id */
	uint8_t *signal_stack;           /* upcalls run there */
	size_t signal_stack_size;
	_Atomic uint32_t *gone;
};

struct cpu {
	struct xthread *now;             /* NULL: it idles */
	bool resched;                    /* look for another thread at the end of trap() */
	uint64_t scratch[4];             /* trap.S's */
	/* the rest is sched.c's */
	struct xthread *loaded;          /* whose FP state and thread pointers are in the CPU */
	struct link ready;               /* threads that could run */
	struct heap timers;
	uint64_t since;                  /* when `now` got the CPU; accounted until then */
	uint64_t slice_end;              /* then another one's turn, if there is one */
	uint64_t armed;                  /* the one-shot timer, PLAT_NO_DEADLINE: off */
	uint64_t vfloor;                 /* virtual time that sleepers do not fall behind */
	uint64_t cpu_ns;                 /* of all threads, ever */
};
extern struct cpu g_cpu;

enum { XTHREAD_READY, XTHREAD_RUNNING, XTHREAD_ASLEEP, XTHREAD_GONE };

void sched_init(void);               /* makes the caller the first thread, id 1 */
/* @th is self() of the calling thread from here on. */
void sched_set_libos(struct thread *th);
/* Put a thread that is in no queue into the run queue.  IF=0. */
void sched_ready(struct xthread *t);
/* Make a thread that sleeps ready; its sleep returns @result.  Else nothing.  IF=0. */
void sched_wake(struct xthread *t, int result);
/* Sleep until sched_wake() or @deadline: wait_result, or -ETIMEDOUT.  IF=0. */
int sched_sleep(uint64_t deadline);
/* Give the CPU away until somebody makes the thread ready again; IF=0, returns with
 * IF=0.  Idles when nobody is ready. */
void sched_switch(void);
/* From trap(): the frame to go on with, after VEC_SWITCH or when g_cpu.resched;
 * also hands a waiting kick to a thread that goes back to program code. */
struct trap_frame *sched_pick(struct trap_frame *f);
void sched_tick(void);               /* VIRQ_TIMER: deadlines and the time slice; IF=0 */

/* ---- upcall.c ---- */

/* From trap(): turn @f, of the running thread, into a run of libos_fault() (@sig > 0),
 * libos_interrupt() (0) or libos_raw_syscall() (-1) on the thread's signal stack,
 * which ends by VEC_RETURN.  Returns the frame to go on with.  IF=0. */
struct trap_frame *sched_upcall(struct trap_frame *f, int sig, int code, uint64_t addr);
/* VEC_RETURN: the context that libos left, loaded back. */
struct trap_frame *sched_upcall_end(struct trap_frame *f);
/* Tell libos of a kick of the calling thread, which is in libos.  IF=0. */
void upcall_take_kick(void);

/* ---- futex.c, park.c ---- */

void futex_init(void);
void futex_forget(struct xthread *t); /* it sleeps no more.  IF=0 */
/* Wake sleepers on @word (futex or doorbell), first come first served.  IF=0.
 * Returns their number. */
int futex_wake_locked(const _Atomic uint32_t *word, int n);
/* Sleep on @n words until woken, kicked (-EINTR) or @deadline (-ETIMEDOUT).  The
 * caller has looked at the words: IF=0 since, so no wake-up is lost. */
int futex_sleep_locked(const _Atomic uint32_t *const *words, int n, uint64_t deadline);
/* A service rang: count the doorbell up and wake who waits.  IF=0. */
void doorbell_ring_locked(void);

/* ---- thread.c ---- */

/* A thread of the platform's own (no libos, no upcalls) on the stack that ends at
 * @top.  0 or -EAGAIN. */
int thread_start(void (*fn)(void *), void *arg, void *top);
void thread_add(struct xthread *t);  /* to those found by id; sets it.  IF=0 */
void thread_free(struct xthread *t); /* its last act; IF=0, not on its stack */
struct xthread *xthread_alloc(void); /* NULL: no memory, or too many.  IF=0 */

/* ---- fpu.c ---- */

void fpu_init(void);                 /* CR0, CR4, XCR0 as CPUID allows; FP state clean */
void fpu_save(void *fp);             /* XSAVE or FXSAVE */
void fpu_load(const void *fp);
/* An image that plat_fpstate_check() passed, with its answer. */
void fpu_load_image(const void *fp, uint64_t features);
void fpu_save_control(struct fp_control *c);
void fpu_load_control(const struct fp_control *c); /* registers: as behind a call */
/* Thread pointers, by the fastest way that the CPU has: GS base; FS base is
 * plat_set_fs()'s. */
void fpu_set_gs(uint64_t base);

/* ---- clock.c ---- */

void clock_init(void);               /* pvclock of the shared info page, VIRQ_TIMER */
void clock_arm(uint64_t deadline);   /* one shot, monotonic ns; past: at once. IF=0 */

/* ---- hyper.S, hyper.c: hypercalls ---- */

long hypercall(unsigned nr, long a, long b, long c, long d);
void hyper_init(void);               /* CPUID leaves, hypercall page, shared info */
extern struct shared_info *g_shared;
/* HVMOP_get_param; ~0 on failure. */
uint64_t hyper_param(unsigned index);
/* A byte string to Xen's own log (port 0xe9), for what must be seen in any state. */
void hyper_debug(const char *s, size_t n);

/* ---- evtchn.c ---- */

typedef void (*evtchn_fn)(unsigned port, void *arg); /* IF=0, on an IST stack */
void evtchn_init(void);              /* upcall vector */
int evtchn_bind_virq(unsigned virq, evtchn_fn fn, void *arg); /* -> port */
int evtchn_bind_interdomain(unsigned domid, unsigned remote_port, evtchn_fn fn, void *arg);
int evtchn_handle(unsigned port, evtchn_fn fn, void *arg);    /* an existing port */
void evtchn_close(unsigned port);
void evtchn_send(unsigned port);
bool evtchn_peer_alive(unsigned port); /* EVTCHNOP_status: still interdomain */
void evtchn_upcall(void);            /* from trap(): run the handlers of what is pending */

/* ---- gnttab.c: pages of other domains ---- */

/* Map @n granted pages of @domid in one hypercall a batch; NULL with *err on failure
 * (nothing stays mapped). */
void *gnttab_map(unsigned domid, const uint32_t *refs, unsigned n, uint32_t *handles, int *err);
void gnttab_unmap(void *at, const uint32_t *handles, unsigned n);

/* ---- xenstore.c: the guest's own client; thread context, one request at a time ---- */

void xenstore_init(void);
/* Read a node (NUL added): its length, or -ENOENT, -EACCES, -E2BIG, -EIO... */
int xenstore_read(const char *path, char *to, size_t size);
int xenstore_write(const char *path, const char *value);
int xenstore_rm(const char *path);
/* Call @fn(path, arg) in the xenstore thread's context whenever @path changes. */
int xenstore_watch(const char *path, void (*fn)(const char *path, void *arg), void *arg);
/* @path as it was given. */
void xenstore_unwatch(const char *path);
unsigned xenstore_domid(void);

/* ---- channel.c: the guest's vchans ---- */

void channel_init(void);             /* connects g_config.file and .net; see docs/XEN.md */
void channel_close_all(void);        /* live bytes off, pages unmapped */

/* ---- config.c: command line and xenstore -> g_config ---- */

void config_init(void);
/* Random bytes that the toolstack passed for this guest alone (xenstore, hex digits in
 * strait/entropy), given once: their number, at most @size; 0: none. */
size_t config_entropy(uint8_t *to, size_t size);

/* ---- console.c ---- */

void console_xen_init(void);
/* Before threads run, or while the guest dies: waits by polling. */
void console_xen_write_raw(const char *s, size_t n);

/* ---- exit.c ---- */

void shutdown_watch(void);           /* control/shutdown */
_Noreturn void xen_shutdown(unsigned reason); /* SCHEDOP_shutdown */

#endif /* PLATFORM_XEN_XEN_H */
