/* SPDX-License-Identifier: MIT */
/*
 * fsd.h - the process: supervisor, guests, loop.
 *
 * Layer:     services/fsd.
 * Ownership: one struct fsd, in main().
 * Locking:   the loop's thread; `wake` may be written by any.
 */
#ifndef FSD_FSD_H
#define FSD_FSD_H

#include "rpc/control.h"
#include "rpc/server.h"
#include "rpc/tick.h"
#include "services/fsd/instance.h"
#include "services/fsd/mounts.h"

struct guest;

struct fsd {
	int control; /* SEQPACKET, to the supervisor */
	int epoll;
	int wake; /* eventfd: a worker has something for the loop */
	struct tick tick; /* the next heartbeat */
	bool sandbox;
	bool configured;
	bool stop;
	bool linger; /* told to stop, and to wait for the end of the control socket */
	bool alone; /* the supervisor is gone: no other instance will come */
	struct instance inst;
	struct mounts mounts;
	struct rpc_server_ops ops;
	struct guest *guests;
	unsigned n_guests, max_handles;
	/* After another instance, until its guests are back: guests.c. */
	bool recovering;
	uint32_t *away; /* domids of those that are not back */
	unsigned n_away, n_expected;
	uint64_t recover_end_ms; /* 0: no guest came yet */
};

/* ---- log.c: to stderr; level 0 errors, 1 warnings, 2 information, 3 debugging ---- */
extern int g_log_level;
void log_write(int level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* ---- configure.c ---- */
/* Act on the first message; descriptors are taken.  0, or negative after the
 * supervisor was told why. */
int configure(struct fsd *f, const Control__Configure *c, int *fds, int n_fds)
        __attribute__((warn_unused_result));

/* ---- sandbox.c ---- */
/* Give up capabilities that are not needed, and the way to new ones. */
int sandbox_caps(void) __attribute__((warn_unused_result));
/* Only files below the mounts can be opened from here on, by this thread and those
 * it starts.  0 too where the kernel has no landlock. */
int sandbox_landlock(const struct fsd *f) __attribute__((warn_unused_result));
/* From here on only the system calls that serving takes.  All threads.  @by_handle:
 * files are opened by their handles, which no landlock rule holds fully; as long as
 * guests come back. */
int sandbox_seccomp(bool by_handle) __attribute__((warn_unused_result));
/* Do ahead of time what takes longest of that. */
int sandbox_prepare(bool by_handle) __attribute__((warn_unused_result));
/* No file is opened by its handle any more.  All threads. */
int sandbox_no_handles(void) __attribute__((warn_unused_result));

/* ---- guests.c ---- */
/* The @n_expected guests of the instance before, @expected, come back.  0, or -ENOMEM. */
int guests_init(struct fsd *f, const uint32_t *expected, size_t n_expected);
void guest_add(struct fsd *f, const Control__GuestAdd *g, int *fds, int n_fds);
void guest_gone(struct fsd *f, uint32_t domid);
/* The channel's descriptor was ready: @which is what it is watched with. */
void guest_event(struct fsd *f, const void *which);
/* Serve what is there.  True if something was. */
bool guests_serve(struct fsd *f);
/* Look a bounded while for more. */
bool guests_spin(struct fsd *f);
void guests_beat(struct fsd *f);
/* Free those that are gone and have nothing running. */
void guests_reap(struct fsd *f);
/* No guest is served any more, and each is told. */
void guests_close_all(struct fsd *f);
bool guests_busy(const struct fsd *f);
void guests_count(const struct fsd *f, uint32_t *sessions, uint32_t *calls, uint32_t *files);
/* Look whether all are back, or the time for it is over.  True: just now. */
bool guests_recover(struct fsd *f);

#endif /* FSD_FSD_H */
