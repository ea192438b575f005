/* SPDX-License-Identifier: MIT */
/* Actions, masks, sending, and what a handler does to a blocked call. */
#include "tests/sys/check.h"

#include <poll.h>
#include <setjmp.h>
#include <sys/wait.h>

static volatile sig_atomic_t g_count, g_last, g_code, g_value, g_depth, g_max_depth;
static int g_order[64];
static volatile int g_n_order;

static void count(int sig)
{
	g_count++;
	g_last = sig;
}

static void note(int sig, siginfo_t *info, void *uc)
{
	(void)uc;
	g_count++;
	g_last = sig;
	g_code = info->si_code;
	g_value = info->si_value.sival_int;
	if (g_n_order < 64)
		g_order[g_n_order++] = info->si_value.sival_int;
}

static void set(int sig, void (*fn)(int), int flags)
{
	struct sigaction sa = {.sa_handler = fn, .sa_flags = flags};

	sigemptyset(&sa.sa_mask);
	CHECK_EQ(sigaction(sig, &sa, NULL), 0);
	g_count = g_last = 0;
}

static void set_info(int sig, int flags)
{
	struct sigaction sa = {.sa_sigaction = note, .sa_flags = flags | SA_SIGINFO};

	sigemptyset(&sa.sa_mask);
	CHECK_EQ(sigaction(sig, &sa, NULL), 0);
	g_count = g_last = g_code = g_value = 0;
	g_n_order = 0;
}

static void mask(int how, int sig)
{
	sigset_t s;

	sigemptyset(&s);
	sigaddset(&s, sig);
	CHECK_EQ(pthread_sigmask(how, &s, NULL), 0);
}

static int is_pending(int sig)
{
	sigset_t s;

	CHECK_EQ(sigpending(&s), 0);
	return sigismember(&s, sig);
}

static void raise_runs_the_handler_before_it_returns(void)
{
	set(SIGUSR1, count, 0);
	CHECK_EQ(raise(SIGUSR1), 0);
	CHECK_EQ(g_count, 1);
	CHECK_EQ(g_last, SIGUSR1);
}

static void kill_of_itself_runs_the_handler_before_it_returns(void)
{
	set_info(SIGUSR1, 0);
	CHECK_EQ(kill(getpid(), SIGUSR1), 0);
	CHECK_EQ(g_count, 1);
	CHECK_EQ(g_code, SI_USER);
	CHECK_EQ(kill(0, 0), 0);
	CHECK_EQ(kill(getpid(), 0), 0);
}

static void tkill_says_si_tkill(void)
{
	set_info(SIGUSR1, 0);
	CHECK_EQ(syscall(SYS_tkill, syscall(SYS_gettid), SIGUSR1), 0);
	CHECK_EQ(g_code, SI_TKILL);
	CHECK_EQ(syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), SIGUSR1), 0);
	CHECK_EQ(g_count, 2);
}

static void bad_arguments_of_sending_are_refused(void)
{
	long tid = syscall(SYS_gettid);

	CHECK_ERR(kill(getpid(), 65), EINVAL);
	CHECK_ERR(kill(getpid(), -1), EINVAL);
	CHECK_ERR(kill(0x3ffffff, 0), ESRCH);
	CHECK_ERR(syscall(SYS_tkill, 0, SIGUSR1), EINVAL);
	CHECK_ERR(syscall(SYS_tkill, -1, SIGUSR1), EINVAL);
	CHECK_ERR(syscall(SYS_tkill, 0x3ffffff, SIGUSR1), ESRCH);
	CHECK_ERR(syscall(SYS_tkill, tid, 65), EINVAL);
	CHECK_ERR(syscall(SYS_tgkill, 0, tid, SIGUSR1), EINVAL);
	CHECK_ERR(syscall(SYS_tgkill, 0x3ffffff, tid, SIGUSR1), ESRCH);
	CHECK_ERR(syscall(SYS_rt_sigqueueinfo, getpid(), SIGUSR1, BAD_PTR), EFAULT);
}

