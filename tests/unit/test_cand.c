/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <stdio.h>

#include "wire/cand.h"

#define N(a) (sizeof(a) / sizeof((a)[0]))

static struct fz_addr addr(const char *text)
{
	struct fz_addr a = { 0 };

	if (text != NULL && text[0] != '\0')
		ck_assert_int_eq(fz_addr_parse(text, &a), 0);
	return a;
}

/* Texts that the peers produced (recorded) and variants that must be understood. */
static const struct {
	const char *text;
	enum cand_kind kind;
	uint32_t priority;
	const char *addr, *base, *ufrag;
} ice_good[] = {
	{ "candidate:fffeff7e40add15d75b87ae5 1 udp 2130706175 192.168.2.2 52625 typ host ufrag qkpb",
	  CAND_HOST, 2130706175, "192.168.2.2:52625", "", "qkpb" },
	{ "candidate:fffe7f642e701e9414fd93a1 1 udp 1686109951 203.0.113.31 52625 typ srflx raddr 0.0.0.0 "
	  "rport 0 "
	  "ufrag qkpb",
	  CAND_SRFLX, 1686109951, "203.0.113.31:52625", "0.0.0.0:0", "qkpb" },
	{ "candidate:fffe3f02aaea2f93bc2b62e9 1 udp 37748479 203.0.113.101 59439 typ relay raddr 0.0.0.0 "
	  "rport 0 "
	  "ufrag qkpb",
	  CAND_RELAY, 37748479, "203.0.113.101:59439", "0.0.0.0:0", "qkpb" },
	{ "candidate:ff173c0273f3261ad5c56d01 1 udp 37492735 2001:db8:113::101 59439 typ relay raddr :: "
	  "rport 0 "
	  "ufrag qkpb",
	  CAND_RELAY, 37492735, "[2001:db8:113::101]:59439", "[::]:0", "qkpb" },
	{ "candidate:fffeff7ed28b6001bfeaf2c 1 udp 2130706175 192.168.1.2 52625 typ host ufrag v5mj",
	  CAND_HOST, 2130706175, "192.168.1.2:52625", "", "v5mj" },
	{ "candidate:ff00ff02ab 1 udp 50331391 203.0.113.101 59439 typ relay raddr 0.0.0.0 rport 0",
	  CAND_RELAY, 50331391, "203.0.113.101:59439", "0.0.0.0:0", "" },
	{ "candidate:x 1 UDP 1 10.0.0.1 1 typ prflx", CAND_PRFLX, 1, "10.0.0.1:1", "", "" },
	{ "candidate:x\t1  Udp 1 10.0.0.1 1 typ host  \n", CAND_HOST, 1, "10.0.0.1:1", "", "" },
	{ "candidate:x 1 udp 1 10.0.0.1 1 typ srflx raddr 10.0.0.2 rport 7 generation 0 network-cost 999 "
	  "ufrag a",
	  CAND_SRFLX, 1, "10.0.0.1:1", "10.0.0.2:7", "a" },
	{ "candidate:x 1 udp 4294967295 10.0.0.1 65535 typ host generation", CAND_HOST, 4294967295u,
	  "10.0.0.1:65535", "", "" },
};

static const char *const ice_bad[] = {
	"",
	"candidate:",
	"candidate:x",
	"candidate: 1 udp 1 10.0.0.1 1 typ host",
	"a=candidate:x 1 udp 1 10.0.0.1 1 typ host",
	"Candidate:x 1 udp 1 10.0.0.1 1 typ host",
	" candidate:x 1 udp 1 10.0.0.1 1 typ host",
	"candidate:x 1 sctp 1 10.0.0.1 1 typ host",
	"candidate:x one udp 1 10.0.0.1 1 typ host",
	"candidate:x 65536 udp 1 10.0.0.1 1 typ host",
	"candidate:x 1 udp 4294967296 10.0.0.1 1 typ host",
	"candidate:x 1 udp 99999999999999999999999999999 10.0.0.1 1 typ host",
	"candidate:x 1 udp -1 10.0.0.1 1 typ host",
	"candidate:x 1 udp 1.5 10.0.0.1 1 typ host",
	"candidate:x 1 udp 1 10.0.0 1 typ host",
	"candidate:x 1 udp 1 host.example 1 typ host",
	"candidate:x 1 udp 1 [::1] 1 typ host",
	"candidate:x 1 udp 1 fe80::1%eth0 1 typ host",
	"candidate:x 1 udp 1 10.0.0.1 65536 typ host",
	"candidate:x 1 udp 1 10.0.0.1 1",
	"candidate:x 1 udp 1 10.0.0.1 1 typ",
	"candidate:x 1 udp 1 10.0.0.1 1 type host",
	"candidate:x 1 udp 1 10.0.0.1 1 typ Host",
	"candidate:x 1 udp 1 10.0.0.1 1 typ reflexive",
	"candidate:x 1 udp 1 10.0.0.1 1 typ srflx raddr",
	"candidate:x 1 udp 1 10.0.0.1 1 typ srflx raddr x rport 0",
	"candidate:x 1 udp 1 10.0.0.1 1 typ srflx raddr 0.0.0.0 rport x",
	"candidate:x 1 udp 1 10.0.0.1 1 typ host ufrag",
};

