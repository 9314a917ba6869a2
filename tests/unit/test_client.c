/* SPDX-License-Identifier: Apache-2.0 */
/* The client through its public interface, with a gateway, relays and a portal. Numbers are those of the
 * acceptance list. */
#include "stage.h"

#include <stdio.h>

#include "core/ranges.h"

#define PROHIBITED4 (3u << 8 | 13)
#define PROHIBITED6 (1u << 8 | 1)
#define UNREACHABLE4 (3u << 8)
#define UNREACHABLE6 (1u << 8 | 3)

static const struct stage_opts usual = { 0 };
static struct stage s;
static struct unit_env counting;

START_TEST(signs_in)
{
	stage_begin(&s, &usual);
	struct device *c = s.clients[0];
	ck_assert_uint_eq(c->stats.portal_up, 1);
	ck_assert_uint_eq(c->stats.ready, 1);
	ck_assert_uint_eq(c->stats.netcfg, 1);
	ck_assert_uint_eq(c->stats.routes, RANGES + 3);
	ck_assert_uint_eq(c->stats.dead, 0);
	ck_assert_uint_eq(stub_stats(s.lines.stub)->requests, 0);
	stage_end(&s);
}
END_TEST

/* Exactly these are routed into the tunnel, and nothing is told when nothing changes. */
static void expect_routes(const struct device *d, const char *const *want, unsigned n)
{
	char text[FZ_PREFIX_STRLEN];

	ck_assert_uint_eq(d->stats.routes, n);
	for (unsigned i = 0; i < n; i++) {
		unsigned found = 0;
		for (unsigned k = 0; k < n; k++)
			found += strcmp(fz_prefix_format(&d->stats.nets[k], text), want[i]) == 0;
		ck_assert_msg(found == 1, "%s: %u times", want[i], found);
	}
}

START_TEST(a19_19_routes)
{
	static const char *const want[] = { "10.20.0.0/16",
					    "fd00:1::/64",
					    "10.30.0.0/16",
					    "100.64.0.0/11",
					    "100.96.0.0/11",
					    "100.100.111.0/24",
					    "fd00:2021:1111::/107",
					    "fd00:2021:1111:8000::/107",
					    "fd00:2021:1111:8000:100:100:111:0/120",
					    "0.0.0.0/0",
					    "::/0" };
	struct device *c;

	stage_begin(&s, &usual);
	c = s.clients[0];
	expect_routes(c, want, 9);
	stub_set_internet(s.lines.stub, 7);
	stage_pass(&s, FZ_MS(20));
	expect_routes(c, want, 9); /* it is off */
	fz_client_set_internet(c->client, true, sim_now(s.net));
	device_drain(c);
	expect_routes(c, want, 11);
	fz_client_set_internet(c->client, false, sim_now(s.net));
	device_drain(c);
	stub_remove_resource(s.lines.stub, 1);
	stage_pass(&s, FZ_MS(20));
	expect_routes(c, want + 1, 8);
	stage_end(&s);
}
END_TEST

START_TEST(a19_18_told_when_it_changes)
{
	struct device *c;
	unsigned netcfg;

	stage_begin(&s, &usual);
	c = s.clients[0];
	netcfg = c->stats.netcfg;
	stub_set_resource(s.lines.stub, 1, "10.20.0.0/16", "[{\"protocol\":\"icmp\"}]"); /* the same route */
	stub_set_names(s.lines.stub, 12, "x.example", NULL, "[]"); /* none */
	stage_pass(&s, FZ_MS(20));
	ck_assert_uint_eq(c->stats.netcfg, netcfg);
	stub_set_resource(s.lines.stub, 13, "10.20.0.0/16", "[]"); /* one that is there */
	stage_pass(&s, FZ_MS(20));
	ck_assert_uint_eq(c->stats.netcfg, netcfg);
	stub_set_resource(s.lines.stub, 14, "10.50.0.0/16", "[]");
	stage_pass(&s, FZ_MS(20));
	ck_assert_uint_eq(c->stats.netcfg, netcfg + 1);
	stub_set_down(s.lines.stub, true);
	stub_set_down(s.lines.stub, false);
	while (c->stats.portal_up < 2)
		stage_pass(&s, FZ_MS(100));
	stage_pass(&s, FZ_MS(20));
	ck_assert_uint_eq(c->stats.netcfg, netcfg + 1);
	stage_end(&s);
}
END_TEST

/* The packet that asked for it all is answered, over either family. */
START_TEST(first_packet)
{
	stage_begin(&s, &usual);
	uint64_t start_us = sim_now(s.net);
	ck_assert(stage_reaches(&s, "10.20.0.7", FZ_MS(100)));
	ck_assert_uint_lt(sim_now(s.net) - start_us, FZ_MS(60));
	ck_assert_uint_eq(s.clients[0]->stats.granted, 1);
	ck_assert_uint_eq(s.clients[0]->stats.peer_up, 1);
	ck_assert_uint_eq(s.gateway->stats.granted, 1);
	ck_assert(!device_peer(s.clients[0], 1)->relayed);
	/* The gateway's own address, and a second resource over the same connection. */
	ck_assert(stage_reaches(&s, "100.64.1.1", FZ_MS(20)));
	stage_send(&s, s.clients[0], "fd00:2021:1111::1", "fd00:1::80", 6, 80, 5);
	ck_assert(stage_wait(&s, 3, FZ_MS(100)));
	ck_assert_uint_eq(s.clients[0]->stats.peer_up, 1);
	ck_assert_uint_eq(stub_stats(s.lines.stub)->requests, 2);
	stage_end(&s);
}
END_TEST

START_TEST(relayed)
{
	const struct stage_opts symmetric = { .mapping = NAT_EDM, .n_relays = 2 };

	stage_begin(&s, &symmetric);
	ck_assert(stage_reaches(&s, "10.20.0.7", FZ_MS(500)));
	ck_assert(device_peer(s.clients[0], 1)->relayed);
	stage_end(&s);
}
END_TEST

