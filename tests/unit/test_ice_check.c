/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <stdio.h>

#include "proto/ice_check.h"
#include "proto/path.h"
#include "wire/cand.h"

static struct ice_creds creds(const char *lu, const char *lp, const char *ru, const char *rp)
{
	struct ice_creds c;

	ck_assert_int_eq(ice_creds_init(&c, lu, lp, ru, rp), 0);
	return c;
}

#define CLIENT creds("resc", "rqi3ibvfikfaxj3wgp7muh", "jbi4", "a6oeevhlutevykcifd5r2a")
#define GATEWAY creds("jbi4", "a6oeevhlutevykcifd5r2a", "resc", "rqi3ibvfikfaxj3wgp7muh")

static const struct stun_txid txid = { { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 } };

static const char client_request[] = "000100482112a4420102030405060708090a0b0c000600096a6269343a726573"
				     "63000000802a00080102030405060708002400046efffeff0025000000080014"
				     "4ca631077c0072fe130660fa7f1c6cb33d0833fe80280004e52ff3cb";
static const char gateway_request[] = "000100442112a4420102030405060708090a0b0c00060009726573633a6a6269"
				      "34000000802900081112131415161718002400046efffeff000800148943ed1b"
				      "8f9892ef3fcdc4c2171c85d118304b71802800047e94dcf7";
static const char gateway_success[] = "0101002c2112a4420102030405060708090a0b0c002000080001ec83ea12d545"
				      "00080014ddc2647a50081664ae574f692c48ff9adc7536558028000466b574a9";
static const char gateway_conflict[] = "011100382112a4420102030405060708090a0b0c0009001100000457526f6c65"
				       "20436f6e666c69637400000000080014a07378e50b307b818501702615fdb924"
				       "f839dc068028000420bf3dbe";

START_TEST(vectors_are_written)
{
	struct ice_creds client = CLIENT, gateway = GATEWAY;
	struct ice_request r = { .txid = txid,
				 .is_controlling = true,
				 .use_candidate = true,
				 .tie_breaker = 0x0102030405060708,
				 .priority = 1862270719 };
	struct fz_addr mapped;
	uint8_t buf[PATH_TRANSMIT_MAX];

	unit_assert_hex(buf, (size_t)ice_encode_request(&client, &r, buf, sizeof(buf)), client_request);
	r = (struct ice_request){ .txid = txid, .tie_breaker = 0x1112131415161718, .priority = 1862270719 };
	unit_assert_hex(buf, (size_t)ice_encode_request(&gateway, &r, buf, sizeof(buf)), gateway_request);
	ck_assert_int_eq(fz_addr_parse("203.0.113.7:52625", &mapped), 0);
	unit_assert_hex(buf, (size_t)ice_encode_success(&gateway, &txid, &mapped, buf, sizeof(buf)),
			gateway_success);
	unit_assert_hex(buf, (size_t)ice_encode_role_conflict(&gateway, &txid, buf, sizeof(buf)),
			gateway_conflict);
	ck_assert_int_eq(fz_addr_parse("[2001:db8::7]:1", &mapped), 0);
	ck_assert_int_eq(ice_encode_success(&gateway, &txid, &mapped, buf, sizeof(buf)), 76);
	for (size_t cap = 0; cap < 88; cap++)
		ck_assert_int_eq(ice_encode_request(&gateway, &r, buf, cap), FZ_ERR_NOSPACE);
}
END_TEST

