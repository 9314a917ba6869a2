/* SPDX-License-Identifier: Apache-2.0 */
#include "fzconn/env.h"

#include <stdlib.h>

#include <openssl/rand.h>

static void *libc_alloc(void *ctx, size_t len)
{
	(void)ctx;
	return malloc(len);
}

static void *libc_realloc(void *ctx, void *p, size_t len)
{
	(void)ctx;
	return realloc(p, len);
}

static void libc_free(void *ctx, void *p)
{
	(void)ctx;
	free(p);
}

/* Keys are made from this: with no randomness there is nothing sensible left to do. */
static void openssl_fill(void *ctx, void *buf, size_t len)
{
	(void)ctx;
	if (RAND_bytes(buf, (int)len) != 1)
		abort();
}

static const struct fz_env standard = {
	.mem = { libc_alloc, libc_realloc, libc_free, NULL },
	.rng = { openssl_fill, NULL },
};

const struct fz_env *fz_env_default(void)
{
	return &standard;
}
