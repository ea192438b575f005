/* SPDX-License-Identifier: MIT */
/*
 * context.h - a program's registers and signal information, in the layout that
 * Linux/x86-64 gives to signal handlers.  Both platforms use it.
 *
 * Layer:  platform.  Constants and types only.
 */
#ifndef PLATFORM_CONTEXT_H
#define PLATFORM_CONTEXT_H

#include <stddef.h>
#include <stdint.h>

/* Order of sigcontext's registers. */
struct gregs_x86 {
	uint64_t r8, r9, r10, r11, r12, r13, r14, r15;
	uint64_t rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp;
	uint64_t rip, rflags;
	uint16_t cs, gs, fs, ss;
	uint64_t err, trapno, oldmask, cr2;
};

struct sigstack_x86 {
	uint64_t sp;
	int32_t flags;
	uint32_t pad;
	uint64_t size;
};

#define UC_FP_XSTATE 0x1u
#define UC_SIGCONTEXT_SS 0x2u
#define UC_STRICT_RESTORE_SS 0x4u

struct ucontext_x86 {
	uint64_t flags;
	uint64_t link;
	struct sigstack_x86 stack;
	struct gregs_x86 regs;
	void *fpstate; /* 64-aligned XSAVE image in FXSAVE form, or NULL */
	uint64_t reserved[8];
	uint64_t sigmask;
};

_Static_assert(offsetof(struct ucontext_x86, regs) == 40, "uc_mcontext");
_Static_assert(offsetof(struct ucontext_x86, fpstate) == 224, "uc_mcontext.fpregs");
_Static_assert(offsetof(struct ucontext_x86, sigmask) == 296, "uc_sigmask");

/* The software-reserved bytes of the FXSAVE image (offset 464): what follows. */
#define FP_SW_OFFSET 464u
#define FP_XSTATE_MAGIC1 0x46505853u
#define FP_XSTATE_MAGIC2 0x46505845u

struct fp_sw_x86 {
	uint32_t magic1;
	uint32_t extended_size; /* image and the trailing magic2 */
	uint64_t xfeatures;
	uint32_t xstate_size;
	uint32_t pad[7];
};
_Static_assert(sizeof(struct fp_sw_x86) == 48, "fpx_sw_bytes");

struct siginfo_x86 {
	int32_t signo, err, code, pad;
	union {
		uint8_t bytes[112];
		struct {
			int32_t pid;
			uint32_t uid;
			uint64_t value;
		} rt; /* kill, sigqueue */
		struct {
			int32_t id, overrun;
			uint64_t value;
			int32_t sys_private;
		} timer;
		struct {
			uint64_t addr;
			int16_t addr_lsb;
		} fault;
		struct {
			int64_t band;
			int32_t fd;
		} poll;
		struct {
			uint64_t call_addr;
			int32_t number;
			uint32_t arch;
		} sys;
	};
};
_Static_assert(sizeof(struct siginfo_x86) == 128, "siginfo_t");

#endif /* PLATFORM_CONTEXT_H */
