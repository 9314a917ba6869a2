/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <stdio.h>

#include "wire/http.h"

static const struct {
	const char *why, *text;
	int want;
	unsigned status;
} heads[] = {
	{ "upgrade", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n", 0, 101 },
	{ "1.0, no reason", "HTTP/1.0 200\r\n\r\n", 0, 200 },
	{ "bare line feeds", "HTTP/1.1 404 Not Found\nA: b\n\n", 0, 404 },
	{ "empty value", "HTTP/1.1 200 OK\r\nA:\r\n\r\n", 0, 200 },
	{ "HTTP/2", "HTTP/2 200\r\n\r\n", FZ_ERR_WIRE, 0 },
	{ "not HTTP", "SSH-2.0-OpenSSH\r\n\r\n", FZ_ERR_WIRE, 0 },
	{ "short status", "HTTP/1.1 20\r\n\r\n", FZ_ERR_WIRE, 0 },
	{ "status 099", "HTTP/1.1 099 X\r\n\r\n", FZ_ERR_WIRE, 0 },
	{ "status of four digits", "HTTP/1.1 2000 X\r\n\r\n", FZ_ERR_WIRE, 0 },
	{ "folded line", "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", FZ_ERR_WIRE, 0 },
	{ "no colon", "HTTP/1.1 200 OK\r\nAb\r\n\r\n", FZ_ERR_WIRE, 0 },
	{ "blank before the colon", "HTTP/1.1 200 OK\r\nA : b\r\n\r\n", FZ_ERR_WIRE, 0 },
	{ "no name", "HTTP/1.1 200 OK\r\n: b\r\n\r\n", FZ_ERR_WIRE, 0 },
	{ "lone carriage return", "HTTP/1.1 200 OK\r\nA: b\rc\r\n\r\n", FZ_ERR_WIRE, 0 },
	{ "control character", "HTTP/1.1 200 OK\r\nA: b\x01\r\n\r\n", FZ_ERR_WIRE, 0 },
	{ "empty", "\r\n\r\n", FZ_ERR_WIRE, 0 },
};

START_TEST(head_table)
{
	for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
		char buf[300];
		struct http_head h;
		size_t len = strlen(heads[i].text);
		strcpy(buf, heads[i].text);
		int end = http_head_find(buf, len);
		ck_assert_msg(end == (int)len, "%s: end at %d", heads[i].why, end);
		ck_assert_msg(http_head_decode(buf, (size_t)end, &h) == heads[i].want, "%s", heads[i].why);
		if (heads[i].want == 0)
			ck_assert_uint_eq(h.status, heads[i].status);
	}
}
END_TEST

START_TEST(head_is_found_at_its_end_only)
{
	const char *text = heads[0].text;

	for (size_t n = 0; n < strlen(text); n++)
		ck_assert_int_eq(http_head_find(text, n), 0);
	static char endless[HTTP_HEAD_MAX + 10];
	memset(endless, 'a', sizeof(endless));
	ck_assert_int_eq(http_head_find(endless, HTTP_HEAD_MAX - 1), 0);
	ck_assert_int_eq(http_head_find(endless, HTTP_HEAD_MAX), FZ_ERR_WIRE);
}
END_TEST

START_TEST(fields)
{
	char buf[] = "HTTP/1.1 200 OK\r\nA-b:  x y \t\r\nTwice: 1\r\ntwice: 2\r\n\r\n", many[4000];
	struct http_head h;

	ck_assert_int_eq(http_head_decode(buf, strlen(buf), &h), 0);
	ck_assert_str_eq(http_field(&h, "a-B"), "x y");
	ck_assert_ptr_null(http_field(&h, "a"));
	ck_assert_ptr_null(http_field(&h, "twice"));
	strcpy(many, "HTTP/1.1 200 OK\r\n");
	for (int i = 0; i < HTTP_FIELDS_MAX; i++)
		strcat(many, "A: b\r\n");
	size_t len = strlen(many);
	strcat(many, "\r\n");
	ck_assert_int_eq(http_head_decode(many, len + 2, &h), 0);
	strcpy(many, "HTTP/1.1 200 OK\r\n");
	for (int i = 0; i <= HTTP_FIELDS_MAX; i++)
		strcat(many, "A: b\r\n");
	strcat(many, "\r\n");
	ck_assert_int_eq(http_head_decode(many, strlen(many), &h), FZ_ERR_WIRE);
}
END_TEST

