/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "wire/dns_name.h"

static const struct {
	const char *text, *hex; /* hex NULL: refused */
	const char *back; /* NULL: the same text */
} texts[] = {
	{ ".", "00", NULL },
	{ "com", "03636f6d00", NULL },
	{ "db.Example.com", "026462074578616d706c6503636f6d00", NULL },
	{ "com.", "03636f6d00", "com" },
	{ "a\\.b.c", "03612e62016300", NULL },
	{ "a\\032b", "0361206200", "a\\ b" },
	{ "a\\ b", "0361206200", NULL },
	{ "\\\\", "015c00", NULL },
	{ "\\000\\255", "0200ff00", NULL },
	{ "b\303\274cher", "0762c3bc6368657200", "b\\195\\188cher" },
	{ "_sip._tcp", "045f736970045f74637000", NULL },
	{ "", NULL, NULL },
	{ "..", NULL, NULL },
	{ ".a", NULL, NULL },
	{ "a..b", NULL, NULL },
	{ "a\\", NULL, NULL },
	{ "a\\25", NULL, NULL },
	{ "a\\256", NULL, NULL },
	{ "123456789012345678901234567890123456789012345678901234567890123",
	  "3f313233343536373839303132333435363738393031323334353637383930313233343536373839303132333435363738"
	  "393031"
	  "323334353637383930313233"
	  "00",
	  NULL },
	{ "1234567890123456789012345678901234567890123456789012345678901234", NULL, NULL },
};

START_TEST(names_as_text)
{
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		char back[DNS_NAME_STRLEN];
		struct dns_name n;
		int err = dns_name_parse(texts[i].text, &n);
		ck_assert_msg(err == (texts[i].hex ? 0 : FZ_ERR_WIRE), "%s: %d", texts[i].text, err);
		if (err != 0)
			continue;
		unit_assert_hex(n.b, n.len, texts[i].hex);
		ck_assert_str_eq(dns_name_format(&n, back), texts[i].back ? texts[i].back : texts[i].text);
	}
}
END_TEST

START_TEST(names_of_255_octets)
{
	char text[260], back[DNS_NAME_STRLEN];
	struct dns_name n;

	for (size_t i = 0; i < 254; i++)
		text[i] = i % 2 ? '.' : 'a';
	text[253] = '\0'; /* 127 labels of one octet: exactly 255 */
	ck_assert_int_eq(dns_name_parse(text, &n), 0);
	ck_assert_uint_eq(n.len, 255);
	ck_assert_str_eq(dns_name_format(&n, back), text);
	memcpy(text + 253, ".a", 3);
	ck_assert_int_eq(dns_name_parse(text, &n), FZ_ERR_WIRE);
	memcpy(text + 252, "aa", 3);
	ck_assert_int_eq(dns_name_parse(text, &n), FZ_ERR_WIRE);
	/* The longest text: nothing that prints. */
	n.len = 255;
	for (size_t i = 0; i < 4; i++) {
		size_t len = i < 3 ? 63 : 61;
		n.b[i * 64] = (uint8_t)len;
		memset(n.b + i * 64 + 1, 1, len);
	}
	n.b[254] = 0;
	ck_assert_uint_eq(strlen(dns_name_format(&n, back)), 250 * 4 + 3);
	ck_assert_uint_lt(strlen(back), DNS_NAME_STRLEN);
	struct dns_name again;
	ck_assert_int_eq(dns_name_parse(back, &again), 0);
	ck_assert(dns_name_equal(&n, &again));
}
END_TEST

/* Messages of nothing but names; the one at `at` is read. */
static const struct {
	const char *why, *hex;
	size_t at;
	const char *want; /* NULL: refused */
	size_t next;
} wires[] = {
	{ "plain", "0161016200ff", 0, "a.b", 5 },
	{ "root", "00", 0, ".", 1 },
	{ "pointer alone", "016100c000", 3, "a", 5 },
	{ "pointer at the end", "0162000161c000", 3, "a.b", 7 },
	{ "pointer to a pointer", "0163000162c0000161c003", 7, "a.b.c", 11 },
	{ "to itself", "016100c003", 3, NULL, 0 },
	{ "forwards", "c002016100", 0, NULL, 0 },
	{ "to a name that runs into this one", "01610161c00000", 2, NULL, 0 },
	{ "into the name it ends", "0161c000", 0, NULL, 0 },
	{ "two that point at each other", "c002c000", 2, NULL, 0 },
	{ "label type 1", "4061", 0, NULL, 0 },
	{ "label type 2", "8061", 0, NULL, 0 },
	{ "no end", "0161", 0, NULL, 0 },
	{ "half a pointer", "016100c0", 3, NULL, 0 },
	{ "nothing", "", 0, NULL, 0 },
};

START_TEST(names_in_messages)
{
	for (size_t i = 0; i < sizeof(wires) / sizeof(wires[0]); i++) {
		uint8_t msg[64];
		size_t len = unit_hex(msg, sizeof(msg), wires[i].hex);
		struct fz_rd r = { msg + wires[i].at, msg + len, false };
		char text[DNS_NAME_STRLEN];
		struct dns_name n;
		ck_assert_msg(dns_name_read(&r, msg, &n) == (wires[i].want != NULL), "%s", wires[i].why);
		ck_assert_int_eq(r.bad, wires[i].want == NULL);
		if (wires[i].want == NULL)
			continue;
		ck_assert_str_eq(dns_name_format(&n, text), wires[i].want);
		ck_assert_uint_eq((size_t)(r.at - msg), wires[i].next);
	}
}
END_TEST

