/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <stdio.h>

#include "base/time.h"
#include "base/wr.h"
#include "proto/path.h"
#include "wire/wg.h"

#define N(a) (sizeof(a) / sizeof((a)[0]))
#define START_US FZ_SEC(1000)

#define HOST "192.168.1.5:52625"
#define SRFLX "203.0.113.7:40000"
#define RELAY "198.51.100.10:50000"
#define PEER_HOST "192.168.2.2:52625"
#define PEER_SRFLX "203.0.113.31:35720"
#define PEER_INFERRED "203.0.113.31:52625"
#define PEER_RELAY "198.51.100.10:50001"
#define TEXT_HOST "candidate:1 1 udp 2130706431 192.168.2.2 52625 typ host"
#define TEXT_SRFLX "candidate:2 1 udp 1694498815 203.0.113.31 35720 typ srflx raddr 192.168.2.2 rport 52625"
#define TEXT_RELAY "candidate:3 1 udp 16777215 198.51.100.10 50001 typ relay raddr 192.168.2.2 rport 52625"

/* One agent under test; the peer is played by hand. */
struct rig {
	struct unit_env u;
	struct path *p;
	uint64_t now_us;
	uint32_t serial; /* of handshake messages, so that none equals another */
};

static void rig_init(struct rig *r)
{
	const struct path_opts o = { .kind = PATH_ICELESS, .controlling = true };

	*r = (struct rig){ .now_us = START_US };
	unit_env_init(&r->u, 1);
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

	ck_assert_int_eq(fz_addr_parse(text, &a), 0);
	return a;
}

static struct path_route route(const char *local, const char *remote)
{
	return (struct path_route){ .local = addr(local),
				    .remote = addr(remote),
				    .local_relayed = strcmp(local, RELAY) == 0 };
}

static bool add_local(struct rig *r, enum cand_kind kind, const char *a, const char *base)
{
	const struct cand c = { .kind = kind, .addr = addr(a), .base = addr(base) };

	return path_add_local(r->p, &c, r->now_us);
}

static void remove_local(struct rig *r, enum cand_kind kind, const char *a, const char *base)
{
	const struct cand c = { .kind = kind, .addr = addr(a), .base = addr(base) };

	ck_assert(path_remove_local(r->p, &c, r->now_us));
}

static void add_remote(struct rig *r, const char *text)
{
	struct cand c;

	ck_assert_int_eq(path_add_remote(r->p, text, &c, r->now_us), 0);
}

/* What the agent sends. */
struct sent {
	enum path_transmit_kind kind;
	struct path_route route;
	uint8_t data[PATH_TRANSMIT_MAX];
	size_t len;
	struct path_probe probe; /* of a packet */
};

static bool next_sent(struct rig *r, struct sent *ret)
{
	int n = path_poll_transmit(r->p, ret->data, sizeof(ret->data), &ret->kind, &ret->route, r->now_us);

	ck_assert_int_ge(n, 0);
	ret->len = (size_t)n;
	if (n > 0 && ret->kind == PATH_TX_PACKET)
		ck_assert(path_probe_parse(ret->data, ret->len, &ret->probe));
	return n > 0;
}

static void expect_on(const struct sent *s, const char *local, const char *remote)
{
	struct path_route want = route(local, remote);
	char a[FZ_ADDR_STRLEN], b[FZ_ADDR_STRLEN];

	ck_assert_msg(path_route_equal(&s->route, &want), "sent on %s > %s, expected %s > %s",
		      fz_addr_format(&s->route.local, a), fz_addr_format(&s->route.remote, b), local, remote);
}

static void expect_probe(struct rig *r, const char *local, const char *remote, struct sent *ret)
{
	struct sent s;

	ck_assert_msg(next_sent(r, &s), "nothing sent, expected a probe on %s > %s", local, remote);
	expect_on(&s, local, remote);
	ck_assert_int_eq(s.kind, PATH_TX_PACKET);
	ck_assert(!s.probe.is_reply);
	if (ret != NULL)
		*ret = s;
}

static void expect_message(struct rig *r, uint8_t type, const char *local, const char *remote)
{
	struct sent s;

	ck_assert_msg(next_sent(r, &s), "nothing sent, expected a message on %s > %s", local, remote);
	expect_on(&s, local, remote);
	ck_assert_int_eq(s.kind, PATH_TX_DATAGRAM);
	ck_assert_uint_eq(s.data[0], type);
	ck_assert_uint_eq(s.len, type == WG_INITIATION ? WG_INITIATION_LEN : WG_RESPONSE_LEN);
}

static void expect_quiet(struct rig *r)
{
	struct sent s;

	ck_assert(!next_sent(r, &s));
}

static unsigned drain(struct rig *r)
{
	struct sent s;
	unsigned n = 0;

	while (next_sent(r, &s))
		n++;
	return n;
}

/* To the agent's next deadline, and what is sent then. */
static unsigned step(struct rig *r)
{
	uint64_t at = path_next_timeout(r->p);

	ck_assert_uint_ne(at, FZ_NEVER_US);
	if (at > r->now_us)
		r->now_us = at;
	path_handle_timeout(r->p, r->now_us);
	return drain(r);
}

static void make_message(struct rig *r, uint8_t *buf, size_t len, uint8_t type)
{
	memset(buf, 0x77, len);
	memset(buf, 0, 4);
	buf[0] = type;
	fz_put_be32(buf + 8, ++r->serial);
}

/* WireGuard wants an initiation sent. */
static bool initiate(struct rig *r)
{
	uint8_t buf[WG_INITIATION_LEN];

	make_message(r, buf, sizeof(buf), WG_INITIATION);
	return path_send_handshake(r->p, buf, sizeof(buf), r->now_us);
}

