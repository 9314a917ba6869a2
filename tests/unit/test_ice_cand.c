/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <stdio.h>

#include "proto/ice_cand.h"

#define N(a) (sizeof(a) / sizeof((a)[0]))

static struct fz_addr addr(const char *text)
{
	struct fz_addr a = { 0 };

	if (text != NULL)
		ck_assert_int_eq(fz_addr_parse(text, &a), 0);
	return a;
}

static struct cand cand(enum cand_kind kind, const char *a, const char *base)
{
	return (struct cand){ .kind = kind, .addr = addr(a), .base = addr(base) };
}

#define H4 "192.168.1.5:52625"
#define H6 "[2001:db8::5]:52625"

START_TEST(local_priorities)
{
	static const struct {
		enum cand_kind kind;
		const char *addr, *base;
		uint32_t priority, check_priority;
	} rows[] = {
		{ CAND_HOST, H6, NULL, 2130706431, 1862270975 },
		{ CAND_HOST, H4, NULL, 2130706175, 1862270719 },
		{ CAND_HOST, "10.0.0.2:52625", NULL, 2130705663, 1862270207 },
		{ CAND_SRFLX, "[2001:db8::6]:1", H6, 1686110207, 0 },
		{ CAND_SRFLX, "203.0.113.7:1", H4, 1686109951, 0 },
		{ CAND_RELAY, "[2001:db8::10]:1", H6, 37748735, 0 },
		{ CAND_RELAY, "198.51.100.10:1", H4, 37748479, 1849687807 },
	};
	struct unit_env u;
	struct ice_cands s = { 0 };
	size_t at;

	unit_env_init(&u, 1);
	for (size_t i = 0; i < N(rows); i++) {
		struct cand c = cand(rows[i].kind, rows[i].addr, rows[i].base);
		ck_assert_int_eq(ice_local_add(&s, &u.env, &c, &at), 1);
		ck_assert_uint_eq(s.v[at].c.priority, rows[i].priority);
		if (rows[i].check_priority)
			ck_assert_uint_eq(ice_local_check_priority(&s.v[at]), rows[i].check_priority);
	}
	ice_cands_clear(&s, &u.env);
	unit_env_check(&u);
}
END_TEST

/* The allocation's family differs from the one spoken to the relay: behind every other relayed candidate. */
START_TEST(a4_9_cross_family_relays_come_last)
{
	struct unit_env u;
	struct ice_cands s = { 0 };
	size_t at;

	unit_env_init(&u, 1);
	struct cand cross4 = cand(CAND_RELAY, "198.51.100.10:1", H6),
		    cross6 = cand(CAND_RELAY, "[2001:db8::10]:1", H4);
	ck_assert_int_eq(ice_local_add(&s, &u.env, &cross4, &at), 1);
	ck_assert_uint_eq(s.v[at].c.priority, 37492479);
	ck_assert_int_eq(ice_local_add(&s, &u.env, &cross6, &at), 1);
	ck_assert_uint_eq(s.v[at].c.priority, 37492735);
	ck_assert_uint_eq(ice_local_check_priority(&s.v[at]), 1849432063);
	ice_cands_clear(&s, &u.env);
	unit_env_check(&u);
}
END_TEST

START_TEST(local_redundancy)
{
	struct unit_env u;
	struct ice_cands s = { 0 };
	size_t at, first;

	unit_env_init(&u, 1);
	struct cand host = cand(CAND_HOST, H4, NULL), no_nat = cand(CAND_SRFLX, H4, H4);
	ck_assert_int_eq(ice_local_add(&s, &u.env, &host, &first), 1);
	ck_assert_int_eq(ice_local_add(&s, &u.env, &host, &at), 0);
	ck_assert_int_eq(ice_local_add(&s, &u.env, &no_nat, &at), 0);
	struct cand relay = cand(CAND_RELAY, "198.51.100.10:1", H4);
	ck_assert_int_eq(ice_local_add(&s, &u.env, &relay, &at), 1);
	ck_assert_int_eq(ice_local_add(&s, &u.env, &relay, &at), 0);
	/* withdrawn and back: the same entry and priority */
	s.v[first].is_valid = false;
	ck_assert_int_eq(ice_local_add(&s, &u.env, &host, &at), 1);
	ck_assert_uint_eq(at, first);
	ck_assert_uint_eq(s.v[at].c.priority, 2130706175);
	ice_cands_clear(&s, &u.env);
	/* the better one comes later: it replaces the other */
	ck_assert_int_eq(ice_local_add(&s, &u.env, &no_nat, &first), 1);
	ck_assert_int_eq(ice_local_add(&s, &u.env, &host, &at), 1);
	ck_assert(!s.v[first].is_valid);

	struct cand bad[] = { cand(CAND_HOST, "0.0.0.0:1", NULL), cand(CAND_HOST, "169.254.1.1:1", NULL),
			      cand(CAND_SRFLX, "1.2.3.4:1", H6), cand(CAND_PRFLX, "1.2.3.4:1", H4) };
	for (size_t i = 0; i < N(bad); i++)
		ck_assert_int_eq(ice_local_add(&s, &u.env, &bad[i], &at), FZ_ERR_INVAL);
	ice_cands_clear(&s, &u.env);
	unit_env_check(&u);
}
END_TEST

