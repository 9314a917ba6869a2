/* SPDX-License-Identifier: Apache-2.0 */
/* Records as JSON and as files, names of files, batches of them. */
#include "unit.h"

#include <stdio.h>

#include "base/mem.h"
#include "flow/batch.h"

#define T0 UINT64_C(1700000000000000000)

static const struct {
	uint64_t ns;
	const char *text;
} times[] = {
	{ T0 + 500, "2023-11-14T22:13:20.000000500Z" },
	{ T0 + UINT64_C(30000000000), "2023-11-14T22:13:50Z" },
	{ T0 + 1000, "2023-11-14T22:13:20.000001Z" },
	{ T0 + 500000000, "2023-11-14T22:13:20.500Z" },
	{ T0 + 999999999, "2023-11-14T22:13:20.999999999Z" },
	{ 0, "1970-01-01T00:00:00Z" },
	{ UINT64_C(951782399000000000), "2000-02-28T23:59:59Z" },
	{ UINT64_C(951782400000000000), "2000-02-29T00:00:00Z" },
	{ UINT64_C(951868800000000000), "2000-03-01T00:00:00Z" },
	{ UINT64_C(1704067199000000000), "2023-12-31T23:59:59Z" },
	{ UINT64_C(4107542400000000000), "2100-03-01T00:00:00Z" },
	{ UINT64_MAX, "2554-07-21T23:34:33.709551615Z" },
};

START_TEST(times_as_text)
{
	char buf[FLOW_TIME_LEN];

	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++)
		ck_assert_str_eq(flow_time_format(times[i].ns, buf), times[i].text);
}
END_TEST

static struct fz_ip ip(const char *text)
{
	struct fz_ip a;

	ck_assert_int_eq(fz_ip_parse(text, &a), 0);
	return a;
}

static struct flow_outer outer;

static struct flow_record closed_record(void)
{
	outer = (struct flow_outer){ .src = { .ip = ip("198.51.100.1"), .port = 45000 },
				     .dst = { .ip = ip("203.0.113.1"), .port = 51820 },
				     .at_ns = T0 };
	return (struct flow_record){
		.is_udp = true,
		.is_closed = true,
		.src = { .ip = ip("100.64.0.1"), .port = 1234 },
		.dst = { .ip = ip("10.0.0.5"), .port = 5201 },
		.domain = "download.httpbin",
		.outers = &outer,
		.outers_len = 1,
		.start_ns = T0,
		.end_ns = T0 + UINT64_C(60000000000),
		.last_ns = T0 + UINT64_C(59500000000),
		.rx_packets = 1,
		.tx_packets = 1,
		.rx_bytes = 6,
		.tx_bytes = 5,
	};
}

#define CLOSED_TEXT                                                                                          \
	"{\"domain\":\"download.httpbin\",\"flow_end\":\"2023-11-14T22:14:20Z\","                            \
	"\"flow_start\":\"2023-11-14T22:13:20Z\",\"inner_dst_ip\":\"10.0.0.5\",\"inner_dst_port\":5201,"     \
	"\"inner_src_ip\":\"100.64.0.1\",\"inner_src_port\":1234,"                                           \
	"\"last_packet\":\"2023-11-14T22:14:19.500Z\","                                                      \
	"\"outers\":[{\"dst_ip\":\"203.0.113.1\",\"dst_port\":51820,"                                        \
	"\"path_activated_at\":\"2023-11-14T22:13:20Z\",\"src_ip\":\"198.51.100.1\",\"src_port\":45000}],"   \
	"\"protocol\":\"udp\",\"rx_bytes\":6,\"rx_packets\":1,\"tx_bytes\":5,\"tx_packets\":1}"
#define OPEN_TEXT                                                                                            \
	"{\"flow_start\":\"2023-11-14T22:13:20Z\",\"inner_dst_ip\":\"10.0.0.5\",\"inner_dst_port\":443,"     \
	"\"inner_src_ip\":\"100.64.0.1\",\"inner_src_port\":1234,\"protocol\":\"tcp\"}"

static char *encode(const struct flow_record *r, size_t *ret_len)
{
	struct jv *v = flow_record_json(r);
	char *text;

	ck_assert_ptr_nonnull(v);
	text = flow_report_encode(fz_env_default(), v, ret_len);
	ck_assert_ptr_nonnull(text);
	jv_free(v);
	return text;
}

