/* SPDX-License-Identifier: MIT */
/*
 * desc_keys.c - the keys of services and guests: one row each.
 *
 * What `strait run` has an option for is set through that option, so that both take
 * the same values and say the same about wrong ones.
 */
#include "tools/strait/desc.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GIVEN_MAX 64

/* Keys whose meaning hangs on the services that the guest uses. */
struct desc_given {
	struct {
		bool port; /* else a mount */
		int line;
		char *value;
	} list[GIVEN_MAX];
	unsigned n;
	bool service;  /* service= was given */
	bool cwd;
	const char *args;
	int args_line;
};

/* Where a value stands, for messages. */
struct at {
	struct desc *d;
	int line;
	const char *key;
};

static const char *label(const struct at *at)
{
	return xprintf("%s:%d: %s", at->d->file, at->line, at->key);
}

static void __attribute__((noreturn)) bad(const struct at *at, const char *value, const char *want)
{
	desc_die(at->d, at->line, "%s %s: %s", at->key, value, want);
}

static uint32_t number(const struct at *at, const char *value, uint32_t min, uint32_t max)
{
	const char *p = value;
	uint64_t v;

	if (!opts_parse_number(&p, max, "", &v) || v < min)
		bad(at, value, xprintf("want a number from %u to %u", min, max));
	return (uint32_t)v;
}

/* A path of the description: from its own folder, unless absolute. */
static char *path_of(const struct desc *d, const char *value)
{
	if (*value == '/')
		return xprintf("%s", value);
	while (value[0] == '.' && value[1] == '/')
		value += 2;
	return xprintf("%s%s", *d->folder ? d->folder : "./", value);
}

static void add_text(const struct at *at, const char **list, unsigned *n, unsigned max,
                     const char *value)
{
	if (*n == max)
		bad(at, value, xprintf("too many (%u at most)", max));
	list[(*n)++] = value;
}

/* --- services --------------------------------------------------------------- */

static void s_kind(const struct at *at, struct desc_service *s, char *v)
{
	for (unsigned k = 0; k < DESC_KINDS; k++)
		if (!strcmp(v, desc_kind_name[k])) {
			s->kind = (enum desc_kind)k;
			s->kind_given = true;
			return;
		}
	bad(at, v, "want file or net");
}

static void s_image(const struct at *at, struct desc_service *s, char *v)
{
	if (!strcmp(v, "default") || !strcmp(v, "dom0"))
		s->image = v;
	else if (strchr(v, '/'))
		s->image = path_of(at->d, v);
	else
		bad(at, v, "want default, dom0, or the path of a folder with vmlinuz and initramfs");
}

static void s_memory(const struct at *at, struct desc_service *s, char *v)
{
	s->memory = number(at, v, 32, 1u << 20);
}

static void s_vcpus(const struct at *at, struct desc_service *s, char *v)
{
	s->vcpus = number(at, v, 1, 128);
}

static void s_disk(const struct at *at, struct desc_service *s, char *v)
{
	char *mode = strrchr(v, ':');

	if (s->n_disks == DESC_DISKS_MAX)
		bad(at, v, xprintf("too many (%u at most)", DESC_DISKS_MAX));
	struct desc_disk *k = &s->disks[s->n_disks];

	if (mode && (!strcmp(mode, ":ro") || !strcmp(mode, ":rw"))) {
		k->read_only = !strcmp(mode, ":ro");
		*mode = 0;
	}
	if (!*v)
		bad(at, v, "want the path of a block device or an image, as /dev/vg/site or site.img:ro");
	k->path = path_of(at->d, v);
	snprintf(k->vdev, sizeof(k->vdev), "xvd%c", (char)('a' + s->n_disks++));
}

static void mount_option(const struct at *at, struct mount_opt *m, const char *whole, char *v)
{
	if (!strcmp(v, "ro"))
		m->read_only = true;
	else if (!strcmp(v, "rw"))
		m->read_only = false;
	else if (!strcmp(v, "exclusive"))
		m->exclusive = true;
	else if (!strcmp(v, "setid"))
		m->setid = true;
	else if (!strncmp(v, "fstype=", 7) && v[7] && m->disk)
		m->fstype = v + 7;
	else if (m->source || !opts_parse_size(v, &m->size))
		bad(at, whole, m->source ? "after GUESTDIR want ro, rw, exclusive, setid or (of a disk) "
		                           "fstype=TYPE"
		                         : "after GUESTDIR want ro, rw, setid or a size, as 64m");
}

