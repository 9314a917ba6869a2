/* SPDX-License-Identifier: Apache-2.0 */
#include "core/endpoint_priv.h"

#include <stdio.h>
#include <string.h>

#include "base/addr.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/time.h"

static const char *const drop_names[ENDPOINT_DROPS] = {
	[DROP_MALFORMED] = "malformed packet",
	[DROP_MULTICAST] = "multicast",
	[DROP_NO_CONFIG] = "no tunnel address yet",
	[DROP_SOURCE] = "source address",
	[DROP_DESTINATION] = "no such destination",
	[DROP_FILTER] = "refused by filter",
	[DROP_PENDING] = "waiting room full",
	[DROP_NO_ACCESS] = "no access",
	[DROP_NOT_CONNECTED] = "not connected",
	[DROP_PROTOCOL] = "protocol",
	[DROP_NO_PEER] = "unknown peer",
	[DROP_DNS] = "DNS query",
	[DROP_TUN_FULL] = "TUN queue full",
	[DROP_ASK] = "question to the host that found no room",
	[DROP_NAT_FULL] = "translation table full",
	[DROP_NAT_ENDED] = "session has ended",
	[DROP_ERROR_RATE] = "too many ICMP errors",
};

const char *endpoint_drop_name(enum endpoint_drop d)
{
	return drop_names[d];
}

int endpoint_new(const struct fz_env *env, const struct endpoint_opts *opts, const struct endpoint_ops *ops,
		 void *role, uint64_t now_us, struct endpoint **ret, const char **ret_reason)
{
	struct endpoint *e = fz_zalloc(env, sizeof(*e));
	struct portal_opts portal = opts->portal;
	int err = FZ_ERR_NOMEM;

	portal.iceless = true; /* the node has both kinds of path agents */
	*ret_reason = NULL;
	if (e == NULL)
		return FZ_ERR_NOMEM;
	e->env = env;
	e->ops = ops;
	e->role = role;
	e->peer_kind = opts->peer_kind;
	e->now_us = now_us;
	flows_init(&e->flows, env, opts->flow_logs);
	e->events = fz_calloc(env, ENDPOINT_EVENTS_MAX, sizeof(*e->events));
	if (e->events)
		err = node_new(env, &opts->node, now_us, &e->node);
	if (err == 0)
		err = portal_new(env, &portal, now_us, &e->portal, ret_reason);
	if (err != 0) {
		endpoint_free(e);
		return err;
	}
	portal_set_public_key(e->portal, node_public_key(e->node));
	e->asks_tail = &e->asks;
	e->unsettled = true;
	*ret = e;
	return 0;
}

void endpoint_free(struct endpoint *e)
{
	if (e == NULL)
		return;
	portal_free(e->portal);
	node_free(e->node);
	fz_free(e->env, e->events);
	fz_free(e->env, e->netcfg_kept);
	fz_free(e->env, e->own);
	endpoint_asks_clear(e);
	flows_clear(&e->flows);
	fz_free(e->env, e);
}

struct node *endpoint_node(struct endpoint *e)
{
	return e->node;
}

struct portal *endpoint_portal(struct endpoint *e)
{
	return e->portal;
}

struct endpoint_stats *endpoint_stats(struct endpoint *e)
{
	return &e->stats;
}

struct flows *endpoint_flows(struct endpoint *e)
{
	return &e->flows;
}

const struct fz_env *endpoint_env(const struct endpoint *e)
{
	return e->env;
}

/* Smaller differences of the two clocks are drift. */
#define WALL_STEP_NS 1000000000
/* Later than any clock will show, and no multiplication below overflows. */
#define UNIX_S_MAX ((uint64_t)1 << 33)

uint64_t endpoint_unix_s(const struct endpoint *e, uint64_t now_us)
{
	int64_t ns = (int64_t)(now_us * 1000) + e->wall_offset_ns;

	return ns > 0 ? (uint64_t)ns / 1000000000u : 0;
}

