/* SPDX-License-Identifier: MIT */
#include "tests/unit/fsd_instances.h"

#include "tests/unit/suite.h"

#include "services/fsd/be_dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

struct kept *g;
struct client *c;
bool g_root;
static char g_dir[64];
static const char *g_top = "/tmp";

/* A path of ours: used as ourselves. */
const char *at(const char *name)
{
	static char path[4][256];
	static unsigned next;
	char *p = path[next++ % 4];

	EQ(cred_use(NULL), 0);
	snprintf(p, sizeof path[0], "%s/%s", g_dir, name);
	return p;
}

void put(const char *name, const char *text)
{
	const int fd = open(at(name), O_WRONLY | O_CREAT | O_TRUNC, 0666);

	EQ(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

bool holds(const char *name, const char *text)
{
	char buf[256];
	const int fd = open(at(name), O_RDONLY);
	const ssize_t n = fd < 0 ? -1 : read(fd, buf, sizeof buf);

	if (fd >= 0)
		close(fd);
	return n == (ssize_t)strlen(text) && memcmp(buf, text, (size_t)n) == 0;
}

bool there(const char *name)
{
	struct stat st;

	return lstat(at(name), &st) == 0;
}

/* How many files without a name are kept. */
int orphans(void)
{
	struct dirent *e, *f;
	DIR *d = opendir(at(ORPHANS_DIR)), *s;
	int n = 0;

	while (d && (e = readdir(d))) {
		char sub[300];

		if (e->d_name[0] == '.')
			continue;
		snprintf(sub, sizeof sub, "%s/%s", at(ORPHANS_DIR), e->d_name);
		s = opendir(sub);
		while (s && (f = readdir(s)))
			n += f->d_name[0] != '.';
		if (s)
			closedir(s);
	}
	if (d)
		closedir(d);
	return n;
}

/* As user 1000 where we may choose. */
void begin_epoch(uint32_t epoch)
{
	g_bench_fault = (struct bench_fault){.die = DIE_NOT};
	bench_start_in(g_dir, epoch, false);
	if (g_root)
		bench_squash(65534, 65534);
	if (epoch > 1)
		serve_recover();
	c = client_new(g_root ? 1000 : 0, g_root ? 1000 : 0);
}

void end_epoch(void)
{
	serve_recovered(true);
	client_free(c);
	(void)cred_use(NULL);
	CU_ASSERT(bench_stop());
}

void keep(const char *path, uint32_t flags, uint32_t handle)
{
	const File__OpenRep *rep;

	EQ(x_open(c, 0, path, flags, 0600, handle), 0);
	rep = (File__OpenRep *)c->rep.msg;
	g->open[g->n_open].handle = handle;
	g->open[g->n_open].flags = flags;
	g->open[g->n_open].type = rep->attr->mode & S_IFMT;
	g->open[g->n_open].id_len = rep->file_id.len;
	memcpy(g->open[g->n_open].id, rep->file_id.data, rep->file_id.len);
	EQ(rep->token.len, 16);
	memcpy(g->open[g->n_open].token, rep->token.data, 16);
	snprintf(g->open[g->n_open++].path, sizeof g->open[0].path, "%s", path);
}

File__ReopenReq reopen_req(unsigned i)
{
	File__ReopenReq q = FILE__REOPEN_REQ__INIT;

	q.handle = g->open[i].handle;
	q.flags = g->open[i].flags;
	q.type = g->open[i].type;
	q.file_id = (ProtobufCBinaryData){g->open[i].id_len, g->open[i].id};
	q.token = (ProtobufCBinaryData){16, g->open[i].token};
	q.path = bytes(g->open[i].path);
	return q;
}

int reopen_as(File__ReopenReq *q)
{
	return call(c, M_REOPEN, &q->base, NULL, 0);
}

int reopen(unsigned i)
{
	File__ReopenReq q = reopen_req(i);

	return reopen_as(&q);
}

/* In a process of its own: an instance that ends as told, if it comes to it. */
pid_t instance_begin(uint32_t epoch, void (*setup)(void), int (*deed)(void),
                            enum bench_die die)
{
	const unsigned failed = CU_get_number_of_failures();
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		close(g_dir_proc); /* the parent's /proc/self */
		g_dir_proc = -1;
		begin_epoch(epoch);
		if (epoch == 1 && setup)
			setup();
		for (unsigned i = 0; epoch > 1 && i < g->n_open; i++)
			EQ(reopen(i), 0);
		g_bench_fault = (struct bench_fault){
		        .journal = &g->journal, .die = die, .replay = epoch > 1};
		g->err = deed ? deed() : 0;
		fflush(NULL);
		_exit(CU_get_number_of_failures() > failed ? 1 : BENCH_DIED);
	}
	return pid;
}

void instance_end(pid_t pid)
{
	int status;

	EQ(waitpid(pid, &status, 0), pid);
	EQ(WIFEXITED(status) ? WEXITSTATUS(status) : -1, BENCH_DIED);
}

void instance(uint32_t epoch, void (*setup)(void), int (*deed)(void),
                     enum bench_die die)
{
	instance_end(instance_begin(epoch, setup, deed, die));
}

void wipe(void)
{
	char cmd[256];

	snprintf(cmd, sizeof cmd, "rm -rf '%s'/* '%s'/.strait*", g_dir, g_dir);
	EQ(cred_use(NULL), 0);
	EQ(system(cmd), 0);
	memset(g, 0, sizeof *g);
}

int mkdir_d(void)
{
	return x_make(c, M_MKDIR, 0, "d", 0755, NULL);
}

int mknod_p(void)
{
	return x_make(c, M_MKNOD, 0, "p", S_IFIFO | 0600, NULL);
}

int symlink_l(void)
{
	return x_make(c, M_SYMLINK, 0, "l", 0, "f");
}

void make_f(void)
{
	put("f", "text");
	if (g_root)
		EQ(chown(at("f"), 1000, 1000), 0);
}

int unlink_f(void)
{
	return x_path(c, M_UNLINK, 0, "f", 0, 0);
}

void make_d(void)
{
	EQ(x_make(c, M_MKDIR, 0, "d", 0777, NULL), 0);
}

int rmdir_d(void)
{
	return x_path(c, M_UNLINK, 0, "d", AT_REMOVEDIR, 0);
}

int rename_f(void)
{
	return x_two(c, M_RENAME, 0, "f", 0, "t", 0);
}

void make_f_t(void)
{
	make_f();
	put("t", "other");
}

void open_f(void)
{
	make_f();
	keep("f", O_RDWR, 1);
}

void has(const char *text, unsigned nlink)
{
	File__Attr a;

	EQ(x_read(c, 1, 0, 100), strlen(text));
	CU_ASSERT(memcmp(c->rep.payload, text, strlen(text)) == 0);
	EQ(x_stat(c, 1, "", 0, &a), 0);
	EQ(a.nlink, nlink);
}

int nothing(void)
{
	return 0;
}

void open_log(void)
{
	put("log", "xx");
	EQ(chmod(at("log"), 0666), 0);
	keep("log", O_WRONLY | O_APPEND, 1);
}

int append_hello(void)
{
	const int r = x_append(c, 1, "hello", 5);

	if (r >= 0)
		g->value = ((File__WriteRep *)c->rep.msg)->offset;
	return r;
}

int replay(int (*deed)(void))
{
	g_bench_fault = (struct bench_fault){.journal = &g->journal, .replay = true};
	const int r = deed();

	g_bench_fault = (struct bench_fault){.die = DIE_NOT};
	return r;
}

static int begin(void)
{
	g = mmap(NULL, sizeof *g, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	g_root = geteuid() == 0;
	umask(0);
	snprintf(g_dir, sizeof g_dir, "%s/fsd-recover-XXXXXX", g_top);
	return g != MAP_FAILED && mkdtemp(g_dir) && chmod(g_dir, 0777) == 0 ? 0 : -1;
}

static int end(void)
{
	char cmd[256];

	snprintf(cmd, sizeof cmd, "rm -rf '%s'", g_dir);
	return system(cmd);
}

int instances_suite(const char *name, CU_TestInfo *tests, int argc, char **argv)
{
	if (argc > 1)
		g_top = argv[1];
#ifdef __SANITIZE_THREAD__
	fprintf(stderr, "a forked process has no threads under this sanitizer: skipped\n");
	return 77;
#endif
	return suite_run(name, begin, end, tests);
}
