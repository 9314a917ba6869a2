/* SPDX-License-Identifier: Apache-2.0 */
/* The way of a super-packet from one TUN device to the other, without encryption: cut into datagrams of a
 * batch, joined at the other end. What arrives is what was sent, and nothing is allocated on the way. */
#include "unit.h"

#include "base/rng.h"
#include "core/cut.h"
#include "core/join.h"
#include "core/txq.h"
#include "packets.h"
#include "wire/csum.h"

#define WG_HDR 16
#define WG_TAG 16

struct tunnel {
	struct txq *out;
	struct join *in;
	struct fz_addr from, to;
};

static void send_packet(struct tunnel *t, struct fz_pkt *pkt)
{
	struct ip_view v;
	struct cut c;
	const uint8_t *seg;
	size_t len;

	ck_assert_int_eq(ip_parse(pkt, &v), IP_OK);
	for (cut_init(&c, pkt, &v); cut_next(&c, &seg, &len);) {
		uint8_t *p = txq_reserve(t->out, &t->from, &t->to, v.ecn, WG_HDR + len + WG_TAG);
		ck_assert_ptr_nonnull(p);
		memcpy(p + WG_HDR, seg, len);
		txq_commit(t->out);
	}
}

static void receive_all(struct tunnel *t)
{
	struct fz_udp_batch b;
	struct ip_view v;

	for (; txq_peek(t->out, &b); txq_pop(t->out)) {
		for (size_t at = 0; at < b.len; at += b.seg_len) {
			size_t len = (b.len - at < b.seg_len ? b.len - at : b.seg_len) - WG_HDR - WG_TAG;
			uint8_t *p = join_reserve(t->in, len);
			ck_assert_ptr_nonnull(p);
			memcpy(p, b.data + at + WG_HDR, len);
			ck_assert_int_eq(ip_parse_plain(p, len, &v), IP_OK);
			ip_ecn_merge(p, &v, b.ecn);
			join_commit(t->in, &v, 0);
		}
	}
}

static struct fz_pkt make_super(uint8_t *buf, const struct mk *m, size_t gso_size)
{
	struct fz_pkt pkt = ip_pkt(buf + FZ_PKT_HEADROOM, 0);
	struct ip_view v;

	pkt.len = mk_packet(pkt.data, m);
	pkt.gso = (uint8_t)(m->proto == 17 ? FZ_GSO_UDP : m->v6 ? FZ_GSO_TCP6 : FZ_GSO_TCP4);
	pkt.gso_size = (uint16_t)gso_size;
	pkt.needs_csum = 1;
	pkt.csum_start = m->v6 ? 40 : 20;
	pkt.csum_offset = m->proto == 17 ? 6 : 16;
	ck_assert_int_eq(ip_parse(&pkt, &v), IP_OK);
	mk_be16(pkt.data + pkt.csum_start + pkt.csum_offset,
		csum_fold(csum_pseudo(pkt.data, &v, pkt.len - pkt.csum_start)));
	return pkt;
}

START_TEST(test_identity)
{
	static uint8_t sent[FZ_PKT_HEADROOM + FZ_SUPER_MAX], work[FZ_PKT_HEADROOM + FZ_SUPER_MAX];
	struct unit_env u;
	struct tunnel t = { .to = { .ip = { FZ_FAMILY_INET, { 192, 0, 2, 1 } }, .port = 52625 } };
	long after_warm_up = 0;

	unit_env_init(&u, 9);
	ck_assert_int_eq(txq_new(&u.env, 4, &t.out), 0);
	ck_assert_int_eq(join_new(&u.env, JOIN_TCP | JOIN_UDP | JOIN_VERIFY, &t.in), 0);
	for (unsigned round = 0; round < 400; round++) {
		struct mk m = {
			.v6 = round & 1, .proto = round & 2 ? 17 : 6, .seed = round, .tos = (int)(round % 4)
		};
		struct fz_pkt got;
		m.flags = 0x10 | (round % 3 ? 0x08 : 0);
		m.seq = fz_rng_u32(&u.env);
		m.id = (int)fz_rng_below(&u.env, 65536);
		m.opt_len = round % 5 ? 12 : 0;
		size_t gso_size = 100 + fz_rng_below(&u.env, 1108);
		/* At least two segments, at most 64. */
		size_t most = 64 * gso_size < 60000 ? 64 * gso_size : 60000;
		m.payload = gso_size + 1 + fz_rng_below(&u.env, (uint32_t)(most - gso_size));
		struct fz_pkt pkt = make_super(sent, &m, gso_size);
		memcpy(work, sent, sizeof(work));
		pkt.data = work + FZ_PKT_HEADROOM;
		send_packet(&t, &pkt);
		receive_all(&t);
		ck_assert(join_next(t.in, &got, &(uint32_t){ 0 }));
		ck_assert_uint_eq(got.len, pkt.len);
		ck_assert_uint_eq(got.gso, pkt.gso);
		ck_assert_uint_eq(got.gso_size, pkt.gso_size);
		ck_assert_uint_eq(got.needs_csum, 1);
		ck_assert_uint_eq(got.csum_start, pkt.csum_start);
		ck_assert_uint_eq(got.csum_offset, pkt.csum_offset);
		ck_assert_mem_eq(got.data, sent + FZ_PKT_HEADROOM, got.len);
		ck_assert(!join_next(t.in, &got, &(uint32_t){ 0 }));
		join_reset(t.in);
		if (round == 10)
			after_warm_up = u.allocs;
	}
	ck_assert_int_eq(u.allocs, after_warm_up);
	txq_free(t.out);
	join_free(t.in);
	unit_env_check(&u);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("fastpath");

	unit_case(s, "fastpath", test_identity);
	return s;
}
