/* SPDX-License-Identifier: MIT */
/*
 * opts.c - the arguments of `strait run`.
 *
 * Options come before the program; all after it is the program's.  Each option
 * is a row of a table.  A bad value is said in one sentence that names it.
 */
#include "platform/linux/boot.h"
#include "tools/strait/strait.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ENV_MAX 4096
#define CPUS_MAX 1024
#define SECONDS_MAX 86400
#define RECOVER_S 30
#define HANG_S 5

struct opt {
	const char *name, *alias;
	const char *arg;  /* NULL: takes none */
	void (*set)(struct run_opts *o, const char *v);
	const char *help;
};

/* Where a value was given, if not on the command line: "FILE:LINE: KEY". */
static const char *g_label;

static void __attribute__((noreturn)) bad(const char *opt, const char *v, const char *want)
{
	die(EXIT_STRAIT, "%s %s: %s", g_label ? g_label : opt, v, want);
}

bool opts_parse_number(const char **s, uint64_t max, const char *ends, uint64_t *out)
{
	uint64_t v = 0;
	const char *p = *s;

	if (!isdigit((unsigned char)*p))
		return false;
	for (; isdigit((unsigned char)*p); p++) {
		unsigned d = (unsigned)(*p - '0');

		if (v > (max - d) / 10 || (d > max))
			return false;
		v = v * 10 + d;
	}
	if (v > max || (*p && !strchr(ends, *p)))
		return false;
	*out = v;
	*s = p;
	return true;
}

bool opts_parse_size(const char *s, uint64_t *out)
{
	static const char units[] = "bkmgt";
	uint64_t v;

	if (!opts_parse_number(&s, INT64_MAX, "bkmgtBKMGT", &v))
		return false;
	if (*s) {
		unsigned shift = 10 * (unsigned)(strchr(units, tolower((unsigned char)*s)) - units);

		if (s[1] || v > (uint64_t)INT64_MAX >> shift)
			return false;
		v <<= shift;
	}
	*out = v;
	return v != 0;
}

/* The absolute guest path @p without "//", "." and a slash at its end.  NULL when
 * it is not absolute, holds "..", or is too long. */
static char *normal_path(const char *p)
{
	size_t len = strlen(p), n = 0;

	if (*p != '/' || len >= 4096)
		return NULL;
	char *out = xalloc(len + 2);

	while (*p) {
		while (*p == '/')
			p++;
		size_t part = strcspn(p, "/");

		if (part == 2 && p[0] == '.' && p[1] == '.') {
			free(out);
			return NULL;
		}
		if (part && !(part == 1 && p[0] == '.')) {
			out[n++] = '/';
			memcpy(out + n, p, part);
			n += part;
		}
		p += part;
	}
	if (!n)
		out[n++] = '/';
	out[n] = 0;
	return out;
}

static struct mount_opt *add_mount(struct run_opts *o, const char *opt, const char *v,
                                   const char *guest)
{
	char *path = normal_path(guest);

	if (!path)
		bad(opt, v, "the guest's directory must be an absolute path without \"..\"");
	for (unsigned i = 0; i < o->n_mounts; i++)
		if (!strcmp(o->mounts[i].guest, path))
			bad(opt, v, "something is mounted on that directory already");
	if (o->n_mounts == MOUNTS_MAX)
		bad(opt, v, "too many mounts (48 at most)");
	struct mount_opt *m = &o->mounts[o->n_mounts++];

	m->guest = path;
	m->fd = -1;
	return m;
}

struct mount_opt *opts_add_mount(struct run_opts *o, const char *label, const char *v,
                                 const char *guest)
{
	struct mount_opt *m;

	g_label = label;
	m = add_mount(o, label, v, guest);
	g_label = NULL;
	return m;
}

static void set_volume(struct run_opts *o, const char *v)
{
	char *s = xprintf("%s", v);
	char *guest = strchr(s, ':');

	if (!guest || guest == s)
		bad("-v", v, "want HOSTDIR:GUESTDIR or HOSTDIR:GUESTDIR:ro");
	*guest++ = 0;
	char *mode = strchr(guest, ':');

	if (mode)
		*mode++ = 0;
	if (mode && strcmp(mode, "ro") && strcmp(mode, "rw"))
		bad("-v", v, "the part after GUESTDIR must be ro or rw");
	struct mount_opt *m = add_mount(o, "-v", v, guest);

	m->source = s;
	m->read_only = mode && !strcmp(mode, "ro");
}

