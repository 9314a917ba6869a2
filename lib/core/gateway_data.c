/* SPDX-License-Identifier: Apache-2.0 */
/* The gateway's packet path. Whatever is decided about a super-packet is decided once. */
#include "core/cut.h"
#include "core/gateway_impl.h"
#include "core/ranges.h"

static bool drop(struct gateway *g, enum endpoint_drop why)
{
	endpoint_drop(g->endpoint, why);
	return false;
}

/* ---- ICMP errors for the client ---- */

/* A token bucket as one number: the time at which all tokens that were taken are back. */
static bool may_answer(struct client_peer *p, uint64_t now_us)
{
	const uint64_t each_us = 1000000 / ERRORS_PER_S;
	uint64_t at = p->errors_us > now_us ? p->errors_us : now_us;

	if (at + each_us > now_us + ERRORS_BURST * each_us)
		return false;
	p->errors_us = at + each_us;
	return true;
}

static bool refuse(struct gateway *g, struct client_peer *p, enum icmp_error what, struct fz_pkt *pkt,
		   struct ip_view *view, enum endpoint_drop why, uint64_t now_us)
{
	uint8_t buf[ICMP_ERROR_MAX], *answer = buf;
	struct fz_pkt reply;
	struct ip_view reply_view;
	struct cut cut;
	const uint8_t *first;
	size_t len;

	endpoint_drop(g->endpoint, why);
	if (view->kind == IP_ICMP_OTHER)
		return false; /* never answer an error with an error */
	if (!may_answer(p, now_us))
		return drop(g, DROP_ERROR_RATE);
	cut_init(&cut, pkt, view);
	if (!cut_next(&cut, &first, &len))
		return false;
	reply = ip_pkt(answer, icmp_build_error(what, 0, first, view, buf));
	if (ip_parse(&reply, &reply_view) == IP_OK)
		(void)node_send(endpoint_node(g->endpoint), p->ref, &reply, &reply_view, now_us);
	return false;
}

/* ---- client -> resource ---- */

/* Let through, in the form that the resource sees. */
static void note_flow(struct gateway *g, const struct client_peer *p, const struct fz_uuid *resource,
		      const char *domain, const struct fz_pkt *pkt, const struct ip_view *view,
		      uint64_t now_us)
{
	const struct flow_packet packet = { .peer = &p->id, .resource = resource, .pkt = pkt, .view = view };
	struct flow *opened = flows_received(g->flows, endpoint_node(g->endpoint), p->ref, &packet, now_us);

	if (opened && domain)
		flow_tracker_set_domain(g->flows->active, opened, domain);
}

static bool is_own(const struct gateway *g, const struct fz_ip *ip)
{
	return fz_ip_equal(ip, &g->ipv4) || fz_ip_equal(ip, &g->ipv6);
}

/* To an address that stands for a name. A session knows its proxy, so that one look-up is enough. */
static bool to_name(struct gateway *g, struct client_peer *p, struct fz_pkt *pkt, struct ip_view *view,
		    uint64_t now_us)
{
	struct nat_session *s = nat_find_outbound(&p->nat, view, now_us);
	struct proxy *proxy = s ? nat_tag(s) : proxies_find(&p->proxies, &view->dst);
	const struct grant *grant;
	int err;

	if (proxy == NULL)
		return refuse(g, p, ICMP_PROHIBITED, pkt, view, DROP_DESTINATION, now_us);
	grant = proxy_permits(proxy, view->kind, view->dport);
	if (grant == NULL)
		return refuse(g, p, ICMP_PROHIBITED, pkt, view, DROP_FILTER, now_us);
	if (s == NULL) {
		/* Somebody tried and was allowed to: that is a flow, to the address that stood for the name.
		 */
		if (proxy->real.family == FZ_FAMILY_NONE && g->flows->active)
			note_flow(g, p, &grant->resource, proxy->domain->text, pkt, view, now_us);
		if (proxy->real.family == FZ_FAMILY_NONE)
			return refuse(g, p, ICMP_NET_UNREACHABLE, pkt, view, DROP_DESTINATION, now_us);
		err = nat_open(&p->nat, view, &proxy->real, proxy, now_us, &s);
		if (err != 0)
			return drop(g, err == FZ_ERR_UNSUPPORTED ? DROP_PROTOCOL : DROP_NAT_FULL);
	}
	nat_outbound(s, pkt, view, now_us);
	if (g->flows->active)
		note_flow(g, p, &grant->resource, proxy->domain->text, pkt, view, now_us);
	return true;
}

static bool to_network(struct gateway *g, struct client_peer *p, struct fz_pkt *pkt, struct ip_view *view,
		       uint64_t now_us)
{
	const struct fz_uuid *resource;

	switch (grants_check(&p->grants, &view->dst, view->kind, view->dport, &resource)) {
	case GRANT_ALLOW:
		if (g->flows->active)
			note_flow(g, p, resource, NULL, pkt, view, now_us);
		return true;
	case GRANT_UNREACHABLE:
		return refuse(g, p, ICMP_NET_UNREACHABLE, pkt, view, DROP_DESTINATION, now_us);
	default:
		return refuse(g, p, ICMP_PROHIBITED, pkt, view, DROP_FILTER, now_us);
	}
}

