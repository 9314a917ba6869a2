/* SPDX-License-Identifier: Apache-2.0 */
#include "stage.h"

#include <stdio.h>

#include "base/addr.h"
#include "wire/csum.h"
#include "wire/ip.h"

static struct fz_ip ip(const char *text)
{
	struct fz_ip a;

	ck_assert_int_eq(fz_ip_parse(text, &a), 0);
	return a;
}

/* ---- packets ---- */

static void finish(uint8_t *p, size_t len, int proto)
{
	size_t l3 = p[0] >> 4 == 4 ? 20 : 40, at = proto == 6 ? 16 : proto == 17 ? 6 : 2;

	if (l3 == 20) {
		mk_be16(p + 10, 0);
		mk_be16(p + 10, (uint16_t)~mk_sum(p, 20, 0));
	}
	mk_be16(p + l3 + at, 0);
	mk_be16(p + l3 + at, mk_l4_csum(p, len, l3, proto));
}

size_t stage_make(uint8_t *p, const char *from, const char *to, int proto, uint16_t port, uint16_t seq)
{
	struct fz_ip src = ip(from), dst = ip(to);
	struct mk m = { .v6 = src.family == FZ_FAMILY_INET6, .proto = proto, .payload = 16, .seed = seq };
	size_t len, l3 = m.v6 ? 40 : 20;

	if (proto == 1 && m.v6)
		proto = m.proto = 58;
	len = mk_packet(p, &m);
	memcpy(p + (m.v6 ? 8 : 12), src.b, m.v6 ? 16 : 4);
	memcpy(p + (m.v6 ? 24 : 16), dst.b, m.v6 ? 16 : 4);
	mk_be16(p + l3 + (proto == 6 || proto == 17 ? 2 : 6), proto == 6 || proto == 17 ? port : seq);
	if (proto == 6 || proto == 17)
		mk_be16(p + l3, 1024u + seq);
	finish(p, len, proto);
	return len;
}

/* What an echo server makes of a packet. */
static void reflect(uint8_t *p, size_t len)
{
	uint8_t t[16];
	size_t n = p[0] >> 4 == 4 ? 4 : 16, at = n == 4 ? 12 : 8, l3 = n == 4 ? 20 : 40;
	int proto = n == 4 ? p[9] : p[6];

	memcpy(t, p + at, n);
	memcpy(p + at, p + at + n, n);
	memcpy(p + at + n, t, n);
	if (proto == 6 || proto == 17) {
		memcpy(t, p + l3, 2);
		memcpy(p + l3, p + l3 + 2, 2);
		memcpy(p + l3 + 2, t, 2);
	} else {
		p[l3] = p[l3] == 8 ? 0 : 129;
	}
	finish(p, len, proto);
}

static void keep(struct stage_packet *to, const struct device *d, const struct fz_pkt *pkt)
{
	to->len = pkt->len;
	to->gso_size = pkt->gso_size;
	to->client = d->opts.number;
	to->at_us = sim_now(d->lines->net);
	memcpy(to->b, pkt->data, pkt->len < sizeof(to->b) ? pkt->len : sizeof(to->b));
}

static void at_resource(void *ctx, struct device *d, struct fz_pkt *pkt)
{
	struct stage *s = ctx;
	uint8_t p[2048];

	s->at_resource++;
	s->resource_bytes += pkt->len;
	keep(&s->last_at_resource, d, pkt);
	if (s->is_deaf || pkt->gso || pkt->len > sizeof(p))
		return;
	memcpy(p, pkt->data, pkt->len);
	reflect(p, pkt->len);
	device_tun(d, p, pkt->len);
}

static void at_client(void *ctx, struct device *d, struct fz_pkt *pkt)
{
	struct stage *s = ctx;

	if (!s->swallows) {
		ck_assert_uint_lt(s->n, STAGE_KEEP);
		keep(&s->got[s->n], d, pkt);
	}
	s->n++;
}

unsigned stage_icmp(const struct stage_packet *p)
{
	if (p->b[0] >> 4 == 4 && p->b[9] == 1)
		return (unsigned)p->b[20] << 8 | p->b[21];
	if (p->b[0] >> 4 == 6 && p->b[6] == 58)
		return (unsigned)p->b[40] << 8 | p->b[41];
	return 0;
}

uint16_t stage_seq(const struct stage_packet *p)
{
	size_t at = p->b[0] >> 4 == 4 ? 26 : 46;

	return (uint16_t)(p->b[at] << 8 | p->b[at + 1]);
}

/* ---- the stage ---- */

