/* SPDX-License-Identifier: Apache-2.0 */
/* Device pools: clients that reach clients. */
#ifndef DEVPORTAL_POOL_H
#define DEVPORTAL_POOL_H

#include "resource.h"
#include "session.h"

void pool_request(struct session *client, struct resource *r, const json_t *payload);
void pool_resolve(struct session *client, const json_t *payload);
/* The pool was `before` and is `after` (NULL = gone): end access of members that left, renew filters. */
void pool_changed(struct portal *p, const struct resource *before, const struct resource *after);

#endif
