/* SPDX-License-Identifier: Apache-2.0 */
/* Costs of the packet path without system calls and encryption, per packet of 1,280 bytes, as multiples of
 * copying such a packet in the same run. Machines differ; the ratios hardly do. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/addr.h"
#include "core/cut.h"
#include "core/join.h"
#include "core/route.h"
#include "core/txq.h"
#include "fzconn/env.h"
#include "../unit/packets.h"
#include "wire/csum.h"

#define SEGS 49
#define SEG_PAYLOAD 1228
#define ROUNDS 200

static uint8_t super[FZ_PKT_HEADROOM + FZ_SUPER_MAX], work[FZ_PKT_HEADROOM + FZ_SUPER_MAX];
static uint8_t plain[SEGS][FZ_TUNNEL_MTU];
static volatile uint32_t sink;
static double copy_ns;

static double now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* Best of several tries: what the machine does when nobody disturbs it. Returns ns per call. */
static double best_of(void (*fn)(void *), void *ctx, int calls)
{
	double best = 1e18;

	for (int try = 0; try < 60; try++) {
		double start = now_ns();
		for (int i = 0; i < calls; i++)
			fn(ctx);
		double took = (now_ns() - start) / calls;
		best = took < best ? took : best;
	}
	return best;
}

static void report(const char *name, double ns)
{
	printf("%-44s %8.1f ns  %6.2f x memcpy\n", name, ns, ns / copy_ns);
}

static void copy_packets(void *ctx)
{
	for (int i = 0; i < SEGS; i++) {
		memcpy(work + (size_t)i * FZ_TUNNEL_MTU, plain[i], FZ_TUNNEL_MTU);
		__asm__ volatile("" ::: "memory");
	}
}

static void sum_packets(void *ctx)
{
	for (int i = 0; i < SEGS; i++)
		sink += csum_sum(plain[i], FZ_TUNNEL_MTU);
}

static void parse_packets(void *ctx)
{
	struct ip_view v;

	for (int i = 0; i < SEGS; i++)
		sink += ip_parse_plain(plain[i], FZ_TUNNEL_MTU, &v) + v.dport;
}

static struct fz_pkt fresh_super(void)
{
	struct fz_pkt pkt = ip_pkt(work + FZ_PKT_HEADROOM, 52 + SEGS * SEG_PAYLOAD);

	memcpy(pkt.data, super + FZ_PKT_HEADROOM, pkt.len);
	pkt.gso = FZ_GSO_TCP4;
	pkt.gso_size = SEG_PAYLOAD;
	pkt.needs_csum = 1;
	return pkt;
}

static void only_fresh(void *ctx)
{
	struct fz_pkt pkt = fresh_super();

	sink += pkt.data[100];
}

static void cut_super(void *ctx)
{
	struct fz_pkt pkt = fresh_super();
	struct ip_view v;
	struct cut c;
	const uint8_t *seg;
	size_t len;

	if (ip_parse(&pkt, &v) != IP_OK)
		abort();
	for (cut_init(&c, &pkt, &v); cut_next(&c, &seg, &len);)
		sink += seg[30];
}

static void join_packets(void *ctx)
{
	struct join *j = ctx;
	struct ip_view v;
	struct fz_pkt pkt;

	for (int i = 0; i < SEGS; i++) {
		uint8_t *p = join_reserve(j, FZ_TUNNEL_MTU);
		memcpy(p, plain[i], FZ_TUNNEL_MTU); /* the place of decryption */
		if (ip_parse_plain(p, FZ_TUNNEL_MTU, &v) != IP_OK)
			abort();
		join_commit(j, &v, 0);
	}
	while (join_next(j, &pkt, &(uint32_t){ 0 }))
		sink += pkt.gso_size;
	join_reset(j);
}

struct queue {
	struct txq *q;
	struct fz_addr local, remote[2];
	int peers;
};

static void queue_datagrams(void *ctx)
{
	struct queue *s = ctx;
	struct fz_udp_batch b;

	for (int i = 0; i < SEGS; i++) {
		uint8_t *p = txq_reserve(s->q, &s->local, &s->remote[i % s->peers], 0, 1312);
		*p = 1;
		txq_commit(s->q);
	}
	for (; txq_peek(s->q, &b); txq_pop(s->q))
		sink += b.seg_len;
}

