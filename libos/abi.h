/* SPDX-License-Identifier: MIT */
/*
 * abi.h - the Linux x86-64 call interface, where libc headers differ or lack it.
 *
 * libos is compiled with no libc under it, but against musl's headers (and, as a
 * test library, against glibc's).  <errno.h>, <fcntl.h>, <signal.h>, <sched.h>,
 * <poll.h>, <time.h>, <sys/epoll.h>, <sys/stat.h> (S_* and UTIME_*), <sys/mman.h>,
 * <sys/socket.h>, <sys/ioctl.h>, <sys/eventfd.h>, <sys/timerfd.h>,
 * <sys/signalfd.h>, <sys/prctl.h>, <sys/statfs.h>, <sys/utsname.h> and so on give
 * the constants and are not repeated here.  Their structs that are the kernel's
 * too: timespec, timeval, itimerspec, itimerval, iovec, flock, pollfd,
 * epoll_event, statfs, utsname, tms, timex, rlimit, sockaddr*, inotify_event,
 * signalfd_siginfo.  Not the kernel's, so never use them in libos: stat, rusage,
 * sysinfo, termios, sigset_t, sigaction, siginfo_t, ucontext_t, msghdr (padding),
 * and musl's O_ACCMODE (it has O_PATH in it: use ABI_ACCMODE).
 *
 * Layer:  libos.
 */
#ifndef LIBOS_ABI_H
#define LIBOS_ABI_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define ABI_ACCMODE 03
#define ABI_PATH_MAX 4096
#define ABI_NAME_MAX 255

/* ---- files ---- */

struct kstat {
	uint64_t st_dev;
	uint64_t st_ino;
	uint64_t st_nlink;
	uint32_t st_mode;
	uint32_t st_uid;
	uint32_t st_gid;
	uint32_t pad0;
	uint64_t st_rdev;
	int64_t st_size;
	int64_t st_blksize;
	int64_t st_blocks;
	int64_t st_atime_sec, st_atime_nsec;
	int64_t st_mtime_sec, st_mtime_nsec;
	int64_t st_ctime_sec, st_ctime_nsec;
	int64_t unused[3];
};
_Static_assert(sizeof(struct kstat) == 144, "struct stat");
_Static_assert(offsetof(struct kstat, st_size) == 48, "struct stat");

struct kstatx_time {
	int64_t sec;
	uint32_t nsec;
	int32_t pad;
};

struct kstatx {
	uint32_t stx_mask, stx_blksize;
	uint64_t stx_attributes;
	uint32_t stx_nlink, stx_uid, stx_gid;
	uint16_t stx_mode, pad0;
	uint64_t stx_ino, stx_size, stx_blocks, stx_attributes_mask;
	struct kstatx_time stx_atime, stx_btime, stx_ctime, stx_mtime;
	uint32_t stx_rdev_major, stx_rdev_minor, stx_dev_major, stx_dev_minor;
	uint64_t stx_mnt_id, pad1;
	uint64_t pad2[12];
};
_Static_assert(sizeof(struct kstatx) == 256, "struct statx");

/* A record is d_reclen long: a multiple of 8, the name's NUL included. */
struct kdirent64 {
	uint64_t d_ino;
	int64_t d_off;
	uint16_t d_reclen;
	uint8_t d_type;
	char d_name[];
};
_Static_assert(offsetof(struct kdirent64, d_name) == 19, "struct linux_dirent64");

/* getdents(2): d_type is the record's last byte. */
struct kdirent_old {
	uint64_t d_ino;
	uint64_t d_off;
	uint16_t d_reclen;
	char d_name[];
};

struct kopen_how {
	uint64_t flags, mode, resolve;
};
#define ABI_RESOLVE_NO_XDEV 0x01u
#define ABI_RESOLVE_NO_MAGICLINKS 0x02u
#define ABI_RESOLVE_NO_SYMLINKS 0x04u
#define ABI_RESOLVE_BENEATH 0x08u
#define ABI_RESOLVE_IN_ROOT 0x10u
#define ABI_RESOLVE_CACHED 0x20u

#define ABI_RENAME_NOREPLACE 1u
#define ABI_RENAME_EXCHANGE 2u
#define ABI_RENAME_WHITEOUT 4u

#define ABI_CLOSE_RANGE_UNSHARE 2u
#define ABI_CLOSE_RANGE_CLOEXEC 4u

