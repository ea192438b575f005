/* SPDX-License-Identifier: MIT */
/* Reading directories: many entries, changes meanwhile, positions, both layouts.
 * strait-run: --net none --no-squash -v {dir}:/tmp
 */
#include "tests/sys/file_test.h"

#include <dirent.h>

#define MANY 10500

static unsigned char g_seen[2 * MANY];

static void make(const char *dir, int i)
{
	char path[64];

	snprintf(path, sizeof(path), "%s/f%05d", dir, i);
	EXPECT(close(open(path, O_CREAT | O_WRONLY, 0600)) == 0);
}

static int number(const char *name)
{
	return name[0] == 'f' ? atoi(name + 1) : -1;
}

static void dots_and_types(void)
{
	int dot = 0, dotdot = 0, types = 0;
	struct dirent *e;
	DIR *d;

	EXPECT(mkdir("t", 0755) == 0);
	EXPECT(mkdir("t/dir", 0755) == 0);
	put_file("t/reg", "");
	EXPECT(symlink("reg", "t/lnk") == 0);
	EXPECT(mkfifo("t/fifo", 0600) == 0);
	d = opendir("t");
	EXPECT(d != NULL);
	while ((e = readdir(d)) != NULL) {
		struct stat st;
		char path[300];

		dot += strcmp(e->d_name, ".") == 0;
		dotdot += strcmp(e->d_name, "..") == 0;
		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "t/%s", e->d_name);
		EXPECT(lstat(path, &st) == 0);
		EXPECT_EQ(e->d_ino, st.st_ino);
		EXPECT_EQ(e->d_type, (st.st_mode & S_IFMT) >> 12);
		types++;
	}
	EXPECT_EQ(dot, 1);
	EXPECT_EQ(dotdot, 1);
	EXPECT_EQ(types, 4);
	closedir(d);
}

static void many_entries_come_once(void)
{
	struct dirent *e;
	int n = 0;
	DIR *d;

	EXPECT(mkdir("many", 0755) == 0);
	for (int i = 0; i < MANY; i++)
		make("many", i);
	d = opendir("many");
	memset(g_seen, 0, sizeof(g_seen));
	while ((e = readdir(d)) != NULL) {
		int i = number(e->d_name);

		if (i < 0)
			continue;
		EXPECT_EQ(g_seen[i], 0);
		g_seen[i] = 1;
		n++;
	}
	EXPECT_EQ(n, MANY);
	closedir(d);
}

/* What is there all the time comes exactly once, whatever happens beside it. */
static void changes_do_not_disturb(void)
{
	int step = 0, missing = 0, twice = 0;
	struct dirent *e;
	char path[64];
	DIR *d = opendir("many");

	memset(g_seen, 0, sizeof(g_seen));
	while ((e = readdir(d)) != NULL) {
		int i = number(e->d_name);

		if (i >= 0 && g_seen[i]++ && i < MANY)
			twice++;
		/* Odd ones go, new ones come, while the walk is under way. */
		if (step % 50 == 0 && step / 50 * 2 + 1 < MANY) {
			snprintf(path, sizeof(path), "many/f%05d", step / 50 * 2 + 1);
			EXPECT(unlink(path) == 0);
			make("many", MANY + step / 50);
		}
		step++;
	}
	for (int i = 0; i < MANY; i += 2)
		missing += !g_seen[i];
	EXPECT_EQ(missing, 0);
	EXPECT_EQ(twice, 0);
	closedir(d);
}

static void emptied_while_reading(void)
{
	struct dirent *e;
	char path[300];
	DIR *d = opendir("many");

	while ((e = readdir(d)) != NULL) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "many/%s", e->d_name);
		EXPECT(unlink(path) == 0);
	}
	closedir(d);
	EXPECT(rmdir("many") == 0);
}

static void positions(void)
{
	char first[300], again[300];
	struct dirent *e;
	long pos;
	DIR *d;

	EXPECT(mkdir("p", 0755) == 0);
	for (int i = 0; i < 200; i++)
		make("p", i);
	d = opendir("p");
	for (int i = 0; i < 50; i++)
		EXPECT(readdir(d) != NULL);
	pos = telldir(d);
	e = readdir(d);
	EXPECT(e != NULL);
	strcpy(first, e->d_name);
	while (readdir(d))
		;
	seekdir(d, pos);
	e = readdir(d);
	EXPECT(e != NULL);
	strcpy(again, e ? e->d_name : "");
	EXPECT(strcmp(first, again) == 0);
	rewinddir(d);
	put_file("p/late", "");
	pos = 0;
	while ((e = readdir(d)) != NULL)
		pos += strcmp(e->d_name, "late") == 0;
	EXPECT_EQ(pos, 1);
	closedir(d);
}

struct old_dirent {
	unsigned long ino, off;
	unsigned short reclen;
	char name[];
};

static void old_layout(void)
{
	_Alignas(8) char buf[4096];
	int fd = open("t", O_RDONLY | O_DIRECTORY), n = 0, dirs = 0;
	long got;

	EXPECT_ERR(syscall(SYS_getdents, fd, buf, 10), EINVAL);
	while ((got = syscall(SYS_getdents, fd, buf, sizeof(buf))) > 0) {
		for (long at = 0; at < got;) {
			struct old_dirent *e = (struct old_dirent *)(buf + at);
			char type = buf[at + e->reclen - 1];

			n++;
			dirs += type == DT_DIR;
			EXPECT(strlen(e->name) < 10);
			at += e->reclen;
		}
	}
	EXPECT_EQ(got, 0);
	EXPECT_EQ(n, 6);
	EXPECT_EQ(dirs, 3);
	close(fd);
}

static void errors(void)
{
	_Alignas(8) char buf[1024];
	int fd = open("t/reg", O_RDONLY);

	EXPECT_ERR(syscall(SYS_getdents64, fd, buf, sizeof(buf)), ENOTDIR);
	close(fd);
	fd = open("t", O_RDONLY | O_DIRECTORY);
	EXPECT_ERR(syscall(SYS_getdents64, fd, buf, 8), EINVAL);
	EXPECT_ERR(syscall(SYS_getdents64, fd, BAD_PTR, 1024), EFAULT);
	EXPECT_ERR(syscall(SYS_getdents64, 77, buf, sizeof(buf)), EBADF);
	EXPECT(syscall(SYS_getdents64, fd, buf, sizeof(buf)) > 0);
	close(fd);
	fd = open("t", O_PATH | O_DIRECTORY);
	EXPECT_ERR(syscall(SYS_getdents64, fd, buf, sizeof(buf)), EBADF);
	close(fd);
}

static void root_shows_dev_and_proc(void)
{
	int dev = 0, proc = 0;
	struct dirent *e;
	DIR *d = opendir("/");

	EXPECT(d != NULL);
	while (d && (e = readdir(d)) != NULL) {
		dev += strcmp(e->d_name, "dev") == 0;
		proc += strcmp(e->d_name, "proc") == 0;
	}
	EXPECT_EQ(dev, 1);
	EXPECT_EQ(proc, 1);
	if (d)
		closedir(d);
}

int main(void)
{
	CASE(dots_and_types);
	CASE(many_entries_come_once);
	CASE(changes_do_not_disturb);
	CASE(emptied_while_reading);
	CASE(positions);
	CASE(old_layout);
	CASE(errors);
	CASE(root_shows_dev_and_proc);
	return g_failed;
}
