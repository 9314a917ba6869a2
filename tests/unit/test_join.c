/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <stdio.h>

#include "base/rng.h"
#include "base/wr.h"
#include "core/cut.h"
#include "core/join.h"
#include "packets.h"
#include "wire/csum.h"

#define BOTH (JOIN_TCP | JOIN_UDP)

static struct join *make(struct unit_env *u, unsigned flags)
{
	struct join *j = NULL;

	unit_env_init(u, 5);
	ck_assert_int_eq(join_new(&u->env, flags, &j), 0);
	return j;
}

/* Feed a packet, with some padding now and then, as if it came out of decryption. */
static void feed(struct join *j, const uint8_t *pkt, size_t len)
{
	size_t padded = (len + 15) & ~(size_t)15;
	uint8_t *p = join_reserve(j, padded);
	struct ip_view v;

	ck_assert_ptr_nonnull(p);
	memset(p, 0xcc, padded);
	memcpy(p, pkt, len);
	ck_assert_int_eq(ip_parse_plain(p, padded, &v), IP_OK);
	join_commit(j, &v, 0);
}

static void feed_mk(struct join *j, const struct mk *m)
{
	uint8_t buf[1400];

	feed(j, buf, mk_packet(buf, m));
}

/* One letter per packet: what arrives, and what leaves as text. */
struct step {
	unsigned flow;
	size_t payload;
	int flags, gap; /* gap: bytes missing before it */
};

static void run_steps(const char *why, unsigned flags, int proto, int v6, const struct step *steps, size_t n,
		      const char *want)
{
	struct unit_env u;
	struct join *j = make(&u, flags);
	uint32_t seq[4] = { 1000, 2000, 3000, 4000 };
	char got[400] = "";
	struct fz_pkt pkt;

	for (size_t i = 0; i < n; i++) {
		unsigned f = steps[i].flow;
		seq[f] += (uint32_t)steps[i].gap;
		struct mk m = { .v6 = v6,
				.proto = proto,
				.flow = f,
				.payload = steps[i].payload,
				.flags = steps[i].flags,
				.seq = seq[f],
				.opt_len = 12,
				.seed = (unsigned)i };
		feed_mk(j, &m);
		seq[f] += (uint32_t)steps[i].payload;
	}
	while (join_next(j, &pkt, &(uint32_t){ 0 })) {
		struct ip_view v;
		size_t at = strlen(got);
		ck_assert_int_eq(ip_parse(&pkt, &v), IP_OK);
		snprintf(got + at, sizeof(got) - at, "%c%u", 'A' + (v.sport - 40000), v.len - v.hdr_len);
		at = strlen(got);
		if (pkt.gso)
			snprintf(got + at, sizeof(got) - at, "/%u", pkt.gso_size);
		strcat(got, " ");
	}
	ck_assert_msg(strcmp(got, want) == 0, "%s: got \"%s\", expected \"%s\"", why, got, want);
	join_free(j);
	unit_env_check(&u);
}

#define STEPS(...)                                                                                           \
	(const struct step[]){ __VA_ARGS__ },                                                                \
		sizeof((const struct step[]){ __VA_ARGS__ }) / sizeof(struct step)

