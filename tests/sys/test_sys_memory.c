/* SPDX-License-Identifier: MIT */
/* mmap, munmap, mprotect, mremap, madvise, mincore, brk, mlock, msync: anonymous memory. */
#include "tests/sys/check.h"

#include <setjmp.h>
#include <sys/mman.h>

#define PAGE 4096ul
#define RW (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)

static sigjmp_buf g_jump;

static void on_fault(int sig)
{
	siglongjmp(g_jump, sig);
}

/* The signal that touching @p gives, or 0. */
static int touch(volatile char *p, int write)
{
	struct sigaction sa = {.sa_handler = on_fault, .sa_flags = SA_NODEFER}, segv, bus;
	int sig;

	sigaction(SIGSEGV, &sa, &segv);
	sigaction(SIGBUS, &sa, &bus);
	sig = sigsetjmp(g_jump, 1);
	if (sig == 0) {
		if (write)
			*p = 1;
		else
			(void)*p;
	}
	sigaction(SIGSEGV, &segv, NULL);
	sigaction(SIGBUS, &bus, NULL);
	return sig;
}

static char *get(size_t pages)
{
	char *p = mmap(NULL, pages * PAGE, RW, ANON, -1, 0);

	CHECK(p != MAP_FAILED);
	return p;
}

static void fresh_memory_is_zero_and_writable(void)
{
	char *p = get(3);
	int sum = 0;

	for (size_t i = 0; i < 3 * PAGE; i++)
		sum |= p[i];
	CHECK_EQ(sum, 0);
	memset(p, 7, 3 * PAGE);
	CHECK_EQ(munmap(p, 3 * PAGE), 0);
	CHECK_EQ(touch(p, 0), SIGSEGV);
}

static void bad_arguments_of_mmap(void)
{
	CHECK_ERR(mmap(NULL, 0, RW, ANON, -1, 0), EINVAL);
	CHECK_ERR(mmap(NULL, PAGE, RW, MAP_ANONYMOUS, -1, 0), EINVAL);
	CHECK_ERR(syscall(SYS_mmap, NULL, PAGE, RW, ANON, -1, 1), EINVAL);
	CHECK_ERR(mmap((void *)(PAGE * 100 + 1), PAGE, RW, ANON | MAP_FIXED, -1, 0), EINVAL);
	CHECK_ERR(mmap(NULL, 1ul << 60, RW, ANON, -1, 0), ENOMEM);
	CHECK_ERR(mmap(NULL, PAGE, RW, MAP_PRIVATE, 9999, 0), EBADF);
	CHECK_ERR(munmap((void *)1, PAGE), EINVAL);
	CHECK_ERR(munmap((void *)PAGE, 0), EINVAL);
}

static void fixed_replaces_and_noreplace_refuses(void)
{
	char *p = get(4);

	p[PAGE] = 5;
	CHECK(mmap(p + PAGE, PAGE, RW, ANON | MAP_FIXED, -1, 0) == p + PAGE);
	CHECK_EQ(p[PAGE], 0);
	CHECK_ERR(mmap(p + PAGE, PAGE, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0), EEXIST);
	CHECK_EQ(munmap(p + PAGE, PAGE), 0);
	CHECK(mmap(p + PAGE, PAGE, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0) == p + PAGE);
	munmap(p, 4 * PAGE);
}

static void holes_can_be_unmapped_and_show(void)
{
	char *p = get(5);
	unsigned char vec[5];

	CHECK_EQ(munmap(p + 2 * PAGE, PAGE), 0);
	CHECK_ERR(mprotect(p, 5 * PAGE, PROT_READ), ENOMEM);
	CHECK_ERR(mincore(p, 5 * PAGE, vec), ENOMEM);
	CHECK_ERR(msync(p, 5 * PAGE, MS_SYNC), ENOMEM);
	CHECK_ERR(mlock(p, 5 * PAGE), ENOMEM);
	CHECK_ERR(madvise(p, 5 * PAGE, MADV_WILLNEED), ENOMEM);
	CHECK_EQ(munmap(p, 5 * PAGE), 0);
	CHECK_EQ(munmap(p, 5 * PAGE), 0);
}

