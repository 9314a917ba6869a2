/* SPDX-License-Identifier: Apache-2.0 */
/* What client and gateway have in common: a portal channel, a connectivity node, the TUN side, and the queue
 * of events for the host. The role (client.c, gateway.c) decides about packets and portal messages through
 * the table below. */
#ifndef CORE_ENDPOINT_H
#define CORE_ENDPOINT_H

#include "core/node.h"
#include "core/portal.h"
#include "fzconn/event.h"

/* Notices waiting for the host; the oldest is dropped first. Requests to the host are kept apart and never
 * dropped. */
#define ENDPOINT_EVENTS_MAX 1024
/* Packets made by ourselves that wait for the TUN. */
#define ENDPOINT_TUN_MAX 64

/* Why a packet of the TUN side was dropped; shown in status. */
enum endpoint_drop {
	DROP_MALFORMED, /* breaks the rules of IP packets: see reasons[] for which */
	DROP_MULTICAST,
	DROP_NO_CONFIG, /* no tunnel addresses yet */
	DROP_SOURCE, /* source address that may not be used here */
	DROP_DESTINATION, /* destination that is no peer's and no resource's */
	DROP_FILTER, /* the resource's filter refuses it; answered with ICMP */
	DROP_PENDING, /* waiting room full */
	DROP_NOT_CONNECTED, /* no connection (yet) */
	DROP_PROTOCOL, /* protocol that cannot be routed */
	DROP_NO_PEER, /* no state for the peer it came from or goes to */
	DROP_TUN_FULL, /* our own packets for the TUN */
	ENDPOINT_DROPS
};
const char *endpoint_drop_name(enum endpoint_drop d);

struct endpoint_stats {
	uint64_t drops[ENDPOINT_DROPS];
	uint64_t reasons[IP_REASONS]; /* of DROP_MALFORMED */
	uint64_t tun_in, tun_out; /* packets or super-packets */
};

struct endpoint;

struct endpoint_ops {
	void (*message)(void *role, const struct portal_event *ev, uint64_t now_us);
	void (*node_event)(void *role, const struct node_event *ev, uint64_t now_us);
	/* From the TUN: send it to a peer, keep it, or drop it. */
	void (*outbound)(void *role, struct fz_pkt *pkt, struct ip_view *view, uint64_t now_us);
	/* From a peer: true = give it to the TUN. */
	bool (*inbound)(void *role, uint32_t ref, struct fz_pkt *pkt, struct ip_view *view, uint64_t now_us);
	/* A control message from a peer, goodbyes excepted; NULL = ignore them all. */
	void (*control)(void *role, uint32_t ref, uint8_t type, const uint8_t *payload, size_t len,
			uint64_t now_us);
	void (*timeout)(void *role, uint64_t now_us);
	uint64_t (*next_timeout)(const void *role);
};

struct endpoint_opts {
	struct portal_opts portal;
	struct node_opts node;
	enum portal_peer peer_kind; /* what our peers are, for signalling */
};

/* ret_reason as portal_new(). The role's ops are called only from within the functions below. */
int endpoint_new(const struct fz_env *env, const struct endpoint_opts *opts, const struct endpoint_ops *ops,
		 void *role, uint64_t now_us, struct endpoint **ret, const char **ret_reason);
void endpoint_free(struct endpoint *e);
struct node *endpoint_node(struct endpoint *e);
struct portal *endpoint_portal(struct endpoint *e);
struct endpoint_stats *endpoint_stats(struct endpoint *e);
const struct fz_env *endpoint_env(const struct endpoint *e);
/* Unix seconds by which authorizations end, and back: when such a second begins. The wall clock's steps back
 * are not followed, since they would prolong access; its steps forward are, since the machine may have slept.
 */
uint64_t endpoint_unix_s(const struct endpoint *e, uint64_t now_us);
uint64_t endpoint_at_unix(const struct endpoint *e, uint64_t unix_s);

/* For roles. */
void endpoint_drop(struct endpoint *e, enum endpoint_drop why);
void endpoint_drop_many(struct endpoint *e, enum endpoint_drop why, uint64_t n);
void endpoint_event(struct endpoint *e, const struct fz_event *ev);
/* The wanted state of the interface; routes are copied. FZ_ERR_NOMEM: it stays as it was, to be tried again
 * after ENDPOINT_RETRY_US. */
#define ENDPOINT_RETRY_US 1000000u
int endpoint_set_netcfg(struct endpoint *e, const struct fz_ip *ipv4, const struct fz_ip *ipv6,
			const struct fz_prefix *routes, size_t routes_len);
/* A packet of our own for the TUN; copied. */
void endpoint_to_tun(struct endpoint *e, const uint8_t *packet, size_t len);
/* Fill u.peer of an event. */
void endpoint_describe_peer(struct endpoint *e, uint32_t ref, const struct fz_uuid *id, const char *detail,
			    struct fz_event *ret);

/* For the public API; see fzconn/client.h for the contract. */
void endpoint_set_wall(struct endpoint *e, uint64_t now_us, uint64_t unix_ns);
void endpoint_handle_tun(struct endpoint *e, struct fz_pkt *pkt, uint64_t now_us);
void endpoint_handle_udp(struct endpoint *e, const struct fz_udp_batch *batch, uint64_t now_us);
bool endpoint_poll_tun(struct endpoint *e, struct fz_pkt *ret);
bool endpoint_poll_udp(struct endpoint *e, struct fz_udp_batch *ret);
void endpoint_pop_udp(struct endpoint *e);
/* Batches that wait; the newest of them may still grow. */
size_t endpoint_udp_batches(const struct endpoint *e);
/* The TUN takes super-packets. */
void endpoint_set_offload(struct endpoint *e, bool offload);
bool endpoint_wants_tun(const struct endpoint *e);
void endpoint_stream_opened(struct endpoint *e, uint64_t now_us);
void endpoint_stream_data(struct endpoint *e, const void *data, size_t len, uint64_t now_us);
void endpoint_stream_closed(struct endpoint *e, const char *reason, uint64_t now_us);
int endpoint_poll_stream(struct endpoint *e, void *buf, size_t cap);
void endpoint_handle_timeout(struct endpoint *e, uint64_t now_us);
uint64_t endpoint_next_timeout(const struct endpoint *e);
bool endpoint_poll_event(struct endpoint *e, struct fz_event *ret);
int endpoint_reset(struct endpoint *e, uint64_t now_us);
void endpoint_reconnect(struct endpoint *e, uint64_t now_us);
void endpoint_shutdown(struct endpoint *e, uint64_t now_us);

#endif
