/* SPDX-License-Identifier: MIT */
/*
 * filekeeper.h - a process that has fsd's descriptors when fsd is no more.
 *
 * It shares the table of descriptors with fsd and nothing else, so no call costs anything
 * for it.  It waits; when the supervisor has reaped fsd it asks for the files: each is
 * opened again O_PATH and sent (control.proto: Kept).  Then it ends, and with it the table:
 * locks, sockets, all.  docs/adr/0072-files-are-kept-by-a-process-that-shares-them.md.
 *
 * Layer:   services/fsd.
 * Locking: made before any thread.
 */
#ifndef FSD_FILEKEEPER_H
#define FSD_FILEKEEPER_H

#include <stdbool.h>

#define FILEKEEPER_ENV "STRAIT_KEEP_FD" /* number of a socket to the supervisor */

/* If the supervisor wants it.  Without one fsd serves as well.  @argv is this process's
 * name to others. */
void filekeeper_start(int argc, char **argv, bool sandbox);

#endif /* FSD_FILEKEEPER_H */
