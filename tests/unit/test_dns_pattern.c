/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <stdio.h>

#include "base/rng.h"
#include "core/dns_pattern.h"

static struct dns_name name_of(const char *text)
{
	struct dns_name n;

	ck_assert_msg(dns_name_parse(text, &n) == 0, "%s", text);
	return n;
}

static const struct {
	const char *pattern, *name;
	bool want;
} matches[] = {
	{ "**.example.com", "example.com", true },
	{ "**.example.com", "foo.example.com", true },
	{ "**.example.com", "foo.bar.example.com", true },
	{ "**.example.com", "EXAMPLE.com", true },
	{ "**.example.com", "notexample.com", false },
	{ "app.**.example.com", "app.bar.foo.example.com", true },
	{ "app.**.example.com", "app.example.com", true },
	{ "app.**.example.com", "web.example.com", false },
	{ "*.example.com", "foo.example.com", true },
	{ "*.example.com", "example.com", true },
	{ "*.example.com", "Foo.EXAMPLE.com", true },
	{ "*.example.com", "a.b.example.com", false },
	{ "*.example.com", "EXAMPLE.com", false },
	{ "*.Example.com", "Example.com", true },
	{ "*.example.com", "example.co", false },
	{ "*.example.com", "com", false },
	{ "foo.*.example.com", "foo.bar.example.com", true },
	{ "app.*.*.example.com", "app.foo.bar.example.com", true },
	{ "app.*.example.com", "app.foo.bar.example.com", false },
	{ "app.*.example.com", "app.example.com", false },
	{ "*.*.example.com", "b.example.com", false },
	{ "*.*.example.com", "example.com", false },
	{ "app.f??.example.com", "app.foo.example.com", true },
	{ "app.f??.example.com", "app.fo.example.com", false },
	{ "*?*.example.com", "app.example.com", true },
	{ "app.**.web.**.example.com", "app.web.example.com", true },
	{ "app.**.web.**.example.com", "app.web.x.web.y.example.com", true },
	{ "app.**.web.**.example.com", "app.x.example.com", false },
	{ "app-*.example.com", "app-.example.com", true },
	{ "app-*.example.com", "app-one.example.com", true },
	{ "*ample.com", "example.com", true },
	{ "*.com", "com", true },
	{ "*", "localhost", true },
	{ "*", "a.b", false },
	{ "**", "a.b.c", true },
	{ "**", "a", true },
	{ "**", ".", false },
	{ "*", ".", false },
	{ "app.**", "app.x", true },
	{ "app.**", "app.x.y", true },
	{ "app.**", "app", false },
	{ "**.**", "a", true },
	{ "app.**.**", "app.x", true },
	{ "app.**.**", "app", false },
	{ "app.*com", "app.foo.com", false },
	{ "app?com", "app.com", false },
	{ "?.example.com", "example.com", false },
	{ "?.example.com", "a.example.com", true },
	{ "?.example.com", "ab.example.com", false },
	{ "example.com", "www.example.com", false },
	{ "example.com", "Example.COM", true },
	{ "a*b.s.example", "ab.s.example", true },
	{ "a*b.s.example", "axxb.s.example", true },
	{ "a*b.s.example", "axxbc.s.example", false },
	{ "a*b*c", "abbbc", true },
	{ "a*b*c", "abbcb", false },
	{ "[ab].br.example", "a.br.example", true },
	{ "[ab].br.example", "B.br.example", true },
	{ "[ab].br.example", "c.br.example", false },
	{ "[a-f]x", "Ex", true },
	{ "[a-f]x", "gx", false },
	{ "[0-9]", "7", true },
	{ "[0-9]", "a", false },
	{ "[!0-9]", "a", true },
	{ "[!a]", "A", false },
	{ "[]x]", "x", true },
	{ "x[a-]y", "x-y", true },
	{ "[a.b]x", "bx", true },
	{ "[*]", "a", false },
	/* Not valid, or never a name. */
	{ "a**.example.com", "ab.example.com", false },
	{ "**foo.com", "foo.com", false },
	{ "foo.**bar.com", "foo.bar.com", false },
	{ "***.example.com", "a.example.com", false },
	{ "[a.com", "[a.com", false },
	{ "[]", "]", false },
	{ "a..b", "a.b", false },
	{ ".a", "a", false },
	{ "a.", "a", false },
	{ "", "a", false },
	{ "*", "a\\.b", false },
	{ "*", "a\\\\b", false },
	{ "**", "a/b.c", false },
};