/* SOURCE:GUESTDIR[:OPTION]...; SOURCE is mem, xvda..., or a folder. */
static void add_mount(const struct at *at, struct desc_service *s, const char *v)
{
	static const char want[] = "want SOURCE:GUESTDIR[:OPTION...]; SOURCE is mem, a disk "
	                           "(xvda) or a folder with a slash in its name";
	char *source = xprintf("%s", v), *guest = strchr(source, ':'), *options;
	const struct desc_disk *disk = NULL;

	if (s->kind != DESC_FILE)
		bad(at, v, "only a service of kind=file has mounts");
	if (!guest || guest == source)
		bad(at, v, want);
	*guest++ = 0;
	options = strchr(guest, ':');
	if (options)
		*options++ = 0;
	for (unsigned i = 0; i < s->n_disks; i++)
		if (!strcmp(s->disks[i].vdev, source))
			disk = &s->disks[i];
	if (!disk && strcmp(source, "mem") && !strchr(source, '/'))
		bad(at, v, strncmp(source, "xvd", 3) ? want : "the service has no such disk; disk=PATH "
		                                              "before it gives it xvda, then xvdb, ...");
	struct mount_opt *m = opts_add_mount(&s->o, label(at), v, guest);

	if (disk) {
		m->source = disk->path;
		m->vdev = disk->vdev;
		m->disk = true;
		m->fstype = "ext4";
		m->read_only = disk->read_only;
		m->exclusive = true;
	} else if (strcmp(source, "mem")) {
		m->source = path_of(at->d, source);
	}
	while (options && *options) {
		char *next = strchr(options, ':');

		if (next)
			*next++ = 0;
		mount_option(at, m, v, options);
		options = next;
	}
	if (disk && disk->read_only && !m->read_only)
		bad(at, v, "the disk is read-only");
}

static void s_mount(const struct at *at, struct desc_service *s, char *v)
{
	add_mount(at, s, v);
}

static void s_bridge(const struct at *at, struct desc_service *s, char *v)
{
	if (!*v || strlen(v) > 15 || strpbrk(v, "/,\"' "))
		bad(at, v, "want the name of a bridge, as xenbr0");
	s->bridge = v;
}

static void s_mac(const struct at *at, struct desc_service *s, char *v)
{
	bool good = strlen(v) == 17 && !(strtoul((const char[]){ v[1], 0 }, NULL, 16) & 1);

	for (int i = 0; good && i < 17; i++)
		good = i % 3 == 2 ? v[i] == ':' : isxdigit((unsigned char)v[i]) != 0;
	if (!good) /* an odd first byte means a group */
		bad(at, v, "want the address of one interface, as 00:16:3e:00:00:01");
	s->mac = v;
}

static void s_interface(const struct at *at, struct desc_service *s, char *v)
{
	if (!*v || strlen(v) > 15 || strpbrk(v, "/,\"' "))
		bad(at, v, "want the name of a network interface, as eth0");
	s->interface = v;
}

static void s_script(const struct at *at, struct desc_service *s, char *v)
{
	if (!*v || strpbrk(v, ",\"'"))
		bad(at, v, "want the name of a hotplug script, as vif-bridge");
	s->script = v;
}

/* 4, 6 or 0: none. */
static int family_of(const char *text)
{
	uint8_t a[16];

	return inet_pton(AF_INET, text, a) == 1 ? 4 : inet_pton(AF_INET6, text, a) == 1 ? 6 : 0;
}

static void s_ip(const struct at *at, struct desc_service *s, char *v)
{
	char *plain = xprintf("%s", v), *slash = strchr(plain, '/');
	const char *bits = slash ? slash + 1 : "";
	uint64_t n;

	if (slash)
		*slash = 0;
	int family = family_of(plain);

	if (!family || !opts_parse_number(&bits, family == 4 ? 32 : 128, "", &n) || !n)
		bad(at, v, "want ADDRESS/PREFIX, as 192.0.2.10/24 or 2001:db8::10/64");
	const char **to = family == 4 ? &s->ip4 : &s->ip6;

	if (*to)
		bad(at, v, "one IPv4 and one IPv6 address are all it can have");
	*to = v;
	free(plain);
}

