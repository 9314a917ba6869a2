/* SPDX-License-Identifier: Apache-2.0 */
/* The public path agent, two of them joined by a wire that knows both addresses. */
#include "unit.h"

#include "base/time.h"
#include "fzconn/nat.h"
#include "fzconn/tunnel.h"

#define START_US FZ_SEC(5)

struct end {
	struct fz_path *p;
	struct fz_addr addr;
};

static struct fz_addr addr(const char *text)
{
	struct fz_addr a;

	ck_assert_int_eq(fz_addr_parse(text, &a), 0);
	return a;
}

static struct fz_path_opts opts(bool controlling)
{
	return (struct fz_path_opts){ .size = sizeof(struct fz_path_opts),
				      .local_ufrag = controlling ? "left" : "right",
				      .local_pwd = controlling ? "left's secret" : "right's secret",
				      .remote_ufrag = controlling ? "right" : "left",
				      .remote_pwd = controlling ? "right's secret" : "left's secret",
				      .controlling = controlling,
				      .profile = controlling ? FZ_PATH_CLIENT : FZ_PATH_SERVER,
				      .idle_profile = controlling ? FZ_PATH_CLIENT_IDLE : FZ_PATH_SERVER_IDLE,
				      .tag = 7 };
}

/* Everything one end has for the other. */
static unsigned carry(struct end *from, struct end *to, uint64_t now_us)
{
	uint8_t buf[FZ_NAT_TRANSMIT_MAX];
	struct fz_path_route route;
	unsigned n_sent = 0;
	int n;

	while ((n = fz_path_poll_transmit(from->p, buf, sizeof(buf), NULL, &route, now_us)) > 0) {
		ck_assert(fz_addr_equal(&route.local, &from->addr));
		ck_assert(fz_addr_equal(&route.remote, &to->addr));
		ck_assert_int_eq(
			fz_path_handle_datagram(to->p, &to->addr, 0, &from->addr, buf, (size_t)n, now_us), 0);
		n_sent++;
	}
	ck_assert_int_eq(n, 0);
	return n_sent;
}

static void expect(struct end *e, enum fz_path_event_type type, enum fz_path_reason reason)
{
	struct fz_path_event ev;

	ck_assert(fz_path_poll_event(e->p, &ev));
	ck_assert_int_eq(ev.type, type);
	ck_assert_int_eq(ev.reason, reason);
}

START_TEST(two_agents_find_each_other)
{
	struct unit_env u;
	struct end left = { .addr = addr("10.0.0.1:1000") }, right = { .addr = addr("10.0.0.2:2000") };
	struct fz_path_opts lo = opts(true), ro = opts(false);
	char text[FZ_PATH_TEXT_MAX];
	struct fz_path_cand got;
	struct fz_path_route route;
	struct fz_path_stats st;

	unit_env_init(&u, 1);
	ck_assert_int_eq(fz_path_new(&u.env, &lo, &left.p, START_US), 0);
	ck_assert_int_eq(fz_path_new(&u.env, &ro, &right.p, START_US), 0);
	const struct fz_path_cand lc = { .kind = FZ_PATH_HOST, .addr = left.addr, .base = left.addr };
	const struct fz_path_cand rc = { .kind = FZ_PATH_HOST, .addr = right.addr, .base = right.addr };
	ck_assert_int_eq(fz_path_add_local(left.p, &lc, text, START_US), 1);
	ck_assert_int_eq(fz_path_add_remote(right.p, text, &got, START_US), 0);
	ck_assert_int_eq(got.kind, FZ_PATH_HOST);
	ck_assert(fz_addr_equal(&got.addr, &left.addr));
	ck_assert_int_eq(fz_path_add_local(left.p, &lc, text, START_US), 0);
	ck_assert_int_eq(fz_path_add_local(right.p, &rc, text, START_US), 1);
	ck_assert_int_eq(fz_path_add_remote(left.p, text, &got, START_US), 0);
	ck_assert(!fz_path_selected(left.p, &route));

	unsigned n = 0;
	for (int i = 0; i < 6; i++)
		n += carry(&left, &right, START_US) + carry(&right, &left, START_US);
	ck_assert_uint_le(n, 8);
	expect(&left, FZ_PATH_SELECTED, FZ_PATH_REASON_FIRST);
	expect(&left, FZ_PATH_WANT_HANDSHAKE, FZ_PATH_REASON_NONE);
	expect(&right, FZ_PATH_SELECTED, FZ_PATH_REASON_FIRST);
	ck_assert(fz_path_selected(right.p, &route));
	ck_assert(fz_addr_equal(&route.remote, &left.addr));
	ck_assert_uint_eq(route.local_relayed, 0);
	fz_path_stats(left.p, &st);
	ck_assert_uint_eq(st.pairs, 1);
	ck_assert_uint_eq(st.pairs_working, 1);
	ck_assert_uint_eq(st.checks_sent, st.checks_answered);

	fz_path_set_idle(left.p, 1, START_US);
	ck_assert_uint_ge(fz_path_next_timeout(left.p), START_US + FZ_SEC(25));
	/* the peer takes its only address back */
	ck_assert_int_eq(fz_path_remove_local(right.p, &rc, text, START_US), 1);
	ck_assert_int_eq(fz_path_remove_remote(left.p, text, START_US), 0);
	ck_assert_int_eq(fz_path_remove_remote(left.p, text, START_US), FZ_ERR_NOT_FOUND);
	ck_assert(!fz_path_selected(left.p, &route));
	fz_path_handle_timeout(left.p, START_US + FZ_SEC(10));
	expect(&left, FZ_PATH_FAILED, FZ_PATH_REASON_NO_ANSWER);
	fz_path_free(left.p);
	fz_path_free(right.p);
	unit_env_check(&u);
}
END_TEST

