/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "base/addr.h"
#include "base/time.h"
#include "core/relays.h"
#include "fake_turn.h"

/* The reference's vectors, in ms. */
START_TEST(rtt_limit)
{
	static const struct {
		uint64_t rtt[5], want;
		size_t n;
	} cases[] = {
		{ { 100 }, 150, 1 },           { { 40, 60 }, 60, 2 },
		{ { 60, 40 }, 60, 2 },         { { 30, 35, 40 }, 50, 3 },
		{ { 40, 30, 35 }, 50, 3 },     { { 30, 30, 30, 31 }, 36, 4 },
		{ { 30, 40, 50, 60 }, 75, 4 }, { { 10, 10, 10, 10, 500 }, 16, 5 },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t us[5];
		for (size_t k = 0; k < cases[i].n; k++)
			us[k] = FZ_MS(cases[i].rtt[k]);
		ck_assert_msg(relays_rtt_limit(us, cases[i].n) == FZ_MS(cases[i].want), "case %zu", i);
	}
}
END_TEST

/* ---- with servers ---- */

#define SERVERS 3

struct world {
	struct unit_env u;
	struct relays r;
	struct fake_turn servers[SERVERS];
	uint64_t now;
	struct fz_addr local4, local6;
};

static struct portal_relay info_of(const struct fake_turn *f, unsigned n)
{
	return (struct portal_relay){ .id = { { (uint8_t)(n + 1) } },
				      .ipv4 = f->addr4,
				      .ipv6 = f->addr6,
				      .username = f->username,
				      .password = f->password };
}

static void begin(struct world *w, unsigned n)
{
	memset(w, 0, sizeof(*w));
	unit_env_init(&w->u, 3);
	w->now = FZ_SEC(1000);
	relays_init(&w->r, &w->u.env);
	ck_assert_int_eq(fz_addr_parse("192.168.1.2:52625", &w->local4), 0);
	ck_assert_int_eq(fz_addr_parse("[2001:db8:7::7]:52625", &w->local6), 0);
	for (unsigned i = 0; i < n; i++) {
		struct relay *relay;
		fake_turn_init(&w->servers[i]);
		w->servers[i].addr4.ip.b[3] = (uint8_t)(101 + i);
		w->servers[i].addr6.ip.b[15] = (uint8_t)(1 + i);
		w->servers[i].relayed4.ip.b[3] = (uint8_t)(101 + i);
		w->servers[i].relayed6.ip.b[15] = (uint8_t)(1 + i);
		struct portal_relay info = info_of(&w->servers[i], i);
		ck_assert_int_eq(relays_add(&w->r, &info, w->now, &relay), 0);
	}
}

static void end(struct world *w)
{
	relays_clear(&w->r);
	unit_env_check(&w->u);
}

/* One round of requests of one relay; the answers take rtt_us. */
static void answer(struct world *w, unsigned i, uint64_t rtt_us)
{
	uint8_t out[8][TURN_TRANSMIT_MAX], back[TURN_TRANSMIT_MAX];
	struct fz_addr to[8];
	int len[8], n = 0;
	struct turn_alloc *a = w->r.v[i]->alloc;

	turn_alloc_handle_timeout(a, w->now);
	while (n < 8 && (len[n] = turn_alloc_poll_transmit(a, out[n], sizeof(out[n]), &to[n], w->now)) > 0)
		n++;
	w->now += rtt_us;
	for (int k = 0; k < n; k++) {
		int got = fake_turn_handle(&w->servers[i], &to[k], out[k], (size_t)len[k], back, sizeof(back),
					   w->now);
		if (got > 0)
			ck_assert_int_eq(turn_alloc_handle_datagram(
						 a,
						 to[k].ip.family == FZ_FAMILY_INET ? &w->local4 : &w->local6,
						 &to[k], back, (size_t)got, w->now),
					 0);
	}
}

static size_t changes(struct world *w, unsigned i, enum relay_change want, struct cand *ret, size_t cap)
{
	enum relay_change what;
	struct cand c;
	size_t n = 0;

	while (relay_poll_change(w->r.v[i], &w->u.env, &what, &c)) {
		ck_assert_int_eq(what, want);
		ck_assert_uint_lt(n, cap);
		ret[n++] = c;
	}
	return n;
}

START_TEST(candidates_of_a_relay)
{
	struct world w;
	struct cand c[8];

	begin(&w, 1);
	ck_assert_uint_eq(changes(&w, 0, RELAY_CAND_NEW, c, 8), 0);
	answer(&w, 0, FZ_MS(10));
	ck_assert_uint_eq(changes(&w, 0, RELAY_CAND_NEW, c, 8), 4); /* host and mapped of both families */
	ck_assert(c[0].kind == CAND_HOST && c[1].kind == CAND_SRFLX);
	answer(&w, 0, FZ_MS(10)); /* 401 */
	answer(&w, 0, FZ_MS(10));
	ck_assert_uint_eq(changes(&w, 0, RELAY_CAND_NEW, c, 8), 2);
	ck_assert(c[0].kind == CAND_RELAY && c[1].kind == CAND_RELAY);
	ck_assert_ptr_eq(relays_by_relayed(&w.r, &c[0].addr), w.r.v[0]);
	ck_assert_ptr_eq(relays_by_server(&w.r, &w.servers[0].addr6), w.r.v[0]);
	ck_assert_ptr_null(relays_by_relayed(&w.r, &w.local4));
	/* The same facts again are no news; a new mapping is, and takes nothing back. */
	w.now += FZ_SEC(25);
	answer(&w, 0, FZ_MS(10));
	ck_assert_uint_eq(changes(&w, 0, RELAY_CAND_NEW, c, 8), 0);
	w.servers[0].mapped4.port++;
	w.servers[0].mapped6.port++;
	w.now += FZ_SEC(26);
	answer(&w, 0, FZ_MS(10));
	ck_assert_uint_eq(changes(&w, 0, RELAY_CAND_NEW, c, 8), 1);
	ck_assert(c[0].kind == CAND_SRFLX);
	end(&w);
}
END_TEST

