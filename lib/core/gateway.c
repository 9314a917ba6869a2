/* SPDX-License-Identifier: Apache-2.0 */
#include "core/gateway.h"

#include <string.h>

#include "base/addr.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/time.h"
#include "core/gateway_impl.h"
#include "core/ranges.h"
#include "core/site_dns.h"

static void tell_revoked(struct gateway *g, const struct client_peer *p, const struct fz_uuid *resource,
			 const char *why)
{
	struct fz_event ev = { .type = FZ_EVENT_REVOKED };

	fz_uuid_format(resource, ev.u.grant.resource);
	fz_uuid_format(&p->id, ev.u.grant.peer);
	ev.u.grant.reason = why;
	endpoint_event(g->endpoint, &ev);
}

/* Without a grant there is no reason to know the client any more. */
static void drop_if_empty(struct gateway *g, struct client_peer *p, uint64_t now_us)
{
	if (p->grants.len > 0)
		return;
	node_close(endpoint_node(g->endpoint), p->ref, true, "it has no grant any more", now_us);
	portal_forget_candidates(endpoint_portal(g->endpoint), PORTAL_PEER_CLIENT, &p->id);
	peer_free(g, p);
}

static void revoke(struct gateway *g, struct client_peer *p, const struct fz_uuid *resource, const char *why,
		   uint64_t now_us)
{
	struct fz_uuid id = *resource; /* may live inside the grant */

	if (!grants_remove(&p->grants, &id))
		return;
	tell_revoked(g, p, &id, why);
	drop_if_empty(g, p, now_us);
}

/* The connection is gone, and its handle will be used again for somebody else's. */
static void forget_conn(struct gateway *g, struct client_peer *p)
{
	portal_forget_candidates(endpoint_portal(g->endpoint), PORTAL_PEER_CLIENT, &p->id);
	peer_set_ref(g, p, NODE_NO_REF);
}

/* ---- portal ---- */

static void publish_netcfg(struct gateway *g, uint64_t now_us)
{
	const struct fz_prefix routes[] = { ranges[RANGE_TUNNEL4], ranges[RANGE_TUNNEL6] };
	const struct fz_netcfg cfg = { .ipv4 = g->ipv4,
				       .ipv6 = g->ipv6,
				       .routes = routes,
				       .routes_len = sizeof(routes) / sizeof(routes[0]) };

	g->retry_us = FZ_NEVER_US;
	if (endpoint_set_netcfg(g->endpoint, &cfg) != 0)
		g->retry_us = now_us + ENDPOINT_RETRY_US;
}

static void listen_for_dns(struct gateway *g, bool on)
{
	const struct fz_ip *ips[] = { &g->ipv4, &g->ipv6 };

	for (size_t i = 0; i < 2; i++) {
		struct fz_addr at = { .ip = *ips[i], .port = SITE_DNS_PORT };
		if (fz_addr_set(&at) && endpoint_dns_listen(g->endpoint, &at, on, on) != 0)
			fz_warn(g->env, "gateway", "no room for another address of the DNS service");
	}
}

/* The kernel takes packets to the tunnel's addresses from any network; only clients may ask. */
static void dns_request(void *role, const struct fz_dns_request *r, uint64_t now_us)
{
	struct gateway *g = role;

	if (peer_by_ip(g, &r->peer.ip) == NULL) {
		endpoint_drop(g->endpoint, DROP_DNS);
		endpoint_dns_reply(g->endpoint, r->id, NULL, 0);
		return;
	}
	site_dns_request(g->dns, r, now_us);
}

static void dns_answer(void *role, const struct fz_dns_answer *a, uint64_t now_us)
{
	struct gateway *g = role;

	site_dns_answer(g->dns, a, now_us);
}

static void system_dns(void *role, const struct fz_ip *servers, size_t len, uint64_t now_us)
{
	struct gateway *g = role;

	(void)now_us;
	fz_info(g->env, "gateway", "the system has %zu name servers", len);
	site_dns_set_servers(g->dns, servers, len);
}

