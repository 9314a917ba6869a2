/* SPDX-License-Identifier: Apache-2.0 */
#include "core/dns_nat.h"

#include <string.h>

#include "base/map.h"
#include "base/mem.h"
#include "base/time.h"
#include "fzconn/error.h"

enum state { PENDING, CONFIRMED, FAILED };

struct entry {
	struct dns_nat_key key;
	enum state state;
	bool holds; /* pending: packets wait */
	bool due; /* to be announced as soon as its gateway can be reached */
	uint64_t sent_us; /* last announcement */
	uint64_t since_us; /* the oldest packet of the ring */
	struct pending ring; /* no slots = none */
	struct fz_map_link link;
	struct entry *older, *newer; /* by the time of being due */
	struct entry *next_due;
};

struct dns_nat {
	const struct fz_env *env;
	struct fz_map by_key;
	size_t max;
	struct entry *oldest, *newest;
	struct entry *due, **due_end;
	struct entry *holders[DNS_NAT_HOLDERS_MAX];
	size_t holders_len;
	uint64_t lost;
};

int dns_nat_new(const struct fz_env *env, size_t max, struct dns_nat **ret)
{
	struct dns_nat *n = fz_zalloc(env, sizeof(*n));

	if (n == NULL)
		return FZ_ERR_NOMEM;
	n->env = env;
	n->max = max ? max : DNS_NAT_MAX;
	n->due_end = &n->due;
	if (fz_map_init(&n->by_key, env, 0) != 0) {
		fz_free(env, n);
		return FZ_ERR_NOMEM;
	}
	*ret = n;
	return 0;
}

size_t dns_nat_count(const struct dns_nat *n)
{
	return n->by_key.used;
}

static uint64_t hash_key(const struct dns_nat *n, const struct dns_nat_key *key)
{
	uint8_t b[sizeof(key->gateway) + sizeof(key->domain) + sizeof(key->resource)];

	memcpy(b, &key->gateway, sizeof(key->gateway));
	memcpy(b + sizeof(key->gateway), &key->domain, sizeof(key->domain));
	memcpy(b + sizeof(key->gateway) + sizeof(key->domain), &key->resource, sizeof(key->resource));
	return fz_map_hash(&n->by_key, b, sizeof(b));
}

static struct entry *find(const struct dns_nat *n, const struct dns_nat_key *key)
{
	struct fz_map_link *l = fz_map_first(&n->by_key, hash_key(n, key));

	for (; l; l = fz_map_next(l)) {
		struct entry *e = fz_container(l, struct entry, link);
		if (e->key.gateway == key->gateway && e->key.domain == key->domain &&
		    fz_uuid_equal(&e->key.resource, &key->resource))
			return e;
	}
	return NULL;
}

/* ---- lists ---- */

static void unlink_age(struct dns_nat *n, struct entry *e)
{
	*(e->older ? &e->older->newer : &n->oldest) = e->newer;
	*(e->newer ? &e->newer->older : &n->newest) = e->older;
	e->older = e->newer = NULL;
}

static void link_newest(struct dns_nat *n, struct entry *e)
{
	e->older = n->newest;
	*(n->newest ? &n->newest->newer : &n->oldest) = e;
	n->newest = e;
}

static void set_due(struct dns_nat *n, struct entry *e)
{
	if (e->due)
		return;
	*n->due_end = e;
	n->due_end = &e->next_due;
	e->next_due = NULL;
	e->due = true;
	unlink_age(n, e);
	link_newest(n, e);
}

static void unset_due(struct dns_nat *n, struct entry *e)
{
	struct entry **at = &n->due;

	if (!e->due)
		return;
	while (*at != e)
		at = &(*at)->next_due;
	*at = e->next_due;
	if (n->due_end == &e->next_due)
		n->due_end = at;
	e->due = false;
}

/* Take the ring out of an entry: its packets are the caller's. */
static struct pending take_ring(struct dns_nat *n, struct entry *e)
{
	struct pending ring = e->ring;

	e->ring = (struct pending){ 0 };
	for (size_t i = 0; i < n->holders_len; i++) {
		if (n->holders[i] != e)
			continue;
		n->holders[i] = n->holders[--n->holders_len];
		break;
	}
	return ring;
}

static void lose_ring(struct dns_nat *n, struct entry *e)
{
	struct pending ring = take_ring(n, e);

	n->lost += ring.used;
	pending_clear(&ring);
}

static void forget(struct dns_nat *n, struct entry *e)
{
	lose_ring(n, e);
	unset_due(n, e);
	unlink_age(n, e);
	fz_map_remove(&n->by_key, &e->link);
	fz_free(n->env, e);
}

void dns_nat_free(struct dns_nat *n)
{
	if (n == NULL)
		return;
	while (n->oldest)
		forget(n, n->oldest);
	fz_map_clear(&n->by_key, n->env);
	fz_free(n->env, n);
}

/* ---- announcing ---- */

