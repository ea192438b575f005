/* SPDX-License-Identifier: MIT */
/*
 * fsd_instances.h - instances of fsd, one after the other, and what a guest keeps
 * while they come and go.
 *
 * An instance is a process that ends by _exit(); what it noted of its calls is in
 * memory that outlives it.  The last one is the test's own process.
 */
#ifndef TESTS_UNIT_FSD_INSTANCES_H
#define TESTS_UNIT_FSD_INSTANCES_H

#include "tests/unit/fsd_bench.h"

#include <sys/stat.h>

#define KEPT_MAX 4

/* What the guest keeps while instances come and go. */
struct kept {
	struct journal_entry journal;
	struct {
		uint32_t handle, flags;
		mode_t type;
		size_t id_len;
		uint8_t id[FILE_ID_MAX], token[16];
		char path[64];
	} open[KEPT_MAX];
	unsigned n_open;
	int err;
	volatile uint64_t value;
};

extern struct kept *g;
extern struct client *c; /* the guest, of the instance that runs */
extern bool g_root;      /* then the guest is user 1000 */

/* main() of a program with these tests; its argument: where the folder is made. */
int instances_suite(const char *name, CU_TestInfo *tests, int argc, char **argv);

/* ---- the folder ---- */
/* A path of ours: used as ourselves. */
const char *at(const char *name);
void put(const char *name, const char *text);
bool holds(const char *name, const char *text);
bool there(const char *name);
int orphans(void); /* files without a name that are kept */
void wipe(void); /* and what the guest keeps */

/* ---- instances ---- */
void begin_epoch(uint32_t epoch);
void end_epoch(void);
/* In a process of its own: @setup (in the first), else what is kept is opened again; then
 * @deed, in which it ends as told, if it comes to it. */
pid_t instance_begin(uint32_t epoch, void (*setup)(void), int (*deed)(void),
                     enum bench_die die);
void instance_end(pid_t pid);
void instance(uint32_t epoch, void (*setup)(void), int (*deed)(void),
              enum bench_die die);
/* A call that was in flight in the instance before. */
int replay(int (*deed)(void));

/* ---- what the guest has open ---- */
void keep(const char *path, uint32_t flags, uint32_t handle);
File__ReopenReq reopen_req(unsigned i);
int reopen_as(File__ReopenReq *q);
int reopen(unsigned i);

/* ---- things to do ---- */
int nothing(void);
int mkdir_d(void);
int mknod_p(void);
int symlink_l(void);
int unlink_f(void);
int rmdir_d(void);
int rename_f(void);
int append_hello(void); /* to handle 1 */
void make_f(void);
void make_d(void);
void make_f_t(void);
void open_f(void);
void open_log(void);
/* Handle 1 reads as @text. */
void has(const char *text, unsigned nlink);

#endif /* TESTS_UNIT_FSD_INSTANCES_H */
