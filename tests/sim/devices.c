/* SPDX-License-Identifier: Apache-2.0 */
/* The worlds of world.c with whole clients and a whole gateway in them: sign-in, grants, candidates through
 * the portal, WireGuard, packets from TUN to TUN. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/time.h"
#include "base/wr.h"
#include "device.h"
#include "relay.h"
#include "wire/csum.h"
#include "wire/udp.h"
#include "world.h"

#define TICK_US FZ_MS(100)
#define SEQS_MAX 20000
/* Ping: IPv4 and UDP headers, then client number and sequence number. */
#define PING_LEN (20 + 8 + 8)

struct traffic {
	struct device *d;
	uint32_t sent, answered, refused, duplicates, strangers;
	uint64_t first_us; /* answer */
	bool has_name;
	bool seen[SEQS_MAX];
};

struct run {
	const struct world *w;
	struct sim_net *net;
	struct lines lines;
	struct relay *relays[2];
	struct traffic clients[2];
	unsigned n_clients;
	struct device *gateway;
	int client_site, gateway_site;
	bool is_quiet;
	bool by_name; /* the resource is a name, and its address stands for it */
	uint32_t at_gateway_twice;
	bool at_gateway[2][SEQS_MAX];
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

/* ---- payload ---- */

static void make_ping(uint8_t p[PING_LEN], unsigned client, uint32_t seq, bool by_name)
{
	memset(p, 0, PING_LEN);
	p[0] = 0x45;
	fz_put_be16(p + 2, PING_LEN);
	p[8] = 64;
	p[9] = 17;
	fz_put_be32(p + 12, 0x64400000 + client);
	fz_put_be32(p + 16, by_name ? 0x64600001 : 0x0a140064); /* 100.96.0.1, 10.20.0.100 */
	fz_put_be16(p + 10, csum_finish(csum_sum(p, 20)));
	fz_put_be16(p + 20, (uint16_t)(40000 + client));
	fz_put_be16(p + 22, 7);
	fz_put_be16(p + 24, 16); /* no checksum */
	fz_put_be32(p + 28, client);
	fz_put_be32(p + 32, seq);
}

/* What came through is what was sent, to the last byte behind the addresses. */
static bool a19_12_is_as_sent(const uint8_t *p, unsigned client, uint32_t seq, bool by_name)
{
	uint8_t sent[PING_LEN];

	make_ping(sent, client, seq, by_name);
	return p[9] == 17 && memcmp(p + 20, sent + 20, PING_LEN - 20) == 0;
}

/* The resource behind the gateway: an echo server. */
static void at_resource(void *ctx, struct device *d, struct fz_pkt *pkt)
{
	struct run *r = ctx;
	uint8_t p[PING_LEN];
	uint32_t client, seq;

	if (pkt->len != PING_LEN) {
		failed(r, "a packet of %zu bytes at the resource", pkt->len);
		return;
	}
	memcpy(p, pkt->data, PING_LEN);
	client = fz_get_be32(p + 28);
	seq = fz_get_be32(p + 32);
	if (client < 1 || client > 2 || seq >= SEQS_MAX || fz_get_be32(p + 12) != 0x64400000 + client) {
		failed(r, "a packet that nobody sent at the resource");
		return;
	}
	if (!a19_12_is_as_sent(p, client, seq, r->by_name) ||
	    fz_get_be32(p + 16) != (r->by_name ? 0x0a320064 : 0x0a140064)) /* 10.50.0.100, 10.20.0.100 */
		failed(r, "client %u: packet %u was changed on the way", (unsigned)client, (unsigned)seq);
	r->at_gateway_twice += r->at_gateway[client - 1][seq];
	r->at_gateway[client - 1][seq] = true;
	memcpy(p + 12, pkt->data + 16, 4);
	memcpy(p + 16, pkt->data + 12, 4);
	memcpy(p + 20, pkt->data + 22, 2);
	memcpy(p + 22, pkt->data + 20, 2);
	device_tun(d, p, PING_LEN);
}

static void at_client(void *ctx, struct device *d, struct fz_pkt *pkt)
{
	struct run *r = ctx;
	struct traffic *t = &r->clients[d->opts.number - 1];
	uint8_t p[PING_LEN];
	uint32_t seq;

	if (pkt->len > 60 && fz_get_be16(pkt->data + 20) == 53) {
		/* The answer about the name; its last record but three is the first. */
		if (fz_get_be32(pkt->data + pkt->len - 4) != 0x64600004)
			failed(r, "the name has other addresses");
		t->has_name = true;
		return;
	}
	if (pkt->len == 20 + 8 + 28 && pkt->data[9] == 1 && pkt->data[20] == 3) {
		t->refused++; /* there is no way; checked where there must be one */
		return;
	}
	if (pkt->len != PING_LEN) {
		failed(r, "a packet of %zu bytes at the client", pkt->len);
		return;
	}
	seq = fz_get_be32(pkt->data + 32);
	if (fz_get_be32(pkt->data + 28) != d->opts.number || seq >= SEQS_MAX) {
		t->strangers++;
		return;
	}
	memcpy(p, pkt->data, PING_LEN);
	memcpy(p + 20, pkt->data + 22, 2);
	memcpy(p + 22, pkt->data + 20, 2);
	if (!a19_12_is_as_sent(p, d->opts.number, seq, r->by_name) ||
	    fz_get_be32(p + 12) != (r->by_name ? 0x64600001 : 0x0a140064) ||
	    fz_get_be32(p + 16) != 0x64400000 + d->opts.number)
		failed(r, "client %u: answer %u was changed on the way", d->opts.number, (unsigned)seq);
	t->duplicates += t->seen[seq];
	t->seen[seq] = true;
	t->answered++;
	if (t->first_us == 0)
		t->first_us = sim_now(r->net);
}

/* ---- time ---- */

static void pass(struct run *r, uint64_t for_us)
{
	uint64_t end_us = sim_now(r->net) + for_us;
	uint8_t p[PING_LEN];

	while (sim_now(r->net) < end_us && r->ret->ok) {
		for (unsigned i = 0; i < r->n_clients && !r->is_quiet; i++) {
			struct traffic *t = &r->clients[i];
			make_ping(p, i + 1, t->sent++ % SEQS_MAX, r->by_name);
			device_tun(t->d, p, PING_LEN);
		}
		if (!sim_run(r->net, sim_now(r->net) + TICK_US))
			failed(r, "the network is flooded, or a host never rests");
	}
}

/* Every client asks its sentinel for the name of the resource. */
static void ask_for_name(struct run *r)
{
	static const char name[] = "\4echo\4corp\7example";
	uint8_t query[12 + sizeof(name) + 4] = { 0, 1, 1, 0, 0, 1 }, packet[UDP_HDR_MAX + sizeof(query)];

	memcpy(query + 12, name, sizeof(name));
	query[13 + sizeof(name)] = query[15 + sizeof(name)] = 1; /* A, IN */
	for (unsigned i = 0; i < r->n_clients; i++) {
		struct device *d = r->clients[i].d;
		struct fz_addr from = { { FZ_FAMILY_INET, { 100, 64, 0, (uint8_t)(i + 1) } }, 0, 5000 };
		struct fz_addr to = { .ip = d->stats.dns[0], .port = 53 };
		if (d->stats.dns_len == 0) {
			failed(r, "client %u has no name server", i + 1);
			return;
		}
		device_tun(d, packet, udp_build(packet, &from, &to, query, sizeof(query)));
		if (!r->clients[i].has_name)
			failed(r, "client %u has no answer about the name", i + 1);
	}
}

static enum world_path path_of(const struct device *d, unsigned peer)
{
	const struct device_peer *p = device_peer(d, peer);

