/* SPDX-License-Identifier: Apache-2.0 */
/* One host of the in-memory network as a platform. */
#include "platform/mem/mem.h"
#include "platform/vnet.h"

static const uint8_t families[2] = { FZ_FAMILY_INET, FZ_FAMILY_INET6 };

static uint64_t now_us(void *p)
{
	const struct mem_host *h = p;

	return h->net->now_us;
}

static uint64_t unix_ns(void *p)
{
	const struct mem_host *h = p;

	return UINT64_C(1700000000000000000) + h->net->now_us * 1000; /* any fixed day */
}

static int wait_fd(void *p)
{
	(void)p;
	return -1;
}

static uint64_t next_timeout(void *p)
{
	return mem_ask_next(p);
}

/* Time does not pass by itself: there is nothing to wait for. */
static int wait(void *p, uint64_t until_us, uint32_t *ret_ready)
{
	struct mem_host *h = p;
	uint32_t ready = 0;

	(void)until_us;
	if (h->tun_in.n > 0)
		ready |= FZ_READY_TUN;
	if (h->rx.n > 0)
		ready |= FZ_READY_UDP;
	if (h->events_n > 0)
		ready |= FZ_READY_NET;
	if (h->tun_blocked && h->tun_out.n < MEM_TUN_OUT_MAX) {
		h->tun_blocked = false;
		ready |= FZ_READY_TUN_WRITE;
	}
	if (mem_streams_ready(h))
		ready |= FZ_READY_STREAM;
	ready |= mem_ask_ready(h);
	if (h->woken)
		ready |= FZ_READY_WAKE;
	h->woken = false;
	*ret_ready = ready;
	return 0;
}

static void wake(void *p)
{
	struct mem_host *h = p;

	h->woken = true;
}

static int tun_open(void *p, const struct fz_tun_opts *opts)
{
	struct mem_host *h = p;

	if (opts->fd >= 1)
		return FZ_ERR_UNSUPPORTED;
	if (h->tun_open)
		return FZ_ERR_STATE;
	h->tun_open = true;
	return 0;
}

static int tun_read(void *p, uint8_t *buf, size_t cap, struct fz_pkt *ret)
{
	struct mem_host *h = p;
	struct mem_item *item;

	if (cap < FZ_PKT_HEADROOM + FZ_SUPER_MAX)
		return FZ_ERR_NOSPACE;
	if (!h->tun_open)
		return FZ_ERR_DEAD;
	item = mem_queue_pop(&h->tun_in);
	if (item == NULL)
		return 0;
	*ret = item->pkt;
	ret->data = buf + FZ_PKT_HEADROOM;
	memcpy(ret->data, item->pkt.data, item->pkt.len);
	fz_free(h->net->env, item);
	h->stats.tun_read++;
	return 1;
}

static int tun_write(void *p, const struct fz_pkt *pkt)
{
	struct mem_host *h = p;
	struct mem_item *item;

	if (!h->tun_open)
		return FZ_ERR_DEAD;
	if (pkt->gso != FZ_GSO_NONE && !h->net->offload)
		return FZ_ERR_UNSUPPORTED;
	if (h->tun_out.n >= MEM_TUN_OUT_MAX) {
		h->tun_blocked = true;
		return FZ_ERR_AGAIN;
	}
	item = mem_item_new(h->net, pkt->data, pkt->len);
	if (item == NULL) {
		h->stats.tun_write_failed++;
		return FZ_ERR_IO;
	}
	uint8_t *data = item->pkt.data;
	item->pkt = *pkt;
	item->pkt.data = data;
	if (pkt->needs_csum && !h->net->offload) {
		if (vnet_complete_csum(&item->pkt) < 0) {
			fz_free(h->net->env, item);
			return FZ_ERR_INVAL;
		}
		item->pkt.needs_csum = 0;
		item->pkt.csum_start = item->pkt.csum_offset = 0;
	}
	mem_queue_push(&h->tun_out, item);
	h->stats.tun_written++;
	return 0;
}

static bool tun_offload(void *p)
{
	const struct mem_host *h = p;

	return h->net->offload;
}

static void tun_close(void *p)
{
	struct mem_host *h = p;

	h->tun_open = false;
	mem_queue_clear(h->net, &h->tun_in);
}

static void udp_close(void *p)
{
	struct mem_host *h = p;

	h->port = 0;
	mem_queue_clear(h->net, &h->rx);
	fz_free(h->net->env, h->rx_buf);
	h->rx_buf = NULL;
}

