/* SPDX-License-Identifier: Apache-2.0 */
/* The gateway role: takes authorizations from the portal, lets in exactly what was granted for as long as it
 * was granted, and carries the answers back. */
#ifndef CORE_GATEWAY_H
#define CORE_GATEWAY_H

#include "core/endpoint.h"
#include "core/grants.h"

struct gateway;

int gateway_new(const struct fz_env *env, const struct endpoint_opts *opts, uint64_t now_us,
		struct gateway **ret, const char **ret_reason);
void gateway_free(struct gateway *g);
struct endpoint *gateway_endpoint(const struct gateway *g);
/* Clients with at least one grant. */
size_t gateway_clients(const struct gateway *g);
/* The grants of the client behind a connection; NULL = none. */
const struct grants *gateway_grants(const struct gateway *g, uint32_t ref);

#endif
