/* SPDX-License-Identifier: MIT */
#include "tools/trace/paths.h"

#include "tools/trace/value.h"

#include <search.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define FILE_OPEN FRAME_METHOD(RPC_SERVICE_FILE, 1)
#define FILE_RELEASE FRAME_METHOD(RPC_SERVICE_FILE, 2)
#define NET_SOCKET FRAME_METHOD(RPC_SERVICE_NET, 0)
#define NET_BIND FRAME_METHOD(RPC_SERVICE_NET, 1)
#define NET_LISTEN FRAME_METHOD(RPC_SERVICE_NET, 2)
#define NET_CONNECT FRAME_METHOD(RPC_SERVICE_NET, 3)
#define NET_CLOSE FRAME_METHOD(RPC_SERVICE_NET, 5)
#define NET_ACCEPTED FRAME_METHOD(RPC_SERVICE_NET, 14)
#define NET_CONNECTED FRAME_METHOD(RPC_SERVICE_NET, 15)

struct node {
	uint32_t handle;
	char *path;
};

static int compare(const void *a, const void *b)
{
	const struct node *x = a, *y = b;

	return x->handle < y->handle ? -1 : x->handle > y->handle;
}

static void node_free(void *p)
{
	struct node *n = p;

	free(n->path);
	free(n);
}

void paths_fini(struct paths *p)
{
	tdestroy(p->root, node_free);
	p->root = NULL;
}

static struct node *find(const struct paths *p, uint32_t handle)
{
	const struct node key = {.handle = handle};
	struct node *const *at = tfind(&key, &p->root, compare);

	return at ? *at : NULL;
}

const char *paths_of(const struct paths *p, uint32_t handle)
{
	const struct node *n = find(p, handle);

	return n ? n->path : NULL;
}

static void drop(struct paths *p, uint32_t handle)
{
	struct node *n = find(p, handle);

	if (!n)
		return;
	tdelete(n, &p->root, compare);
	node_free(n);
}

/* Takes @path.  Out of memory: the name is not known, that is all. */
static void set(struct paths *p, uint32_t handle, char *path)
{
	struct node *n;

	if (!path)
		return;
	drop(p, handle);
	n = malloc(sizeof(*n));
	if (n)
		*n = (struct node){handle, path};
	if (!n || !tsearch(n, &p->root, compare)) {
		free(n);
		free(path);
	}
}

static char *handle_path(const struct paths *p, uint64_t handle)
{
	const char *s = paths_of(p, (uint32_t)handle);

	return s ? strdup(s) : NULL;
}

/* @path as seen from the directory @at (0: the root). */
static char *join(const struct paths *p, uint64_t at, const ProtobufCBinaryData *path)
{
	const char *base = at ? paths_of(p, (uint32_t)at) : "";
	char *out = NULL;

	if (path->len == 0)
		return at ? handle_path(p, at) : strdup("/");
	if (path->data[0] == '/')
		return strndup((const char *)path->data, path->len);
	if (!base)
		base = "?";
	/* "/" as a base gives one slash, not two */
	if (asprintf(&out, "%s/%.*s", strcmp(base, "/") ? base : "", (int)path->len,
	             (const char *)path->data) < 0)
		return NULL;
	return out;
}

void paths_resolve(const struct paths *p, uint16_t method, const ProtobufCMessage *m,
                   char *about[N_ABOUT])
{
	static const struct {
		const char *at, *path;
		unsigned which;
	} by_path[] = {{"at", "path", 0},
	               {"old_base", "old_path", 0},
	               {"new_base", "new_path", 1}};
	static const struct {
		const char *field;
		unsigned which;
	} by_handle[] = {
	        {"handle", 0}, {"in_handle", 0}, {"out_handle", 1}, {"listener", 0}};

	memset(about, 0, N_ABOUT * sizeof(about[0]));
	if (!m || FRAME_SERVICE(method) == RPC_SERVICE_SESSION)
		return;
	for (unsigned i = 0; i < 3; i++) {
		const ProtobufCBinaryData *b = message_get_bytes(m, by_path[i].path);
		const uint64_t at = message_get_u64(m, by_path[i].at);
		const unsigned which = by_path[i].which;

		if (!b || about[which])
			continue;
		about[which] = join(p, at, b);
		if (at)
			about[ABOUT_FIRST_DIR + which] = handle_path(p, at);
	}
	for (unsigned i = 0; i < 4; i++) {
		const uint64_t h = message_get_u64(m, by_handle[i].field);

		if (h && !about[by_handle[i].which])
			about[by_handle[i].which] = handle_path(p, h);
	}
}

