/* SPDX-License-Identifier: Apache-2.0 */
/* Intrusive hash map with chaining: the element carries its link, so that nothing is allocated on insertion.
 * Keys that strangers choose must be hashed with the map's secret seed. */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fzconn/env.h"

struct fz_map_link {
	struct fz_map_link *next;
	uint64_t hash;
};

struct fz_map {
	struct fz_map_link **buckets;
	size_t mask, used;
	uint64_t seed;
};

/* A map for about `expect` elements; it grows with use. FZ_ERR_NOMEM. */
int fz_map_init(struct fz_map *m, const struct fz_env *env, size_t expect);
void fz_map_clear(struct fz_map *m, const struct fz_env *env);
uint64_t fz_map_hash(const struct fz_map *m, const void *key, size_t len);
/* Never fails: when the table cannot grow the chains get longer. */
void fz_map_insert(struct fz_map *m, const struct fz_env *env, struct fz_map_link *l, uint64_t hash);
void fz_map_remove(struct fz_map *m, struct fz_map_link *l);
/* First and next link with this hash; the caller compares the key. */
struct fz_map_link *fz_map_first(const struct fz_map *m, uint64_t hash);
struct fz_map_link *fz_map_next(const struct fz_map_link *l);

#define fz_container(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#endif
