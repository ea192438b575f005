/* SPDX-License-Identifier: MIT */
/*
 * thread.c - threads of the guest: making, ending, finding them.
 *
 * A thread's slot is one piece of platform memory:
 *
 *     guard | signal stack of the host | guard | libos stack | struct thread
 *
 * Slots are kept and used again once the host thread has left them (`gone` is 0).
 * The first thread's slot is made before anything else runs.
 */
#include "libos/thread.h"

#include "libos/dispatch.h"
#include "libos/entry.h"
#include "libos/exit.h"
#include "libos/futex.h"
#include "libos/identity.h"
#include "libos/limits.h"
#include "libos/lock.h"
#include "libos/process.h"
#include "libos/pump.h"
#include "libos/syscall.h"
#include "libos/text.h"
#include "libos/user.h"

#include <errno.h>
#include <sched.h>
#include <sys/mman.h>

_Static_assert(offsetof(struct thread, self) == 0, "entry_x86_64.S");
_Static_assert(offsetof(struct thread, stack_top) == 8, "entry_x86_64.S");
_Static_assert(offsetof(struct thread, in_libos) == 16, "entry_x86_64.S");
_Static_assert(offsetof(struct thread, work) == 20, "entry_x86_64.S");
_Static_assert(offsetof(struct thread, entry) == 24, "entry_x86_64.S");
_Static_assert(sizeof(struct entry_regs) == 120, "entry_x86_64.S");

#define GUARD 4096u
#define LAST_CALLS_MAX 16u
#define SIGSTACK (24u * 1024u)
#define HEAD (GUARD + SIGSTACK + GUARD)
#define SLOT_SIZE (HEAD + LIBOS_STACK_SIZE + 4096u)
#define TID_FIRST 2u
#define TID_MAX 0x3ffffeu

_Static_assert(sizeof(struct thread) <= 4096, "the slot's last page");

struct lock g_thread_lock = LOCK_INIT;
struct thread *g_threads;

/* Under g_thread_lock. */
static struct thread *g_free;
static uint32_t g_count;
static uint32_t g_next_tid = TID_FIRST;

/* What a new thread begins with. */
struct birth {
	struct ucontext_x86 uc;
	uint64_t fs;
	uint32_t *child_settid;
};
_Static_assert(sizeof(struct thread) + sizeof(struct birth) <= 4096, "the slot's last page");

static struct birth *birth_of(struct thread *t)
{
	return (struct birth *)(t + 1);
}

/* ---- slots ---- */

static char *slot_base(struct thread *t)
{
	return (char *)t - HEAD - LIBOS_STACK_SIZE;
}

static struct thread *slot_make(void)
{
	long p = plat_mmap(NULL, SLOT_SIZE, PROT_NONE, MAP_PRIVATE);
	struct thread *t;
	char *base = (char *)p;

	if (p < 0 && p > -4096)
		return NULL;
	if (plat_mprotect(base + GUARD, SIGSTACK, PROT_READ | PROT_WRITE) != 0 ||
	    plat_mprotect(base + HEAD, SLOT_SIZE - HEAD, PROT_READ | PROT_WRITE) != 0) {
		(void)plat_munmap(base, SLOT_SIZE);
		return NULL;
	}
	t = (struct thread *)(void *)(base + HEAD + LIBOS_STACK_SIZE);
	return t;
}

static struct thread *slot_get(void)
{
	lock_take(&g_thread_lock);
	for (struct thread **pp = &g_free; *pp; pp = &(*pp)->next) {
		struct thread *t = *pp;

		if (t->gone)
			continue;
		*pp = t->next;
		lock_drop(&g_thread_lock);
		return t;
	}
	lock_drop(&g_thread_lock);
	return slot_make();
}

static void slot_init(struct thread *t)
{
	__builtin_memset(t, 0, sizeof(*t));
	t->self = t;
	t->stack_top = (char *)t - 64;
	t->in_libos = 1;
	t->gone = 1;
}

void *libos_signal_stack(struct thread *th, size_t *size)
{
	*size = SIGSTACK;
	return slot_base(th) + GUARD;
}

struct thread *libos_first_thread(void **stack_top)
{
	if (!g_threads) {
		struct thread *t = slot_make();

		if (!t)
			plat_exit(125, 0);
		slot_init(t);
		t->tid = g_next_tid++;
		t->used = true;
		g_threads = t;
		g_count = 1;
	}
	*stack_top = g_threads->stack_top;
	return g_threads;
}

size_t libos_last_calls(char *to, size_t size)
{
	struct text text = {.at = to, .cap = size};
	unsigned n = 0;

	for (const struct thread *t = g_threads; t && n < LAST_CALLS_MAX; t = t->next, n++) {
		const uint64_t *e = t->entry;
		const char *name = syscall_name((long)e[ENTRY_N]);

		text_fmt(&text, "thread %u, %s; last call %s(0x%lx, 0x%lx, 0x%lx, 0x%lx, 0x%lx)\n",
		         t->tid, t->in_libos ? "in libos" : "in the program",
		         name ? name : "?", e[ENTRY_A1], e[ENTRY_A1 + 1], e[ENTRY_A1 + 2],
		         e[ENTRY_A1 + 3], e[ENTRY_A1 + 4]);
	}
	return text.len;
}

