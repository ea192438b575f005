/* SPDX-License-Identifier: MIT */
/* inotify: descriptors, watches, and the events of what this program does itself, which
 * are there when the call that made them has returned.
 * strait-run: --net none --no-squash -v {dir}:/tmp
 */
#include "tests/sys/file_test.h"

#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <time.h>

#define EVENT_MAX (sizeof(struct inotify_event) + NAME_MAX + 1)

static uint32_t g_cookie; /* of the last event */

/* The next event is @mask of @wd with @name ("": none). */
#define EXPECT_EVENT(fd, wd, mask, name) expect_event(fd, wd, mask, name, __func__, __LINE__)

static void expect_event(int fd, int wd, uint32_t mask, const char *name,
                         const char *func, int line)
{
	_Alignas(struct inotify_event) char buf[EVENT_MAX];
	const struct inotify_event *ev = (const struct inotify_event *)(void *)buf;
	struct pollfd p = {.fd = fd, .events = POLLIN};
	ssize_t n = -1;

	if (poll(&p, 1, 5000) == 1) {
		/* One event at a time: as much room as the first one takes. */
		for (size_t room = sizeof(*ev); n < 0 && room <= sizeof(buf); room += 16)
			n = read(fd, buf, room);
	}
	if (n < (ssize_t)sizeof(*ev)) {
		fprintf(stderr, "%s:%d: no event, errno %d\n", func, line, errno);
		g_case_failed = 1;
		return;
	}
	g_cookie = ev->cookie;
	if (n != (ssize_t)(sizeof(*ev) + ev->len) || ev->wd != wd || ev->mask != mask ||
	    strcmp(ev->len ? ev->name : "", name) != 0) {
		fprintf(stderr, "%s:%d: wd %d mask %x \"%s\", not %d %x \"%s\"\n", func,
		        line, ev->wd, ev->mask, ev->len ? ev->name : "", wd, mask, name);
		g_case_failed = 1;
	}
}

static void expect_none(int fd)
{
	char buf[EVENT_MAX];

	EXPECT_ERR(read(fd, buf, sizeof(buf)), EAGAIN);
}

static int watcher(void)
{
	int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);

	EXPECT(fd >= 0);
	return fd;
}

static void descriptors(void)
{
	struct pollfd p = {.events = POLLIN};
	char buf[4096];
	int n = -1;

	p.fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	EXPECT(p.fd >= 0);
	EXPECT_EQ(fcntl(p.fd, F_GETFD), FD_CLOEXEC);
	EXPECT_EQ(poll(&p, 1, 0), 0);
	EXPECT_ERR(read(p.fd, buf, sizeof(buf)), EAGAIN);
	EXPECT_ERR(read(p.fd, buf, 1), EAGAIN);
	EXPECT(ioctl(p.fd, FIONREAD, &n) == 0);
	EXPECT_EQ(n, 0);
	EXPECT_ERR(write(p.fd, buf, 1), EBADF);
	EXPECT_EQ(lseek(p.fd, 10, SEEK_SET), 0);
	EXPECT(close(p.fd) == 0);
	EXPECT_ERR(inotify_init1(0x40), EINVAL);
	p.fd = (int)syscall(SYS_inotify_init);
	EXPECT(p.fd >= 0);
	EXPECT_EQ(fcntl(p.fd, F_GETFD), 0);
	EXPECT_EQ(poll(&p, 1, 0), 0);
	EXPECT_EQ(fcntl(p.fd, F_GETFL), O_RDONLY);
	EXPECT(close(p.fd) == 0);
}

