/* SPDX-License-Identifier: MIT */
/*
 * pump.h - the helper thread of libos: runs timers, and reads the rings when no
 * thread of the program does.
 *
 * Starts with the first timer, or when the program has used its channels for a
 * while.  Sleeps for good when there is nothing to do.
 *
 * Layer:   libos.
 * Locking: thread-safe.
 */
#ifndef LIBOS_PUMP_H
#define LIBOS_PUMP_H

#include <stdbool.h>
#include <stdint.h>

/* 0, or -EAGAIN when no thread can be made. */
int pump_start(void);
/* An earlier timer came, or the rings are left alone: look again. */
void pump_wake(void);
/* True: it sleeps and does not look at the rings from time to time. */
bool pump_idle(void);

/* thread.c: a thread of libos's own, outside the list of the program's threads.
 * NULL when none can be made. */
struct thread *thread_start_internal(void (*fn)(void *), void *arg);
/* The same in two steps: its memory now, the thread when it is wanted. */
struct thread *thread_reserve(void);
bool thread_run_internal(struct thread *t, void (*fn)(void *), void *arg);

/* recover.c: the memory that is needed when a service leaves. */
void recover_init(void);

/* ---- park.c, for the pump ---- */

/* Read the rings if nobody else does: frames read, or -1 when somebody else does. */
int rings_poll_once(void);
/* Ask for wake-ups; the doorbell's count to sleep on.  False: frames came. */
bool rings_arm_for_pump(uint32_t *door);
void rings_disarm_for_pump(void);
/* Threads that sleep on the rings now, and a count of sleeps so far. */
uint32_t rings_sleepers(void);
uint32_t rings_activity(void);

#endif /* LIBOS_PUMP_H */
