/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <stdio.h>

#include "core/portal_held.h"
#include "base/mem.h"
#include "proto/portal_retry.h"

/* Acceptance 8.14: 15 waits of a second, then no more. */
START_TEST(a8_14_before_the_first_join)
{
	struct unit_env u;
	struct portal_retry r;
	uint64_t us;

	unit_env_init(&u, 1);
	portal_retry_init(&r, FZ_NEVER_US);
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < 15; i++) {
			ck_assert(portal_retry_next(&r, &u.env, &us));
			ck_assert_uint_eq(us, 1000000);
		}
		ck_assert(!portal_retry_next(&r, &u.env, &us));
		portal_retry_reset(&r);
	}
}
END_TEST

/* Acceptance 8.15 and control-plane 1.7. */
START_TEST(a8_15_after_a_join)
{
	static const uint64_t base_ms[] = { 500,  750,   1125,  1687,  2531,  3796,  5695,
					    8542, 12814, 19221, 28832, 43248, 60000, 60000 };
	double least = 9, most = 0;

	for (uint64_t seed = 0; seed < 200; seed++) {
		struct unit_env u;
		struct portal_retry r;
		uint64_t us;
		unit_env_init(&u, seed);
		portal_retry_init(&r, FZ_NEVER_US);
		portal_retry_joined(&r);
		for (size_t i = 0; i < sizeof(base_ms) / sizeof(base_ms[0]); i++) {
			ck_assert(portal_retry_next(&r, &u.env, &us));
			double factor = (double)us / 1000.0 / (double)base_ms[i];
			ck_assert_msg(factor >= 0.999 && factor < 2.002, "wait %zu: %f", i, factor);
			least = factor < least ? factor : least;
			most = factor > most ? factor : most;
		}
		portal_retry_joined(&r);
		ck_assert(portal_retry_next(&r, &u.env, &us));
		ck_assert_uint_lt(us, 1000000);
	}
	ck_assert(least < 1.01 && most > 1.99);
}
END_TEST

/* The sum of waits counts, not time; the one that would exceed it is not waited for. */
START_TEST(budget)
{
	struct unit_env u;
	struct portal_retry r;
	uint64_t us, sum = 0;
	int n = 0;

	unit_env_init(&u, 3);
	portal_retry_init(&r, FZ_SEC(3));
	portal_retry_joined(&r);
	while (portal_retry_next(&r, &u.env, &us)) {
		sum += us;
		n++;
	}
	ck_assert_uint_le(sum, FZ_SEC(3));
	ck_assert(n == 2 || n == 3);
	portal_retry_init(&r, 1); /* practically none: the first loss after a join is the end */
	portal_retry_joined(&r);
	ck_assert(!portal_retry_next(&r, &u.env, &us));
}
END_TEST

START_TEST(retry_after_is_bounded)
{
	ck_assert_uint_eq(portal_retry_after(0), FZ_SEC(1));
	ck_assert_uint_eq(portal_retry_after(17), FZ_SEC(17));
	ck_assert_uint_eq(portal_retry_after(UINT64_MAX), FZ_SEC(3600));
}
END_TEST

static void put(struct unit_env *u, struct portal_held *h, enum portal_candidates_kind kind, uint8_t id,
		const char *text, int want)
{
	struct fz_uuid uuid = { { id } };

	ck_assert_int_eq(portal_held_put(h, &u->env, kind, PORTAL_PEER_GATEWAY, &uuid, &text, 1), want);
}

#define ADD PORTAL_CANDIDATES_ADD
#define DEL PORTAL_CANDIDATES_INVALIDATE

/* Acceptance 8.5: merged, and additions first. */
START_TEST(a8_5_held_candidates)
{
	struct unit_env u;
	struct portal_held h = { 0 };
	struct portal_held_peer *p;
	enum portal_candidates_kind kind;

	unit_env_init(&u, 1);
	put(&u, &h, DEL, 1, "old", 0);
	put(&u, &h, ADD, 1, "a", 0);
	put(&u, &h, ADD, 1, "a", 0);
	put(&u, &h, ADD, 1, "b", 0);
	put(&u, &h, DEL, 1, "a", 0); /* cancels out */
	put(&u, &h, ADD, 2, "c", 0);
	put(&u, &h, DEL, 2, "c", 0); /* nothing left of 2 */
	put(&u, &h, DEL, 3, "d", 0);
	put(&u, &h, ADD, 3, "d", 0); /* an addition again */
	ck_assert_uint_eq(h.len, 2);
	p = portal_held_peek(&h, &kind);
	ck_assert(kind == ADD && p->id.b[0] == 1 && p->len[ADD] == 1);
	ck_assert_str_eq(p->texts[ADD][0], "b");
	portal_held_drop(&h, &u.env, p, kind);
	p = portal_held_peek(&h, &kind);
	ck_assert(kind == ADD && p->id.b[0] == 3);
	portal_held_drop(&h, &u.env, p, kind);
	p = portal_held_peek(&h, &kind);
	ck_assert(kind == DEL && p->id.b[0] == 1);
	ck_assert_str_eq(p->texts[DEL][0], "old");
	portal_held_drop(&h, &u.env, p, kind);
	ck_assert_ptr_null(portal_held_peek(&h, &kind));
	ck_assert(portal_held_is_empty(&h));
	put(&u, &h, ADD, 4, "x", 0);
	struct fz_uuid four = { { 4 } };
	portal_held_forget(&h, &u.env, PORTAL_PEER_CLIENT, &four); /* someone else */
	ck_assert(!portal_held_is_empty(&h));
	portal_held_forget(&h, &u.env, PORTAL_PEER_GATEWAY, &four);
	ck_assert(portal_held_is_empty(&h));
	portal_held_clear(&h, &u.env);
	unit_env_check(&u);
}
END_TEST

START_TEST(held_is_bounded_and_survives_lack_of_memory)
{
	struct unit_env u;
	struct portal_held h = { 0 };
	char text[32];

	unit_env_init(&u, 1);
	for (int i = 0; i <= PORTAL_CANDIDATES_MAX; i++) {
		snprintf(text, sizeof(text), "candidate:%d", i);
		put(&u, &h, ADD, 1, text, i < PORTAL_CANDIDATES_MAX ? 0 : FZ_ERR_FULL);
	}
	for (int i = 0; i < PORTAL_HELD_PEERS_MAX; i++) {
		struct fz_uuid id = { { (uint8_t)(i >> 8), (uint8_t)i, 1 } };
		const char *t = "x";
		int err = portal_held_put(&h, &u.env, ADD, PORTAL_PEER_CLIENT, &id, &t, 1);
		ck_assert_int_eq(err, i < PORTAL_HELD_PEERS_MAX - 1 ? 0 : FZ_ERR_FULL);
	}
	portal_held_clear(&h, &u.env);
	for (long at = 1; at < 5; at++) {
		struct fz_uuid id = { { 1 } };
		const char *t = "x";
		u.fail_at = u.allocs + at;
		int err = portal_held_put(&h, &u.env, ADD, PORTAL_PEER_CLIENT, &id, &t, 1);
		ck_assert(err == 0 || err == FZ_ERR_NOMEM);
		portal_held_clear(&h, &u.env);
	}
	unit_env_check(&u);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("portal_retry");

	unit_case(s, "retry", a8_14_before_the_first_join, a8_15_after_a_join, budget,
		  retry_after_is_bounded);
	unit_case(s, "held", a8_5_held_candidates, held_is_bounded_and_survives_lack_of_memory);
	return s;
}
