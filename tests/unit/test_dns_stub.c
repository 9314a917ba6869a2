/* SPDX-License-Identifier: Apache-2.0 */
/* Names that the stub answers itself. */
#include "dns_rig.h"

#include "base/time.h"
#include "base/wr.h"

static void check_vector(struct rig *r, const char *query, const char *answer)
{
	struct dns_origin o = rig_origin("100.100.111.1", 50000, false);

	r->query_len = unit_hex(r->query, sizeof(r->query), query);
	ck_assert_int_eq(dns_stub_handle_query(r->stub, &o, r->query, r->query_len, r->now_us), 0);
	do
		ck_assert(dns_stub_poll(r->stub, &r->out, r->now_us));
	while (r->out.type == DNS_OUT_NAME);
	ck_assert_int_eq(r->out.type, DNS_OUT_ANSWER);
	ck_assert(fz_ip_equal(&r->out.u.answer.origin.sentinel, &o.sentinel));
	ck_assert(fz_addr_equal(&r->out.u.answer.origin.peer, &o.peer));
	unit_assert_hex(r->out.u.answer.data, r->out.u.answer.len, answer);
	rig_want_nothing(r);
}

#define DB "026462076578616d706c6503636f6d00"

START_TEST(a6_11_recorded_answers)
{
	struct rig r;

	rig_init(&r, 1);
	rig_resource(&r, 1, "db.example.com", PORTAL_STACK_DUAL);
	check_vector(&r, "123401000001000000000000" DB "00010001",
		     "123481000001000400000000" DB "00010001" DB "000100010000000100046460000102646207"
		     "6578616d706c6503636f6d000001000100000001000464600002" DB
		     "0001000100000001000464600003" DB "0001000100000001000464600004");
	check_vector(&r, "123501000001000000000000" DB "001c0001",
		     "123581000001000400000000" DB "001c0001" DB
		     "001c0001000000010010fd002021111180000000000000000000" DB
		     "001c0001000000010010fd002021111180000000000000000001" DB
		     "001c0001000000010010fd002021111180000000000000000002" DB
		     "001c0001000000010010fd002021111180000000000000000003");
	check_vector(&r, "123601000001000000000000" DB "00410001", "123681000001000000000000" DB "00410001");
	check_vector(&r, "123701000001000000000000137573652d6170706c69636174696f6e2d646e73036e65740000010001",
		     "123781030001000000000000137573652d6170706c69636174696f6e2d646e73036e65740000010001");
	check_vector(&r, "123801000001000000000000013101300239360331303007696e2d61646472046172706100000c0001",
		     "123881000001000100000000013101300239360331303007696e2d61646472046172706100000c0001"
		     "013101300239360331303007696e2d61646472046172706100000c0001000000010010" DB);
	rig_clear(&r);
}
END_TEST

/* The answer, and before it the news that translations are to be renewed. */
static struct dns_msg want_resource(struct rig *r, unsigned answers, bool is_query)
{
	rig_want(r, DNS_OUT_NAME);
	ck_assert_int_eq(r->out.u.name.is_query, is_query);
	return rig_want_answer(r, DNS_NOERROR, answers);
}

static void check_first_ip(struct rig *r, const struct dns_msg *m, const char *want)
{
	size_t at = m->answers_at;
	struct dns_record rr;
	struct fz_ip ip = { 0 };
	char text[FZ_IP_STRLEN];

	ck_assert(dns_next_answer(m, &at, &rr));
	ck_assert_uint_eq(rr.ttl, 1);
	ip.family = rr.data_len == 4 ? FZ_FAMILY_INET : FZ_FAMILY_INET6;
	memcpy(ip.b, m->data + rr.data_at, rr.data_len);
	ck_assert_str_eq(fz_ip_format(&ip, text), want);
	rig_want_nothing(r);
}

