/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <stdio.h>

#include "base/time.h"
#include "proto/ice_check.h"
#include "proto/ice_pair.h"
#include "proto/path.h"

#define N(a) (sizeof(a) / sizeof((a)[0]))
#define START_US FZ_SEC(1000)

/* One agent under test, with a peer played by hand. */
struct rig {
	struct unit_env u;
	struct path *p;
	struct ice_creds peer; /* the peer's view of the credentials */
	uint64_t now_us;
	bool controlling; /* the agent's role at creation */
};

static const struct path_opts client_opts = { .kind = PATH_ICE,
					      .controlling = true,
					      .local_ufrag = "resc",
					      .local_pwd = "rqi3ibvfikfaxj3wgp7muh",
					      .remote_ufrag = "jbi4",
					      .remote_pwd = "a6oeevhlutevykcifd5r2a",
					      .profile = PATH_CLIENT_DEFAULT,
					      .idle_profile = PATH_CLIENT_IDLE,
					      .tag = 0xfeed };

static void rig_init(struct rig *r, bool controlling)
{
	struct path_opts o = client_opts;

	*r = (struct rig){ .now_us = START_US, .controlling = controlling };
	unit_env_init(&r->u, 4711);
	o.controlling = controlling;
	if (!controlling) {
		o.profile = PATH_SERVER_DEFAULT;
		o.idle_profile = PATH_SERVER_IDLE;
	}
	ck_assert_int_eq(ice_creds_init(&r->peer, o.remote_ufrag, o.remote_pwd, o.local_ufrag, o.local_pwd),
			 0);
	ck_assert_int_eq(path_new(&r->u.env, &o, &r->p, r->now_us), 0);
}

static void rig_done(struct rig *r)
{
	path_free(r->p);
	unit_env_check(&r->u);
}

static struct fz_addr addr(const char *text)
{
	struct fz_addr a = { 0 };

	if (text != NULL)
		ck_assert_int_eq(fz_addr_parse(text, &a), 0);
	return a;
}

static struct path_route route(const char *local, bool relayed, const char *remote)
{
	return (struct path_route){ .local = addr(local), .remote = addr(remote), .local_relayed = relayed };
}

#define HOST "192.168.1.5:52625"
#define RELAY "198.51.100.10:50000"
#define PEER_HOST "192.168.2.2:52625"
#define PEER_SRFLX "203.0.113.31:35720"
#define PEER_OPT "203.0.113.31:52625"
#define PEER_RELAY "198.51.100.10:50001"
#define TEXT_HOST "candidate:1 1 udp 2130706175 192.168.2.2 52625 typ host ufrag jbi4"
#define TEXT_SRFLX                                                                                           \
	"candidate:2 1 udp 1686109951 203.0.113.31 35720 typ srflx raddr 0.0.0.0 rport 0 ufrag jbi4"
#define TEXT_RELAY "candidate:3 1 udp 37748479 198.51.100.10 50001 typ relay raddr 0.0.0.0 rport 0 ufrag jbi4"

static struct cand cand(enum cand_kind kind, const char *a, const char *base)
{
	return (struct cand){ .kind = kind, .addr = addr(a), .base = addr(base) };
}

static void add_local(struct rig *r, enum cand_kind kind, const char *a, const char *base)
{
	struct cand c = cand(kind, a, base);

	ck_assert(path_add_local(r->p, &c, r->now_us));
}

static void add_remote(struct rig *r, const char *text)
{
	struct cand c;

	ck_assert_int_eq(path_add_remote(r->p, text, &c, r->now_us), 0);
}

/* The next datagram: decoded as the peer would, with its route. False: there is none. */
struct sent {
	struct path_route route;
	struct ice_msg m;
	size_t len;
};

static bool next_sent(struct rig *r, struct sent *ret)
{
	uint8_t buf[PATH_TRANSMIT_MAX];
	enum path_transmit_kind kind;
	int n = path_poll_transmit(r->p, buf, sizeof(buf), &kind, &ret->route, r->now_us);

	ck_assert_int_ge(n, 0);
	if (n == 0)
		return false;
	ck_assert_int_eq(kind, PATH_TX_DATAGRAM);
	ck_assert_int_eq(ice_decode(&r->peer, buf, (size_t)n, &ret->m), 0);
	ret->len = (size_t)n;
	return true;
}

static void expect_check(struct rig *r, const char *local, const char *remote, bool use_candidate,
			 struct sent *ret)
{
	struct sent got;
	struct path_route want = route(local, strcmp(local, RELAY) == 0, remote);

	ck_assert_msg(next_sent(r, &got), "nothing sent, expected a check to %s", remote);
	char buf[FZ_ADDR_STRLEN];
	ck_assert_msg(path_route_equal(&got.route, &want), "check went to %s, expected %s",
		      fz_addr_format(&got.route.remote, buf), remote);
	ck_assert_int_eq(got.m.type, ICE_REQUEST);
	ck_assert(got.m.request.use_candidate == use_candidate);
	if (ret != NULL)
		*ret = got;
}

static void expect_quiet(struct rig *r)
{
	struct sent got;
	ck_assert(!next_sent(r, &got));
}

static void drain(struct rig *r)
{
	struct sent got;
	while (next_sent(r, &got))
		;
}

static void answer(struct rig *r, const struct sent *check)
{
	uint8_t buf[PATH_TRANSMIT_MAX];
	int n = ice_encode_success(&r->peer, &check->m.request.txid, &check->route.local, buf, sizeof(buf));

	ck_assert_int_eq(path_handle_datagram(r->p, &check->route, buf, (size_t)n, r->now_us), 0);
}

static void answer_all(struct rig *r)
{
	struct sent c;

	while (next_sent(r, &c))
		if (c.m.type == ICE_REQUEST)
			answer(r, &c);
}

/* The peer sends a check; `expect_answer` says whether it is answered (before anything else is sent). */
static void request(struct rig *r, const struct path_route *arrival, const struct ice_request *req)
{
	uint8_t buf[PATH_TRANSMIT_MAX];
	int n = ice_encode_request(&r->peer, req, buf, sizeof(buf));

	ck_assert_int_eq(path_handle_datagram(r->p, arrival, buf, (size_t)n, r->now_us), 0);
}

