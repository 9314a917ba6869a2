/* SPDX-License-Identifier: Apache-2.0 */
/* A heap that is filled piece by piece and freed as a whole: for messages that decode into many small parts.
 * All of it is wiped on release, so that parts may be secrets. */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stddef.h>

#include "fzconn/env.h"

struct fz_arena_block;

/* Zeroed = empty. */
struct fz_arena {
	struct fz_arena_block *last;
};

/* Zeroed memory, aligned for any type, valid until fz_arena_clear(); NULL when there is none. */
void *fz_arena_alloc(const struct fz_env *env, struct fz_arena *a, size_t len);
/* Array of n zeroed elements; NULL on overflow too. A valid pointer for n = 0. */
void *fz_arena_calloc(const struct fz_env *env, struct fz_arena *a, size_t n, size_t each);
/* NUL-terminated copy of len bytes. */
char *fz_arena_strndup(const struct fz_env *env, struct fz_arena *a, const char *s, size_t len);
void fz_arena_clear(const struct fz_env *env, struct fz_arena *a);

#endif
