/* SPDX-License-Identifier: Apache-2.0 */
#include "core/txq.h"

#include <string.h>

#include "base/addr.h"
#include "base/mem.h"
#include "fzconn/error.h"

#define BIG_LEN (64u * 1024)
#define SMALL_LEN 2048u
#define SMALL_PER_BIG 4

/* What the IP and UDP headers may take of a batch's 65,535 bytes; IPv4 with all its options. */
#define OVERHEAD4 (60 + 8)
#define OVERHEAD6 (40 + 8)

struct batch {
	uint32_t tag; /* hash of the key, compared first */
	uint32_t len, cap;
	uint16_t seg_len, segs;
	uint8_t ecn;
	bool sealed, is_small;
	struct fz_addr local, remote;
	uint8_t *buf;
};

/* Buffers of one size: how many exist, and which are free. */
struct pool {
	uint8_t **free;
	size_t free_len, made, max;
	uint32_t buf_len;
};

struct txq {
	const struct fz_env *env;
	struct batch *ring;
	size_t cap, first, used;
	size_t newest; /* ring index of the batch that took the last datagram */
	size_t segs_max;
	struct pool big, small;
	/* The reservation: res_len 0 = none. A new batch stands behind the used ones until it is committed.
	 */
	size_t res_at, res_len;
	bool res_is_new;
	struct txq_stats stats;
};

static int pool_init(struct pool *p, const struct fz_env *env, size_t max, uint32_t buf_len)
{
	*p = (struct pool){ .max = max, .buf_len = buf_len };
	p->free = fz_calloc(env, max, sizeof(*p->free));
	return p->free == NULL ? FZ_ERR_NOMEM : 0;
}

static void pool_clear(struct pool *p, const struct fz_env *env)
{
	while (p->free_len > 0)
		fz_free(env, p->free[--p->free_len]);
	fz_free(env, p->free);
}

/* The buffer given back last comes first: its memory is warm, and the others may never be touched. */
static uint8_t *pool_get(struct pool *p, const struct fz_env *env)
{
	if (p->free_len > 0)
		return p->free[--p->free_len];
	if (p->made == p->max)
		return NULL;
	uint8_t *buf = env->mem.alloc(env->mem.ctx, p->buf_len);
	if (buf != NULL)
		p->made++;
	return buf;
}

static void pool_put(struct pool *p, uint8_t *buf)
{
	p->free[p->free_len++] = buf;
}

int txq_new(const struct fz_env *env, size_t max_batches, struct txq **ret)
{
	if (max_batches < 2 || max_batches > 4096)
		return FZ_ERR_INVAL;
	struct txq *q = fz_zalloc(env, sizeof(*q));
	if (q == NULL)
		return FZ_ERR_NOMEM;
	q->env = env;
	q->segs_max = TXQ_SEGS_MAX;
	q->cap = max_batches * (1 + SMALL_PER_BIG);
	q->ring = fz_calloc(env, q->cap, sizeof(*q->ring));
	if (q->ring == NULL || pool_init(&q->big, env, max_batches, BIG_LEN) != 0 ||
	    pool_init(&q->small, env, max_batches * SMALL_PER_BIG, SMALL_LEN) != 0) {
		txq_free(q);
		return FZ_ERR_NOMEM;
	}
	*ret = q;
	return 0;
}

void txq_free(struct txq *q)
{
	if (q == NULL)
		return;
	txq_clear(q);
	pool_clear(&q->big, q->env);
	pool_clear(&q->small, q->env);
	fz_free(q->env, q->ring);
	fz_free(q->env, q);
}

void txq_set_segs_max(struct txq *q, size_t segs_max)
{
	q->segs_max = segs_max < 1 ? 1 : segs_max > TXQ_SEGS_MAX ? TXQ_SEGS_MAX : segs_max;
}

/* Any 32 bits that differ for different peers. */
static uint32_t key_tag(const struct fz_addr *local, const struct fz_addr *remote, uint8_t ecn)
{
	uint64_t a, b;

	memcpy(&a, remote->ip.b, 8);
	memcpy(&b, remote->ip.b + 8, 8);
	a = (a ^ remote->port ^ (uint64_t)local->port << 20) * 0x9e3779b97f4a7c15u;
	a = (a ^ a >> 29 ^ b) * 0x9e3779b97f4a7c15u;
	return (uint32_t)(a >> 32) + ecn;
}

static bool has_key(const struct batch *b, uint32_t tag, const struct fz_addr *local,
		    const struct fz_addr *remote, uint8_t ecn)
{
	return b->tag == tag && b->ecn == ecn && b->remote.port == remote->port &&
	       b->local.port == local->port && memcmp(&b->remote.ip, &remote->ip, sizeof(remote->ip)) == 0 &&
	       memcmp(&b->local.ip, &local->ip, sizeof(local->ip)) == 0;
}

static size_t ring_at(const struct txq *q, size_t i)
{
	size_t at = q->first + i;

	return at < q->cap ? at : at - q->cap;
}