static void s_gateway(const struct at *at, struct desc_service *s, char *v)
{
	int family = family_of(v);
	const char **to = family == 4 ? &s->gateway4 : &s->gateway6;

	if (!family)
		bad(at, v, "want an address, as 192.0.2.1");
	if (*to)
		bad(at, v, "one IPv4 and one IPv6 gateway are all it can have");
	*to = v;
}

static void s_dns(const struct at *at, struct desc_service *s, char *v)
{
	if (!family_of(v))
		bad(at, v, "want an address, as 192.0.2.1; give dns= again for another");
	add_text(at, s->dns, &s->n_dns, DESC_DNS_MAX, v);
}

static void s_mtu(const struct at *at, struct desc_service *s, char *v)
{
	s->mtu = number(at, v, 1280, 65535);
}

static void s_port_min(const struct at *at, struct desc_service *s, char *v)
{
	s->port_min = number(at, v, 0, 65535);
}

static void s_stack(const struct at *at, struct desc_service *s, char *v)
{
	if (strcmp(v, "lwip") && strcmp(v, "host"))
		bad(at, v, "want lwip or host");
	s->o.net = strcmp(v, "host") ? NET_LWIP : NET_HOST;
}

static void s_squash(const struct at *at, struct desc_service *s, char *v)
{
	struct run_opts ids = { 0 };

	s->squash_given = true;
	s->o.no_squash = !strcmp(v, "none");
	if (s->o.no_squash)
		return;
	opts_apply(&ids, "--user", label(at), v);
	s->o.squash_given = true;
	s->o.squash_uid = ids.uid;
	s->o.squash_gid = ids.gid;
}

static void s_log(const struct at *at, struct desc_service *s, char *v)
{
	opts_apply(&s->o, "--log", label(at), v);
	if (s->o.log)
		bad(at, v, "a service has the levels warn, info and debug");
}

static void s_trace(const struct at *at, struct desc_service *s, char *v)
{
	s->trace = number(at, v, 0, 2);
}

static void s_trace_size(const struct at *at, struct desc_service *s, char *v)
{
	if (!opts_parse_size(v, &s->trace_size) || s->trace_size > UINT32_MAX)
		bad(at, v, "want a size, as 64m");
}

static void s_hang(const struct at *at, struct desc_service *s, char *v)
{
	opts_apply(&s->o, "--hang", label(at), v);
}

static void s_paused(const struct at *at, struct desc_service *s, char *v)
{
	s->paused_s = number(at, v, 0, 86400);
}

static bool xl_reserved(const char *line)
{
	static const char *const ours[] = { "name", "uuid", "type", "kernel", "ramdisk", "memory",
		                            "maxmem", "vcpus", "disk", "vif", "cmdline", "extra",
		                            "on_poweroff", "on_crash", "on_reboot" };
	size_t len = strcspn(line, " =");

	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
		if (strlen(ours[i]) == len && !strncmp(ours[i], line, len))
			return true;
	return false;
}

static void add_xl(const struct at *at, const char **list, unsigned *n, char *v)
{
	if (!strchr(v, '=') || strchr(v, '\n'))
		bad(at, v, "want a line of xl.cfg, as 'xl=cpus=\"2-3\"' in an entry that is a list");
	if (xl_reserved(v))
		bad(at, v, "this setting is made from other keys");
	add_text(at, list, n, DESC_XL_MAX, v);
}

static void s_xl(const struct at *at, struct desc_service *s, char *v)
{
	add_xl(at, s->xl, &s->n_xl, v);
}

/* --- guests ----------------------------------------------------------------- */

static void g_elf(const struct at *at, struct desc_guest *g, char *v)
{
	if (g->elf)
		bad(at, v, "the guest has a program already");
	if (!*v)
		bad(at, v, "want the path of a program built by strait-cc");
	g->elf = path_of(at->d, v);
}

