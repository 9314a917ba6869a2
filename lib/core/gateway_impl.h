/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of the gateway, shared by its files: gateway.c (portal, connections, time), gateway_peers.c (the
 * clients), gateway_data.c (packets), gateway_names.c (names of DNS resources). */
#ifndef CORE_GATEWAY_IMPL_H
#define CORE_GATEWAY_IMPL_H

#include "core/endpoint.h"
#include "core/gateway.h"
#include "core/grants.h"
#include "core/nat_table.h"
#include "core/proxies.h"

/* ICMP errors that a client is sent: so many a second, and so many at once. */
#define ERRORS_PER_S 100
#define ERRORS_BURST 100

/* Names being resolved, for all clients and for one. */
#define LOOKUPS_MAX 1000
#define LOOKUPS_EACH 100

struct lookup; /* gateway_names.c */
struct site_dns; /* site_dns.h */

/* A client with at least one grant. Its connection may come and go. */
struct client_peer {
	struct client_peer *next;
	struct fz_uuid id;
	struct fz_ip ipv4, ipv6;
	uint32_t ref;
	struct grants grants;
	struct proxies proxies;
	struct nat_table nat;
	uint64_t errors_us; /* token bucket of ICMP errors: when it would have been empty */
	struct fz_map_link by_id, by_ref, by_ipv4, by_ipv6;
};

struct gateway {
	const struct fz_env *env;
	struct endpoint *endpoint;
	struct flows *flows; /* the endpoint's */
	struct fz_ip ipv4, ipv6;
	struct client_peer *clients;
	size_t clients_len;
	struct fz_map by_id, by_ref, by_ip;
	struct client_peer *last; /* of the packet path: batches come from one client mostly */
	struct nat_pool *nat;
	struct site_dns *dns;
	struct lookup *lookups, **lookups_end; /* names being resolved, the oldest first */
	size_t lookups_len;
	uint64_t lookup_id;
	uint64_t retry_us; /* of telling the interface's configuration; FZ_NEVER_US = told */
	uint64_t next_expiry_s; /* no grant ends before this; unix seconds */
};

/* gateway.c */
void gateway_message(void *role, const struct portal_event *ev, uint64_t now_us);

/* gateway_peers.c */
struct client_peer *peer_by_id(const struct gateway *g, const struct fz_uuid *id);
struct client_peer *peer_by_ref(struct gateway *g, uint32_t ref);
struct client_peer *peer_by_ip(struct gateway *g, const struct fz_ip *ip);
/* Another connection, or NODE_NO_REF. */
void peer_set_ref(struct gateway *g, struct client_peer *p, uint32_t ref);
/* The client of an authorization, made when it is new. One that comes with another tunnel address starts from
 * nothing: what it was granted counted for the old one. FZ_ERR_NOMEM. */
int peer_upsert(struct gateway *g, const struct portal_create_authz *a, uint32_t ref,
		struct client_peer **ret);
void peer_free(struct gateway *g, struct client_peer *p);

/* gateway_data.c */
bool gateway_inbound(void *role, uint32_t ref, struct fz_pkt *pkt, struct ip_view *view, uint64_t now_us);
void gateway_outbound(void *role, struct fz_pkt *pkt, struct ip_view *view, uint64_t now_us);

/* gateway_names.c */
void names_control(void *role, uint32_t ref, uint8_t type, const uint8_t *payload, size_t len,
		   uint64_t now_us);
void names_resolved(void *role, const struct fz_resolved *r, uint64_t now_us);
void names_timeout(struct gateway *g, uint64_t now_us);
uint64_t names_next(const struct gateway *g);
void names_clear(struct gateway *g);

#endif
