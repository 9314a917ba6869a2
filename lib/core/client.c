/* SPDX-License-Identifier: Apache-2.0 */
#include "core/client.h"

#include <string.h>

#include "base/addr.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/time.h"
#include "core/cut.h"
#include "core/gateways.h"
#include "core/ranges.h"
#include "wire/icmp.h"

/* Requests for the same resource are at least this far apart, however much traffic waits. */
#define ASK_GAP_US FZ_SEC(2)

struct client {
	const struct fz_env *env;
	struct endpoint *endpoint;
	struct resources resources;
	struct gateways gateways;
	struct fz_ip ipv4, ipv6;
	bool routes_changed;
	uint64_t retry_us; /* of telling them */
	uint64_t resync_us; /* a change was lost for want of memory: ask the portal for everything then */
};

/* ---- gateways ---- */

/* Forget a gateway whose connection is gone: its resources need access anew. */
static void gateway_lost(struct client *c, struct gateway_peer *g)
{
	endpoint_drop_many(c->endpoint, DROP_PENDING, g->waiting.used);
	for (size_t i = 0; i < c->resources.len; i++)
		if (c->resources.v[i]->gateway == g)
			c->resources.v[i]->gateway = NULL;
	gateways_remove(&c->gateways, g);
}

/* Tell the gateway nothing more than it serves: close it when no resource is left. */
static void gateway_unused(struct client *c, struct gateway_peer *g, uint64_t now_us)
{
	if (route_count(g->sources) > 0)
		return;
	node_close(endpoint_node(c->endpoint), g->ref, true, "it serves no resource of ours any more",
		   now_us);
	portal_forget_candidates(endpoint_portal(c->endpoint), PORTAL_PEER_GATEWAY, &g->id);
	gateway_lost(c, g);
}

static struct gateway_peer *gateway_upsert(struct client *c, const struct portal_authz_created *a,
					   uint32_t ref)
{
	struct gateway_peer *g = gateways_by_id(&c->gateways, &a->gateway_id);

	if (g && g->ref == ref && fz_ip_equal(&g->ipv4, &a->gateway_ipv4) &&
	    fz_ip_equal(&g->ipv6, &a->gateway_ipv6))
		return g;
	if (g)
		gateway_lost(c, g); /* it was replaced by one with other keys or addresses */
	g = gateways_add(&c->gateways, a, ref);
	if (g)
		g->up = node_conn(endpoint_node(c->endpoint), ref)
				->reported_up; /* kept, under new addresses */
	return g;
}

/* ---- outbound ---- */

static void ask_for_access(struct client *c, struct resource *res, uint64_t now_us)
{
	int err;

	if (res->asked_us != 0 && now_us < res->asked_us + ASK_GAP_US)
		return;
	res->asked = true;
	res->asked_us = now_us;
	err = portal_send_request_authorization(endpoint_portal(c->endpoint), &res->id, c->gateways.known,
						c->gateways.known_len);
	if (err != 0)
		fz_debug(c->env, "client", "request for access not sent: %s", fz_strerror(err));
}

static void wait_for_access(struct client *c, struct resource *res, struct fz_pkt *pkt,
			    const struct ip_view *view, uint64_t now_us)
{
	endpoint_drop_many(c->endpoint, DROP_PENDING, resource_wait(&c->resources, res, pkt, view));
	ask_for_access(c, res, now_us);
}

static void send_to(struct client *c, struct gateway_peer *g, struct fz_pkt *pkt, const struct ip_view *view,
		    uint64_t now_us)
{
	if (!g->up) {
		uint64_t before = g->waiting.dropped;
		pending_push(&g->waiting, pkt, view);
		endpoint_drop_many(c->endpoint, DROP_PENDING, g->waiting.dropped - before);
	} else if (node_send(endpoint_node(c->endpoint), g->ref, pkt, view, now_us) != 0)
		endpoint_drop(c->endpoint, DROP_NOT_CONNECTED);
}

static void answer_prohibited(struct client *c, struct fz_pkt *pkt, const struct ip_view *view)
{
	uint8_t buf[ICMP_ERROR_MAX];
	struct cut cut;
	const uint8_t *first;
	size_t len;

	endpoint_drop(c->endpoint, DROP_FILTER);
	if (view->kind == IP_ICMP_OTHER)
		return;
	cut_init(&cut, pkt, view);
	if (cut_next(&cut, &first, &len))
		endpoint_to_tun(c->endpoint, buf, icmp_build_error(ICMP_PROHIBITED, 0, first, view, buf));
}

