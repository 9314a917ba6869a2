/* SPDX-License-Identifier: Apache-2.0 */
/* The DNS service of the gateway, through its requests to the host. */
#include "gateway_rig.h"

#include <stdio.h>

#include "base/time.h"
#include "packets.h"

#define S1 "192.0.2.53"
#define S2 "192.0.2.54"

/* What the gateway asked of its host last. */
static struct fz_dns_query query;
static struct {
	uint64_t request;
	uint8_t data[DNS_MESSAGE_MAX];
	size_t len;
} reply;

static enum fz_event_type next(void)
{
	struct fz_event ev;

	while (endpoint_poll_event(rig.g->endpoint, &ev)) {
		if (ev.type == FZ_EVENT_DNS_QUERY) {
			query = ev.u.dns_query;
			return ev.type;
		}
		if (ev.type == FZ_EVENT_DNS_REPLY) {
			reply.request = ev.u.dns_reply.request;
			reply.len = ev.u.dns_reply.len;
			memcpy(reply.data, ev.u.dns_reply.data, reply.len);
			return ev.type;
		}
	}
	return 0;
}

static void servers(const char *a, const char *b)
{
	struct fz_ip ips[2];
	size_t n = 0;

	if (a)
		ips[n++] = rig_ip(a);
	if (b)
		ips[n++] = rig_ip(b);
	endpoint_system_dns(rig.g->endpoint, ips, n, rig.now_us);
}

/* TXT of a.example, with EDNS when udp_size is not 0. */
static size_t make_query(uint8_t *p, uint16_t udp_size)
{
	size_t len = unit_hex(p, 100, "abcd 0100 0001 0000 0000 0000 0161 076578616d706c65 00 0010 0001");

	if (udp_size) {
		p[11] = 1;
		len += unit_hex(p + len, 100, "00 0029 0000 00000000 0000");
		mk_be16(p + len - 8, udp_size);
	}
	return len;
}

static void ask_as(const char *who, uint64_t id, bool tcp, uint16_t udp_size)
{
	uint8_t p[100];
	struct fz_dns_request r = { .id = id, .data = p, .len = make_query(p, udp_size), .tcp = tcp };

	r.local = (struct fz_addr){ .ip = rig.g->ipv6, .port = SITE_DNS_PORT };
	r.peer = (struct fz_addr){ .ip = rig_ip(who), .port = 4000 };
	endpoint_dns_request(rig.g->endpoint, &r, rig.now_us);
}

static void ask(uint64_t id, bool tcp, uint16_t udp_size)
{
	ask_as("fd00:2021:1111::1", id, tcp, udp_size);
}

/* Header, question and `payload` bytes of an answer. */
static void answer(uint8_t rcode, size_t payload)
{
	static uint8_t p[DNS_MESSAGE_MAX];
	size_t len = make_query(p, 0);
	struct fz_dns_answer a = { .id = query.id, .data = p };

	p[2] = 0x81;
	p[3] = (uint8_t)(0x80 | rcode);
	if (payload > 0) {
		p[7] = 1;
		memcpy(p + len, "\xc0\x0c\0\x10\0\1\0\0\0\x3c", 10);
		mk_be16(p + len + 10, payload);
		memset(p + len + 12, 'x', payload);
		len += 12 + payload;
	}
	a.len = len;
	endpoint_dns_answer(rig.g->endpoint, &a, rig.now_us);
}

static void no_answer(int err)
{
	struct fz_dns_answer a = { .id = query.id, .err = err };

	rig.now_us += FZ_MS(query.timeout_ms);
	endpoint_dns_answer(rig.g->endpoint, &a, rig.now_us);
}