/* Asked of the single pattern and of a table that holds it among others. */
START_TEST(a6_17_matches)
{
	struct dns_patterns *p;
	struct unit_env u;

	unit_env_init(&u, 1);
	ck_assert_int_eq(dns_patterns_new(&u.env, 100, &p), 0);
	for (size_t i = 0; i < sizeof(matches) / sizeof(matches[0]); i++) {
		struct dns_name n = name_of(matches[i].name);
		struct fz_uuid id = { { 1 } }, other = { { 2 } };
		struct dns_match got;
		size_t found;
		ck_assert_msg(dns_pattern_matches(matches[i].pattern, &n) == matches[i].want, "%s, %s",
			      matches[i].pattern, matches[i].name);
		int err = dns_patterns_add(p, matches[i].pattern, &id, 0);
		ck_assert_int_eq(err, dns_pattern_valid(matches[i].pattern) ? 0 : FZ_ERR_WIRE);
		ck_assert_int_eq(dns_patterns_add(p, "*.org", &other, 0), 0);
		found = dns_patterns_find(p, &n, &got, 1);
		ck_assert_msg(found == matches[i].want, "table: %s, %s", matches[i].pattern, matches[i].name);
		ck_assert_int_eq(dns_patterns_remove(p, &id), err == 0);
	}
	dns_patterns_free(p);
	unit_env_check(&u);
}
END_TEST

static const char *const first_set[] = {
	"example.com",   "bar.example.com", "*.bar.example.com", "foo.example.com", "?.example.com",
	"*.example.com", "**.example.com",  "*ample.com",        "*.com",           NULL
};
static const char *const second_set[] = { "example.com",
					  "*-prod.example.com",
					  "db.example.com",
					  "*.db.example.com",
					  "d?.example.com",
					  "*.example.com",
					  "**.example.com",
					  "**",
					  NULL };

START_TEST(a6_16_order_of_patterns)
{
	static const char *const *const sets[] = { first_set, second_set };

	for (size_t k = 0; k < 2; k++)
		for (size_t i = 0; sets[k][i]; i++)
			for (size_t j = 0; sets[k][j]; j++) {
				int order = dns_pattern_order(sets[k][i], sets[k][j]);
				ck_assert_msg(i == j ? order == 0 : (order < 0) == (i < j), "%s, %s",
					      sets[k][i], sets[k][j]);
			}
}
END_TEST

static size_t ask(struct dns_patterns *p, const char *name, struct dns_match *ret, size_t cap)
{
	struct dns_name n = name_of(name);

	return dns_patterns_find(p, &n, ret, cap);
}

START_TEST(a6_18_best_match_first)
{
	struct dns_match m[8];
	struct dns_patterns *p;
	struct unit_env u;

	unit_env_init(&u, 1);
	ck_assert_int_eq(dns_patterns_new(&u.env, 9, &p), 0);
	for (unsigned i = 0; first_set[i]; i++) {
		struct fz_uuid id = { { (uint8_t)i } };
		ck_assert_int_eq(dns_patterns_add(p, first_set[i], &id, i), 0);
	}
	ck_assert_uint_eq(ask(p, "foo.example.com", m, 8), 3);
	ck_assert_str_eq(m[0].pattern, "foo.example.com");
	ck_assert_uint_eq(m[0].tag, 3);
	ck_assert_str_eq(m[1].pattern, "*.example.com");
	ck_assert_str_eq(m[2].pattern, "**.example.com");
	ck_assert_uint_eq(ask(p, "foo.example.com", m, 1), 1); /* the best one stays */
	ck_assert_str_eq(m[0].pattern, "foo.example.com");
	ck_assert_uint_eq(ask(p, "example.com", m, 8), 5);
	ck_assert_str_eq(m[0].pattern, "example.com");
	ck_assert_str_eq(m[1].pattern, "*.example.com"); /* the apex */
	ck_assert_uint_eq(ask(p, "example.org", m, 8), 0);
	/* A full table; a resource that changes its pattern is not one more. */
	struct fz_uuid one = { { 1 } }, ten = { { 10 } };
	ck_assert_int_eq(dns_patterns_add(p, "x", &ten, 0), FZ_ERR_FULL);
	ck_assert_int_eq(dns_patterns_add(p, "*.net", &one, 1), 0);
	ck_assert_uint_eq(dns_patterns_count(p), 9);
	ck_assert_uint_eq(ask(p, "bar.example.com", m, 8), 3);
	ck_assert_str_eq(m[0].pattern, "*.bar.example.com");
	ck_assert_uint_eq(ask(p, "a.net", m, 8), 1);
	dns_patterns_free(p);
	unit_env_check(&u);
}
END_TEST

