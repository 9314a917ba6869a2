/* SPDX-License-Identifier: Apache-2.0 */
#include "world.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "peer.h"
#include "base/time.h"
#include "relay.h"

#define PORT 52625
#define GATHER_US FZ_SEC(3)
#define SETTLE_US FZ_SEC(30)

/* ---- chance ---- */

static uint64_t state;

static uint64_t below(uint64_t n)
{
	uint64_t z = state += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return (z ^ z >> 31) % n;
}

static bool chance(unsigned percent)
{
	return below(100) < percent;
}

static uint64_t between(uint64_t lo, uint64_t hi)
{
	return lo + below(hi - lo + 1);
}

/* ---- configuration ---- */

static struct fz_ip ip(const char *text)
{
	struct fz_ip a;

	if (fz_ip_parse(text, &a) != 0)
		a.family = FZ_FAMILY_NONE;
	return a;
}

static struct sim_link some_link(void)
{
	static const uint32_t losses[] = { 0, 0, 0, 0, 10000, 50000, 100000 };
	struct sim_link l = { .delay_us = between(1000, 60000), .loss_ppm = losses[below(7)] };

	l.jitter_us = chance(50) ? l.delay_us / 3 : 0;
	l.dup_ppm = chance(25) ? 10000 : 0;
	return l;
}

static struct nat_opts some_nat4(const char *public_ip, const struct fz_addr *inside)
{
	static const uint64_t expiries_s[] = { 30, 60, 120, 300 };
	struct nat_opts o = { .mapping = (enum nat_mapping)below(3),
			      .filter = (enum nat_filter)below(3),
			      .public_ip = ip(public_ip),
			      .keeps_port = chance(50),
			      .inbound_refreshes = chance(50),
			      .expiry_us = FZ_SEC(expiries_s[below(4)]) };

	switch (below(20)) {
	case 0:
		o.drops_from_peers = true;
		break;
	case 1:
		o.drops_to_peers = true;
		break;
	case 2:
		o.drops_all = chance(30);
		break;
	case 3:
		o.forwarded_port = o.mapping == NAT_OPEN ? 0 : PORT;
		o.forwarded_to = *inside;
		break;
	}
	return o;
}

static struct nat_opts some_nat6(void)
{
	return (struct nat_opts){ .mapping = NAT_OPEN,
				  .filter = chance(75) ? NAT_FILTER_PORT : NAT_FILTER_NONE,
				  .inbound_refreshes = true,
				  .expiry_us = FZ_SEC(120) };
}

struct fz_addr world_inside(const struct world_side *s, bool is_client)
{
	bool open = s->site.nat4.mapping == NAT_OPEN;

	return (struct fz_addr){ .ip = open ? s->site.nat4.public_ip
					    : ip(is_client ? "192.168.1.2" : "192.168.2.2"),
				 .port = PORT };
}

static struct world_side some_side(bool is_client)
{
	struct fz_addr inside = { .ip = ip(is_client ? "192.168.1.2" : "192.168.2.2"), .port = PORT };
	struct world_side s = { .has4 = true, .has6 = chance(40), .portal_delay_us = between(2000, 100000) };

	if (s.has6 && chance(20))
		s.has4 = false;
	s.site.nat4 = some_nat4(is_client ? "203.0.113.21" : "203.0.113.31", &inside);
	s.site.nat6 = some_nat6();
	s.site.nat6.drops_all = s.site.nat4.drops_all;
	s.site.nat6.drops_to_peers = s.site.nat4.drops_to_peers;
	s.site.nat6.drops_from_peers = s.site.nat4.drops_from_peers;
	s.site.link = some_link();
	return s;
}

void world_make(struct world *w, uint64_t seed)
{
	state = seed * 2654435761u + 1;
	*w = (struct world){ .seed = seed };
	w->client = some_side(true);
	w->gateway = some_side(false);
	w->has_second_client = chance(15);
	w->n_relays = 1 + chance(40);
	for (unsigned i = 0; i < 2; i++) {
		w->relay_has6[i] = chance(80) || !w->client.has4 || !w->gateway.has4;
		w->relay_channels_only[i] = chance(50);
	}
	w->relay_link = (struct sim_link){ .delay_us = between(1000, 20000) };
	w->event = chance(60) ? (enum world_event)below(WORLD_EVENTS) : WORLD_CALM;
	w->event_us = w->event == WORLD_IDLE ? FZ_SEC(360) : FZ_MS(between(500, 8000));
}