static struct ice_request plain_request(const struct rig *r, uint64_t id)
{
	return (struct ice_request){ .txid = ice_txid(1, id),
				     .is_controlling = !r->controlling,
				     .tie_breaker = 1,
				     .priority = 1862270719 };
}

static void expect_answer(struct rig *r, const struct path_route *arrival, uint64_t id)
{
	struct sent got;

	ck_assert(next_sent(r, &got));
	ck_assert_int_eq(got.m.type, ICE_SUCCESS);
	ck_assert_uint_eq(ice_txid_random(&got.m.txid), id);
	ck_assert(path_route_equal(&got.route, arrival));
	ck_assert(fz_addr_equal(&got.m.mapped, &arrival->remote));
}

static void expect_event(struct rig *r, enum path_event_type type, enum path_reason reason,
			 const char *remote)
{
	struct path_event ev;

	ck_assert(path_poll_event(r->p, &ev));
	ck_assert_int_eq(ev.type, type);
	ck_assert_int_eq(ev.reason, reason);
	if (remote != NULL) {
		struct fz_addr want = addr(remote);
		ck_assert(fz_addr_equal(&ev.route.remote, &want));
	}
}

static void expect_no_event(struct rig *r)
{
	struct path_event ev;
	ck_assert(!path_poll_event(r->p, &ev));
}

static void advance(struct rig *r, uint64_t by_us)
{
	r->now_us += by_us;
	path_handle_timeout(r->p, r->now_us);
}

START_TEST(first_round_in_order_of_preference)
{
	struct rig r;
	struct sent c;

	rig_init(&r, true);
	add_local(&r, CAND_HOST, HOST, HOST);
	add_local(&r, CAND_SRFLX, "203.0.113.21:40000", HOST);
	add_local(&r, CAND_RELAY, RELAY, HOST);
	add_remote(&r, TEXT_RELAY);
	add_remote(&r, TEXT_SRFLX);
	add_remote(&r, TEXT_HOST);
	expect_check(&r, HOST, PEER_HOST, false, &c);
	ck_assert_uint_eq(c.len, 88);
	ck_assert(c.m.request.is_controlling);
	ck_assert_uint_eq(c.m.request.priority, 1862270719);
	ck_assert_uint_eq(ice_txid_tag(&c.m.request.txid), 0xfeed);
	expect_check(&r, HOST, PEER_OPT, false, NULL);
	expect_check(&r, HOST, PEER_SRFLX, false, NULL);
	expect_check(&r, HOST, PEER_RELAY, false, &c);
	ck_assert(c.route.remote_relayed);
	expect_check(&r, RELAY, PEER_HOST, false, &c);
	ck_assert_uint_eq(c.m.request.priority, 1849687807);
	expect_check(&r, RELAY, PEER_OPT, false, NULL);
	expect_check(&r, RELAY, PEER_SRFLX, false, NULL);
	expect_check(&r, RELAY, PEER_RELAY, false, NULL);
	expect_quiet(&r);
	ck_assert_uint_eq(path_next_timeout(r.p), START_US + FZ_MS(250));
	rig_done(&r);
}
END_TEST

START_TEST(every_check_has_a_new_id)
{
	struct rig r;
	struct sent a, b;

	rig_init(&r, true);
	add_local(&r, CAND_HOST, HOST, HOST);
	add_remote(&r, TEXT_HOST);
	expect_check(&r, HOST, PEER_HOST, false, &a);
	advance(&r, FZ_MS(250));
	expect_check(&r, HOST, PEER_HOST, false, &b);
	ck_assert_mem_ne(&a.m.request.txid, &b.m.request.txid, sizeof(a.m.request.txid));
	ck_assert_uint_eq(a.m.request.tie_breaker, b.m.request.tie_breaker);
	/* an answer to the first still counts */
	answer(&r, &a);
	expect_event(&r, PATH_SELECTED, PATH_REASON_FIRST, PEER_HOST);
	rig_done(&r);
}
END_TEST

/* Relay first, then something better: nominated at once, USE-CANDIDATE on all later checks of both. */
START_TEST(controlling_nominates_and_improves)
{
	struct rig r;
	struct sent host, relay, c;

	rig_init(&r, true);
	add_local(&r, CAND_HOST, HOST, HOST);
	add_remote(&r, TEXT_HOST);
	add_remote(&r, TEXT_RELAY);
	expect_check(&r, HOST, PEER_HOST, false, &host);
	expect_check(&r, HOST, PEER_RELAY, false, &relay);
	expect_quiet(&r);
	ck_assert_ptr_null(path_selected(r.p));
	ck_assert(!path_settled(r.p));

	r.now_us += FZ_MS(2);
	answer(&r, &relay);
	expect_event(&r, PATH_SELECTED, PATH_REASON_FIRST, PEER_RELAY);
	expect_event(&r, PATH_WANT_HANDSHAKE, PATH_REASON_NONE, NULL);
	expect_no_event(&r);
	ck_assert(path_settled(r.p));
	expect_check(&r, HOST, PEER_RELAY, true, &c);
	ck_assert_uint_eq(c.len, 92);
	expect_quiet(&r);
	answer(&r, &c);

	r.now_us += FZ_MS(8);
	answer(&r, &host);
	expect_event(&r, PATH_SELECTED, PATH_REASON_BETTER, PEER_HOST);
	expect_event(&r, PATH_WANT_HANDSHAKE, PATH_REASON_NONE, NULL);
	struct path_route want = route(HOST, false, PEER_HOST);
	ck_assert(path_route_equal(path_selected(r.p), &want));
	expect_check(&r, HOST, PEER_HOST, true, &host);
	answer(&r, &host);
	/* both go on, both nominated; the one behind by 8 ms later */
	advance(&r, FZ_MS(500) - FZ_MS(8));
	expect_check(&r, HOST, PEER_RELAY, true, NULL);
	expect_quiet(&r);
	advance(&r, FZ_MS(8));
	expect_check(&r, HOST, PEER_HOST, true, NULL);
	expect_quiet(&r);
	expect_no_event(&r);
	rig_done(&r);
}
END_TEST

