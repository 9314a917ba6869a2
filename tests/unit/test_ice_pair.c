/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "proto/ice_pair.h"

#define N(a) (sizeof(a) / sizeof((a)[0]))
#define START_US FZ_SEC(1000)

START_TEST(priorities)
{
	ck_assert_uint_eq(ice_pair_priority(2130706175, 2130706175), 9151313343271665150u);
	ck_assert_uint_eq(ice_pair_priority(2130706175, 37748479), 162128487040155135u);
	ck_assert_uint_eq(ice_pair_priority(37748479, 2130706175), 162128487040155134u);
	ck_assert_uint_eq(ice_pair_priority(0, 0), 0);
	ck_assert_uint_eq(ice_pair_priority(UINT32_MAX, UINT32_MAX), ice_pair_priority(INT32_MAX, INT32_MAX));
}
END_TEST

/* Let a pair run without an answer; compares the times of its checks, in ms, and of its end. */
static void fresh_pair_is(enum path_profile profile, const uint32_t *want_ms, size_t n, uint32_t want_end_ms)
{
	const struct ice_timing *t = ice_timing_of(profile);
	struct ice_pair p = { .next_check_us = START_US };
	size_t sent = 0;

	for (;;) {
		uint64_t now_us = p.next_check_us;
		if (ice_pair_is_lost(&p, t, now_us)) {
			ck_assert_uint_eq(now_us, START_US + FZ_MS(want_end_ms));
			ck_assert_uint_eq(sent, t->max_retransmits);
			return;
		}
		if (sent < n)
			ck_assert_uint_eq(now_us, START_US + FZ_MS(want_ms[sent]));
		ice_pair_sent(&p, t, sent++, true, now_us);
	}
}

START_TEST(schedule_of_a_fresh_pair)
{
	static const uint32_t client[] = { 0,    250,  750,  1750,  3250,  4750,
					   6250, 7750, 9250, 10750, 12250, 13750 };
	static const uint32_t server[] = { 0, 250, 750, 1750, 3750, 7750, 15750, 30750, 45750 };
	static const uint32_t idle[] = { 0, 25000, 50000, 75000 };

	fresh_pair_is(PATH_CLIENT_DEFAULT, client, N(client), 15250);
	fresh_pair_is(PATH_SERVER_DEFAULT, server, N(server), 600750);
	fresh_pair_is(PATH_CLIENT_IDLE, idle, N(idle), 100000);
	fresh_pair_is(PATH_SERVER_IDLE, idle, N(idle), 1000000);
}
END_TEST

/* 15.1: how long an answered pair lives after the last answered check. */
static void answered_pair_lives(enum path_profile profile, uint32_t want_ms)
{
	const struct ice_timing *t = ice_timing_of(profile);
	struct ice_pair p = { .next_check_us = START_US };
	uint64_t first_unanswered_us = 0;

	for (uint64_t id = 0;; id++) {
		uint64_t now_us = p.next_check_us;
		if (ice_pair_is_lost(&p, t, now_us)) {
			ck_assert_uint_eq(now_us - first_unanswered_us, FZ_MS(want_ms));
			return;
		}
		ice_pair_sent(&p, t, id, true, now_us);
		if (id < 100)
			ice_pair_answered(&p, t, ice_pair_txn(&p, id, now_us + 1000), now_us + 1000);
		else if (id == 100)
			first_unanswered_us = now_us;
	}
}

START_TEST(a15_1_ice_timeouts)
{
	answered_pair_lives(PATH_CLIENT_DEFAULT, 16500);
	answered_pair_lives(PATH_CLIENT_IDLE, 100000);
	answered_pair_lives(PATH_SERVER_DEFAULT, 615500);
	answered_pair_lives(PATH_SERVER_IDLE, 1000000);
}
END_TEST

