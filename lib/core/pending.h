/* SPDX-License-Identifier: Apache-2.0 */
/* Packets that wait for an authorisation or a connection: a ring of fixed capacity in which every packet
 * occurs once. When it is full the oldest is overwritten. A TCP SYN replaces the same SYN sent earlier, in
 * its place (a retransmission has a newer timestamp). Super-packets are stored as their segments. */
#ifndef CORE_PENDING_H
#define CORE_PENDING_H

#include "fzconn/env.h"
#include "wire/ip.h"

/* Capacities. */
#define PENDING_AUTH 128
#define PENDING_CONNECT 128
#define PENDING_DNS_NAT 32

struct pending_packet;

struct pending {
	const struct fz_env *env;
	struct pending_packet **slots;
	struct pending_packet *taken;
	size_t cap, first, used;
	uint64_t dropped; /* overwritten or without memory */
};

/* FZ_ERR_NOMEM. */
int pending_init(struct pending *p, const struct fz_env *env, size_t cap);
/* Also for a zeroed struct. */
void pending_clear(struct pending *p);

/* @pkt as accepted by ip_parse(), which gave @view; copied, its bytes may change. */
void pending_push(struct pending *p, struct fz_pkt *pkt, const struct ip_view *view);
/* Move the oldest packet out: valid, with FZ_PKT_HEADROOM bytes in front, until the next pending_take() or
 * pending_clear(). To replay a ring into a pipeline that may push to it again, copy the struct, zero the
 * original and initialise it anew. */
bool pending_take(struct pending *p, struct fz_pkt *ret);

#endif
