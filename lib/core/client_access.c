/* SPDX-License-Identifier: Apache-2.0 */
/* Who serves which resource of the client: asking for access, grants and refusals, gateways that come and go,
 * and what these are told of names. */
#include <string.h>

#include "base/log.h"
#include "base/time.h"
#include "core/client_impl.h"
#include "wire/p2p_payload.h"

/* A gateway that goes on refusing is doubted after 2, 4, 8 ... 64 s, and at once after a while without. */
#define DOUBTS_MAX 6
#define DOUBT_FORGET_US FZ_SEC(300)
/* Names of a resource that a gateway is told of when it begins to serve it; others when they are used. */
#define ANNOUNCE_AT_GRANT 64

/* ---- asking ---- */

void client_ask(struct client *c, struct resource *res, uint64_t now_us)
{
	struct fz_uuid known[GATEWAYS_KNOWN_MAX];
	size_t n;
	int err;

	if (res->asked_us != 0 && now_us < res->asked_us + CLIENT_ASK_GAP_US)
		return;
	res->asked = true;
	res->asked_us = now_us;
	n = gateways_preferred(&c->gateways, res, known);
	err = portal_send_request_authorization(endpoint_portal(c->endpoint), &res->id, known, n);
	if (err != 0)
		fz_debug(c->env, "client", "request for access not sent: %s", fz_strerror(err));
}

void client_ask_again(struct client *c, uint64_t now_us)
{
	for (size_t i = 0; i < c->resources.len; i++) {
		struct resource *res = c->resources.v[i];
		res->asked_us = 0;
		if (res->waiting.used > 0)
			client_ask(c, res, now_us);
	}
}

void client_doubt(struct client *c, struct resource *res, uint64_t now_us)
{
	if (now_us >= res->doubted_us + DOUBT_FORGET_US)
		res->doubts = 0;
	if (res->doubts > 0 && now_us < res->doubted_us + ((uint64_t)CLIENT_ASK_GAP_US << (res->doubts - 1)))
		return;
	if (res->doubts < DOUBTS_MAX)
		res->doubts++;
	res->doubted_us = now_us;
	client_ask(c, res, now_us);
}

/* A gateway that was started anew has another key and can not tell us: the portal can, or it names another
 * gateway. An answer that changes nothing does no harm. */
void client_gateway_silent(struct client *c, const struct gateway_peer *g, uint64_t now_us)
{
	for (size_t i = 0; i < c->resources.len; i++) {
		if (c->resources.v[i]->gateway != g)
			continue;
		client_ask(c, c->resources.v[i], now_us);
		return;
	}
}

/* ---- gateways ---- */

static void unserve(struct client *c, struct resource *res, uint64_t now_us)
{
	if (res->type == PORTAL_RESOURCE_DNS)
		dns_stub_site_down(c->stub, &res->id, now_us);
	res->last_gateway = res->gateway->id;
	res->was_served = true;
	res->gateway = NULL;
}

void client_gateway_lost(struct client *c, struct gateway_peer *g, bool failed, uint64_t now_us)
{
	struct pending ring = g->waiting;

	g->waiting = (struct pending){ 0 };
	for (size_t i = 0; i < c->resources.len; i++)
		if (c->resources.v[i]->gateway == g)
			unserve(c, c->resources.v[i], now_us);
	dns_nat_forget_gateway(c->nat, g->ref);
	if (g->site && g->up)
		sites_gateway_down(g->site);
	sites_unref(&c->resources.sites, g->site);
	gateways_remove(&c->gateways, g);
	c->list_changed = true;
	client_dns_drain(c, now_us);
	if (failed)
		client_reject(c, &ring, ICMP_NET_UNREACHABLE);
	else
		client_replay(c, &ring, now_us);
}

/* Tell the gateway nothing more than it serves: close it when no resource is left. */
static void close_unused(struct client *c, struct gateway_peer *g, uint64_t now_us)
{
	for (size_t i = 0; i < c->resources.len; i++)
		if (c->resources.v[i]->gateway == g)
			return;
	node_close(endpoint_node(c->endpoint), g->ref, true, "it serves no resource of ours any more",
		   now_us);
	portal_forget_candidates(endpoint_portal(c->endpoint), PORTAL_PEER_GATEWAY, &g->id);
	client_gateway_lost(c, g, true, now_us);
}

/* The gateway does not serve this resource (any more). */
static void stop_serving(struct client *c, struct gateway_peer *g, const struct fz_uuid *resource,
			 uint64_t now_us)
{
	route_remove_id(g->sources, resource);
	dns_nat_forget_resource(c->nat, resource);
	close_unused(c, g, now_us);
}