bool gateway_inbound(void *role, uint32_t ref, struct fz_pkt *pkt, struct ip_view *view, uint64_t now_us)
{
	struct gateway *g = role;
	struct client_peer *p = peer_by_ref(g, ref);
	struct icmp_quote quote;

	if (p == NULL)
		return drop(g, DROP_NO_PEER);
	/* No resource needs a client's errors, and they could disturb flows of others. */
	if (icmp_parse_error(pkt->data, view, &quote) == 0)
		return drop(g, DROP_PROTOCOL);
	if (!fz_ip_equal(&view->src, &p->ipv4) && !fz_ip_equal(&view->src, &p->ipv6))
		return refuse(g, p, ICMP_PROHIBITED, pkt, view, DROP_SOURCE, now_us);
	if (is_own(g, &view->dst))
		return true;
	if (range_is_tunnel(&view->dst))
		return refuse(g, p, ICMP_PROHIBITED, pkt, view, DROP_DESTINATION, now_us);
	if (range_is_proxy(&view->dst))
		return to_name(g, p, pkt, view, now_us);
	return to_network(g, p, pkt, view, now_us);
}

/* ---- resource -> client ---- */

/* An error about a flow of this client: from the resource, a router on the way, or our own kernel, whose
 * address the client knows: it stays, so that the gateway shows up as the first hop. */
static bool take_error(struct gateway *g, struct client_peer *p, struct fz_pkt *pkt, struct ip_view *view,
		       const struct icmp_quote *quote, uint64_t now_us)
{
	const struct fz_uuid *resource;
	struct nat_session *s;

	if (!fz_ip_equal(&quote->orig.src, &view->dst))
		return drop(g, DROP_SOURCE);
	switch (nat_find_error(&p->nat, quote, now_us, &s)) {
	case NAT_FOUND:
		nat_inbound_error(s, pkt, view, quote, is_own(g, &view->src), now_us);
		return true;
	case NAT_ENDED:
		return drop(g, DROP_NAT_ENDED);
	default:
		break;
	}
	/* It passes whether or not the filter admits ICMP; what it is about must have been admitted. */
	if (is_own(g, &view->src) || grants_check(&p->grants, &quote->orig.dst, quote->orig.kind,
						  quote->orig.dport, &resource) == GRANT_ALLOW)
		return true;
	return drop(g, DROP_FILTER);
}

static bool take_answer(struct gateway *g, struct client_peer *p, struct fz_pkt *pkt, struct ip_view *view,
			uint64_t now_us)
{
	struct nat_session *s;
	const struct fz_uuid *resource;

	switch (nat_find_inbound(&p->nat, view, now_us, &s)) {
	case NAT_FOUND:
		if (proxy_permits(nat_tag(s), view->kind, view->sport) == NULL)
			return drop(g, DROP_FILTER);
		nat_inbound(s, pkt, view, now_us);
		return true;
	case NAT_ENDED:
		return drop(g, DROP_NAT_ENDED);
	default:
		break;
	}
	if (grants_check(&p->grants, &view->src, view->kind, view->sport, &resource) != GRANT_ALLOW)
		return drop(g, DROP_FILTER);
	return true;
}

static bool may_reach_client(struct gateway *g, struct client_peer *p, struct fz_pkt *pkt,
			     struct ip_view *view, uint64_t now_us)
{
	struct icmp_quote quote;

	if (icmp_parse_error(pkt->data, view, &quote) == 0)
		return take_error(g, p, pkt, view, &quote, now_us);
	if (is_own(g, &view->src))
		return true;
	if (range_is_tunnel(&view->src))
		return drop(g, DROP_SOURCE);
	if (view->kind == IP_OTHER || view->kind == IP_ICMP_OTHER)
		return drop(g, DROP_PROTOCOL);
	return take_answer(g, p, pkt, view, now_us);
}

void gateway_outbound(void *role, struct fz_pkt *pkt, struct ip_view *view, uint64_t now_us)
{
	struct gateway *g = role;
	struct flow *flow = NULL;
	struct client_peer *p;

	if (!range_is_tunnel(&view->dst)) {
		(void)drop(g, DROP_DESTINATION);
		return;
	}
	p = peer_by_ip(g, &view->dst);
	if (p == NULL) {
		(void)drop(g, DROP_NO_PEER);
		return;
	}
	if (g->flows->active)
		flow = flow_tracker_find(g->flows->active, &p->id, view);
	if (!may_reach_client(g, p, pkt, view, now_us))
		return;
	if (node_send(endpoint_node(g->endpoint), p->ref, pkt, view, now_us) != 0)
		(void)drop(g, DROP_NOT_CONNECTED);
	else if (flow)
		flow_tracker_rx(g->flows->active, flow, pkt, view, now_us);
}
