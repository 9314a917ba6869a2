/* SPDX-License-Identifier: Apache-2.0 */
/* Deadlines are absolute microseconds of the caller's monotonic clock; FZ_NEVER_US means none. */
#ifndef BASE_TIME_H
#define BASE_TIME_H

#include "fzconn/types.h"

#define FZ_MS(n) ((uint64_t)(n)*1000u)
#define FZ_SEC(n) ((uint64_t)(n)*1000000u)

static inline uint64_t fz_min_us(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

#endif