START_TEST(datagrams_are_attributed)
{
	struct unit_env u;
	struct end left = { .addr = addr("10.0.0.1:1000") };
	struct fz_addr peer = addr("10.0.0.2:2000");
	struct fz_path_opts lo = opts(true);
	struct fz_path_cand got, lc = { .kind = FZ_PATH_HOST, .addr = left.addr, .base = left.addr };
	char text[FZ_PATH_TEXT_MAX];
	uint8_t buf[FZ_NAT_TRANSMIT_MAX];
	struct fz_path_route route;
	const char *name;
	size_t len;
	uint32_t tag;

	unit_env_init(&u, 1);
	ck_assert_int_eq(fz_path_new(&u.env, &lo, &left.p, START_US), 0);
	ck_assert_int_eq(fz_path_add_local(left.p, &lc, text, START_US), 1);
	ck_assert_int_eq(
		fz_path_add_remote(left.p, "candidate:1 1 udp 5 10.0.0.2 2000 typ host", &got, START_US), 0);
	ck_assert_int_eq(fz_path_add_remote(left.p, "nonsense", &got, START_US), FZ_ERR_WIRE);
	ck_assert_int_eq(fz_path_poll_transmit(left.p, buf, 10, NULL, &route, START_US), FZ_ERR_NOSPACE);
	int n = fz_path_poll_transmit(left.p, buf, sizeof(buf), NULL, &route, START_US);
	ck_assert_int_gt(n, 0);
	ck_assert_int_eq(fz_path_peek(buf, (size_t)n, &name, &len, &tag), 0);
	ck_assert_uint_eq(len, 10);
	ck_assert_mem_eq(name, "right:left", 10);
	/* our own request, reflected: for the other end */
	ck_assert_int_eq(fz_path_handle_datagram(left.p, &left.addr, 0, &peer, buf, (size_t)n, START_US),
			 FZ_ERR_NOT_MINE);
	ck_assert_int_eq(fz_path_handle_datagram(left.p, &left.addr, 0, &peer, "payload", 7, START_US),
			 FZ_ERR_NOT_MINE);
	ck_assert_int_eq(fz_path_peek("payload", 7, &name, &len, &tag), FZ_ERR_NOT_MINE);
	fz_path_note_bound(left.p, &left.addr, &peer, START_US);
	fz_path_free(left.p);
	unit_env_check(&u);
}
END_TEST

/* ---- inside a tunnel ---- */

#define UNIX_NS 1800000000000000000u
#define RELAY_OF(e) ((e) == &tun.left ? "198.51.100.1:50001" : "198.51.100.1:50002")

/* Two ends with a tunnel and an address on a relay each; both addresses of both are reachable. */
struct tunnel_end {
	struct fz_path *p;
	struct fz_wg *wg;
	struct fz_addr host, relay;
	unsigned probes;
};

static struct {
	struct tunnel_end left, right;
	uint64_t now_us;
} tun;

static void handle_wg(struct tunnel_end *e, const struct fz_path_route *arrival, const uint8_t *data,
		      size_t len);

