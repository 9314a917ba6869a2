/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "base/time.h"
#include "wg_pair.h"

#define JITTER FZ_MS(333)

#define assert_within(at, low, span)                                                                         \
	do {                                                                                                 \
		ck_assert_uint_ge(at, low);                                                                  \
		ck_assert_uint_le(at, (low) + (span));                                                       \
	} while (0)

static const struct {
	const struct wg_timing *timing;
	uint64_t rekey_s, on_receive_s, keepalive_s, unanswered_s, retry_s, attempt_s;
} profiles[] = {
	{ &wg_timing_ice, 120, 165, 10, 15, 5, 20 },
	{ &wg_timing_iceless, 120, 173, 5, 7, 2, 90 },
	{ &wg_timing_standard, 120, 165, 10, 15, 5, 90 },
};
#define PROFILES ((int)(sizeof(profiles) / sizeof(*profiles)))

/* The initiator of a session has a new one made at 120 s if it has sent data, at 165 or 173 s if it has
 * received some. The responder never does. */
START_TEST(rekey)
{
	for (int by_sending = 0; by_sending < 2; by_sending++) {
		struct pair w;
		pair_init(&w, profiles[_i].timing);
		pair_connect(&w);
		uint64_t start = w.now_us;
		uint64_t age = by_sending ? profiles[_i].rekey_s : profiles[_i].on_receive_s;
		pair_run(&w, FZ_SEC(3));
		ck_assert(pair_send(&w, by_sending ? &w.a : &w.b, 100));
		pair_run(&w, FZ_SEC(age - 3) - 1);
		ck_assert_uint_eq(w.a.sent[WG_INITIATION], 1);
		pair_run(&w, JITTER + 1);
		ck_assert_uint_eq(w.a.sent[WG_INITIATION], 2);
		assert_within(w.a.last_sent_us[WG_INITIATION], start + FZ_SEC(age), JITTER);
		ck_assert_uint_eq(w.b.sent[WG_INITIATION], 0);
		ck_assert_uint_eq(w.a.events[WG_SESSION], 2);
		ck_assert_uint_eq(w.b.events[WG_SENDABLE], 2);
		pair_free(&w);
	}
}
END_TEST

/* An idle Firezone tunnel is kept alive by its last initiator, a standard one is left to end. */
START_TEST(idle)
{
	struct pair w;
	const struct wg_timing *t = profiles[_i].timing;

	pair_init(&w, t);
	pair_connect(&w);
	uint64_t start = w.now_us;
	uint64_t after = t->rekey_idle_ms ? FZ_MS(t->rekey_idle_ms) : FZ_SEC(180);
	pair_run(&w, after - 1);
	ck_assert_uint_eq(w.a.sent[WG_INITIATION], 1);
	pair_run(&w, JITTER + 1);
	if (t->rekey_idle_ms) {
		assert_within(w.a.last_sent_us[WG_INITIATION], start + after, JITTER);
		pair_run(&w, FZ_SEC(3600));
		ck_assert_uint_ge(w.a.sent[WG_INITIATION], 20);
		ck_assert_uint_le(w.a.sent[WG_INITIATION], 24);
		ck_assert_uint_eq(w.b.sent[WG_INITIATION], 0);
		ck_assert_uint_eq(w.a.sent[WG_DATA], w.a.sent[WG_INITIATION]);
		ck_assert_uint_eq(w.b.sent[WG_DATA], 0);
		if (!wg_peer_can_send(w.a.peer, w.now_us)) /* its last 10 s: see the cut-off */
			pair_run(&w, FZ_SEC(10) + JITTER);
		ck_assert(pair_send(&w, &w.b, 10));
		ck_assert(pair_send(&w, &w.a, 10));
	} else {
		ck_assert_uint_eq(w.a.sent[WG_INITIATION], 1);
		ck_assert_uint_eq(wg_peer_next_timeout(w.a.peer), FZ_NEVER_US);
		ck_assert_uint_eq(wg_peer_next_timeout(w.b.peer), FZ_NEVER_US);
		ck_assert(!pair_send(&w, &w.a, 10));
	}
	ck_assert_uint_eq(w.a.events[WG_EXPIRED] + w.b.events[WG_EXPIRED], 0);
	pair_free(&w);
}
END_TEST

