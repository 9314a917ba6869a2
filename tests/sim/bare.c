/* SPDX-License-Identifier: Apache-2.0 */
/* A host that runs nothing but TURN clients and path agents: what a node does around them, without WireGuard.
 * A two-message handshake stands for WireGuard's. Every rule of the owner's side of proto/path.h is kept
 * here, so this is also the shortest example of it. */
#include "peer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/time.h"
#include "base/wr.h"
#include "proto/turn_alloc.h"
#include "relay.h"
#include "wire/wg.h"

#define HANDSHAKE_US FZ_SEC(2) /* repeat an unanswered handshake */
#define GIVE_UP_US FZ_SEC(90) /* without ICE: the connection is over when none was answered for so long */
#define UNANSWERED_US FZ_SEC(7) /* data sent, nothing came back: handshake */
#define PROACTIVE_US FZ_SEC(20) /* gap between handshakes for a better path */
#define IDLE_US FZ_SEC(20)
#define LOCALS_MAX 24
#define WINDOW 2048

/* Handshake messages have the type and the length of WireGuard's, data has WireGuard's type. */
enum { MSG_INIT = 1, MSG_RESP = 2, MSG_DATA = 4 };
enum { DATA_EMPTY, DATA_PING, DATA_PONG, DATA_PROBE };
#define HEADER_LEN 32

struct local {
	struct cand c;
	int relay;
};

struct conn {
	uint32_t id;
	bool is_used, is_controlling, is_iceless, is_established, is_idle;
	struct peer *peer;
	struct path *path; /* NULL: none, or failed */
	int relay;
	uint64_t ask_us; /* client: when to ask the portal */
	uint64_t ping_us, handshake_us, active_us;
	bool has_handshake; /* one is unanswered */
	bool can_send; /* the responder may not before it has heard from the initiator */
	uint64_t attempt_us, unanswered_us;
	uint32_t serial, peer_serial; /* of initiations: ours, the newest one of the peer */
	uint64_t seq, seen[WINDOW];
	struct peer_stats st;
};

struct slot {
	struct turn_alloc *alloc;
	struct fz_addr addr4, addr6;
	uint64_t again_us;
};

struct peer {
	struct sim_net *net;
	int host;
	struct peer_opts opts;
	struct fz_env env;
	struct slot relays[PEER_RELAYS_MAX];
	int n_relays;
	struct local locals[LOCALS_MAX];
	int n_locals;
	struct conn conns[PEER_CONNS_MAX];
	bool is_chatty;
	uint64_t now_us; /* our clock */
};

static void fill(void *ctx, void *buf, size_t len)
{
	uint8_t *p = buf;

	while (len--)
		*p++ = (uint8_t)sim_random(ctx, 256);
}

static struct conn *conn_of(struct peer *b, uint32_t id)
{
	for (int i = 0; i < PEER_CONNS_MAX; i++)
		if (b->conns[i].is_used && b->conns[i].id == id)
			return &b->conns[i];
	return NULL;
}

/* ---- signalling through the portal ---- */

enum { SIG_ASK, SIG_GRANTED, SIG_CANDIDATE, SIG_INVALIDATED };

static sim_call receive_signal;

static void signal_peer(struct peer *b, struct peer *peer, uint32_t id, uint8_t what, const char *text)
{
	uint8_t buf[CAND_TEXT_MAX + 16];
	size_t len = strlen(text) + 1;

	fz_put_be32(buf, id);
	buf[4] = what;
	memcpy(buf + 5, text, len);
	sim_post(b->net, peer->host, b->opts.portal_delay_us + peer->opts.portal_delay_us, receive_signal,
		 buf, len + 5);
}

static void announce(struct peer *b, struct conn *c, const struct cand *cand, bool invalidation)
{
	char text[CAND_TEXT_MAX];

	if (path_cand_text(c->path, cand, invalidation, text, sizeof(text)) > 0)
		signal_peer(b, c->peer, c->id, invalidation ? SIG_INVALIDATED : SIG_CANDIDATE, text);
}

/* Host and server-reflexive candidates of all relays, relayed ones of the selected relay only. */
static bool belongs(const struct conn *c, const struct local *l)
{
	return l->c.kind != CAND_RELAY || l->relay == c->relay;
}

