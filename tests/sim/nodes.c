/* SPDX-License-Identifier: Apache-2.0 */
/* A host that runs a whole connectivity node: relays, path agents and WireGuard as client and gateway have
 * them. Only the portal and the packets are played here. */
#include "peer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/time.h"
#include "base/wr.h"
#include "core/node.h"
#include "relay.h"
#include "wire/csum.h"

#define UNIX_NS 1800000000000000000u
#define WINDOW 2048
/* IPv4, UDP, our 16 bytes */
#define PACKET_LEN (20 + 8 + 16)

enum { SIG_ASK, SIG_GRANTED, SIG_CANDIDATE, SIG_INVALIDATED };

struct link {
	uint32_t id;
	bool is_used, is_client, is_iceless, is_up;
	struct peer *other;
	uint64_t ask_us, ping_us;
	uint32_t seq, seen[WINDOW];
	struct peer_stats st;
};

struct peer {
	struct sim_net *net;
	int host;
	struct peer_opts opts;
	struct fz_env env;
	struct node *node;
	struct portal_relay relays[PEER_RELAYS_MAX];
	size_t n_relays;
	uint64_t relays_us; /* when the portal names the relays again */
	struct link links[PEER_CONNS_MAX];
	bool is_chatty;
	uint64_t now_us;
};

static void fill(void *ctx, void *buf, size_t len)
{
	uint8_t *p = buf;

	while (len--)
		*p++ = (uint8_t)sim_random(ctx, 256);
}

/* ---- names ---- */

static struct fz_uuid name_of(uint32_t id, bool is_client)
{
	struct fz_uuid u = { { is_client ? 0xc : 0x9 } };

	fz_put_be32(u.b + 12, id);
	return u;
}

static struct link *link_of(struct peer *p, uint32_t id)
{
	for (int i = 0; i < PEER_CONNS_MAX; i++)
		if (p->links[i].is_used && p->links[i].id == id)
			return &p->links[i];
	return NULL;
}

static uint32_t ref_of(const struct peer *p, const struct link *l)
{
	struct fz_uuid other = name_of(l->id, !l->is_client);

	return node_find(p->node, &other);
}

/* ---- portal ---- */

static sim_call receive_signal;

static void signal_other(struct peer *p, const struct link *l, uint8_t what, const char *text)
{
	uint8_t buf[CAND_TEXT_MAX + 16];
	size_t len = strlen(text) + 1;

	fz_put_be32(buf, l->id);
	buf[4] = what;
	memcpy(buf + 5, text, len);
	sim_post(p->net, l->other->host, p->opts.portal_delay_us + l->other->opts.portal_delay_us,
		 receive_signal, buf, len + 5);
}

static int upsert(struct peer *p, struct link *l)
{
	struct conn_params c = { .id = name_of(l->id, !l->is_client),
				 .controlling = l->is_client,
				 .iceless = l->is_iceless };
	char client[16], gateway[16];
	uint32_t ref;
	int err;

	c.peer_key = *node_public_key(l->other->node);
	memset(c.psk.b, (int)l->id, sizeof(c.psk.b));
	snprintf(client, sizeof(client), "c%03u", (unsigned)l->id % 1000);
	snprintf(gateway, sizeof(gateway), "g%03u", (unsigned)l->id % 1000);
	c.local_ufrag = l->is_client ? client : gateway;
	c.remote_ufrag = l->is_client ? gateway : client;
	c.local_pwd = l->is_client ? "the password of the client" : "the password of the gateway";
	c.remote_pwd = l->is_client ? "the password of the gateway" : "the password of the client";
	c.profile = l->is_client ? PATH_CLIENT_DEFAULT : PATH_SERVER_DEFAULT;
	c.idle_profile = l->is_client ? PATH_CLIENT_IDLE : PATH_SERVER_IDLE;
	err = node_upsert(p->node, &c, p->now_us, &ref);
	if (err == 0 && l->st.created_us == 0)
		l->st.created_us = sim_now(p->net);
	return err;
}

static void name_relays(struct peer *p)
{
	p->relays_us = FZ_NEVER_US;
	node_update_relays(p->node, NULL, 0, p->relays, p->n_relays, p->now_us);
}

static struct link *link_named(struct peer *p, const struct fz_uuid *name)
{
	return link_of(p, fz_get_be32(name->b + 12));
}

