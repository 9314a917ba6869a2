/* SPDX-License-Identifier: Apache-2.0 */
/* Flow-log tokens (JWT, HS256) and the endpoint that takes records with them. */
#ifndef DEVPORTAL_INGEST_H
#define DEVPORTAL_INGEST_H

#include "session.h"

/* Token of one grant for one side, owned by the caller. */
char *ingest_token(const struct portal *p, const struct grant *g, const struct resource *r,
		   const struct session *initiator, bool for_initiator);
/* Claims of a token with a good signature that is not over, else NULL. */
json_t *ingest_verify(const struct portal *p, const char *token);

struct ingest_request {
	const char *peer; /* address */
	const char *token; /* NULL = none */
	bool is_json; /* by its content type */
	bool too_large;
	const char *body;
	size_t len;
};
/* One POST: HTTP status and the JSON body (owned by the caller). */
int ingest_post(struct portal *p, const struct ingest_request *q, json_t **ret_body);

#endif
