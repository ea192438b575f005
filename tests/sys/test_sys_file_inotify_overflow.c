/* SPDX-License-Identifier: MIT */
/* inotify: a queue that nobody reads holds 16384 events, and says that there were more.
 * strait-run: --net none --no-squash -v {dir}:/tmp
 */
#include "tests/sys/file_test.h"

#include <sys/inotify.h>

static _Alignas(struct inotify_event) char g_buf[65536];

/* How many there are; *@last. */
static int read_all(int fd, struct inotify_event *last)
{
	ssize_t len;
	int n = 0;

	while ((len = read(fd, g_buf, sizeof(g_buf))) > 0) {
		const struct inotify_event *ev;

		for (ssize_t at = 0; at < len; at += (ssize_t)(sizeof(*ev) + ev->len)) {
			ev = (const struct inotify_event *)(void *)(g_buf + at);
			*last = *ev;
			n++;
		}
	}
	EXPECT(errno == EAGAIN);
	return n;
}

static void a_full_queue_says_so(void)
{
	int fd = inotify_init1(IN_NONBLOCK);
	struct inotify_event last = {0};

	put_file("f", "x");
	EXPECT_EQ(inotify_add_watch(fd, ".", IN_MOVE), 1);
	for (int i = 0; i < 4500; i++)
		EXPECT(rename("f", "g") == 0 && rename("g", "f") == 0);
	EXPECT_EQ(read_all(fd, &last), 16384 + 1);
	EXPECT(last.mask == IN_Q_OVERFLOW && last.wd == -1 && last.len == 0);
	EXPECT(rename("f", "g") == 0);
	EXPECT_EQ(read_all(fd, &last), 2);
	EXPECT(last.mask == IN_MOVED_TO && last.wd == 1);
	close(fd);
	unlink("g");
}

int main(void)
{
	CASE(a_full_queue_says_so);
	return g_failed;
}
