/* SPDX-License-Identifier: MIT */
/*
 * fake_store.h - a small xenstored in a thread, for tests of the agent.
 *
 * Holds nodes, answers the requests that the agent makes, and does wrong on demand.
 * Locking: the functions here may be called while it serves.
 */
#ifndef TESTS_UNIT_FAKE_STORE_H
#define TESTS_UNIT_FAKE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Start it.  Returns the client's end of its stream. */
int fake_store_start(void);
void fake_store_stop(void); /* closes its end, forgets all nodes */

void fake_store_set(const char *path, const char *value);
void fake_store_set_bytes(const char *path, const void *value, size_t len);
void fake_store_rm(const char *path); /* with what is below it */
/* The value, "" if there is no such node; until the next call. */
const char *fake_store_get(const char *path);
bool fake_store_has(const char *path);
/* Who may read a node: "n0 r5" as it was given; "" if nobody was named. */
const char *fake_store_perms(const char *path);
void fake_store_domain(unsigned domid, bool lives);
void fake_store_private(bool on); /* who lives is not told, as to other domains than dom0 */

/* Before the answer to the next request: these bytes instead of an answer ... */
void fake_store_answer_raw(const void *bytes, size_t len);
/* ... or a watch event first. */
void fake_store_event_first(const char *path, const char *token);
/* A watch event now. */
void fake_store_event(const char *path, const char *token);
unsigned fake_store_watches(void);

#endif /* TESTS_UNIT_FAKE_STORE_H */
