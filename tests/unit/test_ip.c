/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <stdio.h>

#include "base/addr.h"
#include "base/rng.h"
#include "packets.h"
#include "wire/csum.h"
#include "wire/ip.h"

#define V4_HDR(len, proto) "4500" len "00004000 40" proto "0000 64400001 0a140064"
#define V6_HDR(len, proto)                                                                                   \
	"60000000" len proto "40 fd000000000000000000000000000001 fd000000000000000000000000000002"

struct plain_case {
	const char *why, *hex;
	enum ip_reason want;
};

static const struct plain_case plain_cases[] = {
	{ "nothing", "", IP_EMPTY },
	{ "version 5", "55000000", IP_VERSION },
	{ "version 0", "00", IP_VERSION },
	{ "IPv4 cut", "4500001400004000 4011 0000 64400001 0a1400", IP_HEADER },
	{ "IHL 4", "44000014 00004000 40ff0000 64400001 0a140064", IP_HEADER },
	{ "IHL beyond the end", "46000014 00004000 40ff0000 64400001 0a140064", IP_HEADER },
	{ "no payload, unknown protocol", V4_HDR("0014", "ff"), IP_OK },
	{ "total length below the header", V4_HDR("0013", "ff"), IP_LENGTH },
	{ "total length beyond the end", V4_HDR("0015", "ff"), IP_LENGTH },
	{ "padding", V4_HDR("0014", "ff") "000000000000", IP_OK },
	{ "UDP", V4_HDR("001c", "11") "9c40 14b5 0008 0000", IP_OK },
	{ "UDP cut", V4_HDR("001b", "11") "9c40 14b5 0008 00", IP_BAD_UDP },
	{ "UDP length too small", V4_HDR("001c", "11") "9c40 14b5 0007 0000", IP_BAD_UDP },
	{ "UDP length too large", V4_HDR("001c", "11") "9c40 14b5 0009 0000", IP_BAD_UDP },
	{ "UDP shorter than the IP payload", V4_HDR("001d", "11") "9c40 14b5 0008 0000 00", IP_BAD_UDP },
	{ "TCP", V4_HDR("0028", "06") "9c40 1451 00000001 00000002 5010 01f5 0000 0000", IP_OK },
	{ "TCP cut", V4_HDR("0027", "06") "9c40 1451 00000001 00000002 5010 01f5 0000 00", IP_BAD_TCP },
	{ "TCP offset 4", V4_HDR("0028", "06") "9c40 1451 00000001 00000002 4010 01f5 0000 0000",
	  IP_BAD_TCP },
	{ "TCP offset beyond", V4_HDR("0028", "06") "9c40 1451 00000001 00000002 6010 01f5 0000 0000",
	  IP_BAD_TCP },
	{ "echo", V4_HDR("001c", "01") "0800 0000 004d 0001", IP_OK },
	{ "ICMP cut", V4_HDR("001b", "01") "0800 0000 004d 00", IP_BAD_ICMP },
	{ "ICMPv6 in IPv4", V4_HDR("001c", "3a") "8000 0000 004d 0001", IP_BAD_ICMP },
	{ "IPv6 cut", "6000000000003b40 fd000000000000000000000000000001 fd0000000000000000000000000000",
	  IP_HEADER },
	{ "IPv6, no next header", V6_HDR("0000", "3b"), IP_OK },
	{ "IPv6 too short", V6_HDR("0001", "3b"), IP_LENGTH },
	{ "IPv6 padding", V6_HDR("0000", "3b") "0000", IP_OK },
	{ "ICMP in IPv6", V6_HDR("0008", "01") "0800 0000 004d 0001", IP_BAD_ICMP },
	{ "echo 6", V6_HDR("0008", "3a") "8000 0000 004d 0001", IP_OK },
	{ "hop-by-hop, UDP", V6_HDR("0010", "00") "1100 010400000000 9c40 14b5 0008 0000", IP_OK },
	{ "hop-by-hop of 16 bytes cut", V6_HDR("0008", "00") "1101 010400000000", IP_HEADER },
	{ "half an extension", V6_HDR("0004", "3c") "1100 0104", IP_HEADER },
	{ "ESP ends the walk", V6_HDR("0004", "32") "00000001", IP_OK },
	{ "AH ends the walk", V6_HDR("0004", "33") "11000000", IP_OK },
	{ "extension chain",
	  V6_HDR("0020", "00") "3c00000000000000 fe00000000000000 1100000000000000 9c4014b500080000", IP_OK },
	{ "control packet",
	  "600000000008ff00 00000000000000000000000000000000 00000000000000000000000000000000"
	  "0200000000000000",
	  IP_OK },
};