static void errors(void)
{
	int fd = watcher(), file, wd;

	put_file("f", "x");
	file = open("f", O_RDONLY);
	wd = inotify_add_watch(fd, "f", IN_MODIFY);
	EXPECT_EQ(wd, 1);
	EXPECT_ERR(inotify_add_watch(fd, "missing", IN_MODIFY), ENOENT);
	EXPECT_ERR(inotify_add_watch(fd, "f/x", IN_MODIFY), ENOTDIR);
	EXPECT_ERR(inotify_add_watch(fd, "", IN_MODIFY), ENOENT);
	EXPECT_ERR(inotify_add_watch(fd, "f", IN_MODIFY | IN_ONLYDIR), ENOTDIR);
	EXPECT_ERR(inotify_add_watch(fd, "f", 0), EINVAL);
	EXPECT_ERR(inotify_add_watch(fd, "f", 0x10000), EINVAL);
	EXPECT_ERR(inotify_add_watch(fd, "f", IN_MODIFY | IN_MASK_ADD | IN_MASK_CREATE),
	           EINVAL);
	EXPECT_ERR(inotify_add_watch(fd, "f", IN_MODIFY | IN_MASK_CREATE), EEXIST);
	EXPECT_ERR(inotify_add_watch(file, "f", IN_MODIFY), EINVAL);
	EXPECT_ERR(inotify_add_watch(99, "f", IN_MODIFY), EBADF);
	EXPECT_ERR(syscall(SYS_inotify_add_watch, fd, BAD_PTR, IN_MODIFY), EFAULT);
	EXPECT_ERR(inotify_rm_watch(fd, 77), EINVAL);
	EXPECT_ERR(inotify_rm_watch(fd, -1), EINVAL);
	EXPECT_ERR(inotify_rm_watch(file, 1), EINVAL);
	EXPECT_ERR(inotify_rm_watch(99, 1), EBADF);
	close(file);
	expect_none(fd);
	close(fd);
	unlink("f");
}

static void names_in_a_directory(void)
{
	int fd = watcher(), file, wd;
	uint32_t cookie;

	EXPECT(mkdir("d", 0755) == 0);
	wd = inotify_add_watch(fd, "d", IN_ALL_EVENTS & ~(uint32_t)IN_ACCESS);
	EXPECT_EQ(wd, 1);
	file = open("d/a", O_CREAT | O_EXCL | O_WRONLY, 0644);
	EXPECT_EVENT(fd, wd, IN_CREATE, "a");
	EXPECT_EVENT(fd, wd, IN_OPEN, "a");
	expect_none(fd);
	EXPECT_EQ(write(file, "x", 1), 1);
	EXPECT_EVENT(fd, wd, IN_MODIFY, "a");
	expect_none(fd);
	EXPECT(close(file) == 0);
	EXPECT_EVENT(fd, wd, IN_CLOSE_WRITE, "a");
	EXPECT(chmod("d/a", 0600) == 0);
	EXPECT_EVENT(fd, wd, IN_ATTRIB, "a");
	EXPECT(rename("d/a", "d/a name of more than sixteen bytes") == 0);
	EXPECT_EVENT(fd, wd, IN_MOVED_FROM, "a");
	cookie = g_cookie;
	EXPECT_EVENT(fd, wd, IN_MOVED_TO, "a name of more than sixteen bytes");
	EXPECT(cookie != 0 && g_cookie == cookie);
	EXPECT(rename("d/a name of more than sixteen bytes", "out") == 0);
	EXPECT_EVENT(fd, wd, IN_MOVED_FROM, "a name of more than sixteen bytes");
	EXPECT(g_cookie != cookie);
	EXPECT(link("out", "d/l") == 0);
	EXPECT_EVENT(fd, wd, IN_CREATE, "l");
	EXPECT_EQ(g_cookie, 0);
	EXPECT(symlink("l", "d/s") == 0);
	EXPECT_EVENT(fd, wd, IN_CREATE, "s");
	EXPECT(mkdir("d/d", 0755) == 0);
	EXPECT_EVENT(fd, wd, IN_CREATE | IN_ISDIR, "d");
	EXPECT(rmdir("d/d") == 0);
	EXPECT_EVENT(fd, wd, IN_DELETE | IN_ISDIR, "d");
	EXPECT(unlink("d/s") == 0);
	EXPECT_EVENT(fd, wd, IN_DELETE, "s");
	EXPECT(unlink("d/l") == 0);
	EXPECT_EVENT(fd, wd, IN_DELETE, "l");
	expect_none(fd);
	EXPECT(unlink("out") == 0);
	EXPECT(rmdir("d") == 0);
	EXPECT_EVENT(fd, wd, IN_DELETE_SELF, "");
	EXPECT_EVENT(fd, wd, IN_IGNORED, "");
	expect_none(fd);
	EXPECT_ERR(inotify_rm_watch(fd, wd), EINVAL);
	close(fd);
}