static void sigaction_refuses_kill_stop_and_bad_numbers(void)
{
	struct sigaction sa = {.sa_handler = count};
	long act[4] = {0};

	CHECK_ERR(sigaction(SIGKILL, &sa, NULL), EINVAL);
	CHECK_ERR(sigaction(SIGSTOP, &sa, NULL), EINVAL);
	CHECK_EQ(sigaction(SIGKILL, NULL, &sa), 0);
	CHECK(sa.sa_handler == SIG_DFL);
	CHECK_ERR(syscall(SYS_rt_sigaction, 0, NULL, NULL, 8), EINVAL);
	CHECK_ERR(syscall(SYS_rt_sigaction, 65, NULL, NULL, 8), EINVAL);
	CHECK_ERR(syscall(SYS_rt_sigaction, SIGUSR1, NULL, act, 7), EINVAL);
	CHECK_ERR(syscall(SYS_rt_sigaction, SIGUSR1, BAD_PTR, NULL, 8), EFAULT);
	CHECK_ERR(syscall(SYS_rt_sigaction, SIGUSR1, NULL, BAD_PTR, 8), EFAULT);
	CHECK_ERR(syscall(SYS_rt_sigprocmask, 7, act, NULL, 8), EINVAL);
	CHECK_ERR(syscall(SYS_rt_sigprocmask, SIG_BLOCK, act, NULL, 4), EINVAL);
	CHECK_ERR(syscall(SYS_rt_sigprocmask, SIG_BLOCK, BAD_PTR, NULL, 8), EFAULT);
	CHECK_ERR(syscall(SYS_rt_sigpending, act, 9), EINVAL);
}

static void sigaction_tells_what_was_set(void)
{
	struct sigaction sa = {.sa_handler = count,
	                       .sa_flags = SA_RESTART | SA_NODEFER};
	struct sigaction old;

	sigemptyset(&sa.sa_mask);
	sigaddset(&sa.sa_mask, SIGUSR2);
	CHECK_EQ(sigaction(SIGUSR1, &sa, NULL), 0);
	CHECK_EQ(sigaction(SIGUSR1, NULL, &old), 0);
	CHECK(old.sa_handler == count);
	CHECK_EQ(old.sa_flags & (SA_RESTART | SA_NODEFER | SA_RESETHAND),
	         SA_RESTART | SA_NODEFER);
	CHECK(sigismember(&old.sa_mask, SIGUSR2));
	CHECK(!sigismember(&old.sa_mask, SIGUSR1));
}

static void blocked_signals_wait_and_come_when_unblocked(void)
{
	set(SIGUSR1, count, 0);
	mask(SIG_BLOCK, SIGUSR1);
	raise(SIGUSR1);
	raise(SIGUSR1);
	kill(getpid(), SIGUSR1);
	CHECK_EQ(g_count, 0);
	CHECK(is_pending(SIGUSR1));
	mask(SIG_UNBLOCK, SIGUSR1);
	/* one of the thread's, one of the process's: standard ones do not queue */
	CHECK_EQ(g_count, 2);
	CHECK(!is_pending(SIGUSR1));
}

static void kill_and_stop_cannot_be_blocked(void)
{
	sigset_t s;

	sigfillset(&s);
	CHECK_EQ(pthread_sigmask(SIG_BLOCK, &s, NULL), 0);
	CHECK_EQ(pthread_sigmask(SIG_BLOCK, NULL, &s), 0);
	CHECK(!sigismember(&s, SIGKILL));
	CHECK(!sigismember(&s, SIGSTOP));
	CHECK(sigismember(&s, SIGUSR1));
	sigfillset(&s);
	CHECK_EQ(pthread_sigmask(SIG_UNBLOCK, &s, NULL), 0);
}

static void ignored_signals_leave_no_trace(void)
{
	set(SIGUSR1, SIG_IGN, 0);
	CHECK_EQ(raise(SIGUSR1), 0);
	CHECK(!is_pending(SIGUSR1));
	mask(SIG_BLOCK, SIGUSR1);
	raise(SIGUSR1);
	CHECK(is_pending(SIGUSR1)); /* blocked ones wait all the same */
	set(SIGUSR1, SIG_IGN, 0);
	CHECK(!is_pending(SIGUSR1)); /* setting SIG_IGN drops them */
	mask(SIG_UNBLOCK, SIGUSR1);
	set(SIGCHLD, SIG_DFL, 0);
	raise(SIGCHLD);
	raise(SIGURG);
	raise(SIGWINCH);
	raise(SIGCONT);
}

static void resethand_handles_once(void)
{
	struct sigaction old;

	set(SIGUSR1, count, SA_RESETHAND);
	raise(SIGUSR1);
	CHECK_EQ(g_count, 1);
	CHECK_EQ(sigaction(SIGUSR1, NULL, &old), 0);
	CHECK(old.sa_handler == SIG_DFL);
}