static void signals(struct peer *p)
{
	const char *texts[CONN_SIGNALS_MAX];
	struct fz_uuid other;
	bool gone;
	size_t len;

	while (node_poll_signals(p->node, &other, &gone, texts, &len)) {
		struct link *l = link_named(p, &other);
		for (size_t i = 0; l != NULL && i < len; i++)
			signal_other(p, l, gone ? SIG_INVALIDATED : SIG_CANDIDATE, texts[i]);
		node_free_texts(p->node, texts, len);
	}
}

/* ---- a turn ---- */

static void note_path(struct peer *p, struct link *l)
{
	const struct conn *c = node_conn(p->node, ref_of(p, l));
	const struct path_route *route = c ? path_selected(c->path) : NULL;

	l->st.changes++;
	if (route == NULL)
		return;
	if (l->st.selected_us == 0)
		l->st.selected_us = sim_now(p->net);
	if (l->st.direct_us == 0 && !route->local_relayed && !route->remote_relayed)
		l->st.direct_us = sim_now(p->net);
}

static void events(struct peer *p)
{
	struct node_event ev;

	while (node_poll_event(p->node, &ev)) {
		struct link *l = link_named(p, &ev.peer);
		if (ev.type == NODE_NO_RELAYS) {
			p->relays_us = fz_min_us(p->relays_us, p->now_us + PEER_NEW_RELAY_US);
			continue;
		}
		if (l == NULL)
			continue;
		if (p->opts.keep_log)
			printf("%10.4f host %d connection %u: event %d, %s\n", (double)sim_now(p->net) / 1e6,
			       p->host, (unsigned)l->id, (int)ev.type, ev.detail ? ev.detail : "");
		if (ev.type == NODE_PATH) {
			note_path(p, l);
		} else if (ev.type == NODE_UP) {
			l->is_up = true;
			l->ping_us = p->now_us;
			if (l->st.established_us == 0)
				l->st.established_us = sim_now(p->net);
		} else if (ev.type != NODE_SILENT) {
			l->is_up = false;
			l->st.failures++;
			l->ask_us = l->is_client ? p->now_us : FZ_NEVER_US;
		}
	}
}

static struct fz_addr socket_addr(const struct peer *p, uint8_t family)
{
	return (struct fz_addr){ .ip = family == FZ_FAMILY_INET ? p->opts.ip4 : p->opts.ip6,
				 .port = p->opts.port };
}

static void output(struct peer *p)
{
	struct fz_udp_batch b;

	while (node_peek_udp(p->node, &b)) {
		struct fz_addr from = b.local.ip.family ? b.local : socket_addr(p, b.remote.ip.family);
		for (size_t at = 0; at < b.len; at += b.seg_len) {
			size_t len = b.len - at < b.seg_len ? b.len - at : b.seg_len;
			sim_send(p->net, p->host, &from, &b.remote, b.data + at, len);
		}
		node_pop_udp(p->node);
	}
}

static void turn_begin(struct peer *p, uint64_t now_us)
{
	p->now_us = now_us;
	node_set_wall(p->node, now_us, UNIX_NS + now_us * 1000);
}

static void turn_end(struct peer *p)
{
	node_flush(p->node, p->now_us);
	output(p);
	events(p);
	signals(p);
}

/* ---- payload ---- */

static void send_packet(struct peer *p, struct link *l, bool is_answer, uint32_t seq)
{
	uint8_t buf[FZ_PKT_HEADROOM + PACKET_LEN + 64] = { 0 }, *ip = buf + FZ_PKT_HEADROOM;
	struct fz_pkt pkt = ip_pkt(ip, PACKET_LEN);
	struct ip_view view;

	ip[0] = 0x45;
	fz_put_be16(ip + 2, PACKET_LEN);
	ip[8] = 64;
	ip[9] = 17;
	fz_put_be32(ip + 12, l->is_client ? 0x64400002 : 0x64400001);
	fz_put_be32(ip + 16, l->is_client ? 0x64400001 : 0x64400002);
	fz_put_be16(ip + 20, 7);
	fz_put_be16(ip + 22, 7);
	fz_put_be16(ip + 24, PACKET_LEN - 20);
	fz_put_be32(ip + 28, l->id);
	fz_put_be32(ip + 32, seq);
	ip[36] = is_answer;
	csum_ip4(ip, 20);
	if (ip_parse(&pkt, &view) != IP_OK)
		abort();
	(void)!node_send(p->node, ref_of(p, l), &pkt, &view, p->now_us);
}

