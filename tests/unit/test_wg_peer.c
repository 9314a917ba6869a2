/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <openssl/crypto.h>

#include "base/time.h"
#include "proto/wg_peer.h"
#include "wg_pair.h"

/* The whole exchange byte for byte, as computed by an independent implementation. */
START_TEST(full_exchange)
{
	static const char *const initiation =
		"0100000001efcdab7b0d47d93427f8311160781c7c733fd89f88970aef490d8a"
		"a0ee19a4cb8a1b1481e498317da959fba46669572516a5e6c021bfa620bb6c56"
		"ca0082e1feae14988c2c64d024c617734a263f76a008df04d0f94bad81c09d67"
		"e699a4405314fe4a0c8c393cf864d73f4f5951674fe46ec30db4d56f9a3bfb14"
		"588a881f00000000000000000000000000000000";
	static const char *const response = "020000000156341201efcdabff2ee45601ec1b67310c7790404585ae697331ee"
					    "e1c1f8cf2419731c1fff3e6b2fcb9d9e29929f7c72fd32c7476dde70eb08994e"
					    "bc907c543f966e789416d39800000000000000000000000000000000";
	static const char *const keepalive =
		"04000000015634120000000000000000f1bce9fd9651b3f6b50c00179cbd1e01";
	static const char *const probe = "6000000000083a4001000000000000000000dead01ce0001"
					 "01000000000000000000dead01ce00028000bcc200000000";
	static const char *const sealed_probe =
		"04000000015634120100000000000000a81cd7aab3b97216168d13ab4ed0ffa0"
		"e2ea38f4190449398db3bce881b37811b726786ae4290156b5157bf503e5f4a1"
		"8c0c4d8445eea085111c302e9283132d";
	struct pair w;
	uint8_t a[WG_HANDSHAKE_MAX], b[WG_HANDSHAKE_MAX], out[64];

	pair_init(&w, &wg_timing_ice);
	memset(w.a.fixed, 0x33, 32);
	memset(w.b.fixed, 0x44, 32);
	w.a.has_fixed = w.b.has_fixed = true;
	wg_peer_initiate(w.a.peer, w.now_us);
	ck_assert_int_eq(wg_peer_poll_transmit(w.a.peer, a, sizeof(a), w.now_us, 1786000000123456789u), 148);
	unit_assert_hex(a, 148, initiation);
	ck_assert_int_eq(wg_peer_handle_message(w.b.peer, a, 148, w.now_us), 0);
	ck_assert_int_eq(wg_peer_poll_transmit(w.b.peer, b, sizeof(b), w.now_us, 1), 92);
	unit_assert_hex(b, 92, response);
	ck_assert_int_eq(wg_peer_handle_message(w.a.peer, b, 92, w.now_us), 0);
	ck_assert_int_eq(wg_peer_poll_transmit(w.a.peer, a, sizeof(a), w.now_us, 1), 32);
	unit_assert_hex(a, 32, keepalive);
	ck_assert_int_eq(wg_peer_open(w.b.peer, out, a, 32, w.now_us), 0);
	ck_assert_uint_eq(unit_hex(out, sizeof(out), probe), 48);
	ck_assert_int_eq(wg_peer_seal(w.a.peer, a, out, 48, w.now_us), 80);
	unit_assert_hex(a, 80, sealed_probe);
	ck_assert_int_eq(wg_peer_open(w.b.peer, out, a, 80, w.now_us), 48);
	unit_assert_hex(out, 48, probe);
	pair_free(&w);
}
END_TEST

