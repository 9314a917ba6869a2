/* SPDX-License-Identifier: Apache-2.0 */
/* The endpoint, shared by core/endpoint*.c and by nobody else. */
#ifndef CORE_ENDPOINT_PRIV_H
#define CORE_ENDPOINT_PRIV_H

#include "core/endpoint.h"

struct own_packet {
	uint16_t len;
	uint8_t buf[FZ_PKT_HEADROOM + FZ_TUNNEL_MTU];
};

/* A place where DNS requests are wanted. */
struct endpoint_listen {
	struct fz_addr addr;
	bool udp, tcp;
	uint64_t retry_us; /* FZ_NEVER_US = it works, as far as we know */
};

struct ask; /* endpoint_ask.c */

struct endpoint {
	const struct fz_env *env;
	const struct endpoint_ops *ops;
	void *role;
	enum portal_peer peer_kind;
	struct portal *portal;
	struct node *node;
	uint64_t now_us;
	int64_t wall_offset_ns; /* unix time minus ours, see endpoint_unix_s() */
	bool has_wall;
	bool unsettled; /* inputs came in since the last settle() */

	/* Requests to the host, in the order in which they are told. A later one for the stream makes an
	 * earlier one that was not told yet pointless. */
	bool wants_close, wants_rebind, wants_open, wants_dead;
	struct fz_event open, dead;
	struct fz_event *events; /* ring of ENDPOINT_EVENTS_MAX */
	size_t events_first, events_len;
	struct fz_netcfg netcfg;
	uint8_t *netcfg_kept; /* what it points to */
	bool netcfg_due, ready_told, configured;

	struct ask *asks, **asks_tail, *told; /* questions to the host; the one it looks at */
	size_t asks_len;
	struct endpoint_listen listens[ENDPOINT_LISTENS_MAX];
	size_t listens_len;

	struct own_packet *own; /* ring of ENDPOINT_TUN_MAX, made when first needed */
	size_t own_first, own_len;
	struct endpoint_stats stats;
	struct flows flows;
};

/* Time does not run backwards for what is below us. */
uint64_t endpoint_begin_turn(struct endpoint *e, uint64_t now_us);

/* endpoint_ask.c */
bool endpoint_poll_ask(struct endpoint *e, struct fz_event *ret);
void endpoint_asks_clear(struct endpoint *e);
void endpoint_listens_retry(struct endpoint *e, uint64_t now_us);
uint64_t endpoint_listens_next(const struct endpoint *e);

#endif
