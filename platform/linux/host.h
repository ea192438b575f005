/* SPDX-License-Identifier: MIT */
/*
 * host.h - the host's system calls and what the files of platform/linux share.
 *
 * Layer:  platform/linux only.
 * Errors: the host's: a value or a negative errno.
 */
#ifndef PLATFORM_LINUX_HOST_H
#define PLATFORM_LINUX_HOST_H

#include "platform/context.h"
#include "platform/linux/boot.h"
#include "platform/platform.h"
#include "vchan/hosted.h"

#include <stdbool.h>
#include <stdint.h>

#ifdef STRAIT_TESTLIB
#define HOST_KICK 40 /* 33 is glibc's */
#else
#define HOST_KICK 33 /* the signal of plat_thread_kick() */
#endif
#define SIG_SETMASK_HOST 2 /* rt_sigprocmask: SIG_SETMASK */

long host_call6(long n, long a, long b, long c, long d, long e, long f);
long host_call_intr(long n, long a, long b, long c, long d, long e, long f,
                    const _Atomic uint32_t *flag);
long host_clone(unsigned long flags, void *stack, uint32_t *ptid, _Atomic uint32_t *ctid,
                void (*fn)(void *), void *arg);
void host_sigreturn(void);
extern const char host_text_begin[], host_text_end[];
extern const char host_intr_begin[], host_intr_end[];

#define HOST6(n, a, b, c, d, e, f) \
	host_call6((n), (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))
#define HOST0(n) HOST6(n, 0, 0, 0, 0, 0, 0)
#define HOST1(n, a) HOST6(n, a, 0, 0, 0, 0, 0)
#define HOST2(n, a, b) HOST6(n, a, b, 0, 0, 0, 0)
#define HOST3(n, a, b, c) HOST6(n, a, b, c, 0, 0, 0)
#define HOST4(n, a, b, c, d) HOST6(n, a, b, c, d, 0, 0)
#define HOST5(n, a, b, c, d, e) HOST6(n, a, b, c, d, e, 0)

struct host_timespec {
	int64_t sec, nsec;
};

static inline struct host_timespec host_timespec(uint64_t ns)
{
	struct host_timespec ts = {(int64_t)(ns / 1000000000u), (int64_t)(ns % 1000000000u)};

	return ts;
}

/* The boot block, private copy; and the doorbell page (a private one of the
 * process when the supervisor gave none). */
extern struct boot_block g_boot;
extern struct doorbell *g_doorbell;
extern bool g_has_fsgsbase;

/* hostsig.c */
void host_signals_init(void);
void host_altstack(void *base, size_t size);
void host_sigmask(int how, uint64_t set, uint64_t *old);
#define HOST_ALTSTACK_SIZE (24u * 1024u)

/* thread.c */
void host_set_gs(struct thread *th);
_Noreturn void host_run_on(void *stack, void (*fn)(void *), void *arg);

/* time.c: @vdso: base of the host's vDSO image or NULL. */
void host_time_init(const void *vdso);
void host_vdso_text(uintptr_t *begin, uintptr_t *end);

/* seccomp.c: 0 or a negative errno. */
int host_seccomp_install(void);

/* start.c: @fd wakes the service behind channel @id from now on. */
void host_channel_event(unsigned id, int fd);

/* A fatal message at start: "strait: <what>"; ends with status 125. */
_Noreturn void host_die(const char *what);
size_t host_strlen(const char *s);

#endif /* PLATFORM_LINUX_HOST_H */
