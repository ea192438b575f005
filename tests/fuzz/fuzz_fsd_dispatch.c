/* SPDX-License-Identifier: MIT */
/*
 * A hostile guest's calls to fsd: any method, any field, in any order, some in
 * flight together.  The input is a program: each step names a method and fills its
 * message field by field, from values that mean something or from raw bytes.
 */
#include "tests/unit/fsd_bench.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STEPS_MAX 64
#define IN_FLIGHT 4

struct input {
	const uint8_t *p;
	size_t left;
};

static uint8_t byte(struct input *in)
{
	if (in->left == 0)
		return 0;
	in->left--;
	return *in->p++;
}

static uint64_t number(struct input *in, int n)
{
	static const uint64_t nice[] = {0,
	                                1,
	                                2,
	                                3,
	                                4,
	                                5,
	                                7,
	                                8,
	                                16,
	                                0x40,
	                                0x100,
	                                0x200,
	                                0x241,
	                                0x400,
	                                0x800,
	                                0x1000,
	                                0x10000,
	                                0x10001,
	                                0x200000,
	                                0x8000,
	                                0644,
	                                0755,
	                                0x7fffffff,
	                                0xffffffff,
	                                INT64_MAX,
	                                UINT64_MAX,
	                                1ull << 63,
	                                0x241 | 0x80,
	                                0x1000 | 0644,
	                                0x8000 | 06755};
	const uint8_t b = byte(in);
	uint64_t v = 0;

	if (b < 0xe0)
		return nice[b % (sizeof nice / sizeof nice[0])];
	for (int i = 0; i < n; i++)
		v = v << 8 | byte(in);
	return v;
}

static char g_text[64][600];
static unsigned g_n_text;

static ProtobufCBinaryData text(struct input *in)
{
	static const char *const paths[] = {
	        "",
	        "/",
	        "a",
	        "b",
	        "/a",
	        "/a/b",
	        "a/../b",
	        "..",
	        ".",
	        "a/",
	        "d",
	        "d/e",
	        "/d/../../..",
	        "l",
	        "/l/x",
	        ".strait-orphans",
	        "/.strait-orphans/x",
	        "user.x",
	        "trusted.y",
	        "d/.strait-orphans",
	        "l2",
	        "//",
	        "/d/e/../../a",
	};
	ProtobufCBinaryData out;
	const uint8_t b = byte(in);

	if (b < 0xd0 || g_n_text == 64) {
		const char *s = paths[b % (sizeof paths / sizeof paths[0])];

		return (ProtobufCBinaryData){strlen(s), (uint8_t *)(uintptr_t)s};
	}
	out.data = (uint8_t *)g_text[g_n_text++];
	out.len = b < 0xf8 ? byte(in) % 32u : 600;
	for (size_t i = 0; i < out.len; i++)
		out.data[i] = b < 0xf8 ? byte(in) : (uint8_t)(b == 0xf8 ? '/' : 'n');
	return out;
}

static uint32_t g_groups[80];

static void fill(ProtobufCMessage *msg, struct input *in)
{
	for (unsigned i = 0; i < msg->descriptor->n_fields; i++) {
		const ProtobufCFieldDescriptor *f = &msg->descriptor->fields[i];
		char *at = (char *)msg + f->offset;

		if (f->label == PROTOBUF_C_LABEL_REPEATED) {
			const size_t n = byte(in) % 80u;
			uint32_t *g = g_groups;

			memcpy((char *)msg + f->quantifier_offset, &n, sizeof n);
			memcpy(at, &g, sizeof g);
		} else if (f->type == PROTOBUF_C_TYPE_BYTES) {
			const ProtobufCBinaryData b = text(in);

			memcpy(at, &b, sizeof b);
		} else if (f->type == PROTOBUF_C_TYPE_UINT32) {
			const uint32_t v = (uint32_t)number(in, 4);

			memcpy(at, &v, sizeof v);
		} else {
			const uint64_t v = number(in, 8);

			memcpy(at, &v, sizeof v);
		}
	}
}

static int g_root = -1;

static void empty(int at)
{
	DIR *d = fdopendir(at);
	struct dirent *e;

	while (d && (e = readdir(d))) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		if (unlinkat(dirfd(d), e->d_name, 0) == 0)
			continue;
		(void)fchmodat(dirfd(d), e->d_name, 0700, 0);
		empty(openat(dirfd(d), e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
		(void)unlinkat(dirfd(d), e->d_name, AT_REMOVEDIR);
	}
	if (d)
		closedir(d);
}

static void end(void)
{
	(void)bench_stop();
}

static void begin(void)
{
	const char *dir;

	if (access("/dev/shm", W_OK) == 0)
		(void)setenv("TMPDIR", "/dev/shm",
		             1); /* syncs of a disk take most of the time */
	dir = bench_start(false, true);
	g_root = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	atexit(end);
}

/* Sparse is fine, but a file of many gigabytes takes the time from others. */
static bool too_big(const ProtobufCMessage *msg, unsigned m)
{
	const File__RangeReq *r = (const File__RangeReq *)msg;

	return m == M_FALLOCATE && r->len > (1 << 20) && r->len <= INT64_MAX;
}

static struct pending *step(struct client *c, struct input *in)
{
	static char payload[4096];
	const ProtobufCServiceDescriptor *d = &file__file__descriptor;
	const unsigned first = byte(in), m = first % d->n_methods;
	const ProtobufCMessageDescriptor *type = d->methods[m].input;
	_Alignas(16) char room[512];
	ProtobufCMessage *msg = (ProtobufCMessage *)(void *)room;

	protobuf_c_message_init(type, room);
	fill(msg, in);
	if (too_big(msg, m))
		return NULL;
	const bool pays = m == M_WRITE || m == M_SET_XATTR;
	struct journal_entry claim;
	struct pending *p;

	/* Some were in flight in another instance: so the guest says. */
	g_bench_fault.replay = first >= 192;
	if (g_bench_fault.replay) {
		claim = (struct journal_entry){.mark = byte(in) % 3,
		                               .kind = byte(in) % 9,
		                               .err = byte(in) % 3,
		                               .a = byte(in),
		                               .d = (uint64_t)byte(in) << 20};
		g_bench_fault.claim = &claim;
	}
	p = call_start(c, (enum file_method)m, msg, payload, pays ? byte(in) * 16u : 0);
	g_bench_fault.claim = NULL;
	g_bench_fault.replay = false;
	return p;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	struct pending *p[IN_FLIGHT] = {NULL};
	struct client *c[2];

	if (g_root < 0)
		begin();
	g_n_text = 0;
	c[0] = client_new(0, 0);
	c[1] = client_new(0, 0);
	for (unsigned i = 0; i < STEPS_MAX && in.left > 0; i++) {
		struct pending **at = &p[i % IN_FLIGHT];

		if (*at)
			(void)call_wait(c[0], *at);
		/* The second guest is in the way of locks and names. */
		if (i % 8 == 7) {
			struct pending *q = step(c[1], &in);

			if (q)
				(void)call_wait(c[1], q);
		}
		*at = step(c[0], &in);
	}
	for (unsigned i = 0; i < IN_FLIGHT; i++)
		if (p[i])
			(void)call_wait(c[0], p[i]);
	client_free(c[0]);
	client_free(c[1]);
	if (inode_count() != 0)
		abort();
	empty(openat(g_root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	return 0;
}
