/* SPDX-License-Identifier: MIT */
/* The terminal of the PV console: lines, keys that edit, echo, raw mode. */
#include "platform/xen/ldisc.h"
#include "suite.h"

#include <signal.h>
#include <string.h>
#include <termios.h>

static struct ldisc g_l;
static char g_echo[20000], g_line[5000];
static size_t g_n_echo;
static int g_signal;

static void echo(char c)
{
	g_echo[g_n_echo++] = c;
	g_echo[g_n_echo] = '\0';
}

static void sent(int sig)
{
	g_signal = sig;
}

static void start(void)
{
	g_n_echo = 0;
	g_echo[0] = '\0';
	g_signal = 0;
	ldisc_init(&g_l, echo, sent);
}

static void type(const char *s)
{
	for (; *s; s++)
		ldisc_input(&g_l, (uint8_t)*s);
}

/* The result of a read of @n bytes; what it gave in g_line. */
static long get(size_t n)
{
	const long r = ldisc_read(&g_l, g_line, n);

	g_line[r > 0 ? r : 0] = '\0';
	return r;
}

static void raw(uint8_t min)
{
	struct ldisc_termios t = g_l.t;

	t.iflag = t.oflag = t.lflag = 0;
	t.cc[VMIN] = min;
	ldisc_set(&g_l, &t, true);
}

static void a_read_gets_one_line(void)
{
	start();
	type("ab");
	CU_ASSERT_FALSE(ldisc_readable(&g_l));
	CU_ASSERT_EQUAL(get(100), -1);
	type("c\rde\r");
	CU_ASSERT_EQUAL(ldisc_count(&g_l), 7);
	CU_ASSERT_EQUAL(get(100), 4);
	CU_ASSERT_STRING_EQUAL(g_line, "abc\n");
	CU_ASSERT_EQUAL(get(2), 2);
	CU_ASSERT_STRING_EQUAL(g_line, "de");
	CU_ASSERT_EQUAL(get(2), 1);
	CU_ASSERT_STRING_EQUAL(g_line, "\n");
	CU_ASSERT_EQUAL(get(2), -1);
	CU_ASSERT_STRING_EQUAL(g_echo, "abc\r\nde\r\n");
}

static void keys_edit_the_line(void)
{
	start();
	type("abx\x7f"
	     "c one two\x17three\r");
	CU_ASSERT_EQUAL(get(100), 14);
	CU_ASSERT_STRING_EQUAL(g_line, "abc one three\n");
	type("gone\x15ok\r");
	(void)get(100);
	CU_ASSERT_STRING_EQUAL(g_line, "ok\n");
	type("\x7f\x7f\x17\x15x\r"); /* nothing to erase */
	(void)get(100);
	CU_ASSERT_STRING_EQUAL(g_line, "x\n");
}

static void erasing_takes_a_whole_character(void)
{
	start();
	type("a\xc3\xa4\x7f");
	CU_ASSERT_STRING_EQUAL(g_echo, "a\xc3\xa4\b \b");
	type("b\r");
	(void)get(100);
	CU_ASSERT_STRING_EQUAL(g_line, "ab\n");
	start();
	type("\x01\x7f");
	CU_ASSERT_STRING_EQUAL(g_echo, "^A\b \b\b \b");
}

static void end_of_file_ends_a_line_or_the_input(void)
{
	start();
	type("ab\x04\x04");
	CU_ASSERT_EQUAL(get(100), 2);
	CU_ASSERT_STRING_EQUAL(g_line, "ab");
	CU_ASSERT_EQUAL(get(100), 0);
	CU_ASSERT_EQUAL(get(100), -1);
	type("ab\x04"); /* the mark behind a full buffer is not an end of its own */
	CU_ASSERT_EQUAL(get(2), 2);
	CU_ASSERT_EQUAL(get(2), -1);
}

