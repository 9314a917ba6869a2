/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "base/rng.h"
#include "base/text.h"
#include "base/wr.h"
#include "dns_rig.h"
#include "wire/dns.h"

#define HEAD "1234010000010000"
#define DB "026462076578616d706c6503636f6d00"

static const struct {
	const char *why, *hex;
	bool query, reply; /* accepted as such */
} messages[] = {
	{ "a query", "123401000001000000000000" DB "00010001", true, false },
	{ "bytes behind it", "123401000001000000000000" DB "00010001ffff", true, false },
	{ "other class and opcode", "1234290000010000000000000161000000fc00ff", true, false },
	{ "records announced that are not there", "1234010000010000000500050161000001000100", true, false },
	{ "the root", "1234010000010000000000000000020001", true, false },
	{ "a reply", "123481800001000000000000" DB "00010001", false, true },
	{ "a reply without question", "123481810000000000000000", false, true },
	{ "a reply with an answer", "123481800001000100000000" DB "00010001c00c000100010000003c000401020304",
	  false, true },
	{ "a query with an answer", "123401000001000100000000" DB "00010001c00c000100010000003c000401020304",
	  true, false },
	{ "no bytes", "", false, false },
	{ "11 bytes", "1234010000010000000000", false, false },
	{ "no question", "123401000000000000000000", false, false },
	{ "two questions", "1234010000020000000000000161000001000101610000010001", false, false },
	{ "two questions in a reply", "1234810000020000000000000161000001000101610000010001", false, false },
	{ "an answer announced", "123401000001000100000000" DB "00010001", false, false },
	{ "an answer announced, in a reply", "123481800001000100000000" DB "00010001", false, false },
	{ "a pointer in the question", "123401000001000000000000c00c00010001", false, false },
	{ "a pointer to the header", "123401000001000000000000c00000010001", false, false },
	{ "a label and a pointer to the header", "1234010000010000000000000161c00a00010001", false, false },
	{ "a label of 64",
	  "12340100000100000000000040"
	  "61616161616161616161616161616161616161616161616161616161616161616161616161616161616161"
	  "616161616161616161616161616161616161616161"
	  "0000010001",
	  false, false },
	{ "data longer than the message",
	  "123481800001000100000000" DB "00010001c00c000100010000003c000501020304", false, false },
	{ "an answer whose owner loops",
	  "123481800001000100000000" DB "00010001c020000100010000003c000401020304", false, false },
};

START_TEST(messages_accepted)
{
	for (size_t i = 0; i < sizeof(messages) / sizeof(messages[0]); i++) {
		uint8_t buf[512];
		size_t len = unit_hex(buf, sizeof(buf), messages[i].hex);
		struct dns_msg m;
		ck_assert_msg((dns_parse_query(buf, len, &m) == 0) == messages[i].query, "query: %s",
			      messages[i].why);
		ck_assert_msg((dns_parse_reply(buf, len, &m) == 0) == messages[i].reply, "reply: %s",
			      messages[i].why);
	}
}
END_TEST

/* Answers to www.example.org: a CNAME, an address, and an OPT record behind. */
static size_t sample(uint8_t *buf)
{
	size_t len = rig_message(buf, 1, DNS_QR | DNS_RD | DNS_RA, "www.example.org", DNS_A);

	len = rig_add_answer(buf, len, DNS_CNAME, 60, "\3cdn\300\020", 6); /* cdn.example.org */
	len = rig_add_answer(buf, len, DNS_A, 120, "\1\2\3\4", 4);
	return rig_add_opt(buf, len, 1232, true);
}

