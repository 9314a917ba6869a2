/* SPDX-License-Identifier: Apache-2.0 */
#include "core/nat_table.h"

#include <assert.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "fzconn/error.h"

#define SLAB_LEN 128
/* Ports tried one after the other, then at random: finds one while most are taken, at a bounded cost. */
#define PORTS_IN_ORDER 256
#define PORTS_AT_RANDOM 256

enum flag { FIN_OUT = 1, FIN_IN = 2, RESET = 4 };

/* What each packet touches comes first. */
struct nat_session {
	struct fz_map_link inside, outside;
	struct fz_ip proxy, real;
	uint8_t kind, flags;
	uint16_t inside_port, outside_port;
	bool has_ended;
	uint64_t out_us, in_us; /* last packets; in_us 0 = none yet */
	void *tag;
	struct nat_table *table;
	struct fz_heap_node due; /* at or before the deadline */
	struct nat_session *prev, *next; /* of the table; next also of the free ones */
	struct nat_session *older, *newer; /* of the ended ones */
};

struct slab {
	struct slab *next;
	struct nat_session at[SLAB_LEN];
};

struct nat_pool {
	const struct fz_env *env;
	size_t max, max_each, made, ended;
	struct slab *slabs;
	struct nat_session *free;
	struct nat_session *oldest, *newest; /* ended ones that are remembered */
	struct fz_heap due;
	struct nat_stats stats;
};

/* No padding: hashed as it is. */
struct key {
	uint8_t ip[16];
	uint16_t port;
	uint8_t kind, family;
};
static_assert(sizeof(struct key) == 20, "a key has no holes");

static struct key make_key(uint8_t kind, uint16_t port, const struct fz_ip *ip)
{
	struct key k = { .port = port, .kind = kind, .family = ip->family };

	memcpy(k.ip, ip->b, sizeof(k.ip));
	return k;
}

/* ---- pool ---- */

int nat_pool_new(const struct fz_env *env, size_t max, size_t max_each, struct nat_pool **ret)
{
	struct nat_pool *pool = fz_zalloc(env, sizeof(*pool));

	if (pool == NULL)
		return FZ_ERR_NOMEM;
	pool->env = env;
	pool->max = max ? max : NAT_SESSIONS_MAX;
	pool->max_each = max_each ? max_each : NAT_TABLE_MAX;
	*ret = pool;
	return 0;
}

void nat_pool_free(struct nat_pool *pool)
{
	if (pool == NULL)
		return;
	for (struct slab *s = pool->slabs, *next; s; s = next) {
		next = s->next;
		fz_free(pool->env, s);
	}
	fz_heap_clear(&pool->due, pool->env);
	fz_free(pool->env, pool);
}

const struct nat_stats *nat_pool_stats(const struct nat_pool *pool)
{
	return &pool->stats;
}

static void leave_ended(struct nat_pool *pool, struct nat_session *s)
{
	*(s->older ? &s->older->newer : &pool->oldest) = s->newer;
	*(s->newer ? &s->newer->older : &pool->newest) = s->older;
	pool->ended--;
}

static void join_ended(struct nat_pool *pool, struct nat_session *s)
{
	s->older = pool->newest;
	s->newer = NULL;
	*(pool->newest ? &pool->newest->newer : &pool->oldest) = s;
	pool->newest = s;
	pool->ended++;
}

/* Back to the pool, whatever it was. */
static void release(struct nat_session *s)
{
	struct nat_table *t = s->table;
	struct nat_pool *pool = t->pool;

	if (s->has_ended) {
		leave_ended(pool, s);
	} else {
		fz_map_remove(&t->inside, &s->inside);
		fz_heap_set(&pool->due, &s->due, FZ_NEVER_US);
		pool->stats.live--;
		t->live--;
	}
	fz_map_remove(&t->outside, &s->outside);
	*(s->prev ? &s->prev->next : &t->sessions) = s->next;
	if (s->next)
		s->next->prev = s->prev;
	s->next = pool->free;
	pool->free = s;
}

