/* SPDX-License-Identifier: Apache-2.0 */
/* The node's way in: which of relay, path agent and tunnel a datagram is for, and decryption straight into
 * the joiner. What is the same for a whole batch is looked up once. */
#include <string.h>

#include "base/addr.h"
#include "base/log.h"
#include "core/node_impl.h"
#include "wire/p2p.h"
#include "wire/turn.h"

/* One batch and what was found out about it so far. */
struct arrival {
	const struct fz_udp_batch *batch;
	struct relay *relay; /* the sender is this relay */
	struct path_route route; /* of the datagram in hand */
	int channel; /* ChannelData number that route belongs to, -1 = direct */
	struct conn *conn; /* of the last data message */
	struct conn *told; /* connection whose path agent knows about data in this batch */
	uint64_t now_us;
};

static void drop(struct node *n, enum node_drop why)
{
	n->stats.drops[why]++;
}

/* ---- packets ---- */

static void goodbye(struct node *n, struct arrival *a, struct conn *c)
{
	a->conn = a->told = NULL;
	node_close(n, c->ref, false, "the peer said goodbye", a->now_us);
}

/* A decrypted packet; true = give it to the user of the node. */
static bool accept_packet(struct node *n, struct arrival *a, struct conn *c, uint8_t *packet, size_t len,
			  struct ip_view *view)
{
	uint8_t type;
	const uint8_t *payload;
	size_t payload_len;

	if (path_handle_packet(c->path, &a->route, packet, len, a->now_us))
		return false;
	if (ip_parse_plain(packet, len, view) != IP_OK) {
		drop(n, NODE_DROP_PACKET);
		return false;
	}
	if (!p2p_is_control(view)) {
		ip_ecn_merge(packet, view, a->batch->ecn);
		return true;
	}
	if (p2p_parse(packet, view, &type, &payload, &payload_len) != 0) {
		drop(n, NODE_DROP_PACKET);
		return false;
	}
	if (type == P2P_GOODBYE)
		goodbye(n, a, c);
	return type != P2P_GOODBYE; /* the rest is for the role */
}

static void handle_data(struct node *n, struct arrival *a, const uint8_t *msg, size_t len)
{
	uint32_t ref = wg_index24(wg_receiver(msg));
	struct ip_view view;
	uint8_t *packet, nothing;
	int got;

	if (a->conn == NULL || a->conn->ref != ref) {
		a->conn = node_by_ref(n, ref);
		if (a->conn == NULL) {
			drop(n, NODE_DROP_NO_CONN);
			return;
		}
	}
	struct conn *c = a->conn;
	/* A keep-alive has no content; it confirms a session all the same. */
	packet = len > WG_OVERHEAD ? join_reserve(n->join, len - WG_OVERHEAD) : &nothing;
	if (packet == NULL) {
		drop(n, NODE_DROP_PACKET);
		return;
	}
	got = wg_peer_open(c->wg, packet, msg, len, a->now_us);
	if (got >= 0 && a->told != c) {
		a->told = c;
		c->came_from = a->batch->remote;
		c->came_to = a->batch->local;
		path_handle_data(c->path, &a->route, a->now_us);
	}
	if (got >= 0)
		node_touch(n, c); /* nothing that is not authentic makes us work later */
	if (got <= 0) {
		if (got < 0)
			drop(n, got == FZ_ERR_AUTH ? NODE_DROP_AUTH : NODE_DROP_NO_CONN);
		join_cancel(n->join);
		return;
	}
	n->stats.rx_packets++;
	n->stats.rx_bytes += (size_t)got;
	conn_note_activity(c, a->now_us);
	if (accept_packet(n, a, c, packet, (size_t)got, &view))
		join_commit(n->join, &view, c->ref);
	else
		join_cancel(n->join);
}

/* ---- handshakes ---- */

/* Which connection is an initiation for? Its static key tells; nothing is proved yet. */
static struct conn *identify(struct node *n, const uint8_t *msg, size_t len)
{
	struct fz_key peer;

	return wg_self_identify(n->self, msg, len, &peer) == 0 ? node_by_key(n, &peer) : NULL;
}

/* Give it to WireGuard; the reply goes where the path agent says, at the latest where the message came from.
 */
static void run_handshake(struct node *n, struct arrival *a, struct conn *c, const uint8_t *msg, size_t len)
{
	uint8_t reply[WG_HANDSHAKE_MAX];
	struct path_route route = a->route;
	bool accepted;
	int reply_len = 0;

	accepted = wg_peer_handle_message(c->wg, msg, len, a->now_us) == 0;
	if (!accepted)
		drop(n, NODE_DROP_HANDSHAKE);
	if (accepted) {
		c->arrival = a->route;
		c->has_arrival = true;
	}
	if (accepted && msg[0] == WG_INITIATION)
		node_note_initiation(n, c, msg);
	if (accepted && msg[0] == WG_INITIATION)
		reply_len = wg_peer_poll_transmit(c->wg, reply, sizeof(reply), a->now_us,
						  a->now_us * 1000 + n->wall_offset_ns);
	if (path_handshake_done(c->path, &a->route, msg, len, accepted, reply_len > 0 ? reply : NULL,
				reply_len > 0 ? (size_t)reply_len : 0, &route, a->now_us) ||
	    reply_len > 0)
		node_send_on(n, &route, reply, (size_t)reply_len, a->now_us);
	node_touch(n, c);
}

