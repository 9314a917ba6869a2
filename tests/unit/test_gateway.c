/* SPDX-License-Identifier: Apache-2.0 */
/* The gateway through its public interface, with clients, relays and a portal. Numbers are those of the
 * acceptance list. */
#include "stage.h"

#include <stdio.h>

#define PROHIBITED4 (3u << 8 | 13)
#define PROHIBITED6 (1u << 8 | 1)

static const struct stage_opts usual = { 0 }, two_clients = { .n_clients = 2 };
static struct stage s;

static void set_own_address(unsigned client)
{
	char text[200];

	snprintf(text, sizeof(text),
		 "{\"interface\":{\"ipv4\":\"100.64.0.%u\",\"ipv6\":\"fd00:2021:1111::0:%u\"}}", client,
		 client);
	stub_say(s.lines.stub, false, "config_changed", text);
	stage_pass(&s, FZ_MS(10));
}

static const struct stage_packet *last(void)
{
	return &s.got[s.n - 1];
}

START_TEST(a9_2_last_resource_revoked)
{
	stage_begin(&s, &two_clients);
	ck_assert(stage_reaches(&s, "10.20.0.1", FZ_MS(200)));
	ck_assert(stage_reaches(&s, "10.30.0.1", FZ_MS(200)));
	stage_send(&s, s.clients[1], "100.64.0.2", "10.20.0.1", 1, 0, 1);
	ck_assert(stage_wait(&s, s.n + 1, FZ_MS(200)));
	stub_set_refusal(s.lines.stub, "forbidden");
	stub_revoke(s.lines.stub, 1, 1);
	stage_pass(&s, FZ_MS(20));
	ck_assert_uint_eq(s.gateway->stats.revoked, 1);
	ck_assert_uint_eq(s.gateway->stats.peer_down, 0);
	/* The other grant stands, and the other client's. */
	ck_assert(!stage_reaches(&s, "10.20.0.1", FZ_MS(50)));
	ck_assert_uint_eq(stage_icmp(last()), PROHIBITED4);
	ck_assert(stage_reaches(&s, "10.30.0.1", FZ_MS(50)));
	stub_revoke(s.lines.stub, 1, 3);
	stage_pass(&s, FZ_MS(20));
	ck_assert_uint_eq(s.gateway->stats.peer_down, 1);
	ck_assert_uint_eq(s.clients[0]->stats.peer_down, 1); /* goodbye */
	ck_assert_uint_eq(s.clients[1]->stats.peer_down, 0);
	stub_set_refusal(s.lines.stub, NULL);
	stage_pass(&s, FZ_SEC(2));
	ck_assert(stage_reaches(&s, "10.20.0.1", FZ_MS(200))); /* asked anew */
	stage_end(&s);
}
END_TEST

START_TEST(a9_3_each_expires_alone)
{
	uint64_t now_s;

	stage_begin(&s, &usual);
	now_s = lines_unix_s(&s.lines);
	stub_set_expiry(s.lines.stub, now_s + 10);
	ck_assert(stage_reaches(&s, "10.20.0.1", FZ_MS(200)));
	stub_set_expiry(s.lines.stub, now_s + 20);
	ck_assert(stage_reaches(&s, "10.30.0.1", FZ_MS(200)));
	stub_set_refusal(s.lines.stub, "forbidden");
	while (lines_unix_s(&s.lines) < now_s + 9)
		stage_pass(&s, FZ_MS(10));
	ck_assert(stage_reaches(&s, "10.20.0.1", FZ_MS(50)));
	while (lines_unix_s(&s.lines) < now_s + 10)
		stage_pass(&s, FZ_MS(1));
	stage_pass(&s, FZ_MS(1));
	ck_assert_uint_eq(s.gateway->stats.revoked, 1);
	ck_assert(!stage_reaches(&s, "10.20.0.1", FZ_MS(50)));
	ck_assert_uint_eq(stage_icmp(last()), PROHIBITED4);
	ck_assert(stage_reaches(&s, "10.30.0.1", FZ_MS(50)));
	while (lines_unix_s(&s.lines) < now_s + 20)
		stage_pass(&s, FZ_MS(1));
	stage_pass(&s, FZ_MS(20));
	ck_assert_uint_eq(s.gateway->stats.revoked, 2);
	ck_assert_uint_eq(device_counter(s.gateway, "peers"), 0);
	ck_assert_uint_eq(s.clients[0]->stats.peer_down, 1);
	stage_end(&s);
}
END_TEST

