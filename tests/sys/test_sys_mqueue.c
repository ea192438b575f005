/* SPDX-License-Identifier: MIT */
/* POSIX message queues: mq_open, send, receive, notify, unlink. */
#include "tests/sys/check.h"

#include <fcntl.h>
#include <mqueue.h>
#include <poll.h>
#include <sys/stat.h>

#define NAME "/strait-test-queue"

static mqd_t fresh(int flags, long maxmsg, long size)
{
	struct mq_attr attr = {.mq_maxmsg = maxmsg, .mq_msgsize = size};
	mqd_t q;

	mq_unlink(NAME);
	q = mq_open(NAME, O_CREAT | O_EXCL | O_RDWR | flags, 0600, &attr);
	CHECK(q != (mqd_t)-1);
	return q;
}

static void done(mqd_t q)
{
	CHECK_EQ(mq_close(q), 0);
	CHECK_EQ(mq_unlink(NAME), 0);
}

static void the_highest_priority_comes_first_and_the_oldest_of_it(void)
{
	mqd_t q = fresh(0, 8, 64);
	char buf[64];
	unsigned prio;

	CHECK_EQ(mq_send(q, "a", 1, 1), 0);
	CHECK_EQ(mq_send(q, "b", 1, 5), 0);
	CHECK_EQ(mq_send(q, "c", 1, 1), 0);
	CHECK_EQ(mq_send(q, "d", 1, 5), 0);
	CHECK_EQ(mq_send(q, "", 0, 3), 0);
	for (const char *want = "bd-ac"; *want; want++) {
		ssize_t n = mq_receive(q, buf, sizeof(buf), &prio);

		CHECK_EQ(n, *want == '-' ? 0 : 1);
		if (*want != '-')
			CHECK_EQ(buf[0], *want);
	}
	CHECK_EQ(prio, 1);
	done(q);
}

static void attributes_tell_what_was_asked(void)
{
	mqd_t q = fresh(0, 5, 100);
	struct mq_attr attr, nb = {.mq_flags = O_NONBLOCK};
	char buf[100];

	CHECK_EQ(mq_send(q, "x", 1, 0), 0);
	CHECK_EQ(mq_getattr(q, &attr), 0);
	CHECK_EQ(attr.mq_maxmsg, 5);
	CHECK_EQ(attr.mq_msgsize, 100);
	CHECK_EQ(attr.mq_curmsgs, 1);
	CHECK_EQ(attr.mq_flags, 0);
	CHECK_EQ(mq_setattr(q, &nb, NULL), 0);
	CHECK_EQ(mq_getattr(q, &attr), 0);
	CHECK_EQ(attr.mq_flags, O_NONBLOCK);
	CHECK_EQ(mq_receive(q, buf, 100, NULL), 1);
	CHECK_ERR(mq_receive(q, buf, 100, NULL), EAGAIN);
	done(q);
}

static void full_and_empty_queues_refuse_or_time_out(void)
{
	mqd_t q = fresh(0, 2, 16);
	struct timespec past = {1, 0}, soon, bad = {1, 1000000000};
	char buf[16];
	uint64_t start = now_ns();

	clock_gettime(CLOCK_REALTIME, &soon);
	soon.tv_nsec += 50000000;
	if (soon.tv_nsec >= 1000000000) {
		soon.tv_sec++;
		soon.tv_nsec -= 1000000000;
	}
	CHECK_ERR(mq_timedreceive(q, buf, 16, NULL, &past), ETIMEDOUT);
	CHECK_ERR(mq_timedreceive(q, buf, 16, NULL, &soon), ETIMEDOUT);
	CHECK(now_ns() - start >= 45000000u);
	CHECK_ERR(mq_timedreceive(q, buf, 16, NULL, &bad), EINVAL);
	CHECK_EQ(mq_send(q, "1", 1, 0), 0);
	CHECK_EQ(mq_send(q, "2", 1, 0), 0);
	CHECK_ERR(mq_timedsend(q, "3", 1, 0, &past), ETIMEDOUT);
	done(q);
}

static void sizes_and_rights_are_checked(void)
{
	mqd_t q = fresh(0, 2, 16), r;
	char buf[32] = {0};

	CHECK_ERR(mq_send(q, buf, 17, 0), EMSGSIZE);
	CHECK_ERR(mq_send(q, buf, 1, 32768), EINVAL);
	CHECK_EQ(mq_send(q, buf, 1, 32767), 0);
	CHECK_ERR(mq_receive(q, buf, 15, NULL), EMSGSIZE);
	r = mq_open(NAME, O_RDONLY);
	CHECK(r != (mqd_t)-1);
	CHECK_ERR(mq_send(r, buf, 1, 0), EBADF);
	CHECK_EQ(mq_receive(r, buf, 16, NULL), 1);
	CHECK_EQ(mq_close(r), 0);
	CHECK_ERR(mq_open(NAME, O_CREAT | O_EXCL | O_RDWR, 0600, NULL), EEXIST);
	CHECK_ERR(mq_open("/strait-no-such", O_RDWR), ENOENT);
	CHECK_ERR(mq_unlink("/strait-no-such"), ENOENT);
	CHECK_ERR(mq_send((mqd_t)0, buf, 1, 0), EBADF);
	CHECK_ERR(syscall(SYS_mq_timedsend, q, BAD_PTR, 5, 0, NULL), EFAULT);
	CHECK_ERR(syscall(SYS_mq_timedsend, q, buf, 5, 0, BAD_PTR), EFAULT);
	done(q);
}