/* ---- the list ---- */

struct thread *thread_find_locked(uint32_t tid)
{
	for (struct thread *t = g_threads; t; t = t->next)
		if (t->tid == tid)
			return t;
	return NULL;
}

uint32_t thread_count(void)
{
	return g_count;
}

/* Never one in use; not used again before all others were. */
static uint32_t new_tid_locked(void)
{
	for (;;) {
		uint32_t tid = g_next_tid++;

		if (g_next_tid > TID_MAX)
			g_next_tid = TID_FIRST + 1;
		if (!thread_find_locked(tid))
			return tid;
	}
}

static void list_add(struct thread *t)
{
	lock_take(&g_thread_lock);
	t->tid = new_tid_locked();
	t->used = true;
	t->next = g_threads->next;
	g_threads->next = t;
	g_count++;
	lock_drop(&g_thread_lock);
}

/* False: it was the last one (and stays in the list). */
static bool list_remove(struct thread *t)
{
	lock_take(&g_thread_lock);
	if (g_count == 1) {
		lock_drop(&g_thread_lock);
		return false;
	}
	for (struct thread **pp = &g_threads; *pp; pp = &(*pp)->next)
		if (*pp == t) {
			*pp = t->next;
			break;
		}
	g_count--;
	t->used = false;
	lock_drop(&g_thread_lock);
	return true;
}

static void slot_put(struct thread *t)
{
	lock_take(&g_thread_lock);
	t->next = g_free;
	g_free = t;
	lock_drop(&g_thread_lock);
}

/* ---- beginning ---- */

/* The new host thread, on its libos stack. */
static void thread_begin(void *arg)
{
	struct thread *t = arg;
	struct birth *b = birth_of(t);

	plat_set_fs(b->fs);
	if (b->child_settid && user_copy_out(b->child_settid, &t->tid, sizeof(t->tid)) != 0)
		b->child_settid = NULL; /* as Linux: the fault is not told */
	plat_resume(&b->uc);
}

/* Where the child goes on: behind the call, with 0, on its own stack. */
static void child_context(struct thread *parent, uint64_t stack, struct ucontext_x86 *uc)
{
	uint64_t ret = 0;

	__builtin_memset(uc, 0, sizeof(*uc));
	if (parent->raw) {
		uc->regs = parent->raw->regs;
	} else {
		const void *at = (const void *)(uintptr_t)parent->entry[ENTRY_RSP];

		if (plat_copy(&ret, at, sizeof(ret)) != 0)
			ret = 0;
		uc->regs.rip = ret;
		uc->regs.cs = 0x33;
		uc->regs.ss = 0x2b;
	}
	uc->regs.rax = 0;
	uc->regs.rsp = stack;
}

#define ADDRESS_END 0x7ffffffff000ul /* of a program; FS must lie below */

#define CLONE_NEEDED \
	(CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD)
#define CLONE_KNOWN                                                                      \
	(CLONE_NEEDED | CLONE_SYSVSEM | CLONE_SETTLS | CLONE_PARENT_SETTID |             \
	 CLONE_CHILD_CLEARTID | CLONE_CHILD_SETTID | CLONE_DETACHED | 0xffu)

/* Not in the list yet. */
static struct thread *thread_new(void)
{
	struct thread *t = slot_get();

	if (!t)
		return NULL;
	slot_init(t);
	__builtin_memset(birth_of(t), 0, sizeof(struct birth));
	return t;
}

SYSCALL(clone, unsigned long flags, unsigned long stack, uint32_t *ptid, uint32_t *ctid,
        unsigned long tls)
{
	struct thread *parent = self(), *t;
	struct birth *b;
	uint32_t tid;

	if (((flags & CLONE_THREAD) && !(flags & CLONE_SIGHAND)) ||
	    ((flags & CLONE_SIGHAND) && !(flags & CLONE_VM)))
		return -EINVAL;
	if ((flags & CLONE_NEEDED) != CLONE_NEEDED || (flags & ~(unsigned long)CLONE_KNOWN) ||
	    !stack) {
		unsupported("clone: a process");
		return -ENOSYS;
	}
	if ((flags & CLONE_SETTLS) && tls >= ADDRESS_END)
		return -EPERM;
	if (!cred_privileged() && thread_count() >= limits_get(LIMIT_NPROC))
		return -EAGAIN;
	t = thread_new();
	if (!t)
		return -EAGAIN;
	b = birth_of(t);
	child_context(parent, stack, &b->uc);
	b->fs = (flags & CLONE_SETTLS) ? tls : plat_get_fs();
	if (flags & CLONE_CHILD_SETTID)
		b->child_settid = ctid;
	if (flags & CLONE_CHILD_CLEARTID)
		t->clear_child_tid = ctid;
	__builtin_memcpy(t->comm, parent->comm, sizeof(t->comm));
	signal_thread_init(t, parent);
	process_thread_init(t, parent);
	list_add(t);
	tid = t->tid;
	if ((flags & CLONE_PARENT_SETTID) && user_copy_out(ptid, &tid, sizeof(tid)) != 0)
		ptid = NULL; /* as Linux: the fault is not told */
	if (plat_thread_create(t, t->stack_top, thread_begin, t, &t->gone, &t->host_id) != 0) {
		(void)list_remove(t);
		signal_thread_exit(t);
		process_thread_exit(t);
		t->gone = 0;
		slot_put(t);
		return -EAGAIN;
	}
	return (long)tid;
}

