/* SPDX-License-Identifier: Apache-2.0 */
#include "core/client_dns.h"

#include <string.h>

#include "base/addr.h"
#include "base/log.h"
#include "core/client_impl.h"
#include "core/cut.h"
#include "wire/dns.h"
#include "wire/udp.h"

/* ---- packets ---- */

/* Swap the ends of a TCP segment, so that client and listener meet. */
static void turn_around(struct client *c, struct fz_pkt *pkt, const struct ip_view *view)
{
	struct fz_ip sentinel = view->dst, own = view->src;
	bool is_answer = view->sport == c->dns_port;
	uint8_t buf[FZ_TUNNEL_MTU];
	const uint8_t *segment;
	struct ip_view v;
	struct cut cut;
	size_t len;

	cut_init(&cut, pkt, view);
	while (cut_next(&cut, &segment, &len)) {
		struct fz_pkt copy = ip_pkt(buf, len);
		memcpy(buf, segment, len);
		if (ip_parse(&copy, &v) != IP_OK)
			continue;
		ip_set_src(&copy, &v, &sentinel);
		ip_set_dst(&copy, &v, &own);
		if (is_answer)
			ip_set_sport(&copy, &v, DNS_PORT);
		else
			ip_set_dport(&copy, &v, c->dns_port);
		endpoint_to_tun(c->endpoint, buf, len);
	}
}

static void ask_stub(struct client *c, struct fz_pkt *pkt, const struct ip_view *view, uint64_t now_us)
{
	struct dns_origin origin = { .sentinel = view->dst,
				     .peer = { .ip = view->src, .port = view->sport } };
	const uint8_t *segment;
	struct cut cut;
	size_t len;

	cut_init(&cut, pkt, view);
	while (cut_next(&cut, &segment, &len)) {
		if (dns_stub_handle_query(c->stub, &origin, segment + view->hdr_len, len - view->hdr_len,
					  now_us) != 0)
			endpoint_drop(c->endpoint, DROP_DNS);
		client_dns_drain(c, now_us);
	}
}

void client_dns_packet(struct client *c, struct fz_pkt *pkt, const struct ip_view *view, uint64_t now_us)
{
	bool is_mapped = dns_servers_find(dns_stub_servers(c->stub), &view->dst) != NULL;

	if (view->kind == IP_TCP && view->sport == c->dns_port)
		turn_around(c, pkt, view);
	else if (!is_mapped || view->dport != DNS_PORT)
		client_refuse(c, DROP_DESTINATION, ICMP_PROHIBITED, pkt, view); /* no DNS over TLS, no ping */
	else if (view->kind == IP_TCP)
		turn_around(c, pkt, view);
	else if (view->kind == IP_UDP)
		ask_stub(c, pkt, view, now_us);
	else
		endpoint_drop(c->endpoint, DROP_PROTOCOL);
}

/* ---- what the stub wants ---- */

static void answer(struct client *c, const struct dns_out *out)
{
	const struct dns_origin *o = &out->u.answer.origin;
	struct fz_addr from = { .ip = o->sentinel, .port = DNS_PORT };
	uint8_t buf[UDP_HDR_MAX + UDP_PAYLOAD_MAX];

	if (o->tcp)
		endpoint_dns_reply(c->endpoint, o->request, out->u.answer.data, out->u.answer.len);
	else if (out->u.answer.len <= UDP_PAYLOAD_MAX)
		endpoint_to_tun(c->endpoint, buf,
				udp_build(buf, &from, &o->peer, out->u.answer.data, out->u.answer.len));
}

static const struct fz_ip *own_ip(const struct client *c, uint8_t family)
{
	return family == FZ_FAMILY_INET ? &c->ipv4 : &c->ipv6;
}

static int query(struct client *c, const struct dns_exchange *x, const struct fz_addr *server)
{
	struct fz_dns_query q = { .size = sizeof(q),
				  .id = x->id,
				  .server = *server,
				  .transport = x->url   ? FZ_DNS_HTTPS
					       : x->tcp ? FZ_DNS_TCP
							: FZ_DNS_UDP,
				  .timeout_ms = x->timeout_ms,
				  .url = x->url,
				  .data = x->data,
				  .len = x->len };

	if (x->path != DNS_PATH_DIRECT)
		q.bind = *own_ip(c, server->ip.family);
	return endpoint_dns_query(c->endpoint, &q);
}

/* The site has to be reached first, or it was refused. */
static void ask_for_site(struct client *c, uint64_t id, struct resource *res, uint64_t now_us)
{
	if (res->refused && now_us < res->asked_us + CLIENT_ASK_GAP_US) {
		dns_stub_site_down(c->stub, &res->id, now_us);
		return;
	}
	dns_stub_defer(c->stub, id);
	client_ask(c, res, now_us);
}