START_TEST(a_worse_success_changes_nothing)
{
	struct rig r;
	struct sent host, relay;

	rig_init(&r, true);
	add_local(&r, CAND_HOST, HOST, HOST);
	add_remote(&r, TEXT_HOST);
	add_remote(&r, TEXT_RELAY);
	expect_check(&r, HOST, PEER_HOST, false, &host);
	expect_check(&r, HOST, PEER_RELAY, false, &relay);
	answer(&r, &host);
	expect_event(&r, PATH_SELECTED, PATH_REASON_FIRST, PEER_HOST);
	expect_event(&r, PATH_WANT_HANDSHAKE, PATH_REASON_NONE, NULL);
	answer(&r, &relay);
	expect_no_event(&r);
	rig_done(&r);
}
END_TEST

START_TEST(controlled_follows_use_candidate_once_answered)
{
	struct rig r;
	struct path_route relayed = route(HOST, false, PEER_RELAY);
	struct ice_request req;
	struct sent c;

	rig_init(&r, false);
	add_local(&r, CAND_HOST, HOST, HOST);
	add_remote(&r, TEXT_HOST);
	add_remote(&r, TEXT_RELAY);
	expect_check(&r, HOST, PEER_HOST, false, &c);
	ck_assert(!c.m.request.is_controlling);
	expect_check(&r, HOST, PEER_RELAY, false, &c);
	req = plain_request(&r, 1);
	req.use_candidate = true;
	request(&r, &relayed, &req);
	expect_no_event(&r);
	expect_answer(&r, &relayed, 1);
	answer(&r, &c);
	expect_event(&r, PATH_SELECTED, PATH_REASON_FIRST, PEER_RELAY);
	drain(&r);
	request(&r, &relayed, &req);
	expect_answer(&r, &relayed, 1);
	expect_quiet(&r); /* the schedule of an answered pair does not move */
	expect_no_event(&r);
	rig_done(&r);
}
END_TEST

/* A path that works is not left for one that has not answered: the request may be a copy. */
START_TEST(controlled_leaves_a_working_path_only_for_an_answer)
{
	struct rig r;
	struct path_route direct = route(HOST, false, PEER_HOST);
	struct ice_request req;
	struct sent c;

	rig_init(&r, false);
	add_local(&r, CAND_HOST, HOST, HOST);
	add_remote(&r, TEXT_HOST);
	add_remote(&r, TEXT_RELAY);
	expect_check(&r, HOST, PEER_HOST, false, NULL);
	expect_check(&r, HOST, PEER_RELAY, false, &c);
	answer(&r, &c);
	expect_event(&r, PATH_SELECTED, PATH_REASON_FIRST, PEER_RELAY);
	req = plain_request(&r, 1);
	req.use_candidate = true;
	request(&r, &direct, &req);
	expect_no_event(&r);
	expect_answer(&r, &direct, 1);
	expect_check(&r, HOST, PEER_HOST, false, &c);
	answer(&r, &c);
	expect_event(&r, PATH_SELECTED, PATH_REASON_BETTER, PEER_HOST);
	expect_no_event(&r);
	rig_done(&r);
}
END_TEST

/* Whoever has seen a check with USE-CANDIDATE can send copies of it from other addresses: no payload may go
 * there unless somebody with the password answers. */
START_TEST(replayed_nomination_moves_nothing)
{
	struct rig r;
	struct path_route real = route(HOST, false, PEER_RELAY),
			  forged = route(HOST, false, "203.0.113.66:53");
	struct ice_request req;
	struct sent c;

	rig_init(&r, false);
	add_local(&r, CAND_HOST, HOST, HOST);
	/* not even as the first path */
	req = plain_request(&r, 1);
	req.use_candidate = true;
	request(&r, &forged, &req);
	expect_answer(&r, &forged, 1);
	expect_no_event(&r);
	ck_assert_ptr_null(path_selected(r.p));
	drain(&r);

	add_remote(&r, TEXT_RELAY);
	expect_check(&r, HOST, PEER_RELAY, false, &c);
	answer(&r, &c);
	request(&r, &real, &req);
	expect_event(&r, PATH_SELECTED, PATH_REASON_FIRST, PEER_RELAY);
	expect_no_event(&r);
	/* nor while the peer is silent where it really is */
	for (int i = 0; i < 30; i++) {
		struct sent got;
		request(&r, &forged, &req);
		while (next_sent(&r, &got))
			if (got.m.type == ICE_REQUEST && fz_addr_equal(&got.route.remote, &real.remote))
				answer(&r, &got);
		advance(&r, FZ_SEC(1));
	}
	expect_no_event(&r);
	ck_assert(path_route_equal(path_selected(r.p), &real));
	rig_done(&r);
}
END_TEST

/* RFC 8445 section 7.3.1.4, bounded: a request hurries our own check of a pair that has not worked yet. */
START_TEST(triggered_check)
{
	struct rig r;
	struct path_route arrival = route(HOST, false, PEER_SRFLX);
	struct ice_request req;

	rig_init(&r, false);
	add_local(&r, CAND_HOST, HOST, HOST);
	add_remote(&r, TEXT_SRFLX);
	expect_check(&r, HOST, PEER_SRFLX, false, NULL);
	r.now_us += FZ_MS(100);
	req = plain_request(&r, 1);
	request(&r, &arrival, &req);
	expect_answer(&r, &arrival, 1);
	expect_check(&r, HOST, PEER_SRFLX, false, NULL);
	/* again at once: the last one is still on its way */
	req.txid = ice_txid(1, 2);
	request(&r, &arrival, &req);
	expect_answer(&r, &arrival, 2);
	expect_quiet(&r);
	advance(&r, FZ_MS(50));
	expect_check(&r, HOST, PEER_SRFLX, false, NULL);
	rig_done(&r);
}
END_TEST

