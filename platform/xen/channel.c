/* SPDX-License-Identifier: MIT */
/*
 * channel.c - the guest's end of its vchans: libxenvchan's client, by hand.
 *
 *   absent ──channel_init()──> open ──keeper: the peer is gone──> private
 *                              │  ^────plat_channel_renew()─────────┘
 *                              └───channel_close_all()───> closed, the guest ends
 *
 * The service is hostile: orders and grants are read once, from then on its page is
 * only rpc's affair.  The peer's death shows as its live byte at 0 (its event comes),
 * as a port that is bound to nobody, or as a node that went from xenstore.  Then every
 * page of its is replaced by a private copy, at the same address: libos threads may be
 * reading at this moment, find what the service had published, and the live byte at 0.
 * No page of the dead domain stays mapped, so that it does not linger as a zombie.
 *
 * The next instance may live in another domain: dom0 then names it anew in the guest's
 * own nodes, and may tell its channel there too.  Its pages take the places of the private
 * copies.
 */
#include "platform/lock.h"
#include "platform/xen/cmdline.h"
#include "platform/xen/config.h"
#include "platform/xen/evtchn.h"
#include "platform/xen/grant.h"
#include "platform/xen/keeper.h"
#include "platform/xen/vm.h"
#include "platform/xen/xenstore.h"
#include "vchan/wire.h"

#include <errno.h>
#include <string.h>

#define ORDER_MIN 12u
#define ORDER_MAX 20u /* 1 MiB each way: the grants of more do not fit the page */
#define DATA_PAGES_MAX (2u << (ORDER_MAX - PAGE_SHIFT))
#define GRANTS_OFFSET 24u
#define WAIT_NS UINT64_C(30000000000) /* for the service to make its end */
#define PAUSE_NS 10000000ul
#define LOOK_NS UINT64_C(1000000000)
#define NEXT_NS UINT64_C(100000000) /* from look to look for the next instance, untold */

_Static_assert(GRANTS_OFFSET + 4 * DATA_PAGES_MAX <= VCHAN_STRAIT_OFFSET,
               "Strait's area");

enum { CH_ABSENT, CH_OPEN, CH_PRIVATE };

static struct channel {
	struct vchan_wire *ctl;
	char *data; /* left ring, then right ring */
	unsigned port, n_data;
	uint8_t state;     /* IF=0 */
	bool unwatched;    /* the keeper is to watch the nodes at peer_at; g_lock, as that */
	_Atomic bool gone; /* the peer is: the keeper is to look */
	_Atomic bool moves; /* ... and dom0 says that the next one lives elsewhere */
	uint64_t ctl_gfn, data_gfn;
	uint64_t spare[2]; /* frames for when there is no memory */
	bool promised;     /* there is memory for copies of the data */
	char port_path[SERVICE_PATH_MAX + 20], peer_path[SERVICE_PATH_MAX + 20], epoch_path[32];
	char next_path[32], peer_at[SERVICE_PATH_MAX];
	uint32_t ctl_handle, handles[DATA_PAGES_MAX];
	struct offer {
		uint32_t domid, epoch, ref, port;
		char path[SERVICE_PATH_MAX];
	} next; /* of the recovery thread */
	struct offer told; /* by dom0, not taken yet: epoch 0: nothing; g_lock */
} g_channels[N_SERVICES];

/* Counts what xenstore said of services: who looks for the next one waits for it. */
static _Atomic uint32_t g_news;

/* Letting go and taking anew: keeper and recovery threads, which may sleep on it. */
static struct lock g_lock = LOCK_INIT;

/* ---- notifications; IF=0 ---- */

static void on_event(unsigned port, void *arg)
{
	struct channel *ch = arg;

	(void)port;
	doorbell_ring_locked();
	if (ch->state == CH_OPEN && ch->ctl && !ch->ctl->srv_live) {
		ch->gone = true;
		keeper_wake();
	}
}

void plat_channel_notify(unsigned id)
{
	if (id < N_SERVICES && g_channels[id].state == CH_OPEN)
		evtchn_send(g_channels[id].port);
}

/* ---- connecting ---- */

static size_t join(char *to, size_t size, const char *a, const char *b)
{
	size_t n = 0;

	for (; *a && n + 1 < size; a++)
		to[n++] = *a;
	for (; *b && n + 1 < size; b++)
		to[n++] = *b;
	to[n] = '\0';
	return n;
}

static _Noreturn void die(const struct service_node *s, const char *what)
{
	config_die("service ", s->name, what);
}