static void accept_initiation(struct rig *r, const uint8_t *msg, const char *local, const char *remote)
{
	struct path_route arrival = route(local, remote), to;
	uint8_t response[WG_RESPONSE_LEN];

	ck_assert(path_filter_handshake(r->p, &arrival, msg, WG_INITIATION_LEN, r->now_us));
	make_message(r, response, sizeof(response), WG_RESPONSE);
	ck_assert(path_handshake_done(r->p, &arrival, msg, WG_INITIATION_LEN, true, response,
				      sizeof(response), &to, r->now_us));
	ck_assert(path_route_equal(&arrival, &to)); /* never on the path in use */
}

/* The peer's initiation arrives and is accepted. */
static void initiated(struct rig *r, const char *local, const char *remote)
{
	uint8_t buf[WG_INITIATION_LEN];

	make_message(r, buf, sizeof(buf), WG_INITIATION);
	accept_initiation(r, buf, local, remote);
}

static void responded(struct rig *r, const char *local, const char *remote)
{
	struct path_route arrival = route(local, remote), to;
	uint8_t buf[WG_RESPONSE_LEN];

	make_message(r, buf, sizeof(buf), WG_RESPONSE);
	ck_assert(path_filter_handshake(r->p, &arrival, buf, sizeof(buf), r->now_us));
	ck_assert(!path_handshake_done(r->p, &arrival, buf, sizeof(buf), true, NULL, 0, &to, r->now_us));
	ck_assert(!path_filter_handshake(r->p, &arrival, buf, sizeof(buf), r->now_us)); /* a copy */
}

static void data(struct rig *r, const char *local, const char *remote)
{
	struct path_route arrival = route(local, remote);

	path_handle_data(r->p, &arrival, r->now_us);
}

static void packet(struct rig *r, const char *local, const char *remote, const struct path_probe *probe)
{
	struct path_route arrival = route(local, remote);
	uint8_t buf[PATH_PROBE_LEN];

	path_probe_build(buf, probe);
	ck_assert(path_handle_packet(r->p, &arrival, buf, sizeof(buf), r->now_us));
}

/* The peer answers a probe on the way it came. */
static void answer(struct rig *r, const struct sent *s)
{
	uint8_t buf[PATH_PROBE_LEN];
	struct path_probe reply = s->probe;

	reply.is_reply = true;
	path_probe_build(buf, &reply);
	ck_assert(path_handle_packet(r->p, &s->route, buf, sizeof(buf), r->now_us));
}

static void expect_selected(struct rig *r, const char *local, const char *remote, enum path_reason reason)
{
	struct path_route want = route(local, remote);
	struct path_event ev;

	ck_assert(path_poll_event(r->p, &ev));
	ck_assert_int_eq(ev.type, PATH_SELECTED);
	ck_assert(path_route_equal(&ev.route, &want));
	ck_assert_int_eq(ev.reason, reason);
	ck_assert(path_route_equal(path_selected(r->p), &want));
	ck_assert(path_settled(r->p));
	ck_assert(!path_poll_event(r->p, &ev));
}

static void expect_doubt(struct rig *r)
{
	struct path_event ev;

	ck_assert(path_poll_event(r->p, &ev));
	ck_assert_int_eq(ev.type, PATH_DOUBTED);
	ck_assert(!path_poll_event(r->p, &ev));
}

static void expect_no_event(struct rig *r)
{
	struct path_event ev;
	ck_assert(!path_poll_event(r->p, &ev));
}

/* Four pairs: host and relay on both sides. */
static void with_pairs(struct rig *r)
{
	rig_init(r);
	ck_assert(add_local(r, CAND_HOST, HOST, HOST));
	ck_assert(add_local(r, CAND_RELAY, RELAY, HOST));
	add_remote(r, TEXT_HOST);
	add_remote(r, TEXT_RELAY);
	expect_quiet(r);
	ck_assert_uint_eq(path_next_timeout(r->p), FZ_NEVER_US);
}

/* The session exists, the relayed pair is in use, no probe was answered yet. */
static void with_session(struct rig *r)
{
	with_pairs(r);
	ck_assert(initiate(r));
	ck_assert_uint_eq(drain(r), 3);
	responded(r, RELAY, PEER_RELAY);
	expect_selected(r, RELAY, PEER_RELAY, PATH_REASON_FIRST);
}

/* Answer whatever is due on one pair, lose the rest. */
static void answer_on(struct rig *r, const char *local, const char *remote, uint64_t rtt_us)
{
	struct path_route want = route(local, remote);
	struct sent s, hit = { .len = 0 };

	while (hit.len == 0) {
		while (next_sent(r, &s))
			if (path_route_equal(&s.route, &want))
				hit = s;
		if (hit.len == 0)
			r->now_us = path_next_timeout(r->p);
	}
	r->now_us += rtt_us;
	answer(r, &hit);
}

/* ---- candidates ---- */

START_TEST(candidate_texts)
{
	static const struct {
		enum cand_kind kind;
		const char *addr, *base, *text;
	} cases[] = {
		{ CAND_HOST, HOST, HOST,
		  "candidate:4488538481769434819 1 udp 2130706431 192.168.1.5 52625 typ host" },
		{ CAND_HOST, "[2001:db8::5]:52625", "[2001:db8::5]:52625",
		  "candidate:12382007605235884084 1 udp 2130706431 2001:db8::5 52625 typ host" },
		{ CAND_SRFLX, SRFLX, HOST,
		  "candidate:17143847795575128535 1 udp 1694498815 203.0.113.7 40000 typ srflx raddr "
		  "192.168.1.5 rport 52625" },
		{ CAND_RELAY, RELAY, HOST,
		  "candidate:12020337547442846171 1 udp 16777215 198.51.100.10 50000 typ relay raddr "
		  "192.168.1.5 rport 52625" },
		{ CAND_RELAY, "[2001:db8::10]:50000", HOST,
		  "candidate:12331328239845644304 1 udp 16777215 2001:db8::10 50000 typ relay raddr "
		  "192.168.1.5 rport 52625" },
	};
	struct rig r;
	char text[CAND_TEXT_MAX];

	rig_init(&r);
	for (size_t i = 0; i < N(cases); i++) {
		const struct cand c = { .kind = cases[i].kind,
					.addr = addr(cases[i].addr),
					.base = addr(cases[i].base) };
		ck_assert_int_eq(path_cand_text(r.p, &c, false, text, sizeof(text)), FZ_ERR_NOT_FOUND);
		ck_assert(path_add_local(r.p, &c, r.now_us));
		ck_assert(!path_add_local(r.p, &c, r.now_us));
		for (int gone = 0; gone < 2; gone++) {
			ck_assert_int_gt(path_cand_text(r.p, &c, gone, text, sizeof(text)), 0);
			ck_assert_str_eq(text, cases[i].text);
		}
	}
	rig_done(&r);
}
END_TEST

