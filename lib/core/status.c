/* SPDX-License-Identifier: Apache-2.0 */
#include "core/status.h"

#include <stdio.h>

#include "base/addr.h"

/* ---- values ---- */

static bool set_addr(struct jv *object, const char *key, const struct fz_addr *addr)
{
	char text[FZ_ADDR_STRLEN];

	return !fz_addr_set(addr) || jv_set_str(object, key, fz_addr_format(addr, text));
}

static bool push_addr(struct jv *array, const struct fz_addr *addr)
{
	char text[FZ_ADDR_STRLEN];

	return !fz_addr_set(addr) || jv_push_str(array, fz_addr_format(addr, text));
}

bool status_set_ip(struct jv *object, const char *key, const struct fz_ip *ip)
{
	char text[FZ_IP_STRLEN];

	return ip->family == FZ_FAMILY_NONE || jv_set_str(object, key, fz_ip_format(ip, text));
}

bool status_set_uuid(struct jv *object, const char *key, const struct fz_uuid *id)
{
	char text[FZ_UUID_STRLEN];

	return jv_set_str(object, key, fz_uuid_format(id, text));
}

/* A round trip of nothing is none. */
static bool set_us(struct jv *object, const char *key, uint64_t us)
{
	return us == 0 || jv_set_u64(object, key, us);
}

const char *status_resource_type(enum portal_resource_type type)
{
	static const char *const names[] = {
		[PORTAL_RESOURCE_DNS] = "dns",
		[PORTAL_RESOURCE_CIDR] = "cidr",
		[PORTAL_RESOURCE_INTERNET] = "internet",
		[PORTAL_RESOURCE_STATIC_POOL] = "static device pool",
		[PORTAL_RESOURCE_DYNAMIC_POOL] = "dynamic device pool",
	};

	return (size_t)type < sizeof(names) / sizeof(*names) ? names[type] : "unknown";
}

/* ---- peers ---- */

static const char *conn_state_name(const struct conn *c)
{
	switch (c->state) {
	case CONN_CONNECTING:
		return "connecting";
	case CONN_CONNECTED:
		return c->has_session ? "connected" : "handshake";
	case CONN_IDLE:
		return "idle";
	case CONN_FAILED:
		return "failed";
	}
	return "unknown";
}

/* Why payload goes where it goes, or nowhere. */
static void print_why(const struct conn *c, const struct path_stats *s, char *ret, size_t cap)
{
	if (c->state == CONN_FAILED)
		snprintf(ret, cap, "%s", c->failure ? c->failure : "it failed");
	else if (c->state == CONN_CONNECTING && s->pairs == 0)
		snprintf(ret, cap, "no address of the peer is known yet");
	else if (c->state == CONN_CONNECTING)
		snprintf(ret, cap, "no answer yet on %u pairs of addresses", s->pairs);
	else if (c->route.local_relayed || c->route.remote_relayed)
		snprintf(ret, cap, "of %u pairs of addresses %u answer, none of them directly", s->pairs,
			 s->pairs_working);
	else
		snprintf(ret, cap, "a direct pair of addresses answers, %u of %u do", s->pairs_working,
			 s->pairs);
}

static bool put_route(struct jv *row, const struct conn *c)
{
	bool good = jv_set_str(row, "path", conn_path_kind(c));

	if (c->state == CONN_CONNECTING)
		return good;
	good &= jv_set_bool(row, "relayed", c->route.local_relayed || c->route.remote_relayed);
	good &= set_addr(row, "local", &c->route.local) && set_addr(row, "remote", &c->route.remote);
	return good;
}

