/* SPDX-License-Identifier: MIT */
/*
 * platform/xen's memory: the page allocator, the page tables as a walk through them
 * finds them, and mmap's family against a model that remembers every page.
 */
#include "platform/xen/vm.h"
#include "tests/unit/suite.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <xen/arch-x86/hvm/start_info.h>

#define RAM_PAGES 4096u
#define AREA 0x10000000ul /* where the model's pages are */
#define N_PAGES 256u

/* ---- what the files under test call ---- */

_Alignas(4096) char g_test_ram[RAM_PAGES * PAGE_SIZE];
const void *g_start_info;
static struct range g_ranges[RANGES_MAX];
static uint64_t g_frames_at_start;

_Noreturn void boot_die(const char *what)
{
	fprintf(stderr, "boot_die: %s\n", what);
	abort();
}

const char *boot_cmdline(void)
{
	return "words";
}

void vm_reserve_image(void)
{
	pages_reserve(64 * PAGE_SIZE, 100 * PAGE_SIZE + 1);
}

struct range *ranges_memory(size_t bytes)
{
	return bytes <= sizeof(g_ranges) ? g_ranges : NULL;
}

void plat_random(void *to, size_t n)
{
	memset(to, 0x5a, n);
}

size_t plat_copy(void *to, const void *from, size_t n)
{
	memcpy(to, from, n);
	return 0;
}

/* ---- frames ---- */

/* Start info as Xen gives it, in the RAM itself. */
static void boot(void)
{
	struct hvm_memmap_table_entry *map = page_virt(120 * PAGE_SIZE);
	struct hvm_start_info *si = page_virt(110 * PAGE_SIZE + 64);

	memset(g_test_ram, 0xa5, sizeof(g_test_ram));
	*si = (struct hvm_start_info){
	        .magic = XEN_HVM_START_MAGIC_VALUE,
	        .version = 1,
	        .cmdline_paddr = 111 * PAGE_SIZE + 4094, /* over a page's end */
	        .memmap_paddr = 120 * PAGE_SIZE,
	        .memmap_entries = 3,
	};
	memcpy(page_virt(si->cmdline_paddr), "words", 6);
	map[0] = (struct hvm_memmap_table_entry){0, 2000 * PAGE_SIZE + 100,
	                                         XEN_HVM_MEMMAP_TYPE_RAM, 0};
	map[1] = (struct hvm_memmap_table_entry){2001 * PAGE_SIZE, 9 * PAGE_SIZE,
	                                         XEN_HVM_MEMMAP_TYPE_RESERVED, 0};
	map[2] = (struct hvm_memmap_table_entry){2010 * PAGE_SIZE,
	                                         (RAM_PAGES - 2010) * PAGE_SIZE,
	                                         XEN_HVM_MEMMAP_TYPE_RAM, 0};
	g_start_info = si;
	pages_init();
	vm_commit_limit(pages_free_count() - 200);
	g_pt_root = page_virt(page_alloc());
	g_frames_at_start = pages_free_count();
}

static bool is_taken(uint64_t page)
{
	return page == 0 || (page >= 64 && page <= 100) || page == 110 || page == 111 ||
	       page == 112 || page == 120 || (page >= 2000 && page < 2010);
}

static void no_frame_is_given_twice_or_reserved(void)
{
	static bool given[RAM_PAGES];
	uint64_t n = 0, frame, list[16];

	CU_ASSERT_EQUAL(pages_free_count(), pages_total() - 1);
	while ((frame = page_alloc()) != FRAME_NONE) {
		const uint64_t page = frame / PAGE_SIZE;

		CU_ASSERT_FATAL(frame % PAGE_SIZE == 0 && page < RAM_PAGES);
		CU_ASSERT(!given[page]);
		CU_ASSERT(!is_taken(page));
		CU_ASSERT_EQUAL(*(uint64_t *)page_virt(frame), 0);
		CU_ASSERT_EQUAL(((uint64_t *)page_virt(frame))[511], 0);
		given[page] = true;
		n++;
	}
	CU_ASSERT_EQUAL(n, g_frames_at_start);
	CU_ASSERT_EQUAL(pages_free_count(), 0);
	for (uint64_t page = 0; page < RAM_PAGES; page++)
		if (given[page]) {
			memset(page_virt(page * PAGE_SIZE), 0xff, PAGE_SIZE);
			page_free(page * PAGE_SIZE);
		}
	CU_ASSERT_EQUAL(pages_free_count(), n);
	for (unsigned i = 0; i < 16; i++) {
		list[i] = page_alloc();
		CU_ASSERT_EQUAL(((uint64_t *)page_virt(list[i]))[0], 0);
		CU_ASSERT_EQUAL(((uint64_t *)page_virt(list[i]))[300], 0);
	}
	for (unsigned i = 0; i < 16; i++)
		page_free(list[i]);
}