static void a_file(void)
{
	int fd = watcher(), file, wd;
	char c;

	put_file("f", "text");
	wd = inotify_add_watch(fd, "f", IN_ALL_EVENTS);
	file = open("f", O_RDWR);
	EXPECT_EVENT(fd, wd, IN_OPEN, "");
	EXPECT_EQ(pread(file, &c, 1, 0), 1);
	EXPECT_EVENT(fd, wd, IN_ACCESS, "");
	EXPECT_EQ(pwrite(file, "T", 1, 0), 1);
	EXPECT_EVENT(fd, wd, IN_MODIFY, "");
	EXPECT(ftruncate(file, 2) == 0);
	EXPECT_EVENT(fd, wd, IN_MODIFY, "");
	EXPECT(fchmod(file, 0600) == 0);
	EXPECT_EVENT(fd, wd, IN_ATTRIB, "");
	EXPECT(close(file) == 0);
	EXPECT_EVENT(fd, wd, IN_CLOSE_WRITE, "");
	file = open("f", O_RDONLY);
	EXPECT_EVENT(fd, wd, IN_OPEN, "");
	EXPECT(close(file) == 0);
	EXPECT_EVENT(fd, wd, IN_CLOSE_NOWRITE, "");
	EXPECT(rename("f", "g") == 0);
	EXPECT_EVENT(fd, wd, IN_MOVE_SELF, "");
	EXPECT(link("g", "h") == 0);
	EXPECT_EVENT(fd, wd, IN_ATTRIB, "");
	EXPECT(unlink("g") == 0);
	EXPECT_EVENT(fd, wd, IN_ATTRIB, "");
	EXPECT(unlink("h") == 0);
	EXPECT_EVENT(fd, wd, IN_ATTRIB, "");
	EXPECT_EVENT(fd, wd, IN_DELETE_SELF, "");
	EXPECT_EVENT(fd, wd, IN_IGNORED, "");
	expect_none(fd);
	close(fd);
}

/* The name goes at once, the file with its last descriptor. */
static void an_open_file_loses_its_name(void)
{
	int fd = watcher(), dir, wd, file;

	put_file("f", "text");
	file = open("f", O_RDWR);
	dir = inotify_add_watch(fd, ".", IN_ALL_EVENTS & ~(uint32_t)IN_ACCESS);
	EXPECT(unlink("f") == 0);
	EXPECT_EVENT(fd, dir, IN_DELETE, "f");
	expect_none(fd);
	EXPECT(close(file) == 0);
	EXPECT_EVENT(fd, dir, IN_CLOSE_WRITE, "f");
	expect_none(fd);

	put_file("f", "text");
	file = open("f", O_RDWR);
	EXPECT(inotify_rm_watch(fd, dir) == 0);
	close(fd);
	fd = watcher();
	wd = inotify_add_watch(fd, "f", IN_ALL_EVENTS);
	EXPECT(unlink("f") == 0);
	EXPECT_EVENT(fd, wd, IN_ATTRIB, "");
	expect_none(fd);
	EXPECT_EQ(pwrite(file, "T", 1, 0), 1);
	EXPECT_EVENT(fd, wd, IN_MODIFY, "");
	EXPECT(close(file) == 0);
	EXPECT_EVENT(fd, wd, IN_CLOSE_WRITE, "");
	EXPECT_EVENT(fd, wd, IN_DELETE_SELF, "");
	EXPECT_EVENT(fd, wd, IN_IGNORED, "");
	expect_none(fd);

	put_file("f", "text");
	put_file("g", "text");
	file = open("f", O_RDONLY);
	wd = inotify_add_watch(fd, "f", IN_ATTRIB | IN_DELETE_SELF);
	EXPECT(rename("g", "f") == 0);
	EXPECT_EVENT(fd, wd, IN_ATTRIB, "");
	expect_none(fd);
	EXPECT(close(file) == 0);
	EXPECT_EVENT(fd, wd, IN_DELETE_SELF, "");
	EXPECT_EVENT(fd, wd, IN_IGNORED, "");
	close(fd);
	unlink("f");
}

