/* SPDX-License-Identifier: Apache-2.0 */
/* crowd [CLIENTS] [SEED]: one gateway and a crowd of whole clients (200) in a simulated network. All ask for
 * the resource in the same second, the gateway dies and comes back, one client pours garbage on it while the
 * others go on and a newcomer connects. What a client costs is printed; what it must not cost is checked. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "base/time.h"
#include "base/wr.h"
#include "device.h"
#include "proto/wg_cookie.h"
#include "relay.h"
#include "wire/csum.h"
#include "wire/wg.h"

#define CLIENTS_MAX 1000
/* IPv4 and UDP headers, then client number and sequence number. */
#define PING_LEN (20 + 8 + 8)
#define PING_EVERY_US FZ_SEC(1)
#define PORT 52625
/* Every so manieth client sits behind a firewall that lets it speak with relays only. */
#define RELAYED_EACH 8
#define GARBAGE_PER_MS 20
#define GARBAGE_MS 4000
/* Nobody may wait longer for an answer: after the first packets of all, after the gateway's death. */
#define START_MAX_US FZ_SEC(30)
#define RECOVERY_MAX_US FZ_SEC(60)
/* The whole state that a gateway keeps for a client with a connection and one grant. */
#define CLIENT_BYTES_MAX (24u * 1024)

/* Memory that its owner can count; the length stands in front of each block. */
struct meter {
	struct fz_mem mem;
	size_t bytes, blocks, most;
};

struct member {
	struct device *d;
	uint32_t sent, answered, missed; /* missed: by the time of the next ping */
	uint64_t first_us; /* answer since the last zeroing */
	bool waits;
};

struct crowd {
	struct sim_net *net;
	struct lines lines;
	struct relay *relays[2];
	struct device *gateway;
	struct member v[CLIENTS_MAX + 1];
	unsigned n, tick;
	int open_site, walled_site;
	uint64_t seed;
	struct meter at_gateway, at_clients;
	bool ok;
};

static void FZ_PRINTF(2, 3) failed(struct crowd *c, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	printf("  FAILED: ");
	vprintf(fmt, args);
	printf("\n");
	va_end(args);
	c->ok = false;
}

/* ---- memory ---- */

union block {
	size_t len;
	max_align_t align;
};

static void *meter_realloc(void *ctx, void *p, size_t len)
{
	struct meter *m = ctx;
	union block *b = p ? (union block *)p - 1 : NULL;
	size_t was = b ? b->len : 0;

	b = realloc(b, sizeof(*b) + len);
	if (b == NULL)
		return NULL;
	b->len = len;
	m->blocks += p == NULL;
	m->bytes += len - was;
	if (m->bytes > m->most)
		m->most = m->bytes;
	return b + 1;
}

static void *meter_alloc(void *ctx, size_t len)
{
	return meter_realloc(ctx, NULL, len);
}

static void meter_free(void *ctx, void *p)
{
	struct meter *m = ctx;
	union block *b = (union block *)p - 1;

	if (p == NULL)
		return;
	m->bytes -= b->len;
	m->blocks--;
	free(b);
}

static void meter_init(struct meter *m)
{
	*m = (struct meter){ .mem = { meter_alloc, meter_realloc, meter_free, m } };
}

/* ---- payload ---- */

static void make_ping(uint8_t p[PING_LEN], unsigned number, uint32_t seq)
{
	uint32_t net = number < 256 ? 0 : 1 + number / 256;

	memset(p, 0, PING_LEN);
	p[0] = 0x45;
	fz_put_be16(p + 2, PING_LEN);
	p[8] = 64;
	p[9] = 17;
	fz_put_be32(p + 12, 0x64400000 + (net << 8) + (number & 255));
	fz_put_be32(p + 16, 0x0a140064); /* 10.20.0.100 */
	fz_put_be16(p + 10, csum_finish(csum_sum(p, 20)));
	fz_put_be16(p + 20, 40000);
	fz_put_be16(p + 22, 7);
	fz_put_be16(p + 24, 16); /* no checksum */
	fz_put_be32(p + 28, number);
	fz_put_be32(p + 32, seq);
}

/* The resource: an echo server. */
static void at_resource(void *ctx, struct device *d, struct fz_pkt *pkt)
{
	uint8_t p[PING_LEN];

	(void)ctx;
	if (pkt->len != PING_LEN)
		return;
	memcpy(p, pkt->data, PING_LEN);
	memcpy(p + 12, pkt->data + 16, 4);
	memcpy(p + 16, pkt->data + 12, 4);
	memcpy(p + 20, pkt->data + 22, 2);
	memcpy(p + 22, pkt->data + 20, 2);
	device_tun(d, p, PING_LEN);
}