START_TEST(route_ready_checks_at_once)
{
	struct rig r;
	struct path_route ready = route(RELAY, true, PEER_RELAY);

	rig_init(&r, true);
	add_local(&r, CAND_RELAY, RELAY, HOST);
	add_remote(&r, TEXT_RELAY);
	expect_check(&r, RELAY, PEER_RELAY, false, NULL);
	r.now_us += FZ_MS(3);
	path_route_ready(r.p, &ready, r.now_us);
	expect_check(&r, RELAY, PEER_RELAY, false, NULL);
	expect_quiet(&r);
	rig_done(&r);
}
END_TEST

START_TEST(peer_reflexive)
{
	struct rig r;
	struct path_route arrival = route(HOST, false, "203.0.113.31:7777");
	struct path_stats st;
	struct sent c;

	rig_init(&r, true);
	add_local(&r, CAND_HOST, HOST, HOST);
	struct ice_request req = plain_request(&r, 1);
	request(&r, &arrival, &req);
	expect_answer(&r, &arrival, 1);
	expect_check(&r, HOST, "203.0.113.31:7777", false, &c);
	answer(&r, &c);
	expect_event(&r, PATH_SELECTED, PATH_REASON_FIRST, "203.0.113.31:7777");
	/* announced afterwards: the same pair, no second check */
	drain(&r);
	add_remote(&r, "candidate:2 1 udp 1686109951 203.0.113.31 7777 typ srflx raddr 0.0.0.0 rport 0");
	path_get_stats(r.p, &st);
	ck_assert_uint_eq(st.pairs, 1);
	expect_quiet(&r);
	rig_done(&r);
}
END_TEST

/* 15.2: discovery of a peer-reflexive address does not replace signalling. */
START_TEST(a15_2_candidates_deadline)
{
	struct rig r;
	struct path_route arrival = route(HOST, false, PEER_SRFLX);

	rig_init(&r, true);
	add_local(&r, CAND_HOST, HOST, HOST);
	struct ice_request req = plain_request(&r, 1);
	request(&r, &arrival, &req);
	drain(&r);
	advance(&r, FZ_SEC(10) - 1);
	expect_no_event(&r);
	advance(&r, 1);
	expect_event(&r, PATH_FAILED, PATH_REASON_NO_CANDIDATES, NULL);
	expect_no_event(&r);
	expect_quiet(&r);
	ck_assert_uint_eq(path_next_timeout(r.p), FZ_NEVER_US);
	rig_done(&r);

	/* a candidate that cannot be used still shows that the peer is there */
	rig_init(&r, true);
	struct cand c;
	ck_assert_int_eq(path_add_remote(r.p, "candidate:1 1 tcp 1 10.0.0.1 9 typ host", &c, r.now_us),
			 FZ_ERR_NOT_MINE);
	advance(&r, FZ_SEC(60));
	expect_no_event(&r);
	rig_done(&r);
}
END_TEST

static void run_until(struct rig *r, uint64_t end_us)
{
	while (path_next_timeout(r->p) <= end_us) {
		if (path_next_timeout(r->p) > r->now_us)
			r->now_us = path_next_timeout(r->p);
		path_handle_timeout(r->p, r->now_us);
		drain(r);
	}
	r->now_us = end_us;
}

/* 15.1 and 15.2 together: silence from the last answered check to the end of the connection. */
START_TEST(a15_1_consent_loss)
{
	struct rig r;
	struct sent c;

	rig_init(&r, true);
	add_local(&r, CAND_HOST, HOST, HOST);
	add_remote(&r, TEXT_HOST);
	for (int i = 0; i < 20; i++) {
		expect_check(&r, HOST, PEER_HOST, i > 0, &c);
		answer(&r, &c);
		if (i > 0)
			advance(&r, path_next_timeout(r.p) - r.now_us);
	}
	uint64_t first_unanswered_us = r.now_us;
	expect_event(&r, PATH_SELECTED, PATH_REASON_FIRST, PEER_HOST);
	expect_event(&r, PATH_WANT_HANDSHAKE, PATH_REASON_NONE, NULL);
	run_until(&r, first_unanswered_us + FZ_SEC(5));
	expect_event(&r, PATH_DOUBTED, PATH_REASON_NONE, NULL);
	run_until(&r, first_unanswered_us + FZ_MS(16500) - 1);
	expect_no_event(&r);
	ck_assert_ptr_nonnull(path_selected(r.p));
	run_until(&r, first_unanswered_us + FZ_MS(16500));
	ck_assert_ptr_null(path_selected(r.p));
	run_until(&r, first_unanswered_us + FZ_MS(18500) - 1);
	expect_no_event(&r);
	run_until(&r, first_unanswered_us + FZ_MS(18500));
	expect_event(&r, PATH_FAILED, PATH_REASON_NO_ANSWER, NULL);
	rig_done(&r);
}
END_TEST

/* The selected pair goes silent, another one answers: payload moves long before the pair is given up, and
 * back. */
START_TEST(switch_away_from_a_silent_pair)
{
	struct rig r;
	struct sent c;
	struct fz_addr host = addr(PEER_HOST), relay = addr(PEER_RELAY);
	bool host_answers = true;

	rig_init(&r, true);
	add_local(&r, CAND_HOST, HOST, HOST);
	add_remote(&r, TEXT_HOST);
	add_remote(&r, TEXT_RELAY);
	uint64_t silent_us = START_US + FZ_SEC(30), back_us = START_US + FZ_SEC(40), lost_us = 0,
		 better_us = 0;
	while (r.now_us < START_US + FZ_SEC(60)) {
		struct path_event ev;
		host_answers = r.now_us < silent_us || r.now_us >= back_us;
		while (next_sent(&r, &c)) {
			/* A pair that was left for being silent is no longer nominated: the peer leaves it
			 * too. */
			if (lost_us && !host_answers)
				ck_assert(c.m.request.use_candidate ==
					  fz_addr_equal(&c.route.remote, &relay));
			if (host_answers || fz_addr_equal(&c.route.remote, &relay))
				answer(&r, &c);
		}
		while (path_poll_event(r.p, &ev)) {
			if (ev.type == PATH_SELECTED && ev.reason == PATH_REASON_LOST)
				lost_us = r.now_us;
			if (ev.type == PATH_SELECTED && ev.reason == PATH_REASON_BETTER &&
			    r.now_us > silent_us)
				better_us = r.now_us;
		}
		advance(&r, path_next_timeout(r.p) - r.now_us);
	}
	ck_assert_uint_gt(lost_us, silent_us);
	ck_assert_uint_le(lost_us, silent_us + FZ_MS(6500));
	ck_assert_uint_ge(better_us, back_us);
	ck_assert_uint_le(better_us, back_us + FZ_SEC(2));
	ck_assert(fz_addr_equal(&path_selected(r.p)->remote, &host));
	rig_done(&r);
}
END_TEST