/* The order of these tests is the order in which peers of this protocol decide. */
static void client_outbound(void *role, struct fz_pkt *pkt, struct ip_view *view, uint64_t now_us)
{
	struct client *c = role;
	const struct route *route;
	struct gateway_peer *g;
	struct resource *res;
	bool permitted;

	if (!fz_ip_equal(&view->src, &c->ipv4) && !fz_ip_equal(&view->src, &c->ipv6)) {
		endpoint_drop(c->endpoint, DROP_SOURCE);
		return;
	}
	if (fz_ip_equal(&view->dst, &view->src) || range_is_sentinel(&view->dst)) {
		endpoint_drop(c->endpoint, DROP_DESTINATION);
		return;
	}
	if (view->kind == IP_ICMP_OTHER || view->kind == IP_OTHER) {
		endpoint_drop(c->endpoint, DROP_PROTOCOL);
		return;
	}
	g = range_is_tunnel(&view->dst) ? gateways_by_ip(&c->gateways, &view->dst) : NULL;
	if (g) {
		send_to(c, g, pkt, view, now_us);
		return;
	}
	route = route_find(c->resources.cidr, &view->dst, view->kind, view->dport, &permitted);
	if (route == NULL) {
		endpoint_drop(c->endpoint, DROP_DESTINATION);
	} else if (!permitted) {
		answer_prohibited(c, pkt, view);
	} else {
		res = route->tag;
		if (res->gateway)
			send_to(c, res->gateway, pkt, view, now_us);
		else
			wait_for_access(c, res, pkt, view, now_us);
	}
}

/* Send what waited, through the whole pipeline again: routes may have changed meanwhile. */
static void replay(struct client *c, struct pending *ring, uint64_t now_us)
{
	struct pending old = *ring;
	struct ip_view view;
	struct fz_pkt pkt;

	memset(ring, 0, sizeof(*ring));
	while (pending_take(&old, &pkt))
		if (ip_parse(&pkt, &view) == IP_OK)
			client_outbound(c, &pkt, &view, now_us);
	pending_clear(&old);
}

/* ---- inbound ---- */

static bool client_inbound(void *role, uint32_t ref, struct fz_pkt *pkt, struct ip_view *view,
			   uint64_t now_us)
{
	struct client *c = role;
	const struct gateway_peer *g = gateways_by_ref(&c->gateways, ref);

	(void)pkt;
	(void)now_us;
	if (g == NULL) {
		endpoint_drop(c->endpoint, DROP_NO_PEER);
		return false;
	}
	if (!gateway_may_send(g, &view->src)) {
		endpoint_drop(c->endpoint, DROP_SOURCE);
		return false;
	}
	/* Peers do not check it; a packet to anybody else has no business on this host. */
	if (!fz_ip_equal(&view->dst, &c->ipv4) && !fz_ip_equal(&view->dst, &c->ipv6)) {
		endpoint_drop(c->endpoint, DROP_DESTINATION);
		return false;
	}
	return true;
}

/* ---- resources ---- */

static void resource_gone(struct client *c, struct resource *res, uint64_t now_us)
{
	struct gateway_peer *g = res->gateway;

	if (g) {
		route_remove_id(g->sources, &res->id);
		res->gateway = NULL;
		gateway_unused(c, g, now_us);
	}
	endpoint_drop_many(c->endpoint, DROP_PENDING, res->waiting.used);
	resources_remove(&c->resources, res);
	c->routes_changed = true;
}

static void resource_upsert(struct client *c, const struct portal_resource *p, uint64_t now_us)
{
	struct resource *res = resources_find(&c->resources, &p->id);
	int err;

	if (res && resource_matches(c->env, res, p)) {
		(void)resource_rename(&c->resources, res, p->name);
		return;
	}
	if (res)
		resource_gone(c, res, now_us);
	err = resources_add(&c->resources, p, &res);
	if (err != 0)
		fz_warn(c->env, "client", "a resource is not used: %s", fz_strerror(err));
	if (err == FZ_ERR_NOMEM)
		c->resync_us = now_us + ENDPOINT_RETRY_US;
	c->routes_changed = true;
}

/* The interface routes every CIDR resource and the ranges that only we give a meaning. */
static void publish_netcfg(struct client *c, uint64_t now_us)
{
	size_t n = 0;
	int err = FZ_ERR_NOMEM;
	struct fz_prefix *v = fz_calloc(c->env, c->resources.len + RANGES, sizeof(*v));

	for (size_t i = 0; i < RANGES && v; i++)
		v[n++] = ranges[i];
	for (size_t i = 0; i < c->resources.len && v; i++)
		if (c->resources.v[i]->type == PORTAL_RESOURCE_CIDR)
			v[n++] = c->resources.v[i]->net;
	if (v)
		err = endpoint_set_netcfg(c->endpoint, &(struct fz_netcfg){ .ipv4 = c->ipv4,
									    .ipv6 = c->ipv6,
									    .routes = v,
									    .routes_len = n });
	c->routes_changed = err != 0;
	c->retry_us = now_us + ENDPOINT_RETRY_US;
	fz_free(c->env, v);
}

