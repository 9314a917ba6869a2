/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "core/pending.h"
#include "packets.h"
#include "wire/csum.h"

static void push(struct pending *p, const struct mk *m)
{
	uint8_t buf[1400];
	struct fz_pkt pkt = ip_pkt(buf, mk_packet(buf, m));
	struct ip_view v;

	ck_assert_int_eq(ip_parse(&pkt, &v), IP_OK);
	pending_push(p, &pkt, &v);
	memset(buf, 0xee, sizeof(buf)); /* it was copied */
}

static unsigned next_seed(struct pending *p)
{
	struct fz_pkt pkt;
	struct ip_view v;

	if (!pending_take(p, &pkt))
		return 0;
	memset(pkt.data - FZ_PKT_HEADROOM, 0xaa, FZ_PKT_HEADROOM);
	ck_assert_int_eq(ip_parse(&pkt, &v), IP_OK);
	ck_assert(csum_ok(pkt.data, &v));
	return v.kind == IP_TCP ? v.tcp_seq : pkt.data[v.hdr_len] ^ 0u;
}

START_TEST(test_ring)
{
	struct unit_env u;
	struct pending p;

	unit_env_init(&u, 1);
	ck_assert_int_eq(pending_init(&p, &u.env, 4), 0);
	ck_assert_uint_eq(next_seed(&p), 0);
	for (uint32_t i = 1; i <= 4; i++)
		push(&p, &(struct mk){ .seq = i });
	for (uint32_t i = 4; i >= 1; i--)
		push(&p, &(struct mk){ .seq = i }); /* known already */
	ck_assert_uint_eq(p.used, 4);
	ck_assert_uint_eq(p.dropped, 0);
	push(&p, &(struct mk){ .seq = 5 });
	push(&p, &(struct mk){ .seq = 6 });
	ck_assert_uint_eq(p.dropped, 2);
	for (uint32_t i = 3; i <= 6; i++)
		ck_assert_uint_eq(next_seed(&p), i);
	ck_assert_uint_eq(next_seed(&p), 0);
	push(&p, &(struct mk){ .seq = 3 }); /* taken ones are unknown again */
	ck_assert_uint_eq(next_seed(&p), 3);
	push(&p, &(struct mk){ .seq = 9 });
	pending_clear(&p);
	pending_clear(&p);
	unit_env_check(&u);
}
END_TEST

START_TEST(test_syn)
{
	struct unit_env u;
	struct pending p;

	unit_env_init(&u, 1);
	for (int v6 = 0; v6 < 2; v6++) {
		ck_assert_int_eq(pending_init(&p, &u.env, 8), 0);
		struct mk syn = { .v6 = v6, .seq = 7, .flags = 0x02, .opt_len = 12 }, other;
		push(&p, &syn);
		push(&p, &(struct mk){ .v6 = v6, .seq = 1 });
		syn.opt_len = 8; /* the retransmission looks different */
		push(&p, &syn);
		ck_assert_uint_eq(p.used, 2);
		other = syn;
		other.seq = 8;
		push(&p, &other);
		other = syn;
		other.flow = 1;
		push(&p, &other);
		other = syn;
		other.flags = 0x12; /* SYN-ACK is no SYN */
		push(&p, &other);
		other.opt_len = 4;
		push(&p, &other);
		ck_assert_uint_eq(p.used, 6);
		struct fz_pkt pkt;
		ck_assert(pending_take(&p, &pkt));
		ck_assert_uint_eq(pkt.len,
				  (v6 ? 40u : 20u) + 28); /* the newer one, in the older one's place */
		pending_clear(&p);
	}
	unit_env_check(&u);
}
END_TEST

START_TEST(test_super)
{
	static uint8_t buf[FZ_PKT_HEADROOM + 70000];
	struct unit_env u;
	struct pending p;
	struct mk m = { .proto = 17, .payload = 2500, .id = 9 };
	struct fz_pkt pkt = ip_pkt(buf + FZ_PKT_HEADROOM, 0), got;
	struct ip_view v;
	size_t want[] = { 1028, 1028, 528 };

	unit_env_init(&u, 1);
	ck_assert_int_eq(pending_init(&p, &u.env, 8), 0);
	pkt.len = mk_packet(pkt.data, &m);
	pkt.gso = FZ_GSO_UDP;
	pkt.gso_size = 1000;
	pkt.needs_csum = 1;
	ck_assert_int_eq(ip_parse(&pkt, &v), IP_OK);
	pending_push(&p, &pkt, &v);
	for (int i = 0; i < 3; i++) {
		ck_assert(pending_take(&p, &got));
		ck_assert_uint_eq(got.len, want[i]);
		ck_assert_uint_eq(got.gso, 0);
		ck_assert_int_eq(ip_parse(&got, &v), IP_OK);
		ck_assert(csum_ok(got.data, &v));
	}
	ck_assert(!pending_take(&p, &got));
	pending_clear(&p);
	unit_env_check(&u);
}
END_TEST

START_TEST(test_no_memory)
{
	struct unit_env u;
	struct pending p = { 0 };

	unit_env_init(&u, 1);
	ck_assert_int_eq(pending_init(&p, &u.env, 0), FZ_ERR_INVAL);
	u.fail_at = 1;
	ck_assert_int_eq(pending_init(&p, &u.env, 4), FZ_ERR_NOMEM);
	pending_clear(&p);
	ck_assert_int_eq(pending_init(&p, &u.env, 4), 0);
	u.fail_at = u.allocs + 2;
	push(&p, &(struct mk){ .seq = 1 });
	push(&p, &(struct mk){ .seq = 2 }); /* lost */
	push(&p, &(struct mk){ .seq = 3 });
	ck_assert_uint_eq(p.dropped, 1);
	ck_assert_uint_eq(next_seed(&p), 1);
	ck_assert_uint_eq(next_seed(&p), 3);
	pending_clear(&p);
	unit_env_check(&u);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("pending");

	unit_case(s, "pending", test_ring, test_syn, test_super, test_no_memory);
	return s;
}