static void at_client(void *ctx, struct device *d, struct fz_pkt *pkt)
{
	struct crowd *c = ctx;
	struct member *m = &c->v[d->opts.number - 1];

	if (pkt->len != PING_LEN)
		return; /* an ICMP error: no way there for now */
	if (fz_get_be32(pkt->data + 28) != d->opts.number)
		failed(c, "client %u got a packet of another one", d->opts.number);
	if (fz_get_be32(pkt->data + 32) != m->sent)
		return; /* of an earlier ping, which counts as missed */
	m->answered += m->waits;
	m->waits = false;
	if (m->first_us == 0)
		m->first_us = sim_now(c->net);
}

static void ping(struct member *m, unsigned number)
{
	uint8_t p[PING_LEN];

	m->missed += m->waits;
	m->waits = true;
	make_ping(p, number, ++m->sent);
	device_tun(m->d, p, PING_LEN);
}

/* A tenth of a second; everybody pings once a second, in ten groups. */
static void step(struct crowd *c)
{
	for (unsigned i = 0; i < c->n; i++)
		if (i % 10 == c->tick % 10)
			ping(&c->v[i], i + 1);
	c->tick++;
	if (!sim_run(c->net, sim_now(c->net) + PING_EVERY_US / 10))
		failed(c, "the network is flooded, or a host never rests");
}

static void forget_pings(struct crowd *c)
{
	for (unsigned i = 0; i < c->n; i++)
		c->v[i].sent++, c->v[i].waits = false,
				c->v[i].missed = c->v[i].answered = c->v[i].first_us = 0;
}

static unsigned count_answered(const struct crowd *c)
{
	unsigned n = 0;

	for (unsigned i = 0; i < c->n; i++)
		n += c->v[i].first_us != 0;
	return n;
}

/* ---- building ---- */

static struct fz_ip ip4(uint32_t a)
{
	struct fz_ip ip = { .family = FZ_FAMILY_INET };

	fz_put_be32(ip.b, a);
	return ip;
}

static struct device *make_device(struct crowd *c, int site, bool is_gateway, unsigned number)
{
	struct device_opts o = { .is_gateway = is_gateway,
				 .number = number,
				 .ip4 = ip4(is_gateway ? 0xcb007114 : 0xc6120000 + number), /* 198.18.x.x */
				 .portal_delay_us = FZ_MS(5),
				 .mem = is_gateway ? &c->at_gateway.mem : &c->at_clients.mem,
				 .seed = c->seed * 4096 + number + 2048 * is_gateway };
	struct device *d;

	if (device_new(&c->lines, site, &o, &d) != 0)
		abort();
	d->packet = is_gateway ? at_resource : at_client;
	d->packet_ctx = c;
	return d;
}

static void add_member(struct crowd *c)
{
	unsigned number = c->n + 1;

	c->v[c->n] = (struct member){
		.d = make_device(c, number % RELAYED_EACH == 0 ? c->walled_site : c->open_site, false, number)
	};
	c->n++;
}

static void build(struct crowd *c, unsigned clients)
{
	struct sim_site_opts site = { .nat4 = { .mapping = NAT_OPEN },
				      .nat6 = { .mapping = NAT_OPEN },
				      .link = { .delay_us = FZ_MS(5), .jitter_us = FZ_MS(2) } };
	static const struct fz_addr none;

	c->net = sim_new(c->seed);
	lines_init(&c->lines, c->net);
	meter_init(&c->at_gateway);
	meter_init(&c->at_clients);
	stub_set_resource(c->lines.stub, 1, "10.20.0.0/16", "[]");
	for (unsigned i = 0; i < 2; i++) {
		struct relay_opts o = { .ip4 = ip4(0xcb007165 + i) };
		struct fz_addr a;
		c->relays[i] = relay_new(c->net, sim_add_site(c->net, &site), &o);
		a = relay_addr(c->relays[i], FZ_FAMILY_INET);
		stub_add_relay(c->lines.stub, i, &a, &none, RELAY_USERNAME, RELAY_PASSWORD);
	}
	c->open_site = sim_add_site(c->net, &site);
	c->gateway = make_device(c, sim_add_site(c->net, &site), true, 1);
	site.nat4.drops_to_peers = true;
	c->walled_site = sim_add_site(c->net, &site);
	for (unsigned i = 0; i < clients; i++)
		add_member(c);
	if (!sim_run(c->net, sim_now(c->net) + FZ_SEC(3)))
		failed(c, "the network is flooded before anybody speaks");
}

/* ---- checks ---- */