START_TEST(answers_in_order)
{
	uint8_t buf[512];
	size_t len = sample(buf), at;
	struct dns_record rr;
	struct dns_msg m;
	char text[DNS_NAME_STRLEN];

	ck_assert_int_eq(dns_parse_reply(buf, len, &m), 0);
	ck_assert_uint_eq(m.id, 1);
	ck_assert_str_eq(dns_name_format(&m.name, text), "www.example.org");
	ck_assert_uint_eq(m.type, DNS_A);
	ck_assert_uint_eq(m.answers_end, len - 11);
	at = m.answers_at;
	ck_assert(dns_next_answer(&m, &at, &rr));
	ck_assert_uint_eq(rr.type, DNS_CNAME);
	ck_assert_uint_eq(rr.ttl, 60);
	ck_assert_uint_eq(fz_get_be32(buf + rr.ttl_at), 60);
	ck_assert(dns_next_answer(&m, &at, &rr));
	ck_assert_uint_eq(rr.type, DNS_A);
	unit_assert_hex(buf + rr.data_at, rr.data_len, "01020304");
	ck_assert(!dns_next_answer(&m, &at, &rr));
	ck_assert_uint_eq(dns_edns(&m).udp_size, 1232);
	ck_assert(dns_edns(&m).dnssec_ok);
}
END_TEST

/* Whatever is accepted of a message that was cut stays inside of what is left. */
START_TEST(cut_at_every_length)
{
	uint8_t whole[512];
	size_t len = sample(whole);

	for (size_t cut = 0; cut <= len; cut++) {
		uint8_t *buf = malloc(cut ? cut : 1); /* its own block: a sanitizer sees what reads on */
		struct dns_msg m;
		memcpy(buf, whole, cut);
		if (dns_parse_reply(buf, cut, &m) == 0) {
			ck_assert_uint_ge(cut, len - 11);
			ck_assert_uint_eq(dns_edns(&m).udp_size, cut == len ? 1232 : 0);
		} else {
			ck_assert_uint_lt(cut, len - 11);
		}
		ck_assert_uint_le(dns_truncate(buf, cut, 12), cut);
		free(buf);
	}
}
END_TEST

/* As above with damage: nothing but the result may differ. */
START_TEST(random_damage)
{
	struct unit_env u;
	uint8_t whole[512];
	size_t len = sample(whole);

	unit_env_init(&u, 7);
	for (int i = 0; i < 20000; i++) {
		uint8_t buf[512];
		struct dns_record rr;
		struct dns_msg m;
		memcpy(buf, whole, len);
		for (uint32_t k = fz_rng_below(&u.env, 4); k-- > 0;)
			buf[2 + fz_rng_below(&u.env, (uint32_t)len - 2)] = (uint8_t)fz_rng_u32(&u.env);
		if (dns_parse_reply(buf, len, &m) != 0)
			continue;
		size_t at = m.answers_at, n = 0;
		while (dns_next_answer(&m, &at, &rr)) {
			ck_assert_uint_le(rr.data_at + rr.data_len, len);
			n++;
		}
		ck_assert_uint_eq(n, m.answers);
		ck_assert_uint_eq(at, m.answers_end);
		(void)dns_edns(&m);
	}
}
END_TEST

static const struct {
	const char *why;
	uint16_t udp_size, want;
	size_t cut;
} opts[] = {
	{ "a size", 4096, 4096, 0 },
	{ "nonsense is raised", 0, 512, 0 },
	{ "the largest", 65535, 65535, 0 },
	{ "one byte short", 4096, 0, 1 },
	{ "none", 4096, 0, 11 },
};

START_TEST(sizes_of_edns)
{
	for (size_t i = 0; i < sizeof(opts) / sizeof(opts[0]); i++) {
		uint8_t buf[512];
		size_t len = rig_message(buf, 1, DNS_RD, "a.example", DNS_A);
		struct dns_msg m;
		len = rig_add_opt(buf, len, opts[i].udp_size, false);
		ck_assert_int_eq(dns_parse_query(buf, len - opts[i].cut, &m), 0);
		ck_assert_msg(dns_edns(&m).udp_size == opts[i].want, "%s", opts[i].why);
		ck_assert(!dns_edns(&m).dnssec_ok);
	}
}
END_TEST