static const struct plain_case fragments[] = {
	{ "more fragments", "45000014 00002000 40ff0000 64400001 0a140064", IP_FRAGMENT },
	{ "fragment offset", "45000014 00000001 40ff0000 64400001 0a140064", IP_FRAGMENT },
	{ "reserved flag bit is no fragment", "45000014 00008000 40ff0000 64400001 0a140064", IP_OK },
	{ "atomic fragment", V6_HDR("0010", "2c") "1100 0000 00000001 9c40 14b5 0008 0000", IP_OK },
	{ "atomic fragment, reserved bits", V6_HDR("0010", "2c") "11ff 0006 00000001 9c40 14b5 0008 0000",
	  IP_OK },
	{ "first fragment", V6_HDR("0010", "2c") "1100 0001 00000001 9c40 14b5 0008 0000", IP_FRAGMENT },
	{ "later fragment", V6_HDR("0010", "2c") "1100 0008 00000001 9c40 14b5 0008 0000", IP_FRAGMENT },
};

static void check_plain(const struct plain_case *c)
{
	uint8_t buf[256];
	struct ip_view v;
	enum ip_reason got = ip_parse_plain(buf, unit_hex(buf, sizeof(buf), c->hex), &v);

	ck_assert_msg(got == c->want, "%s: %s", c->why, ip_reason_text(got));
}

START_TEST(test_plain)
{
	for (size_t i = 0; i < sizeof(plain_cases) / sizeof(plain_cases[0]); i++)
		check_plain(&plain_cases[i]);
}
END_TEST

START_TEST(a18_5_fragments)
{
	for (size_t i = 0; i < sizeof(fragments) / sizeof(fragments[0]); i++)
		check_plain(&fragments[i]);
}
END_TEST

START_TEST(test_view)
{
	uint8_t buf[2000];
	struct ip_view v;
	struct mk m = {
		.seq = 0x01020304, .flags = 0x18, .opt_len = 12, .payload = 100, .tos = 2, .flow = 3
	};
	size_t len = mk_packet(buf, &m);

	ck_assert_int_eq(ip_parse_plain(buf, len + 4, &v), IP_OK);
	ck_assert_uint_eq(v.version, 4);
	ck_assert_uint_eq(v.proto, 6);
	ck_assert_uint_eq(v.kind, IP_TCP);
	ck_assert_uint_eq(v.ecn, IP_ECN_ECT0);
	ck_assert_uint_eq(v.l3_len, 20);
	ck_assert_uint_eq(v.hdr_len, 52);
	ck_assert_uint_eq(v.len, len);
	ck_assert_uint_eq(v.sport, 40003);
	ck_assert_uint_eq(v.dport, 5201);
	ck_assert_uint_eq(v.tcp_flags, 0x18);
	ck_assert_uint_eq(v.tcp_seq, 0x01020304);
	ck_assert_int_eq(v.src.family, FZ_FAMILY_INET);
	ck_assert_uint_eq(v.src.b[3], 4);
	ck_assert_uint_eq(v.dst.b[0], 10);

	m = (struct mk){ .v6 = 1, .proto = 58, .payload = 56, .tos = 1 };
	len = mk_packet(buf, &m);
	ck_assert_int_eq(ip_parse_plain(buf, len, &v), IP_OK);
	ck_assert_uint_eq(v.kind, IP_ICMP_ECHO);
	ck_assert_uint_eq(v.sport, 77);
	ck_assert_uint_eq(v.dport, 77);
	ck_assert_uint_eq(v.icmp_type, 128);
	ck_assert_uint_eq(v.ecn, IP_ECN_ECT1);
	ck_assert_uint_eq(v.hdr_len, 48);
	buf[41] = 1; /* echo with a code is none */
	ck_assert_int_eq(ip_parse_plain(buf, len, &v), IP_OK);
	ck_assert_uint_eq(v.kind, IP_ICMP_OTHER);
	ck_assert_uint_eq(v.sport, 0);
}
END_TEST