static void expect_query(const char *server, bool tcp)
{
	char text[FZ_ADDR_STRLEN], want[FZ_ADDR_STRLEN];

	ck_assert_int_eq(next(), FZ_EVENT_DNS_QUERY);
	snprintf(want, sizeof(want), "%s:53", server);
	ck_assert_str_eq(fz_addr_format(&query.server, text), want);
	ck_assert_int_eq(query.transport, tcp ? FZ_DNS_TCP : FZ_DNS_UDP);
	ck_assert_int_eq(query.bind.family, FZ_FAMILY_NONE); /* around the tunnel */
}

static void expect_reply(uint64_t id, uint8_t rcode)
{
	ck_assert_int_eq(next(), FZ_EVENT_DNS_REPLY);
	ck_assert_uint_eq(reply.request, id);
	ck_assert_uint_ge(reply.len, DNS_HEADER_LEN);
	ck_assert_uint_eq(reply.data[0], 0xab);
	ck_assert_uint_eq(reply.data[3] & 15, rcode);
	ck_assert_int_eq(next(), 0);
}

START_TEST(relayed)
{
	rig_begin();
	servers(S1, S2);
	for (int tcp = 0; tcp <= 1; tcp++) {
		ask(7, tcp, 1232);
		expect_query(S1, tcp);
		ck_assert_uint_eq(query.len, 27 + 11); /* as it came, EDNS included */
		answer(DNS_NOERROR, 100);
		expect_reply(7, DNS_NOERROR);
		ck_assert_uint_eq(reply.len, 27 + 12 + 100);
		ck_assert_uint_eq(reply.data[2] & 2, 0);
	}
	/* An answer to nothing. */
	answer(DNS_NOERROR, 100);
	ck_assert_int_eq(next(), 0);
	/* No such name is an answer. */
	ask(8, false, 0);
	expect_query(S1, false);
	answer(DNS_NXDOMAIN, 0);
	expect_reply(8, DNS_NXDOMAIN);
	rig_end();
}
END_TEST

/* Whatever fits one packet of the tunnel goes by UDP when the asker takes it; all of 65,535 bytes by TCP. */
START_TEST(any_legal_size)
{
	static const struct {
		uint16_t udp_size;
		size_t payload;
		bool cut;
	} cases[] = {
		{ 0, 512 - 39, false },    { 0, 513 - 39, true },      { 1232, 1232 - 39, false },
		{ 1232, 1233 - 39, true }, { 4096, 1232 - 39, false }, { 4096, 1749, true },
		{ 600, 600 - 39, false },  { 600, 601 - 39, true },    { 100, 512 - 39, false },
	};

	rig_begin();
	servers(S1, NULL);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		ask(7, false, cases[i].udp_size);
		expect_query(S1, false);
		answer(DNS_NOERROR, cases[i].payload);
		expect_reply(7, DNS_NOERROR);
		ck_assert_msg(((reply.data[2] & 2) != 0) == cases[i].cut, "case %zu", i);
		ck_assert_uint_eq(reply.len, cases[i].cut ? 27 : 39 + cases[i].payload);
	}
	ask(7, true, 0);
	expect_query(S1, true);
	answer(DNS_NOERROR, DNS_MESSAGE_MAX - 39);
	expect_reply(7, DNS_NOERROR);
	ck_assert_uint_eq(reply.len, DNS_MESSAGE_MAX);
	rig_end();
}
END_TEST

START_TEST(failover)
{
	rig_begin();
	servers(S1, S2);
	ask(1, false, 0);
	expect_query(S1, false);
	ck_assert_uint_le(query.timeout_ms, 1500);
	no_answer(FZ_ERR_TIMEOUT);
	expect_query(S2, false);
	answer(DNS_NOERROR, 10);
	expect_reply(1, DNS_NOERROR);
	/* The silent one waits a while. */
	ask(2, false, 0);
	expect_query(S2, false);
	answer(DNS_NOERROR, 10);
	expect_reply(2, DNS_NOERROR);
	rig.now_us += FZ_SEC(31);
	ask(3, true, 0);
	expect_query(S1, true);
	no_answer(FZ_ERR_IO);
	expect_query(S2, true);
	answer(DNS_SERVFAIL, 0);
	expect_reply(3, DNS_SERVFAIL);
	/* One that is unwilling: somebody else may know; if nobody does, the last word counts. */
	rig.now_us += FZ_SEC(31);
	ask(4, true, 0);
	expect_query(S1, true);
	answer(DNS_SERVFAIL, 0);
	expect_query(S2, true);
	answer(DNS_REFUSED, 0);
	expect_reply(4, DNS_REFUSED);
	rig_end();
}
END_TEST

