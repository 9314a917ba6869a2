/* SPDX-License-Identifier: Apache-2.0 */
/* DNS resources and the Internet resource at the gateway: announcements, names, translation, refusals. */
#include "gateway_rig.h"
#include "flow_token.h"

#include <stdio.h>

#include "base/time.h"
#include "wire/csum.h"

#define PROHIBITED4 (3u << 8 | 13)
#define PROHIBITED6 (1u << 8 | 1)
#define UNREACHABLE4 (3u << 8)
#define UNREACHABLE6 (1u << 8 | 3)
#define C1 "100.64.0.1"
#define C1_6 "fd00:2021:1111::1"
#define P1 "100.96.0.1"
#define P1_6 "fd00:2021:1111:8000::1"

static const struct portal_filter web = { PORTAL_PROTO_TCP, 80, 80 }, dns = { PORTAL_PROTO_UDP, 53, 53 };

static void expect_out(const char *to, uint16_t sport)
{
	struct ip_view v = rig_view();
	char text[FZ_IP_STRLEN];

	ck_assert_str_eq(fz_ip_format(&v.dst, text), to);
	ck_assert_uint_eq(v.sport, sport);
}

static void expect_in(const char *from, uint16_t dport)
{
	struct ip_view v = rig_view();
	char text[FZ_IP_STRLEN];

	ck_assert_str_eq(fz_ip_format(&v.src, text), from);
	ck_assert_uint_eq(v.dport, dport);
}

/* There and back: TCP, UDP and echo, both families. */
START_TEST(a11_9_translation)
{
	static const int protos[] = { 6, 17, 1 };

	rig_begin();
	ck_assert_int_eq(rig_grant(1, 1, "*.corp.example", NULL), 0);
	rig_name(1, 1, "web.corp.example", P1 " " P1_6, "10.20.0.10 fd20::10");
	for (size_t i = 0; i < 3; i++) {
		ck_assert(rig_from_client(1, C1, P1, protos[i], 5000, 80));
		expect_out("10.20.0.10", 5000);
		ck_assert(rig_from_tun("10.20.0.10", C1, protos[i], protos[i] == 1 ? 5000 : 80, 5000));
		expect_in(P1, 5000);
		ck_assert(rig_from_client(1, C1_6, P1_6, protos[i], 5000, 80));
		expect_out("fd20::10", 5000);
		ck_assert(rig_from_tun("fd20::10", C1_6, protos[i], protos[i] == 1 ? 5000 : 80, 5000));
		expect_in(P1_6, 5000);
	}
	/* Whoever was not asked has nothing to say. */
	ck_assert(!rig_from_tun("10.20.0.11", C1, 6, 80, 5000));
	ck_assert(!rig_from_tun("10.20.0.10", C1, 6, 80, 5001));
	ck_assert(!rig_from_tun("10.20.0.10", "100.64.0.2", 6, 80, 5000));
	ck_assert_uint_eq(rig_drops(DROP_FILTER), 3);
	/* Protocols without ports do not pass, and nothing is said. */
	unsigned before = rig.sent;
	ck_assert(!rig_from_client(1, C1, P1, 47, 0, 0));
	ck_assert_uint_eq(rig.sent, before);
	ck_assert_uint_eq(rig_drops(DROP_PROTOCOL), 1);
	rig_end();
}
END_TEST

/* Three names of one server, one source port: the server sees three ports, the client its own. */
START_TEST(a10_3_three_names_of_one_server)
{
	static const char *const names[] = { "a.corp.example", "b.corp.example", "c.corp.example" },
				 *const proxies[] = { "100.96.0.1", "100.96.0.5", "100.96.0.9" };
	uint16_t port[3];

	rig_begin();
	ck_assert_int_eq(rig_grant(1, 1, "*.corp.example", NULL), 0);
	for (size_t i = 0; i < 3; i++)
		rig_name(1, 1, names[i], proxies[i], "10.20.0.10");
	for (size_t i = 0; i < 3; i++) {
		ck_assert(rig_from_client(1, C1, proxies[i], 6, 5555, 80));
		port[i] = rig_view().sport;
		expect_out("10.20.0.10", port[i]);
		for (size_t k = 0; k < i; k++)
			ck_assert_uint_ne(port[i], port[k]);
	}
	for (size_t i = 0; i < 3; i++) {
		ck_assert(rig_from_tun("10.20.0.10", C1, 6, 80, port[i]));
		expect_in(proxies[i], 5555);
	}
	rig_end();
}
END_TEST

