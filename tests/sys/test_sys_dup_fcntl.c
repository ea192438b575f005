/* SPDX-License-Identifier: MIT */
/* test_sys_dup_fcntl.c - dup, dup2, dup3, fcntl, ioctl's generic part, close,
 * close_range, RLIMIT_NOFILE. */
#include "tests/sys/check.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>

static int open_again(int fd)
{
	return fcntl(fd, F_GETFD) != -1;
}

static void the_lowest_number_is_taken(void)
{
	int a = dup(0), b = dup(0), c;

	CHECK_EQ(b, a + 1);
	close(a);
	c = dup(0);
	CHECK_EQ(c, a);
	close(b);
	close(c);
	CHECK_ERR(close(a), EBADF);
	CHECK_ERR(dup(9999), EBADF);
	CHECK_ERR(dup(-1), EBADF);
	CHECK_ERR(close(-1), EBADF);
}

static void dup2_replaces(void)
{
	int p[2], fd = eventfd(0, EFD_CLOEXEC);

	CHECK(pipe(p) == 0);
	CHECK_EQ(dup2(p[1], fd), fd);
	CHECK_EQ(fcntl(fd, F_GETFD), 0);
	CHECK_EQ(write(fd, "abc", 3), 3);
	CHECK_EQ(dup2(fd, fd), fd);
	CHECK_ERR(dup2(9999, fd), EBADF);
	CHECK_ERR(dup2(9999, 9999), EBADF);
	CHECK_ERR(dup2(fd, -1), EBADF);
	CHECK(open_again(fd));
	close(p[0]);
	close(p[1]);
	signal(SIGPIPE, SIG_IGN);
	CHECK_ERR(write(fd, "x", 1), EPIPE);
	close(fd);
}

static void dup3_takes_cloexec(void)
{
	int fd = dup(0);

	CHECK_EQ(dup3(0, fd, O_CLOEXEC), fd);
	CHECK_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
	CHECK_EQ(dup3(0, fd, 0), fd);
	CHECK_EQ(fcntl(fd, F_GETFD), 0);
	CHECK_ERR(dup3(fd, fd, 0), EINVAL);
	CHECK_ERR(syscall(SYS_dup3, 0, fd, O_NONBLOCK), EINVAL);
	close(fd);
}

static void dupfd_takes_a_minimum(void)
{
	int a = fcntl(0, F_DUPFD, 50), b = fcntl(0, F_DUPFD_CLOEXEC, 50);

	CHECK_EQ(a, 50);
	CHECK_EQ(b, 51);
	CHECK_EQ(fcntl(a, F_GETFD), 0);
	CHECK_EQ(fcntl(b, F_GETFD), FD_CLOEXEC);
	CHECK_ERR(fcntl(0, F_DUPFD, -1), EINVAL);
	CHECK_ERR(fcntl(0, F_DUPFD, INT_MAX), EINVAL);
	close(a);
	close(b);
}

static void flags_belong_to_the_description(void)
{
	int p[2], copy;

	CHECK(pipe(p) == 0);
	copy = dup(p[0]);
	CHECK(fcntl(copy, F_SETFL, O_NONBLOCK) == 0);
	CHECK(fcntl(p[0], F_GETFL) & O_NONBLOCK);
	CHECK(!(fcntl(p[1], F_GETFL) & O_NONBLOCK));
	CHECK(fcntl(p[0], F_SETFD, FD_CLOEXEC) == 0);
	CHECK_EQ(fcntl(copy, F_GETFD), 0);
	/* Access mode and creation flags cannot be changed. */
	CHECK(fcntl(p[0], F_SETFL, O_RDWR | O_CREAT) == 0);
	CHECK_EQ(fcntl(p[0], F_GETFL), O_RDONLY);
	close(copy);
	close(p[0]);
	close(p[1]);
}

static void ioctls_of_every_kind(void)
{
	int fd = eventfd(0, 0), on = 1, off = 0;

	CHECK(ioctl(fd, FIOCLEX) == 0);
	CHECK_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
	CHECK(ioctl(fd, FIONCLEX) == 0);
	CHECK_EQ(fcntl(fd, F_GETFD), 0);
	CHECK(ioctl(fd, FIONBIO, &on) == 0);
	CHECK(fcntl(fd, F_GETFL) & O_NONBLOCK);
	CHECK(ioctl(fd, FIONBIO, &off) == 0);
	CHECK(!(fcntl(fd, F_GETFL) & O_NONBLOCK));
	CHECK_ERR(ioctl(fd, FIONBIO, BAD_PTR), EFAULT);
	CHECK_ERR(ioctl(fd, TIOCGWINSZ, &on), ENOTTY);
	CHECK_ERR(ioctl(9999, FIOCLEX), EBADF);
	close(fd);
}

