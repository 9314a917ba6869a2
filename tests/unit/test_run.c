/* SPDX-License-Identifier: Apache-2.0 */
/* The driver on the in-memory platform: a client and a gateway, each with its loop, their relays and a
 * portal. Nothing here calls the objects themselves. */
#include "unit.h"

#include <stdio.h>

#include "../sim/stub.h"
#include "base/time.h"
#include "fake_turn.h"
#include "flow_token.h"
#include "fzconn/run.h"
#include "packets.h"
#include "wire/csum.h"
#include "wire/ip.h"

#define LINES 8

struct side {
	struct fz_platform platform, relay_platform;
	struct fake_turn relay;
	struct fz_client *client;
	struct fz_gateway *gateway;
	struct fz_run *run;
	int err; /* of the last dispatch */
	unsigned events[32];
	unsigned packets, supers; /* that came out of the TUN */
	size_t bytes;
	uint8_t last[2048];
	size_t last_len;
};

static struct {
	struct unit_env u;
	struct fz_memnet *net;
	struct stub *stub;
	struct fz_stream *lines[LINES];
	struct side c, g;
	bool echoes;
	bool no_socket; /* the client gets none */
	unsigned refused; /* sockets */
	unsigned flow_lines; /* of local logs */
} w;
static struct {
	unsigned interval_s; /* 0 = the portal wants none */
	bool local, has_dir;
} flow_wish; /* for begin() */

static struct fz_ip ip(const char *text)
{
	struct fz_ip a;

	ck_assert_int_eq(fz_ip_parse(text, &a), 0);
	return a;
}

/* ---- portal ---- */

static void stub_says(void *ctx, unsigned line, const void *data, size_t len)
{
	(void)ctx;
	if (data == NULL)
		fz_memnet_stream_hangup(w.lines[line]);
	else
		ck_assert_int_eq(fz_memnet_stream_put(w.lines[line], data, len), 0);
}

static bool accept_stream(void *ctx, struct fz_stream *s, const struct fz_stream_opts *opts)
{
	unsigned i = 0;

	(void)ctx;
	ck_assert(!opts->tls);
	while (i < LINES && w.lines[i])
		i++;
	ck_assert_uint_lt(i, LINES);
	if (!stub_open(w.stub, i))
		return false;
	w.lines[i] = s;
	return true;
}

static void serve_portal(void)
{
	uint8_t buf[4096];

	for (unsigned i = 0; i < LINES; i++) {
		int n = 0;
		while (w.lines[i] && (n = fz_memnet_stream_take(w.lines[i], buf, sizeof(buf))) > 0)
			stub_bytes(w.stub, i, buf, (size_t)n);
		if (n < 0) {
			stub_close(w.stub, i);
			w.lines[i] = NULL;
		}
	}
}

/* ---- relays ---- */

static void serve_relay(struct side *s)
{
	struct fz_platform *p = &s->relay_platform;
	struct fz_udp_batch b[8], back;
	uint8_t answer[2048];
	uint32_t ready;
	int n;

	ck_assert_int_eq(p->ops->wait(p->ctx, 0, &ready), 0);
	while ((n = p->ops->udp_recv(p->ctx, b, 8)) > 0) {
		for (int i = 0; i < n; i++) {
			*(b[i].remote.ip.family == FZ_FAMILY_INET ? &s->relay.mapped4 : &s->relay.mapped6) =
				b[i].remote;
			if (b[i].data[0] >= 0x40) /* ChannelData: leads nowhere */
				continue;
			if (s->relay.n > 400)
				s->relay.n = 0;
			int len = fake_turn_handle(&s->relay, &b[i].local, b[i].data, b[i].seg_len, answer,
						   sizeof(answer), fz_memnet_now(w.net));
			back = (struct fz_udp_batch){ .local = b[i].local,
						      .remote = b[i].remote,
						      .data = answer,
						      .len = (size_t)len,
						      .seg_len = (uint16_t)len };
			if (len > 0)
				ck_assert_int_eq(p->ops->udp_send(p->ctx, &back), 0);
		}
	}
}

