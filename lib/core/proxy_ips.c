/* SPDX-License-Identifier: Apache-2.0 */
#include "core/proxy_ips.h"

#include <string.h>

#include "base/map.h"
#include "base/mem.h"
#include "base/wr.h"
#include "core/ranges.h"
#include "fzconn/error.h"

struct proxy_domain {
	struct fz_map_link link;
	struct proxy_use *uses;
	uint32_t n;
	uint8_t name_len;
	uint8_t name[]; /* wire form */
};

/* A resource and, behind it, its pattern. */
struct known {
	struct proxy_resource pub;
	struct fz_map_link link;
	struct proxy_use *uses;
	char pattern[];
};

struct proxy_ips {
	const struct fz_env *env;
	struct proxy_domain **v; /* by number */
	size_t len, cap, max;
	struct fz_map by_name, by_id;
};

int proxy_ips_new(const struct fz_env *env, size_t max_domains, struct proxy_ips **ret)
{
	struct proxy_ips *p = fz_zalloc(env, sizeof(*p));

	if (p == NULL)
		return FZ_ERR_NOMEM;
	p->env = env;
	p->max = max_domains < PROXY_DOMAINS_RANGE ? max_domains : PROXY_DOMAINS_RANGE;
	if (fz_map_init(&p->by_name, env, 16) != 0 || fz_map_init(&p->by_id, env, 16) != 0) {
		proxy_ips_free(p);
		return FZ_ERR_NOMEM;
	}
	*ret = p;
	return 0;
}

void proxy_ips_free(struct proxy_ips *p)
{
	if (p == NULL)
		return;
	for (size_t i = 0; i < p->len; i++) {
		for (struct proxy_use *u = p->v[i]->uses, *next; u; u = next) {
			next = u->next_resource;
			fz_free(p->env, u);
		}
		fz_free(p->env, p->v[i]);
	}
	for (size_t i = 0; p->by_id.buckets && i <= p->by_id.mask; i++) {
		for (struct fz_map_link *l = p->by_id.buckets[i], *next; l; l = next) {
			next = l->next;
			fz_free(p->env, fz_container(l, struct known, link));
		}
	}
	fz_map_clear(&p->by_name, p->env);
	fz_map_clear(&p->by_id, p->env);
	fz_free(p->env, p->v);
	fz_free(p->env, p);
}

size_t proxy_ips_count(const struct proxy_ips *p)
{
	return p->len;
}

/* ---- numbers and addresses ---- */

/* Hosts of the IPv4 range count from 1; the sentinels lie inside of it and are left out. */
#define FIRST4 1u
#define SENTINELS4 256u

static uint32_t base4(enum range r)
{
	return fz_get_be32(ranges[r].ip.b);
}

struct fz_ip proxy_ip_at(enum fz_family family, uint32_t n, uint32_t i)
{
	struct fz_ip ip = ranges[family == FZ_FAMILY_INET ? RANGE_PROXY4 : RANGE_PROXY6].ip;
	uint32_t host = n * PROXY_IPS_EACH + i;

	if (family == FZ_FAMILY_INET) {
		uint32_t a = base4(RANGE_PROXY4) + FIRST4 + host;
		fz_put_be32(ip.b, a < base4(RANGE_SENTINEL4) ? a : a + SENTINELS4);
	} else {
		fz_put_be32(ip.b + 12, host);
	}
	return ip;
}

bool proxy_ip_number(const struct fz_ip *ip, uint32_t *ret_n)
{
	uint32_t host;

	if (!range_is_proxy(ip) || range_is_sentinel(ip))
		return false;
	if (ip->family == FZ_FAMILY_INET6) {
		host = fz_get_be32(ip->b + 12);
	} else {
		uint32_t a = fz_get_be32(ip->b);
		if (a > base4(RANGE_SENTINEL4))
			a -= SENTINELS4;
		host = a - base4(RANGE_PROXY4) - FIRST4;
		if (a == base4(RANGE_PROXY4))
			return false;
	}
	*ret_n = host / PROXY_IPS_EACH;
	return true;
}

/* ---- domains ---- */

static uint64_t name_hash(const struct proxy_ips *p, const struct dns_name *name)
{
	struct dns_name low;

	dns_name_fold(name, &low);
	return fz_map_hash(&p->by_name, low.b, low.len);
}

void proxy_domain_name(const struct proxy_domain *d, struct dns_name *ret)
{
	ret->len = d->name_len;
	memcpy(ret->b, d->name, d->name_len);
}

static struct proxy_domain *find(const struct proxy_ips *p, const struct dns_name *name, uint64_t hash)
{
	for (struct fz_map_link *l = fz_map_first(&p->by_name, hash); l; l = fz_map_next(l)) {
		struct proxy_domain *d = fz_container(l, struct proxy_domain, link);
		struct dns_name have;

		proxy_domain_name(d, &have);
		if (dns_name_equal(&have, name))
			return d;
	}
	return NULL;
}

