/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway_rig.h"

#include <stdio.h>

#include "packets.h"
#include "wire/csum.h"

struct rig rig;

int __wrap_node_send(struct node *n, uint32_t ref, struct fz_pkt *pkt, const struct ip_view *view,
		     uint64_t now_us);
int __wrap_node_send_control(struct node *n, uint32_t ref, enum p2p_type type, const void *payload,
			     size_t len, uint64_t now_us);

int __wrap_node_send(struct node *n, uint32_t ref, struct fz_pkt *pkt, const struct ip_view *view,
		     uint64_t now_us)
{
	(void)n;
	(void)now_us;
	rig.sent++;
	rig.sent_ref = ref;
	ck_assert_uint_eq(view->len, pkt->len);
	memcpy(rig.packet, pkt->data, pkt->len);
	rig.packet_len = pkt->len;
	return 0;
}

int __wrap_node_send_control(struct node *n, uint32_t ref, enum p2p_type type, const void *payload,
			     size_t len, uint64_t now_us)
{
	(void)n;
	(void)now_us;
	rig.controls++;
	rig.sent_ref = ref;
	ck_assert_int_eq(type, P2P_DOMAIN_STATUS);
	ck_assert_int_eq(p2p_parse_domain_status(payload, len, &rig.status), 0);
	return 0;
}

struct fz_ip rig_ip(const char *text)
{
	struct fz_ip a;

	ck_assert_int_eq(fz_ip_parse(text, &a), 0);
	return a;
}

/* ---- the gateway ---- */

static struct fz_uuid id_of(unsigned n, char kind)
{
	return (struct fz_uuid){ { [0] = (uint8_t)kind, [15] = (uint8_t)n } };
}

static bool add_client(unsigned n)
{
	struct portal_create_authz a = { .client_id = id_of(n, 'c') };
	struct client_peer *p;
	char text[64];

	snprintf(text, sizeof(text), "100.64.0.%u", n);
	a.client_ipv4 = rig_ip(text);
	snprintf(text, sizeof(text), "fd00:2021:1111::%u", n);
	a.client_ipv6 = rig_ip(text);
	return peer_upsert(rig.g, &a, n, &p) == 0;
}

bool rig_try(long fail_at)
{
	struct endpoint_opts o = { .peer_kind = PORTAL_PEER_CLIENT,
				   .portal = { .url = "wss://portal.example",
					       .token = "token",
					       .external_id = "id",
					       .name = "name",
					       .user_agent = "Linux/1.0.0 gateway/1.6.1",
					       .role = PORTAL_ROLE_GATEWAY } };
	const char *reason;

	memset(&rig, 0, sizeof(rig));
	unit_env_init(&rig.env, 1);
	rig.env.fail_at = fail_at;
	rig.now_us = RIG_NOW;
	if (gateway_new(&rig.env.env, &o, rig.now_us, &rig.g, &reason) != 0)
		return false;
	rig.g->ipv4 = rig_ip("100.64.9.9");
	rig.g->ipv6 = rig_ip("fd00:2021:1111::9:9");
	return add_client(1) && add_client(2);
}

void rig_begin(void)
{
	ck_assert(rig_try(0));
}

void rig_end(void)
{
	gateway_free(rig.g);
	unit_env_check(&rig.env);
}

struct client_peer *rig_peer(unsigned n)
{
	struct fz_uuid id = id_of(n, 'c');
	struct client_peer *p = peer_by_id(rig.g, &id);

	ck_assert_ptr_nonnull(p);
	return p;
}

int rig_grant(unsigned client, unsigned resource, const char *address, const struct portal_filter *filter)
{
	struct portal_resource r = { .id = id_of(resource, 'r'),
				     .type = PORTAL_RESOURCE_INTERNET,
				     .address = address,
				     .filters = filter,
				     .filters_len = filter ? 1 : 0 };

	if (address)
		r.type = fz_prefix_parse(address, &r.net) == 0 ? PORTAL_RESOURCE_CIDR : PORTAL_RESOURCE_DNS;
	return grants_upsert(&rig_peer(client)->grants, &r, GRANT_FOREVER);
}

void rig_revoke(unsigned client, unsigned resource)
{
	struct fz_uuid id = id_of(resource, 'r');

	ck_assert(grants_remove(&rig_peer(client)->grants, &id));
}

/* ---- names ---- */

static size_t read_ips(const char *text, struct fz_ip *ret)
{
	char buf[512], *at = buf, *word;
	size_t n = 0;

	snprintf(buf, sizeof(buf), "%s", text);
	while ((word = strtok_r(at, " ", &at)) != NULL)
		ret[n++] = rig_ip(word);
	return n;
}

void rig_announce(unsigned client, unsigned resource, const char *domain, const char *ips)
{
	struct p2p_assigned_ips m = { .resource = id_of(resource, 'r') };
	uint8_t buf[P2P_PAYLOAD_MAX];
	struct unit_env plain;
	int len;

	unit_env_init(&plain, 1); /* our own memory does not fail */
	snprintf(m.domain, sizeof(m.domain), "%s", domain);
	m.ips_len = read_ips(ips, m.ips);
	len = p2p_build_assigned_ips(&plain.env, &m, buf);
	ck_assert_int_gt(len, 0);
	names_control(rig.g, client, P2P_ASSIGNED_IPS, buf, (size_t)len, rig.now_us);
}