START_TEST(a9_5_one_request_in_two_seconds)
{
	const struct stub_stats *st;

	stage_begin(&s, &usual);
	st = stub_stats(s.lines.stub);
	stub_set_silent(s.lines.stub, true);
	for (unsigned i = 0; i < 19; i++) {
		stage_ping(&s, "10.20.0.1", (uint16_t)i);
		stage_pass(&s, FZ_MS(100));
	}
	ck_assert_uint_eq(st->requests, 1);
	stage_ping(&s, "10.30.0.1", 1); /* another resource, in parallel */
	stage_pass(&s, FZ_MS(10));
	ck_assert_uint_eq(st->requests, 2);
	stage_pass(&s, FZ_MS(200)); /* nothing repeats by itself */
	ck_assert_uint_eq(st->requests, 2);
	stage_ping(&s, "10.20.0.1", 30);
	stage_pass(&s, FZ_MS(10));
	ck_assert_uint_eq(st->requests, 3);
	stage_end(&s);
}
END_TEST

START_TEST(a9_6_filter_of_the_resource)
{
	stage_begin(&s, &usual);
	stage_send(&s, s.clients[0], "fd00:2021:1111::1", "fd00:1::80", 6, 81, 1);
	ck_assert(stage_wait(&s, 1, FZ_MS(1)));
	ck_assert_uint_eq(stage_icmp(&s.got[0]), PROHIBITED6);
	stub_set_resource(s.lines.stub, 1, "10.20.0.0/16", "[{\"protocol\":\"icmp\"}]");
	stage_pass(&s, FZ_MS(10));
	stage_send(&s, s.clients[0], "100.64.0.1", "10.20.0.1", 17, 53, 1);
	ck_assert(stage_wait(&s, 2, FZ_MS(1)));
	ck_assert_uint_eq(stage_icmp(&s.got[1]), PROHIBITED4);
	ck_assert_uint_eq(stub_stats(s.lines.stub)->requests, 0);
	ck_assert_uint_eq(device_counter(s.clients[0], "refused by filter"), 2);
	stage_end(&s);
}
END_TEST

/* What waits is kept in order, each packet once, 128 of them. */
START_TEST(waiting_room)
{
	stage_begin(&s, &usual);
	stub_set_silent(s.lines.stub, true);
	for (unsigned i = 0; i < 201; i++)
		stage_ping(&s, "10.20.0.1", (uint16_t)i);
	stage_ping(&s, "10.20.0.1", 200);
	ck_assert_uint_eq(device_counter(s.clients[0], "waiting room full"), 201 - 128);
	stage_pass(&s, FZ_SEC(2));
	stub_set_silent(s.lines.stub, false);
	stage_ping(&s, "10.20.0.1", 201);
	ck_assert(stage_wait(&s, 128, FZ_MS(300)));
	stage_pass(&s, FZ_SEC(1));
	ck_assert_uint_eq(s.n, 128);
	for (unsigned i = 0; i < 128; i++)
		ck_assert_uint_eq(stage_seq(&s.got[i]), 201 - 127 + i);
	stage_end(&s);
}
END_TEST

/* Whoever is refused is told at once, each packet, and asks again every 2 s as long as there are some. */
START_TEST(a9_5_refused)
{
	struct fz_resource r;

	stage_begin(&s, &usual);
	stub_set_refusal(s.lines.stub, "forbidden");
	for (unsigned i = 0; i < 3; i++)
		stage_ping(&s, "10.20.0.1", (uint16_t)i);
	ck_assert(stage_wait(&s, 3, FZ_MS(20)));
	for (unsigned i = 0; i < 45; i++) {
		stage_ping(&s, "10.20.0.1", (uint16_t)(3 + i));
		stage_pass(&s, FZ_MS(100));
	}
	ck_assert_uint_eq(s.n, 48);
	for (unsigned i = 0; i < 48; i++)
		ck_assert_uint_eq(stage_icmp(&s.got[i]), PROHIBITED4);
	ck_assert_uint_eq(stub_stats(s.lines.stub)->requests, 3);
	ck_assert_uint_eq(s.clients[0]->stats.refused, 1); /* told once */
	ck_assert_str_eq(s.clients[0]->stats.last_reason, "forbidden");
	ck_assert_uint_eq(device_counter(s.clients[0], "no access"), 48);
	ck_assert(fz_client_resource(s.clients[0]->client, 0, &r));
	ck_assert_str_eq(r.reason, "forbidden");
	ck_assert_int_eq(r.status, FZ_RESOURCE_UNKNOWN);
	stub_set_refusal(s.lines.stub, NULL);
	stage_pass(&s, FZ_SEC(2));
	ck_assert(stage_reaches(&s, "10.20.0.1", FZ_MS(200)));
	ck_assert(fz_client_resource(s.clients[0]->client, 0, &r));
	ck_assert_ptr_null(r.reason);
	ck_assert_int_eq(r.status, FZ_RESOURCE_ONLINE);
	stage_end(&s);
}
END_TEST

static bool same(const char *a, const char *b)
{
	return strcmp(a, b) == 0;
}

/* Does a packet there make the client ask for access? */
static bool asks(const char *to)
{
	unsigned before = stub_stats(s.lines.stub)->requests;

	stage_pass(&s, FZ_SEC(2));
	stage_ping(&s, to, 1);
	stage_pass(&s, FZ_MS(50));
	return stub_stats(s.lines.stub)->requests > before;
}