uint64_t endpoint_at_unix(const struct endpoint *e, uint64_t unix_s)
{
	int64_t ns;

	if (unix_s >= UNIX_S_MAX)
		return FZ_NEVER_US;
	ns = (int64_t)(unix_s * 1000000000u) - e->wall_offset_ns;
	return ns > 0 ? ((uint64_t)ns + 999) / 1000 : 0;
}

uint64_t endpoint_begin_turn(struct endpoint *e, uint64_t now_us)
{
	if (now_us > e->now_us)
		e->now_us = now_us;
	e->unsettled = true;
	return e->now_us;
}

void endpoint_drop(struct endpoint *e, enum endpoint_drop why)
{
	e->stats.drops[why]++;
}

void endpoint_drop_many(struct endpoint *e, enum endpoint_drop why, uint64_t n)
{
	e->stats.drops[why] += n;
}

/* ---- events for the host ---- */

void endpoint_event(struct endpoint *e, const struct fz_event *ev)
{
	if (e->events_len == ENDPOINT_EVENTS_MAX) {
		e->events_first = (e->events_first + 1) % ENDPOINT_EVENTS_MAX;
		e->events_len--;
	}
	e->events[(e->events_first + e->events_len++) % ENDPOINT_EVENTS_MAX] = *ev;
}

static void simple_event(struct endpoint *e, enum fz_event_type type)
{
	struct fz_event ev = { .type = type };

	endpoint_event(e, &ev);
}

static const void *keep_part(uint8_t **at, const void *part, size_t len)
{
	const void *to = *at;

	if (len > 0)
		memcpy(*at, part, len);
	*at += len;
	return to;
}

void endpoint_renew_netcfg(struct endpoint *e)
{
	e->netcfg_due = e->configured;
}

static bool is_same_netcfg(const struct fz_netcfg *a, const struct fz_netcfg *b)
{
	bool same = fz_ip_equal(&a->ipv4, &b->ipv4) && fz_ip_equal(&a->ipv6, &b->ipv6) &&
		    a->routes_len == b->routes_len && a->dns_len == b->dns_len;

	for (size_t i = 0; same && i < a->routes_len; i++)
		same = fz_ip_equal(&a->routes[i].ip, &b->routes[i].ip) &&
		       a->routes[i].len == b->routes[i].len;
	for (size_t i = 0; same && i < a->dns_len; i++)
		same = fz_ip_equal(&a->dns[i], &b->dns[i]);
	if (a->search_domain == NULL || b->search_domain == NULL)
		return same && a->search_domain == b->search_domain;
	return same && strcmp(a->search_domain, b->search_domain) == 0;
}

int endpoint_set_netcfg(struct endpoint *e, const struct fz_netcfg *cfg)
{
	if (e->configured && is_same_netcfg(&e->netcfg, cfg))
		return 0;

	size_t routes = cfg->routes_len * sizeof(*cfg->routes), dns = cfg->dns_len * sizeof(*cfg->dns);
	size_t domain = cfg->search_domain ? strlen(cfg->search_domain) + 1 : 0;
	uint8_t *kept = fz_zalloc(e->env, routes + dns + domain + 1);

	if (kept == NULL) {
		fz_error(e->env, "endpoint", "no memory for %zu routes: the interface stays as it is",
			 cfg->routes_len);
		return FZ_ERR_NOMEM;
	}
	fz_free(e->env, e->netcfg_kept);
	e->netcfg_kept = kept;
	e->netcfg = *cfg;
	e->netcfg.routes = keep_part(&kept, cfg->routes, routes);
	e->netcfg.dns = keep_part(&kept, cfg->dns, dns);
	e->netcfg.search_domain = domain ? keep_part(&kept, cfg->search_domain, domain) : NULL;
	e->netcfg_due = e->configured = true;
	return 0;
}

void endpoint_describe_peer(struct endpoint *e, uint32_t ref, const struct fz_uuid *id, const char *detail,
			    struct fz_event *ret)
{
	const struct conn *c = node_conn(e->node, ref);

	fz_uuid_format(id, ret->u.peer.id);
	ret->u.peer.number = ref;
	ret->u.peer.path = detail;
	if (c && c->state != CONN_CONNECTING) {
		ret->u.peer.local = c->route.local;
		ret->u.peer.remote = c->route.remote;
		ret->u.peer.relayed = c->route.local_relayed || c->route.remote_relayed;
	}
}

