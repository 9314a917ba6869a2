/* SPDX-License-Identifier: Apache-2.0 */
/* Names that the stub passes on: to whom, how long it waits, and what becomes of the answer. */
#include "dns_rig.h"

#include "base/time.h"
#include "base/wr.h"
#include "core/route.h"

#define S1 "192.0.2.1"
#define S2 "192.0.2.2"
#define S3 "192.0.2.3"

/* ---- answers ---- */

START_TEST(a6_45_answers_are_kept)
{
	struct fz_uuid id = rig_id(1);
	struct rig r;

	rig_init(&r, 1);
	rig_ask(&r, "www.example.org", DNS_A);
	rig_reply(&r, rig_want_exchange(&r, DNS_PATH_DIRECT, S1), 2, 60);
	struct dns_msg m = rig_want_answer(&r, DNS_NOERROR, 2);
	ck_assert_uint_eq(m.id, 0x1234);
	ck_assert_uint_eq(m.flags, DNS_QR | DNS_AA | DNS_RD | DNS_RA); /* as it came */
	rig_sleep(&r, FZ_SEC(59));
	rig_ask_tcp(&r, "WWW.example.org", DNS_A); /* whoever asks, however */
	m = rig_want_answer(&r, DNS_NOERROR, 2);
	ck_assert_uint_eq(m.flags, DNS_QR | DNS_RD);
	rig_ask(&r, "www.example.org", DNS_AAAA); /* another type */
	rig_reply(&r, rig_want_exchange(&r, DNS_PATH_DIRECT, S1), 1, 60);
	rig_want_answer(&r, DNS_NOERROR, 1);
	rig_sleep(&r, FZ_SEC(1));
	rig_ask(&r, "www.example.org", DNS_A);
	rig_reply(&r, rig_want_exchange(&r, DNS_PATH_DIRECT, S1), 1, 60);
	rig_want_answer(&r, DNS_NOERROR, 1);
	/* Any change of resources, and of servers, empties it. */
	dns_stub_remove_resource(r.stub, &id, r.now_us);
	rig_ask(&r, "www.example.org", DNS_A);
	rig_reply(&r, rig_want_exchange(&r, DNS_PATH_DIRECT, S1), 1, 60);
	rig_want_answer(&r, DNS_NOERROR, 1);
	struct fz_ip two[2] = { rig_ip(S1), rig_ip(S2) };
	ck_assert(dns_stub_set_system(r.stub, two, 2, r.now_us));
	struct dns_origin o = rig_origin("100.100.111.2", 50000, false);
	r.query_len = rig_message(r.query, 1, DNS_RD, "www.example.org", DNS_A);
	ck_assert_int_eq(dns_stub_handle_query(r.stub, &o, r.query, r.query_len, r.now_us), 0);
	rig_want_exchange(&r, DNS_PATH_DIRECT, S1);
	/* The old sentinel is nobody's. */
	o.sentinel.b[3] = 1;
	ck_assert_int_eq(dns_stub_handle_query(r.stub, &o, r.query, r.query_len, r.now_us), FZ_ERR_NOT_FOUND);
	rig_clear(&r);
}
END_TEST

/* What the stub makes up itself is not kept: when the resource goes, so does its answer. */
START_TEST(a6_45_own_answers_are_not)
{
	struct fz_uuid id = rig_id(1);
	struct rig r;

	rig_init(&r, 1);
	rig_resource(&r, 1, "web.example", PORTAL_STACK_DUAL);
	rig_ask(&r, "web.example", DNS_A);
	rig_want(&r, DNS_OUT_NAME);
	rig_want_answer(&r, DNS_NOERROR, 4);
	ck_assert_uint_eq(dns_stub_stats(r.stub)->cached, 0);
	dns_stub_remove_resource(r.stub, &id, r.now_us);
	rig_ask(&r, "web.example", DNS_A);
	rig_want_exchange(&r, DNS_PATH_DIRECT, S1);
	rig_clear(&r);
}
END_TEST

