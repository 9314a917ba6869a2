/* SPDX-License-Identifier: Apache-2.0 */
#include "fake_turn.h"

#include <stdio.h>

#include "base/time.h"
#include "proto/turn_alloc.h"

/* A client, a server, a clock. */
struct rig {
	struct unit_env u;
	struct fake_turn f;
	struct turn_alloc *a;
	struct fz_addr local4, local6;
	uint64_t now_us;
	bool no_v4, no_v6; /* datagrams of this family get lost */
	/* events so far */
	size_t n_mapped, n_relayed, n_lost, n_failed, n_refused;
	struct turn_event last;
};

static struct fz_addr addr_of(const char *text)
{
	struct fz_addr a;

	ck_assert_int_eq(fz_addr_parse(text, &a), 0);
	return a;
}

static void rig_init(struct rig *r)
{
	memset(r, 0, sizeof(*r));
	unit_env_init(&r->u, 42);
	fake_turn_init(&r->f);
	r->local4 = addr_of("192.168.1.2:52625");
	r->local6 = addr_of("[2001:db8:7::2]:52625");
	r->now_us = FZ_SEC(1000);
}

static int rig_try_open(struct rig *r)
{
	struct turn_alloc_opts opts = { .username = "1798761600:salt",
					.password = "secret",
					.software = "test",
					.server4 = r->f.addr4,
					.server6 = r->f.addr6 };

	return turn_alloc_new(&r->u.env, &opts, r->now_us, &r->a);
}

static void take_events(struct rig *r)
{
	struct turn_event ev;

	while (turn_alloc_poll_event(r->a, &ev)) {
		r->n_mapped += ev.type == TURN_MAPPED;
		r->n_relayed += ev.type == TURN_RELAYED;
		r->n_lost += ev.type == TURN_RELAYED_LOST;
		r->n_failed += ev.type == TURN_FAILED;
		r->n_refused += ev.type == TURN_REFUSED;
		r->last = ev;
	}
}

/* Everything that happens without waiting. */
static void rig_turn(struct rig *r)
{
	uint8_t out[TURN_TRANSMIT_MAX], in[TURN_TRANSMIT_MAX];
	struct fz_addr to;
	int n, guard = 0;

	while ((n = turn_alloc_poll_transmit(r->a, out, sizeof(out), &to, r->now_us)) > 0) {
		bool v6 = to.ip.family == FZ_FAMILY_INET6;
		ck_assert_int_lt(guard++, 300);
		if (v6 ? r->no_v6 : r->no_v4)
			continue;
		int len = fake_turn_handle(&r->f, &to, out, (size_t)n, in, sizeof(in), r->now_us);
		ck_assert_int_ge(len, 0);
		if (len > 0)
			(void)turn_alloc_handle_datagram(r->a, v6 ? &r->local6 : &r->local4, &to, in,
							 (size_t)len, r->now_us);
	}
	ck_assert_int_eq(n, 0);
	take_events(r);
}

/* Let time pass as a host program would: from deadline to deadline. */
static void rig_run(struct rig *r, uint64_t for_us)
{
	uint64_t end = r->now_us + for_us, at;
	int guard = 0;

	rig_turn(r);
	while ((at = turn_alloc_next_timeout(r->a)) <= end) {
		ck_assert_msg(guard++ < 2000, "busy loop at %llu", (unsigned long long)at);
		if (at > r->now_us)
			r->now_us = at;
		turn_alloc_handle_timeout(r->a, r->now_us);
		rig_turn(r);
	}
	r->now_us = end;
	turn_alloc_handle_timeout(r->a, r->now_us);
	rig_turn(r);
}

static void rig_open(struct rig *r)
{
	ck_assert_int_eq(rig_try_open(r), 0);
	rig_turn(r);
}

static void rig_ready(struct rig *r)
{
	rig_init(r);
	rig_open(r);
	ck_assert_int_eq(turn_alloc_state(r->a), TURN_READY);
}

static void rig_close(struct rig *r)
{
	turn_alloc_free(r->a);
	unit_env_check(&r->u);
}

/* ChannelData from the relay; the payload's length or an error. */
static int feed_data(struct rig *r, uint16_t number, struct fz_addr *ret_peer)
{
	uint8_t buf[TURN_CHANNEL_HEADER_LEN + 5] = { 0 };
	struct fz_addr relayed;

	turn_channel_encode(buf, number, 5);
	return turn_alloc_unwrap(r->a, &r->f.addr4, buf, sizeof(buf), ret_peer, &relayed, r->now_us);
}

/* ---- allocation life (15.2) ---- */

START_TEST(a15_10_first_requests)
{
	struct rig r;

	rig_ready(&r);
	ck_assert_uint_eq(fake_turn_count(&r.f, STUN_BINDING, 0), 2);
	ck_assert(r.f.log[0].method == STUN_BINDING && fz_addr_equal(&r.f.log[0].to, &r.f.addr4));
	ck_assert(r.f.log[1].method == STUN_BINDING && fz_addr_equal(&r.f.log[1].to, &r.f.addr6));
	ck_assert_uint_eq(fake_turn_count(&r.f, TURN_ALLOCATE, 0), 2);
	ck_assert(r.f.log[2].method == TURN_ALLOCATE && !r.f.log[2].has_auth && !r.f.log[2].has_nonce);
	ck_assert(r.f.log[3].method == TURN_ALLOCATE && r.f.log[3].has_auth && r.f.log[3].has_nonce);
	ck_assert(r.f.log[2].has_both && r.f.log[3].has_both);
	ck_assert_mem_ne(&r.f.log[2].txid, &r.f.log[3].txid, sizeof(struct stun_txid));
	ck_assert(fz_addr_equal(turn_alloc_server(r.a), &r.f.addr4));
	ck_assert(fz_addr_equal(turn_alloc_local(r.a), &r.local4));
	rig_close(&r);
}
END_TEST

START_TEST(a15_10_first_answer_decides_the_socket)
{
	struct rig r;

	rig_init(&r);
	r.no_v4 = true;
	rig_open(&r);
	ck_assert_int_eq(turn_alloc_state(r.a), TURN_READY);
	ck_assert(fz_addr_equal(turn_alloc_server(r.a), &r.f.addr6));
	/* the other family answers later: candidates, nothing else */
	r.no_v4 = false;
	ck_assert_uint_eq(r.n_mapped, 1);
	rig_run(&r, FZ_SEC(2));
	ck_assert_uint_eq(r.n_mapped, 2);
	ck_assert(fz_addr_equal(turn_alloc_server(r.a), &r.f.addr6));
	ck_assert_uint_eq(r.n_relayed, 2);
	rig_close(&r);
}
END_TEST

START_TEST(a15_11_candidates)
{
	struct rig r;
	struct turn_event ev[5];
	struct fz_addr got;

	rig_init(&r);
	ck_assert_int_eq(rig_try_open(&r), 0);
	uint8_t out[TURN_TRANSMIT_MAX], in[TURN_TRANSMIT_MAX];
	struct fz_addr to;
	int n;
	while ((n = turn_alloc_poll_transmit(r.a, out, sizeof(out), &to, r.now_us)) > 0) {
		int len = fake_turn_handle(&r.f, &to, out, (size_t)n, in, sizeof(in), r.now_us);
		const struct fz_addr *local = to.ip.family == FZ_FAMILY_INET6 ? &r.local6 : &r.local4;
		ck_assert_int_eq(turn_alloc_handle_datagram(r.a, local, &to, in, (size_t)len, r.now_us), 0);
	}
	for (int i = 0; i < 4; i++)
		ck_assert(turn_alloc_poll_event(r.a, &ev[i]));
	ck_assert(!turn_alloc_poll_event(r.a, &ev[4]));
	ck_assert(ev[0].type == TURN_MAPPED && fz_addr_equal(&ev[0].local, &r.local4) &&
		  fz_addr_equal(&ev[0].mapped, &r.f.mapped4));
	ck_assert(ev[1].type == TURN_MAPPED && fz_addr_equal(&ev[1].local, &r.local6) &&
		  fz_addr_equal(&ev[1].mapped, &r.f.mapped6));
	ck_assert(ev[2].type == TURN_RELAYED && fz_addr_equal(&ev[2].relayed, &r.f.relayed4) &&
		  fz_addr_equal(&ev[2].local, &r.local4));
	ck_assert(ev[3].type == TURN_RELAYED && fz_addr_equal(&ev[3].relayed, &r.f.relayed6));
	ck_assert(turn_alloc_relayed(r.a, FZ_FAMILY_INET, &got) && fz_addr_equal(&got, &r.f.relayed4));
	ck_assert(turn_alloc_owns(r.a, &r.f.relayed6));
	rig_close(&r);
}
END_TEST