static void g_args(const struct at *at, struct desc_guest *g, char *v)
{
	if (g->given->args)
		bad(at, v, "given before; all arguments stand in one args=");
	g->given->args = v;
	g->given->args_line = at->line;
}

static void g_argv0(const struct at *at, struct desc_guest *g, char *v)
{
	if (!*v)
		bad(at, v, "want a name");
	g->argv0 = v;
}

static void g_env(const struct at *at, struct desc_guest *g, char *v)
{
	if (!strchr(v, '=')) /* nothing of the caller's shell goes into a description */
		bad(at, v, "want NAME=VALUE");
	opts_apply(&g->o, "--env", label(at), v);
}

static void g_memory(const struct at *at, struct desc_guest *g, char *v)
{
	g->o.memory = (uint64_t)number(at, v, 8, 1u << 20) << 20;
}

static void g_service(const struct at *at, struct desc_guest *g, char *v)
{
	g->given->service = true;
	if (!strcmp(v, "none"))
		return;
	for (unsigned i = 0; i < at->d->n_services; i++) {
		struct desc_service *s = &at->d->services[i];

		if (strcmp(s->name, v))
			continue;
		if (g->uses[s->kind])
			bad(at, v, xprintf("the guest uses %s already, a service of the same kind",
			                   g->uses[s->kind]->name));
		g->uses[s->kind] = s;
		return;
	}
	bad(at, v, "no service of this name is described");
}

static void g_later(const struct at *at, struct desc_guest *g, char *v)
{
	struct desc_given *n = g->given;

	if (n->n == GIVEN_MAX)
		bad(at, v, xprintf("too many (%d at most)", GIVEN_MAX));
	n->list[n->n].port = !strcmp(at->key, "port");
	n->list[n->n].line = at->line;
	n->list[n->n++].value = v;
}

static void g_uid(const struct at *at, struct desc_guest *g, char *v)
{
	g->o.uid = number(at, v, 0, UINT32_MAX - 1);
}

static void g_gid(const struct at *at, struct desc_guest *g, char *v)
{
	g->o.gid = number(at, v, 0, UINT32_MAX - 1);
}

static void g_groups(const struct at *at, struct desc_guest *g, char *v)
{
	for (char *one = strtok(v, ", "); one; one = strtok(NULL, ", ")) {
		if (g->n_groups == DESC_GROUPS_MAX)
			bad(at, one, xprintf("too many (%d at most)", DESC_GROUPS_MAX));
		g->groups[g->n_groups++] = number(at, one, 0, UINT32_MAX - 1);
	}
}

static void g_cwd(const struct at *at, struct desc_guest *g, char *v)
{
	opts_apply(&g->o, "--workdir", label(at), v);
}

static void g_hostname(const struct at *at, struct desc_guest *g, char *v)
{
	opts_apply(&g->o, "--hostname", label(at), v);
}

static void g_log(const struct at *at, struct desc_guest *g, char *v)
{
	opts_apply(&g->o, "--log", label(at), v);
	if (g->o.log_level)
		bad(at, v, "a guest has unsupported and channel");
}

static void g_strace(const struct at *at, struct desc_guest *g, char *v)
{
	g->o.strace = number(at, v, 0, 1);
}

static void g_recover(const struct at *at, struct desc_guest *g, char *v)
{
	opts_apply(&g->o, "--recover", label(at), v);
}

static void g_xl(const struct at *at, struct desc_guest *g, char *v)
{
	add_xl(at, g->xl, &g->n_xl, v);
}

/* --- tables ----------------------------------------------------------------- */

