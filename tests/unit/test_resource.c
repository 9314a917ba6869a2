/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "core/gateways.h"
#include "core/ranges.h"
#include "core/resource.h"
#include "packets.h"

static const struct portal_filter web = { PORTAL_PROTO_TCP, 80, 80 }, other = { PORTAL_PROTO_TCP, 81, 81 };
static const struct portal_site sites[] = { { { { 1 } }, "a" }, { { { 2 } }, "b" } },
				swapped[] = { { { { 2 } }, "x" }, { { { 1 } }, "y" } };

static struct portal_resource usual(unsigned n)
{
	struct portal_resource r = { .type = PORTAL_RESOURCE_CIDR,
				     .name = "office",
				     .address = "10.20.0.0/16",
				     .filters = &web,
				     .filters_len = 1,
				     .sites = sites,
				     .sites_len = 2 };

	r.id.b[14] = (uint8_t)(n >> 8);
	r.id.b[15] = (uint8_t)n;
	ck_assert_int_eq(fz_prefix_parse(r.address, &r.net), 0);
	return r;
}

START_TEST(what_counts_as_a_change)
{
	struct unit_env u;
	struct resources r;
	struct resource *res;
	struct portal_resource p = usual(1), q;

	unit_env_init(&u, 1);
	ck_assert_int_eq(resources_init(&r, &u.env, NULL), 0);
	ck_assert_int_eq(resources_add(&r, &p, &res), 0);
	ck_assert_ptr_eq(resources_find(&r, &p.id), res);
	q = p;
	q.name = "other";
	ck_assert(resource_matches(&u.env, res, &q));
	q.address_description = "https://office";
	q.sites = swapped; /* a set, names ignored */
	ck_assert(resource_matches(&u.env, res, &q));
	ck_assert_int_eq(resource_rename(&r, res, &q), 0);
	ck_assert_str_eq(res->name, "other");
	ck_assert_str_eq(res->description, "https://office");
	ck_assert_str_eq(res->sites[0]->name, "y");
	ck_assert_uint_eq(res->sites[0]->refs, 1);
	q.sites_len = 1;
	ck_assert(!resource_matches(&u.env, res, &q));
	q = p;
	q.filters = &other;
	ck_assert(!resource_matches(&u.env, res, &q));
	q = p;
	q.filters_len = 0;
	ck_assert(!resource_matches(&u.env, res, &q));
	q = p;
	q.address = "10.20.0.0/17";
	ck_assert(!resource_matches(&u.env, res, &q));
	q = p;
	q.type = PORTAL_RESOURCE_DNS;
	ck_assert(!resource_matches(&u.env, res, &q));
	q = p;
	q.ip_stack = PORTAL_STACK_IPV4_ONLY;
	ck_assert(!resource_matches(&u.env, res, &q));
	resources_clear(&r);
	unit_env_check(&u);
}
END_TEST

START_TEST(routes_follow)
{
	struct unit_env u;
	struct resources r;
	struct resource *a, *b;
	struct portal_resource p = usual(1), q = usual(2);
	struct fz_ip ip;

	unit_env_init(&u, 1);
	ck_assert_int_eq(fz_ip_parse("10.20.0.1", &ip), 0);
	ck_assert_int_eq(resources_init(&r, &u.env, NULL), 0);
	ck_assert_int_eq(resources_add(&r, &p, &a), 0);
	ck_assert_int_eq(resources_add(&r, &q, &b), 0);
	ck_assert_ptr_eq(resources_choose(&r, &ip, IP_TCP, 80).res, b); /* the greater id */
	resources_remove(&r, b);
	ck_assert_ptr_eq(resources_choose(&r, &ip, IP_TCP, 80).res, a);
	ck_assert(!resources_choose(&r, &ip, IP_TCP, 22).permitted);
	resources_remove(&r, a);
	ck_assert_ptr_null(resources_choose(&r, &ip, IP_TCP, 80).res);
	ck_assert_uint_eq(r.len, 0);
	ck_assert_ptr_null(r.sites.first);
	resources_clear(&r);
	unit_env_check(&u);
}
END_TEST

static struct portal_resource of_names(unsigned n, const char *pattern, enum portal_ip_stack stack,
				       const struct portal_filter *filter)
{
	struct portal_resource r = { .type = PORTAL_RESOURCE_DNS,
				     .name = "names",
				     .address = pattern,
				     .ip_stack = stack,
				     .filters = filter,
				     .filters_len = filter ? 1 : 0 };

	r.id.b[15] = (uint8_t)n;
	return r;
}

