/* SPDX-License-Identifier: Apache-2.0 */
/* Carries reports from the spool to the portal: one request after the other, each with the reports of one
 * authorization and its token; and tidies the spool. Sans-IO but for the spool: requests are polled, answers
 * are handed in. Each step does a bounded amount of work, so that packets need not wait for a large spool.
 *
 * A pass visits every authorization once. Answers decide (classify()): taken reports are deleted, a batch
 * that is too large is halved, 429 waits as long as the server says, errors of the server and of the way are
 * tried again for five minutes, redirects are followed where that is safe, and everything else keeps the
 * reports for the next pass. They go at the latest when their token does. */
#ifndef FLOW_UPLOAD_H
#define FLOW_UPLOAD_H

#include "flow/spool.h"

struct flow_upload;

/* Only https, unless `plain`: then http too, for portals that are reached without TLS themselves. The spool
 * is borrowed, the tracker may be NULL and is set anew when it changes. FZ_ERR_NOMEM. */
int flow_upload_new(const struct fz_env *env, struct flow_spool *spool, bool plain, uint64_t now_us,
		    struct flow_upload **ret);
void flow_upload_free(struct flow_upload *u);
/* Whose authorizations are in use: their folders stay. */
void flow_upload_set_tracker(struct flow_upload *u, const struct flow_tracker *t);
/* The configuration changed: look at it soon. */
void flow_upload_wake(struct flow_upload *u, uint64_t now_us);

/* Work on; unix_s is the wall clock, for the expiry of tokens. */
void flow_upload_run(struct flow_upload *u, uint64_t now_us, uint64_t unix_s);
uint64_t flow_upload_next_timeout(const struct flow_upload *u);

/* A POST; body and texts live until the next call. */
struct flow_request {
	const char *url, *token;
	const char *body;
	size_t len;
};
bool flow_upload_poll_request(struct flow_upload *u, struct flow_request *ret);

struct flow_answer {
	int err; /* 0, or why there is no answer */
	int status;
	uint64_t retry_after_s; /* 0 = not said */
	const char *location; /* NULL = not said */
};
void flow_upload_handle_answer(struct flow_upload *u, const struct flow_answer *a, uint64_t now_us);

enum flow_verdict { FLOW_TAKEN, FLOW_TOO_LARGE, FLOW_TOO_FAST, FLOW_AGAIN, FLOW_ELSEWHERE, FLOW_KEEP };
enum flow_verdict flow_upload_classify(int status);

#endif
