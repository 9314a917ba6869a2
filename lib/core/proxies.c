/* SPDX-License-Identifier: Apache-2.0 */
#include "core/proxies.h"

#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "base/mem.h"
#include "fzconn/error.h"
#include "wire/p2p_payload.h"

/* Addresses of a name that are looked at; resolvers give no more than a message holds. */
#define REALS_MAX 64

void proxies_init(struct proxies *p, struct grants *grants)
{
	*p = (struct proxies){ .grants = grants };
}

static const struct fz_env *env_of(const struct proxies *p)
{
	return p->grants->env;
}

static void domain_unref(const struct fz_env *env, struct proxy_domain *d)
{
	if (--d->refs == 0)
		fz_free(env, d);
}

void proxies_clear(struct proxies *p)
{
	struct proxy *next;

	if (p->grants == NULL)
		return;
	for (struct proxy *x = p->all; x; x = next) {
		next = x->next;
		for (size_t i = 0; i < x->grants_len; i++)
			grants_unref(p->grants, x->grants[i]);
		domain_unref(env_of(p), x->domain);
		fz_free(env_of(p), x);
	}
	fz_map_clear(&p->by_ip, env_of(p));
	proxies_init(p, p->grants);
}

struct proxy *proxies_find(const struct proxies *p, const struct fz_ip *ip)
{
	struct fz_map_link *l = fz_map_first(&p->by_ip, fz_map_hash(&p->by_ip, ip, sizeof(*ip)));

	for (; l; l = fz_map_next(l)) {
		struct proxy *x = fz_container(l, struct proxy, by_ip);
		if (fz_ip_equal(&x->ip, ip))
			return x;
	}
	return NULL;
}

bool proxies_conflict(const struct proxies *p, const struct dns_name *name, const struct fz_ip *ips,
		      size_t len)
{
	for (size_t i = 0; i < len; i++) {
		const struct proxy *x = proxies_find(p, &ips[i]);
		struct dns_name have;
		if (x && (dns_name_parse(x->domain->text, &have) != 0 || !dns_name_equal(&have, name)))
			return true;
	}
	return false;
}

static int add_grant(struct proxies *p, struct proxy *x, struct grant *grant)
{
	struct grant **at = NULL;

	for (size_t i = 0; i < x->grants_len; i++) {
		if (x->grants[i] == grant)
			return 0;
		if (x->grants[i]->filter == NULL)
			at = &x->grants[i];
	}
	if (x->grants_len < PROXY_GRANTS_MAX) {
		x->grants[x->grants_len++] = grant_ref(grant);
		return 0;
	}
	if (at == NULL)
		return FZ_ERR_FULL;
	grants_unref(p->grants, *at);
	*at = grant_ref(grant);
	return 0;
}

static int assign_one(struct proxies *p, struct grant *grant, struct proxy_domain *domain,
		      const struct fz_ip *ip, const struct fz_ip *real)
{
	struct proxy *x = proxies_find(p, ip);

	if (x) {
		if (real)
			x->real = *real;
		return add_grant(p, x, grant);
	}
	if (p->len >= PROXIES_MAX)
		return FZ_ERR_FULL;
	if (p->by_ip.buckets == NULL && fz_map_init(&p->by_ip, env_of(p), 0) != 0)
		return FZ_ERR_NOMEM;
	x = fz_zalloc(env_of(p), sizeof(*x));
	if (x == NULL)
		return FZ_ERR_NOMEM;
	x->ip = *ip;
	if (real)
		x->real = *real;
	x->domain = domain;
	domain->refs++;
	x->grants[x->grants_len++] = grant_ref(grant);
	x->next = p->all;
	p->all = x;
	p->len++;
	fz_map_insert(&p->by_ip, env_of(p), &x->by_ip, fz_map_hash(&p->by_ip, ip, sizeof(*ip)));
	return 0;
}

static int ascending(const void *a, const void *b)
{
	const struct fz_ip *x = a, *y = b;

	return x->family != y->family ? (int)x->family - (int)y->family : memcmp(x->b, y->b, sizeof(x->b));
}

/* Copy in order, each once; returns their number. */
static size_t sorted(struct fz_ip *to, size_t cap, const struct fz_ip *from, size_t len)
{
	size_t n = 0;

	len = len < cap ? len : cap;
	if (len == 0)
		return 0;
	memcpy(to, from, len * sizeof(*to));
	qsort(to, len, sizeof(*to), ascending);
	for (size_t i = 0; i < len; i++)
		if (n == 0 || !fz_ip_equal(&to[n - 1], &to[i]))
			to[n++] = to[i];
	return n;
}

int proxies_assign(struct proxies *p, struct grant *grant, const char *domain, const struct fz_ip *ips,
		   size_t len, const struct fz_ip *reals, size_t reals_len)
{
	static const struct fz_ip none;
	struct fz_ip proxy[P2P_PROXIES_MAX], real[REALS_MAX];
	size_t n = sorted(proxy, P2P_PROXIES_MAX, ips, len), n4 = 0, turn[2] = { 0, 0 };
	size_t n_real = sorted(real, REALS_MAX, reals, reals_len);
	struct proxy_domain *d = fz_zalloc(env_of(p), sizeof(*d) + strlen(domain) + 1);
	int err = 0;

	if (d == NULL)
		return FZ_ERR_NOMEM;
	d->refs = 1;
	strcpy(d->text, domain);
	while (n4 < n_real && real[n4].family == FZ_FAMILY_INET)
		n4++;
	for (size_t i = 0; i < n && err == 0; i++) {
		bool is6 = proxy[i].family == FZ_FAMILY_INET6;
		size_t have = is6 ? n_real - n4 : n4;
		const struct fz_ip *to = have ? &real[(is6 ? n4 : 0) + turn[is6]++ % have] : &none;
		err = assign_one(p, grant, d, &proxy[i], reals ? to : NULL);
	}
	domain_unref(env_of(p), d);
	return err;
}

const struct grant *proxy_permits(const struct proxy *proxy, uint8_t kind, uint16_t port)
{
	const struct grant *best = NULL;

	for (size_t i = 0; i < proxy->grants_len; i++) {
		const struct grant *g = proxy->grants[i];
		if (g->filter && filter_permits(g->filter, kind, port) &&
		    (best == NULL || fz_uuid_compare(&g->resource, &best->resource) > 0))
			best = g;
	}
	return best;
}