static int udp_open(void *p, uint16_t port)
{
	struct mem_host *h = p;

	udp_close(h);
	h->rx_buf = h->net->env->mem.alloc(h->net->env->mem.ctx, MEM_RX_BUF);
	if (h->rx_buf == NULL)
		return FZ_ERR_NOMEM;
	if (port == 0) {
		port = h->net->next_port;
		h->net->next_port = port == UINT16_MAX ? 32768 : (uint16_t)(port + 1);
	}
	h->port = port;
	return 0;
}

static uint16_t udp_port(void *p, uint8_t family)
{
	const struct mem_host *h = p;

	for (int i = 0; i < 2; i++)
		if (families[i] == family && h->ip[i].family == family)
			return h->port;
	return 0;
}

static struct mem_host *owner_of(struct fz_memnet *net, const struct fz_addr *a)
{
	for (struct mem_host *h = net->hosts; h != NULL; h = h->next)
		if (h->port == a->port && (fz_ip_equal(&h->ip[0], &a->ip) || fz_ip_equal(&h->ip[1], &a->ip)))
			return h;
	return NULL;
}

void mem_deliver(struct fz_memnet *net)
{
	while (net->flight.head != NULL && net->flight.head->due_us <= net->now_us) {
		struct mem_item *item = mem_queue_pop(&net->flight);
		struct mem_host *h = owner_of(net, &item->to);
		if (h != NULL && h->port != 0 && h->rx.n < MEM_RX_MAX)
			mem_queue_push(&h->rx, item);
		else
			fz_free(net->env, item);
	}
}

static int send_one(struct mem_host *h, const struct fz_udp_batch *b, const struct fz_addr *from, size_t len)
{
	struct fz_memnet *net = h->net;
	struct mem_item *item = mem_item_new(net, b->data, len);

	if (item == NULL)
		return FZ_ERR_NOMEM;
	item->from = *from;
	item->to = b->remote;
	item->ecn = b->ecn;
	uint64_t delay =
		net->hook ? net->hook(net->hook_ctx, &item->from, &item->to, item->pkt.data, len) : 0;
	h->stats.udp_sent++;
	if (delay == FZ_NEVER_US) {
		fz_free(net->env, item);
		return 0;
	}
	item->due_us = net->now_us + delay;
	mem_queue_insert(&net->flight, item);
	return 0;
}

static int udp_send(void *p, struct fz_udp_batch *b)
{
	struct mem_host *h = p;
	const struct fz_ip *own = &h->ip[b->remote.ip.family == FZ_FAMILY_INET6];
	struct fz_addr from = { .ip = *own, .port = h->port };
	int err = 0;

	if (!fz_addr_set(&b->remote) || b->seg_len == 0 || b->len == 0 ||
	    (fz_addr_set(&b->local) && b->local.ip.family != b->remote.ip.family))
		return FZ_ERR_INVAL;
	if (h->port == 0 || own->family == FZ_FAMILY_NONE)
		return FZ_ERR_STATE;
	if (fz_addr_set(&b->local) && !fz_ip_equal(&b->local.ip, own)) {
		h->stats.udp_send_failed += (b->len + b->seg_len - 1) / b->seg_len;
		return FZ_ERR_IO; /* the source address is gone */
	}
	while (err == 0 && b->len > 0) {
		size_t len = b->len < b->seg_len ? b->len : b->seg_len;
		err = send_one(h, b, &from, len);
		b->data += len;
		b->len -= len;
	}
	mem_deliver(h->net);
	return err;
}

static bool joins(const struct mem_item *item, const struct fz_udp_batch *b, unsigned segs)
{
	return segs < MEM_JOIN_MAX && b->len == (size_t)segs * b->seg_len && item->pkt.len <= b->seg_len &&
	       item->ecn == b->ecn && fz_addr_equal(&item->from, &b->remote) &&
	       fz_addr_equal(&item->to, &b->local);
}

static int udp_recv(void *p, struct fz_udp_batch *ret, size_t max)
{
	struct mem_host *h = p;
	size_t used = 0;
	unsigned segs = 0;
	int n = 0;

	for (; h->rx.head != NULL && used + h->rx.head->pkt.len <= MEM_RX_BUF; segs++) {
		struct mem_item *item = h->rx.head;
		size_t len = item->pkt.len;
		if (n == 0 || !h->net->offload || !joins(item, &ret[n - 1], segs)) {
			if ((size_t)n == max)
				break;
			ret[n++] = (struct fz_udp_batch){ .local = item->to,
							  .remote = item->from,
							  .data = h->rx_buf + used,
							  .seg_len = (uint16_t)len,
							  .ecn = item->ecn };
			segs = 0;
		}
		memcpy(h->rx_buf + used, item->pkt.data, len);
		used += len;
		ret[n - 1].len += len;
		h->stats.udp_received++;
		fz_free(h->net->env, mem_queue_pop(&h->rx));
	}
	return n;
}

