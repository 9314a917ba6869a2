/* SPDX-License-Identifier: Apache-2.0 */
/* The public side of the in-memory network. */
#include "platform/mem/mem.h"

int fz_memnet_new(const struct fz_env *env, struct fz_memnet **ret)
{
	struct fz_memnet *net;

	if (env == NULL)
		env = fz_env_default();
	net = fz_zalloc(env, sizeof(*net));
	if (net == NULL)
		return FZ_ERR_NOMEM;
	net->env = env;
	net->offload = true;
	net->next_port = 32768;
	mem_queue_init(&net->flight);
	*ret = net;
	return 0;
}

void fz_memnet_free(struct fz_memnet *net)
{
	struct mem_host *h;

	if (net == NULL)
		return;
	while ((h = net->hosts) != NULL) {
		net->hosts = h->next;
		mem_host_destroy(h);
	}
	mem_streams_free_all(net);
	mem_queue_clear(net, &net->flight);
	fz_free(net->env, net);
}

void fz_memnet_advance(struct fz_memnet *net, uint64_t by_us)
{
	net->now_us += by_us;
	mem_deliver(net);
}

uint64_t fz_memnet_now(const struct fz_memnet *net)
{
	return net->now_us;
}

uint64_t fz_memnet_next_us(const struct fz_memnet *net)
{
	return net->flight.head ? net->flight.head->due_us : FZ_NEVER_US;
}

void fz_memnet_set_offload(struct fz_memnet *net, bool on)
{
	net->offload = on;
}

void fz_memnet_set_hook(struct fz_memnet *net, fz_memnet_hook hook, void *ctx)
{
	net->hook = hook;
	net->hook_ctx = ctx;
}

void fz_memnet_set_accept(struct fz_memnet *net, fz_memnet_accept accept, void *ctx)
{
	net->accept = accept;
	net->accept_ctx = ctx;
}

static void set_addrs(struct mem_host *h, const struct fz_ip *ipv4, const struct fz_ip *ipv6)
{
	static const struct fz_ip none;

	h->ip[0] = ipv4 ? *ipv4 : none;
	h->ip[1] = ipv6 ? *ipv6 : none;
}

int fz_memnet_host(struct fz_memnet *net, const struct fz_ip *ipv4, const struct fz_ip *ipv6,
		   struct fz_platform *ret)
{
	struct mem_host *h = fz_zalloc(net->env, sizeof(*h));

	if (h == NULL)
		return FZ_ERR_NOMEM;
	h->net = net;
	h->disk = SIZE_MAX;
	set_addrs(h, ipv4, ipv6);
	mem_queue_init(&h->rx);
	mem_queue_init(&h->tun_in);
	mem_queue_init(&h->tun_out);
	h->next = net->hosts;
	net->hosts = h;
	*ret = (struct fz_platform){ &mem_ops, h };
	return 0;
}

void fz_memnet_set_addrs(struct fz_platform *host, const struct fz_ip *ipv4, const struct fz_ip *ipv6)
{
	set_addrs(host->ctx, ipv4, ipv6);
}

void fz_memnet_net_event(struct fz_platform *host, enum fz_net_event event)
{
	struct mem_host *h = host->ctx;

	if (h->events_n < MEM_EVENTS_MAX)
		h->events[h->events_n++] = (uint8_t)event;
}

void fz_memnet_set_dns(struct fz_platform *host, const struct fz_ip *servers, size_t len)
{
	struct mem_host *h = host->ctx;

	h->dns_len = len < FZ_DNS_SERVERS_MAX ? len : FZ_DNS_SERVERS_MAX;
	if (len)
		memcpy(h->dns, servers, h->dns_len * sizeof(*servers));
	fz_memnet_net_event(host, FZ_NET_DNS_CHANGED);
}

unsigned fz_memnet_dns_flushes(const struct fz_platform *host)
{
	const struct mem_host *h = host->ctx;

	return h->dns_flushes;
}

int fz_memnet_tun_put(struct fz_platform *host, const struct fz_pkt *pkt)
{
	struct mem_host *h = host->ctx;
	struct mem_item *item;

	if (!h->tun_open)
		return FZ_ERR_STATE;
	if (pkt->gso != FZ_GSO_NONE && !h->net->offload)
		return FZ_ERR_UNSUPPORTED;
	if (pkt->len > FZ_SUPER_MAX)
		return FZ_ERR_INVAL;
	if (h->tun_in.n >= MEM_TUN_IN_MAX)
		return FZ_ERR_FULL;
	item = mem_item_new(h->net, pkt->data, pkt->len);
	if (item == NULL)
		return FZ_ERR_NOMEM;
	uint8_t *data = item->pkt.data;
	item->pkt = *pkt;
	item->pkt.data = data;
	mem_queue_push(&h->tun_in, item);
	return 0;
}

bool fz_memnet_tun_take(struct fz_platform *host, struct fz_pkt *ret)
{
	struct mem_host *h = host->ctx;

	fz_free(h->net->env, h->taken);
	h->taken = mem_queue_pop(&h->tun_out);
	if (h->taken == NULL)
		return false;
	*ret = h->taken->pkt;
	return true;
}

const struct fz_netcfg *fz_memnet_netcfg(const struct fz_platform *host)
{
	const struct mem_host *h = host->ctx;

	return h->has_cfg ? &h->cfg : NULL;
}
