/* SPDX-License-Identifier: Apache-2.0 */
/* Differences between sets of routes, as sorted arrays without duplicates. Pure functions. */
#ifndef PLATFORM_LINUX_ROUTES_H
#define PLATFORM_LINUX_ROUTES_H

#include <stddef.h>

#include "platform/linux/netmsg.h"

/* Order by every field that tells routes of one table apart; the preferred source does not. */
int routes_compare(const struct netmsg_route *a, const struct netmsg_route *b);
/* Sort and drop duplicates; returns how many are left. */
size_t routes_normalise(struct netmsg_route *set, size_t n);
/* Call `each` for what is in `a` and not in `b`, both normalised. */
void routes_minus(const struct netmsg_route *a, size_t a_n, const struct netmsg_route *b, size_t b_n,
		  void (*each)(void *ctx, const struct netmsg_route *route), void *ctx);

#endif