static void feed_locals(struct peer *b, struct conn *c, bool again)
{
	for (int i = 0; i < b->n_locals; i++) {
		if (!belongs(c, &b->locals[i]))
			continue;
		bool is_new = path_add_local(c->path, &b->locals[i].c, b->now_us);
		if (is_new || again)
			announce(b, c, &b->locals[i].c, false);
	}
}

/* ---- relays ---- */

static void open_relay(struct peer *b, int i)
{
	struct slot *s = &b->relays[i];
	const struct turn_alloc_opts o = {
		.username = RELAY_USERNAME,
		.password = RELAY_PASSWORD,
		.server4 = b->opts.ip4.family ? s->addr4 : (struct fz_addr){ .port = 0 },
		.server6 = b->opts.ip6.family ? s->addr6 : (struct fz_addr){ .port = 0 }
	};

	s->again_us = FZ_NEVER_US;
	if (turn_alloc_new(&b->env, &o, b->now_us, &s->alloc) != 0)
		s->alloc = NULL;
}

/* One that answers, if possible one that has given us an address. */
static int pick_relay(struct peer *b)
{
	int n = 0, usable[PEER_RELAYS_MAX];

	for (int i = 0; i < b->n_relays; i++)
		if (b->relays[i].alloc != NULL && turn_alloc_state(b->relays[i].alloc) == TURN_READY)
			usable[n++] = i;
	for (int i = 0; i < b->n_relays && n == 0; i++)
		if (b->relays[i].alloc != NULL && turn_alloc_rtt_us(b->relays[i].alloc) > 0)
			usable[n++] = i;
	return n > 0 ? usable[sim_random(b->net, (uint64_t)n)] : -1;
}

static void add_local(struct peer *b, enum cand_kind kind, const struct fz_addr *addr,
		      const struct fz_addr *base, int relay)
{
	const struct local l = { .c = { .kind = kind, .addr = *addr, .base = *base }, .relay = relay };

	for (int i = 0; i < b->n_locals; i++)
		if (b->locals[i].c.kind == kind && fz_addr_equal(&b->locals[i].c.addr, addr) &&
		    fz_addr_equal(&b->locals[i].c.base, base) && b->locals[i].relay == relay)
			return;
	if (b->n_locals == LOCALS_MAX)
		memmove(b->locals, b->locals + 1, sizeof(b->locals[0]) * (size_t)--b->n_locals);
	b->locals[b->n_locals++] = l;
	for (int i = 0; i < PEER_CONNS_MAX; i++) {
		struct conn *c = &b->conns[i];
		if (c->path != NULL && belongs(c, &l) && path_add_local(c->path, &l.c, b->now_us))
			announce(b, c, &l.c, false);
	}
}

static void drop_relayed(struct peer *b, int relay, const struct fz_addr *addr)
{
	for (int i = b->n_locals; i-- > 0;) {
		const struct local l = b->locals[i];
		if (l.c.kind != CAND_RELAY || l.relay != relay || !fz_addr_equal(&l.c.addr, addr))
			continue;
		b->locals[i] = b->locals[--b->n_locals];
		for (int k = 0; k < PEER_CONNS_MAX; k++) {
			struct conn *c = &b->conns[k];
			if (c->path != NULL && path_remove_local(c->path, &l.c, b->now_us))
				announce(b, c, &l.c, true);
		}
	}
}

static void leave_relay(struct peer *b, int relay)
{
	for (int i = 0; i < PEER_CONNS_MAX; i++)
		if (b->conns[i].is_used && b->conns[i].relay == relay)
			b->conns[i].relay = -1;
}

/* The peer may send to our new address before we send to it. */
static void bind_channels(struct peer *b, const struct conn *c)
{
	struct cand cand;
	size_t at = 0;

	while (path_next_remote(c->path, &at, &cand))
		if (cand.kind != CAND_HOST)
			(void)!turn_alloc_bind(b->relays[c->relay].alloc, &cand.addr, b->now_us);
}

/* Connections that lost their relay, or had none, take what there is. */
static void find_relays(struct peer *b)
{
	for (int i = 0; i < PEER_CONNS_MAX; i++) {
		struct conn *c = &b->conns[i];
		if (c->path == NULL || c->relay >= 0)
			continue;
		c->relay = pick_relay(b);
		if (c->relay < 0)
			continue;
		bind_channels(b, c);
		feed_locals(b, c, true);
	}
}

