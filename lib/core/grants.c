/* SPDX-License-Identifier: Apache-2.0 */
#include "core/grants.h"

#include <string.h>

#include "base/mem.h"
#include "core/ranges.h"
#include "fzconn/error.h"

int grants_init(struct grants *g, const struct fz_env *env)
{
	*g = (struct grants){ .env = env };
	if (fz_map_init(&g->by_id, env, 0) != 0)
		return FZ_ERR_NOMEM;
	return route_table_new(env, NULL, GRANTS_MAX, &g->routes);
}

static void forget(struct grants *g, struct grant *grant)
{
	if (grant->is_known)
		fz_map_remove(&g->by_id, &grant->by_id);
	grant->is_known = false;
}

static void grant_free(struct grants *g, struct grant *grant)
{
	forget(g, grant);
	filter_unref(grant->filter);
	fz_free(g->env, grant->pattern);
	fz_free(g->env, grant);
}

void grants_clear(struct grants *g)
{
	if (g->env == NULL)
		return;
	route_table_free(g->routes);
	for (size_t i = 0; i < g->len; i++)
		grant_free(g, g->v[i]);
	fz_free(g->env, g->v);
	fz_map_clear(&g->by_id, g->env);
	*g = (struct grants){ 0 };
}

struct grant *grant_ref(struct grant *grant)
{
	grant->refs++;
	return grant;
}

void grants_unref(struct grants *g, struct grant *grant)
{
	if (--grant->refs == 0 && grant->filter == NULL)
		grant_free(g, grant);
}

/* Of this resource, dead or alive. */
static struct grant *find_any(const struct grants *g, const struct fz_uuid *resource)
{
	struct fz_map_link *l = fz_map_first(&g->by_id, fz_map_hash(&g->by_id, resource, sizeof(*resource)));

	for (; l; l = fz_map_next(l)) {
		struct grant *grant = fz_container(l, struct grant, by_id);
		if (fz_uuid_equal(&grant->resource, resource))
			return grant;
	}
	return NULL;
}

struct grant *grants_find(const struct grants *g, const struct fz_uuid *resource)
{
	struct grant *grant = find_any(g, resource);

	return grant && grant->filter ? grant : NULL;
}

/* Takes the filter over on success. The routing table holds a reference of its own. */
static int set_filter(struct grants *g, struct grant *grant, struct filter *filter)
{
	if (grant->type == PORTAL_RESOURCE_CIDR) {
		int err = route_add(g->routes, &grant->net, &grant->resource, filter, NULL);
		if (err != 0)
			return err;
	}
	filter_unref(grant->filter);
	grant->filter = filter;
	return 0;
}

static int refilter(struct grants *g, struct grant *grant, const struct portal_resource *r)
{
	struct filter *filter;
	int err = filter_new(g->env, r->filters, r->filters_len, &filter);

	if (err != 0)
		return err;
	err = set_filter(g, grant, filter);
	if (err != 0)
		filter_unref(filter);
	return err;
}

int grants_set_filters(struct grants *g, const struct portal_resource *r)
{
	struct grant *grant = grants_find(g, &r->id);

	if (grant == NULL)
		return FZ_ERR_NOT_FOUND;
	return grant->type == r->type ? refilter(g, grant, r) : FZ_ERR_INVAL;
}

static bool is_served(enum portal_resource_type type)
{
	return type == PORTAL_RESOURCE_CIDR || type == PORTAL_RESOURCE_DNS ||
	       type == PORTAL_RESOURCE_INTERNET;
}

/* Who holds on to it expects the same names behind it. */
static bool may_revive(const struct grant *grant, const struct portal_resource *r)
{
	return grant->type == r->type && r->type == PORTAL_RESOURCE_DNS &&
	       strcmp(grant->pattern, r->address) == 0;
}

static struct grant *grant_new(struct grants *g, const struct portal_resource *r)
{
	struct grant *grant = fz_zalloc(g->env, sizeof(*grant));

	if (grant == NULL)
		return NULL;
	grant->resource = r->id;
	grant->type = r->type;
	grant->net = r->net;
	if (r->type == PORTAL_RESOURCE_DNS) {
		grant->pattern = fz_strdup(g->env, r->address);
		if (grant->pattern == NULL) {
			fz_free(g->env, grant);
			return NULL;
		}
	}
	return grant;
}

