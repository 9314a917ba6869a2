/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "core/proxy_ips.h"
#include "core/ranges.h"

static struct dns_name name_of(const char *text)
{
	struct dns_name n;

	ck_assert_int_eq(dns_name_parse(text, &n), 0);
	return n;
}

static struct fz_uuid id_of(unsigned i)
{
	struct fz_uuid id = { { 0 } };

	id.b[14] = (uint8_t)(i >> 8);
	id.b[15] = (uint8_t)i;
	return id;
}

static void check_ip(const struct fz_ip *ip, const char *want)
{
	char text[FZ_IP_STRLEN];

	ck_assert_str_eq(fz_ip_format(ip, text), want);
}

/* Reference vectors of the allocation: first and last address of the n-th domain. */
static const struct {
	uint32_t n; /* from 1 */
	const char *first4, *last4, *first6, *last6;
} vectors[] = {
	{ 1, "100.96.0.1", "100.96.0.4", "fd00:2021:1111:8000::", "fd00:2021:1111:8000::3" },
	{ 2, "100.96.0.5", "100.96.0.8", "fd00:2021:1111:8000::4", "fd00:2021:1111:8000::7" },
	{ 64, "100.96.0.253", "100.96.1.0", "fd00:2021:1111:8000::fc", "fd00:2021:1111:8000::ff" },
	{ 72639, "100.100.110.249", "100.100.110.252", NULL, NULL },
	{ 72640, "100.100.110.253", "100.100.112.0", NULL, NULL },
	{ 524223, "100.127.255.249", "100.127.255.252", NULL, NULL },
	{ 524288, NULL, NULL, "fd00:2021:1111:8000::1f:fffc", "fd00:2021:1111:8000::1f:ffff" },
};

START_TEST(a6_11_vectors_of_allocation)
{
	for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
		uint32_t n = vectors[i].n - 1;
		struct fz_ip ip;
		if (vectors[i].first4) {
			ip = proxy_ip_at(FZ_FAMILY_INET, n, 0);
			check_ip(&ip, vectors[i].first4);
			ip = proxy_ip_at(FZ_FAMILY_INET, n, 3);
			check_ip(&ip, vectors[i].last4);
		}
		if (vectors[i].first6) {
			ip = proxy_ip_at(FZ_FAMILY_INET6, n, 0);
			check_ip(&ip, vectors[i].first6);
			ip = proxy_ip_at(FZ_FAMILY_INET6, n, 3);
			check_ip(&ip, vectors[i].last6);
		}
	}
}
END_TEST

START_TEST(numbers_go_both_ways)
{
	for (uint32_t n = 0; n < PROXY_DOMAINS_RANGE; n++) {
		struct fz_ip last = proxy_ip_at(FZ_FAMILY_INET, n, 3);
		for (uint32_t k = 0; k < 8; k++) {
			struct fz_ip ip = proxy_ip_at(k < 4 ? FZ_FAMILY_INET : FZ_FAMILY_INET6, n, k % 4);
			uint32_t back;
			if (!proxy_ip_number(&ip, &back) || back != n || !range_is_proxy(&ip) ||
			    range_is_sentinel(&ip))
				ck_abort_msg("domain %u, address %u", n, k);
		}
		ck_assert(last.b[3] != 255 || last.b[2] != 255 || last.b[1] != 127);
	}
}
END_TEST

START_TEST(addresses_that_stand_for_nothing)
{
	static const char *const none[] = { "100.96.0.0",
					    "100.95.255.255",
					    "100.100.111.0",
					    "100.100.111.255",
					    "100.128.0.0",
					    "10.0.0.1",
					    "fd00:2021:1111::1",
					    "fd00:2021:1111:8000:100:100:111:0",
					    "fd00:2021:1111:8000::20:0" };
	uint32_t n;

	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
		struct fz_ip ip;
		ck_assert_int_eq(fz_ip_parse(none[i], &ip), 0);
		ck_assert_msg(!proxy_ip_number(&ip, &n), "%s", none[i]);
	}
}
END_TEST