static bool put_path_stats(struct jv *row, const struct conn *c)
{
	struct path_stats s;
	struct jv *drops = jv_object();
	char why[96];
	bool good;

	path_get_stats(c->path, &s);
	print_why(c, &s, why, sizeof(why));
	good = jv_set_str(row, "why", why) && set_us(row, "rtt_us", s.rtt_us);
	good &= jv_set_u64(row, "pairs", s.pairs) && jv_set_u64(row, "pairs_working", s.pairs_working);
	good &= jv_set_u64(row, "checks_sent", s.checks_sent) &&
		jv_set_u64(row, "checks_answered", s.checks_answered);
	good &= jv_set_u64(drops, "wrong integrity", s.bad_auth);
	good &= jv_set_u64(drops, "not a local candidate", s.bad_local);
	good &= jv_set_u64(drops, "answer to no check", s.bad_answer);
	good &= jv_set_u64(drops, "request against the rules", s.bad_request);
	good &= jv_set_u64(drops, "table full", s.full);
	return jv_set(row, "path_drops", drops) && good;
}

static bool put_tunnel_stats(struct jv *row, const struct conn *c, uint64_t now_us)
{
	const struct wg_stats *s = wg_peer_stats(c->wg);
	struct jv *drops = jv_object();
	bool good = true;

	if (s->last_handshake_us > 0 && s->last_handshake_us <= now_us)
		good &= jv_set_u64(row, "handshake_age_us", now_us - s->last_handshake_us);
	good &= jv_set_u64(row, "sent_packets", s->tx_packets) && jv_set_u64(row, "sent_bytes", s->tx_bytes);
	good &= jv_set_u64(row, "received_packets", s->rx_packets) &&
		jv_set_u64(row, "received_bytes", s->rx_bytes);
	good &= jv_set_u64(drops, "malformed message", s->bad_message);
	good &= jv_set_u64(drops, "unknown session", s->bad_session);
	good &= jv_set_u64(drops, "authentication", s->bad_tag);
	good &= jv_set_u64(drops, "replayed", s->replayed);
	good &= jv_set_u64(drops, "stale handshake", s->stale_handshake);
	good &= jv_set_u64(drops, "no session", s->unsendable);
	return jv_set(row, "tunnel_drops", drops) && good;
}

struct jv *status_peer(const struct conn *c, uint64_t now_us)
{
	struct jv *row = jv_object();
	bool good = status_set_uuid(row, "id", &c->id) && jv_set_u64(row, "number", c->ref);

	good &= jv_set_str(row, "state", conn_state_name(c));
	good &= jv_set_str(row, "agent", c->iceless ? "iceless" : "ice");
	good &= put_route(row, c) && put_path_stats(row, c) && put_tunnel_stats(row, c, now_us);
	if (good)
		return row;
	jv_free(row);
	return NULL;
}

/* ---- relays ---- */

static const char *relay_state_name(const struct relay *r)
{
	switch (turn_alloc_state(r->alloc)) {
	case TURN_PROBING:
		return "no answer yet";
	case TURN_ALLOCATING:
		return "allocating";
	case TURN_READY:
		return "ready";
	case TURN_SUSPENDED:
		return "refused for now";
	case TURN_CLOSING:
		return "closing";
	case TURN_DEAD:
		break;
	}
	return "dead";
}

static bool put_relay_stats(struct jv *row, const struct turn_stats *s)
{
	struct jv *drops = jv_object();
	bool good = jv_set_u64(row, "requests", s->requests) && jv_set_u64(row, "repeats", s->repeats);

	good &= jv_set_u64(row, "allocations", s->allocations);
	good &= jv_set_u64(drops, "not STUN", s->not_stun) && jv_set_u64(drops, "malformed", s->bad_wire);
	good &= jv_set_u64(drops, "wrong integrity", s->bad_auth);
	good &= jv_set_u64(drops, "integrity missing", s->unsigned_answer);
	good &= jv_set_u64(drops, "answer to no request", s->unknown_txn);
	good &= jv_set_u64(drops, "answer of no use", s->bad_answer);
	good &= jv_set_u64(drops, "unknown channel", s->channel_unknown);
	good &= jv_set_u64(drops, "channels full", s->channel_full);
	good &= jv_set_u64(drops, "channel refused", s->channel_refused);
	return jv_set(row, "drops", drops) && good;
}

static struct jv *relay_row(const struct relay *r)
{
	struct jv *row = jv_object(), *servers = jv_array(), *mapped = jv_array(), *relayed = jv_array();
	bool good = status_set_uuid(row, "id", &r->id);