static void relay_events(struct peer *b, int i)
{
	struct slot *s = &b->relays[i];
	struct turn_event ev;

	while (s->alloc != NULL && turn_alloc_poll_event(s->alloc, &ev)) {
		switch (ev.type) {
		case TURN_MAPPED:
			add_local(b, CAND_HOST, &ev.local, &ev.local, i);
			add_local(b, CAND_SRFLX, &ev.mapped, &ev.local, i);
			break;
		case TURN_RELAYED:
			add_local(b, CAND_RELAY, &ev.relayed, &ev.local, i);
			break;
		case TURN_RELAYED_LOST:
			drop_relayed(b, i, &ev.relayed);
			break;
		case TURN_REFUSED:
			break;
		case TURN_FAILED:
			turn_alloc_free(s->alloc);
			s->alloc = NULL;
			s->again_us = b->now_us + PEER_NEW_RELAY_US;
			leave_relay(b, i);
			break;
		}
	}
}

static struct fz_addr socket_addr(const struct peer *b, enum fz_family family)
{
	return (struct fz_addr){ .ip = family == FZ_FAMILY_INET ? b->opts.ip4 : b->opts.ip6,
				 .port = b->opts.port };
}

static void flush_relay(struct peer *b, int i)
{
	uint8_t buf[TURN_TRANSMIT_MAX];
	struct fz_addr to;
	int n;

	while (b->relays[i].alloc != NULL &&
	       (n = turn_alloc_poll_transmit(b->relays[i].alloc, buf, sizeof(buf), &to, b->now_us)) > 0) {
		struct fz_addr from = socket_addr(b, to.ip.family);
		sim_send(b->net, b->host, &from, &to, buf, (size_t)n);
	}
}

/* ---- sending ---- */

static void send_on(struct peer *b, const struct path_route *route, const uint8_t *data, size_t len)
{
	uint8_t buf[SIM_DATAGRAM_MAX];

	if (!route->local_relayed) {
		sim_send(b->net, b->host, &route->local, &route->remote, data, len);
		return;
	}
	for (int i = 0; i < b->n_relays; i++) {
		struct turn_alloc *a = b->relays[i].alloc;
		if (a == NULL || !turn_alloc_owns(a, &route->local))
			continue;
		uint16_t number = turn_alloc_channel(a, &route->remote, b->now_us);
		flush_relay(b, i); /* a bind goes in front of what needs it */
		if (number == 0)
			return;
		turn_channel_encode(buf, number, (uint16_t)len);
		memcpy(buf + TURN_CHANNEL_HEADER_LEN, data, len);
		sim_send(b->net, b->host, turn_alloc_local(a), turn_alloc_server(a), buf,
			 len + TURN_CHANNEL_HEADER_LEN);
		turn_alloc_note_sent(a, b->now_us);
		return;
	}
}

static void write_header(uint8_t *buf, const struct conn *c, uint8_t type, uint8_t what, uint64_t seq)
{
	buf[0] = type;
	fz_put_be32(buf + 4, c->id);
	buf[8] = c->is_controlling;
	buf[9] = what;
	fz_put_be64(buf + 16, seq);
}

/* As WireGuard would: nothing without a session. */
static void send_data(struct peer *b, struct conn *c, const struct path_route *route, uint8_t what,
		      uint64_t seq, const uint8_t *content, size_t len)
{
	uint8_t buf[HEADER_LEN + PATH_TRANSMIT_MAX] = { 0 };

	if (!c->can_send || route == NULL)
		return;
	write_header(buf, c, MSG_DATA, what, seq);
	if (len > 0)
		memcpy(buf + HEADER_LEN, content, len);
	send_on(b, route, buf, HEADER_LEN + len);
	if (what != DATA_EMPTY && c->unanswered_us == FZ_NEVER_US)
		c->unanswered_us = b->now_us;
}

