/* SPDX-License-Identifier: MIT */
/*
 * ldisc.c - see ldisc.h.
 *
 *     head ......... ready ......... tail
 *     | complete lines | the line that is edited |
 *
 * In canonical mode a read gets up to one line.  A line ends with its newline, or
 * with an end-of-file mark, which is read as nothing.  In raw mode all is complete.
 */
#include "platform/xen/ldisc.h"

#include <signal.h>
#include <termios.h>

#define CHAR 0xffu
#define END 0x100u  /* a line ends behind it */
#define MARK 0x200u /* an end-of-file mark, no character */
#define DEL 0x7f
#define DISABLED 0 /* _POSIX_VDISABLE */

static bool has(const struct ldisc *l, uint32_t flag)
{
	return (l->t.lflag & flag) != 0;
}

static uint16_t *at(struct ldisc *l, uint32_t i)
{
	return &l->buf[i % LDISC_SIZE];
}

static uint16_t get(const struct ldisc *l, uint32_t i)
{
	return l->buf[i % LDISC_SIZE];
}

static bool is_cc(const struct ldisc *l, uint8_t c, unsigned which)
{
	return c == l->t.cc[which] && c != DISABLED;
}

void ldisc_init(struct ldisc *l, void (*echo)(char c), void (*signal)(int sig))
{
	*l = (struct ldisc){
	        .t = {.iflag = ICRNL | IUTF8,
	              .oflag = OPOST | ONLCR,
	              .cflag = B38400 | CS8 | CREAD,
	              .lflag = ISIG | ICANON | ECHO | ECHOE | ECHOK | ECHOCTL | ECHOKE |
	                       IEXTEN},
	        .echo = echo,
	        .signal = signal,
	};
	l->t.cc[VINTR] = 3;
	l->t.cc[VQUIT] = 28;
	l->t.cc[VERASE] = DEL;
	l->t.cc[VKILL] = 21;
	l->t.cc[VEOF] = 4;
	l->t.cc[VMIN] = 1;
	l->t.cc[VREPRINT] = 18;
	l->t.cc[VWERASE] = 23;
	l->t.cc[VLNEXT] = 22;
}

/* ---- echo ---- */

unsigned ldisc_output(const struct ldisc *l, char c, char to[2])
{
	unsigned n = 0;

	if ((l->t.oflag & OPOST) && (l->t.oflag & ONLCR) && c == '\n')
		to[n++] = '\r';
	to[n++] = c;
	return n;
}

static void echo_raw(struct ldisc *l, char c)
{
	char out[2];
	const unsigned n = ldisc_output(l, c, out);

	for (unsigned i = 0; i < n; i++)
		l->echo(out[i]);
}

static bool shown_with_hat(const struct ldisc *l, uint8_t c)
{
	return has(l, ECHOCTL) && (c < ' ' || c == DEL) && c != '\t' && c != '\n';
}

static void echo(struct ldisc *l, uint8_t c)
{
	if (!has(l, ECHO))
		return;
	if (shown_with_hat(l, c)) {
		echo_raw(l, '^');
		c ^= 0x40;
	}
	echo_raw(l, (char)c);
}

/* ---- editing ---- */

/* Part of a character that began earlier. */
static bool continues(const struct ldisc *l, uint8_t c)
{
	return (l->t.iflag & IUTF8) && (c & 0xc0) == 0x80;
}

static void rub_out(struct ldisc *l, uint8_t c)
{
	if (!has(l, ECHO) || continues(l, c))
		return;
	if (!has(l, ECHOE)) {
		echo(l, l->t.cc[VERASE]);
		return;
	}
	for (unsigned i = shown_with_hat(l, c) ? 2 : 1; i; i--) {
		echo_raw(l, '\b');
		echo_raw(l, ' ');
		echo_raw(l, '\b');
	}
}

static void erase_one(struct ldisc *l)
{
	uint8_t c;

	do {
		if (l->tail == l->ready)
			return;
		c = (uint8_t)(get(l, --l->tail) & CHAR);
		rub_out(l, c);
	} while (continues(l, c));
}

static bool in_word(const struct ldisc *l)
{
	const uint16_t c = get(l, l->tail - 1) & CHAR;

	return l->tail != l->ready && c != ' ' && c != '\t';
}

static void erase_word(struct ldisc *l)
{
	while (l->tail != l->ready && !in_word(l))
		erase_one(l);
	while (in_word(l))
		erase_one(l);
}

static void erase_line(struct ldisc *l)
{
	if (has(l, ECHOKE)) {
		while (l->tail != l->ready)
			erase_one(l);
		return;
	}
	l->tail = l->ready;
	echo(l, l->t.cc[VKILL]);
	if (has(l, ECHOK) && has(l, ECHO))
		echo_raw(l, '\n');
}