START_TEST(a6_12_a_name_keeps_its_addresses)
{
	struct dns_name web = name_of("web.corp.example"), db = name_of("db.corp.example"),
			loud = name_of("WEB.Corp.EXAMPLE"), got;
	struct proxy_domain *d, *e, *again;
	struct fz_ip ips[PROXY_IPS_EACH];
	struct proxy_ips *p;
	struct unit_env u;
	char text[DNS_NAME_STRLEN];

	unit_env_init(&u, 1);
	ck_assert_int_eq(proxy_ips_new(&u.env, PROXY_DOMAINS_MAX, &p), 0);
	ck_assert_ptr_null(proxy_ips_find(p, &web));
	ck_assert_int_eq(proxy_ips_assign(p, &web, &d), 0);
	ck_assert_int_eq(proxy_ips_assign(p, &db, &e), 0);
	ck_assert_int_eq(proxy_ips_assign(p, &loud, &again), 0);
	ck_assert_ptr_eq(d, again);
	ck_assert_uint_eq(proxy_ips_count(p), 2);
	proxy_domain_ips(d, FZ_FAMILY_INET, ips);
	check_ip(&ips[0], "100.96.0.1");
	check_ip(&ips[3], "100.96.0.4");
	for (size_t i = 0; i < PROXY_IPS_EACH; i++)
		ck_assert_ptr_eq(proxy_ips_by_ip(p, &ips[i]), d);
	proxy_domain_ips(e, FZ_FAMILY_INET6, ips);
	check_ip(&ips[1], "fd00:2021:1111:8000::5");
	ck_assert_ptr_eq(proxy_ips_by_ip(p, &ips[1]), e);
	ips[0] = proxy_ip_at(FZ_FAMILY_INET, 2, 0);
	ck_assert_ptr_null(proxy_ips_by_ip(p, &ips[0]));
	/* The reverse name tells the spelling that was asked for last. */
	proxy_domain_name(d, &got);
	ck_assert_str_eq(dns_name_format(&got, text), "WEB.Corp.EXAMPLE");
	proxy_ips_free(p);
	unit_env_check(&u);
}
END_TEST

static size_t count_uses(const struct proxy_domain *d)
{
	size_t n = 0;

	for (const struct proxy_use *use = proxy_domain_uses(d); use; use = use->next_resource)
		n++;
	return n;
}

static bool add_use(struct proxy_ips *p, const char *name, unsigned id, const char *pattern)
{
	struct dns_name n = name_of(name);
	struct fz_uuid rid = id_of(id);
	struct proxy_domain *d;
	bool is_new;

	ck_assert_int_eq(proxy_ips_assign(p, &n, &d), 0);
	ck_assert_int_eq(proxy_domain_use(p, d, &rid, pattern, &is_new), 0);
	return is_new;
}