static _Noreturn void die_of(const struct service_node *s, const char *what, int err)
{
	char text[120];

	join(text, sizeof(text), what,
	     err == -ENOMEM   ? ": out of memory"
	     : err == -EINVAL ? ": no such grant or port of that domain"
	     : err == -EACCES ? ": the grant is not for this domain"
	     : err == -ENOSPC ? ": a limit of Xen's is reached"
	                      : ": Xen refuses");
	die(s, text);
}

struct rendezvous {
	char ref_path[SERVICE_PATH_MAX + 20];
	char ref[16], port[16];
};

/* Not yet: the node is not written, or written and not yet granted to us. */
static bool not_yet(int result)
{
	return result == -ENOENT || result == -EACCES;
}

/* One look at all services' nodes; how many are complete. */
static unsigned look(struct rendezvous *meet)
{
	struct xenstore_node nodes[2 * N_SERVICES];
	unsigned n = 0, ready = 0;

	for (unsigned i = 0; i < N_SERVICES; i++) {
		if (!g_services[i].present)
			continue;
		nodes[n++] = (struct xenstore_node){meet[i].ref_path, meet[i].ref,
		                                    sizeof(meet[i].ref), 0};
		nodes[n++] = (struct xenstore_node){
		        g_channels[i].port_path, meet[i].port, sizeof(meet[i].port), 0};
	}
	xenstore_read_all(nodes, n);
	for (unsigned i = 0; i < n; i++) {
		if (nodes[i].result < 0 && !not_yet(nodes[i].result))
			config_die("xenstore: ", nodes[i].path,
			           nodes[i].result == -ETIMEDOUT
			                   ? ": xenstored does not answer"
			                   : " cannot be read");
		if (nodes[i].result < 0)
			nodes[i].to[0] = '\0';
		else
			ready++;
	}
	return ready;
}

static void wait_for_services(struct rendezvous *meet)
{
	const uint64_t end = evtchn_time() + WAIT_NS;
	unsigned n = 0;

	for (unsigned i = 0; i < N_SERVICES; i++) {
		n += g_services[i].present ? 2 : 0;
		join(meet[i].ref_path, sizeof(meet[i].ref_path), g_services[i].path,
		     "/ring-ref");
		join(g_channels[i].port_path, sizeof(g_channels[i].port_path),
		     g_services[i].path, "/event-channel");
	}
	while (n && look(meet) < n) {
		for (unsigned i = 0; i < N_SERVICES; i++)
			if (evtchn_time() > end && g_services[i].present &&
			    (!meet[i].ref[0] || !meet[i].port[0]))
				die(&g_services[i],
				    ": it does not offer its channel within 30 s");
		xenstore_pause(PAUSE_NS);
	}
}

static uint32_t number(const struct service_node *s, const char *text, const char *what)
{
	uint64_t v;

	if (!cmdline_number(text, UINT32_MAX, &v))
		die(s, what);
	return (uint32_t)v;
}

/* The orders are read here, once. */
static unsigned ring_order(const struct service_node *s, const struct vchan_wire *ctl)
{
	const unsigned left = __atomic_load_n(&ctl->left_order, __ATOMIC_RELAXED);
	const unsigned right = __atomic_load_n(&ctl->right_order, __ATOMIC_RELAXED);

	if (left != right || left < ORDER_MIN || left > ORDER_MAX)
		die(s, ": its rings have a size that is not allowed");
	return left;
}

static void map_rings(struct channel *ch, const struct service_node *s, uint32_t ref,
                      struct plat_channel *to)
{
	static uint32_t refs[DATA_PAGES_MAX];
	int err;

	ch->ctl = gnttab_map(s->domid, &ref, 1, &ch->ctl_handle, &err);
	if (!ch->ctl)
		die_of(s, ": its control page cannot be mapped", err);
	ch->ctl_gfn = vm_phys(ch->ctl) >> PAGE_SHIFT;
	to->order = ring_order(s, ch->ctl);
	ch->n_data = 2u << (to->order - PAGE_SHIFT);
	memcpy(refs, (const char *)ch->ctl + GRANTS_OFFSET, 4ul * ch->n_data);
	ch->data = gnttab_map(s->domid, refs, ch->n_data, ch->handles, &err);
	if (!ch->data)
		die_of(s, ": its rings cannot be mapped", err);
	ch->data_gfn = vm_phys(ch->data) >> PAGE_SHIFT;
	to->ctl = ch->ctl;
	to->left = ch->data;
	to->right = ch->data + (1ul << to->order);
}

