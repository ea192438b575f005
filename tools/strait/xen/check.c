/* SPDX-License-Identifier: MIT */
/*
 * check.c - is all there that a deployment needs?  Before anything is made.
 */
#include "tools/strait/xen/deploy.h"
#include "tools/strait/xen/xl.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PVH_NOTE 18u /* XEN_ELFNOTE_PHYS32_ENTRY */
#define NOTES_MAX 8192u
#define SERVICE_NAME_MAX 32
#define GUEST_MEMORY 64u
#define MOUNTS_ON_XEN 16u
#define GRANTS_OF_GUEST 129u /* at each service: a page, and 2 rings of RPC_RING_ORDER */
#define GRANT_LIMIT "/sys/module/xen_gntalloc/parameters/limit"

/* Of a domain, besides its memory: page tables and Xen's own, in MiB. */
static unsigned overhead(unsigned memory)
{
	return 3 + memory / 100;
}

static bool in_path(const char *name)
{
	const char *path = getenv("PATH");
	char file[4096];

	while (path && *path) {
		size_t len = strcspn(path, ":");

		snprintf(file, sizeof(file), "%.*s/%s", (int)len, path, name);
		if (!access(file, X_OK))
			return true;
		path += len + (path[len] == ':');
	}
	return false;
}

/* What /sys says: "xen" in any domain. */
static bool under_xen(void)
{
	char text[16] = "";
	int fd = open("/sys/hypervisor/type", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);

	if (fd >= 0)
		close(fd);
	return n > 0 && !strncmp(text, "xen", 3);
}

static char *g_info; /* xl info */

void check_host(void)
{
	const char *const info[] = { "info", NULL };
	int status;

	if (!in_path("xl"))
		die(EXIT_STRAIT, under_xen()
		    ? "there is no xl in PATH; this is a domain without Xen's tools, or Debian's "
		      "package xen-utils is missing"
		    : "this machine does not run Xen (there is no xl in PATH); `strait run --config` "
		      "runs a description without it");
	if (geteuid())
		die(EXIT_STRAIT, "only root of dom0 may deal with domains; call it with sudo");
	status = xl_run(&g_info, info);
	if (status < 0)
		die(EXIT_STRAIT, "xl cannot be started: %s", strerror(-status));
	if (status)
		die(EXIT_STRAIT, "%s: xl info says: %s",
		    under_xen() ? "this is not dom0, or Xen's daemons do not run"
		                : "this machine does not run Xen",
		    xl_sentence(g_info));
}

static void check_can_pvh(const struct desc *d)
{
	const char *caps = xl_info_value(g_info, "virt_caps");

	if (*caps && !strstr(caps, "hvm"))
		desc_die(d, 0, "Xen here cannot run PVH domains (virt_caps: %s); are the machine's "
		               "virtualisation extensions switched on?", caps);
}

static void check_names(const struct desc *d)
{
	struct xl_domain *list;
	char *text;
	const char *why;
	struct deployment old;
	int n;

	if (state_read(d->name, &old, &why) || why)
		desc_die(d, 0, "%s is deployed already; `strait down %s` removes it", d->name, d->name);
	n = xl_list(&list, &text);
	if (n < 0)
		die(EXIT_STRAIT, "xl list fails: %s", xl_sentence(text));
	for (unsigned i = 0; i < d->n_services + d->n_guests; i++) {
		const struct desc_guest *g = i < d->n_services ? NULL : &d->guests[i - d->n_services];
		char *domain = xprintf("%s.%s", d->name, g ? g->name : d->services[i].name);
		const struct xl_domain *x = xl_find(list, n, domain);

		if (x)
			desc_die(d, g ? g->line : d->services[i].line,
			         "name %s: domain %u is called so already; `xl destroy %s` removes it",
			         domain, x->domid, domain);
	}
	free(list);
}

/* @mib: with what Xen keeps for them.  Without dom0_mem xl takes memory from dom0 when
 * it must. */
static char *lacks_memory(unsigned long mib, const char *who)
{
	const unsigned long free_mib = strtoul(xl_info_value(g_info, "free_memory"), NULL, 10);
	const char *line = xl_info_value(g_info, "xen_commandline");

	if (free_mib >= mib || !strstr(line, "dom0_mem="))
		return NULL;
	return xprintf("memory: %s %lu MiB with what Xen keeps besides, and %lu are free", who, mib,
	               free_mib);
}