/* A chain of pointers that would add up to more than a name may have. */
START_TEST(long_names_by_pointers)
{
	uint8_t msg[64 * 5 + 2];
	struct dns_name n;

	for (size_t i = 0; i < 5; i++) {
		msg[i * 64] = 61;
		memset(msg + i * 64 + 1, 'a', 61);
		msg[i * 64 + 62] = i ? 0xc0 : 0;
		msg[i * 64 + 63] = i ? (uint8_t)((i - 1) * 64) : 0;
	}
	for (size_t i = 0; i < 4; i++) { /* the pointer of the last but three stands in one octet */
		struct fz_rd r = { msg + i * 64, msg + sizeof(msg), false };
		ck_assert(dns_name_read(&r, msg, &n));
		ck_assert_uint_eq(n.len, 62 * (i + 1) + 1);
	}
	struct fz_rd r = { msg + 4 * 64, msg + sizeof(msg), false };
	ck_assert(!dns_name_read(&r, msg, &n));
}
END_TEST

START_TEST(names_compare_without_case)
{
	struct dns_name a, b, c, low;

	ck_assert_int_eq(dns_name_parse("Web.CORP.example", &a), 0);
	ck_assert_int_eq(dns_name_parse("wEB.corp.EXAMPLE", &b), 0);
	ck_assert_int_eq(dns_name_parse("web.corp.examplf", &c), 0);
	ck_assert(dns_name_equal(&a, &b));
	ck_assert(!dns_name_equal(&a, &c));
	dns_name_fold(&a, &low);
	unit_assert_hex(low.b, low.len, "0377656204636f7270076578616d706c6500");
	/* Only letters have case: [ and { are different octets. */
	ck_assert_int_eq(dns_name_parse("[", &a), 0);
	ck_assert_int_eq(dns_name_parse("{", &b), 0);
	ck_assert(!dns_name_equal(&a, &b));
	ck_assert_int_eq(dns_name_parse("a.b", &a), 0);
	ck_assert_int_eq(dns_name_parse("a\\.b", &b), 0);
	ck_assert(!dns_name_equal(&a, &b));
}
END_TEST

static const struct {
	const char *name, *ip;
} reverses[] = {
	{ "1.2.3.4.in-addr.arpa", "4.3.2.1" },
	{ "255.0.10.100.in-addr.arpa", "100.10.0.255" },
	{ "0.1.2.3.4.in-addr.arpa", NULL },
	{ "2.3.4.in-addr.arpa", NULL },
	{ "1.2.3.4.ip6.arpa", NULL },
	{ "1.2.3.4.in-addr.carpa", NULL },
	{ "1.2.3.4.IN-ADDR.arpa", NULL },
	{ "256.2.3.4.in-addr.arpa", NULL },
	{ "01.2.3.4.in-addr.arpa", NULL },
	{ "1a.2.3.4.in-addr.arpa", NULL },
	{ "1.2.3.4.in-addr.arpa.x", NULL },
	{ "in-addr.arpa", NULL },
	{ ".", NULL },
	{ "b.a.9.8.7.6.5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa", "2001:db8::567:89ab" },
	{ "B.A.9.8.7.6.5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa", "2001:db8::567:89ab" },
	{ "3.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.1.1.1.1.1.2.0.2.0.0.d.f.ip6.arpa",
	  "fd00:2021:1111:8000::3" },
	{ "g.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.1.1.1.1.1.2.0.2.0.0.d.f.ip6.arpa", NULL },
	{ "0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.1.1.1.1.1.2.0.2.0.0.d.f.ip6.arpa", NULL },
	{ "0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.1.1.1.1.1.2.0.2.0.0.d.f.ip6.Arpa", NULL },
	{ "30.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.1.1.1.1.1.2.0.2.0.0.d.f.ip6.arpa", NULL },
};

START_TEST(a6_19_reverse_names)
{
	for (size_t i = 0; i < sizeof(reverses) / sizeof(reverses[0]); i++) {
		struct dns_name n, back;
		char text[FZ_IP_STRLEN];
		struct fz_ip ip;
		ck_assert_int_eq(dns_name_parse(reverses[i].name, &n), 0);
		ck_assert_msg(dns_name_to_ip(&n, &ip) == (reverses[i].ip != NULL), "%s", reverses[i].name);
		if (reverses[i].ip == NULL)
			continue;
		ck_assert_str_eq(fz_ip_format(&ip, text), reverses[i].ip);
		dns_name_from_ip(&ip, &back);
		ck_assert(dns_name_equal(&n, &back));
	}
}
END_TEST

START_TEST(a6_19_reverse_of_every_octet)
{
	for (unsigned v = 0; v < 256; v++) {
		struct fz_ip ip = { .family = FZ_FAMILY_INET,
				    .b = { (uint8_t)v, 9, 99, (uint8_t)(255 - v) } },
			     got;
		struct dns_name n;
		dns_name_from_ip(&ip, &n);
		ck_assert(dns_name_to_ip(&n, &got));
		ck_assert(fz_ip_equal(&ip, &got));
	}
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("dns_name");

	unit_case(s, "text", names_as_text, names_of_255_octets);
	unit_case(s, "wire", names_in_messages, long_names_by_pointers, names_compare_without_case);
	unit_case(s, "reverse", a6_19_reverse_names, a6_19_reverse_of_every_octet);
	return s;
}
