/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <stdio.h>

#include "base/rng.h"
#include "core/txq.h"

static struct fz_addr addr(char name)
{
	struct fz_addr a = { .ip = { .family = FZ_FAMILY_INET, .b = { 192, 0, 2, (uint8_t)name } },
			     .port = 52625 };

	if (name >= 'a') /* small letters are IPv6 peers */
		a.ip = (struct fz_ip){ FZ_FAMILY_INET6,
				       { 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
					 (uint8_t)name } };
	return a;
}

static struct txq *make(struct unit_env *u, size_t max)
{
	struct txq *q = NULL;

	unit_env_init(u, 7);
	ck_assert_int_eq(txq_new(&u->env, max, &q), 0);
	return q;
}

static bool put(struct txq *q, char to, size_t len)
{
	struct fz_addr local = { 0 }, remote = addr(to);
	uint8_t *p = txq_reserve(q, &local, &remote, 0, len);

	if (p == NULL)
		return false;
	memset(p, to, len);
	txq_commit(q);
	return true;
}

/* "A6 A6 x6 B8": a letter names the peer, a number the length; x reserves for A and cancels; n* repeats. */
static void play(struct txq *q, const char *script)
{
	unsigned times, len;
	char to;
	int used;

	for (; sscanf(script, " %u*%c%u%n", &times, &to, &len, &used) == 3; script += used) {
		while (times--) {
			if (to == 'x') {
				struct fz_addr local = { 0 }, remote = addr('A');
				ck_assert_ptr_nonnull(txq_reserve(q, &local, &remote, 0, len));
				txq_cancel(q);
			} else {
				ck_assert(put(q, to, len));
			}
		}
	}
	ck_assert_str_eq(script, "");
}

/* "A[3x6+2] B[1x8]" */
static void drain(struct txq *q, char *ret)
{
	struct fz_udp_batch b;

	for (*ret = '\0'; txq_peek(q, &b); txq_pop(q)) {
		char *at = ret + strlen(ret);
		size_t full = b.len / b.seg_len, rest = b.len % b.seg_len;
		at += sprintf(at, "%s%c[%zux%u", *ret ? " " : "",
			      b.remote.ip.b[b.remote.ip.family == FZ_FAMILY_INET ? 3 : 15], full, b.seg_len);
		if (rest)
			at += sprintf(at, "+%zu", rest);
		sprintf(at, "]");
		for (size_t i = 0; i < b.len; i++)
			if (b.data[i] != b.data[0])
				ck_abort_msg("byte %zu", i);
	}
}

static const struct {
	const char *script, *want;
} cases[] = {
	{ "3*A6 1*A3", "A[3x6+3]" },
	{ "2*A6 1*B8 1*B6", "A[2x6] B[1x8+6]" },
	{ "2*A6 1*B8 1*B6 2*A6", "A[4x6] B[1x8+6]" },
	{ "2*A6 1*A3 1*A6", "A[2x6+3] A[1x6]" },
	{ "1*A3 1*A6", "A[1x3] A[1x6]" },
	{ "1*A6 1*x6", "A[1x6]" },
	{ "1*x6 2*A9", "A[2x9]" },
	{ "1*x9 2*A6", "A[2x6]" },
	{ "50*A1316", "A[49x1316] A[1x1316]" },
	{ "50*A1312", "A[49x1312] A[1x1312]" },
	{ "50*a1316", "a[49x1316] a[1x1316]" },
	{ "65*A100", "A[64x100] A[1x100]" },
	{ "65*A48", "A[64x48] A[1x48]" },
	{ "46*A1452", "A[45x1452] A[1x1452]" },
	{ "45*A1472", "A[44x1472] A[1x1472]" },
	{ "1*A6 1*B6 1*A6 1*B6 1*a6 1*A6", "A[3x6] B[2x6] a[1x6]" },
	{ "1*A6 1*A8 1*A6", "A[1x6] A[1x8+6]" }, /* an older batch never grows again */
	{ "49*A1316 1*A52 1*A1316", "A[49x1316+52] A[1x1316]" },
	{ "1*A65467", "A[1x65467]" },
	{ "1*a65487", "a[1x65487]" },
};

