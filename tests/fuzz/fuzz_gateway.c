/* SPDX-License-Identifier: Apache-2.0 */
/* A gateway with one client, fed with records of one kind byte, a length of two and so many bytes: packets
 * both ways, announcements, portal messages, DNS, time. What passes must be addressed to where it may go, and
 * keep right checksums right. */
#include <stdlib.h>
#include <string.h>

#include "core/gateway_impl.h"
#include "core/ranges.h"
#include "core/site_dns.h"
#include "ext/json.h"
#include "wire/csum.h"
#include "wire/p2p_payload.h"
#include "wire/phx.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum kind { FROM_CLIENT, FROM_TUN, CONTROL, TIME, RESOLVED, MESSAGE, DNS_REQUEST, DNS_ANSWER, KINDS };

#define REF 1u

static struct fz_env env;
static struct gateway *g;
static uint64_t now_us, id;

static void must(bool ok)
{
	if (!ok)
		abort();
}

static struct fz_ip ip(const char *text)
{
	struct fz_ip a = { 0 };

	must(fz_ip_parse(text, &a) == 0);
	return a;
}

static void grant(struct client_peer *p, uint8_t n, enum portal_resource_type type)
{
	static const struct portal_filter filters[] = { { PORTAL_PROTO_TCP, 0, 65535 },
							{ PORTAL_PROTO_ICMP, 0, 65535 } };
	struct portal_resource r = { .type = type, .id = { { [15] = n } }, .address = "**" };

	must(fz_prefix_parse("10.0.0.0/8", &r.net) == 0);
	if (type == PORTAL_RESOURCE_CIDR) {
		r.filters = filters;
		r.filters_len = 2;
	}
	must(grants_upsert(&p->grants, &r, GRANT_FOREVER) == 0);
}

static struct client_peer *add_client(void)
{
	struct portal_create_authz a = { .client_id = { { 1 } },
					 .client_ipv4 = ip("100.64.0.1"),
					 .client_ipv6 = ip("fd00:2021:1111::1") };
	struct fz_ip proxies[] = { ip("100.96.0.1"), ip("100.96.0.2"), ip("fd00:2021:1111:8000::1") },
		     reals[] = { ip("10.0.0.1"), ip("2001:db8::1") };
	struct client_peer *p;

	must(peer_upsert(g, &a, REF, &p) == 0);
	grant(p, 1, PORTAL_RESOURCE_CIDR);
	grant(p, 2, PORTAL_RESOURCE_DNS);
	grant(p, 3, PORTAL_RESOURCE_INTERNET);
	must(proxies_assign(&p->proxies, grants_find(&p->grants, &(struct fz_uuid){ { [15] = 2 } }), "a.b",
			    proxies, 3, reals, 2) == 0);
	return p;
}

static void begin(void)
{
	struct endpoint_opts o = { .peer_kind = PORTAL_PEER_CLIENT,
				   .portal = { .url = "wss://portal.example",
					       .token = "token",
					       .external_id = "id",
					       .name = "name",
					       .user_agent = "Linux/1.0.0 gateway/1.6.1",
					       .role = PORTAL_ROLE_GATEWAY } };
	struct fz_ip server = ip("192.0.2.1");
	const char *reason;

	env = *fz_env_default();
	now_us = 1000000000;
	must(gateway_new(&env, &o, now_us, &g, &reason) == 0);
	g->ipv4 = ip("100.64.9.9");
	g->ipv6 = ip("fd00:2021:1111::9:9");
	(void)add_client();
	endpoint_system_dns(g->endpoint, &server, 1, now_us);
}