/* It is over, but late packets are still known by the outside key. */
static void end(struct nat_session *s)
{
	struct nat_table *t = s->table;
	struct nat_pool *pool = t->pool;

	fz_map_remove(&t->inside, &s->inside);
	fz_heap_set(&pool->due, &s->due, FZ_NEVER_US);
	pool->stats.live--;
	pool->stats.ended++;
	t->live--;
	s->has_ended = true;
	join_ended(pool, s);
	if (pool->ended > NAT_ENDED_MAX)
		release(pool->oldest);
}

static bool grow(struct nat_pool *pool)
{
	struct slab *slab;

	if (pool->made >= pool->max || fz_heap_reserve(&pool->due, pool->env, pool->made + SLAB_LEN) != 0)
		return false;
	slab = fz_zalloc(pool->env, sizeof(*slab));
	if (slab == NULL)
		return false;
	slab->next = pool->slabs;
	pool->slabs = slab;
	pool->made += SLAB_LEN;
	for (size_t i = SLAB_LEN; i-- > 0;) {
		slab->at[i].next = pool->free;
		pool->free = &slab->at[i];
	}
	return true;
}

static struct nat_session *take(struct nat_pool *pool)
{
	struct nat_session *s;

	if (pool->stats.live >= pool->max)
		return NULL;
	if (pool->free == NULL && !grow(pool)) {
		if (pool->oldest == NULL)
			return NULL;
		release(pool->oldest);
	}
	s = pool->free;
	pool->free = s->next;
	memset(s, 0, sizeof(*s));
	return s;
}

/* ---- time ---- */

static uint64_t last_packet(const struct nat_session *s)
{
	return s->in_us > s->out_us ? s->in_us : s->out_us;
}

static uint64_t deadline(const struct nat_session *s)
{
	uint64_t last = last_packet(s), at = last + (s->kind == IP_TCP ? NAT_TCP_US : NAT_UDP_US);

	if (s->flags & RESET)
		return last;
	if ((s->flags & (FIN_OUT | FIN_IN)) == (FIN_OUT | FIN_IN))
		return last + NAT_FINISHED_US;
	if (s->in_us == 0)
		at = fz_min_us(at, s->out_us + NAT_UNCONFIRMED_US);
	return at;
}

void nat_pool_expire(struct nat_pool *pool, uint64_t now_us)
{
	struct fz_heap_node *n;

	while ((n = fz_heap_peek(&pool->due)) != NULL && n->at_us <= now_us) {
		struct nat_session *s = fz_container(n, struct nat_session, due);
		uint64_t at = deadline(s);
		if (at <= now_us)
			end(s);
		else
			fz_heap_set(&pool->due, n, at); /* packets came since it was set */
	}
}

uint64_t nat_pool_next(const struct nat_pool *pool)
{
	const struct fz_heap_node *n = fz_heap_peek(&pool->due);

	return n ? (n->at_us / 1000000 + 1) * 1000000 : FZ_NEVER_US;
}

static void note_flags(struct nat_session *s, const struct ip_view *view, enum flag fin)
{
	uint8_t before = s->flags;

	if (view->kind != IP_TCP)
		return;
	if (view->tcp_flags & IP_TCP_FIN)
		s->flags |= (uint8_t)fin;
	if (view->tcp_flags & IP_TCP_RST)
		s->flags |= RESET;
	if (s->flags != before)
		fz_heap_set(&s->table->pool->due, &s->due, deadline(s)); /* the only way to end earlier */
}

/* ---- tables ---- */

void nat_table_init(struct nat_table *t, struct nat_pool *pool)
{
	*t = (struct nat_table){ .pool = pool };
}