/* Switched on and off while it is there, and while it is not; moved by the portal. */
START_TEST(a9_14_internet_resource)
{
	struct fz_resource r;
	struct device *c;

	stage_begin(&s, &usual);
	c = s.clients[0];
	fz_client_set_internet(c->client, true, sim_now(s.net));
	device_drain(c);
	ck_assert_uint_eq(c->stats.netcfg, 1); /* there is none */
	stub_set_internet(s.lines.stub, 7);
	stage_pass(&s, FZ_MS(20));
	ck_assert_uint_eq(c->stats.routes, RANGES + 3 + 2);
	ck_assert(fz_client_resource(c->client, 0, &r));
	ck_assert(r.type == FZ_RESOURCE_INTERNET && r.is_active && same(r.address, ""));
	ck_assert(asks("192.0.2.1"));
	ck_assert(stage_reaches(&s, "10.20.0.1", FZ_MS(200)));
	ck_assert_uint_eq(c->stats.peer_up, 1);
	/* The portal moves it: it stays on. */
	stub_remove_resource(s.lines.stub, 7);
	stage_pass(&s, FZ_MS(20));
	ck_assert_uint_eq(c->stats.routes, RANGES + 3);
	ck_assert(!asks("192.0.2.1"));
	stub_set_internet(s.lines.stub, 8);
	stage_pass(&s, FZ_MS(20));
	ck_assert(asks("192.0.2.1"));
	/* Off: the gateway serves something else and stays. */
	fz_client_set_internet(c->client, false, sim_now(s.net));
	device_drain(c);
	ck_assert_uint_eq(c->stats.routes, RANGES + 3);
	ck_assert(!asks("192.0.2.1"));
	ck_assert(stage_reaches(&s, "10.20.0.1", FZ_MS(50)));
	ck_assert(fz_client_resource(c->client, 0, &r));
	ck_assert(r.type == FZ_RESOURCE_INTERNET && !r.is_active && !r.has_access);
	fz_client_set_internet(c->client, true, sim_now(s.net));
	device_drain(c);
	ck_assert(asks("192.0.2.1"));
	stage_end(&s);
}
END_TEST

/* Nobody answers the request: an error comes, late but it comes. */
START_TEST(unanswered_request)
{
	stage_begin(&s, &usual);
	stub_set_silent(s.lines.stub, true);
	stage_ping(&s, "10.20.0.1", 1);
	stage_send(&s, s.clients[0], "fd00:2021:1111::1", "fd00:1::80", 6, 80, 2);
	stage_pass(&s, FZ_SEC(29));
	ck_assert_uint_eq(s.n, 0);
	stage_pass(&s, FZ_SEC(2));
	ck_assert_uint_eq(s.n, 2);
	ck_assert_uint_eq(stage_icmp(&s.got[0]) | stage_icmp(&s.got[1]), UNREACHABLE4 | UNREACHABLE6);
	stage_end(&s);
}
END_TEST

START_TEST(a9_8_offline_site)
{
	struct fz_resource r;
	const struct stage_opts alone = { .no_gateway = true };

	stage_begin(&s, &alone);
	ck_assert_uint_eq(s.clients[0]->stats.lists, 1);
	stage_ping(&s, "10.20.0.1", 1);
	stage_pass(&s, FZ_MS(20));
	ck_assert_uint_eq(s.clients[0]->stats.lists, 2);
	ck_assert(fz_client_resource(s.clients[0]->client, 0, &r));
	ck_assert_int_eq(r.status, FZ_RESOURCE_OFFLINE);
	ck_assert_str_eq(r.reason, "offline");
	ck_assert(!r.has_access);
	stage_pass(&s, FZ_SEC(295));
	ck_assert(fz_client_resource(s.clients[0]->client, 0, &r));
	ck_assert_int_eq(r.status, FZ_RESOURCE_OFFLINE);
	stage_pass(&s, FZ_SEC(6));
	ck_assert(fz_client_resource(s.clients[0]->client, 0, &r));
	ck_assert_int_eq(r.status, FZ_RESOURCE_UNKNOWN);
	ck_assert_ptr_null(r.reason);
	ck_assert_uint_eq(s.clients[0]->stats.lists, 3);
	stage_end(&s);
}
END_TEST

START_TEST(a9_10_list_of_resources)
{
	struct fz_resource r;
	struct device *c;
	unsigned lists;

	stage_begin(&s, &usual);
	c = s.clients[0];
	for (size_t i = 0; i < 3; i++) {
		ck_assert(fz_client_resource(c->client, i, &r));
		ck_assert_int_eq(r.type, FZ_RESOURCE_CIDR);
		ck_assert_int_eq(r.status, FZ_RESOURCE_UNKNOWN);
		ck_assert(r.is_active);
	}
	ck_assert(!fz_client_resource(c->client, 3, &r));
	lists = c->stats.lists;
	ck_assert(stage_reaches(&s, "10.20.0.1", FZ_MS(200)));
	ck_assert_uint_eq(c->stats.lists, lists + 1);
	for (size_t i = 0; i < 3; i++) { /* all of the site */
		ck_assert(fz_client_resource(c->client, i, &r));
		ck_assert_int_eq(r.status, FZ_RESOURCE_ONLINE);
	}
	ck_assert(stage_reaches(&s, "10.30.0.1", FZ_MS(200)));
	ck_assert_uint_eq(c->stats.lists, lists + 1); /* nothing new */
	stage_end(&s);
}
END_TEST

START_TEST(a9_9_gateway_lost)
{
	struct fz_resource r;
	struct device *c;
	unsigned lists;

	stage_begin(&s, &usual);
	c = s.clients[0];
	ck_assert(stage_reaches(&s, "10.20.0.1", FZ_MS(200)));
	lists = c->stats.lists;
	device_shutdown(s.gateway);
	stage_pass(&s, FZ_MS(100));
	ck_assert_uint_eq(c->stats.lists, lists + 1);
	for (size_t i = 0; i < 3; i++) {
		ck_assert(fz_client_resource(c->client, i, &r));
		ck_assert_int_eq(r.status, FZ_RESOURCE_UNKNOWN);
	}
	/* It comes back and is lost again before anybody saw it: no news. */
	device_restart(s.gateway);
	stage_pass(&s, FZ_MS(200));
	device_shutdown(s.gateway);
	stage_pass(&s, FZ_MS(100));
	ck_assert_uint_eq(c->stats.lists, lists + 1);
	stage_end(&s);
}
END_TEST

/* A resource that was refused because its site was offline is not refused any longer once the site is back.
 */