static void set_mem(struct run_opts *o, const char *v)
{
	char *s = xprintf("%s", v);
	char *size = strchr(s, ':');

	if (size)
		*size++ = 0;
	struct mount_opt *m = add_mount(o, "--mem", v, s);

	if (size && !opts_parse_size(size, &m->size))
		bad("--mem", v, "want GUESTDIR or GUESTDIR:SIZE, as /data:64m");
}

static void set_cwd(struct run_opts *o, const char *v)
{
	o->cwd = normal_path(v);
	if (!o->cwd)
		bad("-w", v, "want an absolute path without \"..\"");
}

static void env_add(struct run_opts *o, const char *v, size_t name_len)
{
	if (o->n_env >= ENV_MAX)
		die(EXIT_STRAIT, "-e: too many variables (%d at most)", ENV_MAX);
	for (unsigned i = 0; i < o->n_env; i++)
		if (!strncmp(o->env[i], v, name_len + 1)) {
			o->env[i] = xprintf("%s", v);
			return;
		}
	o->env[o->n_env++] = xprintf("%s", v);
	o->env[o->n_env] = NULL;
}

static void set_env(struct run_opts *o, const char *v)
{
	size_t name = strcspn(v, "=");

	if (!name || !strncmp(v, BOOT_ENV "=", sizeof(BOOT_ENV)))
		bad("-e", v, "want NAME=VALUE, or NAME to pass on this shell's value");
	if (v[name] == '=') {
		env_add(o, v, name);
		return;
	}
	const char *value = getenv(v);

	if (value)
		env_add(o, xprintf("%s=%s", v, value), name);
}

static void set_env_file(struct run_opts *o, const char *v)
{
	FILE *f = fopen(v, "re");
	char *line = NULL;
	size_t room = 0;
	ssize_t n;

	if (!f)
		die(EXIT_STRAIT, "--env-file %s: %s", v, strerror(errno));
	while ((n = getline(&line, &room, f)) >= 0) {
		while (n && (line[n - 1] == '\n' || line[n - 1] == '\r'))
			line[--n] = 0;
		char *p = line + strspn(line, " \t");

		if (*p && *p != '#')
			set_env(o, p);
	}
	if (ferror(f))
		die(EXIT_STRAIT, "--env-file %s: cannot be read: %s", v, strerror(errno));
	free(line);
	fclose(f);
}

static void set_user(struct run_opts *o, const char *v)
{
	const char *s = v;
	uint64_t uid, gid;

	if (!opts_parse_number(&s, UINT32_MAX - 1, ":", &uid))
		bad("-u", v, "want UID or UID:GID, numbers");
	gid = uid;
	if (*s == ':' && (s++, !opts_parse_number(&s, UINT32_MAX - 1, "", &gid)))
		bad("-u", v, "want UID or UID:GID, numbers");
	o->uid = (uint32_t)uid;
	o->gid = (uint32_t)gid;
}

static void set_net(struct run_opts *o, const char *v)
{
	o->net_given = true;
	if (!strcmp(v, "lwip"))
		o->net = NET_LWIP;
	else if (!strcmp(v, "host"))
		o->net = NET_HOST;
	else if (!strcmp(v, "none"))
		o->net = NET_NONE;
	else
		bad("--net", v, "want lwip, host or none");
}

static void port_address(struct port_opt *p, const char *host, uint16_t port)
{
	struct sockaddr_in *in = (struct sockaddr_in *)&p->addr;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&p->addr;

	if (inet_pton(AF_INET, host, &in->sin_addr) == 1) {
		in->sin_family = AF_INET;
		in->sin_port = htons(port);
		p->addr_len = sizeof(*in);
	} else if (inet_pton(AF_INET6, host, &in6->sin6_addr) == 1) {
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons(port);
		p->addr_len = sizeof(*in6);
	} else {
		bad("-p", p->text, "ADDR must be an IPv4 address, or an IPv6 one in brackets");
	}
}

