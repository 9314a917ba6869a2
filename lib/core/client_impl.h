/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of the client, shared by core/client*.c and by nobody else:
 *   client.c            life, connections, time
 *   client_portal.c     what the portal says
 *   client_access.c     who serves which resource: grants, refusals, gateways that come and go
 *   client_resources.c  resources that come and go, the interface, the list for people
 *   client_packets.c    packets from the TUN and to it
 *   client_dns.c        its stub resolver */
#ifndef CORE_CLIENT_IMPL_H
#define CORE_CLIENT_IMPL_H

#include "core/client.h"
#include "core/client_dns.h"
#include "core/dns_nat.h"
#include "core/dns_stub.h"
#include "core/gateways.h"
#include "wire/icmp.h"

/* Requests for the same resource are at least this far apart, however much traffic waits. */
#define CLIENT_ASK_GAP_US 2000000u
/* Packets wait this long for access. */
#define CLIENT_WAIT_US 30000000u

struct client {
	const struct fz_env *env;
	struct endpoint *endpoint;
	struct flows *flows; /* the endpoint's */
	struct proxy_ips *proxies;
	struct resources resources;
	struct gateways gateways;
	struct dns_nat *nat;
	struct dns_stub *stub;
	uint16_t dns_port; /* of the listener for DNS by TCP */
	struct fz_ip ipv4, ipv6;
	char *search_domain; /* NULL = none */
	bool routes_changed, list_changed, names_changed;
	uint64_t list_digest; /* of the list that the host was told of */
	uint64_t retry_us; /* of telling the host about the interface */
	uint64_t resync_us; /* a change was lost for want of memory: ask the portal for everything then */
};

/* client_portal.c */
void client_message(void *role, const struct portal_event *ev, uint64_t now_us);

/* client_access.c */
void client_ask(struct client *c, struct resource *res, uint64_t now_us);
/* The gateway refused a packet for this resource: does the portal still grant it? With growing gaps. */
void client_doubt(struct client *c, struct resource *res, uint64_t now_us);
/* Whatever was asked before we joined is not answered any more. */
void client_ask_again(struct client *c, uint64_t now_us);
void client_granted(struct client *c, const struct portal_authz_created *a, uint64_t now_us);
void client_refused(struct client *c, const struct portal_authz_failed *f, uint64_t now_us);
/* No gateway serves the resource any more; one that serves no other is closed. */
void client_withdraw(struct client *c, struct resource *res, uint64_t now_us);
void client_gateway_up(struct client *c, struct gateway_peer *g, uint64_t now_us);
/* Its connection is gone: its resources need access anew. What waited for it waits for them now, or is
 * answered with an error when there is no way to it. */
void client_gateway_lost(struct client *c, struct gateway_peer *g, bool failed, uint64_t now_us);
/* Nothing answers. */
void client_gateway_silent(struct client *c, const struct gateway_peer *g, uint64_t now_us);
/* Names of the resource are announced to the gateway that serves it. */
void client_announce(struct client *c, struct gateway_peer *g, uint64_t now_us);
void client_announce_all(struct client *c, uint64_t now_us);

/* client_resources.c */
void client_resource_gone(struct client *c, struct resource *res, uint64_t now_us);
void client_resource_upsert(struct client *c, const struct portal_resource *p, uint64_t now_us);
/* What the list does not name any more goes first: it may stand in the way of what is new. */
void client_remove_unlisted(struct client *c, const struct portal_init *init, uint64_t now_us);
void client_set_interface(struct client *c, const struct portal_interface *i, uint64_t now_us);
/* Tell the host what has changed: interface, list. At the end of whatever may have changed them. */
void client_publish(struct client *c, uint64_t now_us);

/* client_packets.c */
void client_outbound(void *role, struct fz_pkt *pkt, struct ip_view *view, uint64_t now_us);
bool client_inbound(void *role, uint32_t ref, struct fz_pkt *pkt, struct ip_view *view, uint64_t now_us);
void client_control(void *role, uint32_t ref, uint8_t type, const uint8_t *payload, size_t len,
		    uint64_t now_us);
/* Send what waited, through the whole pipeline again, since routes may have changed; or answer it with an
 * error. Both empty the ring. */
void client_replay(struct client *c, struct pending *ring, uint64_t now_us);
void client_reject(struct client *c, struct pending *ring, enum icmp_error what);
/* Drop a packet and tell its sender. */
void client_refuse(struct client *c, enum endpoint_drop why, enum icmp_error what, struct fz_pkt *pkt,
		   const struct ip_view *view);
/* The error for packets to a resource that was refused. */
enum icmp_error client_error_of(const struct resource *res);

#endif
