/* SPDX-License-Identifier: MIT */
/*
 * proc.c - descriptions of /proc texts, and the texts about the process.
 *
 * A text is made when the file is opened, and again when it is read from the start.
 */
#include "libos/console.h"
#include "libos/identity.h"
#include "libos/limits.h"
#include "libos/local.h"
#include "libos/localtab.h"
#include "libos/pool.h"
#include "libos/process.h"
#include "libos/vma.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>

#define PROC_FILES_MAX 256u
#define TEXT_SIZE (64u * 1024 - 512)
#define SET_MAX 64u
#define TICKS_PER_NS 10000000u /* USER_HZ is 100 */

struct proc_file {
	struct ofd ofd; /* first */
	const struct local_row *row;
	uint32_t tid;
	size_t len; /* under the position lock */
	char path[LOCAL_PATH_MAX];
	char text[TEXT_SIZE];
};

static struct pool g_proc_files = POOL_INIT(struct proc_file, PROC_FILES_MAX);

static struct proc_file *file_of(struct ofd *o)
{
	return (struct proc_file *)o;
}

static void make_text(struct proc_file *f)
{
	struct local_node n = {.row = f->row, .tid = f->tid};
	struct text t = {.at = f->text, .cap = TEXT_SIZE};

	f->row->text(&t, &n);
	f->len = t.len;
}

static long read_at(struct proc_file *f, struct uio *u, uint64_t off)
{
	size_t n = uio_left(u);
	long r;

	if (off == 0)
		make_text(f);
	if (off >= f->len || n == 0)
		return 0;
	if (n > f->len - off)
		n = f->len - off;
	r = (long)uio_out(u, f->text + off, n);
	return r > 0 ? r : -EFAULT;
}

static long op_read(struct ofd *o, struct uio *u, const uint64_t *pos)
{
	long r = ofd_pos_lock(o);

	if (r < 0)
		return r;
	r = read_at(file_of(o), u, pos ? *pos : o->pos);
	if (r > 0 && !pos)
		o->pos += (uint64_t)r;
	ofd_pos_unlock(o);
	return r;
}

static long op_write(struct ofd *o, struct uio *u, const uint64_t *pos)
{
	struct proc_file *f = file_of(o);
	struct local_node n = {.row = f->row, .tid = f->tid};
	size_t len = uio_left(u) < SET_MAX ? uio_left(u) : SET_MAX;
	size_t whole = uio_left(u);
	char s[SET_MAX];
	long r;

	(void)pos;
	if (!f->row->set)
		return -EINVAL;
	if (uio_in(u, s, len) != len)
		return -EFAULT;
	r = f->row->set(&n, s, len);
	return r < 0 ? r : (long)whole;
}

static long op_seek(struct ofd *o, int64_t off, int whence)
{
	long r = ofd_pos_lock(o);

	if (r < 0)
		return r;
	if (whence == 1)
		off += (int64_t)o->pos;
	if (whence > 1 || off < 0)
		r = -EINVAL; /* the end is not known */
	else
		o->pos = (uint64_t)off;
	ofd_pos_unlock(o);
	return r < 0 ? r : off;
}

static long op_stat(struct ofd *o, struct kstat *st)
{
	return local_stat(file_of(o)->path, st);
}

static void op_release(struct ofd *o)
{
	pool_put(&g_proc_files, o);
}

static const struct ofd_ops g_proc_ops = {
        .kind = OFD_PROC,
        .read = op_read,
        .write = op_write,
        .seek = op_seek,
        .stat = op_stat,
        .release = op_release,
};

long proc_open(const struct local_node *n, const char *path, int flags,
               struct ofd **out)
{
	struct proc_file *f;

	if ((flags & ABI_ACCMODE) != O_RDONLY && !n->row->set)
		return -EACCES;
	f = pool_get_dirty(&g_proc_files);
	if (!f)
		return -ENFILE;
	f->row = n->row;
	f->tid = n->tid;
	f->len = 0;
	memcpy(f->path, path, strlen(path) + 1);
	ofd_init(&f->ofd, &g_proc_ops, (uint32_t)flags & (ABI_ACCMODE | O_NONBLOCK));
	*out = &f->ofd;
	return 0;
}

long proc_name(struct ofd *o, char *to, size_t size)
{
	struct text t = {.at = to, .cap = size};

	text_put(&t, file_of(o)->path);
	return (long)t.len;
}

/* ---- the process ---- */

void proc_cmdline(struct text *t, const struct local_node *n)
{
	(void)n;
	for (int i = 0; i < g_config.argc; i++)
		text_bytes(t, g_config.argv[i], strlen(g_config.argv[i]) + 1);
}