static void add_relay(struct side *s, unsigned n, char role)
{
	fake_turn_init(&s->relay);
	s->relay.addr4.ip.b[3] = (uint8_t)(101 + n);
	s->relay.addr6.ip.b[15] = (uint8_t)(1 + n);
	ck_assert_int_eq(fz_memnet_host(w.net, &s->relay.addr4.ip, &s->relay.addr6.ip, &s->relay_platform),
			 0);
	ck_assert_int_eq(s->relay_platform.ops->udp_open(s->relay_platform.ctx, 3478), 0);
	stub_add_relay(w.stub, n, &s->relay.addr4, &s->relay.addr6, s->relay.username, s->relay.password);
	stub_limit_relay(w.stub, n, role);
}

/* ---- loops ---- */

static void reflect(struct side *s, const struct fz_pkt *pkt)
{
	uint8_t p[2048], t[16];
	struct fz_pkt back = { .data = p, .len = pkt->len };
	size_t n = pkt->data[0] >> 4 == 4 ? 4 : 16, at = n == 4 ? 12 : 8, l3 = n == 4 ? 20 : 40;

	memcpy(p, pkt->data, pkt->len);
	memcpy(t, p + at, n);
	memcpy(p + at, p + at + n, n);
	memcpy(p + at + n, t, n);
	p[l3] = n == 4 ? 0 : 129;
	mk_be16(p + l3 + 2, 0);
	mk_be16(p + l3 + 2, mk_l4_csum(p, pkt->len, l3, n == 4 ? 1 : 58));
	ck_assert_int_eq(fz_memnet_tun_put(&s->platform, &back), 0);
}

static void turn(struct side *s)
{
	struct fz_event ev;
	struct fz_pkt pkt;

	s->err = fz_run_dispatch(s->run);
	while (fz_run_poll_event(s->run, &ev))
		s->events[ev.type]++;
	while (fz_memnet_tun_take(&s->platform, &pkt)) {
		s->packets++;
		s->supers += pkt.gso != FZ_GSO_NONE;
		s->bytes += pkt.len;
		s->last_len = pkt.len;
		memcpy(s->last, pkt.data, pkt.len < sizeof(s->last) ? pkt.len : sizeof(s->last));
		if (s == &w.g && w.echoes)
			reflect(s, &pkt);
	}
}

static void pass(uint64_t us)
{
	uint64_t end_us = fz_memnet_now(w.net) + us;

	while (fz_memnet_now(w.net) < end_us) {
		turn(&w.c);
		turn(&w.g);
		serve_relay(&w.c);
		serve_relay(&w.g);
		serve_portal();
		fz_memnet_advance(w.net, 500);
	}
}

static void count_flow_lines(void *ctx, enum fz_log_level level, const char *area, const char *line)
{
	(void)ctx;
	(void)line;
	w.flow_lines += level == FZ_LOG_TRACE && strcmp(area, "flow_logs") == 0;
}

static struct fz_platform_ops memnet_ops, client_ops;

static int open_if_there_are_any(void *p, uint16_t port)
{
	w.refused += w.no_socket;
	return w.no_socket ? FZ_ERR_IO : memnet_ops.udp_open(p, port);
}

static int send_if_there_are_any(void *p, struct fz_udp_batch *b)
{
	return w.no_socket ? FZ_ERR_IO : memnet_ops.udp_send(p, b);
}

#define CLIENT_FLOWS "/c/flow_logs"
#define GATEWAY_FLOWS "/g/flow_logs"

