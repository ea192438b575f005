/* SPDX-License-Identifier: MIT */
/*
 * localtab.c - which names libos serves itself, and finding one.
 */
#include "libos/localtab.h"

#include "libos/process.h"
#include "libos/text.h"

#include <errno.h>
#include <string.h>

_Static_assert(PROCESS_PID == 2, "the rows say /proc/2");
#define PID_DIR "/proc/2"

#define DIR_ROW(path_, mode_)                                                          \
	{                                                                              \
		.path = (path_), .type = L_DIR, .mode = (mode_)                        \
	}
#define CHAR_ROW(path_, major_, minor_)                                                \
	{                                                                              \
		.path = (path_), .type = L_CHAR, .mode = 0666, .major = (major_),      \
		.minor = (minor_)                                                      \
	}
#define FD_ROW(path_, n_)                                                              \
	{                                                                              \
		.path = (path_), .type = L_FD, .mode = 0777, .minor = (n_)             \
	}
#define LINK_ROW(path_, target_)                                                       \
	{                                                                              \
		.path = (path_), .type = L_LINK, .mode = 0777, .target = (target_)     \
	}
#define MAGIC_ROW(path_)                                                               \
	{                                                                              \
		.path = (path_), .type = L_MAGIC, .mode = 0777                         \
	}
#define TEXT_ROW(path_, fn_)                                                           \
	{                                                                              \
		.path = (path_), .type = L_TEXT, .mode = 0444, .text = (fn_)           \
	}
#define CONST_ROW(path_, say_)                                                         \
	{                                                                              \
		.path = (path_), .type = L_TEXT, .mode = 0444, .text = proc_constant,  \
		.target = (say_)                                                       \
	}

const struct local_row g_local_rows[] = {
        DIR_ROW("/dev", 0755),
        CHAR_ROW("/dev/null", 1, 3),
        CHAR_ROW("/dev/zero", 1, 5),
        CHAR_ROW("/dev/full", 1, 7),
        CHAR_ROW("/dev/random", 1, 8),
        CHAR_ROW("/dev/urandom", 1, 9),
        CHAR_ROW("/dev/tty", 5, 0),
        CHAR_ROW("/dev/console", 5, 1),
        LINK_ROW("/dev/fd", "/proc/self/fd"),
        FD_ROW("/dev/stdin", 0),
        FD_ROW("/dev/stdout", 1),
        FD_ROW("/dev/stderr", 2),
        {.path = "/dev/shm", .type = L_SHM, .mode = 01777},

        DIR_ROW("/proc", 0555),
        LINK_ROW("/proc/self", PID_DIR),
        MAGIC_ROW("/proc/thread-self"),
        TEXT_ROW("/proc/cpuinfo", proc_cpuinfo),
        TEXT_ROW("/proc/filesystems", proc_filesystems),
        TEXT_ROW("/proc/loadavg", proc_loadavg),
        TEXT_ROW("/proc/meminfo", proc_meminfo),
        LINK_ROW("/proc/mounts", "/proc/self/mounts"),
        TEXT_ROW("/proc/stat", proc_system_stat),
        TEXT_ROW("/proc/uptime", proc_uptime),
        TEXT_ROW("/proc/version", proc_version),

        DIR_ROW("/proc/sys", 0555),
        DIR_ROW("/proc/sys/kernel", 0555),
        TEXT_ROW("/proc/sys/kernel/hostname", proc_hostname),
        CONST_ROW("/proc/sys/kernel/ngroups_max", "65536\n"),
        TEXT_ROW("/proc/sys/kernel/osrelease", proc_osrelease),
        CONST_ROW("/proc/sys/kernel/ostype", "Linux\n"),
        CONST_ROW("/proc/sys/kernel/pid_max", "4194304\n"),
        DIR_ROW("/proc/sys/kernel/random", 0555),
        TEXT_ROW("/proc/sys/kernel/random/boot_id", proc_boot_id),
        TEXT_ROW("/proc/sys/kernel/random/uuid", proc_uuid),
        DIR_ROW("/proc/sys/fs", 0555),
        DIR_ROW("/proc/sys/fs/inotify", 0555),
        CONST_ROW("/proc/sys/fs/inotify/max_user_instances", "128\n"),
        CONST_ROW("/proc/sys/fs/inotify/max_user_watches", "8192\n"),
        CONST_ROW("/proc/sys/fs/nr_open", "65536\n"),
        CONST_ROW("/proc/sys/fs/pipe-max-size", "1048576\n"),
        DIR_ROW("/proc/sys/net", 0555),
        DIR_ROW("/proc/sys/net/core", 0555),
        CONST_ROW("/proc/sys/net/core/somaxconn", "4096\n"),
        DIR_ROW("/proc/sys/vm", 0555),
        CONST_ROW("/proc/sys/vm/max_map_count", "65530\n"),
        CONST_ROW("/proc/sys/vm/overcommit_memory", "1\n"),

        DIR_ROW(PID_DIR, 0555),
        CONST_ROW(PID_DIR "/cgroup", "0::/\n"),
        TEXT_ROW(PID_DIR "/cmdline", proc_cmdline),
        {.path = PID_DIR "/comm",
         .type = L_TEXT,
         .mode = 0644,
         .text = proc_comm,
         .set = proc_comm_set},
        MAGIC_ROW(PID_DIR "/cwd"),
        {.path = PID_DIR "/environ",
         .type = L_TEXT,
         .mode = 0400,
         .text = proc_environ},
        MAGIC_ROW(PID_DIR "/exe"),
        {.path = PID_DIR "/fd", .type = L_FDS, .mode = 0500},
        TEXT_ROW(PID_DIR "/limits", proc_limits),
        TEXT_ROW(PID_DIR "/maps", proc_maps),
        TEXT_ROW(PID_DIR "/mountinfo", proc_mountinfo),
        TEXT_ROW(PID_DIR "/mounts", proc_mounts),
        MAGIC_ROW(PID_DIR "/root"),
        TEXT_ROW(PID_DIR "/stat", proc_stat),
        TEXT_ROW(PID_DIR "/statm", proc_statm),
        TEXT_ROW(PID_DIR "/status", proc_status),
        {.path = PID_DIR "/task", .type = L_TASKS, .mode = 0555},
        DIR_ROW(PID_DIR "/task/*", 0555),
        {.path = PID_DIR "/task/*/comm",
         .type = L_TEXT,
         .mode = 0644,
         .text = proc_comm,
         .set = proc_comm_set},
        TEXT_ROW(PID_DIR "/task/*/stat", proc_stat),
        TEXT_ROW(PID_DIR "/task/*/status", proc_status),

        /* What every number below /proc/2/fd is; not listed. */
        {.path = "", .type = L_FD, .mode = 0700},
};
const unsigned g_local_n_rows = sizeof(g_local_rows) / sizeof(g_local_rows[0]);