START_TEST(errors_of_servers_pass)
{
	static const int codes[] = { DNS_FORMERR, DNS_SERVFAIL, DNS_NXDOMAIN, DNS_NOTIMP, DNS_REFUSED };
	uint8_t buf[512];
	struct rig r;

	rig_init(&r, 2);
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		rig_ask(&r, "x.example", DNS_A);
		uint64_t id = rig_want_exchange(&r, DNS_PATH_DIRECT, S1);
		size_t len = rig_message(buf, 0x1234, (uint16_t)(DNS_QR | codes[i]), "x.example", DNS_A);
		dns_stub_handle_answer(r.stub, id, 0, buf, len, r.now_us);
		rig_want_answer(&r, codes[i], 0);
		rig_want_nothing(&r);
	}
	rig_clear(&r);
}
END_TEST

/* Sizes of answers by UDP: what the asker takes, 512 without a word, and never more than a packet holds. */
static const struct {
	const char *why;
	uint16_t edns; /* 0 = none */
	bool tcp;
	unsigned records; /* 16 bytes each behind 33 */
	bool whole;
} sizes[] = {
	{ "small", 0, false, 29, true },
	{ "above 512 without EDNS", 0, false, 30, false },
	{ "EDNS of less than 512", 100, false, 29, true },
	{ "EDNS of 900", 900, false, 54, true },
	{ "above EDNS of 900", 900, false, 55, false },
	{ "1212 bytes", 4096, false, 73, true },
	{ "more than a packet holds", 4096, false, 74, false },
	{ "a thousand by TCP", 0, true, 1000, true },
};

START_TEST(a7_2_long_answers)
{
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct rig r;
		rig_init(&r, 1);
		for (int round = 0; round < 2; round++) { /* from the server, from the cache */
			struct dns_origin o = rig_origin("100.100.111.1", 50000, sizes[i].tcp);
			size_t len = rig_message(r.query, 1, DNS_RD, "size.example.org", DNS_A);
			if (sizes[i].edns)
				len = rig_add_opt(r.query, len, sizes[i].edns, false);
			ck_assert_int_eq(dns_stub_handle_query(r.stub, &o, r.query, len, r.now_us), 0);
			if (round == 0) {
				uint64_t id = rig_want_exchange(&r, DNS_PATH_DIRECT, S1);
				ck_assert_int_eq(r.out.u.exchange.tcp, sizes[i].tcp);
				rig_reply(&r, id, sizes[i].records, 60);
			}
			struct dns_msg m =
				rig_want_answer(&r, DNS_NOERROR, sizes[i].whole ? sizes[i].records : 0);
			ck_assert_msg(!(m.flags & DNS_TC) == sizes[i].whole, "%s", sizes[i].why);
			ck_assert_uint_eq(m.len, 34 + (sizes[i].whole ? 16 * sizes[i].records : 0));
		}
		ck_assert_uint_eq(dns_stub_stats(r.stub)->cached, 1);
		rig_clear(&r);
	}
}
END_TEST

/* A server that cuts its answer off itself: passed on as it is, and not kept. */
START_TEST(truncated_by_the_server)
{
	uint8_t buf[512];
	struct rig r;
	size_t len;

	rig_init(&r, 1);
	for (int i = 0; i < 2; i++) {
		rig_ask(&r, "big.example", DNS_A);
		uint64_t id = rig_want_exchange(&r, DNS_PATH_DIRECT, S1);
		len = rig_message(buf, 0x1234, DNS_QR | DNS_TC, "big.example", DNS_A);
		len = rig_add_answer(buf, len, DNS_A, 60, "\1\2\3\4", 4);
		dns_stub_handle_answer(r.stub, id, 0, buf, len, r.now_us);
		struct dns_msg m = rig_want_answer(&r, DNS_NOERROR, 1);
		ck_assert(m.flags & DNS_TC);
	}
	/* The asker comes back by TCP; so do we. */
	rig_ask_tcp(&r, "big.example", DNS_A);
	rig_want_exchange(&r, DNS_PATH_DIRECT, S1);
	ck_assert(r.out.u.exchange.tcp);
	rig_clear(&r);
}
END_TEST

/* ---- silence and errors ---- */

