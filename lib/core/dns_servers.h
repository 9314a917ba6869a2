/* SPDX-License-Identifier: Apache-2.0 */
/* Which DNS servers the stub asks, and the address that stands for each inside the tunnel (sentinel). The
 * first list that is not empty counts: the portal's servers, the portal's DoH servers, the system's own. The
 * host is configured with the sentinels, in this order.
 *
 * A list of other servers gets other sentinels, none of them from the list before, so that hosts notice the
 * change; the same servers in another order change nothing. */
#ifndef CORE_DNS_SERVERS_H
#define CORE_DNS_SERVERS_H

#include "fzconn/addr.h"
#include "fzconn/env.h"

/* Further ones of a list are left out. Sentinels for two lists in a row must fit into the range. */
#define DNS_SERVERS_MAX 32
#define DNS_PORT 53
/* Longest URL of a DoH server; longer ones are left out. */
#define DNS_URL_MAX 2048

struct dns_server {
	struct fz_ip sentinel;
	struct fz_ip ip; /* port 53; unset for DoH */
	const char *url; /* DoH; else NULL */
	bool tunnelled; /* the caller's mark: queries go through the tunnel */
};

struct dns_servers {
	const struct fz_env *env;
	struct dns_server v[DNS_SERVERS_MAX]; /* in effect */
	size_t len;
	bool from_portal; /* Do53 servers of the portal are in effect: they may be resources themselves */
	struct fz_ip system[DNS_SERVERS_MAX], do53[DNS_SERVERS_MAX]; /* without sentinels and duplicates */
	size_t system_len, do53_len;
	char *doh[DNS_SERVERS_MAX];
	size_t doh_len;
	uint32_t left_out; /* of the lists as they came: sentinels, duplicates, too many, too long */
};

void dns_servers_init(struct dns_servers *s, const struct fz_env *env);
void dns_servers_clear(struct dns_servers *s);
/* Take over a list. *ret_changed: the sentinels are others now, and the marks are gone. FZ_ERR_NOMEM: nothing
 * has changed. */
void dns_servers_set_system(struct dns_servers *s, const struct fz_ip *ips, size_t n, bool *ret_changed);
int dns_servers_set_portal(struct dns_servers *s, const struct fz_ip *do53, size_t n, const char *const *doh,
			   size_t doh_n, bool *ret_changed);
/* NULL = no server stands behind this address. */
const struct dns_server *dns_servers_find(const struct dns_servers *s, const struct fz_ip *sentinel);

#endif