START_TEST(unusable_candidates)
{
	static const struct {
		const char *text;
		int err;
	} cases[] = {
		{ "candidate:1 1 udp 1 169.254.1.1 5 typ host", FZ_ERR_NOT_MINE },
		{ "candidate:1 1 udp 1 224.0.0.1 5 typ host", FZ_ERR_NOT_MINE },
		{ "candidate:1 1 udp 1 10.0.0.1 0 typ host", FZ_ERR_NOT_MINE },
		{ "candidate:1 1 udp 1 10.0.0.1 5 typ prflx", FZ_ERR_NOT_MINE },
		{ "candidate:1 1 udp 1 10.0.0.1 5 typ srflx", FZ_ERR_WIRE },
		{ "candidate:1 1 udp 1 10.0.0.1 5 typ srflx raddr ::1 rport 5", FZ_ERR_WIRE },
		{ "candidate:1 1 tcp 1 10.0.0.1 5 typ host", FZ_ERR_WIRE },
		{ "rubbish", FZ_ERR_WIRE },
	};
	struct rig r;
	struct cand c;

	rig_init(&r);
	for (size_t i = 0; i < N(cases); i++)
		ck_assert_int_eq(path_add_remote(r.p, cases[i].text, &c, r.now_us), cases[i].err);
	ck_assert(!add_local(&r, CAND_HOST, "169.254.1.1:5", HOST));
	ck_assert(!add_local(&r, CAND_PRFLX, SRFLX, HOST));
	ck_assert(!add_local(&r, CAND_SRFLX, "[2001:db8::1]:5", HOST));
	ck_assert_int_eq(path_remove_remote(r.p, TEXT_HOST, r.now_us), FZ_ERR_NOT_FOUND);
	ck_assert_int_eq(path_remove_remote(r.p, "rubbish", r.now_us), FZ_ERR_WIRE);
	rig_done(&r);
}
END_TEST

START_TEST(a4_7_forwarded_port_is_inferred)
{
	struct rig r;
	struct path_stats st;

	rig_init(&r);
	ck_assert(add_local(&r, CAND_HOST, HOST, HOST));
	add_remote(&r, TEXT_HOST);
	add_remote(&r, TEXT_SRFLX);
	path_get_stats(r.p, &st);
	ck_assert_uint_eq(st.pairs, 3);
	add_remote(&r, TEXT_SRFLX); /* repeated */
	/* Where the port was kept the announced one is the same. */
	add_remote(&r, "candidate:2 1 udp 1 203.0.113.31 52625 typ srflx raddr 192.168.2.2 rport 52625");
	path_get_stats(r.p, &st);
	ck_assert_uint_eq(st.pairs, 3);
	rig_done(&r);
}
END_TEST

/* ---- the first handshake ---- */

START_TEST(a16_1_initiation_goes_over_every_relay_pair)
{
	struct rig r;

	with_pairs(&r);
	ck_assert(initiate(&r));
	expect_message(&r, WG_INITIATION, HOST, PEER_RELAY);
	expect_message(&r, WG_INITIATION, RELAY, PEER_HOST);
	expect_message(&r, WG_INITIATION, RELAY, PEER_RELAY);
	expect_quiet(&r);
	rig_done(&r);
}
END_TEST

START_TEST(a16_1_pairs_that_come_later_get_it_too)
{
	struct rig r;

	rig_init(&r);
	ck_assert(initiate(&r));
	expect_quiet(&r);
	ck_assert(add_local(&r, CAND_HOST, HOST, HOST));
	add_remote(&r, TEXT_HOST);
	expect_quiet(&r);
	r.now_us += FZ_SEC(1);
	add_remote(&r, TEXT_RELAY);
	expect_message(&r, WG_INITIATION, HOST, PEER_RELAY);
	expect_quiet(&r);
	rig_done(&r);
}
END_TEST

START_TEST(a16_2_ladder)
{
	static const uint64_t gaps_ms[] = { 50, 50, 50, 100, 200, 400, 800, 1600 };
	struct rig r;

	with_pairs(&r);
	ck_assert(initiate(&r));
	ck_assert_uint_eq(drain(&r), 3);
	for (size_t i = 0; i < N(gaps_ms); i++) {
		ck_assert_uint_eq(path_next_timeout(r.p), r.now_us + FZ_MS(gaps_ms[i]));
		ck_assert_uint_eq(step(&r), 3);
	}
	ck_assert_uint_eq(path_next_timeout(r.p), FZ_NEVER_US); /* once */
	rig_done(&r);
}
END_TEST

START_TEST(a16_2_bound_channel_hurries_the_next_copy)
{
	struct rig r;
	struct path_route ready = route(RELAY, PEER_HOST);

	with_pairs(&r);
	ck_assert(initiate(&r));
	drain(&r);
	r.now_us += FZ_MS(3);
	path_route_ready(r.p, &ready, r.now_us);
	expect_message(&r, WG_INITIATION, RELAY, PEER_HOST);
	expect_quiet(&r);
	rig_done(&r);
}
END_TEST

