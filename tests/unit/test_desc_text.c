/* SPDX-License-Identifier: MIT */
/* The small syntaxes inside a description, and that a guest on Xen reads what they give. */
#include "platform/xen/cmdline.h"
#include "suite.h"
#include "tools/strait/desc.h"

#include <stdlib.h>
#include <string.h>

/* What desc_text.c takes from the rest of the command. */
void *xalloc(size_t size)
{
	void *p = calloc(1, size ? size : 1);

	if (!p)
		abort();
	return p;
}

static char g_parts[16][256];
static unsigned g_n;

static void collect(void *arg, char *part)
{
	(void)arg;
	if (g_n < 16)
		strncpy(g_parts[g_n++], part, 255);
}

static const char *split(const char *text)
{
	char copy[512];

	memset(g_parts, 0, sizeof(g_parts));
	g_n = 0;
	strcpy(copy, text);
	return desc_split(copy, collect, NULL);
}

static void parts_stand_between_commas(void)
{
	CU_ASSERT_PTR_NULL(split(" web , elf=./x,memory = 32,"));
	CU_ASSERT_EQUAL(g_n, 3);
	CU_ASSERT_STRING_EQUAL(g_parts[0], "web");
	CU_ASSERT_STRING_EQUAL(g_parts[1], "elf=./x");
	CU_ASSERT_STRING_EQUAL(g_parts[2], "memory = 32");
	CU_ASSERT_PTR_NULL(split(""));
	CU_ASSERT_EQUAL(g_n, 0);
}

static void quotes_hold_commas(void)
{
	CU_ASSERT_PTR_NULL(split("groups='5,6', args=\"a, b\",x= 'c,d'"));
	CU_ASSERT_EQUAL(g_n, 3);
	CU_ASSERT_STRING_EQUAL(g_parts[0], "groups=5,6");
	CU_ASSERT_STRING_EQUAL(g_parts[1], "args=a, b");
	CU_ASSERT_STRING_EQUAL(g_parts[2], "x= c,d");
}

static void quotes_inside_a_value_are_its_own(void)
{
	CU_ASSERT_PTR_NULL(split("args=-c 'a, b' d,args='a' 'b'"));
	CU_ASSERT_STRING_EQUAL(g_parts[0], "args=-c 'a, b' d");
	CU_ASSERT_STRING_EQUAL(g_parts[1], "args='a' 'b'");
}

static void what_cannot_be_cut_is_said(void)
{
	CU_ASSERT_PTR_NOT_NULL(split("a,,b=c"));
	CU_ASSERT_PTR_NOT_NULL(split(", a"));
	CU_ASSERT_PTR_NOT_NULL(split("a='b"));
	CU_ASSERT_PTR_NOT_NULL(split("a=\"b'"));
}

static void words_as_a_shell_takes_them(void)
{
	unsigned n;
	char **w = desc_words(" a 'b c'\t\"d \\\" e\" f\\ g '' h'i'\"j\" 'k\\l'", &n);

	CU_ASSERT_PTR_NOT_NULL_FATAL(w);
	CU_ASSERT_EQUAL_FATAL(n, 7);
	CU_ASSERT_STRING_EQUAL(w[0], "a");
	CU_ASSERT_STRING_EQUAL(w[1], "b c");
	CU_ASSERT_STRING_EQUAL(w[2], "d \" e");
	CU_ASSERT_STRING_EQUAL(w[3], "f g");
	CU_ASSERT_STRING_EQUAL(w[4], "");
	CU_ASSERT_STRING_EQUAL(w[5], "hij");
	CU_ASSERT_STRING_EQUAL(w[6], "k\\l");
	CU_ASSERT_PTR_NULL(w[7]);
	free(w);
	CU_ASSERT_PTR_NULL(desc_words("a 'b", &n));
}

/* Any word, quoted, is one word again: here and in the guest. */
static void a_quoted_word_reaches_the_guest(void)
{
	static const char alphabet[] = "ab'\"\\ \t$`\n;=-#\x01\xc3";
	static struct cmdline c;
	char word[16], line[256];

	srand(1);
	for (int round = 0; round < 20000; round++) {
		size_t len = (size_t)rand() % sizeof(word);
		unsigned n;

		for (size_t i = 0; i < len; i++)
			word[i] = alphabet[(size_t)rand() % (sizeof(alphabet) - 1)];
		word[len ? len - 1 : 0] = 0;
		char *quoted = desc_quote(word);
		char **back = desc_words(quoted, &n);

		CU_ASSERT_PTR_NOT_NULL_FATAL(back);
		CU_ASSERT_EQUAL_FATAL(n, 1);
		CU_ASSERT_STRING_EQUAL_FATAL(back[0], word);
		snprintf(line, sizeof(line), "argv0=x -- %s %s", quoted, quoted);
		CU_ASSERT_PTR_NULL_FATAL(cmdline_parse(line, &c));
		CU_ASSERT_EQUAL_FATAL(c.argc, 3);
		CU_ASSERT_STRING_EQUAL_FATAL(c.argv[2], word);
		free(back);
		free(quoted);
	}
}

static char g_names[128];

static void add_name(void *arg, const char *name, int line)
{
	(void)arg;
	snprintf(g_names + strlen(g_names), sizeof(g_names) - strlen(g_names), "%s:%d ", name, line);
}

static void names_at_the_top_with_their_lines(void)
{
	desc_top_names("# a = 1\nname = \"x = [\"\nlist = [ 'b',\n [ c, \"d\\\"e\" ] ]\nz += 3; y = 'q'\n",
	               add_name, NULL);
	CU_ASSERT_STRING_EQUAL(g_names, "name:2 list:3 z:5 y:5 ");
}

int main(void)
{
	static CU_TestInfo tests[] = {
		TEST(parts_stand_between_commas),
		TEST(quotes_hold_commas),
		TEST(quotes_inside_a_value_are_its_own),
		TEST(what_cannot_be_cut_is_said),
		TEST(words_as_a_shell_takes_them),
		TEST(a_quoted_word_reaches_the_guest),
		TEST(names_at_the_top_with_their_lines),
		CU_TEST_INFO_NULL,
	};

	return suite_run("desc_text", NULL, NULL, tests);
}
