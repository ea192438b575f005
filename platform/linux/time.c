/* SPDX-License-Identifier: MIT */
/*
 * time.c - clocks, read through the host's vDSO: no call into the host.
 *
 * The vDSO is an ELF image in our memory; its clock_gettime is looked up once.
 */
#include "platform/linux/host.h"

#include <elf.h>
#include <sys/syscall.h>

enum { CLK_REAL = 0, CLK_MONO = 1, CLK_PROCESS = 2, CLK_BOOT = 7 };

typedef int clock_fn(int clock, int64_t sec_nsec[2]);
typedef long getcpu_fn(unsigned *cpu, unsigned *node, void *unused);

static clock_fn *g_clock;
static getcpu_fn *g_getcpu;
static uintptr_t g_text_begin, g_text_end;

static bool same(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	return *a == *b;
}

struct image {
	const char *base; /* to add to p_vaddr */
	const Elf64_Sym *syms;
	const char *names;
	uint32_t n_syms;
};

static uint32_t count_gnu_hash(const uint32_t *h)
{
	const uint32_t n_buckets = h[0], first = h[1], bloom = h[2];
	const uint32_t *buckets = h + 4 + 2 * (size_t)bloom, *chain = buckets + n_buckets;
	uint32_t last = 0;

	for (uint32_t i = 0; i < n_buckets; i++)
		if (buckets[i] > last)
			last = buckets[i];
	if (last < first)
		return first;
	while (!(chain[last - first] & 1))
		last++;
	return last + 1;
}

static void read_dynamic(struct image *im, const Elf64_Dyn *d)
{
	for (; d->d_tag != DT_NULL; d++) {
		const char *p = im->base + d->d_un.d_ptr;

		if (d->d_tag == DT_SYMTAB)
			im->syms = (const Elf64_Sym *)(const void *)p;
		else if (d->d_tag == DT_STRTAB)
			im->names = p;
		else if (d->d_tag == DT_HASH)
			im->n_syms = ((const uint32_t *)(const void *)p)[1];
		else if (d->d_tag == DT_GNU_HASH && !im->n_syms)
			im->n_syms = count_gnu_hash((const uint32_t *)(const void *)p);
	}
}

static const void *find(const struct image *im, const char *name)
{
	for (uint32_t i = 0; i < im->n_syms; i++)
		if (im->syms[i].st_shndx != SHN_UNDEF && same(im->names + im->syms[i].st_name, name))
			return im->base + im->syms[i].st_value;
	return NULL;
}

void host_time_init(const void *vdso)
{
	const Elf64_Ehdr *eh = vdso;
	const Elf64_Phdr *ph, *dynamic = NULL;
	struct image im = {0};

	if (!eh)
		return;
	ph = (const Elf64_Phdr *)(const void *)((const char *)vdso + eh->e_phoff);
	for (int i = 0; i < eh->e_phnum; i++) {
		if (ph[i].p_type == PT_LOAD && !im.base) {
			im.base = (const char *)vdso - ph[i].p_vaddr + ph[i].p_offset;
			g_text_begin = (uintptr_t)vdso;
			g_text_end = g_text_begin + ph[i].p_memsz;
		} else if (ph[i].p_type == PT_DYNAMIC) {
			dynamic = &ph[i];
		}
	}
	if (!im.base || !dynamic)
		return;
	read_dynamic(&im, (const Elf64_Dyn *)(const void *)(im.base + dynamic->p_vaddr));
	if (!im.syms || !im.names)
		return;
	g_clock = (clock_fn *)(uintptr_t)find(&im, "__vdso_clock_gettime");
	if (g_clock)
		g_plat_clock_direct = g_clock;
	g_getcpu = (getcpu_fn *)(uintptr_t)find(&im, "__vdso_getcpu");
}

void host_vdso_text(uintptr_t *begin, uintptr_t *end)
{
	*begin = g_text_begin;
	*end = g_text_end;
}

void plat_clock(int clock, int64_t sec_nsec[2])
{
	if (!g_clock || g_clock(clock, sec_nsec) != 0)
		(void)HOST2(SYS_clock_gettime, clock, sec_nsec);
}

static uint64_t read_clock(int clock)
{
	int64_t ts[2] = {0, 0};

	plat_clock(clock, ts);
	return (uint64_t)ts[0] * 1000000000u + (uint64_t)ts[1];
}

uint64_t plat_mono_ns(void)
{
	return read_clock(CLK_MONO);
}

uint64_t plat_real_ns(void)
{
	return read_clock(CLK_REAL);
}

uint64_t plat_boot_ns(void)
{
	return read_clock(CLK_BOOT);
}

uint64_t plat_process_cpu_ns(void)
{
	struct host_timespec ts = {0, 0};

	(void)HOST2(SYS_clock_gettime, CLK_PROCESS, &ts);
	return (uint64_t)ts.sec * 1000000000u + (uint64_t)ts.nsec;
}

uint64_t plat_thread_cpu_ns(uint32_t host_id)
{
	struct host_timespec ts = {0, 0};
	/* As the C library's pthread_getcpuclockid(): per thread, scheduled time. */
	const int clock = (int)((~host_id << 3) | 6u);

	(void)HOST2(SYS_clock_gettime, clock, &ts);
	return (uint64_t)ts.sec * 1000000000u + (uint64_t)ts.nsec;
}

unsigned plat_cpu(void)
{
	unsigned cpu = 0;

	if (!g_getcpu || g_getcpu(&cpu, NULL, NULL) != 0)
		(void)HOST3(SYS_getcpu, &cpu, NULL, NULL);
	return cpu;
}
