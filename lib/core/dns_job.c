/* SPDX-License-Identifier: Apache-2.0 */
#include "core/dns_job.h"

#include <assert.h>
#include <string.h>

#include "base/addr.h"
#include "base/mem.h"
#include "fzconn/error.h"

#define SLOT_BITS 10
static_assert(DNS_STUB_QUERIES <= 1 << SLOT_BITS, "a slot's number fits into an id");

int dns_jobs_init(struct dns_jobs *t, const struct fz_env *env)
{
	*t = (struct dns_jobs){ .env = env };
	t->ready_end = &t->ready;
	for (size_t i = 0; i < DNS_STUB_QUERIES; i++)
		t->unused[t->unused_len++] = (uint16_t)(DNS_STUB_QUERIES - 1 - i);
	return fz_map_init(&t->by_origin, env, 16);
}

void dns_jobs_clear(struct dns_jobs *t)
{
	if (t->env == NULL)
		return;
	for (size_t i = 0; i < DNS_STUB_QUERIES; i++)
		fz_free(t->env, t->slots[i]);
	fz_map_clear(&t->by_origin, t->env);
	fz_heap_clear(&t->due, t->env);
	*t = (struct dns_jobs){ 0 };
}

static uint64_t origin_hash(const struct dns_jobs *t, const struct dns_origin *o, uint16_t id)
{
	struct {
		struct fz_addr peer;
		struct fz_ip sentinel;
		uint8_t id[2];
	} key;

	memset(&key, 0, sizeof(key));
	key.peer = o->peer;
	key.sentinel = o->sentinel;
	key.id[0] = (uint8_t)(id >> 8);
	key.id[1] = (uint8_t)id;
	return fz_map_hash(&t->by_origin, &key, sizeof(key));
}

struct dns_job *dns_job_new(struct dns_jobs *t, const struct dns_origin *origin, const struct dns_msg *query,
			    uint64_t deadline_us)
{
	struct dns_job *j;
	size_t slot;

	if (t->unused_len == 0 || query->len > DNS_STUB_QUERY_MAX || t->bytes + query->len > DNS_STUB_BYTES)
		return NULL;
	if (fz_heap_reserve(&t->due, t->env, DNS_STUB_QUERIES - t->unused_len + 1) != 0)
		return NULL;
	j = fz_zalloc(t->env, sizeof(*j) + query->len);
	if (j == NULL)
		return NULL;
	slot = t->unused[--t->unused_len];
	t->slots[slot] = j;
	j->id = ++t->generation << SLOT_BITS | (uint32_t)slot;
	j->origin = *origin;
	j->len = (uint16_t)query->len;
	memcpy(j->query, query->data, query->len);
	t->bytes += j->len;
	j->deadline_us = deadline_us;
	dns_job_set_try(t, j, FZ_NEVER_US);
	if (!origin->tcp)
		fz_map_insert(&t->by_origin, t->env, &j->by_origin, origin_hash(t, origin, query->id));
	return j;
}

static void unqueue(struct dns_jobs *t, struct dns_job *j)
{
	struct dns_job **at = &t->ready;

	while (*at != j)
		at = &(*at)->next_ready;
	*at = j->next_ready;
	if (t->ready_end == &j->next_ready)
		t->ready_end = at;
	j->queued = false;
	j->next_ready = NULL;
}

void dns_job_free(struct dns_jobs *t, struct dns_job *j)
{
	size_t slot = j->id & ((1u << SLOT_BITS) - 1);

	if (j->queued)
		unqueue(t, j);
	if (!j->origin.tcp)
		fz_map_remove(&t->by_origin, &j->by_origin);
	fz_heap_set(&t->due, &j->due, FZ_NEVER_US);
	t->bytes -= j->len;
	t->slots[slot] = NULL;
	t->unused[t->unused_len++] = (uint16_t)slot;
	fz_free(t->env, j);
}

struct dns_job *dns_job_find(const struct dns_jobs *t, uint32_t id)
{
	size_t slot = id & ((1u << SLOT_BITS) - 1);
	struct dns_job *j = slot < DNS_STUB_QUERIES ? t->slots[slot] : NULL;

	return j && j->id == id ? j : NULL;
}

struct dns_job *dns_job_same(const struct dns_jobs *t, const struct dns_origin *origin,
			     const struct dns_msg *query)
{
	uint64_t hash = origin_hash(t, origin, query->id);

	for (struct fz_map_link *l = fz_map_first(&t->by_origin, hash); l; l = fz_map_next(l)) {
		struct dns_job *j = fz_container(l, struct dns_job, by_origin);
		if (fz_ip_equal(&j->origin.sentinel, &origin->sentinel) &&
		    fz_addr_equal(&j->origin.peer, &origin->peer) && j->len == query->len &&
		    memcmp(j->query, query->data, query->len) == 0)
			return j;
	}
	return NULL;
}

void dns_job_want(struct dns_jobs *t, struct dns_job *j, enum dns_want want)
{
	j->want = want;
	if (j->queued || want == DNS_WANT_NOTHING)
		return;
	j->queued = true;
	j->next_ready = NULL;
	*t->ready_end = j;
	t->ready_end = &j->next_ready;
}

struct dns_job *dns_job_take(struct dns_jobs *t)
{
	struct dns_job *j = t->ready;

	if (j)
		unqueue(t, j);
	return j;
}

void dns_job_set_try(struct dns_jobs *t, struct dns_job *j, uint64_t try_us)
{
	j->try_us = try_us;
	fz_heap_set(&t->due, &j->due, fz_min_us(try_us, j->deadline_us));
}

struct dns_job *dns_job_each(const struct dns_jobs *t, size_t *slot)
{
	while (*slot < DNS_STUB_QUERIES) {
		struct dns_job *j = t->slots[(*slot)++];
		if (j)
			return j;
	}
	return NULL;
}