#ifdef STRAIT_TESTLIB
struct thread *thread_adopt(const struct thread *parent)
{
	struct thread *t = thread_new();

	if (!t)
		return NULL;
	signal_thread_init(t, parent);
	process_thread_init(t, parent);
	list_add(t);
	return t;
}

void thread_release(struct thread *t)
{
	(void)list_remove(t);
	signal_thread_exit(t);
	process_thread_exit(t);
	t->gone = 0;
	slot_put(t);
}
#endif

struct thread *thread_reserve(void)
{
	return slot_get();
}

/* A thread of libos's own: not in the list, no program code. */
bool thread_run_internal(struct thread *t, void (*fn)(void *), void *arg)
{
	slot_init(t);
	t->sigmask = ~(uint64_t)0;
	if (plat_thread_create(t, t->stack_top, fn, arg, &t->gone, &t->host_id) == 0)
		return true;
	t->gone = 0;
	return false;
}

struct thread *thread_start_internal(void (*fn)(void *), void *arg)
{
	struct thread *t = thread_reserve();

	if (!t || thread_run_internal(t, fn, arg))
		return t;
	slot_put(t);
	return NULL;
}

/* ---- ending ---- */

_Noreturn static void thread_leave(long code)
{
	struct thread *t = self();
	uint32_t *clear = t->clear_child_tid, zero = 0;

	futex_robust_exit(t);
	if (!list_remove(t))
		guest_exit((int)(code & 0xff), 0);
	signal_thread_exit(t);
	process_thread_exit(t);
	if (clear && user_copy_out(clear, &zero, sizeof(zero)) == 0)
		(void)futex_wake_user(clear, 1);
	slot_put(t);
	plat_thread_exit();
}

_Noreturn void thread_unmap_and_exit(void *base, size_t size);

_Noreturn void thread_unmap_and_exit(void *base, size_t size)
{
	struct thread *t = self();

	t->entry[ENTRY_N] = 11; /* munmap, for who asks */
	(void)syscall_dispatch(11, (long)base, (long)size, 0, 0, 0, 0);
	thread_leave(0);
}

SYSCALL(exit, long code)
{
	thread_leave(code);
}

SYSCALL(exit_group, long code)
{
	guest_exit((int)(code & 0xff), 0);
}

/* ---- small calls ---- */

SYSCALL(set_tid_address, uint32_t *at)
{
	self()->clear_child_tid = at;
	return (long)self()->tid;
}

SYSCALL(gettid)
{
	return (long)self()->tid;
}

#define ROBUST_HEAD_SIZE 24

SYSCALL(set_robust_list, void *head, size_t len)
{
	if (len != ROBUST_HEAD_SIZE)
		return -EINVAL;
	self()->robust_head = head;
	return 0;
}

SYSCALL(get_robust_list, long tid, void **user_head, size_t *user_len)
{
	const size_t len = ROBUST_HEAD_SIZE;
	struct thread *t = self();
	void *head;

	lock_take(&g_thread_lock);
	if (tid)
		t = thread_find_locked((uint32_t)tid);
	head = t ? t->robust_head : NULL;
	lock_drop(&g_thread_lock);
	if (!t)
		return -ESRCH;
	if (user_copy_out(user_len, &len, sizeof(len)) ||
	    user_copy_out(user_head, &head, sizeof(head)))
		return -EFAULT;
	return 0;
}

#define ARCH_SET_GS 0x1001
#define ARCH_SET_FS 0x1002
#define ARCH_GET_FS 0x1003
#define ARCH_GET_GS 0x1004

SYSCALL(arch_prctl, long what, unsigned long addr)
{
	uint64_t base;

	switch (what) {
	case ARCH_SET_FS:
		if (addr >= ADDRESS_END)
			return -EPERM;
		plat_set_fs(addr);
		return 0;
	case ARCH_GET_FS:
		base = plat_get_fs();
		return user_copy_out((void *)addr, &base, sizeof(base));
	case ARCH_SET_GS: /* libos finds its thread there */
	case ARCH_GET_GS:
	default:
		return -EINVAL;
	}
}

SYSCALL(sched_yield)
{
	plat_yield();
	return 0;
}
