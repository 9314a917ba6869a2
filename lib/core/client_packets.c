/* SPDX-License-Identifier: Apache-2.0 */
/* The client's packets: where those of the TUN go, which of the peers' reach it. */
#include <string.h>

#include "base/addr.h"
#include "base/log.h"
#include "core/client_impl.h"
#include "core/cut.h"
#include "core/ranges.h"
#include "wire/p2p_payload.h"

/* ---- errors ---- */

enum icmp_error client_error_of(const struct resource *res)
{
	/* Nobody is there, or somebody decided. */
	return res->reason == PORTAL_REASON_OFFLINE ? ICMP_NET_UNREACHABLE : ICMP_PROHIBITED;
}

static void answer(struct client *c, enum icmp_error what, struct fz_pkt *pkt, const struct ip_view *view)
{
	uint8_t buf[ICMP_ERROR_MAX];
	struct cut cut;
	const uint8_t *first;
	size_t len;

	if (view->kind == IP_ICMP_OTHER)
		return;
	cut_init(&cut, pkt, view);
	if (cut_next(&cut, &first, &len))
		endpoint_to_tun(c->endpoint, buf, icmp_build_error(what, 0, first, view, buf));
}

void client_reject(struct client *c, struct pending *ring, enum icmp_error what)
{
	struct ip_view view;
	struct fz_pkt pkt;

	endpoint_drop_many(c->endpoint, DROP_NO_ACCESS, ring->used);
	while (pending_take(ring, &pkt))
		if (ip_parse(&pkt, &view) == IP_OK)
			answer(c, what, &pkt, &view);
	pending_clear(ring);
}

void client_refuse(struct client *c, enum endpoint_drop why, enum icmp_error what, struct fz_pkt *pkt,
		   const struct ip_view *view)
{
	endpoint_drop(c->endpoint, why);
	answer(c, what, pkt, view);
}

/* ---- outbound ---- */

/* True: it is on its way. */
static bool send_to(struct client *c, struct gateway_peer *g, struct fz_pkt *pkt, const struct ip_view *view,
		    uint64_t now_us)
{
	if (!g->up) {
		uint64_t before = g->waiting.dropped;
		pending_push(&g->waiting, pkt, view);
		endpoint_drop_many(c->endpoint, DROP_PENDING, g->waiting.dropped - before);
		return false;
	}
	if (node_send(endpoint_node(c->endpoint), g->ref, pkt, view, now_us) == 0)
		return true;
	endpoint_drop(c->endpoint, DROP_NOT_CONNECTED);
	return false;
}

static void note_flow(struct client *c, const struct choice *to, const struct fz_pkt *pkt,
		      const struct ip_view *view, uint64_t now_us)
{
	const struct gateway_peer *g = to->res->gateway;
	const struct flow_packet packet = {
		.peer = &g->id, .resource = &to->res->id, .pkt = pkt, .view = view
	};
	struct flow *opened = flows_sent(c->flows, endpoint_node(c->endpoint), g->ref, &packet, now_us);
	char text[DNS_NAME_STRLEN];
	struct dns_name name;

	if (opened == NULL || to->domain == NULL)
		return;
	proxy_domain_name(to->domain, &name);
	flow_tracker_set_domain(c->flows->active, opened, dns_name_format(&name, text));
}

static void wait_for_access(struct client *c, struct resource *res, struct fz_pkt *pkt,
			    const struct ip_view *view, uint64_t now_us)
{
	if (res->refused && now_us < res->asked_us + CLIENT_ASK_GAP_US) {
		client_refuse(c, DROP_NO_ACCESS, client_error_of(res), pkt, view);
		return;
	}
	endpoint_drop_many(c->endpoint, DROP_PENDING, resource_wait(&c->resources, res, pkt, view, now_us));
	client_ask(c, res, now_us);
}

/* Does its gateway have to be told of the name first? */
static bool hold_for_name(struct client *c, const struct choice *to, struct fz_pkt *pkt,
			  const struct ip_view *view, uint64_t now_us)
{
	struct gateway_peer *g = to->res->gateway;
	struct dns_nat_key key = { g->ref, to->domain, to->res->id };
	bool held = dns_nat_hold(c->nat, &key, pkt, view, now_us);

	client_announce(c, g, now_us);
	return held;
}

static void send_to_resource(struct client *c, const struct choice *to, struct fz_pkt *pkt,
			     const struct ip_view *view, uint64_t now_us)
{
	if (!to->permitted)
		client_refuse(c, DROP_FILTER, ICMP_PROHIBITED, pkt, view);
	else if (to->res->gateway == NULL)
		wait_for_access(c, to->res, pkt, view, now_us);
	else if ((to->domain == NULL || !hold_for_name(c, to, pkt, view, now_us)) &&
		 send_to(c, to->res->gateway, pkt, view, now_us) && c->flows->active)
		note_flow(c, to, pkt, view, now_us);
}

/* An address of the tunnel's own ranges that stands for nothing, or not in this family, is refused at once:
 * nobody else could ever answer. Other destinations are not ours to judge. */