START_TEST(a6_47_no_server_answers)
{
	struct rig r;

	rig_init(&r, 1);
	rig_ask(&r, "x.example", DNS_A);
	rig_want_exchange(&r, DNS_PATH_DIRECT, S1);
	ck_assert_uint_eq(r.out.u.exchange.timeout_ms, 4500);
	ck_assert_uint_eq(r.out.u.exchange.server.port, 53);
	rig_sleep(&r, FZ_MS(1500) - 1);
	rig_want_nothing(&r);
	rig_sleep(&r, 1); /* a datagram may get lost */
	rig_want_exchange(&r, DNS_PATH_DIRECT, S1);
	rig_sleep(&r, FZ_MS(1500));
	rig_want_exchange(&r, DNS_PATH_DIRECT, S1);
	rig_sleep(&r, FZ_MS(1500) - 1);
	rig_want_nothing(&r);
	rig_sleep(&r, 1);
	rig_want_answer(&r, DNS_SERVFAIL, 0);
	rig_want_nothing(&r);
	ck_assert_uint_eq(dns_stub_next_timeout(r.stub), FZ_NEVER_US);
	rig_clear(&r);
}
END_TEST

START_TEST(a6_47_by_tcp)
{
	struct rig r;

	rig_init(&r, 1);
	rig_ask_tcp(&r, "x.example", DNS_A);
	rig_want_exchange(&r, DNS_PATH_DIRECT, S1);
	for (int i = 0; i < 2; i++) {
		rig_sleep(&r, FZ_MS(1500));
		rig_want_nothing(&r); /* TCP repeats by itself */
	}
	rig_sleep(&r, FZ_MS(1500));
	rig_want_answer(&r, DNS_SERVFAIL, 0);
	ck_assert(r.out.u.answer.origin.tcp);
	ck_assert_uint_eq(r.out.u.answer.origin.request, 1);
	rig_clear(&r);
}
END_TEST

START_TEST(the_next_server_is_asked)
{
	struct rig r;
	uint64_t first, second;

	rig_init(&r, 3);
	rig_ask(&r, "x.example", DNS_A);
	first = rig_want_exchange(&r, DNS_PATH_DIRECT, S1);
	rig_sleep(&r, FZ_MS(1500));
	second = rig_want_exchange(&r, DNS_PATH_DIRECT, S2);
	rig_sleep(&r, FZ_MS(1500));
	rig_want_exchange(&r, DNS_PATH_DIRECT, S3);
	/* The first may still answer. */
	rig_reply(&r, first, 1, 1);
	rig_want_answer(&r, DNS_NOERROR, 1);
	rig_reply(&r, second, 1, 1);
	rig_want_nothing(&r);
	ck_assert_uint_eq(dns_stub_stats(r.stub)->late, 1);
	ck_assert_uint_eq(dns_stub_stats(r.stub)->silent, 2);
	rig_clear(&r);
}
END_TEST

static void one_silence(struct rig *r, const char *first, const char *second)
{
	rig_ask(r, "x.example", DNS_A);
	rig_want_exchange(r, DNS_PATH_DIRECT, first);
	rig_sleep(r, FZ_MS(1500));
	rig_reply(r, rig_want_exchange(r, DNS_PATH_DIRECT, second), 1, 1);
	rig_want_answer(r, DNS_NOERROR, 1);
}

START_TEST(a6_46_silent_server_is_asked_last)
{
	struct rig r;

	rig_init(&r, 2);
	one_silence(&r, S1, S2);
	one_silence(&r, S1, S2); /* the second time in a row */
	for (int i = 0; i < 3; i++) {
		rig_sleep(&r, FZ_SEC(9));
		rig_ask(&r, "x.example", DNS_A);
		rig_reply(&r, rig_want_exchange(&r, DNS_PATH_DIRECT, S2), 1, 1);
		rig_want_answer(&r, DNS_NOERROR, 1);
	}
	rig_sleep(&r, FZ_SEC(5)); /* after 30 s it has another chance; it was not back: 30 s more */
	one_silence(&r, S1, S2);
	rig_ask(&r, "x.example", DNS_A);
	rig_reply(&r, rig_want_exchange(&r, DNS_PATH_DIRECT, S2), 1, 1);
	rig_want_answer(&r, DNS_NOERROR, 1);
	rig_sleep(&r, FZ_SEC(30));
	rig_ask(&r, "x.example", DNS_A);
	rig_reply(&r, rig_want_exchange(&r, DNS_PATH_DIRECT, S1), 1, 1); /* it is back */
	rig_want_answer(&r, DNS_NOERROR, 1);
	one_silence(&r, S1, S2); /* and may fail once again */
	rig_ask(&r, "x.example", DNS_A);
	rig_want_exchange(&r, DNS_PATH_DIRECT, S1);
	rig_clear(&r);
}
END_TEST

