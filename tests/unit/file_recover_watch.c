/* SPDX-License-Identifier: MIT */
/* Part of test_file_recover: what is watched, over kills of fsd. */
#include "libos/file.h"
#include "tests/unit/file_recover.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

static long watcher(void)
{
	const long fd = SYS(SYS_inotify_init1, IN_NONBLOCK);

	CU_ASSERT_FATAL(fd >= 0);
	return fd;
}

/* The next event, when it comes; mask 0: none. */
static struct inotify_event next(long fd, char *name)
{
	_Alignas(struct inotify_event) char buf[sizeof(struct inotify_event) + 256];
	struct inotify_event ev = {.mask = 0};
	struct pollfd p = {.fd = (int)fd, .events = POLLIN};
	long n = -1;

	if (SYS(SYS_poll, &p, 1, 5000) == 1)
		for (size_t room = sizeof(ev); n < 0 && room <= sizeof(buf); room += 16)
			n = SYS(SYS_read, fd, buf, room);
	if (n >= (long)sizeof(ev))
		memcpy(&ev, buf, sizeof(ev));
	snprintf(name, 256, "%s", ev.len ? buf + sizeof(ev) : "");
	return ev;
}

static void sees(long fd, long wd, uint32_t mask, const char *name)
{
	char is[256];
	const struct inotify_event ev = next(fd, is);

	EQ(ev.wd, wd);
	EQ(ev.mask, mask);
	CU_ASSERT_STRING_EQUAL(is, name);
}

static void sees_no_more(long fd)
{
	char buf[512];

	EQ(SYS(SYS_read, fd, buf, sizeof(buf)), -EAGAIN);
}

static void touch(const char *path)
{
	SYS(SYS_close, open_file(path, O_CREAT | O_WRONLY));
}

void watches_are_made_again(void)
{
	const long fd = watcher(), other = watcher(), idle = watcher();
	long d, f;

	EQ(SYS(SYS_mkdir, "/w", 0755), 0);
	touch("/w/f");
	d = SYS(SYS_inotify_add_watch, fd, "/w", IN_CREATE | IN_DELETE);
	f = SYS(SYS_inotify_add_watch, fd, "/w/f", IN_ATTRIB);
	EQ(SYS(SYS_inotify_add_watch, other, "/w/f", IN_OPEN | IN_ONESHOT), 1);
	for (int i = 0; i < 2; i++) {
		KILL();
		EQ(SYS(SYS_chmod, "/w/f", 0600 + i), 0);
		sees(fd, -1, IN_Q_OVERFLOW, ""); /* something may have been missed */
		sees(fd, f, IN_ATTRIB, "");
		touch("/w/g");
		sees(fd, d, IN_CREATE, "g");
		EQ(SYS(SYS_unlink, "/w/g"), 0);
		sees(fd, d, IN_DELETE, "g");
		sees_no_more(fd);
	}
	SYS(SYS_close, open_file("/w/f", O_RDONLY));
	sees(other, -1, IN_Q_OVERFLOW, ""); /* told once while it is not read */
	sees(other, 1, IN_OPEN, "");
	sees(other, 1, IN_IGNORED, "");
	sees_no_more(other);
	sees_no_more(idle); /* watches nothing */
	EQ(SYS(SYS_inotify_rm_watch, fd, d), 0);
	sees(fd, d, IN_IGNORED, "");
	KILL();
	touch("/w/g");
	EQ(SYS(SYS_chmod, "/w/f", 0644), 0);
	sees(fd, -1, IN_Q_OVERFLOW, "");
	sees(fd, f, IN_ATTRIB, "");
	sees_no_more(fd);
	EQ(SYS(SYS_inotify_add_watch, fd, "/w", IN_CREATE), f + 1); /* a new number */
	SYS(SYS_close, fd);
	KILL();
	touch("/w/h");
	SYS(SYS_close, other);
	SYS(SYS_close, idle);
	EQ(SYS(SYS_unlink, "/w/f"), 0);
	EQ(SYS(SYS_unlink, "/w/g"), 0);
	EQ(SYS(SYS_unlink, "/w/h"), 0);
	EQ(SYS(SYS_rmdir, "/w"), 0);
	CU_ASSERT(!inotify_watching());
}