char *check_room(unsigned memory)
{
	return lacks_memory(memory + overhead(memory), "the next domain needs");
}

static void check_memory(const struct desc *d)
{
	unsigned long sum = 0;
	const char *lacks;

	for (unsigned i = 0; i < d->n_services; i++)
		if (strcmp(d->services[i].image, "dom0"))
			sum += d->services[i].memory + overhead(d->services[i].memory);
	for (unsigned i = 0; i < d->n_guests; i++) {
		unsigned m = (unsigned)(d->guests[i].o.memory >> 20);

		m = m ? m : GUEST_MEMORY;
		sum += m + overhead(m);
	}
	lacks = lacks_memory(sum, "the domains need");
	if (lacks)
		desc_die(d, 0, "%s", lacks);
}

static void check_path_text(const struct desc *d, int line, const char *key, const char *path)
{
	if (strpbrk(path, "\"'\n\\"))
		desc_die(d, line, "%s %s: xl takes no path with quotes or backslashes", key, path);
}

static void check_disk(const struct desc *d, const struct desc_service *s,
                       const struct desc_disk *k)
{
	struct stat st;

	check_path_text(d, s->line, "disk", k->path);
	if (stat(k->path, &st))
		desc_die(d, s->line, "disk %s: %s", k->path,
		         errno == ENOENT ? "no such block device or image" : strerror(errno));
	if (!S_ISBLK(st.st_mode) && !S_ISREG(st.st_mode))
		desc_die(d, s->line, "disk %s: is neither a block device nor an image", k->path);
	if (S_ISREG(st.st_mode) && !st.st_size)
		desc_die(d, s->line, "disk %s: the image is empty; make a file system in it, as with "
		                     "truncate -s 1G and mkfs.ext4", k->path);
}

static void check_bridge(const struct desc *d, const struct desc_service *s)
{
	struct stat st;

	if (!stat(xprintf("/sys/class/net/%s/bridge", s->bridge), &st) || s->script)
		return; /* a script may plug it into something else */
	if (stat(xprintf("/sys/class/net/%s", s->bridge), &st))
		desc_die(d, s->line, "bridge %s: there is no such bridge; `ip link add %s type bridge` "
		                     "makes one", s->bridge, s->bridge);
	desc_die(d, s->line, "bridge %s: that interface is no bridge", s->bridge);
}

/* What is there, as others will name it: they work in other folders. */
static void make_absolute(const char **path)
{
	char *real = realpath(*path, NULL);

	if (real)
		*path = real;
}

static void check_mounts(const struct desc *d, struct desc_service *s, bool dom0)
{
	for (unsigned i = 0; i < s->o.n_mounts; i++) {
		struct mount_opt *m = &s->o.mounts[i];
		struct stat st;

		if (!m->source || m->disk)
			continue;
		if (!dom0)
			desc_die(d, s->line, "mount %s: a folder of dom0; a service in a domain of its own "
			                     "sees its disks only: give it disk=, or image=dom0", m->source);
		if (stat(m->source, &st) || !S_ISDIR(st.st_mode))
			desc_die(d, s->line, "mount %s: there is no such folder", m->source);
		make_absolute(&m->source);
	}
}

static void check_net(const struct desc *d, const struct desc_service *s, bool dom0)
{
	if (s->o.net == NET_HOST && !dom0)
		desc_die(d, s->line, "stack host: a service domain's kernel has no address; want "
		                     "stack=lwip, or image=dom0");
	if (s->o.net == NET_LWIP && !s->ip4 && !s->ip6)
		desc_die(d, s->line, "ip: %s has none; on Xen its address is given, as "
		                     "ip=192.0.2.10/24", s->name);
	if (dom0 && s->bridge)
		desc_die(d, s->line, "bridge %s: a service in dom0 has no interface of its own; "
		                     "interface= names one it may have", s->bridge);
	if (!dom0 && !s->bridge && !s->script)
		desc_die(d, s->line, "bridge: %s has none; want bridge=NAME, where its interface is "
		                     "plugged in", s->name);
	if (s->bridge)
		check_bridge(d, s);
	if (dom0 && s->o.net == NET_LWIP &&
	    access(xprintf("/sys/class/net/%s", s->interface), F_OK))
		desc_die(d, s->line, "interface %s: dom0 has no such interface", s->interface);
}