static void connect_to(unsigned id, const struct rendezvous *meet,
                       struct plat_channel *to)
{
	const struct service_node *s = &g_services[id];
	struct channel *ch = &g_channels[id];
	const uint32_t ref = number(s, meet->ref, ": its ring-ref is malformed");
	const uint32_t remote =
	        number(s, meet->port, ": its event-channel is malformed");
	uint64_t flags;
	int port;

	map_rings(ch, s, ref, to);
	if (ch->ctl->srv_live != 1)
		die(s, ": it has closed its channel");
	flags = irq_off();
	ch->spare[0] = page_alloc();
	ch->spare[1] = page_alloc();
	ch->promised = g_config.recover_ns && vm_commit(ch->n_data) == 0;
	irq_restore(flags);
	if (ch->spare[0] == FRAME_NONE || ch->spare[1] == FRAME_NONE)
		die(s, ": out of memory");
	port = evtchn_bind_interdomain(s->domid, remote, on_event, ch);
	if (port < 0)
		die_of(s, ": its event channel cannot be bound", port);
	ch->port = (unsigned)port;
	ch->state = CH_OPEN;
	to->id = id;
	to->epoch = s->epoch;
	/* As libxenvchan's client does; a server that waits for it wakes. */
	ch->ctl->cli_live = 1;
	ch->ctl->srv_notify = WIRE_NOTIFY_WRITE;
	evtchn_send(ch->port);
}

void channel_init(void)
{
	static struct rendezvous meet[N_SERVICES];

	wait_for_services(meet);
	if (g_services[0].present)
		connect_to(0, &meet[0], &g_config.file);
	if (g_services[1].present)
		connect_to(1, &meet[1], &g_config.net);
}

/* ---- the peer's death ---- */

/* Put a private frame behind @at; with its content when there is memory for that. */
static void make_private(void *at, uint64_t spare, bool keep)
{
	const uint64_t flags = irq_off();
	const uint64_t own = keep ? page_alloc() : FRAME_NONE;
	uint64_t stop, *entry = pt_leaf((uintptr_t)at, &stop);

	if (own != FRAME_NONE)
		memcpy(page_virt(own), at, PAGE_SIZE);
	*entry = (own != FRAME_NONE ? own : spare) | PTE_FRAME | PTE_BORROWED |
	         pt_bits(PROT_R | PROT_W);
	pt_flush((uintptr_t)at);
	irq_restore(flags);
}

/* The control page first: what its indices tell is then in the copies of the data. */
static void release(struct channel *ch)
{
	const uint64_t flags = irq_off();
	const bool was_open = ch->state == CH_OPEN;
	struct vchan_wire *copy = page_virt(ch->spare[0]);
	bool keep;

	ch->state = was_open ? CH_PRIVATE : ch->state;
	if (!was_open) {
		irq_restore(flags);
		return;
	}
	/* What the program was promised stays its own. */
	keep = ch->promised || vm_commit(ch->n_data) == 0;
	ch->promised = keep;
	memcpy(copy, ch->ctl, PAGE_SIZE);
	copy->srv_live = 0;
	if (!keep) /* what was published is lost: nothing is there to read */
		copy->right_prod = copy->right_cons;
	make_private(ch->ctl, ch->spare[0], false);
	irq_restore(flags);
	for (unsigned i = 0; i < ch->n_data; i++)
		make_private(ch->data + i * PAGE_SIZE, ch->spare[1], keep);
	evtchn_close(ch->port);
	grant_unmap_frames(ch->ctl_gfn, &ch->ctl_handle, 1);
	grant_unmap_frames(ch->data_gfn, ch->handles, ch->n_data);
	gfn_free(ch->ctl_gfn, 1);
	gfn_free(ch->data_gfn, ch->n_data);
	plat_doorbell_ring();
}

/* ---- another instance ---- */

#define N_OWN 2u  /* nodes of ours, by dom0: where it lives, */
#define N_PEER 3u /* ... of the service: its channel */

struct reading {
	char at[N_OWN + N_PEER][SERVICE_PATH_MAX + 20], text[1 + N_PEER][16];
	struct xenstore_node nodes[N_OWN + N_PEER];
};

/* In our own folder. */
static void own_path(char *to, size_t size, unsigned id, const char *rest)
{
	const size_t n = join(to, size, "strait/", g_services[id].name);

	join(to + n, size - n, rest, "");
}