START_TEST(a6_46_all_are_bad)
{
	struct rig r;

	rig_init(&r, 2);
	for (int i = 0; i < 3; i++) {
		rig_ask(&r, "x.example", DNS_A);
		rig_error(&r, rig_want_exchange(&r, DNS_PATH_DIRECT, S1), FZ_ERR_IO);
		rig_error(&r, rig_want_exchange(&r, DNS_PATH_DIRECT, S2), FZ_ERR_IO);
		rig_want_answer(&r, DNS_SERVFAIL, 0); /* without waiting: nobody is left */
		rig_want_nothing(&r);
	}
	/* Another network: the first is as good as ever. */
	dns_stub_reset(r.stub, r.now_us);
	rig_ask(&r, "x.example", DNS_A);
	rig_want_exchange(&r, DNS_PATH_DIRECT, S1);
	rig_clear(&r);
}
END_TEST

START_TEST(an_error_while_another_may_answer)
{
	struct rig r;
	uint64_t first, second;

	rig_init(&r, 2);
	rig_ask(&r, "x.example", DNS_A);
	first = rig_want_exchange(&r, DNS_PATH_DIRECT, S1);
	rig_sleep(&r, FZ_MS(1500));
	second = rig_want_exchange(&r, DNS_PATH_DIRECT, S2);
	rig_error(&r, second, FZ_ERR_IO);
	rig_want_nothing(&r);
	rig_error(&r, second, FZ_ERR_IO); /* the same result twice */
	rig_reply(&r, first, 1, 1);
	rig_want_answer(&r, DNS_NOERROR, 1);
	rig_clear(&r);
}
END_TEST

START_TEST(answers_to_another_question)
{
	uint8_t buf[512];
	struct rig r;

	rig_init(&r, 2);
	rig_ask(&r, "x.example", DNS_A);
	uint64_t id = rig_want_exchange(&r, DNS_PATH_DIRECT, S1);
	size_t len = rig_message(buf, 0x1234, DNS_QR, "y.example", DNS_A);
	dns_stub_handle_answer(r.stub, id, 0, buf, len, r.now_us);
	id = rig_want_exchange(&r, DNS_PATH_DIRECT, S2);
	dns_stub_handle_answer(r.stub, id, 0, buf, 5, r.now_us); /* no message at all */
	rig_want_answer(&r, DNS_SERVFAIL, 0);
	ck_assert_uint_eq(dns_stub_stats(r.stub)->strange, 2);
	/* Ids of nobody, and of those who are gone. */
	dns_stub_handle_answer(r.stub, id, 0, buf, len, r.now_us);
	dns_stub_handle_answer(r.stub, 0, 0, buf, len, r.now_us);
	dns_stub_handle_answer(r.stub, UINT64_MAX, 0, buf, len, r.now_us);
	dns_stub_handle_answer(r.stub, 1023 << 3, FZ_ERR_IO, NULL, 0, r.now_us);
	rig_want_nothing(&r);
	rig_clear(&r);
}
END_TEST

START_TEST(a7_3_equal_ids_and_repetitions)
{
	struct rig r;
	uint64_t id;

	rig_init(&r, 1);
	rig_ask(&r, "x.example", DNS_A);
	id = rig_want_exchange(&r, DNS_PATH_DIRECT, S1);
	rig_ask(&r, "x.example", DNS_A);
	rig_want_nothing(&r);
	/* From another port it is another query. */
	struct dns_origin o = rig_origin("100.100.111.1", 50001, false);
	ck_assert_int_eq(dns_stub_handle_query(r.stub, &o, r.query, r.query_len, r.now_us), 0);
	uint64_t other = rig_want_exchange(&r, DNS_PATH_DIRECT, S1);
	rig_reply(&r, id, 1, 1);
	rig_want_answer(&r, DNS_NOERROR, 1);
	rig_want_nothing(&r);
	rig_reply(&r, other, 1, 1);
	rig_want_answer(&r, DNS_NOERROR, 1);
	ck_assert_uint_eq(r.out.u.answer.origin.peer.port, 50001);
	/* Answered: the same may be asked anew. */
	rig_ask(&r, "x.example", DNS_A);
	rig_want_exchange(&r, DNS_PATH_DIRECT, S1);
	rig_clear(&r);
}
END_TEST