static void check_service(const struct desc *d, struct desc_service *s)
{
	bool dom0 = !strcmp(s->image, "dom0");

	if (strlen(s->name) > SERVICE_NAME_MAX || strchr(s->name, '.'))
		desc_die(d, s->line, "name %s: on Xen a service's name has no dot and at most %d "
		                     "characters", s->name, SERVICE_NAME_MAX);
	if (s->o.n_mounts > MOUNTS_ON_XEN - 1)
		desc_die(d, s->line, "mount: on Xen a service has at most %u mounts, with /",
		         MOUNTS_ON_XEN);
	for (unsigned i = 0; i < s->n_disks; i++) {
		check_disk(d, s, &s->disks[i]);
		make_absolute(&s->disks[i].path);
	}
	check_mounts(d, s, dom0);
	if (s->kind == DESC_NET)
		check_net(d, s, dom0);
	if (dom0 && s->n_disks)
		desc_die(d, s->line, "disk %s: a service in dom0 mounts folders; mount the disk and name "
		                     "the folder", s->disks[0].path);
	image_check(d, s);
	if (strchr(s->image, '/'))
		make_absolute(&s->image);
}

static bool has_pvh_note(int fd)
{
	static uint8_t notes[NOTES_MAX];
	Elf64_Ehdr e;
	Elf64_Phdr ph;

	if (pread(fd, &e, sizeof(e), 0) != sizeof(e))
		return false;
	for (unsigned i = 0; i < e.e_phnum; i++) {
		if (pread(fd, &ph, sizeof(ph), (off_t)(e.e_phoff + i * sizeof(ph))) != sizeof(ph))
			return false;
		if (ph.p_type != PT_NOTE || ph.p_filesz > NOTES_MAX ||
		    pread(fd, notes, ph.p_filesz, (off_t)ph.p_offset) != (ssize_t)ph.p_filesz)
			continue;
		for (size_t at = 0; at + sizeof(Elf64_Nhdr) + 4 <= ph.p_filesz;) {
			Elf64_Nhdr h;

			memcpy(&h, notes + at, sizeof(h));
			if (h.n_type == PVH_NOTE && h.n_namesz == 4 &&
			    !memcmp(notes + at + sizeof(h), "Xen", 4))
				return true;
			if (h.n_namesz > NOTES_MAX || h.n_descsz > NOTES_MAX)
				break;
			at += sizeof(h) + ((h.n_namesz + 3) & ~3u) + ((h.n_descsz + 3) & ~3u);
		}
	}
	return false;
}

static void check_guest(const struct desc *d, const struct desc_guest *g)
{
	bool others;
	int fd;
	size_t len = strlen(domcfg_cmdline(g));

	check_path_text(d, g->line, "elf", g->elf);
	fd = prog_open(g->elf, &others);
	if (!has_pvh_note(fd))
		die(EXIT_UNUSABLE, "%s: cannot boot on Xen: it has no Xen note (PHYS32_ENTRY); link "
		                   "it again with this strait-cc", g->elf);
	close(fd);
	if (len > 3800)
		desc_die(d, g->line, "args: with env they make a command line of %zu bytes; xenstore "
		                     "takes 3800", len);
}

/* Services in dom0 share what its kernel lets processes grant. */
static void check_grants(const struct desc *d)
{
	FILE *f = fopen(GRANT_LIMIT, "re");
	char text[32] = "";
	unsigned long need = 0, limit = f && fgets(text, sizeof(text), f)
	                                        ? strtoul(text, NULL, 10) : ULONG_MAX;

	for (unsigned i = 0; i < d->n_guests; i++)
		for (int k = 0; k < DESC_KINDS; k++)
			if (d->guests[i].uses[k] && !strcmp(d->guests[i].uses[k]->image, "dom0"))
				need += GRANTS_OF_GUEST;
	if (need > limit)
		desc_die(d, 0, "image dom0: its services grant %lu pages to the guests, and dom0's "
		               "xen_gntalloc.limit is %lu; write a larger one to %s", need, limit,
		         GRANT_LIMIT);
	if (f)
		fclose(f);
}

void check_all(struct desc *d)
{
	check_can_pvh(d);
	check_names(d);
	for (unsigned i = 0; i < d->n_services; i++)
		check_service(d, &d->services[i]);
	for (unsigned i = 0; i < d->n_guests; i++) {
		opts_finish(&d->guests[i].o);
		check_guest(d, &d->guests[i]);
	}
	check_memory(d);
	check_grants(d);
}
