/* SPDX-License-Identifier: Apache-2.0 */
/* The conformance test of platforms, second part: DNS, names, HTTP. */
#include "unit.h"

#include "base/time.h"
#include "rig_ask.h"

#define OPS rig.a.ops
#define CTX rig.a.ctx
enum { HEADER = 12 };

static uint8_t in[600];

static void set_up(void)
{
	rig_open(false);
}

static void tear_down(void)
{
	rig_ask_close();
	rig_close();
}

/* Ends what would hang, and decides nothing else: a busy machine may take its time. */
static uint64_t patience(void)
{
	return OPS->now_us(CTX) + FZ_SEC(30);
}

/* News of the network are taken, since else no wait would wait any more. */
static uint32_t look(void)
{
	uint32_t ready = 0;

	ck_assert_int_eq(OPS->wait(CTX, OPS->now_us(CTX) + 10000, &ready), 0);
	while (OPS->net_event(CTX) > 0)
		;
	rig_pass(10000);
	return ready;
}

/* No deadline is left; what the platform hears of the network may take a moment to settle. */
static bool is_idle(void)
{
	for (uint64_t end = patience(); OPS->next_timeout(CTX) != FZ_NEVER_US && OPS->now_us(CTX) < end;)
		(void)look();
	return OPS->next_timeout(CTX) == FZ_NEVER_US;
}

static size_t make_query(uint8_t *m, uint16_t id)
{
	const uint8_t q[] = { (uint8_t)(id >> 8),
			      (uint8_t)id,
			      1,
			      0,
			      0,
			      1,
			      0,
			      0,
			      0,
			      0,
			      0,
			      0,
			      4,
			      'h',
			      'o',
			      's',
			      't',
			      4,
			      't',
			      'e',
			      's',
			      't',
			      0,
			      0,
			      1,
			      0,
			      1 };

	memcpy(m, q, sizeof(q));
	return sizeof(q);
}

static int ask(uint64_t id, uint8_t transport, const char *server, uint16_t dns_id, uint32_t timeout_ms)
{
	uint8_t m[64];
	struct fz_dns_query q = { .size = sizeof(q),
				  .id = id,
				  .transport = transport,
				  .data = m,
				  .len = make_query(m, dns_id),
				  .timeout_ms = timeout_ms };

	ck_assert_int_eq(fz_addr_parse(server, &q.server), 0);
	return OPS->dns_query(CTX, &q);
}

static struct fz_dns_answer answer(void)
{
	struct fz_dns_answer a;

	for (uint64_t end = patience(); OPS->now_us(CTX) < end;)
		if (look() & FZ_READY_DNS && OPS->dns_answer(CTX, &a))
			return a;
	ck_abort_msg("no answer");
}

START_TEST(queries_are_answered)
{
	for (uint8_t transport = FZ_DNS_UDP; transport <= FZ_DNS_TCP; transport++) {
		struct fz_dns_answer a;
		size_t len = 0;
		uint8_t m[64];
		(void)rig_query(in, sizeof(in)); /* it is there from now on */
		ck_assert_int_eq(ask(7, transport, RIG_DNS, 0xabcd, 0), 0);
		ck_assert_uint_ne(OPS->next_timeout(CTX), FZ_NEVER_US);
		for (uint64_t end = patience(); len == 0 && OPS->now_us(CTX) < end;) {
			(void)look();
			len = rig_query(in, sizeof(in));
		}
		ck_assert_uint_eq(len, make_query(m, 0xabcd));
		ck_assert_mem_eq(in + 2, m + 2, len - 2);
		in[2] |= 0x80;
		memcpy(in + len, "more", 4);
		rig_answer(in, len + 4);
		a = answer();
		ck_assert_uint_eq(a.id, 7);
		ck_assert_int_eq(a.err, 0);
		ck_assert_uint_eq(a.len, len + 4);
		ck_assert_uint_eq(a.data[0] << 8 | a.data[1], 0xabcd);
		ck_assert_mem_eq(a.data + 2, in + 2, len + 2);
		ck_assert(!OPS->dns_answer(CTX, &a));
		ck_assert(is_idle());
	}
}
END_TEST