/* Split [ADDR:]HOSTPORT:GUESTPORT[/udp]. */
static void set_port(struct run_opts *o, const char *v)
{
	static const char want[] = "want [ADDR:]HOSTPORT:GUESTPORT[/udp], as 8080:80";
	char *s = xprintf("%s", v), *host = NULL;
	const char *port_text = s;
	uint64_t host_port = 0, guest_port = 0;

	if (o->n_ports == PORTS_MAX)
		bad("-p", v, "too many published ports (64 at most)");
	struct port_opt *p = &o->ports[o->n_ports];
	char *proto = strchr(s, '/');

	*p = (struct port_opt){ .text = v, .fd = -1 };
	if (proto) {
		*proto++ = 0;
		p->udp = !strcmp(proto, "udp");
		if (!p->udp && strcmp(proto, "tcp"))
			bad("-p", v, want);
	}
	char *last = strrchr(s, ':');

	if (!last)
		bad("-p", v, want);
	*last = 0;
	char *mid = strrchr(s, ':');

	if (mid) {
		*mid = 0;
		host = s;
		port_text = mid + 1;
		size_t n = strlen(host);

		if (host[0] == '[' && n > 2 && host[n - 1] == ']') {
			host[n - 1] = 0;
			host++;
		}
	}
	const char *guest_text = last + 1;

	if (!opts_parse_number(&port_text, 65535, "", &host_port) ||
	    !opts_parse_number(&guest_text, 65535, "", &guest_port) || !guest_port)
		bad("-p", v, want);
	p->host = (uint16_t)host_port;
	p->guest = (uint16_t)guest_port;
	port_address(p, host ? host : "127.0.0.1", p->host);
	o->n_ports++;
}

static void set_memory(struct run_opts *o, const char *v)
{
	if (!opts_parse_size(v, &o->memory) || o->memory < 4u << 20)
		bad("--memory", v, "want a size of at least 4m, as 256m or 1g");
}

static void set_cpus(struct run_opts *o, const char *v)
{
	const char *s = v;
	uint64_t n;

	if (!opts_parse_number(&s, CPUS_MAX, "", &n) || !n)
		bad("--cpus", v, "want a whole number, 1 or more");
	o->cpus = (uint32_t)n;
}

static uint32_t seconds(const char *opt, const char *v)
{
	const char *s = v;
	uint64_t n;

	if (!opts_parse_number(&s, SECONDS_MAX, "", &n))
		bad(opt, v, "want whole seconds, 0 to 86400; 0 is off");
	return (uint32_t)n;
}

static void set_recover(struct run_opts *o, const char *v)
{
	o->recover_s = seconds("--recover", v);
	o->recover_given = true;
}

static void set_hang(struct run_opts *o, const char *v)
{
	o->hang_s = seconds("--hang", v);
	o->hang_given = true;
}

static void set_log(struct run_opts *o, const char *v)
{
	static const struct {
		const char *name;
		uint32_t bit, level;
	} words[] = {
		{ "unsupported", BOOT_LOG_UNSUPPORTED, 0 },
		{ "channel", BOOT_LOG_CHANNEL, 0 },
		{ "warn", 0, 1 },
		{ "info", 0, 2 },
		{ "debug", 0, 3 },
	};
	const char *s = v;

	while (*s) {
		size_t len = strcspn(s, ","), i;

		for (i = 0; i < sizeof(words) / sizeof(words[0]); i++)
			if (strlen(words[i].name) == len && !memcmp(words[i].name, s, len))
				break;
		if (i == sizeof(words) / sizeof(words[0]))
			bad("--log", v, "want a list of unsupported, channel, warn, info, debug");
		o->log |= words[i].bit;
		if (words[i].level > o->log_level)
			o->log_level = words[i].level;
		s += len + (s[len] == ',');
	}
}

bool opts_valid_name(const char *v)
{
	size_t n = strlen(v);

	if (!n || n > NAME_LEN_MAX || !isalnum((unsigned char)v[0]))
		return false;
	for (; *v; v++)
		if (!isalnum((unsigned char)*v) && !strchr("_.-", *v))
			return false;
	return true;
}

static void set_name(struct run_opts *o, const char *v)
{
	if (!opts_valid_name(v))
		bad("--name", v, "want 1 to 63 letters, digits, and _ . -, a letter or digit first");
	o->name = v;
}

static void set_join(struct run_opts *o, const char *v)
{
	if (!opts_valid_name(v))
		bad("--join", v, "want the name of a guest that runs; `strait ps` lists them");
	o->join = v;
}

static void set_hostname(struct run_opts *o, const char *v)
{
	if (!opts_valid_name(v))
		bad("--hostname", v,
		    "want 1 to 63 letters, digits, and _ . -, a letter or digit first");
	o->hostname = v;
}

static void set_trace(struct run_opts *o, const char *v)
{
	o->trace = v;
}

static void set_config(struct run_opts *o, const char *v)
{
	o->config = v;
}

static void set_trace_payload(struct run_opts *o, const char *v)
{
	(void)v;
	o->trace_payload = true;
}

static void set_strace(struct run_opts *o, const char *v)
{
	(void)v;
	o->strace = true;
}

