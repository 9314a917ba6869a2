/* SPDX-License-Identifier: Apache-2.0 */
/* What client and gateway have in common: a portal channel, a connectivity node, the TUN side, and the queue
 * of events for the host. The role (client.c, gateway.c) decides about packets and portal messages through
 * the table below. */
#ifndef CORE_ENDPOINT_H
#define CORE_ENDPOINT_H

#include "core/flows.h"
#include "core/node.h"
#include "core/portal.h"
#include "fzconn/event.h"

/* Notices waiting for the host; the oldest is dropped first. Requests to the host are kept apart and never
 * dropped. */
#define ENDPOINT_EVENTS_MAX 1024
/* Packets made by ourselves that wait for the TUN. */
#define ENDPOINT_TUN_MAX 64
/* Questions that the host was not told yet, and places where we listen for DNS. */
#define ENDPOINT_ASKS_MAX 2048
#define ENDPOINT_LISTENS_MAX 8
/* A listener that failed is asked for again after this time. */
#define ENDPOINT_LISTEN_RETRY_US 5000000u

/* Why a packet of the TUN side was dropped; shown in status. */
enum endpoint_drop {
	DROP_MALFORMED, /* breaks the rules of IP packets: see reasons[] for which */
	DROP_MULTICAST,
	DROP_NO_CONFIG, /* no tunnel addresses yet */
	DROP_SOURCE, /* source address that may not be used here */
	DROP_DESTINATION, /* destination that is no peer's and no resource's */
	DROP_FILTER, /* the resource's filter refuses it; answered with ICMP */
	DROP_PENDING, /* waiting room full */
	DROP_NO_ACCESS, /* access was refused, or not answered in time; answered with ICMP */
	DROP_NOT_CONNECTED, /* no connection (yet) */
	DROP_PROTOCOL, /* protocol that cannot be routed */
	DROP_NO_PEER, /* no state for the peer it came from or goes to */
	DROP_DNS, /* a DNS query that can not be understood */
	DROP_TUN_FULL, /* our own packets for the TUN */
	DROP_ASK, /* questions to the host: too many, or no memory */
	DROP_NAT_FULL, /* no translation left: too many sessions, or no free port */
	DROP_NAT_ENDED, /* of a translated session that is over */
	DROP_ERROR_RATE, /* an ICMP error that was owed, but one client gets only so many */
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

	/* Results of what was asked of the host, see below. Each may be NULL: of no interest; requests are
	 * then turned away. What they point to is borrowed for the call. */
	void (*dns_answer)(void *role, const struct fz_dns_answer *a, uint64_t now_us);
	void (*dns_request)(void *role, const struct fz_dns_request *r, uint64_t now_us);
	/* It is tried again by itself; a role that can do with another port stops that with
	 * endpoint_dns_listen(). */
	void (*dns_listen_failed)(void *role, const struct fz_addr *addr, int err, uint64_t now_us);
	void (*resolved)(void *role, const struct fz_resolved *r, uint64_t now_us);
	void (*http_result)(void *role, const struct fz_http_result *r, uint64_t now_us);
	void (*system_dns)(void *role, const struct fz_ip *servers, size_t len, uint64_t now_us);
};

struct endpoint_opts {
	struct portal_opts portal;
	struct node_opts node;
	enum portal_peer peer_kind; /* what our peers are, for signalling */
	bool flow_logs; /* log every flow */
};

/* ret_reason as portal_new(). The role's ops are called only from within the functions below. */
int endpoint_new(const struct fz_env *env, const struct endpoint_opts *opts, const struct endpoint_ops *ops,
		 void *role, uint64_t now_us, struct endpoint **ret, const char **ret_reason);
void endpoint_free(struct endpoint *e);
struct node *endpoint_node(struct endpoint *e);
struct portal *endpoint_portal(struct endpoint *e);
struct endpoint_stats *endpoint_stats(struct endpoint *e);
/* What the portal says about flows reaches it by itself. */
struct flows *endpoint_flows(struct endpoint *e);
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
/* The wanted state of the interface; everything is copied, the host is told if it is another one.
 * FZ_ERR_NOMEM: it stays as it was, to be tried again after ENDPOINT_RETRY_US. */
#define ENDPOINT_RETRY_US 1000000u
int endpoint_set_netcfg(struct endpoint *e, const struct fz_netcfg *cfg);
/* For the host: the interface is a new one, and is to be told again. */
void endpoint_renew_netcfg(struct endpoint *e);
/* A packet of our own for the TUN; copied. */
void endpoint_to_tun(struct endpoint *e, const uint8_t *packet, size_t len);
/* Questions to the host, see fzconn/ask.h; everything is copied. Each accepted one has exactly one result,
 * which comes through the role's table; the role tells its ids apart. FZ_ERR_FULL, FZ_ERR_NOMEM: not asked,
 * counted. */
int endpoint_dns_query(struct endpoint *e, const struct fz_dns_query *q);
int endpoint_resolve(struct endpoint *e, uint64_t id, const char *name);
int endpoint_http(struct endpoint *e, const struct fz_http_request *r);
/* Names mean something else now: the system is to forget what it remembers. */
void endpoint_dns_flush(struct endpoint *e);
/* Answer a DNS request; len 0 = there will be no answer. Lost without memory: clients ask again. */
void endpoint_dns_reply(struct endpoint *e, uint64_t request, const void *data, size_t len);
/* Take DNS requests at this address by these transports from now on; by none: close it. FZ_ERR_FULL: too many
 * addresses. */
int endpoint_dns_listen(struct endpoint *e, const struct fz_addr *addr, bool udp, bool tcp);
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
void endpoint_dns_answer(struct endpoint *e, const struct fz_dns_answer *a, uint64_t now_us);
void endpoint_dns_request(struct endpoint *e, const struct fz_dns_request *r, uint64_t now_us);
void endpoint_dns_listen_failed(struct endpoint *e, const struct fz_addr *addr, int err, uint64_t now_us);
void endpoint_resolved(struct endpoint *e, const struct fz_resolved *r, uint64_t now_us);
void endpoint_http_result(struct endpoint *e, const struct fz_http_result *r, uint64_t now_us);
void endpoint_system_dns(struct endpoint *e, const struct fz_ip *servers, size_t len, uint64_t now_us);
void endpoint_handle_timeout(struct endpoint *e, uint64_t now_us);
uint64_t endpoint_next_timeout(const struct endpoint *e);
bool endpoint_poll_event(struct endpoint *e, struct fz_event *ret);
int endpoint_reset(struct endpoint *e, uint64_t now_us);
void endpoint_reconnect(struct endpoint *e, uint64_t now_us);
void endpoint_shutdown(struct endpoint *e, uint64_t now_us);

#endif
