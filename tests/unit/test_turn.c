/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <stdio.h>

#include "base/text.h"
#include "ext/crypto.h"
#include "wire/turn.h"

static const struct stun_txid txid = { { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 } };
static const char username[] = "1798761600:IHF707vzp8S20otOb0X8DnipWwBnjqx3vXEV53OMrpE";
static const char password[] = "hL+1cjw/LBzSulpQ/Y9dfLIkTMZjLHXFSlrReQe9mv0";
static const char nonce[] = "00112233-4455-6677-8899-aabbccddeeff";

static const char binding[] = "0001000c2112a4420102030405060708090a0b0c80220007736e6f776e657400";
static const char allocate_first[] = "0003007c2112a4420102030405060708090a0b0c001900041100000080000004"
				     "0200000080220007736e6f776e65740000060036313739383736313630303a49"
				     "4846373037767a70385332306f744f62305838446e69705777426e6a71783376"
				     "58455635334f4d727045000000140008666972657a6f6e65000800146155d982"
				     "ea1c7b26d81c6daea2c8064686e0967a";
static const char challenge[] = "011300802112a4420102030405060708090a0b0c8022001c666972657a6f6e65"
				"2d72656c61793b207265763d30613162326333640009001000000401556e6175"
				"74686f72697a656400140008666972657a6f6e65001500243030313132323333"
				"2d343435352d363637372d383839392d61616262636364646565666600080014"
				"c00fa7fa07dc1b2c1a182b6dd1b66db89c7687e5";
static const char allocate[] = "000300a42112a4420102030405060708090a0b0c001900041100000080000004"
			       "0200000080220007736e6f776e65740000060036313739383736313630303a49"
			       "4846373037767a70385332306f744f62305838446e69705777426e6a71783376"
			       "58455635334f4d727045000000140008666972657a6f6e650015002430303131"
			       "323233332d343435352d363637372d383839392d616162626363646465656666"
			       "0008001472951d3abbd44734e6626a320634d32c966a5fd7";
static const char allocated[] = "010300702112a4420102030405060708090a0b0c8022001c666972657a6f6e65"
				"2d72656c61793b207265763d3061316232633364001600080001e242e721c048"
				"001600140002e2420113a9fa0102030405060708090a0b1c002000080001ec83"
				"ea12d545000d000400000258000800142481a57df5433f7a9677d13f3bc255c4"
				"914d4cab";
static const char release[] = "000400ac2112a4420102030405060708090a0b0c001900041100000080000004"
			      "0200000080220007736e6f776e657400000d0004000000000006003631373938"
			      "3736313630303a494846373037767a70385332306f744f62305838446e697057"
			      "77426e6a7178337658455635334f4d727045000000140008666972657a6f6e65"
			      "0015002430303131323233332d343435352d363637372d383839392d61616262"
			      "6363646465656666000800140665d010108c641859fd4ceb6d077872fa365916";
static const char bind_channel[] = "000900a82112a4420102030405060708090a0b0c001200080001ec83ea12d545"
				   "000c00044000000080220007736e6f776e657400000600363137393837363136"
				   "30303a494846373037767a70385332306f744f62305838446e69705777426e6a"
				   "7178337658455635334f4d727045000000140008666972657a6f6e6500150024"
				   "30303131323233332d343435352d363637372d383839392d6161626263636464"
				   "656566660008001457234ae72c83d9e05f87a933ae49f82cb0d9de2c";

static struct fz_addr addr_of(const char *text)
{
	struct fz_addr a;

	ck_assert_int_eq(fz_addr_parse(text, &a), 0);
	return a;
}

static void key_of(uint8_t key[STUN_LONG_TERM_KEY_LEN])
{
	ck_assert_int_eq(stun_long_term_key(username, "firezone", password, key), 0);
}

static void put_auth(struct stun_enc *e, bool with_nonce)
{
	uint8_t key[STUN_LONG_TERM_KEY_LEN];

	key_of(key);
	stun_put_text(e, STUN_USERNAME, username);
	stun_put_text(e, STUN_REALM, "firezone");
	if (with_nonce)
		stun_put_text(e, STUN_NONCE, nonce);
	stun_put_integrity(e, key, sizeof(key));
}

static void put_allocate(struct stun_enc *e)
{
	turn_put_transport(e);
	turn_put_family(e, TURN_ADDITIONAL_ADDRESS_FAMILY, FZ_FAMILY_INET6);
	stun_put_text(e, STUN_SOFTWARE, "snownet");
}

