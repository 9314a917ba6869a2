/* SPDX-License-Identifier: Apache-2.0 */
#include "base/arena.h"

#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "base/secret.h"

#define BLOCK_LEN 4096
#define ALIGN 16

struct fz_arena_block {
	struct fz_arena_block *before;
	size_t used, cap;
};

#define HEAD ((sizeof(struct fz_arena_block) + ALIGN - 1) / ALIGN * ALIGN)

void *fz_arena_alloc(const struct fz_env *env, struct fz_arena *a, size_t len)
{
	struct fz_arena_block *b = a->last;

	if (len > SIZE_MAX - BLOCK_LEN)
		return NULL;
	len = (len + ALIGN - 1) / ALIGN * ALIGN;
	if (b == NULL || len > b->cap - b->used) {
		size_t cap = len > BLOCK_LEN ? len : BLOCK_LEN;
		b = fz_zalloc(env, HEAD + cap);
		if (b == NULL)
			return NULL;
		b->cap = cap;
		b->before = a->last;
		a->last = b;
	}
	void *p = (uint8_t *)b + HEAD + b->used;
	b->used += len;
	return p;
}

void *fz_arena_calloc(const struct fz_env *env, struct fz_arena *a, size_t n, size_t each)
{
	if (each != 0 && n > SIZE_MAX / each)
		return NULL;
	return fz_arena_alloc(env, a, n * each);
}

char *fz_arena_strndup(const struct fz_env *env, struct fz_arena *a, const char *s, size_t len)
{
	char *copy = fz_arena_alloc(env, a, len + 1);

	if (copy)
		memcpy(copy, s, len);
	return copy;
}

void fz_arena_clear(const struct fz_env *env, struct fz_arena *a)
{
	while (a->last) {
		struct fz_arena_block *b = a->last;
		a->last = b->before;
		fz_wipe((uint8_t *)b + HEAD, b->used);
		fz_free(env, b);
	}
}
