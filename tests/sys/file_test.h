/* SPDX-License-Identifier: MIT */
/*
 * file_test.h - what the conformance programs about files share.
 *
 * A case is a function that calls EXPECT() and its like; CASE(name) runs it and
 * prints one line, the same on Linux and on Strait.  What went wrong goes to
 * stderr.  Programs work in the current directory, which is empty.
 */
#ifndef TESTS_SYS_FILE_TEST_H
#define TESTS_SYS_FILE_TEST_H

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

static int g_case_failed, g_failed __attribute__((unused));

/* Nothing is mapped there; the compiler is not to know. */
static void *volatile g_bad_ptr __attribute__((unused)) = (void *)8;
#define BAD_PTR g_bad_ptr

#define EXPECT(cond)                                                                   \
	do {                                                                           \
		if (!(cond)) {                                                         \
			fprintf(stderr, "%s:%d: %s: errno %d (%s)\n", __func__,        \
			        __LINE__, #cond, errno, strerror(errno));              \
			g_case_failed = 1;                                             \
		}                                                                      \
	} while (0)

#define EXPECT_EQ(a, b)                                                                \
	do {                                                                           \
		long long a_ = (long long)(a), b_ = (long long)(b);                    \
		if (a_ != b_) {                                                        \
			fprintf(stderr,                                                \
			        "%s:%d: %s is %lld, not %lld: errno %d (%s)\n",        \
			        __func__, __LINE__, #a, a_, b_, errno,                 \
			        strerror(errno));                                      \
			g_case_failed = 1;                                             \
		}                                                                      \
	} while (0)

/* @expr gives -1 with errno @e. */
#define EXPECT_ERR(expr, e)                                                            \
	do {                                                                           \
		errno = 0;                                                             \
		long r_ = (long)(expr);                                                \
		if (r_ != -1 || errno != (e)) {                                        \
			fprintf(stderr,                                                \
			        "%s:%d: %s gives %ld, errno %d (%s), not %s\n",        \
			        __func__, __LINE__, #expr, r_, errno, strerror(errno), \
			        #e);                                                   \
			g_case_failed = 1;                                             \
		}                                                                      \
	} while (0)

#define CASE(name)                                                                     \
	do {                                                                           \
		g_case_failed = 0;                                                     \
		name();                                                                \
		printf("%s %s\n", g_case_failed ? "FAILED" : "ok", #name);             \
		g_failed |= g_case_failed;                                             \
	} while (0)

/* A new file @path that holds @text. */
static inline void put_file(const char *path, const char *text)
{
	int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0644);

	EXPECT(fd >= 0);
	EXPECT_EQ(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

/* Does @path hold exactly @text? */
static inline int file_is(const char *path, const char *text)
{
	char buf[4096];
	int fd = open(path, O_RDONLY);
	ssize_t n;

	if (fd < 0)
		return 0;
	n = read(fd, buf, sizeof(buf));
	close(fd);
	return n == (ssize_t)strlen(text) && memcmp(buf, text, (size_t)n) == 0;
}

static inline int exists(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0;
}

#endif /* TESTS_SYS_FILE_TEST_H */