START_TEST(a15_12_no_answer)
{
	struct rig r;
	static const uint64_t at_ms[] = { 0, 1000, 2500, 4750 };
	size_t seen = 0;

	rig_init(&r);
	r.f.silent = true;
	uint64_t start = r.now_us;
	rig_open(&r);
	rig_run(&r, FZ_MS(8124));
	ck_assert_uint_eq(r.n_failed, 0);
	rig_run(&r, FZ_MS(1));
	ck_assert_uint_eq(r.n_failed, 1);
	ck_assert_int_eq(r.last.reason, TURN_REASON_NO_ANSWER);
	for (size_t i = 0; i < r.f.n; i++)
		if (fz_addr_equal(&r.f.log[i].to, &r.f.addr4)) {
			ck_assert_uint_lt(seen, 4);
			ck_assert_uint_eq(r.f.log[i].at_us - start, FZ_MS(at_ms[seen++]));
			ck_assert_mem_eq(&r.f.log[i].txid, &r.f.log[0].txid, sizeof(struct stun_txid));
		}
	ck_assert_uint_eq(seen, 4);
	ck_assert(turn_alloc_server(r.a) == NULL);
	ck_assert(turn_alloc_next_timeout(r.a) == FZ_NEVER_US);
	rig_close(&r);
}
END_TEST

START_TEST(a15_12_silence_later_costs_the_relay)
{
	struct rig r;

	rig_ready(&r);
	r.f.silent = true;
	rig_run(&r, FZ_SEC(25) + FZ_MS(8124));
	ck_assert_uint_eq(r.n_lost + r.n_failed, 0);
	rig_run(&r, FZ_MS(1));
	/* IPv6 answered once: it is the way out, and fails in turn */
	ck_assert_uint_eq(r.n_lost, 2);
	ck_assert(fz_addr_equal(turn_alloc_server(r.a), &r.f.addr6));
	rig_run(&r, FZ_MS(8125));
	ck_assert_uint_eq(r.n_failed, 1);
	ck_assert_int_eq(r.last.reason, TURN_REASON_NO_ANSWER);
	rig_close(&r);
}
END_TEST

START_TEST(other_family_takes_over)
{
	struct rig r;

	rig_ready(&r);
	r.no_v4 = true;
	r.f.allocated = false; /* the server sees another 5-tuple */
	rig_run(&r, FZ_SEC(34));
	ck_assert_uint_eq(r.n_lost, 2);
	ck_assert_uint_eq(r.n_relayed, 4);
	ck_assert_uint_eq(r.n_failed, 0);
	ck_assert(fz_addr_equal(turn_alloc_server(r.a), &r.f.addr6));
	rig_close(&r);
}
END_TEST

START_TEST(a15_13_wrong_credentials)
{
	for (int is_signed = 0; is_signed < 2; is_signed++) {
		struct rig r;
		rig_init(&r);
		r.f.password = "other";
		r.f.signs_challenges = is_signed;
		rig_open(&r);
		if (is_signed) { /* the server's key is not ours: its answers are not to be believed */
			ck_assert_uint_eq(r.n_failed, 0);
			ck_assert_uint_eq(turn_alloc_stats(r.a)->bad_auth, 1);
			rig_run(&r, FZ_SEC(17)); /* both families in turn */
			ck_assert_int_eq(r.last.reason, TURN_REASON_NO_ANSWER);
		} else {
			ck_assert_uint_eq(r.n_failed, 1);
			ck_assert_int_eq(r.last.reason, TURN_REASON_UNAUTHORISED);
			ck_assert_uint_eq(fake_turn_count(&r.f, TURN_ALLOCATE, 0), 2);
		}
		rig_close(&r);
	}
}
END_TEST

START_TEST(a15_14_stale_nonce)
{
	for (int is_signed = 0; is_signed < 2; is_signed++) {
		struct rig r;
		rig_ready(&r);
		r.f.signs_challenges = is_signed;
		r.f.nonce = "nonce-2";
		size_t mark = r.f.n;
		rig_run(&r, FZ_SEC(300));
		ck_assert_uint_eq(fake_turn_count(&r.f, TURN_REFRESH, mark), 2);
		r.f.nonce = "nonce-3";
		struct fz_addr peer = addr_of("198.51.100.9:1");
		mark = r.f.n;
		ck_assert_int_eq(turn_alloc_bind(r.a, &peer, r.now_us), 0);
		rig_turn(&r);
		ck_assert_uint_eq(fake_turn_count(&r.f, TURN_CHANNEL_BIND, mark), 2);
		ck_assert_uint_eq(r.f.n_channels, 1);
		ck_assert_uint_eq(r.n_lost + r.n_failed, 0);
		rig_close(&r);
	}
}
END_TEST

START_TEST(endless_challenges_are_bounded)
{
	struct rig r;
	char nonce[16];

	rig_ready(&r);
	size_t mark = r.f.n;
	turn_alloc_refresh(r.a, r.now_us);
	uint8_t out[TURN_TRANSMIT_MAX], in[TURN_TRANSMIT_MAX];
	struct fz_addr to;
	int n, sent = 0;
	while ((n = turn_alloc_poll_transmit(r.a, out, sizeof(out), &to, r.now_us)) > 0) {
		snprintf(nonce, sizeof(nonce), "next-%d", sent++);
		r.f.nonce = nonce;
		int len = fake_turn_handle(&r.f, &to, out, (size_t)n, in, sizeof(in), r.now_us);
		(void)turn_alloc_handle_datagram(r.a, &r.local4, &to, in, (size_t)len, r.now_us);
	}
	ck_assert_uint_eq(fake_turn_count(&r.f, TURN_REFRESH, mark), 5);
	ck_assert_int_eq(turn_alloc_state(r.a), TURN_READY);
	rig_close(&r);
}
END_TEST

START_TEST(a15_15_mismatch_on_refresh)
{
	struct rig r;
	struct fz_addr peer = addr_of("198.51.100.9:1");

	rig_ready(&r);
	ck_assert_uint_eq(turn_alloc_channel(r.a, &peer, r.now_us), 0x4000);
	rig_turn(&r);
	r.f.allocated = false;
	rig_run(&r, FZ_SEC(300));
	ck_assert_uint_eq(r.n_lost, 2);
	ck_assert_uint_eq(r.n_relayed, 4);
	ck_assert_int_eq(turn_alloc_state(r.a), TURN_READY);
	ck_assert_int_eq(feed_data(&r, 0x4000, &peer), FZ_ERR_STATE);
	rig_close(&r);
}
END_TEST