START_TEST(a13_11_content_of_a_report)
{
	struct flow_record r = closed_record();
	size_t len, back_len;
	char *text = encode(&r, &len), *back;

	ck_assert_str_eq(text, "{\"checksum\":2277199047,\"payload\":" CLOSED_TEXT "}");
	ck_assert_int_eq(flow_report_decode(fz_env_default(), text, len, &back, &back_len), 0);
	ck_assert_str_eq(back, CLOSED_TEXT);
	ck_assert_uint_eq(back_len, strlen(CLOSED_TEXT));
	fz_free(fz_env_default(), back);
	fz_free(fz_env_default(), text);
}
END_TEST

START_TEST(records_leave_out_what_they_lack)
{
	struct flow_record r = closed_record();
	struct jv *v;

	r.is_closed = r.is_udp = false;
	r.domain = NULL;
	outer.src = (struct fz_addr){ 0 };
	v = flow_record_json(&r);
	ck_assert_ptr_null(jv_get(v, "domain"));
	ck_assert_ptr_null(jv_get(v, "flow_end"));
	ck_assert_ptr_null(jv_get(v, "rx_bytes"));
	ck_assert_ptr_null(jv_get(jv_at(jv_get(v, "outers"), 0), "src_ip"));
	ck_assert_ptr_null(jv_get(jv_at(jv_get(v, "outers"), 0), "src_port"));
	ck_assert_str_eq(jv_str(jv_get(v, "protocol")), "tcp");
	jv_free(v);
	r.domain = "\xff is no text";
	ck_assert_ptr_null(flow_record_json(&r));
}
END_TEST

static const struct {
	const char *why, *text;
	int want;
} files[] = {
	{ "published", "{\"checksum\":3755809084,\"payload\":" OPEN_TEXT "}", 0 },
	{ "keys in another order, spaces",
	  "{ \"payload\" : {\"protocol\":\"tcp\",\"inner_src_port\":1234,\"inner_src_ip\":\"100.64.0.1\","
	  "\"inner_dst_port\":443,\"inner_dst_ip\":\"10.0.0.5\",\"flow_start\":\"2023-11-14T22:13:20Z\"},"
	  "\"checksum\" : 3755809084 }\n",
	  0 },
	{ "changed", "{\"checksum\":3755809083,\"payload\":" OPEN_TEXT "}", FZ_ERR_WIRE },
	{ "no checksum", "{\"payload\":" OPEN_TEXT "}", FZ_ERR_WIRE },
	{ "checksum is text", "{\"checksum\":\"3755809084\",\"payload\":" OPEN_TEXT "}", FZ_ERR_WIRE },
	{ "no payload", "{\"checksum\":3755809084}", FZ_ERR_WIRE },
	{ "payload is no object", "{\"checksum\":223132457,\"payload\":[]}", FZ_ERR_WIRE },
	{ "no object", "[]", FZ_ERR_WIRE },
	{ "empty", "", FZ_ERR_WIRE },
};

START_TEST(a13_11_damaged_reports_are_found)
{
	char *back;
	size_t len;

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		int err = flow_report_decode(fz_env_default(), files[i].text, strlen(files[i].text), &back,
					     &len);
		ck_assert_msg(err == files[i].want, "%s: %d", files[i].why, err);
		if (err == 0) {
			ck_assert_str_eq(back, OPEN_TEXT);
			fz_free(fz_env_default(), back);
		}
	}
	/* Cut at every length, and each byte changed. */
	for (size_t n = 0; n < strlen(files[0].text); n++)
		ck_assert_int_eq(flow_report_decode(fz_env_default(), files[0].text, n, &back, &len),
				 FZ_ERR_WIRE);
	for (size_t n = 0; n < strlen(files[0].text); n++) {
		char text[512];
		strcpy(text, files[0].text);
		text[n] ^= 2;
		ck_assert_int_eq(flow_report_decode(fz_env_default(), text, strlen(text), &back, &len),
				 FZ_ERR_WIRE);
	}
}
END_TEST

START_TEST(a13_11_names)
{
	struct flow_record r = closed_record();
	struct flow_report_name start, end, parsed;
	char a[FLOW_REPORT_NAME_LEN], b[FLOW_REPORT_NAME_LEN];

	flow_report_name_of(&r, &end);
	r.is_closed = false;
	flow_report_name_of(&r, &start);
	flow_report_name_format(&start, a);
	flow_report_name_format(&end, b);
	ck_assert(strncmp(a, "1700000000-", 11) == 0);
	ck_assert(strncmp(a, b, 27) == 0);
	ck_assert_str_eq(a + 27, ".start.json");
	ck_assert_str_eq(b + 27, ".end.json");
	ck_assert(flow_report_name_parse(a, &parsed));
	ck_assert_int_eq(flow_report_name_compare(&parsed, &start), 0);
	ck_assert_int_lt(flow_report_name_compare(&start, &end), 0);
	/* Whatever identifies a flow is in the stem. */
	for (int i = 0; i < 5; i++) {
		struct flow_record o = closed_record();
		struct flow_report_name n;
		switch (i) {
		case 0:
			o.is_udp = false;
			break;
		case 1:
			o.src.port++;
			break;
		case 2:
			o.dst.ip.b[3]++;
			break;
		case 3:
			o.start_ns += 1000;
			break;
		case 4:
			o.src = r.dst;
			o.dst = r.src;
			break;
		}
		flow_report_name_of(&o, &n);
		ck_assert_uint_ne(n.stem, end.stem);
	}
	r.start_ns = UINT64_C(7000000000);
	flow_report_name_of(&r, &start);
	ck_assert(strncmp(flow_report_name_format(&start, a), "0000000007-", 11) == 0);
}
END_TEST

