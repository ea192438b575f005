/* SPDX-License-Identifier: MIT */
/*
 * pending.c - what socket calls answer for families that are not linked in: the
 * errno of a kernel without them.  Weak: the real ones replace these.
 */
#include "libos/socket.h"

#include <errno.h>

__attribute__((weak)) long sock_ofd_ioctl(struct ofd *o, unsigned long req, void *user_arg)
{
	(void)o;
	(void)req;
	(void)user_arg;
	return -ENOTTY;
}

__attribute__((weak)) long unix_socket(int type, int protocol, struct sock **out)
{
	(void)type;
	(void)protocol;
	(void)out;
	return -EAFNOSUPPORT;
}

__attribute__((weak)) long unix_socketpair(int type, int protocol, struct sock *out[2])
{
	(void)type;
	(void)protocol;
	(void)out;
	return -EAFNOSUPPORT;
}

__attribute__((weak)) long netlink_socket(int type, int protocol, struct sock **out)
{
	(void)type;
	(void)protocol;
	(void)out;
	return -EAFNOSUPPORT;
}
