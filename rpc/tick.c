/* SPDX-License-Identifier: MIT */
/*
 * Edge-triggered and never read: setting the timer anew takes back its expiry, and
 * the next one is a new edge.
 */
#include "rpc/tick.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

int tick_open(struct tick *t, int epoll)
{
	struct epoll_event ev = {.events = EPOLLIN | EPOLLET, .data.ptr = t};

	t->at_ms = UINT64_MAX;
	t->fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (t->fd < 0)
		return -errno;
	return epoll_ctl(epoll, EPOLL_CTL_ADD, t->fd, &ev) < 0 ? -errno : 0;
}

void tick_fired(struct tick *t)
{
	t->at_ms = UINT64_MAX;
}

void tick_need(struct tick *t, uint64_t at_ms)
{
	const struct itimerspec when = {
	        .it_value = {.tv_sec = (time_t)(at_ms / 1000),
	                     /* one more: zero would mean never */
	                     .tv_nsec = (long)(at_ms % 1000) * 1000000 + 1}};

	if (at_ms >= t->at_ms)
		return;
	t->at_ms = at_ms;
	/* cannot fail: the time is in range and the descriptor ours */
	(void)timerfd_settime(t->fd, TFD_TIMER_ABSTIME, &when, NULL);
}
