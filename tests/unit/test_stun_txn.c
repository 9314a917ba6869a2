/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "proto/stun_txn.h"

static const struct stun_schedule turn = { FZ_MS(1000), 150, 4, 0 }, once = { FZ_MS(1000), 100, 1, 0 };

static const struct {
	const char *why;
	const struct stun_schedule *schedule;
	uint32_t at_ms[8]; /* sends, then the end; 0 after the first stops */
} schedules[] = {
	{ "relay requests", &turn, { 0, 1000, 2500, 4750, 8125 } },
	{ "RFC 8489 section 6.2.1", &stun_schedule_rfc, { 0, 500, 1500, 3500, 7500, 15500, 31500, 39500 } },
	{ "a single datagram", &once, { 0, 1000 } },
};

START_TEST(repetition)
{
	for (size_t i = 0; i < sizeof(schedules) / sizeof(schedules[0]); i++) {
		struct unit_env u;
		struct stun_txn t;
		uint64_t start = FZ_SEC(77);
		unit_env_init(&u, i);
		stun_txn_start(&t, &u.env, schedules[i].schedule, start);
		ck_assert(stun_txn_due(&t) == start && !stun_txn_matches(&t, &t.id));
		for (size_t k = 0; k < schedules[i].schedule->max_sends; k++) {
			uint64_t now = start + FZ_MS(schedules[i].at_ms[k]);
			ck_assert_msg(stun_txn_due(&t) == now, "%s: send %zu", schedules[i].why, k);
			ck_assert(now == 0 || !stun_txn_wants_send(&t, now - 1));
			ck_assert(stun_txn_wants_send(&t, now) && !stun_txn_given_up(&t, now));
			stun_txn_sent(&t, now);
			ck_assert(!stun_txn_wants_send(&t, now) && stun_txn_matches(&t, &t.id));
		}
		uint64_t end = start + FZ_MS(schedules[i].at_ms[schedules[i].schedule->max_sends]);
		ck_assert_msg(stun_txn_due(&t) == end, "%s: end", schedules[i].why);
		ck_assert(!stun_txn_given_up(&t, end - 1) && stun_txn_given_up(&t, end));
		ck_assert(!stun_txn_wants_send(&t, end));
		stun_txn_stop(&t);
		ck_assert(stun_txn_due(&t) == FZ_NEVER_US && !stun_txn_given_up(&t, end) &&
			  !stun_txn_matches(&t, &t.id));
		unit_env_check(&u);
	}
}
END_TEST

START_TEST(ids_differ)
{
	struct unit_env u;
	struct stun_txn a, b;

	unit_env_init(&u, 3);
	stun_txn_start(&a, &u.env, &turn, 0);
	stun_txn_start(&b, &u.env, &turn, 0);
	stun_txn_sent(&a, 0);
	ck_assert_mem_ne(&a.id, &b.id, sizeof(a.id));
	ck_assert(stun_txn_matches(&a, &a.id) && !stun_txn_matches(&a, &b.id));
}
END_TEST

START_TEST(a15_20_round_trip)
{
	struct unit_env u;
	struct stun_txn t;
	uint64_t rtt = 0;

	unit_env_init(&u, 3);
	stun_txn_start(&t, &u.env, &turn, FZ_SEC(1));
	stun_txn_sent(&t, FZ_SEC(1));
	stun_txn_take_rtt(&t, &rtt, FZ_SEC(1) + FZ_MS(40));
	ck_assert_uint_eq(rtt, FZ_MS(40));
	stun_txn_take_rtt(&t, &rtt, FZ_SEC(1) + FZ_MS(200));
	ck_assert_uint_eq(rtt, FZ_MS(60));
	rtt = 0; /* an answer in no time is an answer all the same */
	stun_txn_take_rtt(&t, &rtt, FZ_SEC(1));
	ck_assert_uint_gt(rtt, 0);
	stun_txn_sent(&t, FZ_SEC(2)); /* counted from the first datagram */
	rtt = 0;
	stun_txn_take_rtt(&t, &rtt, FZ_SEC(2) + FZ_MS(10));
	ck_assert_uint_eq(rtt, FZ_MS(1010));
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("stun_txn");

	unit_case(s, "transactions", repetition, ids_differ, a15_20_round_trip);
	return s;
}