static void frame_numbers_without_ram_are_lent(void)
{
	const uint64_t a = gfn_alloc(3), b = gfn_alloc(129), c = gfn_alloc(1);

	CU_ASSERT(a * PAGE_SIZE >= RAM_PAGES * PAGE_SIZE);
	CU_ASSERT(b >= a + 3 && c >= b + 129);
	gfn_free(b, 129);
	CU_ASSERT_EQUAL(gfn_alloc(130), c + 1);
	CU_ASSERT_EQUAL(gfn_alloc(129), b);
	CU_ASSERT_EQUAL(gfn_alloc(1u << 20), FRAME_NONE);
	gfn_free(a, 3);
	CU_ASSERT_EQUAL(gfn_alloc(2), a);
}

/* ---- mmap's family against a model ---- */

struct page {
	bool mapped, written;
	unsigned prot;
	uint64_t stamp; /* its first word, 0 where never written */
};
static struct page g_model[N_PAGES];
static uint64_t g_stamp;

static unsigned chance(unsigned n)
{
	return (unsigned)random() % n;
}

static uint64_t *word_of(unsigned i)
{
	uint64_t stop, *e = pt_leaf(AREA + i * PAGE_SIZE, &stop);

	return e && *e ? page_virt(*e & PTE_ADDR) : NULL;
}

/* What the CPU would do: look at the tables, ask vm_fault() when they do not allow it.
 * True: the access is done. */
static bool access_page(unsigned i, bool write)
{
	const uint64_t addr = AREA + i * PAGE_SIZE;
	int sig = 0, code = 0;

	for (int tries = 0; tries < 2; tries++) {
		uint64_t stop, *e = pt_leaf(addr, &stop);

		if (e && (*e & PTE_P) && (!write || (*e & PTE_W)))
			return true;
		if (vm_fault(addr, write ? 2 : 0, &sig, &code) != 0) {
			CU_ASSERT_EQUAL(sig, SIGSEGV);
			CU_ASSERT_EQUAL(code,
			                g_model[i].mapped ? SEGV_ACCERR : SEGV_MAPERR);
			return false;
		}
	}
	CU_FAIL("a page fault comes again and again");
	return false;
}

static void touch(unsigned i)
{
	struct page *p = &g_model[i];
	const bool write = chance(2) != 0;
	const bool may =
	        p->mapped && (write ? (p->prot & PROT_WRITE) != 0 : p->prot != 0);

	CU_ASSERT_EQUAL(access_page(i, write), may);
	if (!may)
		return;
	CU_ASSERT_EQUAL(*word_of(i), p->stamp);
	if (write) {
		p->stamp = ++g_stamp;
		*word_of(i) = p->stamp;
	}
}

static void do_map(unsigned first, unsigned n)
{
	const int prot = (int)chance(8);
	const int flags = (chance(4) ? MAP_PRIVATE : MAP_SHARED) | MAP_ANONYMOUS |
	                  (chance(2) ? MAP_FIXED : MAP_FIXED_NOREPLACE) |
	                  (chance(8) ? 0 : MAP_POPULATE);
	bool taken = false;
	long r;

	for (unsigned i = first; i < first + n; i++)
		taken |= g_model[i].mapped;
	r = plat_mmap((void *)(AREA + first * PAGE_SIZE), n * PAGE_SIZE - chance(4096),
	              prot, flags);
	if (taken && !(flags & MAP_FIXED)) {
		CU_ASSERT_EQUAL(r, -EEXIST);
		return;
	}
	CU_ASSERT_EQUAL(r, (long)(AREA + first * PAGE_SIZE));
	for (unsigned i = first; i < first + n; i++)
		g_model[i] = (struct page){.mapped = true, .prot = (unsigned)prot};
}

