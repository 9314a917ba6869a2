/* SPDX-License-Identifier: Apache-2.0 */
/* Streams: the set of ext/stream.h in our epoll set. A struct fz_stream is a struct stream by another name.
 */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/opts.h"
#include "ext/stream.h"
#include "platform/linux/lx.h"

static_assert((int)FZ_STREAM_CONNECTING == (int)STREAM_CONNECTING, "same states");
static_assert((int)FZ_STREAM_OPEN == (int)STREAM_OPEN, "same states");
static_assert((int)FZ_STREAM_FAILED == (int)STREAM_FAILED, "same states");

static struct stream *inner(struct fz_stream *s)
{
	return (struct stream *)(void *)s;
}

static const struct stream *inner_const(const struct fz_stream *s)
{
	return (const struct stream *)(const void *)s;
}

/* Descriptors come and go inside of libcurl: a closed one has left the epoll set by itself, and its number
 * may have come back as another one. */
static void watch(void *ctx, int fd, unsigned want)
{
	struct lx *lx = ctx;
	struct epoll_event ev = { .data.u64 = (uint64_t)(uint32_t)fd << 32 | LX_TAG_STREAM };

	if (want == 0) {
		lx_loop_del(lx, fd);
		return;
	}
	ev.events = (want & STREAM_READ ? EPOLLIN : 0) | (want & STREAM_WRITE ? EPOLLOUT : 0);
	if (epoll_ctl(lx->ep, EPOLL_CTL_MOD, fd, &ev) < 0 && epoll_ctl(lx->ep, EPOLL_CTL_ADD, fd, &ev) < 0)
		fz_warn(lx->env, "stream", "epoll: %s", strerror(errno));
}

static int prepare(void *ctx, int fd)
{
	struct lx *lx = ctx;
	uint32_t mark = LX_MARK;

	if (lx->opts.no_policy || setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof(mark)) == 0)
		return 0;
	return lx_net_has_policy(lx) ? FZ_ERR_PERM : 0;
}

int lx_stream_open(void *p, const struct fz_stream_opts *opts, struct fz_stream **ret)
{
	struct lx *lx = p;
	struct fz_stream_opts o;
	struct stream *s;
	int err = fz_opts_import(&o, sizeof(o), opts, opts->size);

	if (err)
		return err;
	if (o.host == NULL)
		return FZ_ERR_INVAL;
	if (lx->streams == NULL)
		err = stream_set_new(lx->env, watch, prepare, lx, &lx->streams);
	if (err)
		return err;
	struct stream_opts so = { .host = o.host,
				  .port = o.port,
				  .tls = o.tls,
				  .connect_ms = o.connect_ms,
				  .total_ms = o.handshake_ms,
				  .addrs = o.addrs,
				  .addrs_len = o.addrs_len };
	err = stream_open(lx->streams, &so, &s, lx_now_us(lx));
	if (err == 0)
		*ret = (struct fz_stream *)(void *)s;
	return err;
}

enum fz_stream_state lx_stream_state(void *p, const struct fz_stream *s)
{
	(void)p;
	return (enum fz_stream_state)stream_state(inner_const(s));
}

const char *lx_stream_error(void *p, const struct fz_stream *s)
{
	(void)p;
	return stream_error(inner_const(s));
}

int lx_stream_send(void *p, struct fz_stream *s, const void *data, size_t len)
{
	(void)p;
	return stream_send(inner(s), data, len);
}

int lx_stream_recv(void *p, struct fz_stream *s, void *buf, size_t cap)
{
	(void)p;
	return stream_recv(inner(s), buf, cap);
}

void lx_stream_close(void *p, struct fz_stream *s)
{
	(void)p;
	stream_close(inner(s));
}

void lx_streams_close(struct lx *lx)
{
	stream_set_free(lx->streams);
	lx->streams = NULL;
}

uint64_t lx_streams_next(struct lx *lx)
{
	return lx->streams ? stream_set_next_timeout(lx->streams) : FZ_NEVER_US;
}

bool lx_streams_event(struct lx *lx, int fd, uint32_t events)
{
	unsigned ready = (events & EPOLLIN ? STREAM_READ : 0) | (events & EPOLLOUT ? STREAM_WRITE : 0);

	if (lx->streams == NULL)
		return false;
	if (events & (EPOLLERR | EPOLLHUP))
		ready |= STREAM_READ | STREAM_WRITE;
	stream_set_handle_ready(lx->streams, fd, ready, lx_now_us(lx));
	return true;
}

bool lx_streams_run(struct lx *lx, uint64_t now_us)
{
	if (lx->streams == NULL || stream_set_next_timeout(lx->streams) > now_us)
		return false;
	stream_set_handle_timeout(lx->streams, now_us);
	return true;
}