static int compare_u64(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* Until everybody got an answer; how long they waited. */
static void everybody(struct crowd *c, const char *what, uint64_t most_us)
{
	static uint64_t took_us[CLIENTS_MAX + 1];
	uint64_t start_us = sim_now(c->net);

	forget_pings(c);
	while (c->ok && count_answered(c) < c->n && sim_now(c->net) < start_us + most_us)
		step(c);
	if (count_answered(c) < c->n)
		failed(c, "%s: %u of %u clients got an answer within %lu s", what, count_answered(c), c->n,
		       (unsigned long)(most_us / 1000000));
	for (unsigned i = 0; i < c->n; i++)
		took_us[i] = c->v[i].first_us ? c->v[i].first_us - start_us : most_us;
	qsort(took_us, c->n, sizeof(*took_us), compare_u64);
	printf("  %-28s half of them within %.2f s, nine of ten %.2f s, all %.2f s; %lu handshakes sent back "
	       "for a cookie\n",
	       what, (double)took_us[c->n / 2] / 1e6, (double)took_us[c->n * 9 / 10] / 1e6,
	       (double)took_us[c->n - 1] / 1e6, (unsigned long)device_counter(c->gateway, "handshake load"));
}

/* Nothing disturbs them: not one packet is lost. */
static void calm(struct crowd *c, const char *what)
{
	unsigned relayed = 0;

	for (int i = 0; i < 20 && c->ok; i++)
		step(c); /* answers on old paths, better paths */
	forget_pings(c);
	for (int i = 0; i < 100 && c->ok; i++)
		step(c);
	if (!sim_run(c->net, sim_now(c->net) + FZ_SEC(1)))
		failed(c, "the network is flooded in calm times");
	for (unsigned i = 0; i < c->n; i++) {
		const struct device_peer *p = device_peer(c->v[i].d, 1);
		if (c->v[i].answered != 10)
			failed(c, "%s: client %u: %u of 10 pings answered", what, i + 1, c->v[i].answered);
		relayed += p && p->relayed;
	}
	if (relayed != c->n / RELAYED_EACH)
		failed(c, "%s: %u clients use a relay", what, relayed);
}

/* What a client costs the gateway, and a client itself. */
static void weigh(struct crowd *c, size_t before)
{
	size_t each = (c->at_gateway.bytes - before) / c->n;

	printf("  memory: a client costs the gateway %zu bytes; the gateway %zu bytes in %zu blocks, at most "
	       "%zu; a client itself %zu bytes\n",
	       each, c->at_gateway.bytes, c->at_gateway.blocks, c->at_gateway.most,
	       c->at_clients.bytes / c->n);
	if (each > CLIENT_BYTES_MAX)
		failed(c, "a client costs the gateway more than %u bytes", CLIENT_BYTES_MAX);
}

/* ---- garbage ---- */

enum garbage {
	GARBAGE_NOISE,
	GARBAGE_NO_CONN, /* data for no connection */
	GARBAGE_DATA, /* data for a session of somebody else's, with a wrong tag */
	GARBAGE_MAC, /* initiation with a wrong mac1 */
	GARBAGE_INITIATION, /* with a right one; all the rest is noise */
	GARBAGE_CHECK, /* STUN for nobody */
	GARBAGE_KINDS
};

static const char *const garbage_counters[] = { "unknown datagram",  "no connection",  "authentication",
						"handshake refused", "handshake load", "stray STUN" };

static size_t make_garbage(struct crowd *c, enum garbage kind, struct wg_jar *jar, uint8_t buf[1200])
{
	size_t len = 1200;
	uint32_t session = (uint32_t)sim_random(c->net, 3);

	for (size_t i = 0; i < len; i += 8) {
		uint64_t x = sim_random(c->net, UINT64_MAX);
		memcpy(buf + i, &x, 8);
	}
	switch (kind) {
	case GARBAGE_NOISE:
		buf[0] = 0xff;
		break;
	case GARBAGE_NO_CONN:
		/* A slot that was never in use. */
		wg_put_data_header(buf, 0x3fff << 8 | session, sim_random(c->net, 1000));
		break;
	case GARBAGE_DATA:
		wg_put_data_header(
			buf, c->gateway->peers[sim_random(c->net, c->gateway->n_peers)].number << 8 | session,
			1000000);
		break;
	case GARBAGE_MAC:
	case GARBAGE_INITIATION:
		len = WG_INITIATION_LEN;
		fz_put_le32(buf, WG_INITIATION);
		if (kind == GARBAGE_INITIATION && wg_jar_sign(jar, buf, len, sim_now(c->net)) != 0)
			abort();
		break;
	case GARBAGE_CHECK:
		len = 20;
		memcpy(buf, "\0\1\0\0\x21\x12\xa4\x42", 8);
		break;
	case GARBAGE_KINDS:
		break;
	}
	return len;
}

static uint64_t drops(const struct crowd *c)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < sizeof(garbage_counters) / sizeof(*garbage_counters); i++)
		sum += device_counter(c->gateway, garbage_counters[i]);
	return sum;
}

