/* SPDX-License-Identifier: MIT */
/*
 * strait.h - what the parts of the `strait` command share.
 *
 * Layer:     tools.
 * Ownership: strings in struct run_opts are argv's or malloc'd for the life of
 *            the process.
 * Locking:   none; every process here has one thread.
 * Errors:    a function answers 0 or a negative errno, or says a sentence and
 *            leaves with a documented exit code where its comment says so.
 */
#ifndef TOOLS_STRAIT_H
#define TOOLS_STRAIT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#define EXIT_STRAIT 125   /* strait itself failed, or bad usage */
#define EXIT_UNUSABLE 126 /* the program is there but cannot run here */
#define EXIT_NOTFOUND 127 /* the program is not there */

#define MOUNTS_MAX 48 /* each takes a descriptor of one control packet */
#define PORTS_MAX 64
#define NAME_LEN_MAX 63

enum net_mode { NET_LWIP, NET_HOST, NET_NONE };

struct mount_opt {
	const char *source; /* host directory, or the disk's file; NULL: mem */
	char *guest;        /* absolute, normalised */
	bool read_only;
	bool disk;          /* the file system of type @fstype on source is meant */
	bool exclusive, setid;
	const char *vdev;   /* what the disk is called in a service domain: xvda */
	const char *fstype;
	uint64_t size;      /* of a mem; 0: the default */
	int fd;             /* the mount, once made */
};

struct port_opt {
	const char *text;   /* as given */
	struct sockaddr_storage addr;
	socklen_t addr_len;
	uint16_t host, guest;
	bool udp;
	int fd;             /* bound socket, once made */
};

struct run_opts {
	char **argv;        /* program and its arguments, NULL-terminated */
	const char *program; /* where it lies, when argv[0] does not say; else NULL */
	const char *config; /* a description: all guests are of it */
	const char *name;
	const char *join;   /* the guest whose services are used; NULL: our own */
	const char *hostname;
	const char *cwd;
	char **env;         /* NULL-terminated */
	unsigned n_env;
	uint32_t uid, gid;
	enum net_mode net;
	bool net_given;
	struct mount_opt mounts[MOUNTS_MAX];
	unsigned n_mounts;
	struct port_opt ports[PORTS_MAX];
	unsigned n_ports;
	uint64_t memory;
	uint32_t cpus;
	const char *trace;
	bool trace_payload;
	uint32_t log;       /* BOOT_LOG_* */
	uint32_t log_level; /* Configure.log_level */
	bool strace;
	bool no_squash;
	uint32_t recover_s; /* a service that died is waited for so long; 0: not at all */
	bool recover_given, hang_given;
	uint32_t hang_s;    /* a service silent so long is killed; 0: never */
	bool rootless;      /* in a user namespace of our own */
	bool squash;        /* on files, the guest's root is this user: */
	bool squash_given;  /* ... said by a description, not chosen here */
	uint32_t squash_uid, squash_gid;
};

/* One sentence on stderr, with "strait: " before it and a newline after. */
void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* The same, then _exit(@code), after g_at_die() if there is one: the supervisor's,
 * to end what it started. */
extern void (*g_at_die)(void);
void die(int code, const char *fmt, ...)
	__attribute__((format(printf, 2, 3), noreturn));
void *xalloc(size_t size); /* zeroed; dies when there is none */
char *xprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* opts.c: parse `strait run`'s arguments; says and exits on a bad one. */
void opts_parse_run(int argc, char **argv, struct run_opts *o);
void opts_help_run(void);
/* For options that come from elsewhere, in this order.  opts_apply() sets @option (its
 * long name; it must take a value) to @value; @label stands in messages instead of
 * the option.  What it stores points into @value. */
void opts_init(struct run_opts *o);
void opts_apply(struct run_opts *o, const char *option, const char *label, const char *value);
void opts_finish(struct run_opts *o); /* defaults, and what must fit together */
struct mount_opt *opts_add_mount(struct run_opts *o, const char *label, const char *v,
                                 const char *guest);
bool opts_valid_name(const char *name);
/* A decimal number up to @max that ends at one of @ends (or the end). */
bool opts_parse_number(const char **s, uint64_t max, const char *ends, uint64_t *out);
/* 64, 64k, 64m, 64g: bytes; not 0. */
bool opts_parse_size(const char *s, uint64_t *out);

/* prog.c: find and check the program; returns a descriptor open for execveat.
 * Says and exits 126 or 127 when it cannot run. */
int prog_open(const char *name, bool *others_may_exec);
/* True when the ELF open at @fd names an interpreter (is linked dynamically). */
bool prog_is_dynamic(int fd);
/* A sealed copy of the program at @fd, for a user who may not execute the file. */
int prog_copy(int fd);
/* A program of Strait's: what the variable @env names, else the first of @places (from the
 * folder strait lies in; the last is NULL) that is there; NULL: none.  The caller's. */
char *prog_beside(const char *env, const char *const *places);

/* mounts.c: make every mount (o->mounts[].fd), with the empty root and its /etc.
 * Says and exits 125 when one cannot be made. */
struct net_plan;
void mounts_make(struct run_opts *o, const struct net_plan *net);

/* A loop device (its path in @dev) for the image @path, which goes when it is no longer
 * open anywhere; a descriptor that keeps it, or -1 with errno. */
int disk_loop_attach(const char *path, bool read_only, char *dev, size_t size);

/* tracefile.c: create @path (0600) with its header; returns a descriptor opened
 * O_APPEND.  Says and exits 125. */
int tracefile_create(const char *path);

/* names.c: running guests by name: sockets in the abstract namespace, which leave
 * nothing behind. */
int names_bind(const char *name); /* a listener, or -EADDRINUSE, or negative errno */
bool names_peer_allowed(int sock);
/* A connection to guest @name of this user, SOCK_SEQPACKET; or negative errno
 * (-EPERM: another user's process sits on the name). */
int names_connect(const char *name);
/* Does another user run a guest of that name? */
bool names_of_others(const char *name);
int names_cmd_ps(int argc, char **argv);
int names_cmd_strace(int argc, char **argv);
int names_cmd_stop(int argc, char **argv);
int names_cmd_restart(int argc, char **argv);
int names_cmd_swap(int argc, char **argv);
/* What answers to restart and swap begin with; the last is DONE or FAILED. */
#define SWAP_PHASE 'p'
#define SWAP_DONE 'd'
#define SWAP_FAILED 'f'
#define SWAP_BACKEND "backend=" /* in what is asked: "swap netd [backend=host|lwip] [PATH]" */

/* run.c: the supervisor.  Returns the exit status. */
int run_main(int argc, char **argv);
/* One guest, as its instance or joined to another (@o->join).  Of an instance whose
 * services others use too: @named gets a byte and is closed once they can join, and the
 * services stay until end of file on @hold; else both are -1. */
int run_guest(const struct run_opts *o, int named, int hold);

/* run_config.c: `strait run --config FILE`: all guests of a description, hosted. */
int run_config(const char *file);

#endif /* TOOLS_STRAIT_H */
