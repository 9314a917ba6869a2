/* SPDX-License-Identifier: Apache-2.0 */
/* One epoll set for everything, level-triggered, so that its descriptor works inside the program's own loop.
 */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "platform/linux/lx.h"

enum { EVENTS = 16 };

static struct epoll_event event_of(uint32_t key, enum lx_tag tag, unsigned want)
{
	return (struct epoll_event){
		.events = (want & LX_READ ? EPOLLIN : 0) | (want & LX_WRITE ? EPOLLOUT : 0),
		.data.u64 = (uint64_t)key << 32 | tag,
	};
}

int lx_loop_add_key(struct lx *lx, int fd, enum lx_tag tag, uint32_t key, unsigned want)
{
	struct epoll_event ev = event_of(key, tag, want);

	if (epoll_ctl(lx->ep, EPOLL_CTL_ADD, fd, &ev) == 0)
		return 0;
	fz_warn(lx->env, "loop", "epoll: %s", strerror(errno));
	return errno == ENOMEM ? FZ_ERR_NOMEM : FZ_ERR_IO;
}

int lx_loop_add(struct lx *lx, int fd, enum lx_tag tag)
{
	return lx_loop_add_key(lx, fd, tag, (uint32_t)fd, LX_READ);
}

void lx_loop_mod_key(struct lx *lx, int fd, enum lx_tag tag, uint32_t key, unsigned want)
{
	struct epoll_event ev = event_of(key, tag, want);

	if (epoll_ctl(lx->ep, EPOLL_CTL_MOD, fd, &ev) < 0)
		fz_warn(lx->env, "loop", "epoll: %s", strerror(errno));
}

void lx_loop_want_out(struct lx *lx, int fd, enum lx_tag tag, bool out)
{
	lx_loop_mod_key(lx, fd, tag, (uint32_t)fd, out ? LX_READ | LX_WRITE : LX_READ);
}

void lx_loop_del(struct lx *lx, int fd)
{
	(void)epoll_ctl(lx->ep, EPOLL_CTL_DEL, fd,
			NULL); /* a descriptor of a lost device may be gone already */
}

/* A descriptor that was closed has left the epoll set by itself, and its number may have come back as another
 * one. */
void lx_loop_watch(struct lx *lx, int fd, unsigned want, enum lx_tag tag)
{
	struct epoll_event ev = event_of((uint32_t)fd, tag, want);

	if (want == 0) {
		lx_loop_del(lx, fd);
		return;
	}
	if (epoll_ctl(lx->ep, EPOLL_CTL_MOD, fd, &ev) < 0 && epoll_ctl(lx->ep, EPOLL_CTL_ADD, fd, &ev) < 0)
		fz_warn(lx->env, "loop", "epoll: %s", strerror(errno));
}

int lx_mark(void *ctx, int fd)
{
	struct lx *lx = ctx;
	uint32_t mark = LX_MARK;

	if (lx->opts.no_policy || setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof(mark)) == 0)
		return 0;
	return lx_net_has_policy(lx) ? FZ_ERR_PERM : 0;
}

void lx_wake(void *p)
{
	const struct lx *lx = p;
	const uint64_t one = 1;
	int e = errno; /* of whatever a signal handler interrupted */

	(void)!write(lx->wake, &one, sizeof(one)); /* fails only when 2^64 - 1 of them wait */
	errno = e;
}

int lx_wait_fd(void *p)
{
	const struct lx *lx = p;

	return lx->ep;
}

