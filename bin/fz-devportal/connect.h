/* SPDX-License-Identifier: Apache-2.0 */
/* May this HTTP request become a session? Every refusal of the portal's connect step. */
#ifndef DEVPORTAL_CONNECT_H
#define DEVPORTAL_CONNECT_H

#include "session.h"

/* An HTTP answer; texts owned by the caller, see refusal_clear(). */
struct refusal {
	int status;
	char *content_type, *body, *retry_after, *location;
};
void refusal_clear(struct refusal *r);

/* Which socket a path names. False: none. */
bool connect_route(const char *path, enum role *ret_role, bool *ret_v1);
/* A session that is not yet open, or NULL and the refusal. */
struct session *connect_check(struct portal *p, const struct connect_request *q, struct refusal *ret_refusal);

#endif
