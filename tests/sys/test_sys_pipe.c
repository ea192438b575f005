/* SPDX-License-Identifier: MIT */
/* test_sys_pipe.c - pipe, pipe2, and the calls that move data through pipes. */
#include "tests/sys/check.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>

static volatile int g_pipe_signals;

static void on_sigpipe(int sig)
{
	(void)sig;
	g_pipe_signals++;
}

static short events_of(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN | POLLOUT};

	CHECK(poll(&p, 1, 0) >= 0);
	return p.revents;
}

static void what_goes_in_comes_out(void)
{
	char buf[16] = "";
	int p[2];

	CHECK(pipe(p) == 0);
	CHECK_EQ(write(p[1], "hello", 5), 5);
	CHECK_EQ(write(p[1], " you", 4), 4);
	CHECK_EQ(read(p[0], buf, 3), 3);
	CHECK_EQ(read(p[0], buf + 3, sizeof(buf) - 3), 6);
	CHECK(strcmp(buf, "hello you") == 0);
	CHECK_EQ(write(p[1], "", 0), 0);
	CHECK_EQ(read(p[0], buf, 0), 0);
	close(p[0]);
	close(p[1]);
}

static void ends_know_their_direction(void)
{
	char c = 0;
	int p[2];

	CHECK(pipe(p) == 0);
	CHECK_ERR(write(p[0], &c, 1), EBADF);
	CHECK_ERR(read(p[1], &c, 1), EBADF);
	CHECK_EQ(fcntl(p[0], F_GETFL) & O_ACCMODE, O_RDONLY);
	CHECK_EQ(fcntl(p[1], F_GETFL) & O_ACCMODE, O_WRONLY);
	CHECK_ERR(lseek(p[0], 0, SEEK_CUR), ESPIPE);
	CHECK_ERR(pread(p[0], &c, 1, 0), ESPIPE);
	CHECK_ERR(pwrite(p[1], &c, 1, 0), ESPIPE);
	CHECK_ERR(ftruncate(p[1], 0), EINVAL);
	CHECK_ERR(fsync(p[1]), EINVAL);
	close(p[0]);
	close(p[1]);
}

static void flags_of_pipe2(void)
{
	int p[2];

	CHECK(pipe2(p, O_CLOEXEC | O_NONBLOCK) == 0);
	CHECK_EQ(fcntl(p[0], F_GETFD), FD_CLOEXEC);
	CHECK_EQ(fcntl(p[1], F_GETFD), FD_CLOEXEC);
	CHECK(fcntl(p[0], F_GETFL) & O_NONBLOCK);
	CHECK(fcntl(p[1], F_GETFL) & O_NONBLOCK);
	close(p[0]);
	close(p[1]);
	CHECK_ERR(pipe2(p, O_APPEND), EINVAL);
	CHECK_ERR(syscall(SYS_pipe2, BAD_PTR, 0), EFAULT);
	CHECK_ERR(syscall(SYS_pipe, BAD_PTR), EFAULT);
}

static void empty_and_full_give_eagain(void)
{
	static char block[65536];
	int p[2], n;

	CHECK(pipe2(p, O_NONBLOCK) == 0);
	CHECK_ERR(read(p[0], block, 1), EAGAIN);
	CHECK_EQ(fcntl(p[1], F_GETPIPE_SZ), 65536);
	CHECK_EQ(write(p[1], block, sizeof(block)), sizeof(block));
	CHECK_ERR(write(p[1], block, 1), EAGAIN);
	CHECK(ioctl(p[0], FIONREAD, &n) == 0);
	CHECK_EQ(n, 65536);
	CHECK_EQ(events_of(p[1]), 0);
	CHECK_EQ(read(p[0], block, sizeof(block)), sizeof(block));
	CHECK_EQ(events_of(p[1]), POLLOUT);
	close(p[0]);
	close(p[1]);
}

static void small_writes_are_whole(void)
{
	static char block[65536];
	int p[2];

	CHECK(pipe2(p, O_NONBLOCK) == 0);
	CHECK_EQ(write(p[1], block, sizeof(block) - 4096), sizeof(block) - 4096);
	CHECK_EQ(write(p[1], block, PIPE_BUF), PIPE_BUF);
	CHECK_EQ(read(p[0], block, 4096), 4096);
	CHECK_EQ(write(p[1], block, 8192), 4096);
	CHECK_ERR(write(p[1], block, PIPE_BUF), EAGAIN);
	close(p[0]);
	close(p[1]);
}

