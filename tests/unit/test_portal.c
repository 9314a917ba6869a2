/* SPDX-License-Identifier: Apache-2.0 */
/* The composed portal channel: life, and every outcome of a connection. */
#include "portal_host.h"

#include <stdio.h>

START_TEST(join_and_first_messages)
{
	struct host h;
	struct fz_uuid res;

	host_begin(&h);
	host_upgrade(&h);
	ck_assert_ptr_nonnull(
		strstr(h.request, "GET /client/v2/websocket?external_id=cl-1&name=cl1&public_key=%2B%2Fv7"));
	ck_assert_ptr_nonnull(strstr(h.request, "\r\nx-authorization: Bearer cltok\r\n")); /* acc 8.20 */
	ck_assert_int_eq(h.said_len, 1);
	host_say(&h, host_join_ok);
	ck_assert_int_eq(h.said_len, 2);
	ck_assert_str_eq(h.said[1], "{\"topic\":\"client\",\"event\":\"set_snownet_capabilities\","
				    "\"payload\":{\"iceless\":true},\"ref\":1}");
	host_say(&h, host_init);
	ck_assert(h.messages == 1 && h.last_message == PORTAL_EVENT_INIT);
	host_advance(&h, FZ_SEC(10));
	ck_assert_str_eq(h.said[2],
			 "{\"topic\":\"phoenix\",\"event\":\"heartbeat\",\"payload\":{},\"ref\":2}");
	ck_assert_int_eq(fz_uuid_parse("c0ffee00-1234-4abc-8def-0123456789ab", &res), 0);
	ck_assert_int_eq(portal_send_request_authorization(h.p, &res, NULL, 0), 0);
	host_drain(&h);
	ck_assert_str_eq(
		h.said[3],
		"{\"topic\":\"client\",\"event\":\"request_authorization\",\"payload\":{\"resource_id\":"
		"\"c0ffee00-1234-4abc-8def-0123456789ab\",\"connected_gateway_ids\":[]},\"ref\":3}");
	ck_assert_uint_eq(portal_stats(h.p)->joins, 1);
	host_end(&h);
}
END_TEST

START_TEST(bytes_one_by_one)
{
	struct host h;

	host_begin(&h);
	h.one_by_one = true;
	host_join(&h);
	host_say(&h, host_init);
	ck_assert_int_eq(h.messages, 1);
	host_end(&h);
}
END_TEST

/* Acceptance 8.11: never sent later. */
START_TEST(a8_11_not_connected)
{
	struct host h;
	struct fz_uuid res = { { 1 } };

	host_begin(&h);
	ck_assert_int_eq(portal_send_request_authorization(h.p, &res, NULL, 0), FZ_ERR_STATE);
	ck_assert_int_eq(portal_send_no_relays(h.p), FZ_ERR_STATE);
	host_join(&h);
	host_drain(&h);
	ck_assert_int_eq(h.said_len, 0);
	ck_assert_int_eq(portal_send_no_relays(h.p), 0);
	ck_assert_int_eq(portal_send_no_relays(h.p), 0);
	host_drain(&h);
	ck_assert_int_eq(h.said_len, 1);
	host_end(&h);
}
END_TEST

/* Acceptance 8.12: 15 s for everything. */
START_TEST(a8_12_hanging_handshake)
{
	for (int stage = 0; stage < 3; stage++) {
		struct host h;
		host_begin(&h);
		if (stage >= 1)
			host_connect_tcp(&h);
		if (stage == 2)
			host_raw(&h, "HTTP/1.1 10", 11);
		host_look(&h);
		host_advance(&h, FZ_SEC(15) - 1);
		ck_assert_int_eq(h.downs, 0);
		ck_assert_uint_eq(portal_next_timeout(h.p), h.now + 1);
		host_advance(&h, 1);
		ck_assert_int_eq(h.downs, 1);
		ck_assert_int_eq(h.closed, 1);
		ck_assert_uint_eq(h.retry_us, FZ_SEC(1));
		host_end(&h);
	}
}
END_TEST

START_TEST(partial_refusal_counts_at_the_deadline)
{
	struct host h;

	host_begin(&h);
	host_connect_tcp(&h);
	host_answer(&h, "401 Unauthorized\r\nContent-Length: 100");
	ck_assert_int_eq(h.fatal, 0);
	host_advance(&h, FZ_SEC(15));
	ck_assert_int_eq(h.fatal, FZ_ERR_PORTAL);
	ck_assert_int_eq(h.closed, 1);
	host_end(&h);
}
END_TEST