START_TEST(a6_10_unusable_family)
{
	struct dns_msg m;
	struct rig r;

	rig_init(&r, 1);
	rig_resource(&r, 1, "six.example", PORTAL_STACK_IPV6_ONLY);
	rig_resource(&r, 2, "four.example", PORTAL_STACK_IPV4_ONLY);
	rig_ask(&r, "six.example", DNS_A);
	want_resource(&r, 0, true);
	rig_ask(&r, "six.example", DNS_AAAA);
	m = want_resource(&r, 4, true);
	check_first_ip(&r, &m, "fd00:2021:1111:8000::");
	rig_ask(&r, "four.example", DNS_AAAA);
	want_resource(&r, 0, true);
	rig_ask(&r, "four.example", DNS_A);
	m = want_resource(&r, 4, true);
	check_first_ip(&r, &m, "100.96.0.5");
	/* Another resource of the same name that can. */
	rig_resource(&r, 3, "*.example", PORTAL_STACK_IPV6_ONLY);
	rig_ask(&r, "four.example", DNS_AAAA);
	m = want_resource(&r, 4, true);
	check_first_ip(&r, &m, "fd00:2021:1111:8000::4");
	rig_clear(&r);
}
END_TEST

START_TEST(a6_12_the_same_again)
{
	struct dns_msg m;
	struct rig r;

	rig_init(&r, 1);
	rig_resource(&r, 1, "**.example", PORTAL_STACK_DUAL);
	rig_ask(&r, "a.example", DNS_A);
	m = want_resource(&r, 4, true);
	check_first_ip(&r, &m, "100.96.0.1");
	rig_ask(&r, "b.example", DNS_A);
	m = want_resource(&r, 4, true);
	check_first_ip(&r, &m, "100.96.0.5");
	rig_sleep(&r, FZ_SEC(3600));
	rig_ask(&r, "A.EXAMPLE", DNS_A);
	m = want_resource(&r, 4, true);
	check_first_ip(&r, &m, "100.96.0.1");
	ck_assert_uint_eq(proxy_ips_count(r.ips), 2);
	rig_clear(&r);
}
END_TEST

START_TEST(a6_13_ip_stack_restricted_later)
{
	struct rig r;

	rig_init(&r, 1);
	rig_resource(&r, 1, "web.example", PORTAL_STACK_DUAL);
	rig_ask(&r, "web.example", DNS_AAAA);
	want_resource(&r, 4, true);
	rig_resource(&r, 1, "web.example", PORTAL_STACK_IPV4_ONLY);
	rig_ask(&r, "web.example", DNS_AAAA);
	want_resource(&r, 0, true);
	rig_ask(&r, "web.example", DNS_A);
	want_resource(&r, 4, true);
	rig_clear(&r);
}
END_TEST

static const struct proxy_use *uses_of(struct rig *r, const char *name)
{
	struct dns_name n;

	ck_assert_int_eq(dns_name_parse(name, &n), 0);
	return proxy_domain_uses(proxy_ips_find(r->ips, &n));
}

START_TEST(a6_14_older_pattern)
{
	struct fz_uuid one = rig_id(1);
	struct rig r;

	rig_init(&r, 1);
	rig_resource(&r, 1, "*.example", PORTAL_STACK_DUAL);
	rig_ask(&r, "web.example", DNS_A);
	want_resource(&r, 4, true);
	ck_assert_str_eq(uses_of(&r, "web.example")->resource->pattern, "*.example");
	rig_resource(&r, 1, "*.example", PORTAL_STACK_DUAL); /* back as it was */
	ck_assert_ptr_nonnull(uses_of(&r, "web.example"));
	rig_resource(&r, 1, "web.*", PORTAL_STACK_DUAL);
	ck_assert_ptr_null(uses_of(&r, "web.example"));
	rig_ask(&r, "web.example", DNS_A);
	want_resource(&r, 4, true);
	ck_assert_str_eq(uses_of(&r, "web.example")->resource->pattern, "web.*");
	/* A second resource is found by the next query. */
	rig_resource(&r, 2, "web.example", PORTAL_STACK_DUAL);
	ck_assert_ptr_null(uses_of(&r, "web.example")->next_resource);
	rig_ask(&r, "web.example", DNS_A);
	want_resource(&r, 4, true);
	ck_assert_ptr_nonnull(uses_of(&r, "web.example")->next_resource);
	dns_stub_remove_resource(r.stub, &one, r.now_us);
	ck_assert_ptr_nonnull(uses_of(&r, "web.example")->next_resource); /* remembered */
	rig_clear(&r);
}
END_TEST

