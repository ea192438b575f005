/* SPDX-License-Identifier: MIT */
/*
 * bare.c - the bare PVH guest: as little as a domain can be.
 *
 * Says a line on its PV console and ends; what Strait's start is compared with.  With a
 * command line "vchan PATH COUNT" it is first the client of a libxenvchan server in dom0,
 * at PATH, and sends COUNT messages of 16 bytes, each when the answer to the last has
 * come: what Strait's calls are compared with.  Rings must be of order 10 and 11 (both
 * in the first page).
 */
#define __XEN_INTERFACE_VERSION__ 0x00040e00
#include <stddef.h>
#include <stdint.h>
#include <xen/xen.h>
#include <xen/arch-x86/hvm/start_info.h>
#include <xen/event_channel.h>
#include <xen/grant_table.h>
#include <xen/hvm/hvm_op.h>
#include <xen/hvm/params.h>
#include <xen/io/console.h>
#include <xen/io/libxenvchan.h>
#include <xen/io/xs_wire.h>
#include <xen/memory.h>
#include <xen/sched.h>

#define RING_AT 0x20000000ul /* where no RAM is: the vchan's page */

extern char hypercall_page[];
void bare_main(struct hvm_start_info *info);
static struct shared_info g_shared __attribute__((aligned(4096)));

static long hypercall(unsigned nr, long a, long b, long c)
{
	char *entry = hypercall_page + nr * 32;
	long r;

	__asm__ volatile("call *%[entry]"
	                 : "=a"(r), "+D"(a), "+S"(b), "+d"(c)
	                 : [entry] "r"(entry)
	                 : "memory", "rcx", "r8", "r9", "r10", "r11");
	return r;
}

static void cpuid(uint32_t leaf, uint32_t r[4])
{
	__asm__ volatile("cpuid" : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]), "=d"(r[3]) : "a"(leaf), "c"(0));
}

static void hypercalls_on(void)
{
	uint32_t base = 0x40000000, r[4];

	for (cpuid(base, r); r[1] != 0x566e6558 || r[2] != 0x65584d4d; cpuid(base, r)) /* "XenVMM" */
		base += 0x100;
	cpuid(base + 2, r);
	__asm__ volatile("wrmsr" : : "c"(r[1]), "a"((uint32_t)(uintptr_t)hypercall_page), "d"(0) : "memory");
}

static uint64_t param(uint32_t index)
{
	struct xen_hvm_param p = {.domid = DOMID_SELF, .index = index};

	hypercall(__HYPERVISOR_hvm_op, HVMOP_get_param, (long)&p, 0);
	return p.value;
}

static void notify(evtchn_port_t port)
{
	struct evtchn_send send = {port};

	hypercall(__HYPERVISOR_event_channel_op, EVTCHNOP_send, (long)&send, 0);
}

static void say(const char *s)
{
	struct xencons_interface *ring = (void *)(param(HVM_PARAM_CONSOLE_PFN) << 12);
	evtchn_port_t port = (evtchn_port_t)param(HVM_PARAM_CONSOLE_EVTCHN);

	for (; *s; s++) {
		XENCONS_RING_IDX at = ring->out_prod;

		ring->out[MASK_XENCONS_IDX(at, ring->out)] = *s;
		__atomic_store_n(&ring->out_prod, at + 1, __ATOMIC_RELEASE);
	}
	notify(port);
}

/* Sleep until @port is pending, and take that. */
static void wait(evtchn_port_t port)
{
	struct sched_poll poll = {.nr_ports = 1};

	set_xen_guest_handle(poll.ports, &port);
	hypercall(__HYPERVISOR_sched_op, SCHEDOP_poll, (long)&poll, 0);
	__atomic_fetch_and(&g_shared.evtchn_pending[port / 64], ~(1ul << port % 64), __ATOMIC_SEQ_CST);
}

static size_t length(const char *s)
{
	size_t n = 0;

	while (s[n])
		n++;
	return n;
}

/* ---- xenstore: one request at a time ---- */

static struct xenstore_domain_interface *g_store;
static evtchn_port_t g_store_port;

static void store_put(const void *from, size_t n)
{
	for (const char *c = from; n--; c++) {
		g_store->req[MASK_XENSTORE_IDX(g_store->req_prod)] = *c;
		__atomic_store_n(&g_store->req_prod, g_store->req_prod + 1, __ATOMIC_RELEASE);
	}
}

static void store_get(void *to, size_t n)
{
	for (char *c = to; n--; c++) {
		while (__atomic_load_n(&g_store->rsp_prod, __ATOMIC_ACQUIRE) == g_store->rsp_cons)
			wait(g_store_port);
		*c = g_store->rsp[MASK_XENSTORE_IDX(g_store->rsp_cons)];
		__atomic_store_n(&g_store->rsp_cons, g_store->rsp_cons + 1, __ATOMIC_RELEASE);
	}
}