static void owners_are_kept(void)
{
	struct f_owner_ex ex = {F_OWNER_PID, 0};
	int p[2];

	CHECK(pipe(p) == 0);
	CHECK_EQ(fcntl(p[0], F_GETOWN), 0);
	CHECK(fcntl(p[0], F_SETOWN, getpid()) == 0);
	CHECK_EQ(fcntl(p[0], F_GETOWN), getpid());
	CHECK(fcntl(p[0], F_GETOWN_EX, &ex) == 0);
	CHECK_EQ(ex.type, F_OWNER_PID);
	CHECK_EQ(ex.pid, getpid());
	ex = (struct f_owner_ex){F_OWNER_TID, (pid_t)syscall(SYS_gettid)};
	CHECK(fcntl(p[0], F_SETOWN_EX, &ex) == 0);
	ex = (struct f_owner_ex){F_OWNER_PGRP, 0};
	CHECK(fcntl(p[0], F_GETOWN_EX, &ex) == 0);
	CHECK_EQ(ex.type, F_OWNER_TID);
	CHECK_EQ(ex.pid, syscall(SYS_gettid));
	CHECK(fcntl(p[0], F_SETOWN, -getpgrp()) == 0);
	CHECK(fcntl(p[0], F_GETOWN_EX, &ex) == 0);
	CHECK_EQ(ex.type, F_OWNER_PGRP);
	CHECK_EQ(ex.pid, getpgrp());
	CHECK_ERR(fcntl(p[0], F_SETOWN, 0x3fffffff), ESRCH);
	ex.type = 3;
	CHECK_ERR(fcntl(p[0], F_SETOWN_EX, &ex), EINVAL);
	CHECK(fcntl(p[0], F_SETSIG, SIGUSR1) == 0);
	CHECK_EQ(fcntl(p[0], F_GETSIG), SIGUSR1);
	CHECK_ERR(fcntl(p[0], F_SETSIG, 65), EINVAL);
	CHECK_ERR(fcntl(p[0], 9999), EINVAL);
	CHECK_ERR(fcntl(9999, F_GETFL), EBADF);
	CHECK_ERR(fcntl(9999, F_SETFD, 0), EBADF);
	close(p[0]);
	close(p[1]);
}

static void owners_of_sockets_have_older_calls(void)
{
	int s[2], p[2], id = getpid(), got = -1;

	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0 && pipe(p) == 0);
	CHECK_EQ(ioctl(s[0], SIOCSPGRP, &id), 0);
	CHECK_EQ(fcntl(s[0], F_GETOWN), id);
	CHECK_EQ(ioctl(s[0], FIOGETOWN, &got), 0);
	CHECK_EQ(got, id);
	id = -getpgrp();
	CHECK_EQ(ioctl(s[0], FIOSETOWN, &id), 0);
	CHECK_EQ(ioctl(s[0], SIOCGPGRP, &got), 0);
	CHECK_EQ(got, id);
	CHECK_ERR(ioctl(p[0], FIOGETOWN, &got), ENOTTY);
	close(s[0]);
	close(s[1]);
	close(p[0]);
	close(p[1]);
}

static volatile int g_io_signals, g_io_fd;

static void on_io(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)context;
	g_io_signals++;
	g_io_fd = info->si_fd;
}

static void o_async_sends_a_signal(void)
{
	struct sigaction sa = {.sa_sigaction = on_io, .sa_flags = SA_SIGINFO};
	int p[2], on = 1, off = 0, ev = eventfd(0, 0);
	char c;

	sigaction(SIGIO, &sa, NULL);
	sigaction(SIGRTMIN, &sa, NULL);
	CHECK(pipe(p) == 0);
	CHECK(fcntl(p[0], F_SETOWN, getpid()) == 0);
	CHECK(fcntl(p[0], F_SETFL, O_ASYNC) == 0);
	CHECK(fcntl(p[0], F_GETFL) & O_ASYNC);
	g_io_signals = 0;
	CHECK_EQ(write(p[1], "x", 1), 1);
	sleep_ms(1); /* to the process: any thread may take it */
	CHECK_EQ(g_io_signals, 1);
	CHECK_EQ(read(p[0], &c, 1), 1);
	CHECK(fcntl(p[0], F_SETSIG, SIGRTMIN) == 0);
	CHECK_EQ(write(p[1], "x", 1), 1);
	sleep_ms(1);
	CHECK_EQ(g_io_signals, 2);
	CHECK_EQ(g_io_fd, p[0]);
	CHECK(ioctl(p[0], FIOASYNC, &off) == 0);
	CHECK(!(fcntl(p[0], F_GETFL) & O_ASYNC));
	CHECK_EQ(read(p[0], &c, 1), 1);
	CHECK_EQ(write(p[1], "x", 1), 1);
	CHECK_EQ(g_io_signals, 2);
	CHECK(ioctl(p[0], FIOASYNC, &on) == 0);
	CHECK_ERR(ioctl(ev, FIOASYNC, &on), ENOTTY);
	close(p[0]); /* switched on: nothing stays behind */
	signal(SIGPIPE, SIG_IGN);
	CHECK_ERR(write(p[1], "x", 1), EPIPE);
	CHECK_EQ(g_io_signals, 2);
	close(p[1]);
	close(ev);
}

