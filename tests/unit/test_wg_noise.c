/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "proto/wg_noise.h"

static struct fz_key same(uint8_t byte)
{
	struct fz_key k;

	memset(&k, byte, sizeof(k));
	return k;
}

/* The paper's names, from which the initial chaining key and hash are made. */
START_TEST(constants)
{
	static const char construction[] = "Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s";
	static const char identifier[] = "WireGuard v1 zx2c4 Jason@zx2c4.com";
	uint8_t chain[32], hash[32];

	ck_assert_int_eq(crypto_blake2s(construction, strlen(construction), NULL, 0, chain), 0);
	unit_assert_hex(chain, 32, "60e26daef327efc02ec335e2a025d2d016eb4206f87277f52d38d1988b78cd36");
	ck_assert_int_eq(crypto_blake2s(chain, 32, identifier, strlen(identifier), hash), 0);
	unit_assert_hex(hash, 32, "2211b361081ac566691243db458ad5322d9c6c662293e8b70ee19c65ba079ef3");
}
END_TEST

struct world {
	struct wg_noise_local i, r;
	struct wg_noise_remote i_sees, r_sees; /* the responder, the initiator */
	struct fz_key i_ephemeral, r_ephemeral;
	uint8_t timestamp[WG_TIMESTAMP_LEN], initiation[WG_INITIATION_LEN], response[WG_RESPONSE_LEN];
	struct wg_noise_sent sent;
	struct wg_noise_keys i_keys, r_keys;
};

static void local(struct wg_noise_local *l, uint8_t byte)
{
	struct fz_key k = same(byte);

	ck_assert_int_eq(crypto_dh_init(&l->dh, &k), 0);
	ck_assert_int_eq(crypto_dh_public(&l->dh, &l->public_key), 0);
}

static void setup(struct world *w)
{
	memset(w, 0, sizeof(*w));
	local(&w->i, 0x11);
	local(&w->r, 0x22);
	w->i_ephemeral = same(0x33);
	w->r_ephemeral = same(0x44);
	w->i_sees = (struct wg_noise_remote){ .public_key = w->r.public_key, .psk = same(0x55) };
	w->r_sees = (struct wg_noise_remote){ .public_key = w->i.public_key, .psk = same(0x55) };
	ck_assert_int_eq(crypto_dh_derive(&w->i.dh, &w->r.public_key, &w->i_sees.shared), 0);
	ck_assert_int_eq(crypto_dh_derive(&w->r.dh, &w->i.public_key, &w->r_sees.shared), 0);
	wg_timestamp(w->timestamp, 1786000000123456789u);
	ck_assert_int_eq(wg_noise_initiate(&w->i, &w->i_sees, &w->i_ephemeral, 0xabcdef01, w->timestamp,
					   w->initiation, &w->sent),
			 0);
}

static void teardown(struct world *w)
{
	crypto_dh_clear(&w->i.dh);
	crypto_dh_clear(&w->r.dh);
}

static int respond(struct world *w, const uint8_t *msg)
{
	struct wg_initiation m;
	struct wg_noise_half half;
	uint8_t timestamp[WG_TIMESTAMP_LEN];
	int err = wg_initiation_decode(msg, WG_INITIATION_LEN, &m);

	if (err == 0)
		err = wg_noise_identify(&w->r, &m, &half);
	if (err == 0)
		ck_assert_mem_eq(half.remote_public.b, w->i.public_key.b, 32);
	if (err == 0)
		err = wg_noise_prove(&half, &w->r_sees, &m, timestamp);
	if (err == 0)
		ck_assert_mem_eq(timestamp, w->timestamp, WG_TIMESTAMP_LEN);
	if (err == 0)
		err = wg_noise_respond(&half, &w->r_sees, &w->r_ephemeral, 0x12345601, m.sender, w->response,
				       &w->r_keys);
	return err;
}

static int finish(struct world *w, const uint8_t *msg)
{
	struct wg_response m;
	int err = wg_response_decode(msg, WG_RESPONSE_LEN, &m);

	return err ? err : wg_noise_finish(&w->i, &w->i_sees, &w->sent, &m, &w->i_keys);
}

START_TEST(keys)
{
	struct world w;

	setup(&w);
	unit_assert_hex(w.timestamp, sizeof(w.timestamp), "400000006a7432a5075bcd15");
	unit_assert_hex(w.i.public_key.b, 32,
			"7b4e909bbe7ffe44c465a220037d608ee35897d31ef972f07f74892cb0f73f13");
	unit_assert_hex(w.r.public_key.b, 32,
			"0faa684ed28867b97f4a6a2dee5df8ce974e76b7018e3f22a1c4cf2678570f20");
	ck_assert_int_eq(respond(&w, w.initiation), 0);
	ck_assert_int_eq(finish(&w, w.response), 0);
	unit_assert_hex(w.i_keys.send.b, 32,
			"a007faf842d83f5bd3be20a14e0ffcec34c84867b78b051980602713205922de");
	unit_assert_hex(w.i_keys.receive.b, 32,
			"d982d5cd10d34a7802b6c19fa441cd9164d70e4f4d62007ab416879ee8bd1b99");
	ck_assert_mem_eq(w.r_keys.receive.b, w.i_keys.send.b, 32);
	ck_assert_mem_eq(w.r_keys.send.b, w.i_keys.receive.b, 32);
	teardown(&w);
}
END_TEST

