/* SPDX-License-Identifier: Apache-2.0 */
/* What one client may reach through this gateway: its grants, their expiry, and the routing table made from
 * those for networks. Names are served through proxy addresses, see proxies.h. */
#ifndef CORE_GRANTS_H
#define CORE_GRANTS_H

#include "base/map.h"
#include "base/text.h"
#include "core/route.h"
#include "wire/portal_events.h"

/* Grants of one client; more are refused. */
#define GRANTS_MAX 4096
/* A grant without expiry. */
#define GRANT_FOREVER UINT64_MAX

/* Lives as long as it is granted, and after that as long as somebody holds a reference: when the same is
 * granted again it is this one that comes back to life. */
struct grant {
	struct fz_map_link by_id;
	struct fz_uuid resource;
	enum portal_resource_type type;
	struct fz_prefix net; /* cidr */
	char *pattern; /* dns */
	struct filter *filter; /* NULL = it has ended */
	uint64_t expires_s; /* unix seconds */
	size_t index; /* in grants.v while it lives */
	uint32_t refs;
	bool listed; /* mark of grants_list() */
	bool is_known; /* in the map: a later one of that resource has not taken its place */
};

struct grants {
	const struct fz_env *env;
	struct grant **v; /* those that live */
	size_t len, cap;
	struct fz_map by_id;
	struct route_table *routes; /* cidr */
	struct grant *internet;
};

int grants_init(struct grants *g, const struct fz_env *env);
/* Give all references back first. */
void grants_clear(struct grants *g);
/* A new grant, or new filters and expiry of the one that exists; its network or pattern stays.
 * FZ_ERR_UNSUPPORTED for kinds that no gateway serves, FZ_ERR_INVAL for filters that make no sense or another
 * kind than before, FZ_ERR_FULL, FZ_ERR_NOMEM. */
int grants_upsert(struct grants *g, const struct portal_resource *r, uint64_t expires_s);
/* False: there was none. */
bool grants_remove(struct grants *g, const struct fz_uuid *resource);
/* Reconcile with a complete list: name each grant that stays and its expiry, then remove the others one by
 * one until false. */
void grants_list(struct grants *g, const struct fz_uuid *resource, uint64_t expires_s);
bool grants_remove_unlisted(struct grants *g, struct fz_uuid *ret_resource);
int grants_set_filters(struct grants *g, const struct portal_resource *r);
/* The grant that lives, NULL. */
struct grant *grants_find(const struct grants *g, const struct fz_uuid *resource);
struct grant *grant_ref(struct grant *grant);
void grants_unref(struct grants *g, struct grant *grant);
/* Remove one grant that is over at this second; false = none is. */
bool grants_expire(struct grants *g, uint64_t unix_s, struct fz_uuid *ret_resource);
/* When the next one is over, unix seconds; GRANT_FOREVER = never. */
uint64_t grants_next_expiry(const struct grants *g);

enum grant_verdict { GRANT_ALLOW, GRANT_PROHIBITED, GRANT_UNREACHABLE };
/* May a packet of this kind pass to or from this address and port at the resource's side? By which resource
 * (only when it may)? Proxy addresses are nobody's here. A network that admits it comes first; the Internet
 * resource has what is left of the public addresses. */
enum grant_verdict grants_check(struct grants *g, const struct fz_ip *ip, uint8_t kind, uint16_t port,
				const struct fz_uuid **ret_resource);

#endif
