/* SPDX-License-Identifier: MIT */
/*
 * pool.h - threads for what would make the loop wait.
 *
 * Each session has a queue; workers take from the queues in turn, and one
 * session never has all the workers, so a guest that floods fsd with slow calls
 * slows itself only.
 *
 * Layer:     services/fsd.
 * Ownership: a queue belongs to its session; a job to the pool until run.
 * Locking:   thread-safe.
 */
#ifndef FSD_POOL_H
#define FSD_POOL_H

#include <stdbool.h>

struct pool_job {
	struct pool_job *next;
	void (*run)(struct pool_job *job);
};

struct pool_queue {
	struct pool_job *head, **tail;
	struct pool_queue *next; /* in the ring of queues with work */
	bool linked;
	unsigned queued, running;
};

int pool_start(unsigned n_workers) __attribute__((warn_unused_result));
void pool_stop(void); /* after every queue is idle */
void pool_queue_init(struct pool_queue *q);
void pool_push(struct pool_queue *q, struct pool_job *job);
/* Nothing queued and nothing running.  Pool memory is no longer touched for @q. */
bool pool_queue_idle(struct pool_queue *q);
unsigned pool_queue_len(struct pool_queue *q);

#endif /* FSD_POOL_H */
