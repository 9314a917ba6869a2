/* SPDX-License-Identifier: Apache-2.0 */
/* Queries of the stub that are under way: found by their id, by who asked, and by what is due. */
#ifndef CORE_DNS_JOB_H
#define CORE_DNS_JOB_H

#include "base/heap.h"
#include "base/map.h"
#include "core/dns_stub.h"

/* Exchanges of one query. */
#define DNS_TRIES_MAX 8

/* What the next poll does with it. */
enum dns_want {
	DNS_WANT_NOTHING, /* it waits */
	DNS_WANT_TRY, /* start an exchange */
	DNS_WANT_PORTAL, /* ask the portal */
	DNS_WANT_ANSWER /* answer with `rcode`, or the pool's addresses */
};

struct dns_job {
	struct fz_heap_node due; /* of the deadline or the next try, whatever is first */
	struct fz_map_link by_origin; /* UDP only */
	struct dns_job *next_ready;
	bool queued; /* in the list of ready ones */
	enum dns_want want;
	uint32_t id; /* slot and generation */
	uint64_t deadline_us, try_us;
	struct dns_origin origin;
	bool is_site, is_pool, deferred;
	struct fz_uuid resource; /* of site or pool */
	enum dns_rcode rcode;
	uint8_t own; /* the server behind the sentinel */
	uint8_t tries, server_of[DNS_TRIES_MAX];
	uint8_t open; /* mask of tries whose result is outstanding */
	uint32_t asked; /* mask of servers */
	uint16_t len;
	uint8_t query[];
};

struct dns_jobs {
	const struct fz_env *env;
	struct dns_job *slots[DNS_STUB_QUERIES];
	uint16_t unused[DNS_STUB_QUERIES];
	size_t unused_len, bytes;
	uint32_t generation;
	struct dns_job *ready, **ready_end;
	struct fz_map by_origin;
	struct fz_heap due;
};

int dns_jobs_init(struct dns_jobs *t, const struct fz_env *env);
void dns_jobs_clear(struct dns_jobs *t);
/* A query that is to be done by deadline_us; NULL when there is no room or memory. */
struct dns_job *dns_job_new(struct dns_jobs *t, const struct dns_origin *origin, const struct dns_msg *query,
			    uint64_t deadline_us);
void dns_job_free(struct dns_jobs *t, struct dns_job *j);
struct dns_job *dns_job_find(const struct dns_jobs *t, uint32_t id);
/* The same query of the same asker. */
struct dns_job *dns_job_same(const struct dns_jobs *t, const struct dns_origin *origin,
			     const struct dns_msg *query);
/* Poll has something to do with it now. */
void dns_job_want(struct dns_jobs *t, struct dns_job *j, enum dns_want want);
/* Next in the order in which they became ready, no longer queued; NULL = none. */
struct dns_job *dns_job_take(struct dns_jobs *t);
void dns_job_set_try(struct dns_jobs *t, struct dns_job *j, uint64_t try_us);
/* All jobs, one after the other: *slot starts at 0. The one given may be freed. */
struct dns_job *dns_job_each(const struct dns_jobs *t, size_t *slot);

#endif
