/* SPDX-License-Identifier: Apache-2.0 */
#include "core/route.h"

#include <string.h>

#include "base/addr.h"
#include "base/mem.h"
#include "fzconn/error.h"

/* Results kept per table; small tables are walked faster than they are cached. */
#define CACHE_LEN 64
#define CACHE_FROM_ROUTES 8

struct entry {
	struct route route;
	struct entry *next; /* of the same network */
	size_t index; /* in route_table.all */
};

/* A node of a binary trie in which paths without branches are left out: it stands for the first `len` bits,
 * and everything below it agrees with them. Nodes without entries are branches and have two children. */
struct node {
	uint8_t bits[16];
	uint8_t len;
	struct node *child[2];
	struct entry *entries;
};

struct cached {
	struct fz_ip ip;
	uint8_t kind;
	bool permitted, valid;
	uint16_t port;
	const struct route *route;
};

struct route_table {
	const struct fz_env *env;
	route_tag_order order;
	size_t max, used, all_cap;
	struct entry **all;
	struct node *root[2]; /* IPv4, IPv6 */
	struct cached *cache; /* made when the table has grown */
	bool cache_dirty;
};

int route_table_new(const struct fz_env *env, route_tag_order order, size_t max_routes,
		    struct route_table **ret)
{
	struct route_table *t = fz_zalloc(env, sizeof(*t));

	if (t == NULL)
		return FZ_ERR_NOMEM;
	t->env = env;
	t->order = order;
	t->max = max_routes;
	*ret = t;
	return 0;
}

static unsigned bit_at(const uint8_t *bits, size_t i)
{
	return bits[i / 8] >> (7 - i % 8) & 1;
}

/* How many leading bits are equal, at most max. */
static size_t common_bits(const uint8_t *a, const uint8_t *b, size_t max)
{
	size_t i = 0;

	while (i + 8 <= max && a[i / 8] == b[i / 8])
		i += 8;
	while (i < max && bit_at(a, i) == bit_at(b, i))
		i++;
	return i;
}

static struct node **root_of(struct route_table *t, const struct fz_ip *ip)
{
	return &t->root[ip->family == FZ_FAMILY_INET6];
}

static struct node *node_new(struct route_table *t, const uint8_t *bits, size_t len)
{
	struct node *n = fz_zalloc(t->env, sizeof(*n));

	if (n == NULL)
		return NULL;
	n->len = (uint8_t)len;
	memcpy(n->bits, bits, (len + 7) / 8);
	if (len % 8 != 0)
		n->bits[len / 8] &= (uint8_t)(0xff00 >> len % 8);
	return n;
}

/* The node of this network, made when it is missing. NULL = no memory, nothing has changed. */
static struct node *node_get(struct route_table *t, const struct fz_prefix *net)
{
	struct node **at = root_of(t, &net->ip);

	for (; *at != NULL; at = &(*at)->child[bit_at(net->ip.b, (*at)->len)]) {
		size_t same =
			common_bits((*at)->bits, net->ip.b, (*at)->len < net->len ? (*at)->len : net->len);
		if (same == (*at)->len && same == net->len)
			return *at;
		if (same < (*at)->len) {
			/* The new network lies above this node, or they part here. */
			struct node *made = node_new(t, net->ip.b, net->len), *top = made;
			if (made != NULL && same < net->len) {
				top = node_new(t, net->ip.b, same);
				if (top == NULL) {
					fz_free(t->env, made);
					return NULL;
				}
				top->child[bit_at(net->ip.b, same)] = made;
			}
			if (made == NULL)
				return NULL;
			top->child[bit_at((*at)->bits, same)] = *at;
			*at = top;
			return made;
		}
	}
	return *at = node_new(t, net->ip.b, net->len);
}

/* Drop nodes that stand for nothing, on the way to a network that has just lost its last entry. */
static void prune(struct route_table *t, const struct fz_prefix *net)
{
	struct node **above = NULL, **at = root_of(t, &net->ip);

	while (*at != NULL && (*at)->len < net->len) {
		above = at;
		at = &(*at)->child[bit_at(net->ip.b, (*at)->len)];
	}
	for (int i = 0; i < 2 && at != NULL && *at != NULL; i++) {
		struct node *n = *at;
		if (n->entries != NULL || (n->child[0] != NULL && n->child[1] != NULL))
			return;
		*at = n->child[0] != NULL ? n->child[0] : n->child[1];
		fz_free(t->env, n);
		at = above;
	}
}

