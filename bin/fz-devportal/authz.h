/* SPDX-License-Identifier: Apache-2.0 */
/* Authorizations: a client's request, the gateway's consent within a deadline, the grant that stays, its end.
 */
#ifndef DEVPORTAL_AUTHZ_H
#define DEVPORTAL_AUTHZ_H

#include "resource.h"
#include "session.h"

void authz_request(struct session *client, struct resource *r, const char *resource_id,
		   const json_t *payload);
/* The gateway's acknowledgement. False: no such reference. */
bool authz_acknowledge(struct session *gateway, const char *ref);
/* A session ended: its requests are forgotten, those waiting for it fail. */
void authz_session_gone(struct session *s);

/* The parts that both kinds of authorization share. */
struct grant *grant_make(struct portal *p, struct session *initiator, struct session *responder,
			 const struct resource *r);
json_t *ice_json(const struct ice_credentials *c);
json_t *subject_of(const struct session *client);
struct end end_of(const struct session *s);
bool use_iceless(const struct session *a, const struct session *b);

/* End a grant and tell the responder. */
void grant_revoke(struct portal *p, struct grant *g);
/* Both NULL = every one; returns how many ended. */
size_t grants_revoke(struct portal *p, const struct device *initiator, const char *resource_id);

void pending_free(void *pending);
json_t *pendings_dump(const struct portal *p);

#endif