static void begin(bool offload)
{
	const struct flow_token initiator = { .is_initiator = true }, responder = { 0 };
	struct fz_run_opts cr = { .size = sizeof(cr), .flow_dir = flow_wish.has_dir ? CLIENT_FLOWS : NULL },
			   gr = { .size = sizeof(gr), .flow_dir = flow_wish.has_dir ? GATEWAY_FLOWS : NULL };
	struct fz_client_opts co = { .size = sizeof(co),
				     .api_url = "ws://203.0.113.10:8081",
				     .token = "t",
				     .id = "c1",
				     .name = "c1" };
	struct fz_gateway_opts go = { .size = sizeof(go),
				      .api_url = "ws://203.0.113.10:8081",
				      .token = "t",
				      .id = "g1",
				      .name = "g1" };
	struct fz_ip c4 = ip("203.0.113.21"), c6 = ip("2001:db8:1::2"), g4 = ip("203.0.113.31"),
		     g6 = ip("2001:db8:2::2");

	memset(&w, 0, sizeof(w));
	unit_env_init(&w.u, 21);
	if (flow_wish.local)
		w.u.env.log = (struct fz_log){ count_flow_lines, NULL, FZ_LOG_TRACE };
	co.flow_logs = go.flow_logs = flow_wish.local;
	w.echoes = true;
	w.stub = stub_new(stub_says, NULL);
	if (flow_wish.interval_s)
		stub_set_flow_logs(w.stub, "http://203.0.113.10:8081/", flow_wish.interval_s,
				   flow_token(&initiator), flow_token(&responder));
	stub_set_resource(w.stub, 1, "10.20.0.0/16", "[]");
	stub_set_resource(w.stub, 2, "fd00:1::/64", "[]");
	ck_assert_int_eq(fz_memnet_new(&w.u.env, &w.net), 0);
	fz_memnet_set_offload(w.net, offload);
	fz_memnet_set_accept(w.net, accept_stream, NULL);
	fz_memnet_advance(w.net, FZ_SEC(1));
	add_relay(&w.c, 0, 'c');
	add_relay(&w.g, 1, 'g');
	ck_assert_int_eq(fz_memnet_host(w.net, &c4, &c6, &w.c.platform), 0);
	ck_assert_int_eq(fz_memnet_host(w.net, &g4, &g6, &w.g.platform), 0);
	memnet_ops = client_ops = *w.c.platform.ops;
	client_ops.udp_open = open_if_there_are_any;
	client_ops.udp_send = send_if_there_are_any;
	w.c.platform.ops = &client_ops;
	ck_assert_int_eq(fz_client_new(&w.u.env, &co, fz_memnet_now(w.net), &w.c.client), 0);
	ck_assert_int_eq(fz_gateway_new(&w.u.env, &go, fz_memnet_now(w.net), &w.g.gateway), 0);
	ck_assert_int_eq(fz_run_client_new(&w.u.env, w.c.client, &w.c.platform, &cr, &w.c.run), 0);
	ck_assert_int_eq(fz_run_gateway_new(&w.u.env, w.g.gateway, &w.g.platform, &gr, &w.g.run), 0);
	pass(FZ_MS(200));
}

static void end(void)
{
	fz_run_free(w.c.run);
	fz_run_free(w.g.run);
	fz_client_free(w.c.client);
	fz_gateway_free(w.g.gateway);
	ck_assert_ptr_null(fz_memnet_netcfg(&w.c.platform));
	fz_memnet_free(w.net);
	stub_free(w.stub);
	unit_env_check(&w.u);
}

static void ping(const char *to)
{
	static unsigned seed;
	uint8_t p[200];
	struct fz_ip dst = ip(to),
		     src = ip(dst.family == FZ_FAMILY_INET ? "100.64.0.1" : "fd00:2021:1111::1");
	bool v6 = dst.family == FZ_FAMILY_INET6;
	struct mk m = { .v6 = v6, .proto = v6 ? 58 : 1, .payload = 56, .seed = ++seed };
	struct fz_pkt pkt = { .data = p, .len = mk_packet(p, &m) };

	memcpy(p + (v6 ? 8 : 12), src.b, v6 ? 16 : 4);
	memcpy(p + (v6 ? 24 : 16), dst.b, v6 ? 16 : 4);
	if (!v6) {
		mk_be16(p + 10, 0);
		mk_be16(p + 10, (uint16_t)~mk_sum(p, 20, 0));
	}
	mk_be16(p + (v6 ? 42 : 22), 0);
	mk_be16(p + (v6 ? 42 : 22), mk_l4_csum(p, pkt.len, v6 ? 40 : 20, v6 ? 58 : 1));
	ck_assert_int_eq(fz_memnet_tun_put(&w.c.platform, &pkt), 0);
}