START_TEST(remote_list)
{
	struct unit_env u;
	struct ice_cands s = { 0 };
	size_t prflx, at;

	unit_env_init(&u, 1);
	struct cand p = cand(CAND_PRFLX, "203.0.113.7:9", NULL),
		    srflx = cand(CAND_SRFLX, "203.0.113.7:9", "0.0.0.0:0");
	p.priority = 5;
	srflx.priority = 1686109951;
	ck_assert_int_eq(ice_remote_add(&s, &u.env, &p, false, &prflx), 1);
	ck_assert_int_eq(ice_remote_add(&s, &u.env, &srflx, false, &at), 1);
	ck_assert_uint_eq(at, prflx); /* the announcement takes the place of the discovery */
	ck_assert_int_eq(s.v[at].c.kind, CAND_SRFLX);
	ck_assert_uint_eq(s.len, 1);
	ck_assert_int_eq(ice_remote_add(&s, &u.env, &srflx, false, &at), 0);

	ck_assert_int_eq(ice_remote_find(&s, &srflx.addr), (int)at);
	ck_assert(!ice_remote_is_withdrawn(&s, &srflx.addr));
	s.v[at].is_valid = false;
	ck_assert_int_eq(ice_remote_find(&s, &srflx.addr), -1);
	ck_assert(ice_remote_is_withdrawn(&s, &srflx.addr));
	ck_assert_int_eq(ice_remote_add(&s, &u.env, &srflx, false, &at), 1);
	/* of two with one address the better counts */
	struct cand relay = cand(CAND_RELAY, "203.0.113.7:9", "0.0.0.0:0");
	size_t other;
	relay.priority = 1;
	ck_assert_int_eq(ice_remote_add(&s, &u.env, &relay, false, &other), 1);
	ck_assert_int_eq(ice_remote_find(&s, &srflx.addr), (int)at);
	s.v[at].is_valid = false;
	ck_assert_int_eq(ice_remote_find(&s, &srflx.addr), (int)other);
	ck_assert(!ice_remote_is_withdrawn(&s, &srflx.addr));
	ice_cands_clear(&s, &u.env);
	unit_env_check(&u);
}
END_TEST

static void add_remote(struct ice_cands *s, const struct fz_env *env, enum cand_kind kind, const char *a,
		       const char *base)
{
	struct cand c = cand(kind, a, base);
	size_t at;

	ck_assert_int_ge(ice_remote_add(s, env, &c, false, &at), 0);
}

/* 4.7: the public IPv4 with the port that the peer listens on; never for IPv6. */
START_TEST(a4_7_optimistic)
{
	struct unit_env u;
	struct ice_cands s = { 0 };
	struct cand c;
	size_t at;

	unit_env_init(&u, 1);
	ck_assert(!ice_remote_infer(&s, &c));
	add_remote(&s, &u.env, CAND_SRFLX, "203.0.113.31:35720", "0.0.0.0:0");
	add_remote(&s, &u.env, CAND_HOST, H6, NULL);
	add_remote(&s, &u.env, CAND_SRFLX, "[2001:db8::31]:1", "[::]:0");
	ck_assert(!ice_remote_infer(&s, &c));
	add_remote(&s, &u.env, CAND_HOST, "192.168.2.2:52625", NULL);
	ck_assert(ice_remote_infer(&s, &c));
	struct fz_addr want = addr("203.0.113.31:52625"), base = addr("192.168.2.2:52625");
	ck_assert(fz_addr_equal(&c.addr, &want));
	ck_assert(fz_addr_equal(&c.base, &base));
	ck_assert_int_eq(c.kind, CAND_SRFLX);
	ck_assert_uint_eq(c.priority, 1694498559);
	ck_assert_int_eq(ice_remote_add(&s, &u.env, &c, true, &at), 1);
	ck_assert(!ice_remote_infer(&s, &c)); /* and nothing is inferred from what was inferred */
	/* the host goes away: so does what was inferred from it */
	for (size_t i = 0; i < s.len; i++)
		if (s.v[i].c.kind == CAND_HOST)
			s.v[i].is_valid = false;
	ice_remote_drop_orphans(&s);
	ck_assert(!s.v[at].is_valid);
	ice_cands_clear(&s, &u.env);
	unit_env_check(&u);
}
END_TEST

START_TEST(full_list_gives_up_the_oldest_unused)
{
	struct unit_env u;
	struct ice_cands s = { 0 };
	struct cand c = cand(CAND_SRFLX, "203.0.113.7:1", "0.0.0.0:0");
	size_t at;

	unit_env_init(&u, 1);
	for (uint16_t i = 0; i < ICE_CANDS_MAX; i++) {
		c.addr.port = (uint16_t)(1000 + i);
		ck_assert_int_eq(ice_remote_add(&s, &u.env, &c, false, &at), 1);
		s.v[at].pairs = 1;
	}
	c.addr.port = 1;
	ck_assert_int_eq(ice_remote_add(&s, &u.env, &c, false, &at), FZ_ERR_FULL);
	s.v[7].pairs = s.v[3].pairs = 0;
	ck_assert_int_eq(ice_remote_add(&s, &u.env, &c, false, &at), 1);
	ck_assert_uint_eq(at, 3);
	s.v[at].pairs = 1;
	s.v[9].pairs = 0;
	s.v[9].is_valid = false;
	c.addr.port = 2;
	ck_assert_int_eq(ice_remote_add(&s, &u.env, &c, false, &at), 1);
	ck_assert_uint_eq(at, 9); /* withdrawn before old */
	ck_assert_uint_eq(s.len, ICE_CANDS_MAX);
	ice_cands_clear(&s, &u.env);
	unit_env_check(&u);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("ice_cand");

	unit_case(s, "local", local_priorities, a4_9_cross_family_relays_come_last, local_redundancy);
	unit_case(s, "remote", remote_list, a4_7_optimistic, full_list_gives_up_the_oldest_unused);
	return s;
}
