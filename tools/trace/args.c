/* SPDX-License-Identifier: MIT */
/*
 * How a field is shown: the first rule that names its method or its message and the
 * field; without one a number is decimal and bytes are quoted.
 */
#include "tools/trace/args.h"

#include "tools/trace/names.h"
#include "tools/trace/paths.h"
#include "tools/trace/record.h"
#include "tools/trace/value.h"

#include <string.h>

enum how {
	NUMBER, /* decimal */
	FLAGS,  /* names, or'ed */
	ENUM,   /* one name */
	MODE,   /* file type and permissions */
	HEX,    /* number or bytes */
	ERRNO,
	DEVICE, /* major:minor */
	HANDLE, /* with what it stands for */
	IP,     /* bytes */
	TIME,   /* seconds, with nanoseconds from the field NAME_ns */
	OPTION, /* socket option; the level is another field */
	HIDE,   /* shown by another rule */
	DETAIL, /* decimal, only when verbose */
};

struct rule {
	const char *where; /* "File.Open", "file.OpenReq", or NULL: any */
	const char *field;
	enum how how;
	bool always; /* also at its default */
	const struct value_name *names;
	const char *zero; /* FLAGS: nothing set */
	unsigned about;   /* HANDLE: which, ABOUT_FIRST by default */
};

#define F(w, f, t, z)                                                                  \
	{                                                                              \
		w, f, FLAGS, false, t, z, 0                                            \
	}