void proc_environ(struct text *t, const struct local_node *n)
{
	(void)n;
	for (char **e = g_config.envp; e && *e; e++)
		text_bytes(t, *e, strlen(*e) + 1);
}

/* The thread a file is about: the one named, or the first one. */
static struct thread *thread_locked(const struct local_node *n)
{
	return thread_find_locked(n->tid ? n->tid : PROCESS_PID);
}

static void comm_of(const struct local_node *n, char to[16])
{
	const struct thread *th;

	memset(to, 0, 16);
	lock_take(&g_thread_lock);
	th = thread_locked(n);
	if (th)
		memcpy(to, th->comm, 15);
	lock_drop(&g_thread_lock);
}

void proc_comm(struct text *t, const struct local_node *n)
{
	char comm[16];

	comm_of(n, comm);
	text_fmt(t, "%s\n", comm);
}

long proc_comm_set(const struct local_node *n, const char *s, size_t len)
{
	struct thread *th;

	if (len > 15)
		len = 15;
	lock_take(&g_thread_lock);
	th = thread_locked(n);
	if (th) {
		memset(th->comm, 0, sizeof(th->comm));
		memcpy(th->comm, s, len);
	}
	lock_drop(&g_thread_lock);
	return th ? 0 : -ESRCH;
}

static uint64_t memory_bytes(void)
{
	uint64_t n;

	vma_lock();
	n = vma_total();
	vma_unlock();
	return n;
}

static uint64_t cpu_ticks(const struct local_node *n)
{
	uint32_t host_id = 0;
	const struct thread *th;

	if (!n->tid)
		return plat_process_cpu_ns() / TICKS_PER_NS;
	lock_take(&g_thread_lock);
	th = thread_locked(n);
	if (th)
		host_id = th->host_id;
	lock_drop(&g_thread_lock);
	return th ? plat_thread_cpu_ns(host_id) / TICKS_PER_NS : 0;
}

void proc_stat(struct text *t, const struct local_node *n)
{
	uint32_t id = n->tid ? n->tid : PROCESS_PID;
	uint64_t rss = plat_memory_used() / 4096;
	char comm[16];

	comm_of(n, comm);
	text_fmt(t, "%u (%s) R 0 %u %u %u %d 0 0 0 0 0 %lu 0 0 0 20 0 %u 0 0 %lu %lu ",
	         id, comm, PROCESS_PID, PROCESS_PID,
	         console_is_tty(PLAT_CONSOLE_OUT) ? 0x8800u : 0u,
	         console_is_tty(PLAT_CONSOLE_OUT) ? (int)PROCESS_PID : -1, cpu_ticks(n),
	         thread_count(), memory_bytes(), rss);
	/* rsslim .. : addresses and signal sets are not told */
	text_put(t, "18446744073709551615 0 0 0 0 0 0 0 0 0 0 0 0 17 ");
	text_fmt(t, "%u 0 0 0 0 0 0 0 0 0 0 0 0 0\n", plat_cpu());
}

void proc_statm(struct text *t, const struct local_node *n)
{
	uint64_t rss = plat_memory_used() / 4096;

	(void)n;
	text_fmt(t, "%lu %lu 0 0 0 %lu 0\n", memory_bytes() / 4096, rss, rss);
}

void proc_status(struct text *t, const struct local_node *n)
{
	const struct cred *c = cred_current();
	uint64_t size = memory_bytes() / 1024, rss = plat_memory_used() / 1024, locked;
	char comm[16];

	vma_lock();
	locked = vma_locked_bytes() / 1024;
	vma_unlock();
	comm_of(n, comm);
	text_fmt(t, "Name:\t%s\nState:\tR (running)\nTgid:\t%u\nNgid:\t0\nPid:\t%u\n",
	         comm, PROCESS_PID, n->tid ? n->tid : PROCESS_PID);
	text_fmt(t, "PPid:\t0\nTracerPid:\t0\nUid:\t%u\t%u\t%u\t%u\n", c->uid, c->euid,
	         c->suid, c->fsuid);
	text_fmt(t, "Gid:\t%u\t%u\t%u\t%u\nFDSize:\t%u\nGroups:\t", c->gid, c->egid,
	         c->sgid, c->fsgid, fd_limit());
	for (uint32_t i = 0; i < c->n_groups; i++)
		text_fmt(t, "%u ", c->groups[i]);
	text_fmt(t, "\nVmPeak:\t%8lu kB\nVmSize:\t%8lu kB\nVmLck:\t%8lu kB\n", size,
	         size, locked);
	text_fmt(t, "VmHWM:\t%8lu kB\nVmRSS:\t%8lu kB\nVmData:\t%8lu kB\nVmSwap:\t%8u kB\n",
	         rss, rss, size, 0u);
	text_fmt(t, "Threads:\t%u\nNoNewPrivs:\t%u\nSeccomp:\t0\n", thread_count(),
	         process_no_new_privs());
}