void a_watch_follows_its_object(void)
{
	const long fd = watcher();
	long d, gone;

	EQ(SYS(SYS_mkdir, "/w1", 0755), 0);
	d = SYS(SYS_inotify_add_watch, fd, "/w1", IN_CREATE);
	touch("/open");
	gone = open_file("/open", O_RDWR);
	EQ(SYS(SYS_inotify_add_watch, fd, "/open", IN_MODIFY | IN_DELETE_SELF), d + 1);
	EQ(SYS(SYS_rename, "/w1", "/w2"), 0);
	EQ(SYS(SYS_mkdir, "/w1", 0755), 0);
	EQ(SYS(SYS_unlink, "/open"), 0);
	KILL();
	touch("/w1/other");
	touch("/w2/it");
	sees(fd, -1, IN_Q_OVERFLOW, "");
	sees(fd, d, IN_CREATE, "it");
	EQ(SYS(SYS_write, gone, "x", 1), 1);
	sees(fd, d + 1, IN_MODIFY, "");
	EQ(SYS(SYS_close, gone), 0);
	sees(fd, d + 1, IN_DELETE_SELF, "");
	sees(fd, d + 1, IN_IGNORED, "");
	sees_no_more(fd);
	EQ(SYS(SYS_unlink, "/w1/other"), 0);
	EQ(SYS(SYS_unlink, "/w2/it"), 0);
	EQ(SYS(SYS_rmdir, "/w1"), 0);
	EQ(SYS(SYS_rmdir, "/w2"), 0);
	EQ(SYS(SYS_close, fd), 0);
}

/* The host removes it as fsd dies: the program hears of it once, from whom ever. */
void a_watch_of_what_is_gone_is_ignored(void)
{
	const long fd = watcher();
	char path[256], name[256];
	struct inotify_event ev;
	int ignored = 0, i;

	touch("/w");
	touch("/stays");
	EQ(SYS(SYS_inotify_add_watch, fd, "/w", IN_MODIFY), 1);
	EQ(SYS(SYS_inotify_add_watch, fd, "/stays", IN_ATTRIB), 2);
	snprintf(path, sizeof(path), "%s/w", recover_dir());
	EQ(unlink(path), 0);
	KILL();
	EQ(SYS(SYS_chmod, "/stays", 0600), 0);
	for (i = 0; i < 4; i++) {
		ev = next(fd, name);
		if (ev.mask == IN_ATTRIB)
			break;
		CU_ASSERT(ev.mask == IN_Q_OVERFLOW || ev.mask == IN_IGNORED);
		if (ev.mask == IN_IGNORED)
			EQ(ev.wd, 1);
		ignored += ev.mask == IN_IGNORED;
	}
	EQ(ignored, 1);
	EQ(ev.wd, 2);
	EQ(SYS(SYS_inotify_rm_watch, fd, 1), -EINVAL);
	EQ(SYS(SYS_close, fd), 0);
	EQ(SYS(SYS_unlink, "/stays"), 0);
}

static const char *told(uint32_t index, const File__ChangedEvt *what)
{
	uint8_t buf[512];
	struct rpc_event ev = {.index = index, .msg = buf};

	ev.msg_len = (uint32_t)protobuf_c_message_pack(&what->base, buf);
	inotify_on_event(&ev);
	return ev.bad;
}