static const struct rule g_rules[] = {
        {"file.OpenReq", "flags", FLAGS, true, names_open, "O_RDONLY", 0},
        F("file.OpenReq", "resolve", names_resolve, "0"),
        F("file.OpenRep", "mount_flags", names_mount, "0"),
        {"file.OpenRep", "file_id", HEX, false, NULL, NULL, 0},
        {"file.OpenReq", "handle", NUMBER, true, NULL, NULL, 0},
        F("File.Access", "flags", names_access, "0"),
        {"File.Access", "mode", FLAGS, true, names_access_mode, "F_OK", 0},
        F("File.Unlink", "flags", names_unlink, "0"),
        F("File.Rename", "flags", names_rename, "0"),
        F("file.TwoPathReq", "flags", names_at, "0"),
        F("file.PathReq", "flags", names_at, "0"),
        F("file.SetAttrReq", "flags", names_at, "0"),
        {"file.SetAttrReq", "what", FLAGS, true, names_what, "0", 0},
        F("file.XattrReq", "flags", names_at, "0"),
        F("file.XattrReq", "xflags", names_xattr, "0"),
        {"file.ReadReq", "offset", NUMBER, true, NULL, NULL, 0},
        {"file.ReadReq", "count", NUMBER, true, NULL, NULL, 0},
        {"file.WriteReq", "offset", NUMBER, true, NULL, NULL, 0},
        {"file.WriteReq", "sync", ENUM, false, names_write_sync, NULL, 0},
        {"file.WriteRep", "count", NUMBER, true, NULL, NULL, 0},
        {"file.WriteRep", "verifier", HEX, false, NULL, NULL, 0},
        {"file.SyncReq", "what", ENUM, true, names_sync, NULL, 0},
        {"file.SyncReq", "flags", HEX, false, NULL, NULL, 0},
        {"file.SyncRep", "verifier", HEX, false, NULL, NULL, 0},
        F("File.Fallocate", "mode", names_fallocate, "0"),
        {"File.Seek", "mode", ENUM, true, names_seek, NULL, 0},
        {"file.RangeReq", "offset", NUMBER, true, NULL, NULL, 0},
        {"file.OffsetRep", "offset", NUMBER, true, NULL, NULL, 0},
        {"file.LockReq", "kind", ENUM, true, names_lock_kind, NULL, 0},
        {"file.StatfsRep", "type", HEX, true, NULL, NULL, 0},
        {"file.LockReq", "type", ENUM, true, names_lock, NULL, 0},
        {"File.GetLock", "type", ENUM, true, names_lock, NULL, 0},
        {"file.LockRep", "type", ENUM, false, names_lock, NULL, 0},
        {"net.SocketReq", "type", ENUM, true, names_socket, NULL, 0},
        {"file.StatfsRep", "fsid", HEX, false, NULL, NULL, 0},
        {"file.StatfsRep", "flags", HEX, false, NULL, NULL, 0},
        {"file.Attr", "size", NUMBER, true, NULL, NULL, 0},
        {"file.Attr", "dev", DETAIL, false, NULL, NULL, 0},
        {"file.Attr", "rdev", DEVICE, false, NULL, NULL, 0},
        {"file.Attr", "ino", DETAIL, false, NULL, NULL, 0},
        {"file.Attr", "nlink", DETAIL, false, NULL, NULL, 0},
        {"file.Attr", "blksize", DETAIL, false, NULL, NULL, 0},
        {"file.Attr", "blocks", DETAIL, false, NULL, NULL, 0},
        {"file.Attr", "stx_mask", DETAIL, false, NULL, NULL, 0},
        {"file.MakeReq", "rdev", DEVICE, false, NULL, NULL, 0},
        {NULL, "mode", MODE, false, NULL, NULL, 0},
        {NULL, "atime", TIME, false, NULL, NULL, 0},
        {NULL, "mtime", TIME, false, NULL, NULL, 0},
        {NULL, "ctime", TIME, false, NULL, NULL, 0},
        {NULL, "btime", TIME, false, NULL, NULL, 0},
        {NULL, "atime_ns", HIDE, false, NULL, NULL, 0},
        {NULL, "mtime_ns", HIDE, false, NULL, NULL, 0},
        {NULL, "ctime_ns", HIDE, false, NULL, NULL, 0},
        {NULL, "btime_ns", HIDE, false, NULL, NULL, 0},
        {NULL, "at", HANDLE, false, NULL, NULL, ABOUT_FIRST_DIR},
        {NULL, "old_base", HANDLE, false, NULL, NULL, ABOUT_FIRST_DIR},
        {NULL, "new_base", HANDLE, false, NULL, NULL, ABOUT_SECOND_DIR},
        {"net.SocketReq", "handle", NUMBER, true, NULL, NULL, 0},
        {NULL, "handle", HANDLE, true, NULL, NULL, 0},
        {NULL, "in_handle", HANDLE, true, NULL, NULL, 0},
        {NULL, "out_handle", HANDLE, true, NULL, NULL, ABOUT_SECOND},
        {"net.SocketReq", "domain", ENUM, true, names_family, NULL, 0},
        {"net.SocketReq", "protocol", ENUM, false, names_proto, NULL, 0},
        {"net.ShutdownPost", "how", ENUM, true, names_shut, NULL, 0},
        {"net.OptReq", "level", ENUM, true, names_level, NULL, 0},
        {"net.OptReq", "name", OPTION, true, NULL, NULL, 0},
        {"net.DataMsg", "offset", NUMBER, true, NULL, NULL, 0},
        F("net.Iface", "flags", names_iff, "0"),
        {"net.Iface", "mac", HEX, false, NULL, NULL, 0},
        {"net.Iface", "ip4", IP, false, NULL, NULL, 0},
        {"net.Iface", "ip6", IP, false, NULL, NULL, 0},
        {"net.InfoRep", "dns", IP, false, NULL, NULL, 0},
        {"net.InfoRep", "gateway4", IP, false, NULL, NULL, 0},
        {"net.InfoRep", "gateway6", IP, false, NULL, NULL, 0},
        {NULL, "err", ERRNO, false, NULL, NULL, 0},
        F(NULL, "features", names_feature, "0"),
        {NULL, "service", ENUM, true, names_service, NULL, 0},
        {"session.HelloReq", "client_id", HEX, false, NULL, NULL, 0},
        {"session.HelloRep", "write_verifier", HEX, false, NULL, NULL, 0},
};

struct printer {
	FILE *out;
	const char *method;
	const char *const *about;
	const struct args_style *style;
};

