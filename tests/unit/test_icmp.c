/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "base/addr.h"
#include "base/rng.h"
#include "packets.h"
#include "wire/csum.h"
#include "wire/icmp.h"
#include "wire/p2p.h"

#define HELLO4 "450000210000000040110a88644000010a0102039c40270f000d886d68656c6c6f"
#define HELLO6                                                                                               \
	"60000000000d1140fd00202111110000000000000000000120010db80000000000000000000000079c40270f000d9cbe"   \
	"68656c6c6f"
#define EIGHT4 "4500002400000000 40110c88 64400001 0a000001 15190050 0010ea8d 61626364 65666768"
#define EIGHT6                                                                                               \
	"6000000000101140 fd002021111100000000000000000001 20010db8000000000000000000000005 "                \
	"151900500010fcdd 6162636465666768"

static const struct {
	enum icmp_error what;
	uint16_t mtu;
	const char *packet, *want;
} build_cases[] = {
	{ ICMP_PROHIBITED, 0, HELLO4,
	  "4500003800000000140136810a01020364400001030db12800000000450000210000000040110a88644000010a010203"
	  "9c40270f000d886d" },
	{ ICMP_PROHIBITED, 0, HELLO6,
	  "60000000003d3a1420010db8000000000000000000000007fd002021111100000000000000000001010131640000000"
	  "0" HELLO6 },
	{ ICMP_PROHIBITED, 0, EIGHT4,
	  "4500003800000000 14013884 0a000001 64400001 030dfceb 00000000 4500002400000000 40110c88 64400001 "
	  "0a000001 15190050 0010ea8d" },
	{ ICMP_NET_UNREACHABLE, 0, EIGHT4,
	  "4500003800000000 14013884 0a000001 64400001 0300fcf8 00000000 4500002400000000 40110c88 64400001 "
	  "0a000001 15190050 0010ea8d" },
	{ ICMP_PROHIBITED, 0, EIGHT6,
	  "6000000000403a14 20010db8000000000000000000000005 fd002021111100000000000000000001 "
	  "0101316300000000" EIGHT6 },
	{ ICMP_NET_UNREACHABLE, 0, EIGHT6,
	  "6000000000403a14 20010db8000000000000000000000005 fd002021111100000000000000000001 "
	  "0103316100000000" EIGHT6 },
	/* Less than 8 bytes behind the header: all of them. */
	{ ICMP_PROHIBITED, 0, "45000016 00000000 40fd0000 64400001 0a000001 abcd",
	  "45000032 00000000 1401388a 0a000001 64400001 030d 5ccf 00000000"
	  "45000016 00000000 40fd0000 64400001 0a000001 abcd" },
};

START_TEST(test_build)
{
	uint8_t buf[ICMP_ERROR_MAX], pkt[256];
	struct ip_view v;

	for (size_t i = 0; i < sizeof(build_cases) / sizeof(build_cases[0]); i++) {
		size_t len = unit_hex(pkt, sizeof(pkt), build_cases[i].packet);
		ck_assert_int_eq(ip_parse_plain(pkt, len, &v), IP_OK);
		len = icmp_build_error(build_cases[i].what, build_cases[i].mtu, pkt, &v, buf);
		unit_assert_hex(buf, len, build_cases[i].want);
	}
}
END_TEST

START_TEST(a11_4_sizes)
{
	uint8_t buf[ICMP_ERROR_MAX], pkt[1400];
	struct ip_view v, w;
	struct icmp_quote q;

	for (int i = 0; i < 3 * 2 * 40; i++) {
		enum icmp_error what = (enum icmp_error)(i % 3);
		struct mk m = { .v6 = i / 3 % 2, .payload = (size_t)(i / 6) * 31, .opt_len = 12 };
		m.ip_opt_len = m.v6 ? 0 : i / 6 % 11 * 4;
		m.payload = m.payload > 1188 ? 1188 : m.payload;
		size_t len = mk_packet(pkt, &m);
		ck_assert_int_eq(ip_parse_plain(pkt, len, &v), IP_OK);
		len = icmp_build_error(what, 1200, pkt, &v, buf);
		ck_assert_uint_le(len, FZ_TUNNEL_MTU);
		ck_assert_int_eq(ip_parse_plain(buf, len, &w), IP_OK);
		ck_assert(csum_ok(buf, &w));
		ck_assert(fz_ip_equal(&w.src, &v.dst) && fz_ip_equal(&w.dst, &v.src));
		ck_assert_int_eq(icmp_parse_error(buf, &w, &q), 0);
		ck_assert_uint_eq(q.rest, what == ICMP_TOO_BIG ? 1200 : 0);
		ck_assert_uint_eq(q.orig.kind, IP_TCP);
		ck_assert_uint_eq(q.orig.sport, v.sport);
		ck_assert_uint_eq(q.orig.dport, v.dport);
		ck_assert_uint_eq(q.orig.tcp_seq, v.tcp_seq);
		ck_assert_uint_eq(q.orig.l3_len, v.l3_len);
		ck_assert(fz_ip_equal(&q.orig.src, &v.src) && fz_ip_equal(&q.orig.dst, &v.dst));
		ck_assert_uint_eq(q.offset, w.l3_len + 8);
	}
}
END_TEST

