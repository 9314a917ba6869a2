/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"

#include <stdint.h>
#include <string.h>

#include "base/secret.h"
#include "fzconn/error.h"

void *fz_zalloc(const struct fz_env *env, size_t len)
{
	void *p = env->mem.alloc(env->mem.ctx, len);

	if (p)
		memset(p, 0, len);
	return p;
}

void *fz_calloc(const struct fz_env *env, size_t n, size_t each)
{
	if (each != 0 && n > SIZE_MAX / each)
		return NULL;
	return fz_zalloc(env, n * each);
}

void *fz_realloc(const struct fz_env *env, void *p, size_t len)
{
	return env->mem.realloc(env->mem.ctx, p, len);
}

void *fz_memdup(const struct fz_env *env, const void *p, size_t len)
{
	void *copy = env->mem.alloc(env->mem.ctx, len ? len : 1);

	if (copy && len)
		memcpy(copy, p, len);
	return copy;
}

char *fz_strdup(const struct fz_env *env, const char *s)
{
	return fz_memdup(env, s, strlen(s) + 1);
}

void fz_free(const struct fz_env *env, void *p)
{
	if (p)
		env->mem.free(env->mem.ctx, p);
}

void fz_free_secret(const struct fz_env *env, char *s)
{
	if (s)
		fz_wipe(s, strlen(s));
	fz_free(env, s);
}

int fz_grow(const struct fz_env *env, void *array, size_t *cap, size_t used, size_t each, size_t max)
{
	size_t want;
	void *old, *p;

	if (used < *cap)
		return 0;
	if (used >= max)
		return FZ_ERR_FULL;
	want = *cap ? *cap * 2 : 8;
	if (want > max)
		want = max;
	memcpy(&old, array, sizeof(old));
	p = fz_realloc(env, old, want * each);
	if (p == NULL)
		return FZ_ERR_NOMEM;
	memcpy(array, &p, sizeof(p));
	*cap = want;
	return 0;
}