static int insert(struct grants *g, const struct portal_resource *r, uint64_t expires_s)
{
	struct grant *dead = find_any(g, &r->id), *grant = dead;
	int err = fz_grow(g->env, &g->v, &g->cap, g->len, sizeof(struct grant *), GRANTS_MAX);

	if (err != 0)
		return err;
	if (dead == NULL || !may_revive(dead, r)) {
		grant = grant_new(g, r);
		if (grant == NULL)
			return FZ_ERR_NOMEM;
	}
	err = refilter(g, grant, r);
	if (err != 0) {
		if (grant != dead)
			grant_free(g, grant);
		return err;
	}
	if (grant != dead) {
		if (dead)
			forget(g, dead);
		fz_map_insert(&g->by_id, g->env, &grant->by_id,
			      fz_map_hash(&g->by_id, &grant->resource, sizeof(grant->resource)));
		grant->is_known = true;
	}
	grant->expires_s = expires_s;
	grant->listed = false;
	grant->index = g->len;
	g->v[g->len++] = grant;
	if (grant->type == PORTAL_RESOURCE_INTERNET)
		g->internet = grant;
	return 0;
}

int grants_upsert(struct grants *g, const struct portal_resource *r, uint64_t expires_s)
{
	struct grant *have = grants_find(g, &r->id);
	int err;

	if (!is_served(r->type))
		return FZ_ERR_UNSUPPORTED;
	if (have == NULL)
		return insert(g, r, expires_s);
	err = grants_set_filters(g, r);
	if (err == 0)
		have->expires_s = expires_s;
	return err;
}

/* There should be one at most; whoever sends more has the last word of each. */
static struct grant *other_internet(const struct grants *g)
{
	for (size_t i = g->len; i-- > 0;)
		if (g->v[i]->type == PORTAL_RESOURCE_INTERNET)
			return g->v[i];
	return NULL;
}

bool grants_remove(struct grants *g, const struct fz_uuid *resource)
{
	struct grant *grant = grants_find(g, resource);

	if (grant == NULL)
		return false;
	if (grant->type == PORTAL_RESOURCE_CIDR)
		route_remove_id(g->routes, &grant->resource);
	g->v[grant->index] = g->v[--g->len];
	g->v[grant->index]->index = grant->index;
	filter_unref(grant->filter);
	grant->filter = NULL;
	if (g->internet == grant)
		g->internet = other_internet(g);
	if (grant->refs == 0)
		grant_free(g, grant);
	return true;
}

void grants_list(struct grants *g, const struct fz_uuid *resource, uint64_t expires_s)
{
	struct grant *have = grants_find(g, resource);

	if (have == NULL)
		return;
	have->expires_s = expires_s;
	have->listed = true;
}

bool grants_remove_unlisted(struct grants *g, struct fz_uuid *ret_resource)
{
	for (size_t i = 0; i < g->len; i++) {
		if (g->v[i]->listed)
			continue;
		*ret_resource = g->v[i]->resource;
		return grants_remove(g, ret_resource);
	}
	for (size_t i = 0; i < g->len; i++)
		g->v[i]->listed = false;
	return false;
}

bool grants_expire(struct grants *g, uint64_t unix_s, struct fz_uuid *ret_resource)
{
	for (size_t i = 0; i < g->len; i++) {
		if (g->v[i]->expires_s > unix_s)
			continue;
		*ret_resource = g->v[i]->resource;
		return grants_remove(g, ret_resource);
	}
	return false;
}

uint64_t grants_next_expiry(const struct grants *g)
{
	uint64_t at = GRANT_FOREVER;

	for (size_t i = 0; i < g->len; i++)
		if (g->v[i]->expires_s < at)
			at = g->v[i]->expires_s;
	return at;
}

enum grant_verdict grants_check(struct grants *g, const struct fz_ip *ip, uint8_t kind, uint16_t port,
				const struct fz_uuid **ret_resource)
{
	const struct route *route;
	bool permitted;

	if (range_is_proxy(ip))
		return GRANT_PROHIBITED;
	route = route_find(g->routes, ip, kind, port, &permitted);
	if (route && permitted) {
		*ret_resource = &route->id;
		return GRANT_ALLOW;
	}
	if (g->internet == NULL)
		return GRANT_PROHIBITED;
	if (!range_is_internet(ip))
		return route ? GRANT_PROHIBITED : GRANT_UNREACHABLE;
	*ret_resource = &g->internet->resource;
	return GRANT_ALLOW;
}
