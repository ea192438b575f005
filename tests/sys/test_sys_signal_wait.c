/* SPDX-License-Identifier: MIT */
/* Waiting for signals: rt_sigtimedwait, rt_sigsuspend, ppoll's mask, signalfd. */
#include "tests/sys/check.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/signalfd.h>

static volatile sig_atomic_t g_count;
static pthread_t g_main;

static void count(int sig)
{
	(void)sig;
	g_count++;
}

static void handle(int sig)
{
	struct sigaction sa = {.sa_handler = count};

	sigemptyset(&sa.sa_mask);
	sigaction(sig, &sa, NULL);
	g_count = 0;
}

static sigset_t only(int sig)
{
	sigset_t s;

	sigemptyset(&s);
	sigaddset(&s, sig);
	return s;
}

static void block(int sig)
{
	sigset_t s = only(sig);

	pthread_sigmask(SIG_BLOCK, &s, NULL);
}

static void unblock(int sig)
{
	sigset_t s = only(sig);

	pthread_sigmask(SIG_UNBLOCK, &s, NULL);
}

static int is_blocked(int sig)
{
	sigset_t s;

	pthread_sigmask(SIG_BLOCK, NULL, &s);
	return sigismember(&s, sig);
}

static int g_sig, g_to_process;

static void *send_soon(void *arg)
{
	(void)arg;
	sleep_ms(60);
	if (g_to_process)
		kill(getpid(), g_sig);
	else
		pthread_kill(g_main, g_sig);
	return NULL;
}

static pthread_t soon(int sig, int to_process)
{
	pthread_t t;

	g_sig = sig;
	g_to_process = to_process;
	CHECK_EQ(pthread_create(&t, NULL, send_soon, NULL), 0);
	return t;
}

static void sigtimedwait_takes_what_is_pending(void)
{
	sigset_t s = only(SIGRTMIN);
	struct timespec zero = {0, 0};
	siginfo_t info;

	block(SIGRTMIN);
	sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = 7});
	sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = 8});
	CHECK_EQ(sigtimedwait(&s, &info, &zero), SIGRTMIN);
	CHECK_EQ(info.si_value.sival_int, 7);
	CHECK_EQ(info.si_code, SI_QUEUE);
	CHECK_EQ(info.si_pid, getpid());
	CHECK_EQ(info.si_uid, getuid());
	CHECK_EQ(sigtimedwait(&s, &info, &zero), SIGRTMIN);
	CHECK_EQ(info.si_value.sival_int, 8);
	CHECK_ERR(sigtimedwait(&s, &info, &zero), EAGAIN);
}

static void queued_signals_say_what_the_sender_wrote(void)
{
	sigset_t s = only(SIGRTMIN);
	siginfo_t info, got;
	long tid = syscall(SYS_gettid);

	block(SIGRTMIN);
	memset(&info, 0, sizeof(info));
	info.si_code = -77;
	info.si_pid = 99;
	info.si_value.sival_int = 5;
	CHECK_EQ(syscall(SYS_rt_tgsigqueueinfo, getpid(), tid, SIGRTMIN, &info), 0);
	CHECK_EQ(sigwaitinfo(&s, &got), SIGRTMIN);
	CHECK_EQ(got.si_signo, SIGRTMIN);
	CHECK_EQ(got.si_code, -77);
	CHECK_EQ(got.si_pid, 99);
	CHECK_EQ(got.si_value.sival_int, 5);
	CHECK_EQ(syscall(SYS_rt_sigqueueinfo, getpid(), SIGRTMIN, &info), 0);
	CHECK_EQ(sigwaitinfo(&s, &got), SIGRTMIN);
	CHECK_EQ(got.si_code, -77);
	CHECK_ERR(syscall(SYS_rt_tgsigqueueinfo, 0, tid, SIGRTMIN, &info), EINVAL);
	CHECK_ERR(syscall(SYS_rt_tgsigqueueinfo, getpid(), 0x3ffffff, SIGRTMIN, &info),
	          ESRCH);
	CHECK_ERR(syscall(SYS_rt_tgsigqueueinfo, getpid(), tid, 65, &info), EINVAL);
	CHECK_ERR(syscall(SYS_rt_tgsigqueueinfo, getpid(), tid, SIGRTMIN, BAD_PTR),
	          EFAULT);
	info.si_code = SI_USER; /* nobody may pretend to be kill(), but to itself */
	CHECK_EQ(syscall(SYS_rt_sigqueueinfo, getpid(), 0, &info), 0);
	CHECK_ERR(syscall(SYS_rt_sigqueueinfo, getppid() + 77777, SIGRTMIN, &info),
	          EPERM);
	unblock(SIGRTMIN);
}