START_TEST(a16_3_answer_ends_it)
{
	struct rig r;
	struct sent s;

	with_session(&r);
	/* From now on probes, on all pairs at once. */
	expect_probe(&r, HOST, PEER_HOST, NULL);
	expect_probe(&r, HOST, PEER_RELAY, NULL);
	expect_probe(&r, RELAY, PEER_HOST, NULL);
	expect_probe(&r, RELAY, PEER_RELAY, NULL);
	for (int i = 0; i < 100; i++) {
		r.now_us += FZ_MS(100);
		while (next_sent(&r, &s))
			ck_assert_int_eq(s.kind, PATH_TX_PACKET);
	}
	rig_done(&r);
}
END_TEST

/* A later answer on a better kind of pair takes over, one on a worse or equal kind does not. */
START_TEST(a16_3_preliminary_by_kind)
{
	struct rig r;

	with_session(&r);
	responded(&r, RELAY, PEER_HOST);
	expect_selected(&r, RELAY, PEER_HOST, PATH_REASON_BETTER);
	responded(&r, RELAY, PEER_RELAY);
	responded(&r, HOST, PEER_RELAY); /* the peer's relay is no better than ours */
	expect_no_event(&r);
	rig_done(&r);
}
END_TEST

START_TEST(a16_4_second_initiation_goes_once_without_ladder)
{
	struct rig r;

	with_pairs(&r);
	ck_assert(initiate(&r));
	drain(&r);
	for (int i = 0; i < 8; i++)
		ck_assert_uint_eq(step(&r), 3);
	ck_assert(initiate(&r));
	ck_assert_uint_eq(drain(&r), 3);
	ck_assert_uint_eq(path_next_timeout(r.p), FZ_NEVER_US);
	rig_done(&r);
}
END_TEST

/* In the middle of the ladder: the new bytes go out once, the steps go on with them. */
START_TEST(a16_4_ladder_goes_on_with_the_newest)
{
	struct rig r;
	struct sent s;

	with_pairs(&r);
	ck_assert(initiate(&r));
	drain(&r);
	step(&r);
	r.now_us += FZ_MS(20);
	ck_assert(initiate(&r));
	ck_assert_uint_eq(drain(&r), 3);
	ck_assert_uint_eq(path_next_timeout(r.p), r.now_us + FZ_MS(30));
	r.now_us += FZ_MS(30);
	ck_assert(next_sent(&r, &s));
	ck_assert_uint_eq(fz_get_be32(s.data + 8), 2);
	rig_done(&r);
}
END_TEST

START_TEST(a16_5_copies_get_the_same_response_for_a_while)
{
	struct rig r;
	struct path_route first = route(RELAY, PEER_RELAY), other = route(HOST, PEER_RELAY);
	uint8_t msg[WG_INITIATION_LEN], response[WG_RESPONSE_LEN];
	struct path_route to;
	struct sent s;

	with_pairs(&r);
	make_message(&r, msg, sizeof(msg), WG_INITIATION);
	make_message(&r, response, sizeof(response), WG_RESPONSE);
	ck_assert(path_filter_handshake(r.p, &first, msg, sizeof(msg), r.now_us));
	ck_assert(path_handshake_done(r.p, &first, msg, sizeof(msg), true, response, sizeof(response), &to,
				      r.now_us));
	r.now_us += FZ_SEC(10) - 1;
	ck_assert(!path_filter_handshake(r.p, &other, msg, sizeof(msg), r.now_us));
	ck_assert(next_sent(&r, &s));
	expect_on(&s, HOST, PEER_RELAY);
	ck_assert_uint_eq(s.len, sizeof(response));
	ck_assert_mem_eq(s.data, response, sizeof(response));
	r.now_us += 1;
	ck_assert(!path_filter_handshake(r.p, &other, msg, sizeof(msg), r.now_us));
	expect_quiet(&r);
	rig_done(&r);
}
END_TEST

START_TEST(a16_6_rejected_handshakes_change_nothing)
{
	struct rig r;
	struct path_route arrival = route(RELAY, PEER_RELAY), to;
	uint8_t msg[WG_INITIATION_LEN], response[WG_RESPONSE_LEN];

	with_pairs(&r);
	make_message(&r, msg, sizeof(msg), WG_INITIATION);
	make_message(&r, response, sizeof(response), WG_RESPONSE);
	ck_assert(!path_handshake_done(r.p, &arrival, msg, sizeof(msg), false, NULL, 0, &to, r.now_us));
	ck_assert(!path_handshake_done(r.p, &arrival, response, sizeof(response), false, NULL, 0, &to,
				       r.now_us));
	ck_assert(path_filter_handshake(r.p, &arrival, msg, sizeof(msg), r.now_us));
	ck_assert(path_filter_handshake(r.p, &arrival, response, sizeof(response), r.now_us));
	ck_assert_ptr_null(path_selected(r.p));
	ck_assert(!path_settled(r.p));
	expect_no_event(&r);
	expect_quiet(&r);
	ck_assert_uint_eq(path_next_timeout(r.p), FZ_NEVER_US);
	rig_done(&r);
}
END_TEST

START_TEST(a16_7_establishing_initiation_is_adopted)
{
	struct rig r;

	with_pairs(&r);
	initiated(&r, RELAY, PEER_RELAY);
	expect_selected(&r, RELAY, PEER_RELAY, PATH_REASON_FIRST);
	initiated(&r, HOST, PEER_HOST); /* a re-key is not */
	ck_assert(path_route_equal(path_selected(r.p), &(struct path_route){ .local = addr(RELAY),
									     .remote = addr(PEER_RELAY),
									     .local_relayed = true }));
	rig_done(&r);
}
END_TEST

