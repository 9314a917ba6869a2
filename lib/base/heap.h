/* SPDX-License-Identifier: Apache-2.0 */
/* Intrusive binary heap of deadlines: which of many objects is due next. */
#ifndef BASE_HEAP_H
#define BASE_HEAP_H

#include <stddef.h>

#include "base/time.h"
#include "fzconn/env.h"

struct fz_heap_node {
	uint64_t at_us;
	size_t pos; /* index + 1 in the heap; 0 = not in it */
};

struct fz_heap {
	struct fz_heap_node **v;
	size_t len, cap;
};

void fz_heap_clear(struct fz_heap *h, const struct fz_env *env);
/* Make room for one more object, so that fz_heap_set() cannot fail later. FZ_ERR_NOMEM. */
int fz_heap_reserve(struct fz_heap *h, const struct fz_env *env, size_t count);
/* Set, move or (FZ_NEVER_US) remove the object's deadline. Needs room from fz_heap_reserve(). */
void fz_heap_set(struct fz_heap *h, struct fz_heap_node *n, uint64_t at_us);
/* The object due first, NULL when there is none. */
struct fz_heap_node *fz_heap_peek(const struct fz_heap *h);

#endif