START_TEST(test_length_limit)
{
	static uint8_t buf[70000];
	struct ip_view v;
	struct mk m = { .payload = 1240 };
	struct fz_pkt pkt = ip_pkt(buf, mk_packet(buf, &m));

	ck_assert_int_eq(ip_parse(&pkt, &v), IP_OK);
	ck_assert_int_eq(ip_parse_plain(buf, 1280 + 15, &v), IP_OK);
	m.payload = 1241;
	pkt.len = mk_packet(buf, &m);
	ck_assert_int_eq(ip_parse(&pkt, &v), IP_TOO_LONG);
	ck_assert_int_eq(ip_parse_plain(buf, pkt.len, &v), IP_TOO_LONG);
	/* A TUN gives no padding. */
	m.payload = 100;
	pkt.len = mk_packet(buf, &m) + 1;
	ck_assert_int_eq(ip_parse(&pkt, &v), IP_LENGTH);
}
END_TEST

static const struct {
	const char *why;
	struct mk mk;
	int gso, gso_size;
	enum ip_reason want;
} super_cases[] = {
	{ "TCP4", { .payload = 60000 }, FZ_GSO_TCP4, 1228, IP_OK },
	{ "TCP4, largest segment", { .payload = 60000 }, FZ_GSO_TCP4, 1240, IP_OK },
	{ "TCP4, segment too long", { .payload = 60000 }, FZ_GSO_TCP4, 1241, IP_TOO_LONG },
	{ "TCP4, largest packet", { .payload = 65495 }, FZ_GSO_TCP4, 1000, IP_OK },
	{ "TCP4, one segment", { .payload = 10 }, FZ_GSO_TCP4, 1000, IP_OK },
	{ "TCP6 as TCP4", { .v6 = 1, .payload = 6000 }, FZ_GSO_TCP4, 1000, IP_OFFLOAD },
	{ "TCP4 as TCP6", { .payload = 6000 }, FZ_GSO_TCP6, 1000, IP_OFFLOAD },
	{ "TCP6", { .v6 = 1, .payload = 60000 }, FZ_GSO_TCP6, 1208, IP_OK },
	{ "UDP4", { .proto = 17, .payload = 60000 }, FZ_GSO_UDP, 1252, IP_OK },
	{ "UDP6", { .v6 = 1, .proto = 17, .payload = 60000 }, FZ_GSO_UDP, 1232, IP_OK },
	{ "UDP6, segment too long",
	  { .v6 = 1, .proto = 17, .payload = 60000 },
	  FZ_GSO_UDP,
	  1233,
	  IP_TOO_LONG },
	{ "TCP as UDP", { .payload = 6000 }, FZ_GSO_UDP, 1000, IP_OFFLOAD },
	{ "UDP as TCP", { .proto = 17, .payload = 6000 }, FZ_GSO_TCP4, 1000, IP_OFFLOAD },
	{ "no segment size", { .payload = 6000 }, FZ_GSO_TCP4, 0, IP_OFFLOAD },
	{ "no payload", { 0 }, FZ_GSO_TCP4, 1000, IP_OFFLOAD },
	{ "UFO", { .proto = 17, .payload = 6000 }, 3, 1000, IP_OFFLOAD },
	{ "unknown type", { .payload = 6000 }, 7, 1000, IP_OFFLOAD },
	{ "ordinary, too long", { .payload = 6000 }, FZ_GSO_NONE, 0, IP_TOO_LONG },
};

START_TEST(test_super)
{
	static uint8_t buf[70000];
	struct ip_view v;

	for (size_t i = 0; i < sizeof(super_cases) / sizeof(super_cases[0]); i++) {
		struct fz_pkt pkt = ip_pkt(buf, mk_packet(buf, &super_cases[i].mk));
		pkt.gso = (uint8_t)super_cases[i].gso;
		pkt.gso_size = (uint16_t)super_cases[i].gso_size;
		pkt.needs_csum = 1;
		enum ip_reason got = ip_parse(&pkt, &v);
		ck_assert_msg(got == super_cases[i].want, "%s: %s", super_cases[i].why, ip_reason_text(got));
	}
}
END_TEST

