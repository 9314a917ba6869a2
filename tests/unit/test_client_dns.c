/* SPDX-License-Identifier: Apache-2.0 */
/* Names at the client, with a gateway, a portal and name servers: from the query to the packet and back.
 * Numbers are those of the acceptance list. */
#include "stage.h"

#include <stdio.h>

#include "base/addr.h"
#include "core/ranges.h"
#include "wire/dns.h"
#include "wire/icmp.h"
#include "wire/udp.h"

#define PROHIBITED4 (3u << 8 | 13)
#define PROHIBITED6 (1u << 8 | 1)
#define UNREACHABLE4 (3u << 8)
#define UNREACHABLE6 (1u << 8 | 3)

static const struct stage_opts usual = { 0 };
static struct stage s;
static struct unit_env counting;

static int try_begin(const struct stage_opts *opts)
{
	int err = stage_try(&s, opts);

	if (err != 0)
		return err;
	s.lines.names.delay_us = FZ_MS(5);
	host_names_set(&s.lines.names, "web.corp.example", "10.50.0.1", "fd50::1");
	host_names_set(&s.lines.names, "db.corp.example", "10.50.0.2", NULL);
	host_names_set(&s.lines.names, "old.corp.example", "10.50.0.3", NULL);
	host_names_set(&s.lines.names, "www.example.org", "192.0.2.80", "2001:db8::80");
	stub_set_names(s.lines.stub, 10, "*.corp.example", NULL, "[]");
	stub_set_names(s.lines.stub, 11, "old.corp.example", "ipv4_only", "[{\"protocol\":\"icmp\"}]");
	device_system_dns(s.clients[0], "203.0.113.53");
	device_system_dns(s.gateway, "203.0.113.54");
	stage_pass(&s, FZ_MS(50));
	return 0;
}

static void begin(const struct stage_opts *opts)
{
	ck_assert_int_eq(try_begin(opts), 0);
}

/* ---- asking ---- */

static size_t make_query(uint8_t *buf, const char *name, uint16_t type, uint16_t id)
{
	struct dns_name n;

	ck_assert_int_eq(dns_name_parse(name, &n), 0);
	memset(buf, 0, 12);
	mk_be16(buf, id);
	buf[2] = 1; /* RD */
	buf[5] = 1;
	memcpy(buf + 12, n.b, n.len);
	mk_be16(buf + 12 + n.len, type);
	mk_be16(buf + 14 + n.len, 1);
	return 16u + n.len;
}

static void send_query(const char *name, uint16_t type, uint16_t id)
{
	uint8_t query[300], packet[400];
	struct fz_addr to = { .ip = s.clients[0]->stats.dns[0], .port = 53 }, from = { .port = 50000 };

	ck_assert_uint_gt(s.clients[0]->stats.dns_len, 0);
	ck_assert_int_eq(
		fz_ip_parse(to.ip.family == FZ_FAMILY_INET ? "100.64.0.1" : "fd00:2021:1111::1", &from.ip),
		0);
	device_tun(s.clients[0], packet,
		   udp_build(packet, &from, &to, query, make_query(query, name, type, id)));
}

/* The answer among what came out of the TUN after the first @from packets. */
static bool find_answer(unsigned from, uint16_t id, struct dns_msg *ret)
{
	for (unsigned i = from; i < s.n; i++) {
		const struct stage_packet *p = &s.got[i];
		size_t hdr = p->b[0] >> 4 == 4 ? 28 : 48;
		if (p->len > hdr && p->len <= sizeof(p->b) && p->b[hdr - 8] == 0 && p->b[hdr - 7] == 53 &&
		    dns_parse_reply(p->b + hdr, p->len - hdr, ret) == 0 && ret->id == id)
			return true;
	}
	return false;
}

static bool asked(const char *name, uint16_t type, uint64_t wait_us, struct dns_msg *ret)
{
	static uint16_t id = 100;
	uint64_t end_us = sim_now(s.net) + wait_us;
	unsigned from = s.n;

	send_query(name, type, ++id);
	while (!find_answer(from, id, ret)) {
		if (sim_now(s.net) >= end_us)
			return false;
		stage_pass(&s, FZ_MS(1));
	}
	return true;
}

