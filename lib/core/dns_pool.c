/* SPDX-License-Identifier: Apache-2.0 */
#include "core/dns_pool.h"

#include "base/mem.h"

int dns_pool_init(struct dns_pool *p, const struct fz_env *env)
{
	*p = (struct dns_pool){ .env = env };
	return fz_map_init(&p->map, env, 16);
}

void dns_pool_clear(struct dns_pool *p)
{
	while (p->oldest)
		dns_pool_remove(p, p->oldest);
	if (p->env)
		fz_map_clear(&p->map, p->env);
}

static uint64_t hash_of(const struct dns_pool *p, const struct fz_uuid *pool, const struct dns_name *name)
{
	struct dns_name low;

	dns_name_fold(name, &low);
	return fz_map_hash(&p->map, low.b, low.len) ^ fz_map_hash(&p->map, pool, sizeof(*pool));
}

struct dns_pool_name *dns_pool_find(const struct dns_pool *p, const struct fz_uuid *pool,
				    const struct dns_name *name)
{
	uint64_t hash = hash_of(p, pool, name);

	for (struct fz_map_link *l = fz_map_first(&p->map, hash); l; l = fz_map_next(l)) {
		struct dns_pool_name *n = fz_container(l, struct dns_pool_name, link);
		if (fz_uuid_equal(&n->pool, pool) && dns_name_equal(&n->name, name))
			return n;
	}
	return NULL;
}

struct dns_pool_name *dns_pool_add(struct dns_pool *p, const struct fz_uuid *pool,
				   const struct dns_name *name)
{
	struct dns_pool_name *n;

	if (p->map.used >= DNS_POOL_NAMES)
		dns_pool_remove(p, p->oldest);
	n = fz_zalloc(p->env, sizeof(*n));
	if (n == NULL)
		return NULL;
	n->pool = *pool;
	n->name = *name;
	n->older = p->newest;
	*(p->newest ? &p->newest->newer : &p->oldest) = n;
	p->newest = n;
	fz_map_insert(&p->map, p->env, &n->link, hash_of(p, pool, name));
	return n;
}

void dns_pool_remove(struct dns_pool *p, struct dns_pool_name *n)
{
	*(n->older ? &n->older->newer : &p->oldest) = n->newer;
	*(n->newer ? &n->newer->older : &p->newest) = n->older;
	fz_map_remove(&p->map, &n->link);
	fz_free(p->env, n);
}

void dns_pool_remove_pool(struct dns_pool *p, const struct fz_uuid *pool)
{
	for (struct dns_pool_name *n = p->oldest, *next; n; n = next) {
		next = n->newer;
		if (fz_uuid_equal(&n->pool, pool))
			dns_pool_remove(p, n);
	}
}
