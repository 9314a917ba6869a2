/* SPDX-License-Identifier: Apache-2.0 */
/* Answers of upstream servers, kept for as long as their records allow: replies without error that are
 * complete and hold records of the type that was asked for, all of which live 5 s or more. Kept is the answer
 * section, under name, type and the DNSSEC OK bit of the query; class IN only, and nothing for queries that
 * ask for unchecked data (CD). Answers come with what is left of each TTL. */
#ifndef CORE_DNS_CACHE_H
#define CORE_DNS_CACHE_H

#include "fzconn/env.h"
#include "wire/dns.h"

/* When one is reached the oldest entries go. */
#define DNS_CACHE_ENTRIES 4096
#define DNS_CACHE_BYTES (1024 * 1024)
/* Larger answers are not kept. */
#define DNS_CACHE_ANSWER_MAX 16384
#define DNS_CACHE_TTL_MIN_S 5
#define DNS_CACHE_TTL_MAX_S 86400

struct dns_cache;

int dns_cache_new(const struct fz_env *env, struct dns_cache **ret);
void dns_cache_free(struct dns_cache *c);
void dns_cache_flush(struct dns_cache *c);
size_t dns_cache_count(const struct dns_cache *c);
size_t dns_cache_bytes(const struct dns_cache *c);

/* Keep the reply if it is worth it; want of memory is no error. The reply answers the query. */
void dns_cache_put(struct dns_cache *c, const struct dns_msg *query, const struct dns_msg *reply,
		   uint64_t now_us);
/* The answer to a query, made for it: at most cap bytes (at least DNS_UDP_MIN), truncated if need be. Returns
 * its length; 0 = nothing is known. */
size_t dns_cache_get(struct dns_cache *c, const struct dns_msg *query, uint8_t *buf, size_t cap,
		     uint64_t now_us);

#endif