static const struct rule *rule_for(const struct printer *p, const char *message,
                                   const char *field)
{
	for (size_t i = 0; i < sizeof(g_rules) / sizeof(g_rules[0]); i++) {
		const struct rule *r = &g_rules[i];

		if (strcmp(r->field, field) == 0 &&
		    (!r->where || strcmp(r->where, message) == 0 ||
		     (p->method && strcmp(r->where, p->method) == 0)))
			return r;
	}
	return NULL;
}

static void print_handle(const struct printer *p, const struct rule *r, uint64_t v)
{
	const char *about = p->about ? p->about[r->about] : NULL;

	value_put(p->out, "%llu", (unsigned long long)v);
	if (!about)
		return;
	fputc('<', p->out);
	for (; *about; about++) { /* a name may hold anything but NUL and slash */
		const unsigned char c = (unsigned char)*about;

		if (c < 32 || c >= 127 || c == '\\' || c == '>')
			value_put(p->out, "\\%03o", c);
		else
			fputc(c, p->out);
	}
	fputc('>', p->out);
}

static void print_time(const struct printer *p, const ProtobufCMessage *m,
                       const char *field, uint64_t v)
{
	char name[32];
	uint64_t ns;

	(void)snprintf(name, sizeof(name), "%s_ns", field);
	ns = message_get_u64(m, name);
	if (ns == 0x3fffffff)
		fputs("UTIME_NOW", p->out);
	else if (ns == 0x3ffffffe)
		fputs("UTIME_OMIT", p->out);
	else
		value_put(p->out, "%lld.%09llu", (long long)v, (unsigned long long)ns);
}

static void print_errno(const struct printer *p, uint64_t v)
{
	const char *name = v <= UINT32_MAX ? value_errno((uint32_t)v) : NULL;

	if (name)
		fputs(name, p->out);
	else
		value_put(p->out, "errno %llu", (unsigned long long)v);
}

static void print_number(const struct printer *p, const struct rule *r,
                         const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f,
                         uint64_t v)
{
	switch (r ? r->how : NUMBER) {
	case FLAGS:
		/* reading alone has no bit of its own */
		if (r->names == names_open && (v & 3) == 0)
			fputs(v ? "O_RDONLY|" : "", p->out);
		value_flags(p->out, r->names, v, r->zero);
		break;
	case ENUM:
		value_enum(p->out, r->names, v);
		break;
	case MODE:
		names_mode(p->out, v);
		break;
	case HEX:
		value_put(p->out, "0x%llx", (unsigned long long)v);
		break;
	case ERRNO:
		print_errno(p, v);
		break;
	case DEVICE:
		value_put(p->out, "%u:%u",
		          (unsigned)((v >> 8 & 0xfff) | (v >> 32 & ~0xfffull)),
		          (unsigned)((v & 0xff) | (v >> 12 & ~0xffull)));
		break;
	case HANDLE:
		print_handle(p, r, v);
		break;
	case TIME:
		print_time(p, m, f->name, v);
		break;
	case OPTION:
		names_option(p->out, message_get_u64(m, "level"), v);
		break;
	default:
		if (f->type == PROTOBUF_C_TYPE_INT64 ||
		    f->type == PROTOBUF_C_TYPE_INT32)
			value_put(p->out, "%lld", (long long)v);
		else
			value_put(p->out, "%llu", (unsigned long long)v);
	}
}

static void print_bytes(const struct printer *p, const struct rule *r,
                        const ProtobufCBinaryData *b)
{
	if (r && r->how == HEX)
		value_hex(p->out, b->data, b->len);
	else if (r && r->how == IP)
		value_ip(p->out, b);
	else
		value_quote(p->out, b->data, b->len, SIZE_MAX);
}

static void print_message(const struct printer *p, const ProtobufCMessage *m);