START_TEST(a15_15_mismatch_on_channel_bind)
{
	for (int says_400 = 0; says_400 < 2; says_400++) {
		struct rig r;
		struct fz_addr peer = addr_of("198.51.100.9:1"), got;
		rig_ready(&r);
		r.f.allocated = false;
		r.f.plain_400_bind = says_400;
		size_t mark = r.f.n;
		ck_assert_int_eq(turn_alloc_bind(r.a, &peer, r.now_us), 0);
		rig_turn(&r);
		ck_assert_uint_eq(r.n_lost, 2);
		ck_assert_uint_eq(r.n_relayed, 4);
		ck_assert_uint_eq(fake_turn_count(&r.f, TURN_CHANNEL_BIND, mark), 2);
		ck_assert_int_eq(feed_data(&r, 0x4000, &got), 5);
		ck_assert(fz_addr_equal(&got, &peer));
		rig_close(&r);
	}
}
END_TEST

/* A relay that gives allocations and denies them at once: no race of candidates that come and go. */
START_TEST(allocations_that_never_last_suspend)
{
	struct rig r;
	struct fz_addr peer = addr_of("198.51.100.9:1");

	rig_ready(&r);
	r.f.fail_bind = 437;
	r.f.fail_count = -1;
	ck_assert_int_eq(turn_alloc_bind(r.a, &peer, r.now_us), 0);
	rig_turn(&r);
	ck_assert_int_eq(turn_alloc_state(r.a), TURN_SUSPENDED);
	ck_assert_uint_le(turn_alloc_stats(r.a)->allocations, 5);
	ck_assert_int_eq(r.n_refused, 1);
	/* later it is better */
	r.f.fail_bind = 0;
	rig_run(&r, FZ_SEC(60));
	ck_assert_int_eq(turn_alloc_state(r.a), TURN_READY);
	rig_close(&r);
}
END_TEST

START_TEST(a15_16_other_error_suspends)
{
	struct rig r;
	struct fz_addr peer = addr_of("198.51.100.9:1");

	rig_init(&r);
	r.f.fail_allocate = 500;
	r.f.fail_count = -1;
	rig_open(&r);
	ck_assert_int_eq(turn_alloc_state(r.a), TURN_SUSPENDED);
	ck_assert(r.n_refused == 1 && r.last.code == 500);
	ck_assert_int_eq(turn_alloc_bind(r.a, &peer, r.now_us), FZ_ERR_STATE);
	ck_assert_uint_gt(turn_alloc_rtt_us(r.a), 0); /* still good for choosing a relay */
	size_t mark = r.f.n;
	r.f.fail_count = 0;
	turn_alloc_refresh(r.a, r.now_us);
	rig_turn(&r);
	ck_assert_uint_eq(r.f.log[mark].method, STUN_BINDING);
	ck_assert_int_eq(turn_alloc_state(r.a), TURN_READY);
	rig_close(&r);
}
END_TEST

START_TEST(suspended_tries_again_by_itself)
{
	struct rig r;
	static const uint32_t gap_s[] = { 60, 120, 240, 480, 480 };

	rig_init(&r);
	r.f.fail_allocate = 486;
	r.f.fail_count = -1;
	rig_open(&r);
	for (size_t i = 0; i < 5; i++) {
		size_t mark = r.f.n;
		rig_run(&r, FZ_SEC(gap_s[i]) - 1);
		ck_assert_uint_eq(r.f.n, mark);
		rig_run(&r, 1);
		ck_assert_uint_eq(fake_turn_count(&r.f, TURN_ALLOCATE, mark), 2);
		ck_assert_int_eq(turn_alloc_state(r.a), TURN_SUSPENDED);
	}
	r.f.fail_count = 0;
	rig_run(&r, FZ_SEC(480));
	ck_assert_int_eq(turn_alloc_state(r.a), TURN_READY);
	rig_close(&r);
}
END_TEST

START_TEST(a15_17_refresh)
{
	struct rig r;

	rig_ready(&r);
	size_t mark = r.f.n;
	rig_run(&r, FZ_SEC(300) - 1);
	ck_assert_uint_eq(fake_turn_count(&r.f, TURN_REFRESH, mark), 0);
	rig_run(&r, 1);
	ck_assert_uint_eq(fake_turn_count(&r.f, TURN_REFRESH, mark), 1);
	rig_run(&r, FZ_SEC(299));
	ck_assert_uint_eq(fake_turn_count(&r.f, TURN_REFRESH, mark), 1);
	rig_run(&r, FZ_SEC(3600));
	ck_assert_uint_eq(fake_turn_count(&r.f, TURN_REFRESH, mark), 13);
	ck_assert_uint_eq(r.n_lost, 0);
	/* the portal mentions the relay again: asked at once, but only once */
	mark = r.f.n;
	turn_alloc_refresh(r.a, r.now_us);
	turn_alloc_refresh(r.a, r.now_us);
	rig_turn(&r);
	ck_assert_uint_eq(fake_turn_count(&r.f, TURN_REFRESH, mark), 1);
	/* unanswered: the channels and addresses go, at once */
	r.f.silent = true;
	turn_alloc_refresh(r.a, r.now_us);
	rig_run(&r, FZ_MS(1425));
	ck_assert_uint_eq(r.n_lost, 2);
	rig_close(&r);
}
END_TEST

START_TEST(a15_17_before_the_first_answer_nothing)
{
	struct rig r;

	rig_init(&r);
	r.f.silent = true;
	rig_open(&r);
	size_t mark = r.f.n;
	turn_alloc_refresh(r.a, r.now_us);
	rig_turn(&r);
	ck_assert_uint_eq(r.f.n, mark);
	rig_close(&r);
}
END_TEST

START_TEST(a15_18_refused_refresh_then_expiry)
{
	struct rig r;

	rig_ready(&r);
	r.f.fail_refresh = 500;
	r.f.fail_count = -1;
	size_t mark = r.f.n;
	rig_run(&r, FZ_SEC(599));
	ck_assert_uint_eq(fake_turn_count(&r.f, TURN_REFRESH, mark), 5);
	ck_assert_uint_eq(r.n_lost, 0);
	r.f.allocated = false;
	rig_run(&r, FZ_SEC(1));
	ck_assert_uint_eq(r.n_lost, 2); /* 15.18 expiry */
	ck_assert_uint_eq(r.n_relayed, 4);
	rig_close(&r);
}
END_TEST

START_TEST(a15_19_keepalive)
{
	struct rig r;

	rig_ready(&r);
	size_t mark = r.f.n;
	rig_run(&r, FZ_SEC(20) - 1);
	ck_assert_uint_eq(r.f.n, mark);
	ck_assert_uint_eq(turn_alloc_next_timeout(r.a), r.now_us + FZ_SEC(5) + 1); /* by itself: 25 s */
	rig_run(&r, FZ_SEC(80) + 1);
	ck_assert_uint_eq(fake_turn_count(&r.f, STUN_BINDING, mark), 4);
	ck_assert(fz_addr_equal(&fake_turn_last(&r.f, STUN_BINDING)->to, &r.f.addr4));
	mark = r.f.n;
	struct fz_addr peer = addr_of("198.51.100.9:1"), got;
	uint16_t number = turn_alloc_channel(r.a, &peer, r.now_us);
	for (int i = 0; i < 10; i++) {
		rig_run(&r, FZ_SEC(10));
		ck_assert_int_eq(feed_data(&r, number, &got), 5);
		turn_alloc_note_sent(r.a, r.now_us);
	}
	ck_assert_uint_eq(fake_turn_count(&r.f, STUN_BINDING, mark), 0);
	ck_assert_uint_eq(fake_turn_count(&r.f, TURN_REFRESH, mark), 0);
	rig_close(&r);
}
END_TEST

