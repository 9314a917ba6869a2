/* SPDX-License-Identifier: Apache-2.0 */
/* What one client may reach through this gateway: its grants, their expiry, and the routing table made from
 * them. */
#ifndef CORE_GRANTS_H
#define CORE_GRANTS_H

#include "base/text.h"
#include "core/route.h"
#include "wire/portal_events.h"

/* Grants of one client; more are refused. */
#define GRANTS_MAX 4096
/* A grant without expiry. */
#define GRANT_FOREVER UINT64_MAX

struct grant {
	struct fz_uuid resource;
	enum portal_resource_type type;
	struct fz_prefix net; /* cidr */
	struct filter *filter;
	uint64_t expires_s; /* unix seconds */
	bool listed; /* mark of grants_list() */
};

struct grants {
	const struct fz_env *env;
	struct grant *v;
	size_t len, cap;
	struct route_table *routes;
};

int grants_init(struct grants *g, const struct fz_env *env);
void grants_clear(struct grants *g);
/* A new grant, or new filters and expiry of the one that exists; its network stays. FZ_ERR_UNSUPPORTED for
 * kinds that this build does not serve, FZ_ERR_INVAL for filters that make no sense, FZ_ERR_FULL,
 * FZ_ERR_NOMEM. */
int grants_upsert(struct grants *g, const struct portal_resource *r, uint64_t expires_s);
/* False: there was none. */
bool grants_remove(struct grants *g, const struct fz_uuid *resource);
bool grants_set_expiry(struct grants *g, const struct fz_uuid *resource, uint64_t expires_s);
/* Reconcile with a complete list: name each grant that stays and its expiry, then remove the others one by
 * one until false. */
void grants_list(struct grants *g, const struct fz_uuid *resource, uint64_t expires_s);
bool grants_remove_unlisted(struct grants *g, struct fz_uuid *ret_resource);
int grants_set_filters(struct grants *g, const struct portal_resource *r);
bool grants_has(const struct grants *g, const struct fz_uuid *resource);
/* Remove one grant that is over at this second; false = none is. */
bool grants_expire(struct grants *g, uint64_t unix_s, struct fz_uuid *ret_resource);
/* When the next one is over, unix seconds; GRANT_FOREVER = never. */
uint64_t grants_next_expiry(const struct grants *g);

enum grant_verdict { GRANT_ALLOW, GRANT_PROHIBITED, GRANT_UNREACHABLE };
/* May a packet of this kind pass to or from this address and port at the resource's side? */
enum grant_verdict grants_check(struct grants *g, const struct fz_ip *ip, uint8_t kind, uint16_t port);

#endif