static void start_handshake(struct peer *b, struct conn *c)
{
	const struct path_route *route = path_selected(c->path);
	uint8_t buf[WG_INITIATION_LEN] = { 0 };

	if (route == NULL && !c->is_iceless)
		return;
	if (!c->has_handshake)
		c->attempt_us = b->now_us;
	c->has_handshake = true;
	c->handshake_us = b->now_us;
	write_header(buf, c, MSG_INIT, 0, ++c->serial);
	if (!path_send_handshake(c->path, buf, sizeof(buf), b->now_us) && route != NULL)
		send_on(b, route, buf, sizeof(buf));
}

static void path_output(struct peer *b, struct conn *c)
{
	uint8_t buf[PATH_TRANSMIT_MAX];
	enum path_transmit_kind kind;
	struct path_route route;
	int n;

	while (c->path != NULL &&
	       (n = path_poll_transmit(c->path, buf, sizeof(buf), &kind, &route, b->now_us)) > 0)
		if (kind == PATH_TX_DATAGRAM)
			send_on(b, &route, buf, (size_t)n);
		else
			send_data(b, c, &route, DATA_PROBE, 0, buf, (size_t)n);
}

static void ask_relay(struct peer *b, const struct conn *c)
{
	if (c->relay >= 0 && b->relays[c->relay].alloc != NULL)
		turn_alloc_refresh(b->relays[c->relay].alloc, b->now_us);
}

static void connection_failed(struct peer *b, struct conn *c)
{
	c->st.failures++;
	ask_relay(b, c);
	path_free(c->path);
	c->path = NULL;
	c->is_established = c->has_handshake = c->can_send = false;
	c->ask_us = c->is_controlling ? b->now_us : FZ_NEVER_US;
}

static void path_events(struct peer *b, struct conn *c)
{
	struct path_event ev;

	while (c->path != NULL && path_poll_event(c->path, &ev)) {
		switch (ev.type) {
		case PATH_DOUBTED:
			ask_relay(b, c);
			break;
		case PATH_SELECTED:
			if (ev.reason == PATH_REASON_LOST && !c->is_iceless)
				ask_relay(b, c);
			c->st.changes++;
			c->st.lost_paths += ev.reason == PATH_REASON_LOST;
			if (c->st.selected_us == 0)
				c->st.selected_us = sim_now(b->net);
			if (c->st.direct_us == 0 && !ev.route.local_relayed && !ev.route.remote_relayed)
				c->st.direct_us = sim_now(b->net);
			break;
		case PATH_WANT_HANDSHAKE:
			if (c->is_controlling && !c->has_handshake &&
			    (!c->is_established || b->now_us - c->handshake_us >= PROACTIVE_US))
				start_handshake(b, c);
			break;
		case PATH_FAILED:
			connection_failed(b, c);
			break;
		}
	}
}

/* Everything that follows from an input: events first, then what is to be sent. */
static void pump(struct peer *b)
{
	for (int i = 0; i < b->n_relays; i++)
		relay_events(b, i);
	find_relays(b);
	for (int i = 0; i < PEER_CONNS_MAX; i++) {
		path_events(b, &b->conns[i]);
		path_output(b, &b->conns[i]);
	}
	for (int i = 0; i < b->n_relays; i++)
		flush_relay(b, i);
}

/* ---- connections ---- */

static bool create(struct peer *b, struct conn *c)
{
	char client[8], gateway[8];
	struct path_opts o = { .kind = c->is_iceless ? PATH_ICELESS : PATH_ICE,
			       .controlling = c->is_controlling,
			       .tag = c->id };

	c->relay = pick_relay(b);
	if (c->relay < 0)
		return false;
	snprintf(client, sizeof(client), "c%03u", (unsigned)c->id % 1000);
	snprintf(gateway, sizeof(gateway), "g%03u", (unsigned)c->id % 1000);
	o.local_ufrag = c->is_controlling ? client : gateway;
	o.remote_ufrag = c->is_controlling ? gateway : client;
	o.local_pwd = c->is_controlling ? "the password of the client" : "the password of the gateway";
	o.remote_pwd = c->is_controlling ? "the password of the gateway" : "the password of the client";
	o.profile = c->is_controlling ? PATH_CLIENT_DEFAULT : PATH_SERVER_DEFAULT;
	o.idle_profile = c->is_controlling ? PATH_CLIENT_IDLE : PATH_SERVER_IDLE;
	if (path_new(&b->env, &o, &c->path, b->now_us) != 0)
		return false;
	if (c->st.created_us == 0)
		c->st.created_us = sim_now(b->net);
	c->active_us = b->now_us;
	c->is_idle = false;
	c->unanswered_us = FZ_NEVER_US;
	c->peer_serial = 0;
	if (c->is_iceless && c->is_controlling)
		start_handshake(b, c);
	return true;
}