static bool reaches(const char *to, uint64_t us)
{
	uint64_t end_us = fz_memnet_now(w.net) + us;
	unsigned before = w.c.packets;

	ping(to);
	while (w.c.packets == before && fz_memnet_now(w.net) < end_us)
		pass(FZ_MS(1));
	return w.c.packets > before;
}

START_TEST(both_families)
{
	begin(true);
	ck_assert_uint_eq(w.c.events[FZ_EVENT_READY], 1);
	ck_assert_uint_eq(w.c.events[FZ_EVENT_PORTAL_UP], 1);
	ck_assert_uint_eq(w.g.events[FZ_EVENT_PORTAL_UP], 1);
	ck_assert_ptr_nonnull(fz_memnet_netcfg(&w.c.platform));
	ck_assert(reaches("10.20.0.1", FZ_MS(300)));
	ck_assert(reaches("fd00:1::1", FZ_MS(300)));
	ck_assert_uint_eq(w.c.events[FZ_EVENT_PEER_UP], 1);
	ck_assert_uint_eq(w.c.last_len, 40 + 8 + 56);
	/* Requests to the host are served, not shown. */
	for (int i = FZ_EVENT_STREAM_OPEN; i < FZ_EVENT_PORTAL_UP; i++)
		ck_assert_uint_eq(w.c.events[i], 0);
	end();
}
END_TEST

static void send_plain(size_t payload, unsigned seed)
{
	uint8_t p[2048];
	struct mk m = { .payload = payload, .seed = seed, .seq = seed * 1200 };
	struct fz_pkt pkt = { .data = p, .len = mk_packet(p, &m) };

	ck_assert_int_eq(fz_memnet_tun_put(&w.c.platform, &pkt), 0);
}

static void send_super(size_t payload, size_t gso_size, unsigned seed)
{
	static uint8_t p[FZ_SUPER_MAX];
	struct mk m = { .payload = payload, .seed = seed, .seq = seed * 100000 };
	struct fz_pkt pkt = { .data = p, .len = mk_packet(p, &m), .gso = FZ_GSO_TCP4, .needs_csum = 1 };
	struct ip_view v;

	pkt.gso_size = (uint16_t)gso_size;
	pkt.csum_start = 20;
	pkt.csum_offset = 16;
	ck_assert_int_eq(ip_parse(&pkt, &v), IP_OK);
	mk_be16(p + 36, csum_fold(csum_pseudo(p, &v, pkt.len - 20)));
	ck_assert_int_eq(fz_memnet_tun_put(&w.c.platform, &pkt), 0);
}

/* With offloads a super-packet arrives as one; without, as its segments. */
static void super_packets(bool offload)
{
	const unsigned n = 20;

	begin(offload);
	ck_assert(reaches("10.20.0.1", FZ_MS(300)));
	w.echoes = false;
	w.g.packets = w.g.supers = 0;
	w.g.bytes = 0;
	for (unsigned i = 1; i <= n; i++) {
		if (offload)
			send_super(24000, 1200, i);
		for (unsigned k = 0; k < 20 && !offload; k++)
			send_plain(1200, i * 20 + k);
		pass(FZ_MS(5));
	}
	if (offload) {
		ck_assert_uint_eq(w.g.supers, n);
		ck_assert_uint_eq(w.g.bytes, n * (24000 + 40));
	} else {
		ck_assert_uint_eq(w.g.supers, 0);
		ck_assert_uint_eq(w.g.packets, n * 20);
		ck_assert_uint_eq(w.g.bytes, n * (24000 + 20 * 40));
	}
	end();
}

START_TEST(super_packets_whole)
{
	super_packets(true);
}
END_TEST

START_TEST(super_packets_cut)
{
	super_packets(false);
}
END_TEST

