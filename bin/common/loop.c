/* SPDX-License-Identifier: Apache-2.0 */
#include "loop.h"

#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

bool loop_open(struct loop *l)
{
	l->fd = epoll_create1(EPOLL_CLOEXEC);
	return l->fd >= 0;
}

void loop_close(struct loop *l)
{
	if (l->fd >= 0)
		close(l->fd);
	l->fd = -1;
}

bool loop_add(struct loop *l, struct loop_source *s)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = s };

	return epoll_ctl(l->fd, EPOLL_CTL_ADD, s->fd, &ev) == 0;
}

void loop_want_out(struct loop *l, struct loop_source *s, bool out)
{
	struct epoll_event ev = { .events = out ? EPOLLOUT : EPOLLIN, .data.ptr = s };

	(void)epoll_ctl(l->fd, EPOLL_CTL_MOD, s->fd, &ev);
}

void loop_remove(struct loop *l, struct loop_source *s)
{
	(void)epoll_ctl(l->fd, EPOLL_CTL_DEL, s->fd, NULL);
}

bool loop_wait(struct loop *l, int64_t timeout_us)
{
	/* One at a time: what the function of one does to the others cannot be in a list then. */
	struct epoll_event ev;
	int64_t ms = timeout_us < 0 ? -1 : timeout_us / 1000 + (timeout_us % 1000 != 0);
	int n = epoll_wait(l->fd, &ev, 1, ms > INT_MAX ? INT_MAX : (int)ms);

	if (n == 1) {
		struct loop_source *s = ev.data.ptr;
		s->ready(s);
	}
	return n >= 0 || errno == EINTR;
}

uint64_t loop_now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000000u + (uint64_t)ts.tv_nsec / 1000u;
}
