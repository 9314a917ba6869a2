/* SPDX-License-Identifier: Apache-2.0 */
/* Upgrade of a connection: every documented outcome, whole and in pieces. */
#include "unit.h"

#include <stdio.h>

#include "base/text.h"
#include "ext/crypto.h"
#include "proto/ws_conn.h"

static const struct ws_conn_request request = { .host = "203.0.113.10",
						.target = "/client/v2/websocket?a=b",
						.token = "cltok",
						.user_agent = "Debian/12.0.0 x/1.2.3" };

/* Take the request; the Sec-WebSocket-Accept that belongs to it. */
static void take_request(struct ws_conn *c, char accept[64], char *text, size_t cap)
{
	static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
	uint8_t digest[20];
	int n = 0, got;

	while ((got = ws_conn_poll_transmit(c, text + n, cap - 1 - (size_t)n)) > 0)
		n += got;
	text[n] = '\0';
	const char *key = strstr(text, "Sec-WebSocket-Key: ");
	ck_assert_ptr_nonnull(key);
	key += 19;
	ck_assert_int_eq(crypto_sha1(key, 24, guid, 36, digest), 0);
	fz_b64_encode(accept, digest, 20);
	ck_assert(ws_conn_is_idle(c));
}

START_TEST(request_text)
{
	struct unit_env u;
	struct ws_conn *c;
	char accept[64], text[1000], want[1000];

	unit_env_init(&u, 1);
	ck_assert_int_eq(ws_conn_new(&u.env, &request, &c), 0);
	take_request(c, accept, text, sizeof(text));
	snprintf(want, sizeof(want),
		 "GET /client/v2/websocket?a=b HTTP/1.1\r\nHost: 203.0.113.10\r\nConnection: Upgrade\r\n"
		 "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %.24s\r\n"
		 "x-authorization: Bearer cltok\r\nuser-agent: Debian/12.0.0 x/1.2.3\r\n\r\n",
		 strstr(text, "Key: ") + 5);
	ck_assert_str_eq(text, want);
	ws_conn_free(c);
	struct ws_conn_request no_token = request;
	no_token.token = NULL;
	no_token.host = "2001:db8::1";
	no_token.is_ipv6 = true;
	ck_assert_int_eq(ws_conn_new(&u.env, &no_token, &c), 0);
	take_request(c, accept, text, sizeof(text));
	ck_assert_ptr_null(strstr(text, "uthorization"));
	ck_assert_ptr_nonnull(strstr(text, "Host: [2001:db8::1]\r\n"));
	ws_conn_free(c);
	unit_env_check(&u);
}
END_TEST

#define UP "Upgrade: websocket\r\n"
#define CONN "Connection: Upgrade\r\n"
#define KEY "Sec-WebSocket-Accept: $\r\n" /* $ = the right one */
#define PROBLEM "Content-Type: application/problem+json; charset=utf-8\r\n"

