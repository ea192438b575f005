/* SPDX-License-Identifier: MIT */
/*
 * evtchn.c - event channels: Xen's interrupts, with the 2-level bitmaps.
 *
 * A port is masked until it has a handler.  No event gets lost:
 *   1. A pending bit is cleared before its handler runs, and the selector before the
 *      words are read: what comes meanwhile sets them again.
 *   2. Unmasking a port whose bit is set asks Xen to raise the upcall anew: Xen raises
 *      it only when a bit of an unmasked port goes from 0 to 1.
 *   3. Who takes a pending bit by polling runs the handler as the upcall would.
 */
#include "platform/xen/evtchn.h"

#include "platform/xen/public.h"
#include "platform/xen/pvclock.h"
#include "platform/xen/xen.h"

#define N_PORTS 256u /* Xen gives the lowest number that is free; we use about ten */
#define WORD_BITS 64u
#define CALLBACK_VECTOR (UINT64_C(2) << 56)
#define E_NOSPC (-28)

static struct {
	evtchn_fn fn;
	void *arg;
	struct evtchn_send send; /* of this port, made once */
} g_ports[N_PORTS];

static long evtchn_op(unsigned op, void *arg)
{
	return hypercall(__HYPERVISOR_event_channel_op, op, (long)arg, 0, 0);
}

static xen_ulong_t bit_of(unsigned port)
{
	return (xen_ulong_t)1 << (port % WORD_BITS);
}

static bool take_pending(unsigned port)
{
	return (__atomic_fetch_and(&g_shared->evtchn_pending[port / WORD_BITS],
	                           ~bit_of(port), __ATOMIC_SEQ_CST) &
	        bit_of(port)) != 0;
}

static void mask(unsigned port)
{
	__atomic_fetch_or(&g_shared->evtchn_mask[port / WORD_BITS], bit_of(port),
	                  __ATOMIC_SEQ_CST);
}

static void unmask(unsigned port)
{
	struct evtchn_unmask op = {.port = port};

	__atomic_fetch_and(&g_shared->evtchn_mask[port / WORD_BITS], ~bit_of(port),
	                   __ATOMIC_SEQ_CST);
	if (!(__atomic_load_n(&g_shared->evtchn_pending[port / WORD_BITS],
	                      __ATOMIC_SEQ_CST) &
	      bit_of(port)))
		return;
	/* Rule 2; Xen looks only at masked ports. */
	mask(port);
	(void)evtchn_op(EVTCHNOP_unmask, &op); /* fails for no port that exists */
}

void evtchn_init(void)
{
	struct xen_hvm_param p = {.domid = DOMID_SELF,
	                          .index = HVM_PARAM_CALLBACK_IRQ,
	                          .value = CALLBACK_VECTOR | VEC_UPCALL};

	for (unsigned i = 0; i < WORD_BITS; i++)
		__atomic_store_n(&g_shared->evtchn_mask[i], ~(xen_ulong_t)0,
		                 __ATOMIC_SEQ_CST);
	if (hypercall(__HYPERVISOR_hvm_op, HVMOP_set_param, (long)&p, 0, 0) != 0)
		boot_die("Xen refuses the vector for event channels");
}

int evtchn_handle(unsigned port, evtchn_fn fn, void *arg)
{
	uint64_t flags;

	if (port == 0 || port >= N_PORTS)
		return E_NOSPC;
	flags = irq_off();
	g_ports[port].arg = arg;
	g_ports[port].fn = fn;
	g_ports[port].send.port = port;
	unmask(port);
	irq_restore(flags);
	return 0;
}

static int handle_new(unsigned port, evtchn_fn fn, void *arg)
{
	const int r = evtchn_handle(port, fn, arg);

	if (r < 0)
		evtchn_close(port);
	return r < 0 ? r : (int)port;
}

