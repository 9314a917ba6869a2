/* SPDX-License-Identifier: Apache-2.0 */
/* A routing table: networks to resources. All entries whose network covers an address compete; the greatest
 * wins by, in this order:
 *   1. its filter permits the packet,
 *   2. the more specific tag, if the table was given an order of tags (domain patterns),
 *   3. the longer prefix,
 *   4. the greater resource id.
 * The winner may still refuse the packet; the caller answers then. One binary trie per family, and a cache of
 * results that every change of the table clears. */
#ifndef CORE_ROUTE_H
#define CORE_ROUTE_H

#include "base/text.h"
#include "core/filter.h"
#include "fzconn/addr.h"
#include "fzconn/env.h"

struct route_table;

/* One way. Borrowed from the table: valid until it is changed. */
struct route {
	struct fz_prefix net;
	struct fz_uuid id; /* of the resource */
	struct filter *filter; /* the table holds a reference */
	void *tag; /* of the caller: never looked into but by the tag order */
};

/* Order of tags: negative when a is less specific than b. NULL = all are equal. */
typedef int (*route_tag_order)(const void *a, const void *b);

int route_table_new(const struct fz_env *env, route_tag_order order, size_t max_routes,
		    struct route_table **ret);
void route_table_free(struct route_table *t);

/* Add a way, or replace filter and tag of the one with the same network, id and tag order result 0.
 * FZ_ERR_FULL: max_routes reached. FZ_ERR_NOMEM. In both cases nothing has changed. */
int route_add(struct route_table *t, const struct fz_prefix *net, const struct fz_uuid *id,
	      struct filter *filter, void *tag);
/* Remove the ways of this network and id, or all ways of an id; returns how many there were. */
size_t route_remove(struct route_table *t, const struct fz_prefix *net, const struct fz_uuid *id);
size_t route_remove_id(struct route_table *t, const struct fz_uuid *id);
void route_clear(struct route_table *t);
size_t route_count(const struct route_table *t);

/* The best way to (or from) @ip for a packet of this kind and port, NULL when no network covers it.
 * @ret_permitted: whether its filter admits the packet. */
const struct route *route_find(struct route_table *t, const struct fz_ip *ip, uint8_t kind, uint16_t port,
			       bool *ret_permitted);
/* Is the address covered at all? For source checks; not cached. */
bool route_covers(const struct route_table *t, const struct fz_ip *ip);
/* Walk over all ways, in no particular order: *cursor starts at 0. NULL at the end. */
const struct route *route_each(const struct route_table *t, size_t *cursor);

#endif