/* Whoever is awake for something else does it sooner, so that nobody wakes up for it alone. */
START_TEST(a15_19_keepalive_in_company)
{
	struct rig r;
	size_t mark;

	rig_ready(&r);
	mark = r.f.n;
	for (int i = 0; i < 12; i++) {
		ck_assert_uint_gt(turn_alloc_next_timeout(r.a), r.now_us + FZ_SEC(10));
		r.now_us += FZ_SEC(10);
		turn_alloc_handle_timeout(r.a, r.now_us);
		rig_turn(&r);
	}
	ck_assert_uint_eq(fake_turn_count(&r.f, STUN_BINDING, mark), 6);
	rig_close(&r);
}
END_TEST

START_TEST(sending_into_silence_asks_for_the_allocation)
{
	struct rig r;
	struct fz_addr peer = addr_of("198.51.100.9:1");

	rig_ready(&r);
	ck_assert_uint_eq(turn_alloc_channel(r.a, &peer, r.now_us), 0x4000);
	rig_turn(&r);
	r.f.allocated = false; /* the server restarted */
	r.f.nonce = "nonce-9";
	for (int i = 0; i < 26; i++) {
		turn_alloc_note_sent(r.a, r.now_us);
		rig_run(&r, FZ_SEC(1));
	}
	ck_assert_uint_eq(r.n_lost, 2);
	ck_assert_uint_eq(r.n_relayed, 4);
	rig_close(&r);
}
END_TEST

START_TEST(new_mapping_asks_for_the_allocation)
{
	struct rig r;

	rig_ready(&r);
	r.f.mapped4 = addr_of("198.51.100.7:1024");
	r.f.allocated = false; /* the server does not know this 5-tuple */
	rig_run(&r, FZ_SEC(26));
	ck_assert_uint_eq(r.n_mapped, 3);
	ck_assert_uint_eq(r.n_lost, 2);
	ck_assert_uint_eq(r.n_relayed, 4);
	rig_close(&r);
}
END_TEST

START_TEST(a15_20_round_trip)
{
	struct rig r;
	uint8_t out[TURN_TRANSMIT_MAX], in[TURN_TRANSMIT_MAX];
	struct fz_addr to;

	rig_init(&r);
	r.f.addr6 = (struct fz_addr){ 0 };
	ck_assert_int_eq(rig_try_open(&r), 0);
	ck_assert_uint_eq(turn_alloc_rtt_us(r.a), 0);
	for (int i = 0; i < 2; i++) {
		int n = turn_alloc_poll_transmit(r.a, out, sizeof(out), &to, r.now_us);
		r.now_us += i == 0 ? FZ_MS(40) : FZ_MS(200);
		int len = fake_turn_handle(&r.f, &to, out, (size_t)n, in, sizeof(in), r.now_us);
		ck_assert_int_eq(turn_alloc_handle_datagram(r.a, &r.local4, &to, in, (size_t)len, r.now_us),
				 0);
		ck_assert_uint_eq(turn_alloc_rtt_us(r.a), i == 0 ? FZ_MS(40) : FZ_MS(60));
	}
	rig_close(&r);
}
END_TEST

/* ---- channels (15.3) ---- */

START_TEST(a15_30_bind_before_the_allocation)
{
	struct rig r;
	struct fz_addr p1 = addr_of("198.51.100.9:1"), p2 = addr_of("198.51.100.9:2"), got;

	rig_init(&r);
	ck_assert_int_eq(rig_try_open(&r), 0);
	ck_assert_int_eq(turn_alloc_bind(r.a, &p1, r.now_us), 0);
	ck_assert_int_eq(turn_alloc_bind(r.a, &p2, r.now_us), 0);
	ck_assert_int_eq(turn_alloc_bind(r.a, &p1, r.now_us), 0);
	ck_assert_uint_eq(turn_alloc_channel(r.a, &p1, r.now_us), 0);
	rig_turn(&r);
	ck_assert_uint_eq(fake_turn_count(&r.f, TURN_CHANNEL_BIND, 0), 2);
	ck_assert_int_eq(feed_data(&r, 0x4000, &got), 5);
	ck_assert(fz_addr_equal(&got, &p1));
	ck_assert_int_eq(feed_data(&r, 0x4001, &got), 5);
	ck_assert(fz_addr_equal(&got, &p2));
	rig_close(&r);

	rig_init(&r); /* cleared when the allocation fails */
	r.f.fail_allocate = 508;
	r.f.fail_count = 1;
	ck_assert_int_eq(rig_try_open(&r), 0);
	ck_assert_int_eq(turn_alloc_bind(r.a, &p1, r.now_us), 0);
	rig_run(&r, FZ_SEC(60));
	ck_assert_int_eq(turn_alloc_state(r.a), TURN_READY);
	ck_assert_uint_eq(fake_turn_count(&r.f, TURN_CHANNEL_BIND, 0), 0);
	rig_close(&r);
}
END_TEST

START_TEST(a15_30_waiting_binds_are_bounded)
{
	struct rig r;
	struct fz_addr peer = addr_of("198.51.100.9:1");

	rig_init(&r);
	ck_assert_int_eq(rig_try_open(&r), 0);
	for (uint16_t i = 0; i < 100; i++) {
		peer.port = (uint16_t)(1 + i);
		ck_assert_int_eq(turn_alloc_bind(r.a, &peer, r.now_us), 0);
	}
	peer.port = 999;
	ck_assert_int_eq(turn_alloc_bind(r.a, &peer, r.now_us), FZ_ERR_FULL);
	ck_assert_uint_eq(turn_alloc_stats(r.a)->channel_full, 1);
	rig_close(&r);
}
END_TEST

START_TEST(a15_31_family_not_allocated)
{
	struct rig r;
	struct fz_addr v6 = addr_of("[2001:db8::9]:1"), v4 = addr_of("198.51.100.9:1"), none;

	rig_init(&r);
	r.f.relayed6 = (struct fz_addr){ 0 };
	rig_open(&r);
	ck_assert_uint_eq(r.n_relayed, 1);
	ck_assert(!turn_alloc_relayed(r.a, FZ_FAMILY_INET6, &none));
	ck_assert_int_eq(turn_alloc_bind(r.a, &v6, r.now_us), FZ_ERR_STATE);
	ck_assert_uint_eq(turn_alloc_channel(r.a, &v6, r.now_us), 0);
	ck_assert_int_eq(turn_alloc_bind(r.a, &v4, r.now_us), 0);
	rig_turn(&r);
	ck_assert_uint_eq(fake_turn_count(&r.f, TURN_CHANNEL_BIND, 0), 1);
	rig_close(&r);
}
END_TEST

START_TEST(a15_32_bind_in_flight)
{
	struct rig r;
	struct fz_addr p1 = addr_of("198.51.100.9:1"), p2 = addr_of("198.51.100.9:2"), got;

	rig_ready(&r);
	r.f.silent = true;
	size_t mark = r.f.n;
	ck_assert_int_eq(turn_alloc_bind(r.a, &p1, r.now_us), 0);
	ck_assert(turn_alloc_has_bind(r.a));
	rig_turn(&r);
	ck_assert(!turn_alloc_has_bind(r.a));
	ck_assert_int_eq(turn_alloc_bind(r.a, &p1, r.now_us), 0);
	ck_assert_int_eq(turn_alloc_bind(r.a, &p2, r.now_us), 0);
	rig_turn(&r);
	ck_assert_uint_eq(fake_turn_count(&r.f, TURN_CHANNEL_BIND, mark), 2);
	ck_assert_uint_eq(turn_alloc_channel(r.a, &p1, r.now_us), 0x4000); /* data may follow at once */
	ck_assert_uint_eq(turn_alloc_channel(r.a, &p2, r.now_us), 0x4001);
	ck_assert_int_eq(feed_data(&r, 0x4001, &got), 5); /* and come back before the answer */
	rig_run(&r, FZ_SEC(1));
	ck_assert_uint_eq(fake_turn_count(&r.f, TURN_CHANNEL_BIND, mark), 4); /* repeated */
	ck_assert_mem_eq(&r.f.log[mark].txid, &r.f.log[mark + 2].txid, sizeof(struct stun_txid));
	rig_close(&r);
}
END_TEST