/* Answered checks: the gap grows to the maximum and stays there. */
START_TEST(pace_of_an_answered_pair)
{
	static const uint32_t want_ms[] = { 0, 250, 750, 1750, 3250, 4750, 6250 };
	const struct ice_timing *t = ice_timing_of(PATH_CLIENT_DEFAULT);
	struct ice_pair p = { .next_check_us = START_US };

	for (size_t i = 0; i < N(want_ms); i++) {
		ck_assert_uint_eq(p.next_check_us, START_US + FZ_MS(want_ms[i]));
		ice_pair_sent(&p, t, i, true, p.next_check_us);
		ice_pair_answered(&p, t, ice_pair_txn(&p, i, p.last_sent_us + 20000), p.last_sent_us + 20000);
	}
	ck_assert(p.has_succeeded);
	ck_assert_uint_eq(p.rtt_us, 20000);
}
END_TEST

START_TEST(profile_change_moves_the_next_check)
{
	const struct ice_timing *t = ice_timing_of(PATH_CLIENT_DEFAULT),
				*idle = ice_timing_of(PATH_CLIENT_IDLE);
	struct ice_pair p = { .next_check_us = START_US };

	ice_pair_sent(&p, t, 1, true, START_US);
	ice_pair_answered(&p, t, ice_pair_txn(&p, 1, START_US), START_US);
	ice_pair_schedule(&p, idle, START_US + FZ_MS(100));
	ck_assert_uint_eq(p.next_check_us, START_US + FZ_SEC(25));
	ice_pair_schedule(&p, t, START_US + FZ_SEC(10));
	ck_assert_uint_eq(p.next_check_us, START_US + FZ_MS(250)); /* overdue: at once */
}
END_TEST

/* 15.3: an answer later than 10 s, twice, or to a check never sent counts nothing. */
START_TEST(a15_3_transactions)
{
	const struct ice_timing *t = ice_timing_of(PATH_CLIENT_DEFAULT);
	struct ice_pair p = { .next_check_us = START_US };

	ice_pair_sent(&p, t, 7, true, START_US);
	ck_assert_ptr_null(ice_pair_txn(&p, 8, START_US));
	ck_assert_ptr_nonnull(ice_pair_txn(&p, 7, START_US + FZ_SEC(10)));
	ck_assert_ptr_null(ice_pair_txn(&p, 7, START_US + FZ_SEC(10) + 1));
	ice_pair_answered(&p, t, ice_pair_txn(&p, 7, START_US + 5), START_US + 5);
	ck_assert_ptr_null(ice_pair_txn(&p, 7, START_US + 6));
	/* all checks of the last 10 s of the densest schedule can be answered, in any order */
	p = (struct ice_pair){ .next_check_us = START_US };
	uint64_t last_us = START_US;
	uint64_t n = 0;
	while (p.next_check_us <= START_US + FZ_SEC(10)) {
		last_us = p.next_check_us;
		ice_pair_sent(&p, t, n++, true, last_us);
	}
	ck_assert_uint_eq(n, 9);
	for (uint64_t i = n; i-- > 0;)
		ck_assert_ptr_nonnull(ice_pair_txn(&p, i, START_US + FZ_SEC(10)));
	ice_pair_answered(&p, t, ice_pair_txn(&p, 3, last_us), last_us);
	ck_assert_uint_eq(p.attempts - p.answered, 5);
	ice_pair_answered(&p, t, ice_pair_txn(&p, 1, last_us), last_us);
	ck_assert_uint_eq(p.attempts - p.answered, 5);
}
END_TEST

START_TEST(requests_keep_a_pair)
{
	const struct ice_timing *t = ice_timing_of(PATH_CLIENT_DEFAULT);
	struct ice_pair p = { .next_check_us = START_US };
	uint64_t id = 0;

	while (p.attempts < t->max_retransmits)
		ice_pair_sent(&p, t, id++, true, p.next_check_us);
	uint64_t end_us = p.next_check_us;
	ck_assert(ice_pair_is_lost(&p, t, end_us));
	ck_assert(!ice_pair_is_lost(&p, t, end_us - 1));
	ice_pair_requested(&p, true, end_us - FZ_SEC(15) + 1);
	ck_assert(!ice_pair_is_lost(&p, t, end_us));
	ck_assert(ice_pair_is_lost(&p, t, end_us + 1));
}
END_TEST