static void handle_ask(struct peer *b, struct conn *c)
{
	if (c->path == NULL && !create(b, c))
		return; /* the client asks again */
	/* The acknowledgement goes first: candidates of an unknown connection are lost. */
	signal_peer(b, c->peer, c->id, SIG_GRANTED, "");
	feed_locals(b, c, true);
}

static void handle_granted(struct peer *b, struct conn *c)
{
	c->ask_us = FZ_NEVER_US;
	if (c->path != NULL || create(b, c))
		feed_locals(b, c, true);
	else
		c->ask_us = b->now_us + PEER_RETRY_US;
}

static void set_idle(struct peer *b, struct conn *c, bool is_idle)
{
	c->is_idle = is_idle;
	if (!is_idle)
		c->active_us = b->now_us;
	path_set_idle(c->path, is_idle, b->now_us);
}

static void handle_candidate(struct peer *b, struct conn *c, const char *text)
{
	struct cand cand;

	if (path_add_remote(c->path, text, &cand, b->now_us) != 0)
		return;
	set_idle(b, c, false);
	if (cand.kind != CAND_HOST && c->relay >= 0 && b->relays[c->relay].alloc != NULL)
		(void)!turn_alloc_bind(b->relays[c->relay].alloc, &cand.addr, b->now_us);
}

static void receive_signal(void *ctx, const void *data, size_t len, uint64_t now_us)
{
	struct peer *b = ctx;
	const uint8_t *p = data;
	struct conn *c = conn_of(b, fz_get_be32(p));

	b->now_us = now_us;
	if (c == NULL)
		return;
	if (p[4] == SIG_ASK)
		handle_ask(b, c);
	else if (p[4] == SIG_GRANTED)
		handle_granted(b, c);
	else if (c->path == NULL)
		return; /* candidates of an unknown connection are discarded */
	else if (p[4] == SIG_CANDIDATE)
		handle_candidate(b, c, (const char *)p + 5);
	else
		(void)path_remove_remote(c->path, (const char *)p + 5, now_us);
	pump(b);
}

/* ---- receiving ---- */

static struct conn *conn_of_stun(struct peer *b, const struct path_stun_key *key)
{
	for (int i = 0; i < PEER_CONNS_MAX; i++) {
		struct conn *c = &b->conns[i];
		char name[16];
		if (c->path == NULL)
			continue;
		snprintf(name, sizeof(name), c->is_controlling ? "c%03u:g%03u" : "g%03u:c%03u",
			 (unsigned)c->id % 1000, (unsigned)c->id % 1000);
		if (key->is_request ? key->username_len == strlen(name) &&
					      memcmp(key->username, name, strlen(name)) == 0
				    : key->tag == c->id)
			return c;
	}
	return NULL;
}

static bool is_duplicate(struct conn *c, uint64_t seq)
{
	bool known = c->seen[seq % WINDOW] == seq;

	c->seen[seq % WINDOW] = seq;
	return known;
}

static void handle_ping(struct peer *b, struct conn *c, uint64_t seq)
{
	if (c->is_idle)
		set_idle(b, c, false);
	c->active_us = b->now_us;
	if (is_duplicate(c, seq)) {
		c->st.duplicates++;
		return;
	}
	c->st.pings++;
	send_data(b, c, path_selected(c->path), DATA_PONG, seq, NULL, 0);
}