START_TEST(test_table)
{
	struct unit_env u;
	struct txq *q = make(&u, 8);
	char got[300];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		play(q, cases[i].script);
		drain(q, got);
		ck_assert_msg(strcmp(got, cases[i].want) == 0, "%s: %s", cases[i].script, got);
		ck_assert(txq_empty(q));
	}
	txq_free(q);
	unit_env_check(&u);
}
END_TEST

START_TEST(test_key)
{
	struct unit_env u;
	struct txq *q = make(&u, 8);
	struct fz_addr none = { 0 }, l1 = addr('L'), l2 = addr('L'), r = addr('R'), r2 = addr('R');
	struct fz_udp_batch b;
	int n = 0;

	l2.port = 1;
	r2.port++;
	const struct {
		const struct fz_addr *local, *remote;
		uint8_t ecn;
	} keys[] = { { &none, &r, 0 },  { &l1, &r, 0 },   { &l2, &r, 0 },
		     { &none, &r2, 0 }, { &none, &r, 2 }, { &none, &r, 3 } };
	for (int round = 0; round < 3; round++) {
		for (size_t i = 0; i < 6; i++) {
			uint8_t *p = txq_reserve(q, keys[i].local, keys[i].remote, keys[i].ecn, 4);
			memset(p, (int)i, 4);
			txq_commit(q);
		}
	}
	for (; txq_peek(q, &b); txq_pop(q), n++) {
		ck_assert_uint_eq(b.len, 12);
		ck_assert_uint_eq(b.seg_len, 4);
		ck_assert_uint_eq(b.data[0], (unsigned)n);
		ck_assert_uint_eq(b.ecn, keys[n].ecn);
		ck_assert(fz_addr_equal(&b.local, keys[n].local));
		ck_assert(fz_addr_equal(&b.remote, keys[n].remote));
	}
	ck_assert_int_eq(n, 6);
	txq_free(q);
}
END_TEST

START_TEST(a18_6_full_queue)
{
	struct unit_env u;
	struct txq *q = make(&u, 2);
	struct txq_stats st;
	struct fz_addr none = { 0 }, r = addr('R');
	char got[300];

	ck_assert_ptr_null(txq_reserve(q, &none, &r, 0, 0));
	ck_assert_ptr_null(txq_reserve(q, &none, &r, 0, 65468));
	ck_assert(txq_has_room(q));
	ck_assert(put(q, 'A', 60000) && put(q, 'B', 60000));
	ck_assert(!txq_has_room(q));
	ck_assert(!put(q, 'C', 60000));
	/* Control messages still have room, and small data uses it too. */
	for (int i = 0; i < 8; i++)
		ck_assert(put(q, (char)('D' + i), 100));
	ck_assert(!put(q, 'Z', 100));
	ck_assert_int_eq(txq_push(q, &none, &r, "x", 1), FZ_ERR_FULL);
	ck_assert(put(q, 'D', 100)); /* joins a batch */
	txq_stats(q, &st);
	ck_assert_uint_eq(st.full, 5);
	ck_assert_uint_eq(st.datagrams, 11);
	ck_assert_uint_eq(st.batches, 10);
	ck_assert_uint_eq(st.bytes, 120900);
	drain(q, got);
	ck_assert_str_eq(
		got, "A[1x60000] B[1x60000] D[2x100] E[1x100] F[1x100] G[1x100] H[1x100] I[1x100] J[1x100] "
		     "K[1x100]");
	/* All buffers exist now: nothing more is allocated, and everything can be used again. */
	long before = u.allocs;
	for (int round = 0; round < 3; round++) {
		ck_assert(put(q, 'A', 60000) && put(q, 'B', 60000));
		for (int i = 0; i < 8; i++)
			ck_assert_int_eq(
				txq_push(q, &none, &(struct fz_addr){ .port = (uint16_t)(i + 1) }, "x", 1),
				0);
		txq_clear(q);
		ck_assert(txq_empty(q));
	}
	ck_assert_int_eq(u.allocs, before);
	txq_free(q);
	unit_env_check(&u);
}
END_TEST

