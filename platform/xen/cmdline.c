/* SPDX-License-Identifier: MIT */
/*
 * cmdline.c - see cmdline.h.
 *
 * Splitting unquotes in place: the text only gets shorter.  A word that was quoted
 * in part is a word all the same; "--" ends the options however it was quoted.
 */
#include "platform/xen/cmdline.h"

#define LOG_UNSUPPORTED 1u /* BOOT_LOG_UNSUPPORTED of the hosted boot block */
#define LOG_CHANNEL 2u
#define TIMEOUT_DEFAULT 30u
#define TIMEOUT_MAX 86400u
#define RECOVER_DEFAULT 30u

static bool blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool equal(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	return *a == *b;
}

/* Behind @prefix in @s, or NULL. */
static char *behind(char *s, const char *prefix)
{
	while (*prefix)
		if (*s++ != *prefix++)
			return NULL;
	return s;
}

static size_t text_add(char *to, size_t n, size_t size, const char *s, size_t max)
{
	for (; *s && max && n + 1 < size; s++, max--)
		to[n++] = *s >= ' ' && *s < 127 ? *s : '?';
	to[n] = '\0';
	return n;
}

/* "command line: WHAT: WORD" */
static const char *fail(struct cmdline *c, const char *what, const char *word)
{
	size_t n = text_add(c->error, 0, sizeof(c->error), "command line: ", 99);

	n = text_add(c->error, n, sizeof(c->error), what, 99);
	if (word) {
		n = text_add(c->error, n, sizeof(c->error), ": ", 2);
		(void)text_add(c->error, n, sizeof(c->error), word, 40);
	}
	return c->error;
}

/* ---- words ---- */

/* Unquote a "..." from *@from to *@to; false: it does not end. */
static bool take_double(char **from, char **to)
{
	char *p = *from;

	for (; *p && *p != '"'; p++) {
		if (p[0] == '\\' &&
		    (p[1] == '"' || p[1] == '\\' || p[1] == '$' || p[1] == '`'))
			p++;
		*(*to)++ = *p;
	}
	*from = p + 1;
	return *p == '"';
}

static bool take_single(char **from, char **to)
{
	char *p = *from;

	while (*p && *p != '\'')
		*(*to)++ = *p++;
	*from = p + 1;
	return *p == '\'';
}

/* The next word of *@at, unquoted in place.  1: there is one, 0: the end, -1: with
 * an error in *@why. */
static int next_word(char **at, char **word, const char **why)
{
	char *from = *at, *to;
	char c;

	while (blank(*from))
		from++;
	*word = to = from;
	if (!*from)
		return 0;
	while ((c = *from) && !blank(c)) {
		from++;
		if (c == '\'' || c == '"') {
			if (!(c == '"' ? take_double(&from, &to)
			               : take_single(&from, &to))) {
				*why = "a quote does not end";
				return -1;
			}
		} else if (c != '\\') {
			*to++ = c;
		} else if (*from) {
			*to++ = *from++;
		} else {
			*why = "a backslash stands at the end";
			return -1;
		}
	}
	if (*from)
		from++;
	*to = '\0';
	*at = from;
	return 1;
}

/* ---- values ---- */

bool cmdline_number(const char *s, uint64_t max, uint64_t *to)
{
	uint64_t v = 0;

	if (!*s)
		return false;
	for (; *s; s++) {
		const uint64_t digit = (uint64_t)(*s - '0');

		if (*s < '0' || *s > '9' || v > (UINT64_MAX - digit) / 10)
			return false;
		v = v * 10 + digit;
	}
	if (v > max)
		return false;
	*to = v;
	return true;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool cmdline_hex(const char *s, uint8_t *to, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const int hi = hex_digit(s[2 * i]);
		const int lo = hi < 0 ? -1 : hex_digit(s[2 * i + 1]);

		if (lo < 0)
			return false;
		to[i] = (uint8_t)(hi << 4 | lo);
	}
	return s[2 * n] == '\0';
}

static bool number32(const char *s, uint32_t *to)
{
	uint64_t v;

	if (!cmdline_number(s, UINT32_MAX - 1, &v)) /* -1 is nobody */
		return false;
	*to = (uint32_t)v;
	return true;
}

/* Digits, then K, M or G or nothing. */
static bool bytes(char *s, uint64_t *to)
{
	unsigned shift = 0;
	char *end = s;

	while (*end)
		end++;
	if (end > s) {
		const char unit = end[-1];

		shift = unit == 'K' || unit == 'k'   ? 10
		        : unit == 'M' || unit == 'm' ? 20
		        : unit == 'G' || unit == 'g' ? 30
		                                     : 0;
		if (shift)
			end[-1] = '\0';
	}
	if (!cmdline_number(s, UINT64_MAX >> shift, to))
		return false;
	*to <<= shift;
	return true;
}