static void no_reader_gives_epipe_and_sigpipe(void)
{
	int p[2];

	signal(SIGPIPE, on_sigpipe);
	g_pipe_signals = 0;
	CHECK(pipe(p) == 0);
	close(p[0]);
	CHECK_EQ(events_of(p[1]), POLLOUT | POLLERR);
	CHECK_ERR(write(p[1], "x", 1), EPIPE);
	CHECK_EQ(g_pipe_signals, 1);
	CHECK_EQ(write(p[1], "", 0), 0);
	signal(SIGPIPE, SIG_IGN);
	CHECK_ERR(write(p[1], "x", 1), EPIPE);
	signal(SIGPIPE, SIG_DFL);
	close(p[1]);
}

static void no_writer_is_the_end(void)
{
	char c;
	int p[2];

	CHECK(pipe(p) == 0);
	CHECK_EQ(write(p[1], "x", 1), 1);
	close(p[1]);
	CHECK_EQ(events_of(p[0]), POLLIN | POLLHUP);
	CHECK_EQ(read(p[0], &c, 1), 1);
	CHECK_EQ(events_of(p[0]), POLLHUP);
	CHECK_EQ(read(p[0], &c, 1), 0);
	close(p[0]);
}

static void bad_addresses_give_efault(void)
{
	char c;
	int p[2];

	CHECK(pipe2(p, O_NONBLOCK) == 0);
	CHECK_ERR(write(p[1], BAD_PTR, 1), EFAULT);
	CHECK_ERR(read(p[0], &c, 1), EAGAIN);
	CHECK_EQ(write(p[1], "x", 1), 1);
	CHECK_ERR(read(p[0], BAD_PTR, 1), EFAULT);
	CHECK_EQ(read(p[0], &c, 1), 1);
	close(p[0]);
	close(p[1]);
}

static void vectors_gather_and_scatter(void)
{
	char a[4] = "", b[8] = "";
	struct iovec out[3] = {{"ab", 2}, {"", 0}, {"cdefg", 5}};
	struct iovec in[2] = {{a, 3}, {b, 7}};
	int p[2];

	CHECK(pipe(p) == 0);
	CHECK_EQ(writev(p[1], out, 3), 7);
	CHECK_EQ(readv(p[0], in, 2), 7);
	CHECK(memcmp(a, "abc", 3) == 0 && memcmp(b, "defg", 4) == 0);
	CHECK_ERR(writev(p[1], out, -1), EINVAL);
	CHECK_ERR(writev(p[1], out, 1025), EINVAL);
	CHECK_EQ(writev(p[1], out, 0), 0);
	CHECK_ERR(writev(p[1], BAD_PTR, 1), EFAULT);
	close(p[0]);
	close(p[1]);
}

static void packets_keep_their_edges(void)
{
	static char big[PIPE_BUF + 100], buf[PIPE_BUF + 100];
	int p[2];

	CHECK(pipe2(p, O_DIRECT | O_NONBLOCK) == 0);
	CHECK_EQ(write(p[1], "first", 5), 5);
	CHECK_EQ(write(p[1], "second", 6), 6);
	CHECK_EQ(read(p[0], buf, 3), 3);
	CHECK_EQ(read(p[0], buf, sizeof(buf)), 6);
	CHECK_EQ(write(p[1], big, sizeof(big)), sizeof(big));
	CHECK_EQ(read(p[0], buf, sizeof(buf)), PIPE_BUF);
	CHECK_EQ(read(p[0], buf, sizeof(buf)), 100);
	CHECK_ERR(read(p[0], buf, 1), EAGAIN);
	close(p[0]);
	close(p[1]);
}

