/* SPDX-License-Identifier: MIT */
/*
 * stand_in_guest.c - a guest without libos: a static program that carries
 * strait-cc's note, for tests of the supervisor alone.
 *
 *      exit N        end with status N, said in the doorbell
 *      plain N       end with status N, said nowhere
 *      crash         die of SIGSEGV
 *      wait          say "ready", then the number of each signal; end on TERM
 *      deaf          say "ready"; catch nothing
 *      look          print what can be seen of the machine
 */
#include "platform/linux/boot.h"
#include "vchan/hosted.h"

#include <dirent.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/utsname.h>
#include <unistd.h>

__asm__(".pushsection .note.strait, \"a\", @note\n"
        ".balign 4\n"
        ".long 7, 4, 1\n"
        ".asciz \"Strait\"\n"
        ".balign 4\n"
        ".long 1\n"
        ".popsection\n");

#ifdef STAND_IN_PVH /* what Xen looks for; no more than the note is there */
__asm__(".pushsection .note.xen, \"a\", @note\n"
        ".balign 4\n"
        ".long 4, 4, 18\n"
        ".asciz \"Xen\"\n"
        ".long 0x100000\n"
        ".popsection\n");
#endif

static const struct boot_block *boot(void)
{
	const char *fd = getenv(BOOT_ENV);
	void *p = fd ? mmap(NULL, sizeof(struct boot_block), PROT_READ, MAP_SHARED, atoi(fd), 0)
	             : MAP_FAILED;

	if (p == MAP_FAILED)
		exit(99);
	return p;
}

static void say_end(uint32_t ended, uint32_t status)
{
	struct doorbell *d = mmap(NULL, DOORBELL_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
	                          boot()->doorbell_fd, 0);

	if (d == MAP_FAILED)
		exit(98);
	atomic_store(&d->status, status);
	atomic_store(&d->ended, ended);
}

static void on_signal(int sig)
{
	char text[16];
	int n = snprintf(text, sizeof(text), "%d\n", sig);

	if (write(1, text, (size_t)n) != n)
		_exit(97);
	if (sig == SIGTERM) {
		say_end(2, (uint32_t)sig);
		_exit(0);
	}
}

static void wait_for_signals(void)
{
	for (int sig = 1; sig < 32; sig++)
		if (sig != SIGSEGV)
			signal(sig, on_signal);
	puts("ready");
	fflush(stdout);
	for (;;)
		pause();
}

static void look(void)
{
	const struct boot_block *b = boot();
	struct utsname u;
	DIR *d = opendir("/");
	struct dirent *e;
	int n = 0;

	while (d && (e = readdir(d)))
		n += e->d_name[0] != '.';
	uname(&u);
	printf("root entries %d, pid %d, uid %u, host %s\n", n, (int)getpid(), getuid(),
	       u.nodename);
	printf("no_new_privs %d\n", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
	printf("cwd %s, hostname %s, ids %u:%u, memory %llu, cpus %u\n", b->cwd, b->hostname,
	       b->uid, b->gid, (unsigned long long)b->memory, b->n_cpus);
	for (int fd = 0; fd < 256; fd++)
		if (lseek(fd, 0, SEEK_CUR) >= 0 || dup2(fd, fd) == fd)
			printf("fd %d\n", fd);
	for (char **v = environ; *v; v++)
		printf("env %s\n", *v);
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "exit";
	int n = argc > 2 ? atoi(argv[2]) : 0;

	if (!strcmp(what, "exit")) {
		say_end(1, (uint32_t)n);
		_exit(0);
	}
	if (!strcmp(what, "plain"))
		_exit(n);
	if (!strcmp(what, "crash"))
		raise(SIGSEGV), abort();
	if (!strcmp(what, "wait"))
		wait_for_signals();
	if (!strcmp(what, "deaf")) {
		puts("ready");
		fflush(stdout);
		for (;;)
			pause();
	}
	if (!strcmp(what, "look"))
		look();
	return 0;
}
