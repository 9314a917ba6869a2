/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "wire/stun.h"
#include "wire/stun_mac.h"

static const struct stun_txid txid = { { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 } };

static const char client_password[] = "rqi3ibvfikfaxj3wgp7muh", gateway_password[] = "a6oeevhlutevykcifd5r2a";
static const char check_use[] = "000100482112a4420102030405060708090a0b0c000600096a6269343a726573"
				"63000000802a00080102030405060708002400046efffeff0025000000080014"
				"4ca631077c0072fe130660fa7f1c6cb33d0833fe80280004e52ff3cb";
static const char check_controlled[] = "000100442112a4420102030405060708090a0b0c00060009726573633a6a6269"
				       "34000000802900081112131415161718002400046efffeff000800148943ed1b"
				       "8f9892ef3fcdc4c2171c85d118304b71802800047e94dcf7";
static const char answer[] = "0101002c2112a4420102030405060708090a0b0c002000080001ec83ea12d545"
			     "00080014ddc2647a50081664ae574f692c48ff9adc7536558028000466b574a9";
static const char conflict[] = "011100382112a4420102030405060708090a0b0c0009001100000457526f6c65"
			       "20436f6e666c69637400000000080014a07378e50b307b818501702615fdb924"
			       "f839dc068028000420bf3dbe";
static const char foreign[] = "000100502112a4426a756331357578556e6747630006000970394b413a535141"
			      "74000000c05700040001000a802a00086eeec6e97d18395c0025000000240004"
			      "6e7f1eff000800145d0425a0207ab1e054102299aaf9839ca076c6d580280004"
			      "360e219f";

static struct fz_addr addr_of(const char *text)
{
	struct fz_addr a;

	ck_assert_int_eq(fz_addr_parse(text, &a), 0);
	return a;
}

static int decode_hex(const char *hex, struct stun_msg *m)
{
	static uint8_t buf[STUN_MSG_MAX];

	return stun_decode(buf, unit_hex(buf, sizeof(buf), hex), m);
}

START_TEST(ice_request_with_use_candidate)
{
	uint8_t buf[128];
	struct stun_enc e;
	struct stun_msg m;

	stun_enc_init(&e, buf, sizeof(buf), STUN_BINDING, STUN_REQUEST, &txid);
	stun_put_text(&e, STUN_USERNAME, "jbi4:resc");
	stun_put_u64(&e, STUN_ICE_CONTROLLING, 0x0102030405060708);
	stun_put_u32(&e, STUN_PRIORITY, 1862270719);
	stun_put(&e, STUN_USE_CANDIDATE, NULL, 0);
	stun_put_integrity(&e, gateway_password, strlen(gateway_password));
	stun_put_fingerprint(&e);
	int n = stun_enc_end(&e);
	ck_assert_int_eq(n, 92);
	unit_assert_hex(buf, (size_t)n, check_use);

	ck_assert_int_eq(decode_hex(check_use, &m), 0);
	ck_assert(m.method == STUN_BINDING && m.cls == STUN_REQUEST);
	ck_assert(m.use_candidate && m.controlling && !m.controlled && m.has_priority);
	ck_assert_uint_eq(m.priority, 1862270719);
	ck_assert(m.tie_breaker == 0x0102030405060708);
	ck_assert(m.username.len == 9 && memcmp(m.username.p, "jbi4:resc", 9) == 0);
	ck_assert_mem_eq(&m.txid, &txid, sizeof(txid));
	ck_assert_int_eq(stun_check_integrity(&m, gateway_password, strlen(gateway_password)), 0);
	ck_assert_int_eq(stun_check_integrity(&m, client_password, strlen(client_password)), FZ_ERR_AUTH);
	ck_assert_int_eq(stun_check_integrity256(&m, "k", 1), FZ_ERR_NOT_FOUND);
	ck_assert_int_eq(stun_check_fingerprint(&m), 0);
}
END_TEST

