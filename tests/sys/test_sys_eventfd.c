/* SPDX-License-Identifier: MIT */
/* test_sys_eventfd.c - eventfd, eventfd2. */
#include "tests/sys/check.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>

static short events_of(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN | POLLOUT};

	CHECK(poll(&p, 1, 0) >= 0);
	return p.revents;
}

static void writes_add_up_and_a_read_takes_all(void)
{
	int fd = eventfd(3, EFD_NONBLOCK);
	uint64_t n = 4;

	CHECK(fd >= 0);
	CHECK_EQ(write(fd, &n, 8), 8);
	CHECK_EQ(read(fd, &n, 8), 8);
	CHECK_EQ(n, 7);
	CHECK_ERR(read(fd, &n, 8), EAGAIN);
	close(fd);
}

static void a_semaphore_gives_one_at_a_time(void)
{
	int fd = eventfd(2, EFD_NONBLOCK | EFD_SEMAPHORE);
	uint64_t n = 0;

	CHECK_EQ(read(fd, &n, 8), 8);
	CHECK_EQ(n, 1);
	CHECK_EQ(read(fd, &n, 8), 8);
	CHECK_EQ(n, 1);
	CHECK_ERR(read(fd, &n, 8), EAGAIN);
	close(fd);
}

static void the_limit_gives_eagain(void)
{
	int fd = eventfd(0, EFD_NONBLOCK);
	uint64_t n = UINT64_MAX;

	CHECK_ERR(write(fd, &n, 8), EINVAL);
	n = UINT64_MAX - 1;
	CHECK_EQ(write(fd, &n, 8), 8);
	CHECK_EQ(events_of(fd), POLLIN);
	n = 1;
	CHECK_ERR(write(fd, &n, 8), EAGAIN);
	n = 0;
	CHECK_EQ(write(fd, &n, 8), 8);
	CHECK_EQ(read(fd, &n, 8), 8);
	CHECK(n == UINT64_MAX - 1);
	CHECK_EQ(events_of(fd), POLLOUT);
	close(fd);
}

static void small_buffers_give_einval(void)
{
	int fd = eventfd(1, 0);
	uint64_t n = 1;

	CHECK_ERR(read(fd, &n, 7), EINVAL);
	CHECK_ERR(write(fd, &n, 7), EINVAL);
	CHECK_ERR(read(fd, BAD_PTR, 8), EFAULT);
	CHECK_ERR(write(fd, BAD_PTR, 8), EFAULT);
	CHECK_EQ(lseek(fd, 5, SEEK_SET), 0);
	close(fd);
}

static void flags_are_checked(void)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	CHECK_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
	CHECK(fcntl(fd, F_GETFL) & O_NONBLOCK);
	close(fd);
	CHECK_ERR(eventfd(0, 0x10), EINVAL);
	fd = (int)syscall(SYS_eventfd, 5);
	CHECK(fd >= 0);
	CHECK_EQ(fcntl(fd, F_GETFD), 0);
	close(fd);
}

static void *late_write(void *arg)
{
	uint64_t n = 9;

	sleep_ms(30);
	CHECK_EQ(write(*(int *)arg, &n, 8), 8);
	return NULL;
}

static void a_reader_waits(void)
{
	int fd = eventfd(0, 0);
	uint64_t n = 0;
	pthread_t t;

	CHECK(pthread_create(&t, NULL, late_write, &fd) == 0);
	CHECK_EQ(read(fd, &n, 8), 8);
	CHECK_EQ(n, 9);
	pthread_join(t, NULL);
	close(fd);
}

static void *late_read(void *arg)
{
	uint64_t n;

	sleep_ms(30);
	CHECK_EQ(read(*(int *)arg, &n, 8), 8);
	return NULL;
}

static void a_writer_waits_for_room(void)
{
	int fd = eventfd(0, 0);
	uint64_t n = UINT64_MAX - 1;
	pthread_t t;

	CHECK_EQ(write(fd, &n, 8), 8);
	CHECK(pthread_create(&t, NULL, late_read, &fd) == 0);
	n = 5;
	CHECK_EQ(write(fd, &n, 8), 8);
	pthread_join(t, NULL);
	CHECK_EQ(read(fd, &n, 8), 8);
	CHECK_EQ(n, 5);
	close(fd);
}

static void every_write_is_an_edge(void)
{
	struct epoll_event ev = {.events = EPOLLIN | EPOLLET};
	int fd = eventfd(0, 0), ep = epoll_create1(0);
	uint64_t n = 1;

	CHECK(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) == 0);
	CHECK_EQ(epoll_wait(ep, &ev, 1, 0), 0);
	CHECK_EQ(write(fd, &n, 8), 8);
	CHECK_EQ(epoll_wait(ep, &ev, 1, 0), 1);
	CHECK_EQ(epoll_wait(ep, &ev, 1, 0), 0);
	CHECK_EQ(write(fd, &n, 8), 8);
	CHECK_EQ(epoll_wait(ep, &ev, 1, 0), 1);
	close(ep);
	close(fd);
}

#define ROUNDS 20000

static void *adder(void *arg)
{
	uint64_t one = 1;

	for (int i = 0; i < ROUNDS; i++)
		CHECK(write(*(int *)arg, &one, 8) == 8);
	return NULL;
}

static void nothing_is_lost_among_threads(void)
{
	int fd = eventfd(0, 0);
	uint64_t n, sum = 0;
	pthread_t t[3];

	for (int i = 0; i < 3; i++)
		CHECK(pthread_create(&t[i], NULL, adder, &fd) == 0);
	while (sum < 3 * ROUNDS) {
		if (read(fd, &n, 8) != 8) {
			CHECK(!"read");
			break;
		}
		sum += n;
	}
	CHECK_EQ(sum, 3 * ROUNDS);
	for (int i = 0; i < 3; i++)
		pthread_join(t[i], NULL);
	close(fd);
}

static void what_has_no_inode_can_be_asked_for_attributes(void)
{
	sigset_t none;
	struct stat st, by_name;
	int fds[4];

	sigemptyset(&none);
	fds[0] = eventfd(0, 0);
	fds[1] = timerfd_create(CLOCK_MONOTONIC, 0);
	fds[2] = signalfd(-1, &none, 0);
	fds[3] = epoll_create1(0);
	for (int i = 0; i < 4; i++) {
		CHECK(fds[i] >= 0);
		CHECK_EQ(fstat(fds[i], &st), 0);
		CHECK_EQ(st.st_mode, 0600);
		CHECK_EQ(st.st_nlink, 1);
		CHECK_EQ(syscall(SYS_newfstatat, fds[i], "", &by_name, AT_EMPTY_PATH), 0);
		CHECK_EQ(by_name.st_mode, 0600);
		CHECK_EQ(by_name.st_ino, st.st_ino);
		close(fds[i]);
	}
}

int main(void)
{
	watchdog(40);
	CASE(writes_add_up_and_a_read_takes_all);
	CASE(a_semaphore_gives_one_at_a_time);
	CASE(the_limit_gives_eagain);
	CASE(small_buffers_give_einval);
	CASE(flags_are_checked);
	CASE(a_reader_waits);
	CASE(a_writer_waits_for_room);
	CASE(every_write_is_an_edge);
	CASE(nothing_is_lost_among_threads);
	CASE(what_has_no_inode_can_be_asked_for_attributes);
	return g_failed;
}