static void do_unmap(unsigned first, unsigned n)
{
	CU_ASSERT_EQUAL(plat_munmap((void *)(AREA + first * PAGE_SIZE), n * PAGE_SIZE),
	                0);
	memset(&g_model[first], 0, n * sizeof(g_model[0]));
}

static void do_protect(unsigned first, unsigned n)
{
	const int prot = (int)chance(8);
	bool covered = true;

	for (unsigned i = first; i < first + n; i++)
		covered &= g_model[i].mapped;
	CU_ASSERT_EQUAL(
	        plat_mprotect((void *)(AREA + first * PAGE_SIZE), n * PAGE_SIZE, prot),
	        covered ? 0 : -ENOMEM);
	for (unsigned i = first; covered && i < first + n; i++)
		g_model[i].prot = (unsigned)prot;
}

static void do_discard(unsigned first, unsigned n)
{
	bool covered = true;

	for (unsigned i = first; i < first + n; i++) {
		const struct range *r = ranges_find(AREA + i * PAGE_SIZE);

		covered &= g_model[i].mapped;
		if (r && !r->obj)
			g_model[i].stamp = 0;
	}
	CU_ASSERT_EQUAL(plat_madvise((void *)(AREA + first * PAGE_SIZE), n * PAGE_SIZE,
	                             MADV_DONTNEED),
	                covered ? 0 : -ENOMEM);
}

static void do_remap(unsigned first, unsigned n)
{
	const struct range *r = ranges_find(AREA + first * PAGE_SIZE);
	struct page moved[N_PAGES];
	unsigned to, new_n;
	long at;

	if (!r)
		return;
	if (n > (r->end - AREA) / PAGE_SIZE - first)
		n = (unsigned)((r->end - AREA) / PAGE_SIZE) - first;
	new_n = 1 + chance(n + 8);
	to = chance(N_PAGES);
	if (to + new_n > N_PAGES || (to < first + n && first < to + new_n))
		return;
	if (r->obj && new_n > n)
		return; /* beyond the object's end: another test */
	at = plat_mremap((void *)(AREA + first * PAGE_SIZE), n * PAGE_SIZE,
	                 new_n * PAGE_SIZE, MREMAP_MAYMOVE | MREMAP_FIXED,
	                 (void *)(AREA + to * PAGE_SIZE));
	CU_ASSERT_EQUAL(at, (long)(AREA + to * PAGE_SIZE));
	memcpy(moved, &g_model[first], n * sizeof(moved[0]));
	memset(&g_model[first], 0, n * sizeof(moved[0]));
	for (unsigned i = 0; i < new_n; i++)
		g_model[to + i] =
		        i < n ? moved[i]
		              : (struct page){.mapped = true, .prot = moved[0].prot};
}

/* What must hold at any time. */
static void look_all_over(void)
{
	uint64_t charged = 0, end = 0;

	for (size_t i = 0; i < ranges_count(); i++) {
		const struct range *r = ranges_at(i);

		CU_ASSERT(r->start < r->end && r->start >= end);
		end = r->end;
		if (r->flags & RANGE_CHARGED)
			charged += (r->end - r->start) / PAGE_SIZE;
		/* An object of its own is promised whole, however little is mapped. */
	}
	CU_ASSERT(vm_committed() >= charged);
	for (unsigned i = 0; i < N_PAGES; i++) {
		const struct range *r = ranges_find(AREA + i * PAGE_SIZE);
		uint64_t stop, *e = pt_leaf(AREA + i * PAGE_SIZE, &stop);

		CU_ASSERT_EQUAL(r != NULL, g_model[i].mapped);
		if (r)
			CU_ASSERT_EQUAL(r->prot, g_model[i].prot);
		if (e && *e) {
			CU_ASSERT(g_model[i].mapped);
			CU_ASSERT_EQUAL((*e & PTE_P) != 0, g_model[i].prot != 0);
			CU_ASSERT(!(*e & PTE_W) || (g_model[i].prot & PROT_WRITE));
			CU_ASSERT(!(*e & PTE_P) || (*e & PTE_NX) ||
			          (g_model[i].prot & PROT_EXEC));
		}
	}
}

static void nothing_is_left(void)
{
	CU_ASSERT_EQUAL(ranges_count(), 0);
	CU_ASSERT_EQUAL(vm_committed(), 0);
	/* Pages of objects' own records stay. */
	CU_ASSERT(pages_free_count() >= g_frames_at_start - 3);
}

