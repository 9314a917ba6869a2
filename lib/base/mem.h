/* SPDX-License-Identifier: Apache-2.0 */
/* Allocation through the environment, so that a test can fail the n-th one and count them. */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stddef.h>

#include "fzconn/env.h"

/* Zeroed memory, NULL when there is none. */
void *fz_zalloc(const struct fz_env *env, size_t len);
/* Array of n zeroed elements; NULL on overflow too. */
void *fz_calloc(const struct fz_env *env, size_t n, size_t each);
/* The old block stays valid when NULL is returned. New bytes are not zeroed. */
void *fz_realloc(const struct fz_env *env, void *p, size_t len);
void *fz_memdup(const struct fz_env *env, const void *p, size_t len);
char *fz_strdup(const struct fz_env *env, const char *s);
/* NULL is fine. */
void fz_free(const struct fz_env *env, void *p);
/* Frees a NUL-terminated secret after wiping it; NULL is fine. */
void fz_free_secret(const struct fz_env *env, char *s);

/* Make room for one more element in a growing array that is limited to `max` elements.
 * FZ_ERR_FULL at the limit, FZ_ERR_NOMEM without memory; *array and *cap change only on success. */
int fz_grow(const struct fz_env *env, void *array, size_t *cap, size_t used, size_t each, size_t max);

#endif
