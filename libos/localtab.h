/* SPDX-License-Identifier: MIT */
/*
 * localtab.h - the table of libos's own names, and what answers them.
 *
 * Every name has one row; a path is first brought to the row's form (localtab.c):
 * /proc/self/x and /proc/thread-self/x become /proc/2/x, a thread's number becomes
 * "*".
 *
 * Layer:   libos.
 * Locking: the table is constant.
 * Errors:  0 or a negative errno.
 */
#ifndef LIBOS_LOCALTAB_H
#define LIBOS_LOCALTAB_H

#include "libos/abi.h"
#include "libos/ofd.h"
#include "libos/text.h"

#define LOCAL_PATH_MAX 320u /* a name of ours with a component of 255 */

struct local_node;

enum local_type {
	L_DIR,   /* entries: the rows below it */
	L_FDS,   /* directory: the open descriptors */
	L_TASKS, /* directory: the threads */
	L_SHM,   /* directory: the memory files */
	L_CHAR,
	L_TEXT,
	L_LINK,  /* to `target` */
	L_MAGIC, /* link whose target is asked for: cwd, root, exe, thread-self */
	L_FD,    /* link to what descriptor `minor` is (also: any /proc/2/fd/N) */
};

struct local_row {
	const char *path;
	enum local_type type;
	uint32_t mode; /* permission bits */
	uint8_t major, minor;
	const char *target;
	/* L_TEXT: what the file says now. */
	void (*text)(struct text *t, const struct local_node *n);
	/* L_TEXT that can be written: what the program wrote, at most 64 bytes. */
	long (*set)(const struct local_node *n, const char *s, size_t len);
};

/* What a path means. */
struct local_node {
	const struct local_row *row; /* NULL: a memory file */
	uint32_t tid;                /* below /proc/2/task/N */
	int fd;                      /* L_FD */
	const char *rest;            /* what follows a link, in the caller's path */
	const char *name;            /* a memory file's, in the caller's path */
};

/* 0, -ENOENT, -ENOTDIR. */
long local_resolve(const char *path, struct local_node *n);

extern const struct local_row g_local_rows[];
extern const unsigned g_local_n_rows;

static inline bool local_is_dir(enum local_type t)
{
	return t <= L_SHM;
}

/* A new description of a directory row, or, with O_PATH, of any. */
long local_dir_open(const char *path, uint32_t flags, struct ofd **out);
/* Of a device. */
long dev_open(const struct local_row *row, int flags, struct ofd **out);
/* Of a text. */
long proc_open(const struct local_node *n, const char *path, int flags,
               struct ofd **out);
/* The names of these for /proc/self/fd/N. */
long local_dir_name(struct ofd *o, char *to, size_t size);
long dev_name(struct ofd *o, char *to, size_t size);
long proc_name(struct ofd *o, char *to, size_t size);

/* proc.c, proctext.c: the texts. */
void proc_cmdline(struct text *t, const struct local_node *n);
void proc_comm(struct text *t, const struct local_node *n);
long proc_comm_set(const struct local_node *n, const char *s, size_t len);
void proc_environ(struct text *t, const struct local_node *n);
void proc_limits(struct text *t, const struct local_node *n);
void proc_maps(struct text *t, const struct local_node *n);
void proc_mountinfo(struct text *t, const struct local_node *n);
void proc_mounts(struct text *t, const struct local_node *n);
void proc_stat(struct text *t, const struct local_node *n);
void proc_statm(struct text *t, const struct local_node *n);
void proc_status(struct text *t, const struct local_node *n);
void proc_cpuinfo(struct text *t, const struct local_node *n);
void proc_filesystems(struct text *t, const struct local_node *n);
void proc_loadavg(struct text *t, const struct local_node *n);
void proc_meminfo(struct text *t, const struct local_node *n);
void proc_system_stat(struct text *t, const struct local_node *n);
void proc_uptime(struct text *t, const struct local_node *n);
void proc_version(struct text *t, const struct local_node *n);
void proc_osrelease(struct text *t, const struct local_node *n);
void proc_boot_id(struct text *t, const struct local_node *n);
void proc_uuid(struct text *t, const struct local_node *n);
void proc_hostname(struct text *t, const struct local_node *n);
void proc_constant(struct text *t, const struct local_node *n); /* row->target */

#endif /* LIBOS_LOCALTAB_H */