/* ---- through the tunnel ---- */

static void set_portal(struct rig *r, const char *a, const char *b, const char *url, bool changes)
{
	struct fz_ip ips[2];
	struct portal_interface i = { .upstream_do53 = ips,
				      .upstream_doh = &url,
				      .upstream_doh_len = url != NULL };
	bool changed;

	if (a)
		ips[i.upstream_do53_len++] = rig_ip(a);
	if (b)
		ips[i.upstream_do53_len++] = rig_ip(b);
	ck_assert_int_eq(dns_stub_set_portal(r->stub, &i, &changed, r->now_us), 0);
	ck_assert_int_eq(changed, changes);
}

static void ask_at(struct rig *r, const char *sentinel, const char *name)
{
	struct dns_origin o = rig_origin(sentinel, 50000, false);

	r->query_len = rig_message(r->query, 0x1234, DNS_RD, name, DNS_A);
	ck_assert_int_eq(dns_stub_handle_query(r->stub, &o, r->query, r->query_len, r->now_us), 0);
}

/* A CIDR resource 10.20.0.0/16. */
static struct route_table *make_routes(struct rig *r, const struct fz_uuid *id)
{
	struct route_table *cidr;
	struct filter *all;
	struct fz_prefix net;

	ck_assert_int_eq(route_table_new(&r->u.env, NULL, 10, &cidr), 0);
	ck_assert_int_eq(fz_prefix_parse("10.20.0.0/16", &net), 0);
	ck_assert_int_eq(filter_new(&r->u.env, NULL, 0, &all), 0);
	ck_assert_int_eq(route_add(cidr, &net, id, all, NULL), 0);
	filter_unref(all);
	return cidr;
}

START_TEST(a6_44_server_is_a_resource)
{
	struct route_table *cidr;
	struct fz_uuid id = rig_id(1);
	struct rig r;

	rig_init(&r, 1);
	cidr = make_routes(&r, &id);
	set_portal(&r, "10.20.0.53", "203.0.113.53", NULL, true);
	dns_stub_route(r.stub, false, cidr);
	ask_at(&r, "100.100.111.2", "x.example");
	rig_want_exchange(&r, DNS_PATH_TUNNEL, "10.20.0.53");
	ck_assert_uint_eq(r.out.u.exchange.timeout_ms, 10000);
	/* Silence: once more, but never outside, where a name of the inside is nobody's business. */
	rig_sleep(&r, FZ_MS(2500));
	rig_want_exchange(&r, DNS_PATH_TUNNEL, "10.20.0.53");
	for (int i = 0; i < 2; i++) {
		rig_sleep(&r, FZ_MS(2500));
		rig_want_exchange(&r, DNS_PATH_TUNNEL, "10.20.0.53");
	}
	rig_sleep(&r, FZ_MS(2500));
	rig_want_answer(&r, DNS_SERVFAIL, 0);
	ask_at(&r, "100.100.111.3", "x.example");
	rig_error(&r, rig_want_exchange(&r, DNS_PATH_DIRECT, "203.0.113.53"), FZ_ERR_IO);
	rig_want_answer(&r, DNS_SERVFAIL, 0);
	/* The internet resource takes all of them. */
	dns_stub_route(r.stub, true, cidr);
	ask_at(&r, "100.100.111.3", "x.example");
	rig_error(&r, rig_want_exchange(&r, DNS_PATH_TUNNEL, "203.0.113.53"), FZ_ERR_IO);
	rig_error(&r, rig_want_exchange(&r, DNS_PATH_TUNNEL, "10.20.0.53"), FZ_ERR_IO);
	rig_want_answer(&r, DNS_SERVFAIL, 0);
	/* The resource goes: outside again. */
	ck_assert_uint_eq(route_remove_id(cidr, &id), 1);
	dns_stub_route(r.stub, false, cidr);
	ask_at(&r, "100.100.111.2", "x.example");
	rig_want_exchange(&r, DNS_PATH_DIRECT, "10.20.0.53");
	route_table_free(cidr);
	rig_clear(&r);
}
END_TEST

