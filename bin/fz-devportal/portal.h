/* SPDX-License-Identifier: Apache-2.0 */
/* The running portal: model, network, sessions, and what tests asked it to do wrong. */
#ifndef DEVPORTAL_PORTAL_H
#define DEVPORTAL_PORTAL_H

#include <libwebsockets.h>

#include "model.h"

/* What `ctl pause` can stop answering. */
enum pause {
	PAUSE_AUTHORIZATIONS = 1,
	PAUSE_HEARTBEATS = 2,
	PAUSE_JOINS = 4,
	PAUSE_CANDIDATES = 8,
	PAUSE_CONNECTS = 16
};

/* The names of the bits above, lowest first. */
extern const char *const pause_names[5];

/* An answer that the next connects get instead of a session (`ctl fail-next`), joins instead of `ok` (`ctl
 * fail-join`), or flow logs (`ctl fail-ingest`). */
enum failure_kind { FAIL_CONNECT, FAIL_JOIN, FAIL_INGEST };
struct failure {
	enum failure_kind kind;
	int status, count; /* of joins, `code` is the reason and there is no status */
	bool for_all; /* any role */
	enum role role;
	char *code, *detail, *content_type, *body, *retry_after, *location;
};

struct portal {
	struct model model;
	struct lws_context *lws;
	struct lws_vhost *vhost;
	struct vec sessions, pendings, failures, admins;
	struct vec events; /* of json_t: the last messages, oldest first */
	json_t *flows; /* stored flow-log records by identity, oldest first */
	json_t *ingest_times; /* of the last request of each address, ms */
	struct vec buckets; /* connect rate limit */
	struct vec held; /* of int *, descriptors: connections that wait for `ctl resume connects` */
	unsigned paused;
	int64_t started_us;
	char *state_path; /* rewritten on changes; NULL = not kept */
	lws_sorted_usec_list_t relay_timer, save_timer;
	struct counters {
		int64_t connects, refused, messages_in, messages_out, malformed, unknown, flow_requests,
			flows_stored;
		int64_t authorizations, timeouts;
	} counters;
};

/* Owned by the portal until failure_done(). */
struct failure *failure_take(struct portal *p, enum failure_kind kind, enum role role);
void failure_done(struct portal *p, struct failure *f);
void failure_free(void *failure);

/* Remember one message for `ctl events`: who, "->" to the portal or "<-" from it. */
void record_event(struct portal *p, const char *who, const char *direction, const char *event,
		  json_t *payload);
/* The model changed: write the state file soon. */
void state_changed(struct portal *p);
void state_write(struct portal *p);

void after_ms(struct portal *p, lws_sorted_usec_list_t *timer, sul_cb_t callback, int64_t ms);
void timer_stop(lws_sorted_usec_list_t *timer);

#endif
