/* SPDX-License-Identifier: Apache-2.0 */
/* Proxy addresses: each domain name that matches a DNS resource gets four of each family, which stand for it
 * inside the tunnel. The n-th name gets the n-th four, and keeps them as long as the table lives: gateways
 * tear down all translations of a client that uses one address for two names. So addresses follow from a
 * number, both ways, and nothing but the number is stored.
 *
 * Each domain also remembers for which resources it was asked (a "use"): a resource that comes back under the
 * same id with the same pattern has its domains again without a new query.
 *
 * Pointers to domains stay valid until proxy_ips_free(), pointers to uses until the next call that takes a
 * non-const table. */
#ifndef CORE_PROXY_IPS_H
#define CORE_PROXY_IPS_H

#include "base/text.h"
#include "fzconn/addr.h"
#include "fzconn/env.h"
#include "wire/dns_name.h"

#define PROXY_IPS_EACH 4 /* addresses of each family for one domain */
/* Domains that the ranges have room for; a table is normally limited to far less, see below. */
#define PROXY_DOMAINS_RANGE 524223
/* Domains of one client. More are refused (FZ_ERR_FULL): the name is answered with SERVFAIL. */
#define PROXY_DOMAINS_MAX 131072
/* Resources of one domain, and resources of the table that have a domain. */
#define PROXY_USES_MAX 64
#define PROXY_RESOURCES_MAX 65536

struct proxy_ips;
struct proxy_domain;

/* One domain was asked for under one resource. */
struct proxy_use {
	struct proxy_domain *domain;
	const struct proxy_resource *resource;
	struct proxy_use *next_resource; /* of the same domain */
	struct proxy_use *next_domain; /* of the same resource */
};

struct proxy_resource {
	struct fz_uuid id;
	const char *pattern; /* text as the portal gave it */
};

int proxy_ips_new(const struct fz_env *env, size_t max_domains, struct proxy_ips **ret);
void proxy_ips_free(struct proxy_ips *p);
size_t proxy_ips_count(const struct proxy_ips *p);

/* NULL = no such domain, or the address is no proxy address in use. */
struct proxy_domain *proxy_ips_find(const struct proxy_ips *p, const struct dns_name *name);
struct proxy_domain *proxy_ips_by_ip(const struct proxy_ips *p, const struct fz_ip *ip);
/* The domain of this name, made when it does not exist. A new spelling of the name is taken over for
 * proxy_domain_name(). FZ_ERR_FULL, FZ_ERR_NOMEM: nothing has changed. */
int proxy_ips_assign(struct proxy_ips *p, const struct dns_name *name, struct proxy_domain **ret);

/* Remember that the domain belongs to this resource. *ret_new: it was not known. When the resource was known
 * under another pattern, its other uses are forgotten. FZ_ERR_FULL, FZ_ERR_NOMEM: this use is not added. */
int proxy_domain_use(struct proxy_ips *p, struct proxy_domain *d, const struct fz_uuid *id,
		     const char *pattern, bool *ret_new);
/* A resource was added: the first of its domains, if it was known before with the same pattern. Uses under
 * another pattern are forgotten. Go on with ->next_domain. */
const struct proxy_use *proxy_ips_readopt(struct proxy_ips *p, const struct fz_uuid *id, const char *pattern);
/* The first resource that the domain was asked for under; go on with ->next_resource. Resources among them
 * may have been removed meanwhile: the caller knows which it has. */
const struct proxy_use *proxy_domain_uses(const struct proxy_domain *d);

/* As in the most recent query that assigned it. */
void proxy_domain_name(const struct proxy_domain *d, struct dns_name *ret);
/* All addresses of a family in the order of assignment, which never changes. */
void proxy_domain_ips(const struct proxy_domain *d, enum fz_family family, struct fz_ip ret[PROXY_IPS_EACH]);

/* The i-th address (0-3) of the n-th domain (from 0), and back: false when the address is not in the range.
 */
struct fz_ip proxy_ip_at(enum fz_family family, uint32_t n, uint32_t i);
bool proxy_ip_number(const struct fz_ip *ip, uint32_t *ret_n);

#endif
