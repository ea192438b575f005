/* SPDX-License-Identifier: MIT */
/* Faults of program code: which signal, which code, and what the context says. */
#include "tests/sys/check.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <ucontext.h>

#define PAGE 4096ul

static sigjmp_buf g_out;
static volatile int g_sig, g_code, g_trapno;
static volatile uintptr_t g_addr, g_rip, g_cr2, g_err;

static void note(int sig, siginfo_t *si, void *p)
{
	const ucontext_t *uc = p;

	g_sig = sig;
	g_code = si->si_code;
	g_addr = (uintptr_t)si->si_addr;
	g_trapno = (int)uc->uc_mcontext.gregs[REG_TRAPNO];
	g_err = (uintptr_t)uc->uc_mcontext.gregs[REG_ERR];
	g_rip = (uintptr_t)uc->uc_mcontext.gregs[REG_RIP];
	g_cr2 = (uintptr_t)uc->uc_mcontext.gregs[REG_CR2];
	siglongjmp(g_out, 1);
}

static void catch_all(void)
{
	static const int sigs[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};
	struct sigaction sa = {.sa_sigaction = note, .sa_flags = SA_SIGINFO};

	for (unsigned i = 0; i < sizeof(sigs) / sizeof(sigs[0]); i++)
		sigaction(sigs[i], &sa, NULL);
}

/* Run @code; what it faults with is in g_*. */
#define FAULTS(code)                                                                   \
	do {                                                                           \
		g_sig = g_code = g_trapno = -1;                                        \
		if (!sigsetjmp(g_out, 1)) {                                            \
			code;                                                          \
			CHECK(!"it does not fault");                                   \
		}                                                                      \
	} while (0)