/* ---- what must come out ---- */

static bool has_udp(const struct world_side *s)
{
	return !s->site.nat4.drops_all;
}

static bool peers_blocked(const struct world_side *s)
{
	return s->site.nat4.drops_to_peers || s->site.nat4.drops_from_peers;
}

/* RFC 4787 behaviour decides who can reach whom. */
static bool is_symmetric(const struct nat_opts *n)
{
	return n->mapping == NAT_EDM;
}

static bool filters_ports(const struct nat_opts *n)
{
	return n->filter == NAT_FILTER_PORT && n->forwarded_port == 0;
}

static enum world_path expect4(const struct nat_opts *a, const struct nat_opts *b)
{
	if (!is_symmetric(a) && !is_symmetric(b))
		return WORLD_DIRECT;
	/* Both symmetric: a forwarded port is found by its inferred candidate. */
	if (is_symmetric(a) && is_symmetric(b))
		return a->forwarded_port || b->forwarded_port ? WORLD_DIRECT : WORLD_RELAYED;
	/* One side is symmetric: its port towards the other is known to nobody, so the other must not ask for
	 * it. */
	return filters_ports(is_symmetric(a) ? b : a) ? WORLD_RELAYED : WORLD_DIRECT;
}

/* May the path be direct or relayed, by the course of events? A forwarded port behind a symmetric box clashes
 * with what its host sent first. */
bool world_is_race(const struct world *w)
{
	const struct nat_opts *a = &w->client.site.nat4, *b = &w->gateway.site.nat4;

	/* A new mapping that nobody learns: the clash again, or the relays are asked over the other family
	 * only. */
	if (w->event == WORLD_NAT_RESTART && ((is_symmetric(a) && a->forwarded_port) || w->client.has6))
		return true;
	return is_symmetric(a) != is_symmetric(b) && (is_symmetric(a) ? a : b)->forwarded_port != 0;
}

enum world_path world_expects(const struct world *w)
{
	const struct world_side *c = &w->client, *g = &w->gateway;

	if (!has_udp(c) || !has_udp(g))
		return WORLD_NONE;
	if (peers_blocked(c) || peers_blocked(g))
		return WORLD_RELAYED;
	if (c->has6 && g->has6 && (w->relay_has6[0] || (w->n_relays > 1 && w->relay_has6[1])))
		return WORLD_DIRECT;
	return c->has4 && g->has4 ? expect4(&c->site.nat4, &g->site.nat4) : WORLD_RELAYED;
}

static bool is_iceless(const struct world *w, uint32_t id)
{
	return w->mode == WORLD_ICELESS || (w->mode == WORLD_MIXED && (w->seed + id) % 2 == 0);
}

/* ---- printing ---- */

const char *world_path_name(enum world_path p)
{
	static const char *const names[] = { "none", "relayed", "direct" };
	return names[p];
}

static void print_side(const char *name, const struct world_side *s)
{
	static const char *const mappings[] = { "open", "EIM", "EDM" }, *const filters[] = { "-", "address",
											     "port" };
	const struct nat_opts *n = &s->site.nat4;

	printf("  %s: v4 %s (%s, filter %s%s%s%s%s%s, expiry %lu s), v6 %s (filter %s), delay %.1f+%.1f ms, "
	       "loss %.0f%%, "
	       "dup %.0f%%, portal %.0f ms\n",
	       name, s->has4 ? "yes" : "no", mappings[n->mapping], filters[n->filter],
	       n->keeps_port ? ", keeps port" : "", n->forwarded_port ? ", port forwarded" : "",
	       n->drops_from_peers ? ", drops from peers" : "", n->drops_to_peers ? ", drops to peers" : "",
	       n->drops_all ? ", drops all" : "", (unsigned long)(n->expiry_us / 1000000),
	       s->has6 ? "yes" : "no", filters[s->site.nat6.filter], (double)s->site.link.delay_us / 1e3,
	       (double)s->site.link.jitter_us / 1e3, s->site.link.loss_ppm / 1e4, s->site.link.dup_ppm / 1e4,
	       (double)s->portal_delay_us / 1e3);
}