static unsigned rcode(const struct dns_msg *m)
{
	return m->flags & DNS_RCODE;
}

/* The first address of a name, as text. */
static const char *address(const char *name, uint16_t type)
{
	static char text[2][FZ_IP_STRLEN];
	static unsigned turn;
	struct fz_ip ip = { .family = type == DNS_A ? FZ_FAMILY_INET : FZ_FAMILY_INET6 };
	struct dns_record rec;
	struct dns_msg m;
	size_t at;

	ck_assert(asked(name, type, FZ_MS(100), &m));
	at = m.answers_at;
	if (!dns_next_answer(&m, &at, &rec))
		return NULL;
	memcpy(ip.b, m.data + rec.data_at, rec.data_len);
	return fz_ip_format(&ip, text[turn++ % 2]);
}

static const char *dst_at_resource(void)
{
	static char text[FZ_IP_STRLEN];
	const uint8_t *b = s.last_at_resource.b;
	struct fz_ip ip = { .family = b[0] >> 4 };

	memcpy(ip.b, b + (ip.family == 4 ? 16 : 24), ip.family == 4 ? 4 : 16);
	return fz_ip_format(&ip, text);
}

/* ---- answers ---- */

START_TEST(interface_names_the_sentinels)
{
	char text[FZ_IP_STRLEN];
	struct device *c;
	unsigned netcfg;

	begin(&usual);
	c = s.clients[0];
	ck_assert_uint_eq(c->stats.dns_len, 1);
	ck_assert_str_eq(fz_ip_format(&c->stats.dns[0], text), "100.100.111.1");
	ck_assert_str_eq(c->stats.search_domain, "");
	netcfg = c->stats.netcfg;
	stub_set_interface(s.lines.stub, ",\"search_domain\":\"corp.example\"");
	stage_pass(&s, FZ_MS(20));
	ck_assert_uint_eq(c->stats.netcfg, netcfg + 1);
	ck_assert_str_eq(c->stats.search_domain, "corp.example");
	stub_set_interface(s.lines.stub, ",\"search_domain\":\"corp.example\"");
	device_system_dns(c, "203.0.113.53");
	stub_set_names(s.lines.stub, 12, "x.example", NULL, "[]"); /* no route of its own */
	stage_pass(&s, FZ_MS(20));
	ck_assert_uint_eq(c->stats.netcfg, netcfg + 1); /* nothing new, no event */
	device_system_dns(c, "203.0.113.55");
	ck_assert_uint_eq(c->stats.netcfg, netcfg + 2);
	ck_assert_str_eq(fz_ip_format(&c->stats.dns[0], text), "100.100.111.2");
	ck_assert_uint_eq(c->dns.listens_len, 2);
	ck_assert_uint_ge(c->dns.flushes, 1);
	stage_end(&s);
}
END_TEST

/* The vector of the reference: from IP packet to IP packet. */
START_TEST(a6_11_answer_vector)
{
	static const char query[] = "123401000001000000000000026462076578616d706c6503636f6d0000010001";
	uint8_t payload[100], packet[200], all[600];
	struct fz_addr from = { .port = 50000 }, to = { .port = 53 };

	begin(&usual);
	stub_set_names(s.lines.stub, 12, "db.example.com", NULL, "[]");
	stage_pass(&s, FZ_MS(20));
	ck_assert_int_eq(fz_ip_parse("100.64.0.1", &from.ip), 0);
	to.ip = s.clients[0]->stats.dns[0];
	device_tun(s.clients[0], packet,
		   udp_build(packet, &from, &to, payload, unit_hex(payload, sizeof(payload), query)));
	ck_assert_uint_eq(s.n, 1);
	ck_assert_uint_eq(s.got[0].len, 180);
	ck_assert_uint_gt(unit_hex(all, sizeof(all),
				   "450000b4000000004011429364646f0164400001"
				   "0035c35000a0c8aa"
				   "123481000001000400000000026462076578616d706c6503636f6d0000010001"
				   "026462076578616d706c6503636f6d000001000100000001000464600001"
				   "026462076578616d706c6503636f6d000001000100000001000464600002"
				   "026462076578616d706c6503636f6d000001000100000001000464600003"
				   "026462076578616d706c6503636f6d000001000100000001000464600004"),
			  0);
	ck_assert_mem_eq(s.got[0].b, all, 180);
	ck_assert_uint_eq(stub_stats(s.lines.stub)->requests, 0); /* names ask for no access */
	stage_end(&s);
}
END_TEST