static struct entry *add(struct dns_nat *n, const struct dns_nat_key *key)
{
	struct entry *e = fz_zalloc(n->env, sizeof(*e));

	if (e == NULL)
		return NULL;
	if (n->by_key.used >= n->max)
		forget(n, n->oldest);
	e->key = *key;
	e->state = PENDING;
	e->holds = true;
	link_newest(n, e);
	fz_map_insert(&n->by_key, n->env, &e->link, hash_key(n, key));
	set_due(n, e);
	return e;
}

static void repeat(struct dns_nat *n, struct entry *e, uint64_t now_us)
{
	if (now_us >= e->sent_us + DNS_NAT_GAP_US)
		set_due(n, e);
}

int dns_nat_announce(struct dns_nat *n, const struct dns_nat_key *key, bool asked_again, uint64_t now_us)
{
	struct entry *e = find(n, key);

	if (e == NULL)
		return add(n, key) ? 0 : FZ_ERR_NOMEM;
	if (e->state == PENDING) {
		repeat(n, e, now_us);
	} else if (asked_again) {
		/* What works goes on meanwhile. */
		e->holds = e->state == FAILED;
		e->state = PENDING;
		set_due(n, e);
	}
	return 0;
}

const struct dns_nat_key *dns_nat_take_due(struct dns_nat *n, uint32_t gateway, uint64_t now_us)
{
	for (struct entry *e = n->due; e; e = e->next_due) {
		if (e->key.gateway != gateway)
			continue;
		unset_due(n, e);
		e->sent_us = now_us;
		return &e->key;
	}
	return NULL;
}

/* ---- packets ---- */

static bool start_ring(struct dns_nat *n, struct entry *e, uint64_t now_us)
{
	if (n->holders_len == DNS_NAT_HOLDERS_MAX) {
		struct entry *longest = n->holders[0];
		for (size_t i = 1; i < n->holders_len; i++)
			if (n->holders[i]->since_us < longest->since_us)
				longest = n->holders[i];
		lose_ring(n, longest);
	}
	if (pending_init(&e->ring, n->env, PENDING_DNS_NAT) != 0)
		return false;
	e->since_us = now_us;
	n->holders[n->holders_len++] = e;
	return true;
}

bool dns_nat_hold(struct dns_nat *n, const struct dns_nat_key *key, struct fz_pkt *pkt,
		  const struct ip_view *view, uint64_t now_us)
{
	struct entry *e = find(n, key);
	uint64_t before;

	if (e == NULL)
		e = add(n, key);
	if (e == NULL) {
		n->lost++;
		return true;
	}
	if (e->state != PENDING)
		return false;
	repeat(n, e, now_us);
	if (!e->holds)
		return false;
	if (e->ring.slots == NULL && !start_ring(n, e, now_us)) {
		n->lost++;
		return true;
	}
	before = e->ring.dropped;
	pending_push(&e->ring, pkt, view);
	n->lost += e->ring.dropped - before;
	return true;
}

void dns_nat_answered(struct dns_nat *n, const struct dns_nat_key *key, bool active, struct pending *ret)
{
	struct entry *e = find(n, key);

	*ret = (struct pending){ 0 };
	if (e == NULL)
		return;
	*ret = take_ring(n, e);
	unset_due(n, e);
	e->holds = false;
	e->state = active ? CONFIRMED : FAILED;
}

void dns_nat_forget_gateway(struct dns_nat *n, uint32_t gateway)
{
	struct entry *next;

	for (struct entry *e = n->oldest; e; e = next) {
		next = e->newer;
		if (e->key.gateway == gateway)
			forget(n, e);
	}
}

void dns_nat_forget_resource(struct dns_nat *n, const struct fz_uuid *resource)
{
	struct entry *next;

	for (struct entry *e = n->oldest; e; e = next) {
		next = e->newer;
		if (fz_uuid_equal(&e->key.resource, resource))
			forget(n, e);
	}
}

/* ---- time ---- */

uint64_t dns_nat_next_timeout(const struct dns_nat *n)
{
	uint64_t at = FZ_NEVER_US;

	for (size_t i = 0; i < n->holders_len; i++) {
		const struct entry *e = n->holders[i];
		at = fz_min_us(at, e->since_us + DNS_NAT_HOLD_US);
		if (!e->due)
			at = fz_min_us(at, e->sent_us + DNS_NAT_GAP_US);
	}
	return at;
}

bool dns_nat_handle_timeout(struct dns_nat *n, uint64_t now_us, struct pending *ret)
{
	for (size_t i = 0; i < n->holders_len; i++) {
		struct entry *e = n->holders[i];
		if (now_us >= e->since_us + DNS_NAT_HOLD_US) {
			*ret = take_ring(n, e);
			return true;
		}
		repeat(n, e, now_us);
	}
	return false;
}

uint64_t dns_nat_take_lost(struct dns_nat *n)
{
	uint64_t lost = n->lost;

	n->lost = 0;
	return lost;
}
