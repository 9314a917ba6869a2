/* SPDX-License-Identifier: Apache-2.0 */
/* Who may use what, as far as flows are concerned: the ingest token of each access, and the domains of flows.
 * Both are shared by many flows and live as long as the last of them. Part of the tracker. */
#ifndef FLOW_ACCESS_H
#define FLOW_ACCESS_H

#include "base/map.h"
#include "flow/tracker.h"

struct access {
	struct flow_auth auth;
	char *token; /* = auth.token */
	struct jv *claims; /* for the local log; NULL = there is none */
	struct fz_uuid peer, resource;
	struct fz_map_link by_grant, by_id;
	size_t refs; /* flows, and 1 while access_find() finds it */
};

struct access_name {
	struct fz_map_link link;
	size_t refs;
	char text[];
};

struct accesses {
	const struct fz_env *env;
	struct fz_map by_grant, by_id, names;
};

int accesses_init(struct accesses *a, const struct fz_env *env);
/* After the last flow was released. */
void accesses_clear(struct accesses *a);
/* As flow_tracker_authorize(). */
int access_add(struct accesses *a, const struct fz_uuid *peer, const struct fz_uuid *resource,
	       const char *token, bool keep_claims);
void access_forget(struct accesses *a, const struct fz_uuid *peer, const struct fz_uuid *resource);
struct access *access_find(const struct accesses *a, const struct fz_uuid *peer,
			   const struct fz_uuid *resource);
bool access_is_known(const struct accesses *a, const char *auth_id);
struct access *access_hold(struct access *x);
void access_release(struct accesses *a, struct access *x); /* NULL is fine */

/* The one copy of a domain, held; NULL without memory. */
struct access_name *access_name(struct accesses *a, const char *text);
void access_name_release(struct accesses *a, struct access_name *n); /* NULL is fine */

/* The line of the local log: the record, who it was, never the token. */
void access_log(const struct fz_env *env, const struct access *x, const struct flow_record *r);

#endif