int evtchn_bind_virq(unsigned virq, evtchn_fn fn, void *arg)
{
	struct evtchn_bind_virq op = {.virq = virq, .vcpu = 0};
	const long r = evtchn_op(EVTCHNOP_bind_virq, &op);

	return r < 0 ? (int)r : handle_new(op.port, fn, arg);
}

int evtchn_bind_interdomain(unsigned domid, unsigned remote_port, evtchn_fn fn,
                            void *arg)
{
	struct evtchn_bind_interdomain op = {.remote_dom = (domid_t)domid,
	                                     .remote_port = remote_port};
	const long r = evtchn_op(EVTCHNOP_bind_interdomain, &op);

	return r < 0 ? (int)r : handle_new(op.local_port, fn, arg);
}

void evtchn_close(unsigned port)
{
	struct evtchn_close op = {.port = port};
	const uint64_t flags = irq_off();

	mask(port);
	(void)evtchn_op(EVTCHNOP_close, &op); /* fails only for a port that is closed */
	(void)take_pending(port);
	if (port < N_PORTS)
		g_ports[port].fn = NULL;
	irq_restore(flags);
}

/* The image in the map of all RAM: there Xen has one level of page tables less to walk
 * through for the argument. */
void evtchn_send(unsigned port)
{
	if (port < N_PORTS && g_ports[port].fn)
		(void)evtchn_op(EVTCHNOP_send, page_virt((uintptr_t)&g_ports[port].send));
	/* nobody at the other end: its death is noticed */
}

bool evtchn_peer_alive(unsigned port)
{
	struct evtchn_status op = {.dom = DOMID_SELF, .port = port};

	return evtchn_op(EVTCHNOP_status, &op) == 0 &&
	       op.status == EVTCHNSTAT_interdomain;
}

static void run(unsigned port)
{
	if (port < N_PORTS && g_ports[port].fn)
		g_ports[port].fn(port, g_ports[port].arg);
}

void evtchn_upcall(void)
{
	struct vcpu_info *v = &g_shared->vcpu_info[0];

	while (__atomic_exchange_n(&v->evtchn_upcall_pending, 0, __ATOMIC_SEQ_CST)) {
		xen_ulong_t sel = __atomic_exchange_n(&v->evtchn_pending_sel, 0,
		                                      __ATOMIC_SEQ_CST);

		for (; sel; sel &= sel - 1) {
			const unsigned w = (unsigned)__builtin_ctzl(sel);
			xen_ulong_t bits = __atomic_load_n(&g_shared->evtchn_pending[w],
			                                   __ATOMIC_SEQ_CST) &
			                   ~__atomic_load_n(&g_shared->evtchn_mask[w],
			                                    __ATOMIC_SEQ_CST);

			for (; bits; bits &= bits - 1) {
				const unsigned port =
				        w * WORD_BITS + (unsigned)__builtin_ctzl(bits);

				if (take_pending(port))
					run(port);
			}
		}
	}
}

uint64_t evtchn_time(void)
{
	const struct pvclock_time *t = (const void *)&g_shared->vcpu_info[0].time;
	uint32_t version, lo, hi;
	uint64_t ns;

	do {
		version = pvclock_begin(&t->version);
		__asm__ volatile("lfence; rdtsc" : "=a"(lo), "=d"(hi) : : "memory");
		ns = pvclock_at(t, (uint64_t)hi << 32 | lo);
	} while (pvclock_again(&t->version, version));
	return ns;
}

void evtchn_poll(unsigned port, uint64_t ns)
{
	evtchn_port_t ports[1] = {port};
	struct sched_poll op = {.nr_ports = 1};
	const uint64_t flags =
	        irq_off(); /* else any other port's event ends it at once */

	set_xen_guest_handle(op.ports, ports);
	op.timeout = evtchn_time() + ns;
	(void)hypercall(__HYPERVISOR_sched_op, SCHEDOP_poll, (long)&op, 0, 0);
	if (take_pending(port))
		run(port); /* rule 3 */
	irq_restore(flags);
}