START_TEST(ice_request_of_the_controlled_side)
{
	uint8_t buf[128];
	struct stun_enc e;
	struct stun_msg m;

	stun_enc_init(&e, buf, sizeof(buf), STUN_BINDING, STUN_REQUEST, &txid);
	stun_put_text(&e, STUN_USERNAME, "resc:jbi4");
	stun_put_u64(&e, STUN_ICE_CONTROLLED, 0x1112131415161718);
	stun_put_u32(&e, STUN_PRIORITY, 1862270719);
	stun_put_integrity(&e, client_password, strlen(client_password));
	stun_put_fingerprint(&e);
	unit_assert_hex(buf, (size_t)stun_enc_end(&e), check_controlled);
	ck_assert_int_eq(decode_hex(check_controlled, &m), 0);
	ck_assert(m.controlled && !m.controlling && !m.use_candidate);
	ck_assert_int_eq(stun_check_integrity(&m, client_password, strlen(client_password)), 0);
}
END_TEST

START_TEST(ice_answers)
{
	uint8_t buf[128];
	struct stun_enc e;
	struct stun_msg m;
	struct fz_addr mapped = addr_of("203.0.113.7:52625");

	stun_enc_init(&e, buf, sizeof(buf), STUN_BINDING, STUN_SUCCESS, &txid);
	stun_put_xor_addr(&e, STUN_XOR_MAPPED_ADDRESS, &mapped);
	stun_put_integrity(&e, gateway_password, strlen(gateway_password));
	stun_put_fingerprint(&e);
	unit_assert_hex(buf, (size_t)stun_enc_end(&e), answer);
	ck_assert_int_eq(decode_hex(answer, &m), 0);
	ck_assert(m.cls == STUN_SUCCESS && fz_addr_equal(&m.mapped, &mapped));
	ck_assert_int_eq(stun_check_integrity(&m, gateway_password, strlen(gateway_password)), 0);

	stun_enc_init(&e, buf, sizeof(buf), STUN_BINDING, STUN_ERROR, &txid);
	stun_put_error(&e, STUN_CODE_ROLE_CONFLICT, "Role Conflict");
	stun_put_integrity(&e, gateway_password, strlen(gateway_password));
	stun_put_fingerprint(&e);
	unit_assert_hex(buf, (size_t)stun_enc_end(&e), conflict);
	ck_assert_int_eq(decode_hex(conflict, &m), 0);
	ck_assert(m.cls == STUN_ERROR && m.error_code == 487);
	ck_assert(m.reason.len == 13 && memcmp(m.reason.p, "Role Conflict", 13) == 0);
	ck_assert_int_eq(stun_check_integrity(&m, gateway_password, strlen(gateway_password)), 0);
}
END_TEST

START_TEST(foreign_ice_request)
{
	struct stun_msg m;

	ck_assert_int_eq(decode_hex(foreign, &m), 0);
	ck_assert(m.controlling && m.use_candidate && m.n_unknown == 0);
	ck_assert_int_eq(stun_check_integrity(&m, "xJcE9AQAR7kczUDVOXRUCl", 22), 0);
	ck_assert_int_eq(stun_check_fingerprint(&m), 0);
}
END_TEST

/* RFC 5769 section 2.1 and 2.3: foreign padding bytes, IPv6, and short-term credentials. */
START_TEST(rfc5769_vectors)
{
	static const char password[] = "VOkJxbRl1RmTxUk/WvJxBt";
	static const char request[] = "000100582112a442b7e7a701bc34d686fa87dfae802200105354554e20746573"
				      "7420636c69656e74002400046e0001ff80290008932ff9b151263b3600060009"
				      "6576746a3a68367659202020000800149aeaa70cbfd8cb56781ef2b5b2d3f249"
				      "c1b571a280280004e57a3bcf";
	static const char v6[] = "010100482112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563"
				 "746f7220002000140002a1470113a9faa5d3f179bc25f4b5bed2b9d900080014"
				 "a382954e4be67bf11784c97c8292c275bfe3ed4180280004c8fb0b4c";
	struct stun_msg m;
	struct fz_addr want = addr_of("[2001:db8:1234:5678:11:2233:4455:6677]:32853");

	ck_assert_int_eq(decode_hex(request, &m), 0);
	ck_assert_int_eq(stun_check_integrity(&m, password, strlen(password)), 0);
	ck_assert_int_eq(stun_check_fingerprint(&m), 0);
	ck_assert(m.software.len == 16 && m.username.len == 9);
	ck_assert_int_eq(decode_hex(v6, &m), 0);
	ck_assert_int_eq(stun_check_integrity(&m, password, strlen(password)), 0);
	ck_assert_int_eq(stun_check_fingerprint(&m), 0);
	ck_assert(fz_addr_equal(&m.mapped, &want));
}
END_TEST