/* Upper 24 bits stay; the lower 8 count handshake messages of both kinds, from 1. */
START_TEST(indices)
{
	struct pair w;
	uint8_t msg[WG_HANDSHAKE_MAX];
	uint32_t last = 0xabcdef00;

	pair_init(&w, &wg_timing_ice);
	for (int i = 0; i < 600; i++) {
		struct end *e = i % 3 ? &w.a : &w.b; /* sometimes the other side begins */
		wg_peer_initiate(e->peer, w.now_us);
		int n = wg_peer_poll_transmit(e->peer, msg, sizeof(msg), w.now_us, w.unix_ns++);
		ck_assert_int_eq(n, WG_INITIATION_LEN);
		struct end *other = e == &w.a ? &w.b : &w.a;
		if (e == &w.b) {
			ck_assert_int_eq(wg_peer_handle_message(w.a.peer, msg, 148, w.now_us), 0);
			n = wg_peer_poll_transmit(w.a.peer, msg, sizeof(msg), w.now_us, w.unix_ns);
			ck_assert_int_eq(n, WG_RESPONSE_LEN);
		}
		uint32_t index = fz_get_le32(msg + 4);
		ck_assert_uint_eq(index >> 8, 0xabcdef);
		/* The slot of the session in use is passed over. */
		ck_assert_uint_ge((uint8_t)(index - last), 1);
		ck_assert_uint_le((uint8_t)(index - last), 2);
		if (i == 0)
			ck_assert_uint_eq(index, 0xabcdef01);
		last = index;
		ck_assert_int_eq(wg_peer_handle_message(other == &w.a ? w.b.peer : other->peer, msg,
							(size_t)n, w.now_us),
				 0);
		pair_settle(&w);
		w.now_us += FZ_MS(20);
		w.unix_ns += 20000000;
		ck_assert(pair_send(&w, &w.a, 20));
		ck_assert(pair_send(&w, &w.b, 20));
	}
	pair_free(&w);
}
END_TEST

/* However many attempts fail meanwhile, the session in use survives until a new one takes over. */
START_TEST(slots_do_not_collide)
{
	struct pair w;

	pair_init(&w, &wg_timing_iceless);
	pair_connect(&w);
	for (int i = 0; i < 40; i++) {
		w.b.lose[WG_RESPONSE] = 1;
		wg_peer_initiate(w.a.peer, w.now_us);
		pair_settle(&w);
		pair_run(&w, FZ_MS(2400));
		/* the initiator's session may change by the retry, b's half-made ones must not disturb */
		ck_assert(pair_send(&w, &w.a, 20));
		ck_assert(pair_send(&w, &w.b, 20));
	}
	pair_free(&w);
}
END_TEST

START_TEST(each_message_lost)
{
	for (int type = WG_INITIATION; type <= WG_RESPONSE; type++) {
		for (unsigned times = 1; times <= 3; times++) {
			struct pair w;
			pair_init(&w, &wg_timing_ice);
			w.a.lose[type] = w.b.lose[type] = times;
			wg_peer_initiate(w.a.peer, w.now_us);
			pair_settle(&w);
			pair_run(&w, times * FZ_MS(5333));
			ck_assert(pair_send(&w, &w.a, 20));
			ck_assert(pair_send(&w, &w.b, 20));
			ck_assert_uint_eq(w.a.sent[WG_INITIATION], times + 1);
			pair_free(&w);
		}
	}
	/* Without the keepalive the responder waits for the first data. */
	struct pair w;
	pair_init(&w, &wg_timing_ice);
	w.a.lose[WG_DATA] = 1;
	wg_peer_initiate(w.a.peer, w.now_us);
	pair_settle(&w);
	ck_assert(!pair_send(&w, &w.b, 20));
	ck_assert_uint_eq(wg_peer_stats(w.b.peer)->unsendable, 1);
	ck_assert_uint_eq(w.b.events[WG_SENDABLE], 0);
	ck_assert(pair_send(&w, &w.a, 20));
	ck_assert(pair_send(&w, &w.b, 20));
	pair_free(&w);
}
END_TEST

