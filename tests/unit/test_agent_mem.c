/* SPDX-License-Identifier: MIT */
/* What a mem holds when its domain is to go: found out whole, and told again quickly. */
#define _GNU_SOURCE
#include "services/agent/agent.h"
#include "tests/unit/suite.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define EQ CU_ASSERT_EQUAL

static struct config g_config;

/* ---- what the program has ---- */

void say(const char *fmt, ...)
{
	(void)fmt;
}

uint64_t now_ms(void)
{
	return 0;
}

int wait_for_path(const char *path, unsigned ms)
{
	(void)path;
	(void)ms;
	return -1;
}

/* ---- */

static int open_new(void)
{
	char why[CONFIG_WHY];

	return mount_open(&g_config, &g_config.mounts[0], why);
}

static bool pristine(int fd)
{
	return mem_is_pristine(&g_config, &g_config.mounts[0], fd);
}

static struct mem_note *note(int fd)
{
	return mem_note(&g_config, &fd, 1);
}

static int write_to(int at, const char *name, int flags)
{
	const int fd = openat(at, name, O_WRONLY | flags, 0600);
	const bool done = fd >= 0 && write(fd, "x", 1) == 1;

	if (fd >= 0)
		close(fd);
	return done ? 0 : -1;
}

/* ---- what a guest may do ---- */

static int makes_a_file(int fd)
{
	return write_to(fd, "f", O_CREAT);
}

static int makes_one_below(int fd)
{
	return write_to(fd, "var/tmp/f", O_CREAT);
}

static int makes_one_and_removes_it(int fd)
{
	return write_to(fd, "tmp/f", O_CREAT) || unlinkat(fd, "tmp/f", 0);
}

static int writes_the_same_length(int fd)
{
	return write_to(fd, "etc/hosts", 0);
}

static int removes_a_file(int fd)
{
	return unlinkat(fd, "etc/group", 0);
}

static int renames_a_file(int fd)
{
	return renameat(fd, "etc/group", fd, "etc/passwd");
}

static int changes_a_mode_and_back(int fd)
{
	return fchmodat(fd, "tmp", 0700, 0) || fchmodat(fd, "tmp", 01777, 0);
}

static int makes_a_link(int fd)
{
	return linkat(fd, "etc/hosts", fd, "run/h", 0);
}

static int sets_a_time(int fd)
{
	const struct timespec old[2] = {{.tv_sec = 1}, {.tv_sec = 1}};

	return utimensat(fd, "etc/hosts", old, 0);
}

static int reads_all(int fd)
{
	const int file = openat(fd, "etc/hosts", O_RDONLY);
	char byte;
	const bool done = file >= 0 && read(file, &byte, 1) == 1;

	if (file >= 0)
		close(file);
	return done && pristine(fd) ? 0 : -1;
}

static const struct {
	int (*deed)(int fd);
	bool as_noted, pristine;
} g_deeds[] = {
	{reads_all, true, true},
	{makes_a_file, false, false},
	{makes_one_below, false, false},
	{makes_one_and_removes_it, false, true},
	{writes_the_same_length, false, false},
	{removes_a_file, false, false},
	{renames_a_file, false, false},
	{changes_a_mode_and_back, false, true},
	{makes_a_link, false, false},
	{sets_a_time, false, true},
};
#define DEEDS (sizeof(g_deeds) / sizeof(g_deeds[0]))

static void each_change_is_seen(void)
{
	struct mem_note *notes[DEEDS];
	int fds[DEEDS];

	for (size_t i = 0; i < DEEDS; i++)
		fds[i] = open_new();
	if (fds[0] < 0)
		return; /* no right to mount here */
	sleep(3);
	for (size_t i = 0; i < DEEDS; i++) {
		notes[i] = note(fds[i]);
		CU_ASSERT(notes[i] != NULL && mem_as_noted(notes[i]) && pristine(fds[i]));
	}
	for (size_t i = 0; i < DEEDS; i++) {
		EQ(g_deeds[i].deed(fds[i]), 0);
		EQ(mem_as_noted(notes[i]), g_deeds[i].as_noted);
		EQ(pristine(fds[i]), g_deeds[i].pristine);
		free(notes[i]);
		close(fds[i]);
	}
}

/* A time that could be given again says nothing. */
static void what_is_young_is_not_noted(void)
{
	const int fd = open_new();

	if (fd < 0)
		return;
	CU_ASSERT(note(fd) == NULL);
	CU_ASSERT(!mem_as_noted(NULL));
	close(fd);
}

static void what_is_too_much_is_not_noted(void)
{
	const int fd = open_new();
	struct mem_note *n;
	char name[16];

	if (fd < 0)
		return;
	for (int i = 0; i < 200; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		EQ(mkdirat(fd, name, 0700), 0);
	}
	sleep(3);
	n = note(fd);
	CU_ASSERT(n == NULL);
	free(n);
	close(fd);
}

/* Mounts that are not in memory have nothing to lose. */
static void disks_are_left_out(void)
{
	struct config c = {.n_mounts = 1};
	const int none = -1;
	struct mem_note *n = mem_note(&c, &none, 1);

	CU_ASSERT(mem_as_noted(n));
	free(n);
}

int main(void)
{
	static CU_TestInfo tests[] = {
		TEST(each_change_is_seen),
		TEST(what_is_young_is_not_noted),
		TEST(what_is_too_much_is_not_noted),
		TEST(disks_are_left_out),
		CU_TEST_INFO_NULL,
	};

	g_config.n_mounts = 1;
	g_config.mounts[0].memory = true;
	g_config.mounts[0].size = 1 << 20;
	strcpy(g_config.mounts[0].guest, "/");
	return suite_run("agent mem", NULL, NULL, tests);
}