static void expect(struct stun_enc *e, const uint8_t *buf, const char *want)
{
	int n = stun_enc_end(e);

	ck_assert_int_gt(n, 0);
	unit_assert_hex(buf, (size_t)n, want);
}

START_TEST(requests)
{
	uint8_t buf[256];
	struct stun_enc e;
	struct fz_addr peer = addr_of("203.0.113.7:52625");

	stun_enc_init(&e, buf, sizeof(buf), STUN_BINDING, STUN_REQUEST, &txid);
	stun_put_text(&e, STUN_SOFTWARE, "snownet");
	expect(&e, buf, binding);

	for (int with_nonce = 0; with_nonce < 2; with_nonce++) {
		stun_enc_init(&e, buf, sizeof(buf), TURN_ALLOCATE, STUN_REQUEST, &txid);
		put_allocate(&e);
		put_auth(&e, with_nonce);
		expect(&e, buf, with_nonce ? allocate : allocate_first);
	}

	stun_enc_init(&e, buf, sizeof(buf), TURN_REFRESH, STUN_REQUEST, &txid);
	put_allocate(&e);
	stun_put_u32(&e, TURN_LIFETIME, 0);
	put_auth(&e, true);
	expect(&e, buf, release);

	stun_enc_init(&e, buf, sizeof(buf), TURN_CHANNEL_BIND, STUN_REQUEST, &txid);
	stun_put_xor_addr(&e, TURN_XOR_PEER_ADDRESS, &peer);
	turn_put_channel(&e, 0x4000);
	stun_put_text(&e, STUN_SOFTWARE, "snownet");
	put_auth(&e, true);
	expect(&e, buf, bind_channel);
}
END_TEST

START_TEST(answers)
{
	uint8_t buf[256], key[STUN_LONG_TERM_KEY_LEN];
	struct stun_enc e;
	struct fz_addr r4 = addr_of("198.51.100.10:50000"), r6 = addr_of("[2001:db8::10]:50000"),
		       mapped = addr_of("203.0.113.7:52625");

	key_of(key);
	stun_enc_init(&e, buf, sizeof(buf), TURN_ALLOCATE, STUN_ERROR, &txid);
	stun_put_text(&e, STUN_SOFTWARE, "firezone-relay; rev=0a1b2c3d");
	stun_put_error(&e, 401, "Unauthorized");
	stun_put_text(&e, STUN_REALM, "firezone");
	stun_put_text(&e, STUN_NONCE, nonce);
	stun_put_integrity(&e, key, sizeof(key));
	expect(&e, buf, challenge);

	stun_enc_init(&e, buf, sizeof(buf), TURN_ALLOCATE, STUN_SUCCESS, &txid);
	stun_put_text(&e, STUN_SOFTWARE, "firezone-relay; rev=0a1b2c3d");
	stun_put_xor_addr(&e, TURN_XOR_RELAYED_ADDRESS, &r4);
	stun_put_xor_addr(&e, TURN_XOR_RELAYED_ADDRESS, &r6);
	stun_put_xor_addr(&e, STUN_XOR_MAPPED_ADDRESS, &mapped);
	stun_put_u32(&e, TURN_LIFETIME, 600);
	stun_put_integrity(&e, key, sizeof(key));
	expect(&e, buf, allocated);
}
END_TEST

START_TEST(decoded)
{
	uint8_t buf[256], key[STUN_LONG_TERM_KEY_LEN];
	struct stun_msg m;
	struct turn_attrs t;
	struct fz_addr r4 = addr_of("198.51.100.10:50000"), r6 = addr_of("[2001:db8::10]:50000"),
		       mapped = addr_of("203.0.113.7:52625");

	key_of(key);
	unit_assert_hex(key, sizeof(key), "2b5d6293dd223106ee171d4b00b7a830");
	ck_assert_int_eq(stun_decode(buf, unit_hex(buf, sizeof(buf), allocated), &m), 0);
	ck_assert(m.method == TURN_ALLOCATE && m.cls == STUN_SUCCESS);
	ck_assert_int_eq(stun_check_integrity(&m, key, sizeof(key)), 0);
	ck_assert_int_eq(turn_attrs_decode(&m, &t), 0);
	ck_assert(fz_addr_equal(&t.relayed4, &r4) && fz_addr_equal(&t.relayed6, &r6));
	ck_assert(fz_addr_equal(&m.mapped, &mapped) && t.has_lifetime && t.lifetime_s == 600);

	ck_assert_int_eq(stun_decode(buf, unit_hex(buf, sizeof(buf), challenge), &m), 0);
	ck_assert_int_eq(stun_check_integrity(&m, key, sizeof(key)), 0);
	ck_assert(m.error_code == 401 && m.realm.len == 8 && m.nonce.len == 36 &&
		  memcmp(m.nonce.p, nonce, 36) == 0);

	ck_assert_int_eq(stun_decode(buf, unit_hex(buf, sizeof(buf), bind_channel), &m), 0);
	ck_assert_int_eq(stun_check_integrity(&m, key, sizeof(key)), 0);
	ck_assert_int_eq(turn_attrs_decode(&m, &t), 0);
	ck_assert(t.channel == 0x4000 && fz_addr_equal(&t.peer, &mapped));

	ck_assert_int_eq(stun_decode(buf, unit_hex(buf, sizeof(buf), release), &m), 0);
	ck_assert_int_eq(stun_check_integrity(&m, key, sizeof(key)), 0);
	ck_assert_int_eq(turn_attrs_decode(&m, &t), 0);
	ck_assert(t.transport == 17 && t.additional_family == FZ_FAMILY_INET6 && t.has_lifetime &&
		  t.lifetime_s == 0);
}
END_TEST