static void set_interface(struct gateway *g, const struct portal_interface *i, uint64_t now_us)
{
	if (fz_ip_equal(&g->ipv4, &i->ipv4) && fz_ip_equal(&g->ipv6, &i->ipv6))
		return;
	listen_for_dns(g, false);
	g->ipv4 = i->ipv4;
	g->ipv6 = i->ipv6;
	publish_netcfg(g, now_us);
	listen_for_dns(g, true);
}

/* The list is complete: what is not in it has ended while we were away. It never creates access. */
static void reconcile(struct gateway *g, const struct portal_init *init, uint64_t now_us)
{
	struct client_peer *next;
	struct fz_uuid resource;

	for (size_t i = 0; i < init->authorizations_len; i++) {
		const struct portal_authorization *a = &init->authorizations[i];
		struct client_peer *p = peer_by_id(g, &a->client_id);
		if (p)
			grants_list(&p->grants, &a->resource_id, a->expires_at);
	}
	for (struct client_peer *p = g->clients; p; p = next) {
		next = p->next;
		while (grants_remove_unlisted(&p->grants, &resource))
			tell_revoked(g, p, &resource, "not listed by the portal any more");
		drop_if_empty(g, p, now_us);
	}
	g->next_expiry_s = 0;
}

static void on_init(struct gateway *g, const struct portal_init *init, uint64_t now_us)
{
	node_update_relays(endpoint_node(g->endpoint), NULL, 0, init->relays, init->relays_len, now_us);
	set_interface(g, &init->interface, now_us);
	reconcile(g, init, now_us);
	fz_info(g->env, "gateway", "the portal lists %zu relays and %zu live grants", init->relays_len,
		init->authorizations_len);
}

static void acknowledge(struct gateway *g, const struct portal_create_authz *a)
{
	struct fz_event ev = { .type = FZ_EVENT_GRANTED };

	if (portal_send_authorization_created(endpoint_portal(g->endpoint), a->ref) != 0)
		fz_warn(g->env, "gateway", "the portal went away before a grant was acknowledged");
	fz_uuid_format(&a->resource.id, ev.u.grant.resource);
	fz_uuid_format(&a->client_id, ev.u.grant.peer);
	endpoint_event(g->endpoint, &ev);
}

static void on_create_authz(struct gateway *g, const struct portal_create_authz *a, uint64_t now_us)
{
	struct conn_params params = {
		.id = a->client_id,
		.peer_key = a->client_key,
		.psk = a->preshared_key,
		.controlling = false,
		.iceless = a->use_iceless,
		.local_ufrag = a->gateway_ice.username,
		.local_pwd = a->gateway_ice.password,
		.remote_ufrag = a->client_ice.username,
		.remote_pwd = a->client_ice.password,
		.profile = PATH_SERVER_DEFAULT,
		.idle_profile = PATH_SERVER_IDLE,
	};
	struct client_peer *p;
	uint32_t ref;
	int err = node_upsert(endpoint_node(g->endpoint), &params, now_us, &ref);

	fz_wipe(&params, sizeof(params));
	if (err == 0 && (err = peer_upsert(g, a, ref, &p)) != 0)
		node_close(endpoint_node(g->endpoint), ref, false, "no memory", now_us);
	if (err != 0) {
		fz_warn(g->env, "gateway", "a grant could not be used: %s", fz_strerror(err));
		return; /* without acknowledgement the portal tells the client that we are offline */
	}
	err = grants_upsert(&p->grants, &a->resource, a->has_expiry ? a->expires_at : GRANT_FOREVER);
	if (err != 0) {
		char id[FZ_UUID_STRLEN];
		fz_warn(g->env, "gateway", "the grant for resource %s is refused: %s",
			fz_uuid_format(&a->resource.id, id), fz_strerror(err));
		drop_if_empty(g, p, now_us);
		return;
	}
	if (a->has_expiry && a->expires_at < g->next_expiry_s)
		g->next_expiry_s = a->expires_at;
	acknowledge(g, a);
}

