/* SPDX-License-Identifier: Apache-2.0 */
/* The DNS service of a gateway on its tunnel addresses: hands queries to the name servers of the system and
 * their answers back, as they are. Clients ask it for what they do not answer themselves: records other than
 * addresses of the names of DNS resources. */
#ifndef CORE_SITE_DNS_H
#define CORE_SITE_DNS_H

#include "core/endpoint.h"
#include "wire/dns.h"

#define SITE_DNS_PORT 53535
/* Queries under way, of all askers and of one address; further ones fail at once. */
#define SITE_DNS_QUERIES 1000
#define SITE_DNS_EACH 200
/* Name servers that are used. */
#define SITE_DNS_SERVERS 8

struct site_dns;

struct site_dns_stats {
	uint64_t queries, failed, malformed, full;
};

int site_dns_new(const struct fz_env *env, struct endpoint *endpoint, struct site_dns **ret);
void site_dns_free(struct site_dns *s); /* NULL is fine */
const struct site_dns_stats *site_dns_stats(const struct site_dns *s);
void site_dns_set_servers(struct site_dns *s, const struct fz_ip *servers, size_t len);
/* The caller knows that it may ask. */
void site_dns_request(struct site_dns *s, const struct fz_dns_request *r, uint64_t now_us);
/* To a query that we sent; others are ignored. */
void site_dns_answer(struct site_dns *s, const struct fz_dns_answer *a, uint64_t now_us);

#endif