/* Username and password as the portal makes them for the shipped relay. */
static const struct {
	const char *expiry, *secret, *salt, *password;
} credentials[] = {
	{ "1892160000", "4c98bf59c99b3e467ecd7cf9d6b3e5279645fca59be67bc5bb4af3cf653761ab",
	  "n23JJ2wKKtt30oXi", "00hqldgk5xLeKKOB+xls9mHMVtgqzie9DulfgQwMv68" },
	{ "1685984278", "1cab293a-4032-46f4-862a-40e5d174b0d2", "uvdgKvS9GXYZ_vmv",
	  "6xUIoZ+QvxKhRasLifwfRkMXl+ETLJUsFkHlXjlHAkg" },
	{ "1798761600", "4c98bf59c99b3e467ecd7cf9d6b3e5279645fca59be67bc5bb4af3cf653761ab",
	  "IHF707vzp8S20otOb0X8DnipWwBnjqx3vXEV53OMrpE", "hL+1cjw/LBzSulpQ/Y9dfLIkTMZjLHXFSlrReQe9mv0" },
	{ "1767225600", "4c98bf59c99b3e467ecd7cf9d6b3e5279645fca59be67bc5bb4af3cf653761ab",
	  "kF8o3vGOqsBa5vErLDRSdEr69ibaE0PVezlbVE4FGbY", "Zv0nFz4EY/ffUFCfUYlScSGvKBNG6Wdv4Vcn6cSjCSQ" },
	{ "2145916800", "4c98bf59c99b3e467ecd7cf9d6b3e5279645fca59be67bc5bb4af3cf653761ab",
	  "uRn9aO+q3ZLJ+WSCwUd6KAg+lKk/p+EL5iN8qCTCKgY", "8URkWB5YdFsLmmID9UKV3ZM50DEfidoj1CK8ms3ANLo" },
};

START_TEST(a17_1_credentials)
{
	for (size_t i = 0; i < sizeof(credentials) / sizeof(credentials[0]); i++) {
		char text[256], got[64];
		uint8_t digest[CRYPTO_SHA256_LEN];
		snprintf(text, sizeof(text), "%s:%s:%s", credentials[i].expiry, credentials[i].secret,
			 credentials[i].salt);
		ck_assert_int_eq(crypto_sha256(text, strlen(text), NULL, 0, digest), 0);
		fz_b64_encode_nopad(got, digest, sizeof(digest));
		ck_assert_str_eq(got, credentials[i].password);
	}
}
END_TEST

START_TEST(a17_1_long_term_keys)
{
	uint8_t key[STUN_LONG_TERM_KEY_LEN];

	ck_assert_int_eq(stun_long_term_key("1767225600:kF8o3vGOqsBa5vErLDRSdEr69ibaE0PVezlbVE4FGbY",
					    "firezone", "Zv0nFz4EY/ffUFCfUYlScSGvKBNG6Wdv4Vcn6cSjCSQ", key),
			 0);
	unit_assert_hex(key, sizeof(key), "6dce7830295780e3584051d38116c462");
	ck_assert_int_eq(stun_long_term_key("2145916800:uRn9aO+q3ZLJ+WSCwUd6KAg+lKk/p+EL5iN8qCTCKgY",
					    "firezone", "8URkWB5YdFsLmmID9UKV3ZM50DEfidoj1CK8ms3ANLo", key),
			 0);
	unit_assert_hex(key, sizeof(key), "9ba4235d513ddbd416648b4e07529045");
}
END_TEST