static void on_candidates(struct gateway *g, const struct portal_candidates *v, bool gone, uint64_t now_us)
{
	struct node *n = endpoint_node(g->endpoint);

	for (size_t i = 0; i < v->texts_len; i++) {
		int err = gone ? node_remove_candidate(n, &v->id, v->texts[i], now_us)
			       : node_add_candidate(n, &v->id, v->texts[i], now_us);
		if (err != 0)
			fz_debug(g->env, "gateway", "candidate ignored (%s): %s", fz_strerror(err),
				 v->texts[i]);
	}
}

void gateway_message(void *role, const struct portal_event *ev, uint64_t now_us)
{
	struct gateway *g = role;
	struct client_peer *p;

	switch (ev->type) {
	case PORTAL_EVENT_INIT:
		on_init(g, &ev->u.init, now_us);
		break;
	case PORTAL_EVENT_CREATE_AUTHZ:
		on_create_authz(g, &ev->u.create_authz, now_us);
		break;
	case PORTAL_EVENT_ACCESS_REJECTED:
		p = peer_by_id(g, &ev->u.authorization.client_id);
		if (p)
			revoke(g, p, &ev->u.authorization.resource_id, "revoked by the portal", now_us);
		break;
	case PORTAL_EVENT_RESOURCE_UPSERTED:
		for (p = g->clients; p; p = p->next)
			if (grants_find(&p->grants, &ev->u.resource.id) &&
			    grants_set_filters(&p->grants, &ev->u.resource) != 0)
				fz_warn(g->env, "gateway",
					"the new filters of a resource are refused, the old ones stay");
		break;
	case PORTAL_EVENT_RELAYS_PRESENCE:
		node_update_relays(endpoint_node(g->endpoint), ev->u.relays.disconnected,
				   ev->u.relays.disconnected_len, ev->u.relays.connected,
				   ev->u.relays.connected_len, now_us);
		break;
	case PORTAL_EVENT_CANDIDATES_ADDED:
		on_candidates(g, &ev->u.candidates, false, now_us);
		break;
	case PORTAL_EVENT_CANDIDATES_REMOVED:
		on_candidates(g, &ev->u.candidates, true, now_us);
		break;
	default:
		fz_debug(g->env, "gateway", "message of type %d is of no use here", ev->type);
		break;
	}
}

/* ---- connections and time ---- */

static void gateway_node_event(void *role, const struct node_event *nev, uint64_t now_us)
{
	struct gateway *g = role;
	struct client_peer *p = peer_by_id(g, &nev->peer);
	struct fz_event ev = { .type = FZ_EVENT_PEER_DOWN };

	(void)now_us;
	if (nev->type == NODE_NO_RELAYS) {
		fz_info(g->env, "gateway", "no relay: %s", nev->detail);
		(void)portal_send_no_relays(endpoint_portal(g->endpoint));
		return;
	}
	if (nev->type == NODE_SILENT)
		return; /* the client asks anew when it needs us */
	if (nev->type == NODE_UP)
		ev.type = FZ_EVENT_PEER_UP;
	else if (nev->type == NODE_PATH)
		ev.type = FZ_EVENT_PEER_PATH;
	endpoint_describe_peer(g->endpoint, nev->ref, &nev->peer, nev->detail, &ev);
	endpoint_event(g->endpoint, &ev);
	if (p == NULL || p->ref != nev->ref)
		return;
	/* A lost connection keeps the grants, which the client may still count on; a goodbye ends them. */
	if (nev->type == NODE_FAILED || nev->type == NODE_CLOSED)
		forget_conn(g, p);
	if (nev->type == NODE_CLOSED)
		peer_free(g, p);
}

