/* SPDX-License-Identifier: Apache-2.0 */
/* The uploader against a portal of this test's making. */
#include "unit.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/mem.h"
#include "base/time.h"
#include "flow/upload.h"
#include "flow_token.h"

#define ROOT "/spool"
#define ID2 "99999999-2222-4333-8444-555555555555"
#define UNIX_S UINT64_C(1700000000)
#define URL "https://flow-api.example/ingestion/flow_logs"

static struct {
	struct unit_env u;
	struct fz_memnet *net;
	struct fz_platform p;
	struct flow_stats stats;
	struct flow_spool spool;
	struct flow_upload *up;
	uint64_t now_us;
	struct flow_request q;
} w;

static void write_file(const char *path, const char *text)
{
	ck_assert_int_eq(w.p.ops->file_write(w.p.ctx, path, text, strlen(text)), 0);
}

static bool exists(const char *path)
{
	char buf[20000];

	return w.p.ops->file_read(w.p.ctx, path, buf, sizeof(buf)) != FZ_ERR_NOT_FOUND;
}

static const char *folder(const char *id, const char *name)
{
	static char path[4][256];
	static unsigned turn;

	turn++;
	snprintf(path[turn % 4], sizeof(path[0]), ROOT "/responder/%s%s%s", id, name ? "/" : "",
		 name ? name : "");
	return path[turn % 4];
}

static void add_auth(const char *id, uint64_t expires_s)
{
	const struct flow_token t = { .id = id, .expires_s = expires_s };

	ck_assert_int_eq(w.p.ops->dir_make(w.p.ctx, folder(id, NULL)), 0);
	write_file(folder(id, "token"), flow_token(&t));
}

static const char *name_of(unsigned n, bool is_end)
{
	static char name[4][FLOW_REPORT_NAME_LEN];
	static unsigned turn;
	const struct flow_report_name r = { .start_s = UNIX_S + n, .stem = 0xabc, .is_end = is_end };

	return flow_report_name_format(&r, name[turn++ % 4]);
}

/* A report whose record says which it is. */
static void add_report(const char *id, unsigned n, bool is_end)
{
	struct jv *v = jv_object();
	char *text;
	size_t len;

	ck_assert(jv_set_u64(v, "n", n) && jv_set_bool(v, "end", is_end));
	text = flow_report_encode(&w.u.env, v, &len);
	write_file(folder(id, name_of(n, is_end)), text);
	fz_free(&w.u.env, text);
	jv_free(v);
}

static int try_begin(bool plain)
{
	struct fz_ip a = { 0 };
	int err = fz_memnet_new(&w.u.env, &w.net);

	if (err == 0)
		err = fz_memnet_host(w.net, &a, &a, &w.p);
	if (err == 0)
		err = flow_spool_init(&w.spool, &w.u.env, &w.p, ROOT, &w.stats);
	return err ? err : flow_upload_new(&w.u.env, &w.spool, plain, w.now_us, &w.up);
}

static void configure(const char *url, uint64_t batch)
{
	struct flow_upload_config c = { .interval_s = 60, .batch = batch };

	strcpy(c.api_url, url);
	flow_spool_set_config(&w.spool, &c);
}

static void reset(void)
{
	memset(&w, 0, sizeof(w));
	unit_env_init(&w.u, 5);
	w.now_us = FZ_SEC(1);
}

static void begin_at(const char *url, uint64_t batch, bool plain)
{
	reset();
	ck_assert_int_eq(try_begin(plain), 0);
	fz_memnet_advance(w.net, w.now_us);
	configure(url, batch);
}

static void begin(void)
{
	begin_at("https://flow-api.example/", 1000, false);
}

static void end(void)
{
	flow_upload_free(w.up);
	fz_memnet_free(w.net);
	unit_env_check(&w.u);
}

static void turn_clock(uint64_t at_us)
{
	fz_memnet_advance(w.net, at_us - w.now_us);
	w.now_us = at_us;
}

/* Work until a request comes out, or nothing is to be done before `within` has passed. */
static bool asks(uint64_t within)
{
	uint64_t end_us = w.now_us + within;

	for (;;) {
		uint64_t next = flow_upload_next_timeout(w.up);
		if (next > end_us) {
			turn_clock(end_us);
			return false;
		}
		if (next > w.now_us)
			turn_clock(next);
		flow_upload_run(w.up, w.now_us, UNIX_S + w.now_us / 1000000);
		if (flow_upload_poll_request(w.up, &w.q))
			return true;
	}
}