static void sigtimedwait_times_out(void)
{
	struct timespec limit = {0, 80000000}, bad = {0, 1000000000};
	sigset_t s = only(SIGUSR1);
	uint64_t start = now_ns();

	CHECK_ERR(sigtimedwait(&s, NULL, &limit), EAGAIN);
	CHECK(now_ns() - start >= 80000000u);
	CHECK_ERR(sigtimedwait(&s, NULL, &bad), EINVAL);
	CHECK_ERR(syscall(SYS_rt_sigtimedwait, &s, NULL, NULL, 4), EINVAL);
	CHECK_ERR(syscall(SYS_rt_sigtimedwait, BAD_PTR, NULL, NULL, 8), EFAULT);
}

static void sigwaitinfo_waits_for_a_thread_and_a_process_signal(void)
{
	sigset_t s = only(SIGUSR1);
	siginfo_t info;
	pthread_t t;

	block(SIGUSR1);
	for (int to_process = 0; to_process < 2; to_process++) {
		t = soon(SIGUSR1, to_process);
		CHECK_EQ(sigwaitinfo(&s, &info), SIGUSR1);
		CHECK_EQ(info.si_code, to_process ? SI_USER : SI_TKILL);
		pthread_join(t, NULL);
	}
	CHECK(is_blocked(SIGUSR1));
	unblock(SIGUSR1);
}

static void sigtimedwait_is_interrupted_by_another_signal(void)
{
	sigset_t s = only(SIGUSR1);
	pthread_t t;

	block(SIGUSR1);
	handle(SIGUSR2);
	t = soon(SIGUSR2, 0);
	/* musl's function would go on waiting */
	CHECK_ERR(syscall(SYS_rt_sigtimedwait, &s, NULL, NULL, 8), EINTR);
	CHECK_EQ(g_count, 1);
	pthread_join(t, NULL);
	unblock(SIGUSR1);
}

static void sigsuspend_waits_with_its_own_mask(void)
{
	sigset_t none;
	pthread_t t;

	handle(SIGUSR1);
	block(SIGUSR1);
	raise(SIGUSR1);
	CHECK_EQ(g_count, 0);
	sigemptyset(&none);
	CHECK_ERR(sigsuspend(&none), EINTR); /* it is pending already */
	CHECK_EQ(g_count, 1);
	CHECK(is_blocked(SIGUSR1));
	t = soon(SIGUSR1, 1);
	CHECK_ERR(sigsuspend(&none), EINTR);
	CHECK_EQ(g_count, 2);
	CHECK(is_blocked(SIGUSR1));
	pthread_join(t, NULL);
	unblock(SIGUSR1);
}

static volatile int g_blocked_inside;

static void look(int sig)
{
	(void)sig;
	g_count++;
	g_blocked_inside = is_blocked(SIGUSR2);
}

static void sigsuspends_mask_holds_in_the_handler(void)
{
	struct sigaction sa = {.sa_handler = look};
	sigset_t s = only(SIGUSR2);

	sigemptyset(&sa.sa_mask);
	sigaction(SIGUSR1, &sa, NULL);
	block(SIGUSR1);
	raise(SIGUSR1);
	CHECK_ERR(sigsuspend(&s), EINTR);
	CHECK_EQ(g_blocked_inside, 1);
	CHECK(!is_blocked(SIGUSR2));
	CHECK(is_blocked(SIGUSR1));
	unblock(SIGUSR1);
}

static void ppoll_takes_a_pending_signal_by_its_mask(void)
{
	struct timespec limit = {5, 0};
	struct pollfd pfd;
	sigset_t none;
	int p[2];

	CHECK_EQ(pipe(p), 0);
	pfd = (struct pollfd){.fd = p[0], .events = POLLIN};
	handle(SIGUSR1);
	block(SIGUSR1);
	sigemptyset(&none);
	raise(SIGUSR1);
	CHECK_ERR(ppoll(&pfd, 1, &limit, &none), EINTR);
	CHECK_EQ(g_count, 1);
	CHECK(is_blocked(SIGUSR1));
	/* What is ready wins, and the signal stays. */
	CHECK_EQ(write(p[1], "x", 1), 1);
	raise(SIGUSR1);
	CHECK_EQ(ppoll(&pfd, 1, &limit, &none), 1);
	CHECK(is_blocked(SIGUSR1));
	unblock(SIGUSR1);
	CHECK_EQ(g_count, 2);
	close(p[0]);
	close(p[1]);
}

static void pselect_and_epoll_pwait_are_woken_through_their_mask(void)
{
	struct timespec limit = {5, 0};
	struct epoll_event ev;
	sigset_t none;
	pthread_t t;
	fd_set fds;
	int p[2], ep;

	CHECK_EQ(pipe(p), 0);
	handle(SIGUSR1);
	block(SIGUSR1);
	sigemptyset(&none);
	FD_ZERO(&fds);
	FD_SET(p[0], &fds);
	t = soon(SIGUSR1, 0);
	CHECK_ERR(pselect(p[0] + 1, &fds, NULL, NULL, &limit, &none), EINTR);
	CHECK_EQ(g_count, 1);
	pthread_join(t, NULL);
	ep = epoll_create1(0);
	ev = (struct epoll_event){.events = EPOLLIN};
	CHECK_EQ(epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &ev), 0);
	t = soon(SIGUSR1, 0);
	CHECK_ERR(epoll_pwait(ep, &ev, 1, 5000, &none), EINTR);
	CHECK_EQ(g_count, 2);
	CHECK(is_blocked(SIGUSR1));
	pthread_join(t, NULL);
	unblock(SIGUSR1);
	close(ep);
	close(p[0]);
	close(p[1]);
}

