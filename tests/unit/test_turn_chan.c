/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "proto/turn_chan.h"

static const struct stun_schedule schedule = { FZ_MS(1000), 150, 4, 0 };

static struct fz_addr peer_of(unsigned i)
{
	struct fz_addr a = { .ip = { FZ_FAMILY_INET, { 198, 51, (uint8_t)(i >> 8), (uint8_t)i } },
			     .port = 7 };

	return a;
}

static struct turn_chan *take(struct turn_chans *t, unsigned i, uint64_t now_us)
{
	struct fz_addr peer = peer_of(i);
	struct turn_chan *c;

	ck_assert_int_eq(turn_chans_take(t, &peer, &c, now_us), 0);
	ck_assert_ptr_eq(turn_chans_by_peer(t, &peer), c);
	ck_assert_ptr_eq(turn_chans_by_number(t, c->number), c);
	return c;
}

static void bind(struct turn_chans *t, struct turn_chan *c, uint64_t now_us)
{
	turn_chan_start(t, c, &schedule, now_us);
	ck_assert_ptr_eq(turn_chans_peek_send(t), c);
	turn_chans_sent(t, now_us);
	ck_assert_ptr_eq(turn_chans_by_txid(t, &c->txn.id), c);
	turn_chan_bound(t, c, now_us);
}

/* 15.33: unused numbers first, then expired ones, fifteen minutes after anything happened on them. */
START_TEST(a15_33_reuse)
{
	struct unit_env u;
	struct turn_chans t;
	struct fz_addr late = peer_of(60000);
	struct turn_chan *c;
	uint64_t now = FZ_SEC(1000);

	unit_env_init(&u, 5);
	turn_chans_init(&t, &u.env);
	for (unsigned i = 0; i < TURN_CHAN_MAX; i++) {
		c = take(&t, i, now);
		ck_assert_uint_eq(c->number, TURN_CHANNEL_MIN + i);
		bind(&t, c, now);
	}
	ck_assert_int_eq(turn_chans_take(&t, &late, &c, now), FZ_ERR_FULL);
	turn_chans_by_number(&t, 0x4000)->rx_us = now + FZ_SEC(5);
	now += FZ_SEC(900) - 1;
	ck_assert_int_eq(turn_chans_take(&t, &late, &c, now), FZ_ERR_FULL);
	now += 1;
	/* found full a microsecond ago: not searched again before a second has passed */
	ck_assert_int_eq(turn_chans_take(&t, &late, &c, now), FZ_ERR_FULL);
	now += FZ_SEC(1);
	c = take(&t, 60000, now);
	ck_assert_uint_eq(c->number, 0x4001);
	struct fz_addr old = peer_of(1);
	ck_assert_ptr_null(turn_chans_by_peer(&t, &old));
	now += FZ_SEC(5);
	c = take(&t, 60001, now);
	ck_assert_uint_eq(c->number, 0x4002);
	turn_chans_clear(&t);
	ck_assert_ptr_null(turn_chans_by_peer(&t, &late));
	ck_assert(turn_chans_next_timeout(&t) == FZ_NEVER_US);
	unit_env_check(&u);
}
END_TEST

START_TEST(requests_leave_in_order)
{
	struct unit_env u;
	struct turn_chans t;
	struct turn_chan *c[20], *due;

	unit_env_init(&u, 5);
	turn_chans_init(&t, &u.env);
	for (unsigned i = 0; i < 20; i++) {
		c[i] = take(&t, i, 0);
		turn_chan_start(&t, c[i], &schedule, 0);
	}
	turn_chan_bound(&t, c[3], 0); /* answered before it was sent: skipped */
	for (unsigned i = 0; i < 20; i++) {
		if (i == 3)
			continue;
		ck_assert_ptr_eq(turn_chans_peek_send(&t), c[i]);
		turn_chans_sent(&t, 0);
	}
	ck_assert_ptr_null(turn_chans_peek_send(&t));
	ck_assert(turn_chans_next_timeout(&t) == FZ_SEC(1));
	ck_assert_int_eq(turn_chans_next_due(&t, &due, FZ_SEC(1) - 1), TURN_CHAN_NOTHING);
	ck_assert_int_eq(turn_chans_next_due(&t, &due, FZ_SEC(1)), TURN_CHAN_NOTHING);
	size_t n = 0;
	while (turn_chans_peek_send(&t)) {
		turn_chans_sent(&t, FZ_SEC(1));
		n++;
	}
	ck_assert_uint_eq(n, 19);
	turn_chans_clear(&t);
	unit_env_check(&u);
}
END_TEST

START_TEST(life_of_a_channel)
{
	struct unit_env u;
	struct turn_chans t;
	struct turn_chan *c, *due;

	unit_env_init(&u, 5);
	turn_chans_init(&t, &u.env);
	c = take(&t, 1, 0);
	bind(&t, c, 0);
	ck_assert(turn_chan_usable(c, FZ_SEC(600) - 1) && !turn_chan_usable(c, FZ_SEC(600)));
	ck_assert(turn_chans_next_timeout(&t) == FZ_NEVER_US); /* unused: left to expire */
	ck_assert(!turn_chan_use(&t, c, FZ_SEC(10)));
	ck_assert(turn_chans_next_timeout(&t) == FZ_SEC(240));
	ck_assert_int_eq(turn_chans_next_due(&t, &due, FZ_SEC(240)), TURN_CHAN_REBIND);
	bind(&t, c, FZ_SEC(240));
	ck_assert(turn_chans_next_timeout(&t) == FZ_NEVER_US);
	ck_assert(turn_chan_use(&t, c, FZ_SEC(240 + 400))); /* late: bind at once */
	turn_chan_start(&t, c, &schedule, FZ_SEC(640));
	uint64_t at[] = { FZ_SEC(640), FZ_SEC(641), FZ_MS(642500), FZ_MS(644750) };
	for (size_t i = 0; i < 4; i++) {
		ck_assert_int_eq(turn_chans_next_due(&t, &due, at[i]), TURN_CHAN_NOTHING);
		ck_assert_ptr_eq(turn_chans_peek_send(&t), c);
		turn_chans_sent(&t, at[i]);
	}
	ck_assert_int_eq(turn_chans_next_due(&t, &due, FZ_MS(648125)), TURN_CHAN_GIVE_UP);
	turn_chan_refused(&t, c, FZ_MS(648125));
	ck_assert(!turn_chan_usable(c, FZ_MS(648125)));
	ck_assert_int_eq(turn_chans_next_due(&t, &due, FZ_SEC(9999)), TURN_CHAN_NOTHING);
	turn_chans_clear(&t);
	unit_env_check(&u);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("turn_chan");

	unit_case(s, "channels", a15_33_reuse, requests_leave_in_order, life_of_a_channel);
	return s;
}