/* The epoch is read first: with a new one the ring is new, and the port too, or not there
 * yet. */
static void ask_at(struct reading *r, const char *path)
{
	static const char *const names[N_PEER] = {"/epoch", "/ring-ref", "/event-channel"};

	for (unsigned i = 0; i < N_PEER; i++) {
		join(r->at[N_OWN + i], sizeof(r->at[0]), path, names[i]);
		r->nodes[N_OWN + i] = (struct xenstore_node){r->at[N_OWN + i], r->text[1 + i],
		                                             sizeof(r->text[0]), 0};
	}
}

/* Where the service's nodes are, or will be; under g_lock. */
static void watch_at(struct channel *ch, const char *path)
{
	uint64_t flags;

	if (strcmp(ch->peer_at, path) == 0)
		return;
	join(ch->peer_at, sizeof(ch->peer_at), path, "");
	ch->unwatched = true;
	flags = irq_off();
	keeper_wake();
	irq_restore(flags);
}

/* What dom0 and the service say of an instance that may be a new one.  False: there is
 * none, or not all of it is there yet.  Read at once, as if it lived where it did, unless
 * dom0 says otherwise. */
static bool look_for_next(unsigned id, struct offer *to)
{
	const struct service_node *s = &g_services[id];
	uint32_t *const values[4] = {&to->domid, &to->epoch, &to->ref, &to->port};
	const bool elsewhere = g_channels[id].moves;
	struct reading r;
	char (*const text)[16] = r.text;

	for (unsigned i = 0; i < N_OWN; i++)
		own_path(r.at[i], sizeof(r.at[i]), id, i ? "/path" : "/backend-id");
	r.nodes[0] = (struct xenstore_node){r.at[0], text[0], sizeof(text[0]), 0};
	r.nodes[1] = (struct xenstore_node){r.at[1], to->path, sizeof(to->path), 0};
	ask_at(&r, s->path);
	xenstore_read_all(r.nodes, elsewhere ? N_OWN : N_OWN + N_PEER);
	if (r.nodes[0].result <= 0 || r.nodes[1].result <= 0 || to->path[0] != '/')
		return false;
	if (elsewhere || strcmp(to->path, s->path) != 0) {
		ask_at(&r, to->path);
		xenstore_read_all(r.nodes + N_OWN, N_PEER);
	}
	lock_take(&g_lock); /* it may be long until its domain is up */
	watch_at(&g_channels[id], to->path);
	lock_drop(&g_lock);
	for (unsigned i = 0; i < N_PEER; i++)
		if (r.nodes[N_OWN + i].result <= 0)
			return false;
	for (unsigned i = 0; i < 4; i++) {
		uint64_t v;

		if (!cmdline_number(text[i], UINT32_MAX, &v))
			return false;
		*values[i] = (uint32_t)v;
	}
	return to->epoch > s->epoch;
}

/* What dom0 told.  Once: if it is of no use, the nodes say what is. */
static bool take_told(struct channel *ch)
{
	bool news;

	lock_take(&g_lock);
	news = ch->told.epoch > g_services[ch - g_channels].epoch;
	if (news)
		ch->next = ch->told;
	ch->told.epoch = 0;
	lock_drop(&g_lock);
	return news;
}

int plat_channel_reopen(unsigned id, uint64_t deadline, uint32_t *epoch)
{
	struct channel *ch = &g_channels[id];

	for (;;) {
		const uint32_t seen = g_news;
		const uint64_t flags = irq_off(), now = plat_mono_ns();

		if (ch->state == CH_OPEN) { /* whoever asks is done with it */
			ch->gone = true;
			keeper_wake();
		}
		irq_restore(flags);
		if (ch->state == CH_PRIVATE &&
		    (take_told(ch) || look_for_next(id, &ch->next))) {
			*epoch = ch->next.epoch;
			return 0;
		}
		if (now >= deadline)
			return -ETIMEDOUT;
		(void)plat_futex_wait(&g_news, seen,
		                      deadline - now < NEXT_NS ? deadline : now + NEXT_NS);
	}
}

/* The pages of a new instance, mapped elsewhere. */
struct fresh {
	struct vchan_wire *ctl;
	char *data;
	uint32_t ctl_handle, *handles;
	unsigned port;
};

static uint32_t g_next_refs[DATA_PAGES_MAX], g_next_handles[DATA_PAGES_MAX];