static void net_clear(void *p)
{
	struct mem_host *h = p;

	fz_free(h->net->env, h->routes);
	h->routes = NULL;
	h->has_cfg = false;
}

static int net_apply(void *p, const struct fz_netcfg *cfg)
{
	struct mem_host *h = p;
	struct fz_prefix *routes;

	if (!h->tun_open)
		return FZ_ERR_STATE;
	if (cfg->dns_len > FZ_DNS_SERVERS_MAX ||
	    (cfg->search_domain && strlen(cfg->search_domain) >= sizeof(h->search_domain)))
		return FZ_ERR_INVAL;
	routes = fz_memdup(h->net->env, cfg->routes, cfg->routes_len * sizeof(*routes));
	if (routes == NULL)
		return FZ_ERR_NOMEM;
	net_clear(h);
	h->routes = routes;
	h->cfg = *cfg;
	h->cfg.routes = routes;
	h->cfg.dns = h->sentinels;
	if (cfg->dns_len)
		memcpy(h->sentinels, cfg->dns, cfg->dns_len * sizeof(*cfg->dns));
	if (cfg->search_domain)
		h->cfg.search_domain = strcpy(h->search_domain, cfg->search_domain);
	h->has_cfg = true;
	return 0;
}

static int net_event(void *p)
{
	struct mem_host *h = p;
	int event = h->events[0];

	if (h->events_n == 0)
		return 0;
	memmove(h->events, h->events + 1, --h->events_n);
	return event;
}

static size_t dns_servers(void *p, struct fz_ip *ret, size_t cap)
{
	const struct mem_host *h = p;
	size_t n = h->dns_len < cap ? h->dns_len : cap;

	if (n)
		memcpy(ret, h->dns, n * sizeof(*ret));
	return n;
}

static void dns_flush(void *p)
{
	struct mem_host *h = p;

	h->dns_flushes++;
}

static void stats(void *p, struct fz_platform_stats *ret)
{
	const struct mem_host *h = p;

	*ret = h->stats;
}

void mem_host_destroy(struct mem_host *h)
{
	struct fz_memnet *net = h->net;

	mem_streams_close_of(h);
	mem_files_free(h);
	mem_ask_close(h);
	udp_close(h);
	tun_close(h);
	net_clear(h);
	mem_queue_clear(net, &h->tun_out);
	fz_free(net->env, h->taken);
	fz_free(net->env, h);
}

static void host_free(void *p)
{
	struct mem_host *h = p, **at = &h->net->hosts;

	while (*at != h)
		at = &(*at)->next;
	*at = h->next;
	mem_host_destroy(h);
}

const struct fz_platform_ops mem_ops = {
	.version = FZ_PLATFORM_VERSION,
	.now_us = now_us,
	.unix_ns = unix_ns,
	.wait_fd = wait_fd,
	.next_timeout = next_timeout,
	.wait = wait,
	.wake = wake,
	.tun_open = tun_open,
	.tun_read = tun_read,
	.tun_write = tun_write,
	.tun_offload = tun_offload,
	.tun_close = tun_close,
	.udp_open = udp_open,
	.udp_send = udp_send,
	.udp_recv = udp_recv,
	.udp_port = udp_port,
	.udp_close = udp_close,
	.stream_open = mem_stream_open,
	.stream_state = mem_stream_state,
	.stream_error = mem_stream_error,
	.stream_send = mem_stream_send,
	.stream_recv = mem_stream_recv,
	.stream_close = mem_stream_close,
	.net_apply = net_apply,
	.net_clear = net_clear,
	.net_event = net_event,
	.dns_servers = dns_servers,
	.dns_flush = dns_flush,
	.file_write = mem_file_write,
	.file_read = mem_file_read,
	.file_remove = mem_file_remove,
	.dir_make = mem_dir_make,
	.dir_open = mem_dir_open,
	.dir_next = mem_dir_next,
	.dir_close = mem_dir_close,
	.dns_query = mem_dns_query,
	.dns_answer = mem_dns_answer,
	.dns_listen = mem_dns_listen,
	.dns_unlisten = mem_dns_unlisten,
	.dns_request = mem_dns_request,
	.dns_reply = mem_dns_reply,
	.resolve = mem_resolve,
	.resolved = mem_resolved,
	.http_start = mem_http_start,
	.http_result = mem_http_result,
	.http_cancel = mem_http_cancel,
	.ask_reset = mem_ask_reset,
	.ask_close = mem_ask_close,
	.stats = stats,
	.free = host_free,
};
