/* SPDX-License-Identifier: Apache-2.0 */
/* Costs of one query to the stub resolver without system calls, as multiples of copying a packet of 1,280
 * bytes in the same run: names from the cache, of a resource among 10,000, and names that are passed on. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/time.h"
#include "base/wr.h"
#include "core/dns_stub.h"

#define PATTERNS 10000
#define CALLS 2000

static struct dns_stub *stub;
static const struct dns_origin origin = { .sentinel = { FZ_FAMILY_INET, { 100, 100, 111, 1 } },
					  .peer = { .ip = { FZ_FAMILY_INET, { 100, 64, 0, 1 } },
						    .port = 50000 } };
static uint64_t asked;

static double now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* Best of several tries, in ns per call. */
static double best_of(void (*fn)(const void *), const void *ctx)
{
	double best = 1e18;

	for (int try = 0; try < 30; try++) {
		double t = now_ns();
		for (int i = 0; i < CALLS; i++)
			fn(ctx);
		t = (now_ns() - t) / CALLS;
		best = t < best ? t : best;
	}
	return best;
}

static void copy(const void *ctx)
{
	static uint8_t from[1280], to[1280];

	(void)ctx;
	from[0]++;
	memcpy(to, from, sizeof(to));
	__asm__ volatile("" : : "r"(to) : "memory");
}

struct query {
	uint8_t buf[300];
	size_t len;
};

static struct query make(const char *name)
{
	struct query q = { { 0x12, 0x34, 1, 0, 0, 1 }, 0 };
	struct dns_name n;

	if (dns_name_parse(name, &n) != 0)
		abort();
	memcpy(q.buf + 12, n.b, n.len);
	q.buf[12 + n.len + 1] = DNS_A;
	q.buf[12 + n.len + 3] = DNS_CLASS_IN;
	q.len = 16u + n.len;
	return q;
}

/* One query and all that comes of it; a server answers at once. */
static void ask(const void *ctx)
{
	static const uint8_t record[16] = { 0xc0, 0x0c, 0, 1, 0, 1, 0, 0, 0x0e, 0x10, 0, 4, 203, 0, 113, 1 };
	const struct query *q = ctx;
	struct dns_out out;
	uint8_t reply[400];

	if (dns_stub_handle_query(stub, &origin, q->buf, q->len, FZ_SEC(1)) != 0)
		abort();
	while (dns_stub_poll(stub, &out, FZ_SEC(1))) {
		asked += out.type == DNS_OUT_ANSWER;
		if (out.type != DNS_OUT_EXCHANGE)
			continue;
		memcpy(reply, q->buf, q->len);
		reply[2] |= 0x80;
		reply[7] = 1;
		memcpy(reply + q->len, record, sizeof(record));
		if (q->buf[3] != 0) /* marked: nothing that is kept */
			reply[q->len + 8] = reply[q->len + 9] = 0;
		dns_stub_handle_answer(stub, out.u.exchange.id, 0, reply, q->len + sizeof(record), FZ_SEC(1));
	}
}

static void configure(struct proxy_ips *ips)
{
	struct fz_ip server = { FZ_FAMILY_INET, { 192, 0, 2, 1 } };
	char text[64];

	if (dns_stub_new(fz_env_default(), ips, &stub) != 0)
		abort();
	dns_stub_set_system(stub, &server, 1, 0);
	for (int i = 0; i < PATTERNS; i++) {
		struct portal_resource r = { .type = PORTAL_RESOURCE_DNS, .name = "r", .address = text };
		fz_put_be32(r.id.b, (uint32_t)i);
		snprintf(text, sizeof(text), "*.host%d.corp.example", i);
		if (dns_stub_add_resource(stub, &r) != 0)
			abort();
	}
}

int main(void)
{
	struct query kept = make("www.example.org"), of_resource = make("db.host777.corp.example"),
		     passed_on = make("other.example.org");
	struct proxy_ips *ips;
	double base;

	if (proxy_ips_new(fz_env_default(), PROXY_DOMAINS_MAX, &ips) != 0)
		return 1;
	configure(ips);
	passed_on.buf[3] = 0x20; /* AD, which changes nothing */
	base = best_of(copy, NULL);
	printf("copy of a packet                        1.0 (%.0f ns)\n", base);
	printf("name from the cache                     %.1f\n", best_of(ask, &kept) / base);
	printf("name of a resource among %d          %.1f\n", PATTERNS, best_of(ask, &of_resource) / base);
	printf("name passed on and answered             %.1f\n", best_of(ask, &passed_on) / base);
	dns_stub_free(stub);
	proxy_ips_free(ips);
	return asked == 3 * 30 * CALLS ? 0 : 1;
}
