/* SPDX-License-Identifier: MIT */
#include "rpc/fault.h"

#ifdef STRAIT_FAULTS
#include "rpc/server_priv.h"

#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define FAULTS_MAX 8

enum action { KILL, HANG, DELAY, CUT, DEAD };

struct fault {
	uint8_t service;
	enum fault_point point;
	unsigned long n, step; /* step 0: once */
	enum action action;
	bool each;
};

static struct fault g_faults[FAULTS_MAX];
static int g_n_faults;
static _Atomic unsigned long g_passed[N_FAULT_POINTS];
static pthread_once_t g_once = PTHREAD_ONCE_INIT;

/* Which word of @words (NULL ends it) @s is; -1: none. */
static int word(const char *s, const char *const *words)
{
	for (int i = 0; s && words[i]; i++)
		if (!strcmp(s, words[i]))
			return i;
	return -1;
}

/* A test that asks for what there is not must not pass for want of faults. */
static void parse_one(char *spec)
{
	static const char *const services[] = {"file", "net", NULL};
	static const char *const points[] = {"before", "reply", "after", "intent", "done", NULL};
	static const char *const actions[] = {"kill", "hang", "delay", "cut", "dead", NULL};
	char *save = NULL, *end;
	const int service = word(strtok_r(spec, ":", &save), services);
	const int point = word(strtok_r(NULL, ":", &save), points);
	const char *n = strtok_r(NULL, ":", &save), *more;
	struct fault f = {.action = KILL};

	f.n = n ? strtoul(n, &end, 10) : 0;
	if (n && *end == '+')
		f.step = strtoul(end + 1, NULL, 10);
	if (service < 0 || point < 0 || f.n == 0 || g_n_faults == FAULTS_MAX)
		abort();
	f.service = service == 0 ? RPC_SERVICE_FILE : RPC_SERVICE_NET;
	f.point = (enum fault_point)point;
	while ((more = strtok_r(NULL, ":", &save))) {
		const int a = word(more, actions);

		if (a >= 0)
			f.action = (enum action)a;
		else if (!strcmp(more, "each"))
			f.each = true;
		else
			abort();
	}
	g_faults[g_n_faults++] = f;
}

static void parse(void)
{
	const char *env = getenv("STRAIT_FAULT");
	char *all = env ? strdup(env) : NULL, *save = NULL;

	for (char *s = all ? strtok_r(all, ",", &save) : NULL; s; s = strtok_r(NULL, ",", &save))
		parse_one(s);
	free(all);
}

static void act(enum action a, struct rpc_conn *c)
{
	struct timespec until;
	sem_t never;

	switch (a) {
	case KILL: /* the first process of a pid namespace cannot kill itself by a signal */
		_exit(128 + SIGKILL);
	case HANG: /* by calls that the services' seccomp filters let pass */
		sem_init(&never, 0, 0);
		for (;;)
			(void)sem_wait(&never);
	case DELAY:
		sem_init(&never, 0, 0);
		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_nsec += 10000000;
		until.tv_sec += until.tv_nsec / 1000000000;
		until.tv_nsec %= 1000000000;
		(void)sem_timedwait(&never, &until);
		break;
	case CUT: /* the loop's thread tells, as it does of a rule broken in a reply */
		conn_break(c, "a test cuts it");
		break;
	case DEAD:
		vchan_hang_up(c->v);
		break;
	}
}

static bool strikes(const struct fault *f, unsigned long n)
{
	return f->step && n > f->n ? (n - f->n) % f->step == 0 : n == f->n;
}

void rpc_fault(enum fault_point p, struct rpc_conn *c)
{
	pthread_once(&g_once, parse);
	if (g_n_faults == 0)
		return;
	const unsigned long n = atomic_fetch_add(&g_passed[p], 1) + 1;

	for (int i = 0; i < g_n_faults; i++) {
		const struct fault *f = &g_faults[i];

		if (f->point == p && strikes(f, n) && f->service == c->ops->service_id &&
		    (f->each || c->ops->epoch == 1))
			act(f->action, c);
	}
}
#endif /* STRAIT_FAULTS */