START_TEST(a9_10_site_is_back)
{
	stage_begin(&s, &usual);
	stub_set_refusal(s.lines.stub, "offline");
	stage_ping(&s, "10.20.0.1", 1);
	stage_pass(&s, FZ_MS(1500));
	stage_ping(&s, "10.30.0.1", 2);
	stage_pass(&s, FZ_MS(600));
	ck_assert_uint_eq(s.n, 2); /* both were told */
	stub_set_refusal(s.lines.stub, NULL);
	ck_assert(stage_reaches(&s, "10.20.0.1", FZ_MS(200)));
	ck_assert(stage_reaches(&s, "10.30.0.1", FZ_MS(200)));
	stage_end(&s);
}
END_TEST

/* Sorted for people, and an update that changes nothing is no news. */
START_TEST(a19_20_list_is_sorted)
{
	struct fz_resource r;
	struct device *c;
	char last[64] = "";
	unsigned lists;

	stage_begin(&s, &usual);
	c = s.clients[0];
	stub_set_names(s.lines.stub, 12, "*.corp.example", NULL, "[]");
	stub_set_names(s.lines.stub, 11, "a.example", NULL, "[]");
	stage_pass(&s, FZ_MS(20));
	size_t n = 0;
	for (; fz_client_resource(c->client, n, &r); n++) {
		ck_assert_msg(strcmp(last, r.name) <= 0, "%s before %s", last, r.name);
		snprintf(last, sizeof(last), "%s", r.name);
	}
	ck_assert_uint_eq(n, 5);
	lists = c->stats.lists;
	stub_set_names(s.lines.stub, 11, "a.example", NULL, "[]");
	stage_pass(&s, FZ_MS(20));
	ck_assert_uint_eq(c->stats.lists, lists);
	stub_remove_resource(s.lines.stub, 11);
	stage_pass(&s, FZ_MS(20));
	ck_assert_uint_eq(c->stats.lists, lists + 1);
	ck_assert(!fz_client_resource(c->client, 4, &r));
	stage_end(&s);
}
END_TEST

/* A grant ends while others keep the connection: the first packet fails, and the client asks again. */
START_TEST(a9_1_revoked_while_others_remain)
{
	const struct stub_stats *st;
	unsigned requests;

	stage_begin(&s, &usual);
	st = stub_stats(s.lines.stub);
	ck_assert(stage_reaches(&s, "10.20.0.1", FZ_MS(200)));
	ck_assert(stage_reaches(&s, "10.30.0.1", FZ_MS(200)));
	stub_revoke(s.lines.stub, 1, 1);
	stage_pass(&s, FZ_MS(20));
	ck_assert_uint_eq(s.clients[0]->stats.peer_down, 0);
	s.n = 0;
	stage_ping(&s, "10.20.0.1", 1);
	ck_assert(stage_wait(&s, 1, FZ_MS(50)));
	ck_assert_uint_eq(stage_icmp(&s.got[0]), PROHIBITED4);
	stage_pass(&s, FZ_MS(50));
	ck_assert_uint_eq(st->requests, 3);
	ck_assert(stage_reaches(&s, "10.20.0.1", FZ_MS(50)));
	ck_assert_uint_eq(s.clients[0]->stats.peer_down, 0);
	/* For good: it is asked at 0, 2, 4, 8 ... s, however many packets there are. */
	stub_set_refusal(s.lines.stub, "forbidden");
	stub_revoke(s.lines.stub, 1, 1);
	requests = st->requests;
	s.swallows = true;
	for (unsigned i = 0; i < 600; i++) {
		stage_ping(&s, "10.20.0.1", (uint16_t)i);
		stage_pass(&s, FZ_MS(100));
	}
	ck_assert_uint_ge(st->requests - requests, 4);
	ck_assert_uint_le(st->requests - requests, 6);
	ck_assert_str_eq(s.clients[0]->stats.last_reason, "forbidden");
	s.swallows = false;
	s.n = 0;
	ck_assert(stage_reaches(&s, "10.30.0.1", FZ_MS(50)));
	stage_end(&s);
}
END_TEST

START_TEST(offline_site)
{
	const struct stage_opts alone = { .no_gateway = true };

	stage_begin(&s, &alone);
	for (unsigned i = 0; i < 15; i++) {
		stage_ping(&s, "10.20.0.1", (uint16_t)i);
		stage_pass(&s, FZ_MS(100));
	}
	ck_assert_str_eq(s.clients[0]->stats.last_reason, "offline");
	ck_assert_uint_eq(stub_stats(s.lines.stub)->offline, 1); /* the gap stays */
	stage_pass(&s, FZ_SEC(2));
	stage_ping(&s, "10.20.0.1", 20);
	stage_pass(&s, FZ_MS(10));
	ck_assert_uint_eq(stub_stats(s.lines.stub)->offline, 2);
	stage_end(&s);
}
END_TEST

/* Every drop is counted by its reason, and none asks for anything. */
START_TEST(a11_12_drops)
{
	static const struct {
		const char *from, *to, *counter;
		int proto;
	} cases[] = {
		{ "100.64.0.1", "224.0.0.251", "multicast", 17 },
		{ "fd00:2021:1111::1", "ff02::fb", "multicast", 17 },
		{ "100.64.0.2", "10.20.0.1", "source address", 17 },
		{ "100.64.0.1", "100.64.0.1", "no such destination", 17 },
		{ "100.64.0.1", "100.100.111.1", "no such destination", 17 },
		{ "100.64.0.1", "100.64.1.1", "no such destination", 17 }, /* not connected yet */
		{ "100.64.0.1", "192.0.2.1", "no such destination", 17 },
		{ "100.64.0.1", "10.20.0.1", "protocol", 47 },
	};
	uint8_t p[200];
	struct fz_pkt pkt = { .data = p + 64, .len = 60 };

	stage_begin(&s, &usual);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t before = device_counter(s.clients[0], cases[i].counter);
		if (cases[i].proto == 47) {
			struct mk m = { .proto = 47, .payload = 20 };
			ck_assert_uint_eq(mk_packet(p + 64, &m), 40);
			device_tun(s.clients[0], p + 64, 40);
		} else {
			stage_send(&s, s.clients[0], cases[i].from, cases[i].to, cases[i].proto, 9, 1);
		}
		ck_assert_msg(device_counter(s.clients[0], cases[i].counter) == before + 1, "case %zu", i);
	}
	memset(p, 0, sizeof(p));
	device_tun_super(s.clients[0], &pkt);
	ck_assert_uint_eq(device_counter(s.clients[0], "malformed packet"), 1);
	stage_pass(&s, FZ_MS(100));
	ck_assert_uint_eq(stub_stats(s.lines.stub)->requests, 0);
	ck_assert_uint_eq(s.n, 1); /* that of DNS, which nobody else could answer */
	ck_assert_uint_eq(stage_icmp(&s.got[0]), PROHIBITED4);
	stage_end(&s);
}
END_TEST