#define HEAD(type, len) type len "2112a4420102030405060708090a0b0c"
static const struct {
	const char *why, *hex;
	int want;
} cases[] = {
	{ "no attributes", HEAD("0001", "0000"), 0 },
	{ "reserved bits of the type set", HEAD("4001", "0000"), FZ_ERR_WIRE },
	{ "other cookie", "000100002112a4430102030405060708090a0b0c", FZ_ERR_WIRE },
	{ "length too long", HEAD("0001", "0004"), FZ_ERR_WIRE },
	{ "length too short", HEAD("0001", "0000") "80220000", FZ_ERR_WIRE },
	{ "length no multiple of 4", HEAD("0001", "0005") "8022000141", FZ_ERR_WIRE },
	{ "attribute runs past the end", HEAD("0001", "0008") "0006000541424344", FZ_ERR_WIRE },
	{ "padding missing", HEAD("0001", "0004") "00060001", FZ_ERR_WIRE },
	{ "half an attribute header", HEAD("0001", "0008") "0006000000060001", FZ_ERR_WIRE },
	{ "empty text", HEAD("0001", "0004") "00060000", 0 },
	{ "PRIORITY of five bytes", HEAD("0001", "000c") "002400056e0001ff00000000", FZ_ERR_WIRE },
	{ "USE-CANDIDATE with a value", HEAD("0001", "0008") "0025000400000000", FZ_ERR_WIRE },
	{ "tie-breaker of four bytes", HEAD("0001", "0008") "802a000400000000", FZ_ERR_WIRE },
	{ "address of an unknown family", HEAD("0101", "000c") "002000080003ec83ea12d545", FZ_ERR_WIRE },
	{ "IPv6 family with four bytes", HEAD("0101", "000c") "002000080002ec83ea12d545", FZ_ERR_WIRE },
	{ "error class 2", HEAD("0111", "0008") "0009000400000200", FZ_ERR_WIRE },
	{ "error number 100", HEAD("0111", "0008") "0009000400000464", FZ_ERR_WIRE },
	{ "error 699 without text", HEAD("0111", "0008") "0009000400000663", 0 },
	{ "short MESSAGE-INTEGRITY", HEAD("0001", "0014") "0008001000000000000000000000000000000000",
	  FZ_ERR_WIRE },
	{ "SHA-256 of 18 bytes", HEAD("0001", "0018") "001c0012000000000000000000000000000000000000ffff",
	  FZ_ERR_WIRE },
	{ "attribute behind FINGERPRINT", HEAD("0001", "000c") "802800040000000080220000", FZ_ERR_WIRE },
	{ "userhash of 32 bytes",
	  HEAD("0001", "0024") "001e00200000000000000000000000000000000000000000000000000000000000000000",
	  0 },
};

START_TEST(malformed)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct stun_msg m;
		ck_assert_msg(decode_hex(cases[i].hex, &m) == cases[i].want, "%s", cases[i].why);
	}
}
END_TEST

START_TEST(cut_at_every_length)
{
	static const char *const whole[] = { check_use, check_controlled, answer, conflict, foreign };
	uint8_t buf[128];

	for (size_t i = 0; i < sizeof(whole) / sizeof(whole[0]); i++) {
		size_t len = unit_hex(buf, sizeof(buf), whole[i]);
		for (size_t n = 0; n < len; n++) {
			uint8_t *cut = malloc(n ? n : 1); /* exact size: a sanitizer sees any byte too many */
			struct stun_msg m;
			memcpy(cut, buf, n);
			ck_assert_int_eq(stun_decode(cut, n, &m), FZ_ERR_WIRE);
			if (n >= STUN_HEADER_LEN && n % 4 == 0) {
				fz_put_be16(cut + 2, (uint16_t)(n - STUN_HEADER_LEN));
				if (stun_decode(cut, n, &m) == 0) {
					if (n != len - 8) /* without FINGERPRINT it is whole again */
						ck_assert_int_ne(
							stun_check_integrity(&m, gateway_password, 22), 0);
					ck_assert_int_eq(stun_check_fingerprint(&m), FZ_ERR_NOT_FOUND);
				}
			}
			free(cut);
		}
	}
}
END_TEST

