/* SPDX-License-Identifier: Apache-2.0 */
#include "device.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/time.h"

#define PORT 52625
#define CHUNK 16384
/* 2026-06-01 00:00:00 UTC. */
#define WALL_START_US 1780272000000000

#define call(d, fn, ...)                                                                                     \
	((d)->client ? fz_client_##fn((d)->client, __VA_ARGS__) : fz_gateway_##fn((d)->gateway, __VA_ARGS__))

/* ---- the portal's lines ---- */

/* What travels on a line: the generation of the stream first. */
struct on_line {
	uint32_t stream;
	uint8_t data[CHUNK];
};

static void from_portal(void *ctx, const void *data, size_t len, uint64_t now_us);
static void portal_closed(void *ctx, const void *data, size_t len, uint64_t now_us);

static void post(struct device *d, sim_call *what, const void *data, size_t len)
{
	static struct on_line m;

	m.stream = d->stream;
	while (len > CHUNK) {
		memcpy(m.data, data, CHUNK);
		sim_post(d->lines->net, d->host, d->opts.portal_delay_us, what, &m, 4 + CHUNK);
		data = (const uint8_t *)data + CHUNK;
		len -= CHUNK;
	}
	if (len > 0)
		memcpy(m.data, data, len);
	sim_post(d->lines->net, d->host, d->opts.portal_delay_us, what, &m, 4 + len);
}

static void stub_says(void *ctx, unsigned line, const void *data, size_t len)
{
	struct lines *l = ctx;

	post(l->devices[line], data ? from_portal : portal_closed, data, len);
}

void lines_init(struct lines *l, struct sim_net *net)
{
	*l = (struct lines){ .net = net, .wall_us = WALL_START_US - (int64_t)sim_now(net) };
	l->stub = stub_new(stub_says, l);
}

void lines_clear(struct lines *l)
{
	for (unsigned i = 0; i < l->n; i++)
		device_free(l->devices[i]);
	stub_free(l->stub);
}

static uint64_t unix_ns(const struct lines *l)
{
	return ((uint64_t)l->wall_us + sim_now(l->net)) * 1000;
}

uint64_t lines_unix_s(const struct lines *l)
{
	return unix_ns(l) / 1000000000u;
}

/* Messages of an earlier stream are lost with it. */
static bool is_stale(const struct device *d, const void *data)
{
	uint32_t stream;

	memcpy(&stream, data, sizeof(stream));
	return stream != d->stream;
}

static void begin(struct device *d, uint64_t now_us)
{
	call(d, set_wall, now_us, unix_ns(d->lines));
}

static void from_portal(void *ctx, const void *data, size_t len, uint64_t now_us)
{
	struct device *d = ctx;

	if (is_stale(d, data) || !d->stream_open)
		return;
	begin(d, now_us);
	call(d, stream_data, (const uint8_t *)data + 4, len - 4, now_us);
	device_drain(d);
}

static void end_stream(struct device *d, const char *why, uint64_t now_us)
{
	d->stream++;
	d->stream_open = false;
	begin(d, now_us);
	call(d, stream_closed, why, now_us);
	device_drain(d);
}

static void portal_closed(void *ctx, const void *data, size_t len, uint64_t now_us)
{
	(void)len;
	if (!is_stale(ctx, data))
		end_stream(ctx, NULL, now_us);
}

static void to_portal(void *ctx, const void *data, size_t len, uint64_t now_us)
{
	struct device *d = ctx;

	(void)now_us;
	if (!is_stale(d, data))
		stub_bytes(d->lines->stub, d->line, (const uint8_t *)data + 4, len - 4);
}

static void to_portal_open(void *ctx, const void *data, size_t len, uint64_t now_us)
{
	struct device *d = ctx;

	(void)len;
	if (is_stale(d, data))
		return;
	if (!stub_open(d->lines->stub, d->line)) {
		end_stream(d, "connection refused", now_us);
		return;
	}
	d->stream_open = true;
	begin(d, now_us);
	call(d, stream_opened, now_us);
	device_drain(d);
}

/* ---- the host ---- */

static uint64_t host_now(const struct device *d)
{
	return sim_host_now(d->lines->net, d->host);
}

static struct device_peer *peer_of(struct device *d, const char *id)
{
	struct device_peer *p;

	for (unsigned i = 0; i < d->n_peers; i++)
		if (strcmp(d->peers[i].id, id) == 0)
			return &d->peers[i];
	if (d->n_peers == d->peers_cap) {
		d->peers_cap = d->peers_cap ? 2 * d->peers_cap : 4;
		d->peers = realloc(d->peers, d->peers_cap * sizeof(*d->peers));
		if (d->peers == NULL)
			abort();
	}
	p = &d->peers[d->n_peers++];
	*p = (struct device_peer){ .is_up = false };
	snprintf(p->id, sizeof(p->id), "%s", id);
	return p;
}

const struct device_peer *device_peer(const struct device *d, unsigned number)
{
	char id[37];

	stub_id(d->opts.is_gateway ? 'c' : 'a', number, id);
	for (unsigned i = 0; i < d->n_peers; i++)
		if (strcmp(d->peers[i].id, id) == 0)
			return &d->peers[i];
	return NULL;
}

static void on_event(struct device *d, const struct fz_event *ev)
{
	struct device_stats *s = &d->stats;
	struct device_peer *p;

	switch (ev->type) {
	case FZ_EVENT_STREAM_OPEN:
		if (d->stream_open)
			stub_close(d->lines->stub, d->line);
		d->stream++;
		d->stream_open = false;
		post(d, to_portal_open, NULL, 0);
		break;
	case FZ_EVENT_STREAM_CLOSE:
		if (d->stream_open)
			stub_close(d->lines->stub, d->line);
		d->stream++;
		d->stream_open = false;
		break;
	case FZ_EVENT_NETCFG:
		s->netcfg++;
		s->routes = (unsigned)ev->u.netcfg.routes_len;
		for (unsigned i = 0; i < s->routes && i < sizeof(s->nets) / sizeof(s->nets[0]); i++)
			s->nets[i] = ev->u.netcfg.routes[i];
		s->dns_len = (unsigned)ev->u.netcfg.dns_len;
		if (s->dns_len > sizeof(s->dns) / sizeof(s->dns[0]))
			abort();
		for (unsigned i = 0; i < s->dns_len; i++)
			s->dns[i] = ev->u.netcfg.dns[i];
		snprintf(s->search_domain, sizeof(s->search_domain), "%s",
			 ev->u.netcfg.search_domain ? ev->u.netcfg.search_domain : "");
		break;
	case FZ_EVENT_REBIND:
		s->rebind++;
		d->port++;
		break;
	case FZ_EVENT_PORTAL_UP:
		s->portal_up++;
		break;
	case FZ_EVENT_PORTAL_DOWN:
		s->portal_down++;
		break;
	case FZ_EVENT_READY:
		s->ready++;
		break;
	case FZ_EVENT_PEER_UP:
		s->peer_up++;
		p = peer_of(d, ev->u.peer.id);
		p->is_up = true;
		p->number = ev->u.peer.number;
		s->last_up_us = sim_now(d->lines->net);
		break;
	case FZ_EVENT_PEER_PATH:
		s->peer_path++;
		p = peer_of(d, ev->u.peer.id);
		p->has_path = true;
		p->relayed = ev->u.peer.relayed;
		break;
	case FZ_EVENT_PEER_DOWN:
		s->peer_down++;
		p = peer_of(d, ev->u.peer.id);
		p->has_path = p->is_up = false;
		snprintf(s->last_reason, sizeof(s->last_reason), "%s", ev->u.peer.path);
		break;
	case FZ_EVENT_REFUSED:
		s->refused++;
		snprintf(s->last_reason, sizeof(s->last_reason), "%s", ev->u.refused.reason);
		break;
	case FZ_EVENT_GRANTED:
		s->granted++;
		break;
	case FZ_EVENT_REVOKED:
		s->revoked++;
		break;
	case FZ_EVENT_RESOURCES:
		s->lists++;
		break;
	case FZ_EVENT_DEAD:
		s->dead++;
		break;
	case FZ_EVENT_DNS_QUERY:
	case FZ_EVENT_DNS_LISTEN:
	case FZ_EVENT_DNS_REPLY:
	case FZ_EVENT_RESOLVE:
	case FZ_EVENT_DNS_FLUSH:
		host_dns_event(d, ev);
		break;
	case FZ_EVENT_HTTP:
		break;
	}
}

static bool send_batch(struct device *d)
{
	struct fz_udp_batch b;
	struct fz_addr from;
	unsigned n = 0;

	if (!call(d, poll_udp, &b))
		return false;
	from = b.local;
	if (from.ip.family == FZ_FAMILY_NONE)
		from.ip = b.remote.ip.family == FZ_FAMILY_INET ? d->opts.ip4 : d->opts.ip6;
	from.port = d->port;
	for (size_t at = 0; at < b.len; at += b.seg_len, n++) {
		size_t len = b.len - at < b.seg_len ? b.len - at : b.seg_len;
		if (from.ip.family == b.remote.ip.family) /* else: no route to host */
			sim_send(d->lines->net, d->host, &from, &b.remote, b.data + at, len);
	}
	d->stats.datagrams += n;
	if (n > d->stats.max_batch)
		d->stats.max_batch = n;
	d->client ? fz_client_pop_udp(d->client) : fz_gateway_pop_udp(d->gateway);
	return true;
}

static bool write_tun(struct device *d)
{
	struct fz_pkt pkt;

	if (!call(d, poll_tun, &pkt))
		return false;
	if (!host_dns_packet(d, &pkt) && d->packet)
		d->packet(d->packet_ctx, d, &pkt);
	return true;
}

static bool write_stream(struct device *d)
{
	uint8_t buf[4096];
	int n = d->stream_open ? call(d, poll_stream, buf, sizeof(buf)) : 0;

	if (n <= 0)
		return false;
	post(d, to_portal, buf, (size_t)n);
	return true;
}

static bool take_event(struct device *d)
{
	struct fz_event ev;

	if (!call(d, poll_event, &ev))
		return false;
	on_event(d, &ev);
	return true;
}

void device_drain(struct device *d)
{
	bool more = true;

	while (more) {
		more = false;
		while (write_tun(d) || send_batch(d) || write_stream(d) || take_event(d))
			more = true;
	}
	sim_touch(d->lines->net, d->host);
}

static void receive(void *ctx, const struct fz_addr *to, const struct fz_addr *from, const uint8_t *data,
		    size_t len, uint64_t now_us)
{
	struct device *d = ctx;
	uint8_t copy[SIM_DATAGRAM_MAX];
	struct fz_udp_batch b = { .local = *to, .remote = *from, .data = copy, .len = len };

	if (to->port != d->port || len == 0)
		return;
	memcpy(copy, data, len);
	b.seg_len = (uint16_t)len;
	begin(d, now_us);
	call(d, handle_udp, &b, now_us);
	device_drain(d);
}

static void timeout(void *ctx, uint64_t now_us)
{
	struct device *d = ctx;

	begin(d, now_us);
	call(d, handle_timeout, now_us);
	device_drain(d);
}

static uint64_t next_timeout(const void *ctx)
{
	const struct device *d = ctx;

	return d->client ? fz_client_next_timeout(d->client) : fz_gateway_next_timeout(d->gateway);
}

static const struct sim_host_ops host_ops = { receive, timeout, next_timeout };

void device_tun_super(struct device *d, struct fz_pkt *pkt)
{
	uint64_t now_us = host_now(d);

	begin(d, now_us);
	call(d, handle_tun, pkt, now_us);
	device_drain(d);
}

void device_tun(struct device *d, const void *packet, size_t len)
{
	static uint8_t buf[FZ_PKT_HEADROOM + 2048];
	struct fz_pkt pkt = { .data = buf + FZ_PKT_HEADROOM, .len = len };

	memcpy(pkt.data, packet, len);
	device_tun_super(d, &pkt);
}

static void tun_now(void *ctx, const void *data, size_t len, uint64_t now_us)
{
	(void)now_us;
	device_tun(ctx, data, len);
}

void device_tun_later(struct device *d, const void *packet, size_t len)
{
	sim_post(d->lines->net, d->host, 0, tun_now, packet, len);
}

void device_system_dns(struct device *d, const char *server)
{
	struct fz_ip ip;

	if (fz_ip_parse(server, &ip) != 0)
		abort();
	begin(d, host_now(d));
	call(d, system_dns, &ip, 1, host_now(d));
	device_drain(d);
}

/* ---- life ---- */

static void seeded(void *ctx, void *buf, size_t len)
{
	struct device *d = ctx;
	uint8_t *b = buf;

	while (len--) {
		uint64_t z = d->seed += 0x9e3779b97f4a7c15u;
		z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
		z = (z ^ z >> 27) * 0x94d049bb133111ebu;
		*b++ = (uint8_t)(z ^ z >> 31);
	}
}

static void print_line(void *ctx, enum fz_log_level level, const char *area, const char *line)
{
	const struct device *d = ctx;

	printf("%10.4f %c%u %d %s: %s\n", (double)sim_now(d->lines->net) / 1e6,
	       d->opts.is_gateway ? 'g' : 'c', d->opts.number, level, area, line);
}

static int make(struct device *d)
{
	char id[16];
	struct fz_client_opts c = { .size = sizeof(c),
				    .api_url = "ws://203.0.113.10:8081",
				    .token = "token" };
	struct fz_gateway_opts g = { .size = sizeof(g), .api_url = c.api_url, .token = c.token };

	snprintf(id, sizeof(id), "%c%u", d->opts.is_gateway ? 'g' : 'c', d->opts.number);
	c.id = g.id = c.name = g.name = id;
	if (d->opts.is_gateway)
		return fz_gateway_new(&d->env, &g, host_now(d), &d->gateway);
	return fz_client_new(&d->env, &c, host_now(d), &d->client);
}

int device_new(struct lines *l, int site, const struct device_opts *opts, struct device **ret)
{
	struct device *d = calloc(1, sizeof(*d));
	int err;

	if (d == NULL || l->n == STUB_LINES_MAX)
		abort();
	d->lines = l;
	d->line = l->n;
	d->opts = *opts;
	d->port = PORT;
	d->seed = opts->seed;
	d->env = opts->env ? *opts->env : *fz_env_default();
	if (opts->env == NULL) {
		d->env.rng = (struct fz_rng){ seeded, d };
		d->env.log = (struct fz_log){ 0 };
		if (opts->mem)
			d->env.mem = *opts->mem;
		if (opts->is_verbose)
			d->env.log = (struct fz_log){ print_line, d, FZ_LOG_DEBUG };
	}
	d->host = sim_add_host(l->net, site, &host_ops, d);
	err = make(d);
	if (err != 0) {
		sim_set_up(l->net, d->host, false);
		free(d);
		return err;
	}
	if (opts->ip4.family)
		sim_add_ip(l->net, d->host, &opts->ip4);
	if (opts->ip6.family)
		sim_add_ip(l->net, d->host, &opts->ip6);
	l->devices[l->n++] = d;
	device_drain(d);
	*ret = d;
	return 0;
}

static void unmake(struct device *d)
{
	fz_client_free(d->client);
	fz_gateway_free(d->gateway);
	d->client = NULL;
	d->gateway = NULL;
}

void device_free(struct device *d)
{
	if (d == NULL)
		return;
	unmake(d);
	free(d->peers);
	free(d);
}

void device_restart(struct device *d)
{
	unmake(d);
	stub_close(d->lines->stub, d->line);
	d->stream++;
	d->stream_open = false;
	if (make(d) != 0)
		abort();
	device_drain(d);
}

void device_reset(struct device *d)
{
	begin(d, host_now(d));
	if (fz_client_reset(d->client, host_now(d)) == 0)
		device_drain(d);
}

void device_shutdown(struct device *d)
{
	begin(d, host_now(d));
	d->client ? fz_client_shutdown(d->client, host_now(d)) : fz_gateway_shutdown(d->gateway, host_now(d));
	device_drain(d);
}

uint64_t device_counter(const struct device *d, const char *name)
{
	const char *have;
	uint64_t value;

	for (size_t i = 0; call(d, counter, i, &have, &value); i++)
		if (strcmp(have, name) == 0)
			return value;
	abort();
}

void device_print(const struct device *d)
{
	const char *name;
	uint64_t value;

	printf("  %c%u:", d->opts.is_gateway ? 'g' : 'c', d->opts.number);
	for (size_t i = 0; call(d, counter, i, &name, &value); i++)
		if (value > 0)
			printf(" %s %lu,", name, (unsigned long)value);
	printf(" datagrams %lu\n", (unsigned long)d->stats.datagrams);
}
