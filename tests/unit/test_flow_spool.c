/* SPDX-License-Identifier: Apache-2.0 */
/* The spool on the in-memory platform: folders, a full disk, what is left after a kill. */
#include "unit.h"

#include <stdio.h>

#include "base/time.h"
#include "flow/spool.h"
#include "flow_token.h"

#define ROOT "/var/lib/firezone/flow_logs"
#define T0 UINT64_C(1700000000000000000)

static struct {
	struct unit_env u;
	struct fz_memnet *net;
	struct fz_platform p;
	struct flow_stats stats;
	struct flow_spool spool;
	struct flow_outer outer;
	struct flow_auth auth;
	unsigned warnings;
} w;

static void count_warnings(void *ctx, enum fz_log_level level, const char *area, const char *line)
{
	(void)ctx;
	(void)area;
	(void)line;
	w.warnings += level == FZ_LOG_WARN;
}

static int try_begin(void)
{
	static const struct flow_token token;
	static char text[4096];
	struct fz_ip a = { 0 };
	int err;

	strcpy(text, flow_token(&token));
	w.auth = (struct flow_auth){ .id = FLOW_TOKEN_ID, .token = text };
	err = fz_memnet_new(&w.u.env, &w.net);
	if (err == 0)
		err = fz_memnet_host(w.net, &a, &a, &w.p);
	return err ? err : flow_spool_init(&w.spool, &w.u.env, &w.p, ROOT, &w.stats);
}

static void reset(void)
{
	memset(&w, 0, sizeof(w));
	unit_env_init(&w.u, 4);
	w.u.env.log = (struct fz_log){ count_warnings, NULL, FZ_LOG_WARN };
}

static void begin(void)
{
	reset();
	ck_assert_int_eq(try_begin(), 0);
}

static void end(void)
{
	fz_memnet_free(w.net);
	unit_env_check(&w.u);
}

static struct flow_report report(unsigned n, bool is_closed)
{
	w.outer.dst = (struct fz_addr){ .ip = { .family = FZ_FAMILY_INET, .b = { 203, 0, 113, 1 } },
					.port = 51820 };
	return (struct flow_report){
		.auth = &w.auth,
		.had_start = is_closed,
		.record = { .is_closed = is_closed,
			    .src = { .ip = { .family = FZ_FAMILY_INET, .b = { 100, 64, 0, 1 } },
				     .port = (uint16_t)n },
			    .dst = { .ip = { .family = FZ_FAMILY_INET, .b = { 10, 0, 0, 5 } }, .port = 443 },
			    .outers = &w.outer,
			    .outers_len = 1,
			    .start_ns = T0,
			    .end_ns = T0,
			    .last_ns = T0 },
	};
}

static unsigned count_files(const char *path, const char *suffix)
{
	char name[FZ_NAME_LEN];
	struct fz_dir *d;
	uint64_t changed_s;
	unsigned n = 0;

	if (w.p.ops->dir_open(w.p.ctx, path, &d, &changed_s) != 0)
		return 0;
	while (w.p.ops->dir_next(w.p.ctx, d, name)) {
		size_t len = strlen(name), tail = strlen(suffix);
		n += len >= tail && strcmp(name + len - tail, suffix) == 0;
	}
	w.p.ops->dir_close(w.p.ctx, d);
	return n;
}

#define FOLDER ROOT "/responder/" FLOW_TOKEN_ID

START_TEST(a13_11_folders)
{
	struct flow_report r;
	char got[4096];
	int len;

	begin();
	r = report(1, false);
	flow_spool_put(&w.spool, &r);
	ck_assert_uint_eq(count_files(FOLDER, ".start.json"), 1);
	len = w.p.ops->file_read(w.p.ctx, FOLDER "/token", got, sizeof(got) - 1);
	ck_assert_int_gt(len, 0);
	got[len] = '\0';
	ck_assert_str_eq(got, w.auth.token);
	/* The end takes the place of the beginning. */
	r = report(1, true);
	flow_spool_put(&w.spool, &r);
	ck_assert_uint_eq(count_files(FOLDER, ".start.json"), 0);
	ck_assert_uint_eq(count_files(FOLDER, ".end.json"), 1);
	ck_assert_uint_eq(w.spool.reports, 1);
	w.auth.is_initiator = true;
	w.auth.is_stored = false;
	flow_spool_put(&w.spool, &r);
	ck_assert_uint_eq(count_files(ROOT "/initiator/" FLOW_TOKEN_ID, ".end.json"), 1);
	ck_assert_uint_eq(w.stats.spooled, 3);
	end();
}
END_TEST

START_TEST(folder_comes_back)
{
	struct flow_report r;

	begin();
	r = report(1, true);
	r.had_start = false;
	flow_spool_put(&w.spool, &r);
	ck_assert_uint_eq(count_files(FOLDER, ".end.json"), 1);
	/* Somebody tidies up behind our back. */
	char name[FLOW_REPORT_NAME_LEN], path[FLOW_PATH_LEN];
	struct flow_report_name n;
	flow_report_name_of(&r.record, &n);
	flow_spool_path(&w.spool, false, FLOW_TOKEN_ID, flow_report_name_format(&n, name), path);
	ck_assert_int_eq(w.p.ops->file_remove(w.p.ctx, path), 0);
	ck_assert_int_eq(w.p.ops->file_remove(w.p.ctx, FOLDER "/token"), 0);
	ck_assert_int_eq(w.p.ops->file_remove(w.p.ctx, FOLDER), 0);
	flow_spool_put(&w.spool, &r);
	ck_assert_uint_eq(count_files(FOLDER, ".end.json"), 1);
	ck_assert_uint_eq(count_files(FOLDER, "token"), 1);
	end();
}
END_TEST

