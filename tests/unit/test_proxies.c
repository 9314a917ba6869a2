/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "core/proxies.h"

static struct unit_env u;
static struct grants g;
static struct proxies p;

static const struct portal_filter web = { PORTAL_PROTO_TCP, 80, 80 }, ping = { PORTAL_PROTO_ICMP, 0, 65535 };

static struct fz_ip ip(const char *text)
{
	struct fz_ip a;

	ck_assert_int_eq(fz_ip_parse(text, &a), 0);
	return a;
}

static struct grant *grant(unsigned n, const char *pattern, const struct portal_filter *filter)
{
	struct portal_resource r = { .type = PORTAL_RESOURCE_DNS,
				     .id = { { [15] = (uint8_t)n } },
				     .address = pattern,
				     .filters = filter,
				     .filters_len = filter ? 1 : 0 };

	ck_assert_int_eq(grants_upsert(&g, &r, GRANT_FOREVER), 0);
	return grants_find(&g, &r.id);
}

static void revoke(unsigned n)
{
	struct fz_uuid id = { { [15] = (uint8_t)n } };

	ck_assert(grants_remove(&g, &id));
}

static void setup(void)
{
	unit_env_init(&u, 1);
	ck_assert_int_eq(grants_init(&g, &u.env), 0);
	proxies_init(&p, &g);
}

static void teardown(void)
{
	proxies_clear(&p);
	grants_clear(&g);
	unit_env_check(&u);
}

static int assign(struct grant *gr, const char *domain, const char *const *ips, const char *const *reals)
{
	struct fz_ip a[16], b[16];
	size_t n = 0, m = 0;

	for (; ips[n]; n++)
		a[n] = ip(ips[n]);
	for (; reals[m]; m++)
		b[m] = ip(reals[m]);
	return proxies_assign(&p, gr, domain, a, n, b, m);
}

#define LIST(...) ((const char *const[]){ __VA_ARGS__, NULL })

static void expect(const char *proxy, const char *real)
{
	struct fz_ip at = ip(proxy);
	const struct proxy *x = proxies_find(&p, &at);
	char text[FZ_IP_STRLEN];

	ck_assert_msg(x != NULL, "%s", proxy);
	ck_assert_str_eq(fz_ip_format(&x->real, text), real);
}

static bool permits(const char *proxy, uint8_t kind, uint16_t port)
{
	struct fz_ip at = ip(proxy);

	return proxy_permits(proxies_find(&p, &at), kind, port) != NULL;
}

/* In turns, ascending, each family for itself, whatever the order in which they came. */
START_TEST(dealt_out)
{
	setup();
	struct grant *gr = grant(1, "*.corp.example", NULL);
	ck_assert_int_eq(assign(gr, "m.corp.example",
				LIST("fd00:2021:1111:8000::1", "100.96.0.4", "100.96.0.2", "100.96.0.3",
				     "100.96.0.1", "fd00:2021:1111:8000::"),
				LIST("10.20.0.12", "fd20::10", "10.20.0.10", "10.20.0.11", "10.20.0.10")),
			 0);
	expect("100.96.0.1", "10.20.0.10");
	expect("100.96.0.2", "10.20.0.11");
	expect("100.96.0.3", "10.20.0.12");
	expect("100.96.0.4", "10.20.0.10");
	expect("fd00:2021:1111:8000::", "fd20::10");
	expect("fd00:2021:1111:8000::1", "fd20::10");
	/* Resolved again: other addresses, and one family is gone. Those that are not named stay. */
	ck_assert_int_eq(
		assign(gr, "M.corp.example", LIST("100.96.0.1", "fd00:2021:1111:8000::"), LIST("10.20.0.99")),
		0);
	expect("100.96.0.1", "10.20.0.99");
	expect("100.96.0.2", "10.20.0.11");
	expect("fd00:2021:1111:8000::", "-");
	expect("fd00:2021:1111:8000::1", "fd20::10");
	ck_assert_uint_eq(p.len, 6);
	teardown();
}
END_TEST

START_TEST(a10_5_two_resources_share_an_address)
{
	setup();
	struct grant *a = grant(1, "*.corp.example", &web), *b = grant(2, "m.corp.example", &ping);
	ck_assert_int_eq(assign(a, "m.corp.example", LIST("100.96.0.1"), LIST("10.0.0.1")), 0);
	ck_assert(permits("100.96.0.1", IP_TCP, 80));
	ck_assert(!permits("100.96.0.1", IP_ICMP_ECHO, 1));
	ck_assert_int_eq(assign(b, "m.corp.example", LIST("100.96.0.1"), LIST("10.0.0.1")), 0);
	ck_assert(permits("100.96.0.1", IP_TCP, 80));
	ck_assert(permits("100.96.0.1", IP_ICMP_ECHO, 1));
	ck_assert(!permits("100.96.0.1", IP_TCP, 81));
	/* 10.6: one is removed, the other still works; then comes back without a new announcement. */
	revoke(1);
	ck_assert(!permits("100.96.0.1", IP_TCP, 80));
	ck_assert(permits("100.96.0.1", IP_ICMP_ECHO, 1));
	ck_assert_ptr_eq(grant(1, "*.corp.example", &ping), a);
	ck_assert(permits("100.96.0.1", IP_ICMP_ECHO, 1));
	(void)grant(1, "*.corp.example", &web); /* other filters while it is in use */
	ck_assert(permits("100.96.0.1", IP_TCP, 80));
	teardown();
}
END_TEST