static const struct {
	const char *why, *answer; /* without the empty line at the end of the head */
	const char *body;
	enum ws_conn_state want;
	enum ws_conn_refused kind;
	const char *detail;
} rows[] = {
	{ "upgrade", "101 Switching Protocols\r\n" UP CONN KEY, "", WS_CONN_OPEN, 0, NULL },
	{ "other letter case",
	  "101 X\r\nupgrade: WebSocket\r\nCONNECTION: upgrade\r\nsec-websocket-accept: $\r\n", "",
	  WS_CONN_OPEN, 0, NULL },
	{ "list of connection options", "101 X\r\n" UP "Connection: keep-alive, Upgrade\r\n" KEY, "",
	  WS_CONN_OPEN, 0, NULL },
	{ "extension ignored", "101 X\r\n" UP CONN KEY "Sec-WebSocket-Extensions: permessage-deflate\r\n", "",
	  WS_CONN_OPEN, 0, NULL },
	{ "no upgrade", "101 X\r\n" CONN KEY, "", WS_CONN_BROKEN, 0, NULL },
	{ "upgrade to something else", "101 X\r\nUpgrade: h2c\r\n" CONN KEY, "", WS_CONN_BROKEN, 0, NULL },
	{ "no connection", "101 X\r\n" UP KEY, "", WS_CONN_BROKEN, 0, NULL },
	{ "connection without the word", "101 X\r\n" UP "Connection: keep-alive\r\n" KEY, "", WS_CONN_BROKEN,
	  0, NULL },
	{ "no accept", "101 X\r\n" UP CONN, "", WS_CONN_BROKEN, 0, NULL },
	{ "wrong accept", "101 X\r\n" UP CONN "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n", "",
	  WS_CONN_BROKEN, 0, NULL },
	{ "subprotocol", "101 X\r\n" UP CONN KEY "Sec-WebSocket-Protocol: x\r\n", "", WS_CONN_BROKEN, 0,
	  NULL },
	{ "no HTTP", "hello\r\n", "", WS_CONN_BROKEN, 0, NULL },
	{ "acc 8.18: invalid token", "401 Unauthorized\r\n" PROBLEM,
	  "{\"type\":\"about:blank\",\"title\":\"Unauthorized\",\"status\":401,\"detail\":\"Invalid "
	  "token\",\"code\":\"invalid_token\"}",
	  WS_CONN_REFUSED, WS_CONN_BAD_TOKEN, "Invalid token" },
	{ "missing token", "401 Unauthorized\r\n" PROBLEM, "{\"code\":\"missing_token\"}", WS_CONN_REFUSED,
	  WS_CONN_BAD_TOKEN, "" },
	{ "acc 8.18: other code", "401 Unauthorized\r\n" PROBLEM,
	  "{\"code\":\"unauthenticated\",\"detail\":\"No way\"}", WS_CONN_REFUSED, WS_CONN_NOT_ALLOWED,
	  "No way" },
	{ "acc 8.18: other type", "401 Unauthorized\r\nContent-Type: application/json\r\n",
	  "{\"code\":\"invalid_token\"}", WS_CONN_REFUSED, WS_CONN_NOT_ALLOWED, "" },
	{ "acc 8.18: no type", "401 Unauthorized\r\n", "{\"code\":\"invalid_token\"}", WS_CONN_REFUSED,
	  WS_CONN_NOT_ALLOWED, "" },
	{ "acc 8.19: other letter case, no parameter",
	  "401 Unauthorized\r\ncontent-type: APPLICATION/problem+JSON\r\n", "{\"code\":\"invalid_token\"}",
	  WS_CONN_REFUSED, WS_CONN_BAD_TOKEN, "" },
	{ "acc 8.19: malformed JSON", "401 Unauthorized\r\n" PROBLEM, "{\"code\":\"invalid_tok",
	  WS_CONN_REFUSED, WS_CONN_NOT_ALLOWED, "" },
	{ "code is no text", "401 Unauthorized\r\n" PROBLEM, "{\"code\":7,\"detail\":null}", WS_CONN_REFUSED,
	  WS_CONN_NOT_ALLOWED, "" },
	{ "402", "402 Payment Required\r\n" PROBLEM, "{\"code\":\"limits_exceeded\",\"detail\":\"d\"}",
	  WS_CONN_REFUSED, WS_CONN_RETRY, "d" },
	{ "403 untrusted", "403 Forbidden\r\n" PROBLEM, "{\"code\":\"device_untrusted\",\"detail\":\"d\"}",
	  WS_CONN_REFUSED, WS_CONN_RETRY, "d" },
	{ "403 text", "403 Forbidden\r\nContent-Type: text/plain\r\n", "Forbidden", WS_CONN_REFUSED,
	  WS_CONN_RETRY, "" },
	{ "404 text", "404 Not Found\r\n", "Not Found", WS_CONN_REFUSED, WS_CONN_RETRY, "" },
	{ "409", "409 Conflict\r\n" PROBLEM, "{\"code\":\"gateway_already_connected\",\"detail\":\"d\"}",
	  WS_CONN_REFUSED, WS_CONN_RETRY, "d" },
	{ "acc 8.17: 400", "400 Bad Request\r\n" PROBLEM,
	  "{\"code\":\"invalid_connect_params\",\"detail\":\"public_key can't be blank\"}", WS_CONN_REFUSED,
	  WS_CONN_RETRY, "public_key can't be blank" },
	{ "400 with a token's code", "400 Bad Request\r\n" PROBLEM, "{\"code\":\"invalid_token\"}",
	  WS_CONN_REFUSED, WS_CONN_RETRY, "" },
	{ "acc 8.16: 408", "408 Request Timeout\r\n", "", WS_CONN_REFUSED, WS_CONN_RETRY, "" },
	{ "acc 8.16: 429", "429 Too Many Requests\r\n", "", WS_CONN_REFUSED, WS_CONN_RETRY, "" },
	{ "acc 8.16: 503", "503 Service Unavailable\r\nRetry-After: 1\r\n" PROBLEM,
	  "{\"code\":\"rate_limit\",\"detail\":\"d\"}", WS_CONN_REFUSED, WS_CONN_RETRY, "d" },
	{ "500", "500 Internal Server Error\r\n" PROBLEM, "{\"code\":\"unhandled_connect_error\"}",
	  WS_CONN_REFUSED, WS_CONN_RETRY, "" },
	{ "200", "200 OK\r\n", "hello", WS_CONN_REFUSED, WS_CONN_RETRY, "" },
	{ "204", "204 No Content\r\n", "", WS_CONN_REFUSED, WS_CONN_RETRY, "" },
	{ "302 is not followed", "302 Found\r\nLocation: https://elsewhere/\r\n", "", WS_CONN_REFUSED,
	  WS_CONN_RETRY, "" },
};