START_TEST(a6_15_canary)
{
	struct rig r;

	rig_init(&r, 1);
	rig_resource(&r, 1, "**", PORTAL_STACK_DUAL); /* it goes first all the same */
	rig_ask(&r, "use-application-dns.net", DNS_A);
	rig_want_answer(&r, DNS_NXDOMAIN, 0);
	rig_ask(&r, "USE-application-dns.NET", DNS_AAAA);
	rig_want_answer(&r, DNS_NXDOMAIN, 0);
	rig_ask(&r, "use-application-dns.net", 15);
	rig_want_answer(&r, DNS_NXDOMAIN, 0);
	rig_ask(&r, "x.use-application-dns.net", 15);
	rig_want_exchange(&r, DNS_PATH_DIRECT, "192.0.2.1");
	rig_clear(&r);
}
END_TEST

START_TEST(a6_18_exact_beats_wildcard)
{
	struct fz_uuid want = rig_id(1);
	struct rig r;

	rig_init(&r, 1);
	rig_resource(&r, 2, "*.example.com", PORTAL_STACK_DUAL);
	rig_resource(&r, 1, "web.example.com", PORTAL_STACK_DUAL);
	rig_resource(&r, 3, "**.example.com", PORTAL_STACK_DUAL);
	rig_ask(&r, "web.example.com", DNS_TXT);
	rig_want_exchange(&r, DNS_PATH_SITE, NULL);
	ck_assert(fz_uuid_equal(&r.out.u.exchange.resource, &want));
	rig_ask(&r, "web.example.com", DNS_A);
	want_resource(&r, 4, true);
	ck_assert_ptr_nonnull(uses_of(&r, "web.example.com")->next_resource->next_resource); /* all three */
	rig_clear(&r);
}
END_TEST

START_TEST(a6_19_names_of_proxies)
{
	struct fz_uuid one = rig_id(1);
	struct dns_record rr;
	struct dns_msg m;
	struct rig r;
	size_t at;

	rig_init(&r, 1);
	rig_resource(&r, 1, "*.example", PORTAL_STACK_DUAL);
	rig_ask(&r, "web.example", DNS_A);
	want_resource(&r, 4, true);
	rig_ask(&r, "Web.example", DNS_A);
	want_resource(&r, 4, true);
	dns_stub_remove_resource(r.stub, &one, r.now_us); /* it does not matter */
	rig_ask(&r, "3.0.96.100.in-addr.arpa", DNS_PTR);
	m = want_resource(&r, 1, false);
	at = m.answers_at;
	ck_assert(dns_next_answer(&m, &at, &rr));
	ck_assert_uint_eq(rr.type, DNS_PTR);
	unit_assert_hex(m.data + rr.data_at, rr.data_len, "03576562076578616d706c6500"); /* asked last so */
	rig_ask(&r, "3.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.1.1.1.1.1.2.0.2.0.0.d.f.ip6.arpa", DNS_PTR);
	want_resource(&r, 1, false);
	rig_clear(&r);
}
END_TEST

START_TEST(a6_20_other_reverse_names)
{
	static const char *const names[] = { "5.0.96.100.in-addr.arpa",   "3.0.96.100.IN-ADDR.ARPA",
					     "0.3.0.96.100.in-addr.arpa", "1.111.100.100.in-addr.arpa",
					     "1.2.0.192.in-addr.arpa",    "3.0.96.100.in-addr.carpa",
					     "3.0.96.100.ip6.arpa" };
	struct rig r;

	rig_init(&r, 1);
	rig_resource(&r, 1, "web.example", PORTAL_STACK_DUAL);
	rig_ask(&r, "web.example", DNS_A);
	want_resource(&r, 4, true);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		rig_ask(&r, names[i], DNS_PTR);
		rig_reply(&r, rig_want_exchange(&r, DNS_PATH_DIRECT, "192.0.2.1"), 0, 0);
		rig_want_answer(&r, DNS_NOERROR, 0);
	}
	rig_ask(&r, "3.0.96.100.in-addr.arpa", DNS_A); /* and other types */
	rig_want_exchange(&r, DNS_PATH_DIRECT, "192.0.2.1");
	rig_clear(&r);
}
END_TEST