START_TEST(a15_33_numbers)
{
	struct rig r;
	struct fz_addr p1 = addr_of("198.51.100.9:1"), p2 = addr_of("198.51.100.9:2");

	rig_ready(&r);
	ck_assert_uint_eq(turn_alloc_channel(r.a, &p1, r.now_us), 0x4000);
	rig_run(&r, FZ_SEC(240)); /* used: bound again once, then left alone */
	rig_run(&r, FZ_SEC(599));
	size_t mark = r.f.n;
	ck_assert_uint_eq(turn_alloc_channel(r.a, &p1, r.now_us), 0x4000);
	rig_run(&r, FZ_SEC(1));
	ck_assert_uint_eq(fake_turn_count(&r.f, TURN_CHANNEL_BIND, mark), 1);
	/* expired, in the cool-down: the same peer gets the same number, another one the next */
	rig_run(&r, FZ_SEC(900));
	mark = r.f.n;
	ck_assert_uint_eq(turn_alloc_channel(r.a, &p2, r.now_us), 0x4001);
	ck_assert_uint_eq(turn_alloc_channel(r.a, &p1, r.now_us), 0x4000);
	rig_turn(&r);
	ck_assert_uint_eq(fake_turn_count(&r.f, TURN_CHANNEL_BIND, mark), 2);
	rig_close(&r);
}
END_TEST

START_TEST(a15_34_refresh_only_in_use)
{
	struct rig r;
	struct fz_addr idle = addr_of("198.51.100.9:1"), busy = addr_of("198.51.100.9:2"), got;

	rig_ready(&r);
	ck_assert_int_eq(turn_alloc_bind(r.a, &idle, r.now_us), 0);
	ck_assert_int_eq(turn_alloc_bind(r.a, &busy, r.now_us), 0);
	rig_turn(&r);
	size_t mark = r.f.n;
	for (int i = 0; i < 90; i++) {
		ck_assert_int_eq(feed_data(&r, 0x4001, &got), 5);
		rig_run(&r, FZ_SEC(20));
	}
	/* half an hour: seven times at most four minutes apart, so that no permission of five minutes lapses
	 */
	ck_assert_uint_eq(fake_turn_count(&r.f, TURN_CHANNEL_BIND, mark), 7);
	uint64_t last = 0;
	for (size_t i = mark; i < r.f.n; i++)
		if (r.f.log[i].method == TURN_CHANNEL_BIND) {
			ck_assert_uint_eq(r.f.log[i].channel, 0x4001);
			ck_assert(last == 0 || r.f.log[i].at_us - last <= FZ_SEC(240));
			last = r.f.log[i].at_us;
		}
	ck_assert_int_eq(feed_data(&r, 0x4000, &got), FZ_ERR_STATE); /* long expired */
	rig_close(&r);
}
END_TEST

START_TEST(channel_used_one_way_stays)
{
	struct rig r;
	struct fz_addr peer = addr_of("198.51.100.9:1");

	rig_ready(&r);
	for (int i = 0; i < 100; i++) {
		ck_assert_uint_eq(turn_alloc_channel(r.a, &peer, r.now_us), 0x4000);
		rig_run(&r, FZ_SEC(20));
	}
	ck_assert_uint_eq(fake_turn_count(&r.f, TURN_CHANNEL_BIND, 0), 1 + 8);
	rig_close(&r);
}
END_TEST

START_TEST(a15_35_bound_again)
{
	struct rig r;
	struct fz_addr peer = addr_of("198.51.100.9:1");

	rig_ready(&r);
	ck_assert_int_eq(turn_alloc_bind(r.a, &peer, r.now_us), 0);
	rig_turn(&r);
	size_t mark = r.f.n;
	ck_assert_int_eq(turn_alloc_bind(r.a, &peer, r.now_us), 0);
	rig_turn(&r);
	ck_assert_uint_eq(r.f.n, mark);
	rig_close(&r);
}
END_TEST

START_TEST(a15_36_failed_bind)
{
	struct rig r;
	struct fz_addr peer = addr_of("198.51.100.9:1"), got;

	rig_ready(&r);
	r.f.fail_bind = 403;
	r.f.fail_count = 1;
	ck_assert_uint_eq(turn_alloc_channel(r.a, &peer, r.now_us), 0x4000);
	rig_turn(&r);
	ck_assert_int_eq(feed_data(&r, 0x4000, &got), FZ_ERR_STATE);
	ck_assert_uint_eq(turn_alloc_channel(r.a, &peer, r.now_us), 0);
	ck_assert_int_eq(turn_alloc_bind(r.a, &peer, r.now_us), FZ_ERR_STATE);
	ck_assert_uint_eq(turn_alloc_stats(r.a)->channel_refused, 1);
	rig_run(&r, FZ_SEC(30));
	ck_assert_uint_ne(turn_alloc_channel(r.a, &peer, r.now_us), 0);
	rig_turn(&r);
	ck_assert_uint_eq(r.f.n_channels, 1);
	ck_assert_uint_eq(r.n_lost + r.n_failed, 0);
	rig_close(&r);
}
END_TEST

/* A relay that lives but never answers for one peer: not asked for ever, and asked again when data wants to
 * go.
 */
START_TEST(bind_never_answered_is_bounded)
{
	struct rig r;
	struct fz_addr peer = addr_of("198.51.100.9:1");

	rig_ready(&r);
	r.f.silent_bind = true;
	ck_assert_uint_ne(turn_alloc_channel(r.a, &peer, r.now_us), 0);
	rig_run(&r, FZ_SEC(600));
	ck_assert_uint_le(fake_turn_count(&r.f, TURN_CHANNEL_BIND, 0), 12);
	ck_assert_uint_eq(turn_alloc_stats(r.a)->channel_refused, 1);
	ck_assert_uint_eq(r.n_lost + r.n_failed, 0);
	r.f.silent_bind = false;
	ck_assert_uint_ne(turn_alloc_channel(r.a, &peer, r.now_us), 0);
	rig_turn(&r);
	ck_assert_uint_eq(r.f.n_channels, 1);
	rig_close(&r);
}
END_TEST

START_TEST(a15_37_data_on_an_unbound_channel)
{
	struct rig r;
	struct fz_addr peer = addr_of("198.51.100.9:1"), got, relayed, other = addr_of("203.0.113.102:3478");
	uint8_t buf[4] = { 0x40, 0, 0, 0 };

	rig_ready(&r);
	ck_assert_int_eq(feed_data(&r, 0x4000, &got), FZ_ERR_STATE);
	ck_assert_uint_eq(turn_alloc_stats(r.a)->channel_unknown, 1);
	ck_assert_int_eq(turn_alloc_bind(r.a, &peer, r.now_us), 0);
	rig_turn(&r);
	ck_assert_int_eq(turn_alloc_unwrap(r.a, &r.f.addr4, buf, 4, &got, &relayed, r.now_us), 0);
	ck_assert(fz_addr_equal(&got, &peer) && fz_addr_equal(&relayed, &r.f.relayed4));
	ck_assert_int_eq(turn_alloc_unwrap(r.a, &other, buf, 4, &got, &relayed, r.now_us), FZ_ERR_NOT_MINE);
	buf[3] = 1;
	ck_assert_int_eq(turn_alloc_unwrap(r.a, &r.f.addr4, buf, 4, &got, &relayed, r.now_us), FZ_ERR_WIRE);
	ck_assert_uint_eq(turn_alloc_stats(r.a)->channel_rx, 1);
	rig_close(&r);
}
END_TEST

