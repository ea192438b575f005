/* SPDX-License-Identifier: MIT */
/*
 * domcfg.c - what xl is told of a domain.
 *
 * A domain that ends is kept (on_poweroff = "preserve"): `strait watch` reads how it
 * ended, then destroys it.  Names and paths hold no quotes: check.c saw to that.
 */
#include "tools/strait/xen/deploy.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define GUEST_MEMORY 64u /* MiB */

void uuid_make(char uuid[UUID_LEN + 1])
{
	uint8_t b[16];

	if (getrandom(b, sizeof(b), 0) != sizeof(b))
		die(EXIT_STRAIT, "no random numbers: %s", strerror(errno));
	b[6] = (uint8_t)((b[6] & 0x0f) | 0x40);
	b[8] = (uint8_t)((b[8] & 0x3f) | 0x80);
	for (int i = 0; i < 16; i++) {
		uuid += sprintf(uuid, "%02x", b[i]);
		if (i == 3 || i == 5 || i == 7 || i == 9)
			*uuid++ = '-';
	}
	*uuid = 0;
}

static void common(FILE *f, const struct member *m, const char *const *xl, unsigned n_xl)
{
	fprintf(f, "name = \"%s\"\nuuid = \"%s\"\ntype = \"pvh\"\n", m->domain, m->uuid);
	fprintf(f, "on_poweroff = \"preserve\"\non_reboot = \"preserve\"\n"
	           "on_crash = \"preserve\"\n");
	/* Without an invariant TSC Xen would trap each read of the clock; a domain that
	 * never moves to another host can read it itself. */
	fputs("tsc_mode = \"native\"\n", f);
	for (unsigned i = 0; i < n_xl; i++)
		fprintf(f, "%s\n", xl[i]);
}

static FILE *open_text(char **text, size_t *len)
{
	FILE *f = open_memstream(text, len);

	if (!f)
		die(EXIT_STRAIT, "out of memory");
	return f;
}

static char *close_text(FILE *f, char **text)
{
	if (fclose(f))
		die(EXIT_STRAIT, "out of memory");
	return *text;
}

char *domcfg_service(const struct desc *d, const struct desc_service *s, const struct member *m,
                     const char *image, const char *const *disks)
{
	char *text;
	size_t len;
	FILE *f = open_text(&text, &len);

	fprintf(f, "# %s of %s: made by strait deploy\n", s->name, d->file);
	common(f, m, s->xl, s->n_xl);
	fprintf(f, "kernel = \"%s/vmlinuz\"\nramdisk = \"%s/initramfs\"\n", image, image);
	fprintf(f, "cmdline = \"console=hvc0 loglevel=4 panic=1 strait.service=%s\"\n", s->name);
	fprintf(f, "memory = %u\nmaxmem = %u\nvcpus = %u\n", s->memory, s->memory, s->vcpus);
	if (s->n_disks)
		fputs("disk = [\n", f);
	for (unsigned i = 0; i < s->n_disks; i++)
		fprintf(f, "  \"format=raw,vdev=%s,access=%s,target=%s\",\n", s->disks[i].vdev,
		        s->disks[i].read_only ? "ro" : "rw", disks[i]);
	if (s->n_disks)
		fputs("]\n", f);
	if (s->bridge || s->script)
		fprintf(f, "vif = [ \"%s%s%s%s%s%s\" ]\n", s->bridge ? "bridge=" : "",
		        s->bridge ? s->bridge : "", s->mac ? ",mac=" : "", s->mac ? s->mac : "",
		        s->script ? ",script=" : "", s->script ? s->script : "");
	return close_text(f, &text);
}

char *domcfg_guest(const struct desc_guest *g, const struct member *m)
{
	unsigned memory = g->o.memory ? (unsigned)(g->o.memory >> 20) : GUEST_MEMORY;
	char *text, *elf = realpath(g->elf, NULL);
	size_t len;
	FILE *f = open_text(&text, &len);

	common(f, m, g->xl, g->n_xl);
	fprintf(f, "kernel = \"%s\"\n", elf ? elf : g->elf);
	fprintf(f, "memory = %u\nmaxmem = %u\nvcpus = 1\n", memory, memory);
	free(elf);
	return close_text(f, &text);
}