START_TEST(vectors_are_read)
{
	struct ice_creds client = CLIENT, gateway = GATEWAY;
	uint8_t buf[128];
	struct ice_msg m;
	size_t n;

	n = unit_hex(buf, sizeof(buf), client_request);
	ck_assert_int_eq(ice_decode(&gateway, buf, n, &m), 0);
	ck_assert_int_eq(m.type, ICE_REQUEST);
	ck_assert(m.request.has_role && m.request.is_controlling && m.request.use_candidate);
	ck_assert_uint_eq(m.request.priority, 1862270719);
	ck_assert_uint_eq(m.request.tie_breaker, 0x0102030405060708);
	ck_assert_mem_eq(&m.request.txid, &txid, sizeof(txid));
	ck_assert_int_eq(ice_decode(&client, buf, n, &m), FZ_ERR_NOT_MINE);

	n = unit_hex(buf, sizeof(buf), gateway_success);
	ck_assert_int_eq(ice_decode(&client, buf, n, &m), 0);
	ck_assert_int_eq(m.type, ICE_SUCCESS);
	ck_assert_uint_eq(m.mapped.port, 52625);
	ck_assert_int_eq(ice_decode(&gateway, buf, n, &m), FZ_ERR_AUTH);

	n = unit_hex(buf, sizeof(buf), gateway_conflict);
	ck_assert_int_eq(ice_decode(&client, buf, n, &m), 0);
	ck_assert_int_eq(m.type, ICE_ERROR);
	ck_assert_uint_eq(m.error_code, 487);
}
END_TEST

/* A request of another ICE implementation, with an attribute that nobody here knows. */
START_TEST(foreign_request_is_read)
{
	struct ice_creds c = creds("p9KA", "xJcE9AQAR7kczUDVOXRUCl", "SQAt", "x");
	uint8_t buf[128];
	struct ice_msg m;
	size_t n = unit_hex(buf, sizeof(buf),
			    "000100502112a4426a756331357578556e6747630006000970394b413a535141"
			    "74000000c05700040001000a802a00086eeec6e97d18395c0025000000240004"
			    "6e7f1eff000800145d0425a0207ab1e054102299aaf9839ca076c6d580280004"
			    "360e219f");

	ck_assert_int_eq(ice_decode(&c, buf, n, &m), 0);
	ck_assert(m.request.is_controlling && m.request.use_candidate);
}
END_TEST