/* Sentinels of both families; what is no DNS, or no query, has no answer. */
START_TEST(a6_4_other_names_and_nonsense)
{
	static const uint8_t nonsense[][12] = { { 0 }, { 0, 1, 0x80, 0, 0, 1 }, { 0, 1, 1, 0, 0, 2 } };
	uint8_t packet[100];
	struct dns_msg m;

	begin(&usual);
	ck_assert_str_eq(address("www.example.org", DNS_A), "192.0.2.80");
	ck_assert_uint_eq(s.clients[0]->dns.queries, 1);
	ck_assert_int_eq(s.clients[0]->dns.last.bind.family, FZ_FAMILY_NONE);
	ck_assert_uint_eq(s.clients[0]->dns.last.server.port, 53);
	ck_assert_str_eq(address("WWW.example.org", DNS_A), "192.0.2.80");
	ck_assert_uint_eq(s.clients[0]->dns.queries, 1); /* from the cache */
	stub_remove_resource(s.lines.stub, 11); /* which every change of resources empties */
	stage_pass(&s, FZ_MS(20));
	ck_assert_str_eq(address("www.example.org", DNS_A), "192.0.2.80");
	ck_assert_uint_eq(s.clients[0]->dns.queries, 2);
	ck_assert(asked("nobody.example.org", DNS_A, FZ_MS(50), &m));
	ck_assert_uint_eq(rcode(&m), DNS_NXDOMAIN);
	unsigned n = s.n;
	for (size_t i = 0; i < 3; i++) {
		struct fz_addr from = { .port = 5000 }, to = { .ip = s.clients[0]->stats.dns[0], .port = 53 };
		ck_assert_int_eq(fz_ip_parse("100.64.0.1", &from.ip), 0);
		device_tun(s.clients[0], packet, udp_build(packet, &from, &to, nonsense[i], 12));
	}
	ck_assert_uint_eq(device_counter(s.clients[0], "DNS query"), 3);
	ck_assert_uint_eq(s.n, n);
	stage_send(&s, s.clients[0], "100.64.0.1", "100.100.111.1", 6, 853, 1); /* no DNS over TLS */
	ck_assert_uint_eq(stage_icmp(&s.got[n]), PROHIBITED4);
	stage_end(&s);
}
END_TEST

/* ---- resources ---- */

START_TEST(a6_7_first_packet_to_a_name)
{
	const char *ip4, *ip6;

	begin(&usual);
	ip4 = address("web.corp.example", DNS_A);
	ck_assert_str_eq(ip4, "100.96.0.1");
	ck_assert(stage_reaches(&s, ip4, FZ_MS(200)));
	ck_assert_str_eq(dst_at_resource(), "10.50.0.1");
	ip6 = address("web.corp.example", DNS_AAAA);
	ck_assert_str_eq(ip6, "fd00:2021:1111:8000::");
	ck_assert(stage_reaches(&s, ip6, FZ_MS(50)));
	ck_assert_str_eq(dst_at_resource(), "fd50::1");
	ip4 = address("db.corp.example", DNS_A);
	ck_assert_str_eq(ip4, "100.96.0.5");
	ck_assert(stage_reaches(&s, ip4, FZ_MS(50)));
	ck_assert_str_eq(dst_at_resource(), "10.50.0.2");
	ck_assert_uint_eq(stub_stats(s.lines.stub)->requests, 1);
	ck_assert_uint_eq(s.clients[0]->dns.queries, 0);
	stage_end(&s);
}
END_TEST