static void handle_handshake(struct node *n, struct arrival *a, const uint8_t *msg, size_t len,
			     enum wg_type type)
{
	uint8_t reply[WG_COOKIE_REPLY_LEN];
	size_t reply_len = 0;
	struct conn *c;
	int err = 0;

	/* Peers send copies on several ways at once. One that was dealt with costs no arithmetic, and does
	 * not count as load. */
	c = type == WG_INITIATION ? node_by_initiation(n, msg) : node_by_ref(n, wg_index24(wg_receiver(msg)));
	if (c && !path_filter_handshake(c->path, &a->route, msg, len, a->now_us)) {
		node_touch(n, c);
		return;
	}
	if (type != WG_COOKIE_REPLY)
		err = wg_self_admit(n->self, msg, len, &a->route.remote.ip, a->now_us, reply, &reply_len);
	if (err == FZ_ERR_AGAIN || err == FZ_ERR_FULL) {
		drop(n, NODE_DROP_LOAD);
		if (reply_len > 0)
			node_send_on(n, &a->route, reply, reply_len, a->now_us);
		return;
	}
	if (err != 0) {
		drop(n, NODE_DROP_HANDSHAKE);
		return;
	}
	if (type == WG_INITIATION)
		c = identify(n, msg, len);
	if (c == NULL)
		drop(n, NODE_DROP_NO_CONN);
	else
		run_handshake(n, a, c, msg, len);
}

/* ---- STUN ---- */

/* A connectivity check or its answer. */
static void handle_check(struct node *n, struct arrival *a, const uint8_t *msg, size_t len)
{
	struct path_stun_key key;
	const char *colon;
	struct conn *c = NULL;

	if (path_stun_peek(msg, len, &key) == 0) {
		if (!key.is_request)
			c = node_by_ref(n, key.tag);
		else if ((colon = memchr(key.username, ':', key.username_len)) != NULL)
			c = node_by_ufrag(n, key.username, (size_t)(colon - key.username));
	}
	if (c == NULL || path_handle_datagram(c->path, &a->route, msg, len, a->now_us) != 0)
		drop(n, NODE_DROP_STUN);
	else
		node_touch(n, c);
}

/* ---- datagrams ---- */

static void handle_peer(struct node *n, struct arrival *a, const uint8_t *msg, size_t len)
{
	enum wg_type type = wg_classify(msg, len);

	if (type == WG_DATA)
		handle_data(n, a, msg, len);
	else if (stun_looks_like(msg, len))
		handle_check(n, a, msg, len);
	else if (type != WG_NONE)
		handle_handshake(n, a, msg, len, type);
	else
		drop(n, NODE_DROP_UNKNOWN);
}

static void direct_route(struct arrival *a)
{
	a->channel = -1;
	a->route = (struct path_route){ .local = a->batch->local, .remote = a->batch->remote };
}

/* ChannelData: who is behind the channel is looked up when the number changes. */
static void handle_channel(struct node *n, struct arrival *a, const uint8_t *msg, size_t len)
{
	uint16_t number;
	int payload_len = turn_channel_decode(msg, len, &number);

	if (payload_len < 0) {
		drop(n, NODE_DROP_RELAY);
		return;
	}
	if (a->channel != number) {
		a->route = (struct path_route){ .local_relayed = true };
		if (turn_alloc_channel_peer(a->relay->alloc, number, &a->route.remote, &a->route.local,
					    a->now_us) != 0) {
			a->channel = -1;
			drop(n, NODE_DROP_RELAY);
			return;
		}
		a->channel = number;
	}
	handle_peer(n, a, msg + TURN_CHANNEL_HEADER_LEN, (size_t)payload_len);
}

static void handle_relay(struct node *n, struct arrival *a, const uint8_t *msg, size_t len)
{
	int err;

	if (turn_channel_looks_like(msg, len)) {
		handle_channel(n, a, msg, len);
		return;
	}
	if (a->channel != -1)
		direct_route(a);
	if (!stun_looks_like(msg, len)) {
		handle_peer(n, a, msg, len);
		return;
	}
	err = turn_alloc_handle_datagram(a->relay->alloc, &a->batch->local, &a->batch->remote, msg, len,
					 a->now_us);
	if (err != 0)
		drop(n, NODE_DROP_RELAY);
}

void node_handle_udp(struct node *n, const struct fz_udp_batch *batch, uint64_t now_us)
{
	struct arrival a = { .batch = batch, .now_us = now_us };
	bool was_relay = relays_was_server(&n->relays, &batch->remote.ip);

	n->now_us = now_us;
	join_reset(n->join);
	direct_route(&a);
	a.relay = relays_by_server(&n->relays, &batch->remote);
	for (size_t at = 0; at < batch->len; at += batch->seg_len) {
		size_t len = batch->len - at < batch->seg_len ? batch->len - at : batch->seg_len;
		if (batch->seg_len == 0)
			return;
		if (len > FZ_DATAGRAM_MAX)
			drop(n, NODE_DROP_UNKNOWN);
		else if (a.relay)
			handle_relay(n, &a, batch->data + at, len);
		else if (was_relay && turn_channel_looks_like(batch->data + at, len))
			drop(n, NODE_DROP_RELAY);
		else
			handle_peer(n, &a, batch->data + at, len);
	}
}

bool node_next_packet(struct node *n, struct fz_pkt *ret, uint32_t *ret_ref)
{
	return join_next(n->join, ret, ret_ref);
}

void node_set_offload(struct node *n, bool offload)
{
	join_set_flags(n->join, offload ? JOIN_TCP | JOIN_UDP : 0);
}
