/* SPDX-License-Identifier: Apache-2.0 */
/* Two peers over a bad network, for simulated hours: loss in phases, delay, reordering, duplicates, suspends.
 * Whatever happens, no packet is delivered twice or damaged, no deadline is stuck, and soon after the network
 * has become good again every packet arrives. */
#include "unit.h"

#include "base/rng.h"
#include "base/time.h"
#include "wg_pair.h"

#define FLYING 512
#define PACKETS 20000

struct flying {
	uint8_t data[100];
	size_t len;
	uint64_t at_us;
	struct end *to;
};

struct net {
	struct pair w;
	struct unit_env dice;
	struct flying flying[FLYING];
	unsigned loss; /* percent */
	uint64_t delay_us; /* at most */
	bool arrived[2][PACKETS];
	uint32_t sent[2];
	unsigned expired;
	uint64_t seed;
};

static bool roll(struct net *n, unsigned percent)
{
	return fz_rng_below(&n->dice.env, 100) < percent;
}

static void post(struct net *n, struct end *to, const uint8_t *data, size_t len)
{
	unsigned copies = roll(n, n->loss) ? 0 : roll(n, 5) ? 2 : 1;

	for (struct flying *f = n->flying; copies && f < n->flying + FLYING; f++) {
		if (f->len)
			continue;
		memcpy(f->data, data, len);
		f->len = len;
		f->to = to;
		f->at_us = n->w.now_us + fz_rng_below(&n->dice.env, (uint32_t)n->delay_us + 1);
		copies--;
	}
}

static struct end *other(struct net *n, const struct end *e)
{
	return e == &n->w.a ? &n->w.b : &n->w.a;
}

static void drain(struct net *n, struct end *e)
{
	uint8_t buf[WG_HANDSHAKE_MAX + 1];
	enum wg_event ev;
	int len;

	while ((len = wg_peer_poll_transmit(e->peer, buf, sizeof(buf), n->w.now_us, n->w.unix_ns)) > 0) {
		uint8_t small[100];
		/* Initiations do not fit the small slots: deliver them at once, or not. */
		if (len <= (int)sizeof(small))
			post(n, other(n, e), buf, (size_t)len);
		else if (!roll(n, n->loss))
			(void)!wg_peer_handle_message(other(n, e)->peer, buf, (size_t)len, n->w.now_us);
	}
	while (wg_peer_poll_event(e->peer, &ev)) {
		n->expired += ev == WG_EXPIRED;
		if (ev == WG_EXPIRED && e == &n->w.a) /* what the core does: connect anew */
			wg_peer_initiate(e->peer, n->w.now_us);
	}
}

static void send_number(struct net *n, struct end *e)
{
	int side = e == &n->w.b;
	uint8_t plain[20], dgram[52];

	if (n->sent[side] == PACKETS)
		return;
	memset(plain, side, sizeof(plain));
	fz_put_le32(plain, n->sent[side]);
	if (wg_peer_seal(e->peer, dgram, plain, sizeof(plain), n->w.now_us) != 52)
		return;
	n->sent[side]++;
	post(n, other(n, e), dgram, 52);
}

static void arrive(struct net *n, struct flying *f)
{
	uint8_t out[100];

	if (wg_classify(f->data, f->len) != WG_DATA) {
		(void)!wg_peer_handle_message(f->to->peer, f->data, f->len, n->w.now_us);
	} else {
		int len = wg_peer_open(f->to->peer, out, f->data, f->len, n->w.now_us);
		int side = f->to == &n->w.a; /* where it comes from */
		if (len > 0) {
			uint32_t number = fz_get_le32(out);
			if (len != 20 || out[19] != side || number >= n->sent[side] ||
			    n->arrived[side][number])
				ck_abort_msg("seed %d: packet %u of side %d again, or damaged", (int)n->seed,
					     number, side);
			n->arrived[side][number] = true;
		}
	}
	f->len = 0;
	drain(n, f->to);
}

