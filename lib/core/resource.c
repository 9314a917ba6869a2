/* SPDX-License-Identifier: Apache-2.0 */
#include "core/resource.h"

#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "base/mem.h"
#include "core/dns_pattern.h"
#include "core/ranges.h"
#include "fzconn/error.h"

int resources_init(struct resources *r, const struct fz_env *env, struct proxy_ips *proxies)
{
	int err;

	*r = (struct resources){ .env = env, .proxies = proxies };
	sites_init(&r->sites, env);
	err = fz_map_init(&r->by_id, env, 0);
	return err ? err : route_table_new(env, NULL, RESOURCES_MAX, &r->cidr);
}

static void resource_free(struct resources *r, struct resource *res)
{
	if (res == NULL)
		return;
	pending_clear(&res->waiting);
	filter_unref(res->filter);
	for (size_t i = 0; i < res->sites_len; i++)
		sites_unref(&r->sites, res->sites[i]);
	fz_free(r->env, res->name);
	fz_free(r->env, res->address);
	fz_free(r->env, res->description);
	fz_free(r->env, res->sites);
	fz_free(r->env, res);
}

void resources_clear(struct resources *r)
{
	if (r->env == NULL)
		return;
	route_table_free(r->cidr);
	for (size_t i = 0; i < r->len; i++)
		resource_free(r, r->v[i]);
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
			found |= fz_uuid_equal(&r->sites[k]->id, &p->sites[i].id);
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

static const char *text_of(const char *text)
{
	return text ? text : "";
}

static int fill(struct resources *r, struct resource *res, const struct portal_resource *p)
{
	res->id = p->id;
	res->type = p->type;
	res->net = p->net;
	res->ip_stack = p->ip_stack;
	res->name = fz_strdup(r->env, p->name);
	res->address = fz_strdup(r->env, text_of(p->address));
	res->description = fz_strdup(r->env, text_of(p->address_description));
	res->sites = fz_calloc(r->env, p->sites_len ? p->sites_len : 1, sizeof(struct site *));
	if (res->name == NULL || res->address == NULL || res->description == NULL || res->sites == NULL)
		return FZ_ERR_NOMEM;
	for (size_t i = 0; i < p->sites_len; i++) {
		struct site *site = sites_ref(&r->sites, &p->sites[i].id, text_of(p->sites[i].name));
		if (site == NULL)
			return FZ_ERR_NOMEM;
		res->sites[res->sites_len++] = site;
	}
	return filter_new(r->env, p->filters, p->filters_len, &res->filter);
}

/* Names that were looked up before have their resource again; those of another pattern lose it. */
static int make_routes(struct resources *r, struct resource *res)
{
	if (res->type == PORTAL_RESOURCE_CIDR)
		return route_add(r->cidr, &res->net, &res->id, res->filter, res);
	if (res->type == PORTAL_RESOURCE_DNS)
		(void)proxy_ips_readopt(r->proxies, &res->id, res->address);
	return 0;
}

static void find_internet(struct resources *r)
{
	r->internet = NULL;
	for (size_t i = 0; i < r->len; i++) {
		struct resource *res = r->v[i];
		if (res->type == PORTAL_RESOURCE_INTERNET &&
		    (r->internet == NULL || fz_uuid_compare(&res->id, &r->internet->id) < 0))
			r->internet = res;
	}
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
	err = fill(r, res, p);
	if (err == 0)
		err = make_routes(r, res);
	if (err != 0) {
		resource_free(r, res);
		return err;
	}
	r->v[r->len++] = res;
	r->unsorted = true;
	fz_map_insert(&r->by_id, r->env, &res->link, fz_map_hash(&r->by_id, &res->id, sizeof(res->id)));
	if (res->type == PORTAL_RESOURCE_INTERNET)
		find_internet(r);
	*ret = res;
	return 0;
}

/* ---- choosing ---- */

bool resource_has_family(const struct resource *res, uint8_t family)
{
	return res->ip_stack == PORTAL_STACK_DUAL ||
	       (res->ip_stack == PORTAL_STACK_IPV4_ONLY) == (family == FZ_FAMILY_INET);
}

static bool is_better(const struct resource *a, bool a_permits, const struct resource *b, bool b_permits)
{
	int order;

	if (a_permits != b_permits)
		return a_permits;
	order = dns_pattern_order(a->address, b->address);
	return order != 0 ? order < 0 : fz_uuid_compare(&a->id, &b->id) > 0;
}

/* A resource of the name, NULL when it is not there any more. */
static struct resource *of_use(const struct resources *r, const struct proxy_use *use)
{
	struct resource *res = resources_find(r, &use->resource->id);

	return res && res->type == PORTAL_RESOURCE_DNS ? res : NULL;
}

static struct choice choose_name(const struct resources *r, const struct fz_ip *dst, uint8_t kind,
				 uint16_t port)
{
	struct choice best = { .domain = proxy_ips_by_ip(r->proxies, dst) };
	const struct proxy_use *use = best.domain ? proxy_domain_uses(best.domain) : NULL;

	for (; use; use = use->next_resource) {
		struct resource *res = of_use(r, use);
		if (res == NULL)
			continue;
		if (!resource_has_family(res, dst->family)) {
			best.wrong_family = true;
			continue;
		}
		bool permits = filter_permits(res->filter, kind, port);
		if (best.res == NULL || is_better(res, permits, best.res, best.permitted)) {
			best.res = res;
			best.permitted = permits;
		}
	}
	if (best.res)
		best.wrong_family = false;
	return best;
}

struct choice resources_choose(const struct resources *r, const struct fz_ip *dst, uint8_t kind,
			       uint16_t port)
{
	bool in_proxies = range_is_proxy(dst);
	struct choice c = { 0 };
	const struct route *route;

	if (in_proxies) {
		c = choose_name(r, dst, kind, port);
		if (c.res)
			return c;
		c.domain = NULL;
	}
	route = route_find(r->cidr, dst, kind, port, &c.permitted);
	if (route) {
		c.res = route->tag;
		c.wrong_family = false;
	} else if (r->internet_on && r->internet && !in_proxies && !range_is_tunnel(dst)) {
		c.res = r->internet;
		c.permitted = true;
	}
	return c;
}

bool resources_serves_proxy(const struct resources *r, const struct gateway_peer *g, const struct fz_ip *src)
{
	const struct proxy_domain *domain = proxy_ips_by_ip(r->proxies, src);
	const struct proxy_use *use = domain ? proxy_domain_uses(domain) : NULL;

	for (; use; use = use->next_resource) {
		const struct resource *res = of_use(r, use);
		if (res && res->gateway == g && resource_has_family(res, src->family))
			return true;
	}
	return false;
}

static int for_people(const void *pa, const void *pb)
{
	const struct resource *a = *(struct resource *const *)pa, *b = *(struct resource *const *)pb;
	bool a_net = a->type == PORTAL_RESOURCE_INTERNET, b_net = b->type == PORTAL_RESOURCE_INTERNET;
	int order = strcmp(a->name, b->name);

	if (a_net != b_net)
		return a_net ? -1 : 1;
	return order != 0 ? order : fz_uuid_compare(&a->id, &b->id);
}

void resources_sort(struct resources *r)
{
	if (r->unsorted && r->len > 1)
		qsort(r->v, r->len, sizeof(struct resource *), for_people);
	r->unsorted = false;
}

/* ---- waiting for access ---- */

struct pending resource_take_waiting(struct resources *r, struct resource *res)
{
	struct pending ring = res->waiting;

	res->waiting = (struct pending){ 0 };
	for (size_t i = 0; i < r->waiters_len; i++) {
		if (r->waiters[i] != res)
			continue;
		r->waiters[i] = r->waiters[--r->waiters_len];
		break;
	}
	return ring;
}

/* Room for one more ring: returns what the one that has waited longest held when it had to go. */
static uint64_t make_room(struct resources *r)
{
	struct resource *longest = r->waiters[0];
	struct pending ring;
	uint64_t lost;

	if (r->waiters_len < RESOURCES_WAITING_MAX)
		return 0;
	for (size_t i = 1; i < r->waiters_len; i++)
		if (r->waiters[i]->waiting_us < longest->waiting_us)
			longest = r->waiters[i];
	ring = resource_take_waiting(r, longest);
	lost = ring.used;
	pending_clear(&ring);
	return lost;
}

uint64_t resource_wait(struct resources *r, struct resource *res, struct fz_pkt *pkt,
		       const struct ip_view *view, uint64_t now_us)
{
	uint64_t lost = 0, before;

	if (res->waiting.slots == NULL) {
		lost = make_room(r);
		if (pending_init(&res->waiting, r->env, PENDING_AUTH) != 0)
			return lost + 1;
		res->waiting_us = now_us;
		r->waiters[r->waiters_len++] = res;
	}
	before = res->waiting.dropped;
	pending_push(&res->waiting, pkt, view);
	return lost + res->waiting.dropped - before;
}

/* ---- changes ---- */

static bool set_text(const struct fz_env *env, char **at, const char *text)
{
	char *copy;

	if (strcmp(*at, text_of(text)) == 0)
		return true;
	copy = fz_strdup(env, text_of(text));
	if (copy == NULL)
		return false;
	fz_free(env, *at);
	*at = copy;
	return true;
}

int resource_rename(struct resources *r, struct resource *res, const struct portal_resource *p)
{
	bool ok = set_text(r->env, &res->name, p->name) &&
		  set_text(r->env, &res->description, p->address_description);

	for (size_t i = 0; i < p->sites_len && ok; i++) {
		struct site *site = sites_ref(&r->sites, &p->sites[i].id, text_of(p->sites[i].name));
		ok = site != NULL;
		sites_unref(&r->sites, site);
	}
	r->unsorted = true;
	return ok ? 0 : FZ_ERR_NOMEM;
}

void resources_remove(struct resources *r, struct resource *res)
{
	struct pending ring = resource_take_waiting(r, res);

	pending_clear(&ring);
	route_remove_id(r->cidr, &res->id);
	fz_map_remove(&r->by_id, &res->link);
	for (size_t i = 0; i < r->len; i++) {
		if (r->v[i] != res)
			continue;
		r->v[i] = r->v[--r->len];
		break;
	}
	r->unsorted = true;
	if (res == r->internet)
		find_internet(r);
	resource_free(r, res);
}