/* One bit changed anywhere in what is signed: refused. A message cut anywhere: refused. */
START_TEST(damage_is_refused)
{
	struct ice_creds gateway = GATEWAY;
	uint8_t buf[128];
	struct ice_msg m;
	size_t n = unit_hex(buf, sizeof(buf), client_request);

	for (size_t len = 0; len < n; len++)
		ck_assert_int_eq(ice_decode(&gateway, buf, len, &m), FZ_ERR_WIRE);
	for (size_t bit = 0; bit < (n - 8) * 8; bit++) {
		buf[bit / 8] ^= (uint8_t)(1 << bit % 8);
		ck_assert_msg(ice_decode(&gateway, buf, n, &m) != 0, "bit %zu", bit);
		buf[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	ck_assert_int_eq(ice_decode(&gateway, buf, n, &m), 0);
}
END_TEST

START_TEST(incomplete_messages)
{
	struct ice_creds gateway = GATEWAY;
	const char *pwd = gateway.local_pwd;
	uint8_t buf[256];
	struct stun_enc e;
	struct ice_msg m;

	/* no PRIORITY */
	stun_enc_init(&e, buf, sizeof(buf), STUN_BINDING, STUN_REQUEST, &txid);
	stun_put_text(&e, STUN_USERNAME, "jbi4:resc");
	stun_put_integrity(&e, pwd, strlen(pwd));
	ck_assert_int_eq(ice_decode(&gateway, buf, (size_t)stun_enc_end(&e), &m), FZ_ERR_WIRE);
	/* no MESSAGE-INTEGRITY */
	stun_enc_init(&e, buf, sizeof(buf), STUN_BINDING, STUN_REQUEST, &txid);
	stun_put_text(&e, STUN_USERNAME, "jbi4:resc");
	stun_put_u32(&e, STUN_PRIORITY, 1);
	ck_assert_int_eq(ice_decode(&gateway, buf, (size_t)stun_enc_end(&e), &m), FZ_ERR_WIRE);
	/* both roles */
	stun_enc_init(&e, buf, sizeof(buf), STUN_BINDING, STUN_REQUEST, &txid);
	stun_put_text(&e, STUN_USERNAME, "jbi4:resc");
	stun_put_u32(&e, STUN_PRIORITY, 1);
	stun_put_u64(&e, STUN_ICE_CONTROLLED, 1);
	stun_put_u64(&e, STUN_ICE_CONTROLLING, 1);
	stun_put_integrity(&e, pwd, strlen(pwd));
	ck_assert_int_eq(ice_decode(&gateway, buf, (size_t)stun_enc_end(&e), &m), FZ_ERR_WIRE);
	/* no role and no fingerprint: fine */
	stun_enc_init(&e, buf, sizeof(buf), STUN_BINDING, STUN_REQUEST, &txid);
	stun_put_text(&e, STUN_USERNAME, "jbi4:resc");
	stun_put_u32(&e, STUN_PRIORITY, 1);
	stun_put_integrity(&e, pwd, strlen(pwd));
	ck_assert_int_eq(ice_decode(&gateway, buf, (size_t)stun_enc_end(&e), &m), 0);
	ck_assert(!m.request.has_role);
	/* success without an address */
	stun_enc_init(&e, buf, sizeof(buf), STUN_BINDING, STUN_SUCCESS, &txid);
	stun_put_integrity(&e, gateway.remote_pwd, strlen(gateway.remote_pwd));
	ck_assert_int_eq(ice_decode(&gateway, buf, (size_t)stun_enc_end(&e), &m), FZ_ERR_WIRE);
	/* an indication, another method */
	stun_enc_init(&e, buf, sizeof(buf), STUN_BINDING, STUN_INDICATION, &txid);
	ck_assert_int_eq(ice_decode(&gateway, buf, (size_t)stun_enc_end(&e), &m), FZ_ERR_NOT_MINE);
	stun_enc_init(&e, buf, sizeof(buf), 3, STUN_REQUEST, &txid);
	ck_assert_int_eq(ice_decode(&gateway, buf, (size_t)stun_enc_end(&e), &m), FZ_ERR_NOT_MINE);
}
END_TEST

START_TEST(credentials_are_checked)
{
	static const char long_ufrag[] = "123456789012345678901234567890123";
	struct ice_creds c;

	ck_assert_int_eq(ice_creds_init(&c, "a", "b", "c", "d"), 0);
	ck_assert_str_eq(c.username_in, "a:c");
	ck_assert_str_eq(c.username_out, "c:a");
	ck_assert_int_eq(ice_creds_init(&c, "", "b", "c", "d"), FZ_ERR_INVAL);
	ck_assert_int_eq(ice_creds_init(&c, "a", "", "c", "d"), FZ_ERR_INVAL);
	ck_assert_int_eq(ice_creds_init(&c, "a", "b", NULL, "d"), FZ_ERR_INVAL);
	ck_assert_int_eq(ice_creds_init(&c, "a", "b", "c", NULL), FZ_ERR_INVAL);
	ck_assert_int_eq(ice_creds_init(&c, "a:b", "b", "c", "d"), FZ_ERR_INVAL);
	ck_assert_int_eq(ice_creds_init(&c, long_ufrag, "b", "c", "d"), FZ_ERR_INVAL);
	ck_assert_int_eq(ice_creds_init(&c, long_ufrag + 1, "b", long_ufrag + 1, "d"), 0);
	ice_creds_clear(&c);
	ck_assert_uint_eq(c.local_pwd[0], 0);
}
END_TEST

START_TEST(transaction_ids_carry_the_tag)
{
	struct stun_txid a = ice_txid(0xdeadbeef, 0x0123456789abcdef);

	ck_assert_uint_eq(ice_txid_tag(&a), 0xdeadbeef);
	ck_assert_uint_eq(ice_txid_random(&a), 0x0123456789abcdef);
	ck_assert_uint_ne(fz_get_be32(a.b), 0xdeadbeef);
}
END_TEST

START_TEST(peek_attributes_datagrams)
{
	static const struct path_opts opts = { .local_ufrag = "jbi4", .remote_ufrag = "resc" };
	struct path_stun_key key;
	uint8_t buf[128];
	char name[32];
	size_t n = unit_hex(buf, sizeof(buf), client_request);

	ck_assert_int_eq(path_stun_peek(buf, n, &key), 0);
	ck_assert(key.is_request);
	ck_assert_int_eq(path_username(&opts, name, sizeof(name)), 9);
	ck_assert_uint_eq(key.username_len, 9);
	ck_assert_mem_eq(key.username, name, 9);
	ck_assert_int_eq(path_username(&opts, name, 9), FZ_ERR_NOSPACE);
	for (size_t len = 0; len < n; len++)
		ck_assert_int_eq(path_stun_peek(buf, len, &key), FZ_ERR_NOT_MINE);
	n = unit_hex(buf, sizeof(buf), gateway_conflict);
	ck_assert_int_eq(path_stun_peek(buf, n, &key), 0);
	ck_assert(!key.is_request);
	ck_assert_uint_eq(key.tag, 0x01020304 ^ 0x090a0b0c);
	memset(buf, 0, sizeof(buf));
	buf[0] = 4;
	ck_assert_int_eq(path_stun_peek(buf, 32, &key), FZ_ERR_NOT_MINE);
}
END_TEST

/* Every recorded check and answer: authentic, and written again byte for byte. */
START_TEST(recorded_checks)
{
	FILE *f = fopen(TEST_VECTORS "/ice_checks.txt", "r");
	struct ice_creds a = { 0 }, b = { 0 };
	char line[512];
	size_t n_requests = 0, n_answers = 0, n_nominating = 0;

	ck_assert_ptr_nonnull(f);
	while (fgets(line, sizeof(line), f)) {
		char u1[64], p1[64], u2[64], p2[64];
		uint8_t buf[256], again[256];
		struct ice_msg m;
		if (line[0] == '#')
			continue;
		if (sscanf(line, "creds %63s %63s %63s %63s", u1, p1, u2, p2) == 4) {
			a = creds(u1, p1, u2, p2);
			b = creds(u2, p2, u1, p1);
			continue;
		}
		size_t len = unit_hex(buf, sizeof(buf), line);
		struct ice_creds *receiver = &a, *sender = &b;
		if (ice_decode(receiver, buf, len, &m) != 0) {
			receiver = &b;
			sender = &a;
			ck_assert_msg(ice_decode(receiver, buf, len, &m) == 0, "%s", line);
		}
		int n;
		if (m.type == ICE_REQUEST) {
			n_requests++;
			n_nominating += m.request.use_candidate;
			ck_assert_uint_eq(len, m.request.use_candidate ? 92 : 88);
			ck_assert(m.request.is_controlling || !m.request.use_candidate);
			n = ice_encode_request(sender, &m.request, again, sizeof(again));
		} else {
			n_answers++;
			ck_assert_int_eq(m.type, ICE_SUCCESS);
			n = ice_encode_success(sender, &m.txid, &m.mapped, again, sizeof(again));
		}
		ck_assert_int_eq(n, len);
		ck_assert_mem_eq(again, buf, len);
	}
	fclose(f);
	ck_assert_uint_gt(n_requests, 50);
	ck_assert_uint_gt(n_answers, 50);
	ck_assert_uint_gt(n_nominating, 5);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("ice_check");

	unit_case(s, "messages", vectors_are_written, vectors_are_read, foreign_request_is_read,
		  damage_is_refused, incomplete_messages, credentials_are_checked,
		  transaction_ids_carry_the_tag, peek_attributes_datagrams, recorded_checks);
	return s;
}
