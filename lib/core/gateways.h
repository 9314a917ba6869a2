/* SPDX-License-Identifier: Apache-2.0 */
/* The gateways that serve a client: their tunnel addresses, what each may send, what waits for its
 * connection, and the ids of those that served us before, which the portal prefers. Owned by the client. */
#ifndef CORE_GATEWAYS_H
#define CORE_GATEWAYS_H

#include "core/pending.h"
#include "core/resource.h"

/* Gateways remembered for the portal's choice, the oldest forgotten first. */
#define GATEWAYS_KNOWN_MAX 64

/* A gateway that serves at least one resource of ours. */
struct gateway_peer {
	struct gateway_peer *next;
	struct fz_uuid id;
	struct fz_ip ipv4, ipv6;
	struct site *site; /* a reference of the client's; NULL without memory */
	uint32_t ref; /* its connection in the node */
	bool up;
	struct route_table *sources; /* networks that it may send from */
	struct pending waiting; /* packets until it is up */
};

struct gateways {
	const struct fz_env *env;
	struct gateway_peer *first;
	struct filter *any; /* admits everything: sources have no ports */
	struct fz_uuid known[GATEWAYS_KNOWN_MAX];
	size_t known_len;
};

int gateways_init(struct gateways *s, const struct fz_env *env);
void gateways_clear(struct gateways *s);
struct gateway_peer *gateways_by_ref(const struct gateways *s, uint32_t ref);
struct gateway_peer *gateways_by_id(const struct gateways *s, const struct fz_uuid *id);
struct gateway_peer *gateways_by_ip(const struct gateways *s, const struct fz_ip *ip);
/* A new one, remembered as known; NULL without memory. */
struct gateway_peer *gateways_add(struct gateways *s, const struct portal_authz_created *a, uint32_t ref);
void gateways_remove(struct gateways *s, struct gateway_peer *g);
/* The ids that a request for this resource names, those to be preferred first: the gateway that serves or
 * served it last, then those that we are connected to, then by id. Returns how many. */
size_t gateways_preferred(const struct gateways *s, const struct resource *res,
			  struct fz_uuid ret[GATEWAYS_KNOWN_MAX]);
/* Let it send from the networks of a resource. FZ_ERR_FULL, FZ_ERR_NOMEM. */
int gateways_allow(struct gateways *s, struct gateway_peer *g, const struct resource *res);
/* May a packet with this source come from it? */
bool gateway_may_send(const struct gateway_peer *g, const struct fz_ip *src);

#endif