static const struct {
	const char *why, *head, *in, *out;
	int taken; /* -1 = all; FZ_ERR_WIRE */
	bool done;
} bodies[] = {
	{ "length", "200 OK\r\nContent-Length: 3", "abcdef", "abc", 3, true },
	{ "length, not all yet", "200 OK\r\nContent-Length: 30", "abcdef", "abcdef", -1, false },
	{ "until the end", "200 OK", "abc", "abc", -1, false },
	{ "204", "204 No Content\r\nContent-Length: 3", "abc", "", 0, true },
	{ "length 0", "200 OK\r\nContent-Length: 0", "abc", "", 0, true },
	{ "chunks", "200 OK\r\nTransfer-Encoding: Chunked",
	  "3\r\nabc\r\nA;x=\"3\"\r\n0123456789\r\n0\r\n\r\nrest", "abc0123456789", 34, true },
	{ "trailers", "200 OK\r\nTransfer-Encoding: chunked", "1\r\na\r\n0\r\nX: y\r\n\r\n", "a", -1, true },
	{ "chunk without its end", "200 OK\r\nTransfer-Encoding: chunked", "1\r\nab", "a", FZ_ERR_WIRE,
	  false },
	{ "chunk of no size", "200 OK\r\nTransfer-Encoding: chunked", "FFFFFFFFF\r\n", "", FZ_ERR_WIRE,
	  false },
	{ "chunk with a control character", "200 OK\r\nTransfer-Encoding: chunked", "1\x01\r\n", "",
	  FZ_ERR_WIRE, false },
};

START_TEST(body_table)
{
	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++)
		for (size_t step = 1; step < 50; step += 7) {
			char head[200], out[100];
			struct http_head h;
			struct http_body b;
			size_t len = strlen(bodies[i].in), at = 0, out_len = 0;
			int n = 0;
			snprintf(head, sizeof(head), "HTTP/1.1 %s\r\n\r\n", bodies[i].head);
			ck_assert_int_eq(http_head_decode(head, strlen(head), &h), 0);
			ck_assert_int_eq(http_body_init(&h, &b), 0);
			while (at < len && !b.done && n >= 0) {
				size_t part = len - at < step ? len - at : step;
				n = http_body_handle(&b, bodies[i].in + at, part, out, &out_len, sizeof(out));
				if (n > 0)
					at += (size_t)n;
			}
			int taken = n < 0 ? n : at == len ? -1 : (int)at;
			ck_assert_msg(taken == bodies[i].taken, "%s: %d", bodies[i].why, taken);
			ck_assert_msg(b.done == bodies[i].done, "%s", bodies[i].why);
			ck_assert_msg(out_len == strlen(bodies[i].out) &&
					      memcmp(out, bodies[i].out, out_len) == 0,
				      "%s: %.*s", bodies[i].why, (int)out_len, out);
		}
}
END_TEST

START_TEST(body_is_kept_up_to_a_bound)
{
	char head[] = "HTTP/1.1 200 OK\r\n\r\n", out[4];
	struct http_head h;
	struct http_body b;
	size_t n = 0;

	ck_assert_int_eq(http_head_decode(head, strlen(head), &h), 0);
	ck_assert_int_eq(http_body_init(&h, &b), 0);
	ck_assert_int_eq(http_body_handle(&b, "0123456789", 10, out, &n, sizeof(out)), 10);
	ck_assert_uint_eq(n, 4);
}
END_TEST

