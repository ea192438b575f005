/* SPDX-License-Identifier: MIT */
/*
 * Values are spelled as numbers where glibc's headers differ from what a guest sends
 * (musl's O_LARGEFILE) or pull in too much (linux/fcntl.h).
 */
#include "tools/trace/names.h"

#include "rpc/limits.h"

#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

/* clang-format off: tables stay tables */
#define N(x)                                                                           \
	{                                                                              \
		x, #x                                                                  \
	}
#define END                                                                            \
	{                                                                              \
		0, NULL                                                                \
	}

const struct value_name names_open[] = {{020200000, "O_TMPFILE"},
                                        {04010000, "O_SYNC"},
                                        N(O_WRONLY),
                                        N(O_RDWR),
                                        N(O_CREAT),
                                        N(O_EXCL),
                                        N(O_NOCTTY),
                                        N(O_TRUNC),
                                        N(O_APPEND),
                                        N(O_NONBLOCK),
                                        {010000, "O_DSYNC"},
                                        N(O_ASYNC),
                                        {040000, "O_DIRECT"},
                                        {0100000, "O_LARGEFILE"},
                                        N(O_DIRECTORY),
                                        N(O_NOFOLLOW),
                                        N(O_NOATIME),
                                        N(O_CLOEXEC),
                                        N(O_PATH),
                                        END};

const struct value_name names_resolve[] = {{1, "RESOLVE_NO_XDEV"},
                                           {2, "RESOLVE_NO_MAGICLINKS"},
                                           {4, "RESOLVE_NO_SYMLINKS"},
                                           {8, "RESOLVE_BENEATH"},
                                           {16, "RESOLVE_IN_ROOT"},
                                           {32, "RESOLVE_CACHED"},
                                           END};

#define AT_COMMON                                                                      \
	N(AT_SYMLINK_NOFOLLOW), N(AT_SYMLINK_FOLLOW), N(AT_NO_AUTOMOUNT),              \
	        N(AT_EMPTY_PATH)
const struct value_name names_at[] = {AT_COMMON, END};
const struct value_name names_access[] = {N(AT_EACCESS), AT_COMMON, END};
const struct value_name names_unlink[] = {N(AT_REMOVEDIR), AT_COMMON, END};
const struct value_name names_rename[] = {
        {1, "RENAME_NOREPLACE"}, {2, "RENAME_EXCHANGE"}, {4, "RENAME_WHITEOUT"}, END};
const struct value_name names_access_mode[] = {N(R_OK), N(W_OK), N(X_OK), END};

const struct value_name names_what[] = {N(FILE_SET_MODE),  N(FILE_SET_UID),
                                        N(FILE_SET_GID),   N(FILE_SET_SIZE),
                                        N(FILE_SET_TIMES), END};
const struct value_name names_mount[] = {
        {FILE_MOUNT_READ_ONLY, "READ_ONLY"}, {FILE_MOUNT_EXCLUSIVE, "EXCLUSIVE"}, END};
const struct value_name names_lock[] = {N(F_RDLCK), N(F_WRLCK), N(F_UNLCK), END};
const struct value_name names_lock_kind[] = {
        {0, "POSIX"}, {1, "OFD"}, {2, "FLOCK"}, END};
const struct value_name names_sync[] = {{0, "fsync"},           {1, "fdatasync"},
                                        {2, "syncfs"},          {3, "sync"},
                                        {4, "sync_file_range"}, END};
const struct value_name names_write_sync[] = {{1, "O_DSYNC"}, {2, "O_SYNC"}, END};
const struct value_name names_fallocate[] = {{1, "FALLOC_FL_KEEP_SIZE"},
                                             {2, "FALLOC_FL_PUNCH_HOLE"},
                                             {8, "FALLOC_FL_COLLAPSE_RANGE"},
                                             {16, "FALLOC_FL_ZERO_RANGE"},
                                             {32, "FALLOC_FL_INSERT_RANGE"},
                                             {64, "FALLOC_FL_UNSHARE_RANGE"},
                                             END};
const struct value_name names_seek[] = {{0, "SEEK_SET"},  {1, "SEEK_CUR"},
                                        {2, "SEEK_END"},  {3, "SEEK_DATA"},
                                        {4, "SEEK_HOLE"}, END};
const struct value_name names_xattr[] = {N(XATTR_CREATE), N(XATTR_REPLACE), END};

const struct value_name names_family[] = {N(AF_UNSPEC), N(AF_UNIX),    N(AF_INET),
                                          N(AF_INET6),  N(AF_NETLINK), N(AF_PACKET),
                                          END};
const struct value_name names_socket[] = {N(SOCK_STREAM), N(SOCK_DGRAM), N(SOCK_RAW),
                                          N(SOCK_SEQPACKET), END};
const struct value_name names_proto[] = {N(IPPROTO_IP),     N(IPPROTO_ICMP),
                                         N(IPPROTO_TCP),    N(IPPROTO_UDP),
                                         N(IPPROTO_ICMPV6), END};