static void handle_handshake(struct peer *b, struct conn *c, const struct path_route *arrival,
			     const uint8_t *data, size_t len)
{
	uint8_t reply[WG_RESPONSE_LEN] = { 0 };
	uint32_t serial = fz_get_be32(data + 20);
	struct path_route route;
	bool accepted, is_init = data[0] == MSG_INIT;

	if (!path_filter_handshake(c->path, arrival, data, len, b->now_us))
		return;
	accepted = is_init ? serial > c->peer_serial : c->has_handshake && serial == c->serial;
	if (accepted && is_init) {
		c->peer_serial = serial;
		write_header(reply, c, MSG_RESP, 0, serial);
	} else if (accepted) {
		c->has_handshake = false;
		c->can_send = true;
		c->unanswered_us = FZ_NEVER_US;
		if (!c->is_established)
			c->ping_us = b->now_us;
		if (c->st.established_us == 0)
			c->st.established_us = sim_now(b->net);
		c->is_established = true;
	}
	if (path_handshake_done(c->path, arrival, data, len, accepted, accepted && is_init ? reply : NULL,
				accepted && is_init ? sizeof(reply) : 0, &route, b->now_us))
		send_on(b, &route, reply, sizeof(reply));
	path_events(b, c);
	if (accepted && !is_init && c->path != NULL)
		send_data(b, c, path_selected(c->path), DATA_EMPTY, 0, NULL, 0);
}

static void handle_data(struct peer *b, struct conn *c, const struct path_route *arrival, const uint8_t *data,
			size_t len)
{
	uint64_t seq = fz_get_be32(data + 20);

	c->is_established = c->can_send = true;
	c->unanswered_us = FZ_NEVER_US;
	path_handle_data(c->path, arrival, b->now_us);
	switch (data[9]) {
	case DATA_PROBE:
		if (!path_handle_packet(c->path, arrival, data + HEADER_LEN, len - HEADER_LEN, b->now_us))
			c->st.strangers++;
		break;
	case DATA_PING:
		handle_ping(b, c, seq);
		break;
	case DATA_PONG:
		c->st.duplicates += is_duplicate(c, seq);
		c->st.pongs++;
		c->st.last_pong_us = sim_now(b->net);
		break;
	default:
		break;
	}
}

static void handle_msg(struct peer *b, const struct path_route *arrival, const uint8_t *data, size_t len)
{
	struct conn *c = len >= HEADER_LEN ? conn_of(b, fz_get_be32(data + 4)) : NULL;

	if (c == NULL || data[8] == c->is_controlling) {
		/* Tests of a path may end anywhere, for instance at another host behind the same NAT. */
		if (data[0] == MSG_DATA && len >= HEADER_LEN &&
		    (data[9] == DATA_PING || data[9] == DATA_PONG))
			b->conns[0].st.strangers++;
		return;
	}
	if (c->path == NULL)
		return; /* a connection of the past */
	if (data[0] == MSG_DATA)
		handle_data(b, c, arrival, data, len);
	else
		handle_handshake(b, c, arrival, data, len);
}

static void handle_inner(struct peer *b, const struct path_route *arrival, const uint8_t *data, size_t len)
{
	struct path_stun_key key;
	struct conn *c;

	if (path_stun_peek(data, len, &key) != 0) {
		handle_msg(b, arrival, data, len);
		return;
	}
	c = conn_of_stun(b, &key);
	if (c != NULL)
		(void)path_handle_datagram(c->path, arrival, data, len, b->now_us);
}

/* What a relay sends that we gave up is nobody's. */
static bool is_lost_relay(const struct peer *b, const struct fz_addr *from)
{
	for (int i = 0; i < b->n_relays; i++)
		if (fz_addr_equal(&b->relays[i].addr4, from) || fz_addr_equal(&b->relays[i].addr6, from))
			return true;
	return false;
}

static void receive(void *ctx, const struct fz_addr *to, const struct fz_addr *from, const uint8_t *data,
		    size_t len, uint64_t now_us)
{
	struct peer *b = ctx;
	struct path_route arrival = { .local = *to, .remote = *from };

	b->now_us = now_us;
	for (int i = 0; i < b->n_relays; i++) {
		struct turn_alloc *a = b->relays[i].alloc;
		if (a == NULL || !turn_alloc_is_server(a, from))
			continue;
		if (turn_channel_looks_like(data, len)) {
			int n = turn_alloc_unwrap(a, from, data, len, &arrival.remote, &arrival.local,
						  now_us);
			arrival.local_relayed = true;
			if (n > 0)
				handle_inner(b, &arrival, data + TURN_CHANNEL_HEADER_LEN, (size_t)n);
		} else {
			(void)turn_alloc_handle_datagram(a, to, from, data, len, now_us);
		}
		pump(b);
		return;
	}
	if (!is_lost_relay(b, from))
		handle_inner(b, &arrival, data, len);
	pump(b);
}

