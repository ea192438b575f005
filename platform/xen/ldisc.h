/* SPDX-License-Identifier: MIT */
/*
 * ldisc.h - the terminal of the PV console: line editing, echo, signals, as Linux's
 * n_tty does them.
 *
 * `xl console` sends every key at once and shows every byte as it is: somebody has to
 * echo, to let the user correct a line, to make "\r\n" of "\n".  There is no kernel;
 * this is it.
 *
 * Layer:   platform/xen; calls nothing, so that it runs in tests.
 * Locking: the caller's (IF=0).
 * Limits:  a line of LDISC_SIZE - 1 characters; VTIME is taken as 0.
 */
#ifndef PLATFORM_XEN_LDISC_H
#define PLATFORM_XEN_LDISC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LDISC_SIZE 4096u

struct ldisc_termios { /* struct termios of Linux's TCGETS */
	uint32_t iflag, oflag, cflag, lflag;
	uint8_t line, cc[19];
};
_Static_assert(sizeof(struct ldisc_termios) == 36, "struct termios");

struct ldisc {
	struct ldisc_termios t;
	uint16_t buf[LDISC_SIZE];   /* a character, and LDISC_END or LDISC_EOF */
	uint32_t head, ready, tail; /* free-running: read, complete, edited until */
	bool literal;               /* the next character is quoted (VLNEXT) */
	void (*echo)(char c);       /* to the console */
	void (*signal)(int sig);    /* VINTR, VQUIT */
};

void ldisc_init(struct ldisc *l, void (*echo)(char c), void (*signal)(int sig));
/* A character came.  Not to be called while ldisc_full(). */
void ldisc_input(struct ldisc *l, uint8_t c);
bool ldisc_full(const struct ldisc *l);
bool ldisc_readable(const struct ldisc *l);
/* Bytes that a read could take now (FIONREAD). */
size_t ldisc_count(const struct ldisc *l);
/* As read(2) on a terminal; -1: nothing to read yet. */
long ldisc_read(struct ldisc *l, char *to, size_t n);
/* What @c becomes on output: 1 or 2 bytes. */
unsigned ldisc_output(const struct ldisc *l, char c, char to[2]);
/* Other settings; @flush: and what was typed is forgotten. */
void ldisc_set(struct ldisc *l, const struct ldisc_termios *t, bool flush);
void ldisc_flush(struct ldisc *l);

#endif /* PLATFORM_XEN_LDISC_H */