START_TEST(ice_parse)
{
	struct cand c;
	struct cand_extra x;

	for (size_t i = 0; i < N(ice_good); i++) {
		ck_assert_msg(cand_parse_ice(ice_good[i].text, &c, &x) == 0, "%s", ice_good[i].text);
		struct fz_addr a = addr(ice_good[i].addr), b = addr(ice_good[i].base);
		ck_assert_int_eq(c.kind, ice_good[i].kind);
		ck_assert_uint_eq(c.priority, ice_good[i].priority);
		ck_assert(fz_addr_equal(&c.addr, &a));
		ck_assert(fz_addr_equal(&c.base, &b));
		ck_assert_str_eq(x.ufrag, ice_good[i].ufrag);
		ck_assert(x.is_udp);
		ck_assert_uint_eq(x.component, 1);
	}
	for (size_t i = 0; i < N(ice_bad); i++) {
		memset(&c, 0x5a, sizeof(c));
		ck_assert_msg(cand_parse_ice(ice_bad[i], &c, &x) == FZ_ERR_WIRE, "%s", ice_bad[i]);
		ck_assert_msg(((uint8_t *)&c)[0] == 0x5a, "touched its output: %s", ice_bad[i]);
	}
	ck_assert_int_eq(cand_parse_ice("candidate:x 2 tcp 1 10.0.0.1 1 typ host tcptype active", &c, &x), 0);
	ck_assert(!x.is_udp);
	ck_assert_uint_eq(x.component, 2);
}
END_TEST

START_TEST(ice_ufrag_length)
{
	char text[CAND_TEXT_MAX + 300];
	struct cand c;
	struct cand_extra x;

	for (size_t len = 254; len < 260; len++) {
		int at = snprintf(text, sizeof(text), "candidate:x 1 udp 1 10.0.0.1 1 typ host ufrag ");
		memset(text + at, 'u', len);
		text[(size_t)at + len] = '\0';
		ck_assert_int_eq(cand_parse_ice(text, &c, &x), len < CAND_UFRAG_MAX ? 0 : FZ_ERR_WIRE);
	}
}
END_TEST

/* Every prefix of every text: accepted or refused, never more than the text read (the sanitizers watch). */
START_TEST(cut_everywhere)
{
	for (size_t i = 0; i < N(ice_good); i++)
		for (size_t len = 0; len <= strlen(ice_good[i].text); len++) {
			char *cut = strndup(ice_good[i].text, len);
			struct cand c;
			struct cand_extra x;
			uint32_t priority;
			int ice = cand_parse_ice(cut, &c, &x);
			(void)cand_parse_plain(cut, &c);
			ck_assert(ice != 0 || cand_text_priority(cut, &priority) == 0);
			free(cut);
		}
}
END_TEST

static void ice_format_is(const char *a, const char *base, enum cand_kind kind, uint32_t priority,
			  const char *ufrag, const char *want_tail)
{
	struct cand c = { .kind = kind, .priority = priority, .addr = addr(a), .base = addr(base) }, back;
	struct cand_extra x;
	char buf[CAND_TEXT_MAX], again[CAND_TEXT_MAX];
	int n = cand_format_ice(&c, ufrag, buf, sizeof(buf));

	ck_assert_int_gt(n, 0);
	ck_assert_uint_eq(strlen(buf), n);
	ck_assert_int_eq(strncmp(buf, "candidate:", 10), 0);
	size_t hex = strspn(buf + 10, "0123456789abcdef");
	ck_assert_uint_eq(hex, 16);
	ck_assert_str_eq(buf + 10 + hex, want_tail);
	ck_assert_int_eq(cand_parse_ice(buf, &back, &x), 0);
	ck_assert_int_eq(back.kind, kind);
	ck_assert(fz_addr_equal(&back.addr, &c.addr));
	ck_assert_str_eq(x.ufrag, ufrag ? ufrag : "");
	for (int cap = 0; cap <= n; cap++)
		ck_assert_int_eq(cand_format_ice(&c, ufrag, again, (size_t)cap), FZ_ERR_NOSPACE);
	ck_assert_int_eq(cand_format_ice(&c, ufrag, again, (size_t)n + 1), n);
	ck_assert_str_eq(again, buf);
}

