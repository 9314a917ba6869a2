/* SPDX-License-Identifier: Apache-2.0 */
/* The node's way out: control messages and encrypted packets to the queue of batches, wrapped as ChannelData
 * where the path leaves through our relay. */
#include <assert.h>
#include <string.h>

#include "base/addr.h"
#include "core/node_impl.h"
#include "wire/p2p.h"
#include "wire/turn.h"

/* Where a datagram on a route really goes. */
struct hop {
	struct fz_addr local, remote;
	struct relay *relay; /* NULL = direct */
	uint16_t channel;
	size_t header; /* bytes in front of the payload */
};

static bool find_hop(struct node *n, const struct path_route *route, struct hop *ret, uint64_t now_us)
{
	const struct fz_addr *server;

	*ret = (struct hop){ .local = route->local, .remote = route->remote };
	if (!route->local_relayed)
		return true;
	ret->relay = relays_by_relayed(&n->relays, &route->local);
	if (ret->relay == NULL || (server = turn_alloc_server(ret->relay->alloc)) == NULL)
		return false;
	ret->channel = turn_alloc_channel(ret->relay->alloc, &route->remote, now_us);
	if (turn_alloc_has_bind(ret->relay->alloc))
		node_flush_relays(n, now_us); /* ahead of what is about to be sent on the channel */
	ret->local = (struct fz_addr){ 0 }; /* the relay does not care, the routing table does */
	ret->remote = *server;
	ret->header = TURN_CHANNEL_HEADER_LEN;
	return ret->channel != 0;
}

/* Room for len bytes of payload behind the header of the hop. */
static uint8_t *reserve(struct node *n, const struct hop *hop, uint8_t ecn, size_t len)
{
	uint8_t *p = txq_reserve(n->txq, &hop->local, &hop->remote, ecn, hop->header + len);

	if (p == NULL)
		return NULL;
	if (hop->relay)
		turn_channel_encode(p, hop->channel, (uint16_t)len);
	return p + hop->header;
}

static_assert(WG_HANDSHAKE_MAX <= PATH_TRANSMIT_MAX, "control messages fit into node_send_on()'s buffer");

void node_send_on(struct node *n, const struct path_route *route, const uint8_t *data, size_t len,
		  uint64_t now_us)
{
	uint8_t wrapped[TURN_CHANNEL_HEADER_LEN + PATH_TRANSMIT_MAX];
	struct hop hop;

	if (!find_hop(n, route, &hop, now_us)) {
		n->stats.drops[NODE_DROP_NO_CHANNEL]++;
		return;
	}
	if (hop.relay) {
		turn_channel_encode(wrapped, hop.channel, (uint16_t)len);
		memcpy(wrapped + TURN_CHANNEL_HEADER_LEN, data, len);
		turn_alloc_note_sent(hop.relay->alloc, now_us);
	}
	if (txq_push(n->txq, &hop.local, &hop.remote, hop.relay ? wrapped : data, hop.header + len) != 0)
		n->stats.drops[NODE_DROP_QUEUE]++;
}

/* Encrypt one packet straight into the queue. */
static int seal(struct node *n, struct conn *c, const struct hop *hop, uint8_t ecn, const uint8_t *packet,
		size_t len, uint64_t now_us)
{
	uint8_t *p = reserve(n, hop, ecn, len + WG_OVERHEAD);
	int sealed;

	if (p == NULL) {
		n->stats.drops[NODE_DROP_QUEUE]++;
		return FZ_ERR_FULL;
	}
	sealed = wg_peer_seal(c->wg, p, packet, len, now_us);
	if (sealed < 0) {
		txq_cancel(n->txq);
		n->stats.drops[NODE_DROP_NO_PATH]++;
		return sealed;
	}
	txq_commit(n->txq);
	n->stats.tx_packets++;
	n->stats.tx_bytes += len;
	return 0;
}

void node_seal_on(struct node *n, struct conn *c, const struct path_route *route, const uint8_t *packet,
		  size_t len, uint64_t now_us)
{
	struct hop hop;

	if (!find_hop(n, route, &hop, now_us))
		n->stats.drops[NODE_DROP_NO_CHANNEL]++;
	else
		(void)seal(n, c, &hop, IP_ECN_NOT, packet, len, now_us);
}

int node_send(struct node *n, uint32_t ref, struct fz_pkt *pkt, const struct ip_view *view, uint64_t now_us)
{
	struct conn *c = node_by_ref(n, ref);
	const uint8_t *segment;
	struct hop hop;
	struct cut cut;
	size_t len;
	int err = 0;

	if (c == NULL || c->state == CONN_CONNECTING || c->state == CONN_FAILED) {
		n->stats.drops[NODE_DROP_NO_PATH]++;
		return FZ_ERR_STATE;
	}
	if (!wg_peer_can_send(c->wg, now_us)) {
		/* The session is too old, or the packet that would confirm ours was lost. */
		if (c->has_session)
			conn_want_handshake(c, now_us);
		node_touch(n, c);
		n->stats.drops[NODE_DROP_NO_PATH]++;
		return FZ_ERR_STATE;
	}
	conn_note_activity(c, now_us);
	node_touch(n, c);
	if (!find_hop(n, &c->route, &hop, now_us)) {
		n->stats.drops[NODE_DROP_NO_CHANNEL]++;
		return FZ_ERR_STATE;
	}
	cut_init(&cut, pkt, view);
	while (err == 0 && cut_next(&cut, &segment, &len))
		err = seal(n, c, &hop, view->ecn, segment, len, now_us);
	if (hop.relay)
		turn_alloc_note_sent(hop.relay->alloc, now_us);
	return err;
}

