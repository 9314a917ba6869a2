/* SPDX-License-Identifier: Apache-2.0 */
/* Random bytes and numbers through the environment. */
#ifndef BASE_RNG_H
#define BASE_RNG_H

#include "fzconn/env.h"

void fz_rng_fill(const struct fz_env *env, void *buf, size_t len);
uint32_t fz_rng_u32(const struct fz_env *env);
uint64_t fz_rng_u64(const struct fz_env *env);
/* Uniform in [0, n); n > 0. */
uint32_t fz_rng_below(const struct fz_env *env, uint32_t n);

#endif
