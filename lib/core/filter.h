/* SPDX-License-Identifier: Apache-2.0 */
/* Which protocols and ports a resource admits. A filter is immutable and shared by counting references,
 * within one thread. */
#ifndef CORE_FILTER_H
#define CORE_FILTER_H

#include "fzconn/env.h"
#include "wire/ip.h"
#include "wire/portal_events.h"

struct filter;

/* Ranges of one filter after merging; more are refused. */
#define FILTER_RANGES_MAX 4096

/* The union of the listed ranges; an empty list admits everything, protocols without ports too.
 * FZ_ERR_INVAL: start > end, or an unknown protocol. FZ_ERR_FULL: too many ranges. FZ_ERR_NOMEM. */
int filter_new(const struct fz_env *env, const struct portal_filter *rules, size_t rules_len,
	       struct filter **ret);
struct filter *filter_ref(struct filter *f);
/* NULL is fine. */
void filter_unref(struct filter *f);

/* Is a packet of this kind (enum ip_kind) with this port admitted? The port is the one at the resource:
 * destination port towards it, source port from it. ICMP ignores it. */
bool filter_permits(const struct filter *f, uint8_t kind, uint16_t port);
/* Do both admit the same? */
bool filter_equal(const struct filter *a, const struct filter *b);

#endif