/* A slow lookup at the gateway: what waits is kept in order, the last 32. */
START_TEST(a6_51_held_and_released)
{
	const char *ip;
	unsigned n;

	begin(&usual);
	ip = address("web.corp.example", DNS_A);
	ck_assert(stage_reaches(&s, "10.20.0.1", FZ_MS(200)));
	s.lines.names.delay_us = FZ_MS(800);
	n = s.n;
	for (unsigned i = 0; i < 40; i++) {
		stage_ping(&s, ip, (uint16_t)i);
		stage_pass(&s, FZ_MS(10));
	}
	ck_assert_uint_eq(s.n, n);
	ck_assert(stage_wait(&s, n + 32, FZ_SEC(1)));
	stage_pass(&s, FZ_MS(100));
	ck_assert_uint_eq(s.n, n + 32);
	for (unsigned i = 0; i < 32; i++)
		ck_assert_uint_eq(stage_seq(&s.got[n + i]), 8 + i);
	ck_assert_uint_eq(device_counter(s.clients[0], "waiting room full"), 8);
	ck_assert_uint_eq(s.gateway->dns.lookups, 1);
	stage_end(&s);
}
END_TEST

/* Asked again while it works: the gateway looks it up again, and traffic goes on meanwhile. */
START_TEST(a6_54_not_held_while_asked_again)
{
	const char *ip;

	begin(&usual);
	ip = address("web.corp.example", DNS_A);
	ck_assert(stage_reaches(&s, ip, FZ_MS(200)));
	ck_assert_uint_eq(s.gateway->dns.lookups, 1);
	s.lines.names.delay_us = FZ_SEC(5);
	ck_assert_str_eq(address("web.corp.example", DNS_A), ip);
	stage_pass(&s, FZ_MS(20));
	ck_assert_uint_eq(s.gateway->dns.lookups, 2);
	ck_assert(stage_reaches(&s, ip, FZ_MS(50)));
	stage_end(&s);
}
END_TEST

/* The gateway can not resolve it: its error reaches the sender, and a new query tries again. */
START_TEST(a6_55_failed_until_asked_again)
{
	const char *ip;
	unsigned n;

	begin(&usual);
	ip = address("web.corp.example", DNS_A);
	s.lines.names.is_silent = true;
	n = s.n;
	stage_ping(&s, ip, 1);
	stage_pass(&s, FZ_SEC(13));
	ck_assert_uint_eq(s.n, n + 1);
	ck_assert_uint_eq(stage_icmp(&s.got[n]), PROHIBITED4);
	unsigned lookups = s.gateway->dns.lookups;
	stage_ping(&s, ip, 2); /* the client asked the portal again, which announced the name again */
	stage_pass(&s, FZ_SEC(13));
	ck_assert_uint_eq(s.n, n + 2);
	ck_assert_uint_eq(stage_icmp(&s.got[n + 1]), PROHIBITED4);
	s.lines.names.is_silent = false;
	stage_pass(&s, FZ_SEC(13)); /* the latest announcement fell into the silence */
	ck_assert_str_eq(address("web.corp.example", DNS_A), ip);
	stage_pass(&s, FZ_MS(100));
	ck_assert_uint_gt(s.gateway->dns.lookups, lookups);
	ck_assert(stage_reaches(&s, ip, FZ_MS(100)));
	stage_end(&s);
}
END_TEST

START_TEST(proxy_addresses_that_lead_nowhere)
{
	begin(&usual);
	ck_assert_str_eq(address("old.corp.example", DNS_A), "100.96.0.1");
	/* The wildcard covers it as well, so both families have a way. */
	ck_assert(address("old.corp.example", DNS_AAAA) != NULL);
	stub_remove_resource(s.lines.stub, 10);
	stage_pass(&s, FZ_MS(20));
	ck_assert(address("old.corp.example", DNS_AAAA) == NULL);
	s.n = 0;
	stage_ping(&s, "fd00:2021:1111:8000::1", 1);
	stage_ping(&s, "100.96.0.77", 1);
	stage_ping(&s, "fd00:2021:1111:8000::77", 1);
	ck_assert_uint_eq(s.n, 3);
	ck_assert_uint_eq(stage_icmp(&s.got[0]), UNREACHABLE6);
	ck_assert_uint_eq(stage_icmp(&s.got[1]), PROHIBITED4);
	ck_assert_uint_eq(stage_icmp(&s.got[2]), PROHIBITED6);
	stage_ping(&s, "192.0.2.9", 1); /* acceptance 11.12 */
	ck_assert_uint_eq(s.n, 3);
	ck_assert(stage_reaches(&s, "100.96.0.2", FZ_MS(200)));
	stage_send(&s, s.clients[0], "100.64.0.1", "100.96.0.1", 17, 53, 3); /* acceptance 9.6 */
	ck_assert_uint_eq(stage_icmp(&s.got[s.n - 1]), PROHIBITED4);
	stage_end(&s);
}
END_TEST