static char *pages(size_t n, int prot)
{
	char *p = mmap(NULL, n * PAGE, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(p != MAP_FAILED);
	return p;
}

static void nothing_there_is_maperr(void)
{
	char *p = pages(3, PROT_READ | PROT_WRITE);

	munmap(p + PAGE, PAGE);
	FAULTS(*(volatile char *)(p + PAGE + 5) = 1);
	CHECK_EQ(g_sig, SIGSEGV);
	CHECK_EQ(g_code, SEGV_MAPERR);
	CHECK_EQ(g_trapno, 14);
	CHECK_EQ(g_err, 6); /* a write, by the program */
	CHECK_EQ(g_addr, (uintptr_t)p + PAGE + 5);
	CHECK_EQ(g_cr2, (uintptr_t)p + PAGE + 5);
	FAULTS((void)*(volatile char *)(p + PAGE + 5));
	CHECK_EQ(g_err, 4);
	munmap(p, 3 * PAGE);
	FAULTS(*(volatile char *)8 = 1);
	CHECK_EQ(g_code, SEGV_MAPERR);
	CHECK_EQ(g_addr, 8);
}

static void a_kernel_address_is_maperr(void)
{
	FAULTS(*(volatile char *)0xffffffffff000000 = 1);
	CHECK_EQ(g_sig, SIGSEGV);
	CHECK_EQ(g_code, SEGV_MAPERR);
	CHECK_EQ(g_addr, 0xffffffffff000000);
}

static void protection_is_accerr(void)
{
	char *p = pages(2, PROT_READ);

	FAULTS(p[PAGE] = 1);
	CHECK_EQ(g_sig, SIGSEGV);
	CHECK_EQ(g_code, SEGV_ACCERR);
	CHECK_EQ(g_addr, (uintptr_t)p + PAGE);
	(void)*(volatile char *)p;
	FAULTS(p[0] = 1); /* and where a page is there */
	CHECK_EQ(g_code, SEGV_ACCERR);
	CHECK_EQ(g_err, 7);
	mprotect(p, PAGE, PROT_NONE);
	FAULTS((void)*(volatile char *)p);
	CHECK_EQ(g_code, SEGV_ACCERR);
	munmap(p, 2 * PAGE);
}

static void data_is_not_executed(void)
{
	unsigned char *p = (unsigned char *)pages(1, PROT_READ | PROT_WRITE);

	p[0] = 0xc3; /* ret */
	FAULTS(((void (*)(void))p)());
	CHECK_EQ(g_sig, SIGSEGV);
	CHECK_EQ(g_code, SEGV_ACCERR);
	CHECK_EQ(g_addr, (uintptr_t)p);
	CHECK_EQ(g_rip, (uintptr_t)p);
	mprotect(p, PAGE, PROT_READ | PROT_EXEC);
	((void (*)(void))p)();
	munmap(p, PAGE);
}

static int g_data = 1;

static void the_image_has_its_permissions(void)
{
	static const int constant = 1;

	FAULTS(*(volatile char *)(uintptr_t)catch_all = 1);
	CHECK_EQ(g_code, SEGV_ACCERR);
	FAULTS(*(volatile int *)(uintptr_t)&constant = 2);
	CHECK_EQ(g_code, SEGV_ACCERR);
	FAULTS(((void (*)(void))(uintptr_t)&g_data)());
	CHECK_EQ(g_code, SEGV_ACCERR);
}

static void a_wild_address_has_none(void)
{
	FAULTS(*(volatile char *)0x8000000000000000 = 1);
	CHECK_EQ(g_sig, SIGSEGV);
	CHECK_EQ(g_code, SI_KERNEL);
	CHECK_EQ(g_addr, 0);
	CHECK_EQ(g_trapno, 13);
}

static void a_wild_jump_does_not_come_back(void)
{
	void (*volatile to)(void) = (void (*)(void))0x10;

	FAULTS(to());
	CHECK_EQ(g_sig, SIGSEGV);
	CHECK_EQ(g_code, SEGV_MAPERR);
	CHECK_EQ(g_addr, 0x10);
	CHECK_EQ(g_rip, 0x10);
}

static void undefined_instructions_are_sigill(void)
{
	FAULTS(__asm__ volatile("ud2"));
	CHECK_EQ(g_sig, SIGILL);
	CHECK_EQ(g_code, ILL_ILLOPN);
	CHECK_EQ(g_addr, g_rip);
	CHECK_EQ(g_trapno, 6);
}

static void breakpoints_and_steps_are_sigtrap(void)
{
	FAULTS(__asm__ volatile("int3"));
	CHECK_EQ(g_sig, SIGTRAP);
	CHECK_EQ(g_code, SI_KERNEL);
	CHECK_EQ(g_trapno, 3);
	FAULTS(__asm__ volatile("pushfq; orl $0x100, (%%rsp); popfq; nop; nop"
	                        :
	                        :
	                        : "cc", "memory"));
	CHECK_EQ(g_sig, SIGTRAP);
	CHECK_EQ(g_code, TRAP_TRACE);
	CHECK_EQ(g_trapno, 1);
	CHECK_EQ(g_addr, g_rip);
}

static void integers_do_not_divide_by_zero(void)
{
	FAULTS(__asm__ volatile("xorl %%ecx, %%ecx; movl $1, %%eax; cltd; idivl %%ecx"
	                        :
	                        :
	                        : "eax", "ecx", "edx", "cc"));
	CHECK_EQ(g_sig, SIGFPE);
	CHECK_EQ(g_code, FPE_INTDIV);
	CHECK_EQ(g_addr, g_rip);
	CHECK_EQ(g_trapno, 0);
}

/* musl has no feenableexcept(). */
static void set_mxcsr(uint32_t v)
{
	__asm__ volatile("ldmxcsr %0" : : "m"(v));
}

static void divide(double by)
{
	volatile double x = 1.0;

	x = x / by;
}

/* An emulated CPU (QEMU's) notes the exception and goes on, unmasked as it is. */
static bool goes_on(void)
{
	uint32_t now;

	__asm__ volatile("stmxcsr %0" : "=m"(now));
	return (now & ~(now >> 7) & 0x3f) != 0;
}

static void sse_faults_when_asked_to(void)
{
	set_mxcsr(0x1f80 & ~0x200u);
	g_sig = 0;
	if (!sigsetjmp(g_out, 1))
		divide(0.0);
	if (g_sig == 0 && goes_on()) {
		check_note("this CPU has no SSE exceptions\n");
		set_mxcsr(0x1f80);
		return;
	}
	set_mxcsr(0x1f80);
	CHECK_EQ(g_sig, SIGFPE);
	CHECK_EQ(g_code, FPE_FLTDIV);
	CHECK_EQ(g_trapno, 19);
	set_mxcsr(0x1f80 & ~0x400u);
	FAULTS({
		volatile double big = 1e308;
		big = big * 1e308;
	});
	set_mxcsr(0x1f80);
	CHECK_EQ(g_code, FPE_FLTOVF);
}

static void x87_faults_when_asked_to(void)
{
	const uint16_t unmasked = 0x37f & ~4u, masked = 0x37f;

	FAULTS(__asm__ volatile("fninit; fldcw %0; fld1; fldz; fdivrp; fwait"
	                        :
	                        : "m"(unmasked)));
	__asm__ volatile("fnclex; fldcw %0; fninit" : : "m"(masked));
	CHECK_EQ(g_sig, SIGFPE);
	CHECK_EQ(g_code, FPE_FLTDIV);
	CHECK_EQ(g_trapno, 16);
	divide(0.0); /* as before: no signal */
}

static void beyond_a_files_end_is_sigbus(void)
{
	const int fd = memfd_create("short", 0);
	char *p;

	CHECK_EQ(ftruncate(fd, 3), 0);
	p = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	p[2] = 'x';
	p[100] = 'y';
	FAULTS(p[PAGE] = 1);
	CHECK_EQ(g_sig, SIGBUS);
	CHECK_EQ(g_code, BUS_ADRERR);
	CHECK_EQ(g_addr, (uintptr_t)p + PAGE);
	CHECK_EQ(ftruncate(fd, 2 * PAGE), 0);
	p[PAGE] = 1;
	CHECK_EQ(ftruncate(fd, 3), 0);
	FAULTS((void)*(volatile char *)(p + PAGE));
	CHECK_EQ(g_sig, SIGBUS);
	CHECK_EQ(p[2], 'x');
	munmap(p, 2 * PAGE);
	close(fd);
}

static volatile int g_depth;

static int dive(int n)
{
	volatile char room[2000];

	g_depth = n;
	room[0] = (char)n;
	return n < 1 << 30 ? dive(n + 1) + room[0] : 0;
}

static void an_overflowed_stack_is_seen_on_another(void)
{
	static char other[65536];
	stack_t ss = {.ss_sp = other, .ss_size = sizeof(other)};
	struct sigaction sa = {.sa_sigaction = note,
	                       .sa_flags = SA_SIGINFO | SA_ONSTACK};

	sigaltstack(&ss, NULL);
	sigaction(SIGSEGV, &sa, NULL);
	FAULTS((void)dive(0));
	CHECK_EQ(g_sig, SIGSEGV);
	CHECK(g_depth > 50);
	ss.ss_flags = SS_DISABLE;
	sigaltstack(&ss, NULL);
	catch_all();
}

static void *in_thread(void *arg)
{
	sigjmp_buf *out = arg;

	(void)out;
	__asm__ volatile("ud2");
	return NULL;
}

static pthread_t g_faulted;

static void skip_ud2(int sig, siginfo_t *si, void *p)
{
	ucontext_t *uc = p;

	(void)sig;
	(void)si;
	g_faulted = pthread_self();
	uc->uc_mcontext.gregs[REG_RIP] += 2;
}

static void the_thread_that_faults_gets_the_signal(void)
{
	struct sigaction sa = {.sa_sigaction = skip_ud2, .sa_flags = SA_SIGINFO};
	pthread_t t;

	sigaction(SIGILL, &sa, NULL);
	for (int i = 0; i < 20; i++) {
		CHECK_EQ(pthread_create(&t, NULL, in_thread, NULL), 0);
		pthread_join(t, NULL);
		CHECK(pthread_equal(t, g_faulted));
	}
	catch_all();
}

/* Registers and the red zone are as they were, fault after fault. */
static void a_handler_that_mends_is_not_noticed(void)
{
	struct sigaction sa = {.sa_sigaction = skip_ud2, .sa_flags = SA_SIGINFO};
	uint64_t sum, zone;

	sigaction(SIGILL, &sa, NULL);
	for (uint64_t i = 1; i < 500; i++) {
		__asm__ volatile(
		        "movq %2, -64(%%rsp)\n\t"
		        "movq %2, %%r8\n\tmovq %2, %%r15\n\tmovq %2, %%xmm7\n\tstd\n\t"
		        "ud2\n\t"
		        "cld\n\tmovq %%xmm7, %0\n\taddq %%r8, %0\n\taddq %%r15, %0\n\t"
		        "movq -64(%%rsp), %1"
		        : "=&r"(sum), "=&r"(zone)
		        : "r"(i)
		        : "r8", "r15", "xmm7", "memory", "cc");
		CHECK_EQ(sum, 3 * i);
		CHECK_EQ(zone, i);
	}
	catch_all();
}

static void bad_pointers_in_calls_are_efault(void)
{
	char *p = pages(2, PROT_READ | PROT_WRITE);
	void *volatile bad = BAD_PTR;
	int fd[2];

	munmap(p + PAGE, PAGE);
	CHECK_EQ(pipe(fd), 0);
	CHECK_ERR(write(fd[1], p + PAGE, 1), EFAULT);
	CHECK_ERR(write(fd[1], bad, 1), EFAULT);
	CHECK_ERR(write(fd[1], (void *)0xffffffffff000000, 1), EFAULT);
	CHECK_ERR(write(fd[1], (void *)0x8000000000000000, 1), EFAULT);
	CHECK_EQ(write(fd[1], "abc", 3), 3);
	CHECK_ERR(read(fd[0], p + PAGE, 3), EFAULT);
	mprotect(p, PAGE, PROT_READ);
	CHECK_ERR(read(fd[0], p, 3), EFAULT);
	mprotect(p, PAGE, PROT_READ | PROT_WRITE);
	CHECK_EQ(read(fd[0], p, 3), 3);
	close(fd[0]);
	close(fd[1]);
	munmap(p, PAGE);
}

int main(void)
{
	watchdog(40);
	catch_all();
	CASE(nothing_there_is_maperr);
	CASE(a_kernel_address_is_maperr);
	CASE(protection_is_accerr);
	CASE(data_is_not_executed);
	CASE(the_image_has_its_permissions);
	CASE(a_wild_address_has_none);
	CASE(a_wild_jump_does_not_come_back);
	CASE(undefined_instructions_are_sigill);
	CASE(breakpoints_and_steps_are_sigtrap);
	CASE(integers_do_not_divide_by_zero);
	CASE(sse_faults_when_asked_to);
	CASE(x87_faults_when_asked_to);
	CASE(beyond_a_files_end_is_sigbus);
	CASE(an_overflowed_stack_is_seen_on_another);
	CASE(the_thread_that_faults_gets_the_signal);
	CASE(a_handler_that_mends_is_not_noticed);
	CASE(bad_pointers_in_calls_are_efault);
	return g_failed;
}