static void protection_holds(void)
{
	char *p = get(3);

	p[PAGE] = 3;
	CHECK_EQ(mprotect(p + PAGE, PAGE, PROT_READ), 0);
	CHECK_EQ(touch(p + PAGE, 0), 0);
	CHECK_EQ(touch(p + PAGE, 1), SIGSEGV);
	CHECK_EQ(mprotect(p + PAGE, PAGE, PROT_NONE), 0);
	CHECK_EQ(touch(p + PAGE, 0), SIGSEGV);
	CHECK_EQ(touch(p, 1), 0);
	CHECK_EQ(touch(p + 2 * PAGE, 1), 0);
	CHECK_EQ(mprotect(p + PAGE, PAGE, RW), 0);
	CHECK_EQ(p[PAGE], 3);
	CHECK_ERR(syscall(SYS_mprotect, p + 1, PAGE, RW), EINVAL);
	CHECK_ERR(mprotect(p, PAGE, 0x100), EINVAL);
	CHECK_EQ(mprotect(p, 0, RW), 0);
	munmap(p, 3 * PAGE);
}

/* Without a key it is mprotect(); none can be had. */
static void protection_with_a_key(void)
{
	char *p = get(1);

	CHECK_EQ(syscall(SYS_pkey_mprotect, p, PAGE, PROT_READ, -1), 0);
	CHECK_EQ(touch(p, 1), SIGSEGV);
	CHECK_EQ(syscall(SYS_pkey_mprotect, p, PAGE, RW, -1), 0);
	CHECK_EQ(touch(p, 1), 0);
	CHECK_ERR(syscall(SYS_pkey_mprotect, p, PAGE, RW, 15), EINVAL);
	CHECK_ERR(syscall(SYS_pkey_mprotect, p, PAGE, RW, 99), EINVAL);
	CHECK_ERR(syscall(SYS_pkey_mprotect, p + 1, PAGE, RW, -1), EINVAL);
	munmap(p, PAGE);
}

static void code_can_be_made_at_run_time(void)
{
	static const unsigned char code[] = {0xb8, 42, 0, 0, 0, 0xc3}; /* mov eax, 42; ret */
	char *p = get(1);
	int (*fn)(void);

	memcpy(p, code, sizeof(code));
	CHECK_EQ(mprotect(p, PAGE, PROT_READ | PROT_EXEC), 0);
	memcpy(&fn, &p, sizeof(fn));
	CHECK_EQ(fn(), 42);
	munmap(p, PAGE);
}

static void large_reservations_are_free(void)
{
	char *p = mmap(NULL, 1ul << 40, PROT_NONE, ANON | MAP_NORESERVE, -1, 0);

	CHECK(p != MAP_FAILED);
	CHECK_EQ(mprotect(p + (1ul << 39), 16 * PAGE, RW), 0);
	p[1ul << 39] = 1;
	CHECK_EQ(munmap(p, 1ul << 40), 0);
}

static void mremap_grows_moves_and_shrinks(void)
{
	char *p = get(2), *q;

	strcpy(p, "kept");
	q = mremap(p, 2 * PAGE, 64 * PAGE, MREMAP_MAYMOVE);
	CHECK(q != MAP_FAILED);
	CHECK_EQ(strcmp(q, "kept"), 0);
	q[63 * PAGE] = 1;
	p = mremap(q, 64 * PAGE, PAGE, 0);
	CHECK(p == q);
	CHECK_EQ(touch(q + PAGE, 0), SIGSEGV);
	q = get(1);
	CHECK(mremap(p, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, q) == q);
	CHECK_EQ(strcmp(q, "kept"), 0);
	CHECK_EQ(touch(p, 0), SIGSEGV);
	munmap(q, PAGE);
}