/* A resource that refuses everything, as its kernel would. */
static void refusing(void *ctx, struct device *d, struct fz_pkt *pkt)
{
	uint8_t error[ICMP_ERROR_MAX];
	struct ip_view v;

	(void)ctx;
	if (ip_parse(pkt, &v) == IP_OK)
		device_tun_later(d, error, icmp_build_error(ICMP_NET_UNREACHABLE, 0, pkt->data, &v, error));
}

/* Errors from behind the gateway quote the address that the application used. */
START_TEST(a11_9_errors_quote_the_proxy_address)
{
	static const uint16_t types[] = { DNS_A, DNS_AAAA };

	begin(&usual);
	s.gateway->packet = refusing;
	for (unsigned i = 0; i < 2; i++) {
		char text[FZ_IP_STRLEN], proxy[FZ_IP_STRLEN];
		struct icmp_quote q;
		struct ip_view v;
		snprintf(proxy, sizeof(proxy), "%s", address("web.corp.example", types[i]));
		unsigned n = s.n;
		stage_send(&s, s.clients[0], i ? "fd00:2021:1111::1" : "100.64.0.1", proxy, 17, 7, 5);
		ck_assert(stage_wait(&s, n + 1, FZ_MS(300)));
		struct fz_pkt pkt = ip_pkt(s.got[n].b, s.got[n].len);
		ck_assert_int_eq(ip_parse(&pkt, &v), IP_OK);
		ck_assert_uint_eq(stage_icmp(&s.got[n]), i ? UNREACHABLE6 : UNREACHABLE4);
		ck_assert_int_eq(icmp_parse_error(pkt.data, &v, &q), 0);
		ck_assert_str_eq(fz_ip_format(&q.orig.dst, text), proxy);
		ck_assert_uint_eq(q.orig.dport, 7);
		ck_assert_uint_eq(q.orig.sport, 1024 + 5);
	}
	ck_assert_uint_eq(stub_stats(s.lines.stub)->requests, 1); /* no reason to doubt the access */
	stage_end(&s);
}
END_TEST

/* Deleted, made again, moved to another site while packets flow. */
START_TEST(a9_14_names_come_and_go)
{
	const char *ip;

	begin(&usual);
	ip = address("web.corp.example", DNS_A);
	ck_assert(stage_reaches(&s, ip, FZ_MS(200)));
	stub_remove_resource(s.lines.stub, 10);
	stage_pass(&s, FZ_MS(20));
	ck_assert(!stage_reaches(&s, ip, FZ_MS(50)));
	ck_assert_uint_eq(stage_icmp(&s.got[s.n - 1]), PROHIBITED4);
	stub_set_names(s.lines.stub, 10, "*.corp.example", NULL, "[]");
	stage_pass(&s, FZ_MS(20));
	ck_assert(stage_reaches(&s, ip, FZ_MS(200))); /* without a new query */
	stub_move_resource(s.lines.stub, 10, 2);
	stage_ping(&s, ip, 7);
	stage_pass(&s, FZ_MS(300));
	ck_assert(stage_reaches(&s, ip, FZ_MS(200)));
	/* Another pattern: the name belongs to nothing. */
	stub_set_names(s.lines.stub, 10, "*.other.example", NULL, "[]");
	stage_pass(&s, FZ_MS(20));
	ck_assert(!stage_reaches(&s, ip, FZ_MS(50)));
	stage_end(&s);
}
END_TEST

