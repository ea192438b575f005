/* SPDX-License-Identifier: MIT */
/*
 * fileops.h - one worker of fileops: its folder, its descriptors, its steps.
 *
 * A step is made from the seed and its number alone, never from what earlier steps
 * gave: leaving steps out changes none of the others.  What is printed is what two
 * runs must agree in, so no inode numbers, no times of now, no descriptor numbers.
 */
#ifndef TESTS_FAULTS_FILEOPS_H
#define TESTS_FAULTS_FILEOPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>

#define SLOTS    10
#define BUF_SIZE (512u << 10)

struct slot {
	int fd; /* -1: closed */
	dev_t dev;
	ino_t ino; /* as at its opening: must stay */
};

struct worker {
	unsigned nr;
	uint64_t seed, rng;
	unsigned step;
	int base; /* its folder */
	char prefix[64]; /* the same as a path from the current directory: "" or "wN/x/y/" */
	bool recovers; /* leave out what a service's death may change: docs/RECOVERY.md */
	bool alone; /* no other worker: it may change the current directory */
	struct slot slot[SLOTS];
	FILE *out;
	char *buf; /* BUF_SIZE bytes */
};

/* Numbers of this step, one after the other. */
uint32_t rnd(struct worker *w, uint32_t n); /* 0 to n - 1 */

/* Begin the line of a call. */
void say(struct worker *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* End it with the result of a call: a count, or an error's name. */
void result(struct worker *w, long r);
/* The same, with a hash of the @r bytes at @data. */
void result_data(struct worker *w, long r, const void *data);
uint64_t hash_bytes(uint64_t h, const void *data, size_t len);
#define HASH_START 0xcbf29ce484222325ull

/* Fill w->buf with @len bytes that only this step writes. */
void fill(struct worker *w, size_t len);

/* Make what the first steps find. */
void steps_prepare(struct worker *w);
/* Do step w->step. */
void step_run(struct worker *w);

/* Print all that is below @path: types, modes, sizes, links, contents, attributes.
 * Returns 0, or -1 with errno. */
int tree_dump(FILE *out, const char *path);

#endif /* TESTS_FAULTS_FILEOPS_H */