/* Under g_lock. */
static int map_next(struct channel *ch, struct fresh *f)
{
	const unsigned order =
	        (unsigned)__builtin_ctz(ch->n_data) - 1 + PAGE_SHIFT;
	const struct offer *o = &ch->next;
	int err = 0;

	f->ctl = gnttab_map(o->domid, &o->ref, 1, &f->ctl_handle, &err);
	if (!f->ctl)
		return err;
	if (__atomic_load_n(&f->ctl->left_order, __ATOMIC_RELAXED) != order ||
	    __atomic_load_n(&f->ctl->right_order, __ATOMIC_RELAXED) != order)
		err = -EINVAL;
	if (!err) {
		memcpy(g_next_refs, (const char *)f->ctl + GRANTS_OFFSET, 4ul * ch->n_data);
		f->handles = g_next_handles;
		f->data = gnttab_map(o->domid, g_next_refs, ch->n_data, f->handles, &err);
	}
	if (!err) {
		const int port = evtchn_bind_interdomain(o->domid, o->port, on_event, ch);

		f->port = (unsigned)port;
		err = port < 0 ? port : 0;
		if (err)
			gnttab_unmap(f->data, f->handles, ch->n_data);
	}
	if (err)
		gnttab_unmap(f->ctl, &f->ctl_handle, 1);
	return err;
}

/* The frame @gfn at @at, where a private one was.  IF=0. */
static void put_page(const struct channel *ch, char *at, uint64_t gfn)
{
	uint64_t stop, *entry = pt_leaf((uintptr_t)at, &stop);
	const uint64_t was = *entry & PTE_ADDR;

	*entry = gfn << PAGE_SHIFT | PTE_FRAME | PTE_BORROWED | pt_bits(PROT_R | PROT_W);
	pt_flush((uintptr_t)at);
	if (was != ch->spare[0] && was != ch->spare[1])
		page_free(was);
}

/* Nobody uses the old memory now; afterwards the new one stands there. */
static void put_next(struct channel *ch, const struct fresh *f)
{
	const uint64_t flags = irq_off();

	ch->ctl_gfn = vm_phys(f->ctl) >> PAGE_SHIFT;
	ch->data_gfn = vm_phys(f->data) >> PAGE_SHIFT;
	put_page(ch, (char *)ch->ctl, ch->ctl_gfn);
	for (unsigned i = 0; i < ch->n_data; i++)
		put_page(ch, ch->data + i * PAGE_SIZE, ch->data_gfn + i);
	ch->ctl_handle = f->ctl_handle;
	memcpy(ch->handles, f->handles, 4ul * ch->n_data);
	ch->port = f->port;
	ch->gone = false;
	ch->state = CH_OPEN;
	keeper_wake();
	irq_restore(flags);
	vm_window_unmap(f->ctl, 1);
	vm_window_unmap(f->data, ch->n_data);
}

static void follow_next(unsigned id)
{
	struct service_node *s = &g_services[id];
	struct channel *ch = &g_channels[id];

	s->domid = ch->next.domid;
	s->epoch = ch->next.epoch;
	join(s->path, sizeof(s->path), ch->next.path, "");
	watch_at(ch, s->path);
	ch->moves = false;
}

int plat_channel_renew(unsigned id)
{
	struct channel *ch = &g_channels[id];
	struct fresh f;
	int r = -EPIPE;

	lock_take(&g_lock);
	if (ch->state == CH_PRIVATE)
		r = map_next(ch, &f);
	if (r == 0) {
		follow_next(id);
		put_next(ch, &f);
		ch->ctl->cli_live = 1;
		ch->ctl->srv_notify = WIRE_NOTIFY_WRITE;
		evtchn_send(ch->port);
	}
	lock_drop(&g_lock);
	return r;
}

/* ---- the keeper's part ---- */

static void tell_news(void)
{
	const uint64_t flags = irq_off();

	g_news++;
	(void)futex_wake_locked(&g_news, N_SERVICES);
	irq_restore(flags);
}

/* The service takes its port away with the channel, and gives one when all else of the
 * next one is there. */
static void on_peer_node(const char *path, void *arg)
{
	struct channel *ch = arg;
	char value[16];

	if (ch->state == CH_OPEN && not_yet(xenstore_read(path, value, sizeof(value))))
		ch->gone = true;
	tell_news();
}