/* Any TCP or UDP packet: the error says again whose it was. */
START_TEST(a18_4_errors_of_any_packet)
{
	uint8_t buf[ICMP_ERROR_MAX], pkt[1400];
	struct ip_view v, w;
	struct icmp_quote q;
	struct unit_env u;

	unit_env_init(&u, 3);
	for (unsigned i = 0; i < 4000; i++) {
		struct mk m = { .proto = i & 1 ? 6 : 17,
				.v6 = i & 2 ? 1 : 0,
				.payload = fz_rng_below(&u.env, 1000),
				.opt_len = i & 1 ? fz_rng_below(&u.env, 11) * 4 : 0,
				.seed = i };
		m.ip_opt_len = m.v6 ? 0 : fz_rng_below(&u.env, 11) * 4;
		struct fz_pkt p = ip_pkt(pkt, mk_packet(pkt, &m));
		ck_assert_int_eq(ip_parse(&p, &v), IP_OK);
		ip_set_sport(&p, &v, (uint16_t)fz_rng_u32(&u.env));
		ip_set_dport(&p, &v, (uint16_t)fz_rng_u32(&u.env));
		size_t len = icmp_build_error((enum icmp_error)(i % 3), 1200, pkt, &v, buf);
		ck_assert_int_eq(ip_parse_plain(buf, len, &w), IP_OK);
		ck_assert(csum_ok(buf, &w));
		ck_assert_int_eq(icmp_parse_error(buf, &w, &q), 0);
		ck_assert_uint_eq(q.orig.kind, v.kind);
		ck_assert(q.orig.sport == v.sport && q.orig.dport == v.dport);
		ck_assert(fz_ip_equal(&q.orig.src, &v.src) && fz_ip_equal(&q.orig.dst, &v.dst));
	}
}
END_TEST

#define OUTER4(type, code) "4500003800000000 40010000 c0000201 64400001" type code "0000 00000000"
#define OUTER6(len, type, code)                                                                              \
	"60000000" len "3a40 20010db8000000000000000000000009 fd002021111100000000000000000001" type code    \
	"0000 00000000"
#define QUOTE4 "4500001e0000000040110c8e 64400001 0a000001 9c4101bb000a8b32"

static const struct {
	const char *why, *hex;
	int want;
} parse_cases[] = {
	{ "port unreachable", OUTER4("03", "03") QUOTE4, 0 },
	{ "time exceeded", OUTER4("0b", "00") QUOTE4, 0 },
	{ "redirect is no error of a flow", OUTER4("05", "00") QUOTE4, FZ_ERR_NOT_MINE },
	{ "echo", OUTER4("08", "00") QUOTE4, FZ_ERR_NOT_MINE },
	{ "parameter problem", OUTER4("0c", "00") QUOTE4, FZ_ERR_NOT_MINE },
	{ "UDP", QUOTE4 "6869", FZ_ERR_NOT_MINE },
	{ "quoted fragment", OUTER4("03", "03") "4500001e0000200040110c8e 64400001 0a000001 9c4101bb000a8b32",
	  FZ_ERR_WIRE },
	{ "quoted echo request",
	  OUTER4("03", "03") "4500001e0000000040010c8e 64400001 0a000001 0800000000070001", 0 },
	{ "quoted echo reply",
	  OUTER4("03", "03") "4500001e0000000040010c8e 64400001 0a000001 0000000000070001", FZ_ERR_WIRE },
	{ "quoted SCTP", OUTER4("03", "03") "4500001e0000000040840c8e 64400001 0a000001 9c4101bb000a8b32",
	  FZ_ERR_WIRE },
	{ "quoted IPv6", OUTER4("03", "03") "6000000000003a40 000000000000000000000000000000000000000000",
	  FZ_ERR_WIRE },
	{ "unreachable 6",
	  OUTER6("0036", "01", "03") "6000000000061140 fd002021111100000000000000000001"
				     "20010db8000000000000000000000005 1519 0050 0006",
	  0 },
	{ "ports only",
	  OUTER6("0034", "03", "00") "6000000000061140 fd002021111100000000000000000001"
				     "20010db8000000000000000000000005 1519 0050",
	  0 },
	{ "too big",
	  OUTER6("0034", "02", "00") "6000000000061140 fd002021111100000000000000000001"
				     "20010db8000000000000000000000005 1519 0050",
	  0 },
	{ "too big with a code",
	  OUTER6("0034", "02", "01") "6000000000061140 fd002021111100000000000000000001"
				     "20010db8000000000000000000000005 1519 0050",
	  FZ_ERR_NOT_MINE },
	{ "half a port",
	  OUTER6("0033", "03", "00") "6000000000061140 fd002021111100000000000000000001"
				     "20010db8000000000000000000000005 1519 00",
	  FZ_ERR_WIRE },
	{ "parameter problem 6",
	  OUTER6("0034", "04", "00") "6000000000061140 fd002021111100000000000000000001"
				     "20010db8000000000000000000000005 1519 0050",
	  FZ_ERR_NOT_MINE },
	{ "nothing quoted", OUTER6("0008", "01", "00"), FZ_ERR_WIRE },
};

