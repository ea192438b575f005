/* SPDX-License-Identifier: MIT */
/*
 * socket.h - what a family of sockets provides, and what socket.c does for it.
 *
 * socket.c implements the socket calls of the table over struct sock_ops: it
 * copies names, buffers, message headers and control data between the program
 * and libos, makes descriptors, and raises SIGPIPE.  A family (netd's AF_INET and
 * AF_INET6, AF_UNIX, AF_NETLINK) never sees program memory but through struct uio.
 *
 * Layer:     libos.
 * Ownership: a struct sock is an ofd (its first member): ofd_put() on the last
 *            reference calls ops->release().  Pointer parameters are borrowed.
 * Locking:   operations are called without locks and may be called by several
 *            threads at once; the family locks its own sockets.
 * Signals:   operations run on libos's stack; a wait that a signal ended before
 *            anything was done returns -ERESTARTSYS.
 * Memory:    no malloc; control data and names live on the caller's stack.
 * Errors:    0 or a value >= 0 on success, a negative errno on failure.
 */
#ifndef LIBOS_SOCKET_H
#define LIBOS_SOCKET_H

#include "libos/ofd.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#define SOCK_NAME_MAX 128u /* struct sockaddr_storage */
#define SOCK_CTL_MAX 2048u /* control data of one message */
#define SOCK_OPT_MAX 512u  /* value of one socket option */
#define SOCK_BACKLOG_MAX 4096

/* A socket address in libos memory.  len 0: none. */
struct sock_name {
	uint32_t len;
	union {
		uint16_t family;
		struct sockaddr sa;
		uint8_t data[SOCK_NAME_MAX];
		uint64_t align;
	};
};

/* The kernel's cmsghdr (libc's has a 32-bit length and padding). */
struct kcmsghdr {
	uint64_t len; /* header and data */
	int32_t level;
	int32_t type;
};

/* Control data in libos memory. */
struct sock_ctl {
	uint8_t *buf; /* 8-aligned, @room bytes */
	size_t room; /* sending: bytes that are there; receiving: what the program takes */
	size_t len;     /* receiving: bytes built so far */
	bool cloexec;   /* receiving: MSG_CMSG_CLOEXEC */
	bool truncated; /* receiving: something did not fit (MSG_CTRUNC) */
};

struct sock_msg {
	struct uio *u;      /* the data; moved bytes are counted in it */
	uint32_t flags;     /* MSG_* of the call; MSG_DONTWAIT also for O_NONBLOCK */
	uint32_t out_flags; /* receiving: MSG_TRUNC, MSG_EOR, MSG_OOB, MSG_ERRQUEUE */
	struct sock_name *name; /* sending: destination, NULL if none; receiving: filled
				 * (len stays 0 without one), NULL if not wanted */
	struct sock_ctl *ctl;   /* NULL: none */
};

struct sock;

/* All may be missing: -EOPNOTSUPP (-ENOPROTOOPT for options). */
struct sock_ops {
	long (*bind)(struct sock *s, const struct sock_name *name);
	long (*listen)(struct sock *s, int backlog);
	/* Take a connection, waiting unless the listener is O_NONBLOCK (-EAGAIN).
	 * @peer is filled.  *@out: a new reference, flags 0 (socket.c sets them). */
	long (*accept)(struct sock *s, struct sock **out, struct sock_name *peer);
	long (*connect)(struct sock *s, const struct sock_name *name);
	long (*getsockname)(struct sock *s, struct sock_name *name);
	long (*getpeername)(struct sock *s, struct sock_name *name);
	/* @val: @len bytes in libos memory, @len <= SOCK_OPT_MAX. */
	long (*setsockopt)(struct sock *s, int level, int name, const void *val,
	                   uint32_t len);
	/* @val has room for *@len <= SOCK_OPT_MAX bytes; *@len becomes what is there. */
	long (*getsockopt)(struct sock *s, int level, int name, void *val,
	                   uint32_t *len);
	long (*shutdown)(struct sock *s, int how);
	/* Bytes moved.  -EPIPE: socket.c raises SIGPIPE for streams unless MSG_NOSIGNAL. */
	long (*sendmsg)(struct sock *s, struct sock_msg *m);
	/* Bytes received; with MSG_TRUNC asked for on datagrams, the real length. */
	long (*recvmsg)(struct sock *s, struct sock_msg *m);
};