const struct value_name names_shut[] = {N(SHUT_RD), N(SHUT_WR), N(SHUT_RDWR), END};
const struct value_name names_level[] = {N(SOL_SOCKET),   N(IPPROTO_IP),
                                         N(IPPROTO_IPV6), N(IPPROTO_TCP),
                                         N(IPPROTO_UDP),  END};
const struct value_name names_feature[] = {
        {RPC_FEATURE_STAMPS, "STAMPS"}, {RPC_FEATURE_RECOVER, "RECOVER"}, END};
const struct value_name names_service[] = {
        {RPC_SERVICE_FILE, "fsd"}, {RPC_SERVICE_NET, "netd"}, END};
const struct value_name names_iff[] = {
        N(IFF_UP),          N(IFF_BROADCAST), N(IFF_LOOPBACK),
        N(IFF_POINTOPOINT), N(IFF_RUNNING),   N(IFF_NOARP),
        N(IFF_PROMISC),     N(IFF_MULTICAST), END};

static const struct value_name types[] = {N(S_IFSOCK), N(S_IFLNK), N(S_IFREG),
                                          N(S_IFBLK),  N(S_IFDIR), N(S_IFCHR),
                                          N(S_IFIFO),  END};

static const struct value_name options_socket[] = {
        N(SO_DEBUG),      N(SO_REUSEADDR),    N(SO_TYPE),
        N(SO_ERROR),      N(SO_DONTROUTE),    N(SO_BROADCAST),
        N(SO_SNDBUF),     N(SO_RCVBUF),       N(SO_KEEPALIVE),
        N(SO_OOBINLINE),  N(SO_PRIORITY),     N(SO_LINGER),
        N(SO_REUSEPORT),  N(SO_PASSCRED),     N(SO_PEERCRED),
        N(SO_RCVLOWAT),   N(SO_SNDLOWAT),     N(SO_RCVTIMEO),
        N(SO_SNDTIMEO),   N(SO_BINDTODEVICE), N(SO_TIMESTAMP),
        N(SO_ACCEPTCONN), N(SO_SNDBUFFORCE),  N(SO_RCVBUFFORCE),
        N(SO_MARK),       N(SO_PROTOCOL),     N(SO_DOMAIN),
        N(SO_BUSY_POLL),  N(SO_INCOMING_CPU), END};
static const struct value_name options_ip[] = {N(IP_TOS),
                                               N(IP_TTL),
                                               N(IP_HDRINCL),
                                               N(IP_OPTIONS),
                                               N(IP_RECVOPTS),
                                               N(IP_PKTINFO),
                                               N(IP_MTU_DISCOVER),
                                               N(IP_RECVERR),
                                               N(IP_RECVTTL),
                                               N(IP_RECVTOS),
                                               N(IP_MTU),
                                               N(IP_FREEBIND),
                                               N(IP_MULTICAST_IF),
                                               N(IP_MULTICAST_TTL),
                                               N(IP_MULTICAST_LOOP),
                                               N(IP_ADD_MEMBERSHIP),
                                               N(IP_DROP_MEMBERSHIP),
                                               N(IP_BIND_ADDRESS_NO_PORT),
                                               END};
static const struct value_name options_ipv6[] = {N(IPV6_UNICAST_HOPS),
                                                 N(IPV6_MULTICAST_IF),
                                                 N(IPV6_MULTICAST_HOPS),
                                                 N(IPV6_MULTICAST_LOOP),
                                                 N(IPV6_JOIN_GROUP),
                                                 N(IPV6_LEAVE_GROUP),
                                                 N(IPV6_MTU_DISCOVER),
                                                 N(IPV6_RECVERR),
                                                 N(IPV6_V6ONLY),
                                                 N(IPV6_RECVPKTINFO),
                                                 N(IPV6_PKTINFO),
                                                 N(IPV6_TCLASS),
                                                 END};
static const struct value_name options_tcp[] = {
        N(TCP_NODELAY),      N(TCP_MAXSEG),       N(TCP_CORK),     N(TCP_KEEPIDLE),
        N(TCP_KEEPINTVL),    N(TCP_KEEPCNT),      N(TCP_SYNCNT),   N(TCP_LINGER2),
        N(TCP_DEFER_ACCEPT), N(TCP_WINDOW_CLAMP), N(TCP_INFO),     N(TCP_QUICKACK),
        N(TCP_CONGESTION),   N(TCP_USER_TIMEOUT), N(TCP_FASTOPEN), END};
static const struct value_name none[] = {END};
/* clang-format on */

void names_mode(FILE *out, uint64_t mode)
{
	if (mode & S_IFMT) {
		value_enum(out, types, mode & S_IFMT);
		fputc('|', out);
	}
	value_put(out, "0%03llo", (unsigned long long)(mode & ~(uint64_t)S_IFMT));
}

void names_option(FILE *out, uint64_t level, uint64_t name)
{
	const struct value_name *t = none;

	if (level == SOL_SOCKET)
		t = options_socket;
	else if (level == IPPROTO_IP)
		t = options_ip;
	else if (level == IPPROTO_IPV6)
		t = options_ipv6;
	else if (level == IPPROTO_TCP)
		t = options_tcp;
	value_enum(out, t, name);
}