static const struct {
	const char *name;
	void (*set)(const struct at *at, struct desc_service *s, char *v);
	const char *arg, *help;
} service_keys[] = {
	{ "kind", s_kind, "file|net", "what it serves" },
	{ "image", s_image, "default|dom0|DIR", "Xen: its image; dom0: a process there" },
	{ "memory", s_memory, "MIB", "Xen: of its domain (128)" },
	{ "vcpus", s_vcpus, "N", "Xen: of its domain (1)" },
	{ "disk", s_disk, "PATH[:ro]", "a block device or image; the first is xvda *" },
	{ "mount", s_mount, "SOURCE:GUESTDIR[:OPT]", "mem, xvda or a folder; ro, SIZE, ... *" },
	{ "squash", s_squash, "UID:GID|none", "whom a guest's root is on files" },
	{ "stack", s_stack, "lwip|host", "whose TCP/IP" },
	{ "bridge", s_bridge, "NAME", "Xen: where its interface is plugged in" },
	{ "mac", s_mac, "ADDRESS", "Xen: of its interface" },
	{ "script", s_script, "NAME", "Xen: hotplug script of its interface" },
	{ "interface", s_interface, "NAME", "Xen: the interface it drives (eth0)" },
	{ "ip", s_ip, "ADDRESS/PREFIX", "Xen: IPv4 and IPv6 **" },
	{ "gateway", s_gateway, "ADDRESS", "Xen: IPv4 and IPv6 **" },
	{ "dns", s_dns, "ADDRESS", "Xen: resolvers *" },
	{ "mtu", s_mtu, "BYTES", "Xen: of its interface" },
	{ "port-min", s_port_min, "PORT", "Xen: the lowest that a guest may bind" },
	{ "log", s_log, "warn|info|debug", "what it says" },
	{ "trace", s_trace, "0|1|2", "Xen: record every RPC; 2: with the bytes moved" },
	{ "trace-size", s_trace_size, "SIZE", "... in at most so much of its memory (16m)" },
	{ "hang", s_hang, "SECONDS", "without an answer for so long it is killed (0: never)" },
	{ "paused", s_paused, "SECONDS", "Xen: paused for so long its domain is made anew (0: never)" },
	{ "xl", s_xl, "SETTING=VALUE", "Xen: a line more of its xl configuration *" },
};

static const struct {
	const char *name;
	void (*set)(const struct at *at, struct desc_guest *g, char *v);
	const char *arg, *help;
} guest_keys[] = {
	{ "elf", g_elf, "PATH", "the program, linked by strait-cc" },
	{ "args", g_args, "WORDS", "its arguments, quoted as for sh" },
	{ "argv0", g_argv0, "NAME", "its own name (the ELF's)" },
	{ "env", g_env, "NAME=VALUE", "a variable *" },
	{ "memory", g_memory, "MIB", "Xen: of its domain (64); hosted: the most it may have" },
	{ "service", g_service, "NAME|none", "one it uses (the only one of each kind) *" },
	{ "mount", g_later, "SOURCE:GUESTDIR[:OPT]", "added to the mounts of its file service *" },
	{ "port", g_later, "[ADDR:]PORT:GUESTPORT[/udp]", "hosted: a port of this machine *" },
	{ "uid", g_uid, "UID", "whom it runs as (0)" },
	{ "gid", g_gid, "GID", "" },
	{ "groups", g_groups, "'GID,...'", "" },
	{ "cwd", g_cwd, "DIR", "its working directory (/)" },
	{ "hostname", g_hostname, "NAME", "what it sees (its name)" },
	{ "log", g_log, "unsupported|channel", "what libos says" },
	{ "strace", g_strace, "0|1", "a line for every call" },
	{ "recover", g_recover, "SECONDS", "how long a service may stay away (30; 0: not at all)" },
	{ "xl", g_xl, "SETTING=VALUE", "Xen: a line more of its xl configuration *" },
};

#define N(list) (sizeof(list) / sizeof((list)[0]))

void desc_service_key(struct desc *d, struct desc_service *s, int line, const char *key,
                      char *value)
{
	for (size_t i = 0; i < N(service_keys); i++)
		if (!strcmp(service_keys[i].name, key)) {
			const struct at at = { d, line, service_keys[i].name };

			service_keys[i].set(&at, s, value);
			return;
		}
	desc_die(d, line, "%s: a service has no such key; `strait deploy --help` lists them", key);
}

void desc_guest_key(struct desc *d, struct desc_guest *g, int line, const char *key, char *value)
{
	if (!g->given)
		g->given = xalloc(sizeof(*g->given));
	for (size_t i = 0; i < N(guest_keys); i++)
		if (!strcmp(guest_keys[i].name, key)) {
			const struct at at = { d, line, guest_keys[i].name };

			guest_keys[i].set(&at, g, value);
			return;
		}
	desc_die(d, line, "%s: a guest has no such key; `strait deploy --help` lists them", key);
}