START_TEST(ice_format)
{
	ice_format_is("192.168.1.5:52625", "192.168.1.5:52625", CAND_HOST, 2130706175, "resc",
		      " 1 udp 2130706175 192.168.1.5 52625 typ host ufrag resc");
	ice_format_is("203.0.113.7:40000", "192.168.1.5:52625", CAND_SRFLX, 1686109951, "resc",
		      " 1 udp 1686109951 203.0.113.7 40000 typ srflx raddr 0.0.0.0 rport 0 ufrag resc");
	ice_format_is("203.0.113.101:59439", "192.168.1.5:52625", CAND_RELAY, 37748479, NULL,
		      " 1 udp 37748479 203.0.113.101 59439 typ relay raddr 0.0.0.0 rport 0");
	ice_format_is("[2001:DB8:113::101]:59439", "192.168.1.5:52625", CAND_RELAY, 37492735, "q",
		      " 1 udp 37492735 2001:db8:113::101 59439 typ relay raddr :: rport 0 ufrag q");
}
END_TEST

START_TEST(ice_foundation_is_equal_for_all_ports)
{
	struct cand a = { .kind = CAND_SRFLX, .addr = addr("1.2.3.4:5"), .base = addr("10.0.0.1:1") };
	struct cand b = { .kind = CAND_SRFLX, .addr = addr("1.2.3.4:6"), .base = addr("10.0.0.1:2") };
	struct cand other = { .kind = CAND_SRFLX, .addr = addr("1.2.3.4:6"), .base = addr("10.0.0.2:2") };
	char ta[CAND_TEXT_MAX], tb[CAND_TEXT_MAX], to[CAND_TEXT_MAX];

	ck_assert_int_gt(cand_format_ice(&a, NULL, ta, sizeof(ta)), 0);
	ck_assert_int_gt(cand_format_ice(&b, NULL, tb, sizeof(tb)), 0);
	ck_assert_int_gt(cand_format_ice(&other, NULL, to, sizeof(to)), 0);
	ck_assert_int_eq(strncmp(ta, tb, 26), 0);
	ck_assert_int_ne(strncmp(ta, to, 26), 0);
}
END_TEST

/* Recorded and computed texts without ICE: parsed and written again byte for byte. */
static const char *const plain_good[] = {
	"candidate:4488538481769434819 1 udp 2130706431 192.168.1.5 52625 typ host",
	"candidate:12382007605235884084 1 udp 2130706431 2001:db8::5 52625 typ host",
	"candidate:17143847795575128535 1 udp 1694498815 203.0.113.7 40000 typ srflx raddr 192.168.1.5 rport "
	"52625",
	"candidate:12020337547442846171 1 udp 16777215 198.51.100.10 50000 typ relay raddr 192.168.1.5 rport "
	"52625",
	"candidate:12331328239845644304 1 udp 16777215 2001:db8::10 50000 typ relay raddr 192.168.1.5 rport "
	"52625",
};

static const struct {
	const char *text;
	int want;
} plain_bad[] = {
	{ "candidate:1 1 udp 1 10.0.0.1 1 typ srflx", FZ_ERR_WIRE },
	{ "candidate:1 1 udp 1 10.0.0.1 1 typ relay", FZ_ERR_WIRE },
	{ "candidate:1 1 udp 1 10.0.0.1 1 typ srflx raddr 10.0.0.1", FZ_ERR_WIRE },
	{ "candidate:1 1 udp 1 10.0.0.1 1 typ srflx rport 1", FZ_ERR_WIRE },
	{ "candidate:1 1 udp 1 10.0.0.1 1 typ srflx raddr x rport 1", FZ_ERR_WIRE },
	{ "candidate:1 1 udp 1 10.0.0.1 1 typ srflx raddr ::1 rport 1", FZ_ERR_WIRE },
	{ "candidate:1 1 udp 1 10.0.0.1 1 typ prflx", FZ_ERR_UNSUPPORTED },
	{ "candidate:1 1 udp 1 10.0.0.1 1 typ", FZ_ERR_WIRE },
	{ "candidate:1 1 tcp 1 10.0.0.1 1 typ host", FZ_ERR_WIRE },
	{ "candidate:1 1 udp x 10.0.0.1 1 typ host", FZ_ERR_WIRE },
	{ "candidate:1 1 udp 1 10.0.0.256 1 typ host", FZ_ERR_WIRE },
	{ "candidate:1 1 udp 1 10.0.0.1 70000 typ host", FZ_ERR_WIRE },
	{ "candidate:1 1 udp 1 10.0.0.1 1 host typ", FZ_ERR_WIRE },
	{ "1 1 udp 1 10.0.0.1 1 typ host", FZ_ERR_WIRE },
};