static void answer(int status)
{
	const struct flow_answer a = { .status = status };

	flow_upload_handle_answer(w.up, &a, w.now_us);
}

/* The numbers of the request's records, such as "1e 2s". */
static const char *records(void)
{
	static char text[256];
	struct jv *v;
	const struct jv *list;
	size_t at = 0;

	ck_assert_int_eq(jv_parse(w.q.body, w.q.len, &v), JV_OK);
	list = jv_get(v, "flow_logs");
	text[0] = '\0';
	for (size_t i = 0; i < jv_len(list) && at < sizeof(text); i++) {
		uint64_t n;
		bool is_end;
		ck_assert(jv_u64(jv_get(jv_at(list, i), "n"), &n));
		ck_assert(jv_bool(jv_get(jv_at(list, i), "end"), &is_end));
		at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%" PRIu64 "%c", i ? " " : "", n,
				       is_end ? 'e' : 's');
	}
	jv_free(v);
	return text;
}

START_TEST(a13_15_batches)
{
	begin_at("https://flow-api.example/", 3, false);
	add_auth(FLOW_TOKEN_ID, 0);
	add_report(FLOW_TOKEN_ID, 4, true);
	add_report(FLOW_TOKEN_ID, 2, false);
	add_report(FLOW_TOKEN_ID, 2, true);
	add_report(FLOW_TOKEN_ID, 3, false);
	add_report(FLOW_TOKEN_ID, 1, true);
	ck_assert(asks(0));
	ck_assert_str_eq(w.q.url, URL);
	ck_assert_str_eq(records(), "1e 2e 3s");
	ck_assert_int_eq(strncmp(w.q.token, "eyJhbGci", 8), 0);
	ck_assert(!asks(FZ_SEC(5))); /* one at a time */
	ck_assert(exists(folder(FLOW_TOKEN_ID, name_of(1, true))));
	answer(200);
	ck_assert(!asks(0));
	ck_assert(!exists(folder(FLOW_TOKEN_ID, name_of(1, true))));
	ck_assert(!exists(folder(FLOW_TOKEN_ID, name_of(2, true))));
	ck_assert(!exists(folder(FLOW_TOKEN_ID, name_of(2, false))));
	ck_assert(!exists(folder(FLOW_TOKEN_ID, name_of(3, false))));
	/* There was more: the next pass comes after a second. */
	ck_assert(!asks(FZ_MS(999)));
	ck_assert(asks(FZ_MS(1)));
	ck_assert_str_eq(records(), "4e");
	answer(202);
	ck_assert(!asks(FZ_MS(59999)));
	ck_assert_uint_eq(w.stats.uploaded, 4);
	/* The folder has done its duty. */
	ck_assert(!asks(FZ_SEC(120)));
	ck_assert(!exists(folder(FLOW_TOKEN_ID, "token")));
	ck_assert(!exists(folder(FLOW_TOKEN_ID, NULL)));
	end();
}
END_TEST

START_TEST(a13_15_nothing_without_token)
{
	begin();
	add_auth(FLOW_TOKEN_ID, 0);
	add_report(FLOW_TOKEN_ID, 1, true);
	ck_assert_int_eq(w.p.ops->file_remove(w.p.ctx, folder(FLOW_TOKEN_ID, "token")), 0);
	ck_assert(!asks(FZ_SEC(10)));
	write_file(folder(FLOW_TOKEN_ID, "token"), "not.a.token");
	ck_assert(!asks(FZ_SEC(100)));
	ck_assert(exists(folder(FLOW_TOKEN_ID, name_of(1, true)))); /* unreadable: kept */
	end();
}
END_TEST