void desc_help(void)
{
	puts("\nkeys of a service:");
	for (size_t i = 0; i < N(service_keys); i++)
		printf("  %10s=%-28s %s\n", service_keys[i].name, service_keys[i].arg,
		       service_keys[i].help);
	puts("\nkeys of a guest:");
	for (size_t i = 0; i < N(guest_keys); i++)
		printf("  %10s=%-28s %s\n", guest_keys[i].name, guest_keys[i].arg,
		       guest_keys[i].help);
	puts("\n*: may be given more than once    **: once for IPv4, once for IPv6");
}

/* --- when all is read ------------------------------------------------------- */

void desc_service_finish(struct desc *d, struct desc_service *s)
{
	const char *wrong = NULL;

	if (!s->kind_given)
		desc_die(d, s->line, "kind: %s has none; want kind=file or kind=net",
		         s->name ? s->name : "this service");
	if (!s->name)
		s->name = desc_kind_name[s->kind];
	if (s->kind == DESC_FILE)
		wrong = s->bridge ? "bridge" : s->ip4 || s->ip6 ? "ip" : s->mac ? "mac"
		        : s->n_dns ? "dns" : s->mtu ? "mtu" : s->gateway4 || s->gateway6 ? "gateway"
		        : s->port_min ? "port-min" : s->o.net == NET_HOST ? "stack"
		        : s->interface ? "interface" : NULL;
	else
		wrong = s->n_disks ? "disk" : s->squash_given ? "squash" : NULL;
	if (wrong)
		desc_die(d, s->line, "%s: a service of kind=%s has no such key", wrong,
		         desc_kind_name[s->kind]);
	if (!s->image)
		s->image = "default";
	if (!s->memory)
		s->memory = 128;
	if (!s->vcpus)
		s->vcpus = 1;
	if (!s->interface)
		s->interface = "eth0";
}

/* Without service=, the only one of each kind. */
static void choose_services(struct desc *d, struct desc_guest *g)
{
	for (unsigned i = 0; i < d->n_services; i++) {
		struct desc_service *s = &d->services[i];

		if (g->uses[s->kind])
			desc_die(d, g->line, "service: %s could use %s or %s; say which", g->name,
			         g->uses[s->kind]->name, s->name);
		g->uses[s->kind] = s;
	}
}

/* argv of @g, from its args. */
static void make_argv(struct desc *d, struct desc_guest *g)
{
	unsigned n = 0;
	char **words = desc_words(g->given->args ? g->given->args : "", &n);
	const char *slash = strrchr(g->elf, '/');

	if (!words)
		desc_die(d, g->given->args_line, "args %s: a quote is not closed", g->given->args);
	g->o.argv = xalloc((n + 2) * sizeof(*g->o.argv));
	g->o.argv[0] = xprintf("%s", g->argv0 ? g->argv0 : slash ? slash + 1 : g->elf);
	memcpy(g->o.argv + 1, words, n * sizeof(*words));
}

void desc_guest_finish(struct desc *d, struct desc_guest *g)
{
	if (!g->given)
		g->given = xalloc(sizeof(*g->given));
	if (!g->elf)
		desc_die(d, g->line, "elf: %s has none; want elf=PATH, a program built by strait-cc",
		         g->name);
	if (!g->given->service)
		choose_services(d, g);
	for (unsigned i = 0; i < g->given->n; i++) {
		const bool port = g->given->list[i].port;
		const struct at at = { d, g->given->list[i].line, port ? "port" : "mount" };
		struct desc_service *s = g->uses[port ? DESC_NET : DESC_FILE];

		if (!s)
			bad(&at, g->given->list[i].value,
			    port ? "the guest uses no service of kind=net"
			         : "the guest uses no service of kind=file");
		if (port)
			opts_apply(&s->o, "--publish", label(&at), g->given->list[i].value);
		else
			add_mount(&at, s, g->given->list[i].value);
	}
	make_argv(d, g);
	g->o.name = xprintf("%s.%s", d->name, g->name);
	if (!g->o.hostname)
		g->o.hostname = g->name;
	g->o.net = g->uses[DESC_NET] ? g->uses[DESC_NET]->o.net : NET_NONE;
}