static void word(FILE *f, const char *key, const char *value)
{
	char *q = desc_quote(xprintf("%s%s", key, value));

	fprintf(f, "%s ", q);
	free(q);
}

char *domcfg_cmdline(const struct desc_guest *g)
{
	char *text;
	size_t len;
	FILE *f = open_text(&text, &len);

	word(f, "argv0=", g->o.argv[0]);
	if (strcmp(g->o.cwd, "/"))
		word(f, "cwd=", g->o.cwd);
	if (g->o.uid || g->o.gid)
		fprintf(f, "uid=%u gid=%u ", g->o.uid, g->o.gid);
	for (unsigned i = 0; i < g->n_groups; i++)
		fprintf(f, "%s%u%s", i ? "," : "groups=", g->groups[i],
		        i + 1 == g->n_groups ? " " : "");
	word(f, "hostname=", g->o.hostname);
	for (unsigned i = 0; i < g->o.n_env; i++)
		word(f, "env=", g->o.env[i]);
	for (unsigned bit = 0; bit < 2; bit++)
		if (g->o.log & (1u << bit))
			word(f, "log=", bit ? "channel" : "unsupported");
	if (g->o.strace)
		fputs("strace=1 ", f);
	if (g->o.recover_given)
		fprintf(f, "recover=%u ", g->o.recover_s);
	for (int k = 0; k < DESC_KINDS; k++)
		if (g->uses[k] && g->uses[k]->trace) {
			fputs("stamps=1 ", f);
			break;
		}
	fputs("--", f);
	for (char **a = g->o.argv + 1; *a; a++) {
		fputc(' ', f);
		char *q = desc_quote(*a);

		fputs(q, f);
		free(q);
	}
	return close_text(f, &text);
}

/* --- again, for another domain of a service ----------------------------------- */

bool domcfg_has(const char *path, const char *text)
{
	FILE *f = fopen(path, "re");
	char line[4096];
	bool any = false;

	while (f && !any && fgets(line, sizeof(line), f))
		any = strstr(line, text) != NULL;
	if (f)
		fclose(f);
	return any;
}

/* The interface keeps its address, also one that xl had drawn. */
static bool put_vif(FILE *to, char *line, const char *mac)
{
	char *end = strstr(line, "\" ]");

	if (!mac || !end || strstr(line, "mac="))
		return fputs(line, to) >= 0;
	*end = 0;
	return fprintf(to, "%s%smac=%s\" ]\n", line, end[-1] == '"' ? "" : ",", mac) > 0;
}

static bool put_line(FILE *to, char *line, const struct domcfg_next *n)
{
	char *target;

	if (!strncmp(line, "uuid = ", 7))
		return fprintf(to, "uuid = \"%s\"\n", n->uuid) > 0;
	if (n->image && !strncmp(line, "kernel = ", 9))
		return fprintf(to, "kernel = \"%s/vmlinuz\"\n", n->image) > 0;
	if (n->image && !strncmp(line, "ramdisk = ", 10))
		return fprintf(to, "ramdisk = \"%s/initramfs\"\n", n->image) > 0;
	if (!strncmp(line, "vif = [", 7))
		return put_vif(to, line, n->mac);
	target = n->script ? strstr(line, ",target=") : NULL;
	if (!target || strncmp(line, "  \"format=", 10))
		return fputs(line, to) >= 0;
	*target = 0;
	return fprintf(to, "%s,script=%s,%s", line, n->script, target + 1) > 0;
}

int domcfg_next(const char *from_path, const char *to_path, const struct domcfg_next *n)
{
	FILE *from = fopen(from_path, "re"), *to = from ? fopen(to_path, "we") : NULL;
	char line[4096];
	int err = to ? 0 : -errno;

	while (!err && fgets(line, sizeof(line), from))
		if (!put_line(to, line, n))
			err = -EIO;
	if (to && fclose(to) && !err)
		err = -errno;
	if (from)
		fclose(from);
	return err;
}