/* control-plane 1.8 and 1.9, after the transport. */
struct answer {
	const char *head;
	const char *body;
	int fatal; /* 0 = retried */
	uint64_t retry_us; /* 0 = the schedule's */
};

#define PROBLEM "\r\nContent-Type: application/problem+json"

static void check_answer(const struct answer *a)
{
	struct host h;
	char whole[500];

	host_begin(&h);
	host_connect_tcp(&h);
	int len = snprintf(whole, sizeof(whole), "HTTP/1.1 %s\r\nContent-Length: %zu\r\n\r\n%s", a->head,
			   strlen(a->body), a->body);
	host_raw(&h, whole, (size_t)len);
	ck_assert_msg(h.fatal == a->fatal, "%s: %d", a->head, h.fatal);
	ck_assert_int_eq(h.closed, 1);
	if (a->fatal == 0)
		ck_assert_msg(h.retry_us == (a->retry_us ? a->retry_us : FZ_SEC(1)), "%s: %u", a->head,
			      (unsigned)h.retry_us);
	if (strstr(a->body, "because"))
		ck_assert_ptr_nonnull(strstr(h.fatal_text, "because"));
	ck_assert_ptr_null(strstr(h.fatal_text, "cltok"));
	host_end(&h);
}

#define CHECK_ANSWERS(rows)                                                                                  \
	for (size_t i = 0; i < sizeof(rows) / sizeof((rows)[0]); i++)                                        \
	check_answer(&(rows)[i])

START_TEST(a8_16_retried_when_the_portal_says)
{
	static const struct answer rows[] = {
		{ "408 T", "", 0, 0 },
		{ "429 T\r\nRetry-After: 30", "", 0, FZ_SEC(30) },
		{ "503 S\r\nRetry-After: 1", "", 0, FZ_SEC(1) },
		{ "503 S\r\nRetry-After: 0", "", 0, FZ_SEC(1) }, /* never without a pause */
		{ "503 S\r\nRetry-After: 1.5", "", 0, 0 },
		{ "503 S\r\nRetry-After: 10000000", "", 0, FZ_SEC(3600) },
	};

	CHECK_ANSWERS(rows);
}
END_TEST

/* Whatever else it says may be over tomorrow. */
START_TEST(a8_17_other_answers_are_retried)
{
	static const struct answer rows[] = {
		{ "400 B", "", 0, 0 },
		{ "402 P", "", 0, 0 },
		{ "403 F", "Forbidden", 0, 0 },
		{ "404 N", "Not Found", 0, 0 },
		{ "409 C", "", 0, 0 },
		{ "500 I", "", 0, 0 },
		{ "302 F\r\nLocation: /", "", 0, 0 },
		{ "200 O", "", 0, 0 },
		{ "101 S", "", 0, 0 },
	};

	CHECK_ANSWERS(rows);
}
END_TEST

START_TEST(a8_18_token_or_authentication)
{
	static const struct answer rows[] = {
		{ "401 U" PROBLEM, "{\"code\":\"invalid_token\"}", FZ_ERR_TOKEN, 0 },
		{ "401 U" PROBLEM, "{\"code\":\"missing_token\"}", FZ_ERR_TOKEN, 0 },
		{ "401 U" PROBLEM, "{\"code\":\"other\",\"detail\":\"because\"}", FZ_ERR_PORTAL, 0 },
		{ "401 U\r\nContent-Type: application/json", "{\"code\":\"invalid_token\"}", FZ_ERR_PORTAL,
		  0 },
		{ "401 U", "{\"code\":\"invalid_token\"}", FZ_ERR_PORTAL, 0 },
		{ "401 U\r\nRetry-After: 5", "", FZ_ERR_PORTAL, 0 },
	};

	CHECK_ANSWERS(rows);
}
END_TEST

START_TEST(a8_19_spellings_and_bad_bodies)
{
	static const struct answer rows[] = {
		{ "401 U\r\ncontent-type: Application/Problem+JSON", "{\"code\":\"invalid_token\"}",
		  FZ_ERR_TOKEN, 0 },
		{ "401 U" PROBLEM "; charset=utf-8", "{\"code\":\"invalid_token\"}", FZ_ERR_TOKEN, 0 },
		{ "401 U" PROBLEM, "{\"code\":\"invalid_tok", FZ_ERR_PORTAL, 0 },
		{ "401 U" PROBLEM, "{\"code\":7}", FZ_ERR_PORTAL, 0 },
		{ "401 U" PROBLEM, "[]", FZ_ERR_PORTAL, 0 },
		{ "401 U" PROBLEM, "", FZ_ERR_PORTAL, 0 },
	};

	CHECK_ANSWERS(rows);
}
END_TEST