START_TEST(test_push)
{
	struct unit_env u;
	struct txq *q = make(&u, 4);
	struct fz_addr none = { 0 }, r = addr('R');
	uint8_t msg[2100];
	struct fz_udp_batch b;

	memset(msg, 9, sizeof(msg));
	/* Small buffers hold 2,048 bytes; then a new batch begins, in order. */
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(txq_push(q, &none, &r, msg, 1000), 0);
	ck_assert_int_eq(txq_push(q, &none, &r, msg, 2100), 0); /* too large for one */
	ck_assert(txq_peek(q, &b));
	ck_assert_uint_eq(b.len, 2000);
	/* What was looked at does not grow. */
	txq_pop(q);
	ck_assert(txq_peek(q, &b));
	ck_assert_uint_eq(b.len, 1000);
	ck_assert_int_eq(txq_push(q, &none, &r, msg, 10), 0);
	ck_assert_uint_eq(b.len, 1000);
	txq_pop(q);
	ck_assert(txq_peek(q, &b));
	ck_assert_uint_eq(b.len, 2110);
	txq_pop(q);
	ck_assert(txq_empty(q));
	ck_assert(!txq_peek(q, &b));
	txq_pop(q);

	txq_set_segs_max(q, 1);
	ck_assert(put(q, 'A', 5) && put(q, 'A', 5));
	ck_assert(txq_peek(q, &b));
	ck_assert_uint_eq(b.len, 5);
	/* A forgotten reservation is cancelled. */
	ck_assert_ptr_nonnull(txq_reserve(q, &none, &r, 0, 7));
	ck_assert_ptr_nonnull(txq_reserve(q, &none, &r, 0, 7));
	txq_pop(q);
	txq_commit(q);
	txq_pop(q);
	ck_assert(txq_empty(q));
	txq_free(q);
	unit_env_check(&u);
}
END_TEST

/* Per key the datagrams leave in the order in which they came, whatever happens in between. */
START_TEST(test_twin)
{
	struct unit_env u;
	struct txq *q = make(&u, 6);
	struct {
		uint32_t len[4096];
		size_t put, got;
	} *peers = calloc(6, sizeof(*peers));

	for (int op = 0; op < 20000; op++) {
		unsigned k = fz_rng_below(&u.env, 6);
		struct fz_addr none = { 0 }, r = addr((char)('A' + k));
		struct fz_udp_batch b;
		uint32_t len = fz_rng_below(&u.env, 4) ? 700 : 1 + fz_rng_below(&u.env, 1400);
		uint8_t *p;
		switch (fz_rng_below(&u.env, 12)) {
		case 0:
			if (txq_peek(q, &b)) {
				size_t at = 0;
				k = b.remote.ip.b[3] - 'A';
				while (at < b.len) {
					size_t n = b.len - at < b.seg_len ? b.len - at : b.seg_len;
					ck_assert_uint_lt(peers[k].got, peers[k].put);
					ck_assert_uint_eq(peers[k].len[peers[k].got++ % 4096], n);
					at += n;
				}
				txq_pop(q);
			}
			break;
		case 1:
			txq_reserve(q, &none, &r, 0, len);
			txq_cancel(q);
			break;
		case 2:
			peers[k].len[peers[k].put % 4096] = len;
			peers[k].put += txq_push(q, &none, &r, (uint8_t[1400]){ 0 }, len) == 0;
			break;
		default:
			p = txq_reserve(q, &none, &r, 0, len);
			if (p == NULL)
				break;
			memset(p, 1, len);
			txq_commit(q);
			peers[k].len[peers[k].put++ % 4096] = len;
		}
	}
	txq_free(q);
	free(peers);
	unit_env_check(&u);
}
END_TEST

START_TEST(test_no_memory)
{
	struct unit_env u;

	for (long fail = 1;; fail++) {
		struct txq *q = NULL;
		unit_env_init(&u, 1);
		u.fail_at = fail;
		int err = txq_new(&u.env, 2, &q);
		bool done = err == 0 && put(q, 'A', 100) && put(q, 'B', 100);
		if (err != 0)
			ck_assert_int_eq(err, FZ_ERR_NOMEM);
		else if (!done)
			ck_assert(put(q, 'A', 100)); /* works again when there is memory */
		txq_free(q);
		unit_env_check(&u);
		if (done && u.allocs < fail)
			break;
		ck_assert_int_lt(fail, 50);
	}
	struct txq *q = NULL;
	ck_assert_int_eq(txq_new(&u.env, 1, &q), FZ_ERR_INVAL);
	txq_free(NULL);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("txq");

	unit_case(s, "txq", test_table, test_key, a18_6_full_queue, test_push, test_twin, test_no_memory);
	return s;
}
