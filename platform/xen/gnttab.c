/* SPDX-License-Identifier: MIT */
/*
 * gnttab.c - mapping pages that other domains grant.
 *
 * A granted page gets a frame number of ours that holds no RAM (gfn_alloc()): Xen
 * kills a domain that maps a grant where something is mapped already.
 */
#include "platform/xen/grant.h"
#include "platform/xen/public.h"
#include "platform/xen/xen.h"

#define BATCH 64u
#define E_IO (-5)
#define E_AGAIN (-11)
#define E_NOMEM (-12)
#define E_ACCES (-13)
#define E_INVAL (-22)
#define E_NOSPC (-28)

static int grant_errno(int status)
{
	switch (status) {
	case GNTST_okay:
		return 0;
	case GNTST_bad_domain:
	case GNTST_bad_gntref:
	case GNTST_bad_handle:
	case GNTST_bad_virt_addr:
		return E_INVAL;
	case GNTST_permission_denied:
		return E_ACCES;
	case GNTST_no_space:
		return E_NOSPC;
	case GNTST_eagain:
		return E_AGAIN;
	default:
		return E_IO;
	}
}

/* Up to BATCH pages; the mapped ones of them in *done, all unless it fails. */
static int map_batch(unsigned domid, const uint32_t *refs, unsigned n, uint64_t gfn,
                     uint32_t *handles, unsigned *done)
{
	struct gnttab_map_grant_ref op[BATCH];
	int err = 0;
	long r;

	for (unsigned i = 0; i < n; i++)
		op[i] = (struct gnttab_map_grant_ref){.host_addr = (gfn + i)
		                                                   << PAGE_SHIFT,
		                                      .flags = GNTMAP_host_map,
		                                      .ref = refs[i],
		                                      .dom = (domid_t)domid,
		                                      .status = GNTST_general_error};
	r = hypercall(__HYPERVISOR_grant_table_op, GNTTABOP_map_grant_ref, (long)op, n,
	              0);
	*done = 0;
	for (unsigned i = 0; i < n && r == 0; i++) {
		if (op[i].status == GNTST_okay && !err) {
			handles[i] = op[i].handle;
			(*done)++;
		} else if (op[i].status == GNTST_okay) { /* behind one that failed */
			grant_unmap_frames(gfn + i, &op[i].handle, 1);
		} else if (!err) {
			err = grant_errno(op[i].status);
		}
	}
	return r < 0 ? (int)r : err;
}

static int map_frames(unsigned domid, const uint32_t *refs, unsigned n, uint64_t gfn,
                      uint32_t *handles)
{
	unsigned at = 0, k, done;
	int err;

	while (at < n) {
		k = n - at < BATCH ? n - at : BATCH;
		err = map_batch(domid, refs + at, k, gfn + at, handles + at, &done);
		if (err) {
			grant_unmap_frames(gfn, handles, at + done);
			return err;
		}
		at += k;
	}
	return 0;
}

void *gnttab_map(unsigned domid, const uint32_t *refs, unsigned n, uint32_t *handles,
                 int *err)
{
	const uint64_t gfn = gfn_alloc(n);
	void *at;

	*err = gfn == FRAME_NONE ? E_NOMEM : map_frames(domid, refs, n, gfn, handles);
	if (gfn == FRAME_NONE)
		return NULL;
	if (*err) {
		gfn_free(gfn, n);
		return NULL;
	}
	at = vm_window_map(gfn << PAGE_SHIFT, n);
	if (!at) {
		grant_unmap_frames(gfn, handles, n);
		gfn_free(gfn, n);
		*err = E_NOMEM;
	}
	return at;
}

void grant_unmap_frames(uint64_t gfn, const uint32_t *handles, unsigned n)
{
	struct gnttab_unmap_grant_ref op[BATCH];

	for (unsigned at = 0, k; at < n; at += k) {
		k = n - at < BATCH ? n - at : BATCH;
		for (unsigned i = 0; i < k; i++)
			op[i] = (struct gnttab_unmap_grant_ref){
			        .host_addr = (gfn + at + i) << PAGE_SHIFT,
			        .handle = handles[at + i]};
		/* Fails only for what is not mapped. */
		(void)hypercall(__HYPERVISOR_grant_table_op, GNTTABOP_unmap_grant_ref,
		                (long)op, k, 0);
	}
}

void gnttab_unmap(void *at, const uint32_t *handles, unsigned n)
{
	const uint64_t gfn = vm_phys(at) >> PAGE_SHIFT;

	vm_window_unmap(at, n);
	grant_unmap_frames(gfn, handles, n);
	gfn_free(gfn, n);
}
