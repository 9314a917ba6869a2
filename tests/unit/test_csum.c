/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "base/rng.h"
#include "base/wr.h"
#include "packets.h"
#include "wire/csum.h"

START_TEST(test_vectors)
{
	uint8_t buf[64];

	ck_assert_uint_eq(csum_sum("\x00\x01\xf2\x03\xf4\xf5\xf6\xf7", 8), 0xddf2);
	ck_assert_uint_eq(csum_sum("\xab", 1), 0xab00);
	ck_assert_uint_eq(csum_sum("", 0), 0);
	ck_assert_uint_eq(csum_update(0xdd2f, 0x5555, 0x3285), 0xffff);
	ck_assert_uint_eq(csum_update(0xffff, 0, 0), 0xffff);
	ck_assert_uint_eq(csum_update(0xabcd, 0x1234, 0x1234), 0xabcd);

	unit_hex(buf, sizeof(buf), "4500 09cc 1234 4000 4006 ffff 6440 0001 0a14 0064");
	csum_ip4(buf, 20);
	ck_assert_uint_eq(fz_get_be16(buf + 10), 0xb03f);
}
END_TEST

/* What a super-packet's checksum field must hold. */
START_TEST(test_pseudo)
{
	static const struct {
		const char *hex;
		uint8_t version, proto;
		size_t l4_len;
		uint16_t want;
	} cases[] = {
		{ "4500000000000000 40060000 64400001 0a140064", 4, 6, 32 + 2456, 0x7877 },
		{ "4500000000000000 40110000 64400001 0a140064", 4, 17, 8 + 2504, 0x789a },
		{ "6000000000000640 fd002021111100000000000000000001 fd002021111180000000000000000000", 6, 6,
		  32 + 2416, 0xe5fd },
	};
	uint8_t buf[64];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ip_view v = { .version = cases[i].version, .proto = cases[i].proto };
		unit_hex(buf, sizeof(buf), cases[i].hex);
		ck_assert_uint_eq(csum_fold(csum_pseudo(buf, &v, cases[i].l4_len)), cases[i].want);
	}
}
END_TEST

/* All lengths and alignments against the loop that goes byte by byte. */
START_TEST(test_twin)
{
	static uint8_t buf[3000];
	struct unit_env u;

	unit_env_init(&u, 1);
	fz_rng_fill(&u.env, buf, sizeof(buf));
	for (size_t len = 0; len < 1500; len++)
		for (size_t at = 0; at < 4; at++)
			if (csum_sum(buf + at, len) != mk_sum(buf + at, len, 0))
				ck_abort_msg("%zu bytes at %zu", len, at);
	memset(buf, 0xff, sizeof(buf)); /* the most carries */
	for (size_t len = 0; len < 1500; len++)
		ck_assert_uint_eq(csum_sum(buf, len), mk_sum(buf, len, 0));
	static uint8_t large[65536];
	fz_rng_fill(&u.env, large, sizeof(large));
	ck_assert_uint_eq(csum_sum(large, sizeof(large)), mk_sum(large, sizeof(large), 0));
	memset(large, 0xff, sizeof(large));
	ck_assert_uint_eq(csum_sum(large, sizeof(large)), 0xffff);
}
END_TEST

/* Pieces of even length add up. */
START_TEST(test_pieces)
{
	uint8_t buf[600];
	struct unit_env u;

	unit_env_init(&u, 2);
	for (int round = 0; round < 2000; round++) {
		fz_rng_fill(&u.env, buf, sizeof(buf));
		size_t len = fz_rng_below(&u.env, sizeof(buf)),
		       cut = fz_rng_below(&u.env, (uint32_t)len / 2 + 1) * 2;
		uint16_t whole = csum_fold(csum_sum(buf, len));
		uint16_t parts = csum_fold(csum_sum(buf, cut) + csum_sum(buf + cut, len - cut));
		ck_assert_uint_eq(whole, parts);
	}
}
END_TEST

START_TEST(test_l4)
{
	uint8_t buf[1400], want[1400];
	struct ip_view v;

	for (int i = 0; i < 400; i++) {
		static const int protos[] = { 6, 17, 0, 50 };
		int v6 = i & 1, proto = protos[i / 2 % 4];
		struct mk m = { .v6 = v6,
				.proto = proto ? proto
					 : v6  ? 58
					       : 1,
				.payload = (size_t)i * 3,
				.seed = (unsigned)i };
		size_t len = mk_packet(want, &m);
		memcpy(buf, want, len);
		ck_assert_int_eq(ip_parse_plain(buf, len, &v), IP_OK);
		ck_assert(csum_ok(buf, &v));
		csum_l4(buf, &v);
		ck_assert_mem_eq(buf, want, len);
		if (v.kind == IP_OTHER || v.hdr_len == v.len)
			continue;
		buf[len - 1] ^= 0x40;
		ck_assert(!csum_ok(buf, &v));
		csum_l4(buf, &v);
		ck_assert(csum_ok(buf, &v));
		if (!v6) {
			buf[8]--;
			ck_assert(!csum_ok(buf, &v));
		}
	}
}
END_TEST

START_TEST(test_udp_zero)
{
	uint8_t buf[64];
	struct ip_view v;
	struct mk m = { .proto = 17, .payload = 2 };
	size_t len = mk_packet(buf, &m);

	/* A payload that makes the sum 0xffff: the field would be 0. */
	ck_assert_int_eq(ip_parse_plain(buf, len, &v), IP_OK);
	mk_be16(buf + 28, 0);
	csum_l4(buf, &v);
	mk_be16(buf + 28, fz_get_be16(buf + 26));
	csum_l4(buf, &v);
	ck_assert_uint_eq(fz_get_be16(buf + 26), 0xffff);
	ck_assert(csum_ok(buf, &v));
	/* No checksum is fine over IPv4 only. */
	mk_be16(buf + 26, 0);
	ck_assert(csum_ok(buf, &v));
	m.v6 = 1;
	len = mk_packet(buf, &m);
	ck_assert_int_eq(ip_parse_plain(buf, len, &v), IP_OK);
	mk_be16(buf + 46, 0);
	ck_assert(!csum_ok(buf, &v));
}
END_TEST

START_TEST(test_complete)
{
	uint8_t buf[1400], want[1400];
	struct ip_view v;

	for (int i = 0; i < 400; i++) {
		struct mk m = {
			.v6 = i & 1, .proto = i & 2 ? 6 : 17, .payload = (size_t)i * 3, .seed = (unsigned)i
		};
		size_t len = mk_packet(want, &m);
		memcpy(buf, want, len);
		ck_assert_int_eq(ip_parse_plain(buf, len, &v), IP_OK);
		struct fz_pkt pkt = ip_pkt(buf, len);
		pkt.needs_csum = 1;
		pkt.csum_start = v.l3_len;
		pkt.csum_offset = v.kind == IP_TCP ? 16 : 6;
		fz_put_be16(buf + v.l3_len + pkt.csum_offset,
			    csum_fold(csum_pseudo(buf, &v, len - v.l3_len)));
		csum_complete(&pkt);
		ck_assert_mem_eq(buf, want, len);
		ck_assert_uint_eq(pkt.needs_csum, 0);
	}
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("csum");

	unit_case(s, "csum", test_vectors, test_pseudo, test_twin, test_pieces, test_l4, test_udp_zero,
		  test_complete);
	return s;
}
