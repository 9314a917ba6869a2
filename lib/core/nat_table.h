/* SPDX-License-Identifier: Apache-2.0 */
/* Address and port translation of flows to DNS resources: a client sends to a proxy address, the gateway to
 * the real one. A session belongs to one client's table and maps one to one
 *
 *      inside  (protocol, client's port or echo id, proxy address)
 *      outside (protocol, mapped port or echo id, real address)
 *
 * The destination port is in neither: one session serves all ports of a host, as RFC 4787 section 4.1 wants.
 * A session keeps its real address for as long as it lives. There is no translation between IPv4 and IPv6.
 *
 * Sessions of all tables come from one pool, and so does their time: they end exactly at their deadline,
 * their memory is taken back at the first nat_pool_expire() after it. What has ended is remembered for a
 * while, so that late answers are recognised; the oldest are forgotten first. */
#ifndef CORE_NAT_TABLE_H
#define CORE_NAT_TABLE_H

#include "base/heap.h"
#include "base/map.h"
#include "wire/icmp.h"
#include "wire/ip.h"

/* Idle limits. */
#define NAT_TCP_US (7440u * UINT64_C(1000000))
#define NAT_UDP_US (120u * UINT64_C(1000000)) /* ICMP echo too */
#define NAT_UNCONFIRMED_US (60u * UINT64_C(1000000)) /* no answer yet */
#define NAT_FINISHED_US (5u * UINT64_C(1000000)) /* FIN in both directions */

/* Sessions of a gateway, and of one client; beyond them new flows are refused, which is counted. */
#define NAT_SESSIONS_MAX 262144
#define NAT_TABLE_MAX 32768
/* Ended sessions that are remembered. */
#define NAT_ENDED_MAX 8192

struct nat_session;
struct nat_pool;

struct nat_stats {
	uint64_t opened, ended;
	uint64_t no_session; /* refused: limit reached, or no memory */
	uint64_t no_port; /* refused: no port found that is not in use towards that address */
	size_t live;
};

/* 0 = the limits above. FZ_ERR_NOMEM. */
int nat_pool_new(const struct fz_env *env, size_t max, size_t max_each, struct nat_pool **ret);
/* After all its tables. NULL is fine. */
void nat_pool_free(struct nat_pool *pool);
const struct nat_stats *nat_pool_stats(const struct nat_pool *pool);
/* Take back what has ended. */
void nat_pool_expire(struct nat_pool *pool, uint64_t now_us);
/* When to call nat_pool_expire(): whole seconds, so that many sessions cost one wake-up. */
uint64_t nat_pool_next(const struct nat_pool *pool);

struct nat_table {
	struct nat_pool *pool;
	struct fz_map inside, outside; /* without memory until the first session */
	struct nat_session *sessions;
	size_t live;
};

void nat_table_init(struct nat_table *t, struct nat_pool *pool);
/* End all sessions and forget them. */
void nat_table_clear(struct nat_table *t);

/* The session of a packet from the client to a proxy address, NULL. Only TCP, UDP and ICMP echo have one. */
struct nat_session *nat_find_outbound(struct nat_table *t, const struct ip_view *view, uint64_t now_us);
/* A new session for a packet that has none: to @real, of the packet's family. Its port stays when it is free
 * towards that address. @tag is the caller's, see nat_tag(). FZ_ERR_FULL, FZ_ERR_NOMEM: counted.
 * FZ_ERR_UNSUPPORTED: a protocol without ports. */
int nat_open(struct nat_table *t, const struct ip_view *view, const struct fz_ip *real, void *tag,
	     uint64_t now_us, struct nat_session **ret);
/* Rewrite a packet or super-packet and note what it does to the session. */
void nat_outbound(struct nat_session *s, struct fz_pkt *pkt, struct ip_view *view, uint64_t now_us);

enum nat_answer {
	NAT_NONE, /* of no session: other traffic */
	NAT_FOUND,
	NAT_ENDED /* of a session that is over */
};
/* The session of a packet from a real address. */
enum nat_answer nat_find_inbound(struct nat_table *t, const struct ip_view *view, uint64_t now_us,
				 struct nat_session **ret);
void nat_inbound(struct nat_session *s, struct fz_pkt *pkt, struct ip_view *view, uint64_t now_us);
/* The session of the packet that an ICMP error quotes. */
enum nat_answer nat_find_error(struct nat_table *t, const struct icmp_quote *quote, uint64_t now_us,
			       struct nat_session **ret);
/* Make the error quote what the client had sent. It then comes from the proxy address, or keeps its source
 * where the client knows that. */
void nat_inbound_error(struct nat_session *s, struct fz_pkt *pkt, struct ip_view *view,
		       const struct icmp_quote *quote, bool keep_source, uint64_t now_us);

void *nat_tag(const struct nat_session *s);

#endif
