/* SPDX-License-Identifier: MIT */
/*
 * deploy.h - a description on Xen: what was made, and what makes it.
 *
 *      strait deploy --+-- xl create -p ... xl unpause    a domain each
 *                      +-- strait-agent                   a service in dom0
 *                      +-- strait watch                   as long as the deployment
 *
 * A deployment NAME is the folder /run/strait/NAME, made first and removed last:
 *
 *      members         a line for each domain and agent, in the order of their making
 *      DOMAIN.cfg      what xl was given
 *      DOMAIN.status   how a guest ended: "exit 3", "signal 11", "crash TEXT", "destroyed"
 *      SERVICE.agent   what a service in dom0 says
 *      watch.log
 *      lock            taken by who changes what a running deployment is made of: the
 *                      watcher, `strait swap`, `strait down`
 *
 * Layer:     tools.
 * Ownership: all of it lives as long as the process.
 * Errors:    0 or a negative errno, unless a comment says that it says and exits.
 */
#ifndef TOOLS_STRAIT_XEN_DEPLOY_H
#define TOOLS_STRAIT_XEN_DEPLOY_H

#include "tools/strait/desc.h"

#include <sys/types.h>

#define DEPLOY_ROOT "/run/strait"
#define MEMBERS_MAX (DESC_SERVICES_MAX + DESC_GUESTS_MAX)
#define UUID_LEN 36
#define DEPLOY_EPOCH 1u
#define REBUILD_EPOCHS 1000u /* from one domain of a service to the next */

/* A spare is a service's second domain while it is swapped: the one that does not serve. */
enum member_role { MEMBER_SERVICE, MEMBER_DOM0, MEMBER_GUEST, MEMBER_SPARE };

struct member {
	enum member_role role;
	char name[NAME_LEN_MAX + 1];   /* as described */
	char domain[NAME_LEN_MAX + 1]; /* DEPLOYMENT.NAME */
	char uuid[UUID_LEN + 1];
	unsigned domid;
	enum desc_kind kind;           /* of a service */
	pid_t pid;                     /* of a service in dom0: its agent */
	unsigned long long born;       /* ... when it was started, of /proc/PID/stat */
	/* of a guest: its services, by kind; "" when it uses none */
	char uses[DESC_KINDS][NAME_LEN_MAX + 1];
	unsigned uses_domid[DESC_KINDS];
};

struct deployment {
	char name[NAME_LEN_MAX + 1];
	struct member m[MEMBERS_MAX];
	unsigned n;
	pid_t watch;                   /* 0: none */
	unsigned long long watch_born;
};

/* state.c */
/* Make the folder.  -EEXIST: it is deployed already. */
int state_create(const char *name) __attribute__((warn_unused_result));
void state_remove(const char *name);
int state_add(const char *name, const struct member *m) __attribute__((warn_unused_result));
/* The same of several, all or none. */
int state_add_all(const char *name, const struct member *const *m, unsigned n)
	__attribute__((warn_unused_result));
/* Wait at most @ms for the lock; a descriptor that holds it until it is closed, or
 * -EWOULDBLOCK. */
int state_lock(const char *name, unsigned ms) __attribute__((warn_unused_result));
int state_set_watch(const char *name, pid_t pid) __attribute__((warn_unused_result));
/* false: there is no such deployment, or its file is damaged (said in *why). */
bool state_read(const char *name, struct deployment *d, const char **why);
/* Names of all deployments, NULL-terminated. */
char **state_list(void);
char *state_path(const char *name, const char *file, const char *suffix);
/* Find the guest or service called DEPLOYMENT.NAME or, if only one is, NAME.  Says and
 * exits. */
struct member *state_find(const char *what, struct deployment *d);
/* The service of that kind that @m is, or uses; NULL: none. */
const struct member *member_service(const struct deployment *d, const struct member *m,
                                    enum desc_kind kind);
void state_set_status(const char *name, const struct member *m, const char *status);
char *state_status(const char *name, const struct member *m); /* NULL: it has not ended */
bool state_is_watched(const struct deployment *d); /* its watcher runs */
unsigned long long process_born(pid_t pid); /* 0: there is no such process */

/* check.c: what would fail later; says and exits. */
void check_host(void);                    /* root, xl, Xen, dom0 */
void check_all(struct desc *d);           /* names, memory, disks, bridges, programs */
char *check_room(unsigned memory);        /* why there is none for a domain of @memory MiB, or NULL */

/* domcfg.c: the text of an xl configuration */
char *domcfg_service(const struct desc *d, const struct desc_service *s, const struct member *m,
                     const char *image, const char *const *disks);
char *domcfg_guest(const struct desc_guest *g, const struct member *m);
/* The guest's command line (docs/XEN.md). */
char *domcfg_cmdline(const struct desc_guest *g);
/* Does a line of the configuration @path hold @text? */
bool domcfg_has(const char *path, const char *text);
/* The configuration @from for another domain of the same service, as @to. */
struct domcfg_next {
	const char *uuid;
	const char *image;  /* NULL: the same */
	const char *script; /* of its disks; NULL: xl's own */
	const char *mac;    /* of its interface, where it is not said; NULL: unknown */
};
int domcfg_next(const char *from, const char *to, const struct domcfg_next *n)
	__attribute__((warn_unused_result));
void uuid_make(char uuid[UUID_LEN + 1]);