START_TEST(greater_id_first)
{
	struct dns_match m[3];
	struct dns_patterns *p;
	struct unit_env u;

	unit_env_init(&u, 1);
	ck_assert_int_eq(dns_patterns_new(&u.env, 9, &p), 0);
	for (unsigned i = 1; i <= 3; i++) {
		struct fz_uuid id = { { (uint8_t)(i * 5 % 4) } }; /* 1 2 3 */
		ck_assert_int_eq(dns_patterns_add(p, "*.x", &id, 0), 0);
	}
	ck_assert_uint_eq(ask(p, "a.x", m, 3), 3);
	for (unsigned i = 0; i < 3; i++)
		ck_assert_uint_eq(m[i].id.b[0], 3 - i);
	dns_patterns_free(p);
	unit_env_check(&u);
}
END_TEST

/* A pattern built to make a careless matcher try for ever. */
START_TEST(no_pattern_is_slow)
{
	char pattern[400] = "", name[64];

	for (int i = 0; i < 40; i++)
		strcat(pattern, "*a");
	strcat(pattern, "*b");
	memset(name, 'a', 63);
	name[63] = '\0';
	struct dns_name n = name_of(name);
	ck_assert(!dns_pattern_matches(pattern, &n));
	pattern[0] = '\0';
	for (int i = 0; i < 60; i++)
		strcat(pattern, "**.a.");
	strcat(pattern, "b");
	n = name_of("a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a."
		    "a.a.a.a.a.a."
		    "a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a."
		    "a.a.a.a.a.a");
	ck_assert(!dns_pattern_matches(pattern, &n));
}
END_TEST

/* ---- the twin: slow, obvious, on the text as a whole ---- */

static bool twin_glob(const char *p, const char *s, const char *start)
{
	bool at_label = p == start || p[-1] == '.';

	if (*p == '\0')
		return *s == '\0';
	if (p[0] == '*' && p[1] == '*' && at_label && (p[2] == '.' || p[2] == '\0')) {
		if (p[2] == '\0') /* the separator in front of it was there: anything may follow */
			return *s != '\0';
		if (twin_glob(p + 3, s, start))
			return true;
		while (*s != '\0')
			if (*s++ == '.' && twin_glob(p + 3, s, start))
				return true;
		return false;
	}
	if (*p == '*') {
		for (;; s++) {
			if (twin_glob(p + 1, s, start))
				return true;
			if (*s == '\0' || *s == '.')
				return false;
		}
	}
	if (*s == '\0')
		return false;
	if (*p == '?' ? *s != '.' : dns_lower((uint8_t)*p) == dns_lower((uint8_t)*s))
		return twin_glob(p + 1, s + 1, start);
	return false;
}

static bool twin_matches(const char *p, const char *name)
{
	return (p[0] == '*' && p[1] == '.' && strcmp(p + 2, name) == 0) || twin_glob(p, name, p);
}

static void random_text(const struct fz_env *env, char *out, const char *const *parts, uint32_t n_parts)
{
	uint32_t labels = 1 + fz_rng_below(env, 4);

	*out = '\0';
	for (uint32_t i = 0; i < labels; i++) {
		uint32_t pieces = 1 + fz_rng_below(env, 3);
		if (i > 0)
			strcat(out, ".");
		if (n_parts > 3 && fz_rng_below(env, 5) == 0) {
			strcat(out, "**");
			continue;
		}
		for (uint32_t k = 0; k < pieces; k++) {
			const char *piece = parts[fz_rng_below(env, n_parts)];
			size_t len = strlen(out);
			if (*piece == '*' && len > 0 && out[len - 1] == '*')
				piece = "b";
			strcat(out, piece);
		}
	}
}

