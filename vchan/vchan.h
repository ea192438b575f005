/* SPDX-License-Identifier: MIT */
/*
 * vchan.h - the service's end of a vchan, above libxenvchan.
 *
 * Wraps what libxenvchan's byte calls cannot do well: look at a ring in place,
 * publish several pieces at once, arm and notify.  This folder alone looks into
 * struct libxenvchan.  Indices that break the rules (more ready than the ring
 * holds) are reported, never repaired.
 *
 * Layer:   vchan.
 * Locking: one reader thread and one writer at a time (the caller's lock).
 */
#ifndef VCHAN_VCHAN_H
#define VCHAN_VCHAN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

struct vchan_end;

/* Strait's part of the control page: its last 256 bytes, used when hello agrees.
 * Each cache line has one writer. */
struct vchan_strait {
	/* written by the service */
	_Atomic uint32_t srv_running;  /* cpu + 1 while it polls or works; 0 asleep */
	_Atomic uint32_t srv_beat;     /* heartbeat, counts up */
	_Atomic uint64_t srv_beat_ns;  /* CLOCK_MONOTONIC of the last beat */
	uint8_t pad0[48];
	/* written by the guest */
	_Atomic uint32_t cli_running;  /* cpu + 1 while a thread polls this ring; 0 none */
	uint8_t pad1[60];
	uint8_t spare[128];
};
_Static_assert(sizeof(struct vchan_strait) == 256, "strait area");
#define VCHAN_STRAIT_OFFSET (4096u - 256u)

/* Before vchan_server_open(): what the supervisor handed over for it, which this
 * takes.  Hosted the ring, the guest's event and doorbell; on Xen nothing, all -1.
 * 0 or negative errno. */
int vchan_offer(int domid, const char *xs_path, const int fds[3])
	__attribute__((warn_unused_result));
/* Make the server end for guest @domid at @xs_path: libxenvchan_server_init().
 * Returns NULL with errno set. */
struct vchan_end *vchan_server_open(int domid, const char *xs_path, unsigned order);
/* On Xen, what the guest must be told to find the channel; hosted 0 and 0. */
void vchan_address(const struct vchan_end *v, uint32_t *ring_ref, uint32_t *port);
/* What vchan_server_open() opens and asks of it, for a sandbox; both end with 0. */
extern const char *const g_vchan_devices[];
extern const unsigned long g_vchan_ioctls[];
/* To the landlock rules @rules: those devices may be opened.  0 or negative errno. */
int vchan_allow_devices(int rules) __attribute__((warn_unused_result));
void vchan_close(struct vchan_end *v);
/* On Xen only: libxenvchan's own client end of the channel whose numbers these are. */
struct libxenvchan;
struct libxenvchan *vchan_client_open(int domid, uint32_t ring_ref, uint32_t port);

int vchan_fd(const struct vchan_end *v);
/* Clear the descriptor's readiness after it woke us. */
void vchan_ack(struct vchan_end *v);
/* Tell the guest that this end is closed, before the memory can be let go. */
void vchan_hang_up(struct vchan_end *v);
bool vchan_peer_open(const struct vchan_end *v); /* live byte of the client */
struct vchan_strait *vchan_strait(struct vchan_end *v);
/* The control page, 4096 bytes, and the order of the larger ring. */
void *vchan_page(struct vchan_end *v);
unsigned vchan_order(const struct vchan_end *v);

/* Bytes ready to read, or -EPROTO when the peer's index is out of range. */
int64_t vchan_readable(struct vchan_end *v);
/* Copy @n ready bytes at @off past the read position; does not consume. */
void vchan_peek(const struct vchan_end *v, uint32_t off, void *to, uint32_t n);
/* Consume @n bytes (the peer may now overwrite them). */
void vchan_consume(struct vchan_end *v, uint32_t n);

/* Room to write (beyond what vchan_put wrote and did not publish), or -EPROTO. */
int64_t vchan_room(struct vchan_end *v);
/* Copy @n bytes at @off past the write position; not visible until vchan_publish(). */
void vchan_put(struct vchan_end *v, uint32_t off, const void *from, uint32_t n);
/* The ring memory for @n bytes at @off past the write position: 1 or 2 pieces. */
int vchan_put_iov(struct vchan_end *v, uint32_t off, uint32_t n, struct iovec out[2]);
void vchan_publish(struct vchan_end *v, uint32_t n);

/* Ask for a wake-up when the guest writes.  The caller looks again afterwards. */
void vchan_arm(struct vchan_end *v);
/* Withdraw it while polling. */
void vchan_disarm(struct vchan_end *v);
/* Wake the guest if it asked for data and some was published since the last call.
 * Any thread, outside the writers' lock. */
void vchan_notify(struct vchan_end *v);
/* True if the guest asked to be woken on data. */
bool vchan_wants_notify(const struct vchan_end *v);

#endif /* VCHAN_VCHAN_H */