START_TEST(other_names_are_none)
{
	static const char *const texts[] = {
		"",
		"token",
		"upload.json",
		"1700000000-0123456789abcdef.start.json.tmp",
		"1700000000-0123456789ABCDEF.start.json",
		"170000000-0123456789abcdef.start.json",
		"1700000000-0123456789abcde.start.json",
		"1700000000-0123456789abcdef.mid.json",
		"1700000000_0123456789abcdef.end.json",
		"x700000000-0123456789abcdef.end.json",
		"99999999999999999999999-0123456789abcdef.end.json",
	};
	struct flow_report_name n;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		ck_assert_msg(!flow_report_name_parse(texts[i], &n), "%s", texts[i]);
}
END_TEST

START_TEST(a13_15_oldest_first)
{
	const struct fz_env *env = fz_env_default();
	struct flow_batch b = { 0 };
	struct flow_report_name n;

	flow_batch_reset(&b, 1000);
	for (unsigned i = 0; i < 5000; i++) {
		n = (struct flow_report_name){ .start_s = (i * 7919) % 5000, .stem = i, .is_end = i & 1 };
		flow_batch_add(&b, env, &n);
	}
	flow_batch_sort(&b);
	ck_assert(b.is_cut);
	ck_assert_uint_eq(b.len, 1000);
	for (unsigned i = 0; i < 1000; i++)
		ck_assert_uint_eq(b.items[i].name.start_s, i);
	/* Beginning and end of one flow are one, whatever comes in between and first. */
	flow_batch_reset(&b, 10);
	for (unsigned i = 0; i < 4; i++) {
		n = (struct flow_report_name){ .start_s = 5, .stem = i / 2, .is_end = !(i & 1) };
		flow_batch_add(&b, env, &n);
	}
	n = (struct flow_report_name){ .start_s = 5, .stem = 9 };
	flow_batch_add(&b, env, &n);
	flow_batch_sort(&b);
	ck_assert(!b.is_cut);
	ck_assert_uint_eq(b.len, 3);
	ck_assert(b.items[0].name.is_end && b.items[0].has_start);
	ck_assert(b.items[1].name.is_end && b.items[1].has_start);
	ck_assert(!b.items[2].name.is_end && !b.items[2].has_start);
	flow_batch_clear(&b, env);
}
END_TEST

START_TEST(bodies)
{
	const struct fz_env *env = fz_env_default();
	struct flow_batch b = { 0 };
	struct flow_report_name n = { 0 };
	char *body;
	size_t len;

	flow_batch_reset(&b, 3);
	for (unsigned i = 0; i < 3; i++) {
		n.stem = i;
		flow_batch_add(&b, env, &n);
	}
	flow_batch_sort(&b);
	for (unsigned i = 0; i < 3; i++) {
		char text[16];
		snprintf(text, sizeof(text), "{\"a\":%u}", i);
		ck_assert_int_eq(flow_batch_load(&b, env, &b.items[i], text, strlen(text)), 0);
	}
	body = flow_batch_body(&b, env, 0, 3, &len);
	ck_assert_str_eq(body, "{\"flow_logs\":[{\"a\":0},{\"a\":1},{\"a\":2}]}");
	ck_assert_uint_eq(len, strlen(body));
	fz_free(env, body);
	body = flow_batch_body(&b, env, 1, 2, &len);
	ck_assert_str_eq(body, "{\"flow_logs\":[{\"a\":1}]}");
	fz_free(env, body);
	flow_batch_clear(&b, env);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("flow_record");

	unit_case(s, "text", times_as_text, records_leave_out_what_they_lack);
	unit_case(s, "files", a13_11_content_of_a_report, a13_11_damaged_reports_are_found, a13_11_names,
		  other_names_are_none);
	unit_case(s, "batch", a13_15_oldest_first, bodies);
	return s;
}