static void nest(int sig)
{
	g_depth++;
	g_count++;
	if (g_depth > g_max_depth)
		g_max_depth = g_depth;
	if (g_count < 4)
		raise(sig);
	g_depth--;
}

static void a_signal_is_blocked_in_its_handler(void)
{
	set(SIGUSR1, nest, 0);
	g_max_depth = 0;
	raise(SIGUSR1);
	CHECK_EQ(g_count, 4);
	CHECK_EQ(g_max_depth, 1);
	set(SIGUSR1, nest, SA_NODEFER);
	g_max_depth = 0;
	raise(SIGUSR1);
	CHECK_EQ(g_count, 4);
	CHECK_EQ(g_max_depth, 4);
}

static volatile int g_seen_blocked;

static void look_at_mask(int sig)
{
	sigset_t s;

	(void)sig;
	pthread_sigmask(SIG_BLOCK, NULL, &s);
	g_seen_blocked = sigismember(&s, SIGUSR1) + 2 * sigismember(&s, SIGUSR2);
}

static void sa_mask_holds_in_the_handler_and_goes_after_it(void)
{
	struct sigaction sa = {.sa_handler = look_at_mask};
	sigset_t s;

	sigemptyset(&sa.sa_mask);
	sigaddset(&sa.sa_mask, SIGUSR2);
	sigaction(SIGUSR1, &sa, NULL);
	raise(SIGUSR1);
	CHECK_EQ(g_seen_blocked, 3);
	pthread_sigmask(SIG_BLOCK, NULL, &s);
	CHECK(!sigismember(&s, SIGUSR1));
	CHECK(!sigismember(&s, SIGUSR2));
}

static void realtime_signals_queue_in_order_with_their_values(void)
{
	set_info(SIGRTMIN, 0);
	mask(SIG_BLOCK, SIGRTMIN);
	for (int i = 0; i < 10; i++)
		CHECK_EQ(sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = i}),
		         0);
	CHECK_EQ(g_count, 0);
	mask(SIG_UNBLOCK, SIGRTMIN);
	CHECK_EQ(g_count, 10);
	for (int i = 0; i < 10; i++)
		CHECK_EQ(g_order[i], i);
	CHECK_EQ(g_code, SI_QUEUE);
}

static void note_number(int sig)
{
	g_order[g_n_order++] = sig;
}

static void several_pending_nest_with_the_lowest_number_innermost_last(void)
{
	sigset_t s;

	set(SIGRTMIN + 1, note_number, 0);
	set(SIGRTMIN + 2, note_number, 0);
	set(SIGUSR1, note_number, 0);
	sigemptyset(&s);
	sigaddset(&s, SIGRTMIN + 1);
	sigaddset(&s, SIGRTMIN + 2);
	sigaddset(&s, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &s, NULL);
	raise(SIGRTMIN + 2);
	raise(SIGRTMIN + 1);
	raise(SIGUSR1);
	g_n_order = 0;
	pthread_sigmask(SIG_UNBLOCK, &s, NULL);
	/* frames are stacked lowest first, so the highest runs first */
	CHECK_EQ(g_n_order, 3);
	CHECK_EQ(g_order[0], SIGRTMIN + 2);
	CHECK_EQ(g_order[1], SIGRTMIN + 1);
	CHECK_EQ(g_order[2], SIGUSR1);
}

/* ---- blocked calls ---- */

static pthread_t g_main;

static void *poke_main(void *arg)
{
	sleep_ms(60);
	pthread_kill(g_main, (int)(intptr_t)arg);
	return NULL;
}

static pthread_t poke_soon(int sig)
{
	pthread_t t;

	CHECK_EQ(pthread_create(&t, NULL, poke_main, (void *)(intptr_t)sig), 0);
	return t;
}

static void read_of_a_pipe_ends_with_eintr(void)
{
	pthread_t t;
	int p[2];
	char c;

	CHECK_EQ(pipe(p), 0);
	set(SIGUSR1, count, 0);
	t = poke_soon(SIGUSR1);
	CHECK_ERR(read(p[0], &c, 1), EINTR);
	CHECK_EQ(g_count, 1);
	pthread_join(t, NULL);
	close(p[0]);
	close(p[1]);
}

static int g_pipe[2];

static void feed(int sig)
{
	count(sig);
	CHECK_EQ(write(g_pipe[1], "x", 1), 1);
}

