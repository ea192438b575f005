/* SPDX-License-Identifier: MIT */
/*
 * child.h - start a process that is locked in.
 *
 * Every child of the supervisor has namespaces of its own, a root directory with
 * nothing in it (or only what the dynamic linker needs), no descriptor but those
 * listed, no capability but those listed, no_new_privs, and dies with its parent.
 *
 * Layer:     tools.
 * Ownership: the spec and its descriptors are the caller's.
 * Errors:    what fails in the child is said there in a sentence; it then leaves
 *            with 125.
 */
#ifndef TOOLS_STRAIT_CHILD_H
#define TOOLS_STRAIT_CHILD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define CHILD_FDS_MAX 24
#define CHILD_FIRST_FD 3

enum child_root {
	ROOT_HOST,  /* left alone */
	ROOT_EMPTY, /* nothing, not writable */
	ROOT_LIBS,  /* the machine's /usr and /lib, not writable: to link a service */
};

enum child_group {
	GROUP_SAME,    /* the supervisor's: keys of the terminal reach it */
	GROUP_OWN,     /* a process group of its own */
	GROUP_SESSION, /* a session of its own */
};

struct child_spec {
	const char *what;    /* for messages */
	uint64_t namespaces; /* CLONE_NEW* */
	const int *netns;    /* enter this network namespace; NULL: do not */
	pid_t *init;         /* not the first of its process namespace: that one waits to be
	                      * killed, its pid goes here, and all others die with it; NULL */
	enum child_root root;
	bool proc;           /* /proc of its own process namespace */
	const char *const *devices; /* files below /dev to have in it (as root only); NULL */
	enum child_group group;
	const char *hostname; /* NULL: "strait" */
	bool null_stdio;     /* 0 and 1 are /dev/null */
	uint64_t caps;       /* capabilities to keep, a bit each */
	uint32_t uid, gid;   /* to become, when set_ids */
	bool set_ids;
	bool plain;          /* debugging: no locking in but namespaces */
	uint32_t cpus;       /* use only so many; 0: all */
	int fds[CHILD_FDS_MAX]; /* become CHILD_FIRST_FD and up; all others are closed */
	int n_fds;
	int gate;            /* wait for a byte before exec; -1: do not */
	int exec_fd;         /* the program, or -1: */
	char **argv, **envp;
	int (*fn)(void *arg); /* ... run this and leave with its answer */
	void *arg;
};

/* Start it.  Returns the pid or negative errno; then *init is 0, or to be killed. */
pid_t child_start(const struct child_spec *s) __attribute__((warn_unused_result));

/* The steps, for a child that must do other things between them.  They say what
 * fails and leave with 125. */
void child_lock_files(const struct child_spec *s); /* root directory, proc */
void child_lock_rights(const struct child_spec *s); /* limits, ids, capabilities */

#endif /* TOOLS_STRAIT_CHILD_H */
