/* SPDX-License-Identifier: MIT */
/*
 * names.h - Linux x86-64's names for flags and numbers in messages.
 *
 * Layer:  tools.
 */
#ifndef TOOLS_TRACE_NAMES_H
#define TOOLS_TRACE_NAMES_H

#include "tools/trace/value.h"

#include <stdio.h>

extern const struct value_name names_open[], names_resolve[], names_at[],
        names_access[], names_unlink[], names_rename[], names_access_mode[],
        names_what[], names_lock[], names_lock_kind[], names_sync[], names_write_sync[],
        names_fallocate[], names_seek[], names_xattr[], names_family[], names_socket[],
        names_proto[], names_shut[], names_level[], names_feature[], names_service[],
        names_mount[], names_iff[];

/* S_IFREG|0644 */
void names_mode(FILE *out, uint64_t mode);
/* The option of a level: SO_REUSEADDR. */
void names_option(FILE *out, uint64_t level, uint64_t name);

#endif /* TOOLS_TRACE_NAMES_H */
