/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "core/grants.h"

static struct portal_resource cidr(unsigned n, const char *net, const struct portal_filter *filters,
				   size_t len)
{
	struct portal_resource r = { .type = PORTAL_RESOURCE_CIDR, .filters = filters, .filters_len = len };

	r.id.b[14] = (uint8_t)(n >> 8);
	r.id.b[15] = (uint8_t)n;
	ck_assert_int_eq(fz_prefix_parse(net, &r.net), 0);
	return r;
}

static const struct fz_uuid *id_of(unsigned n)
{
	static struct portal_resource r;

	r = cidr(n, "10.0.0.0/8", NULL, 0);
	return &r.id;
}

static enum grant_verdict check(struct grants *g, const char *ip, uint8_t kind, uint16_t port)
{
	const struct fz_uuid *resource;
	struct fz_ip a;

	ck_assert_int_eq(fz_ip_parse(ip, &a), 0);
	return grants_check(g, &a, kind, port, &resource);
}

static const struct portal_filter web = { PORTAL_PROTO_TCP, 80, 80 }, dns = { PORTAL_PROTO_UDP, 53, 53 },
				  nonsense = { PORTAL_PROTO_TCP, 2, 1 };

START_TEST(checks)
{
	struct unit_env u;
	struct grants g;
	struct portal_resource wide, narrow, six;

	unit_env_init(&u, 1);
	ck_assert_int_eq(grants_init(&g, &u.env), 0);
	ck_assert_int_eq(check(&g, "10.0.0.1", IP_TCP, 80), GRANT_PROHIBITED);
	wide = cidr(1, "10.0.0.0/8", &web, 1);
	narrow = cidr(2, "10.20.0.0/16", &dns, 1);
	six = cidr(3, "fd00:1::/64", NULL, 0);
	ck_assert_int_eq(grants_upsert(&g, &wide, GRANT_FOREVER), 0);
	ck_assert_int_eq(grants_upsert(&g, &narrow, GRANT_FOREVER), 0);
	ck_assert_int_eq(grants_upsert(&g, &six, GRANT_FOREVER), 0);
	/* Any covering grant that permits it lets it pass. */
	ck_assert_int_eq(check(&g, "10.1.0.1", IP_TCP, 80), GRANT_ALLOW);
	ck_assert_int_eq(check(&g, "10.20.0.1", IP_TCP, 80), GRANT_ALLOW);
	ck_assert_int_eq(check(&g, "10.20.0.1", IP_UDP, 53), GRANT_ALLOW);
	ck_assert_int_eq(check(&g, "10.1.0.1", IP_UDP, 53), GRANT_PROHIBITED);
	ck_assert_int_eq(check(&g, "10.20.0.1", IP_TCP, 53), GRANT_PROHIBITED);
	ck_assert_int_eq(check(&g, "11.0.0.1", IP_TCP, 80), GRANT_PROHIBITED);
	ck_assert_int_eq(check(&g, "fd00:1::9", IP_TCP, 22), GRANT_ALLOW);
	ck_assert_int_eq(check(&g, "fd00:2::9", IP_TCP, 22), GRANT_PROHIBITED);
	/* New filters replace the old ones; those that make no sense do not. */
	narrow.filters = &nonsense;
	ck_assert_int_eq(grants_set_filters(&g, &narrow), FZ_ERR_INVAL);
	ck_assert_int_eq(grants_upsert(&g, &narrow, 5), FZ_ERR_INVAL);
	ck_assert_int_eq(check(&g, "10.20.0.1", IP_UDP, 53), GRANT_ALLOW);
	ck_assert_uint_eq(grants_next_expiry(&g), GRANT_FOREVER);
	narrow.filters = &web;
	ck_assert_int_eq(grants_set_filters(&g, &narrow), 0);
	ck_assert_int_eq(check(&g, "10.20.0.1", IP_UDP, 53), GRANT_PROHIBITED);
	/* The network of a grant stays until it is withdrawn. */
	ck_assert_int_eq(fz_prefix_parse("10.99.0.0/16", &narrow.net), 0);
	narrow.filters = &dns;
	ck_assert_int_eq(grants_upsert(&g, &narrow, GRANT_FOREVER), 0);
	ck_assert_int_eq(check(&g, "10.20.0.1", IP_UDP, 53), GRANT_ALLOW);
	ck_assert_int_eq(check(&g, "10.99.0.1", IP_UDP, 53), GRANT_PROHIBITED);
	ck_assert(grants_remove(&g, &narrow.id));
	ck_assert(!grants_remove(&g, &narrow.id));
	ck_assert_int_eq(check(&g, "10.20.0.1", IP_UDP, 53), GRANT_PROHIBITED);
	ck_assert_int_eq(grants_set_filters(&g, &narrow), FZ_ERR_NOT_FOUND);
	six.type = PORTAL_RESOURCE_STATIC_POOL;
	ck_assert_int_eq(grants_set_filters(&g, &six), FZ_ERR_INVAL); /* no grant changes its kind */
	six.id.b[0] = 9;
	ck_assert_int_eq(grants_upsert(&g, &six, GRANT_FOREVER), FZ_ERR_UNSUPPORTED);
	grants_clear(&g);
	grants_clear(&g);
	unit_env_check(&u);
}
END_TEST

