/* SPDX-License-Identifier: Apache-2.0 */
/* How long to wait before the next dial of the portal. Waits, not time, use the budget up. */
#ifndef PROTO_PORTAL_RETRY_H
#define PROTO_PORTAL_RETRY_H

#include "base/time.h"
#include "fzconn/env.h"

#define PORTAL_RETRY_FIRST_US FZ_SEC(1) /* every wait before the first join … */
#define PORTAL_RETRY_FIRST_BUDGET_US FZ_SEC(15) /* … and their sum */
#define PORTAL_RETRY_BASE_US 500000u /* later: times 1.5 each, times a random factor in [1, 2) */
#define PORTAL_RETRY_CAP_US FZ_SEC(60)
/* Bounds of what a Retry-After may ask for: no hammering, and no sleeping for ever. */
#define PORTAL_RETRY_AFTER_MIN_S 1u
#define PORTAL_RETRY_AFTER_MAX_S 3600u

struct portal_retry {
	uint64_t budget_us; /* after the first join; FZ_NEVER_US = unlimited */
	uint64_t spent_us;
	uint64_t base_us; /* of the next wait */
	bool joined;
};

void portal_retry_init(struct portal_retry *r, uint64_t budget_us);
/* A join succeeded. */
void portal_retry_joined(struct portal_retry *r);
/* Start over, as after a change of the network. */
void portal_retry_reset(struct portal_retry *r);
/* The wait before the next dial; false = the budget does not allow another one. */
bool portal_retry_next(struct portal_retry *r, const struct fz_env *env, uint64_t *ret_us);
/* The wait that a portal asked for; it costs no budget. */
uint64_t portal_retry_after(uint64_t seconds);

#endif