START_TEST(a11_7_packet_to_ourselves)
{
	stage_begin(&s, &usual);
	stage_ping(&s, "100.64.0.1", 1);
	stage_ping(&s, "fd00:2021:1111::1", 1);
	ck_assert_uint_eq(device_counter(s.clients[0], "no such destination"), 2);
	stage_pass(&s, FZ_MS(50));
	ck_assert_uint_eq(stub_stats(s.lines.stub)->requests, 0);
	ck_assert_uint_eq(s.n, 0);
	stage_end(&s);
}
END_TEST

/* Questions of the neighbourhood are nobody's traffic, not even the Internet's. */
START_TEST(a6_23_llmnr)
{
	struct device *c;

	stage_begin(&s, &usual);
	c = s.clients[0];
	stub_set_internet(s.lines.stub, 7);
	fz_client_set_internet(c->client, true, sim_now(s.net));
	stage_pass(&s, FZ_MS(20));
	stage_send(&s, c, "100.64.0.1", "224.0.0.252", 17, 5355, 1);
	stage_send(&s, c, "fd00:2021:1111::1", "ff02::1:3", 17, 5355, 1);
	stage_pass(&s, FZ_MS(50));
	ck_assert_uint_eq(device_counter(c, "multicast"), 2);
	ck_assert_uint_eq(stub_stats(s.lines.stub)->requests, 0);
	ck_assert_uint_eq(s.n, 0);
	stage_end(&s);
}
END_TEST

START_TEST(before_the_first_configuration)
{
	const struct stage_opts nobody = { .no_gateway = true };

	stage_begin(&s, &nobody);
	stub_set_down(s.lines.stub, true);
	device_restart(s.clients[0]);
	stage_pass(&s, FZ_SEC(1));
	stage_ping(&s, "10.20.0.1", 1);
	ck_assert_uint_eq(device_counter(s.clients[0], "no tunnel address yet"), 1);
	stage_end(&s);
}
END_TEST

/* Access that nobody asked for, and asked for twice, makes no connection. */
START_TEST(unasked_grant)
{
	stage_begin(&s, &usual);
	stub_say(s.lines.stub, false, "ice_candidates",
		 "{\"gateway_id\":\"a0000000-0000-4000-8000-000000000001\",\"candidates\":[\"candidate:1 1 "
		 "udp 1 "
		 "203.0.113.31 52625 typ host\"]}");
	stub_say(s.lines.stub, false, "authorization_creation_failed",
		 "{\"resource_id\":\"50000000-0000-4000-8000-000000000009\",\"reason\":\"offline\"}");
	stage_pass(&s, FZ_MS(10));
	ck_assert_uint_eq(device_counter(s.clients[0], "peers"), 0);
	ck_assert_uint_eq(s.clients[0]->stats.refused, 0);
	stage_end(&s);
}
END_TEST

START_TEST(a9_11_address_changes)
{
	stage_begin(&s, &usual);
	ck_assert(stage_reaches(&s, "10.20.0.1", FZ_MS(200)));
	stub_set_resource(s.lines.stub, 1, "10.40.0.0/16", "[]");
	stage_pass(&s, FZ_MS(20));
	ck_assert_uint_eq(s.clients[0]->stats.peer_down, 1); /* its only resource is another one now */
	ck_assert_uint_eq(s.gateway->stats.peer_down, 1); /* goodbye */
	ck_assert(!stage_reaches(&s, "10.20.0.1", FZ_MS(200)));
	ck_assert(stage_reaches(&s, "10.40.0.1", FZ_MS(200)));
	stage_end(&s);
}
END_TEST

START_TEST(resource_deleted)
{
	stage_begin(&s, &usual);
	ck_assert(stage_reaches(&s, "10.20.0.1", FZ_MS(200)));
	ck_assert(stage_reaches(&s, "10.30.0.1", FZ_MS(200)));
	stub_remove_resource(s.lines.stub, 1);
	stage_pass(&s, FZ_MS(20));
	ck_assert_uint_eq(s.clients[0]->stats.peer_down, 0);
	ck_assert_uint_eq(s.clients[0]->stats.routes, RANGES + 2);
	ck_assert(stage_reaches(&s, "10.30.0.1", FZ_MS(20)));
	ck_assert(!stage_reaches(&s, "10.20.0.1", FZ_MS(100)));
	stub_remove_resource(s.lines.stub, 3);
	stage_pass(&s, FZ_MS(20));
	ck_assert_uint_eq(s.clients[0]->stats.peer_down, 1);
	ck_assert_uint_eq(device_counter(s.clients[0], "peers"), 0);
	ck_assert_uint_eq(device_counter(s.gateway, "peers"), 0);
	stage_end(&s);
}
END_TEST

/* Another network: new key, new connection, and the waiting packet arrives. */
START_TEST(reset)
{
	stage_begin(&s, &usual);
	ck_assert(stage_reaches(&s, "10.20.0.1", FZ_MS(200)));
	for (int i = 0; i < 3; i++) {
		device_reset(s.clients[0]);
		ck_assert(stage_reaches(&s, "10.20.0.1", FZ_SEC(3)));
	}
	ck_assert_uint_eq(s.clients[0]->stats.rebind, 3);
	ck_assert_uint_eq(s.clients[0]->stats.peer_down, 3);
	ck_assert_uint_eq(s.clients[0]->stats.portal_up, 4);
	ck_assert_uint_eq(device_counter(s.gateway, "peers"), 1);
	stage_end(&s);
}
END_TEST

