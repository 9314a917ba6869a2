/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

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
	ck_assert_int_eq(resources_init(&r, &u.env), 0);
	ck_assert_int_eq(resources_add(&r, &p, &res), 0);
	ck_assert_ptr_eq(resources_find(&r, &p.id), res);
	q = p;
	q.name = "other";
	ck_assert(resource_matches(&u.env, res, &q));
	ck_assert_int_eq(resource_rename(&r, res, q.name), 0);
	ck_assert_str_eq(res->name, "other");
	q.sites = swapped; /* a set, names ignored */
	ck_assert(resource_matches(&u.env, res, &q));
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
	bool permitted;

	unit_env_init(&u, 1);
	ck_assert_int_eq(fz_ip_parse("10.20.0.1", &ip), 0);
	ck_assert_int_eq(resources_init(&r, &u.env), 0);
	ck_assert_int_eq(resources_add(&r, &p, &a), 0);
	ck_assert_int_eq(resources_add(&r, &q, &b), 0);
	ck_assert_ptr_eq(route_find(r.cidr, &ip, IP_TCP, 80, &permitted)->tag, b); /* the greater id */
	resources_remove(&r, b);
	ck_assert_ptr_eq(route_find(r.cidr, &ip, IP_TCP, 80, &permitted)->tag, a);
	resources_remove(&r, a);
	ck_assert_ptr_null(route_find(r.cidr, &ip, IP_TCP, 80, &permitted));
	ck_assert_uint_eq(r.len, 0);
	resources_clear(&r);
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
	ck_assert_int_eq(resources_init(&r, &u.env), 0);
	for (unsigned i = 0; i < RESOURCES_WAITING_MAX + 2; i++) {
		struct portal_resource p = usual(i);
		ck_assert_int_eq(resources_add(&r, &p, &res[i]), 0);
		res[i]->asked_us = 1000 + (i == 0 ? 500 : i);
		ck_assert_uint_eq(resource_wait(&r, res[i], &pkt, &v), i >= RESOURCES_WAITING_MAX);
	}
	ck_assert_ptr_nonnull(res[0]->waiting.slots);
	ck_assert_ptr_null(res[1]->waiting.slots);
	ck_assert_ptr_null(res[2]->waiting.slots);
	ck_assert_uint_eq(resource_wait(&r, res[0], &pkt, &v), 0);
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
		err = resources_init(&r, &u.env);
		if (err == 0)
			err = resources_add(&r, &p, &res);
		ck_assert(err == 0 || err == FZ_ERR_NOMEM);
		if (err != 0)
			ck_assert_uint_eq(r.len, 0);
		resources_clear(&r);
		unit_env_check(&u);
	} while (err != 0);
	ck_assert_int_gt(n, 6);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("resource");

	unit_case(s, "resource", what_counts_as_a_change, routes_follow);
	unit_case(s, "memory", waiting_is_bounded, failing_allocations);
	return s;
}