START_TEST(a5_4_names_survive_a_reset)
{
	const char *ip;

	begin(&usual);
	ip = address("web.corp.example", DNS_A);
	ck_assert(stage_reaches(&s, ip, FZ_MS(200)));
	device_reset(s.clients[0]);
	ck_assert(stage_reaches(&s, ip, FZ_SEC(2)));
	ck_assert_str_eq(address("web.corp.example", DNS_A), ip);
	device_restart(s.gateway);
	stage_pass(&s, FZ_SEC(1));
	device_reset(s.clients[0]);
	ck_assert(stage_reaches(&s, ip, FZ_SEC(3)));
	stage_end(&s);
}
END_TEST

START_TEST(many_names)
{
	char name[64], first[FZ_IP_STRLEN] = "";

	begin(&usual);
	s.lines.names.is_silent = false;
	for (unsigned i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "n%u.corp.example", i);
		const char *ip = address(name, DNS_A);
		if (i == 0)
			snprintf(first, sizeof(first), "%s", ip);
		if (i < 3)
			host_names_set(&s.lines.names, name, "10.50.1.1", NULL);
	}
	ck_assert(stage_reaches(&s, "10.20.0.1", FZ_MS(200)));
	ck_assert_uint_eq(s.gateway->dns.lookups, 0);
	ck_assert(stage_reaches(&s, address("web.corp.example", DNS_A), FZ_MS(200)));
	ck_assert_uint_eq(s.gateway->dns.lookups, 64);
	ck_assert(stage_reaches(&s, first, FZ_MS(200))); /* the oldest, announced by its packet */
	ck_assert_uint_eq(s.gateway->dns.lookups, 65);
	stage_end(&s);
}
END_TEST

/* ---- servers behind the tunnel ---- */

/* A resource that answers every query: that there is nothing. */
static void name_server(void *ctx, struct device *d, struct fz_pkt *pkt)
{
	uint8_t p[1500];
	struct ip_view v;

	(void)ctx;
	memcpy(p, pkt->data, pkt->len);
	struct fz_pkt copy = ip_pkt(p, pkt->len);
	if (ip_parse(&copy, &v) != IP_OK || v.kind != IP_UDP)
		return;
	struct fz_addr from = { .ip = v.dst, .port = v.dport }, to = { .ip = v.src, .port = v.sport };
	uint8_t answer[1500];
	p[v.hdr_len + 2] |= 0x80;
	device_tun_later(d, answer, udp_build(answer, &from, &to, p + v.hdr_len, v.len - v.hdr_len));
}

START_TEST(a6_44_upstream_inside_a_resource)
{
	struct dns_msg m;

	begin(&usual);
	s.gateway->packet = name_server;
	stub_set_interface(s.lines.stub,
			   ",\"upstream_do53\":[{\"ip\":\"10.20.0.53\"},{\"ip\":\"192.0.2.53\"}]");
	stage_pass(&s, FZ_MS(20));
	ck_assert_uint_eq(s.clients[0]->stats.dns_len, 2);
	ck_assert(asked("www.example.org", DNS_A, FZ_MS(500), &m));
	ck_assert_uint_eq(rcode(&m), DNS_NOERROR);
	ck_assert_uint_eq(m.answers, 0);
	ck_assert_uint_eq(s.clients[0]->dns.tunnelled, 1);
	ck_assert_uint_eq(stub_stats(s.lines.stub)->requests, 1); /* it asked for access, and waited */
	/* The system's own server is never asked through the tunnel, wherever it is. */
	stub_set_interface(s.lines.stub, "");
	device_system_dns(s.clients[0], "10.20.0.53");
	stage_pass(&s, FZ_MS(20));
	ck_assert_str_eq(address("www.example.org", DNS_A), "192.0.2.80");
	ck_assert_uint_eq(s.clients[0]->dns.tunnelled, 1);
	stage_end(&s);
}
END_TEST