/* ---- time ---- */

static bool may_ping(const struct peer *b, const struct conn *c)
{
	return b->is_chatty && c->is_controlling && c->path != NULL && c->is_established;
}

static uint64_t idle_time(const struct conn *c)
{
	return c->path == NULL || c->is_idle || !path_settled(c->path) ? FZ_NEVER_US : c->active_us + IDLE_US;
}

static uint64_t conn_next(const struct peer *b, const struct conn *c)
{
	uint64_t t = c->is_controlling ? c->ask_us : FZ_NEVER_US;

	if (!c->is_used)
		return FZ_NEVER_US;
	if (c->path != NULL)
		t = fz_min_us(t, path_next_timeout(c->path));
	if (may_ping(b, c))
		t = fz_min_us(t, c->ping_us);
	if (c->has_handshake)
		t = fz_min_us(t, c->handshake_us + HANDSHAKE_US);
	else if (c->is_iceless && c->path != NULL && c->unanswered_us != FZ_NEVER_US)
		t = fz_min_us(t, c->unanswered_us + UNANSWERED_US);
	return fz_min_us(t, idle_time(c));
}

static uint64_t next_timeout(const void *ctx)
{
	const struct peer *b = ctx;
	uint64_t t = FZ_NEVER_US;

	for (int i = 0; i < b->n_relays; i++)
		t = fz_min_us(t, b->relays[i].alloc ? turn_alloc_next_timeout(b->relays[i].alloc)
						    : b->relays[i].again_us);
	for (int i = 0; i < PEER_CONNS_MAX; i++)
		t = fz_min_us(t, conn_next(b, &b->conns[i]));
	return t;
}

static void ping(struct peer *b, struct conn *c)
{
	c->ping_us = b->now_us + PEER_PING_US;
	if (c->is_idle)
		set_idle(b, c, false);
	c->active_us = b->now_us;
	c->st.pings++;
	send_data(b, c, path_selected(c->path), DATA_PING, ++c->seq, NULL, 0);
}

static void handshake_timeout(struct peer *b, struct conn *c)
{
	if (c->path == NULL)
		return;
	if (c->is_iceless && c->has_handshake && b->now_us >= c->attempt_us + GIVE_UP_US) {
		connection_failed(b, c);
	} else if (c->has_handshake && b->now_us >= c->handshake_us + HANDSHAKE_US) {
		c->handshake_us = b->now_us;
		start_handshake(b, c);
	} else if (c->is_iceless && !c->has_handshake && c->unanswered_us != FZ_NEVER_US &&
		   b->now_us >= c->unanswered_us + UNANSWERED_US) {
		c->unanswered_us = FZ_NEVER_US;
		start_handshake(b, c);
	}
}

static void conn_timeout(struct peer *b, struct conn *c)
{
	if (c->is_controlling && b->now_us >= c->ask_us) {
		c->ask_us = b->now_us + PEER_RETRY_US;
		if (c->st.requested_us == 0)
			c->st.requested_us = sim_now(b->net);
		signal_peer(b, c->peer, c->id, SIG_ASK, "");
	}
	if (c->path != NULL)
		path_handle_timeout(c->path, b->now_us);
	handshake_timeout(b, c);
	if (may_ping(b, c) && b->now_us >= c->ping_us)
		ping(b, c);
	if (b->now_us >= idle_time(c))
		set_idle(b, c, true);
}

static void timeout(void *ctx, uint64_t now_us)
{
	struct peer *b = ctx;

	b->now_us = now_us;
	for (int i = 0; i < b->n_relays; i++) {
		if (b->relays[i].alloc != NULL)
			turn_alloc_handle_timeout(b->relays[i].alloc, now_us);
		else if (now_us >= b->relays[i].again_us)
			open_relay(b, i);
	}
	for (int i = 0; i < PEER_CONNS_MAX; i++)
		if (b->conns[i].is_used)
			conn_timeout(b, &b->conns[i]);
	pump(b);
}

/* ---- life ---- */

static const struct sim_host_ops host_ops = { receive, timeout, next_timeout };