static size_t build_answer(char *dst, size_t cap, size_t row, const char *accept, bool with_length)
{
	size_t n = (size_t)snprintf(dst, cap, "HTTP/1.1 ");

	for (const char *p = rows[row].answer; *p; p++)
		n += (size_t)snprintf(dst + n, cap - n, *p == '$' ? "%s" : "%.1s", *p == '$' ? accept : p);
	if (with_length && strncmp(rows[row].answer, "101", 3) != 0)
		n += (size_t)snprintf(dst + n, cap - n, "Content-Length: %zu\r\n", strlen(rows[row].body));
	return n + (size_t)snprintf(dst + n, cap - n, "\r\n%s", rows[row].body);
}

static void check_outcome(struct ws_conn *c, size_t i)
{
	ck_assert_msg(ws_conn_state(c) == rows[i].want, "%s: state %d", rows[i].why, ws_conn_state(c));
	if (rows[i].want == WS_CONN_BROKEN)
		ck_assert_msg(ws_conn_reason(c)[0], "%s", rows[i].why);
	if (rows[i].want != WS_CONN_REFUSED)
		return;
	const struct ws_conn_refusal *r = ws_conn_refusal(c);
	ck_assert_msg(r->kind == rows[i].kind, "%s: kind %d", rows[i].why, r->kind);
	ck_assert_str_eq(r->detail, rows[i].detail);
	ck_assert_int_eq((int)r->status, atoi(rows[i].answer));
	ck_assert_int_eq(r->has_retry_after, strstr(rows[i].answer, "Retry-After") != NULL);
}

START_TEST(outcome_table_at_every_cut)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		for (int with_length = 0; with_length < 2; with_length++) {
			size_t total = 1000;
			for (size_t cut = 0; cut <= total; cut++) {
				struct unit_env u;
				struct ws_conn *c;
				char accept[64], text[1000], answer[1000];
				unit_env_init(&u, 1);
				ck_assert_int_eq(ws_conn_new(&u.env, &request, &c), 0);
				take_request(c, accept, text, sizeof(text));
				total = build_answer(answer, sizeof(answer), i, accept, with_length != 0);
				if (cut > total)
					cut = total;
				ck_assert_int_eq(ws_conn_handle_data(c, answer, cut), 0);
				ck_assert_int_eq(ws_conn_handle_data(c, answer + cut, total - cut), 0);
				if (!with_length && ws_conn_state(c) == WS_CONN_UPGRADING)
					ws_conn_handle_end(c);
				check_outcome(c, i);
				ws_conn_free(c);
				unit_env_check(&u);
			}
		}
}
END_TEST

START_TEST(end_before_an_answer)
{
	struct unit_env u;
	struct ws_conn *c;
	char accept[64], text[1000];

	unit_env_init(&u, 1);
	ck_assert_int_eq(ws_conn_new(&u.env, &request, &c), 0);
	take_request(c, accept, text, sizeof(text));
	ws_conn_handle_end(c);
	ck_assert_int_eq(ws_conn_state(c), WS_CONN_BROKEN);
	ws_conn_free(c);
	unit_env_check(&u);
}
END_TEST