const char *rig_next_name(uint64_t *ret_id)
{
	struct fz_event ev;

	while (endpoint_poll_event(rig.g->endpoint, &ev)) {
		if (ev.type != FZ_EVENT_RESOLVE)
			continue;
		*ret_id = ev.u.resolve.id;
		return ev.u.resolve.name;
	}
	return NULL;
}

void rig_resolve(uint64_t id, int err, const char *addrs)
{
	struct fz_ip ips[32];
	struct fz_resolved r = { .id = id, .err = err, .addrs = ips, .len = read_ips(addrs, ips) };

	endpoint_resolved(rig.g->endpoint, &r, rig.now_us);
}

void rig_name(unsigned client, unsigned resource, const char *domain, const char *ips, const char *addrs)
{
	unsigned before = rig.controls;
	uint64_t id;

	rig_announce(client, resource, domain, ips);
	ck_assert_str_eq(rig_next_name(&id), domain);
	rig_resolve(id, *addrs ? 0 : FZ_ERR_NOT_FOUND, addrs);
	ck_assert_uint_eq(rig.controls, before + 1);
	ck_assert_uint_eq(rig.sent_ref, client);
	ck_assert_str_eq(rig.status.domain, domain);
	ck_assert(rig.status.active);
}

/* ---- packets ---- */

static size_t make(uint8_t *p, const char *from, const char *to, int proto, uint16_t sport, uint16_t dport)
{
	struct fz_ip src = rig_ip(from), dst = rig_ip(to);
	struct mk m = { .v6 = src.family == FZ_FAMILY_INET6, .proto = proto, .payload = 16 };
	struct ip_view v;
	size_t len;

	if (proto == 1 && m.v6)
		m.proto = 58;
	len = mk_packet(p, &m);
	memcpy(p + (m.v6 ? 8 : 12), src.b, m.v6 ? 16 : 4);
	memcpy(p + (m.v6 ? 24 : 16), dst.b, m.v6 ? 16 : 4);
	if (proto == 6 || proto == 17) {
		mk_be16(p + (m.v6 ? 40 : 20), sport);
		mk_be16(p + (m.v6 ? 42 : 22), dport);
	} else if (proto == 1) {
		mk_be16(p + (m.v6 ? 44 : 24), sport);
	}
	ck_assert_int_eq(ip_parse_plain(p, len, &v), IP_OK);
	if (!m.v6)
		csum_ip4(p, 20);
	csum_l4(p, &v);
	return len;
}

bool rig_client_bytes(unsigned client, const uint8_t *p, size_t len)
{
	static uint8_t room[FZ_PKT_HEADROOM + FZ_SUPER_MAX];
	struct fz_pkt pkt = ip_pkt(room + FZ_PKT_HEADROOM, len);
	struct ip_view v;
	bool went_on;

	memcpy(pkt.data, p, len);
	ck_assert_int_eq(ip_parse(&pkt, &v), IP_OK);
	went_on = gateway_inbound(rig.g, client, &pkt, &v, rig.now_us);
	if (went_on) {
		memcpy(rig.packet, pkt.data, len);
		rig.packet_len = len;
	}
	return went_on;
}

bool rig_tun_bytes(const uint8_t *p, size_t len)
{
	static uint8_t room[FZ_PKT_HEADROOM + FZ_SUPER_MAX];
	struct fz_pkt pkt = ip_pkt(room + FZ_PKT_HEADROOM, len);
	unsigned before = rig.sent;
	struct ip_view v;

	memcpy(pkt.data, p, len);
	ck_assert_int_eq(ip_parse(&pkt, &v), IP_OK);
	gateway_outbound(rig.g, &pkt, &v, rig.now_us);
	return rig.sent > before;
}

bool rig_from_client(unsigned client, const char *from, const char *to, int proto, uint16_t sport,
		     uint16_t dport)
{
	uint8_t p[200];

	return rig_client_bytes(client, p, make(p, from, to, proto, sport, dport));
}

bool rig_from_tun(const char *from, const char *to, int proto, uint16_t sport, uint16_t dport)
{
	uint8_t p[200];

	return rig_tun_bytes(p, make(p, from, to, proto, sport, dport));
}

uint64_t rig_drops(enum endpoint_drop why)
{
	return endpoint_stats(rig.g->endpoint)->drops[why];
}

struct ip_view rig_view(void)
{
	struct fz_pkt pkt = ip_pkt(rig.packet, rig.packet_len);
	struct ip_view v;

	ck_assert_int_eq(ip_parse(&pkt, &v), IP_OK);
	ck_assert(csum_ok(rig.packet, &v));
	return v;
}

unsigned rig_icmp(void)
{
	struct ip_view v = rig_view();

	ck_assert_int_eq(v.kind, IP_ICMP_OTHER);
	return (unsigned)v.icmp_type << 8 | v.icmp_code;
}