/* Line ends and blanks that came with a token do not reach the header; without a token there is none. */
START_TEST(a8_20_token_in_the_header)
{
	static const struct {
		const char *token, *want;
	} rows[] = {
		{ "cltok", "\r\nx-authorization: Bearer cltok\r\n" },
		{ "cl\r\ntok\n", "\r\nx-authorization: Bearer cltok\r\n" },
		{ NULL, NULL },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct portal_opts o = host_usual_opts;
		struct host h;
		o.token = rows[i].token;
		host_begin_with(&h, &o);
		host_connect_tcp(&h);
		if (rows[i].want)
			ck_assert_ptr_nonnull(strstr(h.request, rows[i].want));
		else
			ck_assert_ptr_null(strstr(h.request, "uthorization"));
		host_end(&h);
	}
}
END_TEST

#define REPLY(ref, status, response)                                                                         \
	"{\"topic\":\"client\",\"event\":\"phx_reply\",\"ref\":" ref ",\"payload\":{\"status\":\"" status    \
	"\",\"response\":" response "}}"

struct control {
	const char *why, *text;
	bool joined;
	int fatal;
	bool lost;
};

static const struct control control[] = {
	{ "join error", REPLY("0", "error", "{\"reason\":\"disabled\"}"), false, FZ_ERR_PORTAL, false },
	{ "revoked",
	  "{\"topic\":\"client\",\"event\":\"disconnect\",\"payload\":{\"reason\":\"certificate_revoked\"},"
	  "\"ref\":null}",
	  true, 0, false },
	{ "phx_close", "{\"topic\":\"client\",\"event\":\"phx_close\",\"payload\":{},\"ref\":null}", true, 0,
	  true },
	{ "phx_error", "{\"topic\":\"client\",\"event\":\"phx_error\",\"payload\":{},\"ref\":null}", true, 0,
	  false },
	{ "cut JSON", "{\"topic\":\"cl", true, 0, true },
	{ "no JSON", "hello you", true, 0, false },
	{ "unknown event", "{\"topic\":\"client\",\"event\":\"news\",\"payload\":{},\"ref\":null}", true, 0,
	  false },
	{ "malformed event", "{\"topic\":\"client\",\"event\":\"init\",\"payload\":{},\"ref\":null}", true, 0,
	  false },
};

static void check_control(const struct control *c)
{
	struct host h;

	host_begin(&h);
	if (c->joined)
		host_join(&h);
	else
		host_upgrade(&h);
	host_look(&h);
	host_say(&h, c->text);
	ck_assert_msg(h.fatal == c->fatal, "%s: %d", c->why, h.fatal);
	ck_assert_msg((h.downs > 0) == (c->lost || (c->fatal && c->joined)), "%s", c->why);
	ck_assert_msg((h.closed == 1) == (c->lost || c->fatal), "%s", c->why);
	ck_assert_int_eq(h.messages, 0);
	if (c->fatal) {
		host_advance(&h, FZ_SEC(1000));
		ck_assert_int_eq(h.connects, 0);
	}
	host_end(&h);
}

START_TEST(a8_33_control_events)
{
	for (size_t i = 0; i < sizeof(control) / sizeof(control[0]); i++)
		check_control(&control[i]);
}
END_TEST

START_TEST(a8_34_token_expires)
{
	struct control c = { "token expired",
			     "{\"topic\":\"client\",\"event\":\"disconnect\",\"payload\":{\"reason\":"
			     "\"token_expired\"},\"ref\":null}",
			     true, FZ_ERR_TOKEN, false };

	check_control(&c);
	c.joined = false;
	check_control(&c);
}
END_TEST

/* The reasons that a portal gives are shown to people. */
START_TEST(reasons_have_no_control_characters)
{
	struct host h;

	host_begin(&h);
	host_upgrade(&h);
	host_say(&h, "{\"topic\":\"client\",\"event\":\"phx_reply\",\"payload\":{\"status\":\"error\","
		     "\"response\":{\"reason\":\"no\\u001b[2J\\nfz-client: all is well\"}},\"ref\":0}");
	ck_assert_int_ne(h.fatal, 0);
	ck_assert_ptr_nonnull(strstr(h.fatal_text, "no?[2J?fz-client"));
	host_end(&h);

	host_begin(&h);
	portal_handle_disconnected(h.p, "host\n\x1b[1mname", h.now);
	host_drain(&h);
	ck_assert_str_eq(h.down_reason, "host??[1mname");
	host_end(&h);
}
END_TEST