/* The gateway's own checks are rare: it follows the client's requests to another pair. */
START_TEST(controlled_notices_that_the_peer_moved)
{
	struct rig r;
	struct path_route direct = route(HOST, false, PEER_HOST), relayed = route(HOST, false, PEER_RELAY);
	struct ice_request req;
	uint64_t id = 1;

	rig_init(&r, false);
	add_local(&r, CAND_HOST, HOST, HOST);
	add_remote(&r, TEXT_HOST);
	add_remote(&r, TEXT_RELAY);
	req = plain_request(&r, id);
	req.use_candidate = true;
	for (int i = 0; i < 10; i++) {
		request(&r, &direct, &req);
		request(&r, &relayed, &req);
		answer_all(&r);
		advance(&r, FZ_MS(1500));
	}
	expect_event(&r, PATH_SELECTED, PATH_REASON_FIRST, PEER_HOST);
	expect_no_event(&r);
	for (int i = 0; i < 4; i++) {
		request(&r, &relayed, &req);
		drain(&r);
		advance(&r, FZ_MS(1500));
	}
	expect_event(&r, PATH_SELECTED, PATH_REASON_LOST, PEER_RELAY);
	request(&r, &direct, &req);
	expect_event(&r, PATH_SELECTED, PATH_REASON_BETTER, PEER_HOST);
	rig_done(&r);
}
END_TEST

/* A check without USE-CANDIDATE takes the nomination back, unless it was only overtaken by one with it. */
START_TEST(controlled_follows_withdrawn_nomination)
{
	struct rig r;
	struct path_route direct = route(HOST, false, PEER_HOST), relayed = route(HOST, false, PEER_RELAY);
	struct ice_request req;

	rig_init(&r, false);
	add_local(&r, CAND_HOST, HOST, HOST);
	add_remote(&r, TEXT_HOST);
	add_remote(&r, TEXT_RELAY);
	req = plain_request(&r, 1);
	req.use_candidate = true;
	request(&r, &relayed, &req);
	request(&r, &direct, &req);
	answer_all(&r);
	expect_event(&r, PATH_SELECTED, PATH_REASON_FIRST, PEER_HOST);
	req.use_candidate = false;
	advance(&r, FZ_SEC(1) - 1);
	request(&r, &direct, &req);
	expect_no_event(&r);
	advance(&r, 1);
	request(&r, &direct, &req);
	expect_event(&r, PATH_SELECTED, PATH_REASON_LOST, PEER_RELAY);
	rig_done(&r);
}
END_TEST

/* The announcement of an address in use must not send traffic back to an older, maybe dead one. */
START_TEST(promotion_keeps_the_path)
{
	struct rig r;
	struct path_route old = route(HOST, false, PEER_SRFLX), new = route(HOST, false, "203.0.113.31:7777");
	struct ice_request req;

	rig_init(&r, false);
	add_local(&r, CAND_HOST, HOST, HOST);
	add_remote(&r, TEXT_SRFLX);
	req = plain_request(&r, 1);
	req.use_candidate = true;
	request(&r, &old, &req);
	answer_all(&r);
	request(&r, &new, &req);
	answer_all(&r);
	expect_event(&r, PATH_SELECTED, PATH_REASON_BETTER, "203.0.113.31:7777");
	add_remote(&r, "candidate:2 1 udp 1686109439 203.0.113.31 7777 typ srflx raddr 0.0.0.0 rport 0");
	expect_no_event(&r);
	/* but a relay is a relay, whatever its checks said */
	struct path_route relayed = route(HOST, false, PEER_RELAY);
	request(&r, &relayed, &req);
	answer_all(&r);
	add_remote(&r, TEXT_RELAY);
	ck_assert(fz_addr_equal(&path_selected(r.p)->remote, &new.remote));
	rig_done(&r);
}
END_TEST

START_TEST(role_conflicts)
{
	struct rig r;
	struct path_route direct = route(HOST, false, PEER_HOST);
	struct ice_request req;
	struct sent c;

	/* both control, we have the larger tie-breaker: the peer has to switch */
	rig_init(&r, true);
	add_local(&r, CAND_HOST, HOST, HOST);
	req = plain_request(&r, 1);
	req.is_controlling = true;
	req.tie_breaker = 0;
	request(&r, &direct, &req);
	ck_assert(next_sent(&r, &c));
	ck_assert_int_eq(c.m.type, ICE_ERROR);
	ck_assert_uint_eq(c.m.error_code, 487);
	expect_quiet(&r);
	/* we have the smaller one: we switch */
	req.tie_breaker = UINT64_MAX;
	request(&r, &direct, &req);
	expect_answer(&r, &direct, 1);
	expect_check(&r, HOST, PEER_HOST, false, &c);
	ck_assert(!c.m.request.is_controlling);
	rig_done(&r);

	/* both are controlled */
	rig_init(&r, false);
	add_local(&r, CAND_HOST, HOST, HOST);
	req = plain_request(&r, 1);
	req.is_controlling = false;
	req.tie_breaker = UINT64_MAX;
	request(&r, &direct, &req);
	ck_assert(next_sent(&r, &c));
	ck_assert_int_eq(c.m.type, ICE_ERROR);
	req.tie_breaker = 0;
	request(&r, &direct, &req);
	expect_answer(&r, &direct, 1);
	expect_check(&r, HOST, PEER_HOST, false, &c);
	ck_assert(c.m.request.is_controlling);
	rig_done(&r);

	/* the peer tells us */
	rig_init(&r, true);
	add_local(&r, CAND_HOST, HOST, HOST);
	add_remote(&r, TEXT_HOST);
	expect_check(&r, HOST, PEER_HOST, false, &c);
	uint8_t buf[PATH_TRANSMIT_MAX];
	int n = ice_encode_role_conflict(&r.peer, &c.m.request.txid, buf, sizeof(buf));
	ck_assert_int_eq(path_handle_datagram(r.p, &c.route, buf, (size_t)n, r.now_us), 0);
	uint64_t old = c.m.request.tie_breaker;
	expect_check(&r, HOST, PEER_HOST, false, &c);
	ck_assert(!c.m.request.is_controlling);
	ck_assert_uint_ne(c.m.request.tie_breaker, old);
	/* the same once more is old news */
	ck_assert_int_eq(path_handle_datagram(r.p, &c.route, buf, (size_t)n, r.now_us), 0);
	expect_quiet(&r);
	answer(&r, &c);
	expect_event(&r, PATH_SELECTED, PATH_REASON_FIRST, PEER_HOST);
	expect_no_event(&r);
	rig_done(&r);
}
END_TEST