/* WireGuard lets the responder send only after it has heard from the initiator: no probe is wasted before. */
START_TEST(responder_probes_when_it_may_send)
{
	struct rig r;

	with_pairs(&r);
	initiated(&r, RELAY, PEER_RELAY);
	expect_quiet(&r);
	ck_assert_uint_eq(path_next_timeout(r.p), FZ_NEVER_US);
	r.now_us += FZ_MS(40);
	data(&r, RELAY, PEER_RELAY);
	ck_assert_uint_eq(drain(&r), 4);
	ck_assert_uint_eq(path_next_timeout(r.p), r.now_us + FZ_MS(200));
	rig_done(&r);
}
END_TEST

/* ---- probes ---- */

START_TEST(a16_8_requests_are_answered_where_they_came_from)
{
	struct rig r;
	struct sent s;

	with_session(&r);
	drain(&r);
	packet(&r, HOST, PEER_HOST, &(struct path_probe){ .id = 0xfffe, .seq = 0xffff });
	ck_assert(next_sent(&r, &s));
	expect_on(&s, HOST, PEER_HOST);
	ck_assert(s.kind == PATH_TX_PACKET && s.probe.is_reply && s.probe.id == 0xfffe &&
		  s.probe.seq == 0xffff);
	/* Its filter is open: our next probe goes at once, but only once. */
	expect_probe(&r, HOST, PEER_HOST, NULL);
	packet(&r, HOST, PEER_HOST, &(struct path_probe){ .id = 1 });
	ck_assert(next_sent(&r, &s) && s.probe.is_reply);
	expect_quiet(&r);
	ck_assert(!path_handle_packet(r.p, &s.route, (const uint8_t[64]){ 0x60 }, 64, r.now_us));
	rig_done(&r);
}
END_TEST

START_TEST(probe_times)
{
	static const uint64_t at_ms[] = { 0, 200, 500, 1000, 2000, 3000, 4000, 5000, 6000, 7000, 8000, 9000 };
	struct rig r;
	uint64_t start_us;
	struct sent s;

	with_session(&r);
	start_us = r.now_us;
	for (size_t i = 0; i < N(at_ms); i++) {
		ck_assert_uint_le(path_next_timeout(r.p), start_us + FZ_MS(at_ms[i]));
		r.now_us = start_us + FZ_MS(at_ms[i]);
		for (int k = 0; k < 4; k++) {
			ck_assert(next_sent(&r, &s));
			ck_assert_uint_eq(s.probe.seq, i);
		}
		expect_quiet(&r);
	}
	/* The one in use goes on. */
	ck_assert_uint_eq(path_next_timeout(r.p), r.now_us + FZ_SEC(25));
	rig_done(&r);
}
END_TEST

START_TEST(a16_9_better_kinds_take_over)
{
	struct rig r;
	struct sent direct, relayed;

	with_session(&r);
	expect_probe(&r, HOST, PEER_HOST, &direct);
	drain(&r);
	r.now_us += FZ_MS(30);
	answer(&r, &direct);
	expect_selected(&r, HOST, PEER_HOST, PATH_REASON_BETTER);
	/* Worse ones never do, however fast. */
	r.now_us = path_next_timeout(r.p);
	expect_probe(&r, HOST, PEER_HOST, NULL);
	expect_probe(&r, HOST, PEER_RELAY, &relayed);
	answer(&r, &relayed);
	expect_no_event(&r);
	rig_done(&r);
}
END_TEST

/* Two of our relays' addresses, one class: only a clearly shorter way is worth a change. */
START_TEST(a16_9_margin_within_a_kind)
{
	static const struct {
		unsigned now_ms, new_ms;
		bool changes;
	} cases[] = {
		{ 100, 79, true }, { 100, 81, false }, { 20, 9, true }, { 20, 11, false }, { 9, 1, false },
	};

	for (size_t i = 0; i < N(cases); i++) {
		struct rig r;
		struct path_stats st;
		rig_init(&r);
		ck_assert(add_local(&r, CAND_HOST, HOST, HOST));
		add_remote(&r, TEXT_RELAY);
		add_remote(&r, "candidate:9 1 udp 1 198.51.100.10 50009 typ relay raddr 10.0.0.1 rport 5");
		ck_assert(initiate(&r));
		drain(&r);
		responded(&r, HOST, PEER_RELAY);
		expect_selected(&r, HOST, PEER_RELAY, PATH_REASON_FIRST);
		answer_on(&r, HOST, PEER_RELAY, FZ_MS(cases[i].now_ms));
		path_get_stats(r.p, &st);
		ck_assert_uint_eq(st.rtt_us, FZ_MS(cases[i].now_ms));
		ck_assert_uint_eq(st.pairs_working, 1);
		expect_no_event(&r);
		answer_on(&r, HOST, "198.51.100.10:50009", FZ_MS(cases[i].new_ms));
		if (cases[i].changes)
			expect_selected(&r, HOST, "198.51.100.10:50009", PATH_REASON_BETTER);
		else
			expect_no_event(&r);
		rig_done(&r);
	}
}
END_TEST

/* Adopted from the peer's initiation, but it works in the peer's direction only. */
START_TEST(adopted_path_that_never_answers_gives_way)
{
	struct rig r;

	with_pairs(&r);
	initiated(&r, RELAY, PEER_HOST);
	expect_selected(&r, RELAY, PEER_HOST, PATH_REASON_FIRST);
	data(&r, RELAY, PEER_HOST);
	answer_on(&r, RELAY, PEER_RELAY, FZ_MS(5));
	expect_no_event(&r);
	step(&r);
	answer_on(&r, RELAY, PEER_RELAY, FZ_MS(5));
	expect_selected(&r, RELAY, PEER_RELAY, PATH_REASON_BETTER);
	rig_done(&r);
}
END_TEST

