/* SPDX-License-Identifier: MIT */
/*
 * System call instructions in the program itself, as in runtimes that bring their
 * own: the same calls, restarts and handlers, with another restorer than libc's.
 */
#include "tests/sys/check.h"

static long raw(long n, long a, long b, long c, long d)
{
	register long r10 __asm__("r10") = d;
	long r;

	__asm__ volatile("syscall"
	                 : "=a"(r)
	                 : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10)
	                 : "rcx", "r11", "memory");
	return r;
}

void my_restorer(void);
__asm__(".text\nmy_restorer:\n\tmovl $15, %eax\n\tsyscall\n\tud2");

struct kernel_action {
	void (*handler)(int);
	unsigned long flags;
	void (*restorer)(void);
	unsigned long mask;
};

static volatile sig_atomic_t g_count;
static int g_pipe[2];

static void count(int sig)
{
	(void)sig;
	g_count++;
}

static void feed(int sig)
{
	(void)sig;
	g_count++;
	raw(SYS_write, g_pipe[1], (long)"z", 1, 0);
}

static void handle(int sig, void (*fn)(int), unsigned long flags)
{
	struct kernel_action act = {fn, flags | 0x04000000, my_restorer, 0};

	CHECK_EQ(raw(SYS_rt_sigaction, sig, (long)&act, 0, 8), 0);
	g_count = 0;
}

static void results_and_errors_come_in_rax(void)
{
	CHECK_EQ(raw(SYS_getpid, 0, 0, 0, 0), getpid());
	CHECK_EQ(raw(SYS_close, 9999, 0, 0, 0), -EBADF);
	CHECK_EQ(raw(100000, 0, 0, 0, 0), -ENOSYS);
}

static void other_registers_stay(void)
{
	unsigned long rbx, r12, rdi, rsp_before, rsp_after;

	__asm__ volatile(
	        "movq %%rsp, %3\n\tmovq $11, %%rbx\n\tmovq $12, %%r12\n\t"
	        "movq $13, %%rdi\n\tmovl $39, %%eax\n\tsyscall\n\t"
	        "movq %%rbx, %0\n\tmovq %%r12, %1\n\tmovq %%rdi, %2\n\tmovq %%rsp, %4"
	        : "=m"(rbx), "=m"(r12), "=m"(rdi), "=m"(rsp_before), "=m"(rsp_after)
	        :
	        : "rax", "rbx", "rcx", "r11", "r12", "rdi", "memory");
	CHECK_EQ(rbx, 11);
	CHECK_EQ(r12, 12);
	CHECK_EQ(rdi, 13);
	CHECK_EQ(rsp_before, rsp_after);
}

static void vector_registers_stay(void)
{
	uint64_t in[2] = {0x0123456789abcdef, 0xfedcba9876543210}, out[2] = {0, 0};

	__asm__ volatile(
	        "movdqu %1, %%xmm7\n\tmovl $39, %%eax\n\tsyscall\n\tmovdqu %%xmm7, %0"
	        : "=m"(out)
	        : "m"(in)
	        : "rax", "rcx", "r11", "xmm7", "memory");
	CHECK_EQ(out[0], in[0]);
	CHECK_EQ(out[1], in[1]);
}

static void a_handler_returns_through_its_own_restorer(void)
{
	handle(SIGUSR1, count, 0);
	CHECK_EQ(raw(SYS_tkill, syscall(SYS_gettid), SIGUSR1, 0, 0), 0);
	CHECK_EQ(g_count, 1);
	CHECK_EQ(raise(SIGUSR1), 0);
	CHECK_EQ(g_count, 2);
}

static pthread_t g_main;

static void *poke(void *arg)
{
	sleep_ms(60);
	pthread_kill(g_main, SIGUSR1);
	return arg;
}

static void a_blocked_call_ends_or_restarts(void)
{
	pthread_t t;
	char c = 0;

	CHECK_EQ(pipe(g_pipe), 0);
	handle(SIGUSR1, count, 0);
	pthread_create(&t, NULL, poke, NULL);
	CHECK_EQ(raw(SYS_read, g_pipe[0], (long)&c, 1, 0), -EINTR);
	CHECK_EQ(g_count, 1);
	pthread_join(t, NULL);
	handle(SIGUSR1, feed, 0x10000000);
	pthread_create(&t, NULL, poke, NULL);
	CHECK_EQ(raw(SYS_read, g_pipe[0], (long)&c, 1, 0), 1);
	CHECK_EQ(c, 'z');
	CHECK_EQ(g_count, 1);
	pthread_join(t, NULL);
	close(g_pipe[0]);
	close(g_pipe[1]);
}

static void the_mask_is_changed_and_restored(void)
{
	unsigned long set = 1ul << (SIGUSR1 - 1), old = 0;

	handle(SIGUSR1, count, 0);
	CHECK_EQ(raw(SYS_rt_sigprocmask, SIG_BLOCK, (long)&set, 0, 8), 0);
	raise(SIGUSR1);
	CHECK_EQ(g_count, 0);
	CHECK_EQ(raw(SYS_rt_sigprocmask, SIG_UNBLOCK, (long)&set, (long)&old, 8), 0);
	CHECK(old & set);
	CHECK_EQ(g_count, 1);
}

int main(void)
{
	g_main = pthread_self();
	watchdog(30);
	CASE(results_and_errors_come_in_rax);
	CASE(other_registers_stay);
	CASE(vector_registers_stay);
	CASE(a_handler_returns_through_its_own_restorer);
	CASE(a_blocked_call_ends_or_restarts);
	CASE(the_mask_is_changed_and_restored);
	return g_failed;
}