/* What the list does not name any more goes first: it may stand in the way of what is new. */
static void remove_unlisted(struct client *c, const struct portal_init *init, uint64_t now_us)
{
	for (size_t i = 0; i < init->resources_len; i++) {
		struct resource *res = resources_find(&c->resources, &init->resources[i].id);
		if (res)
			res->listed = true;
	}
	for (size_t i = c->resources.len; i-- > 0;) {
		struct resource *res = c->resources.v[i];
		if (!res->listed)
			resource_gone(c, res, now_us);
		else
			res->listed = false;
	}
}

static void set_interface(struct client *c, const struct portal_interface *i)
{
	if (fz_ip_equal(&c->ipv4, &i->ipv4) && fz_ip_equal(&c->ipv6, &i->ipv6))
		return;
	c->ipv4 = i->ipv4;
	c->ipv6 = i->ipv6;
	c->routes_changed = true;
}

/* ---- portal ---- */

/* Whatever was asked before we joined is not answered any more. */
static void ask_again(struct client *c, uint64_t now_us)
{
	for (size_t i = 0; i < c->resources.len; i++) {
		struct resource *res = c->resources.v[i];
		res->asked_us = 0;
		if (res->waiting.used > 0)
			ask_for_access(c, res, now_us);
	}
}

static void on_init(struct client *c, const struct portal_init *init, uint64_t now_us)
{
	set_interface(c, &init->interface);
	remove_unlisted(c, init, now_us);
	for (size_t i = 0; i < init->resources_len; i++)
		resource_upsert(c, &init->resources[i], now_us);
	node_update_relays(endpoint_node(c->endpoint), NULL, 0, init->relays, init->relays_len, now_us);
	fz_info(c->env, "client",
		"the portal lists %zu resources (%u more are of no use here) and %zu relays",
		init->resources_len, init->resources_skipped, init->relays_len);
	ask_again(c, now_us);
}

/* From now on this gateway serves the resource, and no other one does. */
static void serve_by(struct client *c, struct resource *res, struct gateway_peer *g, uint64_t now_us)
{
	struct gateway_peer *before = res->gateway;

	res->gateway = g;
	if (before == NULL || before == g)
		return;
	route_remove_id(before->sources, &res->id);
	gateway_unused(c, before, now_us);
}

static void on_authz_created(struct client *c, const struct portal_authz_created *a, uint64_t now_us)
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
	uint32_t ref;
	int err;

	if (res == NULL || !res->asked) {
		fz_debug(c->env, "client", "access that nobody asked for, ignored");
		return;
	}
	res->asked = false;
	res->asked_us = 0;
	err = node_upsert(endpoint_node(c->endpoint), &params, now_us, &ref);
	fz_wipe(&params, sizeof(params));
	g = err == 0 ? gateway_upsert(c, a, ref) : NULL;
	if (g == NULL || (err = gateways_allow(&c->gateways, g, res)) != 0) {
		fz_warn(c->env, "client", "no connection to the gateway: %s",
			fz_strerror(err ? err : FZ_ERR_NOMEM));
		endpoint_drop_many(c->endpoint, DROP_PENDING, res->waiting.used);
		pending_clear(&res->waiting);
		if (g)
			gateway_unused(c, g, now_us);
		else if (err == 0)
			node_close(endpoint_node(c->endpoint), ref, false, "no memory", now_us);
		return;
	}
	serve_by(c, res, g, now_us);
	struct fz_event ev = { .type = FZ_EVENT_GRANTED };
	fz_uuid_format(&res->id, ev.u.grant.resource);
	fz_uuid_format(&g->id, ev.u.grant.peer);
	endpoint_event(c->endpoint, &ev);
	replay(c, &res->waiting, now_us);
}

static void on_authz_failed(struct client *c, const struct portal_authz_failed *f)
{
	struct resource *res = resources_find(&c->resources, &f->resource_id);
	struct fz_event ev = { .type = FZ_EVENT_REFUSED };

	if (res == NULL)
		return;
	/* What waits is of no use to a site that is offline; the gap between requests stays. */
	if (f->reason == PORTAL_REASON_OFFLINE) {
		endpoint_drop_many(c->endpoint, DROP_PENDING, res->waiting.used);
		pending_clear(&res->waiting);
	}
	fz_uuid_format(&res->id, ev.u.refused.resource);
	ev.u.refused.reason = portal_reason_word(f->reason);
	endpoint_event(c->endpoint, &ev);
}