START_TEST(test_csum_facts)
{
	static const struct {
		int proto, start, offset;
		enum ip_reason want;
	} cases[] = {
		{ 6, 20, 16, IP_OK },        { 6, 20, 6, IP_OFFLOAD },   { 6, 24, 16, IP_OFFLOAD },
		{ 6, 0, 10, IP_OFFLOAD },    { 17, 20, 6, IP_OK },       { 17, 20, 16, IP_OFFLOAD },
		{ 1, 20, 2, IP_OK },         { 132, 20, 8, IP_OK },      { 132, 20, 98, IP_OK },
		{ 132, 20, 99, IP_OFFLOAD }, { 132, 19, 8, IP_OFFLOAD }, { 132, 60000, 60000, IP_OFFLOAD },
	};
	uint8_t buf[256];
	struct ip_view v;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct mk m = { .proto = cases[i].proto };
		m.payload = 120 - mk_packet(buf, &m); /* 100 bytes behind the IP header */
		struct fz_pkt pkt = ip_pkt(buf, mk_packet(buf, &m));
		pkt.needs_csum = 1;
		pkt.csum_start = (uint16_t)cases[i].start;
		pkt.csum_offset = (uint16_t)cases[i].offset;
		ck_assert_msg(ip_parse(&pkt, &v) == cases[i].want, "case %zu", i);
	}
}
END_TEST

/* Every length of every packet shape: no read past the end (sanitizers), and cut packets are refused. */
START_TEST(a18_3_cut_everywhere)
{
	uint8_t buf[512];

	for (int v6 = 0; v6 < 2; v6++) {
		int protos[] = { 6, 17, v6 ? 58 : 1, 50 };
		for (int i = 0; i < 4; i++) {
			struct mk m = { .v6 = v6, .proto = protos[i], .payload = 20 };
			size_t len = mk_packet(buf, &m);
			for (size_t n = 0; n <= len; n++) {
				uint8_t *exact = malloc(n ? n : 1);
				struct ip_view v;
				memcpy(exact, buf, n);
				ck_assert_int_eq(ip_parse_plain(exact, n, &v) == IP_OK, n == len);
				struct fz_pkt pkt = ip_pkt(exact, n);
				ck_assert_int_eq(ip_parse(&pkt, &v) == IP_OK, n == len);
				ip_parse_quote(exact, n, &v);
				free(exact);
			}
		}
	}
}
END_TEST

START_TEST(test_reason_texts)
{
	for (int i = 0; i < IP_REASONS; i++)
		ck_assert_ptr_nonnull(ip_reason_text((enum ip_reason)i));
	ck_assert_str_eq(ip_reason_text(IP_REASONS), "unknown");
}
END_TEST

/* Inner, outer, result. */
static const uint8_t ecn_cases[][3] = {
	{ 0, 0, 0 }, { 0, 1, 0 }, { 0, 2, 0 }, { 0, 3, 0 }, { 1, 0, 1 }, { 1, 1, 1 },
	{ 1, 2, 1 }, { 1, 3, 3 }, { 2, 0, 2 }, { 2, 1, 2 }, { 2, 2, 2 }, { 2, 3, 3 },
	{ 3, 0, 3 }, { 3, 1, 3 }, { 3, 2, 3 }, { 3, 3, 3 },
};

START_TEST(a18_2_ecn)
{
	uint8_t buf[256], want[256];
	struct ip_view v;

	for (int v6 = 0; v6 < 2; v6++) {
		for (size_t i = 0; i < sizeof(ecn_cases) / sizeof(ecn_cases[0]); i++) {
			struct mk m = { .v6 = v6, .tos = ecn_cases[i][0] | 0x28, .payload = 9 };
			size_t len = mk_packet(buf, &m);
			ck_assert_int_eq(ip_parse_plain(buf, len, &v), IP_OK);
			ip_ecn_merge(buf, &v, ecn_cases[i][1]);
			m.tos = ecn_cases[i][2] | 0x28;
			mk_packet(want, &m);
			ck_assert_mem_eq(buf, want, len);
			ck_assert_uint_eq(v.ecn, ecn_cases[i][2]);
		}
	}
}
END_TEST

START_TEST(test_nat_vector)
{
	uint8_t buf[64];
	size_t len = unit_hex(buf, sizeof(buf),
			      "4500001e000000004011b22d 64400001 64600001 9c40 01bb 000a 30d3 6869");
	struct fz_pkt pkt = ip_pkt(buf, len);
	struct ip_view v;
	struct fz_ip to;

	ck_assert_int_eq(ip_parse(&pkt, &v), IP_OK);
	ck_assert_int_eq(fz_ip_parse("10.0.0.1", &to), 0);
	ip_set_dst(&pkt, &v, &to);
	ip_set_sport(&pkt, &v, 40001);
	unit_assert_hex(buf, len, "4500001e0000000040110c8e 64400001 0a000001 9c41 01bb 000a 8b32 6869");
	ck_assert(fz_ip_equal(&v.dst, &to));
	ck_assert_uint_eq(v.sport, 40001);
}
END_TEST