#define ABI_FS_IOC_GETFLAGS 0x80086601ul
#define ABI_FS_IOC_SETFLAGS 0x40086602ul
#define ABI_FS_IOC_FIEMAP 0xc020660bul
#define ABI_FS_IOC_FSGETXATTR 0x801c581ful
#define ABI_FS_IOC_FSSETXATTR 0x401c5820ul
#define ABI_FIGETBSZ 2ul
#define ABI_FICLONE 0x40049409ul
#define ABI_FICLONERANGE 0x4020940dul

/* ---- terminals ---- */

struct ktermios {
	uint32_t c_iflag, c_oflag, c_cflag, c_lflag;
	uint8_t c_line;
	uint8_t c_cc[19];
};
_Static_assert(sizeof(struct ktermios) == 36, "kernel struct termios");

/* ---- signals (siginfo and ucontext: platform/context.h) ---- */

#define ABI_NSIG 64     /* signals are 1..64 */
#define ABI_SIGRTMIN 32 /* 32, 33, 34 are musl's, and ordinary here */
#define ABI_SIGSET_SIZE 8

/* Signal @n in a 64-bit set. */
#define ABI_SIGBIT(n) (UINT64_C(1) << ((n)-1))

/* rt_sigaction's struct. */
struct ksigaction {
	uint64_t handler;
	uint64_t flags;
	uint64_t restorer;
	uint64_t mask;
};

/* stack_t */
struct kstack {
	uint64_t sp;
	int32_t flags;
	uint32_t pad;
	uint64_t size;
};

#define ABI_SS_ONSTACK 1
#define ABI_SS_DISABLE 2
#define ABI_SS_AUTODISARM (1u << 31)
#define ABI_MINSIGSTKSZ 2048

#define ABI_SA_NOCLDSTOP 0x00000001u
#define ABI_SA_NOCLDWAIT 0x00000002u
#define ABI_SA_SIGINFO 0x00000004u
#define ABI_SA_UNSUPPORTED 0x00000400u
#define ABI_SA_EXPOSE_TAGBITS 0x00000800u
#define ABI_SA_RESTORER 0x04000000u
#define ABI_SA_ONSTACK 0x08000000u
#define ABI_SA_RESTART 0x10000000u
#define ABI_SA_NODEFER 0x40000000u
#define ABI_SA_RESETHAND 0x80000000u

struct ksigevent {
	uint64_t value;
	int32_t signo;
	int32_t notify; /* SIGEV_* */
	int32_t tid;    /* SIGEV_THREAD_ID */
	int32_t pad[11];
};
_Static_assert(sizeof(struct ksigevent) == 64, "struct sigevent");

/* pselect6's sixth argument. */
struct ksigset_arg {
	uint64_t set; /* program address */
	uint64_t size;
};

/* ---- resources ---- */

struct krusage {
	int64_t utime_sec, utime_usec, stime_sec, stime_usec;
	int64_t maxrss, ixrss, idrss, isrss, minflt, majflt, nswap;
	int64_t inblock, oublock, msgsnd, msgrcv, nsignals, nvcsw, nivcsw;
};
_Static_assert(sizeof(struct krusage) == 144, "struct rusage");

struct ksysinfo {
	int64_t uptime;
	uint64_t loads[3];
	uint64_t totalram, freeram, sharedram, bufferram, totalswap, freeswap;
	uint16_t procs, pad;
	uint32_t pad1;
	uint64_t totalhigh, freehigh;
	uint32_t mem_unit, pad2;
};
_Static_assert(sizeof(struct ksysinfo) == 112, "struct sysinfo");

struct ksched_attr {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
	uint32_t util_min, util_max;
};
_Static_assert(sizeof(struct ksched_attr) == 56, "struct sched_attr");

/* ---- sockets ---- */

/* The kernel's msghdr: libc's has int + padding where this has size_t. */
struct kmsghdr {
	uint64_t name;
	int32_t namelen;
	uint32_t pad0;
	uint64_t iov;
	uint64_t iovlen;
	uint64_t control;
	uint64_t controllen;
	uint32_t flags;
	uint32_t pad1;
};
_Static_assert(sizeof(struct kmsghdr) == 56, "struct msghdr");

struct kmmsghdr {
	struct kmsghdr hdr;
	uint32_t len;
	uint32_t pad;
};

#endif /* LIBOS_ABI_H */