START_TEST(test_table)
{
	for (int v6 = 0; v6 < 2; v6++) {
		run_steps("run", BOTH, 6, v6, STEPS({ 0, 1200 }, { 0, 1200 }, { 0, 1200 }), "A3600/1200 ");
		run_steps("shorter one closes", BOTH, 6, v6,
			  STEPS({ 0, 1200 }, { 0, 1200 }, { 0, 600 }, { 0, 1200 }), "A3000/1200 A1200 ");
		run_steps("longer one does not fit", BOTH, 6, v6, STEPS({ 0, 600 }, { 0, 1200 }, { 0, 1200 }),
			  "A600 A2400/1200 ");
		run_steps("PSH closes", BOTH, 6, v6, STEPS({ 0, 1200 }, { 0, 1200, 0x18 }, { 0, 1200 }),
			  "A2400/1200 A1200 ");
		run_steps("FIN with data closes", BOTH, 6, v6, STEPS({ 0, 1200 }, { 0, 1200, 0x11 }),
			  "A2400/1200 ");
		run_steps("interleaved flows", BOTH, 6, v6,
			  STEPS({ 0, 1200 }, { 1, 1200 }, { 0, 1200 }, { 1, 1200 }, { 1, 1200 }, { 0, 100 },
				{ 1, 7 }),
			  "A2500/1200 B3607/1200 ");
		run_steps("gap", BOTH, 6, v6, STEPS({ 0, 1200 }, { 0, 1200, 0, 1 }), "A1200 A1200 ");
		run_steps("FIN without data", BOTH, 6, v6, STEPS({ 0, 1200 }, { 0, 0, 0x11 }, { 0, 1200 }),
			  "A1200 A0 A1200 ");
		run_steps("bare ACK keeps its place", BOTH, 6, v6,
			  STEPS({ 0, 1200 }, { 0, 0 }, { 0, 1200 }, { 0, 1200 }), "A1200 A0 A2400/1200 ");
		run_steps("ACKs of another flow do not disturb", BOTH, 6, v6,
			  STEPS({ 0, 1200 }, { 1, 0 }, { 0, 1200 }, { 1, 0 }, { 0, 1200 }),
			  "A3600/1200 B0 B0 ");
		run_steps("SYN, RST, URG stay alone", BOTH, 6, v6,
			  STEPS({ 0, 10, 0x12 }, { 0, 10, 0x14 }, { 0, 10, 0x30 }, { 0, 10, 0x90 }),
			  "A10 A10 A10 A10 ");
		run_steps("ECE on all of them", BOTH, 6, v6,
			  STEPS({ 0, 100, 0x50 }, { 0, 100, 0x50 }, { 0, 100, 0x10 }), "A200/100 A100 ");
		run_steps("tiny payloads", BOTH, 6, v6,
			  STEPS({ 0, 1 }, { 0, 1 }, { 0, 1 }, { 0, 1 }, { 0, 2 }), "A4/1 A2 ");
		run_steps("UDP", BOTH, 17, v6, STEPS({ 0, 500 }, { 0, 500 }, { 0, 500 }, { 0, 200 }),
			  "A1700/500 ");
		run_steps("UDP, several flows", BOTH, 17, v6,
			  STEPS({ 0, 500 }, { 1, 500 }, { 2, 60 }, { 0, 500 }, { 1, 500 }, { 2, 61 }),
			  "A1000/500 B1000/500 C60 C61 ");
		run_steps("empty UDP", BOTH, 17, v6, STEPS({ 0, 0 }, { 0, 0 }), "A0 A0 ");
		run_steps("no TCP", JOIN_UDP, 6, v6, STEPS({ 0, 500 }, { 0, 500 }), "A500 A500 ");
		run_steps("no UDP", JOIN_TCP, 17, v6, STEPS({ 0, 500 }, { 0, 500 }), "A500 A500 ");
		run_steps("nothing", 0, 6, v6, STEPS({ 0, 500 }, { 0, 500 }), "A500 A500 ");
		run_steps("verified", BOTH | JOIN_VERIFY, 6, v6, STEPS({ 0, 500 }, { 0, 500 }), "A1000/500 ");
	}
}
END_TEST

/* Fields that all segments share must be equal. */
START_TEST(test_fields)
{
	static const struct {
		const char *why;
		struct mk second;
		int joined;
	} cases[] = {
		{ "equal", { .ttl = 64 }, 1 },
		{ "TTL", { .ttl = 63 }, 0 },
		{ "DSCP", { .tos = 4 }, 0 },
		{ "ECN", { .tos = 1 }, 0 },
		{ "acknowledgement", { .ack = 1 }, 0 },
		{ "option length", { .opt_len = 4 }, 0 },
		{ "flow", { .flow = 1 }, 0 },
		{ "identification", { .id = 99 }, 1 },
	};
	struct unit_env u;
	struct fz_pkt pkt;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		for (int v6 = 0; v6 < 2; v6++) {
			struct join *j = make(&u, BOTH);
			struct mk a = { .v6 = v6, .payload = 300 }, b = cases[i].second;
			b.v6 = v6;
			b.payload = b.seq = 300;
			feed_mk(j, &a);
			feed_mk(j, &b);
			ck_assert(join_next(j, &pkt, &(uint32_t){ 0 }));
			ck_assert_msg((pkt.gso != 0) == cases[i].joined, "%s", cases[i].why);
			join_free(j);
		}
	}

	/* IPv4 options and IPv6 extension headers: never. */
	struct join *j = make(&u, BOTH);
	for (uint32_t i = 0; i < 2; i++)
		feed_mk(j, &(struct mk){ .ip_opt_len = 4, .payload = 100, .seq = i * 100 });
	ck_assert(join_next(j, &pkt, &(uint32_t){ 0 }));
	ck_assert_uint_eq(pkt.gso, 0);
	join_reset(j);
	for (int i = 0; i < 2; i++) {
		uint8_t buf[64];
		size_t len = unit_hex(
			buf, sizeof(buf),
			"6000000000111140 fd000000000000000000000000000001 fd000000000000000000000000000002"
			"1100 010400000000 9c40 14b5 0009 0000 55");
		buf[6] = 0;
		feed(j, buf, len);
	}
	ck_assert(join_next(j, &pkt, &(uint32_t){ 0 }));
	ck_assert_uint_eq(pkt.gso, 0);
	join_free(j);
}
END_TEST

