/* SPDX-License-Identifier: Apache-2.0 */
/* What the proxy addresses of one client stand for, at the gateway: the name, the grants through which it may
 * be reached, and the real address that new flows go to. The client chose the addresses and announced them
 * (wire/p2p_payload.h); they stay until it uses one for another name or goes. A grant that ends leaves its
 * addresses in place, without use until the same is granted again. */
#ifndef CORE_PROXIES_H
#define CORE_PROXIES_H

#include "base/map.h"
#include "core/grants.h"
#include "wire/dns_name.h"

/* Addresses of one client; a name that needs more is refused. */
#define PROXIES_MAX 32768
/* Resources that share one address; further ones are refused. */
#define PROXY_GRANTS_MAX 8

/* A name, shared by its addresses. */
struct proxy_domain {
	uint32_t refs;
	char text[]; /* as the client spelled it */
};

struct proxy {
	struct fz_map_link by_ip;
	struct proxy *next;
	struct fz_ip ip;
	struct fz_ip real; /* family none: the name has no address of this family */
	struct proxy_domain *domain;
	struct grant *grants[PROXY_GRANTS_MAX]; /* references */
	uint8_t grants_len;
};

struct proxies {
	struct grants *grants;
	struct fz_map by_ip; /* without memory until the first */
	struct proxy *all;
	size_t len;
};

void proxies_init(struct proxies *p, struct grants *grants);
void proxies_clear(struct proxies *p);
struct proxy *proxies_find(const struct proxies *p, const struct fz_ip *ip);
/* Does one of these addresses stand for another name? Then the client has numbered anew. */
bool proxies_conflict(const struct proxies *p, const struct dns_name *name, const struct fz_ip *ips,
		      size_t len);
/* Let the addresses stand for the name, through this grant. The real addresses are dealt out in ascending
 * order, in turns, to the proxies of their family; NULL = nobody knows: those known before stay. FZ_ERR_FULL,
 * FZ_ERR_NOMEM: some may have been entered. */
int proxies_assign(struct proxies *p, struct grant *grant, const char *domain, const struct fz_ip *ips,
		   size_t len, const struct fz_ip *reals, size_t reals_len);
/* The grant by which a packet of this kind may pass to or from this port at the resource's side: that of the
 * greatest id. NULL = none. */
const struct grant *proxy_permits(const struct proxy *proxy, uint8_t kind, uint16_t port);

#endif