START_TEST(keepalive)
{
	struct pair w;
	uint64_t wait = FZ_SEC(profiles[_i].keepalive_s);

	pair_init(&w, profiles[_i].timing);
	pair_connect(&w);
	pair_run(&w, FZ_SEC(1));
	uint64_t first = w.now_us;
	ck_assert(pair_send(&w, &w.a, 100));
	pair_run(&w, FZ_SEC(1));
	uint64_t latest = w.now_us;
	ck_assert(pair_send(&w, &w.a, 100));
	uint64_t due = (profiles[_i].timing->keepalive_from_first ? first : latest) + wait;
	pair_run(&w, due - w.now_us - 1);
	ck_assert_uint_eq(w.b.sent[WG_DATA], 0);
	pair_run(&w, 1);
	ck_assert_uint_eq(w.b.sent[WG_DATA], 1);
	pair_run(&w, FZ_SEC(60)); /* neither again, nor in answer to a keepalive */
	ck_assert_uint_eq(w.b.sent[WG_DATA], 1);
	ck_assert_uint_eq(w.a.sent[WG_DATA], 1);

	ck_assert(pair_send(&w, &w.a, 100)); /* an answer with content makes it needless */
	pair_run(&w, wait - 1);
	ck_assert(pair_send(&w, &w.b, 100));
	pair_run(&w, wait / 2);
	ck_assert_uint_eq(w.b.sent[WG_DATA], 1);
	pair_free(&w);
}
END_TEST

/* Either side starts a handshake when nothing came back since its first packet. */
START_TEST(unanswered)
{
	uint64_t wait = FZ_SEC(profiles[_i].unanswered_s);

	for (int responder = 0; responder < 2; responder++) {
		struct pair w;
		struct end *e = responder ? &w.b : &w.a;
		struct end *other = responder ? &w.a : &w.b;
		pair_init(&w, profiles[_i].timing);
		pair_connect(&w);
		unsigned before = e->sent[WG_INITIATION];
		pair_run(&w, FZ_SEC(1));
		other->mute = true;
		uint64_t start = w.now_us;
		ck_assert(pair_send(&w, e, 100));
		pair_run(&w, FZ_SEC(4));
		ck_assert(pair_send(&w, e, 100));
		pair_run(&w, wait - FZ_SEC(4) - 1);
		ck_assert_uint_eq(e->sent[WG_INITIATION], before);
		other->mute = false;
		pair_run(&w, JITTER + 1);
		ck_assert_uint_eq(e->sent[WG_INITIATION], before + 1);
		assert_within(e->last_sent_us[WG_INITIATION], start + wait, JITTER);
		ck_assert(pair_send(&w, e, 100));
		ck_assert(pair_send(&w, other, 100));
		pair_free(&w);
	}
}
END_TEST

/* How long after `last` an initiation is repeated while there is no session. */
static uint64_t retry_gap(const struct wg_timing *t, uint64_t start, uint64_t last)
{
	uint64_t most = FZ_MS(t->rekey_timeout_ms), least = FZ_MS(t->first_retry_ms), gap = last - start;

	if (least == 0 || gap > most)
		return most;
	return gap < least ? least : gap;
}

/* How many are sent before `end` when each is late by so much. */
static unsigned initiations(const struct wg_timing *t, uint64_t end, uint64_t late)
{
	unsigned n = 0;

	for (uint64_t at = 0; at < end; at += retry_gap(t, 0, at) + late)
		n++;
	return n;
}

