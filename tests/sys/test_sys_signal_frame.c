/* SPDX-License-Identifier: MIT */
/* Faults, alternate stacks, and the frame that a handler sees and may edit. */
#include "tests/sys/check.h"

#include <setjmp.h>
#include <sys/mman.h>
#include <ucontext.h>

static volatile sig_atomic_t g_count, g_sig, g_code;
static void *volatile g_addr;
static sigjmp_buf g_jump;

static void install(int sig, void (*fn)(int, siginfo_t *, void *), int flags)
{
	struct sigaction sa = {.sa_sigaction = fn, .sa_flags = flags | SA_SIGINFO};

	sigemptyset(&sa.sa_mask);
	CHECK_EQ(sigaction(sig, &sa, NULL), 0);
	g_count = g_sig = g_code = 0;
	g_addr = NULL;
}

static void note_and_jump(int sig, siginfo_t *info, void *uc)
{
	(void)uc;
	g_count++;
	g_sig = sig;
	g_code = info->si_code;
	g_addr = info->si_addr;
	siglongjmp(g_jump, 1);
}

static void a_bad_write_tells_its_address(void)
{
	char *volatile p = (char *)0x1234560;

	install(SIGSEGV, note_and_jump, 0);
	if (sigsetjmp(g_jump, 1) == 0) {
		*p = 1;
		CHECK(0);
	}
	CHECK_EQ(g_sig, SIGSEGV);
	CHECK_EQ(g_code, SEGV_MAPERR);
	CHECK(g_addr == (void *)0x1234560);
}

static void a_write_to_a_read_only_page_is_an_access_error(void)
{
	char *volatile p =
	        mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(p != MAP_FAILED);
	install(SIGSEGV, note_and_jump, 0);
	if (sigsetjmp(g_jump, 1) == 0) {
		p[100] = 1;
		CHECK(0);
	}
	CHECK_EQ(g_code, SEGV_ACCERR);
	CHECK(g_addr == p + 100);
	munmap(p, 4096);
}

static void a_division_by_zero_and_a_bad_instruction_are_told(void)
{
	install(SIGFPE, note_and_jump, 0);
	if (sigsetjmp(g_jump, 1) == 0) {
		__asm__ volatile(
		        "xorl %%ecx, %%ecx\n\tmovl $1, %%eax\n\tcltd\n\tidivl %%ecx"
		        :
		        :
		        : "eax", "ecx", "edx", "cc");
		CHECK(0);
	}
	CHECK_EQ(g_sig, SIGFPE);
	CHECK_EQ(g_code, FPE_INTDIV);
	install(SIGILL, note_and_jump, 0);
	if (sigsetjmp(g_jump, 1) == 0) {
		__asm__ volatile("ud2");
		CHECK(0);
	}
	CHECK_EQ(g_sig, SIGILL);
	CHECK_EQ(g_code, ILL_ILLOPN);
}

static void repair(int sig, siginfo_t *info, void *uc)
{
	(void)sig;
	(void)uc;
	g_count++;
	g_addr = info->si_addr;
	CHECK_EQ(mprotect((void *)((uintptr_t)info->si_addr & ~4095ul), 4096,
	                  PROT_READ | PROT_WRITE),
	         0);
}