static void reprint(struct ldisc *l)
{
	echo(l, l->t.cc[VREPRINT]);
	echo_raw(l, '\n');
	for (uint32_t i = l->ready; i != l->tail; i++)
		echo(l, (uint8_t)(get(l, i) & CHAR));
}

/* ---- input ---- */

bool ldisc_full(const struct ldisc *l)
{
	/* A line that is edited is never a reason to wait: what is too much is refused. */
	return l->tail - l->head >= LDISC_SIZE - 1 &&
	       (!has(l, ICANON) || l->ready != l->head);
}

static void append(struct ldisc *l, uint16_t c)
{
	*at(l, l->tail) = c;
	l->tail++;
	if ((c & END) || !has(l, ICANON))
		l->ready = l->tail;
}

/* VINTR or VQUIT? */
static bool take_signal(struct ldisc *l, uint8_t c)
{
	const int sig = is_cc(l, c, VINTR) ? SIGINT : is_cc(l, c, VQUIT) ? SIGQUIT : 0;

	if (!sig || !has(l, ISIG))
		return false;
	if (!has(l, NOFLSH))
		ldisc_flush(l);
	echo(l, c);
	l->signal(sig);
	return true;
}

/* A key that edits, in canonical mode? */
static bool take_edit(struct ldisc *l, uint8_t c)
{
	if (is_cc(l, c, VERASE) || (c == '\b' && l->t.cc[VERASE] == DEL))
		erase_one(l);
	else if (is_cc(l, c, VKILL))
		erase_line(l);
	else if (is_cc(l, c, VWERASE) && has(l, IEXTEN))
		erase_word(l);
	else if (is_cc(l, c, VREPRINT) && has(l, IEXTEN))
		reprint(l);
	else if (is_cc(l, c, VEOF))
		append(l, END | MARK);
	else
		return false;
	return true;
}

static bool ends_line(const struct ldisc *l, uint8_t c)
{
	return c == '\n' || is_cc(l, c, VEOL) || is_cc(l, c, VEOL2);
}

static void take_char(struct ldisc *l, uint8_t c)
{
	const bool end = has(l, ICANON) && !l->literal && ends_line(l, c);

	l->literal = false;
	/* The last place is kept for what ends the line. */
	if (!end && l->tail - l->head >= LDISC_SIZE - 1) {
		echo_raw(l, '\a');
		return;
	}
	if (c == '\n' && has(l, ECHONL) && !has(l, ECHO))
		echo_raw(l, '\n');
	echo(l, c);
	append(l, end ? c | END : c);
}

void ldisc_input(struct ldisc *l, uint8_t c)
{
	if (l->t.iflag & ISTRIP)
		c &= 0x7f;
	if (l->literal) {
		take_char(l, c);
		return;
	}
	if (c == '\r' && (l->t.iflag & IGNCR))
		return;
	if (c == '\r' && (l->t.iflag & ICRNL))
		c = '\n';
	else if (c == '\n' && (l->t.iflag & INLCR))
		c = '\r';
	if (take_signal(l, c))
		return;
	if (has(l, ICANON)) {
		if (take_edit(l, c))
			return;
		if (is_cc(l, c, VLNEXT) && has(l, IEXTEN)) {
			l->literal = true;
			return;
		}
	}
	take_char(l, c);
}

/* ---- reading ---- */

bool ldisc_readable(const struct ldisc *l)
{
	const uint32_t n = l->ready - l->head;

	if (has(l, ICANON))
		return n > 0;
	return n > 0 && n >= l->t.cc[VMIN];
}

size_t ldisc_count(const struct ldisc *l)
{
	size_t n = 0;

	for (uint32_t i = l->head; i != l->ready; i++)
		n += !(get(l, i) & MARK);
	return n;
}

long ldisc_read(struct ldisc *l, char *to, size_t n)
{
	size_t done = 0;

	if (!ldisc_readable(l))
		return !has(l, ICANON) && l->t.cc[VMIN] == 0 ? 0 : -1;
	while (l->head != l->ready) {
		const uint16_t c = get(l, l->head);

		if (c & MARK) {
			l->head++;
			break;
		}
		if (done == n)
			break;
		to[done++] = (char)(c & CHAR);
		l->head++;
		/* A mark behind a full buffer would be read as an end of file of its own. */
		if (has(l, ICANON) && (c & END))
			break;
		if (done == n && l->head != l->ready && !(get(l, l->head) & MARK))
			break;
	}
	return (long)done;
}

void ldisc_flush(struct ldisc *l)
{
	l->head = l->ready = l->tail;
}

void ldisc_set(struct ldisc *l, const struct ldisc_termios *t, bool flush)
{
	l->t = *t;
	if (flush)
		ldisc_flush(l);
	if (!has(l, ICANON))
		l->ready = l->tail; /* what was being edited can be read now */
}
