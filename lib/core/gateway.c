/* SPDX-License-Identifier: Apache-2.0 */
#include "core/gateway.h"

#include <string.h>

#include "base/addr.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/time.h"
#include "core/cut.h"
#include "core/ranges.h"
#include "wire/icmp.h"

/* A client with at least one grant. Its connection may come and go. */
struct client_peer {
	struct client_peer *next;
	struct fz_uuid id;
	struct fz_ip ipv4, ipv6;
	uint32_t ref;
	struct grants grants;
	struct fz_map_link by_id, by_ref, by_ipv4, by_ipv6;
};

struct gateway {
	const struct fz_env *env;
	struct endpoint *endpoint;
	struct fz_ip ipv4, ipv6;
	struct client_peer *clients;
	size_t clients_len;
	struct fz_map by_id, by_ref, by_ip;
	struct client_peer *last; /* of the packet path: batches come from one client mostly */
	uint64_t retry_us; /* of telling the interface's configuration; FZ_NEVER_US = told */
	uint64_t next_expiry_s; /* no grant ends before this; unix seconds */
};

/* ---- clients ---- */

static struct client_peer *client_by_id(const struct gateway *g, const struct fz_uuid *id)
{
	struct fz_map_link *l = fz_map_first(&g->by_id, fz_map_hash(&g->by_id, id, sizeof(*id)));

	for (; l; l = fz_map_next(l)) {
		struct client_peer *p = fz_container(l, struct client_peer, by_id);
		if (fz_uuid_equal(&p->id, id))
			return p;
	}
	return NULL;
}

static struct client_peer *client_by_ref(struct gateway *g, uint32_t ref)
{
	struct fz_map_link *l;

	if (g->last && g->last->ref == ref)
		return g->last;
	for (l = fz_map_first(&g->by_ref, fz_map_hash(&g->by_ref, &ref, sizeof(ref))); l;
	     l = fz_map_next(l)) {
		struct client_peer *p = fz_container(l, struct client_peer, by_ref);
		if (p->ref == ref)
			return g->last = p;
	}
	return NULL;
}

static struct client_peer *client_by_ip(struct gateway *g, const struct fz_ip *ip)
{
	struct fz_map_link *l;

	if (g->last && (fz_ip_equal(&g->last->ipv4, ip) || fz_ip_equal(&g->last->ipv6, ip)))
		return g->last;
	for (l = fz_map_first(&g->by_ip, fz_map_hash(&g->by_ip, ip, sizeof(*ip))); l; l = fz_map_next(l)) {
		struct client_peer *p = ip->family == FZ_FAMILY_INET
						? fz_container(l, struct client_peer, by_ipv4)
						: fz_container(l, struct client_peer, by_ipv6);
		if (fz_ip_equal(ip->family == FZ_FAMILY_INET ? &p->ipv4 : &p->ipv6, ip))
			return g->last = p;
	}
	return NULL;
}

static void unlink_client(struct gateway *g, struct client_peer *p)
{
	struct client_peer **at = &g->clients;

	while (*at != p)
		at = &(*at)->next;
	*at = p->next;
	g->clients_len--;
	fz_map_remove(&g->by_id, &p->by_id);
	fz_map_remove(&g->by_ref, &p->by_ref);
	fz_map_remove(&g->by_ip, &p->by_ipv4);
	fz_map_remove(&g->by_ip, &p->by_ipv6);
	g->last = NULL;
	grants_clear(&p->grants);
	fz_free(g->env, p);
}

static void link_client(struct gateway *g, struct client_peer *p)
{
	p->next = g->clients;
	g->clients = p;
	g->clients_len++;
	fz_map_insert(&g->by_id, g->env, &p->by_id, fz_map_hash(&g->by_id, &p->id, sizeof(p->id)));
	fz_map_insert(&g->by_ref, g->env, &p->by_ref, fz_map_hash(&g->by_ref, &p->ref, sizeof(p->ref)));
	fz_map_insert(&g->by_ip, g->env, &p->by_ipv4, fz_map_hash(&g->by_ip, &p->ipv4, sizeof(p->ipv4)));
	fz_map_insert(&g->by_ip, g->env, &p->by_ipv6, fz_map_hash(&g->by_ip, &p->ipv6, sizeof(p->ipv6)));
}

