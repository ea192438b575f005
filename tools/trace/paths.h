/* SPDX-License-Identifier: MIT */
/*
 * paths.h - what a session's handles stand for: files by the path they were opened
 * with, sockets by their addresses.
 *
 * A path is as it was at open; a later rename does not change it.  "?" stands for a
 * directory that was opened before the trace began.
 *
 * Layer:     tools.
 * Ownership: paths_of() lends until the next change; paths_resolve() gives a
 *            string that the caller frees.
 */
#ifndef TOOLS_TRACE_PATHS_H
#define TOOLS_TRACE_PATHS_H

#include "tools/trace/record.h"

struct paths {
	void *root; /* tsearch tree by handle */
};

/* What a message is about: first and second path (or socket), and the directories that
 * they are looked up in.  NULL where there is none, or none is known. */
enum { ABOUT_FIRST, ABOUT_SECOND, ABOUT_FIRST_DIR, ABOUT_SECOND_DIR, N_ABOUT };

void paths_fini(struct paths *p);

/* What @handle stands for, or NULL. */
const char *paths_of(const struct paths *p, uint32_t handle);

/* What a message of @method is about, as malloc'd strings.  @m may be NULL. */
void paths_resolve(const struct paths *p, uint16_t method, const ProtobufCMessage *m,
                   char *about[N_ABOUT]);

void paths_free(char *about[N_ABOUT]); /* and sets all to NULL */

/* Learn from a frame that was seen: @m its message, @about its paths. */
void paths_learn_call(struct paths *p, const struct record *r,
                      const ProtobufCMessage *m, char *const about[N_ABOUT]);
/* ... from a reply: @call is the message of its call. */
void paths_learn_reply(struct paths *p, const struct record *r,
                       const ProtobufCMessage *call, const ProtobufCMessage *reply);

#endif /* TOOLS_TRACE_PATHS_H */