/* The newest window and PSH win; damaged packets stay alone when asked to verify. */
START_TEST(test_details)
{
	struct unit_env u;
	struct join *j = make(&u, BOTH | JOIN_VERIFY);
	uint8_t buf[1400];
	struct fz_pkt pkt;
	struct mk m = { .payload = 1000 };

	for (int i = 0; i < 3; i++) {
		size_t len;
		m.seq = (uint32_t)i * 1000;
		m.flags = i == 2 ? 0x18 : 0x10;
		len = mk_packet(buf, &m);
		mk_be16(buf + 34, 100 + (size_t)i);
		mk_be16(buf + 36, 0);
		mk_be16(buf + 36, mk_l4_csum(buf, len, 20, 6));
		feed(j, buf, len);
	}
	ck_assert(join_next(j, &pkt, &(uint32_t){ 0 }));
	ck_assert_uint_eq(pkt.len, 3040);
	ck_assert_uint_eq(fz_get_be16(pkt.data + 34), 102);
	ck_assert_uint_eq(pkt.data[33], 0x18);
	ck_assert_uint_eq(pkt.needs_csum, 1);
	ck_assert_uint_eq(pkt.csum_start, 20);
	ck_assert_uint_eq(pkt.csum_offset, 16);
	ck_assert(!join_next(j, &pkt, &(uint32_t){ 0 }));

	join_reset(j);
	m.flags = 0;
	for (int i = 0; i < 3; i++) {
		m.seq = (uint32_t)i * 1000;
		size_t len = mk_packet(buf, &m);
		buf[500] ^= i == 1;
		feed(j, buf, len);
	}
	for (int i = 0; i < 3; i++) {
		ck_assert(join_next(j, &pkt, &(uint32_t){ 0 }));
		ck_assert_uint_eq(pkt.gso, 0);
	}
	join_free(j);
}
END_TEST

/* The seeds of reference: what the kernel expects in the checksum field. */
START_TEST(test_seed)
{
	struct unit_env u;
	struct join *j = make(&u, BOTH);
	struct fz_pkt pkt;

	for (uint32_t i = 0; i < 2; i++) {
		struct mk m = { .payload = 1228, .opt_len = 12, .seq = i * 1228, .id = 0x1234 };
		feed_mk(j, &m);
	}
	ck_assert(join_next(j, &pkt, &(uint32_t){ 0 }));
	/* 100.64.0.1 to 10.20.0.100, TCP header of 32 bytes, 2,456 of payload. */
	unit_assert_hex(pkt.data, 20, "4500 09cc 1234 4000 4006 b03f 6440 0001 0a14 0064");
	ck_assert_uint_eq(fz_get_be16(pkt.data + 36), 0x7877);
	join_reset(j);
	for (int i = 0; i < 2; i++) {
		struct mk m = { .proto = 17, .payload = 1252 };
		feed_mk(j, &m);
	}
	ck_assert(join_next(j, &pkt, &(uint32_t){ 0 }));
	ck_assert_uint_eq(fz_get_be16(pkt.data + 26), 0x789a);
	ck_assert_uint_eq(fz_get_be16(pkt.data + 24), 2512);
	join_free(j);
}
END_TEST