/* The link is dead for a while, then the portal is; the connection is made anew with new access. */
START_TEST(a5_3_dead_windows)
{
	static const uint64_t link_ms[] = { 0, 700, 2999 }, portal_ms[] = { 0, 1500, 2999 };

	for (size_t i = 0; i < 9; i++) {
		unsigned requests;
		stage_begin(&s, &usual);
		ck_assert(stage_reaches(&s, "10.20.0.1", FZ_MS(200)));
		requests = stub_stats(s.lines.stub)->requests;
		sim_set_up(s.net, s.clients[0]->host, false);
		stage_pass(&s, FZ_MS(link_ms[i / 3]));
		stub_set_down(s.lines.stub, true);
		sim_set_up(s.net, s.clients[0]->host, true);
		device_reset(s.clients[0]);
		stage_pass(&s, FZ_MS(portal_ms[i % 3]));
		stub_set_down(s.lines.stub, false);
		uint64_t start_us = sim_now(s.net);
		while (!stage_reaches(&s, "10.20.0.1", FZ_MS(500)))
			ck_assert_uint_lt(sim_now(s.net) - start_us, FZ_SEC(20));
		ck_assert_uint_gt(stub_stats(s.lines.stub)->requests, requests);
		ck_assert_uint_eq(device_counter(s.gateway, "peers"), 1);
		stage_end(&s);
	}
}
END_TEST

START_TEST(gateway_restarts)
{
	stage_begin(&s, &usual);
	ck_assert(stage_reaches(&s, "10.20.0.1", FZ_MS(200)));
	/* A clean end says goodbye: the next packet asks anew. */
	device_shutdown(s.gateway);
	stage_pass(&s, FZ_MS(100));
	ck_assert_uint_eq(s.clients[0]->stats.peer_down, 1);
	device_restart(s.gateway);
	stage_pass(&s, FZ_MS(200));
	ck_assert(stage_reaches(&s, "10.20.0.1", FZ_MS(500)));
	/* A kill is found out by silence. */
	device_restart(s.gateway);
	uint64_t start_us = sim_now(s.net);
	while (!stage_reaches(&s, "10.20.0.1", FZ_MS(500)))
		ck_assert_uint_lt(sim_now(s.net) - start_us, FZ_SEC(25));
	stage_end(&s);
}
END_TEST

/* The portal names other relays; the connection moves to one of them and goes on. */
START_TEST(a5_5_relay_lost)
{
	const struct stage_opts symmetric = { .mapping = NAT_EDM, .n_relays = 2 };
	unsigned lost = 0;

	stage_begin(&s, &symmetric);
	ck_assert(stage_reaches(&s, "10.20.0.1", FZ_MS(500)));
	stub_remove_relay(s.lines.stub, 0);
	for (unsigned i = 0; i < 40; i++) {
		lost += !stage_reaches(&s, "10.20.0.1", FZ_MS(100));
		stage_pass(&s, FZ_MS(50));
	}
	ck_assert_uint_eq(s.clients[0]->stats.peer_down, 0);
	ck_assert_uint_lt(lost, 20);
	ck_assert(stage_reaches(&s, "10.20.0.1", FZ_MS(100)));
	ck_assert_uint_eq(device_counter(s.clients[0], "relays"), 1);
	ck_assert_uint_eq(stub_stats(s.lines.stub)->no_relays, 0);
	stage_end(&s);
}
END_TEST

/* Removed and named again, with the same credentials or others. */
START_TEST(relay_replaced)
{
	const struct stage_opts symmetric = { .mapping = NAT_EDM };
	struct fz_addr a4, a6;

	stage_begin(&s, &symmetric);
	ck_assert(stage_reaches(&s, "10.20.0.1", FZ_MS(500)));
	a4 = relay_addr(s.relays[0], FZ_FAMILY_INET);
	a6 = relay_addr(s.relays[0], FZ_FAMILY_INET6);
	stub_add_relay(s.lines.stub, 0, &a4, &a6, RELAY_USERNAME, RELAY_PASSWORD);
	ck_assert(stage_reaches(&s, "10.20.0.1", FZ_MS(100)));
	stub_add_relay(s.lines.stub, 0, &a4, &(struct fz_addr){ 0 }, RELAY_USERNAME, RELAY_PASSWORD);
	stage_pass(&s, FZ_SEC(2));
	ck_assert(stage_reaches(&s, "10.20.0.1", FZ_SEC(3)));
	ck_assert_uint_eq(s.clients[0]->stats.peer_down, 0);
	ck_assert_uint_gt(stub_stats(s.lines.stub)->invalidations, 0);
	stage_end(&s);
}
END_TEST

/* The relay restarts elsewhere, with other credentials, while the portal is away; the portal tells of it. */
START_TEST(a8_3_relay_reboots_during_an_outage)
{
	const struct stage_opts symmetric = { .mapping = NAT_EDM };
	const struct sim_site_opts site = { .link = { .delay_us = 1000 } };
	struct relay_opts o = { .ip4 = { FZ_FAMILY_INET, { 203, 0, 113, 102 } } };
	struct fz_addr a4, none = { 0 };

	stage_begin(&s, &symmetric);
	ck_assert(stage_reaches(&s, "10.20.0.1", FZ_MS(500)));
	stub_set_down(s.lines.stub, true);
	sim_set_up(s.net, relay_host(s.relays[0]), false);
	s.relays[1] = relay_new(s.net, sim_add_site(s.net, &site), &o);
	a4 = relay_addr(s.relays[1], FZ_FAMILY_INET);
	stage_pass(&s, FZ_SEC(5));
	ck_assert(!stage_reaches(&s, "10.20.0.1", FZ_MS(500)));
	stub_add_relay(s.lines.stub, 0, &a4, &none, RELAY_USERNAME, RELAY_PASSWORD);
	stub_set_down(s.lines.stub, false);
	uint64_t start_us = sim_now(s.net);
	while (!stage_reaches(&s, "10.20.0.1", FZ_MS(500)))
		ck_assert_uint_lt(sim_now(s.net) - start_us, FZ_SEC(60));
	ck_assert(device_peer(s.clients[0], 1)->relayed);
	ck_assert_uint_eq(device_counter(s.clients[0], "relays"), 1);
	stage_end(&s);
}
END_TEST