START_TEST(a15_38_server_matching)
{
	struct rig r;
	struct fz_addr near = addr_of("203.0.113.101:3479"), none = { 0 };

	for (int which = 1; which < 4; which++) {
		rig_init(&r);
		struct fz_addr v4 = r.f.addr4, v6 = r.f.addr6;
		if (!(which & 1))
			r.f.addr4 = none;
		if (!(which & 2))
			r.f.addr6 = none;
		ck_assert_int_eq(rig_try_open(&r), 0);
		ck_assert(turn_alloc_is_server(r.a, &v4) == ((which & 1) != 0));
		ck_assert(turn_alloc_is_server(r.a, &v6) == ((which & 2) != 0));
		ck_assert(!turn_alloc_is_server(r.a, &near) && !turn_alloc_is_server(r.a, &none));
		rig_close(&r);
	}
}
END_TEST

START_TEST(all_numbers_in_use)
{
	struct rig r;
	struct fz_addr peer = addr_of("198.51.100.9:1");

	rig_ready(&r);
	r.f.silent = true;
	for (unsigned i = 0; i < 4096; i++) {
		peer.port = (uint16_t)(i + 1);
		ck_assert_uint_eq(turn_alloc_channel(r.a, &peer, r.now_us), 0x4000 + i);
	}
	peer.port = 5000;
	ck_assert_uint_eq(turn_alloc_channel(r.a, &peer, r.now_us), 0);
	ck_assert_int_eq(turn_alloc_bind(r.a, &peer, r.now_us), FZ_ERR_FULL);
	ck_assert_uint_eq(turn_alloc_stats(r.a)->channel_full, 2);
	rig_close(&r);
}
END_TEST

/* ---- servers of all kinds ---- */

START_TEST(server_that_signs_its_challenges)
{
	struct rig r;

	rig_init(&r);
	r.f.signs_challenges = true;
	rig_open(&r);
	ck_assert_int_eq(turn_alloc_state(r.a), TURN_READY);
	rig_close(&r);
}
END_TEST

START_TEST(server_that_knows_the_draft_number_only)
{
	struct rig r;

	rig_init(&r);
	r.f.draft_only = true;
	rig_open(&r);
	ck_assert_uint_eq(r.n_relayed, 2);
	rig_close(&r);
}
END_TEST

START_TEST(a17_6_families_are_given_up_one_by_one)
{
	struct rig r;

	for (int fails = 1; fails <= 4; fails++) {
		static const uint16_t codes[] = { 440, 400, 420, 440 };
		rig_init(&r);
		r.f.fail_allocate = codes[fails - 1];
		r.f.fail_count = fails;
		rig_open(&r);
		size_t n = fake_turn_count(&r.f, TURN_ALLOCATE, 0);
		if (fails == 4) {
			ck_assert_int_eq(turn_alloc_state(r.a), TURN_SUSPENDED);
			rig_close(&r);
			continue;
		}
		ck_assert_uint_eq(n, 2 + (size_t)fails);
		ck_assert_int_eq(turn_alloc_state(r.a), TURN_READY);
		const struct fake_request *last = fake_turn_last(&r.f, TURN_ALLOCATE);
		ck_assert(last->has_both == (fails == 1) && last->has_v6 == (fails == 3));
		rig_close(&r);
	}
	rig_init(&r);
	r.f.fail_allocate = 420;
	r.f.fail_count = -1;
	rig_open(&r);
	ck_assert(r.n_failed == 1 && r.last.reason == TURN_REASON_PROTOCOL);
	rig_close(&r);
}
END_TEST

START_TEST(left_over_allocation_of_ours)
{
	for (int before_auth = 0; before_auth < 2; before_auth++) {
		struct rig r;
		rig_init(&r);
		r.f.allocated = true; /* an earlier life of this process with the same port */
		r.f.mismatch_first = before_auth;
		r.f.linger = before_auth ? 1 : 0;
		rig_open(&r);
		rig_run(&r, FZ_SEC(2));
		ck_assert_int_eq(turn_alloc_state(r.a), TURN_READY);
		ck_assert_uint_eq(r.n_relayed, 2);
		ck_assert(fake_turn_last(&r.f, TURN_REFRESH)->releases);
		rig_close(&r);
	}
}
END_TEST

START_TEST(left_over_allocation_of_somebody_else)
{
	struct rig r;

	rig_init(&r);
	r.f.allocated = r.f.mismatch_first = r.f.wrong_owner = true;
	r.f.addr6 = (struct fz_addr){ 0 };
	rig_open(&r);
	rig_run(&r, FZ_SEC(5)); /* it could have been given back a moment ago */
	ck_assert_int_eq(turn_alloc_state(r.a), TURN_SUSPENDED);
	ck_assert(r.n_refused == 1 && r.last.code == 441);
	r.f.allocated = r.f.wrong_owner = false; /* it expired */
	rig_run(&r, FZ_SEC(60));
	ck_assert_int_eq(turn_alloc_state(r.a), TURN_READY);
	rig_close(&r);
}
END_TEST

START_TEST(left_over_allocation_of_somebody_else_on_one_family)
{
	struct rig r;

	rig_init(&r);
	r.f.allocated = r.f.mismatch_first = r.f.wrong_owner = r.f.free_over_v6 = true;
	rig_open(&r);
	rig_run(&r, FZ_SEC(5));
	ck_assert_int_eq(turn_alloc_state(r.a), TURN_READY);
	ck_assert(fz_addr_equal(turn_alloc_server(r.a), &r.f.addr6));
	ck_assert_uint_eq(r.n_refused, 0);
	rig_close(&r);
}
END_TEST

START_TEST(mismatch_for_ever_is_bounded)
{
	struct rig r;

	rig_init(&r);
	r.f.fail_allocate = 437;
	r.f.fail_count = -1;
	rig_open(&r);
	rig_run(&r, FZ_SEC(10)); /* both families in turn */
	ck_assert_int_eq(turn_alloc_state(r.a), TURN_SUSPENDED);
	ck_assert_uint_lt(r.f.n, 24);
	rig_close(&r);
}
END_TEST

START_TEST(redirect)
{
	struct rig r;
	struct fz_addr other = addr_of("203.0.113.102:3478");

	rig_init(&r);
	r.f.fail_allocate = 300;
	r.f.fail_count = 1;
	r.f.alternate = other;
	ck_assert_int_eq(rig_try_open(&r), 0);
	r.no_v6 = true;
	rig_turn(&r);
	ck_assert_int_eq(turn_alloc_state(r.a), TURN_READY);
	ck_assert(fz_addr_equal(turn_alloc_server(r.a), &other));
	ck_assert(!turn_alloc_is_server(r.a, &r.f.addr4) && !turn_alloc_is_server(r.a, &r.f.addr6));
	turn_alloc_restart(r.a, r.now_us); /* from elsewhere the first server may have another opinion */
	ck_assert(turn_alloc_is_server(r.a, &r.f.addr4) && turn_alloc_is_server(r.a, &r.f.addr6));
	rig_close(&r);

	static const char *const nowhere[] = { "224.0.0.1:3478", "0.0.0.0:3478" };
	for (size_t i = 0; i < sizeof(nowhere) / sizeof(nowhere[0]); i++) {
		rig_init(&r);
		r.f.fail_allocate = 300;
		r.f.fail_count = 1;
		r.f.alternate = addr_of(nowhere[i]);
		rig_open(&r);
		ck_assert_int_eq(turn_alloc_state(r.a), TURN_SUSPENDED);
		ck_assert(turn_alloc_is_server(r.a, &r.f.addr4));
		rig_close(&r);
	}

	rig_init(&r); /* in circles */
	r.f.fail_allocate = 300;
	r.f.fail_count = -1;
	r.f.alternate = r.f.addr4;
	rig_open(&r);
	ck_assert_int_eq(turn_alloc_state(r.a), TURN_SUSPENDED);
	rig_close(&r);
}
END_TEST