START_TEST(test_limits)
{
	struct unit_env u;
	struct join *j = make(&u, BOTH);
	struct fz_pkt pkt;
	struct join_stats st;
	struct mk m = { .payload = 1240 };

	/* 65,535 bytes at most: 40 + 52 x 1,240 fits, 53 do not. */
	for (uint32_t i = 0; i < 54; i++) {
		m.seq = i * 1240;
		feed_mk(j, &m);
	}
	ck_assert(join_next(j, &pkt, &(uint32_t){ 0 }));
	ck_assert_uint_eq(pkt.len, 40 + 52 * 1240);
	ck_assert(join_next(j, &pkt, &(uint32_t){ 0 }));
	ck_assert_uint_eq(pkt.len, 40 + 2 * 1240);
	ck_assert(!join_next(j, &pkt, &(uint32_t){ 0 }));

	/* 64 UDP segments. */
	join_reset(j);
	m = (struct mk){ .proto = 17, .payload = 8 };
	for (int i = 0; i < 65; i++)
		feed_mk(j, &m);
	ck_assert(join_next(j, &pkt, &(uint32_t){ 0 }));
	ck_assert_uint_eq(pkt.len, 28 + 64 * 8);
	ck_assert(join_next(j, &pkt, &(uint32_t){ 0 }));
	ck_assert_uint_eq(pkt.len, 28 + 8);

	/* Full: as many as fit, then room again. */
	join_reset(j);
	ck_assert_ptr_null(join_reserve(j, 0));
	ck_assert_ptr_null(join_reserve(j, FZ_TUNNEL_MTU + 16));
	int n = 0;
	m = (struct mk){ .proto = 1, .payload = 1252 };
	for (; join_reserve(j, FZ_TUNNEL_MTU) != NULL; n++)
		feed_mk(j, &m);
	ck_assert_int_ge(n, 90); /* more than one batch of 64 KiB brings */
	for (int i = 0; i < n; i++) {
		ck_assert(join_next(j, &pkt, &(uint32_t){ 0 }));
		ck_assert_uint_eq(pkt.len, FZ_TUNNEL_MTU);
	}
	ck_assert(!join_next(j, &pkt, &(uint32_t){ 0 }));
	join_reset(j);
	ck_assert_ptr_nonnull(join_reserve(j, FZ_TUNNEL_MTU));
	m.payload = 0;
	for (n = 0; join_reserve(j, 28) != NULL; n++)
		feed_mk(j, &m);
	ck_assert_int_ge(n, 128);
	join_stats(j, &st);
	ck_assert_uint_eq(st.full, 4);
	join_free(j);
	unit_env_check(&u);
}
END_TEST

/* Reservations that came to nothing leave no trace, wherever they lay. */
START_TEST(test_cancel)
{
	struct unit_env u;
	struct join *j = make(&u, BOTH);
	struct fz_pkt pkt;
	uint8_t want[5000], buf[1400];
	size_t at = 40;

	for (uint32_t i = 0; i < 3; i++) {
		uint8_t *p = join_reserve(j, 1280);
		memset(p, 0xee, 1280);
		if (i & 1)
			join_cancel(j);
		struct mk m = { .payload = 20, .seq = i * 20, .seed = i };
		size_t len = mk_packet(buf, &m);
		memcpy(want + at, buf + 40, 20);
		at += 20;
		feed(j, buf, len);
	}
	memset(join_reserve(j, 1280), 0xdd, 1280);
	ck_assert(join_next(j, &pkt, &(uint32_t){ 0 }));
	ck_assert_uint_eq(pkt.len, at);
	ck_assert_mem_eq(pkt.data + 40, want + 40, at - 40);
	join_free(j);
}
END_TEST

/* What is read back of a stream of packets: per flow the bytes, in order. */
struct tape {
	uint8_t *bytes;
	size_t len;
};

static void record(struct tape *t, const uint8_t *seg, size_t len)
{
	t->bytes = realloc(t->bytes, t->len + len + 2);
	mk_be16(t->bytes + t->len, len);
	memcpy(t->bytes + t->len + 2, seg, len);
	t->len += len + 2;
}

/* Fields that joining may change without harm: IPv4 identification and checksum; of TCP the window, PSH (only
 * the last keeps it), checksum; and padding of none. */
static void normalise(uint8_t *p, const struct ip_view *v)
{
	if (v->version == 4)
		memset(p + 4, 0, 2), memset(p + 10, 0, 2);
	if (v->kind == IP_TCP)
		memset(p + v->l3_len + 14, 0, 4);
	if (v->kind == IP_UDP)
		memset(p + v->l3_len + 6, 0, 2);
}

#define FLOWS 6

static unsigned flow_of(const struct ip_view *v)
{
	return v->kind == IP_TCP || v->kind == IP_UDP ? v->sport - 40000u : 0;
}