static void set_ref(struct gateway *g, struct client_peer *p, uint32_t ref)
{
	fz_map_remove(&g->by_ref, &p->by_ref);
	p->ref = ref;
	if (ref != NODE_NO_REF)
		fz_map_insert(&g->by_ref, g->env, &p->by_ref, fz_map_hash(&g->by_ref, &ref, sizeof(ref)));
}

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
	unlink_client(g, p);
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
	set_ref(g, p, NODE_NO_REF);
}

static int client_upsert(struct gateway *g, const struct portal_create_authz *a, uint32_t ref,
			 struct client_peer **ret)
{
	struct client_peer *p = client_by_id(g, &a->client_id);

	if (p && fz_ip_equal(&p->ipv4, &a->client_ipv4) && fz_ip_equal(&p->ipv6, &a->client_ipv6)) {
		set_ref(g, p, ref);
		*ret = p;
		return 0;
	}
	if (p)
		unlink_client(g, p); /* another tunnel address: what it was granted counted for the old one */
	p = fz_zalloc(g->env, sizeof(*p));
	if (p == NULL || grants_init(&p->grants, g->env) != 0) {
		fz_free(g->env, p);
		return FZ_ERR_NOMEM;
	}
	p->id = a->client_id;
	p->ipv4 = a->client_ipv4;
	p->ipv6 = a->client_ipv6;
	p->ref = ref;
	link_client(g, p);
	*ret = p;
	return 0;
}

/* ---- client -> resource ---- */

static bool refuse(struct gateway *g, uint32_t ref, enum icmp_error what, struct fz_pkt *pkt,
		   struct ip_view *view, enum endpoint_drop why, uint64_t now_us)
{
	uint8_t buf[ICMP_ERROR_MAX], *answer;
	struct fz_pkt reply;
	struct ip_view reply_view;
	struct cut cut;
	const uint8_t *first;
	size_t len;

	endpoint_drop(g->endpoint, why);
	if (view->kind == IP_ICMP_OTHER)
		return false; /* never answer an error with an error */
	cut_init(&cut, pkt, view);
	if (!cut_next(&cut, &first, &len))
		return false;
	answer = buf;
	reply = ip_pkt(answer, icmp_build_error(what, 0, first, view, buf));
	if (ip_parse(&reply, &reply_view) == IP_OK)
		(void)node_send(endpoint_node(g->endpoint), ref, &reply, &reply_view, now_us);
	return false;
}

static bool is_own(const struct gateway *g, const struct fz_ip *ip)
{
	return fz_ip_equal(ip, &g->ipv4) || fz_ip_equal(ip, &g->ipv6);
}

/* An ICMP error that quotes a packet: not needed by any resource, but a way to disturb flows of others. */
static bool is_icmp_error(const struct fz_pkt *pkt, const struct ip_view *view)
{
	struct icmp_quote quote;

	return view->kind == IP_ICMP_OTHER && icmp_parse_error(pkt->data, view, &quote) == 0;
}

static bool gateway_inbound(void *role, uint32_t ref, struct fz_pkt *pkt, struct ip_view *view,
			    uint64_t now_us)
{
	struct gateway *g = role;
	struct client_peer *p = client_by_ref(g, ref);

	if (p == NULL) {
		endpoint_drop(g->endpoint, DROP_NO_PEER);
		return false;
	}
	if (is_icmp_error(pkt, view)) {
		endpoint_drop(g->endpoint, DROP_PROTOCOL);
		return false;
	}
	if (!fz_ip_equal(&view->src, &p->ipv4) && !fz_ip_equal(&view->src, &p->ipv6))
		return refuse(g, ref, ICMP_PROHIBITED, pkt, view, DROP_SOURCE, now_us);
	if (is_own(g, &view->dst))
		return true;
	if (range_is_tunnel(&view->dst))
		return refuse(g, ref, ICMP_PROHIBITED, pkt, view, DROP_DESTINATION, now_us);
	switch (grants_check(&p->grants, &view->dst, view->kind, view->dport)) {
	case GRANT_ALLOW:
		return true;
	case GRANT_UNREACHABLE:
		return refuse(g, ref, ICMP_NET_UNREACHABLE, pkt, view, DROP_DESTINATION, now_us);
	default:
		return refuse(g, ref, ICMP_PROHIBITED, pkt, view, DROP_FILTER, now_us);
	}
}