/* SRV and TXT go to the site; they open the connection to it. */
START_TEST(a6_22_site_queries)
{
	struct dns_msg m;

	begin(&usual);
	ck_assert(asked("web.corp.example", DNS_TXT, FZ_MS(500), &m));
	ck_assert_uint_eq(rcode(&m), DNS_NOERROR);
	ck_assert_uint_eq(s.clients[0]->dns.tunnelled, 1);
	ck_assert_uint_eq(s.clients[0]->dns.last.server.port, 53535);
	ck_assert_uint_eq(s.gateway->dns.queries, 1);
	ck_assert_uint_eq(stub_stats(s.lines.stub)->requests, 1);
	ck_assert(asked("nobody.corp.example", DNS_SRV, FZ_MS(200), &m));
	ck_assert_uint_eq(rcode(&m), DNS_NXDOMAIN);
	stage_end(&s);
}
END_TEST

/* Refused: at once, and within the gap without asking. */
START_TEST(a9_5_site_query_refused)
{
	struct dns_msg m;

	begin(&usual);
	stub_set_refusal(s.lines.stub, "offline");
	for (unsigned i = 0; i < 3; i++) {
		ck_assert(asked("web.corp.example", DNS_TXT, FZ_MS(50), &m));
		ck_assert_uint_eq(rcode(&m), DNS_SERVFAIL);
	}
	ck_assert_uint_eq(stub_stats(s.lines.stub)->requests, 1);
	stub_set_refusal(s.lines.stub, NULL);
	stage_pass(&s, FZ_SEC(2));
	ck_assert(asked("web.corp.example", DNS_TXT, FZ_MS(500), &m));
	ck_assert_uint_eq(rcode(&m), DNS_NOERROR);
	stage_end(&s);
}
END_TEST

/* ---- TCP ---- */

static void tcp_segment(const char *from, uint16_t sport, const char *to, uint16_t dport)
{
	uint8_t p[100];
	struct mk m = { .v6 = strchr(from, ':') != NULL, .flags = 2 };
	struct fz_ip src, dst;
	size_t len = mk_packet(p, &m), l3 = m.v6 ? 40 : 20, ip_len = m.v6 ? 16 : 4;

	ck_assert_int_eq(fz_ip_parse(from, &src), 0);
	ck_assert_int_eq(fz_ip_parse(to, &dst), 0);
	memcpy(p + l3 - 2 * ip_len, src.b, ip_len);
	memcpy(p + l3 - ip_len, dst.b, ip_len);
	mk_be16(p + l3, sport);
	mk_be16(p + l3 + 2, dport);
	if (!m.v6) {
		mk_be16(p + 10, 0);
		mk_be16(p + 10, (uint16_t)~mk_sum(p, 20, 0));
	}
	mk_be16(p + l3 + 16, 0);
	mk_be16(p + l3 + 16, mk_l4_csum(p, len, l3, 6));
	device_tun(s.clients[0], p, len);
}

static void expect_segment(const char *from, uint16_t sport, const char *to, uint16_t dport)
{
	char a[FZ_IP_STRLEN];
	struct stage_packet *p = &s.got[s.n - 1];
	struct fz_pkt pkt = ip_pkt(p->b, p->len);
	struct ip_view v;

	ck_assert_int_eq(ip_parse(&pkt, &v), IP_OK);
	ck_assert_str_eq(fz_ip_format(&v.src, a), from);
	ck_assert_str_eq(fz_ip_format(&v.dst, a), to);
	ck_assert_uint_eq(v.sport, sport);
	ck_assert_uint_eq(v.dport, dport);
	size_t l3 = v.l3_len;
	uint16_t have = (uint16_t)(p->b[l3 + 16] << 8 | p->b[l3 + 17]);
	mk_be16(p->b + l3 + 16, 0);
	ck_assert_uint_eq(have, mk_l4_csum(p->b, p->len, l3, 6));
}

