/* SPDX-License-Identifier: MIT */
/*
 * errmap.c - see errmap.h.
 *
 * Two values mean different things by place, and the caller knows the place:
 * ERR_ABRT in a connection's error callback comes from lwIP's own timers
 * (netd removes its callbacks before it aborts), so lwip_tcp.c reads it as
 * ETIMEDOUT; ERR_RST while connecting is ECONNREFUSED.
 */
#include "services/netd/errmap.h"

#include "lwip/err.h"

#include <errno.h>

int errmap_lwip(int err)
{
	switch (err) {
	case ERR_OK:
		return 0;
	case ERR_MEM:
		return ENOMEM;
	case ERR_BUF:
		return ENOBUFS;
	case ERR_TIMEOUT:
		return ETIMEDOUT;
	case ERR_RTE:
		return ENETUNREACH;
	case ERR_INPROGRESS:
		return EINPROGRESS;
	case ERR_VAL:
		return EINVAL;
	case ERR_WOULDBLOCK:
		return EAGAIN;
	case ERR_USE:
		return EADDRINUSE;
	case ERR_ALREADY:
		return EALREADY;
	case ERR_ISCONN:
		return EISCONN;
	case ERR_CONN:
		return ENOTCONN;
	case ERR_IF:
		return ENETDOWN;
	case ERR_ABRT:
		return ECONNABORTED;
	case ERR_RST:
		return ECONNRESET;
	case ERR_CLSD:
		return ENOTCONN;
	case ERR_ARG:
		return EINVAL;
	default:
		return EIO;
	}
}

int errmap_icmp4(uint8_t type, uint8_t code)
{
	static const int unreach[] = {
		ENETUNREACH, EHOSTUNREACH, ENOPROTOOPT, ECONNREFUSED, EMSGSIZE, EOPNOTSUPP,
		ENETUNREACH, EHOSTDOWN, ENONET, ENETUNREACH, EHOSTUNREACH, ENETUNREACH,
		EHOSTUNREACH, EHOSTUNREACH, EHOSTUNREACH, EHOSTUNREACH,
	};

	if (type == 3)
		return code < sizeof(unreach) / sizeof(unreach[0]) ? unreach[code]
		                                                   : EHOSTUNREACH;
	if (type == 11)
		return EHOSTUNREACH;
	return type == 12 ? EPROTO : 0;
}

int errmap_icmp6(uint8_t type, uint8_t code)
{
	static const int unreach[] = {ENETUNREACH, EACCES, EHOSTUNREACH, EHOSTUNREACH,
	                              ECONNREFUSED, EACCES, EACCES};

	if (type == 1)
		return code < sizeof(unreach) / sizeof(unreach[0]) ? unreach[code]
		                                                   : EHOSTUNREACH;
	if (type == 3)
		return EHOSTUNREACH;
	return type == 4 ? EPROTO : 0;
}