struct routes {
	struct route_table *t;
	struct fz_ip ip;
	uint32_t at, spread;
};

static void find_route(void *ctx)
{
	struct routes *s = ctx;
	bool permitted;

	s->at = s->at + 1 == s->spread ? 0 : s->at + 1;
	s->ip.b[2] = (uint8_t)(s->at >> 8);
	s->ip.b[3] = (uint8_t)s->at;
	sink += route_find(s->t, &s->ip, IP_TCP, 443, &permitted)->id.b[0];
}

static void make_packets(void)
{
	struct mk m = { .payload = SEGS * SEG_PAYLOAD, .opt_len = 12 };

	mk_packet(super + FZ_PKT_HEADROOM, &m);
	for (uint32_t i = 0; i < SEGS; i++) {
		m.payload = SEG_PAYLOAD;
		m.seq = i * SEG_PAYLOAD;
		mk_packet(plain[i], &m);
	}
}

static void bench_join(const char *name, unsigned flags)
{
	struct join *j;

	if (join_new(fz_env_default(), flags, &j) != 0)
		abort();
	report(name, best_of(join_packets, j, ROUNDS) / SEGS - copy_ns);
	join_free(j);
}

static void bench_queue(void)
{
	struct queue s = { .remote = { { .ip = { FZ_FAMILY_INET, { 192, 0, 2, 1 } }, .port = 52625 },
				       { .ip = { FZ_FAMILY_INET, { 192, 0, 2, 2 } }, .port = 52625 } } };

	if (txq_new(fz_env_default(), 8, &s.q) != 0)
		abort();
	s.peers = 1;
	report("txq, one peer", best_of(queue_datagrams, &s, ROUNDS) / SEGS);
	s.peers = 2;
	report("txq, two peers in turn", best_of(queue_datagrams, &s, ROUNDS) / SEGS);
	txq_free(s.q);
}

static void bench_route(void)
{
	struct routes s = { .ip = { FZ_FAMILY_INET, { 100, 96 } } };
	struct filter *f;
	struct portal_filter rules[] = { { PORTAL_PROTO_TCP, 80, 80 }, { PORTAL_PROTO_TCP, 443, 443 } };

	if (route_table_new(fz_env_default(), NULL, 8192, &s.t) != 0 ||
	    filter_new(fz_env_default(), rules, 2, &f) != 0)
		abort();
	for (uint32_t i = 0; i < 4096; i++) {
		struct fz_prefix net = { { FZ_FAMILY_INET, { 100, 96, (uint8_t)(i >> 8), (uint8_t)i } }, 32 };
		struct fz_uuid id = { { 1 } };
		if (route_add(s.t, &net, &id, f, NULL) != 0)
			abort();
	}
	s.spread = 8;
	report("route lookup, 4,096 routes, 8 flows", best_of(find_route, &s, 5000));
	s.spread = 4096;
	report("route lookup, 4,096 routes, 4,096 flows", best_of(find_route, &s, 5000));
	filter_unref(f);
	route_table_free(s.t);
}

int main(void)
{
	make_packets();
	copy_ns = best_of(copy_packets, NULL, ROUNDS) / SEGS;
	report("memcpy of 1,280 bytes", copy_ns);
	report("checksum of 1,280 bytes", best_of(sum_packets, NULL, ROUNDS) / SEGS);
	report("parse", best_of(parse_packets, NULL, ROUNDS) / SEGS);
	double fresh_ns = best_of(only_fresh, NULL, ROUNDS);
	report("cut a super-packet of 49, checksums included",
	       (best_of(cut_super, NULL, ROUNDS) - fresh_ns) / SEGS);
	bench_join("join 49 packets, parse included", JOIN_TCP | JOIN_UDP);
	bench_join("... verifying checksums", JOIN_TCP | JOIN_UDP | JOIN_VERIFY);
	bench_join("... each alone", 0);
	bench_queue();
	bench_route();
	return 0;
}