START_TEST(who_answers_what)
{
	uint8_t qb[512], rb[512];
	struct dns_msg q, r;
	size_t len = rig_message(qb, 1, DNS_RD, "a.example", DNS_A);

	ck_assert_int_eq(dns_parse_query(qb, len, &q), 0);
	static const struct {
		const char *name;
		unsigned type;
		bool want;
	} rows[] = { { "a.example", DNS_A, true },
		     { "A.Example", DNS_A, true },
		     { "b.example", DNS_A, false },
		     { "a.example", DNS_AAAA, false } };
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		len = rig_message(rb, 2, DNS_QR, rows[i].name, rows[i].type);
		ck_assert_int_eq(dns_parse_reply(rb, len, &r), 0);
		ck_assert_int_eq(dns_answers(&r, &q), rows[i].want);
	}
	rb[len - 1] = 3; /* class */
	ck_assert_int_eq(dns_parse_reply(rb, len, &r), 0);
	ck_assert(!dns_answers(&r, &q));
	/* Without a question only an error can be meant. */
	fz_put_be16(rb + 4, 0);
	ck_assert_int_eq(dns_parse_reply(rb, DNS_HEADER_LEN, &r), 0);
	ck_assert(!dns_answers(&r, &q));
	rb[3] |= DNS_FORMERR;
	ck_assert_int_eq(dns_parse_reply(rb, DNS_HEADER_LEN, &r), 0);
	ck_assert(dns_answers(&r, &q));
}
END_TEST

/* ---- our own answers ---- */

static const struct {
	uint16_t flags;
	enum dns_rcode rcode;
	uint16_t want;
} flag_rows[] = {
	{ DNS_RD, DNS_SERVFAIL, 0x8102 },
	{ DNS_RD, DNS_NXDOMAIN, 0x8103 },
	{ 0, DNS_NOERROR, 0x8000 },
	{ DNS_AA | DNS_TC | DNS_RA | DNS_AD | DNS_CD | 0x40 | DNS_REFUSED, DNS_NOERROR, 0x8000 },
	{ 0x2800, DNS_NOERROR, 0xa800 }, /* the opcode is kept: UPDATE */
};

START_TEST(flags_of_answers)
{
	for (size_t i = 0; i < sizeof(flag_rows) / sizeof(flag_rows[0]); i++) {
		uint8_t qb[512], buf[512];
		size_t len = rig_message(qb, 0xbeef, flag_rows[i].flags, "a.Example", DNS_A);
		struct dns_msg q, m;
		ck_assert_int_eq(dns_parse_query(qb, len, &q), 0);
		len = dns_reply_empty(&q, flag_rows[i].rcode, buf, sizeof(buf));
		ck_assert_int_eq(dns_parse_reply(buf, len, &m), 0);
		ck_assert_uint_eq(m.id, 0xbeef);
		ck_assert_uint_eq(m.flags, flag_rows[i].want);
		ck_assert_mem_eq(buf + DNS_HEADER_LEN, qb + DNS_HEADER_LEN, len - DNS_HEADER_LEN);
	}
}
END_TEST

/* A long name is repeated as long as it fits, then compressed. */
START_TEST(answers_for_long_names)
{
	char name[260];
	uint8_t qb[512], buf[DNS_MESSAGE_MAX];
	struct fz_ip ips[4];
	struct dns_msg q, m;
	size_t len, full;

	for (size_t i = 0; i < 253; i++)
		name[i] = i % 2 ? '.' : 'n';
	name[253] = '\0';
	len = rig_message(qb, 1, DNS_RD, name, DNS_A);
	ck_assert_int_eq(dns_parse_query(qb, len, &q), 0);
	for (uint8_t i = 0; i < 4; i++) {
		ips[i] = rig_ip("100.96.0.1");
		ips[i].b[3] = i;
	}
	full = len + 4 * (255 + 14);
	ck_assert_uint_eq(dns_reply_ips(&q, ips, 4, 1, buf, full), full);
	ck_assert_int_eq(dns_parse_reply(buf, full, &m), 0);
	ck_assert_uint_eq(m.answers, 4);
	len = dns_reply_ips(&q, ips, 4, 1, buf, full - 1);
	ck_assert_uint_eq(len, q.answers_end + 4 * 16);
	ck_assert_int_eq(dns_parse_reply(buf, len, &m), 0);
	ck_assert_uint_eq(m.answers, 4);
	ck_assert_uint_eq(m.flags & DNS_TC, 0);
	ck_assert_uint_eq(dns_reply_ips(&q, ips, 4, 1, buf, len), len);
	ck_assert_uint_eq(dns_reply_ips(&q, ips, 4, 1, buf, len - 1), q.answers_end); /* not even so */
	ck_assert_int_eq(dns_parse_reply(buf, q.answers_end, &m), 0);
	ck_assert_uint_eq(m.flags & DNS_TC, DNS_TC);
	ck_assert_uint_eq(m.answers, 0);
}
END_TEST