static void signals_are_sent_and_flush(void)
{
	start();
	type("line\rhalf\x03");
	CU_ASSERT_EQUAL(g_signal, SIGINT);
	CU_ASSERT_EQUAL(get(100), -1);
	CU_ASSERT_STRING_EQUAL(g_echo, "line\r\nhalf^C");
	type("\x1c");
	CU_ASSERT_EQUAL(g_signal, SIGQUIT);
	g_signal = 0;
	type("\x16\x03\r"); /* quoted */
	CU_ASSERT_EQUAL(g_signal, 0);
	CU_ASSERT_EQUAL(get(100), 2);
	CU_ASSERT_STRING_EQUAL(g_line, "\x03\n");
}

static void raw_mode_gives_every_byte(void)
{
	start();
	raw(1);
	type("\x03\x04\r\n\x7f");
	ldisc_input(&g_l, 0);
	ldisc_input(&g_l, 0xff);
	CU_ASSERT_EQUAL(get(100), 7);
	CU_ASSERT_EQUAL(memcmp(g_line, "\x03\x04\r\n\x7f\0\xff", 7), 0);
	CU_ASSERT_EQUAL(g_n_echo, 0);
	CU_ASSERT_EQUAL(g_signal, 0);
}

static void vmin_tells_when_a_read_returns(void)
{
	start();
	raw(3);
	type("ab");
	CU_ASSERT_FALSE(ldisc_readable(&g_l));
	type("c");
	CU_ASSERT_EQUAL(get(2), 2);
	raw(0);
	CU_ASSERT_EQUAL(get(2), 0);
	CU_ASSERT_FALSE(ldisc_readable(&g_l));
}

static void a_half_line_can_be_read_once_raw(void)
{
	struct ldisc_termios t;

	start();
	type("half");
	t = g_l.t;
	t.lflag &= ~(uint32_t)ICANON;
	ldisc_set(&g_l, &t, false);
	CU_ASSERT_EQUAL(get(100), 4);
}

static void a_line_too_long_rings_the_bell(void)
{
	start();
	for (unsigned i = 0; i < LDISC_SIZE + 100; i++) {
		CU_ASSERT_FALSE_FATAL(ldisc_full(&g_l));
		ldisc_input(&g_l, 'x');
	}
	CU_ASSERT_EQUAL(g_echo[g_n_echo - 1], '\a');
	type("\r");
	CU_ASSERT_TRUE(ldisc_full(&g_l));
	CU_ASSERT_EQUAL(get(5000), LDISC_SIZE);
	CU_ASSERT_EQUAL(g_line[LDISC_SIZE - 1], '\n');
	CU_ASSERT_FALSE(ldisc_full(&g_l));
}

static void raw_input_waits_when_the_buffer_is_full(void)
{
	unsigned n = 0;

	start();
	raw(1);
	while (!ldisc_full(&g_l) && n < 10000) {
		ldisc_input(&g_l, 'y');
		n++;
	}
	CU_ASSERT_EQUAL(n, LDISC_SIZE - 1);
	CU_ASSERT_EQUAL(get(10), 10);
	CU_ASSERT_FALSE(ldisc_full(&g_l));
}

static void output_gets_its_carriage_returns(void)
{
	char c[2];

	start();
	CU_ASSERT_EQUAL(ldisc_output(&g_l, '\n', c), 2);
	CU_ASSERT_EQUAL(memcmp(c, "\r\n", 2), 0);
	CU_ASSERT_EQUAL(ldisc_output(&g_l, 'a', c), 1);
	raw(1);
	CU_ASSERT_EQUAL(ldisc_output(&g_l, '\n', c), 1);
}

int main(void)
{
	static CU_TestInfo tests[] = {
	        TEST(a_read_gets_one_line),
	        TEST(keys_edit_the_line),
	        TEST(erasing_takes_a_whole_character),
	        TEST(end_of_file_ends_a_line_or_the_input),
	        TEST(signals_are_sent_and_flush),
	        TEST(raw_mode_gives_every_byte),
	        TEST(vmin_tells_when_a_read_returns),
	        TEST(a_half_line_can_be_read_once_raw),
	        TEST(a_line_too_long_rings_the_bell),
	        TEST(raw_input_waits_when_the_buffer_is_full),
	        TEST(output_gets_its_carriage_returns),
	        CU_TEST_INFO_NULL,
	};

	return suite_run("terminal of the PV console", NULL, NULL, tests);
}