START_TEST(a9_3_expiry)
{
	struct unit_env u;
	struct grants g;
	struct fz_uuid who;
	struct portal_resource r;

	unit_env_init(&u, 1);
	ck_assert_int_eq(grants_init(&g, &u.env), 0);
	for (unsigned i = 1; i <= 5; i++) {
		r = cidr(i, "10.0.0.0/8", NULL, 0);
		ck_assert_int_eq(grants_upsert(&g, &r, i == 5 ? GRANT_FOREVER : 1000 + i), 0);
	}
	ck_assert_uint_eq(grants_next_expiry(&g), 1001);
	ck_assert(!grants_expire(&g, 1000, &who));
	ck_assert(grants_expire(&g, 1001, &who));
	ck_assert_uint_eq(who.b[15], 1);
	ck_assert(!grants_expire(&g, 1001, &who));
	r = cidr(2, "10.0.0.0/8", NULL, 0);
	ck_assert_int_eq(grants_upsert(&g, &r, 5), 0); /* earlier than before */
	r = cidr(3, "10.0.0.0/8", NULL, 0);
	ck_assert_int_eq(grants_upsert(&g, &r, 2000), 0); /* later */
	ck_assert_uint_eq(grants_next_expiry(&g), 5);
	ck_assert(grants_expire(&g, 1999, &who));
	ck_assert(grants_expire(&g, 1999, &who));
	ck_assert(!grants_expire(&g, 1999, &who));
	ck_assert(grants_find(&g, id_of(3)));
	ck_assert(grants_expire(&g, 2000, &who));
	ck_assert(!grants_expire(&g, UINT64_MAX - 1, &who));
	ck_assert_uint_eq(g.len, 1);
	grants_clear(&g);
	unit_env_check(&u);
}
END_TEST

START_TEST(reconcile)
{
	struct unit_env u;
	struct grants g;
	struct fz_uuid who;
	struct portal_resource r;
	unsigned gone = 0;

	unit_env_init(&u, 1);
	ck_assert_int_eq(grants_init(&g, &u.env), 0);
	for (unsigned i = 1; i <= 300; i++) {
		r = cidr(i, "10.0.0.0/8", NULL, 0);
		ck_assert_int_eq(grants_upsert(&g, &r, GRANT_FOREVER), 0);
	}
	for (unsigned round = 0; round < 2; round++) {
		for (unsigned i = 3; i <= 300; i += 3)
			grants_list(&g, id_of(i), 1000 + i);
		grants_list(&g, id_of(999), 5); /* never makes one */
		while (grants_remove_unlisted(&g, &who)) {
			ck_assert_uint_ne((who.b[14] * 256u + who.b[15]) % 3, 0);
			gone++;
		}
		ck_assert_uint_eq(gone, 200);
		ck_assert_uint_eq(g.len, 100);
		ck_assert_uint_eq(grants_next_expiry(&g), 1003);
	}
	while (grants_remove_unlisted(&g, &who))
		;
	ck_assert_uint_eq(g.len, 0);
	grants_clear(&g);
	unit_env_check(&u);
}
END_TEST

START_TEST(bounded)
{
	struct unit_env u;
	struct grants g;
	struct portal_resource r;

	unit_env_init(&u, 1);
	ck_assert_int_eq(grants_init(&g, &u.env), 0);
	for (unsigned i = 0; i < GRANTS_MAX; i++) {
		r = cidr(i, "10.0.0.0/8", NULL, 0);
		ck_assert_int_eq(grants_upsert(&g, &r, GRANT_FOREVER), 0);
	}
	r = cidr(GRANTS_MAX, "10.0.0.0/8", NULL, 0);
	ck_assert_int_eq(grants_upsert(&g, &r, GRANT_FOREVER), FZ_ERR_FULL);
	grants_clear(&g);
	unit_env_check(&u);
}
END_TEST

START_TEST(failing_allocations)
{
	struct unit_env u;
	struct grants g;
	struct portal_resource r = cidr(1, "10.20.0.0/16", &web, 1), more = cidr(1, "10.20.0.0/16", &dns, 1);
	long n = 0;
	int err;

	do {
		unit_env_init(&u, 1);
		u.fail_at = ++n;
		err = grants_init(&g, &u.env);
		if (err == 0) {
			err = grants_upsert(&g, &r, GRANT_FOREVER);
			ck_assert_int_eq(check(&g, "10.20.0.1", IP_TCP, 80),
					 err ? GRANT_PROHIBITED : GRANT_ALLOW);
		}
		if (err == 0) {
			err = grants_set_filters(&g, &more);
			ck_assert_int_eq(check(&g, "10.20.0.1", IP_TCP, 80),
					 err ? GRANT_ALLOW : GRANT_PROHIBITED);
		}
		ck_assert(err == 0 || err == FZ_ERR_NOMEM);
		grants_clear(&g);
		unit_env_check(&u);
	} while (err != 0);
	ck_assert_int_gt(n, 4);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("grants");

	unit_case(s, "checks", checks);
	unit_case(s, "end", a9_3_expiry, reconcile);
	unit_case(s, "memory", bounded, failing_allocations);
	return s;
}