/* The previous initiation stays answerable, and an answer to it ends the retries. */
START_TEST(late_response)
{
	struct pair w;
	uint8_t old[WG_HANDSHAKE_MAX], init[WG_HANDSHAKE_MAX], again[WG_HANDSHAKE_MAX], dgram[100], out[100];

	pair_init(&w, &wg_timing_ice);
	wg_peer_initiate(w.a.peer, w.now_us);
	ck_assert_int_eq(wg_peer_poll_transmit(w.a.peer, init, sizeof(init), w.now_us, w.unix_ns), 148);
	ck_assert_int_eq(wg_peer_handle_message(w.b.peer, init, 148, w.now_us), 0);
	ck_assert_int_eq(wg_peer_poll_transmit(w.b.peer, old, sizeof(old), w.now_us, w.unix_ns), 92);
	w.now_us += FZ_SEC(6);
	wg_peer_handle_timeout(w.a.peer, w.now_us);
	w.now_us += FZ_SEC(1);
	wg_peer_handle_timeout(w.a.peer, w.now_us);
	ck_assert_int_eq(wg_peer_poll_transmit(w.a.peer, init, sizeof(init), w.now_us, w.unix_ns), 148);
	ck_assert_int_eq(wg_peer_handle_message(w.a.peer, old, 92, w.now_us), 0);
	ck_assert(!wg_peer_handshake_in_flight(w.a.peer));
	ck_assert_int_eq(wg_peer_handle_message(w.a.peer, old, 92, w.now_us), FZ_ERR_AUTH);
	pair_settle(&w);
	ck_assert(pair_send(&w, &w.a, 20));
	ck_assert(pair_send(&w, &w.b, 20));
	/* Now the answer to the second one: a newer session. */
	int n = pair_seal(&w, &w.b, dgram, 20);
	ck_assert_int_eq(wg_peer_handle_message(w.b.peer, init, 148, w.now_us), 0);
	ck_assert_int_eq(wg_peer_poll_transmit(w.b.peer, again, sizeof(again), w.now_us, w.unix_ns), 92);
	ck_assert_int_eq(wg_peer_handle_message(w.a.peer, again, 92, w.now_us), 0);
	ck_assert_int_eq(wg_peer_open(w.a.peer, out, dgram, (size_t)n, w.now_us),
			 20); /* old sessions still receive */
	pair_settle(&w);
	ck_assert(pair_send(&w, &w.a, 20));
	ck_assert(pair_send(&w, &w.b, 20));
	ck_assert_uint_eq(wg_peer_stats(w.a.peer)->sessions, 2);
	ck_assert_uint_eq(wg_peer_stats(w.a.peer)->stale_handshake, 1);
	pair_free(&w);
}
END_TEST

/* Both begin at once, with every order of loss: it always ends with both able to send, and to go on. */
START_TEST(simultaneous)
{
	for (unsigned mask = 0; mask < 16; mask++) {
		struct pair w;
		uint8_t a[WG_HANDSHAKE_MAX], b[WG_HANDSHAKE_MAX];
		pair_init(&w, &wg_timing_ice);
		wg_peer_initiate(w.a.peer, w.now_us);
		wg_peer_initiate(w.b.peer, w.now_us);
		ck_assert_int_eq(wg_peer_poll_transmit(w.a.peer, a, sizeof(a), w.now_us, w.unix_ns), 148);
		ck_assert_int_eq(wg_peer_poll_transmit(w.b.peer, b, sizeof(b), w.now_us, w.unix_ns), 148);
		if (!(mask & 1))
			ck_assert_int_eq(wg_peer_handle_message(w.b.peer, a, 148, w.now_us), 0);
		if (!(mask & 2))
			ck_assert_int_eq(wg_peer_handle_message(w.a.peer, b, 148, w.now_us), 0);
		w.a.lose[WG_RESPONSE] = mask >> 2 & 1;
		w.b.lose[WG_RESPONSE] = mask >> 3 & 1;
		pair_settle(&w);
		pair_run(&w, FZ_SEC(12));
		for (int i = 0; i < 600; i++) {
			ck_assert(pair_send(&w, &w.a, 20));
			ck_assert(pair_send(&w, &w.b, 20));
			pair_run(&w, FZ_SEC(1));
		}
		ck_assert_uint_eq(w.a.events[WG_EXPIRED] + w.b.events[WG_EXPIRED], 0);
		pair_free(&w);
	}
}
END_TEST