static bool flag(const char *s, bool *to)
{
	*to = equal(s, "1");
	return *to || equal(s, "0");
}

/* ---- options ---- */

static bool set_argv0(struct cmdline *c, char *v)
{
	c->argv[0] = v;
	return true;
}

static bool set_cwd(struct cmdline *c, char *v)
{
	c->cwd = v;
	return *v == '/';
}

static bool set_uid(struct cmdline *c, char *v)
{
	return number32(v, &c->uid);
}

static bool set_gid(struct cmdline *c, char *v)
{
	return number32(v, &c->gid);
}

static bool set_groups(struct cmdline *c, char *v)
{
	bool more = *v != '\0';

	c->n_groups = 0;
	while (more) {
		char *end = v;

		while (*end && *end != ',')
			end++;
		more = *end != '\0';
		*end = '\0';
		if (c->n_groups == CMDLINE_GROUPS_MAX ||
		    !number32(v, &c->groups[c->n_groups]))
			return false;
		c->n_groups++;
		v = end + 1;
	}
	return true;
}

static bool set_env(struct cmdline *c, char *v)
{
	const char *p = v;

	while (*p && *p != '=')
		p++;
	if (p == v || !*p || c->n_envs == CMDLINE_ENVS_MAX)
		return false;
	c->envp[c->n_envs++] = v;
	return true;
}

static bool set_hostname(struct cmdline *c, char *v)
{
	size_t n = 0;

	while (v[n])
		n++;
	c->hostname = v;
	return n > 0 && n <= CMDLINE_HOSTNAME_MAX;
}

static bool set_log(struct cmdline *c, char *v)
{
	if (equal(v, "unsupported"))
		c->log |= LOG_UNSUPPORTED;
	else if (equal(v, "channel"))
		c->log |= LOG_CHANNEL;
	else
		return false;
	return true;
}

static bool set_strace(struct cmdline *c, char *v)
{
	return flag(v, &c->strace);
}

static bool set_stamps(struct cmdline *c, char *v)
{
	return flag(v, &c->stamps);
}

static bool set_memory(struct cmdline *c, char *v)
{
	return bytes(v, &c->memory);
}

static bool set_console(struct cmdline *c, char *v)
{
	c->raw_console = equal(v, "raw");
	return c->raw_console || equal(v, "tty");
}

static bool set_timeout(struct cmdline *c, char *v)
{
	uint64_t s;

	if (!cmdline_number(v, TIMEOUT_MAX, &s))
		return false;
	c->timeout = (uint32_t)s;
	return true;
}

static bool set_recover(struct cmdline *c, char *v)
{
	uint64_t s;

	if (!cmdline_number(v, TIMEOUT_MAX, &s))
		return false;
	c->recover = (uint32_t)s;
	return true;
}

static const struct {
	const char *name;
	bool (*set)(struct cmdline *c, char *value);
} g_options[] = {
        {"argv0=", set_argv0},
        {"cwd=", set_cwd},
        {"uid=", set_uid},
        {"gid=", set_gid},
        {"groups=", set_groups},
        {"env=", set_env},
        {"hostname=", set_hostname},
        {"log=", set_log},
        {"strace=", set_strace},
        {"stamps=", set_stamps},
        {"memory=", set_memory},
        {"console=", set_console},
        {"shutdown-timeout=", set_timeout},
        {"recover=", set_recover},
};

static const char *take_option(struct cmdline *c, char *word)
{
	for (size_t i = 0; i < sizeof(g_options) / sizeof(g_options[0]); i++) {
		char *value = behind(word, g_options[i].name);

		if (!value)
			continue;
		if (!g_options[i].set(c, value))
			return fail(c, "bad value of option", g_options[i].name);
		return NULL;
	}
	return fail(c, "no such option", word);
}

const char *cmdline_parse(char *text, struct cmdline *c)
{
	const char *why = NULL;
	char *word;
	int r, n = 0, split = -1;

	*c = (struct cmdline){.timeout = TIMEOUT_DEFAULT,
	                      .recover = RECOVER_DEFAULT};
	/* All words first: only a `--` tells whether there are options. */
	while ((r = next_word(&text, &word, &why)) > 0) {
		if (split < 0 && equal(word, "--")) {
			split = n;
			continue;
		}
		if (n == CMDLINE_ARGS_MAX)
			return fail(c, "too many words", NULL);
		c->argv[1 + n++] = word;
	}
	if (r < 0)
		return fail(c, why, NULL);
	for (int i = 0; i < split; i++) {
		why = take_option(c, c->argv[1 + i]);
		if (why)
			return why;
	}
	if (split < 0)
		split = 0;
	for (int i = split; i < n; i++)
		c->argv[1 + i - split] = c->argv[1 + i];
	c->argc = 1 + n - split;
	c->argv[c->argc] = NULL;
	return NULL;
}