/* Every byte counts but the sender's index, which the MAC in front protects, and the MACs themselves. */
START_TEST(damaged)
{
	struct world w;

	setup(&w);
	for (size_t i = 0; i < WG_INITIATION_LEN - WG_MACS_LEN; i++) {
		uint8_t msg[WG_INITIATION_LEN];
		memcpy(msg, w.initiation, sizeof(msg));
		msg[i] ^= 0x20;
		/* X25519 ignores the top bit of a point, so damage of 0x80 would be found by the hash only.
		 */
		ck_assert_msg(respond(&w, msg) == (i < 4   ? FZ_ERR_WIRE
						   : i < 8 ? 0
							   : FZ_ERR_AUTH),
			      "byte %zu", i);
		msg[i] ^= 0xa0;
		ck_assert_msg(respond(&w, msg) == (i < 4   ? FZ_ERR_WIRE
						   : i < 8 ? 0
							   : FZ_ERR_AUTH),
			      "byte %zu", i);
	}
	ck_assert_int_eq(respond(&w, w.initiation), 0);
	for (size_t i = 0; i < WG_RESPONSE_LEN - WG_MACS_LEN; i++) {
		uint8_t msg[WG_RESPONSE_LEN];
		memcpy(msg, w.response, sizeof(msg));
		msg[i] ^= 0x20;
		ck_assert_msg(finish(&w, msg) == (i < 4    ? FZ_ERR_WIRE
						  : i < 12 ? 0
							   : FZ_ERR_AUTH),
			      "byte %zu", i);
	}
	teardown(&w);
}
END_TEST

START_TEST(wrong_keys)
{
	struct world w;

	setup(&w);
	w.r_sees.shared.b[3] ^= 1;
	ck_assert_int_eq(respond(&w, w.initiation), FZ_ERR_AUTH);
	w.r_sees.shared.b[3] ^= 1;
	w.r_sees.psk.b[31] ^= 1; /* noticed by the initiator only */
	ck_assert_int_eq(respond(&w, w.initiation), 0);
	ck_assert_int_eq(finish(&w, w.response), FZ_ERR_AUTH);
	w.r_sees.psk.b[31] ^= 1;
	ck_assert_int_eq(respond(&w, w.initiation), 0);
	ck_assert_int_eq(finish(&w, w.response), 0);
	teardown(&w);
}
END_TEST

/* An ephemeral of small order would make the result known to everybody. */
START_TEST(small_order)
{
	struct world w;

	setup(&w);
	memset(w.initiation + 8, 0, 32);
	ck_assert_int_eq(respond(&w, w.initiation), FZ_ERR_AUTH);
	teardown(&w);
}
END_TEST

START_TEST(shapes)
{
	static const struct {
		const char *why;
		uint8_t head[4];
		size_t len;
		enum wg_type want;
	} cases[] = {
		{ "initiation", { 1 }, 148, WG_INITIATION },
		{ "short initiation", { 1 }, 147, WG_NONE },
		{ "long initiation", { 1 }, 149, WG_NONE },
		{ "response", { 2 }, 92, WG_RESPONSE },
		{ "short response", { 2 }, 91, WG_NONE },
		{ "cookie reply", { 3 }, 64, WG_COOKIE_REPLY },
		{ "long cookie reply", { 3 }, 65, WG_NONE },
		{ "keepalive", { 4 }, 32, WG_DATA },
		{ "short data", { 4 }, 31, WG_NONE },
		{ "data", { 4 }, 1312, WG_DATA },
		{ "type 0", { 0 }, 148, WG_NONE },
		{ "type 5", { 5 }, 148, WG_NONE },
		{ "reserved byte set", { 4, 0, 1, 0 }, 100, WG_NONE },
		{ "STUN success", { 1, 1, 0, 0x80 }, 148, WG_NONE },
		{ "empty", { 4 }, 0, WG_NONE },
	};
	static uint8_t buf[1500];

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		memcpy(buf, cases[i].head, 4);
		ck_assert_msg(wg_classify(buf, cases[i].len) == cases[i].want, "%s", cases[i].why);
	}
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("wg_noise");

	unit_case(s, "noise", constants, keys, damaged, wrong_keys, small_order);
	unit_case(s, "wire", shapes);
	return s;
}