static const struct {
	const char *why, *hex; /* attributes only */
	int want;
} malformed[] = {
	{ "nothing", "", 0 },
	{ "channel of two bytes", "000c000240000000", FZ_ERR_WIRE },
	{ "lifetime of eight bytes", "000d00080000000000000000", FZ_ERR_WIRE },
	{ "transport of three bytes", "0019000311000000", FZ_ERR_WIRE },
	{ "additional family of five bytes", "8000000502000000ff000000", FZ_ERR_WIRE },
	{ "peer of family 3", "001200080003ec83ea12d545", FZ_ERR_WIRE },
	{ "relayed IPv6 cut", "001600100002e2420113a9fa0102030405060708", FZ_ERR_WIRE },
	{ "unknown family is remembered", "0017000403000000", 0 },
	{ "address error without code", "8001000402000000", 0 },
	{ "address error of two bytes", "8001000202000000", FZ_ERR_WIRE },
	{ "empty data", "00130000", 0 },
};

START_TEST(malformed_attributes)
{
	for (size_t i = 0; i < sizeof(malformed) / sizeof(malformed[0]); i++) {
		uint8_t buf[128] = { 0x01, 0x03 };
		struct stun_msg m;
		struct turn_attrs t;
		size_t n = unit_hex(buf + 20, sizeof(buf) - 20, malformed[i].hex);
		fz_put_be16(buf + 2, (uint16_t)n);
		fz_put_be32(buf + 4, STUN_COOKIE);
		memcpy(buf + 8, txid.b, sizeof(txid.b));
		ck_assert_msg(stun_decode(buf, 20 + n, &m) == 0, "%s", malformed[i].why);
		ck_assert_msg(turn_attrs_decode(&m, &t) == malformed[i].want, "%s", malformed[i].why);
	}
}
END_TEST

START_TEST(cut_at_every_length)
{
	static const char *const whole[] = { binding,   allocate_first, challenge,   allocate,
					     allocated, release,        bind_channel };
	uint8_t buf[256];

	for (size_t i = 0; i < sizeof(whole) / sizeof(whole[0]); i++) {
		size_t len = unit_hex(buf, sizeof(buf), whole[i]);
		for (size_t n = 0; n < len; n++) {
			uint8_t *cut = malloc(n ? n : 1);
			struct stun_msg m;
			struct turn_attrs t;
			memcpy(cut, buf, n);
			ck_assert_int_eq(stun_decode(cut, n, &m), FZ_ERR_WIRE);
			if (n >= STUN_HEADER_LEN && n % 4 == 0) {
				fz_put_be16(cut + 2, (uint16_t)(n - STUN_HEADER_LEN));
				if (stun_decode(cut, n, &m) == 0)
					ck_assert_int_eq(turn_attrs_decode(&m, &t), 0);
			}
			free(cut);
		}
	}
}
END_TEST

static const struct {
	const char *hex;
	int want;
} frames[] = {
	{ "40000000", 0 },
	{ "4000000100", 1 },
	{ "4fff0004aabbccdd", 4 },
	{ "4000000100000000", 1 }, /* padded to four: RFC 8656 section 12.5 allows it over UDP */
	{ "40000001000000", FZ_ERR_WIRE },
	{ "400000010000000000", FZ_ERR_WIRE },
	{ "4000000500000000", FZ_ERR_WIRE },
	{ "400000", FZ_ERR_WIRE },
	{ "", FZ_ERR_WIRE },
	{ "3fff0000", FZ_ERR_WIRE },
	{ "50000000", FZ_ERR_WIRE },
	{ "400000000000", FZ_ERR_WIRE },
};

START_TEST(channel_data)
{
	uint8_t buf[16];
	uint16_t number = 0;

	for (size_t i = 0; i < sizeof(frames) / sizeof(frames[0]); i++) {
		size_t n = unit_hex(buf, sizeof(buf), frames[i].hex);
		ck_assert_msg(turn_channel_decode(buf, n, &number) == frames[i].want, "%s", frames[i].hex);
	}
	turn_channel_encode(buf, 0x4000, 80);
	unit_assert_hex(buf, 4, "40000050");
	ck_assert_uint_eq(number, 0x4000);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("turn");

	unit_case(s, "vectors", requests, answers, decoded, a17_1_credentials, a17_1_long_term_keys);
	unit_case(s, "decoder", malformed_attributes, cut_at_every_length, channel_data);
	return s;
}