START_TEST(nobody_answers)
{
	unsigned tries = 0;
	uint64_t begin_us;

	rig_begin();
	/* No servers at all. */
	ask(1, false, 0);
	expect_reply(1, DNS_SERVFAIL);
	servers(S1, NULL);
	begin_us = rig.now_us;
	ask(2, false, 0);
	while (next() == FZ_EVENT_DNS_QUERY) {
		tries++;
		no_answer(FZ_ERR_TIMEOUT);
	}
	ck_assert_uint_eq(reply.request, 2);
	ck_assert_uint_eq(reply.data[3] & 15, DNS_SERVFAIL);
	ck_assert_uint_eq(tries, 3); /* a datagram may have been lost */
	ck_assert_uint_lt(rig.now_us - begin_us, FZ_SEC(5));
	/* The only server refuses: that is its answer. */
	ask(3, false, 0);
	expect_query(S1, false);
	answer(DNS_REFUSED, 0);
	expect_reply(3, DNS_REFUSED);
	/* Two refuse and are silent in turns. */
	servers(S1, S2);
	ask(4, false, 0);
	expect_query(S1, false);
	answer(DNS_REFUSED, 0);
	while (next() == FZ_EVENT_DNS_QUERY)
		no_answer(FZ_ERR_TIMEOUT);
	ck_assert_uint_eq(reply.data[3] & 15, DNS_REFUSED);
	rig_end();
}
END_TEST

START_TEST(malformed)
{
	static const char *const bad[] = {
		"abcd 0100 0001 0000 0000 00",
		"abcd 8100 0001 0000 0000 0000 0161 00 0010 0001", /* a reply */
		"abcd 0100 0000 0000 0000 0000",
		"abcd 0100 0002 0000 0000 0000 0161 00 0010 0001 0161 00 0010 0001",
		"abcd 0100 0001 0000 0000 0000 0161",
		"abcd 0100 0001 0000 0000 0000 c00c 0010 0001",
	};
	uint8_t p[100];

	rig_begin();
	servers(S1, NULL);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct fz_dns_request r = { .id = i, .data = p, .len = unit_hex(p, sizeof(p), bad[i]) };
		r.peer.ip = rig_ip("100.64.0.1");
		endpoint_dns_request(rig.g->endpoint, &r, rig.now_us);
		ck_assert_int_eq(next(), FZ_EVENT_DNS_REPLY);
		ck_assert_uint_eq(reply.request, i);
		ck_assert_uint_eq(reply.len, 0);
	}
	/* Any opcode and class is handed on. */
	struct fz_dns_request r = { .id = 9,
				    .data = p,
				    .len = unit_hex(p, sizeof(p),
						    "abcd 2900 0001 0000 0000 0000 0161 00 0010 0003") };
	r.peer.ip = rig_ip("100.64.0.1");
	endpoint_dns_request(rig.g->endpoint, &r, rig.now_us);
	expect_query(S1, false);
	ck_assert_uint_eq(site_dns_stats(rig.g->dns)->malformed, 6);
	rig_end();
}
END_TEST