/* Random traffic, joined and cut again, is the traffic itself: per flow and protocol, in order. */
static void run_twin(uint64_t seed, unsigned flags)
{
	struct unit_env u;
	struct join *j = NULL;
	struct tape in[2][FLOWS] = { 0 }, out[2][FLOWS] = { 0 };
	uint32_t seq[FLOWS] = { 0 };
	size_t size[FLOWS];

	unit_env_init(&u, seed);
	ck_assert_int_eq(join_new(&u.env, flags, &j), 0);
	for (int i = 0; i < FLOWS; i++)
		size[i] = 1 + fz_rng_below(&u.env, 1200);
	for (int batch = 0; batch < 40; batch++) {
		int n = (int)fz_rng_below(&u.env, 60);
		for (int i = 0; i < n; i++) {
			uint8_t buf[1400], *p;
			struct ip_view v;
			unsigned f = fz_rng_below(&u.env, 3) ? (unsigned)batch % FLOWS
							     : fz_rng_below(&u.env, FLOWS);
			struct mk m = { .v6 = f & 1,
					.proto = f < 4 ? 6 : 17,
					.flow = f,
					.opt_len = f == 2 ? 12 : 0,
					.payload = size[f],
					.seq = seq[f],
					.seed = fz_rng_u32(&u.env),
					.id = i };
			uint32_t dice = fz_rng_below(&u.env, 40);
			if (dice == 0)
				m.payload = fz_rng_below(&u.env, (uint32_t)size[f] + 1);
			if (dice == 1)
				m.flags = (int[]){ 0x18, 0x11, 0x14, 0x02, 0x50 }[fz_rng_below(&u.env, 5)];
			if (dice == 2)
				m.seq += 77;
			seq[f] = m.seq + (uint32_t)m.payload;
			size_t len = mk_packet(buf, &m);
			p = join_reserve(j, len);
			ck_assert_ptr_nonnull(p);
			memcpy(p, buf, len);
			if (dice == 3) {
				join_cancel(j);
				continue;
			}
			ck_assert_int_eq(ip_parse_plain(p, len, &v), IP_OK);
			join_commit(j, &v, 0);
			normalise(buf, &v);
			record(&in[v.kind == IP_UDP][f], buf, len);
		}
		struct fz_pkt pkt;
		while (join_next(j, &pkt, &(uint32_t){ 0 })) {
			struct ip_view v, w;
			struct cut c;
			const uint8_t *seg;
			size_t len;
			ck_assert_int_eq(ip_parse(&pkt, &v), IP_OK);
			memset(pkt.data - FZ_PKT_HEADROOM, 0xaa, FZ_PKT_HEADROOM);
			cut_init(&c, &pkt, &v);
			while (cut_next(&c, &seg, &len)) {
				uint8_t buf[1400];
				ck_assert_int_eq(ip_parse_plain(seg, len, &w), IP_OK);
				ck_assert(csum_ok(seg, &w));
				memcpy(buf, seg, len);
				normalise(buf, &w);
				record(&out[w.kind == IP_UDP][flow_of(&w)], buf, len);
			}
		}
		join_reset(j);
	}
	for (int k = 0; k < 2 * FLOWS; k++) {
		struct tape *a = &in[k / FLOWS][k % FLOWS], *b = &out[k / FLOWS][k % FLOWS];
		ck_assert_uint_eq(a->len, b->len);
		if (a->len > 0)
			ck_assert_mem_eq(a->bytes, b->bytes, a->len);
		free(a->bytes);
		free(b->bytes);
	}
	join_free(j);
	unit_env_check(&u);
}

START_TEST(test_twin)
{
	for (uint64_t seed = 0; seed < 150; seed++)
		run_twin(seed, seed % 5 == 4   ? 0
			       : seed % 5 == 3 ? JOIN_TCP
					       : BOTH | (seed & 1 ? JOIN_VERIFY : 0));
}
END_TEST

START_TEST(test_no_memory)
{
	struct unit_env u;
	struct join *j = NULL;

	unit_env_init(&u, 1);
	u.fail_at = 1;
	ck_assert_int_eq(join_new(&u.env, BOTH, &j), FZ_ERR_NOMEM);
	ck_assert_ptr_null(j);
	unit_env_check(&u);
	join_free(NULL);
}
END_TEST

START_TEST(test_no_allocation)
{
	struct unit_env u;
	struct join *j = make(&u, BOTH);
	struct fz_pkt pkt;
	long before = u.allocs;

	for (int round = 0; round < 50; round++) {
		for (unsigned i = 0; i < 60; i++)
			feed_mk(j, &(struct mk){ .payload = 1000, .flow = i % 3, .seq = i / 3 * 1000 });
		while (join_next(j, &pkt, &(uint32_t){ 0 }))
			;
		join_reset(j);
	}
	ck_assert_int_eq(u.allocs, before);
	join_free(j);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("join");

	unit_case(s, "join", test_table, test_fields, test_details, test_seed, test_limits, test_cancel,
		  test_twin, test_no_memory, test_no_allocation);
	return s;
}