static void many_random_calls_agree_with_a_model(void)
{
	srandom(1);
	for (unsigned round = 0; round < 60000; round++) {
		const unsigned first = chance(N_PAGES), most = N_PAGES - first;
		const unsigned n = 1 + chance(most < 24 ? most : 24);

		switch (chance(12)) {
		case 0:
		case 1:
			do_map(first, n);
			break;
		case 2:
			do_unmap(first, n);
			break;
		case 3:
			do_protect(first, n);
			break;
		case 4:
			do_discard(first, n);
			break;
		case 5:
			do_remap(first, n);
			break;
		default:
			touch(first);
			break;
		}
		if (round % 64 == 0)
			look_all_over();
	}
	do_unmap(0, N_PAGES);
	nothing_is_left();
}

/* ---- one by one ---- */

static void places_are_found_and_hints_heard(void)
{
	const uint64_t g = 1ul << 30;
	const long big =
	        plat_mmap(NULL, 64 * g, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS);
	long a, b;

	CU_ASSERT_FATAL(big > 0);
	CU_ASSERT_EQUAL(vm_committed(), 0);
	a = plat_mmap((void *)AREA, 5000, PROT_READ, MAP_PRIVATE);
	b = plat_mmap((void *)AREA, 5000, PROT_READ, MAP_PRIVATE);
	CU_ASSERT_EQUAL(a, (long)AREA);
	CU_ASSERT(b > 0 && b + 8192 <= big);
	CU_ASSERT_EQUAL(plat_mmap(NULL, 1ul << 47, PROT_NONE, MAP_PRIVATE), -ENOMEM);
	CU_ASSERT_EQUAL(plat_mmap(NULL, 0, PROT_NONE, MAP_PRIVATE), -EINVAL);
	CU_ASSERT_EQUAL(plat_mmap(NULL, PAGE_SIZE, PROT_READ, MAP_PRIVATE | MAP_FIXED),
	                -EPERM);
	CU_ASSERT_EQUAL(plat_munmap((void *)(a + 1), 4096), -EINVAL);
	CU_ASSERT_EQUAL(plat_munmap((void *)a, 8192), 0);
	CU_ASSERT_EQUAL(plat_munmap((void *)b, 8192), 0);
	CU_ASSERT_EQUAL(plat_munmap((void *)big, 64 * g), 0);
	nothing_is_left();
}