START_TEST(plain_codec)
{
	char buf[CAND_TEXT_MAX];
	struct cand c;

	for (size_t i = 0; i < N(plain_good); i++) {
		ck_assert_msg(cand_parse_plain(plain_good[i], &c) == 0, "%s", plain_good[i]);
		int n = cand_format_plain(&c, buf, sizeof(buf));
		ck_assert_str_eq(buf, plain_good[i]);
		ck_assert_int_eq(cand_format_plain(&c, buf, (size_t)n), FZ_ERR_NOSPACE);
	}
	for (size_t i = 0; i < N(plain_bad); i++)
		ck_assert_msg(cand_parse_plain(plain_bad[i].text, &c) == plain_bad[i].want, "%s",
			      plain_bad[i].text);
	ck_assert_int_eq(cand_parse_plain("candidate:1 x UDP 5 10.0.0.1 1 typ host raddr x", &c), 0);
	ck_assert_int_eq(
		cand_parse_plain("candidate:1 1 udp 5 10.0.0.1 1 typ relay foo bar raddr ::1 rport 0", &c),
		0);
}
END_TEST

/* Recorded texts: read in their own codec; those that say all about the candidate are written again byte for
 * byte. */
START_TEST(recorded_texts)
{
	FILE *f = fopen(TEST_VECTORS "/candidates.txt", "r");
	char line[CAND_TEXT_MAX], buf[CAND_TEXT_MAX];
	size_t n_ice = 0, n_plain = 0;
	struct cand_extra x;
	struct cand c;

	ck_assert_ptr_nonnull(f);
	while (fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		if (strncmp(line, "ice ", 4) == 0) {
			ck_assert_msg(cand_parse_ice(line + 4, &c, &x) == 0, "%s", line);
			ck_assert_int_gt(cand_format_ice(&c, x.ufrag, buf, sizeof(buf)), 0);
			/* All but the foundation, which is a matter of taste. */
			ck_assert_str_eq(strchr(buf, ' '), strchr(line + 4, ' '));
			n_ice++;
		} else if (strncmp(line, "plain ", 6) == 0) {
			ck_assert_msg(cand_parse_plain(line + 6, &c) == 0, "%s", line);
			ck_assert_int_gt(cand_format_plain(&c, buf, sizeof(buf)), 0);
			ck_assert_str_eq(buf, line + 6);
			n_plain++;
		}
	}
	fclose(f);
	ck_assert_uint_eq(n_ice, 24);
	ck_assert_uint_eq(n_plain, 14);
}
END_TEST

START_TEST(sending_order)
{
	static const char *const sorted[] = {
		"candidate:a 1 udp 2130706431 10.0.0.1 1 typ host",
		"candidate:a 1 udp 1694498815 10.0.0.1 1 typ srflx",
		"candidate:a 1 udp 16777215 10.0.0.1 1 typ relay",
		"candidate:b 1 udp 16777215 10.0.0.1 1 typ relay",
		"candidate:c 1 udp 9",
		"garbage",
	};

	for (size_t i = 0; i < N(sorted); i++)
		for (size_t j = 0; j < N(sorted); j++) {
			int got = cand_text_compare(sorted[i], sorted[j]);
			ck_assert_msg((got < 0) == (i < j) && (got > 0) == (i > j), "%zu against %zu", i, j);
		}
}
END_TEST

START_TEST(usable_addresses)
{
	static const char *const good[] = { "10.0.0.1:1",  "127.0.0.1:1", "192.168.0.255:9",
					    "[::1]:1",     "[fe80::1]:1", "[2001:db8::1]:65535",
					    "100.64.0.1:5" };
	static const char *const bad[] = { "0.0.0.0:1",   "255.255.255.255:1", "224.0.0.1:1",
					   "239.1.1.1:1", "169.254.0.1:1",     "[::]:1",
					   "[ff02::1]:1", "10.0.0.1:0" };
	const struct fz_addr unset = { 0 };

	for (size_t i = 0; i < N(good); i++) {
		struct fz_addr a = addr(good[i]);
		ck_assert_msg(cand_addr_usable(&a), "%s", good[i]);
	}
	for (size_t i = 0; i < N(bad); i++) {
		struct fz_addr a = addr(bad[i]);
		ck_assert_msg(!cand_addr_usable(&a), "%s", bad[i]);
	}
	ck_assert(!cand_addr_usable(&unset));
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("cand");

	unit_case(s, "ice", ice_parse, ice_ufrag_length, ice_format, ice_foundation_is_equal_for_all_ports);
	unit_case(s, "plain", plain_codec);
	unit_case(s, "all", cut_everywhere, recorded_texts, sending_order, usable_addresses);
	return s;
}
