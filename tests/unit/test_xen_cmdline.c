/* SPDX-License-Identifier: MIT */
/* The command line of a guest on Xen: quoting, options, arguments. */
#include "platform/xen/cmdline.h"
#include "suite.h"

#include <string.h>

static struct cmdline g_c;
static char g_text[8192];

static const char *parse(const char *text)
{
	strcpy(g_text, text);
	return cmdline_parse(g_text, &g_c);
}

static void words_without_a_dash_are_arguments(void)
{
	CU_ASSERT_PTR_NULL(parse("  one two\tuid=7 "));
	CU_ASSERT_EQUAL(g_c.argc, 4);
	CU_ASSERT_PTR_NULL(g_c.argv[0]);
	CU_ASSERT_STRING_EQUAL(g_c.argv[1], "one");
	CU_ASSERT_STRING_EQUAL(g_c.argv[2], "two");
	CU_ASSERT_STRING_EQUAL(g_c.argv[3], "uid=7");
	CU_ASSERT_PTR_NULL(g_c.argv[4]);
	CU_ASSERT_EQUAL(g_c.uid, 0);
}

static void an_empty_line_gives_no_arguments(void)
{
	CU_ASSERT_PTR_NULL(parse(""));
	CU_ASSERT_EQUAL(g_c.argc, 1);
	CU_ASSERT_PTR_NULL(g_c.argv[1]);
	CU_ASSERT_PTR_NULL(parse("--"));
	CU_ASSERT_EQUAL(g_c.argc, 1);
}

static void words_are_quoted_as_in_sh(void)
{
	CU_ASSERT_PTR_NULL(parse(
	        "'a \"b' \"c 'd\" e\\ f '' \"\" g'h'\"i\"\\j \"\\\"\\\\\\$\\`\\n\""));
	CU_ASSERT_EQUAL(g_c.argc, 8);
	CU_ASSERT_STRING_EQUAL(g_c.argv[1], "a \"b");
	CU_ASSERT_STRING_EQUAL(g_c.argv[2], "c 'd");
	CU_ASSERT_STRING_EQUAL(g_c.argv[3], "e f");
	CU_ASSERT_STRING_EQUAL(g_c.argv[4], "");
	CU_ASSERT_STRING_EQUAL(g_c.argv[5], "");
	CU_ASSERT_STRING_EQUAL(g_c.argv[6], "ghij");
	CU_ASSERT_STRING_EQUAL(g_c.argv[7], "\"\\$`\\n");
}

static void a_quote_that_does_not_end_is_an_error(void)
{
	CU_ASSERT_STRING_EQUAL(parse("a 'b"), "command line: a quote does not end");
	CU_ASSERT_STRING_EQUAL(parse("a \"b\\\""),
	                       "command line: a quote does not end");
	CU_ASSERT_STRING_EQUAL(parse("a \"b\\"), "command line: a quote does not end");
	CU_ASSERT_STRING_EQUAL(parse("a b\\"),
	                       "command line: a backslash stands at the end");
}

static void options_stand_before_the_dash(void)
{
	CU_ASSERT_PTR_NULL(
	        parse("argv0=/bin/x cwd=/tmp uid=1000 gid=100 groups=4,5,6 env=A=b "
	              "'env=C=d e' env=F= hostname=h log=channel log=unsupported "
	              "strace=1 stamps=1 memory=24M console=raw "
	              "shutdown-timeout=5 -- x -- y"));
	CU_ASSERT_EQUAL(g_c.argc, 4);
	CU_ASSERT_STRING_EQUAL(g_c.argv[0], "/bin/x");
	CU_ASSERT_STRING_EQUAL(g_c.argv[1], "x");
	CU_ASSERT_STRING_EQUAL(g_c.argv[2], "--");
	CU_ASSERT_STRING_EQUAL(g_c.argv[3], "y");
	CU_ASSERT_PTR_NULL(g_c.argv[4]);
	CU_ASSERT_STRING_EQUAL(g_c.cwd, "/tmp");
	CU_ASSERT_EQUAL(g_c.uid, 1000);
	CU_ASSERT_EQUAL(g_c.gid, 100);
	CU_ASSERT_EQUAL(g_c.n_groups, 3);
	CU_ASSERT_EQUAL(g_c.groups[2], 6);
	CU_ASSERT_EQUAL(g_c.n_envs, 3);
	CU_ASSERT_STRING_EQUAL(g_c.envp[0], "A=b");
	CU_ASSERT_STRING_EQUAL(g_c.envp[1], "C=d e");
	CU_ASSERT_STRING_EQUAL(g_c.envp[2], "F=");
	CU_ASSERT_PTR_NULL(g_c.envp[3]);
	CU_ASSERT_STRING_EQUAL(g_c.hostname, "h");
	CU_ASSERT_EQUAL(g_c.log, 3);
	CU_ASSERT_TRUE(g_c.strace && g_c.stamps && g_c.raw_console);
	CU_ASSERT_EQUAL(g_c.memory, 24u << 20);
	CU_ASSERT_EQUAL(g_c.timeout, 5);
}