START_TEST(lost_answer_to_allocate)
{
	struct rig r;
	uint8_t out[TURN_TRANSMIT_MAX], in[TURN_TRANSMIT_MAX];
	struct fz_addr to;

	rig_init(&r);
	r.f.addr6 = (struct fz_addr){ 0 };
	r.f.mismatch_first = false;
	ck_assert_int_eq(rig_try_open(&r), 0);
	for (int i = 0; i < 3; i++) {
		int n = turn_alloc_poll_transmit(r.a, out, sizeof(out), &to, r.now_us);
		int len = fake_turn_handle(&r.f, &to, out, (size_t)n, in, sizeof(in), r.now_us);
		if (i < 2)
			ck_assert_int_eq(
				turn_alloc_handle_datagram(r.a, &r.local4, &to, in, (size_t)len, r.now_us),
				0);
	}
	ck_assert(r.f.allocated);
	rig_run(&r, FZ_SEC(1)); /* repeated with the same id: the server knows it */
	ck_assert_int_eq(turn_alloc_state(r.a), TURN_READY);
	ck_assert_uint_eq(fake_turn_count(&r.f, TURN_REFRESH, 0), 0);
	rig_close(&r);
}
END_TEST

START_TEST(reset_by_roaming)
{
	struct rig r;
	struct fz_addr peer = addr_of("198.51.100.9:1");

	rig_ready(&r);
	ck_assert_uint_eq(turn_alloc_channel(r.a, &peer, r.now_us), 0x4000);
	rig_turn(&r);
	size_t mark = r.f.n;
	turn_alloc_restart(r.a, r.now_us);
	take_events(&r);
	ck_assert_uint_eq(r.n_lost, 0); /* forgotten without a word */
	ck_assert_uint_eq(turn_alloc_rtt_us(r.a), 0);
	ck_assert(turn_alloc_server(r.a) == NULL);
	r.f.allocated = false;
	r.local4 = addr_of("10.0.0.9:52625");
	rig_turn(&r);
	ck_assert_uint_eq(fake_turn_count(&r.f, STUN_BINDING, mark), 2);
	ck_assert_uint_eq(r.n_mapped, 4);
	ck_assert_uint_eq(r.n_relayed, 4);
	ck_assert(fz_addr_equal(turn_alloc_local(r.a), &r.local4));
	rig_close(&r);
}
END_TEST

START_TEST(giving_back)
{
	struct rig r;
	struct fz_addr peer = addr_of("198.51.100.9:1");

	rig_ready(&r);
	turn_alloc_close(r.a, r.now_us);
	rig_turn(&r);
	ck_assert(!r.f.allocated);
	ck_assert_int_eq(turn_alloc_state(r.a), TURN_CLOSING);
	ck_assert(turn_alloc_next_timeout(r.a) == FZ_NEVER_US);
	ck_assert_int_eq(turn_alloc_bind(r.a, &peer, r.now_us), FZ_ERR_STATE);
	rig_close(&r);
}
END_TEST

START_TEST(binding_refused_is_an_answer)
{
	struct rig r;

	rig_init(&r);
	r.f.fail_binding = 401;
	r.f.fail_count = 2;
	rig_open(&r);
	ck_assert_int_eq(turn_alloc_state(r.a), TURN_READY);
	ck_assert_uint_eq(r.n_mapped, 0);
	rig_close(&r);
}
END_TEST

/* ---- forgeries ---- */

START_TEST(unsigned_success_is_ignored)
{
	struct rig r;

	rig_init(&r);
	r.f.unsigned_success = true;
	rig_open(&r);
	ck_assert_int_eq(turn_alloc_state(r.a), TURN_ALLOCATING);
	ck_assert_uint_eq(r.n_relayed, 0);
	ck_assert_uint_eq(turn_alloc_stats(r.a)->unsigned_answer, 1);
	r.f.unsigned_success = false;
	rig_run(&r, FZ_SEC(1));
	ck_assert_int_eq(turn_alloc_state(r.a), TURN_READY);
	rig_close(&r);
}
END_TEST

START_TEST(wrong_mac_is_ignored)
{
	struct rig r;

	rig_ready(&r);
	r.f.bad_mac = true;
	r.f.allocated = false;
	turn_alloc_refresh(r.a, r.now_us);
	rig_turn(&r);
	ck_assert_uint_eq(r.n_lost, 0);
	ck_assert_uint_eq(turn_alloc_stats(r.a)->bad_auth, 1);
	r.f.bad_mac = false;
	r.f.allocated = true;
	rig_run(&r, FZ_SEC(1));
	ck_assert_uint_eq(r.n_lost, 0);
	rig_close(&r);
}
END_TEST

/* Every unsigned error for every outstanding request of a working allocation, with its true transaction id:
 * at most a few more requests, and the state stays. */
START_TEST(forged_errors_cost_nothing)
{
	static const uint16_t codes[] = { 300, 400, 401, 403, 420, 437, 438, 440,
					  441, 442, 443, 486, 487, 500, 508, 699 };

	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		for (int of_bind = 0; of_bind < 2; of_bind++) {
			struct rig r;
			struct fz_addr peer = addr_of("198.51.100.9:1"), to;
			uint8_t out[TURN_TRANSMIT_MAX], in[256];
			int n;
			rig_ready(&r);
			if (of_bind)
				ck_assert_int_eq(turn_alloc_bind(r.a, &peer, r.now_us), 0);
			else
				turn_alloc_refresh(r.a, r.now_us);
			for (int k = 0; k < 10; k++) {
				n = turn_alloc_poll_transmit(r.a, out, sizeof(out), &to, r.now_us);
				if (n == 0)
					break;
				struct stun_msg m;
				struct stun_enc e;
				ck_assert_int_eq(stun_decode(out, (size_t)n, &m), 0);
				stun_enc_init(&e, in, sizeof(in), m.method, STUN_ERROR, &m.txid);
				stun_put_error(&e, codes[i], "");
				stun_put_text(&e, STUN_REALM, "firezone");
				stun_put_text(&e, STUN_NONCE, k % 2 ? "forged" : "nonce-1");
				stun_put_addr(&e, STUN_ALTERNATE_SERVER, &peer);
				(void)turn_alloc_handle_datagram(r.a, &r.local4, &to, in,
								 (size_t)stun_enc_end(&e), r.now_us);
			}
			ck_assert_int_eq(turn_alloc_state(r.a), TURN_READY);
			take_events(&r);
			ck_assert_uint_eq(r.n_lost + r.n_failed + r.n_refused, 0);
			rig_run(&r, FZ_SEC(8)); /* the true answers still count */
			ck_assert_int_eq(turn_alloc_state(r.a), TURN_READY);
			ck_assert_uint_eq(r.n_lost + r.n_failed, 0);
			ck_assert_uint_eq(r.f.n_channels, (unsigned)of_bind);
			rig_close(&r);
		}
}
END_TEST