static struct fz_ip random_ip(struct unit_env *u, int v6)
{
	uint8_t b[16];

	fz_rng_fill(&u->env, b, sizeof(b));
	return v6 ? fz_ip_v6(b) : fz_ip_v4(b);
}

/* Rewriting with incremental sums against checksums from scratch; complete ones and pseudo-header sums. */
START_TEST(a18_1_rewrite)
{
	static const int protos[] = { 6, 17, 0, 132 };
	struct unit_env u;
	uint8_t buf[600];

	unit_env_init(&u, 11);
	for (int round = 0; round < 4000; round++) {
		int v6 = round & 1, proto = protos[(round >> 1) % 4];
		struct mk m = { .v6 = v6,
				.proto = proto ? proto
					 : v6  ? 58
					       : 1,
				.payload = fz_rng_below(&u.env, 500),
				.seed = (unsigned)round };
		struct fz_pkt pkt = ip_pkt(buf, mk_packet(buf, &m));
		struct ip_view v, w;
		struct fz_ip src = random_ip(&u, v6), dst = random_ip(&u, v6);
		uint16_t sport = (uint16_t)fz_rng_u32(&u.env), dport = (uint16_t)fz_rng_u32(&u.env);
		ck_assert_int_eq(ip_parse_plain(buf, pkt.len, &v), IP_OK);
		bool seeded = round % 3 == 0 && (v.kind == IP_TCP || v.kind == IP_UDP);
		if (seeded) {
			pkt.needs_csum = 1;
			pkt.csum_start = v.l3_len;
			pkt.csum_offset = v.kind == IP_TCP ? 16 : 6;
			mk_be16(buf + v.l3_len + pkt.csum_offset,
				csum_fold(csum_pseudo(buf, &v, v.len - v.l3_len)));
		}
		ip_set_src(&pkt, &v, &src);
		ip_set_dst(&pkt, &v, &dst);
		ip_set_sport(&pkt, &v, sport);
		ip_set_dport(&pkt, &v, dport);
		if (seeded)
			csum_complete(&pkt);
		ck_assert_int_eq(ip_parse_plain(buf, pkt.len, &w), IP_OK);
		ck_assert(csum_ok(buf, &w));
		ck_assert_uint_eq(pkt.needs_csum, 0);
		ck_assert(fz_ip_equal(&w.src, &src) && fz_ip_equal(&w.dst, &dst));
		ck_assert(fz_ip_equal(&v.src, &src) && fz_ip_equal(&v.dst, &dst));
		ck_assert_uint_eq(v.sport, w.sport);
		ck_assert_uint_eq(v.dport, w.dport);
		if (v.kind == IP_TCP || v.kind == IP_UDP) {
			ck_assert_uint_eq(w.sport, sport);
			ck_assert_uint_eq(w.dport, dport);
		}
	}
}
END_TEST

START_TEST(test_udp_without_csum)
{
	uint8_t buf[64];
	struct mk m = { .proto = 17, .payload = 3 };
	struct fz_pkt pkt = ip_pkt(buf, mk_packet(buf, &m));
	struct fz_ip to = fz_ip_v4((const uint8_t[]){ 1, 2, 3, 4 });
	struct ip_view v;

	mk_be16(buf + 26, 0);
	ck_assert_int_eq(ip_parse(&pkt, &v), IP_OK);
	ip_set_src(&pkt, &v, &to);
	ip_set_dport(&pkt, &v, 9);
	ck_assert_uint_eq(buf[26] | buf[27], 0);
	ck_assert(csum_ok(buf, &v));
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("ip");

	unit_case(s, "parse", test_plain, a18_5_fragments, test_view, test_length_limit, test_super,
		  test_csum_facts, a18_3_cut_everywhere, test_reason_texts);
	unit_case(s, "edit", a18_2_ecn, test_nat_vector, a18_1_rewrite, test_udp_without_csum);
	return s;
}