/* The number at PATH/NAME; 0 when there is none. */
static uint32_t store_number(const char *path, size_t n, const char *name)
{
	struct xsd_sockmsg m = {.type = XS_READ, .len = (uint32_t)(n + 1 + length(name) + 1)};
	uint32_t value = 0;
	char digit;

	store_put(&m, sizeof(m));
	store_put(path, n);
	store_put("/", 1);
	store_put(name, length(name) + 1);
	notify(g_store_port);
	store_get(&m, sizeof(m));
	for (uint32_t i = 0; i < m.len; i++) {
		store_get(&digit, 1);
		if (m.type != XS_ERROR)
			value = value * 10 + (uint32_t)(digit - '0');
	}
	notify(g_store_port);
	return value;
}

/* ---- vchan: client ---- */

static struct vchan_interface *g_ring;
static evtchn_port_t g_ring_port;

static void signal_peer(uint8_t bit)
{
	if (__atomic_fetch_and(&g_ring->cli_notify, (uint8_t)~bit, __ATOMIC_SEQ_CST) & bit)
		notify(g_ring_port);
}

static void ask(uint8_t bit)
{
	__atomic_fetch_or(&g_ring->srv_notify, bit, __ATOMIC_SEQ_CST);
}

static void send16(const char *from) /* the ring is empty: one answer for one message */
{
	char *ring = (char *)g_ring + (g_ring->left_order == 10 ? 1024 : 2048);
	uint32_t mask = (1u << g_ring->left_order) - 1, at = g_ring->left.prod;

	for (uint32_t i = 0; i < 16; i++)
		ring[(at + i) & mask] = from[i];
	__atomic_store_n(&g_ring->left.prod, at + 16, __ATOMIC_SEQ_CST);
	signal_peer(VCHAN_NOTIFY_WRITE);
}

static void recv16(char *to)
{
	char *ring = (char *)g_ring + (g_ring->right_order == 10 ? 1024 : 2048);
	uint32_t mask = (1u << g_ring->right_order) - 1, at = g_ring->right.cons;

	while (__atomic_load_n(&g_ring->right.prod, __ATOMIC_ACQUIRE) - at < 16) {
		ask(VCHAN_NOTIFY_WRITE);
		if (__atomic_load_n(&g_ring->right.prod, __ATOMIC_ACQUIRE) - at < 16)
			wait(g_ring_port);
	}
	for (uint32_t i = 0; i < 16; i++)
		to[i] = ring[(at + i) & mask];
	__atomic_store_n(&g_ring->right.cons, at + 16, __ATOMIC_SEQ_CST);
	signal_peer(VCHAN_NOTIFY_READ);
}

static int connect(domid_t domid, const char *path, size_t n)
{
	uint32_t ref = store_number(path, n, "ring-ref");
	struct evtchn_bind_interdomain bind = {.remote_dom = domid,
	                                    .remote_port = store_number(path, n, "event-channel")};
	struct gnttab_map_grant_ref map = {.host_addr = RING_AT, .flags = GNTMAP_host_map,
	                                   .ref = ref, .dom = domid};

	hypercall(__HYPERVISOR_grant_table_op, GNTTABOP_map_grant_ref, (long)&map, 1);
	if (map.status || hypercall(__HYPERVISOR_event_channel_op, EVTCHNOP_bind_interdomain, (long)&bind, 0))
		return -1;
	g_ring = (void *)RING_AT;
	g_ring_port = bind.local_port;
	g_ring->cli_live = 1;
	notify(g_ring_port);
	return 0;
}

static uint32_t number(const char **at)
{
	uint32_t v = 0;

	while (**at == ' ')
		++*at;
	while (**at >= '0' && **at <= '9')
		v = v * 10 + (uint32_t)(*(*at)++ - '0');
	return v;
}

/* "vchan DOMID PATH COUNT" */
static void vchan(const char *line)
{
	struct xen_add_to_physmap add = {.domid = DOMID_SELF, .space = XENMAPSPACE_shared_info,
	                                 .gpfn = (xen_pfn_t)((uintptr_t)&g_shared >> 12)};
	char out[16] = "round and round", in[16];
	uint32_t count, bad = 0;
	const char *path, *rest = line + 5;
	domid_t domid = (domid_t)number(&rest);
	size_t n = 0;

	hypercall(__HYPERVISOR_memory_op, XENMEM_add_to_physmap, (long)&add, 0);
	g_store = (void *)(param(HVM_PARAM_STORE_PFN) << 12);
	g_store_port = (evtchn_port_t)param(HVM_PARAM_STORE_EVTCHN);
	for (path = rest + 1; path[n] && path[n] != ' ';)
		n++;
	rest = path + n;
	count = number(&rest);
	if (connect(domid, path, n) != 0) {
		say("bare: no vchan\n");
		return;
	}
	while (count--) {
		out[15] = (char)count;
		send16(out);
		recv16(in);
		bad |= in[15] != out[15];
	}
	g_ring->cli_live = 0;
	notify(g_ring_port);
	say(bad ? "bare: wrong answers\n" : "bare: vchan done\n");
}

void bare_main(struct hvm_start_info *info)
{
	const char *line = info->cmdline_paddr ? (const char *)info->cmdline_paddr : "";
	struct sched_shutdown end = {SHUTDOWN_poweroff};

	hypercalls_on();
	if (line[0] == 'v')
		vchan(line);
	say("hello, world\n");
	hypercall(__HYPERVISOR_sched_op, SCHEDOP_shutdown, (long)&end, 0);
	for (;;)
		__asm__ volatile("hlt");
}
