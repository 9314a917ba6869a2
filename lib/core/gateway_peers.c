/* SPDX-License-Identifier: Apache-2.0 */
/* The gateway's clients: by id, by connection, by tunnel address. */
#include "base/mem.h"
#include "core/gateway_impl.h"

struct client_peer *peer_by_id(const struct gateway *g, const struct fz_uuid *id)
{
	struct fz_map_link *l = fz_map_first(&g->by_id, fz_map_hash(&g->by_id, id, sizeof(*id)));

	for (; l; l = fz_map_next(l)) {
		struct client_peer *p = fz_container(l, struct client_peer, by_id);
		if (fz_uuid_equal(&p->id, id))
			return p;
	}
	return NULL;
}

struct client_peer *peer_by_ref(struct gateway *g, uint32_t ref)
{
	struct fz_map_link *l;

	if (g->last && g->last->ref == ref)
		return g->last;
	for (l = fz_map_first(&g->by_ref, fz_map_hash(&g->by_ref, &ref, sizeof(ref))); l;
	     l = fz_map_next(l)) {
		struct client_peer *p = fz_container(l, struct client_peer, by_ref);
		if (p->ref == ref)
			return g->last = p;
	}
	return NULL;
}

struct client_peer *peer_by_ip(struct gateway *g, const struct fz_ip *ip)
{
	struct fz_map_link *l;

	if (g->last && (fz_ip_equal(&g->last->ipv4, ip) || fz_ip_equal(&g->last->ipv6, ip)))
		return g->last;
	for (l = fz_map_first(&g->by_ip, fz_map_hash(&g->by_ip, ip, sizeof(*ip))); l; l = fz_map_next(l)) {
		struct client_peer *p = ip->family == FZ_FAMILY_INET
						? fz_container(l, struct client_peer, by_ipv4)
						: fz_container(l, struct client_peer, by_ipv6);
		if (fz_ip_equal(ip->family == FZ_FAMILY_INET ? &p->ipv4 : &p->ipv6, ip))
			return g->last = p;
	}
	return NULL;
}

static void release(struct gateway *g, struct client_peer *p)
{
	nat_table_clear(&p->nat);
	proxies_clear(&p->proxies);
	grants_clear(&p->grants);
	fz_free(g->env, p);
}

void peer_free(struct gateway *g, struct client_peer *p)
{
	struct client_peer **at = &g->clients;

	while (*at != p)
		at = &(*at)->next;
	*at = p->next;
	g->clients_len--;
	fz_map_remove(&g->by_id, &p->by_id);
	fz_map_remove(&g->by_ref, &p->by_ref);
	fz_map_remove(&g->by_ip, &p->by_ipv4);
	fz_map_remove(&g->by_ip, &p->by_ipv6);
	g->last = NULL;
	release(g, p);
}

static void link_peer(struct gateway *g, struct client_peer *p)
{
	p->next = g->clients;
	g->clients = p;
	g->clients_len++;
	fz_map_insert(&g->by_id, g->env, &p->by_id, fz_map_hash(&g->by_id, &p->id, sizeof(p->id)));
	fz_map_insert(&g->by_ref, g->env, &p->by_ref, fz_map_hash(&g->by_ref, &p->ref, sizeof(p->ref)));
	fz_map_insert(&g->by_ip, g->env, &p->by_ipv4, fz_map_hash(&g->by_ip, &p->ipv4, sizeof(p->ipv4)));
	fz_map_insert(&g->by_ip, g->env, &p->by_ipv6, fz_map_hash(&g->by_ip, &p->ipv6, sizeof(p->ipv6)));
}

void peer_set_ref(struct gateway *g, struct client_peer *p, uint32_t ref)
{
	fz_map_remove(&g->by_ref, &p->by_ref);
	p->ref = ref;
	if (ref != NODE_NO_REF)
		fz_map_insert(&g->by_ref, g->env, &p->by_ref, fz_map_hash(&g->by_ref, &ref, sizeof(ref)));
}

int peer_upsert(struct gateway *g, const struct portal_create_authz *a, uint32_t ref,
		struct client_peer **ret)
{
	struct client_peer *p = peer_by_id(g, &a->client_id);

	if (p && fz_ip_equal(&p->ipv4, &a->client_ipv4) && fz_ip_equal(&p->ipv6, &a->client_ipv6)) {
		peer_set_ref(g, p, ref);
		*ret = p;
		return 0;
	}
	if (p)
		peer_free(g, p);
	p = fz_zalloc(g->env, sizeof(*p));
	if (p == NULL)
		return FZ_ERR_NOMEM;
	nat_table_init(&p->nat, g->nat);
	proxies_init(&p->proxies, &p->grants);
	if (grants_init(&p->grants, g->env) != 0) {
		release(g, p);
		return FZ_ERR_NOMEM;
	}
	p->id = a->client_id;
	p->ipv4 = a->client_ipv4;
	p->ipv6 = a->client_ipv6;
	p->ref = ref;
	link_peer(g, p);
	*ret = p;
	return 0;
}