START_TEST(a16_10_stale_answers_are_ignored)
{
	struct rig r;
	struct sent s, t;
	struct path_stats st;

	with_session(&r);
	expect_probe(&r, HOST, PEER_HOST, &s);
	drain(&r);
	t = s;
	t.probe.id ^= 1;
	answer(&r, &t);
	t = s;
	t.probe.seq++;
	answer(&r, &t);
	t = s;
	t.route = route(HOST, "10.9.9.9:1");
	answer(&r, &t);
	expect_no_event(&r);
	/* The pair is made anew under the same addresses. */
	ck_assert_int_eq(path_remove_remote(r.p, TEXT_HOST, r.now_us), 0);
	add_remote(&r, TEXT_HOST);
	drain(&r);
	answer(&r, &s);
	expect_no_event(&r);
	path_get_stats(r.p, &st);
	ck_assert_uint_eq(st.bad_answer, 4);
	ck_assert_uint_eq(st.checks_answered, 0);
	rig_done(&r);
}
END_TEST

START_TEST(a16_10_answers_count_once)
{
	struct rig r;
	struct sent s;
	struct path_stats st;

	with_session(&r);
	expect_probe(&r, HOST, PEER_HOST, &s);
	r.now_us += FZ_MS(10);
	answer(&r, &s);
	r.now_us += FZ_MS(50);
	answer(&r, &s);
	path_get_stats(r.p, &st);
	ck_assert_uint_eq(st.rtt_us, FZ_MS(10));
	ck_assert_uint_eq(st.checks_answered, 1);
	rig_done(&r);
}
END_TEST

START_TEST(a16_11_budget)
{
	struct rig r;
	struct sent s;
	unsigned n = 0, others = 0;
	struct path_route in_use = route(RELAY, PEER_RELAY);

	with_session(&r);
	for (int i = 0; i < 1200; i++) {
		while (next_sent(&r, &s)) {
			if (!path_route_equal(&s.route, &in_use))
				others++;
			else
				n++;
		}
		r.now_us += FZ_MS(100);
	}
	ck_assert_uint_eq(others, 3 * 12);
	ck_assert_uint_eq(n, 12 + 4); /* 9 s, then every 25 s up to 109 s */
	/* The peer probes a pair that went quiet: it is tried again. */
	packet(&r, HOST, PEER_HOST, &(struct path_probe){ .id = 1 });
	ck_assert(next_sent(&r, &s) && s.probe.is_reply);
	expect_probe(&r, HOST, PEER_HOST, NULL);
	rig_done(&r);
}
END_TEST

START_TEST(a16_11_without_path_for_ever)
{
	struct rig r;
	unsigned n = 0;

	with_session(&r);
	drain(&r);
	add_remote(&r, "candidate:9 1 udp 1 198.51.100.77 50009 typ relay raddr 10.0.0.1 rport 5");
	ck_assert(!path_settled(r.p));
	for (int i = 0; i < 60; i++) {
		n = drain(&r);
		r.now_us += FZ_SEC(1);
	}
	ck_assert_uint_eq(n, 6);
	/* Late answers are forgotten, recent ones are not. */
	answer_on(&r, HOST, PEER_HOST, FZ_SEC(1));
	expect_selected(&r, HOST, PEER_HOST, PATH_REASON_BETTER);
	rig_done(&r);
}
END_TEST

/* ---- doubts ---- */

START_TEST(a16_12_new_candidates_are_compared)
{
	struct rig r;

	with_session(&r);
	for (int i = 0; i < 200; i++) {
		drain(&r);
		r.now_us += FZ_MS(100);
	}
	ck_assert(add_local(&r, CAND_SRFLX, SRFLX, HOST));
	ck_assert(!path_settled(r.p));
	ck_assert_ptr_nonnull(path_selected(r.p)); /* payload goes on */
	ck_assert_uint_eq(drain(&r), 4);
	answer_on(&r, RELAY, PEER_RELAY, FZ_MS(5));
	expect_no_event(&r); /* the same one again */
	ck_assert(path_settled(r.p));
	rig_done(&r);
}
END_TEST

static void settle_direct(struct rig *r)
{
	with_session(r);
	answer_on(r, HOST, PEER_HOST, FZ_MS(5));
	expect_selected(r, HOST, PEER_HOST, PATH_REASON_BETTER);
	for (int i = 0; i < 200; i++) {
		drain(r);
		r->now_us += FZ_MS(1000);
	}
}

START_TEST(a16_13_own_rekeys)
{
	struct rig r;

	settle_direct(&r);
	ck_assert(!initiate(&r)); /* sent on the path in use */
	ck_assert(path_settled(r.p));
	expect_no_event(&r);
	responded(&r, HOST, PEER_HOST);
	ck_assert(!initiate(&r));
	ck_assert(path_settled(r.p));
	/* Nothing but its data being unanswered makes a young session re-key. */
	expect_doubt(&r);
	ck_assert(!initiate(&r));
	ck_assert(!path_settled(r.p));
	expect_doubt(&r);
	ck_assert_uint_eq(drain(&r), 4);
	answer_on(&r, RELAY, PEER_RELAY, FZ_MS(5));
	expect_selected(&r, RELAY, PEER_RELAY, PATH_REASON_LOST);
	/* A change starts the count anew. */
	ck_assert(!initiate(&r));
	ck_assert(path_settled(r.p));
	rig_done(&r);
}
END_TEST

/* No path and, for all we know, no session: relays first, as in the beginning. */
START_TEST(rekey_without_path_goes_over_the_relays)
{
	struct rig r;

	settle_direct(&r);
	ck_assert(!initiate(&r));
	ck_assert(!initiate(&r));
	drain(&r);
	r.now_us += FZ_MS(10);
	ck_assert(initiate(&r));
	expect_message(&r, WG_INITIATION, HOST, PEER_RELAY);
	expect_message(&r, WG_INITIATION, RELAY, PEER_HOST);
	expect_message(&r, WG_INITIATION, RELAY, PEER_RELAY);
	expect_quiet(&r); /* no ladder */
	r.now_us += FZ_MS(100);
	expect_quiet(&r);
	responded(&r, RELAY, PEER_RELAY);
	ck_assert(path_settled(r.p));
	rig_done(&r);
}
END_TEST