static void read_of_a_pipe_restarts_under_sa_restart(void)
{
	pthread_t t;
	char c = 0;

	CHECK_EQ(pipe(g_pipe), 0);
	set(SIGUSR1, feed, SA_RESTART);
	t = poke_soon(SIGUSR1);
	CHECK_EQ(read(g_pipe[0], &c, 1), 1);
	CHECK_EQ(c, 'x');
	CHECK_EQ(g_count, 1);
	pthread_join(t, NULL);
	close(g_pipe[0]);
	close(g_pipe[1]);
}

static void *feed_later(void *arg)
{
	(void)arg;
	sleep_ms(60);
	pthread_kill(g_main, SIGUSR1);
	sleep_ms(60);
	CHECK_EQ(write(g_pipe[1], "y", 1), 1);
	return NULL;
}

static void an_ignored_signal_does_not_disturb_a_read(void)
{
	pthread_t t;
	char c = 0;

	CHECK_EQ(pipe(g_pipe), 0);
	set(SIGUSR1, SIG_IGN, 0);
	pthread_create(&t, NULL, feed_later, NULL);
	CHECK_EQ(read(g_pipe[0], &c, 1), 1);
	CHECK_EQ(c, 'y');
	pthread_join(t, NULL);
	mask(SIG_BLOCK, SIGUSR1);
	set(SIGUSR1, count, 0);
	pthread_create(&t, NULL, feed_later, NULL);
	CHECK_EQ(read(g_pipe[0], &c, 1), 1);
	CHECK_EQ(g_count, 0);
	pthread_join(t, NULL);
	mask(SIG_UNBLOCK, SIGUSR1);
	CHECK_EQ(g_count, 1);
	close(g_pipe[0]);
	close(g_pipe[1]);
}

static void poll_ends_with_eintr_even_under_sa_restart(void)
{
	pthread_t t;
	int p[2];
	struct pollfd pfd;

	CHECK_EQ(pipe(p), 0);
	pfd = (struct pollfd){.fd = p[0], .events = POLLIN};
	set(SIGUSR1, count, SA_RESTART);
	t = poke_soon(SIGUSR1);
	CHECK_ERR(poll(&pfd, 1, 5000), EINTR);
	pthread_join(t, NULL);
	close(p[0]);
	close(p[1]);
}

static void nanosleep_ends_with_eintr_and_tells_the_rest(void)
{
	struct timespec want = {5, 0}, left = {0, 0};
	pthread_t t;

	set(SIGUSR1, count, SA_RESTART);
	t = poke_soon(SIGUSR1);
	CHECK_ERR(nanosleep(&want, &left), EINTR);
	CHECK(left.tv_sec == 4);
	pthread_join(t, NULL);
}

static void pause_ends_after_a_handler(void)
{
	pthread_t t;

	set(SIGUSR1, count, SA_RESTART);
	t = poke_soon(SIGUSR1);
	CHECK_ERR(pause(), EINTR);
	CHECK_EQ(g_count, 1);
	pthread_join(t, NULL);
}

static sigjmp_buf g_jump;

static void jump(int sig)
{
	siglongjmp(g_jump, sig);
}

static void siglongjmp_out_of_a_handler_leaves_the_call(void)
{
	sigset_t s;
	volatile pthread_t t = 0;
	int p[2], r;
	char c;

	CHECK_EQ(pipe(p), 0);
	set(SIGUSR1, jump, SA_RESTART);
	r = sigsetjmp(g_jump, 1);
	if (r == 0) {
		t = poke_soon(SIGUSR1);
		(void)!read(p[0], &c, 1);
		CHECK(0);
	}
	CHECK_EQ(r, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, NULL, &s);
	CHECK(!sigismember(&s, SIGUSR1)); /* sigsetjmp saved it */
	pthread_join(t, NULL);
	/* and again, to show that nothing was left locked */
	for (volatile int i = 0; i < 100; i++) {
		if (sigsetjmp(g_jump, 1) == 0) {
			raise(SIGUSR1);
			CHECK(0);
		}
	}
	close(p[0]);
	close(p[1]);
}

/* ---- program code ---- */

static volatile int g_stop;

static void stop(int sig)
{
	(void)sig;
	g_stop = 1;
}

static void a_handler_interrupts_a_loop_that_makes_no_call(void)
{
	pthread_t t;
	uint64_t spins = 0;

	set(SIGUSR1, stop, 0);
	g_stop = 0;
	t = poke_soon(SIGUSR1);
	while (!g_stop)
		spins++;
	CHECK(spins > 0);
	pthread_join(t, NULL);
}