void world_print(const struct world *w)
{
	static const char *const events[] = { "calm",        "outage",        "clock jump",
					      "NAT restart", "relay restart", "idle" };

	printf("seed %lu: %s, %s for %.1f s, %u relay(s), delay %.1f ms%s, want %s\n", (unsigned long)w->seed,
	       is_iceless(w, 1) ? "iceless" : "ICE", events[w->event], (double)w->event_us / 1e6, w->n_relays,
	       (double)w->relay_link.delay_us / 1e3, w->has_second_client ? ", two clients" : "",
	       world_path_name(world_expects(w)));
	print_side("client ", &w->client);
	print_side("gateway", &w->gateway);
	for (unsigned i = 0; i < w->n_relays; i++)
		printf("  relay %u: v6 %s, %s\n", i, w->relay_has6[i] ? "yes" : "no",
		       w->relay_channels_only[i] ? "channels only" : "permissions");
}

/* ---- the run ---- */

struct run {
	const struct world *w;
	const struct peer_ops *ops;
	struct sim_net *net;
	struct peer *client, *gateway, *second;
	struct relay *relays[2];
	int client_site, gateway_site;
	struct world_result *ret;
};

static void FZ_PRINTF(2, 3) failed(struct run *r, const char *fmt, ...)
{
	va_list args;

	if (!r->ret->ok)
		return;
	r->ret->ok = false;
	va_start(args, fmt);
	vsnprintf(r->ret->why, sizeof(r->ret->why), fmt, args);
	va_end(args);
}

static void pass(struct run *r, uint64_t for_us)
{
	if (!sim_run(r->net, sim_now(r->net) + for_us))
		failed(r, "the network is flooded, or a host never rests");
}

static enum world_path path_now(const struct run *r, const struct peer *b, uint32_t id)
{
	const struct path_route *route = r->ops->route(b, id);

	if (route == NULL)
		return WORLD_NONE;
	return route->local_relayed || route->remote_relayed ? WORLD_RELAYED : WORLD_DIRECT;
}

static enum world_path worse(enum world_path a, enum world_path b)
{
	return a < b ? a : b;
}

static void make_relays(struct run *r)
{
	for (unsigned i = 0; i < r->w->n_relays; i++) {
		const struct sim_site_opts site = { .nat4 = { .mapping = NAT_OPEN },
						    .nat6 = { .mapping = NAT_OPEN },
						    .link = r->w->relay_link };
		struct relay_opts o = { .ip4 = ip(i ? "203.0.113.102" : "203.0.113.101"),
					.channels_only = r->w->relay_channels_only[i] };
		if (r->w->relay_has6[i])
			o.ip6 = ip(i ? "2001:db8:113::102" : "2001:db8:113::101");
		r->relays[i] = relay_new(r->net, sim_add_site(r->net, &site), &o);
	}
}

static struct peer *make_host(struct run *r, int site, const struct world_side *s, const struct fz_ip *ip4,
			      const char *ip6, bool verbose)
{
	struct peer_opts o = { .port = PORT, .portal_delay_us = s->portal_delay_us, .keep_log = verbose };
	struct peer *b;

	if (s->has4)
		o.ip4 = *ip4;
	if (s->has6)
		o.ip6 = ip(ip6);
	b = r->ops->make(r->net, site, &o);
	for (unsigned i = 0; i < r->w->n_relays; i++) {
		struct fz_addr a4 = relay_addr(r->relays[i], FZ_FAMILY_INET),
			       a6 = relay_addr(r->relays[i], FZ_FAMILY_INET6);
		r->ops->add_relay(b, &a4, &a6);
	}
	return b;
}

static void build(struct run *r, bool verbose)
{
	const struct world *w = r->w;
	struct fz_addr c = world_inside(&w->client, true), g = world_inside(&w->gateway, false), second = c;

	r->net = sim_new(w->seed ^ 0x5eed);
	make_relays(r);
	r->client_site = sim_add_site(r->net, &w->client.site);
	r->gateway_site = sim_add_site(r->net, &w->gateway.site);
	r->client = make_host(r, r->client_site, &w->client, &c.ip, "2001:db8:1::2", verbose);
	r->gateway = make_host(r, r->gateway_site, &w->gateway, &g.ip, "2001:db8:2::2", verbose);
	if (w->has_second_client) {
		second.ip.b[3] ^= 0x40;
		r->second = make_host(r, r->client_site, &w->client, &second.ip, "2001:db8:1::3", false);
	}
}

