/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "base/text.h"
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

Suite *unit_suite(void)
{
	Suite *s = suite_create("wg_peer");

	unit_case(s, "vectors", full_exchange);
	return s;
}
