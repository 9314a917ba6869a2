/* SPDX-License-Identifier: Apache-2.0 */
#include "base/rng.h"

void fz_rng_fill(const struct fz_env *env, void *buf, size_t len)
{
	env->rng.fill(env->rng.ctx, buf, len);
}

uint32_t fz_rng_u32(const struct fz_env *env)
{
	uint32_t v;

	fz_rng_fill(env, &v, sizeof(v));
	return v;
}

uint64_t fz_rng_u64(const struct fz_env *env)
{
	uint64_t v;

	fz_rng_fill(env, &v, sizeof(v));
	return v;
}

uint32_t fz_rng_below(const struct fz_env *env, uint32_t n)
{
	uint32_t floor = (UINT32_MAX - n + 1) % n; /* 2^32 mod n: values below it would be drawn too often */
	uint32_t v;

	do
		v = fz_rng_u32(env);
	while (v < floor);
	return v % n;
}