START_TEST(a6_21_other_types_of_a_resource)
{
	static const unsigned others[] = { 15, 2, DNS_SOA, DNS_CNAME, 257, 64, 255, 65280 };
	struct rig r;

	rig_init(&r, 1);
	rig_resource(&r, 1, "web.example", PORTAL_STACK_DUAL);
	rig_ask(&r, "web.example", DNS_HTTPS); /* no address yet: nothing to renew */
	rig_want_answer(&r, DNS_NOERROR, 0);
	rig_ask(&r, "web.example", DNS_A);
	want_resource(&r, 4, true);
	rig_ask(&r, "web.example", DNS_HTTPS);
	want_resource(&r, 0, true);
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		rig_ask(&r, "web.example", others[i]);
		rig_reply(&r, rig_want_exchange(&r, DNS_PATH_DIRECT, "192.0.2.1"), 0, 0);
		rig_want_answer(&r, DNS_NOERROR, 0);
	}
	rig_ask(&r, "other.example", DNS_HTTPS);
	rig_want_exchange(&r, DNS_PATH_DIRECT, "192.0.2.1");
	rig_clear(&r);
}
END_TEST

START_TEST(a6_22_records_of_the_site)
{
	struct fz_uuid id = rig_id(7);
	struct rig r;
	uint64_t x;

	rig_init(&r, 1);
	rig_resource(&r, 7, "*.corp.example", PORTAL_STACK_DUAL);
	rig_ask(&r, "_ldap._tcp.corp.example", DNS_SRV); /* two labels: no match */
	rig_reply(&r, rig_want_exchange(&r, DNS_PATH_DIRECT, "192.0.2.1"), 0, 0);
	rig_want_answer(&r, DNS_NOERROR, 0);
	rig_ask(&r, "t.corp.example", DNS_TXT);
	x = rig_want_exchange(&r, DNS_PATH_SITE, NULL);
	ck_assert(fz_uuid_equal(&r.out.u.exchange.resource, &id));
	ck_assert_uint_eq(r.out.u.exchange.family, FZ_FAMILY_INET);
	ck_assert(!r.out.u.exchange.tcp);
	ck_assert_uint_eq(r.out.u.exchange.timeout_ms, 10000);
	/* There is no access: it waits, and goes out when there is. */
	dns_stub_defer(r.stub, x);
	rig_want_nothing(&r);
	rig_sleep(&r, FZ_SEC(3));
	rig_want_nothing(&r);
	dns_stub_site_up(r.stub, &id, r.now_us);
	x = rig_want_exchange(&r, DNS_PATH_SITE, NULL);
	ck_assert_uint_eq(r.out.u.exchange.timeout_ms, 7000);
	rig_reply(&r, x, 1, 60);
	rig_want_answer(&r, DNS_NOERROR, 1);
	rig_ask(&r, "t.corp.example", DNS_TXT); /* kept like any other */
	rig_want_answer(&r, DNS_NOERROR, 1);
	/* By TCP, and refused: an error at once where others are silent. */
	rig_ask_tcp(&r, "u.corp.example", DNS_TXT);
	x = rig_want_exchange(&r, DNS_PATH_SITE, NULL);
	ck_assert(r.out.u.exchange.tcp);
	dns_stub_defer(r.stub, x);
	dns_stub_site_down(r.stub, &id, r.now_us);
	rig_want_answer(&r, DNS_SERVFAIL, 0);
	ck_assert(r.out.u.answer.origin.tcp);
	/* Never granted, never refused. */
	rig_ask(&r, "u.corp.example", DNS_TXT);
	dns_stub_defer(r.stub, rig_want_exchange(&r, DNS_PATH_SITE, NULL));
	rig_sleep(&r, FZ_SEC(10) - 1);
	rig_want_nothing(&r);
	rig_sleep(&r, 1);
	rig_want_answer(&r, DNS_SERVFAIL, 0);
	/* Removed while under way. */
	rig_ask(&r, "u.corp.example", DNS_TXT);
	rig_want_exchange(&r, DNS_PATH_SITE, NULL);
	dns_stub_remove_resource(r.stub, &id, r.now_us);
	rig_want_answer(&r, DNS_SERVFAIL, 0);
	rig_clear(&r);
}
END_TEST

