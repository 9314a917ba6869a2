/* SPDX-License-Identifier: Apache-2.0 */
/* Creation and end of the Linux platform, and its table. */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/opts.h"
#include "platform/linux/lx.h"

static uint64_t unix_ns(void *p)
{
	struct timespec ts;

	(void)p;
	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void stats(void *p, struct fz_platform_stats *ret)
{
	const struct lx *lx = p;

	*ret = lx->stats;
}

static void lx_free(void *p)
{
	struct lx *lx = p;

	lx_ask_close(lx);
	lx_streams_close(lx);
	(void)lx_forward(lx, false);
	lx_tun_close(lx);
	lx_udp_close(lx);
	lx_net_free(lx);
	lx_watch_close(lx);
	lx_dns_close(lx);
	if (lx->wake >= 0)
		close(lx->wake);
	if (lx->ep >= 0)
		close(lx->ep);
	fz_free(lx->env, lx);
}

static const struct fz_platform_ops table = {
	.version = FZ_PLATFORM_VERSION,
	.now_us = lx_now_us,
	.unix_ns = unix_ns,
	.wait_fd = lx_wait_fd,
	.next_timeout = lx_next_timeout,
	.wait = lx_wait,
	.wake = lx_wake,
	.tun_open = lx_tun_open,
	.tun_read = lx_tun_read,
	.tun_write = lx_tun_write,
	.tun_offload = lx_tun_offload,
	.tun_close = lx_tun_close,
	.udp_open = lx_udp_open,
	.udp_send = lx_udp_send,
	.udp_recv = lx_udp_recv,
	.udp_port = lx_udp_port,
	.udp_close = lx_udp_close,
	.stream_open = lx_stream_open,
	.stream_state = lx_stream_state,
	.stream_error = lx_stream_error,
	.stream_send = lx_stream_send,
	.stream_recv = lx_stream_recv,
	.stream_close = lx_stream_close,
	.net_apply = lx_net_apply,
	.net_clear = lx_net_clear,
	.forward = lx_forward,
	.net_event = lx_net_event,
	.dns_servers = lx_dns_servers,
	.dns_flush = lx_dns_flush,
	.file_write = lx_file_write,
	.file_read = lx_file_read,
	.file_remove = lx_file_remove,
	.dir_make = lx_dir_make,
	.dir_open = lx_dir_open,
	.dir_next = lx_dir_next,
	.dir_close = lx_dir_close,
	.dns_query = lx_dns_query,
	.dns_answer = lx_dns_answer,
	.dns_listen = lx_dns_listen,
	.dns_unlisten = lx_dns_unlisten,
	.dns_request = lx_dns_request,
	.dns_reply = lx_dns_reply,
	.resolve = lx_resolve,
	.resolved = lx_resolved,
	.http_start = lx_http_start,
	.http_result = lx_http_result,
	.http_cancel = lx_http_cancel,
	.ask_reset = lx_ask_reset,
	.ask_close = lx_ask_close,
	.stats = stats,
	.free = lx_free,
};

int fz_platform_linux_new(const struct fz_env *env, const struct fz_platform_linux_opts *opts,
			  struct fz_platform *ret)
{
	struct fz_platform_linux_opts o = { 0 };
	struct lx *lx;
	int err = 0;

	if (opts)
		err = fz_opts_import(&o, sizeof(o), opts, opts->size);
	if (err)
		return err;
	if (o.dns_control > FZ_DNS_CONTROL_RESOLVED)
		return FZ_ERR_ABI;
	if (env == NULL)
		env = fz_env_default();
	lx = fz_zalloc(env, sizeof(*lx));
	if (lx == NULL)
		return FZ_ERR_NOMEM;
	lx->env = env;
	lx->opts = o;
	lx->tun.fd = lx->udp[0].fd = lx->udp[1].fd = -1;
	lx->ep = epoll_create1(EPOLL_CLOEXEC);
	lx->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (lx->ep < 0 || lx->wake < 0) {
		fz_error(env, "loop", "epoll or eventfd: %s", strerror(errno));
		err = FZ_ERR_IO;
	} else {
		err = lx_loop_add(lx, lx->wake, LX_TAG_WAKE);
	}
	if (err == 0 && !o.no_watch)
		err = lx_watch_open(lx);
	if (err == 0)
		err = lx_dns_open(lx);
	if (err) {
		lx_free(lx);
		return err;
	}
	*ret = (struct fz_platform){ &table, lx };
	return 0;
}
