/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <stdio.h>

#include "base/mem.h"
#include "wire/phx.h"

static const struct {
	const char *why, *text;
	int want;
} cases[] = {
	{ "reply",
	  "{\"topic\":\"client\",\"event\":\"phx_reply\",\"payload\":{\"status\":\"ok\",\"response\":{}},"
	  "\"ref\":0}",
	  0 },
	{ "push", "{\"topic\":\"client\",\"event\":\"init\",\"payload\":{},\"ref\":null}", 0 },
	{ "no ref", "{\"topic\":\"client\",\"event\":\"init\",\"payload\":{}}", 0 },
	{ "payload before event, extra keys",
	  "{\"x\":[1],\"payload\":null,\"ref\":null,\"event\":\"e\",\"topic\":\"t\"}", 0 },
	{ "string payload",
	  "{\"topic\":\"client\",\"event\":\"resource_deleted\",\"payload\":\"c0ffee00-1234-4abc-8def-"
	  "0123456789ab\",\"ref\":null}",
	  0 },
	{ "ref as a string", "{\"topic\":\"t\",\"event\":\"phx_reply\",\"payload\":{},\"ref\":\"0\"}",
	  FZ_ERR_WIRE },
	{ "negative ref", "{\"topic\":\"t\",\"event\":\"phx_reply\",\"payload\":{},\"ref\":-1}",
	  FZ_ERR_WIRE },
	{ "array framing", "[null,null,\"t\",\"e\",{}]", FZ_ERR_WIRE },
	{ "no topic", "{\"event\":\"e\",\"payload\":{}}", FZ_ERR_WIRE },
	{ "no event", "{\"topic\":\"t\",\"payload\":{}}", FZ_ERR_WIRE },
	{ "no payload", "{\"topic\":\"t\",\"event\":\"e\"}", FZ_ERR_WIRE },
	{ "event is a number", "{\"topic\":\"t\",\"event\":7,\"payload\":{}}", FZ_ERR_WIRE },
	{ "endless event name",
	  "{\"topic\":\"t\",\"event\":\"eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee\","
	  "\"payload\":{}}",
	  FZ_ERR_WIRE },
	{ "a bare string", "\"x\"", FZ_ERR_WIRE },
	{ "not JSON", "ok then", FZ_ERR_WIRE },
	{ "cut short", "{\"topic\":\"t\",\"event\":\"e\",\"pay", FZ_ERR_STATE },
	{ "empty", "", FZ_ERR_STATE },
};

START_TEST(decode_table)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct phx_msg m = { 0 };
		const char *reason = NULL;
		int got = phx_decode(cases[i].text, strlen(cases[i].text), &m, &reason);
		ck_assert_msg(got == cases[i].want, "%s: %d", cases[i].why, got);
		ck_assert_msg((got == 0) == (reason == NULL), "%s", cases[i].why);
		phx_msg_clear(&m);
	}
}
END_TEST

START_TEST(cut_at_every_length_is_a_loss)
{
	const char *text = cases[0].text;

	for (size_t n = 0; n < strlen(text); n++) {
		struct phx_msg m = { 0 };
		const char *reason;
		ck_assert_msg(phx_decode(text, n, &m, &reason) == FZ_ERR_STATE, "at %zu", n);
	}
}
END_TEST

static const struct {
	const char *why, *payload;
	int want;
	enum phx_status status;
	const char *reason;
} replies[] = {
	{ "ok", "{\"status\":\"ok\",\"response\":{}}", 0, PHX_OK, NULL },
	{ "ok, null", "{\"status\":\"ok\",\"response\":null}", 0, PHX_OK, NULL },
	{ "ok, a list", "{\"status\":\"ok\",\"response\":[]}", FZ_ERR_WIRE, PHX_OK, NULL },
	{ "error", "{\"status\":\"error\",\"response\":{\"reason\":\"unmatched topic\",\"more\":1}}", 0,
	  PHX_ERROR, "unmatched topic" },
	{ "error without a reason", "{\"status\":\"error\",\"response\":{}}", FZ_ERR_WIRE, PHX_OK, NULL },
	{ "reason is no text", "{\"status\":\"error\",\"response\":{\"reason\":1}}", FZ_ERR_WIRE, PHX_OK,
	  NULL },
	{ "other status", "{\"status\":\"later\",\"response\":{}}", FZ_ERR_WIRE, PHX_OK, NULL },
	{ "no status", "{}", FZ_ERR_WIRE, PHX_OK, NULL },
	{ "null payload", "null", FZ_ERR_WIRE, PHX_OK, NULL },
};

START_TEST(reply_table)
{
	for (size_t i = 0; i < sizeof(replies) / sizeof(replies[0]); i++) {
		char text[300];
		struct phx_msg m = { 0 };
		struct phx_reply r;
		const char *reason;
		snprintf(text, sizeof(text),
			 "{\"topic\":\"t\",\"event\":\"phx_reply\",\"payload\":%s,\"ref\":3}",
			 replies[i].payload);
		ck_assert_int_eq(phx_decode(text, strlen(text), &m, &reason), 0);
		ck_assert(m.has_ref && m.ref == 3);
		int got = phx_reply_decode(&m, &r, &reason);
		ck_assert_msg(got == replies[i].want, "%s", replies[i].why);
		if (got == 0) {
			ck_assert_int_eq(r.status, replies[i].status);
			if (replies[i].reason)
				ck_assert_str_eq(r.reason, replies[i].reason);
		}
		phx_msg_clear(&m);
	}
}
END_TEST

START_TEST(encode_vectors)
{
	struct unit_env u;
	char *text;
	size_t len;
	struct jv *empty = jv_object();

	unit_env_init(&u, 1);
	ck_assert_int_eq(phx_encode(&u.env, "client", "phx_join", NULL, 0, &text, &len), 0);
	ck_assert_str_eq(text, "{\"topic\":\"client\",\"event\":\"phx_join\",\"payload\":null,\"ref\":0}");
	ck_assert_uint_eq(len, strlen(text));
	fz_free(&u.env, text);
	ck_assert_int_eq(phx_encode(&u.env, "phoenix", "heartbeat", empty, 2, &text, &len), 0);
	ck_assert_str_eq(text, "{\"topic\":\"phoenix\",\"event\":\"heartbeat\",\"payload\":{},\"ref\":2}");
	fz_free(&u.env, text);
	u.fail_at = u.allocs + 1;
	ck_assert_int_eq(phx_encode(&u.env, "phoenix", "heartbeat", empty, 2, &text, &len), FZ_ERR_NOMEM);
	jv_free(empty);
	unit_env_check(&u);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("phx");

	unit_case(s, "phx", decode_table, cut_at_every_length_is_a_loss, reply_table, encode_vectors);
	return s;
}