START_TEST(suspicion)
{
	const struct ice_timing *t = ice_timing_of(PATH_CLIENT_DEFAULT);
	struct ice_pair p = { .next_check_us = START_US };

	ice_pair_sent(&p, t, 0, true, START_US);
	ice_pair_answered(&p, t, ice_pair_txn(&p, 0, START_US), START_US);
	for (uint64_t id = 1; id <= 3; id++)
		ice_pair_sent(&p, t, id, true, p.next_check_us);
	ck_assert(!ice_pair_is_suspect(&p, true, START_US + FZ_SEC(4) - 1));
	ck_assert(ice_pair_is_suspect(&p, true, START_US + FZ_SEC(4)));
	ice_pair_requested(&p, false, START_US + FZ_SEC(3)); /* controlled: the peer uses it */
	ck_assert(!ice_pair_is_suspect(&p, false, START_US + FZ_SEC(4)));
	p.is_peer_silent = true;
	ck_assert(ice_pair_is_suspect(&p, false, START_US + FZ_SEC(4)));
	ck_assert(!ice_pair_is_suspect(&p, true, START_US + FZ_SEC(4)));
}
END_TEST

static struct path_route route(uint16_t port)
{
	struct path_route r = { 0 };

	ck_assert_int_eq(fz_addr_parse("10.0.0.1:1", &r.local), 0);
	ck_assert_int_eq(fz_addr_parse("10.0.0.2:1", &r.remote), 0);
	r.remote.port = port;
	return r;
}

START_TEST(pair_list_is_bounded)
{
	struct unit_env u;
	struct ice_pairs s = { 0 };
	int evict;

	unit_env_init(&u, 1);
	for (uint16_t i = 1; i <= ICE_PAIRS_MAX; i++) {
		struct ice_pair p = { .route = route(i), .priority = 1000u + i, .next_check_us = 1000u - i };
		ck_assert_int_eq(ice_pairs_add(&s, &u.env, &p, &evict), 0);
	}
	ck_assert_uint_eq(ice_pairs_next(&s), 1000 - ICE_PAIRS_MAX);
	ck_assert_int_eq(ice_pairs_due(&s, 800), -1);
	ck_assert_int_eq(ice_pairs_due(&s, 2000), ICE_PAIRS_MAX - 1);
	struct ice_pair low = { .route = route(999), .priority = 1 },
			high = { .route = route(999), .priority = 5000 };
	ck_assert_int_eq(ice_pairs_add(&s, &u.env, &low, &evict), FZ_ERR_FULL);
	ck_assert_int_eq(evict, -1);
	ck_assert_int_eq(ice_pairs_add(&s, &u.env, &high, &evict), FZ_ERR_FULL);
	ck_assert_int_eq(evict, 0);
	ice_pairs_remove(&s, (size_t)evict);
	ck_assert_int_eq(ice_pairs_add(&s, &u.env, &high, &evict), 0);
	struct path_route wanted = route(999);
	ck_assert_int_eq(ice_pairs_find(&s, &wanted), ICE_PAIRS_MAX - 1);
	wanted.local_relayed = true;
	ck_assert_int_eq(ice_pairs_find(&s, &wanted), -1);
	ice_pairs_clear(&s, &u.env);
	unit_env_check(&u);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("ice_pair");

	unit_case(s, "time", schedule_of_a_fresh_pair, a15_1_ice_timeouts, pace_of_an_answered_pair,
		  profile_change_moves_the_next_check, a15_3_transactions, requests_keep_a_pair, suspicion);
	unit_case(s, "list", priorities, pair_list_is_bounded);
	return s;
}
