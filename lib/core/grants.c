/* SPDX-License-Identifier: Apache-2.0 */
#include "core/grants.h"

#include <string.h>

#include "base/mem.h"
#include "fzconn/error.h"

int grants_init(struct grants *g, const struct fz_env *env)
{
	*g = (struct grants){ .env = env };
	return route_table_new(env, NULL, GRANTS_MAX, &g->routes);
}

void grants_clear(struct grants *g)
{
	if (g->env == NULL)
		return;
	route_table_free(g->routes);
	for (size_t i = 0; i < g->len; i++)
		filter_unref(g->v[i].filter);
	fz_free(g->env, g->v);
	*g = (struct grants){ 0 };
}

static struct grant *find(const struct grants *g, const struct fz_uuid *resource)
{
	for (size_t i = 0; i < g->len; i++)
		if (fz_uuid_equal(&g->v[i].resource, resource))
			return &g->v[i];
	return NULL;
}

bool grants_has(const struct grants *g, const struct fz_uuid *resource)
{
	return find(g, resource) != NULL;
}

/* The routing table holds a reference of its own to the filter. */
static int set_filter(struct grants *g, struct grant *have, struct filter *filter)
{
	int err = route_add(g->routes, &have->net, &have->resource, filter, NULL);

	if (err != 0) {
		filter_unref(filter);
		return err;
	}
	filter_unref(have->filter);
	have->filter = filter;
	return 0;
}

int grants_set_filters(struct grants *g, const struct portal_resource *r)
{
	struct grant *have = find(g, &r->id);
	struct filter *filter;
	int err;

	if (have == NULL)
		return FZ_ERR_NOT_FOUND;
	if (have->type != r->type)
		return FZ_ERR_INVAL;
	err = filter_new(g->env, r->filters, r->filters_len, &filter);
	return err ? err : set_filter(g, have, filter);
}

int grants_upsert(struct grants *g, const struct portal_resource *r, uint64_t expires_s)
{
	struct grant fresh = { .resource = r->id, .type = r->type, .net = r->net, .expires_s = expires_s };
	int err;

	if (find(g, &r->id)) {
		err = grants_set_filters(g, r);
		if (err == 0)
			find(g, &r->id)->expires_s = expires_s;
		return err;
	}
	if (r->type != PORTAL_RESOURCE_CIDR)
		return FZ_ERR_UNSUPPORTED;
	err = fz_grow(g->env, &g->v, &g->cap, g->len, sizeof(*g->v), GRANTS_MAX);
	if (err == 0)
		err = filter_new(g->env, r->filters, r->filters_len, &fresh.filter);
	if (err != 0)
		return err;
	err = route_add(g->routes, &r->net, &r->id, fresh.filter, NULL);
	if (err != 0) {
		filter_unref(fresh.filter);
		return err;
	}
	g->v[g->len++] = fresh;
	return 0;
}

bool grants_remove(struct grants *g, const struct fz_uuid *resource)
{
	struct grant *have = find(g, resource);

	if (have == NULL)
		return false;
	route_remove_id(g->routes, resource);
	filter_unref(have->filter);
	*have = g->v[--g->len];
	return true;
}

bool grants_set_expiry(struct grants *g, const struct fz_uuid *resource, uint64_t expires_s)
{
	struct grant *have = find(g, resource);

	if (have)
		have->expires_s = expires_s;
	return have != NULL;
}

void grants_list(struct grants *g, const struct fz_uuid *resource, uint64_t expires_s)
{
	struct grant *have = find(g, resource);

	if (have == NULL)
		return;
	have->expires_s = expires_s;
	have->listed = true;
}

bool grants_remove_unlisted(struct grants *g, struct fz_uuid *ret_resource)
{
	for (size_t i = 0; i < g->len; i++) {
		if (g->v[i].listed)
			continue;
		*ret_resource = g->v[i].resource;
		return grants_remove(g, ret_resource);
	}
	for (size_t i = 0; i < g->len; i++)
		g->v[i].listed = false;
	return false;
}

bool grants_expire(struct grants *g, uint64_t unix_s, struct fz_uuid *ret_resource)
{
	for (size_t i = 0; i < g->len; i++) {
		if (g->v[i].expires_s > unix_s)
			continue;
		*ret_resource = g->v[i].resource;
		return grants_remove(g, ret_resource);
	}
	return false;
}

uint64_t grants_next_expiry(const struct grants *g)
{
	uint64_t at = GRANT_FOREVER;

	for (size_t i = 0; i < g->len; i++)
		if (g->v[i].expires_s < at)
			at = g->v[i].expires_s;
	return at;
}

enum grant_verdict grants_check(struct grants *g, const struct fz_ip *ip, uint8_t kind, uint16_t port)
{
	bool permitted;
	const struct route *route = route_find(g->routes, ip, kind, port, &permitted);

	return route && permitted ? GRANT_ALLOW : GRANT_PROHIBITED;
}
