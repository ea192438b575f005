/* SPDX-License-Identifier: MIT */
/* FIFOs: named pipes between the threads of a program.
 * strait-run: --net none --no-squash -v {dir}:/tmp
 */
#include "tests/sys/file_test.h"

#include <pthread.h>

static void *writer(void *arg)
{
	int fd = open(arg, O_WRONLY);

	EXPECT(fd >= 0);
	EXPECT_EQ(write(fd, "through", 7), 7);
	close(fd);
	return NULL;
}

static void open_waits_for_the_other_end(void)
{
	char buf[16] = "";
	struct stat st;
	pthread_t t;
	int fd;

	EXPECT(mkfifo("p", 0600) == 0);
	EXPECT(pthread_create(&t, NULL, writer, "p") == 0);
	fd = open("p", O_RDONLY);
	EXPECT(fd >= 0);
	EXPECT(fstat(fd, &st) == 0);
	EXPECT(S_ISFIFO(st.st_mode));
	EXPECT_EQ(read(fd, buf, 16), 7);
	EXPECT(memcmp(buf, "through", 7) == 0);
	EXPECT_EQ(read(fd, buf, 16), 0);
	EXPECT_ERR(lseek(fd, 0, SEEK_SET), ESPIPE);
	pthread_join(t, NULL);
	close(fd);
}

static void without_waiting(void)
{
	char c;
	int r, w;

	EXPECT_ERR(open("p", O_WRONLY | O_NONBLOCK), ENXIO);
	r = open("p", O_RDONLY | O_NONBLOCK);
	EXPECT(r >= 0);
	EXPECT_EQ(read(r, &c, 1), 0);
	w = open("p", O_WRONLY | O_NONBLOCK);
	EXPECT(w >= 0);
	EXPECT_ERR(read(r, &c, 1), EAGAIN);
	EXPECT_EQ(write(w, "1", 1), 1);
	EXPECT_EQ(read(r, &c, 1), 1);
	close(w);
	close(r);
	r = open("p", O_RDWR);
	EXPECT(r >= 0);
	close(r);
}

static void by_another_name_it_is_the_same(void)
{
	char buf[16];
	pthread_t t;
	int fd;

	EXPECT(link("p", "q") == 0);
	EXPECT(pthread_create(&t, NULL, writer, "q") == 0);
	fd = open("p", O_RDONLY);
	EXPECT_EQ(read(fd, buf, 16), 7);
	pthread_join(t, NULL);
	close(fd);
}

int main(void)
{
	CASE(open_waits_for_the_other_end);
	CASE(without_waiting);
	CASE(by_another_name_it_is_the_same);
	return g_failed;
}