/* Added again with an end that is past. 9.12 too: what is past has expired. */
START_TEST(a9_4_past_expiry)
{
	stage_begin(&s, &usual);
	ck_assert(stage_reaches(&s, "10.30.0.1", FZ_MS(200)));
	stub_set_expiry(s.lines.stub, lines_unix_s(&s.lines) - 100);
	ck_assert(!stage_reaches(&s, "10.20.0.1", FZ_MS(200)));
	ck_assert_uint_eq(s.gateway->stats.granted, 3); /* the refusal made the client ask once more */
	ck_assert_uint_eq(s.gateway->stats.revoked, 2);
	ck_assert(stage_reaches(&s, "10.30.0.1", FZ_MS(50)));
	stage_end(&s);
}
END_TEST

/* 9.12: the wall clock may be set while a grant lasts; back does not prolong it, forward is sleep. */
START_TEST(a9_12_wall_clock_steps)
{
	stage_begin(&s, &usual);
	stub_set_expiry(s.lines.stub, lines_unix_s(&s.lines) + 30);
	ck_assert(stage_reaches(&s, "10.20.0.1", FZ_MS(200)));
	s.lines.wall_us -= (int64_t)FZ_SEC(3600);
	stage_pass(&s, FZ_SEC(29));
	ck_assert(stage_reaches(&s, "10.20.0.1", FZ_MS(50)));
	stage_pass(&s, FZ_SEC(2));
	ck_assert_uint_eq(s.gateway->stats.revoked, 1);
	stub_set_expiry(s.lines.stub, lines_unix_s(&s.lines) + 7300);
	ck_assert(stage_reaches(&s, "10.20.0.1", FZ_MS(200)));
	s.lines.wall_us += (int64_t)FZ_SEC(2 * 3600 + 3600);
	stage_pass(&s, FZ_SEC(101));
	ck_assert_uint_eq(s.gateway->stats.revoked, 2);
	stage_end(&s);
}
END_TEST

/* After an outage the list of the portal counts: it ends grants, and never makes one. */
START_TEST(reconciliation)
{
	stage_begin(&s, &two_clients);
	ck_assert(stage_reaches(&s, "10.20.0.1", FZ_MS(200)));
	ck_assert(stage_reaches(&s, "10.30.0.1", FZ_MS(200)));
	stage_send(&s, s.clients[1], "100.64.0.2", "10.20.0.1", 1, 0, 1);
	ck_assert(stage_wait(&s, s.n + 1, FZ_MS(200)));
	stub_set_down(s.lines.stub, true);
	stub_revoke(s.lines.stub, 1, 1);
	stub_revoke(s.lines.stub, 2, 1);
	stub_set_down(s.lines.stub, false);
	while (s.gateway->stats.portal_up < 2)
		stage_pass(&s, FZ_MS(10));
	stage_pass(&s, FZ_MS(20));
	ck_assert_uint_eq(s.gateway->stats.revoked, 2);
	ck_assert_uint_eq(s.gateway->stats.peer_down, 1);
	ck_assert(!stage_reaches(&s, "10.20.0.1", FZ_MS(50)));
	ck_assert(stage_reaches(&s, "10.30.0.1", FZ_MS(50)));
	/* A gateway that was started anew has nothing, whatever the list says. */
	device_restart(s.gateway);
	stage_pass(&s, FZ_SEC(1));
	ck_assert_uint_eq(device_counter(s.gateway, "peers"), 0);
	stage_end(&s);
}
END_TEST

/* Revoked while the gateway is cut off: it learns of it when it is back, the client by its refusal, and then
 * from the portal. */