START_TEST(a6_14_uses_are_reconciled_with_the_resource)
{
	struct fz_uuid one = id_of(1), two = id_of(2);
	const struct proxy_use *use;
	struct proxy_domain *d;
	struct dns_name n = name_of("a.x.example");
	struct proxy_ips *p;
	struct unit_env u;

	unit_env_init(&u, 1);
	ck_assert_int_eq(proxy_ips_new(&u.env, 100, &p), 0);
	ck_assert(add_use(p, "a.x.example", 1, "*.x.example"));
	ck_assert(!add_use(p, "A.x.example", 1, "*.x.example"));
	ck_assert(add_use(p, "b.x.example", 1, "*.x.example"));
	ck_assert(add_use(p, "a.x.example", 2, "a.x.example"));
	d = proxy_ips_find(p, &n);
	ck_assert_uint_eq(count_uses(d), 2);
	/* The same again: both domains are back without a query. */
	use = proxy_ips_readopt(p, &one, "*.x.example");
	ck_assert_ptr_nonnull(use);
	ck_assert_ptr_nonnull(use->next_domain);
	ck_assert_ptr_eq(use->next_domain->domain, d);
	ck_assert_str_eq(use->resource->pattern, "*.x.example");
	ck_assert_ptr_null(use->next_domain->next_domain);
	/* Another pattern: what was known of it is gone, the other resource's use is not. */
	ck_assert_ptr_null(proxy_ips_readopt(p, &one, "**.x.example"));
	ck_assert_uint_eq(count_uses(d), 1);
	ck_assert(fz_uuid_equal(&proxy_domain_uses(d)->resource->id, &two));
	ck_assert_ptr_null(proxy_ips_readopt(p, &one, "*.x.example"));
	/* Asking under another pattern replaces as well. */
	ck_assert(add_use(p, "a.x.example", 2, "*.x.example"));
	ck_assert_uint_eq(count_uses(d), 1);
	proxy_ips_free(p);
	unit_env_check(&u);
}
END_TEST

START_TEST(bounds)
{
	struct proxy_domain *d;
	struct proxy_ips *p;
	struct dns_name n;
	struct unit_env u;
	struct fz_uuid id;
	bool is_new;

	unit_env_init(&u, 1);
	ck_assert_int_eq(proxy_ips_new(&u.env, 2, &p), 0);
	n = name_of("a");
	ck_assert_int_eq(proxy_ips_assign(p, &n, &d), 0);
	for (unsigned i = 0; i < PROXY_USES_MAX; i++) {
		id = id_of(i);
		ck_assert_int_eq(proxy_domain_use(p, d, &id, "*", &is_new), 0);
	}
	id = id_of(PROXY_USES_MAX);
	ck_assert_int_eq(proxy_domain_use(p, d, &id, "*", &is_new), FZ_ERR_FULL);
	n = name_of("b");
	ck_assert_int_eq(proxy_ips_assign(p, &n, &d), 0);
	n = name_of("c");
	ck_assert_int_eq(proxy_ips_assign(p, &n, &d), FZ_ERR_FULL);
	n = name_of("A");
	ck_assert_int_eq(proxy_ips_assign(p, &n, &d), 0);
	ck_assert_uint_eq(proxy_ips_count(p), 2);
	proxy_ips_free(p);
	unit_env_check(&u);
}
END_TEST

START_TEST(without_memory)
{
	for (long fail = 1; fail < 100; fail++) {
		struct dns_name n = name_of("a.example");
		struct fz_uuid id = id_of(1);
		struct proxy_domain *d;
		struct proxy_ips *p;
		struct unit_env u;
		bool is_new = false;
		int err;

		unit_env_init(&u, 1);
		u.fail_at = fail;
		err = proxy_ips_new(&u.env, 10, &p);
		if (err == 0) {
			err = proxy_ips_assign(p, &n, &d);
			if (err == 0)
				err = proxy_domain_use(p, d, &id, "*.example", &is_new);
			if (err != 0) { /* the next attempt works */
				ck_assert_int_eq(proxy_ips_assign(p, &n, &d), 0);
				ck_assert_int_eq(proxy_domain_use(p, d, &id, "*.example", &is_new), 0);
			}
			ck_assert(is_new);
			ck_assert_uint_eq(proxy_ips_count(p), 1);
			proxy_ips_free(p);
		}
		unit_env_check(&u);
		if (err == 0)
			return;
		ck_assert_int_eq(err, FZ_ERR_NOMEM);
	}
	ck_abort();
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("proxy_ips");

	unit_case(s, "addresses", a6_11_vectors_of_allocation, numbers_go_both_ways,
		  addresses_that_stand_for_nothing);
	unit_case(s, "domains", a6_12_a_name_keeps_its_addresses, a6_14_uses_are_reconciled_with_the_resource,
		  bounds, without_memory);
	return s;
}