void nat_table_clear(struct nat_table *t)
{
	while (t->sessions)
		release(t->sessions);
	if (t->pool) {
		fz_map_clear(&t->inside, t->pool->env);
		fz_map_clear(&t->outside, t->pool->env);
	}
}

static struct nat_session *by_inside(const struct nat_table *t, const struct key *k)
{
	struct fz_map_link *l = fz_map_first(&t->inside, fz_map_hash(&t->inside, k, sizeof(*k)));

	for (; l; l = fz_map_next(l)) {
		struct nat_session *s = fz_container(l, struct nat_session, inside);
		if (s->inside_port == k->port && s->kind == k->kind && s->proxy.family == k->family &&
		    memcmp(s->proxy.b, k->ip, sizeof(k->ip)) == 0)
			return s;
	}
	return NULL;
}

static struct nat_session *by_outside(const struct nat_table *t, const struct key *k)
{
	struct fz_map_link *l = fz_map_first(&t->outside, fz_map_hash(&t->outside, k, sizeof(*k)));

	for (; l; l = fz_map_next(l)) {
		struct nat_session *s = fz_container(l, struct nat_session, outside);
		if (s->outside_port == k->port && s->kind == k->kind && s->real.family == k->family &&
		    memcmp(s->real.b, k->ip, sizeof(k->ip)) == 0)
			return s;
	}
	return NULL;
}

static bool is_over(struct nat_session *s, uint64_t now_us)
{
	if (!s->has_ended && deadline(s) <= now_us)
		end(s);
	return s->has_ended;
}

static bool has_port(const struct ip_view *view)
{
	return view->kind == IP_TCP || view->kind == IP_UDP || view->kind == IP_ICMP_ECHO;
}

struct nat_session *nat_find_outbound(struct nat_table *t, const struct ip_view *view, uint64_t now_us)
{
	struct nat_session *s;
	struct key k;

	if (t->live == 0 || !has_port(view))
		return NULL;
	k = make_key(view->kind, view->sport, &view->dst);
	s = by_inside(t, &k);
	return s && !is_over(s, now_us) ? s : NULL;
}

/* Nobody uses it towards that address. One that has ended gives its place. */
static bool is_free(struct nat_table *t, const struct key *k, uint64_t now_us)
{
	struct nat_session *s = by_outside(t, k);

	if (s == NULL)
		return true;
	if (!is_over(s, now_us))
		return false;
	/* Ending it may have made room by forgetting the oldest, which is another one as long as any are
	 * remembered. */
	release(s);
	return true;
}

static bool find_port(struct nat_table *t, struct key *k, uint64_t now_us)
{
	uint32_t first = k->port;

	if (is_free(t, k, now_us))
		return true;
	for (unsigned i = 1; i < PORTS_IN_ORDER; i++) {
		k->port = (uint16_t)((first + i - 1) % 65535 + 1); /* 65535 is followed by 1: never 0 */
		if (is_free(t, k, now_us))
			return true;
	}
	for (unsigned i = 0; i < PORTS_AT_RANDOM; i++) {
		k->port = (uint16_t)(1 + fz_rng_u64(t->pool->env) % 65535);
		if (is_free(t, k, now_us))
			return true;
	}
	return false;
}

static int need_maps(struct nat_table *t)
{
	const struct fz_env *env = t->pool->env;

	if (t->inside.buckets == NULL && fz_map_init(&t->inside, env, 0) != 0)
		return FZ_ERR_NOMEM;
	if (t->outside.buckets == NULL && fz_map_init(&t->outside, env, 0) != 0)
		return FZ_ERR_NOMEM;
	return 0;
}

