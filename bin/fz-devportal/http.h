/* SPDX-License-Identifier: Apache-2.0 */
/* Plain HTTP: refusals, POST /ingestion/flow_logs, GET /healthz. */
#ifndef DEVPORTAL_HTTP_H
#define DEVPORTAL_HTTP_H

#include <stdbool.h>
#include <stddef.h>

#include <libwebsockets.h>

/* Per connection, in the memory of libwebsockets. */
struct http_request {
	char *token, *body;
	size_t len;
	bool is_json, too_large;
};

/* Head and body at once; NULL = leave that header out. False: the connection is broken. */
bool http_answer(struct lws *wsi, int status, const char *content_type, const char *body,
		 const char *retry_after, const char *location);
int http_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len);

#endif