START_TEST(faulty_framing)
{
	static const char *const bad[] = { "Content-Length: 3x",
					   "Content-Length: -3",
					   "Content-Length: 99999999999999999999",
					   "Content-Length: 3\r\nContent-Length: 4",
					   "Transfer-Encoding: gzip, chunked",
					   "Transfer-Encoding: identity" };

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char head[200];
		struct http_head h;
		struct http_body b;
		snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\n%s\r\n\r\n", bad[i]);
		ck_assert_int_eq(http_head_decode(head, strlen(head), &h), 0);
		ck_assert_msg(http_body_init(&h, &b) == FZ_ERR_WIRE, "%s", bad[i]);
	}
}
END_TEST

START_TEST(media_types)
{
	ck_assert(http_media_type_is("application/problem+json", "application/problem+json"));
	ck_assert(http_media_type_is("Application/Problem+JSON; charset=utf-8", "application/problem+json"));
	ck_assert(http_media_type_is("application/problem+json ;a", "application/problem+json"));
	ck_assert(!http_media_type_is("application/problem+jsonx", "application/problem+json"));
	ck_assert(!http_media_type_is("application/json", "application/problem+json"));
	ck_assert(!http_media_type_is(NULL, "application/problem+json"));
}
END_TEST

/* Acceptance 8.16 and control-plane 1.7. */
static const struct {
	const char *fields;
	bool good;
	uint64_t want;
} retries[] = {
	{ "Retry-After: 0", true, 0 },
	{ "Retry-After: 17", true, 17 },
	{ "Retry-After:  +17 ", true, 17 },
	{ "Retry-After: 1.5", false, 0 },
	{ "Retry-After: -1", false, 0 },
	{ "Retry-After: soon", false, 0 },
	{ "Retry-After: ", false, 0 },
	{ "Retry-After: 99999999999999999999", false, 0 },
	{ "X: y", false, 0 },
	{ "Retry-After: Sun, 06 Nov 1994 08:49:37 GMT", false, 0 }, /* no Date to compare with */
	{ "Date: Sun, 06 Nov 1994 08:49:30 GMT\r\nRetry-After: Sun, 06 Nov 1994 08:49:37 GMT", true, 7 },
	{ "Date: Sun, 06 Nov 1994 08:49:40 GMT\r\nRetry-After: Sun, 06 Nov 1994 08:49:37 GMT", true, 0 },
	{ "Date: Thu, 31 Dec 2026 23:59:59 GMT\r\nRetry-After: Fri, 01 Jan 2027 00:00:01 +0000", true, 2 },
	{ "Date: Wed, 28 Feb 2024 00:00:00 GMT\r\nRetry-After: Fri, 01 Mar 2024 00:00:00 GMT", true, 172800 },
	{ "Date: Sun, 06 Nov 1994 08:49:30 GMT\r\nRetry-After: Sun, 06 Nov 94 08:49:37 GMT", false, 0 },
	{ "Date: Sun, 06 Nov 1994 08:49:30 GMT\r\nRetry-After: Sun, 06 Foo 1994 08:49:37 GMT", false, 0 },
	{ "Date: Sun, 06 Nov 1994 08:49:30 GMT\r\nRetry-After: Sun, 06 Nov 1994 28:49:37 GMT", false, 0 },
};

START_TEST(a8_16_retry_after)
{
	for (size_t i = 0; i < sizeof(retries) / sizeof(retries[0]); i++) {
		char head[300];
		struct http_head h;
		uint64_t s = 0;
		snprintf(head, sizeof(head), "HTTP/1.1 503 X\r\n%s\r\n\r\n", retries[i].fields);
		ck_assert_int_eq(http_head_decode(head, strlen(head), &h), 0);
		ck_assert_msg(http_retry_after(&h, &s) == retries[i].good, "%s", retries[i].fields);
		ck_assert_msg(s == retries[i].want, "%s: %u", retries[i].fields, (unsigned)s);
	}
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("http");

	unit_case(s, "head", head_table, head_is_found_at_its_end_only, fields);
	unit_case(s, "body", body_table, body_is_kept_up_to_a_bound, faulty_framing);
	unit_case(s, "values", media_types, a8_16_retry_after);
	return s;
}