static void gateway_timeout(void *role, uint64_t now_us)
{
	struct gateway *g = role;
	uint64_t unix_s = endpoint_unix_s(g->endpoint, now_us);
	struct client_peer *next;
	struct fz_uuid resource;

	if (g->retry_us <= now_us)
		publish_netcfg(g, now_us);
	nat_pool_expire(g->nat, now_us);
	names_timeout(g, now_us);
	if (g->next_expiry_s > unix_s)
		return;
	g->next_expiry_s = GRANT_FOREVER;
	for (struct client_peer *p = g->clients; p; p = next) {
		uint64_t at;
		next = p->next;
		while (grants_expire(&p->grants, unix_s, &resource))
			tell_revoked(g, p, &resource, "expired");
		at = grants_next_expiry(&p->grants);
		if (at < g->next_expiry_s)
			g->next_expiry_s = at;
		drop_if_empty(g, p, now_us);
	}
}

static uint64_t gateway_next_timeout(const void *role)
{
	const struct gateway *g = role;

	return fz_min_us(fz_min_us(fz_min_us(g->retry_us, nat_pool_next(g->nat)), names_next(g)),
			 g->clients ? endpoint_at_unix(g->endpoint, g->next_expiry_s) : FZ_NEVER_US);
}

static const struct endpoint_ops gateway_ops = {
	.message = gateway_message,
	.node_event = gateway_node_event,
	.outbound = gateway_outbound,
	.inbound = gateway_inbound,
	.control = names_control,
	.dns_answer = dns_answer,
	.dns_request = dns_request,
	.resolved = names_resolved,
	.system_dns = system_dns,
	.timeout = gateway_timeout,
	.next_timeout = gateway_next_timeout,
};

int gateway_new(const struct fz_env *env, const struct endpoint_opts *opts, uint64_t now_us,
		struct gateway **ret, const char **ret_reason)
{
	struct gateway *g = fz_zalloc(env, sizeof(*g));
	int err = FZ_ERR_NOMEM;

	*ret_reason = NULL;
	if (g == NULL)
		return FZ_ERR_NOMEM;
	g->env = env;
	g->retry_us = FZ_NEVER_US;
	g->lookups_end = &g->lookups;
	if (fz_map_init(&g->by_id, env, 0) == 0 && fz_map_init(&g->by_ref, env, 0) == 0 &&
	    fz_map_init(&g->by_ip, env, 0) == 0 && nat_pool_new(env, 0, 0, &g->nat) == 0)
		err = endpoint_new(env, opts, &gateway_ops, g, now_us, &g->endpoint, ret_reason);
	if (err == 0)
		err = site_dns_new(env, g->endpoint, &g->dns);
	if (err != 0) {
		gateway_free(g);
		return err;
	}
	g->flows = endpoint_flows(g->endpoint);
	*ret = g;
	return 0;
}

void gateway_free(struct gateway *g)
{
	if (g == NULL)
		return;
	while (g->clients)
		peer_free(g, g->clients);
	fz_map_clear(&g->by_id, g->env);
	fz_map_clear(&g->by_ref, g->env);
	fz_map_clear(&g->by_ip, g->env);
	nat_pool_free(g->nat);
	names_clear(g);
	site_dns_free(g->dns);
	endpoint_free(g->endpoint);
	fz_free(g->env, g);
}

struct endpoint *gateway_endpoint(const struct gateway *g)
{
	return g->endpoint;
}

size_t gateway_clients(const struct gateway *g)
{
	return g->clients_len;
}

const struct grants *gateway_grants(const struct gateway *g, uint32_t ref)
{
	struct fz_map_link *l = fz_map_first(&g->by_ref, fz_map_hash(&g->by_ref, &ref, sizeof(ref)));

	for (; l; l = fz_map_next(l)) {
		const struct client_peer *p = fz_container(l, struct client_peer, by_ref);
		if (p->ref == ref)
			return &p->grants;
	}
	return NULL;
}