START_TEST(a16_13_peer_rekeys)
{
	struct rig r;

	settle_direct(&r);
	initiated(&r, HOST, PEER_HOST);
	ck_assert(path_settled(r.p));
	data(&r, HOST, PEER_HOST);
	initiated(&r, HOST, PEER_HOST);
	ck_assert(path_settled(r.p));
	expect_no_event(&r);
	r.now_us += FZ_SEC(40);
	initiated(&r, HOST, PEER_HOST);
	ck_assert(!path_settled(r.p));
	expect_doubt(&r);
	rig_done(&r);
}
END_TEST

/* It sends data, but starts a handshake every few seconds: it does not hear us. */
START_TEST(hasty_peer_does_not_hear_us)
{
	struct rig r;

	settle_direct(&r);
	for (int i = 0; i < 2; i++) {
		initiated(&r, HOST, PEER_HOST);
		data(&r, HOST, PEER_HOST);
		r.now_us += FZ_SEC(9);
		ck_assert(path_settled(r.p));
	}
	initiated(&r, HOST, PEER_HOST);
	ck_assert(!path_settled(r.p));
	expect_doubt(&r);
	rig_done(&r);
}
END_TEST

START_TEST(a16_14_relay_lost_and_back)
{
	struct rig r;

	with_session(&r);
	answer_on(&r, RELAY, PEER_HOST, FZ_MS(5));
	expect_selected(&r, RELAY, PEER_HOST, PATH_REASON_BETTER);
	remove_local(&r, CAND_RELAY, RELAY, HOST);
	ck_assert(!path_settled(r.p));
	answer_on(&r, HOST, PEER_RELAY, FZ_MS(5));
	expect_selected(&r, HOST, PEER_RELAY, PATH_REASON_LOST);
	ck_assert(add_local(&r, CAND_RELAY, RELAY, HOST));
	answer_on(&r, RELAY, PEER_HOST, FZ_MS(5));
	expect_selected(&r, RELAY, PEER_HOST, PATH_REASON_BETTER);
	/* The same from the other side. */
	ck_assert_int_eq(path_remove_remote(r.p, TEXT_HOST, r.now_us), 0);
	answer_on(&r, RELAY, PEER_RELAY, FZ_MS(5));
	expect_selected(&r, RELAY, PEER_RELAY, PATH_REASON_LOST);
	rig_done(&r);
}
END_TEST

START_TEST(a16_15_roam)
{
	struct rig r;
	struct sent s;

	settle_direct(&r);
	path_rebuild(r.p, r.now_us);
	ck_assert(!path_settled(r.p));
	expect_quiet(&r);
	ck_assert(add_local(&r, CAND_HOST, "10.1.1.1:4000", "10.1.1.1:4000"));
	expect_probe(&r, "10.1.1.1:4000", PEER_HOST, &s);
	expect_probe(&r, "10.1.1.1:4000", PEER_RELAY, NULL);
	expect_quiet(&r);
	answer(&r, &s);
	expect_selected(&r, "10.1.1.1:4000", PEER_HOST, PATH_REASON_LOST);
	rig_done(&r);
}
END_TEST

START_TEST(a16_16_discovered_addresses)
{
	struct rig r;
	struct path_stats st;
	char from[32];
	struct sent s;

	with_session(&r);
	drain(&r);
	packet(&r, HOST, PEER_INFERRED, &(struct path_probe){ .id = 1 });
	ck_assert(next_sent(&r, &s) && s.probe.is_reply);
	expect_on(&s, HOST, PEER_INFERRED);
	expect_probe(&r, HOST, PEER_INFERRED, &s);
	drain(&r);
	answer(&r, &s);
	expect_selected(&r, HOST, PEER_INFERRED, PATH_REASON_BETTER);
	/* Announced later: nothing is lost. */
	add_remote(&r, "candidate:2 1 udp 1 203.0.113.31 52625 typ srflx raddr 192.168.2.2 rport 52625");
	ck_assert(path_settled(r.p));
	path_get_stats(r.p, &st);
	ck_assert_uint_eq(st.pairs, 2 * 3);
	for (int i = 0; i < 6; i++) {
		snprintf(from, sizeof(from), "203.0.113.77:%d", 1000 + i);
		packet(&r, HOST, from, &(struct path_probe){ .id = 1 });
		drain(&r);
	}
	path_get_stats(r.p, &st);
	ck_assert_uint_eq(st.pairs, 2 * 7);
	rig_done(&r);
}
END_TEST

START_TEST(a16_16_candidates_are_limited)
{
	struct rig r;
	struct path_stats st;
	char text[128], name[32];

	rig_init(&r);
	for (int i = 0; i < 50; i++) {
		snprintf(text, sizeof(text),
			 "candidate:1 1 udp 1 198.51.100.9 %d typ relay raddr 10.0.0.1 rport 5", 1000 + i);
		add_remote(&r, text);
		snprintf(text, sizeof(text), "candidate:1 1 udp 1 10.0.0.1 %d typ host", 1000 + i);
		add_remote(&r, text);
		snprintf(text, sizeof(text),
			 "candidate:1 1 udp 1 203.0.113.9 %d typ srflx raddr 10.0.0.1 rport 5", 1000 + i);
		add_remote(&r, text);
		snprintf(name, sizeof(name), "192.168.3.1:%d", 1000 + i);
		ck_assert(add_local(&r, CAND_HOST, name, name));
		snprintf(name, sizeof(name), "198.51.100.10:%d", 1000 + i);
		ck_assert(add_local(&r, CAND_RELAY, name, HOST));
	}
	path_get_stats(r.p, &st);
	ck_assert_uint_le(st.pairs, 128);
	ck_assert_uint_ge(st.pairs, 100);
	/* The newest survive. */
	ck_assert_int_eq(
		path_remove_remote(r.p,
				   "candidate:1 1 udp 1 198.51.100.9 1049 typ relay raddr 10.0.0.1 rport 5",
				   r.now_us),
		0);
	ck_assert_int_eq(
		path_remove_remote(r.p,
				   "candidate:1 1 udp 1 198.51.100.9 1043 typ relay raddr 10.0.0.1 rport 5",
				   r.now_us),
		FZ_ERR_NOT_FOUND);
	rig_done(&r);
}
END_TEST

