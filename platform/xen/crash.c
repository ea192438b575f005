/* SPDX-License-Identifier: MIT */
/*
 * crash.c - the report of a fault that nobody handles: registers, stack, last calls.
 *
 * It goes to Xen's log at once and to the console as long as that still works; what
 * may fault itself comes last.
 */
#include "platform/xen/exit.h"
#include "platform/xen/public.h"
#include "platform/xen/vm.h"

#define STACK_WORDS 24u
#define LINE_MAX 256u

struct line {
	char text[LINE_MAX];
	size_t n;
};

static void put(struct line *l, const char *s)
{
	for (; *s && l->n < LINE_MAX - 1; s++)
		l->text[l->n++] = *s;
}

static void put_hex(struct line *l, const char *name, uint64_t v)
{
	char digits[17];

	for (unsigned i = 0; i < 16; i++)
		digits[i] = "0123456789abcdef"[v >> (60 - 4 * i) & 15];
	digits[16] = '\0';
	put(l, name);
	put(l, digits);
}

static void end(struct line *l)
{
	l->text[l->n++] = '\n';
	hyper_debug(l->text, l->n);
	console_xen_write_raw(l->text, l->n);
	l->n = 0;
}

static void put_registers(struct line *l, const struct trap_frame *f)
{
	uint64_t cr2;

	__asm__ volatile("movq %%cr2, %0" : "=r"(cr2));
	put_hex(l, "vector ", f->vector);
	put_hex(l, " error ", f->err);
	put_hex(l, " address ", cr2);
	end(l);
	put_hex(l, "rip ", f->rip);
	put_hex(l, " flags ", f->rflags);
	put_hex(l, " rsp ", f->rsp);
	put_hex(l, " rbp ", f->rbp);
	end(l);
	put_hex(l, "rax ", f->rax);
	put_hex(l, " rbx ", f->rbx);
	put_hex(l, " rcx ", f->rcx);
	put_hex(l, " rdx ", f->rdx);
	end(l);
	put_hex(l, "rsi ", f->rsi);
	put_hex(l, " rdi ", f->rdi);
	put_hex(l, " r8  ", f->r8);
	put_hex(l, " r9  ", f->r9);
	end(l);
	put_hex(l, "r10 ", f->r10);
	put_hex(l, " r11 ", f->r11);
	put_hex(l, " r12 ", f->r12);
	put_hex(l, " r13 ", f->r13);
	end(l);
	put_hex(l, "r14 ", f->r14);
	put_hex(l, " r15 ", f->r15);
	put_hex(l, " memory free ", pages_free_count() * PAGE_SIZE);
	end(l);
}

static void put_stack(struct line *l, uint64_t sp)
{
	for (unsigned i = 0; i < STACK_WORDS; i++) {
		uint64_t word;

		if (vm_phys((void *)(uintptr_t)(sp + 8 * i)) == FRAME_NONE)
			break;
		word = *(const uint64_t *)(uintptr_t)(sp + 8 * i);
		put_hex(l, i % 4 ? " " : "stack ", word);
		if (i % 4 == 3)
			end(l);
	}
	if (l->n)
		end(l);
}

static void put_calls(void)
{
	static char text[2048];
	const size_t n = libos_last_calls(text, sizeof(text));

	hyper_debug(text, n);
	console_xen_write_raw(text, n);
}

_Noreturn void crash(const char *what, const struct trap_frame *f)
{
	static bool again;
	struct line l = {.n = 0};

	(void)irq_off();
	if (again)
		xen_shutdown(SHUTDOWN_crash); /* the report itself faulted */
	again = true;
	put(&l, "strait: the guest crashed: ");
	put(&l, what);
	end(&l);
	put_registers(&l, f);
	if (!(f->rsp & 7))
		put_stack(&l, f->rsp);
	put_calls();
	exit_crash(what);
}