/* Not newer, not ours, not whole: refused, and nothing but a counter has changed. */
START_TEST(refused)
{
	struct pair w, other;
	uint8_t init[WG_HANDSHAKE_MAX], resp[WG_HANDSHAKE_MAX], dgram[80], out[80], msg[200];

	pair_init(&w, &wg_timing_ice);
	pair_init(&other, &wg_timing_ice);
	wg_peer_initiate(w.a.peer, w.now_us);
	ck_assert_int_eq(wg_peer_poll_transmit(w.a.peer, init, 147, w.now_us, w.unix_ns), FZ_ERR_NOSPACE);
	ck_assert_int_eq(wg_peer_poll_transmit(w.a.peer, init, sizeof(init), w.now_us, w.unix_ns), 148);
	for (size_t len = 0; len < 148; len++)
		ck_assert_int_eq(wg_peer_handle_message(w.b.peer, init, len, w.now_us), FZ_ERR_WIRE);
	for (size_t i = 0; i < 148 - WG_MACS_LEN; i++) {
		memcpy(msg, init, 148);
		msg[i] ^= 4;
		if (i < 4 || i >= 8) /* the index is covered by mac1 only */
			ck_assert_int_lt(wg_peer_handle_message(w.b.peer, msg, 148, w.now_us), 0);
	}
	ck_assert_int_eq(wg_peer_poll_transmit(w.b.peer, resp, sizeof(resp), w.now_us, w.unix_ns), 0);
	/* A peer with another key at the same node. */
	struct wg_peer_opts opts = { .index24 = 9, .public_key = *wg_self_public(w.b.self) };
	struct wg_peer *stranger;
	ck_assert_int_eq(wg_peer_new(&w.b.u.env, w.b.self, &opts, w.now_us, &stranger), 0);
	ck_assert_int_eq(wg_peer_handle_message(stranger, init, 148, w.now_us), FZ_ERR_NOT_MINE);

	ck_assert_int_eq(wg_peer_handle_message(w.b.peer, init, 148, w.now_us), 0);
	ck_assert_int_eq(wg_peer_handle_message(w.b.peer, init, 148, w.now_us), FZ_ERR_AUTH); /* a copy */
	ck_assert_int_eq(wg_peer_poll_transmit(w.b.peer, resp, sizeof(resp), w.now_us, w.unix_ns), 92);
	ck_assert_uint_eq(fz_get_le32(resp + 4), 0x12345601); /* refused ones have not used up an index */
	ck_assert_int_eq(wg_peer_handle_message(stranger, resp, 92, w.now_us), FZ_ERR_NOT_MINE);
	wg_peer_free(stranger);
	for (size_t len = 0; len < 92; len++)
		ck_assert_int_eq(wg_peer_handle_message(w.a.peer, resp, len, w.now_us), FZ_ERR_WIRE);
	for (size_t i = 0; i < 92 - WG_MACS_LEN; i++) {
		memcpy(msg, resp, 92);
		msg[i] ^= 4;
		if (i < 4 || i >= 8)
			ck_assert_int_lt(wg_peer_handle_message(w.a.peer, msg, 92, w.now_us), 0);
	}
	ck_assert(!wg_peer_can_send(w.a.peer, w.now_us));
	ck_assert_int_eq(wg_peer_handle_message(w.a.peer, resp, 92, w.now_us), 0);
	pair_settle(&w);

	int n = pair_seal(&w, &w.a, dgram, 30);
	ck_assert_int_eq(n, 62);
	for (size_t len = 0; len < 62; len++)
		ck_assert_int_lt(wg_peer_open(w.b.peer, out, dgram, len, w.now_us), 0);
	for (size_t i = 0; i < 62; i++) {
		memcpy(msg, dgram, 62);
		msg[i] ^= 4;
		ck_assert_int_lt(wg_peer_open(w.b.peer, out, msg, 62, w.now_us), 0);
	}
	ck_assert_int_eq(wg_peer_open(other.b.peer, out, dgram, 62, w.now_us), FZ_ERR_STATE);
	ck_assert_int_eq(wg_peer_open(w.a.peer, out, dgram, 62, w.now_us), FZ_ERR_NOT_MINE);
	ck_assert_int_eq(wg_peer_open(w.b.peer, out, dgram, 62, w.now_us), 30);
	ck_assert_int_eq(wg_peer_open(w.b.peer, out, dgram, 62, w.now_us), FZ_ERR_AUTH);
	const struct wg_stats *st = wg_peer_stats(w.b.peer);
	ck_assert_uint_eq(st->replayed, 1);
	ck_assert_uint_eq(st->stale_handshake, 1);
	ck_assert_uint_eq(st->rx_packets, 1);
	ck_assert_uint_eq(st->rx_bytes, 30);
	ck_assert_uint_gt(st->bad_tag, 40);
	ck_assert_uint_gt(st->bad_session, 0);
	ck_assert_uint_gt(st->bad_message, 148);
	pair_free(&w);
	pair_free(&other);
}
END_TEST