START_TEST(a6_22_family_of_the_sentinel)
{
	struct fz_ip server = rig_ip("2001:db8::53");
	struct dns_origin o = rig_origin("fd00:2021:1111:8000:100:100:111:0", 50000, false);
	struct rig r;

	rig_init(&r, 1);
	ck_assert(dns_stub_set_system(r.stub, &server, 1, r.now_us));
	rig_resource(&r, 7, "*.corp.example", PORTAL_STACK_DUAL);
	r.query_len = rig_message(r.query, 9, DNS_RD, "a.corp.example", DNS_SRV);
	ck_assert_int_eq(dns_stub_handle_query(r.stub, &o, r.query, r.query_len, r.now_us), 0);
	rig_want_exchange(&r, DNS_PATH_SITE, NULL);
	ck_assert_uint_eq(r.out.u.exchange.family, FZ_FAMILY_INET6);
	rig_clear(&r);
}
END_TEST

/* 252 characters of a name, four addresses, 512 bytes. */
START_TEST(long_name_without_edns)
{
	char name[260];
	struct rig r;

	rig_init(&r, 1);
	rig_resource(&r, 1, "**.n", PORTAL_STACK_DUAL);
	for (size_t i = 0; i < 253; i++)
		name[i] = i % 2 ? '.' : 'n';
	name[253] = '\0';
	rig_ask(&r, name, DNS_A);
	want_resource(&r, 4, true);
	ck_assert_uint_le(r.out.u.answer.len, 512);
	rig_ask(&r, name, DNS_AAAA);
	want_resource(&r, 4, true);
	ck_assert_uint_le(r.out.u.answer.len, 512);
	rig_ask_tcp(&r, name, DNS_A);
	want_resource(&r, 4, true);
	ck_assert_uint_gt(r.out.u.answer.len, 1212);
	rig_clear(&r);
}
END_TEST

START_TEST(no_more_addresses)
{
	struct proxy_ips *ips;
	struct rig r;

	rig_init(&r, 1);
	ck_assert_int_eq(proxy_ips_new(&r.u.env, 1, &ips), 0);
	dns_stub_free(r.stub);
	proxy_ips_free(r.ips);
	r.ips = ips;
	ck_assert_int_eq(dns_stub_new(&r.u.env, ips, &r.stub), 0);
	struct fz_ip server = rig_ip("192.0.2.1");
	dns_stub_set_system(r.stub, &server, 1, r.now_us);
	rig_resource(&r, 1, "*", PORTAL_STACK_DUAL);
	rig_ask(&r, "a", DNS_A);
	want_resource(&r, 4, true);
	rig_ask(&r, "b", DNS_A);
	rig_want_answer(&r, DNS_SERVFAIL, 0);
	rig_ask(&r, "A", DNS_AAAA);
	want_resource(&r, 4, true);
	rig_clear(&r);
}
END_TEST

START_TEST(invalid_pattern_never_matches)
{
	struct portal_resource p = {
		.type = PORTAL_RESOURCE_DNS, .id = rig_id(1), .name = "bad", .address = "***.bad.example"
	};
	struct rig r;

	rig_init(&r, 1);
	ck_assert_int_eq(dns_stub_add_resource(r.stub, &p), FZ_ERR_WIRE);
	rig_ask(&r, "a.bad.example", DNS_A);
	rig_want_exchange(&r, DNS_PATH_DIRECT, "192.0.2.1");
	rig_clear(&r);
}
END_TEST

/* ---- device pools ---- */

static void want_pool(struct rig *r, unsigned id, const char *name)
{
	struct fz_uuid want = rig_id(id);

	rig_want(r, DNS_OUT_POOL);
	ck_assert(fz_uuid_equal(&r->out.u.pool.resource, &want));
	ck_assert_str_eq(r->out.u.pool.name, name);
	rig_want_nothing(r);
}

static void resolved(struct rig *r, unsigned id, const char *name, int rcode)
{
	struct fz_ip v4 = rig_ip("100.64.0.42"), v6 = rig_ip("fd00:2021:1111::2a");
	struct fz_uuid rid = rig_id(id);

	dns_stub_handle_pool(r->stub, &rid, name, rcode, &v4, &v6, r->now_us);
}