START_TEST(a13_16_classes)
{
	static const struct {
		int status;
		enum flow_verdict want;
	} cases[] = {
		{ 200, FLOW_TAKEN },     { 202, FLOW_TAKEN },     { 204, FLOW_TAKEN },
		{ 413, FLOW_TOO_LARGE }, { 429, FLOW_TOO_FAST },  { 408, FLOW_AGAIN },
		{ 500, FLOW_AGAIN },     { 503, FLOW_AGAIN },     { 301, FLOW_ELSEWHERE },
		{ 302, FLOW_ELSEWHERE }, { 307, FLOW_ELSEWHERE }, { 308, FLOW_ELSEWHERE },
		{ 303, FLOW_KEEP },      { 304, FLOW_KEEP },      { 400, FLOW_KEEP },
		{ 401, FLOW_KEEP },      { 403, FLOW_KEEP },      { 404, FLOW_KEEP },
		{ 422, FLOW_KEEP },      { 0, FLOW_KEEP },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		ck_assert_int_eq(flow_upload_classify(cases[i].status), cases[i].want);
}
END_TEST

START_TEST(a13_16_too_large)
{
	begin();
	add_auth(FLOW_TOKEN_ID, 0);
	for (unsigned i = 1; i <= 5; i++)
		add_report(FLOW_TOKEN_ID, i, true);
	ck_assert(asks(0));
	ck_assert_str_eq(records(), "1e 2e 3e 4e 5e");
	answer(413);
	ck_assert(asks(0));
	ck_assert_str_eq(records(), "1e 2e");
	answer(413);
	ck_assert(asks(0));
	ck_assert_str_eq(records(), "1e");
	answer(413); /* one alone stays */
	ck_assert(asks(0));
	ck_assert_str_eq(records(), "2e 3e 4e 5e");
	answer(200);
	ck_assert(!asks(FZ_SEC(59)));
	ck_assert(exists(folder(FLOW_TOKEN_ID, name_of(1, true))));
	for (unsigned i = 2; i <= 5; i++)
		ck_assert(!exists(folder(FLOW_TOKEN_ID, name_of(i, true))));
	end();
}
END_TEST

START_TEST(a13_16_too_fast)
{
	struct flow_answer a = { .status = 429, .retry_after_s = 7 };

	begin();
	add_auth(FLOW_TOKEN_ID, 0);
	add_report(FLOW_TOKEN_ID, 1, true);
	ck_assert(asks(0));
	flow_upload_handle_answer(w.up, &a, w.now_us);
	ck_assert(!asks(FZ_MS(6999)));
	ck_assert(asks(FZ_MS(1)));
	/* Without limit, and a second when it does not say. */
	for (int i = 0; i < 1000; i++) {
		answer(429);
		ck_assert(!asks(FZ_MS(999)));
		ck_assert(asks(FZ_MS(1)));
	}
	a.retry_after_s = UINT64_MAX; /* no promise to wait for ever */
	flow_upload_handle_answer(w.up, &a, w.now_us);
	ck_assert(asks(FZ_SEC(3600)));
	answer(200);
	ck_assert(!asks(0));
	ck_assert_uint_eq(w.stats.uploaded, 1);
	end();
}
END_TEST

START_TEST(a13_16_again_for_five_minutes)
{
	struct flow_answer broken = { .err = FZ_ERR_IO };
	uint64_t begun, last, gap;
	unsigned n = 0;

	begin();
	add_auth(FLOW_TOKEN_ID, 0);
	add_auth(ID2, 0);
	add_report(FLOW_TOKEN_ID, 1, true);
	add_report(ID2, 2, true);
	ck_assert(asks(0));
	begun = last = w.now_us;
	for (;;) {
		if (n % 2)
			answer(503);
		else
			flow_upload_handle_answer(w.up, &broken, w.now_us);
		ck_assert(asks(FZ_SEC(200)));
		gap = w.now_us - last;
		last = w.now_us;
		n++;
		if (w.now_us - begun > FZ_SEC(300))
			break; /* a new pass */
		ck_assert_uint_le(gap, FZ_SEC(90));
		if (n == 1) {
			ck_assert_uint_ge(gap, FZ_MS(500));
			ck_assert_uint_le(gap, FZ_MS(750));
		}
	}
	ck_assert_uint_ge(n, 12);
	ck_assert_uint_le(n, 20);
	/* It begins anew, with the first authorization. */
	ck_assert_str_eq(records(), "1e");
	answer(200);
	ck_assert(asks(0));
	ck_assert_str_eq(records(), "2e");
	answer(200);
	end();
}
END_TEST

static const struct {
	const char *location; /* as the platform has it: absolute */
	bool is_followed;
} redirects[] = {
	{ "https://other.example/v2/flows", true },
	{ "https://other.example:443/v2/flows", true },
	{ "https://other.example:8443/v2/flows", false },
	{ "http://other.example/v2/flows", false },
	{ "https://user@other.example/v2/flows", false },
	{ "https://user:secret@other.example/v2/flows", false },
	{ "ftp://other.example/v2/flows", false },
	{ "", false },
	{ NULL, false },
};

START_TEST(a13_16_redirects)
{
	for (size_t i = 0; i < sizeof(redirects) / sizeof(redirects[0]); i++) {
		const struct flow_answer a = { .status = 307, .location = redirects[i].location };
		begin();
		add_auth(FLOW_TOKEN_ID, 0);
		add_report(FLOW_TOKEN_ID, 1, true);
		ck_assert(asks(0));
		flow_upload_handle_answer(w.up, &a, w.now_us);
		ck_assert_msg(asks(FZ_SEC(1)) == redirects[i].is_followed, "%s",
			      redirects[i].location ? redirects[i].location : "(none)");
		if (redirects[i].is_followed) {
			ck_assert_int_eq(strncmp(w.q.url, "https://other.example", 21), 0);
			ck_assert_str_eq(records(), "1e");
			answer(200);
			ck_assert(!asks(0));
			ck_assert(!exists(folder(FLOW_TOKEN_ID, name_of(1, true))));
		} else {
			ck_assert(exists(folder(FLOW_TOKEN_ID, name_of(1, true))));
		}
		end();
	}
}
END_TEST

START_TEST(a13_16_five_redirects)
{
	const struct flow_answer a = { .status = 302, .location = "/somewhere/else" };

	begin();
	add_auth(FLOW_TOKEN_ID, 0);
	add_report(FLOW_TOKEN_ID, 1, true);
	ck_assert(asks(0));
	for (int i = 0; i < 5; i++) {
		flow_upload_handle_answer(w.up, &a, w.now_us);
		ck_assert(asks(0));
		ck_assert_str_eq(w.q.url, "https://flow-api.example/somewhere/else");
	}
	flow_upload_handle_answer(w.up, &a, w.now_us);
	ck_assert(!asks(FZ_SEC(59)));
	ck_assert(asks(FZ_SEC(1))); /* the next pass begins at the beginning */
	ck_assert_str_eq(w.q.url, URL);
	end();
}
END_TEST

START_TEST(a13_16_others_keep)
{
	begin();
	add_auth(FLOW_TOKEN_ID, 0);
	add_auth(ID2, 0);
	add_report(FLOW_TOKEN_ID, 1, true);
	add_report(ID2, 2, true);
	ck_assert(asks(0));
	answer(401);
	ck_assert(asks(0)); /* the others go on */
	ck_assert_str_eq(records(), "2e");
	answer(200);
	ck_assert(!asks(FZ_MS(59999))); /* no backlog */
	ck_assert(asks(FZ_SEC(1)));
	ck_assert_str_eq(records(), "1e");
	end();
}
END_TEST

START_TEST(a13_17_pruning)
{
	begin();
	add_auth(FLOW_TOKEN_ID, UNIX_S - 1);
	for (unsigned i = 0; i < 200; i++)
		add_report(FLOW_TOKEN_ID, i, true);
	ck_assert_int_eq(w.p.ops->dir_make(w.p.ctx, folder(ID2, NULL)), 0);
	add_report(ID2, 1, true);
	/* With a token that is over: all of it goes. A folder without a token may be in the making. */
	ck_assert(!asks(FZ_SEC(1)));
	ck_assert(!exists(folder(FLOW_TOKEN_ID, NULL)));
	ck_assert(exists(folder(ID2, NULL)));
	ck_assert(!asks(FZ_SEC(59)));
	ck_assert(exists(folder(ID2, NULL)));
	ck_assert(!asks(FZ_SEC(61)));
	ck_assert(!exists(folder(ID2, NULL)));
	end();
}
END_TEST

START_TEST(damaged_reports_are_deleted)
{
	begin();
	add_auth(FLOW_TOKEN_ID, 0);
	add_report(FLOW_TOKEN_ID, 1, true);
	write_file(folder(FLOW_TOKEN_ID, name_of(2, true)), "{\"checksum\":1,\"payload\":{\"n\":2}}");
	write_file(folder(FLOW_TOKEN_ID, name_of(3, true)), "");
	write_file(folder(FLOW_TOKEN_ID, name_of(4, true)), "{\"checksum\":");
	write_file(folder(FLOW_TOKEN_ID, "1700000009-0000000000000abc.end.json.tmp"), "{");
	write_file(folder(FLOW_TOKEN_ID, "something else"), "of somebody else");
	ck_assert(asks(0));
	ck_assert_str_eq(records(), "1e");
	for (unsigned i = 2; i <= 4; i++)
		ck_assert(!exists(folder(FLOW_TOKEN_ID, name_of(i, true))));
	ck_assert(!exists(folder(FLOW_TOKEN_ID, "1700000009-0000000000000abc.end.json.tmp")));
	ck_assert(exists(folder(FLOW_TOKEN_ID, "something else")));
	ck_assert_uint_eq(w.stats.corrupt, 3);
	end();
}
END_TEST

static const struct {
	const char *api_url;
	bool plain;
	const char *want; /* NULL = nothing is sent */
} urls[] = {
	{ "https://flow-api.example/", false, URL },
	{ "https://flow-api.example/some/path?query", false, URL },
	{ "https://flow-api.example:8443", false, "https://flow-api.example:8443/ingestion/flow_logs" },
	{ "http://192.0.2.1:8081/", false, NULL },
	{ "http://192.0.2.1:8081/", true, "http://192.0.2.1:8081/ingestion/flow_logs" },
	{ "https://flow-api.example/", true, URL },
	{ "https://user:secret@flow-api.example/", false, NULL },
	{ "file:///etc/passwd", true, NULL },
	{ "nonsense", false, NULL },
	{ "", false, NULL },
};

START_TEST(a13_19_endpoint)
{
	for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
		begin_at(urls[i].api_url, 1000, urls[i].plain);
		add_auth(FLOW_TOKEN_ID, 0);
		add_report(FLOW_TOKEN_ID, 1, true);
		ck_assert_msg(asks(FZ_SEC(29)) == (urls[i].want != NULL), "%s", urls[i].api_url);
		if (urls[i].want)
			ck_assert_str_eq(w.q.url, urls[i].want);
		end();
	}
}
END_TEST