START_TEST(queries_time_out)
{
	(void)rig_query(in, sizeof(in));
	ck_assert_int_eq(ask(1, FZ_DNS_UDP, RIG_NO_DNS, 1, 50), 0);
	struct fz_dns_answer a = answer();
	ck_assert_uint_eq(a.id, 1);
	ck_assert_int_eq(a.err, FZ_ERR_TIMEOUT);
	ck_assert_uint_eq(a.len, 0);
	ck_assert(is_idle());
	ck_assert_uint_eq(look() & FZ_READY_DNS, 0);
}
END_TEST

START_TEST(queries_that_make_no_sense)
{
	uint8_t m[64];
	struct fz_dns_query q = { .size = sizeof(q), .data = m, .len = make_query(m, 1) };

	ck_assert_int_eq(OPS->dns_query(CTX, &q), FZ_ERR_INVAL); /* no server */
	ck_assert_int_eq(fz_addr_parse(RIG_DNS, &q.server), 0);
	q.len = HEADER - 1;
	ck_assert_int_eq(OPS->dns_query(CTX, &q), FZ_ERR_INVAL);
	q.len = HEADER;
	q.transport = 3;
	ck_assert_int_eq(OPS->dns_query(CTX, &q), FZ_ERR_INVAL);
	q.transport = FZ_DNS_HTTPS; /* no URL */
	ck_assert_int_eq(OPS->dns_query(CTX, &q), FZ_ERR_INVAL);
	q.transport = FZ_DNS_UDP;
	q.bind.family = FZ_FAMILY_INET6;
	ck_assert_int_eq(OPS->dns_query(CTX, &q), FZ_ERR_INVAL);
}
END_TEST

START_TEST(a_reset_ends_what_is_under_way)
{
	struct fz_http_result r;
	struct fz_resolved n;
	struct fz_http_request q = { .size = sizeof(q), .id = 3, .method = "GET", .url = RIG_URL };

	(void)rig_query(in, sizeof(in));
	ck_assert_int_eq(ask(1, FZ_DNS_UDP, RIG_NO_DNS, 1, 0), 0);
	ck_assert_int_eq(OPS->resolve(CTX, 2, "nobody-answers.example"), 0);
	ck_assert_int_eq(OPS->http_start(CTX, &q), 0);
	OPS->ask_reset(CTX);
	ck_assert_int_eq(answer().err, FZ_ERR_IO);
	ck_assert(OPS->resolved(CTX, &n));
	ck_assert_uint_eq(n.id, 2);
	ck_assert_int_ne(n.err, 0);
	ck_assert(OPS->http_result(CTX, &r));
	ck_assert_uint_eq(r.id, 3);
	ck_assert_int_eq(r.err, FZ_ERR_IO);
	ck_assert_str_ne(r.error, "");
	ck_assert(is_idle());
}
END_TEST

/* Results that were not taken are told again, and nobody sleeps meanwhile. */
START_TEST(results_are_told_until_they_are_taken)
{
	struct fz_dns_answer a;
	struct fz_resolved n;
	struct fz_http_result h;
	struct fz_http_request q = { .size = sizeof(q), .method = "GET", .url = RIG_URL };

	(void)rig_query(in, sizeof(in));
	for (uint64_t i = 0; i < 3; i++) {
		q.id = i;
		ck_assert_int_eq(ask(i, FZ_DNS_UDP, RIG_NO_DNS, 1, 0), 0);
		ck_assert_int_eq(OPS->resolve(CTX, i, "nobody-answers.example"), 0);
		ck_assert_int_eq(OPS->http_start(CTX, &q), 0);
	}
	OPS->ask_reset(CTX);
	for (int i = 0; i < 3; i++) {
		uint32_t ready = look();
		ck_assert_uint_eq(ready & FZ_READY_DNS, FZ_READY_DNS);
		ck_assert_uint_eq(ready & FZ_READY_HTTP, FZ_READY_HTTP);
		ck_assert_uint_le(OPS->next_timeout(CTX), OPS->now_us(CTX));
		ck_assert(OPS->dns_answer(CTX, &a));
		ck_assert_uint_le(OPS->next_timeout(CTX), OPS->now_us(CTX));
		ck_assert(OPS->resolved(CTX, &n));
		ck_assert_uint_le(OPS->next_timeout(CTX), OPS->now_us(CTX));
		ck_assert(OPS->http_result(CTX, &h));
	}
	ck_assert_uint_eq(look() & (FZ_READY_DNS | FZ_READY_HTTP), 0);
	ck_assert(is_idle());
}
END_TEST