static void post(struct tunnel_end *from, const struct fz_path_route *route, const uint8_t *data, size_t len)
{
	struct tunnel_end *to = from == &tun.left ? &tun.right : &tun.left;
	struct fz_path_route arrival = { .local = route->remote, .remote = route->local };

	arrival.local_relayed = fz_addr_equal(&route->remote, &to->relay);
	if (arrival.local_relayed || fz_addr_equal(&route->remote, &to->host)) /* not to where it was */
		handle_wg(to, &arrival, data, len);
}

/* Whatever the tunnel wants to say without being asked by an initiation. */
static void drain_wg(struct tunnel_end *e)
{
	uint8_t buf[FZ_WG_MESSAGE_MAX];
	struct fz_path_route route;
	int n;

	while ((n = fz_wg_poll_transmit(e->wg, buf, sizeof(buf), tun.now_us, UNIX_NS + tun.now_us * 1000)) >
	       0)
		if ((buf[0] != 1 || !fz_path_send_handshake(e->p, buf, (size_t)n, tun.now_us)) &&
		    fz_path_selected(e->p, &route))
			post(e, &route, buf, (size_t)n);
}

static void drain_path(struct tunnel_end *e)
{
	uint8_t buf[FZ_NAT_TRANSMIT_MAX], sealed[FZ_NAT_TRANSMIT_MAX];
	enum fz_path_transmit kind;
	struct fz_path_route route;
	int n;

	while ((n = fz_path_poll_transmit(e->p, buf, sizeof(buf), &kind, &route, tun.now_us)) > 0) {
		if (kind == FZ_PATH_DATAGRAM) {
			post(e, &route, buf, (size_t)n);
			continue;
		}
		n = fz_wg_encapsulate(e->wg, buf, (size_t)n, sealed, sizeof(sealed), tun.now_us);
		if (n > 0)
			post(e, &route, sealed, (size_t)n);
	}
}

static void handle_wg(struct tunnel_end *e, const struct fz_path_route *arrival, const uint8_t *data,
		      size_t len)
{
	uint8_t plain[FZ_NAT_TRANSMIT_MAX], answer[FZ_WG_MESSAGE_MAX];
	bool is_data = data[0] == 4;
	int n, m = 0;

	if (!is_data && !fz_path_filter_handshake(e->p, arrival, data, len, tun.now_us))
		return;
	n = fz_wg_decapsulate(e->wg, &arrival->remote.ip, data, len, plain, sizeof(plain), tun.now_us);
	ck_assert_int_ge(n, 0);
	if (is_data) {
		fz_path_handle_data(e->p, arrival, tun.now_us);
		if (n > 0)
			e->probes += fz_path_handle_packet(e->p, arrival, plain, (size_t)n, tun.now_us);
		return;
	}
	if (data[0] == 1)
		m = fz_wg_poll_transmit(e->wg, answer, sizeof(answer), tun.now_us,
					UNIX_NS + tun.now_us * 1000);
	fz_path_handshake_done(e->p, arrival, data, len, m > 0 ? answer : NULL, (size_t)m, tun.now_us);
	if (m > 0)
		post(e, arrival, answer, (size_t)m);
}

static void open_end(struct unit_env *u, struct tunnel_end *e, const struct fz_wg_key *own,
		     const struct fz_wg_key *peer, const char *host)
{
	const struct fz_path_opts po = { .size = sizeof(po), .mode = FZ_PATH_ICELESS };
	struct fz_wg_opts wo = { .size = sizeof(wo), .private_key = *own, .timing = FZ_WG_FIREZONE_ICELESS };

	e->host = addr(host);
	e->relay = addr(RELAY_OF(e));
	ck_assert_int_eq(fz_wg_key_public(peer, &wo.peer_public), 0);
	ck_assert_int_eq(fz_path_new(&u->env, &po, &e->p, tun.now_us), 0);
	ck_assert_int_eq(fz_wg_new(&u->env, &wo, &e->wg, tun.now_us), 0);
}

static void announce(struct tunnel_end *from, struct tunnel_end *to)
{
	const struct fz_path_cand cands[] = {
		{ .kind = FZ_PATH_HOST, .addr = from->host, .base = from->host },
		{ .kind = FZ_PATH_RELAY, .addr = from->relay, .base = from->host },
	};
	char text[FZ_PATH_TEXT_MAX];
	struct fz_path_cand got;

	for (size_t i = 0; i < 2; i++) {
		ck_assert_int_eq(fz_path_add_local(from->p, &cands[i], text, tun.now_us), 1);
		ck_assert_int_eq(fz_path_add_remote(to->p, text, &got, tun.now_us), 0);
	}
}