/* A wall clock that goes back must not make the peer refuse our initiations. */
START_TEST(clock_goes_back)
{
	struct pair w;

	pair_init(&w, &wg_timing_ice);
	for (int i = 0; i < 5; i++) {
		pair_connect(&w);
		w.unix_ns -= 3600u * 1000000000u;
		pair_run(&w, FZ_SEC(30));
	}
	ck_assert_uint_eq(w.b.events[WG_SESSION], 5);
	pair_free(&w);
}
END_TEST

/* Under load: cookie, retry with mac2, session. */
START_TEST(a15_4_load)
{
	static const struct fz_ip from = { .family = FZ_FAMILY_INET6, .b = { 0x20, 1 } };
	struct pair w;
	uint8_t msg[WG_HANDSHAKE_MAX], reply[WG_COOKIE_REPLY_LEN];
	size_t reply_len;
	int err;

	pair_init(&w, &wg_timing_ice);
	wg_peer_initiate(w.a.peer, w.now_us);
	ck_assert_int_eq(wg_peer_poll_transmit(w.a.peer, msg, sizeof(msg), w.now_us, w.unix_ns), 148);
	do
		err = wg_self_admit(w.b.self, msg, 148, &from, w.now_us, reply, &reply_len);
	while (err == 0);
	ck_assert_int_eq(err, FZ_ERR_AGAIN);
	ck_assert_uint_eq(reply_len, WG_COOKIE_REPLY_LEN);
	ck_assert_uint_eq(wg_receiver(reply), 0xabcdef01);
	ck_assert_int_eq(wg_peer_handle_message(w.b.peer, reply, reply_len, w.now_us), FZ_ERR_NOT_MINE);
	ck_assert_int_eq(wg_peer_handle_message(w.a.peer, reply, reply_len, w.now_us), 0);
	w.now_us += FZ_SEC(5);
	wg_peer_handle_timeout(w.a.peer, w.now_us);
	w.now_us += FZ_MS(333);
	wg_peer_handle_timeout(w.a.peer, w.now_us);
	ck_assert_int_eq(wg_peer_poll_transmit(w.a.peer, msg, sizeof(msg), w.now_us, w.unix_ns), 148);
	for (int i = 0; i < 200; i++)
		ck_assert_int_eq(wg_self_admit(w.b.self, msg, 148, &from, w.now_us, reply, &reply_len), 0);
	ck_assert_int_eq(wg_self_admit(w.b.self, msg, 148, &from, w.now_us, reply, &reply_len), FZ_ERR_FULL);
	ck_assert_uint_eq(reply_len, 0);
	ck_assert_int_eq(wg_peer_handle_message(w.b.peer, msg, 148, w.now_us), 0);
	pair_settle(&w);
	ck_assert(pair_send(&w, &w.a, 10));
	const struct wg_self_stats *st = wg_self_stats(w.b.self);
	ck_assert_uint_eq(st->admitted, 300);
	ck_assert_uint_eq(st->limited, 1);
	ck_assert_uint_eq(st->cookies_sent, 1);
	pair_free(&w);
}
END_TEST