/* ---- resource -> client ---- */

static void gateway_outbound(void *role, struct fz_pkt *pkt, struct ip_view *view, uint64_t now_us)
{
	struct gateway *g = role;
	struct client_peer *p;

	if (!range_is_tunnel(&view->dst)) {
		endpoint_drop(g->endpoint, DROP_DESTINATION);
		return;
	}
	p = client_by_ip(g, &view->dst);
	if (p == NULL) {
		endpoint_drop(g->endpoint, DROP_NO_PEER);
		return;
	}
	if (!is_own(g, &view->src)) {
		if (range_is_tunnel(&view->src)) {
			endpoint_drop(g->endpoint, DROP_SOURCE);
			return;
		}
		if (view->kind == IP_OTHER || (view->kind == IP_ICMP_OTHER && !is_icmp_error(pkt, view))) {
			endpoint_drop(g->endpoint, DROP_PROTOCOL);
			return;
		}
		/* Errors about a granted flow come from any router on the way. */
		if (view->kind != IP_ICMP_OTHER &&
		    grants_check(&p->grants, &view->src, view->kind, view->sport) != GRANT_ALLOW) {
			endpoint_drop(g->endpoint, DROP_FILTER);
			return;
		}
	}
	if (node_send(endpoint_node(g->endpoint), p->ref, pkt, view, now_us) != 0)
		endpoint_drop(g->endpoint, DROP_NOT_CONNECTED);
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

static void set_interface(struct gateway *g, const struct portal_interface *i, uint64_t now_us)
{
	if (fz_ip_equal(&g->ipv4, &i->ipv4) && fz_ip_equal(&g->ipv6, &i->ipv6))
		return;
	g->ipv4 = i->ipv4;
	g->ipv6 = i->ipv6;
	publish_netcfg(g, now_us);
}

/* The list is complete: what is not in it has ended while we were away. It never creates access. */
static void reconcile(struct gateway *g, const struct portal_init *init, uint64_t now_us)
{
	struct client_peer *next;
	struct fz_uuid resource;

	for (size_t i = 0; i < init->authorizations_len; i++) {
		const struct portal_authorization *a = &init->authorizations[i];
		struct client_peer *p = client_by_id(g, &a->client_id);
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
	if (err == 0 && (err = client_upsert(g, a, ref, &p)) != 0)
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

static void gateway_message(void *role, const struct portal_event *ev, uint64_t now_us)
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
		p = client_by_id(g, &ev->u.authorization.client_id);
		if (p)
			revoke(g, p, &ev->u.authorization.resource_id, "revoked by the portal", now_us);
		break;
	case PORTAL_EVENT_RESOURCE_UPSERTED:
		for (p = g->clients; p; p = p->next)
			if (grants_has(&p->grants, &ev->u.resource.id) &&
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
	struct client_peer *p = client_by_id(g, &nev->peer);
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
		unlink_client(g, p);
}

static void gateway_timeout(void *role, uint64_t now_us)
{
	struct gateway *g = role;
	uint64_t unix_s = endpoint_unix_s(g->endpoint, now_us);
	struct client_peer *next;
	struct fz_uuid resource;

	if (g->retry_us <= now_us)
		publish_netcfg(g, now_us);
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

	return fz_min_us(g->retry_us,
			 g->clients ? endpoint_at_unix(g->endpoint, g->next_expiry_s) : FZ_NEVER_US);
}

static const struct endpoint_ops gateway_ops = {
	.message = gateway_message,
	.node_event = gateway_node_event,
	.outbound = gateway_outbound,
	.inbound = gateway_inbound,
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
	if (fz_map_init(&g->by_id, env, 0) == 0 && fz_map_init(&g->by_ref, env, 0) == 0 &&
	    fz_map_init(&g->by_ip, env, 0) == 0)
		err = endpoint_new(env, opts, &gateway_ops, g, now_us, &g->endpoint, ret_reason);
	if (err != 0) {
		gateway_free(g);
		return err;
	}
	*ret = g;
	return 0;
}

void gateway_free(struct gateway *g)
{
	if (g == NULL)
		return;
	while (g->clients)
		unlink_client(g, g->clients);
	fz_map_clear(&g->by_id, g->env);
	fz_map_clear(&g->by_ref, g->env);
	fz_map_clear(&g->by_ip, g->env);
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
