/* SPDX-License-Identifier: Apache-2.0 */
/* The connectivity node: one identity, a set of relays, and the connections to peers. Takes UDP batches and
 * IP packets, gives UDP batches and IP packets, and tells what became of its connections. Client and gateway
 * stand on it; it knows nothing of resources and grants. Sans-IO. */
#ifndef CORE_NODE_H
#define CORE_NODE_H

#include "core/conn.h"
#include "fzconn/packet.h"
#include "wire/p2p.h"
#include "wire/portal_events.h"

/* Connections at once; the handle's lower bits are the slot. */
#define NODE_CONNS_MAX 16384
/* Handle of no connection. */
#define NODE_NO_REF UINT32_MAX

struct node;

struct node_opts {
	uint32_t max_conns; /* 0 = NODE_CONNS_MAX */
};

enum node_event_type {
	NODE_UP, /* session and path: packets flow; once per connection */
	NODE_PATH, /* payload takes another path */
	NODE_SILENT, /* nobody answers on any path: is the peer still the one that we know? */
	NODE_FAILED, /* the connection is gone: no path, no answer */
	NODE_CLOSED, /* by the peer's goodbye, by us, or replaced by a new one with other keys */
	NODE_NO_RELAYS /* the last relay is lost: the portal should send others */
};

struct node_event {
	enum node_event_type type;
	uint32_t ref;
	struct fz_uuid peer;
	const char *detail; /* static text for the log: why, or which kind of path */
};

/* Why something was dropped; shown in status. */
enum node_drop {
	NODE_DROP_UNKNOWN, /* datagram of no known kind */
	NODE_DROP_STUN, /* STUN that nobody asked for or that fails its check */
	NODE_DROP_RELAY, /* ChannelData of an unknown channel, late datagrams of removed relays */
	NODE_DROP_NO_CONN, /* WireGuard message for no connection */
	NODE_DROP_HANDSHAKE, /* handshake message that is refused */
	NODE_DROP_LOAD, /* handshake message without cookie under load */
	NODE_DROP_AUTH, /* data that fails its tag, or a replay */
	NODE_DROP_PACKET, /* decrypted packet that breaks the rules of IP packets */
	NODE_DROP_NO_PATH, /* outgoing, but no path or no session */
	NODE_DROP_NO_CHANNEL, /* outgoing through our relay, channel not yet bound */
	NODE_DROP_QUEUE, /* outgoing queue full */
	NODE_DROPS
};
const char *node_drop_name(enum node_drop d);

struct node_stats {
	uint64_t drops[NODE_DROPS];
	uint64_t tx_packets, tx_bytes, rx_packets, rx_bytes; /* inner packets, after segmentation */
};

int node_new(const struct fz_env *env, const struct node_opts *opts, uint64_t now_us, struct node **ret);
void node_free(struct node *n);
const struct fz_key *node_public_key(const struct node *n);
/* Wall clock for handshake timestamps; call once per turn, before anything else. */
void node_set_wall(struct node *n, uint64_t now_us, uint64_t unix_ns);

/* Remove, then add or replace relays; others are kept and checked. */
void node_update_relays(struct node *n, const struct fz_uuid *gone, size_t gone_len,
			const struct portal_relay *relays, size_t relays_len, uint64_t now_us);
/* Give all allocations back and forget the relays: the portal lists them again. */
void node_release_relays(struct node *n, uint64_t now_us);
/* The network changed. Connections without ICE live on when there are no others: relays are asked anew and
 * new addresses signalled. Otherwise all connections are dropped without a word, the relays are released,
 * since their credentials hang on our key, and a new key is made. */
int node_reset(struct node *n, uint64_t now_us);

/* Make or keep the connection to a peer. Relays that have not answered yet are joined in when they do.
 * FZ_ERR_STATE: there is no relay (an event asks for some); FZ_ERR_FULL; FZ_ERR_NOMEM; FZ_ERR_INVAL;
 * FZ_ERR_UNSUPPORTED for a kind of path that is not built in. */
int node_upsert(struct node *n, const struct conn_params *p, uint64_t now_us, uint32_t *ret_ref);
/* Close, with a goodbye through the tunnel when there is one. An event tells that it is gone, and why (static
 * text). A handle of no connection is fine. */
void node_close(struct node *n, uint32_t ref, bool goodbye, const char *why, uint64_t now_us);
/* The connection of a peer, NODE_NO_REF. */
uint32_t node_find(const struct node *n, const struct fz_uuid *peer);
const struct conn *node_conn(const struct node *n, uint32_t ref);
/* Next connection after *ref in the table (start with NODE_NO_REF), NULL at the end: for status. */
const struct conn *node_walk(const struct node *n, uint32_t *ref);
/* Outer addresses: of the last data that came from a peer, and those that data to it takes now; the source of
 * what we send through our relay is not known. Family none = no such connection. */
void node_came_by(const struct node *n, uint32_t ref, struct fz_addr *ret_from, struct fz_addr *ret_to);
void node_goes_by(const struct node *n, uint32_t ref, struct fz_addr *ret_from, struct fz_addr *ret_to);
int node_add_candidate(struct node *n, const struct fz_uuid *peer, const char *text, uint64_t now_us);
int node_remove_candidate(struct node *n, const struct fz_uuid *peer, const char *text, uint64_t now_us);

/* One batch from the network. Take all packets with node_next_packet() before the next batch. */
void node_handle_udp(struct node *n, const struct fz_udp_batch *batch, uint64_t now_us);
/* Next decrypted packet or super-packet and its connection; control messages (wire/p2p.h) are among them, but
 * goodbyes. Memory valid until the next node_handle_udp(). */
bool node_next_packet(struct node *n, struct fz_pkt *ret, uint32_t *ret_ref);
/* Encrypt and queue a packet. FZ_ERR_STATE: not connected yet or any more; FZ_ERR_FULL: queue full. */
int node_send(struct node *n, uint32_t ref, struct fz_pkt *pkt, const struct ip_view *view, uint64_t now_us);
/* The same for a control message; @len at most P2P_PAYLOAD_MAX. */
int node_send_control(struct node *n, uint32_t ref, enum p2p_type type, const void *payload, size_t len,
		      uint64_t now_us);
/* Does the TUN take super-packets? */
void node_set_offload(struct node *n, bool offload);
/* Is there room for a super-packet? If not, stop reading the TUN. */
bool node_can_send(const struct node *n);

void node_handle_timeout(struct node *n, uint64_t now_us);
uint64_t node_next_timeout(const struct node *n);
/* Let everything that was touched speak; call at the end of a turn, before taking outputs. When the queue of
 * datagrams is full the rest has to wait: node_wants_flush(), flush again after node_pop_udp(). */
void node_flush(struct node *n, uint64_t now_us);
bool node_wants_flush(const struct node *n);
/* The next batch to send; valid until node_pop_udp(). */
bool node_peek_udp(struct node *n, struct fz_udp_batch *ret);
void node_pop_udp(struct node *n);
size_t node_udp_batches(const struct node *n);
bool node_poll_event(struct node *n, struct node_event *ret);
/* Candidate texts to signal for one connection; the caller releases them with node_free_texts() before the
 * next call. */
bool node_poll_signals(struct node *n, struct fz_uuid *ret_peer, bool *ret_gone,
		       const char *texts[CONN_SIGNALS_MAX], size_t *ret_len);
void node_free_texts(struct node *n, const char *texts[], size_t len);

const struct node_stats *node_stats(const struct node *n);
const struct relays *node_relays(const struct node *n);
size_t node_conns(const struct node *n);

#endif