static void set_no_squash(struct run_opts *o, const char *v)
{
	(void)v;
	o->no_squash = true;
}

static void set_help(struct run_opts *o, const char *v)
{
	(void)o;
	(void)v;
	opts_help_run();
	exit(0);
}

static const struct opt table[] = {
	{ "--volume", "-v", "HOSTDIR:GUESTDIR[:ro]", set_volume,
	  "let the guest see a directory of this machine" },
	{ "--mem", NULL, "GUESTDIR[:SIZE]", set_mem,
	  "an empty directory in memory (SIZE as 64m; default 512m)" },
	{ "--workdir", "-w", "DIR", set_cwd, "the program's working directory (default /)" },
	{ "--env", "-e", "NAME[=VALUE]", set_env, "a variable of the program's environment" },
	{ "--env-file", NULL, "FILE", set_env_file, "variables, one NAME=VALUE a line" },
	{ "--user", "-u", "UID[:GID]", set_user, "whom the program runs as (default 0:0)" },
	{ "--no-squash", NULL, NULL, set_no_squash,
	  "the guest's root is root on -v directories too" },
	{ "--net", NULL, "lwip|host|none", set_net,
	  "the network: netd's own TCP/IP (default), this machine's, or none" },
	{ "--publish", "-p", "[ADDR:]HOSTPORT:GUESTPORT[/udp]", set_port,
	  "a port of the guest on this machine (ADDR: 127.0.0.1)" },
	{ "--memory", NULL, "SIZE", set_memory, "the most memory the program may have" },
	{ "--cpus", NULL, "N", set_cpus, "how many processors it may use" },
	{ "--trace", NULL, "FILE", set_trace, "record every RPC (pcapng, mode 0600)" },
	{ "--trace-payload", NULL, NULL, set_trace_payload, "... with the bytes moved" },
	{ "--log", NULL, "LIST", set_log,
	  "of unsupported, channel, warn, info, debug: to stderr" },
	{ "--strace", NULL, NULL, set_strace, "a line for every call, to stderr" },
	{ "--name", NULL, "NAME", set_name, "for strait ps, strace and stop" },
	{ "--join", NULL, "NAME", set_join,
	  "use the files and the network of a guest that runs" },
	{ "--hostname", NULL, "NAME", set_hostname, "what the program sees (default: the name)" },
	{ "--recover", NULL, "SECONDS", set_recover,
	  "how long a service that died is waited for (default 30; 0: not)" },
	{ "--hang", NULL, "SECONDS", set_hang,
	  "a service silent so long is killed (default 5; 0: never)" },
	{ "--config", NULL, "FILE", set_config,
	  "instead of all else: the guests and services that FILE describes" },
	{ "--help", "-h", NULL, set_help, "this text" },
};

void opts_help_run(void)
{
	fputs("usage: strait run [OPTIONS] PROG [ARGS]\n"
	      "       strait run --config FILE\n"
	      "\n"
	      "Runs PROG, built by strait-cc, with its files in fsd and its sockets in netd.\n"
	      "\n",
	      stdout);
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		const struct opt *t = &table[i];
		int n = printf("  %s%s%s%s%s", t->alias ? t->alias : "", t->alias ? ", " : "",
		               t->name, t->arg ? " " : "", t->arg ? t->arg : "");

		printf("%s%*s%s\n", n > 30 ? "\n" : "", n > 30 ? 32 : 32 - n, "", t->help);
	}
	fputs("\n"
	      "Exit status: the program's; 128+N when signal N ended it; 125 when strait\n"
	      "failed or was used wrongly; 126 when PROG cannot run here; 127 when it is\n"
	      "not there.\n",
	      stdout);
}

static const struct opt *find(const char *arg, const char **value)
{
	size_t len = strcspn(arg, "=");

	*value = NULL;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		const struct opt *t = &table[i];

		if (t->alias && arg[1] != '-' && !strncmp(arg, t->alias, 2)) {
			if (arg[2] && t->arg)
				*value = arg + 2; /* -p8080:80 */
			else if (arg[2])
				continue;
			return t;
		}
		if (strlen(t->name) == len && !strncmp(arg, t->name, len)) {
			*value = arg[len] ? arg + len + 1 : NULL;
			return t;
		}
	}
	return NULL;
}

void opts_init(struct run_opts *o)
{
	memset(o, 0, sizeof(*o));
	o->recover_s = RECOVER_S;
	o->hang_s = HANG_S;
	o->env = xalloc((ENV_MAX + 8) * sizeof(*o->env));
}

