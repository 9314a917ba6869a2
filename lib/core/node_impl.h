/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of the node, shared by node.c (connections), node_relays.c, node_rx.c (datagrams in), node_tx.c
 * (datagrams out) and by nobody else. */
#ifndef CORE_NODE_IMPL_H
#define CORE_NODE_IMPL_H

#include "core/cut.h"
#include "core/join.h"
#include "core/node.h"
#include "core/txq.h"
#include "proto/wg_self.h"

/* Low bits of a connection's handle are its slot; the rest changes with each use of the slot. */
#define NODE_SLOT_BITS 14
#define NODE_SLOT_MASK ((1u << NODE_SLOT_BITS) - 1)
#define NODE_EVENTS_MAX 65536

struct node {
	const struct fz_env *env;
	struct node_opts opts;
	struct wg_self *self;
	uint64_t now_us; /* of the current turn */
	uint64_t wall_offset_ns; /* unix time minus now_us * 1000 */

	struct relays relays;
	bool had_relays;

	struct conn **slots; /* max_conns of them */
	size_t slots_len, conns;
	uint32_t next_slot, salt;
	struct fz_map by_id, by_key, by_ufrag, by_initiation;
	struct fz_heap timers;
	struct conn *dirty, **dirty_end; /* in the order of touching */
	bool relays_wait; /* the queue was full when they had something to send */
	bool signals_wait; /* some connection has candidates to signal */

	struct txq *txq;
	struct join *join;
	struct node_event *events;
	size_t events_len, events_cap, events_at;
	struct node_stats stats;
};

struct conn *node_by_ref(const struct node *n, uint32_t ref);
struct conn *node_by_key(const struct node *n, const struct fz_key *key);
struct conn *node_by_ufrag(const struct node *n, const char *ufrag, size_t len);
/* Whose last initiation was this very one, or has its mac1 at least? NULL: nobody's. Cheap, proves nothing.
 */
struct conn *node_by_initiation(const struct node *n, const uint8_t *msg);
void node_note_initiation(struct node *n, struct conn *c, const uint8_t *msg);
/* The connection has something to say: node_flush() will look at it. */
void node_touch(struct node *n, struct conn *c);
void node_event(struct node *n, enum node_event_type type, const struct conn *c, const char *detail);

/* node_relays.c: offer all that the relays taught us to a connection; take what they have learnt since.
 * `again` repeats what was signalled before. */
void node_offer_all(struct node *n, struct conn *c, bool again, uint64_t now_us);
void node_poll_relays(struct node *n, uint64_t now_us);

/* node_tx.c: a ready datagram, or an IP packet to encrypt first. */
void node_send_on(struct node *n, const struct path_route *route, const uint8_t *data, size_t len,
		  uint64_t now_us);
void node_seal_on(struct node *n, struct conn *c, const struct path_route *route, const uint8_t *packet,
		  size_t len, uint64_t now_us);
void node_send_goodbye(struct node *n, struct conn *c, uint64_t now_us);
void node_flush_relays(struct node *n, uint64_t now_us);
/* Everything WireGuard and the path agent of one connection want to send. */
void node_drain_conn(struct node *n, struct conn *c, uint64_t now_us);

#endif
