/* SPDX-License-Identifier: Apache-2.0 */
/* What filters and translation cost a gateway for each packet or super-packet, as multiples of the smallest
 * case in the same run. Machines differ; the ratios hardly do. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../unit/packets.h"
#include "core/grants.h"
#include "core/nat_table.h"
#include "fzconn/env.h"

#define CALLS 20000
#define SESSIONS 100000
#define NOW 1000000

static volatile uint32_t sink;

static double now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* Best of several tries: what the machine does when nobody disturbs it. Returns ns per call. */
static double best_of(void (*fn)(void *), void *ctx)
{
	double best = 1e18;

	for (int try = 0; try < 30; try++) {
		double start = now_ns();
		for (int i = 0; i < CALLS; i++)
			fn(ctx);
		double took = (now_ns() - start) / CALLS;
		best = took < best ? took : best;
	}
	return best;
}

static double report(const char *name, double ns, double base_ns)
{
	printf("%-52s %8.1f ns  %6.2f x\n", name, ns, base_ns > 0 ? ns / base_ns : 1);
	return ns;
}

/* ---- filters ---- */

struct check {
	struct grants grants;
	struct fz_ip ip;
	uint16_t port;
};

static void check_packet(void *ctx)
{
	struct check *c = ctx;
	const struct fz_uuid *resource;

	c->port = c->port == 1010 ? 1004 : 1010; /* admitted and refused in turns */
	sink += grants_check(&c->grants, &c->ip, IP_TCP, c->port, &resource);
}

static double bench_filter(const char *name, size_t entries, double base_ns)
{
	struct portal_filter rules[100];
	struct portal_resource r = { .type = PORTAL_RESOURCE_CIDR,
				     .net = { { FZ_FAMILY_INET, { 10, 20 } }, 16 },
				     .filters = rules,
				     .filters_len = entries };
	struct check c = { .ip = { FZ_FAMILY_INET, { 10, 20, 0, 1 } } };

	for (size_t i = 0; i < entries; i++)
		rules[i] = (struct portal_filter){ PORTAL_PROTO_TCP, (uint16_t)(1010 - i * 10),
						   (uint16_t)(1012 - i * 10) };
	if (grants_init(&c.grants, fz_env_default()) != 0 || grants_upsert(&c.grants, &r, GRANT_FOREVER) != 0)
		abort();
	double ns = report(name, best_of(check_packet, &c), base_ns);
	grants_clear(&c.grants);
	return ns;
}

/* ---- translation ---- */

struct flows {
	struct nat_table t;
	uint8_t room[FZ_PKT_HEADROOM + FZ_SUPER_MAX];
	size_t len;
	uint32_t at, spread;
};

static struct fz_ip proxy_of(uint32_t i)
{
	return (struct fz_ip){ FZ_FAMILY_INET, { 100, 96, (uint8_t)(i >> 8 & 63), (uint8_t)i } };
}

static struct fz_ip real_of(uint32_t i)
{
	return (struct fz_ip){ FZ_FAMILY_INET, { 10, 0, (uint8_t)(i >> 8 & 63), (uint8_t)i } };
}

static uint16_t port_of(uint32_t i)
{
	return (uint16_t)(1024 + (i >> 14));
}

static void open_flows(struct nat_table *t, uint32_t n)
{
	struct nat_session *s;

	for (uint32_t i = 0; i < n; i++) {
		struct fz_ip real = real_of(i);
		struct ip_view v = { .version = 4, .kind = IP_TCP, .sport = port_of(i), .dst = proxy_of(i) };
		if (nat_open(t, &v, &real, NULL, NOW, &s) != 0)
			abort();
	}
}

/* There and back: look-ups by both keys, two translations. The packet is as before then. */
static void translate(void *ctx)
{
	struct flows *f = ctx;
	struct fz_pkt pkt = ip_pkt(f->room + FZ_PKT_HEADROOM, f->len);
	struct ip_view v = { .version = 4, .kind = IP_TCP, .l3_len = 20, .len = (uint32_t)f->len };
	struct nat_session *s;

	f->at = f->at + 1 >= f->spread ? 0 : f->at + 1;
	v.sport = v.dport = port_of(f->at);
	v.dst = proxy_of(f->at);
	s = nat_find_outbound(&f->t, &v, NOW);
	nat_outbound(s, &pkt, &v, NOW);
	v.src = v.dst;
	if (nat_find_inbound(&f->t, &v, NOW, &s) == NAT_FOUND)
		nat_inbound(s, &pkt, &v, NOW);
	sink += v.dport;
}

static double bench_nat(const char *name, uint32_t sessions, uint32_t spread, size_t payload, double base_ns)
{
	static struct flows f;
	struct mk m = { .payload = payload };
	struct nat_pool *pool;

	if (nat_pool_new(fz_env_default(), 2 * SESSIONS, 2 * SESSIONS, &pool) != 0)
		abort();
	nat_table_init(&f.t, pool);
	open_flows(&f.t, sessions);
	f.len = mk_packet(f.room + FZ_PKT_HEADROOM, &m);
	f.spread = spread;
	double ns = report(name, best_of(translate, &f), base_ns);
	nat_table_clear(&f.t);
	nat_pool_free(pool);
	return ns;
}

int main(void)
{
	double base_ns = bench_filter("grant and filter of 1 entry", 1, 0);

	bench_filter("... of 100 entries", 100, base_ns);
	base_ns = bench_nat("translation there and back, 1 session", 1, 1, 1200, 0);
	bench_nat("... a super-packet of 60,000 bytes", 1, 1, 60000, base_ns);
	bench_nat("... 100,000 sessions, 1 of them busy", SESSIONS, 1, 1200, base_ns);
	bench_nat("... 100,000 sessions, 8 busy", SESSIONS, 8, 1200, base_ns);
	bench_nat("... 100,000 sessions, all busy", SESSIONS, SESSIONS, 1200, base_ns);
	return 0;
}