int node_send_control(struct node *n, uint32_t ref, enum p2p_type type, const void *payload, size_t len,
		      uint64_t now_us)
{
	uint8_t buf[FZ_PKT_HEADROOM + FZ_TUNNEL_MTU];
	struct fz_pkt pkt =
		ip_pkt(buf + FZ_PKT_HEADROOM, p2p_build(buf + FZ_PKT_HEADROOM, type, payload, len));
	struct ip_view view;

	return ip_parse(&pkt, &view) == IP_OK ? node_send(n, ref, &pkt, &view, now_us) : FZ_ERR_INVAL;
}

void node_came_by(const struct node *n, uint32_t ref, struct fz_addr *ret_from, struct fz_addr *ret_to)
{
	const struct conn *c = node_conn(n, ref);

	*ret_from = c ? c->came_from : (struct fz_addr){ 0 };
	*ret_to = c ? c->came_to : (struct fz_addr){ 0 };
}

void node_goes_by(const struct node *n, uint32_t ref, struct fz_addr *ret_from, struct fz_addr *ret_to)
{
	const struct conn *c = node_conn(n, ref);
	const struct fz_addr *server;
	const struct relay *relay;

	*ret_from = *ret_to = (struct fz_addr){ 0 };
	if (c == NULL || c->state == CONN_CONNECTING)
		return;
	if (!c->route.local_relayed) {
		*ret_from = c->route.local;
		*ret_to = c->route.remote;
		return;
	}
	relay = relays_by_relayed(&n->relays, &c->route.local);
	server = relay ? turn_alloc_server(relay->alloc) : NULL;
	if (server)
		*ret_to = *server;
}

bool node_can_send(const struct node *n)
{
	return txq_has_room(n->txq);
}

void node_send_goodbye(struct node *n, struct conn *c, uint64_t now_us)
{
	uint8_t packet[P2P_HDR_LEN];
	size_t len = p2p_build(packet, P2P_GOODBYE, NULL, 0);

	if (wg_peer_can_send(c->wg, now_us))
		node_seal_on(n, c, &c->route, packet, len, now_us);
}

void node_flush_relays(struct node *n, uint64_t now_us)
{
	uint8_t buf[TURN_TRANSMIT_MAX];
	struct fz_addr to;
	static const struct fz_addr anywhere;
	int len = 0;

	for (size_t i = 0; i < n->relays.len; i++) {
		while (txq_has_room(n->txq) && (len = turn_alloc_poll_transmit(n->relays.v[i]->alloc, buf,
									       sizeof(buf), &to, now_us)) > 0)
			if (txq_push(n->txq, &anywhere, &to, buf, (size_t)len) != 0)
				n->stats.drops[NODE_DROP_QUEUE]++;
	}
	n->relays_wait = n->relays.len > 0 && !txq_has_room(n->txq);
}

/* A WireGuard message that is not data with content: where it goes depends on what it is. */
static void send_wg(struct node *n, struct conn *c, const uint8_t *msg, size_t len, uint64_t now_us)
{
	if (msg[0] == WG_INITIATION && path_send_handshake(c->path, msg, len, now_us))
		return;
	if (c->state != CONN_CONNECTING)
		node_send_on(n, &c->route, msg, len, now_us);
	else if (c->has_arrival && msg[0] != WG_INITIATION)
		node_send_on(n, &c->arrival, msg, len, now_us); /* the peer is ahead of us: that way works */
	else
		n->stats.drops[NODE_DROP_NO_PATH]++;
}

void node_drain_conn(struct node *n, struct conn *c, uint64_t now_us)
{
	uint8_t buf[PATH_TRANSMIT_MAX];
	enum path_transmit_kind kind;
	struct path_route route;
	int len;

	while (txq_has_room(n->txq) && (len = wg_peer_poll_transmit(c->wg, buf, sizeof(buf), now_us,
								    now_us * 1000 + n->wall_offset_ns)) > 0)
		send_wg(n, c, buf, (size_t)len, now_us);
	while (txq_has_room(n->txq) &&
	       (len = path_poll_transmit(c->path, buf, sizeof(buf), &kind, &route, now_us)) > 0) {
		if (kind == PATH_TX_PACKET)
			node_seal_on(n, c, &route, buf, (size_t)len, now_us);
		else
			node_send_on(n, &route, buf, (size_t)len, now_us);
	}
}

bool node_peek_udp(struct node *n, struct fz_udp_batch *ret)
{
	return txq_peek(n->txq, ret);
}

void node_pop_udp(struct node *n)
{
	txq_pop(n->txq);
}

size_t node_udp_batches(const struct node *n)
{
	return txq_batches(n->txq);
}