/* ---- packets ---- */

void endpoint_to_tun(struct endpoint *e, const uint8_t *packet, size_t len)
{
	struct own_packet *p;

	if (e->own == NULL)
		e->own = fz_calloc(e->env, ENDPOINT_TUN_MAX, sizeof(*e->own));
	if (e->own == NULL || e->own_len == ENDPOINT_TUN_MAX || len > FZ_TUNNEL_MTU) {
		endpoint_drop(e, DROP_TUN_FULL);
		return;
	}
	p = &e->own[(e->own_first + e->own_len++) % ENDPOINT_TUN_MAX];
	p->len = (uint16_t)len;
	memcpy(p->buf + FZ_PKT_HEADROOM, packet, len);
}

static void refuse_malformed(struct endpoint *e, enum ip_reason why)
{
	e->stats.reasons[why]++;
	endpoint_drop(e, DROP_MALFORMED);
}

void endpoint_handle_tun(struct endpoint *e, struct fz_pkt *pkt, uint64_t now_us)
{
	struct ip_view view;
	enum ip_reason why = ip_parse(pkt, &view);

	now_us = endpoint_begin_turn(e, now_us);
	e->stats.tun_in++;
	if (why != IP_OK)
		refuse_malformed(e, why);
	else if (fz_ip_is_multicast(&view.dst))
		endpoint_drop(e, DROP_MULTICAST);
	else if (!e->configured)
		endpoint_drop(e, DROP_NO_CONFIG);
	else
		e->ops->outbound(e->role, pkt, &view, now_us);
}

void endpoint_handle_udp(struct endpoint *e, const struct fz_udp_batch *batch, uint64_t now_us)
{
	node_handle_udp(e->node, batch, endpoint_begin_turn(e, now_us));
}

static void handle_control(struct endpoint *e, uint32_t ref, const struct fz_pkt *pkt,
			   const struct ip_view *view)
{
	const uint8_t *payload;
	uint8_t type;
	size_t len;

	if (e->ops->control == NULL || p2p_parse(pkt->data, view, &type, &payload, &len) != 0)
		return;
	e->unsettled = true;
	e->ops->control(e->role, ref, type, payload, len, e->now_us);
}

bool endpoint_poll_tun(struct endpoint *e, struct fz_pkt *ret)
{
	struct ip_view view;
	uint32_t ref;

	if (e->own_len > 0) {
		struct own_packet *p = &e->own[e->own_first];
		*ret = ip_pkt(p->buf + FZ_PKT_HEADROOM, p->len);
		e->own_first = (e->own_first + 1) % ENDPOINT_TUN_MAX;
		e->own_len--;
		e->stats.tun_out++;
		return true;
	}
	while (node_next_packet(e->node, ret, &ref)) {
		enum ip_reason why = ip_parse(ret, &view);
		if (why != IP_OK)
			refuse_malformed(e, why);
		else if (p2p_is_control(&view))
			handle_control(e, ref, ret, &view);
		else if (fz_ip_is_multicast(&view.dst))
			endpoint_drop(e, DROP_MULTICAST);
		else if (e->ops->inbound(e->role, ref, ret, &view, e->now_us)) {
			e->stats.tun_out++;
			return true;
		}
	}
	return false;
}

/* ---- turns ---- */