/* 200 patterns in a table; 100,000 pairs of a pattern and a name. */
START_TEST(random_twin)
{
	static const char *const letters[] = { "a", "b", "A" }, *const wild[] = { "a", "b", "*", "?", "B" };
	static char patterns[200][64];
	struct dns_patterns *p;
	struct unit_env u;
	size_t hits = 0;

	unit_env_init(&u, 20260801);
	ck_assert_int_eq(dns_patterns_new(&u.env, 200, &p), 0);
	for (unsigned round = 0; round < 500; round++) {
		struct dns_match got[200];
		char name[64];
		size_t n, want = 0;
		/* Half of them change from round to round. */
		for (unsigned i = 0; i < 200; i++) {
			struct fz_uuid id = { { (uint8_t)i } };
			if (round > 0 && fz_rng_below(&u.env, 2))
				continue;
			random_text(&u.env, patterns[i], wild, 5);
			ck_assert_msg(dns_pattern_valid(patterns[i]), "%s", patterns[i]);
			ck_assert_int_eq(dns_patterns_add(p, patterns[i], &id, i), 0);
		}
		random_text(&u.env, name, letters, 3);
		struct dns_name wire = name_of(name);
		for (unsigned i = 0; i < 200; i++) {
			bool yes = twin_matches(patterns[i], name);
			want += yes;
			ck_assert_msg(dns_pattern_matches(patterns[i], &wire) == yes, "%s, %s: %d",
				      patterns[i], name, yes);
		}
		n = dns_patterns_find(p, &wire, got, 200);
		ck_assert_uint_eq(n, want);
		for (size_t i = 0; i < n; i++) {
			ck_assert(twin_matches(patterns[got[i].tag], name));
			if (i > 0)
				ck_assert_int_le(dns_pattern_order(got[i - 1].pattern, got[i].pattern), 0);
		}
		hits += n;
	}
	ck_assert_uint_gt(hits, 1000); /* it is a test of matches, too */
	dns_patterns_free(p);
	unit_env_check(&u);
}
END_TEST

START_TEST(ten_thousand_patterns)
{
	struct dns_patterns *p;
	struct dns_match m[4];
	struct unit_env u;
	char text[64];

	unit_env_init(&u, 1);
	ck_assert_int_eq(dns_patterns_new(&u.env, 10000, &p), 0);
	for (unsigned i = 0; i < 10000; i++) {
		struct fz_uuid id = { { (uint8_t)(i >> 8), (uint8_t)i } };
		snprintf(text, sizeof(text), "*.host%u.corp.example", i);
		ck_assert_int_eq(dns_patterns_add(p, text, &id, 0), 0);
	}
	for (unsigned i = 0; i < 10000; i++) {
		snprintf(text, sizeof(text), "web.host%u.corp.example", i);
		ck_assert_uint_eq(ask(p, text, m, 4), 1);
		ck_assert_uint_eq(m[0].id.b[0] << 8 | m[0].id.b[1], i);
	}
	dns_patterns_free(p);
	unit_env_check(&u);
}
END_TEST

START_TEST(without_memory)
{
	for (long fail = 1; fail < 100; fail++) {
		struct fz_uuid id = { { 1 } };
		struct dns_patterns *p;
		struct dns_match m;
		struct unit_env u;
		int err;

		unit_env_init(&u, 1);
		u.fail_at = fail;
		err = dns_patterns_new(&u.env, 10, &p);
		if (err == 0) {
			err = dns_patterns_add(p, "*.example", &id, 0);
			ck_assert_uint_eq(ask(p, "a.example", &m, 1), err == 0);
			dns_patterns_free(p);
		}
		unit_env_check(&u);
		if (err == 0)
			return;
		ck_assert_int_eq(err, FZ_ERR_NOMEM);
	}
	ck_abort();
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("dns_pattern");

	unit_case(s, "one", a6_17_matches, a6_16_order_of_patterns, no_pattern_is_slow);
	unit_case(s, "many", a6_18_best_match_first, greater_id_first, random_twin, ten_thousand_patterns,
		  without_memory);
	return s;
}