struct proxy_domain *proxy_ips_find(const struct proxy_ips *p, const struct dns_name *name)
{
	return find(p, name, name_hash(p, name));
}

struct proxy_domain *proxy_ips_by_ip(const struct proxy_ips *p, const struct fz_ip *ip)
{
	uint32_t n;

	return proxy_ip_number(ip, &n) && n < p->len ? p->v[n] : NULL;
}

int proxy_ips_assign(struct proxy_ips *p, const struct dns_name *name, struct proxy_domain **ret)
{
	uint64_t hash = name_hash(p, name);
	struct proxy_domain *d = find(p, name, hash);
	int err;

	if (d == NULL) {
		err = fz_grow(p->env, &p->v, &p->cap, p->len, sizeof(*p->v), p->max);
		if (err != 0)
			return err;
		d = fz_zalloc(p->env, sizeof(*d) + name->len);
		if (d == NULL)
			return FZ_ERR_NOMEM;
		d->n = (uint32_t)p->len;
		d->name_len = name->len;
		p->v[p->len++] = d;
		fz_map_insert(&p->by_name, p->env, &d->link, hash);
	}
	memcpy(d->name, name->b, name->len);
	*ret = d;
	return 0;
}

void proxy_domain_ips(const struct proxy_domain *d, enum fz_family family, struct fz_ip ret[PROXY_IPS_EACH])
{
	for (uint32_t i = 0; i < PROXY_IPS_EACH; i++)
		ret[i] = proxy_ip_at(family, d->n, i);
}

/* ---- uses ---- */

const struct proxy_use *proxy_domain_uses(const struct proxy_domain *d)
{
	return d->uses;
}

static struct known *known_by_id(const struct proxy_ips *p, const struct fz_uuid *id)
{
	uint64_t hash = fz_map_hash(&p->by_id, id, sizeof(*id));

	for (struct fz_map_link *l = fz_map_first(&p->by_id, hash); l; l = fz_map_next(l)) {
		struct known *k = fz_container(l, struct known, link);
		if (fz_uuid_equal(&k->pub.id, id))
			return k;
	}
	return NULL;
}

static void forget(struct proxy_ips *p, struct known *k)
{
	for (struct proxy_use *u = k->uses, *next; u; u = next) {
		struct proxy_use **at = &u->domain->uses;

		next = u->next_domain;
		while (*at != u)
			at = &(*at)->next_resource;
		*at = u->next_resource;
		fz_free(p->env, u);
	}
	fz_map_remove(&p->by_id, &k->link);
	fz_free(p->env, k);
}

/* The resource under this pattern; one of another pattern is forgotten. NULL = not known. */
static struct known *known_as(struct proxy_ips *p, const struct fz_uuid *id, const char *pattern)
{
	struct known *k = known_by_id(p, id);

	if (k && strcmp(k->pattern, pattern) != 0) {
		forget(p, k);
		k = NULL;
	}
	return k;
}

static int know(struct proxy_ips *p, const struct fz_uuid *id, const char *pattern, struct known **ret)
{
	size_t len = strlen(pattern) + 1;
	struct known *k = known_as(p, id, pattern);

	if (k == NULL) {
		if (p->by_id.used >= PROXY_RESOURCES_MAX)
			return FZ_ERR_FULL;
		k = fz_zalloc(p->env, sizeof(*k) + len);
		if (k == NULL)
			return FZ_ERR_NOMEM;
		k->pub = (struct proxy_resource){ *id, k->pattern };
		memcpy(k->pattern, pattern, len);
		fz_map_insert(&p->by_id, p->env, &k->link, fz_map_hash(&p->by_id, id, sizeof(*id)));
	}
	*ret = k;
	return 0;
}

int proxy_domain_use(struct proxy_ips *p, struct proxy_domain *d, const struct fz_uuid *id,
		     const char *pattern, bool *ret_new)
{
	struct proxy_use *u;
	struct known *k;
	size_t count = 0;
	int err = know(p, id, pattern, &k);

	if (err != 0)
		return err;
	for (u = d->uses; u; u = u->next_resource, count++) {
		if (u->resource == &k->pub) {
			*ret_new = false;
			return 0;
		}
	}
	if (count >= PROXY_USES_MAX)
		return FZ_ERR_FULL;
	u = fz_zalloc(p->env, sizeof(*u));
	if (u == NULL)
		return FZ_ERR_NOMEM;
	*u = (struct proxy_use){ d, &k->pub, d->uses, k->uses };
	d->uses = k->uses = u;
	*ret_new = true;
	return 0;
}

const struct proxy_use *proxy_ips_readopt(struct proxy_ips *p, const struct fz_uuid *id, const char *pattern)
{
	struct known *k = known_as(p, id, pattern);

	return k ? k->uses : NULL;
}