/* The device loses its offloads while the loop runs: pieces are written instead. */
START_TEST(a21_3_offload_lost)
{
	begin(true);
	ck_assert(reaches("10.20.0.1", FZ_MS(300)));
	w.echoes = false;
	w.g.bytes = 0;
	for (unsigned i = 1; i <= 3; i++) {
		fz_memnet_set_offload(w.net, true);
		send_super(12000, 1200, i);
		turn(&w.c); /* it is under way */
		fz_memnet_set_offload(w.net, false);
		pass(FZ_MS(5));
	}
	ck_assert_uint_eq(w.g.supers, 0);
	ck_assert_uint_eq(w.g.bytes, 3 * (12000 + 10 * 40));
	end();
}
END_TEST

/* Another network under the client: everything is made anew, by itself. */
START_TEST(network_change)
{
	struct fz_ip a4 = ip("203.0.113.22"), a6 = ip("2001:db8:1::3");
	uint64_t start_us;

	begin(true);
	ck_assert(reaches("10.20.0.1", FZ_MS(300)));
	fz_memnet_set_addrs(&w.c.platform, &a4, &a6);
	fz_memnet_net_event(&w.c.platform, FZ_NET_CHANGED);
	pass(FZ_MS(1));
	start_us = fz_memnet_now(w.net);
	ck_assert(reaches("10.20.0.1", FZ_SEC(2)));
	ck_assert_uint_lt(fz_memnet_now(w.net) - start_us, FZ_MS(500));
	ck_assert_uint_eq(w.c.events[FZ_EVENT_PEER_DOWN], 1);
	ck_assert_uint_eq(w.c.events[FZ_EVENT_PORTAL_UP], 2);
	/* The gateway only asks the portal anew. */
	fz_memnet_net_event(&w.g.platform, FZ_NET_CHANGED);
	pass(FZ_MS(100));
	ck_assert_uint_eq(w.g.events[FZ_EVENT_PORTAL_UP], 2);
	ck_assert_uint_eq(w.c.events[FZ_EVENT_PEER_DOWN], 1);
	ck_assert(reaches("10.20.0.1", FZ_MS(50)));
	fz_run_reset(w.c.run);
	ck_assert(reaches("10.20.0.1", FZ_SEC(2)));
	end();
}
END_TEST

/* No socket can be had in the new network: the client lives on, and tries again in the next. */
START_TEST(a5_6_no_socket_at_a_reset)
{
	begin(true);
	ck_assert(reaches("10.20.0.1", FZ_MS(300)));
	w.no_socket = true;
	fz_run_reset(w.c.run);
	ck_assert(!reaches("10.20.0.1", FZ_SEC(2)));
	ck_assert_int_eq(w.c.err, 0);
	ck_assert_uint_eq(w.c.events[FZ_EVENT_DEAD], 0);
	ck_assert_uint_ge(w.refused, 1);
	w.no_socket = false;
	fz_run_reset(w.c.run);
	uint64_t start_us = fz_memnet_now(w.net);
	while (!reaches("10.20.0.1", FZ_SEC(2)))
		ck_assert_uint_lt(fz_memnet_now(w.net) - start_us, FZ_SEC(30));
	end();
}
END_TEST

/* The portal hangs up, is away, and comes back. */
START_TEST(stream_loss)
{
	begin(true);
	ck_assert(reaches("10.20.0.1", FZ_MS(300)));
	stub_set_down(w.stub, true);
	pass(FZ_SEC(3));
	ck_assert_uint_ge(w.c.events[FZ_EVENT_PORTAL_DOWN], 2);
	ck_assert(reaches("10.20.0.1", FZ_MS(50)));
	stub_set_down(w.stub, false);
	for (int i = 0; i < 100 && w.c.events[FZ_EVENT_PORTAL_UP] < 2; i++)
		pass(FZ_MS(200));
	ck_assert_uint_eq(w.c.events[FZ_EVENT_PORTAL_UP], 2);
	ck_assert_uint_eq(w.c.events[FZ_EVENT_DEAD], 0);
	end();
}
END_TEST