static void close_range_closes(void)
{
	for (int fd = 60; fd < 70; fd++)
		CHECK_EQ(dup2(0, fd), fd);
	CHECK(syscall(SYS_close_range, 62, 64, 0) == 0);
	CHECK(open_again(61) && !open_again(62) && !open_again(64) && open_again(65));
	CHECK(syscall(SYS_close_range, 66, 67, 4) == 0);
	CHECK_EQ(fcntl(66, F_GETFD), FD_CLOEXEC);
	CHECK_EQ(fcntl(68, F_GETFD), 0);
	CHECK(syscall(SYS_close_range, 60, ~0u, 0) == 0);
	CHECK(!open_again(60) && !open_again(69));
	CHECK_ERR(syscall(SYS_close_range, 5, 4, 0), EINVAL);
	CHECK_ERR(syscall(SYS_close_range, 60, 61, 0x80), EINVAL);
}

static void the_limit_holds(void)
{
	struct rlimit old, rl;
	int fd = dup(0), at;

	CHECK(getrlimit(RLIMIT_NOFILE, &old) == 0);
	rl = old;
	rl.rlim_cur = 20;
	CHECK(setrlimit(RLIMIT_NOFILE, &rl) == 0);
	while ((at = dup(0)) >= 0)
		;
	CHECK_EQ(errno, EMFILE);
	CHECK_ERR(dup2(0, 20), EBADF);
	CHECK_ERR(fcntl(0, F_DUPFD, 20), EINVAL);
	CHECK_ERR(fcntl(0, F_DUPFD, 10), EMFILE);
	CHECK_ERR(eventfd(0, 0), EMFILE);
	CHECK(syscall(SYS_close_range, fd, 19, 0) == 0);
	CHECK(setrlimit(RLIMIT_NOFILE, &old) == 0);
}

static void a_high_number_works(void)
{
	struct rlimit old, rl;

	CHECK(getrlimit(RLIMIT_NOFILE, &old) == 0);
	rl.rlim_cur = rl.rlim_max = old.rlim_max < 60000 ? old.rlim_max : 60000;
	if (rl.rlim_cur < 60000)
		return;
	CHECK(setrlimit(RLIMIT_NOFILE, &(struct rlimit){60000, old.rlim_max}) == 0);
	CHECK_EQ(dup2(0, 59999), 59999);
	CHECK(open_again(59999));
	CHECK_EQ(close(59999), 0);
	CHECK(setrlimit(RLIMIT_NOFILE, &old) == 0);
}

/* Threads that open, copy and close; a number must never mean two things. */
static void *opener(void *arg)
{
	uint64_t mine = (uint64_t)(uintptr_t)arg, n;

	for (int i = 0; i < 10000; i++) {
		int fd = eventfd((unsigned)mine, EFD_NONBLOCK), copy;

		copy = dup(fd);
		close(fd);
		if (read(copy, &n, 8) != 8 || n != mine)
			CHECK(!"my own descriptor");
		close(copy);
	}
	return NULL;
}

static void *prober(void *arg)
{
	uint64_t n;

	(void)arg;
	for (int i = 0; i < 100000; i++)
		CHECK(pread(3 + i % 8, &n, 0, 0) == 0 || errno);
	return NULL;
}

static void threads_do_not_mix_numbers(void)
{
	pthread_t t[4];

	for (intptr_t i = 0; i < 3; i++)
		CHECK(pthread_create(&t[i], NULL, opener, (void *)(i + 1)) == 0);
	CHECK(pthread_create(&t[3], NULL, prober, NULL) == 0);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
}

int main(void)
{
	watchdog(40);
	CASE(the_lowest_number_is_taken);
	CASE(dup2_replaces);
	CASE(dup3_takes_cloexec);
	CASE(dupfd_takes_a_minimum);
	CASE(flags_belong_to_the_description);
	CASE(ioctls_of_every_kind);
	CASE(owners_are_kept);
	CASE(owners_of_sockets_have_older_calls);
	CASE(o_async_sends_a_signal);
	CASE(close_range_closes);
	CASE(the_limit_holds);
	CASE(a_high_number_works);
	CASE(threads_do_not_mix_numbers);
	return g_failed;
}