static struct proxy_domain *look_up(struct resources *r, const char *text, const struct portal_resource *v,
				    size_t len)
{
	struct proxy_domain *d;
	struct dns_name name;
	bool is_new;

	ck_assert_int_eq(dns_name_parse(text, &name), 0);
	ck_assert_int_eq(proxy_ips_assign(r->proxies, &name, &d), 0);
	for (size_t i = 0; i < len; i++)
		ck_assert_int_eq(proxy_domain_use(r->proxies, d, &v[i].id, v[i].address, &is_new), 0);
	return d;
}

/* The same address stands for a name that several resources cover: acceptance 11.6. */
START_TEST(a11_6_names)
{
	struct unit_env u;
	struct resources r;
	struct resource *res[4];
	const struct portal_resource p[] = {
		of_names(1, "db.example.com", PORTAL_STACK_DUAL, &web),
		of_names(2, "*.example.com", PORTAL_STACK_DUAL, &web),
		of_names(3, "*.example.com", PORTAL_STACK_DUAL, &other),
		of_names(4, "only.example.com", PORTAL_STACK_IPV4_ONLY, NULL),
	};
	struct choice c;

	unit_env_init(&u, 1);
	struct proxy_ips *proxies;
	ck_assert_int_eq(proxy_ips_new(&u.env, 10, &proxies), 0);
	ck_assert_int_eq(resources_init(&r, &u.env, proxies), 0);
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(resources_add(&r, &p[i], &res[i]), 0);
	struct proxy_domain *db = look_up(&r, "db.example.com", p, 3);
	struct proxy_domain *only = look_up(&r, "only.example.com", p + 3, 1);
	struct fz_ip ip4 = proxy_ip_at(FZ_FAMILY_INET, 0, 2), ip6 = proxy_ip_at(FZ_FAMILY_INET6, 0, 0);

	c = resources_choose(&r, &ip4, IP_TCP, 80);
	ck_assert_ptr_eq(c.res, res[0]);
	ck_assert_ptr_eq(c.domain, db);
	ck_assert(c.permitted);
	c = resources_choose(&r, &ip6, IP_TCP, 81);
	ck_assert_ptr_eq(c.res, res[2]);
	c = resources_choose(&r, &ip4, IP_UDP, 80); /* nobody permits: the most specific one refuses */
	ck_assert_ptr_eq(c.res, res[0]);
	ck_assert(!c.permitted);
	/* One family only. */
	ip4 = proxy_ip_at(FZ_FAMILY_INET, 1, 3);
	ip6 = proxy_ip_at(FZ_FAMILY_INET6, 1, 3);
	c = resources_choose(&r, &ip4, IP_UDP, 1);
	ck_assert(c.res == res[3] && c.domain == only && c.permitted && !c.wrong_family);
	c = resources_choose(&r, &ip6, IP_UDP, 1);
	ck_assert(c.res == NULL && c.wrong_family);
	/* Nothing stands behind the address; its resource is gone; it is back. */
	ip6 = proxy_ip_at(FZ_FAMILY_INET6, 2, 0);
	c = resources_choose(&r, &ip6, IP_UDP, 1);
	ck_assert(c.res == NULL && !c.wrong_family);
	resources_remove(&r, res[3]);
	ck_assert_ptr_null(resources_choose(&r, &ip4, IP_UDP, 1).res);
	ck_assert_int_eq(resources_add(&r, &p[3], &res[3]), 0);
	ck_assert_ptr_eq(resources_choose(&r, &ip4, IP_UDP, 1).res, res[3]);
	/* Under another pattern it is another resource. */
	resources_remove(&r, res[3]);
	struct portal_resource q = of_names(4, "not.example.com", PORTAL_STACK_DUAL, NULL);
	ck_assert_int_eq(resources_add(&r, &q, &res[3]), 0);
	ck_assert_ptr_null(resources_choose(&r, &ip4, IP_UDP, 1).res);
	resources_clear(&r);
	proxy_ips_free(proxies);
	unit_env_check(&u);
}
END_TEST