static void mremap_tells_why_not(void)
{
	char *p = get(4);

	CHECK_ERR(mremap(p, PAGE, 2 * PAGE, 0), ENOMEM);
	CHECK_EQ(munmap(p + PAGE, PAGE), 0);
	CHECK_ERR(mremap(p + PAGE, PAGE, 2 * PAGE, 0), EFAULT);
	CHECK_ERR(mremap(p + 1, PAGE, PAGE, 0), EINVAL);
	CHECK_ERR(mremap(p, PAGE, 0, 0), EINVAL);
	CHECK_ERR(mremap(p, PAGE, PAGE, MREMAP_FIXED, p + PAGE), EINVAL);
	CHECK_ERR(mremap(p, PAGE, PAGE, 64), EINVAL);
	munmap(p, 4 * PAGE);
}

static void dontneed_gives_zeros(void)
{
	char *p = get(2);

	memset(p, 9, 2 * PAGE);
	CHECK_EQ(madvise(p, PAGE, MADV_DONTNEED), 0);
	CHECK_EQ(p[0], 0);
	CHECK_EQ(p[PAGE], 9);
	CHECK_EQ(madvise(p, 2 * PAGE, MADV_SEQUENTIAL), 0);
	CHECK_ERR(madvise(p + 1, PAGE, MADV_DONTNEED), EINVAL);
	CHECK_ERR(madvise(p, PAGE, 12345), EINVAL);
	munmap(p, 2 * PAGE);
}

static void mincore_sees_touched_pages(void)
{
	char *p = get(3);
	unsigned char vec[3] = {9, 9, 9};

	p[PAGE] = 1;
	CHECK_EQ(mincore(p, 3 * PAGE, vec), 0);
	CHECK_EQ(vec[1] & 1, 1);
	CHECK_EQ(vec[0] & 1, 0);
	CHECK_ERR(mincore(p + 1, PAGE, vec), EINVAL);
	CHECK_ERR(mincore(p, PAGE, BAD_PTR), EFAULT);
	munmap(p, 3 * PAGE);
}

static void locks_of_memory_succeed(void)
{
	char *p = get(2);

	CHECK_EQ(mlock(p, 2 * PAGE), 0);
	CHECK_EQ(munlock(p, 2 * PAGE), 0);
	CHECK_EQ(syscall(SYS_mlock2, p, PAGE, 1), 0);
	CHECK_ERR(syscall(SYS_mlock2, p, PAGE, 2), EINVAL);
	CHECK_ERR(mlockall(0), EINVAL);
	CHECK_ERR(mlockall(64), EINVAL);
	CHECK_EQ(munlockall(), 0);
	munmap(p, 2 * PAGE);
}

static void msync_checks_its_flags(void)
{
	char *p = get(1);

	CHECK_EQ(msync(p, PAGE, MS_SYNC), 0);
	CHECK_ERR(msync(p, PAGE, MS_SYNC | MS_ASYNC), EINVAL);
	CHECK_ERR(msync(p, PAGE, 64), EINVAL);
	CHECK_ERR(msync(p + 1, PAGE, MS_SYNC), EINVAL);
	munmap(p, PAGE);
}

static void protection_changes_up_to_a_hole(void)
{
	char *p = get(4);

	CHECK_EQ(munmap(p + 2 * PAGE, PAGE), 0);
	CHECK_ERR(mprotect(p, 4 * PAGE, PROT_READ), ENOMEM);
	CHECK_EQ(touch(p + PAGE, 1), SIGSEGV);
	CHECK_EQ(touch(p + 3 * PAGE, 1), 0);
	CHECK_ERR(mprotect(p, 4 * PAGE, RW), ENOMEM);
	CHECK_EQ(touch(p + PAGE, 1), 0);
	CHECK_ERR(mprotect(p + 2 * PAGE, PAGE, RW), ENOMEM);
	munmap(p, 4 * PAGE);
}

static void locked_memory_is_not_dropped(void)
{
	char *p = get(2);

	p[0] = 1;
	CHECK_EQ(mlock(p, PAGE), 0);
	CHECK_ERR(madvise(p, PAGE, MADV_DONTNEED), EINVAL);
	CHECK_ERR(msync(p, PAGE, MS_SYNC | MS_INVALIDATE), EBUSY);
	CHECK_EQ(p[0], 1);
	CHECK_EQ(munlock(p, PAGE), 0);
	CHECK_EQ(madvise(p, PAGE, MADV_DONTNEED), 0);
	CHECK_EQ(p[0], 0);
	CHECK_EQ(mlockall(MCL_CURRENT), 0);
	CHECK_ERR(madvise(p, PAGE, MADV_DONTNEED), EINVAL);
	CHECK_EQ(munlockall(), 0);
	CHECK_EQ(madvise(p, PAGE, MADV_DONTNEED), 0);
	munmap(p, 2 * PAGE);
}

