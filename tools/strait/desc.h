/* SPDX-License-Identifier: MIT */
/*
 * desc.h - a description: services and guests in one file of xl.cfg syntax.
 *
 * The same description is brought up hosted (`strait run --config`) and on Xen
 * (`strait deploy`).  docs/XEN.md tells of every key.
 *
 *      name     = "site"
 *      services = [ "file, kind=file, disk=/dev/vg/site, mount=xvda:/srv", "net, kind=net, ..." ]
 *      guests   = [ [ "web", "elf=./lighttpd", "args=-D -f /srv/conf", "memory=32" ], ... ]
 *
 * An entry is a string, with keys and values between commas, or a list of strings of
 * one key and value each.  A bare first word is the name.
 *
 * Layer:     tools.
 * Ownership: all of it lives as long as the process.
 * Errors:    what is wrong is said, with file, line and key; exit 125.
 */
#ifndef TOOLS_STRAIT_DESC_H
#define TOOLS_STRAIT_DESC_H

#include "tools/strait/strait.h"

#define DESC_SERVICES_MAX 16
#define DESC_GUESTS_MAX 64
#define DESC_DISKS_MAX 16
#define DESC_DNS_MAX 3
#define DESC_XL_MAX 32
#define DESC_GROUPS_MAX 32

enum desc_kind { DESC_FILE, DESC_NET, DESC_KINDS };
extern const char *const desc_kind_name[DESC_KINDS]; /* "file", "net" */

struct desc_disk {
	const char *path;
	char vdev[8];       /* xvda, xvdb, ... in the order given */
	bool read_only;
};

struct desc_service {
	const char *name;   /* NULL until read */
	int line;
	enum desc_kind kind;
	bool kind_given;
	const char *image;  /* "default", "dom0", or a folder with vmlinuz and initramfs */
	uint32_t memory;    /* MiB */
	uint32_t vcpus;
	struct desc_disk disks[DESC_DISKS_MAX];
	unsigned n_disks;
	struct run_opts o;  /* mounts, ports, net (lwip or host), squash, log_level */
	bool squash_given;
	uint32_t trace;     /* on Xen: 0, 1 headers, 2 with payload */
	uint64_t trace_size; /* bytes; 0: the default */
	uint32_t paused_s;  /* on Xen: paused for longer, its domain is made anew; 0: never */
	const char *bridge, *mac, *interface, *script;
	const char *ip4, *ip6; /* ADDR/PREFIX */
	const char *gateway4, *gateway6;
	const char *dns[DESC_DNS_MAX];
	unsigned n_dns;
	uint32_t mtu, port_min;
	const char *xl[DESC_XL_MAX]; /* more lines of the domain's xl configuration */
	unsigned n_xl;
};

struct desc_guest {
	const char *name;
	int line;
	const char *elf;    /* as given, from the description's folder */
	const char *argv0;
	struct run_opts o;  /* argv, env, uid, gid, cwd, hostname, memory, log, strace */
	uint32_t groups[DESC_GROUPS_MAX];
	unsigned n_groups;
	struct desc_service *uses[DESC_KINDS]; /* NULL: none of that kind */
	const char *xl[DESC_XL_MAX];
	unsigned n_xl;
	/* as written, until the services are known: */
	struct desc_given *given;
};

struct desc {
	const char *file;   /* for messages */
	const char *folder; /* relative paths start here */
	const char *name;
	struct desc_service services[DESC_SERVICES_MAX];
	unsigned n_services;
	struct desc_guest guests[DESC_GUESTS_MAX];
	unsigned n_guests;
};

/* Read @file.  Says what is wrong and exits 125. */
struct desc *desc_read(const char *file);
/* "FILE:LINE: " before it; exit 125. */
void desc_die(const struct desc *d, int line, const char *fmt, ...)
	__attribute__((format(printf, 3, 4), noreturn));

/* desc_keys.c: one key of an entry. */
void desc_service_key(struct desc *d, struct desc_service *s, int line, const char *key,
                      char *value);
void desc_guest_key(struct desc *d, struct desc_guest *g, int line, const char *key,
                    char *value);
/* When all are read: what refers to other entries, defaults, what must fit. */
void desc_service_finish(struct desc *d, struct desc_service *s);
void desc_guest_finish(struct desc *d, struct desc_guest *g);
/* Keys of services and guests, a line each with what they mean, on stdout. */
void desc_help(void);

/* desc_text.c */
/* Cut "KEY=VALUE, KEY='a, b'" at its commas, in place.  Each part is handed to @each;
 * quotes around a whole value are taken off.  NULL, or what is wrong. */
const char *desc_split(char *text, void (*each)(void *arg, char *part), void *arg);
/* Words as a shell takes them apart: blanks, '..', "..", backslash.  NULL-terminated, one
 * block with its texts; NULL when a quote is not closed. */
char **desc_words(const char *text, unsigned *n);
/* The opposite: @word so that desc_words() gives it back. */
char *desc_quote(const char *word);
/* Call @each with every name that is assigned at the top level of an xl.cfg text. */
void desc_top_names(const char *text, void (*each)(void *arg, const char *name, int line),
                    void *arg);

#endif /* TOOLS_STRAIT_DESC_H */
