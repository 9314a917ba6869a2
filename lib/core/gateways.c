/* SPDX-License-Identifier: Apache-2.0 */
#include "core/gateways.h"

#include <string.h>

#include "base/addr.h"
#include "base/mem.h"
#include "core/ranges.h"
#include "fzconn/error.h"

int gateways_init(struct gateways *s, const struct fz_env *env)
{
	*s = (struct gateways){ .env = env };
	return filter_new(env, NULL, 0, &s->any);
}

static void peer_free(struct gateways *s, struct gateway_peer *g)
{
	route_table_free(g->sources);
	pending_clear(&g->waiting);
	fz_free(s->env, g);
}

void gateways_clear(struct gateways *s)
{
	while (s->first) {
		struct gateway_peer *g = s->first;
		s->first = g->next;
		peer_free(s, g);
	}
	filter_unref(s->any);
	s->any = NULL;
}

struct gateway_peer *gateways_by_ref(const struct gateways *s, uint32_t ref)
{
	struct gateway_peer *g = s->first;

	while (g && g->ref != ref)
		g = g->next;
	return g;
}

struct gateway_peer *gateways_by_id(const struct gateways *s, const struct fz_uuid *id)
{
	struct gateway_peer *g = s->first;

	while (g && !fz_uuid_equal(&g->id, id))
		g = g->next;
	return g;
}

struct gateway_peer *gateways_by_ip(const struct gateways *s, const struct fz_ip *ip)
{
	struct gateway_peer *g = s->first;

	while (g && !fz_ip_equal(&g->ipv4, ip) && !fz_ip_equal(&g->ipv6, ip))
		g = g->next;
	return g;
}

static void remember(struct gateways *s, const struct fz_uuid *id)
{
	for (size_t i = 0; i < s->known_len; i++)
		if (fz_uuid_equal(&s->known[i], id))
			return;
	if (s->known_len == GATEWAYS_KNOWN_MAX)
		memmove(&s->known[0], &s->known[1], --s->known_len * sizeof(s->known[0]));
	s->known[s->known_len++] = *id;
}

struct gateway_peer *gateways_add(struct gateways *s, const struct portal_authz_created *a, uint32_t ref)
{
	struct gateway_peer *g = fz_zalloc(s->env, sizeof(*g));

	if (g == NULL)
		return NULL;
	if (route_table_new(s->env, NULL, RESOURCES_MAX, &g->sources) != 0 ||
	    pending_init(&g->waiting, s->env, PENDING_CONNECT) != 0) {
		peer_free(s, g);
		return NULL;
	}
	g->id = a->gateway_id;
	g->ipv4 = a->gateway_ipv4;
	g->ipv6 = a->gateway_ipv6;
	g->ref = ref;
	g->next = s->first;
	s->first = g;
	remember(s, &g->id);
	return g;
}

void gateways_remove(struct gateways *s, struct gateway_peer *g)
{
	struct gateway_peer **at = &s->first;

	while (*at != g)
		at = &(*at)->next;
	*at = g->next;
	peer_free(s, g);
}

static int rank(const struct gateways *s, const struct resource *res, const struct fz_uuid *id)
{
	if (res->gateway ? fz_uuid_equal(&res->gateway->id, id)
			 : res->was_served && fz_uuid_equal(&res->last_gateway, id))
		return 0;
	return gateways_by_id(s, id) ? 1 : 2;
}

size_t gateways_preferred(const struct gateways *s, const struct resource *res,
			  struct fz_uuid ret[GATEWAYS_KNOWN_MAX])
{
	int ranks[GATEWAYS_KNOWN_MAX];

	for (size_t i = 0; i < s->known_len; i++) {
		const struct fz_uuid *id = &s->known[i];
		int r = rank(s, res, id);
		size_t at = i;
		while (at > 0 &&
		       (ranks[at - 1] > r || (ranks[at - 1] == r && fz_uuid_compare(&ret[at - 1], id) > 0))) {
			ret[at] = ret[at - 1];
			ranks[at] = ranks[at - 1];
			at--;
		}
		ret[at] = *id;
		ranks[at] = r;
	}
	return s->known_len;
}

int gateways_allow(struct gateways *s, struct gateway_peer *g, const struct resource *res)
{
	static const struct fz_prefix all[] = { { { FZ_FAMILY_INET, { 0 } }, 0 },
						{ { FZ_FAMILY_INET6, { 0 } }, 0 } };
	int err = 0;

	if (res->type == PORTAL_RESOURCE_CIDR)
		return route_add(g->sources, &res->net, &res->id, s->any, NULL);
	for (size_t i = 0; i < 2 && err == 0 && res->type == PORTAL_RESOURCE_INTERNET; i++)
		err = route_add(g->sources, &all[i], &res->id, s->any, NULL);
	return err;
}

/* Addresses of the tunnel's own ranges belong to somebody: other peers, names, and the sentinels, whose
 * answers the host takes for our own. No network of a resource gives them away, the internet least of all. */
static bool is_of_tunnel(const struct fz_ip *ip)
{
	return range_is_tunnel(ip) || range_is_proxy(ip) || range_is_sentinel(ip);
}

bool gateway_may_send(const struct gateway_peer *g, const struct fz_ip *src)
{
	return fz_ip_equal(src, &g->ipv4) || fz_ip_equal(src, &g->ipv6) ||
	       (!is_of_tunnel(src) && route_covers(g->sources, src));
}