/* Which addresses may be devices, names or servers of the tunnel: the edges of each range. */
START_TEST(a11_8_ranges)
{
	static const struct {
		const char *ip;
		bool tunnel, proxy, sentinel;
	} rows[] = {
		{ "100.63.255.255", false, false, false },
		{ "100.64.0.0", true, false, false },
		{ "100.95.255.255", true, false, false },
		{ "100.96.0.0", false, true, false },
		{ "100.100.110.255", false, true, false },
		{ "100.100.111.0", false, true, true },
		{ "100.100.111.255", false, true, true },
		{ "100.100.112.0", false, true, false },
		{ "100.127.255.255", false, true, false },
		{ "100.128.0.0", false, false, false },
		{ "fd00:2021:1110:ffff:ffff:ffff:ffff:ffff", false, false, false },
		{ "fd00:2021:1111::", true, false, false },
		{ "fd00:2021:1111::1f:ffff", true, false, false },
		{ "fd00:2021:1111::20:0", false, false, false },
		{ "fd00:2021:1111:8000::", false, true, false },
		{ "fd00:2021:1111:8000::1f:ffff", false, true, false },
		{ "fd00:2021:1111:8000::20:0", false, false, false },
		{ "fd00:2021:1111:8000:100:100:111:0", false, false, true },
		{ "fd00:2021:1111:8000:100:100:111:ff", false, false, true },
		{ "fd00:2021:1111:8000:100:100:111:100", false, false, false },
		{ "ff02::16", false, false, false },
		{ "224.0.0.251", false, false, false },
		{ "::ffff:100.64.0.1", false, false, false },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct fz_ip ip;
		ck_assert_int_eq(fz_ip_parse(rows[i].ip, &ip), 0);
		ck_assert_msg(range_is_tunnel(&ip) == rows[i].tunnel, "%s", rows[i].ip);
		ck_assert_msg(range_is_proxy(&ip) == rows[i].proxy, "%s", rows[i].ip);
		ck_assert_msg(range_is_sentinel(&ip) == rows[i].sentinel, "%s", rows[i].ip);
	}
}
END_TEST

START_TEST(the_internet)
{
	static const char *const never[] = { "100.64.0.3", "fd00:2021:1111::7", "100.96.0.1",
					     "fd00:2021:1111:8000::1" };
	struct unit_env u;
	struct resources r;
	struct resource *a, *b, *lab;
	struct portal_resource p = usual(9), q = { .type = PORTAL_RESOURCE_INTERNET, .name = "Internet" };
	struct proxy_ips *proxies;
	struct fz_ip ip;

	unit_env_init(&u, 1);
	ck_assert_int_eq(proxy_ips_new(&u.env, 10, &proxies), 0);
	ck_assert_int_eq(resources_init(&r, &u.env, proxies), 0);
	ck_assert_int_eq(fz_ip_parse("192.0.2.1", &ip), 0);
	q.id.b[15] = 2;
	ck_assert_int_eq(resources_add(&r, &q, &b), 0);
	ck_assert_ptr_null(resources_choose(&r, &ip, IP_TCP, 80).res);
	r.internet_on = true;
	ck_assert_ptr_eq(resources_choose(&r, &ip, IP_TCP, 80).res, b);
	q.id.b[15] = 1;
	ck_assert_int_eq(resources_add(&r, &q, &a), 0);
	ck_assert_ptr_eq(resources_choose(&r, &ip, IP_TCP, 80).res, a); /* the lowest id */
	ck_assert_int_eq(resources_add(&r, &p, &lab), 0);
	for (size_t i = 0; i < 4; i++) {
		ck_assert_int_eq(fz_ip_parse(never[i], &ip), 0);
		ck_assert_ptr_null(resources_choose(&r, &ip, IP_TCP, 80).res);
	}
	ck_assert_int_eq(fz_ip_parse("10.20.3.4", &ip), 0);
	struct choice c = resources_choose(&r, &ip, IP_TCP, 22);
	ck_assert(c.res == lab && !c.permitted); /* the network refuses, the Internet does not take over */
	resources_remove(&r, a);
	ck_assert_ptr_eq(r.internet, b);
	resources_sort(&r);
	ck_assert(r.v[0] == b && r.v[1] == lab);
	resources_clear(&r);
	proxy_ips_free(proxies);
	unit_env_check(&u);
}
END_TEST

/* The gateway that served it, those that are connected, the rest by id. */
START_TEST(a9_7_preferred_gateways)
{
	static const uint8_t known[] = { 40, 10, 30, 20 };
	struct portal_authz_created a = { 0 };
	struct fz_uuid ret[GATEWAYS_KNOWN_MAX];
	struct resource res = { .id = { { 1 } } };
	struct gateway_peer *peers[4];
	struct gateways g;
	struct unit_env u;

	unit_env_init(&u, 1);
	ck_assert_int_eq(gateways_init(&g, &u.env), 0);
	for (size_t i = 0; i < 4; i++) {
		a.gateway_id.b[15] = known[i];
		peers[i] = gateways_add(&g, &a, (uint32_t)i);
		ck_assert_ptr_nonnull(peers[i]);
	}
	for (size_t i = 0; i < 4; i++)
		if (known[i] != 30)
			gateways_remove(&g, peers[i]);
	ck_assert_uint_eq(gateways_preferred(&g, &res, ret), 4);
	ck_assert(ret[0].b[15] == 30 && ret[1].b[15] == 10 && ret[2].b[15] == 20 && ret[3].b[15] == 40);
	res.was_served = true;
	res.last_gateway.b[15] = 20;
	ck_assert_uint_eq(gateways_preferred(&g, &res, ret), 4);
	ck_assert(ret[0].b[15] == 20 && ret[1].b[15] == 30 && ret[2].b[15] == 10 && ret[3].b[15] == 40);
	gateways_clear(&g);
	unit_env_check(&u);
}
END_TEST