static void what_is_not_said_has_its_default(void)
{
	CU_ASSERT_PTR_NULL(parse("-- x"));
	CU_ASSERT_PTR_NULL(g_c.argv[0]);
	CU_ASSERT_PTR_NULL(g_c.cwd);
	CU_ASSERT_PTR_NULL(g_c.hostname);
	CU_ASSERT_EQUAL(g_c.memory, 0);
	CU_ASSERT_EQUAL(g_c.timeout, 30);
	CU_ASSERT_FALSE(g_c.strace || g_c.stamps || g_c.raw_console);
}

static void bad_options_name_themselves(void)
{
	static const char *const bad[][2] = {
	        {"colour=blue --", "command line: no such option: colour=blue"},
	        {"uid=-1 --", "command line: bad value of option: uid="},
	        {"uid=4294967295 --", "command line: bad value of option: uid="},
	        {"uid=99999999999999999999 --",
	         "command line: bad value of option: uid="},
	        {"gid= --", "command line: bad value of option: gid="},
	        {"groups=1,,2 --", "command line: bad value of option: groups="},
	        {"cwd=tmp --", "command line: bad value of option: cwd="},
	        {"env==x --", "command line: bad value of option: env="},
	        {"env=x --", "command line: bad value of option: env="},
	        {"hostname= --", "command line: bad value of option: hostname="},
	        {"log=all --", "command line: bad value of option: log="},
	        {"strace=yes --", "command line: bad value of option: strace="},
	        {"memory=20000000000G --",
	         "command line: bad value of option: memory="},
	        {"memory=M --", "command line: bad value of option: memory="},
	        {"console=vga --", "command line: bad value of option: console="},
	        {"shutdown-timeout=86401 --",
	         "command line: bad value of option: shutdown-timeout="},
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CU_ASSERT_STRING_EQUAL(parse(bad[i][0]), bad[i][1]);
}

static void an_error_is_a_line_of_plain_text(void)
{
	const char *why =
	        parse("'x\n\x1b[2J"
	              "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa' --");

	CU_ASSERT_PTR_NOT_NULL_FATAL(why);
	CU_ASSERT_PTR_NOT_NULL(strstr(why, "x??[2J"));
	CU_ASSERT_TRUE(strlen(why) < CMDLINE_ERROR_MAX);
}

static void too_many_words_are_refused(void)
{
	char text[2 * CMDLINE_ARGS_MAX + 8];

	for (int i = 0; i <= CMDLINE_ARGS_MAX; i++)
		memcpy(text + 2 * i, "a ", 3);
	CU_ASSERT_STRING_EQUAL(parse(text), "command line: too many words");
	text[2 * CMDLINE_ARGS_MAX] = '\0';
	CU_ASSERT_PTR_NULL(parse(text));
	CU_ASSERT_EQUAL(g_c.argc, CMDLINE_ARGS_MAX + 1);
}

static void hex_and_numbers_are_exact(void)
{
	uint8_t id[2];
	uint64_t v;

	CU_ASSERT_TRUE(cmdline_hex("0aFf", id, 2) && id[0] == 0x0a && id[1] == 0xff);
	CU_ASSERT_FALSE(cmdline_hex("0aF", id, 2));
	CU_ASSERT_FALSE(cmdline_hex("0aFf0", id, 2));
	CU_ASSERT_FALSE(cmdline_hex("0aFg", id, 2));
	CU_ASSERT_TRUE(cmdline_number("18446744073709551615", UINT64_MAX, &v) &&
	               v == UINT64_MAX);
	CU_ASSERT_FALSE(cmdline_number("18446744073709551616", UINT64_MAX, &v));
	CU_ASSERT_FALSE(cmdline_number("", 9, &v));
	CU_ASSERT_FALSE(cmdline_number("1 ", 9, &v));
	CU_ASSERT_FALSE(cmdline_number("10", 9, &v));
}

int main(void)
{
	static CU_TestInfo tests[] = {
	        TEST(words_without_a_dash_are_arguments),
	        TEST(an_empty_line_gives_no_arguments),
	        TEST(words_are_quoted_as_in_sh),
	        TEST(a_quote_that_does_not_end_is_an_error),
	        TEST(options_stand_before_the_dash),
	        TEST(what_is_not_said_has_its_default),
	        TEST(bad_options_name_themselves),
	        TEST(an_error_is_a_line_of_plain_text),
	        TEST(too_many_words_are_refused),
	        TEST(hex_and_numbers_are_exact),
	        CU_TEST_INFO_NULL,
	};

	return suite_run("cmdline of a guest on Xen", NULL, NULL, tests);
}