/* Unanswered initiations are repeated, then the peer gives up and is silent until it is wanted again. */
START_TEST(attempts)
{
	struct pair w;
	const struct wg_timing *timing = profiles[_i].timing;
	uint64_t give_up = FZ_SEC(profiles[_i].attempt_s), start;

	pair_init(&w, timing);
	w.a.mute = true;
	start = w.now_us;
	wg_peer_initiate(w.a.peer, w.now_us);
	pair_settle(&w);
	for (unsigned i = 1; i < 4; i++) {
		uint64_t last = w.a.last_sent_us[WG_INITIATION], retry = retry_gap(timing, start, last);
		ck_assert_uint_eq(w.a.sent[WG_INITIATION], i);
		pair_run(&w, last + retry - w.now_us - 1);
		ck_assert_uint_eq(w.a.sent[WG_INITIATION], i);
		wg_peer_initiate(w.a.peer, w.now_us); /* does nothing: one is in flight */
		pair_settle(&w);
		ck_assert_uint_eq(w.a.sent[WG_INITIATION], i);
		ck_assert(wg_peer_handshake_in_flight(w.a.peer));
		pair_run(&w, JITTER + 1);
		assert_within(w.a.last_sent_us[WG_INITIATION], last + retry, JITTER);
	}
	/* The end may be put off by the jitter that is running. */
	pair_run(&w, FZ_SEC(1000) + give_up - 1 - w.now_us);
	ck_assert_uint_eq(w.a.events[WG_EXPIRED], 0);
	pair_run(&w, JITTER + 1);
	ck_assert_uint_eq(w.a.events[WG_EXPIRED], 1);
	unsigned sent = w.a.sent[WG_INITIATION];
	ck_assert_uint_ge(sent, initiations(timing, give_up, JITTER));
	ck_assert_uint_le(sent, initiations(timing, give_up + JITTER, 0));
	ck_assert_uint_eq(wg_peer_next_timeout(w.a.peer), FZ_NEVER_US);
	ck_assert(!wg_peer_handshake_in_flight(w.a.peer));
	pair_run(&w, FZ_SEC(100));
	ck_assert_uint_eq(w.a.sent[WG_INITIATION], sent);
	ck_assert_uint_eq(w.a.events[WG_EXPIRED], 1);

	w.a.mute = false;
	pair_connect(&w);
	ck_assert(pair_send(&w, &w.a, 10));
	pair_free(&w);
}
END_TEST

/* Without any handshake the connection ends after 540 s; so does one whose peer is gone, 20 s after the
 * attempt that its data caused. */
START_TEST(expiry)
{
	struct pair w;

	pair_init(&w, &wg_timing_ice);
	pair_run(&w, FZ_SEC(540) - 1);
	ck_assert_uint_eq(w.a.events[WG_EXPIRED], 0);
	pair_run(&w, 1);
	ck_assert_uint_eq(w.a.events[WG_EXPIRED], 1);
	ck_assert_uint_eq(w.b.events[WG_EXPIRED], 1);
	pair_connect(&w); /* both come back to life */
	ck_assert(pair_send(&w, &w.b, 10));
	ck_assert_uint_eq(w.a.events[WG_SESSION], 1);

	uint64_t start = w.now_us;
	w.a.mute = w.b.mute = true;
	ck_assert(!pair_send(&w, &w.a, 10));
	pair_run(&w, FZ_SEC(15 + 20) - 1);
	ck_assert_uint_eq(w.a.events[WG_EXPIRED], 1);
	pair_run(&w, 3 * JITTER);
	ck_assert_uint_eq(w.a.events[WG_EXPIRED], 2);
	ck_assert(!wg_peer_can_send(w.a.peer, w.now_us));
	pair_run(&w, start + FZ_SEC(540) - w.now_us); /* the responder just waits */
	ck_assert_uint_eq(w.b.events[WG_EXPIRED], 2);
	pair_free(&w);
}
END_TEST