static void run_tunnel(uint64_t us)
{
	for (uint64_t end = tun.now_us + us; tun.now_us < end; tun.now_us += FZ_MS(10))
		for (int i = 0; i < 4; i++) {
			struct tunnel_end *e = i % 2 ? &tun.right : &tun.left;
			fz_wg_handle_timeout(e->wg, tun.now_us);
			fz_path_handle_timeout(e->p, tun.now_us);
			drain_wg(e);
			drain_path(e);
		}
}

static void expect_direct(struct tunnel_end *e, const struct tunnel_end *peer)
{
	struct fz_path_route route;

	ck_assert(fz_path_selected(e->p, &route));
	char a[FZ_ADDR_STRLEN], b[FZ_ADDR_STRLEN];
	ck_assert_msg(fz_addr_equal(&route.local, &e->host) && fz_addr_equal(&route.remote, &peer->host),
		      "the path is %s > %s", fz_addr_format(&route.local, a),
		      fz_addr_format(&route.remote, b));
}

START_TEST(a16_15_agents_inside_a_tunnel)
{
	struct unit_env u;
	struct fz_wg_key left, right;

	unit_env_init(&u, 1);
	tun.now_us = START_US;
	fz_wg_key_generate(&u.env, &left);
	fz_wg_key_generate(&u.env, &right);
	open_end(&u, &tun.left, &left, &right, "10.0.0.1:1000");
	open_end(&u, &tun.right, &right, &left, "10.0.0.2:2000");
	fz_wg_connect(tun.left.wg, tun.now_us);
	announce(&tun.left, &tun.right);
	announce(&tun.right, &tun.left);
	run_tunnel(FZ_SEC(1));
	expect_direct(&tun.left, &tun.right);
	expect_direct(&tun.right, &tun.left);
	expect(&(struct end){ .p = tun.left.p }, FZ_PATH_SELECTED, FZ_PATH_REASON_BETTER);
	ck_assert_uint_gt(tun.left.probes, 0);

	/* One end moves: same session, no handshake. */
	struct fz_wg_stats before = { .size = sizeof(before) }, after = before;
	ck_assert_int_eq(fz_wg_get_stats(tun.left.wg, &before), 0);
	fz_path_rebuild(tun.left.p, tun.now_us);
	tun.left.host = addr("10.7.7.7:7777");
	announce(&tun.left, &tun.right);
	run_tunnel(FZ_SEC(1));
	expect_direct(&tun.left, &tun.right);
	expect_direct(&tun.right, &tun.left);
	ck_assert_int_eq(fz_wg_get_stats(tun.left.wg, &after), 0);
	ck_assert_uint_eq(after.initiations_sent, before.initiations_sent);
	fz_path_free(tun.left.p);
	fz_path_free(tun.right.p);
	fz_wg_free(tun.left.wg);
	fz_wg_free(tun.right.wg);
	unit_env_check(&u);
}
END_TEST

START_TEST(options)
{
	struct unit_env u;
	struct fz_path *p;
	struct fz_path_opts o = opts(true);

	unit_env_init(&u, 1);
	o.profile = 4;
	ck_assert_int_eq(fz_path_new(&u.env, &o, &p, START_US), FZ_ERR_INVAL);
	o = opts(true);
	o.mode = 2;
	ck_assert_int_eq(fz_path_new(&u.env, &o, &p, START_US), FZ_ERR_INVAL);
	o = opts(true);
	o.local_ufrag = "with:colon";
	ck_assert_int_eq(fz_path_new(&u.env, &o, &p, START_US), FZ_ERR_INVAL);
	o = opts(true);
	o.size = 3;
	ck_assert_int_eq(fz_path_new(&u.env, &o, &p, START_US), FZ_ERR_ABI);
	o = opts(true);
	u.fail_at = u.allocs + 1;
	ck_assert_int_eq(fz_path_new(&u.env, &o, &p, START_US), FZ_ERR_NOMEM);
	struct fz_path_cand bad = { .kind = (enum fz_path_kind)9, .addr = addr("10.0.0.1:1") };
	char text[FZ_PATH_TEXT_MAX];
	ck_assert_int_eq(fz_path_new(&u.env, &o, &p, START_US), 0);
	ck_assert_int_eq(fz_path_add_local(p, &bad, text, START_US), 0);
	fz_path_free(p);
	fz_path_free(NULL);
	unit_env_check(&u);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *s = suite_create("api_path");

	unit_case(s, "fz_path", two_agents_find_each_other, datagrams_are_attributed, options,
		  a16_15_agents_inside_a_tunnel);
	return s;
}
