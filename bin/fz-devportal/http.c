/* SPDX-License-Identifier: Apache-2.0 */
#include "http.h"

#include <stdlib.h>
#include <string.h>

#include "ingest.h"
#include "util.h"

#define MAX_BODY 10000000

static bool add_header(struct lws *wsi, const char *name, const char *value, unsigned char **at,
		       unsigned char *end)
{
	return value == NULL ||
	       lws_add_http_header_by_name(wsi, (const unsigned char *)name, (const unsigned char *)value,
					   (int)strlen(value), at, end) == 0;
}

bool http_answer(struct lws *wsi, int status, const char *content_type, const char *body,
		 const char *retry_after, const char *location)
{
	unsigned char head[LWS_PRE + 2048], *start = head + LWS_PRE, *at = start,
					    *end = head + sizeof(head) - 1;
	size_t len = body == NULL ? 0 : strlen(body);
	if (lws_add_http_header_status(wsi, (unsigned int)status, &at, end) != 0 ||
	    !add_header(wsi, "content-type:", content_type, &at, end) ||
	    !add_header(wsi, "retry-after:", retry_after, &at, end) ||
	    !add_header(wsi, "location:", location, &at, end) ||
	    lws_add_http_header_content_length(wsi, len, &at, end) != 0 ||
	    lws_finalize_write_http_header(wsi, start, &at, end) != 0)
		return false;
	if (len == 0)
		return true;
	unsigned char *copy = xcalloc(LWS_PRE + len, 1);
	memcpy(copy + LWS_PRE, body, len);
	int n = lws_write(wsi, copy + LWS_PRE, len, LWS_WRITE_HTTP_FINAL);
	free(copy);
	return n >= 0;
}

static int finish(struct lws *wsi, bool fine)
{
	return !fine || lws_http_transaction_completed(wsi) != 0 ? -1 : 0;
}

static void forget(struct http_request *q)
{
	free(q->token);
	free(q->body);
	*q = (struct http_request){ 0 };
}

static int begin(struct lws *wsi, struct http_request *q, const char *path)
{
	char text[8192];
	bool post = lws_hdr_total_length(wsi, WSI_TOKEN_POST_URI) > 0;
	forget(q);
	if (!post && strcmp(path, "/healthz") == 0)
		return finish(wsi, http_answer(wsi, 200, "text/plain", "ok\n", NULL, NULL));
	if (!post || strcmp(path, "/ingestion/flow_logs") != 0)
		return finish(wsi,
			      http_answer(wsi, 404, "text/plain; charset=utf-8", "Not Found", NULL, NULL));
	if (lws_hdr_copy(wsi, text, sizeof(text), WSI_TOKEN_HTTP_AUTHORIZATION) > 7 &&
	    strncmp(text, "Bearer ", 7) == 0)
		q->token = xstrdup(text + 7);
	q->is_json = lws_hdr_copy(wsi, text, sizeof(text), WSI_TOKEN_HTTP_CONTENT_TYPE) > 0 &&
		     strncmp(text, "application/json", 16) == 0;
	return 0;
}

static void collect(struct http_request *q, const void *in, size_t len)
{
	if (q->len + len > MAX_BODY) {
		q->too_large = true;
		return;
	}
	char *grown = realloc(q->body, q->len + len);
	if (grown == NULL) {
		q->too_large = true;
		return;
	}
	memcpy(grown + q->len, in, len);
	q->body = grown;
	q->len += len;
}

/* `ctl fail-ingest` */
static int refuse(struct lws *wsi, struct portal *p, struct http_request *q, struct failure *f)
{
	p->counters.flow_requests++;
	bool fine = http_answer(wsi, f->status, "application/problem+json; charset=utf-8", "{}",
				f->retry_after, f->location);
	failure_done(p, f);
	forget(q);
	return finish(wsi, fine);
}

static int complete(struct lws *wsi, struct http_request *q)
{
	struct portal *p = lws_context_user(lws_get_context(wsi));
	char peer[64] = "";
	json_t *body = NULL;
	lws_get_peer_simple(wsi, peer, sizeof(peer));
	struct ingest_request r = { peer,  q->token, q->is_json, q->too_large, q->body == NULL ? "" : q->body,
				    q->len };
	struct failure *f = failure_take(p, FAIL_INGEST, ROLE_CLIENT);
	if (f != NULL)
		return refuse(wsi, p, q, f);
	int status = ingest_post(p, &r, &body);
	char *text = json_dumps(body, JSON_COMPACT);
	bool fine = http_answer(wsi, status,
				status == 200 ? "application/json; charset=utf-8"
					      : "application/problem+json; charset=utf-8",
				text, status == 429 ? "1" : NULL, NULL);
	free(text);
	json_decref(body);
	forget(q);
	return finish(wsi, fine);
}

int http_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len)
{
	struct http_request *q = user;
	switch (reason) {
	case LWS_CALLBACK_HTTP:
		return begin(wsi, q, in);
	case LWS_CALLBACK_HTTP_BODY:
		collect(q, in, len);
		return 0;
	case LWS_CALLBACK_HTTP_BODY_COMPLETION:
		return complete(wsi, q);
	case LWS_CALLBACK_CLOSED_HTTP:
		if (q != NULL)
			forget(q);
		return 0;
	default:
		return 0;
	}
}