static void portal_out(struct endpoint *e, struct portal_out *out)
{
	struct fz_event ev = { 0 };

	switch (out->type) {
	case PORTAL_OUT_CONNECT:
		ev.type = FZ_EVENT_STREAM_OPEN;
		ev.u.stream.host = out->u.connect.host;
		ev.u.stream.port = out->u.connect.port;
		ev.u.stream.tls = out->u.connect.tls;
		e->open = ev;
		e->wants_open = true;
		return;
	case PORTAL_OUT_CLOSE:
		e->wants_close = true;
		e->wants_open = false;
		return;
	case PORTAL_OUT_UP:
		ev.type = FZ_EVENT_PORTAL_UP;
		break;
	case PORTAL_OUT_DOWN:
		ev.type = FZ_EVENT_PORTAL_DOWN;
		snprintf(ev.u.portal_down.reason, sizeof(ev.u.portal_down.reason), "%s",
			 out->u.down.reason ? out->u.down.reason : "connection closed");
		ev.u.portal_down.retry_us = out->u.down.retry_us;
		ev.u.portal_down.was_up = out->u.down.was_up;
		break;
	case PORTAL_OUT_FATAL:
		ev.type = FZ_EVENT_DEAD;
		ev.u.dead.err = out->u.fatal.err;
		ev.u.dead.text = out->u.fatal.text;
		e->dead = ev;
		e->wants_dead = true;
		return;
	case PORTAL_OUT_MESSAGE:
		flows_handle_message(&e->flows, &out->u.message, e->now_us,
				     (uint64_t)((int64_t)(e->now_us * 1000) + e->wall_offset_ns));
		e->ops->message(e->role, &out->u.message, e->now_us);
		return;
	}
	endpoint_event(e, &ev);
}

static bool poll_portal(struct endpoint *e)
{
	struct portal_out out;

	if (!portal_poll_event(e->portal, &out))
		return false;
	portal_out(e, &out);
	portal_out_clear(e->portal, &out);
	return true;
}

static bool poll_node(struct endpoint *e)
{
	struct node_event ev;

	if (!node_poll_event(e->node, &ev))
		return false;
	/* One that was replaced ends after its successor was granted something: that is to be kept. */
	if (ev.type == NODE_CLOSED && node_find(e->node, &ev.peer) == NODE_NO_REF)
		flows_forget_peer(&e->flows, &ev.peer);
	e->ops->node_event(e->role, &ev, e->now_us);
	return true;
}

static void signal_candidates(struct endpoint *e)
{
	const char *texts[CONN_SIGNALS_MAX];
	struct fz_uuid peer;
	size_t len;
	bool gone;

	while (node_poll_signals(e->node, &peer, &gone, texts, &len)) {
		enum portal_candidates_kind kind =
			gone ? PORTAL_CANDIDATES_INVALIDATE : PORTAL_CANDIDATES_ADD;
		int err = portal_send_candidates(e->portal, kind, e->peer_kind, &peer, texts, len);
		if (err != 0)
			fz_warn(e->env, "endpoint", "candidates could not be sent: %s", fz_strerror(err));
		node_free_texts(e->node, texts, len);
	}
}

/* Let everything that heard something speak, until all are quiet: a portal message makes a connection, which
 * makes candidates, which are portal messages. */
static void settle(struct endpoint *e)
{
	bool more = true;

	if (!e->unsettled)
		return;
	e->unsettled = false;
	while (more) {
		more = false;
		while (poll_portal(e))
			more = true;
		node_flush(e->node, e->now_us);
		while (poll_node(e))
			more = true;
		signal_candidates(e);
	}
}

void endpoint_set_wall(struct endpoint *e, uint64_t now_us, uint64_t unix_ns)
{
	int64_t offset_ns = (int64_t)(unix_ns - now_us * 1000);

	if (!e->has_wall || offset_ns - e->wall_offset_ns >= WALL_STEP_NS) {
		e->wall_offset_ns = offset_ns;
		e->has_wall = true;
	}
	node_set_wall(e->node, now_us, unix_ns);
}

bool endpoint_poll_udp(struct endpoint *e, struct fz_udp_batch *ret)
{
	settle(e);
	return node_peek_udp(e->node, ret);
}

void endpoint_pop_udp(struct endpoint *e)
{
	node_pop_udp(e->node);
	if (node_wants_flush(e->node))
		e->unsettled = true;
}

void endpoint_set_offload(struct endpoint *e, bool offload)
{
	node_set_offload(e->node, offload);
}

size_t endpoint_udp_batches(const struct endpoint *e)
{
	return node_udp_batches(e->node);
}

bool endpoint_wants_tun(const struct endpoint *e)
{
	return node_can_send(e->node);
}