START_TEST(strangers_and_old_answers)
{
	struct rig r;
	uint8_t out[TURN_TRANSMIT_MAX], in[TURN_TRANSMIT_MAX];
	struct fz_addr to, other = addr_of("203.0.113.102:3478");

	rig_init(&r);
	r.f.addr6 = (struct fz_addr){ 0 };
	ck_assert_int_eq(rig_try_open(&r), 0);
	int n = turn_alloc_poll_transmit(r.a, out, sizeof(out), &to, r.now_us);
	int len = fake_turn_handle(&r.f, &to, out, (size_t)n, in, sizeof(in), r.now_us);
	ck_assert_int_eq(turn_alloc_handle_datagram(r.a, &r.local4, &other, in, (size_t)len, r.now_us),
			 FZ_ERR_NOT_MINE);
	ck_assert_int_eq(turn_alloc_handle_datagram(r.a, &r.local4, &to, in, (size_t)len - 1, r.now_us),
			 FZ_ERR_WIRE);
	in[19] ^= 1;
	ck_assert_int_eq(turn_alloc_handle_datagram(r.a, &r.local4, &to, in, (size_t)len, r.now_us),
			 FZ_ERR_NOT_MINE);
	in[19] ^= 1;
	ck_assert_int_eq(turn_alloc_handle_datagram(r.a, &r.local4, &to, in, (size_t)len, r.now_us), 0);
	ck_assert_int_eq(turn_alloc_handle_datagram(r.a, &r.local4, &to, in, (size_t)len, r.now_us),
			 FZ_ERR_NOT_MINE);
	ck_assert_int_eq(turn_alloc_handle_datagram(r.a, &r.local4, &to, out, (size_t)n, r.now_us),
			 FZ_ERR_NOT_MINE);
	ck_assert_uint_eq(turn_alloc_stats(r.a)->unknown_txn, 2);
	ck_assert_uint_eq(turn_alloc_stats(r.a)->not_stun, 1);
	rig_close(&r);
}
END_TEST

/* ---- construction, memory ---- */

START_TEST(options)
{
	struct unit_env u;
	struct turn_alloc *a = NULL;
	struct fz_addr v4 = addr_of("203.0.113.101:3478"), v6 = addr_of("[2001:db8::101]:3478");
	char longer[600];
	const struct turn_alloc_opts bad[] = {
		{ .password = "p", .server4 = v4 },
		{ .username = "u", .server4 = v4 },
		{ .username = "", .password = "p", .server4 = v4 },
		{ .username = longer, .password = "p", .server4 = v4 },
		{ .username = "u", .password = longer, .server4 = v4 },
		{ .username = "u", .password = "p", .software = longer, .server4 = v4 },
		{ .username = "u", .password = "p" },
		{ .username = "u", .password = "p", .server4 = v6 },
		{ .username = "u", .password = "p", .server4 = v4, .server6 = v4 },
	};

	memset(longer, 'x', sizeof(longer));
	longer[599] = '\0';
	unit_env_init(&u, 1);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_int_eq(turn_alloc_new(&u.env, &bad[i], 0, &a), FZ_ERR_INVAL);
	turn_alloc_free(NULL);
	unit_env_check(&u);
}
END_TEST

START_TEST(only_the_realm_that_was_asked_for)
{
	struct rig r;

	rig_init(&r);
	struct turn_alloc_opts opts = {
		.username = "1798761600:salt", .password = "secret", .realm = "firezone", .server4 = r.f.addr4
	};
	ck_assert_int_eq(turn_alloc_new(&r.u.env, &opts, r.now_us, &r.a), 0);
	r.f.realm = "elsewhere";
	rig_turn(&r);
	ck_assert(r.n_failed == 1 && r.last.reason == TURN_REASON_UNAUTHORISED);
	rig_close(&r);
}
END_TEST

static void live_a_little(struct rig *r)
{
	struct fz_addr peer = addr_of("198.51.100.9:1"), got;

	(void)turn_alloc_bind(r->a, &peer, r->now_us);
	rig_turn(r);
	for (uint16_t i = 0; i < 20; i++) {
		peer.port = (uint16_t)(1 + i);
		(void)turn_alloc_channel(r->a, &peer, r->now_us);
	}
	rig_turn(r);
	(void)feed_data(r, 0x4003, &got);
	r->f.allocated = false;
	peer.port = 99;
	(void)turn_alloc_bind(r->a, &peer, r->now_us);
	rig_run(r, FZ_SEC(310));
}

START_TEST(every_allocation_may_fail)
{
	for (long at = 1;; at++) {
		struct rig r;
		rig_init(&r);
		r.u.fail_at = at;
		if (rig_try_open(&r) == 0) {
			live_a_little(&r);
			ck_assert_int_eq(turn_alloc_state(r.a), TURN_READY);
		} else {
			r.a = NULL;
		}
		bool untouched = r.u.allocs < at;
		rig_close(&r);
		if (untouched)
			break;
		ck_assert_int_lt(at, 500);
	}
}
END_TEST

START_TEST(small_buffer_loses_nothing)
{
	struct rig r;
	uint8_t out[TURN_TRANSMIT_MAX];
	struct fz_addr to;

	rig_init(&r);
	ck_assert_int_eq(rig_try_open(&r), 0);
	for (size_t cap = 0; cap < 28; cap++)
		ck_assert_int_eq(turn_alloc_poll_transmit(r.a, out, cap, &to, r.now_us), FZ_ERR_NOSPACE);
	ck_assert_int_eq(turn_alloc_poll_transmit(r.a, out, 28, &to, r.now_us), 28);
	rig_close(&r);
}
END_TEST

START_TEST(no_allocation_per_packet)
{
	struct rig r;
	struct fz_addr peer = addr_of("198.51.100.9:1"), got;

	rig_ready(&r);
	ck_assert_uint_eq(turn_alloc_channel(r.a, &peer, r.now_us), 0x4000);
	rig_turn(&r);
	long allocs = r.u.allocs;
	for (int i = 0; i < 1000; i++) {
		ck_assert_uint_eq(turn_alloc_channel(r.a, &peer, r.now_us), 0x4000);
		turn_alloc_note_sent(r.a, r.now_us);
		ck_assert_int_eq(feed_data(&r, 0x4000, &got), 5);
		r.now_us += 100;
	}
	ck_assert_int_eq(r.u.allocs, allocs);
	rig_close(&r);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("turn_alloc");

	unit_case(s, "life", a15_10_first_requests, a15_10_first_answer_decides_the_socket, a15_11_candidates,
		  a15_12_no_answer, a15_12_silence_later_costs_the_relay, other_family_takes_over,
		  a15_13_wrong_credentials, a15_14_stale_nonce, endless_challenges_are_bounded,
		  a15_15_mismatch_on_refresh, a15_15_mismatch_on_channel_bind,
		  allocations_that_never_last_suspend, a15_16_other_error_suspends,
		  suspended_tries_again_by_itself, a15_17_refresh, a15_17_before_the_first_answer_nothing,
		  a15_18_refused_refresh_then_expiry, a15_19_keepalive, a15_19_keepalive_in_company,
		  sending_into_silence_asks_for_the_allocation, new_mapping_asks_for_the_allocation,
		  a15_20_round_trip, reset_by_roaming, giving_back);
	unit_case(s, "channels", a15_30_bind_before_the_allocation, a15_30_waiting_binds_are_bounded,
		  a15_31_family_not_allocated, a15_32_bind_in_flight, a15_33_numbers,
		  a15_34_refresh_only_in_use, channel_used_one_way_stays, a15_35_bound_again,
		  a15_36_failed_bind, bind_never_answered_is_bounded, a15_37_data_on_an_unbound_channel,
		  a15_38_server_matching, all_numbers_in_use);
	unit_case(s, "servers", server_that_signs_its_challenges, server_that_knows_the_draft_number_only,
		  a17_6_families_are_given_up_one_by_one, left_over_allocation_of_ours,
		  left_over_allocation_of_somebody_else, left_over_allocation_of_somebody_else_on_one_family,
		  mismatch_for_ever_is_bounded, redirect, lost_answer_to_allocate,
		  binding_refused_is_an_answer);
	unit_case(s, "forgeries", unsigned_success_is_ignored, wrong_mac_is_ignored,
		  forged_errors_cost_nothing, strangers_and_old_answers);
	unit_case(s, "memory", options, only_the_realm_that_was_asked_for, every_allocation_may_fail,
		  small_buffer_loses_nothing, no_allocation_per_packet);
	return s;
}
