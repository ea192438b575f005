/* SPDX-License-Identifier: MIT */
/*
 * services.c - what services are made of: images of their domains, agents in dom0.
 */
#include "tools/strait/xen/deploy.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define IMAGES "/var/lib/strait/images"
#define AGENT_END_MS 25000 /* it gives its service 20 s */

static char *find_agent(void)
{
	static const char *const places[] = { "xen/strait-agent", "../libexec/strait/xen/strait-agent",
		                              "strait-agent", NULL };

	return prog_beside("STRAIT_AGENT", places);
}

static char *find_mkimage(void)
{
	static const char *const places[] = { "xen/mkimage", "../libexec/strait/xen/mkimage",
		                              "mkimage", NULL };

	return prog_beside("STRAIT_MKIMAGE", places);
}

char *image_block_script(void)
{
	static const char *const places[] = { "xen/block-shared", "../libexec/strait/xen/block-shared",
		                              "block-shared", NULL };

	return prog_beside("STRAIT_BLOCK_SCRIPT", places);
}

static const char *default_image(void)
{
	const char *given = getenv("STRAIT_IMAGES");

	return xprintf("%s/default", given && *given ? given : IMAGES);
}

const char *image_lacks(const char *folder)
{
	static const char *const files[] = { "vmlinuz", "initramfs" };

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		if (access(xprintf("%s/%s", folder, files[i]), R_OK))
			return files[i];
	return NULL;
}

void image_check(const struct desc *d, const struct desc_service *s)
{
	const char *lacks;

	if (!strcmp(s->image, "dom0")) {
		char *agent = find_agent();

		if (!agent || access(agent, X_OK))
			desc_die(d, s->line, "image dom0: strait-agent, which runs services there, is not "
			                     "installed beside strait (STRAIT_AGENT names another)");
		return;
	}
	if (!strcmp(s->image, "default")) {
		if (image_lacks(default_image()) && !find_mkimage())
			desc_die(d, s->line, "image default: %s has no image, and mkimage, which builds it, "
			                     "is not installed beside strait (STRAIT_MKIMAGE names another)",
			         default_image());
		return;
	}
	lacks = image_lacks(s->image);
	if (lacks)
		desc_die(d, s->line, "image %s: there is no file %s in it", s->image, lacks);
	if (strpbrk(s->image, "\"'\\\n"))
		desc_die(d, s->line, "image %s: xl takes no path with quotes or backslashes", s->image);
}

static void make_folders(const char *path)
{
	for (char *p = xprintf("%s", path), *slash = p + 1; (slash = strchr(slash, '/')); slash++) {
		*slash = 0;
		(void)mkdir(p, 0755); /* who needs it says that it is missing */
		*slash = '/';
	}
}

/* mkimage speaks for itself, on stderr. */
static int build_image(const char *folder)
{
	char *tool = find_mkimage();
	int status;

	make_folders(folder);
	fflush(stdout);
	pid_t pid = fork();

	if (pid < 0)
		return -errno;
	if (!pid) {
		if (dup2(2, 1) >= 0)
			execl(tool, "mkimage", folder, (char *)NULL);
		die(EXIT_STRAIT, "%s: cannot be started: %s", tool, strerror(errno));
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) && !WEXITSTATUS(status) ? 0 : -EIO;
}

const char *image_path(const struct desc_service *s)
{
	const char *folder = s->image;

	if (strcmp(folder, "default"))
		return folder;
	folder = default_image();
	if (!image_lacks(folder))
		return folder;
	printf("building the service image %s\n", folder);
	int err = build_image(folder);

	if (err) {
		say("image %s: mkimage failed%s%s", folder, err == -EIO ? "" : ": ",
		    err == -EIO ? "" : strerror(-err));
		return NULL;
	}
	if (image_lacks(folder)) {
		say("image %s: mkimage made no %s", folder, image_lacks(folder));
		return NULL;
	}
	return folder;
}

/* --- agents in dom0 --------------------------------------------------------- */

pid_t background_start(const char *tool, char *const argv[], const char *log_path)
{
	int log = open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	char *from = tool[0] == '/' ? xprintf("%s", tool) : realpath(tool, NULL);

	if (log < 0 || null < 0 || !from)
		return -errno;
	fflush(stdout);
	pid_t pid = fork();

	if (pid < 0)
		return -errno;
	if (!pid) {
		if (setsid() >= 0 && chdir("/") == 0 && dup2(null, 0) >= 0 && dup2(log, 1) >= 0 &&
		    dup2(log, 2) >= 0)
			(void)execv(from, argv);
		die(EXIT_STRAIT, "%s: cannot be started: %s", tool, strerror(errno));
	}
	free(from);
	close(log);
	close(null);
	return pid;
}

int agent_start(const char *deployment, struct member *m)
{
	char *tool = find_agent();
	char *argv[] = { xprintf("strait-agent"), xprintf("--service"), m->name, NULL };
	pid_t pid;

	if (!tool)
		return -ENOENT;
	pid = background_start(tool, argv, state_path(deployment, m->name, ".agent"));
	if (pid < 0)
		return pid;
	m->pid = pid;
	m->born = process_born(pid);
	return 0;
}

void agent_fetch_trace(const struct member *m)
{
	char *tool = find_agent();

	if (tool)
		execl(tool, "strait-agent", "--trace-of", xprintf("%u", m->domid), "--service",
		      m->name, (char *)NULL);
	die(EXIT_STRAIT, "%s: cannot be started: %s", tool ? tool : "strait-agent",
	    strerror(errno));
}

static bool lives(const struct member *m)
{
	(void)waitpid(m->pid, NULL, WNOHANG); /* when it is our child */
	return process_born(m->pid) == m->born && m->born;
}

void agent_stop(const struct member *m)
{
	struct timespec tick = { .tv_nsec = 50000000 };

	if (!lives(m) || kill(m->pid, SIGTERM))
		return;
	for (int ms = 0; ms < AGENT_END_MS && lives(m); ms += 50)
		nanosleep(&tick, NULL);
	if (lives(m)) {
		say("note: %s did not end in time; it is killed", m->domain);
		(void)kill(m->pid, SIGKILL);
	}
}