void client_withdraw(struct client *c, struct resource *res, uint64_t now_us)
{
	struct gateway_peer *g = res->gateway;

	if (g == NULL)
		return;
	unserve(c, res, now_us);
	stop_serving(c, g, &res->id, now_us);
	client_dns_drain(c, now_us);
}

/* Its site has a gateway again: what was refused for want of one may be asked for at once. */
static void site_back(struct client *c, const struct site *site)
{
	for (size_t i = 0; i < c->resources.len; i++) {
		struct resource *res = c->resources.v[i];
		if (!res->refused || res->reason != PORTAL_REASON_OFFLINE)
			continue;
		for (size_t k = 0; k < res->sites_len; k++)
			if (res->sites[k] == site)
				res->refused = false;
		if (!res->refused)
			res->asked_us = 0;
	}
}

static void set_up(struct client *c, struct gateway_peer *g)
{
	g->up = true;
	if (g->site == NULL)
		return;
	sites_gateway_up(g->site);
	site_back(c, g->site);
}

static struct gateway_peer *gateway_upsert(struct client *c, const struct portal_authz_created *a,
					   uint32_t ref, uint64_t now_us)
{
	struct gateway_peer *g = gateways_by_id(&c->gateways, &a->gateway_id);

	if (g && g->ref == ref && fz_ip_equal(&g->ipv4, &a->gateway_ipv4) &&
	    fz_ip_equal(&g->ipv6, &a->gateway_ipv6))
		return g;
	if (g)
		client_gateway_lost(c, g, false, now_us); /* replaced by one with other keys or addresses */
	g = gateways_add(&c->gateways, a, ref);
	if (g == NULL)
		return NULL;
	g->site = sites_ref(&c->resources.sites, &a->site_id, NULL);
	if (node_conn(endpoint_node(c->endpoint), ref)->reported_up)
		set_up(c, g); /* kept, under new addresses */
	return g;
}

void client_gateway_up(struct client *c, struct gateway_peer *g, uint64_t now_us)
{
	set_up(c, g);
	c->list_changed = true;
	client_announce(c, g, now_us);
	client_replay(c, &g->waiting, now_us);
}

/* ---- names ---- */

/* What stands for the name, in the families of the resource. */
static bool describe(struct client *c, const struct dns_nat_key *key, struct p2p_assigned_ips *ret)
{
	const struct resource *res = resources_find(&c->resources, &key->resource);
	static const uint8_t families[] = { FZ_FAMILY_INET, FZ_FAMILY_INET6 };
	char text[DNS_NAME_STRLEN];
	struct dns_name name;

	if (res == NULL)
		return false;
	ret->resource = key->resource;
	ret->ips_len = 0;
	for (size_t i = 0; i < 2; i++) {
		if (!resource_has_family(res, families[i]))
			continue;
		proxy_domain_ips(key->domain, families[i], ret->ips + ret->ips_len);
		ret->ips_len += PROXY_IPS_EACH;
	}
	proxy_domain_name(key->domain, &name);
	if (strlen(dns_name_format(&name, text)) > P2P_DOMAIN_MAX)
		return false;
	memcpy(ret->domain, text, strlen(text) + 1);
	return true;
}

/* One that can not be sent now is repeated like one that was lost. */
void client_announce(struct client *c, struct gateway_peer *g, uint64_t now_us)
{
	const struct dns_nat_key *key;
	struct p2p_assigned_ips m;
	uint8_t payload[P2P_PAYLOAD_MAX];

	while (g->up && (key = dns_nat_take_due(c->nat, g->ref, now_us)) != NULL) {
		int len = describe(c, key, &m) ? p2p_build_assigned_ips(c->env, &m, payload) : FZ_ERR_INVAL;
		if (len >= 0)
			len = node_send_control(endpoint_node(c->endpoint), g->ref, P2P_ASSIGNED_IPS, payload,
						(size_t)len, now_us);
		if (len < 0)
			fz_debug(c->env, "client", "a name was not announced: %s", fz_strerror(len));
	}
	endpoint_drop_many(c->endpoint, DROP_PENDING, dns_nat_take_lost(c->nat));
}

void client_announce_all(struct client *c, uint64_t now_us)
{
	for (struct gateway_peer *g = c->gateways.first; g; g = g->next)
		client_announce(c, g, now_us);
}

static void announce_names(struct client *c, struct resource *res, bool again, uint64_t now_us)
{
	const struct proxy_use *use = proxy_ips_readopt(c->proxies, &res->id, res->address);
	struct dns_nat_key key = { res->gateway->ref, NULL, res->id };

	for (unsigned i = 0; use && i < ANNOUNCE_AT_GRANT; i++, use = use->next_domain) {
		key.domain = use->domain;
		(void)dns_nat_announce(c->nat, &key, again, now_us);
	}
	client_announce(c, res->gateway, now_us);
}