/* What must not change anything: wrong key, wrong user, wrong destination, stray answers, USE-CANDIDATE to
 * the boss. */
START_TEST(refused_datagrams)
{
	struct rig r;
	struct path_route direct = route(HOST, false, PEER_HOST),
			  elsewhere = route("192.168.9.9:52625", false, PEER_HOST),
			  as_relay = route(HOST, true, PEER_HOST);
	struct ice_creds stranger;
	struct path_stats st;
	struct sent c;
	uint8_t buf[PATH_TRANSMIT_MAX];
	int n;

	rig_init(&r, true);
	add_local(&r, CAND_HOST, HOST, HOST);
	struct ice_request req = plain_request(&r, 1);
	ck_assert_int_eq(ice_creds_init(&stranger, "jbi4", "x", "resc", "guess"), 0);
	n = ice_encode_request(&stranger, &req, buf, sizeof(buf));
	ck_assert_int_eq(path_handle_datagram(r.p, &direct, buf, (size_t)n, r.now_us), FZ_ERR_AUTH);
	ck_assert_int_eq(ice_creds_init(&stranger, "else", "x", "resc", "rqi3ibvfikfaxj3wgp7muh"), 0);
	n = ice_encode_request(&stranger, &req, buf, sizeof(buf));
	ck_assert_int_eq(path_handle_datagram(r.p, &direct, buf, (size_t)n, r.now_us), FZ_ERR_NOT_MINE);
	ck_assert_int_eq(path_handle_datagram(r.p, &direct, "\x04\0\0\0", 4, r.now_us), FZ_ERR_WIRE);
	request(&r, &elsewhere, &req);
	request(&r, &as_relay, &req);
	req.use_candidate = true;
	request(&r, &direct, &req);
	expect_quiet(&r);
	path_get_stats(r.p, &st);
	ck_assert_uint_eq(st.pairs, 0);
	ck_assert_uint_eq(st.bad_auth, 1);
	ck_assert_uint_eq(st.bad_local, 2);
	ck_assert_uint_eq(st.bad_request, 1);

	add_remote(&r, TEXT_HOST);
	add_remote(&r, TEXT_SRFLX);
	expect_check(&r, HOST, PEER_HOST, false, &c);
	/* an answer from where nothing was asked (RFC 8445 section 7.2.5.2.1) */
	c.route = route(HOST, false, PEER_SRFLX);
	answer(&r, &c);
	c.route = route(RELAY, true, PEER_HOST);
	answer(&r, &c);
	expect_no_event(&r);
	c.route = route(HOST, false, PEER_HOST);
	r.now_us += FZ_SEC(10) + 1; /* 15.3 */
	answer(&r, &c);
	expect_no_event(&r);
	path_get_stats(r.p, &st);
	ck_assert_uint_eq(st.bad_answer, 3);
	rig_done(&r);
}
END_TEST

START_TEST(remote_texts)
{
	static const struct {
		const char *text;
		int want;
	} rows[] = {
		{ "candidate:1 1 udp 1 10.0.0.1 9 typ host ufrag other", FZ_ERR_NOT_MINE },
		{ "candidate:1 2 udp 1 10.0.0.1 9 typ host", FZ_ERR_NOT_MINE },
		{ "candidate:1 1 tcp 1 10.0.0.1 9 typ host", FZ_ERR_NOT_MINE },
		{ "candidate:1 1 udp 1 224.0.0.1 9 typ host", FZ_ERR_NOT_MINE },
		{ "candidate:1 1 udp 1 10.0.0.1 0 typ host", FZ_ERR_NOT_MINE },
		{ "candidate:1 1 udp 1 10.0.0.1 9 typ", FZ_ERR_WIRE },
		{ "", FZ_ERR_WIRE },
		{ TEXT_HOST, 0 },
		{ TEXT_HOST, 0 },
	};
	struct rig r;
	struct cand c;

	rig_init(&r, true);
	add_local(&r, CAND_HOST, HOST, HOST);
	for (size_t i = 0; i < N(rows); i++)
		ck_assert_msg(path_add_remote(r.p, rows[i].text, &c, r.now_us) == rows[i].want, "%s",
			      rows[i].text);
	ck_assert_int_eq(c.kind, CAND_HOST);
	expect_check(&r, HOST, PEER_HOST, false, NULL);
	expect_quiet(&r);
	rig_done(&r);
}
END_TEST

