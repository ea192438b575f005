/* SPDX-License-Identifier: MIT */
/*
 * hosted.h - shared memory and wake-ups of a hosted channel.
 *
 * A hosted vchan is one memfd, sealed SHRINK | GROW | SEAL: page 0 is struct
 * vchan_interface (grants unused), then the left ring, then the right ring,
 * each 1 << order bytes.  The guest wakes the service by its eventfd; a service
 * wakes the guest by the doorbell page that all its channels share.
 *
 * Layer:   vchan.  Used by the hosted libxenvchan, platform/linux and tools.
 */
#ifndef VCHAN_HOSTED_H
#define VCHAN_HOSTED_H

#include <stddef.h>
#include <stdint.h>

/* The doorbell page of a guest: one memfd of 4096 bytes, sealed likewise.
 * Services write `word`; the supervisor writes `control`; the guest the rest. */
struct doorbell {
	_Atomic uint32_t word;     /* counts rings; a futex (shared) */
	_Atomic uint32_t sleeping; /* DOORBELL_*: who sleeps on `word` or `pump` */
	_Atomic uint32_t pump;     /* a second futex word, of the guest's helper thread */
	uint8_t pad0[52];
	_Atomic uint32_t strace;   /* supervisor: 1 = a line per call to stderr */
	_Atomic uint32_t log;      /* supervisor: BOOT_LOG_* bits */
	uint8_t pad1[56];
	/* guest, at exit: how it ended */
	_Atomic uint32_t ended;    /* 0 running; 1 exited; 2 killed by signal */
	_Atomic uint32_t status;   /* exit code or signal number */
	uint8_t pad2[56];
};

#define HOSTED_ORDER_MIN 12u
#define HOSTED_ORDER_MAX 22u /* 4 MiB each way */

#define DOORBELL_SIZE 4096u
#define DOORBELL_AWAKE 0u  /* somebody reads the rings: no wake-up needed */
#define DOORBELL_LEADER 1u /* the leader sleeps on `word` */
#define DOORBELL_NOBODY 2u /* no program thread leads; the pump may sleep on `pump` */

/* Bytes of a ring memfd with two rings of 1 << order. */
static inline size_t hosted_ring_size(unsigned order)
{
	return 4096u + ((size_t)2 << order);
}

/* Initialise a ring memfd's control page as a server would.  For the supervisor;
 * returns a sealed memfd (O_CLOEXEC), or negative errno. */
int hosted_ring_create(unsigned order);
int hosted_doorbell_create(void);

/* The service behind a channel is dead: set its live byte to 0 and ring the guest,
 * whatever it sleeps on.  For the supervisor, which learns of deaths. */
int hosted_ring_mark_dead(int ring_fd, int doorbell_fd);

/* Tell the stand-in which descriptors stand for the channel at @xs_path with
 * guest @domid; the next libxenvchan_server_init(NULL, domid, xs_path, ...) takes
 * them.  Checks seals and size.  On success owns the descriptors.
 * Returns 0 or negative errno. */
int hosted_vchan_register(int domid, const char *xs_path, int ring_fd, int event_fd,
                          int doorbell_fd) __attribute__((warn_unused_result));

/* The client side, for tests: make libxenvchan_client_init(NULL, domid, xs_path)
 * take copies of the same descriptors. */
int hosted_vchan_register_client(int domid, const char *xs_path, int ring_fd,
                                 int event_fd, int doorbell_fd)
	__attribute__((warn_unused_result));

#endif /* VCHAN_HOSTED_H */