	return p == NULL || !p->has_path ? WORLD_NONE : p->relayed ? WORLD_RELAYED : WORLD_DIRECT;
}

static enum world_path path_now(const struct run *r)
{
	enum world_path c = path_of(r->clients[0].d, 1), g = path_of(r->gateway, 1);

	return c < g ? c : g;
}

/* ---- building ---- */

static struct fz_ip ip(const char *text)
{
	struct fz_ip a = { 0 };

	if (fz_ip_parse(text, &a) != 0)
		a.family = FZ_FAMILY_NONE;
	return a;
}

static void make_relays(struct run *r)
{
	for (unsigned i = 0; i < r->w->n_relays; i++) {
		const struct sim_site_opts site = { .nat4 = { .mapping = NAT_OPEN },
						    .nat6 = { .mapping = NAT_OPEN },
						    .link = r->w->relay_link };
		struct relay_opts o = { .ip4 = ip(i ? "203.0.113.102" : "203.0.113.101"),
					.channels_only = r->w->relay_channels_only[i] };
		struct fz_addr a4, a6;
		if (r->w->relay_has6[i])
			o.ip6 = ip(i ? "2001:db8:113::102" : "2001:db8:113::101");
		r->relays[i] = relay_new(r->net, sim_add_site(r->net, &site), &o);
		a4 = relay_addr(r->relays[i], FZ_FAMILY_INET);
		a6 = relay_addr(r->relays[i], FZ_FAMILY_INET6);
		stub_add_relay(r->lines.stub, i, &a4, &a6, RELAY_USERNAME, RELAY_PASSWORD);
	}
}

static struct device *make_device(struct run *r, int site, const struct world_side *s, bool is_gateway,
				  unsigned number, bool verbose)
{
	struct device_opts o = { .is_gateway = is_gateway,
				 .number = number,
				 .portal_delay_us = s->portal_delay_us,
				 .seed = r->w->seed * 16 + number + 8 * is_gateway,
				 .is_verbose = verbose };
	struct device *d;

	if (s->has4)
		o.ip4 = world_inside(s, !is_gateway).ip;
	if (number == 2)
		o.ip4.b[3] ^= 0x40;
	if (s->has6)
		o.ip6 = ip(is_gateway ? "2001:db8:2::2" : number == 2 ? "2001:db8:1::3" : "2001:db8:1::2");
	if (device_new(&r->lines, site, &o, &d) != 0)
		return NULL;
	d->packet = is_gateway ? at_resource : at_client;
	d->packet_ctx = r;
	return d;
}

static void build(struct run *r, bool verbose)
{
	const struct world *w = r->w;

	r->net = sim_new(w->seed ^ 0x5eed);
	lines_init(&r->lines, r->net);
	stub_set_resource(r->lines.stub, 1, "10.20.0.0/16", "[]");
	stub_set_names(r->lines.stub, 2, "*.corp.example", NULL, "[]");
	host_names_set(&r->lines.names, "echo.corp.example", "10.50.0.100", NULL);
	r->lines.names.delay_us = FZ_MS(3);
	make_relays(r);
	r->client_site = sim_add_site(r->net, &w->client.site);
	r->gateway_site = sim_add_site(r->net, &w->gateway.site);
	r->gateway = make_device(r, r->gateway_site, &w->gateway, true, 1, verbose);
	r->n_clients = 1 + w->has_second_client;
	for (unsigned i = 0; i < r->n_clients; i++)
		r->clients[i].d = make_device(r, r->client_site, &w->client, false, i + 1, verbose);
	for (unsigned i = 0; i < r->n_clients; i++)
		device_system_dns(r->clients[i].d, "203.0.113.53");
}

/* ---- checks ---- */

static bool is_lossy(const struct world *w)
{
	return w->client.site.link.loss_ppm > 0 || w->gateway.site.link.loss_ppm > 0;
}

static void watch_start(struct run *r)
{
	enum world_path want = r->ret->want;
	uint64_t start_us = sim_now(r->net);
	/* Handshakes are 5 s apart: where a third of them is lost, six in a row are now and then. */
	unsigned limit_s = is_lossy(r->w) ? 60 : 30;

	while (sim_now(r->net) < start_us + FZ_SEC(limit_s) && r->ret->ok) {
		pass(r, TICK_US);
		enum world_path both = path_now(r);
		if (both > r->ret->got)
			r->ret->got = both;
		if (both == WORLD_DIRECT && r->ret->direct_us == 0)
			r->ret->direct_us = sim_now(r->net) - start_us;
		if (both == WORLD_DIRECT && want == WORLD_DIRECT && r->clients[0].first_us)
			break;
	}
	if (r->ret->got < want || (r->ret->got > want && !world_is_race(r->w)))
		failed(r, "path is %s, expected %s", world_path_name(r->ret->got), world_path_name(want));
	if (want == WORLD_NONE || !r->ret->ok)
		return;
	if (r->clients[0].first_us == 0)
		failed(r, "no answer within %u s", limit_s);
	else
		r->ret->first_us = r->clients[0].first_us - start_us;
	if (!is_lossy(r->w) && r->ret->first_us > FZ_SEC(6))
		failed(r, "the first answer took %lu ms", (unsigned long)(r->ret->first_us / 1000));
}

static void check_payload(struct run *r)
{
	uint32_t sent[2], answered[2];

	for (int i = 0; i < 80 && r->n_clients > 1 && r->clients[1].answered == 0; i++)
		pass(r, FZ_MS(500));
	for (unsigned i = 0; i < r->n_clients; i++) {
		sent[i] = r->clients[i].sent;
		answered[i] = r->clients[i].answered;
	}
	pass(r, FZ_SEC(5));
	for (unsigned i = 0; i < r->n_clients; i++) {
		sent[i] = r->clients[i].sent - sent[i];
		answered[i] = r->clients[i].answered - answered[i];
		if (answered[i] * 100 < sent[i] * (is_lossy(r->w) ? 15 : 85))
			failed(r, "client %u: %u pings, %u answers", i + 1, (unsigned)sent[i],
			       (unsigned)answered[i]);
	}
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
		sim_jump_clock(r->net, r->clients[0].d->host,
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
		r->is_quiet = true;
		pass(r, w->event_us);
		r->is_quiet = false;
		break;
	case WORLD_CALM:
		/* Connections do not need the portal. */
		stub_set_down(r->lines.stub, true);
		pass(r, w->event_us);
		stub_set_down(r->lines.stub, false);
		break;
	case WORLD_EVENTS:
		break;
	}
}

/* Three answers: one could have been under way. */
static bool has_recovered(const struct run *r, const uint32_t answered[2])
{
	for (unsigned i = 0; i < r->n_clients; i++)
		if (r->clients[i].answered < answered[i] + 3)
			return false;
	return true;
}

static void check_recovery(struct run *r)
{
	const uint32_t answered[2] = { r->clients[0].answered, r->clients[1].answered };
	uint64_t start_us = sim_now(r->net);

	while (!has_recovered(r, answered) && r->ret->ok) {
		pass(r, FZ_MS(200));
		if (sim_now(r->net) - start_us > FZ_SEC(60))
			failed(r, "no payload 60 s after the disturbance");
	}
	r->ret->recovery_us = sim_now(r->net) - start_us;
}

static void check_end(struct run *r)
{
	enum world_path want = r->ret->want, got = path_now(r);

	for (int i = 0; i < 900 && got < want && r->ret->ok; i++) {
		pass(r, TICK_US);
		got = path_now(r);
	}
	if (got < want && !(world_is_race(r->w) && got >= WORLD_RELAYED))
		failed(r, "in the end the path is %s, expected %s", world_path_name(got),
		       world_path_name(want));
}

/* WireGuard forgives duplicates on the way; nothing may come out twice, whatever the network does. */
static void a19_10_each_packet_once(struct run *r)
{
	for (unsigned i = 0; i < r->n_clients; i++)
		if (r->clients[i].duplicates > 0)
			failed(r, "client %u: a packet was delivered twice", i + 1);
	if (r->at_gateway_twice > 0)
		failed(r, "a packet was delivered twice at the gateway");
}

static void a19_11_nothing_unexpected(struct run *r)
{
	for (unsigned i = 0; i < r->n_clients; i++) {
		if (r->clients[i].strangers > 0)
			failed(r, "client %u: a packet of another client", i + 1);
		if (r->clients[i].answered > r->clients[i].sent)
			failed(r, "client %u: more answers than pings", i + 1);
		if (r->clients[i].d->stats.dead > 0)
			failed(r, "client %u gave up", i + 1);
	}
	if (r->gateway->stats.dead > 0)
		failed(r, "the gateway gave up");
	if (r->lines.stub && stub_stats(r->lines.stub)->requests > 200)
		failed(r, "%u requests for access", stub_stats(r->lines.stub)->requests);
}

void world_run_devices(const struct world *w, bool verbose, struct world_result *ret)
{
	static struct run r;

	memset(&r, 0, sizeof(r));
	r.w = w;
	r.ret = ret;
	*ret = (struct world_result){ .ok = true, .want = world_expects(w) };
	build(&r, verbose);
	sim_set_trace(r.net, verbose);
	r.is_quiet = true;
	pass(&r, FZ_SEC(3));
	r.by_name = w->seed % 3 == 0;
	if (r.by_name && ret->ok)
		ask_for_name(&r);
	r.is_quiet = false;
	watch_start(&r);
	if (ret->ok && ret->want != WORLD_NONE) {
		check_payload(&r);
		disturb(&r);
		check_recovery(&r);
		check_end(&r);
		check_payload(&r);
	}
	a19_10_each_packet_once(&r);
	a19_11_nothing_unexpected(&r);
	for (unsigned i = 0; i < r.lines.n && verbose; i++)
		device_print(r.lines.devices[i]);
	lines_clear(&r.lines);
	for (unsigned i = 0; i < w->n_relays; i++)
		relay_free(r.relays[i]);
	sim_free(r.net);
}
