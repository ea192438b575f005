/* SPDX-License-Identifier: MIT */
/* memory.c - the guest's memory is the process's: mmap and its family, memfds. */
#include "platform/linux/host.h"

#include <sys/mman.h>
#include <sys/syscall.h>

#define HOST_MFD_CLOEXEC 1u

#ifdef STRAIT_TESTLIB
#include <errno.h>

/* The sanitizers must see memory come and go. */
static long host_mmap(void *addr, size_t len, int prot, int flags, int fd, uint64_t off)
{
	void *p = mmap(addr, len, prot, flags, fd, (off_t)off);

	return p == MAP_FAILED ? -errno : (long)p;
}

static long host_munmap(void *addr, size_t len)
{
	return munmap(addr, len) < 0 ? -errno : 0;
}
#else
static long host_mmap(void *addr, size_t len, int prot, int flags, int fd, uint64_t off)
{
	return HOST6(SYS_mmap, addr, len, prot, flags, fd, off);
}

static long host_munmap(void *addr, size_t len)
{
	return HOST2(SYS_munmap, addr, len);
}
#endif

long plat_mmap(void *addr, size_t len, int prot, int flags)
{
	return host_mmap(addr, len, prot, flags | MAP_ANONYMOUS, -1, 0);
}

long plat_munmap(void *addr, size_t len)
{
	return host_munmap(addr, len);
}

long plat_mprotect(void *addr, size_t len, int prot)
{
	return HOST3(SYS_mprotect, addr, len, prot);
}

long plat_mremap(void *addr, size_t old_len, size_t new_len, int flags, void *to)
{
	return HOST5(SYS_mremap, addr, old_len, new_len, flags, to);
}

long plat_madvise(void *addr, size_t len, int advice)
{
	return HOST3(SYS_madvise, addr, len, advice);
}

long plat_mincore(void *addr, size_t len, unsigned char *vec)
{
	return HOST3(SYS_mincore, addr, len, vec);
}

int plat_shm_create(size_t size)
{
	long fd = HOST2(SYS_memfd_create, "strait-shm", HOST_MFD_CLOEXEC);
	long r;

	if (fd < 0)
		return (int)fd;
	r = HOST2(SYS_ftruncate, fd, size);
	if (r < 0) {
		(void)HOST1(SYS_close, fd);
		return (int)r;
	}
	return (int)fd;
}

int plat_shm_resize(int shm, size_t size)
{
	return (int)HOST2(SYS_ftruncate, shm, size);
}

long plat_shm_map(int shm, uint64_t off, void *addr, size_t len, int prot, int flags)
{
	return host_mmap(addr, len, prot, flags & ~MAP_ANONYMOUS, shm, off);
}

void plat_shm_free(int shm)
{
	(void)HOST1(SYS_close, shm);
}

struct host_sysinfo {
	long uptime;
	unsigned long loads[3], totalram, freeram, sharedram, bufferram, totalswap, freeswap;
	uint16_t procs, pad;
	unsigned long totalhigh, freehigh;
	uint32_t mem_unit;
	char room[64];
};

uint64_t plat_memory_total(void)
{
	struct host_sysinfo si = {0};

	if (g_config.memory)
		return g_config.memory;
	if (HOST1(SYS_sysinfo, &si) < 0)
		return 0;
	return (uint64_t)si.totalram * (si.mem_unit ? si.mem_unit : 1);
}

uint64_t plat_memory_used(void)
{
	long ru[18] = {0}; /* struct rusage: two timevals, then maxrss in KiB */

	if (HOST2(SYS_getrusage, 0, ru) < 0)
		return 0;
	return (uint64_t)ru[4] * 1024;
}

void plat_random(void *to, size_t n)
{
	char *p = to;

	while (n) {
		long r = HOST3(SYS_getrandom, p, n, 0);

		if (r > 0) {
			p += r;
			n -= (size_t)r;
		}
	}
}

#define HOST_MEMBARRIER_EXPEDITED 8
#define HOST_MEMBARRIER_REGISTER 16
#define HOST_EPERM (-1)

int plat_membarrier(void)
{
	long r = HOST3(SYS_membarrier, HOST_MEMBARRIER_EXPEDITED, 0, 0);

	if (r == HOST_EPERM) {
		r = HOST3(SYS_membarrier, HOST_MEMBARRIER_REGISTER, 0, 0);
		if (r == 0)
			r = HOST3(SYS_membarrier, HOST_MEMBARRIER_EXPEDITED, 0, 0);
	}
	return (int)r;
}