START_TEST(a6_44_only_servers_of_the_portal)
{
	struct fz_ip inside = rig_ip("10.20.0.53");
	struct route_table *cidr;
	struct fz_uuid id = rig_id(1);
	struct rig r;

	rig_init(&r, 0);
	cidr = make_routes(&r, &id);
	ck_assert(dns_stub_set_system(r.stub, &inside, 1, r.now_us));
	dns_stub_route(r.stub, true, cidr);
	ask_at(&r, "100.100.111.1", "x.example");
	rig_want_exchange(&r, DNS_PATH_DIRECT, "10.20.0.53");
	set_portal(&r, NULL, NULL, "https://dns.example/dns-query", true);
	rig_want_exchange(&r, DNS_PATH_DIRECT, "https://dns.example/dns-query"); /* the query under way */
	ask_at(&r, "100.100.111.2", "y.example");
	rig_want_exchange(&r, DNS_PATH_DIRECT, "https://dns.example/dns-query");
	rig_sleep(&r, FZ_MS(1500));
	rig_want_nothing(&r); /* HTTPS repeats by itself */
	dns_stub_route(r.stub, false, cidr);
	set_portal(&r, "10.20.0.53", NULL, NULL, true);
	rig_want_exchange(&r, DNS_PATH_TUNNEL, "10.20.0.53");
	rig_want_exchange(&r, DNS_PATH_TUNNEL, "10.20.0.53");
	/* The system's own server, named by the portal or not: the same sentinel, another way. */
	set_portal(&r, NULL, NULL, NULL, false);
	ask_at(&r, "100.100.111.1", "z.example");
	rig_want_exchange(&r, DNS_PATH_DIRECT, "10.20.0.53");
	set_portal(&r, "10.20.0.53", NULL, NULL, false);
	ask_at(&r, "100.100.111.1", "zz.example");
	rig_want_exchange(&r, DNS_PATH_TUNNEL, "10.20.0.53");
	route_table_free(cidr);
	rig_clear(&r);
}
END_TEST

/* ---- changes while queries are under way ---- */

START_TEST(other_servers)
{
	struct fz_ip other = rig_ip("198.51.100.1");
	struct rig r;
	uint64_t old, id;

	rig_init(&r, 1);
	rig_ask(&r, "x.example", DNS_A);
	old = rig_want_exchange(&r, DNS_PATH_DIRECT, S1);
	ck_assert(dns_stub_set_system(r.stub, &other, 1, r.now_us));
	id = rig_want_exchange(&r, DNS_PATH_DIRECT, "198.51.100.1");
	rig_reply(&r, old, 1, 1); /* of another network, perhaps */
	rig_want_nothing(&r);
	rig_reply(&r, id, 2, 1);
	rig_want_answer(&r, DNS_NOERROR, 2);
	ck_assert_uint_eq(r.out.u.answer.origin.sentinel.b[3], 1); /* from where it was asked */
	ask_at(&r, "100.100.111.2", "y.example");
	rig_want_exchange(&r, DNS_PATH_DIRECT, "198.51.100.1");
	ck_assert(dns_stub_set_system(r.stub, NULL, 0, r.now_us));
	rig_want_answer(&r, DNS_SERVFAIL, 0);
	rig_want_nothing(&r);
	rig_clear(&r);
}
END_TEST