/* The first client sends it, from the address that its connection uses, as fast as it can. In the middle
 * somebody new comes. */
static void pour(struct crowd *c, struct wg_jar *jar)
{
	struct fz_addr from = { .ip = c->v[0].d->opts.ip4, .port = PORT },
		       to = { .ip = c->gateway->opts.ip4, .port = PORT };
	uint8_t buf[1200];

	for (unsigned ms = 0; ms < GARBAGE_MS && c->ok; ms++) {
		for (unsigned i = 0; i < GARBAGE_PER_MS; i++) {
			enum garbage kind = (enum garbage)((ms * GARBAGE_PER_MS + i) % GARBAGE_KINDS);
			size_t len = make_garbage(c, kind, jar, buf);
			sim_send(c->net, c->v[0].d->host, &from, &to, buf, len);
		}
		if (ms == GARBAGE_MS / 4)
			add_member(c);
		for (unsigned i = 0; i < c->n; i++)
			if (i % 1000 == ms % 1000)
				ping(&c->v[i], i + 1);
		if (!sim_run(c->net, sim_now(c->net) + FZ_MS(1)))
			failed(c, "the garbage floods the network");
	}
}

static void garbage(struct crowd *c)
{
	struct wg_jar jar = { 0 };
	struct fz_key key;
	uint64_t before = drops(c), sent = (uint64_t)GARBAGE_MS * GARBAGE_PER_MS;
	size_t bytes = c->at_gateway.bytes, grown;
	unsigned old = c->n;

	if (!stub_key(c->lines.stub, true, 1, &key) || wg_mac_keys_init(&jar.keys, &key) != 0)
		abort();
	forget_pings(c);
	pour(c, &jar);
	if (!sim_run(c->net, sim_now(c->net) + FZ_SEC(1)))
		failed(c, "the network is flooded after the garbage");
	printf("  garbage: %lu datagrams, dropped %lu;", (unsigned long)sent,
	       (unsigned long)(drops(c) - before));
	for (size_t i = 0; i < GARBAGE_KINDS; i++)
		printf(" %s %lu%s", garbage_counters[i],
		       (unsigned long)device_counter(c->gateway, garbage_counters[i]),
		       i + 1 < GARBAGE_KINDS ? "," : "");
	grown = c->at_gateway.bytes > bytes ? c->at_gateway.bytes - bytes : 0;
	printf("; the gateway grew by %zu bytes\n", grown);
	for (size_t i = 0; i < GARBAGE_KINDS; i++)
		if (device_counter(c->gateway, garbage_counters[i]) < sent / GARBAGE_KINDS / 8)
			failed(c, "hardly any garbage counts as %s", garbage_counters[i]);
	/* Others' handshakes may be among those under load. */
	if (drops(c) - before < sent || drops(c) - before > sent + sent / 100)
		failed(c, "the counters miss garbage, or count what is none");
	if (grown > 2 * CLIENT_BYTES_MAX)
		failed(c, "garbage makes the gateway grow");
	for (unsigned i = 1; i < old; i++)
		if (c->v[i].answered != GARBAGE_MS / 1000)
			failed(c, "client %u: %u of %u pings answered beside the garbage", i + 1,
			       c->v[i].answered, GARBAGE_MS / 1000);
}

int main(int argc, char **argv)
{
	static struct crowd c;
	unsigned clients = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 200;
	size_t before;

	if (clients < 2 || clients > CLIENTS_MAX || argc > 3) {
		fprintf(stderr, "usage: crowd [CLIENTS, 2 to %u] [SEED]\n", CLIENTS_MAX);
		return 2;
	}
	c.ok = true;
	c.seed = argc > 2 ? strtoul(argv[2], NULL, 10) : 1;
	printf("%u clients\n", clients);
	build(&c, clients);
	before = c.at_gateway.bytes;
	everybody(&c, "first packets:", START_MAX_US);
	calm(&c, "after the start");
	weigh(&c, before);
	device_restart(c.gateway);
	everybody(&c, "gateway killed and started:", RECOVERY_MAX_US);
	calm(&c, "after the restart");
	garbage(&c);
	everybody(&c, "after the garbage:", START_MAX_US);
	printf("  portal: %u requests, %u candidates\n", stub_stats(c.lines.stub)->requests,
	       stub_stats(c.lines.stub)->candidates);
	lines_clear(&c.lines);
	for (unsigned i = 0; i < 2; i++)
		relay_free(c.relays[i]);
	sim_free(c.net);
	if (c.at_gateway.blocks + c.at_clients.blocks > 0)
		failed(&c, "%zu blocks of memory were never given back",
		       c.at_gateway.blocks + c.at_clients.blocks);
	return c.ok ? 0 : 1;
}