static const struct local_row *fd_row(void)
{
	return &g_local_rows[g_local_n_rows - 1];
}

/* If @path is @dir or below it: what follows @dir, "" or "/...". */
static const char *below(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	if (strncmp(path, dir, n) != 0 || (path[n] != '\0' && path[n] != '/'))
		return NULL;
	return path + n;
}

/* A decimal number at the front of a component; what follows it, or NULL. */
static const char *number(const char *s, uint32_t *out)
{
	uint32_t n = 0;
	const char *p = s;

	for (; *p >= '0' && *p <= '9' && p - s < 9; p++)
		n = n * 10 + (uint32_t)(*p - '0');
	if (p == s || (*p != '\0' && *p != '/') || (*s == '0' && p - s > 1))
		return NULL;
	*out = n;
	return p;
}

static bool thread_lives(uint32_t tid)
{
	bool lives;

	lock_take(&g_thread_lock);
	lives = thread_find_locked(tid) != NULL;
	lock_drop(&g_thread_lock);
	return lives;
}

/* The row of exactly @path; or, if something that is no directory stands on the way,
 * its row with *@rest behind it. */
static const struct local_row *find_row(const char *path, const char **rest)
{
	for (unsigned i = 0; i + 1 < g_local_n_rows; i++) {
		const struct local_row *r = &g_local_rows[i];
		const char *after = below(path, r->path);

		if (after && (*after == '\0' || !local_is_dir(r->type))) {
			*rest = after;
			return r;
		}
	}
	return NULL;
}

static long resolve_shm(const char *name, struct local_node *n)
{
	if (strchr(name, '/'))
		return -ENOTDIR;
	n->name = name;
	return 0;
}

/* @path in the form of the rows; *@tail: the part of the caller's path that its
 * end, from *@own on, is a copy of. */
struct canonical {
	char path[LOCAL_PATH_MAX];
	size_t own;
	const char *tail;
};

static long canonical(struct canonical *c, const char *head, const char *tail)
{
	struct text t = {.at = c->path, .cap = sizeof(c->path) - 1};

	text_put(&t, head);
	c->own = t.len;
	c->tail = tail;
	text_put(&t, tail);
	if (t.len == t.cap)
		return -ENOENT;
	c->path[t.len] = '\0';
	return 0;
}

/* Below /proc/2: descriptors and threads have numbers. */
static long resolve_process(const char *tail, struct local_node *n, struct canonical *c)
{
	const char *after = below(tail, "/fd");
	uint32_t num;

	if (after && *after) {
		after = number(after + 1, &num);
		if (!after)
			return -ENOENT;
		n->row = fd_row();
		n->fd = (int)num;
		n->rest = after;
		return 1;
	}
	after = below(tail, "/task");
	if (after && *after) {
		after = number(after + 1, &n->tid);
		if (!after || !thread_lives(n->tid))
			return -ENOENT;
		return canonical(c, PID_DIR "/task/*", after);
	}
	return canonical(c, PID_DIR, tail);
}

/* Bring @path to the form of the rows.  1: @n is complete already. */
static long normalize(const char *path, struct local_node *n, struct canonical *c)
{
	const char *tail = below(path, "/dev/fd");
	uint32_t pid;

	if (tail && *tail)
		return resolve_process(tail - 3, n, c); /* "/fd/N" */
	tail = below(path, "/proc/self");
	if (tail && *tail)
		return resolve_process(tail, n, c);
	tail = below(path, "/proc/thread-self");
	if (tail && *tail) {
		n->tid = self()->tid;
		return canonical(c, PID_DIR "/task/*", tail);
	}
	tail = below(path, "/proc");
	if (tail && *tail && (tail = number(tail + 1, &pid)) != NULL) {
		if (pid != PROCESS_PID && !thread_lives(pid))
			return -ENOENT;
		return resolve_process(tail, n, c);
	}
	return canonical(c, "", path);
}

long local_resolve(const char *path, struct local_node *n)
{
	const char *after = below(path, "/dev/shm"), *rest;
	struct canonical c;
	long r;

	*n = (struct local_node){0};
	if (after && *after)
		return resolve_shm(after + 1, n);
	r = normalize(path, n, &c);
	if (r != 0)
		return r < 0 ? r : 0;
	n->row = find_row(c.path, &rest);
	if (!n->row)
		return -ENOENT;
	if (*rest && n->row->type < L_LINK)
		return -ENOTDIR;
	n->rest = c.tail + ((size_t)(rest - c.path) - c.own);
	if (n->row->type == L_FD)
		n->fd = n->row->minor;
	return 0;
}