START_TEST(goodbye)
{
	begin(true);
	ck_assert(reaches("10.20.0.1", FZ_MS(300)));
	fz_run_shutdown(w.c.run, 100);
	for (int i = 0; i < 20; i++) {
		turn(&w.g);
		serve_portal();
		fz_memnet_advance(w.net, 500);
	}
	ck_assert_uint_eq(w.g.events[FZ_EVENT_PEER_DOWN], 1);
	end();
}
END_TEST

START_TEST(interface_deleted)
{
	begin(true);
	ck_assert(reaches("10.20.0.1", FZ_MS(300)));
	w.c.platform.ops->net_clear(w.c.platform.ctx); /* all that it had goes with it */
	fz_memnet_net_event(&w.c.platform, FZ_NET_TUN_LOST);
	turn(&w.c);
	ck_assert_int_eq(w.c.err, 0);
	ck_assert_ptr_nonnull(fz_memnet_netcfg(&w.c.platform));
	ck_assert(reaches("10.20.0.1", FZ_MS(300)));
	w.c.platform.ops->tun_close(w.c.platform.ctx); /* noticed by reading */
	turn(&w.c);
	ck_assert_int_eq(w.c.err, 0);
	for (int i = 0; i < 20 && w.c.err == 0; i++) {
		fz_memnet_net_event(&w.c.platform, FZ_NET_TUN_LOST);
		turn(&w.c);
	}
	ck_assert_int_eq(w.c.err, FZ_ERR_IO); /* somebody does not want it */
	end();
}
END_TEST

/* A loop that is asked when to come back sleeps, also while events wait for a program that does not care. */
START_TEST(deadlines)
{
	uint64_t turns = 0, end_us;

	begin(true);
	ck_assert(reaches("10.20.0.1", FZ_MS(300)));
	pass(FZ_SEC(25));
	end_us = fz_memnet_now(w.net) + FZ_SEC(60);
	while (fz_memnet_now(w.net) < end_us) {
		int64_t sleep_us = 1000000;
		struct side *sides[] = { &w.c, &w.g };
		for (size_t i = 0; i < 2; i++) {
			ck_assert_int_eq(fz_run_dispatch(sides[i]->run), 0);
			int64_t us = fz_run_timeout_us(sides[i]->run);
			if (us >= 0 && us < sleep_us)
				sleep_us = us;
		}
		serve_relay(&w.c);
		serve_relay(&w.g);
		serve_portal();
		turns++;
		fz_memnet_advance(w.net, sleep_us > 0 ? (uint64_t)sleep_us : 1);
	}
	ck_assert_uint_lt(turns, 1000);
	end();
}
END_TEST

/* Without a peer a client wakes up for the portal's heartbeat, and most of what the relay
 * wants goes with it. */
START_TEST(idle_client_sleeps)
{
	unsigned timers = 0;
	uint64_t end_us;

	begin(true);
	pass(FZ_SEC(35));
	end_us = fz_memnet_now(w.net) + FZ_SEC(120);
	while (fz_memnet_now(w.net) < end_us) {
		timers += fz_run_timeout_us(w.c.run) == 0;
		turn(&w.c);
		turn(&w.g);
		serve_relay(&w.c);
		serve_relay(&w.g);
		serve_portal();
		fz_memnet_advance(w.net, FZ_MS(5));
	}
	ck_assert_uint_ge(timers, 11);
	ck_assert_uint_le(timers, 15); /* six a minute and, once in two minutes, another one or two */
	end();
}
END_TEST

START_TEST(bad_options)
{
	struct fz_run_opts opts = { .size = 1 };
	struct fz_platform_ops old;
	struct fz_platform p;
	struct fz_run *run = NULL;

	begin(true);
	ck_assert_int_eq(fz_run_client_new(&w.u.env, w.c.client, &w.c.platform, &opts, &run), FZ_ERR_ABI);
	p = w.c.platform;
	old = *p.ops;
	old.version = 0;
	p.ops = &old;
	ck_assert_int_eq(fz_run_client_new(&w.u.env, w.c.client, &p, NULL, &run), FZ_ERR_ABI);
	ck_assert_ptr_null(run);
	fz_run_free(NULL);
	end();
}
END_TEST