static void print_log(void *ctx, enum fz_log_level level, const char *area, const char *line)
{
	const struct peer *b = ctx;

	printf("%10.4f host %d %s: %s\n", (double)sim_now(b->net) / 1e6, b->host, area, line);
}

static struct peer *peer_new(struct sim_net *net, int site, const struct peer_opts *opts)
{
	struct peer *b = calloc(1, sizeof(*b));

	if (b == NULL)
		abort();
	b->net = net;
	b->opts = *opts;
	b->env = *fz_env_default();
	b->env.rng = (struct fz_rng){ fill, net };
	if (opts->keep_log)
		b->env.log = (struct fz_log){ print_log, b, FZ_LOG_TRACE };
	b->is_chatty = true;
	b->host = sim_add_host(net, site, &host_ops, b);
	b->now_us = sim_now(net);
	if (opts->ip4.family)
		sim_add_ip(net, b->host, &opts->ip4);
	if (opts->ip6.family)
		sim_add_ip(net, b->host, &opts->ip6);
	return b;
}

static void peer_free(struct peer *b)
{
	for (int i = 0; i < PEER_CONNS_MAX; i++)
		path_free(b->conns[i].path);
	for (int i = 0; i < b->n_relays; i++)
		if (b->relays[i].alloc != NULL)
			turn_alloc_free(b->relays[i].alloc);
	free(b);
}

static int peer_host(const struct peer *b)
{
	return b->host;
}

static void peer_add_relay(struct peer *b, const struct fz_addr *addr4, const struct fz_addr *addr6)
{
	struct slot *s = &b->relays[b->n_relays];

	s->addr4 = *addr4;
	s->addr6 = *addr6;
	s->again_us = FZ_NEVER_US;
	/* A host without any address of the relay's families just has no relay. */
	if ((b->opts.ip4.family && addr4->port) || (b->opts.ip6.family && addr6->port))
		open_relay(b, b->n_relays);
	flush_relay(b, b->n_relays++);
}

static void add_conn(struct peer *b, struct peer *peer, uint32_t id, bool is_controlling, bool is_iceless)
{
	for (int i = 0; i < PEER_CONNS_MAX; i++) {
		struct conn *c = &b->conns[i];
		if (c->is_used)
			continue;
		*c = (struct conn){ .id = id,
				    .is_used = true,
				    .is_controlling = is_controlling,
				    .is_iceless = is_iceless,
				    .peer = peer,
				    .relay = -1,
				    .ask_us = is_controlling ? b->now_us : FZ_NEVER_US };
		return;
	}
	abort();
}

static void peer_connect(struct peer *client, struct peer *gateway, uint32_t id, bool iceless)
{
	client->now_us = fz_min_us(client->now_us, sim_now(client->net));
	add_conn(gateway, client, id, false, iceless);
	add_conn(client, gateway, id, true, iceless);
}

static void peer_set_chatty(struct peer *b, bool is_chatty)
{
	b->is_chatty = is_chatty;
	for (int i = 0; i < PEER_CONNS_MAX; i++)
		b->conns[i].ping_us = 0;
}

static const struct conn *conn_of_const(const struct peer *b, uint32_t id)
{
	for (int i = 0; i < PEER_CONNS_MAX; i++)
		if (b->conns[i].is_used && b->conns[i].id == id)
			return &b->conns[i];
	return NULL;
}

static const struct path_route *peer_route(const struct peer *b, uint32_t id)
{
	const struct conn *c = conn_of_const(b, id);

	return c != NULL && c->path != NULL ? path_selected(c->path) : NULL;
}

static struct peer_stats *peer_stats(struct peer *b, uint32_t id)
{
	struct conn *c = conn_of(b, id);

	return c ? &c->st : NULL;
}

static bool peer_path_stats(const struct peer *b, uint32_t id, struct path_stats *ret)
{
	const struct conn *c = conn_of_const(b, id);

	if (c == NULL || c->path == NULL)
		return false;
	path_get_stats(c->path, ret);
	return true;
}

const struct peer_ops bare_peer = { .name = "bare",
				    .make = peer_new,
				    .free = peer_free,
				    .host = peer_host,
				    .add_relay = peer_add_relay,
				    .connect = peer_connect,
				    .set_chatty = peer_set_chatty,
				    .route = peer_route,
				    .stats = peer_stats,
				    .path_stats = peer_path_stats };
