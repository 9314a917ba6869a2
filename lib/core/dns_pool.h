/* SPDX-License-Identifier: Apache-2.0 */
/* Names of dynamic device pools, which only the portal can resolve: what it was asked, and what it said. An
 * address pair is kept until its pool goes; there are at most DNS_POOL_NAMES, the oldest makes room. */
#ifndef CORE_DNS_POOL_H
#define CORE_DNS_POOL_H

#include "base/map.h"
#include "base/text.h"
#include "wire/dns_name.h"

#define DNS_POOL_NAMES 4096

struct dns_pool_name {
	struct fz_map_link link;
	struct dns_pool_name *older, *newer;
	struct fz_uuid pool;
	struct fz_ip ipv4, ipv6; /* one may be unset */
	bool known; /* else the portal was asked */
	struct dns_name name;
};

struct dns_pool {
	const struct fz_env *env;
	struct fz_map map;
	struct dns_pool_name *oldest, *newest;
};

int dns_pool_init(struct dns_pool *p, const struct fz_env *env);
void dns_pool_clear(struct dns_pool *p);
/* NULL = never asked, or forgotten. */
struct dns_pool_name *dns_pool_find(const struct dns_pool *p, const struct fz_uuid *pool,
				    const struct dns_name *name);
/* A name that is not there yet; NULL without memory. */
struct dns_pool_name *dns_pool_add(struct dns_pool *p, const struct fz_uuid *pool,
				   const struct dns_name *name);
void dns_pool_remove(struct dns_pool *p, struct dns_pool_name *n);
/* All names of a pool. */
void dns_pool_remove_pool(struct dns_pool *p, const struct fz_uuid *pool);

#endif