static void add_relays(struct stage *s, unsigned n)
{
	const struct sim_site_opts site = { .link = { .delay_us = 1000 } };

	for (unsigned i = 0; i < n; i++) {
		struct relay_opts o = { .ip4 = ip(i ? "203.0.113.102" : "203.0.113.101"),
					.ip6 = ip(i ? "2001:db8:113::102" : "2001:db8:113::101") };
		struct fz_addr a4, a6;
		s->relays[i] = relay_new(s->net, sim_add_site(s->net, &site), &o);
		a4 = relay_addr(s->relays[i], FZ_FAMILY_INET);
		a6 = relay_addr(s->relays[i], FZ_FAMILY_INET6);
		stub_add_relay(s->lines.stub, i, &a4, &a6, RELAY_USERNAME, RELAY_PASSWORD);
	}
}

static int add_device(struct stage *s, const struct stage_opts *opts, bool is_gateway, unsigned number,
		      struct device **ret)
{
	char a[64];
	struct sim_site_opts site = { .nat4 = { .mapping = opts->mapping,
						.filter = opts->mapping == NAT_OPEN ? NAT_FILTER_NONE
										    : NAT_FILTER_PORT,
						.expiry_us = FZ_SEC(120),
						.inbound_refreshes = true },
				      .link = { .delay_us = 2000 } };
	struct device_opts o = { .is_gateway = is_gateway,
				 .number = number,
				 .portal_delay_us = 3000,
				 .env = opts->env ? &opts->env->env : NULL,
				 .seed = number + 100u * is_gateway };
	int err;

	snprintf(a, sizeof(a), "203.0.113.%u", (is_gateway ? 30 : 20) + number);
	site.nat4.public_ip = ip(a);
	if (opts->mapping != NAT_OPEN)
		snprintf(a, sizeof(a), "192.168.%u.2", (is_gateway ? 100 : 0) + number);
	o.ip4 = ip(a);
	if (opts->mapping == NAT_OPEN) {
		snprintf(a, sizeof(a), "2001:db8:%u::2", (is_gateway ? 100 : 0) + number);
		o.ip6 = ip(a);
	}
	err = device_new(&s->lines, sim_add_site(s->net, &site), &o, ret);
	if (err != 0)
		return err;
	(*ret)->packet = is_gateway ? at_resource : at_client;
	(*ret)->packet_ctx = s;
	return 0;
}

int stage_try(struct stage *s, const struct stage_opts *opts)
{
	int err = 0;

	memset(s, 0, sizeof(*s));
	s->net = sim_new(7);
	lines_init(&s->lines, s->net);
	stub_set_resource(s->lines.stub, 1, "10.20.0.0/16", "[]");
	stub_set_resource(s->lines.stub, 2, "fd00:1::/64",
			  "[{\"protocol\":\"tcp\",\"port_range_start\":80,\"port_range_end\":80}]");
	stub_set_resource(s->lines.stub, 3, "10.30.0.0/16", "[]");
	if (!opts->no_relay)
		add_relays(s, opts->n_relays ? opts->n_relays : 1);
	if (!opts->no_gateway)
		err = add_device(s, opts, true, 1, &s->gateway);
	for (unsigned i = 0; i < (opts->n_clients ? opts->n_clients : 1) && err == 0; i++)
		err = add_device(s, opts, false, i + 1, &s->clients[i]);
	if (err == 0)
		stage_pass(s, FZ_SEC(1));
	return err;
}

void stage_begin(struct stage *s, const struct stage_opts *opts)
{
	ck_assert_int_eq(stage_try(s, opts), 0);
}

void stage_end(struct stage *s)
{
	lines_clear(&s->lines);
	relay_free(s->relays[0]);
	relay_free(s->relays[1]);
	sim_free(s->net);
}

void stage_pass(struct stage *s, uint64_t us)
{
	ck_assert_msg(sim_run(s->net, sim_now(s->net) + us), "a flood, or a host that never rests");
}

void stage_send(struct stage *s, struct device *d, const char *from, const char *to, int proto, uint16_t port,
		uint16_t seq)
{
	uint8_t p[200];
	size_t len = stage_make(p, from, to, proto, port, seq);

	(void)s;
	device_tun(d, p, len);
}

void stage_ping(struct stage *s, const char *to, uint16_t seq)
{
	stage_send(s, s->clients[0], strchr(to, ':') ? "fd00:2021:1111::1" : "100.64.0.1", to, 1, 0, seq);
}

bool stage_wait(struct stage *s, unsigned n, uint64_t us)
{
	uint64_t end_us = sim_now(s->net) + us;

	while (s->n < n && sim_now(s->net) < end_us)
		stage_pass(s, FZ_MS(1));
	return s->n >= n;
}

bool stage_reaches(struct stage *s, const char *to, uint64_t us)
{
	static uint16_t seq = 0x7000;
	uint64_t end_us = sim_now(s->net) + us;
	unsigned n = s->n;

	seq++;
	stage_ping(s, to, seq);
	while (sim_now(s->net) < end_us) {
		for (; n < s->n; n++)
			if (stage_seq(&s->got[n]) == seq &&
			    (stage_icmp(&s->got[n]) == 0 || stage_icmp(&s->got[n]) == 129u << 8))
				return true;
		stage_pass(s, FZ_MS(1));
	}
	return false;
}