START_TEST(tcp_is_turned_around)
{
	uint8_t query[100];
	struct fz_dns_request r = { .id = 7, .tcp = true, .data = query };
	struct device *c;
	struct dns_msg m;

	begin(&usual);
	c = s.clients[0];
	ck_assert_uint_eq(c->dns.listens_len, 2);
	uint16_t port = c->dns.listens[0].port;
	tcp_segment("100.64.0.1", 40000, "100.100.111.1", 53);
	expect_segment("100.100.111.1", 40000, "100.64.0.1", port);
	tcp_segment("100.64.0.1", port, "100.100.111.1", 40000);
	expect_segment("100.100.111.1", 53, "100.64.0.1", 40000);
	/* The listener hands the query over, the answer goes back to it. */
	r.len = make_query(query, "web.corp.example", DNS_A, 9);
	ck_assert_int_eq(fz_ip_parse("100.100.111.1", &r.peer.ip), 0);
	ck_assert_int_eq(fz_ip_parse("100.64.0.1", &r.local.ip), 0);
	fz_client_dns_request(c->client, &r, sim_now(s.net));
	device_drain(c);
	ck_assert_uint_eq(c->dns.reply_to, 7);
	ck_assert_int_eq(dns_parse_reply(c->dns.reply, c->dns.reply_len, &m), 0);
	ck_assert_uint_eq(m.answers, 4);
	/* Who did not come by way of a sentinel is sent away. */
	r.id = 8;
	ck_assert_int_eq(fz_ip_parse("100.64.1.1", &r.peer.ip), 0);
	fz_client_dns_request(c->client, &r, sim_now(s.net));
	device_drain(c);
	ck_assert_uint_eq(c->dns.reply_to, 8);
	ck_assert_uint_eq(c->dns.reply_len, 0);
	stage_end(&s);
}
END_TEST

/* The port is taken: the next one is tried, not for ever. */
START_TEST(another_port)
{
	struct device *c;

	begin(&usual);
	c = s.clients[0];
	for (unsigned i = 0; i < 20; i++) {
		struct fz_addr was = c->dns.listens[0];
		fz_client_dns_listen_failed(c->client, &was, FZ_ERR_IO, sim_now(s.net));
		device_drain(c);
		ck_assert_uint_eq(c->dns.listens_len, 2);
		ck_assert_uint_eq(c->dns.listens[0].port, was.port + (i < 7));
	}
	tcp_segment("100.64.0.1", 40000, "100.100.111.1", 53);
	expect_segment("100.100.111.1", 40000, "100.64.0.1", c->dns.listens[0].port);
	stage_end(&s);
}
END_TEST

/* ---- memory ---- */

START_TEST(failing_allocations)
{
	const struct stage_opts counted = { .env = &counting };
	struct unit_env *u = &counting;
	struct dns_msg m;
	long n = 0, step = 1;

	do {
		unit_env_init(u, 3);
		n += step;
		step = 1 + n / 200;
		u->fail_at = n;
		if (try_begin(&counted) == 0) {
			bool reached = false;
			for (unsigned i = 0; i < 30 && !reached; i++) {
				if (s.clients[0]->stats.dns_len > 0 &&
				    asked("web.corp.example", DNS_A, FZ_SEC(2), &m) && m.answers == 4)
					reached = stage_reaches(&s, "100.96.0.1", FZ_SEC(2)) ||
						  stage_reaches(&s, "100.96.0.5", FZ_MS(300));
				if (!reached)
					stage_pass(&s, FZ_SEC(3));
				s.n = 0;
			}
			ck_assert_msg(reached, "allocation %ld", n);
			device_shutdown(s.clients[0]);
		}
		stage_end(&s);
		unit_env_check(u);
	} while (u->allocs >= n);
	ck_assert_int_gt(n, 100);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *suite = suite_create("client_dns");

	unit_case(suite, "answers", interface_names_the_sentinels, a6_11_answer_vector,
		  a6_4_other_names_and_nonsense);
	unit_case(suite, "resources", a6_7_first_packet_to_a_name, a6_51_held_and_released,
		  a6_54_not_held_while_asked_again, a6_55_failed_until_asked_again,
		  proxy_addresses_that_lead_nowhere, a11_9_errors_quote_the_proxy_address,
		  a9_14_names_come_and_go, a5_4_names_survive_a_reset, many_names);
	unit_case(suite, "tunnel", a6_44_upstream_inside_a_resource, a6_22_site_queries,
		  a9_5_site_query_refused);
	unit_case(suite, "tcp", tcp_is_turned_around, another_port);
	unit_case(suite, "memory", failing_allocations);
	return suite;
}