static void on_candidates(struct client *c, const struct portal_candidates *v, bool gone, uint64_t now_us)
{
	struct node *n = endpoint_node(c->endpoint);

	for (size_t i = 0; i < v->texts_len; i++) {
		int err = gone ? node_remove_candidate(n, &v->id, v->texts[i], now_us)
			       : node_add_candidate(n, &v->id, v->texts[i], now_us);
		if (err != 0)
			fz_debug(c->env, "client", "candidate ignored (%s): %s", fz_strerror(err),
				 v->texts[i]);
	}
}

static void client_message(void *role, const struct portal_event *ev, uint64_t now_us)
{
	struct client *c = role;
	struct resource *res;

	switch (ev->type) {
	case PORTAL_EVENT_INIT:
		on_init(c, &ev->u.init, now_us);
		break;
	case PORTAL_EVENT_CONFIG_CHANGED:
		set_interface(c, &ev->u.config);
		break;
	case PORTAL_EVENT_RESOURCE_UPSERTED:
		resource_upsert(c, &ev->u.resource, now_us);
		break;
	case PORTAL_EVENT_RESOURCE_DELETED:
		res = resources_find(&c->resources, &ev->u.id);
		if (res)
			resource_gone(c, res, now_us);
		break;
	case PORTAL_EVENT_RELAYS_PRESENCE:
		node_update_relays(endpoint_node(c->endpoint), ev->u.relays.disconnected,
				   ev->u.relays.disconnected_len, ev->u.relays.connected,
				   ev->u.relays.connected_len, now_us);
		break;
	case PORTAL_EVENT_AUTHZ_CREATED:
		on_authz_created(c, &ev->u.authz_created, now_us);
		break;
	case PORTAL_EVENT_AUTHZ_FAILED:
		on_authz_failed(c, &ev->u.authz_failed);
		break;
	case PORTAL_EVENT_CANDIDATES_ADDED:
		on_candidates(c, &ev->u.candidates, false, now_us);
		break;
	case PORTAL_EVENT_CANDIDATES_REMOVED:
		on_candidates(c, &ev->u.candidates, true, now_us);
		break;
	default:
		fz_debug(c->env, "client", "message of type %d is of no use here", ev->type);
		break;
	}
	if (c->routes_changed)
		publish_netcfg(c, now_us);
}

/* ---- connections ---- */

/* Nothing answers. A gateway that was started anew has another key and can not tell us: the portal can, or it
 * names another gateway. An answer that changes nothing does no harm. */
static void suspect(struct client *c, struct gateway_peer *g, uint64_t now_us)
{
	for (size_t i = 0; i < c->resources.len; i++) {
		if (c->resources.v[i]->gateway != g)
			continue;
		ask_for_access(c, c->resources.v[i], now_us);
		return;
	}
}

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
			suspect(c, g, now_us);
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
		g->up = true;
		replay(c, &g->waiting, now_us);
		return;
	}
	portal_forget_candidates(endpoint_portal(c->endpoint), PORTAL_PEER_GATEWAY, &g->id);
	gateway_lost(c, g);
}

static void client_timeout(void *role, uint64_t now_us)
{
	struct client *c = role;

	if (c->routes_changed && c->retry_us <= now_us)
		publish_netcfg(c, now_us);
	if (c->resync_us <= now_us) {
		c->resync_us = FZ_NEVER_US;
		portal_reconnect(endpoint_portal(c->endpoint), now_us);
	}
}

static uint64_t client_next_timeout(const void *role)
{
	const struct client *c = role;

	return fz_min_us(c->resync_us, c->routes_changed ? c->retry_us : FZ_NEVER_US);
}

static const struct endpoint_ops client_ops = {
	.message = client_message,
	.node_event = client_node_event,
	.outbound = client_outbound,
	.inbound = client_inbound,
	.timeout = client_timeout,
	.next_timeout = client_next_timeout,
};

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
	err = resources_init(&c->resources, env);
	if (err == 0)
		err = gateways_init(&c->gateways, env);
	if (err == 0)
		err = endpoint_new(env, opts, &client_ops, c, now_us, &c->endpoint, ret_reason);
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
	gateways_clear(&c->gateways);
	resources_clear(&c->resources);
	endpoint_free(c->endpoint);
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
	return endpoint_reset(c->endpoint, now_us);
}