static void print_value(const struct printer *p, const struct rule *r,
                        const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f,
                        const void *at)
{
	const ProtobufCMessage *sub;

	switch (f->type) {
	case PROTOBUF_C_TYPE_BYTES:
		print_bytes(p, r, at);
		break;
	case PROTOBUF_C_TYPE_MESSAGE:
		memcpy(&sub, at, sizeof(sub));
		if (!strcmp(sub->descriptor->name, "net.Addr")) {
			value_addr(p->out, sub);
			break;
		}
		fputc('{', p->out);
		print_message(p, sub);
		fputc('}', p->out);
		break;
	default:
		print_number(p, r, m, f, message_scalar(f->type, at));
	}
}

static size_t element_size(ProtobufCType type)
{
	switch (type) {
	case PROTOBUF_C_TYPE_BYTES:
		return sizeof(ProtobufCBinaryData);
	case PROTOBUF_C_TYPE_MESSAGE:
	case PROTOBUF_C_TYPE_STRING:
		return sizeof(void *);
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
	case PROTOBUF_C_TYPE_SFIXED64:
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_FIXED64:
		return 8;
	default:
		return 4;
	}
}

static void print_list(const struct printer *p, const struct rule *r,
                       const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f,
                       size_t n)
{
	const uint8_t *items;

	memcpy(&items, (const uint8_t *)m + f->offset, sizeof(items));
	fputc('[', p->out);
	for (size_t i = 0; i < n; i++) {
		fputs(i ? ", " : "", p->out);
		print_value(p, r, m, f, items + i * element_size(f->type));
	}
	fputc(']', p->out);
}

static bool at_default(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f)
{
	const uint8_t *at = (const uint8_t *)m + f->offset;
	const void *ptr;

	switch (f->type) {
	case PROTOBUF_C_TYPE_BYTES:
		return ((const ProtobufCBinaryData *)(const void *)at)->len == 0;
	case PROTOBUF_C_TYPE_MESSAGE:
	case PROTOBUF_C_TYPE_STRING:
		memcpy(&ptr, at, sizeof(ptr));
		return !ptr;
	default:
		return message_scalar(f->type, at) == 0;
	}
}

/* A time whose seconds are 0 is set when its nanoseconds are. */
static bool time_set(const ProtobufCMessage *m, const char *field)
{
	char name[32];

	(void)snprintf(name, sizeof(name), "%s_ns", field);
	return message_get_u64(m, name) != 0;
}

static bool hidden(const struct printer *p, const struct rule *r,
                   const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f)
{
	const bool attr = !strcmp(m->descriptor->name, "file.Attr");

	if (r && (r->how == HIDE || (r->how == DETAIL && !p->style->verbose)))
		return true;
	if (r && r->how == TIME && attr && !p->style->verbose)
		return true;
	if (r && r->how == TIME && time_set(m, f->name))
		return false;
	return at_default(m, f) &&
	       !(r && r->always && f->type != PROTOBUF_C_TYPE_MESSAGE);
}

static void print_message(const struct printer *p, const ProtobufCMessage *m)
{
	const char *sep = "";

	for (unsigned i = 0; i < m->descriptor->n_fields; i++) {
		const ProtobufCFieldDescriptor *f = &m->descriptor->fields[i];
		const struct rule *r = rule_for(p, m->descriptor->name, f->name);
		size_t n = 0;

		if (f->label == PROTOBUF_C_LABEL_REPEATED) {
			memcpy(&n, (const uint8_t *)m + f->quantifier_offset,
			       sizeof(n));
			if (n == 0)
				continue;
		} else if (hidden(p, r, m, f)) {
			continue;
		}
		value_put(p->out, "%s%s=", sep, f->name);
		if (f->label == PROTOBUF_C_LABEL_REPEATED)
			print_list(p, r, m, f, n);
		else
			print_value(p, r, m, f, (const uint8_t *)m + f->offset);
		sep = ", ";
	}
}

void args_print(FILE *out, const char *method, const ProtobufCMessage *m,
                const char *const *about, const struct args_style *style)
{
	const struct printer p = {out, method, about, style};

	if (m)
		print_message(&p, m);
	else
		fputs("?", out);
}