static void exchange(struct client *c, const struct dns_exchange *x, uint64_t now_us)
{
	struct fz_addr server = x->server;
	struct resource *res = NULL;
	uint64_t id = x->id;
	int err;

	if (x->path == DNS_PATH_SITE) {
		res = resources_find(&c->resources, &x->resource);
		if (res && res->gateway == NULL) {
			ask_for_site(c, id, res, now_us);
			return;
		}
		server.port = DNS_SITE_PORT;
		if (res)
			server.ip = x->family == FZ_FAMILY_INET ? res->gateway->ipv4 : res->gateway->ipv6;
	}
	err = x->path == DNS_PATH_SITE && res == NULL ? FZ_ERR_NOT_FOUND : query(c, x, &server);
	if (err != 0)
		dns_stub_handle_answer(c->stub, id, err, NULL, 0, now_us);
}

static void ask_portal(struct client *c, const struct dns_out *out, uint64_t now_us)
{
	struct fz_uuid pool = out->u.pool.resource;
	char name[DNS_NAME_STRLEN];

	memcpy(name, out->u.pool.name, strlen(out->u.pool.name) + 1);
	if (portal_send_resolve_pool_domain(endpoint_portal(c->endpoint), &pool, name) != 0)
		dns_stub_handle_pool(c->stub, &pool, name, DNS_SERVFAIL, NULL, NULL, now_us);
}

/* Every gateway that serves a resource of the name is to know what stands for it. */
static void announce(struct client *c, const struct proxy_domain *domain, bool again, uint64_t now_us)
{
	for (const struct proxy_use *use = proxy_domain_uses(domain); use; use = use->next_resource) {
		struct resource *res = resources_find(&c->resources, &use->resource->id);
		if (res == NULL || res->type != PORTAL_RESOURCE_DNS || res->gateway == NULL)
			continue;
		struct dns_nat_key key = { res->gateway->ref, domain, res->id };
		(void)dns_nat_announce(c->nat, &key, again, now_us);
		client_announce(c, res->gateway, now_us);
	}
}

void client_dns_drain(struct client *c, uint64_t now_us)
{
	struct dns_out out;

	while (dns_stub_poll(c->stub, &out, now_us)) {
		switch (out.type) {
		case DNS_OUT_ANSWER:
			answer(c, &out);
			break;
		case DNS_OUT_EXCHANGE:
			exchange(c, &out.u.exchange, now_us);
			break;
		case DNS_OUT_POOL:
			ask_portal(c, &out, now_us);
			break;
		case DNS_OUT_NAME:
			announce(c, out.u.name.domain, out.u.name.is_query, now_us);
			break;
		}
	}
}

/* ---- what the host brings ---- */

void client_dns_answer(void *role, const struct fz_dns_answer *a, uint64_t now_us)
{
	struct client *c = role;

	dns_stub_handle_answer(c->stub, a->id, a->err, a->data, a->len, now_us);
	client_dns_drain(c, now_us);
}

/* The peer of a connection that came by way of a sentinel is that sentinel; others have no business here. */
void client_dns_request(void *role, const struct fz_dns_request *r, uint64_t now_us)
{
	struct client *c = role;
	struct dns_origin origin = { .sentinel = r->peer.ip, .peer = r->peer, .tcp = true, .request = r->id };

	if (!r->tcp || dns_stub_handle_query(c->stub, &origin, r->data, r->len, now_us) != 0) {
		endpoint_drop(c->endpoint, DROP_DNS);
		endpoint_dns_reply(c->endpoint, r->id, NULL, 0);
	}
	client_dns_drain(c, now_us);
}

void client_dns_system(void *role, const struct fz_ip *servers, size_t len, uint64_t now_us)
{
	struct client *c = role;

	c->routes_changed |= dns_stub_set_system(c->stub, servers, len, now_us);
	client_dns_drain(c, now_us);
	client_publish(c, now_us);
}

/* ---- the listener ---- */

static void listen_on(struct client *c, bool on)
{
	const struct fz_ip *ips[] = { &c->ipv4, &c->ipv6 };

	for (size_t i = 0; i < 2; i++) {
		struct fz_addr addr = { .ip = *ips[i], .port = c->dns_port };
		if (addr.ip.family != FZ_FAMILY_NONE)
			(void)endpoint_dns_listen(c->endpoint, &addr, false, on);
	}
}

void client_dns_move(struct client *c, const struct fz_ip *ipv4, const struct fz_ip *ipv6)
{
	listen_on(c, false);
	c->ipv4 = *ipv4;
	c->ipv6 = *ipv6;
	c->dns_port = CLIENT_DNS_PORT;
	listen_on(c, true);
}

/* Somebody else has the port, perhaps: when all were tried the last one is tried again by itself. */
void client_dns_listen_failed(void *role, const struct fz_addr *addr, int err, uint64_t now_us)
{
	struct client *c = role;

	(void)err;
	(void)now_us;
	if (addr->port != c->dns_port || c->dns_port + 1 >= CLIENT_DNS_PORT + CLIENT_DNS_PORTS)
		return;
	listen_on(c, false);
	c->dns_port++;
	listen_on(c, true);
}