static void send_nowhere(struct client *c, const struct choice *to, struct fz_pkt *pkt,
			 const struct ip_view *view)
{
	if (to->wrong_family)
		client_refuse(c, DROP_DESTINATION, ICMP_NET_UNREACHABLE, pkt, view);
	else if (range_is_proxy(&view->dst))
		client_refuse(c, DROP_DESTINATION, ICMP_PROHIBITED, pkt, view);
	else
		endpoint_drop(c->endpoint, DROP_DESTINATION);
}

static bool is_own(const struct client *c, const struct fz_ip *ip)
{
	return fz_ip_equal(ip, &c->ipv4) || fz_ip_equal(ip, &c->ipv6);
}

/* The order of these tests is the order in which peers of this protocol decide. */
void client_outbound(void *role, struct fz_pkt *pkt, struct ip_view *view, uint64_t now_us)
{
	struct client *c = role;
	struct gateway_peer *g;
	struct choice to;

	if (!is_own(c, &view->src)) {
		endpoint_drop(c->endpoint, DROP_SOURCE);
		return;
	}
	if (is_own(c, &view->dst)) {
		endpoint_drop(c->endpoint, DROP_DESTINATION);
		return;
	}
	if (range_is_sentinel(&view->dst)) {
		client_dns_packet(c, pkt, view, now_us);
		return;
	}
	if (view->kind == IP_ICMP_OTHER || view->kind == IP_OTHER) {
		endpoint_drop(c->endpoint, DROP_PROTOCOL);
		return;
	}
	g = range_is_tunnel(&view->dst) ? gateways_by_ip(&c->gateways, &view->dst) : NULL;
	if (g) {
		(void)send_to(c, g, pkt, view, now_us);
		return;
	}
	to = resources_choose(&c->resources, &view->dst, view->kind, view->dport);
	if (to.res)
		send_to_resource(c, &to, pkt, view, now_us);
	else
		send_nowhere(c, &to, pkt, view);
}

void client_replay(struct client *c, struct pending *ring, uint64_t now_us)
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

static bool may_send(const struct client *c, const struct gateway_peer *g, const struct fz_ip *src)
{
	return gateway_may_send(g, src) ||
	       (range_is_proxy(src) && resources_serves_proxy(&c->resources, g, src));
}

static bool is_prohibited(const struct icmp_quote *q, uint8_t version)
{
	return version == 4 ? q->type == 3 && q->code == 13 : q->type == 1 && q->code == 1;
}

/* An error about a packet of ours: perhaps the gateway does not know of our access any more. */
static void look_at_error(struct client *c, struct gateway_peer *g, const struct fz_pkt *pkt,
			  const struct ip_view *view, uint64_t now_us)
{
	struct icmp_quote q;
	struct choice to;

	if (icmp_parse_error(pkt->data, view, &q) != 0 || !is_prohibited(&q, view->version) ||
	    !is_own(c, &q.orig.src))
		return;
	to = resources_choose(&c->resources, &q.orig.dst, q.orig.kind, q.orig.dport);
	if (to.res && to.permitted && to.res->gateway == g)
		client_doubt(c, to.res, now_us);
}

bool client_inbound(void *role, uint32_t ref, struct fz_pkt *pkt, struct ip_view *view, uint64_t now_us)
{
	struct client *c = role;
	struct gateway_peer *g = gateways_by_ref(&c->gateways, ref);
	struct flow *flow;

	if (g == NULL) {
		endpoint_drop(c->endpoint, DROP_NO_PEER);
		return false;
	}
	if (!may_send(c, g, &view->src)) {
		endpoint_drop(c->endpoint, DROP_SOURCE);
		return false;
	}
	/* Peers do not check it; a packet to anybody else has no business on this host. */
	if (!is_own(c, &view->dst)) {
		endpoint_drop(c->endpoint, DROP_DESTINATION);
		return false;
	}
	if (view->kind == IP_ICMP_OTHER)
		look_at_error(c, g, pkt, view, now_us);
	if (c->flows->active && (flow = flow_tracker_find(c->flows->active, &g->id, view)) != NULL)
		flow_tracker_rx(c->flows->active, flow, pkt, view, now_us);
	return true;
}

/* A gateway says whether it serves a name. */
void client_control(void *role, uint32_t ref, uint8_t type, const uint8_t *payload, size_t len,
		    uint64_t now_us)
{
	struct client *c = role;
	struct p2p_domain_status status;
	struct dns_nat_key key = { .gateway = ref };
	struct pending ring;
	struct dns_name name;

	if (type != P2P_DOMAIN_STATUS || gateways_by_ref(&c->gateways, ref) == NULL)
		return;
	if (p2p_parse_domain_status(payload, len, &status) != 0 ||
	    dns_name_parse(status.domain, &name) != 0) {
		endpoint_drop(c->endpoint, DROP_MALFORMED);
		return;
	}
	key.domain = proxy_ips_find(c->proxies, &name);
	key.resource = status.resource;
	if (!status.active)
		fz_debug(c->env, "client", "the gateway does not serve %s", status.domain);
	dns_nat_answered(c->nat, &key, status.active, &ring);
	client_replay(c, &ring, now_us);
}
