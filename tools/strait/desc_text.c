/* SPDX-License-Identifier: MIT */
/*
 * desc_text.c - the small syntaxes inside a description: entries and words.
 */
#include "tools/strait/desc.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* Without the quotes around the whole value: those inside are the value's own. */
static void unquote(char *part)
{
	char *v = strchr(part, '=');

	if (!v)
		return;
	v++;
	v += strspn(v, " \t");
	size_t len = strlen(v);

	if (len < 2 || (*v != '\'' && *v != '"') || strchr(v + 1, *v) != v + len - 1)
		return;
	v[len - 1] = 0;
	memmove(v, v + 1, len - 1);
}

const char *desc_split(char *text, void (*each)(void *arg, char *part), void *arg)
{
	char *in = text;

	while (*in) {
		char *part = in, *end, quote = 0;

		for (; *in && (quote || *in != ','); in++)
			if (quote ? *in == quote : (*in == '\'' || *in == '"'))
				quote = (char)(quote ? 0 : *in);
		if (quote)
			return "a quote is not closed";
		bool more = *in == ',';

		end = in;
		in += more;
		while (isspace((unsigned char)*part) && part < end)
			part++;
		while (end > part && isspace((unsigned char)end[-1]))
			end--;
		if (end == part && more)
			return "nothing stands between two commas";
		*end = 0;
		unquote(part);
		if (end > part)
			each(arg, part);
	}
	return NULL;
}

/* One word of a shell's, from *@s on, written to @out.  False: a quote stays open. */
static bool take_word(const char **s, char *out)
{
	char quote = 0;

	for (; **s && (quote || !isspace((unsigned char)**s)); (*s)++) {
		char c = **s;

		if (quote == '\'' ? c == '\'' : quote == '"' ? c == '"' : c == '\'' || c == '"') {
			quote = (char)(quote ? 0 : c);
			continue;
		}
		/* In "..", backslash quotes what is special there, else it stands. */
		if (c == '\\' && (*s)[1] &&
		    (!quote || (quote == '"' && strchr("\\\"$`", (*s)[1]))))
			c = *++*s;
		*out++ = c;
	}
	*out = 0;
	return !quote;
}

char **desc_words(const char *text, unsigned *n)
{
	const size_t len = strlen(text), most = len / 2 + 2; /* words, with NULL */
	char **list = xalloc(most * sizeof(*list) + len + most);
	char *room = (char *)(list + most);

	*n = 0;
	for (;;) {
		while (isspace((unsigned char)*text))
			text++;
		if (!*text)
			return list;
		if (!take_word(&text, room)) {
			free(list);
			return NULL;
		}
		list[(*n)++] = room;
		room += strlen(room) + 1;
	}
}

char *desc_quote(const char *word)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	                            "0123456789_-./=:,+@%^";
	char *out = xalloc(4 * strlen(word) + 3), *p = out;

	if (*word && word[strspn(word, plain)] == 0)
		return memcpy(out, word, strlen(word) + 1);
	*p++ = '\'';
	for (; *word; word++) {
		if (*word == '\'') {
			memcpy(p, "'\\''", 4);
			p += 4;
		} else {
			*p++ = *word;
		}
	}
	*p++ = '\'';
	*p = 0;
	return out;
}

static bool is_name(char c, bool first)
{
	return c == '_' || isalpha((unsigned char)c) || (!first && isdigit((unsigned char)c));
}

void desc_top_names(const char *text, void (*each)(void *arg, const char *name, int line),
                    void *arg)
{
	int line = 1, depth = 0;
	char name[64];

	for (const char *p = text; *p;) {
		if (*p == '#') {
			p += strcspn(p, "\n");
		} else if (*p == '\'' || *p == '"') {
			const char quote = *p++;

			while (*p && *p != quote && *p != '\n')
				p += *p == '\\' && p[1] && p[1] != '\n' ? 2 : 1;
			p += *p == quote;
		} else if (is_name(*p, true)) {
			size_t n = 0;

			for (; is_name(*p, false); p++)
				if (n < sizeof(name) - 1)
					name[n++] = *p;
			name[n] = 0;
			if (!depth)
				each(arg, name, line);
		} else {
			depth += (*p == '[') - (*p == ']');
			line += *p == '\n';
			p++;
		}
	}
}