START_TEST(ranking)
{
	struct rig r;

	/* While relayed: our own relay towards the peer's address before the peer's relay. */
	with_session(&r);
	answer_on(&r, HOST, PEER_RELAY, FZ_MS(1));
	expect_selected(&r, HOST, PEER_RELAY, PATH_REASON_BETTER);
	answer_on(&r, RELAY, PEER_HOST, FZ_MS(200));
	expect_selected(&r, RELAY, PEER_HOST, PATH_REASON_BETTER);
	rig_done(&r);

	/* Among equals a relay that speaks our family, then IPv6. */
	rig_init(&r);
	ck_assert(add_local(&r, CAND_RELAY, RELAY, HOST));
	add_remote(&r, TEXT_RELAY);
	add_remote(&r, "candidate:3 1 udp 16777215 2001:db8::10 50001 typ relay raddr 192.168.2.2 rport 5");
	ck_assert(initiate(&r));
	drain(&r);
	responded(&r, RELAY, PEER_RELAY);
	expect_selected(&r, RELAY, PEER_RELAY, PATH_REASON_FIRST);
	ck_assert(add_local(&r, CAND_HOST, "[2001:db8:1::2]:52625", "[2001:db8:1::2]:52625"));
	ck_assert(add_local(&r, CAND_HOST, HOST, HOST));
	answer_on(&r, HOST, PEER_RELAY, FZ_MS(9));
	expect_selected(&r, HOST, PEER_RELAY, PATH_REASON_BETTER);
	answer_on(&r, "[2001:db8:1::2]:52625", "[2001:db8::10]:50001", FZ_MS(200));
	expect_selected(&r, "[2001:db8:1::2]:52625", "[2001:db8::10]:50001", PATH_REASON_BETTER);
	rig_done(&r);
}
END_TEST

/* ---- memory ---- */

static void scenario(struct rig *r)
{
	const struct cand host = { .kind = CAND_HOST, .addr = addr(HOST) },
			  relay = { .kind = CAND_RELAY, .addr = addr(RELAY), .base = addr(HOST) };
	struct path_route arrival = route(RELAY, PEER_RELAY), to;
	uint8_t msg[WG_RESPONSE_LEN];
	struct cand c;

	(void)path_add_local(r->p, &host, r->now_us);
	(void)path_add_local(r->p, &relay, r->now_us);
	(void)path_add_remote(r->p, TEXT_HOST, &c, r->now_us);
	(void)path_add_remote(r->p, TEXT_SRFLX, &c, r->now_us);
	(void)path_add_remote(r->p, TEXT_RELAY, &c, r->now_us);
	(void)initiate(r);
	drain(r);
	make_message(r, msg, sizeof(msg), WG_RESPONSE);
	(void)path_handshake_done(r->p, &arrival, msg, sizeof(msg), true, NULL, 0, &to, r->now_us);
	packet(r, HOST, "203.0.113.99:9", &(struct path_probe){ .id = 1 });
	drain(r);
	path_rebuild(r->p, r->now_us);
	(void)path_add_local(r->p, &host, r->now_us);
	drain(r);
}

START_TEST(memory_fails)
{
	long n = 1;

	for (bool whole = false; !whole; n++) {
		const struct path_opts o = { .kind = PATH_ICELESS };
		struct rig r = { .now_us = START_US };
		unit_env_init(&r.u, 1);
		r.u.fail_at = n;
		int err = path_new(&r.u.env, &o, &r.p, r.now_us);
		ck_assert(err == 0 || (err == FZ_ERR_NOMEM && n == 1));
		if (err == 0) {
			scenario(&r);
			whole = r.u.allocs < n;
			path_free(r.p);
		}
		unit_env_check(&r.u);
	}
	ck_assert_int_gt(n, 4);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("pa_agent");

	unit_case(s, "candidates", candidate_texts, unusable_candidates, a4_7_forwarded_port_is_inferred,
		  a16_16_discovered_addresses, a16_16_candidates_are_limited);
	unit_case(s, "first handshake", a16_1_initiation_goes_over_every_relay_pair,
		  a16_1_pairs_that_come_later_get_it_too, a16_2_ladder,
		  a16_2_bound_channel_hurries_the_next_copy, a16_3_answer_ends_it, a16_3_preliminary_by_kind,
		  a16_4_second_initiation_goes_once_without_ladder, a16_4_ladder_goes_on_with_the_newest,
		  a16_5_copies_get_the_same_response_for_a_while, a16_6_rejected_handshakes_change_nothing,
		  a16_7_establishing_initiation_is_adopted, responder_probes_when_it_may_send);
	unit_case(s, "probes", a16_8_requests_are_answered_where_they_came_from, probe_times,
		  a16_9_better_kinds_take_over, a16_9_margin_within_a_kind,
		  adopted_path_that_never_answers_gives_way, a16_10_stale_answers_are_ignored,
		  a16_10_answers_count_once, a16_11_budget, a16_11_without_path_for_ever, ranking);
	unit_case(s, "doubts", a16_12_new_candidates_are_compared, a16_13_own_rekeys,
		  rekey_without_path_goes_over_the_relays, a16_13_peer_rekeys, hasty_peer_does_not_hear_us,
		  a16_14_relay_lost_and_back, a16_15_roam);
	unit_case(s, "memory", memory_fails);
	return s;
}