/* Whatever allocation fails, nothing is lost but the message at hand, and the next try works. */
START_TEST(no_memory)
{
	for (long n = 1;; n++) {
		struct unit_env u;
		struct wg_self *self = NULL;
		struct wg_peer *peer = NULL;
		struct fz_key key;
		memset(&key, 0x22, sizeof(key));
		unit_env_init(&u, 1);
		u.fail_at = n;
		int err = wg_self_new(&u.env, NULL, 0, &self);
		struct wg_peer_opts opts = { .public_key = key };
		if (err == 0)
			err = wg_peer_new(&u.env, self, &opts, 0, &peer);
		wg_peer_free(peer);
		wg_self_free(self);
		unit_env_check(&u);
		if (err == 0)
			break;
		ck_assert_int_eq(err, FZ_ERR_NOMEM);
	}
	for (int at_b = 0; at_b < 2; at_b++) {
		struct pair w;
		uint8_t init[WG_HANDSHAKE_MAX], resp[WG_HANDSHAKE_MAX];
		pair_init(&w, &wg_timing_ice);
		struct end *e = at_b ? &w.b : &w.a;
		e->u.fail_at = e->u.allocs + 1;
		wg_peer_initiate(w.a.peer, w.now_us);
		ck_assert_int_eq(wg_peer_poll_transmit(w.a.peer, init, sizeof(init), w.now_us, w.unix_ns),
				 148);
		if (at_b)
			ck_assert_int_eq(wg_peer_handle_message(w.b.peer, init, 148, w.now_us), FZ_ERR_NOMEM);
		ck_assert_int_eq(wg_peer_handle_message(w.b.peer, init, 148, w.now_us), 0);
		ck_assert_int_eq(wg_peer_poll_transmit(w.b.peer, resp, sizeof(resp), w.now_us, w.unix_ns),
				 92);
		if (!at_b)
			ck_assert_int_eq(wg_peer_handle_message(w.a.peer, resp, 92, w.now_us), FZ_ERR_NOMEM);
		ck_assert_int_eq(wg_peer_handle_message(w.a.peer, resp, 92, w.now_us), 0);
		pair_settle(&w);
		ck_assert(pair_send(&w, &w.b, 10));
		pair_free(&w);
	}
}
END_TEST

START_TEST(bad_keys)
{
	struct unit_env u;
	struct wg_self *self;
	struct wg_peer *peer = NULL;
	struct wg_peer_opts opts = { .index24 = 1 }; /* the zero point */

	unit_env_init(&u, 1);
	ck_assert_int_eq(wg_self_new(&u.env, NULL, 0, &self), 0);
	ck_assert_int_eq(wg_peer_new(&u.env, self, &opts, 0, &peer), FZ_ERR_INVAL);
	ck_assert_ptr_null(peer);
	wg_peer_free(NULL);
	wg_self_free(self);
	wg_self_free(NULL);
	unit_env_check(&u);
}
END_TEST

static long openssl_allocs;

static void *counting_malloc(size_t len, const char *file, int line)
{
	openssl_allocs++;
	return malloc(len);
}

static void *counting_realloc(void *p, size_t len, const char *file, int line)
{
	openssl_allocs++;
	return realloc(p, len);
}

static void counting_free(void *p, const char *file, int line)
{
	free(p);
}

/* The packet path allocates nothing, neither here nor in the crypto library. */
START_TEST(no_allocation_per_packet)
{
	struct pair w;
	uint8_t dgram[1400], out[1400];
	long ours, theirs;

	pair_init(&w, &wg_timing_ice);
	pair_connect(&w);
	ck_assert(pair_send(&w, &w.a, 1000));
	ck_assert(pair_send(&w, &w.b, 1000));
	ours = w.a.u.allocs + w.b.u.allocs;
	theirs = openssl_allocs;
	ck_assert_int_gt(theirs, 0);
	for (int i = 0; i < 10000; i++) {
		int n = wg_peer_seal(w.a.peer, dgram, dgram + WG_HEADER_LEN, (size_t)(i % 1300), w.now_us);
		if (n < 0 || wg_peer_open(w.b.peer, out, dgram, (size_t)n, w.now_us) != i % 1300)
			ck_abort();
		dgram[20] ^= 1; /* a forged one is no different */
		if (wg_peer_open(w.b.peer, out, dgram, (size_t)n, w.now_us) >= 0)
			ck_abort();
	}
	ck_assert_int_eq(w.a.u.allocs + w.b.u.allocs, ours);
	ck_assert_int_eq(openssl_allocs, theirs);
	pair_free(&w);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("wg_peer");

	CRYPTO_set_mem_functions(counting_malloc, counting_realloc,
				 counting_free); /* only works this early */
	unit_case(s, "vectors", full_exchange);
	unit_case(s, "sessions", indices, slots_do_not_collide, each_message_lost, late_response,
		  simultaneous);
	unit_case(s, "input", refused, clock_goes_back, a15_4_load);
	unit_case(s, "memory", no_memory, bad_keys, no_allocation_per_packet);
	return s;
}
