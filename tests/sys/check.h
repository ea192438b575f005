/* SPDX-License-Identifier: MIT */
/*
 * check.h - what the conformance programs about processes and signals share.
 *
 * A case is a function without arguments that uses CHECK() and its like; CASE(name)
 * runs it and prints "ok name" or "not ok name", the same on Linux and on Strait.
 * What went wrong goes to stderr.  CHECK() may stand in a signal handler and in any
 * thread.  A case that hangs is ended by watchdog(), as a failure that names it.
 */
#ifndef TESTS_SYS_CHECK_H
#define TESTS_SYS_CHECK_H

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static volatile int g_case_failed, g_failed __attribute__((unused));
static const char *volatile g_case_name = "start";

#define BAD_PTR ((void *)8)

static inline void check_note(const char *text)
{
	(void)!write(2, text, strlen(text));
}

#define CHECK(cond)                                                                    \
	do {                                                                           \
		int e_ = errno;                                                        \
		if (!(cond)) {                                                         \
			char t_[512];                                                  \
			snprintf(t_, sizeof(t_), "%s:%d: %s (errno %d)\n", __FILE__,   \
			         __LINE__, #cond, errno);                              \
			check_note(t_);                                                \
			g_case_failed = 1;                                             \
		}                                                                      \
		errno = e_;                                                            \
	} while (0)

#define CHECK_EQ(a, b)                                                                 \
	do {                                                                           \
		long long a_ = (long long)(a), b_ = (long long)(b);                    \
		if (a_ != b_) {                                                        \
			char t_[512];                                                  \
			snprintf(t_, sizeof(t_),                                       \
			         "%s:%d: %s is %lld, not %lld (errno %d)\n", __FILE__, \
			         __LINE__, #a, a_, b_, errno);                         \
			check_note(t_);                                                \
			g_case_failed = 1;                                             \
		}                                                                      \
	} while (0)

/* @expr gives -1 with errno @e. */
#define CHECK_ERR(expr, e)                                                             \
	do {                                                                           \
		errno = 0;                                                             \
		long r_ = (long)(expr);                                                \
		if (r_ != -1 || errno != (e)) {                                        \
			char t_[512];                                                  \
			snprintf(t_, sizeof(t_),                                       \
			         "%s:%d: %s gives %ld, errno %d, not %s\n", __FILE__,  \
			         __LINE__, #expr, r_, errno, #e);                      \
			check_note(t_);                                                \
			g_case_failed = 1;                                             \
		}                                                                      \
	} while (0)

#define CASE(name)                                                                     \
	do {                                                                           \
		g_case_failed = 0;                                                     \
		g_case_name = #name;                                                   \
		name();                                                                \
		printf("%s %s\n", g_case_failed ? "not ok" : "ok", #name);             \
		fflush(stdout);                                                        \
		g_failed |= g_case_failed;                                             \
	} while (0)

static void *watchdog_thread(void *arg)
{
	struct timespec left = {(long)(intptr_t)arg, 0};
	sigset_t all;

	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, NULL);
	while (nanosleep(&left, &left) == -1 && errno == EINTR)
		;
	check_note("not ok ");
	check_note(g_case_name);
	check_note(": it hangs\n");
	_exit(1);
}

/* End the program with a failure after @seconds. */
static inline void watchdog(int seconds)
{
	pthread_t t;
	sigset_t all, old;

	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	if (pthread_create(&t, NULL, watchdog_thread, (void *)(intptr_t)seconds) == 0)
		pthread_detach(t);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

static inline void sleep_ms(long ms)
{
	struct timespec left = {ms / 1000, ms % 1000 * 1000000};

	while (nanosleep(&left, &left) == -1 && errno == EINTR)
		;
}

static inline uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

#endif /* TESTS_SYS_CHECK_H */