START_TEST(sites_and_their_marks)
{
	struct fz_uuid a = { { 1 } }, b = { { 2 } };
	struct site *x, *y;
	struct unit_env u;
	struct sites all;

	unit_env_init(&u, 1);
	sites_init(&all, &u.env);
	x = sites_ref(&all, &a, "x");
	ck_assert_ptr_eq(sites_ref(&all, &a, NULL), x);
	y = sites_ref(&all, &b, NULL);
	ck_assert_str_eq(x->name, "x");
	ck_assert_str_eq(y->name, "");
	sites_gateway_up(y);
	sites_set_offline(&all, y, 1000); /* we know better */
	ck_assert(!y->offline);
	sites_set_offline(&all, x, 1000);
	ck_assert_uint_eq(all.next_us, 1000 + SITE_OFFLINE_US);
	sites_gateway_down(y);
	sites_set_offline(&all, y, 2000);
	ck_assert(!sites_handle_timeout(&all, 999 + SITE_OFFLINE_US));
	ck_assert(sites_handle_timeout(&all, 1000 + SITE_OFFLINE_US));
	ck_assert(!x->offline && y->offline);
	sites_gateway_up(y);
	ck_assert(!y->offline);
	ck_assert(!sites_handle_timeout(&all, 2000 + SITE_OFFLINE_US));
	ck_assert_uint_eq(all.next_us, FZ_NEVER_US);
	sites_unref(&all, x);
	ck_assert_ptr_eq(sites_find(&all, &a), x);
	sites_unref(&all, x);
	ck_assert_ptr_null(sites_find(&all, &a));
	sites_unref(&all, y);
	sites_unref(&all, NULL);
	unit_env_check(&u);
}
END_TEST

/* However many resources wait, only so many rings exist; the one that waited longest goes. */
START_TEST(waiting_is_bounded)
{
	struct unit_env u;
	struct resources r;
	struct resource *res[RESOURCES_WAITING_MAX + 2];
	uint8_t buf[FZ_PKT_HEADROOM + 100];
	struct mk m = { .payload = 10 };
	struct fz_pkt pkt = ip_pkt(buf + FZ_PKT_HEADROOM, 0);
	struct ip_view v;

	unit_env_init(&u, 1);
	pkt.len = mk_packet(pkt.data, &m);
	ck_assert_int_eq(ip_parse(&pkt, &v), IP_OK);
	ck_assert_int_eq(resources_init(&r, &u.env, NULL), 0);
	for (unsigned i = 0; i < RESOURCES_WAITING_MAX + 2; i++) {
		struct portal_resource p = usual(i);
		ck_assert_int_eq(resources_add(&r, &p, &res[i]), 0);
		ck_assert_uint_eq(resource_wait(&r, res[i], &pkt, &v, i == 0 ? 500 : i),
				  i >= RESOURCES_WAITING_MAX);
	}
	ck_assert_ptr_nonnull(res[0]->waiting.slots);
	ck_assert_ptr_null(res[1]->waiting.slots);
	ck_assert_ptr_null(res[2]->waiting.slots);
	ck_assert_uint_eq(resource_wait(&r, res[0], &pkt, &v, 900), 0);
	ck_assert_uint_eq(res[0]->waiting.used, 1); /* equal bytes wait once */
	resources_clear(&r);
	unit_env_check(&u);
}
END_TEST

START_TEST(failing_allocations)
{
	struct unit_env u;
	struct resources r;
	struct resource *res;
	struct portal_resource p = usual(1);
	long n = 0;
	int err;

	do {
		unit_env_init(&u, 1);
		u.fail_at = ++n;
		err = resources_init(&r, &u.env, NULL);
		if (err == 0)
			err = resources_add(&r, &p, &res);
		ck_assert(err == 0 || err == FZ_ERR_NOMEM);
		if (err != 0)
			ck_assert_uint_eq(r.len, 0);
		resources_clear(&r);
		unit_env_check(&u);
	} while (err != 0);
	ck_assert_int_gt(n, 9);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("resource");

	unit_case(s, "resource", what_counts_as_a_change, routes_follow, a11_6_names, a11_8_ranges,
		  the_internet, a9_7_preferred_gateways, sites_and_their_marks);
	unit_case(s, "memory", waiting_is_bounded, failing_allocations);
	return s;
}