static bool same_tag(const struct route_table *t, const void *a, const void *b)
{
	return t->order == NULL || t->order(a, b) == 0;
}

/* The node of exactly this network. */
static struct node *node_find(struct route_table *t, const struct fz_prefix *net)
{
	struct node *n = *root_of(t, &net->ip);

	while (n != NULL && n->len < net->len)
		n = n->child[bit_at(net->ip.b, n->len)];
	return n != NULL && n->len == net->len && common_bits(n->bits, net->ip.b, net->len) == net->len
		       ? n
		       : NULL;
}

static struct entry *entry_find(const struct route_table *t, const struct node *n, const struct fz_uuid *id,
				const void *tag)
{
	struct entry *e = n != NULL ? n->entries : NULL;

	while (e != NULL && !(fz_uuid_equal(&e->route.id, id) && same_tag(t, e->route.tag, tag)))
		e = e->next;
	return e;
}

int route_add(struct route_table *t, const struct fz_prefix *net, const struct fz_uuid *id,
	      struct filter *filter, void *tag)
{
	if (fz_ip_len(&net->ip) == 0 || net->len > fz_ip_len(&net->ip) * 8)
		return FZ_ERR_INVAL;
	struct entry *e = entry_find(t, node_find(t, net), id, tag);
	if (e != NULL) {
		filter_ref(filter);
		filter_unref(e->route.filter);
		e->route.filter = filter;
		e->route.tag = tag;
		t->cache_dirty = true;
		return 0;
	}

	int err = fz_grow(t->env, &t->all, &t->all_cap, t->used, sizeof(struct entry *), t->max);
	if (err != 0)
		return err;
	e = fz_zalloc(t->env, sizeof(*e));
	/* The node last: an empty one must not stay behind. */
	struct node *n = e != NULL ? node_get(t, net) : NULL;
	if (n == NULL) {
		fz_free(t->env, e);
		return FZ_ERR_NOMEM;
	}
	e->route = (struct route){ *net, *id, filter_ref(filter), tag };
	e->next = n->entries;
	n->entries = e;
	e->index = t->used;
	t->all[t->used++] = e;
	t->cache_dirty = true;
	return 0;
}

static void entry_free(struct route_table *t, struct entry *e)
{
	struct entry *moved = t->all[--t->used];

	t->all[e->index] = moved;
	moved->index = e->index;
	filter_unref(e->route.filter);
	fz_free(t->env, e);
}

size_t route_remove(struct route_table *t, const struct fz_prefix *net, const struct fz_uuid *id)
{
	struct node *n = node_find(t, net);
	size_t removed = 0;

	if (n == NULL)
		return 0;
	for (struct entry **at = &n->entries; *at != NULL;) {
		struct entry *e = *at;
		if (!fz_uuid_equal(&e->route.id, id)) {
			at = &e->next;
			continue;
		}
		*at = e->next;
		entry_free(t, e);
		removed++;
	}
	if (removed > 0) {
		t->cache_dirty = true;
		prune(t, net);
	}
	return removed;
}

size_t route_remove_id(struct route_table *t, const struct fz_uuid *id)
{
	size_t removed = 0;

	for (size_t i = 0; i < t->used;) {
		if (!fz_uuid_equal(&t->all[i]->route.id, id)) {
			i++;
			continue;
		}
		struct fz_prefix net = t->all[i]->route.net;
		/* Entries from behind take the places of the removed ones: i stays. */
		removed += route_remove(t, &net, id);
	}
	return removed;
}

/* Without recursion: left children are rotated up until there are none. */
static void free_nodes(struct route_table *t, struct node *n)
{
	while (n != NULL) {
		if (n->child[0] != NULL) {
			struct node *left = n->child[0];
			n->child[0] = left->child[1];
			left->child[1] = n;
			n = left;
		} else {
			struct node *right = n->child[1];
			fz_free(t->env, n);
			n = right;
		}
	}
}