/* ---- grants ---- */

/* From now on this gateway serves the resource, and no other one does. */
static void serve_by(struct client *c, struct resource *res, struct gateway_peer *g, uint64_t now_us)
{
	struct gateway_peer *before = res->gateway;

	res->gateway = g;
	if (before && before != g)
		stop_serving(c, before, &res->id, now_us);
	if (res->type == PORTAL_RESOURCE_DNS)
		announce_names(c, res, before == g, now_us);
}

static void tell_granted(struct client *c, const struct resource *res, const struct gateway_peer *g)
{
	struct fz_event ev = { .type = FZ_EVENT_GRANTED };

	fz_uuid_format(&res->id, ev.u.grant.resource);
	fz_uuid_format(&g->id, ev.u.grant.peer);
	endpoint_event(c->endpoint, &ev);
}

static void no_connection(struct client *c, struct resource *res, int err, uint64_t now_us)
{
	struct pending ring = resource_take_waiting(&c->resources, res);

	fz_warn(c->env, "client", "no connection to the gateway: %s", fz_strerror(err));
	client_reject(c, &ring, ICMP_NET_UNREACHABLE);
	dns_stub_site_down(c->stub, &res->id, now_us);
	client_dns_drain(c, now_us);
}

void client_granted(struct client *c, const struct portal_authz_created *a, uint64_t now_us)
{
	struct resource *res = resources_find(&c->resources, &a->resource_id);
	struct conn_params params = {
		.id = a->gateway_id,
		.peer_key = a->gateway_key,
		.psk = a->preshared_key,
		.controlling = true,
		.iceless = a->use_iceless,
		.local_ufrag = a->client_ice.username,
		.local_pwd = a->client_ice.password,
		.remote_ufrag = a->gateway_ice.username,
		.remote_pwd = a->gateway_ice.password,
		.profile = PATH_CLIENT_DEFAULT,
		.idle_profile = PATH_CLIENT_IDLE,
	};
	struct gateway_peer *g;
	struct pending ring;
	uint32_t ref;
	int err;

	if (res == NULL || !res->asked) {
		fz_debug(c->env, "client", "access that nobody asked for, ignored");
		return;
	}
	res->asked = res->refused = res->is_told = false;
	c->list_changed = true;
	err = node_upsert(endpoint_node(c->endpoint), &params, now_us, &ref);
	fz_wipe(&params, sizeof(params));
	g = err == 0 ? gateway_upsert(c, a, ref, now_us) : NULL;
	if (g == NULL || (err = gateways_allow(&c->gateways, g, res)) != 0) {
		no_connection(c, res, err ? err : FZ_ERR_NOMEM, now_us);
		if (g)
			close_unused(c, g, now_us);
		else if (err == 0)
			node_close(endpoint_node(c->endpoint), ref, false, "no memory", now_us);
		return;
	}
	serve_by(c, res, g, now_us);
	res->asked_us = 0;
	tell_granted(c, res, g);
	ring = resource_take_waiting(&c->resources, res);
	client_replay(c, &ring, now_us);
	dns_stub_site_up(c->stub, &res->id, now_us);
	client_dns_drain(c, now_us);
}

/* Once for each reason; a grant makes it news again. */
static void tell_refused(struct client *c, struct resource *res)
{
	struct fz_event ev = { .type = FZ_EVENT_REFUSED };

	if (res->is_told && res->told == res->reason)
		return;
	res->is_told = true;
	res->told = res->reason;
	fz_uuid_format(&res->id, ev.u.refused.resource);
	ev.u.refused.reason = portal_reason_word(res->reason);
	endpoint_event(c->endpoint, &ev);
}

void client_refused(struct client *c, const struct portal_authz_failed *f, uint64_t now_us)
{
	struct resource *res = resources_find(&c->resources, &f->resource_id);
	struct pending ring;

	if (res == NULL)
		return;
	res->asked = false;
	res->refused = true;
	res->reason = f->reason;
	if (f->reason == PORTAL_REASON_OFFLINE)
		for (size_t i = 0; i < res->sites_len; i++)
			sites_set_offline(&c->resources.sites, res->sites[i], now_us);
	c->list_changed = true;
	tell_refused(c, res);
	/* An error now is worth more than an answer perhaps later. */
	ring = resource_take_waiting(&c->resources, res);
	client_reject(c, &ring, client_error_of(res));
	if (res->gateway == NULL)
		dns_stub_site_down(c->stub, &res->id, now_us);
	client_dns_drain(c, now_us);
}