void opts_apply(struct run_opts *o, const char *option, const char *label, const char *value)
{
	const char *none;
	const struct opt *t = find(option, &none);

	g_label = label;
	t->set(o, value);
	g_label = NULL;
}

static void set_defaults(struct run_opts *o)
{
	char base[NAME_LEN_MAX + 1];
	const char *log = getenv("STRAIT_LOG");
	const char *slash = strrchr(o->argv[0], '/');

	if (log && *log && !o->log && !o->log_level)
		set_log(o, log);
	if (!o->cwd)
		o->cwd = "/";
	snprintf(base, 48, "%s", slash ? slash + 1 : o->argv[0]);
	if (!o->name)
		o->name = xprintf("%s-%d", opts_valid_name(base) ? base : "guest", (int)getpid());
	if (!o->hostname)
		o->hostname = o->name;
}

/* What the program finds beside -e: a container's habit, nothing of this shell's. */
static void env_defaults(struct run_opts *o)
{
	const char *term = getenv("TERM");
	static const char *const own[] = { "PATH", "HOME", "HOSTNAME", "TERM" };
	const char *value[] = {
		"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		o->uid ? "/" : "/root", o->hostname, isatty(0) && term ? term : NULL
	};

	for (unsigned i = 0; i < 4; i++) {
		size_t len = strlen(own[i]);
		bool have = !value[i];

		for (unsigned k = 0; k < o->n_env; k++)
			have |= !strncmp(o->env[k], own[i], len) && o->env[k][len] == '=';
		if (!have)
			env_add(o, xprintf("%s=%s", own[i], value[i]), len);
	}
}

/* What belongs to services is settled when they start. */
static void check_join(const struct run_opts *o)
{
	const struct mount_opt *m = o->mounts;
	const char *opt = o->n_mounts   ? (m->source ? "-v" : "--mem")
	                  : o->no_squash ? "--no-squash"
	                  : o->net_given ? "--net"
	                  : o->n_ports   ? "-p"
	                  : o->recover_given ? "--recover"
	                  : o->hang_given ? "--hang"
	                  : o->trace     ? "--trace"
	                  : o->trace_payload ? "--trace-payload" : NULL;
	const char *value = o->n_mounts ? (m->source ? m->source : m->guest)
	                    : o->net_given || o->no_squash ? ""
	                    : o->n_ports ? o->ports[0].text
	                    : o->recover_given || o->hang_given ? ""
	                    : o->trace ? o->trace : "";

	if (opt)
		die(EXIT_STRAIT,
		    "%s%s%s: cannot be given with --join, the files, network and trace are %s's; "
		    "give it when %s is started",
		    opt, *value ? " " : "", value, o->join, o->join);
}

static void check_together(struct run_opts *o)
{
	if (o->net == NET_NONE && o->n_ports)
		die(EXIT_STRAIT, "-p %s: there is nothing to publish with --net none; drop one of them",
		    o->ports[0].text);
	if (o->net == NET_HOST && o->n_ports) {
		say("note: -p %s does nothing with --net host: the program's ports are the machine's",
		    o->ports[0].text);
		o->n_ports = 0;
	}
	if (o->join)
		check_join(o);
	if (o->trace_payload && !o->trace)
		die(EXIT_STRAIT, "--trace-payload: needs --trace FILE");
}

void opts_finish(struct run_opts *o)
{
	set_defaults(o);
	env_defaults(o);
	check_together(o);
}

void opts_parse_run(int argc, char **argv, struct run_opts *o)
{
	int i = 1;

	opts_init(o);
	for (; i < argc && argv[i][0] == '-' && argv[i][1]; i++) {
		const char *value;

		if (!strcmp(argv[i], "--")) {
			i++;
			break;
		}
		const struct opt *t = find(argv[i], &value);

		if (!t)
			die(EXIT_STRAIT, "unknown option %s; `strait run --help` lists them", argv[i]);
		if (!t->arg && value)
			die(EXIT_STRAIT, "%s takes no value", t->name);
		if (t->arg && !value && ++i >= argc)
			die(EXIT_STRAIT, "%s needs a value: %s", argv[i - 1], t->arg);
		t->set(o, t->arg ? (value ? value : argv[i]) : NULL);
	}
	if (o->config) {
		if (argc != 3 && !(argc == 2 && argv[1][8] == '='))
			die(EXIT_STRAIT, "--config %s: takes no other option and no program, "
			                 "the description has them", o->config);
		return;
	}
	if (i >= argc)
		die(EXIT_STRAIT, "no program given; `strait run --help` shows the usage");
	o->argv = argv + i;
	opts_finish(o);
}