/* "EPOCH DOMID RING PORT PATH", of that epoch; else o->epoch is 0. */
static void read_told(char *text, uint32_t epoch, struct offer *o)
{
	uint32_t *const to[4] = {&o->epoch, &o->domid, &o->ref, &o->port};
	char *at = text;
	uint64_t v;

	for (unsigned i = 0; i < 4; i++) {
		char *end = strchr(at, ' ');

		if (end)
			*end = '\0';
		if (!end || !cmdline_number(at, UINT32_MAX, &v))
			break;
		*to[i] = (uint32_t)v;
		at = end + 1;
	}
	if (*at != '/' || strlen(at) >= sizeof(o->path) || o->epoch != epoch)
		o->epoch = 0;
	else
		join(o->path, sizeof(o->path), at, "");
}

/* dom0 says that the service is another domain now: the one before has ended, or stands
 * still for good. */
static void on_epoch_node(const char *path, void *arg)
{
	struct channel *ch = arg;
	struct service_node *s = &g_services[ch - g_channels];
	char value[16], told[SERVICE_PATH_MAX + 48], text[96];
	struct xenstore_node nodes[2] = {{path, value, sizeof(value), 0},
	                                 {ch->next_path, told, sizeof(told), 0}};
	struct offer next = {.epoch = 0};
	uint64_t epoch;
	size_t n;

	xenstore_read_all(nodes, 2);
	if (nodes[0].result < 0 || !cmdline_number(value, UINT32_MAX, &epoch))
		return;
	if (nodes[1].result > 0)
		read_told(told, (uint32_t)epoch, &next);
	if (g_config.recover_ns) {
		lock_take(&g_lock); /* the recovery thread may have gone there meanwhile */
		if ((uint32_t)epoch > s->epoch) {
			ch->moves = ch->gone = true;
			ch->told = next;
		}
		lock_drop(&g_lock);
		tell_news();
		return;
	}
	if ((uint32_t)epoch == s->epoch)
		return;
	s->epoch = (uint32_t)epoch;
	n = join(text, sizeof(text) - 1, "strait: a new instance of service ", s->name);
	n += join(text + n, sizeof(text) - 1 - n,
	          " was announced: this program does not reconnect", "\n");
	plat_log(text, n);
}

/* Under g_lock.  Without it the port's state tells, a second later. */
static void watch_peer(struct channel *ch)
{
	if (ch->peer_path[0])
		xenstore_unwatch(ch->peer_path);
	join(ch->peer_path, sizeof(ch->peer_path), ch->peer_at, "/event-channel");
	(void)xenstore_watch(ch->peer_path, on_peer_node, ch);
	ch->unwatched = false;
}

static void watch_nodes(void)
{
	static bool done;

	if (done)
		return;
	done = true;
	for (unsigned i = 0; i < N_SERVICES; i++) {
		struct channel *ch = &g_channels[i];

		if (ch->state != CH_OPEN)
			continue;
		own_path(ch->epoch_path, sizeof(ch->epoch_path), i, "/epoch");
		own_path(ch->next_path, sizeof(ch->next_path), i, "/next");
		join(ch->peer_at, sizeof(ch->peer_at), g_services[i].path, "");
		watch_peer(ch);
		(void)xenstore_watch(ch->epoch_path, on_epoch_node, ch);
	}
}

uint64_t channel_keep(uint64_t now)
{
	static uint64_t next_look;
	const bool look_now = now >= next_look;
	bool any = false;

	watch_nodes();
	for (unsigned i = 0; i < N_SERVICES; i++) {
		struct channel *ch = &g_channels[i];

		if (ch->state == CH_ABSENT)
			continue;
		lock_take(&g_lock);
		if (ch->state == CH_OPEN &&
		    (ch->gone || !ch->ctl->srv_live ||
		     (look_now && !evtchn_peer_alive(ch->port))))
			release(ch);
		any |= ch->state == CH_OPEN;
		if (ch->unwatched)
			watch_peer(ch);
		lock_drop(&g_lock);
	}
	if (look_now)
		next_look = now + LOOK_NS;
	return any ? next_look : PLAT_NO_DEADLINE;
}

/* The guest ends: IF=0, nobody looks at the rings again. */
void channel_close_all(void)
{
	for (unsigned i = 0; i < N_SERVICES; i++) {
		struct channel *ch = &g_channels[i];

		if (ch->state != CH_OPEN)
			continue;
		ch->state = CH_PRIVATE;
		ch->ctl->cli_live = 0;
		evtchn_send(ch->port);
		evtchn_close(ch->port);
		grant_unmap_frames(ch->ctl_gfn, &ch->ctl_handle, 1);
		grant_unmap_frames(ch->data_gfn, ch->handles, ch->n_data);
	}
}
