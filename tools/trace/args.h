/* SPDX-License-Identifier: MIT */
/*
 * args.h - messages as text: "at=/, path=\"etc/passwd\", flags=O_RDONLY".
 *
 * Generic, from the generated descriptors; a table of rules (args.c) says how the
 * fields that mean more than a number are shown.  A field at its default is left out
 * unless its rule says that it is always shown.
 *
 * Layer:  tools.
 */
#ifndef TOOLS_TRACE_ARGS_H
#define TOOLS_TRACE_ARGS_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct args_style {
	bool verbose;   /* every field that is set */
	size_t strings; /* bytes of payload shown at most; paths are shown whole */
};

/* Print the fields of @m, which travels for @method ("File.Open").  @about: N_ABOUT
 * strings (see paths.h), or NULL; shown as handle=3</etc/passwd>. */
void args_print(FILE *out, const char *method, const ProtobufCMessage *m,
                const char *const *about, const struct args_style *style);

#endif /* TOOLS_TRACE_ARGS_H */
