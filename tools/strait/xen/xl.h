/* SPDX-License-Identifier: MIT */
/*
 * xl.h - Xen's toolstack command, run as a child.
 *
 * Layer:     tools.
 * Ownership: texts are malloc'd, for the caller.
 */
#ifndef TOOLS_STRAIT_XEN_XL_H
#define TOOLS_STRAIT_XEN_XL_H

#include <stdbool.h>
#include <stdint.h>

struct xl_domain {
	char name[80];
	unsigned domid;
	unsigned memory; /* MiB */
	char state[8];   /* as `xl list` has it: rbpscd */
	char uuid[40];
	int reason;      /* of a shutdown: 0 poweroff, 1 reboot, 3 crash; -1: it runs */
	bool shut_down;
};

/* Run xl with these arguments (NULL-terminated); what it writes, both streams, is put
 * into *text.  Its exit status, 127: there is none in PATH, or a negative errno. */
int xl_run(char **text, const char *const *args) __attribute__((warn_unused_result));
/* The first line of @text that says something, in place. */
char *xl_sentence(char *text);
/* All domains; their number, -1: xl failed (said in *text). */
int xl_list(struct xl_domain **list, char **text);
const struct xl_domain *xl_find(const struct xl_domain *list, int n, const char *name);
/* Find by @domid and, if given, @uuid. */
const struct xl_domain *xl_find_id(const struct xl_domain *list, int n, unsigned domid,
                                   const char *uuid);
/* The value after "KEY  :" in the answer of `xl info`; "" when it is not there. */
char *xl_info_value(const char *info, const char *key);

#endif /* TOOLS_STRAIT_XEN_XL_H */