START_TEST(pointer_answer_to_a_long_name)
{
	uint8_t qb[512], buf[DNS_UDP_MIN];
	struct dns_name target;
	struct dns_msg q, m;
	struct dns_record rr;
	char name[260];
	size_t len, at;

	for (size_t i = 0; i < 253; i++)
		name[i] = i % 2 ? '.' : 'n';
	name[253] = '\0';
	ck_assert_int_eq(dns_name_parse(name, &target), 0);
	len = rig_message(qb, 1, DNS_RD,
			  "3.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.1.1.1.1.1.2.0.2.0.0.d.f.ip6.arpa",
			  DNS_PTR);
	ck_assert_int_eq(dns_parse_query(qb, len, &q), 0);
	len = dns_reply_ptr(&q, &target, 1, buf, sizeof(buf));
	ck_assert_int_eq(dns_parse_reply(buf, len, &m), 0);
	ck_assert_uint_eq(m.answers, 1);
	at = m.answers_at;
	ck_assert(dns_next_answer(&m, &at, &rr));
	ck_assert_uint_eq(rr.data_len, 255);
	ck_assert_mem_eq(buf + rr.data_at, target.b, 255);
}
END_TEST

START_TEST(a7_14_truncated)
{
	static uint8_t buf[DNS_MESSAGE_MAX];
	size_t len = rig_message(buf, 1, DNS_QR | DNS_AA | DNS_RD | DNS_RA, "example.com", DNS_A);
	struct dns_msg m;

	for (unsigned i = 0; i < 1000; i++)
		len = rig_add_answer(buf, len, DNS_A, 60, "\1\2\3\4", 4);
	len = rig_add_opt(buf, len, 1232, false);
	ck_assert_uint_eq(dns_truncate(buf, len, len), len);
	len = dns_truncate(buf, len, 1000);
	ck_assert_uint_eq(len, 29);
	ck_assert_int_eq(dns_parse_reply(buf, len, &m), 0);
	ck_assert_uint_eq(m.flags, DNS_QR | DNS_AA | DNS_TC | DNS_RD | DNS_RA); /* the server's own stay */
	ck_assert_uint_eq(m.answers | m.authorities | m.additionals, 0);
	unit_assert_hex(buf + 4, 8, "0001000000000000");
}
END_TEST

/* The text that DNS over HTTPS puts into its URL, from the same message with id 0. */
START_TEST(a7_9_messages_for_https)
{
	static const struct {
		const char *name, *want;
	} rows[] = { { "www.example.com", "AAABAAABAAAAAAAAA3d3dwdleGFtcGxlA2NvbQAAAQAB" },
		     { "db.example.com", "AAABAAABAAAAAAAAAmRiB2V4YW1wbGUDY29tAAABAAE" } };
	for (size_t i = 0; i < 2; i++) {
		uint8_t buf[512];
		char text[128];
		size_t len = rig_message(buf, 0, DNS_RD, rows[i].name, DNS_A);
		fz_b64_encode_nopad(text, buf, len);
		ck_assert_str_eq(text, rows[i].want);
	}
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("dns");

	unit_case(s, "reading", messages_accepted, answers_in_order, cut_at_every_length, random_damage,
		  sizes_of_edns, who_answers_what);
	unit_case(s, "writing", flags_of_answers, answers_for_long_names, pointer_answer_to_a_long_name,
		  a7_14_truncated, a7_9_messages_for_https);
	return s;
}