uint64_t lx_now_us(void *p)
{
	struct timespec ts;

	(void)p;
	clock_gettime(CLOCK_BOOTTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000000u + (uint64_t)ts.tv_nsec / 1000u;
}

uint64_t lx_next_timeout(void *p)
{
	struct lx *lx = p;

	uint64_t own_us = fz_min_us(lx_watch_next(lx), lx_dns_next(lx));

	return fz_min_us(fz_min_us(own_us, lx_streams_next(lx)), lx_ask_next(lx));
}

/* Milliseconds to sleep, rounded up so that the deadline has passed afterwards. */
static int sleep_ms(uint64_t until_us, uint64_t now_us)
{
	if (until_us == FZ_NEVER_US)
		return -1;
	if (until_us <= now_us)
		return 0;
	uint64_t ms = (until_us - now_us + 999) / 1000;
	return ms > INT_MAX ? INT_MAX : (int)ms;
}

static uint32_t sock_event(struct lx *lx, struct lx_sock *s, enum lx_tag tag, uint32_t events)
{
	uint32_t ready = 0;

	if (events & (EPOLLIN | EPOLLERR | EPOLLHUP)) {
		s->maybe_ready = true;
		ready |= FZ_READY_UDP;
	}
	if (s->wants_out && events & (EPOLLOUT | EPOLLERR)) {
		s->wants_out = false;
		lx_loop_want_out(lx, s->fd, tag, false);
		ready |= FZ_READY_UDP_SEND;
	}
	return ready;
}

static uint32_t tun_event(struct lx *lx, uint32_t events)
{
	uint32_t ready = 0;

	if (events & (EPOLLERR | EPOLLHUP)) {
		lx_tun_mark_lost(lx);
		return FZ_READY_TUN | FZ_READY_NET;
	}
	if (events & EPOLLIN)
		ready |= FZ_READY_TUN;
	if (lx->tun.wants_out && events & EPOLLOUT) {
		lx->tun.wants_out = false;
		lx_loop_want_out(lx, lx->tun.fd, LX_TAG_TUN, false);
		ready |= FZ_READY_TUN_WRITE;
	}
	return ready;
}

static unsigned ready_of(uint32_t events)
{
	unsigned ready = (events & EPOLLIN ? LX_READ : 0) | (events & EPOLLOUT ? LX_WRITE : 0);

	return events & (EPOLLERR | EPOLLHUP) ? LX_READ | LX_WRITE : ready;
}

static uint32_t dispatch(struct lx *lx, const struct epoll_event *ev)
{
	enum lx_tag tag = (enum lx_tag)(ev->data.u64 & 0xffffffffu);
	uint32_t key = (uint32_t)(ev->data.u64 >> 32);
	unsigned what = ready_of(ev->events);
	uint64_t count;

	switch (tag) {
	case LX_TAG_TUN:
		return tun_event(lx, ev->events);
	case LX_TAG_UDP4:
		return sock_event(lx, &lx->udp[0], tag, ev->events);
	case LX_TAG_UDP6:
		return sock_event(lx, &lx->udp[1], tag, ev->events);
	case LX_TAG_WATCH:
		lx_watch_read(lx);
		break;
	case LX_TAG_DNS_FILES:
	case LX_TAG_RESOLVED:
		lx_dns_event(lx, tag);
		break;
	case LX_TAG_WAKE:
		(void)!read(lx->wake, &count, sizeof(count));
		return FZ_READY_WAKE;
	case LX_TAG_STREAM:
		return lx_streams_event(lx, (int)key, what) ? FZ_READY_STREAM : 0;
	case LX_TAG_STREAM_NAMES:
		return lx_stream_names_event(lx, (int)key, what) ? FZ_READY_STREAM : 0;
	case LX_TAG_DNS_QUERY:
		return lx_dns_query_event(lx, key, ev->events) ? FZ_READY_DNS : 0;
	case LX_TAG_DNS_UDP:
	case LX_TAG_DNS_TCP:
	case LX_TAG_DNS_CONN:
		return lx_dns_listen_event(lx, tag, key, what) ? FZ_READY_DNS : 0;
	case LX_TAG_HTTP:
	case LX_TAG_HTTP_NAMES:
		lx_http_event(lx, tag, (int)key, what); /* results are found by lx_ask_run() */
		break;
	case LX_TAG_RESOLVE:
		lx_name_event(lx, (int)key, what); /* likewise */
		break;
	}
	return 0;
}

/* What is ready without asking the kernel. */
static uint32_t run_own(struct lx *lx, uint64_t now_us)
{
	uint32_t ready = 0;

	lx_watch_run(lx, now_us);
	lx_dns_run(lx, now_us);
	if (lx_streams_run(lx, now_us))
		ready |= FZ_READY_STREAM;
	ready |= lx_ask_run(lx, now_us);
	if (lx->tun_lost || lx_watch_pending(lx))
		ready |= FZ_READY_NET;
	return ready;
}

int lx_wait(void *p, uint64_t until_us, uint32_t *ret_ready)
{
	struct lx *lx = p;
	struct epoll_event ev[EVENTS];
	uint32_t ready = 0;
	/* The kernel sleeps by a clock that stops in suspend and ours does not: only a look at ours
	 * afterwards tells whether the deadline has come. A caller that only looks needs no clock. */
	uint64_t now_us = until_us == 0 ? 0 : lx_now_us(lx);

	do {
		uint64_t wake_us = fz_min_us(until_us, lx_next_timeout(lx));
		int n = epoll_wait(lx->ep, ev, EVENTS, sleep_ms(wake_us, now_us));
		if (n < 0 && errno != EINTR) {
			fz_error(lx->env, "loop", "epoll: %s", strerror(errno));
			return FZ_ERR_IO;
		}
		for (int i = 0; i < n; i++)
			ready |= dispatch(lx, &ev[i]);
		if (until_us != 0 || lx_next_timeout(lx) != FZ_NEVER_US)
			now_us = lx_now_us(lx);
		ready |= run_own(lx, now_us);
		if (n < 0)
			break;
	} while (ready == 0 && now_us < until_us);
	*ret_ready = ready;
	return 0;
}