/* Invalidations of the reference program repeat neither priority nor foundation nor ufrag. */
START_TEST(invalidation_by_address_and_type)
{
	struct rig r;
	struct path_stats st;

	rig_init(&r, true);
	add_local(&r, CAND_HOST, HOST, HOST);
	add_local(&r, CAND_RELAY, RELAY, HOST);
	add_remote(&r, TEXT_RELAY);
	path_get_stats(r.p, &st);
	ck_assert_uint_eq(st.pairs, 2);
	ck_assert_int_eq(
		path_remove_remote(r.p, "candidate:9 1 udp 50331391 198.51.100.10 50001 typ host", r.now_us),
		FZ_ERR_NOT_FOUND);
	ck_assert_int_eq(path_remove_remote(r.p, "candidate:9 1 udp", r.now_us), FZ_ERR_WIRE);
	ck_assert_int_eq(
		path_remove_remote(
			r.p, "candidate:9 1 udp 50331391 198.51.100.10 50001 typ relay raddr 0.0.0.0 rport 0",
			r.now_us),
		0);
	path_get_stats(r.p, &st);
	ck_assert_uint_eq(st.pairs, 0);
	/* withdrawn: its requests are ignored, until it is announced again */
	struct path_route arrival = route(HOST, false, PEER_RELAY);
	struct ice_request req = plain_request(&r, 1);
	request(&r, &arrival, &req);
	expect_quiet(&r);
	add_remote(&r, TEXT_RELAY);
	path_get_stats(r.p, &st);
	ck_assert_uint_eq(st.pairs, 2);
	rig_done(&r);
}
END_TEST

START_TEST(local_texts_and_removal)
{
	struct rig r;
	struct cand relay = cand(CAND_RELAY, RELAY, HOST), host = cand(CAND_HOST, HOST, HOST);
	char buf[CAND_TEXT_MAX];
	struct sent c;

	rig_init(&r, true);
	ck_assert_int_eq(path_cand_text(r.p, &relay, false, buf, sizeof(buf)), FZ_ERR_NOT_FOUND);
	ck_assert(path_add_local(r.p, &relay, r.now_us));
	ck_assert(!path_add_local(r.p, &relay, r.now_us));
	ck_assert(path_add_local(r.p, &host, r.now_us));
	ck_assert_int_gt(path_cand_text(r.p, &host, false, buf, sizeof(buf)), 0);
	ck_assert_ptr_nonnull(strstr(buf, " 1 udp 2130706175 192.168.1.5 52625 typ host ufrag resc"));
	ck_assert_int_eq(path_cand_text(r.p, &host, false, buf, 20), FZ_ERR_NOSPACE);

	add_remote(&r, TEXT_RELAY);
	expect_check(&r, HOST, PEER_RELAY, false, NULL);
	expect_check(&r, RELAY, PEER_RELAY, false, &c);
	answer(&r, &c);
	expect_event(&r, PATH_SELECTED, PATH_REASON_FIRST, PEER_RELAY);
	ck_assert(path_remove_local(r.p, &relay, r.now_us));
	ck_assert(!path_remove_local(r.p, &relay, r.now_us));
	ck_assert_ptr_null(path_selected(r.p));
	ck_assert_int_gt(path_cand_text(r.p, &relay, true, buf, sizeof(buf)), 0);
	ck_assert_ptr_nonnull(strstr(buf, " typ relay raddr 0.0.0.0 rport 0"));
	ck_assert_ptr_null(strstr(buf, "ufrag"));
	rig_done(&r);
}
END_TEST

/* Candidates of both sides, but no family in common: given time until the others can be expected. */
START_TEST(no_common_family)
{
	struct rig r;

	rig_init(&r, true);
	add_local(&r, CAND_HOST, HOST, HOST);
	add_remote(&r, "candidate:1 1 udp 2130706431 2001:db8::9 52625 typ host ufrag jbi4");
	advance(&r, FZ_SEC(10) - 1);
	expect_no_event(&r);
	advance(&r, 1);
	expect_event(&r, PATH_FAILED, PATH_REASON_NO_ANSWER, NULL);
	rig_done(&r);

	rig_init(&r, true);
	add_local(&r, CAND_HOST, HOST, HOST);
	add_remote(&r, "candidate:1 1 udp 2130706431 2001:db8::9 52625 typ host ufrag jbi4");
	advance(&r, FZ_SEC(9));
	add_remote(&r, TEXT_HOST);
	advance(&r, FZ_SEC(1));
	expect_no_event(&r);
	rig_done(&r);
}
END_TEST

START_TEST(idle_profile)
{
	struct rig r;
	struct sent c;

	rig_init(&r, true);
	add_local(&r, CAND_HOST, HOST, HOST);
	add_remote(&r, TEXT_HOST);
	for (int i = 0; i < 10; i++) {
		while (next_sent(&r, &c))
			answer(&r, &c);
		advance(&r, path_next_timeout(r.p) - r.now_us);
	}
	while (next_sent(&r, &c))
		answer(&r, &c);
	uint64_t last_us = r.now_us;
	path_set_idle(r.p, true, r.now_us + FZ_MS(100));
	ck_assert_uint_eq(path_next_timeout(r.p), last_us + FZ_SEC(25));
	path_set_idle(r.p, false, r.now_us + FZ_MS(200));
	ck_assert_uint_eq(path_next_timeout(r.p), last_us + FZ_MS(1500));
	rig_done(&r);
}
END_TEST

START_TEST(rebuild_checks_everything_again)
{
	struct rig r;
	struct sent c;

	rig_init(&r, true);
	add_local(&r, CAND_HOST, HOST, HOST);
	add_remote(&r, TEXT_HOST);
	expect_check(&r, HOST, PEER_HOST, false, &c);
	answer(&r, &c);
	drain(&r);
	path_rebuild(r.p, r.now_us);
	ck_assert_ptr_null(path_selected(r.p));
	add_local(&r, CAND_HOST, HOST, HOST);
	answer(&r, &c); /* of the time before */
	ck_assert_ptr_null(path_selected(r.p));
	expect_check(&r, HOST, PEER_HOST, false, &c);
	answer(&r, &c);
	ck_assert_ptr_nonnull(path_selected(r.p));
	rig_done(&r);
}
END_TEST

START_TEST(handshake_replies_leave_where_it_came_from)
{
	struct rig r;
	struct path_route arrival = route(HOST, false, PEER_RELAY), got;

	rig_init(&r, false);
	ck_assert(path_filter_handshake(r.p, &arrival, "init", 4, r.now_us));
	ck_assert(path_handshake_done(r.p, &arrival, "init", 4, true, "resp", 4, &got, r.now_us));
	ck_assert(path_route_equal(&got, &arrival));
	ck_assert(!path_handshake_done(r.p, &arrival, "resp", 4, true, NULL, 0, &got, r.now_us));
	ck_assert(!path_send_handshake(r.p, "init", 4, r.now_us));
	ck_assert(!path_handle_packet(r.p, &arrival, "x", 1, r.now_us));
	path_handle_data(r.p, &arrival, r.now_us);
	rig_done(&r);
}
END_TEST