START_TEST(silent_relay_fails)
{
	struct world w;
	enum relay_change what = RELAY_CAND_NEW;
	struct cand c;

	begin(&w, 1);
	w.servers[0].silent = true;
	ck_assert_ptr_null(relays_select(&w.r));
	for (int i = 0; i < 40 && !relay_poll_change(w.r.v[0], &w.u.env, &what, &c); i++)
		answer(&w, 0, FZ_MS(500));
	ck_assert_int_eq(what, RELAY_FAILED);
	end(&w);
}
END_TEST

/* Only those that answered; uniformly among the near ones; a far one when it is the only one. */
START_TEST(choice)
{
	struct world w;
	unsigned picked[SERVERS] = { 0 };

	begin(&w, 3);
	ck_assert_ptr_null(relays_select(&w.r));
	answer(&w, 2, FZ_MS(400));
	ck_assert_ptr_eq(relays_select(&w.r), w.r.v[2]);
	answer(&w, 0, FZ_MS(20));
	ck_assert_ptr_eq(relays_select(&w.r), w.r.v[0]);
	answer(&w, 1, FZ_MS(22));
	for (int i = 0; i < 1000; i++)
		for (unsigned k = 0; k < 3; k++)
			picked[k] += relays_select(&w.r) == w.r.v[k];
	ck_assert_uint_gt(picked[0], 300);
	ck_assert_uint_gt(picked[1], 300);
	ck_assert_uint_eq(picked[2], 0);
	w.r.v[0]->failed = w.r.v[1]->failed = true;
	ck_assert_ptr_eq(relays_select(&w.r), w.r.v[2]);
	end(&w);
}
END_TEST

START_TEST(add_and_remove)
{
	struct world w;
	struct relay *relay;

	begin(&w, 2);
	struct portal_relay info = info_of(&w.servers[0], 0);
	ck_assert(relay_matches(w.r.v[0], &info));
	info.password = "other";
	ck_assert(!relay_matches(w.r.v[0], &info));
	info = info_of(&w.servers[0], 0);
	info.ipv6 = (struct fz_addr){ 0 };
	ck_assert(!relay_matches(w.r.v[0], &info));
	ck_assert_ptr_eq(relays_find(&w.r, &info.id), w.r.v[0]);
	ck_assert(!relays_was_server(&w.r, &info.ipv4.ip));
	relays_remove(&w.r, w.r.v[0]);
	ck_assert_ptr_null(relays_find(&w.r, &info.id));
	ck_assert_uint_eq(w.r.len, 1);
	ck_assert(relays_was_server(&w.r, &info.ipv4.ip));
	ck_assert(relays_was_server(&w.r, &w.servers[0].addr6.ip));
	for (unsigned i = 0; w.r.len < RELAYS_MAX; i++) {
		info.id.b[1] = (uint8_t)(i + 1);
		ck_assert_int_eq(relays_add(&w.r, &info, w.now, &relay), 0);
	}
	ck_assert_int_eq(relays_add(&w.r, &info, w.now, &relay), FZ_ERR_FULL);
	end(&w);
}
END_TEST

/* Sixty-four addresses are remembered, the oldest forgotten first. */
START_TEST(removed_addresses)
{
	struct world w;
	struct relay *relay;
	struct portal_relay info;

	begin(&w, 1);
	info = info_of(&w.servers[0], 0);
	info.ipv6 = (struct fz_addr){ 0 };
	for (unsigned i = 0; i <= RELAYS_GONE_MAX; i++) {
		info.id.b[2] = info.ipv4.ip.b[2] = (uint8_t)(i + 1);
		ck_assert_int_eq(relays_add(&w.r, &info, w.now, &relay), 0);
		relays_remove(&w.r, relay);
	}
	ck_assert(relays_was_server(&w.r, &info.ipv4.ip));
	info.ipv4.ip.b[2] = 1;
	ck_assert(!relays_was_server(&w.r, &info.ipv4.ip));
	info.ipv4.ip.b[2] = 2;
	ck_assert(relays_was_server(&w.r, &info.ipv4.ip));
	end(&w);
}
END_TEST

START_TEST(failing_allocations)
{
	struct unit_env u;
	struct relays r;
	struct relay *relay;
	struct fake_turn f;
	long n = 0;
	int err;

	fake_turn_init(&f);
	do {
		struct portal_relay info = info_of(&f, 0);
		unit_env_init(&u, 1);
		u.fail_at = ++n;
		relays_init(&r, &u.env);
		err = relays_add(&r, &info, FZ_SEC(1), &relay);
		ck_assert(err == 0 || err == FZ_ERR_NOMEM);
		relays_clear(&r);
		unit_env_check(&u);
	} while (err != 0);
	ck_assert_int_gt(n, 3);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("relays");

	unit_case(s, "rtt", rtt_limit, choice);
	unit_case(s, "facts", candidates_of_a_relay, silent_relay_fails);
	unit_case(s, "set", add_and_remove, removed_addresses, failing_allocations);
	return s;
}