static void memory_that_cannot_be_promised_is_refused(void)
{
	const size_t all = RAM_PAGES * PAGE_SIZE;
	long a, b;
	uint64_t before;

	CU_ASSERT_EQUAL(plat_mmap(NULL, all, PROT_READ | PROT_WRITE, MAP_PRIVATE),
	                -ENOMEM);
	CU_ASSERT_EQUAL(plat_mmap(NULL, all, PROT_READ | PROT_WRITE, MAP_SHARED),
	                -ENOMEM);
	a = plat_mmap(NULL, all, PROT_NONE, MAP_PRIVATE);
	CU_ASSERT_FATAL(a > 0);
	CU_ASSERT_EQUAL(plat_mprotect((void *)a, all, PROT_READ | PROT_WRITE), -ENOMEM);
	CU_ASSERT_EQUAL(plat_mprotect((void *)a, all / 2, PROT_READ | PROT_WRITE), 0);
	b = plat_mmap(NULL, all / 2, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	CU_ASSERT_EQUAL(b, -ENOMEM);
	/* What is replaced makes room for what replaces it. */
	before = vm_committed();
	CU_ASSERT_EQUAL(plat_mmap((void *)a, all / 2, PROT_READ | PROT_WRITE,
	                          MAP_PRIVATE | MAP_FIXED),
	                a);
	CU_ASSERT_EQUAL(vm_committed(), before);
	CU_ASSERT_EQUAL(plat_shm_create(all), -ENOMEM);
	CU_ASSERT_EQUAL(plat_munmap((void *)a, all), 0);
	nothing_is_left();
}

static void all_that_is_promised_can_be_touched(void)
{
	const size_t len = (pages_free_count() - 200 - 4) * PAGE_SIZE;
	const long a =
	        plat_mmap((void *)AREA, len, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	int sig, code;

	CU_ASSERT_EQUAL_FATAL(a, (long)AREA);
	for (uint64_t at = AREA; at < AREA + len; at += PAGE_SIZE)
		CU_ASSERT_EQUAL(vm_fault(at, 2, &sig, &code), 0);
	CU_ASSERT_EQUAL(plat_munmap((void *)a, len), 0);
	nothing_is_left();
}

static void without_memory_a_fault_is_sigbus(void)
{
	uint64_t taken[RAM_PAGES], n = 0, frame;
	const long a = plat_mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	int sig = 0, code = 0;

	while ((frame = page_alloc()) != FRAME_NONE)
		taken[n++] = frame;
	CU_ASSERT_EQUAL(vm_fault((uint64_t)a, 2, &sig, &code), -EFAULT);
	CU_ASSERT_EQUAL(sig, SIGBUS);
	CU_ASSERT_EQUAL(code, BUS_ADRERR);
	/* Enough for the page and one of three tables: nothing may be left behind. */
	page_free(taken[--n]);
	page_free(taken[--n]);
	CU_ASSERT_EQUAL(vm_fault((uint64_t)a, 2, &sig, &code), -EFAULT);
	CU_ASSERT_EQUAL(pages_free_count(), 2);
	while (n)
		page_free(taken[--n]);
	CU_ASSERT_EQUAL(vm_fault((uint64_t)a, 2, &sig, &code), 0);
	CU_ASSERT_EQUAL(plat_munmap((void *)a, 8192), 0);
	nothing_is_left();
}

static uint64_t *cell(uint64_t addr, bool write)
{
	uint64_t stop, *e;
	int sig, code;

	e = pt_leaf(addr, &stop);
	if (!e || !(*e & PTE_P) || (write && !(*e & PTE_W))) {
		if (vm_fault(addr, write ? 2 : 0, &sig, &code) != 0)
			return NULL;
		e = pt_leaf(addr, &stop);
	}
	return page_virt(*e & PTE_ADDR);
}

static void objects_are_shared_and_copied(void)
{
	const int id = plat_shm_create(3 * PAGE_SIZE);
	const int rw = PROT_READ | PROT_WRITE;
	const uint64_t a =
	        (uint64_t)plat_shm_map(id, 0, NULL, 4 * PAGE_SIZE, rw, MAP_SHARED);
	const uint64_t b =
	        (uint64_t)plat_shm_map(id, PAGE_SIZE, NULL, PAGE_SIZE, rw, MAP_SHARED);
	const uint64_t c =
	        (uint64_t)plat_shm_map(id, 0, NULL, 3 * PAGE_SIZE, rw, MAP_PRIVATE);
	int sig = 0, code = 0;

	CU_ASSERT(id >= 0 && a && b && c);
	*cell(a + PAGE_SIZE, true) = 11;
	CU_ASSERT_EQUAL(*cell(b, false), 11);
	CU_ASSERT_EQUAL(*cell(c + PAGE_SIZE, false), 11);
	*cell(b, true) = 12;
	CU_ASSERT_EQUAL(*cell(c + PAGE_SIZE, false), 12);
	*cell(c + PAGE_SIZE, true) = 13; /* its own from here on */
	CU_ASSERT_EQUAL(*cell(a + PAGE_SIZE, false), 12);
	CU_ASSERT_EQUAL(*cell(c + PAGE_SIZE, false), 13);
	CU_ASSERT_EQUAL(vm_fault(a + 3 * PAGE_SIZE, 0, &sig, &code), -EFAULT);
	CU_ASSERT_EQUAL(sig, SIGBUS);
	CU_ASSERT_EQUAL(code, BUS_ADRERR);
	/* Longer: the page is there; shorter: it is gone, the last one's rest is zero. */
	CU_ASSERT_EQUAL(plat_shm_resize(id, 4 * PAGE_SIZE), 0);
	CU_ASSERT_PTR_NOT_NULL(cell(a + 3 * PAGE_SIZE, true));
	cell(a, true)[100] = 7;
	CU_ASSERT_EQUAL(plat_shm_resize(id, 16), 0);
	CU_ASSERT_PTR_NULL(cell(b, false));
	CU_ASSERT_PTR_NULL(cell(c + PAGE_SIZE, false));
	CU_ASSERT_EQUAL(cell(a, false)[100], 0);
	CU_ASSERT_EQUAL(plat_shm_resize(id, 4 * PAGE_SIZE), 0);
	CU_ASSERT_EQUAL(*cell(b, false), 0);
	/* Mappings keep the object, the number does not. */
	plat_shm_free(id);
	CU_ASSERT_EQUAL(plat_shm_map(id, 0, NULL, PAGE_SIZE, rw, MAP_SHARED), -EBADF);
	*cell(a, true) = 1;
	CU_ASSERT_EQUAL(plat_munmap((void *)a, 4 * PAGE_SIZE), 0);
	CU_ASSERT_EQUAL(plat_munmap((void *)b, PAGE_SIZE), 0);
	CU_ASSERT_EQUAL(plat_munmap((void *)c, 3 * PAGE_SIZE), 0);
	nothing_is_left();
}

static void objects_may_be_sparse_and_punched(void)
{
	const int id = plat_shm_create(3000 * PAGE_SIZE);
	const uint64_t a = (uint64_t)plat_shm_map(id, 0, NULL, 3000 * PAGE_SIZE,
	                                          PROT_READ | PROT_WRITE, MAP_SHARED);
	uint64_t free_now;

	for (unsigned i = 0; i < 3000; i += 37)
		*cell(a + i * PAGE_SIZE, true) = i + 1;
	free_now = pages_free_count();
	CU_ASSERT_EQUAL(plat_madvise((void *)(a + 37 * PAGE_SIZE), 1000 * PAGE_SIZE,
	                             MADV_REMOVE),
	                0);
	CU_ASSERT(pages_free_count() >= free_now + 27);
	for (unsigned i = 0; i < 3000; i += 37)
		CU_ASSERT_EQUAL(*cell(a + i * PAGE_SIZE, false),
		                i >= 37 && i < 1037 ? 0 : i + 1);
	plat_shm_free(id);
	CU_ASSERT_EQUAL(plat_munmap((void *)a, 3000 * PAGE_SIZE), 0);
	nothing_is_left();
}

static void a_shared_mapping_can_be_doubled(void)
{
	const uint64_t a = (uint64_t)plat_mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE,
	                                       MAP_SHARED);
	const uint64_t b =
	        (uint64_t)plat_mremap((void *)a, 0, PAGE_SIZE, MREMAP_MAYMOVE, NULL);

	CU_ASSERT_NOT_EQUAL(a, b);
	*cell(a, true) = 5;
	CU_ASSERT_EQUAL(*cell(b, false), 5);
	CU_ASSERT_EQUAL(plat_munmap((void *)a, PAGE_SIZE), 0);
	*cell(b, true) = 6;
	CU_ASSERT_EQUAL(plat_munmap((void *)b, PAGE_SIZE), 0);
	nothing_is_left();
}

static void a_stack_grows_down_as_far_as_it_may(void)
{
	const uint64_t low = AREA, top = AREA + (64ul << 20);
	int sig = 0, code = 0;

	CU_ASSERT_EQUAL(plat_mmap((void *)top, PAGE_SIZE, PROT_READ | PROT_WRITE,
	                          MAP_PRIVATE | MAP_FIXED | MAP_GROWSDOWN),
	                (long)top);
	CU_ASSERT_EQUAL(vm_fault(top - 5 * PAGE_SIZE, 2, &sig, &code), 0);
	CU_ASSERT_EQUAL(ranges_find(top)->start, top - 5 * PAGE_SIZE);
	CU_ASSERT_EQUAL(vm_committed(), 6);
	CU_ASSERT_EQUAL(vm_fault(top - (9ul << 20), 2, &sig, &code), -EFAULT);
	CU_ASSERT_EQUAL(sig, SIGSEGV);
	/* Not up to a neighbour. */
	CU_ASSERT_EQUAL(plat_mmap((void *)(top - (2ul << 20)), PAGE_SIZE, PROT_READ,
	                          MAP_PRIVATE | MAP_FIXED),
	                (long)(top - (2ul << 20)));
	CU_ASSERT_EQUAL(vm_fault(top - (2ul << 20) + 2 * PAGE_SIZE, 2, &sig, &code),
	                -EFAULT);
	CU_ASSERT_EQUAL(plat_munmap((void *)low, top + PAGE_SIZE - low), 0);
	nothing_is_left();
}

/* Over the borders of tables, and taken out again in other pieces. */
static void a_run_of_pages_is_mapped_at_once(void)
{
	const uint64_t start = AREA - 3 * PAGE_SIZE, end = AREA + 515 * PAGE_SIZE;
	const uint64_t frames = pages_free_count(), bits = PTE_BORROWED | pt_bits(PROT_R);
	uint64_t stop, before = 0;

	CU_ASSERT_EQUAL_FATAL(pt_set_run(start, end, (5 * PAGE_SIZE) | bits), 0);
	for (uint64_t at = start; at < end; at += PAGE_SIZE) {
		const uint64_t *e = pt_leaf(at, &stop);

		CU_ASSERT_PTR_NOT_NULL_FATAL(e);
		CU_ASSERT_EQUAL(*e, (at - start + 5 * PAGE_SIZE) | bits);
	}
	CU_ASSERT_EQUAL(*pt_leaf(end, &stop), 0);
	before = pages_free_count();
	pt_unmap(start, AREA - PAGE_SIZE); /* one is left in that table */
	CU_ASSERT_EQUAL(pages_free_count(), before);
	pt_unmap(AREA - PAGE_SIZE, AREA + PAGE_SIZE);
	CU_ASSERT_EQUAL(pages_free_count(), before + 1);
	pt_unmap(AREA + PAGE_SIZE, end);
	CU_ASSERT_EQUAL(pages_free_count(), frames);
}

static void thousands_of_ranges_are_kept_apart(void)
{
	const unsigned n = 5000;
	unsigned char here;

	for (unsigned i = 0; i < n; i++)
		CU_ASSERT_EQUAL(plat_mmap((void *)(AREA + 2 * i * PAGE_SIZE), PAGE_SIZE,
		                          PROT_READ, MAP_PRIVATE | MAP_FIXED_NOREPLACE),
		                (long)(AREA + 2 * i * PAGE_SIZE));
	CU_ASSERT_EQUAL(ranges_count(), n);
	CU_ASSERT_EQUAL(plat_mincore((void *)AREA, PAGE_SIZE, &here), 0);
	CU_ASSERT_EQUAL(
	        plat_mincore((void *)AREA, 2 * PAGE_SIZE, (unsigned char[2]){0}),
	        -ENOMEM);
	/* The holes filled alike: one range. */
	for (unsigned i = 0; i < n; i++)
		(void)plat_mmap((void *)(AREA + (2 * i + 1) * PAGE_SIZE), PAGE_SIZE,
		                PROT_READ, MAP_PRIVATE | MAP_FIXED_NOREPLACE);
	CU_ASSERT_EQUAL(ranges_count(), 1);
	CU_ASSERT_EQUAL(plat_munmap((void *)AREA, 2 * n * PAGE_SIZE), 0);
	/* As many as Linux allows, then -ENOMEM; nothing breaks. */
	for (unsigned i = 0; i < RANGES_MAX - 1; i++)
		if (plat_mmap((void *)(AREA + 2 * i * PAGE_SIZE), PAGE_SIZE, PROT_READ,
		              MAP_PRIVATE | MAP_FIXED_NOREPLACE) < 0)
			CU_FAIL("fewer ranges than promised");
	CU_ASSERT_EQUAL(plat_mmap(NULL, PAGE_SIZE, PROT_READ, MAP_PRIVATE),
	                (long)-ENOMEM);
	CU_ASSERT_EQUAL(plat_munmap((void *)AREA, 2 * RANGES_MAX * PAGE_SIZE), 0);
	nothing_is_left();
}

int main(void)
{
	static CU_TestInfo tests[] = {
	        TEST(no_frame_is_given_twice_or_reserved),
	        TEST(frame_numbers_without_ram_are_lent),
	        TEST(many_random_calls_agree_with_a_model),
	        TEST(places_are_found_and_hints_heard),
	        TEST(memory_that_cannot_be_promised_is_refused),
	        TEST(all_that_is_promised_can_be_touched),
	        TEST(without_memory_a_fault_is_sigbus),
	        TEST(objects_are_shared_and_copied),
	        TEST(objects_may_be_sparse_and_punched),
	        TEST(a_shared_mapping_can_be_doubled),
	        TEST(a_stack_grows_down_as_far_as_it_may),
	        TEST(a_run_of_pages_is_mapped_at_once),
	        TEST(thousands_of_ranges_are_kept_apart),
	        CU_TEST_INFO_NULL,
	};

	boot();
	return suite_run("xen memory", NULL, NULL, tests);
}