START_TEST(limits)
{
	unsigned queries = 0, failed = 0;
	enum fz_event_type type;

	rig_begin();
	servers(S1, NULL);
	/* One address has its share, another one has its own. */
	for (unsigned i = 0; i < SITE_DNS_EACH + 20; i++)
		ask_as("100.64.0.1", i, false, 0);
	ask_as("100.64.0.2", 500, false, 0);
	while ((type = next()) != 0) {
		queries += type == FZ_EVENT_DNS_QUERY;
		failed += type == FZ_EVENT_DNS_REPLY;
	}
	ck_assert_uint_eq(queries, SITE_DNS_EACH + 1);
	ck_assert_uint_eq(failed, 20);
	/* One that ends makes room. Other servers now: those under way go to them when they try again. */
	servers(S2, NULL);
	no_answer(FZ_ERR_TIMEOUT);
	expect_query(S2, false);
	answer(DNS_NOERROR, 1);
	expect_reply(500, DNS_NOERROR);
	ask(5000, false, 0);
	expect_query(S2, false);
	rig_end();
}
END_TEST

/* Hosts next to the gateway can send to its tunnel addresses too: they are no clients. */
START_TEST(strangers)
{
	static const char *const who[] = { "192.0.2.7", "100.64.0.77", "fd00:2021:1111::77", "2001:db8::1" };

	rig_begin();
	servers(S1, NULL);
	for (size_t i = 0; i < sizeof(who) / sizeof(who[0]); i++) {
		ask_as(who[i], i, i % 2, 0);
		ck_assert_int_eq(next(), FZ_EVENT_DNS_REPLY);
		ck_assert_uint_eq(reply.request, i);
		ck_assert_uint_eq(reply.len, 0); /* no answer, a connection is closed */
	}
	ck_assert_uint_eq(rig_drops(DROP_DNS), 4);
	ck_assert_uint_eq(site_dns_stats(rig.g->dns)->queries, 0);
	rig_end();
}
END_TEST

/* The service is where the tunnel's addresses are. */
START_TEST(listens)
{
	struct portal_event ev = { .type = PORTAL_EVENT_INIT };
	struct fz_event host;
	unsigned open = 0, closed = 0;

	rig_begin();
	ev.u.init.interface.ipv4 = rig_ip("100.64.1.1");
	ev.u.init.interface.ipv6 = rig_ip("fd00:2021:1111::1:1");
	gateway_message(rig.g, &ev, rig.now_us);
	while (endpoint_poll_event(rig.g->endpoint, &host)) {
		if (host.type != FZ_EVENT_DNS_LISTEN)
			continue;
		ck_assert_uint_eq(host.u.dns_listen.addr.port, 53535);
		ck_assert(host.u.dns_listen.udp == host.u.dns_listen.tcp);
		open += host.u.dns_listen.udp;
		closed += !host.u.dns_listen.udp;
	}
	ck_assert_uint_eq(open, 2);
	ck_assert_uint_eq(closed, 0);
	ev.u.init.interface.ipv4 = rig_ip("100.64.1.2");
	gateway_message(rig.g, &ev, rig.now_us);
	open = 0;
	while (endpoint_poll_event(rig.g->endpoint, &host)) {
		if (host.type != FZ_EVENT_DNS_LISTEN)
			continue;
		open += host.u.dns_listen.udp;
		closed += !host.u.dns_listen.udp;
	}
	ck_assert_uint_eq(open, 2);
	ck_assert_uint_ge(closed, 1);
	rig_end();
}
END_TEST

START_TEST(failing_allocations)
{
	bool ok = false;

	for (long n = 1; !ok; n++) {
		if (rig_try(n)) {
			servers(S1, NULL);
			ask(1, false, 0);
			if (next() == FZ_EVENT_DNS_QUERY) {
				answer(DNS_NOERROR, 10);
				ok = next() == FZ_EVENT_DNS_REPLY && reply.len > 0;
			}
		}
		rig_end();
	}
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("site_dns");

	unit_case(s, "queries", relayed, any_legal_size, failover, nobody_answers, malformed, limits,
		  strangers, listens);
	unit_case(s, "memory", failing_allocations);
	return s;
}