#ifdef HAVE_FLOW_LOGS
/* ---- flow logs ---- */

/* One TCP packet of flow 0: there, or back from the resource. */
static void tcp(bool back, int flags, size_t payload)
{
	uint8_t p[1500], t[4];
	struct mk m = { .flags = flags, .payload = payload };
	struct fz_pkt pkt = { .data = p, .len = mk_packet(p, &m) };

	if (back) { /* sums do not change when both ends change places */
		memcpy(t, p + 12, 4);
		memcpy(p + 12, p + 16, 4);
		memcpy(p + 16, t, 4);
		memcpy(t, p + 20, 2);
		memcpy(p + 20, p + 22, 2);
		memcpy(p + 22, t, 2);
	}
	ck_assert_int_eq(fz_memnet_tun_put(back ? &w.g.platform : &w.c.platform, &pkt), 0);
	pass(FZ_MS(20));
}

static unsigned count_files(struct side *s, const char *path, const char *suffix)
{
	char name[FZ_NAME_LEN];
	struct fz_dir *d;
	uint64_t changed_s;
	unsigned n = 0;

	if (s->platform.ops->dir_open(s->platform.ctx, path, &d, &changed_s) != 0)
		return 0;
	while (s->platform.ops->dir_next(s->platform.ctx, d, name)) {
		size_t len = strlen(name), tail = strlen(suffix);
		n += len >= tail && strcmp(name + len - tail, suffix) == 0;
	}
	s->platform.ops->dir_close(s->platform.ctx, d);
	return n;
}

#define AT_CLIENT CLIENT_FLOWS "/initiator/" FLOW_TOKEN_ID
#define AT_GATEWAY GATEWAY_FLOWS "/responder/" FLOW_TOKEN_ID

static void begin_flows(unsigned interval_s, bool local, bool has_dir)
{
	flow_wish.interval_s = interval_s;
	flow_wish.local = local;
	flow_wish.has_dir = has_dir;
	begin(true);
	w.echoes = false;
	tcp(false, 2, 0); /* SYN, waits for access */
	pass(FZ_MS(500));
	tcp(true, 0x12, 0);
	tcp(false, 0x10, 0);
	tcp(false, 0x18, 100);
	tcp(true, 0x18, 1000);
}

static void answer_uploads(struct side *s, const char *role, unsigned *ret_n)
{
	struct fz_http_request q;
	struct fz_http_result r = { .status = 200 };

	while (fz_memnet_http_take(&s->platform, &q)) {
		ck_assert_str_eq(q.method, "POST");
		ck_assert_str_eq(q.url, "http://203.0.113.10:8081/ingestion/flow_logs");
		ck_assert_str_eq(q.headers[0].name, "authorization");
		ck_assert_int_eq(strncmp(q.headers[0].value, "Bearer eyJ", 10), 0);
		char *body = calloc(1, q.body_len + 1);
		memcpy(body, q.body, q.body_len);
		ck_assert_int_eq(strncmp(body, "{\"flow_logs\":[", 14), 0);
		/* Both sides count from the initiator's view. */
		if (strstr(body, "flow_end")) {
			ck_assert_msg(strstr(body, "\"rx_bytes\":1000,") && strstr(body, "\"tx_bytes\":100,"),
				      "%s: %s", role, body);
			ck_assert_ptr_nonnull(strstr(body, "\"inner_src_ip\":\"100.64.0.1\""));
			++*ret_n;
		}
		free(body);
		r.id = q.id;
		ck_assert_int_eq(fz_memnet_http_put(&s->platform, &r), 0);
	}
}

START_TEST(a13_1_reports_reach_the_portal)
{
	unsigned from_client = 0, from_gateway = 0;

	begin_flows(2, false, true);
	tcp(false, 4, 0); /* RST: both see the end */
	for (int i = 0; i < 50 && (from_client == 0 || from_gateway == 0); i++) {
		pass(FZ_MS(100));
		answer_uploads(&w.c, "client", &from_client);
		answer_uploads(&w.g, "gateway", &from_gateway);
	}
	ck_assert_uint_eq(from_client, 1);
	ck_assert_uint_eq(from_gateway, 1);
	pass(FZ_MS(100));
	ck_assert_uint_eq(count_files(&w.c, AT_CLIENT, ".json"), 0);
	ck_assert_uint_eq(count_files(&w.g, AT_GATEWAY, ".json"), 0);
	ck_assert_uint_eq(count_files(&w.g, GATEWAY_FLOWS, "upload.json"), 1);
	end();
}
END_TEST

