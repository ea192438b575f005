/* SPDX-License-Identifier: MIT */
/* test_sys_fifo.c - FIFOs: mkfifo, and how open waits for the other end. */
#include "tests/sys/check.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>

#define NAME "/tmp/strait-fifo"

static short events_of(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN | POLLOUT};

	CHECK(poll(&p, 1, 0) >= 0);
	return p.revents;
}

static void fresh(void)
{
	unlink(NAME);
	CHECK(mkfifo(NAME, 0600) == 0);
}

static void nonblocking_opens(void)
{
	int r, w;
	char c;

	fresh();
	CHECK_ERR(open(NAME, O_WRONLY | O_NONBLOCK), ENXIO);
	r = open(NAME, O_RDONLY | O_NONBLOCK);
	CHECK(r >= 0);
	CHECK_EQ(events_of(r), 0); /* no hang-up: nobody was there yet */
	CHECK_EQ(read(r, &c, 1), 0);
	w = open(NAME, O_WRONLY | O_NONBLOCK);
	CHECK(w >= 0);
	CHECK_ERR(read(r, &c, 1), EAGAIN);
	CHECK_EQ(write(w, "x", 1), 1);
	CHECK_EQ(events_of(r), POLLIN);
	CHECK_EQ(read(r, &c, 1), 1);
	close(w);
	CHECK_EQ(events_of(r), POLLHUP);
	CHECK_EQ(read(r, &c, 1), 0);
	close(r);
	unlink(NAME);
}

static void read_write_never_waits(void)
{
	struct stat a, b;
	int fd, other;
	char c;

	fresh();
	fd = open(NAME, O_RDWR);
	CHECK(fd >= 0);
	CHECK_EQ(write(fd, "y", 1), 1);
	CHECK_EQ(read(fd, &c, 1), 1);
	CHECK_EQ(events_of(fd), POLLOUT);
	CHECK(fstat(fd, &a) == 0);
	CHECK(S_ISFIFO(a.st_mode));
	CHECK(stat(NAME, &b) == 0);
	CHECK_EQ(a.st_ino, b.st_ino);
	other = open(NAME, O_WRONLY); /* there is a reader */
	CHECK(other >= 0);
	CHECK_EQ(write(other, "z", 1), 1);
	CHECK_EQ(read(fd, &c, 1), 1);
	close(other);
	close(fd);
	unlink(NAME);
}

static void *writer(void *arg)
{
	int fd;

	(void)arg;
	sleep_ms(30);
	fd = open(NAME, O_WRONLY);
	CHECK(fd >= 0);
	CHECK_EQ(write(fd, "through", 7), 7);
	close(fd);
	return NULL;
}

static void opens_wait_for_each_other(void)
{
	char buf[16];
	pthread_t t;
	int fd;

	fresh();
	CHECK(pthread_create(&t, NULL, writer, NULL) == 0);
	fd = open(NAME, O_RDONLY);
	CHECK(fd >= 0);
	CHECK_EQ(read(fd, buf, 16), 7);
	CHECK_EQ(read(fd, buf, 16), 0);
	pthread_join(t, NULL);
	close(fd);
	unlink(NAME);
}

static void nothing(int sig)
{
	(void)sig;
}

static void *interrupter(void *arg)
{
	sleep_ms(30);
	pthread_kill(*(pthread_t *)arg, SIGUSR1);
	return NULL;
}

static void a_signal_ends_the_wait(void)
{
	struct sigaction sa = {.sa_handler = nothing};
	pthread_t me = pthread_self(), t;

	fresh();
	sigaction(SIGUSR1, &sa, NULL);
	CHECK(pthread_create(&t, NULL, interrupter, &me) == 0);
	CHECK_ERR(open(NAME, O_WRONLY), EINTR);
	pthread_join(t, NULL);
	CHECK_ERR(open(NAME, O_WRONLY | O_NONBLOCK), ENXIO);
	unlink(NAME);
}

static void it_outlives_its_name(void)
{
	char buf[8];
	int fd, again;

	fresh();
	fd = open(NAME, O_RDWR);
	CHECK_EQ(write(fd, "old", 3), 3);
	unlink(NAME);
	fresh();
	again = open(NAME, O_RDONLY | O_NONBLOCK);
	CHECK_EQ(read(again, buf, 8), 0); /* another FIFO */
	CHECK_EQ(read(fd, buf, 8), 3);
	close(again);
	close(fd);
	unlink(NAME);
}

int main(void)
{
	watchdog(20);
	CASE(nonblocking_opens);
	CASE(read_write_never_waits);
	CASE(opens_wait_for_each_other);
	CASE(a_signal_ends_the_wait);
	CASE(it_outlives_its_name);
	return g_failed;
}