static bool is_lossy(const struct world *w)
{
	return w->client.site.link.loss_ppm > 0 || w->gateway.site.link.loss_ppm > 0;
}

static bool duplicates(const struct world *w)
{
	return w->client.site.link.dup_ppm > 0 || w->gateway.site.link.dup_ppm > 0;
}

/* Longest round trip: through the relays of both sides. */
static uint64_t longest_rtt(const struct world *w)
{
	const struct sim_link *c = &w->client.site.link, *g = &w->gateway.site.link;

	return 2 * (c->delay_us + c->jitter_us + g->delay_us + g->jitter_us + 4 * w->relay_link.delay_us);
}

static void watch_start(struct run *r)
{
	enum world_path want = r->ret->want;
	uint64_t end_us = sim_now(r->net) + SETTLE_US;

	/* The best path that both ends have at one time. */
	while (sim_now(r->net) < end_us && r->ret->ok) {
		pass(r, FZ_MS(100));
		enum world_path both = worse(path_now(r, r->client, 1), path_now(r, r->gateway, 1));
		if (both > r->ret->got)
			r->ret->got = both;
		if (both == WORLD_DIRECT && want == WORLD_DIRECT)
			break;
	}
	if (r->ret->got < want || (r->ret->got > want && !world_is_race(r->w)))
		failed(r, "path is %s, expected %s", world_path_name(r->ret->got), world_path_name(want));
}

static void check_start(struct run *r)
{
	const struct peer_stats *c = r->ops->stats(r->client, 1);
	uint64_t limit_us =
		is_lossy(r->w) ? FZ_SEC(15)
			       : 3 * longest_rtt(r->w) + FZ_MS(500) +
					 4 * (r->w->client.portal_delay_us + r->w->gateway.portal_delay_us);

	if (r->ret->want == WORLD_NONE) {
		if (c->created_us != 0 && c->selected_us != 0)
			failed(r, "a path where none can be");
		return;
	}
	if (c->selected_us == 0)
		return;
	r->ret->first_us = c->selected_us - c->requested_us;
	r->ret->direct_us = c->direct_us ? c->direct_us - c->requested_us : 0;
	if (r->ret->first_us > limit_us)
		failed(r, "the first path took %lu ms, allowed %lu", (unsigned long)(r->ret->first_us / 1000),
		       (unsigned long)(limit_us / 1000));
	if (r->ret->want == WORLD_DIRECT && !is_lossy(r->w) && r->ret->direct_us > limit_us + FZ_SEC(2))
		failed(r, "the direct path took %lu ms", (unsigned long)(r->ret->direct_us / 1000));
}

static void check_payload(struct run *r, uint32_t id, struct peer *client)
{
	struct peer_stats *c = r->ops->stats(client, id), *g = r->ops->stats(r->gateway, id);
	uint64_t pings, pongs;

	/* A lost handshake is repeated after 5 s. */
	for (int i = 0; i < 40 && c->pongs == 0; i++)
		pass(r, FZ_MS(500));
	pings = c->pings;
	pongs = c->pongs;
	pass(r, FZ_SEC(5));
	pings = c->pings - pings;
	pongs = c->pongs - pongs;
	if (pings < 20)
		failed(r, "connection %u: the client does not send", (unsigned)id);
	/* 10 % per link and way leave (0.9^4 / 1)^2 of a relayed round trip. */
	else if (pongs * 100 < pings * (is_lossy(r->w) ? 15 : 90))
		failed(r, "connection %u: %lu pings, %lu answers", (unsigned)id, (unsigned long)pings,
		       (unsigned long)pongs);
	if (c->duplicates + g->duplicates > 0 && !duplicates(r->w))
		failed(r, "connection %u: payload delivered twice", (unsigned)id);
}

static void check_strangers(struct run *r)
{
	const struct peer_stats *c = r->ops->stats(r->client, 1), *g = r->ops->stats(r->gateway, 1);

	if (c->strangers + g->strangers > 0)
		failed(r, "payload reached the wrong peer");
}