START_TEST(endless_heads_and_bodies_are_bounded)
{
	struct unit_env u;
	struct ws_conn *c;
	char accept[64], text[1000];
	static char block[4096];

	unit_env_init(&u, 1);
	memset(block, 'x', sizeof(block));
	ck_assert_int_eq(ws_conn_new(&u.env, &request, &c), 0);
	take_request(c, accept, text, sizeof(text));
	for (int i = 0; i < 8; i++)
		ck_assert_int_eq(ws_conn_handle_data(c, block, sizeof(block)), 0);
	ck_assert_int_eq(ws_conn_state(c), WS_CONN_BROKEN);
	ws_conn_free(c);
	ck_assert_int_eq(ws_conn_new(&u.env, &request, &c), 0);
	take_request(c, accept, text, sizeof(text));
	ck_assert_int_eq(ws_conn_handle_data(c, "HTTP/1.1 200 OK\r\n\r\n", 19), 0);
	for (int i = 0; i < 1000; i++)
		ck_assert_int_eq(ws_conn_handle_data(c, block, sizeof(block)), 0);
	ck_assert_int_eq(ws_conn_state(c), WS_CONN_UPGRADING);
	ws_conn_handle_end(c);
	ck_assert_int_eq(ws_conn_state(c), WS_CONN_REFUSED);
	ck_assert_uint_eq(strlen(ws_conn_refusal(c)->body), 255);
	ws_conn_free(c);
	unit_env_check(&u);
}
END_TEST

START_TEST(frames_after_the_upgrade)
{
	struct unit_env u;
	struct ws_conn *c;
	char accept[64], text[1000], answer[1000];
	const char *got;
	size_t len;
	uint8_t out[100];

	unit_env_init(&u, 1);
	ck_assert_int_eq(ws_conn_new(&u.env, &request, &c), 0);
	take_request(c, accept, text, sizeof(text));
	ck_assert_int_eq(ws_conn_send_text(c, "x", 1), FZ_ERR_STATE);
	size_t n = build_answer(answer, sizeof(answer), 0, accept, false);
	memcpy(answer + n,
	       "\x82\x01"
	       "b"
	       "\x81\x02{}\x88\x02\x03\xe9",
	       11); /* binary, text, close 1001 */
	ck_assert_int_eq(ws_conn_handle_data(c, answer, n + 11), 0);
	ck_assert(ws_conn_poll_text(c, &got, &len));
	ck_assert_str_eq(got, "{}");
	ck_assert_int_eq(ws_conn_state(c), WS_CONN_OPEN);
	ck_assert(!ws_conn_poll_text(c, &got, &len));
	ck_assert_int_eq(ws_conn_state(c), WS_CONN_CLOSED);
	ck_assert_ptr_nonnull(strstr(ws_conn_reason(c), "1001"));
	ck_assert_int_eq(ws_conn_poll_transmit(c, out, sizeof(out)), 8); /* the echo */
	ck_assert_uint_eq(out[0], 0x88);
	ws_conn_free(c);
	unit_env_check(&u);
}
END_TEST

START_TEST(failing_allocations)
{
	for (long at = 1; at < 12; at++) {
		struct unit_env u;
		struct ws_conn *c = NULL;
		char accept[64], text[1000], answer[1000];
		unit_env_init(&u, 1);
		u.fail_at = at;
		int err = ws_conn_new(&u.env, &request, &c);
		ck_assert(err == 0 || err == FZ_ERR_NOMEM);
		if (err == 0) {
			take_request(c, accept, text, sizeof(text));
			size_t n = build_answer(answer, sizeof(answer), 12, accept, true);
			err = ws_conn_handle_data(c, answer, n);
			ck_assert(err == 0 || err == FZ_ERR_NOMEM);
		}
		ws_conn_free(c);
		unit_env_check(&u);
	}
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("ws_conn");

	unit_case(s, "ws_conn", request_text, outcome_table_at_every_cut, end_before_an_answer,
		  endless_heads_and_bodies_are_bounded, frames_after_the_upgrade, failing_allocations);
	return s;
}