START_TEST(a9_13_revoked_while_cut_off)
{
	stage_begin(&s, &usual);
	ck_assert(stage_reaches(&s, "10.20.0.1", FZ_MS(200)));
	ck_assert(stage_reaches(&s, "10.30.0.1", FZ_MS(200)));
	stub_set_down(s.lines.stub, true);
	stub_revoke(s.lines.stub, 1, 1);
	stub_set_refusal(s.lines.stub, "forbidden");
	ck_assert(stage_reaches(&s, "10.20.0.1", FZ_MS(50))); /* it does not know */
	stub_set_down(s.lines.stub, false);
	while (s.gateway->stats.portal_up < 2 || s.clients[0]->stats.portal_up < 2)
		stage_pass(&s, FZ_MS(10));
	stage_pass(&s, FZ_MS(20));
	ck_assert_uint_eq(s.clients[0]->stats.refused, 0);
	ck_assert(!stage_reaches(&s, "10.20.0.1", FZ_MS(50)));
	ck_assert_uint_eq(stage_icmp(last()), PROHIBITED4);
	stage_pass(&s, FZ_MS(50));
	ck_assert_uint_eq(s.clients[0]->stats.refused, 1);
	ck_assert_str_eq(s.clients[0]->stats.last_reason, "forbidden");
	ck_assert(stage_reaches(&s, "10.30.0.1", FZ_MS(50)));
	stage_end(&s);
}
END_TEST

/* A removed resource is closed both ways, for this client alone. */
START_TEST(a10_6_removed_resource)
{
	unsigned before;

	stage_begin(&s, &two_clients);
	ck_assert(stage_reaches(&s, "10.20.0.1", FZ_MS(200)));
	ck_assert(stage_reaches(&s, "10.30.0.1", FZ_MS(200)));
	stage_send(&s, s.clients[1], "100.64.0.2", "10.20.0.1", 1, 0, 1);
	ck_assert(stage_wait(&s, s.n + 1, FZ_MS(200)));
	stub_set_refusal(s.lines.stub, "forbidden");
	stub_revoke(s.lines.stub, 1, 1);
	stage_pass(&s, FZ_MS(20));
	before = s.at_resource;
	ck_assert(!stage_reaches(&s, "10.20.0.1", FZ_MS(50)));
	ck_assert_uint_eq(stage_icmp(last()), PROHIBITED4);
	ck_assert_uint_eq(s.at_resource, before);
	uint64_t refused = device_counter(s.gateway, "refused by filter");
	unsigned n = s.n;
	stage_send(&s, s.gateway, "10.20.0.1", "100.64.0.1", 17, 9, 1);
	stage_pass(&s, FZ_MS(50));
	ck_assert_uint_eq(s.n, n);
	ck_assert_uint_eq(device_counter(s.gateway, "refused by filter"), refused + 1);
	stage_send(&s, s.clients[1], "100.64.0.2", "10.20.0.1", 1, 0, 2);
	ck_assert(stage_wait(&s, n + 1, FZ_MS(200)));
	stage_end(&s);
}
END_TEST

START_TEST(filters_updated)
{
	stage_begin(&s, &usual);
	stage_send(&s, s.clients[0], "fd00:2021:1111::1", "fd00:1::80", 6, 80, 1);
	ck_assert(stage_wait(&s, 1, FZ_MS(200)));
	/* Only the gateway knows: it refuses what the client would send. */
	stub_set_refusal(s.lines.stub, "forbidden");
	stub_say(s.lines.stub, true, "resource_updated",
		 "{\"id\":\"50000000-0000-4000-8000-000000000002\",\"type\":\"cidr\",\"name\":\"x\","
		 "\"address\":"
		 "\"fd00:1::/64\",\"filters\":[{\"protocol\":\"udp\"}]}");
	stage_pass(&s, FZ_MS(10));
	stage_send(&s, s.clients[0], "fd00:2021:1111::1", "fd00:1::80", 6, 80, 2);
	ck_assert(stage_wait(&s, 2, FZ_MS(50)));
	ck_assert_uint_eq(stage_icmp(last()), PROHIBITED6);
	/* What is not valid changes nothing. */
	stub_say(s.lines.stub, true, "resource_updated",
		 "{\"id\":\"50000000-0000-4000-8000-000000000002\",\"type\":\"cidr\",\"name\":\"x\","
		 "\"address\":"
		 "\"fd00:1::/"
		 "64\",\"filters\":[{\"protocol\":\"tcp\",\"port_range_start\":9,\"port_range_end\":8}]}");
	stage_pass(&s, FZ_MS(10));
	stage_send(&s, s.clients[0], "fd00:2021:1111::1", "fd00:1::80", 6, 80, 3);
	ck_assert(stage_wait(&s, 3, FZ_MS(50)));
	ck_assert_uint_eq(stage_icmp(last()), PROHIBITED6);
	stage_end(&s);
}
END_TEST