static void disturb(struct run *r)
{
	const struct world *w = r->w;
	struct sim_link *link = sim_site_link(r->net, r->client_site), healthy = *link;

	switch (w->event) {
	case WORLD_OUTAGE:
		link->loss_ppm = 1000000;
		pass(r, w->event_us);
		*link = healthy;
		break;
	case WORLD_CLOCK_JUMP:
		sim_jump_clock(r->net, r->ops->host(r->client),
			       (int64_t)(w->event_us * (w->seed & 1 ? 10 : 1)));
		break;
	case WORLD_NAT_RESTART:
		nat_flush(sim_nat(r->net, r->client_site, FZ_FAMILY_INET));
		nat_flush(sim_nat(r->net, r->client_site, FZ_FAMILY_INET6));
		break;
	case WORLD_RELAY_RESTART:
		relay_restart(r->relays[0]);
		break;
	case WORLD_IDLE:
		r->ops->set_chatty(r->client, false);
		pass(r, w->event_us);
		r->ops->set_chatty(r->client, true);
		break;
	case WORLD_CALM:
	case WORLD_EVENTS:
		break;
	}
}

/* How long payload may be missing after a disturbance. */
static uint64_t allowed_gap(const struct world *w)
{
	switch (w->event) {
	case WORLD_NAT_RESTART:
	case WORLD_RELAY_RESTART:
		/* The relays' next answer tells the new mapping, at worst after a keep-alive and a refused
		 * refresh; a connection without any path is made anew. */
		return FZ_SEC(60);
	case WORLD_OUTAGE:
	case WORLD_CLOCK_JUMP:
	case WORLD_IDLE:
		/* Lossy: a handshake that fails four times ends the tunnel after 20 s, and another one is
		 * made. */
		return is_lossy(w) ? FZ_SEC(30) : FZ_SEC(10);
	default:
		return FZ_SEC(10);
	}
}

static void check_recovery(struct run *r)
{
	struct peer_stats *c = r->ops->stats(r->client, 1);
	uint64_t start_us = sim_now(r->net), pongs = c->pongs;

	/* Three answers: one could have been under way. */
	while (c->pongs < pongs + 3 && r->ret->ok) {
		pass(r, FZ_MS(200));
		if (sim_now(r->net) - start_us > allowed_gap(r->w))
			failed(r, "no payload %lu s after the disturbance",
			       (unsigned long)(allowed_gap(r->w) / 1000000));
	}
	r->ret->recovery_us = sim_now(r->net) - start_us;
}

/* When all is over the same answer has to come out again. */
static void check_end(struct run *r)
{
	enum world_path want = r->ret->want, got = WORLD_NONE;

	/* A NAT box that forgot gives the relays a new address to tell; that takes a keep-alive of 25 s. */
	for (int i = 0; i < 900 && got < want && r->ret->ok; i++) {
		pass(r, FZ_MS(100));
		got = worse(path_now(r, r->client, 1), path_now(r, r->gateway, 1));
	}
	if (world_is_race(r->w) && got >= WORLD_RELAYED)
		return;
	if (got < want || (got > want && !world_is_race(r->w)))
		failed(r, "in the end the path is %s, expected %s", world_path_name(got),
		       world_path_name(want));
}

void world_run(const struct world *w, const struct peer_ops *ops, bool verbose, struct world_result *ret)
{
	struct run r = { .w = w, .ops = ops, .ret = ret };
	struct path_stats st;

	*ret = (struct world_result){ .ok = true, .want = world_expects(w) };
	build(&r, verbose);
	sim_set_trace(r.net, verbose);
	pass(&r, GATHER_US);
	r.ops->connect(r.client, r.gateway, 1, is_iceless(w, 1));
	if (r.second)
		r.ops->connect(r.second, r.gateway, 2, is_iceless(w, 2));
	watch_start(&r);
	check_start(&r);
	if (ret->ok && ret->want != WORLD_NONE) {
		check_payload(&r, 1, r.client);
		if (r.second)
			check_payload(&r, 2, r.second);
		disturb(&r);
		check_recovery(&r);
		check_end(&r);
		check_payload(&r, 1, r.client);
		check_strangers(&r);
	}
	if (r.ops->path_stats(r.client, 1, &st)) {
		ret->checks = st.checks_sent;
		/* Some 20 pairs every 1.5 s, and a denser start. */
		if (ret->checks > 500 + (sim_now(r.net) - FZ_SEC(1000)) / FZ_SEC(1) * 20)
			failed(&r, "%lu checks are too many", (unsigned long)ret->checks);
	}
	r.ops->free(r.client);
	r.ops->free(r.gateway);
	if (r.second)
		r.ops->free(r.second);
	for (unsigned i = 0; i < w->n_relays; i++)
		relay_free(r.relays[i]);
	sim_free(r.net);
}