START_TEST(full_disk)
{
	struct flow_report r;

	begin();
	fz_memnet_set_disk(&w.p, 0);
	for (unsigned i = 0; i < 2500; i++) {
		r = report(i, true);
		flow_spool_put(&w.spool, &r);
	}
	ck_assert_uint_eq(w.stats.lost, 2500);
	ck_assert_uint_eq(w.stats.spooled, 0);
	ck_assert_uint_eq(w.warnings, 3); /* the 1st, 1001st, 2001st */
	/* Room again: it goes on, the token first. */
	fz_memnet_set_disk(&w.p, 1 << 20);
	r = report(1, true);
	flow_spool_put(&w.spool, &r);
	ck_assert_uint_eq(w.stats.spooled, 1);
	ck_assert_uint_eq(count_files(FOLDER, "token"), 1);
	end();
}
END_TEST

START_TEST(spool_is_bounded)
{
	struct flow_report r;

	begin();
	r = report(1, false);
	w.spool.reports = FLOW_SPOOL_MAX - 1;
	flow_spool_put(&w.spool, &r);
	r = report(2, false);
	flow_spool_put(&w.spool, &r);
	ck_assert_uint_eq(w.stats.spooled, 1);
	ck_assert_uint_eq(w.stats.lost, 1);
	end();
}
END_TEST

static const struct {
	const char *text;
	int err;
	uint64_t interval_s, batch;
} configs[] = {
	{ "{\"api_url\":\"https://f.example/\",\"interval\":60,\"batch_size\":500}", 0, 60, 500 },
	{ "{\"api_url\":\"https://f.example/\",\"interval\":60,\"batch_size\":0}", 0, 60, 1000 },
	{ "{\"api_url\":\"https://f.example/\",\"interval\":60,\"batch_size\":10001}", 0, 60, 10000 },
	{ "{\"api_url\":\"https://f.example/\",\"interval\":60}", 0, 60, 1000 },
	{ "{\"api_url\":\"https://f.example/\",\"interval\":0,\"batch_size\":500}", FZ_ERR_NOT_FOUND, 0, 0 },
	{ "{\"api_url\":\"https://f.example/\",\"batch_size\":500}", FZ_ERR_WIRE, 0, 0 },
	{ "{\"api_url\":1,\"interval\":60,\"batch_size\":500}", FZ_ERR_WIRE, 0, 0 },
	{ "{\"api_url\":\"https://f.example/\",\"interval\":60,\"batch_size\":\"x\"}", FZ_ERR_WIRE, 0, 0 },
	{ "{\"api_url\":\"https://f.ex", FZ_ERR_WIRE, 0, 0 },
	{ "", FZ_ERR_WIRE, 0, 0 },
};

START_TEST(a13_14_configuration)
{
	struct flow_upload_config c = { .api_url = "https://flow-api.example/",
					.interval_s = 60,
					.batch = 7 },
				  got;

	begin();
	ck_assert_int_eq(flow_spool_config(&w.spool, &got), FZ_ERR_NOT_FOUND);
	flow_spool_set_config(&w.spool, &c);
	ck_assert_int_eq(flow_spool_config(&w.spool, &got), 0);
	ck_assert_str_eq(got.api_url, c.api_url);
	ck_assert_uint_eq(got.interval_s, 60);
	ck_assert_uint_eq(got.batch, 7);
	c.interval_s = 0;
	flow_spool_set_config(&w.spool, &c);
	ck_assert_int_eq(flow_spool_config(&w.spool, &got), FZ_ERR_NOT_FOUND);
	ck_assert_uint_eq(count_files(ROOT, "upload.json"), 0);
	for (size_t i = 0; i < sizeof(configs) / sizeof(configs[0]); i++) {
		ck_assert_int_eq(w.p.ops->file_write(w.p.ctx, ROOT "/upload.json", configs[i].text,
						     strlen(configs[i].text)),
				 0);
		ck_assert_msg(flow_spool_config(&w.spool, &got) == configs[i].err, "%s", configs[i].text);
		if (configs[i].err == 0) {
			ck_assert_uint_eq(got.interval_s, configs[i].interval_s);
			ck_assert_uint_eq(got.batch, configs[i].batch);
		}
	}
	end();
}
END_TEST

START_TEST(roots)
{
	char longest[FLOW_ROOT_LEN + 2];

	begin();
	ck_assert_int_eq(flow_spool_init(&w.spool, &w.u.env, &w.p, "flow_logs", &w.stats), FZ_ERR_INVAL);
	memset(longest, 'x', sizeof(longest));
	longest[0] = '/';
	longest[FLOW_ROOT_LEN] = '\0';
	ck_assert_int_eq(flow_spool_init(&w.spool, &w.u.env, &w.p, longest, &w.stats), FZ_ERR_INVAL);
	longest[FLOW_ROOT_LEN - 1] = '\0';
	ck_assert_int_eq(flow_spool_init(&w.spool, &w.u.env, &w.p, longest, &w.stats), 0);
	end();
}
END_TEST

START_TEST(failing_allocations)
{
	struct flow_report r;

	for (long n = 1;; n++) {
		reset();
		w.u.fail_at = n;
		if (try_begin() == 0) {
			r = report(1, true);
			flow_spool_put(&w.spool, &r);
			ck_assert_uint_eq(w.stats.spooled + w.stats.lost, 1);
		}
		end();
		if (w.u.allocs < n)
			break;
	}
	ck_assert_uint_eq(w.stats.spooled, 1);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("flow_spool");

	unit_case(s, "reports", a13_11_folders, folder_comes_back, full_disk, spool_is_bounded);
	unit_case(s, "configuration", a13_14_configuration, roots, failing_allocations);
	return s;
}
