/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "base/rng.h"
#include "base/wr.h"
#include "core/cut.h"
#include "packets.h"
#include "wire/csum.h"

static uint8_t room[FZ_PKT_HEADROOM + 70000];

/* A super-packet as a TUN device gives it. */
static struct fz_pkt make_super(const struct mk *m, size_t gso_size, struct ip_view *ret_view)
{
	struct fz_pkt pkt = ip_pkt(room + FZ_PKT_HEADROOM, 0);
	bool is_udp = m->proto == 17;

	pkt.len = mk_packet(pkt.data, m);
	pkt.gso = (uint8_t)(is_udp ? FZ_GSO_UDP : m->v6 ? FZ_GSO_TCP6 : FZ_GSO_TCP4);
	pkt.gso_size = (uint16_t)gso_size;
	pkt.needs_csum = 1;
	pkt.csum_start = (uint16_t)(m->v6 ? 40 : 20 + m->ip_opt_len);
	pkt.csum_offset = is_udp ? 6 : 16;
	/* The field of a super-packet holds a sum that is of no use to us. */
	mk_be16(pkt.data + pkt.csum_start + pkt.csum_offset, 0x1234);
	ck_assert_int_eq(ip_parse(&pkt, ret_view), IP_OK);
	return pkt;
}

/* Segment i, made on its own. */
static size_t make_segment(uint8_t *to, const struct mk *m, const uint8_t *payload, size_t gso_size, size_t i,
			   size_t n)
{
	struct mk s = *m;

	s.payload = i + 1 < n ? gso_size : m->payload - (n - 1) * gso_size;
	s.id += (int)i;
	s.seq += (uint32_t)(i * gso_size);
	if (i + 1 < n)
		s.flags &= ~(IP_TCP_FIN | IP_TCP_PSH);
	if (i > 0)
		s.flags &= ~IP_TCP_CWR;
	size_t len = mk_packet(to, &s), l3_len = s.v6 ? 40 : 20 + (size_t)s.ip_opt_len;
	memcpy(to + len - s.payload, payload + i * gso_size, s.payload);
	/* The payload is another one than mk_packet() made: sum again. */
	size_t field = l3_len + (s.proto == 17 ? 6 : 16);
	mk_be16(to + field, 0);
	mk_be16(to + field, mk_l4_csum(to, len, l3_len, s.proto == 17 ? 17 : 6));
	return len;
}

static void check_super(const struct mk *m, size_t gso_size)
{
	static uint8_t payload[70000], want[1500];
	struct ip_view v;
	struct fz_pkt pkt = make_super(m, gso_size, &v);
	size_t n = (m->payload + gso_size - 1) / gso_size, len, i = 0;
	const uint8_t *seg;
	struct cut c;

	memcpy(payload, pkt.data + v.hdr_len, m->payload);
	cut_init(&c, &pkt, &v);
	ck_assert_uint_eq(cut_left(&c), n);
	for (; cut_next(&c, &seg, &len); i++) {
		struct ip_view w;
		size_t want_len = make_segment(want, m, payload, gso_size, i, n);
		ck_assert_uint_eq(len, want_len);
		ck_assert_mem_eq(seg, want, len);
		ck_assert_int_eq(ip_parse_plain(seg, len, &w), IP_OK);
		ck_assert(csum_ok(seg, &w));
		ck_assert_uint_eq(cut_left(&c), n - i - 1);
	}
	ck_assert_uint_eq(i, n);
	ck_assert(!cut_next(&c, &seg, &len));
}