/* Acceptance 8.31, 8.36. */
START_TEST(silence)
{
	struct host h;

	host_begin(&h);
	host_upgrade(&h);
	host_advance(&h, FZ_SEC(5)); /* 8.36: the join is not answered */
	ck_assert_int_eq(h.closed, 1);
	ck_assert_ptr_nonnull(strstr(h.down_reason, "join"));
	host_end(&h);
	host_begin(&h);
	host_join(&h);
	for (int s = 10; s <= 30; s += 10)
		host_advance(&h, FZ_SEC(10));
	ck_assert(h.downs == 0 && h.said_len == 3);
	host_advance(&h, FZ_SEC(10)); /* 8.31: the fourth heartbeat */
	ck_assert(h.downs == 1 && h.closed == 1 && h.down_was_up);
	ck_assert_ptr_nonnull(strstr(h.down_reason, "heartbeat"));
	host_end(&h);
}
END_TEST

/* Acceptance 8.32: the close is echoed before the stream is closed. */
START_TEST(a8_32_close_frame)
{
	struct host h;

	host_begin(&h);
	host_join(&h);
	host_raw(&h, "\x88\x02\x03\xe9", 4);
	ck_assert(h.closes == 1 && h.closed == 1 && h.downs == 1 && h.fatal == 0);
	ck_assert_ptr_nonnull(strstr(h.down_reason, "1001"));
	/* reports about the old stream do no harm */
	portal_handle_disconnected(h.p, "late", h.now);
	portal_handle_data(h.p, "x", 1, h.now);
	host_drain(&h);
	ck_assert_int_eq(h.downs, 1);
	host_end(&h);
	host_begin(&h);
	host_join(&h);
	portal_shutdown(h.p, h.now);
	host_drain(&h);
	ck_assert(h.closes == 1 && h.closed == 1 && h.downs == 0 && h.fatal == 0);
	ck_assert_uint_eq(portal_next_timeout(h.p), FZ_NEVER_US);
	host_end(&h);
}
END_TEST

static const struct {
	const char *why;
	struct portal_opts o;
} bad_opts[] = {
	{ "no URL", { .external_id = "a", .name = "b", .user_agent = "c" } },
	{ "bad URL", { .url = "x", .external_id = "a", .name = "b", .user_agent = "c" } },
	{ "no id", { .url = "wss://h", .name = "b", .user_agent = "c" } },
	{ "header injection by the agent",
	  { .url = "wss://h", .external_id = "a", .name = "b", .user_agent = "c\r\nX: y" } },
	{ "control character in the token",
	  { .url = "wss://h", .token = "a\x01", .external_id = "a", .name = "b", .user_agent = "c" } },
};

START_TEST(faulty_options)
{
	char big[9000];
	struct unit_env u;
	struct portal *p;
	const char *reason;
	struct portal_opts o = host_usual_opts;

	unit_env_init(&u, 1);
	for (size_t i = 0; i < sizeof(bad_opts) / sizeof(bad_opts[0]); i++) {
		reason = NULL;
		ck_assert_msg(portal_new(&u.env, &bad_opts[i].o, 0, &p, &reason) == FZ_ERR_INVAL, "%s",
			      bad_opts[i].why);
		ck_assert_ptr_nonnull(reason);
	}
	memset(big, 'a', sizeof(big));
	big[8999] = '\0';
	o.token = big;
	ck_assert_int_eq(portal_new(&u.env, &o, 0, &p, NULL), FZ_ERR_INVAL);
	o = host_usual_opts;
	o.external_id = big + 8000;
	ck_assert_int_eq(portal_new(&u.env, &o, 0, &p, NULL), FZ_ERR_INVAL);
	unit_env_check(&u);
}
END_TEST

/* Bytes leave in pieces of any size. */
START_TEST(tiny_output_buffers)
{
	struct host h;
	uint8_t b;
	size_t n = 0;

	host_begin(&h);
	portal_handle_connected(h.p, h.now);
	while (portal_poll_transmit(h.p, &b, 1, h.now) == 1)
		h.request[n++] = (char)b;
	ck_assert_str_eq(h.request + n - 4, "\r\n\r\n");
	host_end(&h);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("portal");

	unit_case(s, "life", join_and_first_messages, bytes_one_by_one, a8_11_not_connected, faulty_options,
		  tiny_output_buffers);
	unit_case(s, "outcomes", a8_12_hanging_handshake, partial_refusal_counts_at_the_deadline,
		  reasons_have_no_control_characters, silence, a8_32_close_frame, a8_33_control_events,
		  a8_34_token_expires);
	unit_case(s, "answers", a8_16_retried_when_the_portal_says, a8_17_other_answers_are_retried,
		  a8_18_token_or_authentication, a8_19_spellings_and_bad_bodies, a8_20_token_in_the_header);
	return s;
}