/* A source address that is not the client's is refused, whatever the client thinks. */
START_TEST(spoofed_source)
{
	unsigned before;

	stage_begin(&s, &usual);
	ck_assert(stage_reaches(&s, "10.20.0.1", FZ_MS(200)));
	set_own_address(77);
	before = s.at_resource;
	stage_send(&s, s.clients[0], "100.64.0.77", "10.20.0.1", 1, 0, 9);
	ck_assert(stage_wait(&s, 2, FZ_MS(50)));
	ck_assert_uint_eq(stage_icmp(last()), PROHIBITED4);
	ck_assert_uint_eq(s.at_resource, before);
	ck_assert_uint_eq(device_counter(s.gateway, "source address"), 1);
	stage_end(&s);
}
END_TEST

/* The way back: only to clients, only from what they were granted, nothing without ports. */
START_TEST(outbound)
{
	static const struct {
		const char *from, *to, *counter;
		int proto;
	} cases[] = {
		{ "10.20.0.1", "192.0.2.1", "no such destination", 17 },
		{ "10.20.0.1", "100.64.0.9", "unknown peer", 17 },
		{ "10.99.0.1", "100.64.0.1", "refused by filter", 17 },
		{ "100.64.0.2", "100.64.0.1", "source address", 17 },
		{ "10.20.0.1", "100.64.0.1", NULL, 17 },
		{ "100.64.1.1", "100.64.0.1", NULL, 17 },
	};
	struct mk gre = { .proto = 47, .payload = 20 };
	uint8_t p[200];

	stage_begin(&s, &usual);
	ck_assert(stage_reaches(&s, "10.20.0.1", FZ_MS(200)));
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t before = cases[i].counter ? device_counter(s.gateway, cases[i].counter) : 0;
		unsigned n = s.n;
		stage_send(&s, s.gateway, cases[i].from, cases[i].to, cases[i].proto, 9, 1);
		stage_pass(&s, FZ_MS(50));
		ck_assert_msg(s.n == n + (cases[i].counter == NULL), "case %zu", i);
		if (cases[i].counter)
			ck_assert_msg(device_counter(s.gateway, cases[i].counter) == before + 1, "case %zu",
				      i);
	}
	size_t len = mk_packet(p, &gre);
	memcpy(p + 12, (const uint8_t[]){ 10, 20, 0, 1, 100, 64, 0, 1 }, 8);
	mk_be16(p + 10, 0);
	mk_be16(p + 10, (uint16_t)~mk_sum(p, 20, 0));
	device_tun(s.gateway, p, len);
	ck_assert_uint_eq(device_counter(s.gateway, "protocol"), 1);
	stage_end(&s);
}
END_TEST

/* Clients can not reach each other through the gateway. */
START_TEST(hairpin)
{
	stage_begin(&s, &two_clients);
	ck_assert(stage_reaches(&s, "10.20.0.1", FZ_MS(200)));
	stage_send(&s, s.clients[1], "100.64.0.2", "10.20.0.1", 1, 0, 1);
	ck_assert(stage_wait(&s, 2, FZ_MS(200)));
	/* The client's own rules stop it already; widen them. */
	stub_say(s.lines.stub, false, "resource_created_or_updated",
		 "{\"id\":\"50000000-0000-4000-8000-000000000005\",\"type\":\"cidr\",\"name\":\"x\","
		 "\"address\":"
		 "\"100.64.0.0/24\",\"filters\":[],\"sites\":[]}");
	stub_set_resource(s.lines.stub, 5, "100.64.0.0/24", "[]");
	stage_pass(&s, FZ_MS(10));
	stage_send(&s, s.clients[0], "100.64.0.1", "100.64.0.2", 1, 0, 7);
	stage_pass(&s, FZ_MS(200));
	ck_assert_uint_eq(device_counter(s.gateway, "no such destination"), 1);
	/* It says so from the other client's address, which a client does not take from a gateway. */
	ck_assert_uint_eq(device_counter(s.clients[0], "source address"), 1);
	ck_assert_uint_eq(s.n, 2);
	stage_end(&s);
}
END_TEST