START_TEST(another_network)
{
	struct rig r;
	uint64_t old, id;

	rig_init(&r, 1);
	rig_ask(&r, "x.example", DNS_A);
	old = rig_want_exchange(&r, DNS_PATH_DIRECT, S1);
	dns_stub_reset(r.stub, r.now_us);
	id = rig_want_exchange(&r, DNS_PATH_DIRECT, S1);
	rig_error(&r, old, FZ_ERR_IO); /* its socket is gone */
	rig_want_nothing(&r);
	rig_reply(&r, id, 1, 1);
	rig_want_answer(&r, DNS_NOERROR, 1);
	/* However often that happens, one query has a bounded number of exchanges, and an answer. */
	rig_ask(&r, "x.example", DNS_A);
	for (unsigned i = 0;; i++) {
		ck_assert(dns_stub_poll(r.stub, &r.out, r.now_us));
		if (r.out.type == DNS_OUT_ANSWER)
			break;
		ck_assert_uint_lt(i, 20);
		dns_stub_reset(r.stub, r.now_us);
	}
	rig_want_nothing(&r);
	rig_clear(&r);
}
END_TEST

/* ---- bounds ---- */

static void ask_from(struct rig *r, uint16_t port)
{
	struct dns_origin o = rig_origin("100.100.111.1", port, false);

	ck_assert_int_eq(dns_stub_handle_query(r->stub, &o, r->query, r->query_len, r->now_us), 0);
}

START_TEST(too_many_queries)
{
	struct rig r;
	uint64_t some = 0;

	rig_init(&r, 1);
	size_t len = rig_message(r.query, 1, DNS_RD, "x.example", DNS_A);
	for (uint16_t i = 0; i < DNS_STUB_QUERIES; i++) {
		r.query_len = len;
		ask_from(&r, (uint16_t)(1000 + i));
		some = rig_want_exchange(&r, DNS_PATH_DIRECT, S1);
	}
	ask_from(&r, 999);
	rig_want_answer(&r, DNS_SERVFAIL, 0);
	ck_assert_uint_eq(r.out.u.answer.origin.peer.port, 999);
	ck_assert_uint_eq(dns_stub_stats(r.stub)->full, 1);
	rig_reply(&r, some, 1, 1);
	rig_want_answer(&r, DNS_NOERROR, 1);
	ask_from(&r, 999); /* there is room again */
	rig_want_exchange(&r, DNS_PATH_DIRECT, S1);
	/* All of them end. */
	unsigned answers = 0;
	for (int i = 0; i < 20; i++) {
		rig_sleep(&r, FZ_MS(500));
		while (dns_stub_poll(r.stub, &r.out, r.now_us))
			answers += r.out.type == DNS_OUT_ANSWER;
	}
	ck_assert_uint_eq(answers, DNS_STUB_QUERIES);
	rig_clear(&r);
}
END_TEST

START_TEST(too_many_bytes)
{
	struct rig r;
	unsigned taken = 0;

	rig_init(&r, 1);
	rig_message(r.query, 1, DNS_RD, "x.example", DNS_A);
	r.query_len = DNS_STUB_QUERY_MAX + 1;
	ask_from(&r, 999);
	rig_want_answer(&r, DNS_SERVFAIL, 0);
	for (uint16_t i = 0; i < 200; i++) {
		r.query_len = DNS_STUB_QUERY_MAX;
		ask_from(&r, (uint16_t)(1000 + i));
		ck_assert(dns_stub_poll(r.stub, &r.out, r.now_us));
		taken += r.out.type == DNS_OUT_EXCHANGE;
	}
	ck_assert_uint_eq(taken, DNS_STUB_BYTES / DNS_STUB_QUERY_MAX);
	rig_clear(&r);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("dns_forward");

	unit_case(s, "answers", a6_45_answers_are_kept, a6_45_own_answers_are_not, errors_of_servers_pass,
		  a7_2_long_answers, truncated_by_the_server);
	unit_case(s, "silence", a6_47_no_server_answers, a6_47_by_tcp, the_next_server_is_asked,
		  a6_46_silent_server_is_asked_last, a6_46_all_are_bad, an_error_while_another_may_answer,
		  answers_to_another_question, a7_3_equal_ids_and_repetitions);
	unit_case(s, "tunnel", a6_44_server_is_a_resource, a6_44_only_servers_of_the_portal);
	unit_case(s, "changes", other_servers, another_network);
	unit_case(s, "bounds", too_many_queries, too_many_bytes);
	return s;
}