static void handle_packet(struct peer *p, const struct fz_pkt *pkt, uint32_t ref)
{
	struct link *l = pkt->len == PACKET_LEN ? link_of(p, fz_get_be32(pkt->data + 28)) : NULL;

	if (l == NULL || ref_of(p, l) != ref || pkt->data[36] != l->is_client) {
		p->links[0].st.strangers++;
		return;
	}
	uint32_t seq = fz_get_be32(pkt->data + 32);
	l->st.duplicates += l->seen[seq % WINDOW] == seq;
	l->seen[seq % WINDOW] = seq;
	if (!l->is_client) {
		l->st.pings++;
		send_packet(p, l, true, seq);
		return;
	}
	l->st.pongs++;
	l->st.last_pong_us = sim_now(p->net);
}

static void receive(void *ctx, const struct fz_addr *to, const struct fz_addr *from, const uint8_t *data,
		    size_t len, uint64_t now_us)
{
	struct peer *p = ctx;
	uint8_t buf[SIM_DATAGRAM_MAX];
	struct fz_udp_batch b = {
		.local = *to, .remote = *from, .data = buf, .len = len, .seg_len = (uint16_t)len
	};
	struct fz_pkt pkt;
	uint32_t ref;

	memcpy(buf, data, len);
	turn_begin(p, now_us);
	node_handle_udp(p->node, &b, now_us);
	while (node_next_packet(p->node, &pkt, &ref))
		handle_packet(p, &pkt, ref);
	turn_end(p);
}

static void receive_signal(void *ctx, const void *data, size_t len, uint64_t now_us)
{
	struct peer *p = ctx;
	const uint8_t *b = data;
	struct link *l = link_of(p, fz_get_be32(b));

	if (l == NULL)
		return;
	struct fz_uuid other = name_of(l->id, !l->is_client);
	turn_begin(p, now_us);
	switch (b[4]) {
	case SIG_ASK:
		if (upsert(p, l) == 0)
			signal_other(p, l, SIG_GRANTED, ""); /* before the candidates */
		break;
	case SIG_GRANTED:
		l->ask_us = upsert(p, l) == 0 ? FZ_NEVER_US : now_us + PEER_RETRY_US;
		break;
	case SIG_CANDIDATE:
		(void)!node_add_candidate(p->node, &other, (const char *)b + 5, now_us);
		break;
	default:
		(void)!node_remove_candidate(p->node, &other, (const char *)b + 5, now_us);
	}
	turn_end(p);
}

/* ---- time ---- */

static bool may_ping(const struct peer *p, const struct link *l)
{
	return p->is_chatty && l->is_client && l->is_up;
}

static uint64_t next_timeout(const void *ctx)
{
	const struct peer *p = ctx;
	uint64_t t = fz_min_us(node_next_timeout(p->node), p->relays_us);

	for (int i = 0; i < PEER_CONNS_MAX; i++) {
		const struct link *l = &p->links[i];
		if (l->is_used && l->is_client)
			t = fz_min_us(t, l->ask_us);
		if (may_ping(p, l))
			t = fz_min_us(t, l->ping_us);
	}
	return t;
}

static void link_timeout(struct peer *p, struct link *l)
{
	if (l->is_client && p->now_us >= l->ask_us) {
		l->ask_us = p->now_us + PEER_RETRY_US;
		if (l->st.requested_us == 0)
			l->st.requested_us = sim_now(p->net);
		signal_other(p, l, SIG_ASK, "");
	}
	if (may_ping(p, l) && p->now_us >= l->ping_us) {
		l->ping_us = p->now_us + PEER_PING_US;
		l->st.pings++;
		send_packet(p, l, false, ++l->seq);
	}
}

static void timeout(void *ctx, uint64_t now_us)
{
	struct peer *p = ctx;

	turn_begin(p, now_us);
	node_handle_timeout(p->node, now_us);
	if (now_us >= p->relays_us)
		name_relays(p);
	for (int i = 0; i < PEER_CONNS_MAX; i++)
		if (p->links[i].is_used)
			link_timeout(p, &p->links[i]);
	turn_end(p);
}

/* ---- life ---- */

static const struct sim_host_ops host_ops = { receive, timeout, next_timeout };