static void masks(void)
{
	int fd = watcher(), other = watcher(), wd, od;

	put_file("f", "x");
	wd = inotify_add_watch(fd, "f", IN_ATTRIB);
	EXPECT_EQ(inotify_add_watch(fd, "./f", IN_OPEN), wd); /* in place of the first */
	EXPECT(chmod("f", 0600) == 0);
	expect_none(fd);
	close(open("f", O_RDONLY));
	EXPECT_EVENT(fd, wd, IN_OPEN, "");
	EXPECT_EQ(inotify_add_watch(fd, "f", IN_ATTRIB | IN_MASK_ADD), wd);
	EXPECT(chmod("f", 0644) == 0);
	EXPECT_EVENT(fd, wd, IN_ATTRIB, "");
	close(open("f", O_RDONLY));
	EXPECT_EVENT(fd, wd, IN_OPEN, "");
	expect_none(fd);
	/* Another descriptor has numbers and masks of its own. */
	od = inotify_add_watch(other, "f", IN_CLOSE_NOWRITE | IN_MASK_CREATE);
	EXPECT_EQ(od, 1);
	close(open("f", O_RDONLY));
	EXPECT_EVENT(fd, wd, IN_OPEN, "");
	expect_none(fd);
	EXPECT_EVENT(other, od, IN_CLOSE_NOWRITE, "");
	expect_none(other);
	EXPECT(inotify_rm_watch(fd, wd) == 0);
	EXPECT_EVENT(fd, wd, IN_IGNORED, "");
	close(open("f", O_RDONLY));
	expect_none(fd);
	EXPECT_EVENT(other, od, IN_CLOSE_NOWRITE, "");
	/* Numbers are not used again. */
	EXPECT_EQ(inotify_add_watch(fd, "f", IN_OPEN), wd + 1);
	close(other);
	close(open("f", O_RDONLY));
	EXPECT_EVENT(fd, wd + 1, IN_OPEN, "");
	close(fd);
	unlink("f");
}

static void once(void)
{
	int fd = watcher(), wd;

	put_file("f", "x");
	wd = inotify_add_watch(fd, "f", IN_ATTRIB | IN_ONESHOT);
	EXPECT(chmod("f", 0600) == 0);
	EXPECT(chmod("f", 0644) == 0);
	EXPECT_EVENT(fd, wd, IN_ATTRIB, "");
	EXPECT_EVENT(fd, wd, IN_IGNORED, "");
	expect_none(fd);
	EXPECT_ERR(inotify_rm_watch(fd, wd), EINVAL);
	close(fd);
	unlink("f");
}

static void links(void)
{
	int fd = watcher(), link, file;

	put_file("f", "x");
	EXPECT(symlink("f", "l") == 0);
	file = inotify_add_watch(fd, "l", IN_ATTRIB);
	EXPECT_EQ(inotify_add_watch(fd, "f", IN_ATTRIB), file);
	link = inotify_add_watch(fd, "l", IN_DELETE_SELF | IN_DONT_FOLLOW);
	EXPECT(link > 0 && link != file);
	EXPECT(unlink("l") == 0);
	EXPECT_EVENT(fd, link, IN_DELETE_SELF, "");
	EXPECT_EVENT(fd, link, IN_IGNORED, "");
	expect_none(fd);
	close(fd);
	unlink("f");
}