/* The newest batch of this key, NULL when there is none. */
static struct batch *find_newest(struct txq *q, uint32_t tag, const struct fz_addr *local,
				 const struct fz_addr *remote, uint8_t ecn)
{
	if (q->used == 0)
		return NULL;
	/* The batch that took the last datagram is the newest of its key. */
	if (has_key(&q->ring[q->newest], tag, local, remote, ecn))
		return &q->ring[q->newest];
	for (size_t i = q->used; i-- > 0;) {
		struct batch *b = &q->ring[ring_at(q, i)];
		if (has_key(b, tag, local, remote, ecn))
			return b;
	}
	return NULL;
}

static uint32_t limit_of(const struct fz_addr *remote)
{
	return FZ_SUPER_MAX - (remote->ip.family == FZ_FAMILY_INET6 ? OVERHEAD6 : OVERHEAD4);
}

static bool takes(const struct txq *q, const struct batch *b, size_t len)
{
	return !b->sealed && len <= b->seg_len && b->segs < q->segs_max && b->len + len <= b->cap;
}

/* A batch behind the used ones, with a buffer of the wanted size or, if those are all taken, of the other
 * one. */
static struct batch *open_batch(struct txq *q, const struct fz_addr *remote, size_t len, bool want_small)
{
	if (q->used == q->cap)
		return NULL;
	bool is_small = want_small && len <= SMALL_LEN;
	uint8_t *buf = pool_get(is_small ? &q->small : &q->big, q->env);
	if (buf == NULL && (is_small || len <= SMALL_LEN)) {
		is_small = !is_small;
		buf = pool_get(is_small ? &q->small : &q->big, q->env);
	}
	if (buf == NULL)
		return NULL;
	struct batch *b = &q->ring[ring_at(q, q->used)];
	*b = (struct batch){ .buf = buf,
			     .is_small = is_small,
			     .seg_len = (uint16_t)len,
			     .cap = is_small ? SMALL_LEN : limit_of(remote) };
	return b;
}

static void give_back(struct txq *q, struct batch *b)
{
	pool_put(b->is_small ? &q->small : &q->big, b->buf);
	b->buf = NULL;
}

void txq_cancel(struct txq *q)
{
	if (q->res_len > 0 && q->res_is_new)
		give_back(q, &q->ring[q->res_at]);
	q->res_len = 0;
}

static uint8_t *reserve(struct txq *q, const struct fz_addr *local, const struct fz_addr *remote, uint8_t ecn,
			size_t len, bool want_small)
{
	uint32_t tag = key_tag(local, remote, ecn);

	txq_cancel(q);
	struct batch *b = len > 0 && len <= limit_of(remote) ? find_newest(q, tag, local, remote, ecn) : NULL;
	q->res_is_new = b == NULL || !takes(q, b, len);
	if (q->res_is_new) {
		b = len > 0 && len <= limit_of(remote) ? open_batch(q, remote, len, want_small) : NULL;
		if (b == NULL) {
			q->stats.full++;
			return NULL;
		}
		b->tag = tag;
		b->ecn = ecn;
		b->local = *local;
		b->remote = *remote;
	}
	q->res_at = (size_t)(b - q->ring);
	q->res_len = len;
	return b->buf + b->len;
}

uint8_t *txq_reserve(struct txq *q, const struct fz_addr *local, const struct fz_addr *remote, uint8_t ecn,
		     size_t len)
{
	return reserve(q, local, remote, ecn, len, false);
}

void txq_commit(struct txq *q)
{
	if (q->res_len == 0)
		return;
	struct batch *b = &q->ring[q->res_at];
	b->len += (uint32_t)q->res_len;
	b->segs++;
	b->sealed = q->res_len < b->seg_len;
	if (q->res_is_new) {
		q->used++;
		q->stats.batches++;
	}
	q->stats.datagrams++;
	q->stats.bytes += q->res_len;
	q->newest = q->res_at;
	q->res_len = 0;
}

int txq_push(struct txq *q, const struct fz_addr *local, const struct fz_addr *remote, const void *data,
	     size_t len)
{
	uint8_t *p = reserve(q, local, remote, 0, len, true);

	if (p == NULL)
		return FZ_ERR_FULL;
	memcpy(p, data, len);
	txq_commit(q);
	return 0;
}

bool txq_peek(struct txq *q, struct fz_udp_batch *ret)
{
	if (q->used == 0)
		return false;
	txq_cancel(q); /* it might be for this batch */
	struct batch *b = &q->ring[q->first];
	b->sealed = true;
	*ret = (struct fz_udp_batch){ .local = b->local,
				      .remote = b->remote,
				      .data = b->buf,
				      .len = b->len,
				      .seg_len = b->seg_len,
				      .ecn = b->ecn };
	return true;
}

void txq_pop(struct txq *q)
{
	if (q->used == 0)
		return;
	txq_cancel(q);
	give_back(q, &q->ring[q->first]);
	q->first = ring_at(q, 1);
	q->used--;
	if (q->used > 0)
		q->newest = ring_at(q, q->used - 1);
}

bool txq_has_room(const struct txq *q)
{
	return q->used < q->cap && (q->big.free_len > 0 || q->big.made < q->big.max);
}

size_t txq_batches(const struct txq *q)
{
	return q->used;
}

bool txq_empty(const struct txq *q)
{
	return q->used == 0;
}

void txq_clear(struct txq *q)
{
	txq_cancel(q);
	while (q->used > 0)
		txq_pop(q);
}

void txq_stats(const struct txq *q, struct txq_stats *ret)
{
	*ret = q->stats;
}