static void packet(bool from_client, const uint8_t *data, size_t len)
{
	static uint8_t room[FZ_PKT_HEADROOM + FZ_SUPER_MAX];
	struct fz_pkt pkt = ip_pkt(room + FZ_PKT_HEADROOM, len);
	struct ip_view v, after;
	bool was_right;

	memcpy(pkt.data, data, len);
	if (len > FZ_TUNNEL_MTU || ip_parse(&pkt, &v) != IP_OK)
		return;
	was_right = csum_ok(pkt.data, &v);
	if (!from_client) {
		gateway_outbound(g, &pkt, &v, now_us);
	} else if (gateway_inbound(g, REF, &pkt, &v, now_us)) {
		must(!range_is_proxy(&v.dst));
		must(!range_is_tunnel(&v.dst) || fz_ip_equal(&v.dst, &g->ipv4) ||
		     fz_ip_equal(&v.dst, &g->ipv6));
	}
	must(ip_parse(&pkt, &after) == IP_OK);
	must(fz_ip_equal(&after.src, &v.src) && fz_ip_equal(&after.dst, &v.dst));
	must(after.sport == v.sport && after.dport == v.dport);
	must(!was_right || csum_ok(pkt.data, &after));
}

static void message(const uint8_t *data, size_t len)
{
	struct portal_event ev = { 0 };
	struct phx_msg m = { 0 };
	const char *reason;

	if (phx_decode((const char *)data, len, &m, &reason) != 0)
		return;
	if (portal_event_decode(&env, PORTAL_ROLE_GATEWAY, &m, &ev, &reason) == 0)
		gateway_message(g, &ev, now_us);
	portal_event_clear(&env, &ev);
	phx_msg_clear(&m);
}

static void resolved(const uint8_t *data, size_t len)
{
	struct fz_ip addrs[32];
	struct fz_resolved r = { .id = ++id, .addrs = addrs };

	for (; len >= 4 && r.len < 32; data += 4, len -= 4) {
		struct fz_ip *a = &addrs[r.len++];
		*a = (struct fz_ip){ .family = data[0] & 1 ? FZ_FAMILY_INET : FZ_FAMILY_INET6 };
		memcpy(a->b, data, 4);
	}
	r.err = r.len ? 0 : len ? FZ_ERR_TIMEOUT : FZ_ERR_NOT_FOUND;
	endpoint_resolved(g->endpoint, &r, now_us);
}

static void dns_request(const uint8_t *data, size_t len)
{
	struct fz_dns_request r = { .id = 1, .data = data, .len = len, .tcp = len & 1, .local.ip = g->ipv4 };

	endpoint_dns_request(g->endpoint, &r, now_us);
}

static void dns_answer(const uint8_t *data, size_t len)
{
	struct fz_dns_answer a = { .data = data, .len = len };

	/* Of the first slots, in their first generations. */
	for (uint64_t i = 0; i < 4; i++) {
		a.id = (i + 1) << 10 | i;
		a.err = len < 12 ? FZ_ERR_TIMEOUT : 0;
		endpoint_dns_answer(g->endpoint, &a, now_us);
	}
}

static void record(enum kind kind, const uint8_t *data, size_t len)
{
	struct fz_event ev;

	switch (kind) {
	case FROM_CLIENT:
	case FROM_TUN:
		packet(kind == FROM_CLIENT, data, len);
		break;
	case CONTROL:
		names_control(g, REF, len & 64 ? P2P_GOODBYE : P2P_ASSIGNED_IPS, data, len, now_us);
		break;
	case TIME:
		now_us += len * len * 10000;
		endpoint_handle_timeout(g->endpoint, now_us);
		break;
	case RESOLVED:
		resolved(data, len);
		break;
	case MESSAGE:
		message(data, len);
		break;
	case DNS_REQUEST:
		dns_request(data, len);
		break;
	default:
		dns_answer(data, len);
		break;
	}
	while (endpoint_poll_event(g->endpoint, &ev))
		if (ev.type == FZ_EVENT_RESOLVE)
			id = ev.u.resolve.id - 1;
	if (g->clients == NULL)
		(void)add_client();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	begin();
	while (size >= 3) {
		size_t len = (size_t)data[1] << 8 | data[2];
		uint8_t kind = data[0];
		data += 3;
		size -= 3;
		if (len > size)
			len = size;
		record((enum kind)(kind % KINDS), data, len);
		data += len;
		size -= len;
	}
	gateway_free(g);
	return 0;
}