static void reading(void)
{
	_Alignas(struct inotify_event) char buf[256];
	int fd = watcher(), wd, n = -1;

	put_file("f", "x");
	EXPECT(mkdir("d", 0755) == 0);
	wd = inotify_add_watch(fd, "d", IN_CREATE | IN_DELETE);
	put_file("d/a", "");
	put_file("d/sixteen bytes ok", "");
	EXPECT(ioctl(fd, FIONREAD, &n) == 0);
	EXPECT_EQ(n, 16 + 16 + 16 + 32);
	EXPECT_ERR(read(fd, buf, 16), EINVAL);
	EXPECT_ERR(read(fd, buf, 0), EINVAL);
	EXPECT_EQ(read(fd, buf, 79), 32); /* as many whole ones as fit */
	EXPECT_ERR(read(fd, buf, 47), EINVAL);
	EXPECT_ERR(read(fd, BAD_PTR, 4096), EFAULT);
	expect_none(fd); /* and is lost */
	unlink("d/a");
	unlink("d/sixteen bytes ok");
	EXPECT_EQ(read(fd, buf, sizeof(buf)), 80);
	EXPECT(rmdir("d") == 0);
	EXPECT_EVENT(fd, wd, IN_IGNORED, "");
	/* Equal ones, one after the other, are one. */
	wd = inotify_add_watch(fd, "f", IN_ATTRIB | IN_OPEN);
	for (int i = 0; i < 5; i++)
		EXPECT(chmod("f", 0600) == 0);
	close(open("f", O_RDONLY));
	EXPECT(chmod("f", 0600) == 0);
	EXPECT_EQ(read(fd, buf, sizeof(buf)), 3 * 16);
	close(fd);
	unlink("f");
}

static void *touch_later(void *arg)
{
	const struct timespec t = {0, 50000000};

	nanosleep(&t, NULL);
	return (void *)(intptr_t)chmod(arg, 0600);
}

static void waiting(void)
{
	int fd = inotify_init1(0), ep = epoll_create1(0), wd;
	struct epoll_event ev = {.events = EPOLLIN | EPOLLET, .data.u32 = 7};
	struct inotify_event in;
	pthread_t t;

	put_file("f", "x");
	wd = inotify_add_watch(fd, "f", IN_ATTRIB);
	EXPECT(pthread_create(&t, NULL, touch_later, (void *)(uintptr_t) "f") == 0);
	EXPECT_EQ(read(fd, &in, sizeof(in)), sizeof(in));
	EXPECT(in.wd == wd && in.mask == IN_ATTRIB && in.len == 0);
	EXPECT(pthread_join(t, NULL) == 0);
	EXPECT(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) == 0);
	EXPECT_EQ(epoll_wait(ep, &ev, 1, 0), 0);
	EXPECT(pthread_create(&t, NULL, touch_later, (void *)(uintptr_t) "f") == 0);
	EXPECT_EQ(epoll_wait(ep, &ev, 1, 5000), 1);
	EXPECT(ev.data.u32 == 7 && ev.events == EPOLLIN);
	EXPECT_EQ(epoll_wait(ep, &ev, 1, 0), 0);
	EXPECT(pthread_join(t, NULL) == 0);
	EXPECT_EQ(read(fd, &in, sizeof(in)), sizeof(in));
	close(ep);
	close(fd);
	unlink("f");
}

int main(void)
{
	CASE(descriptors);
	CASE(errors);
	CASE(names_in_a_directory);
	CASE(a_file);
	CASE(an_open_file_loses_its_name);
	CASE(masks);
	CASE(once);
	CASE(links);
	CASE(reading);
	CASE(waiting);
	return g_failed;
}