/* ---- signalfd ---- */

static void signalfd_reads_pending_signals(void)
{
	struct signalfd_siginfo si[4];
	sigset_t s = only(SIGUSR1);
	int fd;

	sigaddset(&s, SIGRTMIN);
	block(SIGUSR1);
	block(SIGRTMIN);
	fd = signalfd(-1, &s, SFD_NONBLOCK);
	CHECK(fd >= 0);
	CHECK_ERR(read(fd, si, sizeof(si)), EAGAIN);
	CHECK_ERR(read(fd, si, 64), EINVAL);
	kill(getpid(), SIGUSR1);
	sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = 42});
	CHECK_EQ(read(fd, si, sizeof(si)), 2 * sizeof(si[0]));
	CHECK_EQ(si[0].ssi_signo, SIGUSR1);
	CHECK_EQ(si[0].ssi_code, SI_USER);
	CHECK_EQ(si[0].ssi_pid, getpid());
	CHECK_EQ(si[1].ssi_signo, SIGRTMIN);
	CHECK_EQ(si[1].ssi_int, 42);
	CHECK_ERR(read(fd, si, sizeof(si)), EAGAIN);
	close(fd);
	unblock(SIGUSR1);
	unblock(SIGRTMIN);
}

static void signalfd_wakes_a_reader_and_an_epoll(void)
{
	struct signalfd_siginfo si;
	struct epoll_event ev = {.events = EPOLLIN};
	sigset_t s = only(SIGUSR1);
	pthread_t t;
	int fd, ep;

	block(SIGUSR1);
	fd = signalfd(-1, &s, 0);
	t = soon(SIGUSR1, 1);
	CHECK_EQ(read(fd, &si, sizeof(si)), sizeof(si));
	CHECK_EQ(si.ssi_signo, SIGUSR1);
	pthread_join(t, NULL);
	ep = epoll_create1(0);
	CHECK_EQ(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev), 0);
	CHECK_EQ(epoll_wait(ep, &ev, 1, 0), 0);
	t = soon(SIGUSR1, 1);
	CHECK_EQ(epoll_wait(ep, &ev, 1, 5000), 1);
	CHECK_EQ(read(fd, &si, sizeof(si)), sizeof(si));
	pthread_join(t, NULL);
	close(ep);
	close(fd);
	unblock(SIGUSR1);
}

static void signalfds_mask_can_be_changed(void)
{
	struct signalfd_siginfo si;
	sigset_t s = only(SIGUSR1);
	int fd, p[2];

	block(SIGUSR1);
	block(SIGUSR2);
	fd = signalfd(-1, &s, SFD_NONBLOCK);
	raise(SIGUSR2);
	CHECK_ERR(read(fd, &si, sizeof(si)), EAGAIN);
	s = only(SIGUSR2);
	CHECK_EQ(signalfd(fd, &s, 0), fd);
	CHECK_EQ(read(fd, &si, sizeof(si)), sizeof(si));
	CHECK_EQ(si.ssi_signo, SIGUSR2);
	CHECK_EQ(pipe(p), 0);
	CHECK_ERR(signalfd(p[0], &s, 0), EINVAL);
	CHECK_ERR(signalfd(1000, &s, 0), EBADF);
	CHECK_EQ(syscall(SYS_signalfd, fd, &s, 8), fd);
	CHECK_ERR(syscall(SYS_signalfd4, -1, &s, 8, 1), EINVAL);
	CHECK_ERR(syscall(SYS_signalfd4, -1, &s, 4, 0), EINVAL);
	close(p[0]);
	close(p[1]);
	close(fd);
	unblock(SIGUSR1);
	unblock(SIGUSR2);
}

int main(void)
{
	g_main = pthread_self();
	watchdog(40);
	CASE(sigtimedwait_takes_what_is_pending);
	CASE(queued_signals_say_what_the_sender_wrote);
	CASE(sigtimedwait_times_out);
	CASE(sigwaitinfo_waits_for_a_thread_and_a_process_signal);
	CASE(sigtimedwait_is_interrupted_by_another_signal);
	CASE(sigsuspend_waits_with_its_own_mask);
	CASE(sigsuspends_mask_holds_in_the_handler);
	CASE(ppoll_takes_a_pending_signal_by_its_mask);
	CASE(pselect_and_epoll_pwait_are_woken_through_their_mask);
	CASE(signalfd_reads_pending_signals);
	CASE(signalfd_wakes_a_reader_and_an_epoll);
	CASE(signalfds_mask_can_be_changed);
	return g_failed;
}
