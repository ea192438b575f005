/* SPDX-License-Identifier: MIT */
/* proctext.c - texts of /proc about the machine. */
#include "libos/localtab.h"

#include <cpuid.h>
#include <string.h>

#define NS_PER_S UINT64_C(1000000000)
#define TICKS_PER_NS 10000000u

struct names {
	char sysname[65], node[65], release[65], version[65], machine[65], domain[65];
};

/* sysinfo.c */
long strait_sys_uname(void *out);

static void get_names(struct names *u)
{
	memset(u, 0, sizeof(*u));
	(void)strait_sys_uname(u); /* fails for bad addresses only */
}

void proc_constant(struct text *t, const struct local_node *n)
{
	text_put(t, n->row->target);
}

void proc_hostname(struct text *t, const struct local_node *n)
{
	struct names u;

	(void)n;
	get_names(&u);
	text_fmt(t, "%s\n", u.node);
}

void proc_osrelease(struct text *t, const struct local_node *n)
{
	struct names u;

	(void)n;
	get_names(&u);
	text_fmt(t, "%s\n", u.release);
}

void proc_version(struct text *t, const struct local_node *n)
{
	struct names u;

	(void)n;
	get_names(&u);
	text_fmt(t, "%s version %s (strait) %s\n", u.sysname, u.release, u.version);
}

static void cpu_name(char name[49])
{
	unsigned r[4];

	memset(name, 0, 49);
	for (unsigned leaf = 0; leaf < 3; leaf++) {
		if (!__get_cpuid(0x80000002u + leaf, &r[0], &r[1], &r[2], &r[3]))
			return;
		memcpy(name + leaf * 16, r, 16);
	}
}

void proc_cpuinfo(struct text *t, const struct local_node *n)
{
	unsigned a = 0, b = 0, c = 0, d = 0, leaf1, family, model;
	char vendor[13] = {0}, name[49];

	(void)n;
	__cpuid(0, a, b, c, d);
	memcpy(vendor, &b, 4);
	memcpy(vendor + 4, &d, 4);
	memcpy(vendor + 8, &c, 4);
	__cpuid(1, leaf1, b, c, d);
	family = (leaf1 >> 8 & 15) + ((leaf1 >> 8 & 15) == 15 ? leaf1 >> 20 & 255 : 0);
	model = (leaf1 >> 4 & 15) | (leaf1 >> 12 & 0xf0);
	cpu_name(name);
	for (unsigned i = 0; i < g_config.n_cpus; i++) {
		text_fmt(t, "processor\t: %u\nvendor_id\t: %s\ncpu family\t: %u\n", i,
		         vendor, family);
		text_fmt(t, "model\t\t: %u\nmodel name\t: %s\nstepping\t: %u\n", model,
		         name, leaf1 & 15);
		text_fmt(t, "physical id\t: 0\nsiblings\t: %u\ncore id\t\t: %u\n",
		         g_config.n_cpus, i);
		text_fmt(t, "cpu cores\t: %u\nflags\t\t: fpu tsc sse sse2%s%s\n\n",
		         g_config.n_cpus, c & bit_SSE4_2 ? " sse4_2" : "",
		         c & bit_AVX ? " avx" : "");
	}
}

void proc_filesystems(struct text *t, const struct local_node *n)
{
	(void)n;
	text_put(t, "nodev\tproc\nnodev\ttmpfs\nnodev\tfsd\n");
}

void proc_loadavg(struct text *t, const struct local_node *n)
{
	(void)n;
	text_fmt(t, "0.00 0.00 0.00 1/%u %u\n", thread_count(), self()->tid);
}

void proc_meminfo(struct text *t, const struct local_node *n)
{
	uint64_t total = plat_memory_total() / 1024, used = plat_memory_used() / 1024;
	uint64_t left = total > used ? total - used : 0;

	(void)n;
	text_fmt(t, "MemTotal:       %8lu kB\nMemFree:        %8lu kB\n", total, left);
	text_fmt(t, "MemAvailable:   %8lu kB\nBuffers:        %8u kB\n", left, 0u);
	text_fmt(t, "Cached:         %8u kB\nSwapTotal:      %8u kB\n", 0u, 0u);
	text_fmt(t, "SwapFree:       %8u kB\nCommitted_AS:   %8lu kB\n", 0u, used);
	text_fmt(t, "HugePages_Total:%8u\nHugepagesize:   %8u kB\n", 0u, 2048u);
}

void proc_system_stat(struct text *t, const struct local_node *n)
{
	uint64_t up = plat_boot_ns() / TICKS_PER_NS;
	uint64_t busy = plat_process_cpu_ns() / TICKS_PER_NS;
	uint64_t all = up * g_config.n_cpus, idle = all > busy ? all - busy : 0;

	(void)n;
	text_fmt(t, "cpu  %lu 0 0 %lu 0 0 0 0 0 0\n", busy, idle);
	for (unsigned i = 0; i < g_config.n_cpus; i++)
		text_fmt(t, "cpu%u %lu 0 0 %lu 0 0 0 0 0 0\n", i,
		         busy / g_config.n_cpus, idle / g_config.n_cpus);
	text_fmt(t,
	         "ctxt 0\nbtime %lu\nprocesses 1\nprocs_running 1\nprocs_blocked 0\n",
	         (plat_real_ns() - plat_boot_ns()) / NS_PER_S);
}

void proc_uptime(struct text *t, const struct local_node *n)
{
	uint64_t up = plat_boot_ns() / TICKS_PER_NS;
	uint64_t busy = plat_process_cpu_ns() / TICKS_PER_NS;
	uint64_t all = up * g_config.n_cpus, idle = all > busy ? all - busy : 0;

	(void)n;
	text_fmt(t, "%lu.%02lu %lu.%02lu\n", up / 100, up % 100, idle / 100,
	         idle % 100);
}

static void put_uuid(struct text *t, const uint8_t id[16])
{
	for (int i = 0; i < 16; i++) {
		uint8_t b = id[i];

		if (i == 6)
			b = (uint8_t)((b & 0x0f) | 0x40);
		if (i == 8)
			b = (uint8_t)((b & 0x3f) | 0x80);
		text_fmt(t, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "",
		         (unsigned)b);
	}
	text_put(t, "\n");
}

/* The guest's life is what a boot is: its client id tells it from others. */
void proc_boot_id(struct text *t, const struct local_node *n)
{
	uint8_t id[16];

	(void)n;
	for (int i = 0; i < 16; i++)
		id[i] = (uint8_t)(g_config.client_id[i] ^ 0x5a);
	put_uuid(t, id);
}

void proc_uuid(struct text *t, const struct local_node *n)
{
	uint8_t id[16];

	(void)n;
	plat_random(id, sizeof(id));
	put_uuid(t, id);
}