START_TEST(a10_14_family_without_address)
{
	rig_begin();
	ck_assert_int_eq(rig_grant(1, 1, "*.corp.example", NULL), 0);
	rig_name(1, 1, "v4.corp.example", P1 " " P1_6, "10.20.0.10");
	ck_assert(rig_from_client(1, C1, P1, 17, 5000, 80));
	ck_assert(!rig_from_client(1, C1_6, P1_6, 17, 5000, 80));
	ck_assert_uint_eq(rig_icmp(), UNREACHABLE6);
	expect_in(P1_6, 0); /* from the proxy */
	/* No such name at all: it is active, and nothing is there. */
	rig_name(1, 1, "none.corp.example", "100.96.0.2 fd00:2021:1111:8000::2", "");
	ck_assert(!rig_from_client(1, C1, "100.96.0.2", 17, 5000, 80));
	ck_assert_uint_eq(rig_icmp(), UNREACHABLE4);
	/* Never announced. */
	ck_assert(!rig_from_client(1, C1, "100.96.0.3", 17, 5000, 80));
	ck_assert_uint_eq(rig_icmp(), PROHIBITED4);
	ck_assert(!rig_from_client(1, C1_6, "fd00:2021:1111:8000::3", 17, 5000, 80));
	ck_assert_uint_eq(rig_icmp(), PROHIBITED6);
	rig_end();
}
END_TEST

START_TEST(a10_12_resolved_again)
{
	rig_begin();
	ck_assert_int_eq(rig_grant(1, 1, "**.corp.example", NULL), 0);
	rig_name(1, 1, "web.corp.example", P1, "10.20.0.10");
	ck_assert(rig_from_client(1, C1, P1, 6, 5000, 80));
	rig_name(1, 1, "web.corp.example", P1, "10.20.0.11");
	ck_assert(rig_from_client(1, C1, P1, 6, 5000, 80));
	expect_out("10.20.0.10", 5000);
	ck_assert(rig_from_client(1, C1, P1, 6, 5001, 80));
	expect_out("10.20.0.11", 5001);
	ck_assert(rig_from_tun("10.20.0.10", C1, 6, 80, 5000));
	/* A name server that fails takes nothing away. */
	static const int errors[] = { FZ_ERR_IO, FZ_ERR_TIMEOUT };
	for (int i = 0; i < 2; i++) {
		uint64_t id;
		rig_announce(1, 1, "web.corp.example", P1);
		ck_assert_ptr_nonnull(rig_next_name(&id));
		rig_resolve(id, errors[i], "");
		ck_assert(rig.status.active);
		ck_assert(rig_from_client(1, C1, P1, 6, (uint16_t)(6000 + i), 80));
		expect_out("10.20.0.11", (uint16_t)(6000 + i));
	}
	rig_end();
}
END_TEST

/* 10.13: addresses that now stand for another name: nothing from before counts. */
START_TEST(a10_13_numbered_anew)
{
	rig_begin();
	ck_assert_int_eq(rig_grant(1, 1, "*.corp.example", NULL), 0);
	rig_name(1, 1, "a.corp.example", P1, "10.20.0.10");
	rig_name(1, 1, "b.corp.example", "100.96.0.2", "10.20.0.11");
	rig_name(1, 1, "A.Corp.Example", P1, "10.20.0.10"); /* the same name */
	ck_assert(rig_from_client(1, C1, P1, 6, 5000, 80));
	ck_assert(rig_from_client(1, C1, "100.96.0.2", 6, 5000, 80));
	rig_name(1, 1, "c.corp.example", P1, "10.20.0.12");
	ck_assert(!rig_from_client(1, C1, "100.96.0.2", 6, 5000, 80));
	ck_assert(!rig_from_tun("10.20.0.10", C1, 6, 80, 5000));
	ck_assert(rig_from_client(1, C1, P1, 6, 5000, 80));
	expect_out("10.20.0.12", 5000);
	rig_end();
}
END_TEST

/* 10.4: a name and a network that have the same address behind them; 10.6: removed resources. */
START_TEST(a10_4_never_mixed)
{
	rig_begin();
	ck_assert_int_eq(rig_grant(1, 1, "*.corp.example", &web), 0);
	ck_assert_int_eq(rig_grant(1, 2, "10.20.0.0/16", &dns), 0);
	rig_name(1, 1, "web.corp.example", P1, "10.20.0.10");
	ck_assert(rig_from_client(1, C1, P1, 6, 5000, 80));
	ck_assert(!rig_from_client(1, C1, P1, 17, 5000, 53));
	ck_assert_uint_eq(rig_icmp(), PROHIBITED4);
	ck_assert(!rig_from_client(1, C1, "10.20.0.10", 6, 5001, 80));
	ck_assert(rig_from_client(1, C1, "10.20.0.10", 17, 5000, 53));
	expect_out("10.20.0.10", 5000);
	ck_assert(rig_from_tun("10.20.0.10", C1, 17, 53, 5000));
	expect_in("10.20.0.10", 5000);
	ck_assert(rig_from_tun("10.20.0.10", C1, 6, 80, 5000));
	expect_in(P1, 5000);
	/* Filters change while flows are up. */
	ck_assert_int_eq(rig_grant(1, 1, "*.corp.example", &dns), 0);
	ck_assert(!rig_from_client(1, C1, P1, 6, 5000, 80));
	ck_assert(!rig_from_tun("10.20.0.10", C1, 6, 80, 5000));
	ck_assert_int_eq(rig_grant(1, 1, "*.corp.example", &web), 0);
	ck_assert(rig_from_tun("10.20.0.10", C1, 6, 80, 5000));
	rig_revoke(1, 1);
	ck_assert(!rig_from_client(1, C1, P1, 6, 5000, 80));
	ck_assert_uint_eq(rig_icmp(), PROHIBITED4);
	ck_assert(!rig_from_tun("10.20.0.10", C1, 6, 80, 5000));
	ck_assert(rig_from_client(1, C1, "10.20.0.10", 17, 5000, 53));
	rig_end();
}
END_TEST

