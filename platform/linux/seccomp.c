/* SPDX-License-Identifier: MIT */
/*
 * seccomp.c - the filter that a guest puts on itself before the program runs.
 *
 *   from [host_text_begin, host_text_end], on the list below: allowed
 *   from there, not on the list:                              the guest is killed
 *   clock_gettime from the host's vDSO (its slow path):       allowed
 *   from anywhere else (a raw `syscall` in a program):        SIGSYS -> libos
 */
#include "platform/linux/host.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

/* The whole list; docs/SECURITY.md says what each is for. */
static const uint16_t g_allowed[] = {
	/* each RPC makes these, so they are looked at first */
	SYS_futex,             SYS_write,          449 /* futex_waitv */, SYS_mmap,
	SYS_munmap,            SYS_mprotect,       SYS_madvise,      SYS_mremap,
	SYS_tgkill,            SYS_rt_sigreturn,   SYS_sched_yield,  SYS_clock_gettime,
	SYS_read,              SYS_close,          SYS_rt_sigaction, SYS_rt_sigprocmask,
	SYS_ioctl,             SYS_mincore,        SYS_getpid,       SYS_clone,
	SYS_exit,              SYS_ftruncate,      SYS_getrusage,    SYS_sysinfo,
	SYS_sigaltstack,       SYS_arch_prctl,     SYS_gettid,       SYS_tkill,
	SYS_sched_setaffinity, SYS_exit_group,     SYS_ppoll,        SYS_getcpu,
	SYS_getrandom,         SYS_memfd_create,   SYS_membarrier,   SYS_restart_syscall,
	SYS_recvmsg,           SYS_dup3, /* a service's next instance */
};

#define N_ALLOWED (sizeof(g_allowed) / sizeof(g_allowed[0]))
#define FILTER_MAX (N_ALLOWED + 32)

#define OFF_NR ((uint32_t)offsetof(struct seccomp_data, nr))
#define OFF_ARCH ((uint32_t)offsetof(struct seccomp_data, arch))
#define OFF_IP ((uint32_t)offsetof(struct seccomp_data, instruction_pointer))
#define OFF_FLAGS ((uint32_t)offsetof(struct seccomp_data, args))

struct program {
	struct sock_filter ins[FILTER_MAX];
	uint16_t n;
};

static void add(struct program *p, uint16_t code, uint8_t jt, uint8_t jf, uint32_t k)
{
	p->ins[p->n++] = (struct sock_filter){code, jt, jf, k};
}

#define LOAD(p, off) add((p), BPF_LD | BPF_W | BPF_ABS, 0, 0, (off))
#define RETURN(p, what) add((p), BPF_RET | BPF_K, 0, 0, (what))
#define JEQ(p, k, jt, jf) add((p), BPF_JMP | BPF_JEQ | BPF_K, (jt), (jf), (k))
#define JGE(p, k, jt, jf) add((p), BPF_JMP | BPF_JGE | BPF_K, (jt), (jf), (k))
#define JGT(p, k, jt, jf) add((p), BPF_JMP | BPF_JGT | BPF_K, (jt), (jf), (k))

/* clock_gettime by the vDSO's own instruction. */
static void add_vdso(struct program *p)
{
	uintptr_t begin, end;

	host_vdso_text(&begin, &end);
	if (begin >> 32 == (end - 1) >> 32 && begin) {
		LOAD(p, OFF_IP + 4);
		JEQ(p, (uint32_t)(begin >> 32), 0, 6);
		LOAD(p, OFF_IP);
		JGE(p, (uint32_t)begin, 0, 4);
		JGE(p, (uint32_t)end, 3, 0);
		LOAD(p, OFF_NR);
		JEQ(p, SYS_clock_gettime, 0, 1);
		RETURN(p, SECCOMP_RET_ALLOW);
	}
	RETURN(p, SECCOMP_RET_TRAP);
}

static void build(struct program *p)
{
	const uint64_t begin = (uintptr_t)host_text_begin, end = (uintptr_t)host_text_end;

	LOAD(p, OFF_ARCH);
	JEQ(p, AUDIT_ARCH_X86_64, 1, 0);
	RETURN(p, SECCOMP_RET_KILL_PROCESS);
	/* The program is linked below 4 GiB; the pointer stands behind the call. */
	LOAD(p, OFF_IP + 4);
	JEQ(p, (uint32_t)(begin >> 32), 0, 3);
	LOAD(p, OFF_IP);
	JGT(p, (uint32_t)begin, 0, 1);
	JGT(p, (uint32_t)end, 0, 9);
	add_vdso(p);
	LOAD(p, OFF_NR);
	for (unsigned i = 0; i < N_ALLOWED; i++)
		JEQ(p, g_allowed[i], (uint8_t)(N_ALLOWED - i), 0);
	RETURN(p, SECCOMP_RET_KILL_PROCESS);
	RETURN(p, SECCOMP_RET_ALLOW);
}

int host_seccomp_install(void)
{
	static struct program prog;
	struct sock_fprog f;
	uint16_t vdso;

	build(&prog);
	/* add_vdso() is 9 instructions, or 1 without a usable vDSO: correct the jump
	 * over it. */
	vdso = (uint16_t)(prog.n - (N_ALLOWED + 3) - 8);
	prog.ins[7].jf = (uint8_t)vdso;
	f.len = prog.n;
	f.filter = prog.ins;
	if (HOST5(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -1;
	return (int)HOST3(SYS_prctl, PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &f);
}