START_TEST(closing_forgets_everything)
{
	const struct fz_addr here = { .ip = rig.a4, .port = RIG_LISTEN_PORT };
	struct fz_http_request q = { .size = sizeof(q), .id = 3, .method = "GET", .url = RIG_URL };

	(void)rig_query(in, sizeof(in));
	ck_assert_int_eq(OPS->dns_listen(CTX, &here, true, true), 0);
	ck_assert_int_eq(ask(1, FZ_DNS_UDP, RIG_NO_DNS, 1, 0), 0);
	ck_assert_int_eq(ask(1, FZ_DNS_TCP, RIG_DNS, 1, 0), 0);
	ck_assert_int_eq(OPS->resolve(CTX, 2, "localhost"), 0);
	ck_assert_int_eq(OPS->http_start(CTX, &q), 0);
	OPS->ask_close(CTX);
	ck_assert(is_idle());
	ck_assert_uint_eq(look() & (FZ_READY_DNS | FZ_READY_HTTP), 0);
	make_query(in, 1);
	ck_assert(!rig_request(true, in, HEADER));
}
END_TEST

static struct fz_dns_request request(void)
{
	struct fz_dns_request r;

	for (uint64_t end = patience(); OPS->now_us(CTX) < end;)
		if (look() & FZ_READY_DNS && OPS->dns_request(CTX, &r))
			return r;
	ck_abort_msg("no request");
}

START_TEST(requests_are_answered)
{
	const struct fz_addr here = { .ip = rig.a4, .port = RIG_LISTEN_PORT };
	struct fz_dns_request r;
	uint8_t m[64];
	size_t len = make_query(m, 0x1234);

	ck_assert_int_eq(OPS->dns_listen(CTX, &here, false, false), FZ_ERR_INVAL);
	ck_assert(!rig_request(true, m, len));
	ck_assert_int_eq(OPS->dns_listen(CTX, &here, true, true), 0);
	for (int tcp = 0; tcp < 2; tcp++) {
		size_t got = 0;
		ck_assert(rig_request(tcp, m, len));
		r = request();
		ck_assert_int_eq(r.tcp, tcp);
		ck_assert_uint_eq(r.len, len);
		ck_assert_mem_eq(r.data, m, len);
		ck_assert(fz_addr_equal(&r.local, &here));
		ck_assert(r.peer.ip.family == FZ_FAMILY_INET && r.peer.port != 0);
		ck_assert_int_eq(OPS->dns_reply(CTX, r.id, "an answer", 9), 0);
		ck_assert_int_eq(OPS->dns_reply(CTX, r.id, "an answer", 9), FZ_ERR_NOT_FOUND);
		for (uint64_t end = patience(); got == 0 && OPS->now_us(CTX) < end;) {
			got = rig_reply(in, sizeof(in));
			(void)look();
		}
		ck_assert_uint_eq(got, 9);
		ck_assert_mem_eq(in, "an answer", 9);
	}
	ck_assert_int_eq(OPS->dns_listen(CTX, &here, true, false), 0);
	ck_assert(!rig_request(true, m, len));
	ck_assert(rig_request(false, m, len));
	r = request();
	ck_assert_int_eq(OPS->dns_reply(CTX, r.id, NULL, 0), 0);
	ck_assert_int_eq(OPS->dns_reply(CTX, r.id + 12345, "x", 1), FZ_ERR_NOT_FOUND);
	OPS->dns_unlisten(CTX, &here);
	OPS->dns_unlisten(CTX, &here);
	ck_assert(!rig_request(false, m, len));
}
END_TEST

START_TEST(eight_places)
{
	struct fz_addr a = { .ip = rig.a4, .port = 6000 };

	for (; a.port < 6008; a.port++)
		ck_assert_int_eq(OPS->dns_listen(CTX, &a, true, true), 0);
	ck_assert_int_eq(OPS->dns_listen(CTX, &a, true, true), FZ_ERR_FULL);
	a.port--;
	ck_assert_int_eq(OPS->dns_listen(CTX, &a, false, true), 0);
	OPS->dns_unlisten(CTX, &a);
	a.port++;
	ck_assert_int_eq(OPS->dns_listen(CTX, &a, true, true), 0);
}
END_TEST

