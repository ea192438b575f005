/* SPDX-License-Identifier: MIT */
/* Files under many threads: appends, one offset, exclusive creation, open beside
 * close.
 * strait-run: --net none --no-squash -v {dir}:/tmp
 */
#include "tests/sys/file_test.h"

#include <pthread.h>

#define THREADS 8
#define ROUNDS 250

static int g_fd;
static volatile int g_winners;

static void run(void *(*fn)(void *))
{
	pthread_t t[THREADS];

	for (long i = 0; i < THREADS; i++)
		EXPECT(pthread_create(&t[i], NULL, fn, (void *)i) == 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
}

static void *appender(void *arg)
{
	int fd = open("log", O_WRONLY | O_APPEND);
	char line[32];

	for (int i = 0; i < ROUNDS; i++) {
		int n = snprintf(line, sizeof(line), "%ld-%06d\n", (long)arg, i);

		EXPECT_EQ(write(fd, line, (size_t)n), n);
	}
	close(fd);
	return NULL;
}

static void appends_are_whole(void)
{
	char line[64];
	int next[THREADS] = {0}, lines = 0;
	FILE *f;

	put_file("log", "");
	run(appender);
	f = fopen("log", "r");
	while (fgets(line, sizeof(line), f)) {
		int who = -1, i = -1;

		EXPECT(sscanf(line, "%d-%d", &who, &i) == 2 && strlen(line) == 9);
		EXPECT(who >= 0 && who < THREADS && next[who]++ == i);
		lines++;
	}
	EXPECT_EQ(lines, THREADS * ROUNDS);
	fclose(f);
}

static void *sharer(void *arg)
{
	char rec[8];

	memset(rec, 'A' + (int)(long)arg, sizeof(rec));
	for (int i = 0; i < ROUNDS; i++)
		EXPECT_EQ(write(g_fd, rec, sizeof(rec)), 8);
	return NULL;
}

static void one_offset_is_shared(void)
{
	int count[THREADS] = {0};
	char rec[8];

	g_fd = open("shared", O_CREAT | O_RDWR | O_TRUNC, 0600);
	run(sharer);
	EXPECT_EQ(lseek(g_fd, 0, SEEK_CUR), THREADS * ROUNDS * 8);
	EXPECT_EQ(lseek(g_fd, 0, SEEK_SET), 0);
	while (read(g_fd, rec, 8) == 8) {
		for (int i = 1; i < 8; i++)
			EXPECT(rec[i] == rec[0]);
		count[rec[0] - 'A']++;
	}
	for (int i = 0; i < THREADS; i++)
		EXPECT_EQ(count[i], ROUNDS);
	close(g_fd);
}

static void *racer(void *arg)
{
	char name[32];

	(void)arg;
	for (int i = 0; i < 100; i++) {
		int fd;

		snprintf(name, sizeof(name), "race%d", i);
		fd = open(name, O_CREAT | O_EXCL | O_WRONLY, 0600);
		if (fd >= 0) {
			__atomic_add_fetch(&g_winners, 1, __ATOMIC_SEQ_CST);
			close(fd);
		} else {
			EXPECT_EQ(errno, EEXIST);
		}
	}
	return NULL;
}

static void exclusive_creation_has_one_winner(void)
{
	run(racer);
	EXPECT_EQ(g_winners, 100);
}

static void *opener(void *arg)
{
	char name[32], buf[16];

	snprintf(name, sizeof(name), "own%ld", (long)arg);
	for (int i = 0; i < ROUNDS; i++) {
		int fd = open(name, O_CREAT | O_RDWR | O_TRUNC, 0600);

		EXPECT(fd >= 0);
		EXPECT_EQ(write(fd, name, strlen(name)), strlen(name));
		EXPECT_EQ(pread(fd, buf, sizeof(buf), 0), strlen(name));
		EXPECT(memcmp(buf, name, strlen(name)) == 0);
		EXPECT(close(fd) == 0);
	}
	return NULL;
}

static void open_and_close_beside_each_other(void)
{
	run(opener);
}

static void *reader(void *arg)
{
	static const int size = 300000;
	char *buf = malloc((size_t)size);

	(void)arg;
	for (int i = 0; i < 20; i++) {
		EXPECT_EQ(pread(g_fd, buf, (size_t)size, 0), size);
		for (int k = 0; k < size; k += 997)
			EXPECT(buf[k] == (char)(k * 31));
	}
	free(buf);
	return NULL;
}

static void large_reads_in_parallel(void)
{
	char *buf = malloc(300000);

	for (int k = 0; k < 300000; k++)
		buf[k] = (char)(k * 31);
	g_fd = open("large", O_CREAT | O_RDWR | O_TRUNC, 0600);
	EXPECT_EQ(write(g_fd, buf, 300000), 300000);
	run(reader);
	close(g_fd);
	free(buf);
}

int main(void)
{
	CASE(appends_are_whole);
	CASE(one_offset_is_shared);
	CASE(exclusive_creation_has_one_winner);
	CASE(open_and_close_beside_each_other);
	CASE(large_reads_in_parallel);
	return g_failed;
}
