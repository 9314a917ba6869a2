/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <stdio.h>

#include "base/mem.h"
#include "ext/json.h"

static const char everything[] =
	"{\"a\":[1,2.5,true,false,null,\"x\\n\\u00e9\\\\\",{}],\"b\":{\"c\":-7},\"d\":\"\xc3\xa9\"}";

static const struct {
	const char *why, *text;
	enum jv_parsed want;
} cases[] = {
	{ "object", "{\"a\":1}", JV_OK },
	{ "bare string", "\"x\"", JV_OK },
	{ "surrounded by blanks", " \n[1]\t", JV_OK },
	{ "nothing", "", JV_CUT },
	{ "blanks only", "  ", JV_CUT },
	{ "open string", "{\"a\":\"b", JV_CUT },
	{ "half an escape", "{\"a\":\"b\\", JV_CUT },
	{ "half a word", "{\"a\":tru", JV_CUT },
	{ "open object", "{\"a\":1", JV_CUT },
	{ "no JSON", "hello", JV_CUT }, /* cannot be told from a half word */
	{ "no JSON, more of it", "hello there", JV_MALFORMED },
	{ "wrong bracket", "{\"a\":1]", JV_MALFORMED },
	{ "comma too much", "{\"a\":1,}", JV_MALFORMED },
	{ "rubbish behind", "{} x", JV_MALFORMED },
	{ "not UTF-8", "\"\xff\"", JV_MALFORMED },
	{ "NUL in a text", "\"\\u0000\"", JV_MALFORMED },
	{ "single quotes", "{'a':1}", JV_MALFORMED },
};

START_TEST(parse_table)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct jv *v = NULL;
		enum jv_parsed got = jv_parse(cases[i].text, strlen(cases[i].text), &v);
		ck_assert_msg(got == cases[i].want, "%s: %d", cases[i].why, got);
		jv_free(v);
	}
}
END_TEST

START_TEST(cut_at_every_length)
{
	for (size_t n = 0; n < sizeof(everything) - 1; n++) {
		struct jv *v = NULL;
		enum jv_parsed got = jv_parse(everything, n, &v);
		bool half_char = n > 0 && everything[n - 1] == '\xc3'; /* text frames never end so */
		ck_assert_msg(got == JV_CUT || (half_char && got == JV_MALFORMED), "cut at %zu: %d", n, got);
	}
}
END_TEST

START_TEST(reading)
{
	struct jv *v = NULL;
	uint64_t n = 99;
	bool b = false;

	ck_assert_int_eq(jv_parse(everything, sizeof(everything) - 1, &v), JV_OK);
	const struct jv *a = jv_get(v, "a");
	ck_assert_uint_eq(jv_len(a), 7);
	ck_assert(jv_u64(jv_at(a, 0), &n) && n == 1);
	ck_assert(!jv_u64(jv_at(a, 1), &n));
	ck_assert(jv_bool(jv_at(a, 2), &b) && b);
	ck_assert(jv_bool(jv_at(a, 3), &b) && !b);
	ck_assert(jv_is_null(jv_at(a, 4)));
	ck_assert_str_eq(jv_str(jv_at(a, 5)), "x\n\xc3\xa9\\");
	ck_assert_int_eq(jv_type(jv_at(a, 6)), JV_OBJECT);
	ck_assert_ptr_null(jv_at(a, 7));
	ck_assert(!jv_u64(jv_get(jv_get(v, "b"), "c"), &n));
	ck_assert_ptr_null(jv_get(NULL, "x"));
	ck_assert_ptr_null(jv_get(a, "x"));
	ck_assert_uint_eq(jv_len(v), 0);
	ck_assert(jv_is_null(jv_get(v, "nope")));
	jv_free(v);
}
END_TEST

START_TEST(bounds)
{
	size_t len = 2 * JV_VALUES_MAX + 2;
	char *text = malloc(len);
	struct jv *v = NULL;

	text[0] = '[';
	for (size_t i = 1; i + 1 < len; i++)
		text[i] = i % 2 ? '0' : ',';
	text[len - 1] = ']';
	ck_assert_int_eq(jv_parse(text, len, &v), JV_TOO_BIG);
	memset(text, '[', JV_DEPTH_MAX + 1);
	memset(text + JV_DEPTH_MAX + 1, ']', JV_DEPTH_MAX + 1);
	ck_assert_int_eq(jv_parse(text, 2 * JV_DEPTH_MAX + 2, &v), JV_TOO_BIG);
	ck_assert_int_eq(jv_parse(text + 1, 2 * JV_DEPTH_MAX, &v), JV_OK);
	jv_free(v);
	memset(text, '[', len);
	ck_assert_int_eq(jv_parse(text, 100000, &v), JV_TOO_BIG); /* no stack is lost in depth */
	free(text);
}
END_TEST

START_TEST(building_keeps_the_order)
{
	struct unit_env u;
	struct jv *o = jv_object(), *list = jv_array();
	size_t len;

	unit_env_init(&u, 1);
	ck_assert(jv_set_str(o, "z", "q\"\\\n/\xc3\xa9") && jv_set_u64(o, "a", 7) &&
		  jv_set_bool(o, "m", true));
	ck_assert(jv_push_str(list, "one") && jv_set(o, "list", list) && jv_set_null(o, "n"));
	char *text = jv_dump(&u.env, o, &len);
	ck_assert_str_eq(
		text, "{\"z\":\"q\\\"\\\\\\n/\xc3\xa9\",\"a\":7,\"m\":true,\"list\":[\"one\"],\"n\":null}");
	ck_assert_uint_eq(len, strlen(text));
	fz_free(&u.env, text);
	ck_assert(!jv_set_str(NULL, "a", "b"));
	ck_assert(!jv_set(o, "a", NULL));
	struct jv *same = jv_share(o);
	ck_assert(jv_equal(o, same));
	jv_free(same);
	jv_free(o);
	u.fail_at = u.allocs + 1;
	o = jv_object();
	ck_assert_ptr_null(jv_dump(&u.env, o, &len));
	jv_free(o);
	jv_free(NULL);
	unit_env_check(&u);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("json");

	unit_case(s, "json", parse_table, cut_at_every_length, reading, bounds, building_keeps_the_order);
	return s;
}