static void the_size_can_be_changed(void)
{
	static char block[65536];
	int p[2];

	CHECK(pipe2(p, O_NONBLOCK) == 0);
	CHECK_EQ(fcntl(p[1], F_SETPIPE_SZ, 100), 4096);
	CHECK_EQ(fcntl(p[0], F_GETPIPE_SZ), 4096);
	CHECK_EQ(write(p[1], block, 8192), 4096);
	CHECK_EQ(fcntl(p[1], F_SETPIPE_SZ, 100000), 131072);
	CHECK_EQ(write(p[1], block, 65536), 65536);
	CHECK_ERR(fcntl(p[1], F_SETPIPE_SZ, 4096), EBUSY);
	CHECK_EQ(read(p[0], block, 65536), 65536);
	CHECK_ERR(fcntl(0, F_GETPIPE_SZ + 1000), EINVAL);
	close(p[0]);
	close(p[1]);
}

static void fstat_says_fifo(void)
{
	struct stat st;
	int p[2];

	CHECK(pipe(p) == 0);
	CHECK(fstat(p[0], &st) == 0);
	CHECK(S_ISFIFO(st.st_mode));
	CHECK_EQ(st.st_mode & 07777, 0600);
	close(p[0]);
	close(p[1]);
}

static void tty_requests_give_enotty(void)
{
	char t[64];
	int p[2];

	CHECK(pipe(p) == 0);
	CHECK_ERR(ioctl(p[0], TIOCGWINSZ, t), ENOTTY);
	CHECK(!isatty(p[1]) && errno == ENOTTY);
	close(p[0]);
	close(p[1]);
}

static void *late_writer(void *arg)
{
	sleep_ms(30);
	CHECK_EQ(write(*(int *)arg, "late", 4), 4);
	return NULL;
}

static void a_reader_waits(void)
{
	pthread_t t;
	char buf[8];
	int p[2];

	CHECK(pipe(p) == 0);
	CHECK(pthread_create(&t, NULL, late_writer, &p[1]) == 0);
	CHECK_EQ(read(p[0], buf, sizeof(buf)), 4);
	pthread_join(t, NULL);
	close(p[0]);
	close(p[1]);
}

static void *late_closer(void *arg)
{
	sleep_ms(30);
	close(*(int *)arg);
	return NULL;
}

static void a_waiting_reader_sees_the_end(void)
{
	pthread_t t;
	char c;
	int p[2];

	CHECK(pipe(p) == 0);
	CHECK(pthread_create(&t, NULL, late_closer, &p[1]) == 0);
	CHECK_EQ(read(p[0], &c, 1), 0);
	pthread_join(t, NULL);
	close(p[0]);
}

static void *late_reader(void *arg)
{
	static char block[65536];
	size_t left = 200000;

	sleep_ms(20);
	while (left > 0) {
		ssize_t n = read(*(int *)arg, block, sizeof(block));

		CHECK(n > 0);
		if (n <= 0)
			break;
		left -= (size_t)n;
	}
	return NULL;
}