static void print_log(void *ctx, enum fz_log_level level, const char *area, const char *line)
{
	const struct peer *p = ctx;

	printf("%10.4f host %d %s: %s\n", (double)sim_now(p->net) / 1e6, p->host, area, line);
}

static struct peer *peer_new(struct sim_net *net, int site, const struct peer_opts *opts)
{
	const struct node_opts o = { .max_conns = 16 };
	struct peer *p = calloc(1, sizeof(*p));

	if (p == NULL)
		abort();
	p->net = net;
	p->opts = *opts;
	p->env = *fz_env_default();
	p->env.rng = (struct fz_rng){ fill, net };
	if (opts->keep_log)
		p->env.log = (struct fz_log){ print_log, p, FZ_LOG_DEBUG };
	p->is_chatty = true;
	p->relays_us = FZ_NEVER_US;
	p->now_us = sim_now(net);
	if (node_new(&p->env, &o, p->now_us, &p->node) != 0)
		abort();
	p->host = sim_add_host(net, site, &host_ops, p);
	if (opts->ip4.family)
		sim_add_ip(net, p->host, &opts->ip4);
	if (opts->ip6.family)
		sim_add_ip(net, p->host, &opts->ip6);
	return p;
}

static void peer_free(struct peer *p)
{
	node_free(p->node);
	free(p);
}

static int peer_host(const struct peer *p)
{
	return p->host;
}

static void peer_add_relay(struct peer *p, const struct fz_addr *addr4, const struct fz_addr *addr6)
{
	struct portal_relay *r = &p->relays[p->n_relays++];

	*r = (struct portal_relay){ .username = RELAY_USERNAME, .password = RELAY_PASSWORD };
	r->id.b[0] = (uint8_t)p->n_relays;
	if (p->opts.ip4.family)
		r->ipv4 = *addr4;
	if (p->opts.ip6.family)
		r->ipv6 = *addr6;
	if (r->ipv4.port == 0 && r->ipv6.port == 0) {
		p->n_relays--; /* none that we could reach */
		return;
	}
	p->relays_us = p->now_us;
}

static void add_link(struct peer *p, struct peer *other, uint32_t id, bool is_client, bool is_iceless)
{
	for (int i = 0; i < PEER_CONNS_MAX; i++) {
		struct link *l = &p->links[i];
		if (l->is_used)
			continue;
		*l = (struct link){ .id = id,
				    .is_used = true,
				    .is_client = is_client,
				    .is_iceless = is_iceless,
				    .other = other,
				    .ask_us = is_client ? p->now_us : FZ_NEVER_US };
		return;
	}
	abort();
}

static void peer_connect(struct peer *client, struct peer *gateway, uint32_t id, bool iceless)
{
	client->now_us = fz_min_us(client->now_us, sim_now(client->net));
	add_link(gateway, client, id, false, iceless);
	add_link(client, gateway, id, true, iceless);
}

static void peer_set_chatty(struct peer *p, bool is_chatty)
{
	p->is_chatty = is_chatty;
	for (int i = 0; i < PEER_CONNS_MAX; i++)
		p->links[i].ping_us = 0;
}

static const struct conn *conn_of(const struct peer *p, uint32_t id)
{
	for (int i = 0; i < PEER_CONNS_MAX; i++)
		if (p->links[i].is_used && p->links[i].id == id)
			return node_conn(p->node, ref_of(p, &p->links[i]));
	return NULL;
}

static const struct path_route *peer_route(const struct peer *p, uint32_t id)
{
	const struct conn *c = conn_of(p, id);

	return c ? path_selected(c->path) : NULL;
}

static struct peer_stats *peer_stats(struct peer *p, uint32_t id)
{
	struct link *l = link_of(p, id);

	return l ? &l->st : NULL;
}

static bool peer_path_stats(const struct peer *p, uint32_t id, struct path_stats *ret)
{
	const struct conn *c = conn_of(p, id);

	if (c != NULL)
		path_get_stats(c->path, ret);
	return c != NULL;
}

const struct peer_ops node_peer = { .name = "nodes",
				    .make = peer_new,
				    .free = peer_free,
				    .host = peer_host,
				    .add_relay = peer_add_relay,
				    .connect = peer_connect,
				    .set_chatty = peer_set_chatty,
				    .route = peer_route,
				    .stats = peer_stats,
				    .path_stats = peer_path_stats };
