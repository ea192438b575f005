/* SPDX-License-Identifier: MIT */
/*
 * control.h - packets of proto/control.proto with descriptors, over SEQPACKET.
 *
 * Layer:   rpc.  glibc side only (services, tools).
 * Locking: none; one thread an endpoint.
 * Errors:  0 or negative errno.
 */
#ifndef RPC_CONTROL_H
#define RPC_CONTROL_H

#include "control.pb-c.h"

#define CONTROL_MSG_MAX 65536
#define CONTROL_FDS_MAX 64

/* Send @msg with @n_fds descriptors (borrowed). */
int control_send(int sock, const Control__Control *msg, const int *fds, int n_fds)
	__attribute__((warn_unused_result));

/* Receive one packet.  On success *msg is the caller's to free with
 * control__control__free_unpacked(*msg, NULL), and fds[0 .. *n_fds) are the
 * caller's to close (all O_CLOEXEC).  Returns 0; -EPIPE when the peer has closed its end; -EAGAIN
 * with MSG_DONTWAIT in @flags; -EBADMSG for a packet that does not decode. */
int control_recv(int sock, int flags, Control__Control **msg, int *fds, int *n_fds)
	__attribute__((warn_unused_result));

/* Report one clear sentence to the supervisor (and to stderr). */
void control_fail(int sock, uint32_t domid, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#endif /* RPC_CONTROL_H */