/* nodes.c: xenstore */
int nodes_service(const struct desc_service *s, const struct member *m);
/* The guest's own nodes and, at its services, the one that announces it. */
int nodes_guest(const struct desc_guest *g, const struct member *m, const char *cmdline);
/* A guest is gone: its services are told by the removal of its node. */
void nodes_guest_gone(const struct member *m);
void nodes_service_gone(const struct member *m);
/* What was written to a domain that had gone already: a write makes its folder again. */
void nodes_strays_gone(const struct member *m);
char *nodes_service_state(const struct member *m); /* "ready", "failed: ...", NULL */
/* Ask the agent of @m for another instance; then nodes_epoch() goes up. */
int nodes_restart(const struct member *m) __attribute__((warn_unused_result));
unsigned nodes_epoch(const struct member *m); /* 0: it was never ready */
/* Write @id into the service's node @what, which its agent watches. */
int nodes_ask(const struct member *m, const char *what, const char *id)
	__attribute__((warn_unused_result));
/* What a service has to do: ask, with @id for nodes_load(), which is false until it has
 * answered. */
struct service_load {
	unsigned epoch, up_s, sessions, in_flight, objects;
};
bool nodes_ask_load(const struct member *m, char id[17]) __attribute__((warn_unused_result));
bool nodes_load(const struct member *m, const char *id, struct service_load *l)
	__attribute__((warn_unused_result));
char *nodes_guest_at_service(const struct member *m, enum desc_kind kind);
char *nodes_guest_state(const struct member *m);

/* services.c: images, and services that run in dom0 */
/* The folder with vmlinuz and initramfs; builds the default one when it is missing.
 * NULL: it cannot (said). */
const char *image_path(const struct desc_service *s);
/* What is missing of an image in @folder; NULL: it is whole. */
const char *image_lacks(const char *folder);
/* The hotplug script for a disk that two domains have; NULL: it is not installed. */
char *image_block_script(void);
void image_check(const struct desc *d, const struct desc_service *s); /* says and exits */
/* Start @tool in a session of its own, what it says in @log_path; the pid or negative errno. */
pid_t background_start(const char *tool, char *const argv[], const char *log_path);
/* Start the agent of @m; sets pid and born. */
int agent_start(const char *deployment, struct member *m);
void agent_stop(const struct member *m);
/* Become the agent that writes @m's trace to stdout; says and exits when it cannot. */
void agent_fetch_trace(const struct member *m) __attribute__((noreturn));

/* rebuild.c: a service domain that ended, again */
struct kept_node;
/* Keep a copy of what @m was told, instead of *@kept, as long as it can be read. */
void rebuild_keep(const struct member *m, struct kept_node **kept);
/* Loop devices of its disks stay until this process ends. */
void rebuild_hold_disks(const char *deployment, const struct member *m);
/* Make it anew and tell its guests; m->domid is then the new one.  NULL, or why not. */
char *rebuild(struct deployment *d, struct member *m, const struct kept_node *kept);

/* Write what another domain of the service was told for @m.  @standby: it is to wait. */
int rebuild_put_service(const struct kept_node *kept, const struct member *m, unsigned epoch,
                        bool standby) __attribute__((warn_unused_result));
/* The guest's own nodes: its service is @m now. */
/* The three of them that tell @g where @m is; they are there already. */
int rebuild_point_guest(const struct member *g, const struct member *m, unsigned epoch)
	__attribute__((warn_unused_result));
int rebuild_put_guest(const struct member *g, const struct member *m, unsigned epoch)
	__attribute__((warn_unused_result));
unsigned rebuild_epoch(const struct kept_node *kept); /* of the next domain */

/* swap.c: another domain or process takes a service's place */
/* `strait swap`: true when @what is a guest or a service on Xen. */
bool xen_swap(const char *what, const char *service, const char *with, const char *backend,
              int *status);
/* A swap was cut short: whoever serves goes on, the other domain goes.  The caller has
 * the lock. */
void swap_clean(struct deployment *d);

/* console.c */
/* The last @n lines that @domain wrote; NULL: nothing is known of them. */
char *console_tail(const char *domain, unsigned domid, unsigned n);
char *console_log_path(const char *domain);

/* watch.c */
int watch_start(const char *name);       /* the pid or negative errno */
int watch_main(int argc, char **argv);   /* `strait watch NAME` */
/* A line of its log. */
void watch_note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* The domain of @m has shut down for @reason: how it ended. */
char *watch_verdict(const char *node, int reason);

/* deploy.c */
uint64_t deploy_patience(void); /* ms, for a service to be ready */
/* Services in domains of their own, of all deployments, learn of deaths; those of the
 * deployment @without, which is going, no more. */
int deploy_share_releases(const char *without) __attribute__((warn_unused_result));
int deploy_main(int argc, char **argv);
/* Remove what @d made, the last first; not @quiet: guests are asked to end before.  What
 * fails is said; false if something did. */
bool deploy_undo(const struct deployment *d, bool quiet);

/* ps.c */
void xen_ps(void); /* deployments, if there are any */

/* cmds.c */
int down_main(int argc, char **argv);
int logs_main(int argc, char **argv);
int console_main(int argc, char **argv);
int wait_main(int argc, char **argv);
int trace_fetch_main(int argc, char **argv);
/* `strait stop`: true when @what is a guest on Xen; *status is then the exit status. */
bool xen_stop(const char *what, int *status);
/* `strait restart`: the same for @what, a guest or one of its services on Xen. */
bool xen_restart(const char *what, const char *service, int *status);

#endif /* TOOLS_STRAIT_XEN_DEPLOY_H */