START_TEST(a6_30_one_question_to_the_portal)
{
	struct dns_msg m;
	struct rig r;

	rig_init(&r, 1);
	rig_pool(&r, 5, "*.laptops.example.com");
	rig_ask(&r, "device-42.laptops.example.com", DNS_A);
	want_pool(&r, 5, "device-42.laptops.example.com");
	rig_ask(&r, "device-42.laptops.example.com", DNS_AAAA);
	rig_want_nothing(&r);
	resolved(&r, 5, "device-42.laptops.example.com", DNS_NOERROR);
	m = rig_want_answer(&r, DNS_NOERROR, 1);
	ck_assert_uint_eq(m.type, DNS_A);
	m = rig_want_answer(&r, DNS_NOERROR, 1);
	ck_assert_uint_eq(m.type, DNS_AAAA);
	rig_want_nothing(&r);
	rig_clear(&r);
}
END_TEST

START_TEST(a6_31_asked_twice)
{
	struct rig r;

	rig_init(&r, 1);
	rig_pool(&r, 5, "*.x");
	rig_ask(&r, "a.x", DNS_A);
	want_pool(&r, 5, "a.x");
	rig_ask(&r, "a.x", DNS_A); /* the same message: one answer */
	rig_want_nothing(&r);
	rig_ask_tcp(&r, "a.x", DNS_A); /* somebody else */
	rig_want_nothing(&r);
	resolved(&r, 5, "A.x", DNS_NOERROR);
	rig_want_answer(&r, DNS_NOERROR, 1);
	rig_want_answer(&r, DNS_NOERROR, 1);
	rig_want_nothing(&r);
	ck_assert_uint_eq(dns_stub_stats(r.stub)->repeated, 1);
	rig_clear(&r);
}
END_TEST

START_TEST(a6_32_kept)
{
	struct dns_msg m;
	struct rig r;

	rig_init(&r, 1);
	rig_pool(&r, 5, "*.x");
	rig_ask(&r, "a.x", DNS_A);
	want_pool(&r, 5, "a.x");
	resolved(&r, 5, "a.x", DNS_NOERROR);
	m = rig_want_answer(&r, DNS_NOERROR, 1);
	check_first_ip(&r, &m, "100.64.0.42");
	rig_sleep(&r, FZ_SEC(100000));
	rig_ask(&r, "A.X", DNS_AAAA);
	m = rig_want_answer(&r, DNS_NOERROR, 1);
	check_first_ip(&r, &m, "fd00:2021:1111::2a");
	resolved(&r, 5, "a.x", DNS_NXDOMAIN); /* not asked for: ignored */
	rig_ask(&r, "a.x", DNS_A);
	rig_want_answer(&r, DNS_NOERROR, 1);
	rig_clear(&r);
}
END_TEST

START_TEST(a6_33_refused)
{
	struct rig r;

	rig_init(&r, 1);
	rig_pool(&r, 5, "*.x");
	rig_ask(&r, "a.x", DNS_A);
	want_pool(&r, 5, "a.x");
	resolved(&r, 5, "a.x", DNS_NXDOMAIN);
	rig_want_answer(&r, DNS_NXDOMAIN, 0);
	rig_ask(&r, "a.x", DNS_A); /* not kept */
	want_pool(&r, 5, "a.x");
	resolved(&r, 5, "a.x", DNS_SERVFAIL);
	rig_want_answer(&r, DNS_SERVFAIL, 0);
	rig_clear(&r);
}
END_TEST

START_TEST(a6_34_portal_is_silent)
{
	struct rig r;

	rig_init(&r, 1);
	rig_pool(&r, 5, "*.x");
	rig_ask(&r, "a.x", DNS_A);
	want_pool(&r, 5, "a.x");
	rig_sleep(&r, FZ_SEC(4));
	rig_ask(&r, "a.x", DNS_AAAA);
	rig_want_nothing(&r);
	rig_sleep(&r, FZ_SEC(1) - 1);
	rig_want_nothing(&r);
	rig_sleep(&r, 1);
	rig_want_answer(&r, DNS_SERVFAIL, 0);
	want_pool(&r, 5, "a.x"); /* once more for the one who asked later */
	rig_sleep(&r, FZ_SEC(4));
	rig_want_answer(&r, DNS_SERVFAIL, 0);
	rig_want_nothing(&r);
	resolved(&r, 5, "a.x", DNS_NOERROR);
	rig_want_nothing(&r);
	ck_assert_uint_eq(dns_stub_stats(r.stub)->late, 1);
	rig_ask(&r, "a.x", DNS_A);
	want_pool(&r, 5, "a.x");
	rig_clear(&r);
}
END_TEST