static volatile int g_go;
static pthread_t g_handled_by;

static void who(int sig)
{
	(void)sig;
	g_handled_by = pthread_self();
	g_count++;
}

static void *take_signals(void *arg)
{
	mask(SIG_UNBLOCK, SIGUSR2);
	while (!g_go)
		sleep_ms(5);
	return arg;
}

static void a_signal_of_the_process_goes_to_a_thread_that_takes_it(void)
{
	pthread_t t;

	set(SIGUSR2, who, 0);
	g_go = 0;
	mask(SIG_BLOCK, SIGUSR2);
	pthread_create(&t, NULL, take_signals, NULL);
	sleep_ms(30);
	CHECK_EQ(kill(getpid(), SIGUSR2), 0);
	for (int i = 0; i < 400 && g_count == 0; i++)
		sleep_ms(5);
	CHECK_EQ(g_count, 1);
	CHECK(pthread_equal(g_handled_by, t));
	g_go = 1;
	pthread_join(t, NULL);
	mask(SIG_UNBLOCK, SIGUSR2);
}

static volatile long g_sum;

static void *churn(void *arg)
{
	long mine = 0;

	(void)arg;
	while (!g_stop) {
		mine += getppid() >= 0;
		mine += (long)(now_ns() != 0);
	}
	__sync_fetch_and_add(&g_sum, mine);
	return NULL;
}

static void threads_survive_a_storm_of_signals(void)
{
	pthread_t t[3];

	set(SIGUSR1, count, SA_RESTART);
	g_stop = 0;
	g_sum = 0;
	for (int i = 0; i < 3; i++)
		pthread_create(&t[i], NULL, churn, NULL);
	for (int i = 0; i < 900; i++) {
		CHECK_EQ(pthread_kill(t[i % 3], SIGUSR1), 0);
		if (i % 30 == 0)
			sleep_ms(1);
	}
	g_stop = 1;
	for (int i = 0; i < 3; i++)
		pthread_join(t[i], NULL);
	CHECK(g_count > 0);
	CHECK(g_sum > 0);
}

static void a_new_thread_inherits_the_mask_but_no_pending_signal(void)
{
	pthread_t t;

	set(SIGUSR2, count, 0);
	mask(SIG_BLOCK, SIGUSR2);
	raise(SIGUSR2);
	g_go = 1;
	pthread_create(&t, NULL, take_signals, NULL); /* unblocks it there */
	pthread_join(t, NULL);
	CHECK_EQ(g_count, 0);
	CHECK(is_pending(SIGUSR2));
	mask(SIG_UNBLOCK, SIGUSR2);
	CHECK_EQ(g_count, 1);
}

int main(void)
{
	g_main = pthread_self();
	watchdog(40);
	CASE(raise_runs_the_handler_before_it_returns);
	CASE(kill_of_itself_runs_the_handler_before_it_returns);
	CASE(tkill_says_si_tkill);
	CASE(bad_arguments_of_sending_are_refused);
	CASE(sigaction_refuses_kill_stop_and_bad_numbers);
	CASE(sigaction_tells_what_was_set);
	CASE(blocked_signals_wait_and_come_when_unblocked);
	CASE(kill_and_stop_cannot_be_blocked);
	CASE(ignored_signals_leave_no_trace);
	CASE(resethand_handles_once);
	CASE(a_signal_is_blocked_in_its_handler);
	CASE(sa_mask_holds_in_the_handler_and_goes_after_it);
	CASE(realtime_signals_queue_in_order_with_their_values);
	CASE(several_pending_nest_with_the_lowest_number_innermost_last);
	CASE(read_of_a_pipe_ends_with_eintr);
	CASE(read_of_a_pipe_restarts_under_sa_restart);
	CASE(an_ignored_signal_does_not_disturb_a_read);
	CASE(poll_ends_with_eintr_even_under_sa_restart);
	CASE(nanosleep_ends_with_eintr_and_tells_the_rest);
	CASE(pause_ends_after_a_handler);
	CASE(siglongjmp_out_of_a_handler_leaves_the_call);
	CASE(a_handler_interrupts_a_loop_that_makes_no_call);
	CASE(a_signal_of_the_process_goes_to_a_thread_that_takes_it);
	CASE(threads_survive_a_storm_of_signals);
	CASE(a_new_thread_inherits_the_mask_but_no_pending_signal);
	return g_failed;
}