START_TEST(a18_6_super_packets_are_cut)
{
	static const struct {
		struct mk mk;
		size_t gso_size;
	} cases[] = {
		{ { .payload = 2456, .opt_len = 12, .id = 0x1234, .flags = 0x18 }, 1228 },
		{ { .payload = 2457, .opt_len = 12, .id = 0xffff, .flags = 0x18 }, 1228 },
		{ { .payload = 65443, .opt_len = 12, .flags = 0x19, .seq = 0xfffff000 }, 1228 },
		{ { .payload = 65443, .opt_len = 12, .flags = 0xd8 }, 1228 }, /* ECE, CWR */
		{ { .payload = 1, .flags = 0x11 }, 100 },
		{ { .payload = 100, .flags = 0x18 }, 1 }, /* headers longer than segments */
		{ { .payload = 5000, .flags = 0xff, .opt_len = 40, .ip_opt_len = 40 }, 33 },
		{ { .v6 = 1, .payload = 65000, .opt_len = 12, .tos = 3 }, 1208 },
		{ { .v6 = 1, .payload = 777, .flags = 0x10 }, 51 },
		{ { .proto = 17, .payload = 2504, .id = 7 }, 1252 },
		{ { .proto = 17, .payload = 65507 }, 1252 },
		{ { .proto = 17, .payload = 99 }, 10 },
		{ { .v6 = 1, .proto = 17, .payload = 65487 }, 1232 },
		{ { .v6 = 1, .proto = 17, .payload = 64 }, 64 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		check_super(&cases[i].mk, cases[i].gso_size);
}
END_TEST

START_TEST(test_random)
{
	struct unit_env u;

	unit_env_init(&u, 3);
	for (unsigned round = 0; round < 300; round++) {
		struct mk m = { .v6 = round & 1, .proto = round & 2 ? 17 : 6, .seed = round };
		m.flags = (int)fz_rng_below(&u.env, 256) | IP_TCP_ACK;
		m.seq = fz_rng_u32(&u.env);
		m.ack = fz_rng_u32(&u.env);
		m.id = (int)fz_rng_below(&u.env, 65536);
		m.opt_len = (int)fz_rng_below(&u.env, 11) * 4;
		m.ip_opt_len = m.v6 ? 0 : (int)fz_rng_below(&u.env, 3) * 4;
		size_t hdrs = (m.v6 ? 40 : 20 + (size_t)m.ip_opt_len) +
			      (m.proto == 17 ? 8 : 20 + (size_t)m.opt_len);
		size_t gso_size = 1 + fz_rng_below(&u.env, (uint32_t)(FZ_TUNNEL_MTU - hdrs));
		m.payload = 1 + fz_rng_below(&u.env, round % 8 ? 6000 : (uint32_t)(FZ_SUPER_MAX - hdrs));
		check_super(&m, gso_size);
	}
}
END_TEST

START_TEST(test_ordinary)
{
	uint8_t want[1280];
	struct mk m = { .payload = 900, .proto = 17 };
	struct fz_pkt pkt = ip_pkt(room + FZ_PKT_HEADROOM, mk_packet(want, &m));
	struct ip_view v;
	struct cut c;
	const uint8_t *seg;
	size_t len;

	/* As it is. */
	memcpy(pkt.data, want, pkt.len);
	ck_assert_int_eq(ip_parse(&pkt, &v), IP_OK);
	cut_init(&c, &pkt, &v);
	ck_assert_uint_eq(cut_left(&c), 1);
	ck_assert(cut_next(&c, &seg, &len));
	ck_assert_ptr_eq(seg, pkt.data);
	ck_assert_uint_eq(len, pkt.len);
	ck_assert_mem_eq(seg, want, len);
	ck_assert(!cut_next(&c, &seg, &len));
	ck_assert_uint_eq(cut_left(&c), 0);

	/* Checksum left to do. */
	pkt.needs_csum = 1;
	pkt.csum_start = 20;
	pkt.csum_offset = 6;
	fz_put_be16(pkt.data + 26, csum_fold(csum_pseudo(pkt.data, &v, pkt.len - 20)));
	cut_init(&c, &pkt, &v);
	ck_assert(cut_next(&c, &seg, &len));
	ck_assert_mem_eq(seg, want, len);
}
END_TEST

/* NAT before cutting: the segments carry what was rewritten. */
START_TEST(test_after_rewrite)
{
	for (int v6 = 0; v6 < 2; v6++) {
		struct mk m = { .v6 = v6, .payload = 3000 };
		struct ip_view v, w;
		struct fz_pkt pkt = make_super(&m, 1000, &v);
		struct fz_ip to = v.src;
		struct cut c;
		const uint8_t *seg;
		size_t len;

		to.b[1] ^= 0x55;
		ip_set_dst(&pkt, &v, &to);
		ip_set_sport(&pkt, &v, 4242);
		cut_init(&c, &pkt, &v);
		while (cut_next(&c, &seg, &len)) {
			ck_assert_int_eq(ip_parse_plain(seg, len, &w), IP_OK);
			ck_assert(csum_ok(seg, &w));
			ck_assert_mem_eq(&w.dst, &to, sizeof(to));
			ck_assert_uint_eq(w.sport, 4242);
		}
	}
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("cut");

	unit_case(s, "cut", a18_6_super_packets_are_cut, test_random, test_ordinary, test_after_rewrite);
	return s;
}