struct internet_case {
	const char *to;
	unsigned icmp; /* 0 = it goes on */
};

static void check_internet(const struct internet_case *c)
{
	bool v6 = strchr(c->to, ':') != NULL, ok = rig_from_client(1, v6 ? C1_6 : C1, c->to, 6, 5000, 80);

	ck_assert_msg(ok == (c->icmp == 0), "%s", c->to);
	if (!ok)
		ck_assert_msg(rig_icmp() == c->icmp, "%s: %x", c->to, rig_icmp());
}

START_TEST(a11_10_internet_is_not_private)
{
	static const struct internet_case cases[] = {
		{ "198.51.100.7", 0 },
		{ "192.0.2.1", 0 },
		{ "0.1.2.3", 0 },
		{ "2001:db8::1", 0 },
		{ "64:ff9b::1", 0 },
		{ "10.77.0.1", UNREACHABLE4 },
		{ "172.31.0.1", UNREACHABLE4 },
		{ "172.32.0.1", 0 },
		{ "192.168.0.1", UNREACHABLE4 },
		{ "127.0.0.1", UNREACHABLE4 },
		{ "169.254.0.1", UNREACHABLE4 },
		{ "100.63.0.1", 0 },
		{ "100.128.0.1", 0 },
		{ "240.0.0.1", UNREACHABLE4 },
		{ "255.255.255.255", UNREACHABLE4 },
		{ "::1", UNREACHABLE6 },
		{ "::ffff:10.0.0.1", UNREACHABLE6 },
		{ "fd99::1", UNREACHABLE6 },
		{ "fe80::1", UNREACHABLE6 },
	};

	rig_begin();
	ck_assert(!rig_from_client(1, C1, "198.51.100.7", 6, 5000, 80));
	ck_assert_uint_eq(rig_icmp(), PROHIBITED4);
	ck_assert_int_eq(rig_grant(1, 9, NULL, NULL), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		check_internet(&cases[i]);
	rig_end();
}
END_TEST

START_TEST(a11_11_internet_is_no_proxy_address)
{
	static const struct internet_case cases[] = { { "100.96.9.9", PROHIBITED4 },
						      { "fd00:2021:1111:8000::9", PROHIBITED6 } };

	rig_begin();
	ck_assert_int_eq(rig_grant(1, 9, NULL, NULL), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		check_internet(&cases[i]);
	rig_end();
}
END_TEST

START_TEST(a10_7_internet)
{
	static const struct internet_case cases[] = { { "100.64.0.2", PROHIBITED4 },
						      { "fd00:2021:1111::2", PROHIBITED6 },
						      { P1, PROHIBITED4 },
						      { P1_6, PROHIBITED6 } };

	rig_begin();
	ck_assert_int_eq(rig_grant(2, 1, "*.corp.example", NULL), 0);
	rig_name(2, 1, "web.corp.example", P1 " " P1_6, "10.0.0.1 2001:db8::5"); /* the other client's */
	ck_assert_int_eq(rig_grant(1, 9, NULL, NULL), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		check_internet(&cases[i]);
	ck_assert(rig_from_tun("198.51.100.7", C1, 6, 80, 5000));
	ck_assert(!rig_from_tun("10.77.0.1", C1, 6, 80, 5000));
	ck_assert(!rig_from_tun("100.64.0.2", C1, 6, 80, 5000));
	ck_assert(!rig_from_tun("198.51.100.7", "100.64.0.2", 6, 80, 5000));
	/* A network of its own beside it still counts. */
	ck_assert_int_eq(rig_grant(1, 2, "10.77.0.0/16", &web), 0);
	ck_assert(rig_from_client(1, C1, "10.77.0.1", 6, 5000, 80));
	ck_assert(!rig_from_client(1, C1, "10.77.0.1", 6, 5000, 81));
	ck_assert_uint_eq(rig_icmp(), PROHIBITED4);
	ck_assert(!rig_from_client(1, C1, "10.78.0.1", 6, 5000, 80));
	ck_assert_uint_eq(rig_icmp(), UNREACHABLE4);
	rig_revoke(1, 9);
	ck_assert(!rig_from_client(1, C1, "198.51.100.7", 6, 5000, 80));
	rig_end();
}
END_TEST

START_TEST(a10_2_own_address)
{
	rig_begin();
	ck_assert(rig_from_client(1, C1, "100.64.9.9", 6, 5000, 8080));
	ck_assert(rig_from_client(1, C1_6, "fd00:2021:1111::9:9", 47, 0, 0));
	ck_assert(rig_from_tun("100.64.9.9", C1, 6, 8080, 5000));
	ck_assert(rig_from_tun("100.64.9.9", C1, 47, 0, 0));
	rig_end();
}
END_TEST

START_TEST(a10_16_spoofed_source)
{
	rig_begin();
	ck_assert_int_eq(rig_grant(1, 2, "10.20.0.0/16", NULL), 0);
	ck_assert(!rig_from_client(1, "100.64.0.2", "10.20.0.1", 6, 5000, 80));
	ck_assert(!rig_from_client(1, "10.20.0.9", "10.20.0.1", 6, 5000, 80));
	ck_assert_uint_eq(rig_icmp(), PROHIBITED4);
	ck_assert_uint_eq(rig.sent_ref, 1);
	ck_assert_uint_eq(rig_drops(DROP_SOURCE), 2);
	ck_assert(!rig_from_tun("100.64.0.2", C1, 6, 80, 5000));
	ck_assert_uint_eq(rig_drops(DROP_SOURCE), 3);
	rig_end();
}
END_TEST

START_TEST(a10_11_late_answers)
{
	rig_begin();
	ck_assert_int_eq(rig_grant(1, 1, "*.corp.example", NULL), 0);
	ck_assert_int_eq(rig_grant(1, 9, NULL, NULL), 0); /* would let it in as other traffic */
	rig_name(1, 1, "web.corp.example", P1, "198.51.100.7");
	ck_assert(rig_from_client(1, C1, P1, 17, 5000, 53));
	rig.now_us += FZ_SEC(30);
	ck_assert(rig_from_tun("198.51.100.7", C1, 17, 53, 5000));
	rig.now_us += FZ_SEC(120);
	ck_assert(!rig_from_tun("198.51.100.7", C1, 17, 53, 5000));
	endpoint_handle_timeout(rig.g->endpoint, rig.now_us);
	ck_assert(!rig_from_tun("198.51.100.7", C1, 17, 53, 5000));
	ck_assert_uint_eq(rig_drops(DROP_NAT_ENDED), 2);
	rig_end();
}
END_TEST

/* ---- ICMP errors ---- */

/* An error from @router about a packet C1 or C1_6 -> @about that the kernel has seen. */
static bool error_from_tun(const char *router, const char *client, unsigned type_code, uint32_t rest,
			   const char *about, uint16_t sport, uint16_t dport)
{
	struct fz_ip src = rig_ip(router), dst = rig_ip(client), orig = rig_ip(about);
	bool v6 = src.family == FZ_FAMILY_INET6;
	size_t l3 = v6 ? 40 : 20, n = v6 ? 16 : 4, at = v6 ? 8 : 12;
	uint8_t p[200] = { 0 };
	uint8_t *q = p + l3 + 8;
	size_t len = l3 + 8 + l3 + 8;
	struct ip_view v;

	for (int i = 0; i < 2; i++) {
		uint8_t *h = i ? q : p;
		size_t whole = i ? l3 + 8 : len;
		h[0] = v6 ? 0x60 : 0x45;
		if (v6) {
			h[5] = (uint8_t)(whole - 40);
			h[6] = i ? 17 : 58;
			h[7] = 64;
		} else {
			h[3] = (uint8_t)whole;
			h[8] = 64;
			h[9] = i ? 17 : 1;
		}
		memcpy(h + at, i ? dst.b : src.b, n);
		memcpy(h + at + n, i ? orig.b : dst.b, n);
	}
	p[l3] = (uint8_t)(type_code >> 8);
	p[l3 + 1] = (uint8_t)type_code;
	p[l3 + 6] = (uint8_t)(rest >> 8);
	p[l3 + 7] = (uint8_t)rest;
	q[l3] = (uint8_t)(sport >> 8);
	q[l3 + 1] = (uint8_t)sport;
	q[l3 + 2] = (uint8_t)(dport >> 8);
	q[l3 + 3] = (uint8_t)dport;
	q[l3 + 5] = 8;
	ck_assert_int_eq(ip_parse_plain(p, len, &v), IP_OK);
	if (!v6)
		csum_ip4(p, 20);
	csum_l4(p, &v);
	return rig_tun_bytes(p, len);
}

static void expect_error(const char *from, const char *about, uint16_t sport)
{
	struct ip_view v = rig_view();
	struct icmp_quote q;
	char text[FZ_IP_STRLEN];

	ck_assert_int_eq(icmp_parse_error(rig.packet, &v, &q), 0);
	ck_assert_str_eq(fz_ip_format(&v.src, text), from);
	ck_assert_str_eq(fz_ip_format(&q.orig.dst, text), about);
	ck_assert_uint_eq(q.orig.sport, sport);
}

/* Errors about a flow to a name quote its proxy address; the gateway itself shows as the first hop, and path
 * MTU discovery works. */
START_TEST(a11_9_errors)
{
	rig_begin();
	ck_assert_int_eq(rig_grant(1, 1, "*.corp.example", NULL), 0);
	ck_assert_int_eq(rig_grant(1, 2, "10.20.0.0/16", &web), 0);
	rig_name(1, 1, "web.corp.example", P1 " 100.96.0.2 " P1_6, "10.20.0.10 fd20::10");
	ck_assert(rig_from_client(1, C1, P1, 17, 40000, 7000));
	ck_assert(rig_from_client(1, C1, "100.96.0.2", 17, 40000, 7000)); /* as 40001 */
	ck_assert(rig_from_client(1, C1_6, P1_6, 17, 40000, 7000));
	/* The host, a router on the way, the gateway's kernel before and after masquerading. */
	ck_assert(error_from_tun("10.20.0.10", C1, 0x303, 0, "10.20.0.10", 40001, 7000));
	expect_error("100.96.0.2", "100.96.0.2", 40000);
	ck_assert(error_from_tun("192.0.2.1", C1, 0xb00, 0, "10.20.0.10", 40000, 7000));
	expect_error(P1, P1, 40000);
	ck_assert(error_from_tun("100.64.9.9", C1, 0xb00, 0, "10.20.0.10", 40000, 7000));
	expect_error("100.64.9.9", P1, 40000);
	ck_assert(error_from_tun("100.64.9.9", C1, 0x304, 1000, "10.20.0.10", 40001, 7000));
	expect_error("100.64.9.9", "100.96.0.2", 40000);
	ck_assert_uint_eq(rig.packet[27], 1000 & 255);
	ck_assert(error_from_tun("10.20.0.1", C1, 0x301, 0, "10.20.0.10", 40000, 7000));
	expect_error(P1, P1, 40000);
	ck_assert(error_from_tun("fd20::10", C1_6, 0x104, 0, "fd20::10", 40000, 7000));
	expect_error(P1_6, P1_6, 40000);
	ck_assert(error_from_tun("fd00:2021:1111::9:9", C1_6, 0x200, 1280, "fd20::10", 40000, 7000));
	expect_error("fd00:2021:1111::9:9", P1_6, 40000);
	/* About other traffic: as it is, when the client may have sent that. */
	ck_assert(!error_from_tun("192.0.2.1", C1, 0x303, 0, "10.20.0.99", 40000, 80));
	ck_assert(error_from_tun("100.64.9.9", C1, 0xb00, 0, "10.99.0.1", 1, 1));
	expect_error("100.64.9.9", "10.99.0.1", 1);
	rig_end();
}
END_TEST

/* 11.3: unreachable messages pass whatever the filter says of ICMP, other kinds do not. */
START_TEST(a11_3_errors_pass_filters)
{
	static const struct portal_filter udp = { PORTAL_PROTO_UDP, 0, 65535 };

	rig_begin();
	ck_assert_int_eq(rig_grant(1, 2, "10.20.0.0/16", &udp), 0);
	ck_assert(error_from_tun("10.20.0.10", C1, 0x303, 0, "10.20.0.10", 1, 53));
	ck_assert(error_from_tun("192.0.2.9", C1, 0x301, 0, "10.20.0.10", 1, 53));
	/* Not about the client's packet, or about one that it may not send. */
	ck_assert(!error_from_tun("10.20.0.10", C1, 0x303, 0, "10.30.0.10", 1, 53));
	ck_assert(!error_from_tun("192.0.2.9", C1, 0x500, 0, "10.20.0.10", 1, 53)); /* a redirect */
	ck_assert(!rig_from_tun("10.20.0.10", C1, 1, 1, 1));
	ck_assert_int_eq(rig_grant(1, 3, "fd00:1::/64", &udp), 0);
	ck_assert(error_from_tun("fd00:1::9", C1_6, 0x104, 0, "fd00:1::9", 1, 53));
	ck_assert(!rig_from_tun("fd00:1::9", C1_6, 1, 1, 1));
	rig_end();
}
END_TEST

/* 10.15: a client's own errors go nowhere, and are not answered. */
START_TEST(a10_15_errors_of_clients)
{
	uint8_t p[100];
	size_t len = unit_hex(p, sizeof(p),
			      "450000380000000014010000 64400001 64600001 03030000 00000000"
			      "4500001e0000000040110c8e 64600001 64400001 01bb9c40000a8b32");

	rig_begin();
	ck_assert_int_eq(rig_grant(1, 1, "*.corp.example", NULL), 0);
	rig_name(1, 1, "web.corp.example", P1, "10.20.0.10");
	ck_assert(!rig_client_bytes(1, p, len));
	ck_assert_uint_eq(rig.sent, 0);
	ck_assert_uint_eq(rig_drops(DROP_PROTOCOL), 1);
	rig_end();
}
END_TEST

/* So many errors at once, then so many a second; each client for itself. */
START_TEST(errors_are_rationed)
{
	rig_begin();
	for (unsigned i = 0; i < 1000; i++)
		ck_assert(!rig_from_client(1, C1, "10.0.0.1", 6, 1, 1));
	ck_assert_uint_eq(rig.sent, ERRORS_BURST);
	ck_assert_uint_eq(rig_drops(DROP_ERROR_RATE), 1000 - ERRORS_BURST);
	ck_assert(!rig_from_client(2, "100.64.0.2", "10.0.0.1", 6, 1, 1));
	ck_assert_uint_eq(rig.sent, ERRORS_BURST + 1);
	rig.sent = 0;
	for (unsigned ms = 0; ms < 3000; ms++) {
		rig.now_us += 1000;
		(void)rig_from_client(1, C1, "10.0.0.1", 6, 1, 1);
	}
	ck_assert_uint_ge(rig.sent, 3 * ERRORS_PER_S - 1);
	ck_assert_uint_le(rig.sent, 3 * ERRORS_PER_S + 1);
	rig.now_us += FZ_SEC(3600);
	rig.sent = 0;
	for (unsigned i = 0; i < 1000; i++)
		(void)rig_from_client(1, C1, "10.0.0.1", 6, 1, 1);
	ck_assert_uint_eq(rig.sent, ERRORS_BURST);
	rig_end();
}
END_TEST

/* ---- announcements ---- */

START_TEST(a6_55_refused)
{
	static const struct {
		const char *why, *domain, *ips;
		unsigned resource;
	} cases[] = {
		{ "not granted", "web.corp.example", P1, 7 },
		{ "a network", "web.corp.example", P1, 2 },
		{ "another name", "web.other.example", P1, 1 },
		{ "no name", "a..b", P1, 1 },
		{ "an address of ours to choose", "web.corp.example", "10.0.0.1", 1 },
		{ "one of several", "web.corp.example", P1 " 100.64.0.2", 1 },
		{ "of IPv6", "web.corp.example", "fd00:2021:1111::2", 1 },
	};
	uint64_t id;

	rig_begin();
	ck_assert_int_eq(rig_grant(1, 1, "*.corp.example", NULL), 0);
	ck_assert_int_eq(rig_grant(1, 2, "10.20.0.0/16", NULL), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		rig_announce(1, cases[i].resource, cases[i].domain, cases[i].ips);
		ck_assert_msg(rig.controls == i + 1, "%s", cases[i].why);
		ck_assert_msg(!rig.status.active, "%s", cases[i].why);
		ck_assert_str_eq(rig.status.domain, cases[i].domain);
		ck_assert_uint_eq(rig.status.resource.b[15], cases[i].resource);
	}
	ck_assert_ptr_null(rig_next_name(&id));
	ck_assert(!rig_from_client(1, C1, P1, 6, 5000, 80));
	rig_end();
}
END_TEST

/* What the name is when the answer comes counts, not what it was. */
START_TEST(changes_meanwhile)
{
	uint64_t id;

	rig_begin();
	ck_assert_int_eq(rig_grant(1, 1, "*.corp.example", NULL), 0);
	ck_assert_int_eq(rig_grant(1, 2, "10.0.0.0/8", NULL), 0);
	rig_announce(1, 1, "web.corp.example", P1);
	rig_revoke(1, 1);
	ck_assert_ptr_nonnull(rig_next_name(&id));
	rig_resolve(id, 0, "10.20.0.10");
	ck_assert(!rig.status.active);
	/* The client goes: nobody is left to be told. */
	ck_assert_int_eq(rig_grant(1, 1, "*.corp.example", NULL), 0);
	rig_announce(1, 1, "web.corp.example", P1);
	ck_assert_ptr_nonnull(rig_next_name(&id));
	peer_free(rig.g, rig_peer(1));
	rig_resolve(id, 0, "10.20.0.10");
	rig_resolve(id, 0, "10.20.0.10");
	ck_assert_uint_eq(rig.controls, 1);
	rig_end();
}
END_TEST

START_TEST(a6_52_repeated)
{
	uint64_t first, id;

	rig_begin();
	ck_assert_int_eq(rig_grant(1, 1, "*.corp.example", NULL), 0);
	rig_announce(1, 1, "web.corp.example", P1);
	rig_announce(1, 1, "web.corp.example", "100.96.0.2");
	ck_assert_ptr_nonnull(rig_next_name(&first));
	ck_assert_ptr_null(rig_next_name(&id));
	rig_resolve(first, 0, "10.20.0.10");
	ck_assert_uint_eq(rig.controls, 1);
	ck_assert(!rig_from_client(1, C1, P1, 6, 5000, 80));
	ck_assert(rig_from_client(1, C1, "100.96.0.2", 6, 5000, 80)); /* the last word counts */
	rig_end();
}
END_TEST

/* Silence: after 10 s, and then a late answer is of no use. */
START_TEST(silent_resolver)
{
	uint64_t id;

	rig_begin();
	ck_assert_int_eq(rig_grant(1, 1, "*.corp.example", NULL), 0);
	rig_announce(1, 1, "web.corp.example", P1);
	ck_assert_ptr_nonnull(rig_next_name(&id));
	ck_assert_uint_eq(names_next(rig.g), rig.now_us + FZ_SEC(10));
	rig.now_us += FZ_SEC(10) - 1;
	names_timeout(rig.g, rig.now_us);
	ck_assert_uint_eq(rig.controls, 0);
	rig.now_us++;
	names_timeout(rig.g, rig.now_us);
	ck_assert_uint_eq(rig.controls, 1);
	ck_assert(!rig.status.active);
	rig_resolve(id, 0, "10.20.0.10");
	ck_assert_uint_eq(rig.controls, 1);
	ck_assert(names_next(rig.g) == FZ_NEVER_US);
	/* The resolver gives up by itself. */
	rig_announce(1, 1, "web.corp.example", P1);
	ck_assert_ptr_nonnull(rig_next_name(&id));
	rig_resolve(id, FZ_ERR_TIMEOUT, "");
	ck_assert(!rig.status.active);
	/* One that refuses: there is the name, nothing is known behind it. */
	rig_announce(1, 1, "web.corp.example", P1);
	ck_assert_ptr_nonnull(rig_next_name(&id));
	rig_resolve(id, FZ_ERR_IO, "");
	ck_assert(rig.status.active);
	ck_assert(!rig_from_client(1, C1, P1, 6, 5000, 80));
	ck_assert_uint_eq(rig_icmp(), UNREACHABLE4);
	rig_end();
}
END_TEST

/* A name of an account may not lead to its clients, or to nowhere. */
START_TEST(addresses_that_are_left_out)
{
	rig_begin();
	ck_assert_int_eq(rig_grant(1, 1, "**", NULL), 0);
	rig_name(1, 1, "evil.example", P1 " " P1_6,
		 "100.64.0.2 100.96.0.5 224.0.0.1 0.0.0.0 fd00:2021:1111::2 ff02::1 ::");
	ck_assert(!rig_from_client(1, C1, P1, 6, 5000, 80));
	ck_assert_uint_eq(rig_icmp(), UNREACHABLE4);
	ck_assert(!rig_from_client(1, C1_6, P1_6, 6, 5000, 80));
	ck_assert_uint_eq(rig_icmp(), UNREACHABLE6);
	/* Private and local ones are what names of a site have. */
	rig_name(1, 1, "evil.example", P1 " " P1_6, "127.0.0.1 169.254.0.1 fe80::1");
	ck_assert(rig_from_client(1, C1, P1, 6, 5000, 80));
	rig_end();
}
END_TEST

START_TEST(lookups_are_limited)
{
	char name[64];
	uint64_t id;
	unsigned n = 0;

	rig_begin();
	ck_assert_int_eq(rig_grant(1, 1, "**.example", NULL), 0);
	ck_assert_int_eq(rig_grant(2, 1, "**.example", NULL), 0);
	for (unsigned i = 0; i < LOOKUPS_EACH + 50; i++) {
		snprintf(name, sizeof(name), "n%u.example", i);
		rig_announce(1, 1, name, P1);
	}
	ck_assert_uint_eq(rig_drops(DROP_ASK), 50);
	rig_announce(2, 1, "other.example", P1); /* has its own share */
	while (rig_next_name(&id) != NULL)
		n++;
	ck_assert_uint_eq(n, LOOKUPS_EACH + 1);
	ck_assert_uint_eq(rig.controls, 0);
	rig_end();
}
END_TEST

/* The longest announcement that there is. */
START_TEST(a6_57_longest)
{
	char name[300] = "";

	for (int i = 0; i < 5; i++)
		strcat(name, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.");
	strcat(name, "com");
	rig_begin();
	ck_assert_int_eq(rig_grant(1, 1, "**.com", NULL), 0);
	rig_name(1, 1, name,
		 P1 " 100.96.0.2 100.96.0.3 100.96.0.4 " P1_6 " fd00:2021:1111:8000::2 "
		    "fd00:2021:1111:8000::3 fd00:2021:1111:8000::4",
		 "10.0.0.1 fd20::1");
	ck_assert(rig_from_client(1, C1_6, "fd00:2021:1111:8000::4", 6, 1, 1));
	rig_end();
}
END_TEST

START_TEST(nonsense)
{
	static const char *const payloads[] = { "", "{}", "[]", "{\"resource\":1}", "{\"resource\":\"x\"" };

	rig_begin();
	ck_assert_int_eq(rig_grant(1, 1, "*.corp.example", NULL), 0);
	for (size_t i = 0; i < sizeof(payloads) / sizeof(payloads[0]); i++)
		names_control(rig.g, 1, P2P_ASSIGNED_IPS, (const uint8_t *)payloads[i], strlen(payloads[i]),
			      rig.now_us);
	ck_assert_uint_eq(rig_drops(DROP_MALFORMED), 5);
	names_control(rig.g, 1, P2P_DOMAIN_STATUS, (const uint8_t *)"{}", 2, rig.now_us);
	names_control(rig.g, 1, 77, NULL, 0, rig.now_us);
	names_control(rig.g, 99, P2P_ASSIGNED_IPS, (const uint8_t *)"{}", 2, rig.now_us);
	ck_assert_uint_eq(rig.controls, 0);
	rig_end();
}
END_TEST

START_TEST(failing_allocations)
{
	bool ok = false;
	uint64_t id;

	for (long n = 1; !ok; n++) {
		if (rig_try(n) && rig_grant(1, 1, "*.corp.example", NULL) == 0) {
			rig_announce(1, 1, "web.corp.example", P1 " " P1_6);
			if (rig_next_name(&id)) {
				rig_resolve(id, 0, "10.20.0.10 fd20::10");
				ok = rig_from_client(1, C1, P1, 6, 5000, 80) &&
				     rig_from_tun("10.20.0.10", C1, 6, 80, 5000);
			}
		}
		rig_end();
	}
}
END_TEST

#ifdef HAVE_FLOW_LOGS
/* A client with a new key is granted something: the end of its former connection, which is told after that,
 * must not make its flows unknown. The end of the last one does. */
START_TEST(flows_of_a_client_that_came_back)
{
	static const struct flow_token token = { 0 };
	struct portal_relay relay = { .id = { { 1 } },
				      .ipv4 = { .ip = rig_ip("203.0.113.1"), .port = 3478 },
				      .username = "u",
				      .password = "p" };
	struct conn_params params = { .local_ufrag = "aaaa",
				      .local_pwd = "bbbbbbbbbbbbbbbbbbbbbb",
				      .remote_ufrag = "cccc",
				      .remote_pwd = "dddddddddddddddddddddd",
				      .profile = PATH_SERVER_DEFAULT,
				      .idle_profile = PATH_SERVER_IDLE };
	struct portal_event init = { .type = PORTAL_EVENT_INIT, .u.init.flow_logs.api_url = "" };
	struct portal_event ev = { .type = PORTAL_EVENT_CREATE_AUTHZ };
	struct flows *flows;
	struct fz_event unused;
	uint32_t ref;

	rig_begin();
	flows = rig.g->flows;
	flows->local = true;
	flows_handle_message(flows, &init, rig.now_us, 0);
	node_update_relays(endpoint_node(rig.g->endpoint), NULL, 0, &relay, 1, rig.now_us);
	params.id = ev.u.create_authz.client_id = rig_peer(1)->id;
	ev.u.create_authz.flow_token = flow_token(&token);
	for (uint8_t key = 1; key <= 2; key++) {
		params.peer_key.b[0] = (uint8_t)(8 + key); /* a point of the curve */
		flows_handle_message(flows, &ev, rig.now_us, 0);
		ck_assert_int_eq(node_upsert(endpoint_node(rig.g->endpoint), &params, rig.now_us, &ref), 0);
		endpoint_system_dns(rig.g->endpoint, NULL, 0, rig.now_us); /* begins a turn */
		while (endpoint_poll_event(rig.g->endpoint, &unused))
			;
		ck_assert(flow_tracker_uses(flows->active, FLOW_TOKEN_ID));
	}
	node_close(endpoint_node(rig.g->endpoint), ref, false, "test", rig.now_us);
	endpoint_system_dns(rig.g->endpoint, NULL, 0, rig.now_us); /* begins a turn */
	while (endpoint_poll_event(rig.g->endpoint, &unused))
		;
	ck_assert(!flow_tracker_uses(flows->active, FLOW_TOKEN_ID));
	rig_end();
}
END_TEST
#endif

Suite *unit_suite(void)
{
	Suite *s = suite_create("gateway_names");

	unit_case(s, "packets", a11_9_translation, a10_3_three_names_of_one_server,
		  a10_14_family_without_address, a10_12_resolved_again, a10_13_numbered_anew,
		  a10_4_never_mixed, a11_10_internet_is_not_private, a11_11_internet_is_no_proxy_address,
		  a10_7_internet, a10_2_own_address, a10_16_spoofed_source, a10_11_late_answers);
	unit_case(s, "icmp", a11_9_errors, a11_3_errors_pass_filters, a10_15_errors_of_clients,
		  errors_are_rationed);
	unit_case(s, "announcements", a6_55_refused, changes_meanwhile, a6_52_repeated, silent_resolver,
		  addresses_that_are_left_out, lookups_are_limited, a6_57_longest, nonsense);
	unit_case(s, "memory", failing_allocations);
#ifdef HAVE_FLOW_LOGS
	unit_case(s, "flows", flows_of_a_client_that_came_back);
#endif
	return s;
}
