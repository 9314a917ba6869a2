/* SPDX-License-Identifier: Apache-2.0 */
#include "core/client.h"

#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/time.h"
#include "core/client_impl.h"

/* ---- connections ---- */

static void client_node_event(void *role, const struct node_event *nev, uint64_t now_us)
{
	struct client *c = role;
	struct gateway_peer *g = gateways_by_ref(&c->gateways, nev->ref);
	struct fz_event ev = { .type = FZ_EVENT_PEER_DOWN };

	if (nev->type == NODE_NO_RELAYS) {
		fz_info(c->env, "client", "no relay: %s", nev->detail);
		(void)portal_send_no_relays(endpoint_portal(c->endpoint));
		return;
	}
	if (nev->type == NODE_SILENT) {
		if (g)
			client_gateway_silent(c, g, now_us);
		return;
	}
	if (nev->type == NODE_UP)
		ev.type = FZ_EVENT_PEER_UP;
	else if (nev->type == NODE_PATH)
		ev.type = FZ_EVENT_PEER_PATH;
	endpoint_describe_peer(c->endpoint, nev->ref, &nev->peer, nev->detail, &ev);
	endpoint_event(c->endpoint, &ev);
	if (g == NULL || nev->type == NODE_PATH)
		return;
	if (nev->type == NODE_UP) {
		client_gateway_up(c, g, now_us);
	} else {
		portal_forget_candidates(endpoint_portal(c->endpoint), PORTAL_PEER_GATEWAY, &g->id);
		client_gateway_lost(c, g, nev->type == NODE_FAILED, now_us);
	}
	client_publish(c, now_us);
}

/* ---- time ---- */

static uint64_t first_waiter(const struct resources *r)
{
	uint64_t at = FZ_NEVER_US;

	for (size_t i = 0; i < r->waiters_len; i++)
		at = fz_min_us(at, r->waiters[i]->waiting_us + CLIENT_WAIT_US);
	return at;
}

/* Nobody says yes or no: the packets have waited long enough for an error. */
static void end_waiting(struct client *c, uint64_t now_us)
{
	struct resources *r = &c->resources;

	for (size_t i = r->waiters_len; i-- > 0;) {
		struct pending ring;
		if (now_us < r->waiters[i]->waiting_us + CLIENT_WAIT_US)
			continue;
		ring = resource_take_waiting(r, r->waiters[i]);
		client_reject(c, &ring, ICMP_NET_UNREACHABLE);
	}
}

static void client_timeout(void *role, uint64_t now_us)
{
	struct client *c = role;
	struct pending ring;

	end_waiting(c, now_us);
	while (dns_nat_handle_timeout(c->nat, now_us, &ring))
		client_reject(c, &ring, ICMP_NET_UNREACHABLE);
	client_announce_all(c, now_us);
	dns_stub_handle_timeout(c->stub, now_us);
	client_dns_drain(c, now_us);
	c->list_changed |= sites_handle_timeout(&c->resources.sites, now_us);
	if (!c->routes_changed || c->retry_us <= now_us)
		client_publish(c, now_us);
	if (c->resync_us <= now_us) {
		c->resync_us = FZ_NEVER_US;
		portal_reconnect(endpoint_portal(c->endpoint), now_us);
	}
}

static uint64_t client_next_timeout(const void *role)
{
	const struct client *c = role;
	bool is_due = c->routes_changed && c->ipv4.family != FZ_FAMILY_NONE;
	uint64_t at = fz_min_us(c->resync_us, is_due ? c->retry_us : FZ_NEVER_US);

	at = fz_min_us(at, fz_min_us(first_waiter(&c->resources), c->resources.sites.next_us));
	return fz_min_us(at, fz_min_us(dns_nat_next_timeout(c->nat), dns_stub_next_timeout(c->stub)));
}

static const struct endpoint_ops client_ops = {
	.message = client_message,
	.node_event = client_node_event,
	.outbound = client_outbound,
	.inbound = client_inbound,
	.control = client_control,
	.timeout = client_timeout,
	.next_timeout = client_next_timeout,
	.dns_answer = client_dns_answer,
	.dns_request = client_dns_request,
	.dns_listen_failed = client_dns_listen_failed,
	.system_dns = client_dns_system,
};

/* ---- life ---- */

static int make_parts(struct client *c, const struct endpoint_opts *opts, uint64_t now_us,
		      const char **ret_reason)
{
	int err = proxy_ips_new(c->env, PROXY_DOMAINS_MAX, &c->proxies);

	if (err == 0)
		err = resources_init(&c->resources, c->env, c->proxies);
	if (err == 0)
		err = dns_stub_new(c->env, c->proxies, &c->stub);
	if (err == 0)
		err = gateways_init(&c->gateways, c->env);
	if (err == 0)
		err = dns_nat_new(c->env, 0, &c->nat);
	if (err == 0)
		err = endpoint_new(c->env, opts, &client_ops, c, now_us, &c->endpoint, ret_reason);
	if (err == 0)
		c->flows = endpoint_flows(c->endpoint);
	return err;
}

int client_new(const struct fz_env *env, const struct endpoint_opts *opts, uint64_t now_us,
	       struct client **ret, const char **ret_reason)
{
	struct client *c = fz_zalloc(env, sizeof(*c));
	int err;

	*ret_reason = NULL;
	if (c == NULL)
		return FZ_ERR_NOMEM;
	c->env = env;
	c->resync_us = FZ_NEVER_US;
	err = make_parts(c, opts, now_us, ret_reason);
	if (err != 0) {
		client_free(c);
		return err;
	}
	*ret = c;
	return 0;
}

void client_free(struct client *c)
{
	if (c == NULL)
		return;
	for (struct gateway_peer *g = c->gateways.first; g; g = g->next)
		sites_unref(&c->resources.sites, g->site);
	gateways_clear(&c->gateways);
	resources_clear(&c->resources);
	dns_stub_free(c->stub);
	dns_nat_free(c->nat);
	proxy_ips_free(c->proxies);
	endpoint_free(c->endpoint);
	fz_free(c->env, c->search_domain);
	fz_free(c->env, c);
}

struct endpoint *client_endpoint(const struct client *c)
{
	return c->endpoint;
}

const struct resources *client_resources(const struct client *c)
{
	return &c->resources;
}

int client_reset(struct client *c, uint64_t now_us)
{
	int err = endpoint_reset(c->endpoint, now_us);

	if (err != 0)
		return err;
	dns_stub_reset(c->stub, now_us);
	client_dns_drain(c, now_us);
	return 0;
}
