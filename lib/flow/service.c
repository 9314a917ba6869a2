/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/service.h"

#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/secret.h"
#include "base/time.h"
#include "flow/upload.h"
#include "fzconn/error.h"

/* Reports written in one turn: each is a file, and packets wait. */
#define REPORTS_A_TURN 16
/* Ids of requests: others count from below. */
#define FIRST_ID (UINT64_C(1) << 63)
#define TIMEOUT_MS 60000
#define ANSWER_MAX 65536
#define BEARER "Bearer "

struct flow_service {
	const struct fz_env *env;
	const struct fz_platform *platform;
	struct flow_spool spool;
	struct flow_upload *upload;
	uint64_t request_id; /* under way, 0 = none */
	uint64_t last_id;
};

#define call(s, fn, ...) ((s)->platform->ops->fn((s)->platform->ctx, __VA_ARGS__))

int flow_service_new(const struct fz_env *env, const struct fz_platform *platform,
		     const struct flow_service_opts *opts, uint64_t now_us, struct flow_service **ret)
{
	struct flow_service *s = fz_zalloc(env, sizeof(*s));
	int err;

	if (s == NULL)
		return FZ_ERR_NOMEM;
	s->env = env;
	s->platform = platform;
	s->last_id = FIRST_ID;
	err = flow_spool_init(&s->spool, env, platform, opts->root, opts->stats);
	if (err == 0)
		err = flow_upload_new(env, &s->spool, opts->plain, now_us, &s->upload);
	if (err != 0) {
		fz_free(env, s);
		return err;
	}
	*ret = s;
	return 0;
}

void flow_service_free(struct flow_service *s)
{
	if (s == NULL)
		return;
	if (s->request_id)
		call(s, http_cancel, s->request_id);
	flow_upload_free(s->upload);
	fz_free(s->env, s);
}

void flow_service_configure(struct flow_service *s, const struct flow_upload_config *c, uint64_t now_us)
{
	flow_spool_set_config(&s->spool, c);
	flow_upload_wake(s->upload, now_us);
}

static void failed(struct flow_service *s, int err, uint64_t now_us)
{
	const struct flow_answer a = { .err = err };

	s->request_id = 0;
	flow_upload_handle_answer(s->upload, &a, now_us);
}

static void start_request(struct flow_service *s, uint64_t now_us)
{
	char bearer[sizeof(BEARER) + FLOW_TOKEN_LEN] = BEARER;
	const struct fz_http_header headers[] = {
		{ "authorization", bearer },
		{ "content-type", "application/json" },
	};
	struct fz_http_request http = {
		.size = sizeof(http),
		.method = "POST",
		.headers = headers,
		.headers_len = sizeof(headers) / sizeof(headers[0]),
		.answer_max = ANSWER_MAX,
		.timeout_ms = TIMEOUT_MS,
	};
	struct flow_request q;
	int err;

	if (!flow_upload_poll_request(s->upload, &q))
		return;
	strcat(bearer, q.token);
	http.id = s->request_id = ++s->last_id;
	http.url = q.url;
	http.body = q.body;
	http.body_len = q.len;
	err = call(s, http_start, &http);
	fz_wipe(bearer, sizeof(bearer));
	if (err != 0)
		failed(s, err, now_us);
}

bool flow_service_handle_http(struct flow_service *s, const struct fz_http_result *r, uint64_t now_us)
{
	const struct flow_answer a = {
		.err = r->err,
		.status = r->status,
		.retry_after_s = r->retry_after_s,
		.location = r->location && r->location[0] ? r->location : NULL,
	};

	if (r->id <= FIRST_ID)
		return false;
	if (r->id != s->request_id)
		return true;
	if (r->err != 0)
		fz_debug(s->env, "flow", "upload: %s", r->error);
	s->request_id = 0;
	flow_upload_handle_answer(s->upload, &a, now_us);
	return true;
}

static bool write_reports(struct flow_service *s, struct flow_tracker *t)
{
	struct flow_report r;

	for (unsigned i = 0; i < REPORTS_A_TURN; i++) {
		if (!flow_tracker_next_report(t, &r))
			return false;
		flow_spool_put(&s->spool, &r);
	}
	return true;
}

void flow_service_run(struct flow_service *s, struct flow_tracker *t, uint64_t now_us, uint64_t unix_s)
{
	if (t && flow_tracker_reports_due(t) <= now_us)
		(void)write_reports(s, t);
	if (flow_upload_next_timeout(s->upload) > now_us)
		return;
	flow_upload_set_tracker(s->upload, t);
	flow_upload_run(s->upload, now_us, unix_s);
	start_request(s, now_us);
}

uint64_t flow_service_next_timeout(const struct flow_service *s, const struct flow_tracker *t)
{
	return fz_min_us(t ? flow_tracker_reports_due(t) : FZ_NEVER_US, flow_upload_next_timeout(s->upload));
}

bool flow_service_finish(struct flow_service *s, struct flow_tracker *t)
{
	return t && write_reports(s, t);
}