/* No relay, no connection; the portal is told, and the next packet succeeds. */
START_TEST(no_relay)
{
	const struct stage_opts none = { .no_relay = true };
	struct relay_opts o = { .ip4 = { FZ_FAMILY_INET, { 203, 0, 113, 101 } } };
	const struct sim_site_opts site = { .link = { .delay_us = 1000 } };
	struct fz_addr a4, a6;

	stage_begin(&s, &none);
	stage_ping(&s, "10.20.0.1", 1);
	stage_pass(&s, FZ_MS(100));
	ck_assert_uint_ge(stub_stats(s.lines.stub)->no_relays, 1);
	ck_assert_uint_eq(stub_stats(s.lines.stub)->acknowledged, 0);
	s.relays[0] = relay_new(s.net, sim_add_site(s.net, &site), &o);
	a4 = relay_addr(s.relays[0], FZ_FAMILY_INET);
	a6 = relay_addr(s.relays[0], FZ_FAMILY_INET6);
	stub_add_relay(s.lines.stub, 0, &a4, &a6, RELAY_USERNAME, RELAY_PASSWORD);
	stage_pass(&s, FZ_SEC(2));
	ck_assert(stage_reaches(&s, "10.20.0.1", FZ_MS(200)));
	stage_end(&s);
}
END_TEST

/* An authorization that comes before any relay answered waits for the answer. */
START_TEST(grant_before_relay)
{
	stage_begin(&s, &usual);
	device_restart(s.gateway);
	while (s.gateway->stats.portal_up < 2)
		stage_pass(&s, FZ_MS(1) / 10);
	ck_assert(stage_reaches(&s, "10.20.0.1", FZ_MS(200)));
	stage_end(&s);
}
END_TEST

/* A dead relay: nothing is reached, nothing floods, and it works when it is back. */
START_TEST(dead_relay)
{
	stage_begin(&s, &usual);
	sim_set_up(s.net, relay_host(s.relays[0]), false);
	device_restart(s.gateway);
	device_restart(s.clients[0]);
	for (unsigned i = 0; i < 300; i++) {
		stage_ping(&s, "10.20.0.1", (uint16_t)i);
		stage_pass(&s, FZ_MS(200));
	}
	ck_assert_uint_lt(stub_stats(s.lines.stub)->no_relays, 40);
	ck_assert_uint_lt(stub_stats(s.lines.stub)->requests, 40);
	sim_set_up(s.net, relay_host(s.relays[0]), true);
	uint64_t start_us = sim_now(s.net);
	while (!stage_reaches(&s, "10.20.0.1", FZ_MS(500)))
		ck_assert_uint_lt(sim_now(s.net) - start_us, FZ_SEC(15));
	stage_end(&s);
}
END_TEST

/* Connections do not need the portal; what was asked meanwhile is asked again. */
START_TEST(portal_outage)
{
	stage_begin(&s, &usual);
	ck_assert(stage_reaches(&s, "10.20.0.1", FZ_MS(200)));
	stub_set_down(s.lines.stub, true);
	stage_pass(&s, FZ_SEC(5));
	ck_assert(stage_reaches(&s, "10.20.0.1", FZ_MS(20)));
	ck_assert(!stage_reaches(&s, "10.30.0.1", FZ_MS(200)));
	stub_set_down(s.lines.stub, false);
	while (s.clients[0]->stats.portal_up < 2 || s.gateway->stats.portal_up < 2)
		stage_pass(&s, FZ_MS(20));
	stage_pass(&s, FZ_MS(20));
	/* The client may have been first, and told that its gateway is offline. */
	stage_pass(&s, FZ_SEC(2));
	ck_assert(stage_reaches(&s, "10.30.0.1", FZ_MS(100)));
	ck_assert_uint_eq(s.clients[0]->stats.peer_down, 0);
	stage_end(&s);
}
END_TEST

/* A day without the portal: the connection and its relay are still there. */
START_TEST(a21_1_a_day_without_the_portal)
{
	const struct stage_opts symmetric = { .mapping = NAT_EDM };

	stage_begin(&s, &symmetric);
	ck_assert(stage_reaches(&s, "10.20.0.1", FZ_MS(500)));
	stub_set_down(s.lines.stub, true);
	for (unsigned h = 0; h < 24; h++) {
		stage_pass(&s, FZ_SEC(3600));
		ck_assert_msg(stage_reaches(&s, "10.20.0.1", FZ_MS(200)), "after %u hours", h + 1);
	}
	ck_assert(device_peer(s.clients[0], 1)->relayed);
	ck_assert_uint_eq(device_counter(s.clients[0], "relays"), 1);
	ck_assert_uint_eq(s.clients[0]->stats.dead + s.gateway->stats.dead, 0);
	stub_set_down(s.lines.stub, false);
	uint64_t start_us = sim_now(s.net);
	while (s.clients[0]->stats.portal_up < 2 || s.gateway->stats.portal_up < 2) {
		stage_pass(&s, FZ_SEC(1));
		ck_assert_uint_lt(sim_now(s.net) - start_us, FZ_SEC(600));
	}
	stage_pass(&s, FZ_SEC(2));
	ck_assert(stage_reaches(&s, "10.30.0.1", FZ_MS(500)));
	stage_end(&s);
}
END_TEST

