/* SPDX-License-Identifier: MIT */
/*
 * syscall.h - how a system call is implemented in libos.
 *
 *     SYSCALL(getppid)
 *     {
 *             return 0;
 *     }
 *     SYSCALL(lseek, long fd, long off, long whence) { ... }
 *
 * defines strait_sys_<name>, which the generated dispatch table refers to
 * weakly: defining it makes the call live, whatever file it stands in.  It runs
 * on the thread's libos stack and returns a value or a negative errno.
 *
 * An interruptible wait that did nothing yet returns -ERESTARTSYS: the edge
 * restarts the call after the handler (SA_RESTART) or makes it -EINTR.
 *
 * Layer:  libos.
 */
#ifndef LIBOS_SYSCALL_H
#define LIBOS_SYSCALL_H

#define ERESTARTSYS 512 /* never seen by a program */

#define SYSCALL(name, ...)                                                               \
	long strait_sys_##name SYSCALL_PARAMS_##__VA_OPT__(SOME)(__VA_ARGS__);           \
	long strait_sys_##name SYSCALL_PARAMS_##__VA_OPT__(SOME)(__VA_ARGS__)
#define SYSCALL_PARAMS_(...) (void)
#define SYSCALL_PARAMS_SOME(...) (__VA_ARGS__)

/* The dispatcher: any number, from the edge and from raw `syscall`. */
long syscall_dispatch(long n, long a, long b, long c, long d, long e, long f);

/* Under --log unsupported: say once that @name (or a part of it) is missing. */
void unsupported(const char *what);

#endif /* LIBOS_SYSCALL_H */