START_TEST(cutoff)
{
	struct pair w;
	uint64_t cut = FZ_MS(profiles[_i].timing->send_cutoff_ms);

	pair_init(&w, profiles[_i].timing);
	pair_connect(&w);
	pair_run(&w, FZ_SEC(160));
	w.now_us = FZ_SEC(1000) + cut; /* no deadline run: only the age counts */
	ck_assert_int_eq(wg_peer_can_send(w.a.peer, w.now_us), cut < FZ_SEC(180));
	ck_assert(!wg_peer_can_send(w.a.peer, w.now_us + 1));
	w.now_us--;
	ck_assert(wg_peer_can_send(w.b.peer, FZ_SEC(1180) - 1));
	ck_assert(!wg_peer_can_send(w.b.peer, FZ_SEC(1180)));
	ck_assert(pair_send(&w, &w.a, 10));
	w.now_us = FZ_SEC(1180) - 1;
	ck_assert(pair_send(&w, &w.b, 10)); /* and it is received until then */
	uint8_t dgram[100], out[100];
	ck_assert_int_eq(pair_seal(&w, &w.b, dgram, 20), 52);
	ck_assert_int_eq(wg_peer_open(w.a.peer, out, dgram, 52, FZ_SEC(1180)), FZ_ERR_STATE);
	ck_assert_int_eq(pair_seal(&w, &w.a, dgram, 20), cut < FZ_SEC(180) ? FZ_ERR_STATE : 52);
	pair_free(&w);
}
END_TEST

/* A peer that wants to stay reachable: an empty packet after so much silence, handshakes for ever. */
START_TEST(persistent)
{
	struct pair w;
	struct wg_peer_opts opts = { .index24 = 7, .persistent_keepalive_ms = 25000 };

	pair_init(&w, &wg_timing_standard);
	wg_peer_free(w.a.peer);
	opts.public_key = *wg_self_public(w.b.self);
	memset(&opts.psk, 0x55, sizeof(opts.psk));
	ck_assert_int_eq(wg_peer_new(&w.a.u.env, w.a.self, &opts, w.now_us, &w.a.peer), 0);
	w.a.mute = true;
	pair_run(&w, FZ_SEC(25) + JITTER);
	ck_assert_uint_eq(w.a.sent[WG_INITIATION], 1);
	pair_run(&w, FZ_SEC(300)); /* has given up, tried again */
	ck_assert_uint_ge(w.a.events[WG_EXPIRED], 2);
	w.a.mute = false;
	pair_run(&w, FZ_SEC(30));
	ck_assert(wg_peer_can_send(w.a.peer, w.now_us));
	unsigned before = w.a.sent[WG_DATA];
	pair_run(&w, FZ_SEC(50));
	ck_assert_uint_eq(w.a.sent[WG_DATA], before + 2);
	for (int i = 0; i < 4; i++) { /* traffic of either side makes it needless */
		before = w.a.sent[WG_DATA];
		ck_assert(pair_send(&w, i % 2 ? &w.a : &w.b, 20));
		pair_run(&w, FZ_SEC(9));
		ck_assert_uint_eq(w.a.sent[WG_DATA], before);
	}
	pair_free(&w);
}
END_TEST

/* Packets in both directions all the time, through many re-keys: none may get lost. */
START_TEST(rekey_without_loss)
{
	struct pair w;

	pair_init(&w, profiles[_i].timing);
	pair_connect(&w);
	for (int i = 0; i < 40 * 600; i++) {
		ck_assert(pair_send(&w, &w.a, 30));
		ck_assert(pair_send(&w, &w.b, 30));
		pair_run(&w, FZ_MS(25));
	}
	ck_assert_uint_ge(w.a.events[WG_SESSION], 5);
	ck_assert_uint_eq(w.a.sent[WG_INITIATION], w.a.events[WG_SESSION]);
	pair_free(&w);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("wg_timers");
	TCase *c = tcase_create("profiles");

	tcase_set_timeout(c, 60);
	tcase_add_loop_test(c, rekey, 0, PROFILES);
	tcase_add_loop_test(c, idle, 0, PROFILES);
	tcase_add_loop_test(c, keepalive, 0, PROFILES);
	tcase_add_loop_test(c, unanswered, 0, PROFILES);
	tcase_add_loop_test(c, attempts, 0, PROFILES);
	tcase_add_loop_test(c, cutoff, 0, PROFILES);
	tcase_add_loop_test(c, rekey_without_loss, 0, PROFILES);
	suite_add_tcase(s, c);
	unit_case(s, "ends", expiry, persistent);
	return s;
}