struct sock {
	struct ofd ofd; /* first: a struct sock is an ofd */
	const struct sock_ops *sops;
	int domain, type, protocol; /* constant */
	uint64_t ino;               /* constant: for fstat */
	/* SO_RCVTIMEO, SO_SNDTIMEO in ns, 0: none; socket.c keeps them. */
	_Atomic uint64_t rcv_timeout, snd_timeout;
	/* SO_PRIORITY, SO_OOBINLINE: kept for who asks, without effect. */
	_Atomic int priority, oob_inline;
};

/* refs = 1.  @ops->kind is OFD_SOCKET, OFD_UNIX or OFD_NETLINK. */
void sock_init(struct sock *s, const struct ofd_ops *ops, const struct sock_ops *sops,
               int domain, int type, int protocol);

/* The socket behind an ofd, or NULL if it is none. */
struct sock *sock_of(struct ofd *o);

static inline bool sock_nonblock(const struct sock *s, uint32_t msg_flags)
{
	return (msg_flags & MSG_DONTWAIT) != 0 || ofd_nonblock(&s->ofd);
}

/* When a wait that begins now must end (CLOCK_MONOTONIC ns, for wait_until()). */
uint64_t sock_rcv_deadline(const struct sock *s);
uint64_t sock_snd_deadline(const struct sock *s);

/* ofd_ops members that suit every family: read and write as recvmsg and sendmsg
 * without name and control; S_IFSOCK; SIOCGIF* (net_info()), -ENOTTY else. */
long sock_ofd_read(struct ofd *o, struct uio *u, const uint64_t *pos);
long sock_ofd_write(struct ofd *o, struct uio *u, const uint64_t *pos);
long sock_ofd_stat(struct ofd *o, struct kstat *st);
long sock_ofd_ioctl(struct ofd *o, unsigned long req, void *user_arg);

/* Add one control message while receiving; false: no room, MSG_CTRUNC will be set
 * (what fits of the data is given, as Linux does). */
bool sock_ctl_put(struct sock_ctl *c, int level, int type, const void *data,
                  size_t len);
/* Step through control data being sent: *@at starts 0.  1: *@h and *@data (inside
 * c->buf, *@len bytes) are one message; 0: the end; -EINVAL: malformed. */
int sock_ctl_next(const struct sock_ctl *c, size_t *at, struct kcmsghdr *h,
                  const void **data, size_t *len) __attribute__((warn_unused_result));

/* ---- families ---- */

/* AF_UNIX (unix.c); AF_NETLINK (netlink.c): a new socket in *@out. */
long unix_socket(int type, int protocol, struct sock **out);
long unix_socketpair(int type, int protocol, struct sock *out[2]);
long netlink_socket(int type, int protocol, struct sock **out);
/* Put a datagram into a netlink socket (mq_notify's cookie): -EAGAIN while another
 * waits there, -EINVAL if @o is none. */
long netlink_post(struct ofd *o, const void *data, size_t len);

/* The net client provides these two. */
long net_socket_create(int domain, int type, int protocol, struct sock **out);

#define NET_IF_MAX 8
#define NET_IF_ADDR6_MAX 4
struct net_if {
	uint32_t index, flags, mtu, prefix4; /* flags: IFF_* */
	char name[16];
	bool has_mac, has_ip4;
	uint8_t mac[6];
	uint8_t ip4[4];
	uint32_t n_ip6;
	uint8_t ip6[NET_IF_ADDR6_MAX][16];
	uint32_t prefix6[NET_IF_ADDR6_MAX];
};
struct net_info {
	uint32_t n_ifs;
	struct net_if ifs[NET_IF_MAX];
	bool has_gateway4, has_gateway6;
	uint8_t gateway4[4], gateway6[16];
	uint32_t gateway_if; /* index of the interface the default routes leave by */
};
/* What netd has: for netlink dumps and SIOCGIF*. */
long net_info(struct net_info *info);

#endif /* LIBOS_SOCKET_H */