void paths_free(char *about[N_ABOUT])
{
	for (unsigned i = 0; i < N_ABOUT; i++)
		free(about[i]);
	memset(about, 0, N_ABOUT * sizeof(about[0]));
}

/* ---- sockets ---- */

static const ProtobufCMessage *sub(const ProtobufCMessage *m, const char *field)
{
	const ProtobufCFieldDescriptor *f;
	const ProtobufCMessage *s;

	f = m ? protobuf_c_message_descriptor_get_field_by_name(m->descriptor, field)
	      : NULL;
	if (!f || f->type != PROTOBUF_C_TYPE_MESSAGE ||
	    f->label == PROTOBUF_C_LABEL_REPEATED)
		return NULL;
	memcpy(&s, (const uint8_t *)m + f->offset, sizeof(s));
	return s;
}

static const char *socket_kind(uint64_t type)
{
	return type == 1 ? "TCP" : type == 2 ? "UDP" : "socket";
}

/* "TCP 10.0.0.2:80 from 10.0.0.1:4242": @was up to its first space, and addresses. */
static char *socket_text(const char *was, const ProtobufCMessage *local,
                         const char *word, const ProtobufCMessage *peer)
{
	const int kind = was ? (int)strcspn(was, " ") : 3;
	char *text = NULL;
	size_t n;
	FILE *f = open_memstream(&text, &n);

	if (!f)
		return NULL;
	value_put(f, "%.*s", kind, was ? was : "TCP");
	if (local) {
		fputc(' ', f);
		value_addr(f, local);
	}
	if (peer) {
		value_put(f, " %s ", word);
		value_addr(f, peer);
	}
	fclose(f);
	return text;
}

static void learn_socket(struct paths *p, uint16_t method, const ProtobufCMessage *m)
{
	const uint32_t handle = (uint32_t)message_get_u64(m, "handle");

	switch (method) {
	case NET_SOCKET:
		set(p, handle, strdup(socket_kind(message_get_u64(m, "type"))));
		break;
	case NET_BIND:
		set(p, handle,
		    socket_text(paths_of(p, handle), sub(m, "addr"), "", NULL));
		break;
	case NET_CONNECT:
		set(p, handle,
		    socket_text(paths_of(p, handle), NULL, "to", sub(m, "addr")));
		break;
	case NET_ACCEPTED:
		set(p, handle,
		    socket_text("TCP", sub(m, "local"), "from", sub(m, "peer")));
		break;
	case NET_CONNECTED:
		if (!message_get_u64(m, "err"))
			set(p, handle,
			    socket_text(paths_of(p, handle), sub(m, "local"), "to",
			                sub(m, "peer")));
		break;
	case NET_CLOSE:
		drop(p, handle);
		break;
	default:
		break;
	}
}

void paths_learn_call(struct paths *p, const struct record *r,
                      const ProtobufCMessage *m, char *const about[N_ABOUT])
{
	const uint32_t handle = (uint32_t)message_get_u64(m, "handle");

	if (!m || r->hdr.kind == FRAME_REPLY)
		return;
	if (r->hdr.method == FILE_OPEN)
		set(p, handle, about[0] ? strdup(about[0]) : NULL);
	else if (r->hdr.method == FILE_RELEASE)
		drop(p, handle);
	else
		learn_socket(p, r->hdr.method, m);
}

void paths_learn_reply(struct paths *p, const struct record *r,
                       const ProtobufCMessage *call, const ProtobufCMessage *reply)
{
	const uint32_t handle = (uint32_t)message_get_u64(call, "handle");

	if (!call)
		return;
	if (r->hdr.err) {
		if (r->hdr.method == FILE_OPEN || r->hdr.method == NET_SOCKET)
			drop(p, handle);
		return;
	}
	if (reply && (r->hdr.method == NET_BIND || r->hdr.method == NET_LISTEN))
		set(p, handle,
		    socket_text(paths_of(p, handle), sub(reply, "local"), "", NULL));
}