START_TEST(names_are_resolved)
{
	struct fz_resolved r = { .id = 0 };
	bool got = false;

	ck_assert_int_eq(OPS->resolve(CTX, 5, ""), FZ_ERR_INVAL);
	ck_assert_int_eq(OPS->resolve(CTX, 5, "localhost"), 0);
	for (uint64_t end = patience(); !got && OPS->now_us(CTX) < end;) {
		rig_ask_step();
		got = look() & FZ_READY_DNS && OPS->resolved(CTX, &r);
	}
	ck_assert(got);
	ck_assert_uint_eq(r.id, 5);
	ck_assert_int_eq(r.err, 0);
	ck_assert_uint_ge(r.len, 1);
	ck_assert(r.addrs[0].b[0] == 127 || r.addrs[0].family == FZ_FAMILY_INET6);
	ck_assert(!OPS->resolved(CTX, &r));
	ck_assert(is_idle());
}
END_TEST

START_TEST(http_carries_bodies)
{
	const struct fz_http_header header = { "content-type", "text/plain" };
	struct fz_http_request q = { .size = sizeof(q),
				     .id = 8,
				     .method = "POST",
				     .url = RIG_URL,
				     .headers = &header,
				     .headers_len = 1,
				     .body = "to and fro",
				     .body_len = 10 };
	struct fz_http_result r = { .id = 0 };
	bool got = false;

	rig_ask_step();
	ck_assert_int_eq(OPS->http_start(CTX, &q), 0);
	for (uint64_t end = patience(); !got && OPS->now_us(CTX) < end;) {
		rig_ask_step();
		got = look() & FZ_READY_HTTP && OPS->http_result(CTX, &r);
	}
	ck_assert(got);
	ck_assert_uint_eq(r.id, 8);
	ck_assert_int_eq(r.err, 0);
	ck_assert_uint_eq(r.status, 200);
	ck_assert_uint_eq(r.retry_after_s, 7);
	ck_assert_str_eq(r.content_type, "text/plain");
	ck_assert_str_eq(r.location, "");
	ck_assert_str_eq(r.error, "");
	ck_assert_uint_eq(r.body_len, 10);
	ck_assert_mem_eq(r.body, "to and fro", 10);
	ck_assert(!OPS->http_result(CTX, &r));
	ck_assert(is_idle());
}
END_TEST

START_TEST(http_is_limited_and_cancelled)
{
	struct fz_http_request q = { .size = sizeof(q), .method = "GET", .url = RIG_URL };
	struct fz_http_result r;

	rig_ask_step();
	for (q.id = 0; q.id < 32; q.id++)
		ck_assert_int_eq(OPS->http_start(CTX, &q), 0);
	ck_assert_int_eq(OPS->http_start(CTX, &q), FZ_ERR_FULL);
	for (uint64_t id = 0; id < 33; id++)
		OPS->http_cancel(CTX, id);
	ck_assert_uint_eq(look() & FZ_READY_HTTP, 0);
	ck_assert(!OPS->http_result(CTX, &r));
	ck_assert_int_eq(OPS->http_start(CTX, &q), 0);
	q.url = NULL;
	ck_assert_int_eq(OPS->http_start(CTX, &q), FZ_ERR_INVAL);
}
END_TEST

Suite *unit_suite(void)
{
	const TTest *const tests[] = { queries_are_answered,
				       queries_time_out,
				       queries_that_make_no_sense,
				       a_reset_ends_what_is_under_way,
				       results_are_told_until_they_are_taken,
				       closing_forgets_everything,
				       requests_are_answered,
				       eight_places,
				       names_are_resolved,
				       http_carries_bodies,
				       http_is_limited_and_cancelled };
	Suite *s = suite_create("platform, asking");
	TCase *tc = tcase_create("asking");

	rig_probe();
	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_set_timeout(tc, 60);
	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
		tcase_add_test(tc, tests[i]);
	suite_add_tcase(s, tc);
	return s;
}