/* The same resource id with another pattern: what was announced under the old one does not come back. */
START_TEST(another_pattern_is_another_grant)
{
	setup();
	struct grant *a = grant(1, "*.corp.example", NULL);
	ck_assert_int_eq(assign(a, "m.corp.example", LIST("100.96.0.1"), LIST("10.0.0.1")), 0);
	revoke(1);
	ck_assert(!permits("100.96.0.1", IP_TCP, 80));
	struct grant *b = grant(1, "*.other.example", NULL);
	ck_assert_ptr_ne(a, b);
	ck_assert(!permits("100.96.0.1", IP_TCP, 80));
	revoke(1);
	(void)grant(1, "*.corp.example", NULL);
	ck_assert(!permits("100.96.0.1", IP_TCP, 80));
	teardown();
}
END_TEST

START_TEST(conflicts)
{
	struct dns_name same, other;
	struct fz_ip at = ip("100.96.0.1"), free_one = ip("100.96.0.2");

	setup();
	ck_assert_int_eq(dns_name_parse("M.Corp.Example", &same), 0);
	ck_assert_int_eq(dns_name_parse("n.corp.example", &other), 0);
	ck_assert(!proxies_conflict(&p, &other, &at, 1));
	ck_assert_int_eq(assign(grant(1, "**", NULL), "m.corp.example", LIST("100.96.0.1"), LIST("10.0.0.1")),
			 0);
	ck_assert(!proxies_conflict(&p, &same, &at, 1));
	ck_assert(!proxies_conflict(&p, &other, &free_one, 1));
	ck_assert(proxies_conflict(&p, &other, &at, 1));
	proxies_clear(&p);
	ck_assert(!proxies_conflict(&p, &other, &at, 1));
	teardown();
}
END_TEST

START_TEST(limits)
{
	struct fz_ip at;

	setup();
	/* Ended grants give their places, those that live do not. */
	for (unsigned n = 1; n <= PROXY_GRANTS_MAX; n++)
		ck_assert_int_eq(assign(grant(n, "**", NULL), "a.b", LIST("100.96.0.1"), LIST("10.0.0.1")),
				 0);
	ck_assert_int_eq(assign(grant(20, "**", NULL), "a.b", LIST("100.96.0.1"), LIST("10.0.0.1")),
			 FZ_ERR_FULL);
	revoke(3);
	ck_assert_int_eq(assign(grant(20, "**", NULL), "a.b", LIST("100.96.0.1"), LIST("10.0.0.1")), 0);
	ck_assert_int_eq(assign(grant(20, "**", NULL), "a.b", LIST("100.96.0.1"), LIST("10.0.0.1")), 0);
	struct grant *gr = grant(20, "**", NULL);
	int err = 0;
	for (unsigned n = 0; n <= PROXIES_MAX && err == 0; n++) {
		at = (struct fz_ip){ FZ_FAMILY_INET, { 100, 97, (uint8_t)(n >> 8), (uint8_t)n } };
		err = proxies_assign(&p, gr, "c.d", &at, 1, NULL, 0);
		ck_assert_int_eq(err, n < PROXIES_MAX - 1 ? 0 : FZ_ERR_FULL);
	}
	ck_assert_int_eq(err, FZ_ERR_FULL);
	teardown();
}
END_TEST

START_TEST(failing_allocations)
{
	int err = FZ_ERR_NOMEM;

	for (long n = 1; err != 0; n++) {
		unit_env_init(&u, 1);
		u.fail_at = n;
		err = grants_init(&g, &u.env);
		proxies_init(&p, &g);
		struct portal_resource r = { .type = PORTAL_RESOURCE_DNS, .address = "**" };
		if (err == 0)
			err = grants_upsert(&g, &r, GRANT_FOREVER);
		if (err == 0)
			err = assign(grants_find(&g, &r.id), "a.b", LIST("100.96.0.1", "100.96.0.2"),
				     LIST("10.0.0.1"));
		ck_assert(err == 0 || err == FZ_ERR_NOMEM);
		teardown();
	}
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("proxies");

	unit_case(s, "proxies", dealt_out, a10_5_two_resources_share_an_address,
		  another_pattern_is_another_grant, conflicts);
	unit_case(s, "memory", limits, failing_allocations);
	return s;
}
