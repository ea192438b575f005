/* SPDX-License-Identifier: MIT */
/*
 * limits.h - resource limits of the guest (setrlimit, prlimit64).
 *
 * Layer:   libos.
 * Locking: a leaf lock for changes; limits_get() is one atomic load.
 */
#ifndef LIBOS_LIMITS_H
#define LIBOS_LIMITS_H

#include <stdint.h>

#define LIMIT_INFINITY UINT64_MAX

/* Linux's numbers. */
enum limit {
	LIMIT_CPU,
	LIMIT_FSIZE,
	LIMIT_DATA,
	LIMIT_STACK,
	LIMIT_CORE,
	LIMIT_RSS,
	LIMIT_NPROC,
	LIMIT_NOFILE,
	LIMIT_MEMLOCK,
	LIMIT_AS,
	LIMIT_LOCKS,
	LIMIT_SIGPENDING,
	LIMIT_MSGQUEUE,
	LIMIT_NICE,
	LIMIT_RTPRIO,
	LIMIT_RTTIME,
	N_LIMITS,
};

/* The soft limit now. */
uint64_t limits_get(enum limit which);

/* The main stack is smaller than usual: tell the program. */
void limits_set_stack(uint64_t bytes);

/* RLIMIT_FSIZE: how many of @len bytes may be written at @pos; 0 when none may:
 * then SIGXFSZ is sent and the caller returns -EFBIG. */
uint64_t limits_file_room(uint64_t pos, uint64_t len);

#endif /* LIBOS_LIMITS_H */