/* What a service sends that is no event: its channel is lost (unit.test_rpc). */
void events_that_cannot_be_are_refused(void)
{
	File__ChangedEvt ev = FILE__CHANGED_EVT__INIT;
	const long fd = watcher();
	char name[300];
	struct rpc_event raw = {.index = 33, .msg = (const uint8_t *)"\xff\xff", .msg_len = 2};

	memset(name, 'n', sizeof(name));
	touch("/f");
	EQ(SYS(SYS_inotify_add_watch, fd, "/f", IN_MODIFY), 1);
	ev.group = 1u << 31;
	ev.watch = 1;
	ev.mask = IN_MODIFY;
	CU_ASSERT_PTR_NULL(told(33, &ev)); /* of a group that just went */
	CU_ASSERT_PTR_NOT_NULL(told(31, &ev));
	CU_ASSERT_PTR_NOT_NULL(told(2, &ev));
	inotify_on_event(&raw);
	CU_ASSERT_PTR_NOT_NULL(raw.bad);
	ev.mask = 0;
	CU_ASSERT_PTR_NOT_NULL(told(33, &ev));
	ev.mask = IN_MODIFY | IN_ONESHOT;
	CU_ASSERT_PTR_NOT_NULL(told(33, &ev));
	ev.mask = IN_Q_OVERFLOW;
	CU_ASSERT_PTR_NOT_NULL(told(33, &ev));
	ev.mask = IN_MODIFY;
	ev.group = 0;
	CU_ASSERT_PTR_NOT_NULL(told(33, &ev));
	ev.group = 1u << 31;
	ev.watch = UINT32_MAX;
	CU_ASSERT_PTR_NOT_NULL(told(33, &ev));
	ev.watch = 1;
	ev.name = bytes(name, 255);
	CU_ASSERT_PTR_NULL(told(33, &ev));
	ev.name = bytes(name, 256);
	CU_ASSERT_PTR_NOT_NULL(told(33, &ev));
	ev.name = bytes("a/b", 3);
	CU_ASSERT_PTR_NOT_NULL(told(33, &ev));
	ev.name = bytes("a\0b", 3);
	CU_ASSERT_PTR_NOT_NULL(told(33, &ev));
	sees_no_more(fd);
	ev.mask = IN_Q_OVERFLOW;
	ev.group = 0;
	ev.name.len = 0;
	CU_ASSERT_PTR_NULL(told(33, &ev));
	sees(fd, -1, IN_Q_OVERFLOW, "");
	EQ(SYS(SYS_close, fd), 0);
	EQ(SYS(SYS_unlink, "/f"), 0);
}

/* A guest has so many, and not one more; fsd too, or the next one would fail there. */
void watches_are_bounded(void)
{
	long fd[3], r = 0;
	unsigned n = 0;
	char path[64];

	for (unsigned i = 0; i < 3; i++)
		fd[i] = watcher();
	EQ(SYS(SYS_mkdir, "/many", 0755), 0);
	for (unsigned i = 0; i < RPC_WATCHES_MAX / 2; i++) {
		snprintf(path, sizeof(path), "/many/%u", i);
		EQ(SYS(SYS_mknodat, AT_FDCWD, path, S_IFREG | 0644, 0), 0);
		for (unsigned k = 0; k < 2; k++)
			n += SYS(SYS_inotify_add_watch, fd[k], path, IN_MODIFY) == (long)i + 1;
	}
	EQ(n, RPC_WATCHES_MAX);
	for (unsigned i = 0; i < 1000; i++)
		r += SYS(SYS_inotify_add_watch, fd[2], "/many", IN_MODIFY) == -ENOSPC;
	EQ(r, 1000);
	EQ(SYS(SYS_close, fd[0]), 0);
	EQ(SYS(SYS_inotify_add_watch, fd[2], "/many", IN_DELETE), 1);
	KILL(); /* 4097 are made again */
	for (unsigned i = 0; i < RPC_WATCHES_MAX / 2; i++) {
		snprintf(path, sizeof(path), "/many/%u", i);
		EQ(SYS(SYS_unlink, path), 0);
	}
	sees(fd[2], -1, IN_Q_OVERFLOW, "");
	sees(fd[2], 1, IN_DELETE, "0");
	EQ(SYS(SYS_rmdir, "/many"), 0);
	EQ(SYS(SYS_close, fd[1]), 0);
	EQ(SYS(SYS_close, fd[2]), 0);
	CU_ASSERT(!inotify_watching());
}