START_TEST(test_parse)
{
	uint8_t buf[256];
	struct ip_view v;
	struct icmp_quote q;

	for (size_t i = 0; i < sizeof(parse_cases) / sizeof(parse_cases[0]); i++) {
		size_t len = unit_hex(buf, sizeof(buf), parse_cases[i].hex);
		ck_assert_msg(ip_parse_plain(buf, len, &v) == IP_OK, "%s", parse_cases[i].why);
		ck_assert_msg(icmp_parse_error(buf, &v, &q) == parse_cases[i].want, "%s", parse_cases[i].why);
	}
}
END_TEST

START_TEST(test_goodbye)
{
	static const char want[] = "600000000008ff00000000000000000000000000000000000000000000000000"
				   "00000000000000000200000000000000";
	uint8_t buf[P2P_HDR_LEN], type;
	const uint8_t *payload;
	size_t len = p2p_build(buf, P2P_GOODBYE, NULL, 0), payload_len;
	struct ip_view v;

	unit_assert_hex(buf, len, want);
	ck_assert_int_eq(ip_parse_plain(buf, len, &v), IP_OK);
	ck_assert(p2p_is_control(&v));
	ck_assert_int_eq(p2p_parse(buf, &v, &type, &payload, &payload_len), 0);
	ck_assert_uint_eq(type, P2P_GOODBYE);
	ck_assert_uint_eq(payload_len, 0);
}
END_TEST

START_TEST(test_control)
{
	static const char json[] =
		"{\"resource\":\"73037362-715d-4a83-a749-f18eadd970e6\",\"domain\":\"db.example.com\","
		"\"status\":\"Active\"}";
	uint8_t buf[FZ_TUNNEL_MTU], type;
	const uint8_t *payload;
	size_t payload_len, len = p2p_build(buf, P2P_DOMAIN_STATUS, json, strlen(json));
	struct ip_view v;

	unit_assert_hex(
		buf, len,
		"600000000067ff000000000000000000000000000000000000000000000000000000000000000000010000000000"
		"00007b227265736f75726365223a2237333033373336322d373135642d346138332d613734392d66313865616464"
		"3937306536222c22646f6d61696e223a2264622e6578616d706c652e636f6d222c22737461747573223a22416374"
		"697665227d");
	ck_assert_int_eq(ip_parse_plain(buf, len, &v), IP_OK);
	ck_assert_int_eq(p2p_parse(buf, &v, &type, &payload, &payload_len), 0);
	ck_assert_uint_eq(type, P2P_DOMAIN_STATUS);
	ck_assert_uint_eq(payload_len, strlen(json));
	ck_assert_mem_eq(payload, json, payload_len);

	/* Reserved bytes and hop limit do not matter, an address does. */
	memset(buf + 41, 0xaa, 7);
	buf[7] = 64;
	ck_assert_int_eq(ip_parse_plain(buf, len, &v), IP_OK);
	ck_assert_int_eq(p2p_parse(buf, &v, &type, &payload, &payload_len), 0);
	buf[39] = 1;
	ck_assert_int_eq(ip_parse_plain(buf, len, &v), IP_OK);
	ck_assert(!p2p_is_control(&v));
	ck_assert_int_eq(p2p_parse(buf, &v, &type, &payload, &payload_len), FZ_ERR_NOT_MINE);

	/* Broken control packets are still control packets. */
	len = p2p_build(buf, P2P_GOODBYE, NULL, 0) - 1;
	buf[5] = 7;
	ck_assert_int_eq(ip_parse_plain(buf, len, &v), IP_OK);
	ck_assert(p2p_is_control(&v));
	ck_assert_int_eq(p2p_parse(buf, &v, &type, &payload, &payload_len), FZ_ERR_WIRE);

	/* The largest. */
	static uint8_t payload_max[P2P_PAYLOAD_MAX];
	len = p2p_build(buf, P2P_ASSIGNED_IPS, payload_max, sizeof(payload_max));
	ck_assert_uint_eq(len, FZ_TUNNEL_MTU);
	ck_assert_int_eq(ip_parse_plain(buf, len, &v), IP_OK);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("icmp");

	unit_case(s, "icmp", test_build, a11_4_sizes, a18_4_errors_of_any_packet, test_parse);
	unit_case(s, "p2p", test_goodbye, test_control);
	return s;
}
