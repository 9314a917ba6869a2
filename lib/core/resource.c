/* SPDX-License-Identifier: Apache-2.0 */
#include "core/resource.h"

#include <string.h>

#include "base/addr.h"
#include "base/mem.h"
#include "fzconn/error.h"

int resources_init(struct resources *r, const struct fz_env *env)
{
	int err;

	*r = (struct resources){ .env = env };
	err = fz_map_init(&r->by_id, env, 0);
	return err ? err : route_table_new(env, NULL, RESOURCES_MAX, &r->cidr);
}

static void resource_free(const struct fz_env *env, struct resource *res)
{
	if (res == NULL)
		return;
	pending_clear(&res->waiting);
	filter_unref(res->filter);
	fz_free(env, res->name);
	fz_free(env, res->address);
	fz_free(env, res->sites);
	fz_free(env, res);
}

void resources_clear(struct resources *r)
{
	if (r->env == NULL)
		return;
	route_table_free(r->cidr);
	for (size_t i = 0; i < r->len; i++)
		resource_free(r->env, r->v[i]);
	fz_free(r->env, r->v);
	fz_map_clear(&r->by_id, r->env);
}

struct resource *resources_find(const struct resources *r, const struct fz_uuid *id)
{
	struct fz_map_link *l = fz_map_first(&r->by_id, fz_map_hash(&r->by_id, id, sizeof(*id)));

	for (; l; l = fz_map_next(l)) {
		struct resource *res = fz_container(l, struct resource, link);
		if (fz_uuid_equal(&res->id, id))
			return res;
	}
	return NULL;
}

static bool same_sites(const struct resource *r, const struct portal_resource *p)
{
	if (r->sites_len != p->sites_len)
		return false;
	for (size_t i = 0; i < p->sites_len; i++) {
		bool found = false;
		for (size_t k = 0; k < r->sites_len; k++)
			found |= fz_uuid_equal(&r->sites[k], &p->sites[i].id);
		if (!found)
			return false;
	}
	return true;
}

bool resource_matches(const struct fz_env *env, const struct resource *r, const struct portal_resource *p)
{
	struct filter *f;
	bool same;

	if (r->type != p->type || r->ip_stack != p->ip_stack ||
	    strcmp(r->address, p->address ? p->address : "") != 0 || !same_sites(r, p))
		return false;
	if (filter_new(env, p->filters, p->filters_len, &f) != 0)
		return false;
	same = filter_equal(r->filter, f);
	filter_unref(f);
	return same;
}

static int fill(const struct fz_env *env, struct resource *res, const struct portal_resource *p)
{
	res->id = p->id;
	res->type = p->type;
	res->net = p->net;
	res->ip_stack = p->ip_stack;
	res->name = fz_strdup(env, p->name);
	res->address = fz_strdup(env, p->address ? p->address : "");
	res->sites = fz_calloc(env, p->sites_len ? p->sites_len : 1, sizeof(*res->sites));
	if (res->name == NULL || res->address == NULL || res->sites == NULL)
		return FZ_ERR_NOMEM;
	res->sites_len = p->sites_len;
	for (size_t i = 0; i < p->sites_len; i++)
		res->sites[i] = p->sites[i].id;
	return filter_new(env, p->filters, p->filters_len, &res->filter);
}

int resources_add(struct resources *r, const struct portal_resource *p, struct resource **ret)
{
	struct resource *res;
	int err = fz_grow(r->env, &r->v, &r->cap, r->len, sizeof(*r->v), RESOURCES_MAX);

	if (err != 0)
		return err;
	res = fz_zalloc(r->env, sizeof(*res));
	if (res == NULL)
		return FZ_ERR_NOMEM;
	err = fill(r->env, res, p);
	if (err == 0 && p->type == PORTAL_RESOURCE_CIDR)
		err = route_add(r->cidr, &p->net, &p->id, res->filter, res);
	if (err != 0) {
		resource_free(r->env, res);
		return err;
	}
	r->v[r->len++] = res;
	fz_map_insert(&r->by_id, r->env, &res->link, fz_map_hash(&r->by_id, &res->id, sizeof(res->id)));
	*ret = res;
	return 0;
}

/* Room for one more ring of waiting packets: returns what the oldest one held when it had to go. */
static uint64_t make_room(struct resources *r)
{
	struct resource *oldest = NULL;
	size_t rings = 0;
	uint64_t lost;

	for (size_t i = 0; i < r->len; i++) {
		struct resource *res = r->v[i];
		if (res->waiting.slots == NULL)
			continue;
		rings++;
		if (oldest == NULL || res->asked_us < oldest->asked_us)
			oldest = res;
	}
	if (rings < RESOURCES_WAITING_MAX)
		return 0;
	lost = oldest->waiting.used;
	pending_clear(&oldest->waiting);
	return lost;
}

uint64_t resource_wait(struct resources *r, struct resource *res, struct fz_pkt *pkt,
		       const struct ip_view *view)
{
	uint64_t lost = 0, before;

	if (res->waiting.slots == NULL) {
		lost = make_room(r);
		if (pending_init(&res->waiting, r->env, PENDING_AUTH) != 0)
			return lost + 1;
	}
	before = res->waiting.dropped;
	pending_push(&res->waiting, pkt, view);
	return lost + res->waiting.dropped - before;
}

int resource_rename(struct resources *r, struct resource *res, const char *name)
{
	char *copy = fz_strdup(r->env, name);

	if (copy == NULL)
		return FZ_ERR_NOMEM;
	fz_free(r->env, res->name);
	res->name = copy;
	return 0;
}

void resources_remove(struct resources *r, struct resource *res)
{
	route_remove_id(r->cidr, &res->id);
	fz_map_remove(&r->by_id, &res->link);
	for (size_t i = 0; i < r->len; i++) {
		if (r->v[i] != res)
			continue;
		r->v[i] = r->v[--r->len];
		break;
	}
	resource_free(r->env, res);
}