/* A client with a new tunnel address starts from nothing; one with a new key keeps its grants. */
START_TEST(a10_17_client_comes_again)
{
	stage_begin(&s, &usual);
	ck_assert(stage_reaches(&s, "10.20.0.1", FZ_MS(200)));
	device_restart(s.clients[0]);
	stage_pass(&s, FZ_SEC(1));
	ck_assert(stage_reaches(&s, "10.20.0.1", FZ_MS(200)));
	ck_assert_uint_eq(device_counter(s.gateway, "peers"), 1);
	ck_assert_uint_eq(s.gateway->stats.peer_down, 1);
	ck_assert_str_eq(s.gateway->stats.last_reason, "replaced by a new connection");
	ck_assert_uint_eq(s.gateway->stats.revoked, 0);
	stage_end(&s);
}
END_TEST

/* A client that vanishes: its connection ends, its grants stay until they expire, and it may come back. */
START_TEST(client_vanishes)
{
	stage_begin(&s, &usual);
	ck_assert(stage_reaches(&s, "10.20.0.1", FZ_MS(200)));
	sim_set_up(s.net, s.clients[0]->host, false);
	stage_pass(&s, FZ_SEC(1000));
	ck_assert_uint_eq(device_counter(s.gateway, "peers"), 0);
	ck_assert_uint_eq(s.gateway->stats.revoked, 0);
	stage_send(&s, s.gateway, "10.20.0.1", "100.64.0.1", 17, 9, 1);
	ck_assert_uint_eq(device_counter(s.gateway, "not connected"), 1);
	sim_set_up(s.net, s.clients[0]->host, true);
	uint64_t start_us = sim_now(s.net);
	while (!stage_reaches(&s, "10.20.0.1", FZ_MS(500)))
		ck_assert_uint_lt(sim_now(s.net) - start_us, FZ_SEC(20));
	stage_end(&s);
}
END_TEST

/* Packets of every size that is allowed, both ways. */
START_TEST(sizes)
{
	uint8_t p[1400];
	unsigned n = 0;

	stage_begin(&s, &usual);
	ck_assert(stage_reaches(&s, "10.20.0.1", FZ_MS(200)));
	s.n = 0;
	for (size_t payload = 0; payload <= 1252; payload += payload < 32 ? 1 : 61) {
		struct mk m = { .proto = 17, .payload = payload, .seed = (unsigned)payload };
		size_t len = mk_packet(p, &m);
		device_tun(s.clients[0], p, len);
		ck_assert_msg(stage_wait(&s, ++n, FZ_MS(50)), "%zu bytes", len);
		ck_assert_uint_eq(last()->len, len);
	}
	stage_end(&s);
}
END_TEST

/* Garbage and forged datagrams are counted, and change nothing. */
START_TEST(strangers)
{
	static const uint8_t firsts[] = { 0, 1, 2, 3, 4, 5, 0x40, 0x4f, 0x80, 0xff };
	struct fz_addr from = { .ip = { FZ_FAMILY_INET, { 203, 0, 113, 21 } }, .port = 4000 },
		       to = { .ip = { FZ_FAMILY_INET, { 203, 0, 113, 31 } }, .port = 52625 };
	uint8_t p[200] = { 0 };
	uint64_t sent;

	stage_begin(&s, &usual);
	ck_assert(stage_reaches(&s, "10.20.0.1", FZ_MS(200)));
	sent = s.gateway->stats.datagrams;
	for (size_t i = 0; i < sizeof(firsts); i++) {
		for (size_t len = 1; len <= sizeof(p); len += len < 40 ? 1 : 13) {
			p[0] = firsts[i];
			sim_send(s.net, s.clients[0]->host, &from, &to, p, len);
			from.port = from.port == 4000 ? 3478 : 4000;
		}
	}
	stage_pass(&s, FZ_MS(10));
	ck_assert_uint_le(s.gateway->stats.datagrams - sent, 20); /* checks of its own */
	ck_assert(stage_reaches(&s, "10.20.0.1", FZ_MS(20)));
	ck_assert_uint_gt(device_counter(s.gateway, "unknown datagram"), 0);
	ck_assert_uint_gt(device_counter(s.gateway, "no connection"), 0);
	stage_end(&s);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *suite = suite_create("gateway");

	unit_case(suite, "grants", a9_2_last_resource_revoked, a9_3_each_expires_alone, a9_4_past_expiry,
		  a9_12_wall_clock_steps, reconciliation, a9_13_revoked_while_cut_off, a10_6_removed_resource,
		  filters_updated);
	unit_case(suite, "packets", spoofed_source, outbound, hairpin, sizes, strangers);
	unit_case(suite, "clients", a10_17_client_comes_again, client_vanishes);
	return suite;
}