static void enter(struct nat_table *t, struct nat_session *s)
{
	struct nat_pool *pool = t->pool;
	struct key in = make_key(s->kind, s->inside_port, &s->proxy),
		   out = make_key(s->kind, s->outside_port, &s->real);

	s->table = t;
	s->next = t->sessions;
	if (s->next)
		s->next->prev = s;
	t->sessions = s;
	t->live++;
	pool->stats.live++;
	pool->stats.opened++;
	fz_map_insert(&t->inside, pool->env, &s->inside, fz_map_hash(&t->inside, &in, sizeof(in)));
	fz_map_insert(&t->outside, pool->env, &s->outside, fz_map_hash(&t->outside, &out, sizeof(out)));
	fz_heap_set(&pool->due, &s->due, deadline(s));
}

int nat_open(struct nat_table *t, const struct ip_view *view, const struct fz_ip *real, void *tag,
	     uint64_t now_us, struct nat_session **ret)
{
	struct nat_pool *pool = t->pool;
	struct key k = make_key(view->kind, view->sport, real);
	struct nat_session *s;

	if (!has_port(view))
		return FZ_ERR_UNSUPPORTED;
	if (t->live >= pool->max_each || need_maps(t) != 0) {
		pool->stats.no_session++;
		return t->live >= pool->max_each ? FZ_ERR_FULL : FZ_ERR_NOMEM;
	}
	if (!find_port(t, &k, now_us)) {
		pool->stats.no_port++;
		return FZ_ERR_FULL;
	}
	s = take(pool);
	if (s == NULL) {
		pool->stats.no_session++;
		return FZ_ERR_FULL;
	}
	s->kind = view->kind;
	s->proxy = view->dst;
	s->real = *real;
	s->inside_port = view->sport;
	s->outside_port = k.port;
	s->tag = tag;
	s->out_us = now_us;
	enter(t, s);
	*ret = s;
	return 0;
}

/* ---- packets ---- */

void nat_outbound(struct nat_session *s, struct fz_pkt *pkt, struct ip_view *view, uint64_t now_us)
{
	s->out_us = now_us;
	note_flags(s, view, FIN_OUT);
	ip_set_dst(pkt, view, &s->real);
	if (s->outside_port != s->inside_port)
		ip_set_sport(pkt, view, s->outside_port);
}

static enum nat_answer answer(struct nat_table *t, const struct key *k, uint64_t now_us,
			      struct nat_session **ret)
{
	struct nat_session *s = by_outside(t, k);

	if (s == NULL)
		return NAT_NONE;
	*ret = s;
	return is_over(s, now_us) ? NAT_ENDED : NAT_FOUND;
}

enum nat_answer nat_find_inbound(struct nat_table *t, const struct ip_view *view, uint64_t now_us,
				 struct nat_session **ret)
{
	struct key k;

	if (t->sessions == NULL || !has_port(view))
		return NAT_NONE;
	k = make_key(view->kind, view->dport, &view->src);
	return answer(t, &k, now_us, ret);
}

void nat_inbound(struct nat_session *s, struct fz_pkt *pkt, struct ip_view *view, uint64_t now_us)
{
	s->in_us = now_us;
	note_flags(s, view, FIN_IN);
	ip_set_src(pkt, view, &s->proxy);
	if (s->outside_port != s->inside_port)
		ip_set_dport(pkt, view, s->inside_port);
}

enum nat_answer nat_find_error(struct nat_table *t, const struct icmp_quote *quote, uint64_t now_us,
			       struct nat_session **ret)
{
	struct key k;

	if (t->sessions == NULL)
		return NAT_NONE;
	k = make_key(quote->orig.kind, quote->orig.sport, &quote->orig.dst);
	return answer(t, &k, now_us, ret);
}

void nat_inbound_error(struct nat_session *s, struct fz_pkt *pkt, struct ip_view *view,
		       const struct icmp_quote *quote, bool keep_source, uint64_t now_us)
{
	s->in_us = now_us;
	icmp_quote_set(pkt, view, quote, &s->proxy, s->inside_port);
	if (!keep_source)
		ip_set_src(pkt, view, &s->proxy);
}

void *nat_tag(const struct nat_session *s)
{
	return s->tag;
}
