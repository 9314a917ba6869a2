/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/portal_retry.h"

#include "base/rng.h"

void portal_retry_init(struct portal_retry *r, uint64_t budget_us)
{
	*r = (struct portal_retry){ .budget_us = budget_us, .base_us = PORTAL_RETRY_BASE_US };
}

void portal_retry_reset(struct portal_retry *r)
{
	r->spent_us = 0;
	r->base_us = PORTAL_RETRY_BASE_US;
}

void portal_retry_joined(struct portal_retry *r)
{
	r->joined = true;
	portal_retry_reset(r);
}

bool portal_retry_next(struct portal_retry *r, const struct fz_env *env, uint64_t *ret_us)
{
	uint64_t wait = PORTAL_RETRY_FIRST_US, budget = PORTAL_RETRY_FIRST_BUDGET_US;

	if (r->joined) {
		wait = r->base_us + (r->base_us * fz_rng_below(env, 1u << 20) >> 20);
		budget = r->budget_us;
		r->base_us = fz_min_us(r->base_us * 3 / 2, PORTAL_RETRY_CAP_US);
	}
	if (wait > budget - fz_min_us(r->spent_us, budget))
		return false;
	r->spent_us += wait;
	*ret_us = wait;
	return true;
}

uint64_t portal_retry_after(uint64_t seconds)
{
	if (seconds < PORTAL_RETRY_AFTER_MIN_S)
		seconds = PORTAL_RETRY_AFTER_MIN_S;
	if (seconds > PORTAL_RETRY_AFTER_MAX_S)
		seconds = PORTAL_RETRY_AFTER_MAX_S;
	return FZ_SEC(seconds);
}
