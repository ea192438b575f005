/* SPDX-License-Identifier: MIT */
/*
 * tracefile.c - the head of a trace: pcapng section header and interfaces.
 *
 * Byte order is the machine's, as pcapng allows.  What follows is written by the
 * services, one write() a packet, to a descriptor opened O_APPEND.
 */
#include "rpc/limits.h"
#include "rpc/trace.h"
#include "tools/strait/strait.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK_SHB 0x0a0d0d0au
#define BLOCK_IDB 1u
#define OPT_END 0u
#define OPT_IF_NAME 2u
#define OPT_IF_TSRESOL 9u
#define OPT_SHB_USERAPPL 4u
#define SNAPLEN 0u /* no limit */

struct out {
	uint8_t b[512];
	uint32_t n;
};

static void put(struct out *o, const void *p, size_t n)
{
	memcpy(o->b + o->n, p, n);
	o->n += (uint32_t)n;
	while (o->n & 3)
		o->b[o->n++] = 0;
}

static void put16x2(struct out *o, unsigned a, unsigned b)
{
	uint16_t v[2] = { (uint16_t)a, (uint16_t)b };

	put(o, v, sizeof(v));
}

static void put32(struct out *o, uint32_t v)
{
	put(o, &v, sizeof(v));
}

static void put_option(struct out *o, unsigned code, const void *p, size_t n)
{
	put16x2(o, code, (unsigned)n);
	put(o, p, n);
}

/* Close the block begun at @start: its length stands at both ends. */
static void put_end(struct out *o, uint32_t start)
{
	uint32_t len = o->n + 4 - start;

	memcpy(o->b + start + 4, &len, 4);
	put32(o, len);
}

static void put_interface(struct out *o, const char *name)
{
	uint32_t start = o->n;
	uint8_t resol = 9;

	put32(o, BLOCK_IDB);
	put32(o, 0);
	put16x2(o, TRACE_LINKTYPE, 0);
	put32(o, SNAPLEN);
	put_option(o, OPT_IF_NAME, name, strlen(name));
	put_option(o, OPT_IF_TSRESOL, &resol, 1);
	put16x2(o, OPT_END, 0);
	put_end(o, start);
}

int tracefile_create(const char *path)
{
	static const char appl[] = "strait";
	struct out o = { .n = 0 };
	int64_t unknown = -1;
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC | O_NOCTTY,
	              0600);

	_Static_assert(RPC_SERVICE_FILE == 1 && RPC_SERVICE_NET == 2, "order of interfaces");
	if (fd < 0)
		die(EXIT_STRAIT, "cannot create the trace %s: %s", path, strerror(errno));
	/* The file may have been there, with other rights: a trace holds what the
	 * program reads and writes. */
	struct stat st;

	if (!fstat(fd, &st) && S_ISREG(st.st_mode) && fchmod(fd, 0600))
		die(EXIT_STRAIT, "cannot make the trace %s private: %s", path, strerror(errno));
	put32(&o, BLOCK_SHB);
	put32(&o, 0);
	put32(&o, 0x1a2b3c4du);
	put16x2(&o, 1, 0);
	put(&o, &unknown, sizeof(unknown));
	put_option(&o, OPT_SHB_USERAPPL, appl, strlen(appl));
	put16x2(&o, OPT_END, 0);
	put_end(&o, 0);
	put_interface(&o, "file");
	put_interface(&o, "net");
	if (write(fd, o.b, o.n) != (ssize_t)o.n)
		die(EXIT_STRAIT, "cannot write the trace %s: %s; give --trace a file with room",
		    path, strerror(errno));
	return fd;
}