static void a_handler_may_repair_and_return(void)
{
	char *volatile p =
	        mmap(NULL, 8192, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	install(SIGSEGV, repair, 0);
	p[5000] = 42;
	CHECK_EQ(p[5000], 42);
	CHECK_EQ(g_count, 1);
	munmap(p, 8192);
}

static void step_over(int sig, siginfo_t *info, void *ctx)
{
	ucontext_t *uc = ctx;

	(void)sig;
	(void)info;
	g_count++;
	uc->uc_mcontext.gregs[REG_RIP] += 2; /* ud2's length */
	uc->uc_mcontext.gregs[REG_RAX] = 77;
	uc->uc_mcontext.gregs[REG_R12] += 1;
}

static void a_handler_may_edit_the_registers(void)
{
	unsigned long rax, r12;

	install(SIGILL, step_over, 0);
	__asm__ volatile("movq $1, %%rax\n\tmovq $41, %%r12\n\tud2\n\tmovq %%r12, %0"
	                 : "=r"(r12), "=&a"(rax)
	                 :
	                 : "r12", "memory");
	CHECK_EQ(rax, 77);
	CHECK_EQ(r12, 42);
	CHECK_EQ(g_count, 1);
}

static void breakpoint(int sig, siginfo_t *info, void *uc)
{
	(void)info;
	(void)uc;
	g_sig = sig;
	g_count++;
}

static void a_breakpoint_returns_behind_itself(void)
{
	install(SIGTRAP, breakpoint, 0);
	__asm__ volatile("int3");
	CHECK_EQ(g_count, 1);
}

/* ---- what must survive a handler ---- */

static void clobber(int sig, siginfo_t *info, void *uc)
{
	(void)sig;
	(void)info;
	(void)uc;
	g_count++;
	__asm__ volatile("pcmpeqd %%xmm0, %%xmm0\n\tmovdqa %%xmm0, %%xmm1\n\t"
	                 "movdqa %%xmm0, %%xmm8\n\tmovdqa %%xmm0, %%xmm15\n\t"
	                 "fninit\n\tfldz\n\tfldz"
	                 :
	                 :
	                 : "xmm0", "xmm1", "xmm8", "xmm15", "st", "st(1)");
}

static void vector_and_float_registers_survive_a_handler(void)
{
	uint64_t in[2] = {0x1122334455667788u, 0x99aabbccddeeff00u},
	         out[4] = {0, 0, 0, 0};
	double x = 0;

	install(SIGILL, clobber, 0);
	/* the handler returns to ud2 again unless it steps over: use a trap */
	install(SIGTRAP, clobber, 0);
	__asm__ volatile("movdqu %2, %%xmm1\n\tmovdqu %2, %%xmm15\n\tfld1\n\tint3\n\t"
	                 "fstpl %1\n\tmovdqu %%xmm1, %0\n\tmovdqu %%xmm15, 16+%0"
	                 : "=m"(out), "=m"(x)
	                 : "m"(in)
	                 : "xmm1", "xmm15", "memory");
	CHECK_EQ(g_count, 1);
	CHECK_EQ(out[0], in[0]);
	CHECK_EQ(out[1], in[1]);
	CHECK_EQ(out[2], in[0]);
	CHECK_EQ(out[3], in[1]);
	CHECK(x == 1.0);
}

static void the_red_zone_survives_a_handler(void)
{
	unsigned long a, b;

	install(SIGTRAP, breakpoint, 0);
	__asm__ volatile(
	        "movq $0x1234, -8(%%rsp)\n\tmovq $0x5678, -128(%%rsp)\n\tint3\n\t"
	        "movq -8(%%rsp), %0\n\tmovq -128(%%rsp), %1"
	        : "=r"(a), "=r"(b)
	        :
	        : "memory");
	CHECK_EQ(a, 0x1234);
	CHECK_EQ(b, 0x5678);
}

static volatile int g_run;

static void stop_running(int sig, siginfo_t *info, void *ctx)
{
	(void)sig;
	(void)info;
	clobber(sig, info, ctx);
	if (g_count == 50)
		g_run = 0;
}

static pthread_t g_main;

static void *poke_often(void *arg)
{
	(void)arg;
	while (g_run) {
		pthread_kill(g_main, SIGUSR1);
		sleep_ms(1);
	}
	return NULL;
}

static void arithmetic_goes_on_under_interrupts(void)
{
	double x = 1.0, y = 1.0;
	pthread_t t;
	uint64_t rounds = 0;

	install(SIGUSR1, stop_running, SA_RESTART);
	g_run = 1;
	pthread_create(&t, NULL, poke_often, NULL);
	while (g_run) {
		x = 1.0;
		for (int i = 0; i < 1000; i++)
			x = x * 1.0000001 + 1e-9;
		if (rounds++ == 0)
			y = x;
		if (x != y) {
			g_run = 0;
			CHECK(x == y);
		}
	}
	pthread_join(t, NULL);
	CHECK(rounds > 0);
	CHECK(g_count >= 50);
}

/* ---- alternate stacks ---- */

static char g_alt[65536] __attribute__((aligned(16)));
static volatile uintptr_t g_sp;
static volatile int g_alt_flags;

static void where(int sig, siginfo_t *info, void *ctx)
{
	ucontext_t *uc = ctx;
	char here;
	stack_t now, bad = {.ss_sp = g_alt, .ss_size = sizeof(g_alt)};

	(void)sig;
	(void)info;
	g_count++;
	g_sp = (uintptr_t)&here;
	CHECK_EQ(sigaltstack(NULL, &now), 0);
	g_alt_flags = now.ss_flags;
	if (now.ss_flags & SS_ONSTACK) {
		CHECK_ERR(sigaltstack(&bad, NULL), EPERM);
		CHECK(uc->uc_stack.ss_sp == g_alt);
	}
}

static int on_alt(void)
{
	return g_sp >= (uintptr_t)g_alt && g_sp < (uintptr_t)g_alt + sizeof(g_alt);
}

static void sa_onstack_uses_the_alternate_stack(void)
{
	stack_t alt = {.ss_sp = g_alt, .ss_size = sizeof(g_alt)}, old;

	CHECK_EQ(sigaltstack(&alt, &old), 0);
	CHECK_EQ(old.ss_flags, SS_DISABLE);
	install(SIGUSR1, where, SA_ONSTACK);
	raise(SIGUSR1);
	CHECK_EQ(g_count, 1);
	CHECK(on_alt());
	CHECK_EQ(g_alt_flags, SS_ONSTACK);
	install(SIGUSR1, where, 0);
	raise(SIGUSR1);
	CHECK(!on_alt());
	CHECK_EQ(g_alt_flags, 0);
	alt.ss_flags = SS_DISABLE;
	CHECK_EQ(sigaltstack(&alt, &old), 0);
	CHECK(old.ss_sp == g_alt);
	CHECK_EQ(old.ss_size, sizeof(g_alt));
	install(SIGUSR1, where, SA_ONSTACK);
	raise(SIGUSR1);
	CHECK(!on_alt());
}

static void sigaltstack_checks_its_arguments(void)
{
	stack_t small = {.ss_sp = g_alt, .ss_size = 1024};
	stack_t odd = {.ss_sp = g_alt, .ss_size = sizeof(g_alt), .ss_flags = 0x40};

	CHECK_ERR(syscall(SYS_sigaltstack, &small, NULL), ENOMEM);
	CHECK_ERR(syscall(SYS_sigaltstack, &odd, NULL), EINVAL);
	CHECK_ERR(syscall(SYS_sigaltstack, BAD_PTR, NULL), EFAULT);
	CHECK_ERR(syscall(SYS_sigaltstack, NULL, BAD_PTR), EFAULT);
}

static void recurse(int n)
{
	volatile char page[4096];

	page[0] = (char)n;
	page[4095] = page[0];
	if (n < 1000000)
		recurse(n + 1);
	page[1] = page[0];
}

static void *overflow(void *arg)
{
	stack_t alt = {.ss_sp = g_alt, .ss_size = sizeof(g_alt)};

	(void)arg;
	CHECK_EQ(sigaltstack(&alt, NULL), 0);
	if (sigsetjmp(g_jump, 1) == 0) {
		recurse(0);
		CHECK(0);
	}
	return NULL;
}

static void a_stack_overflow_is_handled_on_the_alternate_stack(void)
{
	pthread_t t;

	install(SIGSEGV, note_and_jump, SA_ONSTACK);
	CHECK_EQ(pthread_create(&t, NULL, overflow, NULL), 0);
	pthread_join(t, NULL);
	CHECK_EQ(g_sig, SIGSEGV);
	CHECK_EQ(g_count, 1);
}

static volatile int g_aligned;

static void alignment(int sig, siginfo_t *info, void *ctx)
{
	uintptr_t frame = (uintptr_t)__builtin_frame_address(0);

	(void)sig;
	(void)info;
	g_aligned = (frame & 15) == 0 && ((uintptr_t)ctx & 7) == 0;
}

static void a_handler_starts_on_an_aligned_stack(void)
{
	install(SIGUSR1, alignment, 0);
	raise(SIGUSR1);
	CHECK(g_aligned);
	install(SIGTRAP, alignment, 0);
	g_aligned = 0;
	__asm__ volatile("push %%rax\n\tint3\n\tpop %%rax" : : : "memory");
	CHECK(g_aligned);
}

static void edit_mask(int sig, siginfo_t *info, void *ctx)
{
	ucontext_t *uc = ctx;

	(void)sig;
	(void)info;
	CHECK(!sigismember(&uc->uc_sigmask, SIGUSR2));
	sigaddset(&uc->uc_sigmask, SIGUSR2);
}

static void a_handler_may_edit_the_mask_it_returns_to(void)
{
	sigset_t s;

	install(SIGUSR1, edit_mask, 0);
	raise(SIGUSR1);
	pthread_sigmask(SIG_BLOCK, NULL, &s);
	CHECK(sigismember(&s, SIGUSR2));
	CHECK(!sigismember(&s, SIGUSR1));
	sigemptyset(&s);
	pthread_sigmask(SIG_SETMASK, &s, NULL);
}

static void bad_pointers_of_calls_are_efault_and_no_signal(void)
{
	install(SIGSEGV, note_and_jump, 0);
	if (sigsetjmp(g_jump, 1) == 0) {
		CHECK_ERR(syscall(SYS_clock_gettime, 0, (void *)0x1234), EFAULT);
		CHECK_ERR(syscall(SYS_uname, (void *)-4096l), EFAULT);
	}
	CHECK_EQ(g_count, 0);
}

int main(void)
{
	g_main = pthread_self();
	watchdog(40);
	CASE(a_bad_write_tells_its_address);
	CASE(a_write_to_a_read_only_page_is_an_access_error);
	CASE(a_division_by_zero_and_a_bad_instruction_are_told);
	CASE(a_handler_may_repair_and_return);
	CASE(a_handler_may_edit_the_registers);
	CASE(a_breakpoint_returns_behind_itself);
	CASE(vector_and_float_registers_survive_a_handler);
	CASE(the_red_zone_survives_a_handler);
	CASE(arithmetic_goes_on_under_interrupts);
	CASE(sa_onstack_uses_the_alternate_stack);
	CASE(sigaltstack_checks_its_arguments);
	CASE(a_stack_overflow_is_handled_on_the_alternate_stack);
	CASE(a_handler_starts_on_an_aligned_stack);
	CASE(a_handler_may_edit_the_mask_it_returns_to);
	CASE(bad_pointers_of_calls_are_efault_and_no_signal);
	return g_failed;
}