START_TEST(a13_14_off_until_configured)
{
	begin();
	add_auth(FLOW_TOKEN_ID, 0);
	add_report(FLOW_TOKEN_ID, 1, true);
	ck_assert_int_eq(w.p.ops->file_remove(w.p.ctx, ROOT "/upload.json"), 0);
	ck_assert(!asks(FZ_SEC(65)));
	configure("https://flow-api.example/", 0);
	flow_upload_wake(w.up, w.now_us);
	ck_assert(asks(0));
	end();
}
END_TEST

/* Both roles, and more reports than one step looks at. */
START_TEST(long_lists)
{
	unsigned n = 0;

	begin_at("https://flow-api.example/", 10000, false);
	add_auth(FLOW_TOKEN_ID, 0);
	for (unsigned i = 0; i < 600; i++)
		add_report(FLOW_TOKEN_ID, i, i % 2);
	flow_upload_run(w.up, w.now_us, UNIX_S);
	ck_assert(!flow_upload_poll_request(w.up, &w.q)); /* not in one step */
	ck_assert(asks(0));
	for (const char *at = w.q.body; (at = strstr(at, "\"n\":")) != NULL; at++)
		n++;
	ck_assert_uint_eq(n, 600);
	answer(200);
	ck_assert(!asks(0));
	ck_assert_uint_eq(w.spool.reports, 0);
	end();
}
END_TEST

START_TEST(failing_allocations)
{
	bool asked = false;

	for (long n = 1;; n++) {
		reset();
		if (try_begin(false) != 0)
			ck_abort();
		configure("https://flow-api.example/", 10);
		add_auth(FLOW_TOKEN_ID, 0);
		add_report(FLOW_TOKEN_ID, 1, true);
		w.u.allocs = 0;
		w.u.fail_at = n;
		asked = asks(FZ_SEC(200));
		ck_assert(asked); /* at the latest in a later pass */
		answer(200);
		(void)asks(FZ_SEC(1));
		end();
		if (w.u.allocs < n)
			break;
	}
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("flow_upload");

	unit_case(s, "batches", a13_15_batches, a13_15_nothing_without_token, long_lists,
		  damaged_reports_are_deleted);
	unit_case(s, "answers", a13_16_classes, a13_16_too_large, a13_16_too_fast,
		  a13_16_again_for_five_minutes, a13_16_redirects, a13_16_five_redirects, a13_16_others_keep);
	unit_case(s, "spool", a13_17_pruning, a13_14_off_until_configured, a13_19_endpoint);
	unit_case(s, "memory", failing_allocations);
	return s;
}