static void turn(struct net *n, uint64_t until_us)
{
	unsigned spins = 0;

	for (;;) {
		uint64_t at = until_us;
		struct flying *next = NULL;
		for (struct flying *f = n->flying; f < n->flying + FLYING; f++) {
			if (f->len && f->at_us < at) {
				at = f->at_us;
				next = f;
			}
		}
		uint64_t timer =
			fz_min_us(wg_peer_next_timeout(n->w.a.peer), wg_peer_next_timeout(n->w.b.peer));
		if (timer <= at) {
			next = NULL;
			at = timer;
		}
		if (at > n->w.now_us) {
			n->w.unix_ns += (at - n->w.now_us) * 1000;
			n->w.now_us = at;
		}
		if (next) {
			arrive(n, next);
		} else {
			if (++spins > 1000)
				ck_abort_msg("seed %d: a deadline stays in the past", (int)n->seed);
			wg_peer_handle_timeout(n->w.a.peer, n->w.now_us);
			wg_peer_handle_timeout(n->w.b.peer, n->w.now_us);
			drain(n, &n->w.a);
			drain(n, &n->w.b);
			if (timer > until_us)
				return;
		}
	}
}

static void traffic(struct net *n, uint64_t us, uint64_t every_us, bool both)
{
	for (uint64_t end_us = n->w.now_us + us; n->w.now_us < end_us;) {
		if (roll(n, 50) || !both)
			send_number(n, &n->w.a);
		if (both && roll(n, 50))
			send_number(n, &n->w.b);
		turn(n, n->w.now_us + every_us);
	}
}

static unsigned count(const struct net *n, int side)
{
	unsigned c = 0;

	for (uint32_t i = 0; i < n->sent[side]; i++)
		c += n->arrived[side][i];
	return c;
}

/* The network is good: everything sent from now on arrives. */
static void expect_all(struct net *n)
{
	uint32_t before[2] = { n->sent[0], n->sent[1] };

	n->loss = 0;
	n->delay_us = FZ_MS(20);
	turn(n, n->w.now_us + FZ_SEC(1));
	before[0] = n->sent[0];
	before[1] = n->sent[1];
	unsigned c[2] = { count(n, 0), count(n, 1) };
	traffic(n, FZ_SEC(20), FZ_MS(100), true);
	turn(n, n->w.now_us + FZ_SEC(1));
	for (int side = 0; side < 2; side++) {
		unsigned sent = n->sent[side] - before[side], arrived = count(n, side) - c[side];
		ck_assert_msg(sent > 50 && arrived == sent, "seed %d: side %d sent %u, %u arrived",
			      (int)n->seed, side, sent, arrived);
	}
}

static void run(uint64_t seed, const struct wg_timing *timing)
{
	static const unsigned losses[] = { 0, 10, 50, 90, 100 };
	static const uint64_t delays_us[] = { FZ_MS(1), FZ_MS(50), FZ_MS(400) };
	static struct net n;

	memset(&n, 0, sizeof(n));
	n.seed = seed;
	unit_env_init(&n.dice, seed);
	pair_init(&n.w, timing);
	wg_peer_initiate(n.w.a.peer, n.w.now_us);
	drain(&n, &n.w.a);
	for (int phase = 0; phase < 12; phase++) {
		n.loss = losses[fz_rng_below(&n.dice.env, 5)];
		n.delay_us = delays_us[fz_rng_below(&n.dice.env, 3)];
		uint64_t span = FZ_SEC(1 + fz_rng_below(&n.dice.env, 300));
		switch (fz_rng_below(&n.dice.env, 4)) {
		case 0:
			turn(&n, n.w.now_us + span); /* idle */
			break;
		case 1: /* suspend: nothing runs, time has passed */
			n.w.now_us += span * 5;
			n.w.unix_ns += span * 5000;
			break;
		case 2:
			traffic(&n, span, FZ_MS(500), false);
			break;
		default:
			traffic(&n, span, FZ_MS(500), true);
			break;
		}
		/* Time to notice and to shake hands again: the longest retry interval and an idle re-key's
		 * distance. */
		n.loss = 0;
		n.delay_us = FZ_MS(20);
		if (!wg_peer_can_send(n.w.a.peer, n.w.now_us))
			wg_peer_initiate(n.w.a.peer, n.w.now_us);
		drain(&n, &n.w.a);
		traffic(&n, FZ_SEC(30), FZ_MS(500), true);
		expect_all(&n);
	}
	pair_free(&n.w);
}

START_TEST(soak)
{
	static const struct wg_timing *const timings[] = { &wg_timing_ice, &wg_timing_iceless,
							   &wg_timing_standard };

	for (int i = 0; i < 4; i++)
		run((uint64_t)_i * 4 + (uint64_t)i + 1, timings[_i % 3]);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("wg_soak");
	TCase *c = tcase_create("soak");

	tcase_set_timeout(c, 60);
	tcase_add_loop_test(c, soak, 0, 9);
	suite_add_tcase(s, c);
	return s;
}