static void shared_memory_can_be_emptied(void)
{
	char *p = mmap(NULL, 2 * PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0), *q = get(1);

	CHECK(p != MAP_FAILED);
	p[0] = p[PAGE] = 1;
	CHECK_EQ(madvise(p, PAGE, MADV_DONTNEED), 0);
	CHECK_EQ(p[0], 1);
	CHECK_EQ(madvise(p, PAGE, MADV_REMOVE), 0);
	CHECK_EQ(p[0], 0);
	CHECK_EQ(p[PAGE], 1);
	CHECK_ERR(madvise(p, PAGE, MADV_FREE), EINVAL);
	CHECK_ERR(madvise(q, PAGE, MADV_REMOVE), EINVAL);
	munmap(p, 2 * PAGE);
	munmap(q, PAGE);
}

static void the_break_moves(void)
{
	unsigned long at = (unsigned long)syscall(SYS_brk, 0), to = at + 40 * PAGE;

	CHECK(at != 0);
	CHECK_EQ(syscall(SYS_brk, to), to);
	memset((void *)at, 1, 40 * PAGE);
	CHECK_EQ(syscall(SYS_brk, at + PAGE), at + PAGE);
	CHECK_EQ(syscall(SYS_brk, to), to);
	CHECK_EQ(*(char *)(at + 20 * PAGE), 0);
	CHECK_EQ(syscall(SYS_brk, PAGE), to);
	CHECK_EQ(syscall(SYS_brk, at), at);
}

static void shared_anonymous_memory_works(void)
{
	char *p = mmap(NULL, 2 * PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	CHECK(p != MAP_FAILED);
	p[0] = 1;
	CHECK_EQ(msync(p, PAGE, MS_ASYNC), 0);
	CHECK_EQ(munmap(p, 2 * PAGE), 0);
}

static void a_barrier_can_be_asked_for(void)
{
	CHECK(syscall(SYS_membarrier, 0, 0) > 0);
	CHECK_EQ(syscall(SYS_membarrier, 16, 0), 0);
	CHECK_EQ(syscall(SYS_membarrier, 8, 0), 0);
	CHECK_ERR(syscall(SYS_membarrier, 1 << 20, 0), EINVAL);
}

static void the_main_threads_stack_is_known(void)
{
	pthread_attr_t a;
	void *base;
	size_t size;
	char here;

	CHECK_EQ(pthread_getattr_np(pthread_self(), &a), 0);
	CHECK_EQ(pthread_attr_getstack(&a, &base, &size), 0);
	CHECK((char *)base < &here && &here < (char *)base + size);
	pthread_attr_destroy(&a);
}

int main(void)
{
	watchdog(40);
	CASE(fresh_memory_is_zero_and_writable);
	CASE(bad_arguments_of_mmap);
	CASE(fixed_replaces_and_noreplace_refuses);
	CASE(holes_can_be_unmapped_and_show);
	CASE(protection_holds);
	CASE(protection_with_a_key);
	CASE(code_can_be_made_at_run_time);
	CASE(large_reservations_are_free);
	CASE(mremap_grows_moves_and_shrinks);
	CASE(mremap_tells_why_not);
	CASE(dontneed_gives_zeros);
	CASE(mincore_sees_touched_pages);
	CASE(locks_of_memory_succeed);
	CASE(msync_checks_its_flags);
	CASE(protection_changes_up_to_a_hole);
	CASE(locked_memory_is_not_dropped);
	CASE(shared_memory_can_be_emptied);
	CASE(the_break_moves);
	CASE(shared_anonymous_memory_works);
	CASE(a_barrier_can_be_asked_for);
	CASE(the_main_threads_stack_is_known);
	return g_failed;
}