static void a_writer_waits_for_room(void)
{
	static char block[200000];
	pthread_t t;
	int p[2];

	CHECK(pipe(p) == 0);
	CHECK(pthread_create(&t, NULL, late_reader, &p[0]) == 0);
	CHECK_EQ(write(p[1], block, sizeof(block)), sizeof(block));
	pthread_join(t, NULL);
	close(p[0]);
	close(p[1]);
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

static void a_signal_ends_a_wait(void)
{
	struct sigaction sa = {.sa_handler = nothing};
	pthread_t me = pthread_self(), t;
	char c;
	int p[2];

	CHECK(pipe(p) == 0);
	sigaction(SIGUSR1, &sa, NULL);
	CHECK(pthread_create(&t, NULL, interrupter, &me) == 0);
	CHECK_ERR(read(p[0], &c, 1), EINTR);
	pthread_join(t, NULL);
	close(p[0]);
	close(p[1]);
}

static void *interrupt_then_write(void *arg)
{
	int *a = arg;

	(void)a;
	sleep_ms(30);
	pthread_kill(*(pthread_t *)((void **)arg)[0], SIGUSR1);
	sleep_ms(30);
	CHECK_EQ(write(*(int *)((void **)arg)[1], "z", 1), 1);
	return NULL;
}

static void sa_restart_goes_on_waiting(void)
{
	struct sigaction sa = {.sa_handler = nothing, .sa_flags = SA_RESTART};
	pthread_t me = pthread_self(), t;
	void *arg[2];
	char c = 0;
	int p[2];

	CHECK(pipe(p) == 0);
	arg[0] = &me;
	arg[1] = &p[1];
	sigaction(SIGUSR1, &sa, NULL);
	CHECK(pthread_create(&t, NULL, interrupt_then_write, arg) == 0);
	CHECK_EQ(read(p[0], &c, 1), 1);
	CHECK_EQ(c, 'z');
	pthread_join(t, NULL);
	close(p[0]);
	close(p[1]);
}

static void splice_moves_between_pipes(void)
{
	char buf[16] = "";
	int a[2], b[2];

	CHECK(pipe(a) == 0 && pipe(b) == 0);
	CHECK_EQ(write(a[1], "splice me", 9), 9);
	CHECK_EQ(tee(a[0], b[1], 6, 0), 6);
	CHECK_EQ(read(b[0], buf, sizeof(buf)), 6);
	CHECK(memcmp(buf, "splice", 6) == 0);
	CHECK_EQ(splice(a[0], NULL, b[1], NULL, 100, 0), 9);
	CHECK_EQ(read(b[0], buf, sizeof(buf)), 9);
	CHECK(memcmp(buf, "splice me", 9) == 0);
	CHECK_ERR(splice(a[0], NULL, b[1], NULL, 1, SPLICE_F_NONBLOCK), EAGAIN);
	CHECK_ERR(splice(a[0], NULL, a[1], NULL, 1, 0), EINVAL);
	CHECK_ERR(splice(a[0], NULL, b[1], NULL, 1, 0x1000), EINVAL);
	for (int i = 0; i < 2; i++) {
		close(a[i]);
		close(b[i]);
	}
}

static void splice_with_a_memory_file(void)
{
	char buf[16] = "";
	int p[2], m = memfd_create("s", 0);
	off_t off = 2;

	CHECK(pipe(p) == 0);
	CHECK_EQ(write(m, "0123456789", 10), 10);
	CHECK_EQ(splice(m, &off, p[1], NULL, 5, 0), 5);
	CHECK_EQ(off, 7);
	CHECK_EQ(read(p[0], buf, sizeof(buf)), 5);
	CHECK(memcmp(buf, "23456", 5) == 0);
	CHECK_EQ(write(p[1], "abc", 3), 3);
	off = 1;
	CHECK_EQ(splice(p[0], NULL, m, &off, 3, 0), 3);
	CHECK_EQ(off, 4);
	CHECK_EQ(pread(m, buf, 10, 0), 10);
	CHECK(memcmp(buf, "0abc456789", 10) == 0);
	CHECK_ERR(splice(p[0], &off, m, NULL, 1, 0), ESPIPE);
	close(p[0]);
	close(p[1]);
	close(m);
}

static void vmsplice_fills_a_pipe(void)
{
	struct iovec v[2] = {{"one ", 4}, {"two", 3}};
	char buf[16];
	int p[2];

	CHECK(pipe(p) == 0);
	CHECK_EQ(vmsplice(p[1], v, 2, 0), 7);
	CHECK_EQ(read(p[0], buf, sizeof(buf)), 7);
	CHECK(memcmp(buf, "one two", 7) == 0);
	close(p[0]);
	close(p[1]);
}

/* ---- many threads ---- */

#define STRESS_BYTES (4u << 20)

static void *stress_writer(void *arg)
{
	int fd = *(int *)arg;
	unsigned char buf[777];
	unsigned seq = 0;
	size_t left = STRESS_BYTES;

	while (left > 0) {
		size_t n = 1 + seq % sizeof(buf);

		if (n > left)
			n = left;
		memset(buf, (int)(seq & 0xff), n);
		for (size_t at = 0; at < n;) {
			ssize_t r = write(fd, buf + at, n - at);

			if (r < 0) {
				CHECK(r > 0);
				return NULL;
			}
			at += (size_t)r;
		}
		left -= n;
		seq++;
	}
	return NULL;
}

static void a_stream_keeps_its_order(void)
{
	static unsigned char buf[5000];
	size_t left = STRESS_BYTES, in_block = 1;
	unsigned seq = 0;
	pthread_t t;
	int p[2], bad = 0;

	CHECK(pipe(p) == 0);
	CHECK(pthread_create(&t, NULL, stress_writer, &p[1]) == 0);
	while (left > 0 && !bad) {
		ssize_t n = read(p[0], buf, sizeof(buf));

		if (n <= 0)
			bad = 1;
		for (ssize_t i = 0; i < n; i++) {
			if (buf[i] != (unsigned char)seq)
				bad = 2;
			if (--in_block == 0) {
				seq++;
				in_block = 1 + seq % 777;
			}
		}
		left -= n > 0 ? (size_t)n : 0;
	}
	CHECK_EQ(bad, 0);
	pthread_join(t, NULL);
	close(p[0]);
	close(p[1]);
}

#define RECORDS 20000

static void *record_writer(void *arg)
{
	int fd = ((int *)arg)[0];
	uint32_t rec[16];

	for (uint32_t i = 0; i < RECORDS; i++) {
		for (int k = 0; k < 16; k++)
			rec[k] = i ^ (uint32_t)((int *)arg)[1];
		if (write(fd, rec, sizeof(rec)) != sizeof(rec))
			CHECK(!"record written");
	}
	return NULL;
}

static void records_of_many_writers_stay_whole(void)
{
	int p[2], args[3][2], bad = 0;
	pthread_t t[3];
	uint32_t rec[16];

	CHECK(pipe(p) == 0);
	for (int i = 0; i < 3; i++) {
		args[i][0] = p[1];
		args[i][1] = i << 24;
		CHECK(pthread_create(&t[i], NULL, record_writer, args[i]) == 0);
	}
	for (int i = 0; i < 3 * RECORDS; i++) {
		size_t at = 0;

		while (at < sizeof(rec)) {
			ssize_t n = read(p[0], (char *)rec + at, sizeof(rec) - at);

			if (n <= 0)
				break;
			at += (size_t)n;
		}
		for (int k = 1; k < 16; k++)
			bad |= rec[k] != rec[0];
	}
	CHECK_EQ(bad, 0);
	for (int i = 0; i < 3; i++)
		pthread_join(t[i], NULL);
	close(p[0]);
	close(p[1]);
}

static void *pong(void *arg)
{
	int *fds = arg;
	char c;

	while (read(fds[0], &c, 1) == 1 && write(fds[1], &c, 1) == 1)
		;
	return NULL;
}

static void ping_pong_never_stops(void)
{
	int a[2], b[2], fds[2];
	pthread_t t;
	char c = 1;

	CHECK(pipe(a) == 0 && pipe(b) == 0);
	fds[0] = a[0];
	fds[1] = b[1];
	CHECK(pthread_create(&t, NULL, pong, fds) == 0);
	for (int i = 0; i < 20000; i++) {
		if (write(a[1], &c, 1) != 1 || read(b[0], &c, 1) != 1) {
			CHECK(!"round trip");
			break;
		}
	}
	close(a[1]);
	pthread_join(t, NULL);
	close(a[0]);
	close(b[0]);
	close(b[1]);
}

int main(void)
{
	watchdog(50);
	CASE(what_goes_in_comes_out);
	CASE(ends_know_their_direction);
	CASE(flags_of_pipe2);
	CASE(empty_and_full_give_eagain);
	CASE(small_writes_are_whole);
	CASE(no_reader_gives_epipe_and_sigpipe);
	CASE(no_writer_is_the_end);
	CASE(bad_addresses_give_efault);
	CASE(vectors_gather_and_scatter);
	CASE(packets_keep_their_edges);
	CASE(the_size_can_be_changed);
	CASE(fstat_says_fifo);
	CASE(tty_requests_give_enotty);
	CASE(a_reader_waits);
	CASE(a_waiting_reader_sees_the_end);
	CASE(a_writer_waits_for_room);
	CASE(a_signal_ends_a_wait);
	CASE(sa_restart_goes_on_waiting);
	CASE(splice_moves_between_pipes);
	CASE(splice_with_a_memory_file);
	CASE(vmsplice_fills_a_pipe);
	CASE(a_stream_keeps_its_order);
	CASE(records_of_many_writers_stay_whole);
	CASE(ping_pong_never_stops);
	return g_failed;
}