static void an_unlinked_queue_lives_until_it_is_closed(void)
{
	mqd_t q = fresh(0, 2, 16);
	char buf[16];

	CHECK_EQ(mq_unlink(NAME), 0);
	CHECK_EQ(mq_send(q, "x", 1, 0), 0);
	CHECK_ERR(mq_open(NAME, O_RDWR), ENOENT);
	CHECK_EQ(mq_receive(q, buf, 16, NULL), 1);
	CHECK_EQ(mq_close(q), 0);
}

static mqd_t g_q;

static void *send_later(void *arg)
{
	sleep_ms(60);
	CHECK_EQ(mq_send(g_q, "late", 4, 0), 0);
	return arg;
}

static void a_receiver_and_a_poll_are_woken(void)
{
	struct pollfd pfd;
	pthread_t t;
	char buf[16];

	g_q = fresh(0, 2, 16);
	pthread_create(&t, NULL, send_later, NULL);
	CHECK_EQ(mq_receive(g_q, buf, 16, NULL), 4);
	pthread_join(t, NULL);
	pfd = (struct pollfd){.fd = g_q, .events = POLLIN};
	CHECK_EQ(poll(&pfd, 1, 0), 0);
	pthread_create(&t, NULL, send_later, NULL);
	CHECK_EQ(poll(&pfd, 1, 5000), 1);
	CHECK_EQ(pfd.revents, POLLIN);
	pthread_join(t, NULL);
	CHECK_EQ(mq_receive(g_q, buf, 16, NULL), 4);
	done(g_q);
}

static volatile sig_atomic_t g_count, g_code, g_value;

static void note(int sig, siginfo_t *info, void *uc)
{
	(void)sig;
	(void)uc;
	g_count++;
	g_code = info->si_code;
	g_value = info->si_value.sival_int;
}

static void a_signal_tells_of_the_first_message_once(void)
{
	struct sigaction sa = {.sa_sigaction = note, .sa_flags = SA_SIGINFO};
	struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
	mqd_t q = fresh(0, 4, 16);

	sigaction(SIGUSR1, &sa, NULL);
	ev.sigev_value.sival_int = 31;
	CHECK_EQ(mq_notify(q, &ev), 0);
	CHECK_ERR(mq_notify(q, &ev), EBUSY);
	CHECK_EQ(mq_send(q, "x", 1, 0), 0);
	CHECK_EQ(g_count, 1);
	CHECK_EQ(g_code, SI_MESGQ);
	CHECK_EQ(g_value, 31);
	CHECK_EQ(mq_send(q, "x", 1, 0), 0);
	CHECK_EQ(g_count, 1);
	CHECK_EQ(mq_notify(q, &ev), 0);
	CHECK_EQ(mq_notify(q, NULL), 0);
	CHECK_EQ(mq_notify(q, &ev), 0);
	ev.sigev_notify = 77;
	CHECK_ERR(mq_notify(q, &ev), EINVAL);
	done(q);
}

static volatile int g_called;

static void on_thread(union sigval v)
{
	g_called = v.sival_int;
}

static void a_thread_tells_of_the_first_message(void)
{
	struct sigevent ev = {.sigev_notify = SIGEV_THREAD};
	mqd_t q = fresh(0, 4, 16);

	ev.sigev_value.sival_int = 77;
	ev.sigev_notify_function = on_thread;
	CHECK_EQ(mq_notify(q, &ev), 0);
	CHECK_ERR(mq_notify(q, &ev), EBUSY);
	sleep_ms(30);
	CHECK_EQ(g_called, 0);
	CHECK_EQ(mq_send(q, "x", 1, 0), 0);
	for (int i = 0; i < 400 && !g_called; i++)
		sleep_ms(5);
	CHECK_EQ(g_called, 77);
	g_called = 0;
	CHECK_EQ(mq_notify(q, &ev), 0);
	CHECK_EQ(mq_notify(q, NULL), 0); /* taken back: no call */
	sleep_ms(30);
	CHECK_EQ(g_called, 0);
	done(q);
}

int main(void)
{
	watchdog(30);
	if (mq_open("/strait-probe", O_RDONLY) == (mqd_t)-1 && errno == ENOSYS) {
		printf("skip: this kernel has no message queues\n");
		return 77;
	}
	CASE(the_highest_priority_comes_first_and_the_oldest_of_it);
	CASE(attributes_tell_what_was_asked);
	CASE(full_and_empty_queues_refuse_or_time_out);
	CASE(sizes_and_rights_are_checked);
	CASE(an_unlinked_queue_lives_until_it_is_closed);
	CASE(a_receiver_and_a_poll_are_woken);
	CASE(a_signal_tells_of_the_first_message_once);
	CASE(a_thread_tells_of_the_first_message);
	return g_failed;
}
