/* SPDX-License-Identifier: MIT */
/*
 * probe.c - a program for tests of what strait run promises a program; built by
 * strait-cc.
 *
 *      exit N | abort | raise N     end so
 *      wait                         say "ready", count INT, end on the third or TERM
 *      calls N                      say "ready", then a getppid() every 10 ms, N times
 *      env                          print the environment and arguments
 *      write FILE | read FILE       one line
 *      give FILE                    make it, give it to user 1234, change its mode
 *      fill FILE                    write until it fails, print the error's name
 *      ls DIR                       names, sorted
 *      who                          ids, directory, host name
 *      cpus                         how many processors
 *      take N                       use N MiB of memory, print how it went
 */
#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

extern char **environ;

static int die(const char *what)
{
	perror(what);
	exit(1);
}

static void on_int(int sig)
{
	static int n;

	(void)!write(1, "INT\n", 4);
	if (++n == 3)
		_exit(30);
	(void)sig;
}

static int wait_for_int(void)
{
	signal(SIGINT, on_int);
	puts("ready");
	fflush(stdout);
	for (;;)
		pause();
}

static int calls(int n)
{
	puts("ready");
	fflush(stdout);
	while (n--) {
		getppid();
		usleep(10000);
	}
	return 0;
}

static int write_file(const char *path)
{
	FILE *f = fopen(path, "w");

	if (!f || fputs("written by the guest\n", f) < 0 || fclose(f))
		die(path);
	return 0;
}

static int read_file(const char *path)
{
	char line[256];
	FILE *f = fopen(path, "r");

	if (!f || !fgets(line, sizeof(line), f))
		die(path);
	fputs(line, stdout);
	return 0;
}

static int give(const char *path)
{
	struct stat st;

	write_file(path);
	if (chown(path, 1234, 1234) || chmod(path, 0600) || stat(path, &st))
		die(path);
	puts(st.st_uid == 1234 && (st.st_mode & 0777) == 0600 ? "given away" : "not given");
	return 0;
}

static int fill(const char *path)
{
	static char buf[65536];
	FILE *f = fopen(path, "w");

	if (!f)
		die(path);
	setvbuf(f, NULL, _IONBF, 0);
	while (fwrite(buf, 1, sizeof(buf), f) == sizeof(buf))
		;
	printf("%s at %ld\n", errno == ENOSPC ? "ENOSPC" : strerror(errno), ftell(f) >> 20);
	return 0;
}

static int ls(const char *dir)
{
	struct dirent **e;
	int n = scandir(dir, &e, NULL, alphasort);

	if (n < 0)
		die(dir);
	for (int i = 0; i < n; i++)
		if (e[i]->d_name[0] != '.')
			printf("%s ", e[i]->d_name);
	puts("");
	return 0;
}

static int who(void)
{
	char dir[256], host[256];

	if (!getcwd(dir, sizeof(dir)) || gethostname(host, sizeof(host)))
		die("who");
	printf("%d:%d %s %s\n", (int)getuid(), (int)getgid(), dir, host);
	return 0;
}

static int take(size_t mib)
{
	char *p = malloc(mib << 20);

	if (!p)
		return puts("refused") < 0;
	memset(p, 1, mib << 20);
	return puts("taken") < 0;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "", *arg = argc > 2 ? argv[2] : "";

	if (!strcmp(what, "exit"))
		exit(atoi(arg));
	if (!strcmp(what, "abort"))
		abort();
	if (!strcmp(what, "raise"))
		return raise(atoi(arg));
	if (!strcmp(what, "wait"))
		return wait_for_int();
	if (!strcmp(what, "calls"))
		return calls(atoi(arg));
	if (!strcmp(what, "write"))
		return write_file(arg);
	if (!strcmp(what, "read"))
		return read_file(arg);
	if (!strcmp(what, "give"))
		return give(arg);
	if (!strcmp(what, "fill"))
		return fill(arg);
	if (!strcmp(what, "ls"))
		return ls(arg);
	if (!strcmp(what, "who"))
		return who();
	if (!strcmp(what, "take"))
		return take((size_t)atoi(arg));
	if (!strcmp(what, "cpus"))
		return printf("%ld\n", sysconf(_SC_NPROCESSORS_ONLN)) < 0;
	for (char **v = environ; *v; v++)
		puts(*v);
	for (int i = 0; i < argc; i++)
		printf("arg %s\n", argv[i]);
	return 0;
}