/* A peer with many addresses: memory stays bounded, the best pairs stay. */
START_TEST(bounded)
{
	struct rig r;
	struct path_stats st;
	char text[128];
	struct cand c;
	struct sent sent;
	size_t n = 0;

	rig_init(&r, true);
	for (int i = 1; i <= 4; i++) {
		snprintf(text, sizeof(text), "10.0.0.%d:52625", i);
		add_local(&r, CAND_HOST, text, text);
	}
	for (int i = 0; i < 200; i++) {
		snprintf(text, sizeof(text), "candidate:1 1 udp %d 10.1.0.%d 9 typ relay", i + 1, i + 1);
		(void)path_add_remote(r.p, text, &c, r.now_us);
	}
	path_get_stats(r.p, &st);
	ck_assert_uint_eq(st.pairs, ICE_PAIRS_MAX);
	ck_assert_uint_gt(st.full, 0);
	while (next_sent(&r, &sent))
		n++;
	ck_assert_uint_eq(n, ICE_PAIRS_MAX);
	/* answers that nobody fetches */
	struct path_route direct = route("10.0.0.1:52625", false, "10.1.0.40:9");
	for (uint64_t i = 0; i < 100; i++) {
		struct ice_request req = plain_request(&r, i);
		request(&r, &direct, &req);
	}
	for (n = 0; next_sent(&r, &sent);)
		n += sent.m.type == ICE_SUCCESS;
	ck_assert_uint_le(n, 16);
	ck_assert_uint_gt(n, 0);
	rig_done(&r);
}
END_TEST

START_TEST(options_are_checked)
{
	struct unit_env u;
	struct path_opts o = client_opts;
	struct path *p;

	unit_env_init(&u, 1);
	o.remote_pwd = NULL;
	ck_assert_int_eq(path_new(&u.env, &o, &p, 0), FZ_ERR_INVAL);
	path_free(NULL);
	unit_env_check(&u);
}
END_TEST

/* Two symmetric NAT boxes: every check comes from yet another port. */
START_TEST(endless_discoveries)
{
	struct rig r;
	struct path_stats st;
	struct sent c;
	size_t n_checks = 0, n_answers = 0;

	rig_init(&r, false);
	add_local(&r, CAND_HOST, HOST, HOST);
	add_remote(&r, TEXT_SRFLX);
	for (uint16_t i = 0; i < 500; i++) {
		struct path_route from = route(HOST, false, PEER_SRFLX);
		struct ice_request req = plain_request(&r, i);
		from.remote.port = (uint16_t)(1000 + i);
		request(&r, &from, &req);
		while (next_sent(&r, &c)) {
			n_checks += c.m.type == ICE_REQUEST;
			n_answers += c.m.type == ICE_SUCCESS;
		}
		advance(&r, FZ_MS(20));
	}
	path_get_stats(r.p, &st);
	ck_assert_uint_eq(n_answers, 500);
	ck_assert_uint_le(st.pairs, 7);
	ck_assert_uint_le(n_checks, 50);
	ck_assert_uint_gt(st.full, 400);
	rig_done(&r);
}
END_TEST

START_TEST(small_buffer_loses_nothing)
{
	struct rig r;
	uint8_t buf[PATH_TRANSMIT_MAX];
	enum path_transmit_kind kind;
	struct path_route to;

	rig_init(&r, true);
	add_local(&r, CAND_HOST, HOST, HOST);
	add_remote(&r, TEXT_HOST);
	ck_assert_int_eq(path_poll_transmit(r.p, buf, PATH_TRANSMIT_MAX - 1, &kind, &to, r.now_us),
			 FZ_ERR_NOSPACE);
	expect_check(&r, HOST, PEER_HOST, false, NULL);
	rig_done(&r);
}
END_TEST

/* Allocation 1, 2, 3... fails: the agent goes on without what it had no room for, or is not made. */
START_TEST(out_of_memory)
{
	for (long fail = 1; fail < 50; fail++) {
		struct unit_env u;
		struct path *p;
		struct cand c, host = cand(CAND_HOST, HOST, HOST);
		unit_env_init(&u, 1);
		u.fail_at = fail;
		if (path_new(&u.env, &client_opts, &p, START_US) != 0) {
			unit_env_check(&u);
			continue;
		}
		(void)path_add_local(p, &host, START_US);
		(void)path_add_remote(p, TEXT_HOST, &c, START_US);
		(void)path_add_remote(p, TEXT_RELAY, &c, START_US);
		path_handle_timeout(p, START_US);
		path_free(p);
		unit_env_check(&u);
		if (u.allocs < fail)
			return;
	}
	ck_abort_msg("allocations never end");
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("ice_agent");

	unit_case(s, "checks", first_round_in_order_of_preference, every_check_has_a_new_id, triggered_check,
		  route_ready_checks_at_once, peer_reflexive, idle_profile, rebuild_checks_everything_again);
	unit_case(s, "selection", controlling_nominates_and_improves, a_worse_success_changes_nothing,
		  controlled_follows_use_candidate_once_answered,
		  controlled_leaves_a_working_path_only_for_an_answer, replayed_nomination_moves_nothing,
		  switch_away_from_a_silent_pair, controlled_notices_that_the_peer_moved,
		  controlled_follows_withdrawn_nomination, promotion_keeps_the_path, role_conflicts);
	unit_case(s, "failure", a15_2_candidates_deadline, a15_1_consent_loss, no_common_family);
	unit_case(s, "input", refused_datagrams, remote_texts, invalidation_by_address_and_type,
		  local_texts_and_removal, handshake_replies_leave_where_it_came_from);
	unit_case(s, "limits", bounded, endless_discoveries, options_are_checked, small_buffer_loses_nothing,
		  out_of_memory);
	return s;
}