struct limit_name {
	const char *name, *unit;
};

static const struct limit_name g_limit_names[N_LIMITS] = {
        [LIMIT_CPU] = {"Max cpu time", "seconds"},
        [LIMIT_FSIZE] = {"Max file size", "bytes"},
        [LIMIT_DATA] = {"Max data size", "bytes"},
        [LIMIT_STACK] = {"Max stack size", "bytes"},
        [LIMIT_CORE] = {"Max core file size", "bytes"},
        [LIMIT_RSS] = {"Max resident set", "bytes"},
        [LIMIT_NPROC] = {"Max processes", "processes"},
        [LIMIT_NOFILE] = {"Max open files", "files"},
        [LIMIT_MEMLOCK] = {"Max locked memory", "bytes"},
        [LIMIT_AS] = {"Max address space", "bytes"},
        [LIMIT_LOCKS] = {"Max file locks", "locks"},
        [LIMIT_SIGPENDING] = {"Max pending signals", "signals"},
        [LIMIT_MSGQUEUE] = {"Max msgqueue size", "bytes"},
        [LIMIT_NICE] = {"Max nice priority", ""},
        [LIMIT_RTPRIO] = {"Max realtime priority", ""},
        [LIMIT_RTTIME] = {"Max realtime timeout", "us"},
};

/* limits.c; @new NULL: only tells. */
long strait_sys_prlimit64(long pid, long which, const void *new, void *old);

static void put_limit(struct text *t, uint64_t n)
{
	char buf[24];
	struct text d = {.at = buf, .cap = sizeof(buf) - 1};

	if (n == LIMIT_INFINITY)
		text_put(&d, "unlimited");
	else
		text_dec(&d, n);
	buf[d.len] = '\0';
	text_fmt(t, "%-20s ", buf);
}

void proc_limits(struct text *t, const struct local_node *n)
{
	(void)n;
	text_fmt(t, "%-25s %-20s %-20s %-10s\n", "Limit", "Soft Limit", "Hard Limit",
	         "Units");
	for (int i = 0; i < N_LIMITS; i++) {
		uint64_t pair[2] = {0, 0};

		if (strait_sys_prlimit64(0, i, NULL, pair) != 0)
			continue;
		text_fmt(t, "%-25s ", g_limit_names[i].name);
		put_limit(t, pair[0]);
		put_limit(t, pair[1]);
		text_fmt(t, "%-10s\n", g_limit_names[i].unit);
	}
}

void proc_maps(struct text *t, const struct local_node *n)
{
	const struct vma *v;

	(void)n;
	vma_lock();
	for (v = vma_next(0); v; v = vma_next(v->end)) {
		text_fmt(t, "%08lx-%08lx %c%c%c%c 00000000 00:00 0 %s\n", v->start,
		         v->end, v->prot & PROT_READ ? 'r' : '-',
		         v->prot & PROT_WRITE ? 'w' : '-',
		         v->prot & PROT_EXEC ? 'x' : '-',
		         v->flags & VMA_SHARED ? 's' : 'p',
		         v->flags & VMA_STACK ? "                         [stack]"
		                              : "");
	}
	vma_unlock();
}

/* The root is fsd's, and not there without it. */
static const struct {
	const char *dir, *type, *from, *options;
	unsigned parent;
} g_mounts[] = {
        {"/", "fsd", "fsd", "rw,relatime", 0},
        {"/dev", "tmpfs", "strait", "rw,nosuid", 1},
        {"/dev/shm", "tmpfs", "strait", "rw,nosuid,nodev", 2},
        {"/proc", "proc", "proc", "rw,nosuid,nodev,noexec", 1},
};

#define N_MOUNTS (sizeof(g_mounts) / sizeof(g_mounts[0]))

void proc_mountinfo(struct text *t, const struct local_node *n)
{
	(void)n;
	for (unsigned i = !g_config.file.ctl; i < N_MOUNTS; i++)
		text_fmt(t, "%u %u 0:%u / %s %s - %s %s rw\n", i + 1, g_mounts[i].parent, i + 1,
		         g_mounts[i].dir, g_mounts[i].options, g_mounts[i].type,
		         g_mounts[i].from);
}

void proc_mounts(struct text *t, const struct local_node *n)
{
	(void)n;
	for (unsigned i = !g_config.file.ctl; i < N_MOUNTS; i++)
		text_fmt(t, "%s %s %s %s 0 0\n", g_mounts[i].from, g_mounts[i].dir,
		         g_mounts[i].type, g_mounts[i].options);
}