/* What makes no sense is dropped, and the rest goes on. */
START_TEST(malformed_messages)
{
	static const char *const events[] = { "init",
					      "config_changed",
					      "resource_created_or_updated",
					      "resource_deleted",
					      "relays_presence",
					      "authorization_created",
					      "authorization_creation_failed",
					      "ice_candidates",
					      "invalidate_ice_candidates",
					      "create_authorization",
					      "reject_access",
					      "resource_updated",
					      "no such event" };
	static const char *const payloads[] = {
		"null",
		"{}",
		"[]",
		"\"x\"",
		"{\"candidates\":7}",
		"{\"gateway_id\":\"a0000000-0000-4000-8000-000000000001\","
		"\"candidates\":[\"candidate:\",\"candidate:1 1 udp 1 nowhere 1 typ host\"]}"
	};

	stage_begin(&s, &usual);
	ck_assert(stage_reaches(&s, "10.20.0.1", FZ_MS(200)));
	for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
		for (size_t k = 0; k < sizeof(payloads) / sizeof(payloads[0]); k++) {
			stub_say(s.lines.stub, false, events[i], payloads[k]);
			stub_say(s.lines.stub, true, events[i], payloads[k]);
		}
	}
	stage_pass(&s, FZ_MS(100));
	ck_assert(stage_reaches(&s, "10.20.0.1", FZ_MS(20)));
	ck_assert_uint_eq(s.clients[0]->stats.portal_down, 0);
	ck_assert_uint_eq(s.gateway->stats.portal_down, 0);
	stage_end(&s);
}
END_TEST

/* Days of silence, then a packet. */
START_TEST(idle)
{
	static const uint64_t pauses_s[] = { 30, 170, 185, 600, 3600, 86400 };

	stage_begin(&s, &usual);
	ck_assert(stage_reaches(&s, "10.20.0.1", FZ_MS(200)));
	for (size_t i = 0; i < sizeof(pauses_s) / sizeof(pauses_s[0]); i++) {
		uint64_t sent = s.clients[0]->stats.datagrams;
		stage_pass(&s, FZ_SEC(pauses_s[i]));
		ck_assert_uint_lt(s.clients[0]->stats.datagrams - sent, 300 + 2 * pauses_s[i]);
		ck_assert_msg(stage_reaches(&s, "10.20.0.1", FZ_MS(50)), "after %lu s",
			      (unsigned long)pauses_s[i]);
	}
	ck_assert_uint_eq(s.clients[0]->stats.peer_down, 0);
	stage_end(&s);
}
END_TEST

/* A clock that goes back, and one that leaps. */
START_TEST(a5_7_clocks)
{
	stage_begin(&s, &usual);
	ck_assert(stage_reaches(&s, "10.20.0.1", FZ_MS(200)));
	sim_jump_clock(s.net, s.clients[0]->host, -(int64_t)FZ_MS(900));
	ck_assert(stage_reaches(&s, "10.20.0.1", FZ_SEC(1)));
	sim_jump_clock(s.net, s.clients[0]->host, (int64_t)FZ_SEC(30));
	ck_assert(stage_reaches(&s, "10.20.0.1", FZ_MS(100)));
	sim_jump_clock(s.net, s.clients[0]->host, (int64_t)FZ_SEC(7200)); /* a night's sleep */
	uint64_t start_us = sim_now(s.net);
	while (!stage_reaches(&s, "10.20.0.1", FZ_MS(500)))
		ck_assert_uint_lt(sim_now(s.net) - start_us, FZ_SEC(12));
	stage_end(&s);
}
END_TEST

START_TEST(shutdown_says_goodbye)
{
	stage_begin(&s, &usual);
	ck_assert(stage_reaches(&s, "10.20.0.1", FZ_MS(200)));
	device_shutdown(s.clients[0]);
	stage_pass(&s, FZ_MS(20));
	ck_assert_uint_eq(device_counter(s.gateway, "peers"), 0);
	ck_assert_uint_eq(s.gateway->stats.peer_down, 1);
	ck_assert_str_eq(s.gateway->stats.last_reason, "the peer said goodbye");
	stage_ping(&s, "10.20.0.1", 1);
	stage_pass(&s, FZ_SEC(60));
	ck_assert_uint_eq(stub_stats(s.lines.stub)->requests, 1);
	stage_end(&s);
}
END_TEST

/* Whichever allocation fails, everything is released, and it works again when memory is back. */
START_TEST(failing_allocations)
{
	const struct stage_opts counted = { .env = &counting };
	struct unit_env *u = &counting;
	long n = 0;

	do {
		unit_env_init(u, 3);
		u->fail_at = ++n;
		if (stage_try(&s, &counted) == 0) {
			bool reached = stage_reaches(&s, "10.20.0.1", FZ_MS(300));
			if (!reached && !stage_reaches(&s, "10.20.0.1", FZ_SEC(5))) {
				stage_pass(&s, FZ_SEC(30));
				ck_assert_msg(stage_reaches(&s, "10.20.0.1", FZ_SEC(10)), "allocation %ld",
					      n);
			}
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
	Suite *suite = suite_create("client");

	unit_case(suite, "start", signs_in, a19_19_routes, a19_18_told_when_it_changes, first_packet, relayed,
		  before_the_first_configuration, shutdown_says_goodbye);
	unit_case(suite, "access", a9_5_one_request_in_two_seconds, a9_6_filter_of_the_resource, waiting_room,
		  a9_5_refused, unanswered_request, a9_8_offline_site, a9_9_gateway_lost,
		  a9_10_list_of_resources, a9_10_site_is_back, a19_20_list_is_sorted,
		  a9_1_revoked_while_others_remain, a9_14_internet_resource, offline_site, unasked_grant,
		  a9_11_address_changes, resource_deleted);
	unit_case(suite, "packets", a6_23_llmnr, a11_7_packet_to_ourselves, a11_12_drops);
	unit_case(suite, "relays", a5_5_relay_lost, relay_replaced, a8_3_relay_reboots_during_an_outage,
		  no_relay, grant_before_relay, dead_relay);
	unit_case(suite, "trouble", reset, a5_3_dead_windows, gateway_restarts, portal_outage,
		  a21_1_a_day_without_the_portal, malformed_messages, idle, a5_7_clocks);
	unit_case(suite, "memory", failing_allocations);
	return suite;
}