START_TEST(a6_35_other_types)
{
	static const unsigned types[] = { 15, DNS_TXT, DNS_SRV, DNS_HTTPS, DNS_PTR, 255 };
	struct rig r;

	rig_init(&r, 1);
	rig_pool(&r, 5, "*.x");
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		rig_ask(&r, "a.x", types[i]);
		rig_want_answer(&r, DNS_NOERROR, 0);
	}
	rig_clear(&r);
}
END_TEST

START_TEST(a6_36_not_of_the_pool)
{
	struct rig r;

	rig_init(&r, 1);
	rig_pool(&r, 5, "*.x");
	rig_ask(&r, "a.y", DNS_A);
	rig_want_exchange(&r, DNS_PATH_DIRECT, "192.0.2.1");
	rig_clear(&r);
}
END_TEST

START_TEST(a6_37_pool_removed)
{
	struct fz_uuid id = rig_id(5);
	struct rig r;

	rig_init(&r, 1);
	rig_pool(&r, 5, "*.x");
	rig_ask(&r, "known.x", DNS_A);
	want_pool(&r, 5, "known.x");
	resolved(&r, 5, "known.x", DNS_NOERROR);
	rig_want_answer(&r, DNS_NOERROR, 1);
	rig_ask(&r, "asked.x", DNS_A);
	want_pool(&r, 5, "asked.x");
	dns_stub_remove_resource(r.stub, &id, r.now_us);
	rig_want_answer(&r, DNS_SERVFAIL, 0);
	rig_want_nothing(&r);
	resolved(&r, 5, "asked.x", DNS_NOERROR);
	rig_want_nothing(&r);
	rig_pool(&r, 5, "*.x");
	rig_ask(&r, "known.x", DNS_A);
	want_pool(&r, 5, "known.x");
	rig_clear(&r);
}
END_TEST

START_TEST(a6_38_pool_wins)
{
	struct rig r;

	rig_init(&r, 1);
	rig_pool(&r, 9, "*.x");
	rig_pool(&r, 8, "**.x");
	rig_resource(&r, 1, "a.x", PORTAL_STACK_DUAL);
	rig_ask(&r, "a.x", DNS_A);
	want_pool(&r, 8, "a.x"); /* the lowest id of those that match */
	rig_clear(&r);
}
END_TEST

/* ---- what is dropped ---- */

START_TEST(nonsense_is_not_answered)
{
	static const char *const hex[] = { "",
					   "1234010000010000000000",
					   "123481000001000000000000" DB "00010001",
					   "123401000000000000000000" DB "00010001",
					   "123401000002000000000000" DB "00010001" DB "00010001",
					   "123401000001000100000000" DB "00010001",
					   "123401000001000000000000c00c00010001" };
	struct dns_origin o = rig_origin("100.100.111.1", 50000, false), nobody = o;
	struct rig r;

	rig_init(&r, 1);
	for (size_t i = 0; i < sizeof(hex) / sizeof(hex[0]); i++) {
		r.query_len = unit_hex(r.query, sizeof(r.query), hex[i]);
		ck_assert_int_eq(dns_stub_handle_query(r.stub, &o, r.query, r.query_len, r.now_us),
				 FZ_ERR_WIRE);
		rig_want_nothing(&r);
	}
	nobody.sentinel.b[3] = 2;
	r.query_len = unit_hex(r.query, sizeof(r.query), "123401000001000000000000" DB "00010001");
	ck_assert_int_eq(dns_stub_handle_query(r.stub, &nobody, r.query, r.query_len, r.now_us),
			 FZ_ERR_NOT_FOUND);
	rig_want_nothing(&r);
	ck_assert_uint_eq(dns_stub_stats(r.stub)->malformed, 7);
	ck_assert_uint_eq(dns_stub_stats(r.stub)->no_sentinel, 1);
	rig_clear(&r);
}
END_TEST

