/* SPDX-License-Identifier: Apache-2.0 */
/* The client role: routes packets to resources, asks the portal for access, connects to the gateways it is
 * given, and lets in only what they may send. */
#ifndef CORE_CLIENT_H
#define CORE_CLIENT_H

#include "core/endpoint.h"
#include "core/resource.h"
#include "fzconn/client.h"

struct client;

int client_new(const struct fz_env *env, const struct endpoint_opts *opts, uint64_t now_us,
	       struct client **ret, const char **ret_reason);
void client_free(struct client *c);
struct endpoint *client_endpoint(const struct client *c);
const struct resources *client_resources(const struct client *c);
/* See fz_client_set_internet(), fz_client_resource(). */
void client_set_internet(struct client *c, bool on, uint64_t now_us);
bool client_resource_at(struct client *c, size_t i, struct fz_resource *ret);
void client_describe(const struct client *c, const struct resource *res, struct fz_resource *ret);
/* The network changed: see fz_client_reset(). */
int client_reset(struct client *c, uint64_t now_us);

#endif
