/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "services/fsd/pool.h"

#include "services/fsd/cred.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>

#define POOL_MAX 64u
#define STACK_SIZE (512u << 10)

static struct {
	pthread_mutex_t lock;
	pthread_cond_t work;
	struct pool_queue *first, *last; /* queues with jobs, next one first */
	pthread_t threads[POOL_MAX];
	unsigned n;
	bool stop;
} g_pool = {.lock = PTHREAD_MUTEX_INITIALIZER, .work = PTHREAD_COND_INITIALIZER};

static void link_queue(struct pool_queue *q)
{
	q->next = NULL;
	q->linked = true;
	if (g_pool.last)
		g_pool.last->next = q;
	else
		g_pool.first = q;
	g_pool.last = q;
}

/* The first queue that may have one more worker, taken off the list. */
static struct pool_queue *next_queue(void)
{
	const unsigned most = g_pool.n > 1 ? g_pool.n - 1 : 1;
	struct pool_queue **p, *prev = NULL;

	for (p = &g_pool.first; *p; prev = *p, p = &(*p)->next) {
		struct pool_queue *q = *p;

		if (q->running >= most)
			continue;
		*p = q->next;
		if (g_pool.last == q)
			g_pool.last = prev;
		q->linked = false;
		return q;
	}
	return NULL;
}

static void *worker(void *arg)
{
	(void)arg;
	pthread_mutex_lock(&g_pool.lock);
	for (;;) {
		struct pool_queue *q = next_queue();
		struct pool_job *job;

		if (!q) {
			if (g_pool.stop)
				break;
			pthread_cond_wait(&g_pool.work, &g_pool.lock);
			continue;
		}
		job = q->head;
		q->head = job->next;
		if (!q->head)
			q->tail = &q->head;
		q->queued--;
		q->running++;
		if (q->head)
			link_queue(q);
		pthread_mutex_unlock(&g_pool.lock);
		job->run(job);
		pthread_mutex_lock(&g_pool.lock);
		q->running--;
		if (q->linked)
			pthread_cond_signal(
			        &g_pool.work); /* it may have waited for us */
	}
	pthread_mutex_unlock(&g_pool.lock);
	cred_thread_fini();
	return NULL;
}

int pool_start(unsigned n_workers)
{
	pthread_attr_t attr;
	sigset_t all, old;
	int r = 0;

	if (n_workers == 0)
		n_workers = 4;
	if (n_workers > POOL_MAX)
		n_workers = POOL_MAX;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_SIZE);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	pthread_mutex_lock(&g_pool.lock); /* a worker waits until all are counted */
	g_pool.stop = false;
	for (g_pool.n = 0; g_pool.n < n_workers && r == 0; g_pool.n++) {
		r = pthread_create(&g_pool.threads[g_pool.n], &attr, worker, NULL);
		if (r != 0)
			break;
	}
	pthread_mutex_unlock(&g_pool.lock);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	return g_pool.n > 0 ? 0 : -r;
}

void pool_stop(void)
{
	pthread_mutex_lock(&g_pool.lock);
	g_pool.stop = true;
	pthread_cond_broadcast(&g_pool.work);
	pthread_mutex_unlock(&g_pool.lock);
	for (unsigned i = 0; i < g_pool.n; i++)
		pthread_join(g_pool.threads[i], NULL);
	g_pool.n = 0;
}

void pool_queue_init(struct pool_queue *q)
{
	*q = (struct pool_queue){.head = NULL};
	q->tail = &q->head;
}

void pool_push(struct pool_queue *q, struct pool_job *job)
{
	pthread_mutex_lock(&g_pool.lock);
	job->next = NULL;
	*q->tail = job;
	q->tail = &job->next;
	q->queued++;
	if (!q->linked)
		link_queue(q);
	pthread_cond_signal(&g_pool.work);
	pthread_mutex_unlock(&g_pool.lock);
}

bool pool_queue_idle(struct pool_queue *q)
{
	bool idle;

	pthread_mutex_lock(&g_pool.lock);
	idle = q->queued == 0 && q->running == 0;
	pthread_mutex_unlock(&g_pool.lock);
	return idle;
}

unsigned pool_queue_len(struct pool_queue *q)
{
	unsigned n;

	pthread_mutex_lock(&g_pool.lock);
	n = q->queued;
	pthread_mutex_unlock(&g_pool.lock);
	return n;
}
