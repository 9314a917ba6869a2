/* SPDX-License-Identifier: Apache-2.0 */
#include "base/map.h"

#include "base/mem.h"
#include "base/rng.h"
#include "fzconn/error.h"

int fz_map_init(struct fz_map *m, const struct fz_env *env, size_t expect)
{
	size_t n = 16;

	while (n < expect)
		n *= 2;
	m->buckets = fz_calloc(env, n, sizeof(*m->buckets));
	if (m->buckets == NULL)
		return FZ_ERR_NOMEM;
	m->mask = n - 1;
	m->used = 0;
	m->seed = fz_rng_u64(env);
	return 0;
}

void fz_map_clear(struct fz_map *m, const struct fz_env *env)
{
	fz_free(env, m->buckets);
	*m = (struct fz_map){ 0 };
}

/* Multiply-xorshift over 8-byte steps, started from the secret seed. */
uint64_t fz_map_hash(const struct fz_map *m, const void *key, size_t len)
{
	const uint8_t *p = key;
	uint64_t h = m->seed ^ len;

	while (len > 0) {
		uint64_t v = 0;
		size_t n = len < 8 ? len : 8;
		for (size_t i = 0; i < n; i++)
			v |= (uint64_t)p[i] << (8 * i);
		h = (h ^ v) * 0xff51afd7ed558ccdu;
		h ^= h >> 32;
		p += n;
		len -= n;
	}
	h *= 0xc4ceb9fe1a85ec53u;
	return h ^ h >> 29;
}

static void grow(struct fz_map *m, const struct fz_env *env)
{
	size_t n = (m->mask + 1) * 2;
	struct fz_map_link **wider = fz_calloc(env, n, sizeof(*wider));

	if (wider == NULL)
		return;
	for (size_t i = 0; i <= m->mask; i++) {
		for (struct fz_map_link *l = m->buckets[i], *next; l; l = next) {
			next = l->next;
			l->next = wider[l->hash & (n - 1)];
			wider[l->hash & (n - 1)] = l;
		}
	}
	fz_free(env, m->buckets);
	m->buckets = wider;
	m->mask = n - 1;
}

void fz_map_insert(struct fz_map *m, const struct fz_env *env, struct fz_map_link *l, uint64_t hash)
{
	if (m->used > m->mask)
		grow(m, env);
	l->hash = hash;
	l->next = m->buckets[hash & m->mask];
	m->buckets[hash & m->mask] = l;
	m->used++;
}

void fz_map_remove(struct fz_map *m, struct fz_map_link *l)
{
	struct fz_map_link **at = &m->buckets[l->hash & m->mask];

	while (*at != NULL && *at != l)
		at = &(*at)->next;
	if (*at == NULL)
		return;
	*at = l->next;
	l->next = NULL;
	m->used--;
}

static struct fz_map_link *same(struct fz_map_link *l, uint64_t hash)
{
	while (l != NULL && l->hash != hash)
		l = l->next;
	return l;
}

struct fz_map_link *fz_map_first(const struct fz_map *m, uint64_t hash)
{
	return m->buckets ? same(m->buckets[hash & m->mask], hash) : NULL;
}

struct fz_map_link *fz_map_next(const struct fz_map_link *l)
{
	return same(l->next, l->hash);
}