	good &= push_addr(servers, &r->server4) && push_addr(servers, &r->server6);
	for (int i = 0; i < 2; i++)
		good &= push_addr(mapped, &r->mapped[i].addr) && push_addr(relayed, &r->relayed[i].addr);
	good &= jv_set(row, "servers", servers);
	good &= jv_set_str(row, "state", relay_state_name(r));
	good &= set_us(row, "rtt_us", turn_alloc_rtt_us(r->alloc));
	good &= jv_set(row, "mapped", mapped);
	good &= jv_set(row, "relayed", relayed);
	good &= put_relay_stats(row, turn_alloc_stats(r->alloc));
	if (good)
		return row;
	jv_free(row);
	return NULL;
}

static struct jv *relay_table(const struct relays *relays)
{
	struct jv *table = jv_array();

	for (size_t i = 0; i < relays->len; i++) {
		if (!jv_push(table, relay_row(relays->v[i]))) {
			jv_free(table);
			return NULL;
		}
	}
	return table;
}

/* ---- the whole ---- */

static struct jv *traffic(struct endpoint *e)
{
	const struct node_stats *n = node_stats(endpoint_node(e));
	const struct endpoint_stats *s = endpoint_stats(e);
	struct jv *v = jv_object();
	bool good = jv_set_u64(v, "sent_packets", n->tx_packets) && jv_set_u64(v, "sent_bytes", n->tx_bytes);

	good &= jv_set_u64(v, "received_packets", n->rx_packets) &&
		jv_set_u64(v, "received_bytes", n->rx_bytes);
	good &= jv_set_u64(v, "tun_reads", s->tun_in) && jv_set_u64(v, "tun_writes", s->tun_out);
	if (good)
		return v;
	jv_free(v);
	return NULL;
}

/* Reasons of the tunnel's two sides have names of their own; those of malformed packets are told apart below
 * "malformed". */
static bool put_drops(struct jv *root, struct endpoint *e)
{
	const struct node_stats *n = node_stats(endpoint_node(e));
	const struct endpoint_stats *s = endpoint_stats(e);
	struct jv *drops = jv_object(), *malformed = jv_object();
	bool good = true;

	for (int i = 0; i < NODE_DROPS; i++)
		good &= jv_set_u64(drops, node_drop_name((enum node_drop)i), n->drops[i]);
	for (int i = 0; i < ENDPOINT_DROPS; i++)
		good &= jv_set_u64(drops, endpoint_drop_name((enum endpoint_drop)i), s->drops[i]);
	for (int i = IP_OK + 1; i < IP_REASONS; i++)
		good &= jv_set_u64(malformed, ip_reason_text((enum ip_reason)i), s->reasons[i]);
	good &= jv_set(root, "drops", drops);
	return jv_set(root, "malformed", malformed) && good;
}

struct totals {
	uint64_t direct, relayed, connecting;
};

static struct totals count_peers(const struct node *n)
{
	struct totals t = { 0 };
	uint32_t ref = NODE_NO_REF;

	for (const struct conn *c; (c = node_walk(n, &ref)) != NULL;) {
		if (c->state == CONN_CONNECTING || c->state == CONN_FAILED)
			t.connecting++;
		else if (c->route.local_relayed || c->route.remote_relayed)
			t.relayed++;
		else
			t.direct++;
	}
	return t;
}

bool status_put_endpoint(struct jv *root, struct endpoint *e, uint64_t now_us)
{
	const struct totals t = count_peers(endpoint_node(e));
	struct jv *totals = jv_object();
	bool good = jv_set(root, "portal", portal_status(endpoint_portal(e), now_us));

	good &= jv_set(root, "relays", relay_table(node_relays(endpoint_node(e))));
	good &= jv_set_u64(totals, "peers", t.direct + t.relayed + t.connecting);
	good &= jv_set_u64(totals, "peers_direct", t.direct) &&
		jv_set_u64(totals, "peers_relayed", t.relayed);
	good &= jv_set_u64(totals, "peers_connecting", t.connecting);
	good &= jv_set(root, "totals", totals);
	good &= jv_set(root, "traffic", traffic(e));
	return put_drops(root, e) && good;
}