START_TEST(one_flipped_bit_is_noticed)
{
	uint8_t buf[128];
	size_t len = unit_hex(buf, sizeof(buf), check_use);

	for (size_t bit = 0; bit < len * 8; bit++) {
		struct stun_msg m;
		buf[bit / 8] ^= (uint8_t)(1 << bit % 8);
		if (stun_decode(buf, len, &m) == 0)
			ck_assert(stun_check_integrity(&m, gateway_password, 22) != 0 ||
				  stun_check_fingerprint(&m) != 0);
		buf[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
}
END_TEST

START_TEST(unprotected_tail_is_ignored)
{
	uint8_t buf[256];
	struct stun_enc e;
	struct stun_msg m;
	struct stun_attr a;

	stun_enc_init(&e, buf, sizeof(buf), STUN_BINDING, STUN_REQUEST, &txid);
	stun_put_text(&e, STUN_USERNAME, "first");
	stun_put_text(&e, STUN_USERNAME, "second");
	stun_put_u32(&e, 0x7f01, 1);
	stun_put_integrity(&e, "key", 3);
	stun_put(&e, STUN_USE_CANDIDATE, NULL, 0);
	stun_put_u32(&e, 0x7f02, 1);
	stun_put_integrity256(&e, "key", 3);
	stun_put_u32(&e, STUN_PRIORITY, 7);
	stun_put_fingerprint(&e);
	int n = stun_enc_end(&e);
	ck_assert_int_gt(n, 0);
	ck_assert_int_eq(stun_decode(buf, (size_t)n, &m), 0);
	ck_assert_int_eq(stun_check_integrity(&m, "key", 3), 0);
	ck_assert_int_eq(stun_check_integrity256(&m, "key", 3), 0);
	ck_assert_int_eq(stun_check_integrity256(&m, "kez", 3), FZ_ERR_AUTH);
	ck_assert_int_eq(stun_check_fingerprint(&m), 0);
	ck_assert(!m.use_candidate && !m.has_priority);
	ck_assert(m.username.len == 5 && memcmp(m.username.p, "first", 5) == 0);
	ck_assert(m.n_unknown == 1 && m.unknown[0] == 0x7f01);
	struct stun_iter it = stun_attrs(&m);
	size_t seen = 0;
	while (stun_next_attr(&it, &a))
		seen++;
	ck_assert_uint_eq(seen, 3);
}
END_TEST

START_TEST(truncated_sha256)
{
	for (size_t len = 16; len <= 32; len += 4) {
		uint8_t buf[256], mac[STUN_INTEGRITY256_LEN];
		struct stun_enc e;
		struct stun_msg m;
		stun_enc_init(&e, buf, sizeof(buf), STUN_BINDING, STUN_REQUEST, &txid);
		stun_put_text(&e, STUN_USERNAME, "user");
		ck_assert_int_eq(stun_mac_sha256(buf, fz_wr_len(&e.w), len, "key", 3, mac), 0);
		stun_put(&e, STUN_MESSAGE_INTEGRITY_SHA256, mac, len);
		ck_assert_int_eq(stun_decode(buf, (size_t)stun_enc_end(&e), &m), 0);
		ck_assert_uint_eq(m.integrity256_len, len);
		ck_assert_int_eq(stun_check_integrity256(&m, "key", 3), 0);
		ck_assert_int_eq(stun_check_integrity256(&m, "kex", 3), FZ_ERR_AUTH);
	}
}
END_TEST

START_TEST(encoder_limits)
{
	uint8_t buf[64];
	struct stun_enc e;
	struct fz_addr none = { 0 };

	for (size_t cap = 0; cap < 52; cap++) {
		stun_enc_init(&e, buf, cap, STUN_BINDING, STUN_REQUEST, &txid);
		stun_put_text(&e, STUN_USERNAME, "x");
		stun_put_integrity(&e, "k", 1);
		ck_assert_int_eq(stun_enc_end(&e), FZ_ERR_NOSPACE);
	}
	stun_enc_init(&e, buf, 52, STUN_BINDING, STUN_REQUEST, &txid);
	stun_put_text(&e, STUN_USERNAME, "x");
	stun_put_integrity(&e, "k", 1);
	ck_assert_int_eq(stun_enc_end(&e), 52);
	stun_enc_init(&e, buf, sizeof(buf), STUN_BINDING, STUN_REQUEST, &txid);
	stun_put(&e, STUN_USERNAME, buf, 70000);
	ck_assert_int_eq(stun_enc_end(&e), FZ_ERR_NOSPACE);
	stun_enc_init(&e, buf, sizeof(buf), STUN_BINDING, STUN_REQUEST, &txid);
	stun_put_addr(&e, STUN_ALTERNATE_SERVER, &none);
	ck_assert_int_eq(stun_enc_end(&e), FZ_ERR_INVAL);
}
END_TEST

START_TEST(methods_and_classes)
{
	static const struct {
		uint16_t method;
		enum stun_class cls;
		const char *type;
	} types[] = {
		{ 1, STUN_REQUEST, "0001" },    { 1, STUN_SUCCESS, "0101" },   { 1, STUN_ERROR, "0111" },
		{ 1, STUN_INDICATION, "0011" }, { 3, STUN_REQUEST, "0003" },   { 9, STUN_SUCCESS, "0109" },
		{ 0x155, STUN_ERROR, "05b5" },  { 0xfff, STUN_ERROR, "3fff" },
	};
	uint8_t buf[32];
	struct stun_enc e;
	struct stun_msg m;

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		stun_enc_init(&e, buf, sizeof(buf), types[i].method, types[i].cls, &txid);
		ck_assert_int_eq(stun_enc_end(&e), 20);
		unit_assert_hex(buf, 2, types[i].type);
		ck_assert_int_eq(stun_decode(buf, 20, &m), 0);
		ck_assert(m.method == types[i].method && m.cls == types[i].cls);
	}
}
END_TEST

START_TEST(addresses)
{
	static const char *const texts[] = { "1.2.3.4:5", "[2001:db8::1]:65535", "255.255.255.255:0" };
	uint8_t buf[128];
	struct stun_enc e;
	struct stun_msg m;

	for (size_t i = 0; i < 3; i++) {
		struct fz_addr a = addr_of(texts[i]);
		stun_enc_init(&e, buf, sizeof(buf), STUN_BINDING, STUN_SUCCESS, &txid);
		stun_put_addr(&e, STUN_ALTERNATE_SERVER, &a);
		stun_put_xor_addr(&e, STUN_XOR_MAPPED_ADDRESS, &a);
		ck_assert_int_eq(stun_decode(buf, (size_t)stun_enc_end(&e), &m), 0);
		ck_assert(fz_addr_equal(&m.alternate, &a) && fz_addr_equal(&m.mapped, &a));
	}
	/* The XOR form wins over the plain one, whatever the order: middleboxes rewrite the plain one. */
	struct fz_addr plain = addr_of("1.1.1.1:1"), xored = addr_of("2.2.2.2:2");
	for (int order = 0; order < 2; order++) {
		stun_enc_init(&e, buf, sizeof(buf), STUN_BINDING, STUN_SUCCESS, &txid);
		if (order)
			stun_put_addr(&e, STUN_MAPPED_ADDRESS, &plain);
		stun_put_xor_addr(&e, STUN_XOR_MAPPED_ADDRESS, &xored);
		if (!order)
			stun_put_addr(&e, STUN_MAPPED_ADDRESS, &plain);
		ck_assert_int_eq(stun_decode(buf, (size_t)stun_enc_end(&e), &m), 0);
		ck_assert(fz_addr_equal(&m.mapped, &xored));
	}
}
END_TEST

START_TEST(long_term_key)
{
	uint8_t key[STUN_LONG_TERM_KEY_LEN];
	char text[1600];

	ck_assert_int_eq(stun_long_term_key("1798761600:IHF707vzp8S20otOb0X8DnipWwBnjqx3vXEV53OMrpE",
					    "firezone", "hL+1cjw/LBzSulpQ/Y9dfLIkTMZjLHXFSlrReQe9mv0", key),
			 0);
	unit_assert_hex(key, sizeof(key), "2b5d6293dd223106ee171d4b00b7a830");
	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	ck_assert_int_eq(stun_long_term_key("u", "r", text, key), FZ_ERR_NOSPACE);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("stun");

	unit_case(s, "vectors", ice_request_with_use_candidate, ice_request_of_the_controlled_side,
		  ice_answers, foreign_ice_request, rfc5769_vectors, long_term_key);
	unit_case(s, "decoder", malformed, cut_at_every_length, one_flipped_bit_is_noticed,
		  unprotected_tail_is_ignored, truncated_sha256, methods_and_classes, addresses);
	unit_case(s, "encoder", encoder_limits);
	return s;
}