START_TEST(a13_18_stop_writes_what_is_open)
{
	struct fz_http_request q;

	begin_flows(3600, false, true);
	pass(FZ_MS(1100));
	ck_assert_uint_eq(count_files(&w.g, AT_GATEWAY, ".start.json"), 1);
	ck_assert_uint_eq(count_files(&w.g, AT_GATEWAY, ".end.json"), 0);
	fz_run_shutdown(w.g.run, 1000);
	fz_run_shutdown(w.c.run, 1000);
	ck_assert_uint_eq(count_files(&w.g, AT_GATEWAY, ".start.json"), 0);
	ck_assert_uint_eq(count_files(&w.g, AT_GATEWAY, ".end.json"), 1);
	ck_assert_uint_eq(count_files(&w.c, AT_CLIENT, ".end.json"), 1);
	ck_assert(!fz_memnet_http_take(&w.g.platform, &q)); /* the next start uploads it */
	end();
}
END_TEST

START_TEST(a13_12_nothing_is_kept_while_both_are_off)
{
	begin_flows(0, false, true);
	fz_run_shutdown(w.g.run, 1000);
	ck_assert_uint_eq(count_files(&w.g, GATEWAY_FLOWS, ""), 0);
	ck_assert_uint_eq(count_files(&w.g, "/g", ""), 0);
	end();
	/* Nor where there is no place for it. */
	begin_flows(2, false, false);
	fz_run_shutdown(w.g.run, 1000);
	ck_assert_uint_eq(count_files(&w.g, "/g", ""), 0);
	end();
}
END_TEST

START_TEST(local_flow_logs)
{
	begin_flows(0, true, false);
	pass(FZ_MS(1100));
	ck_assert_uint_eq(w.flow_lines, 2); /* the beginning, at both ends */
	tcp(false, 4, 0);
	pass(FZ_MS(1100));
	ck_assert_uint_eq(w.flow_lines, 4);
	end();
	/* The portal's wish and the local one do not disturb each other. */
	begin_flows(2, true, true);
	fz_run_shutdown(w.g.run, 1000);
	ck_assert_uint_eq(w.flow_lines, 2);
	ck_assert_uint_eq(count_files(&w.g, AT_GATEWAY, ".end.json"), 1);
	end();
}
END_TEST

START_TEST(full_disk_does_not_disturb)
{
	begin_flows(2, false, true);
	fz_memnet_set_disk(&w.g.platform, 0);
	pass(FZ_SEC(2));
	w.echoes = true;
	ck_assert(reaches("10.20.0.1", FZ_MS(300)));
	w.echoes = false;
	tcp(false, 4, 0);
	pass(FZ_SEC(2));
	ck_assert_uint_eq(count_files(&w.g, AT_GATEWAY, ".json"), 0);
	ck_assert_int_eq(w.g.err, 0);
	end();
}
END_TEST

#endif

Suite *unit_suite(void)
{
	Suite *s = suite_create("run");

	unit_case(s, "traffic", both_families, super_packets_whole, super_packets_cut, a21_3_offload_lost);
	unit_case(s, "change", network_change, a5_6_no_socket_at_a_reset, stream_loss, goodbye,
		  interface_deleted);
	unit_case(s, "loop", deadlines, idle_client_sleeps, bad_options);
#ifdef HAVE_FLOW_LOGS
	unit_case(s, "flow logs", a13_1_reports_reach_the_portal, a13_18_stop_writes_what_is_open,
		  a13_12_nothing_is_kept_while_both_are_off, local_flow_logs, full_disk_does_not_disturb);
#endif
	return s;
}