void route_clear(struct route_table *t)
{
	for (size_t i = 0; i < t->used; i++) {
		filter_unref(t->all[i]->route.filter);
		fz_free(t->env, t->all[i]);
	}
	t->used = 0;
	for (int i = 0; i < 2; i++) {
		free_nodes(t, t->root[i]);
		t->root[i] = NULL;
	}
	t->cache_dirty = true;
}

void route_table_free(struct route_table *t)
{
	if (t == NULL)
		return;
	route_clear(t);
	fz_free(t->env, t->all);
	fz_free(t->env, t->cache);
	fz_free(t->env, t);
}

size_t route_count(const struct route_table *t)
{
	return t->used;
}

/* What competes: a way, and whether it admits the packet. */
struct candidate {
	const struct route *route;
	bool permitted;
};

static bool is_better(const struct route_table *t, const struct candidate *a, const struct candidate *b)
{
	if (b->route == NULL)
		return true;
	if (a->permitted != b->permitted)
		return a->permitted;
	int order = t->order != NULL ? t->order(a->route->tag, b->route->tag) : 0;
	if (order != 0)
		return order > 0;
	if (a->route->net.len != b->route->net.len)
		return a->route->net.len > b->route->net.len;
	return fz_uuid_compare(&a->route->id, &b->route->id) > 0;
}

static struct candidate walk(const struct route_table *t, const struct fz_ip *ip, uint8_t kind, uint16_t port)
{
	size_t bits = fz_ip_len(ip) * 8;
	const struct node *n = bits > 0 ? t->root[ip->family == FZ_FAMILY_INET6] : NULL;
	struct candidate best = { NULL, false };

	while (n != NULL && common_bits(n->bits, ip->b, n->len) == n->len) {
		for (const struct entry *e = n->entries; e != NULL; e = e->next) {
			struct candidate c = { &e->route, filter_permits(e->route.filter, kind, port) };
			if (is_better(t, &c, &best))
				best = c;
		}
		n = n->len < bits ? n->child[bit_at(ip->b, n->len)] : NULL;
	}
	return best;
}

static struct cached *cache_slot(struct route_table *t, const struct fz_ip *ip, uint8_t kind, uint16_t port)
{
	if (t->used < CACHE_FROM_ROUTES)
		return NULL;
	if (t->cache == NULL)
		t->cache = fz_calloc(t->env, CACHE_LEN, sizeof(*t->cache)); /* none: slower, not wrong */
	if (t->cache == NULL)
		return NULL;
	if (t->cache_dirty) {
		memset(t->cache, 0, CACHE_LEN * sizeof(*t->cache));
		t->cache_dirty = false;
	}
	uint64_t a, b;
	memcpy(&a, ip->b, 8);
	memcpy(&b, ip->b + 8, 8);
	a = (a ^ b << 1 ^ port ^ (uint64_t)kind << 16) * 0x9e3779b97f4a7c15u;
	return &t->cache[(a ^ a >> 32) * 0x9e3779b97f4a7c15u >> 58];
}

const struct route *route_find(struct route_table *t, const struct fz_ip *ip, uint8_t kind, uint16_t port,
			       bool *ret_permitted)
{
	struct cached *c = cache_slot(t, ip, kind, port);

	if (c != NULL && c->valid && c->kind == kind && c->port == port && fz_ip_equal(&c->ip, ip)) {
		*ret_permitted = c->permitted;
		return c->route;
	}
	struct candidate best = walk(t, ip, kind, port);
	if (c != NULL)
		*c = (struct cached){ *ip, kind, best.permitted, true, port, best.route };
	*ret_permitted = best.permitted;
	return best.route;
}

bool route_covers(const struct route_table *t, const struct fz_ip *ip)
{
	size_t bits = fz_ip_len(ip) * 8;
	const struct node *n = bits > 0 ? t->root[ip->family == FZ_FAMILY_INET6] : NULL;

	while (n != NULL && common_bits(n->bits, ip->b, n->len) == n->len) {
		if (n->entries != NULL)
			return true;
		n = n->len < bits ? n->child[bit_at(ip->b, n->len)] : NULL;
	}
	return false;
}

const struct route *route_each(const struct route_table *t, size_t *cursor)
{
	return *cursor < t->used ? &t->all[(*cursor)++]->route : NULL;
}
