/* SPDX-License-Identifier: MIT */
/*
 * xlu.h - Xen's parser of xl.cfg syntax (libxlutil), loaded when it is needed.
 *
 * `strait` runs on machines without Xen; only descriptions need the library.
 *
 * Layer:     tools.
 * Ownership: the text and its values live as long as the process.
 */
#ifndef TOOLS_STRAIT_XLU_H
#define TOOLS_STRAIT_XLU_H

#include <stdbool.h>

struct xlu_file; /* one parsed file */
struct xlu_value { const void *p; };

/* Parse @text of @name.  Says what is wrong and exits 125: no library, bad syntax. */
struct xlu_file *xlu_parse(const char *name, const char *text);
/* The string called @key, and its line; NULL: there is none.  Says and exits when it
 * is a list. */
const char *xlu_string(struct xlu_file *f, const char *key);
/* The list called @key: its length, -1: there is none.  Says and exits when it is a
 * string. */
int xlu_list(struct xlu_file *f, const char *key, struct xlu_value *list);
/* Entry @i of a list, its line and whether it is a list itself. */
bool xlu_entry(struct xlu_file *f, struct xlu_value list, int i, struct xlu_value *out,
               int *line, bool *is_list);
const char *xlu_text(struct xlu_file *f, struct xlu_value v); /* of an entry that is none */
struct xlu_value xlu_sublist(struct xlu_file *f, struct xlu_value v);

#endif /* TOOLS_STRAIT_XLU_H */