void endpoint_stream_opened(struct endpoint *e, uint64_t now_us)
{
	portal_handle_connected(e->portal, endpoint_begin_turn(e, now_us));
}

void endpoint_stream_data(struct endpoint *e, const void *data, size_t len, uint64_t now_us)
{
	portal_handle_data(e->portal, data, len, endpoint_begin_turn(e, now_us));
}

void endpoint_stream_closed(struct endpoint *e, const char *reason, uint64_t now_us)
{
	portal_handle_disconnected(e->portal, reason, endpoint_begin_turn(e, now_us));
}

int endpoint_poll_stream(struct endpoint *e, void *buf, size_t cap)
{
	settle(e);
	return portal_poll_transmit(e->portal, buf, cap, e->now_us);
}

void endpoint_handle_timeout(struct endpoint *e, uint64_t now_us)
{
	if (endpoint_next_timeout(e) > now_us)
		return;
	now_us = endpoint_begin_turn(e, now_us);
	portal_handle_timeout(e->portal, now_us);
	node_handle_timeout(e->node, now_us);
	endpoint_listens_retry(e, now_us);
	flows_handle_timeout(&e->flows, now_us);
	e->ops->timeout(e->role, now_us);
}

uint64_t endpoint_next_timeout(const struct endpoint *e)
{
	uint64_t at_us;

	if (e->unsettled)
		return 0;
	at_us = fz_min_us(endpoint_listens_next(e), flows_next_timeout(&e->flows));
	return fz_min_us(fz_min_us(portal_next_timeout(e->portal), node_next_timeout(e->node)),
			 fz_min_us(at_us, e->ops->next_timeout(e->role)));
}

static bool poll_request(struct endpoint *e, struct fz_event *ret)
{
	if (e->wants_close) {
		e->wants_close = false;
		*ret = (struct fz_event){ .type = FZ_EVENT_STREAM_CLOSE };
	} else if (e->wants_rebind) {
		e->wants_rebind = false;
		*ret = (struct fz_event){ .type = FZ_EVENT_REBIND };
	} else if (e->wants_open) {
		e->wants_open = false;
		*ret = e->open;
	} else {
		return false;
	}
	return true;
}

/* The last event of all. */
static bool poll_dead(struct endpoint *e, struct fz_event *ret)
{
	if (!e->wants_dead)
		return false;
	e->wants_dead = false;
	*ret = e->dead;
	return true;
}

bool endpoint_poll_event(struct endpoint *e, struct fz_event *ret)
{
	settle(e);
	if (e->netcfg_due) {
		e->netcfg_due = false;
		*ret = (struct fz_event){ .type = FZ_EVENT_NETCFG, .u.netcfg = e->netcfg };
		if (!e->ready_told)
			simple_event(e, FZ_EVENT_READY);
		e->ready_told = true;
		return true;
	}
	if (poll_request(e, ret) || endpoint_poll_ask(e, ret))
		return true;
	if (e->events_len == 0)
		return poll_dead(e, ret);
	*ret = e->events[e->events_first];
	e->events_first = (e->events_first + 1) % ENDPOINT_EVENTS_MAX;
	e->events_len--;
	return true;
}

int endpoint_reset(struct endpoint *e, uint64_t now_us)
{
	int err;

	now_us = endpoint_begin_turn(e, now_us);
	err = node_reset(e->node, now_us);
	if (err != 0)
		return err;
	portal_set_public_key(e->portal, node_public_key(e->node));
	e->wants_rebind = true;
	portal_reconnect(e->portal, now_us);
	return 0;
}

void endpoint_reconnect(struct endpoint *e, uint64_t now_us)
{
	portal_reconnect(e->portal, endpoint_begin_turn(e, now_us));
}

void endpoint_shutdown(struct endpoint *e, uint64_t now_us)
{
	uint32_t ref = NODE_NO_REF;

	now_us = endpoint_begin_turn(e, now_us);
	while (node_walk(e->node, &ref) != NULL)
		node_close(e->node, ref, true, "we end", now_us);
	node_release_relays(e->node, now_us);
	flows_close_all(&e->flows, now_us);
	portal_shutdown(e->portal, now_us);
}