/* An UPDATE, and a query of another class, for a name of ours are answered like any other. */
START_TEST(strange_queries_for_a_resource)
{
	struct rig r;

	rig_init(&r, 1);
	rig_resource(&r, 1, "db.example.com", PORTAL_STACK_IPV6_ONLY);
	check_vector(&r, "11a929000001000000000000" DB "000100ff", "11a9a9000001000000000000" DB "000100ff");
	rig_clear(&r);
}
END_TEST

/* Each allocation fails once: there is an answer all the same, or none was promised. */
START_TEST(without_memory)
{
	for (long fail = 1; fail < 400; fail++) {
		struct portal_resource p = { .type = PORTAL_RESOURCE_DNS,
					     .id = rig_id(1),
					     .name = "a",
					     .address = "*.a" },
				       pool = { .type = PORTAL_RESOURCE_DYNAMIC_POOL,
						.id = rig_id(2),
						.name = "p",
						.address = "*.p" };
		static const char *const doh[] = { "https://dns.example/q" };
		struct portal_interface i = { .upstream_doh = doh, .upstream_doh_len = 1 };
		static const char *const names[] = { "x.a", "y.p", "z" };
		struct rig r = { .now_us = FZ_SEC(1) };
		bool changed, done = false;

		unit_env_init(&r.u, 1);
		r.u.fail_at = fail;
		if (proxy_ips_new(&r.u.env, 100, &r.ips) == 0 &&
		    dns_stub_new(&r.u.env, r.ips, &r.stub) == 0) {
			done = dns_stub_set_portal(r.stub, &i, &changed, r.now_us) == 0;
			done &= dns_stub_add_resource(r.stub, &p) == 0;
			done &= dns_stub_add_resource(r.stub, &pool) == 0;
			for (size_t k = 0; k < 3 && dns_stub_servers(r.stub)->len > 0; k++) {
				struct dns_origin o = rig_origin("100.100.111.1", 50000, false);
				unsigned answers = 0;
				r.query_len = rig_message(r.query, 1, DNS_RD, names[k], DNS_A);
				ck_assert_int_eq(
					dns_stub_handle_query(r.stub, &o, r.query, r.query_len, r.now_us), 0);
				for (int turn = 0; turn < 20; turn++) {
					while (dns_stub_poll(r.stub, &r.out, r.now_us)) {
						answers += r.out.type == DNS_OUT_ANSWER;
						if (r.out.type != DNS_OUT_EXCHANGE)
							continue;
						r.query_len = r.out.u.exchange.len;
						memcpy(r.query, r.out.u.exchange.data, r.query_len);
						rig_reply(&r, r.out.u.exchange.id, 1, 60);
					}
					rig_sleep(&r, FZ_SEC(1));
				}
				ck_assert_uint_eq(answers, 1);
			}
		}
		dns_stub_free(r.stub);
		proxy_ips_free(r.ips);
		unit_env_check(&r.u);
		if (done && r.u.allocs < fail)
			return;
	}
	ck_abort();
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("dns_stub");

	unit_case(s, "resources", a6_11_recorded_answers, a6_10_unusable_family, a6_12_the_same_again,
		  a6_13_ip_stack_restricted_later, a6_14_older_pattern, a6_15_canary,
		  a6_18_exact_beats_wildcard, a6_19_names_of_proxies, a6_20_other_reverse_names,
		  a6_21_other_types_of_a_resource, a6_22_records_of_the_site, a6_22_family_of_the_sentinel,
		  long_name_without_edns, no_more_addresses, invalid_pattern_never_matches);
	unit_case(s, "pools", a6_30_one_question_to_the_portal, a6_31_asked_twice, a6_32_kept, a6_33_refused,
		  a6_34_portal_is_silent, a6_35_other_types, a6_36_not_of_the_pool, a6_37_pool_removed,
		  a6_38_pool_wins);
	unit_case(s, "odd", nonsense_is_not_answered, strange_queries_for_a_resource, without_memory);
	return s;
}
