/* SPDX-License-Identifier: Apache-2.0 */
/* What the two halves of the stub share: dns_stub.c decides who answers a query, dns_forward.c asks servers.
 */
#ifndef CORE_DNS_STUB_IMPL_H
#define CORE_DNS_STUB_IMPL_H

#include "core/dns_cache.h"
#include "core/dns_job.h"
#include "core/dns_pattern.h"
#include "core/dns_pool.h"
#include "core/dns_stub.h"

/* How a server did lately. One that failed twice without an answer in between is asked last for a while. */
struct dns_health {
	uint64_t bad_until_us;
	unsigned failures;
};

struct dns_stub {
	const struct fz_env *env;
	struct proxy_ips *ips;
	struct dns_servers servers;
	bool internet; /* the internet resource is on */
	const struct route_table *cidr; /* borrowed; NULL = none */
	struct dns_health health[DNS_SERVERS_MAX];
	struct dns_patterns *names; /* of DNS resources; tag: enum portal_ip_stack */
	struct dns_patterns *pools; /* of device pools */
	struct dns_pool pool; /* names of theirs */
	struct dns_cache *cache;
	struct dns_jobs jobs;
	struct dns_stub_stats stats;

	struct dns_out name; /* DNS_OUT_NAME to be given out, domain NULL = none */
	struct dns_origin answer_to; /* of the answer in buf */
	size_t answer_len; /* 0 = none */
	char text[DNS_NAME_STRLEN];
	uint8_t buf[DNS_MESSAGE_MAX];
};

/* Ask the server behind the sentinel, or the site of a resource. */
void dns_forward(struct dns_stub *s, const struct dns_origin *origin, const struct dns_msg *query,
		 uint64_t now_us);
void dns_forward_to_site(struct dns_stub *s, const struct dns_origin *origin, const struct dns_msg *query,
			 const struct fz_uuid *resource, uint64_t now_us);
/* Start the exchange that the job wants; false: it failed instead and wants to be answered. */
bool dns_forward_try(struct dns_stub *s, struct dns_job *j, struct dns_exchange *ret, uint64_t now_us);
/* The job's next try is due: nobody has answered so far. */
void dns_forward_silent(struct dns_stub *s, struct dns_job *j, uint64_t now_us);
/* Its time is up. */
void dns_forward_expired(struct dns_stub *s, struct dns_job *j, uint64_t now_us);
/* Other servers: begin anew with what is under way. */
void dns_forward_restart(struct dns_stub *s, bool other_servers, uint64_t now_us);

/* The longest answer that the asker takes. */
size_t dns_answer_max(const struct dns_origin *origin, const struct dns_msg *query);
/* The answer in buf is ready to be polled. */
void dns_answer_ready(struct dns_stub *s, const struct dns_origin *origin, size_t len);
void dns_fail(struct dns_stub *s, struct dns_job *j, enum dns_rcode rcode);

#endif
